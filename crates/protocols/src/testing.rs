//! Dialogues for tests: said once, told to a [`Stream`] in every way a network could cut them.

use crate::{Config, Emit, EntrySink, Stream};
use gillnet_entry::drops::{Drops, Reason};
use gillnet_entry::{Bump, Bytes, Ctx, Span, Transport};
use gillnet_streams::{Chunk, Close, Dir};

/// What happens in a dialogue; each event a millisecond after the one before.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Bytes of one packet.
    Say(Dir, Vec<u8>),
    /// Bytes that never came.
    Gap(Dir, u64),
    /// A FIN.
    End(Dir),
    /// Packet time moves on by so many ns.
    Wait(i64),
}

/// From the opener.
pub(crate) fn up(bytes: impl AsRef<[u8]>) -> Event {
    Event::Say(Dir::Up, bytes.as_ref().to_vec())
}

/// To the opener.
pub(crate) fn down(bytes: impl AsRef<[u8]>) -> Event {
    Event::Say(Dir::Down, bytes.as_ref().to_vec())
}

/// What came out of a dialogue.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// A line an entry: direction of the requester, times in ms, sizes, fault, missing bytes, and the fields asked for.
    pub(crate) lines: Vec<String>,
    pub(crate) drops: Drops,
    /// What the stream held at most before it was closed.
    pub(crate) held: usize,
}

impl Outcome {
    /// The drops that are not 0.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        self.drops
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(reason, n)| (reason.name(), n))
            .collect()
    }
}

/// A byte store in which packets lie apart, as frames do.
#[derive(Default)]
struct Store(Vec<u8>);

impl Store {
    fn append(&mut self, bytes: &[u8]) -> u64 {
        self.0.extend_from_slice(b"<header>");
        let pos = self.0.len() as u64;
        self.0.extend_from_slice(bytes);
        pos
    }
}

impl Bytes for Store {
    fn bytes(&self, span: Span) -> Option<&[u8]> {
        let from = usize::try_from(span.pos).ok()?;
        self.0.get(from..from + span.len as usize)
    }
}

/// Writes entries as lines.
struct Lines<'a> {
    out: Outcome,
    store: &'a Store,
    fields: &'a [&'a str],
}

impl EntrySink for Lines<'_> {
    fn entry(&mut self, emit: &Emit<'_>) {
        let arena = Bump::new();
        let ctx = Ctx {
            store: self.store,
            arena: &arena,
        };
        let ms = |ts: i64| ts / 1_000_000;
        let mut line = format!("{:?} {}", emit.requester, ms(emit.ts));
        if let Some(end) = emit.end_ts {
            line += &format!("-{}", ms(end));
        }
        line += &format!(" {}/{}", emit.request_size, emit.response_size);
        if let Some(fault) = emit.fault {
            line += &format!(" {}: {}", fault.kind.name(), fault.msg);
        }
        if emit.missing > 0 {
            line += &format!(" missing {}", emit.missing);
        }
        for name in self.fields {
            let field = emit
                .record
                .schema()
                .json(name)
                .unwrap_or_else(|| panic!("no field {name}"));
            let mut json = Vec::new();
            gillnet_entry::json::write_value(&emit.record.get(field, &ctx), &mut json);
            line += &format!(" {}", String::from_utf8_lossy(&json));
        }
        // reading every field of every entry must at least end
        for field in (0u16..).take(emit.record.schema().fields.len() + 1) {
            let _ = emit.record.get(field, &ctx);
        }
        self.out.lines.push(line);
    }

    fn count(&mut self, reason: Reason, n: u64) {
        self.out.drops.add(reason, n);
    }
}

/// Tells a dialogue to a stream, each packet cut as `cut` says.
pub(crate) fn tell(
    transport: Transport,
    events: &[Event],
    config: &Config,
    fields: &[&str],
    in_store: bool,
    mut cut: impl FnMut(&[u8]) -> Vec<usize>,
) -> Outcome {
    let mut stream = Stream::new(transport, (40000, 80));
    let (mut store, mut out, mut now) = (Store::default(), Outcome::default(), 0);
    for event in events {
        now += 1_000_000;
        match event {
            Event::Say(dir, bytes) => {
                let mut from = 0;
                for to in cut(bytes).into_iter().chain([bytes.len()]) {
                    let Some(data) = bytes.get(from..to).filter(|d| !d.is_empty()) else {
                        continue;
                    };
                    let pos = store.append(data);
                    let pos = if in_store { pos } else { u64::MAX };
                    let chunk = Chunk {
                        dir: *dir,
                        data,
                        pos,
                        ts: now,
                        offset: 0,
                    };
                    let mut lines = Lines {
                        out,
                        store: &store,
                        fields,
                    };
                    stream.chunk(&chunk, &store, config, &mut lines);
                    out = lines.out;
                    out.held = out.held.max(stream.held_bytes());
                    from = to;
                }
                continue;
            }
            Event::Wait(ns) => now += ns,
            Event::Gap(..) | Event::End(_) => {}
        }
        let mut lines = Lines {
            out,
            store: &store,
            fields,
        };
        match event {
            Event::Gap(dir, missing) => stream.gap(*dir, *missing, now, config, &mut lines),
            Event::End(dir) => stream.half_close(*dir, now, config, &mut lines),
            Event::Wait(_) => stream.tick(now, config, &mut lines),
            Event::Say(..) => {}
        }
        out = lines.out;
    }
    let mut lines = Lines {
        out,
        store: &store,
        fields,
    };
    stream.close(Close::End, now, config, &mut lines);
    assert_eq!(stream.held_bytes(), 0);
    lines.out
}

/// Tells a dialogue whole, byte by byte, in every cut in two, and in seeded random cuts, from the store and from
/// outside it: the entries must be the same. Returns what the whole one gives.
pub(crate) fn tell_every_way(events: &[Event], config: &Config, fields: &[&str]) -> Outcome {
    let transport = Transport::Tcp;
    let whole = tell(transport, events, config, fields, true, |_| Vec::new());
    let same = |other: &Outcome, how: &str| {
        assert_eq!(other.lines, whole.lines, "{how}");
        assert_eq!(other.counts(), whole.counts(), "{how}");
    };
    same(
        &tell(transport, events, config, fields, false, |_| Vec::new()),
        "outside the store",
    );
    same(
        &tell(transport, events, config, fields, true, |b| {
            (1..b.len()).collect()
        }),
        "byte by byte",
    );
    let longest = events
        .iter()
        .map(|e| if let Event::Say(_, b) = e { b.len() } else { 0 })
        .max()
        .unwrap_or(0);
    for at in 1..longest {
        same(
            &tell(transport, events, config, fields, true, |_| vec![at]),
            &format!("cut at {at}"),
        );
    }
    let mut random = Random(longest as u64);
    for round in 0..200 {
        let cut = |bytes: &[u8]| {
            let mut cuts: Vec<usize> = (0..random.below(6))
                .map(|_| random.below(bytes.len() + 1))
                .collect();
            cuts.sort_unstable();
            cuts
        };
        same(
            &tell(transport, events, config, fields, round % 2 == 0, cut),
            &format!("random cuts, round {round}"),
        );
    }
    whole
}

/// A small generator of numbers that repeat from a seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, 0 where `n` is 0.
    #[allow(clippy::cast_possible_truncation)] // the remainder of a usize
    pub(crate) fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            0
        } else {
            (self.next() % n as u64) as usize
        }
    }
}
