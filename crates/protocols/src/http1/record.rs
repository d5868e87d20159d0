//! The record of an exchange and the table of its fields.

use super::form;
use super::head::StartLine;
use super::message::Message;
use super::pairs;
use super::read::{Read, View};
use super::text as values;
use crate::{gql, grpc, http2};
use gillnet_entry::json::{self, Members};
use gillnet_entry::{Bytes, Ctx, ProtocolInfo, Record, Row, Schema, Shown, Value};

/// What an exchange of HTTP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC, on HTTP/2.
    Grpc,
    /// GraphQL on HTTP/1.
    GqlV1,
    /// GraphQL on HTTP/2.
    GqlV2,
}

/// A request and its response, in whatever version of HTTP; one of them may be missing.
#[derive(Debug)]
pub struct Http {
    form: Form,
    pub(super) request: Option<Message>,
    pub(super) response: Option<Message>,
}

gillnet_entry::fields! {
    /// The fields of HTTP.
    pub(crate) static HTTP ("http", method "request.method", summary "request.url"), fn get, text, columns, write(&View<'a>) {
        /// The request; null where only the response was seen.
        "request", "", Any, Entry => |h, _| absent(&h.http.request);
        /// Method of the request.
        "request.method", "method", Str, Entry => |h, x| h.request(x, |r| Value::Str(r.method_text(x))), json |h, x, out| h.request(x, |r| r.write_method(out));
        /// Target of the request as it stands on the wire: path and query.
        "request.url", "url", Str, Entry => |h, x| h.request(x, |r| Value::Str(r.target_text(x))), json |h, x, out| h.request(x, |r| r.write_target(out));
        /// Target of the request as it stands on the wire.
        "request.targetUri", "", Str, Entry => |h, x| h.request(x, |r| Value::Str(r.target_text(x))), json |h, x, out| h.request(x, |r| r.write_target(out)), same_as "request.url";
        /// Path of the request, without the query.
        "request.path", "path", Str, Entry => |h, x| h.request(x, |r| Value::Str(r.path_text(x))), json |h, x, out| h.request(x, |r| r.write_path(out));
        /// The parts of the path between slashes.
        "request.pathSegments", "", StrList, Entry => |h, x| h.request(x, |r| segments(r.path(), x));
        /// Version of HTTP that the request names: `HTTP/1.1`.
        "request.httpVersion", "", Str, Entry => |h, _| h.http.request.as_ref().map_or(Value::Missing, |m| h.http.version(m));
        /// Headers of the request; values of a repeated name are joined with a comma.
        "request.headers", "request.headers", Headers, Entry => |h, x| h.request(x, |r| values::header_map(r.head, x)), json |h, x, out| h.request(x, |r| pairs::write_headers(r.head, r.lines(x), out));
        /// Cookies that the request carries.
        "request.cookies", "request.cookies", StrMap, Entry => |h, x| h.request(x, |r| values::cookie_map(r.header(b"cookie"), x)), json |h, x, out| h.request(x, |r| pairs::write_cookies(r.header(b"cookie"), out));
        /// The query, decoded; values of a repeated name are a list.
        "request.queryString", "query_string", StrMap, Entry => |h, x| h.request(x, |r| values::query_map(query(r.target()), x)), json |h, x, out| h.request(x, |r| pairs::write_query(query(r.target()), x, out));
        /// Bytes of the request's head.
        "request.headersSize", "request_headers_size", Int, Entry => |h, _| head_size(&h.http.request);
        /// Bytes of the request's body as sent, without chunked framing.
        "request.bodySize", "request_body_size", Int, Entry => |h, _| body_size(&h.http.request);
        /// Type of the request's body.
        "request.postData.mimeType", "", Str, Entry => |h, x| h.posted(x, |r| Value::Str(r.header_text(b"content-type", x))), json |h, x, out| h.posted(x, |r| r.write_header(b"content-type", out));
        /// Fields of a form in the request's body: name, value, fileName, contentType.
        "request.postData.params", "", Any, Entry => |h, x| h.posted(x, |r| form::params(r.header(b"content-type"), r.body(x).bytes, x));
        /// The request's body as text, decoded.
        "request.postData.text", "", Str, Entry => |h, x| h.posted(x, |r| Value::Str(x.text(r.body(x).bytes)));
        /// The response; null where only the request was seen.
        "response", "", Any, Entry => |h, _| absent(&h.http.response);
        /// Status code.
        "response.status", "status_code", Int, Entry => |h, _| h.http.response.as_ref().map_or(Value::Missing, |m| Value::Int(i64::from(m.status_code())));
        /// Reason phrase.
        "response.statusText", "", Str, Entry => |h, x| h.response(x, |r| Value::Str(x.text(r.reason())));
        /// Version of HTTP that the response names: `HTTP/1.1`.
        "response.httpVersion", "", Str, Entry => |h, _| h.http.response.as_ref().map_or(Value::Missing, |m| h.http.version(m));
        /// Headers of the response; values of a repeated name are joined with a comma.
        "response.headers", "response.headers", Headers, Entry => |h, x| h.response(x, |r| values::header_map(r.head, x)), json |h, x, out| h.response(x, |r| pairs::write_headers(r.head, r.lines(x), out));
        /// Cookies that the response sets.
        "response.cookies", "response.cookies", StrMap, Entry => |h, x| h.response(x, |r| values::set_cookie_map(r.head, r.message.letters, x)), json |h, x, out| h.response(x, |r| r.header(b"set-cookie").is_empty() && pairs::write_constant(b"{}", out));
        /// Where the response redirects to: its Location.
        "response.redirectURL", "", Str, Entry => |h, x| h.response(x, |r| Value::Str(r.header_text(b"location", x))), json |h, x, out| h.response(x, |r| r.write_header(b"location", out));
        /// Bytes of the response's head.
        "response.headersSize", "response_headers_size", Int, Entry => |h, _| head_size(&h.http.response);
        /// Bytes of the response's body as sent, without chunked framing.
        "response.bodySize", "response_body_size", Int, Entry => |h, _| body_size(&h.http.response);
        /// Type of the response's body.
        "response.content.mimeType", "", Str, Entry => |h, x| h.response(x, |r| Value::Str(r.header_text(b"content-type", x))), json |h, x, out| h.response(x, |r| r.write_header(b"content-type", out));
        /// Bytes of the response's body, decoded; as sent, where it was not kept whole.
        "response.content.size", "", Int, Entry => |h, x| h.response(x, |r| int(r.content_size(x)));
        /// How `text` is written: base64.
        "response.content.encoding", "", Str, Entry => |h, x| h.response(x, |_| Value::Str("base64")), json |h, x, out| h.response(x, |_| pairs::write_constant(b"\"base64\"", out));
        /// The response's body, decoded, in base64; raw, where its coding could not be undone.
        "response.content.text", "", Bytes, Entry => |h, x| h.response(x, |r| Value::Bytes(r.body(x).bytes)), json |h, x, out| h.response(x, |r| r.write_body(x, out));
        /// Version of HTTP: `HTTP/1.1`, `HTTP/2`.
        "", "http_version", Str, Entry => |h, _| h.http.request.as_ref().or(h.http.response.as_ref()).map_or(Value::Missing, |m| h.http.version(m));
        /// Method of a gRPC call, without its service: `SayHello`; `path` has both.
        "", "grpc_method", Str, Entry => |h, x| h.grpc(|| h.request(x, |r| Value::Str(x.text(grpc::method(r.path())))));
        /// Status of a gRPC call: 0 for OK, and where none was seen.
        "", "grpc_status", Int, Entry => |h, x| h.grpc(|| h.response(x, |r| grpc::status(r.header(b"grpc-status"))));
    }
}

