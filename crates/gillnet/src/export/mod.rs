//! `gillnet export`: what a filter matches as one capture in the order of time, or as entries in one file.

mod capture;
mod entries;
mod frames;
mod har;
mod part;
mod ring;
mod select;
mod served;
mod sorter;

use crate::cli::{self, ExportArgs, ExportFormat, Shared};
use crate::columns::Column;
use crate::config::Config;
use crate::exit::{self, Done};
use crate::inputs::{Inputs, Pending};
use crate::printer::{Columns, Shape};
use crate::query::USUAL;
use crate::scan;
use entries::Rows;
use gillnet_bucket::StreamSet;
use gillnet_bucket::packets::StreamId;
use gillnet_kfl::Filter;
use part::Target;
pub use ring::Running;
use serde::{Deserialize, Serialize};
pub use served::{of_live, of_recorded};
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Faults that are told one by one.
const FAULTS: usize = 20;

/// Asks an export to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether it was asked to.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl From<Arc<AtomicBool>> for Stop {
    fn from(asked: Arc<AtomicBool>) -> Stop {
        Stop(asked)
    }
}

/// What an export came to.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Came {
    /// Packets or entries that were written.
    written: u64,
    /// Streams whose beginning is missing.
    truncated: u64,
    /// Packets of objects that are gone.
    gone: u64,
    /// Streams that were asked for and are nowhere.
    unknown: Vec<String>,
    /// Packets that have no form on Ethernet.
    no_ethernet: u64,
    /// Entries that are none of HTTP.
    no_http: u64,
    /// Entries that an archive can't have, as the payload of their packets was not recorded.
    #[serde(default)]
    unrecorded: u64,
    /// Packets that were not recorded.
    #[serde(default)]
    never: u64,
    /// Streams of whose packets only the beginnings were recorded.
    #[serde(default)]
    cut: u64,
    /// What could not be read.
    faults: u64,
    told: Vec<String>,
}

impl Came {
    /// Counts what could not be read; what was told before an interruption is told again after it.
    fn fault(&mut self, fault: String) {
        if self.told.contains(&fault) {
            return;
        }
        self.faults += 1;
        if self.told.len() < FAULTS {
            self.told.push(fault);
        }
    }

    /// Whether something is not there that should be.
    fn is_incomplete(&self) -> bool {
        self.faults + self.gone + self.unrecorded + self.never > 0 || !self.unknown.is_empty()
    }

    fn say(&self, what: &str) {
        for note in self.notes() {
            tracing::warn!("{note}");
        }
        tracing::info!("{} {what} written", self.written);
    }

    /// What is not in it, for people.
    fn notes(&self) -> Vec<String> {
        let mut notes = self.told.clone();
        if self.faults > self.told.len() as u64 {
            notes.push(format!(
                "{} more of this kind",
                self.faults - self.told.len() as u64
            ));
        }
        if !self.unknown.is_empty() {
            notes.push(format!("not found: {}", self.unknown.join(", ")));
        }
        for (count, of) in [
            (self.gone, "packets are missing: their objects are gone"),
            (
                self.truncated,
                "streams are not whole: see the comments of their first packets (pcapng)",
            ),
            (
                self.no_ethernet,
                "packets have no form on Ethernet and are left out; pcapng takes them",
            ),
            (self.no_http, "entries are none of HTTP and are left out"),
            (
                self.unrecorded,
                "entries are left out, as the payload of their packets was not recorded; jsonl and csv have what the index has of them",
            ),
            (
                self.never,
                "packets are missing: they were not recorded (payload: none)",
            ),
            (
                self.cut,
                "streams have only the beginnings of their packets: their payload was not recorded",
            ),
        ] {
            if count > 0 {
                notes.push(format!("{count} {of}"));
            }
        }
        notes
    }
}

