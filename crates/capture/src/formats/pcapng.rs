//! pcapng (draft-ietf-opsawg-pcapng): blocks, in sections that have a byte order and interfaces of
//! their own.

use super::{
    Fault, Found, Interfaces, MAX_BLOCK, Step,
    interfaces::{Taken, text},
    time::TimeScale,
};
use crate::{Interface, LinkType, MAX_FRAME, PacketDirection, SourceStats};

const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Bytes of a packet block before the frame, and of a simple packet block.
const PACKET_HEAD: u32 = 28;
const SIMPLE_HEAD: u32 = 12;
/// The smallest block: type, length, and length again.
const SMALLEST: u32 = 12;

const OPT_COMMENT: u16 = 1;
const OPT_FLAGS: u16 = 2;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// The section that the walk is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pcapng {
    /// How many section headers were met.
    sections: u32,
    big_endian: bool,
    interfaces: Vec<Local>,
    taken: Taken,
    /// The last frame's time, for blocks that have none.
    last_ts: i64,
}

/// An interface of the section.
#[derive(Clone, Copy, Debug)]
struct Local {
    /// Its number in the source.
    number: u32,
    link: LinkType,
    snaplen: u32,
    time: TimeScale,
}

/// Options as (code, value), until the end mark; the last item tells whether they were well formed.
struct Options<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    malformed: bool,
}

impl<'a> Options<'a> {
    fn half(&self, raw: [u8; 2]) -> u16 {
        if self.big_endian {
            u16::from_be_bytes(raw)
        } else {
            u16::from_le_bytes(raw)
        }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let head = self.bytes.split_first_chunk::<4>();
        let item = head.and_then(|([a, b, c, d], rest)| {
            let len = usize::from(self.half([*c, *d]));
            rest.get(..len).map(|value| {
                (
                    self.half([*a, *b]),
                    value,
                    rest.get(len.next_multiple_of(4)..),
                )
            })
        });
        let Some((code, value, rest)) = item else {
            self.malformed = true;
            self.bytes = &[];
            return None;
        };
        // the padding of the last option may be missing
        self.bytes = rest.unwrap_or_default();
        if code == 0 {
            self.bytes = &[];
            return None;
        }
        Some((code, value))
    }
}

