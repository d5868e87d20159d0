//! Questions to an index: which entries a filter matches, by their rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use gillnet_entry::{Bump, Entry, Origin};
use gillnet_kfl::rows::{Bound, Column, Needs, RowFilter, is_column};
use gillnet_kfl::{Env, Filter, Tri};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{KeyValue, PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::columns::BASE;
use super::remote::Remote;
use super::stored::{Batch, KIND, KnownProtocol, NamePool, file_column};
use super::{Error, VERSION};
use crate::Bucket;
use crate::packets::StreamId;

/// Rows that are unpacked at a time.
const ROWS: usize = 8 << 10;

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'q> {
    /// The protocols that are known here.
    pub known: &'q [KnownProtocol],
    /// Which entries.
    pub filter: &'q RowFilter,
    /// The rows that began before the first or at or after the second moment (ns) need not be shown.
    pub within: (i64, i64),
    /// Whether all columns that every entry has are wanted, to show it; else it has only its place and its time, to be
    /// counted.
    pub shown: bool,
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
    RowFilter::new(env, filter, |column| has(known, column))
}

/// Whether an index has the column. That of a header or a body it has not; nor what Kubernetes says of the ends beyond
/// their names.
fn has(known: &[KnownProtocol], column: Column) -> bool {
    match column {
        Column::Ip(_) | Column::Port(_) | Column::Name(..) | Column::Tls => true,
        Column::Common(field) => {
            let field = gillnet_entry::COMMON.fields.get(usize::from(field));
            field.is_some_and(|field| {
                let of_peer = |of: &&str| field.kfl2.starts_with(*of);
                is_column(field) && !["local_", "remote_"].iter().any(of_peer)
            })
        }
        Column::Own(protocol, field) => {
            let known = known.iter().find(|known| known.number == protocol);
            known
                .and_then(|known| known.schema.fields.get(usize::from(field)))
                .is_some_and(is_column)
        }
    }
}

