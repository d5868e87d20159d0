//! The scripts' data directory: every path of theirs is in it, symbolic links included.
//!
//! Two kinds of file in it are written only when they are opened: `pcaps/master/<stream>`, the packets of a stream, and
//! `name_resolution_history.json`, what addresses are called.

mod disk;
mod history;
mod merge;
mod streams;

use disk::Disk;
pub(crate) use history::History;
pub(crate) use merge::Merge;
pub use streams::{EachFrame, NoStreams, Readback, RingStreams, StreamFiles, TappedStreams};

use crate::clock::Clock;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use flate2::{Compression, write::GzEncoder};
use gillnet_capture::write::{PcapResolution, PcapWriter};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where streams' captures are.
pub(crate) const PCAPS: &str = "pcaps/master";
/// The names file.
pub(crate) const HISTORY: &str = "name_resolution_history.json";

/// A file of the data directory that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub(crate) struct FileError {
    path: String,
    why: String,
}

type Result<T, E = FileError> = std::result::Result<T, E>;

/// What streams' captures came to.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Captures written.
    pub(crate) written: AtomicU64,
    /// Captures of which the first packets had left the ring.
    pub(crate) cut: AtomicU64,
    /// Captures of which nothing was there any more.
    pub(crate) missed: AtomicU64,
}

/// The scripts' data directory.
pub(crate) struct Files {
    dir: Dir,
    /// Where it is, for files that have no name.
    path: PathBuf,
    streams: Arc<dyn StreamFiles>,
    history: History,
    disk: Disk,
    clock: Arc<dyn Clock>,
    pub(crate) counts: Counts,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn failed(path: &str, error: &io::Error) -> FileError {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    let why = first.into_iter().chain(letters).collect();
    FileError {
        path: path.to_owned(),
        why,
    }
}

fn refused(path: &str, why: &str) -> FileError {
    FileError {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

/// A path of a script within the directory, without `.` and doubled slashes.
fn inside(path: &str) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                return Err(refused(
                    path,
                    "`..` leads out of the data directory; give a path within it",
                ));
            }
            Component::RootDir | Component::Prefix(_) => {
                return Err(refused(
                    path,
                    "an absolute path; give one within the data directory",
                ));
            }
        }
    }
    if path.contains('\0') {
        return Err(refused("a path", "has a NUL in it"));
    }
    Ok(clean)
}

/// As [`inside`], for what names something in the directory.
fn named(path: &str) -> Result<PathBuf> {
    let clean = inside(path)?;
    if clean.as_os_str().is_empty() {
        return Err(refused(path, "is the data directory itself"));
    }
    Ok(clean)
}

/// The stream whose capture a path is.
fn stream_of(path: &Path) -> Option<u64> {
    let folder = path.parent()?;
    if folder != Path::new(PCAPS) && folder != Path::new("pcaps") {
        return None;
    }
    number_of(path.file_name()?.to_str()?)
}

/// The number in a stream's name: `000000017720.pcap`, `000000025277_udp.pcap`.
fn number_of(name: &str) -> Option<u64> {
    let stem = name.strip_suffix(".pcap")?;
    let digits = stem.strip_suffix("_udp").unwrap_or(stem);
    let digits = digits.strip_suffix("_tls").unwrap_or(digits);
    digits.parse().ok()
}

