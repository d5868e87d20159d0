//! Bytes behind a hole: where they are, not what they are.

use std::collections::VecDeque;

use gillnet_capture::NO_POS;

use super::FAR;
use crate::Dir;
use crate::clock::COARSE_SHIFT;

/// After the peer acknowledged what is in a hole, the hole is given up before the grace time is over if so many
/// packets come from behind it: the packets of one direction keep their order better than the two directions among
/// each other ...
const CONFIRM: u8 = 3;
/// ... and so much time has passed, as a network may reorder several packets: 1 ms.
const CONFIRM_TIME: u64 = 1_000_000;
/// Packets from behind a hole that give it up whatever the time, as timestamps may be coarse.
const CONFIRM_ANYWAY: u8 = 64;

/// What a held piece costs beside its bytes.
pub(super) const OVERHEAD: u64 = size_of::<Piece>() as u64;

/// Where the bytes of a piece are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// At this position of the store.
    Stored(u64),
    /// Here, as they are in no store.
    Owned(Box<[u8]>),
    /// Nowhere: the snap length cut them.
    Cut,
}

/// A run of bytes of one packet.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) len: u32,
    /// When it came, by the table's clock in units of 2^20 ns.
    came: u32,
    pub(super) ts: i64,
    pub(super) bytes: Bytes,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }

    fn cost(&self) -> u64 {
        OVERHEAD + u64::from(self.len)
    }
}

/// What is behind the first hole of a direction, and what is known about it.
#[derive(Debug, Default)]
pub(super) struct Hole {
    /// Sorted, without overlap.
    pieces: VecDeque<Piece>,
    cost: u64,
    /// Since when the first hole waits.
    since: u64,
    /// Up to where the peer has acknowledged, where that is beyond the hole's beginning.
    acked: u64,
    /// Since when it has.
    acked_since: u64,
    /// Packets from behind the hole since then.
    confirmed: u8,
    /// Where the direction ends.
    pub(super) fin: Option<Fin>,
}

/// A FIN that stands behind a hole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fin {
    pub(super) offset: u64,
    pub(super) ts: i64,
}

/// What to do about a hole now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Wait until then, by the table's clock.
    Wait(u64),
    /// Give it up, to this offset.
    GiveUp(u64),
    /// What is behind it was never of this stream.
    Drop,
    /// There is none.
    Nothing,
}

/// How long holes wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Where nothing is acknowledged.
    pub(super) wait: u64,
    /// Where the peer has acknowledged what is missing.
    pub(super) grace: u64,
}

impl Hole {
    /// Offset of the first byte behind the hole, or of the end of the direction.
    pub(super) fn front(&self) -> Option<u64> {
        let piece = self.pieces.front().map(|piece| piece.offset);
        let fin = self.fin.map(|fin| fin.offset);
        piece.into_iter().chain(fin).min()
    }

