//! Captures that are no packet objects of ours: plain files, Kubeshark's folders and its archives.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use gillnet_capture::{
    Error, Event, Input, Interface, Source, SourceStats, Store, expand, open_files, open_merged,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{
    Content, Group, MAX_NAMES, Names, Origin, Progress, RecordedSource, Shared, object::make_cache,
    reader::ObjectReader,
};
use crate::{
    BucketError, ErrorKind, ObjectMeta,
    layout::NAME_HISTORY,
    packets::{Missing, StreamId},
};

/// Whether a place is a file of names beside captures.
pub(super) fn is_history(place: &str) -> bool {
    place.rsplit('/').next() == Some(NAME_HISTORY)
}

/// Whether a place is named as a capture or an archive of some, packed or not.
pub(super) fn is_capture(place: &str) -> bool {
    let name = file_name(place).to_ascii_lowercase();
    let name = [".gz", ".zst"]
        .iter()
        .find_map(|packed| name.strip_suffix(packed))
        .unwrap_or(&name);
    // rotating programs put numbers behind: pcap0, pcap1
    is_archive(place)
        || name
            .rsplit_once('.')
            .is_some_and(|(_, end)| end.starts_with("pcap") || matches!(end, "cap" | "ntar"))
}

fn is_archive(place: &str) -> bool {
    let name = place.to_ascii_lowercase();
    [".tar", ".tar.gz", ".tgz", ".tar.zst"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn file_name(place: &str) -> &str {
    place.rsplit('/').next().unwrap_or(place)
}

/// The folder of a key; empty for the top.
fn folder_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The captures of one folder.
pub(super) struct Captures {
    files: Vec<Capture>,
    shared: Arc<Shared>,
    /// Where archives of the bucket were copied to.
    copies: Option<Arc<TempDir>>,
    bytes: u64,
}

enum Capture {
    /// On this host.
    Local(Input),
    /// In the bucket.
    Remote { key: String, size: u64 },
}

/// Captures collected by folder.
struct Folders<'a> {
    shared: &'a Arc<Shared>,
    histories: Vec<ObjectMeta>,
    copies: Option<Arc<TempDir>>,
    folders: BTreeMap<String, (Names, Captures)>,
}

/// The groups of the captures that a listing shows, a folder each, and of those in its archives.
pub(super) fn groups(
    shared: &Arc<Shared>,
    mut captures: Vec<ObjectMeta>,
    histories: Vec<ObjectMeta>,
) -> Result<Vec<Group>, BucketError> {
    captures.sort_by_cached_key(|meta| natural(&meta.key));
    let mut folders = Folders {
        shared,
        histories,
        copies: None,
        folders: BTreeMap::new(),
    };
    for meta in captures {
        match (
            shared.bucket.local_path(&meta.key),
            is_archive(&shared.bucket.place(&meta.key)),
        ) {
            (Some(path), true) => folders.add_archive(&meta, &path),
            (Some(path), false) => folders.add(
                folder_of(&meta.key),
                Capture::Local(Input::File(path)),
                meta.size,
            ),
            (None, true) => {
                let copy = folders.copy(&meta)?;
                folders.add_archive(&meta, &copy);
            }
            (None, false) => {
                let size = meta.size;
                folders.add(
                    folder_of(&meta.key),
                    Capture::Remote {
                        key: meta.key.clone(),
                        size,
                    },
                    size,
                );
            }
        }
    }
    Ok(folders.into_groups())
}

impl Folders<'_> {
    fn add(&mut self, folder: &str, capture: Capture, bytes: u64) {
        let Self {
            shared,
            histories,
            copies,
            folders,
        } = self;
        let (_, captures) = folders.entry(folder.to_owned()).or_insert_with(|| {
            let beside = histories
                .iter()
                .filter(|history| folder_of(&history.key) == folder)
                .cloned()
                .collect();
            let captures = Captures {
                files: Vec::new(),
                shared: Arc::clone(shared),
                copies: copies.clone(),
                bytes: 0,
            };
            (Names::Objects(beside), captures)
        });
        captures.files.push(capture);
        captures.bytes += bytes;
    }

    /// Adds the captures in an archive, each to the folder that it has there.
    fn add_archive(&mut self, meta: &ObjectMeta, path: &Path) {
        let name = path.display().to_string();
        // what is wrong with an archive is told when it is read
        let members = expand(std::slice::from_ref(&name))
            .unwrap_or_else(|_| vec![Input::File(path.to_owned())]);
        let mut bytes = meta.size;
        for member in members {
            let inside = member
                .name()
                .strip_prefix(&format!("{name}:"))
                .map(|inside| folder_of(inside).to_owned());
            let folder = match &inside {
                Some(inside) => format!("{}:{inside}", meta.key),
                None => folder_of(&meta.key).to_owned(),
            };
            self.add(&folder, Capture::Local(member), std::mem::take(&mut bytes));
            if let (Some(inside), Some((names, _))) = (inside, self.folders.get_mut(&folder)) {
                *names = Names::Archive {
                    archive: path.to_owned(),
                    folder: inside,
                };
            }
        }
    }

    /// Copies an archive of the bucket into the cache: it is read several times.
    fn copy(&mut self, meta: &ObjectMeta) -> Result<PathBuf, BucketError> {
        let place = self.shared.bucket.place(&meta.key);
        let failed = |error: io::Error| {
            BucketError::new(
                ErrorKind::Other,
                &place,
                format!(
                    "can't be copied to {}: {error}",
                    self.shared.cache.display()
                ),
            )
        };
        if self.copies.is_none() {
            make_cache(&self.shared.cache).map_err(failed)?;
            self.copies = Some(Arc::new(
                TempDir::with_prefix_in("archives-", &self.shared.cache).map_err(failed)?,
            ));
        }
        let folder = self
            .copies
            .as_ref()
            .map_or(self.shared.cache.as_path(), |copies| copies.path());
        // archives of several folders may have the same name
        let path = folder.join(self.folders.len().to_string());
        std::fs::create_dir_all(&path).map_err(failed)?;
        let path = path.join(file_name(&place));
        let mut file = File::create_new(&path).map_err(failed)?;
        let mut reader =
            ObjectReader::uncounted(Arc::clone(self.shared), meta.key.clone(), meta.size);
        io::copy(&mut reader, &mut file)
            .and_then(|_| file.flush())
            .map_err(failed)?;
        Ok(path)
    }

    fn into_groups(self) -> Vec<Group> {
        let Self {
            shared, folders, ..
        } = self;
        let mut groups = Vec::with_capacity(folders.len());
        for (folder, (names, mut captures)) in folders {
            captures.order();
            Progress::add(&shared.progress.objects, captures.files.len() as u64);
            Progress::add(&shared.progress.bytes, captures.bytes);
            let content = Content::Captures(captures);
            groups.push(Group {
                origin: Origin::Captures { folder },
                recording: None,
                names,
                content,
                cut: Vec::new(),
                streams: Vec::new(),
                entries: Vec::new(),
                shared: Arc::clone(shared),
            });
        }
        groups
    }
}

