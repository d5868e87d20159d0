//! What can go wrong with a bucket: kind, place, what was said, and the mend.

use std::fmt;

/// What kind of fault it is; whether a retry helps is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no object of that name.
    NotFound,
    /// There is no such bucket or folder.
    NoBucket,
    /// The account is known, and not allowed to do this.
    Forbidden,
    /// The credentials are missing, or were not accepted.
    Unauthenticated,
    /// A key or credentials file can't be used as it is.
    MalformedKey,
    /// A name that the store can't have.
    Name,
    /// Not reachable, too slow, or overloaded: later it may work.
    Unavailable,
    /// The disk is full.
    NoSpace,
    /// What is there is encrypted, and not what was written.
    Damaged,
    /// Anything else that the store or the system said.
    Other,
}

/// A fault of a bucket. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketError {
    /// What kind of fault.
    pub kind: ErrorKind,
    /// The thing: a URL of a bucket or object, a file.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it; empty where there is nothing to say.
    pub mend: String,
}

impl BucketError {
    /// A fault with nothing to say about its mend.
    #[must_use]
    pub fn new(kind: ErrorKind, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            place: place.into(),
            message: message.into(),
            mend: String::new(),
        }
    }

    /// The same with a mend.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = mend.into();
        self
    }

    /// Whether the same request may work later without anyone doing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::NoSpace)
    }
}

impl fmt::Display for BucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if self.mend.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.mend)
        }
    }
}

impl std::error::Error for BucketError {}

/// Why an object was not put. The four differ in what is known about the bucket afterwards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// An object of that name was there already; it was not touched. It may be our own, from an
    /// attempt whose answer was lost.
    #[error("{place}: an object of that name is there already")]
    Exists {
        /// URL of the object.
        place: String,
    },
    /// Nothing was written, and the same attempt won't work before someone changes something
    /// (permissions, the bucket, the key).
    #[error(transparent)]
    Refused(BucketError),
    /// Nothing was written; a later attempt may work (no connection, too many requests, disk full).
    #[error(transparent)]
    Unavailable(BucketError),
    /// The request was sent and no clear answer came (a broken connection, a timeout, a 5xx): the
    /// object may be there or not, and a later attempt may find it there.
    #[error(transparent)]
    Ambiguous(BucketError),
}

impl PutError {
    /// What was said about it, except that the object exists.
    #[must_use]
    pub fn error(&self) -> Option<&BucketError> {
        match self {
            Self::Exists { .. } => None,
            Self::Refused(error) | Self::Unavailable(error) | Self::Ambiguous(error) => Some(error),
        }
    }
}
