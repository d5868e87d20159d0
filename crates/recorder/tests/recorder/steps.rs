//! Single steps in a world without faults: when is sealed, and what stands in an object.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gillnet_bucket::Recipients;
use gillnet_bucket::layout::{Hour, ObjectName, Part, Payload};
use gillnet_capture::{Interface, LinkType, PacketDirection, turns::Idle};
use gillnet_entry::Name;
use gillnet_kfl::Env;
use gillnet_names::{Names, NamesConfig};
use gillnet_recorder::{
    Deps, Dissection, Frame, Handle, LostBefore, MAX_RULES, NameHistory, Period, RecordedName,
    RecorderConfig, Retention, Rule, RuleId, RuleState, Sealing, Spool, Step, StreamStart,
    Uploader, Writer,
};

use crate::http::Talk;
use crate::index;
use crate::object::{self, Found};
use crate::world::{Mode, SimBuckets, SimClock, SimFs, World};

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;
pub(crate) const DESTINATION: &str = "gs://b";

struct History;

/// As Kubeshark writes it.
pub(crate) struct Snapshots;

impl NameHistory for Snapshots {
    fn history(&self, ends: &[(IpAddr, u16)], _: &[RecordedName], from: i64, _: i64) -> Vec<u8> {
        let names = ends.iter().map(|(ip, _)| {
            let name = serde_json::json!({ "FullAddress": format!("pod-{ip}"), "Namespace": "" });
            (ip.to_string(), name)
        });
        let names: serde_json::Map<_, _> = names.collect();
        let since = (from / SECOND as i64).to_string();
        serde_json::json!({ since: names }).to_string().into_bytes()
    }
}

impl NameHistory for History {
    fn history(
        &self,
        ends: &[(IpAddr, u16)],
        recorded: &[RecordedName],
        _: i64,
        _: i64,
    ) -> Vec<u8> {
        let names: Vec<_> = recorded
            .iter()
            .map(|name| format!("{}={}", name.ip, name.name.name))
            .collect();
        format!("{} ends; {}", ends.len(), names.join(" ")).into_bytes()
    }
}

pub(crate) struct Desk {
    pub(crate) world: Arc<World>,
    spool: Arc<Spool>,
    writer: Writer,
    pub(crate) handle: Handle,
    uploader: Uploader,
    idle: Idle,
}

fn rule(name: &str, flush: &str) -> Rule {
    Rule {
        name: name.into(),
        kfl: "http".into(),
        destination: DESTINATION.into(),
        flush: flush.parse().unwrap(),
        period: Period::default(),
        retention: None,
        payload: Payload::Full,
        recipients: Recipients::default(),
    }
}

fn config() -> RecorderConfig {
    let mut config = RecorderConfig::new(PathBuf::from("/data"), "c".into(), "n".into(), 7);
    config.object_size = 10_000;
    config.upload_spread = Duration::ZERO;
    config
}

impl Desk {
    /// One rule, and a queue that some twenty frames fill.
    fn with_small_queue() -> Self {
        let mut small = config();
        small.queue_bytes = 3000;
        Desk::open(&World::new(0), small, &[rule("a", "5m")])
    }

    fn open(world: &Arc<World>, config: RecorderConfig, rules: &[Rule]) -> Self {
        Self::open_with(world, config, rules, None)
    }

    /// A process that indexes what it records, with its files in a folder that is there.
    pub(crate) fn indexing(world: &Arc<World>, dir: &Path, run: u64) -> Self {
        let mut config = config();
        (config.run, config.data_dir) = (run, dir.to_owned());
        config.object_size = 300_000;
        let dissection = Dissection {
            env: Arc::new(Env::new(&gillnet_protocols::env())),
            names: Arc::new(Names::new(NamesConfig::default()).unwrap()),
            origin: Arc::default(),
            taught: None,
        };
        Self::open_with(world, config, &[rule("a", "5m")], Some(dissection))
    }

