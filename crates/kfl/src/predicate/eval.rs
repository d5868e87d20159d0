//! Evaluation: a walk over the tree. Nothing is allocated but in the scratch space of the entry.

use super::direct::{under, with};
use super::facts::Facts;
use super::functions::apply;
use super::value::{Number, compare, equal};
use super::{
    Const, Document, Fun, Lookup, Loop, LoopKind, Nanos, Node, PATTERN_STEPS, Part, Plain, Reason,
    Side, Test, TextOp, Val, json, path, text, xml,
};
use crate::ast::{Logic, Op};
use bumpalo::collections::Vec as List;
use gillnet_entry::{Ctx, Value};
use std::net::IpAddr;

/// Variables of the loops that are running, innermost first.
pub(crate) struct Frame<'l, 'v> {
    value: Val<'v>,
    outer: Option<&'l Frame<'l, 'v>>,
}

pub(super) type Frames<'l, 'v> = Option<&'l Frame<'l, 'v>>;

/// Arguments that a function of CEL takes at most.
pub(crate) const MAX_ARGS: usize = 3;

/// Evaluates a test.
pub(crate) fn test<'v, F: Facts<'v>>(
    node: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    // nothing but jumps: what needs registers or room on the stack has a function of its own
    match node {
        Node::Flag(flag) => facts.flag(flag),
        Node::All(nodes) => joined(nodes, false, facts, frames),
        Node::Any(nodes) => joined(nodes, true, facts, frames),
        Node::Not(inner) => not(inner, facts, frames),
        Node::Ip(side, ip) => is_ip(*side, ip, facts),
        Node::Int(inner, op, constant) => int(inner, *op, *constant, facts, frames),
        Node::Str(inner, constant) => str(inner, constant, facts, frames),
        Node::Match(inner, prepared) => matching(inner, prepared, facts, frames),
        Node::InInts(inner, list) => among_ints(inner, list, facts, frames),
        Node::InStrs(inner, list) => among_strs(inner, list, facts, frames),
        Node::InBoth(part, constant) => in_both(*part, constant, facts),
        Node::Redact(id) => redact(*id, facts),
        Node::Has(lookup) => has(lookup, facts, frames),
        Node::Under(lookup) => find(lookup, facts, frames).map(|found| found.is_some()),
        Node::Binary(op, ab) => binary_test(*op, ab, facts, frames),
        Node::Loop(l) => loop_test(l, facts, frames),
        Node::If(abc) => choice(abc, facts, frames),
        Node::Chain(nodes, ops) => chain(nodes, ops, facts, frames),
        Node::Group(inner) => group(inner, facts, frames),
        Node::Truthy(inner) => truthy(inner, facts, frames),
        Node::Plain(inner, constant, not) => plain(inner, constant, *not, facts, frames),
        Node::Like(inner, prepared, not) => like(inner, prepared, *not, facts, frames),
        Node::Same(ab, not) => same(ab, *not, facts, frames),
        Node::Order(op, ab) => ordered(*op, ab, facts, frames),
        Node::Text(op, ab) => text_helper(*op, ab, facts, frames),
        _ => by_value(node, facts, frames),
    }
}

#[inline(never)]
fn not<'v, F: Facts<'v>>(
    inner: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    test(inner, facts, frames).map(|v| !v)
}

#[inline(never)]
fn is_ip<'v, F: Facts<'v>>(side: Side, ip: &IpAddr, facts: &F) -> Result<bool, Reason> {
    facts.ip(side).map(|of| of == *ip).ok_or(Reason::Unknown)
}

#[inline(never)]
fn redact<'v, F: Facts<'v>>(id: u8, facts: &F) -> Result<bool, Reason> {
    facts.redact(id);
    Ok(true)
}

#[inline(never)]
fn choice<'v, F: Facts<'v>>(
    abc: &'v (Node, Node, Node),
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let chosen = if test(&abc.0, facts, frames)? {
        &abc.1
    } else {
        &abc.2
    };
    test(chosen, facts, frames)
}

#[inline(never)]
fn group<'v, F: Facts<'v>>(
    inner: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    match test(inner, facts, frames) {
        Err(Reason::Missing) => Ok(false),
        result => result,
    }
}

#[inline(never)]
fn by_value<'v, F: Facts<'v>>(
    node: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    match eval(node, facts, frames)? {
        Val::Bool(v) => Ok(v),
        _ => Err(Reason::NoSuchOverload),
    }
}

// Tests of one operand. They stay out of the walk above, whose frames are many where groups are nested.

#[inline(never)]
fn int<'v, F: Facts<'v>>(
    inner: &'v Node,
    op: Op,
    constant: i64,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let other = |v| order(op, v, Val::Int(constant));
    let int = |v: i64| Ok(text::holds(op, v.cmp(&constant)));
    with(inner, facts, frames, |v| other(Val::Str(v)), int, other)
}

#[inline(never)]
fn str<'v, F: Facts<'v>>(
    inner: &'v Node,
    constant: &str,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let text = |v| Ok(text::alike(v, constant));
    let other = |v| Ok(matches!(v, Val::Str(v) if text::alike(v, constant)));
    with(inner, facts, frames, text, |_| Ok(false), other)
}

#[inline(never)]
fn matching<'v, F: Facts<'v>>(
    inner: &'v Node,
    prepared: &Test,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let text = |v: &str| Ok(prepared.holds(v));
    let other = |v| match v {
        Val::Str(v) => text(v),
        _ => Err(Reason::NoSuchOverload),
    };
    let int = |_| Err(Reason::NoSuchOverload);
    with(inner, facts, frames, text, int, other)
}

