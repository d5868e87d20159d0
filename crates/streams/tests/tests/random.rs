//! Random streams through random networks: what comes out is what went in, or a gap that says so.

use gillnet_streams::flow::FlowLimits;
use gillnet_streams::{Chunk, Close, Dir, StreamSink, flow};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::rig::{Rig, frame, tcp_frame};

/// A packet of the network: when it is captured, and what it is.
struct Sent {
    at: i64,
    dir: Dir,
    seq: u32,
    ack: u32,
    flags: u8,
    data: Vec<u8>,
}

/// One direction as its sender has it.
struct Side {
    isn: u32,
    bytes: Vec<u8>,
    /// Bytes of it that capture misses and the peer got.
    lost: Vec<bool>,
}

/// What a network does to packets.
#[derive(Clone, Copy, Debug)]
struct Network {
    /// How far packets of one direction may be out of order, in microseconds.
    disorder: i64,
    /// Of a hundred segments: doubled; sent again with another cut; missed by capture.
    doubled: u32,
    resent: u32,
    missed: u32,
    /// How much later (or, negative, earlier) than the data acknowledgements are captured, in microseconds.
    ack_delay: i64,
}

impl Side {
    fn random(random: &mut SmallRng) -> Self {
        let len = random.random_range(0..20_000);
        Side {
            // often close to where numbers wrap
            isn: if random.random() {
                random.random()
            } else {
                0u32.wrapping_sub(random.random_range(1..10_000))
            },
            bytes: (0..len).map(|_| random.random()).collect(),
            lost: vec![true; len],
        }
    }
}

/// Cuts both sides into packets as the network delivers them to capture, each direction a burst at a time.
fn packets(sides: &mut [Side; 2], network: Network, random: &mut SmallRng) -> Vec<Sent> {
    let isn = [sides[0].isn, sides[1].isn];
    let syn = |at, dir: Dir, ack, flags| Sent {
        at,
        dir,
        seq: isn[dir as usize],
        ack,
        flags,
        data: Vec::new(),
    };
    let mut out = vec![
        syn(0, Dir::Up, 0, 2),
        syn(1000, Dir::Down, isn[0].wrapping_add(1), 18),
    ];
    let mut done = [0usize; 2];
    let mut now = 2000;
    while done[0] < sides[0].bytes.len() || done[1] < sides[1].bytes.len() {
        let dir = if random.random() { Dir::Up } else { Dir::Down };
        let (d, o) = (dir as usize, dir.flip() as usize);
        let ack = isn[o].wrapping_add(1 + done[o] as u32);
        let burst = random
            .random_range(1..4000)
            .min(sides[d].bytes.len() - done[d]);
        let (begin, end) = (done[d], done[d] + burst);
        while done[d] < end {
            let size = random.random_range(1..=(end - done[d]).min(700));
            let range = done[d]..done[d] + size;
            done[d] += size;
            let mut copies = vec![range.clone()];
            if random.random_range(0..100) < network.doubled {
                copies.push(range.clone());
            }
            if random.random_range(0..100) < network.resent {
                let from =
                    random.random_range(begin.max(range.start.saturating_sub(900))..=range.start);
                let to = random.random_range(range.start..=range.end);
                copies.push(from..to);
            }
            for range in copies {
                if range.is_empty() || random.random_range(0..100) < network.missed {
                    continue;
                }
                sides[d].lost[range.clone()].fill(false);
                now += 10;
                out.push(Sent {
                    at: now + random.random_range(0..=network.disorder),
                    dir,
                    seq: isn[d].wrapping_add(1 + range.start as u32),
                    ack,
                    flags: 16,
                    data: sides[d].bytes[range].to_vec(),
                });
            }
        }
        now += network.disorder;
        out.push(Sent {
            at: now + network.ack_delay,
            dir: dir.flip(),
            seq: isn[o].wrapping_add(1 + done[o] as u32),
            ack: isn[d].wrapping_add(1 + done[d] as u32),
            flags: 16,
            data: Vec::new(),
        });
        // longer than an acknowledged hole waits, so that bursts do not mix
        now += 30_000;
    }
    for dir in [Dir::Up, Dir::Down] {
        let (d, o) = (dir as usize, dir.flip() as usize);
        now += 50_000;
        out.push(Sent {
            at: now,
            dir,
            seq: isn[d].wrapping_add(1 + sides[d].bytes.len() as u32),
            ack: isn[o].wrapping_add(1 + sides[o].bytes.len() as u32),
            flags: 17,
            data: Vec::new(),
        });
    }
    out.sort_by_key(|sent| sent.at);
    out
}

