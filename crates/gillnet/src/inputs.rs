//! What captures and recordings are read: from arguments to sources.

use crate::cli::Access;
use crate::config::Config;
use crate::exit::{self, Done};
use crate::lock::lock;
use gillnet_api::StreamKey;
use gillnet_bucket::layout::{Hour, TimeRange, recorder, unescape};
use gillnet_bucket::packets::StreamId;
use gillnet_bucket::{
    Access as BucketAccess, Bucket, BucketError, Credentials, Destination, Earliest, Group,
    GroupIndex, IDENTITY, Identities, Notes, Recordings, Selected, Selection, StreamSet, connect,
    decrypted, unread,
};
use gillnet_bucket::{Origin as RecordedBy, RecordedSource};
use gillnet_capture::{
    Error, Event, Frame, Interface, NO_POS, Source, SourceStats, Store, expand, open_merged,
};
use gillnet_entry::Origin;
use gillnet_kfl::{Filter, Recordings as Asks};
use gillnet_pipeline::{FrameNumber, Numbers};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Captures and recordings that can be read, more than once unless they are standard input.
pub struct Inputs {
    inputs: Vec<Input>,
    identities: Identities,
    range: TimeRange,
    cache: PathBuf,
    /// How many sources were named.
    named: usize,
    told: Mutex<Told>,
}

/// What was said of the sources, each thing once however often they are read.
#[derive(Default)]
struct Told {
    said: BTreeSet<String>,
    /// Sources that can't be read, though others are.
    lost: BTreeMap<String, exit::Kind>,
    /// Packet objects that are gone, by source.
    gone: BTreeMap<String, usize>,
    /// Objects that are encrypted and can't be read, by source.
    encrypted: BTreeMap<String, usize>,
}

/// Objects that are named one by one where they are gone.
const NAMED: usize = 5;

impl Told {
    fn say(&mut self, what: String) {
        if !self.said.contains(&what) {
            tracing::warn!("{what}");
            self.said.insert(what);
        }
    }

    /// Says that a source can't be read.
    fn lose(&mut self, place: &str, error: &anyhow::Error) {
        self.say(format!("{error:#}; the other sources are read without it"));
        self.lost.insert(place.to_owned(), exit::kind(error));
    }

    /// Says what is not as it should be with recordings that are read all the same.
    fn notes(&mut self, place: String, notes: &Notes) {
        if let Some(version) = notes.later {
            self.say(later(&place, version));
        }
        let gone = &notes.gone;
        if !gone.is_empty() {
            let more = match gone.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.say(format!(
                "{place}: {} packet objects are gone, though their index is there: {}{more}; what only packets say of them is missing, and `gillnet verify` names all",
                gone.len(),
                gone.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", "),
            ));
        }
        if let Some(first) = notes.unanswered.first() {
            self.say(format!(
                "{place}: of {} packet objects without their payload no entries are there (perhaps not yet), such as {first}: nothing of them is answered",
                notes.unanswered.len(),
            ));
        }
        if let Some(unread) = unread(&notes.encrypted) {
            self.say(format!(
                "{place}: {unread}: nothing of them is answered; {IDENTITY}"
            ));
        }
        self.encrypted.insert(place.clone(), notes.encrypted.len());
        self.gone.insert(place, gone.len());
    }
}

/// What is said of recordings whose layout is of a later version.
pub fn later(place: &str, version: u64) -> String {
    format!(
        "{place}: the recordings have version {version} of the layout, which is later than what is known here: what is new in it is passed over; use a later Gillnet"
    )
}

enum Input {
    /// Captures on this host, in the order given.
    Files(Vec<String>),
    /// A bucket, or a folder that is one.
    Bucket(Arc<dyn Bucket>),
}

