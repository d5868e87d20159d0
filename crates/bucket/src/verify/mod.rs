//! Checks a bucket: whether all that is there is whole, and says the same.
//!
//! What is wrong is told as it is found, and everything else is checked all the same. Memory holds the list of objects,
//! what is known of one object, and one member of its packets.

mod index;
mod packets;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::encryption::{IDENTITY, of_encrypted_key, plain_key};
use crate::index::Beside;
use crate::layout::{FORMAT_KEY, Hour, ObjectName, Part, Payload, Replaces};
use crate::packets::StreamId;
use crate::recordings::foreign;
use crate::replaced::Replaced;
use crate::{Bucket, BucketError, ErrorKind, ObjectMeta};

/// The longest file of names that is read.
const MAX_NAMES: u64 = 256 << 20;
/// Streams of entries that are looked for in other objects of their run, at most; more are not.
const MAX_SOUGHT: usize = 1 << 20;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object, or what was asked for.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
    /// What can be done.
    pub mend: &'static str,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Objects of the layout, and those of them that are looked at already.
    pub objects: u64,
    /// Of these, looked at so far.
    pub done: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packets in them.
    pub packets: u64,
    /// Streams, each as often as an object has a part of it.
    pub streams: u64,
    /// Entries in the index.
    pub entries: u64,
    /// Objects that others have replaced, or that a compaction left unfinished: nobody reads them, and they were not
    /// looked at.
    pub replaced: u64,
    /// Objects that are none of the layout.
    pub others: u64,
    /// Objects that are encrypted, and that no key was given for: they were not looked at.
    pub encrypted: u64,
    /// What was found.
    pub findings: u64,
}

const LATER: &str = "use a later Gillnet; what else is there is read all the same";
const DELETED: &str = "restore it, or delete what else belongs to it";
const DAMAGED: &str = "restore it from a copy; what is left of it is read all the same";
const WAIT: &str = "where its recorder still runs, wait until it has uploaded the rest; else its packets are read without an index";

/// Takes findings, and says how far it is.
pub trait Watch {
    /// Something is wrong.
    fn found(&mut self, finding: &Finding);

    /// One more object was looked at.
    fn goes_on(&mut self, so_far: &Checked);
}

/// Checks all that is in a bucket.
///
/// # Errors
/// Where it can't be listed: then nothing but the version of its format is known, and what was found of that is told.
pub fn verify(bucket: &Arc<dyn Bucket>, watch: &mut dyn Watch) -> Result<Checked, BucketError> {
    let mut check = Check {
        bucket,
        watch,
        so_far: Checked::default(),
        replaced: Replaced::default(),
    };
    check.format();
    let mut listed = Listed::default();
    bucket.list("", &mut |meta| listed.take(&**bucket, meta))?;
    check.so_far.others = listed.others;
    for key in std::mem::take(&mut listed.strange) {
        let mend = "delete it, or give it back the name that it had";
        check.finding(
            key,
            "lies among recordings, and its name is none of theirs",
            mend,
        );
    }
    let names = listed.files.iter().map(|file| (file.part, &file.name));
    let replaced = Replaced::of(names);
    let (hidden, mut files): (Vec<_>, Vec<_>) = listed
        .files
        .into_iter()
        .partition(|file| replaced.hides(&file.name));
    let foreign = foreign(&**bucket, files.iter().map(|file| (&file.name, &*file.key)));
    let mut unread = listed.encrypted;
    let keys = files.extract_if(.., |file| foreign.contains(&file.name));
    unread.extend(keys.map(|file| file.key));
    check.unread(&unread);
    check.replaced = replaced;
    check.so_far.replaced = hidden.len() as u64;
    check.so_far.objects = files.len() as u64;
    let mut runs: BTreeMap<_, Run> = BTreeMap::new();
    for file in files {
        let ObjectName {
            cluster,
            recording,
            node,
            run,
            seq,
            replaces,
            ..
        } = file.name.clone();
        let of_run: &mut Run = runs.entry((cluster, recording, node, run)).or_default();
        // what replaces others stands for one hour alone
        let hour = replaces.is_some().then_some(file.name.hour);
        let object = of_run.entry((seq, replaces, hour)).or_default();
        match file.part {
            Part::Packets => object.packets = Some(file),
            Part::Streams => object.streams = Some(file),
            Part::Names => object.names = Some(file),
            Part::Entries => object.entries.push(file),
        }
    }
    while let Some((_, run)) = runs.pop_first() {
        check.run(run);
    }
    Ok(check.so_far)
}

