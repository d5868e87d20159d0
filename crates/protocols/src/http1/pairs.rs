//! Names and values of heads, cookies and queries, written as JSON as they are read: what `text` builds as maps.
//!
//! What cannot be written in one go (a repeated name, a line folded over others) is left to the map: the functions
//! then give `false`, and what they have appended is to be dropped.

use super::lines::Newlines;
use super::text::{colon, query_pairs};
use gillnet_entry::{Ctx, json};

/// Most names that are told apart.
const MOST: usize = 32;

/// A JSON object while it is written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    /// A mark of each name so far: names with different marks are different.
    marks: [u64; MOST],
    names: usize,
}

impl<'o> Object<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Object {
            out,
            marks: [0; MOST],
            names: 0,
        }
    }

    /// Appends a pair, unless the name may have been there before.
    #[inline]
    fn pair(&mut self, name: &[u8], value: &[u8]) -> bool {
        let mark = mark(name);
        let (known, free) = self.marks.split_at_mut(self.names);
        let Some(next) = free
            .first_mut()
            .filter(|_| !known.contains(&mark) && name.is_ascii())
        else {
            return false;
        };
        *next = mark;
        if self.names > 0 {
            self.out.push(b',');
        }
        self.names += 1;
        json::write_text(name, self.out);
        self.out.push(b':');
        json::write_text(value, self.out);
        true
    }

    fn end(self) -> bool {
        self.out.push(b'}');
        true
    }
}

/// The last letters of a name, whatever their case, and its length.
#[inline]
fn mark(name: &[u8]) -> u64 {
    let letters = match name.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => name
            .iter()
            .fold(0, |letters, byte| letters << 8 | u64::from(*byte)),
    };
    (letters | u64::from_le_bytes([b' '; 8])).wrapping_add((name.len() as u64).rotate_right(8))
}

/// As `text::header_map`.
pub(super) fn write_headers(head: &[u8], out: &mut Vec<u8>) -> bool {
    let mut object = Object::new(out);
    let mut newlines = Newlines::new(head, 0);
    let mut next = newlines.next().map(|end| end + 1);
    while let Some(from) = next {
        let end = newlines.next();
        next = end.map(|end| end + 1);
        let line = head
            .get(from..end.unwrap_or(head.len()))
            .unwrap_or_default();
        let pair = colon(line).and_then(|at| line.split_at_checked(at));
        match (line, pair) {
            ([b' ' | b'\t', ..], _) => return false,
            (_, Some((name @ [_, ..], value))) => {
                let value = value.get(1..).unwrap_or_default();
                if !object.pair(name.trim_ascii(), value.trim_ascii()) {
                    return false;
                }
            }
            _ => {} // the empty line, or no header
        }
    }
    object.end()
}

/// As `text::cookie_map`.
pub(super) fn write_cookies(value: &[u8], out: &mut Vec<u8>) -> bool {
    let mut object = Object::new(out);
    for pair in value.split(|b| *b == b';') {
        let Some((name, value)) =
            memchr::memchr(b'=', pair).and_then(|at| pair.split_at_checked(at))
        else {
            continue;
        };
        if !object.pair(
            name.trim_ascii(),
            value.get(1..).unwrap_or_default().trim_ascii(),
        ) {
            return false;
        }
    }
    object.end()
}

/// As `text::query_map`.
pub(super) fn write_query<'a>(query: &'a [u8], ctx: &Ctx<'a>, out: &mut Vec<u8>) -> bool {
    let mut object = Object::new(out);
    query_pairs(query, ctx).all(|(name, value)| object.pair(name.as_bytes(), value.as_bytes()))
        && object.end()
}

/// As a map of nothing.
pub(super) fn write_none(out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(b"{}");
    true
}

#[cfg(test)]
mod tests {
    use super::super::text::{cookie_map, header_map, query_map};
    use super::*;
    use gillnet_entry::{Bump, Nothing, Value};

    /// What is written at once, and what the map gives.
    fn both(
        write: impl FnOnce(&mut Vec<u8>) -> bool,
        map: impl for<'a> FnOnce(&Ctx<'a>) -> Vec<u8>,
    ) -> (Option<String>, String) {
        let arena = Bump::new();
        let mut out = Vec::new();
        let done = write(&mut out);
        let map = map(&Ctx {
            store: &Nothing,
            arena: &arena,
        });
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.then(|| text(out)), text(map))
    }

    fn json(value: &Value<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        json::write_value(value, &mut out);
        out
    }

    #[test]
    fn heads_are_written_as_their_maps() {
        for (head, simple) in [
            (
                "GET / HTTP/1.1\r\nHost: a\r\nX-A :\t1 \r\nno colon\r\n: nameless\r\nETag: \"x\\y\"\r\n\r\n",
                true,
            ),
            ("GET / HTTP/1.1\nHost: \u{e9}\nCut", true),
            (
                "GET / HTTP/1.1\r\nSec-Fetch-Site: a\r\nSec-Fetch-Mode: b\r\nSec-Fetch-Dest: c\r\n\r\n",
                true,
            ),
            ("GET / HTTP/1.1", true),
            ("", true),
            ("GET / HTTP/1.1\r\nX: 1\r\nx: 2\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nX: 1\r\n 2\r\n\r\n", false),
            ("GET / HTTP/1.1\r\n\u{e9}: 1\r\n\r\n", false),
        ] {
            let (written, map) = both(
                |out| write_headers(head.as_bytes(), out),
                |ctx| json(&header_map(head.as_bytes(), ctx)),
            );
            assert_eq!(written, simple.then_some(map), "{head:?}");
        }
        let many: String = (0..40).map(|i| format!("h{i}: {i}\n")).collect();
        assert!(!write_headers(
            format!("GET\n{many}").as_bytes(),
            &mut Vec::new()
        ));
    }

    #[test]
    fn cookies_and_queries_are_written_as_their_maps() {
        for (text, simple) in [("", true), ("a=1; b = 2;c; =x", true), ("a=1;a=2", false)] {
            let (written, map) = both(
                |out| write_cookies(text.as_bytes(), out),
                |ctx| json(&cookie_map(text.as_bytes(), ctx)),
            );
            assert_eq!(written, simple.then_some(map), "{text:?}");
        }
        for (text, simple) in [
            ("", true),
            ("a=1&b=x%20y+z&&c&d=%zz%4&e=%e2%82%ac&%61b=c=d", true),
            ("a=1&%61=2", false),
        ] {
            let arena = Bump::new();
            let ctx = Ctx {
                store: &Nothing,
                arena: &arena,
            };
            let (written, map) = both(
                |out| write_query(text.as_bytes(), &ctx, out),
                |ctx| json(&query_map(text.as_bytes(), ctx)),
            );
            assert_eq!(written, simple.then_some(map), "{text:?}");
        }
    }
}
