//! A bucket whose encrypted objects are read as if they were not: under their own keys, with their own lengths, by ranges.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::LessSafeKey;

use super::header::{self, HeaderError};
use super::keys::Identities;
use super::pieces::{self, NONCE, PIECE};
use super::{IDENTITY, encrypted_key, of_encrypted_key, plain_key};
use crate::{Body, Bucket, BucketError, ErrorKind, ObjectMeta, PutError, lock};

/// No header is longer: that of thousands of recipients.
const MAX_HEADER: u64 = 1 << 20;
/// Keys of files that are kept, at most; the others are read again.
const FILES: usize = 8 << 10;

/// The same bucket, of which what is encrypted for one of these identities can be read. Without any it stays as it is:
/// encrypted objects are listed under the keys that they have ([`of_encrypted_key`]).
#[must_use]
pub fn decrypted(inner: Arc<dyn Bucket>, identities: &Identities) -> Arc<dyn Bucket> {
    if identities.is_empty() {
        return inner;
    }
    Arc::new(DecryptedBucket {
        inner,
        identities: identities.clone(),
        listed: Mutex::default(),
        files: Mutex::default(),
    })
}

/// The object that is read under a key, where it is there encrypted; found by listing its folder.
pub(crate) fn find(bucket: &dyn Bucket, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
    let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = None;
    bucket.list_while(folder, &mut |meta| {
        if of_encrypted_key(&meta.key).is_some_and(|(plain, _)| plain == key) {
            found = Some(meta);
        }
        found.is_none()
    })?;
    Ok(found)
}

/// See [`decrypted`].
struct DecryptedBucket {
    inner: Arc<dyn Bucket>,
    identities: Identities,
    /// Encrypted objects that were seen, by the keys that they are read under.
    listed: Mutex<HashMap<String, Sizes>>,
    /// What they are decrypted with, by the same keys.
    files: Mutex<HashMap<String, Arc<File>>>,
}

/// How many bytes an object has.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sizes {
    plain: u64,
    stored: u64,
}

/// An object that was begun to be read.
struct File {
    key: LessSafeKey,
}

impl DecryptedBucket {
    fn sizes(&self, key: &str) -> Option<Sizes> {
        lock(&self.listed).get(key).copied()
    }

    /// The key that an object has in the bucket. That of a bucket which is one object alone is empty.
    fn real(key: &str, sizes: Sizes) -> String {
        match key {
            "" => String::new(),
            key => encrypted_key(key, sizes.plain),
        }
    }

    /// Takes an object of a listing, one that is encrypted as what it is when it is read.
    fn take(&self, meta: ObjectMeta) -> ObjectMeta {
        let place = match meta.key.as_str() {
            "" => self.inner.place(""),
            key => key.to_owned(),
        };
        let Some((key, plain)) = of_encrypted_key(&place) else {
            return meta;
        };
        let key = if meta.key.is_empty() { "" } else { key };
        let stored = meta.size;
        lock(&self.listed).insert(key.to_owned(), Sizes { plain, stored });
        ObjectMeta {
            key: key.to_owned(),
            size: plain,
            ..meta
        }
    }

    /// A range of an encrypted object.
    fn read(&self, key: &str, sizes: Sizes, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        let size = sizes.plain;
        let range = range.start.min(size)..range.end.min(size);
        if range.is_empty() && size > 0 {
            return Ok(Vec::new());
        }
        let real = Self::real(key, sizes);
        let before = self.before(&real, sizes)?;
        let place = pieces::place(&range, size);
        let place = before + place.start..before + place.end;
        let known = lock(&self.files).get(key).cloned();
        let (file, encrypted) = match known {
            Some(file) => (file, self.inner.get_range(&real, place)?),
            // one request does where what is asked for stands at the beginning
            None if place.start - before <= PIECE => {
                let mut begin = self.inner.get_range(&real, 0..place.end)?;
                let file = self.begin(key, &real, &begin, before)?;
                let skipped = usize::try_from(place.start).unwrap_or(usize::MAX);
                begin.drain(..skipped.min(begin.len()));
                (file, begin)
            }
            None => {
                let begin = self.inner.get_range(&real, 0..before)?;
                let file = self.begin(key, &real, &begin, before)?;
                (file, self.inner.get_range(&real, place)?)
            }
        };
        pieces::open(&file.key, encrypted, &range, size)
            .map_err(|_| self.damaged(&real, "a part of it is not what was written"))
    }

