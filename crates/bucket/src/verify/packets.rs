//! Checks packet objects.

use super::{Check, DAMAGED, File, Packets, Stream};
use crate::packets::{Block, Blocks, Member, Members, StreamStart, Totals, parse_totals};

impl Check<'_> {
    /// Unpacks an object: every member, every block. `None` where it can't be read to its end.
    pub(super) fn packets(&mut self, file: &File) -> Option<Packets> {
        let read = self.read_packets(file);
        read.inspect_err(|why| self.finding(&file.key, why, DAMAGED))
            .ok()
    }

    fn read_packets(&mut self, file: &File) -> Result<Packets, String> {
        let mut found = Packets::default();
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
