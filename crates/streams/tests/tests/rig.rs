//! The boxes in a row, as a shard drives them, and a log of what comes out.

use gillnet_capture::{Frame, FrameHeader, LinkType, NO_POS, PacketDirection, Ring};
use gillnet_streams::decode::{DecodeLimits, Decoder};
use gillnet_streams::flow::{Flow, FlowLimits, FlowSink, Flows, Touch};
use gillnet_streams::{Chunk, Close, Dir, StreamSink};

use crate::build::{Seg, ethernet, ipv4};

/// What came out, a line an event.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) lines: Vec<String>,
    pub(crate) numbers: u64,
    pub(crate) show_flow: bool,
}

impl Log {
    fn add(&mut self, flow: u32, line: &str) {
        if self.show_flow {
            self.lines.push(format!("{flow} {line}"));
        } else {
            self.lines.push(line.to_owned());
        }
    }
}

fn arrow(dir: Dir) -> char {
    match dir {
        Dir::Up => '>',
        Dir::Down => '<',
    }
}

impl StreamSink for Log {
    fn chunk(&mut self, flow: u32, chunk: &Chunk<'_>) {
        assert!(!chunk.data.is_empty());
        let text = String::from_utf8_lossy(chunk.data);
        self.add(
            flow,
            &format!("{}{} {text}", arrow(chunk.dir), chunk.offset),
        );
    }

    fn gap(&mut self, flow: u32, dir: Dir, missing: u64, _ts: i64) {
        assert!(missing > 0);
        self.add(flow, &format!("{} gap {missing}", arrow(dir)));
    }

    fn half_close(&mut self, flow: u32, dir: Dir, _ts: i64) {
        self.add(flow, &format!("{} end", arrow(dir)));
    }
}

impl FlowSink for Log {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn closed(&mut self, flow: u32, _entry: &Flow, why: Close) {
        self.add(flow, &format!("closed {why:?}"));
    }
}

/// Decoder, flow table and a ring.
pub(crate) struct Rig {
    pub(crate) decoder: Decoder,
    pub(crate) flows: Flows,
    pub(crate) ring: Ring,
    pub(crate) log: Log,
    /// Whether frames are appended to the ring; else payloads have no position.
    pub(crate) store: bool,
    /// Whether flows become wanted when their next packet is looked at.
    pub(crate) want: bool,
}

pub(crate) const MS: i64 = 1_000_000;

impl Rig {
    pub(crate) fn new(limits: FlowLimits) -> Self {
        Rig {
            decoder: Decoder::new(DecodeLimits::default()),
            flows: Flows::new(limits),
            ring: Ring::create(None, 1 << 20).unwrap(),
            log: Log::default(),
            store: true,
            want: false,
        }
    }

    /// Runs a frame through; `None` where it is no packet of a flow.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) -> Option<Touch> {
        let mut log = std::mem::take(&mut self.log);
        let touch = self.frame_to(frame, &mut log);
        self.log = log;
        touch
    }

    /// As [`Rig::frame`], to another sink than the log.
    pub(crate) fn frame_to(&mut self, frame: &Frame<'_>, sink: &mut dyn FlowSink) -> Option<Touch> {
        let store = self.ring.store();
        self.flows.tick(frame.ts, &store, sink);
        self.decoder.tick(frame.ts);
        let packet = self.decoder.decode(frame).ok()?;
        let touch = self.flows.touch(&packet, frame.ts, &store, sink);
        if touch.duplicate {
            return Some(touch);
        }
        let entry = self.flows.get_mut(touch.flow);
        entry.wanted |= self.want;
        if !entry.wanted {
            return Some(touch);
        }
        let mut pos = NO_POS;
        if self.store {
            let header = FrameHeader::of(frame, entry.last_pos);
            let start = self.ring.append(&header, frame.data);
            entry.last_pos = start;
            if let Some(off) = packet.payload_off {
                pos = start + u64::from(off);
            }
        }
        self.flows
            .segment(touch, &packet, pos, frame.ts, &store, sink);
        Some(touch)
    }

    pub(crate) fn tick(&mut self, now: i64) {
        let store = self.ring.store();
        self.flows.tick(now, &store, &mut self.log);
    }

    pub(crate) fn drain(&mut self) {
        let mut log = std::mem::take(&mut self.log);
        self.drain_to(&mut log);
        self.log = log;
    }

    pub(crate) fn drain_to(&mut self, sink: &mut dyn FlowSink) {
        let store = self.ring.store();
        self.flows.drain(&store, sink);
    }
}

