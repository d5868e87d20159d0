//! A syntax tree to tests of bytes at known places, for one link type.
//!
//! As in libpcap, `vlan`, `mpls` and `pppoes` move the places that everything behind them in the
//! expression looks at.

use std::net::Ipv6Addr;

use super::{
    Fault,
    ast::{Addr, Arith, Compare, Dir, Expr, Is, Op, Proto, Size, What},
    emit::{
        AD_IFINDEX, AD_PKTTYPE, AD_VLAN_PRESENT, AD_VLAN_TAG, ALU, Insn, JEQ, JGE, JGT, JSET,
        LD_ABS, LD_IND, LD_LEN, LD_MEM, LDX_MSH, MAX_MEMORY, ST, TAX,
    },
};

const ETHERTYPE_VLAN: [u32; 3] = [0x8100, 0x88a8, 0x9100];
const ETHERTYPE_MPLS: u32 = 0x8847;
const ETHERTYPE_PPPOE_DISCOVERY: u32 = 0x8863;
const ETHERTYPE_PPPOE_SESSION: u32 = 0x8864;
const IP: u32 = 0x0800;
const IP6: u32 = 0x86dd;
/// Values up to here in Ethernet's type field are lengths.
const MAX_LENGTH: u32 = 1500;
/// IPv6's extension header of fragments.
const FRAGMENT: u32 = 44;
/// Ports are looked for in these.
const WITH_PORTS: [Proto; 3] = [Proto::Tcp, Proto::Udp, Proto::Sctp];
/// What the kernel calls a frame of this host's own.
const PACKET_OUTGOING: u32 = 4;

/// Tests joined.
#[derive(Clone, Debug)]
pub(super) enum Bool {
    Const(bool),
    Test(Test),
    Not(Box<Bool>),
    And(Box<Bool>, Box<Bool>),
    Or(Box<Bool>, Box<Bool>),
}

impl Bool {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Const(true), other) => other,
            (Self::Const(false), _) => Self::Const(false),
            (this, other) => Self::And(Box::new(this), Box::new(other)),
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Const(false), other) => other,
            (Self::Const(true), _) => Self::Const(true),
            (this, Self::Const(false)) => this,
            (this, other) => Self::Or(Box::new(this), Box::new(other)),
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Const(value) => Self::Const(!value),
            Self::Not(inner) => *inner,
            this => Self::Not(Box::new(this)),
        }
    }
}

/// Instructions that leave a number in A, and the jump that decides.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) code: Vec<Insn>,
    pub(super) jump: u16,
    pub(super) with: With,
}

/// What A is compared with.
#[derive(Clone, Debug)]
pub(super) enum With {
    Number(u32),
    /// It is true where it is of any of these.
    AnyOf(Vec<u32>),
    X,
}

fn test(code: Vec<Insn>, jump: u16, with: u32) -> Bool {
    Bool::Test(Test {
        code,
        jump,
        with: With::Number(with),
    })
}

/// Whether what the code loads equals any of the numbers.
fn any_of(code: Vec<Insn>, numbers: Vec<u32>) -> Bool {
    match numbers[..] {
        [] => Bool::Const(false),
        _ => Bool::Test(Test {
            code,
            jump: JEQ,
            with: With::AnyOf(numbers),
        }),
    }
}

/// Where things are on the link, at a place in the expression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    kind: LinkKind,
    /// Where the type of what is carried stands.
    type_at: u32,
    /// Where what is carried begins.
    payload: u32,
    /// The outermost VLAN tag is not in the frame: the kernel has it.
    tag_aside: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkKind {
    Ethernet,
    Raw,
    Mpls,
    Ppp,
    /// Nothing is known of it: every test of its bytes fails.
    Unknown,
}

impl Link {
    pub(super) fn ethernet(tag_aside: bool) -> Self {
        Self {
            kind: LinkKind::Ethernet,
            type_at: 12,
            payload: 14,
            tag_aside,
        }
    }

    pub(super) fn raw() -> Self {
        Self {
            kind: LinkKind::Raw,
            type_at: 0,
            payload: 0,
            tag_aside: false,
        }
    }

