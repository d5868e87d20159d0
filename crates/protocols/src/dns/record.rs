//! A DNS exchange and its fields.

use super::codes;
use super::value;
use super::wire::{Message, Question, Section};
use gillnet_entry::json::Members;
use gillnet_entry::{Bytes, Ctx, Part, ProtocolInfo, Record, Row, Schema, Shown, Value};
use std::cell::OnceCell;

/// How DNS is shown.
pub(super) static INFO: ProtocolInfo = ProtocolInfo {
    name: "dns",
    version: "0",
    abbr: "DNS",
    long_name: "Domain Name System",
    macro_name: "dns",
    flags: &["dns"],
    background: "#606060",
    foreground: "#ffffff",
    reference: "https://www.rfc-editor.org/rfc/rfc1035",
    ports: &["53"],
    layer4: "udp",
    priority: 4,
};

/// One message of an exchange.
#[derive(Clone, Debug)]
pub(super) struct Half {
    /// Its bytes, without the length before it on TCP.
    pub(super) part: Part,
    /// How many they were on the wire.
    pub(super) len: u32,
}

impl Half {
    fn message<'a>(&'a self, ctx: &Ctx<'a>) -> Option<Message<'a>> {
        Message::read(self.part.get(ctx))
    }

    fn detach(&self, store: &dyn Bytes, limit: usize) -> Half {
        Half {
            part: self.part.detach(store, limit),
            len: self.len,
        }
    }
}

/// A query, a response, or both.
#[derive(Clone, Debug)]
pub(super) struct Dns {
    pub(super) query: Option<Half>,
    pub(super) response: Option<Half>,
}

/// An exchange while its fields are read: what several of them want is read once.
pub(super) struct View<'a> {
    dns: &'a Dns,
    query: OnceCell<Option<Message<'a>>>,
    response: OnceCell<Option<Message<'a>>>,
    rcode: OnceCell<Option<u16>>,
}

impl<'a> View<'a> {
    fn new(dns: &'a Dns) -> Self {
        Self {
            dns,
            query: OnceCell::new(),
            response: OnceCell::new(),
            rcode: OnceCell::new(),
        }
    }

