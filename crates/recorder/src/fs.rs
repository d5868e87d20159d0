//! The file system, as the spool uses it.

use std::any::Any;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use gillnet_capture::{FileView, Lend};

/// A file of the spool. What is written is there after a crash of the process when `write` returned,
/// and after a loss of power when [`File::sync`] did.
pub trait File: Write + Send {
    /// The whole file, as long as it is now, to be read where it lies. Nobody writes to it meanwhile.
    ///
    /// # Errors
    /// Those of the system.
    fn view(&self) -> io::Result<Arc<dyn View>>;

    /// Cuts the file; later writes go to its new end.
    ///
    /// # Errors
    /// Those of the system.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Puts the file's bytes on the disk.
    ///
    /// # Errors
    /// Those of the system.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file's bytes in memory.
pub trait View: Lend {
    /// Whether all that was read of them since this was asked last was really there; pages that the disk did not
    /// give are zeros.
    fn is_whole(&self) -> bool;
}

impl View for FileView {
    fn is_whole(&self) -> bool {
        self.is_whole()
    }
}

/// The few things that the spool asks of a file system.
pub trait Fs: Send + Sync {
    /// Makes a folder and those above it, for its owner alone (0700); nothing where it is there.
    ///
    /// # Errors
    /// Those of the system.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The files of a folder: name and length.
    ///
    /// # Errors
    /// Those of the system.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;

    /// Makes a file for its owner alone (0600), empty, also where it was there; to be appended to.
    ///
    /// # Errors
    /// Those of the system.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of the system.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Renames a file, in place of one that is there; at once or not at all.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Puts a folder's entries (what was made, renamed and removed in it) on the disk.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes a file as a lock against other processes, held until the answer is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where another holds it, and those of the system.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;

    /// Reads a whole file, up to a limit of bytes.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::FileTooLarge`] above the limit.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let view = self.open(path)?.view()?;
        if view.bytes().len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let bytes = view.bytes().to_vec();
        if !view.is_whole() {
            return Err(io::Error::other("the disk did not give all of the file"));
        }
        Ok(bytes)
    }
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

struct DiskFile(std::fs::File);

impl Write for DiskFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl File for DiskFile {
    fn view(&self) -> io::Result<Arc<dyn View>> {
        Ok(Arc::new(FileView::new(&self.0)?))
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        // opened for appending: the next write goes to the new end
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Fs for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let data = entry.metadata()?;
            if let (true, Ok(name)) = (data.is_file(), entry.file_name().into_string()) {
                out.push((name, data.len()));
            }
        }
        Ok(out)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        // a file that is appended to can't be opened cut
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        file.set_len(0)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(DiskFile(std::fs::File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Writes all of a buffer: how much of it went through, and what stopped it.
pub(crate) fn write_through(file: &mut dyn File, buf: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = buf.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
