//! What stands in heads, targets and cookies, read when someone asks for it.

use super::head::{is_named, may_have, value};
use super::lines::Newlines;
use gillnet_entry::{Ctx, Value};
use std::ops::Range;
use wide::u8x16;

/// More names than this are sorted to be grouped.
const FEW: usize = 24;

/// The header lines of a head: name and value as they stand there (a value folded over lines still is).
#[derive(Clone)]
pub(super) struct Headers<'a> {
    head: &'a [u8],
    newlines: Newlines<'a>,
    from: usize,
}

/// Where a header line stands in its head.
pub(super) struct Line {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    /// See [`mark`].
    pub(super) mark: u64,
    /// The value goes on over further lines.
    pub(super) folded: bool,
}

impl Line {
    /// Lines for which room is made at first.
    pub(super) const USUAL: usize = 16;
}

impl<'a> Headers<'a> {
    pub(super) fn new(head: &'a [u8]) -> Self {
        let mut newlines = Newlines::new(head, 0);
        let from = newlines.next().map_or(head.len(), |end| end + 1);
        Headers {
            head,
            newlines,
            from,
        }
    }

    /// The lines from this place on, where one begins.
    pub(super) fn from(head: &'a [u8], from: usize) -> Self {
        Headers {
            head,
            newlines: Newlines::new(head, from),
            from,
        }
    }

    /// The next line with those folded into it, and whether there are such.
    #[inline(always)]
    fn next_line(&mut self) -> Option<(Range<usize>, bool)> {
        let from = self.from;
        if from >= self.head.len() {
            return None;
        }
        let mut folded = false;
        loop {
            let end = self.newlines.next().unwrap_or(self.head.len());
            self.from = end + 1;
            if !matches!(self.head.get(self.from), Some(b' ' | b'\t')) {
                return Some((from..end, folded));
            }
            folded = true;
        }
    }

    /// The next header line.
    #[inline(always)]
    pub(super) fn next_header(&mut self) -> Option<Line> {
        loop {
            let (line, folded) = self.next_line()?;
            if let Some(line) = self.header_of(line, folded) {
                return Some(line);
            }
        }
    }

    /// What stands in a line, unless it has no name.
    #[inline(always)]
    fn header_of(&self, line: Range<usize>, folded: bool) -> Option<Line> {
        let bytes = self.head.get(line.clone())?;
        let at = line.start + colon(bytes).filter(|at| *at > 0)?;
        let name = trim(self.head, line.start..at);
        Some(Line {
            mark: self.mark(&name),
            name,
            value: trim(self.head, at + 1..line.end),
            folded,
        })
    }

    /// Whether each line that has a name begins with it. (The first may be indented, where nothing precedes that it
    /// could be folded into.)
    fn is_flush(&self) -> bool {
        !matches!(self.head.get(self.from), Some(b' ' | b'\t'))
    }

    /// The [`mark`] of a name in this head. What stands before the name (a start line) is there to be read too.
    #[inline(always)]
    fn mark(&self, name: &Range<usize>) -> u64 {
        match self.head.get(..name.end).and_then(<[u8]>::last_chunk) {
            Some(last) => marked(u64::from_le_bytes(*last), name.len()),
            None => mark(self.head.get(name.clone()).unwrap_or_default()),
        }
    }

    /// All header lines.
    #[inline(never)] // alone it has the registers for its loop
    pub(super) fn lines(mut self, ctx: &Ctx<'a>) -> &'a [Line] {
        let mut lines = bumpalo::collections::Vec::with_capacity_in(Line::USUAL, ctx.arena);
        while let Some(line) = self.next_header() {
            lines.push(line);
        }
        lines.into_bump_slice()
    }

    /// The value of the line that is next, if it has this name (lower case), and whether it is folded over some.
    pub(super) fn named(&mut self, name: &[u8]) -> Option<(&'a [u8], bool)> {
        if !is_named(self.head, self.from, name) {
            return None;
        }
        let (line, folded) = self.next_line()?;
        Some((value(self.head.get(line)?, name)?, folded))
    }

    /// The value of the first line with this name (lower case), whose first letter must be among those of the head.
    pub(super) fn find(mut self, letters: u32, name: &[u8]) -> Option<&'a [u8]> {
        let first = *name.first()?;
        if !may_have(letters, name) {
            return None;
        }
        loop {
            let starts = self.head.get(self.from).is_some_and(|b| b | 0x20 == first);
            if !starts || !is_named(self.head, self.from, name) {
                // one that is folded into the line before begins with a blank, so it is none that is looked for
                self.from = self.newlines.next()? + 1;
                continue;
            }
            let (line, _) = self.next_line()?;
            if let Some(value) = value(self.head.get(line)?, name) {
                return Some(value);
            }
        }
    }
}

