//! Who takes frames is told of an interface before its first frame, also where a source only finds it then.

use gillnet_capture::{Frame, Interface, Ring, expand, open_files};
use gillnet_entry::Entry;
use gillnet_names::{Names, NamesConfig};
use gillnet_pipeline::{
    Consumer, Control, FrameSink, Keep, Matched, Plan, Shard, ShardConfig, run,
};
use std::sync::{Arc, Mutex};

/// Of each frame its interface, and how many were told of before.
type Seen = Arc<Mutex<Vec<(u32, usize)>>>;

struct Sink {
    told: usize,
    seen: Seen,
}

impl FrameSink for Sink {
    fn frame(&mut self, frame: &Frame<'_>) -> bool {
        let seen = (frame.iface, self.told);
        self.seen.lock().unwrap().push(seen);
        true
    }

    fn interfaces(&mut self, interfaces: &[Interface]) {
        self.told = interfaces.len();
    }

    fn flush(&mut self, _: i64, _: u64) {}

    fn lost(&self) -> u64 {
        0
    }
}

struct Nobody;

impl Consumer for Nobody {
    fn entry(&mut self, _: &Entry<'_>, _: Matched) -> bool {
        true
    }
}

/// A block of pcapng.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let body = [body, &[0; 3][..body.len().wrapping_neg() % 4]].concat();
    let len = (12 + body.len() as u32).to_le_bytes();
    [&kind.to_le_bytes(), &len, &body[..], &len].concat()
}

fn section() -> Vec<u8> {
    let words = [0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX];
    block(0x0a0d_0d0a, &words.map(u32::to_le_bytes).concat())
}

/// An interface on Ethernet.
fn interface() -> Vec<u8> {
    block(1, &[1_u32, 65_535].map(u32::to_le_bytes).concat())
}

fn packet(interface: u32) -> Vec<u8> {
    let data = [2; 60];
    let head = [interface, 0, 1_000, data.len() as u32, data.len() as u32];
    let head = head.map(u32::to_le_bytes).concat();
    block(6, &[&head[..], &data].concat())
}

#[test]
fn an_interface_is_told_before_its_first_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.pcapng");
    let blocks = [
        section(),
        interface(),
        packet(0),
        packet(0),
        interface(),
        interface(),
        packet(2),
        packet(1),
        packet(0),
        interface(),
        packet(3),
    ];
    std::fs::write(&path, blocks.concat()).unwrap();
    let seen = Seen::default();
    let sink = Sink {
        told: 0,
        seen: Arc::clone(&seen),
    };
    let mut shard = Shard::new(ShardConfig {
        raw: Some(Box::new(sink)),
        ..ShardConfig::new(
            Arc::new(Plan::new(Vec::new(), 1).with_raw(true)),
            Arc::new(Names::new(NamesConfig::default()).unwrap()),
            Keep::Ring(Ring::create(None, 1 << 20).unwrap()),
            Box::new(Nobody),
        )
    });
    let mut source = open_files(expand(&[path.display().to_string()]).unwrap()).unwrap();
    let control = Control::default();
    run(&mut *source, &mut shard, &control, &mut |error| {
        panic!("{error}")
    });
    let seen = seen.lock().unwrap();
    let frames: Vec<_> = seen.iter().map(|(frame, _)| *frame).collect();
    assert_eq!(frames, [0, 0, 2, 1, 0, 3]);
    for (interface, told) in &*seen {
        assert!((*interface as usize) < *told, "{seen:?}");
    }
}
