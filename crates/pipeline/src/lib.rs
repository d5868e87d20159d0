//! One shard's loop: frames in, entries out.
//!
//! [`run`] drives a source through decode, flow table, ring, reassembly, dissector and filters; live, offline and
//! replayed traffic take the same road. What is wanted is the [`Plan`]; who takes what comes out are a
//! [`Consumer`] of entries and a [`StreamRecorder`] of whole streams.

mod clock;
mod counters;
mod found;
mod numbers;
mod outlet;
mod plan;
mod run;
mod shard;
mod sink;

pub use counters::{Board, Counters};
pub use numbers::{FrameNumber, Number, Numbers};
pub use plan::{Plan, Want};
pub use run::{Control, Ended, run};
pub use shard::{Keep, OwnCheck, Shard, ShardConfig};
pub use sink::{Consumer, FrameSink, FrameTap, Matched, PacketSeen, StreamRecorder, StreamStart};
