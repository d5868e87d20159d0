//! Tests of the three boxes on crafted packets, random streams and real captures.

#![expect(
    clippy::unwrap_used,
    reason = "what is missing here is a test that fails"
)]

mod build;
mod captures;
mod decode;
mod flood;
mod flows;
mod random;
mod rig;
mod tcp;
