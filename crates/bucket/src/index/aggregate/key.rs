//! What entries are grouped by.

use std::cmp::Ordering;
use std::fmt;

use gillnet_entry::{COMMON, Entry, Field, Value};

use super::super::columns::{BASE, Base, Own, Row, own};
use super::super::stored::KnownProtocol;

/// A value that entries are grouped by. An empty text is none, as a field is that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// None.
    #[default]
    Nothing,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number, by its bits.
    Double(u64),
    /// Text.
    Text(Box<str>),
    /// A moment, in ns since the epoch.
    Time(i64),
}

impl Scalar {
    /// That of a field.
    #[must_use]
    pub fn of(value: Value<'_>) -> Scalar {
        match value {
            Value::Bool(value) => Scalar::Bool(value),
            Value::Int(value) | Value::Duration(value) => Scalar::Int(value),
            Value::UInt(value) => i64::try_from(value).map_or(Scalar::Nothing, Scalar::Int),
            Value::Double(value) => Scalar::Double(value.to_bits()),
            Value::Str("") => Scalar::Nothing,
            Value::Str(text) => Scalar::Text(text.into()),
            Value::Time(ns) => Scalar::Time(ns),
            _ => Scalar::Nothing,
        }
    }

    /// What entries are grouped by, of a column's value: an empty text is none.
    pub(super) fn grouped(&self) -> Scalar {
        match self {
            Scalar::Text(text) if text.is_empty() => Scalar::Nothing,
            other => other.clone(),
        }
    }

    /// As a field's value.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Scalar::Nothing => Value::Missing,
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Int(value) => Value::Int(*value),
            Scalar::Double(bits) => Value::Double(f64::from_bits(*bits)),
            Scalar::Text(text) => Value::Str(text),
            Scalar::Time(ns) => Value::Time(*ns),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Scalar::Nothing => 0,
            Scalar::Bool(_) => 1,
            Scalar::Int(_) => 2,
            Scalar::Double(_) => 3,
            Scalar::Text(_) => 4,
            Scalar::Time(_) => 5,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
            (Scalar::Int(a), Scalar::Int(b)) | (Scalar::Time(a), Scalar::Time(b)) => a.cmp(b),
            (Scalar::Double(a), Scalar::Double(b)) => {
                f64::from_bits(*a).total_cmp(&f64::from_bits(*b))
            }
            (Scalar::Text(a), Scalar::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One of the things that entries are grouped by.
#[derive(Clone, Debug)]
pub struct Key {
    /// What it is called in the answer.
    pub name: String,
    pub(super) of: Of,
}

/// Where its value is.
#[derive(Clone, Debug)]
pub(super) enum Of {
    /// Time of the request's first packet, down to a whole number of so many ns since the epoch.
    Time(i64),
    /// A column that every file has, by its place.
    Base(usize),
    /// A field of protocols, each with its number.
    Own(Vec<(u8, Own)>),
    /// A field of the common part that is no column: only an entry has it.
    Common(u16),
}

/// Why entries can't be grouped so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoKey {
    /// There is no such field.
    #[error("there is no field `{name}` to group by{}", is_it(near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// It has no single value.
    #[error("`{0}` has no single value to group by")]
    Many(String),
    /// Spans of time must be longer than nothing.
    #[error("groups of time have to be longer than nothing")]
    NoTime,
}

fn is_it(near: &[String]) -> impl fmt::Display {
    match near {
        [] => String::new(),
        near => format!("; is it `{}`?", near.join("`, `")),
    }
}

impl Key {
    /// Spans of time of so many ns, counted from the epoch.
    ///
    /// # Errors
    /// [`NoKey::NoTime`].
    pub fn every(ns: i64) -> Result<Key, NoKey> {
        if ns <= 0 {
            return Err(NoKey::NoTime);
        }
        Ok(Key {
            name: "time".to_owned(),
            of: Of::Time(ns),
        })
    }

