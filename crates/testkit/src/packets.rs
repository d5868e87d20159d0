//! Packets of a capture, to be cut, swapped, doubled and lost.

use crate::boxes::{Outcome, Rig, each_frame, ring};
use crate::pcap;
use gillnet_capture::{Frame, LinkType, NO_POS, PacketDirection};
use gillnet_names::NamesConfig;
use gillnet_pipeline::{Consumer, Keep};
use gillnet_streams::decode::{DecodeLimits, Decoder, L4, TcpHeader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// What a ring takes for a frame beside its bytes, generously.
const FRAME_COST: usize = 128;

/// A packet of the innermost flow, on its own.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it was captured, ns.
    pub ts: i64,
    /// Who sent it.
    pub src: SocketAddr,
    /// Who it is for.
    pub dst: SocketAddr,
    /// Its TCP header; `None` of UDP.
    pub tcp: Option<TcpHeader>,
    /// What was captured of its payload.
    pub payload: Vec<u8>,
    /// How long that was on the wire, in bytes.
    pub wire: u32,
}

impl Packet {
    /// Whether both are of one TCP connection.
    pub fn is_with(&self, other: &Packet) -> bool {
        let ends = |p: &Packet| (p.src.min(p.dst), p.src.max(p.dst));
        self.tcp.is_some() && other.tcp.is_some() && ends(self) == ends(other)
    }

    /// Whether it shows, as an earlier packet of the connection, that another's bytes are due.
    pub fn places(&self, other: &Packet) -> bool {
        let syn = self.tcp.is_some_and(|head| head.has(TcpHeader::SYN));
        let answers = self.tcp.is_some_and(|head| head.has(TcpHeader::ACK));
        self.is_with(other)
            && if self.src == other.src {
                syn || self.wire > 0
            } else {
                syn && answers
            }
    }

    /// Whether it brings the last byte of another, or one behind that, in the same direction.
    pub fn reaches(&self, other: &Packet) -> bool {
        self.is_with(other)
            && self.src == other.src
            && self.wire > 0
            && self.end().wrapping_sub(other.end()).cast_signed() >= 0
    }

    /// Whether it shows, as a later packet of the connection, that another's bytes were sent: it ends behind them, or
    /// acknowledges them.
    pub fn proves(&self, other: &Packet) -> bool {
        let acknowledges = |head: TcpHeader| {
            head.has(TcpHeader::ACK) && head.ack.wrapping_sub(other.end()).cast_signed() >= 0
        };
        self.is_with(other)
            && if self.src == other.src {
                self.reaches(other) && self.end() != other.end()
            } else {
                self.tcp.is_some_and(acknowledges)
            }
    }

    /// The sequence number behind its payload.
    fn end(&self) -> u32 {
        let seq = self.tcp.map_or(0, |head| head.seq);
        seq.wrapping_add(self.wire)
    }

    /// The packet in pieces, cut at these offsets of its payload.
    fn pieces(&self, cuts: &[usize]) -> Vec<Packet> {
        let Some(head) = self.tcp else {
            return vec![self.clone()];
        };
        if self.wire as usize != self.payload.len() || self.payload.is_empty() {
            return vec![self.clone()];
        }
        let within = |cut: &usize| (1..self.payload.len()).contains(cut);
        let cuts = cuts.iter().copied().filter(within);
        let mut from = 0;
        let mut pieces = Vec::new();
        for to in cuts.chain([self.payload.len()]) {
            let mut flags = head.flags;
            let mut seq = head.seq.wrapping_add(from as u32);
            if from > 0 {
                // a SYN stands before the first byte, a FIN behind the last
                seq = seq.wrapping_add(u32::from(head.has(TcpHeader::SYN)));
                flags &= !TcpHeader::SYN;
            }
            if to < self.payload.len() {
                flags &= !TcpHeader::FIN;
            }
            let payload = self.payload[from..to].to_vec();
            pieces.push(Packet {
                tcp: Some(TcpHeader { seq, flags, ..head }),
                wire: payload.len() as u32,
                payload,
                ..self.clone()
            });
            from = to;
        }
        pieces
    }

