//! Captures that are indexed, over a disk and a bucket that fail, by a process that dies: begun again until it is done,
//! it leaves in the bucket what one leaves that nothing disturbs.
//!
//! `GILLNET_SIM_SEED=n` plays one schedule again, `GILLNET_SIM_COUNT=n` plays more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use gillnet_bucket::layout::{Hour, ObjectName, Part, Payload};
use gillnet_capture::{
    Event, Frame, Interface, LinkType, NO_POS, PacketDirection, Ring, Source, SourceStats, Store,
};
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::Names;
use gillnet_pipeline::{Control, Ended, Keep, Numbers, Plan, Shard, ShardConfig, Want, run};
use gillnet_recorder::{
    BatchError, BatchSteps, Buckets, Deps, Dissection, Error, Handle, Period, RecorderConfig, Rule,
    Schedule, Step, Tee, Uploader,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::front::{FILTERS, Nobody, Traffic};
use crate::simulation::{id_at_end, interfaces, names_config, play_all};
use crate::steps::{DESTINATION, Snapshots};
use crate::world::{Events, Mode, OF_BUCKETS, Objects, SimBuckets, SimClock, SimFs, World};
use crate::{compaction, dissected, object};

const SCHEDULES: u64 = 200;
/// After so many lives nothing fails any more.
const LIVES: u32 = 12;
const SECOND: i64 = 1_000_000_000;
/// What every run of all schedules meets beside [`OF_BUCKETS`]; else they would check nothing.
const MUST_HAPPEN: &[&str] = &[
    "crash",
    "power lost",
    "disk error",
    "disk full",
    "slow answer",
    "given up for the spool",
    "given up for the bucket",
    "no start",
    "begun again",
    "sealed before",
    "once more when all was there",
    "several hours",
    "everything recorded",
    "entry",
];

/// A frame of the capture.
struct Captured {
    ts: i64,
    iface: u32,
    link: LinkType,
    data: Vec<u8>,
}

impl Captured {
    fn frame(&self) -> Frame<'_> {
        Frame {
            ts: self.ts,
            iface: self.iface,
            link: self.link,
            direction: PacketDirection::In,
            wire_len: self.data.len() as u32,
            data: &self.data,
            pos: NO_POS,
            comment: None,
        }
    }
}

/// What is indexed, and as what.
struct Job {
    frames: Arc<Vec<Captured>>,
    /// Frames after which a shard hands on what it has gathered.
    batch: usize,
    kfl: &'static str,
    run: u64,
    object_size: u64,
    with: Dissection,
}

impl Job {
    fn new(seed: u64) -> Self {
        let rng = &mut SmallRng::seed_from_u64(!seed);
        let mut traffic = Traffic::new(if rng.random_bool(0.15) { 5000 } else { 2 });
        // not long before an hour is over
        let mut ts = 1_700_000_000 * SECOND + rng.random_range(2600..3200) * SECOND;
        let mut frames = Vec::new();
        let count = rng.random_range(100..500);
        while frames.len() < count {
            let pauses = [SECOND / 1000, SECOND / 10, SECOND, 20 * SECOND, 90 * SECOND];
            let long = rng.random_bool(0.1);
            ts += pauses[rng.random_range(0..if long { 5 } else { 3 })];
            let id = frames.len() as u64;
            let (_, iface, sent) = traffic.next(rng, ts, id);
            let link = interfaces()[iface as usize].link;
            for mut data in sent {
                ts += 1000;
                // behind what the packet is, so that it is found again
                data.extend((frames.len() as u64).to_be_bytes());
                frames.push(Captured {
                    ts,
                    iface,
                    link,
                    data,
                });
            }
        }
        Self {
            frames: Arc::new(frames),
            batch: rng.random_range(5..60),
            kfl: match rng.random_bool(0.5) {
                true => "",
                false => FILTERS[rng.random_range(0..FILTERS.len())],
            },
            run: rng.random(),
            object_size: rng.random_range(3000..20_000),
            with: Dissection {
                env: Arc::new(Env::new(&gillnet_protocols::env())),
                names: Arc::new(Names::new(names_config()).unwrap()),
                origin: Arc::default(),
                taught: None,
            },
        }
    }

