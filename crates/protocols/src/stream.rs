//! One stream: says what protocol it is and drives its dissector.
//!
//! Bytes go to the dissector as they lie in the byte store. They are joined only where a message is cut by a packet's
//! end ([`Step::Need`]), within a limit; what a dissector passes over ([`Step::Skip`]) is only counted down.
//!
//! ```text
//!  Identify ──yes──► Open ──close──► Done
//!     │  ▲            │ │
//!     │  └─hand over──┘ └─lost─► Done
//!     ├──yes, but nobody wants it──► Idle ──someone does──► Open
//!     └──nothing known────────────────────────────────────► Done
//! ```

use crate::REGISTRY;
use crate::dissect::{
    AfterGap, Dissector, EntrySink, Feed, Limits, Skipped, Start, Step, Verdict, Why,
};
use gillnet_entry::drops::Reason;
use gillnet_entry::{Bytes, Nothing, Transport};
use gillnet_streams::{Chunk, Close, Dir};

/// Position of bytes that are in no store.
const NO_POS: u64 = u64::MAX;

/// Packets with bytes that are looked at for a protocol before a stream counts as of none.
const MAX_TRIES: u16 = 64;

/// The same, where a port says what to expect (picked up inside a long body).
const MAX_TRIES_HINTED: u16 = 2048;

/// Bytes that are joined to identify a stream.
const MAX_FIRST: usize = 16 << 10;

/// Bytes that are joined to find the start of a message behind a gap.
const MAX_START: usize = 16 << 10;

/// Bytes by which joined ones grow at least, so that a head is not looked through for each.
const GROW: usize = 2048;

/// How often a stream may be handed to another protocol.
const MAX_HANDOFFS: u8 = 8;

/// What holds for all streams of a shard now.
#[derive(Clone, Debug)]
pub struct Config {
    /// Limits of dissectors.
    pub limits: Limits,
    /// Whether anyone wants bodies.
    pub bodies: bool,
    /// A bit for each protocol of [`REGISTRY`] that someone wants, the first being the lowest.
    pub enabled: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            limits: Limits::default(),
            bodies: true,
            enabled: u64::MAX,
        }
    }
}

impl Config {
    fn wants(&self, protocol: u8) -> bool {
        self.enabled >> (protocol & 63) & 1 == 1
    }
}

/// One stream.
pub struct Stream {
    state: State,
    sides: [Side; 2],
    ports: (u16, u16),
    transport: Transport,
    handoffs: u8,
    /// It has been counted as one whose dissector lost the thread.
    counted_lost: bool,
}

enum State {
    /// Not known yet what it is; so many packets were looked at.
    Identify(u16),
    Open(u8, Box<dyn Dissector>),
    /// Known, and nobody wants it.
    Idle(u8),
    /// Nothing more of it is looked at.
    Done,
}

/// One direction.
#[derive(Default)]
struct Side {
    /// Bytes that the dissector passes over and that have not come yet.
    skip: u64,
    /// How many of those that it passed over never came.
    skip_missing: u64,
    /// Time of the packet with the last of them that came, ns.
    skip_ts: i64,
    /// Bytes that wait for what follows them.
    held: Option<Box<Held>>,
    /// The start of a message must be looked for.
    resync: Option<Behind>,
}

/// Where the bytes stand in which the start of a message is looked for.
#[derive(Clone, Copy)]
enum Behind {
    /// Behind something that was not understood, or a gap: none has been looked at.
    Start,
    /// Time of the packet that brought the first of them, ns; some have been given up.
    Later(i64),
}

struct Held {
    bytes: Vec<u8>,
    /// How many must be there.
    need: usize,
    /// Time of the packet that brought the first, ns.
    first_ts: i64,
    /// Time of the packet that brought the last, ns.
    last_ts: i64,
}

/// What a call needs from outside.
#[derive(Clone, Copy)]
struct Outside<'a> {
    store: &'a dyn Bytes,
    config: &'a Config,
    /// Each packet stands alone: nothing is joined.
    datagram: bool,
    /// Nothing follows in this direction.
    last: bool,
}

