//! What a filter asks of single packets: an expression for the kernel, which then passes over what nobody can want.
//!
//! It is necessary for a match, never sufficient: either end may be the requester, and what a packet does not tell
//! (names, protocols, whatever an entry says) counts as holding.

use crate::ast::Op;
use crate::necessary::{Condition, necessary, range};
use crate::predicate::{Const, Load, Node};
use std::fmt;
use std::net::IpAddr;

/// Terms of an expression; with more of them the kernel would be asked too much for each packet.
const MAX_TERMS: usize = 64;

/// A condition on packets. Shown in the syntax of pcap-filter(7); [`Packets::Every`] and [`Packets::No`] have no such
/// text and do not occur inside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packets {
    /// All of them.
    Every,
    /// None of them.
    No,
    /// From or to this address.
    Host(IpAddr),
    /// From or to a port in this range.
    Ports(u16, u16),
    /// All of these hold.
    All(Vec<Packets>),
    /// Any of these holds.
    Any(Vec<Packets>),
}

impl Packets {
    pub(crate) fn of(root: &Node) -> Packets {
        let packets = necessary(root, &leaf);
        if packets.terms() > MAX_TERMS {
            Packets::Every
        } else {
            packets
        }
    }

    /// What both ask for.
    #[must_use]
    pub fn and(self, other: Packets) -> Packets {
        match (self, other) {
            (Packets::No, _) | (_, Packets::No) => Packets::No,
            (Packets::Every, one) | (one, Packets::Every) => one,
            (a, b) if a == b => a,
            (Packets::All(mut all), b) => {
                all.push(b);
                Packets::All(all)
            }
            (a, b) => Packets::All(vec![a, b]),
        }
    }

    /// What either asks for.
    #[must_use]
    pub fn or(self, other: Packets) -> Packets {
        match (self, other) {
            (Packets::Every, _) | (_, Packets::Every) => Packets::Every,
            (Packets::No, one) | (one, Packets::No) => one,
            (a, b) if a == b => a,
            (Packets::Any(mut any), b) => {
                any.push(b);
                Packets::Any(any)
            }
            (a, b) => Packets::Any(vec![a, b]),
        }
    }

    fn terms(&self) -> usize {
        match self {
            Packets::All(of) | Packets::Any(of) => of.iter().map(Packets::terms).sum(),
            _ => 1,
        }
    }
}

impl Condition for Packets {
    const EVERY: Packets = Packets::Every;
    const NO: Packets = Packets::No;

    fn both(self, other: Packets) -> Packets {
        self.and(other)
    }

    fn either(self, other: Packets) -> Packets {
        self.or(other)
    }
}

impl fmt::Display for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of, between) = match self {
            Packets::Every | Packets::No => return Ok(()),
            Packets::Host(ip) => return write!(f, "host {ip}"),
            Packets::Ports(from, to) if from == to => return write!(f, "port {from}"),
            Packets::Ports(from, to) => return write!(f, "portrange {from}-{to}"),
            Packets::All(of) => (of, " and "),
            Packets::Any(of) => (of, " or "),
        };
        for (i, one) in of.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { between })?;
            match one {
                Packets::All(_) | Packets::Any(_) => write!(f, "({one})")?,
                _ => one.fmt(f)?,
            }
        }
        Ok(())
    }
}

/// What a test of one thing asks of a packet.
fn leaf(node: &Node) -> Packets {
    match node {
        Node::Ip(_, ip) => Packets::Host(*ip),
        Node::Int(inner, op, constant) if is_port(inner) => ports(*op, *constant),
        Node::InInts(inner, list) if is_port(inner) => list
            .iter()
            .map(|port| ports(Op::Eq, *port))
            .fold(Packets::No, Packets::or),
        Node::InStrs(inner, list) if is_ip(inner) => list
            .iter()
            .map(|text| host(text))
            .fold(Packets::No, Packets::or),
        Node::Str(inner, text) if is_ip(inner) => host(text),
        Node::Plain(inner, constant, false) if is_port(inner) => constant
            .whole()
            .map_or(Packets::No, |port| ports(Op::Eq, port)),
        Node::Plain(inner, constant, false) if is_ip(inner) => host(constant.text_of()),
        Node::Order(op, ab) => match (&ab.0, &ab.1) {
            (port, Node::Const(Const::Int(constant))) if is_port(port) => ports(*op, *constant),
            _ => Packets::Every,
        },
        _ => Packets::Every,
    }
}

fn is_port(node: &Node) -> bool {
    matches!(node, Node::Load(Load::Port(_)))
}

fn is_ip(node: &Node) -> bool {
    matches!(node, Node::Load(Load::Ip(_)))
}

/// An address is compared as text: only the text that addresses are written as can be equal.
fn host(text: &str) -> Packets {
    match text.parse::<IpAddr>() {
        Ok(ip) if ip.to_string() == text => Packets::Host(ip),
        _ => Packets::No,
    }
}

fn ports(op: Op, constant: i64) -> Packets {
    let Some((from, to)) = range(op, constant) else {
        return Packets::Every;
    };
    let last = i64::from(u16::MAX);
    match (u16::try_from(from.max(0)), u16::try_from(to.min(last))) {
        (Ok(0), Ok(u16::MAX)) => Packets::Every,
        (Ok(from), Ok(to)) if from <= to => Packets::Ports(from, to),
        _ => Packets::No,
    }
}
