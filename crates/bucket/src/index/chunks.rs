//! Column chunks of Parquet: a dictionary where values repeat, else one value behind the other, or the differences between.
//!
//! The crate's own writer looks each value up in a hash table. Here texts have their numbers from when the rows came
//! ([`Distinct`]), what entries of a stream share is looked up once a stream, and a column that says the same in all rows
//! costs next to nothing.
//! Source: Parquet's `Encodings.md` (RLE/bit-packing hybrid, plain), `PageIndex.md`.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use parquet::basic::{BoundaryOrder, Compression, Encoding, Type, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::PAGE_ROWS;
use super::deltas::put_deltas;
use super::packed::Cells;
use super::values::{Distinct, NONE};

/// Bytes of a text that bounds of pages and columns keep.
const BOUND: usize = 64;
/// Rows from which on it is asked whether values repeat.
const FEW: usize = 128;
/// Integers from 0 to below this one are found without hashing.
const SMALL_INTS: usize = 1 << 13;
/// Bytes below which compressing is not tried.
const SMALL: usize = 24;
/// How often a bloom filter says "perhaps" of what is not there.
const FALSE_POSITIVES: f64 = 0.05;

/// A column chunk: its bytes, and what the row group says of it.
#[derive(Clone)]
pub(super) struct ColumnChunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

impl ColumnChunk {
    /// The chunk of a column of the same type that has the same values; `None` where it is to have a bloom filter and
    /// this one has none.
    pub(super) fn of_twin(&self, column: &ColumnDescPtr, looked_up: bool) -> Result<Option<Self>> {
        let bloom_filter = self.close.bloom_filter.clone().filter(|_| looked_up);
        if looked_up && bloom_filter.is_none() {
            return Ok(None);
        }
        let own = &self.close.metadata;
        let metadata = ColumnChunkMetaData::builder(Arc::clone(column))
            .set_compression(own.compression())
            .set_encodings(own.encodings().collect())
            .set_total_compressed_size(own.compressed_size())
            .set_total_uncompressed_size(own.uncompressed_size())
            .set_num_values(own.num_values())
            .set_data_page_offset(own.data_page_offset())
            .set_dictionary_page_offset(own.dictionary_page_offset());
        let metadata = match own.statistics() {
            Some(statistics) => metadata.set_statistics(statistics.clone()),
            None => metadata,
        };
        Ok(Some(Self {
            bytes: self.bytes.clone(),
            close: ColumnCloseResult {
                bytes_written: self.close.bytes_written,
                rows_written: self.close.rows_written,
                metadata: metadata.build()?,
                bloom_filter,
                column_index: self.close.column_index.clone(),
                offset_index: self.close.offset_index.clone(),
            },
        }))
    }
}

/// The values of a chunk, each once; rows have their places here.
pub(super) trait Dictionary {
    /// What is compared.
    type Value: Copy + PartialOrd;

    fn of(&self) -> Type;

    fn len(&self) -> usize;

    /// A value in the plain encoding.
    fn put(&self, id: u32, out: &mut Vec<u8>) -> Result<()>;

    /// Whether pages can refer to it: Parquet has no dictionaries of truth values.
    const IS_REFERRED_TO: bool = true;

    /// How values stand one behind the other where no page refers to them.
    const ENCODING: Encoding = Encoding::PLAIN;

    /// Values one behind the other.
    fn put_all(&self, ids: Ids<'_>, out: &mut Vec<u8>) -> Result<()> {
        match ids {
            Ids::Each(ids, _) => ids.iter().try_for_each(|id| self.put(*id, out)),
            Ids::Same(id, rows) => (0..rows).try_for_each(|_| self.put(id, out)),
        }
    }

    fn get(&self, id: u32) -> Self::Value;

    fn is_less(&self, id: u32, than: u32) -> bool {
        self.get(id) < self.get(than)
    }

    /// What is not greater than a value, and what not less, and whether they are the value itself.
    fn bounds(&self, id: u32) -> [(Vec<u8>, bool); 2];

    /// Of the least and the greatest value.
    fn statistics(&self, span: Option<(u32, u32)>, nulls: u64) -> Statistics;

    fn note(&self, id: u32, bloom: &mut Sbbf);
}

/// Texts, by their numbers.
pub(super) struct Texts<'d>(pub(super) &'d [u32], pub(super) &'d Distinct);

