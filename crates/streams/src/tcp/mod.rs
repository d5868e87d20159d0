//! What is kept of a TCP flow, and how its directions begin and end.
//!
//! Each direction ([`Half`]) is a machine of its own; packets of the other one tell it what was acknowledged:
//!
//! ```text
//!                 SYN, or acknowledged by a SYN-ACK
//!        ┌──────────────────────────────────────────────► Opened ── FIN in order ──► OpenedEnded
//!        │                                                  ▲ │
//!       New ── ACK by the peer, or own bare ACK ─► Guessed ─┘ └─ SYN-ACK anew, nothing delivered yet
//!        │                                            │
//!        │ data or FIN                                │ data or FIN
//!        └──────────────────────► Joined ◄────────────┘
//!                                    └── FIN in order ──► JoinedEnded
//!
//!       OpenedEnded, JoinedEnded ── FIN acknowledged ──► OpenedDone, JoinedDone
//! ```
//!
//! *Guessed* means that the next byte is known although none was seen: the guess moves with further
//! acknowledgements, and back where the first data stands before it (it was captured behind its
//! acknowledgement). RST, and FIN of both directions once acknowledged, end the connection; what comes until it is
//! closed is still taken in, as a reset may be captured before the data that it followed.
//!
//! Sequence numbers are compared by signed difference, so that they may wrap; offsets have 64 bits and do not.

mod hole;
mod reassembly;

use crate::Dir;
use crate::decode::{Packet, TcpHeader};
use crate::flow::{Homes, Seen};
use hole::Waiting;
pub(crate) use reassembly::{Around, Reassembly};

/// A distance in sequence space that no window in practice spans, 16 MiB: what is farther off is believed only if
/// more than one packet says so.
const FAR: u64 = 1 << 24;

/// What is known of a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Half {
    /// Nothing.
    #[default]
    New,
    /// Where it goes on, though no byte was seen.
    Guessed,
    /// Its bytes from somewhere in the middle.
    Joined,
    /// Its bytes from the first.
    Opened,
    /// As `Joined`, and its end.
    JoinedEnded,
    /// As `Opened`, and its end.
    OpenedEnded,
    /// As `JoinedEnded`, and the peer knows.
    JoinedDone,
    /// As `OpenedEnded`, and the peer knows.
    OpenedDone,
}

impl Half {
    fn open(self) -> bool {
        matches!(self, Half::Joined | Half::Opened)
    }

    fn ended(self) -> bool {
        matches!(self, Half::JoinedEnded | Half::OpenedEnded) || self.done()
    }

    fn done(self) -> bool {
        matches!(self, Half::JoinedDone | Half::OpenedDone)
    }

    /// Whether its first byte is known.
    fn whole(self) -> bool {
        matches!(self, Half::Opened | Half::OpenedEnded | Half::OpenedDone)
    }

    /// Its FIN came in order.
    fn end(&mut self) {
        *self = if self.whole() {
            Half::OpenedEnded
        } else {
            Half::JoinedEnded
        };
    }

    /// Its FIN was acknowledged.
    fn acknowledge(&mut self) {
        *self = match *self {
            Half::JoinedEnded => Half::JoinedDone,
            Half::OpenedEnded => Half::OpenedDone,
            other => other,
        };
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It does.
    Lives,
    /// Both directions have ended, and the last acknowledgement is missing.
    Closing,
    /// Both directions have ended.
    Finished,
    /// It was reset.
    Reset,
}

/// A TCP packet as reassembly takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) dir: Dir,
    pub(crate) head: TcpHeader,
    /// What was captured of the payload.
    pub(crate) data: &'a [u8],
    /// Its length on the wire.
    pub(crate) wire: u32,
    /// Position of `data[0]` in the byte store.
    pub(crate) pos: u64,
    pub(crate) ts: i64,
}

/// Where a direction stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stand {
    next: u32,
    offset: u64,
    half: Half,
}

/// What is kept of a TCP flow.
#[derive(Debug, Default)]
pub(crate) struct Tcp {
    /// Sequence number of the next byte in order; behind a FIN the number after it.
    next: [u32; 2],
    /// Offset of that byte in its direction.
    offset: [u64; 2],
    /// Holes, while there are any.
    waiting: Option<Box<Waiting>>,
    half: [Half; 2],
    homes: Homes,
}

impl Tcp {
    /// Whether a packet was seen at the home of its direction.
    #[inline(always)]
    pub(crate) fn at_home(&mut self, dir: Dir, p: &Packet<'_>, coarse: u32) -> bool {
        self.homes.at_home(dir, p.place, coarse)
    }

