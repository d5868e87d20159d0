//! The frames of several sources as one, in the order of time.

use super::sorter::Sorted;
use gillnet_bucket::RecordedSource;
use gillnet_bucket::StreamSet;
use gillnet_bucket::packets::{Missing, StreamId};
use gillnet_capture::{Event, Frame, Interface, LinkType, PacketDirection};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

/// A frame of its own.
#[derive(Clone, Debug)]
pub struct Taken {
    /// When it was captured, ns since the epoch.
    pub ts: i64,
    /// Its interface: its place among those of [`Merge`].
    pub iface: u32,
    pub link: LinkType,
    pub direction: PacketDirection,
    /// Bytes that it had on the wire.
    pub wire_len: u32,
    pub data: Vec<u8>,
    /// Its stream, where that is known.
    pub stream: Option<StreamId>,
    /// What is missing from that before it.
    pub missing: Option<Missing>,
    /// Which source it is of.
    pub group: usize,
}

impl Taken {
    fn none(group: usize) -> Taken {
        Taken {
            ts: 0,
            iface: 0,
            link: LinkType::Ethernet,
            direction: PacketDirection::Unknown,
            wire_len: 0,
            data: Vec::new(),
            stream: None,
            missing: None,
            group,
        }
    }

    fn take(&mut self, frame: &Frame<'_>) {
        (self.ts, self.iface, self.link) = (frame.ts, frame.iface, frame.link);
        (self.direction, self.wire_len) = (frame.direction, frame.wire_len);
        self.data.clear();
        self.data.extend_from_slice(frame.data);
    }

    /// Appends it as a record of a sorter.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (number, flags) = match self.stream {
            Some(id) => (id.number, 1 | u8::from(id.udp) << 1),
            None => (0, 0),
        };
        let direction = match self.direction {
            PacketDirection::Unknown => 0,
            PacketDirection::In => 1,
            PacketDirection::Out => 2,
        };
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&[flags, direction]);
        out.extend_from_slice(&(self.link.dlt() as u16).to_le_bytes());
        out.extend_from_slice(&self.iface.to_le_bytes());
        out.extend_from_slice(&self.wire_len.to_le_bytes());
        out.extend_from_slice(&self.data);
    }

    /// The reverse of [`Taken::write`].
    fn read(&mut self, ts: i64, record: &[u8]) -> Option<()> {
        let (number, rest) = record.split_first_chunk::<8>()?;
        let ([flags, direction], rest) = rest.split_first_chunk::<2>()?;
        let (link, rest) = rest.split_first_chunk::<2>()?;
        let (iface, rest) = rest.split_first_chunk::<4>()?;
        let (wire_len, data) = rest.split_first_chunk::<4>()?;
        self.ts = ts;
        self.stream = (flags & 1 != 0).then(|| StreamId {
            number: u64::from_le_bytes(*number),
            udp: flags & 2 != 0,
        });
        self.direction = match direction {
            1 => PacketDirection::In,
            2 => PacketDirection::Out,
            _ => PacketDirection::Unknown,
        };
        self.link = LinkType::from_dlt(u16::from_le_bytes(*link).into());
        self.iface = u32::from_le_bytes(*iface);
        self.wire_len = u32::from_le_bytes(*wire_len);
        self.data.clear();
        self.data.extend_from_slice(data);
        Some(())
    }
}

/// Takes a frame that is about to be read, to be sorted.
pub fn copy(frame: &Frame<'_>, group: usize) -> Taken {
    let mut taken = Taken::none(group);
    taken.take(frame);
    taken
}

/// A source in the order of time.
pub enum Feed {
    /// Packet objects of one process.
    Recorded(Box<dyn RecordedSource>),
    /// Frames that were sorted.
    Sorted {
        sorted: Sorted,
        interfaces: Vec<Interface>,
        /// The streams that are wanted, where not all frames are.
        wanted: Option<Arc<StreamSet>>,
        /// What is missing before the first frames of streams.
        missing: HashMap<StreamId, Missing>,
    },
}

/// What is told on the way.
pub type Fault<'f> = &'f mut dyn FnMut(gillnet_capture::Error) -> anyhow::Result<()>;

impl Feed {
    /// Takes the next frame and gives its turn.
    fn next(&mut self, taken: &mut Taken, fault: Fault<'_>) -> anyhow::Result<Option<i64>> {
        match self {
            Feed::Recorded(source) => loop {
                match source.next() {
                    Ok(Event::Frame(frame)) => taken.take(&frame),
                    Ok(Event::Tick(_)) => continue,
                    Ok(Event::End) => return Ok(None),
                    Err(error) => {
                        fault(error)?;
                        continue;
                    }
                }
                (taken.stream, taken.missing) = (source.stream(), source.missing());
                return Ok(Some(source.turn().unwrap_or(taken.ts)));
            },
            Feed::Sorted {
                sorted,
                wanted,
                missing,
                ..
            } => loop {
                let Some((ts, record)) = sorted.next()? else {
                    return Ok(None);
                };
                let read = taken.read(ts, record);
                read.ok_or_else(|| anyhow::anyhow!("a sorted frame cannot be read back"))?;
                let is_wanted =
                    |wanted: &Arc<StreamSet>| taken.stream.is_some_and(|id| wanted.contains(id));
                if wanted.as_ref().is_none_or(is_wanted) {
                    taken.missing = taken.stream.and_then(|id| missing.remove(&id));
                    return Ok(Some(ts));
                }
            },
        }
    }

