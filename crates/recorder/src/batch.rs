//! Recording of captures: as fast as it goes, nothing dropped, in an order that repeats.
//!
//! The same parts as the [`crate::Recorder`]'s, driven otherwise: the shard's own thread writes what it hands over and
//! waits where sealing or the bucket are behind; no clock closes a log. So reading the same captures again gives the
//! same logs, and after a crash what was sealed is passed over (see `spool/replay.rs`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::{Clock, SECOND};
use crate::queue::{Handle, lock};
use crate::rule::Rule;
use crate::spool::{Sealing, Spool};
use crate::status::{RuleCounters, Status};
use crate::upload::{Step, Uploader};
use crate::writer::Writer;
use crate::{Deps, Error, RecorderConfig};

/// Reading waits while more than so many objects' bytes are to be sealed and uploaded.
const AHEAD: u64 = 4;
/// Threads look around at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A bucket that takes nothing for so long (nanoseconds) ends it.
const PATIENCE: u64 = 120 * SECOND;

/// Why recording captures ended before their end. What was done is kept: begun again it goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The spool can't be written or sealed.
    #[error("{0}")]
    Spool(String),
    /// The bucket takes nothing.
    #[error("{0}")]
    Bucket(String),
}

/// What a [`Batch`] does, step by step: driven by its threads, or by a simulation.
pub struct BatchSteps {
    spool: Arc<Spool>,
    writer: Mutex<Writer>,
    rule: String,
    failed: Mutex<Option<BatchError>>,
    /// Since when the bucket has a fault, and what had been put by then.
    fault: Mutex<Option<(u64, u64)>>,
    stop: AtomicBool,
}

/// Captures that are being recorded. Where it is dropped without [`Batch::finish`], what is done stays, and goes on when
/// the same is begun again.
pub struct Batch {
    steps: Arc<BatchSteps>,
    threads: Vec<JoinHandle<()>>,
}

/// The shard's way of having what it handed over written; see [`Batch::pump`].
#[derive(Clone)]
pub struct Pump(Arc<BatchSteps>);

impl std::fmt::Debug for BatchSteps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchSteps").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Pump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pump").finish_non_exhaustive()
    }
}

impl Batch {
    /// Opens the spool of these captures (a data directory of their own), and takes in what an earlier run left there.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start(config: RecorderConfig, rule: &Rule, deps: Deps) -> Result<(Self, Handle), Error> {
        let (steps, uploader, handle) = BatchSteps::open(config, rule, deps)?;
        let steps = Arc::new(steps);
        let mut batch = Self {
            steps: Arc::clone(&steps),
            threads: Vec::new(),
        };
        let seal = spawn("spool seal", &steps, seal_loop);
        batch.threads.push(seal.map_err(Error::Thread)?);
        let upload = spawn("spool upload", &steps, |steps| upload_loop(steps, uploader));
        batch.threads.push(upload.map_err(Error::Thread)?);
        Ok((batch, handle))
    }

    /// What the shard has what it handed over written with.
    #[must_use]
    pub fn pump(&self) -> Pump {
        Pump(Arc::clone(&self.steps))
    }

    /// Nothing more comes: seals all, puts it into the bucket, and waits for that. The shard's [`Handle`] is to be dropped
    /// before.
    ///
    /// # Errors
    /// Why it is not all there.
    pub fn finish(mut self) -> Result<RuleCounters, BatchError> {
        let steps = Arc::clone(&self.steps);
        steps.close()?;
        let mut heard = 0;
        while !steps.is_done()? {
            steps.spool.uploader.wait(&mut heard, LOOK_EVERY);
        }
        steps.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        Ok(steps.counters())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.steps.stop();
    }
}

impl Pump {
    /// Writes what was handed over, and waits while sealing and the bucket are behind.
    ///
    /// # Errors
    /// Why it can't go on.
    pub fn drain(&self) -> Result<(), BatchError> {
        let steps = &self.0;
        steps.write();
        let mut heard = 0;
        while steps.is_behind()? {
            steps.spool.uploader.wait(&mut heard, LOOK_EVERY);
        }
        Ok(())
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.0.writer).status()
    }
}

