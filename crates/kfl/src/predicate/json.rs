//! JSON text (RFC 8259) as values in the scratch space.

use super::Val;
use gillnet_entry::{Ctx, Value};

/// Levels of a document that are read.
const MAX_DEPTH: u8 = 64;

/// The document that a text holds, as JSON or as base64 of JSON.
pub(crate) fn read<'v>(text: &'v str, ctx: &Ctx<'v>) -> Option<Val<'v>> {
    Val::of(parse(text, ctx).or_else(|| parse(unpack(text, ctx)?, ctx))?)
}

/// The document that a text is.
pub(crate) fn parse<'v>(text: &'v str, ctx: &Ctx<'v>) -> Option<Value<'v>> {
    let reader = Reader {
        text,
        at: 0,
        ctx: *ctx,
    };
    reader.document()
}

/// Text in base64 (RFC 4648 §4), unpacked.
pub(crate) fn unpack<'v>(text: &str, ctx: &Ctx<'v>) -> Option<&'v str> {
    let digits = text.trim_end().trim_end_matches('=').as_bytes();
    let mut out = bumpalo::collections::Vec::with_capacity_in(digits.len() * 3 / 4, ctx.arena);
    for chunk in digits.chunks(4) {
        let mut bits = 0u32;
        for byte in chunk {
            bits = bits << 6 | u32::from(digit(*byte)?);
        }
        let octets = match chunk.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        bits <<= 6 * (4 - chunk.len());
        out.extend_from_slice(bits.to_be_bytes().get(1..=octets)?);
    }
    std::str::from_utf8(out.into_bump_slice()).ok()
}

fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

struct Reader<'v> {
    text: &'v str,
    at: usize,
    ctx: Ctx<'v>,
}

impl<'v> Reader<'v> {
    fn document(mut self) -> Option<Value<'v>> {
        let value = self.value(0)?;
        self.space();
        (self.at == self.text.len()).then_some(value)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.byte() == Some(byte)).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str, value: Value<'v>) -> Option<Value<'v>> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self, depth: u8) -> Option<Value<'v>> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match self.byte()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Value::Str),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: u8) -> Option<Value<'v>> {
        self.at += 1;
        let mut map = bumpalo::collections::Vec::new_in(self.ctx.arena);
        if self.take(b'}').is_none() {
            loop {
                self.space();
                let key = self.string()?;
                self.take(b':')?;
                map.push((key, self.value(depth + 1)?));
                if self.take(b',').is_none() {
                    break self.take(b'}')?;
                }
            }
        }
        Some(Value::Map(map.into_bump_slice()))
    }

    fn array(&mut self, depth: u8) -> Option<Value<'v>> {
        self.at += 1;
        let mut list = bumpalo::collections::Vec::new_in(self.ctx.arena);
        if self.take(b']').is_none() {
            loop {
                list.push(self.value(depth + 1)?);
                if self.take(b',').is_none() {
                    break self.take(b']')?;
                }
            }
        }
        Some(Value::List(list.into_bump_slice()))
    }

    fn number(&mut self) -> Option<Value<'v>> {
        let rest = self.text.get(self.at..)?;
        let len = rest
            .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let digits = rest.get(..len)?;
        self.at += len;
        let first = digits.trim_start_matches('-').bytes().next()?;
        if !first.is_ascii_digit() {
            return None;
        }
        digits
            .parse()
            .map(Value::Int)
            .or_else(|_| digits.parse().map(Value::Double))
            .ok()
    }

    fn string(&mut self) -> Option<&'v str> {
        if self.byte()? != b'"' {
            return None;
        }
        let rest = self.text.get(self.at + 1..)?;
        let end = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
        if rest.as_bytes().get(end) == Some(&b'"') {
            self.at += end + 2;
            return rest.get(..end);
        }
        self.escaped(rest, end)
    }

    /// A string with escapes, the first of which is at `at`.
    fn escaped(&mut self, rest: &'v str, at: usize) -> Option<&'v str> {
        let mut out = bumpalo::collections::String::new_in(self.ctx.arena);
        out.push_str(rest.get(..at)?);
        let mut chars = rest.get(at..)?.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => {
                    let c = match chars.next()? {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'u' => unicode(&mut chars)?,
                        c @ ('"' | '\\' | '/') => c,
                        _ => return None,
                    };
                    out.push(c);
                }
                c => out.push(c),
            }
        }
        self.at = self.text.len() - chars.as_str().len();
        Some(out.into_bump_str())
    }
}

/// The code after `\u`, both halves where it is a surrogate pair; a lone half is replaced.
fn unicode(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let first = hex(chars)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut ahead = chars.clone();
    if (ahead.next(), ahead.next()) == (Some('\\'), Some('u'))
        && let Some(second) = hex(&mut ahead)
        && (0xDC00..0xE000).contains(&second)
    {
        *chars = ahead;
        return char::from_u32(0x10000 + (first - 0xD800) * 0x400 + (second - 0xDC00));
    }
    Some(char::REPLACEMENT_CHARACTER)
}

fn hex(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut code = 0;
    for _ in 0..4 {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    Some(code)
}
