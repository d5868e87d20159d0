//! What the scripts' files take on the disk, and how much they may.

use crate::clock::lock;
use cap_std::fs::Dir;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that a file or folder takes beside what is in it.
const EACH: u64 = 4096;
/// What is written is asked for in steps of so many bytes, where its size is not known before.
const STEP: u64 = 1 << 20;

/// Bounds what is written.
///
/// What was written is added up, and what goes away is not taken off: only when that passes the limit is looked what
/// there is, where anything went since the last look.
pub(crate) struct Disk {
    limit: u64,
    state: Mutex<State>,
    /// Grows when files were taken away or made shorter.
    freed: AtomicU64,
}

#[derive(Default)]
struct State {
    /// At most so much is there.
    used: u64,
    /// What had been freed when it was looked; `None` before the first look.
    looked: Option<u64>,
}

impl Disk {
    pub(crate) fn new(limit: u64) -> Disk {
        Disk {
            limit,
            state: Mutex::default(),
            freed: AtomicU64::new(0),
        }
    }

    /// Something was taken away.
    pub(crate) fn free(&self) {
        self.freed.fetch_add(1, Ordering::Release);
    }

    /// Takes room for a new file, folder, or what replaces another, with so many bytes.
    pub(crate) fn make(&self, dir: &Dir, bytes: u64) -> io::Result<()> {
        self.take(dir, bytes.saturating_add(EACH))
    }

    /// Takes room for so many bytes.
    fn take(&self, dir: &Dir, bytes: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let freed = self.freed.load(Ordering::Acquire);
        let fits = |state: &State| state.used.saturating_add(bytes) <= self.limit;
        let stale = state.looked.is_none() || !fits(&state) && state.looked != Some(freed);
        if stale {
            state.used = used(dir);
            state.looked = Some(freed);
        }
        if !fits(&state) {
            return Err(io::Error::other(format!(
                "the files of all scripts would take more than {} (scripting.limits.disk); delete some",
                shown(self.limit)
            )));
        }
        state.used += bytes;
        Ok(())
    }

    /// Writes to a file whose size is not known before.
    pub(crate) fn writer<'d, W: Write>(&'d self, dir: &'d Dir, to: W) -> Limited<'d, W> {
        Limited {
            disk: self,
            dir,
            to,
            room: 0,
        }
    }
}

/// Bytes as people write them.
fn shown(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) if bytes.trailing_zeros() >= shift => {
            format!("{} {unit}", bytes >> shift)
        }
        _ => format!("{bytes} bytes"),
    }
}

/// What all files in a directory take. What can't be looked at takes nothing.
fn used(dir: &Dir) -> u64 {
    let mut used = 0u64;
    let mut folders = vec![PathBuf::from(".")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = dir.read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            used = used.saturating_add(EACH);
            // links are not followed
            match entry.metadata() {
                Ok(about) if about.is_dir() => folders.push(folder.join(entry.file_name())),
                Ok(about) if about.is_file() => used = used.saturating_add(about.len()),
                _ => {}
            }
        }
    }
    used
}

/// Takes room for what is written.
pub(crate) struct Limited<'d, W> {
    disk: &'d Disk,
    dir: &'d Dir,
    to: W,
    /// Bytes that were taken and not written yet.
    room: u64,
}

impl<W: Write> Write for Limited<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        if len > self.room {
            // near the limit, just what there is room for
            let step = self.disk.take(self.dir, STEP.max(len));
            match step {
                Ok(()) => self.room += STEP.max(len),
                Err(_) => {
                    self.disk.take(self.dir, len - self.room)?;
                    self.room = len;
                }
            }
        }
        let written = self.to.write(bytes)?;
        self.room -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    #[test]
    fn what_is_there_counts_and_what_went_does_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/b"), [0; 1000]).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("link")).unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        assert_eq!(used(&dir), 3 * EACH + 1000);
        let disk = Disk::new(100_000);
        disk.make(&dir, 50_000).unwrap();
        let error = disk.make(&dir, 50_000).unwrap_err().to_string();
        assert_eq!(
            error,
            "the files of all scripts would take more than 100000 bytes (scripting.limits.disk); delete some"
        );
        // what was to be written never came, which shows at the next look
        assert!(disk.make(&dir, 50_000).is_err());
        disk.free();
        disk.make(&dir, 50_000).unwrap();
        let mut out = disk.writer(&dir, Vec::new());
        let written = (0..)
            .take_while(|_| out.write_all(&[1; 100]).is_ok())
            .count();
        assert!((300..400).contains(&written), "{written}");
        assert_eq!(out.to.len(), written * 100);
        assert_eq!(
            [100, 1 << 10, 3 << 20, 10 << 30].map(shown),
            ["100 bytes", "1 KiB", "3 MiB", "10 GiB"]
        );
    }
}
