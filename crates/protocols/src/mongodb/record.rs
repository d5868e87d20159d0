//! A command and its outcome.

use crate::record::{Text, record};

record! {
    /// A command and its outcome.
    pub struct Mongodb ("mongodb")
    request {
        /// Name of the command: `find`, `insert`.
        command: Text = "request.command", "mongodb_command", Str;
        /// Database that it runs on.
        database: Text = "request.database", "mongodb_database", Str;
        /// Collection that it is about.
        collection: Text = "request.collection", "mongodb_collection", Str;
        /// Kind of the message: `OP_MSG`, `OP_QUERY`.
        opcode: &'static str = "request.opcode", "mongodb_opcode", Str;
    }
    response {
        /// Whether the response says that it went well; false where none was seen.
        success: bool = "response.success", "mongodb_success", Bool;
        /// Number of the error, 0 where there is none.
        error_code: i32 = "response.errorCode", "mongodb_error_code", Int;
        /// Name of the error: `NamespaceNotFound`.
        error_code_name: Text = "response.errorCodeName", "mongodb_error_code_name", Str;
        /// What went wrong, as the server says it; empty where nothing did.
        error_message: Text = "response.errorMessage", "mongodb_error_message", Str;
    }
    also {
        /// Bytes of the request.
        "", "mongodb_request_size", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "mongodb_response_size", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "mongodb_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.collection.get(x),
        method: r.command.get(x),
        status: if r.success {
            ("OK", None)
        } else {
            (r.error_message.get(x), Some(r.error_code.into()))
        },
        ok: r.success || r.sizes.response.is_none(),
    }
}
