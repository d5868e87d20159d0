//! From a filter's tree to an expression.
//!
//! A filter has three answers: true, false, and none, where a field is missing (KFL1) or something is an error (KFL2). No
//! answer is NULL. Then `&&`, `||` and `!` of KFL2 are what AND, OR and NOT are in SQL; `and` and `or` of KFL1, which a
//! missing field ends, need more. Where only a true answer counts, much falls away ([`Lowering::where_`]).

use super::expr::{Comparison, Expr};
use super::says::{Said, as_text, both, compare, numbers, on, plain, same, search, writable};
use super::value::{Value, end};
use super::{Refused, Table};
use crate::ast::{Logic, Op};
use crate::check::Env;
use crate::lang::Lang;
use crate::predicate::{Const, Flag, Node, Reason, Side};
use crate::rows::Column;
use gillnet_entry::Kind;
use std::cell::Cell;

/// Parts that an expression has at most: engines have limits too.
const MAX_SIZE: usize = 4000;

/// Levels that a filter has at most: its tree is walked on the stack, here and by engines.
const MAX_LEVELS: u32 = 80;

pub(super) type Lowered<T> = Result<T, Refused>;

/// A condition, and what NULL means in it.
pub(super) struct Cond {
    pub(super) expr: Expr,
    /// A field of KFL1 that is missing.
    pub(super) missing: bool,
    /// An error of KFL2.
    pub(super) error: bool,
}

impl Cond {
    pub(super) fn new(expr: Expr, missing: bool, error: bool) -> Cond {
        let null = expr.can_be_null();
        Cond {
            missing: missing && null,
            error: error && null,
            expr,
        }
    }

    pub(super) fn total(expr: Expr) -> Cond {
        Cond::new(expr, false, false)
    }

    pub(super) fn of(all: &[Cond], expr: Expr) -> Cond {
        let (missing, error) = (|c: &Cond| c.missing, |c: &Cond| c.error);
        Cond::new(expr, all.iter().any(missing), all.iter().any(error))
    }
}

/// Translates the trees of a filter.
pub(super) struct Lowering<'a> {
    pub(super) env: &'a Env,
    pub(super) lang: Lang,
    pub(super) table: &'a dyn Table,
    /// The recording that an entry must be in, where that is all that is asked of recordings.
    pub(super) recording: Option<&'a str>,
    /// Levels above what is translated now.
    pub(super) levels: Cell<u32>,
}

impl Lowering<'_> {
    /// An expression that is true exactly where the filter is.
    pub(super) fn where_(&self, node: &Node) -> Lowered<Expr> {
        self.deeper(|| self.where_here(node))
    }

    /// One level down.
    pub(super) fn deeper<T>(&self, there: impl FnOnce() -> Lowered<T>) -> Lowered<T> {
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
    pub(super) fn test(&self, node: &Node) -> Lowered<Cond> {
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
