//! Questions and records as values for JSON and KFL, built in the entry's scratch space.

use super::codes::{self, Class, Type};
use super::rdata::{Data, each_pair, each_text};
use super::text::{Base32Hex, Hex, OptionName, OptionText, ParameterName, ParameterText, Salt};
use super::wire::{Header, Message, Question, Resource, Section};
use gillnet_entry::{Ctx, Value};
use std::fmt::Display;

/// Text of anything that can be shown.
pub(super) fn shown<'a>(ctx: &Ctx<'a>, it: impl Display) -> &'a str {
    ctx.format(format_args!("{it}"))
}

/// Name of a type without building it, where it has one.
pub(super) fn type_name<'a>(ctx: &Ctx<'a>, kind: u16) -> &'a str {
    Type(kind).name().unwrap_or_else(|| shown(ctx, Type(kind)))
}

fn class_name<'a>(ctx: &Ctx<'a>, class: u16) -> &'a str {
    Class(class)
        .name()
        .unwrap_or_else(|| shown(ctx, Class(class)))
}

fn int<'a>(n: impl Into<i64>) -> Value<'a> {
    Value::Int(n.into())
}

/// Name, type and class of each question.
pub(super) fn questions<'a>(message: Message<'a>, ctx: &Ctx<'a>) -> Value<'a> {
    Value::List(
        ctx.list(
            message
                .questions()
                .map(|question| one_question(question, ctx)),
        ),
    )
}

fn one_question<'a>(question: Question<'a>, ctx: &Ctx<'a>) -> Value<'a> {
    Value::Map(ctx.list([
        ("name", Value::Str(question.name.text(ctx))),
        ("type", Value::Str(type_name(ctx, question.kind))),
        ("class", Value::Str(class_name(ctx, question.class))),
    ]))
}

/// Most text of one list of records, bytes: a few bytes of a compressed message can stand for much.
pub(super) const TEXT_LIMIT: usize = 1 << 20;

/// The records of a section. Past [`TEXT_LIMIT`] the last element says how many were cut.
pub(super) fn records<'a>(message: Message<'a>, section: Section, ctx: &Ctx<'a>) -> Value<'a> {
    limited(
        message.section(section),
        ctx,
        |record| one_record(record, ctx),
        |cut| Value::Map(ctx.list([("cut", int(cut))])),
    )
}

/// The data of each answer as text. Past [`TEXT_LIMIT`] the last one says how many were cut.
pub(super) fn answers<'a>(message: Message<'a>, ctx: &Ctx<'a>) -> Value<'a> {
    let text = |record: &Resource<'a>| {
        let text = shown(ctx, Data::of(record));
        (Value::Str(text), text.len())
    };
    limited(message.section(Section::Answers), ctx, text, |cut| {
        Value::Str(ctx.format(format_args!("{cut} more")))
    })
}

/// A list of values with the length of their text, as far as the limit lets.
fn limited<'a>(
    records: impl Iterator<Item = Resource<'a>>,
    ctx: &Ctx<'a>,
    one: impl Fn(&Resource<'a>) -> (Value<'a>, usize),
    rest: impl Fn(u32) -> Value<'a>,
) -> Value<'a> {
    let mut length = 0;
    let mut records = records.fuse();
    Value::List(ctx.list(std::iter::from_fn(|| {
        let record = records.next()?;
        if length < TEXT_LIMIT {
            let (value, more) = one(&record);
            length += more;
            return Some(value);
        }
        let others = u32::try_from(records.by_ref().count()).unwrap_or(u32::MAX - 1);
        Some(rest(1 + others))
    })))
}

fn one_record<'a>(record: &Resource<'a>, ctx: &Ctx<'a>) -> (Value<'a>, usize) {
    let data = Data::of(record);
    let (key, value) = structured(data, ctx);
    let (name, text) = (record.name.text(ctx), shown(ctx, data));
    let map = Value::Map(ctx.list([
        ("name", Value::Str(name)),
        ("type", Value::Str(type_name(ctx, record.kind))),
        ("class", Value::Str(class_name(ctx, record.class))),
        ("ttl", int(record.ttl)),
        (key, value),
        ("data", Value::Str(text)),
    ]));
    (map, name.len() + text.len())
}

