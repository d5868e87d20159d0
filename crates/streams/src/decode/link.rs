//! Link headers, and what lies between them and IP.

use gillnet_capture::{LinkType, PacketDirection};

use super::net::Net;
use super::span::{Span, be16, be32};
use super::{Found, Place, Skip, Stop, Walk};

/// EtherTypes (IEEE registry) that are walked.
pub(super) mod ethertype {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const QINQ: u16 = 0x88a8;
    pub(crate) const QINQ_OLD: u16 = 0x9100;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(crate) const PPPOE: u16 = 0x8864;
    pub(crate) const PPP: u16 = 0x880b;
    /// Transparent Ethernet bridging: an Ethernet frame.
    pub(crate) const ETHERNET: u16 = 0x6558;
}

/// Packet type "sent by us" in a Linux cooked header.
const OUTGOING: u16 = 4;

/// Below this the field of an Ethernet header is a length (IEEE 802.3).
const SMALLEST_TYPE: u16 = 0x600;

impl Walk<'_> {
    /// From the first byte of a frame.
    pub(super) fn link(
        &mut self,
        link: LinkType,
        iface: u32,
        mut span: Span<'_>,
    ) -> Result<Found, Stop> {
        match link {
            LinkType::Ethernet => self.ethernet(span),
            LinkType::LinuxSll => {
                let head = span.take::<16>()?;
                self.cooked(be16::<0, _>(head), iface);
                self.typed(be16::<14, _>(head), span)
            }
            LinkType::LinuxSll2 => {
                let head = span.take::<20>()?;
                // each interface of the host under the one that the file knows
                let index = be32::<4, _>(head);
                self.cooked(
                    u16::from(head[10]),
                    iface.wrapping_mul(256).wrapping_add(index),
                );
                self.typed(be16::<0, _>(head), span)
            }
            LinkType::Raw => self.bare(span),
            LinkType::Ipv4 => self.ipv4(span),
            LinkType::Ipv6 => self.ipv6(span),
            LinkType::Null | LinkType::Loop => {
                let family = u32::from_be_bytes(*span.take::<4>()?);
                // the byte order is that of the machine that captured, which is not known
                match family.min(family.swap_bytes()) {
                    2 => self.ipv4(span),
                    // Linux; NetBSD and OpenBSD; FreeBSD; Darwin
                    10 | 24 | 28 | 30 => self.ipv6(span),
                    _ => Err(Skip::NotIp.into()),
                }
            }
            LinkType::Other(_) => Err(Skip::LinkType.into()),
        }
    }

    /// A cooked header says which way the frame went, which tells copies apart as well as a source that knows.
    fn cooked(&mut self, kind: u16, iface: u32) {
        let direction = if kind == OUTGOING {
            PacketDirection::Out
        } else {
            PacketDirection::In
        };
        self.place = Place::new(iface, direction);
    }

    /// An Ethernet frame.
    pub(super) fn ethernet(&mut self, mut span: Span<'_>) -> Result<Found, Stop> {
        let head = span.take::<14>()?;
        self.typed(be16::<12, _>(head), span)
    }

    /// What an EtherType announces. Tags and labels lie inside each other without a limit of their own: each takes
    /// bytes of a frame.
    pub(super) fn typed(&mut self, mut kind: u16, mut span: Span<'_>) -> Result<Found, Stop> {
        loop {
            match kind {
                ethertype::IPV4 => return self.ipv4(span),
                ethertype::IPV6 => return self.ipv6(span),
                ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD => {
                    let tag = span.take::<4>()?;
                    if self.vlan == 0 {
                        self.vlan = be16::<0, _>(tag) & 0xfff;
                    }
                    kind = be16::<2, _>(tag);
                }
                ethertype::MPLS | ethertype::MPLS_UPSTREAM => return self.mpls(span),
                ethertype::PPPOE => return self.pppoe(span),
                ethertype::PPP => return self.ppp(span),
                ethertype::ETHERNET => {
                    kind = be16::<12, _>(span.take::<14>()?);
                }
                // 802.3 length: LLC, of which SNAP carries an EtherType again (RFC 1042)
                length if length < SMALLEST_TYPE => {
                    let [0xaa, 0xaa, 3, 0, 0, 0, t0, t1] = *span.take::<8>()? else {
                        return Err(Skip::NotIp.into());
                    };
                    kind = u16::from_be_bytes([t0, t1]);
                    if kind < SMALLEST_TYPE {
                        return Err(Skip::NotIp.into());
                    }
                }
                _ => return Err(Skip::NotIp.into()),
            }
        }
    }

    /// A stack of MPLS labels (RFC 3032). What lies beneath is not said: IP is told by its first nibble.
    fn mpls(&mut self, mut span: Span<'_>) -> Result<Found, Stop> {
        loop {
            let [_, _, bottom, _] = *span.take::<4>()?;
            if bottom & 1 == 1 {
                return self.bare(span);
            }
        }
    }

    /// A PPPoE session packet (RFC 2516).
    fn pppoe(&mut self, mut span: Span<'_>) -> Result<Found, Stop> {
        let [0x11, 0, _, _, l0, l1] = *span.take::<6>()? else {
            return Err(Skip::NotIp.into());
        };
        let length = u32::from(u16::from_be_bytes([l0, l1]));
        if length < span.wire {
            span.limit(length);
        }
        self.ppp(span)
    }

    /// A PPP frame (RFC 1661) without flags, perhaps with address and control (RFC 1662).
    pub(super) fn ppp(&mut self, mut span: Span<'_>) -> Result<Found, Stop> {
        if span.rest.starts_with(&[0xff, 0x03]) {
            span.skip(2)?;
        }
        match *span.take::<2>()? {
            [0x00, 0x21] => self.ipv4(span),
            [0x00, 0x57] => self.ipv6(span),
            _ => Err(Skip::NotIp.into()),
        }
    }

    /// IP whose version nothing announced.
    pub(super) fn bare(&mut self, span: Span<'_>) -> Result<Found, Stop> {
        match Net::of(&span) {
            Some(Net::V4) => self.ipv4(span),
            Some(Net::V6) => self.ipv6(span),
            None => Err(Skip::NotIp.into()),
        }
    }
}
