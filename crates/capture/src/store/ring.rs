//! A ring of bytes: what frames of a live source are copied into.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
    ptr,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
};

use super::{FrameHeader, HEADER, MAX_FRAME, Of, Store, StoredFrame, pack};
use crate::{Error, Result, mem::Region};

/// The smallest ring: it must hold a largest frame several times.
const MIN_RING: u64 = 1 << 20;
/// The largest: twice as many addresses are mapped.
const MAX_RING: u64 = 1 << 45;

/// How far the tail is moved ahead of the writer at a time, so that other threads' view of it
/// needs one fence a stride, not one a frame.
const STRIDE: u64 = 64 << 10;

/// How far [`Ahead`] goes before the writer, and how many bytes of pages it asks for at a time: in between others come to
/// their turn.
const AHEAD: u64 = 32 << 20;
const PIECE: u64 = 64 << 10;

/// The writer of a ring of bytes in a file (or in memory) of fixed size, allocated ahead.
///
/// The file is mapped twice, side by side, so that every range up to the ring's size is one slice.
pub struct Ring {
    base: *mut u8,
    size: u64,
    head: u64,
    /// Up to here may be written before the tail must move.
    reserved: u64,
    region: Arc<Region>,
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
        let region = Arc::new(region);
        let store = Store::new(base.cast_const(), size - 1, Of::mapped(&region));
        Ok(Self {
            base,
            size,
            head: 0,
            reserved: size,
            region,
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
            region: Arc::clone(&self.region),
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
    region: Arc<Region>,
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
        let at = (from & self.store.mask) as usize;
        self.region.provide(at, PIECE as usize);
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
    use crate::{LinkType, PacketDirection};
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
                assert_eq!((frame.header(), frame.data), (*head, &data[..]));
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