impl Files {
    /// Opens the directory, and makes it where it is not there. Files in it may take so many bytes.
    pub(crate) fn open(
        path: &Path,
        limit: u64,
        streams: Arc<dyn StreamFiles>,
        history: History,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Files> {
        Dir::create_ambient_dir_all(path, ambient_authority())?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        dir.create_dir_all(PCAPS)?;
        Ok(Files {
            dir,
            path: path.to_path_buf(),
            streams,
            history,
            disk: Disk::new(limit),
            clock,
            counts: Counts::default(),
        })
    }

    /// Opens a file for reading. A stream's capture and the names are written now.
    pub(crate) fn read(&self, path: &str) -> Result<File> {
        let clean = named(path)?;
        match self.dir.open(&clean) {
            Ok(file) if clean != Path::new(HISTORY) => {
                let is_dir = file.metadata().is_ok_and(|about| about.is_dir());
                if is_dir {
                    return Err(refused(path, "is a directory"));
                }
                Ok(file.into_std())
            }
            opened => {
                if let Some(stream) = stream_of(&clean) {
                    return self.capture(path, stream);
                }
                if clean == Path::new(HISTORY) {
                    self.refresh_history(true)
                        .map_err(|error| failed(path, &error))?;
                    let file = self.dir.open(&clean);
                    return file
                        .map(cap_std::fs::File::into_std)
                        .map_err(|error| failed(path, &error));
                }
                opened
                    .map(cap_std::fs::File::into_std)
                    .map_err(|error| failed(path, &error))
            }
        }
    }

    /// Whether a path names a file that can be read.
    pub(crate) fn is_there(&self, path: &str) -> bool {
        let Ok(clean) = named(path) else {
            return false;
        };
        self.dir.is_file(&clean) || clean == Path::new(HISTORY) || stream_of(&clean).is_some()
    }

    /// The packets of a stream, as classic pcap in time order, in a file that has no name.
    fn capture(&self, path: &str, stream: u64) -> Result<File> {
        let fail = |error: io::Error| failed(path, &error);
        let file = tempfile::tempfile_in(&self.path).map_err(fail)?;
        let mut out = PcapWriter::new(BufWriter::new(file), PcapResolution::Nano).map_err(fail)?;
        let read = self.streams.read(stream, &mut |frame, data| {
            out.frame(frame.ts, frame.link, frame.wire_len, data)
                .map(drop)
        });
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match read.map_err(fail)? {
            Readback::Whole => {}
            Readback::Cut => {
                count(&self.counts.cut);
            }
            Readback::Gone => {
                count(&self.counts.missed);
                return Err(refused(
                    path,
                    "no such file or directory: the packets of this stream have left the capture ring (a larger capture.ring.size keeps them longer)",
                ));
            }
        }
        count(&self.counts.written);
        let file = out.into_inner().into_inner();
        let mut file = file.map_err(|error| fail(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(fail)?;
        Ok(file)
    }

    /// Writes the names anew where they changed, and in any case where they were not written lately (`now`: always).
    pub(crate) fn refresh_history(&self, now: bool) -> io::Result<()> {
        self.history.refresh(&self.dir, self.clock.now(), now)
    }

    /// What addresses are and were called.
    pub(crate) fn names(&self) -> serde_json::Value {
        self.history.value(self.clock.now())
    }

    pub(crate) fn write(&self, path: &str, content: &[u8], append: bool) -> Result<()> {
        let clean = named(path)?;
        let mut options = OpenOptions::new();
        options.create(true).write(true);
        if append {
            options.append(true);
        } else {
            options.truncate(true);
            // of what was in it
            self.disk.free();
        }
        let write = || {
            self.disk.make(&self.dir, content.len() as u64)?;
            self.dir.open_with(&clean, &options)?.write_all(content)
        };
        write().map_err(|error| failed(path, &error))
    }

    /// Copies a whole file, over one that is there.
    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<()> {
        let clean = named(to)?;
        let mut source = self.read(from)?;
        let mut write = || {
            let mut options = OpenOptions::new();
            options.create(true).write(true);
            let mut file = self.dir.open_with(&clean, &options)?.into_std();
            // a file copied onto itself stays
            if same(&file, &source)? {
                return Ok(());
            }
            self.disk.free();
            self.disk.make(&self.dir, source.metadata()?.len())?;
            file.set_len(0)?;
            io::copy(&mut source, &mut file).map(drop)
        };
        write().map_err(|error: io::Error| failed(to, &error))
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (old, mut new) = (named(from)?, inside(to)?);
        if new.as_os_str().is_empty() || self.dir.is_dir(&new) {
            new.push(old.file_name().unwrap_or_default());
        }
        // of what stood in its place
        self.disk.free();
        match self.dir.rename(&old, &self.dir, &new) {
            // a stream's capture, which stands nowhere yet
            Err(error) if error.kind() == io::ErrorKind::NotFound && stream_of(&old).is_some() => {
                let new = new.to_string_lossy().into_owned();
                self.copy(from, &new)
            }
            done => done.map_err(|error| failed(from, &error)),
        }
    }

    /// Removes a file, or a folder with all that is in it. One that is not there is no error.
    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        let clean = named(path)?;
        self.disk.free();
        let delete = || {
            let about = match self.dir.symlink_metadata(&clean) {
                Ok(about) => about,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            if about.is_dir() {
                self.dir.remove_dir_all(&clean)
            } else {
                self.dir.remove_file(&clean)
            }
        };
        delete().map_err(|error| failed(path, &error))
    }

    pub(crate) fn mkdir(&self, path: &str) -> Result<()> {
        let clean = inside(path)?;
        if clean.as_os_str().is_empty() {
            return Ok(());
        }
        let make = || {
            if !self.dir.is_dir(&clean) {
                self.disk.make(&self.dir, 0)?;
            }
            self.dir.create_dir_all(&clean)
        };
        make().map_err(|error| failed(path, &error))
    }

    /// Makes a folder of its own, `<dir>/<name><digits>`; gives its path.
    pub(crate) fn mkdir_temp(&self, name: &str, dir: &str) -> Result<String> {
        self.fresh(dir, name, "", |path| {
            self.disk.make(&self.dir, 0)?;
            self.dir.create_dir(path)
        })
    }

    /// Makes an empty file of its own, `<dir>/<name><digits>.<ext>`; gives its path.
    pub(crate) fn temp(&self, name: &str, dir: &str, ext: &str) -> Result<String> {
        let ext = if ext.is_empty() { "txt" } else { ext };
        let suffix = format!(".{ext}");
        self.fresh(dir, name, &suffix, |path| self.create_new(path).map(drop))
    }

    fn create_new(&self, path: &Path) -> io::Result<File> {
        self.disk.make(&self.dir, 0)?;
        let mut options = OpenOptions::new();
        options.write(true).read(true).create_new(true);
        Ok(self.dir.open_with(path, &options)?.into_std())
    }

    fn fresh(
        &self,
        dir: &str,
        name: &str,
        suffix: &str,
        make: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<String> {
        let folder = inside(dir)?;
        // a name is one part of a path
        if !name.is_empty() {
            named(name)?;
        }
        loop {
            let number = rand::random::<u32>();
            let path = folder.join(format!("{name}{number}{suffix}"));
            match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path.to_string_lossy(), &error)),
                Ok(()) => return Ok(path.to_string_lossy().into_owned()),
            }
        }
    }

    /// Makes a file whose name has the time in s, the next free one: `name(seconds)`.
    fn stamped(&self, name: impl Fn(i64) -> String) -> Result<(String, File)> {
        let mut second = self.clock.now().div_euclid(1_000_000_000);
        loop {
            let name = name(second);
            match self.create_new(Path::new(&name)) {
                Ok(file) => return Ok((name, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => second += 1,
                Err(error) => return Err(failed(&name, &error)),
            }
        }
    }

    /// Packs all files below a folder into `kubeshark_<unix seconds>.tar.gz`; gives that name.
    pub(crate) fn tar(&self, path: &str) -> Result<String> {
        let folder = self.folder(path).map_err(|error| failed(path, &error))?;
        let (name, file) = self.stamped(|second| format!("kubeshark_{second}.tar.gz"))?;
        let pack = || {
            let file = self.disk.writer(&self.dir, file);
            let packed = GzEncoder::new(BufWriter::new(file), Compression::fast());
            let mut archive = tar::Builder::new(packed);
            pack(&folder, Path::new(""), &mut archive)?;
            archive
                .into_inner()?
                .finish()?
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            Ok(())
        };
        pack().map_err(|error| self.undone(&name, &error))?;
        Ok(name)
    }

    fn folder(&self, path: &str) -> io::Result<Dir> {
        let clean = inside(path).map_err(io::Error::other)?;
        match clean.as_os_str().is_empty() {
            true => self.dir.try_clone(),
            false => self.dir.open_dir(&clean),
        }
    }

    /// Merges captures in time order into `<unix seconds>.pcap`; gives that name. Those in `folder` (else those of
    /// streams) whose names are in `selected`; all of them, where it is empty.
    pub(crate) fn snapshot(&self, selected: &[String], folder: Option<&str>) -> Result<String> {
        let path = folder.unwrap_or(PCAPS);
        if folder.is_none() {
            // a script may have taken it away
            self.mkdir(PCAPS)?;
        }
        let dir = self.folder(path).map_err(|error| failed(path, &error))?;
        let mut names = self.captures(&dir).map_err(|error| failed(path, &error))?;
        if folder.is_none() {
            let running = self.streams.streams();
            names.extend(running.into_iter().filter(|name| !dir.exists(name)));
        }
        if !selected.is_empty() {
            for name in selected {
                named(name)?;
            }
            // what is named and not there is an error, not an empty file
            let missing = selected.iter().find(|name| {
                let is_stream = folder.is_none() && number_of(name).is_some();
                !names.contains(name) && !is_stream
            });
            if let Some(missing) = missing {
                return Err(refused(
                    &format!("{path}/{missing}"),
                    "no such file or directory",
                ));
            }
            names = selected.to_vec();
        }
        let mut merge = Merge::new(&self.path).map_err(|error| failed(path, &error))?;
        for name in &names {
            let whole = format!("{path}/{name}");
            let fail = |error: io::Error| failed(&whole, &error);
            if let Ok(file) = dir.open(name) {
                merge.file(&file.into_std()).map_err(fail)?;
                continue;
            }
            match self.capture(&whole, number_of(name).unwrap_or(u64::MAX)) {
                Ok(file) => merge.file(&file).map_err(fail)?,
                // it left the ring since it was listed; counted
                Err(_) if selected.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        let (name, file) = self.stamped(|second| format!("{second}.pcap"))?;
        let file = self.disk.writer(&self.dir, file);
        merge
            .write(file)
            .map_err(|error| self.undone(&name, &error))?;
        Ok(name)
    }

    /// A file that could not be written whole goes.
    fn undone(&self, name: &str, error: &io::Error) -> FileError {
        self.disk.free();
        // where it can't, it is found in the directory
        let _ = self.dir.remove_file(name);
        failed(name, error)
    }

    /// Names of the files in a folder.
    fn captures(&self, dir: &Dir) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in dir.entries()? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Whether two are one file.
fn same(a: &File, b: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Folders within folders that are packed.
const DEPTH: usize = 64;

fn pack<W: Write>(dir: &Dir, at: &Path, archive: &mut tar::Builder<W>) -> io::Result<()> {
    if at.components().count() > DEPTH {
        return Err(io::Error::other("folders are too deep"));
    }
    let mut entries = dir.entries()?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(cap_std::fs::DirEntry::file_name);
    for entry in entries {
        let path = at.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            pack(&entry.open_dir()?, &path, archive)?;
        } else if kind.is_file() {
            let file = entry.open()?.into_std();
            let about = file.metadata()?;
            let mut header = tar::Header::new_gnu();
            header.set_size(about.len());
            header.set_mode(0o644);
            let modified = about.modified()?.duration_since(std::time::UNIX_EPOCH);
            header.set_mtime(modified.map_or(0, |since| since.as_secs()));
            // one that grows meanwhile is packed as long as it was
            archive.append_data(&mut header, &path, file.take(about.len()))?;
        }
    }
    Ok(())
}