    fn open_with(
        world: &Arc<World>,
        config: RecorderConfig,
        rules: &[Rule],
        dissection: Option<Dissection>,
    ) -> Self {
        let deps = Deps {
            clock: Arc::new(SimClock(Arc::clone(world))),
            fs: Arc::new(SimFs(Arc::clone(world))),
            buckets: Arc::new(SimBuckets(Arc::clone(world))),
            names: match dissection {
                Some(_) => Arc::new(Snapshots),
                None => Arc::new(History),
            },
            dissection,
        };
        let spool = Arc::new(Spool::open(config, &deps).unwrap());
        let (mut writer, mut handles) = Writer::new(Arc::clone(&spool));
        writer.set_rules(rules).unwrap();
        let uploader = Uploader::new(Arc::clone(&spool), deps.buckets, DESTINATION.into());
        let mut handle = handles.pop().unwrap();
        let interface = Interface {
            name: "eth0".into(),
            link: LinkType::Ethernet,
            description: String::new(),
            snaplen: 0,
        };
        handle.interfaces(&[interface]);
        Self {
            world: Arc::clone(world),
            spool,
            writer,
            handle,
            uploader,
            idle: Idle::start("idle").unwrap(),
        }
    }

    fn new(rules: &[Rule]) -> Self {
        let world = World::new(0);
        // in the middle of an hour
        world.state().wall = Hour::of(1_700_000_000_000_000_000).start() + 1800 * SECOND as i64;
        Self::open(&world, config(), rules)
    }

    pub(crate) fn id(&self, name: &str) -> RuleId {
        self.writer
            .rules()
            .into_iter()
            .find(|(_, rule)| rule.name == name)
            .unwrap()
            .0
    }

    pub(crate) fn begin(&mut self, rule: RuleId, number: u64, lost_before: Option<LostBefore>) {
        self.handle.begin(rule, &start(number, lost_before));
    }

    fn frame_at(&mut self, ts: i64, rules: u128, stream: u64, len: usize) -> bool {
        let data = vec![stream as u8; len];
        let (link, direction) = (LinkType::Ethernet, PacketDirection::Out);
        self.handle.frame(
            stream,
            rules,
            &Frame {
                ts,
                iface: 0,
                link,
                direction,
                wire_len: len as u32,
                data: &data,
            },
        )
    }

    fn frame(&mut self, rules: u128, stream: u64, len: usize) -> bool {
        let ts = self.world.state().wall;
        self.frame_at(ts, rules, stream, len)
    }

    pub(crate) fn drain(&mut self) {
        self.writer.drain();
        self.handle.flush_batch();
        self.writer.drain();
    }

    /// Time goes on, a second at a time, and everything that is due is done.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.state().advance(SECOND);
            self.drain();
            self.writer.tick();
            self.upload();
        }
    }

    fn upload(&mut self) {
        while self.spool.seal_next(Some(&self.idle)) == Sealing::Done {}
        while self.uploader.step(false) == Step::Tried {}
    }

    pub(crate) fn flush(&mut self) {
        self.drain();
        self.writer.close_all();
        self.upload();
    }

    fn objects(&self) -> Vec<(ObjectName, Vec<Found>)> {
        let state = self.world.state();
        let all = state
            .buckets
            .get(DESTINATION)
            .map(|bucket| bucket.objects.clone())
            .unwrap_or_default();
        let packets = all
            .iter()
            .filter_map(|(key, bytes)| match ObjectName::parse(key) {
                Some((Part::Packets, name)) => Some((name, object::packets(bytes))),
                _ => None,
            });
        packets.collect()
    }

    /// The entries in the bucket, sorted: run and number of their file, what was asked for, and the answer.
    fn entries(&self) -> Vec<(u64, u64, Option<u64>, Option<i64>)> {
        let objects = self.world.state().buckets[DESTINATION].objects.clone();
        let files = objects.iter().filter_map(|(key, bytes)| {
            let (part, name) = ObjectName::parse(key)?;
            (part == Part::Entries).then(|| (name, index::rows(bytes)))
        });
        let rows = files.flat_map(|(name, rows)| {
            let row = move |row: index::Row| (name.run, name.seq, row.request, row.status);
            rows.into_iter().map(row)
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable();
        rows
    }

    fn names_of(&self, name: &ObjectName) -> String {
        String::from_utf8(
            self.world.state().buckets[DESTINATION].objects[&name.names_key()].clone(),
        )
        .unwrap()
    }
}

fn start(number: u64, lost_before: Option<LostBefore>) -> StreamStart {
    let ends = [
        (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), number as u16),
        (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80),
    ];
    StreamStart {
        number,
        udp: false,
        ends,
        lost_before,
    }
}

