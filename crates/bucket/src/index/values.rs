//! Values of columns as they come, before they are written: numbers as they are, texts that come again once.

use std::hash::BuildHasher;
use std::slice::IterMut;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef};
use foldhash::fast::RandomState;
use gillnet_entry::Row;
use hashbrown::HashTable;

use super::columns::Type;
use super::packed::{BLOCK, Packed};
use super::pieces::{At, Pieces};

/// The number of a text that is not there.
pub(super) const NONE: u32 = u32::MAX;
/// So many long texts of a row are remembered by where they stand.
const RECENT: usize = 4;
/// So many of earlier rows by what they are.
const LATELY: usize = 128;
/// Spreads bits (the golden ratio's).
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bytes of texts that are asked for at a time.
const PIECE: usize = 32 << 10;

/// Columns of as many rows; their texts are kept together for all of them, since columns often say the same.
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
    rows: usize,
}

/// What rows that wait have for a column. It is nine cache lines long: those of a row, one of each column, lie in all sets of
/// a cache, and do not drive each other out.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Waiting {
    /// Which rows have a value.
    filled: u64,
    /// The text that a row had last.
    last: Met,
    new: New,
    of: Kept,
    /// What stands where there is no value does not count.
    cells: [i64; BLOCK],
}

const _: () = assert!(size_of::<Waiting>() == 9 * 64);

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

/// How many of a column's texts that were looked for were new.
#[derive(Clone, Copy, Debug, Default)]
struct New {
    of: u32,
    new: u32,
}

impl New {
    /// Texts after which it shows.
    const ENOUGH: u32 = 512;

    /// Whether nearly all are: then none is looked for any more, and what comes again has another number.
    fn is_rule(self) -> bool {
        self.of >= Self::ENOUGH && self.new / 3 >= self.of / 4
    }

    fn count(&mut self, is_new: bool) {
        self.of += 1;
        self.new += u32::from(is_new);
    }
}

/// Texts by number; most of them stand here once.
#[derive(Clone, Debug)]
pub(super) struct Distinct {
    /// What they are made of.
    bytes: Pieces<PIECE>,
    places: Vec<Place>,
    /// Their numbers, each with its hash.
    known: HashTable<(u32, u32)>,
    hash: RandomState,
    /// Some texts that were met lately: most columns have few that take turns.
    lately: Vec<Met>,
    /// Long texts that are in the row that is added: where they stand, and their numbers.
    recent: [((usize, usize), u32); RECENT],
    recent_count: usize,
}

/// A text that was met, by what tells it from others: all of it, where it is short.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mark {
    ends: [u64; 2],
    len: usize,
}

/// A text that was met. All its parts are as wide: one that is read as soon as it was written is not waited for.
#[derive(Clone, Copy, Debug)]
struct Met {
    mark: Mark,
    number: u64,
}

impl Met {
    const NOTHING: Self = Self {
        mark: Mark {
            ends: [0; 2],
            len: usize::MAX,
        },
        number: NONE as u64,
    };

    /// Whether a text is this one, and too short for its mark to leave a doubt.
    #[inline]
    fn is_short(&self, text: &[u8]) -> bool {
        text.len() <= Mark::WHOLE && self.mark == Mark::of(text)
    }

    #[allow(clippy::cast_possible_truncation)] // it was one
    fn number(&self) -> u32 {
        self.number as u32
    }
}

impl Mark {
    /// Texts up to this length are the same where their marks are.
    const WHOLE: usize = 16;

    #[inline]
    fn of(text: &[u8]) -> Self {
        let four = |four: Option<&[u8; 4]>| four.map_or(0, |four| u32::from_le_bytes(*four).into());
        let eight = |eight: Option<&[u8; 8]>| eight.map_or(0, |eight| u64::from_le_bytes(*eight));
        let len = text.len();
        let ends = match text {
            _ if len >= 8 => [eight(text.first_chunk()), eight(text.last_chunk())],
            _ if len >= 4 => [four(text.first_chunk()), four(text.last_chunk())],
            [first, .., last] => {
                let between = text[len / 2];
                [
                    u64::from_le_bytes([*first, between, *last, 0, 0, 0, 0, 0]),
                    0,
                ]
            }
            [one] => [(*one).into(), 0],
            [] => [0, 0],
        };
        Self { ends, len }
    }

    /// A number that other texts seldom have.
    #[inline]
    fn mixed(&self) -> usize {
        let [first, last] = self.ends;
        let mixed = (first ^ last.rotate_left(29) ^ self.len as u64).wrapping_mul(MIX);
        (mixed >> 48) as usize
    }
}

