//! Compaction that dies at random points, over a bucket that fails: what is in it stays there once, and whole.
//!
//! `GILLNET_SIM_SEED=n` plays one schedule again, `GILLNET_SIM_COUNT=n` plays more of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use gillnet_bucket::Recipients;
use gillnet_bucket::compact::{Done, Options, Step, compact};
use gillnet_bucket::index::{KnownProtocol, Question, on_rows};
use gillnet_bucket::layout::{Hour, ObjectName, TimeRange};
use gillnet_bucket::prune;
use gillnet_bucket::verify::{Checked, Finding, Watch, verify};
use gillnet_bucket::{Body, Bucket, BucketError, ObjectMeta, PutError, Recordings};
use gillnet_capture::{Event, LinkType, PacketDirection};
use gillnet_entry::Origin;
use gillnet_kfl::{Env, compile};
use gillnet_recorder::{Buckets, Frame};
use rand::RngExt;

use crate::http::Talk;
use crate::simulation::play_all;
use crate::steps::{DESTINATION, Desk};
use crate::world::{Events, Mode, OF_BUCKETS, SimBuckets, World};

const SCHEDULES: u64 = 40;
/// One of so many schedules has connections that are more than a shared member holds.
const LARGE: u64 = 10;
/// What every run of all schedules meets beside [`OF_BUCKETS`]; else they would check nothing.
const MUST_HAPPEN: &[&str] = &[
    "crash",
    "put",
    "list cut short",
    "deletion without an answer",
];
/// With deletions beside it.
const BESIDE: u64 = 60;
const GRACE: Duration = Duration::from_secs(3600);

/// What is in a bucket for those who read it: frames and entries.
type Content = (Vec<(Option<u64>, i64, Vec<u8>)>, Vec<(u64, u32, i64)>);

/// Records two hours of connections, long (of so many exchanges) and short ones, on interfaces that come in another order
/// each time.
fn recorded(long: u32) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("spool")).unwrap();
    let world = World::new(0);
    for run in [7, 8] {
        let mut desk = Desk::indexing(&world, dir.path(), run);
        desk.handle.interfaces(&crate::simulation::interfaces());
        let rule = desk.id("a");
        let mut talks: Vec<(u64, Talk)> = Vec::new();
        for round in 0..8_u64 {
            let number = run * 100 + round;
            desk.begin(rule, number, None);
            talks.push((number, Talk::new(number)));
            if round % 3 == 2 {
                talks.remove(1);
            }
            for (number, talk) in &mut talks {
                // some of them more than a shared member holds
                let turns = if *number % 100 == 1 && round < 4 {
                    long
                } else {
                    5
                };
                for _ in 0..turns {
                    let iface = ((*number + round) % 3) as u32;
                    let link =
                        [LinkType::Ethernet, LinkType::LinuxSll2, LinkType::Raw][iface as usize];
                    let mut state = world.state();
                    state.wall += 1000;
                    let ts = state.wall;
                    drop(state);
                    let (data, _) = talk.next(link, ts as u64);
                    let frame = Frame {
                        ts,
                        iface,
                        link,
                        direction: PacketDirection::In,
                        wire_len: data.len() as u32,
                        data: &data,
                    };
                    assert!(desk.handle.frame(*number, rule.bit(), &frame));
                }
                desk.drain();
            }
            desk.flush();
            let hour = if round == 4 { 3_600_000_000_000 } else { 0 };
            world.state().advance(1_000_000_000 + hour);
        }
    }
    // what waited in the end of the second run is made an entry by a third
    Desk::indexing(&world, dir.path(), 9).flush();
    let state = world.state();
    state.buckets[DESTINATION].objects.clone()
}

pub(crate) struct Heard(pub(crate) Vec<Finding>);

impl Watch for Heard {
    fn found(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }

    fn goes_on(&mut self, _: &Checked) {}
}

pub(crate) fn check(bucket: &Arc<dyn Bucket>) -> Checked {
    let mut heard = Heard(Vec::new());
    let checked = verify(bucket, &mut heard).unwrap();
    assert!(
        heard.0.is_empty(),
        "{} findings, such as {:?}",
        heard.0.len(),
        heard.0.first()
    );
    checked
}

/// The protocols that are read.
pub(crate) fn known() -> Vec<KnownProtocol> {
    let known = (0..).zip(gillnet_protocols::REGISTRY);
    let known = known.map(|(number, protocol)| KnownProtocol {
        number,
        schema: protocol.schema,
        infos: protocol.infos,
    });
    known.collect()
}