/// Bytes of a packet that are not used yet.
#[derive(Clone, Copy)]
struct Piece<'a> {
    dir: Dir,
    data: &'a [u8],
    pos: Option<u64>,
    /// Time of the packet that brought the last of them, ns.
    ts: i64,
    /// Time of the packet that brought the first of them, ns.
    first_ts: i64,
}

impl<'a> Piece<'a> {
    /// Held bytes, fed as if they were a packet's.
    fn held(dir: Dir, held: &'a Held) -> Piece<'a> {
        Piece {
            dir,
            data: &held.bytes,
            pos: None,
            ts: held.last_ts,
            first_ts: held.first_ts,
        }
    }
}

impl Piece<'_> {
    #[inline]
    fn advance(&mut self, n: usize) {
        let n = n.min(self.data.len());
        self.data = self.data.get(n..).unwrap_or_default();
        self.pos = self.pos.map(|pos| pos + n as u64);
    }

    /// Advances by as much of `n` as is there and returns the rest of `n`.
    fn skip(&mut self, n: u64) -> u64 {
        let there = self.data.len() as u64;
        self.advance(usize::try_from(n).unwrap_or(usize::MAX));
        n.saturating_sub(there)
    }

    #[inline]
    fn feed<'f>(
        &self,
        data: &'f [u8],
        pos: Option<u64>,
        first_ts: i64,
        outside: Outside<'f>,
    ) -> Feed<'f> {
        Feed {
            dir: self.dir,
            data,
            pos,
            ts: self.ts,
            first_ts,
            bodies: outside.config.bodies,
            limits: &outside.config.limits,
            store: outside.store,
            last: outside.last,
        }
    }
}

/// What a dissector's step means for the stream.
enum Flow {
    /// Goes on with what is left of the packet.
    On,
    /// Waits for the next packet.
    Wait,
    /// The dissector lost the thread of this direction.
    Resync,
    /// The datagram ends inside a message.
    Cut,
    /// Another protocol follows.
    Handoff(Option<&'static str>),
    /// The dissector gave up.
    Lost(Why),
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self
            .protocol()
            .and_then(|p| REGISTRY.get(usize::from(p)))
            .map_or("", |p| p.name);
        f.debug_struct("Stream")
            .field("protocol", &name)
            .field("held", &self.held_bytes())
            .finish()
    }
}

impl Stream {
    /// A stream between two ports, of which nothing is known yet.
    pub fn new(transport: Transport, ports: (u16, u16)) -> Stream {
        Stream {
            state: State::Identify(0),
            sides: Default::default(),
            ports,
            transport,
            handoffs: 0,
            counted_lost: false,
        }
    }

    /// The protocol, as an index of [`REGISTRY`], once it is known.
    pub fn protocol(&self) -> Option<u8> {
        match self.state {
            State::Open(protocol, _) | State::Idle(protocol) => Some(protocol),
            State::Identify(_) | State::Done => None,
        }
    }

    /// Whether nothing more of it is looked at.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes that it holds on the heap, about.
    pub fn held_bytes(&self) -> usize {
        let held = |side: &Side| {
            side.held
                .as_ref()
                .map_or(0, |h| size_of::<Held>() + h.bytes.capacity())
        };
        let dissector = match &self.state {
            State::Open(_, dissector) => size_of_val(&**dissector) + dissector.held(),
            _ => 0,
        };
        self.sides.iter().map(held).sum::<usize>() + dissector
    }

    /// Bytes of a direction that follow those before, or a datagram.
    pub fn chunk(
        &mut self,
        chunk: &Chunk<'_>,
        store: &dyn Bytes,
        config: &Config,
        out: &mut dyn EntrySink,
    ) {
        let pos = (chunk.pos != NO_POS).then_some(chunk.pos);
        let piece = Piece {
            dir: chunk.dir,
            data: chunk.data,
            pos,
            ts: chunk.ts,
            first_ts: chunk.ts,
        };
        self.take(piece, self.outside(store, config, false), out);
    }

