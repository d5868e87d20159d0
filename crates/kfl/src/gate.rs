//! The test that a filter's entries have to pass before all else. Of many rules on an entry most want another namespace,
//! path or port: one look at one field tells, and the walk over the tree is left to those that may match.

use crate::necessary::{Condition, necessary, range};
use crate::predicate::{
    Access, Const, Facts, Key, Load, Node, Part, Plain, Root, Side, Step, Test,
};
use gillnet_entry::{Entry, Kind, Value};
use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::net::IpAddr;

/// A test of one field of an entry of one protocol. What does not pass it does not match.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    test: Pass,
    /// Whether it is all that the filter asks for.
    is_whole: bool,
}

#[derive(Clone, Debug)]
enum Pass {
    Every,
    No,
    /// What has this address.
    Ip(Side, IpAddr),
    /// What has such a value.
    Value(Source, Asked),
}

/// Where a value comes from.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Source {
    Port(Side),
    Part(Side, Part),
    Common(u16),
    Own(u16),
    /// What is under a key of a map, whose case may not count.
    Key(u16, Box<str>, bool),
}

/// What a value has to be. Values of other types pass, since what they mean is the tree's to say.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// This text, or this number.
    Equal(Box<str>, Option<i64>),
    /// A text that begins so.
    Prefix(Box<str>),
    /// A number in this range.
    Ints(i64, i64),
}

impl Gate {
    /// The best one that a tree has for entries of a protocol.
    pub(crate) fn of(root: &Node, protocol: u8) -> Gate {
        Gate {
            test: necessary(root, &|node| leaf(node, protocol)),
            is_whole: is_whole(root, protocol),
        }
    }

    /// Whether an entry matches, where the gate can tell.
    #[inline]
    pub(crate) fn tells<'v>(&'v self, facts: &impl Facts<'v>) -> Option<bool> {
        let passes = match (&self.test, facts.entry()) {
            (Pass::Every, _) => true,
            (Pass::No, _) => false,
            (Pass::Ip(side, ip), _) => facts.ip(*side)? == *ip,
            (Pass::Value(source, asked), Some(entry)) => asked.holds(source.value(facts, entry))?,
            (Pass::Value(..), None) => return None,
        };
        (self.is_whole || !passes).then_some(passes)
    }
}

impl Source {
    #[inline]
    fn value<'v>(&'v self, facts: &impl Facts<'v>, entry: &'v Entry<'v>) -> Value<'v> {
        match self {
            Source::Port(side) => facts
                .port(*side)
                .map_or(Value::Missing, |port| Value::Int(port.into())),
            Source::Part(side, part) => facts.part(*side, *part).map_or(Value::Missing, Value::Str),
            Source::Common(field) => entry.common(*field),
            Source::Own(field) => facts.field(entry, *field),
            Source::Key(field, key, ignore_case) => {
                facts.key(entry, Key(*field, key, *ignore_case))
            }
        }
    }
}

impl Asked {
    #[inline]
    fn holds(&self, value: Value<'_>) -> Option<bool> {
        Some(match (self, value) {
            (Asked::Equal(text, _), Value::Str(v)) => v.len() == text.len() && v == &**text,
            (Asked::Equal(_, int), Value::Int(v)) => *int == Some(v),
            (Asked::Prefix(prefix), Value::Str(v)) => v.starts_with(&**prefix),
            (Asked::Ints(from, to), Value::Int(v)) => (*from..=*to).contains(&v),
            _ => return None,
        })
    }
}

impl Pass {
    /// How few pass it, roughly: the more is asked for, the fewer.
    fn rank(&self) -> usize {
        match self {
            Pass::Every => 0,
            Pass::No => usize::MAX,
            Pass::Ip(..) => 16,
            Pass::Value(_, Asked::Equal(text, _) | Asked::Prefix(text)) => 1 + text.len(),
            Pass::Value(_, Asked::Ints(from, to)) if from == to => 8,
            Pass::Value(_, Asked::Ints(..)) => 2,
        }
    }
}

impl Condition for Pass {
    const EVERY: Pass = Pass::Every;
    const NO: Pass = Pass::No;

    fn both(self, other: Pass) -> Pass {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }

    fn either(self, other: Pass) -> Pass {
        match (self, other) {
            (Pass::No, one) | (one, Pass::No) => one,
            _ => Pass::Every,
        }
    }
}

