//! `gillnet scripts check`: what is wrong with scripts.

use super::{ReportFormat, text_of};
use crate::exit::Done;
use crate::output::say;
use clap::Args;
use gillnet_scripts::SyntaxError;
use std::path::PathBuf;

/// `gillnet scripts check`.
#[derive(Args, Debug)]
#[command(
    after_help = "What is no JavaScript is said; and calls of helpers, and functions in the manner of hooks, that \
    there are none of. Scripts are not run: `gillnet scripts run` does that.\n\n\
    Examples:\n  \
    gillnet scripts check recorder.js\n  \
    gillnet scripts check scripts/*.js -o json\n\n\
    JSON: one object a file with file, ok and errors, each with file, line, column and message.\n\
    Exit codes: 0 nothing is wrong, 1 something is, 2 usage."
)]
pub struct CheckArgs {
    /// Files; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: ReportFormat,
}

/// Runs the command.
pub fn run(args: &CheckArgs) -> anyhow::Result<Done> {
    let mut done = Done::Ok;
    for path in &args.files {
        let text = text_of(path)?;
        let file = path.display().to_string();
        let found = gillnet_scripts::review(&file, &text);
        if !found.is_empty() {
            done = Done::Refused;
        }
        match args.output {
            ReportFormat::Json => {
                let errors = found.iter().map(|error| {
                    serde_json::json!({
                        "file": error.file, "line": error.line, "column": error.column, "message": error.message,
                    })
                });
                let errors: Vec<_> = errors.collect();
                let ok = errors.is_empty();
                say(serde_json::json!({ "file": file, "ok": ok, "errors": errors }))?;
            }
            ReportFormat::Text if found.is_empty() => say(format_args!("{file}: ok"))?,
            ReportFormat::Text => found.iter().try_for_each(|error| print(error, &text))?,
        }
    }
    Ok(done)
}

/// The error, and its line with a caret below the place.
fn print(error: &SyntaxError, text: &str) -> std::io::Result<()> {
    say(error)?;
    let index = |n: u32| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(line) = text.lines().nth(index(error.line)) else {
        return Ok(());
    };
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let column = index(error.column);
    // a line may be the whole of a packed script
    let (from, most) = (column.saturating_sub(60), 100);
    let shown: String = line.chars().skip(from).take(most).map(clean).collect();
    say(format_args!("  {}", shown.trim_end()))?;
    say(format_args!("  {:>width$}", "^", width = column - from + 1))
}
