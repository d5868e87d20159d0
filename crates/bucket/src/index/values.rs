//! Values of columns as they come, before they are written: numbers as they are, texts each once.

use std::hash::BuildHasher;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef};
use foldhash::fast::RandomState;
use gillnet_entry::Value;
use hashbrown::HashTable;

use super::columns::Type;

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

/// Values of a column; each may be null.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// Integers and moments.
    Int(Run<Option<i64>>),
    Double(Run<Option<f64>>),
    Bool(Run<Option<bool>>),
    /// Of each row the number of its text, or [`NONE`].
    Text(Run<u32>),
}

/// One value a row. Many columns have the same in all rows: that is kept once.
#[derive(Clone, Debug, Default)]
pub(super) struct Run<T> {
    first: T,
    len: usize,
    /// One a row, from the first on that is another.
    each: Vec<T>,
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

impl<T: Copy + Default + PartialEq> Run<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The value that all rows have, where there is such a one.
    pub(super) fn same(&self) -> Option<T> {
        self.each.is_empty().then_some(self.first)
    }

    /// One a row; none where all have the same.
    pub(super) fn each(&self) -> &[T] {
        &self.each
    }

    #[inline]
    fn push(&mut self, value: T) {
        if self.each.is_empty() {
            if self.len == 0 {
                self.first = value;
            }
            if self.first == value {
                self.len += 1;
                return;
            }
            self.spread();
        }
        self.len += 1;
        self.each.push(value);
    }

    /// One value a row from now on.
    #[cold]
    fn spread(&mut self) {
        self.each.resize(self.len, self.first);
    }
}

impl Run<u32> {
    /// The text of the last row, or [`NONE`].
    fn last(&self) -> u32 {
        match self.each.last() {
            Some(last) => *last,
            None if self.len > 0 => self.first,
            None => NONE,
        }
    }
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

    /// The number of a text of the row that is added, whose column has `before` in the row before.
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
        self.values.first().map_or(0, Values::len)
    }

    /// A row follows: its values are to be given with [`Columns::push`], each behind the one before in its column.
    pub(super) fn begin_row(&mut self) {
        self.texts.forget_recent();
    }

    /// Adds a value to a column; null where it is none of the column's type.
    #[inline(always)]
    pub(super) fn push(&mut self, column: usize, value: Value<'_>) {
        match (&mut self.values[column], value) {
            (Values::Int(column), value) => column.push(match value {
                Value::Int(n) | Value::Duration(n) | Value::Time(n) => Some(n),
                Value::UInt(n) => i64::try_from(n).ok(),
                _ => None,
            }),
            (Values::Text(rows), Value::Str(text)) => push_text(rows, &mut self.texts, text),
            (Values::Text(rows), _) => rows.push(NONE),
            (Values::Double(column), value) => column.push(match value {
                Value::Double(n) => Some(n),
                _ => None,
            }),
            (Values::Bool(column), value) => column.push(match value {
                Value::Bool(v) => Some(v),
                _ => None,
            }),
        }
    }

    /// Adds values to a column that were read from a file: those of these rows; nulls where they have another type.
    pub(super) fn extend(&mut self, column: usize, array: Option<&ArrayRef>, rows: &[usize]) {
        let some = |row: &usize| array.is_some_and(|array| array.is_valid(*row));
        match &mut self.values[column] {
            Values::Int(column) => {
                let ints = array.and_then(|array| array.as_primitive_opt::<Int64Type>());
                let times =
                    array.and_then(|array| array.as_primitive_opt::<TimestampNanosecondType>());
                for row in rows {
                    let int = ints.map(|ints| ints.value(*row));
                    let value = int.or_else(|| times.map(|times| times.value(*row)));
                    column.push(value.filter(|_| some(row)));
                }
            }
            Values::Double(column) => {
                let values = array.and_then(|array| array.as_primitive_opt::<Float64Type>());
                for row in rows {
                    let values = values.filter(|_| some(row));
                    column.push(values.map(|values| values.value(*row)));
                }
            }
            Values::Bool(column) => {
                let values = array.and_then(|array| array.as_boolean_opt());
                for row in rows {
                    let values = values.filter(|_| some(row));
                    column.push(values.map(|values| values.value(*row)));
                }
            }
            Values::Text(numbers) => {
                let values = array.and_then(|array| array.as_string_opt::<i32>());
                for row in rows {
                    let values = values.filter(|_| some(row));
                    let text = values.map(|values| values.value(*row).as_bytes());
                    numbers.push(text.map_or(NONE, |text| self.texts.number(text)));
                }
            }
        }
    }
}

#[inline(never)] // its callers are many places
fn push_text(rows: &mut Run<u32>, texts: &mut Distinct, text: &str) {
    let number = texts.number_in_row(text.as_bytes(), rows.last());
    rows.push(number);
}

impl Values {
    fn new(of: Type) -> Self {
        match of {
            Type::Int | Type::Time => Self::Int(Run::default()),
            Type::Double => Self::Double(Run::default()),
            Type::Bool => Self::Bool(Run::default()),
            Type::Text => Self::Text(Run::default()),
        }
    }

    /// Whether there is no value.
    pub(super) fn is_null(&self) -> bool {
        match self {
            Self::Int(column) => column.same() == Some(None),
            Self::Double(column) => column.same() == Some(None),
            Self::Bool(column) => column.same() == Some(None),
            Self::Text(rows) => rows.same() == Some(NONE),
        }
    }

    /// Rows.
    fn len(&self) -> usize {
        match self {
            Self::Int(column) => column.len(),
            Self::Double(column) => column.len(),
            Self::Bool(column) => column.len(),
            Self::Text(rows) => rows.len(),
        }
    }
}
