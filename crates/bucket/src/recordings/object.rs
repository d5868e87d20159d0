//! One packet object, unpacked into mapped files and ordered by time.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use gillnet_capture::{
    Error, Event, Frame, FrameHeader, Input, Interface, MAX_FRAME, Ring, StoredFrame, open_files,
};

use super::{Object, Only, Progress, Shared, reader::ObjectReader};
use crate::index::stream_places;
use crate::layout::PacketFormat;
use crate::packets::{Cause, Missing, StreamId, StreamStart, Totals, Unpacker};

/// Size of the mapped files that frames are unpacked into.
const RING: u64 = 16 << 20;
/// What a frame takes beside its bytes, at most, and what a ring gives up at a time.
const OVERHEAD: u64 = 64;
const SLACK: u64 = 256 << 10;
/// The slot's place of a position: its ring stands above.
const POSITION_BITS: u32 = 48;
/// Faults of one object that are told one by one.
const MAX_FAULTS: usize = 16;
/// In a frame's header, where its stream is not known.
const NO_STREAM: u64 = u64::MAX;

/// Mapped files for frames, used again when an object is done with.
#[derive(Clone)]
pub(super) struct RingPool {
    free: Arc<Mutex<Vec<Ring>>>,
    cache: Arc<Path>,
}

impl RingPool {
    pub(super) fn new(cache: &Path) -> Self {
        Self {
            free: Arc::default(),
            cache: Arc::from(cache),
        }
    }

    fn take(&self) -> Result<Ring, Error> {
        let free = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(ring) = free {
            return Ok(ring);
        }
        let failed = |source: io::Error| Error::Open {
            file: self.cache.display().to_string().into(),
            source,
        };
        make_cache(&self.cache).map_err(failed)?;
        Ring::create(Some(&self.cache), RING).map_err(|error| match error {
            // the mend that the error itself names is one for live capture
            Error::RingSpace { source, .. } | Error::RingFile { source, .. } => {
                failed(io::Error::new(
                    source.kind(),
                    format!(
                        "no room for {} MiB of unpacked packets: {source}",
                        RING >> 20
                    ),
                ))
            }
            other => other,
        })
    }

    fn give_back(&self, rings: impl IntoIterator<Item = Ring>) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(rings);
    }
}

/// The cache folder, for its owner alone.
pub(super) fn make_cache(cache: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(cache)
}

/// A ring and where in it the present object begins.
struct Filled {
    ring: Ring,
    begin: u64,
    end: u64,
}

/// Where a frame is, and when its turn comes.
#[derive(Clone, Copy)]
struct Slot {
    turn: i64,
    at: u64,
}

/// The streams of an object of classic pcap, in its order, each with the number of its packets: what comments say elsewhere.
struct Runs(VecDeque<(StreamStart, u64)>, bool);

impl Runs {
    /// Those that are in what is read of it.
    fn read(shared: &Shared, object: &Object) -> Result<Self, Error> {
        let place = shared.bucket.place(&object.key);
        let failed = |message: String| Error::Open {
            file: place.clone().into(),
            source: io::Error::new(io::ErrorKind::InvalidData, message),
        };
        let Some((key, size)) = &object.beside else {
            return Err(failed(
                "it is a pcap, and the file of streams/ that says what is in it is not there; a copy under another name is read as any capture"
                    .to_owned(),
            ));
        };
        let ranges = object.only.as_ref().and_then(|only| only.ranges.as_ref());
        let mut runs = VecDeque::new();
        let read = stream_places(&shared.bucket, key, *size, &mut |place| {
            let offset = place.range.offset;
            if ranges.is_none_or(|ranges| ranges.iter().any(|range| range.contains(&offset))) {
                let is_missing = place.missing > 0 || place.truncated_before.is_some();
                let missing = is_missing.then(|| Missing {
                    packets: (place.missing > 0).then_some(place.missing),
                    before: place.truncated_before.unwrap_or(place.first),
                    cause: match place.truncated_before {
                        Some(_) => Cause::Ring,
                        None => Cause::Lost,
                    },
                });
                let start = StreamStart {
                    id: place.id,
                    missing,
                    lost_behind: 0,
                    continued: false,
                };
                if place.packets > 0 {
                    runs.push_back((start, place.packets));
                }
            }
        });
        let failed = |error| failed(format!("its file of streams: {error}"));
        read.map(|()| Self(runs, false)).map_err(failed)
    }