impl Http {
    /// An exchange of HTTP/1.
    pub(super) fn new(request: Option<Message>, response: Option<Message>) -> Http {
        Http {
            form: Form::Http1,
            request,
            response,
        }
    }

    pub(super) fn request_alone(request: Message) -> Http {
        Http::new(Some(request), None)
    }

    pub(super) fn response_alone(response: Message) -> Http {
        Http::new(None, Some(response))
    }

    /// An exchange of which heads were decoded, as those of HTTP/2 are, or whose bodies turned out to be another
    /// protocol's. They are written as HTTP/1.1 writes them; `None` where one is not a whole head.
    pub fn decoded(
        form: Form,
        request: Option<Vec<u8>>,
        response: Option<Vec<u8>>,
    ) -> Option<Http> {
        let message = |head: Option<Vec<u8>>| match head {
            Some(head) => Message::decoded(head).map(Some),
            None => Some(None),
        };
        let (request, response) = (message(request)?, message(response)?);
        let sides = request.as_ref().is_none_or(|m| !m.is_response())
            && response.as_ref().is_none_or(Message::is_response);
        sides.then_some(Http {
            form,
            request,
            response,
        })
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.form == Form::Grpc
    }

    fn version<'a>(&self, message: &Message) -> Value<'a> {
        if self.form.is_http2() {
            return Value::Str("HTTP/2");
        }
        let (StartLine::Request { minor, .. } | StartLine::Response { minor, .. }) = message.start;
        const NAMES: [&str; 10] = [
            "HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/1.3", "HTTP/1.4", "HTTP/1.5", "HTTP/1.6",
            "HTTP/1.7", "HTTP/1.8", "HTTP/1.9",
        ];
        NAMES
            .get(usize::from(minor))
            .map_or(Value::Missing, |name| Value::Str(name))
    }
}

