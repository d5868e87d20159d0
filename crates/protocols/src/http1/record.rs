//! The record of an exchange and the table of its fields.

use super::body::{self, Body};
use super::form;
use super::head::StartLine;
use super::message::Message;
use super::pairs;
use super::text::{self, Headers};
use gillnet_entry::{Bytes, Ctx, ProtocolInfo, Record, Schema, Value, json};

/// A request and its response; one of them may be missing.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) request: Option<Message>,
    pub(super) response: Option<Message>,
}

gillnet_entry::fields! {
    /// The fields of HTTP.
    pub(super) static HTTP ("http"), fn get(&'a Http) {
        /// The request; null where only the response was seen.
        "request", "", Any, Entry => |h, _| absent(&h.request);
        /// Method of the request.
        "request.method", "method", Str, Entry => |h, x| h.request(x, |r| Value::Str(x.text(r.method())));
        /// Target of the request as it stands on the wire: path and query.
        "request.url", "url", Str, Entry => |h, x| h.request(x, |r| Value::Str(x.text(r.target())));
        /// Target of the request as it stands on the wire.
        "request.targetUri", "", Str, Entry => |h, x| h.request(x, |r| Value::Str(x.text(r.target())));
        /// Path of the request, without the query.
        "request.path", "path", Str, Entry => |h, x| h.request(x, |r| Value::Str(x.text(path(r.target()))));
        /// The parts of the path between slashes.
        "request.pathSegments", "", StrList, Entry => |h, x| h.request(x, |r| segments(path(r.target()), x));
        /// Version of HTTP that the request names: `HTTP/1.1`.
        "request.httpVersion", "", Str, Entry => |h, _| h.request.as_ref().map_or(Value::Missing, version);
        /// Headers of the request; values of a repeated name are joined with a comma.
        "request.headers", "request.headers", Headers, Entry => |h, x| h.request(x, |r| text::header_map(r.head, x));
        /// Cookies that the request carries.
        "request.cookies", "request.cookies", StrMap, Entry => |h, x| h.request(x, |r| text::cookie_map(r.header(b"cookie"), x));
        /// The query, decoded; values of a repeated name are a list.
        "request.queryString", "query_string", StrMap, Entry => |h, x| h.request(x, |r| text::query_map(query(r.target()), x));
        /// Bytes of the request's head.
        "request.headersSize", "request_headers_size", Int, Entry => |h, _| head_size(&h.request);
        /// Bytes of the request's body as sent, without chunked framing.
        "request.bodySize", "request_body_size", Int, Entry => |h, _| body_size(&h.request);
        /// Type of the request's body.
        "request.postData.mimeType", "", Str, Entry => |h, x| h.posted(x, |r| Value::Str(text::unfold(r.header(b"content-type"), x)));
        /// Fields of a form in the request's body: name, value, fileName, contentType.
        "request.postData.params", "", Any, Entry => |h, x| h.posted(x, |r| form::params(r.header(b"content-type"), r.body(x).bytes, x));
        /// The request's body as text, decoded.
        "request.postData.text", "", Str, Entry => |h, x| h.posted(x, |r| Value::Str(x.text(r.body(x).bytes)));
        /// The response; null where only the request was seen.
        "response", "", Any, Entry => |h, _| absent(&h.response);
        /// Status code.
        "response.status", "status_code", Int, Entry => |h, _| h.response.as_ref().map_or(Value::Missing, |m| Value::Int(i64::from(m.status_code())));
        /// Reason phrase.
        "response.statusText", "", Str, Entry => |h, x| h.response(x, |r| Value::Str(x.text(r.reason())));
        /// Version of HTTP that the response names: `HTTP/1.1`.
        "response.httpVersion", "", Str, Entry => |h, _| h.response.as_ref().map_or(Value::Missing, version);
        /// Headers of the response; values of a repeated name are joined with a comma.
        "response.headers", "response.headers", Headers, Entry => |h, x| h.response(x, |r| text::header_map(r.head, x));
        /// Cookies that the response sets.
        "response.cookies", "response.cookies", StrMap, Entry => |h, x| h.response(x, |r| text::set_cookie_map(r.head, r.message.letters, x));
        /// Where the response redirects to: its Location.
        "response.redirectURL", "", Str, Entry => |h, x| h.response(x, |r| Value::Str(text::unfold(r.header(b"location"), x)));
        /// Bytes of the response's head.
        "response.headersSize", "response_headers_size", Int, Entry => |h, _| head_size(&h.response);
        /// Bytes of the response's body as sent, without chunked framing.
        "response.bodySize", "response_body_size", Int, Entry => |h, _| body_size(&h.response);
        /// Type of the response's body.
        "response.content.mimeType", "", Str, Entry => |h, x| h.response(x, |r| Value::Str(text::unfold(r.header(b"content-type"), x)));
        /// Bytes of the response's body, decoded; as sent, where it was not kept whole.
        "response.content.size", "", Int, Entry => |h, x| h.response(x, |r| r.content_size(x));
        /// How `text` is written: base64.
        "response.content.encoding", "", Str, Entry => |h, x| h.response(x, |_| Value::Str("base64"));
        /// The response's body, decoded, in base64; raw, where its coding could not be undone.
        "response.content.text", "", Bytes, Entry => |h, x| h.response(x, |r| Value::Bytes(r.body(x).bytes));
        /// Version of HTTP: `HTTP/1.1`.
        "", "http_version", Str, Entry => |h, _| h.request.as_ref().or(h.response.as_ref()).map_or(Value::Missing, version);
    }
}