    /// Counts a packet; gives its stream where it is the first.
    fn next(&mut self) -> Option<StreamStart> {
        if self.0.front().is_some_and(|(_, left)| *left == 0) {
            self.0.pop_front();
            self.1 = false;
        }
        let (start, left) = self.0.front_mut()?;
        *left -= 1;
        (!std::mem::replace(&mut self.1, true)).then_some(*start)
    }
}

/// A packet object whose frames can be had in the order of time.
pub(super) struct Loaded {
    rings: Vec<Filled>,
    slots: Vec<Slot>,
    next: usize,
    streams: Vec<StreamStart>,
    interfaces: Vec<Interface>,
    faults: Vec<Error>,
    pool: RingPool,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.pool
            .give_back(self.rings.drain(..).map(|filled| filled.ring));
    }
}

impl Loaded {
    /// Fetches and unpacks an object. What can't be read is among its faults.
    pub(super) fn load(
        shared: &Arc<Shared>,
        object: &Object,
        totals: Option<Totals>,
        pool: &RingPool,
        cancelled: &AtomicBool,
    ) -> Self {
        let mut loaded = Self {
            rings: Vec::new(),
            slots: Vec::new(),
            next: 0,
            streams: Vec::new(),
            interfaces: Vec::new(),
            faults: Vec::new(),
            pool: pool.clone(),
        };
        let mut reader = ObjectReader::new(Arc::clone(shared), object.key.clone(), object.size);
        let only = object.only.as_ref();
        if let Some(ranges) = only.and_then(|only| only.ranges.as_ref()) {
            reader = reader.only(ranges);
        }
        let wanted = |id| only.is_none_or(|only| only.wants(id));
        let runs = match object.is_bare() {
            true => Runs::read(shared, object).map(Some),
            false => Ok(None),
        };
        let input = Input::Reader {
            name: shared.bucket.place(&object.key),
            reader: match PacketFormat::of_key(&object.key) {
                Some(PacketFormat::Pcapng | PacketFormat::Pcap) => Box::new(reader),
                _ => Box::new(Unpacker::new(reader)),
            },
        };
        if let Err(fault) = runs.and_then(|runs| loaded.read(input, &wanted, runs, cancelled)) {
            loaded.faults.push(fault);
        }
        let place = || shared.bucket.place(&object.key);
        match only {
            None => loaded.check(totals, place()),
            Some(only) => loaded.check_selected(only, place),
        }
        // a position grows with the place in the object, so that equal times keep their order
        loaded
            .slots
            .sort_unstable_by_key(|slot| (slot.turn, slot.at));
        Progress::add(
            &shared.progress.damaged,
            u64::from(!loaded.faults.is_empty()),
        );
        loaded
    }

    /// Takes its frames, of streams that are `wanted`.
    fn read(
        &mut self,
        input: Input,
        wanted: &dyn Fn(StreamId) -> bool,
        mut runs: Option<Runs>,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let mut source = open_files(vec![input])?;
        let (mut stream, mut turn) = (NO_STREAM, i64::MIN);
        while !cancelled.load(Ordering::Relaxed) {
            match source.next() {
                Ok(Event::Frame(frame)) => {
                    let start = match &mut runs {
                        Some(runs) => runs.next(),
                        None => frame.comment.and_then(StreamStart::parse),
                    };
                    if let Some(start) = start {
                        if self.streams.last().is_none_or(|last| last.id != start.id) {
                            turn = i64::MIN;
                        }
                        stream = self.streams.len() as u64;
                        self.streams.push(start);
                    }
                    if let Some(last) = self.streams.last()
                        && !wanted(last.id)
                    {
                        continue;
                    }
                    // The packets of a stream stand in the order in which they came. Where the
                    // clock stepped back between two, the later one must not come first.
                    turn = turn.max(frame.ts);
                    self.append(&frame, stream, turn)?;
                }
                Ok(Event::Tick(_)) => {}
                Ok(Event::End) => break,
                Err(fault) if self.faults.len() < MAX_FAULTS => self.faults.push(fault),
                Err(_) => {}
            }
        }
        self.interfaces = source.interfaces().to_vec();
        Ok(())
    }