/// The header lines with one name, whatever their case: of others only the first letter is looked at.
struct Named<'a, 'k> {
    lines: Headers<'a>,
    name: &'k [u8],
}

impl<'a> Iterator for Named<'a, '_> {
    type Item = Line;

    #[inline]
    fn next(&mut self) -> Option<Line> {
        let first = self.name.first()? | 0x20;
        let lines = &mut self.lines;
        loop {
            if lines.head.get(lines.from)? | 0x20 != first {
                // one that is folded into the line before begins with a blank
                lines.from = lines.newlines.next()? + 1;
                continue;
            }
            let (line, folded) = lines.next_line()?;
            if let Some(found) = lines.header_of(line, folded)
                && let Some(name) = lines.head.get(found.name.clone())
                && name.eq_ignore_ascii_case(self.name)
            {
                return Some(found);
            }
        }
    }
}

/// A range without the blanks around it: most often a space before and a carriage return behind it.
#[inline(always)]
fn trim(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let blank = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|b| *b <= b' ' && b.is_ascii_whitespace())
    };
    let Range { mut start, mut end } = range;
    while start < end && blank(start) {
        start += 1;
    }
    while start < end && blank(end - 1) {
        end -= 1;
    }
    start..end
}

/// Of a name, its last letters, whatever their case, and its length: names with different marks are different.
#[inline(always)]
pub(super) fn mark(name: &[u8]) -> u64 {
    let last = match name.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        // the first bytes of these are beyond the name
        None => (name.iter()).fold(0, |last, byte| last >> 8 | u64::from(*byte) << 56),
    };
    marked(last, name.len())
}

/// The mark of a name of this length that ends with `last`; what it has beyond the name does not count.
#[inline(always)]
fn marked(last: u64, len: usize) -> u64 {
    let letters = match len {
        0 => 0,
        1..8 => last >> (8 * (8 - len)),
        _ => last,
    };
    (letters | u64::from_le_bytes([b' '; 8])).wrapping_add((len as u64).rotate_right(8))
}

/// Where the first colon of a line is. Most names are short.
#[inline]
pub(super) fn colon(line: &[u8]) -> Option<usize> {
    if let Some(start) = line.first_chunk() {
        let colons = u8x16::new(*start).simd_eq(u8x16::splat(b':')).to_bitmask();
        if colons != 0 {
            return Some(colons.trailing_zeros() as usize);
        }
    }
    memchr::memchr(b':', line)
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.next_header()?;
        Some((self.head.get(line.name)?, self.head.get(line.value)?))
    }
}

/// Text of a header's value; where it is folded over lines, each fold becomes a space (RFC 9112 §5.2).
pub(super) fn unfold<'a>(value: &'a [u8], ctx: &Ctx<'a>) -> &'a str {
    if value.is_empty() {
        return "";
    }
    let text = ctx.text(value);
    if memchr::memchr(b'\n', value).is_some() {
        unfold_text(text, ctx)
    } else {
        text
    }
}

fn unfold_text<'a>(value: &'a str, ctx: &Ctx<'a>) -> &'a str {
    let mut text = bumpalo::collections::String::with_capacity_in(value.len(), ctx.arena);
    for line in value.split('\n') {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line.trim_matches(|c: char| c.is_ascii_whitespace()));
    }
    text.into_bump_str()
}

/// Headers as a map in their first spelling; values of a repeated name are joined with a comma.
pub(super) fn header_map<'a>(head: &'a [u8], ctx: &Ctx<'a>) -> Value<'a> {
    let text = ctx.text(head); // checked once, not once a name and value
    let mut headers = Headers::new(text.as_bytes());
    let pairs = std::iter::from_fn(|| {
        let line = headers.next_header()?;
        let value = text.get(line.value)?;
        let value = if line.folded {
            unfold_text(value, ctx)
        } else {
            value
        };
        Some((text.get(line.name)?, value))
    });
    group(pairs, true, ctx, |values| Value::Str(join(values, ctx)))
}

