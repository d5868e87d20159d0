//! Records with the fields that HTTP and DNS have, and tables of protocols that are only spoken of.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test binary uses its part

use gillnet_entry::json::Members;
use gillnet_entry::{
    Bump, Bytes, Common, Ctx, End, Entry, Kind, Mechanism, Name, Nothing, Origin, ProtocolInfo,
    Record, Schema, Stage, Transport, Value, Workload, fields,
};
use gillnet_kfl::Env;
use std::net::IpAddr;
use std::sync::Arc;

pub type Pairs = Vec<(String, String)>;

pub fn pairs(of: &[(&str, &str)]) -> Pairs {
    of.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn map<'a>(pairs: &'a Pairs, ctx: &Ctx<'a>) -> Value<'a> {
    Value::Map(ctx.list(pairs.iter().map(|(k, v)| (k.as_str(), Value::Str(v)))))
}

fn list<'a>(items: &'a [String], ctx: &Ctx<'a>) -> Value<'a> {
    Value::List(ctx.list(items.iter().map(|i| Value::Str(i))))
}

fn find<'a>(pairs: &'a Pairs, key: &str, ignore_case: bool) -> Value<'a> {
    let same = |k: &str| {
        if ignore_case {
            k.eq_ignore_ascii_case(key)
        } else {
            k == key
        }
    };
    pairs
        .iter()
        .find(|(k, _)| same(k))
        .map_or(Value::Missing, |(_, v)| Value::Str(v))
}

#[derive(Clone, Debug, Default)]
pub struct Http {
    pub grpc: bool,
    pub method: String,
    pub url: String,
    pub version: String,
    pub headers: Pairs,
    pub cookies: Pairs,
    pub query: Pairs,
    /// Status and headers, body and its size; none: no response was seen.
    pub response: Option<(i64, Pairs, String, i64)>,
}

impl Http {
    fn path(&self) -> &str {
        self.url.split('?').next().unwrap_or("")
    }

    fn response<'a>(
        &'a self,
        read: impl FnOnce(&'a (i64, Pairs, String, i64)) -> Value<'a>,
    ) -> Value<'a> {
        self.response.as_ref().map_or(Value::Missing, read)
    }
}

fields! {
    pub static HTTP ("http"), fn http_field, http_text, http_columns, http_write(&'a Http) {
        /// Method.
        "request.method", "method", Str, Entry => |r, _| Value::Str(&r.method);
        /// Path and query.
        "request.url", "url", Str, Entry => |r, _| Value::Str(&r.url);
        /// Path.
        "request.path", "path", Str, Entry => |r, _| Value::Str(r.path());
        /// Parts of the path.
        "request.pathSegments", "", StrList, Entry => |r, c| Value::List(c.list(r.path().split('/').skip(1).map(Value::Str)));
        /// Version.
        "request.httpVersion", "http_version", Str, Entry => |r, _| Value::Str(&r.version);
        /// Headers of the request.
        "request.headers", "request.headers", Headers, Entry => |r, c| map(&r.headers, c);
        /// Cookies of the request.
        "request.cookies", "request.cookies", StrMap, Entry => |r, c| map(&r.cookies, c);
        /// Query.
        "request.queryString", "query_string", StrMap, Entry => |r, c| map(&r.query, c);
        /// Size of the body.
        "request.bodySize", "request_body_size", Int, Entry => |_, _| Value::Int(0);
        /// Status.
        "response.status", "status_code", Int, Entry => |r, _| r.response(|r| Value::Int(r.0));
        /// Headers of the response.
        "response.headers", "response.headers", Headers, Entry => |r, c| r.response.as_ref().map_or(Value::Missing, |r| map(&r.1, c));
        /// Size of the body.
        "response.bodySize", "response_body_size", Int, Entry => |r, _| r.response(|r| Value::Int(r.3));
        /// Media type.
        "response.content.mimeType", "", Str, Entry => |r, _| r.response(|_| Value::Str("application/json"));
        /// The body in base64.
        "response.content.text", "", Str, Entry => |r, _| r.response(|r| Value::Str(&r.2));
        /// Status of gRPC.
        "", "grpc_status", Int, Entry => |_, _| Value::Missing;
    }
}

pub static HTTP_INFO: ProtocolInfo = info("http", "1.1", "HTTP", &["http"], "tcp");
pub static GRPC_INFO: ProtocolInfo = info("http", "2", "gRPC", &["http", "http2", "grpc"], "tcp");
pub static DNS_INFO: ProtocolInfo = info("dns", "0", "DNS", &["dns"], "udp");