    /// Offset behind the last byte seen.
    pub(super) fn end(&self) -> u64 {
        let held = self.pieces.back().map_or(0, Piece::end);
        held.max(self.fin.map_or(0, |fin| fin.offset + 1))
    }

    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    pub(super) fn holds(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Keeps what of `offset..offset + data.len()` (and of what was cut behind it, up to `wire`) is not held yet:
    /// older bytes win. Gives how many bytes were held already.
    pub(super) fn hold(
        &mut self,
        offset: u64,
        data: &[u8],
        wire: u32,
        pos: u64,
        ts: i64,
        now: u64,
    ) -> u64 {
        if self.front().is_none() {
            self.since = now;
        }
        let captured = data.len() as u64;
        let end = offset + u64::from(wire);
        let mut held = 0;
        let mut at = offset;
        let mut index = self.pieces.partition_point(|piece| piece.end() <= at);
        while at < end {
            let next = self.pieces.get(index);
            if let Some(piece) = next
                && piece.offset <= at
            {
                let to = piece.end().min(end);
                held += to - at;
                at = to;
                index += 1;
                continue;
            }
            let mut to = next.map_or(end, |piece| piece.offset.min(end));
            let from = at - offset;
            let bytes = if from >= captured {
                Bytes::Cut
            } else {
                to = to.min(offset + captured);
                match data.get(from as usize..(to - offset) as usize) {
                    Some(data) if pos == NO_POS => Bytes::Owned(data.into()),
                    _ => Bytes::Stored(pos + from),
                }
            };
            let piece = Piece {
                offset: at,
                len: (to - at) as u32,
                came: (now >> COARSE_SHIFT) as u32,
                ts,
                bytes,
            };
            self.cost += piece.cost();
            self.pieces.insert(index, piece);
            at = to;
            index += 1;
        }
        held
    }

    /// Takes the first piece if it is in order now.
    pub(super) fn pop(&mut self, offset: u64) -> Option<Piece> {
        if self.pieces.front()?.offset > offset {
            return None;
        }
        let piece = self.pieces.pop_front()?;
        self.cost -= piece.cost();
        Some(piece)
    }

    /// The peer has acknowledged up to here.
    pub(super) fn acknowledged(&mut self, upto: u64, offset: u64, now: u64) {
        if self.acked <= offset {
            self.late(now);
        }
        self.acked = self.acked.max(upto);
    }

    /// A packet came from behind the hole that begins at `offset`.
    pub(super) fn confirm(&mut self, offset: u64) {
        if self.acked > offset {
            self.confirmed = self.confirmed.saturating_add(1);
        }
    }

    /// Bytes came that were missing: what was acknowledged is only late.
    pub(super) fn late(&mut self, now: u64) {
        self.acked_since = now;
        self.confirmed = 0;
    }

    /// The hole before the first piece is a new one: it waits since that came.
    pub(super) fn next_hole(&mut self, now: u64) {
        let age = |piece: &Piece| {
            let coarse = (now >> COARSE_SHIFT) as u32;
            u64::from(coarse.wrapping_sub(piece.came)) << COARSE_SHIFT
        };
        self.since = now.saturating_sub(self.pieces.front().map_or(0, age));
    }

    /// What is to be done about the hole that begins at `offset`.
    pub(super) fn due(&self, offset: u64, now: u64, patience: Patience) -> Due {
        let front = self.front();
        let grace = match self.confirmed {
            CONFIRM_ANYWAY.. => 0,
            CONFIRM.. => CONFIRM_TIME.min(patience.grace),
            _ => patience.grace,
        };
        let acked = (self.acked > offset).then(|| self.acked_since.saturating_add(grace));
        let waits = front.map(|_| self.since.saturating_add(patience.wait));
        if acked.is_some_and(|at| at <= now) {
            return Due::GiveUp(front.unwrap_or(self.acked).min(self.acked));
        }
        match (front, waits) {
            (Some(front), Some(at)) if at <= now => {
                if front.saturating_sub(offset) > FAR && self.pieces.len() <= 1 {
                    Due::Drop
                } else {
                    Due::GiveUp(front)
                }
            }
            _ => match acked.into_iter().chain(waits).min() {
                Some(at) => Due::Wait(at),
                None => Due::Nothing,
            },
        }
    }

    /// Where to go at once when nothing more will come; `None` where there is no hole.
    pub(super) fn last_word(&self, offset: u64) -> Due {
        let acked = (self.acked > offset).then_some(self.acked);
        match self.front() {
            Some(front) if front - offset.min(front) > FAR && self.pieces.len() <= 1 => Due::Drop,
            Some(front) => Due::GiveUp(front),
            None => acked.map_or(Due::Nothing, Due::GiveUp),
        }
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) {
        *self = Hole::default();
    }
}

/// The holes of a flow, while it has any.
#[derive(Debug)]
pub(super) struct Waiting {
    holes: [Hole; 2],
    /// The earliest time that the flow stands in the queue of reassembly for.
    pub(super) queued: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        Waiting {
            holes: Default::default(),
            queued: u64::MAX,
        }
    }
}

impl Waiting {
    pub(super) fn hole(&self, dir: Dir) -> &Hole {
        &self.holes[dir as usize]
    }

    pub(super) fn hole_mut(&mut self, dir: Dir) -> &mut Hole {
        &mut self.holes[dir as usize]
    }

    pub(super) fn cost(&self) -> u64 {
        self.holes.iter().map(Hole::cost).sum()
    }

    pub(super) fn holds(&self) -> bool {
        self.holes.iter().any(Hole::holds)
    }
}