/// An Ethernet frame.
pub(crate) fn frame(ts: i64, data: &[u8]) -> Frame<'_> {
    Frame {
        ts,
        iface: 0,
        link: LinkType::Ethernet,
        direction: PacketDirection::Unknown,
        wire_len: data.len() as u32,
        data,
        pos: NO_POS,
        comment: None,
    }
}

/// The ends of the flow that scripts play on.
pub(crate) const OPENER: ([u8; 4], u16) = ([10, 0, 0, 9], 1000);
pub(crate) const OTHER: ([u8; 4], u16) = ([10, 0, 0, 2], 80);

pub(crate) fn tcp_frame(dir: Dir, seq: u32, ack: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let (from, to) = match dir {
        Dir::Up => (OPENER, OTHER),
        Dir::Down => (OTHER, OPENER),
    };
    let seg = Seg {
        sport: from.1,
        dport: to.1,
        seq,
        ack,
        flags,
        data: data.to_vec(),
    };
    ethernet(0x800, &ipv4(from.0, to.0, 6, &seg.bytes()))
}

/// Plays a script of TCP packets of one flow and compares the log. A line is one of
///
/// - `MS DIR FLAGS SEQ ACK [DATA] [+CUT] [@PLACE]`: at MS milliseconds a packet in direction `>` or `<` with flags of
///   `SAFR`, DATA, CUT more bytes that the snap length cut, seen at PLACE: interface number and `i`, `o` or `u`;
/// - `tick MS`, `drain`, `lose` (everything in the ring so far is overwritten), `unwant`, `want`,
///   `want-next` (flows are wanted from their next packet on, after it was found which flow that is).
pub(crate) fn play(rig: &mut Rig, script: &str) {
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "drain" => rig.drain(),
            "tick" => rig.tick(words[1].parse::<i64>().unwrap() * MS),
            "lose" => lose(rig),
            "want" => rig.flows.get_mut(0).wanted = true,
            "want-next" => rig.want = true,
            "unwant" => rig.flows.get_mut(0).wanted = false,
            _ => packet(rig, &words),
        }
    }
}

fn packet(rig: &mut Rig, words: &[&str]) {
    let ts = words[0].parse::<i64>().unwrap() * MS;
    let dir = if words[1] == ">" { Dir::Up } else { Dir::Down };
    let flag = |c| match c {
        'F' => 1,
        'S' => 2,
        'R' => 4,
        'A' => 16,
        _ => panic!("{words:?}"),
    };
    let flags = words[2].chars().map(flag).sum();
    let (seq, ack) = (words[3].parse().unwrap(), words[4].parse().unwrap());
    let (mut data, mut cut, mut place) = ("", 0, (0, PacketDirection::Unknown));
    for word in &words[5..] {
        if let Some(n) = word.strip_prefix('+') {
            cut = n.parse::<usize>().unwrap();
        } else if let Some(at) = word.strip_prefix('@') {
            let (number, way) = at.split_at(at.len() - 1);
            let way = match way {
                "i" => PacketDirection::In,
                "o" => PacketDirection::Out,
                _ => PacketDirection::Unknown,
            };
            place = (number.parse().unwrap(), way);
        } else {
            data = word;
        }
    }
    let whole = [data.as_bytes(), &vec![b'?'; cut]].concat();
    let bytes = tcp_frame(dir, seq, ack, flags, &whole);
    let mut frame = frame(ts, &bytes[..bytes.len() - cut]);
    frame.wire_len += cut as u32;
    (frame.iface, frame.direction) = place;
    rig.frame(&frame);
}

fn lose(rig: &mut Rig) {
    let filler = vec![0; 64 << 10];
    for _ in 0..rig.ring.size() / filler.len() as u64 + 2 {
        let header = FrameHeader {
            ts: 0,
            iface: 0,
            link: LinkType::Ethernet,
            direction: PacketDirection::Unknown,
            wire_len: 0,
            prev: NO_POS,
        };
        rig.ring.append(&header, &filler);
    }
}

/// Plays a script with default limits and compares the log, line by line.
#[track_caller]
pub(crate) fn check(script: &str, expected: &str) -> Rig {
    check_with(FlowLimits::default(), script, expected)
}

/// As [`check`], with limits.
#[track_caller]
pub(crate) fn check_with(limits: FlowLimits, script: &str, expected: &str) -> Rig {
    let mut rig = Rig::new(limits);
    play(&mut rig, script);
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(rig.log.lines, expected, "{script}");
    rig
}
