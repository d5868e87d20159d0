//! A shard: decoder, flow table, ring and streams of one thread.

use crate::clock::PacketClock;
use crate::found::{Found, Place};
use crate::numbers::Numbers;
use crate::outlet::{About, Emitter, Outlet, StoreBytes};
use crate::{Board, Consumer, FrameSink, FrameTap, Matched, PacketSeen, Plan, StreamRecorder};
use gillnet_capture::{Frame, FrameHeader, Interface, NO_POS, Ring, SourceStats, Store};
use gillnet_entry::drops::Reason;
use gillnet_entry::{Origin, Transport};
use gillnet_names::{Knowledge, Names};
use gillnet_protocols::{Config, Limits, Stream};
use gillnet_streams::decode::{DecodeLimits, Decoder, Skip};
use gillnet_streams::flow::{self, Flow, FlowLimits, FlowSink, Flows, Touch};
use gillnet_streams::{Chunk, Close, Dir, StreamSink};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Where frames are kept while their stream runs.
#[derive(Debug)]
pub enum Keep {
    /// The source is mapped: frames stay where they are.
    Mapped(Store),
    /// Frames of wanted flows are copied into a ring.
    Ring(Ring),
}

/// Says of a new TCP flow, by its ends, whether it is Gillnet's own.
pub type OwnCheck = Box<dyn FnMut(&[(IpAddr, u16); 2]) -> bool + Send>;

/// What a shard is made of.
pub struct ShardConfig {
    /// Where entries come from.
    pub origin: Arc<Origin>,
    /// Names of addresses.
    pub names: Arc<Names>,
    /// Whether names are learnt from DNS answers, where that is configured.
    pub learns: bool,
    /// What is wanted at first.
    pub plan: Arc<Plan>,
    /// Where frames are kept.
    pub keep: Keep,
    /// Limits of decoding.
    pub decode: DecodeLimits,
    /// Limits of the flow table and of reassembly.
    pub flow: FlowLimits,
    /// Limits of dissectors.
    pub dissect: Limits,
    /// Numbers of new streams; from 0 on where there is none.
    pub numbers: Option<Numbers>,
    /// Tells Gillnet's own flows.
    pub own: Option<OwnCheck>,
    /// Takes entries.
    pub consumer: Box<dyn Consumer>,
    /// Takes whole streams.
    pub recorder: Option<Box<dyn StreamRecorder>>,
    /// Sees frames of wanted flows.
    pub tap: Option<FrameTap>,
    /// Takes every frame; the plan must say so, too ([`Plan::with_raw`]).
    pub raw: Option<Box<dyn FrameSink>>,
}

impl ShardConfig {
    /// Hands the entries that a plan wants to a consumer; all else as usual.
    pub fn new(
        plan: Arc<Plan>,
        names: Arc<Names>,
        keep: Keep,
        consumer: Box<dyn Consumer>,
    ) -> ShardConfig {
        ShardConfig {
            origin: Arc::default(),
            names,
            learns: true,
            plan,
            keep,
            decode: DecodeLimits::default(),
            flow: FlowLimits::default(),
            dissect: Limits::default(),
            numbers: None,
            own: None,
            consumer,
            recorder: None,
            tap: None,
            raw: None,
        }
    }
}

/// What is known of a flow beside the flow table, by its index there.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Generations of plan and names when it was asked last.
    plan: u32,
    names: u64,
    /// Whether a name that is not known yet could still decide.
    open: bool,
}

const NEVER: Asked = Asked {
    plan: u32::MAX,
    names: 0,
    open: false,
};

/// [`Flow::slot`] of a flow that has no stream state.
const NONE: u32 = u32::MAX;

/// Streams that were closed of which the next index is kept, at most.
const MOST_ENDED: usize = 1 << 16;

/// [`Flow::flags`] of Gillnet's own flows.
const OWN: u8 = 1;

struct State {
    about: About,
    stream: Stream,
    /// Where both directions stood when nobody wanted the flow any more.
    left: Option<[u64; 2]>,
}