    pub(super) fn unknown() -> Self {
        Self {
            kind: LinkKind::Unknown,
            ..Self::raw()
        }
    }

    /// `size` bytes at an offset into what is carried equal a value, after a mask.
    fn payload_is(&self, offset: u32, size: Size, mask: u32, value: u32) -> Bool {
        match self.kind {
            LinkKind::Unknown => Bool::Const(false),
            _ => masked(self.payload + offset, size, mask, value),
        }
    }

    /// Whether this is carried.
    fn carries(&self, ethertype: u32) -> Bool {
        let version = |value: u32| masked(self.payload, Size::Byte, 0xf0, value);
        match (self.kind, ethertype) {
            (LinkKind::Ethernet, 0..=MAX_LENGTH) => {
                let length = test(load(self.type_at, Size::Half), JGT, MAX_LENGTH).not();
                length.and(masked(self.payload, Size::Byte, u32::MAX, ethertype))
            }
            (LinkKind::Ethernet, _) => masked(self.type_at, Size::Half, u32::MAX, ethertype),
            (LinkKind::Raw, IP) => version(0x40),
            (LinkKind::Raw, IP6) => version(0x60),
            (LinkKind::Mpls, IP | IP6) => {
                let bottom = masked(self.payload - 2, Size::Byte, 1, 1);
                bottom.and(version(if ethertype == IP { 0x40 } else { 0x60 }))
            }
            (LinkKind::Ppp, IP) => masked(self.type_at, Size::Half, u32::MAX, 0x0021),
            (LinkKind::Ppp, IP6) => masked(self.type_at, Size::Half, u32::MAX, 0x0057),
            (LinkKind::Raw | LinkKind::Mpls | LinkKind::Ppp | LinkKind::Unknown, _) => {
                Bool::Const(false)
            }
        }
    }

    fn ip_protocol(&self, number: u32) -> Bool {
        self.carries(IP)
            .and(self.payload_is(9, Size::Byte, u32::MAX, number))
    }

    fn ip6_protocol(&self, number: u32) -> Bool {
        let behind_fragment = self
            .payload_is(6, Size::Byte, u32::MAX, FRAGMENT)
            .and(self.payload_is(40, Size::Byte, u32::MAX, number));
        self.carries(IP6).and(
            self.payload_is(6, Size::Byte, u32::MAX, number)
                .or(behind_fragment),
        )
    }

    /// Whether the frame has the header that bytes are looked at in.
    fn has(&self, proto: Proto) -> Bool {
        match proto {
            Proto::Ether => Bool::Const(self.kind != LinkKind::Unknown),
            Proto::Stp => self.carries(0x42),
            Proto::Icmp | Proto::Igmp | Proto::Igrp | Proto::Vrrp | Proto::Carp => {
                self.ip_protocol(proto.over_ip().unwrap_or_default())
            }
            Proto::Icmp6 => self.ip6_protocol(58),
            _ => match (proto.ethertype(), proto.over_ip()) {
                (Some(ethertype), _) => self.carries(ethertype),
                (None, Some(number)) => self.ip_protocol(number).or(self.ip6_protocol(number)),
                (None, None) => Bool::Const(false),
            },
        }
    }
}

fn load(at: u32, size: Size) -> Vec<Insn> {
    vec![Insn::new(LD_ABS | size_bits(size), at)]
}

fn size_bits(size: Size) -> u16 {
    match size {
        Size::Word => 0x00,
        Size::Half => 0x08,
        Size::Byte => 0x10,
    }
}

fn masked_load(at: u32, size: Size, mask: u32) -> Vec<Insn> {
    let mut code = load(at, size);
    if mask != u32::MAX {
        code.push(Insn::new(ALU | Op::And.bits(), mask));
    }
    code
}

fn masked(at: u32, size: Size, mask: u32, value: u32) -> Bool {
    test(masked_load(at, size, mask), JEQ, value)
}

impl Op {
    fn bits(self) -> u16 {
        match self {
            Self::Add => 0x00,
            Self::Subtract => 0x10,
            Self::Multiply => 0x20,
            Self::Divide => 0x30,
            Self::Or => 0x40,
            Self::And => 0x50,
            Self::Left => 0x60,
            Self::Right => 0x70,
            Self::Modulo => 0x90,
            Self::Xor => 0xa0,
        }
    }
}