/// A file of the layout.
#[derive(Debug)]
struct File {
    part: Part,
    name: ObjectName,
    key: String,
    size: u64,
}

/// The files of one object.
#[derive(Debug, Default)]
struct Object {
    packets: Option<File>,
    streams: Option<File>,
    names: Option<File>,
    entries: Vec<File>,
}

impl Object {
    /// Whether none were to be recorded.
    fn has_no_packets(&self) -> bool {
        let payload = |file: &File| Payload::of_key(&file.key);
        self.packets.as_ref().map(payload) == Some(Payload::None)
    }
}

/// By number.
type Run = BTreeMap<(u64, Option<Replaces>, Option<Hour>), Object>;

#[derive(Default)]
struct Listed {
    files: Vec<File>,
    strange: Vec<String>,
    encrypted: Vec<String>,
    others: u64,
}

impl Listed {
    fn take(&mut self, bucket: &dyn Bucket, meta: ObjectMeta) {
        let ObjectMeta { key, size, .. } = meta;
        // where a folder inside of the layout was opened, the place has the parts above it
        let place = bucket.place(&key);
        if let Some((part, name)) = ObjectName::parse(&place) {
            self.files.push(File {
                part,
                name,
                key,
                size,
            });
        } else if of_encrypted_key(&place).is_some()
            && ObjectName::parse(plain_key(&place)).is_some()
        {
            self.encrypted.push(key);
        } else if ["packets/", "streams/", "entries/", "names/"]
            .iter()
            .any(|folder| key.starts_with(folder))
        {
            self.strange.push(key);
        } else if key != FORMAT_KEY {
            self.others += 1;
        }
    }
}

/// What is known of a stream in an object's packets.
#[derive(Debug, Default)]
struct Stream {
    packets: u64,
    bytes: u64,
    first: i64,
    last: i64,
    /// Where the members begin that have packets of it.
    members: Vec<u64>,
}

/// What an object's packets are.
#[derive(Debug, Default)]
struct Packets {
    sha256: String,
    streams: HashMap<StreamId, Stream>,
    /// Where its members begin, and where the last one ends; of one that is not packed, its blocks.
    members: Vec<u64>,
    /// Whether it has other bytes than were captured: headers were made for packets that had none, or payload was not kept.
    is_other: bool,
}

/// Streams of entries whose packets are not in the entries' own object: how many of each file, by its key.
type Sought = HashMap<StreamId, HashMap<String, u64>>;

struct Check<'c> {
    bucket: &'c Arc<dyn Bucket>,
    watch: &'c mut dyn Watch,
    so_far: Checked,
    replaced: Replaced,
}