/// The flags of a header that are no code.
pub(super) fn flags<'a>(header: Header, ctx: &Ctx<'a>) -> Value<'a> {
    Value::Map(ctx.list([
        ("authoritative", Value::Bool(header.authoritative())),
        ("truncated", Value::Bool(header.truncated())),
        ("recursionDesired", Value::Bool(header.recursion_desired())),
        (
            "recursionAvailable",
            Value::Bool(header.recursion_available()),
        ),
        ("authenticData", Value::Bool(header.authentic_data())),
        ("checkingDisabled", Value::Bool(header.checking_disabled())),
    ]))
}

/// What the OPT record says about the message (RFC 6891 §6.1.3); `Missing` without one.
pub(super) fn edns<'a>(message: Message<'a>, ctx: &Ctx<'a>) -> Value<'a> {
    let Some(opt) = message.edns() else {
        return Value::Missing;
    };
    let options = match Data::of(&opt) {
        Data::Opt(options) => options_value(options, ctx),
        _ => Value::Missing,
    };
    Value::Map(ctx.list([
        ("udpSize", int(opt.class)),
        ("version", int(opt.ttl >> 16 & 0xff)),
        ("dnssecOk", Value::Bool(opt.ttl & 0x8000 != 0)),
        ("options", options),
    ]))
}

fn options_value<'a>(options: super::wire::Slice<'a>, ctx: &Ctx<'a>) -> Value<'a> {
    Value::List(ctx.list(each_pair(options).map(|(code, data)| {
        Value::Map(ctx.list([
            ("code", int(code)),
            (
                "name",
                Value::Str(codes::option(code).unwrap_or_else(|| shown(ctx, OptionName(code)))),
            ),
            ("data", Value::Str(shown(ctx, OptionText(code, data)))),
        ]))
    })))
}

/// The data of a record, and the key under which it stands: `ip`, `cname`, `soa`, ….
fn structured<'a>(data: Data<'a>, ctx: &Ctx<'a>) -> (&'static str, Value<'a>) {
    let text = |it: &dyn Display| Value::Str(shown(ctx, it));
    let raw = |bytes: &'a [u8]| Value::Str(ctx.text(bytes));
    match data {
        Data::A(ip) => ("ip", text(&ip)),
        Data::Aaaa(ip) => ("ip", text(&ip)),
        Data::Name(key, name) => (key, text(&name)),
        Data::Texts(texts) => ("txts", Value::List(ctx.list(each_text(texts).map(raw)))),
        Data::Soa {
            mname,
            rname,
            times: [serial, refresh, retry, expire, minimum],
        } => {
            let map = [
                ("mname", text(&mname)),
                ("rname", text(&rname)),
                ("serial", int(serial)),
                ("refresh", int(refresh)),
                ("retry", int(retry)),
                ("expire", int(expire)),
                ("minimum", int(minimum)),
            ];
            ("soa", Value::Map(ctx.list(map)))
        }
        Data::Preference(key, preference, name) => (
            key,
            Value::Map(ctx.list([("preference", int(preference)), ("name", text(&name))])),
        ),
        Data::Srv {
            priority,
            weight,
            port,
            target,
        } => {
            let map = [
                ("priority", int(priority)),
                ("weight", int(weight)),
                ("port", int(port)),
                ("name", text(&target)),
            ];
            ("srv", Value::Map(ctx.list(map)))
        }
        Data::Uri {
            priority,
            weight,
            target,
        } => {
            let map = [
                ("priority", int(priority)),
                ("weight", int(weight)),
                ("target", raw(target)),
            ];
            ("uri", Value::Map(ctx.list(map)))
        }
        Data::Hinfo { cpu, os } => (
            "hinfo",
            Value::Map(ctx.list([("cpu", raw(cpu)), ("os", raw(os))])),
        ),
        Data::Caa { flags, tag, value } => (
            "caa",
            Value::Map(ctx.list([
                ("flags", int(flags)),
                ("tag", raw(tag)),
                ("value", raw(value)),
            ])),
        ),
        Data::Naptr {
            order,
            preference,
            strings: [flags, services, regexp],
            replacement,
        } => {
            let map = [
                ("order", int(order)),
                ("preference", int(preference)),
                ("flags", raw(flags)),
                ("services", raw(services)),
                ("regexp", raw(regexp)),
                ("replacement", text(&replacement)),
            ];
            ("naptr", Value::Map(ctx.list(map)))
        }
        Data::Svcb {
            priority,
            target,
            params,
        } => {
            let params = each_pair(params).map(|(key, value)| {
                let name =
                    codes::service_parameter(key).unwrap_or_else(|| shown(ctx, ParameterName(key)));
                (name, text(&ParameterText(key, value)))
            });
            let params = Value::Map(ctx.list(params));
            (
                "svcb",
                Value::Map(ctx.list([
                    ("priority", int(priority)),
                    ("target", text(&target)),
                    ("params", params),
                ])),
            )
        }
        Data::Opt(options) => ("opt", options_value(options, ctx)),
        Data::Other(bytes) => ("rdata", text(&Hex(bytes))),
        Data::Empty => ("data", Value::Missing),
        _ => security(data, ctx),
    }
}