    /// Takes a sighting of a packet: the packet itself, or a copy.
    pub(crate) fn seen(&mut self, dir: Dir, head: &TcpHeader, p: &Packet<'_>, coarse: u32) -> Seen {
        if self.homes.at_home(dir, p.place, coarse) {
            return Seen::First;
        }
        let end = end_of(head, p.wire_payload);
        let known = self.half[dir as usize] != Half::New;
        let more = known && ahead(end, self.highest(dir)) > 0;
        if !more && !self.homes.silent(dir, coarse) {
            return Seen::Copy;
        }
        self.homes.move_to(dir, p.place, coarse);
        Seen::Moved
    }

    /// Whether a SYN starts another connection than the one that is known. `over`: that one has ended.
    pub(crate) fn is_new_connection(&self, dir: Dir, head: &TcpHeader, over: bool) -> bool {
        let d = dir as usize;
        if head.has(TcpHeader::ACK) {
            // its SYN was missed; else it is an answer to the one that is known
            return over && self.start(dir) != head.seq.wrapping_add(1);
        }
        match self.half[d] {
            _ if over => true,
            // the packet that told about this direction was captured before its SYN, unless data flowed
            Half::New | Half::Guessed => self.offset[dir.flip() as usize] > 0,
            _ => self.start(dir) != head.seq.wrapping_add(1),
        }
    }

    /// Whether a packet brings just the next bytes of its direction, or none, and tells nothing new but perhaps about
    /// an end ([`Tcp::at_an_end`]).
    #[inline]
    pub(crate) fn in_order(&self, dir: Dir, head: &TcpHeader, p: &Packet<'_>) -> bool {
        const BITS: u8 = TcpHeader::SYN | TcpHeader::RST | TcpHeader::ACK;
        let (d, o) = (dir as usize, dir.flip() as usize);
        let half = self.half[d];
        head.seq == self.next[d]
            && head.flags & BITS == TcpHeader::ACK
            && (half.open() || half.ended() && p.wire_payload == 0 && !head.has(TcpHeader::FIN))
            && self.waiting.is_none()
            && self.half[o] != Half::New
            && ahead(head.ack, self.next[o]) <= 0
            && p.payload.len() == p.wire_payload as usize
    }

    /// Of a packet in order: whether it ends its direction, or may acknowledge the end of the other.
    #[inline]
    pub(crate) fn at_an_end(&self, dir: Dir, head: &TcpHeader) -> bool {
        head.has(TcpHeader::FIN) || self.half[dir.flip() as usize].ended()
    }

    /// Takes what such a packet tells; whether its direction ends now.
    pub(crate) fn ends(&mut self, dir: Dir, head: &TcpHeader) -> bool {
        self.told(dir.flip(), head);
        let ends = head.has(TcpHeader::FIN);
        if ends {
            self.end(dir);
        }
        ends
    }

    /// Passes over bytes in order; gives the offset of the first.
    #[inline]
    pub(crate) fn advance(&mut self, dir: Dir, n: usize) -> u64 {
        let d = dir as usize;
        let at = self.offset[d];
        self.offset[d] = at + n as u64;
        self.next[d] = self.next[d].wrapping_add(n as u32);
        at
    }

    /// Offset of the next byte in order.
    pub(crate) fn offset(&self, dir: Dir) -> u64 {
        self.offset[dir as usize]
    }

    /// Whether the direction's bytes are known from its first.
    pub(crate) fn starts_whole(&self, dir: Dir) -> bool {
        self.half[dir as usize].whole()
    }

    /// Whether a packet of this direction was seen.
    #[inline]
    pub(crate) fn knows(&self, dir: Dir) -> bool {
        self.homes.known(dir)
    }

    /// Whether both directions have ended.
    pub(crate) fn fate(&self) -> Fate {
        let [up, down] = self.half;
        if !(up.ended() && down.ended()) {
            Fate::Lives
        } else if up.done() && down.done() {
            Fate::Finished
        } else {
            Fate::Closing
        }
    }

    /// Where a direction stands.
    pub(crate) fn stand(&self, dir: Dir) -> Stand {
        let d = dir as usize;
        Stand {
            next: self.next[d],
            offset: self.offset[d],
            half: self.half[d],
        }
    }

    /// Puts a direction back to where it stood before a packet was followed.
    pub(crate) fn step_back(&mut self, dir: Dir, to: Stand) {
        let d = dir as usize;
        (self.next[d], self.offset[d], self.half[d]) = (to.next, to.offset, to.half);
    }

