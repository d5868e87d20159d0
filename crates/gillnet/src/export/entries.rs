//! An export of entries: JSON lines, CSV, or an HTTP Archive.

use super::part::Target;
use super::{Came, Stop, har};
use crate::columns::Column;
use crate::config::Config;
use crate::inputs::Pending;
use crate::lock::lock;
use crate::printer::{Shape, shown};
use crate::scan::{Needs, Scan};
use csv_core::{Terminator, WriteResult};
use gillnet_bucket::packets::StreamId;
use gillnet_bucket::{Selection, StreamSet};
use gillnet_entry::{Bump, Entry, OwnedEntry, Value, json};
use gillnet_kfl::Filter;
use gillnet_pipeline::{Consumer, Matched, Want};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// How entries are written.
pub enum Rows {
    Jsonl(Shape),
    Csv(Vec<Column>),
    Har,
}

/// What is asked for.
pub struct Asked<'a> {
    pub config: &'a Config,
    pub filter: Filter,
    pub streams: Option<Arc<StreamSet>>,
    pub within: (i64, i64),
    pub stop: Stop,
}

/// Where an export goes on.
#[derive(Clone, Default, Deserialize, Serialize)]
pub struct At {
    /// The source that was being read, and how many of its entries were taken.
    group: usize,
    taken: u64,
    came: Came,
}

impl At {
    /// What it came to up to here.
    pub fn came(&self) -> Came {
        self.came.clone()
    }
}

/// Writes entries while a shard has it.
struct Emit(Arc<Mutex<Emitting>>);

struct Emitting {
    target: Target,
    rows: Rows,
    redacting: Option<Filter>,
    streams: Option<Arc<StreamSet>>,
    at: At,
    /// Entries of the present source that are written already.
    skip: u64,
    stop: Stop,
    failed: Option<std::io::Error>,
}

impl Consumer for Emit {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let mut emitting = lock(&self.0);
        // what comes after is an entry only because reading ends early
        !emitting.stop.is_set() && emitting.entry(entry)
    }
}

