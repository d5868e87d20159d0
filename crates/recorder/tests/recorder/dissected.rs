//! Whether the entries in a bucket are those that its packets give.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use gillnet_bucket::index::{EntriesWriter, Footer};
use gillnet_bucket::layout::{Hour, ObjectName, Part, TimeRange};
use gillnet_bucket::{Bucket, Group, Recordings};
use gillnet_capture::{Event, Frame, NO_POS, Ring};
use gillnet_entry::{Entry, Origin};
use gillnet_kfl::{Options, compile};
use gillnet_pipeline::{
    Consumer, FrameNumber, Keep, Matched, Numbers, Plan, Shard, ShardConfig, Want,
};
use gillnet_recorder::Dissection;

use crate::index::described;
use crate::object;
use crate::simulation::id_at_end;

/// Frames after which what waits is looked at.
const BATCH: u32 = 64;

/// Shorter (nanoseconds) than any request waits for its answer.
const SILENT: i64 = 110_000_000_000;

/// The entries of a rule in a run: by stream and index, what stands in each column.
type Rows = BTreeMap<(i64, i64), String>;

/// Compares; gives how many entries there are, each as often as a rule keeps it.
pub(crate) fn check(bucket: &Arc<dyn Bucket>, with: &Dissection) -> usize {
    let mut recorded = in_index(bucket);
    let cache = tempfile::tempdir().unwrap();
    let opened = Recordings::of_bucket(Arc::clone(bucket), TimeRange::default(), cache.path());
    let mut all = 0;
    for group in opened.unwrap().into_groups() {
        let gillnet_bucket::Origin::Recorded { run, .. } = group.origin() else {
            panic!("a group that nobody recorded: {group:?}");
        };
        assert!(group.is_indexed(), "packets without an index: {group:?}");
        let run = *run;
        let rules: BTreeSet<String> = group.recordings().into_iter().map(str::to_owned).collect();
        for rule in rules {
            let of_rule = group.again().unwrap().of_recording(&rule).unwrap();
            let there = recorded.remove(&(rule.clone(), run)).unwrap_or_default();
            let (given, chance) = of_packets(of_rule, with);
            all += there.len();
            let (there, given) = (chance.taken_out(there), chance.taken_out(given));
            same(&rule, run, &there, &given, &|streams| {
                told(bucket, &rule, run, streams)
            });
            all += there.len();
        }
    }
    let left = recorded.into_iter().filter(|(_, rows)| !rows.is_empty());
    let left: Vec<_> = left.collect();
    assert!(left.is_empty(), "entries of no packets: {left:#?}");
    all
}

fn same(rule: &str, run: u64, there: &Rows, given: &Rows, told: &dyn Fn(&[i64]) -> String) {
    let differs = |a: &Rows, b: &Rows| -> Vec<String> {
        let other = a.iter().filter(|(id, row)| b.get(id) != Some(row));
        other.map(|(id, row)| format!("{id:?} {row}")).collect()
    };
    let (more, less) = (differs(there, given), differs(given, there));
    if more.is_empty() && less.is_empty() {
        return;
    }
    let both = there.iter().chain(given);
    let other = both.filter(|(id, row)| there.get(id) != Some(row) || given.get(id) != Some(row));
    let streams: Vec<i64> = other.map(|((stream, _), _)| *stream).collect();
    panic!(
        "{rule}, run {run:016x}: the index has\n  {}\nwhere the packets give\n  {}\nof\n{}",
        more.join("\n  "),
        less.join("\n  "),
        told(&streams)
    );
}

/// What lies in a bucket of some streams.
fn told(bucket: &Arc<dyn Bucket>, rule: &str, run: u64, streams: &[i64]) -> String {
    let mut out = String::new();
    let mut each = |meta: gillnet_bucket::ObjectMeta| {
        let Some((part, name)) = ObjectName::parse(&meta.key) else {
            return;
        };
        if name.recording != rule || name.run != run {
            return;
        }
        let key = &meta.key;
        let bytes = bucket.get(key).unwrap();
        match part {
            Part::Packets => {
                let frames = object::packets(&bytes).into_iter();
                let frames = frames.map(|f| (id_at_end(&f.data), f.ts, f.comment));
                out += &format!("{key}\n");
                frames.for_each(|frame| out += &format!("  {frame:?}\n"));
            }
            Part::Entries => {
                out += &format!("{key}\n");
                for (ts, id, _) in described(&bytes) {
                    if streams.contains(&id.0) {
                        out += &format!("  {id:?} {ts}\n");
                    }
                }
            }
            _ => {}
        }
    };
    bucket.list("", &mut each).unwrap();
    out
}

/// What stands in `entries/`, each row in the hour of its own time and once.
fn in_index(bucket: &Arc<dyn Bucket>) -> BTreeMap<(String, u64), Rows> {
    let mut keys = Vec::new();
    bucket
        .list("entries/", &mut |meta| keys.push(meta.key))
        .unwrap();
    let mut all: BTreeMap<(String, u64), Rows> = BTreeMap::new();
    for key in keys {
        let Some((Part::Entries, name)) = ObjectName::parse(&key) else {
            panic!("{key} is no file of entries");
        };
        let rows = all.entry((name.recording.clone(), name.run)).or_default();
        for (ts, id, row) in described(&bucket.get(&key).unwrap()) {
            assert_eq!(Hour::of(ts), name.hour, "{key}: an entry of another hour");
            let before = rows.insert(id, row.clone());
            assert!(
                before.is_none(),
                "{key}: twice an entry {id:?}: {before:?}, {row}; of\n{}",
                told(bucket, &name.recording, name.run, &[id.0])
            );
        }
    }
    all
}

