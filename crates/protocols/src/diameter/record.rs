//! A request and its answer.

use crate::record::{Text, record};

record! {
    /// A request and its answer.
    pub struct Diameter ("diameter")
    request {
        /// Name of the command: `Capabilities-Exchange`.
        command: &'static str = "request.method", "diameter_method", Str;
        /// What the request is about: its session, or its host.
        about: Text = "request.summary", "diameter_summary", Str;
    }
    response {}
    also {
        /// Whether a request was seen.
        "", "diameter_request", Bool, Entry => |r, _| r.sizes.has_request();
        /// Whether a response was seen.
        "", "diameter_response", Bool, Entry => |r, _| r.sizes.has_response();
        /// Bytes of the request.
        "", "diameter_request_length", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "diameter_response_length", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "diameter_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.about.get(x),
        method: r.command,
        status: ("", None),
        ok: true,
    }
}
