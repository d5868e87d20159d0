//! What is wanted now: immutable, swapped at run time, read once a batch.

use crate::Matched;
use gillnet_entry::{Entry, Name, Transport};
use gillnet_kfl::{Filter, FlowEnd, FlowView, Narrowed, Packets, ProtocolSet, Reading, Tri};
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

/// So many filters on an entry each read what they ask of it; of more, what one has read serves the others.
const FEW: usize = 3;

/// All that is wanted, at most 128 things; masks have a bit for each.
#[derive(Debug, Default)]
pub struct Plan {
    wants: Vec<Want>,
    record: Matched,
    whole: Matched,
    protocols: u64,
    /// By protocol: the wants that its entries can match, and what each asks of them.
    of_protocol: Vec<Vec<(Matched, Narrowed)>>,
    /// The wants that ask nothing of a flow's ends.
    of_any_flow: Matched,
    bodies: bool,
    sees_packets: bool,
    raw: bool,
    generation: u32,
}

/// More fragments and offset in the second word of an IPv4 header: of a datagram that is whole both are 0.
const FRAGMENT: u16 = 0x3fff;

impl Plan {
    /// The most things a plan holds.
    pub const MOST: usize = Matched::BITS as usize;

    /// A plan of these wants. `generation` tells it from the plan before it.
    pub fn new(wants: Vec<Want>, generation: u32) -> Plan {
        let those = |chosen: &dyn Fn(&Want) -> bool| {
            let chosen = wants.iter().filter(|w| chosen(w));
            chosen.fold(0, |mask, w| mask | w.mask())
        };
        let of = |protocol: u8| {
            let able = |w: &&Want| w.filter.protocols().contains(protocol);
            let able = wants.iter().filter(able);
            let able = able.map(|w| (w.mask(), w.filter.narrowed(protocol)));
            let mut able: Vec<(Matched, Narrowed)> = able.collect();
            able.sort_by_cached_key(|(_, filter)| filter.shape());
            able
        };
        let of_protocol: Vec<Vec<_>> = (0..64).map(of).collect();
        let protocols = of_protocol.iter().enumerate();
        let protocols = protocols.filter(|(_, wants)| !wants.is_empty());
        Plan {
            record: those(&|w| w.record),
            whole: 0,
            protocols: protocols.fold(0, |mask, (p, _)| mask | 1 << p),
            of_protocol,
            of_any_flow: those(&|w| !w.filter.asks_for_ends()),
            bodies: wants.iter().any(|w| w.bodies || w.filter.needs_bodies()),
            wants,
            sees_packets: false,
            raw: false,
            generation,
        }
    }

    /// The same plan, with which the consumer is told of every packet ([`crate::Consumer::packet`]) where that is `seen`.
    #[must_use]
    pub fn with_packets(self, seen: bool) -> Plan {
        Plan {
            sees_packets: seen,
            ..self
        }
    }

    /// The same plan, with which everything is let through by the kernel where it is kept `raw`.
    #[must_use]
    pub fn with_raw(self, raw: bool) -> Plan {
        Plan { raw, ..self }
    }

    /// The same plan, in which the streams that those wants (bits) can match are recorded from their first frame, whatever
    /// comes of them.
    #[must_use]
    pub fn recording_whole(self, wants: Matched) -> Plan {
        Plan {
            whole: wants & self.record,
            ..self
        }
    }

    /// The wants whose streams are recorded from their first frame, as bits.
    #[inline]
    pub fn whole(&self) -> Matched {
        self.whole
    }

    /// Whether the consumer is told of every packet.
    #[inline]
    pub fn sees_packets(&self) -> bool {
        self.sees_packets
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
    pub fn recording(&self) -> Matched {
        self.record
    }

    /// What the kernel should let through, as an expression of pcap-filter(7); empty where that is everything. It passes
    /// what some want asks for, the usual ports of the protocols of `learnt_from` (bits), and what does not show by itself
    /// which flow it belongs to: fragments, tunnels, and all that is neither TCP nor UDP.
    pub fn packets(&self, learnt_from: u64) -> String {
        if self.sees_packets || self.raw {
            return String::new();
        }
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
    ) -> (Matched, bool) {
        let ends = [flow_end(ends[0], &known[0]), flow_end(ends[1], &known[1])];
        let view = FlowView {
            protocols: ProtocolSet::from_bits(protocols),
            ..FlowView::new(ends[0], ends[1])
        };
        let (mut possible, mut open) = (0, false);
        for want in &self.wants {
            let answer = want.filter.flow(&view);
            open |= answer == Tri::Unknown;
            if answer != Tri::No {
                possible |= want.mask();
            }
        }
        (
            possible,
            open && known.iter().any(|k| matches!(k, Knowledge::Unknown)),
        )
    }

    /// Whether a flow that is one of `protocols` (bits) can still match all of these wants, whatever its ends are: then
    /// asking again would tell nothing new.
    pub fn stands(&self, possible: Matched, protocols: u64) -> bool {
        if possible == 0 || possible & !self.of_any_flow != 0 || protocols.count_ones() != 1 {
            return false;
        }
        let able = self.of_protocol.get(protocols.trailing_zeros() as usize);
        let able = able.into_iter().flatten();
        possible & !able.fold(0, |mask, (want, _)| mask | want) == 0
    }

    /// The wants of `possible` that the entry matches, as bits.
    pub fn entry(&self, possible: Matched, entry: &Entry<'_>) -> Matched {
        let Some(asked) = self.of_protocol.get(usize::from(entry.protocol)) else {
            // of no protocol that filters know
            let matching = self.wants.iter().filter(|w| w.filter.matches(entry));
            return matching.fold(0, |mask, w| mask | w.mask()) & possible;
        };
        let few = asked.len() <= FEW;
        let asked = asked.iter().filter(|(want, _)| possible & want != 0);
        if few {
            let matching = asked.filter(|(_, filter)| filter.matches(entry));
            return matching.fold(0, |mask, (want, _)| mask | want);
        }
        let reading = Reading::new(entry);
        let matching = asked.filter(|(_, filter)| filter.matches_in(&reading));
        matching.fold(0, |mask, (want, _)| mask | want)
    }
}

impl Want {
    fn mask(&self) -> Matched {
        1 << (self.bit & 127)
    }
}

/// The bits that are set, the lowest first.
#[inline]
pub(crate) fn bits(mut of: Matched) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let lowest = of.trailing_zeros();
        of &= of.wrapping_sub(1);
        (lowest < Matched::BITS).then_some(lowest as u8)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_kfl::{Env, Options, compile};

    #[test]
    fn as_many_wants_as_bits() {
        let env = Env::new(&[]);
        let wants = (0..Plan::MOST).map(|n| Want {
            bit: n as u8,
            filter: compile(&env, &format!("dst.port == {n}"), &Options::default()).unwrap(),
            record: n % 2 == 1,
            bodies: false,
        });
        // their order does not matter
        let mut wants: Vec<Want> = wants.collect();
        wants.reverse();
        let plan = Plan::new(wants, 1);
        assert_eq!(plan.recording(), Matched::MAX / 3 * 2);
        let ends = [5, 127].map(|port| (IpAddr::from([10, 0, 0, 1]), port));
        let (possible, open) =
            plan.flow(&ends, &[Knowledge::Unknown, Knowledge::KnownNone], u64::MAX);
        assert_eq!((possible, open), (1 << 5 | 1 << 127, true));
        assert_eq!(bits(possible).collect::<Vec<_>>(), [5, 127]);
        assert_eq!(bits(0).count(), 0);
    }
}
