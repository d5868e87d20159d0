//! The canonical text of a filter: one blank, one kind of quotes, parentheses where they are needed or spare a surprise.
//!
//! The text keeps its spelling and its answers. Numbers and escapes stay as they are written.

use crate::ast::{Arg, Expr, Kind, Logic, Op, Span, Word};
use crate::check::Env;
use crate::error::{Errors, Fault};
use crate::lang::{Lang, Options, Reading, read};
use crate::lexer::{Dialect, TokenKind, inside, lex};
use crate::{kfl1, kfl2};

/// Formats a filter. Comments stay between the terms of the filter and around them.
///
/// # Errors
/// What is wrong with the filter, or a comment inside a term, which has no place in the canonical text.
pub fn format(env: &Env, text: &str, options: &Options) -> Result<String, Errors> {
    let Reading { lang, lowered, .. } = read(env, text, options);
    if !lowered.faults.is_empty() {
        return Err(Errors::of(lang, lowered.faults, text));
    }
    let formatted =
        written(env, text, lang).map_err(|fault| Errors::of(lang, vec![fault], text))?;
    // where what made it KFL1 was but the way it was written, it stays as it is
    let again = read(env, &formatted, options);
    if again.lang == lang && again.lowered.faults.is_empty() {
        Ok(formatted)
    } else {
        Ok(text.trim().into())
    }
}

fn written(env: &Env, text: &str, lang: Lang) -> Result<String, Fault> {
    let (dialect, tree) = match lang {
        Lang::Kfl1 => (Dialect::Kfl1, kfl1::parse(text)),
        _ => (Dialect::Kfl2, kfl2::parse(text)),
    };
    let writer = Writer { env, text, dialect };
    let pieces = match tree.map_err(|fault| *fault)? {
        Some(tree) => writer.pieces(bare(&tree)),
        None => Vec::new(),
    };
    writer.lines(&pieces)
}

/// A term of the whole filter, its operator before it.
struct Piece {
    text: String,
    span: Span,
}

/// The expression inside parentheses.
fn bare(e: &Expr) -> &Expr {
    match &e.kind {
        Kind::Group(inner) => bare(inner),
        _ => e,
    }
}

/// Binding powers of KFL2, loosest first.
mod power {
    pub(super) const CHOICE: u8 = 0;
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const RELATION: u8 = 3;
    pub(super) const SUM: u8 = 4;
    pub(super) const PRODUCT: u8 = 5;
    pub(super) const UNARY: u8 = 6;
    pub(super) const MEMBER: u8 = 7;
}

struct Writer<'e> {
    env: &'e Env,
    text: &'e str,
    dialect: Dialect,
}

