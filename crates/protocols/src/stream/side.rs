//! One direction of a stream: what waits, is passed over, or is looked through for a start.

use super::Config;
use crate::dissect::{AfterGap, Dissector, EntrySink, Feed, Skipped, Start, Step, Why};
use gillnet_entry::Bytes;
use gillnet_streams::Dir;

/// Bytes that are joined to find the start of a message behind a gap.
const MAX_START: usize = 16 << 10;

/// Packets among them of which it is known where they begin.
const MAX_FURTHER: usize = 64;

/// Bytes by which joined ones grow at least, so that a head is not looked through for each.
const GROW: usize = 2048;

/// One direction.
#[derive(Default)]
pub(super) struct Side {
    /// Bytes that the dissector passes over and that have not come yet.
    skip: u64,
    /// How many of those that it passed over never came.
    skip_missing: u64,
    /// Time of the packet with the last of them that came, ns.
    skip_ts: i64,
    /// Bytes that wait for what follows them.
    pub(super) held: Option<Box<Held>>,
    /// The start of a message must be looked for.
    pub(super) resync: Option<Behind>,
}

/// Where the bytes stand in which the start of a message is looked for.
#[derive(Clone, Copy)]
pub(super) enum Behind {
    /// Behind something that was not understood, or a gap: none has been looked at.
    Start,
    /// Time of the packet that brought the first of them, ns; some have been given up.
    Later(i64),
}

pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    /// How many must be there.
    need: usize,
    /// Time of the packet that brought the first, ns.
    first_ts: i64,
    /// Time of the packet that brought the last, ns.
    last_ts: i64,
    /// Behind a gap, where the bytes of further packets begin, with their times: a message may start in any of them.
    further: Vec<(usize, i64)>,
}

/// What a call needs from outside.
#[derive(Clone, Copy)]
pub(super) struct Outside<'a> {
    pub(super) store: &'a dyn Bytes,
    pub(super) config: &'a Config,
    /// Each packet stands alone: nothing is joined.
    pub(super) datagram: bool,
    /// Nothing follows in this direction.
    pub(super) last: bool,
}

/// Bytes of a packet that are not used yet.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) dir: Dir,
    pub(super) data: &'a [u8],
    pub(super) pos: Option<u64>,
    /// Time of the packet that brought the last of them, ns.
    pub(super) ts: i64,
    /// Time of the packet that brought the first of them, ns.
    pub(super) first_ts: i64,
}

impl<'a> Piece<'a> {
    /// Held bytes, fed as if they were a packet's.
    pub(super) fn held(dir: Dir, held: &'a Held) -> Piece<'a> {
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
pub(super) enum Flow {
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

impl Held {
    pub(super) fn new(bytes: &[u8], need: usize, piece: &Piece<'_>) -> Held {
        Held {
            bytes: bytes.to_vec(),
            need,
            first_ts: piece.first_ts,
            last_ts: piece.ts,
            further: Vec::new(),
        }
    }

    /// Time of the packet that brought the first, ns.
    pub(super) fn first_ts(&self) -> i64 {
        self.first_ts
    }

    pub(super) fn extend(&mut self, bytes: &[u8], ts: i64) {
        self.bytes.extend_from_slice(bytes);
        self.last_ts = ts;
    }

    /// Forgets all but so many bytes.
    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.further.retain(|(from, _)| *from < len);
    }

    /// Forgets the first `n` bytes.
    fn drop_first(&mut self, n: usize) {
        let n = n.min(self.bytes.len());
        self.bytes.drain(..n);
        let gone = self.further.partition_point(|(from, _)| *from <= n);
        if let Some((_, ts)) = self.further.drain(..gone).next_back() {
            self.first_ts = ts;
        }
        self.further.iter_mut().for_each(|(from, _)| *from -= n);
    }
}

impl Side {
    /// Heap bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.held
            .as_ref()
            .map_or(0, |held| size_of::<Held>() + held.bytes.capacity())
    }

    /// So many bytes never came; nothing is held any more.
    pub(super) fn gap(
        &mut self,
        dir: Dir,
        missing: u64,
        dissector: &mut dyn Dissector,
        out: &mut dyn EntrySink,
    ) {
        let inside = self.skip.min(missing);
        if inside > 0 {
            self.skip -= inside;
            self.skip_missing += inside;
            if self.skip == 0 {
                self.end_skip(dir, dissector, out);
            }
        }
        let beyond = missing - inside;
        // while a start is looked for, each further gap may hide one
        if beyond > 0
            && (self.resync.is_some() || dissector.gap(dir, beyond, out) == AfterGap::Resync)
        {
            self.resync = Some(Behind::Start);
        }
    }

    /// The direction has ended: nothing that was to be passed over follows.
    pub(super) fn end(&mut self, dir: Dir, dissector: &mut dyn Dissector, out: &mut dyn EntrySink) {
        if self.skip > 0 {
            self.end_skip(dir, dissector, out);
        }
    }

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

    /// What follows is another protocol's.
    pub(super) fn hand_over(&mut self) {
        (self.skip, self.skip_missing, self.resync) = (0, 0, None);
    }

    /// Of the held bytes, followed by those of the packet, `n` are used; `before` were held before this packet.
    fn consume(&mut self, n: usize, before: usize, piece: &mut Piece<'_>) {
        match &mut self.held {
            Some(held) if n < before => {
                held.truncate(before);
                held.drop_first(n);
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
                if held.further.len() < MAX_FURTHER {
                    held.further.push((before, piece.ts));
                }
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
                    Some(held) => held.drop_first(at),
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
pub(super) fn drive(
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
