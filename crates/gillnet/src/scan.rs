//! Reads captures and recordings through the pipeline: the road of `query`, `debug` and `tap --pcap`.

use crate::cli;
use crate::config::Config;
use crate::exit;
use crate::inputs::{Inputs, Left, Pending, Reading};
use gillnet_api::StreamKey;
use gillnet_bucket::index::{Cost, KnownProtocol, Question, columns_of, is_within, on_rows};
use gillnet_bucket::layout::Hour;
use gillnet_bucket::{Answered, Group, GroupIndex, StreamSet, ask_by_time};
use gillnet_capture::{Error, Event, Interface, Ring, Source, SourceStats, Store};
use gillnet_entry::{Entry, Origin};
use gillnet_kfl::rows::{self, RowFilter};
use gillnet_names::Names;
use gillnet_pipeline::{
    Consumer, Control, Counters, Ended, FrameTap, Keep, Matched, Plan, Shard, ShardConfig, Want,
    run,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Ring for sources that are not mapped: compressed files, archives, standard input.
const RING: u64 = 256 << 20;

/// What is read out of the inputs.
pub struct Scan<'c> {
    /// The configuration: names, limits.
    pub config: &'c Config,
    /// What is wanted.
    pub wants: Vec<Want>,
    /// Only entries that began in this span, ns.
    pub within: (i64, i64),
    /// Sees the frames of wanted flows.
    pub tap: Option<Box<dyn FnMut() -> FrameTap + 'c>>,
    /// What is needed of an entry.
    pub needs: Needs,
    /// How many entries the consumer takes at most: of a recording with an index not much more is then read than these.
    pub limit: Option<u64>,
    /// Whether a fault of the way to the packets ends the reading: it is no damage of what is read, and later it may work.
    pub strict: bool,
    /// The only stream that is wanted: of a recording with an index nothing else is fetched.
    pub stream: Option<&'c StreamKey>,
    /// Of all that processes recorded, only what these did; see [`Pending::recorder`].
    pub among: Option<&'c HashSet<String>>,
}

/// What is needed of an entry: where its packets are not, an index that decides the filter is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// That there is one.
    Count,
    /// What a list shows of it.
    Row,
    /// That, and these columns of protocols, by their names in an index.
    Columns(Vec<String>),
    /// All of it.
    Packets,
}

/// What reading came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Counters of all shards.
    pub counters: Counters,
    /// Faults after which reading went on.
    pub faults: Vec<String>,
    /// Why reading stopped early.
    pub failed: Option<String>,
    /// Whether that was because something is not reachable or not allowed.
    unreachable: bool,
    /// Entries that were shown as an index has them, since the payload of their packets was not recorded.
    pub unrecorded: u64,
}

impl Summary {
    /// Says what is wrong, and goes on.
    fn fault(&mut self, what: String) {
        tracing::warn!("{what}");
        self.faults.push(what);
    }

    /// Why reading stopped early.
    pub fn failure(&self) -> Option<anyhow::Error> {
        let error = anyhow::anyhow!("{}", self.failed.as_ref()?);
        Some(match self.unreachable {
            true => exit::unreachable(error),
            false => error,
        })
    }

    /// A failure where nothing could be read at all, or reading stopped early.
    pub fn outcome(&self) -> anyhow::Result<()> {
        match &self.failed {
            Some(failed) => Err(anyhow::anyhow!("{failed}")),
            None if self.counters.frames + self.counters.entries == 0
                && !self.faults.is_empty() =>
            {
                Err(anyhow::anyhow!("no frame could be read (see above)"))
            }
            None => Ok(()),
        }
    }
}

