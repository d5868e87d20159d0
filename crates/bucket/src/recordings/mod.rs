//! Recordings read back as sources of frames.
//!
//! [`Recordings::open`] lists what is there and reads none of it. Packet objects are grouped by the
//! process that recorded them ([`Origin`]), other captures by the folder they are in; each group
//! is one source. Memory is bounded: frames are unpacked into mapped files without a name in the
//! cache folder, and only 16 bytes of each are held.

mod aggregated;
mod captures;
mod earliest;
mod foreign;
mod in_order;
mod indexed;
mod merge;
mod object;
mod overview;
mod reader;
mod selection;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use gillnet_capture::Source;
use sha2::{Digest, Sha256};

pub use earliest::Earliest;
pub(crate) use foreign::foreign;
pub use indexed::{Answered, GroupIndex, ask_by_time};
pub use overview::{Overview, overview};
use selection::Only;
pub use selection::{Selected, Selection, StreamSet};

use crate::{
    Access, Bucket, BucketError, Credentials, Destination, ErrorKind, ObjectMeta, connect,
    encryption::{IDENTITY, of_encrypted_key, plain_key, unread},
    layout::{
        FORMAT_KEY, NAME_HISTORY, ObjectName, PacketFormat, Part, Payload, SNAPSHOTS, TimeRange,
    },
    packets::{Missing, StreamId},
    replaced::Replaced,
};

/// The version of the layout that is known here.
const KNOWN_VERSION: u64 = 1;
/// How much later than its oldest packets the hour of an object may be: a stream that matches late
/// brings packets from before. Hours up to so much after the range are looked into.
const LATE_NS: i64 = 3_600_000_000_000;
/// Objects that may have come while their bucket was listed, packets before streams, at most.
const MEANWHILE: usize = 16;
/// The longest file of names that is read, in bytes.
const MAX_NAMES: u64 = 256 << 20;

/// A source of frames that may know which stream each frame belongs to.
pub trait RecordedSource: Source {
    /// The stream of the frame given last; `None` where the recording does not say.
    fn stream(&self) -> Option<StreamId>;

    /// What is missing from that stream before this frame, as its object says; `None` where nothing
    /// is known to be.
    fn missing(&self) -> Option<Missing>;

    /// Its turn in the order of time, in nanoseconds since the Unix epoch: it never goes back, as the time of a frame may
    /// where a clock stepped back. `None` where frames come in an order of their own.
    fn turn(&self) -> Option<i64> {
        None
    }
}

/// Who recorded a group, or where it lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Packet objects that one process of Gillnet recorded.
    Recorded {
        /// Name of the cluster.
        cluster: String,
        /// Name of the node.
        node: String,
        /// Random number of the process.
        run: u64,
    },
    /// Captures of any other origin.
    Captures {
        /// The folder or archive they are in, relative to what was opened.
        folder: String,
    },
}

/// How far reading has come, for all groups of a [`Recordings`]; updated while they are read.
#[derive(Debug, Default)]
pub struct Progress {
    objects: AtomicU64,
    objects_done: AtomicU64,
    bytes: AtomicU64,
    bytes_done: AtomicU64,
    damaged: AtomicU64,
    duplicates: AtomicU64,
}

impl Progress {
    /// Objects and files to read.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// Of these, read or found to be outside of the range.
    #[must_use]
    pub fn objects_done(&self) -> u64 {
        self.objects_done.load(Ordering::Relaxed)
    }

    /// Bytes to read, as stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Of these, read or passed over.
    #[must_use]
    pub fn bytes_done(&self) -> u64 {
        self.bytes_done.load(Ordering::Relaxed)
    }

    /// Objects that could not be read, or not to their end; each was an error of its source.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Frames that several objects hold (several rules kept them) beyond the first; not given again.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Notes that nothing of an object is read.
    fn passed_over(&self, object: &Object) {
        Self::add(&self.objects_done, 1);
        Self::add(&self.bytes_done, object.size);
    }
}

/// What the sources of one opening share.
struct Shared {
    bucket: Arc<dyn Bucket>,
    range: TimeRange,
    cache: PathBuf,
    progress: Arc<Progress>,
}

/// What is not as it should be with recordings that are read all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// They are of this later version of the layout, which says that what is known here can be read.
    pub later: Option<u64>,
    /// Packet objects that are not there, though files are that belong to them. What only their packets say is missing.
    pub gone: Vec<String>,
    /// Packet objects without all of their packets' payload, of which no entries are there (perhaps not yet): nothing of them
    /// can be answered.
    pub unanswered: Vec<String>,
    /// Objects that are encrypted, and that no key was given for: nothing of them is answered.
    pub encrypted: Vec<String>,
}

