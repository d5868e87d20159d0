//! Redis: commands and their replies in RESP. Nothing reads it yet.

mod record;

pub use record::Redis;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "redis",
    flags: &[("redis", "Redis: a command and its reply.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "redis",
    abbr: "REDIS",
    long_name: "Redis Serialization Protocol",
    macro_name: "redis",
    flags: &["redis"],
    background: "#a41e11",
    reference: "https://redis.io/docs/latest/develop/reference/protocol-spec/",
    ports: &["6379"],
    priority: 3,
    ..SHOWN
};
