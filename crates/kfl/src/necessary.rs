//! What must hold for a filter to match, in terms of those who look at less than entries: packets, or columns of an index.

use crate::ast::{Logic, Op};
use crate::predicate::{Const, Node};

/// A condition that is necessary, not sufficient.
pub(crate) trait Condition: Sized {
    /// It always holds.
    const EVERY: Self;
    /// It never holds.
    const NO: Self;

    /// That both hold.
    fn both(self, other: Self) -> Self;
    /// That either holds.
    fn either(self, other: Self) -> Self;
}

/// What holds wherever a tree does: its logic, with what `leaf` says of all that is none.
pub(crate) fn necessary<C: Condition>(node: &Node, leaf: &impl Fn(&Node) -> C) -> C {
    let of = |node| necessary(node, leaf);
    match node {
        Node::Const(Const::Bool(false)) => C::NO,
        Node::All(nodes) => nodes.iter().map(of).fold(C::EVERY, C::both),
        Node::Any(nodes) => nodes.iter().map(of).fold(C::NO, C::either),
        Node::If(abc) => of(&abc.0).both(of(&abc.1)).either(of(&abc.2)),
        Node::Group(inner) => of(inner),
        Node::Truthy(inner) if inner.is_test() => of(inner),
        Node::Chain(nodes, ops) => match nodes.split_last() {
            None => C::EVERY,
            // joined from the right: each decides over all that follow it
            Some((last, before)) => {
                let joined = before.iter().zip(ops).rev();
                joined.fold(of(last), |rest, (node, op)| match op {
                    Logic::And => of(node).both(rest),
                    Logic::Or => of(node).either(rest),
                })
            }
        },
        _ => leaf(node),
    }
}

/// The numbers that compare so with a constant, first and last, where they are in one piece. Empty where the first is
/// above the last.
pub(crate) fn range(op: Op, constant: i64) -> Option<(i64, i64)> {
    const NONE: (i64, i64) = (1, 0);
    Some(match op {
        Op::Eq => (constant, constant),
        Op::Lt => constant
            .checked_sub(1)
            .map_or(NONE, |last| (i64::MIN, last)),
        Op::Le => (i64::MIN, constant),
        Op::Gt => constant
            .checked_add(1)
            .map_or(NONE, |first| (first, i64::MAX)),
        Op::Ge => (constant, i64::MAX),
        _ => return None,
    })
}
