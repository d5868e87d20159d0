//! Strings, numbers and bytes as JSON.

use crate::digits::write_uint;
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
    if text.is_empty() {
        return out.extend_from_slice(b"\"\"");
    }
    write_text(text.as_bytes(), out);
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

/// Appends text from the wire as a JSON string as [`write_text`] does, where it is a part of more: what stands behind it
/// is there to be copied too, and dropped again, so that most texts are done in a step or two.
#[inline]
pub fn write_text_in(bytes: &[u8], text: std::ops::Range<usize>, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(b'"');
    let mut from = text.start;
    while let Some(block) = block(bytes, from) {
        out.extend_from_slice(&block);
        let (odd, left) = (odd(&block), text.end.saturating_sub(from));
        if left <= BLOCK && odd & ((1 << left) - 1) == 0 {
            out.truncate(start + 1 + text.len());
            out.push(b'"');
            return;
        }
        if left <= BLOCK || odd != 0 {
            break;
        }
        from += BLOCK;
    }
    out.truncate(start);
    write_text(bytes.get(text).unwrap_or_default(), out);
}

/// Room at the end of a text, for parts that are put into it one behind the other at little cost; what is left of it is
/// dropped with it.
#[derive(Debug)]
pub struct Room<'o> {
    out: &'o mut Vec<u8>,
    /// Where the next part goes.
    at: usize,
}

impl<'o> Room<'o> {
    /// Room for so many bytes.
    #[inline]
    pub fn new(out: &'o mut Vec<u8>, bytes: usize) -> Self {
        let at = out.len();
        out.resize(at + bytes + 2 * BLOCK, 0);
        Room { out, at }
    }

    /// Puts bytes.
    ///
    /// # Panics
    /// Where there is no room for them.
    #[inline(always)]
    pub fn put<const LEN: usize>(&mut self, bytes: &[u8; LEN]) {
        self.out[self.at..self.at + LEN].copy_from_slice(bytes);
        self.at += LEN;
    }

    /// Puts the part of a text that is in this range as a JSON string, if it is ASCII that needs no escape. Else, and
    /// where there may be no room for it, `false`: it is as it was.
    #[inline(always)]
    pub fn text_in(&mut self, bytes: &[u8], text: std::ops::Range<usize>) -> bool {
        let (start, mut from) = (self.at, text.start);
        self.put(b"\"");
        while let (Some(block), Some(room)) = (
            block(bytes, from),
            self.out.get_mut(self.at..self.at + BLOCK),
        ) {
            room.copy_from_slice(&block);
            let odd = odd(&block);
            if from + BLOCK >= text.end {
                let len = text.end.saturating_sub(from);
                if odd & ((1 << len) - 1) != 0 {
                    break;
                }
                self.at += len;
                self.put(b"\"");
                return true;
            }
            if odd != 0 {
                break;
            }
            self.at += BLOCK;
            from += BLOCK;
        }
        self.at = start;
        false
    }

    /// Appends what there is no room for.
    #[inline(never)]
    pub fn beyond(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        let room = self.out.len() - self.at;
        self.out.truncate(self.at);
        append(self.out);
        self.at = self.out.len();
        self.out.resize(self.at + room, 0);
    }
}

/// The bytes from a place on; where there are less than a block of them, those behind them are 0.
#[inline(always)]
fn block(bytes: &[u8], from: usize) -> Option<[u8; BLOCK]> {
    if let Some(block) = bytes.get(from..from + BLOCK) {
        return block.try_into().ok();
    }
    let last = u128::from_le_bytes(*bytes.last_chunk()?);
    let beyond = from + BLOCK - bytes.len();
    (beyond <= BLOCK).then(|| {
        last.checked_shr(8 * beyond as u32)
            .unwrap_or(0)
            .to_le_bytes()
    })
}

impl Drop for Room<'_> {
    #[inline]
    fn drop(&mut self) {
        self.out.truncate(self.at);
    }
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
    odd(block) == 0
}

/// A bit for each byte of a block that is not ASCII or needs an escape.
#[inline]
fn odd(block: &[u8; BLOCK]) -> u32 {
    let bytes = u8x16::new(*block);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    let odd = control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
    // the mask is of highest bits: those of the bytes themselves tell what is not ASCII
    (odd | bytes).to_bitmask()
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

/// Appends a whole number.
pub(super) fn write_int(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    write_uint(number.unsigned_abs(), out);
}

/// Appends a JSON string holding base64 (RFC 4648 §4) of bytes.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    base64(bytes, out);
    out.push(b'"');
}

/// Appends a JSON string holding base64 (RFC 4648 §4) of bytes that lie in pieces.
pub fn write_base64_pieces<'p>(mut pieces: impl Iterator<Item = &'p [u8]>, out: &mut Vec<u8>) {
    let Some(first) = pieces.next() else {
        return write_base64(&[], out);
    };
    let Some(second) = pieces.next() else {
        return write_base64(first, out);
    };
    let pieces = [first, second].into_iter().chain(pieces);
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
    fn a_part_of_a_text_is_written_as_it_is_alone() {
        let bytes = "Host: a\r\nX: \"quoted\"\r\nLonger-Than-A-Block: and its value too \u{e9}\r\nEnd: \t1\r\n\r\n".as_bytes();
        for from in 0..=bytes.len() {
            for to in from..=bytes.len() {
                let alone = text(|o| write_text(&bytes[from..to], o));
                assert_eq!(text(|o| write_text_in(bytes, from..to, o)), alone);
                let (mut out, mut odd) = (b"before".to_vec(), false);
                let mut room = Room::new(&mut out, 2 * alone.len());
                for _ in 0..2 {
                    if !room.text_in(bytes, from..to) {
                        odd = true;
                        room.beyond(|o| write_text(&bytes[from..to], o));
                    }
                }
                drop(room);
                assert_eq!(
                    String::from_utf8(out).unwrap(),
                    format!("before{alone}{alone}")
                );
                let escaped = alone.contains('\\') || !alone.is_ascii();
                assert_eq!(odd, escaped, "{from}..{to}");
            }
        }
        assert_eq!(text(|o| write_text_in(b"ab", 3..9, o)), "\"\"");
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(text(|o| write_text(b"a\xffb\"", o)), "\"a\u{fffd}b\\\"\"");
    }

    #[test]
    fn numbers_may_be_negative() {
        for n in [0, -1, 10, i64::MIN, i64::MAX] {
            assert_eq!(text(|o| write_int(n, o)), n.to_string());
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
