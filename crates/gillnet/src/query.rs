//! `gillnet query`: prints the entries of captures and recordings that a filter matches.

use crate::cli::{Format, QueryArgs, Shared};
use crate::columns::Column;
use crate::exit::{self, Done};
use crate::inputs::Inputs;
use crate::output::Output;
use crate::scan::{self, Scan};
use gillnet_entry::{Entry, Value, json};
use gillnet_pipeline::{Consumer, Matched, Want};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs the command.
pub fn run(shared: &Shared, args: &QueryArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let filter = shared.filter(&config, &args.kfl, &args.language)?;
    let columns = args
        .columns
        .iter()
        .map(|c| Column::find(c))
        .collect::<Result<Vec<_>, _>>()
        .map_err(exit::usage)?;
    let columns = if columns.is_empty() && args.output == Format::Table {
        table_columns()?
    } else {
        columns
    };
    let bodies = !args.count && columns.is_empty();
    let within = args.within()?;
    let inputs = Inputs::open(&args.sources, &args.access, &config, within)?;
    let limit = args.limit.or(filter.limit()).unwrap_or(u64::MAX);
    let mut printer = Printer {
        output: Output::default(),
        format: if args.count { None } else { Some(args.output) },
        columns,
        found: 0,
        limit,
    };
    if printer.format == Some(Format::Table) {
        printer.head();
    }
    let home = Arc::new(Mutex::new(Some(printer)));
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
    };
    let summary = scan.run(&inputs, &mut || Box::new(Print::take(&home)))?;
    let mut found = 0;
    if let Some(mut printer) = take(&home) {
        found = printer.found;
        if args.count {
            printer
                .output
                .buffer()
                .extend_from_slice(format!("{found}\n").as_bytes());
        }
        printer.output.finish()?;
    }
    scan::report(&summary);
    summary.outcome()?;
    Ok(if found == 0 { Done::Nothing } else { Done::Ok })
}

fn table_columns() -> anyhow::Result<Vec<Column>> {
    let usual = [
        "startTime",
        "protocol",
        "src.ip",
        "dst.ip",
        "method",
        "path",
        "status",
        "elapsedTime",
    ];
    usual.iter().map(|c| Column::find(c)).collect()
}

fn take(home: &Mutex<Option<Printer>>) -> Option<Printer> {
    home.lock().unwrap_or_else(PoisonError::into_inner).take()
}

struct Printer {
    output: Output,
    format: Option<Format>,
    columns: Vec<Column>,
    found: u64,
    limit: u64,
}

/// The printer while a shard has it; it goes home when the shard is done, so that no entry takes a lock.
struct Print {
    printer: Option<Printer>,
    home: Arc<Mutex<Option<Printer>>>,
}

impl Print {
    fn take(home: &Arc<Mutex<Option<Printer>>>) -> Print {
        Print {
            printer: take(home),
            home: Arc::clone(home),
        }
    }
}

impl Drop for Print {
    fn drop(&mut self) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = self.printer.take();
    }
}

impl Consumer for Print {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        self.printer
            .as_mut()
            .is_some_and(|printer| printer.entry(entry))
    }
}

impl Printer {
    fn entry(&mut self, entry: &Entry<'_>) -> bool {
        if self.found >= self.limit {
            return false; // the shard ends its batch before it stops
        }
        self.found += 1;
        match self.format {
            None => return self.found < self.limit,
            Some(Format::Table) => self.row(entry),
            Some(Format::Jsonl) if self.columns.is_empty() => {
                json::write_entry(entry, self.output.buffer())
            }
            Some(Format::Jsonl) => self.object(entry),
        }
        self.output.buffer().push(b'\n');
        self.output.spill() && self.found < self.limit
    }

    fn object(&mut self, entry: &Entry<'_>) {
        let out = self.output.buffer();
        out.push(b'{');
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            json::write_str(&column.name, out);
            out.push(b':');
            json::write_value(&column.value(entry), out);
        }
        out.push(b'}');
    }

    fn head(&mut self) {
        let out = self.output.buffer();
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push(b'\t');
            }
            out.extend_from_slice(column.name.as_bytes());
        }
        out.push(b'\n');
    }

    fn row(&mut self, entry: &Entry<'_>) {
        let out = self.output.buffer();
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push(b'\t');
            }
            match column.value(entry) {
                Value::Missing | Value::Null => out.push(b'-'),
                // a tab or line end of the traffic must not make a column or row
                Value::Str(text) => out.extend(
                    text.bytes()
                        .map(|b| if b.is_ascii_control() { b' ' } else { b }),
                ),
                other => json::write_value(&other, out),
            }
        }
    }
}
