//! `gillnet compact`: makes few large objects of many small ones.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use clap::Args;
use gillnet_bucket::compact::{Options, Step, closed, compact};

use crate::cli::{self, Access, Shared};
use crate::config;
use crate::exit::{self, Done};
use crate::inputs;
use crate::output::say;
use crate::rules;
use crate::scan;

/// `gillnet compact`.
#[derive(Args, Debug)]
#[command(
    after_help = "Objects of one hour, node and run become one; entries, packets and their numbers stay as they are. What was replaced\n\
    is no more read, and a later run deletes it when the time of grace is over: whoever listed the bucket before may still\n\
    read it. The account needs to list, read and create objects, and to delete them (roles/storage.objectUser).\n\
    What is made of encrypted objects is encrypted: it needs a key to read them (--identity), and to know for whom.\n\
    Run one at a time. A run that is broken off leaves everything as it was, and the next one goes on.\n\n\
    Examples:\n  \
    gillnet compact gs://bucket/prefix --dry-run\n  \
    gillnet compact /var/recordings --before 24h --grace 1h"
)]
pub struct CompactArgs {
    /// Recordings: gs://bucket/prefix, file:///folder, or a folder
    pub bucket: String,
    /// Only hours that ended before this: RFC 3339, or a duration before now [default: those that ended two hours ago]
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// Delete what was replaced longer ago than this
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    grace: String,
    /// Encrypt what is made of encrypted objects for this public key of age (age1…), and for each other that is given
    /// [default: the recipients of the rule of this name in the configuration, else its `recording.recipients`]
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    access: Access,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &CompactArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let before = match &args.before {
        Some(text) => cli::moment(text).map_err(exit::usage)?,
        None => closed(scan::now()),
    };
    let grace = match args.grace.as_str() {
        "0" => Duration::ZERO,
        text => config::duration(text).map_err(exit::usage)?,
    };
    let bucket = inputs::recordings(&args.bucket, &args.access, &config)?;
    let usual = rules::given_recipients(&args.recipient, &config)?;
    let mut of_rules = BTreeMap::new();
    if args.recipient.is_empty() {
        for rule in config.rules(false).map_err(exit::usage)? {
            let recipients = rules::recipients(&config, &rule)?;
            of_rules.insert(rule.name, recipients);
        }
    }
    let options = Options {
        recipients: &|recording| of_rules.get(recording).unwrap_or(&usual).clone(),
        before,
        grace,
        now: SystemTime::now(),
        dry_run: args.dry_run,
        rest: std::thread::sleep,
    };
    let would = if args.dry_run { "would be " } else { "" };
    let mut failed = None;
    let done = compact(&bucket, &options, &mut |step| {
        let said = match step {
            Step::Made { name, of } => say(format_args!("{name}: {would}made of {of} objects")),
            Step::Deleted { key } => say(format_args!("{key}: {would}deleted")),
            Step::Left { name, why } => {
                tracing::warn!("{name}: left as it is: {why}");
                Ok(())
            }
        };
        if let Err(error) = said {
            failed.get_or_insert(error);
        }
    });
    let done = done.map_err(exit::of_bucket)?;
    failed.map_or(Ok(()), Err)?;
    say(format_args!(
        "{} objects {would}made of {}; {} files {would}deleted, {} are replaced and wait; {} left as they are",
        done.made, done.replaced, done.deleted, done.waiting, done.left
    ))?;
    if done.encrypted > 0 {
        tracing::warn!(
            "{} files are encrypted, and no key was given: they were passed over; {}",
            done.encrypted,
            gillnet_bucket::IDENTITY
        );
    }
    Ok(match done.left + done.encrypted {
        0 => Done::Ok,
        _ => Done::Refused,
    })
}
