//! ICMP (RFC 792, RFC 4443): messages. Nothing makes them yet.

mod record;

pub use record::Icmp;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "icmp",
    flags: &[("icmp", "ICMP and ICMPv6: a message.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "icmp",
    abbr: "ICMP",
    long_name: "Internet Control Message Protocol",
    macro_name: "icmp",
    flags: &["icmp"],
    reference: "https://www.rfc-editor.org/rfc/rfc792",
    layer4: "icmp",
    ..SHOWN
};
