//! A method and its answer.

use crate::record::{Text, record};

record! {
    /// A method and its answer.
    pub struct Amqp ("amqp")
    request {
        /// Class and method: `basic.publish`, `channel.open`.
        name: &'static str = "request.method", "amqp_method", Str;
        /// What the method is about: its exchange, queue or routing key.
        about: Text = "", "amqp_summary", Str;
    }
    response {}
    also {
        /// Whether a request was seen.
        "", "amqp_request", Bool, Entry => |r, _| r.sizes.has_request();
        /// Whether a response was seen.
        "", "amqp_response", Bool, Entry => |r, _| r.sizes.has_response();
        /// Bytes of the request.
        "", "amqp_request_length", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "amqp_response_length", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "amqp_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.about.get(x),
        method: r.name,
        status: ("", None),
        ok: true,
    }
}