/// Integers.
pub(super) struct Ints<'d>(pub(super) &'d [i64]);

impl<'d> Dictionary for Texts<'d> {
    type Value = &'d [u8];

    fn of(&self) -> Type {
        Type::BYTE_ARRAY
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn put(&self, id: u32, out: &mut Vec<u8>) -> Result<()> {
        let text = self.get(id);
        out.extend_from_slice(&count(text.len())?.to_le_bytes());
        out.extend_from_slice(text);
        Ok(())
    }

    #[inline]
    fn get(&self, id: u32) -> &'d [u8] {
        self.1.get(self.0[id as usize])
    }

    fn bounds(&self, id: u32) -> [(Vec<u8>, bool); 2] {
        [below(self.get(id)), above(self.get(id))]
    }

    fn statistics(&self, span: Option<(u32, u32)>, nulls: u64) -> Statistics {
        let (least, greatest) = match span {
            Some((least, greatest)) => (
                Some(below(self.get(least))),
                Some(above(self.get(greatest))),
            ),
            None => (None, None),
        };
        let exact =
            |bound: &Option<(Vec<u8>, bool)>| bound.as_ref().is_some_and(|(_, exact)| *exact);
        let (least_exact, greatest_exact) = (exact(&least), exact(&greatest));
        let bytes = |bound: Option<(Vec<u8>, bool)>| bound.map(|(bytes, _)| ByteArray::from(bytes));
        let all = ValueStatistics::new(bytes(least), bytes(greatest), None, Some(nulls), false);
        let all = all.with_min_is_exact(least_exact);
        Statistics::ByteArray(all.with_max_is_exact(greatest_exact))
    }

    fn note(&self, id: u32, bloom: &mut Sbbf) {
        bloom.insert(self.get(id));
    }
}

impl Dictionary for Ints<'_> {
    type Value = i64;

    fn of(&self) -> Type {
        Type::INT64
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn put(&self, id: u32, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.get(id).to_le_bytes());
        Ok(())
    }

    const ENCODING: Encoding = Encoding::DELTA_BINARY_PACKED;

    fn put_all(&self, ids: Ids<'_>, out: &mut Vec<u8>) -> Result<()> {
        match ids {
            Ids::Each(ids, _) => put_deltas(out, ids.iter().map(|id| self.get(*id))),
            Ids::Same(id, rows) => put_deltas(out, std::iter::repeat_n(self.get(id), rows)),
        }
        Ok(())
    }

    #[inline]
    fn get(&self, id: u32) -> i64 {
        self.0[id as usize]
    }

    fn bounds(&self, id: u32) -> [(Vec<u8>, bool); 2] {
        let bytes = || (self.get(id).to_le_bytes().to_vec(), true);
        [bytes(), bytes()]
    }

    fn statistics(&self, span: Option<(u32, u32)>, nulls: u64) -> Statistics {
        let (least, greatest) = span.unzip();
        let value = |id: Option<u32>| id.map(|id| self.get(id));
        let all = ValueStatistics::new(value(least), value(greatest), None, Some(nulls), false);
        Statistics::Int64(all)
    }

    fn note(&self, id: u32, bloom: &mut Sbbf) {
        bloom.insert(&self.get(id));
    }
}

/// Truth values; each is its own place.
pub(super) struct Bools;

impl Dictionary for Bools {
    type Value = bool;

    fn of(&self) -> Type {
        Type::BOOLEAN
    }

    fn len(&self) -> usize {
        2
    }

    const IS_REFERRED_TO: bool = false;

    const ENCODING: Encoding = Encoding::RLE;

    fn put(&self, _: u32, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn put_all(&self, ids: Ids<'_>, out: &mut Vec<u8>) -> Result<()> {
        let len = out.len();
        out.extend_from_slice(&[0; 4]);
        match ids {
            Ids::Each(ids, _) => put_hybrid(out, ids, 1),
            Ids::Same(id, rows) => put_run(out, rows, id, 1),
        }
        let size = count(out.len() - len - 4)?;
        out[len..len + 4].copy_from_slice(&size.to_le_bytes());
        Ok(())
    }

    #[inline]
    fn get(&self, id: u32) -> bool {
        id > 0
    }

    fn bounds(&self, id: u32) -> [(Vec<u8>, bool); 2] {
        let bytes = || (vec![self.get(id).into()], true);
        [bytes(), bytes()]
    }

    fn statistics(&self, span: Option<(u32, u32)>, nulls: u64) -> Statistics {
        let (least, greatest) = span.unzip();
        let value = |id: Option<u32>| id.map(|id| self.get(id));
        Statistics::boolean(value(least), value(greatest), None, Some(nulls), false)
    }

    fn note(&self, _: u32, _: &mut Sbbf) {}
}

/// No values of a type.
pub(super) struct Nothing(pub(super) Type);

impl Dictionary for Nothing {
    type Value = ();

