//! What earlier runs left in the spool.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::PathBuf;

use super::Spool;
use super::active::LOG;
use super::inventory::Closed;
use super::sealed::{SIDECAR, Sidecar, UNFINISHED};
use crate::dissect::Key;
use crate::queue::lock;

/// Files of a folder, with their sizes.
type Files = BTreeMap<String, u64>;

/// A log: its id, its run and rule, its path and length.
type Log = ((String, Option<Key>), PathBuf, u64);

impl Spool {
    /// Takes in the sealed objects and the logs of earlier runs, and removes left-overs.
    pub(super) fn recover(&mut self) -> io::Result<()> {
        let files: Files = self.fs.list(&self.folders.sealed)?.into_iter().collect();
        let mut kept = HashSet::new();
        let objects = self.recover_objects(&files, &mut kept)?;
        for name in files.keys().filter(|name| !name.ends_with(SIDECAR)) {
            let id = name.split('.').next().unwrap_or_default();
            if name.ends_with(UNFINISHED) || !kept.contains(id) {
                tracing::debug!(file = name, "a left-over is removed");
                self.fs.remove(&self.folders.sealed.join(name))?;
            }
        }
        self.fs.sync_dir(&self.folders.sealed)?;
        if let Some(replay) = &self.replay {
            for (id, _) in &objects {
                replay.note(&*self.fs, id, None)?;
            }
        }
        let logs = self.recover_logs(&objects)?;
        self.recover_held(&objects)?;
        let (now, spread) = (self.clock.monotonic(), self.config.spread());
        let mut state = lock(&self.state);
        if logs.len() + objects.len() > 0 {
            let (logs, objects) = (logs.len(), objects.len());
            tracing::info!(
                logs,
                objects,
                "earlier runs left logs and sealed objects in the spool"
            );
        }
        for (id, path, bytes) in logs {
            state.bytes += bytes;
            state
                .closed
                .push_back(Closed::new(id, path, bytes, spread, now));
        }
        for (id, side) in objects {
            state.bytes += side.bytes();
            state.push(id, side, now, spread);
        }
        Ok(())
    }

    /// The sealed objects, oldest first; `kept` gets the ids of files that are not left over.
    fn recover_objects(
        &self,
        files: &Files,
        kept: &mut HashSet<String>,
    ) -> io::Result<Vec<(String, Sidecar)>> {
        let mut objects = Vec::new();
        for (name, id) in files
            .keys()
            .filter_map(|name| Some((name, name.strip_suffix(SIDECAR)?)))
        {
            let path = self.folders.sealed.join(name);
            match Sidecar::read(&*self.fs, &path) {
                Ok(side) if is_whole(&side, id, files) => objects.push((id.to_owned(), side)),
                // its sealing did not come to its end: then its log is there. Or it was on its way
                // out when the power went
                Ok(side) => {
                    tracing::warn!(object = %side.head.object_name(), "a sealed object is not whole; its log counts, where there is one");
                    self.fs.remove(&path)?;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(file = name, %error, "what is said of a sealed object can't be read; its files are left as they are");
                }
                // that is no fault of its content: the start fails, and nothing is touched
                Err(error) => return Err(error),
            }
            kept.insert(id.to_owned());
        }
        objects.sort_by(|(a, x), (b, y)| (x.sealed_at, a).cmp(&(y.sealed_at, b)));
        Ok(objects)
    }

    /// The logs of earlier runs: id with run and rule, path and length.
    fn recover_logs(&self, objects: &[(String, Sidecar)]) -> io::Result<Vec<Log>> {
        let sealed: HashSet<&str> = objects.iter().map(|(id, _)| id.as_str()).collect();
        let mut found = self.fs.list(&self.folders.active)?;
        found.sort();
        let mut logs = Vec::new();
        for (name, bytes) in found {
            let path = self.folders.active.join(&name);
            match name.strip_suffix(LOG) {
                // sealed already: the log must be gone, also after a loss of power, before the
                // object is uploaded and its sidecar removed
                Some(id) if sealed.contains(id) => self.put_away_found(id, &path)?,
                // it is made again, whole
                Some(_) if self.replay.is_some() => self.fs.remove(&path)?,
                Some(id) => {
                    let head = self.head_of(&path)?;
                    let turn = head.map(|head| (head.key(), head.hour));
                    logs.push((turn, id.to_owned(), path, bytes));
                }
                None => {}
            }
        }
        self.fs.sync_dir(&self.folders.active)?;
        // as the run itself would have closed them
        logs.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let logs = logs.into_iter().map(|(turn, id, path, bytes)| {
            let key = turn.map(|(key, _)| key);
            ((id, key), path, bytes)
        });
        Ok(logs.collect())
    }
}

/// Whether all files of an object are there with their sizes.
fn is_whole(side: &Sidecar, id: &str, files: &Files) -> bool {
    side.head.id() == id
        && side
            .files
            .iter()
            .all(|file| files.get(&format!("{id}{}", file.part.suffix())) == Some(&file.size))
}