/// The streams of a shard and what they put their entries through.
struct Streams {
    /// Index into `states` by flow.
    slots: Vec<u32>,
    /// What flows were asked last, by flow.
    asked: Vec<Asked>,
    states: Vec<Option<Box<State>>>,
    free: Vec<u32>,
    numbers: Numbers,
    /// Where frames come with the numbers of their streams: the next index of streams that were closed, since one may go
    /// on after packets of it were lost for long.
    ended: HashMap<u64, u32>,
    /// Where there is a ring, whose packets can be asked for by their stream's number.
    found: Option<Found>,
    /// The protocols from which names are learnt, whoever else wants them, as bits of the registry.
    learnt_from: u64,
    /// Whether any flow was ever let go that had been wanted.
    left: bool,
    /// What `numbers` said of the flow that opens now.
    truncated_before: Option<i64>,
    config: Config,
    /// The outlet has one of its own: both are used at once.
    store: Store,
    outlet: Outlet,
}

/// One thread's part of the pipeline.
pub struct Shard {
    decoder: Decoder,
    flows: Flows,
    keep: Keep,
    store: Store,
    streams: Streams,
    interfaces: usize,
    own: Option<OwnCheck>,
    tap: Option<FrameTap>,
    raw: Option<Box<dyn FrameSink>>,
    /// Frames taken.
    seen: u64,
    clock: PacketClock,
    /// Jumps that the flow table took silence for.
    silences: u64,
}

impl Shard {
    /// A shard that has seen nothing yet.
    pub fn new(config: ShardConfig) -> Shard {
        let store = match &config.keep {
            Keep::Mapped(store) => store.clone(),
            Keep::Ring(ring) => ring.store(),
        };
        let dissect = Config {
            limits: config.dissect,
            ..Config::default()
        };
        // what comes with the numbers of its streams was recorded, and a stream that was kept late comes as a whole
        let flow = FlowLimits {
            looks_back: matches!(config.numbers, Some(Numbers::WithFrames(_))),
            ..config.flow
        };
        let outlet = Outlet::new(
            config.plan,
            config.origin,
            config.names,
            config.learns,
            store.clone(),
            config.consumer,
            config.recorder,
        );
        let mut streams = Streams {
            slots: Vec::new(),
            asked: Vec::new(),
            states: Vec::new(),
            free: Vec::new(),
            numbers: config.numbers.unwrap_or_else(counting_from_zero),
            ended: HashMap::new(),
            found: matches!(config.keep, Keep::Ring(_)).then(Found::default),
            learnt_from: 0,
            left: false,
            truncated_before: None,
            config: dissect,
            store: store.clone(),
            outlet,
        };
        streams.follow_plan();
        Shard {
            decoder: Decoder::new(config.decode),
            flows: Flows::new(flow),
            keep: config.keep,
            store,
            streams,
            interfaces: 0,
            own: config.own,
            tap: config.tap,
            raw: config.raw,
            seen: 0,
            clock: PacketClock::new(),
            silences: 0,
        }
    }

