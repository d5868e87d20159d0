//! Work on several threads whose results are taken in order, so that an answer does not depend on which was first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::{Bucket, lock};

/// Threads for files that have to be waited for, at most.
const MOST: usize = 16;

/// How many files of a bucket are read at the same time: as many as there are processors, and where each is waited for,
/// more, so that one is fetched while another is unpacked.
pub(super) fn threads(bucket: &dyn Bucket) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    match bucket.local_path("") {
        Some(_) => processors,
        None => (processors * 4).min(MOST),
    }
}

struct Taking<E, F> {
    /// Whose result is taken next.
    turn: usize,
    take: F,
    failed: Option<E>,
    stopped: bool,
}

/// Does the work of each number below `count` on some threads, and hands the results to `take` in the order of the
/// numbers. Results that wait for their turn are fewer than threads.
///
/// # Errors
/// The first in that order; what comes behind it is not taken.
pub(super) fn in_order<T, E: Send, F: FnMut(T) + Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
    take: F,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let taking = Mutex::new(Taking {
        turn: 0,
        take,
        failed: None,
        stopped: false,
    });
    let turned = Condvar::new();
    let run = || {
        let stop = Stop {
            taking: &taking,
            turned: &turned,
        };
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count || lock(&taking).stopped {
                break;
            }
            let done = work(at);
            let taking = lock(&taking);
            let waits = |taking: &mut Taking<E, F>| taking.turn != at && !taking.stopped;
            let taking = turned.wait_while(taking, waits);
            let mut taking = taking.unwrap_or_else(PoisonError::into_inner);
            if taking.stopped {
                break;
            }
            match done {
                Ok(done) => (taking.take)(done),
                Err(error) => {
                    taking.failed = Some(error);
                    taking.stopped = true;
                }
            }
            taking.turn += 1;
            turned.notify_all();
        }
        drop(stop);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(run);
        }
        run();
    });
    let taking = taking.into_inner();
    match taking.unwrap_or_else(PoisonError::into_inner).failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Where a thread panics, none waits for its turn to end.
struct Stop<'t, E, F> {
    taking: &'t Mutex<Taking<E, F>>,
    turned: &'t Condvar,
}

impl<E, F> Drop for Stop<'_, E, F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(self.taking).stopped = true;
            self.turned.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_taken_in_order_up_to_the_first_error() {
        for threads in [1, 2, 7] {
            let mut taken = Vec::new();
            let done = in_order(50, threads, Ok::<_, ()>, |n| taken.push(n));
            assert_eq!((done, taken), (Ok(()), (0..50).collect()));
            let mut taken = Vec::new();
            let fails = |n| if n % 20 == 19 { Err(n) } else { Ok(n) };
            let done = in_order(50, threads, fails, |n| taken.push(n));
            assert_eq!((done, taken), (Err(19), (0..19).collect()));
        }
    }

    #[test]
    fn a_panic_ends_all() {
        let panics = std::panic::catch_unwind(|| {
            in_order(
                9,
                3,
                |n| if n == 4 { panic!("4") } else { Ok::<_, ()>(n) },
                |_| {},
            )
        });
        assert!(panics.is_err());
    }
}