    fn of(&self) -> Type {
        self.0
    }

    fn len(&self) -> usize {
        0
    }

    fn put(&self, _: u32, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn get(&self, _: u32) {}

    fn bounds(&self, _: u32) -> [(Vec<u8>, bool); 2] {
        Default::default()
    }

    fn statistics(&self, _: Option<(u32, u32)>, nulls: u64) -> Statistics {
        let nulls = Some(nulls);
        match self.0 {
            Type::BOOLEAN => Statistics::boolean(None, None, None, nulls, false),
            Type::DOUBLE => Statistics::double(None, None, None, nulls, false),
            Type::INT64 => Statistics::int64(None, None, None, nulls, false),
            _ => Statistics::byte_array(None, None, None, nulls, false),
        }
    }

    fn note(&self, _: u32, _: &mut Sbbf) {}
}

/// Whether rows can be null.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Nulls {
    No,
    Some,
}

/// The value of each row by its place in a dictionary; [`NONE`] where it is null.
#[derive(Clone, Copy)]
pub(super) enum Ids<'r> {
    Each(&'r [u32], Nulls),
    /// The same in so many rows.
    Same(u32, usize),
}

impl<'r> Ids<'r> {
    fn len(self) -> usize {
        match self {
            Self::Each(ids, _) => ids.len(),
            Self::Same(_, rows) => rows,
        }
    }

    fn nulls(self) -> usize {
        match self {
            Self::Each(ids, Nulls::Some) => ids.iter().filter(|id| **id == NONE).count(),
            Self::Same(NONE, rows) => rows,
            Self::Each(_, Nulls::No) | Self::Same(..) => 0,
        }
    }

    /// The rows of each page.
    fn pages(self) -> impl Iterator<Item = Ids<'r>> {
        let rows = self.len();
        (0..rows).step_by(PAGE_ROWS).map(move |from| {
            let until = (from + PAGE_ROWS).min(rows);
            match self {
                Self::Each(ids, nulls) => Self::Each(&ids[from..until], nulls),
                Self::Same(id, _) => Self::Same(id, until - from),
            }
        })
    }
}

/// Whether of so many values so few differ that a dictionary is worth it. A page that refers to one must have one.
fn repeat(filled: usize, different: usize) -> bool {
    filled > 0 && (filled < FEW || different <= filled / 2)
}

/// Gives values their places in a dictionary, in the order in which they come.
#[derive(Default)]
pub(super) struct Numbering {
    /// By number of a text, or by a small integer: for which chunk it has a place, and which.
    places: Vec<(u32, u32)>,
    chunk: u32,
    /// Of other integers.
    by_value: HashMap<i64, u32, RandomState>,
}

impl Numbering {
    /// Of the numbers of texts the places, and by place the number.
    #[allow(clippy::cast_possible_truncation)] // a row group has few rows
    pub(super) fn texts(
        &mut self,
        numbers: &Cells,
        of: &Distinct,
        ids: &mut Vec<u32>,
        dictionary: &mut Vec<u32>,
    ) {
        dictionary.clear();
        self.next_chunk();
        if self.places.len() < of.len() {
            self.places.resize(of.len(), (0, 0));
        }
        let (places, current) = (&mut *self.places, self.chunk);
        numbers.map_into(ids, |number| {
            let number = number.and_then(|number| usize::try_from(number).ok());
            let number = number.unwrap_or(usize::MAX);
            let Some((chunk, id)) = places.get_mut(number) else {
                return NONE;
            };
            if *chunk != current {
                (*chunk, *id) = (current, dictionary.len() as u32);
                dictionary.push(number as u32);
            }
            *id
        });
    }