    /// Takes a frame.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>) {
        let counters = &mut self.streams.outlet.counters;
        self.seen += 1;
        counters.bytes += u64::from(frame.wire_len);
        if let Some(raw) = &mut self.raw
            && !raw.frame(frame)
        {
            counters.drops.add(Reason::RawQueue, 1);
        }
        if !self.clock.goes_on(frame.ts) {
            self.step(frame.ts);
        }
        // borrowed, not moved out: the copy would wait for the stores before it
        let decoded = self.decoder.decode(frame);
        if self.streams.outlet.plan.sees_packets() {
            let fragmented = match &decoded {
                Ok(packet) => !packet.parts.is_empty(),
                Err(skip) => matches!(skip, Skip::FragmentHeld | Skip::Fragment),
            };
            self.streams.outlet.consumer.packet(&PacketSeen {
                ts: frame.ts,
                captured: u32::try_from(frame.data.len()).unwrap_or(u32::MAX),
                wire: frame.wire_len,
                fragmented,
            });
        }
        let packet = match &decoded {
            Ok(packet) => packet,
            Err(Skip::FragmentHeld) => return self.hold_fragment(frame),
            Err(skip) => return self.streams.skipped(*skip),
        };
        self.flows.tick(frame.ts, &self.store, &mut self.streams);
        self.streams.time_out(&mut self.clock);
        let mut touch = self
            .flows
            .touch(packet, frame.ts, &self.store, &mut self.streams);
        if let Numbers::WithFrames(number) = &self.streams.numbers
            && number.stream() > self.flows.get(touch.flow).stream
        {
            // another connection on the same ports, though nothing else says so
            touch =
                self.flows
                    .replace(touch.flow, packet, frame.ts, &self.store, &mut self.streams);
        }
        if touch.duplicate {
            return; // the flow table counts it
        }
        let flow = self.flows.get_mut(touch.flow);
        if touch.new || self.streams.is_stale(touch.flow) {
            self.streams.ask(flow, touch, &mut self.own);
        }
        if !flow.wanted {
            let reason = if flow.flags & OWN != 0 {
                Reason::Own
            } else {
                Reason::Unwanted
            };
            self.streams.outlet.counters.drops.add(reason, 1);
            return;
        }
        let at = match &mut self.keep {
            Keep::Mapped(_) => frame.pos,
            Keep::Ring(ring) => {
                let before = link_parts(ring, packet.parts, flow.last_pos);
                ring.append(&FrameHeader::of(frame, before), frame.data)
            }
        };
        flow.last_pos = at;
        if let Some(tap) = &mut self.tap {
            tap(flow.stream, flow.transport() == flow::Transport::Udp, frame);
        }
        let recording = self.streams.kept(flow.slot, at);
        if recording != 0 && !packet.parts.is_empty() {
            self.streams
                .outlet
                .record_parts(flow.stream, recording, at, packet.parts.len());
        }
        let pos = packet.payload_off.map_or(NO_POS, |off| at + u64::from(off));
        let slot = flow.slot;
        let stream = flow.stream;
        self.flows
            .segment(touch, packet, pos, frame.ts, &self.store, &mut self.streams);
        if recording != 0 && slot != NONE {
            self.streams.outlet.record(stream, recording, at);
        }
    }

    /// Wall-clock time on a silent source.
    pub fn tick(&mut self, now: i64) {
        self.clock.has_ticks();
        self.pass(now);
    }

    /// A frame that does not follow soon on the one before. However long the silence was that no ticks told of, no clock
    /// jumped.
    #[cold]
    fn step(&mut self, ts: i64) {
        let Some(pauses) = self.clock.pauses(ts) else {
            self.clock.advance(ts, self.streams.config.limits.timeout);
            return;
        };
        let jumps = self.flows.clock_jumps();
        pauses.for_each(|moment| self.pass(moment));
        self.silences += self.flows.clock_jumps() - jumps;
    }

    /// Time passes without a packet.
    #[cold]
    fn pass(&mut self, now: i64) {
        self.decoder.tick(now);
        self.flows.tick(now, &self.store, &mut self.streams);
        self.clock.advance(now, self.streams.config.limits.timeout);
        self.streams.time_out(&mut self.clock);
    }

    /// Keeps a fragment until its datagram is whole and its flow known.
    #[cold]
    fn hold_fragment(&mut self, frame: &Frame<'_>) {
        if let Keep::Ring(ring) = &mut self.keep {
            let at = ring.append(&FrameHeader::of(frame, NO_POS), frame.data);
            self.decoder.held_at(at);
        }
    }

    /// Between batches: queues of sinks.
    pub fn end_of_batch(&mut self) {
        self.streams.outlet.flush(self.clock.now());
    }

    /// Swaps the plan.
    pub fn set_plan(&mut self, plan: Arc<Plan>) {
        self.streams.outlet.plan = plan;
        self.streams.follow_plan();
    }

    /// What its plan wants of the kernel: see [`Plan::packets`].
    pub fn packets(&self) -> String {
        self.streams.outlet.plan.packets(self.streams.learnt_from)
    }

    /// Tells the recorder of new interfaces.
    pub fn interfaces(&mut self, interfaces: &[Interface]) {
        if interfaces.len() == self.interfaces {
            return;
        }
        self.interfaces = interfaces.len();
        if let Some(recorder) = &mut self.streams.outlet.recorder {
            recorder.interfaces(interfaces);
        }
        if let Some(raw) = &mut self.raw {
            raw.interfaces(interfaces);
        }
    }

    /// The position in the ring of a stream's newest frame, where it runs or ended lately.
    pub fn newest_frame(&self, stream: u64) -> Option<u64> {
        let place = self.streams.found.as_ref()?.get(stream)?;
        let (_, newest) = self.streams.newest_frame(place)?;
        (newest != NO_POS).then_some(newest)
    }

    /// The streams of which frames may be in the ring: number, and whether it is UDP.
    pub fn stream_numbers(&self) -> Vec<(u64, bool)> {
        let (streams, tail) = (&self.streams, self.store.tail());
        let of = |(number, place): (u64, Place)| {
            let (udp, newest) = streams.newest_frame(place)?;
            (newest != NO_POS && newest >= tail).then_some((number, udp))
        };
        let found = streams.found.iter().flat_map(Found::iter);
        let mut there: Vec<_> = found.filter_map(of).collect();
        there.sort_unstable();
        there
    }

    /// The numbers of the streams that run: those of which something may still come.
    pub fn running(&self) -> impl Iterator<Item = u64> {
        let states = self.streams.states.iter().flatten();
        states.map(|state| state.about.stream)
    }

    /// Whether the consumer has enough.
    pub fn has_enough(&self) -> bool {
        self.streams.outlet.enough
    }

    /// The source ended: everything held is handed on.
    pub fn finish(&mut self) {
        self.flows.drain(&self.store, &mut self.streams);
        self.streams.outlet.flush(self.clock.now());
    }

    /// Shows the counters.
    pub fn publish(&mut self, source: SourceStats, board: &Board) {
        let counters = &mut self.streams.outlet.counters;
        let (decode, flow) = (self.decoder.counters(), self.flows.counters());
        counters.frames = self.seen + source.loopback_copies;
        counters.newest = self.clock.now();
        counters.tcp_packets = decode.tcp;
        counters.udp_packets = decode.udp;
        counters.icmp_packets = decode.transport(1) + decode.transport(58);
        counters.streams = flow.opened;
        counters.live_tcp_streams = u64::from(self.flows.live());
        let drops = &mut counters.drops;
        drops.set(Reason::Kernel, source.kernel_dropped);
        drops.set(Reason::Duplicate, flow.duplicates + source.loopback_copies);
        drops.set(
            Reason::Fragment,
            decode.fragments_refused + decode.datagrams_incomplete,
        );
        drops.set(Reason::Retransmission, flow.retransmitted);
        drops.set(Reason::Gap, flow.gaps);
        drops.set(Reason::Overwritten, flow.overwritten_bytes);
        drops.set(Reason::Reorder, flow.reorder_cuts);
        drops.set(Reason::FlowTable, flow.evicted);
        drops.set(Reason::ClockJump, self.flows.clock_jumps() - self.silences);
        if let Some(raw) = &mut self.raw {
            raw.flush(counters.newest, source.kernel_dropped);
            drops.set(Reason::RawDisk, raw.lost());
        }
        counters.source = source;
        board.publish(counters);
    }
}

