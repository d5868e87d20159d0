//! The spool on the node: active logs, sealed objects, and what is known of both.
//!
//! ```text
//! spool/lock                               held by the process that writes here
//! spool/reserve                            room for sealing and noting when the disk is full
//! spool/active/<run>_<seq>.log             records as they come            ── closed ──► sealing
//! spool/active/<run>_<seq>.<turn>.held     sealed, and may be read again
//! spool/sealed/<run>_<seq>.pcapng.gz       packets, grouped by stream  ┐
//! spool/sealed/<run>_<seq>.streams         where each stream is        │
//! spool/sealed/<run>_<seq>.names           what addresses meant        ├─► uploaded, then removed
//! spool/sealed/<run>_<seq>.<hour>.entries  the entries of an hour      │
//! spool/sealed/<run>_<seq>.json            the sidecar                 ┘
//! spool/done/<run>_<seq>                   what was sealed of captures that are read again after a crash
//! ```
//!
//! An object is sealed at the moment when its sidecar is renamed into place; before that the log
//! counts, after that the object does, and only when the log is gone (and its folder on the disk)
//! is the object offered for upload. It is done with at the moment when its sidecar is removed. So
//! a crash between any two steps neither loses nor doubles: what is found at the next start is
//! either a log, which is sealed under the name that its head gives it, or an object with its
//! sidecar; files without either are left-overs.

mod active;
mod held;
mod inventory;
mod recover;
mod replay;
mod seal;
mod sealed;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) use active::{ActiveLog, Cause, Written};
use inventory::Closed;
pub(crate) use inventory::{Inventory, NoUpload, Upload};
use replay::Replay;
pub use seal::Sealing;
use sealed::{PartFile, SIDECAR};

use crate::clock::{Clock, SECOND};
use crate::dissect::Dissector;
use crate::fs::{Fs, is_full, write_through};
use crate::queue::{Bell, lock};
use crate::record::LogHead;
use crate::rule::Rule;
use crate::status::Counters;
use crate::{Deps, Error, NameHistory, RecorderConfig};

/// Version of the form of active logs.
pub(crate) const LOG_VERSION: u32 = 1;
/// How long a step that failed is left alone, in nanoseconds of the monotonic clock; doubled with
/// each failure up to [`RETRY_MAX`].
const RETRY_MIN: u64 = SECOND / 2;
/// See [`RETRY_MIN`].
const RETRY_MAX: u64 = 30 * SECOND;
/// The most that is kept free for sealing and noting on a full disk; an object's size where that
/// is less.
const RESERVE: u64 = 32 << 20;

/// How long to wait after so many failures in a row.
pub(crate) fn backoff(failures: u32, min: u64, max: u64) -> u64 {
    min.saturating_mul(1 << failures.saturating_sub(1).min(32))
        .min(max)
}

/// The spool. Shared by the threads that write, seal and upload; driven step by step by them, or
/// by a simulation.
pub struct Spool {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fs: Arc<dyn Fs>,
    names: Arc<dyn NameHistory>,
    /// What was sealed, where logs are made again after a crash.
    replay: Option<Replay>,
    /// Used while a log is sealed, by nobody else.
    dissector: Option<Mutex<Dissector>>,
    config: RecorderConfig,
    folders: Folders,
    next_seq: AtomicU64,
    /// The turn of the next log whose entries are read.
    next_turn: AtomicU64,
    state: Mutex<Inventory>,
    /// No time is left to rest, or to spread uploads.
    hurry: AtomicBool,
    /// Rung when there is something to seal.
    pub(crate) sealer: Bell,
    /// Rung when there is something to upload.
    pub(crate) uploader: Arc<Bell>,
    _lock: Box<dyn Any + Send + Sync>,
}

