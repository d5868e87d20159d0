//! Dissectors: one folder a protocol, one line of [`REGISTRY`] each.
//!
//! A protocol that is declared without a dissector has its fields and flags all the same, so that filters may speak of it.
//! A dissector is a state machine fed with bytes that have no hole. It does no I/O and knows no clock, thread or
//! filter; it pairs its own messages and emits entries.

#[cfg(test)]
mod _template;
pub mod amqp;
mod ascii;
pub mod conn;
pub mod diameter;
mod dissect;
pub mod dns;
pub mod flow;
mod gql;
mod grpc;
pub mod http1;
mod http2;
pub mod icmp;
pub mod kafka;
pub mod ldap;
pub mod mongodb;
pub mod mysql;
mod pairing;
pub mod postgresql;
pub mod radius;
mod record;
pub mod redis;
pub mod sctp;
mod stream;
pub mod tcp;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod udp;
pub mod ws;

use gillnet_entry::{Schema, Transport};
use std::sync::LazyLock;

pub use dissect::{
    AfterGap, Dissection, Dissector, Emit, EntrySink, Feed, Flags, Limits, Protocol, Skipped,
    Start, Step, Verdict, Why,
};
pub use pairing::{ById, InOrder, Popped};
pub use record::{Raw, Sizes, Text};
pub use stream::{Config, Stream};

/// All protocols; an entry's `protocol` is the index here. Those with a dissector are asked in this order to identify a
/// stream.
pub static REGISTRY: &[&Protocol] = &[
    &http1::PROTOCOL,
    &dns::PROTOCOL,
    // declared, not read yet
    &http2::PROTOCOL,
    &ws::PROTOCOL,
    &redis::PROTOCOL,
    &kafka::PROTOCOL,
    &amqp::PROTOCOL,
    &mongodb::PROTOCOL,
    &mysql::PROTOCOL,
    &postgresql::PROTOCOL,
    &ldap::PROTOCOL,
    &radius::PROTOCOL,
    &diameter::PROTOCOL,
    &tls::PROTOCOL,
    &tcp::PROTOCOL,
    &udp::PROTOCOL,
    &sctp::PROTOCOL,
    &icmp::PROTOCOL,
    &conn::PROTOCOL,
    &flow::PROTOCOL,
];

/// An entry's `protocol` is one of 64 bits in the sets that filters and streams keep.
const _: () = assert!(REGISTRY.len() <= 64);

/// The index in [`REGISTRY`] of the protocol of this name.
pub fn index(name: &str) -> Option<u8> {
    let at = REGISTRY.iter().position(|p| p.name == name)?;
    u8::try_from(at).ok()
}

/// The index in [`REGISTRY`] of the protocol with this field table.
pub fn index_of(schema: &'static Schema) -> Option<u8> {
    // side by side, as every entry asks
    static SCHEMAS: [&Schema; REGISTRY.len()] = {
        let mut schemas = [REGISTRY[0].schema; REGISTRY.len()];
        let mut at = 0;
        while at < schemas.len() {
            schemas[at] = REGISTRY[at].schema;
            at += 1;
        }
        schemas
    };
    let at = SCHEMAS
        .iter()
        .position(|known| std::ptr::eq(*known, schema))?;
    u8::try_from(at).ok()
}

/// The protocols that are read from streams of a transport, a bit for each of [`REGISTRY`].
pub fn on(transport: Transport) -> u64 {
    static ON: LazyLock<[u64; 2]> = LazyLock::new(|| {
        [Transport::Tcp, Transport::Udp].map(|transport| {
            let there = (0..64).zip(REGISTRY).filter(|(_, p)| p.runs_on(transport));
            there.fold(0, |bits, (protocol, _)| bits | 1 << protocol)
        })
    });
    match transport {
        Transport::Tcp => ON[0],
        Transport::Udp => ON[1],
    }
}

/// A protocol's name, field table and KFL flags.
pub type Speech = (&'static str, &'static Schema, Flags);

/// What filters may speak of: each protocol of [`REGISTRY`], in its order.
pub fn env() -> Vec<Speech> {
    REGISTRY
        .iter()
        .map(|p| (p.name, p.schema, p.flags))
        .collect()
}
