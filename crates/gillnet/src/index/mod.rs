//! `gillnet index`: dissects captures and recordings into a bucket, as a recorder would have written it.

mod feed;
mod job;
mod progress;

use crate::cli::{Access, Language, Shared};
use crate::config::Config;
use crate::exit::{self, Done};
use crate::identity::Identity;
use crate::inputs::{Inputs, Pending, Reading, Unplaced};
use crate::live::{Credentialed, History};
use crate::rules;
use anyhow::Context;
use feed::Feed;
use gillnet_bucket::layout::{FORMAT, FORMAT_KEY, Payload};
use gillnet_bucket::{Body, Destination, PutError};
use gillnet_capture::Ring;
use gillnet_entry::{Entry, Origin};
use gillnet_kfl::Filter;
use gillnet_names::Names;
use gillnet_pipeline::{
    Consumer, Control, Counters, Ended, Keep, Matched, Numbers, Plan, Shard, ShardConfig, Want, run,
};
use gillnet_recorder::{
    Batch, BatchError, Buckets, Deps, Disk, Dissection, Period, RecorderConfig, Rule, RuleCounters,
    Schedule, SystemClock,
};
use job::Job;
use progress::Progress;
use std::path::PathBuf;
use std::sync::Arc;

/// `gillnet index`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet index day.pcap --to gs://bucket/prefix\n  \
    gillnet index captures/ --to file:///var/recordings --cluster prod --recording march\n  \
    gillnet index snapshot:incident --to gs://bucket --kfl http\n\n\
    Killed or interrupted, the same command goes on: the captures are read again from their start, and what was sealed \
    by then is neither written nor uploaded again. Done once, the same command does nothing.")]