fn comments(packets: &[Found]) -> Vec<Option<&str>> {
    packets
        .iter()
        .map(|packet| packet.comment.as_deref())
        .collect()
}

#[test]
fn one_request_then_silence_is_there_within_a_flush_period() {
    for flush in ["10s", "*/10 * * * * *"] {
        let mut desk = Desk::new(&[rule("a", flush)]);
        desk.wait(3);
        let bit = desk.id("a").bit();
        desk.begin(desk.id("a"), 1, None);
        assert!(desk.frame(bit, 1, 100));
        desk.wait(6);
        assert_eq!(desk.objects().len(), 0, "{flush}");
        desk.wait(4);
        assert_eq!(desk.objects().len(), 1, "{flush}");
        let status = desk.writer.status();
        assert_eq!(
            (
                status.rules[0].counters.uploaded_packets,
                status.spool_bytes
            ),
            (1, 0)
        );
    }
}

#[test]
fn a_rule_records_in_its_windows_alone() {
    let world = World::new(0);
    let begin = Hour::of(1_700_000_000_000_000_000).start();
    world.state().wall = begin;
    let at = |seconds: u64| begin + (seconds * SECOND) as i64;
    let windowed = Rule {
        period: Period {
            start: Some(at(10)),
            duration: Some(Duration::from_secs(5)),
            daily: Some(2),
            expiry: Some(at(24 * 3600 + 13)),
        },
        ..rule("a", "1h")
    };
    let mut desk = Desk::open(&world, config(), &[windowed, rule("b", "1h")]);
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    let look = |desk: &Desk| {
        let status = desk.writer.status();
        let window = status.rules[0].window;
        let open = desk.writer.open() & bit != 0;
        (open, status.rules[0].state, window.map(|w| w.number))
    };
    assert_eq!(look(&desk), (false, RuleState::Waiting, Some(1)));
    desk.begin(id, 1, None);
    desk.frame(bit, 1, 100);
    desk.wait(10);
    assert_eq!(look(&desk), (true, RuleState::Recording, Some(1)));
    assert_eq!(desk.writer.status().stray_frames, 1, "before its time");
    desk.frame(bit, 1, 101);
    // one of the window that the writer sees only after its end, and one from after it
    desk.drain();
    let last = at(15) - 1;
    desk.world.state().advance(5 * SECOND);
    desk.writer.tick();
    desk.frame_at(last, bit, 1, 102);
    desk.frame_at(at(15), bit, 1, 103);
    desk.drain();
    assert_eq!(look(&desk), (false, RuleState::Waiting, Some(2)));
    assert_eq!(desk.objects().len(), 0);
    desk.wait(2);
    let lens = |desk: &Desk| -> Vec<Vec<usize>> {
        let objects = desk.objects().into_iter();
        let lens = objects.map(|(_, packets)| packets.iter().map(|p| p.data.len()).collect());
        lens.collect()
    };
    // sealed and uploaded at the window's end, long before its flush
    assert_eq!(lens(&desk), [[101, 102]]);
    assert_eq!(desk.writer.status().stray_frames, 2);
    // the next day; it expires within its second window
    desk.world.state().advance((24 * 3600 - 7) * SECOND);
    desk.wait(1);
    assert_eq!(look(&desk), (true, RuleState::Recording, Some(2)));
    desk.frame(bit, 1, 104);
    desk.wait(2);
    assert_eq!(look(&desk), (false, RuleState::Expired, None));
    desk.frame(bit, 1, 105);
    desk.wait(2);
    assert_eq!(lens(&desk), [vec![101, 102], vec![104]]);
    assert_eq!(desk.writer.status().stray_frames, 3);
    assert_eq!(desk.writer.status().rules[1].state, RuleState::Recording);
}

