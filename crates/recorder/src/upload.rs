//! The uploader: puts sealed objects into one destination, once and whole.

use std::sync::Arc;

use gillnet_bucket::layout::{FORMAT, FORMAT_KEY};
use gillnet_bucket::{Body, Bucket, BucketError, ErrorKind, PutError};
use sha2::{Digest, Sha256};

use crate::Buckets;
use crate::clock::SECOND;
use crate::spool::{NoUpload, Spool, Upload};
use crate::status::Fault;

/// A destination that does not answer is left alone for this long (nanoseconds), doubled with each
/// failure up to [`AWAY_MAX`], and spread.
const AWAY_MIN: u64 = SECOND / 2;
/// See [`AWAY_MIN`].
const AWAY_MAX: u64 = 30 * SECOND;
/// The same for one that refuses until somebody mends something.
const REFUSED_MIN: u64 = 4 * SECOND;
/// See [`REFUSED_MIN`].
const REFUSED_MAX: u64 = 120 * SECOND;
/// An object is compared in pieces of this size.
const PIECE: u64 = 4 << 20;

/// What an [`Uploader`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It tried something.
    Tried,
    /// Nothing is to be done before this monotonic time, or until something is sealed.
    Wait(Option<u64>),
}

/// Uploads to one destination, a file at a time, oldest object first.
pub struct Uploader {
    spool: Arc<Spool>,
    buckets: Arc<dyn Buckets>,
    destination: String,
    bucket: Option<Arc<dyn Bucket>>,
    /// The object that says which version of the layout this is, is there.
    is_marked: bool,
    failures: u32,
    not_before: u64,
    /// What was said in the log last, so that it is said once.
    said: String,
}

impl std::fmt::Debug for Uploader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploader")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

/// What is known after looking at what has our name.
enum Found {
    Ours,
    Foreign,
    /// The key may not look.
    Hidden,
    Unknown(BucketError),
}

impl Uploader {
    /// An uploader for a destination.
    #[must_use]
    pub fn new(spool: Arc<Spool>, buckets: Arc<dyn Buckets>, destination: String) -> Self {
        let (bucket, said) = (None, String::new());
        Self {
            spool,
            buckets,
            destination,
            bucket,
            is_marked: false,
            failures: 0,
            not_before: 0,
            said,
        }
    }

    /// Forgets that the destination failed: it is tried at once.
    pub fn try_now(&mut self) {
        self.failures = 0;
        self.not_before = 0;
    }

    /// Puts the next file, if there is one and it is time. `hurry` passes over the time that is
    /// waited so that nodes don't come all at once.
    pub fn step(&mut self, hurry: bool) -> Step {
        if self.spool.clock.monotonic() < self.not_before {
            return Step::Wait(Some(self.not_before));
        }
        let upload = match self.spool.next_upload(&self.destination, hurry) {
            Ok(upload) => upload,
            Err(NoUpload::Nothing) => return Step::Wait(None),
            Err(NoUpload::Until(time)) => return Step::Wait(Some(time)),
        };
        match self.ready() {
            Ok(bucket) => self.put(&*bucket, &upload),
            Err(error) => self.fail(&upload, &error, false),
        }
        Step::Tried
    }

    /// The bucket, opened and marked.
    fn ready(&mut self) -> Result<Arc<dyn Bucket>, BucketError> {
        let bucket = match &self.bucket {
            Some(bucket) => Arc::clone(bucket),
            None => Arc::clone(self.bucket.insert(self.buckets.open(&self.destination)?)),
        };
        if !self.is_marked {
            match bucket.put_new(FORMAT_KEY, Body::Bytes(FORMAT.as_bytes())) {
                Ok(()) | Err(PutError::Exists { .. }) => self.is_marked = true,
                Err(
                    PutError::Refused(error)
                    | PutError::Unavailable(error)
                    | PutError::Ambiguous(error),
                ) => return Err(error),
            }
        }
        Ok(bucket)
    }

