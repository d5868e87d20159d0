//! Strings, numbers and bytes as JSON.

use base64::Engine;
use base64::engine::{Simd, general_purpose::PAD};
use std::sync::LazyLock;
use wide::u8x16;

/// For each byte: 0 = stands as it is, else the letter after the backslash (`u` for a code).
static ESCAPE: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Bytes looked at at once.
const BLOCK: usize = 16;

/// Appends a JSON string.
#[inline]
pub fn write_str(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let from = out.len();
    if !copy_plain(text.as_bytes(), out) {
        out.truncate(from);
        escape(text.as_bytes(), out);
    }
    out.push(b'"');
}

/// Appends bytes from the wire as a JSON string; what is not UTF-8 is replaced as `String::from_utf8_lossy` does.
#[inline]
pub fn write_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let from = out.len();
    if !copy_plain(bytes, out) {
        out.truncate(from);
        escape(String::from_utf8_lossy(bytes).as_bytes(), out);
    }
    out.push(b'"');
}

/// Appends text that is ASCII and needs no escape, in one go; `false` where it is other text, after a part of it.
///
/// It is copied in blocks and words of fixed size, the last of which overlaps the one before: most texts are short, and
/// a call for each to copy a number of bytes that is not known costs more than they do.
#[inline]
fn copy_plain(text: &[u8], out: &mut Vec<u8>) -> bool {
    let end = out.len() + text.len();
    if let Some(last) = text.last_chunk::<BLOCK>() {
        let (blocks, _) = text.as_chunks();
        for block in blocks {
            out.extend_from_slice(block);
            if !is_plain(block) {
                return false;
            }
        }
        out.truncate(end - BLOCK);
        out.extend_from_slice(last);
        return is_plain(last);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        out.extend_from_slice(first);
        out.truncate(end - 8);
        out.extend_from_slice(last);
        return are_plain(u64::from_le_bytes(*first)) && are_plain(u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        out.extend_from_slice(first);
        out.truncate(end - 4);
        out.extend_from_slice(last);
        return are_plain(
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)),
        );
    }
    text.iter().all(|byte| {
        out.push(*byte);
        byte.is_ascii() && ESCAPE[usize::from(*byte)] == 0
    })
}

/// Whether a block is ASCII and needs no escape.
#[inline]
fn is_plain(block: &[u8; BLOCK]) -> bool {
    let bytes = u8x16::new(*block);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    let odd = control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
    // the mask is of highest bits: those of the bytes themselves tell what is not ASCII
    (odd | bytes).to_bitmask() == 0
}

/// Whether the bytes of a word are ASCII and need no escape.
#[inline]
fn are_plain(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let equal = |byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    // the highest bit of a byte says so, or that a lower byte is odd
    let odd = word | word.wrapping_sub(ONES * 0x20) | equal(b'"') | equal(b'\\');
    odd & (ONES << 7) == 0
}

#[inline(never)]
fn escape(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + text.len() / 8);
    for block in text.chunks(BLOCK) {
        if block.as_array().is_some_and(is_plain) {
            out.extend_from_slice(block);
            continue;
        }
        for byte in block {
            match ESCAPE[usize::from(*byte)] {
                0 => out.push(*byte),
                b'u' => {
                    let hex = |n: u8| b"0123456789abcdef"[usize::from(n & 15)];
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(*byte >> 4), hex(*byte)]);
                }
                letter => out.extend_from_slice(&[b'\\', letter]),
            }
        }
    }
}

/// A number in decimal, without an allocation.
pub(crate) struct Digits {
    text: [u8; 20],
    from: usize,
}

impl Digits {
    pub(crate) fn new(number: u64) -> Digits {
        Digits::padded(number, 1)
    }

    /// With leading zeros up to a width.
    pub(crate) fn padded(number: u64, width: usize) -> Digits {
        const PAIRS: [[u8; 2]; 100] = {
            let mut pairs = [[0; 2]; 100];
            let mut i = 0;
            while i < 100 {
                pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
                i += 1;
            }
            pairs
        };
        let mut text = [b'0'; 20];
        let (mut from, mut rest) = (text.len(), number);
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
            from: from.min(text.len().saturating_sub(width)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text[self.from..]
    }
}

/// Appends a whole number.
pub(super) fn write_int(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    write_uint(number.unsigned_abs(), out);
}

/// Appends a whole number.
pub(super) fn write_uint(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(Digits::new(number).as_bytes());
}

/// Appends a JSON string holding base64 (RFC 4648 §4) of bytes.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    base64(bytes, out);
    out.push(b'"');
}

