//! Rows as a file of Parquet: row groups of a part each, with statistics, offsets of pages, and bloom filters.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::DoubleType;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnDescPtr, ColumnPath};

use super::chunks::{ColumnChunk, Encoder};
use super::columns::Type;
use super::dictionary::{Bools, Ids, Ints, Nothing, Numbering, Texts};
use super::packed::{Cells, Nulls};
use super::values::{Columns, Distinct, Kept, NONE, Values};
use super::{Error, PAGE_ROWS, footer};

/// Rows of a group, at most: its columns are what is fetched at a time.
const GROUP_ROWS: usize = 64 << 10;
/// Rows stand near each other where so many times as many are between the first and the last.
const NEAR: usize = 4;
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
    pub(super) own: Columns,
    /// Which row of `shared` each row has, where there is a [`Column::Shared`].
    pub(super) sharers: Vec<u32>,
    pub(super) shared: Arc<Columns>,
}

/// Where the values of a column are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// Those of [`Part::own`] with this number.
    Own(usize),
    /// Those of [`Part::shared`] with this number.
    Shared(usize),
    /// There is none.
    Null,
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
        for column in &self.columns {
            if column.looked_up {
                let path = ColumnPath::new(vec![column.name.clone()]);
                properties = properties.set_column_bloom_filter_enabled(path, true);
            }
        }
        // the name of a column, dots and all, is one part of its path
        let fields = self.columns.iter();
        let fields = fields.map(|column| Field::new(&column.name, column.of.arrow(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let schema = ArrowSchemaConverter::new().convert(&schema)?;
        let properties = Arc::new(properties.build());
        let mut file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties)?;
        let mut columns = ColumnWriter::new(level)?;
        for part in &self.parts {
            for rows in part.order(by).chunks(GROUP_ROWS) {
                let rows = Rows::new(part, rows);
                let mut group = file.next_row_group()?;
                let mut written = Vec::new();
                for (at, heading) in self.columns.iter().enumerate() {
                    columns.write(
                        &schema.column(at),
                        heading,
                        part.column(at),
                        &rows,
                        &mut group,
                        &mut written,
                    )?;
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
    pub(super) fn of(own: Columns) -> Self {
        Self {
            columns: (0..own.values.len()).map(Column::Own).collect(),
            own,
            sharers: Vec::new(),
            shared: Arc::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.own.len()
    }

    /// The values of a column, the texts that they are, and whether several rows share one; `None` where all are null.
    fn column(&self, column: usize) -> Option<(&Values, &Distinct, bool)> {
        let (of, number, is_shared) = match self.columns.get(column)? {
            Column::Own(number) => (&self.own, *number, false),
            Column::Shared(number) => (&*self.shared, *number, true),
            Column::Null => return None,
        };
        Some((of.values.get(number)?, &of.texts, is_shared))
    }

    /// Its rows in the file's order.
    fn order(&self, by: Option<usize>) -> Vec<u32> {
        let mut order: Vec<u32> = (0..u32::try_from(self.len()).unwrap_or(u32::MAX)).collect();
        if let Some((times, ..)) = by.and_then(|by| self.column(by)) {
            let mut of_row = Cells::default();
            times.cells.read(0..self.len(), &mut of_row);
            if !of_row.iter().is_sorted() {
                order.sort_by_key(|row| of_row.get(*row as usize));
            }
        }
        order
    }
}

/// Rows of a part, in the order in which they are written.
struct Rows<'p> {
    /// Where they stand.
    places: &'p [u32],
    /// The least of these and what is above all, where they stand near each other: it is cheaper to read all between.
    between: Option<Range<usize>>,
    /// They stand one behind the other.
    in_order: bool,
    /// The row of the shared columns that each has.
    sharers: Vec<u32>,
    /// The same, each once.
    shared: Vec<u32>,
}

impl<'p> Rows<'p> {
    fn new(part: &Part, places: &'p [u32]) -> Self {
        let sharers = if part.sharers.is_empty() {
            Vec::new()
        } else {
            let sharers = places.iter().map(|row| part.sharers[*row as usize]);
            sharers.collect()
        };
        let mut is_seen = vec![false; part.shared.len()];
        let first = |of: &&u32| !std::mem::replace(&mut is_seen[**of as usize], true);
        let least = places.iter().min().map_or(0, |least| *least as usize);
        let above = places.iter().max().map_or(0, |most| *most as usize + 1);
        Self {
            places,
            between: Some(least..above).filter(|all| all.len() <= NEAR * places.len()),
            in_order: places.windows(2).all(|two| two[0] + 1 == two[1]),
            shared: sharers.iter().filter(first).copied().collect(),
            sharers,
        }
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    /// Of a column's values, those of these rows, or of what these share, each once; one, where all have the same.
    fn of(&self, values: &Values, is_shared: bool, out: &mut Cells, all: &mut Cells) {
        match values.cells.same() {
            Some(same) => {
                out.clear();
                out.push(same);
            }
            None if is_shared => pick(values, &self.shared, out),
            None => self.each(values, false, out, all),
        }
    }

    /// Of a column's values, those of these rows.
    fn each(&self, values: &Values, is_shared: bool, out: &mut Cells, all: &mut Cells) {
        match &self.between {
            _ if is_shared => pick(values, &self.sharers, out),
            Some(between) if self.in_order => {
                out.clear();
                values.cells.read(between.clone(), out);
            }
            Some(between) => {
                all.clear();
                values.cells.read(between.clone(), all);
                let rows = self.places.iter().map(|row| *row as usize - between.start);
                out.pick(all, rows);
            }
            None => pick(values, self.places, out),
        }
    }
}

/// The values of some rows.
fn pick(values: &Values, rows: &[u32], out: &mut Cells) {
    out.clear();
    for row in rows {
        out.push(values.cells.get(*row as usize));
    }
}

/// Writes column chunks.
struct ColumnWriter {
    encoder: Encoder,
    numbering: Numbering,
    /// The places of rows' values in the dictionary of a chunk.
    ids: Vec<u32>,
    /// The same, of what rows share.
    of_shared: Vec<u32>,
    ints: Vec<i64>,
    /// The numbers of the texts of a chunk.
    numbers: Vec<u32>,
    /// Values of a column.
    cells: Cells,
    /// The same with those of rows between.
    all: Cells,
}

type Group<'w> = SerializedRowGroupWriter<'w, Vec<u8>>;

/// A column chunk of a row group, the values that it has, and whether rows share them.
type Known<'p> = (&'p Values, bool, ColumnChunk);

impl ColumnWriter {
    fn new(level: ZstdLevel) -> Result<Self, Error> {
        Ok(Self {
            encoder: Encoder::new(level)?,
            numbering: Numbering::default(),
            ids: Vec::new(),
            of_shared: Vec::new(),
            ints: Vec::new(),
            numbers: Vec::new(),
            cells: Cells::default(),
            all: Cells::default(),
        })
    }

    /// Writes the next column of a group; `known`: chunks of those before.
    fn write<'p>(
        &mut self,
        column: &ColumnDescPtr,
        Heading { looked_up, .. }: &Heading,
        values: Option<(&'p Values, &Distinct, bool)>,
        rows: &Rows<'_>,
        group: &mut Group<'_>,
        known: &mut Vec<Known<'p>>,
    ) -> Result<(), Error> {
        let is_null = values.is_none_or(|(values, ..)| values.cells.same() == Some(None));
        let Some((values, distinct, is_shared)) = values.filter(|_| !is_null) else {
            let nothing = Nothing(column.physical_type());
            let nulls = Ids::Same(NONE, rows.len());
            let chunk = self.encoder.chunk(column, nulls, &nothing, *looked_up)?;
            return Ok(group.append_column(&chunk.bytes, chunk.close)?);
        };
        // a URL is the target and the summary, too: what is the same is encoded once
        for (other, shared, chunk) in &*known {
            if *shared == is_shared
                && (std::ptr::eq(*other, values) || *other == values)
                && let Some(twin) = chunk.of_twin(column, *looked_up)?
            {
                return Ok(group.append_column(&twin.bytes, twin.close)?);
            }
        }
        let (cells, all) = (&mut self.cells, &mut self.all);
        let chunk = match values.of {
            Kept::Text => {
                rows.of(values, is_shared, cells, all);
                let (ids, numbers) = (&mut self.ids, &mut self.numbers);
                self.numbering.texts(cells, distinct, ids, numbers);
                let texts = Texts(numbers, distinct);
                let ids = (ids, cells.nulls());
                let ids = each(ids, &mut self.of_shared, rows, is_shared);
                self.encoder.chunk(column, ids, &texts, *looked_up)?
            }
            Kept::Int => {
                rows.of(values, is_shared, cells, all);
                let (ids, ints) = (&mut self.ids, &mut self.ints);
                if !is_shared && hardly_repeat(cells) {
                    Numbering::each(cells, ids, ints);
                } else {
                    self.numbering.ints(cells, ids, ints);
                }
                let ids = (ids, cells.nulls());
                let ids = each(ids, &mut self.of_shared, rows, is_shared);
                self.encoder
                    .chunk(column, ids, &Ints(&self.ints), *looked_up)?
            }
            Kept::Double => {
                rows.each(values, is_shared, cells, all);
                return write_doubles(cells, group);
            }
            Kept::Bool => {
                rows.of(values, is_shared, cells, all);
                cells.map_into(&mut self.ids, |is| is.map_or(NONE, |is| u32::from(is != 0)));
                let ids = (&mut self.ids, cells.nulls());
                let ids = each(ids, &mut self.of_shared, rows, is_shared);
                self.encoder.chunk(column, ids, &Bools, *looked_up)?
            }
        };
        known.push((values, is_shared, chunk.clone()));
        Ok(group.append_column(&chunk.bytes, chunk.close)?)
    }
}

/// The value's place of each row, where `ids` has it of each row or of each thing that is shared.
fn each<'i>(
    (ids, nulls): (&'i mut Vec<u32>, Nulls),
    of_shared: &mut Vec<u32>,
    rows: &Rows<'_>,
    is_shared: bool,
) -> Ids<'i> {
    if let [first, rest @ ..] = &ids[..]
        && rest.iter().all(|id| id == first)
    {
        return Ids::Same(*first, rows.len());
    }
    if is_shared {
        let all = rows
            .shared
            .iter()
            .max()
            .map_or(0, |last| *last as usize + 1);
        of_shared.resize(all, NONE);
        for (of, id) in rows.shared.iter().zip(&*ids) {
            of_shared[*of as usize] = *id;
        }
        ids.clear();
        ids.extend(rows.sharers.iter().map(|of| of_shared[*of as usize]));
    }
    Ids::Each(ids, nulls)
}

/// Writes numbers as the crate does: hardly a column has any.
fn write_doubles(cells: &Cells, group: &mut Group<'_>) -> Result<(), Error> {
    let Some(mut out) = group.next_column()? else {
        return Ok(());
    };
    let levels: Vec<_> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    let double = |bits: i64| f64::from_bits(bits.cast_unsigned());
    let values: Vec<_> = cells.filled().map(double).collect();
    out.typed::<DoubleType>()
        .write_batch(&values, Some(&levels), None)?;
    Ok(out.close()?)
}

/// Whether more than half of some integers differ.
fn hardly_repeat(ints: &Cells) -> bool {
    let step = (ints.len() / SAMPLE).max(1);
    let some = (0..ints.len()).step_by(step);
    let mut some: Vec<_> = some.filter_map(|row| ints.get(row)).collect();
    let taken = some.len();
    some.sort_unstable();
    some.dedup();
    taken >= SAMPLE / 2 && some.len() > taken / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use bytes::Bytes;
    use gillnet_entry::{Value, show_value};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use crate::index::values::RowWriter;

    type Rows = Vec<[Option<i64>; 4]>;

    /// Rows as a file, and what another reader reads there.
    fn written_and_read(rows: &Rows) -> Rows {
        let mut writer = RowWriter::new([Type::Int; 4].into_iter());
        for row in rows {
            writer.begin_row();
            let mut to = writer.from(0);
            for value in row {
                show_value(&mut to, value.map_or(Value::Missing, Value::Int));
            }
        }
        let columns = (0..4).map(|number| Heading {
            name: number.to_string(),
            of: Type::Int,
            looked_up: number == 0,
        });
        let table = Table {
            columns: columns.collect(),
            parts: vec![Part::of(writer.finish())],
            by: None,
        };
        let file = Bytes::from(table.file(Vec::new()).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let mut read = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            for row in 0..batch.num_rows() {
                read.push(std::array::from_fn(|column| {
                    let column = batch.column(column).as_primitive::<Int64Type>();
                    column.iter().nth(row).unwrap()
                }));
            }
        }
        read
    }

    #[test]
    fn integers_are_read_as_they_were() {
        const GROUP: i64 = GROUP_ROWS as i64;
        let by_row: [fn(i64) -> Option<i64>; 12] = [
            |row| Some(row * 1_000 + row % 7),
            |row| Some(-row),
            |row| (row % 3 > 0).then_some(row * row),
            |row| {
                Some(if row % 2 == 0 {
                    i64::MIN + row
                } else {
                    i64::MAX - row
                })
            },
            |row| Some(row.wrapping_mul(0x5851_f42d_4c95_7f2d)),
            |row| Some(row % 5),
            |row| (row % 2 == 0).then_some(7),
            |_| None,
            // none, or always the same, in a whole row group
            |row| (row < GROUP).then_some(row),
            |row| (row >= GROUP).then_some(row),
            |row| (row < 9).then_some(row % 3),
            |row| Some(if row < GROUP { 7 } else { row }),
        ];
        for len in [0, 1, 127, 128, 129, 300, 1_025, 5_000, GROUP + 300] {
            for four in by_row.chunks(4) {
                let row = |row| std::array::from_fn(|column| four[column](row));
                let rows: Rows = (0..len).map(row).collect();
                assert!(written_and_read(&rows) == rows, "{len}");
            }
        }
    }
}
