//! MongoDB: commands of its wire protocol and their replies. Nothing reads it yet.

mod record;

pub use record::Mongodb;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "mongodb",
    flags: &[("mongodb", "MongoDB: a command and its reply.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "mongodb",
    abbr: "MONGODB",
    long_name: "MongoDB Wire Protocol",
    macro_name: "mongodb",
    flags: &["mongodb"],
    background: "#00684a",
    reference: "https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/",
    ports: &["27017"],
    ..SHOWN
};
