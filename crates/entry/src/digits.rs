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

/// All numbers of three digits, one behind the other.
static THREES: &str = {
    const BYTES: [u8; 2700] = {
        let mut bytes = [b'0'; 2700];
        let mut i = 0;
        while i < 900 {
            let n = i + 100;
            bytes[3 * i] += (n / 100) as u8;
            bytes[3 * i + 1] += (n / 10 % 10) as u8;
            bytes[3 * i + 2] += (n % 10) as u8;
            i += 1;
        }
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};

/// A number of three digits in decimal, as codes of a status are.
pub(crate) fn of_three(number: u64) -> Option<&'static str> {
    let at = usize::try_from(number.checked_sub(100)?)
        .ok()?
        .checked_mul(3)?;
    THREES.get(at..at.checked_add(3)?)
}

/// A number in decimal, without an allocation.
///
/// The digits end in the middle of the text, a piece of which has a fixed size and so is cheap to copy.
pub(crate) struct Digits {
    text: [u8; 2 * WIDTH],
    from: usize,
}

impl Digits {
    #[inline(always)]
    pub(crate) fn new(number: u64) -> Digits {
        Digits::padded(number, 1)
    }

    /// With leading zeros up to a width.
    #[inline(always)]
    pub(crate) fn padded(number: u64, width: usize) -> Digits {
        let (mut text, mut from, mut rest) = ([b'0'; 2 * WIDTH], WIDTH, number);
        while rest >= 10 {
            from -= 2;
            text[from..from + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        if rest > 0 || number == 0 {
            from -= 1;
            text[from] = b'0' + rest as u8;
        }
        Digits {
            text,
            from: from.min(WIDTH.saturating_sub(width)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.text[self.from..WIDTH]).unwrap_or_default()
    }

    /// Appends it.
    #[inline(always)]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + WIDTH - self.from;
        if let Some(piece) = self.text[self.from..].first_chunk::<WIDTH>() {
            out.extend_from_slice(piece);
            out.truncate(end);
        }
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
        _ => write_long(number, out),
    }
}

#[inline(never)]
fn write_long(number: u64, out: &mut Vec<u8>) {
    Digits::new(number).write(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_three_digits_are_there() {
        for n in 0..1100 {
            let text = of_three(n);
            assert_eq!(text, (100..1000).contains(&n).then_some(&*n.to_string()));
        }
        assert_eq!(of_three(u64::MAX), None);
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
            let mut out = Vec::new();
            write_uint(n, &mut out);
            assert_eq!(out, n.to_string().as_bytes());
        }
        for n in [0, 7, 10, 999_999_999_999, 1_000_000_000_000] {
            let (digits, mut out) = (Digits::padded(n, 12), Vec::new());
            digits.write(&mut out);
            assert_eq!(digits.as_str(), format!("{n:012}"));
            assert_eq!(out, digits.as_str().as_bytes());
        }
    }
}
