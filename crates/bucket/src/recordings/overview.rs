//! What recordings there are in a bucket, told from its listing and from heads and ends of its objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check_format;
use super::foreign::foreign;
use super::in_order::{in_order, threads};
use crate::encryption::{of_encrypted_key, plain_key};
use crate::index::figures;
use crate::layout::{ObjectName, Part, Payload};
use crate::packets::{HEAD_BYTES, read_head};
use crate::replaced::Replaced;
use crate::{Bucket, BucketError, ErrorKind};

/// So many faults of a recording are told one by one.
const FAULTS: usize = 20;
/// Objects of entries alone are numbered from here on.
const ENTRIES_ALONE: u64 = 1 << 40;

/// A recording of a bucket. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Its cluster.
    pub cluster: String,
    /// Its name.
    pub recording: String,
    /// The filter of its newest object.
    pub kfl: Option<String>,
    /// The nodes that recorded it.
    pub nodes: BTreeSet<String>,
    /// Its earliest packet or entry; where no object says it, the beginning of its first hour.
    pub first: i64,
    /// Its latest packet or entry; where no object says it, the end of its last hour.
    pub last: i64,
    /// What its objects keep of packets.
    pub payloads: BTreeSet<Payload>,
    /// Objects of packets.
    pub objects: u64,
    /// Bytes of them.
    pub packet_bytes: u64,
    /// Bytes of all that is beside them.
    pub index_bytes: u64,
    /// Entries, where there is an index.
    pub entries: Option<u64>,
    /// Streams; one that goes on in another object counts there again.
    pub streams: u64,
    /// Packets, where every object says how many it has.
    pub packets: Option<u64>,
    /// What is wrong with it: the first of it, each with its place.
    pub faults: Vec<String>,
    /// How much is wrong with it.
    pub faulty: u64,
    /// Files of it that are encrypted.
    pub encrypted: u64,
    /// Of these, those that no key was given for: no more is known of them than their names and sizes.
    pub unread: u64,
}

/// A file that counts.
struct File {
    part: Part,
    name: ObjectName,
    key: String,
    size: u64,
    is_encrypted: bool,
    /// It is encrypted, and no key was given for it.
    is_unread: bool,
}

/// What a file says.
#[derive(Default)]
struct Said {
    kfl: Option<String>,
    times: Option<(i64, i64)>,
    entries: u64,
    streams: u64,
    packets: Option<u64>,
    fault: Option<String>,
}

/// The recordings of a bucket, by cluster and name, and the version of its layout where that is a later one.
///
/// # Errors
/// Where it can't be listed, or is of a version that can't be read here. What is wrong with a single object is among the faults of its
/// recording.
pub fn overview(bucket: &Arc<dyn Bucket>) -> Result<(Vec<Overview>, Option<u64>), BucketError> {
    let later = match check_format(&**bucket) {
        Err(error) if error.kind == ErrorKind::NotFound => None,
        version => version?,
    };
    let mut files = Vec::new();
    bucket.list("", &mut |meta| {
        let place = bucket.place(&meta.key);
        if let Some((part, name)) = ObjectName::parse(plain_key(&place)) {
            let (key, size) = (meta.key, meta.size);
            let is_unread = of_encrypted_key(&place).is_some();
            files.push(File {
                part,
                name,
                is_encrypted: is_unread || bucket.is_encrypted(&key),
                is_unread,
                key,
                size,
            });
        }
    })?;
    let replaced = Replaced::of(files.iter().map(|file| (file.part, &file.name)));
    files.retain(|file| !replaced.hides(&file.name));
    let foreign = foreign(&**bucket, files.iter().map(|file| (&file.name, &*file.key)));
    for file in &mut files {
        file.is_unread |= foreign.contains(&file.name);
    }
    let objects = Objects::of(&files);
    let mut found: BTreeMap<(String, String), Overview> = BTreeMap::new();
    let read = |at: usize| {
        let file = files.get(at);
        Ok::<_, BucketError>(file.map(|file| (file, file.says(bucket, &objects))))
    };
    in_order(files.len(), threads(&**bucket), read, |said| {
        let Some((file, said)) = said else {
            return;
        };
        let key = (file.name.cluster.clone(), file.name.recording.clone());
        let of = found.entry(key).or_insert_with(|| Overview {
            cluster: file.name.cluster.clone(),
            recording: file.name.recording.clone(),
            first: i64::MAX,
            last: i64::MIN,
            packets: Some(0),
            ..Overview::default()
        });
        of.add(file, said, &objects);
    })?;
    let mut found: Vec<Overview> = found.into_values().collect();
    for of in &mut found {
        let hours = files.iter().filter(|file| {
            (&file.name.cluster, &file.name.recording) == (&of.cluster, &of.recording)
        });
        let (first, last) = hours.fold((i64::MAX, i64::MIN), |(first, last), file| {
            (
                first.min(file.name.hour.start()),
                last.max(file.name.hour.end()),
            )
        });
        if of.first > of.last {
            (of.first, of.last) = (first, last);
        }
    }
    Ok((found, later))
}

