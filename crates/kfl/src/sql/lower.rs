//! From a filter's tree to an expression.
//!
//! A filter has three answers: true, false, and none, where a field is missing (KFL1) or something is an error (KFL2). No
//! answer is NULL. Then `&&`, `||` and `!` of KFL2 are what AND, OR and NOT are in SQL; `and` and `or` of KFL1, which a
//! missing field ends, need more. Where only a true answer counts, much falls away ([`Lowering::where_`]).

use super::expr::{Comparison, Expr, Sum, Type};
use super::pattern::portable;
use super::{Refused, Table};
use crate::ast::{Logic, Op};
use crate::check::Env;
use crate::lang::Lang;
use crate::predicate::{
    Access, Const, Flag, Fun, Load, Node, Part, Plain, Reason, Root, Side, Test, TextOp,
};
use crate::rows::{Column, kind_of};
use gillnet_entry::Kind;
use std::cell::Cell;

/// Parts that an expression has at most: engines have limits too.
const MAX_SIZE: usize = 4000;

/// Levels that a filter has at most: its tree is walked on the stack, here and by engines.
const MAX_LEVELS: u32 = 80;

type Lowered<T> = Result<T, Refused>;

/// A condition, and what NULL means in it.
struct Cond {
    expr: Expr,
    /// A field of KFL1 that is missing.
    missing: bool,
    /// An error of KFL2.
    error: bool,
}

impl Cond {
    fn new(expr: Expr, missing: bool, error: bool) -> Cond {
        let null = expr.can_be_null();
        Cond {
            missing: missing && null,
            error: error && null,
            expr,
        }
    }

    fn total(expr: Expr) -> Cond {
        Cond::new(expr, false, false)
    }

    fn of(all: &[Cond], expr: Expr) -> Cond {
        let (missing, error) = (|c: &Cond| c.missing, |c: &Cond| c.error);
        Cond::new(expr, all.iter().any(missing), all.iter().any(error))
    }
}

/// A value: what different protocols have of it, each null in the rows of the others.
struct Value {
    parts: Vec<(Kind, Expr)>,
    rest: Rest,
}

/// What a value is where all of its parts are null.
enum Rest {
    /// That does not occur.
    Nothing,
    /// A constant: the default of KFL2.
    Const(Kind, Expr),
    /// A field of KFL1 that is missing.
    Missing,
    /// An error.
    Error,
}

impl Value {
    fn one(kind: Kind, expr: Expr) -> Value {
        Value {
            parts: vec![(kind, expr)],
            rest: Rest::Nothing,
        }
    }

    /// The same as one expression, where all parts are of a kind.
    fn single(self) -> Lowered<(Kind, Cond)> {
        let (missing, error) = (
            matches!(self.rest, Rest::Missing),
            matches!(self.rest, Rest::Error),
        );
        let mut all = self.parts;
        if let Rest::Const(kind, expr) = self.rest {
            all.push((kind, expr));
        }
        let Some((kind, _)) = all.first() else {
            return Ok((Kind::Any, Cond::new(Expr::Null, missing, error)));
        };
        let kind = *kind;
        if all.iter().any(|(of, _)| *of != kind) {
            return Err("a field that has another type in other protocols".into());
        }
        let expr = Expr::first(all.into_iter().map(|(_, expr)| expr));
        Ok((kind, Cond::new(expr, missing, error)))
    }
}

/// What a test says of a value of some type.
enum Said {
    /// An expression that is null where the value is.
    So(Expr),
    /// The same for all values.
    Always(bool),
    /// Nothing: an error.
    Never,
}

/// Translates the trees of a filter.
pub(super) struct Lowering<'a> {
    pub(super) env: &'a Env,
    pub(super) lang: Lang,
    pub(super) table: &'a dyn Table,
    /// Levels above what is translated now.
    pub(super) levels: Cell<u32>,
}

