//! Evaluation: a walk over the tree. Nothing is allocated but in the scratch space of the entry.

use super::facts::Facts;
use super::functions::apply;
use super::value::{Number, compare, equal};
use super::{
    Document, Load, Lookup, Loop, LoopKind, Nanos, Node, Part, Reason, Side, TextOp, Val, json,
    path, text, xml,
};
use crate::ast::{Logic, Op};
use bumpalo::collections::Vec as List;
use gillnet_entry::{Ctx, Kind};

/// Variables of the loops that are running, innermost first.
pub(crate) struct Frame<'l, 'v> {
    value: Val<'v>,
    outer: Option<&'l Frame<'l, 'v>>,
}

type Frames<'l, 'v> = Option<&'l Frame<'l, 'v>>;

/// Arguments that a function of CEL takes at most.
pub(crate) const MAX_ARGS: usize = 3;

/// Evaluates a test.
pub(crate) fn test<'v, F: Facts<'v>>(
    node: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    match node {
        Node::Flag(flag) => facts.flag(flag),
        Node::All(nodes) => joined(nodes, false, facts, frames),
        Node::Any(nodes) => joined(nodes, true, facts, frames),
        Node::Not(inner) => test(inner, facts, frames).map(|v| !v),
        Node::Ip(side, ip) => facts
            .end(*side)
            .map(|(is, _)| is == *ip)
            .ok_or(Reason::Unknown),
        Node::Int(inner, op, constant) => match eval(inner, facts, frames)? {
            Val::Int(v) => Ok(text::holds(*op, v.cmp(constant))),
            v => order(*op, v, Val::Int(*constant)),
        },
        Node::Str(inner, constant) => {
            Ok(matches!(eval(inner, facts, frames)?, Val::Str(v) if v == &**constant))
        }
        Node::Match(inner, prepared) => match eval(inner, facts, frames)? {
            Val::Str(v) => Ok(prepared.holds(v)),
            _ => Err(Reason::NoSuchOverload),
        },
        Node::InInts(inner, list) => Ok(in_ints(eval(inner, facts, frames)?, list)),
        Node::InStrs(inner, list) => {
            Ok(matches!(eval(inner, facts, frames)?, Val::Str(v) if list.iter().any(|s| &**s == v)))
        }
        Node::InBoth(part, constant) => in_both(*part, constant, facts),
        Node::Redact(id) => {
            facts.redact(*id);
            Ok(true)
        }
        Node::Has(lookup) => has(lookup, facts, frames),
        Node::Under(lookup) => find(lookup, facts, frames).map(|found| found.is_some()),
        Node::Binary(op, ab) => binary_test(*op, ab, facts, frames),
        Node::Loop(l) => loop_test(l, facts, frames),
        Node::If(abc) => test(
            if test(&abc.0, facts, frames)? {
                &abc.1
            } else {
                &abc.2
            },
            facts,
            frames,
        ),
        Node::Chain(nodes, ops) => chain(nodes, ops, facts, frames),
        Node::Group(inner) => match test(inner, facts, frames) {
            Err(Reason::Missing) => Ok(false),
            result => result,
        },
        Node::Truthy(inner) => eval(inner, facts, frames).map(text::truthy),
        Node::Plain(inner, constant, not) => {
            Ok(constant.equals(eval(inner, facts, frames)?) != *not)
        }
        Node::Like(inner, prepared, not) => {
            Ok(text::like(prepared, eval(inner, facts, frames)?, &facts.ctx()) != *not)
        }
        Node::Same(ab, not) => {
            let (a, b) = (eval(&ab.0, facts, frames)?, eval(&ab.1, facts, frames)?);
            Ok(text::same(a, b, &facts.ctx()) != *not)
        }
        Node::Order(op, ab) => Ok(text::ordered(
            *op,
            eval(&ab.0, facts, frames)?,
            eval(&ab.1, facts, frames)?,
        )),
        Node::Text(op, ab) => text_helper(*op, ab, facts, frames),
        _ => match eval(node, facts, frames)? {
            Val::Bool(v) => Ok(v),
            _ => Err(Reason::NoSuchOverload),
        },
    }
}