/// A message with the bytes of its head.
struct Read<'a> {
    message: &'a Message,
    head: &'a [u8],
}

impl<'a> Read<'a> {
    fn new(message: &'a Message, ctx: &Ctx<'a>) -> Self {
        Read {
            message,
            head: message.head.get(ctx),
        }
    }

    fn method(&self) -> &'a [u8] {
        match self.message.start {
            StartLine::Request { method, .. } => {
                self.head.get(..usize::from(method)).unwrap_or_default()
            }
            StartLine::Response { .. } => &[],
        }
    }

    fn target(&self) -> &'a [u8] {
        let StartLine::Request { target, len, .. } = self.message.start else {
            return &[];
        };
        let from = usize::from(target);
        self.head.get(from..from + len as usize).unwrap_or_default()
    }

    fn reason(&self) -> &'a [u8] {
        let end = memchr::memchr(b'\n', self.head).unwrap_or(self.head.len());
        let line = self.head.get(..end).unwrap_or_default();
        let mut words = line.splitn(3, |b| *b == b' ').skip(2);
        words.next().unwrap_or_default().trim_ascii()
    }

    fn header(&self, name: &[u8]) -> &'a [u8] {
        Headers::new(self.head)
            .find(self.message.letters, name)
            .unwrap_or_default()
    }

    /// The body as it came, in pieces; where one is gone from the store, up to there.
    fn pieces(&self, ctx: &Ctx<'a>) -> impl Iterator<Item = &'a [u8]> {
        let parts = self.message.body().filter(|part| !part.is_empty());
        parts
            .map(|part| part.get(ctx))
            .take_while(|piece| !piece.is_empty())
    }

    /// The body as it came.
    fn wire(&self, ctx: &Ctx<'a>) -> &'a [u8] {
        let mut pieces = self.pieces(ctx);
        let first = pieces.next().unwrap_or_default();
        let Some(second) = pieces.next() else {
            return first;
        };
        let mut bytes = bumpalo::collections::Vec::new_in(ctx.arena);
        for piece in [first, second].into_iter().chain(pieces) {
            bytes.extend_from_slice(piece);
        }
        bytes.into_bump_slice()
    }

    /// Whether the body is not as it came.
    fn is_coded(&self) -> bool {
        !self.header(b"content-encoding").is_empty()
            || !self.header(b"transfer-encoding").is_empty()
    }

    fn write_body(&self, ctx: &Ctx<'a>, out: &mut Vec<u8>) -> bool {
        let plain = !self.is_coded();
        if plain {
            json::write_base64_pieces(self.pieces(ctx), out);
        }
        plain
    }

    fn body(&self, ctx: &Ctx<'a>) -> Body<'a> {
        body::decode(self.head, self.message.letters, self.wire(ctx), ctx)
    }

    fn content_size(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let sent = self.message.payload;
        if !self.is_coded() || !self.message.body_is_whole() {
            return int(sent);
        }
        let body = self.body(ctx);
        if body.raw {
            int(sent)
        } else {
            int(body.bytes.len() as u64)
        }
    }
}

impl Http {
    pub(super) fn request_alone(request: Message) -> Http {
        Http {
            request: Some(request),
            response: None,
        }
    }

    pub(super) fn response_alone(response: Message) -> Http {
        Http {
            request: None,
            response: Some(response),
        }
    }

    fn request<'a>(&'a self, ctx: &Ctx<'a>, read: impl FnOnce(Read<'a>) -> Value<'a>) -> Value<'a> {
        self.request
            .as_ref()
            .map_or(Value::Missing, |message| read(Read::new(message, ctx)))
    }

    fn response<'a>(
        &'a self,
        ctx: &Ctx<'a>,
        read: impl FnOnce(Read<'a>) -> Value<'a>,
    ) -> Value<'a> {
        self.response
            .as_ref()
            .map_or(Value::Missing, |message| read(Read::new(message, ctx)))
    }

    /// The request, where it has a body.
    fn posted<'a>(&'a self, ctx: &Ctx<'a>, read: impl FnOnce(Read<'a>) -> Value<'a>) -> Value<'a> {
        let request = self.request.as_ref().filter(|message| message.payload > 0);
        request.map_or(Value::Missing, |message| read(Read::new(message, ctx)))
    }
}