/// The tests that an expression comes to on a link.
pub(super) fn lower(expr: &Expr, link: Link) -> Result<Bool, Fault> {
    let mut link = link;
    expression(expr, &mut link)
}

fn expression(expr: &Expr, link: &mut Link) -> Result<Bool, Fault> {
    Ok(match expr {
        Expr::And(left, right) => expression(left, link)?.and(expression(right, link)?),
        Expr::Or(..) => {
            let mut alternatives = Vec::new();
            flatten(expr, &mut alternatives);
            let mut any = Bool::Const(false);
            for group in alternatives.chunk_by(|first, second| alike(first, second)) {
                any = any.or(match group {
                    [one] => expression(one, link)?,
                    several => together(several, link)?,
                });
            }
            any
        }
        Expr::Not(inner) => expression(inner, link)?.not(),
        Expr::Is(is) => primitive(is, link)?,
    })
}

/// The alternatives of an expression of several.
fn flatten<'a>(expr: &'a Expr, to: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Or(left, right) => {
            flatten(left, to);
            flatten(right, to);
        }
        other => to.push(other),
    }
}

/// Whether two alternatives look for different values in the same places: those are loaded once.
/// Lists of addresses may be long.
fn alike(first: &Expr, second: &Expr) -> bool {
    let (Expr::Is(first), Expr::Is(second)) = (first, second) else {
        return false;
    };
    match (&first.what, &second.what) {
        (
            What::Host {
                proto: proto1,
                dir: dir1,
                addr: Addr::V4 { mask: mask1, .. },
            },
            What::Host {
                proto: proto2,
                dir: dir2,
                addr: Addr::V4 { mask: mask2, .. },
            },
        ) => (proto1, dir1, mask1) == (proto2, dir2, mask2) && *dir1 != Dir::Both,
        (
            What::Ports {
                proto: proto1,
                dir: dir1,
                first: first1,
                last: last1,
            },
            What::Ports {
                proto: proto2,
                dir: dir2,
                first: first2,
                last: last2,
            },
        ) => {
            (proto1, dir1) == (proto2, dir2)
                && first1 == last1
                && first2 == last2
                && *dir1 != Dir::Both
        }
        _ => false,
    }
}

/// Alternatives that are alike.
fn together(alternatives: &[&Expr], link: &mut Link) -> Result<Bool, Fault> {
    let whats = || {
        alternatives.iter().filter_map(|expr| {
            if let Expr::Is(is) = expr {
                Some(&is.what)
            } else {
                None
            }
        })
    };
    // each is checked by itself first, as to what has addresses and ports
    let Some(Expr::Is(is)) = alternatives.first() else {
        return Ok(Bool::Const(false));
    };
    let one = primitive(is, link)?;
    Ok(match &is.what {
        What::Host {
            proto,
            dir,
            addr: Addr::V4 { mask, .. },
        } => {
            let addrs = whats().filter_map(|what| match what {
                What::Host {
                    addr: Addr::V4 { addr, .. },
                    ..
                } => Some(addr.to_bits()),
                _ => None,
            });
            host4(link, *proto, *dir, &addrs.collect::<Vec<_>>(), *mask)
        }
        What::Ports { proto, dir, .. } => {
            let numbers = whats().filter_map(|what| match what {
                What::Ports { first, .. } => Some(u32::from(*first)),
                _ => None,
            });
            let numbers: Vec<u32> = numbers.collect();
            ports(link, *proto, *dir, |code| any_of(code, numbers.clone()))
        }
        _ => one,
    })
}

