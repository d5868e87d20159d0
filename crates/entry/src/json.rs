//! An entry as JSON: one loop over the field tables.

use crate::{Entry, Value};

/// Appends the whole entry as one JSON object.
pub fn write_entry(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let mut object = Nested::new(out);
    for (i, field) in (0u16..).zip(crate::COMMON.fields) {
        if !field.json.is_empty() {
            object.field(field.json, &entry.common(i));
        }
    }
    for (i, field) in (0u16..).zip(entry.record.schema().fields) {
        if !field.json.is_empty() {
            object.field(field.json, &entry.own(i));
        }
    }
    object.finish();
}

/// Writes dotted paths as nested objects; paths with a common prefix must follow one another.
struct Nested<'o> {
    out: &'o mut Vec<u8>,
    /// Path of the object that is open: `request.postData`; empty at the top.
    open: &'static str,
    first: bool,
}

impl<'o> Nested<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Nested {
            out,
            open: "",
            first: true,
        }
    }

    fn field(&mut self, path: &'static str, value: &Value<'_>) {
        if matches!(value, Value::Missing) {
            return;
        }
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        self.enter(parent);
        self.key(name);
        write_value(value, self.out);
    }

    fn enter(&mut self, parent: &'static str) {
        if self.open == parent {
            return;
        }
        while !is_within(parent, self.open) {
            self.out.push(b'}');
            self.first = false;
            self.open = self.open.rsplit_once('.').map_or("", |(p, _)| p);
        }
        while self.open.len() < parent.len() {
            let from = if self.open.is_empty() {
                0
            } else {
                self.open.len() + 1
            };
            let end = parent[from..].find('.').map_or(parent.len(), |i| from + i);
            self.key(&parent[from..end]);
            self.out.push(b'{');
            self.open = &parent[..end];
            self.first = true;
        }
    }

    fn key(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes()); // field names need no escape
        self.out.extend_from_slice(b"\":");
    }

    fn finish(mut self) {
        self.enter("");
        self.out.push(b'}');
    }
}

fn is_within(path: &str, prefix: &str) -> bool {
    prefix.is_empty()
        || (path.starts_with(prefix)
            && matches!(path.as_bytes().get(prefix.len()), None | Some(b'.')))
}

/// Appends one value.
pub fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Missing | Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int(v) => write_int(*v, out),
        Value::UInt(v) => write_display(format_args!("{v}"), out),
        Value::Double(v) if v.is_finite() => write_display(format_args!("{v}"), out),
        Value::Double(_) => out.extend_from_slice(b"null"),
        Value::Str(v) => write_str(v, out),
        Value::Bytes(v) => write_base64(v, out),
        Value::Time(v) => write_display(format_args!("\"{}\"", crate::time::Rfc3339(*v)), out),
        Value::Duration(v) => write_int(*v, out),
        Value::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        Value::Map(map) => write_map(map, out),
    }
}

fn write_map(map: &[(&str, Value<'_>)], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for (key, value) in map {
        if matches!(value, Value::Missing) {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        write_str(key, out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

fn write_display(args: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // writing to a Vec cannot fail
    let _ = std::io::Write::write_fmt(out, args);
}

fn write_int(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

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

/// Appends a JSON string.
pub fn write_str(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (i, byte) in bytes.iter().enumerate() {
        let escape = ESCAPE[usize::from(*byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[from..i]);
        from = i + 1;
        if escape == b'u' {
            write_display(format_args!("\\u{byte:04x}"), out);
        } else {
            out.extend_from_slice(&[b'\\', escape]);
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// Appends a JSON string holding base64 (RFC 4648 §4) of bytes.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    base64(bytes, out);
    out.push(b'"');
}

/// Appends base64 (RFC 4648 §4) of bytes.
pub fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    let digit = |n: u32| ALPHABET[(n & 63) as usize];
    let mut chunks = bytes.chunks_exact(3);
    for chunk in &mut chunks {
        let n = u32::from(chunk[0]) << 16 | u32::from(chunk[1]) << 8 | u32::from(chunk[2]);
        out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), digit(n >> 6), digit(n)]);
    }
    match *chunks.remainder() {
        [a] => {
            let n = u32::from(a) << 16;
            out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), b'=', b'=']);
        }
        [a, b] => {
            let n = u32::from(a) << 16 | u32::from(b) << 8;
            out.extend_from_slice(&[digit(n >> 18), digit(n >> 12), digit(n >> 6), b'=']);
        }
        _ => {}
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
    fn nested_paths_open_and_close_objects() {
        let json = text(|out| {
            let mut object = Nested::new(out);
            for path in ["a", "b.c", "b.d.e", "b.d.f", "b.g", "h.i.j", "k"] {
                object.field(path, &Value::Int(1));
            }
            object.field("k.l", &Value::Missing);
            object.finish();
        });
        assert_eq!(
            json,
            r#"{"a":1,"b":{"c":1,"d":{"e":1,"f":1},"g":1},"h":{"i":{"j":1}},"k":1}"#
        );
    }

    #[test]
    fn strings_are_escaped_and_numbers_exact() {
        assert_eq!(
            text(|o| write_str("a\"\\\n\u{1}é", o)),
            "\"a\\\"\\\\\\n\\u0001é\""
        );
        for n in [0, -1, 42, i64::MIN, i64::MAX] {
            assert_eq!(text(|o| write_int(n, o)), n.to_string());
        }
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(text(|o| base64(plain.as_bytes(), o)), coded);
        }
    }
}
