//! Frames to packets of the innermost flow.
//!
//! [`Decoder::decode`] walks link header, VLAN tags, MPLS, PPPoE, IP with its options and extension headers, and
//! tunnels, up to TCP or UDP. It looks at headers only, copies nothing but fragments, and verifies no checksum
//! (local traffic leaves them unfilled). Lengths on the wire are kept apart from what was captured, so that what
//! a snap length cut off is told from what was never sent.

mod frag;
mod link;
mod net;
mod span;
mod transport;
mod tunnel;

pub use tunnel::TUNNEL_PORTS;

use gillnet_capture::{Frame, LinkType, PacketDirection};

use crate::Addr;
use frag::{Fragments, Whole};
use link::ethertype;
use net::{V4, V6, protocol};
use span::{Span, be16};

/// A packet of the innermost flow of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Who sent it.
    pub src: Addr,
    /// Who it is for.
    pub dst: Addr,
    /// Port of the sender.
    pub sport: u16,
    /// Port of the receiver.
    pub dport: u16,
    /// The transport's own.
    pub l4: L4,
    /// What was captured of its payload.
    pub payload: &'a [u8],
    /// Offset of `payload[0]` in the frame's data; `None` where it was put together from fragments.
    pub payload_off: Option<u32>,
    /// Length of the payload on the wire, in bytes: larger than `payload.len()` where the snap length cut.
    pub wire_payload: u32,
    /// The outermost VLAN id, 0 where there is none.
    pub vlan: u16,
    /// How many tunnels it came through.
    pub tunnels: u8,
    /// Where it was seen.
    pub place: Place,
    /// Where it was put together from fragments: positions in the byte store of the frames before this one that
    /// brought parts of it, in the order they came; of those that have one (see [`Decoder::held_at`]).
    pub parts: &'a [u64],
}

/// The transport of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// TCP (RFC 9293).
    Tcp(TcpHeader),
    /// UDP (RFC 768).
    Udp,
}

/// What reassembly needs of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; meaningless without [`TcpHeader::ACK`].
    pub ack: u32,
    /// The eight control bits.
    pub flags: u8,
    /// The window as it stands there, not scaled.
    pub window: u16,
}

impl TcpHeader {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset the connection.
    pub const RST: u8 = 4;
    /// The acknowledgement number is meant.
    pub const ACK: u8 = 16;

    /// Whether any of these bits is set.
    #[must_use]
    #[inline]
    pub fn has(&self, bits: u8) -> bool {
        self.flags & bits != 0
    }
}

/// Where a packet was seen: interface and direction. Copies of one packet differ in it, so it is what the flow
/// table tells them apart by.
///
/// It is 16 bits, as each direction of each flow keeps one; interfaces above 16,382 share a place, so that copies
/// among those count as retransmissions, and nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(u16);

impl Place {
    /// No place at all.
    pub(crate) const NONE: Place = Place(u16::MAX);

    /// A place.
    #[must_use]
    #[inline]
    pub fn new(iface: u32, direction: PacketDirection) -> Self {
        let way = match direction {
            PacketDirection::Unknown => 0,
            PacketDirection::In => 1,
            PacketDirection::Out => 2,
        };
        Place((iface.min(0x3ffe) as u16) << 2 | way)
    }
}

/// Why a frame is no packet of a flow. Each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// The link type is not known.
    #[error("unknown link type")]
    LinkType,
    /// It carries something else than IP (ARP, LLDP, …).
    #[error("not IP")]
    NotIp,
    /// It is cut short inside its headers, or they contradict themselves.
    #[error("malformed")]
    Malformed,
    /// A transport that is not followed, by its IP protocol number (1 ICMP, 132 SCTP, …).
    #[error("IP protocol {0} is not followed")]
    Transport(u8),
    /// Tunnels inside tunnels past the limit.
    #[error("nested too deep")]
    Nesting,
    /// A fragment that waits for the others of its datagram.
    #[error("a fragment, kept until its datagram is whole")]
    FragmentHeld,
    /// A fragment that was refused: it overlaps others, is cut, or a limit was reached.
    #[error("a fragment that was refused")]
    Fragment,
}

/// Limits of a [`Decoder`]. What they cut is counted.
#[derive(Clone, Debug)]
pub struct DecodeLimits {
    /// How many tunnels may lie inside each other.
    pub nesting: u8,
    /// How many datagrams may wait for fragments at once.
    pub fragments: usize,
    /// How many bytes of fragments may be held in all.
    pub fragment_bytes: usize,
    /// How long a datagram waits for its fragments, in ns of packet time (RFC 8200 §4.5: 60 s, Linux: 30 s).
    pub fragment_timeout: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        DecodeLimits {
            nesting: 4,
            fragments: 1024,
            fragment_bytes: 4 << 20,
            fragment_timeout: 30_000_000_000,
        }
    }
}

