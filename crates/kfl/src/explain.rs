//! What a filter came to: the tree that is evaluated, with types, and the stage at which each part is decided.

use crate::ast::{Logic, Op};
use crate::check::{Env, write_steps};
use crate::error::{Error, Errors};
use crate::filter::Filter;
use crate::kfl2::FUNCTIONS;
use crate::lang::{Lang, Options, Reading, Why, read};
use crate::predicate::{
    Const, Document, FlowEnd, FlowFacts, Fun, Load, Lookup, LoopKind, Node, Reason, Test, TextOp,
    eval,
};
use crate::rows::{self, RowFilter};
use crate::types::Type;
use gillnet_entry::{Bump, Ctx, Name, Nothing, Stage};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

/// What became of a text.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The filter.
    pub filter: Filter,
    /// Why it was read in its spelling: a sentence.
    pub why: String,
    /// The tree that is evaluated.
    pub tree: Part,
    /// Names of the protocols of which entries can match.
    pub protocols: Vec<&'static str>,
    /// Names of the columns that it reads of an index with the usual ones.
    pub columns: Vec<String>,
    /// Whether they decide it for every row; otherwise packets do for some.
    pub columns_decide: bool,
}

/// A part of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// An operator above its operands, or a whole test or value in one line.
    pub text: String,
    /// Its type, as CEL names it.
    pub of: String,
    /// Where it is decided; nothing where it is a constant.
    pub stage: Option<Stage>,
    /// The protocols that have the field it is; none where all have it, or it is no field.
    pub protocols: Vec<&'static str>,
    /// Its operands, but for constants.
    pub parts: Vec<Part>,
}

/// Compiles a filter and tells what it came to.
///
/// # Errors
/// As [`crate::compile`].
pub fn explain(env: &Env, text: &str, options: &Options) -> Result<Explanation, Errors> {
    let Reading { lang, why, lowered } = read(env, text, options);
    if !lowered.faults.is_empty() {
        return Err(Errors::of(lang, lowered.faults, text));
    }
    let filter = Filter::new(env, text, lang, lowered);
    let mut teller = Teller {
        env,
        lang,
        locals: Vec::new(),
    };
    let rows = RowFilter::new(env, &filter, rows::usual(env));
    let columns = rows.columns().iter();
    let mut names: Vec<String> = columns.map(|c| rows::name_of(env, *c)).collect();
    // one of several protocols
    names.sort_unstable();
    names.dedup();
    Ok(Explanation {
        why: because(&why, lang, text),
        tree: teller.part(filter.root()),
        protocols: env.names_of(filter.protocols()),
        columns: names,
        columns_decide: rows.is_whole(),
        filter,
    })
}

fn because(why: &Why, lang: Lang, text: &str) -> String {
    let other = if lang == Lang::Kfl1 { "KFL2" } else { "KFL1" };
    match why {
        Why::Asked => "it was asked for".into(),
        Why::ValidKfl2 => "it is valid KFL2, and nothing in it is at home in KFL1 alone".into(),
        Why::AtHome(span) => {
            let place = text.get(std::ops::Range::from(*span)).unwrap_or("");
            format!("it is valid in both spellings, but `{place}` is at home in KFL1")
        }
        Why::Only(fault) => {
            let Error {
                line,
                column,
                message,
                ..
            } = (**fault).clone().place(text);
            format!("it is not valid as {other}: {line}:{column}: {message}")
        }
        // what is valid in neither has no explanation
        Why::Signs => String::new(),
    }
}

/// Tells what nodes are.
struct Teller<'e> {
    env: &'e Env,
    lang: Lang,
    /// Types of the variables of the loops around, outermost first.
    locals: Vec<Type>,
}

