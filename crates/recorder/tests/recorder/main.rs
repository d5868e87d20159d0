//! The recorder, driven from outside: by seeds in a simulated world, and with a real disk.

#![expect(
    clippy::unwrap_used,
    reason = "what is missing here is a test that fails"
)]

mod compaction;
mod damage;
mod dissected;
mod front;
mod http;
mod index;
mod indexing;
mod object;
mod real;
mod simulation;
mod steps;
mod world;
