//! The columns of `entries/`: those of every entry, and those of the protocols that occur in a file.

use arrow_schema::{DataType, TimeUnit};
use gillnet_entry::{COMMON, End, Entry, Field, Kind, Mechanism, Schema, Value};
use gillnet_kfl::rows::is_column;

/// What a column holds; all may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Int,
    Double,
    Bool,
    Text,
    /// A moment in UTC, in nanoseconds since the Unix epoch.
    Time,
}

impl Type {
    /// The type of a field's column; `None` where it gets none. Durations are integers, in nanoseconds.
    fn of(field: &Field) -> Option<Type> {
        let of = match field.kind {
            Kind::Bool => Type::Bool,
            Kind::Int | Kind::Duration => Type::Int,
            Kind::Double => Type::Double,
            Kind::Str => Type::Text,
            Kind::Time => Type::Time,
            _ => return None,
        };
        is_column(field).then_some(of)
    }

    /// The type of a file's column; `None` where it is none of ours.
    pub(crate) fn of_arrow(of: &DataType) -> Option<Type> {
        let all = [Type::Int, Type::Double, Type::Bool, Type::Text, Type::Time];
        all.into_iter().find(|known| known.arrow() == *of)
    }

    pub(crate) fn arrow(self) -> DataType {
        match self {
            Type::Int => DataType::Int64,
            Type::Double => DataType::Float64,
            Type::Bool => DataType::Boolean,
            Type::Text => DataType::Utf8,
            Type::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        }
    }
}

/// A column that every file has.
pub(crate) struct Base {
    pub(crate) name: &'static str,
    pub(crate) of: Type,
    /// Whether people look single values up.
    pub(crate) looked_up: bool,
    /// Whether it says who speaks, and how: what entries of a stream share.
    pub(crate) shared: bool,
    pub(crate) get: for<'a> fn(&Entry<'a>) -> Value<'a>,
}

