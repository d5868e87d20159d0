//! Counts, sums and percentiles over entries: `query --by`, and `/api/stats`.
//!
//! Where a recording has an index that knows all that is asked for, its columns are read; else entries are made of packets,
//! one by one. The answer is the same.

use crate::cli::{self, Format, QueryArgs};
use crate::columns::Column;
use crate::config::{Config, duration};
use crate::exit::{self, Done};
use crate::inputs::{Inputs, Pending};
use crate::lock::lock;
use crate::meter::Meter;
use crate::output::Output;
use crate::scan::{self, Needs, Scan, Summary};
use gillnet_api::{NoStats, Refused, StatsQuery};
use gillnet_bucket::index::aggregate::{
    Aggregation, Answer, Exchange, Key, MOST_GROUPS, Measure, Scalar, Sort, Table,
};
use gillnet_bucket::index::{KnownProtocol, Question, on_rows};
use gillnet_entry::{Bump, Entry, OwnedEntry};
use gillnet_kfl::Filter;
use gillnet_kfl::rows::RowFilter;
use gillnet_pipeline::{Consumer, Matched, Want};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// What is measured where nothing else is said.
const USUAL: [&str; 4] = ["count", "errors", "p50", "p99"];

/// What is asked for, as people write it.
struct Words<'w> {
    by: &'w [String],
    every: Option<&'w str>,
    measures: &'w [String],
    top: Option<usize>,
    sort: Option<&'w str>,
}

/// What is asked for.
#[derive(Clone)]
struct Asked {
    filter: Filter,
    of: Arc<Aggregation>,
    sort: Option<Sort>,
    top: Option<usize>,
    /// Where the filter hides values, how what is grouped by is shown.
    hidden: Option<Arc<Vec<Shown>>>,
}

impl Asked {
    fn new(filter: Filter, words: &Words<'_>, known: &[KnownProtocol]) -> anyhow::Result<Asked> {
        let mut by = Vec::new();
        if let Some(every) = words.every {
            let ns = i64::try_from(duration(every)?.as_nanos())?;
            by.push(Key::every(ns)?);
        }
        for name in words.by {
            by.push(Key::find(name, known)?);
        }
        let hidden = filter.redacts().then(|| by.iter().map(Shown::of).collect());
        let hidden: Option<anyhow::Result<Vec<Shown>>> = hidden;
        let usual = USUAL.map(str::to_owned);
        let measures = match words.measures {
            [] => &usual[..],
            measures => measures,
        };
        let measures = measures.iter().map(|name| name.parse());
        let measures: Vec<Measure> = measures.collect::<Result<_, _>>()?;
        let names: Vec<&str> = by.iter().map(|key| &*key.name).collect();
        let sort = words.sort.map(|sort| {
            Sort::parse(sort, &names, &measures).ok_or_else(|| {
                let measures = measures.iter().map(Measure::to_string);
                let names = names.iter().map(|name| (*name).to_owned());
                let columns: Vec<String> = names.chain(measures).collect();
                anyhow::anyhow!(
                    "there is nothing to sort by called `{sort}`; there are {}",
                    columns.join(", ")
                )
            })
        });
        Ok(Asked {
            filter,
            sort: sort.transpose()?,
            top: words.top,
            hidden: hidden.transpose()?.map(Arc::new),
            of: Arc::new(Aggregation {
                by,
                measures,
                most: MOST_GROUPS,
            }),
        })
    }

    /// Adds an entry that the filter matches.
    fn add(&self, entry: &Entry<'_>, table: &mut Table) {
        let Some(columns) = &self.hidden else {
            return table.entry(entry);
        };
        let mut json = Vec::new();
        self.filter.write_json(entry, &mut json);
        let shown: serde_json::Value = serde_json::from_slice(&json).unwrap_or_default();
        let keys = columns.iter().zip(table.keys(entry));
        let keys = keys.map(|(how, plain)| how.scalar(plain, entry, &shown));
        let keys: Vec<Scalar> = keys.collect();
        let mut exchange = Exchange::of(entry);
        // what is hidden is not added up either
        let is_shown = |name: &str| shown.get(name).is_some_and(serde_json::Value::is_number);
        exchange.elapsed = exchange.elapsed.filter(|_| is_shown("elapsedTime"));
        for (name, size) in [
            ("requestSize", &mut exchange.request),
            ("responseSize", &mut exchange.response),
        ] {
            *size = if is_shown(name) { *size } else { 0 };
        }
        table.add(&keys, exchange);
    }

    fn answer(&self, table: Table) -> Answer {
        Answer::new(table, self.sort.as_ref(), self.top)
    }
}

