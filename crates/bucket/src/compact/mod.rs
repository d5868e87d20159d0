//! Makes few large objects of many small ones, and removes what these have replaced.
//!
//! Works on one hour of one node's run at a time, after the hour is closed. What is made gets a name that says what it
//! replaces ([`crate::layout::Replaces`]), and counts when its last file is there; until then everybody reads the
//! objects that it is made of. These are deleted by a later run, when nobody reads by an old listing any more. So a
//! crash at any point leaves each entry and packet there once.

mod entries;
mod names;
mod packets;
mod put;

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::encryption::{encrypted_key, of_encrypted_key, plain_key};
use crate::index::{Beside, Footer, StreamRow, StreamsWriter, read_streams};
use crate::layout::{FORMAT_KEY, Hour, ObjectName, PacketFormat, Part, Payload, Replaces};
use crate::replaced::Replaced;
use crate::{Body, Bucket, BucketError, Encryptor, ErrorKind, Recipients, Sum, Summed};

/// Objects are made up to about this size (bytes of packets, packed): a reader unpacks one at a time.
const PACKED: u64 = 64 << 20;
/// And with about so much index: its rows are in memory while they are sorted.
const INDEX: u64 = 16 << 20;
/// A name is one part of a path: file systems have 255 bytes for it.
const NAME: usize = 240;

/// What is to be done.
#[derive(Clone, Copy)]
pub struct Options<'o> {
    /// Only hours that ended at or before this moment (ns since the Unix epoch).
    pub before: i64,
    /// What was replaced longer ago is deleted.
    pub grace: Duration,
    /// The time by which that is told.
    pub now: SystemTime,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Waits before something is tried again.
    pub rest: fn(Duration),
    /// For whom is encrypted what is made of a recording's encrypted objects, by its name.
    pub recipients: &'o dyn Fn(&str) -> Recipients,
}

/// Something that was done, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Objects became one.
    Made {
        /// Its name.
        name: ObjectName,
        /// How many it replaces.
        of: u64,
    },
    /// A file that nobody reads any more was deleted.
    Deleted {
        /// Its key.
        key: String,
    },
    /// Something was left as it is.
    Left {
        /// The first of the objects.
        name: ObjectName,
        /// Why.
        why: String,
    },
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Objects made.
    pub made: u64,
    /// Objects that they replace.
    pub replaced: u64,
    /// Files deleted.
    pub deleted: u64,
    /// Files that are replaced, and wait until the time of grace is over.
    pub waiting: u64,
    /// What was left as it is because of a fault.
    pub left: u64,
    /// Objects that were passed over, as they are encrypted and no key was given.
    pub encrypted: u64,
}

/// A file as it is listed.
#[derive(Clone, Debug)]
struct File {
    part: Part,
    name: ObjectName,
    key: String,
    size: u64,
    modified: SystemTime,
    is_encrypted: bool,
}

/// The files of an object in one hour.
#[derive(Clone, Debug, Default)]
struct Source {
    seq: u64,
    packets: Option<File>,
    streams: Option<File>,
    names: Option<File>,
    entries: Option<File>,
}

impl Source {
    fn bytes(&self) -> u64 {
        self.packets.as_ref().map_or(0, |file| file.size)
    }

    fn is_encrypted(&self) -> bool {
        let files = [&self.packets, &self.streams, &self.names, &self.entries];
        files.into_iter().flatten().any(|file| file.is_encrypted)
    }

    fn index(&self) -> u64 {
        let files = [&self.streams, &self.entries];
        files.into_iter().flatten().map(|file| file.size).sum()
    }

    /// Whether all is there that is needed of it. What is recorded in another format is so for other programs, and stays;
    /// so does what has not all of its packets' payload.
    fn is_whole(&self) -> bool {
        let packed = self.packets.as_ref().is_none_or(|file| {
            PacketFormat::of_key(&file.key) == Some(PacketFormat::PcapngGz)
                && Payload::of_key(&file.key) == Payload::Full
        });
        let streams = self.packets.is_some() == self.streams.is_some();
        packed
            && self.entries.is_some()
            && streams
            && (self.packets.is_some() || self.names.is_none())
    }
}

/// Why objects could not be made one.
enum Failed {
    /// They stay as they are.
    Left(String),
    /// The bucket does not do what it should: nothing more is tried.
    Bucket(BucketError),
}

