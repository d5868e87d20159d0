//! One page of a list: the entries next to a cursor, in order of time.

use crate::{queried, write_row};
use gillnet_entry::{Bump, Entry, OwnedEntry};
use gillnet_kfl::Filter;
use gillnet_scripts::Scripts;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where an entry stands in the order of a list: by time, then by what tells equal times apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    ts: i64,
    run: String,
    stream: u64,
    index: u32,
}

impl Cursor {
    /// The place of an entry.
    pub fn of(entry: &Entry<'_>) -> Cursor {
        let c = entry.common;
        Cursor {
            ts: c.ts,
            run: c.origin.run.clone(),
            stream: c.stream,
            index: c.index,
        }
    }

    /// Reads what [`Cursor::text`] wrote.
    pub fn parse(text: &str) -> Option<Cursor> {
        let mut parts = text.splitn(4, '.');
        let mut next = || parts.next();
        let (ts, stream, index) = (
            next()?.parse().ok()?,
            next()?.parse().ok()?,
            next()?.parse().ok()?,
        );
        Some(Cursor {
            ts,
            stream,
            index,
            run: next()?.to_owned(),
        })
    }

    /// As it stands in a URL.
    pub fn text(&self) -> String {
        format!("{}.{}.{}.{}", self.ts, self.stream, self.index, self.run)
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct PageQuery {
    /// Which entries.
    pub filter: Filter,
    /// Only entries that began at or after this, ns.
    pub since: i64,
    /// Only entries that began before this, ns.
    pub until: i64,
    /// At most so many.
    pub limit: usize,
    /// Those behind this one.
    pub after: Option<Cursor>,
    /// Newest first.
    pub newest_first: bool,
}

/// The answer: rows as JSON, in order.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Vec<u8>>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Cursor>,
    /// How many match in all, pages before and behind included; `None` where not all were looked at.
    pub matched: Option<u64>,
}

/// Gathers one page from entries in any order, in memory bounded by the page: rows where entries are gone again, else the
/// entries.
#[derive(Debug)]
pub struct Pager<T = Vec<u8>> {
    query: PageQuery,
    rows: BTreeMap<Order, T>,
    cut: bool,
    matched: u64,
    passed_over: bool,
}

/// The order of the page: the first key is the page's first row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Newest(Reverse<Cursor>),
    Oldest(Cursor),
}

impl<T> Pager<T> {
    /// A page that is still empty.
    pub fn new(query: PageQuery) -> Self {
        Pager {
            query,
            rows: BTreeMap::new(),
            cut: false,
            matched: 0,
            passed_over: false,
        }
    }

    /// Whether entries of a span of time (first and last moment, ns) may still come on the page. Where they may not, they
    /// are taken to be passed over.
    pub fn wants(&mut self, (first, last): (i64, i64)) -> bool {
        let query = &self.query;
        let newest = query.newest_first;
        if last < query.since || first >= query.until {
            return false;
        }
        let behind = query.after.as_ref().is_none_or(|after| match newest {
            true => first <= after.ts,
            false => last >= after.ts,
        });
        let full = self.rows.len() >= query.limit;
        let last_row = self.rows.last_key_value().filter(|_| full);
        let before = last_row.is_none_or(|(place, _)| match place {
            Order::Newest(Reverse(cursor)) => last >= cursor.ts,
            Order::Oldest(cursor) => first <= cursor.ts,
        });
        // what is behind a full page may be on the next
        self.cut |= behind && !before;
        self.passed_over |= !(behind && before);
        behind && before
    }

    /// Takes an entry that matched the filter, as what is kept of it.
    fn take(&mut self, entry: &Entry<'_>, keep: impl FnOnce(&Filter) -> T) {
        let query = &self.query;
        if !(query.since..query.until).contains(&entry.common.ts) {
            return;
        }
        self.matched += 1;
        let place = self.order(Cursor::of(entry));
        if self
            .query
            .after
            .clone()
            .is_some_and(|after| place <= self.order(after))
            || self.rows.contains_key(&place)
        {
            return;
        }
        if self.rows.len() >= self.query.limit {
            self.cut = true;
            if self
                .rows
                .last_key_value()
                .is_some_and(|(last, _)| *last < place)
            {
                return;
            }
            self.rows.pop_last();
        }
        self.rows.insert(place, keep(&self.query.filter));
    }

    /// The page, with rows made of what was kept.
    fn page(self, rows: impl FnOnce(Vec<T>, &Filter) -> Vec<Vec<u8>>) -> Page {
        let last = self.rows.last_key_value().map(|(place, _)| place.clone());
        let next = last.filter(|_| self.cut).map(|place| match place {
            Order::Newest(Reverse(cursor)) | Order::Oldest(cursor) => cursor,
        });
        Page {
            rows: rows(self.rows.into_values().collect(), &self.query.filter),
            next,
            matched: (!self.passed_over).then_some(self.matched),
        }
    }

    fn order(&self, cursor: Cursor) -> Order {
        if self.query.newest_first {
            Order::Newest(Reverse(cursor))
        } else {
            Order::Oldest(cursor)
        }
    }
}

impl Pager {
    /// Takes an entry that matched the filter.
    pub fn matched(&mut self, entry: &Entry<'_>) {
        self.take(entry, |filter| {
            let mut row = Vec::with_capacity(512);
            write_row(entry, filter, &mut row);
            row
        });
    }

    /// The page.
    pub fn finish(self) -> Page {
        self.page(|rows, _| rows)
    }
}

impl Pager<Arc<OwnedEntry>> {
    /// Tests an entry against the filter and takes it if it matches.
    pub fn offer(&mut self, owned: &Arc<OwnedEntry>, arena: &mut Bump) {
        owned.with(arena, |entry| {
            if self.query.filter.matches(entry) {
                self.take(entry, |_| Arc::clone(owned));
            }
        });
        arena.reset();
    }

    /// The page, as scripts have its entries shown, which may be waited for.
    pub fn finish(self, scripts: Option<&Scripts>) -> Page {
        self.page(|entries, filter| queried::rows(&entries, filter, scripts))
    }
}
