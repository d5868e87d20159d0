//! Where streams have their numbers from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Gives a stream's number, and the time since when its recording is whole, where something before is missing.
pub type Number = Box<dyn FnMut() -> (u64, Option<i64>) + Send>;

/// Where streams have their numbers from.
pub enum Numbers {
    /// Each that opens is given the next.
    Given(Number),
    /// A frame comes with that of its stream: it is what frames were told apart by when they were recorded.
    WithFrames(FrameNumber),
}

impl Numbers {
    /// What a stream has that opens now, as [`Number`] gives it.
    pub fn give(&mut self) -> (u64, Option<i64>) {
        match self {
            Self::Given(number) => number(),
            Self::WithFrames(of) => (of.stream(), of.since()),
        }
    }
}

/// Whose frame it is that a shard takes next. Who hands frames over and the shard share it.
#[derive(Clone, Debug, Default)]
pub struct FrameNumber(Arc<(AtomicU64, AtomicI64)>);

/// In place of a time: there is none.
const NEVER: i64 = i64::MIN;

impl FrameNumber {
    /// The next frame is of this stream; `since`: when its recording begins (nanoseconds since the Unix epoch), where
    /// something before is missing.
    pub fn tell(&self, stream: u64, since: Option<i64>) {
        self.0.0.store(stream, Relaxed);
        self.0.1.store(since.unwrap_or(NEVER), Relaxed);
    }

    pub(crate) fn stream(&self) -> u64 {
        self.0.0.load(Relaxed)
    }

    fn since(&self) -> Option<i64> {
        Some(self.0.1.load(Relaxed)).filter(|since| *since != NEVER)
    }
}
