//! What addresses meant, of several objects in one file.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Failed, Source};
use crate::Bucket;

/// Merges the files of names; `None` where no object has one.
///
/// A file has full snapshots, each under the second that it holds from. In the merged one each snapshot has what any of
/// the files says of that time.
pub(super) fn merge(bucket: &dyn Bucket, sources: &[&Source]) -> Result<Option<Vec<u8>>, Failed> {
    let mut histories: Vec<BTreeMap<i64, Map<String, Value>>> = Vec::new();
    for file in sources.iter().filter_map(|source| source.names.as_ref()) {
        let left = |why: String| Failed::Left(format!("{}: {why}", file.key));
        let text = bucket.get(&file.key)?;
        let snapshots: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|error| left(error.to_string()))?;
        let mut history = BTreeMap::new();
        for (since, names) in snapshots {
            let since = since
                .parse()
                .map_err(|_| left(format!("{since:?} is no time")))?;
            let Value::Object(names) = names else {
                return Err(left("a snapshot is no object".to_owned()));
            };
            history.insert(since, names);
        }
        histories.push(history);
    }
    if histories.is_empty() {
        return Ok(None);
    }
    let mut times: Vec<i64> = histories.iter().flat_map(BTreeMap::keys).copied().collect();
    times.sort_unstable();
    times.dedup();
    let mut merged = Map::new();
    let mut last: Option<Map<String, Value>> = None;
    for time in times {
        let mut names = Map::new();
        for history in &histories {
            let held = history.range(..=time).next_back();
            if let Some((_, held)) = held.or_else(|| history.first_key_value()) {
                names.extend(
                    held.iter()
                        .map(|(address, name)| (address.clone(), name.clone())),
                );
            }
        }
        names.sort_keys();
        if last.as_ref() != Some(&names) {
            merged.insert(time.to_string(), Value::Object(names.clone()));
            last = Some(names);
        }
    }
    let text = serde_json::to_vec(&Value::Object(merged));
    text.map(Some)
        .map_err(|error| Failed::Left(error.to_string()))
}
