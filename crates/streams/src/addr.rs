//! Addresses as the flow table compares them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address in 16 bytes. IPv4 addresses are kept mapped into IPv6 (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2), so
/// that both families compare as two words; a mapped address seen on the wire in IPv6 reads back as IPv4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr {
    pub(crate) hi: u64,
    pub(crate) lo: u64,
}

/// What stands above the 32 bits of a mapped IPv4 address.
const MAPPED: u64 = 0xffff;

impl Addr {
    /// An IPv4 address from its four bytes in network order.
    #[must_use]
    #[inline]
    pub fn v4(bytes: [u8; 4]) -> Self {
        Addr {
            hi: 0,
            lo: MAPPED << 32 | u64::from(u32::from_be_bytes(bytes)),
        }
    }

    /// An IPv6 address from its sixteen bytes in network order.
    #[must_use]
    #[inline]
    pub fn v6(bytes: [u8; 16]) -> Self {
        let value = u128::from_be_bytes(bytes);
        Addr {
            hi: (value >> 64) as u64,
            lo: value as u64,
        }
    }

    /// Whether it is an IPv4 address.
    #[must_use]
    #[inline]
    pub fn is_v4(self) -> bool {
        self.hi == 0 && self.lo >> 32 == MAPPED
    }

    /// As the standard library has it.
    #[must_use]
    #[inline]
    pub fn ip(self) -> IpAddr {
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::from_bits(self.lo as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(
                u128::from(self.hi) << 64 | u128::from(self.lo),
            ))
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Addr::v4(ip.octets()),
            IpAddr::V6(ip) => Addr::v6(ip.octets()),
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        addr.ip()
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "2001:db8::ffff:1",
        ] {
            let ip: IpAddr = text.parse().unwrap();
            let addr = Addr::from(ip);
            assert_eq!(addr.ip(), ip);
            assert_eq!(addr.is_v4(), ip.is_ipv4());
            assert_eq!(addr.to_string(), text);
        }
        assert_eq!(
            Addr::from("::ffff:10.1.2.3".parse::<IpAddr>().unwrap()).to_string(),
            "10.1.2.3"
        );
    }
}
