//! A request and its answer.

use crate::record::{Text, record};

record! {
    /// A request and its answer.
    pub struct Radius ("radius")
    request {
        /// Code of the request: 1 for Access-Request.
        code: u8 = "request.code", "radius_code", Int;
        /// Name of the code: `Access-Request`.
        code_name: &'static str = "request.codeName", "radius_code_name", Str;
        /// Authenticator of the request, 16 bytes in hex.
        authenticator: Text = "request.authenticator", "radius_request_authenticator", Str;
    }
    response {}
    also {
        /// Whether a request was seen.
        "", "radius_request", Bool, Entry => |r, _| r.sizes.has_request();
        /// Whether a response was seen.
        "", "radius_response", Bool, Entry => |r, _| r.sizes.has_response();
        /// Bytes of the request.
        "", "radius_request_length", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "radius_response_length", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "radius_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.code_name,
        method: r.code_name,
        status: ("", None),
        ok: true,
    }
}
