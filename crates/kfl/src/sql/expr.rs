//! Expressions that every engine can say. NULL is what has no answer: a field that is not there, or an error.

use crate::ast::Op;
use crate::predicate::TextOp;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// 64-bit integer.
    Int,
    /// Floating-point number.
    Real,
    /// Truth value.
    Bool,
    /// Text.
    Text,
    /// A moment, to the nanosecond.
    Time,
}

/// An expression. Its constructors compute what is constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// No answer.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A finite number.
    Real(f64),
    /// Text.
    Text(Box<str>),
    /// A moment in ns since the epoch.
    Moment(i64),
    /// A column of the table.
    Column(Box<str>, Type),
    /// Who recorded a row: the name of its file without the number, `<node>_<run>`.
    Recorder,
    /// All hold.
    And(Vec<Expr>),
    /// Any holds.
    Or(Vec<Expr>),
    /// The opposite.
    Not(Box<Expr>),
    /// Whether there is no value.
    IsNull(Box<Expr>),
    /// How two values of a type compare.
    Compare(Comparison, Box<(Expr, Expr)>),
    /// Whether a column that is never null has one of these texts.
    OneOf(Box<Expr>, Vec<Box<str>>),
    /// The first that is not null.
    First(Vec<Expr>),
    /// The value behind the first condition that holds, else the last.
    Case(Vec<(Expr, Expr)>, Box<Expr>),
    /// Whether a text contains, begins or ends with another.
    Has(Part, Box<(Expr, Expr)>),
    /// Whether a text ends with one of so many characters.
    EndsWith(Box<Expr>, Box<str>),
    /// Whether a pattern is found in a text. The pattern is one of [`super::pattern`]'s.
    Found(Box<Expr>, Box<str>),
    /// Arithmetic of integers; null where 64 bits do not hold the result.
    Calculated(Sum, Box<(Expr, Expr)>),
    /// An integer divided by a constant, cut towards zero.
    Quotient(Box<Expr>, i64),
    /// What is left of it, with the sign of the integer.
    Remainder(Box<Expr>, i64),
    /// An integer divided by a constant above zero, cut towards the past.
    Floor(Box<Expr>, i64),
    /// An integer as text in base 10.
    ToText(Box<Expr>),
    /// An integer as a floating-point number.
    ToReal(Box<Expr>),
    /// A moment in ns since the epoch.
    ToNanos(Box<Expr>),
    /// Number of characters.
    Length(Box<Expr>),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less, or equal.
    Le,
    /// More.
    Gt,
    /// More, or equal.
    Ge,
}

impl Comparison {
    pub(super) fn of(op: Op) -> Option<Comparison> {
        Some(match op {
            Op::Eq => Comparison::Eq,
            Op::Ne => Comparison::Ne,
            Op::Lt => Comparison::Lt,
            Op::Le => Comparison::Le,
            Op::Gt => Comparison::Gt,
            Op::Ge => Comparison::Ge,
            _ => return None,
        })
    }

    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Eq => order.is_eq(),
            Comparison::Ne => order.is_ne(),
            Comparison::Lt => order.is_lt(),
            Comparison::Le => order.is_le(),
            Comparison::Gt => order.is_gt(),
            Comparison::Ge => order.is_ge(),
        }
    }

    /// What holds where this does not.
    fn negated(self) -> Comparison {
        match self {
            Comparison::Eq => Comparison::Ne,
            Comparison::Ne => Comparison::Eq,
            Comparison::Lt => Comparison::Ge,
            Comparison::Le => Comparison::Gt,
            Comparison::Gt => Comparison::Le,
            Comparison::Ge => Comparison::Lt,
        }
    }

    /// As every engine writes it.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Comparison::Eq => "=",
            Comparison::Ne => "<>",
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
        }
    }
}

/// Where in a text another is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Anywhere.
    Anywhere,
    /// At its beginning.
    Start,
}

/// Arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
}

impl Expr {
    /// A column.
    #[must_use]
    pub fn column(name: &str, of: Type) -> Expr {
        Expr::Column(name.into(), of)
    }

    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Expr {
        Expr::Text(text.into())
    }

    /// All of them; one that is false is enough.
    #[must_use]
    pub fn all(of: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::joined(of, true)
    }

    /// Any of them; one that is true is enough.
    #[must_use]
    pub fn any(of: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::joined(of, false)
    }