/// The recordings at a destination.
pub struct Recordings {
    groups: Vec<Group>,
    progress: Arc<Progress>,
    notes: Notes,
}

impl Recordings {
    /// Finds the recordings at a destination: packet objects of the layout, Kubeshark's captures and
    /// archives, and plain captures from anywhere, at any depth; or one object or file, where the
    /// destination is one. `range` leaves out objects that lie outside of it; frames outside of it in
    /// the objects that remain are given. Unpacked frames go to `cache`, a folder that is made where
    /// it is missing and holds nothing afterwards.
    ///
    /// # Errors
    /// Where the bucket can't be listed, where nothing is there that can be read, and where it was
    /// written by a later version that this one can't read.
    pub fn open(
        destination: &Destination,
        credentials: &Credentials,
        range: TimeRange,
        cache: &Path,
    ) -> Result<Self, BucketError> {
        let bucket = connect(destination, credentials, Access::Read)?;
        Self::of_bucket(bucket, range, cache)
    }

    /// As [`Recordings::open`], of a bucket that is open already.
    ///
    /// # Errors
    /// As [`Recordings::open`].
    pub fn of_bucket(
        bucket: Arc<dyn Bucket>,
        range: TimeRange,
        cache: &Path,
    ) -> Result<Self, BucketError> {
        let progress = Arc::new(Progress::default());
        let shared = Arc::new(Shared {
            bucket,
            range,
            cache: cache.to_owned(),
            progress: Arc::clone(&progress),
        });
        let mut found = Found::default();
        match shared.bucket.head("")? {
            Some(only) => found.take_only(&shared, only),
            None => shared
                .bucket
                .list("", &mut |meta| found.take(&shared, meta))?,
        }
        let later = match found.has_format {
            true => check_format(shared.bucket.as_ref())?,
            false => None,
        };
        found.leave_replaced();
        found.leave_foreign(&*shared.bucket);
        let notes = Notes {
            later,
            gone: found.gone(&shared),
            unanswered: found.unanswered(&shared),
            encrypted: std::mem::take(&mut found.encrypted),
        };
        let outside = found.outside;
        let groups = found.groups(&shared)?;
        if groups.is_empty() {
            let place = shared.bucket.place("");
            if let Some(error) = unreadable(place.clone(), &notes.encrypted) {
                return Err(error);
            }
            return Err(match outside {
                0 => BucketError::new(
                    ErrorKind::NotFound,
                    place,
                    "no recording and no capture is there",
                )
                .mend("give the bucket or folder that was recorded to, or a folder with captures"),
                _ => BucketError::new(
                    ErrorKind::NotFound,
                    place,
                    format!("none of its {outside} objects lies in the time asked for"),
                )
                .mend("change --since and --until"),
            });
        }
        Ok(Self {
            groups,
            progress,
            notes,
        })
    }

    /// What is to be told of them.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The groups, in the order of their origins. Each is opened on its own.
    #[must_use]
    pub fn into_groups(self) -> Vec<Group> {
        self.groups
    }

    /// How far reading has come.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

/// The version of a bucket's layout, where it is a later one that says (`minReader`) that it can be read here.
///
/// # Errors
/// Where it can't be read here.
pub(crate) fn check_format(bucket: &dyn Bucket) -> Result<Option<u64>, BucketError> {
    let text = bucket.get(FORMAT_KEY)?;
    let json = serde_json::from_slice::<serde_json::Value>(&text).ok();
    let number = |key: &str| json.as_ref()?.get(key)?.as_u64();
    match (number("version"), number("minReader")) {
        (Some(version), _) if version <= KNOWN_VERSION => Ok(None),
        (Some(version), least) if least.unwrap_or(KNOWN_VERSION) <= KNOWN_VERSION => Ok(Some(version)),
        (Some(version), Some(least)) => Err(BucketError::new(
            ErrorKind::Other,
            bucket.place(FORMAT_KEY),
            format!("the recordings have version {version} of the layout, which needs a reader of version {least}, and {KNOWN_VERSION} is the last that is known here"),
        )
        .mend("use a later Gillnet")),
        _ => Err(BucketError::new(ErrorKind::Other, bucket.place(FORMAT_KEY), "has no version of the layout that can be read")
            .mend("delete it where it is not Gillnet's")),
    }
}

/// An object of a group.
#[derive(Clone, Debug)]
struct Object {
    name: ObjectName,
    key: String,
    size: u64,
    /// What is read of it, where that is not all.
    only: Option<Only>,
    /// Its file of streams, with its size, where its own format does not say what its streams are.
    beside: Option<(String, u64)>,
}

impl Object {
    /// Whether it is one of classic pcap, which says nothing of itself.
    fn is_bare(&self) -> bool {
        PacketFormat::of_key(&self.key) == Some(PacketFormat::Pcap)
    }

