//! Values while a filter is evaluated: as the entry's, with what expressions can make beyond them.

use super::Reason;
use gillnet_entry::{Ctx, Kind, Value};
use std::cmp::Ordering;

/// A moment, or a stretch of time: seconds, and nanoseconds below one second, never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nanos {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

const PER_SECOND: i128 = 1_000_000_000;

impl Nanos {
    #[allow(clippy::cast_sign_loss)] // a remainder below 1e9
    pub(crate) const fn from_ns(ns: i64) -> Nanos {
        Nanos {
            seconds: ns.div_euclid(1_000_000_000),
            nanos: ns.rem_euclid(1_000_000_000) as u32,
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // remainder below 1e9; callers stay within i64 seconds
    fn new(ns: i128) -> Nanos {
        Nanos {
            seconds: ns.div_euclid(PER_SECOND) as i64,
            nanos: ns.rem_euclid(PER_SECOND) as u32,
        }
    }

    pub(crate) fn total(self) -> i128 {
        i128::from(self.seconds) * PER_SECOND + i128::from(self.nanos)
    }

    /// In units of so many nanoseconds, which a second is a multiple of; what is left is cut, towards the past.
    pub(crate) fn units(self, of: u32) -> i128 {
        i128::from(self.seconds) * i128::from(1_000_000_000 / of) + i128::from(self.nanos / of)
    }

    /// A moment from year 1 to 9999, as CEL has them.
    pub(crate) fn moment(ns: i128) -> Result<Nanos, Reason> {
        const FIRST: i128 = -62_135_596_800 * PER_SECOND;
        const LAST: i128 = 253_402_300_800 * PER_SECOND;
        if (FIRST..LAST).contains(&ns) {
            Ok(Nanos::new(ns))
        } else {
            Err(Reason::Overflow)
        }
    }

    /// A duration that 64 bits of nanoseconds hold, which is some 292 years either way.
    pub(crate) fn duration(ns: i128) -> Result<Nanos, Reason> {
        i64::try_from(ns)
            .map(Nanos::from_ns)
            .map_err(|_| Reason::Overflow)
    }
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Val<'v> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Str(&'v str),
    Bytes(&'v [u8]),
    Time(Nanos),
    Duration(Nanos),
    /// A list of the entry.
    Items(&'v [Value<'v>]),
    /// A list that the filter made.
    List(&'v [Val<'v>]),
    /// A map of the entry.
    Fields(&'v [(&'v str, Value<'v>)]),
    /// A map that the filter made.
    Map(&'v [(Val<'v>, Val<'v>)]),
    /// A type, by its name.
    Type(&'static str),
}

impl<'v> Val<'v> {
    /// The value of a field; nothing where the entry has none.
    pub(crate) fn of(value: Value<'v>) -> Option<Val<'v>> {
        Some(match value {
            Value::Missing => return None,
            Value::Null => Val::Null,
            Value::Bool(v) => Val::Bool(v),
            Value::Int(v) => Val::Int(v),
            Value::UInt(v) => Val::UInt(v),
            Value::Double(v) => Val::Double(v),
            Value::Str(v) => Val::Str(v),
            Value::Bytes(v) => Val::Bytes(v),
            Value::Time(v) => Val::Time(Nanos::from_ns(v)),
            Value::Duration(v) => Val::Duration(Nanos::from_ns(v)),
            Value::List(v) => Val::Items(v),
            Value::Map(v) => Val::Fields(v),
        })
    }

    /// What a variable of KFL2 is worth where it does not apply.
    pub(crate) fn default(kind: Kind) -> Val<'v> {
        match kind {
            Kind::Bool => Val::Bool(false),
            Kind::Int => Val::Int(0),
            Kind::Double => Val::Double(0.0),
            Kind::Str => Val::Str(""),
            Kind::Bytes => Val::Bytes(&[]),
            Kind::Time => Val::Time(Nanos::from_ns(0)),
            Kind::Duration => Val::Duration(Nanos::from_ns(0)),
            Kind::StrList => Val::Items(&[]),
            Kind::StrMap | Kind::Headers => Val::Fields(&[]),
            Kind::Any => Val::Null,
        }
    }

    /// The name of its type in CEL.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Val::Null => "null_type",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::UInt(_) => "uint",
            Val::Double(_) => "double",
            Val::Str(_) => "string",
            Val::Bytes(_) => "bytes",
            Val::Time(_) => "google.protobuf.Timestamp",
            Val::Duration(_) => "google.protobuf.Duration",
            Val::Items(_) | Val::List(_) => "list",
            Val::Fields(_) | Val::Map(_) => "map",
            Val::Type(_) => "type",
        }
    }

    /// Number of elements of a list.
    pub(crate) fn list_len(&self) -> Option<usize> {
        match self {
            Val::Items(items) => Some(items.len()),
            Val::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// An element of a list; an absent one counts as null.
    pub(crate) fn item(&self, i: usize) -> Option<Val<'v>> {
        match self {
            Val::Items(items) => items.get(i).map(|v| Val::of(*v).unwrap_or(Val::Null)),
            Val::List(items) => items.get(i).copied(),
            _ => None,
        }
    }

    /// Number of pairs of a map.
    pub(crate) fn map_len(&self) -> Option<usize> {
        match self {
            Val::Fields(pairs) => Some(pairs.len()),
            Val::Map(pairs) => Some(pairs.len()),
            _ => None,
        }
    }

    /// A pair of a map; a pair whose value is absent is none.
    pub(crate) fn pair(&self, i: usize) -> Option<(Val<'v>, Val<'v>)> {
        match self {
            Val::Fields(pairs) => pairs
                .get(i)
                .and_then(|(k, v)| Some((Val::Str(k), Val::of(*v)?))),
            Val::Map(pairs) => pairs.get(i).copied(),
            _ => None,
        }
    }

    /// The value under a key of a map; nothing where it has no such key.
    pub(crate) fn key(&self, key: Val<'v>, ignore_case: bool) -> Option<Val<'v>> {
        match (self, key) {
            (Val::Fields(_), Val::Str(name)) => self.named(name, ignore_case),
            (Val::Map(pairs), _) => pairs.iter().find(|(k, _)| equal(*k, key)).map(|(_, v)| *v),
            _ => None,
        }
    }

    /// The value under a textual key of a map.
    pub(crate) fn named(&self, name: &str, ignore_case: bool) -> Option<Val<'v>> {
        match self {
            Val::Fields(pairs) => Val::of(Value::Map(pairs).key(name, ignore_case)),
            Val::Map(pairs) => {
                let found = pairs
                    .iter()
                    .find(|(k, _)| matches!(k, Val::Str(k) if *k == name));
                found.map(|(_, v)| *v)
            }
            _ => None,
        }
    }
}

/// Equality of CEL: numbers by value across their types, other types never across.
pub(crate) fn equal(a: Val<'_>, b: Val<'_>) -> bool {
    match (a, b) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Str(a), Val::Str(b)) => super::text::alike(a, b),
        (Val::Bytes(a), Val::Bytes(b)) => a == b,
        (Val::Time(a), Val::Time(b)) | (Val::Duration(a), Val::Duration(b)) => a == b,
        (Val::Type(a), Val::Type(b)) => a == b,
        _ => {
            if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
                return a.compare(b) == Some(Ordering::Equal);
            }
            equal_lists(a, b)
                .or_else(|| equal_maps(a, b))
                .unwrap_or(false)
        }
    }
}

