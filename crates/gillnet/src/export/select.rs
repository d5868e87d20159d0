//! Which packets an export has: the streams of the entries that a filter matches, and where their frames are.
//!
//! Of a recording the streams are found first, by its index where that decides the filter, else by its packets; then the
//! ranges of these streams are read. Captures that others made are read once: their frames are sorted beside, with the
//! streams that they turn out to be of.

use super::Stop;
use super::frames::{Feed, Taken, Waiting, copy};
use super::sorter::{Sorted, Sorter};
use crate::config::Config;
use crate::inputs::{Pending, Reading};
use crate::lock::lock;
use crate::scan::{Needs, Scan, Summary};
use gillnet_bucket::layout::TimeRange;
use gillnet_bucket::packets::StreamId;
use gillnet_bucket::{Origin as RecordedBy, Selection, StreamSet};
use gillnet_capture::{Error, Event, Frame, Interface, Source, SourceStats, Store};
use gillnet_entry::Entry;
use gillnet_kfl::Filter;
use gillnet_pipeline::{Consumer, Matched, Want};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Addresses that are named in a capture, at most.
const NAMES: usize = 100_000;

/// What is asked for.
pub struct Asked<'a> {
    pub config: &'a Config,
    pub filter: Filter,
    /// The filter matches everything, so that also packets of no stream are wanted.
    pub everything: bool,
    /// The only streams that are wanted.
    pub streams: Option<Arc<StreamSet>>,
    /// Only what is in this span, ns.
    pub within: (i64, i64),
    /// Whether entries are named in the capture.
    pub named: bool,
    /// Where frames are sorted.
    pub cache: &'a Path,
    /// Nothing before this turn is read again.
    pub from: i64,
    pub stop: Stop,
}

/// What was found.
pub struct Picked {
    pub waiting: Vec<Waiting>,
    /// The entries, each at the time of its first packet.
    pub notes: Sorted,
    /// What addresses were called.
    pub names: BTreeMap<IpAddr, String>,
    /// Packets that are known to be gone.
    pub gone: u64,
    /// Packets that were not recorded.
    pub never: u64,
    /// Streams of whose packets only the beginnings were recorded.
    pub cut: u64,
    /// Streams that were asked for and are nowhere.
    pub unknown: StreamSet,
    /// What went wrong.
    pub faults: Vec<String>,
}

/// An entry of a note.
pub struct Note {
    pub group: usize,
    pub stream: StreamId,
    pub id: String,
}

impl Note {
    pub fn write(group: usize, stream: StreamId, id: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&(group as u64).to_le_bytes());
        out.extend_from_slice(&stream.number.to_le_bytes());
        out.push(u8::from(stream.udp));
        out.extend_from_slice(id.as_bytes());
    }

    /// A note as it was written.
    pub fn read(record: &[u8]) -> Option<Note> {
        let (group, rest) = record.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (udp, id) = rest.split_first()?;
        Some(Note {
            group: usize::try_from(u64::from_le_bytes(*group)).ok()?,
            stream: StreamId {
                number: u64::from_le_bytes(*number),
                udp: *udp != 0,
            },
            id: String::from_utf8_lossy(id).into_owned(),
        })
    }
}

/// What is collected of all groups.
struct Collected {
    notes: Sorter,
    names: BTreeMap<IpAddr, String>,
    /// Streams of the present group.
    streams: StreamSet,
    failed: Option<io::Error>,
}

/// Collects the streams of entries, and what is said of them.
struct Collect {
    collected: Arc<Mutex<Collected>>,
    asked: Option<Arc<StreamSet>>,
    group: usize,
    named: bool,
    from: i64,
    stop: Stop,
}

impl Consumer for Collect {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let common = entry.common;
        let stream = StreamId {
            number: common.stream,
            udp: common.transport == gillnet_entry::Transport::Udp,
        };
        if self
            .asked
            .as_ref()
            .is_some_and(|asked| !asked.contains(stream))
        {
            return !self.stop.is_set();
        }
        let mut collected = lock(&self.collected);
        collected.streams.insert(stream);
        if self.named {
            if common.ts >= self.from {
                let id = format!("{}/{stream}-{}", common.origin.worker, common.index);
                let group = self.group;
                let added = collected
                    .notes
                    .add(common.ts, |out| Note::write(group, stream, &id, out));
                if let Err(error) = added {
                    collected.failed = Some(error);
                    return false;
                }
            }
            for end in [&common.src, &common.dst] {
                if !end.name.name.is_empty() && collected.names.len() < NAMES {
                    let name = collected.names.entry(end.ip);
                    name.or_insert_with(|| end.name.name.clone());
                }
            }
        }
        !self.stop.is_set()
    }
}

