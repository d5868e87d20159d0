//! The byte store: every byte downstream is named by a 64-bit position in one.
//!
//! A [`Store`] is the read side: of a [`Ring`], or of mapped capture files. Positions only grow.
//! What lies in `tail..head` is there; what is behind the tail is gone, and one compare tells.
//!
//! Whoever appends (or, of mapped files, asks for the next frame) may move the tail, so a slice
//! that [`Store::get`] gave must not be kept across that; positions are what is kept. Threads
//! other than the writer's use [`Store::copy_out`], which copies first and then looks whether the
//! bytes were still there.

#![allow(unsafe_code)]

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
    ptr, slice,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering, fence},
    },
};

use crate::{Error, Frame, LinkType, PacketDirection, Result, formats::Layouts, mem::Region};

/// The most bytes of one frame that are kept: 256 KiB, the largest snap length in use. A GSO frame
/// has at most 64 KiB.
pub const MAX_FRAME: u32 = 256 << 10;

/// The smallest ring: it must hold a largest frame several times.
const MIN_RING: u64 = 1 << 20;
/// The largest: twice as many addresses are mapped.
const MAX_RING: u64 = 1 << 45;

/// Bytes before a frame's data in a ring.
const HEADER: u64 = 32;

/// How far the tail is moved ahead of the writer at a time, so that other threads' view of it
/// needs one fence a stride, not one a frame.
const STRIDE: u64 = 64 << 10;

/// How far [`Ahead`] goes before the writer, and how many bytes of pages it asks for at a time: in between others come to
/// their turn.
const AHEAD: u64 = 32 << 20;
const PIECE: u64 = 64 << 10;

/// What a ring keeps of a frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Nanoseconds since the Unix epoch.
    pub ts: i64,
    /// Number of the interface in its source.
    pub iface: u32,
    /// What the frame starts with.
    pub link: LinkType,
    /// Which way it went.
    pub direction: PacketDirection,
    /// Length on the wire.
    pub wire_len: u32,
    /// Position of the previous frame of the same flow, or [`crate::NO_POS`].
    pub prev: u64,
}

impl FrameHeader {
    /// Of a frame whose flow's previous one is there.
    #[inline]
    pub fn of(frame: &Frame<'_>, prev: u64) -> FrameHeader {
        FrameHeader {
            ts: frame.ts,
            iface: frame.iface,
            link: frame.link,
            direction: frame.direction,
            wire_len: frame.wire_len,
            prev,
        }
    }
}

/// A frame read back from a store.
#[derive(Clone, Copy, Debug)]
pub struct StoredFrame<'a> {
    /// Nanoseconds since the Unix epoch.
    pub ts: i64,
    /// Number of the interface in its source.
    pub iface: u32,
    /// What the frame starts with.
    pub link: LinkType,
    /// Which way it went.
    pub direction: PacketDirection,
    /// Length on the wire.
    pub wire_len: u32,
    /// Position of the previous frame of the same flow, or [`crate::NO_POS`] where there is none
    /// or the store (a mapped file) has no place for it.
    pub prev: u64,
    /// What was captured of it.
    pub data: &'a [u8],
}

/// The marks that writer and readers share.
struct Marks {
    /// First position that is still there.
    tail: AtomicU64,
    /// First position that is not written yet.
    head: AtomicU64,
    /// Keeps the addresses mapped.
    region: Region,
    /// How frames are laid out where this is a store of mapped files.
    layouts: RwLock<Layouts>,
}

/// The read side of a ring or of mapped files; cheap to clone.
///
/// See the module's description for how long a slice from it may be kept.
#[derive(Clone)]
pub struct Store {
    base: *const u8,
    /// Position to offset: the ring's size less one; all ones for mapped files.
    mask: u64,
    marks: Arc<Marks>,
}

