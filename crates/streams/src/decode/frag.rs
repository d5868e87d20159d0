//! Datagrams put together from fragments.
//!
//! A datagram is held until every byte is there. A fragment that came already is passed over (a network may
//! double it); one that overlaps others in any other way condemns its datagram (RFC 5722 demands it of IPv6,
//! and Linux does the same for IPv4), since which bytes the receiver takes can't be known. Fragments of one
//! datagram seen in two places are two datagrams, so that copies do not mix.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::span::Span;
use super::{DecodeCounters, DecodeLimits, Place};
use crate::Addr;
use crate::clock::Clock;

/// Longest payload of a datagram that fragments can name (RFC 791: 13 bits of offset in units of 8, and a length of
/// 16 bits).
const LONGEST: u32 = 65_535;

/// What a held datagram costs beside its bytes.
const OVERHEAD: usize = size_of::<Datagram>();

/// What the fragments of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) src: Addr,
    pub(super) dst: Addr,
    pub(super) id: u32,
    pub(super) protocol: u8,
    pub(super) place: Place,
}

/// Where a fragment stands in its datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment {
    pub(super) offset: u32,
    pub(super) more: bool,
}

/// What became of a fragment.
pub(super) enum Added {
    Held,
    Refused,
    Whole(Box<Whole>),
}

/// A datagram that is whole.
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    /// Positions of the frames that its fragments came in, but for the last.
    pub(super) frames: Vec<u64>,
    pub(super) src: Addr,
    pub(super) dst: Addr,
    pub(super) protocol: u8,
    pub(super) vlan: u16,
    pub(super) tunnels: u8,
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    /// When it must be whole, by the clock.
    deadline: u64,
    bytes: Vec<u8>,
    /// Ranges that are there, sorted, apart.
    parts: Vec<(u32, u32)>,
    /// Its length, once the last fragment came.
    length: Option<u32>,
    /// Positions of the frames that they came in.
    frames: Vec<u64>,
    /// Condemned: what still comes of it is refused.
    refused: bool,
}

/// How a fragment fits to those that are there.
enum Fit {
    At(usize),
    Doubled,
    Overlaps,
}

impl Datagram {
    fn fit(&self, start: u32, end: u32, data: &[u8]) -> Fit {
        let at = self.parts.partition_point(|part| part.1 <= start);
        let Some(part) = self.parts.get(at) else {
            return Fit::At(at);
        };
        if part.0 >= end {
            return Fit::At(at);
        }
        let same = part.0 <= start
            && end <= part.1
            && self.bytes.get(start as usize..end as usize) == Some(data);
        if same { Fit::Doubled } else { Fit::Overlaps }
    }

    /// Puts bytes in place.
    fn put(&mut self, at: usize, start: u32, data: &[u8]) {
        let end = start + data.len() as u32;
        if self.bytes.len() < end as usize {
            self.bytes.resize(end as usize, 0);
        }
        if let Some(to) = self.bytes.get_mut(start as usize..end as usize) {
            to.copy_from_slice(data);
        }
        // joined with its neighbours, so that the list stays short
        let joins_before = at > 0 && self.parts.get(at - 1).is_some_and(|part| part.1 == start);
        let joins_after = self.parts.get(at).is_some_and(|part| part.0 == end);
        match (joins_before, joins_after) {
            (true, true) => {
                let (_, after_end) = self.parts.remove(at);
                self.parts[at - 1].1 = after_end;
            }
            (true, false) => self.parts[at - 1].1 = end,
            (false, true) => self.parts[at].0 = start,
            (false, false) => self.parts.insert(at, (start, end)),
        }
    }

    fn whole(&self) -> bool {
        self.length
            .is_some_and(|length| self.parts == [(0, length)])
    }

    fn cost(&self) -> usize {
        OVERHEAD
            + self.bytes.len()
            + self.parts.len() * size_of::<(u32, u32)>()
            + self.frames.len() * size_of::<u64>()
    }
}

/// Datagrams that wait for fragments.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    clock: Clock,
    hasher: foldhash::fast::RandomState,
    table: HashTable<u32>,
    slots: Vec<Option<Datagram>>,
    free: Vec<u32>,
    /// Slots by age with the deadline each had when it was filled; those that differ by now are stale.
    queue: VecDeque<(u64, u32)>,
    held: usize,
    /// The slot that the last fragment went to.
    last: Option<u32>,
}