/// Where a text is.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: At,
    len: u32,
}

impl Default for Distinct {
    fn default() -> Self {
        Self {
            bytes: Pieces::default(),
            places: Vec::new(),
            known: HashTable::new(),
            hash: RandomState::default(),
            lately: vec![Met::NOTHING; LATELY],
            recent: Default::default(),
            recent_count: 0,
        }
    }
}

impl Distinct {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
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
        let Place { at, len } = self.places[number as usize];
        &self.bytes.from(at)[..len as usize]
    }

    /// The number of a text of the row that is added, whose column had `before` last.
    #[inline(never)] // so that what is most often, a short text that was there before, has no registers to save
    fn number_in_row(&mut self, text: &[u8], before: &mut Met, new: &mut New) -> u32 {
        let mark = Mark::of(text);
        if self.is(before, &mark, text) {
            return before.number();
        }
        let number = self.look_up(text, mark, new);
        *before = Met {
            mark,
            number: number.into(),
        };
        number
    }

    /// The number of a text that its column did not have last.
    fn look_up(&mut self, text: &[u8], mark: Mark, new: &mut New) -> u32 {
        // a long one that comes again in its row is known by where it stands, before it has to be compared
        let at = (text.as_ptr() as usize, text.len());
        let is_long = text.len() > Mark::WHOLE;
        if is_long && let Some((_, number)) = self.recent.iter().find(|(known, _)| *known == at) {
            return *number;
        }
        let slot = mark.mixed() % LATELY;
        let lately = self.lately[slot];
        if self.is(&lately, &mark, text) {
            return lately.number();
        }
        let number = if new.is_rule() {
            self.add(text)
        } else {
            let known = self.len();
            let number = self.number(text);
            new.count(self.len() > known);
            number
        };
        if is_long {
            self.recent[self.recent_count % RECENT] = (at, number);
            self.recent_count += 1;
        }
        self.lately[slot] = Met {
            mark,
            number: number.into(),
        };
        number
    }

    /// Whether a text is one that was met.
    #[inline(always)]
    fn is(&self, met: &Met, mark: &Mark, text: &[u8]) -> bool {
        met.mark == *mark && (text.len() <= Mark::WHOLE || self.get(met.number()) == text)
    }

    #[allow(clippy::cast_possible_truncation)] // half of the hash
    fn number(&mut self, new: &[u8]) -> u32 {
        let hash = self.hash.hash_one(new) as u32;
        let is_known = |(known, of): &(u32, u32)| *of == hash && self.get(*known) == new;
        if let Some((known, _)) = self.known.find(spread(hash), is_known) {
            return *known;
        }
        let number = self.add(new);
        let hash_of = |(_, hash): &(u32, u32)| spread(*hash);
        self.known
            .insert_unique(spread(hash), (number, hash), hash_of);
        number
    }

    /// Adds a text, whether it is there or not.
    #[allow(clippy::cast_possible_truncation)] // a file has far fewer rows, and texts of less than 4 GiB
    fn add(&mut self, new: &[u8]) -> u32 {
        let number = self.places.len() as u32;
        self.places.push(Place {
            at: self.bytes.add(new),
            len: new.len() as u32,
        });
        number
    }
}

/// The hash of a table from half of one.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
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
            last: Met::NOTHING,
            new: New::default(),
            of: values.of,
            cells: [0; BLOCK],
        });
        Self {
            waiting: waiting.collect(),
            columns,
            rows: 0,
        }
    }

    /// A row follows, without values until they are given with [`RowWriter::from`].
    #[inline]
    pub(super) fn begin_row(&mut self) {
        if self.rows == BLOCK {
            self.settle();
        }
        self.rows += 1;
        self.columns.texts.forget_recent();
    }

    /// The columns of the row that began last, from this one on. One of another type than its value has none.
    #[inline]
    pub(super) fn from(&mut self, column: usize) -> Cursor<'_> {
        let row = self.rows.saturating_sub(1);
        let columns = self.waiting.get_mut(column..).unwrap_or_default();
        Cursor {
            columns: columns.iter_mut(),
            texts: &mut self.columns.texts,
            row,
        }
    }

    /// The values of the rows that wait go to the columns.
    fn settle(&mut self) {
        for (waiting, values) in self.waiting.iter_mut().zip(&mut self.columns.values) {
            let filled = std::mem::take(&mut waiting.filled);
            values
                .cells
                .push_rows(self.rows, filled, &mut waiting.cells);
        }
        self.rows = 0;
    }

    /// All rows.
    pub(super) fn finish(mut self) -> Columns {
        self.settle();
        self.columns
    }
}

