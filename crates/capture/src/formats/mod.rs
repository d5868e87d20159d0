//! The formats of capture files, as walkers over bytes: they do no I/O and keep no bytes, so that
//! mapped and streamed files are read by the same code.

mod interfaces;
mod pcap;
mod pcapng;
mod time;

use std::{cmp::Ordering, ops::Range, sync::Arc};

use crate::{Error, Frame, LinkType, NO_POS, PacketDirection, SourceStats, StoredFrame};
pub(crate) use interfaces::{Interfaces, Taken};
use pcap::Pcap;
use pcapng::Pcapng;

/// The longest pcapng block that is looked into: room for a largest frame and its options.
const MAX_BLOCK: u32 = 1 << 20;

/// Files and sections whose layout is noted.
const MAX_LAYOUTS: usize = 65_536;

/// Bytes that [`detect`] wants to see.
pub(crate) const DETECT: usize = 512;

/// What the first bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pcap,
    Pcapng,
    Gzip,
    Zstd,
    Tar,
    Unknown,
}

/// Tells the format by the first bytes.
pub(crate) fn detect(first: &[u8]) -> Kind {
    match first {
        _ if pcap::is_magic(first) => Kind::Pcap,
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => Kind::Pcapng,
        [0x1f, 0x8b, ..] => Kind::Gzip,
        // a frame, or a skippable frame before one
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Kind::Zstd,
        _ if first.get(257..262) == Some(b"ustar") => Kind::Tar,
        _ => Kind::Unknown,
    }
}

/// A frame found in the bytes given to a walker; offsets are from their start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) ts: i64,
    pub(crate) at: u32,
    pub(crate) len: u32,
    pub(crate) wire_len: u32,
    pub(crate) iface: u32,
    pub(crate) link: LinkType,
    pub(crate) direction: PacketDirection,
    /// Where the comment begins and how long it is; 0 where there is none.
    pub(crate) comment: (u32, u32),
    /// Bytes of the whole record.
    pub(crate) used: u32,
}

impl Found {
    /// Where its data is.
    #[inline(always)]
    fn data(&self) -> Range<usize> {
        self.at as usize..self.at as usize + self.len as usize
    }

    /// The frame, out of the bytes it was found in.
    #[inline(always)]
    pub(crate) fn frame<'a>(&self, bytes: &'a [u8], pos: u64) -> Frame<'a> {
        Frame {
            ts: self.ts,
            iface: self.iface,
            link: self.link,
            direction: self.direction,
            wire_len: self.wire_len,
            data: bytes.get(self.data()).unwrap_or_default(),
            pos,
            comment: if self.comment.1 == 0 {
                None
            } else {
                self.comment(bytes)
            },
        }
    }

    #[cold]
    fn comment<'a>(&self, bytes: &'a [u8]) -> Option<&'a str> {
        let text = bytes
            .get(self.comment.0 as usize..)?
            .get(..self.comment.1 as usize)?;
        std::str::from_utf8(text).ok()
    }
}

/// What a walker makes of the bytes at its place.
#[derive(Debug)]
pub(crate) enum Step {
    /// A frame.
    Frame(Found),
    /// So many bytes held no frame; they need not all be among those given.
    Skip(u64),
    /// So many bytes are needed from here on; `what` begins here.
    Need { bytes: usize, what: &'static str },
    /// A fault. With `skip` the walk goes on after so many bytes, without it the rest is lost.
    Fault { fault: Fault, skip: Option<u64> },
}

/// A fault in a file, without the name of the file and the place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Version {
        format: &'static str,
        major: u16,
        minor: u16,
    },
    Length {
        what: &'static str,
        length: u64,
        why: &'static str,
    },
    Block {
        what: &'static str,
        why: &'static str,
    },
    LinkType {
        iface: u32,
        number: u32,
    },
    TooManyInterfaces,
}

impl Fault {
    pub(crate) fn at(self, file: &Arc<str>, offset: u64) -> Error {
        let file = Arc::clone(file);
        match self {
            Self::Version {
                format,
                major,
                minor,
            } => Error::Version {
                file,
                format,
                offset,
                major,
                minor,
            },
            Self::Length { what, length, why } => Error::Length {
                file,
                offset,
                what,
                length,
                why,
            },
            Self::Block { what, why } => Error::Block {
                file,
                offset,
                what,
                why,
            },
            Self::LinkType { iface, number } => Error::LinkType {
                file,
                iface,
                number,
            },
            Self::TooManyInterfaces => Error::TooManyInterfaces {
                file,
                limit: interfaces::MAX_INTERFACES,
            },
        }
    }
}

/// A walk through one capture.
#[derive(Debug)]
pub(crate) enum Walker {
    /// Nothing is known but the kind.
    PcapHead,
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl Walker {
    /// A walk from the start of a file of this kind; `None` where it is not a capture's.
    pub(crate) fn new(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Pcap => Some(Self::PcapHead),
            Kind::Pcapng => Some(Self::Pcapng(Pcapng::default())),
            Kind::Gzip | Kind::Zstd | Kind::Tar | Kind::Unknown => None,
        }
    }