#[test]
fn what_was_kept_long_enough_is_deleted_once_an_hour_and_what_may_not_be_is_counted() {
    let world = World::new(0);
    world.state().wall = Hour::of(1_700_000_000_000_000_000).start();
    let kept = |name: &str, hours: u64| Rule {
        retention: Some(Duration::from_secs(hours * 3600)),
        ..rule(name, "1h")
    };
    let rules = [kept("a", 2), rule("b", "1h")];
    let mut desk = Desk::open(&world, config(), &rules);
    let buckets = Arc::new(SimBuckets(Arc::clone(&world)));
    let mut retention = Retention::new(Arc::clone(&desk.spool), buckets);
    for name in ["a", "b"] {
        let (id, bit) = (desk.id(name), desk.id(name).bit());
        desk.begin(id, 1, None);
        desk.frame(bit, 1, 100);
    }
    desk.flush();
    let there = |desk: &Desk| -> Vec<String> {
        let objects = desk.objects().into_iter();
        objects.map(|(name, _)| name.recording).collect()
    };
    let counted = |desk: &Desk| {
        let of = &desk.writer.status().rules[0].counters;
        let fault = of.retention_fault.as_ref();
        let fault = fault.is_some_and(|fault| fault.message.contains("leave retention out"));
        (of.pruned_files, of.failed_prunes, fault)
    };
    let mut later = |desk: &Desk, minutes: u64| {
        desk.world.state().advance(minutes * 60 * SECOND);
        retention.step(&rules, &|| true);
    };
    later(&desk, 0);
    // its hour ended two hours ago less a minute
    later(&desk, 179);
    assert_eq!(there(&desk), ["a", "b"]);
    world.state().readable = false;
    for _ in 0..5 {
        later(&desk, 1);
    }
    assert_eq!(counted(&desk), (0, 0, false), "once an hour");
    later(&desk, 60);
    later(&desk, 0);
    assert_eq!(counted(&desk), (0, 1, true), "and not again at once");
    world.state().readable = true;
    later(&desk, 60);
    assert_eq!(there(&desk), ["b"]);
    // packets and names
    assert_eq!(counted(&desk), (2, 1, false));
}

#[test]
fn an_object_is_sealed_when_it_is_full_and_holds_one_hour() {
    let mut desk = Desk::new(&[rule("a", "0 0 0 1 1 *")]);
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    desk.begin(id, 1, None);
    for _ in 0..45 {
        desk.frame(bit, 1, 456);
    }
    desk.drain();
    desk.upload();
    // a packet counts with what a block costs: twenty of them are 10,000 bytes
    assert_eq!(
        desk.objects()
            .iter()
            .map(|(_, packets)| packets.len())
            .collect::<Vec<_>>(),
        [20, 20]
    );
    // the hour's end, and a little for what was late
    let hour = Hour::of(desk.world.state().wall);
    desk.wait(1801);
    assert_eq!(desk.objects().len(), 2);
    desk.wait(3);
    let objects = desk.objects();
    assert_eq!(
        objects
            .iter()
            .map(|(_, packets)| packets.len())
            .collect::<Vec<_>>(),
        [20, 20, 5]
    );
    assert!(objects.iter().all(|(name, _)| name.hour == hour));
}

#[test]
fn a_frame_of_a_late_hour_goes_into_an_object_of_that_hour() {
    let mut desk = Desk::new(&[rule("a", "10s")]);
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    let wall = desk.world.state().wall;
    desk.begin(id, 1, None);
    // more hours than may be open at a time
    for back in [0, 1, 0, 2, 3, 4, 5, 0] {
        desk.frame_at(wall - back * HOUR as i64, bit, 1, 60);
    }
    desk.flush();
    let objects = desk.objects();
    assert_eq!(
        objects
            .iter()
            .map(|(_, packets)| packets.len())
            .sum::<usize>(),
        8
    );
    for (name, packets) in &objects {
        assert!(
            packets
                .iter()
                .all(|packet| Hour::of(packet.ts) == name.hour)
        );
    }
}

