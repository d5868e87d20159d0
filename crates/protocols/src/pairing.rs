//! Messages that wait for their counterpart: two bounded containers, so that no protocol forgets a limit or a timeout.
//!
//! Both work in constant time, keep the first waiting message inline (most connections never have a second) and take
//! their clock from the packets. What the limit puts out is counted and handed back, so that it still becomes an entry.

use crate::{EntrySink, Limits};
use gillnet_entry::drops::Reason;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;

/// Messages whose answers come in their own order (HTTP/1, Redis).
#[derive(Debug)]
pub struct InOrder<T> {
    /// Messages that left without an answer, before `first`: their answers are still to come.
    gone: u64,
    first: Option<(i64, T)>,
    rest: VecDeque<(i64, T)>,
}

/// What an answer finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Popped<T> {
    /// The message it answers and the time since which that waited, ns.
    Item(i64, T),
    /// The message it answers had waited too long, or was put out at the limit, and has been told of already.
    Gone,
    /// Nothing waits.
    Empty,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        InOrder {
            gone: 0,
            first: None,
            rest: VecDeque::new(),
        }
    }
}

impl<T> InOrder<T> {
    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Appends a message. Where more than [`Limits::pending`] would wait, the oldest is put out, counted and returned
    /// with the time since which it waited.
    pub fn push(
        &mut self,
        since: i64,
        item: T,
        limits: &Limits,
        out: &mut dyn EntrySink,
    ) -> Option<(i64, T)> {
        if self.first.is_none() {
            self.first = Some((since, item));
            return None;
        }
        self.rest.push_back((since, item));
        if self.len() <= limits.pending.max(1) {
            return None;
        }
        out.count(Reason::PendingLimit, 1);
        self.give_up()
    }

    /// The oldest message, which the next answer belongs to, unless answers of messages that are gone come before it.
    #[inline]
    pub fn front(&self) -> Option<&T> {
        self.oldest()
            .filter(|_| self.gone == 0)
            .map(|(_, item)| item)
    }

    /// The oldest message and the time since which it waits, whatever answers come before its own.
    #[inline]
    pub fn oldest(&self) -> Option<(i64, &T)> {
        self.first.as_ref().map(|(since, item)| (*since, item))
    }

    /// How many answers are to come: of those that wait and of those that left without one.
    #[inline]
    pub fn due(&self) -> usize {
        usize::try_from(self.gone)
            .unwrap_or(usize::MAX)
            .saturating_add(self.len())
    }

    /// Those that wait and since when, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &(i64, T)> {
        self.first.iter().chain(&self.rest)
    }

    /// The message appended last.
    #[inline]
    pub fn back(&mut self) -> Option<&mut T> {
        let last = if self.rest.is_empty() {
            self.first.as_mut()
        } else {
            self.rest.back_mut()
        };
        last.map(|(_, item)| item)
    }

    /// An answer takes the message it belongs to.
    #[inline]
    pub fn pop(&mut self) -> Popped<T> {
        if self.gone > 0 {
            self.gone -= 1;
            return Popped::Gone;
        }
        match self.take() {
            Some((since, item)) => Popped::Item(since, item),
            None => Popped::Empty,
        }
    }

    /// Takes the oldest message out if it has waited longer than `wait` ns at `now`; its answer may still come and is
    /// then told apart from others'.
    pub fn expire(&mut self, now: i64, wait: i64) -> Option<(i64, T)> {
        match &self.first {
            Some((since, _)) if now.saturating_sub(*since) > wait => self.give_up(),
            _ => None,
        }
    }

    /// Takes the oldest message out, whatever answers are due; `None` when nothing is left. Answers of those taken out
    /// this way are no longer expected: the pairing starts anew.
    pub fn drain(&mut self) -> Option<(i64, T)> {
        self.gone = 0;
        self.take()
    }

    fn give_up(&mut self) -> Option<(i64, T)> {
        self.gone += 1;
        self.take()
    }

    #[inline]
    fn take(&mut self) -> Option<(i64, T)> {
        if self.rest.is_empty() {
            return self.first.take();
        }
        std::mem::replace(&mut self.first, self.rest.pop_front())
    }

    /// Heap bytes, about.
    pub fn held(&self) -> usize {
        self.rest.capacity() * size_of::<(i64, T)>()
    }
}

/// Messages whose answers name them (DNS, Kafka, HTTP/2).
#[derive(Debug)]
pub struct ById<K, T> {
    first: Option<(K, i64, T)>,
    /// All others; boxed, as most streams never have any.
    rest: Option<Box<Rest<K, T>>>,
}

