//! WebSocket (RFC 6455): messages on a connection that HTTP handed over. Nothing reads it yet.

mod record;

pub use record::Ws;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "ws",
    flags: &[(
        "ws",
        "WebSocket: a message of the client, or one of the server.",
    )],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "ws",
    version: "13",
    abbr: "WS",
    long_name: "WebSocket",
    macro_name: "ws",
    flags: &["ws"],
    background: "#205cf5",
    reference: "https://www.rfc-editor.org/rfc/rfc6455",
    ports: &["80", "443"],
    ..SHOWN
};
