//! From the tree of KFL2 to the compiled filter: names found, types checked, constants computed.

use super::functions::{FUNCTIONS, MACROS};
use crate::ast::{Arg, Expr, Kind, Logic, Op, Span, Word};
use crate::check::Env;
use crate::error::{ErrorKind, Fault, MAX_FAULTS};
use crate::lang::{Lang, Lowered};
use crate::macros::{Expansions, Taken};
use crate::predicate::{
    Const, FlowFacts, Fun, Load, Lookup, Loop, LoopKind, MAX_ARGS, Nanos, Node, Reason, Test, eval,
};
use crate::suggest::{nearest, nearest_path};
use crate::types::Type;
use gillnet_entry::{Bump, COMMON};
use std::net::IpAddr;

/// Compiles a tree of KFL2. `now` is in ns since the epoch. Leniently, names and types that do not fit are errors only
/// where they are evaluated, as in CEL that is not checked first.
pub(crate) fn lower(
    env: &Env,
    tree: &Expr,
    lenient: bool,
    now: i64,
    within: Expansions<'_>,
) -> Lowered {
    let mut lowering = Lowering::new(env, lenient, now, within);
    let (root, of) = lowering.expr(tree);
    if !matches!(of, Type::Bool | Type::Dyn) {
        lowering.not_a_test(tree, &of);
    }
    Lowered {
        root,
        faults: lowering.faults,
        warnings: Vec::new(),
        limit: None,
        redactions: Vec::new(),
        only_kfl1: lowering.only_kfl1,
        only_kfl2: lowering.only_kfl2,
    }
}

/// A variable of KFL2 as a value; nothing where there is none.
pub(crate) fn operand(env: &Env, tree: &Expr) -> Option<Node> {
    let taken = Taken::default();
    let mut lowering = Lowering::new(env, false, 0, Expansions::none(&taken));
    let (node, _) = lowering.expr(tree);
    lowering.faults.is_empty().then_some(node)
}

struct Lowering<'e> {
    env: &'e Env,
    lenient: bool,
    now: i64,
    within: Expansions<'e>,
    faults: Vec<Fault>,
    /// Variables of the loops around, outermost first.
    locals: Vec<(Box<str>, Type)>,
    /// The first place of something that means another thing in KFL1, or is at home there alone.
    only_kfl1: Option<Span>,
    /// Whether there is a name that KFL1 does not know.
    only_kfl2: bool,
}

/// A compiled expression and its type.
type Typed = (Node, Type);

/// What stands for an expression in which a fault was found.
const FAULTY: Typed = (Node::Fail(Reason::NoSuchOverload), Type::Dyn);

impl<'e> Lowering<'e> {
    fn new(env: &'e Env, lenient: bool, now: i64, within: Expansions<'e>) -> Lowering<'e> {
        Lowering {
            env,
            lenient,
            now,
            within,
            faults: Vec::new(),
            locals: Vec::new(),
            only_kfl1: None,
            only_kfl2: false,
        }
    }
}

