//! A command and its outcome.

use crate::record::{Text, record};

record! {
    /// A command and its outcome.
    pub struct Postgresql ("postgresql")
    request {
        /// Kind of the message: `Query`, `Parse`, `Execute`.
        command: Text = "request.command", "postgresql_command", Str;
        /// Text of the statement.
        query: Text = "request.query", "postgresql_query", Str;
        /// Database of the session.
        database: Text = "request.database", "postgresql_database", Str;
        /// User of the session.
        user: Text = "request.user", "postgresql_user", Str;
    }
    response {
        /// Whether the response says that it went well; false where none was seen.
        success: bool = "response.success", "postgresql_success", Bool;
        /// SQLSTATE of the error, five characters: `23505`; empty where there is none.
        error_code: Text = "response.errorCode", "postgresql_error_code", Str;
        /// What went wrong, as the server says it; empty where nothing did.
        error_message: Text = "response.errorMessage", "postgresql_error_message", Str;
    }
    also {
        /// Bytes of the request.
        "", "postgresql_request_size", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "postgresql_response_size", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "postgresql_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.query.get(x),
        method: r.command.get(x),
        status: if r.success {
            ("OK", None)
        } else {
            (r.error_message.get(x), None)
        },
        ok: r.success || r.sizes.response.is_none(),
    }
}