/// Evaluates an expression to its value.
pub(crate) fn eval<'v, F: Facts<'v>>(
    node: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<Val<'v>, Reason> {
    match node {
        Node::Load(load) => facts.load(load),
        Node::Const(constant) => Ok(constant.val()),
        Node::Fail(reason) => Err(*reason),
        Node::Local(depth) => local(*depth, frames).ok_or(Reason::NoSuchKey),
        Node::Key(lookup) => find(lookup, facts, frames)?.ok_or(Reason::NoSuchKey),
        Node::KeyOr(lookup, other) => match find(lookup, facts, frames)? {
            Some(value) => Ok(value),
            None => eval(other, facts, frames),
        },
        Node::Binary(op @ (Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Rem), ab) => {
            let (a, b) = (eval(&ab.0, facts, frames)?, eval(&ab.1, facts, frames)?);
            arithmetic(*op, a, b, &facts.ctx())
        }
        Node::Neg(inner) => negate(eval(inner, facts, frames)?),
        Node::Call(fun, args) => {
            let mut values = [Val::Null; MAX_ARGS];
            for (slot, arg) in values.iter_mut().zip(args) {
                *slot = eval(arg, facts, frames)?;
            }
            apply(
                *fun,
                values.get(..args.len()).ok_or(Reason::NoSuchOverload)?,
                &facts.ctx(),
            )
        }
        Node::If(abc) => eval(
            if test(&abc.0, facts, frames)? {
                &abc.1
            } else {
                &abc.2
            },
            facts,
            frames,
        ),
        Node::List(nodes) => {
            let mut list = List::with_capacity_in(nodes.len(), facts.ctx().arena);
            for node in nodes {
                list.push(eval(node, facts, frames)?);
            }
            Ok(Val::List(list.into_bump_slice()))
        }
        Node::Map(pairs) => make_map(pairs, facts, frames),
        Node::Loop(l) if matches!(l.kind, LoopKind::Filter | LoopKind::Map) => {
            loop_list(l, facts, frames)
        }
        Node::Group(inner) => match eval(inner, facts, frames) {
            Err(Reason::Missing) => Ok(Val::Bool(false)),
            result => result,
        },
        Node::Flip(inner) => Ok(match eval(inner, facts, frames)? {
            Val::Bool(v) => Val::Bool(!v),
            v => v,
        }),
        Node::Document(kind, inner, steps) => {
            let ctx = facts.ctx();
            let source = text::text(eval(inner, facts, frames)?, &ctx).ok_or(Reason::Missing)?;
            let document = match kind {
                Document::Json => json::read(source, &ctx),
                Document::Xml => xml::read(source, &ctx),
            };
            path::walk(document.ok_or(Reason::Missing)?, steps, &ctx)
        }
        _ => test(node, facts, frames).map(Val::Bool),
    }
}

/// `&&` and `||` of KFL2: an operand that decides wins over errors on either side of it; `decides` is its value.
fn joined<'v, F: Facts<'v>>(
    nodes: &'v [Node],
    decides: bool,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let mut result = Ok(!decides);
    for node in nodes {
        match test(node, facts, frames) {
            Ok(v) if v == decides => return Ok(decides),
            Ok(_) => {}
            Err(reason) => result = worse(result, reason),
        }
    }
    result
}

/// The error of several: what is not known yet may still become an answer, so it stands above all others.
fn worse(result: Result<bool, Reason>, reason: Reason) -> Result<bool, Reason> {
    match result {
        Err(first) if reason != Reason::Unknown => Err(first),
        _ => Err(reason),
    }
}

/// `and` and `or` of KFL1, grouped from the right, each deciding as soon as it can.
///
/// With terms that are not known yet: behind an unknown `and` only a false end is certain; behind an unknown `or`
/// nothing is, as its left side might still be missing and thereby end all.
fn chain<'v, F: Facts<'v>>(
    nodes: &'v [Node],
    ops: &[Logic],
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let mut unknown = false;
    let mut last = Ok(true);
    for (i, node) in nodes.iter().enumerate() {
        last = test(node, facts, frames);
        match (last, ops.get(i)) {
            (Ok(false), Some(Logic::And)) | (Ok(true), Some(Logic::Or)) => break,
            (Ok(_), Some(_)) => {}
            (Err(Reason::Unknown), Some(Logic::And)) => unknown = true,
            _ => break,
        }
    }
    match last {
        Ok(true) if unknown => Err(Reason::Unknown),
        Err(Reason::Missing) if unknown => Ok(false),
        result => result,
    }
}

