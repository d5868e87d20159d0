//! The values of a column chunk, each once, and which of them each row has.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use parquet::basic::{Encoding, Type};
use parquet::bloom_filter::Sbbf;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::PAGE_ROWS;
use super::bits::{put_hybrid, put_run};
use super::deltas::put_deltas;
use super::packed::{Cells, Nulls};
use super::values::{Distinct, NONE};

/// Bytes of a text that bounds of pages and columns keep.
const BOUND: usize = 64;
/// Integers from 0 to below this one are found without hashing.
const SMALL_INTS: usize = 1 << 13;

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

/// The value of each row by its place in a dictionary; [`NONE`] where it is null.
#[derive(Clone, Copy)]
pub(super) enum Ids<'r> {
    Each(&'r [u32], Nulls),
    /// The same in so many rows.
    Same(u32, usize),
}

impl<'r> Ids<'r> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Each(ids, _) => ids.len(),
            Self::Same(_, rows) => rows,
        }
    }

    pub(super) fn nulls(self) -> usize {
        match self {
            Self::Each(ids, Nulls::Some) => ids.iter().filter(|id| **id == NONE).count(),
            Self::Same(NONE, rows) => rows,
            Self::Each(_, Nulls::No) | Self::Same(..) => 0,
        }
    }

    /// The rows of each page.
    pub(super) fn pages(self) -> impl Iterator<Item = Ids<'r>> {
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

/// A number of values, or bytes of one, as Parquet counts them.
pub(super) fn count(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| too_large())
}

pub(super) fn too_large() -> ParquetError {
    ParquetError::General("a column is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
