//! What there is: `gillnet scripts list|show|jobs|types`.

use super::table::{bytes, table};
use super::{Client, Format, Running};
use crate::cli::Shared;
use crate::exit::{self, Done};
use crate::output::Output;
use anyhow::anyhow;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

/// `gillnet scripts list` and `jobs`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet scripts list --url 'http://127.0.0.1:8899/?token=…'\n  \
    GILLNET_TOKEN=… gillnet scripts list -o json | jq '.scripts[].title'\n  \
    gillnet scripts jobs --token-file token")]
pub struct ListArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    running: Running,
}

/// `gillnet scripts show`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet scripts show 0\n  \
    gillnet scripts show 'Traffic recorder' >recorder.js")]
pub struct ShowArgs {
    /// The script: its number, its title or its file's name
    script: String,
    /// Output format: the text alone, or all that is known of it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    running: Running,
}

/// A member of an answer as text; empty where it is not there.
fn text(of: &Value, name: &str) -> String {
    match &of[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn joined(of: &Value, name: &str) -> String {
    let items = of[name].as_array().into_iter().flatten();
    let items: Vec<_> = items.filter_map(Value::as_str).collect();
    match &*items {
        [] => "-".to_owned(),
        items => items.join(","),
    }
}

fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

fn print(
    answer: &Value,
    output: Format,
    heads: &[&str],
    rows: &[Vec<String>],
) -> anyhow::Result<Done> {
    let mut out = Output::stdout();
    match output {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out.buffer(), answer)?;
            out.buffer().push(b'\n');
        }
        Format::Table => table(heads, rows, out.buffer()),
    }
    out.finish()?;
    Ok(Done::Ok)
}

/// Lists scripts.
pub fn list(shared: &Shared, args: &ListArgs) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.running)?;
    let answer = client.ask(Method::GET, &["scripts"], None)?;
    let row = |script: &Value| {
        let of = |name| text(script, name);
        vec![
            of("number"),
            of("state"),
            of("title"),
            joined(script, "hooks"),
            joined(script, "jobs"),
            of("calls"),
            of("drops"),
            of("errors"),
            bytes(script["memory"].as_u64().unwrap_or(0)),
            of("file"),
        ]
    };
    let rows: Vec<_> = items(&answer, "scripts").iter().map(row).collect();
    let heads = [
        "NO", "STATE", "TITLE", "HOOKS", "JOBS", "CALLS", "DROPPED", "ERRORS", "MEMORY", "FILE",
    ];
    print(&answer, args.output, &heads, &rows)
}

/// Lists jobs.
pub fn jobs(shared: &Shared, args: &ListArgs) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.running)?;
    let answer = client.ask(Method::GET, &["scripts", "jobs"], None)?;
    let row = |job: &Value| {
        let of = |name| text(job, name);
        let runs = match job["limit"].as_u64() {
            None | Some(0) => of("runs"),
            Some(limit) => format!("{} of {limit}", of("runs")),
        };
        let next = match job["running"].as_bool() {
            Some(true) => "now".to_owned(),
            // seconds are enough here
            _ => of("next")
                .split('.')
                .next()
                .map(|s| format!("{s}Z"))
                .filter(|s| s.len() > 1)
                .unwrap_or("-".into()),
        };
        vec![of("tag"), of("script"), of("side"), of("cron"), runs, next]
    };
    let rows: Vec<_> = items(&answer, "jobs").iter().map(row).collect();
    let heads = ["TAG", "SCRIPT", "SIDE", "CRON", "RUNS", "NEXT"];
    print(&answer, args.output, &heads, &rows)
}

/// Shows one script.
pub fn show(shared: &Shared, args: &ShowArgs) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.running)?;
    let number = find(&client, &args.script)?;
    let answer = client.ask(Method::GET, &["scripts", &number], None)?;
    if args.output == Format::Json {
        return print(&answer, args.output, &[], &[]);
    }
    let text = text(&answer, "text");
    put(&text)
}

/// Prints the declarations of this version.
pub fn types() -> anyhow::Result<Done> {
    put(gillnet_scripts::TYPES)
}

fn put(text: &str) -> anyhow::Result<Done> {
    let mut out = Output::stdout();
    out.buffer().extend_from_slice(text.as_bytes());
    if !text.ends_with('\n') {
        out.buffer().push(b'\n');
    }
    out.finish()?;
    Ok(Done::Ok)
}

/// The number of the script that is meant: by number, else by title or file.
pub fn find(client: &Client, name: &str) -> anyhow::Result<String> {
    if name.parse::<u32>().is_ok() {
        return Ok(name.to_owned());
    }
    let answer = client.ask(Method::GET, &["scripts"], None)?;
    let is = |script: &&Value| {
        let file = text(script, "file");
        let base = file.rsplit('/').next().unwrap_or_default();
        text(script, "title") == name || file == name || base == name
    };
    let found: Vec<_> = items(&answer, "scripts").iter().filter(is).collect();
    let numbers: Vec<_> = found.iter().map(|script| text(script, "number")).collect();
    match &*numbers {
        [number] => Ok(number.clone()),
        [] => Err(anyhow!(
            "there is no script `{name}`; `gillnet scripts list` shows them"
        )),
        numbers => Err(exit::usage(anyhow!(
            "`{name}` is the name of several scripts; give one of the numbers {}",
            numbers.join(", ")
        ))),
    }
}