    /// How many bytes stand before the pieces of an object, as its lengths say.
    fn before(&self, real: &str, sizes: Sizes) -> Result<u64, BucketError> {
        let behind = pieces::behind_header(sizes.plain);
        let header = behind.and_then(|behind| sizes.stored.checked_sub(behind));
        header
            .filter(|header| *header <= MAX_HEADER)
            .map(|header| header + NONCE as u64)
            .ok_or_else(|| self.wrong_size(real))
    }

    /// Takes the key of an object from its beginning.
    fn begin(
        &self,
        key: &str,
        real: &str,
        begin: &[u8],
        before: u64,
    ) -> Result<Arc<File>, BucketError> {
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        let begin = begin.get(..before.min(begin.len())).unwrap_or_default();
        let (file_key, length) =
            header::read(begin, &self.identities).map_err(|error| match error {
                HeaderError::NoKey => BucketError::new(
                    ErrorKind::Forbidden,
                    self.inner.place(real),
                    format!("is encrypted with age, and {error}"),
                )
                .mend(IDENTITY),
                HeaderError::Short => self.wrong_size(real),
                HeaderError::Damaged => self.damaged(real, &error.to_string()),
            })?;
        let nonce = begin.get(length..).unwrap_or_default();
        if nonce.len() != NONCE {
            return Err(self.wrong_size(real));
        }
        let failed = |_| self.damaged(real, "no key can be derived");
        let file = Arc::new(File {
            key: file_key.payload(nonce).map_err(failed)?,
        });
        let mut files = lock(&self.files);
        if files.len() >= FILES {
            files.clear();
        }
        files.insert(key.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn damaged(&self, real: &str, why: &str) -> BucketError {
        let place = self.inner.place(real);
        BucketError::new(
            ErrorKind::Damaged,
            place,
            format!("can't be decrypted: {why}"),
        )
        .mend("it is damaged, or was changed by somebody; restore it from a copy")
    }

    fn wrong_size(&self, real: &str) -> BucketError {
        self.damaged(real, "it is not as long as its name says")
    }
}

impl Bucket for DecryptedBucket {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        self.inner.put_new(key, body)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        let found = match self.sizes(key) {
            Some(sizes) => self.inner.head(&Self::real(key, sizes))?,
            None => match self.inner.head(key)? {
                None if !key.is_empty() => find(&*self.inner, key)?,
                found => found,
            },
        };
        Ok(found.map(|meta| self.take(meta)))
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        match self.sizes(key) {
            None => self.inner.get(key),
            Some(sizes) => self.read(key, sizes, 0..sizes.plain),
        }
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        match self.sizes(key) {
            None => self.inner.get_range(key, range),
            Some(sizes) => self.read(key, sizes, range),
        }
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        self.inner.list(prefix, &mut |meta| each(self.take(meta)))
    }

    fn list_while(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(ObjectMeta) -> bool,
    ) -> Result<(), BucketError> {
        self.inner
            .list_while(prefix, &mut |meta| each(self.take(meta)))
    }

    fn delete(&self, key: &str) -> Result<(), BucketError> {
        match self.sizes(key) {
            None => self.inner.delete(key),
            Some(sizes) => self.inner.delete(&Self::real(key, sizes)),
        }
    }

    fn place(&self, key: &str) -> String {
        match self.sizes(key) {
            None => self.inner.place(key),
            Some(sizes) => plain_key(&self.inner.place(&Self::real(key, sizes))).to_owned(),
        }
    }

    fn is_encrypted(&self, key: &str) -> bool {
        self.sizes(key).is_some()
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        match self.sizes(key) {
            None => self.inner.local_path(key),
            Some(_) => None,
        }
    }
}
