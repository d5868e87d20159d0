//! What an expression says, before it is known on which link it is asked.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A protocol that qualifies or is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proto {
    Ether,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    Stp,
}

impl Proto {
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "ether" | "link" => Self::Ether,
            "ip" => Self::Ip,
            "ip6" => Self::Ip6,
            "arp" => Self::Arp,
            "rarp" => Self::Rarp,
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "sctp" => Self::Sctp,
            "icmp" => Self::Icmp,
            "icmp6" => Self::Icmp6,
            "igmp" => Self::Igmp,
            "igrp" => Self::Igrp,
            "pim" => Self::Pim,
            "vrrp" => Self::Vrrp,
            "carp" => Self::Carp,
            "ah" => Self::Ah,
            "esp" => Self::Esp,
            "stp" => Self::Stp,
            _ => return None,
        })
    }

    /// Its number in IP's protocol field, where it runs over IP.
    pub(super) fn over_ip(self) -> Option<u32> {
        Some(match self {
            Self::Icmp => 1,
            Self::Igmp => 2,
            Self::Tcp => 6,
            Self::Igrp => 9,
            Self::Udp => 17,
            Self::Esp => 50,
            Self::Ah => 51,
            Self::Icmp6 => 58,
            Self::Pim => 103,
            Self::Vrrp | Self::Carp => 112,
            Self::Sctp => 132,
            Self::Ether | Self::Ip | Self::Ip6 | Self::Arp | Self::Rarp | Self::Stp => return None,
        })
    }

    /// Its number in Ethernet's type field, where it runs over that.
    pub(super) fn ethertype(self) -> Option<u32> {
        Some(match self {
            Self::Ip => 0x0800,
            Self::Arp => 0x0806,
            Self::Rarp => 0x8035,
            Self::Ip6 => 0x86dd,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dir {
    Either,
    Src,
    Dst,
    Both,
}

/// An address to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addr {
    V4 { addr: Ipv4Addr, mask: u32 },
    V6 { addr: Ipv6Addr, mask: u128 },
    Mac([u8; 6]),
}

/// A boolean expression.
#[derive(Debug)]
pub(super) enum Expr {
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Is(Is),
}

impl Expr {
    pub(super) fn asks_for_vlan(&self) -> bool {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.asks_for_vlan() || right.asks_for_vlan()
            }
            Self::Not(inner) => inner.asks_for_vlan(),
            Self::Is(is) => matches!(is.what, What::Vlan(_)),
        }
    }
}

/// A primitive and where it stands.
#[derive(Debug)]
pub(super) struct Is {
    pub(super) position: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// A protocol by itself.
    Proto(Proto),
    Host {
        proto: Option<Proto>,
        dir: Dir,
        addr: Addr,
    },
    /// Ports `first..=last` of TCP, UDP, SCTP, or of any of them.
    Ports {
        proto: Option<Proto>,
        dir: Dir,
        first: u16,
        last: u16,
    },
    /// A protocol by number: of Ethernet, of one version of IP, or of both.
    Number {
        proto: Option<Proto>,
        number: u32,
    },
    Broadcast(Option<Proto>),
    Multicast(Option<Proto>),
    Vlan(Option<u32>),
    Mpls(Option<u32>),
    PppoeDiscovery,
    PppoeSession(Option<u32>),
    Outbound(bool),
    Ifindex(u32),
    Compare {
        left: Arith,
        how: Compare,
        right: Arith,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A number computed from a frame.
#[derive(Debug)]
pub(super) enum Arith {
    Number(u32),
    /// Length of the frame on the wire.
    Length,
    /// `size` bytes at an offset into a protocol's header.
    Load {
        position: usize,
        proto: Proto,
        at: Box<Arith>,
        size: Size,
    },
    Negative(Box<Arith>),
    Op {
        position: usize,
        op: Op,
        left: Box<Arith>,
        right: Box<Arith>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Byte,
    Half,
    Word,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
    Xor,
    Left,
    Right,
}
