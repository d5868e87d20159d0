//! SCTP (RFC 9260): chunks. Nothing makes them yet.

mod record;

pub use record::Sctp;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "sctp",
    flags: &[("sctp", "SCTP: a chunk.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "sctp",
    abbr: "SCTP",
    long_name: "Stream Control Transmission Protocol",
    macro_name: "sctp",
    flags: &["sctp"],
    reference: "https://www.rfc-editor.org/rfc/rfc9260",
    layer4: "sctp",
    ..SHOWN
};
