//! Sealing: from a log, in the order of arrival, to an object, grouped by stream.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use foldhash::fast::RandomState;
use gillnet_bucket::index::{Entries, Footer, Range, StreamRow, StreamsWriter};
use gillnet_bucket::layout::{Hour, ObjectName, PacketFormat, Payload};
use gillnet_bucket::packets::{
    About, Cause, Missing, Packet, PacketWriter, Placed, StreamId, StreamStart as Beginning,
    Totals, Written,
};
use gillnet_capture::{Interface, LinkType, prefetch, turns::Idle};
use sha2::{Digest, Sha256};

use super::inventory::{Closed, Inventory};
use super::sealed::{Part, PartFile, SIDECAR, Sidecar};
use super::{RETRY_MAX, RETRY_MIN, Spool, backoff};
use crate::clock::{HOUR, SECOND};
use crate::cut::Cut;
use crate::dissect::{Dissector, Key, Reader};
use crate::encrypt::Encrypted;
use crate::fs::{File, View, is_full};
use crate::queue::lock;
use crate::record::{self, FRAME_HEAD, Frame, LogHead, Record, RecordedName, StreamStart};
use crate::status::Fault;

/// Sealing is a long calculation beside those for whom the host is there: after so many bytes of frames, about a tenth of
/// a millisecond of it, it rests where they wait. Not elsewhere: behind a rest it finds caches that others have filled.
const STRETCH: usize = 32 << 10;
/// So many times as long as it worked.
const REST: u64 = 2;
/// But not longer (nanoseconds): it may have been kept from its processor.
const MAX_REST: u64 = SECOND / 1000;
/// Where a log has waited so long (nanoseconds), it does not rest any more.
const PATIENCE: u64 = 10 * SECOND;

/// A log that failed so often is sealed out of its turn, whatever that does to entries.
const OUT_OF_TURN: u32 = 8;

/// A try whose panic is an error: the log stays and is told of, and others are sealed. What a panic leaves half done is what
/// an error leaves: files are written anew, and entries are read anew.
pub(super) fn tried<T>(seal: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let panicked = |_| {
        Err(io::Error::other(
            "a fault of Gillnet: it panicked; the log says where",
        ))
    };
    catch_unwind(AssertUnwindSafe(seal)).unwrap_or_else(panicked)
}

/// What [`Spool::seal_next`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// A log became an object, or was found to be empty.
    Done,
    /// It failed, and is tried again later.
    Failed,
    /// Nothing is to be sealed.
    Nothing,
    /// Nothing is to be sealed before this monotonic time.
    Until(u64),
}

impl Spool {
    /// Seals one log; what it compresses, `idle` does while that is in time. Never by two threads at a time.
    pub fn seal_next(&self, idle: Option<&Idle>) -> Sealing {
        let now = self.clock.monotonic();
        let (at, mut closed) = {
            let mut state = lock(&self.state);
            let at = match self.next_closed(&state, now) {
                Ok(at) => at,
                Err(Some(until)) => return Sealing::Until(until),
                Err(None) => {
                    drop(state);
                    return self.seal_rest();
                }
            };
            let Some(closed) = state.closed.remove(at) else {
                return Sealing::Nothing;
            };
            state.sealing = true;
            (at, closed)
        };
        let result = tried(|| self.seal(&mut closed, idle));
        let mut state = lock(&self.state);
        state.sealing = false;
        match result {
            Ok(side) => {
                if let Some(side) = side {
                    state.bytes += side.bytes();
                    state.counters.rule(&side.head.rule).spool_fault = None;
                    state.push(closed.id, side, now, closed.spread);
                }
                drop(state);
                self.uploader.ring();
                Sealing::Done
            }
            Err(error) => {
                tracing::warn!(log = %closed.path.display(), %error, "can't be sealed; tried again");
                if let Some(rule) = self.rule_of(&closed) {
                    let message = format!("{}: can't be sealed: {error}", closed.path.display());
                    state.counters.rule(&rule).spool_fault = Some(Fault {
                        at: self.clock.now(),
                        message,
                    });
                }
                closed.failures += 1;
                let wait = backoff(closed.failures, RETRY_MIN, RETRY_MAX);
                closed.not_before = now + state.spread(wait);
                let at = at.min(state.closed.len());
                state.closed.insert(at, closed);
                Sealing::Failed
            }
        }
    }

