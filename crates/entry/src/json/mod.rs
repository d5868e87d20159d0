//! An entry as JSON: one loop over the field tables.

mod members;
mod text;

use crate::digits::write_uint;
use crate::{COMMON, Common, Entry, Origin, ProtocolInfo, Value};
pub use members::{Member, Members, full_len, key_len, step_len};
pub use text::{
    Room, base64, write_base64, write_base64_pieces, write_str, write_text, write_text_in,
};

/// Room for most entries without their bodies, in bytes.
const ROOM: usize = 4096;

/// Writes entries as JSON. To be made once for many: it keeps what entries of one origin and protocol have in common.
#[derive(Debug, Default)]
pub struct Writer {
    shared: Option<Shared>,
}

impl Writer {
    /// Appends the whole entry as one JSON object.
    pub fn entry(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let (common, ctx) = (entry.common, &entry.ctx);
        out.reserve(ROOM);
        out.push(b'{');
        let mut members = Members::new(out, &COMMON);
        common.write_before_shared(ctx, &mut members);
        members.end();
        match &self.shared {
            Some(shared) if shared.has(common) => out.extend_from_slice(&shared.text),
            _ => {
                let from = out.len();
                let mut members = Members::new(out, &COMMON);
                common.write_shared(ctx, &mut members);
                members.end();
                let text = out.get(from..).unwrap_or_default().into();
                self.shared = Some(Shared {
                    origin: common.origin.clone(),
                    info: common.info,
                    tls: common.tls,
                    text,
                });
            }
        }
        let mut members = Members::new(out, &COMMON);
        common.write_behind_shared(ctx, &mut members);
        members.end();
        let mut members = Members::new(out, entry.record.schema());
        entry.record.write_json(ctx, &mut members);
        members.end();
        members::close(out);
    }
}

/// What entries of one origin and protocol have in common, as text.
#[derive(Debug)]
struct Shared {
    origin: Origin,
    info: &'static ProtocolInfo,
    tls: bool,
    text: Box<[u8]>,
}

impl Shared {
    fn has(&self, c: &Common<'_>) -> bool {
        let Origin {
            worker,
            node,
            node_ip,
            cluster,
            run,
            backend,
            recording: _,
            kept,
            unrecorded: _,
        } = &self.origin;
        let o = c.origin;
        let is_of = std::ptr::eq(self.info, c.info) && self.tls == c.tls && *kept == o.kept;
        let names = same(worker, &o.worker) && same(node, &o.node) && same(node_ip, &o.node_ip);
        is_of && names && same(cluster, &o.cluster) && same(run, &o.run) && same(backend, o.backend)
    }
}

/// Whether two texts are equal. An empty one points nowhere, and comparing nothing there with vector instructions costs
/// some processors hundreds of cycles.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

/// Appends the whole entry as one JSON object; for many use a [`Writer`].
pub fn write_entry(entry: &Entry<'_>, out: &mut Vec<u8>) {
    Writer::default().entry(entry, out);
}

/// Appends one value.
#[inline]
pub fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Missing | Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int(v) | Value::Duration(v) => text::write_int(*v, out),
        Value::UInt(v) => write_uint(*v, out),
        Value::Double(v) => write_double(*v, out),
        Value::Str(v) => write_str(v, out),
        Value::Bytes(v) => write_base64(v, out),
        Value::Time(v) => {
            out.push(b'"');
            out.extend_from_slice(&crate::time::Rfc3339(*v).bytes());
            out.push(b'"');
        }
        Value::List(items) => write_list(items, out),
        Value::Map(map) => write_map(map, out),
    }
}

#[cold]
fn write_double(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        // writing to a Vec cannot fail
        let _ = std::io::Write::write_fmt(out, format_args!("{number}"));
    } else {
        out.extend_from_slice(b"null");
    }
}

#[inline(never)]
fn write_list(items: &[Value<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_value(item, out);
    }
    out.push(b']');
}

#[inline(never)]
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
    use crate::{Bump, Bytes, Ctx, Name, Nothing, ProtocolInfo, Record, Schema};
    use std::sync::Arc;

    crate::fields! {
        /// Nested objects.
        static NESTED ("nested"), fn get, text, columns, write(&'a Nest) {
            /// A member of the entry.
            "a", "", Int, Entry => |_, _| Value::Int(1);
            /// In no JSON.
            "", "none", Int, Entry => |_, _| Value::Int(9);
            /// Nested.
            "b.c", "", Int, Entry => |_, _| Value::Int(1);
            /// Nested twice.
            "b.d.e", "", Int, Entry => |_, _| Value::Int(1), json |_, _, out| { out.push(b'2'); true };
            /// Left out.
            "b.d.missing", "", Int, Entry => |_, _| Value::Missing, json |_, _, out| { out.push(b'8'); false };
            /// Given up, and written as its value.
            "b.d.f", "", Int, Entry => |_, _| Value::Int(1), json |_, _, out| { out.push(b'8'); false };
            /// Behind an inner object.
            "b.g", "", Int, Entry => |_, _| Value::Int(1);
            /// The one member of an object, left out.
            "gone.missing", "", Int, Entry => |_, _| Value::Missing, json |_, _, _| false;
            /// In objects that are not side by side.
            "h.i.j", "", Int, Entry => |_, _| Value::Int(1);
            /// Long.
            "a_name_that_is_longer_than_others", "", Int, Entry => |_, _| Value::Int(1);
        }
    }

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
        fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
            get(self, field, ctx)
        }
        fn write_json<'a>(&'a self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
            write::<0, { usize::MAX }>(self, ctx, members);
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
        let own = r#","capture":{"backend":"","source":""},"a":1,"b":{"c":1,"d":{"e":2,"f":1},"g":1},"h":{"i":{"j":1}},"a_name_that_is_longer_than_others":1}"#;
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
    fn fields_are_written_as_their_values_are() {
        let origin = Origin {
            worker: "w\"1".into(),
            node: "n".into(),
            ..Origin::default()
        };
        let name = Arc::new(Name {
            name: "n\u{e9}".into(),
            namespace: "s".into(),
            pod: "p".into(),
            service: "v".into(),
            ..Name::default()
        });
        for transport in [crate::Transport::Tcp, crate::Transport::Udp] {
            for ip in ["10.255.0.1", "fe80::1:2"] {
                let mut common = common(&origin, &name, 12_345, 65_535);
                common.transport = transport;
                common.src.ip = ip.parse().unwrap();
                let text = json(&mut Writer::default(), &common);
                let arena = Bump::new();
                let ctx = Ctx {
                    store: &Nothing,
                    arena: &arena,
                };
                for (i, field) in COMMON.fields.iter().enumerate() {
                    let value = common.get(u16::try_from(i).unwrap(), &ctx);
                    if !field.json.is_empty() && !matches!(value, Value::Missing) {
                        let mut member = Vec::new();
                        write_value(&value, &mut member);
                        let leaf = field.json.rsplit('.').next().unwrap();
                        let member = format!("\"{leaf}\":{}", String::from_utf8(member).unwrap());
                        assert!(text.contains(&member), "{member} in {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_entries_have_in_common_is_never_that_of_others() {
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
