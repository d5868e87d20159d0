//! Flows: what all connections between two peers sent, with its rate. Nothing makes them yet.

mod record;

pub use record::Flow;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "flow",
    flags: &[
        (
            "flow",
            "A flow: all connections between two peers, with their rate.",
        ),
        ("tcp_flow", "A flow of TCP."),
        ("udp_flow", "A flow of UDP."),
    ],
    schema: &record::SCHEMA,
    infos: &[&TCP, &UDP],
    dissection: None,
};

/// How it is shown.
pub(crate) static TCP: ProtocolInfo = ProtocolInfo {
    name: "tcp-flow",
    abbr: "TCP-FLOW",
    long_name: "TCP Flow",
    macro_name: "tcp_flow",
    flags: &["flow", "tcp_flow"],
    layer4: "tcp",
    ..SHOWN
};

/// How it is shown.
pub(crate) static UDP: ProtocolInfo = ProtocolInfo {
    name: "udp-flow",
    abbr: "UDP-FLOW",
    long_name: "UDP Flow",
    macro_name: "udp_flow",
    flags: &["flow", "udp_flow"],
    layer4: "udp",
    ..SHOWN
};