    /// As a packet of IP, to be decoded anew.
    fn bytes(&self) -> Vec<u8> {
        let mut l4 = Vec::new();
        l4.extend(self.src.port().to_be_bytes());
        l4.extend(self.dst.port().to_be_bytes());
        let protocol = match self.tcp {
            Some(head) => {
                l4.extend(head.seq.to_be_bytes());
                l4.extend(head.ack.to_be_bytes());
                l4.extend([5 << 4, head.flags]);
                l4.extend(head.window.to_be_bytes());
                l4.extend([0; 4]);
                6
            }
            None => {
                l4.extend(length(8 + self.wire as usize).to_be_bytes());
                l4.extend([0; 2]);
                17
            }
        };
        let wire = l4.len() + self.wire as usize;
        l4.extend(&self.payload);
        let mut out = Vec::new();
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                out.extend([0x45, 0]);
                out.extend(length(20 + wire).to_be_bytes());
                out.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
                out.extend(src.octets());
                out.extend(dst.octets());
            }
            (src, dst) => {
                let v6 = |ip| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                out.extend([0x60, 0, 0, 0]);
                out.extend(length(wire).to_be_bytes());
                out.extend([protocol, 64]);
                out.extend(v6(src).octets());
                out.extend(v6(dst).octets());
            }
        }
        out.extend(l4);
        out
    }
}

/// A length field: 0 where it does not fit, as segmentation offload leaves it.
fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(0)
}

/// The packets of a capture, in their order.
#[derive(Clone, Debug)]
pub struct Packets(pub Vec<Packet>);

impl Packets {
    /// Those of a file.
    pub fn of(path: impl AsRef<Path>) -> Packets {
        let mut decoder = Decoder::new(DecodeLimits::default());
        let mut packets = Vec::new();
        each_frame(&mut *pcap(path).open(), |frame| {
            if let Ok(p) = decoder.decode(frame) {
                packets.push(Packet {
                    ts: frame.ts,
                    src: (p.src.ip(), p.sport).into(),
                    dst: (p.dst.ip(), p.dport).into(),
                    tcp: match p.l4 {
                        L4::Tcp(head) => Some(head),
                        L4::Udp => None,
                    },
                    payload: p.payload.to_vec(),
                    wire: p.wire_payload,
                });
            }
        });
        Packets(packets)
    }

    /// With each TCP payload cut at the offsets that `cuts` gives.
    pub fn cut(&self, cuts: impl Fn(&Packet) -> Vec<usize>) -> Packets {
        Packets(self.0.iter().flat_map(|p| p.pieces(&cuts(p))).collect())
    }

    /// With this packet and the next the other way round, each with its own time, as several queues capture; `None` where
    /// they are not of one TCP connection.
    pub fn swapped(&self, at: usize) -> Option<Packets> {
        let (one, other) = (self.0.get(at)?, self.0.get(at + 1)?);
        one.is_with(other).then(|| {
            let mut packets = self.clone();
            packets.0.swap(at, at + 1);
            packets
        })
    }

    /// With each TCP packet twice.
    pub fn doubled(&self) -> Packets {
        let twice = |p: &Packet| vec![p.clone(); if p.tcp.is_some() { 2 } else { 1 }];
        Packets(self.0.iter().flat_map(twice).collect())
    }

    /// Without this packet.
    pub fn without(&self, at: usize) -> Packets {
        let mut packets = self.clone();
        packets.0.remove(at);
        packets
    }

    /// Through the whole shard.
    pub fn outcome(&self) -> Outcome {
        self.through(Rig::new("", self.keep()))
    }

    /// Through the whole shard, whose entries another takes; addresses have these names.
    pub fn taken_by(&self, consumer: impl Consumer + 'static, names: NamesConfig) {
        self.through(Rig::with("", self.keep(), names, Box::new(consumer)));
    }

    fn keep(&self) -> Keep {
        let bytes: usize = self.0.iter().map(|p| p.payload.len() + FRAME_COST).sum();
        Keep::Ring(ring(2 * bytes as u64))
    }

    fn through(&self, mut rig: Rig) -> Outcome {
        for packet in &self.0 {
            let data = packet.bytes();
            rig.frame(&Frame {
                ts: packet.ts,
                iface: 0,
                link: LinkType::Raw,
                direction: PacketDirection::Unknown,
                wire_len: (data.len() - packet.payload.len()) as u32 + packet.wire,
                data: &data,
                pos: NO_POS,
                comment: None,
            });
        }
        rig.finish()
    }
}