impl Writer<'_> {
    /// The terms of the whole filter.
    fn pieces(&self, tree: &Expr) -> Vec<Piece> {
        let Kind::Chain(..) = &tree.kind else {
            return vec![Piece {
                text: self.expr(tree, power::CHOICE),
                span: tree.span,
            }];
        };
        if self.dialect == Dialect::Kfl1 {
            return self.terms_kfl1(tree);
        }
        let (mut terms, logic) = (Vec::new(), logic_of(tree));
        flatten(tree, logic, &mut terms);
        let piece = |(i, term): (usize, &&Expr)| Piece {
            text: match (i, logic) {
                (0, _) => self.expr(term, inner_power(logic)),
                (_, Some(Logic::And)) => format!("&& {}", self.expr(term, inner_power(logic))),
                _ => format!("|| {}", self.expr(term, inner_power(logic))),
            },
            span: term.span,
        };
        terms.iter().enumerate().map(piece).collect()
    }

    /// Pieces and comments as lines: one, unless there are comments between the pieces.
    fn lines(&self, pieces: &[Piece]) -> Result<String, Fault> {
        let tokens = lex(self.text, self.dialect);
        let comments: Vec<Span> = tokens
            .iter()
            .filter(|t| t.kind == TokenKind::Comment)
            .map(|t| t.span)
            .collect();
        let within = |c: &&Span| {
            pieces
                .iter()
                .any(|p| p.span.start < c.start && c.end <= p.span.end)
        };
        if let Some(comment) = comments.iter().find(within) {
            let fault = Fault::syntax(
                *comment,
                "a comment inside a term has no place in the formatted text",
            );
            return Err(fault.hint("move it before or behind the term"));
        }
        let first = pieces.first().map_or(0, |p| p.span.start);
        let last = pieces.last().map_or(0, |p| p.span.start);
        let apart = comments.iter().any(|c| first < c.start && c.start < last);
        let mut lines = Lines::default();
        let mut rest = comments.iter().peekable();
        for piece in pieces {
            while let Some(comment) = rest.next_if(|c| c.start < piece.span.start) {
                self.comment(*comment, &mut lines);
            }
            lines.piece(&piece.text, apart);
        }
        rest.for_each(|comment| self.comment(*comment, &mut lines));
        Ok(lines.lines.join("\n"))
    }

    /// A comment stays behind what stands before it on its line.
    fn comment(&self, span: Span, lines: &mut Lines) {
        let start = span.start as usize;
        let before = self.text.get(..start).unwrap_or("");
        let line = before.rsplit('\n').next().unwrap_or("");
        let text = self.source(span).trim_end();
        lines.comment(text, !line.trim().is_empty());
    }

    fn source(&self, span: Span) -> &str {
        self.text.get(std::ops::Range::from(span)).unwrap_or("")
    }

    /// An expression, in parentheses where it binds less than is needed.
    fn expr(&self, e: &Expr, needed: u8) -> String {
        if self.dialect == Dialect::Kfl1 {
            return self.kfl1(e);
        }
        let e = bare(e);
        let text = self.kfl2(e);
        if power_of(e) < needed {
            format!("({text})")
        } else {
            text
        }
    }

    fn kfl2(&self, e: &Expr) -> String {
        match &e.kind {
            Kind::Chain(..) => joined(&self.pieces(e)),
            Kind::If(abc) => {
                let condition = self.expr(&abc.0, power::OR);
                let yes = self.expr(&abc.1, power::OR);
                format!("{condition} ? {yes} : {}", self.expr(&abc.2, power::CHOICE))
            }
            Kind::Binary(op, ab) => {
                let own = power_of(e);
                // relations side by side are read from the left, which few expect
                let left = if own == power::RELATION { own + 1 } else { own };
                let operand = |e: &Expr, needed| {
                    // a pattern in parentheses is none in KFL1, and so no sign of it
                    let raw = matches!(bare(e).kind, Kind::Str { raw: true, .. });
                    let grouped = matches!(e.kind, Kind::Group(_));
                    let text = self.expr(e, needed);
                    if raw && grouped && matches!(op, Op::Eq | Op::Ne) {
                        format!("({text})")
                    } else {
                        text
                    }
                };
                let (a, b) = (operand(&ab.0, left), operand(&ab.1, own + 1));
                format!("{a} {} {b}", op.sign())
            }
            Kind::Not(inner) => format!("!{}", self.expr(inner, power::UNARY)),
            Kind::Neg(inner) => {
                let text = self.expr(inner, power::UNARY);
                // `-5` is a number, `-(5)` an operation
                if text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                    format!("-({text})")
                } else {
                    format!("-{text}")
                }
            }
            Kind::Select(holder, word) => {
                // a name in parentheses is whole; without them the word may be a part of it
                let grouped =
                    matches!(holder.kind, Kind::Group(_)) && bare(holder).dotted().is_some();
                let text = self.expr(holder, power::MEMBER);
                if grouped {
                    format!("({text}).{}", self.word(word))
                } else {
                    format!("{text}.{}", self.word(word))
                }
            }
            _ => self.common(e),
        }
    }

    /// KFL1 keeps parentheses, since they hold a missing field in, but for those around what cannot be missing.
    fn kfl1(&self, e: &Expr) -> String {
        match &e.kind {
            Kind::Group(_) => {
                let inner = bare(e);
                match &inner.kind {
                    Kind::Chain(..) => format!("({})", joined(&self.terms_kfl1(inner))),
                    _ if self.is_solid(inner) => self.kfl1(inner),
                    _ => format!("({})", self.kfl1(inner)),
                }
            }
            // in an argument: nothing around it holds a missing field in, so it stays as it is
            Kind::Chain(terms, ops) => {
                let mut text = String::new();
                for (i, term) in terms.iter().enumerate() {
                    if let Some(op) = i.checked_sub(1).and_then(|i| ops.get(i)) {
                        text.push_str(word_of(*op));
                    }
                    text.push_str(&self.kfl1(term));
                }
                text
            }
            Kind::Binary(op, ab) => {
                format!("{} {} {}", self.kfl1(&ab.0), op.sign(), self.kfl1(&ab.1))
            }
            Kind::Not(inner) => format!("!{}", self.kfl1(inner)),
            Kind::Neg(inner) => format!("-{}", self.kfl1(inner)),
            Kind::Wild(holder) => format!("{}.*", self.kfl1(holder)),
            Kind::Deep(holder, word) => format!("{}..{}", self.kfl1(holder), word.text),
            Kind::Select(holder, word) => format!("{}.{}", self.kfl1(holder), word.text),
            _ => self.common(e),
        }
    }

    /// Terms of KFL1 inside parentheses, or of the whole filter, where a missing field makes all of them false: they
    /// group from the right, with and without parentheses around the last ones. Parentheses stand where `or` follows
    /// `and`, which reads otherwise elsewhere.
    fn terms_kfl1(&self, chain: &Expr) -> Vec<Piece> {
        let (mut terms, mut ops) = (Vec::new(), Vec::new());
        spread(chain, &mut terms, &mut ops);
        let mut open = 0;
        let mut pieces = Vec::with_capacity(terms.len());
        for (i, term) in terms.iter().enumerate() {
            let inner = bare(term);
            let chained = matches!(inner.kind, Kind::Chain(..));
            // false, as a missing field in parentheses is, ends an `and` as a missing one ends it all
            let text = match ops.get(i) {
                None | Some(Logic::And) if !chained => self.kfl1(inner),
                _ => self.kfl1(term),
            };
            let mut before = String::new();
            if let Some(op) = i.checked_sub(1).and_then(|i| ops.get(i)) {
                before.push_str(word_of(*op).trim_start());
                if *op == Logic::And && ops.get(i) == Some(&Logic::Or) {
                    before.push('(');
                    open += 1;
                }
            }
            pieces.push(Piece {
                text: before + &text,
                span: term.span,
            });
        }
        if let Some(last) = pieces.last_mut() {
            last.text.push_str(&")".repeat(open));
        }
        pieces
    }

    /// Whether nothing can be missing in an expression of KFL1.
    fn is_solid(&self, e: &Expr) -> bool {
        match &e.kind {
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Double(_) => true,
            Kind::Str { raw, .. } => !raw,
            Kind::Ident(name) => {
                **name != *"tls"
                    && self.env.expansion(name).is_none()
                    && self.env.flag(name).is_some()
            }
            _ => false,
        }
    }

    /// What both spellings write alike.
    fn common(&self, e: &Expr) -> String {
        match &e.kind {
            Kind::Null if self.dialect == Dialect::Kfl1 => "nil".into(),
            Kind::Null => "null".into(),
            Kind::Bool(v) => v.to_string(),
            Kind::Int(_) | Kind::UInt(_) | Kind::Double(_) => {
                self.source(e.span).split_whitespace().collect()
            }
            Kind::Str { .. } | Kind::Bytes(_) => self.string(e),
            Kind::Ident(name) => name.to_string(),
            Kind::Index(holder, key) => format!(
                "{}[{}]",
                self.expr(holder, power::MEMBER),
                self.expr(key, power::CHOICE)
            ),
            Kind::Call { target, name, args } => {
                let target = target.as_ref().map_or_else(String::new, |target| {
                    format!("{}.", self.expr(target, power::MEMBER))
                });
                let args: Vec<String> = args.iter().map(|arg| self.arg(arg)).collect();
                format!("{target}{}({})", self.word(name), args.join(", "))
            }
            Kind::List(items) => {
                let items: Vec<_> = items.iter().map(|i| self.expr(i, power::CHOICE)).collect();
                format!("[{}]", items.join(", "))
            }
            Kind::Map(pairs) => {
                let pair = |(k, v): &(Expr, Expr)| {
                    format!(
                        "{}: {}",
                        self.expr(k, power::CHOICE),
                        self.expr(v, power::CHOICE)
                    )
                };
                let pairs: Vec<_> = pairs.iter().map(pair).collect();
                format!("{{{}}}", pairs.join(", "))
            }
            _ => self.source(e.span).into(),
        }
    }

    fn arg(&self, arg: &Arg) -> String {
        let value = self.expr(&arg.value, power::CHOICE);
        match &arg.name {
            Some(name) => format!("{}: {value}", name.text),
            None => value,
        }
    }

    /// A name behind a dot; in backquotes where it is no word.
    fn word(&self, word: &Word) -> String {
        let source = self.source(word.span);
        let plain = match lex(&word.text, self.dialect).as_slice() {
            [name, _] => name.kind == TokenKind::Ident,
            _ => false,
        };
        if plain && !matches!(&*word.text, "true" | "false" | "null" | "in") {
            word.text.to_string()
        } else {
            source.into()
        }
    }

    /// A text in double quotes, where that is the same text.
    fn string(&self, e: &Expr) -> String {
        let source = self.source(e.span);
        let tokens = lex(source, self.dialect);
        let Some(token) = tokens.first().filter(|t| t.kind == TokenKind::Str) else {
            // a[*] is the key "*"
            return format!("\"{source}\"");
        };
        let (prefix, inner) = inside(token);
        let text = format!("{}\"{inner}\"", prefix.to_ascii_lowercase());
        let again = match self.dialect {
            Dialect::Kfl1 => kfl1::parse(&text),
            Dialect::Kfl2 => kfl2::parse(&text),
        };
        let same = match (again.ok().flatten().map(|e| e.kind), &e.kind) {
            (Some(Kind::Str { text: a, .. }), Kind::Str { text: b, .. }) => a == *b,
            (Some(Kind::Bytes(a)), Kind::Bytes(b)) => a == *b,
            _ => false,
        };
        if same { text } else { source.into() }
    }
}

