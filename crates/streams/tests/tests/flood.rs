//! A flood of SYNs beside a stream.

use gillnet_streams::flow::FlowLimits;

use crate::build::{Seg, ethernet, ipv4};
use crate::rig::{Rig, frame, play};

/// Two million connections that are never answered leave the table within its limit, and a stream that goes on
/// meanwhile is whole.
#[test]
fn two_million_tuples() {
    let flows = 1 << 14;
    let mut rig = Rig::new(FlowLimits {
        flows,
        ..FlowLimits::default()
    });
    rig.log.show_flow = true;
    play(&mut rig, "0 > S 99 0\n0 < SA 499 100\n0 > A 100 500");
    let (mut sent, mut ts) = (0u32, 0);
    for i in 0..2_000_000u32 {
        ts += 1000;
        let seg = Seg {
            sport: i as u16,
            dport: 80,
            seq: i.wrapping_mul(77),
            ack: 0,
            flags: 2,
            data: Vec::new(),
        };
        let from = [172, 16, (i >> 24) as u8, (i >> 16) as u8];
        let data = ethernet(0x800, &ipv4(from, [10, 0, 0, 2], 6, &seg.bytes()));
        rig.frame(&frame(ts, &data));
        if i % 20_000 == 0 {
            let at = 100 + sent * 3;
            play(&mut rig, &format!("{} > A {at} 500 abc", ts / 1_000_000));
            sent += 1;
        }
        if i % 1000 == 0 {
            assert!(rig.flows.live() <= flows);
            rig.log.lines.retain(|line| line.starts_with("0 "));
        }
    }
    let counters = *rig.flows.counters();
    assert_eq!(counters.opened, 2_000_001);
    assert_eq!(counters.evicted, counters.evicted_half_open);
    assert_eq!(counters.evicted, 2_000_001 - u64::from(flows));
    let bytes = rig.log.lines.iter().filter(|l| l.ends_with("abc")).count();
    assert_eq!(bytes, 100);
    assert_eq!(rig.flows.counters().gaps, 0);
}
