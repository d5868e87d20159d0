//! Time, so that tests drive it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

/// What jobs, timers and names of files take the time from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, in ns since the epoch.
    fn now(&self) -> i64;

    /// How long to wait in real time for a moment to come; `None` where only [`Bell`]s tell.
    fn wait(&self, until: i64) -> Option<Duration>;

    /// A bell that is to ring when the time was set.
    fn ring(&self, bell: Weak<Bell>);

    /// What scripts' `Date` says, in ns since the epoch, where it is not the system's time.
    fn date(&self) -> Option<i64> {
        None
    }
}

/// The system's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The clock may be set: a moment is looked for at least this often.
const LOOK: Duration = Duration::from_millis(250);

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
        })
    }

    fn wait(&self, until: i64) -> Option<Duration> {
        let left = u64::try_from(until.saturating_sub(self.now())).unwrap_or(0);
        Some(Duration::from_nanos(left).min(LOOK))
    }

    fn ring(&self, _: Weak<Bell>) {}
}

/// A time that moves only when it is set.
#[derive(Debug)]
pub struct ManualClock(Mutex<Manual>);

#[derive(Debug)]
struct Manual {
    now: i64,
    /// When it was set.
    since: Instant,
    bells: Vec<Weak<Bell>>,
}

impl ManualClock {
    /// A clock that stands at a moment, in ns since the epoch.
    pub fn at(now: i64) -> Arc<ManualClock> {
        Arc::new(ManualClock(Mutex::new(Manual {
            now,
            since: Instant::now(),
            bells: Vec::new(),
        })))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut manual = lock(&self.0);
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        manual.now = manual.now.saturating_add(by);
        manual.since = Instant::now();
        manual.bells.retain(|bell| match bell.upgrade() {
            Some(bell) => {
                bell.ring();
                true
            }
            None => false,
        });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        lock(&self.0).now
    }

    fn wait(&self, _: i64) -> Option<Duration> {
        None
    }

    fn ring(&self, bell: Weak<Bell>) {
        lock(&self.0).bells.push(bell);
    }

    /// Goes on from what it was set to, so that a script that waits for a moment meets it.
    fn date(&self) -> Option<i64> {
        let manual = lock(&self.0);
        let passed = i64::try_from(manual.since.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Some(manual.now.saturating_add(passed))
    }
}

/// Wakes a thread that waits.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<u64>,
    sound: Condvar,
}

impl Bell {
    /// Wakes who waits, and who comes to wait next.
    pub fn ring(&self) {
        *lock(&self.rung) += 1;
        self.sound.notify_all();
    }

    /// Waits until it has rung since `heard`, at most for a time; then it is heard.
    pub(crate) fn wait(&self, heard: &mut u64, time: Option<Duration>) {
        let rung = lock(&self.rung);
        let quiet = |rung: &mut u64| *rung == *heard;
        *heard = match time {
            Some(time) => {
                let wait = self.sound.wait_timeout_while(rung, time, quiet);
                *wait.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let wait = self.sound.wait_while(rung, quiet);
                *wait.unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}

/// Locks, also where a holder panicked: what is guarded here is whole between any two statements.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
