//! Checks packet objects.

use std::collections::VecDeque;

use super::{Check, DAMAGED, File, Packets, Stream};
use crate::index::stream_places;
use crate::layout::{PacketFormat, Payload};
use crate::packets::{Block, Blocks, Member, Members, StreamStart, Totals, parse_totals};

impl Check<'_> {
    /// Reads an object: every member, every block. `None` where it can't be read to its end.
    pub(super) fn packets(&mut self, file: &File, streams: Option<&File>) -> Option<Packets> {
        let read = match PacketFormat::of_key(&file.key) {
            Some(PacketFormat::Pcap) => self.read_pcap(file, streams),
            _ => self.read_packets(file),
        };
        read.inspect_err(|why| self.finding(&file.key, why, DAMAGED))
            .ok()
    }

    fn read_packets(&mut self, file: &File) -> Result<Packets, String> {
        let mut found = Packets {
            is_other: Payload::of_key(&file.key) != Payload::Full,
            ..Packets::default()
        };
        let mut totals = Totals::default();
        let (mut said, mut interfaces, mut current) = (None, 0_u32, None);
        let mut members = Members::new(&**self.bucket, &file.key, 0..file.size);
        let mut member = Member::default();
        while members
            .next(&mut member)
            .map_err(|error| error.to_string())?
        {
            found.members.push(member.offset);
            for block in Blocks::new(&member.blocks) {
                let packet = match block.map_err(|error| error.to_string())? {
                    Block::Section(comment) => {
                        said = comment.and_then(parse_totals);
                        interfaces = 0;
                        continue;
                    }
                    Block::Interface(_) => {
                        interfaces += 1;
                        continue;
                    }
                    Block::Packet(packet) => packet,
                    Block::Other => continue,
                };
                if packet.iface >= interfaces {
                    return Err(format!(
                        "a packet is of interface {}, and there are {interfaces}",
                        packet.iface
                    ));
                }
                if let Some(start) = packet.comment.and_then(StreamStart::parse) {
                    totals.streams += 1;
                    current = Some(start.id);
                }
                totals.add(packet.ts);
                let id = current.ok_or("its first packet does not say which stream it is of")?;
                let stream: &mut Stream = found.streams.entry(id).or_default();
                stream.add(packet.ts, packet.captured, member.offset);
            }
        }
        found.members.push(file.size);
        found.sha256 = members.sum();
        self.so_far.packets += totals.packets;
        self.so_far.streams += found.streams.len() as u64;
        match said {
            Some(said) if said == totals => Ok(found),
            Some(said) => {
                let what = format!("says that it has {said:?}, and has {totals:?}");
                self.finding(&file.key, what, DAMAGED);
                Ok(found)
            }
            None => Err("its first block does not say what it is".to_owned()),
        }
    }
}

impl Check<'_> {
    /// Reads a pcap, which says nothing of itself: which packets are whose stands in its file of streams.
    fn read_pcap(&mut self, file: &File, streams: Option<&File>) -> Result<Packets, String> {
        let streams = streams.ok_or(
            "it is a pcap, and the file of streams/ that says which packets are whose is not there",
        )?;
        let mut rows = VecDeque::new();
        stream_places(self.bucket, &streams.key, streams.size, &mut |place| {
            if Payload::of_key(&file.key) != Payload::None {
                rows.push_back((place.id, place.packets));
            }
        })
        .map_err(|error| format!("which packets are whose can't be read: {error}"))?;
        let mut found = Packets {
            is_other: true,
            ..Packets::default()
        };
        let mut packets = 0;
        let mut members = Members::new(&**self.bucket, &file.key, 0..file.size);
        let mut member = Member::default();
        while members
            .next(&mut member)
            .map_err(|error| error.to_string())?
        {
            found.members.push(member.offset);
            if member.offset == 0 {
                continue;
            }
            while rows.front().is_some_and(|(_, left)| *left == 0) {
                rows.pop_front();
            }
            let (id, left) = rows.front_mut().ok_or_else(|| {
                format!("it has more than the {packets} packets that its file of streams says")
            })?;
            *left -= 1;
            let word = |at: usize| {
                let bytes = member.blocks.get(at..).and_then(|rest| rest.first_chunk());
                bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
            };
            let ts = i64::from(word(0)) * 1_000_000_000 + i64::from(word(4));
            let stream = found.streams.entry(*id).or_default();
            stream.add(ts, word(8), member.offset);
            packets += 1;
        }
        let left: u64 = rows.iter().map(|(_, left)| left).sum();
        if left > 0 {
            return Err(format!(
                "its file of streams says that it has {} packets, and it has {packets}",
                packets + left
            ));
        }
        found.members.push(file.size);
        found.sha256 = members.sum();
        self.so_far.packets += packets;
        self.so_far.streams += found.streams.len() as u64;
        Ok(found)
    }
}

impl Stream {
    fn add(&mut self, ts: i64, captured: u32, member: u64) {
        (self.first, self.last) = match self.packets {
            0 => (ts, ts),
            _ => (self.first.min(ts), self.last.max(ts)),
        };
        self.packets += 1;
        self.bytes += u64::from(captured);
        if self.members.last() != Some(&member) {
            self.members.push(member);
        }
    }
}
