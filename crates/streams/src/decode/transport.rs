//! TCP, UDP, and what else IP may carry.

use super::net::protocol;
use super::span::{Span, be16, be32};
use super::{Found, L4, Skip, Stop, TcpHeader, Walk};
use crate::Addr;

/// A TCP header.
pub(super) struct Tcp {
    pub(super) sport: u16,
    pub(super) dport: u16,
    pub(super) head: TcpHeader,
}

impl Tcp {
    /// Takes the header with its options, which may be cut; the span is the payload then.
    #[inline(always)]
    pub(super) fn take(span: &mut Span<'_>) -> Result<Self, Skip> {
        let head = span.peek::<20>()?;
        let length = u32::from(head[12] >> 4) * 4;
        if length < 20 {
            return Err(Skip::Malformed);
        }
        span.skip_cut(length)?;
        Ok(Tcp {
            sport: be16::<0, _>(head),
            dport: be16::<2, _>(head),
            head: TcpHeader {
                seq: be32::<4, _>(head),
                ack: be32::<8, _>(head),
                flags: head[13],
                window: be16::<14, _>(head),
            },
        })
    }
}

/// A UDP header.
pub(super) struct Udp {
    pub(super) sport: u16,
    pub(super) dport: u16,
}

impl Udp {
    /// Takes the header; the span is the payload then.
    #[inline(always)]
    pub(super) fn take(span: &mut Span<'_>) -> Result<Self, Skip> {
        let head = span.take::<8>()?;
        match u32::from(be16::<4, _>(head)) {
            // a jumbogram (RFC 2675 §4)
            0 => {}
            1..8 => return Err(Skip::Malformed),
            length if length - 8 < span.wire => span.limit(length - 8),
            // as the network card will cut it up, or more than IP says there is
            _ => {}
        }
        Ok(Udp {
            sport: be16::<0, _>(head),
            dport: be16::<2, _>(head),
        })
    }
}

impl Walk<'_> {
    /// What an IP protocol number announces.
    pub(super) fn transport(
        &mut self,
        mut span: Span<'_>,
        proto: u8,
        src: Addr,
        dst: Addr,
    ) -> Result<Found, Stop> {
        match proto {
            protocol::TCP => self.tcp(span, src, dst),
            protocol::UDP => self.udp(span, src, dst),
            protocol::IPV4 => {
                self.enter()?;
                self.ipv4(span)
            }
            protocol::IPV6 => {
                self.enter()?;
                self.ipv6(span)
            }
            protocol::GRE => self.gre(span),
            protocol::AH => {
                // RFC 4302, in IPv4: it authenticates and hides nothing
                let [next, units] = *span.peek::<2>()?;
                span.skip(usize::from(units) * 4 + 8)?;
                self.transport(span, next, src, dst)
            }
            other => Err(Skip::Transport(other).into()),
        }
    }

    fn tcp(&mut self, mut span: Span<'_>, src: Addr, dst: Addr) -> Result<Found, Stop> {
        let tcp = Tcp::take(&mut span)?;
        Ok(self.found(&span, src, dst, tcp.sport, tcp.dport, L4::Tcp(tcp.head)))
    }

    fn udp(&mut self, mut span: Span<'_>, src: Addr, dst: Addr) -> Result<Found, Stop> {
        let Udp { sport, dport } = Udp::take(&mut span)?;
        if let Some(inner) = self.udp_tunnel(span, dport) {
            return inner;
        }
        Ok(self.found(&span, src, dst, sport, dport, L4::Udp))
    }

    fn found(
        &self,
        span: &Span<'_>,
        src: Addr,
        dst: Addr,
        sport: u16,
        dport: u16,
        l4: L4,
    ) -> Found {
        Found {
            src,
            dst,
            sport,
            dport,
            l4,
            start: span.start,
            len: span.rest.len() as u32,
            wire: span.wire,
            vlan: self.vlan,
            tunnels: self.tunnels,
        }
    }
}
