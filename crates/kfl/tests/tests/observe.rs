//! What an expression of KFL2 is worth, seen from outside: a filter answers yes or no, so a value is compared with a
//! literal inside the language, and its type with it.

use crate::support::Sample;
use gillnet_entry::{Bump, Ctx, Value};
use gillnet_kfl::{Env, ErrorKind, Errors, Lang, Options, Outcome, compile};

/// A value of CEL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cel {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Str(String),
    Bytes(Vec<u8>),
    /// In ns since the epoch.
    Time(i128),
    /// In ns.
    Duration(i128),
    Type(String),
    List(Vec<Cel>),
    Map(Vec<(Cel, Cel)>),
}

impl Cel {
    /// As an entry holds it.
    pub(crate) fn bound<'a>(&self, ctx: &Ctx<'a>) -> Value<'a> {
        match self {
            Cel::Null => Value::Null,
            Cel::Bool(v) => Value::Bool(*v),
            Cel::Int(v) => Value::Int(*v),
            Cel::UInt(v) => Value::UInt(*v),
            Cel::Double(v) => Value::Double(*v),
            Cel::Str(v) => Value::Str(ctx.arena.alloc_str(v)),
            Cel::Bytes(v) => Value::Bytes(ctx.arena.alloc_slice_copy(v)),
            Cel::Time(v) => Value::Time(i64::try_from(*v).unwrap()),
            Cel::Duration(v) => Value::Duration(i64::try_from(*v).unwrap()),
            Cel::Type(v) => panic!("an entry holds no type {v}"),
            Cel::List(items) => {
                let items: Vec<_> = items.iter().map(|v| v.bound(ctx)).collect();
                Value::List(ctx.list(items))
            }
            Cel::Map(pairs) => {
                let pair = |(k, v): &(Cel, Cel)| match k {
                    Cel::Str(k) => (&*ctx.arena.alloc_str(k), v.bound(ctx)),
                    k => panic!("an entry's maps have no key {k:?}"),
                };
                let pairs: Vec<_> = pairs.iter().map(pair).collect();
                Value::Map(ctx.list(pairs))
            }
        }
    }

    /// The name of its type.
    fn type_name(&self) -> &'static str {
        match self {
            Cel::Null => "null_type",
            Cel::Bool(_) => "bool",
            Cel::Int(_) => "int",
            Cel::UInt(_) => "uint",
            Cel::Double(_) => "double",
            Cel::Str(_) => "string",
            Cel::Bytes(_) => "bytes",
            Cel::Time(_) => "google.protobuf.Timestamp",
            Cel::Duration(_) => "google.protobuf.Duration",
            Cel::Type(_) => "type",
            Cel::List(_) => "list",
            Cel::Map(_) => "map",
        }
    }

    /// The text of a scalar.
    pub(crate) fn literal(&self) -> String {
        match self {
            Cel::Null => "null".into(),
            Cel::Bool(v) => v.to_string(),
            Cel::Int(v) => v.to_string(),
            Cel::UInt(v) => format!("{v}u"),
            Cel::Double(v) if v.is_finite() => format!("{v:?}"),
            Cel::Double(v) => format!("double('{v}')"),
            Cel::Str(v) => {
                let escaped = v.chars().map(|c| format!("\\U{:08x}", u32::from(c)));
                format!("'{}'", escaped.collect::<String>())
            }
            Cel::Bytes(v) => {
                let escaped = v.iter().map(|b| format!("\\x{b:02x}"));
                format!("b'{}'", escaped.collect::<String>())
            }
            Cel::Time(v) => {
                let (seconds, nanos) = (v.div_euclid(1_000_000_000), v.rem_euclid(1_000_000_000));
                format!("(timestamp({seconds}) + duration('{nanos}ns'))")
            }
            Cel::Duration(v) => format!("duration('{v}ns')"),
            Cel::Type(name) => name.clone(),
            Cel::List(_) | Cel::Map(_) => panic!("compared by its elements"),
        }
    }

    /// A filter that matches where an expression has this value, of this type.
    pub(crate) fn is(&self, text: &str) -> String {
        let start = format!("type({text}) == {}", self.type_name());
        let parts: Vec<String> = match self {
            Cel::List(items) => {
                let size = format!("size(dyn({text})) == {}", items.len());
                let items = items.iter().enumerate();
                let items = items.map(|(i, v)| v.is(&format!("dyn({text})[{i}]")));
                [start, size].into_iter().chain(items).collect()
            }
            Cel::Map(pairs) => {
                let size = format!("size(dyn({text})) == {}", pairs.len());
                let pairs = pairs
                    .iter()
                    .map(|(k, v)| v.is(&format!("dyn({text})[{}]", k.literal())));
                [start, size].into_iter().chain(pairs).collect()
            }
            Cel::Double(v) if v.is_nan() => vec![start, format!("{text} != {text}")],
            _ => vec![start, format!("dyn({text}) == dyn({})", self.literal())],
        };
        parts.join(" && ")
    }
}

/// A wrong answer.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Whether there is none, as a constant was refused before there was an entry.
    pub(crate) refused: bool,
    /// What was asked and answered.
    pub(crate) text: String,
}

/// What is wrong with our answer, where an expression should have a value, or be an error (`None`).
pub(crate) fn wrong(
    env: &Env,
    sample: &Sample,
    (text, wanted): (&str, Option<&Cel>),
    options: &Options,
) -> Option<Wrong> {
    let (asked, answer) = match wanted {
        // as a filter itself
        Some(Cel::Bool(v)) => (text.to_string(), Some(*v)),
        Some(value) => (value.is(&format!("({text}\n)")), Some(true)),
        // an error is one wherever it stands
        None => (format!("dyn({text}\n) == null"), None),
    };
    let result = run(env, sample, &asked, options);
    let of_constants = |errors: &Errors| errors.errors.iter().all(|e| e.kind == ErrorKind::Value);
    match (answer, &result) {
        (Some(true), Ok(Outcome::True))
        | (Some(false), Ok(Outcome::False))
        | (None, Ok(Outcome::Error(_))) => None,
        // an error of constants is found before there is an entry
        (None, Err(errors)) if of_constants(errors) => None,
        (_, Ok(outcome)) => Some(Wrong {
            refused: false,
            text: format!("{asked}\nis {outcome:?}, not {answer:?}"),
        }),
        (_, Err(errors)) => Some(Wrong {
            refused: of_constants(errors),
            text: errors.render(&asked),
        }),
    }
}

fn run(env: &Env, sample: &Sample, text: &str, options: &Options) -> Result<Outcome, Errors> {
    let filter = compile(env, text, options)?;
    Ok(sample.with(&Bump::new(), |entry| filter.eval(entry)))
}

/// KFL2, its types checked first or not.
pub(crate) fn kfl2(lenient: bool, now: i64) -> Options {
    Options {
        lang: Lang::Kfl2,
        lenient,
        now,
    }
}
