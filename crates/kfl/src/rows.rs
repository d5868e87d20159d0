//! What a filter asks of the rows of an index: tables in which an entry stands with some of its fields, a column each.
//!
//! A [`RowFilter`] says which columns it reads, so that no other is fetched; what the values of a column must be like for any
//! row to match, so that parts of a table are passed over by their statistics; and of a row whether it matches, does not
//! match, or whether that can only be told by the entry itself, which then has to come from its packets.

use crate::ast::Op;
use crate::check::Env;
use crate::filter::Filter;
use crate::necessary::{Condition, necessary, range};
use crate::predicate::{
    Access, Const, Facts, Flag, Load, Node, Part, Plain, Reason, Root, Side, Step, Test, test,
};
use crate::stages::{ProtocolSet, Tri};
use gillnet_entry::{Bump, COMMON, Ctx, Field, Kind, Nothing, Value};
use std::cell::Cell;
use std::net::IpAddr;

/// A column: a part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// Address of an end, as text.
    Ip(Side),
    /// Port of an end.
    Port(Side),
    /// A part of an end's name.
    Name(Side, Part),
    /// Whether the bytes were taken outside encryption.
    Tls,
    /// What kind of fault the exchange has, of the object that KFL1 calls `error`.
    ErrorType,
    /// The words for that fault.
    ErrorMsg,
    /// A field of the common part, by its place in the field table.
    Common(u16),
    /// A field of a protocol, by the protocol's place in the registry and the field's in its table.
    Own(u8, u16),
}

/// The columns that an index is meant to have.
pub fn usual(env: &Env) -> impl Fn(Column) -> bool {
    |column| column_field(env, column).is_none_or(Field::is_column)
}

/// What a column is called: as the field is in JSON, or where it is not there, in KFL2.
#[must_use]
pub fn name_of(env: &Env, column: Column) -> String {
    let end = |side| match side {
        Side::Src => "src",
        Side::Dst => "dst",
    };
    let (side, of) = match column {
        Column::Ip(side) => (side, "ip"),
        Column::Port(side) => (side, "port"),
        Column::Name(side, part) => (
            side,
            match part {
                Part::Name => "name",
                Part::Namespace => "namespace",
                Part::Pod | Part::PodOrService => "pod",
                Part::Service => "service",
                Part::Dns => "dns",
            },
        ),
        Column::Tls => return "tls".into(),
        Column::ErrorType => return "error.type".into(),
        Column::ErrorMsg => return "error.msg".into(),
        Column::Common(_) | Column::Own(..) => {
            return column_field(env, column).map_or_else(String::new, |field| match field.json {
                "" => field.kfl2.into(),
                json => json.into(),
            });
        }
    };
    format!("{}.{of}", end(side))
}

/// What kind of value a column has; `None` for one of a field that is not there.
#[must_use]
pub fn kind_of(env: &Env, column: Column) -> Option<Kind> {
    match column {
        Column::Ip(_) | Column::Name(..) | Column::ErrorType | Column::ErrorMsg => Some(Kind::Str),
        Column::Port(_) => Some(Kind::Int),
        Column::Tls => Some(Kind::Bool),
        Column::Common(_) | Column::Own(..) => column_field(env, column).map(|field| field.kind),
    }
}

/// The field that a column is of, where it is one.
fn column_field(env: &Env, column: Column) -> Option<&'static Field> {
    match column {
        Column::Common(field) => COMMON.fields.get(usize::from(field)),
        Column::Own(protocol, field) => {
            let schema = env.protocols.get(usize::from(protocol))?.schema;
            schema.fields.get(usize::from(field))
        }
        Column::Ip(_) | Column::Port(_) | Column::Name(..) | Column::Tls => None,
        Column::ErrorType | Column::ErrorMsg => None,
    }
}

