//! Segments to bytes in order.
//!
//! What continues its direction is handed on straight from the packet. What is ahead is held as positions until
//! the hole before it is filled or given up. A hole is given up
//!
//! - when the peer has acknowledged what is in it, so that it was received though not captured, and a grace time has
//!   passed, as the acknowledgement may have been captured before the data (several queues); the grace is shorter
//!   where more packets come from behind the hole;
//! - when it has waited long enough, where no acknowledgement is seen;
//! - when a limit of held bytes is reached: of one flow its own holes, of all the flow that waits longest;
//! - when the flow closes.
//!
//! It is given up to the first byte behind it, or to what was acknowledged if that is less. What comes later for it
//! is counted as retransmitted. Of bytes that came twice the first win, delivered or held.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use gillnet_capture::{NO_POS, Store};

use super::hole::{Bytes, Due, Fin, Patience, Piece};
use super::{FAR, Fate, Segment, Tcp, ahead};
use crate::decode::TcpHeader;
use crate::flow::{FlowCounters, FlowLimits};
use crate::{Chunk, Dir, StreamSink};

/// Where reassembly works: the flow, the time, and who takes what comes of it.
pub(crate) struct Around<'a> {
    pub(crate) flow: u32,
    /// By the table's clock.
    pub(crate) now: u64,
    /// Of the packet or tick at hand, ns since the epoch.
    pub(crate) ts: i64,
    pub(crate) store: &'a Store,
    pub(crate) sink: &'a mut dyn StreamSink,
    pub(crate) counters: &'a mut FlowCounters,
}