impl Lowering<'_> {
    /// An expression that is true exactly where the filter is.
    pub(super) fn where_(&self, node: &Node) -> Lowered<Expr> {
        self.deeper(|| self.where_here(node))
    }

    /// One level down.
    fn deeper<T>(&self, there: impl FnOnce() -> Lowered<T>) -> Lowered<T> {
        let levels = self.levels.get();
        if levels >= MAX_LEVELS {
            return Err("a filter of so many levels".into());
        }
        self.levels.set(levels + 1);
        let found = there();
        self.levels.set(levels);
        found
    }

    fn where_here(&self, node: &Node) -> Lowered<Expr> {
        let expr = match node {
            Node::All(nodes) => Expr::all(self.each(nodes)?),
            Node::Any(nodes) => Expr::any(self.each(nodes)?),
            Node::Group(inner) => self.where_(inner)?,
            Node::Truthy(inner) if inner.is_test() => self.where_(inner)?,
            Node::Chain(nodes, ops) => {
                let Some((last, before)) = nodes.split_last() else {
                    return Ok(Expr::Bool(true));
                };
                let mut rest = self.where_(last)?;
                for (node, op) in before.iter().zip(ops).rev() {
                    let here = self.where_(node)?;
                    rest = match op {
                        Logic::And => Expr::all([here, rest]),
                        // a field that is missing on the left of it ends all
                        Logic::Or => {
                            let answers = self.test(node)?.expr.is_there();
                            Expr::any([here, Expr::all([answers, rest])])
                        }
                    };
                }
                rest
            }
            Node::If(abc) => {
                let no = self.test(&abc.0)?.expr.negated();
                let yes = Expr::all([self.where_(&abc.0)?, self.where_(&abc.1)?]);
                Expr::any([yes, Expr::all([no, self.where_(&abc.2)?])])
            }
            _ => simple(self.test(node)?.expr),
        };
        if expr.size() > MAX_SIZE {
            return Err("a filter of so many parts".into());
        }
        Ok(expr)
    }

    fn each(&self, nodes: &[Node]) -> Lowered<Vec<Expr>> {
        nodes.iter().map(|node| self.where_(node)).collect()
    }

    /// The answer of a test.
    fn test(&self, node: &Node) -> Lowered<Cond> {
        let cond = self.deeper(|| self.answer(node))?;
        if cond.expr.size() > MAX_SIZE {
            return Err("a filter of so many parts".into());
        }
        Ok(cond)
    }

    fn answer(&self, node: &Node) -> Lowered<Cond> {
        Ok(match node {
            Node::Const(Const::Bool(v)) => Cond::total(Expr::Bool(*v)),
            Node::Redact(_) => Cond::total(Expr::Bool(true)),
            Node::Fail(Reason::Missing) => Cond::new(Expr::Null, true, false),
            Node::Fail(_) => Cond::new(Expr::Null, false, true),
            Node::Flag(flag) => Cond::total(self.flag(flag)),
            Node::All(nodes) | Node::Any(nodes) => {
                let all: Vec<_> = nodes.iter().map(|n| self.test(n)).collect::<Lowered<_>>()?;
                let exprs = all.iter().map(|cond| cond.expr.clone());
                let expr = match node {
                    Node::All(_) => Expr::all(exprs),
                    _ => Expr::any(exprs),
                };
                Cond::of(&all, expr)
            }
            Node::Not(inner) => {
                let inner = self.test(inner)?;
                Cond::new(inner.expr.negated(), inner.missing, inner.error)
            }
            Node::If(abc) => {
                let [a, b, c] = [self.test(&abc.0)?, self.test(&abc.1)?, self.test(&abc.2)?];
                let expr = if a.expr.can_be_null() {
                    let no = a.expr.clone().negated();
                    let other = Expr::case(no, c.expr.clone(), Expr::Null);
                    Expr::case(a.expr.clone(), b.expr.clone(), other)
                } else {
                    Expr::case(a.expr.clone(), b.expr.clone(), c.expr.clone())
                };
                Cond::of(&[a, b, c], expr)
            }
            Node::Chain(nodes, ops) => self.chain(nodes, ops)?,
            Node::Group(inner) => {
                let inner = self.test(inner)?;
                match (inner.missing, inner.error) {
                    (false, _) => inner,
                    (true, false) => Cond::total(Expr::first([inner.expr, Expr::Bool(false)])),
                    (true, true) => {
                        return Err("a missing field and an error in the same parentheses".into());
                    }
                }
            }
            Node::Ip(side, ip) => {
                let column = self.column(Column::Ip(*side), || end(*side, "ip"))?;
                let ip = Expr::Text(ip.to_string().into());
                Cond::total(Expr::compare(Comparison::Eq, column, ip))
            }
            Node::InBoth(part, text) => {
                let wanted = Expr::text(writable(text)?);
                let is = |side| -> Lowered<Expr> {
                    let name = self.part(side, *part)?;
                    Ok(Expr::compare(Comparison::Eq, name, wanted.clone()))
                };
                let either = Expr::any([is(Side::Src)?, is(Side::Dst)?]);
                Cond::total(Expr::all([Expr::Bool(!text.is_empty()), either]))
            }
            Node::Int(inner, op, constant) => {
                self.compared(*op, self.value(inner)?, &Const::Int(*constant))?
            }
            Node::Str(inner, text) => {
                self.compared(Op::Eq, self.value(inner)?, &Const::Str(text.clone()))?
            }
            Node::InInts(inner, list) => {
                let list: Vec<_> = list.iter().map(|v| Const::Int(*v)).collect();
                self.among(self.value(inner)?, &list)?
            }
            Node::InStrs(inner, list) => {
                let list: Vec<_> = list.iter().map(|v| Const::Str(v.clone())).collect();
                self.among(self.value(inner)?, &list)?
            }
            Node::Match(inner, test) => on(self.value(inner)?, |kind, expr| match kind {
                Kind::Str => Ok(Said::So(search(test, expr)?)),
                _ => Ok(Said::Never),
            })?,
            Node::Like(inner, test, not) => {
                let found = on(self.value(inner)?, |kind, expr| {
                    Ok(Said::So(search(test, as_text(kind, expr)?)?))
                })?;
                flipped(found, *not)
            }
            Node::Plain(inner, constant, not) => {
                let equal = on(self.value(inner)?, |kind, expr| plain(kind, expr, constant))?;
                flipped(equal, *not)
            }
            Node::Same(ab, not) => {
                let (a, b) = (self.value(&ab.0)?.single()?, self.value(&ab.1)?.single()?);
                flipped(same(a, b)?, *not)
            }
            Node::Order(op, ab) => match (&ab.0, &ab.1) {
                (inner, Node::Const(constant)) => {
                    let how = comparison(*op)?;
                    on(self.value(inner)?, |kind, expr| {
                        numbers(how, kind, expr, constant)
                    })?
                }
                _ => {
                    let (a, b) = (self.value(&ab.0)?.single()?, self.value(&ab.1)?.single()?);
                    let ((Kind::Int, a), (Kind::Int, b)) = (a, b) else {
                        return Err("the order of texts as numbers".into());
                    };
                    let how = comparison(*op)?;
                    let expr = Expr::compare(how, a.expr.clone(), b.expr.clone());
                    Cond::of(&[a, b], expr)
                }
            },
            Node::Text(op, ab) => {
                let (kind, text) = self.value(&ab.0)?.single()?;
                let (of, other) = self.value(&ab.1)?.single()?;
                if other.expr.can_be_null() || text.error {
                    return Err("a text that may be missing".into());
                }
                let (text, other) = (as_text(kind, text.expr)?, as_text(of, other.expr)?);
                let has = Expr::has(*op, text, other).ok_or("the end of a text by a field")?;
                Cond::total(Expr::first([has, Expr::Bool(false)]))
            }
            Node::Truthy(inner) => on(self.value(inner)?, |kind, expr| {
                Ok(Said::So(match kind {
                    Kind::Bool => expr,
                    Kind::Str => Expr::compare(Comparison::Ne, expr, Expr::text("")),
                    Kind::Int => Expr::compare(Comparison::Gt, expr, Expr::Int(0)),
                    Kind::Time => {
                        Expr::compare(Comparison::Gt, Expr::ToNanos(expr.into()), Expr::Int(0))
                    }
                    _ => return Err("the truth of a value of many parts".into()),
                }))
            })?,
            Node::Binary(op, ab) => match (&ab.0, &ab.1) {
                _ if comparison(*op).is_err() => self.by_value(node)?,
                (inner, Node::Const(constant)) => {
                    self.compared(*op, self.value(inner)?, constant)?
                }
                (Node::Const(constant), inner) => {
                    let op = op.mirrored().unwrap_or(*op);
                    self.compared(op, self.value(inner)?, constant)?
                }
                (a, b) => {
                    let (a, b) = (self.value(a)?.single()?, self.value(b)?.single()?);
                    both(comparison(*op)?, a, b)?
                }
            },
            Node::Has(lookup) => match &lookup.holder {
                Node::List(items) => {
                    let consts = items.iter().map(|item| match item {
                        Node::Const(constant) => Ok(constant.clone()),
                        _ => Err("a list of more than constants".into()),
                    });
                    let consts: Vec<_> = consts.collect::<Lowered<_>>()?;
                    self.among(self.value(&lookup.key)?, &consts)?
                }
                holder => return Err(self.inside(holder)),
            },
            Node::Under(lookup) => return Err(self.inside(&lookup.holder)),
            Node::Loop(_) => return Err("a loop over a list".into()),
            _ => self.by_value(node)?,
        })
    }

    /// A value that has to be a truth value.
    fn by_value(&self, node: &Node) -> Lowered<Cond> {
        on(self.value(node)?, |kind, expr| {
            Ok(match kind {
                Kind::Bool => Said::So(expr),
                _ => Said::Never,
            })
        })
    }

    /// `and` and `or` of KFL1, grouped from the right: what is missing on the left ends all.
    fn chain(&self, nodes: &[Node], ops: &[Logic]) -> Lowered<Cond> {
        let Some((last, before)) = nodes.split_last() else {
            return Ok(Cond::total(Expr::Bool(true)));
        };
        let mut rest = self.test(last)?;
        for (node, op) in before.iter().zip(ops).rev() {
            let here = self.test(node)?;
            let a = here.expr.clone();
            let expr = match op {
                Logic::And => {
                    let then = Expr::any([rest.expr.clone(), a.is_null()]);
                    Expr::all([a, then])
                }
                Logic::Or => {
                    let then = Expr::all([rest.expr.clone(), a.is_there()]);
                    Expr::any([a, then])
                }
            };
            rest = Cond::of(&[here, rest], expr);
        }
        Ok(rest)
    }

    fn flag(&self, flag: &Flag) -> Expr {
        let of = |bits: u64| (0..64u8).filter(move |protocol| bits >> protocol & 1 == 1);
        let asked = of(flag.asked & !flag.always);
        Expr::any(
            std::iter::once(self.table.protocols(&of(flag.always).collect::<Vec<_>>()))
                .chain(asked.map(|protocol| self.table.flag(protocol, &flag.name))),
        )
    }

    /// A comparison with a constant, as KFL2 makes it.
    fn compared(&self, op: Op, value: Value, constant: &Const) -> Lowered<Cond> {
        let how = comparison(op)?;
        on(value, |kind, expr| compare(how, kind, expr, constant))
    }

    /// Whether a value is one of a list.
    fn among(&self, value: Value, list: &[Const]) -> Lowered<Cond> {
        on(value, |kind, expr| {
            let mut any = Vec::new();
            for constant in list {
                match compare(Comparison::Eq, kind, expr.clone(), constant)? {
                    Said::So(expr) => any.push(expr),
                    Said::Always(false) => {}
                    Said::Always(true) | Said::Never => {
                        return Err("a list of such values".into());
                    }
                }
            }
            Ok(if any.is_empty() {
                Said::Always(false)
            } else {
                Said::So(Expr::any(any))
            })
        })
    }

    fn value(&self, node: &Node) -> Lowered<Value> {
        self.deeper(|| self.value_here(node))
    }

    fn value_here(&self, node: &Node) -> Lowered<Value> {
        Ok(match node {
            Node::Const(constant) => {
                let (kind, expr) = literal(constant)?;
                Value::one(kind, expr)
            }
            Node::Load(load) => self.load(load)?,
            Node::Fail(Reason::Missing) => Value {
                parts: Vec::new(),
                rest: Rest::Missing,
            },
            Node::Fail(_) => Value {
                parts: Vec::new(),
                rest: Rest::Error,
            },
            Node::Neg(inner) => {
                let (kind, value) = self.value(inner)?.single()?;
                sum(kind, Sum::Sub, Cond::total(Expr::Int(0)), value)?
            }
            Node::Binary(op @ (Op::Add | Op::Sub | Op::Mul), ab) => {
                let (a, b) = (self.value(&ab.0)?.single()?, self.value(&ab.1)?.single()?);
                let of = match op {
                    Op::Add => Sum::Add,
                    Op::Sub => Sum::Sub,
                    _ => Sum::Mul,
                };
                if a.0 != b.0 {
                    return Err("arithmetic of such values".into());
                }
                sum(a.0, of, a.1, b.1)?
            }
            Node::Binary(op @ (Op::Div | Op::Rem), ab) => {
                let (kind, a) = self.value(&ab.0)?.single()?;
                let (Kind::Int, Node::Const(Const::Int(by))) = (kind, &ab.1) else {
                    return Err("a division by what is no whole constant".into());
                };
                if matches!(by, 0 | -1) {
                    return Err(format!("a division by {by}").into());
                }
                let of = Box::new(a.expr);
                let expr = match op {
                    Op::Div => Expr::Quotient(of, *by),
                    _ => Expr::Remainder(of, *by),
                };
                from(kind, Cond::new(expr, a.missing, a.error))
            }
            Node::Call(fun, args) => self.call(*fun, args)?,
            Node::Flip(inner) => {
                let value = self.value(inner)?;
                let flip = |(kind, expr): (Kind, Expr)| match kind {
                    Kind::Bool => (kind, expr.negated()),
                    _ => (kind, expr),
                };
                Value {
                    parts: value.parts.into_iter().map(flip).collect(),
                    rest: match value.rest {
                        Rest::Const(kind, expr) => {
                            let (kind, expr) = flip((kind, expr));
                            Rest::Const(kind, expr)
                        }
                        rest => rest,
                    },
                }
            }
            Node::If(abc) => {
                let a = self.test(&abc.0)?;
                let (b, c) = (self.value(&abc.1)?.single()?, self.value(&abc.2)?.single()?);
                if b.0 != c.0 || a.expr.can_be_null() {
                    return Err("a choice between such values".into());
                }
                let expr = Expr::case(a.expr.clone(), b.1.expr.clone(), c.1.expr.clone());
                from(b.0, Cond::of(&[a, b.1, c.1], expr))
            }
            Node::Group(inner) if !inner.is_test() => {
                let value = self.value(inner)?;
                if matches!(value.rest, Rest::Missing) {
                    return Err("a value in parentheses that may be missing".into());
                }
                value
            }
            Node::Key(lookup) | Node::KeyOr(lookup, _) => return Err(self.inside(&lookup.holder)),
            Node::Document(..) => return Err("what is in a document".into()),
            Node::Local(_) | Node::Loop(_) => return Err("a loop over a list".into()),
            Node::List(_) | Node::Map(_) => return Err("a list or a map".into()),
            Node::Binary(..) => from(Kind::Bool, self.test(node)?),
            node if node.is_test() || matches!(node, Node::Group(_)) => {
                from(Kind::Bool, self.test(node)?)
            }
            _ => return Err("such a value".into()),
        })
    }

    fn call(&self, fun: Fun, args: &[Node]) -> Lowered<Value> {
        let mut values = Vec::new();
        for arg in args {
            values.push(self.value(arg)?.single()?);
        }
        let mut values = values.into_iter();
        let (a, b) = (values.next(), values.next());
        let Some((kind, a)) = a else {
            return Err("such a function".into());
        };
        let (missing, error) = (a.missing, a.error);
        let with = |kind, expr| from(kind, Cond::new(expr, missing, error));
        Ok(match (fun, kind, b) {
            (Fun::Contains | Fun::StartsWith | Fun::EndsWith, Kind::Str, Some((Kind::Str, b))) => {
                let op = match fun {
                    Fun::Contains => TextOp::Contains,
                    Fun::StartsWith => TextOp::StartsWith,
                    _ => TextOp::EndsWith,
                };
                let expr = Expr::has(op, a.expr.clone(), b.expr.clone());
                let expr = expr.ok_or("the end of a text by a field")?;
                from(Kind::Bool, Cond::of(&[a, b], expr))
            }
            (Fun::Size, Kind::Str, None) => with(Kind::Int, Expr::Length(Box::new(a.expr))),
            (Fun::Int, Kind::Int, None)
            | (Fun::Str, Kind::Str, None)
            | (Fun::Bool, Kind::Bool, None)
            | (Fun::Time, Kind::Time, None) => with(kind, a.expr),
            (Fun::Str, Kind::Int | Kind::Bool, None) => with(Kind::Str, as_text(kind, a.expr)?),
            (Fun::Double, Kind::Int, None) => with(Kind::Double, a.expr.to_real()),
            (Fun::Int, Kind::Time, None) => {
                let nanos = Expr::ToNanos(Box::new(a.expr));
                with(Kind::Int, Expr::Floor(Box::new(nanos), 1_000_000_000))
            }
            _ => return Err("such a function".into()),
        })
    }

    fn load(&self, load: &Load) -> Lowered<Value> {
        let name = || self.env.called(load, self.lang).name;
        let total = |expr| Value::one(Kind::Str, Expr::first([expr, Expr::text("")]));
        Ok(match load {
            // every row has both
            Load::Ip(side) => Value::one(Kind::Str, self.column(Column::Ip(*side), name)?),
            Load::Port(side) => Value::one(Kind::Int, self.column(Column::Port(*side), name)?),
            Load::Part(side, part) => total(self.part(*side, *part)?),
            Load::Held { side, part, holder } => {
                let holder = self.part(*side, *holder)?;
                let there = Expr::compare(Comparison::Ne, holder, Expr::text(""));
                let part = Expr::case(there, self.part(*side, *part)?, Expr::Null);
                Value {
                    parts: vec![(Kind::Str, part)],
                    rest: Rest::Missing,
                }
            }
            Load::Both(_) => return Err("a list of both ends' names".into()),
            Load::Tls => {
                let tls = self.column(Column::Tls, name)?;
                Value::one(Kind::Bool, Expr::first([tls, Expr::Bool(false)]))
            }
            Load::Common(field, kind) => Value {
                parts: vec![(*kind, self.column(Column::Common(*field), name)?)],
                rest: default(*kind),
            },
            Load::CommonPath(access) => match (&access.root, &*access.steps) {
                (Root::Common(field), []) => {
                    let column = Column::Common(*field);
                    let kind = kind_of(self.env, column).unwrap_or(Kind::Any);
                    Value {
                        parts: vec![(kind, self.column(column, name)?)],
                        rest: Rest::Missing,
                    }
                }
                _ => return Err(no_column(&name())),
            },
            Load::Own(fields, kind) => {
                let parts = fields.iter().zip(0u8..).filter_map(|(field, protocol)| {
                    let column = Column::Own(protocol, (*field)?);
                    Some(self.column(column, name).map(|expr| (*kind, expr)))
                });
                Value {
                    parts: parts.collect::<Lowered<_>>()?,
                    rest: default(*kind),
                }
            }
            Load::OwnPath(accesses) => {
                let parts = accesses.iter().zip(0u8..).filter_map(|(access, protocol)| {
                    access
                        .as_ref()
                        .map(|access| self.own(protocol, access, &name))
                });
                Value {
                    parts: parts.collect::<Lowered<_>>()?,
                    rest: Rest::Missing,
                }
            }
        })
    }

    /// A field of a protocol.
    fn own(
        &self,
        protocol: u8,
        access: &Access,
        name: &dyn Fn() -> String,
    ) -> Lowered<(Kind, Expr)> {
        let (Root::Own(field), []) = (&access.root, &*access.steps) else {
            return Err(no_column(&name()));
        };
        let column = Column::Own(protocol, *field);
        let kind = kind_of(self.env, column).unwrap_or(Kind::Any);
        Ok((kind, self.column(column, name)?))
    }

    /// A part of an end's name, empty where there is none.
    fn part(&self, side: Side, part: Part) -> Lowered<Expr> {
        let of = |part| self.column(Column::Name(side, part), || end(side, "name"));
        let empty = Expr::text("");
        Ok(match part {
            Part::PodOrService => {
                let pod = Expr::first([of(Part::Pod)?, empty.clone()]);
                let known = Expr::compare(Comparison::Ne, pod.clone(), empty.clone());
                let service = Expr::first([of(Part::Service)?, empty]);
                Expr::case(known, pod, service)
            }
            part => Expr::first([of(part)?, empty]),
        })
    }

    fn column(&self, column: Column, name: impl FnOnce() -> String) -> Lowered<Expr> {
        self.table.column(column).ok_or_else(|| no_column(&name()))
    }

    /// Why what is inside of something can't be said.
    fn inside(&self, holder: &Node) -> Refused {
        match holder {
            Node::Load(load) => no_column(&self.env.called(load, self.lang).name),
            _ => "a part of a list or map".into(),
        }
    }
}