/// The column of a part of `error`, where a path of KFL1 leads to one.
pub(crate) fn error_column(access: &Access) -> Option<Column> {
    const ERROR: usize = COMMON.index("error");
    match (&access.root, &*access.steps) {
        (Root::Common(field), [Step::Key(key, false)]) if usize::from(*field) == ERROR => {
            match &**key {
                "type" => Some(Column::ErrorType),
                "msg" => Some(Column::ErrorMsg),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A row.
pub trait Row<'v> {
    /// The entry's protocol, by its place in the registry.
    fn protocol(&self) -> u8;
    /// A value; `None` where the index has no such column, [`Value::Missing`] where the entry has no such field.
    fn value(&self, column: Column) -> Option<Value<'v>>;
    /// Whether the entry has a flag of its protocol's, such as `grpc`: which protocol object it is shown with says that.
    fn flag(&self, name: &str) -> bool;
}

/// A necessary condition for a row to match, in terms that statistics of a column answer: what does not fulfil it can't
/// match, what does may.
#[derive(Clone, Debug, PartialEq)]
pub enum Needs {
    /// Any row may match.
    Every,
    /// No row can match.
    No,
    /// All of these.
    All(Vec<Needs>),
    /// Any of these.
    Any(Vec<Needs>),
    /// One of these protocols.
    Protocols(ProtocolSet),
    /// A column's value.
    Is {
        /// Whose value.
        column: Column,
        /// What it must be like.
        bound: Bound,
        /// Whether rows without the value may match too.
        or_missing: bool,
    },
}

/// What a value must be like.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// An integer in this range, both ends included.
    Ints(i64, i64),
    /// This truth value.
    Bool(bool),
    /// One of these texts.
    Texts(Vec<Box<str>>),
    /// A text that begins so.
    Prefix(Box<str>),
}

impl Bound {
    /// Whether a value is like that. Other types are not.
    #[must_use]
    pub fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Bound::Ints(from, to), Value::Int(v)) => (from..=to).contains(&&v),
            (Bound::Bool(wanted), Value::Bool(v)) => *wanted == v,
            (Bound::Texts(texts), Value::Str(v)) => texts.iter().any(|text| **text == *v),
            (Bound::Prefix(prefix), Value::Str(v)) => v.starts_with(&**prefix),
            _ => false,
        }
    }

    /// Whether a field of this kind can be compared with it.
    fn suits(&self, kind: Kind) -> bool {
        match self {
            Bound::Ints(..) => kind == Kind::Int,
            Bound::Bool(_) => kind == Kind::Bool,
            Bound::Texts(_) | Bound::Prefix(_) => kind == Kind::Str,
        }
    }

    /// Whether what an absent field of this kind stands for is like that.
    fn holds_default(&self, kind: Kind) -> bool {
        self.holds(match kind {
            Kind::Int => Value::Int(0),
            Kind::Bool => Value::Bool(false),
            Kind::Str => Value::Str(""),
            _ => Value::Missing,
        })
    }
}

impl Condition for Needs {
    const EVERY: Needs = Needs::Every;
    const NO: Needs = Needs::No;

    fn both(self, other: Needs) -> Needs {
        match (self, other) {
            (Needs::No, _) | (_, Needs::No) => Needs::No,
            (Needs::Every, one) | (one, Needs::Every) => one,
            (Needs::All(mut all), one) => {
                all.push(one);
                Needs::All(all)
            }
            (a, b) => Needs::All(vec![a, b]),
        }
    }

    fn either(self, other: Needs) -> Needs {
        match (self, other) {
            (Needs::Every, _) | (_, Needs::Every) => Needs::Every,
            (Needs::No, one) | (one, Needs::No) => one,
            (Needs::Protocols(a), Needs::Protocols(b)) => Needs::Protocols(a.union(b)),
            (Needs::Any(mut any), one) => {
                any.push(one);
                Needs::Any(any)
            }
            (a, b) => Needs::Any(vec![a, b]),
        }
    }
}

/// A filter on rows of an index that has certain columns.
#[derive(Clone, Debug)]
pub struct RowFilter {
    filter: Filter,
    columns: Vec<Column>,
    needs: Needs,
    is_whole: bool,
}

impl RowFilter {
    /// A filter, compiled in `env`, on an index; `has` says which columns that has.
    #[must_use]
    pub fn new(env: &Env, filter: &Filter, has: impl Fn(Column) -> bool) -> Self {
        let asked = Asked { env, has: &has };
        let (mut columns, mut is_whole, mut needs) = (Vec::new(), true, Needs::Every);
        let mut part = Some(filter);
        while let Some(filter) = part {
            let root = filter.root();
            root.walk(&mut |node| {
                is_whole &= reads(node, &mut |column| {
                    let there = has(column);
                    if there {
                        columns.push(column);
                    }
                    there
                });
            });
            needs = needs.both(asked.of(root));
            part = filter.outer();
        }
        columns.sort_unstable();
        columns.dedup();
        Self {
            filter: filter.clone(),
            columns,
            needs,
            is_whole,
        }
    }