    /// Of integers the places, each having one of its own, and by place the integer.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn each(ints: &Cells, ids: &mut Vec<u32>, dictionary: &mut Vec<i64>) {
        dictionary.clear();
        ints.filled_into(dictionary);
        let mut next = 0..;
        ints.map_into(ids, |int| match int {
            Some(_) => next.next().unwrap_or(NONE),
            None => NONE,
        });
    }

    /// Of integers the places, and by place the integer.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn ints(&mut self, ints: &Cells, ids: &mut Vec<u32>, dictionary: &mut Vec<i64>) {
        dictionary.clear();
        self.by_value.clear();
        self.next_chunk();
        if self.places.len() < SMALL_INTS {
            self.places.resize(SMALL_INTS, (0, 0));
        }
        ints.map_into(ids, |int| {
            let Some(int) = int else {
                return NONE;
            };
            let mut new = || {
                dictionary.push(int);
                dictionary.len() as u32 - 1
            };
            let small = usize::try_from(int).ok().filter(|int| *int < SMALL_INTS);
            match small.and_then(|int| self.places.get_mut(int)) {
                Some((chunk, id)) if *chunk == self.chunk => *id,
                Some(place) => {
                    *place = (self.chunk, new());
                    place.1
                }
                None => *self.by_value.entry(int).or_insert_with(new),
            }
        });
    }

    /// No number has a place.
    fn next_chunk(&mut self) {
        self.chunk = self.chunk.wrapping_add(1);
        if self.chunk == 0 {
            self.places.clear();
            self.chunk = 1;
        }
    }
}

/// Makes column chunks.
pub(super) struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    level: ZstdLevel,
    /// The page in which a value of the dictionary was seen last.
    seen: Vec<u32>,
    /// Of a page the ids that are not null.
    filled: Vec<u32>,
    /// What of a page is compressed.
    values: Vec<u8>,
}

/// The least and the greatest value, each with its place.
struct Span<V>(Option<[(u32, V); 2]>);

impl<V: Copy + PartialOrd> Span<V> {
    const NOTHING: Self = Self(None);

    #[inline]
    fn add(&mut self, id: u32, value: V) {
        let [least, greatest] = self.0.get_or_insert([(id, value); 2]);
        if value < least.1 {
            *least = (id, value);
        } else if value > greatest.1 {
            *greatest = (id, value);
        }
    }

    /// The places of the least and the greatest.
    fn ids(&self) -> Option<(u32, u32)> {
        self.0.map(|[(least, _), (greatest, _)]| (least, greatest))
    }
}

impl Encoder {
    pub(super) fn new(level: ZstdLevel) -> Result<Self> {
        Ok(Self {
            zstd: zstd::bulk::Compressor::new(level.compression_level())?,
            level,
            seen: Vec::new(),
            filled: Vec::new(),
            values: Vec::new(),
        })
    }

