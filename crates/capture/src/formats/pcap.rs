//! Classic pcap (draft-ietf-opsawg-pcap): a header of 24 bytes, then records of a small header
//! and the frame.

use super::{Fault, Found, Interfaces, Step, interfaces::Taken};
use crate::{Interface, LinkType, MAX_FRAME, PacketDirection, SourceStats};

const HEAD: usize = 24;
const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;
/// The "modified" format of Alexey Kuznetsov's libpcap: eight more bytes in each record's header.
const MODIFIED: u32 = 0xa1b2_cd34;

/// How a capture's records are laid out.
#[derive(Clone, Debug)]
pub(crate) struct Pcap {
    big_endian: bool,
    /// Nanoseconds in a unit of the fraction.
    unit: i64,
    /// Bytes of a record before the frame.
    record: u32,
    /// How the two lengths stand: old writers had them the other way round.
    lengths: Lengths,
    /// Little endian, the usual order of lengths, the usual header: what nearly all files are.
    usual: bool,
    iface: u32,
    link: LinkType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    /// Captured, then wire.
    Usual,
    /// Wire, then captured (before version 2.3).
    Swapped,
    /// Either (version 2.3): the smaller is the captured one.
    Smaller,
}

/// Whether a file begins so.
pub(super) fn is_magic(first: &[u8]) -> bool {
    first
        .first_chunk::<4>()
        .is_some_and(|magic| byte_order(*magic).is_some())
}

/// The magic number in the machine's order, and whether the file is big endian.
fn byte_order(magic: [u8; 4]) -> Option<(u32, bool)> {
    let known = |magic| matches!(magic, MICRO | NANO | MODIFIED);
    let (le, be) = (u32::from_le_bytes(magic), u32::from_be_bytes(magic));
    if known(le) {
        Some((le, false))
    } else {
        known(be).then_some((be, true))
    }
}

impl Pcap {
    /// Reads the file's header. The step passes it, or says that the link type is unknown.
    pub(super) fn begin(
        bytes: &[u8],
        interfaces: &mut Interfaces,
        stats: &mut SourceStats,
    ) -> Result<(Self, Step), Step> {
        let need = Step::Need {
            bytes: HEAD,
            what: "file header",
        };
        let Some(head) = bytes.first_chunk::<HEAD>() else {
            return Err(need);
        };
        let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let Some((magic, big_endian)) = byte_order(word(0)) else {
            return Err(need);
        };
        let number = |raw: [u8; 4]| {
            if big_endian {
                u32::from_be_bytes(raw)
            } else {
                u32::from_le_bytes(raw)
            }
        };
        let half = |at: usize| {
            let raw = [head[at], head[at + 1]];
            if big_endian {
                u16::from_be_bytes(raw)
            } else {
                u16::from_le_bytes(raw)
            }
        };
        let (major, minor) = (half(4), half(6));
        let lengths = match (major, minor) {
            // 543.0 is what one old system wrote for 2.2
            (2, 0..=2) | (543, 0) => Lengths::Swapped,
            (2, 3) => Lengths::Smaller,
            // 512.1024 is 2.4 by a writer that got the byte order of these two fields wrong
            (2, 4) | (0x200, 0x400) => Lengths::Usual,
            _ => {
                return Err(Step::Fault {
                    fault: Fault::Version {
                        format: "pcap",
                        major,
                        minor,
                    },
                    skip: None,
                });
            }
        };
        let link = LinkType::from_dlt(number(word(20)));
        let interface = Interface {
            name: String::new(),
            link,
            description: String::new(),
            snaplen: number(word(16)),
        };
        let Some(iface) = interfaces.number(interface, &mut Taken::new()) else {
            return Err(Step::Fault {
                fault: Fault::TooManyInterfaces,
                skip: None,
            });
        };
        let pcap = Self {
            big_endian,
            unit: if magic == NANO { 1 } else { 1000 },
            record: if magic == MODIFIED { 24 } else { 16 },
            lengths,
            usual: !big_endian && lengths == Lengths::Usual && magic != MODIFIED,
            iface,
            link,
        };
        if let LinkType::Other(number) = link {
            stats.interfaces_unknown += 1;
            let fault = Fault::LinkType {
                iface,
                number: u32::from(number),
            };
            return Ok((
                pcap,
                Step::Fault {
                    fault,
                    skip: Some(HEAD as u64),
                },
            ));
        }
        Ok((pcap, Step::Skip(HEAD as u64)))
    }

    /// The four numbers of a record's header, the lengths in their usual order.
    fn numbers(&self, head: &[u8; 16]) -> [u32; 4] {
        let number = |at: usize| {
            let raw = u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            if self.big_endian {
                u32::from_be(raw)
            } else {
                u32::from_le(raw)
            }
        };
        let (len, wire_len) = (number(8), number(12));
        if self.lengths != Lengths::Usual && (self.lengths == Lengths::Swapped || len > wire_len) {
            return [number(0), number(4), wire_len, len];
        }
        [number(0), number(4), len, wire_len]
    }

    /// The frame of the record at the start of `bytes`, where the file is a usual one, all of the
    /// record is there and is sane, and the frame is not empty.
    #[inline(always)]
    pub(super) fn frame(&self, bytes: &[u8]) -> Option<Found> {
        let head = bytes.first_chunk::<16>()?;
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let len = number(8);
        if self.usual && len > 0 {
            self.found([number(0), number(4), len, number(12)], bytes.len())
        } else {
            None
        }
    }

    /// The frame of a record with these numbers; `None` where it is too long for the bytes or at all.
    #[inline(always)]
    fn found(&self, [seconds, fraction, len, wire_len]: [u32; 4], bytes: usize) -> Option<Found> {
        let used = u64::from(self.record) + u64::from(len);
        if len > MAX_FRAME || used > bytes as u64 {
            return None;
        }
        Some(Found {
            ts: i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * self.unit,
            at: self.record,
            len,
            wire_len,
            iface: self.iface,
            link: self.link,
            direction: PacketDirection::Unknown,
            comment: (0, 0),
            used: used as u32,
        })
    }

    /// The record at the start of `bytes`.
    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        let Some(head) = bytes.first_chunk::<16>() else {
            return Step::Need {
                bytes: self.record as usize,
                what: "record header",
            };
        };
        let numbers = self.numbers(head);
        if let Some(found) = self.found(numbers, bytes.len()) {
            return Step::Frame(found);
        }
        let [.., len, _] = numbers;
        if len > MAX_FRAME {
            let fault = Fault::Length {
                what: "frame",
                length: u64::from(len),
                why: "more than 262144 are not supported",
            };
            return Step::Fault { fault, skip: None };
        }
        Step::Need {
            bytes: self.record as usize + len as usize,
            what: "frame",
        }
    }

    /// The record whose frame begins at `at` of `bytes`, and its bytes.
    pub(super) fn record_before<'a>(
        &self,
        bytes: &'a [u8],
        at: usize,
    ) -> Option<(Found, &'a [u8])> {
        let record = bytes.get(at.checked_sub(self.record as usize)?..)?;
        let numbers = self.numbers(record.first_chunk::<16>()?);
        Some((self.found(numbers, record.len())?, record))
    }
}