/// The streams of which something is chance: it depends on when what waits is looked at.
struct Chance {
    /// When what never gets an answer is given up, and so the indexes of entries behind it; and whether a stream that is
    /// closed by then begins anew.
    given_up: BTreeSet<i64>,
    /// Where packets are missing and it was silent longer than anything waits: whether another answer is taken for one that
    /// is missing.
    late: BTreeSet<i64>,
}

impl Chance {
    fn taken_out(&self, rows: Rows) -> Rows {
        let (cut, mut out): (Rows, Rows) = rows
            .into_iter()
            .filter(|((stream, _), _)| !self.late.contains(stream))
            .partition(|((stream, _), _)| self.given_up.contains(stream));
        let mut cut: Vec<(i64, String)> = cut
            .into_iter()
            .map(|((stream, at), row)| {
                let row = row.replace(&format!(" index={at} "), " ");
                let whole = row.split(" truncatedBefore=").next();
                (stream, whole.unwrap_or_default().to_owned())
            })
            .collect();
        cut.sort();
        let by_rank = (0..).zip(cut);
        out.extend(by_rank.map(|(rank, (stream, row))| ((stream, rank), row)));
        out
    }
}

/// What dissecting its packets gives, as those do who find no index.
fn of_packets(group: Group, with: &Dissection) -> (Rows, Chance) {
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    let (mut cut, mut silent) = (BTreeSet::new(), BTreeSet::new());
    let current = FrameNumber::default();
    let writer: Arc<Mutex<EntriesWriter>> = Arc::default();
    let want = Want {
        bit: 0,
        filter: compile(&with.env, "", &Options::default()).unwrap(),
        record: false,
        bodies: false,
    };
    let mut shard = Shard::new(ShardConfig {
        origin: Arc::new(Origin::default()),
        numbers: Some(Numbers::WithFrames(current.clone())),
        ..ShardConfig::new(
            Arc::new(Plan::new(vec![want], 1)),
            Arc::clone(&with.names),
            Keep::Ring(Ring::create(None, 8 << 20).unwrap()),
            Box::new(Into(Arc::clone(&writer))),
        )
    });
    let mut source = group.into_source().unwrap();
    for nth in 1_u32.. {
        let (frame, data) = match source.next().unwrap() {
            Event::Frame(frame) => (
                Frame {
                    data: &[],
                    pos: NO_POS,
                    comment: None,
                    ..frame
                },
                frame.data.to_vec(),
            ),
            Event::Tick(_) => continue,
            Event::End => break,
        };
        let (ts, iface, link) = (frame.ts, frame.iface, frame.link);
        let (direction, wire_len) = (frame.direction, frame.wire_len);
        let stream = source.stream().expect("frames with their streams");
        let since = source.missing().map(|missing| missing.before);
        current.tell(stream.number, since);
        let number = stream.number as i64;
        cut.extend(since.map(|_| number));
        let before = last.insert(number, ts);
        silent.extend(before.filter(|before| ts - before > SILENT).map(|_| number));
        shard.frame(&Frame {
            ts,
            iface,
            link,
            direction,
            wire_len,
            data: &data,
            pos: NO_POS,
            comment: None,
        });
        if nth.is_multiple_of(BATCH) {
            shard.end_of_batch();
        }
    }
    shard.finish();
    drop(shard);
    let rows = std::mem::take(&mut *writer.lock().unwrap()).finish();
    let name = ObjectName::parse(&format!("entries/{NOWHERE}.parquet"));
    let file = rows.file(&Footer {
        name: &name.expect("a name of the layout").1,
        kfl: "",
        origin: &Origin::default(),
        beside: &[],
        payload: gillnet_bucket::layout::Payload::Full,
    });
    let rows = described(&file.unwrap()).into_iter();
    let rows: Rows = rows.map(|(_, id, row)| (id, row)).collect();
    // a log that was lost as a whole is said nowhere, but for what it leaves
    let alone = ["response without request", "no query for this response"];
    let of_lost = rows
        .iter()
        .filter(|(_, row)| alone.iter().any(|said| row.contains(said)));
    cut.extend(of_lost.map(|((stream, _), _)| *stream));
    let late = cut.intersection(&silent).copied().collect();
    let alone = rows
        .iter()
        .filter(|(_, row)| row.contains("error.type=\"pair-not-found\""));
    let given_up = alone.map(|((stream, _), _)| *stream).collect();
    (rows, Chance { given_up, late })
}

const NOWHERE: &str =
    "cluster=c/recording=r/date=2026-01-01/hour=00/n_0000000000000001_0000000000000001";

struct Into(Arc<Mutex<EntriesWriter>>);

impl Consumer for Into {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        self.0.lock().unwrap().add(entry);
        true
    }
}
