//! Diameter (RFC 6733): requests and their answers. Nothing reads it yet.

mod record;

pub use record::Diameter;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "diameter",
    flags: &[("diameter", "Diameter: a request and its answer.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "diameter",
    version: "1",
    abbr: "DIAMETER",
    long_name: "Diameter Base Protocol",
    macro_name: "diameter",
    flags: &["diameter"],
    reference: "https://www.rfc-editor.org/rfc/rfc6733",
    ports: &["3868"],
    ..SHOWN
};
