//! From a shard's thread to the writer's: frames packed into a batch, batches in a bounded queue.
//!
//! The shard never waits: a batch that finds the queue full stays where it is, and frames that find
//! no room in it are counted and leave a hole in their stream, which is said in its recording.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gillnet_capture::Interface;
use gillnet_entry::Name;

use crate::record::{self, ENVELOPE, FRAME_HEAD, Frame, StreamStart};
use crate::rule::RuleId;

/// A batch of this size is handed over without being asked for.
const BATCH: usize = 256 << 10;
/// Room that a batch has above [`BATCH`], so that the frame that fills it fits.
const SLACK: usize = 72 << 10;
/// The writer is woken when this much is queued; less than that it fetches by itself. Often and little at a time: its work
/// keeps those waiting for whom the host is there.
const WAKE_AT: usize = BATCH;
/// Emptied batches that are kept for use again.
const SPARES: usize = 4;
/// Streams of which it is kept in mind that frames are missing; of others it is only counted.
const MAX_HOLES: usize = 4096;

/// Locks, also after a thread panicked while it held the lock: what is guarded here is whole
/// between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes threads that wait.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<u64>,
    sound: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *lock(&self.rung) += 1;
        self.sound.notify_all();
    }

    /// Waits until it has rung since `heard`, at most for a time; then it is heard.
    pub(crate) fn wait(&self, heard: &mut u64, time: Duration) {
        let rung = lock(&self.rung);
        let wait = self
            .sound
            .wait_timeout_while(rung, time, |rung| *rung == *heard);
        *heard = *wait.unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[derive(Debug, Default)]
struct Batches {
    full: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

/// What a [`Handle`] and the writer share.
#[derive(Debug)]
struct Shared {
    batches: Mutex<Batches>,
    /// Bytes in `batches.full`.
    queued: AtomicUsize,
    limit: usize,
    /// The writer wants what there is, however little.
    wanted: AtomicBool,
    dropped_frames: AtomicU64,
    dropped_records: AtomicU64,
    bell: Arc<Bell>,
}

/// The shard's end of the queue. One a shard; its calls never wait for a disk or a lock that is
/// held for longer than it takes to move a pointer.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    batch: Vec<u8>,
    /// By stream: the rules that miss frames of it, and how many.
    holes: BTreeMap<u64, (u128, u64)>,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Receiver(Arc<Shared>);

/// A queue of at most `limit` bytes of frames.
pub(crate) fn queue(limit: usize, bell: Arc<Bell>) -> (Handle, Receiver) {
    let shared = Arc::new(Shared {
        batches: Mutex::default(),
        queued: AtomicUsize::new(0),
        limit,
        wanted: AtomicBool::new(false),
        dropped_frames: AtomicU64::new(0),
        dropped_records: AtomicU64::new(0),
        bell,
    });
    let handle = Handle {
        shared: Arc::clone(&shared),
        batch: Vec::new(),
        holes: BTreeMap::new(),
    };
    (handle, Receiver(shared))
}

impl Handle {
    /// A rule begins to keep a stream. Before its first [`Handle::frame`].
    pub fn begin(&mut self, rule: RuleId, stream: &StreamStart) {
        self.control(rule.bit(), |out| record::put_stream(out, stream, false));
    }

    /// A frame of a stream, for the rules whose bits ([`RuleId::bit`]) are set. `false` where the
    /// queue is full: the frame is dropped and counted, and its stream's recording will say so.
    pub fn frame(&mut self, stream: u64, rules: u128, frame: &Frame<'_>) -> bool {
        if !self.holes.is_empty() {
            self.close_hole(stream);
        }
        let len = ENVELOPE + FRAME_HEAD + frame.data.len();
        if len > record::MAX_BODY || !self.has_room(len, self.shared.limit) {
            self.drop_frame(stream, rules);
            return false;
        }
        self.batch.extend_from_slice(&rules.to_le_bytes());
        record::put_frame(&mut self.batch, stream, frame);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
        true
    }

    /// A stream has ended; no more frames of it will come.
    pub fn end(&mut self, stream: u64) {
        self.close_hole(stream);
        self.control(u128::MAX, |out| record::put_end_of_stream(out, stream));
    }

    /// What an end of a recorded stream was called when it was asked (`at`, nanoseconds since the
    /// Unix epoch). Stands in the recording's names also where the process that knew it is gone.
    pub fn name(&mut self, stream: u64, end: (IpAddr, u16), name: &Name, at: i64) {
        self.control(u128::MAX, |out| {
            record::put_name(out, stream, end.0, end.1, name, at)
        });
    }

    /// The source's interfaces; to be told again when there are more. An index into them is what
    /// [`Frame::iface`] means.
    pub fn interfaces(&mut self, interfaces: &[Interface]) {
        for (number, interface) in interfaces.iter().enumerate() {
            self.control(u128::MAX, |out| {
                record::put_interface(out, number as u32, interface)
            });
        }
    }

    /// To be called once after each batch of frames and on each tick: gives what there is to the
    /// writer, if it waits for it.
    pub fn flush_batch(&mut self) {
        if !self.holes.is_empty() {
            let streams: Vec<u64> = self.holes.keys().copied().collect();
            for stream in streams {
                self.close_hole(stream);
            }
        }
        // a plain load first: it leaves the cache line shared while nothing is wanted
        let wanted = || {
            self.shared.wanted.load(Ordering::Relaxed)
                && self.shared.wanted.swap(false, Ordering::Relaxed)
        };
        if !self.batch.is_empty() && (self.batch.len() >= BATCH || wanted()) {
            self.hand_over();
        }
    }

    /// Frames dropped so far because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped_frames.load(Ordering::Relaxed)
    }

    fn has_room(&self, len: usize, limit: usize) -> bool {
        self.shared.queued.load(Ordering::Relaxed) + self.batch.len() + len <= limit
    }

    /// A record that is not a frame. These are small and few, and have an eighth of the limit to
    /// themselves, so that a queue full of frames does not lose what the frames mean.
    fn control(&mut self, rules: u128, put: impl FnOnce(&mut Vec<u8>)) -> bool {
        if !self.has_room(0, self.shared.limit + self.shared.limit / 8) {
            self.shared.dropped_records.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.batch.extend_from_slice(&rules.to_le_bytes());
        put(&mut self.batch);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
        true
    }

    fn drop_frame(&mut self, stream: u64, rules: u128) {
        self.shared.dropped_frames.fetch_add(1, Ordering::Relaxed);
        if let Some((all, packets)) = self.holes.get_mut(&stream) {
            *all |= rules;
            *packets += 1;
        } else if self.holes.len() < MAX_HOLES {
            self.holes.insert(stream, (rules, 1));
        }
    }

    /// Says what is missing from a stream, where there is room for it again.
    fn close_hole(&mut self, stream: u64) {
        if let Some((rules, packets)) = self.holes.get(&stream).copied()
            && self.has_room(FRAME_HEAD, self.shared.limit)
            && self.control(rules, |out| record::put_hole(out, stream, packets))
        {
            self.holes.remove(&stream);
        }
    }

    fn hand_over(&mut self) {
        let len = self.batch.len();
        let mut batches = lock(&self.shared.batches);
        let spare = batches.spare.pop();
        let spare = spare.unwrap_or_else(|| Vec::with_capacity(BATCH + SLACK));
        batches
            .full
            .push_back(std::mem::replace(&mut self.batch, spare));
        // before anyone can take the batch out, and its bytes off
        let queued = self.shared.queued.fetch_add(len, Ordering::Relaxed) + len;
        drop(batches);
        if queued >= WAKE_AT {
            self.shared.bell.ring();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.batch.is_empty() {
            self.hand_over();
        }
    }
}

impl Receiver {
    /// The next batch. Its bytes still count as queued until it is given back.
    pub(crate) fn next(&self) -> Option<Vec<u8>> {
        lock(&self.0.batches).full.pop_front()
    }

    /// Whether no further batch waits.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0.batches).full.is_empty()
    }

    /// Gives a batch back that was written.
    pub(crate) fn give_back(&self, mut batch: Vec<u8>) {
        self.0.queued.fetch_sub(batch.len(), Ordering::Relaxed);
        batch.clear();
        let mut batches = lock(&self.0.batches);
        if batches.spare.len() < SPARES && (BATCH..=2 * BATCH).contains(&batch.capacity()) {
            batches.spare.push(batch);
        }
    }

    /// Asks for what the shard has so far.
    pub(crate) fn want(&self) {
        self.0.wanted.store(true, Ordering::Relaxed);
    }

    /// Frames dropped, and other records.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        (
            self.0.dropped_frames.load(Ordering::Relaxed),
            self.0.dropped_records.load(Ordering::Relaxed),
        )
    }

    /// Whether the shard has let go of its end.
    pub(crate) fn is_closed(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

/// Walks a batch: the rules of each record, and its bytes.
pub(crate) fn records(batch: &mut [u8]) -> Records<'_> {
    Records(batch)
}

/// See [`records`].
pub(crate) struct Records<'a>(&'a mut [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = (u128, &'a mut [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (rules, rest) = std::mem::take(&mut self.0).split_first_chunk_mut::<ENVELOPE>()?;
        let (record, rest) = rest.split_at_mut_checked(record::record_len(rest)?)?;
        self.0 = rest;
        Some((u128::from_le_bytes(*rules), record))
    }
}