impl Scan<'_> {
    /// Reads all inputs; a new consumer is made for each group of recordings, one after the other.
    pub fn run(
        self,
        inputs: &Inputs,
        consumer: &mut dyn FnMut() -> Box<dyn Consumer>,
    ) -> anyhow::Result<Summary> {
        let groups = match &*self.wants {
            [only] => inputs.readings_for(&only.filter)?,
            _ => inputs.readings()?,
        };
        self.run_groups(groups, consumer)
    }

    /// Reads some groups.
    pub fn run_groups(
        mut self,
        groups: Vec<Pending>,
        consumer: &mut dyn FnMut() -> Box<dyn Consumer>,
    ) -> anyhow::Result<Summary> {
        let mut summary = Summary::default();
        let wants = std::mem::take(&mut self.wants);
        let indexed = Indexed::new(
            self.config,
            &wants,
            self.within,
            self.needs.clone(),
            self.limit,
        )?;
        let plan = Arc::new(Plan::new(wants, 1));
        for mut group in groups {
            let (mut since, until) = self.within;
            if let (Some(among), Some(recorder)) = (self.among, group.recorder())
                && !among.contains(&recorder)
            {
                continue;
            }
            if let Some(key) = self.stream {
                let cut = group.cut();
                let Some(left) = group.only(key) else {
                    continue;
                };
                if let (Some(cut), Some(indexed)) = (cut, &indexed)
                    && !left.unrecorded.is_empty()
                {
                    match cut.index(None) {
                        Ok(None) => {}
                        Ok(Some((index, origin))) => {
                            let of = (&index, &*origin);
                            if !indexed.unrecorded(of, &left, &mut *consumer(), &mut summary) {
                                break;
                            }
                        }
                        Err(error) => summary.fault(error.to_string()),
                    }
                }
                match left.pending {
                    Some(pending) => group = pending,
                    None => continue,
                }
            } else if let Some(indexed) = indexed.as_ref().filter(|of| of.is_asked(&group)) {
                let asked = indexed.read(group, &mut *consumer(), &mut summary);
                match asked {
                    Asked::Answered => continue,
                    Asked::Ended => break,
                    Asked::Read(rest, from) => (group, since) = (rest, since.max(from)),
                    Asked::Parts(whole, from, limit) => {
                        since = since.max(from);
                        let mut parts = Parts {
                            group: &whole,
                            indexed,
                            since,
                            wanted: Some(limit),
                        };
                        let mut goes_on = true;
                        while goes_on && let Some((part, span)) = parts.next(&mut summary) {
                            goes_on = self.pass(part, span, &plan, consumer, &mut summary)?;
                        }
                        match (goes_on, parts.wanted) {
                            (false, _) => break,
                            (true, None) => continue,
                            (true, Some(_)) => since = parts.since,
                        }
                        group = whole;
                    }
                }
            }
            if !self.pass(group, (since, until), &plan, consumer, &mut summary)? {
                break;
            }
        }
        Ok(summary)
    }

    /// Reads the packets of a group, of entries that began in a span of time; `false` where no more is to be read.
    fn pass(
        &mut self,
        group: Pending,
        span: (i64, i64),
        plan: &Arc<Plan>,
        consumer: &mut dyn FnMut() -> Box<dyn Consumer>,
        summary: &mut Summary,
    ) -> anyhow::Result<bool> {
        let reading = match group.read() {
            Ok(reading) => reading,
            Err(error) => {
                summary.failed = Some(format!("{error:#}"));
                return Ok(false);
            }
        };
        let named = cli::names(self.config, false);
        let names = Arc::new(Names::new(named).map_err(exit::usage)?);
        let enough: Arc<AtomicBool> = Arc::default();
        let within = Within {
            inner: consumer(),
            span,
            enough: Arc::clone(&enough),
        };
        let tap = self.tap.as_mut().map(|make| make());
        let goes_on = self.read(reading, plan, names, Box::new(within), tap, summary)?;
        // the last that was wanted may have come at the end of the packets
        Ok(goes_on && !enough.load(Ordering::Relaxed))
    }

    /// Shows what a page may have of recordings with an index of many files, of which it reads no more than it has to:
    /// those of the latest time first where `latest` says so, and none of a span of time that is not `wanted`. `false`
    /// where that does not do: then all is to be read.
    pub fn page(
        self,
        groups: &[Pending],
        latest: bool,
        wanted: &mut dyn FnMut((i64, i64)) -> bool,
        consumer: &mut dyn Consumer,
    ) -> anyhow::Result<bool> {
        let Some(groups) = large(groups) else {
            return Ok(false);
        };
        let indexed = Indexed::new(
            self.config,
            &self.wants,
            self.within,
            self.needs,
            self.limit,
        )?;
        let indexed = indexed.filter(|indexed| indexed.tells && indexed.needs == Needs::Row);
        let Some(indexed) = indexed else {
            return Ok(false);
        };
        let asked: Vec<_> = groups
            .iter()
            .map(|(group, origin)| (*group, indexed.question(origin)))
            .collect();
        let asked = ask_by_time(&asked, latest, wanted, &mut |found| {
            consumer.entry(found.entry, 1)
        });
        Ok(match asked {
            Some(Answered {
                cost,
                rest: None,
                failure: None,
            }) => {
                told(cost);
                true
            }
            // what is wrong is said by who reads all
            _ => false,
        })
    }

    /// Reads one source that is open.
    pub fn run_on(
        mut self,
        reading: Reading,
        consumer: Box<dyn Consumer>,
    ) -> anyhow::Result<Summary> {
        let mut summary = Summary::default();
        let plan = Arc::new(Plan::new(std::mem::take(&mut self.wants), 1));
        let names = Names::new(cli::names(self.config, false)).map_err(exit::usage)?;
        let within = Within {
            inner: consumer,
            span: self.within,
            enough: Arc::default(),
        };
        let tap = self.tap.as_mut().map(|make| make());
        self.read(
            reading,
            &plan,
            Arc::new(names),
            Box::new(within),
            tap,
            &mut summary,
        )?;
        Ok(summary)
    }

    /// Reads one group; `false` where the consumer has enough.
    fn read(
        &self,
        reading: Reading,
        plan: &Arc<Plan>,
        names: Arc<Names>,
        consumer: Box<dyn Consumer>,
        tap: Option<FrameTap>,
        summary: &mut Summary,
    ) -> anyhow::Result<bool> {
        let Reading {
            mut source,
            origin,
            numbers,
            history,
        } = reading;
        for (place, json) in history {
            if let Err(error) = names.import(&json, i64::MIN, i64::MAX) {
                tracing::warn!("{place}: {error}");
                summary.faults.push(format!("{place}: {error}"));
            }
        }
        let broken = Broken::default();
        let mut consumer = consumer;
        if self.strict {
            let (of_source, of_entries) = (Arc::clone(&broken), Arc::clone(&broken));
            source = Box::new(Strict {
                inner: source,
                broken: of_source,
            });
            consumer = Box::new(UntilBroken {
                inner: consumer,
                broken: of_entries,
            });
        }
        let keep = match source.store() {
            Some(store) => Keep::Mapped(store),
            None => Keep::Ring(Ring::create(Some(&std::env::temp_dir()), RING)?),
        };
        let mut shard = Shard::new(ShardConfig {
            origin,
            numbers,
            tap,
            ..ShardConfig::new(Arc::clone(plan), names, keep, consumer)
        });
        let control = Control::default();
        let ended = run(&mut *source, &mut shard, &control, &mut |fault| {
            tracing::warn!("{fault}");
            summary.faults.push(fault.to_string());
        });
        let counters = control.board().read();
        summary.counters.add(&counters);
        drop(shard);
        if let Some(failed) = broken.get() {
            summary.failed = Some(failed.clone());
            summary.unreachable = true;
            return Ok(false);
        }
        match ended {
            Ended::Source => Ok(true),
            Ended::Stopped => Ok(false),
            Ended::Failed(error) => {
                summary.failed = Some(error.to_string());
                Ok(false)
            }
        }
    }
}