// SAFETY: `base` points into `marks.region`, which lives as long as the Store; reading needs no
// thread affinity. That bytes are not read while they are overwritten is the contract of `get`,
// and the check after the copy of `copy_out`.
unsafe impl Send for Store {}
// SAFETY: as for Send; all methods only read.
unsafe impl Sync for Store {}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("tail", &self.tail())
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A store of mapped files: empty until [`Store::grow`].
    pub(crate) fn of_files(region: Region) -> Self {
        let base = region.base().cast_const();
        let marks = Marks {
            tail: AtomicU64::new(0),
            head: AtomicU64::new(0),
            region,
            layouts: RwLock::default(),
        };
        Self {
            base,
            mask: u64::MAX,
            marks: Arc::new(marks),
        }
    }

    /// The region of mapped files.
    pub(crate) fn region(&self) -> &Region {
        &self.marks.region
    }

    /// Moves the head of a store of mapped files: up to there bytes are mapped now.
    pub(crate) fn grow(&self, head: u64) {
        self.marks.head.store(head, Ordering::Release);
    }

    /// Moves the tail of a store of mapped files: what is behind is about to be unmapped.
    pub(crate) fn forget(&self, tail: u64) {
        self.marks.tail.store(tail, Ordering::Release);
    }

    /// How the frames of mapped files are laid out, to be brought up to date.
    pub(crate) fn layouts_mut(&self) -> RwLockWriteGuard<'_, Layouts> {
        self.marks
            .layouts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn layouts(&self) -> RwLockReadGuard<'_, Layouts> {
        self.marks
            .layouts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes `from..to` of mapped files; empty where not all of them are there.
    #[inline]
    pub(crate) fn span(&self, from: u64, to: u64) -> &[u8] {
        if from < self.tail() || to > self.head() || from > to || self.mask != u64::MAX {
            return &[];
        }
        // SAFETY: the range lies in tail..head, which is mapped read-only.
        unsafe { slice::from_raw_parts(self.base.add(from as usize), (to - from) as usize) }
    }

    /// The first position that is still there.
    #[must_use]
    #[inline]
    pub fn tail(&self) -> u64 {
        self.marks.tail.load(Ordering::Relaxed)
    }

    /// The first position that is not there yet.
    #[must_use]
    #[inline]
    pub fn head(&self) -> u64 {
        self.marks.head.load(Ordering::Acquire)
    }

    /// The `len` bytes at `pos`; `None` where any of them is gone or not written yet. To be called
    /// on the writer's thread; the slice must not be kept across the next append.
    #[must_use]
    #[inline]
    pub fn get(&self, pos: u64, len: u32) -> Option<&[u8]> {
        let head = self.head();
        if pos < self.tail() || pos > head || u64::from(len) > head - pos {
            return None;
        }
        // SAFETY: `pos..pos + len` lies in tail..head, which is mapped and written: of files it is
        // at most the region, of a ring at most its size, and the second mapping makes a range
        // across the end contiguous. Nobody writes it before the next append.
        Some(unsafe {
            slice::from_raw_parts(self.base.add((pos & self.mask) as usize), len as usize)
        })
    }

    /// Appends a copy of the `len` bytes at `pos` to `to`, from any thread. `false`, and `to` as
    /// before, where any of them is gone (also while they were copied) or not written yet.
    pub fn copy_out(&self, pos: u64, len: u32, to: &mut Vec<u8>) -> bool {
        let head = self.head();
        if pos < self.tail() || pos > head || u64::from(len) > head - pos {
            return false;
        }
        let before = to.len();
        let len = len as usize;
        to.reserve(len);
        // SAFETY: the source is mapped (as in `get`), the destination was just reserved. The
        // writer may overwrite the source meanwhile; then the tail has moved before the first
        // such write, the check below sees it, and the copied bytes are not used.
        unsafe {
            ptr::copy_nonoverlapping(
                self.base.add((pos & self.mask) as usize),
                to.as_mut_ptr().add(before),
                len,
            );
        }
        fence(Ordering::Acquire);
        if pos < self.marks.tail.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: these bytes were initialised by the copy above.
        unsafe { to.set_len(before + len) };
        true
    }

    /// The frame whose data begins at `pos`, on the writer's thread; `None` where it is gone or
    /// where no frame's data begins at `pos` (of a mapped file that is told less surely).
    #[must_use]
    #[inline]
    pub fn frame(&self, pos: u64) -> Option<StoredFrame<'_>> {
        if self.mask == u64::MAX {
            return self.file_frame(pos);
        }
        let header = self.get(pos.checked_sub(HEADER)?, HEADER as u32)?;
        let (header, len) = unpack(header, pos)?;
        let data = self.get(pos, len)?;
        let FrameHeader {
            ts,
            iface,
            link,
            direction,
            wire_len,
            prev,
        } = header;
        Some(StoredFrame {
            ts,
            iface,
            link,
            direction,
            wire_len,
            prev,
            data,
        })
    }

    #[cold]
    fn file_frame(&self, pos: u64) -> Option<StoredFrame<'_>> {
        let start = pos
            .checked_sub(u64::from(Layouts::MOST_BEFORE))
            .map_or(0, |start| start)
            .max(self.tail());
        let end = self
            .head()
            .min(pos.checked_add(u64::from(Layouts::MOST_AFTER))?);
        self.layouts()
            .at(pos)?
            .frame(self.span(start, end), pos.checked_sub(start)? as usize)
    }

    /// As [`Store::frame`], from any thread: the frame's data is appended to `to`.
    pub fn copy_frame(&self, pos: u64, to: &mut Vec<u8>) -> Option<FrameHeader> {
        if self.mask == u64::MAX {
            let StoredFrame {
                ts,
                iface,
                link,
                direction,
                wire_len,
                prev,
                data,
            } = self.frame(pos)?;
            to.extend_from_slice(data);
            return Some(FrameHeader {
                ts,
                iface,
                link,
                direction,
                wire_len,
                prev,
            });
        }
        let mut raw = Vec::with_capacity(HEADER as usize);
        let start = pos.checked_sub(HEADER)?;
        if !self.copy_out(start, HEADER as u32, &mut raw) {
            return None;
        }
        let (header, len) = unpack(&raw, pos)?;
        self.copy_out(pos, len, to).then_some(header)
    }
}

