//! The columns of `entries/`: those of every entry, and those of the protocols that occur in a file.

use arrow_schema::{DataType, TimeUnit};
use gillnet_entry::{COMMON, End, Entry, Field, Kind, Mechanism, Schema, Shown, Value};

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
        field.is_column().then_some(of)
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

/// An entry with what a list shows of it.
pub(crate) struct Row<'e, 'a> {
    pub(crate) entry: &'e Entry<'a>,
    pub(crate) shown: Shown<'a>,
}

impl<'e, 'a> Row<'e, 'a> {
    pub(crate) fn of(entry: &'e Entry<'a>) -> Self {
        let shown = entry.record.shown(&entry.ctx);
        Self { entry, shown }
    }
}

type Get = for<'a> fn(&Row<'_, 'a>) -> Value<'a>;

/// A column that every file has.
pub(crate) struct Base {
    pub(crate) name: &'static str,
    pub(crate) of: Type,
    /// Whether people look single values up.
    pub(crate) looked_up: bool,
    /// Whether it says who speaks, and how: what entries of a stream share.
    pub(crate) shared: bool,
    pub(crate) get: Get,
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

/// Lists the columns that every file has, in their order: name, type, and whether people look single values up
/// (`looked_up`), whether it says who speaks, and how (`shared`: what entries of a stream have in common).
macro_rules! columns {
    ($($name:literal $of:ident $($mark:ident)* => |$row:ident| $value:expr;)*) => {
        /// The columns that every file has, in their order. docs/format.md says what they mean.
        pub(crate) static BASE: &[Base] = &[$(Base {
            name: $name,
            of: Type::$of,
            looked_up: columns!(@looked_up $($mark)*),
            shared: columns!(@shared $($mark)*),
            get: |$row| $value,
        }),*];

        /// Shows the values of those that are not shared, in their order; for each row, so without detours.
        #[inline(always)]
        pub(crate) fn show_unshared(row: &Row<'_, '_>, to: &mut impl gillnet_entry::Row) {
            $(if !columns!(@shared $($mark)*) {
                let $row = row;
                gillnet_entry::show_value(to, $value);
            })*
        }
    };
    (@looked_up looked_up $($rest:ident)*) => { true };
    (@looked_up $other:ident $($rest:ident)*) => { columns!(@looked_up $($rest)*) };
    (@looked_up) => { false };
    (@shared shared $($rest:ident)*) => { true };
    (@shared $other:ident $($rest:ident)*) => { columns!(@shared $($rest)*) };
    (@shared) => { false };
}

columns! {
    "timestamp" Time => |row| Value::Time(row.entry.common.ts);
    "stream" Int looked_up => |row| int(row.entry.common.stream);
    "index" Int => |row| Value::Int(i64::from(row.entry.common.index));
    "transport" Text shared => |row| {
        Value::Str(match row.entry.common.transport {
            gillnet_entry::Transport::Tcp => "tcp",
            gillnet_entry::Transport::Udp => "udp",
        })
    };
    "protocol" Text shared => |row| Value::Str(row.entry.record.schema().name);
    "protocol.abbr" Text shared => |row| Value::Str(row.entry.common.info.abbr);
    "protocol.version" Text shared => |row| Value::Str(row.entry.common.info.version);
    "src.ip" Text looked_up shared => |row| row.entry.common(SRC_IP);
    "src.port" Int shared => |row| Value::Int(row.entry.common.src.port.into());
    "src.name" Text looked_up shared => |row| Value::Str(&row.entry.common.src.name.name);
    "src.namespace" Text shared => |row| Value::Str(&row.entry.common.src.name.namespace);
    "src.pod" Text shared => |row| Value::Str(&row.entry.common.src.name.pod);
    "src.service" Text shared => |row| Value::Str(&row.entry.common.src.name.service);
    "src.dns" Text shared => |row| Value::Str(&row.entry.common.src.name.dns);
    "src.resolutionMechanism" Text shared => |row| mechanism(&row.entry.common.src);
    "dst.ip" Text looked_up shared => |row| row.entry.common(DST_IP);
    "dst.port" Int shared => |row| Value::Int(row.entry.common.dst.port.into());
    "dst.name" Text looked_up shared => |row| Value::Str(&row.entry.common.dst.name.name);
    "dst.namespace" Text shared => |row| Value::Str(&row.entry.common.dst.name.namespace);
    "dst.pod" Text shared => |row| Value::Str(&row.entry.common.dst.name.pod);
    "dst.service" Text shared => |row| Value::Str(&row.entry.common.dst.name.service);
    "dst.dns" Text shared => |row| Value::Str(&row.entry.common.dst.name.dns);
    "dst.resolutionMechanism" Text shared => |row| mechanism(&row.entry.common.dst);
    "tls" Bool shared => |row| Value::Bool(row.entry.common.tls);
    "elapsedTime" Int => |row| {
        row.entry
            .common
            .elapsed_us()
            .map_or(Value::Missing, Value::Int)
    };
    "requestSize" Int => |row| int(row.entry.common.request_size);
    "responseSize" Int => |row| int(row.entry.common.response_size);
    "error.type" Text => |row| {
        row.entry
            .common
            .fault
            .map_or(Value::Missing, |fault| Value::Str(fault.kind.name()))
    };
    "error.msg" Text => |row| {
        row.entry
            .common
            .fault
            .map_or(Value::Missing, |fault| Value::Str(fault.msg))
    };
    "missingBytes" Int => |row| {
        match row.entry.common.missing {
            0 => Value::Missing,
            missing => int(missing),
        }
    };
    "truncatedBefore" Time => |row| {
        row.entry
            .common
            .truncated_before
            .map_or(Value::Missing, Value::Time)
    };
    "method" Text => |row| text(row.shown.method);
    "summary" Text looked_up => |row| text(row.shown.summary);
    "status" Text => |row| text(row.shown.status);
    "statusCode" Int => |row| row.shown.code.map_or(Value::Missing, Value::Int);
    "ok" Bool => |row| Value::Bool(row.shown.ok);
}

/// A column of a protocol.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// `http.request.path`: the protocol's name before the field's in JSON, or where it is not there, in KFL2.
    pub(crate) name: String,
    pub(crate) of: Type,
    /// The field's place in its table.
    pub(crate) field: u16,
    /// The place among a protocol's columns of the one that always says the same, where there is one before it.
    pub(crate) same_as: Option<usize>,
}

/// The names of all columns of some protocols.
#[must_use]
pub fn columns_of(known: &[super::KnownProtocol]) -> Vec<String> {
    let all = known.iter().flat_map(|known| own(known.schema));
    all.map(|column| column.name).collect()
}

/// The columns of a protocol; those with values of their own are in the order in which
/// [`gillnet_entry::Record::row`] shows them.
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
            same_as: place(schema, field.same_as),
        })
    })
}

/// The place of a field among the columns of its protocol; `None` where none is named.
pub(crate) fn place(schema: &Schema, path: &str) -> Option<usize> {
    let mut columns = schema.fields.iter().filter(|field| field.is_column());
    columns.position(|field| field.json == path && !path.is_empty())
}
