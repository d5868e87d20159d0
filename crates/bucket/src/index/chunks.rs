//! Column chunks of Parquet: a dictionary where values repeat, else one value behind the other, or the differences between.
//!
//! The crate's own writer looks each value up in a hash table. Here texts have their numbers from when the rows came
//! ([`super::values::Distinct`]), what entries of a stream share is looked up once a stream, and a column that says the
//! same in all rows costs next to nothing.
//! Source: Parquet's `Encodings.md`, `PageIndex.md`.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bits::{put_hybrid, put_run};
use super::dictionary::{Dictionary, Ids, count, too_large};
use super::packed::Nulls;
use super::values::NONE;

/// Rows from which on it is asked whether values repeat.
const FEW: usize = 128;
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

/// Whether of so many values so few differ that a dictionary is worth it. A page that refers to one must have one.
fn repeat(filled: usize, different: usize) -> bool {
    filled > 0 && (filled < FEW || different <= filled / 2)
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

fn signed<T: TryInto<i64>>(n: T) -> Result<i64> {
    n.try_into().map_err(|_| too_large())
}