impl Check<'_> {
    fn finding(&mut self, key: impl Into<String>, what: impl Display, mend: &'static str) {
        self.so_far.findings += 1;
        self.watch.found(&Finding {
            key: key.into(),
            what: what.to_string(),
            mend,
        });
    }

    /// Tells of encrypted objects that no key was given for.
    fn unread(&mut self, keys: &[String]) {
        self.so_far.encrypted += keys.len() as u64;
        if let Some(first) = keys.first() {
            let what = format!(
                "is one of {} objects that are encrypted with age, and that no key was given for: they were not checked",
                keys.len()
            );
            self.finding(first, what, IDENTITY);
        }
    }

    fn done(&mut self, file: &File) {
        self.so_far.done += 1;
        self.so_far.bytes += file.size;
        self.watch.goes_on(&self.so_far);
    }

    fn format(&mut self) {
        match crate::recordings::check_format(&**self.bucket) {
            Ok(None) => {}
            Ok(Some(version)) => {
                let what = format!("says version {version}: what is new in it is not checked");
                self.finding(FORMAT_KEY, what, LATER);
            }
            Err(error) if error.kind == ErrorKind::NotFound => {
                let mend = "a recorder that uploads there makes it again";
                self.finding(
                    FORMAT_KEY,
                    "is missing: it says which version of the format this is",
                    mend,
                );
            }
            Err(error) => {
                self.finding(
                    FORMAT_KEY,
                    error.message,
                    "use a Gillnet of that version; see docs/format.md",
                );
            }
        }
    }

    /// Checks all that one process recorded of a rule.
    fn run(&mut self, run: Run) {
        let mut sought = Sought::new();
        let mut unindexed: HashSet<StreamId> = HashSet::new();
        for object in run.values() {
            self.object(object, &mut sought, &mut unindexed);
        }
        if sought.is_empty() {
            return;
        }
        sought.retain(|stream, _| !unindexed.contains(stream));
        for file in run.values().filter_map(|object| object.streams.as_ref()) {
            // where it can't be read, that was told
            let _ = index::each_stream(self.bucket, file, |stream| {
                sought.remove(&stream);
            });
        }
        let mut by_key: BTreeMap<String, (u64, StreamId)> = BTreeMap::new();
        for (stream, keys) in sought {
            for (key, count) in keys {
                by_key.entry(key).or_insert((0, stream)).0 += count;
            }
        }
        for (key, (count, stream)) in by_key {
            let what = format!(
                "{count} entries are of streams whose packets are not there, such as {stream}"
            );
            self.finding(key, what, DELETED);
        }
    }

    fn object(&mut self, object: &Object, sought: &mut Sought, unindexed: &mut HashSet<StreamId>) {
        let packets = object.packets.as_ref().and_then(|file| {
            let packets = self.packets(file, object.streams.as_ref());
            self.done(file);
            packets
        });
        let mut sums: HashMap<&str, (u64, String)> = HashMap::new();
        if let (Some(file), Some(packets)) = (&object.packets, &packets) {
            sums.insert(&file.key, (file.size, packets.sha256.clone()));
        }
        if let Some(file) = &object.streams {
            if object.packets.is_none() {
                self.finding(&file.key, "its packets are not there", DELETED);
            }
            // where no packets are kept, its rows are all that is known of them
            let kept = packets.as_ref().filter(|_| !object.has_no_packets());
            if let Some((sum, beside)) = self.streams(file, kept) {
                self.beside(file, &beside, &sums);
                sums.insert(&file.key, (file.size, sum));
            }
            self.done(file);
        }
        if let Some(file) = &object.names {
            if object.packets.is_none() {
                self.finding(&file.key, "its packets are not there", DELETED);
            }
            if let Some(sum) = self.names(file) {
                sums.insert(&file.key, (file.size, sum));
            }
            self.done(file);
        }
        for file in &object.entries {
            if let Some(beside) = self.entries(file, packets.as_ref(), sought) {
                self.beside(file, &beside, &sums);
            }
            self.done(file);
        }
        let Some(file) = &object.packets else { return };
        let of_hour = |entries: &File| entries.name.hour == file.name.hour;
        let indexed = object.entries.iter().any(of_hour);
        match (&object.streams, indexed) {
            (Some(_), false) => self.finding(&file.key, "its entries are not there", WAIT),
            (None, true) => self.finding(&file.key, "its streams are not there", DELETED),
            (None, false) if Payload::of_key(&file.key) != Payload::Full => self.finding(
                &file.key,
                "the payload of its packets was not recorded, and it has no index: nothing of it is answered",
                DELETED,
            ),
            _ => {}
        }
        if object.streams.is_none()
            && let Some(packets) = packets
        {
            unindexed.extend(packets.streams.into_keys());
        }
    }

    /// Checks the files that a footer names.
    fn beside(&mut self, file: &File, named: &[Beside], sums: &HashMap<&str, (u64, String)>) {
        for Beside { key, size, sha256 } in named {
            // where a folder was opened, keys are seen from there
            let there = sums.iter().find(|(there, _)| {
                key == *there
                    || key.ends_with(&format!("/{there}"))
                    || there.ends_with(&format!("/{key}"))
            });
            // entries of another hour stay where they are when the packets of their object are compacted
            let name = ObjectName::parse(key);
            let replaced = name.is_some_and(|(_, name)| self.replaced.hides(&name));
            match there {
                None if replaced => {}
                None => {
                    let what = format!("names {key}, which is not there or can't be read");
                    self.finding(&file.key, what, DELETED);
                }
                Some((there, (is, sum))) if is != size || sum != sha256 => {
                    let what = format!(
                        "is not the one that {} names: {is} bytes and SHA-256 {sum}, there {size} and {sha256}",
                        file.key
                    );
                    self.finding(*there, what, DAMAGED);
                }
                Some(_) => {}
            }
        }
    }

    /// Checks a file of names: its SHA-256.
    fn names(&mut self, file: &File) -> Option<String> {
        if file.size > MAX_NAMES {
            self.finding(&file.key, "is too long for a file of names", DAMAGED);
            return None;
        }
        match self.bucket.get(&file.key) {
            Ok(text) => {
                if let Err(error) = serde_json::from_slice::<serde_json::Value>(&text) {
                    self.finding(&file.key, format!("is no JSON: {error}"), DAMAGED);
                }
                Some(crate::hex(&Sha256::digest(&text)))
            }
            Err(error) => {
                self.finding(
                    &file.key,
                    format!("can't be read: {}", error.message),
                    DAMAGED,
                );
                None
            }
        }
    }
}
