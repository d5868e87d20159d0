//! Writing a packet object, a member at a time.

use std::io::{self, ErrorKind, Write};
use std::mem;

use gillnet_capture::{
    LinkType, PacketDirection,
    turns::Idle,
    write::{
        PacketBlock, PcapResolution, PcapWriter, SectionBlock, interface_block, packet_block,
        section_block,
    },
};
use sha2::{Digest, Sha256};

use crate::layout::PacketFormat;

use super::{About, StreamId, StreamStart, Totals, member::Packer};

/// A member of several small streams is closed at this size (bytes unpacked).
const SHARED: usize = 64 << 10;
/// A piece of one large stream is closed at this size (bytes unpacked).
const PIECE: usize = 256 << 10;

/// A packet to write.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Nanoseconds since the Unix epoch.
    pub ts: i64,
    /// Its interface: an index into [`About::interfaces`].
    pub iface: u32,
    /// Length on the wire.
    pub wire_len: u32,
    /// Which way it went.
    pub direction: PacketDirection,
    /// Its bytes.
    pub data: &'a [u8],
}

/// Where in an object the packets of a stream are: the gzip members that hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which stream.
    pub id: StreamId,
    /// Where its first member begins.
    pub offset: u64,
    /// Where its last member ends.
    pub end: u64,
    /// How many packets of it are there.
    pub packets: u64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Packets, streams and times.
    pub totals: Totals,
    /// Bytes of pcapng.
    pub unpacked: u64,
    /// Bytes of the object.
    pub packed: u64,
    /// SHA-256 of the object.
    pub sha256: [u8; 32],
    /// Where its streams are, each as often as it begins.
    pub placed: Vec<Placed>,
    /// Packets that have no form in the format, and are not there.
    pub left_out: u64,
}

/// Writes one packet object: [`PacketWriter::begin`] a stream, then its packets in their order,
/// then the next stream. Holds at most one member in memory.
pub struct PacketWriter<'a, W> {
    out: W,
    format: PacketFormat,
    left_out: u64,
    /// `None` after a panic while it packed.
    packer: Option<Packer>,
    idle: Option<&'a Idle>,
    hash: Sha256,
    /// Blocks of the member to come.
    blocks: Vec<u8>,
    /// Where in `blocks` the present stream begins.
    begun_at: usize,
    /// Whether a piece of the present stream is written already: it shares no member then.
    is_large: bool,
    /// Link types of the interfaces.
    links: Vec<LinkType>,
    promised: Totals,
    totals: Totals,
    unpacked: u64,
    packed: u64,
    /// For the first packet of the stream: what it is, and what is said of it.
    start: Option<(StreamId, String)>,
    /// Where streams are; those from `unplaced` on have bytes in the member to come.
    placed: Vec<Placed>,
    unplaced: usize,
    /// Where in `blocks` the last of them begins.
    placed_at: usize,
}

impl<W> std::fmt::Debug for PacketWriter<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketWriter")
            .field("totals", &self.totals)
            .field("packed", &self.packed)
            .finish_non_exhaustive()
    }
}