fn no_column(name: &str) -> Refused {
    Refused(format!("the index has no column of `{name}`"))
}

fn end(side: Side, of: &str) -> String {
    match side {
        Side::Src => format!("src.{of}"),
        Side::Dst => format!("dst.{of}"),
    }
}

/// The default of a kind.
fn default(kind: Kind) -> Rest {
    match kind {
        Kind::Bool => Rest::Const(kind, Expr::Bool(false)),
        Kind::Int => Rest::Const(kind, Expr::Int(0)),
        Kind::Str => Rest::Const(kind, Expr::text("")),
        Kind::Time => Rest::Const(kind, Expr::Moment(0)),
        _ => Rest::Error,
    }
}

fn from(kind: Kind, cond: Cond) -> Value {
    Value {
        rest: match (cond.missing, cond.error) {
            (true, _) => Rest::Missing,
            (false, true) => Rest::Error,
            (false, false) => Rest::Nothing,
        },
        parts: vec![(kind, cond.expr)],
    }
}

/// A test on a value.
fn on(value: Value, says: impl Fn(Kind, Expr) -> Lowered<Said>) -> Lowered<Cond> {
    let (missing, error) = (
        matches!(value.rest, Rest::Missing),
        matches!(value.rest, Rest::Error),
    );
    let mut fails = false;
    let mut all = Vec::new();
    for (kind, expr) in value.parts {
        all.push(match says(kind, expr.clone())? {
            Said::So(expr) => expr,
            Said::Always(v) => Expr::case(expr.is_there(), Expr::Bool(v), Expr::Null),
            Said::Never if matches!(value.rest, Rest::Const(..)) => {
                return Err("a test that fails for some protocols".into());
            }
            Said::Never => {
                fails = true;
                Expr::Null
            }
        });
    }
    if let Rest::Const(kind, expr) = value.rest {
        all.push(match says(kind, expr)? {
            Said::So(expr) => expr,
            Said::Always(v) => Expr::Bool(v),
            Said::Never => {
                fails = true;
                Expr::Null
            }
        });
    }
    Ok(Cond::new(Expr::first(all), missing, error || fails))
}

