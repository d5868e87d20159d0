//! Filters as the API speaks of them: places in UTF-16 code units, as JavaScript counts.

use gillnet_kfl::{Completion, Error, Span, Validation};
use serde_json::{Value, json};

/// Mistakes or warnings of a text.
pub fn errors(errors: &[Error], text: &str) -> Value {
    errors.iter().map(|error| one(error, text)).collect()
}

/// The answer to `kfl/validate`.
pub fn validation(found: &Validation, text: &str) -> Value {
    json!({
        "ok": found.errors.is_empty(),
        "lang": found.lang.name(),
        "errors": errors(&found.errors, text),
        "warnings": errors(&found.warnings, text),
    })
}

/// The answer to `kfl/complete`, with values of the field at the cursor and how often they occur.
pub(crate) fn completion(found: &Completion, values: &[(String, u64)], text: &str) -> Value {
    let marks: Vec<Value> = found
        .marks
        .iter()
        .map(|mark| {
            let (offset, length) = place(mark.span, text);
            json!({ "offset": offset, "length": length, "class": mark.class.name() })
        })
        .collect();
    let mut items = Vec::new();
    if let Some(wanted) = &found.values {
        let (from, length) = place(wanted.replace, text);
        items.extend(values.iter().map(|(value, count)| {
            json!({
                "label": value, "kind": "value", "detail": format!("{count}×"), "doc": "",
                "from": from, "to": from + length, "insert": value,
            })
        }));
    }
    let (from, length) = place(found.replace, text);
    items.extend(found.items.iter().map(|item| {
        json!({
            "label": item.label, "kind": item.kind.name(), "detail": item.of, "doc": item.doc,
            "from": from, "to": from + length, "insert": item.label,
        })
    }));
    let mut answer = validation(&found.validation, text);
    answer["tokens"] = Value::Array(marks);
    answer["completions"] = Value::Array(items);
    answer
}

/// The byte offset of a place in UTF-16 code units; the text's length past its end.
pub(crate) fn byte_offset(text: &str, utf16: usize) -> usize {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        if units >= utf16 {
            return at;
        }
        units += c.len_utf16();
    }
    text.len()
}

fn one(error: &Error, text: &str) -> Value {
    let (offset, length) = place(error.span, text);
    json!({
        "kind": error.kind.name(), "offset": offset, "length": length, "line": error.line, "column": error.column,
        "message": error.message, "suggestion": error.suggestion,
    })
}

/// Offset and length in UTF-16 code units.
fn place(span: Span, text: &str) -> (usize, usize) {
    let units = |part: Option<&str>| part.map_or(0, |part| part.encode_utf16().count());
    let (start, end) = (span.start as usize, span.end as usize);
    (units(text.get(..start)), units(text.get(start..end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_as_javascript_does() {
        let text = "é😀 == 1";
        assert_eq!(byte_offset(text, 0), 0);
        assert_eq!(byte_offset(text, 1), 2);
        assert_eq!(byte_offset(text, 3), 6);
        assert_eq!(byte_offset(text, 99), text.len());
    }
}
