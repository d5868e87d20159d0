//! Small numbers in as few bits as they need (Parquet's `Encodings.md`: RLE/bit-packing hybrid, ULEB128).

/// Numbers below 2^`width` as runs of equal ones and as bits, whichever is shorter.
pub(super) fn put_hybrid(out: &mut Vec<u8>, values: &[u32], width: u32) {
    let is_run = |eight: &[u32; 8]| {
        let differ = eight.iter().fold(0, |differ, n| differ | (n ^ eight[0]));
        differ == 0
    };
    let mut rest = values;
    while let Some(first) = rest.first() {
        let equal = rest.iter().take_while(|value| *value == first).count();
        if equal >= 8 {
            put_run(out, equal, *first, width);
            rest = &rest[equal..];
            continue;
        }
        // in groups of eight, up to a run
        let (eights, _) = rest.as_chunks();
        let packed = eights.iter().take_while(|eight| !is_run(eight)).count();
        let packed = if packed == eights.len() {
            rest.len()
        } else {
            packed * 8
        };
        put_packed(out, &rest[..packed], width);
        rest = &rest[packed..];
    }
}

pub(super) fn put_run(out: &mut Vec<u8>, len: usize, value: u32, width: u32) {
    put_varint(out, (len as u64) << 1);
    let bytes = value.to_le_bytes();
    out.extend_from_slice(&bytes[..width.div_ceil(8) as usize]);
}

/// Groups of eight, the last one filled up with zeros.
fn put_packed(out: &mut Vec<u8>, values: &[u32], width: u32) {
    let groups = values.len().div_ceil(8);
    put_varint(out, (groups as u64) << 1 | 1);
    put_bits(
        out,
        values.iter().map(|value| u64::from(*value)),
        width,
        groups * 8,
    );
}

/// The low `width` bits of each value, the first in the lowest; as if there were `all` of them, a multiple of eight.
pub(super) fn put_bits(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = u64>,
    width: u32,
    all: usize,
) {
    let end = out.len() + all / 8 * width as usize;
    let (mut bits, mut filled) = (0_u64, 0);
    // what waits and what comes, less than 32 bits and at most 32, have room in one word
    let mut put = |value: u32, width: u32| {
        bits |= u64::from(value) << filled;
        filled += width;
        if filled >= u32::BITS {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= u32::BITS;
            filled -= u32::BITS;
        }
    };
    for value in values {
        put(value as u32, width.min(u32::BITS));
        if width > u32::BITS {
            put((value >> u32::BITS) as u32, width - u32::BITS);
        }
    }
    out.extend_from_slice(&bits.to_le_bytes());
    out.resize(end, 0);
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n > 0x7f {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
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
}