    /// Opens what lies there.
    fn open(&self, world: &Arc<World>, dir: &Path) -> Result<(Machine, Handle), End> {
        let size = self.object_size;
        let config = RecorderConfig {
            object_size: size,
            ..RecorderConfig::new(dir.to_owned(), "c".into(), "n".into(), self.run)
        };
        let rule = Rule {
            name: "index".into(),
            kfl: self.kfl.into(),
            destination: DESTINATION.into(),
            flush: Schedule::Never,
            period: Period::default(),
            retention: None,
            payload: Payload::Full,
            recipients: Default::default(),
        };
        let deps = Deps {
            clock: Arc::new(SimClock(Arc::clone(world))),
            fs: Arc::new(SimFs(Arc::clone(world))),
            buckets: Arc::new(SimBuckets(Arc::clone(world))),
            names: Arc::new(Snapshots),
            dissection: Some(self.with.clone()),
        };
        let (steps, uploader, handle) = match BatchSteps::open(config, &rule, deps) {
            Ok(opened) => opened,
            Err(Error::NoSpace { .. } | Error::Folder { .. }) => return Err(End::NoStart),
            Err(other) => panic!("{other}"),
        };
        let machine = Machine {
            world: Arc::clone(world),
            steps,
            uploader,
            end: None,
        };
        Ok((machine, handle))
    }

    /// One life of the process.
    fn live(&self, world: &Arc<World>, dir: &Path) -> Result<(), End> {
        let (machine, handle) = self.open(world, dir)?;
        let machine = Arc::new(Mutex::new(machine));
        let mut shard = self.shard(handle);
        let mut source = Capture {
            frames: Arc::clone(&self.frames),
            next: 0,
            batch: self.batch,
            is_handed_on: false,
            interfaces: interfaces(),
            machine: Arc::clone(&machine),
        };
        let control = Control::default();
        let ended = run(&mut source, &mut shard, &control, &mut |fault| {
            panic!("{fault}")
        });
        assert!(matches!(ended, Ended::Source), "{ended:?}");
        drop(shard);
        machine.lock().unwrap().finish()
    }

    /// As `gillnet index` has it.
    fn shard(&self, handle: Handle) -> Shard {
        let want = Want {
            bit: 0,
            filter: compile(&self.with.env, self.kfl, &Options::default()).unwrap(),
            record: true,
            bodies: false,
        };
        let plan = Plan::new(vec![want], 1);
        let plan = match self.kfl {
            "" => plan.recording_whole(1),
            _ => plan,
        };
        let numbers = AtomicU64::new(0);
        let number = move || {
            (
                numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
                None,
            )
        };
        Shard::new(ShardConfig {
            origin: Arc::clone(&self.with.origin),
            numbers: Some(Numbers::Given(Box::new(number))),
            recorder: Some(Box::new(Tee::new(handle))),
            ..ShardConfig::new(
                Arc::new(plan),
                Arc::clone(&self.with.names),
                Keep::Ring(Ring::create(None, 1 << 20).unwrap()),
                Box::new(Nobody),
            )
        })
    }

    /// What is in the bucket when nothing fails; looked into without the code that wrote it.
    fn undisturbed(&self, events: &mut Events) -> BTreeMap<String, Vec<u8>> {
        let (world, dir) = (World::new(0), data_dir());
        world
            .state()
            .buckets
            .insert(DESTINATION.into(), Objects::default());
        self.live(&world, dir.path()).expect("nothing fails");
        let bucket = SimBuckets(Arc::clone(&world)).open(DESTINATION).unwrap();
        let objects = world.state().buckets[DESTINATION].objects.clone();
        if objects.keys().any(|key| ObjectName::parse(key).is_some()) {
            compaction::check(&bucket);
            for _ in 0..dissected::check(&bucket, &self.with) {
                events.add("entry");
            }
        }
        let mut found = BTreeSet::new();
        let mut hours = BTreeSet::new();
        for (key, bytes) in &objects {
            let Some((Part::Packets, name)) = ObjectName::parse(key) else {
                continue;
            };
            hours.insert(name.hour);
            for packet in object::packets(bytes) {
                let id = id_at_end(&packet.data);
                let captured = &self.frames[id as usize];
                assert_eq!((packet.ts, &packet.data), (captured.ts, &captured.data));
                // what is read back of a stream may be of the hour before
                let late = Hour::of(packet.ts).end() == name.hour.start();
                assert!(
                    late || Hour::of(packet.ts) == name.hour,
                    "{key}: frame {id}"
                );
                assert!(found.insert(id), "frame {id} is in the bucket twice");
            }
        }
        if hours.len() > 1 {
            events.add("several hours");
        }
        if self.kfl.is_empty() {
            let all: BTreeSet<u64> = (0..self.frames.len() as u64).collect();
            assert_eq!(found, all, "without a filter all of it is there");
            events.add("everything recorded");
        }
        objects
    }
}

