//! PostgreSQL: messages of its frontend/backend protocol. Nothing reads it yet.

mod record;

pub use record::Postgresql;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "postgresql",
    flags: &[("postgresql", "PostgreSQL: a statement and its outcome.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "postgresql",
    version: "3",
    abbr: "POSTGRESQL",
    long_name: "PostgreSQL Frontend/Backend Protocol",
    macro_name: "postgresql",
    flags: &["postgresql"],
    background: "#336791",
    reference: "https://www.postgresql.org/docs/current/protocol.html",
    ports: &["5432"],
    ..SHOWN
};