fn local<'v>(depth: u16, frames: Frames<'_, 'v>) -> Option<Val<'v>> {
    let mut at = frames;
    for _ in 0..depth {
        at = at?.outer;
    }
    at.map(|frame| frame.value)
}

fn in_ints(value: Val<'_>, list: &[i64]) -> bool {
    match value {
        Val::Int(v) => list.contains(&v),
        v => list.iter().any(|i| equal(v, Val::Int(*i))),
    }
}

fn in_both<'v, F: Facts<'v>>(part: Part, constant: &str, facts: &F) -> Result<bool, Reason> {
    let is = |side| facts.name(side).map(|name| part.of(name) == constant);
    match (is(Side::Src), is(Side::Dst)) {
        (Some(true), _) | (_, Some(true)) => Ok(!constant.is_empty()),
        (Some(false), Some(false)) => Ok(false),
        _ => Err(Reason::Unknown),
    }
}

/// What a look-up finds; a position outside a list is an error.
fn find<'v, F: Facts<'v>>(
    lookup: &'v Lookup,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<Option<Val<'v>>, Reason> {
    let key = eval(&lookup.key, facts, frames)?;
    if let (
        Node::Load(Load::Own(fields, Kind::Headers | Kind::StrMap)),
        Val::Str(name),
        Some(entry),
    ) = (&lookup.holder, key, facts.entry())
    {
        let field = fields.get(usize::from(entry.protocol)).copied().flatten();
        return Ok(field.and_then(|field| {
            Val::of(
                entry
                    .record
                    .key(field, name, lookup.ignore_case, &entry.ctx),
            )
        }));
    }
    let holder = eval(&lookup.holder, facts, frames)?;
    if holder.list_len().is_some() {
        return match position(key)? {
            Some(i) => holder.item(i).map(Some).ok_or(Reason::OutOfRange),
            None => Err(Reason::OutOfRange),
        };
    }
    if holder.map_len().is_none() {
        return Err(Reason::NoSuchOverload);
    }
    Ok(holder.key(key, lookup.ignore_case))
}

/// A position in a list; whole numbers of any type are.
fn position(key: Val<'_>) -> Result<Option<usize>, Reason> {
    match Number::of(key) {
        Some(Number::Whole(v)) => Ok(usize::try_from(v).ok()),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // whole and in range by the guard
        Some(Number::Real(v)) if v.fract() == 0.0 && (0.0..1e9).contains(&v) => {
            Ok(Some(v as usize))
        }
        Some(Number::Real(_)) => Ok(None),
        None => Err(Reason::NoSuchOverload),
    }
}

fn has<'v, F: Facts<'v>>(
    lookup: &'v Lookup,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    if let Node::Load(Load::Own(_, Kind::Headers | Kind::StrMap)) = lookup.holder {
        return find(lookup, facts, frames).map(|found| found.is_some());
    }
    let key = eval(&lookup.key, facts, frames)?;
    let holder = eval(&lookup.holder, facts, frames)?;
    if let Some(n) = holder.list_len() {
        return Ok((0..n).any(|i| holder.item(i).is_some_and(|item| equal(item, key))));
    }
    match holder.map_len() {
        Some(_) => Ok(holder.key(key, lookup.ignore_case).is_some()),
        None => Err(Reason::NoSuchOverload),
    }
}

fn order(op: Op, a: Val<'_>, b: Val<'_>) -> Result<bool, Reason> {
    match op {
        Op::Eq => Ok(equal(a, b)),
        Op::Ne => Ok(!equal(a, b)),
        // what is not a number has no order
        _ => compare(a, b)?
            .map(|order| text::holds(op, order))
            .ok_or(Reason::NoSuchOverload),
    }
}

