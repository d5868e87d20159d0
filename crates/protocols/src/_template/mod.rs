//! A protocol to copy: a made-up store that is asked for values by name over TCP.
//!
//! ```text
//! client: GET colour\r\n        server: +red\r\n
//! client: SET colour green\r\n  server: +OK\r\n
//! client: GET size\r\n          server: -no such name\r\n
//! ```
//!
//! Adding a protocol is:
//!
//! 1. Copy this folder under the protocol's name and add `mod <name>;` to `lib.rs`. A protocol that is declared there
//!    already has its folder, with a record to go on from (see `crate::record`).
//! 2. [`identify`]: say from the first bytes of either direction whether it is the protocol; be strict, as all
//!    streams that nobody else knows come here. Ports are only a help.
//! 3. `record.rs`: hold references to the bytes, and write the table of fields. JSON, KFL, completion and the
//!    reference page come from the table; nothing else has to be told.
//! 4. `dissector.rs`: cut the stream into messages, pair them through `InOrder` or `ById`, emit entries.
//! 5. Put captures into `fixtures/` with a README that names source and licence, and tests into `tests.rs`.
//! 6. Add the protocol to `REGISTRY` in `lib.rs`, or move its line there, to its place in the order of identification.

mod dissector;
mod record;
#[cfg(test)]
mod tests;

use crate::{Dissection, Protocol, Verdict};
use gillnet_entry::Transport;

/// The line for the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "template",
    flags: &[("template", "A request of the store and its answer.")],
    schema: &record::SCHEMA,
    infos: &[&record::INFO],
    dissection: Some(&DISSECTION),
};

static DISSECTION: Dissection = Dissection {
    transports: &[Transport::Tcp],
    ports: &[7070],
    identify,
    open: |_| Box::<dissector::Template>::default(),
};

/// A client's first line begins with a verb. A server's may be anything behind its sign, so that only the port tells.
fn identify(first: &[u8], _: Transport, port_hint: bool) -> Verdict {
    let verbs: [&[u8]; 2] = [b"GET ", b"SET "];
    if verbs.iter().any(|verb| first.starts_with(verb)) {
        // HTTP has a GET too: a whole line is needed to tell them apart
        return match record::line(first) {
            Some(line) if line.windows(6).any(|word| word == b" HTTP/") => Verdict::No,
            Some(_) => Verdict::Yes,
            None => Verdict::More,
        };
    }
    if verbs.iter().any(|verb| verb.starts_with(first)) {
        return Verdict::More;
    }
    if port_hint && matches!(first.first(), Some(b'+' | b'-')) {
        Verdict::Yes
    } else {
        Verdict::No
    }
}