    /// The columns that it reads, in order, each once.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether the columns have all that it asks for; otherwise some rows have to be told by their packets.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What every matching row fulfils.
    #[must_use]
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Whether a row matches; [`Tri::Unknown`] where that can only be told by the entry itself. Text that must be built is
    /// built in `arena`.
    pub fn test<'v>(&'v self, row: &impl Row<'v>, arena: &'v Bump) -> Tri {
        let mut answer = Tri::Yes;
        let mut part = Some(&self.filter);
        while let Some(filter) = part {
            match on(filter.root(), row, arena) {
                Tri::No => return Tri::No,
                Tri::Unknown => answer = Tri::Unknown,
                Tri::Yes => {}
            }
            part = filter.outer();
        }
        answer
    }
}

/// What a row says of a filter's tree.
fn on<'v>(root: &'v Node, row: &dyn Row<'v>, arena: &'v Bump) -> Tri {
    let facts = RowFacts {
        row,
        ctx: Ctx {
            store: &Nothing,
            arena,
        },
        steps: Cell::new(0),
    };
    match test(root, &facts, None) {
        Ok(true) => Tri::Yes,
        Err(Reason::Unknown) => Tri::Unknown,
        Ok(false) | Err(_) => Tri::No,
    }
}

/// A row, as a filter sees it.
struct RowFacts<'r, 'v> {
    row: &'r dyn Row<'v>,
    ctx: Ctx<'v>,
    steps: Cell<u32>,
}

impl<'v> RowFacts<'_, 'v> {
    fn text(&self, side: Side, part: Part) -> Option<&'v str> {
        match self.row.value(Column::Name(side, part))? {
            Value::Str(text) => Some(text),
            _ => Some(""),
        }
    }
}

impl<'v> Facts<'v> for RowFacts<'_, 'v> {
    fn ctx(&self) -> Ctx<'v> {
        self.ctx
    }

    fn ip(&self, side: Side) -> Option<IpAddr> {
        self.row.value(Column::Ip(side))?.as_str()?.parse().ok()
    }

    fn port(&self, side: Side) -> Option<u16> {
        match self.row.value(Column::Port(side))? {
            Value::Int(port) => u16::try_from(port).ok(),
            _ => None,
        }
    }

    fn part(&self, side: Side, part: Part) -> Option<&'v str> {
        match part {
            Part::PodOrService => match self.text(side, Part::Pod)? {
                "" => self.text(side, Part::Service),
                pod => Some(pod),
            },
            part => self.text(side, part),
        }
    }

    fn entry(&self) -> Option<&'v gillnet_entry::Entry<'v>> {
        None
    }

    fn tls(&self) -> Option<bool> {
        match self.row.value(Column::Tls)? {
            Value::Bool(tls) => Some(tls),
            _ => None,
        }
    }

    fn possible(&self) -> u64 {
        ProtocolSet::only(self.row.protocol()).bits()
    }

    fn steps(&self) -> &Cell<u32> {
        &self.steps
    }

    fn stored(&self, column: Column) -> Option<Value<'v>> {
        self.row.value(column)
    }

    fn flag(&self, flag: &Flag) -> Result<bool, Reason> {
        let bit = self.possible();
        Ok(bit & flag.always != 0 || bit & flag.asked != 0 && self.row.flag(&flag.name))
    }
}