/// Marks a word of the header as one, together with low bits of the position: a position that is
/// not a frame's is told (nearly surely) by it.
fn check_bits(pos: u64) -> u32 {
    ((pos >> 4) as u32).wrapping_mul(0x9e37_79b1) >> 5
}

/// Header to bytes: ts, prev, wire length, interface; length (19 bits), direction (2 bits) and
/// check (11 bits); link type and 16 further bits of check.
fn pack(h: &FrameHeader, len: u32, pos: u64) -> [u8; HEADER as usize] {
    let direction = match h.direction {
        PacketDirection::Unknown => 0u32,
        PacketDirection::In => 1,
        PacketDirection::Out => 2,
    };
    let check = check_bits(pos);
    let sizes = len | direction << 19 | check << 21;
    let link = (h.link.dlt() & 0xffff) | (check >> 11) << 16;
    let mut out = [0; HEADER as usize];
    out[0..8].copy_from_slice(&h.ts.to_ne_bytes());
    out[8..16].copy_from_slice(&h.prev.to_ne_bytes());
    out[16..20].copy_from_slice(&h.wire_len.to_ne_bytes());
    out[20..24].copy_from_slice(&h.iface.to_ne_bytes());
    out[24..28].copy_from_slice(&sizes.to_ne_bytes());
    out[28..32].copy_from_slice(&link.to_ne_bytes());
    out
}