/// The same where only true counts. At most one of the parts of a value is not null, and what they fall back to is a
/// constant.
fn simple(expr: Expr) -> Expr {
    match expr {
        Expr::First(all) if all.last() != Some(&Expr::Bool(true)) => {
            Expr::any(all.into_iter().map(simple))
        }
        Expr::Null => Expr::Bool(false),
        expr => expr,
    }
}

fn flipped(cond: Cond, not: bool) -> Cond {
    Cond {
        expr: if not { cond.expr.negated() } else { cond.expr },
        ..cond
    }
}

fn comparison(op: Op) -> Lowered<Comparison> {
    Comparison::of(op).ok_or_else(|| "such an operator".into())
}

fn literal(constant: &Const) -> Lowered<(Kind, Expr)> {
    Ok(match constant {
        Const::Bool(v) => (Kind::Bool, Expr::Bool(*v)),
        Const::Int(v) => (Kind::Int, Expr::Int(*v)),
        Const::Str(v) => (Kind::Str, Expr::text(writable(v)?)),
        Const::Time(v) => {
            let ns = i64::try_from(v.total()).map_err(|_| "a moment so far away")?;
            (Kind::Time, Expr::Moment(ns))
        }
        _ => return Err("such a constant".into()),
    })
}

/// A text that every engine can write.
fn writable(text: &str) -> Lowered<&str> {
    if text.contains('\0') {
        return Err("a text with a zero byte".into());
    }
    Ok(text)
}