    /// So many bytes of a direction never came.
    pub fn gap(
        &mut self,
        dir: Dir,
        missing: u64,
        _ts: i64,
        config: &Config,
        out: &mut dyn EntrySink,
    ) {
        self.take_last(dir, config, out);
        let State::Open(_, dissector) = &mut self.state else {
            self.sides[dir as usize].resync = Some(Behind::Start);
            return;
        };
        let side = &mut self.sides[dir as usize];
        let inside = side.skip.min(missing);
        if inside > 0 {
            side.skip -= inside;
            side.skip_missing += inside;
            if side.skip == 0 {
                side.end_skip(dir, &mut **dissector, out);
            }
        }
        let beyond = missing - inside;
        if beyond > 0
            && side.resync.is_none()
            && dissector.gap(dir, beyond, out) == AfterGap::Resync
        {
            side.resync = Some(Behind::Start);
        }
    }

    /// A direction has ended.
    pub fn half_close(&mut self, dir: Dir, ts: i64, config: &Config, out: &mut dyn EntrySink) {
        self.take_last(dir, config, out);
        if let State::Open(_, dissector) = &mut self.state {
            let side = &mut self.sides[dir as usize];
            if side.skip > 0 {
                side.end_skip(dir, &mut **dissector, out);
            }
            dissector.half_close(dir, ts, out);
        }
    }

    /// Packet time moved on.
    pub fn tick(&mut self, now: i64, config: &Config, out: &mut dyn EntrySink) {
        if let State::Open(_, dissector) = &mut self.state {
            dissector.tick(now, &config.limits, out);
        }
    }

    /// The stream ended: what is unfinished or unpaired is emitted. Nothing is taken after it.
    pub fn close(&mut self, why: Close, ts: i64, config: &Config, out: &mut dyn EntrySink) {
        if let State::Identify(tries) = self.state {
            let seen = tries > 0 || self.sides.iter().any(|side| side.held.is_some());
            return self.give_up(seen.then_some(Reason::Unidentified), out);
        }
        for dir in [Dir::Up, Dir::Down] {
            self.take_last(dir, config, out);
        }
        if let State::Open(_, dissector) = &mut self.state {
            for (side, dir) in self.sides.iter_mut().zip([Dir::Up, Dir::Down]) {
                if side.skip > 0 {
                    side.end_skip(dir, &mut **dissector, out);
                }
            }
            dissector.close(why, ts, out);
        }
        self.give_up(None, out);
    }

    /// Takes what is held of a direction, as nothing follows it.
    fn take_last(&mut self, dir: Dir, config: &Config, out: &mut dyn EntrySink) {
        let side = &mut self.sides[dir as usize];
        if let Some(held) = side.held.take()
            && matches!(self.state, State::Open(..))
            && side.resync.is_none()
        {
            // what is held is in no store
            self.take(
                Piece::held(dir, &held),
                self.outside(&Nothing, config, true),
                out,
            );
            self.sides[dir as usize].held = None;
        }
    }

    /// Takes a packet's bytes, through as many protocols as they hold.
    fn take(&mut self, mut piece: Piece<'_>, outside: Outside<'_>, out: &mut dyn EntrySink) {
        loop {
            let flow = match &mut self.state {
                State::Open(protocol, dissector) => {
                    if !outside.config.wants(*protocol) {
                        self.state = State::Idle(*protocol);
                        self.sides = Default::default();
                        return;
                    }
                    drive(&mut **dissector, &mut self.sides, &mut piece, outside, out)
                }
                State::Identify(_) => {
                    if !self.identify(&piece, outside, out) {
                        return;
                    }
                    continue;
                }
                State::Idle(protocol) if outside.config.wants(*protocol) => {
                    let protocol = *protocol;
                    self.open(protocol);
                    self.sides
                        .iter_mut()
                        .for_each(|side| side.resync = Some(Behind::Start));
                    continue;
                }
                State::Idle(_) | State::Done => return,
            };
            match flow {
                Flow::On => {}
                Flow::Wait => return,
                Flow::Cut => return out.count(Reason::Malformed, 1),
                Flow::Resync if self.counted_lost => {}
                Flow::Resync => {
                    self.counted_lost = true;
                    out.count(Reason::Lost, 1);
                }
                Flow::Handoff(name) => self.hand_over(name, &piece, outside, out),
                Flow::Lost(why) => return self.lose(why, &piece, out),
            }
            if piece.data.is_empty() {
                return;
            }
        }
    }

