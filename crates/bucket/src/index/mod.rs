//! The index of packet objects: two Parquet files beside each, which any engine can read.
//!
//! - `entries/`: one row an entry ([`EntriesWriter`]), sorted by time, each in the hour of its own time.
//! - `streams/`: one row a stream of the object, with the range that its packets are in ([`StreamsWriter`]).
//!
//! docs/format.md describes the columns. A later version may add columns; none changes its meaning.

pub mod aggregate;
mod answered;
mod asking;
mod bits;
mod chunks;
mod columns;
mod deltas;
mod dictionary;
mod entries;
mod figures;
mod footer;
mod opened;
mod packed;
mod pieces;
mod prune;
mod query;
mod remote;
mod sql;
mod stored;
mod streams;
mod table;
mod values;

use gillnet_entry::Origin;
use parquet::file::metadata::KeyValue;

pub use answered::answered;
pub use columns::columns_of;
pub(crate) use entries::read_entries;
pub use entries::{Entries, EntriesWriter};
pub(crate) use figures::figures;
pub(crate) use footer::{FooterOf, check_sum};
pub(crate) use opened::{Batches, Opened};
pub use query::{Cost, EntriesFile, Found, Question, has_column, is_within, on_rows};
pub(crate) use remote::Remote;
pub use sql::{EntriesTable, PARTITIONS, PLACE};
pub use stored::KnownProtocol;
pub(crate) use stored::known_message as known_text;
pub(crate) use streams::read_streams;
pub use streams::{Range, StreamPlace, StreamRow, StreamsWriter, stream_places};

use crate::layout::{ObjectName, Payload};

/// Version of both files, in their footers under `gillnet.version`.
pub const VERSION: u32 = 1;

/// Rows of a page: what is passed over or unpacked at a time.
const PAGE_ROWS: usize = 4096;

/// A file of an object, as another file's footer names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What a file's footer says of it.
#[derive(Clone, Copy, Debug)]
pub struct Footer<'a> {
    /// The object that it belongs to.
    pub name: &'a ObjectName,
    /// The rule's filter.
    pub kfl: &'a str,
    /// Who saw the packets.
    pub origin: &'a Origin,
    /// The files of the object that were written before.
    pub beside: &'a [Beside],
    /// What was kept of its packets; said where that is not all.
    pub payload: Payload,
}

/// Why an index can't be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Parquet.
    #[error("the index: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The end of a file, which says what is in it.
    #[error("the footer of the index can't be read: {0}")]
    Footer(parquet::errors::ParquetError),
    /// Arrow.
    #[error("the index: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// It was written by a later version.
    #[error(
        "the index has version {0}, and {VERSION} is the last that is known here; use a later Gillnet"
    )]
    Later(u32),
    /// It has no version.
    #[error("the index is none of Gillnet's")]
    Foreign,
    /// Its bytes are not those that were written.
    #[error("the index is damaged: {0}")]
    Damaged(String),
}

impl Footer<'_> {
    fn key_values(&self, kind: &str) -> Vec<KeyValue> {
        let ObjectName {
            cluster,
            recording,
            node,
            run,
            seq,
            ..
        } = self.name;
        let mut all = vec![
            (footer::SUM, footer::ZEROS.to_owned()),
            ("gillnet.version", VERSION.to_string()),
            ("gillnet.kind", kind.to_owned()),
            ("gillnet.cluster", cluster.clone()),
            ("gillnet.recording", recording.clone()),
            ("gillnet.node", node.clone()),
            ("gillnet.run", format!("{run:016x}")),
            ("gillnet.seq", seq.to_string()),
            ("gillnet.kfl", self.kfl.to_owned()),
            ("gillnet.worker", self.origin.worker.clone()),
            ("gillnet.nodeIp", self.origin.node_ip.clone()),
            ("gillnet.backend", self.origin.backend.to_owned()),
        ];
        if self.name.replaces.is_some() {
            all.push(("gillnet.replaces", footer::replaces(self.name)));
        }
        if self.payload != Payload::Full {
            all.push(("gillnet.payload", self.payload.to_string()));
        }
        if !self.beside.is_empty() {
            let beside = self.beside.iter().map(|file| {
                serde_json::json!({ "key": file.key, "size": file.size, "sha256": file.sha256 })
            });
            let beside = serde_json::Value::from_iter(beside);
            all.push(("gillnet.files", beside.to_string()));
        }
        all.into_iter()
            .map(|(key, value)| KeyValue::new(key.to_owned(), value))
            .collect()
    }
}
