//! Scripts beside a running shard: the packets of a stream are had while it runs and after it ended.

use super::lifecycle::{PATIENCE, World, names, said};
use super::stage::Stage;
use super::traffic::Frames;
use crate::Scripts;
use crate::testing::fixture;
use gillnet_capture::{Event, Input, open_files};
use std::path::PathBuf;

/// Time, link type and bytes of all frames of a capture.
pub(super) fn frames(path: impl Into<PathBuf>) -> Frames {
    let mut source = open_files(vec![Input::File(path.into())]).unwrap();
    let mut frames = Vec::new();
    loop {
        match source.next().unwrap() {
            Event::Frame(frame) => frames.push((frame.ts, frame.link, frame.data.to_vec())),
            Event::Tick(_) => {}
            Event::End => return frames,
        }
    }
}

/// Runs frames through a shard with a ring of so many bytes, beside scripts; `then` is run when all have come.
fn beside(world: &World, frames: Frames, ring: u64, then: impl FnOnce(&Scripts)) {
    let mut stage = Stage::start(world, ring, &names());
    stage.capture(frames);
    then(&stage.scripts);
}

#[test]
fn a_hook_copies_the_packets_of_its_stream_from_the_ring() {
    let world = World::new(&[(
        "a.js",
        "var kept = []; file.mkdir('kept'); function onItemCaptured(data) { if (kept.indexOf(data.stream) < 0) kept.push(data.stream); if (data.response) file.copy(pcap.path(data.stream), 'kept/' + data.stream); }\n\
         jobs.schedule('late', '0 0 0 1 1 *', function () { kept.forEach(function (s) { file.copy(pcap.path(s), 'kept/late_' + s); }); console.log(pcap.snapshot(), kept.length); });",
    )]);
    let capture = frames(fixture("http1/nginx_and_python"));
    let mut all = capture.clone();
    all.sort_by_key(|(ts, ..)| *ts);
    beside(&world, capture, 16 << 20, |scripts| {
        said(scripts);
        scripts.run_job("late").unwrap();
        let line = said(scripts).pop().unwrap();
        let (name, count) = line
            .strip_prefix("[node-0] ")
            .unwrap()
            .split_once(' ')
            .unwrap();
        let data = world.dir.path().join("data");
        // every frame of TCP is in the one snapshot, once, in order of time
        let snapshot = frames(data.join(name));
        let expected: Vec<_> = all
            .iter()
            .filter(|frame| snapshot.contains(frame))
            .cloned()
            .collect();
        assert_eq!(snapshot, expected);
        let mut apart = Vec::new();
        for file in std::fs::read_dir(data.join("kept")).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let early = frames(file.path());
            assert!(!early.is_empty(), "{name}");
            if let Some(stream) = name.strip_prefix("late_") {
                let before = data.join("kept").join(stream);
                if before.exists() {
                    let before = frames(before);
                    assert_eq!(
                        early[..before.len()],
                        before,
                        "a stream's later copy goes on where the first ended"
                    );
                }
                apart.extend(early);
            }
        }
        apart.sort_by_key(|(ts, ..)| *ts);
        assert_eq!(
            (apart.len(), count.parse::<usize>().unwrap() > 1),
            (snapshot.len(), true)
        );
        let counts = scripts.streams();
        assert!(
            counts.written > 5 && counts.cut == 0 && counts.missed == 0,
            "{counts:?}"
        );
    });
}

#[test]
fn what_left_the_ring_is_an_error_that_says_so_and_is_counted() {
    let world = World::new(&[(
        "a.js",
        "var kept = []; function onItemCaptured(data) { kept.push(data.stream); }\n\
         jobs.schedule('late', '0 0 0 1 1 *', function () { kept.forEach(function (s) { try { file.copy(pcap.path(s), 'x.pcap'); } catch (e) { console.error(e); } }); });",
    )]);
    let mut all = frames(fixture("http1/one_exchange"));
    let last = all.last().cloned().unwrap();
    // more than the ring holds, of another stream
    let (ts, link, mut data) = last;
    let port = 14 + 20;
    for i in 0..4000u32 {
        data.resize(1400, 0);
        data[port..port + 2].copy_from_slice(&(20_000 + (i % 1000) as u16).to_be_bytes());
        all.push((ts + i64::from(i) * 1000, link, data.clone()));
    }
    beside(&world, all, 1 << 20, |scripts| {
        said(scripts);
        scripts.run_job("late").unwrap();
        let lines = said(scripts);
        let says = "[node-0:ERROR] Error: file.copy: pcaps/master/000000000000.pcap: no such file or directory: the packets of this stream have left the capture ring";
        assert!(lines.iter().any(|line| line.starts_with(says)), "{lines:?}");
        assert!(scripts.streams().missed >= 1);
    });
}

#[test]
fn every_packet_is_told_where_a_script_asks_for_it() {
    let world = World::new(&[(
        "a.js",
        "var n = 0, bytes = 0; function onPacketCaptured(info) { n++; bytes += info.length; } function onItemCaptured() {} jobs.schedule('tell', '0 0 0 1 1 *', function () { console.log(n, bytes); });",
    )]);
    let all = frames(fixture("http1/nginx_and_python"));
    let bytes: usize = all.iter().map(|(.., data)| data.len()).sum();
    let expected = format!("[node-0] {} {bytes}", all.len());
    beside(&world, all, 16 << 20, |scripts| {
        assert!(scripts.settle(PATIENCE));
        scripts.run_job("tell").unwrap();
        assert_eq!(said(scripts).pop().unwrap(), expected);
    });
}
