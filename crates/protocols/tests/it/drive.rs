//! The road from a capture file to its entries, without names, filters and sinks.

use gillnet_capture::{Event, Input, NO_POS, Ring, Store, open_files};
use gillnet_entry::drops::{Drops, Reason};
use gillnet_entry::{Bump, Bytes, Common, Ctx, End, Entry, Name, Origin, Span, Transport};
use gillnet_protocols::{Config, Emit, EntrySink, Stream};
use gillnet_streams::decode::{DecodeLimits, Decoder};
use gillnet_streams::flow::{self, Flow, FlowLimits, FlowSink, Flows};
use gillnet_streams::{Chunk, Close, Dir, StreamSink};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// How a packet's bytes are cut: the offsets.
pub(crate) type Cut<'c> = &'c mut dyn FnMut(&[u8]) -> Vec<usize>;

/// What a capture holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// JSON of each entry.
    pub(crate) entries: Vec<String>,
    /// Drops that are not 0.
    pub(crate) drops: Vec<(&'static str, u64)>,
}

struct Bytewise(Store);

impl Bytes for Bytewise {
    fn bytes(&self, span: Span) -> Option<&[u8]> {
        self.0.get(span.pos, span.len)
    }
}

struct Open {
    stream: Stream,
    number: u64,
    transport: Transport,
    ends: [(IpAddr, u16); 2],
    entries: u32,
}

struct Streams<'c> {
    open: Vec<Option<Open>>,
    store: Bytewise,
    config: &'c Config,
    cut: Cut<'c>,
    numbers: u64,
    entries: Vec<String>,
    drops: Drops,
}

/// Writes the entries of one stream.
struct Sink<'s> {
    store: &'s Bytewise,
    number: u64,
    transport: Transport,
    ends: [(IpAddr, u16); 2],
    count: &'s mut u32,
    entries: &'s mut Vec<String>,
    drops: &'s mut Drops,
}

impl EntrySink for Sink<'_> {
    fn entry(&mut self, emit: &Emit<'_>) {
        let (arena, origin, name) = (Bump::new(), Origin::default(), Arc::new(Name::default()));
        let end = |dir: Dir| {
            let (ip, port) = self.ends[dir as usize];
            End {
                ip,
                port,
                name: &name,
            }
        };
        let common = Common {
            origin: &origin,
            stream: self.number,
            transport: self.transport,
            index: *self.count,
            info: emit.record.info(),
            tls: false,
            src: end(emit.requester),
            dst: end(emit.requester.flip()),
            ts: emit.ts,
            end_ts: emit.end_ts,
            request_size: emit.request_size,
            response_size: emit.response_size,
            fault: emit.fault,
            missing: emit.missing,
            truncated_before: None,
            passed: false,
            failed: false,
            record: "",
        };
        let ctx = Ctx {
            store: self.store,
            arena: &arena,
        };
        let entry = Entry {
            common: &common,
            protocol: 0,
            record: emit.record,
            ctx,
        };
        let json = json(&entry);
        let owned = entry.detach(usize::MAX);
        assert_eq!(
            owned.with(&arena, json_of),
            json,
            "an entry that left its shard"
        );
        self.entries.push(json);
        *self.count += 1;
    }

    fn count(&mut self, reason: Reason, n: u64) {
        self.drops.add(reason, n);
    }
}

fn json_of(entry: &Entry<'_>) -> String {
    json(entry)
}

fn json(entry: &Entry<'_>) -> String {
    let mut json = Vec::new();
    gillnet_entry::json::write_entry(entry, &mut json);
    String::from_utf8(json).unwrap()
}

impl Streams<'_> {
    fn with(
        &mut self,
        flow: u32,
        tell: impl FnOnce(&mut Stream, &Bytewise, &Config, Cut<'_>, &mut Sink<'_>),
    ) {
        let Some(Some(open)) = self.open.get_mut(flow as usize) else {
            return;
        };
        let mut sink = Sink {
            store: &self.store,
            number: open.number,
            transport: open.transport,
            ends: open.ends,
            count: &mut open.entries,
            entries: &mut self.entries,
            drops: &mut self.drops,
        };
        tell(
            &mut open.stream,
            &self.store,
            self.config,
            &mut self.cut,
            &mut sink,
        );
    }
}