#[derive(Debug)]
struct Rest<K, T> {
    /// Each message with its number in `order`.
    items: HashMap<K, (u64, i64, T), foldhash::fast::RandomState>,
    /// Keys by age; one whose number differs from the map's has been answered already.
    order: VecDeque<(u64, K)>,
    next: u64,
}

impl<K, T> Default for ById<K, T> {
    fn default() -> Self {
        ById {
            first: None,
            rest: None,
        }
    }
}

impl<K: Hash + Eq + Copy, T> ById<K, T> {
    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |r| r.items.len())
    }

    /// The message that waits under an id.
    pub fn get(&mut self, id: K) -> Option<&mut T> {
        match &mut self.first {
            Some((key, _, item)) if *key == id => Some(item),
            _ => self
                .rest
                .as_mut()?
                .items
                .get_mut(&id)
                .map(|(_, _, item)| item),
        }
    }

    /// Adds a message under an id that does not wait yet (the one that does is returned first, so that an id used anew
    /// loses nothing). Where more than [`Limits::pending`] would wait, the oldest is put out, counted and returned with
    /// the time since which it waited.
    pub fn insert(
        &mut self,
        id: K,
        since: i64,
        item: T,
        limits: &Limits,
        out: &mut dyn EntrySink,
    ) -> Option<(i64, T)> {
        let mut before = None;
        if self.first.as_ref().is_some_and(|(key, _, _)| *key == id) {
            before = self.first.take().map(|(_, since, item)| (since, item));
        }
        if self.is_empty() {
            self.first = Some((id, since, item));
            return before;
        }
        let rest = self.rest.get_or_insert_with(|| {
            Box::new(Rest {
                items: HashMap::default(),
                order: VecDeque::new(),
                next: 0,
            })
        });
        if let Some((_, since, item)) = rest.items.insert(id, (rest.next, since, item)) {
            before = Some((since, item));
        }
        rest.order.push_back((rest.next, id));
        rest.next += 1;
        rest.tidy();
        if before.is_some() || self.len() <= limits.pending.max(1) {
            return before;
        }
        out.count(Reason::PendingLimit, 1);
        self.drain()
    }

    /// An answer takes the message it belongs to, with the time since which that waited.
    pub fn remove(&mut self, id: K) -> Option<(i64, T)> {
        if self.first.as_ref().is_some_and(|(key, _, _)| *key == id) {
            return self.first.take().map(|(_, since, item)| (since, item));
        }
        let rest = self.rest.as_mut()?;
        let (_, since, item) = rest.items.remove(&id)?;
        Some((since, item))
    }

    /// Takes the oldest message out if it has waited longer than `wait` ns at `now`. Room that nothing waits in is given
    /// back.
    pub fn expire(&mut self, now: i64, wait: i64) -> Option<(i64, T)> {
        if self.rest.as_ref().is_some_and(|rest| rest.items.is_empty()) {
            self.rest = None;
        }
        let since = match &self.first {
            Some((_, since, _)) => *since,
            None => self.rest.as_mut()?.oldest()?,
        };
        if now.saturating_sub(since) > wait {
            self.drain()
        } else {
            None
        }
    }

    /// Takes the oldest message out; `None` when nothing is left.
    pub fn drain(&mut self) -> Option<(i64, T)> {
        if let Some((_, since, item)) = self.first.take() {
            return Some((since, item));
        }
        let rest = self.rest.as_mut()?;
        if rest.oldest().is_none() {
            self.rest = None;
            return None;
        }
        let (_, id) = rest.order.pop_front()?;
        self.remove(id)
    }

    /// Heap bytes, about.
    pub fn held(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| {
            size_of::<Rest<K, T>>()
                + rest.items.capacity() * (size_of::<(K, u64, i64, T)>() + 1)
                + rest.order.capacity() * size_of::<(u64, K)>()
        })
    }
}

impl<K: Hash + Eq + Copy, T> Rest<K, T> {
    /// Brings a message that still waits to the front of `order`, and says since when it does.
    fn oldest(&mut self) -> Option<i64> {
        loop {
            let (number, id) = self.order.front()?;
            match self.items.get(id) {
                Some((n, since, _)) if n == number => return Some(*since),
                _ => self.order.pop_front(),
            };
        }
    }

