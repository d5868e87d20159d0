//! An exchange and its fields.

use gillnet_entry::json::Members;
use gillnet_entry::{Bytes, Ctx, Part, ProtocolInfo, Record, Row, Schema, Shown, Value};

pub(super) static INFO: ProtocolInfo = ProtocolInfo {
    name: "template",
    version: "1",
    abbr: "TPL",
    long_name: "A protocol to copy",
    macro_name: "template",
    flags: &["template"],
    background: "#336699",
    foreground: "#ffffff",
    reference: "",
    ports: &["7070"],
    layer4: "tcp",
    priority: 99,
};

/// A request, a response, or both; each the bytes of its line, which are read when a field is asked for.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) request: Option<Part>,
    pub(super) response: Option<Part>,
}

gillnet_entry::fields! {
    /// Fields of an entry.
    pub(super) static SCHEMA ("template"), fn get, text, columns, write(&'a Exchange) {
        /// Null where no request was seen, else the fields below.
        "request", "", Any, Entry => |r, _| if r.request.is_none() { Value::Null } else { Value::Missing };
        /// What is asked: `GET`, `SET`.
        "request.verb", "template_verb", Str, Entry => |r, x| r.word(0, x);
        /// Name of the value.
        "request.key", "template_key", Str, Entry => |r, x| r.word(1, x);
        /// Null where no response was seen, else the fields below.
        "response", "", Any, Entry => |r, _| if r.response.is_none() { Value::Null } else { Value::Missing };
        /// Whether it was done.
        "response.success", "template_success", Bool, Entry => |r, x| r.answer(x).map_or(Value::Missing, |(ok, _)| Value::Bool(ok));
        /// The value, or what went wrong.
        "response.text", "", Str, Entry => |r, x| r.answer(x).map_or(Value::Missing, |(_, text)| Value::Str(text));
    }
}

/// The first line, without its end; `None` where that has not come.
pub(super) fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = memchr::memmem::find(bytes, b"\r\n")?;
    bytes.get(..end)
}

impl Exchange {
    fn word<'a>(&'a self, at: usize, ctx: &Ctx<'a>) -> Value<'a> {
        let line = self
            .request
            .as_ref()
            .map_or("", |part| ctx.text(part.get(ctx)));
        line.split(' ').nth(at).map_or(Value::Missing, Value::Str)
    }

    /// Whether it went well, and the text behind the sign.
    fn answer<'a>(&'a self, ctx: &Ctx<'a>) -> Option<(bool, &'a str)> {
        let (sign, text) = self.response.as_ref()?.get(ctx).split_first()?;
        Some((*sign == b'+', ctx.text(text)))
    }
}

impl Record for Exchange {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn info(&self) -> &'static ProtocolInfo {
        &INFO
    }

    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        get(self, field, ctx)
    }

    fn row<'a>(&'a self, ctx: &Ctx<'a>, row: &mut dyn Row) -> Shown<'a> {
        columns(self, ctx, row);
        self.shown(ctx)
    }

    fn write_json<'a>(&'a self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        write::<0, { usize::MAX }>(self, ctx, members);
    }

    fn detach(&self, store: &dyn Bytes, limit: usize) -> Box<dyn Record> {
        Box::new(Exchange {
            request: self.request.as_ref().map(|part| part.detach(store, limit)),
            response: self.response.as_ref().map(|part| part.detach(store, limit)),
        })
    }

    fn summary<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str {
        self.word(1, ctx).as_str().unwrap_or_default()
    }

    fn method<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str {
        self.word(0, ctx).as_str().unwrap_or_default()
    }

    fn status<'a>(&'a self, ctx: &Ctx<'a>) -> (&'a str, Option<i64>) {
        let text = self
            .answer(ctx)
            .map_or("", |(ok, text)| if ok { "OK" } else { text });
        (text, None)
    }

    fn ok(&self, ctx: &Ctx<'_>) -> bool {
        self.answer(ctx).is_none_or(|(ok, _)| ok)
    }
}
