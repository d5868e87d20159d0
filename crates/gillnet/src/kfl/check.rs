//! `gillnet kfl check`: what is wrong with filters.

use super::Output;
use crate::cli::{self, Language, Shared};
use crate::exit::Done;
use crate::output::say;
use clap::Args;
use gillnet_kfl::{Error, validate};

/// `gillnet kfl check`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet kfl check 'http and response.status == 500'\n  \
    gillnet kfl check --lang kfl2 'http && status_code >= 500' 'dns'\n  \
    gillnet kfl check - -o json <filter.kfl\n\n\
    JSON: ok, lang, errors and warnings, each with kind, offset and length (in UTF-16 code units), line, column, \
    message and suggestion.\n\
    Exit codes: 0 all are valid (warnings included), 1 one is not, 2 usage.")]
pub struct CheckArgs {
    /// Filters; `-` reads one from standard input
    #[arg(required = true)]
    filters: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    language: Language,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &CheckArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let env = cli::env(&config);
    let mut done = Done::Ok;
    for given in &args.filters {
        let text = super::text(given)?;
        let found = validate(&env, &text, &args.language.options());
        if !found.errors.is_empty() {
            done = Done::Refused;
        }
        if args.output == Output::Json {
            let mut shown = gillnet_api::validation(&found, &text);
            shown["kfl"] = text.into();
            say(shown)?;
            continue;
        }
        let verdict = match (found.errors.is_empty(), found.warnings.is_empty()) {
            (false, _) => "error",
            (true, false) => "warning",
            (true, true) => "ok",
        };
        let lang = found.lang.name();
        say(format_args!("{verdict} ({lang}): {}", line(&text)))?;
        for error in found.errors.iter().chain(&found.warnings) {
            print_indented(error, &text)?;
        }
    }
    Ok(done)
}

fn print_indented(error: &Error, text: &str) -> std::io::Result<()> {
    for line in error.render(text).lines() {
        say(format_args!("  {line}"))?;
    }
    Ok(())
}

/// A text in one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
