//! The data of resource records as presentation text: what a zone file or `dig` shows.

use super::codes::{self, Type};
use super::rdata::{Data, Types, each_pair, each_text};
use gillnet_entry::json;
use gillnet_entry::time::Rfc3339;
use std::fmt::{self, Display, Formatter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

impl Display for Types<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for kind in self.iter() {
            write!(f, " {kind}")?;
        }
        Ok(())
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A salt: `-` where it is empty (RFC 5155 §3.3).
pub(super) struct Salt<'a>(pub(super) &'a [u8]);

impl Display for Salt<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_char('-')
        } else {
            Hex(self.0).fmt(f)
        }
    }
}

struct Base64<'a>(&'a [u8]);

impl Display for Base64<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        json::base64(self.0, &mut text);
        text.into_iter()
            .try_for_each(|c| f.write_char(char::from(c)))
    }
}

/// Base32 with the extended hex alphabet and no padding (RFC 4648 §7), as hashed owner names are written.
pub(super) struct Base32Hex<'a>(pub(super) &'a [u8]);

impl Display for Base32Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.chunks(5) {
            let bits = chunk.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte))
                << (8 * (5 - chunk.len()));
            for i in 0..(chunk.len() * 8).div_ceil(5) {
                let digit = (bits >> (35 - 5 * i) & 31) as u8;
                f.write_char(char::from(if digit < 10 {
                    b'0' + digit
                } else {
                    b'a' + digit - 10
                }))?;
            }
        }
        Ok(())
    }
}

/// A quoted character string (RFC 1035 §5.1).
struct Quoted<'a>(&'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Plain(self.0))
    }
}

/// The inside of a quoted character string.
struct Plain<'a>(&'a [u8]);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(*byte)),
            0x20..=0x7e => f.write_char(char::from(*byte)),
            _ => write!(f, "\\{byte:03}"),
        })
    }
}

/// A moment of a signature: `YYYYMMDDHHmmSS` (RFC 4034 §3.2).
struct Moment(u32);

impl Display for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = Rfc3339(i64::from(self.0) * 1_000_000_000).to_string();
        text.chars()
            .take("YYYY-MM-DDTHH:MM:SS".len())
            .filter(char::is_ascii_digit)
            .try_for_each(|c| f.write_char(c))
    }
}

impl Display for Data<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Data::A(ip) => ip.fmt(f),
            Data::Aaaa(ip) => ip.fmt(f),
            Data::Name(_, name) => name.fmt(f),
            Data::Soa {
                mname,
                rname,
                times,
            } => {
                write!(f, "{mname} {rname}")?;
                times.iter().try_for_each(|time| write!(f, " {time}"))
            }
            Data::Preference(_, preference, name) => write!(f, "{preference} {name}"),
            Data::TwoNames(first, second) => write!(f, "{first} {second}"),
            Data::Texts(texts) => each_text(texts).enumerate().try_for_each(|(i, text)| {
                write!(f, "{}{}", if i == 0 { "" } else { " " }, Quoted(text))
            }),
            Data::Hinfo { cpu, os } => write!(f, "{} {}", Quoted(cpu), Quoted(os)),
            Data::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "{priority} {weight} {port} {target}"),
            Data::Naptr {
                order,
                preference,
                strings: [flags, services, regexp],
                replacement,
            } => {
                let (flags, services, regexp) = (Quoted(flags), Quoted(services), Quoted(regexp));
                write!(
                    f,
                    "{order} {preference} {flags} {services} {regexp} {replacement}"
                )
            }
            Data::Uri {
                priority,
                weight,
                target,
            } => write!(f, "{priority} {weight} {}", Quoted(target)),
            Data::Caa { flags, tag, value } => {
                write!(f, "{flags} {} {}", tag.escape_ascii(), Quoted(value))
            }
            Data::Empty => Ok(()),
            Data::Other(bytes) => {
                // RFC 3597 §5
                write!(
                    f,
                    "\\# {}{}{}",
                    bytes.len(),
                    if bytes.is_empty() { "" } else { " " },
                    Hex(bytes)
                )
            }
            _ => self.fmt_security(f),
        }
    }
}

