//! The compiled filter: a tree whose names are field indexes and whose constants are prepared.
//!
//! Both spellings become this tree. A node is a test (true, false or an error) or gives a value. A missing field of
//! KFL1 is the error [`Reason::Missing`], which a group turns into false; errors of KFL2 are absorbed by `&&` and
//! `||`; what a stage does not know yet is [`Reason::Unknown`], which nothing absorbs but an operand that decides.

mod direct;
mod eval;
mod facts;
mod functions;
pub(crate) mod json;
mod narrow;
mod path;
mod text;
mod value;
mod xml;

pub(crate) use eval::{MAX_ARGS, eval, test};
pub(crate) use facts::{EntryFacts, Facts, FlowFacts, Key};
pub use facts::{FlowEnd, Reading};
pub(crate) use functions::{Calendar, Fun};
pub(crate) use path::{Access, Root, Step, below};
pub(crate) use text::{Plain, Test};
pub(crate) use value::{Nanos, Val};
#[cfg(test)]
pub(crate) use {text::same, value::equal};

use crate::ast::{Logic, Op};
use gillnet_entry::{Kind, Name};
use std::net::IpAddr;

/// Why a filter has no answer for an entry; such an entry does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// A field of KFL1 that the entry does not have.
    #[error("no such field")]
    Missing,
    /// Nothing is known about it at this stage.
    #[error("not known yet")]
    Unknown,
    /// A variable or function that does not exist, in a filter that was read leniently.
    #[error("no such name")]
    NoSuchName,
    /// A map without the key that was asked for.
    #[error("no such key")]
    NoSuchKey,
    /// An operator or function that takes no value of this type.
    #[error("no such overload")]
    NoSuchOverload,
    /// A position outside the list.
    #[error("index out of range")]
    OutOfRange,
    /// A result that its type cannot hold.
    #[error("overflow")]
    Overflow,
    /// Division or remainder by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// Text that cannot be converted.
    #[error("a text that cannot be converted")]
    BadText,
    /// A pattern that is none.
    #[error("a bad pattern")]
    BadPattern,
    /// Loops that took more than [`MAX_STEPS`] rounds in all.
    #[error("too many steps")]
    TooLong,
}

/// Rounds of loops that one evaluation may take.
pub const MAX_STEPS: u32 = 100_000;

/// Rounds that compiling a pattern counts as, where it is the entry that tells the pattern.
const PATTERN_STEPS: u32 = 1_000;

/// One of both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The requester.
    Src,
    /// The responder.
    Dst,
}

/// A part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The name that is shown.
    Name,
    /// Its namespace.
    Namespace,
    /// The pod.
    Pod,
    /// The pod, else the service.
    PodOrService,
    /// The service.
    Service,
    /// What a DNS answer called the address.
    Dns,
}

impl Part {
    /// This part of a name; empty where that has none.
    pub fn of(self, name: &Name) -> &str {
        match self {
            Part::Name => &name.name,
            Part::Namespace => &name.namespace,
            Part::PodOrService if name.pod.is_empty() => &name.service,
            Part::Pod | Part::PodOrService => &name.pod,
            Part::Service => &name.service,
            Part::Dns => &name.dns,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    Ip(Side),
    Port(Side),
    Part(Side, Part),
    /// A part of the name that stands, in KFL1, inside an object; missing where that object's name is empty.
    Held {
        side: Side,
        part: Part,
        holder: Part,
    },
    /// Both ends' parts, where they are not empty.
    Both(Part),
    /// Whether the bytes were taken outside encryption.
    Tls,
    /// A field of the common part, with the default of its kind.
    Common(u16, Kind),
    /// A field of the protocol's part, by protocol, with the default of its kind.
    Own(Box<[Option<u16>]>, Kind),
    /// A path of KFL1 that begins in the common part.
    CommonPath(Access),
    /// A path of KFL1 that begins in the protocol's part, by protocol.
    OwnPath(Box<[Option<Access>]>),
}

impl Load {
    /// Whether it is a field, and not something inside one.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Load::CommonPath(access) => access.steps.is_empty(),
            Load::OwnPath(accesses) => accesses.iter().flatten().all(|a| a.steps.is_empty()),
            _ => true,
        }
    }
}

