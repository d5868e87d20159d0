//! Kafka: requests and responses of its wire protocol. Nothing reads it yet.

mod record;

pub use record::Kafka;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "kafka",
    flags: &[("kafka", "Kafka: a request and its response.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "kafka",
    version: "12",
    abbr: "KAFKA",
    long_name: "Apache Kafka Protocol",
    macro_name: "kafka",
    flags: &["kafka"],
    background: "#000000",
    reference: "https://kafka.apache.org/protocol",
    ports: &["9092"],
    priority: 2,
    ..SHOWN
};