pub struct IndexArgs {
    /// Captures and recordings: files, folders, globs, tar.gz, `-`, snapshot:NAME, gs://bucket/prefix, file:///folder
    #[arg(required = true)]
    pub sources: Vec<String>,
    /// Where to: gs://bucket/prefix, file:///folder
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Name of the cluster in the bucket [default: `cluster` of the configuration, else this host's id]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Name of the recording in the bucket
    #[arg(long, value_name = "NAME", default_value = "index")]
    pub recording: String,
    /// Name of the node in the bucket [default: this host's]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Only streams in which this filter matches; without it everything that is TCP or UDP, also what nothing reads
    #[arg(long, value_name = "FILTER", default_value = "")]
    pub kfl: String,
    /// Encrypt what is written for this public key of age (age1…); may be given several times [default:
    /// `recording.recipients` of the configuration]
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// Do it once more although it was done, or was begun with other captures: what is there stays
    #[arg(long)]
    pub again: bool,
    /// Data directory, where it is kept how far this is
    #[arg(long, env = "GILLNET_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub language: Language,
    #[command(flatten)]
    pub access: Access,
}

/// The most that the byte ring needs where streams are recorded as they come.
const RING: u64 = 256 << 20;

/// Frames that went into a bucket, and what came of them.
#[derive(Debug, Default)]
struct Came {
    counters: Counters,
    uploaded: RuleCounters,
    faults: u64,
}

/// Runs the command.
pub fn run_index(shared: &Shared, args: &IndexArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let filter = shared.filter(&config, &args.kfl, &args.language)?;
    let recipients = rules::given_recipients(&args.recipient, &config)?;
    let buckets = Arc::new(Credentialed::new(config.clone()));
    check(&args.to, &buckets)?;
    let data_dir = args.data_dir.clone().unwrap_or_else(|| config.data_dir());
    let identity = Identity::find(args.cluster.as_deref().or(config.cluster.as_deref()));
    let node = args.node.clone().unwrap_or_else(|| identity.node.clone());
    let sources = args.sources.iter().map(|source| {
        crate::snapshot::resolve(&data_dir, source).map(|path| path.display().to_string())
    });
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let open = (i64::MIN, i64::MAX);
    let inputs = Inputs::open(&sources, &args.access, &config, open)?;
    let asked = [
        &[
            &args.to,
            &identity.cluster,
            &args.recording,
            &node,
            &args.kfl,
        ][..],
        &sources.iter().collect::<Vec<_>>(),
        &recipients.texts().iter().collect::<Vec<_>>(),
    ]
    .concat();
    let mut job = Job::open(&data_dir, &asked, args.again)?;
    let groups = inputs.readings()?;
    // what is indexed once is not looked at again
    inputs.ended(Done::Ok)?;
    // an index would be believed to have all
    if let Some(group) = groups.iter().find(|group| group.cut().is_some()) {
        return Err(exit::usage(anyhow::anyhow!(
            "{}: the payload of packets was not recorded, so that no entries can be read from them again; the bucket has an index already, from which `gillnet query` answers",
            group.label()
        )));
    }
    if job.is_done() {
        tracing::info!(
            "all of it is in {} already, and nothing was done; --again does it once more",
            args.to
        );
        return Ok(Done::Ok);
    }
    let rule = Rule {
        name: args.recording.clone(),
        kfl: args.kfl.clone(),
        destination: args.to.clone(),
        flush: Schedule::Never,
        period: Period::default(),
        retention: None,
        payload: Payload::Full,
        recipients,
    };
    let work = Work {
        config: &config,
        filter,
        rule,
        cluster: identity.cluster,
        node,
        buckets,
    };
    let progress = Progress::start(groups.len());
    let mut came = Came::default();
    for group in groups {
        let label = group.label();
        if job.has_done(&label) {
            progress.skip();
            continue;
        }
        let part = job.part(&label)?;
        work.group(group, &part, &progress, &mut came)
            .with_context(|| {
                format!("{label}: not all of it is in the bucket; the same command goes on, with --again it begins anew")
            })?;
        job.done(&label)?;
    }
    progress.end();
    job.finish(args.sources.iter().any(|source| source == "-"))?;
    say(&came, &args.to);
    anyhow::ensure!(
        came.counters.frames > 0 || came.faults == 0,
        "no frame could be read (see above)"
    );
    Ok(Done::Ok)
}

/// Refuses at once what can be seen to be wrong with a destination.
fn check(to: &str, buckets: &Credentialed) -> anyhow::Result<()> {
    Destination::parse(to).map_err(exit::usage)?;
    let bucket = buckets.open(to).map_err(exit::of_bucket)?;
    match bucket.put_new(FORMAT_KEY, Body::Bytes(FORMAT.as_bytes())) {
        Ok(()) | Err(PutError::Exists { .. }) => Ok(()),
        Err(
            PutError::Refused(error) | PutError::Unavailable(error) | PutError::Ambiguous(error),
        ) => Err(exit::of_bucket(error)),
    }
}

/// What every group of recordings is indexed with.
struct Work<'c> {
    config: &'c Config,
    filter: Filter,
    rule: Rule,
    cluster: String,
    node: String,
    buckets: Arc<Credentialed>,
}

