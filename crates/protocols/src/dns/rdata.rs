//! The data of resource records, typed.

use super::codes::{self, Type};
use super::wire::{Name, Resource, Slice};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The data of a record. Its `Display` is the presentation format of the RFC that defines the type, with names that
/// lack the last dot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Data<'m> {
    /// A, RFC 1035 §3.4.1.
    A(Ipv4Addr),
    /// AAAA, RFC 3596 §2.2.
    Aaaa(Ipv6Addr),
    /// CNAME, NS, PTR, DNAME and others that are one name; under which key it is shown.
    Name(&'static str, Name<'m>),
    /// SOA, RFC 1035 §3.3.13: serial, refresh, retry, expire, minimum.
    Soa {
        mname: Name<'m>,
        rname: Name<'m>,
        times: [u32; 5],
    },
    /// MX, AFSDB, KX, RT: a preference and a name.
    Preference(&'static str, u16, Name<'m>),
    /// MINFO, RP: two names.
    TwoNames(Name<'m>, Name<'m>),
    /// TXT, SPF: character strings.
    Texts(Slice<'m>),
    /// HINFO, RFC 1035 §3.3.2.
    Hinfo { cpu: &'m [u8], os: &'m [u8] },
    /// SRV, RFC 2782.
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: Name<'m>,
    },
    /// NAPTR, RFC 3403 §4.1: flags, services and regexp.
    Naptr {
        order: u16,
        preference: u16,
        strings: [&'m [u8]; 3],
        replacement: Name<'m>,
    },
    /// URI, RFC 7553 §4.
    Uri {
        priority: u16,
        weight: u16,
        target: &'m [u8],
    },
    /// CAA, RFC 8659 §4.1.
    Caa {
        flags: u8,
        tag: &'m [u8],
        value: &'m [u8],
    },
    /// DS, CDS, DLV, RFC 4034 §5.1.
    Ds {
        key_tag: u16,
        algorithm: u8,
        digest_type: u8,
        digest: &'m [u8],
    },
    /// DNSKEY, CDNSKEY, KEY, RFC 4034 §2.1.
    Dnskey {
        flags: u16,
        protocol: u8,
        algorithm: u8,
        key: &'m [u8],
    },
    /// RRSIG, SIG, RFC 4034 §3.1.
    Rrsig(Signature<'m>),
    /// NSEC, RFC 4034 §4.1.
    Nsec { next: Name<'m>, types: Types<'m> },
    /// NSEC3, RFC 5155 §3.2.
    Nsec3 {
        flags: u8,
        iterations: u16,
        salt: &'m [u8],
        next: &'m [u8],
        types: Types<'m>,
    },
    /// NSEC3PARAM, RFC 5155 §4.2.
    Nsec3Param {
        flags: u8,
        iterations: u16,
        salt: &'m [u8],
    },
    /// SSHFP, RFC 4255 §3.1.
    Sshfp {
        algorithm: u8,
        kind: u8,
        fingerprint: &'m [u8],
    },
    /// TLSA, SMIMEA, RFC 6698 §2.1.
    Tlsa {
        usage: u8,
        selector: u8,
        matching: u8,
        data: &'m [u8],
    },
    /// SVCB, HTTPS, RFC 9460 §2.2.
    Svcb {
        priority: u16,
        target: Name<'m>,
        params: Slice<'m>,
    },
    /// OPT, RFC 6891 §6.1.2.
    Opt(Slice<'m>),
    /// No data: prerequisites and deletions of an update (RFC 2136).
    Empty,
    /// A type that is not read here, or data that contradict their type.
    Other(&'m [u8]),
}

/// What an RRSIG says (RFC 4034 §3.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature<'m> {
    pub(super) covered: u16,
    pub(super) algorithm: u8,
    pub(super) labels: u8,
    pub(super) ttl: u32,
    pub(super) expiration: u32,
    pub(super) inception: u32,
    pub(super) key_tag: u16,
    pub(super) signer: Name<'m>,
    pub(super) signature: &'m [u8],
}

impl<'m> Data<'m> {
    /// The data of a record.
    pub(super) fn of(record: &Resource<'m>) -> Data<'m> {
        let mut slice = record.data;
        if slice.is_empty() && record.kind != codes::OPT {
            return Data::Empty;
        }
        match Data::read(record.kind, &mut slice) {
            // bytes behind the data: another type than it says
            Some(data) if slice.is_empty() => data,
            _ => Data::Other({ record.data }.rest()),
        }
    }

    fn read(kind: u16, s: &mut Slice<'m>) -> Option<Data<'m>> {
        Some(match kind {
            codes::A => Data::A(s.array::<4>()?.into()),
            codes::AAAA => Data::Aaaa(s.array::<16>()?.into()),
            codes::CNAME => Data::Name("cname", s.name()?),
            codes::NS => Data::Name("ns", s.name()?),
            codes::PTR => Data::Name("ptr", s.name()?),
            codes::DNAME => Data::Name("dname", s.name()?),
            codes::MB | codes::MD | codes::MF | codes::MG | codes::MR => {
                Data::Name("mailbox", s.name()?)
            }
            codes::SOA => {
                let (mname, rname) = (s.name()?, s.name()?);
                Data::Soa {
                    mname,
                    rname,
                    times: [s.u32()?, s.u32()?, s.u32()?, s.u32()?, s.u32()?],
                }
            }
            codes::MX => Data::Preference("mx", s.u16()?, s.name()?),
            codes::AFSDB => Data::Preference("afsdb", s.u16()?, s.name()?),
            codes::KX => Data::Preference("kx", s.u16()?, s.name()?),
            codes::RT => Data::Preference("rt", s.u16()?, s.name()?),
            codes::LP => Data::Preference("lp", s.u16()?, s.name()?),
            codes::MINFO | codes::RP => Data::TwoNames(s.name()?, s.name()?),
            codes::TXT | codes::SPF => Data::texts(s)?,
            codes::HINFO => Data::Hinfo {
                cpu: s.string()?,
                os: s.string()?,
            },
            codes::SRV => Data::Srv {
                priority: s.u16()?,
                weight: s.u16()?,
                port: s.u16()?,
                target: s.name()?,
            },
            codes::NAPTR => {
                let (order, preference) = (s.u16()?, s.u16()?);
                let strings = [s.string()?, s.string()?, s.string()?];
                Data::Naptr {
                    order,
                    preference,
                    strings,
                    replacement: s.name()?,
                }
            }
            codes::URI => Data::Uri {
                priority: s.u16()?,
                weight: s.u16()?,
                target: s.rest(),
            },
            codes::CAA => Data::Caa {
                flags: s.u8()?,
                tag: s.string()?,
                value: s.rest(),
            },
            _ => return Data::read_security(kind, s),
        })
    }

    fn read_security(kind: u16, s: &mut Slice<'m>) -> Option<Data<'m>> {
        Some(match kind {
            codes::DS | codes::CDS | codes::DLV | codes::TA => Data::Ds {
                key_tag: s.u16()?,
                algorithm: s.u8()?,
                digest_type: s.u8()?,
                digest: s.rest(),
            },
            codes::DNSKEY | codes::CDNSKEY | codes::KEY => Data::Dnskey {
                flags: s.u16()?,
                protocol: s.u8()?,
                algorithm: s.u8()?,
                key: s.rest(),
            },
            codes::RRSIG | codes::SIG => Data::Rrsig(Signature {
                covered: s.u16()?,
                algorithm: s.u8()?,
                labels: s.u8()?,
                ttl: s.u32()?,
                expiration: s.u32()?,
                inception: s.u32()?,
                key_tag: s.u16()?,
                signer: s.name()?,
                signature: s.rest(),
            }),
            codes::NSEC => Data::Nsec {
                next: s.name()?,
                types: Types::read(s)?,
            },
            codes::NSEC3 => {
                s.u8()?; // hash algorithm: 1, SHA-1, is the only one
                let (flags, iterations) = (s.u8()?, s.u16()?);
                Data::Nsec3 {
                    flags,
                    iterations,
                    salt: s.string()?,
                    next: s.string()?,
                    types: Types::read(s)?,
                }
            }
            codes::NSEC3PARAM => {
                s.u8()?;
                Data::Nsec3Param {
                    flags: s.u8()?,
                    iterations: s.u16()?,
                    salt: s.string()?,
                }
            }
            codes::SSHFP => Data::Sshfp {
                algorithm: s.u8()?,
                kind: s.u8()?,
                fingerprint: s.rest(),
            },
            codes::TLSA | codes::SMIMEA => Data::Tlsa {
                usage: s.u8()?,
                selector: s.u8()?,
                matching: s.u8()?,
                data: s.rest(),
            },
            codes::SVCB | codes::HTTPS => {
                let (priority, target) = (s.u16()?, s.name()?);
                Data::Svcb {
                    priority,
                    target,
                    params: pairs(s)?,
                }
            }
            codes::OPT => Data::Opt(pairs(s)?),
            _ => return None,
        })
    }

    /// Character strings that fill the data.
    fn texts(s: &mut Slice<'m>) -> Option<Data<'m>> {
        let texts = *s;
        while !s.is_empty() {
            s.string()?;
        }
        Some(Data::Texts(texts))
    }
}

/// Pairs of a key, a length and as many bytes that fill what is left: SVCB parameters and EDNS options.
fn pairs<'m>(s: &mut Slice<'m>) -> Option<Slice<'m>> {
    let pairs = *s;
    while !s.is_empty() {
        pair(s)?;
    }
    Some(pairs)
}

fn pair<'m>(s: &mut Slice<'m>) -> Option<(u16, &'m [u8])> {
    let (key, length) = (s.u16()?, s.u16()?);
    Some((key, s.take(usize::from(length))?))
}

pub(super) fn each_pair<'m>(mut s: Slice<'m>) -> impl Iterator<Item = (u16, &'m [u8])> {
    std::iter::from_fn(move || if s.is_empty() { None } else { pair(&mut s) })
}

pub(super) fn each_text<'m>(mut s: Slice<'m>) -> impl Iterator<Item = &'m [u8]> {
    std::iter::from_fn(move || if s.is_empty() { None } else { s.string() })
}

/// The type bitmap of NSEC and NSEC3 (RFC 4034 §4.1.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Types<'m>(Slice<'m>);

impl<'m> Types<'m> {
    fn read(s: &mut Slice<'m>) -> Option<Types<'m>> {
        let types = Types(*s);
        while !s.is_empty() {
            s.u8()?;
            s.string()?;
        }
        Some(types)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Type> + 'm {
        let mut s = self.0;
        let windows = std::iter::from_fn(move || {
            if s.is_empty() {
                None
            } else {
                Some((s.u8()?, s.string()?))
            }
        });
        windows.flat_map(|(window, bits)| {
            let bits = bits.iter().take(32).zip((0u16..).step_by(8));
            let set = bits.flat_map(|(byte, first)| {
                (0..8)
                    .filter(move |bit| byte & 0x80 >> bit != 0)
                    .map(move |bit| first + bit)
            });
            set.map(move |low| Type(u16::from(window) << 8 | low))
        })
    }
}