#[test]
fn a_clock_that_is_set_loses_nothing_and_flushes_in_time() {
    for step in [HOUR as i64, -(HOUR as i64)] {
        let mut desk = Desk::new(&[rule("a", "30s")]);
        let (id, bit) = (desk.id("a"), desk.id("a").bit());
        desk.begin(id, 1, None);
        // set again and again, more often than a flush comes
        for _ in 0..20 {
            desk.frame(bit, 1, 60);
            desk.wait(7);
            desk.world.state().wall += step;
        }
        desk.wait(30);
        assert_eq!(
            desk.objects()
                .iter()
                .map(|(_, packets)| packets.len())
                .sum::<usize>(),
            20
        );
        assert!(
            desk.objects().len() >= 4,
            "flushed all the while: {}",
            desk.objects().len()
        );
        assert_eq!(desk.writer.status().clock_steps, 20);
    }
}

#[test]
fn each_rule_has_its_own_objects_and_one_that_is_gone_is_sealed() {
    let mut desk = Desk::new(&[rule("a", "5m"), rule("b", "5m")]);
    let (a, b) = (desk.id("a"), desk.id("b"));
    desk.begin(a, 1, None);
    desk.begin(b, 1, None);
    desk.begin(b, 2, None);
    desk.frame(a.bit() | b.bit(), 1, 100);
    desk.frame(b.bit(), 2, 100);
    desk.drain();
    desk.writer.set_rules(&[rule("a", "5m")]).unwrap();
    desk.upload();
    let objects = desk.objects();
    assert_eq!(
        objects
            .iter()
            .map(|(name, packets)| (&*name.recording, packets.len()))
            .collect::<Vec<_>>(),
        [("b", 2)]
    );
    // what comes for it afterwards is nobody's; a new rule has another id
    desk.frame(b.bit(), 2, 100);
    desk.writer
        .set_rules(&[rule("a", "5m"), rule("c", "5m")])
        .unwrap();
    assert_ne!(desk.id("c"), b);
    desk.flush();
    assert_eq!(
        desk.objects()
            .iter()
            .map(|(name, _)| &*name.recording)
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    let status = desk.writer.status();
    assert_eq!(status.stray_frames, 1);
    let states: Vec<_> = status
        .rules
        .iter()
        .map(|rule| (&*rule.name, rule.state))
        .collect();
    assert_eq!(
        states,
        [
            ("a", RuleState::Recording),
            ("b", RuleState::Stopped),
            ("c", RuleState::Recording)
        ]
    );
}

#[test]
fn rules_that_can_not_be_change_nothing() {
    let mut desk = Desk::new(&[rule("a", "5m")]);
    for rules in [
        vec![rule("b", "5m"), rule("b", "1m")],
        vec![rule("", "5m")],
        (0..=MAX_RULES)
            .map(|at| rule(&at.to_string(), "5m"))
            .collect(),
    ] {
        assert!(desk.writer.set_rules(&rules).is_err());
        assert_eq!(desk.writer.rules().len(), 1);
    }
}

#[test]
fn packets_are_grouped_by_stream_and_say_what_is_missing() {
    let mut desk = Desk::new(&[rule("a", "5m")]);
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    let since = desk.world.state().wall;
    desk.begin(
        id,
        1,
        Some(LostBefore {
            packets: Some(3),
            since,
        }),
    );
    desk.begin(id, 2, None);
    for stream in [1, 2, 1, 2, 2] {
        desk.frame(bit, stream, 60);
    }
    desk.flush();
    desk.frame(bit, 1, 60);
    desk.flush();
    let objects = desk.objects();
    let first = "stream 000000000001.pcap; 3 packets before 2023-11-14T22:30:00.000000000Z had left the ring";
    assert_eq!(
        comments(&objects[0].1),
        [
            Some(first),
            None,
            Some("stream 000000000002.pcap"),
            None,
            None
        ]
    );
    assert_eq!(
        objects[0]
            .1
            .iter()
            .map(|packet| packet.data[0])
            .collect::<Vec<_>>(),
        [1, 1, 2, 2, 2]
    );
    assert_eq!(
        comments(&objects[1].1),
        [Some("stream 000000000001.pcap; continued")]
    );
    assert!(objects[0].1.iter().all(|packet| packet.interface == "eth0"));
}

#[test]
fn frames_that_the_queue_refuses_are_counted_and_said_in_the_stream() {
    let mut desk = Desk::with_small_queue();
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    desk.begin(id, 1, None);
    let taken = (0..40).filter(|_| desk.frame(bit, 1, 100)).count();
    assert!((10..30).contains(&taken), "{taken}");
    // what the frames mean finds room all the same
    desk.begin(id, 2, None);
    desk.drain();
    assert!(desk.frame(bit, 1, 100) && desk.frame(bit, 2, 100));
    desk.flush();
    let packets = &desk.objects()[0].1;
    assert_eq!(packets.len(), taken + 2);
    let hole = packets[taken].comment.as_deref().unwrap();
    assert!(
        hole.starts_with(&format!(
            "stream 000000000001.pcap; {} packets before",
            40 - taken
        )),
        "{hole}"
    );
    assert_eq!(desk.writer.status().dropped_queue, 40 - taken as u64);
    assert_eq!(desk.handle.dropped(), 40 - taken as u64);
    assert_eq!(desk.writer.status().dropped_records, 0);
}

#[test]
fn a_full_disk_drops_counts_and_goes_on() {
    let mut desk = Desk::new(&[rule("a", "5m")]);
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    desk.begin(id, 1, None);
    desk.frame(bit, 1, 100);
    desk.drain();
    let used = desk.world.state().used();
    desk.world.state().capacity = used + 250;
    (0..10).for_each(|_| assert!(desk.frame(bit, 1, 100)));
    desk.drain();
    let status = desk.writer.status();
    assert_eq!(
        (status.rules[0].state, status.rules[0].counters.dropped_disk),
        (RuleState::DiskFull, 9)
    );
    assert!(status.rules[0].counters.spool_fault.is_some());
    // what was recorded is sealed and uploaded in the room that was kept for it
    desk.writer.close_all();
    desk.upload();
    assert_eq!(desk.objects()[0].1.len(), 2);
    desk.world.state().capacity = u64::MAX;
    desk.spool.mend_reserve();
    desk.wait(1);
    desk.frame(bit, 1, 100);
    desk.flush();
    let objects = desk.objects();
    assert_eq!(objects.len(), 2);
    let hole = objects[1].1[0].comment.as_deref().unwrap();
    assert!(
        hole.starts_with("stream 000000000001.pcap; 9 packets before")
            && hole.ends_with("; continued"),
        "{hole}"
    );
    let status = desk.writer.status();
    assert_eq!(
        (status.rules[0].state, &status.rules[0].counters.spool_fault),
        (RuleState::Recording, &None)
    );
}

#[test]
fn what_is_lost_at_the_end_of_a_stream_is_said_too() {
    let mut desk = Desk::with_small_queue();
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    desk.begin(id, 1, None);
    let taken = (0..40).filter(|_| desk.frame(bit, 1, 100)).count();
    desk.drain();
    // what the queue refuses, with nothing behind it
    desk.handle.end(1);
    desk.flush();
    let packets = &desk.objects()[0].1;
    assert_eq!(packets.len(), taken);
    let lost = 40 - taken;
    let comment = format!(
        "stream 000000000001.pcap; {lost} packets behind its last were lost by the recorder"
    );
    assert_eq!(packets[0].comment.as_deref(), Some(comment.as_str()));
}

#[test]
fn a_bucket_that_is_away_fills_the_spool_and_the_oldest_goes_first() {
    let world = World::new(0);
    let mut small = config();
    small.spool_limit = 4000;
    let mut desk = Desk::open(&world, small, &[rule("a", "5m")]);
    desk.world
        .state()
        .buckets
        .entry(DESTINATION.into())
        .or_default()
        .mode = Some(Mode::Away);
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    desk.begin(id, 1, None);
    for _ in 0..20 {
        desk.frame(bit, 1, 700);
        desk.flush();
        desk.world.state().advance(SECOND);
        assert!(desk.writer.status().spool_bytes <= 4000);
    }
    let status = &desk.writer.status().rules[0];
    assert!(
        status
            .counters
            .fault
            .as_ref()
            .unwrap()
            .message
            .contains("no connection")
    );
    assert!(status.counters.given_up_objects > 0 && status.pending_objects > 0);
    let left = status.pending_objects;
    desk.world.state().heal();
    desk.wait(60);
    let seqs: Vec<u64> = desk.objects().iter().map(|(name, _)| name.seq).collect();
    assert_eq!(seqs, (20 - left + 1..=20).collect::<Vec<_>>());
}

#[test]
fn a_key_without_permission_keeps_what_is_recorded_until_it_is_mended() {
    let mut desk = Desk::new(&[rule("a", "5m")]);
    desk.world
        .state()
        .buckets
        .entry(DESTINATION.into())
        .or_default()
        .mode = Some(Mode::Refusing);
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    desk.begin(id, 1, None);
    desk.frame(bit, 1, 100);
    desk.flush();
    desk.wait(1000);
    let refused = desk.world.state().buckets[DESTINATION].refused_puts;
    assert!((5..20).contains(&refused), "slowly again: {refused}");
    assert!(desk.writer.status().rules[0].counters.fault.is_some());
    desk.world.state().heal();
    desk.wait(121);
    assert_eq!(desk.objects().len(), 1);
    assert_eq!(desk.writer.status().rules[0].counters.fault, None);
}

#[test]
fn names_outlive_the_process_that_knew_them() {
    let mut desk = Desk::new(&[rule("a", "5m")]);
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    desk.begin(id, 1, None);
    let end = start(1, None).ends[1];
    let name = |name: &str| Name {
        name: name.into(),
        namespace: "shop".into(),
        ..Name::default()
    };
    desk.handle.name(1, end, &name("cart"), 5);
    desk.frame(bit, 1, 100);
    desk.drain();
    desk.handle.name(1, end, &name("cart"), 6);
    desk.handle.name(1, end, &name("cart-2"), 7);
    desk.frame(bit, 1, 100);
    desk.drain();
    let world = Arc::clone(&desk.world);
    drop(desk);
    let mut other = config();
    other.run = 8;
    let mut desk = Desk::open(&world, other, &[]);
    desk.upload();
    let objects = desk.objects();
    assert_eq!((objects[0].0.run, objects[0].1.len()), (7, 2));
    assert_eq!(
        desk.names_of(&objects[0].0),
        "2 ends; 10.0.0.2=cart 10.0.0.2=cart-2"
    );
}

#[test]
fn anothers_object_under_our_name_is_left_and_ours_gets_a_new_one() {
    let mut desk = Desk::new(&[rule("a", "5m")]);
    desk.world.state().foreign = 1.0;
    let (id, bit) = (desk.id("a"), desk.id("a").bit());
    desk.begin(id, 1, None);
    desk.frame(bit, 1, 100);
    desk.drain();
    desk.writer.close_all();
    assert_eq!(desk.spool.seal_next(Some(&desk.idle)), Sealing::Done);
    assert_eq!(desk.uploader.step(false), Step::Tried);
    desk.world.state().foreign = 0.0;
    desk.upload();
    let state = desk.world.state();
    let bucket = &state.buckets[DESTINATION];
    let ours = |key: &&String| !bucket.foreign.contains(*key);
    let keys: Vec<_> = bucket
        .objects
        .keys()
        .filter(ours)
        .filter_map(|key| ObjectName::parse(key))
        .collect();
    assert_eq!(
        keys.iter().map(|(_, name)| name.seq).collect::<Vec<_>>(),
        [2, 2]
    );
    assert_eq!(bucket.foreign.len(), 1);
    drop(state);
    assert_eq!(desk.writer.status().rules[0].counters.conflicts, 1);
}

/// Run 7 of a process that indexes, in a new folder, and a connection of which it keeps the stream.
fn talking() -> (tempfile::TempDir, Arc<World>, Desk, Talk) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("spool")).unwrap();
    let world = World::new(0);
    let mut desk = Desk::indexing(&world, dir.path(), 7);
    desk.begin(desk.id("a"), 1, None);
    (dir, world, desk, Talk::new(1))
}