fn content(bucket: &Arc<dyn Bucket>) -> Content {
    let cache = tempfile::tempdir().unwrap();
    let open = || Recordings::of_bucket(Arc::clone(bucket), TimeRange::default(), cache.path());
    let (mut frames, mut entries) = (Vec::new(), Vec::new());
    for group in open().unwrap().into_groups() {
        let mut source = group.into_source().unwrap();
        loop {
            let (ts, data) = match source.next().unwrap() {
                Event::Frame(frame) => (frame.ts, frame.data.to_vec()),
                Event::Tick(_) => continue,
                Event::End => break,
            };
            frames.push((source.stream().map(|id| id.number), ts, data));
        }
    }
    let env = Env::new(&gillnet_protocols::env());
    let known = known();
    let filter = on_rows(
        &env,
        &known,
        &compile(&env, "", &Default::default()).unwrap(),
    );
    for group in open().unwrap().into_groups() {
        let index = group.index().unwrap().expect("all of it has an index");
        let question = Question {
            known: &known,
            filter: &filter,
            within: (i64::MIN, i64::MAX),
            shown: true,
            columns: &[],
            origin: &Origin::default(),
        };
        let mut each = |found: &gillnet_bucket::index::Found<'_>| {
            entries.push((found.stream.number, found.index, found.entry.common.ts));
            true
        };
        index.ask(&question, &mut each).unwrap();
    }
    frames.sort();
    entries.sort();
    (frames, entries)
}

fn options(now: SystemTime) -> Options<'static> {
    Options {
        recipients: &|_| Recipients::default(),
        before: i64::MAX,
        grace: GRACE,
        now,
        dry_run: false,
        rest: |_| (),
    }
}

fn play(seed: u64, objects: &BTreeMap<String, Vec<u8>>, whole: &Content) -> Events {
    let world = World::new(seed);
    let modes = [Mode::Fine, Mode::Seldom, Mode::Seldom, Mode::Flaky];
    let mode = modes[world.state().rng.random_range(0..modes.len())];
    let set = |mode| {
        let mut state = world.state();
        state.buckets.entry(DESTINATION.into()).or_default().mode = Some(mode);
    };
    set(Mode::Fine);
    world.state().buckets.get_mut(DESTINATION).unwrap().objects = objects.clone();
    let bucket = SimBuckets(Arc::clone(&world)).open(DESTINATION).unwrap();
    let run = |now, rounds: u32| -> Option<Done> {
        // a bucket that fails at each fifth request lets nobody come to an end
        let (mode, deaths) = if rounds % 16 < 12 {
            (mode, 0.8)
        } else {
            (Mode::Fine, 0.2)
        };
        set(mode);
        let mut state = world.state();
        let dies = state.chance(deaths);
        let steps = 1 << state.rng.random_range(3..9);
        state.crash_in = dies.then(|| state.rng.random_range(0..steps));
        drop(state);
        let done = compact(&bucket, &options(now), &mut |step| {
            let dead = world.state().crashed;
            assert!(
                mode != Mode::Fine || dead || !matches!(step, Step::Left { .. }),
                "{step:?}"
            );
        });
        let mut state = world.state();
        if state.crashed {
            state.events.add("crash");
        }
        state.restart(false);
        drop(state);
        set(Mode::Fine);
        check(&bucket);
        done.ok()
    };
    // nothing is old enough to be deleted
    let begun = SystemTime::UNIX_EPOCH;
    let mut rounds = 0;
    while run(begun, rounds).is_none_or(|done| done.made + done.left > 0) {
        rounds += 1;
        assert!(rounds < 200, "it never comes to an end");
        assert!(content(&bucket) == *whole, "round {rounds}");
    }
    // what was on its way arrives long before the time of grace is over
    world.state().deliver_late(DESTINATION, true);
    let later = begun + 2 * GRACE;
    while run(later, rounds).is_none_or(|done| done.made + done.deleted + done.left > 0) {
        rounds += 1;
        assert!(rounds < 400, "it never comes to an end");
        assert!(content(&bucket) == *whole, "round {rounds}");
        world.state().deliver_late(DESTINATION, true);
    }
    let checked = check(&bucket);
    assert_eq!(checked.replaced, 0);
    assert!(content(&bucket) == *whole);
    let few = (checked.objects as usize) < objects.len() / 2;
    assert!(
        few,
        "{} of {}: {:?}",
        checked.objects,
        objects.len(),
        world.state().buckets[DESTINATION].objects.keys()
    );
    std::mem::take(&mut world.state().events)
}

#[test]
fn compaction_that_dies_loses_and_doubles_nothing() {
    let buckets = [(800, 1000), (30, 200)].map(|(long, least)| {
        let objects = recorded(long);
        let world = World::new(0);
        let bucket = SimBuckets(Arc::clone(&world)).open(DESTINATION).unwrap();
        world.state().buckets.get_mut(DESTINATION).unwrap().objects = objects.clone();
        check(&bucket);
        let whole = content(&bucket);
        assert!(whole.0.len() > least && whole.1.len() > least / 4);
        (objects, whole)
    });
    play_all(SCHEDULES, &[OF_BUCKETS, MUST_HAPPEN].concat(), |seed| {
        let (objects, whole) = &buckets[usize::from(!seed.is_multiple_of(LARGE))];
        play(seed, objects, whole)
    });
}