fn primitive(Is { position, what }: &Is, link: &mut Link) -> Result<Bool, Fault> {
    let refused = |why: String| Err(Fault::new(*position, why));
    Ok(match what {
        What::Proto(proto) => link.has(*proto),
        What::Host { proto, dir, addr } => match addr {
            Addr::V4 { addr, mask } => match proto {
                None | Some(Proto::Ip | Proto::Arp | Proto::Rarp) => {
                    host4(link, *proto, *dir, &[addr.to_bits()], *mask)
                }
                Some(other) => return refused(format!("{} has no IPv4 addresses", name(*other))),
            },
            Addr::V6 { addr, mask } => match proto {
                None | Some(Proto::Ip6) => host6(link, *dir, *addr, *mask),
                Some(other) => return refused(format!("{} has no IPv6 addresses", name(*other))),
            },
            Addr::Mac(mac) => match proto {
                Some(Proto::Ether) => host_mac(link, *dir, *mac),
                _ => return refused("`ether` must stand before a hardware address".to_owned()),
            },
        },
        What::Ports {
            proto,
            dir,
            first,
            last,
        } => match proto {
            None | Some(Proto::Tcp | Proto::Udp | Proto::Sctp) => {
                ports(link, *proto, *dir, |code| {
                    if first == last {
                        test(code, JEQ, u32::from(*first))
                    } else {
                        test(code.clone(), JGE, u32::from(*first))
                            .and(test(code, JGT, u32::from(*last)).not())
                    }
                })
            }
            Some(other) => return refused(format!("{} has no ports", name(*other))),
        },
        What::Number { proto, number } => match proto {
            None => link.ip_protocol(*number).or(link.ip6_protocol(*number)),
            Some(Proto::Ip) => link.ip_protocol(*number),
            Some(Proto::Ip6) => link.ip6_protocol(*number),
            Some(Proto::Ether) => link.carries(*number),
            Some(other) => {
                return refused(format!("{} carries no protocols by number", name(*other)));
            }
        },
        What::Broadcast(None | Some(Proto::Ether)) => host_mac(link, Dir::Dst, [0xff; 6]),
        // the network's mask is not known, so only the address of all networks is told
        What::Broadcast(Some(Proto::Ip)) => link.carries(IP).and(
            link.payload_is(16, Size::Word, u32::MAX, 0)
                .or(link.payload_is(16, Size::Word, u32::MAX, u32::MAX)),
        ),
        What::Multicast(None | Some(Proto::Ether)) => match link.kind {
            LinkKind::Ethernet => masked(0, Size::Byte, 1, 1),
            _ => Bool::Const(false),
        },
        What::Multicast(Some(Proto::Ip)) => {
            let address = test(load(link.payload + 16, Size::Byte), JGE, 224);
            link.carries(IP).and(address)
        }
        What::Multicast(Some(Proto::Ip6)) => {
            link.carries(IP6)
                .and(link.payload_is(24, Size::Byte, u32::MAX, 255))
        }
        What::Broadcast(Some(other)) | What::Multicast(Some(other)) => {
            return refused(format!("{} has no such addresses", name(*other)));
        }
        What::Vlan(number) => vlan(link, *number),
        What::Mpls(label) => mpls(link, *label),
        What::PppoeDiscovery => link.carries(ETHERTYPE_PPPOE_DISCOVERY),
        What::PppoeSession(number) => pppoe_session(link, *number),
        What::Outbound(outbound) => {
            let out = test(vec![Insn::new(LD_ABS, AD_PKTTYPE)], JEQ, PACKET_OUTGOING);
            if *outbound { out } else { out.not() }
        }
        What::Ifindex(number) => test(vec![Insn::new(LD_ABS, AD_IFINDEX)], JEQ, *number),
        What::Compare { left, how, right } => compare(*position, left, *how, right, link)?,
    })
}

fn name(proto: Proto) -> String {
    format!("{proto:?}").to_lowercase()
}

/// A test of both ends, as the direction says.
fn ends(dir: Dir, source: Bool, target: Bool) -> Bool {
    match dir {
        Dir::Src => source,
        Dir::Dst => target,
        Dir::Either => source.or(target),
        Dir::Both => source.and(target),
    }
}