impl Asked<'_> {
    /// Whether entries must be looked at to know what is wanted.
    fn needs_entries(&self) -> bool {
        self.named || !self.everything
    }

    /// Finds what is wanted of some groups.
    pub fn pick(&self, groups: Vec<Pending>) -> anyhow::Result<Picked> {
        let collected = Arc::new(Mutex::new(Collected {
            notes: Sorter::new(self.cache),
            names: BTreeMap::new(),
            streams: StreamSet::default(),
            failed: None,
        }));
        let mut picked = Picked {
            waiting: Vec::new(),
            notes: Sorter::new(self.cache).finish()?,
            names: BTreeMap::new(),
            gone: 0,
            never: 0,
            cut: 0,
            unknown: StreamSet::default(),
            faults: Vec::new(),
        };
        let mut known = StreamSet::default();
        for (number, group) in groups.into_iter().enumerate() {
            if self.stop.is_set() {
                break;
            }
            let recorded = match &group {
                Pending::Group(group) => group.again(),
                Pending::Files(_) => None,
            };
            match recorded {
                Some(again) => {
                    self.recorded(number, group, again, &collected, &mut picked, &mut known)?
                }
                None => self.captures(number, group, &collected, &mut picked, &mut known)?,
            }
            if let Some(error) = lock(&collected).failed.take() {
                return Err(anyhow::Error::new(error).context("sorting the entries"));
            }
        }
        if let Some(asked) = &self.streams {
            picked.unknown = asked.iter().filter(|id| !known.contains(*id)).collect();
        }
        let mut collected = lock(&collected);
        picked.names = std::mem::take(&mut collected.names);
        picked.notes = std::mem::replace(&mut collected.notes, Sorter::new(self.cache)).finish()?;
        Ok(picked)
    }

    fn scan(&self) -> Scan<'_> {
        Scan {
            config: self.config,
            wants: vec![Want {
                bit: 0,
                filter: self.filter.clone(),
                record: false,
                bodies: false,
            }],
            within: self.within,
            tap: None,
            limit: None,
            strict: true,
            needs: if self.named { Needs::Row } else { Needs::Count },
            stream: None,
            among: None,
        }
    }

    fn collect(&self, group: usize, collected: &Arc<Mutex<Collected>>) -> Box<dyn Consumer> {
        Box::new(Collect {
            collected: Arc::clone(collected),
            asked: self.streams.clone(),
            group,
            named: self.named,
            from: self.from,
            stop: self.stop.clone(),
        })
    }

    /// Packet objects: their streams, then the ranges of these.
    fn recorded(
        &self,
        number: usize,
        group: Pending,
        again: gillnet_bucket::Group,
        collected: &Arc<Mutex<Collected>>,
        picked: &mut Picked,
        known: &mut StreamSet,
    ) -> anyhow::Result<()> {
        let mut streams = self.streams.clone();
        if self.needs_entries() {
            let group = match (&streams, group) {
                // what else is there need not be looked through, where nothing but packets says what it is
                (Some(asked), Pending::Group(group)) => {
                    let selection = Selection {
                        streams: Some(Arc::clone(asked)),
                        ..Selection::default()
                    };
                    Pending::Group(Box::new(group.only(&selection).0))
                }
                (_, group) => group,
            };
            let scan = self.scan();
            let summary = scan.run_groups(vec![group], &mut || self.collect(number, collected))?;
            said(&summary, picked)?;
            let found = std::mem::take(&mut lock(collected).streams);
            if !self.everything {
                streams = Some(Arc::new(found));
            }
        }
        if streams.as_ref().is_some_and(|streams| streams.is_empty()) {
            return Ok(());
        }
        let (since, until) = self.within;
        let since = since.max(self.from);
        let selection = Selection {
            streams,
            within: TimeRange {
                since: (since != i64::MIN).then_some(since),
                until: (until != i64::MAX).then_some(until),
            },
            cut: true,
        };
        let node = match again.origin() {
            RecordedBy::Recorded { node, .. } => node.clone(),
            RecordedBy::Captures { .. } => String::new(),
        };
        let (group, selected) = again.only(&selection);
        picked.gone += selected.gone;
        picked.never += selected.never;
        picked.cut += selected.cut;
        for object in &selected.gone_objects {
            picked
                .faults
                .push(format!("{object} is gone: its packets are missing"));
        }
        known.extend(&selected.streams);
        let first = match selected.times {
            Some((first, _)) if selected.whole == 0 => first,
            _ => i64::MIN,
        };
        if selected.whole > 0
            && let Some(asked) = &selection.streams
        {
            // what is read whole may have any of them
            known.extend(asked);
        }
        picked.waiting.push(Waiting {
            first,
            group: number,
            node,
            open: Box::new(move || Ok(Feed::Recorded(group.into_source()?))),
        });
        Ok(())
    }

    /// Captures that others made: read once, and sorted.
    fn captures(
        &self,
        number: usize,
        group: Pending,
        collected: &Arc<Mutex<Collected>>,
        picked: &mut Picked,
        known: &mut StreamSet,
    ) -> anyhow::Result<()> {
        let reading = group.read()?;
        let spill = Arc::new(Mutex::new(Spill {
            sorter: Sorter::new(self.cache),
            pending: None,
            interfaces: Vec::new(),
            all: self.everything && self.streams.is_none(),
            seen: StreamSet::default(),
            asked: self.streams.clone(),
            within: self.within,
            failed: None,
        }));
        let source = Tee {
            inner: reading.source,
            spill: Arc::clone(&spill),
            group: number,
        };
        if self.needs_entries() || self.streams.is_some() {
            let tagged = Arc::clone(&spill);
            let mut scan = self.scan();
            scan.tap = Some(Box::new(move || {
                let tagged = Arc::clone(&tagged);
                Box::new(move |number, udp, _: &Frame<'_>| {
                    if let Some(pending) = &mut lock(&tagged).pending {
                        pending.stream = Some(StreamId { number, udp });
                    }
                })
            }));
            let reading = Reading {
                source: Box::new(source),
                ..reading
            };
            let summary = scan.run_on(reading, self.collect(number, collected))?;
            said(&summary, picked)?;
        } else {
            let mut source = source;
            while !self.stop.is_set() {
                match source.next() {
                    Ok(Event::End) => break,
                    Ok(_) => {}
                    Err(error) if error.is_fatal() => return Err(error.into()),
                    Err(error) => picked.faults.push(error.to_string()),
                }
            }
        }
        let found = std::mem::take(&mut lock(collected).streams);
        let mut spill = lock(&spill);
        spill.settle();
        known.extend(&spill.seen);
        if let Some(error) = spill.failed.take() {
            return Err(anyhow::Error::new(error).context("sorting the packets"));
        }
        let sorter = std::mem::replace(&mut spill.sorter, Sorter::new(self.cache));
        let interfaces = std::mem::take(&mut spill.interfaces);
        let wanted = (!self.everything).then(|| Arc::new(found));
        let sorted = sorter.finish()?;
        picked.waiting.push(Waiting {
            first: i64::MIN,
            group: number,
            node: String::new(),
            open: Box::new(move || {
                Ok(Feed::Sorted {
                    sorted,
                    interfaces,
                    wanted,
                    missing: HashMap::new(),
                })
            }),
        });
        Ok(())
    }
}

