//! A node at work: a shard that reads frames as from an interface, its ring, and scripts beside it.

use super::lifecycle::{PATIENCE, World};
use super::traffic::Frames;
use crate::testing::env;
use crate::{Doors, ManualClock, NoCluster, Pressure, RingStreams, Scripts};
use gillnet_capture::{Event, Frame, Interface, LinkType, Ring, Source, SourceStats, Store};
use gillnet_entry::Origin;
use gillnet_kfl::{Options, compile};
use gillnet_names::Names;
use gillnet_pipeline::{Control, Ended, Keep, Plan, Shard, ShardConfig, Want, run};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Frames that come when they are sent: between them it is silent, and it ends when nobody can send any more.
struct Live {
    sent: Receiver<Frames>,
    waiting: VecDeque<(i64, LinkType, Vec<u8>)>,
    now: (i64, LinkType, Vec<u8>),
    /// How often it was silent.
    ticks: Arc<AtomicU64>,
    interfaces: Vec<Interface>,
}

impl Source for Live {
    fn next(&mut self) -> Result<Event<'_>, gillnet_capture::Error> {
        if self.waiting.is_empty() {
            match self.sent.try_recv() {
                Ok(frames) => self.waiting.extend(frames),
                Err(TryRecvError::Disconnected) => return Ok(Event::End),
                Err(TryRecvError::Empty) => {}
            }
        }
        let Some(next) = self.waiting.pop_front() else {
            std::thread::sleep(Duration::from_millis(1));
            self.ticks.fetch_add(1, Ordering::Release);
            return Ok(Event::Tick(self.now.0));
        };
        self.now = next;
        let (ts, link, data) = &self.now;
        Ok(Event::Frame(Frame {
            ts: *ts,
            iface: 0,
            link: *link,
            direction: Default::default(),
            wire_len: u32::try_from(data.len()).unwrap(),
            data,
            pos: 0,
            comment: None,
        }))
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn stats(&mut self) -> SourceStats {
        SourceStats::default()
    }

    fn store(&self) -> Option<Store> {
        None
    }
}

/// A shard and the scripts of a world beside it.
pub(super) struct Stage {
    pub(super) scripts: Scripts,
    clock: Arc<ManualClock>,
    control: Arc<Control>,
    frames: Option<Sender<Frames>>,
    sent: u64,
    ticks: Arc<AtomicU64>,
    thread: Option<JoinHandle<Ended>>,
}

impl Stage {
    /// Starts both, with a ring of so many bytes.
    pub(super) fn start(world: &World, ring: u64, names: &Arc<Names>) -> Stage {
        let ring = Ring::create(None, ring).unwrap();
        let control = Arc::new(Control::default());
        let streams = RingStreams::new(Arc::clone(&control), ring.store());
        let scripts = Scripts::start(
            world.config.clone(),
            Doors {
                env: env(),
                names: Arc::clone(names),
                streams: Arc::new(streams),
                clock: Arc::clone(&world.clock) as Arc<dyn crate::Clock>,
                cluster: Arc::new(NoCluster),
                on_demand: None,
            },
        )
        .unwrap();
        let want = Want {
            bit: 3,
            filter: compile(&env(), "", &Options::default()).unwrap(),
            record: false,
            bodies: true,
        };
        let demand = scripts.demand();
        let mut shard = Shard::new(ShardConfig {
            origin: Arc::new(Origin {
                worker: "10.0.0.1:48999".into(),
                node: world.config.node.clone(),
                node_ip: world.config.node_ip.clone(),
                ..Origin::default()
            }),
            ..ShardConfig::new(
                Arc::new(Plan::new(vec![want], 1).with_packets(demand.packets)),
                Arc::clone(names),
                Keep::Ring(ring),
                Box::new(scripts.sink(3, Pressure::Wait)),
            )
        });
        let (frames, sent) = channel();
        let mut source = Live {
            sent,
            waiting: VecDeque::new(),
            now: (0, LinkType::Ethernet, Vec::new()),
            ticks: Arc::default(),
            interfaces: Vec::new(),
        };
        let ticks = Arc::clone(&source.ticks);
        let steer = Arc::clone(&control);
        let thread = std::thread::spawn(move || run(&mut source, &mut shard, &steer, &mut |_| {}));
        Stage {
            scripts,
            clock: Arc::clone(&world.clock),
            control,
            frames: Some(frames),
            sent: 0,
            ticks,
            thread: Some(thread),
        }
    }

    /// Frames that have come.
    pub(super) fn captured(&self) -> u64 {
        self.control.board().read().frames
    }

    /// Sends frames, and waits until they were taken, and what their time brings about was done.
    pub(super) fn capture(&mut self, frames: Frames) {
        self.sent += frames.len() as u64;
        self.frames.as_ref().unwrap().send(frames).unwrap();
        self.wait(|stage| stage.captured() >= stage.sent);
        let ticks = self.ticks.load(Ordering::Acquire);
        self.wait(|stage| stage.ticks.load(Ordering::Acquire) > ticks + 2);
    }

    fn wait(&self, until: impl Fn(&Stage) -> bool) {
        while !until(self) {
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(!ended, "the shard has ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The same, and until the scripts have done what is to be done for them.
    pub(super) fn take(&mut self, frames: Frames) {
        self.capture(frames);
        self.rest();
    }

    pub(super) fn rest(&self) {
        let at_rest = self.scripts.settle(PATIENCE);
        assert!(at_rest, "{:?}", self.scripts.console().lines());
    }

    /// Lets so many seconds pass, each for itself.
    pub(super) fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.rest();
        }
    }

    /// Runs a job now.
    pub(super) fn run(&self, tag: &str) {
        self.scripts.run_job(tag).unwrap();
        self.rest();
    }

    /// What was said since it was asked last, without the word of jobs that were scheduled.
    pub(super) fn said(&self) -> Vec<String> {
        self.rest();
        let lines = self.scripts.console().lines();
        self.scripts.console().clear();
        let lines = lines.iter().map(|line| line.to_string());
        lines
            .filter(|line| !line.contains("] Scheduled the job: "))
            .collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.frames = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
        self.scripts.stop();
    }
}