/// Hands in the next frames of a connection.
fn say(desk: &mut Desk, talk: &mut Talk, frames: u64) {
    let bit = desk.id("a").bit();
    for _ in 0..frames {
        let (data, _) = talk.next(LinkType::Ethernet, talk.frames);
        let (link, direction) = (LinkType::Ethernet, PacketDirection::Out);
        let frame = Frame {
            ts: desk.world.state().wall,
            iface: 0,
            link,
            direction,
            wire_len: data.len() as u32,
            data: &data,
        };
        assert!(desk.handle.frame(1, bit, &frame));
    }
    desk.drain();
}

#[test]
fn what_waited_when_a_process_died_is_an_entry_of_its_run() {
    let (dir, world, mut desk, mut talk) = talking();
    // a request and its answer, and a request that waits in a log that is in the bucket
    say(&mut desk, &mut talk, 6);
    desk.flush();
    assert_eq!(desk.entries(), [(7, 1, Some(3), Some(200))]);
    drop(desk);
    // that there is another run now changes nothing
    let mut desk = Desk::indexing(&world, dir.path(), 8);
    let bit = desk.id("a").bit();
    desk.begin(desk.id("a"), 2, None);
    desk.frame(bit, 2, 60);
    desk.flush();
    let behind = (1 << 40) + 1;
    assert_eq!(
        desk.entries(),
        [(7, 1, Some(3), Some(200)), (7, behind, Some(5), None)]
    );
    assert!(desk.spool.is_empty());
    drop(desk);
    let desk = Desk::indexing(&world, dir.path(), 9);
    assert_eq!(
        desk.writer.status().spool_bytes,
        0,
        "nothing is held of run 7 and 8"
    );
}