/// Whether a filter reads the common part, which is made of all columns that every entry has.
fn reads_common(filter: &RowFilter) -> bool {
    let mut columns = filter.columns().iter();
    columns.any(|column| matches!(column, Column::Common(_)))
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
        let remote = Remote::open(bucket, key, size)?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&remote, options)?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let version = |pair: &&KeyValue| pair.key == "gillnet.version";
        let version = pairs.into_iter().flatten().find(version);
        match version.and_then(|pair| pair.value.as_ref()?.parse().ok()) {
            Some(version) if version <= VERSION => Ok(Self { remote, metadata }),
            Some(version) => Err(Error::Later(version)),
            None => Err(Error::Foreign),
        }
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

    /// Shows the rows that match or may match, in the order of time; `each` says whether to go on.
    ///
    /// # Errors
    /// Where the file can't be read to its end.
    pub fn ask(
        &self,
        question: &Question<'_>,
        each: &mut dyn FnMut(&Found<'_>) -> bool,
    ) -> Result<Cost, Error> {
        let mut cost = Cost::default();
        let mut pool = NamePool::default();
        let leaves = self.leaves(question);
        for (number, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            if self.may_match(group, question)?
                && !self.group(number, question, &leaves, &mut pool, &mut cost, each)?
            {
                break;
            }
            self.remote.forget();
        }
        cost.bytes = self.remote.bytes();
        Ok(cost)
    }

    /// The columns to read, by their places in the file.
    fn leaves(&self, question: &Question<'_>) -> Vec<usize> {
        let whole = question.shown || reads_common(question.filter);
        let place = ["timestamp", "stream", "index", "transport"];
        let base = BASE.iter().map(|column| column.name);
        let base = base.filter(|name| whole || place.contains(name) || KIND.contains(name));
        let asked = question.filter.columns().iter();
        let asked = asked.filter_map(|column| file_column(*column, question.known));
        let wanted: BTreeSet<String> = base.map(str::to_owned).chain(asked).collect();
        let columns = self.metadata.parquet_schema().columns().iter().enumerate();
        let leaves = columns.filter(|(_, column)| wanted.contains(column.name()));
        leaves.map(|(at, _)| at).collect()
    }

    /// Shows the rows of a group that match or may match; `false` where no more are wanted.
    fn group(
        &self,
        group: usize,
        question: &Question<'_>,
        leaves: &[usize],
        pool: &mut NamePool,
        cost: &mut Cost,
        each: &mut dyn FnMut(&Found<'_>) -> bool,
    ) -> Result<bool, Error> {
        let of_group = self.metadata.metadata().row_group(group);
        let ranges = leaves.iter().map(|at| {
            let (start, length) = of_group.column(*at).byte_range();
            start..start + length
        });
        self.remote.fetch_all(ranges.collect())?;
        let schema = self.metadata.parquet_schema();
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.remote.clone(),
            self.metadata.clone(),
        );
        let reader = reader
            .with_row_groups(vec![group])
            .with_projection(ProjectionMask::leaves(schema, leaves.iter().copied()))
            .with_batch_size(ROWS)
            .build()?;
        let (filter, origin) = (question.filter, question.origin);
        let common = reads_common(filter);
        let mut arena = Bump::new();
        for rows in reader {
            let batch = Arc::new(Batch::new(&rows?, question.known));
            for row in 0..batch.len() {
                cost.rows += 1;
                arena.reset();
                let matches = if common {
                    let said = batch.with(row, origin, pool, &arena, |entry| {
                        says(filter, &batch, row, Some(entry), &arena)
                    });
                    said.unwrap_or(Tri::No)
                } else {
                    says(filter, &batch, row, None, &arena)
                };
                if matches == Tri::No {
                    continue;
                }
                let (stream, index) = batch.place(row);
                let goes_on = batch.with(row, origin, pool, &arena, |entry| {
                    each(&Found {
                        stream,
                        index,
                        matches,
                        entry,
                    })
                });
                if goes_on == Some(false) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether a group may have a row that matches.
    pub(super) fn may_match(
        &self,
        metadata: &RowGroupMetaData,
        question: &Question<'_>,
    ) -> Result<bool, Error> {
        let (from, to) = question.within;
        let time = column(metadata, "timestamp");
        let time = time.and_then(|at| ints(metadata.column(at).statistics()?));
        if time.is_some_and(|(first, last)| last < from || first > to) {
            return Ok(false);
        }
        self.fulfils(metadata, question.known, question.filter.needs())
    }

    fn fulfils(
        &self,
        metadata: &RowGroupMetaData,
        known: &[KnownProtocol],
        needs: &Needs,
    ) -> Result<bool, Error> {
        let of = |needs: &Needs| self.fulfils(metadata, known, needs);
        Ok(match needs {
            Needs::Every => true,
            Needs::No => false,
            Needs::All(all) => {
                for needs in all {
                    if !of(needs)? {
                        return Ok(false);
                    }
                }
                true
            }
            Needs::Any(any) => {
                for needs in any {
                    if of(needs)? {
                        return Ok(true);
                    }
                }
                false
            }
            Needs::Protocols(set) => {
                let known = known.iter().filter(|known| set.contains(known.number));
                let names = known.map(|known| known.schema.name.into());
                may_be(metadata, "protocol", &Bound::Texts(names.collect()))
            }
            Needs::Is {
                column,
                bound,
                or_missing,
            } => {
                let Some(name) = file_column(*column, known) else {
                    return Ok(true);
                };
                if *or_missing && has_nulls(metadata, &name) {
                    return Ok(true);
                }
                may_be(metadata, &name, bound) && self.may_contain(metadata, &name, bound)?
            }
        })
    }

    /// Whether, by its bloom filter, a column may have one of the texts.
    fn may_contain(
        &self,
        metadata: &RowGroupMetaData,
        name: &str,
        bound: &Bound,
    ) -> Result<bool, Error> {
        let (Bound::Texts(texts), Some(at)) = (bound, column(metadata, name)) else {
            return Ok(true);
        };
        let bloom = Sbbf::read_from_column_chunk(metadata.column(at), &self.remote)?;
        Ok(bloom.is_none_or(|bloom| texts.iter().any(|text| bloom.check(&**text))))
    }
}

/// What a filter says of a row; nothing matches whose protocol is not known here.
fn says<'v>(
    filter: &'v RowFilter,
    batch: &'v Batch,
    row: usize,
    entry: Option<&'v Entry<'v>>,
    arena: &'v Bump,
) -> Tri {
    let asked = batch.asked(row, entry, arena);
    asked.map_or(Tri::No, |asked| filter.test(&asked, arena))
}

pub(super) fn column(metadata: &RowGroupMetaData, name: &str) -> Option<usize> {
    let columns = metadata.columns().iter();
    let mut named = columns.map(|column| column.column_path().parts());
    named.position(|parts| *parts == [name.to_owned()])
}

/// Whether a column has nulls, or is not there.
fn has_nulls(metadata: &RowGroupMetaData, name: &str) -> bool {
    let statistics = column(metadata, name).and_then(|at| metadata.column(at).statistics());
    statistics.and_then(Statistics::null_count_opt) != Some(0)
}

/// Whether, by its statistics, a column may have a value that is like that. One that is not there has none.
fn may_be(metadata: &RowGroupMetaData, name: &str, bound: &Bound) -> bool {
    let Some(at) = column(metadata, name) else {
        return false;
    };
    let Some(statistics) = metadata.column(at).statistics() else {
        return true;
    };
    if statistics.null_count_opt() == u64::try_from(metadata.num_rows()).ok() {
        return false;
    }
    match bound {
        Bound::Ints(from, to) => {
            ints(statistics).is_none_or(|(least, most)| least <= *to && most >= *from)
        }
        Bound::Bool(wanted) => match statistics {
            Statistics::Boolean(of) => {
                let ends = [of.min_opt(), of.max_opt()];
                ends.contains(&None) || ends.contains(&Some(wanted))
            }
            _ => true,
        },
        Bound::Texts(texts) => texts.iter().any(|text| {
            // both ends may be cut: the least then is less, the most is more
            bytes(statistics)
                .is_none_or(|(least, most)| text.as_bytes() >= least && text.as_bytes() <= most)
        }),
        Bound::Prefix(prefix) => bytes(statistics).is_none_or(|(least, most)| {
            let prefix = prefix.as_bytes();
            let length = prefix.len().min(least.len());
            least.get(..length).is_some_and(|least| least <= prefix) && most >= prefix
        }),
    }
}

/// Least and most of a column of integers.
pub(super) fn ints(statistics: &Statistics) -> Option<(i64, i64)> {
    match statistics {
        Statistics::Int64(of) => Some((*of.min_opt()?, *of.max_opt()?)),
        _ => None,
    }
}

/// Least and most of a column of texts.
fn bytes(statistics: &Statistics) -> Option<(&[u8], &[u8])> {
    match statistics {
        Statistics::ByteArray(of) => Some((of.min_opt()?.data(), of.max_opt()?.data())),
        _ => None,
    }
}
