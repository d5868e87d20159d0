//! TCP (RFC 9293): segments of streams that no dissector takes, and connections that failed. Nothing makes them yet.

mod record;

pub use record::Tcp;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "tcp",
    flags: &[(
        "tcp",
        "TCP alone: bytes that are of no other protocol, and connections that failed.",
    )],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "tcp",
    abbr: "TCP",
    long_name: "Transmission Control Protocol",
    macro_name: "tcp",
    flags: &["tcp"],
    reference: "https://www.rfc-editor.org/rfc/rfc9293",
    ..SHOWN
};