    /// Keeps answered ones from piling up in `order` behind one that waits long.
    fn tidy(&mut self) {
        if self.order.len() > 2 * self.items.len() + 16 {
            let items = &self.items;
            self.order
                .retain(|(number, id)| items.get(id).is_some_and(|(n, _, _)| n == number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Emit;

    #[derive(Default)]
    struct Counted(u64);

    impl EntrySink for Counted {
        fn entry(&mut self, _: &Emit<'_>) {}
        fn count(&mut self, reason: Reason, n: u64) {
            assert_eq!(reason, Reason::PendingLimit);
            self.0 += n;
        }
    }

    fn limits(pending: usize) -> Limits {
        Limits {
            pending,
            ..Limits::default()
        }
    }

    #[test]
    fn answers_come_in_order() {
        let (mut waiting, mut out, limits) = (InOrder::default(), Counted::default(), limits(10));
        for i in 0..5 {
            assert_eq!(waiting.push(i, i * 10, &limits, &mut out), None);
            assert_eq!(waiting.back(), Some(&mut (i * 10)));
        }
        assert_eq!((waiting.len(), waiting.front()), (5, Some(&0)));
        assert_eq!(waiting.iter().map(|(_, item)| item).sum::<i64>(), 100);
        for i in 0..5 {
            assert_eq!(waiting.pop(), Popped::Item(i, i * 10));
        }
        assert_eq!((waiting.pop(), waiting.is_empty()), (Popped::Empty, true));
    }

    #[test]
    fn what_left_without_an_answer_still_has_its_turn() {
        let (mut waiting, mut out, limits) = (InOrder::default(), Counted::default(), limits(2));
        assert_eq!(waiting.push(1, 'a', &limits, &mut out), None);
        assert_eq!(waiting.push(2, 'b', &limits, &mut out), None);
        assert_eq!(waiting.push(3, 'c', &limits, &mut out), Some((1, 'a')));
        assert_eq!(out.0, 1);
        assert_eq!(waiting.expire(12, 10), None);
        assert_eq!(waiting.expire(13, 10), Some((2, 'b')));
        assert_eq!(
            (waiting.front(), waiting.oldest(), waiting.due()),
            (None, Some((3, &'c')), 3)
        );
        assert_eq!([waiting.pop(), waiting.pop()], [Popped::Gone, Popped::Gone]);
        assert_eq!(waiting.pop(), Popped::Item(3, 'c'));
    }

    #[test]
    fn ids_are_found_in_any_order() {
        let (mut waiting, mut out, limits) = (ById::default(), Counted::default(), limits(100));
        for id in 0..50u16 {
            assert_eq!(
                waiting.insert(id, i64::from(id), id * 2, &limits, &mut out),
                None
            );
        }
        for id in (0..50u16).rev() {
            assert_eq!(waiting.get(id), Some(&mut (id * 2)));
            assert_eq!(waiting.remove(id), Some((i64::from(id), id * 2)));
        }
        assert_eq!((waiting.remove(3), waiting.is_empty()), (None, true));
        assert!(waiting.held() > 0, "room for what comes next");
        assert_eq!((waiting.expire(0, 0), waiting.held()), (None, 0));
    }

    #[test]
    fn an_id_used_anew_gives_the_former_back() {
        let (mut waiting, mut out, limits) = (ById::default(), Counted::default(), limits(2));
        waiting.insert(1, 1, 'a', &limits, &mut out);
        waiting.insert(2, 2, 'b', &limits, &mut out);
        assert_eq!(waiting.insert(1, 3, 'c', &limits, &mut out), Some((1, 'a')));
        assert_eq!(waiting.insert(2, 4, 'd', &limits, &mut out), Some((2, 'b')));
        assert_eq!(
            (waiting.remove(1), waiting.remove(2)),
            (Some((3, 'c')), Some((4, 'd')))
        );
        assert_eq!(out.0, 0);
    }

    #[test]
    fn the_oldest_goes_first() {
        let (mut waiting, mut out, limits) = (ById::default(), Counted::default(), limits(3));
        for id in 0..3 {
            waiting.insert(id, id, id, &limits, &mut out);
        }
        assert_eq!(waiting.insert(3, 3, 3, &limits, &mut out), Some((0, 0)));
        assert_eq!(out.0, 1);
        assert_eq!(waiting.remove(1), Some((1, 1)));
        assert_eq!(waiting.expire(12, 10), None);
        assert_eq!(waiting.expire(13, 10), Some((2, 2)));
        assert_eq!((waiting.drain(), waiting.drain()), (Some((3, 3)), None));
    }

    #[test]
    fn one_that_waits_long_holds_no_memory_for_the_answered() {
        let (mut waiting, mut out, limits) = (ById::default(), Counted::default(), limits(1000));
        for id in 0..2u32 {
            waiting.insert(id, 0, (), &limits, &mut out);
        }
        for id in 2..10_000u32 {
            waiting.insert(id, 0, (), &limits, &mut out);
            waiting.remove(id);
        }
        assert_eq!(waiting.len(), 2);
        assert!(waiting.held() < 4096, "{}", waiting.held());
    }
}