/// Bytes to header and length of the data; `None` where they are no header of the frame at `pos`.
fn unpack(raw: &[u8], pos: u64) -> Option<(FrameHeader, u32)> {
    let (ts, raw) = raw.split_first_chunk::<8>()?;
    let (prev, raw) = raw.split_first_chunk::<8>()?;
    let (wire_len, raw) = raw.split_first_chunk::<4>()?;
    let (iface, raw) = raw.split_first_chunk::<4>()?;
    let (sizes, raw) = raw.split_first_chunk::<4>()?;
    let link = u32::from_ne_bytes(*raw.first_chunk::<4>()?);
    let sizes = u32::from_ne_bytes(*sizes);
    let check = check_bits(pos);
    if sizes >> 21 != check & 0x7ff || link >> 16 != check >> 11 {
        return None;
    }
    let header = FrameHeader {
        ts: i64::from_ne_bytes(*ts),
        iface: u32::from_ne_bytes(*iface),
        link: LinkType::from_dlt(link),
        direction: match sizes >> 19 & 3 {
            1 => PacketDirection::In,
            2 => PacketDirection::Out,
            _ => PacketDirection::Unknown,
        },
        wire_len: u32::from_ne_bytes(*wire_len),
        prev: u64::from_ne_bytes(*prev),
    };
    Some((header, sizes & 0x7_ffff))
}

/// The writer of a ring of bytes in a file (or in memory) of fixed size, allocated ahead.
///
/// The file is mapped twice, side by side, so that every range up to the ring's size is one slice.
pub struct Ring {
    base: *mut u8,
    size: u64,
    head: u64,
    /// Up to here may be written before the tail must move.
    reserved: u64,
    store: Store,
}

// SAFETY: the Ring is the only writer of its mapping, which has no thread affinity.
unsafe impl Send for Ring {}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("size", &self.size)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// Makes a ring of `bytes`, rounded down to a power of two and at least 1 MiB, in a file of
    /// mode 0600 in `dir` that has no name (it is gone with the process), or in shared memory
    /// where `dir` is `None`.
    ///
    /// # Errors
    /// [`Error::RingSpace`] where the disk (or memory) has no room for all of it,
    /// [`Error::RingFile`] where the file can't be made or mapped.
    pub fn create(dir: Option<&Path>, bytes: u64) -> Result<Self> {
        let size = 1u64 << bytes.clamp(MIN_RING, MAX_RING).ilog2();
        let place = dir.unwrap_or(Path::new("memory"));
        let failed = |what| {
            move |source| Error::RingFile {
                path: place.to_owned(),
                what,
                source,
            }
        };
        let file = match dir {
            Some(dir) => unnamed_file(dir),
            None => memory_file(),
        }
        .map_err(failed("made"))?;
        allocate(&file, size).map_err(|source| Error::RingSpace {
            path: place.to_owned(),
            bytes: size,
            source,
        })?;
        let len = size as usize;
        let region = Region::reserve(len * 2).map_err(failed("mapped"))?;
        region
            .map(0, &file, 0, len, true)
            .map_err(failed("mapped"))?;
        region
            .map(len, &file, 0, len, true)
            .map_err(failed("mapped"))?;
        let base = region.base();
        let marks = Marks {
            tail: AtomicU64::new(0),
            head: AtomicU64::new(0),
            region,
            layouts: RwLock::default(),
        };
        let store = Store {
            base: base.cast_const(),
            mask: size - 1,
            marks: Arc::new(marks),
        };
        Ok(Self {
            base,
            size,
            head: 0,
            reserved: size,
            store,
        })
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A handle to read it.
    #[must_use]
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// What has its pages at hand before they are written, on another thread.
    #[must_use]
    pub fn ahead(&self) -> Ahead {
        Ahead {
            store: self.store(),
            done: 0,
            far: AHEAD.min(self.size / 4),
        }
    }

    /// As [`Store::get`], borrowed so that no append can come between.
    #[must_use]
    #[inline]
    pub fn get(&self, pos: u64, len: u32) -> Option<&[u8]> {
        self.store.get(pos, len)
    }

    /// As [`Store::frame`], borrowed so that no append can come between.
    #[must_use]
    #[inline]
    pub fn frame(&self, pos: u64) -> Option<StoredFrame<'_>> {
        self.store.frame(pos)
    }

    /// Appends a frame and gives the position of its first byte. What `data` has above
    /// [`MAX_FRAME`] is cut; the header's `wire_len` still tells.
    #[inline]
    pub fn append(&mut self, header: &FrameHeader, data: &[u8]) -> u64 {
        self.append2(header, data, &[])
    }

    /// As [`Ring::append`], the frame being `first` and `second` joined (a header made here before
    /// bytes that are elsewhere, say).
    #[inline]
    pub fn append2(&mut self, header: &FrameHeader, first: &[u8], second: &[u8]) -> u64 {
        let first = &first[..first.len().min(MAX_FRAME as usize)];
        let second = &second[..second.len().min(MAX_FRAME as usize - first.len())];
        let len = (first.len() + second.len()) as u32;
        let pos = self.head + HEADER;
        let next = (pos + u64::from(len) + 15) & !15;
        if next > self.reserved {
            self.reserve(next);
        }
        let raw = pack(header, len, pos);
        let at = (self.head & (self.size - 1)) as usize;
        // Plain copies: stores past the caches gained nothing measurable here (64 and 256 MiB,
        // frames of 140 to 1030 bytes).
        // SAFETY: `head..next` is at most HEADER + MAX_FRAME + 15 bytes long, less than the
        // smallest ring, and `at` is less than the ring's size, so all of it lies in the two
        // mappings. The tail was moved past what is overwritten. The header is other memory; the
        // frame may be a slice of this very ring, so its copies allow for overlap.
        unsafe {
            let to = self.base.add(at);
            ptr::copy_nonoverlapping(raw.as_ptr(), to, raw.len());
            let to = to.add(raw.len());
            ptr::copy(first.as_ptr(), to, first.len());
            ptr::copy(second.as_ptr(), to.add(first.len()), second.len());
        }
        self.head = next;
        self.store.marks.head.store(next, Ordering::Release);
        pos
    }

    /// Moves the tail so that the ring may be written up to `end` and some way beyond.
    #[cold]
    fn reserve(&mut self, end: u64) {
        self.reserved = (end + STRIDE) & !(STRIDE - 1);
        let tail = self.reserved - self.size;
        self.store.marks.tail.store(tail, Ordering::Relaxed);
        // Other threads must see the tail move before they can see a byte behind it change.
        fence(Ordering::SeqCst);
    }
}