    fn outside<'a>(&self, store: &'a dyn Bytes, config: &'a Config, last: bool) -> Outside<'a> {
        Outside {
            store,
            config,
            datagram: self.transport == Transport::Udp,
            last,
        }
    }

    fn open(&mut self, protocol: u8) {
        if let Some(entry) = REGISTRY.get(usize::from(protocol)) {
            self.state = State::Open(protocol, (entry.open)(self.transport));
        }
    }

    /// The stream goes on as another protocol.
    fn hand_over(
        &mut self,
        name: Option<&'static str>,
        piece: &Piece<'_>,
        outside: Outside<'_>,
        out: &mut dyn EntrySink,
    ) {
        if let State::Open(_, mut dissector) =
            std::mem::replace(&mut self.state, State::Identify(0))
        {
            dissector.close(Close::End, piece.ts, out);
        }
        let other = &mut self.sides[piece.dir.flip() as usize];
        other.skip = 0;
        other.resync = None;
        self.handoffs += 1;
        let known = name.map(|name| REGISTRY.iter().position(|p| p.name == name));
        let known = known.map(|at| at.and_then(|at| u8::try_from(at).ok()));
        match known {
            _ if self.handoffs > MAX_HANDOFFS => self.give_up(Some(Reason::Lost), out),
            Some(None) => self.give_up(Some(Reason::Unidentified), out),
            Some(Some(protocol)) if outside.config.wants(protocol) => self.open(protocol),
            Some(Some(protocol)) => self.state = State::Idle(protocol),
            None => {}
        }
    }

    fn lose(&mut self, why: Why, piece: &Piece<'_>, out: &mut dyn EntrySink) {
        if let State::Open(_, dissector) = &mut self.state {
            dissector.close(Close::End, piece.ts, out);
        }
        let reason = match why {
            Why::HeadLimit => Some(Reason::HeadLimit),
            Why::Malformed => (!self.counted_lost).then_some(Reason::Lost),
        };
        self.give_up(reason, out);
    }

    /// Nothing more is looked at.
    fn give_up(&mut self, reason: Option<Reason>, out: &mut dyn EntrySink) {
        if let Some(reason) = reason {
            out.count(reason, 1);
        }
        self.state = State::Done;
        self.sides = Default::default();
    }

    /// Looks at a packet's bytes and those held before them. Says whether it is known now; then they are still to be
    /// taken.
    fn identify(
        &mut self,
        piece: &Piece<'_>,
        outside: Outside<'_>,
        out: &mut dyn EntrySink,
    ) -> bool {
        let side = &mut self.sides[piece.dir as usize];
        let before = side.held.as_ref().map_or(0, |held| held.bytes.len());
        let room = MAX_FIRST.saturating_sub(before).min(piece.data.len());
        let more = piece.data.get(..room).unwrap_or_default();
        let first = match &mut side.held {
            Some(held) => {
                held.extend(more, piece.ts);
                &held.bytes
            }
            None => more,
        };
        match which(first, self.transport, self.ports) {
            Which::Protocol(protocol) => {
                if let Some(held) = &mut side.held {
                    held.bytes.truncate(before);
                }
                self.known(protocol, piece.dir, outside, out);
                return true;
            }
            Which::Undecided => {
                side.held
                    .get_or_insert_with(|| Box::new(Held::new(more, 0, piece)));
            }
            Which::None { limit } => {
                side.held = None;
                side.resync = Some(Behind::Later(piece.ts)); // what came is not kept
                self.refused(limit, out);
            }
        }
        false
    }

    /// Bytes were of no known protocol.
    fn refused(&mut self, limit: u16, out: &mut dyn EntrySink) {
        if let State::Identify(tries) = &mut self.state {
            *tries += 1;
            if *tries >= limit {
                self.give_up(Some(Reason::Unidentified), out);
            }
        }
    }

    /// It is known what the stream is, by the bytes of one direction: what is held of the other comes before them.
    fn known(&mut self, protocol: u8, dir: Dir, outside: Outside<'_>, out: &mut dyn EntrySink) {
        if !outside.config.wants(protocol) {
            self.state = State::Idle(protocol);
            self.sides = Default::default();
            return;
        }
        self.open(protocol);
        self.sides[dir as usize].resync = None;
        let other = &mut self.sides[dir.flip() as usize];
        if let Some(held) = other.held.take() {
            self.take(Piece::held(dir.flip(), &held), outside, out);
        }
    }
}

