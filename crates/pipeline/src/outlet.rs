//! From a dissector's emission to the entry that consumers and the recorder see.

use crate::{Consumer, Counters, Matched, Plan, StreamRecorder, StreamStart, plan};
use gillnet_capture::{NO_POS, Store};
use gillnet_entry::drops::Reason;
use gillnet_entry::{Bump, Bytes, Common, Ctx, End, Entry, Name, Origin, Span, Transport};
use gillnet_names::Names;
use gillnet_protocols::{Emit, EntrySink, index_of};
use gillnet_streams::Dir;
use std::net::IpAddr;
use std::sync::Arc;

/// The flow's part of its entries, and what is recorded of it.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) stream: u64,
    pub(crate) transport: Transport,
    /// Both ends, the opener first.
    pub(crate) ends: [(IpAddr, u16); 2],
    pub(crate) names: [Arc<Name>; 2],
    /// Index of its next entry.
    pub(crate) index: u32,
    /// The wants that it can still match.
    pub(crate) possible: Matched,
    /// The wants that record it.
    pub(crate) recording: Matched,
    /// Position of its newest frame in the ring.
    pub(crate) last_pos: u64,
    /// Time of the first frame that the ring still had when it matched, where there had been earlier ones.
    pub(crate) truncated_before: Option<i64>,
}

/// The byte store as entries read it.
pub(crate) struct StoreBytes<'s>(pub(crate) &'s Store);

impl Bytes for StoreBytes<'_> {
    fn bytes(&self, span: Span) -> Option<&[u8]> {
        self.0.get(span.pos, span.len)
    }
}

/// What all streams of a shard put their entries through.
pub(crate) struct Outlet {
    pub(crate) plan: Arc<Plan>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) names: Arc<Names>,
    /// Whether names are learnt from DNS answers.
    pub(crate) learns: bool,
    pub(crate) store: Store,
    pub(crate) consumer: Box<dyn Consumer>,
    pub(crate) recorder: Option<Box<dyn StreamRecorder>>,
    pub(crate) arena: Bump,
    pub(crate) counters: Counters,
    /// The name of an address that has none.
    pub(crate) nameless: Arc<Name>,
    /// Positions of a stream's frames, newest first, while it is read back.
    walk: Vec<u64>,
    pub(crate) enough: bool,
}

impl Outlet {
    pub(crate) fn new(
        plan: Arc<Plan>,
        origin: Arc<Origin>,
        names: Arc<Names>,
        learns: bool,
        store: Store,
        consumer: Box<dyn Consumer>,
        recorder: Option<Box<dyn StreamRecorder>>,
    ) -> Outlet {
        Outlet {
            plan,
            origin,
            names,
            learns,
            store,
            consumer,
            recorder,
            arena: Bump::with_capacity(16 << 10),
            counters: Counters::default(),
            nameless: Arc::default(),
            walk: Vec::new(),
            enough: false,
        }
    }

