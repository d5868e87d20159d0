//! A table as it is shown: its rows in order, and what was left out.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use std::sync::Arc;

use gillnet_entry::time::Rfc3339;
use serde_json::{Map, Value};

use super::{Aggregation, Scalar, Table, Totals};

/// What is measured of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Entries.
    Count,
    /// Those that failed: their status says so, or something is wrong with the exchange.
    Errors,
    /// The part of those that failed, 0 to 1.
    ErrorRate,
    /// Bytes of requests and responses.
    Bytes,
    /// Bytes of the requests.
    RequestBytes,
    /// Bytes of the responses.
    ResponseBytes,
    /// The average time from request to response, in µs.
    Average,
    /// The shortest, in µs.
    Least,
    /// The longest, in µs.
    Most,
    /// A percentile of it, 0 to 100, in µs.
    Percentile(f64),
}

/// The measures by name; beside these there are percentiles.
const NAMES: [(&str, Measure); 9] = [
    ("count", Measure::Count),
    ("errors", Measure::Errors),
    ("errorRate", Measure::ErrorRate),
    ("bytes", Measure::Bytes),
    ("requestBytes", Measure::RequestBytes),
    ("responseBytes", Measure::ResponseBytes),
    ("avg", Measure::Average),
    ("min", Measure::Least),
    ("max", Measure::Most),
];

/// A name that is none of a measure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no measure `{0}`; measures are {names}, and percentiles such as p50, p99 and p99.9", names = NAMES.map(|(name, _)| name).join(", "))]
pub struct NoMeasure(pub String);

impl FromStr for Measure {
    type Err = NoMeasure;

    fn from_str(text: &str) -> Result<Self, NoMeasure> {
        if let Some((_, measure)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*measure);
        }
        let percent = text.strip_prefix('p').filter(|rest| {
            let mut bytes = rest.bytes();
            bytes.all(|b| b.is_ascii_digit() || b == b'.')
        });
        let percent = percent.and_then(|rest| rest.parse().ok());
        match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Ok(Measure::Percentile(percent)),
            None => Err(NoMeasure(text.to_owned())),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMES.iter().find(|(_, measure)| measure == self)) {
            (Measure::Percentile(percent), _) => write!(f, "p{percent}"),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => Ok(()),
        }
    }
}

impl Measure {
    /// Whether it is of the time that exchanges took.
    pub(super) fn is_latency(&self) -> bool {
        use Measure::{Average, Least, Most, Percentile};
        matches!(self, Average | Least | Most | Percentile(_))
    }

    /// What it is for a group; nothing where the group has no response, for times.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // up to 2^53 it is exact
    pub fn of(self, totals: &Totals) -> Option<f64> {
        Some(match self {
            Measure::Count => totals.count as f64,
            Measure::Errors => totals.errors as f64,
            Measure::ErrorRate => totals.errors as f64 / totals.count.max(1) as f64,
            Measure::Bytes => totals.request as f64 + totals.response as f64,
            Measure::RequestBytes => totals.request as f64,
            Measure::ResponseBytes => totals.response as f64,
            Measure::Average => totals.average()?,
            Measure::Least => totals.quantile(0.0)?,
            Measure::Most => totals.quantile(1.0)?,
            Measure::Percentile(percent) => totals.quantile(percent / 100.0)?,
        })
    }

    /// As [`Measure::of`], to be shown: whole numbers, but of rates.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn json(self, totals: &Totals) -> Value {
        match (self, self.of(totals)) {
            (_, None) => Value::Null,
            (Measure::ErrorRate, Some(rate)) => ((rate * 1e6).round() / 1e6).into(),
            (_, Some(value)) => (value.round() as i64).into(),
        }
    }
}

/// What rows are sorted by: the name of a key or of a measure. Measures go down, keys up, unless `-` (down) or `+` (up)
/// stands before the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    at: By,
    down: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Key(usize),
    Measure(usize),
}

impl Sort {
    /// Reads it; nothing where an answer has no such column.
    #[must_use]
    pub fn parse(text: &str, keys: &[&str], measures: &[Measure]) -> Option<Sort> {
        let (name, down) = match text.as_bytes().first()? {
            b'-' => (&text[1..], Some(true)),
            b'+' => (&text[1..], Some(false)),
            _ => (text, None),
        };
        let key = keys.iter().position(|key| *key == name).map(By::Key);
        let measure = || measures.iter().position(|m| m.to_string() == name);
        let at = key.or_else(|| measure().map(By::Measure))?;
        Some(Sort {
            at,
            down: down.unwrap_or(matches!(at, By::Measure(_))),
        })
    }
}

/// A group as it is shown.
#[derive(Clone, Debug)]
pub struct Row {
    /// What its entries have in common.
    pub key: Box<[Scalar]>,
    /// What they came to.
    pub totals: Totals,
}

