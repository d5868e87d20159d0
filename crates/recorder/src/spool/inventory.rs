//! What is in the spool besides active logs, and how far each object's upload is.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::sealed::{Part, Progress, Sidecar};
use super::{RETRY_MAX, RETRY_MIN, Spool, backoff};
use crate::dissect::{ByHour, Key};
use crate::queue::lock;
use crate::status::{Counters, Fault};

/// A log that waits to be sealed.
pub(crate) struct Closed {
    pub(crate) id: String,
    /// Its run and rule, where its head could be read.
    pub(crate) key: Option<Key>,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// Its upload begins within this time (nanoseconds), so that nodes don't come all at once.
    pub(crate) spread: u64,
    /// The sidecar was put in place, or may have been.
    pub(crate) committed: Option<Box<Sidecar>>,
    /// Its entries, where they were read already: the frames behind it may have been, too.
    pub(crate) entries: Option<ByHour>,
    /// As the how manieth its entries were read.
    pub(crate) turn: Option<u64>,
    pub(crate) failures: u32,
    /// Monotonic time from which it is to be sealed.
    pub(crate) not_before: u64,
}

impl Closed {
    pub(crate) fn new(
        (id, key): (String, Option<Key>),
        path: PathBuf,
        bytes: u64,
        spread: u64,
        now: u64,
    ) -> Self {
        Self {
            id,
            key,
            path,
            bytes,
            spread,
            committed: None,
            entries: None,
            turn: None,
            failures: 0,
            not_before: now,
        }
    }
}

/// How sealing entries without packets is.
#[derive(Default)]
pub(crate) struct Rest {
    /// How often it failed.
    pub(crate) failures: u32,
    /// Monotonic time from which it is tried again.
    pub(crate) not_before: u64,
    /// They were written, and the logs that they are read from could not be removed yet.
    pub(crate) written: Option<(Key, Option<Sidecar>)>,
}

/// A sealed log that is held, see [`super::held`].
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) key: Key,
    /// As the how manieth its entries were read.
    pub(crate) turn: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// A sealed object that is not in the bucket yet.
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) side: Sidecar,
    /// It is being sent.
    busy: bool,
    /// Everything is in the bucket; its sidecar could not be removed yet.
    done: bool,
    /// Faults of its own, since the start.
    failures: u32,
    /// Monotonic time before which it is left alone.
    not_before: u64,
}

/// See the module.
pub(crate) struct Inventory {
    pub(crate) closed: VecDeque<Closed>,
    /// In the order of their turns.
    pub(crate) held: Vec<Held>,
    pub(crate) rest: Rest,
    /// A log is being sealed.
    pub(crate) sealing: bool,
    /// Oldest first.
    pub(crate) objects: VecDeque<Object>,
    /// Bytes of logs and objects on the disk.
    pub(crate) bytes: u64,
    pub(crate) has_reserve: bool,
    pub(crate) counters: Counters,
    jitter: SmallRng,
}

impl Inventory {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            closed: VecDeque::new(),
            held: Vec::new(),
            rest: Rest::default(),
            sealing: false,
            objects: VecDeque::new(),
            bytes: 0,
            has_reserve: false,
            counters: Counters::default(),
            jitter: SmallRng::seed_from_u64(seed),
        }
    }

    /// Of what entries may still wait to be sealed: held logs, and what is written of them but not taken in yet.
    pub(crate) fn rests(&self) -> impl Iterator<Item = &Key> {
        let held = self.held.iter().map(|held| &held.key);
        held.chain(self.rest.written.iter().map(|(key, _)| key))
    }

    /// Bytes of what is to be sealed or uploaded.
    pub(crate) fn waiting(&self) -> u64 {
        let logs = self.closed.iter().map(|log| log.bytes);
        logs.chain(self.objects.iter().map(|object| object.side.bytes()))
            .sum()
    }

    /// Takes in a sealed object, to be uploaded within `spread` nanoseconds.
    pub(crate) fn push(&mut self, id: String, side: Sidecar, now: u64, spread: u64) {
        let not_before = now + self.jitter.random_range(0..=spread);
        self.objects.push_back(Object {
            id,
            side,
            busy: false,
            done: false,
            failures: 0,
            not_before,
        });
    }

    /// The oldest object, from the place `at` on, that is not just being sent; its place in `at`.
    pub(crate) fn oldest_idle(&self, at: &mut usize) -> Option<&Object> {
        let idle = |object: &Object| !object.busy && !object.done;
        *at += self.objects.iter().skip(*at).position(idle)?;
        self.objects.get(*at)
    }

    /// Between half of a time and all of it.
    pub(crate) fn spread(&mut self, time: u64) -> u64 {
        time / 2 + self.jitter.random_range(0..=time / 2)
    }

    fn find(&mut self, id: &str) -> Option<&mut Object> {
        self.objects.iter_mut().find(|object| object.id == id)
    }
}

/// A file to put into a bucket.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) part: Part,
    pub(crate) rule: String,
    pub(crate) key: String,
    /// Where it is on the node.
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    /// It may be there already, from an earlier attempt.
    pub(crate) tried: bool,
}

/// There is nothing to upload now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoUpload {
    /// Nothing waits.
    Nothing,
    /// Something waits until this monotonic time.
    Until(u64),
}

