//! Where recordings live: the layout of a bucket, the stores it can be in, packet objects, and
//! recordings read back as sources of frames.
//!
//! - [`Destination`] and [`Credentials`] say where and as whom; [`connect`] gives a [`Bucket`].
//! - [`layout`] names the objects.
//! - [`packets`] writes and unpacks packet objects.
//! - [`index`] writes what is beside them for queries.
//! - [`Recordings`] opens what is there, grouped by the process that recorded it.

pub mod compact;
mod connect;
mod credentials;
mod destination;
mod error;
mod failure;
mod file;
mod gcs;
pub mod index;
pub mod layout;
pub mod packets;
mod recordings;
mod replaced;
mod store;
mod token;
pub mod verify;

pub use connect::{Access, connect};
pub use credentials::{Credentials, Environment, Key, Secret};
pub use destination::{Destination, DestinationError};
pub use error::{BucketError, ErrorKind, PutError};
pub use failure::{Failure, said};
pub use gcs::google_store;
pub use recordings::{Group, GroupIndex, Origin, Progress, RecordedSource, Recordings};
pub use store::{Body, Bucket, ObjectMeta};

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
