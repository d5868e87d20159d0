//! The functions of KFL2 with their types: one table for checker, completion and reference.

use crate::predicate::{Calendar, Fun};
use crate::types::Type;

/// Types of parameters and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    Any,
    Bool,
    Int,
    UInt,
    Double,
    Str,
    Bytes,
    Time,
    Duration,
    List,
    Map,
    Type,
}

impl Ty {
    /// Whether a value of this type is taken.
    pub(crate) fn takes(self, given: &Type) -> bool {
        match (self, given) {
            (Ty::Any, _) | (_, Type::Dyn) => true,
            (Ty::List, Type::List(_)) | (Ty::Map, Type::Map(_) | Type::Headers) => true,
            (Ty::List | Ty::Map, _) => false,
            _ => self.of() == *given,
        }
    }

    /// The type of a result.
    pub(crate) fn of(self) -> Type {
        match self {
            Ty::Bool => Type::Bool,
            Ty::Int => Type::Int,
            Ty::UInt => Type::UInt,
            Ty::Double => Type::Double,
            Ty::Str => Type::Str,
            Ty::Bytes => Type::Bytes,
            Ty::Time => Type::Time,
            Ty::Duration => Type::Duration,
            Ty::Type => Type::Meta,
            Ty::List => Type::List(Box::new(Type::Dyn)),
            Ty::Map => Type::Map(Box::new((Type::Dyn, Type::Dyn))),
            Ty::Any => Type::Dyn,
        }
    }
}

/// One overload of a function.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Whether the first parameter stands before the dot.
    pub(crate) method: bool,
    pub(crate) args: &'static [Ty],
    pub(crate) result: Ty,
    pub(crate) fun: Fun,
    pub(crate) doc: &'static str,
}

impl Function {
    /// How it is called: `string.contains(string)`, `size(list(dyn))`.
    pub(crate) fn signature(&self) -> String {
        let args: Vec<String> = self.args.iter().map(|ty| ty.of().name()).collect();
        match args.split_first() {
            Some((receiver, rest)) if self.method => {
                format!("{receiver}.{}({})", self.name, rest.join(", "))
            }
            _ => format!("{}({})", self.name, args.join(", ")),
        }
    }
}

const fn function(
    name: &'static str,
    args: &'static [Ty],
    result: Ty,
    fun: Fun,
    doc: &'static str,
) -> Function {
    Function {
        name,
        method: false,
        args,
        result,
        fun,
        doc,
    }
}

const fn method(
    name: &'static str,
    args: &'static [Ty],
    result: Ty,
    fun: Fun,
    doc: &'static str,
) -> Function {
    Function {
        name,
        method: true,
        args,
        result,
        fun,
        doc,
    }
}

const fn get(
    name: &'static str,
    args: &'static [Ty],
    part: Calendar,
    doc: &'static str,
) -> Function {
    Function {
        name,
        method: true,
        args,
        result: Ty::Int,
        fun: Fun::Get(part),
        doc,
    }
}

const SIZE: &str = "Number of characters, bytes, elements or keys.";
const MATCHES: &str = "Whether a pattern (RE2) is found anywhere in the text.";
const INT: &str = "As a signed integer; a moment in seconds since 1970.";
const UINT: &str = "As an unsigned integer.";
const DOUBLE: &str = "As a floating-point number.";
const STRING: &str = "As text.";
const YEAR: &str = "Year of a moment, in UTC or a named time zone.";
const MONTH: &str = "Month of a moment, January being 0.";
const YEAR_DAY: &str = "Day of the year, from 0.";
const MONTH_DAY: &str = "Day of the month, from 0.";
const DATE: &str = "Day of the month, from 1.";
const WEEK_DAY: &str = "Day of the week, Sunday being 0.";
const HOURS: &str = "Hour of a moment, or a duration in whole hours.";
const MINUTES: &str = "Minute of a moment, or a duration in whole minutes.";
const SECONDS: &str = "Second of a moment, or a duration in whole seconds.";
const MILLIS: &str = "Milliseconds below the second.";

