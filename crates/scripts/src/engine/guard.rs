//! The time that a call may take: the script's own; what it waits for others is not counted.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Bounds the time of a script's calls.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    until: Cell<Option<Instant>>,
    limit: Cell<Duration>,
    over: Cell<bool>,
}

impl Guard {
    /// A call begins that may take so long.
    pub(crate) fn begin(&self, limit: Duration) {
        self.over.set(false);
        self.limit.set(limit);
        self.until.set(Instant::now().checked_add(limit));
    }

    /// The call ended.
    pub(crate) fn end(&self) {
        self.until.set(None);
    }

    /// Whether the time is over; what the engine asks while it runs.
    pub(crate) fn is_over(&self) -> bool {
        let over = self
            .until
            .get()
            .is_some_and(|until| Instant::now() >= until);
        if over {
            self.over.set(true);
        }
        over
    }

    /// Whether the last call was ended because its time was over.
    pub(crate) fn was_over(&self) -> bool {
        self.over.get() || self.is_over()
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
