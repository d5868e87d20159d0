//! Dissectors: one folder a protocol, one line of [`REGISTRY`] each.
//!
//! A dissector is a state machine fed with bytes that have no hole. It does no I/O and knows no clock, thread or
//! filter; it pairs its own messages and emits entries.

#[cfg(test)]
mod _template;
mod dissect;
pub mod dns;
mod http1;
mod pairing;
mod stream;
#[cfg(test)]
mod testing;

use gillnet_entry::Schema;

pub use dissect::{
    AfterGap, Dissector, Emit, EntrySink, Feed, Limits, Protocol, Skipped, Start, Step, Verdict,
    Why,
};
pub use pairing::{ById, InOrder, Popped};
pub use stream::{Config, Stream};

/// All protocols, in the order in which they are asked to identify a stream; an entry's `protocol` is the index here.
pub static REGISTRY: &[&Protocol] = &[&http1::PROTOCOL, &dns::PROTOCOL];

/// The index in [`REGISTRY`] of the protocol of this name.
pub fn index(name: &str) -> Option<u8> {
    let at = REGISTRY.iter().position(|p| p.name == name)?;
    u8::try_from(at).ok()
}

/// A protocol's name, field table and KFL flags.
pub type Speech = (&'static str, &'static Schema, &'static [&'static str]);

/// What filters may speak of: each protocol of [`REGISTRY`], in its order.
pub fn env() -> Vec<Speech> {
    REGISTRY
        .iter()
        .map(|p| (p.name, p.schema, p.flags))
        .collect()
}
