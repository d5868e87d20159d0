//! Names and values of heads, cookies and queries, written as JSON as they are read: what `text` builds as maps.
//!
//! What cannot be written in one go (a repeated name, a line folded over others) is left to the map: the functions
//! then give `false`, and what they have appended is to be dropped.

use super::text::{Line, mark, query_pairs};
use gillnet_entry::Ctx;
use gillnet_entry::json::{self, Room};

/// Most names that are told apart.
const MOST: usize = 32;

/// Marks of the names of a map so far.
struct Names {
    marks: [u64; MOST],
    len: usize,
}

impl Names {
    fn new() -> Self {
        Names {
            marks: [0; MOST],
            len: 0,
        }
    }

    /// Whether a name was surely not there before; from now on it was.
    #[inline(always)]
    fn is_new(&mut self, mark: u64) -> bool {
        let (known, free) = self.marks.split_at_mut(self.len);
        let Some(next) = free.first_mut().filter(|_| !known.contains(&mark)) else {
            return false;
        };
        *next = mark;
        self.len += 1;
        true
    }
}

/// A JSON object while it is written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    names: Names,
}

impl<'o> Object<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Object {
            out,
            names: Names::new(),
        }
    }

    /// Appends a pair, unless the name may have been there before.
    #[inline]
    fn pair(&mut self, name: &[u8], value: &[u8]) -> bool {
        if self.names.len > 0 {
            self.out.push(b',');
        }
        // letters that are not ASCII may have another form in the other case
        let fits = self.names.is_new(mark(name)) && name.is_ascii();
        if fits {
            json::write_text(name, self.out);
            self.out.push(b':');
            json::write_text(value, self.out);
        }
        fits
    }

    fn end(self) -> bool {
        self.out.push(b'}');
        true
    }
}

/// As `text::header_map`; for a head and its lines.
#[inline(never)] // alone it has the registers for its loop
pub(super) fn write_headers(head: &[u8], lines: &[Line], out: &mut Vec<u8>) -> bool {
    // of a line its quotes, colon and comma are more than what stands between its parts in the head
    let mut room = Room::new(out, head.len() + 8 * lines.len() + 2);
    let mut names = Names::new();
    room.put(b"{");
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            room.put(b",");
        }
        if line.folded || !names.is_new(line.mark) {
            return false;
        }
        if !room.text_in(head, line.name.clone()) {
            let name = head.get(line.name.clone()).unwrap_or_default();
            if !name.is_ascii() {
                return false; // letters that may have another form in the other case
            }
            room.beyond(|out| json::write_text(name, out));
        }
        room.put(b":");
        if !room.text_in(head, line.value.clone()) {
            let value = head.get(line.value.clone()).unwrap_or_default();
            room.beyond(|out| json::write_text(value, out));
        }
    }
    room.put(b"}");
    true
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

/// What is the same in all entries.
pub(super) fn write_constant(json: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(json);
    true
}

#[cfg(test)]
mod tests {
    use super::super::text::{Headers, cookie_map, header_map, query_map};
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

    fn lines(head: &str) -> Vec<Line> {
        let mut headers = Headers::new(head.as_bytes());
        std::iter::from_fn(|| headers.next_header()).collect()
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
                |out| write_headers(head.as_bytes(), &lines(head), out),
                |ctx| json(&header_map(head.as_bytes(), ctx)),
            );
            assert_eq!(written, simple.then_some(map), "{head:?}");
        }
        let many: String = (0..40).map(|i| format!("h{i}: {i}\n")).collect();
        let many = format!("GET\n{many}");
        assert!(!write_headers(
            many.as_bytes(),
            &lines(&many),
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
