//! An entry as a row of a list.

use crate::redacted::Redacted;
use gillnet_entry::json::{write_base64, write_str, write_value};
use gillnet_entry::time::Rfc3339;
use gillnet_entry::{COMMON, End, Entry, Value};
use gillnet_kfl::Filter;

/// Appends the row of an entry that a filter matches as a JSON object, without what the filter hides. Where the entry
/// comes from a bucket, cluster, node and run are named.
pub fn write_row(entry: &Entry<'_>, filter: &Filter, out: &mut Vec<u8>) {
    if filter.redacts() {
        let mut plain = Vec::new();
        write_plain(entry, &mut plain);
        return Redacted::of(entry, filter).write_row(&plain, out);
    }
    write_plain(entry, out);
}

fn write_plain(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let (c, ctx) = (entry.common, &entry.ctx);
    let shown = entry.record.shown(ctx);
    let mut row = Object::new(out);
    if let Some(id) = COMMON.json("id") {
        row.value("id", &entry.common(id));
    }
    row.value("stream", &Value::Str(c.stream_name(ctx)));
    row.value("index", &Value::Int(i64::from(c.index)));
    row.value(
        "timestamp",
        &Value::Str(ctx.format(format_args!("{}", Rfc3339(c.ts)))),
    );
    row.nested("protocol", |protocol| {
        protocol.value("name", &Value::Str(c.info.name));
        protocol.value("abbr", &Value::Str(c.info.abbr));
        protocol.value("longName", &Value::Str(c.info.long_name));
        protocol.value("backgroundColor", &Value::Str(c.info.background));
        protocol.value("foregroundColor", &Value::Str(c.info.foreground));
    });
    row.value("method", &Value::Str(shown.method));
    row.value("summary", &Value::Str(shown.summary));
    row.value("status", &Value::Str(shown.status));
    row.value("statusCode", &shown.code.map_or(Value::Null, Value::Int));
    row.value("ok", &Value::Bool(c.fault.is_none() && shown.ok));
    row.nested("src", |o| write_end(&c.src, ctx, o));
    row.nested("dst", |o| write_end(&c.dst, ctx, o));
    row.value(
        "elapsedTime",
        &c.elapsed_us().map_or(Value::Null, Value::Int),
    );
    row.value("requestSize", &Value::UInt(c.request_size));
    row.value("responseSize", &Value::UInt(c.response_size));
    match c.fault {
        None => row.value("error", &Value::Null),
        Some(fault) => row.nested("error", |error| {
            error.value("type", &Value::Str(fault.kind.name()));
            error.value("msg", &Value::Str(fault.msg));
        }),
    }
    if !c.origin.run.is_empty() {
        row.value("cluster", &Value::Str(&c.origin.cluster));
        row.value("node", &Value::Str(&c.origin.node));
        row.value("run", &Value::Str(&c.origin.run));
    }
    row.finish();
}

fn write_end<'a>(end: &End<'a>, ctx: &gillnet_entry::Ctx<'a>, out: &mut Object<'_>) {
    out.value("ip", &Value::Str(ctx.format(format_args!("{}", end.ip))));
    out.value("port", &Value::Int(i64::from(end.port)));
    out.value("name", &Value::Str(&end.name.name));
    out.value("namespace", &Value::Str(&end.name.namespace));
}

/// A JSON object being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Object { out, first: true }
    }

    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        write_str(key, self.out);
        self.out.push(b':');
    }

    fn value(&mut self, key: &str, value: &Value<'_>) {
        self.key(key);
        match value {
            Value::Bytes(bytes) => write_base64(bytes, self.out),
            value => write_value(value, self.out),
        }
    }

    fn nested(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut object = Object::new(self.out);
        fill(&mut object);
        object.finish();
    }

    fn finish(self) {
        self.out.push(b'}');
    }
}
