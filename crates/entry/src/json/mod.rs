//! An entry as JSON: one loop over the field tables.

mod flows;
mod layout;
mod text;

use crate::{COMMON, Entry, Schema, Value};
use flows::Flows;
use layout::{Fields, Layout};
pub(crate) use text::Digits;
pub use text::{base64, write_base64, write_base64_pieces, write_str, write_text};

/// Room for most entries without their bodies, in bytes.
const ROOM: usize = 4096;

/// Writes entries as JSON. To be made once for many: it keeps how tables are laid out, and what entries of a flow have
/// in common.
#[derive(Debug)]
pub struct Writer {
    common: Layout,
    /// Of the protocols met so far.
    own: Vec<Layout>,
    flows: Flows,
}

impl Default for Writer {
    fn default() -> Self {
        Writer {
            common: Layout::of(&COMMON),
            own: Vec::new(),
            flows: Flows::default(),
        }
    }
}

impl Writer {
    /// Appends the whole entry as one JSON object.
    pub fn entry(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        out.reserve(ROOM);
        out.push(b'{');
        self.common(entry, out);
        let own = layout(&mut self.own, entry.record.schema());
        own.write(&own.fields, &Own(entry), out);
        layout::close(out);
    }

    fn common(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let [before, of_flow, after] = self.common.by_flow();
        self.common.write(before, &Common(entry), out);
        let known = self.flows.text(entry.common);
        if known.is_empty() {
            let from = out.len();
            self.common.write(of_flow, &Common(entry), out);
            known.extend_from_slice(&out[from..]);
        } else {
            out.extend_from_slice(known);
        }
        self.common.write(after, &Common(entry), out);
    }
}

/// The common part of an entry.
struct Common<'e, 'a>(&'e Entry<'a>);

/// The protocol's part of an entry.
struct Own<'e, 'a>(&'e Entry<'a>);

impl Fields for Common<'_, '_> {
    fn get(&self, field: u16) -> Value<'_> {
        self.0.common(field)
    }

    fn write(&self, _: u16, _: &mut Vec<u8>) -> bool {
        false
    }
}

impl Fields for Own<'_, '_> {
    fn get(&self, field: u16) -> Value<'_> {
        self.0.own(field)
    }

    fn write(&self, field: u16, out: &mut Vec<u8>) -> bool {
        self.0.record.write_json(field, &self.0.ctx, out)
    }
}

/// The layout of a table, which is made where it is not known.
fn layout<'l>(known: &'l mut Vec<Layout>, schema: &'static Schema) -> &'l Layout {
    let at = known
        .iter()
        .position(|layout| std::ptr::eq(layout.schema, schema));
    let at = at.unwrap_or_else(|| {
        known.push(Layout::of(schema));
        known.len() - 1
    });
    &known[at]
}

/// Appends the whole entry as one JSON object; for many use a [`Writer`].
pub fn write_entry(entry: &Entry<'_>, out: &mut Vec<u8>) {
    Writer::default().entry(entry, out);
}

