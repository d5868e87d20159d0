//! An export as one capture: pcap or pcapng.

use super::Came;
use super::frames::{Merge, Taken};
use super::part::Target;
use super::select::{Asked, Note, Picked};
use super::sorter::Sorted;
use crate::exit;
use gillnet_bucket::StreamSet;
use gillnet_capture::write::{
    PacketBlock, PcapResolution, PcapWriter, SectionBlock, interface_block, name_blocks,
    packet_block, section_block,
};
use gillnet_capture::{Interface, LinkType};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};

/// Which capture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Classic pcap with nanoseconds, everything on Ethernet.
    Pcap,
    /// pcapng with interfaces, names and entries.
    Pcapng,
}

/// Where a capture goes on.
#[derive(Default, Deserialize, Serialize)]
pub struct At {
    /// The turn of the frame written last, and how many of that turn were taken.
    turn: i64,
    taken: u64,
    /// Interfaces that were written: name, description, link type, snap length.
    interfaces: Vec<(String, String, u32, u32)>,
    came: Came,
}

impl At {
    /// Nothing before this turn is wanted again.
    pub fn from(&self) -> i64 {
        self.turn
    }
}

/// Notes that wait for their frames.
const WAITING: usize = 10_000;

/// The entries whose first packets come next.
struct Notes {
    sorted: Sorted,
    next: Option<(i64, Note)>,
    /// Those whose time has come, by time, source and stream.
    due: HashMap<(i64, usize, u64, bool), Vec<String>>,
    order: VecDeque<(i64, usize, u64, bool)>,
}

impl Notes {
    fn new(sorted: Sorted) -> anyhow::Result<Notes> {
        let mut notes = Notes {
            sorted,
            next: None,
            due: HashMap::new(),
            order: VecDeque::new(),
        };
        notes.read()?;
        Ok(notes)
    }

    fn read(&mut self) -> anyhow::Result<()> {
        let next = self.sorted.next()?;
        self.next = next.and_then(|(at, record)| Some((at, Note::read(record)?)));
        Ok(())
    }

    /// The entries that begin with a frame.
    fn of(&mut self, turn: i64, frame: &Taken) -> anyhow::Result<Vec<String>> {
        while let Some((at, note)) = self.next.take_if(|(at, _)| *at <= turn) {
            let key = (at, note.group, note.stream.number, note.stream.udp);
            self.due.entry(key).or_default().push(note.id);
            self.order.push_back(key);
            if self.order.len() > WAITING
                && let Some(old) = self.order.pop_front()
            {
                self.due.remove(&old);
            }
            self.read()?;
        }
        Ok(frame
            .stream
            .and_then(|id| self.due.remove(&(frame.ts, frame.group, id.number, id.udp)))
            .unwrap_or_default())
    }
}

/// Writes what was picked. Whether it was stopped is for the caller to see.
pub fn export(
    asked: &Asked<'_>,
    format: Format,
    picked: Picked,
    target: &mut Target,
    at: At,
) -> anyhow::Result<(Came, At)> {
    let Picked {
        waiting,
        notes,
        names,
        gone,
        never,
        cut,
        unknown,
        faults,
    } = picked;
    let known = at.interfaces.iter();
    let known = known.map(|(name, description, link, snaplen)| Interface {
        name: name.clone(),
        description: description.clone(),
        link: LinkType::from_dlt(*link),
        snaplen: *snaplen,
    });
    let mut merge = Merge::new(waiting, known.collect());
    let mut notes = Notes::new(notes)?;
    let mut writing = Writing {
        format,
        written: at.interfaces.len(),
        at,
        begun: HashMap::new(),
    };
    let came = &mut writing.at.came;
    (came.gone, came.unknown) = (gone, unknown.iter().map(|id| id.to_string()).collect());
    (came.never, came.cut) = (never, cut);
    for fault in faults {
        came.fault(fault);
    }
    let (skip_turn, mut skip) = (writing.at.turn, writing.at.taken);
    let (since, until) = asked.within;
    let mut damaged = Vec::new();
    while !asked.stop.is_set() {
        let next = merge.next(&mut |error| match exit::is_unreachable(&error) {
            true => Err(exit::unreachable(error)),
            false => {
                damaged.push(error.to_string());
                Ok(())
            }
        });
        let frame = match next {
            Ok(next) => next,
            Err(error) => {
                writing.at.note(target)?;
                return Err(error);
            }
        };
        for fault in damaged.drain(..) {
            writing.at.came.fault(fault);
        }
        let Some((turn, frame, interfaces)) = frame else {
            break;
        };
        if frame.ts < since || frame.ts >= until && until != i64::MAX || turn < asked.from {
            continue;
        }
        let entries = notes.of(turn, frame)?;
        if turn == skip_turn && skip > 0 {
            skip -= 1;
            continue;
        }
        if target.is_empty() {
            writing.begin(target.buffer(), &names)?;
        }
        writing.frame(target.buffer(), interfaces, frame, &entries)?;
        let at = &mut writing.at;
        match at.turn == turn {
            true => at.taken += 1,
            false => (at.turn, at.taken) = (turn, 1),
        }
        let state = &writing.at;
        target.spill(|| serde_json::to_value(state).unwrap_or_default())?;
    }
    Ok((writing.at.came.clone(), writing.at))
}

