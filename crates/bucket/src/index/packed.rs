//! Values of a column in blocks, each value in as few bytes as its block allows: rows wait in memory until their file is
//! written, and most of their numbers are small or near to each other.

use std::ops::Range;

use super::pieces::{At, Pieces};

/// Rows of a block: a bit each says which have a value.
pub(super) const BLOCK: usize = 64;
/// Bytes of values that are asked for at a time.
const PIECE: usize = 4 << 10;

/// 64-bit values, each of which may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Packed {
    blocks: Vec<Block>,
    /// The low bytes of each block's rows, `width` of them each.
    low: Pieces<PIECE>,
    /// The rows behind the last block; fewer than it takes.
    rest: Vec<Option<i64>>,
}

/// [`BLOCK`] rows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
    /// Which rows have a value.
    filled: u64,
    /// The bits above the low bytes, which all values share.
    high: i64,
    /// Where its part of [`Packed::low`] begins.
    at: At,
    width: Width,
}

/// Bytes that a row takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Width {
    /// All that have a value have the same.
    None,
    One,
    Two,
    Four,
    Eight,
}

impl Width {
    /// What holds all bits in which values differ, and these bits.
    fn of(differ: u64) -> (Self, u64) {
        match differ {
            0 => (Self::None, 0),
            1..=0xff => (Self::One, 0xff),
            0x100..=0xffff => (Self::Two, 0xffff),
            0x1_0000..=0xffff_ffff => (Self::Four, 0xffff_ffff),
            _ => (Self::Eight, u64::MAX),
        }
    }
}

/// Whether rows can lack a value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Nulls {
    No,
    Some,
}

/// Values that were packed, as they are worked with.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    values: Vec<i64>,
    /// Which rows have one; empty where all have.
    there: Vec<bool>,
}

impl Cells {
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.there.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether rows can lack a value.
    pub(super) fn nulls(&self) -> Nulls {
        match self.there.is_empty() {
            true => Nulls::No,
            false => Nulls::Some,
        }
    }

    /// The values in the order of their rows, without those that are missing.
    pub(super) fn filled(&self) -> impl Iterator<Item = i64> {
        self.iter().flatten()
    }

    /// Appends [`Cells::filled`].
    pub(super) fn filled_into(&self, out: &mut Vec<i64>) {
        if self.nulls() == Nulls::No {
            out.extend_from_slice(&self.values);
        } else {
            out.extend(self.filled());
        }
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<i64>> {
        let there = self.there.iter().copied().chain(std::iter::repeat(true));
        let rows = self.values.iter().zip(there);
        rows.map(|(value, there)| there.then_some(*value))
    }

    /// What `of` makes of each row, in place of what `out` has.
    #[inline]
    pub(super) fn map_into(&self, out: &mut Vec<u32>, mut of: impl FnMut(Option<i64>) -> u32) {
        out.clear();
        if self.there.is_empty() {
            out.extend(self.values.iter().map(|value| of(Some(*value))));
        } else {
            let rows = self.values.iter().zip(&self.there);
            out.extend(rows.map(|(value, there)| of(there.then_some(*value))));
        }
    }

    #[inline]
    pub(super) fn get(&self, row: usize) -> Option<i64> {
        let value = self.values.get(row)?;
        self.there
            .get(row)
            .is_none_or(|there| *there)
            .then_some(*value)
    }

    pub(super) fn push(&mut self, value: Option<i64>) {
        if value.is_none() && self.there.is_empty() {
            self.there.resize(self.values.len(), true);
        }
        if value.is_none() || !self.there.is_empty() {
            self.there.push(value.is_some());
        }
        self.values.push(value.unwrap_or_default());
    }

    /// The values of these rows of others, in place of its own.
    pub(super) fn pick(&mut self, all: &Self, rows: impl Iterator<Item = usize> + Clone) {
        self.clear();
        if !all.there.is_empty() {
            self.there.extend(rows.clone().map(|row| all.there[row]));
        }
        self.values.extend(rows.map(|row| all.values[row]));
    }

    /// Some rows of a block: all of them have this value where `low` gives nothing.
    fn extend(&mut self, block: &Block, rows: Range<usize>, low: impl Iterator<Item = i64>) {
        let len = rows.len();
        if block.filled != u64::MAX && self.there.is_empty() {
            self.there.resize(self.values.len(), true);
        }
        if block.filled != u64::MAX || !self.there.is_empty() {
            self.there.extend(rows.map(|row| block.has(row)));
        }
        self.values
            .extend(low.take(len).map(|low| block.high | low));
    }
}

impl Block {
    #[inline]
    fn has(&self, row: usize) -> bool {
        self.filled >> row & 1 != 0
    }
}

impl Packed {
    /// Rows.
    pub(super) fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.rest.len()
    }