impl Lowering<'_> {
    fn fault(&mut self, fault: Fault) -> Typed {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
        FAULTY
    }

    /// Takes note of a name or type that does not fit, and tells whether the expression is given up: leniently it is
    /// compiled all the same, and fails when it is evaluated.
    fn refused(&mut self, fault: Fault) -> bool {
        if !self.lenient {
            self.fault(fault);
        }
        !self.lenient
    }

    fn refused_type(&mut self, span: Span, message: String) -> bool {
        self.refused(Fault::new(ErrorKind::Type, span, message))
    }

    fn not_a_test(&mut self, tree: &Expr, of: &Type) {
        let fault = Fault::new(
            ErrorKind::Type,
            tree.span,
            format!("the filter is {}, not bool", of.name()),
        );
        self.refused(match of {
            Type::Str | Type::Int | Type::Double | Type::UInt => {
                fault.hint("compare it with a value")
            }
            _ => fault,
        });
    }

    fn expr(&mut self, e: &Expr) -> Typed {
        match &e.kind {
            Kind::Null => (Node::Const(Const::Null), Type::Null),
            Kind::Bool(v) => (Node::Const(Const::Bool(*v)), Type::Bool),
            Kind::Int(v) => (Node::Const(Const::Int(*v)), Type::Int),
            Kind::UInt(v) => (Node::Const(Const::UInt(*v)), Type::UInt),
            Kind::Double(v) => (Node::Const(Const::Double(*v)), Type::Double),
            Kind::Str { text, .. } => (Node::Const(Const::Str(text.clone())), Type::Str),
            Kind::Bytes(v) => (Node::Const(Const::Bytes(v.clone())), Type::Bytes),
            Kind::Ident(_) | Kind::Select(..) => self.path(e),
            Kind::Index(holder, key) => self.index(e, holder, key),
            Kind::Call { target, name, args } => self.call(e, target.as_deref(), name, args),
            Kind::Not(inner) => {
                let inner = self.test(inner, "!");
                (Node::Not(Box::new(inner)), Type::Bool)
            }
            Kind::Neg(inner) => self.negated(e, inner),
            Kind::Binary(op, ab) => self.binary(e, *op, &ab.0, &ab.1),
            Kind::Chain(terms, ops) => self.chain(terms, ops),
            Kind::If(abc) => self.choice(e, abc),
            Kind::List(items) => self.list(items),
            Kind::Map(pairs) => self.map(pairs),
            Kind::Group(inner) => self.expr(inner),
            Kind::Wild(_) | Kind::Deep(..) => {
                self.fault(Fault::syntax(e.span, "wildcards are KFL1"))
            }
        }
    }

    /// An operand of a logical operator.
    fn test(&mut self, e: &Expr, operator: &str) -> Node {
        let (node, of) = self.expr(e);
        if !matches!(of, Type::Bool | Type::Dyn) {
            self.refused_type(e.span, format!("{operator} takes bool, not {}", of.name()));
        }
        node
    }

    fn chain(&mut self, terms: &[Expr], ops: &[Logic]) -> Typed {
        let all = ops.first() == Some(&Logic::And);
        let sign = if all { "&&" } else { "||" };
        let mut nodes: Vec<Node> = terms.iter().map(|t| self.test(t, sign)).collect();
        // what costs nothing goes first: errors do not depend on the order, nor does the result
        nodes.sort_by_key(cost);
        let nodes = nodes.into();
        (
            if all {
                Node::All(nodes)
            } else {
                Node::Any(nodes)
            },
            Type::Bool,
        )
    }

    fn choice(&mut self, e: &Expr, abc: &(Expr, Expr, Expr)) -> Typed {
        let condition = self.test(&abc.0, "?:");
        let (yes, a) = self.expr(&abc.1);
        let (no, b) = self.expr(&abc.2);
        if !a.comparable(&b)
            && a != Type::Null
            && b != Type::Null
            && self.refused_type(e.span, format!("?: gives {} or {}", a.name(), b.name()))
        {
            return FAULTY;
        }
        (Node::If(Box::new((condition, yes, no))), a.or(&b))
    }

    fn list(&mut self, items: &[Expr]) -> Typed {
        let (nodes, types): (Vec<Node>, Vec<Type>) = items.iter().map(|i| self.expr(i)).unzip();
        let of = types
            .into_iter()
            .reduce(|a, b| a.or(&b))
            .unwrap_or(Type::Dyn);
        (Node::List(nodes.into()), Type::List(Box::new(of)))
    }

    fn map(&mut self, pairs: &[(Expr, Expr)]) -> Typed {
        let mut nodes = Vec::with_capacity(pairs.len());
        let mut of: Option<(Type, Type)> = None;
        for (key, value) in pairs {
            let ((k, kt), (v, vt)) = (self.expr(key), self.expr(value));
            nodes.push((k, v));
            of = Some(of.map_or((kt.clone(), vt.clone()), |(a, b)| (a.or(&kt), b.or(&vt))));
        }
        (
            Node::Map(nodes.into()),
            Type::Map(Box::new(of.unwrap_or((Type::Dyn, Type::Dyn)))),
        )
    }

    fn negated(&mut self, e: &Expr, inner: &Expr) -> Typed {
        let (node, of) = self.expr(inner);
        if !matches!(of, Type::Int | Type::Double | Type::Dyn)
            && self.refused_type(e.span, format!("- takes int or double, not {}", of.name()))
        {
            return FAULTY;
        }
        (folded(Node::Neg(Box::new(node))), of)
    }

    /// A name, or the way from a name or value into a map.
    fn path(&mut self, e: &Expr) -> Typed {
        if let Some(words) = e.dotted() {
            if let Some(local) = self.local(words.first().copied().unwrap_or("")) {
                return self.members(local, e, words.len() - 1);
            }
            // the longest name that is one; what follows are keys
            for n in (1..=words.len()).rev() {
                let name = words.get(..n).unwrap_or(&[]).join(".");
                if let Some(found) = self.named(&name, e.span) {
                    let whole = words.join(".");
                    return match &found.0 {
                        Node::Load(load) if n < words.len() && !self.env.is_below(load, &whole) => {
                            self.unknown(&whole, e.span)
                        }
                        _ => self.members(found, e, words.len() - n),
                    };
                }
            }
            return self.unknown(&words.join("."), e.span);
        }
        let Kind::Select(holder, _) = &e.kind else {
            return FAULTY;
        };
        let found = self.expr(holder);
        self.members(found, e, 1)
    }

    fn unknown(&mut self, name: &str, span: Span) -> Typed {
        const NOTHING: Typed = (Node::Fail(Reason::NoSuchName), Type::Dyn);
        if self.lenient || self.faults.len() >= MAX_FAULTS {
            return NOTHING;
        }
        let (flags, paths) = (self.env.flags(), self.env.paths());
        let variables = self
            .env
            .fields()
            .map(|(_, f)| f.kfl2)
            .filter(|n| !n.is_empty());
        let names = variables.chain(flags.iter().copied()).chain(["tls"]);
        let near = nearest_path(name, names.chain(paths.iter().map(|p| &**p)));
        let fault = Fault::new(
            ErrorKind::Name,
            span,
            format!("unknown variable \"{name}\""),
        );
        self.fault(fault.near(near));
        NOTHING
    }

    fn local(&self, name: &str) -> Option<Typed> {
        let at = self.locals.iter().rposition(|(n, _)| **n == *name)?;
        let depth = u16::try_from(self.locals.len() - 1 - at).ok()?;
        self.locals
            .get(at)
            .map(|(_, of)| (Node::Local(depth), of.clone()))
    }

    /// What a whole name means: a custom macro, a flag, a variable, a type, or an alias of a variable.
    fn named(&mut self, name: &str, span: Span) -> Option<Typed> {
        if let Some(text) = self.env.expansion(name) {
            return Some(self.expand(name, text, span));
        }
        if name == "tls" {
            return Some((Node::Load(Load::Tls), Type::Bool));
        }
        if let Some(flag) = self.env.flag(name) {
            return Some((Node::Flag(flag), Type::Bool));
        }
        if let Some((load, of)) = self.env.variable(name) {
            // names that both have are no sign of either
            self.only_kfl2 |= self.env.alias(name).is_none()
                && !name.starts_with("src.")
                && !name.starts_with("dst.");
            return Some((Node::Load(load), of));
        }
        if let Some(of) = type_value(name) {
            return Some((Node::Const(Const::Type(of)), Type::Meta));
        }
        let (load, of) = self.env.alias(name)?;
        self.only_kfl1.get_or_insert(span);
        Some((Node::Load(load), of))
    }

    fn expand(&mut self, name: &str, text: &str, span: Span) -> Typed {
        let expanded = self
            .within
            .expand(self.env, (name, text), span, Lang::Kfl2, self.now);
        match expanded {
            Ok(node) => (node, Type::Bool),
            Err(fault) => self.fault(fault),
        }
    }

    /// The last `n` words of a path, as keys from what was found on.
    fn members(&mut self, found: Typed, e: &Expr, n: usize) -> Typed {
        if n == 0 {
            return found;
        }
        let Kind::Select(holder, word) = &e.kind else {
            return found;
        };
        let (node, of) = self.members(found, holder, n - 1);
        match (&of, of.pair()) {
            (Type::Dyn, _) => (key(node, word, false), Type::Dyn),
            (_, Some((_, value))) => (key(node, word, of == Type::Headers), value),
            _ => {
                let fault = Fault::new(
                    ErrorKind::Type,
                    word.span,
                    format!("{} has no field \"{}\"", of.name(), word.text),
                );
                let methods = FUNCTIONS.iter().filter(|f| f.method).map(|f| f.name);
                let near = nearest(&word.text, methods).map(|m| format!("{m}()"));
                if self.refused(fault.near(near)) {
                    return FAULTY;
                }
                (key(node, word, false), Type::Dyn)
            }
        }
    }

    fn index(&mut self, e: &Expr, holder: &Expr, at: &Expr) -> Typed {
        let words_before = holder.dotted();
        let (holder, of) = self.expr(holder);
        let (at_node, at_type) = self.expr(at);
        let (wanted, value) = match (&of, of.pair()) {
            (Type::Dyn, _) => (Type::Dyn, Type::Dyn),
            (Type::List(item), _) => (Type::Int, (**item).clone()),
            (_, Some(pair)) => pair,
            _ if self.refused_type(e.span, format!("{} cannot be indexed", of.name())) => {
                return FAULTY;
            }
            _ => (Type::Dyn, Type::Dyn),
        };
        if !wanted.comparable(&at_type) {
            let message = format!(
                "{} is indexed with {}, not {}",
                of.name(),
                wanted.name(),
                at_type.name()
            );
            if self.refused_type(at.span, message) {
                return FAULTY;
            }
        }
        if let (Node::Load(load), Node::Const(Const::Str(key)), Some(words)) =
            (&holder, &at_node, words_before)
            && !self
                .env
                .is_below(load, &format!("{}.{key}", words.join(".")))
        {
            return self.unknown(&format!("{}.{key}", words.join(".")), e.span);
        }
        let lookup = Lookup {
            holder,
            key: at_node,
            ignore_case: of == Type::Headers,
        };
        (Node::Key(Box::new(lookup)), value)
    }

    fn binary(&mut self, e: &Expr, op: Op, a: &Expr, b: &Expr) -> Typed {
        let raw = |e: &&&Expr| matches!(e.kind, Kind::Str { raw: true, .. });
        if matches!(op, Op::Eq | Op::Ne)
            && let Some(pattern) = [a, b].iter().find(raw)
        {
            self.only_kfl1.get_or_insert(pattern.span); // a pattern there
        }
        let ((left, l), (right, r)) = (self.expr(a), self.expr(b));
        match op {
            Op::In => self.within(e, (left, l), (right, r)),
            Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => {
                let fits = l.comparable(&r)
                    && (matches!(op, Op::Eq | Op::Ne) || ordered(&l) && ordered(&r));
                if !fits && self.mismatch(e, op, (a, &l), (b, &r)) {
                    return FAULTY;
                }
                for (node, other) in [(&left, &r), (&right, &l)] {
                    if let Node::Load(load) = node
                        && !matches!(other, Type::Null | Type::Dyn)
                        && let Some(name) = self.env.structured(load)
                    {
                        let message = format!("\"{name}\" is an object, which equals no value");
                        if self.refused_type(e.span, message) {
                            return FAULTY;
                        }
                    }
                }
                self.compared(e, op, left, right)
            }
            _ => {
                let of = arithmetic(op, &l, &r);
                let message = || format!("no {} {} {}", l.name(), op.sign(), r.name());
                if of.is_none() && self.refused_type(e.span, message()) {
                    return FAULTY;
                }
                let node = folded(Node::Binary(op, Box::new((left, right))));
                (node, of.unwrap_or(Type::Dyn))
            }
        }
    }

    /// Whether a comparison of types that have none is given up.
    fn mismatch(&mut self, e: &Expr, op: Op, a: (&Expr, &Type), b: (&Expr, &Type)) -> bool {
        let fault = Fault::new(
            ErrorKind::Type,
            e.span,
            format!("cannot compare {} {} {}", a.1.name(), op.sign(), b.1.name()),
        );
        let unquoted = [(a, b), (b, a)]
            .into_iter()
            .find_map(|((text, _), (_, other))| match &text.kind {
                Kind::Str { text, .. } if other.is_number() && text.parse::<f64>().is_ok() => {
                    Some(text.clone())
                }
                _ => None,
            });
        self.refused(match unquoted {
            Some(number) => fault.hint(format!("write {number} without quotes")),
            None => fault,
        })
    }

    /// A comparison, with a constant operand prepared.
    fn compared(&mut self, e: &Expr, op: Op, left: Node, right: Node) -> Typed {
        let (op, left, right) = match (left, right) {
            (left @ Node::Const(_), right) if !matches!(right, Node::Const(_)) => {
                match op.mirrored() {
                    Some(op) => (op, right, left),
                    None => (op, left, right),
                }
            }
            (left, right) => (op, left, right),
        };
        let negated = op == Op::Ne;
        let node = match (left, right) {
            (Node::Load(Load::Ip(side)), Node::Const(Const::Str(text)))
                if matches!(op, Op::Eq | Op::Ne) =>
            {
                match text.parse::<IpAddr>() {
                    Ok(ip) => not_if(negated, Node::Ip(side, ip)),
                    Err(_) if text.is_empty() => Node::Const(Const::Bool(negated)),
                    Err(_) => {
                        return self.fault(Fault::new(
                            ErrorKind::Value,
                            e.span,
                            format!("\"{text}\" is no IP address"),
                        ));
                    }
                }
            }
            (left, Node::Const(Const::Int(v))) if !matches!(left, Node::Const(_)) => {
                Node::Int(Box::new(left), op, v)
            }
            (left, Node::Const(Const::Str(v)))
                if matches!(op, Op::Eq | Op::Ne) && !matches!(left, Node::Const(_)) =>
            {
                not_if(negated, Node::Str(Box::new(left), v))
            }
            (left, right) => folded(Node::Binary(op, Box::new((left, right)))),
        };
        (node, Type::Bool)
    }

    fn within(&mut self, e: &Expr, a: Typed, b: Typed) -> Typed {
        let fits = match (&b.1, b.1.pair()) {
            (Type::Dyn, _) => true,
            (Type::List(item), _) => item.comparable(&a.1),
            (_, Some((key, _))) => key.comparable(&a.1),
            _ => {
                let message = format!("\"in\" takes a list or a map, not {}", b.1.name());
                if self.refused_type(e.span, message) {
                    return FAULTY;
                }
                true
            }
        };
        let message = || format!("{} is never in {}", a.1.name(), b.1.name());
        if !fits && self.refused_type(e.span, message()) {
            return FAULTY;
        }
        let ignore_case = b.1 == Type::Headers;
        let node = match (a.0, b.0) {
            (Node::Const(Const::Str(v)), Node::Load(Load::Both(part))) => Node::InBoth(part, v),
            (left, Node::List(items)) => match (ints(&items), texts(&items)) {
                (Some(list), _) => Node::InInts(Box::new(left), list),
                (_, Some(list)) => Node::InStrs(Box::new(left), list),
                _ => Node::Has(Box::new(Lookup {
                    holder: Node::List(items),
                    key: left,
                    ignore_case,
                })),
            },
            (key, holder) => Node::Has(Box::new(Lookup {
                holder,
                key,
                ignore_case,
            })),
        };
        (node, Type::Bool)
    }

    fn call(&mut self, e: &Expr, target: Option<&Expr>, name: &Word, args: &[Arg]) -> Typed {
        match (&*name.text, target, args) {
            ("now", None, []) => (
                Node::Const(Const::Time(Nanos::from_ns(self.now))),
                Type::Time,
            ),
            ("dyn", None, [arg]) => (self.expr(&arg.value).0, Type::Dyn),
            ("map_get", None, [map, key, default]) => {
                self.map_get(&map.value, &key.value, &default.value)
            }
            ("record", None, [arg]) => self.record(&arg.value),
            ("has", None, [arg]) => self.has(&arg.value),
            (
                kind @ ("all" | "exists" | "exists_one" | "filter" | "map"),
                Some(range),
                [var, body],
            ) => self.each(kind, range, &var.value, None, &body.value),
            ("map", Some(range), [var, keep, body]) => {
                self.each("map", range, &var.value, Some(&keep.value), &body.value)
            }
            _ => self.function(e, target, name, args),
        }
    }

    fn function(&mut self, e: &Expr, target: Option<&Expr>, name: &Word, args: &[Arg]) -> Typed {
        let method = target.is_some();
        let overloads = || {
            FUNCTIONS
                .iter()
                .filter(|f| f.name == &*name.text && f.method == method)
        };
        if overloads().next().is_none() {
            return self.unknown_function(name, method);
        }
        let given: Vec<&Expr> = target
            .into_iter()
            .chain(args.iter().map(|a| &a.value))
            .collect();
        let typed: Vec<Typed> = given.iter().map(|e| self.expr(e)).collect();
        let fits = |f: &&super::Function| {
            f.args.len() == typed.len()
                && f.args.iter().zip(&typed).all(|(ty, (_, of))| ty.takes(of))
        };
        let Some(function) = overloads().find(fits) else {
            let types: Vec<String> = typed.iter().map(|(_, of)| of.name()).collect();
            let shown = match types.split_first() {
                Some((receiver, rest)) if method => {
                    format!("{receiver}.{}({})", name.text, rest.join(", "))
                }
                _ => format!("{}({})", name.text, types.join(", ")),
            };
            let fun = overloads()
                .find(|f| f.args.len() == typed.len())
                .map(|f| f.fun);
            let mut known: Vec<String> = overloads().map(super::Function::signature).collect();
            known.dedup();
            let fault = Fault::new(ErrorKind::Type, e.span, format!("no {shown}"));
            let fault = fault.hint(format!("there is {}", known.join(", ")));
            return match fun {
                _ if self.refused(fault) => FAULTY,
                Some(fun) => {
                    let nodes = typed.into_iter().map(|(node, _)| node).collect();
                    (self.prepared(fun, nodes, &given), Type::Dyn)
                }
                None => FAULTY,
            };
        };
        // with an argument of unknown type several may fit
        let several = overloads()
            .filter(fits)
            .any(|f| f.result != function.result);
        let of = if several {
            Type::Dyn
        } else {
            function.result.of()
        };
        let nodes: Vec<Node> = typed.into_iter().map(|(node, _)| node).collect();
        (self.prepared(function.fun, nodes, &given), of)
    }

    /// A call with its constant operand prepared, or computed where all are constant.
    fn prepared(&mut self, fun: Fun, mut nodes: Vec<Node>, given: &[&Expr]) -> Node {
        debug_assert!(nodes.len() <= MAX_ARGS);
        if let (
            Fun::Contains | Fun::StartsWith | Fun::EndsWith | Fun::Matches,
            [_, Node::Const(Const::Str(text))],
        ) = (fun, nodes.as_slice())
        {
            let span = given.get(1).map_or_else(Span::default, |e| e.span);
            let test = match fun {
                Fun::Contains => Ok(Test::contains(text)),
                Fun::StartsWith => Ok(Test::StartsWith(text.clone())),
                Fun::EndsWith => Ok(Test::EndsWith(text.clone())),
                _ => self.within.pattern(text, span),
            };
            return match test {
                Ok(test) => Node::Match(Box::new(nodes.swap_remove(0)), test),
                Err(fault) => {
                    self.fault(fault);
                    Node::Fail(Reason::BadPattern)
                }
            };
        }
        let literal = matches!(nodes.as_slice(), [Node::Const(Const::Str(_))]);
        let node = folded(Node::Call(fun, nodes.into()));
        if literal && matches!(fun, Fun::Time | Fun::Duration) && !matches!(node, Node::Const(_)) {
            let (what, example) = if fun == Fun::Time {
                ("moment", "\"2026-03-14T22:00:00Z\"")
            } else {
                ("duration", "\"1h30m\"")
            };
            let span = given.first().map_or_else(Span::default, |e| e.span);
            let fault = Fault::new(ErrorKind::Value, span, format!("this text is no {what}"));
            self.faults
                .push(fault.hint(format!("write it like {example}")));
        }
        node
    }

    fn unknown_function(&mut self, name: &Word, method: bool) -> Typed {
        let known = FUNCTIONS
            .iter()
            .map(|f| (f.name, f.method))
            .chain(MACROS.iter().map(|(n, m, _)| (*n, *m)));
        let fault = Fault::new(
            ErrorKind::Name,
            name.span,
            format!("unknown function \"{}\"", name.text),
        );
        if known.clone().any(|(n, m)| n == &*name.text && m == method) {
            let message = format!("\"{}\" takes other arguments", name.text);
            let fault = Fault { message, ..fault };
            let used = MACROS.iter().find(|(n, ..)| *n == &*name.text);
            let used = used.and_then(|(_, _, doc)| doc.split_once(": "));
            self.refused(match used {
                Some((used, _)) => fault.hint(format!("write {used}")),
                None => fault,
            });
            return FAULTY;
        }
        if known.clone().any(|(n, _)| n == &*name.text) {
            self.refused(fault.hint(called(&name.text, !method)));
            return FAULTY;
        }
        let near = nearest(&name.text, known.map(|(n, _)| n));
        let kfl1 = crate::kfl1::HELPERS.iter().any(|h| h.name == &*name.text);
        if kfl1 {
            self.only_kfl1.get_or_insert(name.span);
        }
        self.refused(if kfl1 {
            fault.hint("it is a helper of KFL1")
        } else {
            fault.near(near)
        });
        (Node::Fail(Reason::NoSuchName), Type::Dyn)
    }

    fn map_get(&mut self, map: &Expr, at: &Expr, default: &Expr) -> Typed {
        let ((holder, of), (at_node, at_type), (other, default_type)) =
            (self.expr(map), self.expr(at), self.expr(default));
        let value = match (&of, of.pair()) {
            (Type::Dyn, _) => Type::Dyn,
            (_, Some((key, value))) if key.comparable(&at_type) => value.or(&default_type),
            _ if self.refused_type(map.span, format!("map_get takes a map, not {}", of.name())) => {
                return FAULTY;
            }
            _ => Type::Dyn,
        };
        let lookup = Lookup {
            holder,
            key: at_node,
            ignore_case: of == Type::Headers,
        };
        (Node::KeyOr(Box::new(lookup), Box::new(other)), value)
    }

    fn record(&mut self, name: &Expr) -> Typed {
        let Kind::Str { text, .. } = &name.kind else {
            let message = "record takes the name of a recording in quotes";
            return self.fault(Fault::new(ErrorKind::Type, name.span, message));
        };
        (record_is(text), Type::Bool)
    }

    /// `has(map.key)`; of a variable: whether it is not what it is where it does not apply.
    fn has(&mut self, e: &Expr) -> Typed {
        let Kind::Select(..) = e.kind else {
            let message = "has takes a path such as request.headers.host";
            return self.fault(Fault::new(ErrorKind::Type, e.span, message));
        };
        let (node, of) = self.expr(e);
        let node = match (node, of) {
            (Node::Key(lookup), _) => Node::Under(lookup),
            (node, Type::Bool) => node,
            (node, Type::Str) => Node::Not(Box::new(Node::Str(Box::new(node), "".into()))),
            (node, Type::Int) => Node::Int(Box::new(node), Op::Ne, 0),
            (node, Type::List(_) | Type::Map(_) | Type::Headers) => {
                Node::Int(Box::new(Node::Call(Fun::Size, [node].into())), Op::Gt, 0)
            }
            (node, _) => Node::Binary(Op::Ne, Box::new((node, Node::Const(Const::Null)))),
        };
        (node, Type::Bool)
    }

    fn each(
        &mut self,
        kind: &str,
        range: &Expr,
        var: &Expr,
        keep: Option<&Expr>,
        body: &Expr,
    ) -> Typed {
        let Kind::Ident(var) = &var.kind else {
            let message = format!("{kind} takes the name of a variable first");
            return self.fault(Fault::new(ErrorKind::Type, var.span, message));
        };
        let (range_node, of) = self.expr(range);
        let item = match (&of, of.pair()) {
            (Type::Dyn, _) => Type::Dyn,
            (Type::List(item), _) => (**item).clone(),
            (_, Some((key, _))) => key,
            _ => {
                let message = format!("{kind} takes a list or a map, not {}", of.name());
                if self.refused_type(range.span, message) {
                    return FAULTY;
                }
                Type::Dyn
            }
        };
        self.locals.push((var.clone(), item.clone()));
        let keep = keep.map(|e| self.test(e, kind));
        let (body_node, result) = if kind == "map" {
            self.expr(body)
        } else {
            (self.test(body, kind), Type::Bool)
        };
        self.locals.pop();
        let (kind, of) = match kind {
            "all" => (LoopKind::All, Type::Bool),
            "exists" => (LoopKind::Exists, Type::Bool),
            "exists_one" => (LoopKind::ExistsOne, Type::Bool),
            "filter" => (LoopKind::Filter, Type::List(Box::new(item))),
            _ => (LoopKind::Map, Type::List(Box::new(result))),
        };
        (
            Node::Loop(Box::new(Loop {
                kind,
                range: range_node,
                keep,
                body: body_node,
            })),
            of,
        )
    }
}