    fn meta(self) -> ObjectMeta {
        ObjectMeta {
            key: self.key,
            size: self.size,
            modified: SystemTime::UNIX_EPOCH,
        }
    }
}

/// The files of one process.
#[derive(Default)]
struct Recorded {
    packets: Vec<Object>,
    /// Those without all of their packets' payload.
    cut: Vec<Object>,
    names: Vec<Object>,
    streams: Vec<Object>,
    entries: Vec<Object>,
}

impl Recorded {
    fn files(&self) -> impl Iterator<Item = &Object> {
        let lists = [
            &self.packets,
            &self.cut,
            &self.names,
            &self.streams,
            &self.entries,
        ];
        lists.into_iter().flatten()
    }

    fn lists(&mut self) -> [&mut Vec<Object>; 5] {
        [
            &mut self.packets,
            &mut self.cut,
            &mut self.names,
            &mut self.streams,
            &mut self.entries,
        ]
    }
}

/// What a listing shows, sorted into groups.
#[derive(Default)]
struct Found {
    recorded: BTreeMap<Origin, Recorded>,
    captures: Vec<ObjectMeta>,
    histories: Vec<ObjectMeta>,
    has_format: bool,
    /// Objects outside of the range.
    outside: u64,
    /// See [`Notes::encrypted`].
    encrypted: Vec<String>,
}

impl Found {
    /// Takes a file that was named itself: it is a capture whatever its name is.
    fn take_only(&mut self, shared: &Shared, meta: ObjectMeta) {
        let place = shared.bucket.place(&meta.key);
        if ObjectName::parse(plain_key(&place)).is_some() {
            self.take(shared, meta);
        } else {
            self.captures.push(meta);
        }
    }

    fn take(&mut self, shared: &Shared, meta: ObjectMeta) {
        self.has_format |= meta.key == FORMAT_KEY;
        // where a folder inside the layout was opened, the place has the parts above it
        let place = shared.bucket.place(&meta.key);
        let Some((part, name)) = ObjectName::parse(plain_key(&place)) else {
            if captures::is_history(&place) {
                self.histories.push(meta);
            } else if captures::is_capture(&place) {
                self.captures.push(meta);
            }
            return;
        };
        let since_ok = shared
            .range
            .since
            .is_none_or(|since| name.hour.end() > since);
        let until_ok = shared
            .range
            .until
            .is_none_or(|until| name.hour.start() <= until.saturating_add(LATE_NS));
        if !since_ok || !until_ok {
            self.outside += u64::from(part == Part::Packets);
            return;
        }
        if of_encrypted_key(&place).is_some() {
            self.encrypted.push(place);
            return;
        }
        let origin = Origin::Recorded {
            cluster: name.cluster.clone(),
            node: name.node.clone(),
            run: name.run,
        };
        let recorded = self.recorded.entry(origin).or_default();
        let object = |meta: ObjectMeta| Object {
            name,
            size: meta.size,
            key: meta.key,
            only: None,
            beside: None,
        };
        match part {
            Part::Packets => match Payload::of_key(&meta.key) {
                Payload::Full => recorded.packets.push(object(meta)),
                _ => recorded.cut.push(object(meta)),
            },
            Part::Entries => recorded.entries.push(object(meta)),
            Part::Names => recorded.names.push(object(meta)),
            Part::Streams => recorded.streams.push(object(meta)),
        }
    }

    /// Leaves out what compaction has replaced, and what it has not finished.
    fn leave_replaced(&mut self) {
        let files = self
            .recorded
            .values()
            .flat_map(|recorded| &recorded.entries);
        let replaced = Replaced::of(files.map(|file| (Part::Entries, &file.name)));
        for recorded in self.recorded.values_mut() {
            for files in recorded.lists() {
                files.retain(|file| !replaced.hides(&file.name));
            }
        }
    }