/// Shows every column that a node itself reads. Whether all it asks of an entry are columns that are there.
fn reads(node: &Node, is_there: &mut dyn FnMut(Column) -> bool) -> bool {
    match node {
        Node::Ip(side, _) => is_there(Column::Ip(*side)),
        Node::InBoth(part, _) => both(*part, is_there),
        Node::Load(load) => match load {
            Load::Ip(side) => is_there(Column::Ip(*side)),
            Load::Port(side) => is_there(Column::Port(*side)),
            Load::Part(side, part) => named(*side, *part, is_there),
            Load::Held { side, part, holder } => {
                named(*side, *part, is_there) & named(*side, *holder, is_there)
            }
            Load::Both(part) => both(*part, is_there),
            Load::Tls => is_there(Column::Tls),
            Load::Common(field, _) => is_there(Column::Common(*field)),
            Load::CommonPath(access) => match (error_column(access), &access.root) {
                (Some(column), _) => is_there(column),
                (None, Root::Common(field)) => is_there(Column::Common(*field)),
                (None, Root::Own(_) | Root::Object(..)) => false,
            },
            Load::Own(fields, _) => each(fields).fold(true, |all, (protocol, field)| {
                is_there(Column::Own(protocol, *field)) & all
            }),
            Load::OwnPath(accesses) => each(accesses).fold(true, |all, (protocol, access)| {
                all & match access.root {
                    Root::Own(field) => is_there(Column::Own(protocol, field)),
                    Root::Common(_) | Root::Object(..) => false,
                }
            }),
        },
        _ => true,
    }
}

fn named(side: Side, part: Part, is_there: &mut dyn FnMut(Column) -> bool) -> bool {
    match part {
        Part::PodOrService => {
            is_there(Column::Name(side, Part::Pod)) & is_there(Column::Name(side, Part::Service))
        }
        part => is_there(Column::Name(side, part)),
    }
}

fn both(part: Part, is_there: &mut dyn FnMut(Column) -> bool) -> bool {
    named(Side::Src, part, is_there) & named(Side::Dst, part, is_there)
}

/// What protocols have of something, each with its place in the registry.
fn each<T>(by_protocol: &[Option<T>]) -> impl Iterator<Item = (u8, &T)> {
    (0..)
        .zip(by_protocol)
        .filter_map(|(protocol, of)| Some((protocol, of.as_ref()?)))
}

/// What is asked of an index with certain columns.
struct Asked<'a> {
    env: &'a Env,
    has: &'a dyn Fn(Column) -> bool,
}

