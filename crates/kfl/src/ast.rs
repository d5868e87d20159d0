//! The tree that both spellings are read into.

/// A range of the text, as byte offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// From the start of this to the end of another.
    #[must_use]
    pub fn to(self, end: Span) -> Span {
        Span {
            start: self.start,
            end: end.end.max(self.end),
        }
    }
}

/// Levels of nesting that are taken; more is an error, so that no text can exhaust the stack.
pub(crate) const MAX_DEPTH: u16 = 128;

/// Bytes of a filter that are taken.
pub(crate) const MAX_LENGTH: usize = 64 * 1024;

/// An expression and its place.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// Levels below this one: bounded by [`MAX_DEPTH`] while parsing, so that every walk may recurse.
    pub(crate) height: u16,
}

/// A name and its place.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: Box<str>,
    pub(crate) span: Span,
}

/// Operators of two operands, but for the logical ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl Op {
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Op::Eq => "==",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::In => "in",
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::Div => "/",
            Op::Rem => "%",
        }
    }

    /// The operator with its operands exchanged, where there is one.
    pub(crate) const fn mirrored(self) -> Option<Op> {
        Some(match self {
            Op::Eq => Op::Eq,
            Op::Ne => Op::Ne,
            Op::Lt => Op::Gt,
            Op::Le => Op::Ge,
            Op::Gt => Op::Lt,
            Op::Ge => Op::Le,
            _ => return None,
        })
    }
}

/// A logical operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
}

/// An argument of a call; KFL1 may name it.
#[derive(Clone, Debug)]
pub(crate) struct Arg {
    pub(crate) name: Option<Word>,
    pub(crate) value: Expr,
}

/// Kinds of expressions.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// `null`, in KFL1 `nil`.
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    /// Text. Raw (`r"…"`) is a pattern where KFL1 compares.
    Str {
        text: Box<str>,
        raw: bool,
    },
    Bytes(Box<[u8]>),
    /// A name that stands alone or begins a path.
    Ident(Box<str>),
    /// `a.b`
    Select(Box<Expr>, Word),
    /// `a[b]`
    Index(Box<Expr>, Box<Expr>),
    /// `a.*` (KFL1)
    Wild(Box<Expr>),
    /// `a..b` (KFL1)
    Deep(Box<Expr>, Word),
    /// `f(…)`, `a.f(…)`
    Call {
        target: Option<Box<Expr>>,
        name: Word,
        args: Vec<Arg>,
    },
    Not(Box<Expr>),
    Neg(Box<Expr>),
    Binary(Op, Box<(Expr, Expr)>),
    /// Terms joined by logical operators, one fewer than terms. KFL2: all the same. KFL1: any, grouped from the right.
    Chain(Vec<Expr>, Vec<Logic>),
    /// `a ? b : c`
    If(Box<(Expr, Expr, Expr)>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// Parentheses: in KFL1 they hold a missing field in.
    Group(Box<Expr>),
}

impl Kind {
    /// Levels of the highest operand.
    fn below(&self) -> u16 {
        let most = |all: &mut dyn Iterator<Item = &Expr>| all.map(|e| e.height).max().unwrap_or(0);
        match self {
            Kind::Null
            | Kind::Bool(_)
            | Kind::Int(_)
            | Kind::UInt(_)
            | Kind::Double(_)
            | Kind::Str { .. }
            | Kind::Bytes(_)
            | Kind::Ident(_) => 0,
            Kind::Select(a, _)
            | Kind::Wild(a)
            | Kind::Deep(a, _)
            | Kind::Not(a)
            | Kind::Neg(a)
            | Kind::Group(a) => a.height,
            Kind::Index(a, b) => a.height.max(b.height),
            Kind::Binary(_, ab) => ab.0.height.max(ab.1.height),
            Kind::If(abc) => abc.0.height.max(abc.1.height).max(abc.2.height),
            Kind::Chain(terms, _) | Kind::List(terms) => most(&mut terms.iter()),
            Kind::Map(pairs) => most(&mut pairs.iter().flat_map(|(k, v)| [k, v])),
            Kind::Call { target, args, .. } => most(
                &mut target
                    .iter()
                    .map(|t| &**t)
                    .chain(args.iter().map(|a| &a.value)),
            ),
        }
    }
}

impl Expr {
    /// An expression, or `None` where it nests deeper than is taken.
    pub(crate) fn new(kind: Kind, span: Span) -> Option<Expr> {
        let height = kind.below() + 1;
        (height <= MAX_DEPTH).then_some(Expr { kind, span, height })
    }

    /// The dotted name this expression is, if it is nothing but one: its words from left to right.
    pub(crate) fn dotted(&self) -> Option<Vec<&str>> {
        let mut words = Vec::new();
        let mut at = self;
        loop {
            match &at.kind {
                Kind::Select(operand, word) => {
                    words.push(&*word.text);
                    at = operand;
                }
                Kind::Ident(name) => {
                    words.push(name);
                    words.reverse();
                    return Some(words);
                }
                _ => return None,
            }
        }
    }

    /// Calls `see` on this expression and all below it.
    pub(crate) fn walk<'e>(&'e self, see: &mut dyn FnMut(&'e Expr)) {
        see(self);
        match &self.kind {
            Kind::Select(a, _)
            | Kind::Wild(a)
            | Kind::Deep(a, _)
            | Kind::Not(a)
            | Kind::Neg(a)
            | Kind::Group(a) => a.walk(see),
            Kind::Index(a, b) => {
                a.walk(see);
                b.walk(see);
            }
            Kind::Binary(_, ab) => {
                ab.0.walk(see);
                ab.1.walk(see);
            }
            Kind::If(abc) => {
                abc.0.walk(see);
                abc.1.walk(see);
                abc.2.walk(see);
            }
            Kind::Chain(terms, _) | Kind::List(terms) => terms.iter().for_each(|t| t.walk(see)),
            Kind::Map(pairs) => pairs.iter().for_each(|(k, v)| {
                k.walk(see);
                v.walk(see);
            }),
            Kind::Call { target, args, .. } => {
                if let Some(target) = target {
                    target.walk(see);
                }
                args.iter().for_each(|a| a.value.walk(see));
            }
            _ => {}
        }
    }
}