const fn info(
    name: &'static str,
    version: &'static str,
    abbr: &'static str,
    flags: &'static [&'static str],
    layer4: &'static str,
) -> ProtocolInfo {
    ProtocolInfo {
        name,
        version,
        abbr,
        long_name: abbr,
        macro_name: name,
        flags,
        background: "#000000",
        foreground: "#ffffff",
        reference: "",
        ports: &[],
        layer4,
        priority: 0,
    }
}

impl Record for Http {
    fn schema(&self) -> &'static Schema {
        &HTTP
    }
    fn info(&self) -> &'static ProtocolInfo {
        if self.grpc { &GRPC_INFO } else { &HTTP_INFO }
    }
    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        http_field(self, field, ctx)
    }

    fn write_json<'a>(&'a self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        http_write::<0, { usize::MAX }>(self, ctx, members);
    }
    fn key<'a>(&'a self, field: u16, key: &str, ignore_case: bool, ctx: &Ctx<'a>) -> Value<'a> {
        match HTTP.fields.get(usize::from(field)).map(|f| f.json) {
            Some("request.headers") => find(&self.headers, key, ignore_case),
            Some("response.headers") => self
                .response
                .as_ref()
                .map_or(Value::Missing, |r| find(&r.1, key, ignore_case)),
            _ => self.get(field, ctx).key(key, ignore_case),
        }
    }
    fn detach(&self, _: &dyn Bytes, _: usize) -> Box<dyn Record> {
        Box::new(self.clone())
    }
    fn summary<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
        &self.url
    }
    fn method<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
        &self.method
    }
    fn status<'a>(&'a self, _: &Ctx<'a>) -> (&'a str, Option<i64>) {
        ("", self.response.as_ref().map(|r| r.0))
    }
    fn ok(&self, _: &Ctx<'_>) -> bool {
        self.response.as_ref().is_none_or(|r| r.0 < 400)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Dns {
    pub questions: Vec<String>,
    pub types: Vec<String>,
    pub answers: Vec<String>,
    pub rcode: i64,
}

impl Dns {
    fn questions<'a>(&'a self, ctx: &Ctx<'a>) -> Value<'a> {
        let question = |(name, of): (&'a String, &'a String)| {
            Value::Map(ctx.list([
                ("name", Value::Str(name)),
                ("type", Value::Str(of)),
                ("class", Value::Str("IN")),
            ]))
        };
        Value::List(ctx.list(self.questions.iter().zip(&self.types).map(question)))
    }
}

fields! {
    pub static DNS ("dns"), fn dns_field, dns_text, dns_columns, dns_write(&'a Dns) {
        /// Questions.
        "request.questions", "", Any, Entry => |r, c| r.questions(c);
        /// Names asked for.
        "", "dns_questions", StrList, Entry => |r, c| list(&r.questions, c);
        /// Types asked for.
        "", "dns_question_types", StrList, Entry => |r, c| list(&r.types, c);
        /// Answers.
        "response.answers", "dns_answers", StrList, Entry => |r, c| list(&r.answers, c);
        /// Outcome.
        "response.code", "", Str, Entry => |_, _| Value::Str("Non-Existent Domain");
        /// Outcome as a number.
        "response.rcode", "status_code", Int, Entry => |r, _| Value::Int(r.rcode);
        /// Whether there is a request.
        "", "dns_request", Bool, Entry => |_, _| Value::Bool(true);
        /// Whether there is a response.
        "", "dns_response", Bool, Entry => |_, _| Value::Bool(true);
    }
}

impl Record for Dns {
    fn schema(&self) -> &'static Schema {
        &DNS
    }
    fn info(&self) -> &'static ProtocolInfo {
        &DNS_INFO
    }
    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        dns_field(self, field, ctx)
    }

    fn write_json<'a>(&'a self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        dns_write::<0, { usize::MAX }>(self, ctx, members);
    }
    fn detach(&self, _: &dyn Bytes, _: usize) -> Box<dyn Record> {
        Box::new(self.clone())
    }
    fn summary<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
        self.questions.first().map_or("", |q| q)
    }
    fn method<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
        self.types.first().map_or("", |q| q)
    }
    fn status<'a>(&'a self, _: &Ctx<'a>) -> (&'a str, Option<i64>) {
        ("", Some(self.rcode))
    }
    fn ok(&self, _: &Ctx<'_>) -> bool {
        self.rcode == 0
    }
}

