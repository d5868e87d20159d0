//! Operands that are fields, read without a detour: most tests of a filter are of one field, and a [`Val`] that goes
//! through memory on its way costs more than the test.

use super::eval::{Frames, eval, local};
use super::facts::{Facts, Key};
use super::{Access, Const, Load, Lookup, Node, Reason, Root, Step, Val};
use gillnet_entry::{Kind, Value};

/// Evaluates an expression and hands its value to the function for its type: text, whole numbers, all others.
#[inline(always)]
pub(super) fn with<'v, F: Facts<'v>, T>(
    node: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
    text: impl Fn(&'v str) -> Result<T, Reason>,
    int: impl Fn(i64) -> Result<T, Reason>,
    other: impl Fn(Val<'v>) -> Result<T, Reason>,
) -> Result<T, Reason> {
    let absent = match read(node, facts) {
        Read::Value(Value::Str(v), _) => return text(v),
        Read::Value(Value::Int(v), _) => return int(v),
        Read::Value(value, absent) => match (Val::of(value), absent) {
            (None | Some(Val::Null), Absent::Kind(kind)) => kind,
            (None, Absent::Reason(reason)) => return Err(reason),
            (Some(value), _) => return other(value),
        },
        Read::Fails(reason) => return Err(reason),
        Read::Detour => {
            let value = match node {
                Node::Local(depth) => local(*depth, frames).ok_or(Reason::NoSuchKey)?,
                _ => eval(node, facts, frames)?,
            };
            return match value {
                Val::Str(v) => text(v),
                Val::Int(v) => int(v),
                value => other(value),
            };
        }
    };
    match absent {
        Kind::Str => text(""),
        Kind::Int => int(0),
        kind => other(Val::default(kind)),
    }
}

/// What a field that an entry does not have comes to.
#[derive(Clone, Copy)]
enum Absent {
    /// The default of its kind.
    Kind(Kind),
    /// An error.
    Reason(Reason),
}

enum Read<'v> {
    Value(Value<'v>, Absent),
    Fails(Reason),
    /// This is not read here.
    Detour,
}

#[inline(always)]
fn read<'v, F: Facts<'v>>(node: &'v Node, facts: &F) -> Read<'v> {
    const MISSING: Absent = Absent::Reason(Reason::Missing);
    let load = match node {
        Node::Load(load) => load,
        Node::Key(lookup) => {
            return match under(lookup, facts) {
                Some(value) => Read::Value(value, Absent::Reason(Reason::NoSuchKey)),
                None => Read::Detour,
            };
        }
        _ => return Read::Detour,
    };
    match (load, facts.entry()) {
        (Load::Part(side, part), _) => match facts.part(*side, *part) {
            Some(text) => Read::Value(Value::Str(text), MISSING),
            None => Read::Fails(Reason::Unknown),
        },
        (Load::Held { side, part, holder }, _) => match facts.held(*side, *part, *holder) {
            Ok(text) => Read::Value(Value::Str(text), MISSING),
            Err(reason) => Read::Fails(reason),
        },
        (Load::Port(side), _) => match facts.port(*side) {
            Some(port) => Read::Value(Value::Int(i64::from(port)), MISSING),
            None => Read::Fails(Reason::Unknown),
        },
        (Load::Own(fields, kind), Some(entry)) => {
            let value = match fields.get(usize::from(entry.protocol)) {
                Some(Some(field)) => facts.field(entry, *field),
                _ => Value::Missing,
            };
            Read::Value(value, Absent::Kind(*kind))
        }
        (Load::Common(field, kind), Some(entry)) => {
            Read::Value(entry.common(*field), Absent::Kind(*kind))
        }
        (Load::OwnPath(accesses), Some(entry)) => {
            let Some(Some(Access { root, steps })) = accesses.get(usize::from(entry.protocol))
            else {
                return Read::Fails(Reason::Missing);
            };
            match (root, &**steps) {
                (Root::Own(field), []) => Read::Value(facts.field(entry, *field), MISSING),
                (Root::Own(field), [Step::Key(key, ignore_case)]) => {
                    let key = Key(*field, key, *ignore_case);
                    Read::Value(facts.key(entry, key), MISSING)
                }
                _ => Read::Detour,
            }
        }
        (Load::CommonPath(Access { root, steps }), Some(entry)) => match (root, &**steps) {
            (Root::Common(field), []) => Read::Value(entry.common(*field), MISSING),
            (Root::Common(field), [Step::Key(key, false)]) => {
                Read::Value(entry.common.key(*field, key, &entry.ctx), MISSING)
            }
            _ => Read::Detour,
        },
        _ => Read::Detour,
    }
}

/// The value under a textual key of a map field, which needs not be built for it; [`Value::Missing`] where it has no such
/// key.
#[inline(always)]
pub(super) fn under<'v, F: Facts<'v>>(lookup: &'v Lookup, facts: &F) -> Option<Value<'v>> {
    let (Node::Load(load), Node::Const(Const::Str(key)), Some(entry)) =
        (&lookup.holder, &lookup.key, facts.entry())
    else {
        return None;
    };
    match load {
        Load::Own(fields, Kind::Headers | Kind::StrMap) => {
            Some(match fields.get(usize::from(entry.protocol)) {
                Some(Some(field)) => facts.key(entry, Key(*field, key, lookup.ignore_case)),
                _ => Value::Missing,
            })
        }
        Load::Common(field, Kind::StrMap) if !lookup.ignore_case => {
            Some(entry.common.key(*field, key, &entry.ctx))
        }
        _ => None,
    }
}