    /// Leaves out what is encrypted for others.
    fn leave_foreign(&mut self, bucket: &dyn Bucket) {
        let files = self.recorded.values().flat_map(Recorded::files);
        let foreign = foreign(bucket, files.map(|file| (&file.name, &*file.key)));
        if foreign.is_empty() {
            return;
        }
        for files in self.recorded.values_mut().flat_map(Recorded::lists) {
            files.retain(|file| {
                let is_foreign = foreign.contains(&file.name);
                if is_foreign {
                    self.encrypted.push(bucket.place(&file.key));
                }
                !is_foreign
            });
        }
    }

    /// Packet objects of which only the files of streams are there. (Entries say less: those of an earlier hour, and those
    /// that came after all packets, have none beside them.)
    fn gone(&self, shared: &Shared) -> Vec<String> {
        let mut gone: Vec<&ObjectName> = Vec::new();
        for recorded in self.recorded.values() {
            let there = recorded.packets.iter().chain(&recorded.cut);
            let there: HashSet<_> = there.map(|object| &object.name).collect();
            let streams = recorded.streams.iter().map(|file| &file.name);
            gone.extend(streams.filter(|name| !there.contains(name)));
        }
        if gone.len() <= MEANWHILE {
            gone.retain(|name| !came(&*shared.bucket, name));
        }
        let keys = gone.iter().map(|name| name.packets_key());
        keys.map(|key| shared.bucket.place(&key)).collect()
    }

    /// See [`Notes::unanswered`].
    fn unanswered(&self, shared: &Shared) -> Vec<String> {
        let mut keys = Vec::new();
        for recorded in self.recorded.values().filter(|of| !of.cut.is_empty()) {
            let indexed: HashSet<_> = recorded.entries.iter().map(|file| &file.name).collect();
            let cut = recorded.cut.iter();
            let without = cut.filter(|object| !indexed.contains(&object.name));
            keys.extend(without.map(|object| shared.bucket.place(&object.key)));
        }
        keys
    }