/// Null where a message is missing, so that JSON says so; else its fields speak.
fn absent<'a>(message: &Option<Message>) -> Value<'a> {
    if message.is_none() {
        Value::Null
    } else {
        Value::Missing
    }
}

fn int<'a>(n: u64) -> Value<'a> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn head_size<'a>(message: &Option<Message>) -> Value<'a> {
    message
        .as_ref()
        .map_or(Value::Missing, |m| int(u64::from(m.head.len())))
}

fn body_size<'a>(message: &Option<Message>) -> Value<'a> {
    message.as_ref().map_or(Value::Missing, |m| int(m.payload))
}

fn version<'a>(message: &Message) -> Value<'a> {
    let (StartLine::Request { minor, .. } | StartLine::Response { minor, .. }) = message.start;
    const NAMES: [&str; 10] = [
        "HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/1.3", "HTTP/1.4", "HTTP/1.5", "HTTP/1.6",
        "HTTP/1.7", "HTTP/1.8", "HTTP/1.9",
    ];
    NAMES
        .get(usize::from(minor))
        .map_or(Value::Missing, |name| Value::Str(name))
}

/// The path of a target in any of its forms (RFC 9112 §3.2).
fn path(target: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    if path.starts_with(b"/") {
        return path;
    }
    let Some(scheme) = memchr::memmem::find(path, b"://") else {
        return path; // `*`, or the authority of a CONNECT
    };
    let rest = path.get(scheme + 3..).unwrap_or_default();
    memchr::memchr(b'/', rest)
        .and_then(|at| rest.get(at..))
        .unwrap_or(b"/")
}

fn query(target: &[u8]) -> &[u8] {
    let Some(at) = memchr::memchr(b'?', target) else {
        return &[];
    };
    let query = target.get(at + 1..).unwrap_or_default();
    let end = memchr::memchr(b'#', query).unwrap_or(query.len());
    query.get(..end).unwrap_or_default()
}

fn segments<'a>(path: &'a [u8], ctx: &Ctx<'a>) -> Value<'a> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let parts = path.split(|b| *b == b'/').filter(|_| !path.is_empty());
    Value::List(ctx.list(parts.map(|part| Value::Str(ctx.text(part)))))
}

