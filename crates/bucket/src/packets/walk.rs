//! A packet object member by member, and the blocks in a member: for those who check and copy objects.

use std::io::{self, ErrorKind};

use sha2::{Digest, Sha256};

use super::member::{HEAD_LEN, Opener, sizes};
use super::read::comment;
use crate::Bucket;
use crate::layout::PacketFormat;

/// Bytes asked for at a time.
const CHUNK: u64 = 1 << 20;

/// A gzip member of an object; of one that is not packed, a block or record.
#[derive(Debug, Default)]
pub(crate) struct Member {
    /// Where in the object it begins.
    pub(crate) offset: u64,
    /// As it is stored.
    pub(crate) packed: Vec<u8>,
    /// Whole blocks of pcapng; of a pcap its header or a record.
    pub(crate) blocks: Vec<u8>,
}

impl Member {
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.packed.len() as u64
    }
}

/// Reads a range of an object, member by member; holds one, and a chunk of the object.
pub(crate) struct Members<'b> {
    bucket: &'b dyn Bucket,
    key: &'b str,
    at: u64,
    end: u64,
    chunk: Vec<u8>,
    chunk_at: u64,
    format: PacketFormat,
    opener: Opener,
    hash: Sha256,
}

/// The longest block or record that is read.
const MAX_BLOCK: u64 = 8 << 20;
/// Of a pcap: its header, and the head of a record.
const PCAP_HEADER: u64 = 24;
const PCAP_RECORD: u64 = 16;

impl<'b> Members<'b> {
    pub(crate) fn new(bucket: &'b dyn Bucket, key: &'b str, range: std::ops::Range<u64>) -> Self {
        Self {
            format: PacketFormat::of_key(key).unwrap_or_default(),
            bucket,
            key,
            at: range.start,
            end: range.end,
            chunk: Vec::new(),
            chunk_at: range.start,
            opener: Opener::new(),
            hash: Sha256::new(),
        }
    }

    /// SHA-256 of what was read, in hexadecimal.
    pub(crate) fn sum(self) -> String {
        crate::hex(&self.hash.finalize())
    }

    /// Reads the next member; `false` at the end.
    ///
    /// # Errors
    /// Where the object can't be read, or what follows is no member of ours, or a damaged one.
    pub(crate) fn next(&mut self, member: &mut Member) -> io::Result<bool> {
        member.packed.clear();
        member.blocks.clear();
        member.offset = self.at;
        if self.at >= self.end {
            return Ok(false);
        }
        let invalid = |why: &str| io::Error::new(ErrorKind::InvalidData, why);
        if self.format != PacketFormat::PcapngGz {
            let (head, what) = match (self.format, self.at) {
                (PacketFormat::Pcap, 0) => (PCAP_HEADER, "the header of a pcap"),
                (PacketFormat::Pcap, _) => (PCAP_RECORD, "a packet of a pcap"),
                _ => (8, "a block of pcapng"),
            };
            self.take(head, &mut member.packed)?;
            let word =
                |at: usize| Some(u32::from_le_bytes(*member.packed.get(at..)?.first_chunk()?));
            let length = match (self.format, head) {
                // nanoseconds, little-endian, as we write it
                (PacketFormat::Pcap, PCAP_HEADER) => (word(0) == Some(0xa1b2_3c4d)).then_some(head),
                (PacketFormat::Pcap, _) => word(8).map(|captured| head + u64::from(captured)),
                _ => word(4).map(u64::from),
            };
            let length = length.filter(|length| (head..MAX_BLOCK).contains(length));
            let why = || {
                invalid(&format!(
                    "what should be {what} at byte {} is none",
                    member.offset
                ))
            };
            let length = length.ok_or_else(why)?;
            self.take(length - head, &mut member.packed)?;
            member.blocks.extend_from_slice(&member.packed);
            return Ok(true);
        }
        self.take(HEAD_LEN as u64, &mut member.packed)?;
        let sizes = member.packed.first_chunk().and_then(sizes);
        let sizes = sizes.ok_or_else(|| invalid("what should be a gzip member of ours is none"))?;
        self.take(
            u64::from(sizes.packed) - HEAD_LEN as u64,
            &mut member.packed,
        )?;
        let mut rest = member.packed.get(HEAD_LEN..).unwrap_or_default();
        self.opener.open(sizes, &mut rest, &mut member.blocks)?;
        Ok(true)
    }

