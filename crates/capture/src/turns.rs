//! How a thread takes turns with others on a processor (sched(7), sched_setattr(2)).
//!
//! All of it is asked of the system as a favour: refused, a thread works as it is.

#![allow(unsafe_code)]

use std::mem;

/// The shortest stretch that the system grants a thread, in nanoseconds.
const SLICE: u64 = 100_000;
/// How nice a thread is that gives way (sched(7)).
const NICE: i32 = 10;

/// Has the calling thread work in stretches of a tenth of a millisecond, where others want its processor too: its share
/// stays what it is, in smaller parts. Systems before Linux 6.12 have one length for all.
pub fn in_short_stretches() {
    change(|attr| attr.sched_runtime = SLICE);
}

/// Has the calling thread give way to others: it gets a tenth of a processor that they want too, in short stretches. Not
/// less: what it holds (a lock, a transaction of the file system) others may wait for. With sealing in the idle class
/// (`SCHED_IDLE`) a crash of the recorder on a busy host lost more than its last second, most likely for that reason.
pub fn give_way() {
    change(|attr| {
        attr.sched_runtime = SLICE;
        attr.sched_nice = NICE.max(attr.sched_nice);
    });
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

    /// How nice the calling thread is.
    fn nice() -> i32 {
        // SAFETY: 0 is the calling thread.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn a_thread_takes_turns_as_it_asked_for_and_no_other_does() {
        let before = nice();
        let (short, giving) = std::thread::spawn(|| {
            in_short_stretches();
            let short = nice();
            give_way();
            (short, nice())
        })
        .join()
        .unwrap();
        assert_eq!((short, giving), (before, NICE.max(before)));
        assert_eq!(nice(), before);
    }
}