fn counting_from_zero() -> Numbers {
    let mut next = 0;
    Numbers::Given(Box::new(move || {
        next += 1;
        (next - 1, None)
    }))
}

/// Puts the frames that brought the earlier fragments of a datagram into the chain of its flow; gives the position of
/// the last. They were appended before their flow was known, so they are appended once more.
fn link_parts(ring: &mut Ring, parts: &[u64], mut prev: u64) -> u64 {
    let mut data = Vec::new();
    for part in parts {
        data.clear();
        if let Some(held) = ring.store().copy_frame(*part, &mut data) {
            prev = ring.append(&FrameHeader { prev, ..held }, &data);
        }
    }
    prev
}

impl Streams {
    /// Has those protocols read, with or without bodies, that the plan wants, and those that names are learnt from.
    fn follow_plan(&mut self) {
        let dns = gillnet_protocols::index("dns")
            .filter(|_| self.outlet.learns && self.outlet.names.learns_dns());
        self.learnt_from = dns.map_or(0, |dns| 1 << dns);
        self.config.enabled = self.outlet.plan.protocols() | self.learnt_from;
        self.config.bodies = self.outlet.plan.bodies();
    }

    /// Whether a flow must be asked again: the plan changed, or names did and one could decide, or it became known what
    /// it is.
    #[inline]
    fn is_stale(&self, flow: u32) -> bool {
        let asked = self.asked.get(flow as usize).unwrap_or(&NEVER);
        let outlet = &self.outlet;
        asked.plan != outlet.plan.generation()
            || (asked.open && asked.names != outlet.names.generation())
    }