impl StreamSink for Streams<'_> {
    fn chunk(&mut self, flow: u32, chunk: &Chunk<'_>) {
        self.with(flow, |stream, store, config, cut, sink| {
            let mut from = 0;
            for to in cut(chunk.data).into_iter().chain([chunk.data.len()]) {
                let Some(data) = chunk.data.get(from..to).filter(|data| !data.is_empty()) else {
                    continue;
                };
                let pos = if chunk.pos == NO_POS {
                    NO_POS
                } else {
                    chunk.pos + from as u64
                };
                let piece = Chunk {
                    data,
                    pos,
                    offset: chunk.offset + from as u64,
                    ..*chunk
                };
                stream.chunk(&piece, store, config, sink);
                from = to;
            }
        });
    }

    fn gap(&mut self, flow: u32, dir: Dir, missing: u64, ts: i64) {
        self.with(flow, |stream, _, config, _, sink| {
            stream.gap(dir, missing, ts, config, sink)
        });
    }

    fn half_close(&mut self, flow: u32, dir: Dir, ts: i64) {
        self.with(flow, |stream, _, config, _, sink| {
            stream.half_close(dir, ts, config, sink)
        });
    }
}

impl FlowSink for Streams<'_> {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn closed(&mut self, flow: u32, entry: &Flow, why: Close) {
        let ts = entry.last_ts();
        self.with(flow, |stream, _, config, _, sink| {
            stream.close(why, ts, config, sink)
        });
        if let Some(open) = self.open.get_mut(flow as usize) {
            *open = None;
        }
    }
}

/// The entries of a capture whose packets' bytes are cut as `cut` says.
pub(crate) fn entries(path: &Path, config: &Config, cut: Cut<'_>) -> Outcome {
    let inputs: Vec<Input> = gillnet_capture::expand(&[path.display().to_string()]).unwrap();
    let mut source = open_files(inputs).unwrap();
    let (mut decoder, mut flows) = (
        Decoder::new(DecodeLimits::default()),
        Flows::new(FlowLimits::default()),
    );
    let mut ring = Ring::create(None, 16 << 20).unwrap();
    let store = ring.store();
    let mut streams = Streams {
        open: Vec::new(),
        store: Bytewise(store.clone()),
        config,
        cut,
        numbers: 0,
        entries: Vec::new(),
        drops: Drops::default(),
    };
    while let Event::Frame(frame) = source.next().unwrap() {
        let Ok(packet) = decoder.decode(&frame) else {
            continue;
        };
        flows.tick(frame.ts, &store, &mut streams);
        let touch = flows.touch(&packet, frame.ts, &store, &mut streams);
        if touch.duplicate {
            continue;
        }
        let flow = flows.get_mut(touch.flow);
        flow.wanted = true;
        if touch.new {
            let index = touch.flow as usize;
            streams
                .open
                .resize_with(streams.open.len().max(index + 1), || None);
            streams.open[index] = Some(open(flow));
        }
        let at = ring.append(
            &gillnet_capture::FrameHeader::of(&frame, NO_POS),
            frame.data,
        );
        let pos = packet
            .payload_off
            .map_or(NO_POS, |offset| at + u64::from(offset));
        flows.segment(touch, &packet, pos, frame.ts, &store, &mut streams);
    }
    flows.drain(&store, &mut streams);
    let drops = streams
        .drops
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| (reason.name(), n))
        .collect();
    Outcome {
        entries: streams.entries,
        drops,
    }
}

fn open(flow: &Flow) -> Open {
    let (a, b) = flow.ends();
    let transport = match flow.transport() {
        flow::Transport::Tcp => Transport::Tcp,
        flow::Transport::Udp => Transport::Udp,
    };
    Open {
        stream: Stream::new(transport, (a.1, b.1)),
        number: flow.stream,
        transport,
        ends: [a, b],
        entries: 0,
    }
}
