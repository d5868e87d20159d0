//! Where frames come with their streams' numbers, entries have those.

use gillnet_capture::{Event, Frame, Ring, expand, open_files};
use gillnet_entry::Entry;
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::{Names, NamesConfig};
use gillnet_pipeline::{
    Consumer, FrameNumber, Keep, Matched, Numbers, Plan, Shard, ShardConfig, Want,
};
use std::sync::{Arc, Mutex};

const CAPTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../protocols/src/http1/fixtures/ipv6.pcap"
);
const SECOND: i64 = 1_000_000_000;

struct Ids(Arc<Mutex<Vec<(u64, u32)>>>);

impl Consumer for Ids {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let id = (entry.common.stream, entry.common.index);
        self.0.lock().unwrap().push(id);
        true
    }
}

/// Gives a shard each capture with these numbers, so much later, or its last frame alone.
fn run(turns: &[(u64, i64, bool)]) -> Vec<(u64, u32)> {
    let ids = Arc::<Mutex<Vec<_>>>::default();
    let number = FrameNumber::default();
    let env = Env::new(&gillnet_protocols::env());
    let want = Want {
        bit: 0,
        filter: compile(&env, "http", &Options::default()).unwrap(),
        record: false,
        bodies: false,
    };
    let mut shard = Shard::new(ShardConfig {
        numbers: Some(Numbers::WithFrames(number.clone())),
        ..ShardConfig::new(
            Arc::new(Plan::new(vec![want], 1)),
            Arc::new(Names::new(NamesConfig::default()).unwrap()),
            Keep::Ring(Ring::create(None, 1 << 20).unwrap()),
            Box::new(Ids(Arc::clone(&ids))),
        )
    });
    for (of, later, last_alone) in turns {
        number.tell(*of, None);
        let mut source = open_files(expand(&[CAPTURE.to_owned()]).unwrap()).unwrap();
        let mut frames = Vec::new();
        while let Event::Frame(frame) = source.next().unwrap() {
            frames.push((frame.ts, frame.wire_len, frame.link, frame.data.to_vec()));
        }
        let from = if *last_alone { frames.len() - 1 } else { 0 };
        for (ts, wire_len, link, data) in &frames[from..] {
            shard.frame(&Frame {
                ts: ts + later,
                iface: 0,
                link: *link,
                direction: gillnet_capture::PacketDirection::Unknown,
                wire_len: *wire_len,
                data,
                pos: gillnet_capture::NO_POS,
                comment: None,
            });
        }
    }
    shard.finish();
    std::mem::take(&mut *ids.lock().unwrap())
}

#[test]
fn a_late_frame_of_a_stream_does_not_give_its_number_to_the_next_on_its_ports() {
    let once = run(&[(5, 0, false)]);
    assert!(!once.is_empty() && once.iter().all(|(stream, _)| *stream == 5));
    let both = run(&[
        (5, 0, false),
        // it closed long ago, and is opened again by this
        (5, 30 * SECOND, true),
        (9, 31 * SECOND, false),
    ]);
    let next = once.iter().map(|(_, index)| (9, *index));
    assert_eq!(both, once.iter().copied().chain(next).collect::<Vec<_>>());
}
