//! Mapped memory: one reserved range of addresses into which files are mapped piece by piece.

#![allow(unsafe_code)]

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    ptr::{self, NonNull},
};

use crate::guard::Guard;

/// A reserved range of addresses. Nothing in it may be touched until something is mapped there.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
    guard: Option<Guard>,
}

// SAFETY: a Region owns its range of addresses; it has no thread affinity, and its methods only
// change mappings, never bytes.
unsafe impl Send for Region {}
// SAFETY: as above; shared use only reads `base` and `len`.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves `len` bytes of addresses, none of them usable yet.
    pub(crate) fn reserve(len: usize) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that exists.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len.max(1),
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let base = NonNull::new(at.cast::<u8>()).filter(|_| at != libc::MAP_FAILED);
        let region = base.map(|base| Self {
            base,
            len: len.max(1),
            guard: None,
        });
        region.ok_or_else(io::Error::last_os_error)
    }

    /// Has pages of files that become shorter read as zeros, from now on.
    pub(crate) fn guarded(mut self) -> Self {
        self.guard = Some(Guard::new(self.base().addr(), self.len));
        self
    }

    /// The first `len` bytes, which are mapped.
    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        // SAFETY: callers map what they ask for, read-only and private, and never unmap it while `self` lives; the
        // slice lives no longer than `self`. A file that is cut short is the guard's concern.
        unsafe { std::slice::from_raw_parts(self.base(), len.min(self.len)) }
    }

    /// Whether a file was found to have become shorter since this was asked last.
    pub(crate) fn has_shrunk(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::take_replaced)
    }

    /// The first address.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Maps `len` bytes of `file`, from its byte `file_offset` on, at `at` in the region.
    /// Both offsets are multiples of the page size.
    pub(crate) fn map(
        &self,
        at: usize,
        file: &File,
        file_offset: u64,
        len: usize,
        writable: bool,
    ) -> io::Result<()> {
        let fits = at.checked_add(len).is_some_and(|end| end <= self.len);
        let offset = libc::off_t::try_from(file_offset)
            .ok()
            .filter(|_| fits && len > 0);
        let Some(offset) = offset else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (prot, flags) = if writable {
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)
        } else {
            (libc::PROT_READ, libc::MAP_PRIVATE)
        };
        // SAFETY: `at..at + len` was checked to lie in this region, which we own, so MAP_FIXED
        // replaces nothing of anyone else's.
        let got = unsafe {
            libc::mmap(
                self.base().add(at).cast(),
                len,
                prot,
                flags | libc::MAP_FIXED,
                file.as_raw_fd(),
                offset,
            )
        };
        if got == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        if writable {
            // It is written from one end to the other, which the kernel should know: it then makes pages in large
            // pieces, of which each costs one fault. Without, the first write to a page of a file on ext4 takes 8 µs,
            // with it one. A refusal is harmless.
            // SAFETY: the range is the mapping that was just made.
            unsafe { libc::madvise(self.base().add(at).cast(), len, libc::MADV_SEQUENTIAL) };
        }
        Ok(())
    }

    /// Has the system provide the pages of `at..at + len`, of a writable mapping, before anyone writes there. What they
    /// hold stays. Refused (before Linux 5.14, say), whoever writes there first waits for them.
    pub(crate) fn provide(&self, at: usize, len: usize) {
        if at.checked_add(len).is_some_and(|end| end <= self.len) {
            // SAFETY: the range is inside this region; the advice changes no byte.
            unsafe { libc::madvise(self.base().add(at).cast(), len, libc::MADV_POPULATE_WRITE) };
        }
    }

    /// Unmaps `at..at + len`; the addresses stay reserved.
    pub(crate) fn unmap(&self, at: usize, len: usize) {
        if len > 0 && at.checked_add(len).is_some_and(|end| end <= self.len) {
            // SAFETY: the range is inside this region, which we own; callers have moved their
            // tail, so nobody looks there any more. On failure the old mapping stays: harmless.
            unsafe {
                libc::mmap(
                    self.base().add(at).cast(),
                    len,
                    libc::PROT_NONE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
                    -1,
                    0,
                )
            };
        }
    }

    /// Gives the pages of `at..at + len` back; they are read from their file again when touched.
    /// For read-only mappings of files.
    pub(crate) fn drop_pages(&self, at: usize, len: usize) {
        if at.checked_add(len).is_some_and(|end| end <= self.len) {
            // SAFETY: the range is inside this region; on private read-only mappings of files
            // MADV_DONTNEED loses nothing. A refusal is harmless: the pages merely stay.
            unsafe { libc::madvise(self.base().add(at).cast(), len, libc::MADV_DONTNEED) };
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // before others can have these addresses
        self.guard = None;
        // SAFETY: the range is ours and, as the owner of all pointers into it holds this Region,
        // nothing refers to it any more.
        unsafe { libc::munmap(self.base().cast(), self.len) };
    }
}

/// Has this process take memory in pages of the usual size (prctl(2), `PR_SET_THP_DISABLE`). An allocator that keeps blocks
/// of each size apart touches several times as many huge pages as it uses bytes, and the kernel clears all of each: an eighth
/// of what an index cost. A refusal is harmless.
pub fn no_huge_pages() {
    // SAFETY: this call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// The size of a page of memory in bytes.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Asks the processor to load the cache line `ahead` bytes after the start of `bytes`, which may
/// lie beyond its end: a prefetch never faults.
#[inline]
pub fn prefetch(bytes: &[u8], ahead: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = bytes.as_ptr().wrapping_add(ahead);
        // SAFETY: prefetching has no effect but on caches, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, ahead);
}
