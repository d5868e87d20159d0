//! `/api/export`: the same files over HTTP, of recordings and of what a running capture still has.

use super::entries;
use super::part::Target;
use super::ring::Running;
use super::{Came, Export, Stop, har, is_allowed, is_closed, rows};
use crate::cli::ExportFormat;
use crate::config::Config;
use crate::inputs::Inputs;
use clap::ValueEnum;
use gillnet_api::{ExportQuery, NoExport, Outlet, Refused};
use gillnet_bucket::StreamSet;
use gillnet_bucket::packets::StreamId;
use gillnet_entry::time::Rfc3339;
use std::path::Path;
use std::sync::Arc;

/// What the question says, read.
struct Read<'a> {
    format: ExportFormat,
    rows: Option<entries::Rows>,
    export: Export<'a>,
}

fn read<'a>(
    query: &ExportQuery,
    config: &'a Config,
    cache: &'a Path,
    (since, until): (i64, i64),
) -> Result<Read<'a>, NoExport> {
    let wrong = |error: anyhow::Error| NoExport::Wrong(format!("{error:#}"));
    let format = ExportFormat::from_str(&query.format, false).map_err(NoExport::Wrong)?;
    is_allowed(format, &query.filter).map_err(wrong)?;
    let rows = rows(format, &query.columns, &query.filter).map_err(wrong)?;
    let mut streams = StreamSet::default();
    for stream in &query.streams {
        streams.insert(StreamId {
            number: stream.number,
            udp: stream.udp,
        });
    }
    let export = Export {
        config,
        filter: query.filter.clone(),
        streams: (!streams.is_empty()).then(|| Arc::new(streams)),
        within: (query.since.max(since), query.until.min(until)),
        sources: Vec::new(),
        cache,
        stop: Stop::from(Arc::clone(&query.gone)),
    };
    Ok(Read {
        format,
        rows,
        export,
    })
}

/// Ends a file, unless it lacks something that it should have: then its reader must not take it for whole.
fn finish(
    query: &ExportQuery,
    target: Target,
    result: anyhow::Result<Came>,
) -> Result<(), NoExport> {
    let failed = |error: anyhow::Error| NoExport::from(Refused(format!("{error:#}")));
    let came = match result {
        Ok(came) => came,
        // who has gone needs no answer
        Err(error) if is_closed(&error) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let notes = came.notes();
    for note in &notes {
        tracing::warn!("exported: {note}");
    }
    let said = notes.join("; ");
    if came.written == 0 && came.faults + came.gone == 0 {
        let why = if said.is_empty() { "" } else { ": " };
        let message = format!("there is nothing to export{why}{said}");
        return Err(NoExport::Nothing(message));
    }
    if came.is_incomplete() && !query.incomplete {
        return Err(failed(anyhow::anyhow!(
            "not everything can be read: {said}; ask with incomplete=true for the rest"
        )));
    }
    match target.finish() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(error.into())),
        _ => Ok(()),
    }
}

/// A file of recordings.
pub fn of_recorded(
    query: &ExportQuery,
    config: &Config,
    inputs: &Inputs,
    within: (i64, i64),
    out: Outlet,
) -> Result<(), NoExport> {
    let failed = |error: anyhow::Error| NoExport::from(Refused(format!("{error:#}")));
    let Read {
        format,
        rows,
        export,
    } = read(query, config, inputs.cache(), within)?;
    let mut groups = inputs.readings().map_err(failed)?;
    if let Some(key) = query.streams.first() {
        groups.retain(|group| !group.is_not_of(key));
    }
    let written = export.write(format, rows, groups, Target::writer(out), None);
    let (target, _, result) = written.map_err(failed)?;
    finish(query, target, result.map(|(came, _)| came))
}

/// A file of what a running capture still has; `gone` are the entries that it has no more.
pub fn of_live(
    query: &ExportQuery,
    config: &Config,
    cache: &Path,
    running: &Running<'_>,
    gone: u64,
    out: Outlet,
) -> Result<(), NoExport> {
    let failed = |error: anyhow::Error| NoExport::from(Refused(format!("{error:#}")));
    let all = (i64::MIN, i64::MAX);
    let Read {
        format,
        rows,
        export,
    } = read(query, config, cache, all)?;
    let mut notes = Vec::new();
    let oldest = running.entries.iter().map(|entry| entry.ts).min();
    if let Some(oldest) = oldest.filter(|oldest| gone > 0 && query.since < *oldest) {
        notes.push(format!(
            "the live view keeps the newest entries: {gone} from before {} are gone",
            Rfc3339(oldest)
        ));
    }
    let Some(rows) = rows else {
        let (asked, kind) = export.packets(format, i64::MIN);
        let found = running.pick(&asked).map_err(failed)?;
        if found.left > 0 {
            notes.push(format!("{} streams have left the ring", found.left));
        }
        out.notes(notes);
        let mut target = Target::writer(out);
        let at = super::capture::At::default();
        let result = super::capture::export(&asked, kind, found.picked, &mut target, at);
        return finish(query, target, result.map(|(came, _)| came));
    };
    out.notes(notes);
    let asked = export.entries();
    let is_har = matches!(rows, entries::Rows::Har);
    let target = Target::writer(out);
    let (mut target, came, error) = entries::of_entries(&asked, rows, &running.entries, target);
    if is_har && error.is_none() && came.written > 0 {
        target.buffer().extend_from_slice(har::TAIL.as_bytes());
    }
    finish(query, target, error.map_or(Ok(came), Err))
}