fn binary_test<'v, F: Facts<'v>>(
    op: Op,
    ab: &'v (Node, Node),
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let (a, b) = (eval(&ab.0, facts, frames)?, eval(&ab.1, facts, frames)?);
    match op {
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Rem | Op::In => Err(Reason::NoSuchOverload),
        _ => order(op, a, b),
    }
}

fn arithmetic<'v>(op: Op, a: Val<'v>, b: Val<'v>, ctx: &Ctx<'v>) -> Result<Val<'v>, Reason> {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => ints(op, a, b),
        (Val::UInt(a), Val::UInt(b)) => uints(op, a, b),
        (Val::Double(a), Val::Double(b)) => doubles(op, a, b),
        (Val::Time(_) | Val::Duration(_), _) => times(op, a, b),
        _ if op == Op::Add => concat(a, b, ctx),
        _ => Err(Reason::NoSuchOverload),
    }
}

fn ints(op: Op, a: i64, b: i64) -> Result<Val<'static>, Reason> {
    if b == 0 && matches!(op, Op::Div | Op::Rem) {
        return Err(Reason::DivisionByZero);
    }
    let result = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div => a.checked_div(b),
        Op::Rem => a.checked_rem(b),
        _ => return Err(Reason::NoSuchOverload),
    };
    result.map(Val::Int).ok_or(Reason::Overflow)
}

fn uints(op: Op, a: u64, b: u64) -> Result<Val<'static>, Reason> {
    if b == 0 && matches!(op, Op::Div | Op::Rem) {
        return Err(Reason::DivisionByZero);
    }
    let result = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div => a.checked_div(b),
        Op::Rem => a.checked_rem(b),
        _ => return Err(Reason::NoSuchOverload),
    };
    result.map(Val::UInt).ok_or(Reason::Overflow)
}

fn doubles(op: Op, a: f64, b: f64) -> Result<Val<'static>, Reason> {
    Ok(Val::Double(match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        _ => return Err(Reason::NoSuchOverload),
    }))
}

fn times(op: Op, a: Val<'_>, b: Val<'_>) -> Result<Val<'static>, Reason> {
    match (op, a, b) {
        (Op::Add, Val::Time(a), Val::Duration(b)) | (Op::Add, Val::Duration(a), Val::Time(b)) => {
            Nanos::moment(a.total() + b.total()).map(Val::Time)
        }
        (Op::Sub, Val::Time(a), Val::Duration(b)) => {
            Nanos::moment(a.total() - b.total()).map(Val::Time)
        }
        (Op::Sub, Val::Time(a), Val::Time(b)) => {
            Nanos::duration(a.total() - b.total()).map(Val::Duration)
        }
        (Op::Add, Val::Duration(a), Val::Duration(b)) => {
            Nanos::duration(a.total() + b.total()).map(Val::Duration)
        }
        (Op::Sub, Val::Duration(a), Val::Duration(b)) => {
            Nanos::duration(a.total() - b.total()).map(Val::Duration)
        }
        _ => Err(Reason::NoSuchOverload),
    }
}

fn concat<'v>(a: Val<'v>, b: Val<'v>, ctx: &Ctx<'v>) -> Result<Val<'v>, Reason> {
    match (a, b) {
        (Val::Str(a), Val::Str(b)) => {
            let mut text =
                bumpalo::collections::String::with_capacity_in(a.len() + b.len(), ctx.arena);
            text.push_str(a);
            text.push_str(b);
            Ok(Val::Str(text.into_bump_str()))
        }
        (Val::Bytes(a), Val::Bytes(b)) => Ok(Val::Bytes(ctx.list(a.iter().chain(b).copied()))),
        _ => match (a.list_len(), b.list_len()) {
            (Some(n), Some(m)) => {
                let items = (0..n)
                    .filter_map(|i| a.item(i))
                    .chain((0..m).filter_map(|i| b.item(i)));
                Ok(Val::List(ctx.list(items)))
            }
            _ => Err(Reason::NoSuchOverload),
        },
    }
}

