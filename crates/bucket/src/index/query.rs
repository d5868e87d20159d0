//! Questions to an index: which entries a filter matches, by their rows.

use std::sync::Arc;

use gillnet_entry::{Entry, Field, Origin};
use gillnet_kfl::rows::{Column, Needs, RowFilter};
use gillnet_kfl::{Env, Filter, Tri};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use super::asking::Asking;
use super::opened::guarded;
use super::prune::Prune;
use super::remote::Remote;
use super::stored::{KIND, KnownProtocol, file_column};
use super::{Error, Opened};
use crate::Bucket;
use crate::packets::StreamId;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'q> {
    /// The protocols that are known here.
    pub known: &'q [KnownProtocol],
    /// Which entries.
    pub filter: &'q RowFilter,
    /// Only the rows that began at or after the first and before the second moment (ns); see [`is_within`].
    pub within: (i64, i64),
    /// Whether all columns that every entry has are wanted, to show it; else it has only its place and its time, to be
    /// counted.
    pub shown: bool,
    /// Columns of protocols that are wanted besides where it is shown, by their names in the file.
    pub columns: &'q [String],
    /// Where the entries come from.
    pub origin: &'q Origin,
}

/// A row that may be an answer.
#[derive(Clone, Copy, Debug)]
pub struct Found<'e> {
    /// The stream of its entry.
    pub stream: StreamId,
    /// Its position there.
    pub index: u32,
    /// Whether the filter matches; [`Tri::Unknown`] where only its packets tell.
    pub matches: Tri,
    /// The entry, without bodies and headers.
    pub entry: &'e Entry<'e>,
}

/// Whether what began at a moment is in a span of time, from its first moment to before its second: without an end even
/// what a broken clock dated at the end of time.
#[must_use]
pub fn is_within(began: i64, (since, until): (i64, i64)) -> bool {
    since <= began && (began < until || until == i64::MAX)
}

/// What asking took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes fetched.
    pub bytes: u64,
    /// Rows looked at.
    pub rows: u64,
}

/// A filter, compiled in `env`, on the rows of an index.
#[must_use]
pub fn on_rows(env: &Env, known: &[KnownProtocol], filter: &Filter) -> RowFilter {
    RowFilter::new(env, filter, |column| has_column(known, column))
}

/// Whether an index has the column. That of a header or a body it has not; nor what Kubernetes says of the ends beyond
/// their names.
#[must_use]
pub fn has_column(known: &[KnownProtocol], column: Column) -> bool {
    match column {
        Column::Ip(_) | Column::Port(_) | Column::Name(..) | Column::Tls => true,
        Column::ErrorType | Column::ErrorMsg => true,
        Column::Common(field) => {
            let field = gillnet_entry::COMMON.fields.get(usize::from(field));
            field.is_some_and(|field| {
                let of_peer = |of: &&str| field.kfl2.starts_with(*of);
                field.is_column() && !["local_", "remote_"].iter().any(of_peer)
            })
        }
        Column::Own(protocol, field) => {
            let known = known.iter().find(|known| known.number == protocol);
            known
                .and_then(|known| known.schema.fields.get(usize::from(field)))
                .is_some_and(Field::is_column)
        }
    }
}

/// A file of `entries/`.
pub struct EntriesFile {
    pub(super) remote: Remote,
    pub(super) metadata: ArrowReaderMetadata,
}

impl std::fmt::Debug for EntriesFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntriesFile").finish_non_exhaustive()
    }
}

impl EntriesFile {
    /// Reads the footer of a file.
    ///
    /// # Errors
    /// Where it can't be read, or is of a later version.
    pub fn open(bucket: &Arc<dyn Bucket>, key: &str, size: u64) -> Result<Self, Error> {
        let Opened {
            remote, metadata, ..
        } = Opened::new(bucket, key, size, PageIndexPolicy::Skip)?;
        Ok(Self { remote, metadata })
    }

    /// Times of its earliest and latest row, in nanoseconds since the Unix epoch; nothing where it has none.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let footer = Prune {
            metadata: self.metadata.metadata(),
            remote: &self.remote,
        };
        let groups = 0..footer.metadata.num_row_groups();
        let times = groups.map(|group| footer.times(group).unwrap_or((i64::MIN, i64::MAX)));
        times.reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
    }

    /// Whether it has all columns that a filter reads: those of fields that are new here it has not.
    #[must_use]
    pub fn decides(&self, question: &Question<'_>) -> bool {
        let schema = self.metadata.schema();
        let columns = question.filter.columns().iter();
        let mut own = columns.filter_map(|column| match column {
            Column::Own(protocol, _) => Some((protocol, file_column(*column, question.known)?)),
            _ => None,
        });
        own.all(|(protocol, name)| {
            let known = question
                .known
                .iter()
                .find(|known| known.number == *protocol);
            let prefix = known.map_or_else(String::new, |known| format!("{}.", known.schema.name));
            let is_own = |name: &String| name.starts_with(&prefix) && !KIND.contains(&&**name);
            schema.column_with_name(&name).is_some()
                || !schema.fields().iter().any(|field| is_own(field.name()))
        })
    }

    /// Shows the rows that match or may match; `each` says whether to go on. Those that are shown come in the order of
    /// time, those that are counted in any.
    ///
    /// # Errors
    /// Where the file can't be read to its end.
    pub fn ask(
        &self,
        question: &Question<'_>,
        each: &mut dyn FnMut(&Found<'_>) -> bool,
    ) -> Result<Cost, Error> {
        let footer = Prune {
            metadata: self.metadata.metadata(),
            remote: &self.remote,
        };
        let mut groups = Vec::new();
        for group in 0..footer.metadata.num_row_groups() {
            if footer.may_match(group, question)? {
                let first = footer.times(group).map_or(i64::MIN, |(first, _)| first);
                groups.push((first, group));
            }
        }
        groups.sort_unstable();
        if groups.is_empty() {
            return Ok(Cost {
                bytes: self.remote.bytes(),
                rows: 0,
            });
        }
        let metadata = self.with_pages(question, &groups)?;
        let mut asking = Asking::new(&self.remote, metadata, question)?;
        if question.shown {
            asking.show(&groups, each)?;
        } else {
            asking.count(&groups, each)?;
        }
        Ok(Cost {
            bytes: self.remote.bytes(),
            rows: asking.rows,
        })
    }

    /// The footer with what is said of pages, where that may spare some.
    fn with_pages(
        &self,
        question: &Question<'_>,
        groups: &[(i64, usize)],
    ) -> Result<ArrowReaderMetadata, Error> {
        let metadata = self.metadata.metadata();
        let (from, to) = question.within;
        let narrow = (from, to) != (i64::MIN, i64::MAX) || *question.filter.needs() != Needs::Every;
        let mut rows = groups
            .iter()
            .map(|(_, group)| metadata.row_group(*group).num_rows());
        if !narrow || !rows.any(|rows| rows > 2 * super::PAGE_ROWS as i64) {
            return Ok(self.metadata.clone());
        }
        let mut reader = ParquetMetaDataReader::new_with_metadata(ParquetMetaData::clone(metadata))
            .with_page_index_policy(PageIndexPolicy::Optional);
        guarded(|| {
            reader.read_page_indexes(&self.remote)?;
            ArrowReaderMetadata::try_new(Arc::new(reader.finish()?), ArrowReaderOptions::new())
        })
    }
}
