//! Tunnels whose inner packets are what counts: GRE, VXLAN, Geneve. IP in IP stands with the transports.

use super::link::ethertype;
use super::span::Span;
use super::{Found, Skip, Stop, Walk};

/// UDP port of VXLAN (RFC 7348).
const VXLAN: u16 = 4789;
/// UDP port that Linux and flannel used for VXLAN before there was an assigned one.
const VXLAN_LINUX: u16 = 8472;
/// UDP port of Geneve (RFC 8926).
const GENEVE: u16 = 6081;

/// UDP ports whose packets may be a tunnel's.
pub const TUNNEL_PORTS: [u16; 3] = [VXLAN, VXLAN_LINUX, GENEVE];

/// EtherTypes of mirrored Ethernet frames in GRE.
const ERSPAN_2: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;

/// Whether packets to this UDP port may be a tunnel's.
#[inline(always)]
pub(super) fn is_port(dport: u16) -> bool {
    matches!(dport, VXLAN | VXLAN_LINUX | GENEVE)
}

mod gre {
    pub(super) const CHECKSUM: u16 = 0x8000;
    pub(super) const ROUTING: u16 = 0x4000;
    pub(super) const KEY: u16 = 0x2000;
    pub(super) const SEQUENCE: u16 = 0x1000;
    /// Of version 1 (RFC 2637).
    pub(super) const ACK: u16 = 0x0080;
    pub(super) const VERSION: u16 = 7;
}

impl Walk<'_> {
    /// A GRE packet (RFC 2784, 2890; version 1 as in PPTP, RFC 2637).
    pub(super) fn gre(&mut self, mut span: Span<'_>) -> Result<Found, Stop> {
        self.enter()?;
        let [f0, f1, t0, t1] = *span.take::<4>()?;
        let (flags, kind) = (u16::from_be_bytes([f0, f1]), u16::from_be_bytes([t0, t1]));
        let has = |bit: u16| usize::from(flags & bit != 0);
        if flags & gre::VERSION > 1 || has(gre::ROUTING) == 1 {
            // source routes (RFC 1701) were given up long ago
            return Err(Skip::NotIp.into());
        }
        let sum = has(gre::CHECKSUM);
        let more = has(gre::KEY) + has(gre::SEQUENCE);
        let ack = if flags & gre::VERSION == 1 {
            has(gre::ACK)
        } else {
            0
        };
        span.skip((sum + more + ack) * 4)?;
        match kind {
            ethertype::ETHERNET => self.ethernet(span),
            // type I has no header of its own, and no sequence number
            ERSPAN_2 => {
                span.skip(has(gre::SEQUENCE) * 8)?;
                self.ethernet(span)
            }
            ERSPAN_3 => {
                let [.., flags] = *span.take::<12>()?;
                span.skip(usize::from(flags & 1) * 8)?;
                self.ethernet(span)
            }
            // an 802.3 length is no EtherType here
            kind if kind >= 0x600 => self.typed(kind, span),
            _ => Err(Skip::NotIp.into()),
        }
    }

    /// The inner packet of a tunnel over UDP; `None` where it is none. Ports alone do not tell, as clients draw
    /// theirs from all numbers: the tunnel's header must be in order and what it holds be a frame.
    pub(super) fn udp_tunnel(&mut self, span: Span<'_>, dport: u16) -> Option<Result<Found, Stop>> {
        match dport {
            VXLAN | VXLAN_LINUX => self.inside(span, Self::vxlan),
            GENEVE => self.inside(span, Self::geneve),
            _ => None,
        }
    }

    fn inside(
        &mut self,
        span: Span<'_>,
        open: fn(&mut Self, Span<'_>) -> Option<Result<Found, Stop>>,
    ) -> Option<Result<Found, Stop>> {
        let (vlan, tunnels) = (self.vlan, self.tunnels);
        match open(self, span)? {
            Err(Stop::Skip(Skip::Malformed)) => {
                (self.vlan, self.tunnels) = (vlan, tunnels);
                None
            }
            inner => Some(inner),
        }
    }

    /// VXLAN: the flag "VNI is valid", reserved bits zero but those of the group policy extension.
    fn vxlan(&mut self, mut span: Span<'_>) -> Option<Result<Found, Stop>> {
        let [flags, _, _, _, _, _, _, 0] = *span.take::<8>().ok()? else {
            return None;
        };
        if flags & 0x7f != 0x08 {
            return None;
        }
        Some(self.tunnelled(ethertype::ETHERNET, span))
    }

    /// Geneve: version 0, options, and the EtherType of what it holds.
    fn geneve(&mut self, mut span: Span<'_>) -> Option<Result<Found, Stop>> {
        let [length, flags, t0, t1, _, _, _, 0] = *span.take::<8>().ok()? else {
            return None;
        };
        let kind = u16::from_be_bytes([t0, t1]);
        if length >> 6 != 0 || flags & 0x3f != 0 || kind < 0x600 {
            return None;
        }
        span.skip(usize::from(length & 0x3f) * 4).ok()?;
        Some(self.tunnelled(kind, span))
    }

    fn tunnelled(&mut self, kind: u16, span: Span<'_>) -> Result<Found, Stop> {
        self.enter()?;
        self.typed(kind, span)
    }
}
