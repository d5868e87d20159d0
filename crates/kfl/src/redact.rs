//! `redact()`: the entry as JSON, with values hidden.

use crate::cursor::{Cursor, Parsed};
use crate::lexer::{Dialect, TokenKind, inside};
use crate::predicate::{Document, Step, json};
use gillnet_entry::{Bump, Ctx, Entry, Nothing, Value};

/// What stands in the place of a hidden value.
const HIDDEN: &str = "[REDACTED]";

/// A path of values to hide.
#[derive(Clone, Debug)]
pub(crate) struct Redaction {
    /// The words it begins with, before any other step.
    pub(crate) words: Vec<Box<str>>,
    steps: Vec<Hide>,
}

/// One step of it.
#[derive(Clone, Debug)]
enum Hide {
    Step(Step),
    Into(Document),
}

/// Reads a path: as those of KFL1, but that it may begin with `..`.
pub(crate) fn parse(text: &str) -> Parsed<Redaction> {
    let mut cursor = Cursor::new(text, Dialect::Kfl1);
    let (mut words, mut steps, mut plain) = (Vec::new(), Vec::new(), true);
    if cursor.peek().kind == TokenKind::Ident {
        let word = cursor.next().text;
        words.push(word.into());
        steps.push(key(word));
    }
    while cursor.peek().kind != TokenKind::End {
        let step = step(&mut cursor)?;
        match &step {
            Hide::Step(Step::Key(word, _)) if plain => words.push(word.clone()),
            _ => plain = false,
        }
        steps.push(step);
    }
    if steps.is_empty() {
        return Err(cursor.unexpected("a path"));
    }
    Ok(Redaction { words, steps })
}

fn key(word: &str) -> Hide {
    Hide::Step(Step::Key(word.into(), false))
}

fn step(cursor: &mut Cursor<'_>) -> Parsed<Hide> {
    if cursor.sees("[") {
        return index(cursor).map(Hide::Step);
    }
    cursor.expect(".")?;
    if cursor.take("*") {
        return Ok(Hide::Step(Step::Wild));
    }
    let deep = cursor.take(".");
    let token = cursor.peek();
    match token.kind {
        TokenKind::Ident => cursor.next(),
        // ..['Odd-Key']
        TokenKind::Punct(b'[') if deep => {
            return match index(cursor)? {
                Step::Key(name, _) => Ok(Hide::Step(Step::Deep(name))),
                _ => Err(cursor.unexpected("a quoted key")),
            };
        }
        _ => return Err(cursor.unexpected("a name")),
    };
    if deep {
        return Ok(Hide::Step(Step::Deep(token.text.into())));
    }
    let document = match token.text {
        "json" => Document::Json,
        "xml" => Document::Xml,
        _ => return Ok(key(token.text)),
    };
    if !cursor.take("()") {
        return Ok(key(token.text));
    }
    Ok(Hide::Into(document))
}

fn index(cursor: &mut Cursor<'_>) -> Parsed<Step> {
    cursor.expect("[")?;
    let token = cursor.peek();
    let step = match token.kind {
        TokenKind::Str => Step::Key(inside(&token).1.into(), false),
        TokenKind::Int => Step::At(
            token
                .text
                .parse()
                .map_err(|_| cursor.unexpected("a position"))?,
        ),
        _ => return Err(cursor.unexpected("a quoted key or a position")),
    };
    cursor.next();
    cursor.expect("]")?;
    Ok(step)
}

/// Appends an entry as one JSON object, with what some paths lead to hidden.
pub(crate) fn write_entry(entry: &Entry<'_>, redactions: &[&Redaction], out: &mut Vec<u8>) {
    if redactions.is_empty() {
        return gillnet_entry::json::write_entry(entry, out);
    }
    let mut plain = Vec::new();
    gillnet_entry::json::write_entry(entry, &mut plain);
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let document = std::str::from_utf8(&plain)
        .ok()
        .and_then(|text| json::parse(text, &ctx));
    let paths: Vec<&[Hide]> = redactions.iter().map(|r| &*r.steps).collect();
    // an entry's own JSON is JSON; were it not, nothing of it may be shown
    let shown = document.map_or(Value::Str(HIDDEN), |document| hide(document, &paths, &ctx));
    gillnet_entry::json::write_value(&shown, out);
}

