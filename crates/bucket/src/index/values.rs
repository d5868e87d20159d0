//! Values of columns as they come, before they are written: numbers as they are, texts each once.

use std::hash::BuildHasher;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef};
use foldhash::fast::RandomState;
use gillnet_entry::Value;
use hashbrown::HashTable;

use super::columns::Type;
use super::packed::{BLOCK, Packed};

/// The number of a text that is not there.
pub(super) const NONE: u32 = u32::MAX;
/// So many texts of a row are remembered by where they stand.
const RECENT: usize = 4;

/// Columns of as many rows; their texts are kept each once for all of them, since columns often say the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) values: Vec<Values>,
    pub(super) texts: Distinct,
}

/// Rows as they come. As many as a block has wait side by side, so that a value is one store, until their values go to the
/// columns, all of a column in one go.
#[derive(Clone, Debug)]
pub(super) struct RowWriter {
    columns: Columns,
    waiting: Vec<Waiting>,
    /// The values of the rows that wait, a row behind the other.
    cells: Vec<i64>,
    rows: usize,
}

/// What waits for a column.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Which rows have a value.
    filled: u64,
    /// The text that a row had last, or [`NONE`].
    last: u32,
    of: Kept,
}

/// Values of a column; each may be null.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    pub(super) of: Kept,
    pub(super) cells: Packed,
}

/// What values are kept as, 64 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Integers and moments, as they are.
    Int,
    /// By their bits.
    Double,
    /// 0 or 1.
    Bool,
    /// The numbers of texts.
    Text,
}

/// Different texts, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    known: HashTable<u32>,
    hash: RandomState,
    /// Texts that are in the row that is added: where they stand, and their numbers.
    recent: [((usize, usize), u32); RECENT],
    recent_count: usize,
}

impl Distinct {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Another row begins: what stands where a text of this one stood may be another then.
    #[inline]
    fn forget_recent(&mut self) {
        if self.recent_count > 0 {
            self.recent = Default::default();
            self.recent_count = 0;
        }
    }

    /// A text by its number, which was given here.
    #[inline]
    pub(super) fn get(&self, number: u32) -> &[u8] {
        text(&self.bytes, &self.ends, number)
    }

    /// The number of a text of the row that is added, whose column had `before` last.
    #[inline]
    fn number_in_row(&mut self, text: &[u8], before: u32) -> u32 {
        // most often it is the one before
        if before != NONE && is_same(self.get(before), text) {
            return before;
        }
        let at = (text.as_ptr() as usize, text.len());
        for (known, number) in &self.recent {
            if *known == at {
                return *number;
            }
        }
        let number = self.number(text);
        self.recent[self.recent_count % RECENT] = (at, number);
        self.recent_count += 1;
        number
    }

    #[allow(clippy::cast_possible_truncation)] // a file has far fewer rows
    fn number(&mut self, new: &[u8]) -> u32 {
        let hash = self.hash.hash_one(new);
        let known = self.known.find(hash, |known| self.get(*known) == new);
        if let Some(known) = known {
            return *known;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(new);
        self.ends.push(self.bytes.len());
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hash);
        self.known.insert_unique(hash, number, |known| {
            hasher.hash_one(text(bytes, ends, *known))
        });
        number
    }
}

/// Whether two texts are the same; most are short.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let word = |text: &[u8], at: usize| {
        let word = text.get(at..at + 8).and_then(<[u8]>::first_chunk);
        word.map(|word| u64::from_le_bytes(*word))
    };
    match a.len() {
        0 => true,
        8..=16 => word(a, 0) == word(b, 0) && word(a, a.len() - 8) == word(b, b.len() - 8),
        1..8 => a.iter().zip(b).all(|(a, b)| a == b),
        _ => a == b,
    }
}

/// The text with a number, of those that stand one behind the other.
#[inline]
fn text<'b>(bytes: &'b [u8], ends: &[usize], number: u32) -> &'b [u8] {
    let at = number as usize;
    let begin = at.checked_sub(1).map_or(0, |before| ends[before]);
    &bytes[begin..ends[at]]
}

impl Columns {
    pub(super) fn new(of: impl Iterator<Item = Type>) -> Self {
        Self {
            values: of.map(Values::new).collect(),
            texts: Distinct::default(),
        }
    }

    /// Rows.
    pub(super) fn len(&self) -> usize {
        self.values.first().map_or(0, |values| values.cells.len())
    }

