//! The boxes: decode, reassembly, and the whole shard.

use gillnet_capture::{Event, Frame, FrameHeader, Input, NO_POS, Ring, Source, open_files};
use gillnet_entry::drops::Drops;
use gillnet_entry::{Entry, json};
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::{Names, NamesConfig};
use gillnet_pipeline::{Board, Consumer, Keep, Matched, Plan, Shard, ShardConfig, Want};
use gillnet_streams::decode::{DecodeLimits, Decoder, L4};
use gillnet_streams::flow::{Flow, FlowLimits, FlowSink, Flows};
use gillnet_streams::{Chunk, Close, Dir, StreamSink};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Frames between two ends of a batch.
const BATCH: usize = 64;

/// A capture.
#[derive(Clone, Debug)]
pub struct Pcap {
    path: PathBuf,
    ring: Option<u64>,
}

/// A capture file of any kind that Gillnet reads; relative paths start at the crate whose test runs.
pub fn pcap(path: impl AsRef<Path>) -> Pcap {
    Pcap {
        path: path.as_ref().to_owned(),
        ring: None,
    }
}

/// Lines that tell what crossed a box, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Vec<String>);

impl Lines {
    /// Compares with the lines of a text, whose indentation does not count.
    #[track_caller]
    pub fn check(&self, expected: &str) {
        let expected: Vec<_> = expected.trim().lines().map(str::trim).collect();
        assert!(
            self.0 == expected,
            "got:\n{}\nexpected:\n{}",
            self.0.join("\n"),
            expected.join("\n")
        );
    }
}

impl Deref for Lines {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl Pcap {
    /// Keeps frames in a ring of so many bytes, as of live sources, though the file could be mapped.
    pub fn in_ring(self, bytes: u64) -> Pcap {
        Pcap {
            ring: Some(bytes),
            ..self
        }
    }

    /// What decoding makes of each frame: `SRC > DST tcp|udp … N bytes`, or why it is passed over.
    pub fn frames(&self) -> Lines {
        let mut decoder = Decoder::new(DecodeLimits::default());
        let mut lines = Vec::new();
        each_frame(&mut *self.open(), |frame| {
            lines.push(match decoder.decode(frame) {
                Err(skip) => skip.to_string(),
                Ok(p) => {
                    let l4 = match p.l4 {
                        L4::Udp => "udp".to_owned(),
                        L4::Tcp(head) => {
                            format!("tcp {:#04x} {} {}", head.flags, head.seq, head.ack)
                        }
                    };
                    let (src, dst) = ((p.src.ip(), p.sport), (p.dst.ip(), p.dport));
                    format!("{} > {} {l4} {} bytes", end(src), end(dst), p.wire_payload)
                }
            });
        });
        Lines(lines)
    }

    /// What reassembly hands on: `STREAM >|< OFFSET+LENGTH`, `STREAM >|< gap LENGTH`, `STREAM >|< end`, and
    /// `STREAM closed WHY SRC DST`.
    pub fn streams(&self) -> Lines {
        let mut decoder = Decoder::new(DecodeLimits::default());
        let mut flows = Flows::new(FlowLimits::default());
        let mut ring = ring(self.ring.unwrap_or(64 << 20));
        let store = ring.store();
        let mut shown = Shown::default();
        each_frame(&mut *self.open(), |frame| {
            let Ok(packet) = decoder.decode(frame) else {
                return;
            };
            flows.tick(frame.ts, &store, &mut shown);
            let touch = flows.touch(&packet, frame.ts, &store, &mut shown);
            if touch.duplicate {
                return;
            }
            flows.get_mut(touch.flow).wanted = true;
            let at = ring.append(&FrameHeader::of(frame, NO_POS), frame.data);
            let pos = packet
                .payload_off
                .map_or(NO_POS, |offset| at + u64::from(offset));
            shown.flow(touch.flow, flows.get(touch.flow));
            flows.segment(touch, &packet, pos, frame.ts, &store, &mut shown);
        });
        flows.drain(&store, &mut shown);
        Lines(shown.lines)
    }

    /// Each entry's JSON.
    pub fn entries(&self) -> Lines {
        self.filtered("")
    }

    /// The JSON of each entry that a filter matches.
    pub fn filtered(&self, kfl: &str) -> Lines {
        let outcome = self.outcome(kfl);
        Lines(outcome.exchanges.into_iter().map(|e| e.json).collect())
    }

    /// The entries that a filter matches, and what was dropped.
    pub fn outcome(&self, kfl: &str) -> Outcome {
        let mut source = self.open();
        let keep = match (self.ring, source.store()) {
            (None, Some(store)) => Keep::Mapped(store),
            (bytes, _) => Keep::Ring(ring(bytes.unwrap_or(64 << 20))),
        };
        let mut rig = Rig::new(kfl, keep);
        each_frame(&mut *source, |frame| rig.frame(frame));
        rig.finish()
    }

    /// The source itself.
    pub fn open(&self) -> Box<dyn Source> {
        open_files(vec![Input::File(self.path.clone())]).expect("one input is given")
    }
}

/// One entry, and what a harness asks of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// All of it.
    pub json: String,
    /// Time of its first packet, ns.
    pub ts: i64,
    /// Time of its last packet where it has a request and a response, ns.
    pub end: Option<i64>,
    /// It says that something of it is missing or wrong.
    pub marked: bool,
}

