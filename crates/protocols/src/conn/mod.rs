//! Connections: what both ends sent from its first to its last packet. Nothing makes them yet.

mod record;

pub use record::{Conn, Count, State};

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "conn",
    flags: &[
        ("conn", "A connection, from its first to its last packet."),
        ("tcp_conn", "A connection of TCP."),
        ("udp_conn", "Datagrams between two ports."),
    ],
    schema: &record::SCHEMA,
    infos: &[&TCP, &UDP],
    dissection: None,
};

/// How it is shown.
pub(crate) static TCP: ProtocolInfo = ProtocolInfo {
    name: "tcp-conn",
    abbr: "TCP-CONN",
    long_name: "TCP Connection",
    macro_name: "tcp_conn",
    flags: &["conn", "tcp_conn"],
    layer4: "tcp",
    ..SHOWN
};

/// How it is shown.
pub(crate) static UDP: ProtocolInfo = ProtocolInfo {
    name: "udp-conn",
    abbr: "UDP-CONN",
    long_name: "UDP Connection",
    macro_name: "udp_conn",
    flags: &["conn", "udp_conn"],
    layer4: "udp",
    ..SHOWN
};
