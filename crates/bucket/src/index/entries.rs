//! Writing `entries/`.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::{Field, Schema};
use arrow_select::take::take_record_batch;
use gillnet_entry::Entry;
use parquet::file::metadata::SortingColumn;
use parquet::schema::types::ColumnPath;

use super::columns::{BASE, Builder, Own, own};
use super::{Error, Footer, properties, writer};

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
        let mut out = writer(self.rows.schema(), properties, footer.key_values("entries"))?;
        out.write(&self.rows)?;
        Ok(out.into_inner()?)
    }
}