#[test]
fn an_answer_that_was_in_an_open_log_is_one_entry_with_a_request_that_was_sealed() {
    let (dir, world, mut desk, mut talk) = talking();
    say(&mut desk, &mut talk, 4);
    desk.flush();
    assert_eq!(desk.entries(), []);
    say(&mut desk, &mut talk, 2);
    drop(desk);
    let mut desk = Desk::indexing(&world, dir.path(), 8);
    desk.upload();
    assert_eq!(
        desk.entries(),
        [
            (7, 2, Some(3), Some(200)),
            (7, (1 << 40) + 2, Some(5), None)
        ]
    );
}

#[test]
fn a_panic_while_sealing_is_a_try_that_failed() {
    let seal = |desk: &Desk, panic_in: &mut Option<u32>| {
        desk.world.state().panic_in = *panic_in;
        let mut failed = 0;
        loop {
            match desk.spool.seal_next(Some(&desk.idle)) {
                Sealing::Done => {}
                Sealing::Failed => {
                    failed += 1;
                    desk.world.state().advance(60 * SECOND);
                }
                Sealing::Nothing | Sealing::Until(_) => break,
            }
        }
        *panic_in = desk.world.state().panic_in.take();
        failed
    };
    for step in 0.. {
        let (dir, world, mut desk, mut talk) = talking();
        // an answer, and a request that waits until its run has ended
        say(&mut desk, &mut talk, 6);
        desk.writer.close_all();
        let mut panic_in = Some(step);
        let mut failed = seal(&desk, &mut panic_in);
        drop(desk);
        let mut desk = Desk::indexing(&world, dir.path(), 8);
        failed += seal(&desk, &mut panic_in);
        desk.upload();
        let wanted = [
            (7, 1, Some(3), Some(200)),
            (7, (1 << 40) + 1, Some(5), None),
        ];
        assert_eq!(desk.entries(), wanted, "a panic at step {step}");
        assert!(desk.spool.is_empty(), "step {step}");
        assert_eq!(failed, u32::from(panic_in.is_none()), "step {step}");
        if panic_in.is_some() {
            assert!(step > 30, "sealing has steps: {step}");
            break;
        }
    }
}
