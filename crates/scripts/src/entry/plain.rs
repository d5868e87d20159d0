//! An entry read back from its JSON: what a script made, changed or kept, for filters.

use gillnet_entry::json::Members;
use gillnet_entry::{
    Bytes, Ctx, Mechanism, Name, Origin, OwnedEntry, ProtocolInfo, Record, Schema, Transport, Value,
};
use gillnet_protocols::REGISTRY;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The entry that a JSON object tells of; what it does not say is empty.
pub(crate) fn from_json(json: Json) -> OwnedEntry {
    let text = |path: &str| at(&json, path).and_then(Json::as_str).unwrap_or_default();
    let number = |path: &str| at(&json, path).and_then(Json::as_i64).unwrap_or_default();
    let size = |path: &str| u64::try_from(number(path)).unwrap_or_default();
    let flag = |path: &str| at(&json, path).and_then(Json::as_bool).unwrap_or_default();
    let end = |side: &str| {
        let part = |part: &str| text(&format!("{side}.{part}")).to_owned();
        let name = Name {
            name: part("name"),
            namespace: part("namespace"),
            pod: part("pod.metadata.name"),
            service: part("service.metadata.name"),
            mechanism: Mechanism::None,
            ..Name::default()
        };
        let ip = part("ip").parse();
        let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        (ip, part("port").parse().unwrap_or_default(), Arc::new(name))
    };
    let (src, dst) = (end("src"), end("dst"));
    let stream = text("stream");
    let ts = match text("startTime").parse::<jiff::Timestamp>() {
        Ok(time) => i64::try_from(time.as_nanosecond()).unwrap_or_default(),
        Err(_) => number("timestamp").saturating_mul(1_000_000),
    };
    let elapsed = number("elapsedTime");
    let (protocol, schema) = protocol(&json);
    let origin = Origin {
        worker: text("worker").to_owned(),
        node: text("node.name").to_owned(),
        node_ip: text("node.ip").to_owned(),
        ..Origin::default()
    };
    let info = info(protocol, &json);
    OwnedEntry {
        protocol,
        origin: Arc::new(origin),
        recording: text("record").into(),
        stream: stream
            .split(['_', '.'])
            .next()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_default(),
        transport: if stream.contains("_udp") {
            Transport::Udp
        } else {
            Transport::Tcp
        },
        index: u32::try_from(number("index")).unwrap_or_default(),
        tls: flag("tls"),
        src,
        dst,
        ts,
        end_ts: (elapsed > 0).then(|| ts.saturating_add(elapsed.saturating_mul(1000))),
        request_size: size("requestSize"),
        response_size: size("responseSize"),
        fault: None,
        missing: size("missingBytes"),
        truncated_before: None,
        info,
        record: Box::new(Plain { schema, info, json }),
    }
}

/// What stands at a dotted path.
fn at<'j>(json: &'j Json, path: &str) -> Option<&'j Json> {
    path.split('.').try_fold(json, |json, part| json.get(part))
}

/// The protocol that an object names, by its index and field table.
fn protocol(json: &Json) -> (u8, &'static Schema) {
    let named = |path| at(json, path).and_then(Json::as_str).unwrap_or_default();
    let (name, version) = (named("protocol.name"), named("protocol.version"));
    let known = |name: &str| REGISTRY.iter().position(|p| p.name == name);
    let found = match (name, version) {
        ("http", "2") => known("http2"),
        _ => known(name),
    };
    let index = found.or_else(|| known(named("protocol.macro")));
    match index.and_then(|index| Some((u8::try_from(index).ok()?, REGISTRY.get(index)?.schema))) {
        Some(found) => found,
        None => (u8::MAX, &NO_FIELDS),
    }
}

static NO_FIELDS: Schema = Schema {
    name: "none",
    fields: &[],
    shown: gillnet_entry::ShownBy::NONE,
};

/// How many spellings of protocols are kept; there are some dozen.
const MOST: usize = 256;