/// One source with what belongs to it.
pub struct Reading {
    /// Its frames.
    pub source: Box<dyn Source>,
    /// Where its entries come from.
    pub origin: Arc<Origin>,
    /// Numbers of its streams, where it knows them.
    pub numbers: Option<Numbers>,
    /// Files of names: (what errors call it, content).
    pub history: Vec<(String, Vec<u8>)>,
}

impl Inputs {
    /// Opens what the arguments name; `within` leaves out objects outside of a span of time (ns).
    pub fn open(
        sources: &[String],
        access: &Access,
        config: &Config,
        within: (i64, i64),
    ) -> anyhow::Result<Inputs> {
        let identities = Identities::read(&access.identity).map_err(exit::usage)?;
        let mut inputs = Vec::new();
        let mut files = Vec::new();
        let mut told = Told::default();
        let mut first = None;
        for source in sources {
            let source = crate::snapshot::resolve(&config.data_dir(), source)?;
            let source = source.display().to_string();
            let Some(destination) = bucket(&source).map_err(exit::usage)? else {
                match std::fs::metadata(&source) {
                    Err(error) if sources.len() > 1 && is_plain(&source) => {
                        let error = anyhow::Error::from(error).context(source.clone());
                        told.lose(&source, &error);
                        first.get_or_insert(error);
                    }
                    _ => files.push(source),
                }
                continue;
            };
            match connected(&destination, access, config) {
                Ok(bucket) => inputs.push(Input::Bucket(bucket)),
                Err(error) if sources.len() > 1 => {
                    told.lose(&source, &error);
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        if let (true, true, Some(error)) = (inputs.is_empty(), files.is_empty(), first) {
            return Err(error);
        }
        if !files.is_empty() {
            inputs.insert(0, Input::Files(files));
        }
        let edge = |ns: i64, open: i64| (ns != open).then_some(ns);
        let range = TimeRange {
            since: edge(within.0, i64::MIN),
            until: edge(within.1, i64::MAX),
        };
        let cache = std::env::temp_dir().join(format!("gillnet-{}", std::process::id()));
        Ok(Inputs {
            inputs,
            identities,
            range,
            cache,
            named: sources.len(),
            told: Mutex::new(told),
        })
    }

    /// Where packets are unpacked; made where it is needed.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Puts another bucket in the place of each, such as one that keeps what it has read.
    pub fn wrap(&mut self, wrap: impl Fn(Arc<dyn Bucket>, &Path) -> Arc<dyn Bucket>) {
        for input in &mut self.inputs {
            if let Input::Bucket(bucket) = input {
                *bucket = wrap(Arc::clone(bucket), &self.cache);
            }
        }
    }

    /// What is missing of the sources that are read, each by its name in the status.
    pub fn missing(&self) -> [(&'static str, usize); 3] {
        let told = lock(&self.told);
        [
            ("unreadable-sources", told.lost.len()),
            ("gone-objects", told.gone.values().sum()),
            ("encrypted-objects", told.encrypted.values().sum()),
        ]
    }

    /// How a command ends that read what can be read: a failure where that is not every source, or where no key was given
    /// for some of it.
    pub fn ended(&self, done: Done) -> anyhow::Result<Done> {
        let told = lock(&self.told);
        let encrypted: usize = told.encrypted.values().sum();
        if encrypted > 0 && done != Done::Interrupted {
            return Err(exit::unreachable(anyhow::anyhow!(
                "{encrypted} objects are encrypted and could not be read (see above); the others were"
            )));
        }
        if told.lost.is_empty() || done == Done::Interrupted {
            return Ok(done);
        }
        let error = anyhow::anyhow!(
            "{} of {} sources could not be read (see above); the others were",
            told.lost.len(),
            self.named
        );
        let unreachable = |kind: &exit::Kind| matches!(kind, exit::Kind::Unreachable);
        Err(match told.lost.values().any(unreachable) {
            true => exit::unreachable(error),
            false => error,
        })
    }

    /// What of the sources a filter can ask for; see [`Pending::asked_by`].
    pub fn readings_for(&self, filter: &Filter) -> anyhow::Result<Vec<Pending>> {
        let groups = self.readings()?.into_iter();
        let asked = groups.map(|group| group.asked_by(filter).transpose());
        asked.flatten().collect()
    }

    /// The sources, one after the other. Where there are several, one that can't be listed is said, and left out.
    pub fn readings(&self) -> anyhow::Result<Vec<Pending>> {
        let mut groups = Vec::new();
        let mut first = None;
        for input in &self.inputs {
            let bucket = match input {
                Input::Files(files) => {
                    groups.push(Pending::Files(files.clone()));
                    continue;
                }
                Input::Bucket(bucket) => bucket,
            };
            // what is kept of it on this host stays encrypted
            let readable = decrypted(Arc::clone(bucket), &self.identities);
            let opened = Recordings::of_bucket(readable, self.range, &self.cache);
            match opened.map_err(exit::of_bucket) {
                Ok(recordings) => {
                    lock(&self.told).notes(bucket.place(""), recordings.notes());
                    let found = recordings.into_groups().into_iter();
                    groups.extend(found.map(|group| Pending::Group(Box::new(group))));
                }
                Err(error) if self.named > 1 => {
                    lock(&self.told).lose(&bucket.place(""), &error);
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match first {
            Some(error) if groups.is_empty() => Err(error),
            _ => Ok(groups),
        }
    }
}

/// What is left of a source where some streams are wanted.
#[derive(Default)]
pub struct Left {
    /// The source, without the others.
    pub pending: Option<Pending>,
    /// What is missing of these, as it was said.
    pub missing: Vec<String>,
    /// Those of them whose packets' payload was not recorded.
    pub unrecorded: StreamSet,
    /// The recordings that have these.
    pub recordings: BTreeSet<String>,
}

impl Left {
    /// What is left of a group; says what is missing.
    fn of((group, selected): (Group, Selected)) -> Left {
        let missing = selected.gone_objects.iter();
        let missing: Vec<String> = missing
            .map(|object| format!("{object} is gone: what it had of the streams is missing"))
            .collect();
        for what in &missing {
            tracing::warn!("{what}");
        }
        Left {
            pending: Some(Pending::Group(Box::new(group))),
            missing,
            unrecorded: selected.unrecorded,
            recordings: selected.unrecorded_in,
        }
    }
}

/// A source that is not opened yet.
pub enum Pending {
    /// Captures on this host.
    Files(Vec<String>),
    /// What one process recorded, or what lies in one folder of a bucket.
    Group(Box<Group>),
}

impl Pending {
    /// Opens it.
    pub fn read(self) -> anyhow::Result<Reading> {
        match self {
            Pending::Files(files) => captures(&files),
            Pending::Group(group) => recorded(*group),
        }
    }

    /// What it is, the same at each opening.
    pub fn label(&self) -> String {
        match self {
            Pending::Files(files) => files.join(" "),
            Pending::Group(group) => match group.origin() {
                RecordedBy::Recorded { cluster, node, run } => {
                    format!("recorded by {cluster}/{node}, run {run:016x}")
                }
                RecordedBy::Captures { folder } => format!("captures in {folder:?}"),
            },
        }
    }

    /// The same with nothing but a stream's packets, where its index says where they are; nothing where another process
    /// recorded the stream.
    pub fn only(self, key: &StreamKey) -> Option<Left> {
        if self.is_not_of(key) {
            return None;
        }
        let id = StreamId {
            number: key.number,
            udp: key.udp,
        };
        Some(self.only_those([id].into_iter().collect()))
    }

    /// Whether another process recorded the stream.
    pub fn is_not_of(&self, key: &StreamKey) -> bool {
        match self {
            Pending::Files(_) => false,
            Pending::Group(group) => match group.origin() {
                RecordedBy::Recorded { cluster, node, run } => {
                    let origin = [cluster.clone(), node.clone(), format!("{run:016x}")];
                    key.origin.as_ref().is_some_and(|asked| *asked != origin)
                }
                RecordedBy::Captures { .. } => false,
            },
        }
    }

    /// The same with nothing but these streams' packets, where its index says where they are; nothing where it is to be none
    /// of them.
    pub fn only_those(self, streams: StreamSet) -> Left {
        match self {
            _ if streams.is_empty() => Left::default(),
            Pending::Group(group) => Left::of(group.only(&Selection::of(streams))),
            Pending::Files(_) => Left {
                pending: Some(self),
                ..Left::default()
            },
        }
    }

    /// The same once more with the packets of a part of its entries; `None` of plain captures, and where there are none.
    pub fn near(&self, part: Earliest) -> Option<Left> {
        let Pending::Group(group) = self else {
            return None;
        };
        Some(Left::of(group.again()?.near(part.streams, part.hours?)))
    }

    /// What a process recorded, once more, where some of it is without the packets' payload.
    pub fn cut(&self) -> Option<Pending> {
        match self {
            Pending::Group(group) if group.is_cut() => {
                Some(Pending::Group(Box::new(group.again()?)))
            }
            _ => None,
        }
    }

    /// What of it a filter can ask for: where it names a recording (`record("name")`), what is of that one.
    ///
    /// # Errors
    /// Where it can't be told, as several rules of a process may have kept the same entry.
    pub fn asked_by(self, filter: &Filter) -> anyhow::Result<Option<Pending>> {
        let Pending::Group(group) = self else {
            return Ok(Some(self));
        };
        let name = match filter.recordings() {
            Asks::Any => return Ok(Some(Pending::Group(group))),
            _ if group.recordings().is_empty() => return Ok(Some(Pending::Group(group))),
            Asks::One(name) => name.to_owned(),
            Asks::Several => {
                let several = group.recordings();
                let mut names = several.iter();
                match (names.next(), names.next()) {
                    (Some(only), None) => (*only).to_owned(),
                    _ => {
                        let names: Vec<&str> = several.into_iter().collect();
                        return Err(exit::usage(anyhow::anyhow!(
                            "of a bucket one recording can be asked for at a time, and there are {}; write record(\"{}\") and what else is to hold",
                            names.join(", "),
                            names.first().unwrap_or(&"")
                        )));
                    }
                }
            }
        };
        let left = group.of_recording(&name);
        Ok(left.map(|group| Pending::Group(Box::new(group))))
    }

    /// What it is now, as a text that is another where anything of it changes.
    pub fn state(&self) -> String {
        let files = match self {
            Pending::Group(group) => return group.state(),
            Pending::Files(files) => files,
        };
        let state = |file: &String| match std::fs::metadata(file) {
            Ok(meta) if meta.is_file() => {
                format!("{file} {} {:?}", meta.len(), meta.modified().ok())
            }
            // a folder, a pattern, or standard input
            _ => file.clone(),
        };
        files.iter().map(state).collect::<Vec<_>>().join("\n")
    }

    /// The process that recorded it, as names of objects begin: `<node>_<run>`.
    pub fn recorder(&self) -> Option<String> {
        match self {
            Pending::Files(_) => None,
            Pending::Group(group) => match group.origin() {
                RecordedBy::Recorded { node, run, .. } => Some(recorder(node, *run)),
                RecordedBy::Captures { .. } => None,
            },
        }
    }

    /// Whether all of it is in an index.
    pub fn is_indexed(&self) -> bool {
        match self {
            Pending::Files(_) => false,
            Pending::Group(group) => group.is_indexed(),
        }
    }

    /// Whether some of its index can't be read by other programs, as it is encrypted.
    pub fn is_index_encrypted(&self) -> bool {
        match self {
            Pending::Files(_) => false,
            Pending::Group(group) => group.is_index_encrypted(),
        }
    }

    /// What a process recorded, where all of it has an index, and where its entries come from.
    pub fn indexed(&self) -> Option<(&Group, Arc<Origin>)> {
        match self {
            Pending::Group(group) if group.is_indexed() => Some((group, origin_of(group))),
            _ => None,
        }
    }

    /// Its index, of an hour and those that follow or of all, where it has one, and where its entries come from.
    pub fn index(
        &self,
        since: Option<Hour>,
    ) -> Result<Option<(GroupIndex, Arc<Origin>)>, BucketError> {
        let Pending::Group(group) = self else {
            return Ok(None);
        };
        let index = match group.is_cut() {
            // entries of these are nowhere else
            true => group.index_that_is(since)?,
            false => group.index_since(since)?,
        };
        Ok(index.map(|index| (index, origin_of(group))))
    }
}

fn captures(files: &[String]) -> anyhow::Result<Reading> {
    let source = open_merged(expand(files)?)?;
    Ok(Reading {
        source,
        origin: origin(""),
        numbers: None,
        history: Vec::new(),
    })
}

fn recorded(group: Group) -> anyhow::Result<Reading> {
    let origin = origin_of(&group);
    let has_numbers = matches!(group.origin(), RecordedBy::Recorded { .. });
    let history = group.names().unwrap_or_else(|error| {
        tracing::warn!("names of the recording: {error}");
        Vec::new()
    });
    let current = FrameNumber::default();
    let source = Box::new(Tagged {
        inner: group.into_source()?,
        current: current.clone(),
        data: Vec::new(),
    });
    let numbers = has_numbers.then(|| Numbers::WithFrames(current));
    Ok(Reading {
        source,
        origin,
        numbers,
        history,
    })
}

/// Where the entries of a group come from, read from packets or from their index.
fn origin_of(group: &Group) -> Arc<Origin> {
    match group.origin() {
        RecordedBy::Recorded { cluster, node, run } => {
            let origin = recorded_by(cluster, node, format!("{run:016x}"));
            match group.recording() {
                None => origin,
                Some(recording) => Arc::new(Origin {
                    recording: recording.to_owned(),
                    ..Origin::clone(&origin)
                }),
            }
        }
        RecordedBy::Captures { folder } => origin(folder),
    }
}

/// The origin of entries that a process recorded.
fn recorded_by(cluster: &str, node: &str, run: String) -> Arc<Origin> {
    Arc::new(Origin {
        worker: node.to_owned(),
        node: node.to_owned(),
        cluster: cluster.to_owned(),
        run,
        backend: "af_packet",
        kept: true,
        ..Origin::default()
    })
}

/// The origin of entries that an engine found: of the cluster as its folder is named, and of a [`Pending::recorder`].
pub fn origin_recorded(cluster: &str, recorder: &str) -> Arc<Origin> {
    let (node, run) = recorder.rsplit_once('_').unwrap_or((recorder, ""));
    let shown = |name: &str| unescape(name).unwrap_or_else(|| name.to_owned());
    recorded_by(&shown(cluster), &shown(node), run.to_owned())
}

/// The origin of entries of plain captures.
fn origin(folder: &str) -> Arc<Origin> {
    Arc::new(Origin {
        worker: "local".into(),
        node: folder.to_owned(),
        backend: "pcap",
        kept: true,
        ..Origin::default()
    })
}

/// A source whose frames are copied into a ring: where they are in a file of their own means nothing there.
pub struct Unplaced(pub Box<dyn Source>);

impl Source for Unplaced {
    fn next(&mut self) -> Result<Event<'_>, Error> {
        Ok(match self.0.next()? {
            Event::Frame(frame) => Event::Frame(Frame {
                pos: NO_POS,
                ..frame
            }),
            other => other,
        })
    }

    fn interfaces(&self) -> &[Interface] {
        self.0.interfaces()
    }

    fn stats(&mut self) -> SourceStats {
        self.0.stats()
    }

    fn store(&self) -> Option<Store> {
        None
    }
}

/// Tells the stream of the frame that it gives, to whoever numbers streams.
struct Tagged {
    inner: Box<dyn RecordedSource>,
    current: FrameNumber,
    data: Vec<u8>,
}

impl Source for Tagged {
    fn next(&mut self) -> Result<Event<'_>, Error> {
        // the frame is copied, since its source cannot be asked while it is borrowed
        let frame = match self.inner.next()? {
            Event::Frame(frame) => {
                self.data.clear();
                self.data.extend_from_slice(frame.data);
                Frame {
                    data: &[],
                    comment: None,
                    pos: NO_POS,
                    ..frame
                }
            }
            Event::Tick(now) => return Ok(Event::Tick(now)),
            Event::End => return Ok(Event::End),
        };
        if let Some(stream) = self.inner.stream() {
            let since = self.inner.missing().map(|missing| missing.before);
            self.current.tell(stream.number, since);
        }
        Ok(Event::Frame(Frame {
            data: &self.data,
            ..frame
        }))
    }

    fn interfaces(&self) -> &[Interface] {
        self.inner.interfaces()
    }

    fn stats(&mut self) -> SourceStats {
        self.inner.stats()
    }

    fn store(&self) -> Option<Store> {
        None
    }
}

/// The bucket that an argument names: a URL, or a folder that was recorded to, or Kubeshark's archive.
fn bucket(source: &str) -> anyhow::Result<Option<Destination>> {
    let path = Path::new(source);
    let is_archive = path.is_file()
        && [".tar.gz", ".tgz", ".tar"]
            .iter()
            .any(|end| source.ends_with(end));
    let is_folder =
        path.is_dir() && (path.join("gillnet.json").is_file() || path.join("packets").is_dir());
    if source.contains("://") || is_archive || is_folder {
        let source = if source.contains("://") {
            source.to_owned()
        } else {
            std::path::absolute(path)?.display().to_string()
        };
        return Ok(Some(Destination::parse(&source)?));
    }
    Ok(None)
}

/// Whether an argument is the path of a file or folder: no pattern, and not standard input.
fn is_plain(source: &str) -> bool {
    source != "-" && !source.contains(['*', '?', '['])
}

/// A bucket to be read, as its URL names it.
pub fn readable(url: &str, access: &Access, config: &Config) -> anyhow::Result<Arc<dyn Bucket>> {
    let destination = Destination::parse(url).map_err(exit::usage)?;
    let identities = Identities::read(&access.identity).map_err(exit::usage)?;
    let bucket = connected(&destination, access, config)?;
    Ok(decrypted(bucket, &identities))
}

/// The same by the names and sizes that its objects have there, whoever they are encrypted for.
pub fn as_stored(place: &str, access: &Access, config: &Config) -> anyhow::Result<Arc<dyn Bucket>> {
    let destination = Destination::parse(&absolute(place)?).map_err(exit::usage)?;
    connected(&destination, access, config)
}

fn connected(
    destination: &Destination,
    access: &Access,
    config: &Config,
) -> anyhow::Result<Arc<dyn Bucket>> {
    let credentials = Credentials {
        anonymous: access.anonymous,
        ..config.credentials(destination, access.key_file.as_deref())?
    };
    connect(destination, &credentials, BucketAccess::Read).map_err(exit::unreachable)
}

/// The recordings at a place: a bucket, or a folder.
pub fn recordings(
    place: &str,
    access: &Access,
    config: &Config,
) -> anyhow::Result<Arc<dyn Bucket>> {
    readable(&absolute(place)?, access, config)
}

/// A bucket's URL as it is, a folder's path from the root on.
pub fn absolute(place: &str) -> std::io::Result<String> {
    match place.contains("://") {
        true => Ok(place.to_owned()),
        false => Ok(std::path::absolute(place)?.display().to_string()),
    }
}