    /// Asks what the ends of a flow are called and who can want it.
    #[cold]
    fn ask(&mut self, flow: &mut Flow, touch: Touch, own: &mut Option<OwnCheck>) {
        let index = touch.flow as usize;
        if self.asked.len() <= index {
            self.asked.resize(index + 1, NEVER);
            self.slots.resize(index + 1, NONE);
        }
        let (a, b) = flow.ends();
        let ends = [a, b];
        let transport = match flow.transport() {
            flow::Transport::Tcp => Transport::Tcp,
            flow::Transport::Udp => Transport::Udp,
        };
        if touch.new {
            let is_tcp = transport == Transport::Tcp;
            let is_own = is_tcp && own.as_mut().is_some_and(|is_own| is_own(&ends));
            flow.flags = if is_own { OWN } else { 0 };
            flow.last_pos = NO_POS;
        }
        let outlet = &self.outlet;
        let (plan, names) = (outlet.plan.generation(), outlet.names.generation());
        let state = self.states.get_mut(flow.slot as usize);
        let mut state = state.and_then(Option::as_mut);
        let protocols = match &state {
            Some(state) => state.stream.possible(),
            None => gillnet_protocols::on(transport),
        };
        let known = ends.map(|(ip, port)| outlet.names.known(ip, port, flow.last_ts()));
        let (possible, open) = outlet.plan.flow(&ends, &known, protocols);
        self.asked[index] = Asked { plan, names, open };

        let was_wanted = flow.wanted;
        let recorded = state
            .as_ref()
            .map_or(0, |state| state.about.recording & outlet.plan.recording());
        let wanted = possible | recorded != 0 || protocols & self.learnt_from != 0;
        flow.wanted = wanted && flow.flags & OWN == 0;
        let names = known.map(|known| match known {
            Knowledge::Known(name) => name,
            Knowledge::KnownNone | Knowledge::Unknown => Arc::clone(&outlet.nameless),
        });
        if let Some(state) = &mut state {
            state.about.possible = possible;
            state.about.names = names;
            if was_wanted && !flow.wanted {
                let at = [Dir::Up, Dir::Down].map(|dir| flow.offset(dir));
                state.left = Some(at);
                self.left = true;
            } else if flow.wanted && !was_wanted {
                // what came meanwhile was not kept
                state.about.truncated_before = Some(flow.last_ts());
            }
        } else if flow.wanted {
            let about = About {
                stream: flow.stream,
                transport,
                ends,
                names,
                index: self.ended.remove(&flow.stream).unwrap_or(0),
                possible,
                recording: 0,
                last_pos: NO_POS,
                truncated_before: if touch.new {
                    self.truncated_before
                } else {
                    Some(flow.last_ts())
                },
            };
            let stream = flow.stream;
            flow.slot = self.insert(Box::new(State {
                about,
                stream: Stream::new(transport, (a.1, b.1)),
                left: None,
            }));
            self.slots[index] = flow.slot;
            if let Some(found) = &mut self.found {
                found.runs(stream, flow.slot);
            }
        }
    }

    /// Of the stream that is there: whether it is UDP, and the position of its newest frame.
    fn newest_frame(&self, place: Place) -> Option<(bool, u64)> {
        match place {
            Place::Runs(slot) => {
                let about = &self.states.get(slot as usize)?.as_ref()?.about;
                Some((about.transport == Transport::Udp, about.last_pos))
            }
            Place::Ended(udp, newest) => Some((udp, newest)),
        }
    }