    /// Begins to record a stream for the wants of `begun`: what the ring still has of it goes to the recorder at once.
    #[cold]
    pub(crate) fn begin(&mut self, about: &mut About, begun: Matched) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        let whole = walk_back(&self.store, about.last_pos, &mut self.walk);
        let first = self.walk.last().and_then(|pos| self.store.frame(*pos));
        if !whole {
            about.truncated_before = first.map(|frame| frame.ts);
            self.counters.drops.add(Reason::TruncatedBefore, 1);
        }
        let start = StreamStart {
            number: about.stream,
            udp: about.transport == Transport::Udp,
            ends: about.ends,
            names: [&about.names[0], &about.names[1]],
            truncated_before: about.truncated_before,
        };
        for want in plan::bits(begun) {
            recorder.begin(want, &start);
        }
        if about.recording == 0 {
            self.counters.recorded_streams += 1;
        }
        about.recording |= begun;
        while let Some(pos) = self.walk.pop() {
            self.record(about.stream, begun, pos);
        }
    }

    /// A stream ended.
    pub(crate) fn end(&mut self, about: &About) {
        if let (Some(recorder), true) = (&mut self.recorder, about.recording != 0) {
            recorder.end(about.stream);
        }
    }

    /// A batch is over.
    pub(crate) fn flush(&mut self, now: i64) {
        self.consumer.flush();
        if let Some(recorder) = &mut self.recorder {
            recorder.flush(now);
        }
    }

    /// Hands the frames to the recorder that stand before this position in the chain of its flow: those of the earlier
    /// fragments of its datagram.
    #[cold]
    pub(crate) fn record_parts(&mut self, stream: u64, wants: Matched, pos: u64, count: usize) {
        self.walk.clear();
        let mut at = pos;
        while self.walk.len() < count
            && let Some(frame) = self.store.frame(at).filter(|frame| frame.prev != NO_POS)
        {
            at = frame.prev;
            self.walk.push(at);
        }
        while let Some(pos) = self.walk.pop() {
            self.record(stream, wants, pos);
        }
    }

    /// Hands the frame at this position of the ring to the recorder.
    pub(crate) fn record(&mut self, stream: u64, wants: Matched, pos: u64) {
        let (Some(recorder), Some(frame)) = (&mut self.recorder, self.store.frame(pos)) else {
            return;
        };
        self.counters.recorded_frames += 1;
        if !recorder.frame(stream, wants, &frame) {
            self.counters.drops.add(Reason::RecorderQueue, 1);
        }
    }
}

/// Collects the positions of a stream's frames, newest first; `false` where the oldest had left the ring.
fn walk_back(store: &Store, newest: u64, walk: &mut Vec<u64>) -> bool {
    walk.clear();
    let mut pos = newest;
    while pos != NO_POS {
        let Some(frame) = store.frame(pos) else {
            return false;
        };
        walk.push(pos);
        pos = frame.prev;
    }
    true
}

/// One stream's way into the outlet.
pub(crate) struct Emitter<'s> {
    pub(crate) about: &'s mut About,
    pub(crate) outlet: &'s mut Outlet,
}

impl EntrySink for Emitter<'_> {
    fn entry(&mut self, emit: &Emit<'_>) {
        let Emitter { about, outlet } = self;
        let matched = {
            let index = about.index;
            about.index += 1;
            outlet.counters.entries += 1;
            outlet.counters.pairs += u64::from(emit.end_ts.is_some());
            let bytes = StoreBytes(&outlet.store);
            let (src, dst) = match emit.requester {
                Dir::Up => (0, 1),
                Dir::Down => (1, 0),
            };
            let end = |i: usize| End {
                ip: about.ends[i].0,
                port: about.ends[i].1,
                name: &about.names[i],
            };
            let common = Common {
                origin: &outlet.origin,
                stream: about.stream,
                transport: about.transport,
                index,
                info: emit.record.info(),
                tls: false,
                src: end(src),
                dst: end(dst),
                ts: emit.ts,
                end_ts: emit.end_ts,
                request_size: emit.request_size,
                response_size: emit.response_size,
                fault: emit.fault,
                missing: emit.missing,
                truncated_before: about.truncated_before,
                passed: false,
                failed: false,
                record: &outlet.origin.recording,
            };
            let entry = Entry {
                common: &common,
                protocol: index_of(emit.record.schema()).unwrap_or(u8::MAX),
                record: emit.record,
                ctx: Ctx {
                    store: &bytes,
                    arena: &outlet.arena,
                },
            };
            if outlet.learns {
                let names = &outlet.names;
                gillnet_protocols::dns::learn(emit.record, &entry.ctx, |name, ip, ttl| {
                    names.learn_dns(name, ip, ttl, emit.ts)
                });
            }
            let matched = outlet.plan.entry(about.possible, &entry);
            if matched != 0 && !outlet.consumer.entry(&entry, matched) {
                outlet.enough = true;
            }
            matched
        };
        outlet.arena.reset();
        let begun = matched & outlet.plan.recording() & !about.recording;
        if begun != 0 {
            outlet.begin(about, begun);
        }
    }

    fn count(&mut self, reason: Reason, n: u64) {
        self.outlet.counters.drops.add(reason, n);
    }
}