/// Says where a function stands.
pub(crate) fn called(name: &str, method: bool) -> String {
    if method {
        format!("it stands behind a value: path.{name}(…)")
    } else {
        format!("it stands alone: {name}(…)")
    }
}

/// Whether the entry is in a recording.
pub(crate) fn record_is(name: &str) -> Node {
    match COMMON.json("record") {
        Some(field) => Node::Call(
            Fun::Recorded,
            Box::new([
                Node::Load(Load::Common(field, gillnet_entry::Kind::Str)),
                Node::Const(Const::Str(name.into())),
            ]),
        ),
        None => Node::Const(Const::Bool(false)),
    }
}

fn key(holder: Node, word: &Word, ignore_case: bool) -> Node {
    let key = Node::Const(Const::Str(word.text.clone()));
    Node::Key(Box::new(Lookup {
        holder,
        key,
        ignore_case,
    }))
}

pub(crate) fn not_if(negated: bool, node: Node) -> Node {
    if negated {
        Node::Not(Box::new(node))
    } else {
        node
    }
}

fn type_value(name: &str) -> Option<&'static str> {
    const TYPES: &[&str] = &[
        "int",
        "uint",
        "double",
        "bool",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
    ];
    TYPES.iter().find(|t| **t == name).copied()
}

fn ordered(of: &Type) -> bool {
    of.is_number()
        || matches!(
            of,
            Type::Bool | Type::Str | Type::Bytes | Type::Time | Type::Duration | Type::Dyn
        )
}