impl Teller<'_> {
    fn part(&mut self, node: &Node) -> Part {
        if let Node::Chain(terms, ops) = node {
            return self.chain(terms, ops);
        }
        let text = match node {
            Node::All(_) => "&&".into(),
            Node::Any(_) => "||".into(),
            Node::Not(_) => "!".into(),
            Node::If(_) => "?:".into(),
            Node::Group(_) => "( )".into(),
            _ => self.text(node),
        };
        let of = self.of(node).name();
        if let Node::Loop(l) = node {
            let item = self.item(&l.range);
            let range = self.part(&l.range);
            self.locals.push(item);
            let inner = l.keep.iter().chain([&l.body]);
            let mut parts: Vec<Part> = inner.map(|n| self.part(n)).collect();
            self.locals.pop();
            parts.insert(0, range);
            return told(text, of, None, parts);
        }
        let protocols = match node {
            Node::Load(load) => self.env.called(load, self.lang).protocols,
            Node::Flag(flag) => self
                .env
                .names_of(crate::ProtocolSet::from_bits(flag.always | flag.asked)),
            _ => Vec::new(),
        };
        let parts: Vec<Part> = below(node)
            .into_iter()
            .filter(|n| !matches!(n, Node::Const(_)))
            .map(|n| self.part(n))
            .collect();
        Part {
            protocols,
            ..told(text, of, self.stage(node), parts)
        }
    }

    /// Terms of KFL1, as they group from the right.
    fn chain(&mut self, terms: &[Node], ops: &[Logic]) -> Part {
        let (Some((first, rest)), Some((op, later))) = (terms.split_first(), ops.split_first())
        else {
            return terms.first().map_or_else(
                || told(String::new(), "bool".into(), None, Vec::new()),
                |only| self.part(only),
            );
        };
        let mut parts = vec![self.part(first)];
        let last = self.chain(rest, later);
        let sign = if *op == Logic::And { "and" } else { "or" };
        // the same operator again continues this one
        if later.first() == Some(op) {
            parts.extend(last.parts);
        } else {
            parts.push(last);
        }
        told(sign.into(), "bool".into(), None, parts)
    }

    /// Where a node without operands is decided: what its evaluation says when ever more is known.
    fn stage(&self, node: &Node) -> Option<Stage> {
        match node {
            Node::Const(_) | Node::Fail(_) | Node::Redact(_) | Node::Local(_) => return None,
            _ if !below(node).is_empty() => return None,
            _ => {}
        }
        let all = self.env.bits().fold(0, |all, bit| all | bit);
        let named = Name::default();
        let decided = |name: Option<&Name>, possible: u64| {
            let arena = Bump::new();
            let end = FlowEnd {
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
                port: 1,
                name,
            };
            let facts = FlowFacts {
                src: Some(end),
                dst: Some(end),
                tls: name.map(|_| false),
                possible,
                ctx: Ctx {
                    store: &Nothing,
                    arena: &arena,
                },
                steps: Cell::new(0),
            };
            !matches!(eval(node, &facts, None), Err(Reason::Unknown))
        };
        Some(if decided(None, all) {
            Stage::Packet
        } else if decided(Some(&named), all) {
            Stage::Flow
        } else if self.env.bits().all(|bit| decided(Some(&named), bit)) {
            Stage::Head
        } else {
            Stage::Entry
        })
    }

    /// A test or value in one line.
    fn text(&mut self, node: &Node) -> String {
        match node {
            Node::Const(constant) => literal(constant),
            Node::Fail(reason) => format!("({reason})"),
            Node::Load(load) => self.env.called(load, self.lang).name,
            Node::Local(depth) => variable(self.locals.len(), *depth),
            Node::Flag(flag) => flag.name.to_string(),
            Node::All(nodes) => self.joined(nodes, " && "),
            Node::Any(nodes) => format!("({})", self.joined(nodes, " || ")),
            Node::Not(inner) => format!("!({})", self.text(inner)),
            Node::If(abc) => {
                let [a, b, c] = [&abc.0, &abc.1, &abc.2].map(|n| self.text(n));
                format!("({a} ? {b} : {c})")
            }
            Node::Ip(side, ip) => {
                format!(
                    "{} == \"{ip}\"",
                    self.env.called(&Load::Ip(*side), self.lang).name
                )
            }
            Node::Int(inner, op, constant) => {
                format!("{} {} {constant}", self.text(inner), op.sign())
            }
            Node::Str(inner, constant) => format!("{} == {constant:?}", self.text(inner)),
            Node::Match(inner, test) => self.tested(inner, test, false),
            Node::InInts(inner, list) => format!("{} in {list:?}", self.text(inner)),
            Node::InStrs(inner, list) => format!("{} in {list:?}", self.text(inner)),
            Node::InBoth(part, constant) => {
                let list = self.env.called(&Load::Both(*part), self.lang).name;
                format!("{constant:?} in {list}")
            }
            Node::Key(lookup) => self.lookup(lookup),
            Node::Has(lookup) => {
                format!(
                    "{} in {}",
                    self.text(&lookup.key),
                    self.text(&lookup.holder)
                )
            }
            Node::Under(lookup) => format!("has({})", self.lookup(lookup)),
            Node::KeyOr(lookup, other) => {
                let (holder, key) = (self.text(&lookup.holder), self.text(&lookup.key));
                format!("map_get({holder}, {key}, {})", self.text(other))
            }
            Node::Binary(op, ab) | Node::Order(op, ab) => {
                format!("{} {} {}", self.text(&ab.0), op.sign(), self.text(&ab.1))
            }
            Node::Neg(inner) => format!("-{}", self.text(inner)),
            Node::Call(fun, args) => format!("{}({})", called(*fun), self.joined(args, ", ")),
            Node::List(items) => format!("[{}]", self.joined(items, ", ")),
            Node::Map(pairs) => {
                let pairs = pairs.iter();
                let shown = pairs.map(|(k, v)| format!("{}: {}", self.text(k), self.text(v)));
                format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
            }
            Node::Loop(l) => {
                let (item, range) = (self.item(&l.range), self.text(&l.range));
                self.locals.push(item);
                let mut args = vec![variable(self.locals.len(), 0)];
                args.extend(l.keep.iter().chain([&l.body]).map(|n| self.text(n)));
                self.locals.pop();
                format!("{range}.{}({})", kind(l.kind), args.join(", "))
            }
            Node::Chain(terms, ops) => {
                let mut text = String::from("(");
                for (i, term) in terms.iter().enumerate() {
                    text.push_str(&self.text(term));
                    text.push_str(match ops.get(i) {
                        Some(Logic::And) => " and ",
                        Some(Logic::Or) => " or ",
                        None => ")",
                    });
                }
                text
            }
            Node::Group(inner) => self.text(inner),
            Node::Truthy(inner) => format!("{} is set", self.text(inner)),
            Node::Flip(inner) => format!("!{}", self.text(inner)),
            Node::Plain(inner, constant, not) => {
                format!(
                    "{} {} {}",
                    self.text(inner),
                    equal(*not),
                    constant.literal()
                )
            }
            Node::Same(ab, not) => {
                format!("{} {} {}", self.text(&ab.0), equal(*not), self.text(&ab.1))
            }
            Node::Like(inner, test, not) => self.tested(inner, test, *not),
            Node::Text(op, ab) => {
                let name = match op {
                    TextOp::Contains => "contains",
                    TextOp::StartsWith => "startsWith",
                    TextOp::EndsWith => "endsWith",
                };
                format!("{}.{name}({})", self.text(&ab.0), self.text(&ab.1))
            }
            Node::Redact(_) => "redact(…)".into(),
            Node::Document(document, inner, steps) => {
                let name = match document {
                    Document::Json => "json",
                    Document::Xml => "xml",
                };
                let mut text = format!("{}.{name}()", self.text(inner));
                write_steps(steps, &mut text);
                text
            }
        }
    }

    fn joined(&mut self, nodes: &[Node], between: &str) -> String {
        let shown: Vec<String> = nodes.iter().map(|n| self.text(n)).collect();
        shown.join(between)
    }

    fn tested(&mut self, inner: &Node, test: &Test, not: bool) -> String {
        let (name, operand) = test.told();
        let not = if not { "not " } else { "" };
        format!("{} {not}{name} {operand:?}", self.text(inner))
    }

    fn lookup(&mut self, lookup: &Lookup) -> String {
        format!("{}[{}]", self.text(&lookup.holder), self.text(&lookup.key))
    }

    /// The type of the elements that a loop goes over.
    fn item(&mut self, range: &Node) -> Type {
        match self.of(range) {
            Type::List(item) => *item,
            of => of.pair().map_or(Type::Dyn, |(key, _)| key),
        }
    }

    fn of(&mut self, node: &Node) -> Type {
        match node {
            node if node.is_test() => Type::Bool,
            Node::Const(constant) => match constant {
                Const::Null => Type::Null,
                Const::Bool(_) => Type::Bool,
                Const::Int(_) => Type::Int,
                Const::UInt(_) => Type::UInt,
                Const::Double(_) => Type::Double,
                Const::Str(_) => Type::Str,
                Const::Bytes(_) => Type::Bytes,
                Const::Time(_) => Type::Time,
                Const::Duration(_) => Type::Duration,
                Const::Type(_) => Type::Meta,
            },
            Node::Load(load) => self.env.called(load, self.lang).of,
            Node::Local(depth) => {
                let at = self.locals.len().checked_sub(usize::from(*depth) + 1);
                at.and_then(|at| self.locals.get(at).cloned())
                    .unwrap_or(Type::Dyn)
            }
            Node::If(abc) => self.of(&abc.1).or(&self.of(&abc.2)),
            Node::Key(lookup) => self.value(lookup),
            Node::KeyOr(lookup, other) => self.value(lookup).or(&self.of(other)),
            Node::Binary(op, ab) => {
                let (a, b) = (self.of(&ab.0), self.of(&ab.1));
                crate::kfl2::arithmetic(*op, &a, &b).unwrap_or(Type::Dyn)
            }
            Node::Neg(inner) | Node::Flip(inner) | Node::Group(inner) => self.of(inner),
            Node::Call(fun, args) => {
                let args: Vec<Type> = args.iter().map(|a| self.of(a)).collect();
                let fits = FUNCTIONS.iter().filter(|f| {
                    f.fun == *fun
                        && f.args.len() == args.len()
                        && f.args.iter().zip(&args).all(|(ty, of)| ty.takes(of))
                });
                fits.map(|f| f.result.of())
                    .reduce(|a, b| a.or(&b))
                    .unwrap_or(Type::Dyn)
            }
            Node::List(items) => {
                let of = items.iter().map(|i| self.of(i)).reduce(|a, b| a.or(&b));
                Type::List(Box::new(of.unwrap_or(Type::Dyn)))
            }
            Node::Map(pairs) => {
                let of = pairs.iter().map(|(k, v)| (self.of(k), self.of(v)));
                let of = of.reduce(|a, b| (a.0.or(&b.0), a.1.or(&b.1)));
                Type::Map(Box::new(of.unwrap_or((Type::Dyn, Type::Dyn))))
            }
            Node::Loop(l) => {
                let item = self.item(&l.range);
                if l.kind == LoopKind::Filter {
                    return Type::List(Box::new(item));
                }
                self.locals.push(item);
                let of = self.of(&l.body);
                self.locals.pop();
                Type::List(Box::new(of))
            }
            _ => Type::Dyn,
        }
    }

    fn value(&mut self, lookup: &Lookup) -> Type {
        match self.of(&lookup.holder) {
            Type::List(item) => *item,
            of => of.pair().map_or(Type::Dyn, |(_, value)| value),
        }
    }
}