/// How a value that is grouped by is read where a filter hides some.
enum Shown {
    /// It is never hidden.
    Plain,
    /// Of an end, hidden where anything of that is.
    End(&'static str),
    /// Below a member of the entry's JSON, hidden where that is.
    Below(&'static str),
    /// A field.
    Field(Column),
}

const HIDDEN: &str = "[REDACTED]";

impl Shown {
    fn of(key: &Key) -> anyhow::Result<Shown> {
        let field = |name: &str| {
            let column = Column::find(name).ok().filter(Column::is_shown);
            column.map(Shown::Field).ok_or_else(|| {
                anyhow::anyhow!(
                    "`{name}` is not part of the entry's JSON, so nothing can be grouped by it where redact() hides values"
                )
            })
        };
        match key.column() {
            _ if key.is_time() => Ok(Shown::Plain),
            None => field(&key.name),
            // what is made of a message may have a hidden value in it
            Some("method" | "summary" | "status" | "statusCode") => Err(anyhow::anyhow!(
                "`{}` is made of what redact() may hide; group by the field itself, such as request.method",
                key.name
            )),
            Some(column) => Ok(match column.split_once('.') {
                Some((end @ ("src" | "dst"), _)) => Shown::End(end),
                Some((above, _)) => Shown::Below(above),
                None => Shown::Below(column),
            }),
        }
    }

    fn scalar(&self, plain: Scalar, entry: &Entry<'_>, shown: &serde_json::Value) -> Scalar {
        let hidden = |value: &serde_json::Value| value.as_str() == Some(HIDDEN);
        let is_hidden = match self {
            Shown::Plain => false,
            Shown::End(end) => {
                let end = &shown[*end];
                let mut parts = end.as_object().into_iter().flat_map(|end| end.values());
                hidden(end) || parts.any(hidden)
            }
            Shown::Below(above) => hidden(&shown[*above]),
            Shown::Field(column) => match column.shown(entry, shown) {
                value if hidden(value) => true,
                // above it something else stands in its place
                value => return of_json(value),
            },
        };
        match is_hidden {
            true => Scalar::Text(HIDDEN.into()),
            false => plain,
        }
    }
}

fn of_json(value: &serde_json::Value) -> Scalar {
    use serde_json::Value;
    match value {
        Value::String(text) if !text.is_empty() => Scalar::Text((&**text).into()),
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Number(number) => {
            let double = || Scalar::Double(number.as_f64().unwrap_or(0.0).to_bits());
            number.as_i64().map_or_else(double, Scalar::Int)
        }
        _ => Scalar::Nothing,
    }
}

/// Adds up what packets give.
struct Adds {
    asked: Asked,
    table: Arc<Mutex<Table>>,
    goes_on: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Consumer for Adds {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let mut table = lock(&self.table);
        self.asked.add(entry, &mut table);
        (self.goes_on)()
    }
}

/// What an index is asked.
struct OfIndex {
    known: Vec<KnownProtocol>,
    filter: RowFilter,
    within: (i64, i64),
}

impl OfIndex {
    /// What a group's index has; `None` where that is not all that is asked for.
    fn part(
        &self,
        group: &Pending,
        asked: &Asked,
        goes_on: &(dyn Fn() -> bool + Sync),
    ) -> anyhow::Result<Option<Table>> {
        let index = group.index().unwrap_or_else(|error| {
            tracing::warn!("{error}; the packets are read instead");
            None
        });
        let Some((index, origin)) = index else {
            return Ok(None);
        };
        let question = Question {
            known: &self.known,
            filter: &self.filter,
            within: self.within,
            shown: false,
            columns: &[],
            origin: &origin,
        };
        if !index.aggregates(&question, &asked.of) {
            return Ok(None);
        }
        let (part, cost) = index.aggregate(&question, &asked.of, goes_on)?;
        tracing::debug!(rows = cost.rows, bytes = cost.bytes, "an index was read");
        Ok(Some(part))
    }
}

/// Adds up all entries of some inputs that a filter matches and that began in a span of time.
fn table(
    asked: &Asked,
    config: &Config,
    inputs: &Inputs,
    within: (i64, i64),
    goes_on: Arc<dyn Fn() -> bool + Send + Sync>,
) -> anyhow::Result<(Table, Summary)> {
    let known = scan::known();
    let index = match asked.hidden {
        // what is hidden is taken out of the whole entry
        Some(_) => None,
        None => Some(OfIndex {
            filter: on_rows(&cli::speech(config)?.env, &known, &asked.filter),
            known,
            within,
        }),
    };
    let mut table = Table::new(Arc::clone(&asked.of));
    let mut rest = Vec::new();
    for group in inputs.readings_for(&asked.filter)? {
        let index = index.as_ref();
        match index
            .map(|index| index.part(&group, asked, &*goes_on))
            .transpose()?
        {
            Some(Some(part)) => table.merge(&part),
            _ => rest.push(group),
        }
        if !goes_on() {
            rest.clear();
            break;
        }
    }
    let table = Arc::new(Mutex::new(table));
    let want = Want {
        bit: 0,
        filter: asked.filter.clone(),
        record: false,
        bodies: asked.hidden.is_some(),
    };
    let scan = Scan {
        config,
        wants: vec![want],
        within,
        tap: None,
        needs: Needs::Packets,
        strict: false,
        stream: None,
        among: None,
    };
    let summary = scan.run_groups(rest, &mut || {
        Box::new(Adds {
            asked: asked.clone(),
            table: Arc::clone(&table),
            goes_on: Arc::clone(&goes_on),
        })
    })?;
    let empty = Table::new(Arc::clone(&asked.of));
    let table = std::mem::replace(&mut *lock(&table), empty);
    Ok((table, summary))
}

/// `gillnet query` with `--by`, `--every` or `--measure`.
pub fn print(config: &Config, args: &QueryArgs, filter: Filter) -> anyhow::Result<Done> {
    let words = Words {
        by: &args.stats.by,
        every: args.stats.every.as_deref(),
        measures: &args.stats.measure,
        top: args.stats.top,
        sort: args.stats.sort.as_deref(),
    };
    let asked = Asked::new(filter, &words, &scan::known()).map_err(exit::usage)?;
    let within = args.within()?;
    let mut inputs = Inputs::open(&args.sources, &args.access, config, within)?;
    let meter = Meter::of(&mut inputs);
    let (table, summary) = table(&asked, config, &inputs, within, Arc::new(|| true))?;
    let answer = asked.answer(table);
    let columns = answer.columns();
    let mut output = Output::stdout();
    if args.output == Format::Table {
        let head = columns.join("\t") + "\n";
        output.buffer().extend_from_slice(head.as_bytes());
    }
    for row in &answer.rows {
        let row = answer.json(row);
        let line = match args.output {
            Format::Jsonl => serde_json::Value::from(row).to_string(),
            Format::Table => cells(columns.iter().map(|name| row.get(name))),
        };
        output.buffer().extend_from_slice((line + "\n").as_bytes());
        if !output.spill() {
            break;
        }
    }
    output.finish()?;
    if answer.more > 0 {
        tracing::info!("{} more groups are not shown", answer.more);
    }
    if answer.other.count > 0 {
        tracing::warn!(
            "there are more than {MOST_GROUPS} groups: {} of {} entries were counted as others, and the groups that are shown may have more than they show; group by less, or narrow the filter",
            answer.other.count,
            answer.total.count
        );
    }
    scan::report(&summary);
    meter.say();
    summary.outcome()?;
    Ok(if answer.total.count == 0 {
        Done::Nothing
    } else {
        Done::Ok
    })
}

/// A row of a table; a tab or line end of the traffic must not make a column or row.
fn cells<'v>(values: impl Iterator<Item = Option<&'v serde_json::Value>>) -> String {
    let cells = values.map(|value| match value {
        None | Some(serde_json::Value::Null) => "-".to_owned(),
        Some(serde_json::Value::String(text)) => {
            let plain = |c: char| if c.is_ascii_control() { ' ' } else { c };
            text.chars().map(plain).collect()
        }
        Some(other) => other.to_string(),
    });
    cells.collect::<Vec<_>>().join("\t")
}

fn asked_by(query: &StatsQuery) -> Result<Asked, NoStats> {
    let words = Words {
        by: &query.by,
        every: query.every.as_deref(),
        measures: &query.measures,
        top: query.top,
        sort: query.sort.as_deref(),
    };
    let asked = Asked::new(query.filter.clone(), &words, &scan::known());
    asked.map_err(|error| NoStats::Wrong(format!("{error:#}")))
}

/// The answer of `/api/stats` over recordings.
pub fn of_recorded(
    query: &StatsQuery,
    config: &Config,
    inputs: &Inputs,
    (since, until): (i64, i64),
) -> Result<Vec<u8>, NoStats> {
    let failed = |error: anyhow::Error| Refused(format!("{error:#}"));
    let asked = asked_by(query)?;
    let within = (query.since.max(since), query.until.min(until));
    let gone = Arc::clone(&query.gone);
    let goes_on = Arc::new(move || !gone.load(Ordering::Relaxed));
    let (table, summary) = table(&asked, config, inputs, within, goes_on).map_err(failed)?;
    summary.outcome().map_err(failed)?;
    Ok(json(&asked.answer(table)))
}

/// The answer of `/api/stats` over live entries.
pub fn of_live(query: &StatsQuery, entries: &[Arc<OwnedEntry>]) -> Result<Vec<u8>, NoStats> {
    let asked = asked_by(query)?;
    let mut table = Table::new(Arc::clone(&asked.of));
    let mut arena = Bump::new();
    for owned in entries {
        owned.with(&arena, |entry| {
            let began = entry.common.ts;
            let within = query.since <= began && (began < query.until || query.until == i64::MAX);
            if within && asked.filter.matches(entry) {
                asked.add(entry, &mut table);
            }
        });
        arena.reset();
        if query.gone.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(json(&asked.answer(table)))
}

fn json(answer: &Answer) -> Vec<u8> {
    let totals = |totals| serde_json::Map::from_iter(answer.measured(totals));
    let rows = answer.rows.iter().map(|row| answer.json(row));
    let other = (answer.other.count > 0).then(|| totals(&answer.other));
    let json = serde_json::json!({
        "columns": answer.columns(),
        "rows": rows.collect::<Vec<_>>(),
        "more": answer.more,
        "other": other,
        "otherEntries": answer.other.count,
        "total": totals(&answer.total),
        "entries": answer.total.count,
    });
    json.to_string().into_bytes()
}
