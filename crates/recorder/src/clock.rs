//! Time, as the recorder asks for it.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in an hour.
pub(crate) const HOUR: i64 = 3600 * SECOND as i64;

/// Two clocks: one of the calendar, which may be set, and one that only runs.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch. May jump both ways.
    fn now(&self) -> i64;
    /// Nanoseconds since some moment; never goes back.
    fn monotonic(&self) -> u64;
    /// Waits so many nanoseconds.
    fn rest(&self, time: u64);
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        }
    }

    fn monotonic(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn rest(&self, time: u64) {
        thread::sleep(Duration::from_nanos(time));
    }
}
