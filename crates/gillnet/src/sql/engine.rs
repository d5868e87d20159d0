//! `gillnet query --engine`: an engine looks for the entries. What it can't tell is told here, from the packets of what it
//! found; and what has no index is read here.

use super::statement::{Shape, Source, Statement, stored, within};
use crate::cli::{self, QueryArgs, Shared};
use crate::exit::{self, Done};
use crate::inputs::{Inputs, origin_recorded};
use crate::printer::Printer;
use crate::query;
use crate::scan::{self, Scan};
use crate::scripts::runtime;
use anyhow::{Context, anyhow};
use futures_util::TryStreamExt;
use gillnet_bucket::index::{EntriesTable, answered};
use gillnet_kfl::sql::{Comparison, Dialect, Expr, translate};
use gillnet_pipeline::Want;
use reqwest::{Response, Url};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Seek, Write};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Bytes of an error of the server that are shown.
const MOST_ERROR: usize = 600;

/// A ClickHouse server, over HTTP.
#[derive(Clone, Debug)]
pub struct ClickHouse {
    url: Url,
    user: Option<String>,
    password: Option<String>,
}

impl FromStr for ClickHouse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write clickhouse://host:8123, with /database and ?secure=true where they are needed, and user:password@ or CLICKHOUSE_USER and CLICKHOUSE_PASSWORD";
        let given = Url::parse(text).map_err(|error| format!("{error}; {FORM}"))?;
        let Some(host) = given.host_str().filter(|_| given.scheme() == "clickhouse") else {
            return Err(format!("that is no engine that can be asked; {FORM}"));
        };
        let mut is_secure = false;
        for (key, value) in given.query_pairs() {
            match (&*key, &*value) {
                ("secure", "true" | "1") => is_secure = true,
                ("secure", "false" | "0") => {}
                _ => return Err(format!("`{key}={value}` means nothing here; {FORM}")),
            }
        }
        let own = [given.username(), given.password().unwrap_or_default()];
        if own.iter().any(|text| text.contains('%')) {
            return Err(
                "put a name or password of other signs than letters and digits into CLICKHOUSE_USER and CLICKHOUSE_PASSWORD".into(),
            );
        }
        let (scheme, port) = if is_secure {
            ("https", 8443)
        } else {
            ("http", 8123)
        };
        let port = given.port().unwrap_or(port);
        let mut url = Url::parse(&format!("{scheme}://{host}:{port}/"))
            .map_err(|error| format!("{error}; {FORM}"))?;
        let database = given.path().trim_matches('/');
        if !database.is_empty() {
            url.query_pairs_mut().append_pair("database", database);
        }
        // an answer is begun when it is whole, so that an error in the middle of it is one
        url.query_pairs_mut().append_pair("wait_end_of_query", "1");
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let [user, password] = own.map(|text| (!text.is_empty()).then(|| text.to_owned()));
        Ok(ClickHouse {
            url,
            user: user.or_else(|| variable("CLICKHOUSE_USER")),
            password: password.or_else(|| variable("CLICKHOUSE_PASSWORD")),
        })
    }
}