/// How the protocol of an object is shown.
fn info(protocol: u8, json: &Json) -> &'static ProtocolInfo {
    static KNOWN: LazyLock<Mutex<HashMap<[String; 5], &'static ProtocolInfo>>> =
        LazyLock::new(Mutex::default);
    static NONE: ProtocolInfo = ProtocolInfo {
        name: "",
        version: "",
        abbr: "",
        long_name: "",
        macro_name: "",
        flags: &[],
        background: "",
        foreground: "",
        reference: "",
        ports: &[],
        layer4: "",
        priority: 0,
    };
    let text = |name: &str| {
        let text = at(json, "protocol").and_then(|protocol| protocol.get(name));
        text.and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    let key = ["name", "version", "abbr", "macro", "longName"].map(text);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(info) = known.get(&key) {
        return info;
    }
    if known.len() >= MOST {
        return &NONE;
    }
    // kept for as long as the process lives, and there are few
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let registered = REGISTRY.get(usize::from(protocol));
    let flags = registered.map_or(&[][..], |protocol| protocol.flags);
    let [name, version, abbr, macro_name, long_name] = &key;
    let flags = flags.iter().map(|(flag, _)| *flag).filter(|flag| {
        *flag == name || *flag == macro_name || registered.is_some_and(|p| p.name == *flag)
    });
    let made: &'static ProtocolInfo = Box::leak(Box::new(ProtocolInfo {
        name: leak(name),
        version: leak(version),
        abbr: leak(abbr),
        long_name: leak(long_name),
        macro_name: leak(macro_name),
        flags: Vec::leak(flags.collect()),
        ..NONE
    }));
    known.insert(key, made);
    made
}

/// The protocol's part, as it stands in the JSON.
#[derive(Clone, Debug)]
struct Plain {
    schema: &'static Schema,
    info: &'static ProtocolInfo,
    json: Json,
}

fn value<'a>(json: &'a Json, ctx: &Ctx<'a>) -> Value<'a> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Bool(*v),
        Json::Number(v) => match v.as_i64() {
            Some(v) => Value::Int(v),
            None => Value::Double(v.as_f64().unwrap_or_default()),
        },
        Json::String(v) => Value::Str(v),
        Json::Array(items) => Value::List(ctx.list(items.iter().map(|item| value(item, ctx)))),
        Json::Object(members) => Value::Map(
            ctx.list(
                members
                    .iter()
                    .map(|(key, member)| (key.as_str(), value(member, ctx))),
            ),
        ),
    }
}

impl Record for Plain {
    fn schema(&self) -> &'static Schema {
        self.schema
    }

    fn info(&self) -> &'static ProtocolInfo {
        self.info
    }

    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        let Some(field) = self.schema.fields.get(usize::from(field)) else {
            return Value::Missing;
        };
        let path = match field.json {
            // in KFL2 alone: where it means a field that is in JSON, that has the same documentation
            "" => {
                let same = |other: &&gillnet_entry::Field| {
                    !other.json.is_empty() && other.doc == field.doc
                };
                match self.schema.fields.iter().find(same) {
                    Some(same) => same.json,
                    None => return Value::Missing,
                }
            }
            path => path,
        };
        match at(&self.json, path) {
            // bodies are base64 in JSON
            Some(Json::String(text)) if field.kind == gillnet_entry::Kind::Bytes => {
                use base64::Engine as _;
                match base64::engine::general_purpose::STANDARD.decode(text) {
                    Ok(bytes) => Value::Bytes(ctx.arena.alloc_slice_copy(&bytes)),
                    Err(_) => Value::Str(text),
                }
            }
            Some(found) => value(found, ctx),
            None => Value::Missing,
        }
    }

    fn write_json<'a>(&'a self, _: &Ctx<'a>, _: &mut Members<'_>) {}

    fn detach(&self, _: &dyn Bytes, _: usize) -> Box<dyn Record> {
        Box::new(self.clone())
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
