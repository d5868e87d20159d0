//! From a destination to a bucket.

use std::sync::Arc;

use crate::{Bucket, BucketError, Credentials, Destination, file::FileBucket, gcs};

/// What the bucket is opened for; it decides which credentials will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Objects are created, nothing else.
    Record,
    /// Objects are listed and read.
    Read,
}

/// Opens a destination. Credentials are found and checked here (the metadata server is given two
/// seconds, gcloud ten where it is installed); whether the bucket exists and lets the account in
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
    }
}