fn equal_lists(a: Val<'_>, b: Val<'_>) -> Option<bool> {
    let (n, m) = (a.list_len()?, b.list_len()?);
    Some(
        n == m
            && (0..n).all(|i| matches!((a.item(i), b.item(i)), (Some(a), Some(b)) if equal(a, b))),
    )
}

fn equal_maps(a: Val<'_>, b: Val<'_>) -> Option<bool> {
    let (n, m) = (a.map_len()?, b.map_len()?);
    let within = |i| match a.pair(i) {
        Some((key, value)) => {
            (0..m).any(|j| matches!(b.pair(j), Some((k, v)) if equal(k, key) && equal(v, value)))
        }
        None => true,
    };
    Some(n == m && (0..n).all(within))
}

/// Order of CEL: numbers across their types, else two of the same type.
pub(crate) fn compare(a: Val<'_>, b: Val<'_>) -> Result<Option<Ordering>, Reason> {
    Ok(match (a, b) {
        (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(&b)),
        (Val::Str(a), Val::Str(b)) => Some(a.cmp(b)),
        (Val::Bytes(a), Val::Bytes(b)) => Some(a.cmp(b)),
        (Val::Time(a), Val::Time(b)) | (Val::Duration(a), Val::Duration(b)) => Some(a.cmp(&b)),
        _ => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.compare(b),
            _ => return Err(Reason::NoSuchOverload),
        },
    })
}

/// A number of any type. Integers compare exactly, an integer and a real as reals.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    pub(crate) fn of(value: Val<'_>) -> Option<Number> {
        match value {
            Val::Int(v) => Some(Number::Whole(i128::from(v))),
            Val::UInt(v) => Some(Number::Whole(i128::from(v))),
            Val::Double(v) => Some(Number::Real(v)),
            _ => None,
        }
    }

    #[allow(clippy::cast_precision_loss)] // as CEL defines it
    pub(crate) fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => Some(a.cmp(&b)),
            (Number::Real(a), Number::Real(b)) => a.partial_cmp(&b),
            (Number::Whole(a), Number::Real(b)) => (a as f64).partial_cmp(&b),
            (Number::Real(a), Number::Whole(b)) => a.partial_cmp(&(b as f64)),
        }
    }
}

/// An address as text, without the formatting machinery for the common case.
pub(crate) fn address<'v>(ip: std::net::IpAddr, ctx: &Ctx<'v>) -> &'v str {
    let std::net::IpAddr::V4(v4) = ip else {
        return ctx.format(format_args!("{ip}"));
    };
    let mut text = [0u8; 15];
    let mut n = 0;
    for (i, octet) in v4.octets().into_iter().enumerate() {
        if i > 0 {
            text[n] = b'.';
            n += 1;
        }
        for (unit, shown) in [(100, octet >= 100), (10, octet >= 10), (1, true)] {
            if shown {
                text[n] = b'0' + octet / unit % 10;
                n += 1;
            }
        }
    }
    ctx.arena
        .alloc_str(std::str::from_utf8(&text[..n]).unwrap_or_default())
}