impl Work<'_> {
    fn group(
        &self,
        group: Pending,
        part: &job::Part,
        progress: &Progress,
        came: &mut Came,
    ) -> anyhow::Result<()> {
        let Reading {
            source,
            mut numbers,
            history,
            ..
        } = group.read()?;
        let mut source = Unplaced(source);
        let speech = crate::cli::speech(self.config)?;
        // what names mean depends on how far frames were read: each of both has its own
        let named = || -> anyhow::Result<Arc<Names>> {
            let names = Names::new(crate::cli::names(self.config, false)).map_err(exit::usage)?;
            for (place, json) in &history {
                if let Err(error) = names.import(json, i64::MIN, i64::MAX) {
                    tracing::warn!("{place}: {error}");
                }
            }
            Ok(Arc::new(names))
        };
        let (shown, sealed) = (named()?, named()?);
        let origin = Arc::new(Origin {
            worker: self.node.clone(),
            node: self.node.clone(),
            cluster: self.cluster.clone(),
            backend: "pcap",
            ..Origin::default()
        });
        let usual = RecorderConfig::new(
            part.dir.clone(),
            self.cluster.clone(),
            self.node.clone(),
            part.run,
        );
        let size = self.config.recording.object_size;
        let recorder = RecorderConfig {
            object_size: size.map_or(usual.object_size, |size| size.0),
            ..usual
        };
        let deps = Deps {
            clock: Arc::new(SystemClock::default()),
            fs: Arc::new(Disk),
            buckets: Arc::clone(&self.buckets) as Arc<dyn Buckets>,
            names: Arc::new(History::of(Arc::clone(&sealed))),
            dissection: Some(Dissection {
                env: Arc::new(speech.env),
                names: sealed,
                origin: Arc::clone(&origin),
                taught: None,
            }),
        };
        let (batch, handle) = Batch::start(recorder, &self.rule, deps)?;
        let control = Arc::new(Control::default());
        let feed = Feed::new(handle, batch.pump(), Arc::clone(&control), progress.meter());
        let failed = feed.failed();
        // without a filter nothing is read back from it but what reassembly holds
        let whole = self.rule.kfl.trim().is_empty();
        let usual = crate::live::ring_size(self.config, &part.dir);
        let ring = if whole { usual.min(RING) } else { usual };
        let want = Want {
            bit: 0,
            filter: self.filter.clone(),
            record: true,
            bodies: false,
        };
        let plan = Plan::new(vec![want], 1);
        let plan = if whole { plan.recording_whole(1) } else { plan };
        let mut next = 0;
        let mut shard = Shard::new(ShardConfig {
            origin,
            numbers: Some(Numbers::Given(Box::new(move || {
                let since = numbers.as_mut().and_then(|numbers| numbers.give().1);
                next += 1;
                (next - 1, since)
            }))),
            recorder: Some(Box::new(feed)),
            ..ShardConfig::new(
                Arc::new(plan),
                shown,
                Keep::Ring(Ring::create(Some(&part.dir), ring)?),
                Box::new(Nobody),
            )
        });
        let ended = run(&mut source, &mut shard, &control, &mut |fault| {
            came.faults += 1;
            tracing::warn!("{fault}");
        });
        drop(shard);
        came.counters.add(&control.board().read());
        if let Some(error) = failed.take() {
            return Err(coded(error));
        }
        if let Ended::Failed(error) = ended {
            return Err(error.into());
        }
        let uploaded = batch.finish().map_err(coded)?;
        came.uploaded.uploaded_objects += uploaded.uploaded_objects;
        came.uploaded.uploaded_packets += uploaded.uploaded_packets;
        came.uploaded.uploaded_bytes += uploaded.uploaded_bytes;
        progress.group_done();
        Ok(())
    }
}

/// A bucket that does not answer has an exit code of its own.
fn coded(error: BatchError) -> anyhow::Error {
    match error {
        BatchError::Bucket(_) => exit::unreachable(error),
        _ => error.into(),
    }
}

/// Says what came of it, and what is not there.
fn say(came: &Came, to: &str) {
    let (counters, uploaded) = (&came.counters, &came.uploaded);
    tracing::info!(
        "{} frames were read; {} packets in {} objects ({} bytes) went to {to}",
        counters.frames,
        uploaded.uploaded_packets,
        uploaded.uploaded_objects,
        uploaded.uploaded_bytes
    );
    let left = counters.drops.iter().filter(|(_, count)| *count > 0);
    let left: Vec<String> = left
        .map(|(reason, count)| format!("{} {count}", reason.name()))
        .collect();
    if !left.is_empty() {
        tracing::info!("dropped, cut or passed over: {}", left.join(", "));
    }
}

/// Entries are read again when their packets are sealed.
struct Nobody;

impl Consumer for Nobody {
    fn entry(&mut self, _: &Entry<'_>, _: Matched) -> bool {
        true
    }
}