fn host4(link: &Link, proto: Option<Proto>, dir: Dir, addrs: &[u32], mask: u32) -> Bool {
    let within = |ethertype, source, target| {
        let end = |offset| {
            any_of(
                masked_load(link.payload + offset, Size::Word, mask),
                addrs.to_vec(),
            )
        };
        link.carries(ethertype)
            .and(ends(dir, end(source), end(target)))
    };
    let (ip, arp, rarp) = (
        within(IP, 12, 16),
        within(0x0806, 14, 24),
        within(0x8035, 14, 24),
    );
    match proto {
        Some(Proto::Ip) => ip,
        Some(Proto::Arp) => arp,
        Some(Proto::Rarp) => rarp,
        _ => ip.or(arp).or(rarp),
    }
}

fn host6(link: &Link, dir: Dir, addr: Ipv6Addr, mask: u128) -> Bool {
    let end = |offset: u32| {
        (0..4u32).fold(Bool::Const(true), |all, word| {
            let shift = 96 - 32 * word;
            let (mask, value) = ((mask >> shift) as u32, (addr.to_bits() >> shift) as u32);
            match mask {
                0 => all,
                _ => all.and(link.payload_is(offset + 4 * word, Size::Word, mask, value)),
            }
        })
    };
    link.carries(IP6).and(ends(dir, end(8), end(24)))
}

fn host_mac(link: &Link, dir: Dir, mac: [u8; 6]) -> Bool {
    if !matches!(
        link.kind,
        LinkKind::Ethernet | LinkKind::Mpls | LinkKind::Ppp
    ) {
        return Bool::Const(false);
    }
    let [a, b, c, d, e, f] = mac;
    let end = |offset| {
        let low = masked(
            offset + 2,
            Size::Word,
            u32::MAX,
            u32::from_be_bytes([c, d, e, f]),
        );
        low.and(masked(
            offset,
            Size::Half,
            u32::MAX,
            u32::from(u16::from_be_bytes([a, b])),
        ))
    };
    ends(dir, end(6), end(0))
}

/// Ports that `among` finds right, given the code that loads one.
fn ports(link: &Link, proto: Option<Proto>, dir: Dir, among: impl Fn(Vec<Insn>) -> Bool) -> Bool {
    let one_of = |offset: u32| {
        let protocols = WITH_PORTS
            .iter()
            .filter(|with| proto.is_none_or(|proto| proto == **with));
        let numbers = protocols.filter_map(|proto| proto.over_ip()).collect();
        any_of(load(link.payload + offset, Size::Byte), numbers)
    };
    let end4 = |offset| {
        among(vec![
            Insn::new(LDX_MSH, link.payload),
            Insn::new(LD_IND | size_bits(Size::Half), link.payload + offset),
        ])
    };
    let end6 = |offset| among(load(link.payload + 40 + offset, Size::Half));
    let ip = link
        .carries(IP)
        .and(one_of(9))
        .and(first_fragment(link))
        .and(ends(dir, end4(0), end4(2)));
    let ip6 = link
        .carries(IP6)
        .and(one_of(6))
        .and(ends(dir, end6(0), end6(2)));
    ip.or(ip6)
}

fn first_fragment(link: &Link) -> Bool {
    test(load(link.payload + 6, Size::Half), JSET, 0x1fff).not()
}

fn vlan(link: &mut Link, number: Option<u32>) -> Bool {
    if link.kind != LinkKind::Ethernet {
        return Bool::Const(false);
    }
    if std::mem::take(&mut link.tag_aside) {
        let there = test(vec![Insn::new(LD_ABS, AD_VLAN_PRESENT)], JEQ, 1);
        return match number {
            None => there,
            Some(number) => {
                let code = vec![
                    Insn::new(LD_ABS, AD_VLAN_TAG),
                    Insn::new(ALU | Op::And.bits(), 0xfff),
                ];
                there.and(test(code, JEQ, number))
            }
        };
    }
    let tagged = ETHERTYPE_VLAN
        .iter()
        .fold(Bool::Const(false), |any, ethertype| {
            any.or(link.carries(*ethertype))
        });
    let found = match number {
        None => tagged,
        Some(number) => tagged.and(link.payload_is(0, Size::Half, 0xfff, number)),
    };
    link.type_at += 4;
    link.payload += 4;
    found
}