impl Pcapng {
    #[inline(always)]
    fn word(&self, raw: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(raw)
        } else {
            u32::from_le_bytes(raw)
        }
    }

    /// The 32-bit number at `at`; 0 beyond the end, which callers have ruled out.
    #[inline(always)]
    fn at(&self, bytes: &[u8], at: usize) -> u32 {
        bytes
            .get(at..)
            .and_then(<[u8]>::first_chunk::<4>)
            .map_or(0, |raw| self.word(*raw))
    }

    fn options<'a>(&self, bytes: &'a [u8]) -> Options<'a> {
        Options {
            bytes,
            big_endian: self.big_endian,
            malformed: false,
        }
    }

    /// The frame of the block at the start of `bytes`, where that is a sane enhanced packet
    /// block of a little-endian section.
    #[inline(always)]
    pub(super) fn frame(&mut self, bytes: &[u8], stats: &mut SourceStats) -> Option<Found> {
        let head = bytes.first_chunk::<{ PACKET_HEAD as usize }>()?;
        let [a, b, c, d, e, f, g, h, ..] = *head;
        if u32::from_le_bytes([a, b, c, d]) != ENHANCED_PACKET
            || self.big_endian
            || self.sections == 0
        {
            return None;
        }
        let total = u32::from_le_bytes([e, f, g, h]);
        match self.packet(bytes, ENHANCED_PACKET, total, stats) {
            Step::Frame(found) => {
                self.last_ts = found.ts;
                Some(found)
            }
            _ => None,
        }
    }

    /// The block at the start of `bytes`.
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        interfaces: &mut Interfaces,
        stats: &mut SourceStats,
    ) -> Step {
        let Some(head) = bytes.first_chunk::<8>() else {
            return Step::Need {
                bytes: SMALLEST as usize,
                what: "block",
            };
        };
        let [a, b, c, d, e, f, g, h] = *head;
        if [a, b, c, d] == SECTION || self.sections == 0 {
            return self.section(bytes, stats);
        }
        let (kind, total) = (self.word([a, b, c, d]), self.word([e, f, g, h]));
        if total < SMALLEST {
            return length(total, "less than the smallest block has");
        }
        match kind {
            ENHANCED_PACKET | PACKET => {
                let step = self.packet(bytes, kind, total, stats);
                if let Step::Frame(found) = &step {
                    self.last_ts = found.ts;
                }
                step
            }
            SIMPLE_PACKET => self.simple_packet(bytes, total),
            INTERFACE => self.interface(bytes, total, interfaces, stats),
            _ => {
                stats.blocks_skipped += 1;
                Step::Skip(padded(total))
            }
        }
    }

    /// The whole block, padded up to a multiple of four as some writers forget to say.
    #[inline(always)]
    fn whole<'a>(&self, bytes: &'a [u8], total: u32, what: &'static str) -> Result<&'a [u8], Step> {
        if total < SMALLEST {
            return Err(length(total, "less than the smallest block has"));
        }
        if total > MAX_BLOCK {
            return Err(length(total, "more than 1048576 are not supported"));
        }
        let used = padded(total) as usize;
        let Some(block) = bytes.get(..used) else {
            return Err(Step::Need { bytes: used, what });
        };
        if self.at(block, used - 4) != total {
            return Err(length(total, "its end says another length"));
        }
        Ok(block)
    }

    #[cold]
    fn section(&mut self, bytes: &[u8], stats: &mut SourceStats) -> Step {
        let Some(head) = bytes.first_chunk::<28>() else {
            return Step::Need {
                bytes: 28,
                what: "section header",
            };
        };
        let order = [head[8], head[9], head[10], head[11]];
        let big_endian = match (u32::from_le_bytes(order), u32::from_be_bytes(order)) {
            (BYTE_ORDER, _) => false,
            (_, BYTE_ORDER) => true,
            _ => {
                let fault = Fault::Block {
                    what: "section header",
                    why: "its byte-order magic is wrong",
                };
                return Step::Fault { fault, skip: None };
            }
        };
        *self = Self {
            sections: self.sections.saturating_add(1),
            big_endian,
            last_ts: self.last_ts,
            ..Self::default()
        };
        let total = self.at(head, 4);
        let versions = self.at(head, 12);
        let (first, second) = ((versions >> 16) as u16, versions as u16);
        let (major, minor) = if big_endian {
            (first, second)
        } else {
            (second, first)
        };
        // 1.2 is what some writers said for 1.0
        if major != 1 || !matches!(minor, 0 | 2) {
            return Step::Fault {
                fault: Fault::Version {
                    format: "pcapng",
                    major,
                    minor,
                },
                skip: None,
            };
        }
        if total < 28 {
            return length(total, "less than a section header has");
        }
        let block = match self.whole(bytes, total, "section header") {
            Ok(block) => block,
            Err(step) => return step,
        };
        let mut options = self.options(block.get(24..block.len() - 4).unwrap_or_default());
        options.by_ref().for_each(drop);
        stats.options_malformed += u64::from(options.malformed);
        Step::Skip(padded(total))
    }

    #[cold]
    fn interface(
        &mut self,
        bytes: &[u8],
        total: u32,
        interfaces: &mut Interfaces,
        stats: &mut SourceStats,
    ) -> Step {
        if total < 20 {
            return length(total, "less than an interface block has");
        }
        let block = match self.whole(bytes, total, "interface block") {
            Ok(block) => block,
            Err(step) => return step,
        };
        let first = self.at(block, 8);
        let link = LinkType::from_dlt(if self.big_endian {
            first >> 16
        } else {
            first & 0xffff
        });
        let snaplen = self.at(block, 12);
        let (mut name, mut description, mut resolution, mut offset) =
            (String::new(), String::new(), 6u8, 0i64);
        let mut options = self.options(block.get(16..block.len() - 4).unwrap_or_default());
        let mut odd = false;
        for (code, value) in options.by_ref() {
            match (code, value) {
                (IF_NAME, value) => name = text(value),
                (IF_DESCRIPTION, value) => description = text(value),
                (IF_TSRESOL, [value, ..]) => resolution = *value,
                (IF_TSOFFSET, value) => match value.first_chunk::<8>() {
                    Some(raw) if self.big_endian => offset = i64::from_be_bytes(*raw),
                    Some(raw) => offset = i64::from_le_bytes(*raw),
                    None => odd = true,
                },
                (IF_TSRESOL, []) => odd = true,
                _ => {}
            }
        }
        stats.options_malformed += u64::from(options.malformed || odd);
        let time = TimeScale::new(resolution, offset);
        let interface = Interface {
            name,
            link,
            description,
            snaplen,
        };
        let Some(number) = interfaces.number(interface, &mut self.taken) else {
            return Step::Fault {
                fault: Fault::TooManyInterfaces,
                skip: None,
            };
        };
        self.interfaces.push(Local {
            number,
            link,
            snaplen,
            time,
        });
        if let LinkType::Other(dlt) = link {
            stats.interfaces_unknown += 1;
            let fault = Fault::LinkType {
                iface: number,
                number: u32::from(dlt),
            };
            return Step::Fault {
                fault,
                skip: Some(padded(total)),
            };
        }
        Step::Skip(padded(total))
    }

    /// An enhanced packet block, or the packet block that it replaced.
    #[inline(always)]
    fn packet(&self, bytes: &[u8], kind: u32, total: u32, stats: &mut SourceStats) -> Step {
        let block = match self.whole(bytes, total, "packet block") {
            Ok(block) => block,
            Err(step) => return step,
        };
        let Some(head) = block.first_chunk::<{ PACKET_HEAD as usize }>() else {
            return length(total, "less than a packet block has");
        };
        let unusable = |why| Step::Fault {
            fault: Fault::Block {
                what: "packet block",
                why,
            },
            skip: Some(padded(total)),
        };
        let first = self.at(head, 8);
        let iface = match kind {
            ENHANCED_PACKET => first,
            _ if self.big_endian => first >> 16,
            _ => first & 0xffff,
        };
        let len = self.at(head, 20);
        let frame_end = u64::from(PACKET_HEAD) + padded(len);
        if frame_end + 4 > block.len() as u64 {
            return unusable("its frame does not fit in it");
        }
        if len > MAX_FRAME {
            return unusable("its frame has more than 262144 bytes, which are not supported");
        }
        let Some(local) = self.interfaces.get(iface as usize) else {
            return unusable("the section has no such interface");
        };
        let ts = local
            .time
            .nanos(u64::from(self.at(head, 12)) << 32 | u64::from(self.at(head, 16)));
        let mut found = Found {
            ts,
            at: PACKET_HEAD,
            len,
            wire_len: self.at(head, 24),
            iface: local.number,
            link: local.link,
            direction: PacketDirection::Unknown,
            comment: (0, 0),
            used: block.len() as u32,
        };
        if frame_end as usize + 4 < block.len() {
            self.packet_options(block, frame_end as usize, &mut found, stats);
        }
        Step::Frame(found)
    }

    /// Reads direction and first comment; both kinds of packet block number these options alike.
    fn packet_options(
        &self,
        block: &[u8],
        from: usize,
        found: &mut Found,
        stats: &mut SourceStats,
    ) {
        let mut options = self.options(block.get(from..block.len() - 4).unwrap_or_default());
        while let Some((code, value)) = options.next() {
            match (code, value) {
                (OPT_FLAGS, [a, b, c, d]) => {
                    found.direction = match self.word([*a, *b, *c, *d]) & 3 {
                        1 => PacketDirection::In,
                        2 => PacketDirection::Out,
                        _ => PacketDirection::Unknown,
                    };
                }
                (OPT_FLAGS, _) => options.malformed = true,
                (OPT_COMMENT, value) if found.comment.1 == 0 => {
                    let start = value.as_ptr().addr() - block.as_ptr().addr();
                    if std::str::from_utf8(value).is_ok() {
                        found.comment = (start as u32, value.len() as u32);
                    } else {
                        options.malformed = true;
                    }
                }
                _ => {}
            }
        }
        stats.options_malformed += u64::from(options.malformed);
    }

    /// A simple packet block: no time, no interface but the first.
    fn simple_packet(&self, bytes: &[u8], total: u32) -> Step {
        let block = match self.whole(bytes, total, "simple packet block") {
            Ok(block) => block,
            Err(step) => return step,
        };
        let unusable = |why| Step::Fault {
            fault: Fault::Block {
                what: "simple packet block",
                why,
            },
            skip: Some(padded(total)),
        };
        if total < SIMPLE_HEAD + 4 {
            return length(total, "less than a simple packet block has");
        }
        let Some(local) = self.interfaces.first() else {
            return unusable("the section has no interface");
        };
        let wire_len = self.at(block, 8);
        let limit = if local.snaplen == 0 {
            u32::MAX
        } else {
            local.snaplen
        };
        let len = wire_len.min(limit).min(total - SIMPLE_HEAD - 4);
        if len > MAX_FRAME {
            return unusable("its frame has more than 262144 bytes, which are not supported");
        }
        Step::Frame(Found {
            ts: self.last_ts,
            at: SIMPLE_HEAD,
            len,
            wire_len,
            iface: local.number,
            link: local.link,
            direction: PacketDirection::Unknown,
            comment: (0, 0),
            used: block.len() as u32,
        })
    }

    /// Whether no section header was met yet.
    pub(super) fn at_start(&self) -> bool {
        self.sections == 0
    }

    /// Adds what `later`, a later state of the walk, knows more. `false` where that is in another
    /// section.
    pub(super) fn learn(&mut self, later: &Self) -> bool {
        if self.sections != later.sections {
            return false;
        }
        self.interfaces.extend(
            later
                .interfaces
                .get(self.interfaces.len()..)
                .unwrap_or_default(),
        );
        true
    }

    /// The block whose frame begins at `at` of `bytes`, and its bytes.
    pub(super) fn record_before<'a>(
        &self,
        bytes: &'a [u8],
        at: usize,
    ) -> Option<(Found, &'a [u8])> {
        let try_head = |head: u32| {
            let block = bytes.get(at.checked_sub(head as usize)?..)?;
            let (kind, total) = (self.at(block, 0), self.at(block, 4));
            let step = match kind {
                ENHANCED_PACKET | PACKET if head == PACKET_HEAD => {
                    self.packet(block, kind, total, &mut SourceStats::default())
                }
                SIMPLE_PACKET if head == SIMPLE_HEAD => self.simple_packet(block, total),
                _ => return None,
            };
            match step {
                Step::Frame(found) => Some((found, block)),
                _ => None,
            }
        };
        try_head(PACKET_HEAD).or_else(|| try_head(SIMPLE_HEAD))
    }
}

/// A length with which the next block can't be found.
#[cold]
fn length(total: u32, why: &'static str) -> Step {
    Step::Fault {
        fault: Fault::Length {
            what: "block",
            length: u64::from(total),
            why,
        },
        skip: None,
    }
}

#[inline]
fn padded(len: u32) -> u64 {
    u64::from(len).next_multiple_of(4)
}
