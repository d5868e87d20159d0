//! A question to one file of the index while it is answered: which rows match, and then what is wanted of these.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use gillnet_entry::{Bump, Origin};
use gillnet_kfl::Tri;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};

use super::aggregate::{Plan, Reading, Scalar, as_dictionaries, only};
use super::columns::BASE;
use super::prune::{Prune, TIME};
use super::query::{Found, Question, is_within};
use super::remote::Remote;
use super::stored::{Batch, KIND, KnownProtocol, NamePool, file_column};
use super::{Batches, Error};

/// Rows that are unpacked at a time.
const ROWS: usize = 8 << 10;

/// A question to a file that is being answered.
pub(super) struct Asking<'q> {
    remote: &'q Remote,
    metadata: ArrowReaderMetadata,
    question: &'q Question<'q>,
    /// `None` where the columns alone do not tell what the filter says.
    columns: Option<Columns>,
    pool: NamePool,
    /// Rows looked at.
    pub(super) rows: u64,
}

/// The columns that tell what a filter says.
struct Columns {
    plan: Plan,
    /// The file with texts as numbers of a dictionary.
    metadata: ArrowReaderMetadata,
}

impl Columns {
    fn new(metadata: &ArrowReaderMetadata, question: &Question<'_>) -> Result<Option<Self>, Error> {
        let Some(plan) = Plan::of_filter(question) else {
            return Ok(None);
        };
        let schema = as_dictionaries(metadata.schema());
        let options = ArrowReaderOptions::new().with_schema(schema);
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)?;
        Ok(Some(Self { plan, metadata }))
    }
}

/// Rows of a group that match or may match.
#[derive(Default)]
struct Matching {
    /// How many were looked at.
    looked: usize,
    /// Which they are in the group.
    rows: Vec<usize>,
    /// What the filter says of each.
    said: Vec<Tri>,
}

impl Matching {
    fn add(&mut self, row: usize, said: Tri) {
        self.rows.push(row);
        self.said.push(said);
    }
}

impl<'q> Asking<'q> {
    /// A question to a file with that footer.
    pub(super) fn new(
        remote: &'q Remote,
        metadata: ArrowReaderMetadata,
        question: &'q Question<'q>,
    ) -> Result<Self, Error> {
        Ok(Self {
            remote,
            columns: Columns::new(&metadata, question)?,
            metadata,
            question,
            pool: NamePool::default(),
            rows: 0,
        })
    }

    /// The columns that a filter reads which asks for all that every entry has, by their places in the file.
    fn tested(&self) -> Vec<usize> {
        self.leaves(&[], |_| true)
    }

    /// The columns that are wanted of an answer.
    fn wanted(&self) -> Vec<usize> {
        let place = ["timestamp", "stream", "index", "transport"];
        let Question { shown, columns, .. } = self.question;
        self.leaves(columns, |name| {
            *shown || place.contains(&name) || KIND.contains(&name)
        })
    }

    /// Those in the file that every entry has and `wanted` wants, with those of the filter and some more.
    fn leaves(&self, more: &[String], wanted: impl Fn(&str) -> bool) -> Vec<usize> {
        let base = BASE.iter().map(|column| column.name);
        let base = base.filter(|name| wanted(name)).map(str::to_owned);
        let asked = self.question.filter.columns().iter();
        let asked = asked.filter_map(|column| file_column(*column, self.question.known));
        let wanted: BTreeSet<String> = base.chain(asked).chain(more.iter().cloned()).collect();
        let columns = self.metadata.parquet_schema().columns().iter().enumerate();
        let leaves = columns.filter(|(_, column)| wanted.contains(column.name()));
        leaves.map(|(at, _)| at).collect()
    }