/// How KFL2 compares a value with a constant.
fn compare(how: Comparison, kind: Kind, expr: Expr, constant: &Const) -> Lowered<Said> {
    #[allow(clippy::cast_precision_loss)] // as CEL defines it
    let number = match constant {
        Const::Int(v) => Some((i128::from(*v), *v as f64)),
        Const::UInt(v) => Some((i128::from(*v), *v as f64)),
        _ => None,
    };
    let other = match how {
        Comparison::Eq => Said::Always(false),
        Comparison::Ne => Said::Always(true),
        _ => Said::Never,
    };
    Ok(match (kind, constant, number) {
        (Kind::Int, _, Some((whole, _))) => match i64::try_from(whole) {
            Ok(whole) => Said::So(Expr::compare(how, expr, Expr::Int(whole))),
            // above all that a column can hold
            Err(_) => Said::Always(matches!(
                how,
                Comparison::Ne | Comparison::Lt | Comparison::Le
            )),
        },
        (Kind::Double, _, Some((_, real))) => Said::So(Expr::compare(how, expr, Expr::Real(real))),
        (Kind::Int | Kind::Double, Const::Double(v), _) => {
            if !v.is_finite() {
                return Err("a number that is not finite".into());
            }
            let expr = if kind == Kind::Int {
                expr.to_real()
            } else {
                expr
            };
            Said::So(Expr::compare(how, expr, Expr::Real(*v)))
        }
        (Kind::Str, Const::Str(v), _) => {
            Said::So(Expr::compare(how, expr, Expr::text(writable(v)?)))
        }
        (Kind::Bool, Const::Bool(v), _) => match how {
            Comparison::Eq | Comparison::Ne => {
                let equal = (how == Comparison::Eq) == *v;
                Said::So(if equal { expr } else { expr.negated() })
            }
            _ => return Err("the order of truth values".into()),
        },
        (Kind::Time, Const::Time(v), _) => match i64::try_from(v.total()) {
            Ok(ns) => Said::So(Expr::compare(how, expr, Expr::Moment(ns))),
            Err(_) => return Err("a moment so far away".into()),
        },
        (Kind::Bool | Kind::Int | Kind::Double | Kind::Str | Kind::Time, ..) => other,
        _ => return Err("a value of many parts".into()),
    })
}