/// A flag: protocols it always holds for, and those whose entries must be asked.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    pub(crate) name: Box<str>,
    pub(crate) always: u64,
    pub(crate) asked: u64,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Const {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    Time(Nanos),
    Duration(Nanos),
    Type(&'static str),
}

impl Const {
    pub(crate) fn val(&self) -> Val<'_> {
        match self {
            Const::Null => Val::Null,
            Const::Bool(v) => Val::Bool(*v),
            Const::Int(v) => Val::Int(*v),
            Const::UInt(v) => Val::UInt(*v),
            Const::Double(v) => Val::Double(*v),
            Const::Str(v) => Val::Str(v),
            Const::Bytes(v) => Val::Bytes(v),
            Const::Time(v) => Val::Time(*v),
            Const::Duration(v) => Val::Duration(*v),
            Const::Type(v) => Val::Type(v),
        }
    }

    /// A constant of a value, unless it is a list or map.
    pub(crate) fn of(value: Val<'_>) -> Option<Const> {
        Some(match value {
            Val::Null => Const::Null,
            Val::Bool(v) => Const::Bool(v),
            Val::Int(v) => Const::Int(v),
            Val::UInt(v) => Const::UInt(v),
            Val::Double(v) => Const::Double(v),
            Val::Str(v) => Const::Str(v.into()),
            Val::Bytes(v) => Const::Bytes(v.into()),
            Val::Time(v) => Const::Time(v),
            Val::Duration(v) => Const::Duration(v),
            Val::Type(v) => Const::Type(v),
            Val::Items(_) | Val::List(_) | Val::Fields(_) | Val::Map(_) => return None,
        })
    }
}

/// What a loop of KFL2 makes of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A loop over a list, or the keys of a map, whose element is the innermost local.
#[derive(Clone, Debug)]
pub(crate) struct Loop {
    pub(crate) kind: LoopKind,
    pub(crate) range: Node,
    /// `map` may filter first.
    pub(crate) keep: Option<Node>,
    pub(crate) body: Node,
}

/// A place in a list or map.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) holder: Node,
    pub(crate) key: Node,
    /// Keys are compared without regard to case.
    pub(crate) ignore_case: bool,
}

/// A helper of KFL1 that tests text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextOp {
    Contains,
    StartsWith,
    EndsWith,
}

/// A document that is inside a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Json,
    Xml,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Const(Const),
    /// Always this error.
    Fail(Reason),
    Load(Load),
    /// A variable of a loop, counted from the innermost.
    Local(u16),
    Flag(Flag),

    // logic
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Not(Box<Node>),
    If(Box<(Node, Node, Node)>),

    // KFL2 with a prepared operand
    Ip(Side, IpAddr),
    Int(Box<Node>, Op, i64),
    Str(Box<Node>, Box<str>),
    Match(Box<Node>, Test),
    InInts(Box<Node>, Box<[i64]>),
    InStrs(Box<Node>, Box<[Box<str>]>),
    InBoth(Part, Box<str>),
    /// The element of a list or the value under a key of a map.
    Key(Box<Lookup>),
    /// Whether a list has an element or a map a key.
    Has(Box<Lookup>),
    /// Whether a map has a value under a key; for anything else an error.
    Under(Box<Lookup>),
    /// The value under a key of a map, else the other one.
    KeyOr(Box<Lookup>, Box<Node>),

    // KFL2 in general
    Binary(Op, Box<(Node, Node)>),
    Neg(Box<Node>),
    Call(Fun, Box<[Node]>),
    List(Box<[Node]>),
    Map(Box<[(Node, Node)]>),
    Loop(Box<Loop>),

    // KFL1
    /// Terms and what joins them, grouped from the right.
    Chain(Box<[Node]>, Box<[Logic]>),
    /// Parentheses: a missing field inside makes them false.
    Group(Box<Node>),
    /// A value taken as a condition.
    Truthy(Box<Node>),
    /// Flips a truth value, leaves others as they are.
    Flip(Box<Node>),
    /// Equality with a constant; `true` = not equal.
    Plain(Box<Node>, Plain, bool),
    /// Equality of texts; `true` = not equal.
    Same(Box<(Node, Node)>, bool),
    /// Search of a pattern; `true` = not found.
    Like(Box<Node>, Test, bool),
    /// Order of numbers.
    Order(Op, Box<(Node, Node)>),
    /// A text helper; false where its target is missing.
    Text(TextOp, Box<(Node, Node)>),
    /// Always true; what the redaction of this number names is hidden.
    Redact(u8),
    /// What is found in the document that a field holds.
    Document(Document, Box<Node>, Box<[Step]>),
}