impl BatchSteps {
    /// Opens the spool as [`Batch::start`] does. Nobody rests by this clock.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(
        config: RecorderConfig,
        rule: &Rule,
        deps: Deps,
    ) -> Result<(Self, Uploader, Handle), Error> {
        let config = RecorderConfig {
            shards: 1,
            spool_limit: u64::MAX,
            upload_spread: Duration::ZERO,
            replayable: true,
            ..config
        };
        let deps = Deps {
            clock: Arc::new(Restless(deps.clock)),
            ..deps
        };
        let spool = Arc::new(Spool::open(config, &deps)?);
        let (mut writer, handles) = Writer::new(Arc::clone(&spool));
        writer.set_rules(std::slice::from_ref(rule))?;
        let Some(handle) = handles.into_iter().next() else {
            return Err(Error::RuleName {
                name: rule.name.clone(),
            });
        };
        let destination = rule.destination.clone();
        let uploader = Uploader::new(Arc::clone(&spool), deps.buckets, destination);
        let steps = Self {
            spool,
            writer: Mutex::new(writer),
            rule: rule.name.clone(),
            failed: Mutex::default(),
            fault: Mutex::default(),
            stop: AtomicBool::new(false),
        };
        Ok((steps, uploader, handle))
    }

    /// Writes what was handed over.
    pub fn write(&self) {
        lock(&self.writer).drain();
    }

    /// Whether sealing and the bucket are behind, so that reading waits.
    ///
    /// # Errors
    /// Why it can't go on.
    pub fn is_behind(&self) -> Result<bool, BatchError> {
        self.check()?;
        let most = AHEAD * self.spool.config().object_size;
        Ok(self.spool.look(|inventory| inventory.waiting()) > most)
    }

    /// Seals the next log. Where that fails nothing goes on: the log behind it is read with what this one left open.
    pub fn seal(&self) -> Sealing {
        let sealing = self.spool.seal_next(None);
        if sealing == Sealing::Failed {
            let fault = self.counters().spool_fault.map(|fault| fault.message);
            let message = fault.unwrap_or_else(|| "a log can't be sealed".to_owned());
            self.fail(BatchError::Spool(message));
        }
        sealing
    }

    /// Nothing more comes: what there is, is to be sealed.
    ///
    /// # Errors
    /// Why it can't go on.
    pub fn close(&self) -> Result<(), BatchError> {
        let mut writer = lock(&self.writer);
        writer.drain();
        writer.close_all();
        drop(writer);
        self.check()?;
        self.spool.hurry();
        Ok(())
    }

    /// Whether, after [`BatchSteps::close`], all of it is in the bucket.
    ///
    /// # Errors
    /// Why it can't go on.
    pub fn is_done(&self) -> Result<bool, BatchError> {
        let is_empty = self.spool.is_empty();
        self.check()?;
        Ok(is_empty)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.spool.sealer.ring();
        self.spool.uploader.ring();
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn fail(&self, error: BatchError) {
        lock(&self.failed).get_or_insert(error);
        self.stop();
    }

    fn counters(&self) -> RuleCounters {
        let rule = &self.rule;
        self.spool
            .look(|inventory| inventory.counters.rules.get(rule).cloned())
            .unwrap_or_default()
    }

    /// Whether it can go on.
    fn check(&self) -> Result<(), BatchError> {
        if let Some(error) = lock(&self.failed).take() {
            return Err(error);
        }
        let counters = self.counters();
        // a frame that is lost would be lost in silence: better nothing of what was not sealed yet
        if counters.dropped_disk + counters.dropped_limit > 0 {
            let fault = counters.spool_fault.map(|fault| fault.message);
            return Err(BatchError::Spool(fault.unwrap_or_else(|| {
                "the spool does not take the frames".to_owned()
            })));
        }
        let (frames, records) = lock(&self.writer).dropped();
        if frames + records > 0 {
            let message = format!("{frames} frames are too large to be recorded");
            return Err(BatchError::Spool(message));
        }
        let clock = &self.spool.clock;
        let mut fault = lock(&self.fault);
        let Some(now) = counters.fault else {
            *fault = None;
            return Ok(());
        };
        match *fault {
            Some((since, put)) if put == counters.uploaded_bytes => {
                if clock.monotonic() - since > PATIENCE {
                    return Err(BatchError::Bucket(now.message));
                }
            }
            _ => *fault = Some((clock.monotonic(), counters.uploaded_bytes)),
        }
        Ok(())
    }
}

fn spawn(
    name: &str,
    steps: &Arc<BatchSteps>,
    run: impl FnOnce(&BatchSteps) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let steps = Arc::clone(steps);
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || run(&steps))
}

fn seal_loop(steps: &BatchSteps) {
    let mut heard = 0;
    while !steps.is_stopped() {
        match steps.seal() {
            Sealing::Done => {}
            Sealing::Failed => return,
            Sealing::Nothing | Sealing::Until(_) => {
                steps.spool.sealer.wait(&mut heard, LOOK_EVERY);
            }
        }
    }
}

fn upload_loop(steps: &BatchSteps, mut uploader: Uploader) {
    let mut heard = 0;
    while !steps.is_stopped() {
        match uploader.step(true) {
            Step::Tried => steps.spool.uploader.ring(),
            Step::Wait(_) => steps.spool.uploader.wait(&mut heard, LOOK_EVERY),
        }
    }
}

/// Nobody rests by it.
struct Restless(Arc<dyn Clock>);

impl Clock for Restless {
    fn now(&self) -> i64 {
        self.0.now()
    }

    fn monotonic(&self) -> u64 {
        self.0.monotonic()
    }

    fn rest(&self, _: u64) {}
}