/// The next columns of a row.
pub(super) struct Cursor<'w> {
    columns: IterMut<'w, Waiting>,
    texts: &'w mut Distinct,
    row: usize,
}

impl Cursor<'_> {
    #[inline(always)]
    fn put(&mut self, of: Kept, cell: i64) {
        if let Some(waiting) = self.columns.next()
            && waiting.of == of
            && let Some(to) = waiting.cells.get_mut(self.row)
        {
            waiting.filled |= 1 << self.row;
            *to = cell;
        }
    }
}

impl Row for Cursor<'_> {
    #[inline]
    fn missing(&mut self) {
        self.columns.next();
    }

    #[inline(always)]
    fn int(&mut self, n: i64) {
        self.put(Kept::Int, n);
    }

    #[inline]
    fn double(&mut self, n: f64) {
        self.put(Kept::Double, n.to_bits().cast_signed());
    }

    #[inline(always)]
    fn bool(&mut self, is: bool) {
        self.put(Kept::Bool, is.into());
    }

    #[inline(never)] // its callers are many places
    fn text(&mut self, text: &str) {
        if let Some(waiting) = self.columns.next()
            && waiting.of == Kept::Text
            && let Some(to) = waiting.cells.get_mut(self.row)
        {
            waiting.filled |= 1 << self.row;
            let (last, new) = (&mut waiting.last, &mut waiting.new);
            *to = if last.is_short(text.as_bytes()) {
                last.number.cast_signed()
            } else {
                self.texts.number_in_row(text.as_bytes(), last, new).into()
            };
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_a_number_of_its_own() {
        // of every length, with ends that are the same, and some that do not fit into a piece
        let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
        for len in (1..40).chain([PIECE - 1, PIECE, PIECE + 1, 3 * PIECE]) {
            let text = vec![b'a'; len];
            for at in [0, len / 3, len / 2, len - 1] {
                let mut other = text.clone();
                other[at] = b'b';
                texts.push(other);
            }
            texts.push(text);
        }
        texts.sort();
        texts.dedup();
        let mut distinct = Distinct::default();
        let mut of_column = [(Met::NOTHING, New::default()); 3];
        for round in 0..3 {
            for (number, text) in texts.iter().enumerate() {
                distinct.forget_recent();
                // another place in memory each time, and twice from the same
                let text = text.clone();
                for before in [round, number % 3] {
                    let (last, new) = &mut of_column[before];
                    let got = distinct.number_in_row(&text, last, new);
                    assert_eq!(got as usize, number);
                    assert_eq!(distinct.get(got), text);
                }
            }
        }
        assert_eq!(distinct.len(), texts.len());
    }

    #[test]
    fn where_nearly_all_are_new_none_is_looked_for() {
        let mut distinct = Distinct::default();
        let (mut last, mut new) = (Met::NOTHING, New::default());
        let mut number = |text: String| {
            distinct.forget_recent();
            let number = distinct.number_in_row(text.as_bytes(), &mut last, &mut new);
            assert_eq!(distinct.get(number), text.as_bytes());
            (number, distinct.len())
        };
        let text = |number: u32| format!("a text of more than sixteen bytes: {number}");
        for at in 0..New::ENOUGH {
            assert_eq!(number(text(at)).0, at);
        }
        let (again, count) = number(text(0));
        assert_eq!((again, count), (New::ENOUGH, 1 + New::ENOUGH as usize));
    }

    #[test]
    fn rows_come_back_as_they_were_put() {
        let of = [Type::Int, Type::Text, Type::Bool, Type::Double];
        let mut rows = RowWriter::new(of.into_iter());
        let names: Vec<String> = (0..150).map(|row| format!("name {}", row / 2)).collect();
        for (row, name) in names.iter().enumerate() {
            rows.begin_row();
            let mut put = rows.from(0);
            put.int(row as i64);
            match row % 3 {
                0 => put.missing(),
                _ => put.text(name),
            }
            rows.from(2).bool(row % 2 == 0);
            // of another type than the column: nothing
            rows.from(3).int(1);
            // of no column: neither
            rows.from(4).text(name);
        }
        let columns = rows.finish();
        assert_eq!(columns.len(), names.len());
        for (row, name) in names.iter().enumerate() {
            let value = |column: usize| columns.values[column].cells.get(row);
            assert_eq!(value(0), Some(row as i64));
            let text = value(1).map(|number| columns.texts.get(number as u32));
            assert_eq!(text, (row % 3 > 0).then_some(name.as_bytes()));
            assert_eq!((value(2), value(3)), (Some((row % 2 == 0).into()), None));
        }
    }
}