    /// Adds values to a column that were read from a file: those of these rows; nulls where they have another type.
    pub(super) fn extend(&mut self, column: usize, array: Option<&ArrayRef>, rows: &[usize]) {
        let Values { of, cells } = &mut self.values[column];
        let mut add = |read: &mut dyn FnMut(&ArrayRef, usize) -> Option<i64>| {
            for row in rows {
                let array = array.filter(|array| array.is_valid(*row));
                cells.push(array.and_then(|array| read(array, *row)));
            }
        };
        match of {
            Kept::Int => add(&mut |array, row| {
                let ints = array.as_primitive_opt::<Int64Type>();
                let int = ints.map(|ints| ints.value(row));
                int.or_else(|| {
                    let times = array.as_primitive_opt::<TimestampNanosecondType>()?;
                    Some(times.value(row))
                })
            }),
            Kept::Double => add(&mut |array, row| {
                let doubles = array.as_primitive_opt::<Float64Type>()?;
                Some(doubles.value(row).to_bits().cast_signed())
            }),
            Kept::Bool => add(&mut |array, row| Some(array.as_boolean_opt()?.value(row).into())),
            Kept::Text => {
                let texts = &mut self.texts;
                add(&mut |array, row| {
                    let text = array.as_string_opt::<i32>()?.value(row);
                    Some(texts.number(text.as_bytes()).into())
                });
            }
        }
    }
}

impl RowWriter {
    pub(super) fn new(of: impl Iterator<Item = Type>) -> Self {
        let columns = Columns::new(of);
        let waiting = columns.values.iter().map(|values| Waiting {
            filled: 0,
            last: NONE,
            of: values.of,
        });
        let waiting: Vec<_> = waiting.collect();
        Self {
            cells: vec![0; waiting.len() * BLOCK],
            waiting,
            columns,
            rows: 0,
        }
    }

    /// A row follows, without values until they are given with [`RowWriter::put`].
    #[inline]
    pub(super) fn begin_row(&mut self) {
        if self.rows == BLOCK {
            self.settle();
        }
        self.rows += 1;
        self.columns.texts.forget_recent();
    }

    /// Gives the row that began last its value in a column, where it is of the column's type.
    #[inline(always)]
    pub(super) fn put(&mut self, column: usize, value: Value<'_>) {
        let (of, cell) = match value {
            Value::Int(n) | Value::Duration(n) | Value::Time(n) => (Kept::Int, n),
            Value::UInt(n) => match i64::try_from(n) {
                Ok(n) => (Kept::Int, n),
                Err(_) => return,
            },
            Value::Double(n) => (Kept::Double, n.to_bits().cast_signed()),
            Value::Bool(is) => (Kept::Bool, is.into()),
            Value::Str(text) => return self.put_text(column, text),
            _ => return,
        };
        self.put_cell(column, of, cell);
    }

    #[inline(never)] // its callers are many places
    fn put_text(&mut self, column: usize, text: &str) {
        let Some(waiting) = self.waiting.get_mut(column) else {
            return;
        };
        if waiting.of == Kept::Text {
            let texts = &mut self.columns.texts;
            waiting.last = texts.number_in_row(text.as_bytes(), waiting.last);
            let number = waiting.last.into();
            self.put_cell(column, Kept::Text, number);
        }
    }

    #[inline(always)]
    fn put_cell(&mut self, column: usize, of: Kept, cell: i64) {
        let row = self.rows.wrapping_sub(1);
        let at = row.wrapping_mul(self.waiting.len()) + column;
        if let Some(waiting) = self.waiting.get_mut(column)
            && waiting.of == of
            && let Some(to) = self.cells.get_mut(at)
        {
            waiting.filled |= 1 << row;
            *to = cell;
        }
    }

    /// The values of the rows that wait go to the columns.
    fn settle(&mut self) {
        let width = self.waiting.len();
        let all = self.waiting.iter_mut().zip(&mut self.columns.values);
        for (column, (waiting, values)) in all.enumerate() {
            let filled = std::mem::take(&mut waiting.filled);
            let mut block = [0; BLOCK];
            if filled != 0 {
                let cells = self.cells[column..].iter().step_by(width);
                for (to, cell) in block.iter_mut().zip(cells) {
                    *to = *cell;
                }
            }
            values.cells.push_rows(self.rows, filled, &mut block);
        }
        self.rows = 0;
    }

    /// All rows.
    pub(super) fn finish(mut self) -> Columns {
        self.settle();
        self.columns
    }
}

impl Values {
    fn new(of: Type) -> Self {
        let of = match of {
            Type::Int | Type::Time => Kept::Int,
            Type::Double => Kept::Double,
            Type::Bool => Kept::Bool,
            Type::Text => Kept::Text,
        };
        Self {
            of,
            cells: Packed::default(),
        }
    }
}
