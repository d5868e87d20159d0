//! `gillnet kfl`: the filter language by itself.

mod check;
mod explain;
mod fields;
mod fmt;

use crate::cli::Shared;
use crate::exit::Done;
use crate::output::say;
use clap::{Args, Subcommand};
use gillnet_kfl::{Errors, Validation};
use std::io::Read;

/// `gillnet kfl`.
#[derive(Args, Debug)]
pub struct KflArgs {
    #[command(subcommand)]
    what: What,
}

/// What is done with filters.
#[derive(Debug, Subcommand)]
enum What {
    /// Say what is wrong with filters, where, and what was probably meant
    Check(check::CheckArgs),
    /// Show what a filter came to: types, stages, and what the plan makes of it
    Explain(explain::ExplainArgs),
    /// List what filters may speak of: fields and flags with type and meaning
    Fields(fields::FieldsArgs),
    /// Print a filter in its canonical form
    Fmt(fmt::FmtArgs),
}

/// Runs the command.
pub fn run(shared: &Shared, args: &KflArgs) -> anyhow::Result<Done> {
    match &args.what {
        What::Check(args) => check::run(shared, args),
        What::Explain(args) => explain::run(shared, args),
        What::Fields(args) => fields::run(shared, args),
        What::Fmt(args) => fmt::run(shared, args),
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON object a filter
    Json,
}

/// Most bytes that are read of a filter on standard input: more than any filter may have.
const INPUT: u64 = 1 << 20;

/// The filter that is meant: `-` is what standard input holds.
fn text(given: &str) -> anyhow::Result<String> {
    if given != "-" {
        return Ok(given.into());
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(INPUT)
        .read_to_string(&mut text)?;
    // the line end that an editor or `echo` adds is not of the filter
    Ok(text.trim_end_matches(['\n', '\r']).into())
}

/// Says what is wrong with the filter that was to be shown.
fn refused(errors: &Errors, text: &str, output: Output) -> anyhow::Result<Done> {
    if output == Output::Json {
        let found = Validation {
            lang: errors.lang,
            errors: errors.errors.clone(),
            warnings: Vec::new(),
        };
        say(gillnet_api::validation(&found, text))?;
    } else {
        eprintln!("gillnet: the filter is wrong\n{}", errors.render(text));
    }
    Ok(Done::Refused)
}
