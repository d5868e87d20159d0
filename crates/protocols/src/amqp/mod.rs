//! AMQP 0-9-1: methods and their answers. Nothing reads it yet.

mod record;

pub use record::Amqp;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "amqp",
    flags: &[("amqp", "AMQP 0-9-1: a method and its answer.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "amqp",
    version: "0-9-1",
    abbr: "AMQP",
    long_name: "Advanced Message Queuing Protocol 0-9-1",
    macro_name: "amqp",
    flags: &["amqp"],
    background: "#ff6600",
    reference: "https://www.rabbitmq.com/amqp-0-9-1-reference.html",
    ports: &["5671", "5672"],
    priority: 1,
    ..SHOWN
};