/// What the first bytes say.
enum Which {
    Protocol(u8),
    /// Too few to say.
    Undecided,
    /// None that is known; so many packets may be looked at.
    None {
        limit: u16,
    },
}

/// Asks the registry in its order.
fn which(first: &[u8], transport: Transport, ports: (u16, u16)) -> Which {
    let mut limit = MAX_TRIES;
    for (protocol, entry) in (0u8..).zip(REGISTRY) {
        if !entry.transports.contains(&transport) {
            continue;
        }
        let hint = entry.ports.contains(&ports.0) || entry.ports.contains(&ports.1);
        match (entry.identify)(first, transport, hint) {
            Verdict::Yes => return Which::Protocol(protocol),
            // those behind it might say yes, but it comes before them
            Verdict::More if transport == Transport::Tcp && first.len() < MAX_FIRST => {
                return Which::Undecided;
            }
            Verdict::More | Verdict::No if hint => limit = MAX_TRIES_HINTED,
            Verdict::More | Verdict::No => {}
        }
    }
    Which::None { limit }
}

impl Held {
    fn new(bytes: &[u8], need: usize, piece: &Piece<'_>) -> Held {
        Held {
            bytes: bytes.to_vec(),
            need,
            first_ts: piece.first_ts,
            last_ts: piece.ts,
        }
    }

    fn extend(&mut self, bytes: &[u8], ts: i64) {
        self.bytes.extend_from_slice(bytes);
        self.last_ts = ts;
    }
}

impl Side {
    /// What is passed over has ended.
    fn end_skip(&mut self, dir: Dir, dissector: &mut dyn Dissector, out: &mut dyn EntrySink) {
        let (left, missing) = (
            std::mem::take(&mut self.skip),
            std::mem::take(&mut self.skip_missing),
        );
        dissector.skipped(
            dir,
            Skipped {
                missing,
                left,
                ts: self.skip_ts,
            },
            out,
        );
    }

    /// Of the held bytes, followed by those of the packet, `n` are used; `before` were held before this packet.
    fn consume(&mut self, n: usize, before: usize, piece: &mut Piece<'_>) {
        match &mut self.held {
            Some(held) if n < before => {
                held.bytes.truncate(before);
                held.bytes.drain(..n);
                held.need = 0;
            }
            _ => {
                self.held = None;
                piece.advance(n.saturating_sub(before));
            }
        }
    }

    /// Does what a dissector answered to the held bytes followed by the packet's; `before` were held before it.
    fn step(
        &mut self,
        step: Step,
        before: usize,
        piece: &mut Piece<'_>,
        outside: Outside<'_>,
    ) -> Flow {
        match step {
            Step::Used(n) if n > 0 => self.consume(n, before, piece),
            Step::Skip(n) if n > 0 => {
                self.consume(before, before, piece);
                self.skip = n.saturating_sub(before as u64);
                self.skip_ts = piece.ts;
            }
            Step::Need(need) => return self.need(need, piece, outside),
            Step::Resync(n) if n > 0 => {
                self.consume(n, before, piece);
                self.resync = Some(Behind::Later(piece.ts));
                return Flow::Resync;
            }
            Step::Handoff(n, name) => {
                self.consume(n, before, piece);
                return Flow::Handoff(name);
            }
            Step::Lost(why) => return Flow::Lost(why),
            // a dissector that stands still would stand still for ever
            Step::Used(_) | Step::Skip(_) | Step::Resync(_) => return Flow::Lost(Why::Malformed),
        }
        Flow::On
    }

    /// Holds what must be joined with what follows.
    #[cold]
    fn need(&mut self, need: usize, piece: &mut Piece<'_>, outside: Outside<'_>) -> Flow {
        if need > outside.config.limits.head {
            return Flow::Lost(Why::HeadLimit);
        }
        match &mut self.held {
            Some(held) => held.need = need,
            None if outside.datagram => return Flow::Cut,
            None => {
                self.held = Some(Box::new(Held::new(piece.data, need, piece)));
                piece.advance(piece.data.len());
            }
        }
        Flow::On
    }

