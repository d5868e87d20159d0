//! Aggregation of an index file by its columns.
//!
//! Of each group of rows the columns that are asked for are read, and no other: one that has a single value, by its
//! statistics, is not read either. The filter is asked once for each combination of the values that it reads, and a group
//! is looked up once for each combination of the values that it is made of; a row is some numbers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use arrow_schema::{DataType, Schema, SchemaRef};
use gillnet_kfl::Tri;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::super::columns::BASE;
use super::super::prune::Prune;
use super::super::query::{Cost, EntriesFile, Question};
use super::super::stored::KIND;
use super::super::{Batches, Error, KnownProtocol};
use super::group::Reading;
use super::key::Of;
use super::plan::Plan;
use super::{Aggregation, Table};
use crate::lock;

/// Rows that are unpacked at a time.
const ROWS: usize = 8 << 10;

/// Entries that were counted already, where the files of several rules may have the same: stream, whether it is UDP, and
/// position.
pub type Seen = Mutex<HashSet<(u64, bool, u32)>>;

impl EntriesFile {
    /// Whether it has all columns that entries are grouped by and that are measured.
    #[must_use]
    pub fn has(&self, of: &Aggregation, known: &[KnownProtocol]) -> bool {
        let plan = Plan::new(self.metadata.schema(), of, true);
        let there = |name: &String| self.metadata.schema().column_with_name(name).is_some();
        let base = plan.columns.iter().filter(|name| is_base(name));
        let own = of.by.iter().all(|key| match &key.of {
            Of::Own(each) => each
                .iter()
                .all(|(number, own)| there(&own.name) || !self.has_rows_of(*number, known)),
            _ => true,
        });
        own && { base }.all(there)
    }

    /// Whether some column of a protocol is there.
    fn has_rows_of(&self, number: u8, known: &[KnownProtocol]) -> bool {
        let known = known.iter().find(|known| known.number == number);
        known.is_some_and(|known| {
            let prefix = format!("{}.", known.schema.name);
            let mut fields = self.metadata.schema().fields().iter();
            fields
                .any(|field| field.name().starts_with(&prefix) && !KIND.contains(&&**field.name()))
        })
    }

    /// Adds up the rows that match, but for those that were seen before; `goes_on` is asked now and then whether the answer
    /// is still wanted.
    ///
    /// # Errors
    /// Where the file can't be read to its end.
    pub fn aggregate(
        &self,
        question: &Question<'_>,
        of: &Arc<Aggregation>,
        seen: Option<&Seen>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(Table, Cost), Error> {
        let mut table = Table::new(Arc::clone(of));
        let mut plan = Plan::new(self.metadata.schema(), of, seen.is_some());
        if !of.is_columnar() || !plan.take_filter(question) {
            let cost = self.by_entries(question, &mut table, seen, goes_on)?;
            return Ok((table, cost));
        }
        let mut cost = Cost::default();
        let schema = as_dictionaries(self.metadata.schema());
        let options = ArrowReaderOptions::new().with_schema(schema);
        let metadata = Arc::clone(self.metadata.metadata());
        let metadata = ArrowReaderMetadata::try_new(metadata, options)?;
        let footer = Prune {
            metadata: self.metadata.metadata(),
            remote: &self.remote,
        };
        for (number, group) in footer.metadata.row_groups().iter().enumerate() {
            if !goes_on() {
                break;
            }
            if footer.may_match(number, question)? {
                cost.rows += u64::try_from(group.num_rows()).unwrap_or(0);
                let times = footer.times(number);
                let mut reading = Reading::new(&plan, question, group, times, metadata.schema());
                self.read(number, &metadata, &mut reading, &mut table, seen)?;
            }
            self.remote.forget();
        }
        cost.bytes = self.remote.bytes();
        Ok((table, cost))
    }

    /// The same by entries made of the rows, where the columns alone are not enough.
    fn by_entries(
        &self,
        question: &Question<'_>,
        table: &mut Table,
        seen: Option<&Seen>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Cost, Error> {
        let whole = Question {
            shown: true,
            ..*question
        };
        self.ask(&whole, &mut |found| {
            let place = (found.stream.number, found.stream.udp, found.index);
            if found.matches == Tri::Yes && seen.is_none_or(|seen| lock(seen).insert(place)) {
                table.entry(found.entry);
            }
            goes_on()
        })
    }

    fn read(
        &self,
        number: usize,
        metadata: &ArrowReaderMetadata,
        reading: &mut Reading<'_>,
        table: &mut Table,
        seen: Option<&Seen>,
    ) -> Result<(), Error> {
        let group = metadata.metadata().row_group(number);
        let leaves: Vec<usize> = reading.leaves().collect();
        if leaves.is_empty() {
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            reading.take(None, rows, table, seen);
            return Ok(());
        }
        let ranges = leaves.iter().map(|at| {
            let (start, length) = group.column(*at).byte_range();
            start..start + length
        });
        self.remote.fetch_all(ranges.collect())?;
        let schema = metadata.parquet_schema();
        let mask = ProjectionMask::leaves(schema, leaves.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.remote.clone(),
            metadata.clone(),
        );
        let reader = reader
            .with_row_groups(vec![number])
            .with_projection(mask)
            .with_batch_size(ROWS);
        for batch in Batches::of(reader)? {
            let batch = batch?;
            reading.take(Some(&batch), batch.num_rows(), table, seen);
        }
        Ok(())
    }
}

fn is_base(name: &str) -> bool {
    BASE.iter().any(|base| base.name == name)
}

/// The same columns with texts as numbers of a dictionary, as they are in the file.
pub(in super::super) fn as_dictionaries(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => {
            let of = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(of))
        }
        _ => Arc::clone(field),
    });
    let fields: Vec<_> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}
