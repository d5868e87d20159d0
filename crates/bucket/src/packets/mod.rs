//! Packet objects: pcapng packed as a row of gzip members, grouped by stream.
//!
//! The first member holds the section block, whose comment says in one line what the object is
//! ([`About`]), and the interface blocks. Each further member is a run of one stream's packets;
//! small streams share one. The first packet of each stream has a comment that names the stream and
//! says what is missing before it ([`StreamStart`]). Any program that reads `.pcapng.gz` reads it.
//! Objects of plain pcapng are the same without packing; those of classic pcap have no comments, and `streams/` says what
//! would stand in them.

mod about;
mod member;
mod read;
mod walk;
mod write;

pub(crate) use about::parse_totals;
pub use about::{About, Cause, Missing, StreamId, StreamStart, Totals};
pub(crate) use member::Packer;
pub(crate) use read::read_head;
pub use read::{HEAD_BYTES, Unpacker, read_about};
pub(crate) use walk::{Block, Blocks, Member, Members};
pub(crate) use write::begin;
pub use write::{Packet, PacketWriter, Placed, Written};
