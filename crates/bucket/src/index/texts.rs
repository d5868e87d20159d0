//! A column of texts as Parquet: a dictionary where texts repeat, else one behind the other.
//!
//! The crate's own writer looks each value up in a hash table. Here texts have their numbers from when the rows came
//! ([`Distinct`]), and what entries of a stream share is looked up once a stream.
//! Source: Parquet's `Encodings.md` (RLE/bit-packing hybrid, plain), `PageIndex.md`.

use std::sync::Arc;

use bytes::Bytes;
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
use super::values::{Distinct, NONE};

/// Bytes of a text that bounds of pages and columns keep.
const BOUND: usize = 64;
/// Rows from which on it is asked whether they repeat.
const FEW: usize = 128;
/// How often a bloom filter says "perhaps" of what is not there.
const FALSE_POSITIVES: f64 = 0.05;

/// A column chunk: its bytes, and what the row group says of it.
pub(super) struct ColumnChunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Makes column chunks of texts.
pub(super) struct TextEncoder {
    zstd: zstd::bulk::Compressor<'static>,
    level: ZstdLevel,
    /// For each text of the column its number in the dictionary, [`NONE`] where it has none.
    local: Vec<u32>,
    /// The texts of the dictionary.
    texts: Vec<u32>,
    /// The page in which a text of the dictionary was seen last.
    seen: Vec<u32>,
    ids: Vec<u32>,
}

/// The least and the greatest text.
#[derive(Clone, Copy, Default)]
struct Span<'a>(Option<(&'a [u8], &'a [u8])>);

impl<'a> Span<'a> {
    fn add(&mut self, text: &'a [u8]) {
        let (least, greatest) = self.0.get_or_insert((text, text));
        *least = (*least).min(text);
        *greatest = (*greatest).max(text);
    }
}

impl TextEncoder {
    pub(super) fn new(level: ZstdLevel) -> Result<Self> {
        Ok(Self {
            zstd: zstd::bulk::Compressor::new(level.compression_level())?,
            level,
            local: Vec::new(),
            texts: Vec::new(),
            seen: Vec::new(),
            ids: Vec::new(),
        })
    }

    /// The chunk of some rows, each of which has a text's number or [`NONE`].
    pub(super) fn chunk(
        &mut self,
        column: &ColumnDescPtr,
        rows: &[u32],
        distinct: &Distinct,
        looked_up: bool,
    ) -> Result<ColumnChunk> {
        self.number(rows, distinct);
        let filled = self.ids.len();
        // a page that refers to a dictionary must have one
        let repeats = filled > 0 && (filled < FEW || self.texts.len() <= filled / 2);
        let mut out = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut out);
        let (mut packed, mut unpacked) = (0, 0);
        let mut dictionary_at = None;
        if repeats {
            let page = self.dictionary(distinct)?;
            let written = pages.write_page(page)?;
            dictionary_at = Some(signed(written.offset)?);
            packed += written.compressed_size;
            unpacked += written.uncompressed_size;
        }
        let mut column_index = ColumnIndexBuilder::new(Type::BYTE_ARRAY);
        let mut offset_index = OffsetIndexBuilder::new();
        let (mut data_at, mut whole, mut order) = (None, Span::default(), Order::default());
        self.seen.clear();
        self.seen.resize(self.texts.len(), NONE);
        let mut from = 0;
        for (number, rows) in (0..).zip(rows.chunks(PAGE_ROWS)) {
            let of_page = rows.iter().filter(|text| **text != NONE).count();
            let until = from + of_page;
            let page = self.page(rows, from..until, distinct, repeats)?;
            let written = pages.write_page(page)?;
            packed += written.compressed_size;
            unpacked += written.uncompressed_size;
            data_at = data_at.or(Some(signed(written.offset)?));
            offset_index.append_row_count(signed(rows.len())?);
            let size = i32::try_from(written.compressed_size).map_err(|_| too_large())?;
            offset_index.append_offset_and_size(signed(written.offset)?, size);
            let span = self.span(number, from..until, distinct);
            let nulls = signed(rows.len() - of_page)?;
            match span.0 {
                Some((least, greatest)) => {
                    whole.add(least);
                    whole.add(greatest);
                    order.add(least, greatest);
                    column_index.append(false, below(least).0, above(greatest).0, nulls, None);
                }
                None => column_index.append(true, Vec::new(), Vec::new(), nulls, None),
            }
            from = until;
        }
        column_index.set_boundary_order(order.boundary());
        let bloom_filter = if looked_up {
            let mut bloom = Sbbf::new_with_ndv_fpp(self.texts.len() as u64, FALSE_POSITIVES)?;
            for text in &self.texts {
                bloom.insert(distinct.get(*text));
            }
            Some(bloom)
        } else {
            None
        };
        pages.close()?;
        let bytes: Bytes = out.into_inner()?.into();
        let encodings = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
        let encodings = encodings.into_iter().take(if repeats { 3 } else { 2 });
        let metadata = ColumnChunkMetaData::builder(Arc::clone(column))
            .set_compression(Compression::ZSTD(self.level))
            .set_encodings(encodings.collect())
            .set_total_compressed_size(signed(packed)?)
            .set_total_uncompressed_size(signed(unpacked)?)
            .set_num_values(signed(rows.len())?)
            .set_data_page_offset(data_at.unwrap_or_default())
            .set_dictionary_page_offset(dictionary_at)
            .set_statistics(statistics(whole, (rows.len() - filled) as u64))
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