/// Why a life ended before all was there.
#[derive(Debug)]
enum End {
    Dead,
    NoStart,
    GaveUp(BatchError),
}

/// What a batch's threads do, in an order that the world rolls.
struct Machine {
    world: Arc<World>,
    steps: BatchSteps,
    uploader: Uploader,
    end: Option<End>,
}

impl Machine {
    /// Asks whether it can go on.
    fn goes_on(&mut self, answer: Result<bool, BatchError>) -> Option<bool> {
        let end = match answer {
            _ if self.world.state().crashed => End::Dead,
            Ok(answer) => return Some(answer),
            Err(error) => End::GaveUp(error),
        };
        self.end.get_or_insert(end);
        None
    }

    /// What was handed over is written; where the others are behind, they are waited for.
    fn drain(&mut self) {
        self.stumbling(|steps| steps.write());
        // they don't wait until it is seen whether all was written
        self.others();
        loop {
            let is_behind = self.steps.is_behind();
            match self.goes_on(is_behind) {
                Some(true) => self.others(),
                _ => return,
            }
        }
    }

    /// Does something, perhaps while a disk that has its faults takes hardly anything.
    fn stumbling<T>(&self, does: impl FnOnce(&BatchSteps) -> T) -> T {
        let faults = self.world.state().io_faults;
        if faults > 0.0 && self.world.state().chance(0.05) {
            self.world.state().io_faults = 0.5;
        }
        let did = does(&self.steps);
        self.world.state().io_faults = faults;
        did
    }

    /// One of those who are not the shard's thread does something.
    fn others(&mut self) {
        let roll = self.world.state().rng.random_range(0..10);
        match roll {
            0..4 => {
                self.steps.seal();
            }
            4..9 => {
                let step = self.uploader.step(true);
                let state = &mut *self.world.state();
                match step {
                    Step::Wait(Some(until)) if state.chance(0.5) => {
                        let left = until.saturating_sub(state.mono);
                        state.advance(left);
                    }
                    _ => state.advance(1_000_000),
                }
            }
            _ => self.upset(),
        }
    }

    /// The bucket becomes another.
    fn upset(&mut self) {
        let state = &mut *self.world.state();
        let modes = [
            Mode::Fine,
            Mode::Flaky,
            Mode::Flaky,
            Mode::Away,
            Mode::Refusing,
        ];
        let bucket = state.buckets.get_mut(DESTINATION).unwrap();
        if bucket.mode.is_some_and(|mode| mode != Mode::Fine) && state.rng.random_bool(0.3) {
            bucket.mode = Some(modes[state.rng.random_range(0..modes.len())]);
        }
        let time = state.rng.random_range(0..2_000_000_000);
        state.advance(time);
    }

    fn finish(&mut self) -> Result<(), End> {
        loop {
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            let closed = self.stumbling(BatchSteps::close);
            self.others();
            let is_done = closed.and_then(|()| self.steps.is_done());
            if self.goes_on(is_done) == Some(true) {
                return Ok(());
            }
        }
    }
}

/// The capture, which ends where the process does.
struct Capture {
    frames: Arc<Vec<Captured>>,
    next: usize,
    batch: usize,
    is_handed_on: bool,
    interfaces: [Interface; 3],
    machine: Arc<Mutex<Machine>>,
}