/// The value that [`header_map`] has under a key, without building the map.
///
/// `letters` are those of the head.
pub(super) fn header<'a>(
    head: &'a [u8],
    letters: u32,
    key: &str,
    ignore_case: bool,
    ctx: &Ctx<'a>,
) -> Value<'a> {
    let name = key.as_bytes();
    let lines = Headers::new(head);
    if !lines.is_flush() {
        return header_map(head, ctx).key(key, ignore_case);
    }
    if !may_have(letters, name) {
        return Value::Missing;
    }
    let mut lines = Named { lines, name };
    let text = |line: Line| unfold(head.get(line.value).unwrap_or_default(), ctx);
    match lines.next() {
        Some(line) if ignore_case || head.get(line.name.clone()) == Some(name) => {
            let first = text(line);
            match lines.next() {
                None => Value::Str(first),
                Some(second) => {
                    let rest = [first, text(second)].into_iter().chain(lines.map(text));
                    Value::Str(join(ctx.list(rest), ctx))
                }
            }
        }
        _ => Value::Missing,
    }
}

fn join<'a>(values: &[&'a str], ctx: &Ctx<'a>) -> &'a str {
    if let [one] = values {
        return one;
    }
    let mut text = bumpalo::collections::String::new_in(ctx.arena);
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(value);
    }
    text.into_bump_str()
}

/// Cookies of a request (RFC 6265 §4.2): of a repeated name the last.
pub(super) fn cookie_map<'a>(value: &'a [u8], ctx: &Ctx<'a>) -> Value<'a> {
    let pairs = ctx.text(value).split(';').filter_map(cookie);
    group(pairs, false, ctx, last)
}

/// Cookies that a response sets (RFC 6265 §4.1), without their attributes: of a repeated name the last.
pub(super) fn set_cookie_map<'a>(head: &'a [u8], letters: u32, ctx: &Ctx<'a>) -> Value<'a> {
    let headers = Headers::new(head);
    if headers.clone().find(letters, b"set-cookie").is_none() {
        return Value::Map(&[]);
    }
    let pairs = headers
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"set-cookie"))
        .filter_map(|(_, value)| cookie(ctx.text(value).split(';').next()?));
    group(pairs, false, ctx, last)
}

fn cookie(pair: &str) -> Option<(&str, &str)> {
    let (name, value) = pair.split_once('=')?;
    Some((name.trim_ascii(), value.trim_ascii()))
}

fn last<'a>(values: &[&'a str]) -> Value<'a> {
    Value::Str(values.last().copied().unwrap_or_default())
}

/// Names and values of a query or form (`a=b&c`), decoded; values of a repeated name become a list.
pub(super) fn query_map<'a>(query: &'a [u8], ctx: &Ctx<'a>) -> Value<'a> {
    group(query_pairs(query, ctx), false, ctx, |values| match values {
        [one] => Value::Str(one),
        _ => Value::List(ctx.list(values.iter().map(|v| Value::Str(v)))),
    })
}

/// The value that [`query_map`] has under a key, without building the map.
pub(super) fn query_value<'a>(
    query: &'a [u8],
    key: &str,
    ignore_case: bool,
    ctx: &Ctx<'a>,
) -> Value<'a> {
    let same = |name: &str| name == key || (ignore_case && name.eq_ignore_ascii_case(key));
    let mut pairs = query_pairs(query, ctx).skip_while(|(name, _)| !same(name));
    let Some((name, first)) = pairs.next() else {
        return Value::Missing;
    };
    let mut rest = pairs.filter(|(other, _)| *other == name);
    match rest.next() {
        None => Value::Str(first),
        Some(second) => {
            let rest = [(name, first), second].into_iter().chain(rest);
            Value::List(ctx.list(rest.map(|(_, value)| Value::Str(value))))
        }
    }
}

/// Names and values of a query or form, decoded, in order.
pub(super) fn query_pairs<'a>(
    query: &'a [u8],
    ctx: &Ctx<'a>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    query
        .split(|b| *b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(move |pair| {
            let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            (
                percent_decode(name, ctx),
                percent_decode(value.get(1..).unwrap_or_default(), ctx),
            )
        })
}

