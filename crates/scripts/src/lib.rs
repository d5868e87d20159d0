//! Scripts in JavaScript: Kubeshark's own run unchanged, and new ones may use all of ES2023.
//!
//! ```text
//! shard ─ Sink ═ bounded queue a script ═► its thread: interpreter, hooks, jobs, timers ─► files, vendors, console
//! ```
//!
//! Each script has a thread, an interpreter and a queue of its own: what it does can't hold up capture or another
//! script, and what it may take is limited ([`Limits`]). [`Scripts::start`] loads what the store has ([`Sources`]);
//! [`Scripts::demand`] says what capture is to give, [`Scripts::sink`] takes it. What scripts reach of the process is
//! in [`Doors`]. The reference of helpers and hooks is docs/scripts.md, with types `gillnet.d.ts` ([`TYPES`]).

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
mod logs;
mod mailbox;
mod metrics;
mod rehearsal;
mod review;
mod script;
mod scripts;
mod sink;
mod solo;
mod speech;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod vendor;

pub use clock::{Bell, Clock, ManualClock, SystemClock};
pub use console::{Console, Said};
pub use files::{EachFrame, NoStreams, Readback, RingStreams, StreamFiles, TappedStreams};
pub use helpers::{Cluster, NoCluster};
pub use hooks::{Hook, HookSet};
pub use host::Side;
pub use instance::State;
pub use limits::{LimitError, Limits};
pub use logs::LogLayer;
pub use metrics::Metrics;
pub use rehearsal::{Rehearsal, RehearsalError, Report};
pub use review::review;
pub use scripts::{
    Config, Demand, Doors, Error, JobStatus, OnDemand, RunStatus, ScriptStatus, Scripts,
    StreamCounts, SyntaxError, check,
};
pub use sink::{Pressure, Sink};
pub use solo::Solo;
pub use store::{Sources, StoreError};

/// Bytes of a body or head that a script sees at most.
pub const KEEP: usize = 64 << 10;

/// TypeScript declarations of all helpers and hooks.
pub const TYPES: &str = include_str!("../gillnet.d.ts");
