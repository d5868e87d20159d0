//! The shard's end of a raw ring: frames become blocks of pcapng, blocks batches, batches wait in a bounded queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gillnet_capture::write::{PacketBlock, packet_block};
use gillnet_capture::{Frame, Interface};
use gillnet_pipeline::FrameSink;

use crate::queue::{Bell, lock};

/// A batch of this size is handed over at once.
const BATCH: usize = 256 << 10;
/// A smaller one after this time.
const PATIENCE: Duration = Duration::from_millis(150);
/// Emptied batches that are kept for use again.
const SPARES: usize = 8;
/// Bytes of frames that may wait for their interface to be told of.
const MAX_EARLY: usize = 4 << 20;

/// Blocks of frames.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) blocks: Vec<u8>,
    pub(super) frames: u64,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Batch {
    fn add(&mut self, frame: &Frame<'_>) {
        (self.first, self.last) = match self.frames {
            0 => (frame.ts, frame.ts),
            _ => (self.first.min(frame.ts), self.last.max(frame.ts)),
        };
        self.frames += 1;
        packet_block(
            &mut self.blocks,
            &PacketBlock {
                iface: frame.iface,
                ts: frame.ts,
                wire_len: frame.wire_len,
                direction: frame.direction,
                data: frame.data,
                comment: None,
                custom: &[],
            },
        );
    }
}

/// What the writer is given.
#[derive(Debug)]
pub(super) enum Given {
    /// Further interfaces.
    Interfaces(Vec<Interface>),
    Frames(Batch),
}

/// What a [`RawHandle`] and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) given: Mutex<VecDeque<Given>>,
    spare: Mutex<Vec<Vec<u8>>>,
    /// Bytes of frames in `given`.
    queued: AtomicUsize,
    limit: usize,
    pub(super) bell: Bell,
    /// The shard has let go.
    pub(super) over: AtomicBool,
    /// By the packets' clock; `i64::MIN` before the first frame or tick.
    pub(super) now: AtomicI64,
    pub(super) dropped_kernel: AtomicU64,
    pub(super) dropped_queue: AtomicU64,
    pub(super) dropped_disk: AtomicU64,
}

impl Shared {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            given: Mutex::default(),
            spare: Mutex::default(),
            queued: AtomicUsize::new(0),
            limit,
            bell: Bell::default(),
            over: AtomicBool::new(false),
            now: AtomicI64::new(i64::MIN),
            dropped_kernel: AtomicU64::new(0),
            dropped_queue: AtomicU64::new(0),
            dropped_disk: AtomicU64::new(0),
        }
    }

    /// The batch is written.
    pub(super) fn give_back(&self, mut batch: Batch) {
        self.queued.fetch_sub(batch.blocks.len(), Ordering::Relaxed);
        batch.blocks.clear();
        let mut spare = lock(&self.spare);
        if spare.len() < SPARES {
            spare.push(batch.blocks);
        }
    }
}

/// The shard's end. Its calls never wait for a disk.
#[derive(Debug)]
pub struct RawHandle {
    shared: Arc<Shared>,
    batch: Batch,
    /// Interfaces told of.
    known: usize,
    /// Frames of others.
    early: Batch,
    handed_over: Instant,
}

impl RawHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            batch: Batch::default(),
            known: 0,
            early: Batch::default(),
            handed_over: Instant::now(),
        }
    }

    fn hand_over(&mut self) {
        self.handed_over = Instant::now();
        if self.batch.frames == 0 {
            return;
        }
        let shared = &self.shared;
        let spare = lock(&shared.spare).pop();
        let fresh = Batch {
            blocks: spare.unwrap_or_else(|| Vec::with_capacity(BATCH + (64 << 10))),
            ..Batch::default()
        };
        let batch = std::mem::replace(&mut self.batch, fresh);
        shared
            .queued
            .fetch_add(batch.blocks.len(), Ordering::Relaxed);
        lock(&shared.given).push_back(Given::Frames(batch));
        shared.bell.ring();
    }
}

impl FrameSink for RawHandle {
    fn frame(&mut self, frame: &Frame<'_>) -> bool {
        let shared = &self.shared;
        let queued = shared.queued.load(Ordering::Relaxed) + self.batch.blocks.len();
        let is_early = frame.iface as usize >= self.known;
        let full = queued + frame.data.len() > shared.limit;
        if full || is_early && self.early.blocks.len() > MAX_EARLY {
            shared.dropped_queue.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if is_early {
            self.early.add(frame);
            return true;
        }
        self.batch.add(frame);
        if self.batch.blocks.len() >= BATCH {
            self.hand_over();
        }
        true
    }

    fn interfaces(&mut self, interfaces: &[Interface]) {
        let Some(fresh) = interfaces.get(self.known..).filter(|new| !new.is_empty()) else {
            return;
        };
        let fresh = Given::Interfaces(fresh.to_vec());
        lock(&self.shared.given).push_back(fresh);
        self.known = interfaces.len();
        if self.early.frames > 0 {
            self.hand_over();
            self.batch = std::mem::take(&mut self.early);
        }
    }

    fn flush(&mut self, now: i64, kernel_dropped: u64) {
        let shared = &self.shared;
        shared.now.fetch_max(now, Ordering::Relaxed);
        shared
            .dropped_kernel
            .store(kernel_dropped, Ordering::Relaxed);
        if self.batch.frames > 0 && self.handed_over.elapsed() >= PATIENCE {
            self.hand_over();
        }
    }

    fn lost(&self) -> u64 {
        self.shared.dropped_disk.load(Ordering::Relaxed)
    }
}

impl Drop for RawHandle {
    fn drop(&mut self) {
        self.hand_over();
        self.shared.over.store(true, Ordering::Release);
        self.shared.bell.ring();
    }
}