    /// The chunk of some rows.
    pub(super) fn chunk<D: Dictionary>(
        &mut self,
        column: &ColumnDescPtr,
        rows: Ids<'_>,
        of: &D,
        looked_up: bool,
    ) -> Result<ColumnChunk> {
        let nulls = rows.nulls();
        let repeats = D::IS_REFERRED_TO && repeat(rows.len() - nulls, of.len());
        let mut out = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut out);
        let (mut packed, mut unpacked) = (0, 0);
        let mut dictionary_at = None;
        if repeats {
            let page = self.dictionary(of)?;
            let written = pages.write_page(page)?;
            dictionary_at = Some(signed(written.offset)?);
            packed += written.compressed_size;
            unpacked += written.uncompressed_size;
        }
        let mut column_index = ColumnIndexBuilder::new(of.of());
        let mut offset_index = OffsetIndexBuilder::new();
        let (mut data_at, mut whole, mut order) = (None, Span::NOTHING, Order::default());
        self.seen.clear();
        self.seen.resize(of.len(), NONE);
        for (number, rows) in (0..).zip(rows.pages()) {
            let nulls = rows.nulls();
            let page = self.page(rows, nulls, of, repeats)?;
            let written = pages.write_page(page)?;
            packed += written.compressed_size;
            unpacked += written.uncompressed_size;
            data_at = data_at.or(Some(signed(written.offset)?));
            offset_index.append_row_count(signed(rows.len())?);
            let size = i32::try_from(written.compressed_size).map_err(|_| too_large())?;
            offset_index.append_offset_and_size(signed(written.offset)?, size);
            let nulls = signed(nulls)?;
            match self.span(number, rows, of).ids() {
                Some((least, greatest)) => {
                    whole.add(least, of.get(least));
                    whole.add(greatest, of.get(greatest));
                    order.add(least, greatest, of);
                    let ([(below, _), _], [_, (above, _)]) =
                        (of.bounds(least), of.bounds(greatest));
                    column_index.append(false, below, above, nulls, None);
                }
                None => column_index.append(true, Vec::new(), Vec::new(), nulls, None),
            }
        }
        column_index.set_boundary_order(order.boundary());
        let bloom_filter = if looked_up {
            let mut bloom = Sbbf::new_with_ndv_fpp(of.len() as u64, FALSE_POSITIVES)?;
            for id in 0..count(of.len())? {
                of.note(id, &mut bloom);
            }
            Some(bloom)
        } else {
            None
        };
        pages.close()?;
        let bytes: Bytes = out.into_inner()?.into();
        // the dictionary is plain, levels are runs
        let encodings = match repeats {
            true => vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY],
            false => vec![D::ENCODING, Encoding::RLE],
        };
        let metadata = ColumnChunkMetaData::builder(Arc::clone(column))
            .set_compression(Compression::ZSTD(self.level))
            .set_encodings(encodings)
            .set_total_compressed_size(signed(packed)?)
            .set_total_uncompressed_size(signed(unpacked)?)
            .set_num_values(signed(rows.len())?)
            .set_data_page_offset(data_at.unwrap_or_default())
            .set_dictionary_page_offset(dictionary_at)
            .set_statistics(of.statistics(whole.ids(), nulls as u64))
            .build()?;
        Ok(ColumnChunk {
            close: ColumnCloseResult {
                bytes_written: bytes.len() as u64,
                rows_written: rows.len() as u64,
                metadata,
                bloom_filter,
                column_index: Some(column_index.build()?),
                offset_index: Some(offset_index.build()),
            },
            bytes,
        })
    }

    fn dictionary(&mut self, of: &impl Dictionary) -> Result<CompressedPage> {
        let plain = &mut self.values;
        plain.clear();
        for id in 0..count(of.len())? {
            of.put(id, plain)?;
        }
        let page = Page::DictionaryPage {
            buf: self.zstd.compress(plain)?.into(),
            num_values: count(of.len())?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        Ok(CompressedPage::new(page, plain.len()))
    }

    /// A page of rows.
    fn page<D: Dictionary>(
        &mut self,
        rows: Ids<'_>,
        nulls: usize,
        of: &D,
        repeats: bool,
    ) -> Result<CompressedPage> {
        let mut buf = Vec::new();
        match rows {
            Ids::Each(ids, _) if nulls > 0 && nulls < ids.len() => {
                let levels = ids.iter().map(|id| u32::from(*id != NONE));
                put_hybrid(&mut buf, &levels.collect::<Vec<_>>(), 1);
            }
            _ => put_run(&mut buf, rows.len(), u32::from(nulls == 0), 1),
        }
        let levels = buf.len();
        self.filled.clear();
        let filled = match rows {
            Ids::Each(ids, _) if nulls == 0 => Ids::Each(ids, Nulls::No),
            Ids::Each(ids, _) => {
                let filled = ids.iter().filter(|id| **id != NONE);
                self.filled.extend(filled);
                Ids::Each(&self.filled, Nulls::No)
            }
            Ids::Same(NONE, _) => Ids::Each(&[], Nulls::No),
            same @ Ids::Same(..) => same,
        };
        let values = &mut self.values;
        values.clear();
        if repeats {
            let width = 32 - count(of.len().saturating_sub(1))?.leading_zeros();
            values.push(u8::try_from(width).unwrap_or(u8::MAX));
            match filled {
                Ids::Each(ids, _) => put_hybrid(values, ids, width),
                Ids::Same(id, rows) => put_run(values, rows, id, width),
            }
        } else {
            of.put_all(filled, values)?;
        }
        let mut is_compressed = false;
        if values.len() > SMALL {
            let compressed = self.zstd.compress(values)?;
            is_compressed = compressed.len() < values.len();
            if is_compressed {
                buf.extend_from_slice(&compressed);
            }
        }
        if !is_compressed {
            buf.extend_from_slice(values);
        }
        let page = Page::DataPageV2 {
            buf: buf.into(),
            num_values: count(rows.len())?,
            encoding: if repeats {
                Encoding::RLE_DICTIONARY
            } else {
                D::ENCODING
            },
            num_nulls: count(nulls)?,
            num_rows: count(rows.len())?,
            def_levels_byte_len: count(levels)?,
            rep_levels_byte_len: 0,
            is_compressed,
            statistics: None,
        };
        Ok(CompressedPage::new(page, levels + values.len()))
    }

    /// The bounds of a page.
    fn span<D: Dictionary>(&mut self, page: u32, rows: Ids<'_>, of: &D) -> Span<D::Value> {
        let mut span = Span::NOTHING;
        match rows {
            Ids::Each(ids, _) => {
                for id in ids {
                    // a null has no place
                    if let Some(seen) = self.seen.get_mut(*id as usize)
                        && *seen != page
                    {
                        *seen = page;
                        span.add(*id, of.get(*id));
                    }
                }
            }
            Ids::Same(NONE, _) => {}
            Ids::Same(id, _) => span.add(id, of.get(id)),
        }
        span
    }
}