/// The data of the records of DNSSEC and its kin.
fn security<'a>(data: Data<'a>, ctx: &Ctx<'a>) -> (&'static str, Value<'a>) {
    let text = |it: &dyn Display| Value::Str(shown(ctx, it));
    match data {
        Data::Ds {
            key_tag,
            algorithm,
            digest_type,
            digest,
        } => {
            let map = [
                ("keyTag", int(key_tag)),
                ("algorithm", int(algorithm)),
                ("digestType", int(digest_type)),
                ("digest", text(&Hex(digest))),
            ];
            ("ds", Value::Map(ctx.list(map)))
        }
        Data::Dnskey {
            flags,
            protocol,
            algorithm,
            key,
        } => {
            let map = [
                ("flags", int(flags)),
                ("protocol", int(protocol)),
                ("algorithm", int(algorithm)),
                ("key", Value::Bytes(key)),
            ];
            ("dnskey", Value::Map(ctx.list(map)))
        }
        Data::Rrsig(signature) => {
            let map = [
                ("typeCovered", Value::Str(type_name(ctx, signature.covered))),
                ("algorithm", int(signature.algorithm)),
                ("labels", int(signature.labels)),
                ("originalTtl", int(signature.ttl)),
                ("expiration", int(signature.expiration)),
                ("inception", int(signature.inception)),
                ("keyTag", int(signature.key_tag)),
                ("signer", text(&signature.signer)),
                ("signature", Value::Bytes(signature.signature)),
            ];
            ("rrsig", Value::Map(ctx.list(map)))
        }
        Data::Nsec { next, types } => {
            let types =
                Value::List(ctx.list(types.iter().map(|kind| Value::Str(type_name(ctx, kind.0)))));
            (
                "nsec",
                Value::Map(ctx.list([("next", text(&next)), ("types", types)])),
            )
        }
        Data::Nsec3 {
            flags,
            iterations,
            salt,
            next,
            types,
        } => {
            let types =
                Value::List(ctx.list(types.iter().map(|kind| Value::Str(type_name(ctx, kind.0)))));
            let map = [
                ("flags", int(flags)),
                ("iterations", int(iterations)),
                ("salt", text(&Salt(salt))),
                ("next", text(&Base32Hex(next))),
                ("types", types),
            ];
            ("nsec3", Value::Map(ctx.list(map)))
        }
        Data::Nsec3Param {
            flags,
            iterations,
            salt,
        } => {
            let map = [
                ("flags", int(flags)),
                ("iterations", int(iterations)),
                ("salt", text(&Salt(salt))),
            ];
            ("nsec3param", Value::Map(ctx.list(map)))
        }
        Data::Sshfp {
            algorithm,
            kind,
            fingerprint,
        } => {
            let map = [
                ("algorithm", int(algorithm)),
                ("type", int(kind)),
                ("fingerprint", text(&Hex(fingerprint))),
            ];
            ("sshfp", Value::Map(ctx.list(map)))
        }
        Data::Tlsa {
            usage,
            selector,
            matching,
            data,
        } => {
            let map = [
                ("usage", int(usage)),
                ("selector", int(selector)),
                ("matchingType", int(matching)),
                ("data", text(&Hex(data))),
            ];
            ("tlsa", Value::Map(ctx.list(map)))
        }
        // two names: the text says it all
        _ => ("rdata", Value::Missing),
    }
}