/// A part that is decided where the last of its parts is.
fn told(text: String, of: String, own: Option<Stage>, parts: Vec<Part>) -> Part {
    let stage = parts.iter().filter_map(|p| p.stage).chain(own).max();
    Part {
        text,
        of,
        stage,
        protocols: Vec::new(),
        parts,
    }
}

/// The operands of a node.
fn below(node: &Node) -> Vec<&Node> {
    let mut own = Vec::new();
    node.each(&mut |operand| own.push(operand));
    own
}

fn literal(constant: &Const) -> String {
    match constant {
        Const::Null => "null".into(),
        Const::Bool(v) => v.to_string(),
        Const::Int(v) => v.to_string(),
        Const::UInt(v) => format!("{v}u"),
        Const::Double(v) => format!("{v:?}"),
        Const::Str(v) => format!("{v:?}"),
        Const::Bytes(v) => format!("b\"{}\"", v.escape_ascii()),
        Const::Time(v) => i64::try_from(v.total()).map_or_else(
            |_| "timestamp(…)".into(),
            |ns| format!("timestamp(\"{}\")", gillnet_entry::time::Rfc3339(ns)),
        ),
        Const::Duration(v) => format!("duration(\"{}ns\")", v.total()),
        Const::Type(v) => (*v).into(),
    }
}

/// The variable of a loop, named by how many are around it.
fn variable(around: usize, depth: u16) -> String {
    let at = around.saturating_sub(usize::from(depth) + 1);
    match at {
        0 => "x".into(),
        n => format!("x{n}"),
    }
}

fn equal(not: bool) -> &'static str {
    if not { Op::Ne.sign() } else { Op::Eq.sign() }
}

fn called(fun: Fun) -> &'static str {
    if fun == Fun::Recorded {
        return "record";
    }
    FUNCTIONS
        .iter()
        .find(|f| f.fun == fun)
        .map_or("", |f| f.name)
}

fn kind(kind: LoopKind) -> &'static str {
    match kind {
        LoopKind::All => "all",
        LoopKind::Exists => "exists",
        LoopKind::ExistsOne => "exists_one",
        LoopKind::Filter => "filter",
        LoopKind::Map => "map",
    }
}