/// Appends one value.
pub fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Missing | Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int(v) | Value::Duration(v) => text::write_int(*v, out),
        Value::UInt(v) => text::write_uint(*v, out),
        Value::Double(v) if v.is_finite() => {
            // writing to a Vec cannot fail
            let _ = std::io::Write::write_fmt(out, format_args!("{v}"));
        }
        Value::Double(_) => out.extend_from_slice(b"null"),
        Value::Str(v) => write_str(v, out),
        Value::Bytes(v) => write_base64(v, out),
        Value::Time(v) => {
            out.push(b'"');
            out.extend_from_slice(&crate::time::Rfc3339(*v).bytes());
            out.push(b'"');
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Bump, Bytes, Ctx, Field, Kind, Name, Nothing, Origin, ProtocolInfo, Record, Stage,
    };
    use std::sync::Arc;

    const fn field(json: &'static str, stage: Stage) -> Field {
        Field {
            json,
            kfl2: "",
            kind: Kind::Int,
            stage,
            doc: "",
        }
    }

    static NESTED: Schema = Schema {
        name: "nested",
        fields: &[
            field("a", Stage::Entry),
            field("", Stage::Entry),
            field("b.c", Stage::Entry),
            field("b.d.e", Stage::Entry),
            field("b.d.missing", Stage::Entry),
            field("b.d.f", Stage::Entry),
            field("b.g", Stage::Entry),
            field("gone.missing", Stage::Entry),
            field("h.i.j", Stage::Entry),
            field("a_name_that_is_longer_than_one_block_of_it", Stage::Entry),
        ],
    };

    static INFO: ProtocolInfo = ProtocolInfo {
        name: "nested",
        version: "1",
        abbr: "N",
        long_name: "Nested",
        macro_name: "nested",
        flags: &[],
        background: "",
        foreground: "",
        reference: "",
        ports: &["1"],
        layer4: "tcp",
        priority: 0,
    };

    #[derive(Debug)]
    struct Nest;

    impl Record for Nest {
        fn schema(&self) -> &'static Schema {
            &NESTED
        }
        fn info(&self) -> &'static ProtocolInfo {
            &INFO
        }
        fn get<'a>(&'a self, field: u16, _: &Ctx<'a>) -> Value<'a> {
            match NESTED.fields[usize::from(field)].json {
                path if path.ends_with("missing") => Value::Missing,
                _ => Value::Int(1),
            }
        }
        fn detach(&self, _: &dyn Bytes, _: usize) -> Box<dyn Record> {
            Box::new(Nest)
        }
        fn summary<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
            ""
        }
        fn method<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
            ""
        }
        fn status<'a>(&'a self, _: &Ctx<'a>) -> (&'a str, Option<i64>) {
            ("", None)
        }
        fn ok(&self, _: &Ctx<'_>) -> bool {
            true
        }
    }

    fn common<'a>(
        origin: &'a Origin,
        name: &'a Arc<Name>,
        stream: u64,
        port: u16,
    ) -> crate::Common<'a> {
        let end = |port| crate::End {
            ip: [10, 0, 0, 1].into(),
            port,
            name,
        };
        crate::Common {
            origin,
            stream,
            transport: crate::Transport::Tcp,
            index: 7,
            info: &INFO,
            tls: false,
            src: end(port),
            dst: end(80),
            ts: 1_700_000_000_123_456_789,
            end_ts: None,
            request_size: 1,
            response_size: 2,
            fault: None,
            missing: 0,
            truncated_before: None,
            passed: false,
            failed: false,
            record: "",
        }
    }

    fn json(writer: &mut Writer, common: &crate::Common<'_>) -> String {
        let arena = Bump::new();
        let entry = Entry {
            common,
            protocol: 0,
            record: &Nest,
            ctx: Ctx {
                store: &Nothing,
                arena: &arena,
            },
        };
        let mut out = Vec::new();
        writer.entry(&entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_nested_objects_and_what_is_missing_is_left_out() {
        let (origin, name) = (Origin::default(), Arc::default());
        let text = json(&mut Writer::default(), &common(&origin, &name, 1, 1));
        let own = r#","capture":{"backend":"","source":""},"a":1,"b":{"c":1,"d":{"e":1,"f":1},"g":1},"h":{"i":{"j":1}},"a_name_that_is_longer_than_one_block_of_it":1}"#;
        assert!(text.ends_with(own), "{text}");
        let head = r#"{"id":"/000000000001.pcap-7","index":7,"stream":"000000000001.pcap","worker":"","node":{"ip":"","name":""},"protocol":{"#;
        assert!(text.starts_with(head), "{text}");
        assert!(
            text.contains(
                r#""timestamp":1700000000123,"startTime":"2023-11-14T22:13:20.123456789Z","#
            ),
            "{text}"
        );
    }

    #[test]
    fn what_a_flow_has_in_common_is_never_that_of_another() {
        let origins = ["a", "b"].map(|worker| Origin {
            worker: worker.into(),
            ..Origin::default()
        });
        let names = ["x", "y"].map(|name| {
            Arc::new(Name {
                name: name.into(),
                ..Name::default()
            })
        });
        let mut writer = Writer::default();
        // streams 1 and 257 share a place
        for round in 0..64usize {
            let (origin, name) = (&origins[round / 16 % 2], &names[round / 8 % 2]);
            let (stream, port) = ([1, 257][round % 2], [5, 6][round / 2 % 2]);
            let mut common = common(origin, name, stream, port);
            common.tls = round / 4 % 2 == 1;
            for _ in 0..2 {
                assert_eq!(
                    json(&mut writer, &common),
                    json(&mut Writer::default(), &common)
                );
            }
        }
    }
}