macro_rules! spoken_of {
    ($($name:ident: $($field:literal $kind:ident),+;)+) => {
        $(static $name: Schema = Schema {
            name: stringify!($name),
            fields: &[$(gillnet_entry::Field { json: "", kfl2: $field, kind: Kind::$kind, stage: Stage::Entry, doc: "", same_as: "" }),+],
            shown: gillnet_entry::ShownBy::NONE,
        };)+
    };
}

spoken_of! {
    TCP: "tcp_error_type" Str;
    REDIS: "redis_type" Str, "redis_key" Str;
    KAFKA: "kafka_api_key_name" Str, "kafka_request_summary" Str;
    POSTGRESQL: "postgresql_error_code" Str;
    MYSQL: "mysql_success" Bool;
    CONN: "conn_l7_detected" StrList;
    FLOW: "flow_local_bps" Int;
}

const HTTP_FLAGS: &[(&str, &str)] = &[("http", ""), ("http2", ""), ("grpc", ""), ("gql", "")];

/// HTTP and DNS alone, as a first registry has them.
pub fn small() -> Env {
    Env::new(&[("http", &HTTP, HTTP_FLAGS), ("dns", &DNS, &[("dns", "")])])
}

/// With all protocols that the filters of the tests speak of.
pub fn large() -> Env {
    Env::new(&[
        ("http", &HTTP, HTTP_FLAGS),
        ("dns", &DNS, &[("dns", "")]),
        ("tcp", &TCP, &[("tcp", "")]),
        ("redis", &REDIS, &[("redis", "")]),
        ("kafka", &KAFKA, &[("kafka", "")]),
        ("postgresql", &POSTGRESQL, &[("postgresql", "")]),
        ("mysql", &MYSQL, &[("mysql", "")]),
        (
            "conn",
            &CONN,
            &[("conn", ""), ("tcp_conn", ""), ("udp_conn", "")],
        ),
        (
            "flow",
            &FLOW,
            &[("flow", ""), ("tcp_flow", ""), ("udp_flow", "")],
        ),
    ])
}

/// An entry and all that it borrows.
#[derive(Debug)]
pub struct Sample {
    pub protocol: u8,
    pub record: Box<dyn Record>,
    pub src: (IpAddr, u16, Arc<Name>),
    pub dst: (IpAddr, u16, Arc<Name>),
    pub tls: bool,
    pub ts: i64,
    pub end_ts: Option<i64>,
    pub origin: Origin,
    pub recording: &'static str,
}

