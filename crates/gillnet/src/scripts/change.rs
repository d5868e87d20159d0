//! What changes a running Gillnet: `gillnet scripts add|change|delete|activate|deactivate|run-job`.

use super::list::find;
use super::{Client, Format, Running, text_of};
use crate::cli::Shared;
use crate::exit::Done;
use crate::output::say;
use anyhow::anyhow;
use clap::Args;
use reqwest::Method;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// `gillnet scripts add`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet scripts add recorder.js alerts.js\n  \
    gillnet scripts add - <recorder.js")]
pub struct AddArgs {
    /// Files; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    rest: Rest,
}

/// `gillnet scripts change`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet scripts change 3 recorder.js\n  \
    gillnet scripts change 'Traffic recorder' - <recorder.js")]
pub struct ChangeArgs {
    /// The script: its number, its title or its file's name
    script: String,
    /// File with its new text; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    rest: Rest,
}

/// `gillnet scripts delete|activate|deactivate`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet scripts deactivate 'Traffic recorder'\n  \
    gillnet scripts activate 3 4\n  \
    gillnet scripts delete recorder.js")]
pub struct NamedArgs {
    /// Scripts: by number, title or file's name
    #[arg(required = true)]
    scripts: Vec<String>,
    #[command(flatten)]
    rest: Rest,
}

/// `gillnet scripts run-job`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet scripts run-job forensics\n  \
    gillnet scripts run-job 'hourly report' && gillnet console -f")]
pub struct RunJobArgs {
    /// Tags of jobs; `gillnet scripts jobs` lists them
    #[arg(required = true)]
    tags: Vec<String>,
    #[command(flatten)]
    rest: Rest,
}

#[derive(Args, Debug)]
struct Rest {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    running: Running,
}

impl Rest {
    fn say(&self, what: &str, script: &Value) -> std::io::Result<()> {
        match self.output {
            Format::Json => say(script),
            Format::Table => {
                let part = |name: &str| match &script[name] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                say(format_args!(
                    "{what} {} ({}): {}",
                    part("number"),
                    part("title"),
                    part("state")
                ))
            }
        }
    }
}

/// The text of a file that is a script; what is wrong with it is said with the file's own name.
fn script(file: &Path) -> anyhow::Result<String> {
    let text = text_of(file)?;
    gillnet_scripts::check(&file.display().to_string(), &text)?;
    Ok(text)
}

/// Adds scripts.
pub fn add(shared: &Shared, args: &AddArgs) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.rest.running)?;
    let texts = args.files.iter().map(|file| script(file));
    // none is added where one is wrong
    let texts = texts.collect::<anyhow::Result<Vec<_>>>()?;
    for text in texts {
        let added = client.ask(Method::POST, &["scripts"], Some(text))?;
        args.rest.say("added", &added)?;
    }
    Ok(Done::Ok)
}

/// Changes a script.
pub fn change(shared: &Shared, args: &ChangeArgs) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.rest.running)?;
    let text = script(&args.file)?;
    let number = find(&client, &args.script)?;
    let changed = client.ask(Method::PUT, &["scripts", &number], Some(text))?;
    args.rest.say("changed", &changed)?;
    Ok(Done::Ok)
}

/// The scripts that are meant: all are known before anything is done.
fn numbers(client: &Client, names: &[String]) -> anyhow::Result<Vec<String>> {
    names.iter().map(|name| find(client, name)).collect()
}

/// Deletes scripts.
pub fn delete(shared: &Shared, args: &NamedArgs) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.rest.running)?;
    for number in numbers(&client, &args.scripts)? {
        client.ask(Method::DELETE, &["scripts", &number], None)?;
        match args.rest.output {
            Format::Table => say(format_args!("deleted {number}"))?,
            Format::Json => say(serde_json::json!({ "deleted": number.parse::<u32>()? }))?,
        }
    }
    Ok(Done::Ok)
}

/// Has scripts run, or run no more.
pub fn activate(shared: &Shared, args: &NamedArgs, active: bool) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.rest.running)?;
    for number in numbers(&client, &args.scripts)? {
        let body = serde_json::json!({ "active": active }).to_string();
        let script = client.ask(Method::PATCH, &["scripts", &number], Some(body))?;
        args.rest
            .say(if active { "activated" } else { "deactivated" }, &script)?;
    }
    Ok(Done::Ok)
}

/// Has jobs run now.
pub fn run_job(shared: &Shared, args: &RunJobArgs) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.rest.running)?;
    for tag in &args.tags {
        let path = ["scripts", "jobs", tag, "run"];
        let answer = client.ask(Method::POST, &path, None);
        let answer = answer.map_err(|error| match error.downcast_ref::<crate::exit::Coded>() {
            Some(_) => error,
            None => anyhow!("{error:#}; `gillnet scripts jobs` lists them"),
        })?;
        match args.rest.output {
            Format::Table => say(format_args!(
                "{tag} runs; `gillnet console` shows what it says"
            ))?,
            Format::Json => say(answer)?,
        }
    }
    Ok(Done::Ok)
}
