//! What was sealed of captures that are recorded: they can be read again after a crash, and what comes of that is then
//! neither lost nor doubled.
//!
//! Reading the same captures again gives the same logs, under the same numbers. Each that became an object is noted
//! here (`spool/done/<run>_<seq>`) before the object is offered for upload; when its log comes again, only its entries'
//! state is followed, and it goes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use gillnet_bucket::packets::Totals;
use serde::{Deserialize, Serialize};

use super::sealed::UNFINISHED;
use crate::fs::{Fs, write_through};
use crate::queue::lock;

/// More than a note can have.
const MAX_NOTE: usize = 4096;

/// What a log held, as far as it tells one from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    packets: u64,
    first: i64,
    last: i64,
}

impl From<Totals> for Note {
    fn from(totals: Totals) -> Self {
        Self {
            packets: totals.packets,
            first: totals.first,
            last: totals.last,
        }
    }
}

/// The notes, by the ids of logs.
pub(super) struct Replay {
    dir: PathBuf,
    sealed: Mutex<HashMap<String, Option<Note>>>,
}

impl Replay {
    /// Reads the notes.
    pub(super) fn open(fs: &dyn Fs, dir: PathBuf) -> io::Result<Self> {
        fs.create_dir(&dir)?;
        let mut sealed = HashMap::new();
        for (name, _) in fs.list(&dir)? {
            if name.ends_with(UNFINISHED) {
                fs.remove(&dir.join(&name))?;
                continue;
            }
            let text = fs.read(&dir.join(&name), MAX_NOTE)?;
            let note = serde_json::from_slice(&text)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            sealed.insert(name, note);
        }
        let sealed = Mutex::new(sealed);
        Ok(Self { dir, sealed })
    }

    /// Whether the log of this id is sealed already.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where it was another: the captures are not what they were.
    pub(super) fn is_sealed(&self, id: &str, totals: Totals) -> io::Result<bool> {
        match lock(&self.sealed).get(id) {
            None => Ok(false),
            Some(Some(note)) if *note != Note::from(totals) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the captures are not what they were when this was begun",
            )),
            Some(_) => Ok(true),
        }
    }

    /// Notes, on the disk, that a log is sealed; `totals` where they are known.
    pub(super) fn note(&self, fs: &dyn Fs, id: &str, totals: Option<Totals>) -> io::Result<()> {
        if lock(&self.sealed).contains_key(id) {
            return Ok(());
        }
        let note = totals.map(Note::from);
        let text = serde_json::to_vec(&note)?;
        put(fs, &self.dir, id, &text)?;
        lock(&self.sealed).insert(id.to_owned(), note);
        Ok(())
    }
}

fn put(fs: &dyn Fs, dir: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let beside = dir.join(format!("{name}{UNFINISHED}"));
    let mut file = fs.create(&beside)?;
    write_through(&mut *file, text).1?;
    file.sync()?;
    fs.rename(&beside, &dir.join(name))?;
    fs.sync_dir(dir)
}