/// The protocols that an index is asked for.
pub fn known() -> Vec<KnownProtocol> {
    let known = (0..).zip(gillnet_protocols::REGISTRY);
    known
        .map(|(number, protocol)| KnownProtocol {
            number,
            schema: protocol.schema,
            infos: protocol.infos,
        })
        .collect()
}

/// Files of an index, at most, that are all read for each page of a list: it then says how many entries match in all.
const FEW_FILES: usize = 64;

/// The groups, where all of them have an index, and these are many files.
pub fn large(groups: &[Pending]) -> Option<Vec<(&Group, Arc<Origin>)>> {
    let groups: Option<Vec<_>> = groups.iter().map(Pending::indexed).collect();
    let files = |groups: &Vec<(&Group, _)>| -> usize {
        groups.iter().map(|(group, _)| group.index_files()).sum()
    };
    groups.filter(|groups| files(groups) > FEW_FILES)
}

/// What is asked of an index.
struct Indexed {
    known: Vec<KnownProtocol>,
    filter: RowFilter,
    within: (i64, i64),
    needs: Needs,
    /// How many entries are wanted, at most.
    limit: Option<u64>,
    /// Whether it is worth asking where there are packets.
    tells: bool,
}

/// What came of asking the index of a group.
enum Asked {
    /// All answers were in it.
    Answered,
    /// Nothing more is to be read.
    Ended,
    /// These packets have the answers that began at a moment (ns) or later; those before were given.
    Read(Pending, i64),
    /// The same where no more are wanted than so many: its parts have them, one after the other.
    Parts(Pending, i64, usize),
}

