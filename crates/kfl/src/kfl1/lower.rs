//! From the tree of KFL1 to the compiled filter.

use crate::ast::{Arg, Expr, Kind, Logic, Op, Span, Word};
use crate::check::{Env, Found, with_keys};
use crate::error::{ErrorKind, Fault, MAX_FAULTS};
use crate::kfl2::{called, not_if, record_is};
use crate::lang::{Lang, Lowered};
use crate::macros::{Expansions, Taken};
use crate::predicate::{Const, Document, Load, Node, Plain, Reason, Step, Test, TextOp};
use crate::redact::Redaction;
use crate::suggest::{nearest, nearest_path};
use crate::types::Type;
use std::net::IpAddr;

/// A helper of KFL1.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) name: &'static str,
    /// Whether it stands behind a field.
    pub(crate) method: bool,
    pub(crate) doc: &'static str,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Text(TextOp),
    Document(Document),
    Datetime,
    /// Now and so many milliseconds per unit away.
    Ago(i64),
    Now,
    Limit,
    Redact,
    Record,
}

const fn helper(name: &'static str, method: bool, what: What, doc: &'static str) -> Helper {
    Helper {
        name,
        method,
        doc,
        what,
    }
}

/// Calls of `redact()` in one filter.
const MAX_REDACTIONS: u8 = 64;

const DAY: i64 = 86_400_000;

/// All helpers.
pub(crate) static HELPERS: &[Helper] = &[
    helper(
        "startsWith",
        true,
        What::Text(TextOp::StartsWith),
        "Whether the field's text starts with another.",
    ),
    helper(
        "endsWith",
        true,
        What::Text(TextOp::EndsWith),
        "Whether the field's text ends with another.",
    ),
    helper(
        "contains",
        true,
        What::Text(TextOp::Contains),
        "Whether the field's text contains another.",
    ),
    helper(
        "json",
        true,
        What::Document(Document::Json),
        "The JSON document in the field, also in base64: body.json().user.name",
    ),
    helper(
        "xml",
        true,
        What::Document(Document::Xml),
        "The XML document in the field, also in base64: body.xml().order.item[1]",
    ),
    helper(
        "now",
        false,
        What::Now,
        "The moment at which the filter was made, in ms since 1970.",
    ),
    helper(
        "seconds",
        false,
        What::Ago(1_000),
        "Now and so many seconds away: seconds(-30).",
    ),
    helper(
        "minutes",
        false,
        What::Ago(60_000),
        "Now and so many minutes away.",
    ),
    helper(
        "hours",
        false,
        What::Ago(3_600_000),
        "Now and so many hours away.",
    ),
    helper("days", false, What::Ago(DAY), "Now and so many days away."),
    helper(
        "weeks",
        false,
        What::Ago(7 * DAY),
        "Now and so many weeks away.",
    ),
    helper(
        "months",
        false,
        What::Ago(30 * DAY),
        "Now and so many times 30 days away.",
    ),
    helper(
        "years",
        false,
        What::Ago(365 * DAY),
        "Now and so many times 365 days away.",
    ),
    helper(
        "datetime",
        false,
        What::Datetime,
        "A moment in UTC: datetime(\"3/13/2023, 2:37:46.000 AM\").",
    ),
    helper(
        "limit",
        false,
        What::Limit,
        "Always true; only so many results are given.",
    ),
    helper(
        "redact",
        false,
        What::Redact,
        "Always true; the values of these paths are hidden in what is given.",
    ),
    helper(
        "record",
        false,
        What::Record,
        "Whether the entry is in this recording.",
    ),
];

/// Compiles a tree of KFL1. `now` is in ns since the epoch.
pub(crate) fn lower(
    env: &Env,
    tree: &Expr,
    text: &str,
    lenient: bool,
    now: i64,
    within: Expansions<'_>,
) -> Lowered {
    let mut lowering = Lowering {
        env,
        text,
        strict: !lenient,
        now: now.div_euclid(1_000_000),
        within,
        faults: Vec::new(),
        warnings: Vec::new(),
        limit: None,
        redactions: Vec::new(),
    };
    let root = lowering.condition(tree);
    Lowered {
        root,
        faults: lowering.faults,
        warnings: lowering.warnings,
        limit: lowering.limit,
        redactions: lowering.redactions,
        only_kfl1: None,
        only_kfl2: false,
    }
}