    fn interfaces(&self) -> &[Interface] {
        match self {
            Feed::Recorded(source) => source.interfaces(),
            Feed::Sorted { interfaces, .. } => interfaces,
        }
    }
}

/// A source whose turn may not have come.
pub struct Waiting {
    /// Before this it has no frame, ns since the epoch.
    pub first: i64,
    /// Its number.
    pub group: usize,
    /// What its interfaces are on; empty where that is not known.
    pub node: String,
    pub open: Box<dyn FnOnce() -> anyhow::Result<Feed>>,
}

struct Open {
    feed: Feed,
    taken: Taken,
    node: String,
    /// The numbers of its interfaces here, each with a link type that it was seen with.
    numbers: HashMap<(u32, LinkType), u32>,
}

/// Sources as one. A source is opened when its first moment comes, and closed at its end.
pub struct Merge {
    waiting: VecDeque<Waiting>,
    open: Vec<Option<Open>>,
    /// Turn, source and place in `open` of the next frame of each.
    turns: BinaryHeap<Reverse<(i64, usize, usize)>>,
    given: Option<usize>,
    interfaces: Vec<Interface>,
}

impl Merge {
    /// These sources; interfaces that are known already keep their numbers.
    pub fn new(mut waiting: Vec<Waiting>, interfaces: Vec<Interface>) -> Merge {
        waiting.sort_by_key(|waiting| (waiting.first, waiting.group));
        Merge {
            waiting: waiting.into(),
            open: Vec::new(),
            turns: BinaryHeap::new(),
            given: None,
            interfaces,
        }
    }

    /// The next frame with its turn, and the interfaces of the frames so far.
    pub fn next(
        &mut self,
        fault: Fault<'_>,
    ) -> anyhow::Result<Option<(i64, &Taken, &[Interface])>> {
        if let Some(at) = self.given.take() {
            self.advance(at, fault)?;
        }
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| {
            let next = self.turns.peek().map(|Reverse((turn, ..))| *turn);
            next.is_none_or(|next| waiting.first <= next)
        }) {
            self.open.push(Some(Open {
                feed: (waiting.open)()?,
                taken: Taken::none(waiting.group),
                node: waiting.node,
                numbers: HashMap::new(),
            }));
            self.advance(self.open.len() - 1, fault)?;
        }
        let Some(Reverse((turn, _, at))) = self.turns.pop() else {
            return Ok(None);
        };
        self.given = Some(at);
        let Self {
            open, interfaces, ..
        } = self;
        let open = open.get_mut(at).and_then(Option::as_mut);
        Ok(open.map(|open| {
            open.number(interfaces);
            (turn, &open.taken, &**interfaces)
        }))
    }

    fn advance(&mut self, at: usize, fault: Fault<'_>) -> anyhow::Result<()> {
        let Some(slot) = self.open.get_mut(at) else {
            return Ok(());
        };
        if let Some(Open { feed, taken, .. }) = slot {
            match feed.next(taken, fault)? {
                Some(turn) => self.turns.push(Reverse((turn, taken.group, at))),
                None => *slot = None,
            }
        }
        Ok(())
    }
}

impl Open {
    /// Gives the frame the number that its interface has here.
    fn number(&mut self, interfaces: &mut Vec<Interface>) {
        let Self {
            feed,
            taken,
            node,
            numbers,
        } = self;
        let key = (taken.iface, taken.link);
        if let Some(number) = numbers.get(&key) {
            taken.iface = *number;
            return;
        }
        let known = feed.interfaces().get(taken.iface as usize).cloned();
        let mut interface = known.unwrap_or_else(|| Interface {
            name: String::new(),
            link: taken.link,
            description: String::new(),
            snaplen: 0,
        });
        interface.link = taken.link;
        if !node.is_empty() {
            let sep = if interface.description.is_empty() {
                ""
            } else {
                "; "
            };
            interface.description = format!("{}{sep}node {node}", interface.description);
        }
        let found = interfaces.iter().position(|known| *known == interface);
        let found = found.unwrap_or_else(|| {
            interfaces.push(interface);
            interfaces.len() - 1
        });
        taken.iface = u32::try_from(found).unwrap_or(u32::MAX);
        numbers.insert(key, taken.iface);
    }
}