impl Form {
    fn is_http2(self) -> bool {
        matches!(self, Form::Http2 | Form::Grpc | Form::GqlV2)
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
        if self.form.is_http2() {
            &http2::SCHEMA
        } else {
            &HTTP
        }
    }

    fn info(&self) -> &'static ProtocolInfo {
        match self.form {
            Form::Http1 => {}
            Form::Http2 => return &http2::INFO,
            Form::Grpc => return &grpc::INFO,
            Form::GqlV1 => return &gql::V1,
            Form::GqlV2 => return &gql::V2,
        }
        let message = self.request.as_ref().or(self.response.as_ref());
        match message.map(|m| m.start) {
            Some(StartLine::Request { minor: 0, .. } | StartLine::Response { minor: 0, .. }) => {
                &HTTP_10
            }
            _ => &HTTP_11,
        }
    }

    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        get(&View::new(self), field, ctx)
    }

    fn row<'a>(&'a self, ctx: &Ctx<'a>, row: &mut dyn Row) -> Shown<'a> {
        let view = View::new(self);
        view.posted(ctx, Read::look_up_usual);
        view.response(ctx, Read::look_up_usual);
        columns(&view, ctx, row);
        let (status, code) = self.status(ctx);
        Shown {
            summary: view.request(ctx, |r| r.target_text(ctx)),
            method: view.request(ctx, |r| r.method_text(ctx)),
            status,
            code,
            ok: self.ok(ctx),
        }
    }

    fn key<'a>(&'a self, field: u16, key: &str, ignore_case: bool, ctx: &Ctx<'a>) -> Value<'a> {
        let header =
            |r: &Read<'a>| values::header(r.head, r.message.letters, key, ignore_case, ctx);
        const REQUEST: usize = HTTP.index("request.headers");
        const RESPONSE: usize = HTTP.index("response.headers");
        const QUERY: usize = HTTP.index("request.queryString");
        match usize::from(field) {
            REQUEST => View::new(self).request(ctx, header),
            RESPONSE => View::new(self).response(ctx, header),
            QUERY => View::new(self).request(ctx, |r| {
                values::query_value(query(r.target()), key, ignore_case, ctx)
            }),
            _ => self.get(field, ctx).key(key, ignore_case),
        }
    }

    fn write_field(&self, field: u16, ctx: &Ctx<'_>, out: &mut Vec<u8>) {
        let (view, len) = (View::new(self), out.len());
        if !text(&view, field, ctx, out) {
            out.truncate(len);
            json::write_value(&get(&view, field, ctx), out);
        }
    }

    fn write_json<'a>(&'a self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        write::<0, { usize::MAX }>(&View::new(self), ctx, members);
    }

    fn detach(&self, store: &dyn Bytes, limit: usize) -> Box<dyn Record> {
        let detach = |message: &Option<Message>| message.as_ref().map(|m| m.detach(store, limit));
        Box::new(Http {
            form: self.form,
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
                (ctx.number(code.into()), Some(i64::from(code)))
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

/// What is shown of HTTP in all its forms; each says what is its own.
pub(crate) const SHOWN: ProtocolInfo = ProtocolInfo {
    name: "http",
    version: "1.1",
    abbr: "HTTP",
    long_name: "Hypertext Transfer Protocol",
    macro_name: "http",
    flags: &["http"],
    background: "#205cf5",
    foreground: "#ffffff",
    reference: "https://www.rfc-editor.org/rfc/rfc9112",
    ports: &["80", "443", "8080"],
    layer4: "tcp",
    priority: 0,
};

pub(super) static HTTP_10: ProtocolInfo = ProtocolInfo {
    version: "1.0",
    ..SHOWN
};
pub(super) static HTTP_11: ProtocolInfo = SHOWN;