impl Source for Capture {
    fn next(&mut self) -> Result<Event<'_>, gillnet_capture::Error> {
        let mut machine = self.machine.lock().unwrap();
        let roll = machine.world.state().rng.random_range(0..20);
        match roll {
            _ if machine.end.is_some() => return Ok(Event::End),
            0 => machine.drain(),
            1..4 => machine.others(),
            _ => {}
        }
        let Some(frame) = self.frames.get(self.next) else {
            return Ok(Event::End);
        };
        if self.next.is_multiple_of(self.batch) && !std::mem::replace(&mut self.is_handed_on, true)
        {
            return Ok(Event::Tick(frame.ts));
        }
        self.is_handed_on = false;
        self.next += 1;
        Ok(Event::Frame(frame.frame()))
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

/// The simulated disk has the same paths as the real one, which has the rings that entries are read from.
fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("spool")).unwrap();
    dir
}

/// What may go wrong in the life that comes.
fn threaten(world: &World, faults: f64, full_disks: bool) {
    let state = &mut *world.state();
    state.io_faults = if state.chance(0.5) { faults } else { 0.0 };
    state.capacity = match full_disks && state.chance(0.5) {
        true => state.used() + state.rng.random_range(0..60_000),
        false => u64::MAX,
    };
    let mode = match state.rng.random_range(0..4) {
        0 => Mode::Fine,
        1 => Mode::Away,
        _ => Mode::Flaky,
    };
    state.buckets.entry(DESTINATION.into()).or_default().mode = Some(mode);
    let steps = 1 << state.rng.random_range(2..11);
    state.crash_in = state.chance(0.8).then(|| state.rng.random_range(0..steps));
}

fn play(seed: u64) -> Events {
    let job = Job::new(seed);
    let mut events = Events::default();
    let whole = job.undisturbed(&mut events);
    let (world, dir) = (World::new(seed), data_dir());
    let (power, faults, full_disks) = {
        let state = &mut *world.state();
        state.events = events;
        state.readable = state.chance(0.7);
        let faults = [0.0, 0.004, 0.02][state.rng.random_range(0..3)];
        (state.chance(0.4), faults, state.chance(0.3))
    };
    let mut life = 0;
    let mut live = || {
        life += 1;
        if life > LIVES {
            world.state().heal();
        } else {
            threaten(&world, faults, full_disks);
        }
        let notes = world.state().names(&dir.path().join("spool/done"));
        if !notes.is_empty() {
            world.state().events.add("sealed before");
        }
        let ended = job.live(&world, dir.path());
        let state = &mut *world.state();
        assert!(life <= LIVES || ended.is_ok(), "nothing fails: {ended:?}");
        state.events.add(match &ended {
            Ok(()) => "all is there",
            Err(_) if state.crashed => "crash",
            Err(End::GaveUp(BatchError::Bucket(_))) => "given up for the bucket",
            Err(End::GaveUp(_)) => "given up for the spool",
            Err(_) => "no start",
        });
        let lost = power && state.crashed;
        state.restart(lost);
        ended
    };
    while live().is_err() {
        world.state().events.add("begun again");
    }
    // it died before it noted that all is there
    if world.state().chance(0.3) {
        world.state().events.add("once more when all was there");
        while live().is_err() {}
    }
    let mut state = world.state();
    state.heal();
    let objects = &state.buckets[DESTINATION].objects;
    let keys = |objects: &BTreeMap<String, Vec<u8>>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(objects),
        keys(&whole),
        "as where nothing is in the way"
    );
    for (key, bytes) in &whole {
        assert!(objects[key] == *bytes, "{key} has other bytes");
    }
    drop(state);
    // another start removes left-overs
    assert!(job.open(&world, dir.path()).is_ok());
    let state = &mut *world.state();
    for folder in ["spool/active", "spool/sealed"] {
        let left = state.names(&dir.path().join(folder));
        assert_eq!(left, Vec::<String>::new());
    }
    assert_eq!(state.violations, Vec::<String>::new());
    std::mem::take(&mut state.events)
}

#[test]
fn an_index_that_dies_loses_and_doubles_nothing() {
    play_all(SCHEDULES, &[OF_BUCKETS, MUST_HAPPEN].concat(), play);
}
