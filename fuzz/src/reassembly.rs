//! Segments of a few connections. Each byte's value is the low byte of its sequence number, so that what comes out can
//! be told to stand where it belongs.

use crate::Bytes;
use gillnet_capture::{NO_POS, PacketDirection, Ring};
use gillnet_streams::decode::{L4, Packet, Place, TcpHeader};
use gillnet_streams::flow::{Flow, FlowLimits, FlowSink, Flows};
use gillnet_streams::{Addr, Chunk, Close, Dir, StreamSink};
use std::net::Ipv4Addr;

/// Limits low enough to be met.
fn limits() -> FlowLimits {
    FlowLimits {
        flows: 2,
        held_flow: 16 << 10,
        held_total: 24 << 10,
        ..FlowLimits::default()
    }
}

/// What has come of a flow.
#[derive(Clone, Copy, Default)]
struct Sides {
    /// Offset of what comes next.
    next: [u64; 2],
    /// Value of the byte at offset 0, once one came.
    base: [Option<u8>; 2],
    ended: [bool; 2],
    /// Bytes may have passed that nobody wanted.
    passed: [bool; 2],
}

#[derive(Default)]
struct Check {
    flows: Vec<Sides>,
    streams: u64,
    closed: u64,
}

impl Check {
    fn side(&mut self, flow: u32) -> &mut Sides {
        let flow = flow as usize;
        if self.flows.len() <= flow {
            self.flows.resize(flow + 1, Sides::default());
        }
        &mut self.flows[flow]
    }
}

impl StreamSink for Check {
    fn chunk(&mut self, flow: u32, chunk: &Chunk<'_>) {
        let (sides, d) = (self.side(flow), chunk.dir as usize);
        assert!(!chunk.data.is_empty(), "bytes");
        assert!(!sides.ended[d], "before the end");
        if std::mem::take(&mut sides.passed[d]) {
            assert!(chunk.offset >= sides.next[d], "in order");
            sides.next[d] = chunk.offset;
        }
        assert_eq!(chunk.offset, sides.next[d], "in order");
        let value = |i: usize| (chunk.offset as u8).wrapping_add(i as u8);
        let base = chunk.data[0].wrapping_sub(value(0));
        assert_eq!(*sides.base[d].get_or_insert(base), base, "at its place");
        for (i, byte) in chunk.data.iter().enumerate() {
            assert_eq!(*byte, base.wrapping_add(value(i)), "its own bytes");
        }
        sides.next[d] += chunk.data.len() as u64;
    }

    fn gap(&mut self, flow: u32, dir: Dir, missing: u64, _: i64) {
        let (sides, d) = (self.side(flow), dir as usize);
        assert!(missing > 0 && !sides.ended[d]);
        sides.next[d] += missing;
    }

    fn half_close(&mut self, flow: u32, dir: Dir, _: i64) {
        let ended = &mut self.side(flow).ended[dir as usize];
        assert!(!*ended, "once");
        *ended = true;
    }
}

impl FlowSink for Check {
    fn number(&mut self) -> u64 {
        self.streams += 1;
        self.streams
    }

    fn closed(&mut self, flow: u32, _: &Flow, _: Close) {
        self.closed += 1;
        *self.side(flow) = Sides::default();
    }
}

/// A segment as it stands in the input: connection and direction (3 bits) with flags, time since the one before, where
/// it stands from its connection's start, what it acknowledges, length.
pub struct Record {
    /// Connection, from 0.
    pub connection: u8,
    /// From the one who listens.
    pub back: bool,
    /// The flags.
    pub flags: u8,
    /// Time since the segment before, in ms.
    pub wait: u16,
    /// Sequence number from the connection's start.
    pub seq: u16,
    /// Acknowledgement number from the connection's start.
    pub ack: u16,
    /// Length on the wire.
    pub len: u16,
}

impl Record {
    fn read(bytes: &mut Bytes<'_>) -> Option<Record> {
        let who = bytes.byte()?;
        Some(Record {
            connection: who & 3,
            back: who & 4 != 0,
            flags: bytes.byte()?,
            wait: bytes.number(),
            seq: bytes.number(),
            ack: bytes.number(),
            len: bytes.number(),
        })
    }

    /// Appends it to a seed.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.connection & 3 | u8::from(self.back) << 2, self.flags]);
        for number in [self.wait, self.seq, self.ack, self.len] {
            out.extend(number.to_le_bytes());
        }
    }
}

/// Plays the segments; the first byte sets where sequence numbers start (so that they wrap) and who wants them.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(how) = bytes.byte() else {
        return;
    };
    let start = if how & 1 == 0 { 0 } else { u32::MAX - 500 };
    let mut flows = Flows::new(limits());
    // nothing is kept in it: segments are held as copies
    let store = Ring::create(None, 1 << 20)
        .expect("there is room for a ring")
        .store();
    let (mut check, mut ts) = (Check::default(), 0);
    while let Some(record) = Record::read(&mut bytes) {
        ts += i64::from(record.wait) * 1_000_000;
        let seq = start.wrapping_add(u32::from(record.seq));
        let first = seq.wrapping_add(u32::from(record.flags & TcpHeader::SYN != 0));
        let wire = record.len % 4096;
        let cut = if how & 2 == 0 { 0 } else { wire % 5 };
        let payload: Vec<u8> = (0..wire - cut)
            .map(|i| first.wrapping_add(u32::from(i)) as u8)
            .collect();
        let ends = [(1, 1000 + u16::from(record.connection)), (2, 80)];
        let [from, to] = if record.back {
            [ends[1], ends[0]]
        } else {
            ends
        };
        let address = |n: u8| Addr::v4(Ipv4Addr::new(10, 0, 0, n).octets());
        let packet = Packet {
            src: address(from.0),
            dst: address(to.0),
            sport: from.1,
            dport: to.1,
            l4: L4::Tcp(TcpHeader {
                seq,
                ack: start.wrapping_add(u32::from(record.ack)),
                flags: record.flags,
                window: 0,
            }),
            payload: &payload,
            payload_off: None,
            wire_payload: u32::from(wire),
            vlan: 0,
            tunnels: 0,
            place: Place::new(0, PacketDirection::Unknown),
            parts: &[],
        };
        flows.tick(ts, &store, &mut check);
        let touch = flows.touch(&packet, ts, &store, &mut check);
        if touch.duplicate {
            continue;
        }
        let wanted = how & 4 == 0 || record.wait % 7 != 0;
        flows.get_mut(touch.flow).wanted = wanted;
        if wanted {
            flows.segment(touch, &packet, NO_POS, ts, &store, &mut check);
        } else {
            check.side(touch.flow).passed = [true; 2];
        }
        assert!(flows.held_bytes() <= limits().held_total);
        assert!(flows.live() <= limits().flows);
    }
    flows.drain(&store, &mut check);
    assert_eq!((flows.held_bytes(), flows.live()), (0, 0));
    assert_eq!(check.closed, check.streams, "each stream ends once");
}