/// What a [`Decoder`] counted since it was made.
#[derive(Clone, Debug)]
pub struct DecodeCounters {
    /// Frames decoded.
    pub frames: u64,
    /// TCP packets found.
    pub tcp: u64,
    /// UDP packets found.
    pub udp: u64,
    /// Frames of unknown link types.
    pub link_type: u64,
    /// Frames of something else than IP.
    pub not_ip: u64,
    /// Frames cut short inside their headers, or whose headers contradict themselves.
    pub malformed: u64,
    /// Frames nested past the limit.
    pub nesting: u64,
    /// Fragments kept until their datagram was whole.
    pub fragments_held: u64,
    /// Fragments that were there already.
    pub fragments_doubled: u64,
    /// Fragments refused, and fragments of datagrams given up: overlapping, cut, past a limit or a timeout.
    pub fragments_refused: u64,
    /// Datagrams put together from fragments.
    pub datagrams_joined: u64,
    /// Datagrams given up because a fragment never came.
    pub datagrams_incomplete: u64,
    /// Packets whose payload the snap length cut.
    pub cut: u64,
    transports: [u64; 256],
}

impl Default for DecodeCounters {
    fn default() -> Self {
        DecodeCounters {
            frames: 0,
            tcp: 0,
            udp: 0,
            link_type: 0,
            not_ip: 0,
            malformed: 0,
            nesting: 0,
            fragments_held: 0,
            fragments_doubled: 0,
            fragments_refused: 0,
            datagrams_joined: 0,
            datagrams_incomplete: 0,
            cut: 0,
            transports: [0; 256],
        }
    }
}

impl DecodeCounters {
    /// Packets of a transport that is not followed, by IP protocol number.
    #[must_use]
    pub fn transport(&self, protocol: u8) -> u64 {
        self.transports[usize::from(protocol)]
    }

    /// Packets of all transports that are not followed.
    #[must_use]
    pub fn transports(&self) -> u64 {
        self.transports.iter().sum()
    }

    #[inline(always)]
    fn found(&mut self, packet: &Packet<'_>) {
        match packet.l4 {
            L4::Tcp(_) => self.tcp += 1,
            L4::Udp => self.udp += 1,
        }
        self.cut += u64::from(packet.wire_payload as usize > packet.payload.len());
    }

    fn skipped(&mut self, skip: Skip) {
        match skip {
            Skip::LinkType => self.link_type += 1,
            Skip::NotIp => self.not_ip += 1,
            Skip::Malformed => self.malformed += 1,
            Skip::Transport(protocol) => self.transports[usize::from(protocol)] += 1,
            Skip::Nesting => self.nesting += 1,
            Skip::FragmentHeld => self.fragments_held += 1,
            // counted where it is refused, as one refusal gives up what was held before
            Skip::Fragment => {}
        }
    }
}

/// Turns frames into packets; owns what waits for fragments.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: DecodeLimits,
    counters: DecodeCounters,
    fragments: Fragments,
    whole: Vec<u8>,
    parts: Vec<u64>,
}

/// A packet by offsets, before it borrows anything.
struct Found {
    src: Addr,
    dst: Addr,
    sport: u16,
    dport: u16,
    l4: L4,
    start: u32,
    len: u32,
    wire: u32,
    vlan: u16,
    tunnels: u8,
}

/// Why a walk ended without a packet.
enum Stop {
    Skip(Skip),
    /// A datagram is whole now: the walk goes on in it.
    Whole(Box<Whole>),
}

impl From<Skip> for Stop {
    fn from(skip: Skip) -> Self {
        Stop::Skip(skip)
    }
}

/// What a walk through one buffer knows and uses.
struct Walk<'w> {
    limits: &'w DecodeLimits,
    fragments: &'w mut Fragments,
    counters: &'w mut DecodeCounters,
    ts: i64,
    pos: u64,
    place: Place,
    vlan: u16,
    tunnels: u8,
}

