//! The entries of several objects in one file.

use std::sync::Arc;

use gillnet_entry::Origin;

use super::{Failed, Source};
use crate::Bucket;
use crate::index::{Entries, read_entries};

/// What the new object's files say.
pub(super) struct Merged {
    pub(super) rows: Entries,
    pub(super) kfl: String,
    pub(super) origin: Origin,
}

/// Reads the entries of all.
pub(super) fn read(bucket: &Arc<dyn Bucket>, sources: &[Source]) -> Result<Merged, Failed> {
    let (mut all, mut said) = (Vec::new(), None);
    for file in sources.iter().filter_map(|source| source.entries.as_ref()) {
        let (batches, footer) = read_entries(bucket, &file.key, file.size)
            .map_err(|error| Failed::Left(format!("{}: {error}", file.key)))?;
        all.extend(batches);
        said.get_or_insert(footer);
    }
    let of = |key: &str| {
        let text = said.as_ref().and_then(|footer| footer.get(key));
        text.unwrap_or_default().to_owned()
    };
    let backend = crate::index::known_text(&of("gillnet.backend"));
    Ok(Merged {
        rows: Entries::merge(&all)?,
        kfl: of("gillnet.kfl"),
        origin: Origin {
            worker: of("gillnet.worker"),
            node_ip: of("gillnet.nodeIp"),
            backend,
            ..Origin::default()
        },
    })
}
