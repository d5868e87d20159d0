//! Its record is HTTP's ([`crate::http1::Http`]): an exchange means the same in each version (RFC 9110).

use crate::http1::{HTTP, SHOWN};
use gillnet_entry::{ProtocolInfo, Schema};

/// The fields of HTTP.
pub(crate) static SCHEMA: Schema = Schema {
    name: "http2",
    fields: HTTP.fields,
    shown: HTTP.shown,
};

/// How HTTP/2 is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    flags: &["http", "http2"],
    abbr: "HTTP/2",
    macro_name: "http2",
    ..SHOWN_2
};

/// What is shown of all that is spoken on HTTP/2.
pub(crate) const SHOWN_2: ProtocolInfo = ProtocolInfo {
    version: "2.0",
    background: "#244c5a",
    reference: "https://www.rfc-editor.org/rfc/rfc9113",
    ..SHOWN
};