    fn put(&mut self, bucket: &dyn Bucket, upload: &Upload) {
        if let Err(error) = self.spool.note_attempt(upload) {
            let message = format!(
                "an attempt to upload can't be noted in the spool, and is not made: {error}"
            );
            self.say(&message);
            self.spool.put_off(upload, self.fault(message), false, true);
            return;
        }
        match bucket.put_new(&upload.key, Body::File(&upload.path)) {
            Ok(()) => self.done(upload),
            Err(PutError::Exists { .. }) => self.compare(bucket, upload),
            Err(PutError::Ambiguous(error)) => self.fail(upload, &error, true),
            Err(PutError::Refused(error) | PutError::Unavailable(error)) => {
                self.fail(upload, &error, false)
            }
        }
    }

    /// An object has our name. It is ours where it is the same; where we may not look, where an
    /// earlier attempt may have come through.
    fn compare(&mut self, bucket: &dyn Bucket, upload: &Upload) {
        match look(bucket, upload) {
            Found::Ours => self.done(upload),
            Found::Hidden if upload.tried => self.done(upload),
            Found::Foreign | Found::Hidden => {
                self.destination_works();
                self.spool.conflict(upload);
            }
            Found::Unknown(error) => self.fail(upload, &error, false),
        }
    }

    fn done(&mut self, upload: &Upload) {
        self.destination_works();
        self.spool.uploaded(upload, self.spool.clock.now());
        tracing::debug!(key = upload.key, bytes = upload.size, "uploaded");
    }

    fn destination_works(&mut self) {
        if !self.said.is_empty() {
            tracing::info!(destination = self.destination, "uploads go on");
            self.said.clear();
        }
        self.failures = 0;
    }

    fn fail(&mut self, upload: &Upload, error: &BucketError, sent: bool) {
        let message = error.to_string();
        self.say(&message);
        // a fault of this object lets the others go first; any other is the destination's
        let own = matches!(
            error.kind,
            ErrorKind::Name | ErrorKind::NotFound | ErrorKind::Other
        ) && !sent;
        self.spool.put_off(upload, self.fault(message), sent, own);
        if own {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let passes = sent || error.is_passing();
        let (min, max) = if passes {
            (AWAY_MIN, AWAY_MAX)
        } else {
            (REFUSED_MIN, REFUSED_MAX)
        };
        self.not_before = self.spool.clock.monotonic() + self.spool.pause(self.failures, min, max);
        if !passes {
            // credentials may be read again
            self.bucket = None;
        }
    }

    fn fault(&self, message: String) -> Fault {
        Fault {
            at: self.spool.clock.now(),
            message,
        }
    }

    fn say(&mut self, message: &str) {
        if self.said != message {
            tracing::warn!(
                destination = self.destination,
                "{message}; what is recorded waits in the spool"
            );
            message.clone_into(&mut self.said);
        }
    }
}

/// Compares what is there with what was to be put: by size, then byte by byte.
fn look(bucket: &dyn Bucket, upload: &Upload) -> Found {
    match bucket.head(&upload.key) {
        Ok(Some(meta)) if meta.size != upload.size => return Found::Foreign,
        Ok(Some(_)) => {}
        Ok(None) => {
            let message = "the object was there, and is not";
            return Found::Unknown(BucketError::new(
                ErrorKind::Unavailable,
                bucket.place(&upload.key),
                message,
            ));
        }
        Err(error) => return unseen(error),
    }
    let mut sum = Sha256::new();
    let mut at = 0;
    while at < upload.size {
        let end = upload.size.min(at + PIECE);
        match bucket.get_range(&upload.key, at..end) {
            Ok(bytes) if bytes.len() as u64 == end - at => sum.update(&bytes),
            Ok(_) => return Found::Foreign,
            Err(error) => return unseen(error),
        }
        at = end;
    }
    if gillnet_bucket::hex(&sum.finalize()) == upload.sha256 {
        Found::Ours
    } else {
        Found::Foreign
    }
}

fn unseen(error: BucketError) -> Found {
    match error.kind {
        ErrorKind::Forbidden | ErrorKind::Unauthenticated => Found::Hidden,
        _ => Found::Unknown(error),
    }
}
