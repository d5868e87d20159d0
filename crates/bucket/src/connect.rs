//! From a destination to a bucket.

use std::sync::Arc;

use crate::{
    Bucket, BucketError, Credentials, Destination,
    cloud::{azure, gcs, s3},
    file::FileBucket,
};

/// What the bucket is opened for; it decides which credentials will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Objects are created, nothing else.
    Record,
    /// Objects are listed and read.
    Read,
}

/// Opens a destination. Credentials are found and checked here (a metadata server is given two
/// seconds, gcloud, az and what gives tokens by name ten); whether the bucket exists and lets the account in
/// is seen at the first request.
///
/// # Errors
/// Where no credentials are there, with the ways to give some; where those given can't be used,
/// with what is wrong with them.
pub fn connect(
    destination: &Destination,
    credentials: &Credentials,
    access: Access,
) -> Result<Arc<dyn Bucket>, BucketError> {
    match destination {
        Destination::File { path } => Ok(Arc::new(FileBucket::new(path.clone()))),
        Destination::Gcs { bucket, prefix } => {
            Ok(Arc::new(gcs::connect(bucket, prefix, credentials, access)?))
        }
        Destination::S3(at) => Ok(Arc::new(s3::connect(at, credentials, access)?)),
        Destination::Azure(at) => Ok(Arc::new(azure::connect(at, credentials, access)?)),
    }
}

/// The URL of the store that a destination is in, where the destination or the environment names one
/// in place of the cloud's own (an emulator, a store of one's own).
#[must_use]
pub fn endpoint(destination: &Destination, credentials: &Credentials) -> Option<String> {
    match destination {
        Destination::File { .. } => None,
        Destination::Gcs { .. } => credentials.environment.emulator_url(),
        Destination::S3(at) => s3::endpoint(at, &credentials.environment),
        Destination::Azure(at) => azure::endpoint(at, credentials),
    }
}