    fn take(&mut self, length: u64, to: &mut Vec<u8>) -> io::Result<()> {
        let short = || {
            let of = match self.format {
                PacketFormat::PcapngGz => "gzip member",
                PacketFormat::Pcapng => "block",
                PacketFormat::Pcap => "packet",
            };
            let why = format!("the object is cut short inside a {of}");
            io::Error::new(ErrorKind::UnexpectedEof, why)
        };
        if self.at + length > self.end {
            return Err(short());
        }
        let end = self.at + length;
        while self.at < end {
            if self.at >= self.chunk_at + self.chunk.len() as u64 {
                let until = self.end.min(self.at + CHUNK);
                self.chunk = self
                    .bucket
                    .get_range(self.key, self.at..until)
                    .map_err(io::Error::other)?;
                self.chunk_at = self.at;
                if self.chunk.is_empty() {
                    return Err(short());
                }
            }
            let from = (self.at - self.chunk_at) as usize;
            let until = self.chunk.len().min((end - self.chunk_at) as usize);
            let part = self.chunk.get(from..until).unwrap_or_default();
            self.hash.update(part);
            to.extend_from_slice(part);
            self.at += part.len() as u64;
        }
        Ok(())
    }
}

/// A block of pcapng.
#[derive(Debug)]
pub(crate) enum Block<'m> {
    /// A section begins; with what it says of itself.
    Section(Option<&'m str>),
    /// An interface, the whole block.
    Interface(&'m [u8]),
    /// A packet.
    Packet(PacketBlock<'m>),
    /// Any other.
    Other,
}

/// What is needed of a packet's block.
#[derive(Debug)]
pub(crate) struct PacketBlock<'m> {
    /// Its interface, and where in the member's blocks that number stands.
    pub(crate) iface: u32,
    pub(crate) iface_at: usize,
    /// Nanoseconds since the Unix epoch, as our interfaces say.
    pub(crate) ts: i64,
    pub(crate) captured: u32,
    pub(crate) comment: Option<&'m str>,
}

/// Goes through the blocks of a member.
pub(crate) struct Blocks<'m> {
    bytes: &'m [u8],
    at: usize,
}

impl<'m> Blocks<'m> {
    pub(crate) fn new(bytes: &'m [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn block(&mut self) -> Option<Block<'m>> {
        let rest = self.bytes.get(self.at..)?;
        let word = |at: usize| Some(u32::from_le_bytes(*rest.get(at..)?.first_chunk()?));
        let (kind, length) = (word(0)?, word(4)? as usize);
        let again = length
            .checked_sub(4)
            .filter(|_| length >= 12 && length % 4 == 0)?;
        if word(again)? as usize != length {
            return None;
        }
        let body = rest.get(8..again)?;
        let iface_at = self.at + 8;
        self.at += length;
        Some(match kind {
            0x0a0d_0d0a => Block::Section(comment(body.get(16..)?)),
            1 => Block::Interface(rest.get(..length)?),
            6 => {
                let captured = word(20)?;
                let options = body.get(20 + (captured as usize).next_multiple_of(4)..)?;
                Block::Packet(PacketBlock {
                    iface: word(8)?,
                    iface_at,
                    ts: (i64::from(word(12)?) << 32) | i64::from(word(16)?),
                    captured,
                    comment: comment(options),
                })
            }
            _ => Block::Other,
        })
    }
}

impl<'m> Iterator for Blocks<'m> {
    type Item = io::Result<Block<'m>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let block = self.block().ok_or_else(|| {
            let at = self.at;
            self.at = self.bytes.len();
            let why = format!("what should be a block of pcapng at byte {at} of a member is none");
            io::Error::new(ErrorKind::InvalidData, why)
        });
        Some(block)
    }
}
