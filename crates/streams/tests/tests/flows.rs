//! The flow table.

use gillnet_capture::{Frame, PacketDirection};
use gillnet_streams::Dir;
use gillnet_streams::flow::{FlowLimits, Transport};

use crate::build::{Seg, ethernet, ipv4, udp};
use crate::rig::{MS, OPENER, OTHER, Rig, check, check_with, frame, play, tcp_frame};

const S: i64 = 1000 * MS;

fn datagram(from: u16, to: u16, text: &str) -> Vec<u8> {
    let payload = udp(from, to, text.as_bytes());
    ethernet(0x800, &ipv4([10, 0, 0, 1], [10, 0, 0, 1], 17, &payload))
}

#[test]
fn ends_and_direction() {
    let ends = |rig: &Rig| rig.flows.get(0).ends();
    let (a, b) = ((OPENER.0.into(), OPENER.1), (OTHER.0.into(), OTHER.1));
    assert_eq!(ends(&check("0 > S 99 0", "")), (a, b));
    assert_eq!(ends(&check("0 < S 99 0", "")), (b, a));
    // an answer to a SYN that was missed: the receiver opened
    assert_eq!(ends(&check("0 < SA 499 100", "")), (a, b));
    let rig = check("5 < A 499 100 abc", "<0 abc".replace('<', ">").as_str());
    assert_eq!(ends(&rig), (b, a));
    let flow = rig.flows.get(0);
    assert_eq!((flow.first_ts(), flow.last_ts()), (5 * MS, 5 * MS));
    assert_eq!(
        (flow.transport(), flow.stream, flow.slot),
        (Transport::Tcp, 1, u32::MAX)
    );
    assert_eq!(
        (flow.offset(Dir::Up), flow.starts_whole(Dir::Up)),
        (3, false)
    );
    assert!(check("0 > S 99 0", "").flows.get(0).starts_whole(Dir::Up));
}

#[test]
fn both_ways_are_one_flow() {
    let mut rig = Rig::new(FlowLimits::default());
    let frames = [
        datagram(5000, 53, "query"),
        datagram(53, 5000, "answer"),
        datagram(5001, 53, "other"),
        datagram(5000, 53, "again"),
    ];
    let touches: Vec<_> = frames
        .iter()
        .map(|data| rig.frame(&frame(0, data)).unwrap())
        .map(|touch| (touch.flow, touch.dir, touch.new))
        .collect();
    let (up, down) = (Dir::Up, Dir::Down);
    assert_eq!(
        touches,
        [
            (0, up, true),
            (0, down, false),
            (1, up, true),
            (0, up, false)
        ]
    );
    assert_eq!(
        rig.log.lines,
        [">0 query", "<0 answer", ">0 other", ">0 again"]
    );
    // TCP on the same ends is another flow
    let seg = Seg {
        sport: 5000,
        dport: 53,
        seq: 0,
        ack: 0,
        flags: 2,
        data: Vec::new(),
    };
    let tcp = ethernet(0x800, &ipv4([10, 0, 0, 1], [10, 0, 0, 1], 6, &seg.bytes()));
    assert!(rig.frame(&frame(0, &tcp)).unwrap().new);
    assert_eq!(rig.flows.live(), 3);
}

#[test]
fn idle_flows_close() {
    let mut rig = Rig::new(FlowLimits::default());
    let query = datagram(5000, 53, "query");
    rig.frame(&frame(0, &query));
    rig.tick(59 * S);
    assert_eq!(rig.flows.live(), 1);
    // what is used stays
    rig.frame(&frame(59 * S, &query));
    rig.tick(110 * S);
    assert_eq!(rig.flows.live(), 1);
    rig.tick(130 * S);
    assert_eq!(rig.flows.live(), 0);
    assert_eq!(rig.log.lines.last().unwrap(), "closed Timeout");
    // half open ones soon; opened ones late
    check("0 > S 99 0\ntick 9000", "");
    check("0 > S 99 0\ntick 10100", "closed Timeout");
    check("0 > S 99 0\n0 < SA 499 100\ntick 10100", "closed Timeout");
    let opened = "0 > S 99 0\n0 < SA 499 100\n0 > A 100 500\n";
    check(&format!("{opened}tick 500000\ntick 1000000"), "");
    let hours: String = (1..9).map(|i| format!("tick {}\n", i * 540_000)).collect();
    check(&format!("{opened}{hours}"), "closed Timeout");
}

#[test]
fn a_clock_that_jumps_frees_nothing() {
    let opened = "0 > S 99 0\n0 < SA 499 100\n0 > A 100 500 abc\n0 > A 106 500 ghi\n";
    let hour = 3_600_000;
    for jump in [hour, -hour, 24 * hour, i64::MAX / MS] {
        let rig = check(
            &format!(
                "{opened}{} > A 109 500 jkl\n{jump} < A 500 103\n{} > A 103 500 def",
                jump,
                jump.saturating_add(1).min(i64::MAX / MS)
            ),
            ">0 abc\n>3 def\n>6 ghi\n>9 jkl",
        );
        assert_eq!(rig.flows.clock_jumps(), 1);
        assert_eq!(rig.flows.live(), 1);
    }
}