/// Runs the command.
pub fn run(shared: &Shared, args: &ExportArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let filter = shared.filter(&config, &args.kfl, &args.language)?;
    let bounded = cli::speech(&config)?.bounded(filter, scan::now());
    let filter = bounded.map_err(|errors| exit::usage(anyhow::Error::new(errors)))?;
    let format = args.format()?;
    let streams = streams(&args.streams)?;
    is_allowed(format, &filter)?;
    let to_stdout = args.out.as_os_str() == "-";
    if to_stdout && format.is_capture() && std::io::stdout().is_terminal() {
        return Err(exit::usage(anyhow::anyhow!(
            "a capture is nothing for a terminal; give --out FILE, or pipe it on: … | wireshark -k -i -"
        )));
    }
    let question = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"), "kfl": args.kfl, "global": config.tap.global_filter, "lang": format!("{:?}", args.language),
        "sources": args.sources, "format": format.to_string(), "streams": args.streams, "columns": args.columns,
        "since": args.time.since, "until": args.time.until,
    });
    let rows = rows(format, &args.columns, &filter)?;
    let (mut target, noted) = match to_stdout {
        true => (Target::writer(std::io::stdout()), None),
        false => Target::file(&args.out, question)?,
    };
    let stop = stop_on_signals();
    let within = match noted.as_ref().and_then(|noted| noted.get("within")) {
        // `2h` is two hours before the first time that it was asked
        Some(within) => serde_json::from_value(within.clone())?,
        None => args.time.within()?,
    };
    let inputs = Inputs::open(&args.sources, &args.access, &config, within)?;
    let groups = inputs.readings_for(&filter)?;
    let sources: Vec<String> = groups.iter().map(Pending::state).collect();
    let noted = noted.filter(|noted| noted.get("sources") == Some(&serde_json::json!(sources)));
    if noted.is_none() && !target.is_empty() {
        target.start_over("its sources have changed")?;
    }
    let asked = Export {
        config: &config,
        filter,
        streams,
        within,
        sources,
        cache: inputs.cache(),
        stop,
    };
    let done = asked.to(format, rows, groups, target, noted);
    // what is left of a folder for unpacked packets goes with it
    let _ = std::fs::remove_dir(inputs.cache());
    inputs.ended(done?)
}

/// Packets would show what a filter hides.
fn is_allowed(format: ExportFormat, filter: &Filter) -> anyhow::Result<()> {
    if format.is_capture() && filter.redacts() {
        return Err(exit::usage(anyhow::anyhow!(
            "redact() hides values of entries, and packets have them all; export har, jsonl or csv instead"
        )));
    }
    Ok(())
}

/// An export that is under way.
struct Export<'a> {
    config: &'a Config,
    filter: Filter,
    streams: Option<Arc<StreamSet>>,
    within: (i64, i64),
    sources: Vec<String>,
    cache: &'a Path,
    stop: Stop,
}

impl Export<'_> {
    fn to(
        self,
        format: ExportFormat,
        rows: Option<Rows>,
        groups: Vec<Pending>,
        mut target: Target,
        noted: Option<serde_json::Value>,
    ) -> anyhow::Result<Done> {
        target.notes(serde_json::json!({"within": self.within, "sources": self.sources}));
        let limit = self.filter.limit();
        if limit.is_some() {
            tracing::warn!("limit() counts what is shown; an export has all of it");
        }
        let stop = self.stop.clone();
        let at = noted.and_then(|mut noted| Some(noted.get_mut("at")?.take()));
        let (mut target, what, result) = self.write(format, rows, groups, target, at)?;
        let part = target.part().map(|part| part.display().to_string());
        let goes_on = || {
            if let Some(part) = &part {
                tracing::warn!("{part} has what was written; the same command goes on with it");
            }
        };
        let (came, at) = match result {
            Ok(done) => done,
            Err(error) if is_closed(&error) => return Ok(Done::Ok),
            Err(error) => {
                goes_on();
                return Err(error);
            }
        };
        if stop.is_set() {
            target.note(at)?;
            goes_on();
            return Ok(Done::Interrupted);
        }
        came.say(what);
        if came.written == 0 {
            target.discard()?;
            return Ok(if came.is_incomplete() {
                Done::Refused
            } else {
                Done::Nothing
            });
        }
        match target.finish() {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(error.into());
            }
            _ => {}
        }
        Ok(if came.is_incomplete() {
            Done::Refused
        } else {
            Done::Ok
        })
    }

    /// Writes what was asked for from where it goes on. Gives back the target, what is counted, and what it came to with
    /// where it would go on.
    #[allow(clippy::type_complexity)] // three different things, taken apart at once
    fn write(
        self,
        format: ExportFormat,
        rows: Option<Rows>,
        groups: Vec<Pending>,
        mut target: Target,
        at: Option<serde_json::Value>,
    ) -> anyhow::Result<(
        Target,
        &'static str,
        anyhow::Result<(Came, serde_json::Value)>,
    )> {
        let Some(rows) = rows else {
            let from = at.is_some();
            let at: capture::At = at.map_or(Ok(Default::default()), serde_json::from_value)?;
            let from = if from { at.from() } else { i64::MIN };
            let (asked, kind) = self.packets(format, from);
            let result = asked.pick(groups);
            let result =
                result.and_then(|picked| capture::export(&asked, kind, picked, &mut target, at));
            let result = result.and_then(|(came, at)| Ok((came, serde_json::to_value(at)?)));
            return Ok((target, "packets", result));
        };
        let asked = self.entries();
        let at: entries::At = at.map_or(Ok(Default::default()), serde_json::from_value)?;
        let is_har = matches!(rows, Rows::Har);
        let (mut target, at, failed) = entries::export(&asked, rows, groups, target, at);
        let noted = serde_json::to_value(&at)?;
        let result = match failed {
            None => Ok((at.came(), noted)),
            Some(error) => {
                // where the target is what failed, it starts over from what was noted before
                let _ = target.note(noted);
                Err(error)
            }
        };
        if is_har && result.is_ok() && !asked.stop.is_set() && !target.is_empty() {
            target.buffer().extend_from_slice(har::TAIL.as_bytes());
        }
        Ok((target, "entries", result))
    }
}

