//! What earlier runs left in the spool.

use std::collections::HashMap;
use std::io;

use super::active::LOG;
use super::inventory::Closed;
use super::sealed::{SIDECAR, Sidecar, UNFINISHED};
use super::Spool;
use crate::queue::lock;

impl Spool {
    /// Takes in the sealed objects and the logs of earlier runs, and removes left-overs.
    pub(super) fn recover(&mut self) -> io::Result<()> {
        let files: HashMap<String, u64> = self.fs.list(&self.folders.sealed)?.into_iter().collect();
        let logs = self.fs.list(&self.folders.active)?;
        let mut objects = Vec::new();
        let mut kept: Vec<&str> = Vec::new();
        for (name, size) in &files {
            let Some(id) = name.strip_suffix(SIDECAR) else {
                continue;
            };
            match Sidecar::read(&*self.fs, &self.folders.sealed.join(name)) {
                Ok(side) if is_whole(&side, id, &files) => objects.push((id.to_owned(), side, *size)),
                // on its way out, or its sealing did not come to its end: then its log is there
                Ok(_) => self.fs.remove(&self.folders.sealed.join(name))?,
                // an error of the disk is none of its content: the start fails, and nothing is touched
                Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
                Err(error) => {
                    tracing::error!(file = name, %error, "what is said of a sealed object can't be read; its files are left as they are");
                    kept.push(id);
                }
            }
        }
        objects.sort_by_key(|(id, side, _)| (side.sealed_at, id.clone()));
        kept.extend(objects.iter().map(|(id, ..)| id.as_str()));
        for name in files.keys() {
            if !name.ends_with(SIDECAR) && (name.ends_with(UNFINISHED) || !kept.iter().any(|id| name.starts_with(id))) {
                tracing::debug!(file = name, "a left-over is removed");
                self.fs.remove(&self.folders.sealed.join(name))?;
            }
        }
        self.fs.sync_dir(&self.folders.sealed)?;
        let (now, spread) = (self.clock.monotonic(), self.config.spread());
        self.recover_logs(logs, &objects, spread)?;
        let mut state = lock(&self.state);
        for (id, side, _) in objects {
            state.bytes += side.bytes();
            state.push(id, side, now, spread);
        }
        Ok(())
    }

    fn recover_logs(&self, mut logs: Vec<(String, u64)>, objects: &[(String, Sidecar, u64)], spread: u64) -> io::Result<()> {
        logs.sort();
        let mut state = lock(&self.state);
        for (name, bytes) in logs {
            let path = self.folders.active.join(&name);
            match name.strip_suffix(LOG) {
                Some(id) if !objects.iter().any(|(sealed, ..)| sealed == id) => {
                    state.bytes += bytes;
                    state.closed.push_back(Closed::new(id.to_owned(), path, bytes, spread));
                }
                // sealed already: the log must be gone, also after a loss of power, before the
                // object is uploaded and its sidecar removed
                Some(_) => self.fs.remove(&path)?,
                None => {}
            }
        }
        self.fs.sync_dir(&self.folders.active)
    }
}

/// Whether all files of an object are there with their sizes.
fn is_whole(side: &Sidecar, id: &str, files: &HashMap<String, u64>) -> bool {
    side.head.id() == id
        && side.files.iter().all(|file| files.get(&format!("{id}{}", file.part.suffix())) == Some(&file.size))
}