impl<'a, W: Write> PacketWriter<'a, W> {
    /// Begins an object: writes its first member.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, about: &About<'_>) -> io::Result<Self> {
        Self::with_format(out, about, PacketFormat::default())
    }

    /// Begins an object of a format. What is not packed has members all the same: they are ranges of it. In classic pcap,
    /// comments, interfaces and directions are left out.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn with_format(out: W, about: &About<'_>, format: PacketFormat) -> io::Result<Self> {
        let mut writer = Self {
            out,
            format,
            left_out: 0,
            packer: Some(Packer::new()?),
            idle: None,
            hash: Sha256::new(),
            blocks: Vec::with_capacity(PIECE + SHARED),
            begun_at: 0,
            is_large: false,
            links: about.interfaces.iter().map(|of| of.link).collect(),
            promised: about.totals,
            totals: Totals::default(),
            unpacked: 0,
            packed: 0,
            start: None,
            placed: Vec::new(),
            unplaced: 0,
            placed_at: 0,
        };
        if format == PacketFormat::Pcap {
            PcapWriter::new(&mut writer.blocks, PcapResolution::Nano)?;
            writer.close_member(writer.blocks.len())?;
            return Ok(writer);
        }
        begin(&mut writer.blocks, about);
        for interface in about.interfaces {
            interface_block(&mut writer.blocks, interface);
        }
        writer.close_member(writer.blocks.len())?;
        Ok(writer)
    }

    /// Has what follows packed by `idle`; by the calling thread where there is none.
    pub fn pack_by(&mut self, idle: Option<&'a Idle>) {
        self.idle = idle;
    }

    /// Begins a stream. One without packets leaves no trace.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn begin(&mut self, stream: &StreamStart) -> io::Result<()> {
        if self.is_large || self.blocks.len() >= SHARED {
            self.close_member(self.blocks.len())?;
        }
        self.is_large = false;
        self.begun_at = self.blocks.len();
        self.start = Some((stream.id, stream.to_string()));
        Ok(())
    }

    /// Writes the next packet of the stream.
    ///
    /// # Errors
    /// Those of `out`; [`ErrorKind::InvalidInput`] where its interface is none of the object's.
    pub fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        if packet.iface as usize >= self.links.len() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "a packet of an interface that the object does not have",
            ));
        }
        let Packet {
            ts,
            iface,
            wire_len,
            direction,
            data,
        } = *packet;
        let comment = self.start.take().map(|(id, comment)| {
            self.totals.streams += 1;
            if self.blocks.is_empty() {
                // nothing of those before is in the member to come
                self.unplaced = self.placed.len();
            }
            self.placed.push(Placed {
                id,
                offset: u64::MAX,
                end: u64::MAX,
                packets: 0,
            });
            self.placed_at = self.blocks.len();
            comment
        });
        self.totals.add(ts);
        let is_there = match self.format {
            PacketFormat::Pcap => {
                let link = self.links.get(iface as usize).copied();
                let link = link.unwrap_or(LinkType::Ethernet);
                PcapWriter::go_on(&mut self.blocks, PcapResolution::Nano)
                    .frame(ts, link, wire_len, data)?
            }
            PacketFormat::PcapngGz | PacketFormat::Pcapng => {
                packet_block(
                    &mut self.blocks,
                    &PacketBlock {
                        iface,
                        ts,
                        wire_len,
                        direction,
                        data,
                        comment: comment.as_deref(),
                        custom: &[],
                    },
                );
                true
            }
        };
        if let Some(placed) = self.placed.last_mut() {
            placed.packets += u64::from(is_there);
        }
        self.left_out += u64::from(!is_there);
        if self.begun_at > 0 && self.blocks.len() > SHARED {
            // the streams before this one fill a member, and this one gets its own
            self.close_member(self.begun_at)?;
        }
        if self.begun_at == 0 && self.blocks.len() >= PIECE {
            self.close_member(self.blocks.len())?;
            self.is_large = true;
        }
        Ok(())
    }

    /// Ends the object and gives back where it was written to, not yet synced.
    ///
    /// # Errors
    /// Those of `out`; [`ErrorKind::InvalidInput`] where [`About::totals`] were not true, as the
    /// object says them of itself.
    pub fn finish(mut self) -> io::Result<(W, Written)> {
        self.close_member(self.blocks.len())?;
        self.out.flush()?;
        if self.totals != self.promised {
            let (promised, totals) = (self.promised, self.totals);
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "a packet object says that it has {promised:?}, and {totals:?} were written"
                ),
            ));
        }
        let Self {
            out,
            hash,
            totals,
            unpacked,
            packed,
            placed,
            left_out,
            ..
        } = self;
        Ok((
            out,
            Written {
                totals,
                unpacked,
                packed,
                sha256: hash.finalize().into(),
                placed,
                left_out,
            },
        ))
    }

    /// Writes the first `len` bytes of the blocks as a member; what follows begins the next.
    fn close_member(&mut self, len: usize) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let member = if self.format == PacketFormat::PcapngGz {
            self.pack(len)?;
            self.packer.as_ref().map_or(&[][..], Packer::packed)
        } else {
            self.blocks.get(..len).unwrap_or_default()
        };
        self.out.write_all(member)?;
        self.hash.update(member);
        self.unpacked += len as u64;
        let (offset, end) = (self.packed, self.packed + member.len() as u64);
        self.packed = end;
        // of a member that ends where the last stream begins, that has nothing
        let later = usize::from(self.placed_at >= len);
        let next = self.placed.len().saturating_sub(later);
        for placed in self.placed.iter_mut().take(next).skip(self.unplaced) {
            placed.offset = placed.offset.min(offset);
            placed.end = end;
        }
        self.unplaced = self.placed.len().saturating_sub(1);
        self.placed_at = self.placed_at.saturating_sub(len);
        self.blocks.drain(..len);
        self.begun_at = self.begun_at.saturating_sub(len);
        Ok(())
    }

    fn pack(&mut self, len: usize) -> io::Result<()> {
        let panicked = || io::Error::other("packing has panicked");
        let mut packer = self.packer.take().ok_or_else(panicked)?;
        let blocks = mem::take(&mut self.blocks);
        let pack = move || {
            let result = packer.pack(blocks.get(..len).unwrap_or_default());
            (packer, blocks, result)
        };
        let done = match self.idle {
            Some(idle) => idle.run(pack).ok_or_else(panicked)?,
            None => pack(),
        };
        let (packer, blocks, result) = done;
        self.packer = Some(packer);
        self.blocks = blocks;
        result
    }
}

/// Appends the section block of an object, which says what that is.
pub(crate) fn begin(blocks: &mut Vec<u8>, about: &About<'_>) {
    let comment = about.to_string();
    let section = SectionBlock {
        os: Some(std::env::consts::OS),
        application: Some(concat!("gillnet ", env!("CARGO_PKG_VERSION"))),
        comment: Some(&comment),
        ..SectionBlock::default()
    };
    section_block(blocks, &section);
}
