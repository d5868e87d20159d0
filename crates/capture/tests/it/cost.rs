//! What a frame costs, printed: `cargo test --release -p gillnet-capture --test tests cost -- --ignored --nocapture`.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};

use gillnet_capture::{
    Event, FrameHeader, Input, LinkType, NO_POS, PacketDirection, Ring, Source, expand, open_files,
    write::{
        PacketBlock, PcapResolution, PcapWriter, SectionBlock, interface_block, packet_block,
        section_block,
    },
};

use crate::captures::{folder, read_all};

/// Files of about `bytes` bytes made of the frames of real HTTP captures, as pcap and as pcapng.
fn make(dir: &Path, bytes: u64) {
    let inputs = expand(&[folder().join("http1").display().to_string()]).unwrap();
    let (frames, _) = read_all(&mut *open_files(inputs).unwrap());
    let mut pcap = PcapWriter::new(
        BufWriter::new(File::create(dir.join("a.pcap")).unwrap()),
        PcapResolution::Micro,
    )
    .unwrap();
    let mut pcapng = BufWriter::new(File::create(dir.join("a.pcapng")).unwrap());
    let mut block = Vec::new();
    section_block(&mut block, &SectionBlock::default());
    let interface = gillnet_capture::Interface {
        name: "eth0".into(),
        link: LinkType::Ethernet,
        description: String::new(),
        snaplen: 0,
    };
    interface_block(&mut block, &interface);
    let mut written = 0;
    'all: loop {
        for frame in &frames {
            pcap.frame(frame.ts, LinkType::Ethernet, frame.wire_len, &frame.data)
                .unwrap();
            packet_block(
                &mut block,
                &PacketBlock {
                    iface: 0,
                    ts: frame.ts,
                    wire_len: frame.wire_len,
                    direction: PacketDirection::In,
                    data: &frame.data,
                    comment: None,
                    custom: &[],
                },
            );
            pcapng.write_all(&block).unwrap();
            block.clear();
            written += frame.data.len() as u64;
            if written > bytes {
                break 'all;
            }
        }
    }
}

/// Nanoseconds of processor time of this thread.
fn cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn walk(source: &mut dyn Source, mut each: impl FnMut(&gillnet_capture::Frame<'_>)) -> u64 {
    let mut frames = 0;
    loop {
        match source.next().unwrap() {
            Event::Frame(frame) => {
                each(&frame);
                frames += 1;
            }
            Event::Tick(_) => {}
            Event::End => return frames,
        }
    }
}

#[test]
#[ignore = "measures; nothing is asserted"]
fn cost_of_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 200 << 20);
    for _ in 0..3 {
        for name in ["a.pcap", "a.pcapng"] {
            let path = dir.path().join(name);
            let report = |what: &str, run: &mut dyn FnMut() -> u64| {
                let (before, wall) = (cpu(), Instant::now());
                let frames = run();
                let (cpu, wall) = (cpu() - before, wall.elapsed());
                println!(
                    "{name} {what}: {:.1} ns a frame, {frames} frames, {wall:?}",
                    cpu as f64 / frames as f64
                );
            };
            report("walk", &mut || {
                walk(
                    &mut *open_files(vec![Input::File(path.clone())]).unwrap(),
                    |_| {},
                )
            });
            let mut sum = 0u64;
            report("walk and touch", &mut || {
                walk(
                    &mut *open_files(vec![Input::File(path.clone())]).unwrap(),
                    |frame| {
                        sum += u64::from(frame.data.get(40).copied().unwrap_or_default());
                    },
                )
            });
            report("streamed and touched", &mut || {
                let reader = Box::new(File::open(&path).unwrap());
                walk(
                    &mut *open_files(vec![Input::Reader {
                        name: name.into(),
                        reader,
                    }])
                    .unwrap(),
                    |frame| {
                        sum += u64::from(frame.data.get(40).copied().unwrap_or_default());
                    },
                )
            });
            let mut ring = Ring::create(None, 64 << 20).unwrap();
            report("into a ring", &mut || {
                walk(
                    &mut *open_files(vec![Input::File(path.clone())]).unwrap(),
                    |frame| {
                        let header = FrameHeader::of(frame, NO_POS);
                        sum += ring.append(&header, frame.data);
                    },
                )
            });
            std::hint::black_box(sum);
        }
    }
}