impl ClickHouse {
    /// Asks, and lays the answer into a file.
    fn ask(&self, statement: &str, format: &str) -> anyhow::Result<File> {
        tracing::debug!("asking {}: {statement}", self.place());
        let statement = format!(
            "{statement}\nSETTINGS output_format_parquet_string_as_string = 1\nFORMAT {format}"
        );
        let mut file = tempfile::tempfile().context("no room for the engine's answer")?;
        runtime()?.block_on(async {
            let http = reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT)
                .build()?;
            let mut request = http.post(self.url.clone()).body(statement);
            for (name, value) in [
                ("X-ClickHouse-User", &self.user),
                ("X-ClickHouse-Key", &self.password),
            ] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let answer = request.send().await.map_err(|error| self.away(&error))?;
            let answer = self.allowed(answer).await?;
            let mut parts = answer.bytes_stream();
            while let Some(part) = parts.try_next().await.map_err(|error| self.away(&error))? {
                file.write_all(&part)
                    .context("no room for the engine's answer")?;
            }
            anyhow::Ok(())
        })?;
        file.rewind()?;
        Ok(file)
    }

    /// The lines of an answer.
    fn lines(&self, statement: &str) -> anyhow::Result<Vec<String>> {
        let text = std::io::read_to_string(self.ask(statement, "TabSeparatedRaw")?);
        let text = text.map_err(|_| anyhow!("{} does not answer in text", self.place()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The server, without what is secret.
    fn place(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    fn away(&self, error: &reqwest::Error) -> anyhow::Error {
        let mut why: &dyn std::error::Error = error;
        while let Some(source) = why.source() {
            why = source;
        }
        exit::unreachable(anyhow!("the engine at {}: {why}", self.place()))
    }

    async fn allowed(&self, answer: Response) -> anyhow::Result<Response> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let mut said = answer.text().await.unwrap_or_default();
        if said.len() > MOST_ERROR {
            let end = (0..=MOST_ERROR).rev().find(|at| said.is_char_boundary(*at));
            said.truncate(end.unwrap_or(0));
            said.push('…');
        }
        let error = anyhow!(
            "the engine at {} says {status}: {}",
            self.place(),
            said.trim()
        );
        Err(if matches!(status.as_u16(), 401 | 403) {
            exit::unreachable(error)
        } else {
            error
        })
    }
}

/// Prints what a filter matches, as `gillnet query` does, with the engine's help.
pub fn run(shared: &Shared, args: &QueryArgs, engine: &ClickHouse) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let [bucket] = &args.sources[..] else {
        return Err(exit::usage(anyhow!("an engine is asked of one bucket")));
    };
    let options = args.language.options();
    let filter = shared.filter(&config, &args.kfl, &args.language)?;
    let speech = cli::speech(&config)?;
    let bounded = speech.bounded(filter, options.now);
    let filter = bounded.map_err(|errors| exit::usage(anyhow::Error::new(errors)))?;
    let shape = query::shape(args, filter.redacts())?;
    let span = args.within()?;
    let inputs = Inputs::open(&args.sources, &args.access, &config, span)?;
    let known = scan::known();
    let table = EntriesTable { known: &known };
    let translation = translate(&speech.env, &options, &filter, &table);
    for refused in &translation.refused {
        tracing::info!("{refused}; the entries that may match are read from their packets here");
    }
    let mut here = HashSet::new();
    let (mut has_captures, mut excluded) = (false, Vec::new());
    for group in inputs.readings()? {
        match group.recorder() {
            Some(recorder) if !group.is_indexed() || group.is_index_encrypted() => {
                tracing::info!(
                    "what {recorder} recorded has no index that an engine can read, so it is read here"
                );
                let other = Expr::Recorder;
                excluded.push(Expr::compare(Comparison::Ne, other, Expr::text(&recorder)));
                here.insert(recorder);
            }
            Some(_) => {}
            None => has_captures = true,
        }
    }
    let limit = args.limit.or(filter.limit());
    let mut printer = Printer::new(shape, limit.unwrap_or(u64::MAX), &filter);
    let source = match &args.place.table {
        Some(table) => Source::Table(super::parts(table)?),
        None => Source::Bucket(
            super::location(args.place.location.as_deref(), bucket).map_err(exit::usage)?,
        ),
    };
    let own = match printer.columns() {
        _ if !translation.refused.is_empty() || filter.redacts() && !args.count => None,
        Some(columns) => stored(columns, &known),
        None => None,
    };
    let statement = Statement {
        dialect: Dialect::ClickHouse,
        source,
        condition: Expr::all(
            [within(span), translation.condition]
                .into_iter()
                .chain(excluded),
        ),
        limit,
        known: &known,
    };
    if args.count && translation.refused.is_empty() {
        let lines = engine.lines(&statement.write(Shape::Count)?)?;
        let count = lines.first().and_then(|line| line.parse().ok());
        printer.counted(count.ok_or_else(|| anyhow!("{} gives no count", engine.place()))?);
    } else if let Some(own) = own {
        let rows = engine.ask(&statement.rows(&own)?, "Parquet")?;
        answered(rows, &known, &mut origin_recorded, &mut |entry| {
            printer.entry(entry)
        })?;
    } else {
        let candidates = Statement {
            limit: None,
            ..statement
        };
        here.extend(engine.lines(&candidates.recorders()?)?);
    }
    if here.is_empty() && !has_captures {
        return inputs.ended(done(printer.finish()?));
    }
    let needs = if args.count {
        scan::Needs::Count
    } else {
        scan::Needs::Packets
    };
    let bodies = printer.needs_bodies();
    let home = Arc::new(Mutex::new(Some(printer)));
    let scan = Scan {
        config: &config,
        wants: vec![Want {
            bit: 0,
            filter,
            record: false,
            bodies,
        }],
        within: span,
        tap: None,
        needs,
        limit: None,
        strict: false,
        stream: None,
        among: Some(&here),
    };
    let summary = scan.run(&inputs, &mut || Box::new(query::Print::take(&home)))?;
    let found = query::take(&home).map_or(Ok(0), Printer::finish)?;
    scan::report(&summary);
    summary.outcome()?;
    inputs.ended(done(found))
}

fn done(found: u64) -> Done {
    match found {
        0 => Done::Nothing,
        _ => Done::Ok,
    }
}
