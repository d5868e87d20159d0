//! What of a file can't have what a question needs, by its statistics, page index and bloom filters.

use gillnet_kfl::rows::{Bound, Needs};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::Error;
use super::opened::guarded;
use super::query::Question;
use super::remote::Remote;
use super::stored::{KnownProtocol, file_column};

/// The column of the entries' own times.
pub(super) const TIME: &str = "timestamp";

/// A file, as far as its footer tells.
#[derive(Clone, Copy)]
pub(super) struct Prune<'f> {
    pub(super) metadata: &'f ParquetMetaData,
    pub(super) remote: &'f Remote,
}

/// What is known of the values of a column's part.
struct Extent<'m> {
    values: Values<'m>,
    has_nulls: bool,
    only_nulls: bool,
}

/// Least and most.
enum Values<'m> {
    Ints(i64, i64),
    Bools(bool, bool),
    /// Both ends may be cut: the least then is less, the most is more.
    Texts(&'m [u8], &'m [u8]),
    Unknown,
}

impl Prune<'_> {
    /// Whether a row group may have an answer.
    pub(super) fn may_match(&self, group: usize, question: &Question<'_>) -> Result<bool, Error> {
        let metadata = self.metadata.row_group(group);
        let in_time = self.times(group).is_none_or(|(first, last)| {
            let (from, to) = question.within;
            last >= from && first <= to
        });
        Ok(in_time && self.fulfils(metadata, question.known, question.filter.needs())?)
    }

    /// Earliest and latest time in a row group.
    pub(super) fn times(&self, group: usize) -> Option<(i64, i64)> {
        let metadata = self.metadata.row_group(group);
        match extent(metadata, TIME)?.values {
            Values::Ints(first, last) => Some((first, last)),
            _ => None,
        }
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
                let names = Bound::Texts(names(known, |number| set.contains(number)));
                extent(metadata, "protocol").is_some_and(|extent| extent.may_be(&names))
            }
            Needs::Is {
                column,
                bound,
                or_missing,
            } => {
                let Some(name) = file_column(*column, known) else {
                    return Ok(true);
                };
                // a column that is not there has no values
                let Some(extent) = extent(metadata, &name) else {
                    return Ok(*or_missing);
                };
                *or_missing && extent.has_nulls
                    || extent.may_be(bound) && self.may_contain(metadata, &name, bound)?
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
        let (Bound::Texts(texts), Some(at)) = (bound, place(metadata, name)) else {
            return Ok(true);
        };
        let bloom = guarded(|| Sbbf::read_from_column_chunk(metadata.column(at), self.remote))?;
        Ok(bloom.is_none_or(|bloom| texts.iter().any(|text| bloom.check(&**text))))
    }

    /// The rows of a group whose pages may have an answer; `None` where that is all of them.
    pub(super) fn rows(&self, group: usize, question: &Question<'_>) -> Option<RowSelection> {
        let metadata = self.metadata.row_group(group);
        let pages = Pages {
            metadata,
            index: self.metadata.page_index_for_row_group(group),
            known: question.known,
        };
        let (from, to) = question.within;
        both(
            pages.like(TIME, &Bound::Ints(from, to), false),
            pages.rows(question.filter.needs()),
        )
    }
}

/// The pages of a row group.
struct Pages<'m> {
    metadata: &'m RowGroupMetaData,
    index: RowGroupPageIndex,
    known: &'m [KnownProtocol],
}

impl Pages<'_> {
    fn rows(&self, needs: &Needs) -> Option<RowSelection> {
        match needs {
            Needs::Every => None,
            Needs::No => Some(RowSelection::from(Vec::new())),
            Needs::All(all) => all.iter().map(|needs| self.rows(needs)).fold(None, both),
            Needs::Any(any) => {
                let mut any = any.iter().map(|needs| self.rows(needs));
                let first = any.next()??;
                any.try_fold(first, |all, more| Some(all.union(&more?)))
            }
            Needs::Protocols(set) => {
                let names = names(self.known, |number| set.contains(number));
                self.like("protocol", &Bound::Texts(names), false)
            }
            Needs::Is {
                column,
                bound,
                or_missing,
            } => self.like(&file_column(*column, self.known)?, bound, *or_missing),
        }
    }

    /// The rows of those pages of a column that may have such a value.
    fn like(&self, name: &str, bound: &Bound, or_missing: bool) -> Option<RowSelection> {
        let at = place(self.metadata, name)?;
        let (values, places) = (self.index.column_index(at)?, self.index.offset_index(at)?);
        let rows = usize::try_from(self.metadata.num_rows()).ok()?;
        let places = places.page_locations();
        let starts = places
            .iter()
            .map(|page| usize::try_from(page.first_row_index).unwrap_or(rows));
        let ends = starts.clone().skip(1).chain([rows]);
        let pages = starts.zip(ends).enumerate();
        let kept = pages.filter(|(page, _)| {
            let extent = Extent::of_page(values, *page);
            or_missing && extent.has_nulls || extent.may_be(bound)
        });
        let ranges = kept.map(|(_, (start, end))| start..end);
        Some(RowSelection::from_consecutive_ranges(ranges, rows))
    }
}

