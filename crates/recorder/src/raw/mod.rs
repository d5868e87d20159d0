//! Raw capture: a disk ring of every frame, wanted or not, for those who ask afterwards.
//!
//! ```text
//! raw/<number>.pcapng     a segment: a section, its interfaces, frames as they came
//! raw/<number>.json       its mark: since when and until when it is whole, what it holds, what was lost
//! raw/held/<reader>/      links to the segments that a reader is at
//! ```
//!
//! ```text
//! shard ─ RawHandle ═ bounded queue of batches ═► thread ─► newest segment        oldest segments ─► deleted
//! ```
//!
//! The shard never waits: frames that find the queue full are counted. A batch is written at once; what a crash tears is
//! cut off at the next start, and counted. Readers are other processes ([`hold`]): they link the segments that they
//! want, so that what is deleted meanwhile stays until they are done.

mod mark;
mod sink;
mod window;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use mark::Lost;
pub use sink::RawHandle;
pub use window::{Held, Missing, Why, hold};
pub use writer::{RawRing, RawStatus};

/// The least a ring may hold: four segments of a size that is worth a file.
pub const MIN_SIZE: u64 = 16 << 20;

/// How everything is kept.
#[derive(Clone, Debug)]
pub struct RawConfig {
    /// The data directory; the ring is a folder in it.
    pub data_dir: PathBuf,
    /// The most bytes on the disk, at least [`MIN_SIZE`].
    pub size: u64,
    /// Older frames go, however little there is.
    pub age: Option<Duration>,
    /// Bytes of frames that may wait for the disk.
    pub queue_bytes: usize,
    /// Name of the node.
    pub node: String,
    /// 64 random bits of this process.
    pub run: u64,
}

/// What is wrong with a ring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// A file or folder can't be used.
    #[error("{path}: raw capture can't use it: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It may hold too little.
    #[error("capture.raw.size: {size} bytes are too few; give at least 16Mi")]
    Size {
        /// What was given.
        size: u64,
    },
    /// There is no ring.
    #[error(
        "{path}: nothing is captured raw there; set capture.raw.enabled in the worker's configuration, or name its dataDir"
    )]
    NoRing {
        /// Where it would be.
        path: PathBuf,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RawError {
    let path = path.to_owned();
    move |source| RawError::File { path, source }
}

/// The folder of the ring.
fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("raw")
}