impl From<BucketError> for Failed {
    fn from(error: BucketError) -> Self {
        match error.kind {
            ErrorKind::NotFound | ErrorKind::Damaged => Self::Left(error.to_string()),
            _ => Self::Bucket(error),
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Left(error.to_string())
    }
}

impl From<crate::index::Error> for Failed {
    fn from(error: crate::index::Error) -> Self {
        Self::Left(error.to_string())
    }
}

/// Compacts a bucket.
///
/// # Errors
/// Where it can't be listed, read, written or, of what was replaced, deleted. What was done before counts, and the next
/// run goes on from there.
pub fn compact(
    bucket: &Arc<dyn Bucket>,
    options: &Options<'_>,
    says: &mut dyn FnMut(&Step),
) -> Result<Done, BucketError> {
    match crate::recordings::check_format(&**bucket) {
        Ok(None) => {}
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Ok(Some(version)) => {
            let message = format!(
                "the recordings have version {version} of the layout: what is new in them would be lost"
            );
            let place = bucket.place(FORMAT_KEY);
            return Err(
                BucketError::new(ErrorKind::Other, place, message).mend("use a later Gillnet")
            );
        }
        Err(error) => return Err(error),
    }
    let (mut files, mut encrypted) = (Vec::new(), 0);
    bucket.list("", &mut |meta| {
        let place = bucket.place(&meta.key);
        if let Some((part, name)) = ObjectName::parse(&place) {
            let (key, size, modified) = (meta.key, meta.size, meta.modified);
            files.push(File {
                part,
                name,
                is_encrypted: bucket.is_encrypted(&key),
                key,
                size,
                modified,
            });
        } else if of_encrypted_key(&place).is_some()
            && ObjectName::parse(plain_key(&place)).is_some()
        {
            encrypted += 1;
        }
    })?;
    let replaced = Replaced::of(files.iter().map(|file| (file.part, &file.name)));
    let mut places: BTreeMap<_, Vec<File>> = BTreeMap::new();
    for file in files {
        let ObjectName {
            cluster,
            recording,
            hour,
            node,
            run,
            ..
        } = file.name.clone();
        if hour.end() <= options.before {
            let place = (hour, cluster, recording, node, run);
            places.entry(place).or_default().push(file);
        }
    }
    let mut work = Work {
        bucket,
        options,
        says,
        done: Done {
            encrypted,
            ..Done::default()
        },
    };
    while let Some((_, files)) = places.pop_first() {
        work.delete(&files, &replaced)?;
        work.merge(&files, &replaced)?;
    }
    Ok(work.done)
}

struct Work<'w> {
    bucket: &'w Arc<dyn Bucket>,
    options: &'w Options<'w>,
    says: &'w mut dyn FnMut(&Step),
    done: Done,
}

