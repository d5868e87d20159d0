//! A command and its outcome.

use crate::record::{Text, record};

record! {
    /// A command and its outcome.
    pub struct Mysql ("mysql")
    request {
        /// Name of the command: `COM_QUERY`, `COM_STMT_EXECUTE`.
        command: Text = "request.command", "mysql_command", Str;
        /// Text of the statement.
        query: Text = "request.query", "mysql_query", Str;
        /// Database that was chosen at the time.
        database: Text = "request.database", "mysql_database", Str;
        /// Number of a prepared statement, 0 where it is none.
        statement_id: u32 = "request.statementId", "mysql_statement_id", Int;
    }
    response {
        /// Whether the response says that it went well; false where none was seen.
        success: bool = "response.success", "mysql_success", Bool;
        /// Number of the error, 0 where there is none.
        error_code: u16 = "response.errorCode", "mysql_error_code", Int;
        /// What went wrong, as the server says it; empty where nothing did.
        error_message: Text = "response.errorMessage", "mysql_error_message", Str;
    }
    also {
        /// Bytes of the request.
        "", "mysql_request_size", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "mysql_response_size", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "mysql_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.query.get(x),
        method: r.command.get(x),
        status: if r.success {
            ("OK", None)
        } else {
            (r.error_message.get(x), Some(r.error_code.into()))
        },
        ok: r.success || r.sizes.response.is_none(),
    }
}
