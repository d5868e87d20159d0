//! `gillnet kfl fmt`: a filter in its canonical form.

use super::Output;
use crate::cli::{self, Language, Shared};
use crate::exit::Done;
use crate::output::say;
use clap::Args;

/// `gillnet kfl fmt`.
#[derive(Args, Debug)]
#[command(
    after_help = "The filter keeps its spelling and its answers: blanks and quotes become regular, and parentheses \
    stay where they are needed or spare a surprise. Comments stay between the terms and around them; one inside a term \
    is refused.\n\n\
    Examples:\n  \
    gillnet kfl fmt \"dns and http or http\"           dns and (http or http)\n  \
    gillnet kfl fmt - <filter.kfl\n\n\
    Exit codes: 0 ok, 1 the filter is not valid, 2 usage."
)]
pub struct FmtArgs {
    /// Filter; `-` reads it from standard input
    filter: String,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    language: Language,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &FmtArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let (env, options) = (cli::env(&config), args.language.options());
    let text = super::text(&args.filter)?;
    match gillnet_kfl::format(&env, &text, &options) {
        Ok(formatted) if args.output == Output::Json => {
            let lang = gillnet_kfl::validate(&env, &text, &options).lang.name();
            say(serde_json::json!({ "kfl": formatted, "lang": lang }))?;
        }
        Ok(formatted) => say(formatted)?,
        Err(errors) => return super::refused(&errors, &text, args.output),
    }
    Ok(Done::Ok)
}