    /// Numbers the texts that these rows have, in the order in which they come.
    #[allow(clippy::cast_possible_truncation)] // a row group has few rows
    fn number(&mut self, rows: &[u32], distinct: &Distinct) {
        self.local.clear();
        self.local.resize(distinct.len(), NONE);
        self.texts.clear();
        self.ids.clear();
        for text in rows.iter().filter(|text| **text != NONE) {
            let id = &mut self.local[*text as usize];
            if *id == NONE {
                *id = self.texts.len() as u32;
                self.texts.push(*text);
            }
            self.ids.push(*id);
        }
    }

    fn dictionary(&mut self, distinct: &Distinct) -> Result<CompressedPage> {
        let mut plain = Vec::new();
        for text in &self.texts {
            put_plain(&mut plain, distinct.get(*text))?;
        }
        let page = Page::DictionaryPage {
            buf: self.zstd.compress(&plain)?.into(),
            num_values: count(self.texts.len())?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        Ok(CompressedPage::new(page, plain.len()))
    }

    /// A page of rows, of which those that are not null have the ids of this range.
    fn page(
        &mut self,
        rows: &[u32],
        ids: std::ops::Range<usize>,
        distinct: &Distinct,
        repeats: bool,
    ) -> Result<CompressedPage> {
        let mut buf = Vec::new();
        let nulls = rows.len() - ids.len();
        let levels = rows.iter().map(|text| u32::from(*text != NONE));
        if nulls == 0 || nulls == rows.len() {
            put_run(&mut buf, rows.len(), u32::from(nulls == 0), 1);
        } else {
            put_hybrid(&mut buf, &levels.collect::<Vec<_>>(), 1);
        }
        let levels = buf.len();
        let ids = &self.ids[ids];
        let mut values = Vec::new();
        if repeats {
            let width = 32 - count(self.texts.len().saturating_sub(1))?.leading_zeros();
            values.push(u8::try_from(width).unwrap_or(u8::MAX));
            put_hybrid(&mut values, ids, width);
        } else {
            for id in ids {
                put_plain(&mut values, distinct.get(self.texts[*id as usize]))?;
            }
        }
        let compressed = self.zstd.compress(&values)?;
        let is_compressed = compressed.len() < values.len();
        buf.extend_from_slice(if is_compressed { &compressed } else { &values });
        let page = Page::DataPageV2 {
            buf: buf.into(),
            num_values: count(rows.len())?,
            encoding: if repeats {
                Encoding::RLE_DICTIONARY
            } else {
                Encoding::PLAIN
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
    fn span<'a>(
        &mut self,
        page: u32,
        ids: std::ops::Range<usize>,
        distinct: &'a Distinct,
    ) -> Span<'a> {
        let mut span = Span::default();
        for id in &self.ids[ids] {
            let seen = &mut self.seen[*id as usize];
            if *seen != page {
                *seen = page;
                span.add(distinct.get(self.texts[*id as usize]));
            }
        }
        span
    }
}

/// Whether pages follow each other upwards or downwards.
struct Order<'a> {
    up: bool,
    down: bool,
    last: Option<(&'a [u8], &'a [u8])>,
}

impl Default for Order<'_> {
    fn default() -> Self {
        Self {
            up: true,
            down: true,
            last: None,
        }
    }
}

impl<'a> Order<'a> {
    fn add(&mut self, least: &'a [u8], greatest: &'a [u8]) {
        if let Some((least_before, greatest_before)) = self.last.replace((least, greatest)) {
            self.up &= least_before <= least && greatest_before <= greatest;
            self.down &= least_before >= least && greatest_before >= greatest;
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

fn statistics(whole: Span<'_>, nulls: u64) -> Statistics {
    let (least, greatest) = match whole.0 {
        Some((least, greatest)) => (Some(below(least)), Some(above(greatest))),
        None => (None, None),
    };
    let exact = |bound: &Option<(Vec<u8>, bool)>| bound.as_ref().is_some_and(|(_, exact)| *exact);
    let (least_exact, greatest_exact) = (exact(&least), exact(&greatest));
    let bytes = |bound: Option<(Vec<u8>, bool)>| bound.map(|(bytes, _)| ByteArray::from(bytes));
    let all = ValueStatistics::new(bytes(least), bytes(greatest), None, Some(nulls), false);
    let all = all.with_min_is_exact(least_exact);
    Statistics::ByteArray(all.with_max_is_exact(greatest_exact))
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

fn put_plain(out: &mut Vec<u8>, text: &[u8]) -> Result<()> {
    out.extend_from_slice(&count(text.len())?.to_le_bytes());
    out.extend_from_slice(text);
    Ok(())
}

/// Numbers below 2^`width` as runs of equal ones and as bits, whichever is shorter.
fn put_hybrid(out: &mut Vec<u8>, values: &[u32], width: u32) {
    let run = |from: usize, most: usize| {
        let rest = values[from..].iter().take(most);
        rest.take_while(|value| **value == values[from]).count()
    };
    let mut at = 0;
    while at < values.len() {
        let equal = run(at, usize::MAX);
        if equal >= 8 {
            put_run(out, equal, values[at], width);
            at += equal;
            continue;
        }
        let begin = at;
        // in groups of eight, up to a run
        while at < values.len() && run(at, 8) < 8 {
            at = (at + 8).min(values.len());
        }
        put_packed(out, &values[begin..at], width);
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
    let end = out.len() + groups * width as usize;
    let (mut bits, mut filled) = (0_u64, 0);
    for value in values {
        bits |= u64::from(*value) << filled;
        filled += width;
        while filled >= 8 {
            out.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(bits.to_le_bytes()[0]);
    }
    out.resize(end, 0);
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n > 0x7f {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
}

fn too_large() -> ParquetError {
    ParquetError::General("a column of texts is too large".to_owned())
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
