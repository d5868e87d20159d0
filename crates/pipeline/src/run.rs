//! Drives a source through a shard.

use crate::{Board, Plan, Shard};
use gillnet_capture::{Error, Event, Frame, Source};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// How others steer a running shard: stop it, swap its plan, read its counters.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    plan: Mutex<Option<Arc<Plan>>>,
    fresh: AtomicBool,
    asks: Mutex<Vec<Ask>>,
    asked: AtomicBool,
    /// Nobody answers any more.
    over: AtomicBool,
    board: Board,
}

/// Somebody asks of streams.
#[derive(Debug)]
enum Ask {
    /// Where the newest frame of one is.
    Newest(u64, mpsc::SyncSender<Option<u64>>),
    /// Which there are.
    Numbers(mpsc::SyncSender<Vec<(u64, bool)>>),
}

impl Control {
    /// Asks the shard to stop: it first takes what the source had received until now.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Swaps the plan; the shard takes it up with its next batch.
    pub fn set_plan(&self, plan: Arc<Plan>) {
        *lock(&self.plan) = Some(plan);
        self.fresh.store(true, Ordering::Release);
    }

    /// The position in the ring of a stream's newest frame, from which it is read back; `None` where the stream is not
    /// known (any more), or the shard does not answer within `patience`.
    pub fn newest_frame(&self, stream: u64, patience: Duration) -> Option<u64> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.ask(Ask::Newest(stream, answer));
        answered.recv_timeout(patience).ok().flatten()
    }

    /// As [`Control::newest_frame`] for several streams at once, in their order.
    pub fn newest_frames(&self, streams: &[u64], patience: Duration) -> Vec<Option<u64>> {
        let end = Instant::now() + patience;
        let ask = |stream: &u64| {
            let (answer, answered) = mpsc::sync_channel(1);
            self.ask(Ask::Newest(*stream, answer));
            answered
        };
        let asked: Vec<_> = streams.iter().map(ask).collect();
        let left = || end.saturating_duration_since(Instant::now());
        let answers = asked.iter();
        answers
            .map(|answered| answered.recv_timeout(left()).ok().flatten())
            .collect()
    }

    /// The streams of which frames may be in the ring: number, and whether it is UDP; none where the shard does not
    /// answer within `patience`.
    pub fn streams(&self, patience: Duration) -> Vec<(u64, bool)> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.ask(Ask::Numbers(answer));
        answered.recv_timeout(patience).unwrap_or_default()
    }

    fn ask(&self, ask: Ask) {
        let mut asks = lock(&self.asks);
        // dropped, it is answered
        if self.over.load(Ordering::Acquire) {
            return;
        }
        asks.push(ask);
        self.asked.store(true, Ordering::Release);
    }

    /// The shard's counters.
    pub fn board(&self) -> &Board {
        &self.board
    }

    fn new_plan(&self) -> Option<Arc<Plan>> {
        if !self.fresh.swap(false, Ordering::AcqRel) {
            return None;
        }
        lock(&self.plan).take()
    }

    /// Answers for the last time.
    fn end(&self, shard: &Shard) {
        let asks = lock(&self.asks);
        self.over.store(true, Ordering::Release);
        drop(asks);
        self.asked.store(true, Ordering::Release);
        self.answer(shard);
    }

    fn answer(&self, shard: &Shard) {
        if self.asked.swap(false, Ordering::AcqRel) {
            for ask in lock(&self.asks).drain(..) {
                // who does not wait any more needs no answer
                match ask {
                    Ask::Newest(stream, answer) => {
                        let _ = answer.try_send(shard.newest_frame(stream));
                    }
                    Ask::Numbers(answer) => {
                        let _ = answer.try_send(shard.stream_numbers());
                    }
                }
            }
        }
    }
}

// what is behind these locks stays usable where a holder panicked
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a run ended.
#[derive(Debug)]
pub enum Ended {
    /// The source has nothing more.
    Source,
    /// It was asked to stop, by its control or because a consumer had enough.
    Stopped,
    /// The source failed for good.
    Failed(Error),
}

/// How long a silent source is still read after it was asked to stop: the kernel hands over a block that is not full
/// only after a while.
const SETTLE: Duration = Duration::from_millis(150);

/// How long a source that is never silent is still read after it was asked to stop.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Frames between two looks at plan, stop flag and counters.
const BATCH: u32 = 1024;

/// Runs until the source ends, fails for good, or is asked to stop. Faults after which the source goes on are given
/// to `fault` and counted by the source.
pub fn run(
    source: &mut dyn Source,
    shard: &mut Shard,
    control: &Control,
    fault: &mut dyn FnMut(&Error),
) -> Ended {
    let mut stopping: Option<Instant> = None;
    let mut left = BATCH;
    // the interfaces below this one
    let mut told = 0;
    shard.interfaces(source.interfaces());
    narrow(source, shard, fault);
    let ended = loop {
        let mut silent = false;
        match source.next() {
            Ok(Event::Frame(frame)) => {
                if frame.iface < told {
                    shard.frame(&frame);
                } else {
                    // an interface is told before its first frame, which is copied: its source can't be asked while it lends it
                    told = frame.iface.saturating_add(1);
                    let (data, comment) = (frame.data.to_vec(), frame.comment.map(str::to_owned));
                    let first = Frame {
                        data: &[],
                        comment: None,
                        ..frame
                    };
                    shard.interfaces(source.interfaces());
                    shard.frame(&Frame {
                        data: &data,
                        comment: comment.as_deref(),
                        ..first
                    });
                }
                left -= 1;
                if left > 0 {
                    continue;
                }
            }
            Ok(Event::Tick(now)) => {
                shard.tick(now);
                silent = true;
            }
            Ok(Event::End) => break Ended::Source,
            Err(error) if error.is_fatal() => break Ended::Failed(error),
            Err(error) => fault(&error),
        }
        left = BATCH;
        if let Some(plan) = control.new_plan() {
            shard.set_plan(plan);
            narrow(source, shard, fault);
        }
        shard.interfaces(source.interfaces());
        shard.end_of_batch();
        shard.publish(source.stats(), &control.board);
        control.answer(shard);
        if shard.has_enough() {
            break Ended::Stopped;
        }
        if control.stop.load(Ordering::Acquire) {
            // what came before the stop may still be in the kernel's ring
            let waited = stopping.get_or_insert_with(Instant::now).elapsed();
            if (silent && waited >= SETTLE) || waited >= LAST_LOOK {
                break Ended::Stopped;
            }
        }
    };
    shard.interfaces(source.interfaces());
    shard.finish();
    shard.publish(source.stats(), &control.board);
    control.end(shard);
    ended
}

/// Tells the source what the plan wants of it. Where it can't be told, it yields more than is wanted.
fn narrow(source: &mut dyn Source, shard: &Shard, fault: &mut dyn FnMut(&Error)) {
    if let Err(error) = source.narrow(&shard.packets()) {
        fault(&error);
    }
}
