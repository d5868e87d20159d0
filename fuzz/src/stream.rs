//! A dialogue told to one protocol: the target of every dissector, with a stub in `targets/` for each.

use crate::Bytes;
use gillnet_entry::drops::Reason;
use gillnet_entry::{Bump, Ctx, Span, Transport, json};
use gillnet_protocols::{Config, Emit, EntrySink, Limits, REGISTRY, Stream};
use gillnet_streams::{Chunk, Close, Dir};

/// Bytes of packets, apart as frames are.
#[derive(Default)]
struct Store(Vec<u8>);

impl gillnet_entry::Bytes for Store {
    fn bytes(&self, span: Span) -> Option<&[u8]> {
        let from = usize::try_from(span.pos).ok()?;
        self.0.get(from..from.checked_add(span.len as usize)?)
    }
}

/// Reads every field of every entry.
struct Reader<'s>(&'s Store);

impl EntrySink for Reader<'_> {
    fn entry(&mut self, emit: &Emit<'_>) {
        let arena = Bump::new();
        let ctx = Ctx {
            store: self.0,
            arena: &arena,
        };
        let mut out = Vec::new();
        for field in (0u16..).take(emit.record.schema().fields.len()) {
            out.clear();
            json::write_value(&emit.record.get(field, &ctx), &mut out);
            assert!(std::str::from_utf8(&out).is_ok(), "JSON is UTF-8");
        }
        assert!(emit.end_ts.is_none_or(|end| end >= emit.ts));
    }

    fn count(&mut self, _: Reason, _: u64) {}
}

/// The first bytes say: transport, port and limits.
struct How {
    transport: Transport,
    port: u16,
    config: Config,
}

impl How {
    fn read(byte: u8, protocol: usize) -> How {
        let entry = REGISTRY[protocol].dissection.expect("it has a dissector");
        let other = if byte & 1 == 0 {
            0
        } else {
            entry.transports.len() - 1
        };
        let small = Limits {
            head: 512,
            body: 256,
            pending: 4,
            timeout: 100_000_000,
        };
        How {
            transport: entry.transports[other],
            port: if byte & 2 == 0 { entry.ports[0] } else { 7777 },
            config: Config {
                limits: if byte & 4 == 0 {
                    Limits::default()
                } else {
                    small
                },
                bodies: byte & 8 == 0,
                enabled: 1 << protocol,
            },
        }
    }
}

/// What an event's first byte says.
const DOWN: u8 = 1;
const KIND: u8 = 6;
const OUTSIDE: u8 = 8;

/// Tells the dialogue in `data` to the protocol of this name alone.
pub fn run(protocol: &str, data: &[u8]) {
    let protocol = REGISTRY
        .iter()
        .position(|p| p.name == protocol)
        .expect("a protocol of the registry");
    let mut bytes = Bytes(data);
    let Some(how) = bytes.byte() else {
        return;
    };
    let How {
        transport,
        port,
        config,
    } = How::read(how, protocol);
    let mut stream = Stream::new(transport, (40_000, port));
    let (mut store, mut now, mut offsets) = (Store::default(), 0, [0; 2]);
    while let Some(what) = bytes.byte() {
        let dir = if what & DOWN == 0 { Dir::Up } else { Dir::Down };
        let n = bytes.number();
        now += 1_000_000;
        match what & KIND {
            0 => {
                let data = bytes.take(usize::from(n));
                if data.is_empty() {
                    continue;
                }
                store.0.extend(b"<head>");
                let pos = if what & OUTSIDE == 0 {
                    store.0.len() as u64
                } else {
                    u64::MAX
                };
                store.0.extend(data);
                let chunk = Chunk {
                    dir,
                    data,
                    pos,
                    ts: now,
                    offset: offsets[dir as usize],
                };
                offsets[dir as usize] += data.len() as u64;
                stream.chunk(&chunk, &store, &config, &mut Reader(&store));
            }
            2 => stream.gap(dir, u64::from(n) + 1, now, &config, &mut Reader(&store)),
            4 => stream.half_close(dir, now, &config, &mut Reader(&store)),
            _ => {
                now += i64::from(n) * 1_000_000;
                stream.tick(now, &config, &mut Reader(&store));
            }
        }
    }
    stream.close(Close::End, now, &config, &mut Reader(&store));
    assert_eq!(stream.held_bytes(), 0, "nothing is held behind the end");
}

/// Appends bytes of one direction to a seed; a seed starts with a byte for its transport and limits.
pub fn write(dir: Dir, mut data: &[u8], out: &mut Vec<u8>) {
    while !data.is_empty() {
        let (now, rest) = data.split_at(data.len().min(usize::from(u16::MAX)));
        out.push(dir as u8);
        out.extend((now.len() as u16).to_le_bytes());
        out.extend(now);
        data = rest;
    }
}