/// A value with what some paths, from it on, lead to hidden.
fn hide<'v>(value: Value<'v>, paths: &[&[Hide]], ctx: &Ctx<'v>) -> Value<'v> {
    if paths.is_empty() {
        return value;
    }
    if paths.iter().any(|path| path.is_empty()) {
        return Value::Str(HIDDEN);
    }
    match value {
        Value::Map(map) => {
            let shown = |(name, value): &(&'v str, Value<'v>)| {
                (
                    *name,
                    hide(
                        *value,
                        &below(
                            paths,
                            |step| matches!(step, Step::Key(key, _) | Step::Deep(key) if **key == **name),
                        ),
                        ctx,
                    ),
                )
            };
            Value::Map(ctx.list(map.iter().map(shown).collect::<Vec<_>>()))
        }
        Value::List(items) => {
            let shown = |(i, item): (usize, &Value<'v>)| {
                hide(*item, &below(paths, |step| *step == Step::At(i)), ctx)
            };
            Value::List(ctx.list(items.iter().enumerate().map(shown).collect::<Vec<_>>()))
        }
        Value::Str(text) => Value::Str(hide_within(text, paths, ctx)),
        _ => value,
    }
}

/// What remains of the paths behind one step. One that looks however deep also goes on as it is.
fn below<'p>(paths: &[&'p [Hide]], taken: impl Fn(&Step) -> bool) -> Vec<&'p [Hide]> {
    let mut rest: Vec<&'p [Hide]> = Vec::new();
    for path in paths {
        let Some((Hide::Step(step), tail)) = path.split_first() else {
            continue;
        };
        let on = (*step == Step::Wild || taken(step)).then_some(tail);
        let again = matches!(step, Step::Deep(_)).then_some(*path);
        for path in on.into_iter().chain(again) {
            // each once, else paths with several `..` would multiply
            if !rest.iter().any(|known| std::ptr::eq(*known, path)) {
                rest.push(path);
            }
        }
    }
    rest
}

/// A text that holds a document, with what some paths lead to inside hidden.
fn hide_within<'v>(text: &'v str, paths: &[&[Hide]], ctx: &Ctx<'v>) -> &'v str {
    let inner = |document| {
        let tails = paths
            .iter()
            .filter_map(move |path| match path.split_first() {
                Some((Hide::Into(d), tail)) if *d == document => Some(tail),
                _ => None,
            });
        tails.collect::<Vec<&[Hide]>>()
    };
    let (in_json, in_xml) = (inner(Document::Json), inner(Document::Xml));
    let begins = |text: &str, signs: &[char]| text.trim_start().starts_with(signs);
    let unpacked = json::unpack(text, ctx);
    let document = if begins(text, &['{', '[', '<']) {
        text
    } else {
        unpacked.unwrap_or(text)
    };
    // an XML document is hidden whole: more than was asked for, but never less
    if !in_xml.is_empty() && begins(document, &['<']) {
        return HIDDEN;
    }
    if in_json.is_empty() || !begins(document, &['{', '[']) {
        return text;
    }
    let Some(value) = json::parse(document, ctx) else {
        // one that was cut cannot be searched
        return HIDDEN;
    };
    let mut shown = Vec::new();
    gillnet_entry::json::write_value(&hide(value, &in_json, ctx), &mut shown);
    if !std::ptr::eq(document, text) {
        let mut packed = Vec::new();
        gillnet_entry::json::base64(&shown, &mut packed);
        shown = packed;
    }
    ctx.arena
        .alloc_str(std::str::from_utf8(&shown).unwrap_or(HIDDEN))
}
