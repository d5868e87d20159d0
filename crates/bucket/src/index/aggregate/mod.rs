//! Counts, sums and percentiles over entries, by groups.
//!
//! An [`Aggregation`] says by what entries are grouped ([`Key`]) and what is measured; a [`Table`] is what came of it so far.
//! Tables of parts (files, processes, threads) are merged into that of the whole. Entries go in one by one
//! ([`Table::entry`]), or as columns of an index file, read for what is asked alone (`columnar.rs`): the answer is the same.

mod answer;
mod coded;
mod columnar;
mod filtered;
mod group;
mod key;
mod measured;
mod plan;
mod table;

pub(super) use columnar::as_dictionaries;
pub(super) use group::{Reading, only};
pub(super) use plan::Plan;

pub use answer::{Answer, Measure, NoMeasure, Row, Sort};
pub use columnar::Seen;
pub use filtered::Filtered;
pub use key::{Key, NoKey, Scalar};
pub use table::{Exchange, Table, Totals};

/// Groups of a table, at most, unless something else is asked for: with percentiles some kilobytes each.
pub const MOST_GROUPS: usize = 20_000;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Aggregation {
    /// By what entries are grouped; all are one group where it is empty.
    pub by: Vec<Key>,
    /// What is measured of each group; entries are always counted.
    pub measures: Vec<Measure>,
    /// Groups that are kept, at most: entries of further ones are counted together as others.
    pub most: usize,
}

impl Aggregation {
    /// Whether it can be answered from the columns of an index alone, without making entries of its rows.
    fn is_columnar(&self) -> bool {
        self.by.iter().all(Key::is_columnar)
    }

    fn asks(&self, of: impl Fn(&Measure) -> bool) -> bool {
        self.measures.iter().any(of)
    }

    fn errors(&self) -> bool {
        self.asks(|measure| matches!(measure, Measure::Errors | Measure::ErrorRate))
    }

    fn requests(&self) -> bool {
        self.asks(|measure| matches!(measure, Measure::RequestBytes | Measure::Bytes))
    }

    fn responses(&self) -> bool {
        self.asks(|measure| matches!(measure, Measure::ResponseBytes | Measure::Bytes))
    }

    fn latency(&self) -> bool {
        self.asks(Measure::is_latency)
    }
}

#[cfg(test)]
mod tests;