/// Tells what a scan told.
fn said(summary: &Summary, picked: &mut Picked) -> anyhow::Result<()> {
    picked.faults.extend(summary.faults.iter().cloned());
    summary.failure().map_or(Ok(()), Err)
}

/// Frames on their way to be sorted.
struct Spill {
    sorter: Sorter,
    /// The frame that is being looked at: its stream is not known yet.
    pending: Option<Taken>,
    interfaces: Vec<Interface>,
    /// Whether also frames of no stream are wanted.
    all: bool,
    asked: Option<Arc<StreamSet>>,
    /// Of those that are asked for, what was seen.
    seen: StreamSet,
    within: (i64, i64),
    failed: Option<io::Error>,
}

impl Spill {
    /// Sorts the frame that was looked at.
    fn settle(&mut self) {
        let Some(taken) = self.pending.take() else {
            return;
        };
        let (since, until) = self.within;
        let in_time = since <= taken.ts && (taken.ts < until || until == i64::MAX);
        let asked = |id| self.asked.as_ref().is_none_or(|asked| asked.contains(id));
        let wanted = taken.stream.map_or(self.all, asked);
        if let (true, Some(id), Some(_)) = (wanted, taken.stream, &self.asked) {
            self.seen.insert(id);
        }
        if in_time && wanted {
            let added = self.sorter.add(taken.ts, |out| taken.write(out));
            if let Err(error) = added {
                self.failed.get_or_insert(error);
            }
        }
    }
}

/// A source whose frames are sorted beside.
struct Tee {
    inner: Box<dyn Source>,
    spill: Arc<Mutex<Spill>>,
    group: usize,
}

impl Source for Tee {
    fn next(&mut self) -> Result<Event<'_>, Error> {
        lock(&self.spill).settle();
        // the interfaces of a frame are known before it
        let event = self.inner.next()?;
        if let Event::Frame(frame) = &event {
            lock(&self.spill).pending = Some(copy(frame, self.group));
        }
        Ok(event)
    }

    fn interfaces(&self) -> &[Interface] {
        self.inner.interfaces()
    }

    fn stats(&mut self) -> SourceStats {
        self.inner.stats()
    }

    fn store(&self) -> Option<Store> {
        self.inner.store()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        lock(&self.spill).interfaces = self.inner.interfaces().to_vec();
    }
}