/// The parts of a group whose packets may have answers, the earliest first, until there are no more. Each has about twice as
/// many as the one before: a long stream is then not read again and again.
struct Parts<'p> {
    group: &'p Pending,
    indexed: &'p Indexed,
    /// Of what began before there is nothing more to read.
    since: i64,
    /// How many answers the next is to have; `None` where there is none.
    wanted: Option<usize>,
}

impl Parts<'_> {
    /// Where the filter needs the packets, at least so many are looked at for each of the few that are wanted.
    const LEAST: usize = 64;
    /// And at most, which bounds the memory that they take.
    const MOST: usize = 1 << 20;

    /// The next, and the span of time of its answers. `None` where there is none, and where the index can't be read, with
    /// what is left still [`wanted`](Self::wanted).
    fn next(&mut self, summary: &mut Summary) -> Option<(Pending, (i64, i64))> {
        let (group, origin) = self.group.indexed()?;
        let question = Question {
            shown: false,
            columns: &[],
            within: (self.since, self.indexed.within.1),
            ..self.indexed.question(&origin)
        };
        let wanted = match question.filter.is_whole() {
            true => self.wanted?,
            false => self.wanted?.max(Self::LEAST),
        };
        let part = group.earliest(&question, wanted.min(Self::MOST));
        let part = part.map_err(|error| tracing::warn!("{error}; the packets are read instead"));
        let part = part.ok()?;
        told(part.cost);
        let span = (self.since, part.until.unwrap_or(self.indexed.within.1));
        self.wanted = part.until.map(|_| wanted.saturating_mul(2));
        self.since = part.until.unwrap_or(self.since);
        let asked = part.streams.len();
        tracing::debug!(streams = asked, "an index left streams to be read");
        let mut left = self.group.near(part)?;
        summary.faults.append(&mut left.missing);
        Some((left.pending?, span))
    }
}

impl Indexed {
    /// `None` where several filters are asked.
    fn new(
        config: &Config,
        wants: &[Want],
        within: (i64, i64),
        needs: Needs,
        limit: Option<u64>,
    ) -> anyhow::Result<Option<Indexed>> {
        let [Want { filter, .. }] = wants else {
            return Ok(None);
        };
        // what is hidden is taken out of the whole entry
        let needs = match needs {
            Needs::Row | Needs::Columns(_) if filter.redacts() => Needs::Packets,
            needs => needs,
        };
        let known = known();
        let filter = on_rows(&cli::speech(config)?.env, &known, filter);
        let bound = !filter.columns().is_empty() || *filter.needs() != rows::Needs::Every;
        let spared = needs != Needs::Packets && filter.is_whole();
        Ok(Some(Indexed {
            known,
            filter,
            within,
            needs,
            limit,
            tells: bound || spared || limit.is_some(),
        }))
    }

