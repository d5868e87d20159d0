//! Schedules of crashes and faults, each made by its seed. After each, what was recorded is in the
//! bucket once and intact, and what is not there was counted.
//!
//! What is recorded is either made up, or what a shard keeps of traffic ([`Front`]).
//!
//! `GILLNET_SIM_SEED=n` plays one schedule again, `GILLNET_SIM_COUNT=n` plays more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gillnet_bucket::Recipients;
use gillnet_bucket::layout::{FORMAT_KEY, Hour, ObjectName, Part, Payload};
use gillnet_capture::{Interface, LinkType, NO_POS, PacketDirection};
use gillnet_entry::Name;
use gillnet_kfl::Env;
use gillnet_names::{Names, NamesConfig};
use gillnet_recorder::{
    Buckets, Deps, Dissection, Error, Frame, Handle, NameHistory, Period, RecordedName,
    RecorderConfig, Rule, RuleId, RuleStatus, Schedule, Sealing, Spool, Status, Step, StreamStart,
    Uploader, Writer,
};
use rand::RngExt;

use crate::front::{FILTERS, Front, Traffic};
use crate::http::{self, Says, Talk};
use crate::index::{self, Row};
use crate::object::{self, Found};
use crate::steps::Snapshots;
use crate::world::{Events, Mode, OF_BUCKETS, SimBuckets, SimClock, SimFs, World};
use crate::{compaction, dissected};

const SCHEDULES: u64 = 1000;
const HOUR: i64 = 3_600_000_000_000;
const DESTINATIONS: [&str; 2] = ["gs://one", "gs://two/x"];
/// What every run of all schedules meets beside [`OF_BUCKETS`]; else they would check nothing.
const MUST_HAPPEN: &[&str] = &[
    "crash",
    "power lost",
    "disk error",
    "disk full",
    "put",
    "slow answer",
    "foreign object",
    "frame lost to the disk",
    "frame lost to the limit",
    "frame lost to the queue",
    "object given up",
    "conflict",
    "clock step",
    "rule removed",
    "late hour",
    "entry",
    "entry of two objects",
    "entries without packets",
];

/// And where a shard is before the recorder.
const MUST_HAPPEN_BEHIND_A_SHARD: &[&str] = &[
    "crash",
    "power lost",
    "disk error",
    "disk full",
    "put twice",
    "lost and late",
    "frame lost to the disk",
    "frame lost to the limit",
    "frame lost to the queue",
    "object given up",
    "rule removed",
    "indexed entry",
    "index compared",
    "earlier frames of a stream",
    "stream without its beginning",
    "hour over",
    "entries without packets",
];

/// Where frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// Streams that are handed in as they are made up.
    Made,
    /// A shard that sees traffic.
    Shard,
}

struct History;

impl NameHistory for History {
    fn history(
        &self,
        ends: &[(IpAddr, u16)],
        recorded: &[RecordedName],
        _: i64,
        _: i64,
    ) -> Vec<u8> {
        format!("{ends:?} {recorded:?}").into_bytes()
    }
}

/// A frame that the queue took.
#[derive(Clone, Debug)]
struct Offered {
    /// Or the conversation that a shard saw.
    stream: u64,
    /// Its place among the frames of its stream.
    nth: u64,
    says: Says,
    ts: i64,
    link: LinkType,
    data: Vec<u8>,
}

/// Of one rule: what was handed in, and what became of it.
#[derive(Default)]
struct Ledger {
    offered: BTreeSet<u64>,
    /// Handed in, and still in the queue when the process died.
    undrained: BTreeSet<u64>,
    /// Was in an object when that was sealed.
    sealed: BTreeSet<u64>,
    dropped: u64,
    /// Of those, counted while the process died: they may be written.
    unsure: u64,
    given_up: u64,
    conflicts: u64,
}

/// How frames get to the recorder.
enum Inlet {
    Made(Handle),
    Shard(Box<Front>),
}

impl Inlet {
    fn handle(&mut self) -> &mut Handle {
        match self {
            Self::Made(handle) => handle,
            Self::Shard(_) => panic!("the shard has the handle"),
        }
    }

    fn flush(&mut self) {
        match self {
            Self::Made(handle) => handle.flush_batch(),
            Self::Shard(front) => front.flush(),
        }
    }
}

/// One life of the process.
struct Life {
    spool: Arc<Spool>,
    writer: Writer,
    inlet: Inlet,
    uploaders: Vec<Uploader>,
    /// Streams that go on, with the rules that keep them.
    streams: Vec<(u64, u128)>,
    /// What was said in them.
    talks: BTreeMap<u64, Talk>,
    /// Taken by the queue, perhaps not yet written.
    queued: Vec<(RuleId, u64)>,
    refused_frames: u64,
    /// Frames dropped, by rule, before the step in which the process may die.
    dropped_before: BTreeMap<String, u64>,
}