    /// Adds a row.
    pub(super) fn push(&mut self, value: Option<i64>) {
        self.rest.push(value);
        if self.rest.len() < BLOCK {
            return;
        }
        let (mut filled, mut cells) = (0, [0; BLOCK]);
        for ((row, value), cell) in self.rest.drain(..).enumerate().zip(&mut cells) {
            filled |= u64::from(value.is_some()) << row;
            *cell = value.unwrap_or_default();
        }
        self.put_block(filled, &mut cells);
    }

    /// Adds some rows, at most as many as a block has; `filled` says which of them have a value, each at its place in
    /// `cells`.
    pub(super) fn push_rows(&mut self, rows: usize, filled: u64, cells: &mut [i64; BLOCK]) {
        if rows == BLOCK && self.rest.is_empty() {
            self.put_block(filled, cells);
            return;
        }
        for (row, cell) in cells.iter().enumerate().take(rows) {
            self.push((filled >> row & 1 != 0).then_some(*cell));
        }
    }

    fn put_block(&mut self, filled: u64, cells: &mut [i64; BLOCK]) {
        let first = cells.get(filled.trailing_zeros() as usize);
        let Some(first) = first.copied() else {
            self.blocks.push(Block {
                filled,
                high: 0,
                at: At::default(),
                width: Width::None,
            });
            return;
        };
        if filled != u64::MAX {
            for (row, cell) in cells.iter_mut().enumerate() {
                if filled >> row & 1 == 0 {
                    *cell = first;
                }
            }
        }
        let differ = cells.iter().fold(0, |differ, cell| differ | (cell ^ first));
        let (width, low) = Width::of(differ.cast_unsigned());
        let at = match width {
            Width::None => At::default(),
            Width::One => self.put_low(cells, |[a, ..]| [a]),
            Width::Two => self.put_low(cells, |[a, b, ..]| [a, b]),
            Width::Four => self.put_low(cells, |[a, b, c, d, ..]| [a, b, c, d]),
            Width::Eight => self.put_low(cells, |all| all),
        };
        self.blocks.push(Block {
            filled,
            high: first & !low.cast_signed(),
            at,
            width,
        });
    }

    #[inline]
    fn put_low<const N: usize>(
        &mut self,
        cells: &[i64; BLOCK],
        low: impl Fn([u8; 8]) -> [u8; N],
    ) -> At {
        let mut bytes = [[0; N]; BLOCK];
        for (to, cell) in bytes.iter_mut().zip(cells) {
            *to = low(cell.to_le_bytes());
        }
        self.low.add(bytes.as_flattened())
    }

    /// The value that all rows have, or that they have none, where that is so.
    pub(super) fn same(&self) -> Option<Option<i64>> {
        let same = |block: &Block| match (block.width, block.filled) {
            (_, 0) => Some(None),
            (Width::None, u64::MAX) => Some(Some(block.high)),
            _ => None,
        };
        let rest = self.rest.iter().map(|row| Some(*row));
        let mut all = self.blocks.iter().map(same).chain(rest);
        let first = all.next()??;
        all.all(|same| same == Some(first)).then_some(first)
    }

    /// The value of a row.
    pub(super) fn get(&self, row: usize) -> Option<i64> {
        let Some(block) = self.blocks.get(row / BLOCK) else {
            let row = row.checked_sub(self.blocks.len() * BLOCK)?;
            return self.rest.get(row).copied().flatten();
        };
        let row = row % BLOCK;
        if !block.has(row) {
            return None;
        }
        let part = self.low.from(block.at);
        let low = match block.width {
            Width::None => None,
            Width::One => part.get(row).map(|byte| i64::from(*byte)),
            Width::Two => chunk(part, row).map(|bytes| u16::from_le_bytes(bytes).into()),
            Width::Four => chunk(part, row).map(|bytes| u32::from_le_bytes(bytes).into()),
            Width::Eight => chunk(part, row).map(i64::from_le_bytes),
        };
        Some(block.high | low.unwrap_or_default())
    }