/// What came out: of each direction the bytes, with what is missing marked.
#[derive(Default)]
struct Model {
    bytes: [Vec<u8>; 2],
    lost: [Vec<bool>; 2],
    ended: [bool; 2],
    closed: Option<Close>,
}

impl StreamSink for Model {
    fn chunk(&mut self, _flow: u32, chunk: &Chunk<'_>) {
        let d = chunk.dir as usize;
        assert_eq!(chunk.offset, self.bytes[d].len() as u64);
        assert!(!self.ended[d] && self.closed.is_none());
        self.bytes[d].extend(chunk.data);
        self.lost[d].resize(self.bytes[d].len(), false);
    }

    fn gap(&mut self, _flow: u32, dir: Dir, missing: u64, _ts: i64) {
        let d = dir as usize;
        let len = self.bytes[d].len() + missing as usize;
        assert!(!self.ended[d] && self.closed.is_none());
        self.bytes[d].resize(len, 0);
        self.lost[d].resize(len, true);
    }

    fn half_close(&mut self, _flow: u32, dir: Dir, _ts: i64) {
        assert!(!std::mem::replace(&mut self.ended[dir as usize], true));
    }
}

impl flow::FlowSink for Model {
    fn number(&mut self) -> u64 {
        1
    }

    fn closed(&mut self, _flow: u32, _entry: &flow::Flow, why: Close) {
        assert!(self.closed.replace(why).is_none());
    }
}

/// Runs packets through decode, table and reassembly, with all of them in the store or none.
fn run(packets: &[Sent], store: bool) -> (Model, Rig) {
    let mut rig = Rig::new(FlowLimits::default());
    let mut model = Model::default();
    rig.store = store;
    for sent in packets {
        let data = tcp_frame(sent.dir, sent.seq, sent.ack, sent.flags, &sent.data);
        rig.frame_to(&frame(sent.at * 1000, &data), &mut model);
    }
    rig.drain_to(&mut model);
    (model, rig)
}

#[track_caller]
fn check(seeds: std::ops::Range<u64>, network: Network, gaps: bool) {
    for seed in seeds {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut sides = [Side::random(&mut random), Side::random(&mut random)];
        let packets = packets(&mut sides, network, &mut random);
        let (model, rig) = run(&packets, seed % 4 != 0);
        for (d, side) in sides.iter().enumerate() {
            let mut expected = side.bytes.clone();
            for (byte, lost) in expected.iter_mut().zip(&side.lost) {
                *byte = if *lost { 0 } else { *byte };
            }
            assert!(
                model.lost[d] == side.lost,
                "seed {seed}: gaps of {d} in {network:?}"
            );
            assert!(
                model.bytes[d] == expected,
                "seed {seed}: bytes of {d} in {network:?}"
            );
        }
        assert_eq!(model.ended, [true; 2], "seed {seed}");
        assert_eq!(model.closed, Some(Close::Fin), "seed {seed}");
        assert_eq!(rig.flows.held_bytes(), 0, "seed {seed}");
        let lost: usize = sides
            .iter()
            .map(|s| s.lost.iter().filter(|l| **l).count())
            .sum();
        assert_eq!(rig.flows.counters().gap_bytes, lost as u64, "seed {seed}");
        assert!(gaps || lost == 0, "seed {seed}");
    }
}

const CALM: Network = Network {
    disorder: 0,
    doubled: 0,
    resent: 0,
    missed: 0,
    ack_delay: 100,
};

#[test]
fn whole_streams() {
    check(0..40, CALM, false);
    let rough = Network {
        disorder: 300,
        doubled: 10,
        resent: 10,
        ..CALM
    };
    check(0..80, rough, false);
    // acknowledgements before the data
    let early = Network {
        ack_delay: -600,
        ..rough
    };
    check(0..80, early, false);
}

#[test]
fn streams_with_losses() {
    let lossy = Network { missed: 10, ..CALM };
    check(0..80, lossy, true);
    let rough = Network {
        disorder: 300,
        doubled: 10,
        resent: 10,
        missed: 20,
        ..CALM
    };
    check(0..120, rough, true);
}