    /// Joins the held bytes with as many of the packet's as are needed, and feeds them.
    #[cold]
    fn join(
        &mut self,
        dissector: &mut dyn Dissector,
        piece: &mut Piece<'_>,
        outside: Outside<'_>,
        out: &mut dyn EntrySink,
    ) -> Flow {
        let Some(held) = &mut self.held else {
            return Flow::On;
        };
        let before = held.bytes.len();
        let grow = held
            .need
            .saturating_sub(before)
            .max(GROW)
            .min(piece.data.len());
        held.extend(piece.data.get(..grow).unwrap_or_default(), piece.ts);
        if held.bytes.len() < held.need {
            piece.advance(grow);
            return Flow::On;
        }
        let step = dissector.feed(&piece.feed(&held.bytes, None, held.first_ts, outside), out);
        if matches!(step, Step::Need(_)) {
            piece.advance(grow); // stays among the held
        }
        self.step(step, before, piece, outside)
    }

    /// Looks for the start of a message behind a gap.
    fn find_start(
        &mut self,
        dissector: &mut dyn Dissector,
        piece: &mut Piece<'_>,
        out: &mut dyn EntrySink,
    ) -> Flow {
        let (at_once, behind) = match self.resync {
            Some(Behind::Later(ts)) => (false, ts),
            // held ones came first, and none of them has been given up
            _ => (
                true,
                self.held.as_ref().map_or(piece.ts, |held| held.first_ts),
            ),
        };
        let before = self.held.as_ref().map_or(0, |held| held.bytes.len());
        let room = MAX_START.saturating_sub(before).min(piece.data.len());
        let bytes = match &mut self.held {
            Some(held) => {
                held.extend(piece.data.get(..room).unwrap_or_default(), piece.ts);
                &held.bytes
            }
            None => piece.data,
        };
        match dissector.resync(piece.dir, bytes) {
            Start::At(at) => {
                self.resync = None;
                dissector.resumed(piece.dir, behind, at_once && at == 0, out);
                self.consume(at, before, piece);
                return Flow::On;
            }
            // longer than the start of one may be: what was not looked at yet is looked at alone
            Start::Maybe(_) if before > 0 && room < piece.data.len() => {
                self.held = None;
                piece.advance(room);
                self.resync = Some(Behind::Later(behind));
                return Flow::On;
            }
            Start::Maybe(at) => {
                if at > 0 {
                    self.resync = Some(Behind::Later(behind));
                }
                match &mut self.held {
                    Some(held) => drop(held.bytes.drain(..at.min(held.bytes.len()))),
                    None => {
                        let rest = piece.data.get(at..).unwrap_or_default();
                        self.held = Some(Box::new(Held::new(rest, 0, piece)));
                    }
                }
            }
            Start::No => {
                self.resync = Some(Behind::Later(behind));
                if self.held.take().is_some() {
                    piece.advance(room);
                    return Flow::On;
                }
            }
        }
        Flow::Wait
    }
}

/// Feeds a packet's bytes to a dissector until they are used or it wants more.
fn drive(
    dissector: &mut dyn Dissector,
    sides: &mut [Side; 2],
    piece: &mut Piece<'_>,
    outside: Outside<'_>,
    out: &mut dyn EntrySink,
) -> Flow {
    let side = &mut sides[piece.dir as usize];
    while !piece.data.is_empty() {
        let flow = if side.skip > 0 {
            side.skip = piece.skip(side.skip);
            side.skip_ts = piece.ts;
            if side.skip == 0 {
                side.end_skip(piece.dir, dissector, out);
            }
            Flow::On
        } else if side.resync.is_some() {
            side.find_start(dissector, piece, out)
        } else if side.held.is_some() {
            side.join(dissector, piece, outside, out)
        } else {
            match dissector.feed(
                &piece.feed(piece.data, piece.pos, piece.first_ts, outside),
                out,
            ) {
                Step::Used(n) if n > 0 => {
                    piece.advance(n);
                    Flow::On
                }
                step => side.step(step, 0, piece, outside),
            }
        };
        if !matches!(flow, Flow::On) {
            return flow;
        }
    }
    Flow::Wait
}
