//! The packet objects of one process as one source, in the order of time.
//!
//! An object may begin before another ends: rules record side by side, and a stream that matches
//! late brings its early packets with it. So the first bytes of every object are read for the times
//! that it covers, and an object is unpacked when the merge comes to its first moment; objects that
//! overlap are merged frame by frame. Several rules keep the same frame; it is given once.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use gillnet_capture::{Error, Event, Frame, Interface, NO_POS, Source, SourceStats, Store};

use super::{
    Object, Progress, RecordedSource, Shared,
    object::{Loaded, RingPool},
};
use crate::packets::{HEAD_BYTES, Missing, StreamId, Totals, read_about};

/// Objects that are fetched and unpacked ahead of their turn, side by side.
const AHEAD: usize = 4;
/// Requests for the first bytes of objects, side by side.
const LOOKERS: usize = 16;

/// An object and the first moment it has packets of.
struct Planned {
    first: i64,
    totals: Option<Totals>,
    object: Object,
}

/// An object on its way.
struct Coming {
    first: i64,
    loading: JoinHandle<Loaded>,
}

/// The frame given last.
#[derive(Clone, Copy)]
struct Given {
    object: usize,
    at: u64,
    iface: u32,
}

/// A frame at the present moment that other objects may hold too.
struct Recent {
    given: Given,
    /// Objects that had it, its own first.
    had_by: Vec<usize>,
}

/// See the module's description.
pub(super) struct Merged {
    shared: Arc<Shared>,
    pool: RingPool,
    cancelled: Arc<AtomicBool>,
    /// Objects not looked at yet; `None` once they are planned.
    unplanned: Option<Vec<Object>>,
    planned: VecDeque<Planned>,
    coming: VecDeque<Coming>,
    /// Objects being merged, by number, with the source's numbers of their interfaces.
    active: BTreeMap<usize, (Loaded, Vec<u32>)>,
    /// Next turn of each active object that has one.
    turns: BinaryHeap<Reverse<(i64, usize)>>,
    objects: usize,
    now: i64,
    recent: Vec<Recent>,
    last: Option<Given>,
    /// Whether `last` is yet to be given.
    is_held: bool,
    interfaces: Vec<Interface>,
    faults: VecDeque<Error>,
    stats: SourceStats,
}

impl Drop for Merged {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Merged {
    pub(super) fn new(shared: Arc<Shared>, objects: Vec<Object>) -> Self {
        Self {
            pool: RingPool::new(&shared.cache),
            shared,
            cancelled: Arc::default(),
            unplanned: Some(objects),
            planned: VecDeque::new(),
            coming: VecDeque::new(),
            active: BTreeMap::new(),
            turns: BinaryHeap::new(),
            objects: 0,
            now: i64::MIN,
            recent: Vec::new(),
            last: None,
            is_held: false,
            interfaces: Vec::new(),
            faults: VecDeque::new(),
            stats: SourceStats::default(),
        }
    }

    /// Orders the objects by the first moment that they have packets of, and leaves out those that
    /// lie outside of the range.
    fn plan(&mut self, objects: Vec<Object>) {
        let mut planned = Vec::with_capacity(objects.len());
        for (object, totals) in look(&self.shared, objects) {
            // what says nothing of itself may begin at any time
            let (first, last) =
                totals.map_or((i64::MIN, i64::MAX), |totals| (totals.first, totals.last));
            if self.shared.range.overlaps(first, last) {
                planned.push(Planned {
                    first,
                    totals,
                    object,
                });
            } else {
                Progress::add(&self.shared.progress.objects_done, 1);
                Progress::add(&self.shared.progress.bytes_done, object.size);
            }
        }
        planned.sort_by(|a, b| {
            (a.first, a.object.name.seq, &a.object.key).cmp(&(
                b.first,
                b.object.name.seq,
                &b.object.key,
            ))
        });
        self.planned = planned.into();
    }

    /// Starts to fetch objects until enough are on their way.
    fn fetch_ahead(&mut self) {
        while self.coming.len() < AHEAD {
            let Some(Planned {
                first,
                totals,
                object,
            }) = self.planned.pop_front()
            else {
                break;
            };
            let (shared, pool, cancelled) = (
                Arc::clone(&self.shared),
                self.pool.clone(),
                Arc::clone(&self.cancelled),
            );
            let loading =
                thread::spawn(move || Loaded::load(&shared, &object, totals, &pool, &cancelled));
            self.coming.push_back(Coming { first, loading });
        }
    }

    /// Makes every object active whose first moment is not after the next turn.
    fn activate(&mut self) {
        loop {
            self.fetch_ahead();
            let next = self.turns.peek().map(|Reverse((turn, _))| *turn);
            let Some(coming) = self
                .coming
                .pop_front_if(|coming| next.is_none_or(|next| coming.first <= next))
            else {
                return;
            };
            let number = self.objects;
            self.objects += 1;
            // a panic there is a fault of ours; the object is lost and the others are read
            let Ok(mut loaded) = coming.loading.join() else {
                Progress::add(&self.shared.progress.damaged, 1);
                self.stats.files_damaged += 1;
                continue;
            };
            let faults = loaded.take_faults();
            self.stats.files += 1;
            self.stats.files_damaged += u64::from(!faults.is_empty());
            self.faults.extend(faults);
            let numbers = loaded
                .interfaces()
                .iter()
                .map(|interface| number_of(&mut self.interfaces, interface))
                .collect();
            if let Some(turn) = loaded.turn() {
                self.turns.push(Reverse((turn, number)));
                self.active.insert(number, (loaded, numbers));
            }
        }
    }