/// How KFL2 compares two values.
fn both(how: Comparison, a: (Kind, Cond), b: (Kind, Cond)) -> Lowered<Cond> {
    let ((of, a), (with, b)) = (a, b);
    let (left, right) = match (of, with) {
        (Kind::Int, Kind::Double) => (a.expr.clone().to_real(), b.expr.clone()),
        (Kind::Double, Kind::Int) => (a.expr.clone(), b.expr.clone().to_real()),
        (Kind::Str, Kind::Str) | (Kind::Int, Kind::Int) | (Kind::Time, Kind::Time) => {
            (a.expr.clone(), b.expr.clone())
        }
        (Kind::Bool, Kind::Bool) if matches!(how, Comparison::Eq | Comparison::Ne) => {
            (a.expr.clone(), b.expr.clone())
        }
        _ => return Err("a comparison of such values".into()),
    };
    Ok(Cond::of(&[a, b], Expr::compare(how, left, right)))
}

/// Equality of KFL1 between two fields: of their texts.
fn same(a: (Kind, Cond), b: (Kind, Cond)) -> Lowered<Cond> {
    let (left, right) = if a.0 == b.0 && matches!(a.0, Kind::Int | Kind::Str | Kind::Bool) {
        (a.1.expr.clone(), b.1.expr.clone())
    } else {
        (
            as_text(a.0, a.1.expr.clone())?,
            as_text(b.0, b.1.expr.clone())?,
        )
    };
    let expr = Expr::compare(Comparison::Eq, left, right);
    Ok(Cond::of(&[a.1, b.1], expr))
}

