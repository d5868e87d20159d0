//! `gillnet kfl`: the filter language by itself.

mod fields;

use crate::cli::Shared;
use crate::exit::Done;
use clap::{Args, Subcommand};

/// `gillnet kfl`.
#[derive(Args, Debug)]
pub struct KflArgs {
    #[command(subcommand)]
    what: What,
}

/// What is done with the language.
#[derive(Debug, Subcommand)]
enum What {
    /// List what filters may speak of: fields and flags with type and meaning
    Fields(fields::FieldsArgs),
}

/// Runs the command.
pub fn run(shared: &Shared, args: &KflArgs) -> anyhow::Result<Done> {
    match &args.what {
        What::Fields(args) => fields::run(shared, args),
    }
}