    /// The frame at the start of `bytes`, where one is there and nothing is odd about it: the short
    /// way, tried before [`Walker::step`].
    #[inline(always)]
    pub(crate) fn frame(&mut self, bytes: &[u8], stats: &mut SourceStats) -> Option<Found> {
        match self {
            Self::Pcap(pcap) => pcap.frame(bytes),
            Self::Pcapng(pcapng) => pcapng.frame(bytes, stats),
            Self::PcapHead => None,
        }
    }

    /// As [`Walker::frame`], of pcap files only.
    #[inline(always)]
    pub(crate) fn pcap_frame(&mut self, bytes: &[u8], _: &mut SourceStats) -> Option<Found> {
        if let Self::Pcap(pcap) = self {
            pcap.frame(bytes)
        } else {
            None
        }
    }

    /// What stands at the start of `bytes`.
    #[inline(never)]
    pub(crate) fn step(
        &mut self,
        bytes: &[u8],
        interfaces: &mut Interfaces,
        stats: &mut SourceStats,
    ) -> Step {
        match self {
            Self::Pcap(pcap) => pcap.step(bytes),
            Self::Pcapng(pcapng) => pcapng.step(bytes, interfaces, stats),
            Self::PcapHead => match Pcap::begin(bytes, interfaces, stats) {
                Ok((pcap, step)) => {
                    *self = Self::Pcap(pcap);
                    step
                }
                Err(step) => step,
            },
        }
    }

    /// Whether the file's header is still to come.
    pub(crate) fn at_start(&self) -> bool {
        match self {
            Self::PcapHead => true,
            Self::Pcap(_) => false,
            Self::Pcapng(pcapng) => pcapng.at_start(),
        }
    }

    /// Brings `layouts` up to date: `fresh` is set at a file's start.
    pub(crate) fn describe(&self, fresh: bool, layouts: &mut Layouts, pos: u64) {
        if layouts.list.len() > MAX_LAYOUTS {
            return;
        }
        let known = if fresh { None } else { layouts.at_mut(pos) };
        let layout = match (self, known) {
            (Self::PcapHead, _) | (Self::Pcap(_), Some(Layout::Pcap(_))) => return,
            (Self::Pcapng(now), Some(Layout::Pcapng(known))) => {
                if known.learn(now) {
                    return;
                }
                Layout::Pcapng(now.clone())
            }
            (Self::Pcapng(now), _) => Layout::Pcapng(now.clone()),
            (Self::Pcap(now), _) => Layout::Pcap(now.clone()),
        };
        layouts.push(pos, layout);
    }
}

/// The layouts of the parts of a store of mapped files, by the positions they begin at.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    list: Vec<(u64, Layout)>,
}

impl Layouts {
    /// The most bytes of a record before its frame.
    pub(crate) const MOST_BEFORE: u32 = 32;
    /// The most bytes of a record from its frame on.
    pub(crate) const MOST_AFTER: u32 = MAX_BLOCK;

    /// Notes a part. Beyond the limit frames can't be found again by their positions; the walk
    /// itself does not need that.
    fn push(&mut self, pos: u64, layout: Layout) {
        let layout = match self.list.len().cmp(&MAX_LAYOUTS) {
            Ordering::Less => layout,
            Ordering::Equal => Layout::Unknown,
            Ordering::Greater => return,
        };
        // files that are read in turns are noted in turns
        self.list.insert(self.behind(pos), (pos, layout));
    }

    /// How many parts begin at or before `pos`.
    fn behind(&self, pos: u64) -> usize {
        self.list.partition_point(|(start, _)| *start <= pos)
    }

    /// The layout of the part that `pos` is in.
    pub(crate) fn at(&self, pos: u64) -> Option<&Layout> {
        let (_, layout) = self.list.get(self.behind(pos).checked_sub(1)?)?;
        Some(layout)
    }

    fn at_mut(&mut self, pos: u64) -> Option<&mut Layout> {
        let at = self.behind(pos).checked_sub(1)?;
        let (_, layout) = self.list.get_mut(at)?;
        Some(layout)
    }
}

/// How the frames of a part of a file are laid out.
#[derive(Debug)]
pub(crate) enum Layout {
    Pcap(Pcap),
    Pcapng(Pcapng),
    /// Not noted.
    Unknown,
}

impl Layout {
    /// The frame whose data begins at `at` of `bytes`, read from what stands before it.
    pub(crate) fn frame<'a>(&self, bytes: &'a [u8], at: usize) -> Option<StoredFrame<'a>> {
        let (found, record) = match self {
            Self::Pcap(pcap) => pcap.record_before(bytes, at)?,
            Self::Pcapng(pcapng) => pcapng.record_before(bytes, at)?,
            Self::Unknown => return None,
        };
        Some(StoredFrame {
            ts: found.ts,
            iface: found.iface,
            link: found.link,
            direction: found.direction,
            wire_len: found.wire_len,
            prev: NO_POS,
            data: record.get(found.data())?,
        })
    }
}