/// Whether pages follow each other upwards or downwards.
struct Order {
    up: bool,
    down: bool,
    last: Option<(u32, u32)>,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            up: true,
            down: true,
            last: None,
        }
    }
}

impl Order {
    fn add(&mut self, least: u32, greatest: u32, of: &impl Dictionary) {
        if let Some((least_before, greatest_before)) = self.last.replace((least, greatest)) {
            self.up &= !of.is_less(least, least_before) && !of.is_less(greatest, greatest_before);
            self.down &= !of.is_less(least_before, least) && !of.is_less(greatest_before, greatest);
        }
    }

    fn boundary(&self) -> BoundaryOrder {
        match (self.up, self.down) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}

/// A text that is not greater, of [`BOUND`] bytes at most, and whether it is the same.
fn below(text: &[u8]) -> (Vec<u8>, bool) {
    let cut = cut(text);
    (cut.to_vec(), cut.len() == text.len())
}

/// A text that is not less, of [`BOUND`] bytes where there is such a one, and whether it is the same.
fn above(text: &[u8]) -> (Vec<u8>, bool) {
    let mut bound = cut(text).to_vec();
    if bound.len() == text.len() {
        return (bound, true);
    }
    // the next text of what is left when its end is cut off: UTF-8 with an ASCII character that can be raised
    while let Some(last) = bound.pop() {
        if last < 0x7e {
            bound.push(last + 1);
            return (bound, false);
        }
    }
    (text.to_vec(), true)
}

/// What of a text [`BOUND`] bytes hold, in whole characters.
fn cut(text: &[u8]) -> &[u8] {
    let mut end = text.len().min(BOUND);
    while end < text.len() && end > 0 && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

/// Numbers below 2^`width` as runs of equal ones and as bits, whichever is shorter.
fn put_hybrid(out: &mut Vec<u8>, values: &[u32], width: u32) {
    let is_run = |eight: &[u32; 8]| {
        let differ = eight.iter().fold(0, |differ, n| differ | (n ^ eight[0]));
        differ == 0
    };
    let mut rest = values;
    while let Some(first) = rest.first() {
        let equal = rest.iter().take_while(|value| *value == first).count();
        if equal >= 8 {
            put_run(out, equal, *first, width);
            rest = &rest[equal..];
            continue;
        }
        // in groups of eight, up to a run
        let (eights, _) = rest.as_chunks();
        let packed = eights.iter().take_while(|eight| !is_run(eight)).count();
        let packed = if packed == eights.len() {
            rest.len()
        } else {
            packed * 8
        };
        put_packed(out, &rest[..packed], width);
        rest = &rest[packed..];
    }
}

fn put_run(out: &mut Vec<u8>, len: usize, value: u32, width: u32) {
    put_varint(out, (len as u64) << 1);
    let bytes = value.to_le_bytes();
    out.extend_from_slice(&bytes[..width.div_ceil(8) as usize]);
}

/// Groups of eight, the last one filled up with zeros.
fn put_packed(out: &mut Vec<u8>, values: &[u32], width: u32) {
    let groups = values.len().div_ceil(8);
    put_varint(out, (groups as u64) << 1 | 1);
    put_bits(
        out,
        values.iter().map(|value| u64::from(*value)),
        width,
        groups * 8,
    );
}

/// The low `width` bits of each value, the first in the lowest; as if there were `all` of them, a multiple of eight.
pub(super) fn put_bits(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = u64>,
    width: u32,
    all: usize,
) {
    let end = out.len() + all / 8 * width as usize;
    let mut filled = 0;
    if width <= u32::BITS {
        let mut bits = 0_u64;
        for value in values {
            bits |= value << filled;
            filled += width;
            if filled >= u32::BITS {
                out.extend_from_slice(&(bits as u32).to_le_bytes());
                bits >>= u32::BITS;
                filled -= u32::BITS;
            }
        }
        out.extend_from_slice(&bits.to_le_bytes());
    } else {
        let mut bits = 0_u128;
        for value in values {
            bits |= u128::from(value) << filled;
            filled += width;
            if filled >= u64::BITS {
                out.extend_from_slice(&(bits as u64).to_le_bytes());
                bits >>= u64::BITS;
                filled -= u64::BITS;
            }
        }
        out.extend_from_slice(&(bits as u64).to_le_bytes());
    }
    out.resize(end, 0);
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n > 0x7f {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
}

fn too_large() -> ParquetError {
    ParquetError::General("a column is too large".to_owned())
}

fn count(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| too_large())
}

fn signed<T: TryInto<i64>>(n: T) -> Result<i64> {
    n.try_into().map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads what [`put_hybrid`] wrote, as Parquet's text says.
    fn hybrid(mut bytes: &[u8], width: u32, len: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < len {
            let (mut head, mut shift) = (0_u64, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                head |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let n = usize::try_from(head >> 1).unwrap();
            if head & 1 == 0 {
                let size = width.div_ceil(8) as usize;
                let mut value = [0; 4];
                value[..size].copy_from_slice(&bytes[..size]);
                bytes = &bytes[size..];
                values.extend(vec![u32::from_le_bytes(value); n]);
            } else {
                let size = n * width as usize;
                let bit = |at: usize| u32::from(bytes[at / 8] >> (at % 8) & 1);
                for at in 0..n * 8 {
                    let bits = (0..width as usize).map(|i| bit(at * width as usize + i) << i);
                    values.push(bits.sum());
                }
                bytes = &bytes[size..];
            }
        }
        assert!(bytes.is_empty());
        assert!(values[len..].iter().all(|value| *value == 0));
        values.truncate(len);
        values
    }

    #[test]
    fn what_is_written_as_runs_and_bits_is_read_again() {
        let mut seed = 7_u32;
        let mut next = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        for width in [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 24] {
            for len in [0, 1, 7, 8, 9, 63, 64, 65, 1000] {
                let mut values = Vec::new();
                while values.len() < len {
                    let value = next() & ((1 << width) - 1);
                    let times = if next() % 3 == 0 { next() % 40 } else { 1 };
                    values.extend(vec![value; times as usize]);
                }
                values.truncate(len);
                let mut out = Vec::new();
                put_hybrid(&mut out, &values, width);
                assert_eq!(hybrid(&out, width, len), values, "{width} {len}");
            }
        }
    }

    #[test]
    fn bounds_hold_what_is_between_them() {
        let long = |last: &str| format!("{}{last}", "/a".repeat(31));
        for text in [
            String::new(),
            "short".to_owned(),
            "x".repeat(64),
            "x".repeat(65),
            "~".repeat(100),
            "\u{7f}".repeat(100),
            "ü".repeat(40),
            format!("a{}", "ü".repeat(40)),
            long("€uro and more"),
            long("~~~ and more"),
            "\u{10ffff}".repeat(20),
        ] {
            let (least, least_exact) = below(text.as_bytes());
            let (greatest, greatest_exact) = above(text.as_bytes());
            assert!(least.as_slice() <= text.as_bytes() && text.as_bytes() <= greatest.as_slice());
            assert_eq!(least_exact, least == text.as_bytes());
            assert_eq!(greatest_exact, greatest == text.as_bytes());
            assert!(std::str::from_utf8(&least).is_ok() && std::str::from_utf8(&greatest).is_ok());
            assert!(least.len() <= BOUND);
        }
    }
}
