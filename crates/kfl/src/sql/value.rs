//! Values of a filter's tree as expressions.

use super::Refused;
use super::expr::{Comparison, Expr, Sum, Type};
use super::lower::{Cond, Lowered, Lowering};
use super::says::{as_text, writable};
use crate::ast::Op;
use crate::predicate::{Access, Const, Fun, Load, Node, Part, Reason, Root, Side, TextOp};
use crate::rows::{Column, error_column, kind_of};
use gillnet_entry::Kind;

/// A value: what different protocols have of it, each null in the rows of the others.
pub(super) struct Value {
    pub(super) parts: Vec<(Kind, Expr)>,
    pub(super) rest: Rest,
}

/// What a value is where all of its parts are null.
pub(super) enum Rest {
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
    pub(super) fn one(kind: Kind, expr: Expr) -> Value {
        Value {
            parts: vec![(kind, expr)],
            rest: Rest::Nothing,
        }
    }

    /// The same as one expression, where all parts are of a kind.
    pub(super) fn single(self) -> Lowered<(Kind, Cond)> {
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

impl Lowering<'_> {
    pub(super) fn value(&self, node: &Node) -> Lowered<Value> {
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
        if fun == Fun::Recorded {
            return match args {
                [_, Node::Const(Const::Str(name))] if self.recording == Some(name) => {
                    let is = self.table.recording(writable(name)?);
                    Ok(from(Kind::Bool, Cond::total(is)))
                }
                _ => Err("more of recordings than one that an entry must be in".into()),
            };
        }
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
                _ if let Some(column) = error_column(access) => Value {
                    parts: vec![(Kind::Str, self.column(column, name)?)],
                    rest: Rest::Missing,
                },
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
    pub(super) fn part(&self, side: Side, part: Part) -> Lowered<Expr> {
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

    pub(super) fn column(&self, column: Column, name: impl FnOnce() -> String) -> Lowered<Expr> {
        self.table.column(column).ok_or_else(|| no_column(&name()))
    }

    /// Why what is inside of something can't be said.
    pub(super) fn inside(&self, holder: &Node) -> Refused {
        match holder {
            Node::Load(load) => no_column(&self.env.called(load, self.lang).name),
            _ => "a part of a list or map".into(),
        }
    }
}

fn no_column(name: &str) -> Refused {
    Refused(format!("the index has no column of `{name}`"))
}

pub(super) fn end(side: Side, of: &str) -> String {
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