impl Asked<'_> {
    /// What every row fulfils that a tree matches.
    fn of(&self, root: &Node) -> Needs {
        necessary(root, &|node| self.leaf(node))
    }

    fn leaf(&self, node: &Node) -> Needs {
        match node {
            Node::Fail(_) => Needs::No,
            Node::Flag(flag) => Needs::Protocols(ProtocolSet::from_bits(flag.always | flag.asked)),
            Node::Ip(side, ip) => {
                let text = ip.to_string().into();
                self.column(Column::Ip(*side), Kind::Str, Bound::Texts(vec![text]))
            }
            Node::InBoth(part, text) => {
                let bound = Bound::Texts(vec![text.clone()]);
                let src = self.name(Side::Src, *part, &bound);
                src.either(self.name(Side::Dst, *part, &bound))
            }
            Node::Load(load) => self.is(load, Bound::Bool(true)),
            Node::Int(inner, op, constant) => self.ordered(inner, *op, *constant),
            Node::InInts(inner, list) => match (list.iter().min(), list.iter().max()) {
                (Some(from), Some(to)) => self.loaded(inner, Bound::Ints(*from, *to)),
                _ => Needs::No,
            },
            Node::Str(inner, text) => self.loaded(inner, Bound::Texts(vec![text.clone()])),
            Node::InStrs(inner, list) => self.loaded(inner, Bound::Texts(list.to_vec())),
            Node::Plain(inner, constant, false) => self.plain(inner, constant),
            Node::Order(op, ab) => match (&ab.0, &ab.1) {
                (inner, Node::Const(Const::Int(constant))) => self.ordered(inner, *op, *constant),
                _ => Needs::Every,
            },
            Node::Match(inner, test) | Node::Like(inner, test, false) => match test {
                Test::Equals(text) => self.loaded(inner, Bound::Texts(vec![text.clone()])),
                Test::StartsWith(prefix) => self.loaded(inner, Bound::Prefix(prefix.clone())),
                _ => Needs::Every,
            },
            _ => Needs::Every,
        }
    }

    fn ordered(&self, inner: &Node, op: Op, constant: i64) -> Needs {
        match range(op, constant) {
            Some((from, to)) => self.loaded(inner, Bound::Ints(from, to)),
            None => Needs::Every,
        }
    }

    /// Equality of KFL1: a number is compared with numbers, its text with texts.
    fn plain(&self, inner: &Node, constant: &Plain) -> Needs {
        let number = match constant.whole() {
            Some(whole) => self.loaded(inner, Bound::Ints(whole, whole)),
            None => Needs::Every,
        };
        match number {
            Needs::Every => self.loaded(inner, Bound::Texts(vec![constant.text_of().into()])),
            number => number,
        }
    }

    fn loaded(&self, node: &Node, bound: Bound) -> Needs {
        match node {
            Node::Load(load) => self.is(load, bound),
            _ => Needs::Every,
        }
    }

    /// That what is loaded is like that.
    fn is(&self, load: &Load, bound: Bound) -> Needs {
        match load {
            Load::Ip(side) => self.column(Column::Ip(*side), Kind::Str, bound),
            Load::Port(side) => self.column(Column::Port(*side), Kind::Int, bound),
            Load::Part(side, part) | Load::Held { side, part, .. } => {
                self.name(*side, *part, &bound)
            }
            Load::Tls => self.column(Column::Tls, Kind::Bool, bound),
            Load::Common(field, kind) => {
                self.or_default(Column::Common(*field), *kind, bound, true)
            }
            Load::CommonPath(access) => match (&access.root, &*access.steps) {
                _ if let Some(column) = error_column(access) => {
                    self.column(column, Kind::Str, bound)
                }
                (Root::Common(field), []) => match COMMON.fields.get(usize::from(*field)) {
                    Some(known) => {
                        self.or_default(Column::Common(*field), known.kind, bound, false)
                    }
                    None => Needs::Every,
                },
                _ => Needs::Every,
            },
            Load::Own(fields, kind) => {
                let of = |protocol, field: &u16| {
                    self.or_default(Column::Own(protocol, *field), *kind, bound.clone(), true)
                };
                let has_it = each(fields).fold(ProtocolSet::NONE, |set, (protocol, _)| {
                    set.union(ProtocolSet::only(protocol))
                });
                let without = if !bound.suits(*kind) {
                    return Needs::Every;
                } else if bound.holds_default(*kind) {
                    Needs::Protocols(ProtocolSet::from_bits(!has_it.bits()))
                } else {
                    Needs::No
                };
                by_protocol(fields, of).either(without)
            }
            Load::OwnPath(accesses) => by_protocol(accesses, |protocol, access| {
                let schema = self
                    .env
                    .protocols
                    .get(usize::from(protocol))
                    .map(|p| p.schema);
                match (&access.root, &*access.steps, schema) {
                    (Root::Own(field), [], Some(schema)) => {
                        let column = Column::Own(protocol, *field);
                        match schema.fields.get(usize::from(*field)) {
                            Some(known) => {
                                self.or_default(column, known.kind, bound.clone(), false)
                            }
                            None => Needs::Every,
                        }
                    }
                    _ => Needs::Every,
                }
            }),
            Load::Both(_) => Needs::Every,
        }
    }

    fn name(&self, side: Side, part: Part, bound: &Bound) -> Needs {
        let of = |part| self.column(Column::Name(side, part), Kind::Str, bound.clone());
        match part {
            Part::PodOrService => of(Part::Pod).either(of(Part::Service)),
            part => of(part),
        }
    }

    /// That a column is like that; a row without a value does not match.
    fn column(&self, column: Column, kind: Kind, bound: Bound) -> Needs {
        self.or_default(column, kind, bound, false)
    }

    /// That a column is like that, or, in KFL2, that the row has no value and what stands for it is.
    fn or_default(&self, column: Column, kind: Kind, bound: Bound, defaults: bool) -> Needs {
        if !bound.suits(kind) || !(self.has)(column) {
            return Needs::Every;
        }
        Needs::Is {
            column,
            or_missing: defaults && bound.holds_default(kind),
            bound,
        }
    }
}

/// Any protocol's, each for its own rows.
fn by_protocol<T>(own: &[Option<T>], of: impl Fn(u8, &T) -> Needs) -> Needs {
    each(own)
        .map(|(protocol, own)| {
            Needs::Protocols(ProtocolSet::only(protocol)).both(of(protocol, own))
        })
        .fold(Needs::No, Needs::either)
}
