//! A window of a raw ring, read by another process than the one that writes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::mark::{Lost, Mark, segments};
use super::{RawError, failed, folder};
use crate::clock::SECOND;

/// Frames reach their segment and its mark within this time (nanoseconds): less is not said to be missing.
const LATE: i64 = 2 * SECOND as i64;

/// Why a part of a window is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It had left the ring, or nothing was captured yet.
    Before,
    /// Nothing was captured raw.
    Nobody,
    /// Its segment went away.
    Gone,
    /// Nothing is captured (yet).
    After,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Before => "had left the ring, or was before it",
            Self::Nobody => "nothing was captured raw",
            Self::Gone => "a segment went away",
            Self::After => "nothing was captured raw up to then",
        })
    }
}

/// A part of a window that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Nanoseconds since the Unix epoch.
    pub from: i64,
    /// Up to here.
    pub to: i64,
    /// Why.
    pub why: Why,
}

/// Segments that stay where they are until this is dropped.
#[derive(Debug)]
pub struct Held {
    dir: PathBuf,
    _lock: File,
    /// Files of pcapng, oldest first.
    pub segments: Vec<PathBuf>,
    /// Nodes that captured them.
    pub nodes: Vec<String>,
    /// Parts of the window that are not there.
    pub missing: Vec<Missing>,
    /// Frames that are missing from what is there.
    pub lost: Lost,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            tracing::debug!(dir = %self.dir.display(), %error, "can't be removed; the next reader does");
        }
    }
}

/// Holds what a data directory's ring has between two times (nanoseconds since the Unix epoch; `i64::MIN` and `i64::MAX`
/// where there is no end).
///
/// # Errors
/// Where there is no ring, or it can't be read.
pub fn hold(data_dir: &Path, since: i64, until: i64) -> Result<Held, RawError> {
    let ring = folder(data_dir);
    let found = match segments(&ring) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RawError::NoRing { path: ring });
        }
        other => other.map_err(failed(&ring))?,
    };
    if found.is_empty() {
        return Err(RawError::NoRing { path: ring });
    }
    let all = ring.join("held");
    let (dir, lock) = place(&all).map_err(failed(&all))?;
    let mut held = Held {
        dir,
        _lock: lock,
        segments: Vec::new(),
        nodes: Vec::new(),
        missing: Vec::new(),
        lost: Lost::default(),
    };
    let mut marks = Vec::new();
    for (number, path) in found {
        let link = held.dir.join(format!("{number:010}.pcapng"));
        match std::fs::hard_link(&path, &link) {
            Ok(()) => {}
            // deleted meanwhile: what is missing then shows in the marks
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&path)(error)),
        }
        let mark = match Mark::read(&path) {
            Ok(mark) => mark,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // deleted behind the link, or just begun: its frames say what it is
                held.segments.push(link);
                continue;
            }
            Err(error) => return Err(failed(&path)(error)),
        };
        // one that is being written may hold more than its mark says
        let overlaps = mark.first < until && (mark.last >= since || mark.open);
        if overlaps {
            held.lost.add(mark.lost);
            if !held.nodes.contains(&mark.node) {
                held.nodes.push(mark.node.clone());
            }
            held.segments.push(link);
        } else {
            std::fs::remove_file(&link).map_err(failed(&link))?;
        }
        marks.push(mark);
    }
    held.missing = missing(&marks, since, until);
    Ok(held)
}

/// What the marks, oldest first, leave open of a window.
fn missing(marks: &[Mark], since: i64, until: i64) -> Vec<Missing> {
    let mut out = Vec::new();
    let mut add = |from: i64, to: i64, why| {
        let (from, to) = (from.max(since), to.min(until));
        if from < to {
            out.push(Missing { from, to, why });
        }
    };
    let Some(first) = marks.first() else {
        return Vec::new();
    };
    if since != i64::MIN {
        add(since, first.from, Why::Before);
    }
    let mut covered = first.from;
    let mut before = first;
    for mark in marks {
        if mark.from > covered {
            let why = if mark.run == before.run {
                Why::Gone
            } else {
                Why::Nobody
            };
            add(covered, mark.from, why);
        }
        covered = covered.max(mark.to);
        before = mark;
    }
    if until != i64::MAX && until.saturating_sub(covered) > LATE {
        add(covered, until, Why::After);
    }
    out
}

/// A folder of this reader's own; those that readers left behind are removed.
fn place(all: &Path) -> io::Result<(PathBuf, File)> {
    let make = |dir: &Path| DirBuilder::new().recursive(true).mode(0o700).create(dir);
    make(all)?;
    for entry in std::fs::read_dir(all)? {
        let entry = entry?;
        let dir = entry.path();
        // one that is being made has no lock yet
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let left = File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if left {
            std::fs::remove_dir_all(&dir)?;
        }
    }
    let dir = all.join(format!(
        "{}-{:08x}",
        std::process::id(),
        rand::random::<u32>()
    ));
    // locked before it has its name: no other reader takes it for one that was left
    let fresh = all.join(format!(".{:016x}", rand::random::<u64>()));
    make(&fresh)?;
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(fresh.join("lock"))?;
    lock.lock()?;
    std::fs::rename(&fresh, &dir)?;
    Ok((dir, lock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_of_a_window_is_named() {
        let mark = |run, from, to| {
            let mut mark = Mark::new("n", run, from * LATE);
            mark.to = to * LATE;
            mark
        };
        let marks = [
            mark(1, 10, 20),
            mark(1, 20, 30),
            mark(2, 40, 50),
            mark(2, 60, 70),
        ];
        let of = |since: i64, until: i64| {
            let found = missing(&marks, since * LATE, until * LATE);
            let found = found.iter();
            found
                .map(|part| (part.from / LATE, part.to / LATE, part.why))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(12, 28), []);
        assert_eq!(of(5, 28), [(5, 10, Why::Before)]);
        assert_eq!(of(25, 45), [(30, 40, Why::Nobody)]);
        assert_eq!(of(31, 33), [(31, 33, Why::Nobody)]);
        assert_eq!(of(45, 71), [(50, 60, Why::Gone)]);
        assert_eq!(of(65, 90), [(70, 90, Why::After)]);
        assert_eq!(missing(&marks, i64::MIN, 20 * LATE), []);
    }
}
