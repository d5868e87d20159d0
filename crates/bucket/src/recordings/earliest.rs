//! A group's answers in parts, the earliest first, for who wants no more than some of them.

use std::collections::{BTreeMap, HashSet};

use super::in_order::threads;
use super::indexed::{AHEAD, failed, open};
use super::{Group, Object};
use crate::BucketError;
use crate::index::{Cost, Found, Question};
use crate::layout::Hour;
use crate::packets::StreamId;
use crate::recordings::StreamSet;

/// Entries that match or may match, and none that began between them is missing.
#[derive(Debug)]
pub struct Earliest {
    /// Their streams.
    pub streams: StreamSet,
    /// The first moment behind them, ns since the epoch; `None` where there are no more.
    pub until: Option<i64>,
    /// The first and the last hour whose objects are likely to have their packets.
    pub hours: Option<(Hour, Hour)>,
    /// What it took.
    pub cost: Cost,
}

/// The earliest of some entries, as many as are wanted and those that began with the last of them.
struct Gathered {
    wanted: usize,
    found: usize,
    /// By their beginning, each with its end, where it has one.
    by_time: BTreeMap<i64, BTreeMap<(StreamId, u32), i64>>,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.found >= self.wanted
    }

    /// The latest moment that one of them may have: anything where there are too few.
    fn last(&self) -> i64 {
        let last = self.by_time.last_key_value().map(|(time, _)| *time);
        last.filter(|_| self.is_full()).unwrap_or(i64::MAX)
    }

    /// Takes an entry, once however many rules kept it.
    fn add(&mut self, found: &Found<'_>) {
        let (time, end) = (found.entry.common.ts, found.entry.common.end_ts);
        if time > self.last() {
            return;
        }
        let of_time = self.by_time.entry(time).or_default();
        let before = of_time.insert((found.stream, found.index), end.unwrap_or(time));
        self.found += usize::from(before.is_none());
        while let Some(last) = self.by_time.last_entry() {
            if self.found - last.get().len() < self.wanted {
                return;
            }
            self.found -= last.remove().len();
        }
    }
}

impl Group {
    /// The earliest entries that match or may match in the question's span of time, as many as are wanted, and those that
    /// began with the last of them. No file of an hour behind them is opened but as many as were before, and of those of
    /// their last hour only such as begin before they end are read.
    ///
    /// # Errors
    /// Where a file of the index can't be read.
    pub fn earliest(
        &self,
        question: &Question<'_>,
        wanted: usize,
    ) -> Result<Earliest, BucketError> {
        let (from, to) = question.within;
        let mut files = self.by_time();
        files.retain(|file| file.name.hour.end() > from && file.name.hour.start() <= to);
        let threads = threads(self.shared.bucket.as_ref());
        let ends = ["elapsedTime".to_owned()];
        let mut gathered = Gathered {
            wanted,
            found: 0,
            by_time: BTreeMap::new(),
        };
        let (mut cost, mut of_files) = (Cost::default(), Vec::new());
        let mut hours = files.chunk_by(|one, next| one.name.hour == next.name.hour);
        let mut ahead = 1;
        while !gathered.is_full() {
            let mut turn: Vec<&Object> = Vec::new();
            while turn.len() < ahead
                && let Some(hour) = hours.next()
            {
                turn.extend(hour);
            }
            if turn.is_empty() {
                break;
            }
            ahead = (2 * ahead).min(AHEAD);
            let keys: Vec<_> = turn
                .iter()
                .map(|file| (&self.shared.bucket, *file))
                .collect();
            let mut opened = Vec::new();
            open(&keys, threads, |file| opened.push(file));
            let mut spans = Vec::new();
            for (object, file) in turn.into_iter().zip(opened) {
                let (place, file) = file?;
                spans.extend(file.span().map(|span| (span, object, place, file)));
            }
            spans.sort_by_key(|((first, _), ..)| *first);
            for ((first, last), object, place, file) in spans {
                if first > gathered.last() || last < from {
                    continue;
                }
                // in a span without an end also what a broken clock dated there
                let to = to.min(gathered.last().saturating_add(1));
                let narrowed = Question {
                    within: (from, to),
                    columns: &ends,
                    ..*question
                };
                let before = gathered.found;
                let asked = file.ask(&narrowed, &mut |found| {
                    gathered.add(found);
                    true
                });
                let asked = asked.map_err(|error| failed(&place, &error))?;
                cost.bytes += asked.bytes;
                cost.rows += asked.rows;
                if gathered.found != before || gathered.is_full() {
                    of_files.push(object);
                }
            }
        }
        let last = gathered.last();
        let until = gathered.is_full().then(|| last.checked_add(1)).flatten();
        let entries = || gathered.by_time.values().flatten();
        let end = entries().map(|(_, end)| Hour::of(*end)).max();
        let hours = self.hours_of(&of_files);
        Ok(Earliest {
            streams: entries().map(|((stream, _), _)| *stream).collect(),
            until,
            hours: hours.map(|(first, last)| (first, end.map_or(last, |end| last.max(end)))),
            cost,
        })
    }

    /// The hours of files of entries and of the objects that they belong to: those are in the hour when packets came.
    fn hours_of(&self, entries: &[&Object]) -> Option<(Hour, Hour)> {
        let of_object = |object: &Object| (object.name.recording.clone(), object.name.seq);
        let named: HashSet<_> = entries.iter().map(|file| of_object(file)).collect();
        let beside = self.streams.iter();
        let beside = beside.filter(|file| named.contains(&of_object(file)));
        let hours = entries.iter().copied().chain(beside);
        let hours = hours.map(|file| (file.name.hour, file.name.hour));
        hours.reduce(|(first, last), (hour, _)| (first.min(hour), last.max(hour)))
    }
}