    /// Moves to the next frame that was not given yet; `None` at the end.
    fn advance(&mut self) -> Option<Given> {
        loop {
            self.activate();
            let Reverse((turn, number)) = self.turns.pop()?;
            if turn != self.now {
                self.now = turn;
                self.recent.clear();
                // those without a turn are done with, now that nothing is compared with them
                self.active
                    .retain(|other, (loaded, _)| *other == number || loaded.turn().is_some());
            }
            let (loaded, numbers) = self.active.get_mut(&number)?;
            let at = loaded.advance();
            if let Some(turn) = loaded.turn() {
                self.turns.push(Reverse((turn, number)));
            }
            let Some((at, frame)) = at.and_then(|at| Some((at, loaded.frame(at)?))) else {
                continue;
            };
            let iface = numbers
                .get(frame.iface as usize)
                .copied()
                .unwrap_or(frame.iface);
            let given = Given {
                object: number,
                at,
                iface,
            };
            if self.is_first(given) {
                return Some(given);
            }
            Progress::add(&self.shared.progress.duplicates, 1);
        }
    }

    /// Whether no other object gave this frame before. An object that holds a frame twice means it.
    fn is_first(&mut self, given: Given) -> bool {
        // all objects that have frames of this moment are active
        if self.active.len() == 1 {
            return true;
        }
        let mut recent = std::mem::take(&mut self.recent);
        let same = recent.iter_mut().find(|other| {
            !other.had_by.contains(&given.object) && self.is_same(other.given, given)
        });
        let is_first = same.is_none();
        match same {
            Some(other) => other.had_by.push(given.object),
            None => recent.push(Recent {
                given,
                had_by: vec![given.object],
            }),
        }
        self.recent = recent;
        is_first
    }

    /// Whether two frames are the same packet: stream, time, interface and bytes.
    fn is_same(&self, a: Given, b: Given) -> bool {
        let found = |given: Given| {
            let loaded = &self.active.get(&given.object)?.0;
            let frame = loaded.frame(given.at)?;
            Some((frame, loaded.stream(&frame).map(|start| start.id)))
        };
        match (found(a), found(b)) {
            (Some((one, its_stream)), Some((other, stream))) => {
                a.iface == b.iface
                    && one.ts == other.ts
                    && its_stream == stream
                    && one.data == other.data
            }
            _ => false,
        }
    }

    fn frame(&self, given: Given) -> Option<Frame<'_>> {
        let frame = self.active.get(&given.object)?.0.frame(given.at)?;
        Some(Frame {
            ts: frame.ts,
            iface: given.iface,
            link: frame.link,
            direction: frame.direction,
            wire_len: frame.wire_len,
            data: frame.data,
            pos: NO_POS,
            comment: None,
        })
    }
}

/// The number of an interface in the source: interfaces that are described alike are one.
fn number_of(interfaces: &mut Vec<Interface>, interface: &Interface) -> u32 {
    let known = interfaces.iter().position(|known| known == interface);
    known.unwrap_or_else(|| {
        interfaces.push(interface.clone());
        interfaces.len() - 1
    }) as u32
}

/// Reads the first bytes of each object for what it says of itself.
fn look(shared: &Shared, objects: Vec<Object>) -> Vec<(Object, Option<Totals>)> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..LOOKERS.min(objects.len()) {
            scope.spawn(|| {
                while let Some((at, object)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    objects.get(at).map(|object| (at, object))
                } {
                    let first = shared
                        .bucket
                        .get_range(&object.key, 0..HEAD_BYTES.min(object.size));
                    let totals = first.ok().and_then(|bytes| read_about(&bytes));
                    found
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(at, totals);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    objects
        .into_iter()
        .enumerate()
        .map(|(at, object)| (object, found.remove(&at).flatten()))
        .collect()
}

impl Source for Merged {
    fn next(&mut self) -> Result<Event<'_>, Error> {
        if let Some(objects) = self.unplanned.take() {
            self.plan(objects);
        }
        if !self.is_held {
            self.last = self.advance();
            if let Some(frame) = self.last.and_then(|given| self.frame(given)) {
                let bytes = frame.data.len() as u64;
                self.stats.frames += 1;
                self.stats.bytes += bytes;
            }
        }
        // what went wrong on the way to the frame is told before it
        self.is_held = !self.faults.is_empty();
        if let Some(fault) = self.faults.pop_front() {
            return Err(fault);
        }
        Ok(self
            .last
            .and_then(|given| self.frame(given))
            .map_or(Event::End, Event::Frame))
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn stats(&mut self) -> SourceStats {
        self.stats
    }

    fn store(&self) -> Option<Store> {
        None
    }
}

impl RecordedSource for Merged {
    fn stream(&self) -> Option<StreamId> {
        let given = self.last?;
        let loaded = &self.active.get(&given.object)?.0;
        Some(loaded.stream(&loaded.frame(given.at)?)?.id)
    }

    fn missing(&self) -> Option<Missing> {
        let given = self.last?;
        let loaded = &self.active.get(&given.object)?.0;
        loaded.stream(&loaded.frame(given.at)?)?.missing
    }
}