    /// Whether all is there that the object says it has: one that was cut between two members shows
    /// no other sign of it.
    fn check(&mut self, totals: Option<Totals>, place: String) {
        let found = self.slots.len() as u64;
        let message = match totals {
            Some(Totals { packets, .. }) if packets != found => {
                format!("it says that it has {packets} packets, and has {found}")
            }
            None if found == 0 => "it has no packet and does not say what it is".to_owned(),
            _ => return,
        };
        self.lacks(message, place);
    }

    /// Whether all is there that the object's file of streams says is.
    fn check_selected(&mut self, only: &Only, place: impl FnOnce() -> String) {
        let found = self.slots.len() as u64;
        if found < only.packets {
            let packets = only.packets;
            let message =
                format!("its index says that it has {packets} of the packets, and it has {found}");
            self.lacks(message, place());
        }
    }

    /// Tells that packets are not there, where nothing told it yet.
    fn lacks(&mut self, message: String, place: String) {
        if self.faults.is_empty() {
            let source = io::Error::new(io::ErrorKind::InvalidData, message);
            self.faults.push(Error::Open {
                file: place.into(),
                source,
            });
        }
    }

    fn append(&mut self, frame: &Frame<'_>, stream: u64, turn: i64) -> Result<(), Error> {
        let needs = (frame.data.len() as u64).min(u64::from(MAX_FRAME)) + OVERHEAD;
        let has_room =
            |filled: &Filled| filled.end - filled.begin + needs + SLACK <= filled.ring.size();
        if !self.rings.last().is_some_and(has_room) {
            let ring = self.pool.take()?;
            let begin = ring.store().head();
            self.rings.push(Filled {
                ring,
                begin,
                end: begin,
            });
        }
        let number = self.rings.len() as u64 - 1;
        let Frame {
            ts,
            iface,
            link,
            direction,
            wire_len,
            data,
            ..
        } = *frame;
        if let Some(filled) = self.rings.last_mut() {
            let header = FrameHeader {
                ts,
                iface,
                link,
                direction,
                wire_len,
                prev: stream,
            };
            let position = filled.ring.append(&header, data);
            filled.end = position + needs;
            self.slots.push(Slot {
                turn,
                at: number << POSITION_BITS | (position - filled.begin),
            });
        }
        Ok(())
    }

    /// When the turn of the next frame comes; `None` where all were given.
    pub(super) fn turn(&self) -> Option<i64> {
        self.slots.get(self.next).map(|slot| slot.turn)
    }

    /// Takes the next frame: a handle for [`Loaded::frame`].
    pub(super) fn advance(&mut self) -> Option<u64> {
        let slot = self.slots.get(self.next)?;
        self.next += 1;
        Some(slot.at)
    }

    /// A frame of the object.
    pub(super) fn frame(&self, at: u64) -> Option<StoredFrame<'_>> {
        let filled = self.rings.get((at >> POSITION_BITS) as usize)?;
        filled
            .ring
            .frame(filled.begin + (at & ((1 << POSITION_BITS) - 1)))
    }

    /// Where the stream of a frame of the object begins in it.
    pub(super) fn stream(&self, frame: &StoredFrame<'_>) -> Option<StreamStart> {
        self.streams.get(usize::try_from(frame.prev).ok()?).copied()
    }

    /// The interfaces of its frames.
    pub(super) fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Takes what went wrong.
    pub(super) fn take_faults(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.faults)
    }
}