impl Walk<'_> {
    /// Goes one tunnel deeper.
    fn enter(&mut self) -> Result<(), Skip> {
        if self.tunnels >= self.limits.nesting {
            return Err(Skip::Nesting);
        }
        self.tunnels += 1;
        Ok(())
    }
}

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: DecodeLimits) -> Self {
        Decoder {
            limits,
            ..Decoder::default()
        }
    }

    /// The packet of the innermost flow of a frame. What it borrows is valid until the next call. It is large: where
    /// each nanosecond counts, borrow it from the result rather than move it out.
    ///
    /// # Errors
    /// Says what else the frame is; that is counted here.
    #[inline]
    pub fn decode<'a>(&'a mut self, frame: &Frame<'a>) -> Result<Packet<'a>, Skip> {
        self.counters.frames += 1;
        // calls, so that the packet is written once, where the caller has it
        let mut packet = plain(frame, &mut self.counters);
        if packet.is_err() {
            packet = self.walk(frame);
        }
        packet
    }

    /// Any frame.
    #[inline(never)]
    fn walk<'a>(&'a mut self, frame: &Frame<'a>) -> Result<Packet<'a>, Skip> {
        let mut walk = Walk {
            limits: &self.limits,
            fragments: &mut self.fragments,
            counters: &mut self.counters,
            ts: frame.ts,
            pos: frame.pos,
            place: Place::new(frame.iface, frame.direction),
            vlan: 0,
            tunnels: 0,
        };
        let span = Span::of(frame.data, frame.wire_len);
        let mut step = walk.link(frame.link, frame.iface, span);
        let mut joined = false;
        let found = loop {
            match step {
                Ok(found) => break found,
                Err(Stop::Skip(skip)) => {
                    self.counters.skipped(skip);
                    return Err(skip);
                }
                Err(Stop::Whole(whole)) => {
                    joined = true;
                    self.whole = whole.bytes;
                    self.parts = whole.frames;
                    walk.vlan = whole.vlan;
                    walk.tunnels = whole.tunnels;
                    let span = Span::of(&self.whole, 0);
                    step = walk.transport(span, whole.protocol, whole.src, whole.dst);
                }
            }
        };
        let place = walk.place;
        let (data, parts): (&'a [u8], &'a [u64]) = if joined {
            (&self.whole, &self.parts)
        } else {
            (frame.data, &[])
        };
        let start = found.start as usize;
        let payload = data
            .get(start..start + found.len as usize)
            .unwrap_or_default();
        let packet = Packet {
            src: found.src,
            dst: found.dst,
            sport: found.sport,
            dport: found.dport,
            l4: found.l4,
            payload,
            payload_off: (!joined).then_some(found.start),
            wire_payload: found.wire,
            vlan: found.vlan,
            tunnels: found.tunnels,
            place,
            parts,
        };
        self.counters.found(&packet);
        Ok(packet)
    }

    /// Tells where in the byte store the frame was put that the last call to [`Decoder::decode`] answered
    /// [`Skip::FragmentHeld`] to, where the frame itself had no position.
    pub fn held_at(&mut self, pos: u64) {
        self.fragments.held_at(pos);
    }

    /// Packet time, or the wall clock's on a silent interface: gives up datagrams that waited too long.
    pub fn tick(&mut self, ts: i64) {
        self.fragments.tick(ts, &self.limits, &mut self.counters);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> &DecodeCounters {
        &self.counters
    }

    /// Bytes of fragments held now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.fragments.bytes()
    }
}

/// Nearly all frames in one go: TCP or UDP in one IP packet in an Ethernet frame.
///
/// # Errors
/// Of any other frame, whatever it is: that the walk says.
//
// What is found is counted on the way: to look at the packet again, as the walk does, costs each frame ten instructions.
#[inline(never)]
fn plain<'a>(frame: &Frame<'a>, counters: &mut DecodeCounters) -> Result<Packet<'a>, Skip> {
    const OTHER: Skip = Skip::NotIp;
    if frame.link != LinkType::Ethernet {
        return Err(OTHER);
    }
    let mut span = Span::of(frame.data, frame.wire_len);
    let (src, dst, transport) = match be16::<12, _>(span.take::<14>()?) {
        ethertype::IPV4 => {
            let head = V4::take(&mut span)?;
            if head.is_fragment() {
                return Err(OTHER);
            }
            (head.src, head.dst, head.protocol)
        }
        ethertype::IPV6 => {
            let head = V6::take(&mut span)?;
            (head.src, head.dst, head.next)
        }
        _ => return Err(OTHER),
    };
    let (sport, dport, l4) = match transport {
        protocol::TCP => {
            let tcp = transport::Tcp::take(&mut span)?;
            counters.tcp += 1;
            (tcp.sport, tcp.dport, L4::Tcp(tcp.head))
        }
        protocol::UDP => {
            let udp = transport::Udp::take(&mut span)?;
            if tunnel::is_port(udp.dport) {
                return Err(OTHER);
            }
            counters.udp += 1;
            (udp.sport, udp.dport, L4::Udp)
        }
        _ => return Err(OTHER),
    };
    counters.cut += u64::from(span.wire as usize > span.rest.len());
    Ok(Packet {
        src,
        dst,
        sport,
        dport,
        l4,
        payload: span.rest,
        payload_off: Some(span.start),
        wire_payload: span.wire,
        vlan: 0,
        tunnels: 0,
        place: Place::new(frame.iface, frame.direction),
        parts: &[],
    })
}

/// Whether frames of this link type can be decoded.
#[must_use]
pub fn knows(link: LinkType) -> bool {
    !matches!(link, LinkType::Other(_))
}
