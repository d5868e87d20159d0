//! A message.

use crate::record::record;

record! {
    /// A message.
    pub struct Icmp ("icmp")
    data {
        /// Type of the message: `EchoRequest`, `DestinationUnreachable`.
        kind: &'static str = "data.type", "icmp_type", Str;
        /// Version of IP that it goes with: 4 or 6.
        version: u8 = "data.version", "icmp_version", Int;
        /// Bytes of the message.
        length: u16 = "data.length", "icmp_length", Int;
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.kind,
        method: r.kind,
        status: ("", None),
        ok: true,
    }
}
