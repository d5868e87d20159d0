//! A bucket that keeps what it has read, for a dashboard that reads recordings again for each answer.

use crate::lock::lock;
use gillnet_bucket::{Body, Bucket, BucketError, ErrorKind, ObjectMeta, PutError};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Bytes that are kept, at most; what was not asked for the longest goes first.
const MOST: u64 = 1 << 30;

/// Puts a bucket before another that lists it once, so that what is shown is one state of it. What is read of one that is
/// no folder of this host is kept, below `cache`.
pub fn keeping(inner: Arc<dyn Bucket>, cache: &Path) -> Arc<dyn Bucket> {
    let is_local = inner.local_path("").is_some();
    let listed = ListedBucket {
        inner,
        listed: Mutex::default(),
    };
    match is_local {
        true => Arc::new(listed),
        false => Arc::new(KeepingBucket::new(
            listed,
            cache.with_extension("kept"),
            MOST,
        )),
    }
}

/// Lists another once.
struct ListedBucket {
    inner: Arc<dyn Bucket>,
    listed: Mutex<Option<Vec<ObjectMeta>>>,
}

impl ListedBucket {
    /// The size of an object, where it is listed.
    fn size(&self, key: &str) -> Option<u64> {
        let listed = lock(&self.listed);
        let known = listed.iter().flatten().find(|meta| meta.key == key);
        known.map(|meta| meta.size)
    }
}

impl Bucket for ListedBucket {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        self.inner.put_new(key, body)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        self.inner.head(key)
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        self.inner.get(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        self.inner.get_range(key, range)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        if !prefix.is_empty() {
            return self.inner.list(prefix, each);
        }
        let mut listed = lock(&self.listed);
        if listed.is_none() {
            let mut metas = Vec::new();
            self.inner.list("", &mut |meta| metas.push(meta))?;
            *listed = Some(metas);
        }
        listed.iter().flatten().cloned().for_each(each);
        Ok(())
    }

    fn place(&self, key: &str) -> String {
        self.inner.place(key)
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.inner.local_path(key)
    }
}

/// Keeps the ranges that were read of objects in a folder of its own, which goes with it.
struct KeepingBucket {
    inner: ListedBucket,
    folder: PathBuf,
    most: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    objects: HashMap<String, Arc<Mutex<Object>>>,
    /// Counts what was asked, and made.
    turn: u64,
    bytes: u64,
}

/// What there is of an object: a file with holes.
struct Object {
    path: PathBuf,
    /// The ranges that are there, none beside another, each end by its start.
    ranges: BTreeMap<u64, u64>,
    turn: u64,
    bytes: u64,
}

impl Object {
    /// What of a range is not there.
    fn missing(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let (mut at, mut missing) = (range.start, Vec::new());
        let before = self.ranges.range(..=range.start).next_back();
        let within = self.ranges.range(range.start.saturating_add(1)..range.end);
        for (start, end) in before.into_iter().chain(within) {
            if *start > at {
                missing.push(at..*start);
            }
            at = at.max(*end);
        }
        if at < range.end {
            missing.push(at..range.end);
        }
        missing
    }

    /// Notes that a range, of which nothing was there, is there.
    fn add(&mut self, range: Range<u64>) {
        self.bytes += range.end - range.start;
        let (mut start, mut end) = (range.start, range.end);
        if let Some((before, until)) = self.ranges.range(..=start).next_back()
            && *until == start
        {
            start = *before;
        }
        if let Some(behind) = self.ranges.remove(&end) {
            end = behind;
        }
        self.ranges.insert(start, end);
    }
}

impl KeepingBucket {
    fn new(inner: ListedBucket, folder: PathBuf, most: u64) -> Self {
        Self {
            inner,
            folder,
            most,
            kept: Mutex::default(),
        }
    }

    /// What is kept of an object, asked for now.
    fn object(&self, key: &str) -> Arc<Mutex<Object>> {
        let mut kept = lock(&self.kept);
        kept.turn += 1;
        let turn = kept.turn;
        let made = kept.objects.entry(key.to_owned()).or_insert_with(|| {
            let path = self.folder.join(format!("{turn:016}"));
            Arc::new(Mutex::new(Object {
                path,
                ranges: BTreeMap::new(),
                turn,
                bytes: 0,
            }))
        });
        Arc::clone(made)
    }

    /// Lets those go that were not asked for the longest, where there is too much.
    fn make_room(&self, more: u64, key: &str) {
        let mut kept = lock(&self.kept);
        kept.bytes += more;
        let turn = kept.turn;
        while kept.bytes > self.most {
            // one that is in use is not the oldest
            let others = kept.objects.iter().filter(|(other, _)| *other != key);
            let turns = others.filter_map(|(key, object)| {
                let object = object.try_lock().ok()?;
                Some((object.turn, key.clone()))
            });
            let Some((_, oldest)) = turns.min().filter(|(of, _)| *of <= turn) else {
                return;
            };
            if let Some(object) = kept.objects.remove(&oldest) {
                let mut object = lock(&object);
                kept.bytes = kept.bytes.saturating_sub(object.bytes);
                // who has it in hand finds nothing there
                object.ranges.clear();
                object.bytes = 0;
                let _ = fs::remove_file(&object.path);
            }
        }
    }

