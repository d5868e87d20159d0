//! Scripts.
mod clock;
mod console;
mod engine;
mod entry;
mod files;
mod helpers;
mod hooks;
mod host;
mod instance;
mod jobs;
mod limits;
mod local;
mod mailbox;
mod metrics;
mod script;
mod speech;
#[cfg(test)]
mod testing;
pub use clock::{Bell, Clock, ManualClock, SystemClock};
pub use console::{Console, Said};
pub use files::{EachFrame, NoStreams, Readback, RingStreams, StreamFiles, TappedStreams};
pub use helpers::{Cluster, NoCluster};
pub use hooks::{Hook, HookSet};
pub use host::Side;
pub use instance::State;
pub use limits::Limits;
pub use metrics::Metrics;

/// Bytes of a body or head that a script sees at most.
pub const KEEP: usize = 64 << 10;
