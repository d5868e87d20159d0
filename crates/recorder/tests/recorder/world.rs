//! A simulated world: clocks, a disk and buckets that fail as a seed says.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind as Io, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use gillnet_bucket::layout::{FORMAT_KEY, ObjectName, Part};
use gillnet_bucket::{Body, Bucket, BucketError, ErrorKind, ObjectMeta, PutError};
use gillnet_capture::Lend;
use gillnet_recorder::{Buckets, Clock, File, Fs, View};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How a bucket behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Fine,
    /// Refuses, is slow, lies, answers twice, loses answers, answers late.
    Flaky,
    /// As flaky, at one of ten requests.
    Seldom,
    Away,
    Refusing,
}

/// What a flaky bucket does, all of which every simulation that writes to one is to meet.
pub(crate) const OF_BUCKETS: &[&str] = &[
    "put twice",
    "exists",
    "unavailable",
    "refused",
    "lost before",
    "lost after",
    "lost and late",
    "late request",
];

/// What happened, over all schedules: each must have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(pub(crate) BTreeMap<&'static str, u64>);

impl Events {
    pub(crate) fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

#[derive(Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone)]
enum DirOp {
    Create(String, u64),
    Remove(String),
    Rename(String, String),
}

impl DirOp {
    fn apply(&self, entries: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create(name, id) => {
                entries.insert(name.clone(), *id);
            }
            Self::Remove(name) => {
                entries.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(id) = entries.remove(from) {
                    entries.insert(to.clone(), id);
                }
            }
        }
    }
}

#[derive(Default)]
struct Folder {
    entries: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    /// What was done since the last sync.
    pending: Vec<DirOp>,
}

#[derive(Default)]
pub(crate) struct Objects {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// Requests whose answer was lost and that arrive later.
    late: Vec<(String, Vec<u8>)>,
    pub(crate) foreign: BTreeSet<String>,
    pub(crate) mode: Option<Mode>,
    pub(crate) refused_puts: u64,
}

pub(crate) struct State {
    pub(crate) rng: SmallRng,
    pub(crate) wall: i64,
    pub(crate) mono: u64,
    /// Steps until the process dies.
    pub(crate) crash_in: Option<u32>,
    pub(crate) crashed: bool,
    /// Steps on the disk until one panics.
    pub(crate) panic_in: Option<u32>,
    /// How often an operation of the disk fails.
    pub(crate) io_faults: f64,
    /// Bytes that fit on the disk.
    pub(crate) capacity: u64,
    /// Whether the key may read.
    pub(crate) readable: bool,
    /// How often another's object is there already.
    pub(crate) foreign: f64,
    folders: BTreeMap<PathBuf, Folder>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    pub(crate) buckets: BTreeMap<String, Objects>,
    pub(crate) events: Events,
    pub(crate) violations: Vec<String>,
}