/// The type of a sum or product; `None` where there is none.
pub(crate) fn arithmetic(op: Op, a: &Type, b: &Type) -> Option<Type> {
    use Type::{Bytes, Double, Duration, Dyn, Int, List, Str, Time, UInt};
    Some(match (op, a, b) {
        (_, Dyn, _) | (_, _, Dyn) => Dyn,
        (_, Int, Int) => Int,
        (_, UInt, UInt) => UInt,
        (Op::Add | Op::Sub | Op::Mul | Op::Div, Double, Double) => Double,
        (Op::Add, Str, Str) => Str,
        (Op::Add, Bytes, Bytes) => Bytes,
        (Op::Add, List(a), List(b)) => List(Box::new(a.or(b))),
        (Op::Add, Time, Duration) | (Op::Add, Duration, Time) | (Op::Sub, Time, Duration) => Time,
        (Op::Sub, Time, Time) | (Op::Add | Op::Sub, Duration, Duration) => Duration,
        _ => return None,
    })
}

fn ints(items: &[Node]) -> Option<Box<[i64]>> {
    items
        .iter()
        .map(|n| {
            if let Node::Const(Const::Int(v)) = n {
                Some(*v)
            } else {
                None
            }
        })
        .collect()
}

fn texts(items: &[Node]) -> Option<Box<[Box<str>]>> {
    items
        .iter()
        .map(|n| {
            if let Node::Const(Const::Str(v)) = n {
                Some(v.clone())
            } else {
                None
            }
        })
        .collect()
}

/// The constant that an operation on constants gives, if it gives one.
fn folded(node: Node) -> Node {
    let constant = |n: &Node| matches!(n, Node::Const(_));
    let all = match &node {
        Node::Neg(inner) => constant(inner),
        Node::Binary(_, ab) => constant(&ab.0) && constant(&ab.1),
        Node::Call(_, args) => args.iter().all(constant),
        _ => false,
    };
    if !all {
        return node;
    }
    let arena = Bump::new();
    let facts = FlowFacts::blank(0, &arena);
    let result = eval(&node, &facts, None).ok().and_then(Const::of);
    result.map_or(node, Node::Const)
}

/// Roughly what a test costs: flags nothing, comparisons of what lies at hand little.
fn cost(node: &Node) -> u8 {
    match node {
        Node::Const(_) | Node::Flag(_) => 0,
        Node::Not(inner) if matches!(**inner, Node::Flag(_)) => 0,
        Node::Ip(..) | Node::InBoth(..) | Node::Load(Load::Tls) => 1,
        Node::Int(inner, ..) if matches!(**inner, Node::Load(Load::Port(_))) => 1,
        Node::Str(inner, _) if matches!(**inner, Node::Load(Load::Part(..))) => 1,
        _ => 2,
    }
}
