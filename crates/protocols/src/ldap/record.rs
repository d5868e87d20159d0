//! An operation and its result.

use crate::record::{Text, record};

record! {
    /// An operation and its result.
    pub struct Ldap ("ldap")
    request {
        /// The operation: `BindRequest`, `SearchRequest`.
        operation: &'static str = "request.type", "ldap_type", Str;
        /// What the operation is about: its name, base or filter.
        about: Text = "request.summary", "ldap_summary", Str;
    }
    response {}
    also {
        /// Whether a request was seen.
        "", "ldap_request", Bool, Entry => |r, _| r.sizes.has_request();
        /// Whether a response was seen.
        "", "ldap_response", Bool, Entry => |r, _| r.sizes.has_response();
        /// Bytes of the request.
        "", "ldap_request_length", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "ldap_response_length", Int, Entry => |r, _| r.sizes.response();
        /// Bytes of request and response.
        "", "ldap_total_size", Int, Entry => |r, _| r.sizes.total();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.about.get(x),
        method: r.operation,
        status: ("", None),
        ok: true,
    }
}