/// What a capture comes to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Entries in the order in which they came.
    pub exchanges: Vec<Exchange>,
    /// What was dropped.
    pub drops: Drops,
}

/// A shard that takes frames one by one.
pub(crate) struct Rig {
    shard: Shard,
    found: Arc<Mutex<Vec<Exchange>>>,
    frames: usize,
}

impl Rig {
    pub(crate) fn new(kfl: &str, keep: Keep) -> Rig {
        let names = NamesConfig {
            dns: true,
            ..NamesConfig::default()
        };
        let found = Arc::default();
        let consumer = Box::new(Found(Arc::clone(&found)));
        Rig {
            found,
            ..Rig::with(kfl, keep, names, consumer)
        }
    }

    /// One whose entries another takes, with these names.
    pub(crate) fn with(
        kfl: &str,
        keep: Keep,
        names: NamesConfig,
        consumer: Box<dyn Consumer>,
    ) -> Rig {
        let filter = match compile(
            &Env::new(&gillnet_protocols::env()),
            kfl,
            &Options::default(),
        ) {
            Ok(filter) => filter,
            Err(errors) => panic!("{}", errors.render(kfl)),
        };
        let want = Want {
            bit: 0,
            filter,
            record: false,
            bodies: true,
        };
        let shard = Shard::new(ShardConfig::new(
            Arc::new(Plan::new(vec![want], 1)),
            Arc::new(Names::new(names).expect("the names are right")),
            keep,
            consumer,
        ));
        Rig {
            shard,
            found: Arc::default(),
            frames: 0,
        }
    }

    pub(crate) fn frame(&mut self, frame: &Frame<'_>) {
        self.shard.frame(frame);
        self.frames += 1;
        if self.frames.is_multiple_of(BATCH) {
            self.shard.end_of_batch();
        }
    }

    pub(crate) fn finish(mut self) -> Outcome {
        let board = Board::default();
        self.shard.finish();
        self.shard
            .publish(gillnet_capture::SourceStats::default(), &board);
        let exchanges = std::mem::take(&mut *self.found.lock().expect("no consumer panicked"));
        Outcome {
            exchanges,
            drops: board.read().drops,
        }
    }
}

struct Found(Arc<Mutex<Vec<Exchange>>>);

impl Consumer for Found {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let mut text = Vec::new();
        json::write_entry(entry, &mut text);
        let exchange = Exchange {
            json: String::from_utf8(text).expect("JSON is UTF-8"),
            ts: entry.common.ts,
            end: entry.common.end_ts,
            marked: entry.common.fault.is_some() || entry.common.missing > 0,
        };
        self.0.lock().expect("no consumer panicked").push(exchange);
        true
    }
}

/// Shows what reassembly hands on.
#[derive(Default)]
struct Shown {
    lines: Vec<String>,
    numbers: u64,
    /// Number of the stream by flow.
    streams: Vec<u64>,
}

impl Shown {
    fn flow(&mut self, index: u32, flow: &Flow) {
        let index = index as usize;
        if self.streams.len() <= index {
            self.streams.resize(index + 1, 0);
        }
        self.streams[index] = flow.stream;
    }

    fn line(&mut self, flow: u32, dir: Dir, what: &str) {
        let arrow = if dir == Dir::Up { '>' } else { '<' };
        let stream = self.streams[flow as usize];
        self.lines.push(format!("{stream} {arrow} {what}"));
    }
}

impl StreamSink for Shown {
    fn chunk(&mut self, flow: u32, chunk: &Chunk<'_>) {
        let what = format!("{}+{}", chunk.offset, chunk.data.len());
        self.line(flow, chunk.dir, &what);
    }

    fn gap(&mut self, flow: u32, dir: Dir, missing: u64, _: i64) {
        self.line(flow, dir, &format!("gap {missing}"));
    }

    fn half_close(&mut self, flow: u32, dir: Dir, _: i64) {
        self.line(flow, dir, "end");
    }
}

impl FlowSink for Shown {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers - 1
    }

    fn closed(&mut self, _: u32, entry: &Flow, why: Close) {
        let (a, b) = entry.ends();
        let stream = entry.stream;
        self.lines
            .push(format!("{stream} closed {why:?} {} {}", end(a), end(b)));
    }
}

/// An address with a port.
fn end((ip, port): (std::net::IpAddr, u16)) -> std::net::SocketAddr {
    (ip, port).into()
}

/// Calls `each` for every frame. What cannot be read is passed over, as everywhere.
pub(crate) fn each_frame(source: &mut dyn Source, mut each: impl FnMut(&Frame<'_>)) {
    loop {
        match source.next() {
            Ok(Event::Frame(frame)) => each(&frame),
            Ok(Event::Tick(_)) => {}
            Ok(Event::End) => return,
            Err(error) => assert!(!error.is_fatal(), "{error}"),
        }
    }
}

/// A ring in memory.
pub(crate) fn ring(bytes: u64) -> Ring {
    Ring::create(None, bytes).expect("there is room for a ring")
}