impl At {
    /// Notes that the target goes on here.
    pub fn note(&self, target: &mut Target) -> anyhow::Result<()> {
        Ok(target.note(serde_json::to_value(self)?)?)
    }
}

/// A capture on its way.
struct Writing {
    format: Format,
    at: At,
    /// Interfaces whose blocks are written.
    written: usize,
    /// Streams of each source whose first frame is written.
    begun: HashMap<usize, StreamSet>,
}

impl Writing {
    fn begin(
        &mut self,
        out: &mut Vec<u8>,
        names: &std::collections::BTreeMap<std::net::IpAddr, String>,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Pcap => {
                PcapWriter::new(out, PcapResolution::Nano)?;
            }
            Format::Pcapng => {
                let section = SectionBlock {
                    application: Some(concat!("gillnet ", env!("CARGO_PKG_VERSION"))),
                    ..SectionBlock::default()
                };
                section_block(out, &section);
                let names = names.iter();
                name_blocks(out, names.map(|(ip, name)| (*ip, name.as_str())));
            }
        }
        Ok(())
    }

    fn frame(
        &mut self,
        out: &mut Vec<u8>,
        interfaces: &[Interface],
        frame: &Taken,
        entries: &[String],
    ) -> anyhow::Result<()> {
        let came = &mut self.at.came;
        let begins = frame.stream.is_some_and(|id| {
            let begun = self.begun.entry(frame.group).or_default();
            begun.insert(id)
        });
        let mut comment = Vec::new();
        if let (true, Some(id), Some(missing)) = (begins, frame.stream, frame.missing) {
            came.truncated += 1;
            let start = gillnet_bucket::packets::StreamStart {
                id,
                missing: Some(missing),
                lost_behind: 0,
                continued: false,
            };
            comment.push(start.to_string());
        }
        comment.extend(entries.iter().map(|id| format!("entry {id}")));
        match self.format {
            Format::Pcap => {
                let mut writer = PcapWriter::go_on(out, PcapResolution::Nano);
                if !writer.frame(frame.ts, frame.link, frame.wire_len, &frame.data)? {
                    came.no_ethernet += 1;
                    return Ok(());
                }
            }
            Format::Pcapng => {
                for interface in interfaces.iter().skip(self.written) {
                    interface_block(out, interface);
                    self.at.interfaces.push((
                        interface.name.clone(),
                        interface.description.clone(),
                        interface.link.dlt(),
                        interface.snaplen,
                    ));
                }
                self.written = interfaces.len();
                let comment = comment.join("\n");
                packet_block(
                    out,
                    &PacketBlock {
                        iface: frame.iface,
                        ts: frame.ts,
                        wire_len: frame.wire_len,
                        direction: frame.direction,
                        data: &frame.data,
                        comment: (!comment.is_empty()).then_some(&*comment),
                        custom: &[],
                    },
                );
            }
        }
        came.written += 1;
        Ok(())
    }
}
