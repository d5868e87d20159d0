//! The recorder: what matching streams are made of goes to a spool on the node, is sealed into
//! objects, and uploaded.
//!
//! ```text
//! shard ─ Handle ═ bounded queue ═► Writer ─► active logs ─► sealing ─► objects ─► Uploader ─► bucket
//! ```
//!
//! Three parts, each driven step by step by a thread of [`Recorder`], or by a simulation: the
//! [`Writer`] appends frames to one log a rule and hour, the [`Spool`] seals logs and knows how far
//! each object is, an [`Uploader`] a destination puts them. They reach time, files and buckets
//! through [`Clock`], [`Fs`] and [`Bucket`] alone. A [`Batch`] drives the same parts for captures that are recorded
//! afterwards, by the steps of [`BatchSteps`].

mod at_work;
mod batch;
mod clock;
mod cut;
mod dissect;
mod encrypt;
mod fs;
mod period;
mod queue;
pub mod raw;
mod record;
mod recorder;
mod retention;
mod rule;
mod spool;
mod status;
mod tee;
mod upload;
mod writer;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gillnet_bucket::layout::PacketFormat;
use gillnet_bucket::{Bucket, BucketError};

pub use batch::{Batch, BatchError, BatchSteps, Pump};
pub use clock::{Clock, SystemClock};
pub use dissect::Dissection;
pub use fs::{Disk, File, Fs, View};
pub use period::{DAY, Period, Phase, Window};
pub use queue::Handle;
pub use record::{Frame, LostBefore, RecordedName, StreamStart};
pub use recorder::{Left, Recorder};
pub use retention::Retention;
pub use rule::{MAX_RULES, Rule, RuleId, Schedule, ScheduleError};
pub use spool::{Sealing, Spool};
pub use status::{Fault, RuleCounters, RuleState, RuleStatus, Status};
pub use tee::Tee;
pub use upload::{Step, Uploader};
pub use writer::Writer;

/// How to record. Defaults are for a worker of one core and 512 MiB.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// The data directory; the spool is a folder in it.
    pub data_dir: PathBuf,
    /// Name of the cluster, or its id.
    pub cluster: String,
    /// Name of the node.
    pub node: String,
    /// 64 random bits of this process.
    pub run: u64,
    /// How many shards hand frames in.
    pub shards: usize,
    /// Bytes of frames that may wait for the disk, over all shards.
    pub queue_bytes: usize,
    /// What packets are written as. [`PacketFormat::Pcap`] needs [`Deps::dissection`].
    pub format: PacketFormat,
    /// An object is sealed at this many bytes of packets.
    pub object_size: u64,
    /// The most bytes in the spool.
    pub spool_limit: u64,
    /// Uploads begin within this time after sealing, so that nodes don't come all at once; at most
    /// a twentieth of a rule's flush period.
    pub upload_spread: Duration,
    /// What is handed in comes from captures that are read again after a crash: logs are then made anew, and those that
    /// were sealed are passed over. One hour is open at a time, so that logs have the order of the frames.
    pub replayable: bool,
}

impl RecorderConfig {
    /// The defaults.
    #[must_use]
    pub fn new(data_dir: PathBuf, cluster: String, node: String, run: u64) -> Self {
        Self {
            data_dir,
            cluster,
            node,
            run,
            shards: 1,
            queue_bytes: 64 << 20,
            format: PacketFormat::default(),
            object_size: 32 << 20,
            spool_limit: 1 << 30,
            upload_spread: Duration::from_secs(5),
            replayable: false,
        }
    }

    fn spread(&self) -> u64 {
        u64::try_from(self.upload_spread.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Opens buckets.
pub trait Buckets: Send + Sync {
    /// The bucket of a destination's URL. May block.
    ///
    /// # Errors
    /// What is wrong with the URL or the credentials; tried again later.
    fn open(&self, destination: &str) -> Result<Arc<dyn Bucket>, BucketError>;
}

/// Writes `name_resolution_history.json`.
pub trait NameHistory: Send + Sync {
    /// What these ends meant between two times (nanoseconds since the Unix epoch). `recorded` is
    /// what was told by [`Handle::name`], also by a process that is gone. Where it is empty, no
    /// such object is made.
    fn history(
        &self,
        ends: &[(IpAddr, u16)],
        recorded: &[RecordedName],
        from: i64,
        to: i64,
    ) -> Vec<u8>;
}

/// What the recorder reaches the world through.
#[derive(Clone)]
pub struct Deps {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub fs: Arc<dyn Fs>,
    /// Buckets.
    pub buckets: Arc<dyn Buckets>,
    /// What addresses meant.
    pub names: Arc<dyn NameHistory>,
    /// What the entries of an object's index are read with; it gets none without.
    pub dissection: Option<Dissection>,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// Why recording can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder or file of the spool can't be made or read.
    #[error(
        "{path}: the spool can't be used: {source}; give another dataDir, or its owner the right to write there"
    )]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the spool.
    #[error("{path}: another gillnet records there; stop it, or give another dataDir")]
    InUse {
        /// The spool.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("{path}: no room for a spool: {mib} MiB are kept free there for sealing ({source}); free space, give another dataDir, or make recording.objectSize smaller", mib = bytes >> 20)]
    NoSpace {
        /// The spool.
        path: PathBuf,
        /// Bytes wanted.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Too many rules.
    #[error("{count} recording rules are too many; there can be {MAX_RULES}")]
    TooManyRules {
        /// How many there are.
        count: usize,
    },
    /// A rule without a name, or with another's.
    #[error("recording rule {name:?}: each needs a name of its own")]
    RuleName {
        /// The name.
        name: String,
    },
    /// A thread can't be started.
    #[error("a thread of the recorder can't be started: {0}")]
    Thread(io::Error),
}
