//! How a thread takes turns with others on a processor (sched(7), sched_setattr(2)).
//!
//! All of it is asked of the system as a favour: refused, a thread works as it is.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

/// The longest slice that the system grants a thread, in nanoseconds.
const SLICE: u64 = 100_000_000;
/// How nice a thread is that gives way (sched(7)).
const NICE: i32 = 10;

/// Lets threads that wake take the calling one's processor at once: a thread with a shorter slice may (since Linux
/// 6.12), and the usual one is 3 ms. Its share of the processor stays what it is.
pub fn let_others_in() {
    change(|attr| attr.sched_runtime = SLICE);
}

/// As [`let_others_in`], with a tenth of the processor's time where others want it too. Not less: what it holds (a lock, a
/// transaction of the file system) others may wait for.
pub fn give_way() {
    change(|attr| {
        attr.sched_runtime = SLICE;
        attr.sched_nice = NICE.max(attr.sched_nice);
    });
}

/// Leaves the processor for a moment, if only to see whether somebody waits for it: about 0.06 ms, as short as a sleep is.
/// Letting others in is not always enough, as the system keeps a thread that worked less than they did.
pub fn pause() {
    thread::sleep(Duration::from_micros(1));
}

/// Whether threads of the host wait for a processor (`/proc/loadavg`, proc_loadavg(5)).
#[derive(Debug)]
pub struct Waiting {
    /// `None` where it can't be told, or where what this process has of the host's processors is bounded: who takes much of
    /// that keeps the process's own threads waiting.
    load: Option<File>,
    processors: usize,
}

impl Waiting {
    /// Opens what is asked.
    #[must_use]
    pub fn on_this_host() -> Self {
        // SAFETY: it only returns a number.
        let processors = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
        let processors = usize::try_from(processors).unwrap_or_default();
        let has_all = thread::available_parallelism().is_ok_and(|own| own.get() >= processors);
        let load = has_all.then(|| File::open("/proc/loadavg").ok()).flatten();
        Self { load, processors }
    }

    /// Whether more threads than there are processors want to run just now. Where that can't be told, they do.
    #[must_use]
    pub fn some(&self) -> bool {
        let mut text = [0; 64];
        let len = self
            .load
            .as_ref()
            .and_then(|load| load.read_at(&mut text, 0).ok());
        let running = len.and_then(|len| running(text.get(..len)?));
        running.is_none_or(|running| running > self.processors)
    }
}

/// How many threads want to run: of three loads, `2/345` and the last process, the 2.
fn running(load: &[u8]) -> Option<usize> {
    let threads = str::from_utf8(load).ok()?.split(' ').nth(3)?;
    threads.split('/').next()?.parse().ok()
}

/// A thread that calculates in time that nobody else wants (`SCHED_IDLE`). On a busy host its work may take as long as it
/// will, so that it may hold nothing that others wait for: neither locks nor files.
#[derive(Debug)]
pub struct Idle {
    work: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
}

type Work = Box<dyn FnOnce() + Send>;

impl Idle {
    /// Starts the thread.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(name: &str) -> io::Result<Self> {
        let (work, given) = sync_channel(0);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || idle(&given))?;
        Ok(Self {
            work: Some(work),
            thread: Some(thread),
        })
    }

    /// Has work done, and waits for it. `None` where it panicked.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (to, done) = sync_channel(1);
        let work = Box::new(move || {
            // whoever waits is there until it has got it
            let _ = to.send(work());
        });
        self.work.as_ref()?.send(work).ok()?;
        done.recv().ok()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn idle(given: &Receiver<Work>) {
    change(|attr| attr.sched_policy = libc::SCHED_IDLE as u32);
    while let Ok(work) = given.recv() {
        // what it panicked of was said when it did, and whoever waits for it gets nothing
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

fn change(how: impl FnOnce(&mut libc::sched_attr)) {
    // SAFETY: all zeros is a value of this struct of numbers.
    let mut attr: libc::sched_attr = unsafe { mem::zeroed() };
    let size = mem::size_of_val(&attr) as libc::c_uint;
    // SAFETY: the struct is writable and `size` bytes long; 0 is the calling thread.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
    if got == 0 {
        how(&mut attr);
        // SAFETY: the struct is whole and tells its own size; 0 is the calling thread.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// How nice the calling thread is.
    fn nice() -> i32 {
        // SAFETY: 0 is the calling thread.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    /// The policy of the calling thread.
    fn policy() -> i32 {
        // SAFETY: 0 is the calling thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_thread_takes_turns_as_it_asked_for_and_no_other_does() {
        let before = nice();
        let (letting, giving) = std::thread::spawn(|| {
            let_others_in();
            let letting = nice();
            give_way();
            (letting, nice())
        })
        .join()
        .unwrap();
        assert_eq!((letting, giving), (before, NICE.max(before)));
        assert_eq!(nice(), before);
    }

    #[test]
    fn threads_that_run_are_more_than_processors_where_some_wait() {
        assert_eq!(running(b"0.31 0.21 0.15 12/345 7010\n"), Some(12));
        for other in ["", "0.31 0.21 0.15", "0.31 0.21 0.15 x/345 7"] {
            assert_eq!(running(other.as_bytes()), None, "{other}");
        }
        let host = Waiting::on_this_host();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..=host.processors {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            while !host.some() {
                pause();
            }
            over.store(true, Ordering::Relaxed);
        });
        let none = Waiting { load: None, ..host };
        assert!(none.some());
    }

    #[test]
    fn idle_work_is_done_beside_and_a_panic_is_told() {
        let idle = Idle::start("idle").unwrap();
        assert_eq!(idle.run(policy), Some(libc::SCHED_IDLE));
        assert_eq!(policy(), libc::SCHED_OTHER);
        assert_eq!(idle.run(|| -> () { panic!("as the test wants it") }), None);
        assert_eq!(idle.run(|| 1), Some(1), "it goes on");
    }
}