    fn groups(self, shared: &Arc<Shared>) -> Result<Vec<Group>, BucketError> {
        let progress = &shared.progress;
        let mut groups = Vec::new();
        for (origin, recorded) in self.recorded {
            let objects = recorded.packets;
            if objects.is_empty() && recorded.cut.is_empty() && recorded.entries.is_empty() {
                continue;
            }
            Progress::add(&progress.objects, objects.len() as u64);
            Progress::add(
                &progress.bytes,
                objects.iter().map(|object| object.size).sum(),
            );
            groups.push(Group {
                origin,
                recording: None,
                names: Names::Objects(recorded.names.into_iter().map(Object::meta).collect()),
                content: Content::Objects(objects),
                cut: recorded.cut,
                streams: recorded.streams,
                entries: recorded.entries,
                shared: Arc::clone(shared),
            });
        }
        let mut captures = self.captures;
        if self.has_format {
            // snapshots beside a recording are opened by themselves
            captures.retain(|meta| !meta.key.starts_with(SNAPSHOTS));
        }
        groups.extend(captures::groups(shared, captures, self.histories)?);
        Ok(groups)
    }
}

/// What is said where nothing is there but objects that are encrypted for others; `None` where there are none.
fn unreadable(place: String, encrypted: &[String]) -> Option<BucketError> {
    let message = unread(encrypted)?;
    Some(BucketError::new(ErrorKind::Forbidden, place, message).mend(IDENTITY))
}

/// Whether an object's packets are there now, whatever they are written as.
fn came(bucket: &dyn Bucket, name: &ObjectName) -> bool {
    let is_there = |format| {
        let key = name.packets_key_as(format, Payload::Full);
        !matches!(bucket.head(&key), Ok(None))
    };
    if PacketFormat::ALL.into_iter().any(is_there) {
        return true;
    }
    let key = name.packets_key();
    let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut came = false;
    let listed = bucket.list_while(folder, &mut |meta| {
        let found = ObjectName::parse(&bucket.place(&meta.key));
        came = found.is_some_and(|(_, found)| found == *name);
        !came
    });
    came || listed.is_err_and(|error| error.kind != ErrorKind::NotFound)
}

/// What one process recorded, or what lies in one folder.
pub struct Group {
    origin: Origin,
    /// The only recording that is left of it, where one was asked for.
    recording: Option<String>,
    names: Names,
    content: Content,
    /// Packet objects without all of their packets' payload: entries are never read from them, only from their index.
    cut: Vec<Object>,
    /// Files of the index.
    streams: Vec<Object>,
    entries: Vec<Object>,
    shared: Arc<Shared>,
}

enum Content {
    Objects(Vec<Object>),
    Captures(captures::Captures),
}

/// Where a group's files of names are.
enum Names {
    Objects(Vec<ObjectMeta>),
    /// In an archive, below a folder of it.
    Archive {
        archive: PathBuf,
        folder: String,
    },
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Group {
    /// Who recorded it, or where it lies.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The recordings that it has objects of; none where it is of plain captures.
    #[must_use]
    pub fn recordings(&self) -> BTreeSet<&str> {
        let objects = match &self.content {
            Content::Objects(objects) => &**objects,
            Content::Captures(_) => &[],
        };
        let objects = objects.iter().chain(&self.cut);
        objects.map(|object| &*object.name.recording).collect()
    }

    /// The recording that [`Group::of_recording`] left.
    #[must_use]
    pub fn recording(&self) -> Option<&str> {
        self.recording.as_deref()
    }

    /// What it has of one recording; `None` where that is nothing.
    #[must_use]
    pub fn of_recording(mut self, recording: &str) -> Option<Group> {
        let is_it = |object: &Object| object.name.recording == recording;
        let Content::Objects(objects) = &mut self.content else {
            return None;
        };
        for other in objects.iter().filter(|object| !is_it(object)) {
            self.shared.progress.passed_over(other);
        }
        objects.retain(is_it);
        self.cut.retain(is_it);
        let is_empty = objects.is_empty() && self.cut.is_empty();
        self.streams.retain(is_it);
        self.entries.retain(is_it);
        self.recording = Some(recording.to_owned());
        (!is_empty).then_some(self)
    }

    /// The files that say what its addresses meant, in Kubeshark's format, each with its name.
    ///
    /// # Errors
    /// The first of them that can't be read.
    pub fn names(&self) -> Result<Vec<(String, Vec<u8>)>, BucketError> {
        let metas = match &self.names {
            Names::Archive { archive, folder } => {
                return captures::names_in_archive(archive, folder);
            }
            Names::Objects(metas) => metas,
        };
        let bucket = &self.shared.bucket;
        metas
            .iter()
            .map(|meta| {
                let place = bucket.place(&meta.key);
                if meta.size > MAX_NAMES {
                    let message = format!(
                        "has {} bytes, which is more than a {NAME_HISTORY} may have",
                        meta.size
                    );
                    return Err(BucketError::new(ErrorKind::Other, place, message));
                }
                Ok((place, bucket.get(&meta.key)?))
            })
            .collect()
    }

    /// The same once more, to be read twice; `None` of plain captures.
    #[must_use]
    pub fn again(&self) -> Option<Group> {
        let (Content::Objects(objects), Names::Objects(names)) = (&self.content, &self.names)
        else {
            return None;
        };
        Some(Group {
            origin: self.origin.clone(),
            recording: self.recording.clone(),
            names: Names::Objects(names.clone()),
            content: Content::Objects(objects.clone()),
            cut: self.cut.clone(),
            streams: self.streams.clone(),
            entries: self.entries.clone(),
            shared: Arc::clone(&self.shared),
        })
    }

    /// What it was when it was listed, as a text that is another where anything of it has changed.
    #[must_use]
    pub fn state(&self) -> String {
        let mut hash = Sha256::new();
        match &self.content {
            Content::Captures(captures) => captures.state(&mut hash),
            Content::Objects(objects) => {
                let all = objects.iter().chain(&self.cut);
                let all = all.chain(&self.streams).chain(&self.entries);
                for object in all {
                    hash.update(format!("{}\0{}\0", object.key, object.size));
                }
            }
        }
        format!("{:x}", hash.finalize())
    }

    /// Its frames, packet objects' in the order of time.
    ///
    /// # Errors
    /// Those of [`gillnet_capture::open_files`]. What is wrong with an object or capture is an error
    /// of the source, and what follows is read.
    pub fn into_source(mut self) -> Result<Box<dyn RecordedSource>, gillnet_capture::Error> {
        if let Content::Objects(objects) = &self.content {
            // of classic pcap only the files of streams say which times an object covers
            let unknown = |object: &Object| object.is_bare() && object.only.is_none();
            if objects.iter().any(unknown) {
                self = self.only(&Selection::default()).0;
            }
        }
        match self.content {
            Content::Objects(objects) => Ok(Box::new(merge::Merged::new(self.shared, objects))),
            Content::Captures(captures) => captures.into_source(),
        }
    }
}