impl Work<'_> {
    /// Deletes what was replaced, or left unfinished, longer ago than the time of grace.
    fn delete(&mut self, files: &[File], replaced: &Replaced) -> Result<(), BucketError> {
        let old = |file: &File| {
            let age = self.options.now.duration_since(file.modified);
            age.is_ok_and(|age| age >= self.options.grace)
        };
        for file in files.iter().filter(|file| replaced.hides(&file.name)) {
            // since when it is replaced: since the other's last file is there
            let by = |other: &&File| other.part == Part::Entries && other.name.replaces(&file.name);
            let since = files
                .iter()
                .filter(by)
                .find(|other| !replaced.hides(&other.name));
            if !old(since.unwrap_or(file)) {
                self.done.waiting += 1;
                continue;
            }
            if !self.options.dry_run {
                self.bucket.delete(&file.key)?;
            }
            self.done.deleted += 1;
            (self.says)(&Step::Deleted {
                key: file.key.clone(),
            });
        }
        Ok(())
    }

    fn merge(&mut self, files: &[File], replaced: &Replaced) -> Result<(), BucketError> {
        let mut sources: BTreeMap<u64, Source> = BTreeMap::new();
        let plain = files.iter().filter(|file| file.name.replaces.is_none());
        for file in plain.filter(|file| !replaced.hides(&file.name)) {
            let source = sources.entry(file.name.seq).or_default();
            source.seq = file.name.seq;
            let place = match file.part {
                Part::Packets => &mut source.packets,
                Part::Streams => &mut source.streams,
                Part::Names => &mut source.names,
                Part::Entries => &mut source.entries,
            };
            *place = Some(file.clone());
        }
        let Some(any) = files.first().map(|file| &file.name) else {
            return Ok(());
        };
        let whole = sources.into_values().filter(Source::is_whole);
        for batch in batches(any, whole.collect()) {
            let seqs = batch.iter().map(|source| source.seq);
            let others = files.iter().filter_map(|file| file.name.replaces.as_ref());
            // higher than any that was tried here, so that its name is never used again
            let generation = others.map(Replaces::generation).max().unwrap_or(0) + 1;
            let Some((seq, replaces)) = Replaces::new(generation, seqs) else {
                continue;
            };
            let name = ObjectName {
                seq,
                replaces: Some(replaces),
                ..any.clone()
            };
            let of = batch.len() as u64;
            let made =
                self.recipients(&name, &batch)
                    .and_then(|recipients| match self.options.dry_run {
                        true => Ok(()),
                        false => self.make(&name, &batch, &recipients),
                    });
            match made {
                Ok(()) => {
                    self.done.made += 1;
                    self.done.replaced += of;
                    (self.says)(&Step::Made { name, of });
                }
                Err(Failed::Left(why)) => {
                    self.done.left += 1;
                    (self.says)(&Step::Left { name, why });
                }
                Err(Failed::Bucket(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// For whom is encrypted what is made of these: for nobody where none of them is.
    fn recipients(&self, name: &ObjectName, sources: &[Source]) -> Result<Recipients, Failed> {
        if !sources.iter().any(Source::is_encrypted) {
            return Ok(Recipients::default());
        }
        let recipients = (self.options.recipients)(&name.recording);
        match recipients.is_empty() {
            false => Ok(recipients),
            true => Err(Failed::Left(
                "it is encrypted, and what is made of it has to be, too; say for whom: --recipient age1…, or --config FILE \
                 with the rule"
                    .into(),
            )),
        }
    }

    /// Puts a file of a new object; gives also the key that it has in the bucket.
    fn put(
        &self,
        key: String,
        body: Body<'_>,
        size: u64,
        sum: &[u8],
        recipients: &Recipients,
    ) -> Result<(Beside, String), Failed> {
        let (bucket, rest) = (&**self.bucket, self.options.rest);
        let sha256 = crate::hex(sum);
        let real = match recipients.is_empty() {
            true => {
                put::put(bucket, &key, body, size, &sha256, rest)?;
                key.clone()
            }
            false => {
                let real = encrypted_key(&key, size);
                let (file, sum) = encrypted(body, recipients)?;
                let (body, sha256) = (Body::File(file.path()), crate::hex(&sum.sha256));
                put::put(bucket, &real, body, sum.size, &sha256, rest)?;
                real
            }
        };
        Ok((Beside { key, size, sha256 }, real))
    }

    /// Makes one object of several.
    fn make(
        &self,
        name: &ObjectName,
        sources: &[Source],
        recipients: &Recipients,
    ) -> Result<(), Failed> {
        let bucket = self.bucket;
        let merged = entries::read(bucket, sources)?;
        let origin = &merged.origin;
        let (mut beside, mut made): (Vec<Beside>, Vec<String>) = Default::default();
        let mut put = |key, body: Body<'_>, size, sum: &[u8]| -> Result<Beside, Failed> {
            let (beside, real) = self.put(key, body, size, sum, recipients)?;
            made.push(real);
            Ok(beside)
        };
        let with_packets: Vec<_> = sources
            .iter()
            .filter(|source| source.packets.is_some())
            .collect();
        if !with_packets.is_empty() {
            let mut rows = Vec::new();
            for source in &with_packets {
                let Some(file) = &source.streams else {
                    continue;
                };
                rows.push(read_streams(bucket, &file.key, file.size)?);
            }
            let scratch = tempfile::NamedTempFile::new()?;
            let (written, rows) =
                packets::write(&**bucket, name, &merged.kfl, &with_packets, rows, &scratch)?;
            beside.push(put(
                name.packets_key(),
                Body::File(scratch.path()),
                written.packed,
                &written.sha256,
            )?);
            drop(scratch);
            let streams = streams(name, &merged.kfl, origin, &beside, &rows)?;
            let sum = Sha256::digest(&streams);
            beside.push(put(
                name.streams_key(),
                Body::Bytes(&streams),
                streams.len() as u64,
                &sum,
            )?);
            if let Some(names) = names::merge(&**bucket, &with_packets)? {
                let sum = Sha256::digest(&names);
                beside.push(put(
                    name.names_key(),
                    Body::Bytes(&names),
                    names.len() as u64,
                    &sum,
                )?);
            }
        }
        let footer = Footer {
            name,
            kfl: &merged.kfl,
            origin,
            beside: &beside,
            payload: Payload::Full,
        };
        let entries = merged.rows.file(&footer)?;
        let sum = Sha256::digest(&entries);
        put(
            name.entries_key(),
            Body::Bytes(&entries),
            entries.len() as u64,
            &sum,
        )?;
        self.stands(sources, !with_packets.is_empty(), &made)
    }

    /// Takes back what was made where its packets, or without any what it was made of, were deleted meanwhile, by those
    /// who delete old hours.
    fn stands(&self, sources: &[Source], has_packets: bool, made: &[String]) -> Result<(), Failed> {
        let bucket = self.bucket;
        let of = sources.iter().find_map(|source| source.entries.as_ref());
        let needed = made.first().filter(|_| has_packets);
        let needed = needed.or(of.map(|file| &file.key));
        let Some(needed) = needed else {
            return Ok(());
        };
        if bucket.head(needed)?.is_some() {
            return Ok(());
        }
        // its entries first: they were put last
        made.iter().rev().try_for_each(|key| bucket.delete(key))?;
        let why = "it was deleted while it was made: its hour is older than the recording is kept";
        Err(Failed::Left(why.into()))
    }
}

/// A file with what is put, encrypted, and what it came to.
fn encrypted(
    body: Body<'_>,
    recipients: &Recipients,
) -> std::io::Result<(tempfile::NamedTempFile, Sum)> {
    let file = tempfile::NamedTempFile::new()?;
    let out = Summed::new(BufWriter::new(file.as_file()));
    let mut out = Encryptor::new(out, recipients)?;
    match body {
        Body::Bytes(bytes) => out.write_all(bytes)?,
        Body::File(path) => drop(std::io::copy(&mut std::fs::File::open(path)?, &mut out)?),
    }
    let (mut out, sum) = out.finish()?.finish();
    out.flush()?;
    drop(out);
    Ok((file, sum))
}

fn streams(
    name: &ObjectName,
    kfl: &str,
    origin: &gillnet_entry::Origin,
    beside: &[Beside],
    rows: &[StreamRow],
) -> Result<Vec<u8>, crate::index::Error> {
    let mut file = StreamsWriter::new();
    rows.iter().for_each(|row| file.add(row));
    file.finish(&Footer {
        name,
        kfl,
        origin,
        beside,
        payload: Payload::Full,
    })
}

/// Which objects become one: in the order of their numbers, as many as fit; of a single one nothing is made.
fn batches(any: &ObjectName, sources: Vec<Source>) -> Vec<Vec<Source>> {
    let mut out: Vec<Vec<Source>> = Vec::new();
    let (mut bytes, mut index) = (0, 0);
    for source in sources {
        if source.bytes() > PACKED / 2 || source.index() > INDEX / 2 {
            continue;
        }
        bytes += source.bytes();
        index += source.index();
        let fits = out.last().is_some_and(|batch: &Vec<Source>| {
            let seqs = batch.iter().map(|source| source.seq).chain([source.seq]);
            let named = Replaces::new(u32::MAX, seqs).is_some_and(|(seq, replaces)| {
                let replaces = Some(replaces);
                let name = ObjectName {
                    seq,
                    replaces,
                    ..any.clone()
                };
                name.file().len() <= NAME
            });
            named && bytes <= PACKED && index <= INDEX
        });
        if fits {
            if let Some(batch) = out.last_mut() {
                batch.push(source);
            }
        } else {
            (bytes, index) = (source.bytes(), source.index());
            out.push(vec![source]);
        }
    }
    out.retain(|batch| batch.len() > 1);
    out
}

/// The hours that are closed at a moment (ns): those that ended so long before that no recorder uploads to them.
#[must_use]
pub fn closed(now: i64) -> i64 {
    const LATE: i64 = 2 * 3_600_000_000_000;
    Hour::of(now.saturating_sub(LATE)).start()
}