/// Undoes `%41` and `+`; what is no valid escape stands as it is.
fn percent_decode<'a>(text: &'a [u8], ctx: &Ctx<'a>) -> &'a str {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return ctx.text(text);
    }
    let mut plain = bumpalo::collections::Vec::with_capacity_in(text.len(), ctx.arena);
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let escaped = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => {
                hex(*high).zip(hex(*low)).map(|(h, l)| (h << 4 | l, after))
            }
            (b'+', _) => Some((b' ', tail)),
            _ => None,
        };
        let (plain_byte, after) = escaped.unwrap_or((*byte, tail));
        plain.push(plain_byte);
        rest = if escaped.is_some() { after } else { rest };
    }
    ctx.text(plain.into_bump_slice())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

/// A map of names in the order in which each is first met; the values of a repeated one are made into one.
fn group<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    ignore_case: bool,
    ctx: &Ctx<'a>,
    merge: impl Fn(&[&'a str]) -> Value<'a>,
) -> Value<'a> {
    let mut pairs = pairs.peekable();
    if pairs.peek().is_none() {
        return Value::Map(&[]);
    }
    let mut map = Map::with_capacity_in(Line::USUAL, ctx.arena);
    // a mark for each kind met: names that share none are surely different
    let (mut seen, mut repeated) = ([false; KINDS], false);
    for (name, value) in pairs {
        if let Some(seen) = seen.get_mut(kind(name)) {
            repeated |= *seen;
            *seen = true;
        }
        map.push((name, Value::Str(value)));
    }
    if repeated {
        let pairs = ctx.list(
            map.drain(..)
                .map(|(name, value)| (name, value.as_str().unwrap_or_default())),
        );
        if pairs.len() > FEW {
            group_many(pairs, ignore_case, ctx, &mut map, merge);
        } else {
            group_few(pairs, ignore_case, ctx, &mut map, merge);
        }
    }
    Value::Map(map.into_bump_slice())
}

/// How many kinds of names there are.
const KINDS: usize = 256;

/// A number that different names without regard to case have in common only by chance: of their ends and length.
fn kind(name: &str) -> usize {
    let end = |byte: Option<&u8>| usize::from(byte.map_or(0, |b| b | 0x20));
    let bytes = name.as_bytes();
    (end(bytes.first()) * 7 + end(bytes.last()) * 31 + bytes.len()) % KINDS
}

type Map<'a> = bumpalo::collections::Vec<'a, (&'a str, Value<'a>)>;

