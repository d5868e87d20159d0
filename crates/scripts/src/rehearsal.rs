//! A script run over captures, to see what it would do: `gillnet scripts run`, and tests of people's own scripts.
//!
//! Time is the packets': jobs and timers run when the capture has come so far.

use crate::clock::{Clock, ManualClock};
use crate::files::TappedStreams;
use crate::scripts::{Config, Doors, Error, JobStatus, ScriptStatus, Scripts, StreamCounts};
use crate::sink::{Pressure, Sink};
use gillnet_capture::{Event, Input, expand, open_merged};
use gillnet_entry::{Entry, Origin};
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::Names;
use gillnet_pipeline::{
    Consumer, Control, Counters, Ended, Keep, Matched, PacketSeen, Plan, Shard, ShardConfig, Want,
    run,
};
use std::sync::Arc;
use std::time::Duration;

/// What is rehearsed.
#[derive(Debug)]
pub struct Rehearsal {
    /// How scripts run; its sources say which. Vendor calls are made unless it is a dry run.
    pub config: Config,
    /// What filters may speak of.
    pub env: Arc<Env>,
    /// What addresses are called.
    pub names: Arc<Names>,
    /// Capture files, as on the command line.
    pub captures: Vec<String>,
    /// Whether all jobs run once more at the end.
    pub jobs_at_end: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The lines of the console.
    pub console: Vec<Arc<str>>,
    /// How the scripts did.
    pub scripts: Vec<ScriptStatus>,
    /// Their jobs that are still to run.
    pub jobs: Vec<JobStatus>,
    /// Captures of streams that they opened.
    pub streams: StreamCounts,
    /// What was captured.
    pub counters: Counters,
    /// Metrics that they set, as Prometheus reads them.
    pub metrics: String,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RehearsalError {
    /// The scripts.
    #[error(transparent)]
    Scripts(#[from] Error),
    /// The captures.
    #[error(transparent)]
    Capture(#[from] gillnet_capture::Error),
    /// The field tables have no filter that matches everything.
    #[error("the empty filter is none: {0}")]
    Filter(String),
    /// The scripts did not come to rest.
    #[error("the scripts are still at work after {0:?}; the console says at what")]
    Busy(Duration),
}

/// The bit of the scripts' want.
const BIT: u8 = 0;
/// How long scripts may take for what is posted at a time.
const PATIENCE: Duration = Duration::from_secs(600);

impl Rehearsal {
    /// Runs the scripts over the captures.
    ///
    /// # Errors
    /// See [`RehearsalError`]; what goes wrong in a script is in the report.
    pub fn run(self) -> Result<Report, RehearsalError> {
        self.watched(|_| ())
    }

    /// The same; who wants to hear what is said meanwhile is given the scripts when they have started.
    ///
    /// # Errors
    /// As [`Rehearsal::run`].
    pub fn watched(self, started: impl FnOnce(&Scripts)) -> Result<Report, RehearsalError> {
        let mut source = open_merged(expand(&self.captures)?)?;
        let clock = ManualClock::at(self.begin());
        let streams = TappedStreams::default();
        let scripts = Scripts::start(
            self.config.clone(),
            Doors {
                env: Arc::clone(&self.env),
                names: Arc::clone(&self.names),
                streams: Arc::new(streams.clone()),
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                cluster: Arc::new(crate::NoCluster),
                on_demand: None,
            },
        )?;
        started(&scripts);
        let filter = compile(&self.env, "", &Options::default())
            .map_err(|errors| RehearsalError::Filter(errors.to_string()))?;
        let want = Want {
            bit: BIT,
            filter,
            record: false,
            bodies: true,
        };
        let paced = Paced {
            sink: scripts.sink(BIT, Pressure::Wait),
            scripts: scripts.clone(),
            clock: Arc::clone(&clock),
            newest: 0,
        };
        let keep = match source.store() {
            Some(store) => Keep::Mapped(store),
            None => Keep::Ring(gillnet_capture::Ring::create(None, 256 << 20)?),
        };
        let mut shard = Shard::new(ShardConfig {
            origin: Arc::new(Origin {
                worker: format!("{}:48999", self.config.node_ip),
                node: self.config.node.clone(),
                node_ip: self.config.node_ip.clone(),
                backend: "pcap",
                kept: true,
                ..Origin::default()
            }),
            tap: Some(streams.tap()),
            ..ShardConfig::new(
                Arc::new(Plan::new(vec![want], 1).with_packets(true)),
                self.names,
                keep,
                Box::new(paced),
            )
        });
        let control = Control::default();
        let ended = run(&mut *source, &mut shard, &control, &mut |fault| {
            tracing::warn!("{fault}")
        });
        drop(shard);
        let rest = || match scripts.settle(PATIENCE) {
            true => Ok(()),
            false => Err(RehearsalError::Busy(PATIENCE)),
        };
        rest()?;
        if self.jobs_at_end {
            for (_, tag) in scripts.jobs() {
                // one that another removed meanwhile does not run
                let _ = scripts.run_job(&tag);
                rest()?;
            }
        }
        let report = Report {
            console: scripts.console().lines(),
            scripts: scripts.status(),
            jobs: scripts.planned(),
            streams: scripts.streams(),
            counters: control.board().read(),
            metrics: scripts.metrics().text(),
        };
        scripts.stop();
        match ended {
            Ended::Failed(error) => Err(error.into()),
            Ended::Source | Ended::Stopped => Ok(report),
        }
    }

    /// A moment before the first packet, so that no job is due before it; 0 where the captures can be read only once.
    fn begin(&self) -> i64 {
        let again = |input: &Input| match input {
            Input::File(path) => path.is_file(),
            Input::Member(_) => true,
            _ => false,
        };
        let inputs = expand(&self.captures).ok();
        let Some(mut source) = inputs
            .filter(|inputs| inputs.iter().all(again))
            .and_then(|inputs| open_merged(inputs).ok())
        else {
            return 0;
        };
        loop {
            match source.next() {
                Ok(Event::Frame(frame)) => return frame.ts - 1,
                Ok(Event::Tick(_)) => {}
                Ok(Event::End) => return 0,
                // what is wrong is said when they are read
                Err(error) if error.is_fatal() => return 0,
                Err(_) => {}
            }
        }
    }
}

/// Lets the scripts' time follow that of the packets.
struct Paced {
    sink: Sink,
    scripts: Scripts,
    clock: Arc<ManualClock>,
    newest: i64,
}

/// Steps in which time passes where nothing comes for long, so that each job has its times.
const STEP: i64 = 1_000_000_000;
/// The most that time is made up for; beyond that it jumps.
const STEPS: i64 = 3600;

impl Paced {
    /// Time has come to a packet's: what waits is done first, then what became due.
    fn advance(&mut self, ts: i64) {
        let now = self.clock.now();
        if ts < now + STEP && now != 0 {
            return;
        }
        self.sink.flush();
        self.scripts.settle(PATIENCE);
        let jump = if now == 0 {
            ts
        } else {
            (ts - now - STEPS * STEP).max(0)
        };
        let advance = |by: i64| {
            self.clock
                .advance(Duration::from_nanos(u64::try_from(by).unwrap_or(0)))
        };
        advance(jump);
        while self.clock.now() < ts {
            advance(STEP.min(ts - self.clock.now()));
            self.scripts.settle(PATIENCE);
        }
    }
}

impl Consumer for Paced {
    fn entry(&mut self, entry: &Entry<'_>, matched: Matched) -> bool {
        self.sink.entry(entry, matched)
    }

    fn packet(&mut self, seen: &PacketSeen) {
        self.newest = self.newest.max(seen.ts);
        self.advance(self.newest);
        self.sink.packet(seen);
    }

    fn flush(&mut self) {
        self.sink.flush();
    }
}