/// Lines of the formatted text.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    /// Whether the last line ends in a comment.
    commented: bool,
}

impl Lines {
    fn piece(&mut self, text: &str, apart: bool) {
        match self.lines.last_mut() {
            Some(line) if !apart && !self.commented => {
                line.push(' ');
                line.push_str(text);
            }
            _ => self.lines.push(text.into()),
        }
        self.commented = false;
    }

    fn comment(&mut self, text: &str, behind: bool) {
        match self.lines.last_mut() {
            Some(line) if behind && !self.commented => {
                line.push(' ');
                line.push_str(text);
            }
            _ => self.lines.push(text.into()),
        }
        self.commented = true;
    }
}

fn joined(pieces: &[Piece]) -> String {
    let texts: Vec<&str> = pieces.iter().map(|p| p.text.as_str()).collect();
    texts.join(" ")
}

fn word_of(op: Logic) -> &'static str {
    match op {
        Logic::And => " and ",
        Logic::Or => " or ",
    }
}

/// The operator of a chain of KFL2.
fn logic_of(e: &Expr) -> Option<Logic> {
    match &e.kind {
        Kind::Chain(_, ops) => ops.first().copied(),
        _ => None,
    }
}

/// What a term of a chain must bind at least.
fn inner_power(logic: Option<Logic>) -> u8 {
    match logic {
        Some(Logic::And) => power::RELATION,
        _ => power::AND,
    }
}

