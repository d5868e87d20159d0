//! Classic pcap, in which every frame is an Ethernet frame.
//!
//! The format has one link type a file; frames of other link types get an Ethernet header with
//! the type of what they carry, and zeros for addresses that are not known.

use std::io::{self, Write};

use crate::{LinkType, MAX_FRAME};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Values below are lengths, not types (IEEE 802.3).
const FIRST_ETHERTYPE: u16 = 0x0600;

/// What a file's timestamps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcapResolution {
    /// Microseconds: every program reads it.
    Micro,
    /// Nanoseconds.
    Nano,
}

/// Writes classic pcap, little endian, link type Ethernet.
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
    resolution: PcapResolution,
}

impl<W: Write> PcapWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, resolution: PcapResolution) -> io::Result<Self> {
        let magic: u32 = match resolution {
            PcapResolution::Micro => 0xa1b2_c3d4,
            PcapResolution::Nano => 0xa1b2_3c4d,
        };
        let mut head = [0; 24];
        head[0..4].copy_from_slice(&magic.to_le_bytes());
        head[4..6].copy_from_slice(&2u16.to_le_bytes());
        head[6..8].copy_from_slice(&4u16.to_le_bytes());
        head[16..20].copy_from_slice(&MAX_FRAME.to_le_bytes());
        head[20..24].copy_from_slice(&LinkType::Ethernet.dlt().to_le_bytes());
        out.write_all(&head)?;
        Ok(Self { out, resolution })
    }

    /// Goes on with a file that was begun with the same resolution.
    pub fn go_on(out: W, resolution: PcapResolution) -> Self {
        Self { out, resolution }
    }

    /// Appends a frame. `false`, and nothing written, where its link type has no form on Ethernet.
    ///
    /// `ts` is in nanoseconds since the Unix epoch; seconds beyond 32 bits are written as the
    /// nearest that fit.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn frame(
        &mut self,
        ts: i64,
        link: LinkType,
        wire_len: u32,
        data: &[u8],
    ) -> io::Result<bool> {
        let Some((head, body)) = ethernet_parts(link, data) else {
            return Ok(false);
        };
        let head = head.as_ref().map_or(&[][..], |head| head);
        let removed = data.len() - body.len();
        let cap_len = (head.len() + body.len()) as u32;
        let wire_len = wire_len
            .saturating_sub(removed as u32)
            .saturating_add(head.len() as u32)
            .max(cap_len);
        let ts = u64::try_from(ts).unwrap_or(0);
        let seconds = u32::try_from(ts / 1_000_000_000).unwrap_or(u32::MAX);
        let nanos = (ts % 1_000_000_000) as u32;
        let fraction = match self.resolution {
            PcapResolution::Micro => nanos / 1000,
            PcapResolution::Nano => nanos,
        };
        let mut record = [0; 16];
        for (field, value) in record
            .chunks_exact_mut(4)
            .zip([seconds, fraction, cap_len, wire_len])
        {
            field.copy_from_slice(&value.to_le_bytes());
        }
        self.out.write_all(&record)?;
        self.out.write_all(head)?;
        self.out.write_all(body)?;
        Ok(true)
    }

    /// The writer below.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// A frame as an Ethernet frame: a header to put before it, where it has none of its own, and
/// what of `data` follows. `None` where it can't be one: an unknown link type, or a cut header.
#[must_use]
pub fn ethernet_parts(link: LinkType, data: &[u8]) -> Option<(Option<[u8; 14]>, &[u8])> {
    match link {
        LinkType::Ethernet => Some((None, data)),
        LinkType::Raw => by_version(data),
        LinkType::Ipv4 => Some((Some(header(None, ETHERTYPE_IPV4)), data)),
        LinkType::Ipv6 => Some((Some(header(None, ETHERTYPE_IPV6)), data)),
        LinkType::Null | LinkType::Loop => {
            let (family, body) = data.split_first_chunk::<4>()?;
            // the family's number differs between systems, and for Null also its byte order
            match u32::from_be_bytes(*family).min(u32::from_le_bytes(*family)) {
                2 => Some((Some(header(None, ETHERTYPE_IPV4)), body)),
                10 | 24 | 28 | 30 => Some((Some(header(None, ETHERTYPE_IPV6)), body)),
                _ => by_version(body),
            }
        }
        LinkType::LinuxSll => {
            let (head, body) = data.split_first_chunk::<16>()?;
            let source = (head[4..6] == [0, 6]).then(|| first_six(&head[6..]));
            Some((
                Some(typed(
                    source.flatten(),
                    u16::from_be_bytes([head[14], head[15]]),
                    body,
                )),
                body,
            ))
        }
        LinkType::LinuxSll2 => {
            let (head, body) = data.split_first_chunk::<20>()?;
            let source = (head[11] == 6).then(|| first_six(&head[12..]));
            Some((
                Some(typed(
                    source.flatten(),
                    u16::from_be_bytes([head[0], head[1]]),
                    body,
                )),
                body,
            ))
        }
        LinkType::Other(_) => None,
    }
}

fn first_six(bytes: &[u8]) -> Option<[u8; 6]> {
    bytes.first_chunk::<6>().copied()
}

/// A header for a packet that says itself which version of IP it is.
fn by_version(data: &[u8]) -> Option<(Option<[u8; 14]>, &[u8])> {
    match data.first()? >> 4 {
        4 => Some((Some(header(None, ETHERTYPE_IPV4)), data)),
        6 => Some((Some(header(None, ETHERTYPE_IPV6)), data)),
        _ => None,
    }
}

/// A header for what Linux calls `protocol`: an ethertype, or a small number for frames of
/// IEEE 802.3, in whose header a length stands in the type's place.
fn typed(source: Option<[u8; 6]>, protocol: u16, body: &[u8]) -> [u8; 14] {
    if protocol >= FIRST_ETHERTYPE {
        header(source, protocol)
    } else {
        header(
            source,
            (body.len() as u64).min(u64::from(FIRST_ETHERTYPE) - 1) as u16,
        )
    }
}

fn header(source: Option<[u8; 6]>, ethertype: u16) -> [u8; 14] {
    let mut out = [0; 14];
    out[6..12].copy_from_slice(&source.unwrap_or_default());
    out[12..14].copy_from_slice(&ethertype.to_be_bytes());
    out
}