/// A name for sorting: numbers in it, filled up with zeros, stand in the order of their values.
fn natural(name: &str) -> String {
    const WIDTH: usize = 20;
    let mut key = String::with_capacity(name.len() + WIDTH);
    let mut digits = String::new();
    for c in name.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            key.extend(std::iter::repeat_n('0', WIDTH.saturating_sub(digits.len())));
            key.push_str(&digits);
            digits.clear();
        }
        key.push(c);
    }
    key
}

impl Captures {
    /// Puts files of this host in the order of their first frames; in the bucket their names must do.
    fn order(&mut self) {
        if self.files.len() < 2 {
            return;
        }
        self.files.sort_by_cached_key(|capture| match capture {
            Capture::Local(Input::File(path)) => first_time(path),
            _ => None,
        });
    }

    /// Adds what its files were when they were listed.
    pub(super) fn state(&self, hash: &mut Sha256) {
        for file in &self.files {
            match file {
                Capture::Local(input) => hash.update(format!("{}\0", input.name())),
                Capture::Remote { key, size } => hash.update(format!("{key}\0{size}\0")),
            }
        }
        hash.update(self.bytes.to_le_bytes());
    }

    /// Its frames.
    pub(super) fn into_source(self) -> Result<Box<dyn RecordedSource>, Error> {
        let Self {
            files,
            shared,
            copies,
            bytes,
        } = self;
        // of what is not on this host the first frames' times are not asked: it stays in the order of its names
        let is_local = files
            .iter()
            .all(|capture| matches!(capture, Capture::Local(_)));
        let (mut local, mut local_bytes) = (0, bytes);
        let inputs = files.into_iter().map(|capture| match capture {
            Capture::Local(input) => {
                local += 1;
                input
            }
            Capture::Remote { key, size } => {
                local_bytes = local_bytes.saturating_sub(size);
                let name = shared.bucket.place(&key);
                Input::Reader {
                    name,
                    reader: Box::new(ObjectReader::new(Arc::clone(&shared), key, size)),
                }
            }
        });
        let inputs = inputs.collect();
        let source = match is_local {
            true => open_merged(inputs),
            false => open_files(inputs),
        }?;
        Ok(Box::new(Plain {
            source,
            progress: Arc::clone(&shared.progress),
            left: (local, local_bytes),
            _copies: copies,
        }))
    }
}

