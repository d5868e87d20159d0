//! Forms in bodies of requests.

use super::text::{Headers, query_pairs, unfold};
use gillnet_entry::{Ctx, Value};

/// Most parts of a multipart body that are listed.
const MAX_PARTS: usize = 1024;

/// The fields of a form: a list of name and value, of files also fileName and contentType; `Missing` where the body is
/// no form.
pub(super) fn params<'a>(content_type: &'a [u8], body: &'a [u8], ctx: &Ctx<'a>) -> Value<'a> {
    let (kind, parameters) = split_type(content_type);
    if kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        let pairs = query_pairs(body.trim_ascii(), ctx);
        return Value::List(ctx.list(pairs.map(|(name, value)| {
            Value::Map(ctx.list([("name", Value::Str(name)), ("value", Value::Str(value))]))
        })));
    }
    if kind.eq_ignore_ascii_case(b"multipart/form-data")
        && let Some(boundary) = parameter(parameters, b"boundary")
    {
        return Value::List(
            ctx.list(
                parts(boundary, body)
                    .take(MAX_PARTS)
                    .map(|part| part.value(ctx)),
            ),
        );
    }
    Value::Missing
}

fn split_type(content_type: &[u8]) -> (&[u8], &[u8]) {
    let at = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    let (kind, parameters) = content_type.split_at(at);
    (kind.trim_ascii(), parameters.get(1..).unwrap_or_default())
}

/// The value of a parameter of a header (`; name="value"`), without its quotes.
fn parameter<'a>(parameters: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    parameters.split(|b| *b == b';').find_map(|item| {
        let at = memchr::memchr(b'=', item)?;
        let (key, value) = item.split_at_checked(at)?;
        let value = value.get(1..)?.trim_ascii();
        let value = value
            .strip_prefix(b"\"")
            .and_then(|v| v.strip_suffix(b"\""))
            .unwrap_or(value);
        key.trim_ascii().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// One part of a multipart body (RFC 7578).
struct Part<'a> {
    head: &'a [u8],
    body: &'a [u8],
}

impl<'a> Part<'a> {
    fn value(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let disposition = Headers::new(self.head)
            .find(u32::MAX, b"content-disposition")
            .unwrap_or_default();
        let (_, parameters) = split_type(disposition);
        let text = |name: &[u8]| parameter(parameters, name).map_or("", |value| ctx.text(value));
        let mut fields = vec![
            ("name", Value::Str(text(b"name"))),
            ("value", Value::Str(ctx.text(self.body))),
        ];
        if parameter(parameters, b"filename").is_some() {
            fields.push(("fileName", Value::Str(text(b"filename"))));
        }
        if let Some(kind) = Headers::new(self.head).find(u32::MAX, b"content-type") {
            fields.push(("contentType", Value::Str(unfold(kind, ctx))));
        }
        Value::Map(ctx.list(fields))
    }
}

/// The parts between the boundaries; one whose end never came is the last.
fn parts<'a>(boundary: &'a [u8], body: &'a [u8]) -> impl Iterator<Item = Part<'a>> {
    let delimiter = [b"--", boundary].concat();
    let mut rest =
        memchr::memmem::find(body, &delimiter).and_then(|at| body.get(at + delimiter.len()..));
    std::iter::from_fn(move || {
        let text = rest?;
        if boundary.is_empty() || text.starts_with(b"--") {
            return None;
        }
        let end = memchr::memmem::find(text, &delimiter);
        let part = text.get(..end.unwrap_or(text.len()))?;
        rest = end.and_then(|end| text.get(end + delimiter.len()..));
        let split = memchr::memmem::find(part, b"\r\n\r\n");
        let (head, body) = part.split_at(split.map_or(part.len(), |at| at + 4));
        Some(Part {
            head,
            body: body.strip_suffix(b"\r\n").unwrap_or(body),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_entry::{Bump, Nothing};

    fn json(content_type: &str, body: &str) -> String {
        let arena = Bump::new();
        let ctx = Ctx {
            store: &Nothing,
            arena: &arena,
        };
        let mut out = Vec::new();
        gillnet_entry::json::write_value(
            &params(content_type.as_bytes(), body.as_bytes(), &ctx),
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forms() {
        assert_eq!(
            json(
                "application/x-www-form-urlencoded; charset=utf-8",
                "a=1&b=x+y&a=%26\r\n"
            ),
            r#"[{"name":"a","value":"1"},{"name":"b","value":"x y"},{"name":"a","value":"&"}]"#
        );
        assert_eq!(json("application/json", "{}"), "null");
    }

    #[test]
    fn multipart() {
        let body = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX\r\n\
            content-disposition: form-data; name=f; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n\r\n--XX--\r\n";
        let all = r#"[{"name":"a","value":"1"},{"name":"f","value":"hi\r\n","fileName":"x.txt","contentType":"text/plain"}]"#;
        assert_eq!(json("multipart/form-data; boundary=XX", body), all);
        assert_eq!(json("Multipart/Form-Data; boundary=\"XX\"", body), all);
        for len in 0..body.len() {
            json("multipart/form-data; boundary=XX", &body[..len]); // ends, whatever is cut
        }
        assert_eq!(json("multipart/form-data", body), "null");
        assert_eq!(json("multipart/form-data; boundary=", body), "[]");
    }
}
