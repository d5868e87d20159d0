//! Drives any box of the pipeline on a capture and shows what crosses it as lines; for tests only.
//!
//! ```no_run
//! gillnet_testkit::pcap("fixtures/one_exchange.pcap").streams().check(
//!     "0 > 0+231
//!      0 < 0+227
//!      0 closed End 10.33.0.31:61959 120.52.183.165:80",
//! );
//! ```
//!
//! [`emulators`] are those of buckets. [`Packets`] are the packets of a capture to be cut, swapped, doubled and lost on their way to the same boxes.
//!
//! Everything here panics where it fails: a test that cannot be driven has failed. It is used from the `tests/` of
//! crates only: their unit tests would meet a second build of the types.

mod boxes;
pub mod emulators;
mod packets;

pub use boxes::{Exchange, Lines, Outcome, Pcap, pcap};
pub use packets::{Packet, Packets};