/// Goes ahead of the writer of a ring and has the system provide the pages that it writes next. That costs several times
/// as much as to fill them: for the first time a page must be made and cleared, and each time the disk has got it, it is
/// watched for changes again.
#[derive(Debug)]
pub struct Ahead {
    store: Store,
    /// Up to this position pages were asked for.
    done: u64,
    far: u64,
}

impl Ahead {
    /// Asks for the next pages; `false` where there are pages some way ahead of the writer (32 MiB). To be called again
    /// and again, and then at least once while the writer goes that way.
    pub fn step(&mut self) -> bool {
        let head = self.store.head();
        let from = self.done.max(head) & !(PIECE - 1);
        if from + PIECE > head + self.far {
            return false;
        }
        self.store
            .region()
            .provide((from & self.store.mask) as usize, PIECE as usize);
        self.done = from + PIECE;
        true
    }
}

/// A file of mode 0600 in `dir` whose name is already removed.
fn unnamed_file(dir: &Path) -> io::Result<File> {
    let pid = std::process::id();
    for attempt in 0..1000 {
        let path = dir.join(format!(".gillnet-ring-{pid}-{attempt}"));
        match OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A file in memory.
fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a constant string with its end mark.
    let fd = unsafe { libc::memfd_create(c"gillnet-ring".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Gives the file its full size and the disk space for it.
fn allocate(file: &File, size: u64) -> io::Result<()> {
    let Ok(len) = libc::off_t::try_from(size) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: the descriptor is open.
    let code = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len) };
    match code {
        0 => Ok(()),
        libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL => fill_with_zeros(file, size),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Allocates where the file system has no call for it.
fn fill_with_zeros(file: &File, size: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        file.write_all_at(&zeros, at)?;
        at += zeros.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A small generator (xorshift), so that a failing run can be repeated.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, limit: u64) -> u64 {
            self.next() % limit
        }
    }

    fn header(random: &mut Random, prev: u64) -> FrameHeader {
        FrameHeader {
            ts: random.next() as i64,
            iface: random.next() as u32,
            link: LinkType::from_dlt(random.below(300) as u32),
            direction: [
                PacketDirection::Unknown,
                PacketDirection::In,
                PacketDirection::Out,
            ][random.below(3) as usize],
            wire_len: random.next() as u32,
            prev,
        }
    }

    fn of(frame: &StoredFrame<'_>) -> FrameHeader {
        let StoredFrame {
            ts,
            iface,
            link,
            direction,
            wire_len,
            prev,
            ..
        } = *frame;
        FrameHeader {
            ts,
            iface,
            link,
            direction,
            wire_len,
            prev,
        }
    }

    /// What was written is read back as long as it is there, and what is gone is said to be.
    #[test]
    fn what_is_there_is_right_and_what_is_gone_is_gone() {
        for seed in 1..=4u64 {
            let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
            let dir = tempfile::tempdir().unwrap();
            let mut ring = Ring::create((seed % 2 == 0).then_some(dir.path()), 1 << 20).unwrap();
            assert_eq!(fs_entries(dir.path()), 0, "the file has no name");
            let store = ring.store();
            let mut written: VecDeque<(u64, FrameHeader, Vec<u8>)> = VecDeque::new();
            let mut prev = crate::NO_POS;
            for _ in 0..3000 {
                let len = match random.below(40) {
                    0 => random.below(u64::from(MAX_FRAME) + 1),
                    1 => 0,
                    _ => random.below(3000),
                } as usize;
                let fill = random.next() as u8;
                let data: Vec<u8> = (0..len)
                    .map(|at| (at as u8).wrapping_mul(31) ^ fill)
                    .collect();
                let head = header(&mut random, prev);
                let cut = random.below(len as u64 + 1) as usize;
                let pos = ring.append2(&head, &data[..cut], &data[cut..]);
                prev = pos;
                written.push_back((pos, head, data));
                while written
                    .front()
                    .is_some_and(|(pos, ..)| *pos < store.tail() + HEADER)
                {
                    let (pos, _, data) = written.pop_front().unwrap();
                    assert!(store.frame(pos).is_none());
                    assert!(pos >= store.tail() || store.get(pos, data.len() as u32).is_none());
                    assert!(!store.copy_out(pos - HEADER, 1, &mut Vec::new()));
                }
                let (pos, head, data) = &written[random.below(written.len() as u64) as usize];
                let frame = store.frame(*pos).unwrap();
                assert_eq!((of(&frame), frame.data), (*head, &data[..]));
                let mut copy = vec![7];
                assert!(store.copy_out(*pos, data.len() as u32, &mut copy));
                assert_eq!(copy[1..], data[..]);
                assert_eq!(store.copy_frame(*pos, &mut copy), Some(*head));
                assert!(store.head() - store.tail() <= ring.size());
            }
            assert!(store.tail() > 2 * ring.size(), "the ring has turned over");
            assert!(store.get(store.head(), 1).is_none(), "not written yet");
            assert!(store.get(store.head() + 1, 0).is_none());
            assert!(store.get(u64::MAX, u32::MAX).is_none());
            assert_eq!(store.get(store.head(), 0), Some(&[][..]));
            walk_back(&store, &written);
        }
    }

    fn fs_entries(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    /// From the last frame back by `prev`, to where the ring ends.
    fn walk_back(store: &Store, written: &VecDeque<(u64, FrameHeader, Vec<u8>)>) {
        let mut pos = written.back().unwrap().0;
        for (expected, _, data) in written.iter().rev() {
            let frame = store.frame(pos).unwrap();
            assert_eq!((pos, frame.data), (*expected, &data[..]));
            pos = frame.prev;
        }
        assert!(store.frame(pos).is_none());
    }

    #[test]
    fn a_position_that_is_no_frames_is_told() {
        let mut random = Random(99);
        let mut ring = Ring::create(None, 1 << 20).unwrap();
        let mut starts = std::collections::HashSet::new();
        while ring.head < 100_000 {
            let head = header(&mut random, 0);
            starts.insert(ring.append(&head, &[0xa5; 100]));
        }
        let wrong = (0..ring.head)
            .filter(|pos| ring.frame(*pos).is_some() != starts.contains(pos))
            .count();
        assert_eq!(wrong, 0);
        assert!(ring.frame(u64::MAX).is_none());
    }

    #[test]
    fn a_frame_too_long_is_cut() {
        let mut ring = Ring::create(None, 0).unwrap();
        assert_eq!(ring.size(), MIN_RING);
        let data = vec![1; MAX_FRAME as usize + 10];
        let pos = ring.append2(&header(&mut Random(1), 0), &data[..100], &data);
        assert_eq!(ring.frame(pos).unwrap().data.len(), MAX_FRAME as usize);
    }

    #[test]
    fn sizes_are_powers_of_two() {
        for (asked, got) in [
            (0, 1 << 20),
            (3 << 20, 2 << 20),
            (4 << 20, 4 << 20),
            ((8 << 20) - 1, 4 << 20),
        ] {
            assert_eq!(Ring::create(None, asked).unwrap().size(), got);
        }
    }

    #[test]
    fn a_full_disk_is_said_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let error = Ring::create(Some(dir.path()), 1 << 45).unwrap_err();
        assert!(
            matches!(&error, Error::RingSpace { path, bytes: 0x2000_0000_0000, .. } if path == dir.path()),
            "{error}"
        );
        assert!(error.to_string().contains("capture.ring.size"), "{error}");
        let error = Ring::create(Some(&dir.path().join("not there")), 1 << 20).unwrap_err();
        assert!(matches!(error, Error::RingFile { .. }), "{error}");
    }

    /// A reader on another thread gets whole frames or none, while the ring turns over under it.
    #[test]
    fn another_thread_never_sees_half_a_frame() {
        let mut ring = Ring::create(None, 1 << 20).unwrap();
        let store = ring.store();
        let (send, receive) = std::sync::mpsc::sync_channel::<u64>(600);
        let reader = std::thread::spawn(move || {
            let (mut whole, mut gone) = (0u64, 0u64);
            let mut copy = Vec::new();
            for pos in receive {
                copy.clear();
                match store.copy_frame(pos, &mut copy) {
                    Some(header) => {
                        let (first, rest) = copy.split_first().unwrap();
                        assert!(rest.iter().all(|byte| byte == first), "torn frame at {pos}");
                        assert_eq!(header.wire_len as usize, copy.len());
                        whole += 1;
                    }
                    None => gone += 1,
                }
            }
            (whole, gone)
        });
        let mut random = Random(5);
        let mut asked = 0;
        for round in 0..40_000u64 {
            let data = vec![round as u8; 1 + random.below(4000) as usize];
            let head = FrameHeader {
                wire_len: data.len() as u32,
                ..header(&mut random, 0)
            };
            let pos = ring.append(&head, &data);
            // the reader lags behind by what the queue holds, about a tenth to a turn of the ring
            if send.try_send(pos).is_ok() {
                asked += 1;
            }
        }
        // nothing is written any more, so the last one is there for sure
        let last = ring.append(
            &FrameHeader {
                wire_len: 3,
                ..header(&mut random, 0)
            },
            &[9; 3],
        );
        send.send(last).unwrap();
        asked += 1;
        drop(send);
        let (whole, gone) = reader.join().unwrap();
        assert_eq!(whole + gone, asked);
        assert!(whole > 0);
    }
}