impl Spool {
    /// The next file for a destination, oldest object first. Marked as busy until
    /// [`Spool::uploaded`], [`Spool::conflict`] or [`Spool::put_off`] says what became of it.
    /// `hurry` passes over the time that objects wait so that nodes don't come all at once.
    pub(crate) fn next_upload(&self, destination: &str, hurry: bool) -> Result<Upload, NoUpload> {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        self.remove_done(&mut state);
        let waiting = state
            .objects
            .iter_mut()
            .filter(|o| !o.busy && !o.done && o.side.head.destination == destination);
        let mut until = None;
        for object in waiting {
            if object.not_before > now && !hurry {
                until = Some(until.unwrap_or(u64::MAX).min(object.not_before));
                continue;
            }
            let Some(file) = object
                .side
                .files
                .iter()
                .find(|file| file.progress != Progress::Done)
            else {
                continue;
            };
            object.busy = true;
            return Ok(Upload {
                id: object.id.clone(),
                part: file.part,
                rule: object.side.head.rule.clone(),
                key: file.key.clone(),
                path: self.local(&object.id, file.part),
                size: file.size,
                sha256: file.sha256.clone(),
                tried: file.progress == Progress::Tried,
            });
        }
        Err(until.map_or(NoUpload::Nothing, NoUpload::Until))
    }

    /// Destinations that something waits for.
    pub(crate) fn destinations(&self) -> Vec<String> {
        let state = lock(&self.state);
        let mut out: Vec<String> = state
            .objects
            .iter()
            .map(|object| object.side.head.destination.clone())
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Notes, on the disk, that a file is about to be sent.
    ///
    /// # Errors
    /// Where that can't be noted; then it must not be sent.
    pub(crate) fn note_attempt(&self, upload: &Upload) -> io::Result<()> {
        let mut side = {
            let mut state = lock(&self.state);
            let Some(object) = state.find(&upload.id) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            object.side.clone()
        };
        side.attempts += 1;
        for file in side
            .files
            .iter_mut()
            .filter(|file| file.part == upload.part)
        {
            file.progress = Progress::Tried;
        }
        self.with_reserve(|| side.write(&*self.fs, &self.folders.sealed, &upload.id))?;
        if let Some(object) = lock(&self.state).find(&upload.id) {
            object.side = side;
        }
        Ok(())
    }

    /// A file is in the bucket. The last one ends its object's stay on the node.
    pub(crate) fn uploaded(&self, upload: &Upload, wall: i64) {
        let mut state = lock(&self.state);
        let Inventory {
            objects, counters, ..
        } = &mut *state;
        let Some(object) = objects.iter_mut().find(|object| object.id == upload.id) else {
            return;
        };
        object.busy = false;
        object.failures = 0;
        for file in object
            .side
            .files
            .iter_mut()
            .filter(|file| file.part == upload.part)
        {
            file.progress = Progress::Done;
        }
        let counters = counters.rule(&upload.rule);
        counters.uploaded_bytes += upload.size;
        counters.last_upload = Some(wall);
        counters.fault = None;
        if object
            .side
            .files
            .iter()
            .all(|file| file.progress == Progress::Done)
        {
            object.done = true;
            counters.uploaded_objects += 1;
            counters.uploaded_packets += object.side.packets;
        }
        self.remove_done(&mut state);
    }

    /// Another object has the file's name: it gets a new one, and so does all of its object that
    /// is not in the bucket yet.
    pub(crate) fn conflict(&self, upload: &Upload) {
        let renamed = {
            let mut state = lock(&self.state);
            state.counters.rule(&upload.rule).conflicts += 1;
            let Some(object) = state.find(&upload.id) else {
                return;
            };
            let name = object.side.other_name(self.config.run, &self.next_seq);
            object.side.rename(&name);
            tracing::error!(key = upload.key, %name, "another object has this name in the bucket; stored under a new one");
            object.side.clone()
        };
        // where this does not reach the disk, the note before the next attempt does
        let noted =
            self.with_reserve(|| renamed.write(&*self.fs, &self.folders.sealed, &upload.id));
        if let Err(error) = noted {
            tracing::warn!(%error, "an object's new name can't be noted");
        }
        if let Some(object) = lock(&self.state).find(&upload.id) {
            object.busy = false;
        }
    }

    /// A file was not put. `sent` says that it may be there all the same; `own` that the fault is
    /// the file's, not the destination's, so that others go first.
    pub(crate) fn put_off(&self, upload: &Upload, fault: Fault, sent: bool, own: bool) {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        let Inventory {
            objects,
            counters,
            jitter,
            ..
        } = &mut *state;
        counters.rule(&upload.rule).fault = Some(fault);
        let Some(object) = objects.iter_mut().find(|object| object.id == upload.id) else {
            return;
        };
        object.busy = false;
        if !sent && !upload.tried {
            // what is on the disk still says "tried"; only a crash now makes that count
            for file in object
                .side
                .files
                .iter_mut()
                .filter(|file| file.part == upload.part)
            {
                file.progress = Progress::New;
            }
        }
        if own {
            object.failures = object.failures.saturating_add(1);
            let wait = backoff(object.failures, RETRY_MIN, RETRY_MAX);
            object.not_before = now + wait / 2 + jitter.random_range(0..=wait / 2);
        }
    }

    /// Removes what is in the bucket.
    fn remove_done(&self, state: &mut Inventory) {
        let mut at = 0;
        while let Some(object) = state.objects.get(at) {
            let (id, files) = (object.id.clone(), object.side.files.clone());
            if object.done && self.remove_files(state, &id, &files) {
                state.objects.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// How long a destination that failed so often in a row is left alone.
    pub(crate) fn pause(&self, failures: u32, min: u64, max: u64) -> u64 {
        lock(&self.state).spread(backoff(failures, min, max))
    }
}