struct Folders {
    active: PathBuf,
    sealed: PathBuf,
    reserve: PathBuf,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("active", &self.folders.active)
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens the spool, and takes in what earlier runs left there.
    ///
    /// # Errors
    /// Where the folder can't be made or read, another process has it, or there is no room.
    pub fn open(config: RecorderConfig, deps: &Deps) -> Result<Self, Error> {
        let dir = config.data_dir.join("spool");
        let folders = Folders {
            active: dir.join("active"),
            sealed: dir.join("sealed"),
            reserve: dir.join("reserve"),
        };
        let fs = Arc::clone(&deps.fs);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Folder { path, source }
        };
        for dir in [&config.data_dir, &dir, &folders.active, &folders.sealed] {
            fs.create_dir(dir).map_err(failed(dir))?;
        }
        let lock_path = dir.join("lock");
        let lock = fs.lock(&lock_path).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => Error::InUse { path: dir.clone() },
            _ => Error::Folder {
                path: lock_path.clone(),
                source,
            },
        })?;
        let replay = config
            .replayable
            .then(|| Replay::open(&*fs, dir.join("done")));
        let replay = replay.transpose().map_err(failed(&dir))?;
        let mut spool = Self {
            replay,
            clock: Arc::clone(&deps.clock),
            fs,
            names: Arc::clone(&deps.names),
            dissector: deps
                .dissection
                .clone()
                .map(|with| Mutex::new(Dissector::new(with))),
            state: Mutex::new(Inventory::new(config.run)),
            config,
            folders,
            next_seq: AtomicU64::new(1),
            next_turn: AtomicU64::new(1),
            hurry: AtomicBool::new(false),
            sealer: Bell::default(),
            uploader: Arc::default(),
            _lock: lock,
        };
        spool.recover().map_err(failed(&dir))?;
        // what is there already may be what fills the disk: it is sealed and uploaded all the same
        match spool.make_reserve() {
            Err(source) if is_full(&source) && spool.is_empty() => {
                let bytes = spool.reserve_size();
                return Err(Error::NoSpace {
                    path: dir,
                    bytes,
                    source,
                });
            }
            Err(source) if !is_full(&source) => return Err(failed(&dir)(source)),
            _ => {}
        }
        Ok(spool)
    }

    /// No time is left: sealing rests no more, and uploads are not spread.
    pub(crate) fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
        self.sealer.ring();
        self.uploader.ring();
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }

    /// A log for an hour of a rule; its name is used once.
    pub(crate) fn open_log(&self, rule: &Rule, hour: i64, spread: u64) -> io::Result<ActiveLog> {
        let head = LogHead {
            version: LOG_VERSION,
            rule: rule.name.clone(),
            kfl: rule.kfl.clone(),
            destination: rule.destination.clone(),
            cluster: self.config.cluster.clone(),
            node: self.config.node.clone(),
            run: self.config.run,
            seq: self.next_seq.fetch_add(1, Ordering::Relaxed),
            hour,
            payload: rule.payload,
            recipients: rule.recipients.clone(),
        };
        let path = self
            .folders
            .active
            .join(format!("{}{}", head.id(), active::LOG));
        let file = self.fs.create(&path)?;
        ActiveLog::new(head, path, spread, file)
    }

    /// Takes a log that nothing more is appended to.
    pub(crate) fn close_log(&self, log: ActiveLog) {
        let (bytes, frames) = log.written();
        let ActiveLog {
            head, path, spread, ..
        } = log;
        // one that can't be removed now is found again, and removed, by the sealer
        if frames == 0 && self.fs.remove(&path).is_ok() {
            lock(&self.state).bytes -= bytes;
            return;
        }
        let now = self.clock.monotonic();
        let id = (head.id(), Some(head.key()));
        lock(&self.state)
            .closed
            .push_back(Closed::new(id, path, bytes, spread, now));
        self.sealer.ring();
    }

    /// Writes what is pending of a log, where there is room for it.
    pub(crate) fn write(&self, log: &mut ActiveLog) -> Written {
        let pending = log.pending();
        if !self.take_room(pending) {
            return log.give_up(Cause::Limit);
        }
        // what the reserve made room for is for sealing and noting
        let written = if lock(&self.state).has_reserve {
            log.write()
        } else {
            log.give_up(Cause::Full)
        };
        lock(&self.state).bytes -= pending - written.bytes;
        written
    }

    /// Takes room for more bytes of active logs. Where the spool is at its limit, the oldest sealed
    /// objects go; `false` where that is not enough.
    fn take_room(&self, bytes: u64) -> bool {
        let limit = self.config.spool_limit;
        let mut state = lock(&self.state);
        let mut at = 0;
        while state.bytes + bytes > limit {
            if self.let_go_oldest(&mut state) {
                continue;
            }
            let Some(object) = state.oldest_idle(&mut at) else {
                return false;
            };
            let (id, side) = (object.id.clone(), object.side.clone());
            if !self.remove_files(&mut state, &id, &side.files) {
                at += 1;
                continue;
            }
            state.objects.remove(at);
            let counters = state.counters.rule(&side.head.rule);
            counters.given_up_objects += 1;
            counters.given_up_packets += side.packets;
            let (name, packets) = (side.head.object_name(), side.packets);
            tracing::warn!(object = %name, packets, limit, "the spool is at its limit: its oldest object is given up");
        }
        state.bytes += bytes;
        true
    }

    /// Whether nothing waits to be sealed or uploaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let state = lock(&self.state);
        let idle = state.closed.is_empty() && state.objects.is_empty() && !state.sealing;
        idle && !self.has_rest(&state)
    }

    /// Calls with the counters.
    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut lock(&self.state).counters);
    }

    /// A copy of the counters and of how full the spool is.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Inventory) -> T) -> T {
        look(&lock(&self.state))
    }

    pub(crate) fn config(&self) -> &RecorderConfig {
        &self.config
    }

    /// Removes an object's files: the sidecar first, without which the others are left-overs.
    /// `false` where it is still there.
    fn remove_files(&self, state: &mut Inventory, id: &str, files: &[PartFile]) -> bool {
        let sidecar = self.folders.sealed.join(format!("{id}{SIDECAR}"));
        match self.fs.remove(&sidecar) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %sidecar.display(), %error, "can't be removed");
                return false;
            }
            _ => {}
        }
        for file in files {
            let path = self.local(id, file.part);
            // what stays is a left-over, which the next start removes
            if let Err(error) = self.fs.remove(&path) {
                tracing::warn!(file = %path.display(), %error, "can't be removed");
            }
            state.bytes = state.bytes.saturating_sub(file.size);
        }
        true
    }

    fn local(&self, id: &str, part: sealed::Part) -> PathBuf {
        self.folders.sealed.join(format!("{id}{}", part.suffix()))
    }

    fn reserve_size(&self) -> u64 {
        self.config.object_size.min(RESERVE)
    }

    /// Fills the file that keeps room free for sealing and noting.
    fn make_reserve(&self) -> io::Result<()> {
        let size = self.reserve_size();
        let reserve = &self.folders.reserve;
        let made = (|| {
            let mut file = self.fs.create(reserve)?;
            let zeros = vec![0; size.min(256 << 10) as usize];
            let mut left = size;
            while left > 0 {
                let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
                write_through(&mut *file, zeros.get(..part).unwrap_or_default()).1?;
                left -= part as u64;
            }
            file.sync()
        })();
        if made.is_err() {
            let _ = self.fs.remove(reserve);
        }
        lock(&self.state).has_reserve = made.is_ok();
        made
    }

    /// Runs a step that writes; where the disk is full, again with the room that was kept for it.
    fn with_reserve<T>(&self, mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match step() {
            Err(error) if is_full(&error) && lock(&self.state).has_reserve => {
                lock(&self.state).has_reserve = false;
                self.fs.remove(&self.folders.reserve)?;
                step()
            }
            other => other,
        }
    }

    /// Makes the reserve again where it was used; to be called now and then. Until it is there
    /// again, frames are dropped: what room there is, is for sealing and noting.
    pub fn mend_reserve(&self) {
        if !lock(&self.state).has_reserve {
            let _ = self.make_reserve();
        }
    }
}
