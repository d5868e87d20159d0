//! `gillnet scripts`: those of a running Gillnet, and files that are to become some.

mod change;
mod check;
mod client;
mod list;
mod run;
mod table;

pub use client::{Client, Console, Heard, Running, runtime};
pub use table::{bytes, table};

use crate::cli::Shared;
use crate::exit::Done;
use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Read;
use std::path::Path;

/// `gillnet scripts`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet scripts check recorder.js\n  \
    gillnet scripts run recorder.js --pcap traffic.pcap --dry-run --jobs\n  \
    gillnet scripts add recorder.js --url 'http://127.0.0.1:8899/?token=…'\n  \
    gillnet scripts list\n  \
    gillnet scripts run-job forensics\n\n\
    A script is named by its number, its title or its file's name.\n\
    A running Gillnet is found at --url, the address that `gillnet tap` printed; its token is taken from there, from \
    --token-file, from GILLNET_TOKEN or from api.token of the configuration.\n\
    Exit codes: 0 ok, 1 failure, 2 usage, 4 not reachable or not allowed.")]
pub struct ScriptsArgs {
    #[command(subcommand)]
    what: What,
}

/// What is done with scripts.
#[derive(Debug, Subcommand)]
enum What {
    /// List the scripts of a running Gillnet, and how they are doing
    List(list::ListArgs),
    /// Print the text of a script
    Show(list::ShowArgs),
    /// Add scripts
    Add(change::AddArgs),
    /// Put another text in the place of a script's
    Change(change::ChangeArgs),
    /// Delete scripts with their files
    Delete(change::NamedArgs),
    /// Have scripts run, whatever the configuration says of their titles
    Activate(change::NamedArgs),
    /// Have scripts run no more
    Deactivate(change::NamedArgs),
    /// List the jobs of all scripts
    Jobs(list::ListArgs),
    /// Have jobs run now
    RunJob(change::RunJobArgs),
    /// Print the TypeScript declarations of all helpers and hooks (gillnet.d.ts)
    Types,
    /// Say what is wrong with scripts, without running them
    Check(check::CheckArgs),
    /// Run scripts over captures, and show what they would do
    Run(run::RunArgs),
}

/// Runs the command.
pub fn run(shared: &Shared, args: &ScriptsArgs) -> anyhow::Result<Done> {
    match &args.what {
        What::List(args) => list::list(shared, args),
        What::Show(args) => list::show(shared, args),
        What::Add(args) => change::add(shared, args),
        What::Change(args) => change::change(shared, args),
        What::Delete(args) => change::delete(shared, args),
        What::Activate(args) => change::activate(shared, args, true),
        What::Deactivate(args) => change::activate(shared, args, false),
        What::Jobs(args) => list::jobs(shared, args),
        What::RunJob(args) => change::run_job(shared, args),
        What::Types => list::types(),
        What::Check(args) => check::run(args),
        What::Run(args) => run::run(shared, args),
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns under a head line
    #[default]
    Table,
    /// JSON, as the API gives it
    Json,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum ReportFormat {
    /// For people
    #[default]
    Text,
    /// JSON
    Json,
}

/// Most bytes that are read of a script: more than one may have.
const LONGEST: u64 = 5 << 20;

/// The text of a file, as it would be taken from a folder of scripts; `-` is standard input.
fn text_of(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LONGEST)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(LONGEST).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("the script {} cannot be read", file.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