/// A schedule.
struct Run {
    world: Arc<World>,
    config: RecorderConfig,
    rules: Vec<Rule>,
    frames: BTreeMap<u64, Offered>,
    ledgers: BTreeMap<String, Ledger>,
    /// Sealed objects that were looked into.
    seen: BTreeSet<String>,
    next_id: u64,
    next_stream: u64,
    power: bool,
    faults: f64,
    full_disks: bool,
    /// What the entries of an index are read with, where there is one; and where.
    dissection: Option<Dissection>,
    dir: tempfile::TempDir,
    /// Who speaks, where a shard listens, and the number of its next stream.
    traffic: Option<Traffic>,
    shard_streams: Arc<AtomicU64>,
}

impl Run {
    fn new(seed: u64, from: From) -> Self {
        let world = World::new(seed);
        let mut state = world.state();
        let rng = &mut state.rng;
        // the simulated disk has the same paths as the real one, which has the rings that entries are read from
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        let mut config = RecorderConfig::new(PathBuf::from(dir.path()), "c".into(), "n".into(), 0);
        config.object_size = rng.random_range(1500..12_000);
        config.spool_limit = if rng.random_bool(0.3) {
            rng.random_range(2..6) * config.object_size
        } else {
            1 << 30
        };
        config.queue_bytes = if rng.random_bool(0.3) {
            12_000
        } else {
            1 << 20
        };
        config.upload_spread = Duration::from_secs(rng.random_range(0..5));
        let schedules = ["30s", "0 * * * * *", "5m"];
        let rules = (0..rng.random_range(1..4_usize)).map(|at| Rule {
            name: format!("rule {at}"),
            kfl: "http".into(),
            destination: DESTINATIONS[at % 2].into(),
            flush: schedules[at % 3].parse::<Schedule>().unwrap(),
            period: Period::default(),
            retention: None,
            payload: Payload::Full,
            recipients: Recipients::default(),
        });
        let mut rules: Vec<Rule> = rules.collect();
        let power = rng.random_bool(0.3);
        let indexed = rng.random_bool(0.3) || from == From::Shard;
        let dissection = indexed.then(|| Dissection {
            env: Arc::new(Env::new(&gillnet_protocols::env())),
            names: Arc::new(Names::new(names_config()).unwrap()),
            origin: Arc::default(),
            taught: None,
        });
        let faults = if rng.random_bool(0.5) { 0.02 } else { 0.0 };
        let full_disks = rng.random_bool(0.3);
        // one that may only create can't tell another's object from its own after a lost answer
        let readable = rng.random_bool(0.7);
        let foreign = if readable && rng.random_bool(0.4) {
            0.1
        } else {
            0.0
        };
        (state.readable, state.foreign) = (readable, foreign);
        for destination in DESTINATIONS {
            let mode = if state.chance(0.5) {
                Mode::Flaky
            } else {
                Mode::Fine
            };
            state.buckets.entry(destination.into()).or_default().mode = Some(mode);
        }
        let traffic = (from == From::Shard).then(|| {
            for rule in &mut rules {
                rule.kfl = FILTERS[state.rng.random_range(0..FILTERS.len())].into();
            }
            // not long before an hour is over
            state.wall += 2_600_000_000_000 + state.rng.random_range(0..600_000_000_000_i64);
            let much = state.chance(0.15);
            Traffic::new(if much { 30_000 } else { 2 })
        });
        drop(state);
        let (frames, ledgers) = (BTreeMap::new(), BTreeMap::new());
        Self {
            world,
            config,
            rules,
            frames,
            ledgers,
            seen: BTreeSet::new(),
            next_id: 1,
            next_stream: 1,
            power,
            faults,
            full_disks,
            dissection,
            dir,
            traffic,
            shard_streams: Arc::new(AtomicU64::new(1)),
        }
    }

    fn random<T>(&self, roll: impl FnOnce(&mut rand::rngs::SmallRng) -> T) -> T {
        roll(&mut self.world.state().rng)
    }

    fn event(&self, what: &'static str) {
        self.world.state().events.add(what);
    }

