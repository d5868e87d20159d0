//! `gillnet sql`: a filter as SQL over the index of a bucket, for engines that exist; and `gillnet query --engine`, which
//! asks one.

mod engine;
mod statement;

pub use engine::{ClickHouse, run as query};
pub use statement::stored;

use crate::cli::{self, Shared, SqlArgs};
use crate::columns::Column;
use crate::exit::{self, Done};
use crate::scan;
use anyhow::{anyhow, bail};
use clap::ValueEnum;
use gillnet_bucket::index::EntriesTable;
use gillnet_kfl::sql::{Dialect, Expr, translate};
use statement::{Shape, Source, Statement, definition, within};

/// Engines whose SQL is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// ClickHouse
    Clickhouse,
    /// DuckDB
    Duckdb,
    /// Spark SQL
    Spark,
    /// Trino
    Trino,
    /// BigQuery
    Bigquery,
}

impl Engine {
    fn dialect(self) -> Dialect {
        match self {
            Engine::Clickhouse => Dialect::ClickHouse,
            Engine::Duckdb => Dialect::DuckDb,
            Engine::Spark => Dialect::Spark,
            Engine::Trino => Dialect::Trino,
            Engine::Bigquery => Dialect::BigQuery,
        }
    }
}

/// Runs the command.
pub fn run(shared: &Shared, args: &SqlArgs) -> anyhow::Result<Done> {
    let statement = statement_of(shared, args)?;
    let mut output = crate::output::Output::stdout();
    output.buffer().extend_from_slice(statement.as_bytes());
    output.buffer().extend_from_slice(b";\n");
    output.finish()?;
    Ok(Done::Ok)
}

fn statement_of(shared: &Shared, args: &SqlArgs) -> anyhow::Result<String> {
    let config = shared.config()?.0;
    let (dialect, known) = (args.dialect.dialect(), scan::known());
    let url = || location(args.place.location.as_deref(), &args.bucket).map_err(exit::usage);
    if let Some(table) = &args.define {
        return definition(dialect, &parts(table)?, &url()?, &known).map_err(exit::usage);
    }
    let options = args.language.options();
    let filter = shared.filter(&config, &args.kfl, &args.language)?;
    let speech = cli::speech(&config)?;
    let bounded = speech.bounded(filter, options.now);
    let filter = bounded.map_err(|errors| exit::usage(anyhow::Error::new(errors)))?;
    let translation = translate(
        &speech.env,
        &options,
        &filter,
        &EntriesTable { known: &known },
    );
    if !translation.refused.is_empty() {
        let refused = translation.refused.iter();
        let refused: Vec<_> = refused.map(|error| error.render(&args.kfl)).collect();
        return Err(exit::usage(anyhow!(
            "the filter can't be told by the index alone\n{}\n`gillnet query` tells it, from the packets where it has to",
            refused.join("\n")
        )));
    }
    if filter.redacts() && !args.count {
        return Err(exit::usage(anyhow!(
            "redact() hides values of entries, which SQL can't; leave it out, or take --count"
        )));
    }
    let source = match &args.place.table {
        Some(table) => Source::Table(parts(table)?),
        None => Source::Bucket(url()?),
    };
    let statement = Statement {
        dialect,
        source,
        condition: Expr::all([within(args.time.within()?), translation.condition]),
        limit: args.limit.or(filter.limit()),
        known: &known,
    };
    let columns = |names: &[String]| {
        let columns = names.iter().map(|name| Column::find(name));
        columns.collect::<anyhow::Result<Vec<_>>>()
    };
    let written = if args.count {
        statement.write(Shape::Count)
    } else if !args.by.is_empty() {
        columns(&args.by).and_then(|columns| statement.write(Shape::By(&columns)))
    } else if !args.columns.is_empty() {
        columns(&args.columns).and_then(|columns| statement.write(Shape::Columns(&columns)))
    } else {
        let columns = crate::query::usual()?;
        statement.write(Shape::Columns(&columns))
    };
    written.map_err(exit::usage)
}

/// The parts of a table's name.
fn parts(name: &str) -> anyhow::Result<Vec<String>> {
    let parts: Vec<_> = name.split('.').map(str::to_owned).collect();
    if parts.iter().any(String::is_empty) {
        return Err(exit::usage(anyhow!(
            "`{name}` is no name of a table; write entries, or catalog.schema.entries"
        )));
    }
    Ok(parts)
}

/// What an engine knows a bucket by: what is said outright, its URL, or a folder's absolute path.
fn location(said: Option<&str>, bucket: &str) -> anyhow::Result<String> {
    if let Some(said) = said {
        return Ok(said.to_owned());
    }
    let path = match bucket.split_once("://") {
        Some(("file", rest)) => rest.strip_prefix("localhost").unwrap_or(rest),
        Some(_) => return Ok(bucket.to_owned()),
        None => bucket,
    };
    let path = std::path::absolute(path)?;
    let path = path
        .to_str()
        .ok_or_else(|| anyhow!("`{bucket}` is no text"))?;
    if path.contains(['*', '?', '[', '{']) {
        bail!(
            "`{path}`: an engine takes `*`, `?`, `[` and `{{` for patterns of names; give its place with --location"
        );
    }
    Ok(path.to_owned())
}
