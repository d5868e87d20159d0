//! LDAP (RFC 4511): operations and their results. Nothing reads it yet.

mod record;

pub use record::Ldap;

use crate::Protocol;
use crate::record::SHOWN;
use gillnet_entry::ProtocolInfo;

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "ldap",
    flags: &[("ldap", "LDAP: an operation and its result.")],
    schema: &record::SCHEMA,
    infos: &[&INFO],
    dissection: None,
};

/// How it is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "ldap",
    version: "3",
    abbr: "LDAP",
    long_name: "Lightweight Directory Access Protocol",
    macro_name: "ldap",
    flags: &["ldap"],
    reference: "https://www.rfc-editor.org/rfc/rfc4511",
    ports: &["389"],
    ..SHOWN
};