#[inline(never)]
fn among_ints<'v, F: Facts<'v>>(
    inner: &'v Node,
    list: &[i64],
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let other = |v| Ok(list.iter().any(|i| equal(v, Val::Int(*i))));
    let int = |v| Ok(list.contains(&v));
    with(inner, facts, frames, |v| other(Val::Str(v)), int, other)
}

#[inline(never)]
fn among_strs<'v, F: Facts<'v>>(
    inner: &'v Node,
    list: &[Box<str>],
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let text = |v: &str| Ok(list.iter().any(|s| text::alike(s, v)));
    let other = |v| match v {
        Val::Str(v) => text(v),
        _ => Ok(false),
    };
    with(inner, facts, frames, text, |_| Ok(false), other)
}

#[inline(never)]
fn truthy<'v, F: Facts<'v>>(
    inner: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let text = |v: &str| Ok(!v.is_empty());
    let other = |v| Ok(text::truthy(v));
    with(inner, facts, frames, text, |v| Ok(v > 0), other)
}

#[inline(never)]
fn plain<'v, F: Facts<'v>>(
    inner: &'v Node,
    constant: &Plain,
    not: bool,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let text = |v: &str| Ok(constant.is_text(v) != not);
    let int = |v| Ok(constant.is_int(v) != not);
    let other = |v| Ok(constant.equals(v) != not);
    with(inner, facts, frames, text, int, other)
}

#[inline(never)]
fn like<'v, F: Facts<'v>>(
    inner: &'v Node,
    prepared: &Test,
    not: bool,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let text = |v: &str| Ok(prepared.holds(v) != not);
    let int = |v| Ok(text::like_int(prepared, v) != not);
    let other = |v| Ok(text::like(prepared, v, &facts.ctx()) != not);
    with(inner, facts, frames, text, int, other)
}

#[inline(never)]
fn same<'v, F: Facts<'v>>(
    ab: &'v (Node, Node),
    not: bool,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let (a, b) = (eval(&ab.0, facts, frames)?, eval(&ab.1, facts, frames)?);
    Ok(text::same(a, b, &facts.ctx()) != not)
}

#[inline(never)]
fn ordered<'v, F: Facts<'v>>(
    op: Op,
    ab: &'v (Node, Node),
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let Node::Const(Const::Int(constant)) = &ab.1 else {
        let (a, b) = (eval(&ab.0, facts, frames)?, eval(&ab.1, facts, frames)?);
        return Ok(text::ordered(op, a, b));
    };
    let other = |v| Ok(text::ordered(op, v, Val::Int(*constant)));
    let int = |v: i64| Ok(text::holds(op, v.cmp(constant)));
    with(&ab.0, facts, frames, |v| other(Val::Str(v)), int, other)
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
            if *fun == Fun::Matches {
                facts.steps_taken(PATTERN_STEPS)?;
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

/// A term of a group. Most begin with a flag.
#[inline(always)]
fn term<'v, F: Facts<'v>>(
    node: &'v Node,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    match node {
        Node::Flag(flag) => facts.flag(flag),
        _ => test(node, facts, frames),
    }
}

/// `&&` and `||` of KFL2: an operand that decides wins over errors on either side of it; `decides` is its value.
#[inline(never)]
fn joined<'v, F: Facts<'v>>(
    nodes: &'v [Node],
    decides: bool,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let mut result = Ok(!decides);
    for node in nodes {
        match term(node, facts, frames) {
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
#[inline(never)]
fn chain<'v, F: Facts<'v>>(
    nodes: &'v [Node],
    ops: &[Logic],
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let mut unknown = false;
    let mut last = Ok(true);
    for (i, node) in nodes.iter().enumerate() {
        last = term(node, facts, frames);
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

pub(super) fn local<'v>(depth: u16, frames: Frames<'_, 'v>) -> Option<Val<'v>> {
    let mut at = frames;
    for _ in 0..depth {
        at = at?.outer;
    }
    at.map(|frame| frame.value)
}

#[inline(never)]
fn in_both<'v, F: Facts<'v>>(part: Part, constant: &str, facts: &F) -> Result<bool, Reason> {
    let is = |side| {
        facts
            .part(side, part)
            .map(|text| text::alike(text, constant))
    };
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
    if let Some(value) = under(lookup, facts) {
        return Ok(Val::of(value));
    }
    let key = eval(&lookup.key, facts, frames)?;
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

#[inline(never)]
fn has<'v, F: Facts<'v>>(
    lookup: &'v Lookup,
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    if let Some(value) = under(lookup, facts) {
        return Ok(value != Value::Missing);
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

#[inline(never)]
fn binary_test<'v, F: Facts<'v>>(
    op: Op,
    ab: &'v (Node, Node),
    facts: &F,
    frames: Frames<'_, 'v>,
) -> Result<bool, Reason> {
    let compare = |a, b| match op {
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Rem | Op::In => Err(Reason::NoSuchOverload),
        _ => order(op, a, b),
    };
    if let Node::Const(constant) = &ab.1 {
        let other = |v| compare(v, constant.val());
        let (text, int) = (|v| other(Val::Str(v)), |v| other(Val::Int(v)));
        return with(&ab.0, facts, frames, text, int, other);
    }
    compare(eval(&ab.0, facts, frames)?, eval(&ab.1, facts, frames)?)
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

#[inline(never)]
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
#[inline(never)]
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
