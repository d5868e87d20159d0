//! A Parquet file in a bucket, read by ranges.

use std::io::Cursor;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::{Bucket, lock};

/// What is fetched of a file's end at once: the footer, and the places of pages.
const TAIL: u64 = 32 << 10;
/// Two ranges that are nearer than this are fetched as one.
const NEAR: u64 = 64 << 10;

/// An object, of which what was fetched is kept while it is read. A clone is the same.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Inner>);

struct Inner {
    bucket: Arc<dyn Bucket>,
    key: String,
    size: u64,
    fetched: Mutex<Vec<(u64, Bytes)>>,
    /// Bytes fetched.
    read: AtomicU64,
}

impl Remote {
    /// Fetches the end of an object.
    pub(crate) fn open(bucket: &Arc<dyn Bucket>, key: &str, size: u64) -> Result<Self> {
        let remote = Self(Arc::new(Inner {
            bucket: Arc::clone(bucket),
            key: key.to_owned(),
            size,
            fetched: Mutex::default(),
            read: AtomicU64::new(0),
        }));
        remote.fetch(size.saturating_sub(TAIL)..size)?;
        Ok(remote)
    }

    /// Bytes fetched so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Fetches ranges, those that are near to each other as one.
    pub(crate) fn fetch_all(&self, mut ranges: Vec<Range<u64>>) -> Result<()> {
        ranges.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            if self.have(range.start, range.end - range.start).is_some() {
                continue;
            }
            match joined.last_mut() {
                Some(last) if range.start <= last.end + NEAR => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        joined.into_iter().try_for_each(|range| self.fetch(range))
    }

    /// Forgets what was fetched, but for the end.
    pub(crate) fn forget(&self) {
        self.lock().truncate(1);
    }

    fn fetch(&self, range: Range<u64>) -> Result<()> {
        let failed = |error: crate::BucketError| ParquetError::External(Box::new(error));
        let bytes = self
            .0
            .bucket
            .get_range(&self.0.key, range.clone())
            .map_err(failed)?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(ParquetError::EOF(format!(
                "{} ends before byte {}",
                self.0.bucket.place(&self.0.key),
                range.end
            )));
        }
        self.0.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.lock().push((range.start, bytes.into()));
        Ok(())
    }

    fn have(&self, start: u64, length: u64) -> Option<Bytes> {
        self.lock().iter().find_map(|(at, bytes)| {
            let from = usize::try_from(start.checked_sub(*at)?).ok()?;
            let to = from.checked_add(usize::try_from(length).ok()?)?;
            (to <= bytes.len()).then(|| bytes.slice(from..to))
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Bytes)>> {
        lock(&self.0.fetched)
    }
}

/// So much is read ahead where it is not known how much is wanted: a page's head.
const AHEAD: u64 = 4 << 10;

impl ChunkReader for Remote {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Cursor<Bytes>> {
        let fetched = self.lock().iter().find_map(|(at, bytes)| {
            let from = usize::try_from(start.checked_sub(*at)?).ok()?;
            (from < bytes.len()).then(|| bytes.slice(from..))
        });
        match fetched {
            Some(bytes) => Ok(Cursor::new(bytes)),
            None => {
                let length = AHEAD.min(self.0.size.saturating_sub(start));
                self.get_bytes(start, usize::try_from(length).unwrap_or(0))
                    .map(Cursor::new)
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let length = length as u64;
        if let Some(bytes) = self.have(start, length) {
            return Ok(bytes);
        }
        self.fetch(start..start + length)?;
        self.have(start, length)
            .ok_or_else(|| ParquetError::EOF(format!("{} is too short", self.0.key)))
    }
}

impl Length for Remote {
    fn len(&self) -> u64 {
        self.0.size
    }
}
