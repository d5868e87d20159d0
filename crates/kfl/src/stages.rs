//! What can be decided before there is an entry: from the flow, and from the protocol.

use crate::check::Env;
use crate::predicate::{Access, FlowEnd, FlowFacts, Load, Node, Reason, Root, Step, test};
use gillnet_entry::{Bump, Ctx, Field, Nothing};
use std::cell::Cell;

/// An answer that may have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tri {
    /// Whatever the rest is.
    Yes,
    /// Whatever the rest is.
    No,
    /// Not known yet.
    Unknown,
}

/// A set of protocols, by their index in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolSet(u64);

impl ProtocolSet {
    /// All of them.
    pub const ALL: ProtocolSet = ProtocolSet(u64::MAX);
    /// None of them.
    pub const NONE: ProtocolSet = ProtocolSet(0);

    /// Those whose bits are set.
    pub const fn from_bits(bits: u64) -> ProtocolSet {
        ProtocolSet(bits)
    }

    /// A bit for each.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// One of them.
    pub fn only(protocol: u8) -> ProtocolSet {
        ProtocolSet(1u64.checked_shl(u32::from(protocol)).unwrap_or(0))
    }

    /// Whether a protocol is in it.
    pub fn contains(self, protocol: u8) -> bool {
        self.0 & ProtocolSet::only(protocol).0 != 0
    }

    /// Those that are in either.
    #[must_use]
    pub fn union(self, other: ProtocolSet) -> ProtocolSet {
        ProtocolSet(self.0 | other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub fn both(self, other: ProtocolSet) -> ProtocolSet {
        ProtocolSet(self.0 & other.0)
    }

    /// Whether there is none in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What is known of a flow: both ends, in any order, and what its protocol can be.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    /// Both ends.
    pub ends: [FlowEnd<'a>; 2],
    /// What its protocol can be; [`ProtocolSet::ALL`] before it is identified.
    pub protocols: ProtocolSet,
    /// Whether its bytes are taken outside encryption; `None` where that is not known.
    pub tls: Option<bool>,
}

impl<'a> FlowView<'a> {
    /// A flow of which only the ends are known.
    pub fn new(a: FlowEnd<'a>, b: FlowEnd<'a>) -> FlowView<'a> {
        FlowView {
            ends: [a, b],
            protocols: ProtocolSet::ALL,
            tls: None,
        }
    }
}

pub(crate) fn flow(root: &Node, view: &FlowView<'_>) -> Tri {
    let [a, b] = view.ends;
    match (directed(root, view, a, b), directed(root, view, b, a)) {
        (Tri::No, Tri::No) => Tri::No,
        (Tri::Yes, Tri::Yes) => Tri::Yes,
        _ => Tri::Unknown,
    }
}

fn directed<'v>(root: &Node, view: &FlowView<'v>, src: FlowEnd<'v>, dst: FlowEnd<'v>) -> Tri {
    // takes memory only where text must be built, which a flow filter seldom needs
    let arena = Bump::new();
    let facts = FlowFacts {
        src: Some(src),
        dst: Some(dst),
        tls: view.tls,
        possible: view.protocols.0,
        ctx: Ctx {
            store: &Nothing,
            arena: &arena,
        },
        steps: Cell::new(0),
    };
    decided(root, &facts)
}

fn decided<'v>(root: &'v Node, facts: &FlowFacts<'v>) -> Tri {
    match test(root, facts, None) {
        Ok(true) => Tri::Yes,
        Err(Reason::Unknown) => Tri::Unknown,
        Ok(false) | Err(_) => Tri::No,
    }
}

/// Whether some part of it can be decided by a flow's ends.
pub(crate) fn asks_for_ends(root: &Node) -> bool {
    let mut asks = false;
    root.walk(&mut |node| {
        asks |= match node {
            Node::Ip(..) | Node::InBoth(..) => true,
            Node::Load(load) => matches!(
                load,
                Load::Ip(_) | Load::Port(_) | Load::Part(..) | Load::Held { .. } | Load::Both(_)
            ),
            _ => false,
        };
    });
    asks
}

/// The protocols of which entries can match.
pub(crate) fn protocols(root: &Node, env: &Env) -> ProtocolSet {
    let arena = Bump::new();
    let can = |bit: &u64| decided(root, &FlowFacts::blank(*bit, &arena)) != Tri::No;
    ProtocolSet(env.bits().filter(can).fold(0, |set, bit| set | bit))
}

/// Whether a field that is read lies in a body.
pub(crate) fn needs_bodies(root: &Node, env: &Env) -> bool {
    let mut needs = false;
    root.walk(&mut |node| {
        needs |= match node {
            Node::Load(Load::OwnPath(accesses)) => accesses
                .iter()
                .zip(&env.protocols)
                .any(|(a, p)| a.as_ref().is_some_and(|a| reads_body(a, p.schema))),
            Node::Load(Load::Own(fields, _)) => {
                fields.iter().zip(&env.protocols).any(|(field, protocol)| {
                    let field = field.and_then(|f| protocol.schema.fields.get(usize::from(f)));
                    field.is_some_and(Field::is_body)
                })
            }
            _ => false,
        };
    });
    needs
}

fn reads_body(access: &Access, schema: &gillnet_entry::Schema) -> bool {
    match &access.root {
        Root::Own(field) => schema
            .fields
            .get(usize::from(*field))
            .is_some_and(Field::is_body),
        Root::Common(_) => false,
        Root::Object(prefix, _) => {
            // steps that lead to one field do not read the object's others
            let first = access.steps.first();
            let path = if let Some(Step::Key(key, _)) = first {
                format!("{prefix}.{key}")
            } else {
                prefix.to_string()
            };
            schema
                .fields
                .iter()
                .any(|f| f.is_body() && crate::predicate::below(f.json, &path).is_some())
        }
    }
}
