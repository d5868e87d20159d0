//! Numbers in decimal, without the machinery of formatting.

/// The most digits that a number has.
const WIDTH: usize = 20;

/// All numbers of two digits.
pub(crate) static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

/// Writes a number before the place `at` of a text; gives where it starts.
#[inline(always)]
fn put(number: u64, mut at: usize, text: &mut [u8; 2 * WIDTH]) -> usize {
    let mut rest = number;
    while rest >= 10 {
        at -= 2;
        let pair = PAIRS[(rest % 100) as usize];
        text[at..at + 2].copy_from_slice(&pair);
        rest /= 100;
    }
    if rest > 0 || number == 0 {
        at -= 1;
        text[at] = b'0' + rest as u8;
    }
    at
}

/// A number in decimal, without an allocation.
pub(crate) struct Digits {
    text: [u8; 2 * WIDTH],
    from: usize,
}

impl Digits {
    pub(crate) fn new(number: u64) -> Digits {
        Digits::padded(number, 1)
    }

    /// With leading zeros up to a width.
    pub(crate) fn padded(number: u64, width: usize) -> Digits {
        let mut text = [b'0'; 2 * WIDTH];
        let from = put(number, WIDTH, &mut text);
        Digits {
            text,
            from: from.min(WIDTH.saturating_sub(width)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.text[self.from..WIDTH]).unwrap_or_default()
    }
}

/// Appends a whole number.
#[inline]
pub(crate) fn write_uint(number: u64, out: &mut Vec<u8>) {
    match number {
        0..10 => out.push(b'0' + number as u8),
        10..100 => out.extend_from_slice(&PAIRS[number as usize]),
        100..1000 => {
            out.push(b'0' + (number / 100) as u8);
            out.extend_from_slice(&PAIRS[(number % 100) as usize]);
        }
        1000..10_000 => write_pairs::<2>(number, out),
        _ => write_long(number, 1, out),
    }
}

/// Appends a number with leading zeros, of two digits for each of so many pairs.
#[inline]
pub(crate) fn write_pairs<const PAIRS_OF_IT: usize>(number: u64, out: &mut Vec<u8>) {
    let (mut text, mut rest) = ([[b'0'; 2]; PAIRS_OF_IT], number);
    for pair in text.iter_mut().rev() {
        *pair = PAIRS[(rest % 100) as usize];
        rest /= 100;
    }
    out.extend_from_slice(text.as_flattened());
}

/// Appends a whole number with leading zeros up to a width.
///
/// The digits end in the middle of a text, a piece of which has a fixed size and so is cheap to copy.
#[inline(never)]
pub(crate) fn write_long(number: u64, width: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 2 * WIDTH];
    let from = put(number, WIDTH, &mut text).min(WIDTH.saturating_sub(width));
    let end = out.len() + WIDTH - from;
    if let Some(piece) = text[from..].first_chunk::<WIDTH>() {
        out.extend_from_slice(piece);
        out.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_exact() {
        for n in [
            0,
            9,
            10,
            42,
            99,
            100,
            101,
            999,
            1000,
            9999,
            10_000,
            12_345,
            u64::MAX,
        ] {
            assert_eq!(text(|o| write_uint(n, o)), n.to_string());
        }
        for n in [0, 7, 10, 999_999_999_999, 1_000_000_000_000] {
            assert_eq!(Digits::padded(n, 12).as_str(), format!("{n:012}"));
            assert_eq!(text(|o| write_long(n, 12, o)), format!("{n:012}"));
        }
        assert_eq!(text(|o| write_pairs::<3>(1234, o)), "001234");
    }
}