    /// The next log to seal: its place, or when there is one. Those of a rule come one after the other, since entries of
    /// one are read with those of the next, but for one that fails and fails.
    fn next_closed(&self, state: &Inventory, now: u64) -> Result<usize, Option<u64>> {
        let mut waiting: Vec<&Key> = Vec::new();
        let mut until: Option<u64> = None;
        for (at, closed) in state.closed.iter().enumerate() {
            let key = closed.key.as_ref().filter(|_| self.dissector.is_some());
            if key.is_some_and(|key| waiting.contains(&key)) {
                continue;
            }
            if closed.not_before <= now {
                return Ok(at);
            }
            until = Some(until.unwrap_or(u64::MAX).min(closed.not_before));
            waiting.extend(key.filter(|_| closed.failures < OUT_OF_TURN));
        }
        Err(until)
    }

    /// Whether sealing may not rest.
    fn is_pressed(&self) -> bool {
        let late = self.clock.monotonic().saturating_sub(PATIENCE);
        self.is_hurried()
            || lock(&self.state)
                .closed
                .iter()
                .any(|log| log.not_before < late)
    }

    /// The rule that a log is of, as its head says.
    fn rule_of(&self, closed: &Closed) -> Option<String> {
        Some(self.head_of(&closed.path).ok()??.rule)
    }

    /// The head of a log, where it has one.
    pub(super) fn head_of(&self, path: &Path) -> io::Result<Option<LogHead>> {
        let log = self.fs.open(path)?.view()?;
        let head = head(log.bytes());
        readable(&*log).map(|()| head)
    }

