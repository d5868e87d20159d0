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

/// Values of a column; each may be null.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// Integers and moments.
    Int(Numbers<i64>),
    Double(Numbers<f64>),
    Bool(Numbers<bool>),
    Text(Texts),
}

/// Values of which none refers to another.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers<T> {
    /// One a row: of a null the default.
    pub(super) values: Vec<T>,
    pub(super) valid: Vec<bool>,
}

/// Texts, each of which is kept once.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// Of each row the number of its text, or [`NONE`].
    pub(super) rows: Vec<u32>,
    pub(super) distinct: Distinct,
}

/// Different texts, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    known: HashTable<u32>,
    hash: RandomState,
}

impl<T: Clone + Default> Numbers<T> {
    fn nulls(&mut self, rows: usize) {
        self.valid.resize(rows, false);
        self.values.resize(rows, T::default());
    }

    fn push(&mut self, value: Option<T>) {
        self.valid.push(value.is_some());
        self.values.push(value.unwrap_or_default());
    }
}

impl Distinct {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A text by its number, which was given here.
    #[inline]
    pub(super) fn get(&self, number: u32) -> &[u8] {
        text(&self.bytes, &self.ends, number)
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

/// The text with a number, of those that stand one behind the other.
#[inline]
fn text<'b>(bytes: &'b [u8], ends: &[usize], number: u32) -> &'b [u8] {
    let at = number as usize;
    let begin = at.checked_sub(1).map_or(0, |before| ends[before]);
    &bytes[begin..ends[at]]
}

impl Texts {
    fn push(&mut self, text: Option<&[u8]>) {
        let Some(text) = text else {
            return self.rows.push(NONE);
        };
        // most often it is the one before
        let number = match self.rows.last() {
            Some(last) if *last != NONE && self.distinct.get(*last) == text => *last,
            _ => self.distinct.number(text),
        };
        self.rows.push(number);
    }
}

impl Values {
    /// So many nulls.
    pub(super) fn nulls(of: Type, rows: usize) -> Self {
        let mut nulls = Self::new(of);
        match &mut nulls {
            Self::Int(column) => column.nulls(rows),
            Self::Double(column) => column.nulls(rows),
            Self::Bool(column) => column.nulls(rows),
            Self::Text(column) => column.rows.resize(rows, NONE),
        }
        nulls
    }

    /// Rows.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Int(column) => column.valid.len(),
            Self::Double(column) => column.valid.len(),
            Self::Bool(column) => column.valid.len(),
            Self::Text(column) => column.rows.len(),
        }
    }

    pub(super) fn new(of: Type) -> Self {
        match of {
            Type::Int | Type::Time => Self::Int(Numbers::default()),
            Type::Double => Self::Double(Numbers::default()),
            Type::Bool => Self::Bool(Numbers::default()),
            Type::Text => Self::Text(Texts::default()),
        }
    }

    /// Adds a value; null where it is none of the column's type.
    #[inline]
    pub(super) fn push(&mut self, value: Value<'_>) {
        match self {
            Self::Int(column) => column.push(match value {
                Value::Int(n) | Value::Duration(n) | Value::Time(n) => Some(n),
                Value::UInt(n) => i64::try_from(n).ok(),
                _ => None,
            }),
            Self::Double(column) => column.push(match value {
                Value::Double(n) => Some(n),
                _ => None,
            }),
            Self::Bool(column) => column.push(match value {
                Value::Bool(v) => Some(v),
                _ => None,
            }),
            Self::Text(column) => column.push(match value {
                Value::Str(text) => Some(text.as_bytes()),
                _ => None,
            }),
        }
    }

    /// Adds values that were read from a file: those of these rows; nulls where they have another type.
    pub(super) fn extend(&mut self, array: Option<&ArrayRef>, rows: &[usize]) {
        let some = |row: &usize| array.is_some_and(|array| array.is_valid(*row));
        match self {
            Self::Int(column) => {
                let ints = array.and_then(|array| array.as_primitive_opt::<Int64Type>());
                let times =
                    array.and_then(|array| array.as_primitive_opt::<TimestampNanosecondType>());
                for row in rows {
                    let int = ints.map(|ints| ints.value(*row));
                    let value = int.or_else(|| times.map(|times| times.value(*row)));
                    column.push(value.filter(|_| some(row)));
                }
            }
            Self::Double(column) => {
                let values = array.and_then(|array| array.as_primitive_opt::<Float64Type>());
                for row in rows {
                    column.push(
                        values
                            .filter(|_| some(row))
                            .map(|values| values.value(*row)),
                    );
                }
            }
            Self::Bool(column) => {
                let values = array.and_then(|array| array.as_boolean_opt());
                for row in rows {
                    column.push(
                        values
                            .filter(|_| some(row))
                            .map(|values| values.value(*row)),
                    );
                }
            }
            Self::Text(column) => {
                let values = array.and_then(|array| array.as_string_opt::<i32>());
                for row in rows {
                    let values = values.filter(|_| some(row));
                    column.push(values.map(|values| values.value(*row).as_bytes()));
                }
            }
        }
    }
}