/// What is shown of a table.
#[derive(Clone, Debug)]
pub struct Answer {
    of: Arc<Aggregation>,
    /// The groups, in order.
    pub rows: Vec<Row>,
    /// Groups that are not among the rows since only the first were asked for.
    pub more: u64,
    /// Entries that came when there were too many groups; none where its count is 0. Else groups may have more than they
    /// show.
    pub other: Totals,
    /// All entries.
    pub total: Totals,
}

impl Answer {
    /// What a table has. The rows are sorted by the first measure, or as `sort` says; with groups of time by these first.
    /// `top` leaves the first groups; of times, all those of the groups that are first over the whole span.
    #[must_use]
    pub fn new(table: Table, sort: Option<&Sort>, top: Option<usize>) -> Answer {
        let of = Arc::clone(&table.of);
        let time = of.by.iter().position(super::Key::is_time);
        let (mut total, other) = (table.other.clone(), table.other.clone());
        let mut rows: Vec<Row> = Vec::new();
        for (key, totals) in table.into_groups() {
            total.merge(&totals);
            rows.push(Row { key, totals });
        }
        let usual = Sort {
            at: By::Measure(0),
            down: true,
        };
        let order = |sort: &Sort, a: &Row, b: &Row| -> Ordering {
            let by = match sort.at {
                By::Key(at) => a.key.get(at).cmp(&b.key.get(at)),
                By::Measure(at) => {
                    let of = |row: &Row| of.measures.get(at).and_then(|m| m.of(&row.totals));
                    let (a, b) = (of(a), of(b));
                    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
                }
            };
            let by = if sort.down { by.reverse() } else { by };
            by.then_with(|| a.key.cmp(&b.key))
        };
        let mut more = 0;
        if let Some(top) = top {
            match time {
                None => {
                    rows.sort_by(|a, b| order(sort.unwrap_or(&usual), a, b));
                    more = rows.len().saturating_sub(top) as u64;
                    rows.truncate(top);
                }
                Some(time) => more = leave_top(&mut rows, time, top, |a, b| order(&usual, a, b)),
            }
        }
        rows.sort_by(|a, b| {
            let moment = |row: &Row| time.and_then(|at| row.key.get(at).cloned());
            match sort {
                Some(sort) => order(sort, a, b),
                None => moment(a).cmp(&moment(b)).then_with(|| order(&usual, a, b)),
            }
        });
        Answer {
            of,
            rows,
            more,
            other,
            total,
        }
    }

    /// The names of a row's columns: what is grouped by, then what is measured.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let keys = self.of.by.iter().map(|key| key.name.clone());
        keys.chain(self.of.measures.iter().map(Measure::to_string))
            .collect()
    }

    /// A row by the names of its columns; times in UTC, null where entries have no such field.
    #[must_use]
    pub fn json(&self, row: &Row) -> Map<String, Value> {
        let keys = self.of.by.iter().zip(&row.key);
        let keys = keys.map(|(key, scalar)| (key.name.clone(), shown(scalar)));
        keys.chain(self.measured(&row.totals)).collect()
    }

    /// What is measured of some entries, by name.
    pub fn measured(&self, totals: &Totals) -> impl Iterator<Item = (String, Value)> {
        let measures = self.of.measures.iter();
        measures.map(|measure| (measure.to_string(), measure.json(totals)))
    }
}

/// A value as it is shown.
fn shown(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Nothing => Value::Null,
        Scalar::Bool(value) => (*value).into(),
        Scalar::Int(value) => (*value).into(),
        Scalar::Double(bits) => f64::from_bits(*bits).into(),
        Scalar::Text(text) => (&**text).into(),
        Scalar::Time(ns) => Rfc3339(*ns).to_string().into(),
    }
}

/// Leaves the rows of the groups that are first over all times; how many groups are gone.
fn leave_top(
    rows: &mut Vec<Row>,
    time: usize,
    top: usize,
    order: impl Fn(&Row, &Row) -> Ordering,
) -> u64 {
    let without = |key: &[Scalar]| -> Box<[Scalar]> {
        let mut key = key.to_vec();
        key.remove(time);
        key.into()
    };
    let mut whole: HashMap<Box<[Scalar]>, Totals> = HashMap::new();
    for row in &*rows {
        let totals = whole.entry(without(&row.key)).or_default();
        totals.merge(&row.totals);
    }
    let mut whole: Vec<Row> = whole
        .into_iter()
        .map(|(key, totals)| Row { key, totals })
        .collect();
    whole.sort_by(|a, b| order(a, b));
    let more = whole.len().saturating_sub(top) as u64;
    whole.truncate(top);
    let kept: std::collections::HashSet<_> = whole.into_iter().map(|row| row.key).collect();
    rows.retain(|row| kept.contains(&without(&row.key)));
    more
}
