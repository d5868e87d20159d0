//! `gillnet verify`: checks that all that is in a bucket is whole and says the same.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use gillnet_bucket::verify::{Checked, Finding, Watch, verify};
use serde_json::json;

use crate::cli::{Access, Shared};
use crate::exit::{self, Done};
use crate::inputs;
use crate::output::say;

/// How often it says how far it is.
const EVERY: Duration = Duration::from_secs(5);

/// `gillnet verify`.
#[derive(Args, Debug)]
#[command(
    after_help = "Each finding has the object, what is wrong with it, and what can be done. What is replaced by compaction is not\n\
    looked at. Exit codes: 0 nothing found, 1 something found, 4 the bucket can't be reached or listed.\n\n\
    Examples:\n  \
    gillnet verify gs://bucket/prefix\n  \
    gillnet verify /var/recordings -o json | jq .key"
)]
pub struct VerifyArgs {
    /// Recordings: gs://bucket/prefix, file:///folder, or a folder
    pub bucket: String,
    /// Output format
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line a finding, and one that sums up
    Text,
    /// One JSON object a line: the findings, then one that sums up
    Json,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &VerifyArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let bucket = inputs::recordings(&args.bucket, &args.access, &config)?;
    let mut show = Show {
        output: args.output,
        said: Instant::now(),
        failed: None,
        findings: 0,
    };
    let checked = verify(&bucket, &mut show);
    if let Some(error) = show.failed.take() {
        return Err(error.into());
    }
    let checked = checked.map_err(exit::of_bucket)?;
    let Checked {
        done,
        bytes,
        packets,
        streams,
        entries,
        replaced,
        others,
        findings,
        encrypted,
        ..
    } = checked;
    match args.output {
        Output::Json => say(json!({ "summary": {
            "objects": done, "bytes": bytes, "packets": packets, "streams": streams, "entries": entries,
            "replaced": replaced, "others": others, "encrypted": encrypted, "findings": findings,
        }})),
        Output::Text => say(format_args!(
            "{done} objects with {bytes} bytes: {packets} packets, {streams} streams, {entries} entries; {replaced} replaced, \
             {others} others; {encrypted} encrypted and not read; {findings} findings"
        )),
    }?;
    Ok(match findings {
        0 => Done::Ok,
        _ => Done::Refused,
    })
}

struct Show {
    output: Output,
    said: Instant,
    failed: Option<std::io::Error>,
    findings: u64,
}

impl Watch for Show {
    fn found(&mut self, finding: &Finding) {
        let Finding { key, what, mend } = finding;
        self.findings += 1;
        let said = match self.output {
            Output::Json => say(json!({ "key": key, "what": what, "mend": mend })),
            Output::Text => say(format_args!("{key}: {what}; {mend}")),
        };
        if let Err(error) = said {
            self.failed.get_or_insert(error);
        }
    }

    fn goes_on(&mut self, so_far: &Checked) {
        if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            let Checked { done, objects, .. } = so_far;
            eprintln!(
                "gillnet: {done} of {objects} objects checked, {} findings",
                self.findings
            );
        }
    }
}
