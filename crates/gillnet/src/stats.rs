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
use gillnet_api::{LiveStore, News, NoStats, Refused, Speech, StatsQuery};
use gillnet_bucket::index::aggregate::{
    Aggregation, Answer, Exchange, Filtered, Key, MOST_GROUPS, Measure, Scalar, Sort, Table,
};
use gillnet_bucket::index::{KnownProtocol, Question, on_rows};
use gillnet_entry::time::Rfc3339;
use gillnet_entry::{Bump, Entry, OwnedEntry};
use gillnet_kfl::rows::RowFilter;
use gillnet_kfl::{Filter, Options, Seen, refine};
use gillnet_pipeline::{Consumer, Counters, Matched, Want};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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

/// Who waits for an answer.
#[derive(Clone)]
struct Waiting {
    /// Whether anybody does.
    goes_on: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Shown what is known so far.
    news: Option<Arc<dyn Fn(Table) + Send + Sync>>,
}

/// Time between two looks at what is known so far.
const NEWS: Duration = Duration::from_millis(500);

/// Adds up what packets give.
struct Adds {
    asked: Asked,
    table: Arc<Mutex<Table>>,
    waiting: Waiting,
    told: Instant,
}

impl Consumer for Adds {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let mut table = lock(&self.table);
        self.asked.add(entry, &mut table);
        if let Some(news) = &self.waiting.news
            && self.told.elapsed() >= NEWS
        {
            let known = table.clone();
            drop(table);
            news(known);
            self.told = Instant::now();
        }
        (self.waiting.goes_on)()
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
        let index = group.index(None).unwrap_or_else(|error| {
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
        Ok(match index.aggregate(&question, &asked.of, goes_on) {
            Ok((part, cost)) => {
                tracing::debug!(rows = cost.rows, bytes = cost.bytes, "an index was read");
                Some(part)
            }
            Err(error) => {
                tracing::warn!("{error}; the packets are read instead");
                None
            }
        })
    }
}

/// Adds up all entries of some inputs that a filter matches and that began in a span of time.
fn table(
    asked: &Asked,
    config: &Config,
    inputs: &Inputs,
    within: (i64, i64),
    waiting: &Waiting,
) -> anyhow::Result<(Table, Summary)> {
    let goes_on = &waiting.goes_on;
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
            .map(|index| index.part(&group, asked, &**goes_on))
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
        limit: None,
        strict: false,
        stream: None,
        among: None,
    };
    let summary = scan.run_groups(rest, &mut || {
        Box::new(Adds {
            asked: asked.clone(),
            table: Arc::clone(&table),
            waiting: waiting.clone(),
            told: Instant::now(),
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
    let waiting = Waiting {
        goes_on: Arc::new(|| true),
        news: None,
    };
    let (table, summary) = table(&asked, config, &inputs, within, &waiting)?;
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
    inputs.ended(if answer.total.count == 0 {
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
    speech: &Arc<Speech>,
    config: &Config,
    inputs: &Inputs,
    (since, until): (i64, i64),
) -> Result<Vec<u8>, NoStats> {
    let failed = |error: anyhow::Error| Refused(format!("{error:#}"));
    let asked = asked_by(query)?;
    let within = (query.since.max(since), query.until.min(until));
    let told = query.news.clone().map(|News(tell)| {
        let shown = Shows::new(&asked, query, speech);
        Arc::new(move |table| tell(shown.json(table, &[], true)))
            as Arc<dyn Fn(Table) + Send + Sync>
    });
    let gone = Arc::clone(&query.gone);
    let waiting = Waiting {
        goes_on: Arc::new(move || !gone.load(Ordering::Relaxed)),
        news: told,
    };
    let (table, summary) = table(&asked, config, inputs, within, &waiting).map_err(failed)?;
    summary.outcome().map_err(failed)?;
    let mut notes = summary.faults;
    if notes.len() > FAULTS {
        let more = notes.len() - FAULTS;
        notes.truncate(FAULTS);
        notes.push(format!("{more} more faults of this kind"));
    }
    notes.extend(lost(&summary.counters, "in what was read"));
    Ok(Shows::new(&asked, query, speech).json(table, &notes, false))
}

/// Faults that are told one by one.
const FAULTS: usize = 10;

/// What was wanted and is not there.
fn lost(counters: &Counters, place: &str) -> Option<String> {
    let drops = counters.drops.iter();
    let lost = drops.filter(|(reason, count)| *count > 0 && reason.is_loss());
    let lost: Vec<String> = lost
        .map(|(reason, count)| format!("{} {count}", reason.name()))
        .collect();
    (!lost.is_empty()).then(|| format!("not everything was seen {place}: {}", lost.join(", ")))
}

/// The answer of `/api/stats` over live entries.
pub fn of_live(
    query: &StatsQuery,
    speech: &Arc<Speech>,
    store: &LiveStore,
    counters: &Counters,
) -> Result<Vec<u8>, NoStats> {
    let asked = asked_by(query)?;
    let mut table = Table::new(Arc::clone(&asked.of));
    let mut arena = Bump::new();
    let (entries, gone) = (store.all(), store.gone());
    for owned in &entries {
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
    let mut notes = Vec::new();
    if let Some(oldest) = oldest(&entries).filter(|oldest| gone > 0 && query.since < *oldest) {
        notes.push(format!(
            "the live view keeps the newest entries: {gone} from before {} are gone",
            Rfc3339(oldest)
        ));
    }
    notes.extend(lost(counters, "since the start"));
    Ok(Shows::new(&asked, query, speech).json(table, &notes, false))
}

/// When the first of some entries began.
pub fn oldest(entries: &[Arc<OwnedEntry>]) -> Option<i64> {
    entries.iter().map(|entry| entry.ts).min()
}

/// How an answer of the API is shown.
struct Shows {
    asked: Asked,
    filters: Option<Filters>,
}

/// What is needed to write filters that narrow to a group.
struct Filters {
    speech: Arc<Speech>,
    text: String,
    options: Options,
    /// By what is grouped.
    called: Vec<Filtered>,
}

impl Shows {
    fn new(asked: &Asked, query: &StatsQuery, speech: &Arc<Speech>) -> Shows {
        // what is hidden can't be asked for
        let filters = (query.filters && asked.hidden.is_none()).then(|| {
            let known = scan::known();
            Filters {
                speech: Arc::clone(speech),
                text: query.filter.text().to_owned(),
                options: Options {
                    lang: query.lang,
                    lenient: false,
                    now: scan::now(),
                },
                called: asked.of.by.iter().map(|key| key.filtered(&known)).collect(),
            }
        });
        Shows {
            asked: asked.clone(),
            filters,
        }
    }

    fn json(&self, table: Table, notes: &[String], partial: bool) -> Vec<u8> {
        let answer = self.asked.answer(table);
        let totals = |totals| serde_json::Map::from_iter(answer.measured(totals));
        let rows = answer.rows.iter().map(|row| answer.json(row));
        let other = (answer.other.count > 0).then(|| totals(&answer.other));
        let mut json = serde_json::json!({
            "columns": answer.columns(),
            "rows": rows.collect::<Vec<_>>(),
            "more": answer.more,
            "other": other,
            "otherEntries": answer.other.count,
            "total": totals(&answer.total),
            "entries": answer.total.count,
            "partial": partial,
            "notes": notes,
        });
        if let Some(filters) = &self.filters {
            let of = answer.rows.iter().map(|row| filters.of(&row.key));
            json["filters"] = of.collect();
        }
        json.to_string().into_bytes()
    }
}

impl Filters {
    /// The filters that have a group alone, and all but it; null where there is none.
    fn of(&self, key: &[Scalar]) -> serde_json::Value {
        let mut only = Some(self.text.clone());
        for (called, value) in self.called.iter().zip(key) {
            only = only.and_then(|text| self.refined(&text, called, value, false));
        }
        let without = match (&*self.called, key) {
            ([called], [value]) => self.refined(&self.text, called, value, true),
            _ => None,
        };
        serde_json::json!({"only": only, "without": without})
    }

    fn refined(
        &self,
        text: &str,
        called: &Filtered,
        value: &Scalar,
        without: bool,
    ) -> Option<String> {
        let seen = match (called, value) {
            (Filtered::Protocol, Scalar::Text(name)) => Seen::Protocol(name),
            (
                Filtered::Field {
                    kfl1,
                    kfl2,
                    optional,
                },
                value,
            ) if *value != Scalar::Nothing => {
                let is_usual = matches!(value, Scalar::Int(0) | Scalar::Bool(false));
                Seen::Value {
                    kfl1: kfl1.as_deref(),
                    kfl2: kfl2.as_deref().filter(|_| !(*optional && is_usual)),
                    value: value.value(),
                }
            }
            _ => return None,
        };
        refine(&self.speech.env, text, &self.options, &seen, without)
    }
}