/// All overloads, those of one name side by side.
pub(crate) static FUNCTIONS: &[Function] = &[
    method(
        "contains",
        &[Ty::Str, Ty::Str],
        Ty::Bool,
        Fun::Contains,
        "Whether the text contains another.",
    ),
    method(
        "startsWith",
        &[Ty::Str, Ty::Str],
        Ty::Bool,
        Fun::StartsWith,
        "Whether the text starts with another.",
    ),
    method(
        "endsWith",
        &[Ty::Str, Ty::Str],
        Ty::Bool,
        Fun::EndsWith,
        "Whether the text ends with another.",
    ),
    method(
        "matches",
        &[Ty::Str, Ty::Str],
        Ty::Bool,
        Fun::Matches,
        MATCHES,
    ),
    function(
        "matches",
        &[Ty::Str, Ty::Str],
        Ty::Bool,
        Fun::Matches,
        MATCHES,
    ),
    function("size", &[Ty::Str], Ty::Int, Fun::Size, SIZE),
    function("size", &[Ty::Bytes], Ty::Int, Fun::Size, SIZE),
    function("size", &[Ty::List], Ty::Int, Fun::Size, SIZE),
    function("size", &[Ty::Map], Ty::Int, Fun::Size, SIZE),
    method("size", &[Ty::Str], Ty::Int, Fun::Size, SIZE),
    method("size", &[Ty::Bytes], Ty::Int, Fun::Size, SIZE),
    method("size", &[Ty::List], Ty::Int, Fun::Size, SIZE),
    method("size", &[Ty::Map], Ty::Int, Fun::Size, SIZE),
    function("int", &[Ty::Int], Ty::Int, Fun::Int, INT),
    function("int", &[Ty::UInt], Ty::Int, Fun::Int, INT),
    function("int", &[Ty::Double], Ty::Int, Fun::Int, INT),
    function("int", &[Ty::Str], Ty::Int, Fun::Int, INT),
    function("int", &[Ty::Time], Ty::Int, Fun::Int, INT),
    function("uint", &[Ty::UInt], Ty::UInt, Fun::UInt, UINT),
    function("uint", &[Ty::Int], Ty::UInt, Fun::UInt, UINT),
    function("uint", &[Ty::Double], Ty::UInt, Fun::UInt, UINT),
    function("uint", &[Ty::Str], Ty::UInt, Fun::UInt, UINT),
    function("double", &[Ty::Double], Ty::Double, Fun::Double, DOUBLE),
    function("double", &[Ty::Int], Ty::Double, Fun::Double, DOUBLE),
    function("double", &[Ty::UInt], Ty::Double, Fun::Double, DOUBLE),
    function("double", &[Ty::Str], Ty::Double, Fun::Double, DOUBLE),
    function("string", &[Ty::Str], Ty::Str, Fun::Str, STRING),
    function("string", &[Ty::Bool], Ty::Str, Fun::Str, STRING),
    function("string", &[Ty::Int], Ty::Str, Fun::Str, STRING),
    function("string", &[Ty::UInt], Ty::Str, Fun::Str, STRING),
    function("string", &[Ty::Double], Ty::Str, Fun::Str, STRING),
    function("string", &[Ty::Bytes], Ty::Str, Fun::Str, STRING),
    function("string", &[Ty::Time], Ty::Str, Fun::Str, STRING),
    function("string", &[Ty::Duration], Ty::Str, Fun::Str, STRING),
    function(
        "bool",
        &[Ty::Bool],
        Ty::Bool,
        Fun::Bool,
        "As a truth value.",
    ),
    function("bool", &[Ty::Str], Ty::Bool, Fun::Bool, "As a truth value."),
    function("bytes", &[Ty::Bytes], Ty::Bytes, Fun::Bytes, "As bytes."),
    function("bytes", &[Ty::Str], Ty::Bytes, Fun::Bytes, "As bytes."),
    function(
        "timestamp",
        &[Ty::Str],
        Ty::Time,
        Fun::Time,
        "The moment of an RFC 3339 text.",
    ),
    function(
        "timestamp",
        &[Ty::Int],
        Ty::Time,
        Fun::Time,
        "The moment so many seconds after 1970.",
    ),
    function(
        "timestamp",
        &[Ty::Time],
        Ty::Time,
        Fun::Time,
        "The moment itself.",
    ),
    function(
        "duration",
        &[Ty::Str],
        Ty::Duration,
        Fun::Duration,
        "A duration such as \"1h30m\", with units h m s ms us ns.",
    ),
    function(
        "duration",
        &[Ty::Duration],
        Ty::Duration,
        Fun::Duration,
        "The duration itself.",
    ),
    function(
        "type",
        &[Ty::Any],
        Ty::Type,
        Fun::TypeOf,
        "The type of a value.",
    ),
    get("getFullYear", &[Ty::Time], Calendar::Year, YEAR),
    get("getFullYear", &[Ty::Time, Ty::Str], Calendar::Year, YEAR),
    get("getMonth", &[Ty::Time], Calendar::Month, MONTH),
    get("getMonth", &[Ty::Time, Ty::Str], Calendar::Month, MONTH),
    get("getDayOfYear", &[Ty::Time], Calendar::DayOfYear, YEAR_DAY),
    get(
        "getDayOfYear",
        &[Ty::Time, Ty::Str],
        Calendar::DayOfYear,
        YEAR_DAY,
    ),
    get(
        "getDayOfMonth",
        &[Ty::Time],
        Calendar::DayOfMonth,
        MONTH_DAY,
    ),
    get(
        "getDayOfMonth",
        &[Ty::Time, Ty::Str],
        Calendar::DayOfMonth,
        MONTH_DAY,
    ),
    get("getDate", &[Ty::Time], Calendar::Date, DATE),
    get("getDate", &[Ty::Time, Ty::Str], Calendar::Date, DATE),
    get("getDayOfWeek", &[Ty::Time], Calendar::DayOfWeek, WEEK_DAY),
    get(
        "getDayOfWeek",
        &[Ty::Time, Ty::Str],
        Calendar::DayOfWeek,
        WEEK_DAY,
    ),
    get("getHours", &[Ty::Time], Calendar::Hours, HOURS),
    get("getHours", &[Ty::Time, Ty::Str], Calendar::Hours, HOURS),
    get("getHours", &[Ty::Duration], Calendar::Hours, HOURS),
    get("getMinutes", &[Ty::Time], Calendar::Minutes, MINUTES),
    get(
        "getMinutes",
        &[Ty::Time, Ty::Str],
        Calendar::Minutes,
        MINUTES,
    ),
    get("getMinutes", &[Ty::Duration], Calendar::Minutes, MINUTES),
    get("getSeconds", &[Ty::Time], Calendar::Seconds, SECONDS),
    get(
        "getSeconds",
        &[Ty::Time, Ty::Str],
        Calendar::Seconds,
        SECONDS,
    ),
    get("getSeconds", &[Ty::Duration], Calendar::Seconds, SECONDS),
    get(
        "getMilliseconds",
        &[Ty::Time],
        Calendar::Milliseconds,
        MILLIS,
    ),
    get(
        "getMilliseconds",
        &[Ty::Time, Ty::Str],
        Calendar::Milliseconds,
        MILLIS,
    ),
    get(
        "getMilliseconds",
        &[Ty::Duration],
        Calendar::Milliseconds,
        MILLIS,
    ),
];

/// Functions that are not called with values alone: name, whether they stand behind a dot, and meaning.
pub(crate) static MACROS: &[(&str, bool, &str)] = &[
    ("now", false, "The moment at which the filter was made."),
    (
        "map_get",
        false,
        "map_get(map, key, default): the value under a key, else the default.",
    ),
    (
        "record",
        false,
        "record(name): whether the entry is in this recording.",
    ),
    ("has", false, "has(map.key): whether the key is there."),
    (
        "dyn",
        false,
        "The value, its type known only when it is evaluated.",
    ),
    (
        "all",
        true,
        "list.all(x, test): whether the test holds for all elements.",
    ),
    (
        "exists",
        true,
        "list.exists(x, test): whether the test holds for any element.",
    ),
    (
        "exists_one",
        true,
        "list.exists_one(x, test): whether the test holds for exactly one element.",
    ),
    (
        "map",
        true,
        "list.map(x, value): the value made of each element.",
    ),
    (
        "filter",
        true,
        "list.filter(x, test): the elements for which the test holds.",
    ),
];