    /// Makes the object of a log and removes the log. `None` where there is no frame in it.
    fn seal(&self, closed: &mut Closed, idle: Option<&Idle>) -> io::Result<Option<Sidecar>> {
        if let Some(side) = &closed.committed {
            if self.finish(closed)? {
                return Ok(Some((**side).clone()));
            }
            closed.committed = None;
        }
        let mut log = match self.fs.open(&closed.path) {
            // removed although the removal said that it failed
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.uncount(closed.bytes);
                return Ok(None);
            }
            other => other?,
        };
        if self.dissector.is_some() {
            // it may be read again after its object counts: also after a loss of power all of it
            log.sync()?;
            self.fs.sync_dir(&self.folders.active)?;
        }
        let log = log.view()?;
        let mut pace = Pace::new(self, idle);
        let index = self.read(closed, &log, &mut pace)?;
        if index.cut > 0 {
            tracing::warn!(log = %closed.path.display(), bytes = index.cut, "the log's end is torn and was cut off");
        }
        let Some(head) = index.head.as_ref().filter(|_| index.totals.packets > 0) else {
            self.fs.remove(&closed.path)?;
            self.uncount(closed.bytes);
            return Ok(None);
        };
        if let Some(replay) = &self.replay
            && replay.is_sealed(&closed.id, index.totals)?
        {
            self.put_away(closed)?;
            return Ok(None);
        }
        let entries = closed.entries.as_deref().unwrap_or_default();
        let files = self.with_reserve(|| {
            self.write_files(&closed.id, head, &index, entries, &*log, &mut pace)
        })?;
        self.fs.sync_dir(&self.folders.sealed)?;
        let side = Sidecar::new(head.clone(), self.clock.now(), index.totals.packets, files);
        closed.committed = Some(Box::new(side.clone()));
        self.with_reserve(|| side.write(&*self.fs, &self.folders.sealed, &closed.id))?;
        if let Some(replay) = &self.replay {
            self.with_reserve(|| replay.note(&*self.fs, &closed.id, Some(index.totals)))?;
        }
        let indexed: u64 = entries.iter().map(|(_, entries)| entries.count()).sum();
        self.put_away(closed)?;
        self.count(|counters| counters.rule(&side.head.rule).indexed_entries += indexed);
        Ok(Some(side))
    }

    /// What is in a log; and its entries, at the first time.
    fn read(
        &self,
        closed: &mut Closed,
        log: &Arc<dyn View>,
        pace: &mut Pace<'_>,
    ) -> io::Result<Index> {
        let mut index = None;
        let head = head(log.bytes());
        if let (Some(dissector), None, Some(head)) = (&self.dissector, &closed.entries, head) {
            let mut dissector = lock(dissector);
            if !dissector.knows(&head.key())
                && let Err(error) = self.read_held(&mut dissector, &head.key(), pace)
                && closed.failures < OUT_OF_TURN
            {
                return Err(error);
            }
            let turn = self.next_turn();
            closed.turn = Some(turn);
            let lent = Arc::clone(log);
            let entries = dissector.read(&head, turn, lent, |reader| {
                index = Some(Index::read(log.bytes(), Some(reader), pace));
            });
            if let Err(error) = readable(&**log) {
                // it is read again, behind the same logs as now
                dissector.forget(&head.key());
                return Err(error);
            }
            // what has a file of its own hour is indexed, and that is written last
            let own = head.object_name().hour;
            closed.entries = entries.map(|mut entries| {
                if entries.iter().all(|(hour, _)| *hour != own) {
                    entries.push((own, Entries::default()));
                }
                entries.sort_by_key(|(hour, _)| (*hour == own, *hour));
                entries
            });
        }
        let index = index.unwrap_or_else(|| Index::read(log.bytes(), None, pace));
        readable(&**log).map(|()| index)
    }

    /// Ends a sealing that failed after its sidecar may have been put in place. `false` where it
    /// has to be done again from the start.
    fn finish(&self, closed: &Closed) -> io::Result<bool> {
        let sidecar = self.folders.sealed.join(format!("{}{SIDECAR}", closed.id));
        match Sidecar::read(&*self.fs, &sidecar) {
            Ok(_) => {
                self.fs.sync_dir(&self.folders.sealed)?;
                self.put_away(closed)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the files of an object, and puts them on the disk.
    fn write_files(
        &self,
        id: &str,
        head: &LogHead,
        index: &Index,
        entries: &[(Hour, Entries)],
        log: &dyn View,
        pace: &mut Pace<'_>,
    ) -> io::Result<Vec<PartFile>> {
        let name = head.object_name();
        let format = self.config.format;
        let of_packets = (format, head.payload);
        let path = self.local(id, Part::Packets);
        let (packets, encrypted) = self.write_file(&path, head, |out| {
            let written = index.write_packets(head, log.bytes(), format, out, pace)?;
            readable(log)?;
            Ok(written)
        })?;
        if packets.left_out > 0 {
            let packets = packets.left_out;
            tracing::warn!(
                rule = head.rule,
                packets,
                "packets have no form on Ethernet, which pcap needs: left out; recording.format pcapng has them"
            );
        }
        let (size, sha256) = (packets.packed, &packets.sha256);
        let file = PartFile::new(Part::Packets, &name, of_packets, size, sha256);
        let mut files = vec![as_stored(file, encrypted)];
        if self.dissector.is_some() {
            let streams = index.streams(&packets.placed, head.payload);
            let streams = self.with_footer(head, &name, &files, |footer| streams.finish(footer))?;
            files.push(self.write_part(id, Part::Streams, head, &streams)?);
        }
        let ends: Vec<_> = index.ends.iter().copied().collect();
        let history =
            self.names
                .history(&ends, &index.names, index.totals.first, index.totals.last);
        if !history.is_empty() {
            files.push(self.write_part(id, Part::Names, head, &history)?);
        }
        let entries = self.write_entries(id, head, entries, &files)?;
        files.extend(entries);
        Ok(files)
    }

    /// Writes the index of entries, a file an hour. `beside`: the object's files so far.
    pub(super) fn write_entries(
        &self,
        id: &str,
        head: &LogHead,
        entries: &[(Hour, Entries)],
        beside: &[PartFile],
    ) -> io::Result<Vec<PartFile>> {
        let name = head.object_name();
        let each = entries.iter().map(|(hour, entries)| {
            let part = Part::Entries {
                hour: hour.start().div_euclid(HOUR),
            };
            let file = self.with_footer(head, &name, beside, |footer| entries.file(footer))?;
            self.write_part(id, part, head, &file)
        });
        each.collect()
    }

    /// Makes a file of the index, whose footer names the object's files so far.
    fn with_footer(
        &self,
        head: &LogHead,
        name: &ObjectName,
        files: &[PartFile],
        make: impl FnOnce(&Footer<'_>) -> Result<Vec<u8>, gillnet_bucket::index::Error>,
    ) -> io::Result<Vec<u8>> {
        let beside: Vec<_> = files.iter().map(PartFile::beside).collect();
        let dissector = self.dissector.as_ref().map(lock);
        let nobody = gillnet_entry::Origin::default();
        make(&Footer {
            name,
            kfl: &head.kfl,
            origin: dissector.as_deref().map_or(&nobody, Dissector::origin),
            beside: &beside,
            payload: head.payload,
        })
        .map_err(io::Error::other)
    }

    /// Writes a small file of an object.
    fn write_part(
        &self,
        id: &str,
        part: Part,
        head: &LogHead,
        bytes: &[u8],
    ) -> io::Result<PartFile> {
        let ((), encrypted) = self.write_file(&self.local(id, part), head, |mut out| {
            out.write_all(bytes)?;
            Ok((out, ()))
        })?;
        let file = PartFile::new(
            part,
            &head.object_name(),
            // only packets have it in their key
            (self.config.format, Payload::Full),
            bytes.len() as u64,
            &Sha256::digest(bytes),
        );
        Ok(as_stored(file, encrypted))
    }

    /// Writes a file of the object of a log, encrypted where its rule says so.
    fn write_file<T>(
        &self,
        path: &Path,
        head: &LogHead,
        fill: impl FnOnce(Box<dyn File>) -> io::Result<(Box<dyn File>, T)>,
    ) -> io::Result<(T, Encrypted)> {
        let encrypted = Encrypted::default();
        let made = self
            .fs
            .create(path)
            .and_then(|file| encrypted.over(file, &head.recipients))
            .and_then(fill)
            .and_then(|(mut file, made)| file.sync().map(|()| (made, encrypted)));
        if made.as_ref().is_err_and(is_full) {
            // the room is needed; any other failure's file is written over at the next try
            let _ = self.fs.remove(path);
        }
        made
    }
}

/// A file as it is in the spool.
fn as_stored(file: PartFile, encrypted: Encrypted) -> PartFile {
    match encrypted.take() {
        Some(sum) => file.encrypted(sum.size, &sum.sha256),
        None => file,
    }
}

/// A stream's frames in a log.
#[derive(Default)]
struct Stream {
    number: u64,
    start: Option<(StreamStart, bool)>,
    /// Where their records begin.
    frames: Vec<usize>,
    /// Bytes captured, and the times of its earliest and latest frame.
    bytes: u64,
    times: Totals,
    /// Nothing more of it comes.
    ended: bool,
    /// How many frames are missing, each with how many of those that are there stand before.
    holes: Vec<(usize, u64)>,
    /// Since when it is whole, where something before its newest frame is missing: as the object says.
    since: Option<i64>,
}

impl Stream {
    /// Adds a frame whose record begins at `place`.
    fn add(&mut self, frame: &Frame<'_>, place: usize) {
        let at = self.frames.len();
        if at == 0 || self.holes.last().is_some_and(|(before, _)| *before == at) {
            let missing = self.beginning(at, frame.ts).and_then(|of| of.missing);
            self.since = missing.map(|missing| missing.before);
        }
        self.frames.push(place);
        self.bytes += frame.data.len() as u64;
        self.times.add(frame.ts);
    }

    /// Its row in the index; `placed` has it as often as it begins.
    fn row(&self, placed: &[Placed], payload: Payload) -> StreamRow {
        let offset = placed.iter().map(|part| part.offset).min().unwrap_or(0);
        let end = placed.iter().map(|part| part.end).max().unwrap_or(0);
        let lost = self.start.and_then(|(start, _)| start.lost_before);
        let before = lost.and_then(|lost| lost.packets).unwrap_or(0);
        let packets: u64 = match payload {
            // those that it had: none are anywhere
            Payload::None => self.times.packets,
            _ => placed.iter().map(|part| part.packets).sum(),
        };
        let left_out = self.times.packets.saturating_sub(packets);
        StreamRow {
            id: self.id(),
            ends: self.start.map(|(start, _)| start.ends),
            range: Range {
                offset,
                length: end - offset,
            },
            packets,
            bytes: self.bytes,
            first: self.times.first,
            last: self.times.last,
            continued_before: self.start.is_none_or(|(_, continued)| continued),
            continued_after: !self.ended,
            missing: before + left_out + self.holes.iter().map(|(_, packets)| packets).sum::<u64>(),
            truncated_before: lost.map(|lost| lost.since),
        }
    }

    fn id(&self) -> StreamId {
        StreamId {
            number: self.number,
            udp: self.start.is_some_and(|(start, _)| start.udp),
        }
    }

    /// What is missing before a frame, where something is.
    fn hole(&self, at: usize) -> Option<u64> {
        let from = self.holes.partition_point(|(before, _)| *before < at);
        let mut here = self
            .holes
            .get(from..)?
            .iter()
            .take_while(|(before, _)| *before == at)
            .peekable();
        here.peek()
            .is_some()
            .then(|| here.map(|(_, packets)| packets).sum())
    }

    /// How often it begins in the object: at its first frame, and again behind each hole.
    fn beginnings(&self) -> u64 {
        (0..self.frames.len())
            .filter(|at| *at == 0 || self.hole(*at).is_some())
            .count() as u64
    }

    /// What the object says before a frame whose time is `ts`.
    fn beginning(&self, at: usize, ts: i64) -> Option<Beginning> {
        let hole = self.hole(at);
        let lost = |packets| Missing {
            packets,
            before: ts,
            cause: Cause::Lost,
        };
        let id = self.id();
        if at > 0 {
            return hole.map(|packets| Beginning {
                id,
                missing: Some(lost(Some(packets))),
                lost_behind: 0,
                continued: true,
            });
        }
        let before = self.start.and_then(|(start, _)| start.lost_before);
        let missing = match (before, hole) {
            (Some(before), Some(hole)) => Some(lost(before.packets.map(|packets| packets + hole))),
            (Some(before), None) => Some(Missing {
                packets: before.packets,
                before: before.since,
                cause: Cause::Ring,
            }),
            (None, hole) => hole.map(|packets| lost(Some(packets))),
        };
        Some(Beginning {
            id,
            missing,
            lost_behind: self.hole(self.frames.len()).unwrap_or(0),
            continued: self.start.is_none_or(|(_, continued)| continued),
        })
    }
}

/// What is in a log, and where.
#[derive(Default)]
pub(super) struct Index {
    head: Option<LogHead>,
    streams: Vec<Stream>,
    /// Their places here, and that of the one that was asked for last.
    by_number: HashMap<u64, usize, RandomState>,
    last: usize,
    /// Interfaces that frames name, in the order of their first frames, each with its link type.
    interfaces: Vec<Interface>,
    by_interface: HashMap<(u32, LinkType), u32, RandomState>,
    last_interface: Option<(u32, LinkType)>,
    names: Vec<RecordedName>,
    ends: BTreeSet<(IpAddr, u16)>,
    totals: Totals,
    /// Bytes of a torn end.
    cut: u64,
}

impl Index {
    /// Reads a log; its frames are given to `reader`, too, in the order of their arrival.
    pub(super) fn read(log: &[u8], mut reader: Option<&mut Reader>, pace: &mut Pace<'_>) -> Self {
        let mut index = Self::default();
        let mut described: HashMap<u32, Interface> = HashMap::new();
        let mut records = LogReader::new(log);
        let part = if reader.is_some() { 4 } else { 10 };
        while let Some((offset, bytes)) = records.next() {
            // without compression it is a part of the work
            pace.went(bytes.len() / part);
            if let Some((stream, frame)) = record::frame(bytes) {
                let of = index.stream(stream);
                of.add(&frame, offset);
                if let Some(reader) = &mut reader {
                    reader.frame(stream, of.since, &frame, offset + FRAME_HEAD);
                }
                index.interface(frame.iface, frame.link);
                index.totals.add(frame.ts);
                continue;
            }
            match record::decode(bytes) {
                Some(Record::Head(head)) => index.head = Some(*head),
                Some(Record::Stream { start, continued }) => {
                    index.ends.extend(start.ends);
                    let stream = index.stream(start.number);
                    // said again where its first frames were lost
                    stream.start.get_or_insert((start, continued));
                }
                Some(Record::Interface { number, interface }) => {
                    described.insert(number, interface);
                }
                Some(Record::Name { name, .. }) => index.names.push(*name),
                Some(Record::Hole { stream, packets }) => {
                    let stream = index.stream(stream);
                    stream.holes.push((stream.frames.len(), packets));
                }
                Some(Record::End(stream)) => index.stream(stream).ended = true,
                Some(Record::Frame { .. }) | None => {}
            }
        }
        index.cut = records.rest.len() as u64;
        // a log of an earlier version has frames of the first batch before their interfaces
        for ((number, _), at) in &index.by_interface {
            let known = described.get(number);
            if let (Some(known), Some(of)) = (known, index.interfaces.get_mut(*at as usize)) {
                let link = of.link;
                *of = Interface {
                    link,
                    ..known.clone()
                };
            }
        }
        index.totals.streams = index.streams.iter().map(Stream::beginnings).sum();
        index
    }

    fn stream(&mut self, number: u64) -> &mut Stream {
        // a burst of one stream's frames is the rule
        let is_last = self.streams.get(self.last).map(|last| last.number) == Some(number);
        if !is_last {
            self.last = *self.by_number.entry(number).or_insert(self.streams.len());
        }
        if self.last == self.streams.len() {
            self.streams.push(Stream {
                number,
                ..Stream::default()
            });
        }
        &mut self.streams[self.last]
    }

    /// Gives an interface its number in the object at its first frame.
    fn interface(&mut self, number: u32, link: LinkType) {
        if self.last_interface == Some((number, link)) {
            return;
        }
        self.last_interface = Some((number, link));
        if self.by_interface.contains_key(&(number, link)) {
            return;
        }
        self.by_interface
            .insert((number, link), self.interfaces.len() as u32);
        self.interfaces.push(Interface {
            name: String::new(),
            link,
            description: String::new(),
            snaplen: 0,
        });
    }

    /// The rows of its streams; `placed`: where they are in the object, in its order.
    fn streams(&self, placed: &[Placed], payload: Payload) -> StreamsWriter {
        let mut rows = StreamsWriter::new();
        let mut placed = placed.chunk_by(|a, b| a.id == b.id);
        for stream in self
            .streams
            .iter()
            .filter(|stream| !stream.frames.is_empty())
        {
            rows.add(&stream.row(placed.next().unwrap_or_default(), payload));
        }
        rows
    }

    /// Writes the object, a stream after the other.
    fn write_packets(
        &self,
        head: &LogHead,
        log: &[u8],
        format: PacketFormat,
        out: Box<dyn File>,
        pace: &mut Pace<'_>,
    ) -> io::Result<(Box<dyn File>, Written)> {
        let name = head.object_name();
        let about = About {
            name: &name,
            kfl: &head.kfl,
            interfaces: &self.interfaces,
            totals: match head.payload {
                Payload::None => Totals::default(),
                _ => self.totals,
            },
            payload: head.payload,
        };
        let mut object = PacketWriter::with_format(out, &about, format)?;
        object.pack_by(pace.idle);
        let Some(mut cut) = Cut::of(head.payload) else {
            return object.finish();
        };
        // frames stand in the log as they came: memory is asked for before the next ones are wanted
        let places = || self.streams.iter().flat_map(|stream| &stream.frames);
        let (mut next, mut far) = (places().skip(NEAR), places().skip(FAR));
        for stream in &self.streams {
            for (at, place) in stream.frames.iter().enumerate() {
                if let Some(far) = far.next().and_then(|far| log.get(*far..)) {
                    prefetch(far, 0);
                }
                if let Some(next) = next.next().and_then(|next| log.get(*next..)) {
                    let len = record::record_len(next).unwrap_or_default();
                    let lines = (CACHE_LINE..len.min(MOST_AHEAD)).step_by(CACHE_LINE);
                    lines.for_each(|line| prefetch(next, line));
                }
                let (bytes, _) = log
                    .get(*place..)
                    .and_then(record::split)
                    .unwrap_or_default();
                self.write_packet(&mut object, stream, at, bytes, &mut cut)?;
                if pace.went(bytes.len()) {
                    object.pack_by(pace.idle);
                }
            }
        }
        object.finish()
    }

    fn write_packet(
        &self,
        object: &mut PacketWriter<'_, Box<dyn File>>,
        stream: &Stream,
        at: usize,
        bytes: &[u8],
        cut: &mut Cut,
    ) -> io::Result<()> {
        let Some((_, frame)) = record::frame(bytes) else {
            return Err(io::Error::other("the log changed while it was sealed"));
        };
        if let Some(beginning) = stream.beginning(at, frame.ts) {
            object.begin(&beginning)?;
        }
        let iface = self
            .by_interface
            .get(&(frame.iface, frame.link))
            .copied()
            .unwrap_or(u32::MAX);
        let Frame {
            ts,
            wire_len,
            direction,
            ..
        } = frame;
        object.packet(&Packet {
            ts,
            iface,
            wire_len,
            direction,
            data: cut.kept(&frame),
        })
    }
}

/// When sealing rests, and who compresses.
pub(super) struct Pace<'a> {
    spool: &'a Spool,
    /// Who compresses in idle time; `None` once there is no more time for that.
    idle: Option<&'a Idle>,
    /// Bytes since the last rest, and when that ended.
    bytes: usize,
    since: u64,
}

impl<'a> Pace<'a> {
    pub(super) fn new(spool: &'a Spool, idle: Option<&'a Idle>) -> Self {
        Self {
            spool,
            idle: idle.filter(|_| !spool.is_pressed()),
            bytes: 0,
            since: spool.clock.monotonic(),
        }
    }

    /// So many bytes are done. Whether there is no more time to wait for others from now on.
    fn went(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        if self.bytes < STRETCH {
            return false;
        }
        let clock = &self.spool.clock;
        let pressed = self.spool.is_pressed();
        if !pressed {
            let worked = clock.monotonic() - self.since;
            clock.rest((REST * worked).min(MAX_REST));
        }
        self.bytes = 0;
        self.since = clock.monotonic();
        pressed && self.idle.take().is_some()
    }
}

/// What was read as zeros because the disk did not give it is neither a torn end nor a frame.
pub(super) fn readable(log: &dyn View) -> io::Result<()> {
    if log.is_whole() {
        Ok(())
    } else {
        Err(io::Error::other("the disk did not give all of the log"))
    }
}

/// What stands first in a log.
pub(super) fn head(log: &[u8]) -> Option<LogHead> {
    let (_, bytes) = LogReader::new(log).next()?;
    match record::decode(bytes)? {
        Record::Head(head) => Some(*head),
        _ => None,
    }
}

/// So far ahead of what is read of a log memory is asked for, a cache line at a time.
const AHEAD: usize = 1024;
const CACHE_LINE: usize = 64;
/// Where frames are read stream by stream, the start of one is asked for so many frames ahead, and then, by its length, so
/// many bytes of it, at most: behind these the processor has seen where it goes.
const FAR: usize = 5;
const NEAR: usize = 2;
const MOST_AHEAD: usize = 2048;

/// Reads a log from its start.
struct LogReader<'a> {
    /// Where in the log `rest` begins.
    offset: usize,
    /// What is left; at the end, what is torn.
    rest: &'a [u8],
}

impl<'a> LogReader<'a> {
    fn new(log: &'a [u8]) -> Self {
        Self {
            offset: 0,
            rest: log,
        }
    }

    /// The next record with its place; `None` at the end, or where what follows is torn.
    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        let (record, rest) = record::split(self.rest)?;
        if !record::intact(record) {
            return None;
        }
        let offset = self.offset;
        self.offset += record.len();
        self.rest = rest;
        for line in (0..record.len()).step_by(CACHE_LINE) {
            prefetch(record, AHEAD + line);
        }
        Some((offset, record))
    }
}
