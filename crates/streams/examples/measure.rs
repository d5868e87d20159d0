//! What a frame costs: CPU time a frame of walking a capture file alone (`walk`), of that with decode, flow table and
//! reassembly (`file`), and of these on frames that are in memory already (`memory`). With few FRAMES they stay in the
//! cache, so that `memory` is the cost of the code without the latency of memory.
//!
//! `cargo run --release -p gillnet-streams --example measure -- FILE [RUNS] [FRAMES] [walk|file|memory]`

use std::error::Error;
use std::path::PathBuf;

use gillnet_capture::{
    Event, Frame, Input, LinkType, NO_POS, PacketDirection, Ring, Store, open_files,
};
use gillnet_streams::decode::Decoder;
use gillnet_streams::flow::{Flow, FlowLimits, FlowSink, Flows};
use gillnet_streams::{Chunk, Close, Dir, StreamSink};

#[derive(Default)]
struct Count {
    chunks: u64,
    bytes: u64,
    gaps: u64,
    numbers: u64,
}

impl StreamSink for Count {
    fn chunk(&mut self, _flow: u32, chunk: &Chunk<'_>) {
        self.chunks += 1;
        self.bytes += chunk.data.len() as u64;
    }
    fn gap(&mut self, _flow: u32, _dir: Dir, _missing: u64, _ts: i64) {
        self.gaps += 1;
    }
    fn half_close(&mut self, _flow: u32, _dir: Dir, _ts: i64) {}
}

impl FlowSink for Count {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
    fn closed(&mut self, _flow: u32, _entry: &Flow, _why: Close) {}
}

/// A capture in memory.
struct Frames {
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

struct Head {
    ts: i64,
    start: usize,
    len: usize,
    wire_len: u32,
    iface: u32,
    link: LinkType,
    direction: PacketDirection,
}

impl Frames {
    fn read(path: &str) -> Result<Self, Box<dyn Error>> {
        let mut source = open_files(vec![Input::File(PathBuf::from(path))])?;
        let (mut bytes, mut heads) = (Vec::new(), Vec::new());
        loop {
            match source.next()? {
                Event::Frame(frame) => {
                    heads.push(Head {
                        ts: frame.ts,
                        start: bytes.len(),
                        len: frame.data.len(),
                        wire_len: frame.wire_len,
                        iface: frame.iface,
                        link: frame.link,
                        direction: frame.direction,
                    });
                    bytes.extend_from_slice(frame.data);
                }
                Event::Tick(_) => {}
                Event::End => return Ok(Frames { bytes, heads }),
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = Frame<'_>> {
        self.heads.iter().map(|head| Frame {
            ts: head.ts,
            iface: head.iface,
            link: head.link,
            direction: head.direction,
            wire_len: head.wire_len,
            data: &self.bytes[head.start..head.start + head.len],
            pos: NO_POS,
            comment: None,
        })
    }
}

/// Decode, flow table and reassembly.
struct Boxes {
    decoder: Decoder,
    flows: Flows,
    store: Store,
    count: Count,
    frames: u64,
}

impl Boxes {
    fn new(store: Store) -> Self {
        Boxes {
            decoder: Decoder::default(),
            flows: Flows::new(FlowLimits::default()),
            store,
            count: Count::default(),
            frames: 0,
        }
    }

    #[inline(always)]
    fn frame(&mut self, frame: &Frame<'_>) {
        self.frames += 1;
        let (store, count) = (&self.store, &mut self.count);
        // borrowed where it is: to move a packet costs more than to decode it
        let decoded = self.decoder.decode(frame);
        let Ok(packet) = &decoded else {
            return;
        };
        self.flows.tick(frame.ts, store, count);
        let touch = self.flows.touch(packet, frame.ts, store, count);
        if !touch.duplicate {
            let pos = match packet.payload_off {
                Some(off) if frame.pos != NO_POS => frame.pos + u64::from(off),
                _ => NO_POS,
            };
            self.flows
                .segment(touch, packet, pos, frame.ts, store, count);
        }
    }

    fn finish(mut self) -> (u64, String) {
        self.flows.drain(&self.store, &mut self.count);
        let Count {
            chunks,
            bytes,
            gaps,
            numbers,
        } = self.count;
        let text = format!("{numbers} flows, {chunks} chunks, {bytes} bytes, {gaps} gaps");
        (self.frames, text)
    }
}

#[inline(never)]
fn memory(frames: &Frames, store: &Store) -> (u64, String) {
    let mut boxes = Boxes::new(store.clone());
    for frame in frames.iter() {
        boxes.frame(&frame);
    }
    boxes.finish()
}

#[inline(never)]
fn file(path: &str) -> Result<(u64, String), Box<dyn Error>> {
    let mut source = open_files(vec![Input::File(PathBuf::from(path))])?;
    let store = source.store().ok_or("a file that can't be mapped")?;
    let mut boxes = Boxes::new(store);
    loop {
        match source.next()? {
            Event::Frame(frame) => boxes.frame(&frame),
            Event::Tick(_) => {}
            Event::End => return Ok(boxes.finish()),
        }
    }
}

#[inline(never)]
fn walk(path: &str) -> Result<(u64, String), Box<dyn Error>> {
    let mut source = open_files(vec![Input::File(PathBuf::from(path))])?;
    let (mut frames, mut bytes) = (0, 0);
    loop {
        match source.next()? {
            Event::Frame(frame) => {
                frames += 1;
                bytes += frame.data.len();
            }
            Event::Tick(_) => {}
            Event::End => return Ok((frames, format!("{bytes} bytes"))),
        }
    }
}

/// CPU time of this thread so far, in ns.
fn cpu() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which file?")?;
    let runs = args.next().map_or(Ok(9), |n| n.parse())?;
    let most = args.next().map_or(Ok(usize::MAX), |n| n.parse())?;
    let only = args.next();
    let mut frames = Frames::read(&path)?;
    frames.heads.truncate(most);
    let store = Ring::create(None, 1 << 20)?.store();
    let passes = (500_000 / frames.heads.len().max(1)).max(1);
    for name in ["walk", "file", "memory"] {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let (mut best, mut said) = (f64::MAX, String::new());
        for _ in 0..runs {
            let start = cpu()?;
            let mut count = 0;
            for _ in 0..if name == "memory" { passes } else { 1 } {
                let (frames, text) = match name {
                    "walk" => walk(&path)?,
                    "file" => file(&path)?,
                    _ => memory(&frames, &store),
                };
                count += frames;
                said = text;
            }
            best = best.min((cpu()? - start) as f64 / count.max(1) as f64);
        }
        println!("{name}: {best:.1} ns a frame; {said}");
    }
    Ok(())
}