impl Sample {
    pub fn with<T>(&self, arena: &Bump, read: impl FnOnce(&Entry<'_>) -> T) -> T {
        let end = |(ip, port, name): &'_ (IpAddr, u16, Arc<Name>)| (*ip, *port, Arc::clone(name));
        let (src, dst) = (end(&self.src), end(&self.dst));
        let common = Common {
            origin: &self.origin,
            stream: 25258,
            transport: Transport::Tcp,
            index: 0,
            info: self.record.info(),
            tls: self.tls,
            src: End {
                ip: src.0,
                port: src.1,
                name: &src.2,
            },
            dst: End {
                ip: dst.0,
                port: dst.1,
                name: &dst.2,
            },
            ts: self.ts,
            end_ts: self.end_ts,
            request_size: 428,
            response_size: 114,
            fault: None,
            missing: 0,
            truncated_before: None,
            passed: false,
            failed: false,
            record: self.recording,
        };
        let ctx = Ctx {
            store: &Nothing,
            arena,
        };
        read(&Entry {
            common: &common,
            protocol: self.protocol,
            record: &*self.record,
            ctx,
        })
    }
}

pub fn name(name: &str, namespace: &str, pod: &str, service: &str, dns: &str) -> Arc<Name> {
    Arc::new(Name {
        name: name.into(),
        namespace: namespace.into(),
        pod: pod.into(),
        service: service.into(),
        dns: dns.into(),
        mechanism: Mechanism::Ip,
        since: 0,
        workload: None,
    })
}

/// A name of the node that the entries of KFL2's vectors were seen on.
fn local_name(shown: &str, namespace: &str, pod: &str, service: &str) -> Arc<Name> {
    let workload = Workload {
        node: "node-1".into(),
        process: "nginx".into(),
        labels: pairs(&[("app", "checkout"), ("tier", "web")]),
        annotations: Vec::new(),
    };
    Arc::new(Name {
        workload: Some(Box::new(workload)),
        ..Name::clone(&name(shown, namespace, pod, service, ""))
    })
}

pub fn at(text: &str) -> i64 {
    i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap()
}

/// The entry that the vectors of KFL1 were taken on, from its JSON.
pub fn e0() -> Sample {
    let json: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/kfl1_entry.json")).unwrap();
    let text = |path: &str| {
        json.pointer(path)
            .and_then(|v| v.as_str())
            .unwrap_or("")
            .to_string()
    };
    let object = |path: &str| -> Pairs {
        let object = json.pointer(path).and_then(|v| v.as_object());
        object
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().into()))
            .collect()
    };
    let number = |path: &str| {
        json.pointer(path)
            .and_then(serde_json::Value::as_i64)
            .unwrap()
    };
    let end = |side: &str| {
        let at = |part: &str| text(&format!("/{side}/{part}"));
        let full = name(
            &at("name"),
            &at("namespace"),
            &at("pod/metadata/name"),
            &at("service/metadata/name"),
            "",
        );
        (at("ip").parse().unwrap(), at("port").parse().unwrap(), full)
    };
    let ts = at(&text("/startTime"));
    assert_eq!(ts / 1_000_000, number("/timestamp"));
    Sample {
        protocol: 0,
        record: Box::new(Http {
            method: text("/request/method"),
            url: text("/request/url"),
            version: text("/request/httpVersion"),
            headers: object("/request/headers"),
            query: object("/request/queryString"),
            response: Some((
                number("/response/status"),
                object("/response/headers"),
                text("/response/content/text"),
                number("/response/bodySize"),
            )),
            ..Http::default()
        }),
        src: end("src"),
        dst: end("dst"),
        tls: false,
        ts,
        end_ts: Some(ts + number("/elapsedTime") * 1000),
        origin: Origin {
            worker: text("/worker"),
            node: text("/node/name"),
            node_ip: text("/node/ip"),
            backend: "af_packet",
            ..Origin::default()
        },
        recording: "",
    }
}

fn second_origin() -> Origin {
    Origin {
        node: "node-1".into(),
        node_ip: "10.9.0.1".into(),
        backend: "ebpf",
        ..Origin::default()
    }
}

/// The HTTP entry that the vectors of KFL2 were taken on.
pub fn e1() -> Sample {
    let ts = at("2026-03-14T22:28:00Z");
    Sample {
        protocol: 0,
        record: Box::new(Http {
            method: "GET".into(),
            url: "/api/v1/users?id=123".into(),
            version: "HTTP/1.1".into(),
            headers: pairs(&[
                ("content-type", "application/json"),
                ("user-agent", "curl/8"),
            ]),
            query: pairs(&[("id", "123")]),
            response: Some((503, Pairs::new(), String::new(), 20_000)),
            ..Http::default()
        }),
        src: (
            "10.0.0.5".parse().unwrap(),
            40_000,
            local_name("api-gateway", "production", "api-gateway-1", "api-gateway"),
        ),
        dst: (
            "10.0.0.9".parse().unwrap(),
            8080,
            name(
                "payment-service",
                "payments",
                "payment-service-1",
                "payment-service",
                "",
            ),
        ),
        tls: true,
        ts,
        end_ts: Some(ts + 6_000_000_000),
        origin: second_origin(),
        recording: "",
    }
}

/// The DNS entry that the vectors of KFL2 were taken on.
pub fn e2() -> Sample {
    let ts = at("2026-03-14T22:28:00Z");
    Sample {
        protocol: 1,
        record: Box::new(Dns {
            questions: vec!["google.com".into(), "pool.minexmr.com".into()],
            types: vec!["A".into(), "A".into()],
            answers: Vec::new(),
            rcode: 3,
        }),
        src: (
            "10.0.0.5".parse().unwrap(),
            40_001,
            local_name("api-gateway", "production", "api-gateway-1", "api-gateway"),
        ),
        dst: (
            "8.8.8.8".parse().unwrap(),
            53,
            name("dns.google", "", "", "", "dns.google"),
        ),
        tls: true,
        ts,
        end_ts: None,
        origin: second_origin(),
        recording: "",
    }
}
