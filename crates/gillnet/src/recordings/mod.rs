//! `gillnet recordings`: those in a bucket, and those at work.

pub mod at_work;
mod prune;

use crate::cli::Shared;
use crate::exit::Done;

/// `gillnet recordings`.
#[derive(clap::Args, Debug)]
pub struct RecordingsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Delete what is older than a recording is to be kept
    Prune(prune::PruneArgs),
}

/// Runs the command.
pub fn run(shared: &Shared, args: &RecordingsArgs) -> anyhow::Result<Done> {
    match &args.command {
        Command::Prune(args) => prune::run(shared, args),
    }
}