/// See the module.
pub(crate) struct World(Mutex<State>);

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            rng: SmallRng::seed_from_u64(seed),
            wall: 1_700_000_000_000_000_000,
            mono: 0,
            crash_in: None,
            crashed: false,
            panic_in: None,
            io_faults: 0.0,
            capacity: u64::MAX,
            readable: true,
            foreign: 0.0,
            folders: BTreeMap::new(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            buckets: BTreeMap::new(),
            events: Events::default(),
            violations: Vec::new(),
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

impl State {
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.rng.random_bool(p)
    }

    /// Time goes on.
    pub(crate) fn advance(&mut self, ns: u64) {
        self.mono += ns;
        self.wall += ns as i64;
    }

    /// A step of the process: it may die before it.
    fn lives(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.crash_in {
            if *left == 0 {
                self.crashed = true;
            }
            *left = left.saturating_sub(1);
        }
        if self.crashed { Err(dead()) } else { Ok(()) }
    }

    /// A step on the disk: it may fail besides.
    fn disk(&mut self) -> io::Result<()> {
        self.lives()?;
        if let Some(left) = self.panic_in {
            self.panic_in = left.checked_sub(1);
            assert!(self.panic_in.is_some(), "a fault of the process");
        }
        if self.chance(self.io_faults) {
            self.events.add("disk error");
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }

    pub(crate) fn used(&self) -> u64 {
        let live = self
            .folders
            .values()
            .flat_map(|folder| folder.entries.values());
        live.filter_map(|id| self.inodes.get(id))
            .map(|inode| inode.data.len() as u64)
            .sum()
    }

    fn find(&self, path: &Path) -> Option<u64> {
        let (dir, name) = split(path);
        self.folders.get(dir)?.entries.get(name).copied()
    }

    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        Some(self.inodes.get(&self.find(path)?)?.data.clone())
    }

    pub(crate) fn names(&self, dir: &Path) -> Vec<String> {
        self.folders
            .get(dir)
            .map(|folder| folder.entries.keys().cloned().collect())
            .unwrap_or_default()
    }

    fn change(&mut self, dir: &Path, op: DirOp) {
        let folder = self.folders.entry(dir.to_owned()).or_default();
        op.apply(&mut folder.entries);
        folder.pending.push(op);
    }

    /// The process is gone; with it, where power is lost, what was not synced: of each folder's
    /// changes a beginning is kept, of each file's new bytes a beginning, perhaps with rubbish.
    pub(crate) fn restart(&mut self, power_lost: bool) {
        self.crashed = false;
        self.crash_in = None;
        if !power_lost {
            return;
        }
        let rng = &mut self.rng;
        for folder in self.folders.values_mut() {
            let kept = rng.random_range(0..=folder.pending.len());
            for op in &folder.pending[..kept] {
                op.apply(&mut folder.durable);
            }
            folder.pending.clear();
            folder.entries.clone_from(&folder.durable);
        }
        for inode in self.inodes.values_mut() {
            let synced = inode.durable.len();
            if inode.data.len() > synced && inode.data.starts_with(&inode.durable) {
                let kept = rng.random_range(synced..=inode.data.len());
                let torn = rng.random_range(0..=inode.data.len() - kept);
                inode.data.truncate(kept + torn);
                for byte in &mut inode.data[kept..] {
                    *byte = if rng.random_bool(0.5) {
                        0
                    } else {
                        rng.random()
                    };
                }
            } else {
                inode.data.clone_from(&inode.durable);
            }
            inode.durable.clone_from(&inode.data);
        }
        self.events.add("power lost");
    }

    pub(crate) fn deliver_late(&mut self, destination: &str, all: bool) {
        let Some(bucket) = self.buckets.get_mut(destination) else {
            return;
        };
        let mut at = 0;
        while at < bucket.late.len() {
            if all || self.rng.random_bool(0.3) {
                let (key, bytes) = bucket.late.remove(at);
                bucket.objects.entry(key).or_insert(bytes);
                self.events.add("late request");
            } else {
                at += 1;
            }
        }
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&mut self) {
        self.io_faults = 0.0;
        self.capacity = u64::MAX;
        self.foreign = 0.0;
        self.crash_in = None;
        let destinations: Vec<String> = self.buckets.keys().cloned().collect();
        for destination in destinations {
            self.deliver_late(&destination, true);
            self.buckets.entry(destination).or_default().mode = Some(Mode::Fine);
        }
    }
}

fn split(path: &Path) -> (&Path, &str) {
    (
        path.parent().unwrap(),
        path.file_name().unwrap().to_str().unwrap(),
    )
}

/// The clocks of a world.
pub(crate) struct SimClock(pub(crate) Arc<World>);

impl Clock for SimClock {
    fn rest(&self, _: u64) {}

    fn now(&self) -> i64 {
        self.0.state().wall
    }

    fn monotonic(&self) -> u64 {
        self.0.state().mono
    }
}

/// The disk of a world.
pub(crate) struct SimFs(pub(crate) Arc<World>);

struct SimFile {
    world: Arc<World>,
    id: u64,
}

