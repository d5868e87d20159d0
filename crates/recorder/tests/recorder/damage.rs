//! An index of which a byte is another: it is told, wherever the byte is, and nobody falls over it.

use std::sync::Arc;

use gillnet_bucket::Bucket;
use gillnet_bucket::index::{EntriesFile, KnownProtocol, Question, on_rows, stream_places};
use gillnet_bucket::verify::verify;
use gillnet_capture::{LinkType, PacketDirection};
use gillnet_entry::Origin;
use gillnet_kfl::{Env, compile};
use gillnet_recorder::{Buckets, Frame};

use crate::compaction::{Heard, known};
use crate::http::Talk;
use crate::steps::{DESTINATION, Desk};
use crate::world::{SimBuckets, World};

/// A bucket of one object with three connections.
fn recorded() -> (Arc<World>, Arc<dyn Bucket>) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("spool")).unwrap();
    let world = World::new(0);
    let mut desk = Desk::indexing(&world, dir.path(), 7);
    let rule = desk.id("a");
    for number in 1..4 {
        desk.begin(rule, number, None);
        let mut talk = Talk::new(number);
        for _ in 0..7 {
            let ts = {
                let mut state = world.state();
                state.wall += 1000;
                state.wall
            };
            let (data, _) = talk.next(LinkType::Ethernet, ts as u64);
            let frame = Frame {
                ts,
                iface: 0,
                link: LinkType::Ethernet,
                direction: PacketDirection::In,
                wire_len: data.len() as u32,
                data: &data,
            };
            assert!(desk.handle.frame(number, rule.bit(), &frame));
        }
    }
    desk.flush();
    let bucket = SimBuckets(Arc::clone(&world)).open(DESTINATION).unwrap();
    (world, bucket)
}

/// Reads a file as those who look for entries and packets do: it may be an error, or give something.
fn read(
    bucket: &Arc<dyn Bucket>,
    key: &str,
    size: u64,
    env: &Env,
    known: &[KnownProtocol],
) -> usize {
    if key.starts_with("streams/") {
        let mut rows = 0;
        let _ = stream_places(bucket, key, size, &mut |_| rows += 1);
        return rows;
    }
    let Ok(file) = EntriesFile::open(bucket, key, size) else {
        return 0;
    };
    let mut rows = 0;
    for (filter, within) in [
        ("", (i64::MIN, i64::MAX)),
        ("http and request.path == \"/x\"", (0, i64::MAX - 1)),
    ] {
        let filter = compile(env, filter, &Default::default()).unwrap();
        let filter = on_rows(env, known, &filter);
        let question = Question {
            known,
            filter: &filter,
            within,
            shown: true,
            columns: &[],
            origin: &Origin::default(),
        };
        let _ = file.span();
        let _ = file.decides(&question);
        let _ = file.ask(&question, &mut |_| {
            rows += 1;
            true
        });
    }
    rows
}

#[test]
fn a_byte_that_is_another_is_told_wherever_it_is() {
    let (world, bucket) = recorded();
    let env = Env::new(&gillnet_protocols::env());
    let known = known();
    let keys: Vec<(String, usize)> = {
        let state = world.state();
        let all = state.buckets[DESTINATION].objects.iter();
        let index = all.filter(|(key, _)| key.ends_with(".parquet"));
        index
            .map(|(key, bytes)| (key.clone(), bytes.len()))
            .collect()
    };
    assert_eq!(keys.len(), 2, "{keys:?}");
    for (key, size) in keys {
        assert_ne!(read(&bucket, &key, size as u64, &env, &known), 0);
        let mut silent = Vec::new();
        // of each third byte, a bit in turn
        for at in (0..size).step_by(3) {
            let bit = 1 << (at % 8);
            let flip = || {
                let mut state = world.state();
                let objects = &mut state.buckets.get_mut(DESTINATION).unwrap().objects;
                objects.get_mut(&key).unwrap()[at] ^= bit;
            };
            flip();
            let mut heard = Heard(Vec::new());
            verify(&bucket, &mut heard).unwrap();
            let mut of_file = heard.0.iter().filter(|finding| finding.key == key);
            let named = |what: &str| ["SHA-256", "footer"].iter().any(|word| what.contains(word));
            if !of_file.any(|finding| named(&finding.what)) {
                silent.push((at, heard.0));
            }
            read(&bucket, &key, size as u64, &env, &known);
            flip();
        }
        assert!(
            silent.is_empty(),
            "{key} of {size} bytes: {} places, such as {:?}",
            silent.len(),
            silent.first()
        );
    }
}
