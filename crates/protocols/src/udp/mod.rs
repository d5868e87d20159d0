//! UDP (RFC 768): datagrams that no dissector takes. Nothing makes them yet.

mod record;

pub use record::Udp;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "udp",
    flags: &[("udp", "UDP alone: datagrams that are of no other protocol.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "udp",
    abbr: "UDP",
    long_name: "User Datagram Protocol",
    macro_name: "udp",
    flags: &["udp"],
    reference: "https://www.rfc-editor.org/rfc/rfc768",
    layer4: "udp",
    ..SHOWN
};
