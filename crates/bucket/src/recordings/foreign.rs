//! Which encrypted objects no key was given for, told before their entries are asked for.

use std::collections::{BTreeMap, HashSet};

use super::in_order::{in_order, threads};
use crate::layout::ObjectName;
use crate::{Bucket, ErrorKind};

/// The objects among these files that are encrypted, and that none of the keys given reads. Files of one object are for the
/// same recipients, and mostly those of a recording are: where its first and last object can be read, the others are
/// believed to be; else each is looked at.
pub(crate) fn foreign<'f>(
    bucket: &dyn Bucket,
    files: impl Iterator<Item = (&'f ObjectName, &'f str)>,
) -> HashSet<ObjectName> {
    let mut recordings: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (name, key) in files.filter(|(_, key)| bucket.is_encrypted(key)) {
        let recording = (&name.cluster, &name.recording);
        recordings.entry(recording).or_default().insert(name, key);
    }
    let mut found = HashSet::new();
    for objects in recordings.into_values() {
        let objects: Vec<(&ObjectName, &str)> = objects.into_iter().collect();
        let ends = [objects.first(), objects.last()].into_iter().flatten();
        if !ends.into_iter().any(|(_, key)| is_foreign(bucket, key)) {
            continue;
        }
        let look = |at: usize| {
            let object = objects.get(at);
            Ok::<_, ()>(object.filter(|(_, key)| is_foreign(bucket, key)))
        };
        let take = |object: Option<&(&ObjectName, &str)>| {
            found.extend(object.map(|(name, _)| (*name).clone()));
        };
        // no look fails: what can't be read for another reason is said by who reads it
        let _ = in_order(objects.len(), threads(bucket), look, take);
    }
    found
}

fn is_foreign(bucket: &dyn Bucket, key: &str) -> bool {
    let begin = bucket.get_range(key, 0..1);
    begin.is_err_and(|error| error.kind == ErrorKind::Forbidden)
}