/// What somebody does in a bucket.
type Work = Box<dyn Fn(&Arc<dyn Bucket>) + Send + Sync>;

/// A bucket that somebody else works on, too: before some of the requests, all that the other does is done.
struct Shared {
    inner: Arc<dyn Bucket>,
    world: Arc<World>,
    other: Work,
}

impl Shared {
    /// The bucket as it is after all the other may have done.
    fn now(&self, often: f64) -> &dyn Bucket {
        if self.world.state().chance(often) {
            (self.other)(&self.inner);
        }
        &*self.inner
    }
}

impl Bucket for Shared {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        self.now(0.2).put_new(key, body)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        self.now(0.003).head(key)
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        self.now(0.003).get(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        self.now(0.003).get_range(key, range)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        self.now(0.003).list(prefix, each)
    }

    fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.now(0.05).delete(key)
    }

    fn place(&self, key: &str) -> String {
        self.inner.place(key)
    }
}

/// Compaction and the deletion of old hours beside each other; gives whether one died, and whether a compaction took
/// something back.
fn play_beside(seed: u64, objects: &BTreeMap<String, Vec<u8>>, whole: &Content) -> (bool, bool) {
    let world = World::new(seed);
    let bucket = SimBuckets(Arc::clone(&world)).open(DESTINATION).unwrap();
    world.state().buckets.get_mut(DESTINATION).unwrap().objects = objects.clone();
    let (first, _) = whole.0.iter().map(|(_, ts, _)| (*ts, ())).min().unwrap();
    let before = Hour::of(first).end();
    let old = prune::Options {
        cluster: None,
        recording: None,
        before,
        dry_run: false,
    };
    let taken_back = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&taken_back);
    let compacts = move |bucket: &Arc<dyn Bucket>| {
        let begun = SystemTime::UNIX_EPOCH;
        // what is gone when its turn comes is left as it is
        let _ = compact(bucket, &options(begun), &mut |step| {
            let back = matches!(step, Step::Left { why, .. } if why.contains("while it was made"));
            says.fetch_or(back, Ordering::Relaxed);
        });
    };
    let prunes = move |bucket: &Arc<dyn Bucket>| {
        let _ = prune::prune(&**bucket, &old, &mut |_| true);
    };
    let (dies, inside) = {
        let mut state = world.state();
        let dies = state.chance(0.4);
        state.crash_in = dies.then(|| state.rng.random_range(0..600));
        (dies, state.chance(0.5))
    };
    let shared = |other: Work| -> Arc<dyn Bucket> {
        Arc::new(Shared {
            inner: Arc::clone(&bucket),
            world: Arc::clone(&world),
            other,
        })
    };
    if inside {
        compacts(&shared(Box::new(prunes)));
    } else {
        prunes(&shared(Box::new(compacts.clone())));
    }
    let died = world.state().crashed;
    world.state().restart(false);
    assert!(dies || !died);
    if !died {
        // of what is to go, the rest goes with the next run
        let mut heard = Heard(Vec::new());
        verify(&bucket, &mut heard).unwrap();
        let of_old = |found: &Finding| {
            ObjectName::parse(&found.key).is_some_and(|(_, name)| name.hour.end() <= before)
        };
        assert!(heard.0.iter().all(of_old), "{:?}", heard.0);
    }
    prunes(&bucket);
    compacts(&bucket);
    check(&bucket);
    let (frames, entries) = content(&bucket);
    let kept_frames = whole.0.iter().filter(|(_, ts, _)| *ts >= before);
    let kept_entries = whole.1.iter().filter(|(_, _, ts)| *ts >= before);
    assert!(frames.iter().eq(kept_frames), "frames of later hours");
    assert!(entries.iter().eq(kept_entries), "entries of later hours");
    (died, taken_back.load(Ordering::Relaxed))
}

#[test]
fn old_hours_may_be_deleted_while_a_compaction_runs() {
    let objects = recorded(800);
    let world = World::new(0);
    let bucket = SimBuckets(Arc::clone(&world)).open(DESTINATION).unwrap();
    world.state().buckets.get_mut(DESTINATION).unwrap().objects = objects.clone();
    let whole = content(&bucket);
    if let Ok(seed) = std::env::var("GILLNET_SIM_SEED") {
        play_beside(seed.parse().unwrap(), &objects, &whole);
        return;
    }
    let (mut crashes, mut taken_back) = (0, 0);
    for seed in 0..BESIDE {
        let played = std::panic::catch_unwind(|| play_beside(seed, &objects, &whole));
        let (died, back) = played.unwrap_or_else(|_| {
            panic!("schedule {seed} failed; GILLNET_SIM_SEED={seed} plays it again alone")
        });
        crashes += u64::from(died);
        taken_back += u64::from(back);
    }
    assert!(crashes > 0 && taken_back > 0, "{crashes}, {taken_back}");
}
