//! Integers as the differences between them (Parquet's `Encodings.md`, DELTA_BINARY_PACKED): what hardly repeats, but grows.

use super::bits::{put_bits, put_varint};

/// Values of a block, and of the parts of it that have a width each.
const BLOCK: usize = 128;
const PART: usize = 32;

/// Appends integers.
pub(super) fn put_deltas(out: &mut Vec<u8>, mut ints: impl ExactSizeIterator<Item = i64>) {
    put_varint(out, BLOCK as u64);
    put_varint(out, (BLOCK / PART) as u64);
    put_varint(out, ints.len() as u64);
    let Some(mut before) = ints.next() else {
        put_varint(out, 0);
        return;
    };
    put_zigzag(out, before);
    while ints.len() > 0 {
        let mut deltas = [0; BLOCK];
        let deltas = &mut deltas[..ints.len().min(BLOCK)];
        let mut least = i64::MAX;
        for (delta, int) in deltas.iter_mut().zip(&mut ints) {
            *delta = int.wrapping_sub(before);
            least = least.min(*delta);
            before = int;
        }
        put_zigzag(out, least);
        for delta in &mut *deltas {
            *delta = delta.wrapping_sub(least);
        }
        let width = |part: &[i64]| 64 - part.iter().fold(0, |bits, d| bits | d).leading_zeros();
        let widths = out.len();
        // parts that the last block lacks have a width, too
        out.resize(widths + BLOCK / PART, 0);
        for (number, part) in deltas.chunks(PART).enumerate() {
            let width = width(part);
            out[widths + number] = width as u8;
            let values = part.iter().map(|delta| delta.cast_unsigned());
            put_bits(out, values, width, PART);
        }
    }
}

/// A signed number, near to zero in few bytes.
fn put_zigzag(out: &mut Vec<u8>, n: i64) {
    put_varint(out, ((n << 1) ^ (n >> 63)).cast_unsigned());
}
