//! A predicate as it is for entries of one protocol: flags that are then certain fall away, and with them what they decide.

use super::{Const, Flag, Node};
use crate::ast::Logic;
use std::hash::{Hash, Hasher};
use std::mem::discriminant;

const TRUE: Node = Node::Const(Const::Bool(true));
const FALSE: Node = Node::Const(Const::Bool(false));

impl Node {
    /// This predicate for entries of the protocol with this bit.
    pub(crate) fn narrowed(&self, protocol: u64) -> Node {
        match self {
            Node::Flag(flag) => certain(flag, protocol).map_or_else(|| self.clone(), truth),
            Node::All(nodes) => joined(nodes, false, protocol),
            Node::Any(nodes) => joined(nodes, true, protocol),
            Node::Not(inner) => match inner.narrowed(protocol) {
                Node::Const(Const::Bool(v)) => truth(!v),
                inner => Node::Not(Box::new(inner)),
            },
            Node::Group(inner) => match inner.narrowed(protocol) {
                inner @ Node::Const(_) => inner,
                inner => Node::Group(Box::new(inner)),
            },
            Node::Chain(nodes, ops) => chain(nodes, ops, protocol),
            _ => self.clone(),
        }
    }

    /// Takes in what predicates share which differ in constants alone, and others hardly ever.
    pub(crate) fn shape(&self, hasher: &mut impl Hasher) {
        self.walk(&mut |node| {
            discriminant(node).hash(hasher);
            if let Node::Load(load) = node {
                discriminant(load).hash(hasher);
            }
        });
    }
}

fn truth(v: bool) -> Node {
    if v { TRUE } else { FALSE }
}

fn certain(flag: &Flag, protocol: u64) -> Option<bool> {
    match (flag.always & protocol != 0, flag.asked & protocol != 0) {
        (true, _) => Some(true),
        (false, false) => Some(false),
        (false, true) => None,
    }
}

/// `&&` and `||` of KFL2: an operand with the value that decides is all, one with the other value is nothing.
fn joined(nodes: &[Node], decides: bool, protocol: u64) -> Node {
    let mut left = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node.narrowed(protocol) {
            Node::Const(Const::Bool(v)) if v == decides => return truth(decides),
            Node::Const(Const::Bool(_)) => {}
            node => left.push(node),
        }
    }
    match (left.pop(), left.is_empty()) {
        (None, _) => truth(!decides),
        (Some(only), true) if only.is_test() => only,
        (Some(last), _) => {
            left.push(last);
            if decides {
                Node::Any(left.into())
            } else {
                Node::All(left.into())
            }
        }
    }
}

/// `and` and `or` of KFL1, grouped from the right: a term decides all that is behind it, or nothing.
fn chain(nodes: &[Node], ops: &[Logic], protocol: u64) -> Node {
    let (mut left, mut between) = (Vec::with_capacity(nodes.len()), Vec::new());
    for (i, node) in nodes.iter().enumerate() {
        let node = node.narrowed(protocol);
        match (&node, ops.get(i)) {
            // it lets the next term speak
            (Node::Const(Const::Bool(true)), Some(Logic::And))
            | (Node::Const(Const::Bool(false)), Some(Logic::Or)) => continue,
            // the next terms never have their turn
            (Node::Const(Const::Bool(_)), _) | (_, None) => {
                left.push(node);
                break;
            }
            (_, Some(op)) => {
                left.push(node);
                between.push(*op);
            }
        }
    }
    match (left.pop(), left.is_empty()) {
        (None, _) => FALSE,
        (Some(only), true) if only.is_test() => only,
        (Some(last), _) => {
            left.push(last);
            Node::Chain(left.into(), between.into())
        }
    }
}
