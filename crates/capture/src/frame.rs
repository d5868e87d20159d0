//! What crosses the border of this crate: frames, interfaces, events, and the trait of a source.

use crate::{Error, Store};

/// The kind of header a frame starts with. Numbers are those of the LINKTYPE registry of
/// tcpdump.org, which capture files carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback: four bytes of address family in the byte order of the machine that captured.
    Null,
    /// Ethernet II and IEEE 802.3.
    Ethernet,
    /// No link header; the first nibble tells IPv4 from IPv6.
    Raw,
    /// OpenBSD loopback: four bytes of address family in network byte order.
    Loop,
    /// Linux "cooked" capture, version 1: 16 bytes.
    LinuxSll,
    /// Linux "cooked" capture, version 2: 20 bytes.
    LinuxSll2,
    /// An IPv4 packet without a link header.
    Ipv4,
    /// An IPv6 packet without a link header.
    Ipv6,
    /// Any other number, kept as it is.
    Other(u16),
}

impl LinkType {
    /// The link type for a LINKTYPE (or historic DLT) number. Only the lower 16 bits are the type;
    /// what stands above them in a pcap header (FCS length) is not part of it.
    #[must_use]
    pub fn from_dlt(number: u32) -> Self {
        match (number & 0xffff) as u16 {
            0 => Self::Null,
            1 => Self::Ethernet,
            // 12 and 14 are what BSDs write for DLT_RAW
            12 | 14 | 101 => Self::Raw,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            other => Self::Other(other),
        }
    }

    /// The LINKTYPE number that is written to a capture file.
    #[must_use]
    pub fn dlt(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Raw => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
            Self::Ipv4 => 228,
            Self::Ipv6 => 229,
            Self::Other(other) => u32::from(other),
        }
    }
}

/// Which way a frame crossed its interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PacketDirection {
    /// The source does not say.
    #[default]
    Unknown,
    /// Received.
    In,
    /// Sent.
    Out,
}

/// An interface that frames were captured on. Interfaces are numbered from 0 in a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// Its name, empty where the source does not say.
    pub name: String,
    /// What its frames start with.
    pub link: LinkType,
    /// A description, empty where the source does not say.
    pub description: String,
    /// The most bytes that were kept of a frame; 0 where there was no limit.
    pub snaplen: u32,
}

/// [`Frame::pos`] of a frame whose bytes are in no store.
pub const NO_POS: u64 = u64::MAX;

/// One captured frame, borrowed from its source until the next call to [`Source::next`].
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured: nanoseconds since the Unix epoch.
    pub ts: i64,
    /// Its interface, an index into [`Source::interfaces`].
    pub iface: u32,
    /// What `data` starts with.
    pub link: LinkType,
    /// Which way it crossed the interface.
    pub direction: PacketDirection,
    /// Its length on the wire in bytes, at least `data.len()` where the source is sane.
    pub wire_len: u32,
    /// What was captured of it.
    pub data: &'a [u8],
    /// Position of `data[0]` in the source's [`Store`] where the source is mapped, else [`NO_POS`].
    pub pos: u64,
    /// The first comment on the frame (pcapng).
    pub comment: Option<&'a str>,
}

/// What a source has to say next.
#[derive(Debug)]
pub enum Event<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Nothing came for a while: the time of the wall clock in nanoseconds since the Unix epoch,
    /// so that timeouts fire on a silent interface.
    Tick(i64),
    /// There is nothing more, and never will be.
    End,
}

/// Counters of a source since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// Frames delivered.
    pub frames: u64,
    /// Captured bytes delivered.
    pub bytes: u64,
    /// Frames that the kernel's filter let through (live): delivered, waiting and dropped ones.
    pub kernel_received: u64,
    /// Frames that the kernel dropped because the ring was full (live).
    pub kernel_dropped: u64,
    /// Times that the kernel found the ring full and stopped queueing (live).
    pub kernel_freezes: u64,
    /// Frames that loopback sends and so receives again: the second sight of each is delivered.
    pub loopback_copies: u64,
    /// Frames that were left out because they carry no IP, on interfaces of link types of which
    /// nothing else is known (live).
    pub not_ip: u64,
    /// Times that an interface went away or down (live).
    pub interfaces_lost: u64,
    /// Files opened.
    pub files: u64,
    /// Files of which at least a part could not be read.
    pub files_damaged: u64,
    /// Files that end inside a record.
    pub truncated: u64,
    /// pcapng blocks of types that hold no frame and are passed over.
    pub blocks_skipped: u64,
    /// pcapng blocks whose options are malformed; the rest of the block is used.
    pub options_malformed: u64,
    /// Interfaces of link types that are not known here; their frames are delivered as
    /// [`LinkType::Other`].
    pub interfaces_unknown: u64,
}

impl SourceStats {
    /// Adds those of another source.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            frames,
            bytes,
            kernel_received,
            kernel_dropped,
            kernel_freezes,
            loopback_copies,
            not_ip,
            interfaces_lost,
            files,
            files_damaged,
            truncated,
            blocks_skipped,
            options_malformed,
            interfaces_unknown,
        } = other;
        self.frames += frames;
        self.bytes += bytes;
        self.kernel_received += kernel_received;
        self.kernel_dropped += kernel_dropped;
        self.kernel_freezes += kernel_freezes;
        self.loopback_copies += loopback_copies;
        self.not_ip += not_ip;
        self.interfaces_lost += interfaces_lost;
        self.files += files;
        self.files_damaged += files_damaged;
        self.truncated += truncated;
        self.blocks_skipped += blocks_skipped;
        self.options_malformed += options_malformed;
        self.interfaces_unknown += interfaces_unknown;
    }
}

/// A source of frames: capture files in a row, or interfaces of a host.
pub trait Source: Send {
    /// The next event. What it borrows is valid until the next call.
    ///
    /// # Errors
    /// A named fault. After one that is not fatal ([`Error::is_fatal`]) the next call goes on with
    /// what follows: the next record, block, file or interface. After a fatal one comes
    /// [`Event::End`].
    fn next(&mut self) -> Result<Event<'_>, Error>;

    /// The interfaces met so far; a frame's `iface` is an index into it. It only grows.
    fn interfaces(&self) -> &[Interface];

    /// Counters up to now.
    fn stats(&mut self) -> SourceStats;

    /// From now on nobody wants but what passes an expression in the syntax of pcap-filter(7) (empty: everything is
    /// wanted). A source may yield more; by default it does.
    ///
    /// # Errors
    /// Why it can't be told; it then yields all it did at first.
    fn narrow(&mut self, _wanted: &str) -> Result<(), Error> {
        Ok(())
    }

    /// The store that frames' positions point into; `None` where frames are not mapped and the
    /// caller copies what it keeps.
    fn store(&self) -> Option<Store>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_numbers_round_trip() {
        for number in 0..=u32::from(u16::MAX) {
            let back = LinkType::from_dlt(number).dlt();
            let expected = if number == 12 || number == 14 {
                101
            } else {
                number
            };
            assert_eq!(back, expected);
        }
        assert_eq!(LinkType::from_dlt(0xf400_0001), LinkType::Ethernet);
    }
}
