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
use crate::packets::{HEAD_BYTES, Missing, StreamId, StreamStart, Totals, read_about};

/// Objects that are fetched and unpacked ahead of their turn, side by side. Of a folder of this
/// host fewer: there is no network to wait for.
const AHEAD: usize = 4;
const AHEAD_LOCAL: usize = 2;
/// Requests for the first bytes of objects, side by side.
pub(super) const LOOKERS: usize = 16;

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

/// A frame: its object's number and its place there.
#[derive(Clone, Copy)]
struct Given {
    object: usize,
    at: u64,
}

/// An object that is being merged.
struct Active {
    loaded: Loaded,
    /// The source's numbers of its interfaces.
    interfaces: Vec<u32>,
}

impl Active {
    /// A frame of it, and the beginning of its stream.
    fn frame(&self, at: u64) -> Option<(Frame<'_>, Option<StreamStart>)> {
        let stored = self.loaded.frame(at)?;
        let iface = self.interfaces.get(stored.iface as usize).copied();
        let frame = Frame {
            ts: stored.ts,
            iface: iface.unwrap_or(stored.iface),
            link: stored.link,
            direction: stored.direction,
            wire_len: stored.wire_len,
            data: stored.data,
            pos: NO_POS,
            comment: None,
        };
        Some((frame, self.loaded.stream(&stored)))
    }
}

/// A frame of an object that is being merged.
fn frame_of(active: &[Option<Active>], given: Given) -> Option<(Frame<'_>, Option<StreamStart>)> {
    active.get(given.object)?.as_ref()?.frame(given.at)
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
    /// How many objects may be on their way.
    ahead: usize,
    coming: VecDeque<Coming>,
    /// Objects being merged, by number; `None` for those done with.
    active: Vec<Option<Active>>,
    /// How many are not done with.
    alive: usize,
    /// Those of them that have no more frames, and may be compared with at the present moment.
    ended: Vec<usize>,
    /// Next turn of each active object that has one.
    turns: BinaryHeap<Reverse<(i64, usize)>>,
    now: i64,
    recent: Vec<Recent>,
    last: Option<Given>,
    /// The beginning of the stream of the frame given last.
    stream: Option<StreamStart>,
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
            ahead: match shared.bucket.local_path("") {
                Some(_) => AHEAD_LOCAL,
                None => AHEAD,
            },
            shared,
            cancelled: Arc::default(),
            unplanned: Some(objects),
            planned: VecDeque::new(),
            coming: VecDeque::new(),
            active: Vec::new(),
            alive: 0,
            ended: Vec::new(),
            turns: BinaryHeap::new(),
            now: i64::MIN,
            recent: Vec::new(),
            last: None,
            stream: None,
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
            let of_object = totals.map(|totals| (totals.first, totals.last));
            let selected = object.only.as_ref().and_then(|only| only.times);
            let (first, last) = selected.or(of_object).unwrap_or((i64::MIN, i64::MAX));
            if self.shared.range.overlaps(first, last) {
                planned.push(Planned {
                    first,
                    totals,
                    object,
                });
            } else {
                self.shared.progress.passed_over(&object);
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
        while self.coming.len() < self.ahead {
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
            let interfaces = loaded
                .interfaces()
                .iter()
                .map(|interface| number_of(&mut self.interfaces, interface))
                .collect();
            if let Some(turn) = loaded.turn() {
                self.turns.push(Reverse((turn, self.active.len())));
                self.active.push(Some(Active { loaded, interfaces }));
                self.alive += 1;
            }
        }
    }

    /// Moves to the next frame that was not given yet; `None` at the end.
    fn advance(&mut self) -> Option<Given> {
        loop {
            self.activate();
            let Reverse((turn, object)) = self.turns.pop()?;
            if turn != self.now {
                self.now = turn;
                self.recent.clear();
                for ended in self.ended.drain(..) {
                    if let Some(done) = self.active.get_mut(ended) {
                        *done = None;
                        self.alive -= 1;
                    }
                }
            }
            let loaded = &mut self.active.get_mut(object)?.as_mut()?.loaded;
            let Some(at) = loaded.advance() else {
                continue;
            };
            match loaded.turn() {
                Some(turn) => self.turns.push(Reverse((turn, object))),
                None => self.ended.push(object),
            }
            let given = Given { object, at };
            if self.is_first(given) {
                return Some(given);
            }
            Progress::add(&self.shared.progress.duplicates, 1);
        }
    }

    /// Whether no other object gave this frame before. An object that holds a frame twice means it.
    fn is_first(&mut self, given: Given) -> bool {
        // all objects that have frames of this moment are active
        if self.alive == 1 {
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
        match (frame_of(&self.active, a), frame_of(&self.active, b)) {
            (Some((one, its_stream)), Some((other, stream))) => {
                one.iface == other.iface
                    && one.ts == other.ts
                    && its_stream.map(|start| start.id) == stream.map(|start| start.id)
                    && one.data == other.data
            }
            _ => false,
        }
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
                    // what was selected of it is known with its times
                    if object
                        .only
                        .as_ref()
                        .is_some_and(|only| only.times.is_some())
                    {
                        continue;
                    }
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
        }
        // what went wrong on the way to the frame is told before it
        self.is_held = !self.faults.is_empty();
        if let Some(fault) = self.faults.pop_front() {
            return Err(fault);
        }
        match self.last.and_then(|given| frame_of(&self.active, given)) {
            Some((frame, stream)) => {
                self.stream = stream;
                self.stats.frames += 1;
                self.stats.bytes += frame.data.len() as u64;
                Ok(Event::Frame(frame))
            }
            None => {
                self.stream = None;
                Ok(Event::End)
            }
        }
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
        self.stream.map(|start| start.id)
    }

    fn missing(&self) -> Option<Missing> {
        self.stream?.missing
    }

    fn turn(&self) -> Option<i64> {
        Some(self.now)
    }
}