impl Node {
    /// Whether it can only be a truth value (or an error).
    pub(crate) fn is_test(&self) -> bool {
        match self {
            Node::Const(Const::Bool(_))
            | Node::Flag(_)
            | Node::All(_)
            | Node::Any(_)
            | Node::Not(_) => true,
            Node::Ip(..) | Node::Int(..) | Node::Str(..) | Node::Match(..) | Node::InInts(..) => {
                true
            }
            Node::InStrs(..) | Node::InBoth(..) | Node::Has(_) | Node::Under(_) => true,
            Node::Binary(op, _) => !matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Rem),
            Node::Chain(..)
            | Node::Truthy(_)
            | Node::Plain(..)
            | Node::Same(..)
            | Node::Like(..) => true,
            Node::Order(..) | Node::Text(..) | Node::Redact(_) | Node::Load(Load::Tls) => true,
            Node::Group(inner) => inner.is_test(),
            Node::Loop(l) => matches!(
                l.kind,
                LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne
            ),
            _ => false,
        }
    }

    /// Calls `see` on this node and all below it.
    pub(crate) fn walk<'n>(&'n self, see: &mut dyn FnMut(&'n Node)) {
        see(self);
        self.each(&mut |node| node.walk(see));
    }

    /// Calls `see` on the operands of this node.
    pub(crate) fn each<'n>(&'n self, see: &mut dyn FnMut(&'n Node)) {
        match self {
            Node::All(nodes)
            | Node::Any(nodes)
            | Node::List(nodes)
            | Node::Call(_, nodes)
            | Node::Chain(nodes, _) => nodes.iter().for_each(see),
            Node::Not(n) | Node::Neg(n) | Node::Group(n) | Node::Truthy(n) | Node::Flip(n) => {
                see(n);
            }
            Node::Int(n, ..)
            | Node::Str(n, _)
            | Node::Match(n, _)
            | Node::InInts(n, _)
            | Node::InStrs(n, _) => see(n),
            Node::Plain(n, ..) | Node::Like(n, ..) | Node::Document(_, n, _) => see(n),
            Node::Key(lookup) | Node::Has(lookup) | Node::Under(lookup) => {
                see(&lookup.holder);
                see(&lookup.key);
            }
            Node::KeyOr(lookup, other) => {
                see(&lookup.holder);
                see(&lookup.key);
                see(other);
            }
            Node::If(abc) => {
                see(&abc.0);
                see(&abc.1);
                see(&abc.2);
            }
            Node::Binary(_, ab) | Node::Order(_, ab) | Node::Text(_, ab) | Node::Same(ab, _) => {
                see(&ab.0);
                see(&ab.1);
            }
            Node::Map(pairs) => pairs.iter().for_each(|(k, v)| {
                see(k);
                see(v);
            }),
            Node::Loop(l) => {
                see(&l.range);
                l.keep.iter().for_each(&mut *see);
                see(&l.body);
            }
            Node::Const(_)
            | Node::Fail(_)
            | Node::Load(_)
            | Node::Local(_)
            | Node::Flag(_)
            | Node::Redact(_)
            | Node::Ip(..)
            | Node::InBoth(..) => {}
        }
    }
}