impl Data<'_> {
    fn fmt_security(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Data::Ds {
                key_tag,
                algorithm,
                digest_type,
                digest,
            } => {
                write!(f, "{key_tag} {algorithm} {digest_type} {}", Hex(digest))
            }
            Data::Dnskey {
                flags,
                protocol,
                algorithm,
                key,
            } => {
                write!(f, "{flags} {protocol} {algorithm} {}", Base64(key))
            }
            Data::Rrsig(s) => {
                let (expiration, inception) = (Moment(s.expiration), Moment(s.inception));
                write!(
                    f,
                    "{} {} {} {} ",
                    Type(s.covered),
                    s.algorithm,
                    s.labels,
                    s.ttl
                )?;
                write!(
                    f,
                    "{expiration} {inception} {} {} {}",
                    s.key_tag,
                    s.signer,
                    Base64(s.signature)
                )
            }
            Data::Nsec { next, types } => write!(f, "{next}{types}"),
            Data::Nsec3 {
                flags,
                iterations,
                salt,
                next,
                types,
            } => {
                write!(
                    f,
                    "1 {flags} {iterations} {} {}{types}",
                    Salt(salt),
                    Base32Hex(next)
                )
            }
            Data::Nsec3Param {
                flags,
                iterations,
                salt,
            } => write!(f, "1 {flags} {iterations} {}", Salt(salt)),
            Data::Sshfp {
                algorithm,
                kind,
                fingerprint,
            } => write!(f, "{algorithm} {kind} {}", Hex(fingerprint)),
            Data::Tlsa {
                usage,
                selector,
                matching,
                data,
            } => {
                write!(f, "{usage} {selector} {matching} {}", Hex(data))
            }
            Data::Svcb {
                priority,
                target,
                params,
            } => {
                write!(f, "{priority} {target}")?;
                each_pair(params).try_for_each(|(key, value)| {
                    write!(f, " {}", ParameterName(key))?;
                    if value.is_empty() {
                        Ok(())
                    } else {
                        write!(f, "=\"{}\"", ParameterText(key, value))
                    }
                })
            }
            Data::Opt(options) => {
                each_pair(options)
                    .enumerate()
                    .try_for_each(|(i, (code, data))| {
                        write!(
                            f,
                            "{}{}: {}",
                            if i == 0 { "" } else { ", " },
                            OptionName(code),
                            OptionText(code, data)
                        )
                    })
            }
            _ => Ok(()),
        }
    }
}

/// The data of an A or AAAA-like list, joined by commas.
fn addresses<const N: usize, A: From<[u8; N]> + Display>(
    bytes: &[u8],
    f: &mut Formatter<'_>,
) -> fmt::Result {
    let (whole, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() || whole.is_empty() {
        return Quoted(bytes).fmt(f);
    }
    for (i, address) in whole.iter().enumerate() {
        write!(f, "{}{}", if i == 0 { "" } else { "," }, A::from(*address))?;
    }
    Ok(())
}

/// Name of a service parameter: `alpn`, `key65333` (RFC 9460 §2.1).
pub(super) struct ParameterName(pub(super) u16);

impl Display for ParameterName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match codes::service_parameter(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "key{}", self.0),
        }
    }
}

/// Value of a service parameter, as RFC 9460 §7 and appendix A write it.
pub(super) struct ParameterText<'a>(pub(super) u16, pub(super) &'a [u8]);

impl Display for ParameterText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (0, keys) if keys.len() % 2 == 0 => {
                for (i, key) in keys.as_chunks::<2>().0.iter().enumerate() {
                    write!(
                        f,
                        "{}{}",
                        if i == 0 { "" } else { "," },
                        ParameterName(u16::from_be_bytes(*key))
                    )?;
                }
                Ok(())
            }
            (1, ids) => protocols(ids, f),
            (3, &[high, low]) => u16::from_be_bytes([high, low]).fmt(f),
            (4, hints) => addresses::<4, Ipv4Addr>(hints, f),
            (5, list) => Base64(list).fmt(f),
            (6, hints) => addresses::<16, Ipv6Addr>(hints, f),
            (_, other) => Plain(other).fmt(f),
        }
    }
}

/// Length-prefixed protocol ids (ALPN), joined by commas.
fn protocols(mut ids: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    let mut separator = "";
    while let Some((length, rest)) = ids.split_first() {
        let (id, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        write!(f, "{separator}{}", Plain(id))?;
        (ids, separator) = (rest, ",");
    }
    Ok(())
}

/// Name of an EDNS option: `Client Subnet`, `OPT65001`.
pub(super) struct OptionName(pub(super) u16);

impl Display for OptionName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match codes::option(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "OPT{}", self.0),
        }
    }
}

/// Data of an EDNS option.
pub(super) struct OptionText<'a>(pub(super) u16, pub(super) &'a [u8]);

impl Display for OptionText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            // client subnet, RFC 7871 §6
            (8, &[0, family @ (1 | 2), source, scope, ref address @ ..]) => {
                let address = address
                    .get(..address.len().min(if family == 1 { 4 } else { 16 }))
                    .unwrap_or_default();
                let mut whole = [0u8; 16];
                whole
                    .iter_mut()
                    .zip(address)
                    .for_each(|(to, from)| *to = *from);
                match (family, whole) {
                    (1, [a, b, c, d, ..]) => {
                        write!(f, "{}/{source}/{scope}", Ipv4Addr::new(a, b, c, d))
                    }
                    _ => write!(f, "{}/{source}/{scope}", Ipv6Addr::from(whole)),
                }
            }
            // keepalive in units of 100 ms, RFC 7828 §3.1
            (11, &[high, low]) => {
                let tenths = u16::from_be_bytes([high, low]);
                write!(f, "{}.{} s", tenths / 10, tenths % 10)
            }
            // extended error, RFC 8914 §2
            (15, &[high, low, ref text @ ..]) => {
                write!(f, "{}", u16::from_be_bytes([high, low]))?;
                if text.is_empty() {
                    Ok(())
                } else {
                    write!(f, " {}", Quoted(text))
                }
            }
            (12, padding) => write!(f, "{} bytes", padding.len()),
            (_, other) => Hex(other).fmt(f),
        }
    }
}
