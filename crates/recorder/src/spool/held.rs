//! Logs that are held after they were sealed, and the entries that wait for what comes in later ones.
//!
//! A request may be in one log and its response in the next. What is read of a log depends on the logs before it, and
//! what waits is in memory alone. So a sealed log is held, under another name, as long as a stream runs that began in it
//! or before. After a crash the held logs of a run are read once more, and what they give is in the bucket already; then
//! come the logs that were not sealed, and in the end what still waits: as the run itself would have read them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};

use gillnet_bucket::packets::Totals;

use super::inventory::{Closed, Held, Inventory, Rest};
use super::seal::{Index, Pace, Sealing, head, readable, tried};
use super::sealed::{LAP, Sidecar};
use super::{RETRY_MAX, RETRY_MIN, Spool, backoff};
use crate::dissect::{Dissector, Key};
use crate::queue::lock;
use crate::record::LogHead;

/// End of a held log's file name.
const HELD: &str = ".held";
/// Held logs have at most this part of the spool.
const SHARE: u64 = 4;

impl Spool {
    pub(super) fn next_turn(&self) -> u64 {
        self.next_turn.fetch_add(1, Ordering::Relaxed)
    }

    /// So many bytes are no more in the spool.
    pub(super) fn uncount(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// Puts a log away whose object is sealed: for good, before the object is uploaded. It is held where entries may
    /// wait behind it, else removed.
    pub(super) fn put_away(&self, closed: &Closed) -> io::Result<()> {
        // what is made again after a crash needs nothing held
        let read = self
            .dissector
            .as_ref()
            .filter(|_| self.replay.is_none())
            .zip(closed.turn)
            .zip(closed.key.as_ref());
        let Some(((dissector, turn), key)) = read else {
            self.remove_gone(&closed.path)?;
            self.fs.sync_dir(&self.folders.active)?;
            self.uncount(closed.bytes);
            return Ok(());
        };
        let path = self.held_path(&closed.id, turn);
        match self.fs.rename(&closed.path, &path) {
            // an earlier try did it, although it said that it failed
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.fs.sync_dir(&self.folders.active)?;
        let needed = lock(dissector).needs(key, turn);
        let mut state = lock(&self.state);
        state.held.push(Held {
            key: key.clone(),
            turn,
            path,
            bytes: closed.bytes,
        });
        let first = needed.unwrap_or(u64::MAX);
        self.let_go(&mut state, |held| held.key == *key && held.turn < first);
        let all = |state: &Inventory| state.held.iter().map(|held| held.bytes).sum::<u64>();
        while all(&state) > self.config.spool_limit / SHARE && self.let_go_oldest(&mut state) {}
        Ok(())
    }

    /// Holds a log that was found although its object is sealed.
    pub(super) fn put_away_found(&self, id: &str, path: &Path) -> io::Result<()> {
        match self.dissector {
            Some(_) if self.replay.is_none() => self.fs.rename(path, &self.held_path(id, u64::MAX)),
            _ => self.fs.remove(path),
        }
    }

    fn held_path(&self, id: &str, turn: u64) -> std::path::PathBuf {
        self.folders.active.join(format!("{id}.{turn:020}{HELD}"))
    }

    /// Takes in the held logs of earlier runs, but for those behind which the entries that waited are sealed.
    pub(super) fn recover_held(&mut self, objects: &[(String, Sidecar)]) -> io::Result<()> {
        let done: BTreeSet<Key> = objects
            .iter()
            .filter(|(_, side)| side.head.seq / LAP % 2 == 1)
            .map(|(_, side)| side.head.key())
            .collect();
        let mut held = Vec::new();
        for (name, bytes) in self.fs.list(&self.folders.active)? {
            let Some((_, turn)) = name
                .strip_suffix(HELD)
                .and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            let path = self.folders.active.join(&name);
            let head = self.head_of(&path)?.filter(|_| self.dissector.is_some());
            match (head.map(|head| head.key()), turn.parse()) {
                (Some(key), Ok(turn)) if !done.contains(&key) => held.push(Held {
                    key,
                    turn,
                    path,
                    bytes,
                }),
                _ => self.fs.remove(&path)?,
            }
        }
        // one that was found beside its object was read last
        held.sort_by(|a, b| (a.turn, &a.path).cmp(&(b.turn, &b.path)));
        let last = held
            .iter()
            .map(|held| held.turn)
            .filter(|turn| *turn < u64::MAX);
        let mut next = last.max().map_or(1, |turn| turn + 1);
        for held in held.iter_mut().filter(|held| held.turn == u64::MAX) {
            let name = held.path.file_name().unwrap_or_default().to_string_lossy();
            let id = name.split('.').next().unwrap_or_default();
            let path = self.held_path(id, next);
            self.fs.rename(&held.path, &path)?;
            (held.turn, held.path) = (next, path);
            next += 1;
        }
        self.fs.sync_dir(&self.folders.active)?;
        self.next_turn.store(next, Ordering::Relaxed);
        let state = self
            .state
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.bytes += held.iter().map(|held| held.bytes).sum::<u64>();
        state.held = held;
        Ok(())
    }

    /// Reads the held logs of an earlier run of a rule again; what they give is known.
    ///
    /// # Errors
    /// Where one can't be read; then nothing was.
    pub(super) fn read_held(
        &self,
        dissector: &mut Dissector,
        key: &Key,
        pace: &mut Pace<'_>,
    ) -> io::Result<()> {
        let held: Vec<Held> = lock(&self.state)
            .held
            .iter()
            .filter(|held| held.key == *key)
            .cloned()
            .collect();
        for held in held {
            let read = (|| {
                let log = self.fs.open(&held.path)?.view()?;
                if let Some(head) = head(log.bytes()) {
                    let lent = Arc::clone(&log);
                    dissector.read(&head, held.turn, lent, |reader| {
                        Index::read(log.bytes(), Some(reader), pace);
                    });
                    dissector.needs(key, held.turn);
                }
                readable(&*log)
            })();
            if read.is_err() {
                dissector.forget(key);
            }
            read?;
        }
        Ok(())
    }

    /// Removes held logs. `false` where there was none.
    fn let_go(&self, state: &mut Inventory, which: impl Fn(&Held) -> bool) -> bool {
        let (mut any, mut failed) = (false, false);
        let bytes = &mut state.bytes;
        state.held.retain(|held| {
            let goes = which(held) && !failed;
            // one that stays must not be without those behind it
            failed |= goes && self.remove_gone(&held.path).is_err();
            if goes && !failed {
                *bytes = bytes.saturating_sub(held.bytes);
                any = true;
            }
            !goes || failed
        });
        any
    }

    /// Gives up the oldest held log where there is no room; `false` where there is none that can go.
    pub(super) fn let_go_oldest(&self, state: &mut Inventory) -> bool {
        let Some(oldest) = state.held.first().map(|held| held.path.clone()) else {
            return false;
        };
        tracing::debug!(log = %oldest.display(), "no more held: after a crash, entries of streams that began in it are read anew");
        self.let_go(state, |held| held.path == oldest)
    }

    fn remove_gone(&self, path: &Path) -> io::Result<()> {
        match self.fs.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What nothing more comes of, and of which entries may wait: all of earlier runs, and of this one in the end.
    fn ended(&self, state: &Inventory, dissector: &Dissector) -> BTreeSet<Key> {
        let ended = |key: &&Key| key.0 != self.config.run || self.is_hurried();
        state
            .rests()
            .chain(dissector.keys())
            .filter(ended)
            .cloned()
            .collect()
    }

    /// Whether entries may still wait that are to be sealed.
    pub(super) fn has_rest(&self, state: &Inventory) -> bool {
        self.dissector.as_ref().is_some_and(|dissector| {
            let dissector = match dissector.try_lock() {
                Ok(dissector) => dissector,
                Err(TryLockError::Poisoned(panicked)) => panicked.into_inner(),
                // in use: not yet
                Err(TryLockError::WouldBlock) => return true,
            };
            !self.ended(state, &dissector).is_empty()
        })
    }

    /// Seals entries that have no packets of their own: those that still waited for something when nothing more came.
    pub(super) fn seal_rest(&self) -> Sealing {
        let Some(dissector) = &self.dissector else {
            return Sealing::Nothing;
        };
        let now = self.clock.monotonic();
        let key = {
            let dissector = lock(dissector);
            let mut state = lock(&self.state);
            let Some(key) = self.ended(&state, &dissector).pop_first() else {
                return Sealing::Nothing;
            };
            if state.rest.not_before > now {
                return Sealing::Until(state.rest.not_before);
            }
            state.sealing = true;
            key
        };
        let sealed = tried(|| self.seal_rest_of(&key));
        let mut state = lock(&self.state);
        state.sealing = false;
        match sealed {
            Ok(side) => {
                state.rest = Rest::default();
                if let Some(side) = side {
                    state.bytes += side.bytes();
                    state.push(side.head.id(), side, now, 0);
                }
                drop(state);
                self.uploader.ring();
                Sealing::Done
            }
            Err(error) => {
                tracing::warn!(rule = key.1, %error, "the index of the last entries can't be written; tried again");
                state.rest.failures = state.rest.failures.saturating_add(1);
                let wait = backoff(state.rest.failures, RETRY_MIN, RETRY_MAX);
                state.rest.not_before = now + state.spread(wait);
                Sealing::Failed
            }
        }
    }

    fn seal_rest_of(&self, key: &Key) -> io::Result<Option<Sidecar>> {
        let written = lock(&self.state).rest.written.take();
        let side = match written.filter(|(written, _)| written == key) {
            Some((_, side)) => side,
            None => self.write_rest(key)?,
        };
        // for good, before it is uploaded: else they would be read again
        let mut state = lock(&self.state);
        state.rest.written = Some((key.clone(), side.clone()));
        self.let_go(&mut state, |held| held.key == *key);
        if state.held.iter().any(|held| held.key == *key) {
            return Err(io::Error::other(
                "logs that are no more needed can't be removed",
            ));
        }
        drop(state);
        self.fs.sync_dir(&self.folders.active)?;
        Ok(side)
    }

    /// Writes an object without packets. Its number is that of the last log, which nobody else has. `None` where no
    /// entry waits.
    fn write_rest(&self, key: &Key) -> io::Result<Option<Sidecar>> {
        let rest = {
            let Some(dissector) = &self.dissector else {
                return Ok(None);
            };
            let mut dissector = lock(dissector);
            if !dissector.knows(key) {
                self.read_held(&mut dissector, key, &mut Pace::new(self, None))?;
            }
            dissector.finish(key)
        };
        let Some((head, entries)) = rest else {
            return Ok(None);
        };
        let head = LogHead {
            seq: head.seq.saturating_add(LAP),
            ..head
        };
        let id = head.id();
        if let Some(replay) = &self.replay
            && replay.is_sealed(&id, Totals::default())?
        {
            return Ok(None);
        }
        self.with_reserve(|| {
            let files = self.write_entries(&id, &head, &entries, &[])?;
            self.fs.sync_dir(&self.folders.sealed)?;
            let side = Sidecar::new(head.clone(), self.clock.now(), 0, files);
            side.write(&*self.fs, &self.folders.sealed, &id)?;
            if let Some(replay) = &self.replay {
                replay.note(&*self.fs, &id, Some(Totals::default()))?;
            }
            Ok(Some(side))
        })
    }
}
