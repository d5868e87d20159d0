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

mod identify;
mod side;
#[cfg(test)]
mod tests;

use crate::REGISTRY;
use crate::dissect::{Dissector, EntrySink, Limits, Why};
use gillnet_entry::drops::Reason;
use gillnet_entry::{Bytes, Nothing, Transport};
use gillnet_streams::{Chunk, Close, Dir};
use identify::{MAX_FIRST, Which, which};
use side::{Behind, Flow, Held, Outside, Piece, Side, drive};

/// Position of bytes that are in no store.
const NO_POS: u64 = u64::MAX;

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

    /// The protocols of which entries can still come, a bit for each of [`REGISTRY`].
    #[inline]
    pub fn possible(&self) -> u64 {
        match self.state {
            State::Identify(_) => crate::on(self.transport),
            State::Open(protocol, _) | State::Idle(protocol) => 1 << (protocol & 63),
            State::Done => 0,
        }
    }

    /// Whether nothing more of it is looked at.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes that it holds on the heap, about.
    pub fn held_bytes(&self) -> usize {
        let dissector = match &self.state {
            State::Open(_, dissector) => size_of_val(&**dissector) + dissector.held(),
            _ => 0,
        };
        self.sides.iter().map(Side::held_bytes).sum::<usize>() + dissector
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
        let side = &mut self.sides[dir as usize];
        match &mut self.state {
            State::Open(_, dissector) => side.gap(dir, missing, &mut **dissector, out),
            _ => side.resync = Some(Behind::Start),
        }
    }

    /// A direction has ended.
    pub fn half_close(&mut self, dir: Dir, ts: i64, config: &Config, out: &mut dyn EntrySink) {
        self.take_last(dir, config, out);
        if let State::Open(_, dissector) = &mut self.state {
            self.sides[dir as usize].end(dir, &mut **dissector, out);
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
                side.end(dir, &mut **dissector, out);
            }
            dissector.close(why, ts, out);
        }
        self.give_up(None, out);
    }

    /// Takes what is held of a direction, as nothing follows it.
    fn take_last(&mut self, dir: Dir, config: &Config, out: &mut dyn EntrySink) {
        let side = &mut self.sides[dir as usize];
        let Some(held) = side.held.take() else {
            return;
        };
        match side.resync {
            Some(Behind::Start) => side.resync = Some(Behind::Later(held.first_ts())),
            Some(Behind::Later(_)) => {}
            None if matches!(self.state, State::Open(..)) => {
                // what is held is in no store
                let outside = self.outside(&Nothing, config, true);
                self.take(Piece::held(dir, &held), outside, out);
                self.sides[dir as usize].held = None;
            }
            None => {}
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
        let entry = REGISTRY.get(usize::from(protocol));
        if let Some(entry) = entry.and_then(|entry| entry.dissection) {
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
        self.sides.iter_mut().for_each(Side::hand_over);
        self.handoffs += 1;
        match name.map(read) {
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
            // what was held before was of nothing known, which says nothing of what begins here
            Which::None { .. } if before > 0 => {
                side.held = None;
                side.resync = Some(Behind::Later(piece.ts));
                return self.identify(piece, outside, out);
            }
            Which::None { limit } => {
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

/// The index of the protocol of this name, where something reads it.
fn read(name: &str) -> Option<u8> {
    crate::index(name).filter(|at| REGISTRY[usize::from(*at)].dissection.is_some())
}
