//! `gillnet recordings prune`: deletes what is older than a recording is to be kept.

use crate::cli::{Access, Shared};
use crate::config::{Config, duration};
use crate::exit::{self, Done};
use crate::inputs;
use crate::output::say;
use crate::rules;
use crate::scan;
use anyhow::anyhow;
use gillnet_bucket::Destination;
use gillnet_bucket::prune::{Options, Pruned, older_than, prune};
use std::time::Duration;

/// `gillnet recordings prune`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Whole hours are deleted, the oldest first, and of each the index before the packets: who reads meanwhile finds no entry\n\
    whose packets are gone. A run that is broken off is finished by the next. The account needs to list and to delete objects.\n\n\
    Examples:\n  \
    gillnet recordings prune gs://bucket/prefix --older-than 7d --dry-run\n  \
    gillnet recordings prune s3://bucket/prefix --recording errors --older-than 30d\n  \
    gillnet --config worker.yaml recordings prune gs://bucket/prefix"
)]
pub struct PruneArgs {
    /// Recordings: gs://bucket/prefix, s3://bucket/prefix, az://container/prefix, file:///folder, or a folder
    bucket: String,
    /// Delete hours that ended so long ago [default: what each rule with this destination has as its retention]
    #[arg(long, value_name = "DURATION")]
    older_than: Option<String>,
    /// Only this recording
    #[arg(long, value_name = "NAME")]
    recording: Option<String>,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    access: Access,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &PruneArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let ages = ages(args, &config)?;
    let bucket = inputs::as_stored(&args.bucket, &args.access, &config)?;
    let would = if args.dry_run { "would be " } else { "" };
    let mut whole = Pruned::default();
    for (recording, age) in &ages {
        let options = Options {
            cluster: None,
            recording: recording.as_deref(),
            before: older_than(*age, scan::now()),
            dry_run: args.dry_run,
        };
        let mut failed = None;
        let done = prune(&*bucket, &options, &mut |gone| {
            let said = say(format_args!(
                "cluster={}/recording={}/{}: {} files, {} bytes {would}deleted",
                gone.cluster, gone.recording, gone.hour, gone.files, gone.bytes
            ));
            failed = said.err();
            failed.is_none()
        });
        failed.map_or(Ok(()), Err)?;
        let done = done.map_err(exit::of_bucket)?;
        whole.hours += done.hours;
        whole.files += done.files;
        whole.bytes += done.bytes;
    }
    say(format_args!(
        "{} hours with {} files, {} bytes {would}deleted",
        whole.hours, whole.files, whole.bytes
    ))?;
    Ok(Done::Ok)
}

/// How long what is kept: a recording, or all of them.
fn ages(args: &PruneArgs, config: &Config) -> anyhow::Result<Vec<(Option<String>, Duration)>> {
    if let Some(text) = &args.older_than {
        let age = duration(text).map_err(exit::usage)?;
        return Ok(vec![(args.recording.clone(), age)]);
    }
    let here = Destination::parse(&inputs::absolute(&args.bucket)?).map_err(exit::usage)?;
    let mut ages = Vec::new();
    for rule in config.rules(false).map_err(exit::usage)? {
        let is_asked = args.recording.as_ref().is_none_or(|of| *of == rule.name);
        if !is_asked || Destination::parse(&rule.destination).ok().as_ref() != Some(&here) {
            continue;
        }
        if let Some(age) = rules::retention(&rule)? {
            ages.push((Some(rule.name), age));
        }
    }
    if ages.is_empty() {
        return Err(exit::usage(anyhow!(
            "no rule of the configuration says how long something in {} is kept (retention); give --older-than 7d, say, or --config FILE",
            args.bucket
        )));
    }
    Ok(ages)
}
