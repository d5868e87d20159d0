//! How much of buckets is read, for `-v`.

use crate::inputs::Inputs;
use gillnet_bucket::{Body, Bucket, BucketError, ObjectMeta, PutError};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts what is read from here on.
pub struct Meter {
    counts: Arc<Counts>,
    began: Instant,
}

#[derive(Default)]
struct Counts {
    bytes: AtomicU64,
    requests: AtomicU64,
    /// Bytes and objects that listings showed.
    stored: AtomicU64,
    objects: AtomicU64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Meter {
    /// Counts what is read of the buckets among some inputs.
    pub fn of(inputs: &mut Inputs) -> Meter {
        let counts: Arc<Counts> = Arc::default();
        inputs.wrap(|inner, _| {
            let counts = Arc::clone(&counts);
            Arc::new(Metered { inner, counts })
        });
        Meter {
            counts,
            began: Instant::now(),
        }
    }

    /// Says it where more is to be said.
    pub fn say(&self) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes, stored) = (of(&self.counts.bytes), of(&self.counts.stored));
        if stored == 0 {
            return;
        }
        #[allow(clippy::cast_precision_loss)]
        let share = bytes as f64 / stored as f64 * 100.0;
        tracing::debug!(
            "read {bytes} of {stored} bytes ({share:.2} %) of {} objects in {} requests, {:.3} s",
            of(&self.counts.objects),
            of(&self.counts.requests),
            self.began.elapsed().as_secs_f64()
        );
    }
}

struct Metered {
    inner: Arc<dyn Bucket>,
    counts: Arc<Counts>,
}

impl Metered {
    fn read(&self, bytes: u64) {
        add(&self.counts.bytes, bytes);
        add(&self.counts.requests, 1);
    }
}

impl Bucket for Metered {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        self.inner.put_new(key, body)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        let found = self.inner.head(key)?;
        add(&self.counts.requests, 1);
        if let Some(meta) = &found {
            add(&self.counts.stored, meta.size);
            add(&self.counts.objects, 1);
        }
        Ok(found)
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        let bytes = self.inner.get(key)?;
        self.read(bytes.len() as u64);
        Ok(bytes)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        let bytes = self.inner.get_range(key, range)?;
        self.read(bytes.len() as u64);
        Ok(bytes)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        add(&self.counts.requests, 1);
        self.inner.list(prefix, &mut |meta| {
            add(&self.counts.stored, meta.size);
            add(&self.counts.objects, 1);
            each(meta);
        })
    }

    fn place(&self, key: &str) -> String {
        self.inner.place(key)
    }

    /// A file that is opened in the place of the object counts whole.
    fn local_path(&self, key: &str) -> Option<PathBuf> {
        let path = self.inner.local_path(key)?;
        if !key.is_empty() {
            self.read(path.metadata().map_or(0, |file| file.len()));
        }
        Some(path)
    }
}