impl Write for SimFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let state = &mut *self.world.state();
        if state.crashed {
            return Err(dead());
        }
        let fate = state.disk();
        let free = match state.capacity {
            u64::MAX => usize::MAX,
            capacity => capacity.saturating_sub(state.used()) as usize,
        };
        let mut len = buf.len().min(free);
        if fate.is_err() && !state.crashed {
            // what a failing call wrote before is told by the call before
            len = 0;
        } else if fate.is_err() || state.chance(2.0 * state.io_faults) {
            // torn where the process dies, short where it does not
            len = state.rng.random_range(0..=len);
        }
        if let Some(inode) = state.inodes.get_mut(&self.id) {
            inode.data.extend_from_slice(&buf[..len]);
        }
        fate?;
        if len == 0 && !buf.is_empty() {
            state.events.add("disk full");
            return Err(Io::StorageFull.into());
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A view whose disk may fail once, before it is asked whether it did.
struct SimView {
    bytes: Vec<u8>,
    whole: AtomicBool,
}

impl Lend for SimView {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl View for SimView {
    fn is_whole(&self) -> bool {
        self.whole.swap(true, Ordering::Relaxed)
    }
}

impl File for SimFile {
    fn view(&self) -> io::Result<Arc<dyn View>> {
        let state = &mut *self.world.state();
        state.disk()?;
        let mut bytes = state.inodes[&self.id].data.clone();
        let whole = state.disk().is_ok();
        if !whole {
            let from = state.rng.random_range(0..=bytes.len());
            bytes[from..].fill(0);
        }
        let whole = AtomicBool::new(whole);
        Ok(Arc::new(SimView { bytes, whole }))
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let state = &mut *self.world.state();
        state.disk()?;
        state
            .inodes
            .get_mut(&self.id)
            .unwrap()
            .data
            .truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let state = &mut *self.world.state();
        state.disk()?;
        let inode = state.inodes.get_mut(&self.id).unwrap();
        inode.durable.clone_from(&inode.data);
        Ok(())
    }
}

impl Fs for SimFs {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let state = &mut *self.0.state();
        state.disk()?;
        state.folders.entry(dir.to_owned()).or_default();
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = &mut *self.0.state();
        state.disk()?;
        let folder = state.folders.get(dir).ok_or(Io::NotFound)?;
        let len = |id: &u64| state.inodes[id].data.len() as u64;
        Ok(folder
            .entries
            .iter()
            .map(|(name, id)| (name.clone(), len(id)))
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let state = &mut *self.0.state();
        state.disk()?;
        if state.capacity != u64::MAX && state.capacity <= state.used() && state.chance(0.5) {
            return Err(Io::StorageFull.into());
        }
        let id = match state.find(path) {
            Some(id) => id,
            None => {
                let id = state.next_inode;
                state.next_inode += 1;
                let (dir, name) = split(path);
                state.change(dir, DirOp::Create(name.to_owned(), id));
                id
            }
        };
        state.inodes.entry(id).or_default().data.clear();
        Ok(Box::new(SimFile {
            world: Arc::clone(&self.0),
            id,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let state = &mut *self.0.state();
        state.disk()?;
        let id = state.find(path).ok_or(Io::NotFound)?;
        Ok(Box::new(SimFile {
            world: Arc::clone(&self.0),
            id,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let state = &mut *self.0.state();
        state.disk()?;
        state.find(from).ok_or(Io::NotFound)?;
        let ((dir, from), (_, to)) = (split(from), split(to));
        state.change(dir, DirOp::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.0.state();
        state.disk()?;
        state.find(path).ok_or(Io::NotFound)?;
        let (dir, name) = split(path);
        state.change(dir, DirOp::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let state = &mut *self.0.state();
        state.disk()?;
        let folder = state.folders.get_mut(dir).ok_or(Io::NotFound)?;
        folder.pending.clear();
        folder.durable.clone_from(&folder.entries);
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.0.state().disk()?;
        Ok(Box::new(()))
    }
}

/// The buckets of a world.
pub(crate) struct SimBuckets(pub(crate) Arc<World>);

struct SimBucket {
    world: Arc<World>,
    destination: String,
}

impl Buckets for SimBuckets {
    fn open(&self, destination: &str) -> Result<Arc<dyn Bucket>, BucketError> {
        let state = &mut *self.0.state();
        if state.lives().is_err()
            || state
                .buckets
                .entry(destination.to_owned())
                .or_default()
                .mode
                == Some(Mode::Away)
        {
            return Err(BucketError::new(
                ErrorKind::Unavailable,
                destination,
                "no connection",
            ));
        }
        Ok(Arc::new(SimBucket {
            world: Arc::clone(&self.0),
            destination: destination.to_owned(),
        }))
    }
}

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    Twice,
    Unavailable,
    LostBefore,
    LostAfter,
    LostLate,
    Refused,
}

impl State {
    fn fate(&mut self, mode: Mode) -> Fate {
        match mode {
            Mode::Fine => Fate::Fine,
            Mode::Away => Fate::Unavailable,
            Mode::Refusing => Fate::Refused,
            Mode::Seldom if !self.chance(0.1) => Fate::Fine,
            Mode::Flaky | Mode::Seldom => {
                if self.chance(0.1) {
                    self.events.add("slow answer");
                    let time = self.rng.random_range(0..40_000_000_000);
                    self.advance(time);
                }
                match self.rng.random_range(0..100) {
                    0..15 => Fate::Unavailable,
                    15..25 => Fate::LostBefore,
                    25..40 => Fate::LostAfter,
                    40..50 => Fate::LostLate,
                    50..60 => Fate::Twice,
                    60..65 => Fate::Refused,
                    _ => Fate::Fine,
                }
            }
        }
    }
}

impl SimBucket {
    fn fault(&self, kind: ErrorKind, message: &str) -> BucketError {
        BucketError::new(kind, self.destination.clone(), message)
    }

    /// Whether the answer to a request that was done gets lost.
    fn unanswered(&self, what: &'static str) -> Option<BucketError> {
        let state = &mut *self.world.state();
        let mode = state.buckets.get(&self.destination)?.mode;
        let often = match mode {
            Some(Mode::Flaky) => 0.1,
            Some(Mode::Seldom) => 0.01,
            _ => 0.0,
        };
        if !state.chance(often) {
            return None;
        }
        state.events.add(what);
        Some(self.fault(ErrorKind::Unavailable, "timeout"))
    }

    fn read<T>(
        &self,
        key: &str,
        found: impl FnOnce(Option<&Vec<u8>>) -> T,
    ) -> Result<T, BucketError> {
        let state = &mut *self.world.state();
        if state.lives().is_err() {
            return Err(self.fault(ErrorKind::Unavailable, "dead"));
        }
        state.deliver_late(&self.destination, false);
        if !state.readable {
            return Err(self.fault(ErrorKind::Forbidden, "may not read"));
        }
        let mode = state
            .buckets
            .entry(self.destination.clone())
            .or_default()
            .mode;
        let often = match mode {
            Some(Mode::Away) => 1.0,
            Some(Mode::Flaky) => 0.2,
            Some(Mode::Seldom) => 0.02,
            _ => 0.0,
        };
        if state.chance(often) {
            return Err(self.fault(ErrorKind::Unavailable, "no connection"));
        }
        Ok(found(state.buckets[&self.destination].objects.get(key)))
    }
}

impl Bucket for SimBucket {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        let state = &mut *self.world.state();
        let lost = |message: &str| PutError::Ambiguous(self.fault(ErrorKind::Unavailable, message));
        if state.lives().is_err() {
            return Err(lost("dead"));
        }
        let bytes = match body {
            Body::Bytes(bytes) => bytes.to_vec(),
            // what a compaction makes is on the real disk
            Body::File(path) => match state.content(path).or_else(|| std::fs::read(path).ok()) {
                Some(bytes) => bytes,
                None => {
                    return Err(PutError::Refused(
                        self.fault(ErrorKind::Other, "no such file"),
                    ));
                }
            },
        };
        state.deliver_late(&self.destination, false);
        let mode = state
            .buckets
            .entry(self.destination.clone())
            .or_default()
            .mode
            .unwrap_or(Mode::Fine);
        let fate = state.fate(mode);
        let is_new = !state.buckets[&self.destination].objects.contains_key(key);
        if is_new && key != FORMAT_KEY && fate != Fate::Unavailable && state.chance(state.foreign) {
            let mut other = bytes.clone();
            match state.rng.random_range(0..3) {
                0 => other.clear(),
                1 => other.push(0),
                _ => *other.last_mut().unwrap() ^= 1,
            }
            let bucket = state.buckets.entry(self.destination.clone()).or_default();
            bucket.objects.insert(key.to_owned(), other);
            bucket.foreign.insert(key.to_owned());
            state.events.add("foreign object");
        }
        // entries of a group never point at what is not there
        if let Some((Part::Names, name)) = ObjectName::parse(key)
            && state.buckets[&self.destination].foreign.is_empty()
            && !state.buckets[&self.destination]
                .objects
                .contains_key(&name.packets_key())
        {
            state
                .violations
                .push(format!("{key} was put before its packets"));
        }
        let readable = state.readable;
        let bucket = state.buckets.entry(self.destination.clone()).or_default();
        let exists = bucket.objects.contains_key(key);
        let mut put = || {
            bucket
                .objects
                .entry(key.to_owned())
                .or_insert_with(|| bytes.clone());
        };
        let there = || {
            Err(PutError::Exists {
                place: key.to_owned(),
            })
        };
        let (what, answer) = match fate {
            Fate::Fine if exists => ("exists", there()),
            Fate::Fine => {
                put();
                ("put", Ok(()))
            }
            // the second of two requests answers, or the first
            Fate::Twice => {
                put();
                (
                    "put twice",
                    if exists || readable { there() } else { Ok(()) },
                )
            }
            Fate::Unavailable => (
                "unavailable",
                Err(PutError::Unavailable(
                    self.fault(ErrorKind::Unavailable, "no connection"),
                )),
            ),
            Fate::LostBefore => ("lost before", Err(lost("timeout"))),
            Fate::LostAfter => {
                put();
                ("lost after", Err(lost("500")))
            }
            Fate::LostLate => {
                bucket.late.push((key.to_owned(), bytes));
                ("lost and late", Err(lost("timeout")))
            }
            Fate::Refused => {
                bucket.refused_puts += 1;
                (
                    "refused",
                    Err(PutError::Refused(self.fault(ErrorKind::Forbidden, "403"))),
                )
            }
        };
        state.events.add(what);
        answer
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        self.read(key, |found| {
            found.map(|bytes| ObjectMeta {
                key: key.to_owned(),
                size: bytes.len() as u64,
                modified: SystemTime::UNIX_EPOCH,
            })
        })
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        self.read(key, |found| found.cloned())?
            .ok_or_else(|| self.fault(ErrorKind::NotFound, "not there"))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        let all = self.get(key)?;
        let (from, to) = (
            all.len().min(range.start as usize),
            all.len().min(range.end as usize),
        );
        Ok(all[from..to].to_vec())
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        // whether it may be read at all
        self.read("", |_| ())?;
        let objects = self.world.state().buckets[&self.destination]
            .objects
            .clone();
        let found = objects.iter().filter(|(key, _)| key.starts_with(prefix));
        // a long list comes in parts
        let part = self.unanswered("list cut short").map(|error| {
            let state = &mut *self.world.state();
            (state.rng.random_range(0..=objects.len()), error)
        });
        let most = part.as_ref().map_or(usize::MAX, |(most, _)| *most);
        for (key, bytes) in found.take(most) {
            each(ObjectMeta {
                key: key.clone(),
                size: bytes.len() as u64,
                modified: SystemTime::UNIX_EPOCH,
            });
        }
        part.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.read(key, |_| ())?;
        let mut guard = self.world.state();
        let state = &mut *guard;
        let bucket = state.buckets.get_mut(&self.destination).unwrap();
        bucket.objects.remove(key);
        if state.lives().is_err() {
            return Err(self.fault(ErrorKind::Unavailable, "it died before the answer came"));
        }
        drop(guard);
        self.unanswered("deletion without an answer")
            .map_or(Ok(()), Err)
    }

    fn place(&self, key: &str) -> String {
        format!("{}/{key}", self.destination)
    }
}