/// Which files there are of each object, whatever hour they are in.
struct Objects(BTreeSet<(Tag, String, String, String)>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    Packets,
    Streams,
    Entries,
}

impl Objects {
    fn of(files: &[File]) -> Self {
        let key = |file: &File| Some(Self::key(Self::tag(file.part)?, &file.name));
        Self(files.iter().filter_map(key).collect())
    }

    fn tag(part: Part) -> Option<Tag> {
        match part {
            Part::Packets => Some(Tag::Packets),
            Part::Streams => Some(Tag::Streams),
            Part::Entries => Some(Tag::Entries),
            Part::Names => None,
        }
    }

    fn key(tag: Tag, name: &ObjectName) -> (Tag, String, String, String) {
        let (cluster, recording) = (name.cluster.clone(), name.recording.clone());
        (tag, cluster, recording, name.file())
    }

    fn has(&self, tag: Tag, name: &ObjectName) -> bool {
        self.0.contains(&Self::key(tag, name))
    }
}

impl File {
    fn says(&self, bucket: &Arc<dyn Bucket>, objects: &Objects) -> Said {
        let fault = |error: String| Said {
            fault: Some(format!("{}: {error}", self.key)),
            ..Said::default()
        };
        let columns: &[&str] = match self.part {
            _ if self.is_unread => return Said::default(),
            Part::Entries => &["timestamp"],
            Part::Streams => &["first", "last"],
            // what is not indexed says it in its first member
            Part::Packets if !objects.has(Tag::Streams, &self.name) => {
                let head = bucket.get_range(&self.key, 0..HEAD_BYTES.min(self.size));
                return match head.map(|head| read_head(&head)) {
                    Ok(Some((totals, kfl))) => Said {
                        kfl,
                        times: Some((totals.first, totals.last)),
                        streams: totals.streams,
                        packets: Some(totals.packets),
                        ..Said::default()
                    },
                    Ok(None) => fault("does not say what it holds".to_owned()),
                    Err(error) => fault(error.to_string()),
                };
            }
            _ => return Said::default(),
        };
        match figures(bucket, &self.key, self.size, columns) {
            Ok(of) => Said {
                kfl: of.kfl,
                times: of.times,
                entries: match self.part {
                    Part::Entries => of.rows,
                    _ => 0,
                },
                streams: match self.part {
                    Part::Streams => of.rows,
                    _ => 0,
                },
                packets: None,
                fault: None,
            },
            Err(error) => fault(error.to_string()),
        }
    }
}

impl Overview {
    fn add(&mut self, file: &File, said: Said, objects: &Objects) {
        let name = &file.name;
        self.nodes.insert(name.node.clone());
        if let Some((first, last)) = said.times {
            self.first = self.first.min(first);
            self.last = self.last.max(last);
        }
        if said.kfl.is_some() {
            self.kfl = said.kfl;
        }
        self.streams += said.streams;
        self.encrypted += u64::from(file.is_encrypted);
        self.unread += u64::from(file.is_unread);
        let gone = !objects.has(Tag::Packets, name) && name.seq < ENTRIES_ALONE;
        match file.part {
            Part::Packets => {
                self.objects += 1;
                self.payloads.insert(Payload::of_key(plain_key(&file.key)));
                self.packet_bytes += file.size;
                self.packets = self.packets.zip(said.packets).map(|(a, b)| a + b);
                if objects.has(Tag::Streams, name) && !objects.has(Tag::Entries, name) {
                    self.fault(format!(
                        "{}: its entries are not there (perhaps not yet)",
                        file.key
                    ));
                }
            }
            part => {
                self.index_bytes += file.size;
                if part == Part::Entries && !file.is_unread {
                    *self.entries.get_or_insert(0) += said.entries;
                }
                if gone {
                    self.fault(format!("{}: its packets are not there", file.key));
                }
            }
        }
        if let Some(fault) = said.fault {
            self.fault(fault);
        }
    }

    fn fault(&mut self, what: String) {
        self.faulty += 1;
        if self.faults.len() < FAULTS {
            self.faults.push(what);
        }
    }
}