    fn query(&self, ctx: &Ctx<'a>) -> Option<Message<'a>> {
        let read = || self.dns.query.as_ref()?.message(ctx);
        *self.query.get_or_init(read)
    }

    fn response(&self, ctx: &Ctx<'a>) -> Option<Message<'a>> {
        let read = || self.dns.response.as_ref()?.message(ctx);
        *self.response.get_or_init(read)
    }

    /// The message with the questions: the query, else the response, which repeats them.
    fn asking(&self, ctx: &Ctx<'a>) -> Option<Message<'a>> {
        self.query(ctx).or_else(|| self.response(ctx))
    }

    fn question(&self, ctx: &Ctx<'a>) -> Option<Question<'a>> {
        self.asking(ctx)?.questions().next()
    }

    /// The response code.
    fn rcode(&self, ctx: &Ctx<'a>) -> Option<u16> {
        let read = || self.response(ctx).map(Message::rcode);
        *self.rcode.get_or_init(read)
    }

    /// What a list shows of it: of the question and of the response code.
    fn shown(&self, ctx: &Ctx<'a>) -> Shown<'a> {
        let question = self.question(ctx);
        let rcode = self.rcode(ctx);
        Shown {
            summary: question.map_or("", |question| question.name.text(ctx)),
            method: question.map_or("", |question| value::type_name(ctx, question.kind)),
            status: rcode.map_or("", |rcode| rcode_text(rcode, ctx)),
            code: rcode.map(i64::from),
            ok: rcode.is_none_or(|rcode| rcode == 0),
        }
    }
}

gillnet_entry::fields! {
    /// Fields of a DNS entry.
    pub(super) static SCHEMA ("dns"), fn get, text, columns, write(&View<'a>) {
        /// Null where no query was seen, else the fields below.
        "request", "", Any, Entry => |r, _| if r.dns.query.is_none() { Value::Null } else { Value::Missing };
        /// Identifier of the query, which its response repeats.
        "request.id", "", Int, Entry => |r, x| r.query(x).map_or(Value::Missing, |m| Value::Int(m.header.id.into()));
        /// What is asked for: `Query`, `Notify`, `Update`, ….
        "request.opCode", "", Str, Entry => |r, x| r.query(x).map_or(Value::Missing, |m| op_code(m, x));
        /// Flags of the query's header.
        "request.flags", "", Any, Entry => |r, x| r.query(x).map_or(Value::Missing, |m| value::flags(m.header, x));
        /// The questions: name, type and class of each.
        "request.questions", "", Any, Entry => |r, x| r.query(x).map_or(Value::Missing, |m| value::questions(m, x));
        /// Records before the authorities: prerequisites of an update.
        "request.answers", "", Any, Entry => |r, x| some_records(r.query(x), Section::Answers, x);
        /// Records of the authority section: what an update changes, what IXFR has.
        "request.authorities", "", Any, Entry => |r, x| some_records(r.query(x), Section::Authorities, x);
        /// Additional records.
        "request.additionals", "", Any, Entry => |r, x| some_records(r.query(x), Section::Additionals, x);
        /// EDNS of the query: UDP size, version, whether DNSSEC is wanted, options (RFC 6891).
        "request.edns", "", Any, Entry => |r, x| r.query(x).map_or(Value::Missing, |m| value::edns(m, x));
        /// Null where no response was seen, else the fields below.
        "response", "", Any, Entry => |r, _| if r.dns.response.is_none() { Value::Null } else { Value::Missing };
        /// Identifier of the response.
        "response.id", "", Int, Entry => |r, x| r.response(x).map_or(Value::Missing, |m| Value::Int(m.header.id.into()));
        /// What was asked for: `Query`, `Notify`, `Update`, ….
        "response.opCode", "", Str, Entry => |r, x| r.response(x).map_or(Value::Missing, |m| op_code(m, x));
        /// The response code as text: `No Error`, `Non-Existent Domain`.
        "response.code", "", Str, Entry => |r, x| r.rcode(x).map_or(Value::Missing, |code| Value::Str(rcode_text(code, x)));
        /// The response code as number, with the upper bits that EDNS adds.
        "response.rcode", "status_code", Int, Entry => |r, x| r.rcode(x).map_or(Value::Missing, |code| Value::Int(code.into()));
        /// Flags of the response's header.
        "response.flags", "", Any, Entry => |r, x| r.response(x).map_or(Value::Missing, |m| value::flags(m.header, x));
        /// The questions as the response repeats them.
        "response.questions", "", Any, Entry => |r, x| r.response(x).map_or(Value::Missing, |m| value::questions(m, x));
        /// The answers: name, type, class, ttl, data as text, and by type ip, cname, ns, ptr, txts, soa, srv, mx, uri, ….
        "response.answers", "", Any, Entry => |r, x| r.response(x).map_or(Value::Missing, |m| value::records(m, Section::Answers, x));
        /// Records of the authority section, as the answers.
        "response.authorities", "", Any, Entry => |r, x| r.response(x).map_or(Value::Missing, |m| value::records(m, Section::Authorities, x));
        /// Additional records, as the answers; OPT has its options in opt.
        "response.additionals", "", Any, Entry => |r, x| r.response(x).map_or(Value::Missing, |m| value::records(m, Section::Additionals, x));
        /// EDNS of the response: UDP size, version, DNSSEC, options (RFC 6891).
        "response.edns", "", Any, Entry => |r, x| r.response(x).map_or(Value::Missing, |m| value::edns(m, x));
        /// Names asked for.
        "", "dns_questions", StrList, Entry => |r, x| each_question(r, x, |q| q.name.text(x));
        /// Types asked for: `A`, `AAAA`.
        "", "dns_question_types", StrList, Entry => |r, x| each_question(r, x, |q| value::type_name(x, q.kind));
        /// The data of each answer as text.
        "", "dns_answers", StrList, Entry => |r, x| r.response(x).map_or(Value::List(&[]), |m| value::answers(m, x));
        /// Whether a query was seen.
        "", "dns_request", Bool, Entry => |r, _| Value::Bool(r.dns.query.is_some());
        /// Whether a response was seen.
        "", "dns_response", Bool, Entry => |r, _| Value::Bool(r.dns.response.is_some());
        /// Bytes of the query's message.
        "", "dns_request_length", Int, Entry => |r, _| Value::Int(length(&r.dns.query));
        /// Bytes of the response's message.
        "", "dns_response_length", Int, Entry => |r, _| Value::Int(length(&r.dns.response));
        /// Bytes of both messages.
        "", "dns_total_size", Int, Entry => |r, _| Value::Int(length(&r.dns.query) + length(&r.dns.response));
        /// The response's message, for [`paired_response`]; without a name, so that nobody else sees it.
        "", "", Bytes, Entry => |r, x| match (&r.dns.query, &r.dns.response) {
            (Some(_), Some(response)) => Value::Bytes(response.part.get(x)),
            _ => Value::Missing,
        };
    }
}

/// The bytes of the response of a DNS entry whose query was seen.
pub(super) fn paired_response<'a>(record: &'a dyn Record, ctx: &Ctx<'a>) -> Option<&'a [u8]> {
    if !std::ptr::eq(record.schema(), &raw const SCHEMA) {
        return None;
    }
    let last = u16::try_from(SCHEMA.fields.len().checked_sub(1)?).ok()?;
    match record.get(last, ctx) {
        Value::Bytes(message) => Some(message),
        _ => None,
    }
}

fn length(half: &Option<Half>) -> i64 {
    half.as_ref().map_or(0, |half| half.len.into())
}

fn op_code<'a>(message: Message<'a>, ctx: &Ctx<'a>) -> Value<'a> {
    let code = message.header.op_code();
    Value::Str(codes::op_code(code).unwrap_or_else(|| ctx.format(format_args!("OPCODE{code}"))))
}

fn rcode_text<'a>(rcode: u16, ctx: &Ctx<'a>) -> &'a str {
    codes::rcode(rcode).unwrap_or_else(|| ctx.format(format_args!("RCODE{rcode}")))
}

/// Records of a section of a query, which has them rarely: left out where there are none.
fn some_records<'a>(message: Option<Message<'a>>, section: Section, ctx: &Ctx<'a>) -> Value<'a> {
    match message {
        Some(message) if message.header.counts.get(section as usize) != Some(&0) => {
            value::records(message, section, ctx)
        }
        _ => Value::Missing,
    }
}

fn each_question<'a>(
    record: &View<'a>,
    ctx: &Ctx<'a>,
    of: impl Fn(Question<'a>) -> &'a str,
) -> Value<'a> {
    match record.asking(ctx) {
        Some(message) => Value::List(ctx.list(message.questions().map(|q| Value::Str(of(q))))),
        None => Value::List(&[]),
    }
}

impl Record for Dns {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn info(&self) -> &'static ProtocolInfo {
        &INFO
    }

    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        get(&View::new(self), field, ctx)
    }

