//! The other implementation: its variables for an entry, and its values.

use super::tree::Ty;
use crate::observe::Cel;
use cel::{Context, Program};
use gillnet_entry::{COMMON, Entry, Kind, Schema, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The tables of the protocols whose entries are made.
const PROTOCOLS: [&Schema; 2] = [&crate::support::HTTP, &crate::support::DNS];
const FLAGS: &[&str] = &["http", "http2", "grpc", "gql", "dns"];

/// Names of variables with their types, those of both tables.
pub(super) fn variables() -> Vec<(String, Ty)> {
    let fields = [&COMMON]
        .into_iter()
        .chain(PROTOCOLS)
        .flat_map(|s| s.fields);
    let mut variables: BTreeMap<String, Ty> = fields
        .filter(|f| !f.kfl2.is_empty())
        .filter_map(|f| Some((f.kfl2.to_string(), Ty::of(f.kind)?)))
        .collect();
    variables.extend(FLAGS.iter().map(|flag| ((*flag).to_string(), Ty::Bool)));
    variables.into_iter().collect()
}

/// A value of an entry, or what stands for it where there is none.
fn value(value: Value<'_>, kind: Kind) -> Cel {
    match value {
        Value::Missing | Value::Null => match kind {
            Kind::Bool => Cel::Bool(false),
            Kind::Int => Cel::Int(0),
            Kind::Double => Cel::Double(0.0),
            Kind::Str => Cel::Str(String::new()),
            Kind::Bytes => Cel::Bytes(Vec::new()),
            Kind::Time => Cel::Time(0),
            Kind::Duration => Cel::Duration(0),
            Kind::StrList => Cel::List(Vec::new()),
            Kind::StrMap | Kind::Headers => Cel::Map(Vec::new()),
            Kind::Any => Cel::Null,
        },
        Value::Bool(v) => Cel::Bool(v),
        Value::Int(v) => Cel::Int(v),
        Value::UInt(v) => Cel::UInt(v),
        Value::Double(v) => Cel::Double(v),
        Value::Str(v) => Cel::Str(v.into()),
        Value::Bytes(v) => Cel::Bytes(v.into()),
        Value::Time(v) => Cel::Time(v.into()),
        Value::Duration(v) => Cel::Duration(v.into()),
        Value::List(v) => Cel::List(v.iter().map(|v| self::value(*v, Kind::Any)).collect()),
        Value::Map(v) => {
            let pair =
                |(k, v): &(&str, Value<'_>)| (Cel::Str((*k).into()), self::value(*v, Kind::Any));
            Cel::Map(v.iter().map(pair).collect())
        }
    }
}

/// The variables of an entry, read off the field tables.
pub(super) fn read(entry: &Entry<'_>) -> Vec<(&'static str, Cel)> {
    let mut all: BTreeMap<&'static str, Cel> = BTreeMap::new();
    for schema in PROTOCOLS {
        for field in schema.fields {
            all.insert(field.kfl2, value(Value::Missing, field.kind));
        }
    }
    for (i, field) in (0..).zip(COMMON.fields) {
        all.insert(field.kfl2, value(entry.common(i), field.kind));
    }
    for (i, field) in (0..).zip(entry.record.schema().fields) {
        all.insert(field.kfl2, value(entry.own(i), field.kind));
    }
    let flags = entry.record.info().flags;
    all.extend(
        FLAGS
            .iter()
            .map(|flag| (*flag, Cel::Bool(flags.contains(flag)))),
    );
    all.remove("");
    all.into_iter().collect()
}

/// A value for the other implementation.
fn theirs(value: &Cel) -> cel::Value {
    match value {
        Cel::Null => cel::Value::Null,
        Cel::Bool(v) => cel::Value::Bool(*v),
        Cel::Int(v) => cel::Value::Int(*v),
        Cel::UInt(v) => cel::Value::UInt(*v),
        Cel::Double(v) => cel::Value::Float(*v),
        Cel::Str(v) => cel::Value::String(Arc::new(v.clone())),
        Cel::Bytes(v) => cel::Value::Bytes(Arc::new(v.clone())),
        Cel::List(items) => cel::Value::List(Arc::new(items.iter().map(theirs).collect())),
        Cel::Map(pairs) => {
            let pair = |(k, v): &(Cel, Cel)| match k {
                Cel::Str(k) => (k.clone(), theirs(v)),
                k => panic!("a key {k:?}"),
            };
            pairs.iter().map(pair).collect::<HashMap<_, _>>().into()
        }
        // as the language writes them
        Cel::Time(_) | Cel::Duration(_) => {
            let program = Program::compile(&value.literal()).unwrap();
            program.execute(&Context::default()).unwrap()
        }
        Cel::Type(_) => panic!("no variable is a type"),
    }
}

/// A value of the other implementation.
pub(super) fn ours(value: &cel::Value) -> Cel {
    match value {
        cel::Value::Null => Cel::Null,
        cel::Value::Bool(v) => Cel::Bool(*v),
        cel::Value::Int(v) => Cel::Int(*v),
        cel::Value::UInt(v) => Cel::UInt(*v),
        cel::Value::Float(v) => Cel::Double(*v),
        cel::Value::String(v) => Cel::Str(v.to_string()),
        cel::Value::Bytes(v) => Cel::Bytes(v.to_vec()),
        cel::Value::List(items) => Cel::List(items.iter().map(ours).collect()),
        cel::Value::Map(map) => {
            let pair = |(k, v): (&cel::objects::Key, &cel::Value)| (ours(&k.into()), ours(v));
            Cel::Map(map.map.iter().map(pair).collect())
        }
        cel::Value::Timestamp(v) => {
            let nanos = i128::from(v.timestamp_subsec_nanos());
            Cel::Time(i128::from(v.timestamp()) * 1_000_000_000 + nanos)
        }
        cel::Value::Duration(v) => {
            let nanos = i128::from(v.subsec_nanos());
            Cel::Duration(i128::from(v.num_seconds()) * 1_000_000_000 + nanos)
        }
        other => panic!("a value {other:?}"),
    }
}

/// The other implementation's variables for an entry: names with dots are maps in maps.
pub(super) fn context(
    all: &[(&'static str, Cel)],
    env: &Arc<cel::Env>,
) -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::clone(env));
    let mut roots: BTreeMap<&str, Vec<(Vec<&str>, &Cel)>> = BTreeMap::new();
    for (name, value) in all {
        let mut words = name.split('.');
        let root = words.next().unwrap();
        roots
            .entry(root)
            .or_default()
            .push((words.collect(), value));
    }
    for (root, below) in roots {
        context.add_variable_from_value(root, nested(&below));
    }
    context
}

fn nested(below: &[(Vec<&str>, &Cel)]) -> cel::Value {
    if let [(words, value)] = below
        && words.is_empty()
    {
        return theirs(value);
    }
    let mut groups: BTreeMap<&str, Vec<(Vec<&str>, &Cel)>> = BTreeMap::new();
    for (words, value) in below {
        let (first, rest) = words.split_first().unwrap();
        groups
            .entry(first)
            .or_default()
            .push((rest.to_vec(), value));
    }
    let pairs = groups
        .iter()
        .map(|(name, below)| ((*name).to_string(), nested(below)));
    pairs.collect::<HashMap<_, _>>().into()
}