/// What filters have in common that are told apart by the same field.
impl Hash for Gate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.is_whole.hash(state);
        discriminant(&self.test).hash(state);
        match &self.test {
            Pass::Every | Pass::No => {}
            Pass::Ip(side, _) => side.hash(state),
            Pass::Value(source, asked) => {
                source.hash(state);
                discriminant(asked).hash(state);
            }
        }
    }
}

/// Whether a tree is but one test, which the gate makes.
fn is_whole(root: &Node, protocol: u8) -> bool {
    match root {
        Node::Const(Const::Bool(_)) => true,
        Node::Group(inner) => is_whole(inner, protocol),
        Node::Truthy(inner) if inner.is_test() => is_whole(inner, protocol),
        Node::All(_) | Node::Any(_) | Node::If(_) | Node::Chain(..) => false,
        test => !matches!(leaf(test, protocol), Pass::Every),
    }
}

fn leaf(node: &Node, protocol: u8) -> Pass {
    let on = |inner: &Node, asked| match source(inner, protocol) {
        Some(source) => Pass::Value(source, asked),
        None => Pass::Every,
    };
    let equal = |inner: &Node, constant: &Plain| {
        on(
            inner,
            Asked::Equal(constant.text_of().into(), constant.whole()),
        )
    };
    let ordered = |inner: &Node, op, constant| match range(op, constant) {
        Some((from, to)) => on(inner, Asked::Ints(from, to)),
        None => Pass::Every,
    };
    match node {
        Node::Ip(side, ip) => Pass::Ip(*side, *ip),
        Node::Str(inner, text) => on(inner, Asked::Equal(text.clone(), None)),
        Node::Plain(inner, constant, false) => equal(inner, constant),
        Node::Int(inner, op, constant) => ordered(inner, *op, *constant),
        Node::Order(op, ab) => match &ab.1 {
            Node::Const(Const::Int(constant)) => ordered(&ab.0, *op, *constant),
            _ => Pass::Every,
        },
        Node::Match(inner, Test::Equals(text)) => on(inner, Asked::Equal(text.clone(), None)),
        Node::Like(inner, Test::Equals(text), false) => equal(inner, &Plain::text(text)),
        Node::Match(inner, Test::StartsWith(prefix))
        | Node::Like(inner, Test::StartsWith(prefix), false) => {
            on(inner, Asked::Prefix(prefix.clone()))
        }
        _ => Pass::Every,
    }
}

/// Where a field's value is, for entries of a protocol.
fn source(node: &Node, protocol: u8) -> Option<Source> {
    let load = match node {
        Node::Load(load) => load,
        Node::Key(lookup) => {
            let (Node::Load(Load::Own(fields, Kind::Headers | Kind::StrMap)), key) =
                (&lookup.holder, &lookup.key)
            else {
                return None;
            };
            let Node::Const(Const::Str(key)) = key else {
                return None;
            };
            let field = of(fields, protocol)?;
            return Some(Source::Key(*field, key.clone(), lookup.ignore_case));
        }
        _ => return None,
    };
    match load {
        Load::Port(side) => Some(Source::Port(*side)),
        Load::Part(side, part) => Some(Source::Part(*side, *part)),
        Load::Common(field, _) => Some(Source::Common(*field)),
        Load::Own(fields, _) => of(fields, protocol).map(|field| Source::Own(*field)),
        Load::CommonPath(Access { root, steps }) => match (root, &**steps) {
            (Root::Common(field), []) => Some(Source::Common(*field)),
            _ => None,
        },
        Load::OwnPath(accesses) => {
            let Access { root, steps } = of(accesses, protocol)?;
            match (root, &**steps) {
                (Root::Own(field), []) => Some(Source::Own(*field)),
                (Root::Own(field), [Step::Key(key, ignore_case)]) => {
                    Some(Source::Key(*field, key.clone(), *ignore_case))
                }
                _ => None,
            }
        }
        Load::Ip(_) | Load::Held { .. } | Load::Both(_) | Load::Tls => None,
    }
}

/// What a protocol has of something.
fn of<T>(by_protocol: &[Option<T>], protocol: u8) -> Option<&T> {
    by_protocol.get(usize::from(protocol))?.as_ref()
}