/// Equality of KFL1 with a constant.
fn plain(kind: Kind, expr: Expr, constant: &Plain) -> Lowered<Said> {
    let is = |expr, literal| Said::So(Expr::compare(Comparison::Eq, expr, literal));
    Ok(match kind {
        Kind::Str => is(expr, Expr::text(writable(constant.text_of())?)),
        Kind::Int => match constant.whole() {
            Some(whole) => is(expr, Expr::Int(whole)),
            None => Said::Always(false),
        },
        Kind::Bool => match constant.text_of() {
            "true" => Said::So(expr),
            "false" => Said::So(expr.negated()),
            _ => Said::Always(false),
        },
        Kind::Time => match constant.whole() {
            Some(whole) => is(millis(expr), Expr::Int(whole)),
            None => Said::Always(false),
        },
        _ => return Err("a value of many parts".into()),
    })
}

/// Order of KFL1 with a constant: of numbers.
fn numbers(how: Comparison, kind: Kind, expr: Expr, constant: &Const) -> Lowered<Said> {
    let expr = match kind {
        Kind::Int => expr,
        Kind::Time => millis(expr),
        _ => return Err("the order of texts as numbers".into()),
    };
    match constant {
        Const::Int(_) | Const::UInt(_) | Const::Double(_) => {
            compare(how, Kind::Int, expr, constant)
        }
        _ => Err("the order of texts as numbers".into()),
    }
}