    fn joined(of: impl IntoIterator<Item = Expr>, all: bool) -> Expr {
        let mut left = Vec::new();
        for expr in of {
            match expr {
                Expr::Bool(v) if v == all => {}
                Expr::Bool(v) => return Expr::Bool(v),
                Expr::And(more) if all => left.extend(more),
                Expr::Or(more) if !all => left.extend(more),
                Expr::OneOf(column, more) if !all => match left.last_mut() {
                    Some(Expr::OneOf(other, texts)) if *other == column => texts.extend(more),
                    _ => left.push(Expr::OneOf(column, more)),
                },
                expr => left.push(expr),
            }
        }
        match (left.pop(), left.is_empty()) {
            (None, _) => Expr::Bool(all),
            (Some(only), true) => only,
            (Some(last), false) => {
                left.push(last);
                if all { Expr::And(left) } else { Expr::Or(left) }
            }
        }
    }

    /// The opposite; null stays null.
    #[must_use]
    pub fn negated(self) -> Expr {
        match self {
            Expr::Bool(v) => Expr::Bool(!v),
            Expr::Null => Expr::Null,
            Expr::Not(inner) => *inner,
            Expr::Compare(how, ab) => Expr::Compare(how.negated(), ab),
            expr => Expr::Not(Box::new(expr)),
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> Expr {
        match self {
            Expr::Null => Expr::Bool(true),
            _ if !self.can_be_null() => Expr::Bool(false),
            Expr::Not(a)
            | Expr::EndsWith(a, _)
            | Expr::Found(a, _)
            | Expr::Quotient(a, _)
            | Expr::Remainder(a, _)
            | Expr::Floor(a, _)
            | Expr::ToText(a)
            | Expr::ToReal(a)
            | Expr::ToNanos(a)
            | Expr::Length(a) => a.is_null(),
            Expr::Compare(_, ab) | Expr::Has(_, ab) => Expr::any([ab.0.is_null(), ab.1.is_null()]),
            Expr::First(all) => Expr::all(all.iter().map(Expr::is_null)),
            _ => Expr::IsNull(Box::new(self.clone())),
        }
    }

    /// Whether it has a value.
    #[must_use]
    pub fn is_there(&self) -> Expr {
        self.is_null().negated()
    }

    /// Compares two values of a type.
    #[must_use]
    pub fn compare(how: Comparison, a: Expr, b: Expr) -> Expr {
        let order = match (&a, &b) {
            (Expr::Null, _) | (_, Expr::Null) => return Expr::Null,
            (Expr::Int(a), Expr::Int(b)) | (Expr::Moment(a), Expr::Moment(b)) => Some(a.cmp(b)),
            (Expr::Text(a), Expr::Text(b)) => Some(a.cmp(b)),
            (Expr::Real(a), Expr::Real(b)) => a.partial_cmp(b),
            (Expr::Bool(a), Expr::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        };
        match (order, how, &a, &b) {
            (Some(order), ..) => Expr::Bool(how.holds(order)),
            (None, Comparison::Eq, _, Expr::Bool(true)) => a,
            (None, Comparison::Eq, _, Expr::Bool(false)) => a.negated(),
            _ => Expr::Compare(how, Box::new((a, b))),
        }
    }

    /// The first that is not null.
    #[must_use]
    pub fn first(of: impl IntoIterator<Item = Expr>) -> Expr {
        let mut left = Vec::new();
        for expr in of {
            match expr {
                Expr::Null => continue,
                Expr::First(more) => left.extend(more),
                expr => left.push(expr),
            }
            if left.last().is_some_and(|last| !last.can_be_null()) {
                break;
            }
        }
        match (left.pop(), left.is_empty()) {
            (None, _) => Expr::Null,
            (Some(only), true) => only,
            (Some(last), false) => {
                left.push(last);
                Expr::First(left)
            }
        }
    }

    /// A value where a condition holds, else another.
    #[must_use]
    pub fn case(condition: Expr, value: Expr, other: Expr) -> Expr {
        match condition {
            Expr::Bool(true) => value,
            Expr::Bool(false) | Expr::Null => other,
            condition => Expr::Case(vec![(condition, value)], Box::new(other)),
        }
    }

    /// An integer as text.
    #[must_use]
    pub fn to_text(self) -> Expr {
        match self {
            Expr::Int(v) => Expr::Text(v.to_string().into()),
            Expr::Null => Expr::Null,
            expr => Expr::ToText(Box::new(expr)),
        }
    }

    /// An integer as a floating-point number.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // as CEL defines it
    pub fn to_real(self) -> Expr {
        match self {
            Expr::Int(v) => Expr::Real(v as f64),
            Expr::Null => Expr::Null,
            expr => Expr::ToReal(Box::new(expr)),
        }
    }

    /// Whether a text contains another, begins or ends with it; `None` where not every engine can say it.
    pub(super) fn has(op: TextOp, text: Expr, other: Expr) -> Option<Expr> {
        if let (Expr::Text(text), Expr::Text(other)) = (&text, &other) {
            return Some(Expr::Bool(match op {
                TextOp::Contains => text.contains(&**other),
                TextOp::StartsWith => text.starts_with(&**other),
                TextOp::EndsWith => text.ends_with(&**other),
            }));
        }
        Some(match (op, other) {
            (_, Expr::Text(other)) if other.is_empty() => {
                Expr::case(text.is_there(), Expr::Bool(true), Expr::Null)
            }
            (TextOp::EndsWith, Expr::Text(other)) => Expr::EndsWith(Box::new(text), other),
            (TextOp::EndsWith, _) => return None,
            (TextOp::Contains, other) => Expr::Has(Part::Anywhere, Box::new((text, other))),
            (TextOp::StartsWith, other) => Expr::Has(Part::Start, Box::new((text, other))),
        })
    }

    /// Whether it can be null.
    #[must_use]
    pub fn can_be_null(&self) -> bool {
        match self {
            Expr::Bool(_)
            | Expr::Int(_)
            | Expr::Real(_)
            | Expr::Text(_)
            | Expr::Moment(_)
            | Expr::Recorder
            | Expr::IsNull(_)
            | Expr::OneOf(..) => false,
            Expr::Null | Expr::Column(..) | Expr::Calculated(..) => true,
            Expr::And(all) | Expr::Or(all) => all.iter().any(Expr::can_be_null),
            Expr::First(all) => all.iter().all(Expr::can_be_null),
            Expr::Compare(_, ab) | Expr::Has(_, ab) => ab.0.can_be_null() || ab.1.can_be_null(),
            Expr::Case(cases, other) => {
                other.can_be_null() || cases.iter().any(|(_, value)| value.can_be_null())
            }
            Expr::Not(a)
            | Expr::EndsWith(a, _)
            | Expr::Found(a, _)
            | Expr::Quotient(a, _)
            | Expr::Remainder(a, _)
            | Expr::Floor(a, _)
            | Expr::ToText(a)
            | Expr::ToReal(a)
            | Expr::ToNanos(a)
            | Expr::Length(a) => a.can_be_null(),
        }
    }

    /// How many parts it has, itself included.
    pub(super) fn size(&self) -> usize {
        let mut size = match self {
            Expr::OneOf(_, texts) => texts.len(),
            _ => 1,
        };
        self.each(&mut |part| size += part.size());
        size
    }

    /// Shows the columns that it reads, some more than once.
    pub fn columns(&self, see: &mut dyn FnMut(&str, Type)) {
        if let Expr::Column(name, of) = self {
            see(name, *of);
        }
        self.each(&mut |part| part.columns(see));
    }

    /// Calls `see` on its operands.
    fn each(&self, see: &mut dyn FnMut(&Expr)) {
        match self {
            Expr::Null
            | Expr::Bool(_)
            | Expr::Int(_)
            | Expr::Real(_)
            | Expr::Text(_)
            | Expr::Moment(_)
            | Expr::Column(..)
            | Expr::Recorder => {}
            Expr::And(all) | Expr::Or(all) | Expr::First(all) => all.iter().for_each(see),
            Expr::Compare(_, ab) | Expr::Has(_, ab) | Expr::Calculated(_, ab) => {
                see(&ab.0);
                see(&ab.1);
            }
            Expr::Case(cases, other) => {
                for (condition, value) in cases {
                    see(condition);
                    see(value);
                }
                see(other);
            }
            Expr::Not(a)
            | Expr::IsNull(a)
            | Expr::OneOf(a, _)
            | Expr::EndsWith(a, _)
            | Expr::Found(a, _)
            | Expr::Quotient(a, _)
            | Expr::Remainder(a, _)
            | Expr::Floor(a, _)
            | Expr::ToText(a)
            | Expr::ToReal(a)
            | Expr::ToNanos(a)
            | Expr::Length(a) => see(a),
        }
    }
}