impl Record for Http {
    fn schema(&self) -> &'static Schema {
        &HTTP
    }

    fn info(&self) -> &'static ProtocolInfo {
        let message = self.request.as_ref().or(self.response.as_ref());
        match message.map(|m| m.start) {
            Some(StartLine::Request { minor: 0, .. } | StartLine::Response { minor: 0, .. }) => {
                &HTTP_10
            }
            _ => &HTTP_11,
        }
    }

    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        get(self, field, ctx)
    }

    fn key<'a>(&'a self, field: u16, key: &str, ignore_case: bool, ctx: &Ctx<'a>) -> Value<'a> {
        let header = |r: Read<'a>| text::header(r.head, key, ignore_case, ctx);
        match HTTP.fields.get(usize::from(field)).map_or("", |f| f.json) {
            "request.headers" => self.request(ctx, header),
            "response.headers" => self.response(ctx, header),
            _ => self.get(field, ctx).key(key, ignore_case),
        }
    }

    fn write_json(&self, field: u16, ctx: &Ctx<'_>, out: &mut Vec<u8>) -> bool {
        const REQUEST_HEADERS: u16 = HTTP.at("request.headers");
        const COOKIES: u16 = HTTP.at("request.cookies");
        const QUERY: u16 = HTTP.at("request.queryString");
        const SET_COOKIES: u16 = HTTP.at("response.cookies");
        const RESPONSE_HEADERS: u16 = HTTP.at("response.headers");
        const BODY: u16 = HTTP.at("response.content.text");
        let message = match field {
            REQUEST_HEADERS | COOKIES | QUERY => &self.request,
            _ => &self.response,
        };
        let Some(read) = message.as_ref().map(|message| Read::new(message, ctx)) else {
            return false;
        };
        match field {
            REQUEST_HEADERS | RESPONSE_HEADERS => pairs::write_headers(read.head, out),
            COOKIES => pairs::write_cookies(read.header(b"cookie"), out),
            QUERY => pairs::write_query(query(read.target()), ctx, out),
            SET_COOKIES => read.header(b"set-cookie").is_empty() && pairs::write_none(out),
            BODY => read.write_body(ctx, out),
            _ => false,
        }
    }

    fn detach(&self, store: &dyn Bytes, limit: usize) -> Box<dyn Record> {
        let detach = |message: &Option<Message>| message.as_ref().map(|m| m.detach(store, limit));
        Box::new(Http {
            request: detach(&self.request),
            response: detach(&self.response),
        })
    }

    fn summary<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str {
        self.request
            .as_ref()
            .map_or("", |message| ctx.text(Read::new(message, ctx).target()))
    }

    fn method<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str {
        self.request
            .as_ref()
            .map_or("", |message| ctx.text(Read::new(message, ctx).method()))
    }

    fn status<'a>(&'a self, ctx: &Ctx<'a>) -> (&'a str, Option<i64>) {
        match &self.response {
            Some(message) => {
                let code = message.status_code();
                (ctx.format(format_args!("{code}")), Some(i64::from(code)))
            }
            None => ("", None),
        }
    }

    fn ok(&self, _: &Ctx<'_>) -> bool {
        self.response
            .as_ref()
            .is_some_and(|message| message.status_code() < 400)
    }
}

const fn info(version: &'static str) -> ProtocolInfo {
    ProtocolInfo {
        name: "http",
        version,
        abbr: "HTTP",
        long_name: "Hypertext Transfer Protocol",
        macro_name: "http",
        flags: super::FLAGS,
        background: "#205cf5",
        foreground: "#ffffff",
        reference: "https://www.rfc-editor.org/rfc/rfc9112",
        ports: &["80", "443", "8080"],
        layer4: "tcp",
        priority: 0,
    }
}

static HTTP_10: ProtocolInfo = info("1.0");
static HTTP_11: ProtocolInfo = info("1.1");