    fn unkept(&self, key: &str, error: &io::Error) -> BucketError {
        let folder = self.folder.display();
        let message = format!("{folder}: what was read cannot be kept: {error}");
        BucketError::new(ErrorKind::Other, self.inner.place(key), message)
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

impl Drop for KeepingBucket {
    fn drop(&mut self) {
        // what cannot be removed is in the temporary folder
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Bucket for KeepingBucket {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        self.inner.put_new(key, body)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        self.inner.head(key)
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        match self.inner.size(key) {
            Some(size) => self.get_range(key, 0..size),
            None => self.inner.get(key),
        }
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        let object = self.object(key);
        let mut object = lock(&object);
        object.turn = lock(&self.kept).turn;
        let failed = |error: io::Error| self.unkept(key, &error);
        let file = open(&object.path).map_err(failed)?;
        let mut more = 0;
        for gap in object.missing(&range) {
            let bytes = self.inner.get_range(key, gap.clone())?;
            file.write_all_at(&bytes, gap.start).map_err(failed)?;
            let end = gap.start + bytes.len() as u64;
            object.add(gap.start..end);
            more += bytes.len() as u64;
            if end < gap.end {
                // it ends there: whoever asked sees that
                break;
            }
        }
        let there = object
            .missing(&range)
            .first()
            .map_or(range.end, |gap| gap.start);
        let length = usize::try_from(there.saturating_sub(range.start)).unwrap_or(0);
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start)
            .map_err(failed)?;
        drop(object);
        if more > 0 {
            self.make_room(more, key);
        }
        Ok(bytes)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        self.inner.list(prefix, each)
    }

    fn place(&self, key: &str) -> String {
        self.inner.place(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One object of the bytes 0, 1, 2…; counts what is read of it.
    struct Counting(Mutex<Vec<Range<u64>>>);

    impl Bucket for Counting {
        fn put_new(&self, _: &str, _: Body<'_>) -> Result<(), PutError> {
            unreachable!()
        }

        fn head(&self, _: &str) -> Result<Option<ObjectMeta>, BucketError> {
            Ok(None)
        }

        fn get(&self, _: &str) -> Result<Vec<u8>, BucketError> {
            unreachable!()
        }

        fn get_range(&self, _: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
            lock(&self.0).push(range.clone());
            Ok((range.start..range.end.min(200))
                .map(|at| at as u8)
                .collect())
        }

        fn list(&self, _: &str, _: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
            Ok(())
        }

        fn place(&self, key: &str) -> String {
            key.to_owned()
        }
    }

    fn kept(most: u64) -> (Arc<Counting>, KeepingBucket, tempfile::TempDir) {
        let inner = Arc::new(Counting(Mutex::default()));
        let home = tempfile::tempdir().unwrap();
        let listed = ListedBucket {
            inner: Arc::clone(&inner) as Arc<dyn Bucket>,
            listed: Mutex::default(),
        };
        (
            inner,
            KeepingBucket::new(listed, home.path().join("kept"), most),
            home,
        )
    }

    #[test]
    fn only_what_is_not_kept_is_read() {
        let (inner, bucket, _home) = kept(1 << 20);
        let bytes = |range: Range<u64>| range.map(|at| at as u8).collect::<Vec<_>>();
        for range in [10..20, 30..40, 15..35, 0..50, 5..45, 10..20] {
            assert_eq!(bucket.get_range("a", range.clone()).unwrap(), bytes(range));
        }
        assert_eq!(*lock(&inner.0), [10..20, 30..40, 20..30, 0..10, 40..50]);
        // behind its end there is nothing
        assert_eq!(bucket.get_range("a", 190..300).unwrap(), bytes(190..200));
    }

    #[test]
    fn a_folder_is_listed_once() {
        let home = tempfile::tempdir().unwrap();
        let folder = format!("file://{}", home.path().display());
        let folder = gillnet_bucket::Destination::parse(&folder).unwrap();
        let access = gillnet_bucket::Access::Record;
        let inner = gillnet_bucket::connect(&folder, &Default::default(), access).unwrap();
        inner.put_new("a", Body::Bytes(b"1")).unwrap();
        let bucket = keeping(Arc::clone(&inner), &home.path().join("cache"));
        let listed = || {
            let mut keys = Vec::new();
            bucket.list("", &mut |meta| keys.push(meta.key)).unwrap();
            keys
        };
        assert_eq!(listed(), ["a"]);
        inner.put_new("b", Body::Bytes(b"2")).unwrap();
        assert_eq!(listed(), ["a"]);
        assert_eq!(bucket.get("b").unwrap(), b"2");
        // nothing is kept of what is at hand
        assert!(bucket.local_path("b").is_some_and(|path| path.is_file()));
        assert!(!home.path().join("cache.kept").exists());
    }

    #[test]
    fn what_was_not_asked_for_the_longest_goes() {
        let (inner, bucket, home) = kept(250);
        for key in ["a", "b", "a", "c"] {
            bucket.get_range(key, 0..100).unwrap();
        }
        assert_eq!(lock(&inner.0).len(), 3);
        bucket.get_range("a", 0..100).unwrap();
        assert_eq!(lock(&inner.0).len(), 3, "a is still there");
        bucket.get_range("b", 0..100).unwrap();
        assert_eq!(lock(&inner.0).len(), 4, "b had gone");
        let files = fs::read_dir(home.path().join("kept")).unwrap().count();
        assert_eq!(files, 2);
    }
}