impl<'a> Export<'a> {
    /// What entries are asked for.
    fn entries(self) -> entries::Asked<'a> {
        entries::Asked {
            config: self.config,
            filter: self.filter,
            streams: self.streams,
            within: self.within,
            stop: self.stop,
        }
    }

    /// What packets are asked for, none before a turn.
    fn packets(self, format: ExportFormat, from: i64) -> (select::Asked<'a>, capture::Format) {
        let everything = self.filter.text().trim().is_empty() && self.filter.outer().is_none();
        let (kind, named) = match format {
            ExportFormat::Pcap => (capture::Format::Pcap, false),
            _ => (capture::Format::Pcapng, true),
        };
        let asked = select::Asked {
            config: self.config,
            filter: self.filter,
            everything,
            streams: self.streams,
            within: self.within,
            named,
            cache: self.cache,
            from,
            stop: self.stop,
        };
        (asked, kind)
    }
}

/// Whether a reader has gone, which is no failure.
fn is_closed(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Streams by their names: `000000017720.pcap`, or without its end.
fn streams(names: &[String]) -> anyhow::Result<Option<Arc<StreamSet>>> {
    let mut set = StreamSet::default();
    for name in names {
        let whole = if name.ends_with(".pcap") {
            name.clone()
        } else {
            format!("{name}.pcap")
        };
        let id = StreamId::parse(&whole).ok_or_else(|| {
            exit::usage(anyhow::anyhow!(
                "`{name}` is no stream; write 000000017720.pcap, of UDP 000000025277_udp.pcap"
            ))
        })?;
        set.insert(id);
    }
    Ok((!set.is_empty()).then(|| Arc::new(set)))
}

/// How entries are written; nothing where packets are.
fn rows(format: ExportFormat, columns: &[String], filter: &Filter) -> anyhow::Result<Option<Rows>> {
    if !columns.is_empty() && !matches!(format, ExportFormat::Csv | ExportFormat::Jsonl) {
        return Err(exit::usage(anyhow::anyhow!(
            "--columns is for csv and jsonl; {format} has no columns"
        )));
    }
    let found = |names: &mut dyn Iterator<Item = &str>| -> anyhow::Result<Vec<Column>> {
        let find = match format {
            ExportFormat::Csv => Column::find_flat,
            _ => Column::find,
        };
        let columns = names.map(find).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(exit::usage)?;
        match columns
            .iter()
            .find(|column| filter.redacts() && !column.is_shown())
        {
            None => Ok(columns),
            Some(column) => Err(exit::usage(anyhow::anyhow!(
                "the column `{}` is not part of the entry's JSON, so it cannot be shown where redact() hides values",
                column.name
            ))),
        }
    };
    let asked = found(&mut columns.iter().map(String::as_str))?;
    Ok(match format {
        ExportFormat::Pcap | ExportFormat::Pcapng => None,
        ExportFormat::Har => Some(Rows::Har),
        ExportFormat::Jsonl if asked.is_empty() => Some(Rows::Jsonl(Shape::Whole(Box::default()))),
        ExportFormat::Jsonl => Some(Rows::Jsonl(Shape::Columns(Columns::new(asked)))),
        ExportFormat::Csv if asked.is_empty() => Some(Rows::Csv(found(&mut USUAL.into_iter())?)),
        ExportFormat::Csv => Some(Rows::Csv(asked)),
    })
}

/// Asks to stop at the first signal; the second one ends the process at once.
fn stop_on_signals() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    std::thread::spawn(move || {
        let Ok(runtime) = runtime else {
            return; // signals end the process as they do without this
        };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let signals = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            );
            let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
                return;
            };
            for _ in 0..2 {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if asked.is_set() {
                    std::process::exit(130);
                }
                asked.set();
            }
        });
    });
    stop
}