    /// Whether the index of a group is to be asked.
    fn is_asked(&self, group: &Pending) -> bool {
        self.tells || matches!(group, Pending::Group(group) if group.is_cut())
    }

    fn question<'q>(&'q self, origin: &'q Origin) -> Question<'q> {
        Question {
            known: &self.known,
            filter: &self.filter,
            within: self.within,
            shown: matches!(self.needs, Needs::Row | Needs::Columns(_)),
            columns: match &self.needs {
                Needs::Columns(columns) => columns,
                _ => &[],
            },
            origin,
        }
    }

    /// Answers from the index of a group as far as that is enough, hour by hour, the earliest first. From where it is not,
    /// it says which of its streams may have an answer, and only their packets are left to read.
    fn read(&self, group: Pending, consumer: &mut dyn Consumer, summary: &mut Summary) -> Asked {
        let (mut since, mut shown) = (None, 0);
        if self.needs != Needs::Packets
            && let Some((of_process, origin)) = group.indexed()
        {
            let mut goes_on = true;
            let question = self.question(&origin);
            let asked = of_process.ask_by_time(&question, false, &mut |_| true, &mut |found| {
                shown += 1;
                goes_on = consumer.entry(found.entry, 1);
                goes_on
            });
            if let Some(answered) = asked {
                told(answered.cost);
                if let Some(error) = answered.failure {
                    tracing::warn!("{error}");
                    summary.faults.push(error.to_string());
                }
                since = answered.rest;
                if !goes_on || since.is_none() {
                    summary.counters.entries += shown;
                    return match goes_on {
                        true => Asked::Answered,
                        false => Asked::Ended,
                    };
                }
            }
        }
        let from = since.map_or(i64::MIN, Hour::start);
        if let Some(limit) = self.limit
            && group.indexed().is_some()
            && group.cut().is_none()
        {
            summary.counters.entries += shown;
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            return Asked::Parts(group, from, limit);
        }
        let index = group.index(since).unwrap_or_else(|error| {
            tracing::warn!("{error}; the packets are read instead");
            if group.cut().is_some() {
                summary.fault("entries are missing whose packets were recorded without payload: only their index has them, and a file of it can't be read".to_owned());
            }
            None
        });
        let Some((index, origin)) = index else {
            return Asked::Read(group, from);
        };
        let question = Question {
            shown: false,
            ..self.question(&origin)
        };
        let mut streams = StreamSet::default();
        let asked = index.ask(&question, &mut |found| {
            streams.insert(found.stream);
            true
        });
        match asked {
            Ok(cost) => {
                told(cost);
                // else all are counted as their packets are read
                summary.counters.entries += shown;
                let asked = streams.len();
                tracing::debug!(streams = asked, "an index left streams to be read");
                // what has no index is read whole
                let rest = match group.is_indexed() {
                    true => None,
                    false => group.cut(),
                };
                let mut left = group.only_those(streams);
                summary.faults.append(&mut left.missing);
                let of = (&index, &*origin);
                if !left.unrecorded.is_empty() && !self.unrecorded(of, &left, consumer, summary) {
                    return Asked::Ended;
                }
                let group = rest.or(left.pending);
                group.map_or(Asked::Answered, |group| Asked::Read(group, from))
            }
            Err(error) => {
                tracing::warn!("{error}; the packets are read instead");
                Asked::Read(group, from)
            }
        }
    }
}

