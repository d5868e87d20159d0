//! Where recordings live: the layout of a bucket, the stores it can be in, packet objects, and
//! recordings read back as sources of frames.
//!
//! - [`Destination`] and [`Credentials`] say where and as whom; [`connect`] gives a [`Bucket`].
//! - [`layout`] names the objects.
//! - [`packets`] writes and unpacks packet objects.
//! - [`index`] writes what is beside them for queries.
//! - [`Encryptor`] and [`decrypted`]: objects that are encrypted while they are in the bucket.
//! - [`Recordings`] opens what is there, grouped by the process that recorded it.

mod cloud;
pub mod compact;
mod connect;
mod credentials;
mod destination;
mod encryption;
mod error;
mod file;
pub mod index;
pub mod layout;
pub mod packets;
pub mod prune;
mod recordings;
mod replaced;
mod store;
pub mod verify;

pub use cloud::{
    aws::{aws_domain, aws_identity},
    azure_account::{AzureAccount, AzureProof, check_account},
    azure_identity::azure_identity,
    failure::{Failure, said},
    gcs::google_store,
    s3::s3_url,
};
pub use connect::{Access, connect, endpoint};
pub use credentials::{Credentials, Environment, Key, Secret};
pub use destination::{AzurePlace, Destination, DestinationError, S3Place};
pub use encryption::{
    Encryptor, IDENTITY, Identities, RecipientError, Recipients, Sum, Summed, decrypted,
    encrypted_key, of_encrypted_key, unread,
};
pub use error::{BucketError, ErrorKind, PutError};
pub use recordings::{
    Answered, Earliest, Group, GroupIndex, Notes, Origin, Overview, Progress, RecordedSource,
    Recordings, Selected, Selection, StreamSet, ask_by_time, overview,
};
pub use store::{Body, Bucket, ObjectMeta};

/// A lock outlives a panic of who held it.
pub(crate) fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