/// The time of the first frame of a file, looked for among its first records.
fn first_time(path: &Path) -> Option<i64> {
    const LOOKS: usize = 16;
    let mut source = open_files(vec![Input::File(path.to_owned())]).ok()?;
    for _ in 0..LOOKS {
        match source.next() {
            Ok(Event::Frame(frame)) => return Some(frame.ts),
            Ok(Event::End) => return None,
            Ok(Event::Tick(_)) | Err(_) => {}
        }
    }
    None
}

/// Captures that say nothing of streams.
struct Plain {
    source: Box<dyn Source>,
    progress: Arc<Progress>,
    /// Files and bytes to count as done at the end.
    left: (u64, u64),
    _copies: Option<Arc<TempDir>>,
}

impl Source for Plain {
    fn next(&mut self) -> Result<Event<'_>, Error> {
        let event = self.source.next();
        if matches!(event, Ok(Event::End)) {
            let (files, bytes) = std::mem::take(&mut self.left);
            Progress::add(&self.progress.objects_done, files);
            Progress::add(&self.progress.bytes_done, bytes);
        }
        event
    }

    fn interfaces(&self) -> &[Interface] {
        self.source.interfaces()
    }

    fn stats(&mut self) -> SourceStats {
        self.source.stats()
    }

    fn store(&self) -> Option<Store> {
        self.source.store()
    }
}

impl RecordedSource for Plain {
    fn stream(&self) -> Option<StreamId> {
        None
    }

    fn missing(&self) -> Option<Missing> {
        None
    }
}

/// The files of names in a folder of an archive.
pub(super) fn names_in_archive(
    archive: &Path,
    folder: &str,
) -> Result<Vec<(String, Vec<u8>)>, BucketError> {
    let place = archive.display().to_string();
    read_names(archive, folder, &place).map_err(|error| {
        BucketError::new(
            ErrorKind::Other,
            &place,
            format!("its {NAME_HISTORY} can't be read: {error}"),
        )
    })
}

fn read_names(archive: &Path, folder: &str, place: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut file = File::open(archive)?;
    let mut magic = Vec::new();
    (&mut file).take(2).read_to_end(&mut magic)?;
    file.rewind()?;
    let bytes: Box<dyn Read> = if magic == [0x1f, 0x8b] {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut names = Vec::new();
    for member in tar::Archive::new(bytes).entries()? {
        let mut member = member?;
        let name = member.path()?.to_string_lossy().into_owned();
        if is_history(&name) && folder_of(&name) == folder && member.header().entry_type().is_file()
        {
            if member.size() > MAX_NAMES {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("{} bytes", member.size()),
                ));
            }
            let mut content = Vec::new();
            member.read_to_end(&mut content)?;
            names.push((format!("{place}:{name}"), content));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_told_by_their_names() {
        for name in [
            "a.pcap",
            "x/b.PCAPNG",
            "c.pcap.gz",
            "d.pcapng.zst",
            "e.cap",
            "f.pcap12",
            "g.tar.gz",
            "h.tgz",
            "i.tar",
        ] {
            assert!(is_capture(name), "{name}");
        }
        for name in [
            "pcap",
            "a.json",
            "a.gz",
            "gillnet.json",
            "x.pcap/readme",
            "name_resolution_history.json",
        ] {
            assert!(!is_capture(name), "{name}");
        }
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = [
            "a10.pcap",
            "a9.pcap",
            "b/1.pcap",
            "a/2.pcap",
            "a.pcap",
            "1700000000.pcap",
            "999999999.pcap",
        ];
        names.sort_by_key(|name| natural(name));
        assert_eq!(
            names,
            [
                "999999999.pcap",
                "1700000000.pcap",
                "a.pcap",
                "a/2.pcap",
                "a9.pcap",
                "a10.pcap",
                "b/1.pcap"
            ]
        );
    }
}
