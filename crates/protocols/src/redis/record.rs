//! A command and its reply.

use crate::record::{Text, record};
use gillnet_entry::Value;

/// The start of a text, as far as whole characters fit into so many bytes.
fn first(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

record! {
    /// A command and its reply.
    pub struct Redis ("redis")
    request {
        /// Verb of the command: `GET`, `HGET`.
        verb: Text = "request.command", "redis_type", Str;
        /// The key that it is about, whole.
        key: Text = "request.key", "", Str;
        /// The whole command: `GET session:1`.
        line: Text = "", "redis_command", Str;
    }
    response {}
    also {
        /// The first 64 bytes of the key.
        "", "redis_key", Str, Entry => |r, x| Value::Str(first(r.key.get(x), 64));
        /// Bytes of the request.
        "", "redis_request_size", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "redis_response_size", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "redis_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.line.get(x),
        method: r.verb.get(x),
        status: ("", None),
        ok: true,
    }
}