fn mpls(link: &mut Link, label: Option<u32>) -> Bool {
    let labelled = match link.kind {
        LinkKind::Mpls => masked(link.payload - 2, Size::Byte, 1, 0),
        _ => link.carries(ETHERTYPE_MPLS),
    };
    let found = match label {
        None => labelled,
        Some(label) => labelled.and(link.payload_is(0, Size::Word, 0xffff_f000, label << 12)),
    };
    if link.kind != LinkKind::Unknown {
        link.kind = LinkKind::Mpls;
    }
    link.payload += 4;
    found
}

fn pppoe_session(link: &mut Link, number: Option<u32>) -> Bool {
    let session = link.carries(ETHERTYPE_PPPOE_SESSION);
    let found = match number {
        None => session,
        Some(number) => session.and(link.payload_is(0, Size::Word, 0xffff, number)),
    };
    if link.kind != LinkKind::Unknown {
        link.kind = LinkKind::Ppp;
    }
    link.type_at = link.payload + 6;
    link.payload += 8;
    found
}

/// A comparison is true only of frames that have the headers looked at.
fn compare(
    position: usize,
    left: &Arith,
    how: Compare,
    right: &Arith,
    link: &Link,
) -> Result<Bool, Fault> {
    let mut numbers = Numbers {
        link,
        memory: 0,
        headers: Bool::Const(true),
    };
    let (jump, negated) = match how {
        Compare::Equal => (JEQ, false),
        Compare::Unequal => (JEQ, true),
        Compare::Greater => (JGT, false),
        Compare::AtMost => (JGT, true),
        Compare::AtLeast => (JGE, false),
        Compare::Less => (JGE, true),
    };
    let (code, with) = match constant(right)? {
        Some(number) => (numbers.code(left)?, With::Number(number)),
        None => {
            let mut code = numbers.code(left)?;
            let slot = numbers.slot(position)?;
            code.push(Insn::new(ST, slot));
            code.extend(numbers.code(right)?);
            code.extend([Insn::new(TAX, 0), Insn::new(LD_MEM, slot)]);
            (code, With::X)
        }
    };
    let decided = Bool::Test(Test { code, jump, with });
    let decided = if negated { decided.not() } else { decided };
    Ok(numbers.headers.and(decided))
}

/// Instructions for numbers; each leaves its number in A.
struct Numbers<'a> {
    link: &'a Link,
    /// Words of memory in use.
    memory: u32,
    /// Whether all headers that are looked at are there.
    headers: Bool,
}

