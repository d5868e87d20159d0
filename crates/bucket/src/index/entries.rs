//! Writing `entries/`.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt32Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, UInt32Array, new_null_array};
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::{take, take_record_batch};
use foldhash::fast::RandomState;
use gillnet_entry::{End, Entry, Name, ProtocolInfo, Transport};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Encoding;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;

use super::columns::{BASE, Base, Builder, Own, own};
use super::{Error, Footer, FooterOf, Remote, file, properties};
use crate::Bucket;

/// Which of a protocol's columns people look single values up in, by the ends of their names.
const LOOKED_UP: [&str; 3] = [".path", ".url", ".name"];
/// Values of a column that are looked at to choose its encoding.
const SAMPLE: usize = 256;

/// The rows of one file, as they come.
#[derive(Default)]
pub struct EntriesWriter {
    protocols: Vec<Protocol>,
    parties: Parties,
}

/// The rows of a protocol.
struct Protocol {
    /// Its place in the registry.
    number: u8,
    ts: Vec<i64>,
    /// Which of the parties each row has.
    parties: Vec<u32>,
    /// Columns that every entry has, but for those that are shared.
    base: Vec<Builder>,
    own: Vec<(Own, Builder)>,
}

/// Who speaks, and how: each once, since many entries share it.
struct Parties {
    known: HashMap<Party, u32, RandomState>,
    columns: Vec<Builder>,
}

struct Party {
    ends: [(IpAddr, u16, Arc<Name>); 2],
    info: &'static ProtocolInfo,
    transport: Transport,
    tls: bool,
}

impl std::fmt::Debug for EntriesWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows: usize = self.protocols.iter().map(|of| of.ts.len()).sum();
        f.debug_struct("EntriesWriter")
            .field("rows", &rows)
            .finish_non_exhaustive()
    }
}

fn columns(shared: bool) -> impl Iterator<Item = &'static Base> {
    BASE.iter().filter(move |column| column.shared == shared)
}

impl Party {
    fn of(entry: &Entry<'_>) -> Self {
        let end = |end: &End<'_>| (end.ip, end.port, Arc::clone(end.name));
        let common = entry.common;
        Self {
            ends: [end(&common.src), end(&common.dst)],
            info: common.info,
            transport: common.transport,
            tls: common.tls,
        }
    }

    /// What makes it another; a name is the same where it is in the same place.
    fn key(&self) -> impl Hash + PartialEq + use<> {
        let [src, dst] = self
            .ends
            .each_ref()
            .map(|(ip, port, name)| (*ip, *port, Arc::as_ptr(name)));
        let info = std::ptr::from_ref(self.info);
        (src, dst, info, self.transport == Transport::Udp, self.tls)
    }
}

impl PartialEq for Party {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Party {}

impl Hash for Party {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Default for Parties {
    fn default() -> Self {
        Self {
            known: HashMap::default(),
            columns: columns(true)
                .map(|column| Builder::new(column.of))
                .collect(),
        }
    }
}

impl Parties {
    fn number(&mut self, entry: &Entry<'_>) -> u32 {
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let number = *self.known.entry(Party::of(entry)).or_insert(next);
        if number == next {
            for (column, builder) in columns(true).zip(&mut self.columns) {
                builder.append((column.get)(entry));
            }
        }
        number
    }
}

impl Protocol {
    fn new(entry: &Entry<'_>) -> Self {
        Self {
            number: entry.protocol,
            ts: Vec::new(),
            parties: Vec::new(),
            base: columns(false)
                .map(|column| Builder::new(column.of))
                .collect(),
            own: own(entry.record.schema())
                .map(|own| {
                    let of = own.of;
                    (own, Builder::new(of))
                })
                .collect(),
        }
    }

    /// The order of its rows by time; `None` where they stand in it.
    fn order(&self) -> Option<UInt32Array> {
        if self.ts.is_sorted() {
            return None;
        }
        let mut order: Vec<u32> = (0..u32::try_from(self.ts.len()).unwrap_or(u32::MAX)).collect();
        order.sort_by_key(|row| self.ts.get(*row as usize));
        Some(UInt32Array::from(order))
    }