#[test]
fn a_full_table_lets_the_least_go_first() {
    let limits = FlowLimits {
        flows: 4,
        ..FlowLimits::default()
    };
    let mut rig = Rig::new(limits);
    rig.log.show_flow = true;
    // an opened one, one that lingers, a half open one, UDP
    play(&mut rig, "0 > S 99 0\n0 < SA 499 100\n0 > A 100 500 abc");
    for (port, flags) in [(7, 2), (7, 4), (8, 2)] {
        rig.frame(&frame(0, &syn(port, flags)));
    }
    rig.frame(&frame(0, &datagram(1, 2, "x")));
    rig.log.lines.clear();
    for port in 20..24 {
        rig.frame(&frame(0, &syn(port, 2)));
        assert_eq!(rig.flows.live(), 4);
    }
    let c = *rig.flows.counters();
    assert_eq!((c.evicted, c.evicted_half_open, c.opened), (3, 3, 8));
    assert_eq!(rig.log.lines[..2], ["1 closed Reset", "2 closed Evicted"]);
    // the opened one and UDP are still there
    play(&mut rig, "0 > A 103 500 def");
    assert_eq!(rig.log.lines.last().unwrap(), "0 >3 def");
    // without half open ones, the one silent for longest
    rig.drain();
    assert_eq!(rig.flows.live(), 0);
    for port in 1..=5 {
        rig.frame(&frame(i64::from(port) * MS * 10, &datagram(port, 9, "x")));
    }
    assert_eq!(rig.flows.counters().evicted, 4);
}

/// A TCP packet without data from a port.
fn syn(port: u16, flags: u8) -> Vec<u8> {
    let seg = Seg {
        sport: port,
        dport: 80,
        seq: 5,
        ack: 0,
        flags,
        data: Vec::new(),
    };
    ethernet(0x800, &ipv4([1, 1, 1, 1], [2, 2, 2, 2], 6, &seg.bytes()))
}

#[test]
fn all_flows_together_hold_a_bounded_amount() {
    let limits = FlowLimits {
        held_total: 10_000,
        ..FlowLimits::default()
    };
    let mut rig = Rig::new(limits);
    for round in 0..50u16 {
        for port in 1..=40u16 {
            let seg = Seg {
                sport: port,
                dport: 80,
                seq: if round == 0 {
                    100
                } else {
                    200 + u32::from(round) * 20
                },
                ack: 1,
                flags: 16,
                data: vec![b'x'; 10],
            };
            let data = ethernet(0x800, &ipv4([1, 1, 1, 1], [2, 2, 2, 2], 6, &seg.bytes()));
            rig.frame(&frame(i64::from(round) * 1000, &data));
            assert!(rig.flows.held_bytes() <= 10_000);
        }
    }
    assert!(rig.flows.counters().reorder_cuts > 10);
    rig.drain();
    assert_eq!(rig.flows.held_bytes(), 0);
    let bytes = rig.log.lines.iter().filter(|l| l.contains('x')).count();
    assert_eq!(bytes, 50 * 40);
}

#[test]
fn datagrams_seen_out_and_in_count_once() {
    let mut rig = Rig::new(FlowLimits::default());
    for i in 0..10 {
        for (from, to) in [(5000, 53), (53, 5000)] {
            let data = datagram(from, to, "x");
            for direction in [PacketDirection::Out, PacketDirection::In] {
                rig.frame(&Frame {
                    direction,
                    ..frame(i * MS, &data)
                });
            }
        }
    }
    assert_eq!(rig.log.lines.len(), 20);
    let c = rig.flows.counters();
    assert_eq!((c.udp_packets, c.duplicates, c.rehomed), (40, 20, 0));
}

#[test]
fn a_cut_datagram_has_a_gap() {
    let mut rig = Rig::new(FlowLimits::default());
    let data = datagram(5000, 53, "a long query");
    let mut frame = frame(0, &data[..data.len() - 6]);
    frame.wire_len = data.len() as u32;
    rig.frame(&frame);
    assert_eq!(rig.log.lines, [">0 a long", "> gap 6"]);
}

#[test]
fn unwanted_flows_give_nothing() {
    let mut rig = check_with(FlowLimits::default(), "0 > S 99 0\nunwant", "");
    let data = tcp_frame(Dir::Up, 100, 500, 16, b"abc");
    for _ in 0..3 {
        rig.frame(&frame(0, &data));
    }
    assert!(rig.log.lines.is_empty());
    assert_eq!(rig.flows.get(0).offset(Dir::Up), 3);
}
