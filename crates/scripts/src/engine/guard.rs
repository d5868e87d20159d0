//! The time that a call may take: the script's own. What it waits for others is not counted, be it an upload or a
//! processor.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Bounds the time of a script's calls.
///
/// A look at the clock is what a call can afford. Only where that says that the time is over, the thread's time on a
/// processor decides: from then on it has the limit once more. So an endless loop ends after at most twice the limit,
/// and a call on a host that is busy with others is not taken for one.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    until: Cell<Option<Instant>>,
    limit: Cell<Duration>,
    /// What the thread had been on a processor when the clock said that the time was over.
    late: Cell<Option<Duration>>,
    over: Cell<bool>,
}

impl Guard {
    /// A call begins that may take so long.
    pub(crate) fn begin(&self, limit: Duration) {
        self.over.set(false);
        self.late.set(None);
        self.limit.set(limit);
        self.until.set(Instant::now().checked_add(limit));
    }

    /// The call ended.
    pub(crate) fn end(&self) {
        self.until.set(None);
    }

    /// Whether the time is over; what the engine asks while it runs.
    pub(crate) fn is_over(&self) -> bool {
        if self.until.get().is_none_or(|until| Instant::now() < until) {
            return false;
        }
        let over = match (on_processor(), self.late.get()) {
            (None, _) => true,
            (Some(now), None) => {
                self.late.set(Some(now));
                false
            }
            (Some(now), Some(late)) => now.saturating_sub(late) >= self.limit.get(),
        };
        if over {
            self.over.set(true);
        }
        over
    }

    /// Whether the last call was ended because its time was over.
    pub(crate) fn was_over(&self) -> bool {
        self.over.get()
    }

    /// The time that the last call had.
    pub(crate) fn limit(&self) -> Duration {
        self.limit.get()
    }

    /// Runs what the script waits for: the time is not its own.
    pub(crate) fn outside<T>(&self, wait: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let done = wait();
        if let Some(until) = self.until.get() {
            self.until.set(until.checked_add(since.elapsed()));
        }
        done
    }
}

/// What this thread has been on a processor (Documentation/scheduler/sched-stats.rst of Linux).
fn on_processor() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns = stat.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}