fn group_few<'a>(
    pairs: &[(&'a str, &'a str)],
    ignore_case: bool,
    ctx: &Ctx<'a>,
    map: &mut Map<'a>,
    merge: impl Fn(&[&'a str]) -> Value<'a>,
) {
    let same = |a: &str, b: &str| {
        a.len() == b.len()
            && if ignore_case {
                a.eq_ignore_ascii_case(b)
            } else {
                a == b
            }
    };
    for (i, (name, value)) in pairs.iter().enumerate() {
        let (before, after) = pairs.split_at(i);
        if before.iter().any(|(other, _)| same(name, other)) {
            continue;
        }
        if after.iter().skip(1).any(|(other, _)| same(name, other)) {
            let values = after.iter().filter(|(n, _)| same(name, n));
            map.push((name, merge(ctx.list(values.map(|(_, v)| *v)))));
        } else {
            map.push((name, Value::Str(value)));
        }
    }
}

/// As [`group_few`], in time that does not grow with the square of their number.
fn group_many<'a>(
    pairs: &[(&'a str, &'a str)],
    ignore_case: bool,
    ctx: &Ctx<'a>,
    map: &mut Map<'a>,
    merge: impl Fn(&[&'a str]) -> Value<'a>,
) {
    let name = |at: &usize| pairs.get(*at).map_or("", |(name, _)| name);
    let order = |a: &usize, b: &usize| {
        if ignore_case {
            let lower = |at| name(at).bytes().map(|b| b.to_ascii_lowercase());
            lower(a).cmp(lower(b))
        } else {
            name(a).cmp(name(b))
        }
    };
    let mut places = bumpalo::collections::Vec::from_iter_in(0..pairs.len(), ctx.arena);
    places.sort_unstable_by(|a, b| order(a, b).then(a.cmp(b)));
    // the groups, each with its first place in front
    let same = |a: &usize, b: &usize| order(a, b).is_eq();
    let mut groups = bumpalo::collections::Vec::new_in(ctx.arena);
    groups.extend(places.chunk_by(same));
    groups.sort_unstable_by_key(|group| group.first().copied());
    for group in groups {
        let (Some(first), members) = (group.first(), group.iter()) else {
            continue;
        };
        let values = members.filter_map(|at| pairs.get(*at));
        map.push((name(first), merge(ctx.list(values.map(|(_, v)| *v)))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_entry::{Bump, Nothing};

    fn json(bytes: &[u8], read: impl for<'a> FnOnce(&'a [u8], &Ctx<'a>) -> Value<'a>) -> String {
        let arena = Bump::new();
        let mut out = Vec::new();
        gillnet_entry::json::write_value(
            &read(
                bytes,
                &Ctx {
                    store: &Nothing,
                    arena: &arena,
                },
            ),
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nno colon\r\nx-a:2 \r\nFolded: one\r\n  two\r\n\tthree\r\n\
        Set-Cookie: s=1; Path=/\r\nSet-Cookie: t=2\r\nset-cookie: s=3; HttpOnly\r\n: nameless\r\n\r\n";

    #[test]
    fn headers_keep_their_spelling_and_are_joined() {
        assert_eq!(
            json(HEAD, header_map),
            r#"{"Host":"a","X-A":"1,2","Folded":"one two three","Set-Cookie":"s=1; Path=/,t=2,s=3; HttpOnly"}"#
        );
        assert_eq!(
            json(HEAD, |head, ctx| set_cookie_map(head, u32::MAX, ctx)),
            r#"{"s":"3","t":"2"}"#
        );
        for (key, ignore_case, found) in [
            ("host", true, r#""a""#),
            ("host", false, "null"),
            ("x-A", true, r#""1,2""#),
            ("X-A", false, r#""1,2""#),
            ("folded", true, r#""one two three""#),
            ("none", true, "null"),
            ("", true, "null"),
            ("SET-cookie", true, r#""s=1; Path=/,t=2,s=3; HttpOnly""#),
            ("hos", true, "null"),
        ] {
            assert_eq!(
                json(HEAD, |head, ctx| header(
                    head,
                    u32::MAX,
                    key,
                    ignore_case,
                    ctx
                )),
                found,
                "{key}"
            );
        }
    }

    #[test]
    fn the_first_header_may_be_indented() {
        let head = b"GET / HTTP/1.1\r\n Host: a\r\n\r\n";
        assert_eq!(json(head, header_map), r#"{"Host":"a"}"#);
        assert_eq!(
            json(head, |head, ctx| header(head, 0, "host", true, ctx)),
            r#""a""#
        );
    }

    #[test]
    fn many_headers_are_grouped_like_few() {
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        for i in 0..1000 {
            head.extend(
                format!("{}{}: {i}\r\n", if i % 3 == 0 { "H" } else { "h" }, i % 500).bytes(),
            );
        }
        let many = json(&head, header_map);
        assert!(many.starts_with(r#"{"H0":"0,500","h1":"1,501","#), "{many}");
        assert_eq!(many.matches(':').count(), 500);
    }

    #[test]
    fn queries_are_decoded() {
        assert_eq!(
            json(
                b"a=1&b=x%20y+z&a=2&&c&d=%zz%4&e=%e2%82%ac&%61b=c=d",
                query_map
            ),
            r#"{"a":["1","2"],"b":"x y z","c":"","d":"%zz%4","e":"€","ab":"c=d"}"#
        );
        assert_eq!(json(b"", query_map), "{}");
        for (key, ignore_case, found) in [
            ("a", false, r#"["1","2"]"#),
            ("b", false, r#""x y z""#),
            ("ab", false, r#""c=d""#),
            ("AB", true, r#""c=d""#),
            ("AB", false, "null"),
            ("none", true, "null"),
        ] {
            assert_eq!(
                json(b"a=1&b=x%20y+z&a=2&&c&%61b=c=d", |query, ctx| {
                    query_value(query, key, ignore_case, ctx)
                }),
                found,
                "{key}"
            );
        }
        assert_eq!(
            json(b"a=1; b=2;c; a=3 ; =x", cookie_map),
            r#"{"a":"3","b":"2","":"x"}"#
        );
    }
}
