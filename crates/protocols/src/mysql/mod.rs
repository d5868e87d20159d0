//! MySQL: commands of its client/server protocol and their responses. Nothing reads it yet.

mod record;

pub use record::Mysql;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "mysql",
    flags: &[("mysql", "MySQL: a command and its response.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "mysql",
    version: "10",
    abbr: "MYSQL",
    long_name: "MySQL Client/Server Protocol",
    macro_name: "mysql",
    flags: &["mysql"],
    background: "#00758f",
    reference: "https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html",
    ports: &["3306"],
    ..SHOWN
};
