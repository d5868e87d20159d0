//! TLS (RFC 8446): handshakes that are not decrypted. Nothing reads them yet.
//!
//! The flag `tls` is another thing: bytes that were taken outside encryption. Handshakes have the flag `tlsx`.

mod record;

pub use record::Tls;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "tlsx",
    flags: &[(
        "tlsx",
        "TLS: a handshake that is seen from outside; what was taken outside encryption has `tls`.",
    )],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "tls",
    version: "1.3",
    abbr: "TLS",
    long_name: "Transport Layer Security",
    macro_name: "tlsx",
    flags: &["tlsx"],
    background: "#3f3f74",
    reference: "https://www.rfc-editor.org/rfc/rfc8446",
    ports: &["443"],
    ..SHOWN
};