impl Numbers<'_> {
    fn slot(&mut self, position: usize) -> Result<u32, Fault> {
        if self.memory == MAX_MEMORY {
            return Err(Fault::new(
                position,
                "too many numbers are needed at a time",
            ));
        }
        self.memory += 1;
        Ok(self.memory - 1)
    }

    fn code(&mut self, number: &Arith) -> Result<Vec<Insn>, Fault> {
        if let Some(number) = constant(number)? {
            return Ok(vec![Insn::immediate(number)]);
        }
        match number {
            Arith::Number(number) => Ok(vec![Insn::immediate(*number)]),
            Arith::Length => Ok(vec![Insn::new(LD_LEN, 0)]),
            Arith::Negative(inner) => {
                let mut code = self.code(inner)?;
                code.push(Insn::new(ALU | 0x80, 0));
                Ok(code)
            }
            Arith::Load {
                position,
                proto,
                at,
                size,
            } => self.load(*position, *proto, at, *size),
            Arith::Op {
                position,
                op,
                left,
                right,
            } => self.operation(*position, *op, left, right),
        }
    }

    fn operation(
        &mut self,
        position: usize,
        op: Op,
        left: &Arith,
        right: &Arith,
    ) -> Result<Vec<Insn>, Fault> {
        let mut code = self.code(left)?;
        if let Some(number) = constant(right)? {
            match op {
                Op::Divide | Op::Modulo if number == 0 => {
                    return Err(Fault::new(position, "division by zero"));
                }
                Op::Left | Op::Right if number > 31 => {
                    return Err(Fault::new(
                        position,
                        "numbers have 32 bits: they are shifted by 31 at most",
                    ));
                }
                _ => code.push(Insn::new(ALU | op.bits(), number)),
            }
            return Ok(code);
        }
        let slot = self.slot(position)?;
        code.push(Insn::new(ST, slot));
        code.extend(self.code(right)?);
        code.extend([
            Insn::new(TAX, 0),
            Insn::new(LD_MEM, slot),
            Insn::new(ALU | 0x08 | op.bits(), 0),
        ]);
        self.memory -= 1;
        Ok(code)
    }

    fn load(
        &mut self,
        position: usize,
        proto: Proto,
        at: &Arith,
        size: Size,
    ) -> Result<Vec<Insn>, Fault> {
        let link = self.link;
        let (base, behind_ip) = match proto {
            Proto::Ether => (0, false),
            Proto::Ip | Proto::Ip6 | Proto::Arp | Proto::Rarp => (link.payload, false),
            Proto::Icmp6 => (link.payload + 40, false),
            Proto::Stp | Proto::Ah | Proto::Esp => {
                return Err(Fault::new(
                    position,
                    format!("the bytes of {} can't be looked at", name(proto)),
                ));
            }
            _ => (link.payload, true),
        };
        let mut header = link.has(proto);
        if proto == Proto::Icmp6 {
            // right behind IPv6's own header, where its bytes are looked at
            header = link
                .carries(IP6)
                .and(link.payload_is(6, Size::Byte, u32::MAX, 58));
        }
        if behind_ip {
            // the header is looked for behind IPv4's, of which only the first fragment has it
            header = link
                .ip_protocol(proto.over_ip().unwrap_or_default())
                .and(first_fragment(link));
        }
        if link.kind == LinkKind::Unknown {
            header = Bool::Const(false);
        }
        let index = constant(at)?;
        let mut code = match index {
            Some(_) => Vec::new(),
            None => self.code(at)?,
        };
        // the index's own headers come first
        self.headers = std::mem::replace(&mut self.headers, Bool::Const(true)).and(header);
        // the kernel takes offsets below zero for other things
        let too_far = || Fault::new(position, "an offset has 31 bits at most");
        match (index, behind_ip) {
            (Some(index), false) => {
                let at = base
                    .checked_add(index)
                    .filter(|at| i32::try_from(*at).is_ok())
                    .ok_or_else(too_far)?;
                code.extend(load(at, size));
            }
            (Some(index), true) => {
                let at = base.checked_add(index).ok_or_else(too_far)?;
                code.extend([
                    Insn::new(LDX_MSH, link.payload),
                    Insn::new(LD_IND | size_bits(size), at),
                ]);
            }
            (None, false) => {
                code.extend([Insn::new(TAX, 0), Insn::new(LD_IND | size_bits(size), base)])
            }
            (None, true) => code.extend([
                Insn::new(LDX_MSH, link.payload),
                // A + X
                Insn::new(ALU | 0x08, 0),
                Insn::new(TAX, 0),
                Insn::new(LD_IND | size_bits(size), base),
            ]),
        }
        Ok(code)
    }
}

/// The value of a number that needs no frame.
fn constant(number: &Arith) -> Result<Option<u32>, Fault> {
    Ok(match number {
        Arith::Number(number) => Some(*number),
        Arith::Length | Arith::Load { .. } => None,
        Arith::Negative(inner) => constant(inner)?.map(u32::wrapping_neg),
        Arith::Op {
            position,
            op,
            left,
            right,
        } => {
            let (Some(left), Some(right)) = (constant(left)?, constant(right)?) else {
                return Ok(None);
            };
            Some(match op {
                Op::Add => left.wrapping_add(right),
                Op::Subtract => left.wrapping_sub(right),
                Op::Multiply => left.wrapping_mul(right),
                Op::Divide => left
                    .checked_div(right)
                    .ok_or_else(|| Fault::new(*position, "division by zero"))?,
                Op::Modulo => left
                    .checked_rem(right)
                    .ok_or_else(|| Fault::new(*position, "division by zero"))?,
                Op::And => left & right,
                Op::Or => left | right,
                Op::Xor => left ^ right,
                Op::Left => left.checked_shl(right).unwrap_or(0),
                Op::Right => left.checked_shr(right).unwrap_or(0),
            })
        }
    })
}
