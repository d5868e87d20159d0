//! A handshake: what the client offers and the server chooses.

use crate::record::{Text, record};

record! {
    /// A handshake, as far as it is not encrypted.
    pub struct Tls ("tlsx")
    request {
        /// What the handshake is for: the server's name, as the client asks for it.
        summary: Text = "request.summary", "tls_summary", Str;
    }
    response {
        /// What was agreed on: version, cipher suite, ALPN.
        info: Text = "response.info", "tls_info", Str;
    }
    also {
        /// Bytes of the request.
        "", "tls_request_size", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "tls_response_size", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "tls_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.summary.get(x),
        method: "",
        status: ("", None),
        ok: true,
    }
}