    /// Reads columns of a row group, at most the rows that are selected.
    fn reader(
        &self,
        metadata: &ArrowReaderMetadata,
        group: usize,
        leaves: &[usize],
        selection: Option<&RowSelection>,
    ) -> Result<Batches, Error> {
        self.remote
            .fetch_all(self.ranges(group, leaves, selection))?;
        let schema = metadata.parquet_schema();
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.remote.clone(),
            metadata.clone(),
        );
        let reader = reader
            .with_row_groups(vec![group])
            .with_projection(ProjectionMask::leaves(schema, leaves.iter().copied()))
            .with_batch_size(ROWS);
        let reader = match selection {
            Some(selection) => reader.with_row_selection(selection.clone()),
            None => reader,
        };
        Batches::of(reader)
    }

    /// The bytes that are read for that.
    fn ranges(
        &self,
        group: usize,
        leaves: &[usize],
        selection: Option<&RowSelection>,
    ) -> Vec<Range<u64>> {
        let metadata = self.metadata.metadata();
        let of_group = metadata.row_group(group);
        let pages = metadata.page_index_for_row_group(group);
        let ranges = leaves.iter().flat_map(|at| {
            let (start, length) = of_group.column(*at).byte_range();
            let pages = pages.offset_index(*at).map(|index| index.page_locations());
            match (
                selection,
                pages.and_then(|pages| Some((pages, pages.first()?))),
            ) {
                (Some(selection), Some((pages, first))) => {
                    let first = u64::try_from(first.offset).unwrap_or(start);
                    let mut ranges = selection.scan_ranges(pages);
                    // a dictionary stands before the pages
                    if first > start && !ranges.is_empty() {
                        ranges.push(start..first);
                    }
                    ranges
                }
                _ => std::iter::once(start..start + length).collect(),
            }
        });
        ranges.collect()
    }

    /// The rows of a group that match or may match.
    fn matching(&mut self, group: usize) -> Result<Matching, Error> {
        let footer = Prune {
            metadata: self.metadata.metadata(),
            remote: self.remote,
        };
        let selection = footer.rows(group, self.question);
        let all = usize::try_from(footer.metadata.row_group(group).num_rows()).unwrap_or(0);
        let numbers = numbers(selection.as_ref(), all);
        let found = match &self.columns {
            Some(columns) => self.by_columns(columns, group, selection.as_ref(), numbers),
            None => self.by_rows(group, selection.as_ref(), numbers),
        }?;
        self.rows += found.looked as u64;
        Ok(found)
    }

    /// The same by the filter's columns alone: those of a single value are not read.
    fn by_columns(
        &self,
        Columns { plan, metadata }: &Columns,
        group: usize,
        selection: Option<&RowSelection>,
        mut numbers: impl Iterator<Item = usize>,
    ) -> Result<Matching, Error> {
        let footer = Prune {
            metadata: metadata.metadata(),
            remote: self.remote,
        };
        let (of_group, times) = (footer.metadata.row_group(group), footer.times(group));
        let mut reading = Reading::new(plan, self.question, of_group, times, metadata.schema());
        let leaves: Vec<usize> = reading.leaves().collect();
        let mut found = Matching::default();
        let mut take = |batch: Option<&RecordBatch>, numbers: &[usize]| {
            found.looked += numbers.len();
            reading.select(batch, numbers.len(), &mut |row, said| {
                if let Some(number) = numbers.get(row as usize) {
                    found.add(*number, said);
                }
            });
        };
        if leaves.is_empty() {
            take(None, &numbers.collect::<Vec<_>>());
            return Ok(found);
        }
        for batch in self.reader(metadata, group, &leaves, selection)? {
            let batch = batch?;
            let numbers: Vec<usize> = numbers.by_ref().take(batch.num_rows()).collect();
            take(Some(&batch), &numbers);
        }
        Ok(found)
    }

    /// The same by entries that are made of the rows.
    fn by_rows(
        &mut self,
        group: usize,
        selection: Option<&RowSelection>,
        mut numbers: impl Iterator<Item = usize>,
    ) -> Result<Matching, Error> {
        let (filter, origin) = (self.question.filter, self.question.origin);
        let reader = self.reader(&self.metadata, group, &self.tested(), selection)?;
        let mut found = Matching::default();
        let mut arena = Bump::new();
        for rows in reader {
            let batch = Arc::new(Batch::new(&rows?, &HashMap::new(), self.question.known));
            for row in 0..batch.len() {
                found.looked += 1;
                let number = numbers.next().unwrap_or(usize::MAX);
                if !is_within(batch.time(row), self.question.within) {
                    continue;
                }
                arena.reset();
                let said = batch.with(row, origin, &mut self.pool, &arena, |entry| {
                    let asked = batch.asked(row, entry, &arena);
                    asked.map_or(Tri::No, |asked| filter.test(&asked, &arena))
                });
                match said {
                    None | Some(Tri::No) => {}
                    Some(said) => found.add(number, said),
                }
            }
        }
        Ok(found)
    }

    /// All answers, without what only shows them.
    pub(super) fn count(
        &mut self,
        groups: &[(i64, usize)],
        each: &mut dyn FnMut(&Found<'_>) -> bool,
    ) -> Result<(), Error> {
        let mut arena = Bump::new();
        for (_, group) in groups {
            let mut answers = self.answers(*group)?;
            while let Some(at_hand) = &mut answers {
                arena.reset();
                let origin = self.question.origin;
                if !at_hand.show(origin, &mut self.pool, &arena, each) {
                    return Ok(());
                }
                if !at_hand.advance(self.question.known)? {
                    answers = None;
                }
            }
            self.remote.forget();
        }
        Ok(())
    }

    /// All answers in the order of time, from the groups of several protocols side by side.
    pub(super) fn show(
        &mut self,
        groups: &[(i64, usize)],
        each: &mut dyn FnMut(&Found<'_>) -> bool,
    ) -> Result<(), Error> {
        let mut waiting = groups.iter().peekable();
        let mut open: Vec<Answers> = Vec::new();
        let mut arena = Bump::new();
        loop {
            let mut next = (0..open.len()).min_by_key(|at| open.get(*at).map(Answers::time));
            let time = next.and_then(|at| Some(open.get(at)?.time()));
            if let Some((_, group)) =
                waiting.next_if(|(first, _)| time.is_none_or(|time| *first <= time))
            {
                open.extend(self.answers(*group)?);
                continue;
            }
            let Some(answers) = next.take().and_then(|at| open.get_mut(at)) else {
                return Ok(());
            };
            arena.reset();
            let origin = self.question.origin;
            if !answers.show(origin, &mut self.pool, &arena, each) {
                return Ok(());
            }
            if !answers.advance(self.question.known)? {
                open.retain(|answers| answers.at < answers.matches.len());
                if open.is_empty() {
                    self.remote.forget();
                }
            }
        }
    }

    /// The answers in a group; nothing where it has none.
    fn answers(&mut self, group: usize) -> Result<Option<Answers>, Error> {
        let Matching { rows, said, .. } = self.matching(group)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let metadata = self.metadata.metadata().row_group(group);
        let all = usize::try_from(metadata.num_rows()).unwrap_or(0);
        let ranges = rows.chunk_by(|a, b| a + 1 == *b);
        let ranges = ranges.filter_map(|run| Some(*run.first()?..*run.last()? + 1));
        let selection = RowSelection::from_consecutive_ranges(ranges, all);
        let selection = (rows.len() < all).then_some(selection);
        let (mut same, mut leaves) = (HashMap::new(), Vec::new());
        for leaf in self.wanted() {
            let field = self.metadata.schema().fields().get(leaf);
            // of the times it is seen how many rows there are
            let field = field.filter(|field| field.name() != TIME);
            match field.and_then(|field| only(metadata, leaf, Some(field.data_type()))) {
                Some(value) => same.extend(field.map(|field| (field.name().clone(), value))),
                None => leaves.push(leaf),
            }
        }
        let reader = self.reader(&self.metadata, group, &leaves, selection.as_ref())?;
        let mut answers = Answers {
            reader,
            same,
            matches: said,
            at: 0,
            batch: Arc::new(Batch::default()),
            row: 0,
        };
        let some = answers.fill(self.question.known)?;
        Ok(some.then_some(answers))
    }
}

/// The rows of a selection by their numbers.
fn numbers(selection: Option<&RowSelection>, rows: usize) -> impl Iterator<Item = usize> {
    let mut at = 0;
    let selected = selection.map(|selection| {
        let runs = selection.iter().map(|run| {
            let start = at;
            at += run.row_count;
            if run.skip { start..start } else { start..at }
        });
        runs.collect::<Vec<_>>()
    });
    let all = std::iter::once(0..rows);
    let runs = selected.unwrap_or_else(|| all.collect());
    runs.into_iter().flatten()
}

/// The answers of a row group, a batch of them at hand.
struct Answers {
    reader: Batches,
    /// Columns that have the same value in each row.
    same: HashMap<String, Scalar>,
    /// What the filter says of each.
    matches: Vec<Tri>,
    at: usize,
    batch: Arc<Batch>,
    row: usize,
}

impl Answers {
    fn time(&self) -> i64 {
        self.batch.time(self.row)
    }

    /// Shows the one at hand; whether to go on.
    fn show(
        &self,
        origin: &Origin,
        pool: &mut NamePool,
        arena: &Bump,
        each: &mut dyn FnMut(&Found<'_>) -> bool,
    ) -> bool {
        let (stream, index) = self.batch.place(self.row);
        let matches = self.matches.get(self.at).copied().unwrap_or(Tri::Unknown);
        let goes_on = self.batch.with(self.row, origin, pool, arena, |entry| {
            each(&Found {
                stream,
                index,
                matches,
                entry,
            })
        });
        goes_on != Some(false)
    }

    /// Goes on to the next; `false` where there is none.
    fn advance(&mut self, known: &[KnownProtocol]) -> Result<bool, Error> {
        self.at += 1;
        self.row += 1;
        let some = self.row < self.batch.len() || self.fill(known)?;
        if !some {
            self.at = self.matches.len();
        }
        Ok(some)
    }

    fn fill(&mut self, known: &[KnownProtocol]) -> Result<bool, Error> {
        self.row = 0;
        match self.reader.next() {
            Some(rows) => {
                self.batch = Arc::new(Batch::new(&rows?, &self.same, known));
                Ok(self.batch.len() > 0)
            }
            None => Ok(false),
        }
    }
}
