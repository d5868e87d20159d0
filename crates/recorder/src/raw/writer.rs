//! The writer of a raw ring: segments are begun, filled, closed and deleted.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gillnet_capture::write::{SectionBlock, interface_block, section_block};
use gillnet_capture::{Interface, turns};

use super::mark::{MARK_BYTES, Mark, recover, remove, segment_path, segments};
use super::sink::{Batch, Given, RawHandle, Shared};
use super::{MIN_SIZE, RawConfig, RawError, failed, folder};
use crate::fs::is_full;
use crate::queue::lock;

/// A ring is so many segments, where these are neither too small nor too large.
const SEGMENTS: u64 = 32;
const SEGMENT_MIN: u64 = 2 << 20;
const SEGMENT_MAX: u64 = 256 << 20;
/// With a limit of age, a segment holds at most this part of it.
const AGE_PARTS: i64 = 16;
/// How often the newest segment's mark is written, and old ones are looked at.
const MARK_EVERY: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How a ring is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawStatus {
    /// Frames written since the start.
    pub written_packets: u64,
    /// Bytes of segments written since the start.
    pub written_bytes: u64,
    /// Frames that found the queue full.
    pub dropped_queue: u64,
    /// Frames that the disk did not take.
    pub dropped_disk: u64,
    /// Segments there are.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Since when there are frames (nanoseconds since the Unix epoch); 0 where there are none.
    pub oldest: i64,
    /// Segments deleted for their age or for the ring's size.
    pub deleted_segments: u64,
    /// Bytes of torn ends that were cut off at the start.
    pub cut_bytes: u64,
    /// What is wrong now.
    pub fault: Option<String>,
}

/// A raw ring that is written.
pub struct RawRing {
    shared: Arc<Shared>,
    status: Arc<Mutex<RawStatus>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for RawRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawRing").finish_non_exhaustive()
    }
}