    /// Appends the values of some rows that stand one behind the other.
    pub(super) fn read(&self, rows: Range<usize>, out: &mut Cells) {
        let mut at = rows.start;
        while let Some(block) = self.blocks.get(at / BLOCK).filter(|_| at < rows.end) {
            let here = at % BLOCK..BLOCK.min(rows.end - at + at % BLOCK);
            at += here.len();
            let low = |width: usize| {
                let low = self.low.from(block.at);
                let low = low.get(here.start * width..here.end * width);
                low.unwrap_or_default()
            };
            let rows = here.clone();
            match block.width {
                Width::None => out.extend(block, rows, std::iter::repeat(0)),
                Width::One => out.extend(block, rows, low(1).iter().map(|byte| (*byte).into())),
                Width::Two => {
                    let low = low(2).as_chunks().0.iter();
                    out.extend(block, rows, low.map(|low| u16::from_le_bytes(*low).into()));
                }
                Width::Four => {
                    let low = low(4).as_chunks().0.iter();
                    out.extend(block, rows, low.map(|low| u32::from_le_bytes(*low).into()));
                }
                Width::Eight => {
                    let low = low(8).as_chunks().0.iter();
                    out.extend(block, rows, low.map(|low| i64::from_le_bytes(*low)));
                }
            }
        }
        for row in at..rows.end {
            out.push(self.get(row));
        }
    }
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at * N..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of all widths, with some missing.
    fn values() -> Vec<Option<i64>> {
        let by_block = [
            |_: i64| Some(7),
            |_| None,
            |row| (row % 3 > 0).then_some(7),
            |row| Some(row - 100),
            |row| (row % 5 > 0).then_some(row * 1_000 - 20_000),
            |row| Some(row * 100_000_000 - i64::MAX / 2),
            |row| Some(if row % 2 == 0 { i64::MIN } else { i64::MAX }),
            |row| (row < 2).then_some(row),
        ];
        let rows = |of: &fn(i64) -> Option<i64>| (0..64).map(*of).collect::<Vec<_>>();
        by_block
            .iter()
            .flat_map(rows)
            .chain([Some(3), None])
            .collect()
    }

    #[test]
    fn values_come_back() {
        let all = values();
        let mut packed = Packed::default();
        for value in &all {
            packed.push(*value);
        }
        assert_eq!((packed.len(), packed.same()), (all.len(), None));
        let one_by_one: Vec<_> = (0..all.len()).map(|row| packed.get(row)).collect();
        assert_eq!(one_by_one, all);
        for rows in [0..all.len(), 0..0, 63..65, 70..200, 500..514, 513..514] {
            let mut read = Cells::default();
            packed.read(rows.clone(), &mut read);
            assert_eq!(
                read.iter().collect::<Vec<_>>(),
                all[rows.clone()],
                "{rows:?}"
            );
            let one_by_one: Vec<_> = (0..rows.len()).map(|row| read.get(row)).collect();
            assert_eq!(one_by_one, all[rows.clone()], "{rows:?}");
        }
        assert!(
            packed.low.len() < 2 * 64 * 8 + 64 * (1 + 2 + 8),
            "small ones are small"
        );
    }

    #[test]
    fn blocks_and_single_rows_are_the_same() {
        let all = values();
        let (mut by_row, mut by_block) = (Packed::default(), Packed::default());
        for value in &all {
            by_row.push(*value);
        }
        for block in all.chunks(BLOCK) {
            let Ok(block) = <&[_; BLOCK]>::try_from(block) else {
                block.iter().for_each(|value| by_block.push(*value));
                continue;
            };
            let filled = block.iter().rev();
            let filled = filled.fold(0, |bits, row| bits << 1 | u64::from(row.is_some()));
            // what stands where there is no value does not count
            by_block.push_rows(BLOCK, filled, &mut block.map(|value| value.unwrap_or(-9)));
        }
        assert!(by_row == by_block);
    }

    #[test]
    fn what_all_rows_have_is_known() {
        for value in [None, Some(-1)] {
            let mut packed = Packed::default();
            assert_eq!(packed.same(), None);
            for _ in 0..130 {
                packed.push(value);
                assert_eq!(packed.same(), Some(value));
            }
            packed.push(Some(5));
            assert_eq!(packed.same(), None);
        }
    }
}
