//! What is wanted now: immutable, swapped at run time, read once a batch.

use gillnet_entry::Transport;
use gillnet_entry::{Entry, Name};
use gillnet_kfl::{Filter, FlowEnd, FlowView, Packets, ProtocolSet, Tri};
use gillnet_names::Knowledge;
use gillnet_protocols::REGISTRY;
use gillnet_streams::decode::TUNNEL_PORTS;
use std::net::IpAddr;
use std::sync::LazyLock;

/// One thing somebody wants: entries that a filter matches, and whether their whole streams are recorded.
#[derive(Clone, Debug)]
pub struct Want {
    /// Its bit in the masks, below [`Plan::MOST`]; no other want of a plan has it.
    pub bit: u8,
    /// Which entries.
    pub filter: Filter,
    /// Whether the streams of matching entries are recorded.
    pub record: bool,
    /// Whether the bodies of matching entries are read.
    pub bodies: bool,
}

/// All that is wanted, at most 64 things; masks have a bit for each.
#[derive(Debug, Default)]
pub struct Plan {
    wants: Vec<Want>,
    record: u64,
    protocols: u64,
    bodies: bool,
    generation: u32,
}

/// More fragments and offset in the second word of an IPv4 header: of a datagram that is whole both are 0.
const FRAGMENT: u16 = 0x3fff;

impl Plan {
    /// The most things a plan holds.
    pub const MOST: usize = 64;

    /// A plan of these wants. `generation` tells it from the plan before it.
    pub fn new(wants: Vec<Want>, generation: u32) -> Plan {
        let protocols = wants
            .iter()
            .fold(ProtocolSet::NONE, |set, w| set.union(w.filter.protocols()));
        let record = wants
            .iter()
            .filter(|w| w.record)
            .fold(0, |mask, w| mask | w.mask());
        Plan {
            record,
            protocols: protocols.bits(),
            bodies: wants.iter().any(|w| w.bodies || w.filter.needs_bodies()),
            wants,
            generation,
        }
    }

    /// Tells this plan from others.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The wants.
    pub fn wants(&self) -> &[Want] {
        &self.wants
    }

    /// Registry indexes of the protocols that can match at all, as bits.
    pub fn protocols(&self) -> u64 {
        self.protocols
    }

    /// Whether anyone reads bodies.
    pub fn bodies(&self) -> bool {
        self.bodies
    }

    /// The wants whose streams are recorded, as bits.
    pub fn recording(&self) -> u64 {
        self.record
    }

    /// What the kernel should let through, as an expression of pcap-filter(7); empty where that is everything. It passes
    /// what some want asks for, the usual ports of the protocols of `learnt_from` (bits), and what does not show by itself
    /// which flow it belongs to: fragments, tunnels, and all that is neither TCP nor UDP.
    pub fn packets(&self, learnt_from: u64) -> String {
        let learnt_from = ProtocolSet::from_bits(learnt_from);
        let on = |transport| {
            let there = REGISTRY
                .iter()
                .zip(0u8..)
                .filter(|(p, _)| p.runs_on(transport));
            let there: Vec<_> = there.collect();
            let asked = self.wants.iter().filter(|want| {
                let protocols = want.filter.protocols();
                there.iter().any(|(_, i)| protocols.contains(*i))
            });
            let learnt = there.iter().filter(|(_, i)| learnt_from.contains(*i));
            let ports = learnt
                .filter_map(|(p, _)| p.dissection)
                .flat_map(|d| d.ports);
            asked
                .map(|want| want.filter.packets())
                .chain(ports.map(|port| Packets::Ports(*port, *port)))
                .fold(Packets::No, Packets::or)
        };
        let (tcp, udp) = (on(Transport::Tcp), on(Transport::Udp));
        if tcp == Packets::Every && udp == Packets::Every {
            return String::new();
        }
        let mut passed = format!("not (tcp or udp) or ip[6:2] & {FRAGMENT:#x} != 0 or ip6[6] = 44");
        for port in TUNNEL_PORTS {
            passed += &format!(" or udp port {port}");
        }
        for (transport, packets) in [("tcp", tcp), ("udp", udp)] {
            match packets {
                Packets::No => {}
                Packets::Every => passed += &format!(" or {transport}"),
                packets => passed += &format!(" or ({transport} and ({packets}))"),
            }
        }
        passed
    }

    /// The wants that a flow with these ends can still match if its protocol is one of `protocols` (bits), as bits
    /// (0 = nobody can want it), and whether a name that is not known yet could still decide.
    pub fn flow(
        &self,
        ends: &[(IpAddr, u16); 2],
        known: &[Knowledge; 2],
        protocols: u64,
    ) -> (u64, bool) {
        let ends = [flow_end(ends[0], &known[0]), flow_end(ends[1], &known[1])];
        let view = FlowView {
            protocols: ProtocolSet::from_bits(protocols),
            ..FlowView::new(ends[0], ends[1])
        };
        let mut open = false;
        let possible = self.select(u64::MAX, |filter| {
            let answer = filter.flow(&view);
            open |= answer == Tri::Unknown;
            answer != Tri::No
        });
        (
            possible,
            open && known.iter().any(|k| matches!(k, Knowledge::Unknown)),
        )
    }

    /// The wants of `possible` that the entry matches, as bits.
    pub fn entry(&self, possible: u64, entry: &Entry<'_>) -> u64 {
        self.select(possible, |filter| filter.matches(entry))
    }

    #[inline]
    fn select(&self, possible: u64, mut chosen: impl FnMut(&Filter) -> bool) -> u64 {
        let mut mask = 0;
        for want in &self.wants {
            if possible & want.mask() != 0 && chosen(&want.filter) {
                mask |= want.mask();
            }
        }
        mask
    }
}

impl Want {
    fn mask(&self) -> u64 {
        1 << (self.bit & 63)
    }
}

/// An end as filters see it: its name only where a source knows it, or knows that it has none.
fn flow_end<'a>((ip, port): (IpAddr, u16), known: &'a Knowledge) -> FlowEnd<'a> {
    static NAMELESS: LazyLock<Name> = LazyLock::new(Name::default);
    let name = match known {
        Knowledge::Known(name) => Some(&**name),
        Knowledge::KnownNone => Some(&*NAMELESS),
        Knowledge::Unknown => None,
    };
    FlowEnd { ip, port, name }
}