impl RawRing {
    /// Takes in what there is, and begins to write. The shard's end comes with it.
    ///
    /// # Errors
    /// Where the folder can't be used, or the limits can't be.
    pub fn start(config: RawConfig) -> Result<(Self, RawHandle), RawError> {
        if config.size < MIN_SIZE {
            return Err(RawError::Size { size: config.size });
        }
        let dir = folder(&config.data_dir);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(failed(&dir))?;
        let shared = Arc::new(Shared::new(config.queue_bytes));
        let status = Arc::<Mutex<RawStatus>>::default();
        let mut writer = Writer {
            config,
            shared: Arc::clone(&shared),
            status: Arc::clone(&status),
            closed: VecDeque::new(),
            current: None,
            next: 1,
            interfaces: Vec::new(),
            seen: Seen::default(),
            covered: None,
            dir,
        };
        writer.take_in()?;
        let thread = thread::Builder::new()
            .name("raw write".to_owned())
            .spawn(move || writer.run());
        let path = Path::new("raw write");
        let thread = Some(thread.map_err(failed(path))?);
        let handle = RawHandle::new(Arc::clone(&shared));
        let ring = Self {
            shared,
            status,
            thread,
        };
        Ok((ring, handle))
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> RawStatus {
        RawStatus {
            dropped_queue: self.shared.dropped_queue.load(Ordering::Relaxed),
            dropped_disk: self.shared.dropped_disk.load(Ordering::Relaxed),
            ..lock(&self.status).clone()
        }
    }

    /// Waits until all that was handed over is written. The [`RawHandle`] is to be dropped before.
    pub fn stop(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A segment that is whole.
struct Closed {
    path: PathBuf,
    mark: Mark,
}

/// The newest segment.
struct Current {
    path: PathBuf,
    file: File,
    mark: Mark,
    marked: Mark,
}

/// What was counted by the end of the segment before.
#[derive(Default)]
struct Seen {
    kernel: u64,
    queue: u64,
    disk: u64,
}

struct Writer {
    config: RawConfig,
    shared: Arc<Shared>,
    status: Arc<Mutex<RawStatus>>,
    dir: PathBuf,
    /// Oldest first.
    closed: VecDeque<Closed>,
    current: Option<Current>,
    next: u64,
    interfaces: Vec<Interface>,
    seen: Seen,
    /// Until when the segment before is whole, by this process.
    covered: Option<i64>,
}

impl Writer {
    /// What earlier runs left.
    fn take_in(&mut self) -> Result<(), RawError> {
        for (number, path) in segments(&self.dir).map_err(failed(&self.dir))? {
            self.next = number + 1;
            if let Some(mark) = recover(&path).map_err(failed(&path))? {
                if mark.run != self.config.run {
                    lock(&self.status).cut_bytes += mark.lost.cut_bytes;
                }
                self.closed.push_back(Closed { path, mark });
            }
        }
        self.make_room(0);
        self.show();
        Ok(())
    }

    fn run(mut self) {
        turns::give_way();
        let (mut heard, mut looked) = (0, Instant::now());
        loop {
            // what was given before it was over is there
            let over = self.shared.over.load(Ordering::Acquire);
            let given = lock(&self.shared.given).pop_front();
            let idle = given.is_none();
            match given {
                Some(Given::Interfaces(fresh)) => self.add_interfaces(fresh),
                Some(Given::Frames(batch)) => {
                    self.take(&batch);
                    self.shared.give_back(batch);
                }
                None if over => break,
                None => {}
            }
            if looked.elapsed() >= MARK_EVERY {
                looked = Instant::now();
                self.look();
            }
            if idle {
                let shared = Arc::clone(&self.shared);
                shared.bell.wait(&mut heard, LOOK_EVERY);
            }
        }
        self.close();
        self.show();
    }

    fn segment_size(&self) -> u64 {
        (self.config.size / SEGMENTS).clamp(SEGMENT_MIN, SEGMENT_MAX)
    }

    fn add_interfaces(&mut self, fresh: Vec<Interface>) {
        let mut blocks = Vec::new();
        for interface in &fresh {
            interface_block(&mut blocks, interface);
        }
        self.interfaces.extend(fresh);
        // one that can't be written is in the next segment
        if self.current.is_some() && self.write(&blocks).is_err() {
            self.close();
        }
    }

    /// Writes a batch, or counts its frames as lost.
    fn take(&mut self, batch: &Batch) {
        let size = batch.blocks.len() as u64;
        let full = |current: &Current| {
            current.mark.packets > 0 && current.mark.bytes + size > self.segment_size()
        };
        if self.current.as_ref().is_some_and(full) {
            self.close();
        }
        let mut result = self.put(batch);
        if result.as_ref().is_err_and(is_full) && self.delete_oldest() {
            result = self.put(batch);
        }
        let mut status = lock(&self.status);
        match result {
            Ok(()) => {
                status.written_packets += batch.frames;
                status.written_bytes += size;
                if status.fault.take().is_some() {
                    tracing::info!("raw capture goes on");
                }
            }
            Err(error) => {
                self.shared
                    .dropped_disk
                    .fetch_add(batch.frames, Ordering::Relaxed);
                let message = format!("{}: {error}", self.dir.display());
                if status.fault.is_none() {
                    tracing::error!(
                        "raw capture: {message}; frames are dropped until it can be written again"
                    );
                }
                status.fault = Some(message);
                drop(status);
                self.count_lost();
            }
        }
    }

    fn put(&mut self, batch: &Batch) -> io::Result<()> {
        self.make_room(batch.blocks.len() as u64);
        if self.current.is_none() {
            self.open(batch.first)?;
        }
        if let Err(error) = self.write(&batch.blocks) {
            // what it has is whole again, or it is closed and cut at the next start
            self.close();
            return Err(error);
        }
        if let Some(current) = &mut self.current {
            current.mark.add(batch.frames, batch.first, batch.last);
        }
        Ok(())
    }

    fn open(&mut self, first: i64) -> io::Result<()> {
        let path = segment_path(&self.dir, self.next);
        self.next += 1;
        let mut head = Vec::new();
        let comment = format!(
            "gillnet raw capture; node {}; run {:016x}",
            self.config.node, self.config.run
        );
        section_block(
            &mut head,
            &SectionBlock {
                application: Some(concat!("gillnet ", env!("CARGO_PKG_VERSION"))),
                comment: Some(&comment),
                ..SectionBlock::default()
            },
        );
        for interface in &self.interfaces {
            interface_block(&mut head, interface);
        }
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let from = self.covered.unwrap_or(first);
        let mark = Mark::new(&self.config.node, self.config.run, from);
        self.current = Some(Current {
            path,
            file,
            marked: mark.clone(),
            mark,
        });
        let begun = self.write(&head).and_then(|()| {
            let current = self.current.as_ref();
            current.map_or(Ok(()), |current| current.mark.write(&current.path))
        });
        if begun.is_err()
            && let Some(current) = self.current.take()
        {
            let _ = remove(&current.path);
        }
        begun
    }

    /// Appends to the newest segment, whole or not at all.
    fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        match current.file.write_all(blocks) {
            Ok(()) => {
                current.mark.bytes += blocks.len() as u64;
                Ok(())
            }
            Err(error) => {
                let _ = current.file.set_len(current.mark.bytes);
                Err(error)
            }
        }
    }

    /// Takes up what was counted since the segment before.
    fn count_lost(&mut self) {
        let shared = &self.shared;
        let Some(current) = &mut self.current else {
            return;
        };
        let now = Seen {
            kernel: shared.dropped_kernel.load(Ordering::Relaxed),
            queue: shared.dropped_queue.load(Ordering::Relaxed),
            disk: shared.dropped_disk.load(Ordering::Relaxed),
        };
        let lost = &mut current.mark.lost;
        lost.kernel += now.kernel.saturating_sub(self.seen.kernel);
        lost.queue += now.queue - self.seen.queue;
        lost.disk += now.disk - self.seen.disk;
        self.seen = now;
    }

    /// Writes the mark of the newest segment, and deletes what is too old.
    fn look(&mut self) {
        let now = self.shared.now.load(Ordering::Relaxed);
        self.count_lost();
        if now == i64::MIN {
            return self.show();
        }
        if let Some(current) = &mut self.current {
            // all that came before is in it, or still in the queue
            if lock(&self.shared.given).is_empty() {
                current.mark.to = current.mark.to.max(now);
            }
            if current.mark != current.marked {
                match current.mark.write(&current.path) {
                    Ok(()) => current.marked = current.mark.clone(),
                    Err(error) => tracing::debug!(%error, "a mark of raw capture can't be written"),
                }
            }
        } else if self.covered.is_none() {
            // silent so far, but looked at
            self.covered = Some(now);
        }
        if let Some(age) = self.config.age {
            let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            let oldest = now.saturating_sub(age);
            let part = self.current.as_ref();
            if part.is_some_and(|current| {
                current.mark.packets > 0 && now.saturating_sub(current.mark.first) > age / AGE_PARTS
            }) {
                self.close();
            }
            while self
                .closed
                .front()
                .is_some_and(|closed| closed.mark.last < oldest)
                && self.delete_oldest()
            {}
        }
        self.show();
    }

    fn close(&mut self) {
        self.count_lost();
        let Some(mut current) = self.current.take() else {
            return;
        };
        let mark = &mut current.mark;
        mark.open = false;
        if lock(&self.shared.given).is_empty() {
            mark.to = mark.to.max(self.shared.now.load(Ordering::Relaxed));
        }
        self.covered = Some(mark.to);
        let closed = current
            .file
            .sync_data()
            .and_then(|()| mark.write(&current.path));
        if let Err(error) = closed {
            tracing::warn!(segment = %current.path.display(), %error, "a segment of raw capture can't be closed");
        }
        self.closed.push_back(Closed {
            path: current.path,
            mark: current.mark,
        });
    }

    fn bytes(&self) -> u64 {
        let closed = self.closed.iter().map(|closed| &closed.mark);
        let current = self.current.iter().map(|current| &current.mark);
        closed
            .chain(current)
            .map(|mark| mark.bytes + MARK_BYTES)
            .sum()
    }

    /// Deletes what is oldest until so many bytes more fit.
    fn make_room(&mut self, more: u64) {
        // what a new segment begins with
        let head = MARK_BYTES + 256 * (self.interfaces.len() as u64 + 1);
        while self.bytes() + more + head > self.config.size && self.delete_oldest() {}
    }

    fn delete_oldest(&mut self) -> bool {
        let Some(closed) = self.closed.pop_front() else {
            return false;
        };
        if let Err(error) = remove(&closed.path) {
            tracing::warn!(segment = %closed.path.display(), %error, "a segment of raw capture can't be deleted");
        }
        lock(&self.status).deleted_segments += 1;
        true
    }

    fn show(&self) {
        let oldest = self.closed.front().map(|closed| closed.mark.first);
        let oldest = oldest.or_else(|| self.current.as_ref().map(|current| current.mark.first));
        let mut status = lock(&self.status);
        status.segments = (self.closed.len() + usize::from(self.current.is_some())) as u64;
        status.bytes = self.bytes();
        status.oldest = oldest.unwrap_or(0);
    }
}
