//! Values of a column in blocks, each value in as few bytes as its block allows: rows wait in memory until their file is
//! written, and most of their numbers are small or near to each other.

/// Rows of a block: a bit each says which have a value.
pub(super) const BLOCK: usize = 64;

/// 64-bit values, each of which may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Packed {
    blocks: Vec<Block>,
    /// Of each block's rows by how much they are above its least value, `width` bytes each.
    above: Vec<u8>,
    /// The rows behind the last block; fewer than it takes.
    rest: Vec<Option<i64>>,
}

/// [`BLOCK`] rows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
    /// Which rows have a value.
    filled: u64,
    least: i64,
    /// Where its part of [`Packed::above`] begins.
    at: usize,
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
    /// What holds everything up to a number.
    fn of(most: u64) -> Self {
        match most {
            0 => Self::None,
            1..=0xff => Self::One,
            0x100..=0xffff => Self::Two,
            0x1_0000..=0xffff_ffff => Self::Four,
            _ => Self::Eight,
        }
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
        let at = self.above.len();
        let first = cells.get(filled.trailing_zeros() as usize);
        let first = first.copied().unwrap_or_default();
        if filled != u64::MAX {
            for (row, cell) in cells.iter_mut().enumerate() {
                if filled >> row & 1 == 0 {
                    *cell = first;
                }
            }
        }
        let least = cells.iter().fold(first, |least, cell| least.min(*cell));
        let most = cells.iter().fold(first, |most, cell| most.max(*cell));
        let width = Width::of(most.wrapping_sub(least).cast_unsigned());
        let above = cells
            .iter()
            .map(|cell| cell.wrapping_sub(least).to_le_bytes());
        match width {
            Width::None => {}
            Width::One => self.above.extend(above.map(|[byte, ..]| byte)),
            Width::Two => self.above.extend(above.flat_map(|[a, b, ..]| [a, b])),
            Width::Four => {
                let above = above.flat_map(|[a, b, c, d, ..]| [a, b, c, d]);
                self.above.extend(above);
            }
            Width::Eight => self.above.extend(above.flatten()),
        }
        self.blocks.push(Block {
            filled,
            least,
            at,
            width,
        });
    }

    /// The value that all rows have, or that they have none, where that is so.
    pub(super) fn same(&self) -> Option<Option<i64>> {
        let same = |block: &Block| match (block.width, block.filled) {
            (_, 0) => Some(None),
            (Width::None, u64::MAX) => Some(Some(block.least)),
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
        let is_filled = block.filled >> row & 1 != 0;
        is_filled.then(|| block.least.wrapping_add(self.above(block, row)))
    }

    /// By how much a row of a block is above its least value.
    #[inline]
    fn above(&self, block: &Block, row: usize) -> i64 {
        let part = self.above.get(block.at..).unwrap_or_default();
        let above = match block.width {
            Width::None => None,
            Width::One => part.get(row).map(|byte| i64::from(*byte)),
            Width::Two => chunk(part, row).map(|bytes| u16::from_le_bytes(bytes).into()),
            Width::Four => chunk(part, row).map(|bytes| u32::from_le_bytes(bytes).into()),
            Width::Eight => chunk(part, row).map(i64::from_le_bytes),
        };
        above.unwrap_or_default()
    }

    /// Appends the values of some rows that stand one behind the other.
    pub(super) fn read(&self, rows: std::ops::Range<usize>, out: &mut Vec<Option<i64>>) {
        out.reserve(rows.len());
        let mut at = rows.start;
        while let Some(block) = self.blocks.get(at / BLOCK).filter(|_| at < rows.end) {
            let here = at % BLOCK..BLOCK.min(rows.end - at + at % BLOCK);
            at += here.len();
            let is_filled = |row: usize| block.filled >> row & 1 != 0;
            if block.filled == 0 {
                out.extend(here.map(|_| None));
            } else if block.width == Width::None {
                out.extend(here.map(|row| is_filled(row).then_some(block.least)));
            } else {
                out.extend(here.map(|row| {
                    is_filled(row).then(|| block.least.wrapping_add(self.above(block, row)))
                }));
            }
        }
        out.extend((at..rows.end).map(|row| self.get(row)));
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
            let mut read = Vec::new();
            packed.read(rows.clone(), &mut read);
            assert_eq!(read, all[rows.clone()], "{rows:?}");
        }
        assert!(
            packed.above.len() < 2 * 64 * 8 + 64 * (1 + 2 + 8),
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
