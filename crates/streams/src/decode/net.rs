//! IPv4 (RFC 791) and IPv6 (RFC 8200).

use gillnet_capture::NO_POS;

use super::frag::{Added, Fragment, Key};
use super::span::{Span, be16, be32, bytes_at};
use super::{Found, Skip, Stop, Walk};
use crate::Addr;

/// Versions of IP.
pub(super) enum Net {
    V4,
    V6,
}

impl Net {
    /// By the first nibble.
    pub(super) fn of(span: &Span<'_>) -> Option<Net> {
        match span.rest.first()? >> 4 {
            4 => Some(Net::V4),
            6 => Some(Net::V6),
            _ => None,
        }
    }
}

/// IP protocol numbers (IANA registry).
pub(super) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const GRE: u8 = 47;
    pub(crate) const AH: u8 = 51;
    pub(crate) const DESTINATION: u8 = 60;
    pub(crate) const MOBILITY: u8 = 135;
    pub(crate) const HIP: u8 = 139;
    pub(crate) const SHIM6: u8 = 140;
}

/// What matters of an IPv4 header.
pub(super) struct V4 {
    pub(super) src: Addr,
    pub(super) dst: Addr,
    pub(super) protocol: u8,
    id: u16,
    /// Flags and fragment offset.
    bits: u16,
}

impl V4 {
    /// Takes the header; the span is the payload then.
    #[inline(always)]
    pub(super) fn take(span: &mut Span<'_>) -> Result<Self, Skip> {
        let head = span.peek::<20>()?;
        let header = usize::from(head[0] & 15) * 4;
        if head[0] >> 4 != 4 || header < 20 {
            return Err(Skip::Malformed);
        }
        let total = u32::from(be16::<2, _>(head));
        // 0: the frame is one that the network card will cut up, so large that its length has no room here
        if total != 0 {
            if (total as usize) < header {
                return Err(Skip::Malformed);
            }
            span.limit(total);
        }
        span.skip(header)?;
        Ok(V4 {
            src: Addr::v4(bytes_at::<12, 4, _>(head)),
            dst: Addr::v4(bytes_at::<16, 4, _>(head)),
            protocol: head[9],
            id: be16::<4, _>(head),
            bits: be16::<6, _>(head),
        })
    }

    /// Whether it is a part of a datagram only.
    #[inline(always)]
    pub(super) fn is_fragment(&self) -> bool {
        self.bits & 0x3fff != 0
    }
}

/// What matters of an IPv6 header.
pub(super) struct V6 {
    pub(super) src: Addr,
    pub(super) dst: Addr,
    /// The first extension header, or the transport.
    pub(super) next: u8,
}

impl V6 {
    /// Takes the header; the span is what follows then.
    #[inline(always)]
    pub(super) fn take(span: &mut Span<'_>) -> Result<Self, Skip> {
        let head = span.take::<40>()?;
        if head[0] >> 4 != 6 {
            return Err(Skip::Malformed);
        }
        let length = u32::from(be16::<4, _>(head));
        // 0: a jumbogram (RFC 2675), or a frame larger than the field that the network card will cut up
        if length != 0 {
            span.limit(length);
        }
        Ok(V6 {
            src: Addr::v6(bytes_at::<8, 16, _>(head)),
            dst: Addr::v6(bytes_at::<24, 16, _>(head)),
            next: head[6],
        })
    }
}

impl Walk<'_> {
    /// An IPv4 packet.
    pub(super) fn ipv4(&mut self, mut span: Span<'_>) -> Result<Found, Stop> {
        let head = V4::take(&mut span)?;
        if head.is_fragment() {
            let fragment = Fragment {
                offset: u32::from(head.bits & 0x1fff) * 8,
                more: head.bits & 0x2000 != 0,
            };
            let id = u32::from(head.id);
            return self.fragment(span, head.src, head.dst, head.protocol, id, fragment);
        }
        self.transport(span, head.protocol, head.src, head.dst)
    }

    /// An IPv6 packet: extension headers, of which each takes at least eight bytes, so that the walk ends.
    pub(super) fn ipv6(&mut self, mut span: Span<'_>) -> Result<Found, Stop> {
        let V6 { src, dst, mut next } = V6::take(&mut span)?;
        loop {
            match next {
                protocol::HOP_BY_HOP
                | protocol::ROUTING
                | protocol::DESTINATION
                | protocol::MOBILITY
                | protocol::HIP
                | protocol::SHIM6 => {
                    let [after, units] = *span.peek::<2>()?;
                    span.skip(usize::from(units) * 8 + 8)?;
                    next = after;
                }
                protocol::AH => {
                    let [after, units] = *span.peek::<2>()?;
                    span.skip(usize::from(units) * 4 + 8)?;
                    next = after;
                }
                protocol::FRAGMENT => {
                    let head = span.take::<8>()?;
                    let bits = be16::<2, _>(head);
                    // an atomic fragment (RFC 6946) is whole
                    if bits & 0xfff9 != 0 {
                        let fragment = Fragment {
                            offset: u32::from(bits & 0xfff8),
                            more: bits & 1 == 1,
                        };
                        let id = be32::<4, _>(head);
                        return self.fragment(span, src, dst, head[0], id, fragment);
                    }
                    next = head[0];
                }
                _ => return self.transport(span, next, src, dst),
            }
        }
    }

    /// Keeps a fragment; ends with the datagram if that is whole now. A first fragment that the snap length cut can
    /// never be put together, and is taken for what it shows.
    #[cold]
    fn fragment(
        &mut self,
        span: Span<'_>,
        src: Addr,
        dst: Addr,
        protocol: u8,
        id: u32,
        fragment: Fragment,
    ) -> Result<Found, Stop> {
        if fragment.offset == 0 && span.wire as usize > span.rest.len() {
            return self.transport(span, protocol, src, dst);
        }
        let key = Key {
            src,
            dst,
            id,
            protocol,
            place: self.place,
        };
        self.fragments.tick(self.ts, self.limits, self.counters);
        let added = (self.fragments).add(key, fragment, &span, self.limits, self.counters);
        match added {
            Added::Held => {
                if self.pos != NO_POS {
                    self.fragments.held_at(self.pos);
                }
                Err(Skip::FragmentHeld.into())
            }
            Added::Refused => Err(Skip::Fragment.into()),
            Added::Whole(mut whole) => {
                whole.vlan = self.vlan;
                whole.tunnels = self.tunnels;
                Err(Stop::Whole(whole))
            }
        }
    }
}