    fn row<'a>(&'a self, ctx: &Ctx<'a>, row: &mut dyn Row) -> Shown<'a> {
        let view = View::new(self);
        columns(&view, ctx, row);
        view.shown(ctx)
    }

    fn shown<'a>(&'a self, ctx: &Ctx<'a>) -> Shown<'a> {
        View::new(self).shown(ctx)
    }

    fn write_json<'a>(&'a self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        write::<0, { usize::MAX }>(&View::new(self), ctx, members);
    }

    fn detach(&self, store: &dyn Bytes, limit: usize) -> Box<dyn Record> {
        Box::new(Dns {
            query: self.query.as_ref().map(|half| half.detach(store, limit)),
            response: self.response.as_ref().map(|half| half.detach(store, limit)),
        })
    }

    fn summary<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str {
        self.shown(ctx).summary
    }

    fn method<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str {
        self.shown(ctx).method
    }

    fn status<'a>(&'a self, ctx: &Ctx<'a>) -> (&'a str, Option<i64>) {
        let shown = self.shown(ctx);
        (shown.status, shown.code)
    }

    fn ok(&self, ctx: &Ctx<'_>) -> bool {
        let rcode = View::new(self).rcode(ctx);
        rcode.is_none_or(|rcode| rcode == 0)
    }
}