impl Indexed {
    /// Shows the entries of streams whose packets' payload was not recorded, as the index has them; those that only their
    /// packets could tell are counted and named. `false` where the consumer has enough.
    fn unrecorded(
        &self,
        (index, origin): (&GroupIndex, &Origin),
        left: &Left,
        consumer: &mut dyn Consumer,
        summary: &mut Summary,
    ) -> bool {
        let origin = Origin {
            kept: false,
            unrecorded: true,
            ..origin.clone()
        };
        let all;
        let question = Question {
            shown: true,
            columns: match &self.needs {
                Needs::Packets => {
                    all = columns_of(&self.known);
                    &all
                }
                Needs::Columns(columns) => columns,
                _ => &[],
            },
            ..self.question(&origin)
        };
        let (decides, mut open, mut goes_on) = (index.decides(&question), 0_u64, true);
        let asked = index.ask(&question, &mut |found| {
            if !left.unrecorded.contains(found.stream) {
                return true;
            }
            if decides {
                summary.unrecorded += 1;
                summary.counters.entries += 1;
                goes_on = consumer.entry(found.entry, 1);
            } else {
                open += 1;
            }
            goes_on
        });
        match asked {
            Ok(cost) => told(cost),
            Err(error) => summary.fault(error.to_string()),
        }
        if open > 0 {
            let names: Vec<&str> = left.recordings.iter().map(String::as_str).collect();
            summary.fault(format!(
                "{open} entries may match, and only the payload of their packets could tell, which was not recorded (recording {}): they are not among the answers",
                names.join(", ")
            ));
        }
        goes_on
    }
}

fn told(cost: Cost) {
    tracing::debug!(rows = cost.rows, bytes = cost.bytes, "an index was read");
}

/// Why what is read cannot be reached any more.
type Broken = Arc<OnceLock<String>>;

/// A source that ends where it cannot be reached.
struct Strict {
    inner: Box<dyn Source>,
    broken: Broken,
}

impl Source for Strict {
    fn next(&mut self) -> Result<Event<'_>, Error> {
        if self.broken.get().is_some() {
            return Ok(Event::End);
        }
        match self.inner.next() {
            Err(error) if exit::is_unreachable(&error) => {
                self.broken.get_or_init(|| error.to_string());
                Ok(Event::End)
            }
            other => other,
        }
    }

    fn interfaces(&self) -> &[Interface] {
        self.inner.interfaces()
    }

    fn stats(&mut self) -> SourceStats {
        self.inner.stats()
    }

    fn store(&self) -> Option<Store> {
        self.inner.store()
    }
}

/// Takes no entry that is one only because its source has ended early.
struct UntilBroken {
    inner: Box<dyn Consumer>,
    broken: Broken,
}

impl Consumer for UntilBroken {
    fn entry(&mut self, entry: &Entry<'_>, matched: Matched) -> bool {
        self.broken.get().is_none() && self.inner.entry(entry, matched)
    }

    fn flush(&mut self) {
        self.inner.flush();
    }
}

/// Lets through what began within a span of time.
struct Within {
    inner: Box<dyn Consumer>,
    span: (i64, i64),
    /// Set where no more are wanted.
    enough: Arc<AtomicBool>,
}

impl Consumer for Within {
    fn entry(&mut self, entry: &Entry<'_>, matched: Matched) -> bool {
        if !is_within(entry.common.ts, self.span) {
            return true;
        }
        let goes_on = self.inner.entry(entry, matched);
        if !goes_on {
            self.enough.store(true, Ordering::Relaxed);
        }
        goes_on
    }

    fn flush(&mut self) {
        self.inner.flush();
    }
}

/// Says on standard error what was dropped, so that nothing is lost silently.
pub fn report(summary: &Summary) {
    let dropped: Vec<String> = summary
        .counters
        .drops
        .iter()
        .filter(|(reason, count)| *count > 0 && reason.is_loss())
        .map(|(reason, count)| format!("{} {count}", reason.name()))
        .collect();
    if !dropped.is_empty() {
        tracing::warn!("not everything was seen: {}", dropped.join(", "));
    }
    if summary.unrecorded > 0 {
        tracing::warn!(
            "{} entries are as the index has them: the payload of their packets was not recorded",
            summary.unrecorded
        );
    }
}

/// The wall clock in ns since the epoch.
pub fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