/// A field of KFL1 as a value; nothing where it leads nowhere.
pub(crate) fn operand(env: &Env, tree: &Expr, text: &str) -> Option<Node> {
    let taken = Taken::default();
    let lowered = lower(env, tree, text, false, 0, Expansions::none(&taken));
    match lowered.root {
        _ if !lowered.faults.is_empty() => None,
        Node::Truthy(inner) => Some(*inner),
        node => Some(node),
    }
}

struct Lowering<'e> {
    env: &'e Env,
    text: &'e str,
    strict: bool,
    /// In ms since the epoch.
    now: i64,
    within: Expansions<'e>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    limit: Option<u64>,
    redactions: Vec<Vec<Redaction>>,
}

/// What stands for an expression that leads nowhere.
const NOWHERE: Node = Node::Fail(Reason::Missing);

impl Lowering<'_> {
    /// Strictly a fault, leniently a missing field.
    fn nowhere(&mut self, fault: Fault) -> Node {
        if self.strict {
            self.fault(fault);
        }
        NOWHERE
    }

    fn fault(&mut self, fault: Fault) -> Node {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
        NOWHERE
    }

    /// An expression as a test.
    fn condition(&mut self, e: &Expr) -> Node {
        let node = self.value(e);
        if node.is_test() {
            return node;
        }
        if let Some((name, true)) = self.map(&node) {
            let fault = Fault::new(
                ErrorKind::Surprise,
                e.span,
                format!("\"{name}\" is an object, which never counts as true"),
            );
            self.warn(fault.hint(format!("write {name} != nil")));
        }
        Node::Truthy(Box::new(node))
    }

    fn warn(&mut self, fault: Fault) {
        if self.strict && self.warnings.len() < MAX_FAULTS {
            self.warnings.push(fault);
        }
    }

    /// Name of a field, and whether it is an object.
    fn map(&self, node: &Node) -> Option<(String, bool)> {
        let Node::Load(load) = node else { return None };
        let called = self.env.called(load, Lang::Kfl1);
        let is_map = called.of.pair().is_some() || self.env.is_object(&called.name);
        Some((called.name, is_map))
    }

    /// What is wrong, strictly, with a comparison of a field with a constant: it could never hold.
    fn never(&self, node: &Node, constant: &Const) -> Option<String> {
        let null = matches!(constant, Const::Null) || *constant == Const::Str("null".into());
        if !self.strict || null {
            return None;
        }
        if let Some((name, true)) = self.map(node) {
            return Some(format!("\"{name}\" is an object, which equals no value"));
        }
        let (name, of) = match node {
            Node::Flag(flag) => (flag.name.to_string(), Type::Bool),
            Node::Load(load) => {
                let called = self.env.called(load, Lang::Kfl1);
                (called.name, called.of)
            }
            _ => return None,
        };
        let text = Plain::of(constant)?;
        let fits = match of {
            Type::Bool => matches!(text.text_of(), "true" | "false"),
            Type::Int | Type::Double => text.text_of().parse::<f64>().is_ok(),
            _ => true,
        };
        let (of, literal) = (of.name(), text.literal());
        (!fits).then(|| format!("\"{name}\" is {of}, and {literal} is not"))
    }

    /// What KFL1 orders are numbers.
    fn order(&mut self, op: Op, a: &Expr, b: &Expr) -> Node {
        let operands = (self.value(a), self.value(b));
        for (e, node) in [(a, &operands.0), (b, &operands.1)] {
            if let Node::Const(Const::Str(text)) = node
                && text.parse::<f64>().is_err()
            {
                let fault = format!("numbers are ordered, and \"{text}\" is none");
                self.nowhere(Fault::new(ErrorKind::Type, e.span, fault));
            } else if let Some((name, true)) = self.map(node) {
                let fault = format!("numbers are ordered, and \"{name}\" is an object");
                self.nowhere(Fault::new(ErrorKind::Type, e.span, fault));
            } else if let Node::Load(
                load
                @ (Load::Part(..) | Load::Held { .. } | Load::OwnPath(_) | Load::CommonPath(_)),
            ) = node
                && load.is_whole()
                && let called = self.env.called(load, Lang::Kfl1)
                && called.of == Type::Str
            {
                let message = format!(
                    "numbers are ordered, and \"{}\" is a text, which counts as 0 where it is no number",
                    called.name
                );
                self.warn(Fault::new(ErrorKind::Surprise, e.span, message));
            }
        }
        Node::Order(op, Box::new(operands))
    }

    fn value(&mut self, e: &Expr) -> Node {
        match &e.kind {
            Kind::Null => Node::Const(Const::Null),
            Kind::Bool(v) => Node::Const(Const::Bool(*v)),
            Kind::Int(v) => Node::Const(Const::Int(*v)),
            Kind::Double(v) => Node::Const(Const::Double(*v)),
            Kind::Str { text, .. } => Node::Const(Const::Str(text.clone())),
            Kind::Not(inner) => {
                let inner = self.value(inner);
                if inner.is_test() {
                    Node::Not(Box::new(inner))
                } else {
                    Node::Flip(Box::new(inner))
                }
            }
            Kind::Neg(inner) => self.negated(inner),
            Kind::Binary(op @ (Op::Eq | Op::Ne), ab) => {
                self.warn_of_sign(*op, &ab.0, &ab.1);
                self.equality(*op == Op::Ne, &ab.0, &ab.1, e.span)
            }
            Kind::Binary(op, ab) => self.order(*op, &ab.0, &ab.1),
            Kind::Chain(terms, ops) => self.chain(terms, ops),
            Kind::Group(inner) => match self.value(inner) {
                // nothing can be missing inside
                inner @ (Node::Const(_) | Node::Flag(_)) => inner,
                inner => Node::Group(Box::new(inner)),
            },
            Kind::Ident(_)
            | Kind::Select(..)
            | Kind::Index(..)
            | Kind::Wild(_)
            | Kind::Deep(..) => self.path(e),
            Kind::Call { target, name, args } => self.call(e.span, target.as_deref(), name, args),
            // the parser of KFL1 makes none of these
            Kind::UInt(_) | Kind::Bytes(_) | Kind::If(_) | Kind::List(_) | Kind::Map(_) => NOWHERE,
        }
    }

    /// Only a literal number is negated; anything else stays what it is.
    fn negated(&mut self, inner: &Expr) -> Node {
        match self.value(inner) {
            Node::Const(Const::Int(v)) => Node::Const(Const::Int(v.wrapping_neg())),
            Node::Const(Const::Double(v)) => Node::Const(Const::Double(-v)),
            other => {
                let fault = "only a number can be negated";
                self.nowhere(Fault::new(ErrorKind::Type, inner.span, fault));
                other
            }
        }
    }

    fn chain(&mut self, terms: &[Expr], ops: &[Logic]) -> Node {
        let first_and = ops.iter().position(|op| *op == Logic::And);
        let last_or = ops.iter().rposition(|op| *op == Logic::Or);
        if first_and < last_or && first_and.is_some() && self.warnings.len() < MAX_FAULTS {
            self.warn_of_grouping(terms, ops);
        }
        let nodes: Box<[Node]> = terms.iter().map(|t| self.condition(t)).collect();
        Node::Chain(nodes, ops.into())
    }

    /// `a and b or c` is read as `a and (b or c)`.
    fn warn_of_grouping(&mut self, terms: &[Expr], ops: &[Logic]) {
        let shown = |e: &Expr| {
            self.text
                .get(e.span.start as usize..e.span.end as usize)
                .unwrap_or("…")
        };
        let mut grouped = String::new();
        for (i, term) in terms.iter().enumerate() {
            grouped.push_str(shown(term));
            if let Some(op) = ops.get(i) {
                grouped.push_str(if *op == Logic::And { " and " } else { " or " });
                // parentheses open where the operator changes
                if ops.get(i + 1).is_some_and(|next| next != op) {
                    grouped.push('(');
                }
            }
        }
        let changes = ops
            .windows(2)
            .filter(|pair| pair.first() != pair.last())
            .count();
        grouped.push_str(&")".repeat(changes));
        let span = terms
            .first()
            .zip(terms.last())
            .map_or_else(Span::default, |(a, b)| a.span.to(b.span));
        let fault = Fault::new(
            ErrorKind::Surprise,
            span,
            "\"and\" and \"or\" bind alike and group from the right",
        );
        self.warnings
            .push(fault.hint(format!("this is read as {grouped}")));
    }

    /// `!a == b` is read as `(!a) == b`.
    fn warn_of_sign(&mut self, op: Op, a: &Expr, b: &Expr) {
        let shown = |span: Span| self.text.get(std::ops::Range::from(span)).unwrap_or("…");
        let Kind::Not(inner) = &a.kind else { return };
        let (sign, other) = (op.sign(), shown(b.span));
        let hint = format!(
            "this is read as ({}) {sign} {other}; the other is !({} {sign} {other})",
            shown(a.span),
            shown(inner.span),
        );
        let message = format!("\"!\" binds closer than \"{sign}\"");
        self.warn(Fault::new(ErrorKind::Surprise, a.span.to(b.span), message).hint(hint));
    }

    fn equality(&mut self, not: bool, a: &Expr, b: &Expr, span: Span) -> Node {
        let pattern = |e: &Expr| {
            if let Kind::Str { text, raw: true } = &e.kind {
                Some((text.clone(), e.span))
            } else {
                None
            }
        };
        if let Some((pattern, other)) = pattern(b)
            .map(|p| (p, a))
            .or_else(|| pattern(a).map(|p| (p, b)))
        {
            let other = self.value(other);
            if let Some((name, true)) = self.map(&other) {
                let message = format!("\"{name}\" is an object, in which no pattern is found");
                return self.nowhere(Fault::new(ErrorKind::Type, span, message));
            }
            return match self.within.pattern(&pattern.0, pattern.1) {
                Ok(test) => Node::Like(Box::new(other), test, not),
                Err(fault) => self.fault(fault),
            };
        }
        let (value, constant) = match (self.value(a), self.value(b)) {
            (value, Node::Const(constant)) => (value, constant),
            (Node::Const(constant), value) => (value, constant),
            (a, b) => return Node::Same(Box::new((a, b)), not),
        };
        if let (Node::Load(Load::Ip(side)), Const::Str(text)) = (&value, &constant) {
            return match text.parse::<IpAddr>() {
                Ok(ip) => not_if(not, Node::Ip(*side, ip)),
                Err(_) if text.is_empty() || !self.strict => Node::Const(Const::Bool(not)),
                Err(_) => self.fault(Fault::new(
                    ErrorKind::Value,
                    span,
                    format!("\"{text}\" is no IP address"),
                )),
            };
        }
        if let Some(message) = self.never(&value, &constant) {
            return self.fault(Fault::new(ErrorKind::Type, span, message));
        }
        match Plain::of(&constant) {
            Some(plain) => Node::Plain(Box::new(value), plain, not),
            None => NOWHERE,
        }
    }

    /// A path: its name, the steps behind it, and what it begins with.
    fn path(&mut self, e: &Expr) -> Node {
        let mut steps = Vec::new();
        let mut at = e;
        loop {
            at = match &at.kind {
                Kind::Select(inner, _) if at.dotted().is_none() => {
                    if let Kind::Select(_, word) = &at.kind {
                        steps.push(Step::Key(word.text.clone(), false));
                    }
                    inner
                }
                Kind::Wild(inner) => {
                    steps.push(Step::Wild);
                    inner
                }
                Kind::Deep(inner, word) => {
                    steps.push(Step::Deep(word.text.clone()));
                    inner
                }
                Kind::Index(inner, key) => {
                    steps.push(match &key.kind {
                        Kind::Int(i) => Step::At(usize::try_from(*i).unwrap_or(usize::MAX)),
                        Kind::Str { text, .. } => Step::Key(text.clone(), false),
                        _ => return NOWHERE,
                    });
                    inner
                }
                _ => break,
            };
        }
        steps.reverse();
        match at.dotted() {
            Some(words) if matches!(steps.first(), Some(Step::Key(..))) => {
                self.field(e.span, &words, &steps)
            }
            Some(words) => self.field(at.span, &words, &steps),
            None => self.below(at, steps),
        }
    }

    /// What stands below a call.
    fn below(&mut self, call: &Expr, steps: Vec<Step>) -> Node {
        match self.value(call) {
            Node::Document(kind, inner, _) => Node::Document(kind, inner, steps.into()),
            _ => self.nowhere(Fault::new(
                ErrorKind::Type,
                call.span,
                "there is nothing below this",
            )),
        }
    }

    fn field(&mut self, span: Span, words: &[&str], steps: &[Step]) -> Node {
        if let ([word], []) = (words, steps) {
            if let Some(text) = self.env.expansion(word) {
                return self.expand(word, text, span);
            }
            if *word == "now" {
                return Node::Const(Const::Int(self.now));
            }
            if *word != "tls"
                && let Some(flag) = self.env.flag(word)
            {
                return Node::Flag(flag);
            }
        }
        match self.env.path(words, steps, self.strict) {
            Found::Load(load) => Node::Load(load),
            Found::Below(field, kind) => {
                let of = Type::of(kind).name();
                self.nowhere(Fault::new(
                    ErrorKind::Name,
                    span,
                    format!("\"{field}\" is {of}, there is nothing below it"),
                ))
            }
            Found::Unknown => self.unknown(span, &with_keys(&words.join("."), steps)),
        }
    }

    fn unknown(&mut self, span: Span, name: &str) -> Node {
        if !self.strict || self.faults.len() >= MAX_FAULTS {
            return NOWHERE;
        }
        let fault = Fault::new(ErrorKind::Name, span, format!("unknown field \"{name}\""));
        if self.env.variable(name).is_some() {
            let hint = match self.env.kfl1_name(name) {
                Some(own) => format!("it is a variable of KFL2; KFL1 calls it \"{own}\""),
                None => "it is a variable of KFL2, which writes && and ||".into(),
            };
            return self.fault(fault.hint(hint));
        }
        let (paths, flags) = (self.env.paths(), self.env.flags());
        let names = paths.iter().map(|p| &**p).chain(flags.iter().copied());
        self.fault(fault.near(nearest_path(name, names)))
    }

    fn expand(&mut self, name: &str, text: &str, span: Span) -> Node {
        let now = self.now.saturating_mul(1_000_000);
        let expanded = self
            .within
            .expand(self.env, (name, text), span, Lang::Kfl1, now);
        expanded.unwrap_or_else(|fault| self.fault(fault))
    }

    fn call(&mut self, span: Span, target: Option<&Expr>, name: &Word, args: &[Arg]) -> Node {
        let known = HELPERS
            .iter()
            .find(|h| h.name == &*name.text && h.method == target.is_some());
        let Some(helper) = known else {
            return self.unknown_helper(target.is_some(), name);
        };
        if let Some(named) = args.iter().find_map(|a| a.name.as_ref()) {
            return self.nowhere(Fault::new(
                ErrorKind::Name,
                named.span,
                format!("{} has no named arguments", name.text),
            ));
        }
        match (helper.what, target) {
            (What::Text(op), Some(target)) => self.text_helper(op, target, name, args),
            (What::Document(kind), Some(target)) => {
                if let Some(arg) = args.first() {
                    self.nowhere(Fault::new(
                        ErrorKind::Type,
                        arg.value.span,
                        format!("{} takes no argument", name.text),
                    ));
                }
                Node::Document(kind, Box::new(self.value(target)), Box::new([]))
            }
            (What::Now, _) => Node::Const(Const::Int(self.now)),
            (What::Ago(unit), _) => self.ago(span, unit, args),
            (What::Datetime, _) => self.datetime(span, args),
            (What::Limit, _) => self.limit(span, args),
            (What::Redact, _) => self.redact(span, args),
            (What::Record, _) => match args {
                [
                    Arg {
                        value:
                            Expr {
                                kind: Kind::Str { text, .. },
                                ..
                            },
                        ..
                    },
                ] => record_is(text),
                _ => self.fault(Fault::new(
                    ErrorKind::Type,
                    span,
                    "record takes the name of a recording in quotes",
                )),
            },
            (What::Text(_) | What::Document(_), None) => NOWHERE,
        }
    }

    fn unknown_helper(&mut self, method: bool, name: &Word) -> Node {
        let fault = Fault::new(
            ErrorKind::Name,
            name.span,
            format!("unknown function \"{}\"", name.text),
        );
        if HELPERS.iter().any(|h| h.name == &*name.text) {
            return self.nowhere(fault.hint(called(&name.text, !method)));
        }
        let names = HELPERS
            .iter()
            .filter(|h| h.method == method)
            .map(|h| h.name);
        let near = nearest(&name.text, names);
        self.nowhere(fault.near(near))
    }

    fn text_helper(&mut self, op: TextOp, target: &Expr, name: &Word, args: &[Arg]) -> Node {
        let target = self.value(target);
        let [arg] = args else {
            // compared with nothing it never held
            self.nowhere(Fault::new(
                ErrorKind::Type,
                name.span,
                format!("{} takes one text", name.text),
            ));
            return Node::Const(Const::Bool(false));
        };
        let operand = self.value(&arg.value);
        let text = match &operand {
            Node::Const(Const::Str(text)) => Some(text.clone()),
            Node::Const(Const::Int(v)) => Some(v.to_string().into()),
            _ => None,
        };
        let Some(text) = text else {
            return Node::Text(op, Box::new((target, operand)));
        };
        let test = match op {
            TextOp::Contains => Test::contains(&text),
            TextOp::StartsWith => Test::StartsWith(text),
            TextOp::EndsWith => Test::EndsWith(text),
        };
        Node::Group(Box::new(Node::Like(Box::new(target), test, false)))
    }

    /// The number that the only argument is.
    fn number(&mut self, args: &[Arg]) -> Option<f64> {
        let [arg] = args else { return None };
        match self.value(&arg.value) {
            #[allow(clippy::cast_precision_loss)] // far below 2^53
            Node::Const(Const::Int(v)) => Some(v as f64),
            Node::Const(Const::Double(v)) => Some(v),
            Node::Const(Const::Str(v)) => v.parse().ok(),
            _ => None,
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // saturates
    fn ago(&mut self, span: Span, unit: i64, args: &[Arg]) -> Node {
        match self.number(args) {
            Some(n) => Node::Const(Const::Int(
                self.now.saturating_add((n * unit as f64) as i64),
            )),
            None => self.fault(Fault::new(ErrorKind::Type, span, "this takes one number")),
        }
    }

    fn datetime(&mut self, span: Span, args: &[Arg]) -> Node {
        let text = match args {
            [
                Arg {
                    value:
                        Expr {
                            kind: Kind::Str { text, .. },
                            ..
                        },
                    ..
                },
            ] => text,
            _ => return self.fault(Fault::new(ErrorKind::Type, span, "datetime takes one text")),
        };
        match datetime(text) {
            Some(ms) => Node::Const(Const::Int(ms)),
            None => {
                let fault = Fault::new(
                    ErrorKind::Value,
                    span,
                    format!("\"{text}\" is no date and time"),
                );
                self.fault(fault.hint("write it like \"3/13/2023, 2:37:46.000 AM\""))
            }
        }
    }

    fn limit(&mut self, span: Span, args: &[Arg]) -> Node {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // saturates, and is not negative
        match self.number(args) {
            Some(n) if n >= 0.0 => {
                self.limit.get_or_insert(n as u64);
                Node::Const(Const::Bool(true))
            }
            _ => self.fault(Fault::new(
                ErrorKind::Type,
                span,
                "limit takes one number, 0 or more",
            )),
        }
    }

    fn redact(&mut self, span: Span, args: &[Arg]) -> Node {
        if args.is_empty() {
            self.nowhere(Fault::new(
                ErrorKind::Type,
                span,
                "redact takes at least one path in quotes",
            ));
            return Node::Const(Const::Bool(false));
        }
        let Some(id) = u8::try_from(self.redactions.len())
            .ok()
            .filter(|id| *id < MAX_REDACTIONS)
        else {
            return self.fault(Fault::new(
                ErrorKind::Limit,
                span,
                format!("more than {MAX_REDACTIONS} redactions"),
            ));
        };
        let paths = args
            .iter()
            .filter_map(|arg| self.redaction(&arg.value))
            .collect();
        self.redactions.push(paths);
        Node::Redact(id)
    }

    /// A path to hide. Strictly it must lead somewhere, as a misspelt one would show what was to be hidden.
    fn redaction(&mut self, e: &Expr) -> Option<Redaction> {
        let Kind::Str { text, .. } = &e.kind else {
            self.fault(Fault::new(
                ErrorKind::Type,
                e.span,
                "redact takes paths in quotes",
            ));
            return None;
        };
        let redaction = match crate::redact::parse(text) {
            Ok(redaction) => redaction,
            Err(fault) => {
                self.fault(Fault {
                    span: e.span,
                    ..*fault
                });
                return None;
            }
        };
        let words: Vec<&str> = redaction.words.iter().map(|w| &**w).collect();
        if !words.is_empty() && matches!(self.env.path(&words, &[], self.strict), Found::Unknown) {
            self.unknown(e.span, &words.join("."));
        }
        Some(redaction)
    }
}

/// `1/2/2006, 3:04:05.000 PM` in UTC, the fraction may be left out; in ms since the epoch.
fn datetime(text: &str) -> Option<i64> {
    let (date, rest) = text.trim().split_once(',')?;
    let (clock, half) = rest.trim().rsplit_once(' ')?;
    let mut date = date.split('/').map(|n| n.trim().parse::<i16>().ok());
    let (month, day, year) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.trim().split(':');
    let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
    if clock.next().is_some() || date.next().is_some() {
        return None;
    }
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    let hour: i8 = hour.parse().ok().filter(|h| (1..=12).contains(h))?;
    let hour = match half.trim().to_ascii_uppercase().as_str() {
        "AM" => hour % 12,
        "PM" => hour % 12 + 12,
        _ => return None,
    };
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let civil = jiff::civil::DateTime::new(
        year,
        month,
        day,
        hour,
        minute.parse().ok()?,
        second.parse().ok()?,
        nanos,
    )
    .ok()?;
    let moment = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(moment.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::datetime;

    #[test]
    fn dates_with_and_without_fraction() {
        assert_eq!(
            datetime("3/13/2023, 2:37:46.000 AM"),
            Some(1_678_675_066_000)
        );
        assert_eq!(datetime("3/13/2023, 2:37:46 AM"), Some(1_678_675_066_000));
        assert_eq!(
            datetime("3/13/2023, 2:37:46.5 PM"),
            Some(1_678_675_066_500 + 43_200_000)
        );
        assert_eq!(datetime("1/1/1970, 12:00:00.000 AM"), Some(0));
        for junk in [
            "garbage",
            "",
            "3/13/2023",
            "13/13/2023, 2:37:46 AM",
            "3/13/2023, 13:37:46 PM",
            "3/13/2023, 2:37:46. AM",
        ] {
            assert_eq!(datetime(junk), None, "{junk}");
        }
    }
}
