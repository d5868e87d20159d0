//! `gillnet recordings`: those in buckets, and those at work.

pub mod at_work;
mod list;
mod prune;

use crate::cli::Shared;
use crate::exit::Done;

/// `gillnet recordings`.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Of a bucket its listing, the ends of the index's files and the beginnings of packets without an index are read, no more. A\n\
    stream that goes on in another object counts in STREAMS there again. A running Gillnet is found at --url, the address\n\
    that `gillnet tap` printed; its token is taken from there, from --token-file, from GILLNET_TOKEN or from api.token of\n\
    the configuration. Exit codes: 0 ok, 1 failure, 2 usage, 3 there is none, 4 not reachable or not allowed.\n\n\
    Examples:\n  \
    gillnet recordings gs://bucket/prefix s3://other\n  \
    gillnet recordings list /var/recordings -o json | jq '.recordings[].entries'\n  \
    gillnet recordings --url 'http://127.0.0.1:8899/?token=…'\n  \
    gillnet recordings prune gs://bucket/prefix --older-than 7d --dry-run"
)]
pub struct RecordingsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: list::ListArgs,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the recordings of buckets, and those at work
    List(list::ListArgs),
    /// Delete what is older than a recording is to be kept
    Prune(prune::PruneArgs),
}

/// Runs the command.
pub fn run(shared: &Shared, args: &RecordingsArgs) -> anyhow::Result<Done> {
    match &args.command {
        None => list::run(shared, &args.list),
        Some(Command::List(args)) => list::run(shared, args),
        Some(Command::Prune(args)) => prune::run(shared, args),
    }
}
