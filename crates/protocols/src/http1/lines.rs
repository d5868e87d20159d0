//! Ends of lines, found 64 bytes at a time: parsing heads is most of the work of small HTTP traffic.

use wide::u8x16;

/// Bytes looked at at once.
const BLOCK: usize = 64;

/// The offsets of all `\n` in a slice, in order.
#[derive(Clone)]
pub(super) struct Newlines<'a> {
    data: &'a [u8],
    /// Offset of the block that `mask` tells of.
    block: usize,
    /// A bit for each newline of the block that has not been given yet.
    mask: u64,
}

impl<'a> Newlines<'a> {
    /// Those at or behind `from`.
    #[inline]
    pub(super) fn new(data: &'a [u8], from: usize) -> Self {
        Newlines {
            data,
            block: from,
            mask: mask(data, from),
        }
    }
}

impl Iterator for Newlines<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            let next = self.block + BLOCK;
            if next >= self.data.len() {
                return None;
            }
            self.mask = mask(self.data, next);
            self.block = next;
        }
        let at = self.block + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }
}

/// A bit for each newline among the 64 bytes from `at` on, or as many as there are.
#[inline]
fn mask(data: &[u8], at: usize) -> u64 {
    let rest = data.get(at..).unwrap_or_default();
    if let Some(block) = rest.first_chunk() {
        return block_mask(block);
    }
    // the last bytes, with those before them, which fall out
    match data.last_chunk() {
        Some(block) if !rest.is_empty() => block_mask(block) >> (BLOCK - rest.len()),
        _ => short_mask(rest),
    }
}

#[cold]
fn short_mask(rest: &[u8]) -> u64 {
    rest.iter()
        .rev()
        .fold(0, |mask, byte| mask << 1 | u64::from(*byte == b'\n'))
}

#[inline]
fn block_mask(block: &[u8; BLOCK]) -> u64 {
    let newline = u8x16::splat(b'\n');
    let (lanes, _) = block.as_chunks::<16>();
    let mut mask = 0;
    for (i, lane) in lanes.iter().enumerate() {
        let bits = u8x16::new(*lane).simd_eq(newline).to_bitmask();
        mask |= u64::from(bits) << (16 * i);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_newline_is_found_once_whatever_the_length_and_offset() {
        let mut text: Vec<u8> = (0..200u8)
            .map(|i| {
                if i % 7 == 3 || i % 64 == 0 {
                    b'\n'
                } else {
                    i.max(11)
                }
            })
            .collect();
        text.extend([b'\n'; 70]);
        for len in 0..text.len() {
            for from in [0, 1, 15, 16, 63, 64, 65, 130] {
                let found: Vec<usize> = Newlines::new(&text[..len], from).collect();
                let expected: Vec<usize> = (from..len).filter(|i| text[*i] == b'\n').collect();
                assert_eq!(found, expected, "{len} bytes from {from}");
            }
        }
    }
}