    /// Starts the process; again where it dies or fails on the way.
    fn start(&mut self) -> Life {
        loop {
            self.config.run = self.random(|rng| rng.random());
            let deps = Deps {
                clock: Arc::new(SimClock(Arc::clone(&self.world))),
                fs: Arc::new(SimFs(Arc::clone(&self.world))),
                buckets: Arc::new(SimBuckets(Arc::clone(&self.world))),
                names: match self.traffic {
                    Some(_) => Arc::new(Snapshots),
                    None => Arc::new(History),
                },
                dissection: self.dissection.clone(),
            };
            match Spool::open(self.config.clone(), &deps) {
                Ok(spool) => {
                    let spool = Arc::new(spool);
                    let (mut writer, mut handles) = Writer::new(Arc::clone(&spool));
                    writer.set_rules(&self.rules).unwrap();
                    let mut handle = handles.pop().unwrap();
                    let inlet = match (&self.traffic, &self.dissection) {
                        (Some(_), Some(with)) => {
                            let numbers = &self.shard_streams;
                            let front = Front::new(handle, &writer.rules(), with, numbers);
                            Inlet::Shard(Box::new(front))
                        }
                        _ => {
                            handle.interfaces(&interfaces());
                            Inlet::Made(handle)
                        }
                    };
                    let uploader = |destination: &&str| {
                        Uploader::new(
                            Arc::clone(&spool),
                            Arc::clone(&deps.buckets),
                            (*destination).into(),
                        )
                    };
                    let uploaders = DESTINATIONS.iter().map(uploader).collect();
                    let (streams, queued) = (Vec::new(), Vec::new());
                    return Life {
                        spool,
                        writer,
                        inlet,
                        uploaders,
                        streams,
                        talks: BTreeMap::new(),
                        queued,
                        refused_frames: 0,
                        dropped_before: BTreeMap::new(),
                    };
                }
                Err(Error::NoSpace { .. }) => self.world.state().capacity = u64::MAX,
                Err(Error::Folder { .. }) if self.world.state().crashed => {
                    self.world.state().restart(self.power)
                }
                Err(Error::Folder { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// Ends a life as it is: what its counters say goes to the ledgers.
    fn bury(&mut self, life: Life) {
        let status = life.writer.status();
        assert_eq!(
            status.dropped_queue, life.refused_frames,
            "frames that the queue refused are counted"
        );
        self.settle(&status, &life.dropped_before);
        for (rule, id) in &life.queued {
            let name = life.rule(*rule);
            self.ledgers.entry(name).or_default().undrained.insert(*id);
        }
    }

    fn settle(&mut self, status: &Status, before: &BTreeMap<String, u64>) {
        assert_eq!(status.stray_frames, 0);
        for rule in &status.rules {
            let (ledger, counters) = (
                self.ledgers.entry(rule.name.clone()).or_default(),
                &rule.counters,
            );
            let dropped = counters.dropped_disk + counters.dropped_limit;
            ledger.dropped += dropped;
            if self.world.state().crashed {
                ledger.unsure += dropped - before.get(&rule.name).unwrap_or(&0);
            }
            ledger.given_up += counters.given_up_packets;
            ledger.conflicts += counters.conflicts;
            let mut state = self.world.state();
            for (what, count) in [
                ("frame lost to the disk", counters.dropped_disk),
                ("frame lost to the limit", counters.dropped_limit),
                ("object given up", counters.given_up_objects),
                ("conflict", counters.conflicts),
            ] {
                (0..count).for_each(|_| state.events.add(what));
            }
        }
    }

    fn offer(&mut self, life: &mut Life) {
        let rules = life.writer.rules();
        if self.traffic.is_some() {
            for _ in 0..self.random(|rng| rng.random_range(1..20)) {
                self.send(life);
            }
            return;
        }
        for _ in 0..self.random(|rng| rng.random_range(1..20)) {
            if life.streams.is_empty() || self.random(|rng| rng.random_bool(0.2)) {
                self.begin(life, &rules);
            }
            let Some((stream, kept)) = self.random(|rng| {
                life.streams
                    .get(rng.random_range(0..life.streams.len().max(1)))
                    .copied()
            }) else {
                return;
            };
            self.frame(life, &rules, stream, kept);
            if self.random(|rng| rng.random_bool(0.05)) {
                life.talks.remove(&stream);
                life.inlet.handle().end(stream);
                life.streams.retain(|(number, _)| *number != stream);
            }
        }
    }

    /// Somebody sends something, and the shard sees it.
    fn send(&mut self, life: &mut Life) {
        let (Some(traffic), Inlet::Shard(front)) = (&mut self.traffic, &mut life.inlet) else {
            return;
        };
        let mut state = self.world.state();
        let wall = state.wall;
        let (stream, iface, frames) = traffic.next(&mut state.rng, wall, self.next_id);
        let link = interfaces()[iface as usize].link;
        for mut data in frames {
            let id = self.next_id;
            self.next_id += 1;
            data.extend(id.to_be_bytes());
            let ts = wall + id as i64;
            front.frame(&gillnet_capture::Frame {
                ts,
                iface,
                link,
                direction: PacketDirection::In,
                wire_len: data.len() as u32 + 7,
                data: &data,
                pos: NO_POS,
                comment: None,
            });
            let offered = Offered {
                stream,
                nth: 0,
                says: Says::Nothing,
                ts,
                link,
                data,
            };
            self.frames.insert(id, offered);
        }
        drop(state);
        self.note(life);
    }

    /// Notes what a shard has handed in.
    fn note(&mut self, life: &mut Life) {
        let Inlet::Shard(front) = &mut life.inlet else {
            return;
        };
        let (notes, rules) = (front.notes(), life.writer.rules());
        let mut state = self.world.state();
        if notes.handed.len() > 5 {
            state.events.add("earlier frames of a stream");
        }
        for _ in 0..notes.cut {
            state.events.add("stream without its beginning");
        }
        for handed in notes.handed {
            if !handed.taken {
                life.refused_frames += 1;
                state.events.add("frame lost to the queue");
                continue;
            }
            for (rule, of) in rules.iter().filter(|(id, _)| handed.wants & id.bit() != 0) {
                let ledger = self.ledgers.entry(of.name.clone()).or_default();
                ledger.offered.insert(handed.id);
                life.queued.push((*rule, handed.id));
            }
        }
    }

    fn begin(&mut self, life: &mut Life, rules: &[(RuleId, Rule)]) {
        let number = self.next_stream;
        self.next_stream += 1;
        let ends = [
            (IpAddr::V4(Ipv4Addr::new(10, 0, 0, number as u8)), 4000),
            (IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)), 80),
        ];
        let start = StreamStart {
            number,
            udp: self.dissection.is_none() && number.is_multiple_of(3),
            ends,
            lost_before: None,
        };
        let kept = rules
            .iter()
            .filter(|_| self.random(|rng| rng.random_bool(0.6)))
            .fold(0, |set, (id, _)| set | id.bit());
        for (id, _) in rules.iter().filter(|(id, _)| kept & id.bit() != 0) {
            life.inlet.handle().begin(*id, &start);
        }
        if kept != 0 {
            let name = Name {
                name: format!("pod-{number}"),
                ..Name::default()
            };
            life.inlet.handle().name(number, ends[0], &name, 0);
            life.streams.push((number, kept));
            life.talks.insert(number, Talk::new(number));
        }
    }

    fn frame(&mut self, life: &mut Life, rules: &[(RuleId, Rule)], stream: u64, kept: u128) {
        let id = self.next_id;
        self.next_id += 1;
        let indexed = self.dissection.is_some();
        let (late, len, iface) = self.random(|rng| {
            (
                // what comes in another order than it was sent is another matter
                !indexed && rng.random_bool(0.02),
                rng.random_range(16..300),
                rng.random_range(0..3_u32),
            )
        });
        if late {
            self.event("late hour");
        }
        let ts = self.world.state().wall + id as i64 - if late { HOUR } else { 0 };
        let link = interfaces()[iface as usize].link;
        let talk = life.talks.get_mut(&stream).unwrap();
        let nth = talk.frames;
        let (mut data, says) = if indexed {
            talk.next(link, id)
        } else {
            (
                (0..len as u64).map(|at| (at ^ id) as u8).collect(),
                Says::Nothing,
            )
        };
        // behind what the packet is, so that it is found again
        data.extend(id.to_be_bytes());
        let (direction, wire_len) = (PacketDirection::In, data.len() as u32 + 7);
        if !life.inlet.handle().frame(
            stream,
            kept,
            &Frame {
                ts,
                iface,
                link,
                direction,
                wire_len,
                data: &data,
            },
        ) {
            life.refused_frames += 1;
            self.event("frame lost to the queue");
            return;
        }
        self.frames.insert(
            id,
            Offered {
                stream,
                nth,
                says,
                ts,
                link,
                data,
            },
        );
        for (rule, active) in rules.iter().filter(|(rule, _)| kept & rule.bit() != 0) {
            self.ledgers
                .entry(active.name.clone())
                .or_default()
                .offered
                .insert(id);
            life.queued.push((*rule, id));
        }
    }

    /// Hands over all there is, and writes it.
    fn drain(&mut self, life: &mut Life) {
        life.writer.drain();
        life.inlet.flush();
        self.note(life);
        life.writer.drain();
        life.queued.clear();
    }

    fn change_rules(&mut self, life: &mut Life) {
        self.drain(life);
        if self.rules.len() > 1 && self.random(|rng| rng.random_bool(0.5)) {
            self.event("rule removed");
            self.rules.pop();
        } else {
            let at = self.rules.len();
            let behind_a_shard = self.traffic.is_some();
            let rule = Rule {
                name: match behind_a_shard {
                    // one of the same name is another matter
                    true => format!("rule {at} of {}", self.next_id),
                    false => format!("rule {at}"),
                },
                kfl: self.random(|rng| match behind_a_shard {
                    true => FILTERS[rng.random_range(0..FILTERS.len())].into(),
                    false => format!("http or {}", rng.random::<u8>()),
                }),
                destination: DESTINATIONS[at % 2].into(),
                flush: Schedule::default(),
                period: Period::default(),
                retention: None,
                payload: Payload::Full,
                recipients: Recipients::default(),
            };
            self.rules.push(rule);
        }
        let rules = life.writer.set_rules(&self.rules).unwrap();
        if let Inlet::Shard(front) = &mut life.inlet {
            front.set_rules(&rules);
        }
        let kept = rules.iter().fold(0, |set, (id, _)| set | id.bit());
        life.streams.iter_mut().for_each(|(_, set)| *set &= kept);
        life.streams.retain(|(_, set)| *set != 0);
    }

    fn seal(&mut self, life: &Life) -> Sealing {
        let sealing = life.spool.seal_next(None);
        if sealing == Sealing::Done {
            self.note_sealed();
        }
        sealing
    }

    /// What is in the sealed objects on the disk is safe from now on.
    fn note_sealed(&mut self) {
        let state = self.world.state();
        let dir = self.dir.path().join("spool/sealed");
        for name in state.names(&dir) {
            let Some(id) = name
                .strip_suffix(".json")
                .filter(|id| !self.seen.contains(*id))
            else {
                continue;
            };
            let side: serde_json::Value =
                serde_json::from_slice(&state.content(&dir.join(&name)).unwrap()).unwrap();
            let ledger = self
                .ledgers
                .entry(side["head"]["rule"].as_str().unwrap().to_owned())
                .or_default();
            self.seen.insert(id.to_owned());
            if side["packets"] == 0 {
                continue;
            }
            let packed = state
                .content(&dir.join(format!("{id}.pcapng.gz")))
                .expect("the packets of a sealed object");
            ledger
                .sealed
                .extend(object::packets(&packed).iter().map(id_of));
        }
    }

    /// A few files, with time between them.
    fn upload(&mut self, life: &mut Life) {
        let at = self.random(|rng| rng.random_range(0..DESTINATIONS.len()));
        for _ in 0..4 {
            life.uploaders[at].step(false);
            let state = &mut *self.world.state();
            let time = state.rng.random_range(0..3_000_000_000);
            state.advance(time);
        }
    }

    fn upset(&mut self) {
        let (faults, full_disks) = (self.faults, self.full_disks);
        let state = &mut *self.world.state();
        let modes = [
            Mode::Fine,
            Mode::Flaky,
            Mode::Flaky,
            Mode::Away,
            Mode::Refusing,
        ];
        match state.rng.random_range(0..4) {
            0 => {
                let destination = DESTINATIONS[state.rng.random_range(0..2)];
                let mode = modes[state.rng.random_range(0..modes.len())];
                state.buckets.entry(destination.into()).or_default().mode = Some(mode);
            }
            1 => state.io_faults = if state.io_faults > 0.0 { 0.0 } else { faults },
            2 if full_disks => {
                let (used, room) = (state.used(), state.rng.random_range(0..3000));
                state.capacity = if state.capacity == u64::MAX {
                    used + room
                } else {
                    u64::MAX
                };
            }
            _ => {}
        }
    }

    fn advance(&mut self) {
        let state = &mut *self.world.state();
        let time = [100_000_000, 1_000_000_000, 20_000_000_000, 90_000_000_000]
            [state.rng.random_range(0..4)];
        let hour = Hour::of(state.wall);
        state.advance(time);
        if Hour::of(state.wall) != hour {
            state.events.add("hour over");
        }
        if self.dissection.is_none() && state.chance(0.03) {
            let step = if state.chance(0.5) { HOUR } else { -HOUR };
            state.wall += step;
            state.events.add("clock step");
        }
    }

    fn play(&mut self) {
        let mut life = self.start();
        let steps = self.random(|rng| rng.random_range(40..160));
        for _ in 0..steps {
            if self.random(|rng| rng.random_bool(0.03)) {
                let steps = self.random(|rng| rng.random_range(0..40));
                self.world.state().crash_in = Some(steps);
            }
            if self.world.state().crash_in.is_some() {
                let dropped = |rule: RuleStatus| {
                    (
                        rule.name,
                        rule.counters.dropped_disk + rule.counters.dropped_limit,
                    )
                };
                life.dropped_before = life
                    .writer
                    .status()
                    .rules
                    .into_iter()
                    .map(dropped)
                    .collect();
            }
            match self.random(|rng| rng.random_range(0..20)) {
                0..5 => self.offer(&mut life),
                5..9 => self.drain(&mut life),
                9..11 => self.advance(),
                11 => life.writer.tick(),
                12..14 => {
                    self.seal(&life);
                }
                14..17 => self.upload(&mut life),
                17 => life.spool.mend_reserve(),
                18 => self.upset(),
                _ => match self.random(|rng| rng.random_range(0..4)) {
                    0 if !self.world.state().crashed => self.change_rules(&mut life),
                    1 => life.writer.close_all(),
                    _ => {}
                },
            }
            if self.world.state().crashed {
                life = self.next_life(life);
            }
        }
        self.finish(life);
    }

    fn next_life(&mut self, life: Life) -> Life {
        self.event("crash");
        self.bury(life);
        self.world.state().restart(self.power);
        self.start()
    }

    /// Everything works again: what is in the spool gets to the bucket, and nothing is left.
    fn finish(&mut self, mut life: Life) {
        self.world.state().heal();
        if let Inlet::Shard(front) = &mut life.inlet
            && self.world.state().chance(0.5)
        {
            front.finish();
            self.note(&mut life);
        }
        self.empty(&mut life);
        self.bury(life);
        // of what waits in the memory of a process that dies now, another start makes entries
        let mut life = self.start();
        self.empty(&mut life);
        self.bury(life);
        // another start removes left-overs, and finds nothing
        let life = self.start();
        assert!(life.spool.is_empty());
        assert_eq!(life.writer.status().spool_bytes, 0);
        let state = self.world.state();
        for folder in ["spool/active", "spool/sealed"] {
            assert_eq!(
                state.names(&self.dir.path().join(folder)),
                Vec::<String>::new()
            );
        }
        assert_eq!(state.violations, Vec::<String>::new());
        drop(state);
        self.check();
    }

    fn empty(&mut self, life: &mut Life) {
        for round in 0.. {
            assert!(
                round < 2000,
                "the spool is never empty: {:?}",
                life.writer.status()
            );
            self.world
                .state()
                .advance(1_000_000_000 << (round / 16).min(8));
            life.spool.mend_reserve();
            self.drain(life);
            life.writer.tick();
            life.writer.close_all();
            while self.seal(life) == Sealing::Done {}
            for uploader in &mut life.uploaders {
                while uploader.step(false) == Step::Tried {}
            }
            if life.spool.is_empty() {
                break;
            }
        }
    }

    fn check(&self) {
        let state = self.world.state();
        let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        let mut entries: BTreeMap<String, Vec<(ObjectName, Row)>> = BTreeMap::new();
        let mut objects: BTreeMap<(String, u64), ObjectName> = BTreeMap::new();
        let (mut packets, mut names, mut foreign) = (BTreeSet::new(), BTreeSet::new(), 0);
        let mut wanting = BTreeSet::new();
        for bucket in state.buckets.values() {
            foreign += bucket.foreign.len();
            for (key, bytes) in bucket
                .objects
                .iter()
                .filter(|(key, _)| !bucket.foreign.contains(*key))
            {
                match ObjectName::parse(key) {
                    Some((Part::Packets, name)) => {
                        let found = found.entry(name.recording.clone()).or_default();
                        let before = found.clone();
                        self.check_object(&name, bytes, found);
                        for id in found.difference(&before) {
                            objects.insert((name.recording.clone(), *id), name.clone());
                        }
                        packets.insert(name);
                    }
                    Some((Part::Names, name)) => {
                        names.insert(name);
                    }
                    Some((Part::Streams, _)) if self.dissection.is_some() => {
                        if bucket.foreign.is_empty() {
                            index::check_beside(bytes, &bucket.objects);
                        }
                    }
                    Some((Part::Entries, name)) if self.dissection.is_some() => {
                        if bucket.foreign.is_empty() {
                            index::check_beside(bytes, &bucket.objects);
                        }
                        if !bucket.objects.contains_key(&name.packets_key()) {
                            wanting.insert(name.clone());
                        }
                        if self.traffic.is_some() {
                            continue;
                        }
                        let rows = index::rows(bytes)
                            .into_iter()
                            .map(|row| (name.clone(), row));
                        entries
                            .entry(name.recording.clone())
                            .or_default()
                            .extend(rows);
                    }
                    other => assert!(other.is_none() && key == FORMAT_KEY, "{key}"),
                }
            }
            assert!(bucket.objects.is_empty() || bucket.objects.contains_key(FORMAT_KEY));
        }
        let given_up = self
            .ledgers
            .values()
            .map(|ledger| ledger.given_up)
            .sum::<u64>();
        if given_up == 0 && foreign == 0 {
            assert_eq!(packets, names, "each object has its names");
        }
        for (rule, ledger) in &self.ledgers {
            ledger.check(
                rule,
                found.get(rule).unwrap_or(&BTreeSet::new()),
                self.power,
            );
        }
        drop(state);
        for _ in wanting {
            self.event("entries without packets");
        }
        if self.traffic.is_some() {
            let all = given_up == 0 && foreign == 0 && self.config.spool_limit == 1 << 30;
            self.check_index(all);
        } else if self.dissection.is_some() {
            // where logs could be held as long as they are needed, and all that was made of them is there
            let all = given_up == 0 && foreign == 0 && self.config.spool_limit == 1 << 30;
            for (rule, found) in &found {
                let rows = entries.remove(rule).unwrap_or_default();
                self.check_entries(rule, found, &objects, &rows, all);
            }
        }
    }

    /// What the index says is what the packets say, where logs could be held as long as they are needed, and all that was
    /// made of them is there.
    fn check_index(&self, all: bool) {
        self.world.state().readable = true;
        let Some(with) = self.dissection.as_ref().filter(|_| all) else {
            return;
        };
        for destination in DESTINATIONS {
            if self.world.state().buckets[destination].objects.is_empty() {
                continue;
            }
            let bucket = SimBuckets(Arc::clone(&self.world)).open(destination);
            let bucket = bucket.unwrap();
            for _ in 0..dissected::check(&bucket, with) {
                self.event("indexed entry");
            }
            compaction::check(&bucket);
            self.event("index compared");
        }
    }

    /// Each request is one entry, of the run that recorded it and in its own hour; where it was answered in time, with
    /// the answer.
    fn check_entries(
        &self,
        rule: &str,
        found: &BTreeSet<u64>,
        objects: &BTreeMap<(String, u64), ObjectName>,
        rows: &[(ObjectName, Row)],
        all: bool,
    ) {
        let mut by_request: BTreeMap<u64, &Row> = BTreeMap::new();
        for (name, row) in rows {
            assert_eq!(
                Hour::of(row.ts),
                name.hour,
                "{rule}: an entry in another hour"
            );
            let Some(id) = row.request else { continue };
            assert!(
                found.contains(&id) || !all,
                "{rule}: request {id} has an entry and no packet"
            );
            let before = by_request.insert(id, row);
            assert!(
                before.is_none(),
                "{rule}: request {id} is an entry twice: {before:?}, {row:?}; power {}, limit {}",
                self.power,
                self.config.spool_limit
            );
            if let Some(object) = objects.get(&(rule.to_owned(), id)) {
                assert_eq!(
                    name.run, object.run,
                    "{rule}: request {id} is an entry of another run"
                );
            }
            self.event("entry");
        }
        let mut streams: BTreeMap<u64, Vec<(u64, &Offered)>> = BTreeMap::new();
        for id in found {
            let frame = &self.frames[id];
            streams.entry(frame.stream).or_default().push((*id, frame));
        }
        let whole = |frames: &Vec<(u64, &Offered)>| {
            (0..).zip(frames).all(|(nth, (_, frame))| frame.nth == nth)
        };
        for frames in streams.values().filter(|frames| all && whole(frames)) {
            for (at, (id, frame)) in frames.iter().enumerate() {
                if frame.says != Says::Request {
                    continue;
                }
                let row = by_request.get(id);
                let row = row.unwrap_or_else(|| {
                    let object = |id: &u64| objects.get(&(rule.to_owned(), *id));
                    let frames: Vec<_> = frames
                        .iter()
                        .map(|(id, of)| (id, of.says, object(id)))
                        .collect();
                    let of_stream = |(_, row): &&(ObjectName, Row)| row.stream == frame.stream;
                    let rows: Vec<_> = rows.iter().filter(of_stream).collect();
                    panic!(
                        "{rule}: request {id} is no entry; stream {}: {frames:?}; {rows:#?}",
                        frame.stream
                    )
                });
                let answer = frames.get(at + 1).map(|(_, frame)| *frame);
                let answer = answer.filter(|answer| answer.says == Says::Answer);
                if answer.is_some_and(|answer| answer.ts - frame.ts < http::IN_TIME) {
                    assert_eq!(row.status, Some(200), "{rule}: request {id} was answered");
                    assert_eq!(row.stream, frame.stream);
                    let object = |at: usize| objects.get(&(rule.to_owned(), frames[at].0));
                    if object(at) != object(at + 1) {
                        self.event("entry of two objects");
                    }
                }
            }
        }
    }

    /// An object's packets are those that were handed in, of its hour, each once.
    fn check_object(&self, name: &ObjectName, bytes: &[u8], found: &mut BTreeSet<u64>) {
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for packet in object::packets(bytes) {
            let id = id_of(&packet);
            let offered = &self.frames[&id];
            assert_eq!(
                (packet.ts, &packet.data),
                (offered.ts, &offered.data),
                "frame {id}"
            );
            assert_eq!(packet.wire_len as usize, packet.data.len() + 7);
            assert_eq!(u32::from(packet.link), offered.link.dlt());
            assert_eq!(packet.interface, format!("eth-{}", offered.link.dlt()));
            assert_eq!(
                Hour::of(packet.ts),
                name.hour,
                "frame {id} in the object of another hour"
            );
            assert!(found.insert(id), "frame {id} is in the bucket twice");
            let before = last.insert(offered.stream, id);
            assert!(
                before.is_none_or(|before| before < id),
                "frames of stream {} in another order",
                offered.stream
            );
        }
    }
}

impl Ledger {
    fn check(&self, rule: &str, found: &BTreeSet<u64>, power: bool) {
        let foreign: Vec<_> = found.difference(&self.offered).collect();
        assert!(
            foreign.is_empty(),
            "{rule}: frames {foreign:?} were never handed in"
        );
        let missing = self.sealed.difference(found).count() as u64;
        assert!(
            missing <= self.given_up,
            "{rule}: {missing} sealed frames are missing, {} were given up",
            self.given_up
        );
        if power {
            return;
        }
        let written = (self.offered.len() - self.undrained.len()) as u64;
        let lost = written
            .checked_sub(found.len() as u64)
            .expect("frames that were never written are in the bucket");
        // an object that was given up may be in the bucket all the same: its answer was lost
        let counted = self.dropped - self.unsure..=self.dropped + self.given_up;
        assert!(
            counted.contains(&lost),
            "{rule}: {lost} of {written} written frames are missing, {counted:?} were counted"
        );
    }
}

impl Life {
    fn rule(&self, id: RuleId) -> String {
        self.writer
            .rules()
            .into_iter()
            .find(|(known, _)| *known == id)
            .unwrap()
            .1
            .name
    }
}

fn id_of(packet: &Found) -> u64 {
    id_at_end(&packet.data)
}

pub(crate) fn id_at_end(data: &[u8]) -> u64 {
    u64::from_be_bytes(data[data.len() - 8..].try_into().unwrap())
}

/// Nothing has a name that is looked up: an entry is then the same whenever it is read.
pub(crate) fn names_config() -> NamesConfig {
    NamesConfig {
        hosts_file: None,
        own_host: false,
        dns: false,
        ..NamesConfig::default()
    }
}

pub(crate) fn interfaces() -> [Interface; 3] {
    [LinkType::Ethernet, LinkType::LinuxSll2, LinkType::Raw].map(|link| Interface {
        name: format!("eth-{}", link.dlt()),
        link,
        description: String::new(),
        snaplen: 0,
    })
}

#[test]
fn whatever_fails_nothing_sealed_is_lost_or_doubled() {
    play_all(SCHEDULES, &[OF_BUCKETS, MUST_HAPPEN].concat(), |seed| {
        play_from(seed, From::Made)
    });
}

#[test]
fn whatever_fails_entries_are_those_of_the_packets() {
    play_all(SCHEDULES, MUST_HAPPEN_BEHIND_A_SHARD, |seed| {
        play_from(seed, From::Shard)
    });
}

fn play_from(seed: u64, from: From) -> Events {
    let mut run = Run::new(seed, from);
    run.play();
    std::mem::take(&mut run.world.state().events)
}

/// Plays all schedules, or the one that is asked for; in all of them, this must happen.
pub(crate) fn play_all(
    schedules: u64,
    must_happen: &[&str],
    play: impl Fn(u64) -> Events + Sync + RefUnwindSafe,
) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    if let Some(seed) = number("GILLNET_SIM_SEED") {
        play(seed);
        return;
    }
    let count = number("GILLNET_SIM_COUNT").unwrap_or(schedules);
    let (next, all) = (AtomicU64::new(0), Mutex::new(Events::default()));
    let play_next = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= count {
            break;
        }
        let Ok(events) = catch_unwind(|| play(seed)) else {
            next.store(count, Ordering::Relaxed);
            panic!("schedule {seed} failed; GILLNET_SIM_SEED={seed} plays it again alone");
        };
        events
            .0
            .into_iter()
            .for_each(|(what, count)| *all.lock().unwrap().0.entry(what).or_default() += count);
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..std::thread::available_parallelism().map_or(1, usize::from))
            .map(|_| scope.spawn(play_next))
            .collect();
        let failed = threads
            .into_iter()
            .filter_map(|thread| thread.join().err())
            .next();
        if let Some(panic) = failed {
            std::panic::resume_unwind(panic);
        }
    });
    let events = all.into_inner().unwrap().0;
    println!("{count} schedules: {events:?}");
    if count >= schedules {
        let missing: Vec<_> = must_happen
            .iter()
            .filter(|what| !events.contains_key(*what))
            .collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

#[test]
fn a_seed_plays_the_same_again() {
    let events = |seed, from| {
        let mut run = Run::new(seed, from);
        run.play();
        let state = run.world.state();
        (state.events.0.clone(), state.wall, state.mono)
    };
    for seed in 0..20 {
        for from in [From::Made, From::Shard] {
            let (once, again) = (events(seed, from), events(seed, from));
            assert_eq!(once, again, "schedule {seed}, {from:?}");
        }
    }
}
