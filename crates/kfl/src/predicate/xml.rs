//! XML text as values in the scratch space: an element is a map of its children by name, those of one name in a
//! list; an element without children is its text. Attributes, comments and processing instructions are passed over.

use super::{Val, json};
use gillnet_entry::{Ctx, Value};

/// Levels of a document that are read.
const MAX_DEPTH: u8 = 64;

/// Children of one element that are read: they are grouped by name, each compared with those before it.
const MAX_CHILDREN: usize = 4096;

/// The document that a text holds, as XML or as base64 of XML: a map with the root element.
pub(crate) fn read<'v>(text: &'v str, ctx: &Ctx<'v>) -> Option<Val<'v>> {
    let text = if text.trim_start().starts_with('<') {
        text
    } else {
        json::unpack(text, ctx)?
    };
    let mut reader = Reader {
        rest: text,
        ctx: *ctx,
    };
    reader.prolog()?;
    let (name, value) = reader.element(0)?;
    Val::of(Value::Map(ctx.list([(name, value)])))
}

struct Reader<'v> {
    rest: &'v str,
    ctx: Ctx<'v>,
}

impl<'v> Reader<'v> {
    /// Steps over what ends with `end`; nothing where it does not end.
    fn skip(&mut self, end: &str) -> Option<&'v str> {
        let (before, after) = self.rest.split_once(end)?;
        self.rest = after;
        Some(before)
    }

    fn prolog(&mut self) -> Option<()> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("<?") {
                self.skip("?>")?;
            } else if self.rest.starts_with("<!--") {
                self.skip("-->")?;
            } else if self.rest.starts_with("<!") {
                self.skip(">")?;
            } else {
                return Some(());
            }
        }
    }

    /// An element from its `<` on.
    fn element(&mut self, depth: u8) -> Option<(&'v str, Value<'v>)> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.rest = self.rest.strip_prefix('<')?;
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || c == '>' || c == '/')?;
        let (name, after) = self.rest.split_at(end);
        self.rest = after;
        let name = name.rsplit(':').next().filter(|n| !n.is_empty())?;
        let empty = self.attributes()?;
        let value = if empty {
            Value::Str("")
        } else {
            self.content(depth)?
        };
        Some((name, value))
    }

    /// Steps over the attributes and the end of a start tag; whether it was an empty element's.
    fn attributes(&mut self) -> Option<bool> {
        loop {
            let at = self.rest.find(['"', '\'', '>'])?;
            let found = self.rest.as_bytes().get(at).copied()?;
            let before = self.rest.get(..at)?;
            self.rest = self.rest.get(at + 1..)?;
            match found {
                b'>' => return Some(before.ends_with('/')),
                quote => self.skip(if quote == b'"' { "\"" } else { "'" })?,
            };
        }
    }

    /// What stands between the tags, and the end tag.
    fn content(&mut self, depth: u8) -> Option<Value<'v>> {
        let mut text = bumpalo::collections::String::new_in(self.ctx.arena);
        let mut children = bumpalo::collections::Vec::new_in(self.ctx.arena);
        loop {
            let at = self.rest.find('<')?;
            unescape(self.rest.get(..at)?, &mut text);
            self.rest = self.rest.get(at..)?;
            if self.rest.starts_with("</") {
                self.skip(">")?;
                break;
            } else if self.rest.starts_with("<!--") {
                self.skip("-->")?;
            } else if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                self.rest = rest;
                text.push_str(self.skip("]]>")?);
            } else if self.rest.starts_with("<?") {
                self.skip("?>")?;
            } else if children.len() == MAX_CHILDREN {
                return None;
            } else {
                children.push(self.element(depth + 1)?);
            }
        }
        if children.is_empty() {
            return Some(Value::Str(text.into_bump_str().trim()));
        }
        Some(self.by_name(&children))
    }

    fn by_name(&self, children: &[(&'v str, Value<'v>)]) -> Value<'v> {
        let mut map: bumpalo::collections::Vec<'v, (&'v str, Value<'v>)> =
            bumpalo::collections::Vec::new_in(self.ctx.arena);
        for (i, (name, value)) in children.iter().enumerate() {
            if children.iter().take(i).any(|(n, _)| n == name) {
                continue;
            }
            let rest = children.get(i + 1..).unwrap_or(&[]);
            let value = if rest.iter().any(|(n, _)| n == name) {
                Value::List(
                    self.ctx
                        .list(children.iter().filter(|(n, _)| n == name).map(|(_, v)| *v)),
                )
            } else {
                *value
            };
            map.push((name, value));
        }
        Value::Map(map.into_bump_slice())
    }
}

/// Appends text with its five named and its numeric entities resolved.
fn unescape(text: &str, out: &mut bumpalo::collections::String<'_>) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after
            .split_once(';')
            .and_then(|(name, tail)| Some((entity(name)?, tail)));
        rest = match entity {
            Some((c, tail)) => {
                out.push(c);
                tail
            }
            None => {
                out.push('&');
                after
            }
        };
    }
    out.push_str(rest);
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let code = name.strip_prefix('#')?;
            let code = match code.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            return char::from_u32(code);
        }
    })
}
