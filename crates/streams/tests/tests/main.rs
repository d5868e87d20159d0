//! Tests of the three boxes on crafted packets, random streams and real captures.

mod build;
mod captures;
mod decode;
mod flood;
mod flows;
mod random;
mod rig;
mod tcp;