/// The terms of a chain of KFL2, those of the same operator inside included.
fn flatten<'e>(e: &'e Expr, logic: Option<Logic>, terms: &mut Vec<&'e Expr>) {
    match &bare(e).kind {
        Kind::Chain(inner, _) if logic_of(bare(e)) == logic => {
            inner.iter().for_each(|term| flatten(term, logic, terms));
        }
        _ => terms.push(e),
    }
}

/// The terms and operators of a chain of KFL1, with those that the last one holds in parentheses.
fn spread<'e>(chain: &'e Expr, terms: &mut Vec<&'e Expr>, ops: &mut Vec<Logic>) {
    let Kind::Chain(own, joints) = &chain.kind else {
        return;
    };
    ops.extend(joints);
    let Some((last, rest)) = own.split_last() else {
        return;
    };
    terms.extend(rest);
    match bare(last) {
        inner if matches!(inner.kind, Kind::Chain(..)) => spread(inner, terms, ops),
        _ => terms.push(last),
    }
}

fn power_of(e: &Expr) -> u8 {
    match &e.kind {
        Kind::If(_) => power::CHOICE,
        Kind::Chain(..) => match logic_of(e) {
            Some(Logic::And) => power::AND,
            _ => power::OR,
        },
        Kind::Binary(op, _) => match op {
            Op::Add | Op::Sub => power::SUM,
            Op::Mul | Op::Div | Op::Rem => power::PRODUCT,
            _ => power::RELATION,
        },
        Kind::Not(_) | Kind::Neg(_) => power::UNARY,
        _ => power::MEMBER,
    }
}