/// What both leave; `None` is everything.
fn both(a: Option<RowSelection>, b: Option<RowSelection>) -> Option<RowSelection> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.intersection(&b)),
        (a, b) => a.or(b),
    }
}

fn names(known: &[KnownProtocol], wanted: impl Fn(u8) -> bool) -> Vec<Box<str>> {
    let known = known.iter().filter(|known| wanted(known.number));
    known.map(|known| known.schema.name.into()).collect()
}

pub(super) fn place(metadata: &RowGroupMetaData, name: &str) -> Option<usize> {
    let columns = metadata.columns().iter();
    let mut named = columns.map(|column| column.column_path().parts());
    named.position(|parts| matches!(parts, [only] if only == name))
}

/// What a row group's statistics say of a column; `None` where it has no such column.
fn extent<'m>(metadata: &'m RowGroupMetaData, name: &str) -> Option<Extent<'m>> {
    let column = metadata.column(place(metadata, name)?);
    let Some(statistics) = column.statistics() else {
        return Some(Extent {
            values: Values::Unknown,
            has_nulls: true,
            only_nulls: false,
        });
    };
    let nulls = statistics.null_count_opt();
    let values = match statistics {
        Statistics::Int64(of) => of
            .min_opt()
            .zip(of.max_opt())
            .map(|(a, b)| Values::Ints(*a, *b)),
        Statistics::Boolean(of) => {
            let ends = of.min_opt().zip(of.max_opt());
            ends.map(|(a, b)| Values::Bools(*a, *b))
        }
        Statistics::ByteArray(of) => {
            let ends = of.min_opt().zip(of.max_opt());
            ends.map(|(a, b)| Values::Texts(a.data(), b.data()))
        }
        _ => None,
    };
    Some(Extent {
        values: values.unwrap_or(Values::Unknown),
        has_nulls: nulls != Some(0),
        only_nulls: nulls.is_some() && nulls == u64::try_from(metadata.num_rows()).ok(),
    })
}

impl<'m> Extent<'m> {
    fn of_page(index: &'m ColumnIndexMetaData, page: usize) -> Self {
        let values = match index {
            ColumnIndexMetaData::INT64(of) => {
                let ends = of.min_value(page).zip(of.max_value(page));
                ends.map(|(a, b)| Values::Ints(*a, *b))
            }
            ColumnIndexMetaData::BOOLEAN(of) => {
                let ends = of.min_value(page).zip(of.max_value(page));
                ends.map(|(a, b)| Values::Bools(*a, *b))
            }
            ColumnIndexMetaData::BYTE_ARRAY(of) => {
                let ends = of.min_value(page).zip(of.max_value(page));
                ends.map(|(a, b)| Values::Texts(a, b))
            }
            _ => None,
        };
        Self {
            values: values.unwrap_or(Values::Unknown),
            has_nulls: index.null_count(page) != Some(0),
            only_nulls: index.is_null_page(page),
        }
    }

    /// Whether there may be a value like that.
    fn may_be(&self, bound: &Bound) -> bool {
        if self.only_nulls {
            return false;
        }
        match (bound, &self.values) {
            (Bound::Ints(from, to), Values::Ints(least, most)) => least <= to && most >= from,
            (Bound::Bool(wanted), Values::Bools(least, most)) => least == wanted || most == wanted,
            (Bound::Texts(texts), Values::Texts(least, most)) => {
                let mut texts = texts.iter().map(|text| text.as_bytes());
                texts.any(|text| text >= *least && text <= *most)
            }
            (Bound::Prefix(prefix), Values::Texts(least, most)) => {
                let prefix = prefix.as_bytes();
                let length = prefix.len().min(least.len());
                least.get(..length).is_some_and(|least| least <= prefix) && *most >= prefix
            }
            _ => true,
        }
    }
}
