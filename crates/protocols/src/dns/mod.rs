//! DNS over UDP and TCP (RFC 1035, 7766), with EDNS (RFC 6891).
//!
//! A record holds references to the query's and the response's bytes alone; names, types and data are read from them
//! when a field is asked for.
//!
//! What looks like DNS and is not meant here: mDNS (RFC 6762) and LLMNR (RFC 4795) share the format, but are asked of
//! everyone on a link instead of a server. Neither ever desires recursion, which is what tells them from a client's
//! DNS on an unusual port; on port 53 the port's word is taken.

mod answers;
mod codes;
mod dissector;
mod identify;
mod rdata;
mod record;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod wire;

pub use answers::{answers, learn};

use crate::{Dissection, Protocol};
use gillnet_entry::Transport;

/// DNS.
pub static PROTOCOL: Protocol = Protocol {
    name: "dns",
    flags: &[("dns", "DNS: a query and its response.")],
    schema: &record::SCHEMA,
    infos: &[&record::INFO],
    dissection: Some(&DISSECTION),
};

static DISSECTION: Dissection = Dissection {
    transports: &[Transport::Udp, Transport::Tcp],
    ports: &[53],
    identify: identify::identify,
    open: dissector::open,
};
