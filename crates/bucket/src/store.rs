//! The bucket as recorder, reader and simulation see it: few blocking operations on keys.

use std::{ops::Range, path::Path, time::SystemTime};

use crate::{BucketError, ErrorKind, PutError};

/// What is put.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// A file, whole. It must not change meanwhile.
    File(&'a Path),
}

/// What a bucket says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key, relative to the destination.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

/// A bucket, or a folder of one: objects under keys, which are relative to the destination and
/// have `/` between their parts.
///
/// All operations block; call them from threads that may wait. Recording uses `put_new` alone, so
/// that a key that may only create is enough; reading uses the others, which need `get` and `list`.
pub trait Bucket: Send + Sync {
    /// Creates an object, whole, in one conditional request: it appears with all its bytes or not
    /// at all, and one that is there is never replaced. Makes exactly one attempt: backing off and
    /// trying again is the caller's, who must note each attempt first.
    ///
    /// # Errors
    /// See [`PutError`].
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError>;

    /// What there is under a key; `None` where there is nothing.
    ///
    /// # Errors
    /// Where the bucket can't be asked.
    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError>;

    /// An object, whole. For small ones; large ones are read by [`Bucket::get_range`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] where it is not there, or where it can't be read.
    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError>;

    /// Bytes of an object; fewer where it ends before the range does.
    ///
    /// # Errors
    /// As [`Bucket::get`].
    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError>;

    /// Every object whose key lies in the folder `prefix` (all where it is empty), in the order of
    /// their keys.
    ///
    /// # Errors
    /// Where the bucket can't be listed; `each` may have been called before.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError>;

    /// As [`Bucket::list`], until `each` answers `false`.
    ///
    /// # Errors
    /// As [`Bucket::list`].
    fn list_while(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(ObjectMeta) -> bool,
    ) -> Result<(), BucketError> {
        let mut goes_on = true;
        self.list(prefix, &mut |meta| goes_on = goes_on && each(meta))
    }

    /// Deletes an object; nothing where there is none. Compaction and retention alone do it.
    ///
    /// # Errors
    /// Where the account may not, or this kind of bucket can't.
    fn delete(&self, key: &str) -> Result<(), BucketError> {
        let message = "nothing can be deleted there";
        Err(BucketError::new(ErrorKind::Other, self.place(key), message))
    }

    /// What errors and logs call the object: its URL.
    fn place(&self, key: &str) -> String;

    /// Whether the object is encrypted in the bucket, though it is not where it is read; known once it was listed.
    fn is_encrypted(&self, key: &str) -> bool {
        let _ = key;
        false
    }

    /// The object's path on this host, where the bucket is a folder of it.
    fn local_path(&self, key: &str) -> Option<std::path::PathBuf> {
        let _ = key;
        None
    }
}
