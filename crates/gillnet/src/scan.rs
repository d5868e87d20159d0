//! Reads captures and recordings through the pipeline: the road of `query`, `debug` and `tap --pcap`.

use crate::cli;
use crate::config::Config;
use crate::exit;
use crate::inputs::{Inputs, Reading};
use gillnet_capture::Ring;
use gillnet_entry::Entry;
use gillnet_names::Names;
use gillnet_pipeline::{
    Consumer, Control, Counters, Ended, FrameTap, Keep, Matched, Plan, Shard, ShardConfig, Want,
    run,
};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Ring for sources that are not mapped: compressed files, archives, standard input.
const RING: u64 = 256 << 20;

/// What is read out of the inputs.
pub struct Scan<'c> {
    /// The configuration: names, limits.
    pub config: &'c Config,
    /// What is wanted.
    pub wants: Vec<Want>,
    /// Only entries that began in this span, ns.
    pub within: (i64, i64),
    /// Sees the frames of wanted flows.
    pub tap: Option<Box<dyn FnMut() -> FrameTap + 'c>>,
}

/// What reading came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Counters of all shards.
    pub counters: Counters,
    /// Faults after which reading went on.
    pub faults: Vec<String>,
    /// Why reading stopped early.
    pub failed: Option<String>,
}

impl Summary {
    /// A failure where nothing could be read at all, or reading stopped early.
    pub fn outcome(&self) -> anyhow::Result<()> {
        match &self.failed {
            Some(failed) => Err(anyhow::anyhow!("{failed}")),
            None if self.counters.frames == 0 && !self.faults.is_empty() => {
                Err(anyhow::anyhow!("no frame could be read (see above)"))
            }
            None => Ok(()),
        }
    }
}

impl Scan<'_> {
    /// Reads all inputs; a new consumer is made for each group of recordings, one after the other.
    pub fn run(
        mut self,
        inputs: &Inputs,
        consumer: &mut dyn FnMut() -> Box<dyn Consumer>,
    ) -> anyhow::Result<Summary> {
        let mut summary = Summary::default();
        let plan = Arc::new(Plan::new(std::mem::take(&mut self.wants), 1));
        let named = cli::names(self.config, false);
        for reading in inputs.readings()? {
            let reading = match reading {
                Ok(reading) => reading,
                Err(error) => {
                    summary.failed = Some(format!("{error:#}"));
                    break;
                }
            };
            let names = Arc::new(Names::new(named.clone()).map_err(exit::usage)?);
            let within = Within {
                inner: consumer(),
                span: self.within,
            };
            let tap = self.tap.as_mut().map(|make| make());
            if !self.read(reading, &plan, names, Box::new(within), tap, &mut summary)? {
                break;
            }
        }
        Ok(summary)
    }

    /// Reads one group; `false` where the consumer has enough.
    fn read(
        &self,
        reading: Reading,
        plan: &Arc<Plan>,
        names: Arc<Names>,
        consumer: Box<dyn Consumer>,
        tap: Option<FrameTap>,
        summary: &mut Summary,
    ) -> anyhow::Result<bool> {
        let Reading {
            mut source,
            origin,
            numbers,
            history,
        } = reading;
        for (place, json) in history {
            if let Err(error) = names.import(&json, i64::MIN, i64::MAX) {
                tracing::warn!("{place}: {error}");
                summary.faults.push(format!("{place}: {error}"));
            }
        }
        let keep = match source.store() {
            Some(store) => Keep::Mapped(store),
            None => Keep::Ring(Ring::create(Some(&std::env::temp_dir()), RING)?),
        };
        let mut shard = Shard::new(ShardConfig {
            origin,
            numbers,
            tap,
            ..ShardConfig::new(Arc::clone(plan), names, keep, consumer)
        });
        let control = Control::default();
        let ended = run(&mut *source, &mut shard, &control, &mut |fault| {
            tracing::warn!("{fault}");
            summary.faults.push(fault.to_string());
        });
        let counters = control.board().read();
        summary.counters.add(&counters);
        drop(shard);
        match ended {
            Ended::Source => Ok(true),
            Ended::Stopped => Ok(false),
            Ended::Failed(error) => {
                summary.failed = Some(error.to_string());
                Ok(false)
            }
        }
    }
}

/// Lets through what began within a span of time.
struct Within {
    inner: Box<dyn Consumer>,
    span: (i64, i64),
}

impl Consumer for Within {
    fn entry(&mut self, entry: &Entry<'_>, matched: Matched) -> bool {
        let (since, until) = self.span;
        let began = entry.common.ts;
        // without an end even what a broken clock dated at the end of time is within
        let within = since <= began && (began < until || until == i64::MAX);
        !within || self.inner.entry(entry, matched)
    }

    fn flush(&mut self) {
        self.inner.flush();
    }
}

/// Says on standard error what was dropped, so that nothing is lost silently.
pub fn report(summary: &Summary) {
    let dropped: Vec<String> = summary
        .counters
        .drops
        .iter()
        .filter(|(reason, count)| *count > 0 && reason.is_loss())
        .map(|(reason, count)| format!("{} {count}", reason.name()))
        .collect();
    if !dropped.is_empty() {
        tracing::warn!("not everything was seen: {}", dropped.join(", "));
    }
}

/// The wall clock in ns since the epoch.
pub fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
