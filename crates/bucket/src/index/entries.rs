//! Writing `entries/`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{RecordBatch, UInt32Array, new_null_array};
use arrow_schema::{Field, FieldRef, Schema};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use gillnet_entry::Entry;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::SortingColumn;
use parquet::schema::types::ColumnPath;

use super::columns::{BASE, Builder, Own, own};
use super::{Error, Footer, FooterOf, Remote, file, properties};
use crate::Bucket;

/// Which of a protocol's columns people look single values up in, by the ends of their names.
const LOOKED_UP: [&str; 3] = [".path", ".url", ".name"];

/// The rows of one file, as they come.
pub struct EntriesWriter {
    base: Vec<Builder>,
    /// Those that occurred so far, in the order of their first entries.
    protocols: Vec<Protocol>,
    ts: Vec<i64>,
}

struct Protocol {
    /// Its place in the registry.
    number: u8,
    columns: Vec<(Own, Builder)>,
    /// How many rows its columns have: those behind are null.
    rows: usize,
}

impl Default for EntriesWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for EntriesWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntriesWriter")
            .field("rows", &self.ts.len())
            .finish_non_exhaustive()
    }
}

impl EntriesWriter {
    /// No rows yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            base: BASE.iter().map(|column| Builder::new(column.of)).collect(),
            protocols: Vec::new(),
            ts: Vec::new(),
        }
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &Entry<'_>) {
        let row = self.ts.len();
        for (column, builder) in BASE.iter().zip(&mut self.base) {
            builder.append((column.get)(entry));
        }
        let protocol = self.protocol(entry);
        for (column, builder) in &mut protocol.columns {
            builder.append_nulls(row - protocol.rows);
            builder.append(entry.own(column.field));
        }
        protocol.rows = row + 1;
        self.ts.push(entry.common.ts);
    }

    fn protocol(&mut self, entry: &Entry<'_>) -> &mut Protocol {
        let at = self
            .protocols
            .iter()
            .position(|known| known.number == entry.protocol);
        let at = at.unwrap_or_else(|| {
            let columns = own(entry.record.schema());
            self.protocols.push(Protocol {
                number: entry.protocol,
                columns: columns
                    .map(|own| {
                        let of = own.of;
                        (own, Builder::new(of))
                    })
                    .collect(),
                rows: 0,
            });
            self.protocols.len() - 1
        });
        &mut self.protocols[at]
    }

    /// All rows, in the order of time.
    ///
    /// # Errors
    /// Those of Arrow; there are none that depend on what was added.
    pub fn finish(mut self) -> Result<Entries, Error> {
        let rows = self.ts.len();
        let (mut fields, mut arrays, mut looked_up) = (Vec::new(), Vec::new(), Vec::new());
        for (column, builder) in BASE.iter().zip(&mut self.base) {
            fields.push(Field::new(column.name, column.of.arrow(), true));
            arrays.push(builder.finish());
            if column.looked_up {
                looked_up.push(column.name.to_owned());
            }
        }
        // whichever came first, a file's columns have the same order
        self.protocols.sort_by_key(|protocol| protocol.number);
        for protocol in &mut self.protocols {
            for (column, builder) in &mut protocol.columns {
                builder.append_nulls(rows - protocol.rows);
                fields.push(Field::new(&column.name, column.of.arrow(), true));
                arrays.push(builder.finish());
                if LOOKED_UP.iter().any(|end| column.name.ends_with(end)) {
                    looked_up.push(column.name.clone());
                }
            }
        }
        let mut rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        if !self.ts.is_sorted() {
            let mut order: Vec<u32> =
                (0..u32::try_from(self.ts.len()).unwrap_or(u32::MAX)).collect();
            order.sort_by_key(|row| self.ts.get(*row as usize));
            rows = take_record_batch(&rows, &UInt32Array::from(order))?;
        }
        Ok(Entries { rows, looked_up })
    }
}

/// All rows of a file, and what its footer says.
///
/// # Errors
/// Where the file can't be read.
pub(crate) fn read_entries(
    bucket: &Arc<dyn Bucket>,
    key: &str,
    size: u64,
) -> Result<(Vec<RecordBatch>, FooterOf), Error> {
    let remote = Remote::open(bucket, key, size)?;
    let metadata = ArrowReaderMetadata::load(&remote, ArrowReaderOptions::new())?;
    let footer = FooterOf::read(&metadata)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(remote, metadata);
    let mut batches = vec![RecordBatch::new_empty(reader.schema().clone())];
    for rows in reader.build()? {
        batches.push(rows?);
    }
    Ok((batches, footer))
}

/// The rows of one file.
#[derive(Clone, Debug)]
pub struct Entries {
    rows: RecordBatch,
    looked_up: Vec<String>,
}

impl Default for Entries {
    /// No rows.
    fn default() -> Self {
        let fields = BASE
            .iter()
            .map(|column| Field::new(column.name, column.of.arrow(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        Self {
            rows: RecordBatch::new_empty(Arc::new(schema)),
            looked_up: Vec::new(),
        }
    }
}

impl Entries {
    /// The rows of several files, in the order of time. A column that one of them lacks is null there.
    ///
    /// # Errors
    /// Where a column has another type in another file, or is not one of ours.
    pub(crate) fn merge(files: &[RecordBatch]) -> Result<Self, Error> {
        let mut fields: Vec<FieldRef> = Vec::new();
        for schema in files.iter().map(RecordBatch::schema) {
            let mut behind = 0;
            for field in schema.fields() {
                match fields.iter().position(|known| known.name() == field.name()) {
                    Some(at) => behind = at + 1,
                    None => {
                        fields.insert(
                            behind,
                            Arc::new(Field::new(field.name(), field.data_type().clone(), true)),
                        );
                        behind += 1;
                    }
                }
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let mut all = Vec::new();
        for rows in files {
            let column = |field: &FieldRef| match rows.column_by_name(field.name()) {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), rows.num_rows()),
            };
            let columns = schema.fields().iter().map(column).collect();
            all.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
        }
        let mut rows = concat_batches(&schema, &all)?;
        drop(all);
        let times = rows.column_by_name("timestamp").and_then(|column| {
            let column = column.as_primitive_opt::<TimestampNanosecondType>()?;
            Some(column.values().to_vec())
        });
        let times = times.ok_or_else(|| Error::Damaged("it has no times".to_owned()))?;
        if !times.is_sorted() {
            let mut order: Vec<u32> = (0..u32::try_from(times.len()).unwrap_or(u32::MAX)).collect();
            order.sort_by_key(|row| times.get(*row as usize));
            rows = take_record_batch(&rows, &UInt32Array::from(order))?;
        }
        let base = |name: &str| BASE.iter().find(|column| column.name == name);
        let names = schema.fields().iter().map(|field| field.name().clone());
        let looked_up = names.filter(|name| match base(name) {
            Some(column) => column.looked_up,
            None => LOOKED_UP.iter().any(|end| name.ends_with(end)),
        });
        Ok(Self {
            rows,
            looked_up: looked_up.collect(),
        })
    }

    /// The file.
    ///
    /// # Errors
    /// Those of Parquet.
    pub fn file(&self, footer: &Footer<'_>) -> Result<Vec<u8>, Error> {
        let by_time = SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        };
        let mut properties = properties().set_sorting_columns(Some(vec![by_time]));
        for name in &self.looked_up {
            // the name of a column, dots and all, is one part of its path
            let path = ColumnPath::new(vec![name.clone()]);
            properties = properties.set_column_bloom_filter_enabled(path, true);
        }
        file(&self.rows, properties, footer.key_values("entries"))
    }
}
