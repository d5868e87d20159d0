//! Puts a file of a new object, once.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::{Body, Bucket, BucketError, ErrorKind, PutError};

const ATTEMPTS: u32 = 6;
const FIRST: Duration = Duration::from_millis(500);
const PIECE: u64 = 4 << 20;

/// Puts a file; an earlier attempt whose answer was lost is as good.
///
/// # Errors
/// The last attempt's; where another object has the name.
pub(super) fn put(
    bucket: &dyn Bucket,
    key: &str,
    body: Body<'_>,
    size: u64,
    sha256: &str,
    rest: fn(Duration),
) -> Result<(), BucketError> {
    let mut wait = FIRST;
    let mut attempt = 1;
    loop {
        let error = match bucket.put_new(key, body) {
            Ok(()) => return Ok(()),
            Err(PutError::Exists { .. }) => match is_same(bucket, key, size, sha256) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    let message = "another object has this name: does another compaction run?";
                    let error = BucketError::new(ErrorKind::Other, bucket.place(key), message);
                    return Err(error.mend("let one run at a time; the next one goes on from here"));
                }
                Err(error) => error,
            },
            Err(PutError::Refused(error)) => return Err(error),
            Err(PutError::Unavailable(error) | PutError::Ambiguous(error)) => error,
        };
        if attempt == ATTEMPTS {
            return Err(error);
        }
        rest(wait);
        wait *= 2;
        attempt += 1;
    }
}

fn is_same(bucket: &dyn Bucket, key: &str, size: u64, sha256: &str) -> Result<bool, BucketError> {
    if bucket.head(key)?.is_none_or(|there| there.size != size) {
        return Ok(false);
    }
    let mut sum = Sha256::new();
    let mut at = 0;
    while at < size {
        let bytes = bucket.get_range(key, at..size.min(at + PIECE))?;
        if bytes.is_empty() {
            return Ok(false);
        }
        at += bytes.len() as u64;
        sum.update(&bytes);
    }
    Ok(crate::hex(&sum.finalize()) == sha256)
}
