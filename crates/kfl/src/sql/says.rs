//! What tests say of values.

use super::expr::{Comparison, Expr};
use super::lower::{Cond, Lowered};
use super::pattern::portable;
use super::value::{Rest, Value};
use crate::predicate::{Const, Plain, Test, TextOp};
use gillnet_entry::Kind;

/// What a test says of a value of some type.
pub(super) enum Said {
    /// An expression that is null where the value is.
    So(Expr),
    /// The same for all values.
    Always(bool),
    /// Nothing: an error.
    Never,
}

/// A test on a value.
pub(super) fn on(value: Value, says: impl Fn(Kind, Expr) -> Lowered<Said>) -> Lowered<Cond> {
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

/// A text that every engine can write.
pub(super) fn writable(text: &str) -> Lowered<&str> {
    if text.contains('\0') {
        return Err("a text with a zero byte".into());
    }
    Ok(text)
}

/// How KFL2 compares a value with a constant.
pub(super) fn compare(how: Comparison, kind: Kind, expr: Expr, constant: &Const) -> Lowered<Said> {
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
pub(super) fn both(how: Comparison, a: (Kind, Cond), b: (Kind, Cond)) -> Lowered<Cond> {
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
pub(super) fn same(a: (Kind, Cond), b: (Kind, Cond)) -> Lowered<Cond> {
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
pub(super) fn plain(kind: Kind, expr: Expr, constant: &Plain) -> Lowered<Said> {
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
pub(super) fn numbers(how: Comparison, kind: Kind, expr: Expr, constant: &Const) -> Lowered<Said> {
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
pub(super) fn as_text(kind: Kind, expr: Expr) -> Lowered<Expr> {
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
pub(super) fn search(test: &Test, of: Expr) -> Lowered<Expr> {
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
