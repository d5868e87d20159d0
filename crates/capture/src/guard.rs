//! A mapped file may be cut short by somebody else while it is read; the kernel then sends SIGBUS
//! to whoever touches a page behind the new end. Inside guarded ranges such a page is replaced by
//! zeros and noted; everywhere else the signal does what it did before.

#![allow(unsafe_code)]

use std::{
    mem, ptr,
    sync::{
        Once, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::mem::page_size;

/// Ranges that can be guarded at a time; further ones are not.
const SLOTS: usize = 256;

struct Slot {
    taken: AtomicBool,
    start: AtomicUsize,
    end: AtomicUsize,
    replaced: AtomicBool,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        taken: AtomicBool::new(false),
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        replaced: AtomicBool::new(false),
    }
}; SLOTS];

/// What handled the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// Guards a range of addresses for as long as it lives.
#[derive(Debug)]
pub(crate) struct Guard {
    slot: Option<usize>,
}

impl Guard {
    pub(crate) fn new(start: usize, len: usize) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(install);
        let free = |slot: &Slot| {
            slot.taken
                .compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        let slot = TABLE.iter().position(free);
        if let Some(slot) = slot.and_then(|at| TABLE.get(at)) {
            slot.replaced.store(false, Ordering::Relaxed);
            slot.start.store(start, Ordering::Relaxed);
            slot.end.store(start.saturating_add(len), Ordering::Release);
        }
        Self { slot }
    }

    /// Whether a page was replaced since this was asked last.
    pub(crate) fn take_replaced(&self) -> bool {
        self.slot
            .and_then(|at| TABLE.get(at))
            .is_some_and(|slot| slot.replaced.swap(false, Ordering::AcqRel))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.and_then(|at| TABLE.get(at)) {
            slot.end.store(0, Ordering::Relaxed);
            slot.start.store(0, Ordering::Relaxed);
            slot.taken.store(false, Ordering::Release);
        }
    }
}

fn install() {
    PAGE.store(page_size(), Ordering::Relaxed);
    // SAFETY: all zeros are a valid sigaction; both calls get valid pointers. What was there
    // before is kept before the handler can run, as it is read there.
    unsafe {
        let mut before: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &mut before) != 0 {
            return;
        }
        let _ = BEFORE.set(before);
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        // as Rust's own handler: on the thread's alternate stack where it has one
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &action, ptr::null_mut());
    }
}

/// Only calls what may be called in a signal handler: atomics, mmap and sigaction.
extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    let inside = |slot: &&Slot| {
        slot.start.load(Ordering::Acquire) <= address && address < slot.end.load(Ordering::Acquire)
    };
    if let Some(slot) = TABLE.iter().find(inside) {
        let page = PAGE.load(Ordering::Relaxed);
        // SAFETY: the page lies in a guarded range, which is a Region's own; it held a page of a
        // file that has no such page any more, so nothing is lost by replacing it.
        let got = unsafe {
            libc::mmap(
                (address & !(page - 1)) as *mut libc::c_void,
                page,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if got != libc::MAP_FAILED {
            slot.replaced.store(true, Ordering::Release);
            return;
        }
    }
    // SAFETY: the handler of before is called as it asked to be, or put back, so that the
    // instruction, when it faults again, meets it.
    unsafe {
        match BEFORE.get() {
            Some(before)
                if before.sa_sigaction > libc::SIG_IGN
                    && before.sa_flags & libc::SA_SIGINFO != 0 =>
            {
                type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                let handler = mem::transmute::<usize, Handler>(before.sa_sigaction);
                handler(signal, info, context);
            }
            Some(before) => {
                libc::sigaction(libc::SIGBUS, before, ptr::null_mut());
            }
            None => {
                let default: libc::sigaction = mem::zeroed();
                libc::sigaction(libc::SIGBUS, &default, ptr::null_mut());
            }
        }
    }
}