impl Fragments {
    /// Takes a fragment.
    pub(super) fn add(
        &mut self,
        key: Key,
        fragment: Fragment,
        span: &Span<'_>,
        limits: &DecodeLimits,
        counters: &mut DecodeCounters,
    ) -> Added {
        let slot = match self.find(&key) {
            Some(slot) => slot,
            None => self.open(key, limits, counters),
        };
        let Some(datagram) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return Added::Refused;
        };
        self.last = Some(slot);
        let before = datagram.cost();
        let outcome = take(datagram, fragment, span, counters);
        self.held = self.held + datagram.cost() - before;
        if datagram.whole()
            && let Some(datagram) = self.remove(slot)
        {
            counters.datagrams_joined += 1;
            return Added::Whole(Box::new(Whole {
                bytes: datagram.bytes,
                frames: datagram.frames,
                src: key.src,
                dst: key.dst,
                protocol: key.protocol,
                vlan: 0,
                tunnels: 0,
            }));
        }
        while self.held > limits.fragment_bytes && self.give_up_oldest(counters) {}
        outcome
    }

    /// The frame of the last fragment stands at this position of the byte store.
    pub(super) fn held_at(&mut self, pos: u64) {
        let slot = self
            .last
            .take()
            .and_then(|slot| self.slots.get_mut(slot as usize));
        if let Some(Some(datagram)) = slot
            && !datagram.refused
        {
            datagram.frames.push(pos);
            self.held += size_of::<u64>();
        }
    }

    /// Gives up what waited too long.
    pub(super) fn tick(&mut self, ts: i64, limits: &DecodeLimits, counters: &mut DecodeCounters) {
        self.clock.advance(ts);
        let now = self.clock.now();
        while let Some((deadline, _)) = self.queue.front() {
            if *deadline > now {
                break;
            }
            self.give_up_oldest(counters);
        }
        debug_assert!(self.slots.len() <= limits.fragments.max(1));
    }

    pub(super) fn bytes(&self) -> usize {
        self.held
    }

    fn find(&self, key: &Key) -> Option<u32> {
        let slots = &self.slots;
        let same = |slot: &u32| matches!(slots.get(*slot as usize), Some(Some(d)) if d.key == *key);
        self.table.find(self.hasher.hash_one(key), same).copied()
    }

    fn open(&mut self, key: Key, limits: &DecodeLimits, counters: &mut DecodeCounters) -> u32 {
        while self.table.len() >= limits.fragments.max(1) && self.give_up_oldest(counters) {}
        let deadline = self.clock.now().saturating_add(limits.fragment_timeout);
        let datagram = Datagram {
            key,
            deadline,
            bytes: Vec::new(),
            parts: Vec::new(),
            length: None,
            frames: Vec::new(),
            refused: false,
        };
        self.held += datagram.cost();
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        self.slots[slot as usize] = Some(datagram);
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |slot: &u32| match slots.get(*slot as usize) {
            Some(Some(datagram)) => hasher.hash_one(datagram.key),
            _ => 0,
        };
        self.table
            .insert_unique(self.hasher.hash_one(key), slot, rehash);
        self.queue.push_back((deadline, slot));
        slot
    }

    fn remove(&mut self, slot: u32) -> Option<Datagram> {
        let datagram = self.slots.get_mut(slot as usize)?.take()?;
        if let Ok(entry) = self
            .table
            .find_entry(self.hasher.hash_one(datagram.key), |other| *other == slot)
        {
            entry.remove();
        }
        self.free.push(slot);
        self.held -= datagram.cost();
        Some(datagram)
    }

    /// Drops the oldest datagram; `false` where there is none.
    fn give_up_oldest(&mut self, counters: &mut DecodeCounters) -> bool {
        while let Some((deadline, slot)) = self.queue.pop_front() {
            let live =
                matches!(self.slots.get(slot as usize), Some(Some(d)) if d.deadline == deadline);
            if !live {
                continue;
            }
            if let Some(datagram) = self.remove(slot)
                && !datagram.refused
            {
                counters.datagrams_incomplete += 1;
            }
            return true;
        }
        false
    }
}

/// Puts a fragment into its datagram.
fn take(
    datagram: &mut Datagram,
    fragment: Fragment,
    span: &Span<'_>,
    counters: &mut DecodeCounters,
) -> Added {
    let len = span.rest.len() as u32;
    let (start, end) = (fragment.offset, fragment.offset.saturating_add(len));
    // cut by the snap length; too long; nothing; a piece in the middle that does not end on eight bytes;
    // a second idea of where the datagram ends
    let wrong = datagram.refused
        || span.wire > len
        || end > LONGEST
        || len == 0
        || (fragment.more && !len.is_multiple_of(8))
        || match datagram.length {
            Some(length) => end > length || (!fragment.more && end != length),
            None => !fragment.more && datagram.parts.last().is_some_and(|part| part.1 > end),
        };
    let fit = if wrong {
        Fit::Overlaps
    } else {
        datagram.fit(start, end, span.rest)
    };
    match fit {
        Fit::At(at) => {
            datagram.put(at, start, span.rest);
            if !fragment.more {
                datagram.length = Some(end);
            }
            Added::Held
        }
        Fit::Doubled => {
            counters.fragments_doubled += 1;
            Added::Held
        }
        Fit::Overlaps => {
            counters.fragments_refused += 1;
            datagram.refused = true;
            datagram.bytes = Vec::new();
            datagram.parts = Vec::new();
            datagram.frames = Vec::new();
            Added::Refused
        }
    }
}
