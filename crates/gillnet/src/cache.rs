//! A bucket that keeps what it has read, for a dashboard that reads recordings again for each answer.

use gillnet_bucket::{Body, Bucket, BucketError, ObjectMeta, PutError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps objects in a folder of its own, which goes with it. The list is taken once, so that what is shown is one state
/// of the bucket.
pub struct KeepingBucket {
    inner: Arc<dyn Bucket>,
    folder: PathBuf,
    listed: Mutex<Option<Vec<ObjectMeta>>>,
    kept: Mutex<std::collections::HashMap<String, PathBuf>>,
}

impl KeepingBucket {
    /// Puts such a bucket before another; one that is a folder of this host needs none.
    pub fn wrap(inner: Arc<dyn Bucket>, cache: &Path) -> Arc<dyn Bucket> {
        if inner.local_path("").is_some() {
            return inner;
        }
        let folder = cache.with_extension("kept");
        Arc::new(KeepingBucket {
            inner,
            folder,
            listed: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// The file that an object is kept in, read first where it is not there yet.
    fn file(&self, key: &str) -> Result<PathBuf, BucketError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = kept.get(key) {
            return Ok(path.clone());
        }
        let bytes = self.inner.get(key)?;
        let path = self.folder.join(format!("{:08}", kept.len()));
        let written = private_folder(&self.folder).and_then(|()| std::fs::write(&path, bytes));
        written.map_err(|error| {
            let message = format!("{}: what was read cannot be kept: {error}", path.display());
            BucketError::new(
                gillnet_bucket::ErrorKind::Other,
                self.inner.place(key),
                message,
            )
        })?;
        kept.insert(key.to_owned(), path.clone());
        Ok(path)
    }

    fn unreadable(&self, key: &str, error: &std::io::Error) -> BucketError {
        BucketError::new(
            gillnet_bucket::ErrorKind::Other,
            self.inner.place(key),
            format!("what was kept of it cannot be read: {error}"),
        )
    }
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

impl Drop for KeepingBucket {
    fn drop(&mut self) {
        // what cannot be removed is in the temporary folder
        let _ = std::fs::remove_dir_all(&self.folder);
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
        let path = self.file(key)?;
        std::fs::read(path).map_err(|error| self.unreadable(key, &error))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        use std::os::unix::fs::FileExt;
        let file =
            std::fs::File::open(self.file(key)?).map_err(|error| self.unreadable(key, &error))?;
        let end = file
            .metadata()
            .map_err(|error| self.unreadable(key, &error))?
            .len();
        let length = range.end.min(end).saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, range.start)
            .map_err(|error| self.unreadable(key, &error))?;
        Ok(bytes)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        if !prefix.is_empty() {
            return self.inner.list(prefix, each);
        }
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
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
}
