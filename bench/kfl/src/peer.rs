//! The same filters by crate `cel`.

use cel::objects::{Key, Map};
use cel::{Context, Env, Program, Value};
use gillnet_entry::{COMMON, Entry, Field, Kind, Schema};
use std::collections::HashMap;
use std::sync::Arc;

/// A filter, and the variables that it names.
pub(crate) struct Peer {
    pub(crate) program: Program,
    variables: Vec<(&'static str, Source)>,
    env: Arc<Env>,
    now: Option<Value>,
    looks_up: bool,
}

/// Where the value of a variable comes from.
enum Source {
    Flag,
    Tls,
    Common(u16, Kind),
    /// The field of each protocol.
    Own(Vec<Option<u16>>, Kind),
}

impl Peer {
    /// Nothing where it is not CEL.
    pub(crate) fn new(text: &str, env: &Arc<Env>, now: i64) -> Option<Peer> {
        let mut variables = variables();
        variables.retain(|(name, _)| text.contains(name));
        Some(Peer {
            program: Program::compile(text).ok()?,
            variables,
            env: Arc::clone(env),
            now: text.contains("now()").then(|| moment(now)),
            looks_up: text.contains("map_get("),
        })
    }

    /// What is asked of the entry, ready to be asked for: no more than the filter names.
    pub(crate) fn context(&self, entry: &Entry<'_>) -> Context<'static, 'static> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        let mut below = Vec::new();
        for (name, source) in &self.variables {
            let value = source.read(name, entry);
            match name.split_once('.') {
                None => context.add_variable_from_value(*name, value),
                Some((first, rest)) => below.push((first, rest, value)),
            }
        }
        while let Some((first, _, _)) = below.first() {
            let first = *first;
            let inner = below.extract_if(.., |(name, _, _)| *name == first);
            let fields = inner.map(|(_, rest, value)| (rest, value)).collect();
            context.add_variable_from_value(first, nested(fields));
        }
        if let Some(now) = self.now.clone() {
            let added = context.add_function("now", move || now.clone());
            added.expect("no other function is called that");
        }
        if self.looks_up {
            let get = |map: Value, key: Arc<String>, other: Value| match map {
                Value::Map(map) => map.get(&Key::String(key)).cloned().unwrap_or(other),
                _ => other,
            };
            let added = context.add_function("map_get", get);
            added.expect("no other function is called that");
        }
        context
    }

    /// What it says: nothing where it gives an error.
    pub(crate) fn answer(&self, context: &Context<'_, '_>) -> Option<bool> {
        match self.program.execute(context) {
            Ok(Value::Bool(answer)) => Some(answer),
            _ => None,
        }
    }
}

impl Source {
    fn read(&self, name: &str, entry: &Entry<'_>) -> Value {
        let (known, kind) = match self {
            Source::Flag => return Value::Bool(entry.record.info().flags.contains(&name)),
            Source::Tls => return Value::Bool(entry.common.tls),
            Source::Common(field, kind) => (value(entry.common(*field)), kind),
            Source::Own(fields, kind) => {
                let field = fields.get(usize::from(entry.protocol)).copied().flatten();
                (field.and_then(|field| value(entry.own(field))), kind)
            }
        };
        known.unwrap_or_else(|| default(*kind))
    }
}

/// All variables of KFL2.
fn variables() -> Vec<(&'static str, Source)> {
    let named = |schema: &'static Schema| {
        let fields = (0u16..).zip(schema.fields);
        fields.filter(|(_, field): &(u16, &Field)| !field.kfl2.is_empty())
    };
    let mut all = vec![("tls", Source::Tls)];
    all.extend(named(&COMMON).map(|(i, field)| (field.kfl2, Source::Common(i, field.kind))));
    let protocols = gillnet_protocols::env();
    for (_, schema, flags) in &protocols {
        for (flag, _) in *flags {
            if all.iter().all(|(name, _)| name != flag) {
                all.push((flag, Source::Flag));
            }
        }
        for (_, field) in named(schema) {
            if all.iter().all(|(name, _)| *name != field.kfl2) {
                let own = protocols
                    .iter()
                    .map(|(_, schema, _)| schema.kfl2(field.kfl2));
                all.push((field.kfl2, Source::Own(own.collect(), field.kind)));
            }
        }
    }
    all
}

/// A map of what stands below a name.
fn nested(fields: Vec<(&str, Value)>) -> Value {
    let mut plain = Vec::new();
    let mut deep: HashMap<&str, Vec<(&str, Value)>> = HashMap::new();
    for (name, value) in fields {
        match name.split_once('.') {
            None => plain.push((name, value)),
            Some((first, rest)) => deep.entry(first).or_default().push((rest, value)),
        }
    }
    let deep = deep
        .into_iter()
        .map(|(name, fields)| (name, nested(fields)));
    map(plain.into_iter().chain(deep))
}

fn map<'n>(pairs: impl Iterator<Item = (&'n str, Value)>) -> Value {
    let pairs = pairs.map(|(key, value)| (Key::String(Arc::new(key.into())), value));
    Value::Map(Map {
        map: Arc::new(pairs.collect::<HashMap<_, _>>()),
    })
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    Value::List(Arc::new(items.collect()))
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.into()))
}

fn moment(ns: i64) -> Value {
    Value::Timestamp(chrono::DateTime::from_timestamp_nanos(ns).fixed_offset())
}

fn duration(ns: i64) -> Value {
    Value::Duration(chrono::Duration::nanoseconds(ns))
}

fn value(of: gillnet_entry::Value<'_>) -> Option<Value> {
    use gillnet_entry::Value as Ours;
    Some(match of {
        Ours::Missing | Ours::Null => return None,
        Ours::Bool(v) => Value::Bool(v),
        Ours::Int(v) => Value::Int(v),
        Ours::UInt(v) => Value::UInt(v),
        Ours::Double(v) => Value::Float(v),
        Ours::Str(v) => text(v),
        Ours::Bytes(v) => Value::Bytes(Arc::new(v.to_vec())),
        Ours::Time(v) => moment(v),
        Ours::Duration(v) => duration(v),
        Ours::List(items) => list(items.iter().map(|v| value(*v).unwrap_or(Value::Null))),
        Ours::Map(pairs) => map(pairs.iter().filter_map(|(k, v)| Some((*k, value(*v)?)))),
    })
}

fn default(kind: Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(false),
        Kind::Int => Value::Int(0),
        Kind::Double => Value::Float(0.0),
        Kind::Str => text(""),
        Kind::Bytes => Value::Bytes(Arc::default()),
        Kind::Time => moment(0),
        Kind::Duration => duration(0),
        Kind::StrList => list(std::iter::empty()),
        Kind::StrMap | Kind::Headers => map(std::iter::empty()),
        Kind::Any => Value::Null,
    }
}