    /// Its columns by name, each in the order of time.
    fn arrays(&mut self, shared: &[ArrayRef]) -> Result<Vec<(String, ArrayRef)>, Error> {
        let order = self.order();
        let ordered = |array: ArrayRef| match &order {
            Some(order) => take(&array, order, None),
            None => Ok(array),
        };
        let parties: ArrayRef = Arc::new(UInt32Array::from(std::mem::take(&mut self.parties)));
        let parties = ordered(parties)?;
        let parties = parties.as_primitive::<UInt32Type>();
        let mut arrays = Vec::new();
        for (column, values) in columns(true).zip(shared) {
            let array: ArrayRef = if values.as_string_opt::<i32>().is_some() {
                Arc::new(DictionaryArray::try_new(
                    parties.clone(),
                    Arc::clone(values),
                )?)
            } else {
                take(values, parties, None)?
            };
            arrays.push((column.name.to_owned(), array));
        }
        for (column, builder) in columns(false).zip(&mut self.base) {
            arrays.push((column.name.to_owned(), ordered(builder.finish())?));
        }
        for (column, builder) in &mut self.own {
            arrays.push((column.name.clone(), ordered(builder.finish())?));
        }
        Ok(arrays)
    }
}

impl EntriesWriter {
    /// No rows yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &Entry<'_>) {
        let party = self.parties.number(entry);
        let protocol = self.protocol(entry);
        protocol.ts.push(entry.common.ts);
        protocol.parties.push(party);
        for (column, builder) in columns(false).zip(&mut protocol.base) {
            builder.append((column.get)(entry));
        }
        for (column, builder) in &mut protocol.own {
            builder.append(entry.own(column.field));
        }
    }

    fn protocol(&mut self, entry: &Entry<'_>) -> &mut Protocol {
        let known = self.protocols.iter();
        let at = known
            .clone()
            .position(|known| known.number == entry.protocol);
        let at = at.unwrap_or_else(|| {
            self.protocols.push(Protocol::new(entry));
            self.protocols.len() - 1
        });
        &mut self.protocols[at]
    }

