//! `gillnet query`: prints the entries of captures and recordings that a filter matches.

use crate::cli::{self, Format, QueryArgs, Shared};
use crate::columns::Column;
use crate::exit::{self, Done};
use crate::inputs::Inputs;
use crate::lock::lock;
use crate::meter::Meter;
use crate::printer::{Columns, Printer, Shape};
use crate::scan::{self, Needs, Scan};
use crate::sql::stored;
use crate::stats;
use gillnet_entry::Entry;
use gillnet_pipeline::{Consumer, Matched, Want};
use std::sync::{Arc, Mutex};

/// Columns where none are asked for.
pub const USUAL: [&str; 8] = [
    "startTime",
    "protocol",
    "src.ip",
    "dst.ip",
    "method",
    "path",
    "status",
    "elapsedTime",
];

/// Runs the command.
pub fn run(shared: &Shared, args: &QueryArgs) -> anyhow::Result<Done> {
    if let Some(engine) = &args.engine {
        return crate::sql::query(shared, args, engine);
    }
    let config = shared.config()?.0;
    let filter = shared.filter(&config, &args.kfl, &args.language)?;
    let bounded = cli::speech(&config)?.bounded(filter, scan::now());
    let filter = bounded.map_err(|errors| exit::usage(anyhow::Error::new(errors)))?;
    if args.stats.is_asked()? {
        return stats::print(&config, args, filter);
    }
    let shape = shape(args, filter.redacts())?;
    let bodies = matches!(shape, Shape::Whole(_));
    let needs = match shape.columns() {
        // rows of an index are enough, where they have all of these
        Some(columns) => stored(columns, &scan::known()).map_or(Needs::Packets, Needs::Columns),
        None if bodies => Needs::Packets,
        None => Needs::Count,
    };
    let within = args.within()?;
    let mut inputs = Inputs::open(&args.sources, &args.access, &config, within)?;
    let meter = Meter::of(&mut inputs);
    let limit = args.limit.or(filter.limit());
    let home = Arc::new(Mutex::new(Some(Printer::new(
        shape,
        limit.unwrap_or(u64::MAX),
        &filter,
    ))));
    let want = Want {
        bit: 0,
        filter,
        record: false,
        bodies,
    };
    let scan = Scan {
        config: &config,
        wants: vec![want],
        within,
        tap: None,
        needs,
        limit,
        strict: false,
        stream: None,
        among: None,
    };
    let summary = scan.run(&inputs, &mut || Box::new(Print::take(&home)))?;
    let found = take(&home).map_or(Ok(0), Printer::finish)?;
    scan::report(&summary);
    meter.say();
    summary.outcome()?;
    inputs.ended(if found == 0 { Done::Nothing } else { Done::Ok })
}

/// The columns of a table where none are named.
pub fn usual() -> anyhow::Result<Vec<Column>> {
    USUAL.into_iter().map(Column::find).collect()
}

/// How entries are shown.
pub fn shape(args: &QueryArgs, redacts: bool) -> anyhow::Result<Shape> {
    let columns = args
        .columns
        .iter()
        .map(|c| Column::find(c))
        .collect::<Result<Vec<_>, _>>()
        .map_err(exit::usage)?;
    if let Some(column) = columns.iter().find(|c| redacts && !c.is_shown()) {
        return Err(exit::usage(anyhow::anyhow!(
            "the column `{}` is not part of the entry's JSON, so it cannot be shown where redact() hides values",
            column.name
        )));
    }
    Ok(match args.output {
        _ if args.count => Shape::Count,
        Format::Table if columns.is_empty() => Shape::Row(usual()?),
        Format::Table => Shape::Row(columns),
        Format::Jsonl if columns.is_empty() => Shape::Whole(Box::default()),
        Format::Jsonl => Shape::Columns(Columns::new(columns)),
    })
}

/// The printer, out of where it waits.
pub fn take(home: &Mutex<Option<Printer>>) -> Option<Printer> {
    lock(home).take()
}

/// The printer while a shard has it; it goes home when the shard is done, so that no entry takes a lock.
pub struct Print {
    printer: Option<Printer>,
    home: Arc<Mutex<Option<Printer>>>,
}

impl Print {
    /// Takes the printer.
    pub fn take(home: &Arc<Mutex<Option<Printer>>>) -> Print {
        Print {
            printer: take(home),
            home: Arc::clone(home),
        }
    }
}

impl Drop for Print {
    fn drop(&mut self) {
        *lock(&self.home) = self.printer.take();
    }
}

impl Consumer for Print {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        self.printer
            .as_mut()
            .is_some_and(|printer| printer.entry(entry))
    }
}
