//! `gillnet`: the command line. Wiring only; each box lives in its own crate.

#![allow(unreachable_pub)] // a binary has no outside

mod backend;
mod cache;
mod cli;
mod columns;
mod compact;
mod config;
mod console;
mod debug;
mod exit;
mod export;
mod identity;
mod index;
mod inputs;
mod kfl;
mod live;
mod lock;
mod meter;
mod output;
mod own;
mod printer;
mod query;
mod recordings;
mod rules;
mod scan;
mod scripting;
mod scripts;
mod serve;
mod snapshot;
mod sql;
mod stats;
mod tap;
mod verify;
mod worker;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    cli::log(&cli);
    gillnet_capture::no_huge_pages();
    let result = match &cli.command {
        cli::Command::Query(args) => query::run(&cli.shared, args),
        cli::Command::Export(args) => export::run(&cli.shared, args),
        cli::Command::Sql(args) => sql::run(&cli.shared, args),
        cli::Command::Index(args) => index::run_index(&cli.shared, args),
        cli::Command::Kfl(args) => kfl::run(&cli.shared, args),
        cli::Command::Scripts(args) => scripts::run(&cli.shared, args),
        cli::Command::Console(args) => console::run(&cli.shared, args),
        cli::Command::Verify(args) => verify::run(&cli.shared, args),
        cli::Command::Compact(args) => compact::run(&cli.shared, args),
        cli::Command::Debug(args) => debug::run(&cli.shared, args),
        cli::Command::Snapshot(args) => snapshot::run(&cli.shared, args),
        cli::Command::Recordings(args) => recordings::run(&cli.shared, args),
        cli::Command::Pcapdump(args) => snapshot::dump(&cli.shared, args),
        cli::Command::Tap(args) => tap::run(&cli.shared, args),
        cli::Command::Worker(args) => worker::run(&cli.shared, args),
    };
    exit::code(result)
}
