//! Deletes what is older than a recording is to be kept, whole hours at a time.
//!
//! In each hour, the oldest first, goes what is replaced by compaction, and then, of the rest, entries, names, streams and
//! packets, in this order: an entry is never there without its packets, and after a run that was broken off nothing
//! that was replaced counts again. The next run deletes what is left.
//!
//! A compaction may run beside it: what it makes of an hour that goes meanwhile it takes back, or the next run deletes it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::encryption::{find, plain_key};
use crate::layout::{Hour, ObjectName, Part};
use crate::replaced::Replaced;
use crate::{Bucket, BucketError};

/// The parts of objects, as they are deleted.
const ORDER: [Part; 4] = [Part::Entries, Part::Names, Part::Streams, Part::Packets];

/// What is to be deleted.
#[derive(Clone, Copy, Debug)]
pub struct Options<'o> {
    /// Only of this cluster.
    pub cluster: Option<&'o str>,
    /// Only of this recording.
    pub recording: Option<&'o str>,
    /// Only hours that ended at or before this moment (ns since the Unix epoch).
    pub before: i64,
    /// Only say what would be deleted.
    pub dry_run: bool,
}

/// An hour of a recording that was deleted, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its cluster.
    pub cluster: String,
    /// Its name.
    pub recording: String,
    /// The hour.
    pub hour: Hour,
    /// Files of it.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Hours, each of one recording.
    pub hours: u64,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A file as it is listed.
struct File {
    part: Part,
    name: ObjectName,
    key: String,
    size: u64,
}

/// The last moment (ns) before which hours are older than `age` at a time `now`.
#[must_use]
pub fn older_than(age: Duration, now: i64) -> i64 {
    now.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
}

/// Deletes hours of recordings. `says` is told of each that is gone; where it answers `false`, nothing more is deleted.
///
/// # Errors
/// Where the bucket can't be listed, or something can't be deleted; what was deleted before is gone.
pub fn prune(
    bucket: &dyn Bucket,
    options: &Options<'_>,
    says: &mut dyn FnMut(&Gone) -> bool,
) -> Result<Pruned, BucketError> {
    let mut hours: BTreeMap<(Hour, String, String), Vec<File>> = BTreeMap::new();
    for part in ORDER {
        let folder = folder(part, options);
        // keys of one recording are in the order of time: what is young ends the list
        let in_order = options.cluster.is_some() && options.recording.is_some();
        bucket.list_while(&folder, &mut |meta| {
            // what is encrypted needs no key to be deleted
            let place = bucket.place(&meta.key);
            let Some((part, name)) = ObjectName::parse(plain_key(&place)) else {
                return true;
            };
            if name.hour.end() > options.before {
                return !in_order;
            }
            let is = |wanted: Option<&str>, found: &str| wanted.is_none_or(|of| of == found);
            if is(options.cluster, &name.cluster) && is(options.recording, &name.recording) {
                let place = (name.hour, name.cluster.clone(), name.recording.clone());
                let (key, size) = (meta.key, meta.size);
                let file = File {
                    part,
                    name,
                    key,
                    size,
                };
                hours.entry(place).or_default().push(file);
            }
            true
        })?;
    }
    let mut done = Pruned::default();
    for ((hour, cluster, recording), files) in hours {
        let gone = Gone {
            cluster,
            recording,
            hour,
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.size).sum(),
        };
        if !options.dry_run {
            delete(bucket, files)?;
        }
        done.hours += 1;
        done.files += gone.files;
        done.bytes += gone.bytes;
        if !says(&gone) {
            break;
        }
    }
    Ok(done)
}

/// Where the files of a part lie that can be meant.
fn folder(part: Part, options: &Options<'_>) -> String {
    let name = ObjectName {
        cluster: options.cluster.unwrap_or_default().to_owned(),
        recording: options.recording.unwrap_or_default().to_owned(),
        hour: Hour::of(0),
        node: String::new(),
        run: 0,
        seq: 0,
        replaces: None,
    };
    let key = match part {
        Part::Packets => name.packets_key(),
        Part::Streams => name.streams_key(),
        Part::Entries => name.entries_key(),
        Part::Names => name.names_key(),
    };
    let levels = match (options.cluster, options.recording) {
        (Some(_), Some(_)) => 3,
        (Some(_), None) => 2,
        _ => 1,
    };
    let parts: Vec<&str> = key.split('/').take(levels).collect();
    parts.join("/")
}

