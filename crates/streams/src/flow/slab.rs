//! Entries of the flow table, and the lists they stand in by what may happen to them next.

use super::{Flow, Kind};

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// How many lists there are.
const LISTS: usize = 5;

/// What a flow waits for. Each class has its list, but closing flows stand in that of half open ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Not in use.
    Free,
    /// TCP that has shown nothing but a handshake, or one packet.
    HalfOpen,
    /// TCP that has ended both ways, but for the last acknowledgement.
    Closing,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// TCP that ended by FIN, lingering.
    Fin,
    /// TCP that ended by RST, lingering.
    Reset,
}

impl Class {
    /// One class of each list.
    pub(super) const LISTS: [Class; LISTS] = [
        Class::Fin,
        Class::Reset,
        Class::HalfOpen,
        Class::Udp,
        Class::Tcp,
    ];

    /// Whether the flow has ended, and only lingers.
    pub(super) fn over(self) -> bool {
        matches!(self, Class::Fin | Class::Reset)
    }

    fn list(self) -> Option<usize> {
        match self {
            Class::Free => None,
            Class::HalfOpen | Class::Closing => Some(0),
            Class::Tcp => Some(1),
            Class::Udp => Some(2),
            Class::Fin => Some(3),
            Class::Reset => Some(4),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// The entries.
#[derive(Debug)]
pub(super) struct Slab {
    entries: Vec<Flow>,
    lists: [List; LISTS],
    free: u32,
    live: u32,
}

impl Slab {
    pub(super) fn new() -> Self {
        let empty = List {
            first: NONE,
            last: NONE,
        };
        Slab {
            entries: Vec::new(),
            lists: [empty; LISTS],
            free: NONE,
            live: 0,
        }
    }

    pub(super) fn live(&self) -> u32 {
        self.live
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> &Flow {
        &self.entries[index as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> &mut Flow {
        &mut self.entries[index as usize]
    }

    /// Adds an entry at the end of the list of `class`.
    pub(super) fn insert(&mut self, flow: Flow, class: Class, coarse: u32) -> u32 {
        self.live += 1;
        let index = if self.free == NONE {
            self.entries.push(flow);
            (self.entries.len() - 1) as u32
        } else {
            let index = self.free;
            self.free = self.get(index).next;
            *self.get_mut(index) = flow;
            index
        };
        self.link(index, class, coarse);
        index
    }

    /// Moves an entry to the end of the list of `class`.
    #[cold]
    pub(super) fn put(&mut self, index: u32, class: Class, coarse: u32) {
        self.unlink(index);
        self.link(index, class, coarse);
    }

    /// Frees an entry.
    pub(super) fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.live -= 1;
        let free = self.free;
        let flow = self.get_mut(index);
        flow.class = Class::Free;
        flow.kind = Kind::Udp(super::Udp::default());
        flow.next = free;
        self.free = index;
    }

    /// The first of the list of `class`: the one that was put there longest ago.
    #[inline]
    pub(super) fn front(&self, class: Class) -> Option<u32> {
        let list = self.lists.get(class.list()?)?;
        (list.first != NONE).then_some(list.first)
    }

    /// The older of the first ones of two lists.
    pub(super) fn oldest(&self, one: Class, other: Class) -> Option<u32> {
        match (self.front(one), self.front(other)) {
            (Some(a), Some(b)) => {
                let behind = self.get(b).put.wrapping_sub(self.get(a).put);
                Some(if behind < 1 << 31 { a } else { b })
            }
            (a, b) => a.or(b),
        }
    }

    fn link(&mut self, index: u32, class: Class, coarse: u32) {
        let Some(number) = class.list() else {
            return;
        };
        let last = self.lists[number].last;
        let flow = self.get_mut(index);
        flow.class = class;
        flow.put = coarse;
        flow.prev = last;
        flow.next = NONE;
        if last == NONE {
            self.lists[number].first = index;
        } else {
            self.get_mut(last).next = index;
        }
        self.lists[number].last = index;
    }

    fn unlink(&mut self, index: u32) {
        let flow = self.get(index);
        let (prev, next) = (flow.prev, flow.next);
        let Some(number) = flow.class.list() else {
            return;
        };
        if prev == NONE {
            self.lists[number].first = next;
        } else {
            self.get_mut(prev).next = next;
        }
        if next == NONE {
            self.lists[number].last = prev;
        } else {
            self.get_mut(next).prev = prev;
        }
    }
}