    /// All rows: a protocol's behind the other's, in the order of time.
    ///
    /// # Errors
    /// Those of Arrow; there are none that depend on what was added.
    pub fn finish(mut self) -> Result<Entries, Error> {
        // whichever came first, a file's columns have the same order
        self.protocols.sort_by_key(|protocol| protocol.number);
        let own = self.protocols.iter().flat_map(|protocol| &protocol.own);
        let own = own.map(|(column, _)| (column.name.clone(), column.of));
        let base = BASE
            .iter()
            .map(|column| (column.name.to_owned(), column.of));
        let schema = fields(base.chain(own));
        let shared = &mut self.parties.columns;
        let shared: Vec<_> = shared.iter_mut().map(Builder::finish).collect();
        let mut parts = Vec::new();
        for protocol in &mut self.protocols {
            let rows = protocol.ts.len();
            let mut arrays: HashMap<_, _> = protocol.arrays(&shared)?.into_iter().collect();
            let columns = schema.fields().iter().map(|field| {
                let array = arrays.remove(field.name());
                let array = array.unwrap_or_else(|| new_null_array(field.data_type(), rows));
                (field.name().clone(), array)
            });
            parts.push(RecordBatch::try_from_iter_with_nullable(
                columns.map(|(name, array)| (name, array, true)),
            )?);
        }
        Ok(Entries { schema, parts })
    }
}

fn fields(columns: impl Iterator<Item = (String, super::columns::Type)>) -> SchemaRef {
    let fields = columns.map(|(name, of)| Field::new(name, of.arrow(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
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
    schema: SchemaRef,
    /// Those of a protocol each.
    parts: Vec<RecordBatch>,
}

impl Default for Entries {
    /// No rows.
    fn default() -> Self {
        let base = BASE
            .iter()
            .map(|column| (column.name.to_owned(), column.of));
        Self {
            schema: fields(base),
            parts: Vec::new(),
        }
    }
}

impl Entries {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.parts.iter().map(|part| part.num_rows() as u64).sum()
    }

    /// The rows of several files. A column that one of them lacks is null there.
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
        let rows = concat_batches(&schema, &all)?;
        drop(all);
        let damaged = |what: &str| Error::Damaged(what.to_owned());
        let times = rows.column_by_name("timestamp").and_then(|column| {
            let column = column.as_primitive_opt::<TimestampNanosecondType>()?;
            Some(column.values().to_vec())
        });
        let times = times.ok_or_else(|| damaged("it has no times"))?;
        let names = rows.column_by_name("protocol");
        let names = names.and_then(|column| column.as_string_opt::<i32>());
        let names = names.ok_or_else(|| damaged("it has no protocols"))?;
        // in the order of their first rows
        let mut of_protocol: Vec<(&str, Vec<u32>)> = Vec::new();
        for (row, name) in (0..).zip(names) {
            let name = name.unwrap_or_default();
            match of_protocol.iter_mut().find(|(known, _)| *known == name) {
                Some((_, rows)) => rows.push(row),
                None => of_protocol.push((name, vec![row])),
            }
        }
        let mut parts = Vec::new();
        for (_, mut order) in of_protocol {
            order.sort_by_key(|row| times.get(*row as usize));
            parts.push(take_record_batch(&rows, &UInt32Array::from(order))?);
        }
        Ok(Self { schema, parts })
    }

    /// The file: row groups of one protocol each, so that a question that can't be about a protocol passes over it.
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
        for (at, field) in self.schema.fields().iter().enumerate() {
            let name = field.name();
            // the name of a column, dots and all, is one part of its path
            let path = || ColumnPath::new(vec![name.clone()]);
            let base = BASE.iter().find(|column| column.name == name);
            let looked_up = match base {
                Some(base) => base.looked_up,
                None => LOOKED_UP.iter().any(|end| name.ends_with(end)),
            };
            if looked_up {
                properties = properties.set_column_bloom_filter_enabled(path(), true);
            }
            let values = self.parts.iter().map(|part| part.column(at));
            if values
                .max_by_key(|values| values.len() - values.null_count())
                .is_some_and(repeats_rarely)
            {
                properties = without_dictionary(
                    properties,
                    path(),
                    field.data_type().is_numeric() || at == 0,
                );
            }
        }
        let (schema, footer) = (Arc::clone(&self.schema), footer.key_values("entries"));
        file(schema, &self.parts, properties, footer)
    }
}

/// A dictionary of values that hardly repeat costs more than it saves: integers are then stored as differences.
fn without_dictionary(
    properties: WriterPropertiesBuilder,
    path: ColumnPath,
    integers: bool,
) -> WriterPropertiesBuilder {
    let properties = properties.set_column_dictionary_enabled(path.clone(), false);
    let encoding = if integers {
        Encoding::DELTA_BINARY_PACKED
    } else {
        Encoding::PLAIN
    };
    properties.set_column_encoding(path, encoding)
}

/// Whether more than half of a sample of a column's values differ.
fn repeats_rarely(values: &ArrayRef) -> bool {
    let step = (values.len() / SAMPLE).max(1);
    let rows = (0..values.len())
        .step_by(step)
        .filter(|row| values.is_valid(*row));
    let distinct = |mut all: Vec<u64>| {
        let taken = all.len();
        all.sort_unstable();
        all.dedup();
        taken >= SAMPLE / 2 && all.len() > taken / 2
    };
    let hash = RandomState::default();
    if let Some(of) = values.as_primitive_opt::<Int64Type>() {
        distinct(rows.map(|row| of.value(row).cast_unsigned()).collect())
    } else if let Some(of) = values.as_primitive_opt::<TimestampNanosecondType>() {
        distinct(rows.map(|row| of.value(row).cast_unsigned()).collect())
    } else if let Some(of) = values.as_string_opt::<i32>() {
        use std::hash::BuildHasher;
        distinct(rows.map(|row| hash.hash_one(of.value(row))).collect())
    } else {
        false
    }
}