    #[allow(clippy::cast_possible_truncation)] // the flow table is bounded far below 2^32
    fn insert(&mut self, state: Box<State>) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.states[slot as usize] = Some(state);
                slot
            }
            None => {
                self.states.push(Some(state));
                (self.states.len() - 1) as u32
            }
        }
    }

    /// Counts what decoding passed over.
    #[cold]
    fn skipped(&mut self, skip: Skip) {
        let reason = match skip {
            Skip::LinkType => Reason::LinkType,
            Skip::NotIp => Reason::NotIp,
            Skip::Malformed => Reason::Malformed,
            Skip::Transport(_) => Reason::Transport,
            Skip::Nesting => Reason::Nesting,
            // counted where their datagram is whole, or given up
            Skip::FragmentHeld | Skip::Fragment => return,
        };
        self.outlet.counters.drops.add(reason, 1);
    }

    /// Notes a stream's newest frame; gives the wants that record it.
    #[inline]
    fn kept(&mut self, slot: u32, at: u64) -> Matched {
        self.outlet.counters.kept += 1;
        let Some(state) = self.states.get_mut(slot as usize).and_then(Option::as_mut) else {
            return 0;
        };
        let about = &mut state.about;
        about.last_pos = at;
        let recording = about.recording & self.outlet.plan.recording();
        let begun = about.possible & self.outlet.plan.whole() & !about.recording;
        if begun != 0 {
            self.outlet.begin(about, begun);
        }
        recording
    }

    /// The stream of a flow, and the way out of it.
    #[inline]
    fn stream(&mut self, flow: u32) -> Option<(&mut Stream, &Config, &Store, Emitter<'_>)> {
        let slot = *self.slots.get(flow as usize)?;
        let State { about, stream, .. } = &mut **self.states.get_mut(slot as usize)?.as_mut()?;
        Some((
            stream,
            &self.config,
            &self.store,
            Emitter {
                about,
                outlet: &mut self.outlet,
            },
        ))
    }

    /// Tells a stream of what it did not get while nobody wanted it.
    #[cold]
    fn resume(&mut self, flow: u32, chunk: &Chunk<'_>) {
        let slot = self.slots.get(flow as usize).copied().unwrap_or(NONE);
        let state = self.states.get_mut(slot as usize).and_then(Option::as_mut);
        let Some(left) = state.and_then(|state| state.left.as_mut()) else {
            return;
        };
        let at = std::mem::replace(&mut left[chunk.dir as usize], u64::MAX);
        let missing = chunk.offset.saturating_sub(at);
        if missing > 0 {
            self.gap(flow, chunk.dir, missing, chunk.ts);
        }
    }

    /// Lets requests that wait too long time out, before the packet at hand says more of its stream. What had closed before
    /// is closed.
    #[inline]
    fn time_out(&mut self, clock: &mut PacketClock) {
        if let Some(moment) = clock.due() {
            self.look(moment);
        }
    }

    #[cold]
    fn look(&mut self, now: i64) {
        for state in self.states.iter_mut().flatten() {
            let State { about, stream, .. } = &mut **state;
            stream.tick(
                now,
                &self.config,
                &mut Emitter {
                    about,
                    outlet: &mut self.outlet,
                },
            );
        }
    }
}

impl StreamSink for Streams {
    #[inline]
    fn chunk(&mut self, flow: u32, chunk: &Chunk<'_>) {
        self.outlet.counters.chunks += 1;
        if self.left {
            self.resume(flow, chunk);
        }
        let Some((stream, config, store, mut out)) = self.stream(flow) else {
            return;
        };
        let before = stream.possible();
        stream.chunk(chunk, &StoreBytes(store), config, &mut out);
        let now = stream.possible();
        if now != before && !out.outlet.plan.stands(out.about.possible, now) {
            // with the flow's next frame it is asked who wants what it turned out to be
            self.asked[flow as usize] = NEVER;
        }
    }

    fn gap(&mut self, flow: u32, dir: Dir, missing: u64, ts: i64) {
        if let Some((stream, config, _, mut out)) = self.stream(flow) {
            stream.gap(dir, missing, ts, config, &mut out);
        }
    }

    fn half_close(&mut self, flow: u32, dir: Dir, ts: i64) {
        if let Some((stream, config, _, mut out)) = self.stream(flow) {
            stream.half_close(dir, ts, config, &mut out);
        }
    }
}

impl FlowSink for Streams {
    fn number(&mut self) -> u64 {
        let (number, truncated_before) = self.numbers.give();
        self.truncated_before = truncated_before;
        number
    }

    fn closed(&mut self, flow: u32, entry: &Flow, why: Close) {
        if let Some((stream, config, _, mut out)) = self.stream(flow) {
            stream.close(why, entry.last_ts(), config, &mut out);
        }
        let Some(slot) = self
            .slots
            .get_mut(flow as usize)
            .map(|slot| std::mem::replace(slot, NONE))
        else {
            return;
        };
        if let Some(state) = self.states.get_mut(slot as usize).and_then(Option::take) {
            self.free.push(slot);
            if matches!(self.numbers, Numbers::WithFrames(_)) && state.about.index > 0 {
                if self.ended.len() >= MOST_ENDED {
                    self.ended.clear();
                }
                self.ended.insert(state.about.stream, state.about.index);
            }
            self.outlet.end(&state.about);
            if let Some(found) = &mut self.found {
                found.ends(&state.about);
            }
        }
    }
}
