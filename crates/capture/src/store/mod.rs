//! The byte store: every byte downstream is named by a 64-bit position in one.
//!
//! A [`Store`] is the read side: of a [`Ring`], of mapped capture files, or of what was [`Lent`]. Positions only grow.
//! What lies in `tail..head` is there; what is behind the tail is gone, and one compare tells.
//!
//! Whoever appends (or, of mapped files, asks for the next frame) may move the tail, so a slice
//! that [`Store::get`] gave must not be kept across that; positions are what is kept. Threads
//! other than the writer's use [`Store::copy_out`], which copies first and then looks whether the
//! bytes were still there.

#![allow(unsafe_code)]

mod lent;
mod ring;

use std::{
    fmt, ptr, slice,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering, fence},
    },
};

pub use lent::{Lend, Lent};
pub use ring::{Ahead, Ring};

use crate::{Frame, LinkType, PacketDirection, formats::Layouts, mem::Region};
use lent::Buffers;

/// The most bytes of one frame that are kept: 256 KiB, the largest snap length in use. A GSO frame
/// has at most 64 KiB.
pub const MAX_FRAME: u32 = 256 << 10;

/// Bytes before a frame's data in a ring.
const HEADER: u64 = 32;

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

impl StoredFrame<'_> {
    /// All but its data.
    fn header(&self) -> FrameHeader {
        FrameHeader {
            ts: self.ts,
            iface: self.iface,
            link: self.link,
            direction: self.direction,
            wire_len: self.wire_len,
            prev: self.prev,
        }
    }
}

/// The marks that writer and readers share.
struct Marks {
    /// First position that is still there.
    tail: AtomicU64,
    /// First position that is not written yet.
    head: AtomicU64,
    of: Of,
    /// How frames are laid out where this is a store of mapped files.
    layouts: RwLock<Layouts>,
}

/// Where the bytes are.
enum Of {
    /// In a region, whose addresses this keeps mapped.
    Mapped {
        _region: Arc<Region>,
    },
    Lent(Buffers),
}

impl Of {
    fn mapped(region: &Arc<Region>) -> Self {
        Self::Mapped {
            _region: Arc::clone(region),
        }
    }
}

/// [`Store::mask`] of mapped files: a position is an offset.
const FILES: u64 = u64::MAX;
/// [`Store::mask`] where each buffer lies elsewhere.
const LENT: u64 = 0;

/// The read side of a ring, of mapped files or of buffers; cheap to clone.
///
/// See the module's description for how long a slice from it may be kept.
#[derive(Clone)]
pub struct Store {
    base: *const u8,
    /// Position to offset: the ring's size less one, [`FILES`] or [`LENT`].
    mask: u64,
    marks: Arc<Marks>,
}

// SAFETY: `base` points into the region of `marks`, which lives as long as the Store; reading needs no
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
    pub(crate) fn of_files(region: &Arc<Region>) -> Self {
        let base = region.base().cast_const();
        Self::new(base, FILES, Of::mapped(region))
    }

    fn new(base: *const u8, mask: u64, of: Of) -> Self {
        let marks = Marks {
            tail: AtomicU64::new(0),
            head: AtomicU64::new(0),
            of,
            layouts: RwLock::default(),
        };
        Self {
            base,
            mask,
            marks: Arc::new(marks),
        }
    }

    /// Moves the head of a store of mapped files or of buffers: up to there bytes are there now.
    pub(crate) fn grow(&self, head: u64) {
        self.marks.head.store(head, Ordering::Release);
    }

    /// Moves the tail of a store of mapped files or of buffers: what is behind is about to go.
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
        if from < self.tail() || to > self.head() || from > to || self.mask != FILES {
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
        if self.mask == LENT {
            return self.lent(pos, len);
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
        if self.mask == LENT {
            // nobody gives back meanwhile
            let bytes = self.lent(pos, len);
            return bytes.inspect(|bytes| to.extend_from_slice(bytes)).is_some();
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
        if self.mask == FILES {
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
        if self.mask == FILES {
            let frame = self.frame(pos)?;
            to.extend_from_slice(frame.data);
            return Some(frame.header());
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