/// Appends a JSON string holding base64 (RFC 4648 §4) of bytes that lie in pieces.
pub fn write_base64_pieces<'p>(pieces: impl Iterator<Item = &'p [u8]>, out: &mut Vec<u8>) {
    out.push(b'"');
    // the bytes that do not fill a group of three yet
    let (mut group, mut filled) = ([0; 3], 0);
    for mut piece in pieces {
        while filled > 0
            && let Some((first, rest)) = piece.split_first()
        {
            group[filled] = *first;
            filled = (filled + 1) % group.len();
            if filled == 0 {
                base64(&group, out);
            }
            piece = rest;
        }
        let (groups, rest) = piece.split_at(piece.len() - piece.len() % group.len());
        base64(groups, out);
        if !rest.is_empty() {
            group[..rest.len()].copy_from_slice(rest);
            filled = rest.len();
        }
    }
    base64(&group[..filled], out);
    out.push(b'"');
}

/// Appends base64 (RFC 4648 §4) of bytes.
pub fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
    let from = out.len();
    out.resize(from + bytes.len().div_ceil(3) * 4, 0);
    // there is room for all of it
    let written = ENGINE.encode_slice(bytes, &mut out[from..]).unwrap_or(0);
    out.truncate(from + written);
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
    fn strings_are_escaped_whatever_the_length_and_place() {
        assert_eq!(
            text(|o| write_str("a\"\\\n\u{1}\u{1f}é", o)),
            "\"a\\\"\\\\\\n\\u0001\\u001fé\""
        );
        for len in 0..70 {
            let plain = "~ !#[]\u{7f}é€".repeat(6);
            let plain = plain.get(..len).unwrap_or("");
            assert_eq!(text(|o| write_str(plain, o)), format!("\"{plain}\""));
            assert_eq!(
                text(|o| write_text(plain.as_bytes(), o)),
                format!("\"{plain}\"")
            );
            for (odd, escaped) in [
                ('"', r#"\""#),
                ('\\', r"\\"),
                ('\t', r"\t"),
                ('\0', r"\u0000"),
                ('\u{1f}', r"\u001f"),
            ] {
                for at in 0..=len {
                    let with =
                        |inner: &str| format!("{}{inner}{}", "x".repeat(at), "y".repeat(len - at));
                    let wanted = format!("\"{}\"", with(escaped));
                    assert_eq!(text(|o| write_str(&with(&odd.to_string()), o)), wanted);
                    assert_eq!(
                        text(|o| write_text(with(&odd.to_string()).as_bytes(), o)),
                        wanted
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(text(|o| write_text(b"a\xffb\"", o)), "\"a\u{fffd}b\\\"\"");
    }

    #[test]
    fn numbers_are_exact() {
        for n in [0, -1, 9, 10, 42, 99, 100, 101, 12_345, i64::MIN, i64::MAX] {
            assert_eq!(text(|o| write_int(n, o)), n.to_string());
        }
        assert_eq!(text(|o| write_uint(u64::MAX, o)), u64::MAX.to_string());
        for n in [0, 7, 10, 999_999_999_999, 1_000_000_000_000] {
            assert_eq!(Digits::padded(n, 12).as_str(), format!("{n:012}"));
        }
    }

    #[test]
    fn bytes_are_base64() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(text(|o| base64(plain.as_bytes(), o)), coded);
            assert_eq!(
                text(|o| write_base64(plain.as_bytes(), o)),
                format!("\"{coded}\"")
            );
        }
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let whole = text(|o| write_base64(&bytes, o));
        assert_eq!(whole.len(), 1338);
        for size in 1..20 {
            assert_eq!(text(|o| write_base64_pieces(bytes.chunks(size), o)), whole);
        }
    }
}
