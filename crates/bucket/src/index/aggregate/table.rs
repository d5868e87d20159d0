//! Groups, and what is counted of each.

use std::collections::HashMap;
use std::sync::Arc;

use gillnet_entry::Entry;
use sketches_ddsketch::{Config, DDSketch};

use super::{Aggregation, Scalar};

/// What a percentile may be off, relative to it.
const ACCURACY: f64 = 0.01;
/// Bins of a sketch, at most: values that are 10^17 times each other still have bins of their own.
const BINS: u32 = 2048;
/// What is less, in µs, is 0.
const LEAST: f64 = 0.5;

/// What an entry adds to its group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exchange {
    /// Whether it failed: its status says so, or something is wrong with it.
    pub failed: bool,
    /// Bytes of the request.
    pub request: u64,
    /// Bytes of the response.
    pub response: u64,
    /// How long it took, in µs, where it has a response.
    pub elapsed: Option<i64>,
}

impl Exchange {
    /// That of an entry.
    #[must_use]
    pub fn of(entry: &Entry<'_>) -> Exchange {
        Exchange {
            failed: entry.common.fault.is_some() || !entry.record.ok(&entry.ctx),
            request: entry.common.request_size,
            response: entry.common.response_size,
            elapsed: entry.common.elapsed_us(),
        }
    }
}

/// What entries of a group came to.
#[derive(Clone, Default)]
pub struct Totals {
    /// How many there are.
    pub count: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Bytes of their requests.
    pub request: u64,
    /// Bytes of their responses.
    pub response: u64,
    /// How long those took that have a response, in µs.
    latency: Option<Box<DDSketch>>,
}

impl std::fmt::Debug for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Totals")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Totals {
    /// Adds how long an entry took.
    #[allow(clippy::cast_precision_loss)] // 285 years
    pub(super) fn took(&mut self, us: i64) {
        let sketch = || Box::new(DDSketch::new(Config::new(ACCURACY, BINS, LEAST)));
        self.latency.get_or_insert_with(sketch).add(us as f64);
    }

    /// Adds those of other entries.
    pub fn merge(&mut self, other: &Totals) {
        self.count += other.count;
        self.errors += other.errors;
        self.request = self.request.saturating_add(other.request);
        self.response = self.response.saturating_add(other.response);
        match (&mut self.latency, &other.latency) {
            (_, None) => {}
            (None, Some(other)) => self.latency = Some(other.clone()),
            (Some(own), Some(other)) => {
                // all have the same accuracy
                let _ = own.merge(other);
            }
        }
    }

    /// What a part of the entries took at most, in µs, within 1 %: `0.99` for the 99th percentile. Nothing where no entry
    /// has a response.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let sketch = self.latency.as_ref()?;
        let found = sketch.quantile(part.clamp(0.0, 1.0)).ok().flatten()?;
        // the middle of a bin may be beyond what was there
        Some(found.clamp(sketch.min()?, sketch.max()?))
    }

    /// What they took on average, in µs.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn average(&self) -> Option<f64> {
        let sketch = self.latency.as_ref()?;
        Some(sketch.sum()? / sketch.count() as f64)
    }
}

/// Where a group is in a table.
pub(super) type Slot = u32;
/// The place of all groups beyond the limit.
const OTHER: Slot = Slot::MAX;

/// Groups with what their entries came to.
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) of: Arc<Aggregation>,
    slots: HashMap<Box<[Scalar]>, Slot>,
    totals: Vec<Totals>,
    /// Entries of groups beyond the limit.
    pub(super) other: Totals,
    key: Vec<Scalar>,
}

impl Table {
    /// No entries yet.
    #[must_use]
    pub fn new(of: Arc<Aggregation>) -> Table {
        Table {
            of,
            slots: HashMap::new(),
            totals: Vec::new(),
            other: Totals::default(),
            key: Vec::new(),
        }
    }

    /// Adds an entry.
    pub fn entry(&mut self, entry: &Entry<'_>) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend(self.of.by.iter().map(|by| by.get(entry)));
        self.add(&key, Exchange::of(entry));
        self.key = key;
    }

    /// What an entry is grouped by.
    #[must_use]
    pub fn keys(&self, entry: &Entry<'_>) -> Vec<Scalar> {
        self.of.by.iter().map(|by| by.get(entry)).collect()
    }

    /// Adds what is known of an entry, with what it is grouped by.
    pub fn add(&mut self, key: &[Scalar], exchange: Exchange) {
        let latency = self.of.latency();
        let slot = self.slot(key);
        let totals = self.at(slot);
        totals.count += 1;
        totals.errors += u64::from(exchange.failed);
        totals.request = totals.request.saturating_add(exchange.request);
        totals.response = totals.response.saturating_add(exchange.response);
        if let (true, Some(us)) = (latency, exchange.elapsed) {
            totals.took(us);
        }
    }

    /// Adds the entries of another part.
    pub fn merge(&mut self, part: &Table) {
        for (key, slot) in part.ordered() {
            let slot_here = self.slot(key);
            let totals = part.totals.get(slot as usize);
            if let Some(totals) = totals {
                self.at(slot_here).merge(totals);
            }
        }
        self.other.merge(&part.other);
    }

    /// The place of a group, which is made where it is new and there may be more.
    pub(super) fn slot(&mut self, key: &[Scalar]) -> Slot {
        if let Some(slot) = self.slots.get(key) {
            return *slot;
        }
        let Ok(slot) = Slot::try_from(self.totals.len()) else {
            return OTHER;
        };
        if self.totals.len() >= self.of.most {
            return OTHER;
        }
        self.slots.insert(key.into(), slot);
        self.totals.push(Totals::default());
        slot
    }

    /// What a place has.
    pub(super) fn at(&mut self, slot: Slot) -> &mut Totals {
        self.totals
            .get_mut(slot as usize)
            .unwrap_or(&mut self.other)
    }

    /// The groups, in the order in which they came: parts are merged to the same whatever order hashing gives.
    fn ordered(&self) -> Vec<(&[Scalar], Slot)> {
        let mut all: Vec<_> = self
            .slots
            .iter()
            .map(|(key, slot)| (&**key, *slot))
            .collect();
        all.sort_unstable_by_key(|(_, slot)| *slot);
        all
    }

    /// The groups.
    pub(super) fn into_groups(self) -> Vec<(Box<[Scalar]>, Totals)> {
        let Table {
            slots, mut totals, ..
        } = self;
        let groups = slots.into_iter().filter_map(|(key, slot)| {
            let totals = totals.get_mut(slot as usize)?;
            Some((key, std::mem::take(totals)))
        });
        groups.collect()
    }
}