    /// Follows sequence numbers only, for a flow nobody wants.
    pub(crate) fn follow(&mut self, dir: Dir, head: &TcpHeader, wire: u32) -> Fate {
        if head.has(TcpHeader::RST) {
            return if self.resets(dir, head) {
                Fate::Reset
            } else {
                Fate::Lives
            };
        }
        if head.has(TcpHeader::ACK) {
            self.told(dir.flip(), head);
        }
        self.begin(dir, head, wire);
        let d = dir as usize;
        if self.half[d].ended() {
            return self.fate();
        }
        let fin = head.has(TcpHeader::FIN);
        let data_end = end_of(head, wire).wrapping_sub(u32::from(fin));
        let more = ahead(data_end, self.next[d]);
        if more > 0 {
            self.advance(dir, more as usize);
        }
        if fin && data_end == self.next[d] {
            self.end(dir);
        }
        self.fate()
    }

    /// The sequence number of the first byte that was known.
    fn start(&self, dir: Dir) -> u32 {
        let d = dir as usize;
        let fin = u32::from(self.half[d].ended());
        self.next[d]
            .wrapping_sub(fin)
            .wrapping_sub(self.offset[d] as u32)
    }

    /// The sequence number behind the last byte that was seen, in order or not.
    fn highest(&self, dir: Dir) -> u32 {
        let d = dir as usize;
        let held = self.waiting.as_ref().map_or(0, |waiting| {
            waiting.hole(dir).end().saturating_sub(self.offset[d])
        });
        self.next[d].wrapping_add(held as u32)
    }

    /// Whether a RST is to be believed: it stands near the window, or nothing is known of its sender.
    fn resets(&self, dir: Dir, head: &TcpHeader) -> bool {
        let d = dir as usize;
        !(self.half[d].open() || self.half[d].ended())
            || u64::from(ahead(head.seq, self.next[d]).unsigned_abs()) < FAR
    }

    /// Takes what an acknowledgement of the peer tells about the beginning of a direction.
    fn told(&mut self, dir: Dir, head: &TcpHeader) {
        let d = dir as usize;
        let half = &mut self.half[d];
        if !matches!(half, Half::New | Half::Guessed) {
            if half.ended() && head.ack == self.next[d] {
                half.acknowledge();
            }
            return;
        }
        if head.has(TcpHeader::SYN) {
            *half = Half::Opened;
            self.next[d] = head.ack;
        } else if *half == Half::New || ahead(head.ack, self.next[d]) > 0 {
            *half = Half::Guessed;
            self.next[d] = head.ack;
        }
    }

    /// Takes what a packet tells about the beginning of its own direction.
    fn begin(&mut self, dir: Dir, head: &TcpHeader, wire: u32) {
        let d = dir as usize;
        let syn = head.has(TcpHeader::SYN);
        let seq = head.seq.wrapping_add(u32::from(syn));
        let brings = wire > 0 || head.has(TcpHeader::FIN);
        match self.half[d] {
            Half::New | Half::Guessed if syn => {
                self.next[d] = seq;
                self.half[d] = Half::Opened;
            }
            Half::New => {
                self.next[d] = seq;
                self.half[d] = if brings { Half::Joined } else { Half::Guessed };
            }
            Half::Guessed if brings => {
                let ahead = ahead(seq, self.next[d]);
                if ahead == -1 && wire <= 1 {
                    // a keep-alive, which repeats the last byte
                    return;
                }
                // one byte ahead: the guess was taken from a keep-alive
                if ahead <= 1 || ahead as u64 > FAR {
                    self.next[d] = seq;
                }
                self.half[d] = Half::Joined;
            }
            // a sender that does not count its SYN, as some generators of captures; a keep-alive has no second byte
            Half::Opened
                if wire > 1
                    && self.offset[d] == 0
                    && self.waiting.is_none()
                    && ahead(seq, self.next[d]) == -1 =>
            {
                self.next[d] = seq;
            }
            // answered anew with another number, as by SYN cookies or a middlebox
            Half::Opened if syn && self.offset[d] == 0 && self.waiting.is_none() => {
                self.next[d] = seq;
            }
            _ => {}
        }
    }

    /// A direction has ended.
    fn end(&mut self, dir: Dir) {
        let d = dir as usize;
        self.half[d].end();
        self.next[d] = self.next[d].wrapping_add(1);
    }
}

/// How far one sequence number is ahead of another.
#[inline]
fn ahead(seq: u32, of: u32) -> i32 {
    seq.wrapping_sub(of) as i32
}

/// The sequence number behind a packet.
fn end_of(head: &TcpHeader, wire: u32) -> u32 {
    head.seq
        .wrapping_add(wire)
        .wrapping_add(u32::from(head.has(TcpHeader::SYN)))
        .wrapping_add(u32::from(head.has(TcpHeader::FIN)))
}
