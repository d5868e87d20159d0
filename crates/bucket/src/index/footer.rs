//! What a file's footer says, read back, and the checksum of the file in it.
//!
//! The writer of Parquet files that is used here writes no checksums of pages, and a checksum of each page would say
//! nothing of the footer, of bloom filters and of the places of pages. So the footer has the SHA-256 of the whole file,
//! taken while zeros stand in the place of its digits.

use std::collections::HashMap;
use std::ops::Range;

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use sha2::{Digest, Sha256};

use super::{Beside, Error, VERSION};
use crate::layout::{ObjectName, Replaces};

/// The footer's key of the checksum.
pub(super) const SUM: &str = "gillnet.sha256";
/// What its digits are while it is taken.
pub(super) const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// An object is read in pieces of this size.
const PIECE: u64 = 1 << 20;

/// Where in the end of a file the digits are: `end` is all that follows the pages, or more.
fn digits(end: &[u8]) -> Option<Range<usize>> {
    // the footer's length and the magic stand last
    let at = end.len().checked_sub(8)?;
    let length = u32::from_le_bytes(*end.get(at..)?.first_chunk()?) as usize;
    let from = at.checked_sub(length)?;
    // Thrift writes a text's length before it: 64 as one byte, behind one for the field
    let key = memchr::memmem::find(end.get(from..at)?, SUM.as_bytes())? + from + SUM.len();
    let value = key.checked_add(2)?;
    let all = value..value.checked_add(ZEROS.len())?;
    let plain = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    end.get(all.clone())?.iter().all(plain).then_some(all)
}

/// Puts the checksum into a file.
pub(super) fn fill_sum(file: &mut [u8]) {
    if let Some(digits) = digits(file) {
        let sum = crate::hex(&Sha256::digest(&*file));
        if let Some(place) = file.get_mut(digits) {
            place.copy_from_slice(sum.as_bytes());
        }
    }
}

/// Reads a file from front to back: its SHA-256, and whether its footer has one to compare.
///
/// # Errors
/// Where it can't be read, or what its footer has is another.
pub(crate) fn check_sum(
    bucket: &dyn crate::Bucket,
    key: &str,
    size: u64,
) -> Result<(String, bool), Error> {
    let damaged = |why: String| Error::Damaged(why);
    let read = |range: Range<u64>| {
        let bytes = bucket.get_range(key, range);
        bytes.map_err(|error| damaged(error.to_string()))
    };
    let last = read(size.saturating_sub(8)..size)?;
    let length = last
        .first_chunk()
        .map_or(0, |length| u32::from_le_bytes(*length));
    let before = size.saturating_sub(u64::from(length) + 8);
    let end = read(before..size)?;
    let place = digits(&end).map(|digits| {
        let said =
            String::from_utf8_lossy(end.get(digits.clone()).unwrap_or_default()).into_owned();
        let at = before + digits.start as u64;
        (at..at + ZEROS.len() as u64, said)
    });
    let (mut whole, mut own) = (Sha256::new(), Sha256::new());
    let mut at = 0;
    while at < size {
        let to = size.min(at + PIECE);
        let mut bytes = read(at..to)?;
        if bytes.len() as u64 != to - at {
            return Err(damaged(format!(
                "it ends at byte {}",
                at + bytes.len() as u64
            )));
        }
        whole.update(&bytes);
        if let Some((digits, _)) = &place {
            let (from, to) = (digits.start.max(at), digits.end.min(to));
            for byte in from..to {
                if let Some(byte) = bytes.get_mut((byte - at) as usize) {
                    *byte = b'0';
                }
            }
        }
        own.update(&bytes);
        at = to;
    }
    match place {
        Some((_, said)) if said != crate::hex(&own.finalize()) => Err(damaged(
            "its SHA-256 is not the one that its footer says".to_owned(),
        )),
        place => Ok((crate::hex(&whole.finalize()), place.is_some())),
    }
}

/// The names of the objects that one replaces, as its footers list them.
pub(super) fn replaces(name: &ObjectName) -> String {
    serde_json::Value::from_iter(name.replaced()).to_string()
}

/// What a footer says.
pub(crate) struct FooterOf {
    pairs: HashMap<String, String>,
}

impl FooterOf {
    /// Of a file's metadata.
    ///
    /// # Errors
    /// Where it is of a later version, or of none.
    pub(crate) fn read(metadata: &ArrowReaderMetadata) -> Result<Self, Error> {
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let pairs = pairs.into_iter().flatten();
        let pairs = pairs.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?)));
        let footer = Self {
            pairs: pairs.collect(),
        };
        match footer
            .get("gillnet.version")
            .and_then(|text| text.parse().ok())
        {
            Some(version) if version <= VERSION => Ok(footer),
            Some(version) => Err(Error::Later(version)),
            None => Err(Error::Foreign),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(String::as_str)
    }

    /// Whether it was written for the object of this name, as this kind of file.
    pub(crate) fn is_of(&self, name: &ObjectName, kind: &str) -> bool {
        let is = |key: &str, value: &str| self.get(key) == Some(value);
        is("gillnet.kind", kind)
            && is("gillnet.cluster", &name.cluster)
            && is("gillnet.recording", &name.recording)
            && is("gillnet.node", &name.node)
            && is("gillnet.run", &format!("{:016x}", name.run))
            && is("gillnet.seq", &name.seq.to_string())
            && self.replaces_as(name)
    }

    /// Whether it lists what the name says that the object replaces.
    fn replaces_as(&self, name: &ObjectName) -> bool {
        let (listed, of) = match (self.get("gillnet.replaces"), &name.replaces) {
            (Some(listed), Some(of)) => (listed, of),
            (listed, of) => return listed.is_none() && of.is_none(),
        };
        // not the other way round: what a name claims may be more than there can be
        let listed: Vec<String> = serde_json::from_str(listed).unwrap_or_default();
        let seqs = listed
            .iter()
            .map(|name| name.rsplit('_').next()?.parse().ok());
        let seqs: Option<Vec<u64>> = seqs.collect();
        let replaces = seqs.and_then(|seqs| Replaces::new(of.generation(), seqs));
        replaces.is_some_and(|(seq, replaces)| seq == name.seq && replaces == *of)
    }

    /// The files of the object that were written before. `None` where what it says can't be read.
    pub(crate) fn beside(&self) -> Option<Vec<Beside>> {
        let Some(text) = self.get("gillnet.files") else {
            return Some(Vec::new());
        };
        let files: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
        let file = |file: &serde_json::Value| {
            Some(Beside {
                key: file.get("key")?.as_str()?.to_owned(),
                size: file.get("size")?.as_u64()?,
                sha256: file.get("sha256")?.as_str()?.to_owned(),
            })
        };
        files.iter().map(file).collect()
    }
}