impl Emitting {
    fn new(asked: &Asked<'_>, rows: Rows, target: Target, at: At) -> Emitting {
        Emitting {
            target,
            rows,
            redacting: asked.filter.redacts().then(|| asked.filter.clone()),
            streams: asked.streams.clone(),
            skip: at.taken,
            at,
            stop: asked.stop.clone(),
            failed: None,
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> bool {
        let id = StreamId {
            number: entry.common.stream,
            udp: entry.common.transport == gillnet_entry::Transport::Udp,
        };
        if self
            .streams
            .as_ref()
            .is_some_and(|streams| !streams.contains(id))
        {
            return true;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return true;
        }
        self.at.taken += 1;
        let first = self.target.is_empty();
        let out = self.target.buffer();
        match &mut self.rows {
            Rows::Jsonl(shape) => shape.write(entry, self.redacting.as_ref(), out),
            Rows::Csv(columns) => {
                if first {
                    let names = columns.iter().map(|column| column.name.clone());
                    row(names, out);
                }
                let shown = self.redacting.as_ref().map(|filter| shown(entry, filter));
                let cells = columns
                    .iter()
                    .map(|column| cell(column, entry, shown.as_ref()));
                row(cells, out);
            }
            Rows::Har if entry.common.origin.unrecorded => {
                self.at.came.unrecorded += 1;
                return true;
            }
            Rows::Har => {
                let mut whole = Vec::new();
                match &self.redacting {
                    Some(filter) => filter.write_json(entry, &mut whole),
                    None => json::write_entry(entry, &mut whole),
                }
                let whole = serde_json::from_slice(&whole).unwrap_or(serde_json::Value::Null);
                let Some(entry) = har::entry(&whole) else {
                    self.at.came.no_http += 1;
                    return true;
                };
                out.extend_from_slice(if first { har::head() } else { ",\n".into() }.as_bytes());
                out.extend_from_slice(entry.to_string().as_bytes());
            }
        }
        self.at.came.written += 1;
        let at = &self.at;
        let spilled = self
            .target
            .spill(|| serde_json::to_value(at).unwrap_or_default());
        if let Err(error) = spilled {
            self.failed = Some(error);
            return false;
        }
        true
    }
}

/// A value as a cell. A text that a spreadsheet would take for a formula gets an apostrophe before it: what strangers sent
/// must not be run where the file is opened.
fn cell(column: &Column, entry: &Entry<'_>, shown: Option<&serde_json::Value>) -> String {
    let text = match shown {
        Some(shown) => match column.shown(entry, shown) {
            serde_json::Value::Null => return String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => return other.to_string(),
        },
        None => match column.value(entry) {
            Value::Missing | Value::Null => return String::new(),
            Value::Str(text) => text.to_owned(),
            other => {
                let mut out = Vec::new();
                json::write_value(&other, &mut out);
                let out = String::from_utf8_lossy(&out).into_owned();
                // times, addresses and the like are texts in JSON
                match serde_json::from_str(&out) {
                    Ok(serde_json::Value::String(text)) => text,
                    _ => return out,
                }
            }
        },
    };
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{text}"),
        false => text,
    }
}

/// Appends a row of RFC 4180.
fn row(cells: impl Iterator<Item = String>, out: &mut Vec<u8>) {
    let mut writer = csv_core::WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .build();
    for (number, cell) in cells.enumerate() {
        if number > 0 {
            whole(out, |to| writer.delimiter(to));
        }
        let mut rest = cell.as_bytes();
        whole(out, |to| {
            let (result, read, written) = writer.field(rest, to);
            rest = rest.get(read..).unwrap_or_default();
            (result, written)
        });
    }
    whole(out, |to| writer.terminator(to));
}

/// Appends what `write` gives, in as many pieces as it takes.
fn whole(out: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> (WriteResult, usize)) {
    let mut buffer = [0; 1024];
    loop {
        let (result, written) = write(&mut buffer);
        out.extend_from_slice(buffer.get(..written).unwrap_or_default());
        if matches!(result, WriteResult::InputEmpty) {
            return;
        }
    }
}

/// Writes what was asked for. Gives the target back, where it would go on, and what went wrong; whether it was stopped is
/// for the caller to see.
pub fn export(
    asked: &Asked<'_>,
    rows: Rows,
    groups: Vec<Pending>,
    target: Target,
    at: At,
) -> (Target, At, Option<anyhow::Error>) {
    let first = at.group;
    let emitting = Arc::new(Mutex::new(Emitting::new(asked, rows, target, at)));
    let mut failed = None;
    for (number, group) in groups.into_iter().enumerate().skip(first) {
        if asked.stop.is_set() || failed.is_some() {
            break;
        }
        {
            let mut emitting = lock(&emitting);
            if number > first {
                (emitting.at.group, emitting.at.taken) = (number, 0);
            }
        }
        failed = one(asked, group, &emitting).err();
        let mut emitting = lock(&emitting);
        emitting.skip = 0;
        let of_target = emitting.failed.take().map(anyhow::Error::from);
        failed = of_target.or(failed);
    }
    let mut emitting = lock(&emitting);
    let at = std::mem::take(&mut emitting.at);
    let nowhere = Target::writer(std::io::sink());
    let target = std::mem::replace(&mut emitting.target, nowhere);
    (target, at, failed)
}

/// Writes what was asked for of entries that are at hand.
pub fn of_entries(
    asked: &Asked<'_>,
    rows: Rows,
    entries: &[Arc<OwnedEntry>],
    target: Target,
) -> (Target, Came, Option<anyhow::Error>) {
    let (since, until) = asked.within;
    let mut emitting = Emitting::new(asked, rows, target, At::default());
    let mut arena = Bump::new();
    for owned in entries {
        let goes_on = owned.with(&arena, |entry| {
            let began = entry.common.ts;
            let within = since <= began && (began < until || until == i64::MAX);
            !within || !asked.filter.matches(entry) || emitting.entry(entry)
        });
        arena.reset();
        if !goes_on || asked.stop.is_set() {
            break;
        }
    }
    let failed = emitting.failed.map(anyhow::Error::from);
    (emitting.target, emitting.at.came(), failed)
}

/// Reads one group.
fn one(asked: &Asked<'_>, group: Pending, emitting: &Arc<Mutex<Emitting>>) -> anyhow::Result<()> {
    let group = match (group, &asked.streams) {
        (Pending::Group(group), Some(streams)) => {
            let (group, selected) = group.only(&Selection {
                streams: Some(Arc::clone(streams)),
                ..Selection::default()
            });
            let came = &mut lock(emitting).at.came;
            came.gone += selected.gone;
            for object in selected.gone_objects {
                came.fault(format!("{object} is gone: its packets are missing"));
            }
            Pending::Group(Box::new(group))
        }
        (group, _) => group,
    };
    let scan = Scan {
        config: asked.config,
        wants: vec![Want {
            bit: 0,
            filter: asked.filter.clone(),
            record: false,
            bodies: true,
        }],
        within: asked.within,
        tap: None,
        needs: Needs::Packets,
        limit: None,
        strict: true,
        stream: None,
        among: None,
    };
    let summary = scan.run_groups(vec![group], &mut || Box::new(Emit(Arc::clone(emitting))))?;
    crate::scan::report(&summary);
    let came = &mut lock(emitting).at.came;
    summary
        .faults
        .iter()
        .cloned()
        .for_each(|fault| came.fault(fault));
    summary.failure().map_or(Ok(()), Err)
}
