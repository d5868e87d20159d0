//! Captures that are read from front to back, side by side where they overlap in time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    mem,
};

use super::{
    expand::{ArchiveMember, Input, Place},
    streamed::{BUFFER, Streamed},
};
use crate::{
    Error, Event, Frame, Interface, Result, Source, SourceStats, Store,
    formats::{Found, Interfaces, Taken},
};

/// Captures that are open at a time, at most.
const MOST: usize = 256;
/// Their buffers are smaller where there are several.
const SHARED_BUFFER: usize = BUFFER / 4;

/// Captures that are read one after the other, and the time of their first frame; `None` where it is not known before they
/// are read.
struct Waiting {
    first: Option<i64>,
    inputs: VecDeque<Input>,
}

/// Captures that are being read, and the frame that they stand at.
struct Lane {
    source: Streamed,
    found: Option<Found>,
    /// The numbers of its interfaces here.
    interfaces: Vec<u32>,
    taken: Taken,
}

impl Lane {
    /// Goes on to its next frame, and gives its time; `None` at its end.
    fn find(&mut self, all: &mut Interfaces) -> Result<Option<i64>> {
        self.found = self.source.find()?;
        let known = self.interfaces.len();
        for interface in self.source.interfaces().iter().skip(known) {
            // above the limit they share the last number
            let number = all.number(interface.clone(), &mut self.taken);
            let last = all.list().len().saturating_sub(1);
            self.interfaces.push(number.unwrap_or(last as u32));
        }
        Ok(self.found.map(|found| found.ts))
    }
}

/// Captures in the order of time.
pub(crate) struct Merged {
    waiting: VecDeque<Waiting>,
    lanes: Vec<Option<Lane>>,
    /// How many are there.
    open: usize,
    /// When the frames come that the others stand at.
    turns: BinaryHeap<Reverse<(i64, usize)>>,
    /// The one that is yet to go on.
    last: Option<usize>,
    told: bool,
    interfaces: Interfaces,
    /// Of what is read to its end.
    stats: SourceStats,
}

impl Merged {
    /// Captures in the order of their first frames; those of which none is known come first.
    pub(crate) fn new(inputs: Vec<(Option<i64>, Input)>) -> Self {
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        for (first, input) in inputs {
            match waiting.back_mut() {
                // an archive is unpacked once for all of its members
                Some(before) if follows(before.inputs.back(), &input) => {
                    before.inputs.push_back(input);
                }
                _ => waiting.push_back(Waiting {
                    first,
                    inputs: [input].into(),
                }),
            }
        }
        Self {
            waiting,
            lanes: Vec::new(),
            open: 0,
            turns: BinaryHeap::new(),
            last: None,
            told: false,
            interfaces: Interfaces::default(),
            stats: SourceStats::default(),
        }
    }

    /// Begins what is to be begun before the next frame.
    fn begin(&mut self) -> Result<()> {
        while self.last.is_none()
            && let Some(next) = self.waiting.front()
        {
            let turn = self.turns.peek().map(|Reverse((turn, _))| *turn);
            let is_due = turn.is_none_or(|turn| next.first.is_none_or(|first| first <= turn));
            if !is_due {
                break;
            }
            if self.open >= MOST {
                let first = next.inputs.front().map(Input::name).unwrap_or_default();
                if !mem::replace(&mut self.told, true) {
                    return Err(Error::TooManyAtOnce {
                        file: first.into(),
                        limit: MOST,
                    });
                }
                break;
            }
            if let Some(next) = self.waiting.pop_front() {
                self.lanes.push(Some(Lane {
                    source: Streamed::new(next.inputs, SHARED_BUFFER),
                    found: None,
                    interfaces: Vec::new(),
                    taken: Taken::new(),
                }));
                self.open += 1;
                self.last = Some(self.lanes.len() - 1);
                self.go_on()?;
            }
        }
        Ok(())
    }

    /// Has what gave the last frame stand at its next. After a fault it does so at the next call.
    fn go_on(&mut self) -> Result<()> {
        let Some(at) = self.last else {
            return Ok(());
        };
        let Some(lane) = self.lanes.get_mut(at) else {
            return Ok(());
        };
        let turn = match lane {
            Some(lane) => lane.find(&mut self.interfaces)?,
            None => None,
        };
        self.last = None;
        match turn {
            Some(turn) => self.turns.push(Reverse((turn, at))),
            None => {
                if let Some(mut ended) = lane.take() {
                    self.stats.add(&ended.source.stats());
                    self.open -= 1;
                }
            }
        }
        Ok(())
    }
}

/// Whether an input is behind another in the same packed archive.
fn follows(before: Option<&Input>, input: &Input) -> bool {
    let nth = |input: &Input| match input {
        Input::Member(ArchiveMember {
            archive,
            place: Place::Nth(nth),
            ..
        }) => Some((archive.clone(), *nth)),
        _ => None,
    };
    match (before.and_then(nth), nth(input)) {
        (Some((archive, _)), Some((other, _))) => archive == other,
        _ => false,
    }
}

impl Source for Merged {
    fn next(&mut self) -> Result<Event<'_>> {
        self.go_on()?;
        self.begin()?;
        let Some(Reverse((_, at))) = self.turns.pop() else {
            return Ok(Event::End);
        };
        self.last = Some(at);
        let Some(Some(lane)) = self.lanes.get_mut(at) else {
            return Ok(Event::End);
        };
        let Some(found) = lane.found.take() else {
            return Ok(Event::End);
        };
        Ok(match lane.source.deliver(&found) {
            Event::Frame(frame) => {
                let iface = lane.interfaces.get(frame.iface as usize);
                Event::Frame(Frame {
                    iface: iface.copied().unwrap_or(frame.iface),
                    ..frame
                })
            }
            other => other,
        })
    }

    fn interfaces(&self) -> &[Interface] {
        self.interfaces.list()
    }

    fn stats(&mut self) -> SourceStats {
        let mut stats = self.stats;
        for lane in self.lanes.iter_mut().flatten() {
            stats.add(&lane.source.stats());
        }
        stats
    }

    fn store(&self) -> Option<Store> {
        None
    }
}