const fn base(name: &'static str, of: Type, get: for<'a> fn(&Entry<'a>) -> Value<'a>) -> Base {
    Base {
        name,
        of,
        looked_up: false,
        shared: false,
        get,
    }
}

const fn looked_up(name: &'static str, of: Type, get: for<'a> fn(&Entry<'a>) -> Value<'a>) -> Base {
    Base {
        looked_up: true,
        ..base(name, of, get)
    }
}

impl Base {
    const fn shared(self) -> Base {
        Base {
            shared: true,
            ..self
        }
    }
}

/// A count as a value.
pub(super) fn int(n: u64) -> Value<'static> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// Text, where there is some.
fn text(text: &str) -> Value<'_> {
    match text {
        "" => Value::Missing,
        text => Value::Str(text),
    }
}

#[allow(clippy::cast_possible_truncation)] // a record has some dozen fields
const SRC_IP: u16 = COMMON.kfl2_index("src.ip") as u16;
#[allow(clippy::cast_possible_truncation)]
const DST_IP: u16 = COMMON.kfl2_index("dst.ip") as u16;

fn mechanism(end: &End<'_>) -> Value<'static> {
    match end.name.mechanism {
        Mechanism::None => Value::Missing,
        found => Value::Str(found.name()),
    }
}

/// The columns that every file has, in their order. docs/format.md says what they mean.
pub(crate) static BASE: &[Base] = &[
    base("timestamp", Type::Time, |e| Value::Time(e.common.ts)),
    looked_up("stream", Type::Int, |e| int(e.common.stream)),
    base("index", Type::Int, |e| {
        Value::Int(i64::from(e.common.index))
    }),
    base("transport", Type::Text, |e| {
        Value::Str(match e.common.transport {
            gillnet_entry::Transport::Tcp => "tcp",
            gillnet_entry::Transport::Udp => "udp",
        })
    })
    .shared(),
    base("protocol", Type::Text, |e| {
        Value::Str(e.record.schema().name)
    })
    .shared(),
    base("protocol.abbr", Type::Text, |e| {
        Value::Str(e.common.info.abbr)
    })
    .shared(),
    base("protocol.version", Type::Text, |e| {
        Value::Str(e.common.info.version)
    })
    .shared(),
    looked_up("src.ip", Type::Text, |e| e.common(SRC_IP)).shared(),
    base("src.port", Type::Int, |e| {
        Value::Int(e.common.src.port.into())
    })
    .shared(),
    looked_up("src.name", Type::Text, |e| {
        Value::Str(&e.common.src.name.name)
    })
    .shared(),
    base("src.namespace", Type::Text, |e| {
        Value::Str(&e.common.src.name.namespace)
    })
    .shared(),
    base("src.pod", Type::Text, |e| {
        Value::Str(&e.common.src.name.pod)
    })
    .shared(),
    base("src.service", Type::Text, |e| {
        Value::Str(&e.common.src.name.service)
    })
    .shared(),
    base("src.dns", Type::Text, |e| {
        Value::Str(&e.common.src.name.dns)
    })
    .shared(),
    base("src.resolutionMechanism", Type::Text, |e| {
        mechanism(&e.common.src)
    })
    .shared(),
    looked_up("dst.ip", Type::Text, |e| e.common(DST_IP)).shared(),
    base("dst.port", Type::Int, |e| {
        Value::Int(e.common.dst.port.into())
    })
    .shared(),
    looked_up("dst.name", Type::Text, |e| {
        Value::Str(&e.common.dst.name.name)
    })
    .shared(),
    base("dst.namespace", Type::Text, |e| {
        Value::Str(&e.common.dst.name.namespace)
    })
    .shared(),
    base("dst.pod", Type::Text, |e| {
        Value::Str(&e.common.dst.name.pod)
    })
    .shared(),
    base("dst.service", Type::Text, |e| {
        Value::Str(&e.common.dst.name.service)
    })
    .shared(),
    base("dst.dns", Type::Text, |e| {
        Value::Str(&e.common.dst.name.dns)
    })
    .shared(),
    base("dst.resolutionMechanism", Type::Text, |e| {
        mechanism(&e.common.dst)
    })
    .shared(),
    base("tls", Type::Bool, |e| Value::Bool(e.common.tls)).shared(),
    base("elapsedTime", Type::Int, |e| {
        e.common.elapsed_us().map_or(Value::Missing, Value::Int)
    }),
    base("requestSize", Type::Int, |e| int(e.common.request_size)),
    base("responseSize", Type::Int, |e| int(e.common.response_size)),
    base("error.type", Type::Text, |e| {
        e.common
            .fault
            .map_or(Value::Missing, |fault| Value::Str(fault.kind.name()))
    }),
    base("error.msg", Type::Text, |e| {
        e.common
            .fault
            .map_or(Value::Missing, |fault| Value::Str(fault.msg))
    }),
    base("missingBytes", Type::Int, |e| match e.common.missing {
        0 => Value::Missing,
        missing => int(missing),
    }),
    base("truncatedBefore", Type::Time, |e| {
        e.common
            .truncated_before
            .map_or(Value::Missing, Value::Time)
    }),
    base("method", Type::Text, |e| text(e.record.method(&e.ctx))),
    looked_up("summary", Type::Text, |e| text(e.record.summary(&e.ctx))),
    base("status", Type::Text, |e| text(e.record.status(&e.ctx).0)),
    base("statusCode", Type::Int, |e| {
        e.record.status(&e.ctx).1.map_or(Value::Missing, Value::Int)
    }),
    base("ok", Type::Bool, |e| Value::Bool(e.record.ok(&e.ctx))),
];

/// A column of a protocol.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// `http.request.path`: the protocol's name before the field's in JSON, or where it is not there, in KFL2.
    pub(crate) name: String,
    pub(crate) of: Type,
    /// The field's place in its table.
    pub(crate) field: u16,
}

/// The names of all columns of some protocols.
#[must_use]
pub fn columns_of(known: &[super::KnownProtocol]) -> Vec<String> {
    let all = known.iter().flat_map(|known| own(known.schema));
    all.map(|column| column.name).collect()
}

/// The columns of a protocol.
pub(crate) fn own(schema: &Schema) -> impl Iterator<Item = Own> {
    (0..).zip(schema.fields).filter_map(|(at, field)| {
        let name = match field.json {
            "" => field.kfl2,
            json => json,
        };
        Some(Own {
            name: format!("{}.{name}", schema.name),
            of: Type::of(field)?,
            field: at,
        })
    })
}
