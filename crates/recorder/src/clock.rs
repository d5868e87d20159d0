//! Time, as the recorder asks for it.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gillnet_capture::turns::Waiting;

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
    /// Waits so many nanoseconds, where others could do with the time.
    fn rest(&self, time: u64);
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    since: Instant,
    others: Waiting,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            others: Waiting::on_this_host(),
        }
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
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn rest(&self, time: u64) {
        if self.others.some() {
            thread::sleep(Duration::from_nanos(time));
        }
    }
}