fn millis(time: Expr) -> Expr {
    Expr::Floor(Box::new(Expr::ToNanos(Box::new(time))), 1_000_000)
}

/// The text of a value, as KFL1 has it.
fn as_text(kind: Kind, expr: Expr) -> Lowered<Expr> {
    Ok(match (kind, expr) {
        (Kind::Str, expr) => expr,
        (Kind::Int, expr) => expr.to_text(),
        (Kind::Bool, expr) => {
            let no = Expr::case(expr.clone().negated(), Expr::text("false"), Expr::Null);
            Expr::case(expr, Expr::text("true"), no)
        }
        _ => return Err("the text of such a value".into()),
    })
}

/// A test of a text.
fn search(test: &Test, of: Expr) -> Lowered<Expr> {
    if let Expr::Text(known) = &of {
        return Ok(Expr::Bool(test.holds(known)));
    }
    let (what, operand) = test.told();
    if let Test::Pattern(_) = test {
        let pattern = portable(&operand)?;
        return Ok(Expr::Found(Box::new(of), pattern.into()));
    }
    let other = Expr::text(writable(&operand)?);
    let op = match what {
        "is" => return Ok(Expr::compare(Comparison::Eq, of, other)),
        "startsWith" => TextOp::StartsWith,
        "endsWith" => TextOp::EndsWith,
        _ => TextOp::Contains,
    };
    Expr::has(op, of, other).ok_or_else(|| "the end of a text by a field".into())
}

/// Arithmetic of integers.
fn sum(kind: Kind, of: Sum, a: Cond, b: Cond) -> Lowered<Value> {
    if kind != Kind::Int {
        return Err("arithmetic of other values than integers".into());
    }
    if a.missing || b.missing {
        return Err("arithmetic with a field that may be missing".into());
    }
    let expr = Expr::Calculated(of, Box::new((a.expr, b.expr)));
    Ok(Value {
        parts: vec![(Kind::Int, expr)],
        rest: Rest::Error,
    })
}

/// The type of a column of this kind.
#[must_use]
pub fn type_of(kind: Kind) -> Option<Type> {
    Some(match kind {
        Kind::Bool => Type::Bool,
        Kind::Int | Kind::Duration => Type::Int,
        Kind::Double => Type::Real,
        Kind::Str => Type::Text,
        Kind::Time => Type::Time,
        _ => return None,
    })
}
