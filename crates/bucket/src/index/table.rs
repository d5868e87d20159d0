//! Rows as a file of Parquet: row groups of a part each, with statistics, offsets of pages, and bloom filters.

use std::sync::Arc;

use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, DataType, DoubleType, Int64Type};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;

use super::columns::Type;
use super::texts::TextEncoder;
use super::values::{Numbers, Values};
use super::{Error, PAGE_ROWS, footer};

/// Rows of a group, at most: its columns are what is fetched at a time.
const GROUP_ROWS: usize = 64 << 10;
/// Values of a column that are looked at to choose its encoding.
const SAMPLE: usize = 256;

/// The rows of one file.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Heading>,
    pub(super) parts: Vec<Part>,
    /// The column of moments that the rows of a part are sorted by; as they are where there is none.
    pub(super) by: Option<&'static str>,
}

/// What a column is.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    pub(super) name: String,
    pub(super) of: Type,
    /// Whether people look single values up: it has a bloom filter.
    pub(super) looked_up: bool,
}

/// Rows with all columns of the file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) columns: Vec<Column>,
    /// Which row of `shared` each row has, where there is a [`Column::Shared`].
    pub(super) sharers: Vec<u32>,
    pub(super) shared: Arc<Vec<Values>>,
}

/// Where the values of a column are.
#[derive(Clone, Debug)]
pub(super) enum Column {
    Own(Values),
    /// The shared ones with this number.
    Shared(usize),
}

impl Table {
    /// The file; its footer has these keys, and its own checksum.
    pub(super) fn file(&self, footer: Vec<KeyValue>) -> Result<Vec<u8>, Error> {
        let level = ZstdLevel::default();
        let by = self.by.and_then(|by| self.place(by));
        let sorted = by.and_then(|by| {
            Some(vec![SortingColumn {
                column_idx: i32::try_from(by).ok()?,
                descending: false,
                nulls_first: false,
            }])
        });
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(PAGE_ROWS)
            .set_created_by(concat!("gillnet ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_sorting_columns(sorted)
            .set_key_value_metadata(Some(footer));
        for (at, column) in self.columns.iter().enumerate() {
            let path = || ColumnPath::new(vec![column.name.clone()]);
            if column.looked_up && column.of != Type::Text {
                properties = properties.set_column_bloom_filter_enabled(path(), true);
            }
            let samples = self.parts.iter().map(|part| part.sample(at));
            if repeat_rarely(samples.max_by_key(Vec::len).unwrap_or_default()) {
                // a dictionary of values that hardly repeat costs more than it saves
                properties = properties
                    .set_column_dictionary_enabled(path(), false)
                    .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
            }
        }
        // the name of a column, dots and all, is one part of its path
        let fields = self.columns.iter();
        let fields = fields.map(|column| Field::new(&column.name, column.of.arrow(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let schema = ArrowSchemaConverter::new().convert(&schema)?;
        let properties = Arc::new(properties.build());
        let mut file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties)?;
        let mut texts = TextEncoder::new(level)?;
        for part in &self.parts {
            for rows in part.order(by).chunks(GROUP_ROWS) {
                let mut group = file.next_row_group()?;
                for (at, heading) in self.columns.iter().enumerate() {
                    let Some((values, place)) = part.values(at) else {
                        continue;
                    };
                    let places: Vec<_> = rows.iter().map(|row| place(*row)).collect();
                    match values {
                        Values::Int(of) => write::<Int64Type>(of, &places, &mut group)?,
                        Values::Double(of) => write::<DoubleType>(of, &places, &mut group)?,
                        Values::Bool(of) => write::<BoolType>(of, &places, &mut group)?,
                        Values::Text(of) => {
                            let numbers: Vec<_> = places.iter().map(|at| of.rows[*at]).collect();
                            let (column, looked_up) = (schema.column(at), heading.looked_up);
                            let chunk = texts.chunk(&column, &numbers, &of.distinct, looked_up)?;
                            group.append_column(&chunk.bytes, chunk.close)?;
                        }
                    }
                }
                group.close()?;
            }
        }
        let mut file = file.into_inner()?;
        footer::fill_sum(&mut file);
        Ok(file)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

impl Part {
    /// One whose columns share nothing.
    pub(super) fn of(values: Vec<Values>) -> Self {
        Self {
            columns: values.into_iter().map(Column::Own).collect(),
            sharers: Vec::new(),
            shared: Arc::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        let own = self.columns.iter().find_map(|column| match column {
            Column::Own(values) => Some(values.len()),
            _ => None,
        });
        own.unwrap_or_default()
    }

    /// The values of a column, and where that of a row is among them.
    fn values(&self, column: usize) -> Option<(&Values, impl Fn(u32) -> usize)> {
        let (values, is_shared) = match self.columns.get(column)? {
            Column::Own(values) => (values, false),
            Column::Shared(number) => (self.shared.get(*number)?, true),
        };
        let place = move |row: u32| {
            let row = row as usize;
            if is_shared {
                self.sharers[row] as usize
            } else {
                row
            }
        };
        Some((values, place))
    }

    /// Its rows in the file's order.
    fn order(&self, by: Option<usize>) -> Vec<u32> {
        let mut order: Vec<u32> = (0..u32::try_from(self.len()).unwrap_or(u32::MAX)).collect();
        if let Some((Values::Int(times), _)) = by.and_then(|by| self.values(by))
            && !times.values.is_sorted()
        {
            order.sort_by_key(|row| times.values.get(*row as usize));
        }
        order
    }

    /// Some of a column's integers.
    fn sample(&self, column: usize) -> Vec<i64> {
        let Some((Values::Int(numbers), place)) = self.values(column) else {
            return Vec::new();
        };
        let step = (self.len() / SAMPLE).max(1);
        let rows = (0..self.len()).step_by(step);
        let places = rows.filter_map(|row| u32::try_from(row).ok()).map(place);
        let valid = places.filter(|at| numbers.valid[*at]);
        valid.map(|at| numbers.values[at]).collect()
    }
}

/// Writes the values at these places.
fn write<T: DataType>(
    numbers: &Numbers<T::T>,
    places: &[usize],
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
) -> Result<(), Error> {
    let Some(mut out) = group.next_column()? else {
        return Ok(());
    };
    let valid = |at: &usize| numbers.valid[*at];
    let levels: Vec<_> = places.iter().map(|at| i16::from(valid(at))).collect();
    let values = places.iter().filter(|at| valid(at));
    let values: Vec<_> = values.map(|at| numbers.values[*at].clone()).collect();
    out.typed::<T>().write_batch(&values, Some(&levels), None)?;
    Ok(out.close()?)
}

/// Whether more than half of some values differ.
fn repeat_rarely(mut sample: Vec<i64>) -> bool {
    let taken = sample.len();
    sample.sort_unstable();
    sample.dedup();
    taken >= SAMPLE / 2 && sample.len() > taken / 2
}