/// What all flows that wait for missing segments share.
#[derive(Debug)]
pub(crate) struct Reassembly {
    patience: Patience,
    held_flow: u64,
    held_total: u64,
    held: u64,
    /// When to look at a flow again. A flow may stand there several times, or be another one by then: to look is
    /// harmless.
    queue: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Reassembly {
    pub(crate) fn new(limits: &FlowLimits) -> Self {
        Reassembly {
            patience: Patience {
                wait: limits.gap_wait,
                grace: limits.ack_grace,
            },
            held_flow: limits.held_flow,
            held_total: limits.held_total,
            held: 0,
            queue: BinaryHeap::new(),
        }
    }

    /// What is held now, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Takes a segment.
    pub(crate) fn segment(
        &mut self,
        tcp: &mut Tcp,
        s: &Segment<'_>,
        around: &mut Around<'_>,
    ) -> Fate {
        if s.head.has(TcpHeader::RST) {
            if tcp.resets(s.dir, &s.head) {
                return Fate::Reset;
            }
            around.counters.stray += 1;
            return Fate::Lives;
        }
        if s.head.has(TcpHeader::ACK) {
            acknowledge(tcp, s, around);
        }
        tcp.begin(s.dir, &s.head, s.wire);
        if tcp.half[s.dir as usize].ended() {
            around.counters.retransmitted += u64::from(s.wire > 0);
            around.counters.retransmitted_bytes += u64::from(s.wire);
        } else {
            self.place(tcp, s, around);
        }
        self.settle(tcp, around);
        tcp.fate()
    }

    /// Looks at a flow whose time has come.
    pub(crate) fn wake(&mut self, tcp: &mut Tcp, around: &mut Around<'_>) {
        if let Some(waiting) = &mut tcp.waiting {
            waiting.queued = u64::MAX;
            self.settle(tcp, around);
        }
    }

    /// The next flow to look at now.
    pub(crate) fn due(&mut self, now: u64) -> Option<u32> {
        let Reverse((at, _)) = self.queue.peek()?;
        if *at > now {
            return None;
        }
        self.queue.pop().map(|Reverse((_, flow))| flow)
    }

    /// While all flows together hold too much: the flow that waits longest.
    pub(crate) fn over_limit(&mut self) -> Option<u32> {
        if self.held <= self.held_total {
            return None;
        }
        self.queue.pop().map(|Reverse((_, flow))| flow)
    }

    /// Gives up all holes of a flow, as there is no room to wait.
    pub(crate) fn cut(&mut self, tcp: &mut Tcp, around: &mut Around<'_>) {
        if tcp.waiting.as_ref().is_some_and(|waiting| waiting.holds()) {
            around.counters.reorder_cuts += 1;
        }
        self.finish(tcp, around);
    }

    /// Gives up all holes of a flow: nothing more will come.
    pub(crate) fn finish(&mut self, tcp: &mut Tcp, around: &mut Around<'_>) {
        for dir in [Dir::Up, Dir::Down] {
            while let Some(waiting) = &mut tcp.waiting {
                let offset = tcp.offset[dir as usize];
                match waiting.hole(dir).last_word(offset) {
                    Due::GiveUp(to) => self.give_up(tcp, dir, to, around),
                    Due::Drop => self.drop_stray(tcp, dir, around),
                    Due::Wait(_) | Due::Nothing => break,
                }
            }
        }
        self.forget(tcp);
    }

    /// Forgets what a flow waits for.
    pub(crate) fn forget(&mut self, tcp: &mut Tcp) {
        if let Some(waiting) = tcp.waiting.take() {
            self.held -= waiting.cost();
        }
    }

    /// Puts a segment's bytes, and its FIN, where they belong.
    fn place(&mut self, tcp: &mut Tcp, s: &Segment<'_>, around: &mut Around<'_>) {
        let d = s.dir as usize;
        let seq = s
            .head
            .seq
            .wrapping_add(u32::from(s.head.has(TcpHeader::SYN)));
        let ahead = ahead(seq, tcp.next[d]);
        let begin = tcp.offset[d].checked_add_signed(i64::from(ahead));
        if s.wire > 0 {
            if ahead > 0 {
                self.hold(tcp, s, tcp.offset[d] + ahead as u64, around);
            } else {
                self.arrive(tcp, s, ahead.unsigned_abs(), around);
            }
        } else if ahead == -1 && !s.head.has(TcpHeader::FIN | TcpHeader::SYN) {
            around.counters.retransmitted += 1;
        }
        if s.head.has(TcpHeader::FIN)
            && let Some(fin) = begin.map(|begin| begin + u64::from(s.wire))
        {
            self.fin(tcp, s, fin, around);
        }
    }

    /// A FIN that stands at this offset.
    fn fin(&mut self, tcp: &mut Tcp, s: &Segment<'_>, fin: u64, around: &mut Around<'_>) {
        let offset = tcp.offset[s.dir as usize];
        if tcp.half[s.dir as usize].ended() {
            return;
        }
        if fin == offset {
            self.half_close(tcp, s.dir, s.ts, around);
        } else if fin > offset {
            let hole = tcp.waiting.get_or_insert_default().hole_mut(s.dir);
            if hole.fin.is_none() {
                if !hole.holds() {
                    hole.next_hole(around.now);
                }
                hole.fin = Some(Fin {
                    offset: fin,
                    ts: s.ts,
                });
            }
        }
    }

    /// Holds a segment that begins at `offset`, behind a hole.
    fn hold(&mut self, tcp: &mut Tcp, s: &Segment<'_>, offset: u64, around: &mut Around<'_>) {
        let next = tcp.offset[s.dir as usize];
        let waiting = tcp.waiting.get_or_insert_default();
        let hole = waiting.hole_mut(s.dir);
        let before = hole.cost();
        let known = hole.hold(offset, s.data, s.wire, s.pos, s.ts, around.now);
        hole.confirm(next);
        self.held += hole.cost() - before;
        around.counters.reordered += 1;
        around.counters.retransmitted_bytes += known;
        around.counters.retransmitted += u64::from(known == u64::from(s.wire));
        if waiting.cost() > self.held_flow {
            self.cut(tcp, around);
        }
    }

    /// Takes a segment that begins `old` bytes before what is next, and so is in order, if not all of it was there.
    fn arrive(&mut self, tcp: &mut Tcp, s: &Segment<'_>, old: u32, around: &mut Around<'_>) {
        let d = s.dir as usize;
        if old >= s.wire {
            around.counters.retransmitted += 1;
            around.counters.retransmitted_bytes += u64::from(s.wire);
            return;
        }
        let first = tcp.offset[d];
        let end = first + u64::from(s.wire - old);
        let mut fresh = 0;
        if let Some(waiting) = &mut tcp.waiting {
            waiting.hole_mut(s.dir).late(around.now);
        }
        loop {
            self.drain(tcp, s.dir, around);
            let at = tcp.offset[d];
            if at >= end || tcp.half[d].ended() {
                break;
            }
            // up to older bytes, and not past a FIN
            let to = match &tcp.waiting {
                Some(waiting) => waiting.hole(s.dir).front().unwrap_or(end).min(end),
                None => end,
            };
            let from = u64::from(old) + (at - first);
            hand_on(tcp, s, from, to - at, around);
            fresh += to - at;
        }
        around.counters.retransmitted_bytes += u64::from(s.wire) - fresh;
        if let Some(waiting) = &mut tcp.waiting {
            waiting.hole_mut(s.dir).next_hole(around.now);
        }
    }

    /// Hands on what is held and in order now.
    fn drain(&mut self, tcp: &mut Tcp, dir: Dir, around: &mut Around<'_>) {
        while let Some(waiting) = &mut tcp.waiting {
            let offset = tcp.offset[dir as usize];
            let hole = waiting.hole_mut(dir);
            if let Some(fin) = hole.fin
                && fin.offset <= offset
            {
                self.half_close(tcp, dir, fin.ts, around);
                return;
            }
            let before = hole.cost();
            let Some(piece) = hole.pop(offset) else {
                return;
            };
            self.held -= before - hole.cost();
            hand_on_piece(tcp, dir, &piece, around);
        }
    }

    /// Gives up the first hole of a direction, up to this offset.
    fn give_up(&mut self, tcp: &mut Tcp, dir: Dir, to: u64, around: &mut Around<'_>) {
        let missing = to.saturating_sub(tcp.offset[dir as usize]);
        gap(tcp, dir, missing, around.ts, around);
        self.drain(tcp, dir, around);
        if let Some(waiting) = &mut tcp.waiting {
            waiting.hole_mut(dir).next_hole(around.now);
        }
    }

    /// Forgets what lies so far ahead that it can't be of this stream.
    fn drop_stray(&mut self, tcp: &mut Tcp, dir: Dir, around: &mut Around<'_>) {
        around.counters.stray += 1;
        if let Some(waiting) = &mut tcp.waiting {
            let hole = waiting.hole_mut(dir);
            self.held -= hole.cost();
            hole.clear();
        }
    }

    /// A direction has come to its end.
    fn half_close(&mut self, tcp: &mut Tcp, dir: Dir, ts: i64, around: &mut Around<'_>) {
        tcp.end(dir);
        if let Some(waiting) = &mut tcp.waiting {
            let hole = waiting.hole_mut(dir);
            self.held -= hole.cost();
            hole.clear();
        }
        around.sink.half_close(around.flow, dir, ts);
    }

    /// Gives up what is due, and sees to it that the flow is looked at again in time.
    fn settle(&mut self, tcp: &mut Tcp, around: &mut Around<'_>) {
        let mut again = u64::MAX;
        for dir in [Dir::Up, Dir::Down] {
            while let Some(waiting) = &mut tcp.waiting {
                let offset = tcp.offset[dir as usize];
                match waiting.hole(dir).due(offset, around.now, self.patience) {
                    Due::GiveUp(to) => self.give_up(tcp, dir, to, around),
                    Due::Drop => self.drop_stray(tcp, dir, around),
                    Due::Wait(at) => {
                        again = again.min(at);
                        break;
                    }
                    Due::Nothing => break,
                }
            }
        }
        if again == u64::MAX {
            self.forget(tcp);
        } else if let Some(waiting) = &mut tcp.waiting
            && again < waiting.queued
        {
            waiting.queued = again;
            self.queue.push(Reverse((again, around.flow)));
        }
    }
}

/// Notes what the sender of a segment has received of the other direction.
fn acknowledge(tcp: &mut Tcp, s: &Segment<'_>, around: &mut Around<'_>) {
    let dir = s.dir.flip();
    let d = dir as usize;
    tcp.told(dir, &s.head);
    let beyond = ahead(s.head.ack, tcp.next[d]);
    if beyond <= 0 || !tcp.half[d].open() {
        return;
    }
    let believed = beyond as u64 <= FAR
        || (tcp.waiting.as_ref()).is_some_and(|waiting| waiting.hole(dir).holds());
    if !believed {
        around.counters.stray += 1;
        return;
    }
    let offset = tcp.offset[d];
    let hole = tcp.waiting.get_or_insert_default().hole_mut(dir);
    let mut upto = offset + beyond as u64;
    if let Some(fin) = &hole.fin {
        // a FIN is acknowledged as one byte
        upto = upto.min(fin.offset);
    }
    if upto > offset {
        hole.acknowledged(upto, offset, around.now);
    }
}

/// Hands on `n` bytes of a segment from its byte `from` on; as a gap what the snap length cut of them.
fn hand_on(tcp: &mut Tcp, s: &Segment<'_>, from: u64, n: u64, around: &mut Around<'_>) {
    let rest = s.data.get(from as usize..).unwrap_or_default();
    let data = rest.get(..n as usize).unwrap_or(rest);
    if !data.is_empty() {
        let pos = if s.pos == NO_POS {
            NO_POS
        } else {
            s.pos + from
        };
        chunk(tcp, s.dir, data, pos, s.ts, around);
    }
    let cut = n - data.len() as u64;
    around.counters.cut_bytes += cut;
    gap(tcp, s.dir, cut, s.ts, around);
}

/// Hands on a held piece; as a gap where its bytes are gone.
fn hand_on_piece(tcp: &mut Tcp, dir: Dir, piece: &Piece, around: &mut Around<'_>) {
    let len = u64::from(piece.len);
    match &piece.bytes {
        Bytes::Owned(data) => chunk(tcp, dir, data, NO_POS, piece.ts, around),
        Bytes::Stored(pos) => match around.store.get(*pos, piece.len) {
            Some(data) => chunk(tcp, dir, data, *pos, piece.ts, around),
            None => {
                around.counters.overwritten_bytes += len;
                gap(tcp, dir, len, piece.ts, around);
            }
        },
        Bytes::Cut => {
            around.counters.cut_bytes += len;
            gap(tcp, dir, len, piece.ts, around);
        }
    }
}

fn chunk(tcp: &mut Tcp, dir: Dir, data: &[u8], pos: u64, ts: i64, around: &mut Around<'_>) {
    let offset = tcp.advance(dir, data.len());
    let chunk = Chunk {
        dir,
        data,
        pos,
        ts,
        offset,
    };
    around.sink.chunk(around.flow, &chunk);
}

fn gap(tcp: &mut Tcp, dir: Dir, missing: u64, ts: i64, around: &mut Around<'_>) {
    if missing > 0 {
        tcp.advance(dir, missing as usize);
        around.counters.gaps += 1;
        around.counters.gap_bytes += missing;
        around.sink.gap(around.flow, dir, missing, ts);
    }
}