fn negate(value: Val<'_>) -> Result<Val<'_>, Reason> {
    match value {
        Val::Int(v) => v.checked_neg().map(Val::Int).ok_or(Reason::Overflow),
        Val::Double(v) => Ok(Val::Double(-v)),
        _ => Err(Reason::NoSuchOverload),
    }
}

fn make_map<'v, F: Facts<'v>>(
    pairs: &'v [(Node, Node)],
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<Val<'v>, Reason> {
    let mut map: List<'_, (Val<'v>, Val<'v>)> =
        List::with_capacity_in(pairs.len(), facts.ctx().arena);
    for (key, value) in pairs {
        facts.step()?;
        let key = eval(key, facts, frames)?;
        if !matches!(key, Val::Bool(_) | Val::Int(_) | Val::UInt(_) | Val::Str(_)) {
            return Err(Reason::NoSuchOverload);
        }
        if map.iter().any(|(k, _)| equal(*k, key)) {
            return Err(Reason::NoSuchKey);
        }
        map.push((key, eval(value, facts, frames)?));
    }
    Ok(Val::Map(map.into_bump_slice()))
}

/// Elements of a range: those of a list, the keys of a map.
fn element<'v>(range: Val<'v>, i: usize) -> Option<Val<'v>> {
    match range.list_len() {
        Some(_) => range.item(i),
        None => range.pair(i).map(|(key, _)| key),
    }
}

fn range_len(range: Val<'_>) -> Result<usize, Reason> {
    range
        .list_len()
        .or(range.map_len())
        .ok_or(Reason::NoSuchOverload)
}

fn loop_test<'v, F: Facts<'v>>(
    l: &'v Loop,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let range = eval(&l.range, facts, frames)?;
    let decides = l.kind == LoopKind::Exists;
    let (mut result, mut found) = (Ok(!decides), 0u32);
    for i in 0..range_len(range)? {
        facts.step()?;
        let Some(value) = element(range, i) else {
            continue;
        };
        let inner = Frame {
            value,
            outer: frames,
        };
        match (l.kind, test(&l.body, facts, Some(&inner))) {
            (LoopKind::ExistsOne, held) => found += u32::from(held?),
            (_, Ok(v)) if v == decides => return Ok(decides),
            (_, Ok(_)) => {}
            (_, Err(reason)) => result = worse(result, reason),
        }
    }
    match l.kind {
        LoopKind::ExistsOne => Ok(found == 1),
        LoopKind::All | LoopKind::Exists => result,
        LoopKind::Filter | LoopKind::Map => Err(Reason::NoSuchOverload),
    }
}

fn loop_list<'v, F: Facts<'v>>(
    l: &'v Loop,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<Val<'v>, Reason> {
    let range = eval(&l.range, facts, frames)?;
    let mut list = List::new_in(facts.ctx().arena);
    for i in 0..range_len(range)? {
        facts.step()?;
        let Some(value) = element(range, i) else {
            continue;
        };
        let inner = Frame {
            value,
            outer: frames,
        };
        if let Some(keep) = &l.keep
            && !test(keep, facts, Some(&inner))?
        {
            continue;
        }
        if l.kind == LoopKind::Map {
            list.push(eval(&l.body, facts, Some(&inner))?);
        } else if test(&l.body, facts, Some(&inner))? {
            list.push(value);
        }
    }
    Ok(Val::List(list.into_bump_slice()))
}

/// A helper of KFL1; one on a field that is missing is false.
fn text_helper<'v, F: Facts<'v>>(
    op: TextOp,
    ab: &'v (Node, Node),
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let target = match eval(&ab.0, facts, frames) {
        Err(Reason::Missing) => return Ok(false),
        target => target?,
    };
    let ctx = facts.ctx();
    let operand = eval(&ab.1, facts, frames)?;
    let Some(operand) = text::text(operand, &ctx) else {
        return Ok(false);
    };
    let holds = |value| {
        text::text(value, &ctx).is_some_and(|text| match op {
            TextOp::Contains => memchr::memmem::find(text.as_bytes(), operand.as_bytes()).is_some(),
            TextOp::StartsWith => text.starts_with(operand),
            TextOp::EndsWith => text.ends_with(operand),
        })
    };
    Ok(match target.list_len() {
        Some(n) => (0..n).any(|i| target.item(i).is_some_and(holds)),
        None => holds(target),
    })
}