    /// The field of that name: a column of the index, its name in JSON or in KFL2, or the end of its path.
    ///
    /// # Errors
    /// Where there is none, or it has no single value.
    pub fn find(name: &str, known: &[KnownProtocol]) -> Result<Key, NoKey> {
        let key = |of| Key {
            name: name.to_owned(),
            of,
        };
        if let Some(at) = BASE.iter().position(|base| base.name == name) {
            return Ok(key(Of::Base(at)));
        }
        let named = |field: &&Field| field.kfl2 == name || field.json == name;
        if let Some(at) = COMMON.fields.iter().position(|field| named(&field)) {
            let field = &COMMON.fields[at];
            if let Some(base) = same_column(field) {
                return Ok(key(Of::Base(base)));
            }
            if !field.is_column() {
                return Err(NoKey::Many(name.to_owned()));
            }
            return Ok(key(Of::Common(u16::try_from(at).unwrap_or(u16::MAX))));
        }
        let owned = |fits: &dyn Fn(&Field, &Own) -> bool| -> Vec<(u8, Own)> {
            let each = known.iter().flat_map(|known| {
                let columns = own(known.schema).filter(|own| {
                    let field = known.schema.fields.get(usize::from(own.field));
                    field.is_some_and(|field| fits(field, own))
                });
                // the first of a protocol's: an entry has one value
                columns.take(1).map(|own| (known.number, own))
            });
            each.collect()
        };
        let exact = owned(&|field, own| own.name == name || named(&field));
        let end = || {
            owned(&|field, _| {
                let rest = field.json.strip_suffix(name);
                rest.is_some_and(|rest| rest.ends_with('.'))
            })
        };
        let found = if exact.is_empty() { end() } else { exact };
        if !found.is_empty() {
            return Ok(key(Of::Own(found)));
        }
        let mut fields = known.iter().flat_map(|known| known.schema.fields);
        if fields.any(|field| named(&field)) {
            return Err(NoKey::Many(name.to_owned()));
        }
        Err(NoKey::Unknown {
            name: name.to_owned(),
            near: near(name, known),
        })
    }

    /// The column that it is, where every index has that.
    #[must_use]
    pub fn column(&self) -> Option<&'static str> {
        match self.of {
            Of::Base(at) => BASE.get(at).map(|base| base.name),
            _ => None,
        }
    }

    /// Whether rows of an index tell it without entries being made of them.
    pub(super) fn is_columnar(&self) -> bool {
        !matches!(self.of, Of::Common(_))
    }

    /// Whether it is a span of time.
    #[must_use]
    pub fn is_time(&self) -> bool {
        matches!(self.of, Of::Time(_))
    }

    /// Its value in an entry.
    pub(super) fn get(&self, entry: &Entry<'_>) -> Scalar {
        match &self.of {
            Of::Time(every) => Scalar::Time(floor(entry.common.ts, *every)),
            Of::Base(at) => BASE.get(*at).map_or(Scalar::Nothing, |base| {
                Scalar::of((base.get)(&Row::of(entry)))
            }),
            Of::Own(each) => {
                let own = each.iter().find(|(number, _)| *number == entry.protocol);
                own.map_or(Scalar::Nothing, |(_, own)| Scalar::of(entry.own(own.field)))
            }
            Of::Common(field) => Scalar::of(entry.common(*field)),
        }
    }
}

/// The start of the span of time that a moment is in.
pub(super) fn floor(ns: i64, every: i64) -> i64 {
    ns.div_euclid(every).saturating_mul(every)
}

/// The column that holds just what a field of the common part has, but that it may lack what the field has as 0.
pub(super) fn same_column(field: &Field) -> Option<usize> {
    let named = |name: &str| BASE.iter().position(|base: &Base| base.name == name);
    // of these names the moments and the streams of JSON are written otherwise
    match (field.json, field.kfl2) {
        ("timestamp" | "stream" | "truncatedBefore" | "missingBytes" | "protocol", _) => None,
        ("", "timestamp") => named("timestamp"),
        ("", "protocol") => named("protocol.abbr"),
        ("", kfl2) => match kfl2.split_once('.') {
            Some((side, "service.name")) => named(&format!("{side}.service")),
            Some((side, "service.namespace" | "pod.namespace")) => {
                named(&format!("{side}.namespace"))
            }
            Some((_, "pod.name")) => None,
            _ => named(kfl2),
        },
        (json, _) => named(json),
    }
}

/// Names that a wrong one may have meant.
fn near(name: &str, known: &[KnownProtocol]) -> Vec<String> {
    let common = COMMON.fields.iter().filter(|field| field.is_column());
    let common = common.map(|field| match field.kfl2 {
        "" => field.json,
        kfl2 => kfl2,
    });
    let base = BASE.iter().map(|base| base.name).chain(common);
    let own = known
        .iter()
        .flat_map(|known| own(known.schema).map(|own| own.name));
    let all = base.map(str::to_owned).chain(own);
    let mut near: Vec<String> = all
        .filter(|known| !name.is_empty() && known.contains(name))
        .collect();
    near.dedup();
    near.truncate(3);
    near
}