/// Deletes the files of an hour.
fn delete(bucket: &dyn Bucket, mut files: Vec<File>) -> Result<(), BucketError> {
    let replaced = Replaced::of(files.iter().map(|file| (file.part, &file.name)));
    files.sort_by_cached_key(|file| {
        let turn = ORDER.iter().position(|part| *part == file.part);
        (!replaced.hides(&file.name), turn)
    });
    files.iter().try_for_each(|file| bucket.delete(&file.key))?;
    // a compaction may have come to its end meanwhile: what it put last is not without its packets either. One that puts
    // it later sees that they are gone
    let made = files.iter().map(|file| &file.name);
    let made: BTreeSet<String> = made
        .filter(|name| name.replaces.is_some())
        .map(ObjectName::entries_key)
        .collect();
    let listed: BTreeSet<&str> = files.iter().map(|file| plain_key(&file.key)).collect();
    for key in made.iter().filter(|key| !listed.contains(&***key)) {
        bucket.delete(key)?;
        if let Some(encrypted) = find(bucket, key)? {
            bucket.delete(&encrypted.key)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::layout::Replaces;
    use crate::{Body, ErrorKind, ObjectMeta, PutError, file::FileBucket};

    const HOUR: i64 = 3_600_000_000_000;

    /// A folder in which so many files can be deleted.
    struct Dies(FileBucket, AtomicU64);

    impl Bucket for Dies {
        fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
            self.0.put_new(key, body)
        }
        fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
            self.0.head(key)
        }
        fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
            self.0.get(key)
        }
        fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
            self.0.get_range(key, range)
        }
        fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
            self.0.list(prefix, each)
        }
        fn delete(&self, key: &str) -> Result<(), BucketError> {
            let left = self.1.load(Ordering::Relaxed);
            if left == 0 {
                return Err(BucketError::new(ErrorKind::Forbidden, key, "no"));
            }
            self.1.store(left - 1, Ordering::Relaxed);
            self.0.delete(key)
        }
        fn place(&self, key: &str) -> String {
            self.0.place(key)
        }
    }

    fn name(recording: &str, hour: i64, seq: u64) -> ObjectName {
        ObjectName {
            cluster: "c".into(),
            recording: recording.into(),
            hour: Hour::of(hour * HOUR),
            node: "n".into(),
            run: 1,
            seq,
            replaces: None,
        }
    }

    fn keys_of(name: &ObjectName) -> [String; 4] {
        let (packets, streams) = (name.packets_key(), name.streams_key());
        [packets, streams, name.names_key(), name.entries_key()]
    }

    fn put(folder: &Path, name: &ObjectName) {
        for key in keys_of(name) {
            let bucket = FileBucket::new(folder.to_owned());
            bucket.put_new(&key, Body::Bytes(b"x")).unwrap();
        }
    }

    fn there(bucket: &dyn Bucket) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        // a folder of which all is gone is gone as well
        let _ = bucket.list("", &mut |meta| {
            keys.insert(meta.key);
        });
        keys
    }

    /// Two recordings of three hours; in the first, 4 replaces 1 and 2.
    fn filled(folder: &Path) -> Dies {
        for recording in ["a", "b/c"] {
            for hour in 0..3 {
                for seq in 1..4 {
                    put(folder, &name(recording, hour, seq));
                }
            }
        }
        let (seq, replaces) = Replaces::new(1, [1, 2]).unwrap();
        let replaces = Some(replaces);
        let compacted = ObjectName {
            replaces,
            ..name("a", 0, seq)
        };
        put(folder, &compacted);
        Dies(FileBucket::new(folder.to_owned()), AtomicU64::new(u64::MAX))
    }

    #[test]
    fn hours_that_are_old_enough_go_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = filled(folder.path());
        let all = there(&bucket);
        let options = Options {
            cluster: Some("c"),
            recording: Some("b/c"),
            // the second hour is not over for long enough
            before: 2 * HOUR - 1,
            dry_run: true,
        };
        let would = prune(&bucket, &options, &mut |_| true).unwrap();
        let (hours, files, bytes) = (1, 12, 12);
        let wanted = Pruned {
            hours,
            files,
            bytes,
        };
        assert_eq!((would, there(&bucket)), (wanted, all.clone()));
        let real = Options {
            dry_run: false,
            ..options
        };
        let mut gone = Vec::new();
        let done = prune(&bucket, &real, &mut |hour| {
            gone.push((hour.recording.clone(), hour.hour));
            true
        });
        assert_eq!(done, Ok(wanted));
        assert_eq!(gone, [("b/c".to_owned(), Hour::of(0))]);
        let went: BTreeSet<String> = all.difference(&there(&bucket)).cloned().collect();
        let old = (1..4).flat_map(|seq| keys_of(&name("b/c", 0, seq)));
        assert_eq!(went, old.collect());
        let whole = Options {
            cluster: None,
            recording: None,
            before: 2 * HOUR,
            dry_run: false,
        };
        let done = prune(&bucket, &whole, &mut |_| true).unwrap();
        assert_eq!((done.hours, done.files), (3, 16 + 12 + 12));
        let stay = ["a", "b/c"].map(|of| (1..4).map(move |seq| name(of, 2, seq)));
        let stay = stay.into_iter().flatten().flat_map(|name| keys_of(&name));
        assert_eq!(there(&bucket), stay.collect());
    }

    #[test]
    fn broken_off_anywhere_no_entry_is_without_its_packets_and_nothing_comes_back() {
        let options = Options {
            cluster: None,
            recording: Some("a"),
            before: HOUR,
            dry_run: false,
        };
        for after in 0..16 {
            let folder = tempfile::tempdir().unwrap();
            let bucket = filled(folder.path());
            bucket.1.store(after, Ordering::Relaxed);
            let error = prune(&bucket, &options, &mut |_| true).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Forbidden);
            let left = there(&bucket);
            let parsed: Vec<_> = left
                .iter()
                .filter_map(|key| ObjectName::parse(key))
                .collect();
            for (_, name) in parsed.iter().filter(|(part, _)| *part == Part::Entries) {
                assert!(left.contains(&name.packets_key()), "{after}: {name}");
            }
            let replaced = Replaced::of(parsed.iter().map(|(part, name)| (*part, name)));
            for seq in [1, 2] {
                let name = name("a", 0, seq);
                let whole = left.contains(&name.packets_key());
                assert!(
                    !whole || replaced.hides(&name),
                    "{after}: {seq} counts again"
                );
            }
            bucket.1.store(u64::MAX, Ordering::Relaxed);
            let rest = prune(&bucket, &options, &mut |_| true).unwrap();
            assert_eq!(rest.files, 16 - after, "the next run goes on");
        }
    }

    #[test]
    fn it_stops_where_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = filled(folder.path());
        let options = Options {
            cluster: None,
            recording: None,
            before: 3 * HOUR,
            dry_run: false,
        };
        let done = prune(&bucket, &options, &mut |_| false).unwrap();
        assert_eq!(done.hours, 1);
    }
}
