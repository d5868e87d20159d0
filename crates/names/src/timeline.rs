//! Names with the time they held.

use crate::{Address, Map};
use gillnet_entry::Name;
use std::sync::Arc;

/// One name of an address, and when it held: ns since the epoch, the end not included.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) name: Arc<Name>,
}

/// The names of one address, by the time from which they held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline(Vec<Interval>);

impl Timeline {
    /// The name at a time: of those that held then, the one that came last.
    pub(crate) fn at(&self, at: i64) -> Option<&Arc<Name>> {
        let begun = self.0.partition_point(|interval| interval.from <= at);
        self.0
            .iter()
            .take(begun)
            .rev()
            .find(|interval| at < interval.until)
            .map(|interval| &interval.name)
    }

    /// Adds a name. Where the one that began last is the same and still holds, that one is made longer instead:
    /// whether there is one more now.
    pub(crate) fn add(&mut self, name: Arc<Name>, from: i64, until: i64) -> bool {
        if let Some(last) = self.0.last_mut()
            && same(&last.name, &name)
            && (last.from..=last.until).contains(&from)
        {
            last.until = last.until.max(until);
            return false;
        }
        let place = self.0.partition_point(|interval| interval.from <= from);
        self.0.insert(place, Interval { from, until, name });
        true
    }

    /// Drops the name that began first.
    pub(crate) fn drop_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Interval> {
        self.0.iter()
    }
}

/// Equal but for the time since when.
pub(crate) fn same(a: &Name, b: &Name) -> bool {
    (
        &a.name,
        &a.namespace,
        &a.pod,
        &a.service,
        &a.dns,
        a.mechanism,
    ) == (
        &b.name,
        &b.namespace,
        &b.pod,
        &b.service,
        &b.dns,
        b.mechanism,
    )
}

/// Timelines by address, limited in their number of intervals.
#[derive(Debug, Default)]
pub(crate) struct Timelines {
    by_address: Map<Address, Timeline>,
    len: usize,
    limit: usize,
}

impl Timelines {
    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    pub(crate) fn at(&self, address: Address, at: i64) -> Option<Arc<Name>> {
        self.by_address.get(&address)?.at(at).cloned()
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.by_address.keys()
    }

    pub(crate) fn get(&self, address: Address) -> Option<&Timeline> {
        self.by_address.get(&address)
    }

    /// Whether there was room.
    pub(crate) fn add(&mut self, address: Address, name: Arc<Name>, from: i64, until: i64) -> bool {
        if self.len >= self.limit {
            return false;
        }
        self.len += usize::from(
            self.by_address
                .entry(address)
                .or_default()
                .add(name, from, until),
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Arc<Name> {
        crate::always(name)
    }

    #[test]
    fn the_name_that_held_then() {
        let mut line = Timeline::default();
        assert!(line.add(named("b"), 20, 30));
        assert!(line.add(named("a"), 0, 20));
        assert!(line.add(named("c"), 25, i64::MAX));
        let at = |t| line.at(t).map(|n| n.name.as_str());
        assert_eq!(
            [at(-1), at(0), at(19), at(20), at(24), at(25), at(1 << 60)],
            [
                None,
                Some("a"),
                Some("a"),
                Some("b"),
                Some("b"),
                Some("c"),
                Some("c")
            ]
        );
    }

    #[test]
    fn the_same_name_again_makes_it_longer() {
        let mut line = Timeline::default();
        assert!(line.add(named("a"), 0, 10));
        assert!(!line.add(named("a"), 5, 15));
        assert_eq!(line.at(14).map(|n| n.name.as_str()), Some("a"));
        assert!(line.add(named("b"), 6, 8));
        assert!(line.add(named("a"), 7, 20));
        let at = |t| line.at(t).map(|n| n.name.as_str());
        assert_eq!(
            [at(6), at(7), at(19), at(20)],
            [Some("b"), Some("a"), Some("a"), None]
        );
        assert!(line.add(named("a"), 40, 50), "a gap stays one");
        assert_eq!(line.at(30), None);
    }

    #[test]
    fn past_the_limit_nothing_is_taken() {
        let mut lines = Timelines::default();
        lines.limit(1);
        let address = "10.0.0.1".parse().unwrap();
        assert!(lines.add(address, named("a"), 0, 10));
        assert!(!lines.add(address, named("b"), 10, 20));
        assert_eq!(lines.at(address, 15), None);
    }
}
