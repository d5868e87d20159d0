//! The flow table.
//!
//! A flow is the packets between two ends of one transport, both ways. An entry has 128 bytes; what only some
//! flows need (segments out of order) is boxed. Entries lie in a slab and are named by `u32` indexes; an index is
//! valid from [`Flows::touch`] until [`FlowSink::closed`] has been called with it.
//!
//! **The life of a flow.** It opens with its first packet, half open while it has shown nothing but a handshake or
//! one packet. A TCP flow ends by FIN of both sides or RST, lingers a moment so that late packets find it, and is
//! closed then; others close when they are idle, when a SYN starts a new connection on the same addresses and
//! ports, when the table is full (lingering ones go first, then the oldest half open ones, so that a flood of
//! SYNs drives out nothing else), or when the source ends.
//!
//! **Time** is the packets' (see [`Flows::clock_jumps`]). Lists are sorted by when a flow was last put at their end,
//! and a packet moves its flow only when an eighth of the timeout has passed since, so that a packet costs no
//! list, and idle flows close after at most 9/8 of their timeout.

mod counters;
mod home;
mod key;
mod slab;

use std::net::IpAddr;

use gillnet_capture::{NO_POS, Store};

use crate::clock::{COARSE_SHIFT, Clock};
use crate::decode::{L4, Packet, TcpHeader};
use crate::tcp::{Around, Fate, Reassembly, Segment, Stand, Tcp};
use crate::{Addr, Chunk, Close, Dir, StreamSink};
pub use counters::FlowCounters;
pub use home::Transport;
pub(crate) use home::{Homes, Seen, Udp};
use key::{Key, Table};
use slab::{Class, NONE, Slab};

/// Limits of the flow table. What they cut is counted. Times are ns of packet time.
#[derive(Clone, Debug)]
pub struct FlowLimits {
    /// Most flows at once; each costs 128 bytes and its place in the hash table.
    pub flows: u32,
    /// A TCP flow closes when it was silent for so long.
    pub tcp_idle: u64,
    /// A UDP flow closes when it was silent for so long.
    pub udp_idle: u64,
    /// A TCP flow that has shown nothing but a handshake, or one packet, closes so long after that; and one of which
    /// both ends said FIN, but the last acknowledgement was not seen.
    pub half_open: u64,
    /// How long a TCP flow that both ends closed stays, so that late packets find it.
    pub linger: u64,
    /// How long a TCP flow that was reset stays, so that what was on its way finds it.
    pub linger_reset: u64,
    /// How long bytes behind a hole wait for what is missing, where the peer does not acknowledge it.
    pub gap_wait: u64,
    /// How long a hole stays open though the peer acknowledged what is in it: the acknowledgement may have been
    /// captured before the data (several queues).
    pub ack_grace: u64,
    /// Bytes behind holes that one flow may hold, both ways.
    pub held_flow: u64,
    /// Bytes behind holes that all flows may hold.
    pub held_total: u64,
    /// Whether frames of long ago may come between others, as those of a stream that was kept late: then an earlier time
    /// is no clock that jumped.
    pub looks_back: bool,
}

impl Default for FlowLimits {
    fn default() -> Self {
        const MS: u64 = 1_000_000;
        FlowLimits {
            flows: 1 << 17,
            tcp_idle: 3_600_000 * MS,
            udp_idle: 60_000 * MS,
            half_open: 10_000 * MS,
            linger: 20 * MS,
            linger_reset: 500 * MS,
            gap_wait: 1_000 * MS,
            ack_grace: 10 * MS,
            held_flow: 4 << 20,
            held_total: 64 << 20,
            looks_back: false,
        }
    }
}

/// Takes what the flow table says beside the bytes of streams.
pub trait FlowSink: StreamSink {
    /// The number for life of a flow that opens now.
    fn number(&mut self) -> u64;
    /// A flow has closed; all of its bytes have been handed on, and its index is free from now on.
    fn closed(&mut self, flow: u32, entry: &Flow, why: Close);
}

/// Which flow a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Index of the flow.
    pub flow: u32,
    /// Which way the packet goes.
    pub dir: Dir,
    /// It is the flow's first.
    pub new: bool,
    /// It is a copy of a packet that was seen in another place: to be counted, not kept.
    pub duplicate: bool,
}

/// What differs between the transports.
#[derive(Debug)]
pub(crate) enum Kind {
    Tcp(Tcp),
    Udp(Udp),
}

impl Kind {
    fn transport(&self) -> Transport {
        match self {
            Kind::Tcp(_) => Transport::Tcp,
            Kind::Udp(_) => Transport::Udp,
        }
    }
}

/// An entry of the flow table: two cache lines that are fetched as a pair.
#[derive(Debug)]
#[repr(align(128))]
pub struct Flow {
    // its key, without the padding that one would bring
    from: Addr,
    to: Addr,
    ports: u32,
    /// Its number for life.
    pub stream: u64,
    /// Position of its previous frame in the byte store, [`NO_POS`] where there is none: for the caller.
    pub last_pos: u64,
    first_ts: i64,
    last_ts: i64,
    kind: Kind,
    /// The caller's own index, `u32::MAX` where it has none.
    pub slot: u32,
    prev: u32,
    next: u32,
    put: u32,
    class: Class,
    /// Whether anyone wants its bytes: for the caller to set, at any time. Where it is false the caller does not call
    /// [`Flows::segment`], and the table follows sequence numbers by itself, so that the flow still ends, and can be
    /// wanted later.
    pub wanted: bool,
    /// For the caller.
    pub flags: u8,
}

impl Flow {
    /// Both ends, the opener first.
    #[must_use]
    pub fn ends(&self) -> ((IpAddr, u16), (IpAddr, u16)) {
        let (a, b) = self.key().ends();
        ((a.0.ip(), a.1), (b.0.ip(), b.1))
    }

    #[inline(always)]
    fn key(&self) -> Key {
        Key {
            from: self.from,
            to: self.to,
            ports: self.ports,
        }
    }

    /// Which way a packet of it goes.
    #[inline(always)]
    fn dir(&self, key: &Key) -> Dir {
        if self.key().same_way(key) {
            Dir::Up
        } else {
            Dir::Down
        }
    }

    /// Its transport.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.kind.transport()
    }

    /// Time of its first packet, ns since the epoch.
    #[must_use]
    pub fn first_ts(&self) -> i64 {
        self.first_ts
    }

    /// Time of its latest packet, ns since the epoch.
    #[must_use]
    pub fn last_ts(&self) -> i64 {
        self.last_ts
    }

    /// Offset in its direction of the stream of the next byte in order; 0 of UDP.
    #[must_use]
    pub fn offset(&self, dir: Dir) -> u64 {
        match &self.kind {
            Kind::Tcp(tcp) => tcp.offset(dir),
            Kind::Udp(_) => 0,
        }
    }

    /// Whether the beginning of this direction was seen: its SYN, or of UDP always.
    #[must_use]
    pub fn starts_whole(&self, dir: Dir) -> bool {
        match &self.kind {
            Kind::Tcp(tcp) => tcp.starts_whole(dir),
            Kind::Udp(_) => true,
        }
    }
}

/// The flow table, with reassembly.
#[derive(Debug)]
pub struct Flows {
    limits: FlowLimits,
    clock: Clock,
    table: Table,
    slab: Slab,
    reassembly: Reassembly,
    counters: FlowCounters,
    /// The coarse time up to which timeouts have fired.
    ticked: u32,
    /// For so long a flow that is used keeps its place in its list: an eighth of its timeout, coarse.
    tcp_stays: u32,
    udp_stays: u32,
    followed: Followed,
}

/// The last TCP packet that was only followed, as its flow was not wanted, and where its direction stood before: if
/// the caller wants the flow after all, from this packet on, that is put back.
#[derive(Debug)]
struct Followed {
    /// Its number among all TCP packets.
    packet: u64,
    before: Stand,
}

impl Flows {
    /// An empty table.
    #[must_use]
    pub fn new(limits: FlowLimits) -> Self {
        let eighth = |idle: u64| u32::try_from(idle >> (COARSE_SHIFT + 3)).unwrap_or(u32::MAX);
        Flows {
            tcp_stays: eighth(limits.tcp_idle),
            udp_stays: eighth(limits.udp_idle),
            reassembly: Reassembly::new(&limits),
            slab: Slab::new(),
            table: Table::new(),
            clock: Clock::new(limits.looks_back),
            counters: FlowCounters::default(),
            ticked: u32::MAX,
            followed: Followed {
                packet: u64::MAX,
                before: Tcp::default().stand(Dir::Up),
            },
            limits,
        }
    }

    /// Finds the flow of a packet, or opens it. `store` and `sink` are for flows that must close to make room.
    #[inline]
    pub fn touch(
        &mut self,
        p: &Packet<'_>,
        ts: i64,
        store: &Store,
        sink: &mut dyn FlowSink,
    ) -> Touch {
        self.clock.advance(ts);
        let key = Key::of(p);
        let transport = match p.l4 {
            L4::Tcp(_) => Transport::Tcp,
            L4::Udp => Transport::Udp,
        };
        let hash = self.table.hash(&key, transport);
        let found = self.table.find(hash, &key, transport, &self.slab);
        if let Some(index) = found {
            // nearly all packets: of an open flow, at home, no new connection, and the flow keeps its place in its list
            let coarse = self.clock.coarse();
            let flow = self.slab.get_mut(index);
            let dir = flow.dir(&key);
            let (stays, count) = match transport {
                Transport::Tcp => (self.tcp_stays, &mut self.counters.tcp_packets),
                Transport::Udp => (self.udp_stays, &mut self.counters.udp_packets),
            };
            let keeps_place = coarse.wrapping_sub(flow.put) < stays;
            let goes_on = match (&mut flow.kind, p.l4) {
                _ if !keeps_place => false,
                (Kind::Tcp(tcp), L4::Tcp(head)) => {
                    flow.class == Class::Tcp
                        && flow.wanted
                        && !head.has(TcpHeader::SYN)
                        && tcp.at_home(dir, p, coarse)
                }
                (Kind::Udp(udp), L4::Udp) => udp.at_home(dir, p.place, coarse),
                _ => false,
            };
            if goes_on {
                *count += 1;
                flow.last_ts = ts;
                return Touch {
                    flow: index,
                    dir,
                    new: false,
                    duplicate: false,
                };
            }
        }
        self.touch_any(found, hash, p, ts, store, sink)
    }

    /// Closes the flow that [`Flows::touch`] has just given for a packet, and opens another with it: for a caller that
    /// knows that it is another.
    pub fn replace(
        &mut self,
        flow: u32,
        p: &Packet<'_>,
        ts: i64,
        store: &Store,
        sink: &mut dyn FlowSink,
    ) -> Touch {
        let hash = self
            .table
            .hash(&Key::of(p), self.slab.get(flow).transport());
        self.close(flow, Close::Replaced, store, sink);
        self.open(hash, p, ts, store, sink)
    }

    /// Any packet.
    #[inline(never)]
    fn touch_any(
        &mut self,
        found: Option<u32>,
        hash: u64,
        p: &Packet<'_>,
        ts: i64,
        store: &Store,
        sink: &mut dyn FlowSink,
    ) -> Touch {
        match p.l4 {
            L4::Tcp(_) => self.counters.tcp_packets += 1,
            L4::Udp => self.counters.udp_packets += 1,
        }
        let Some(index) = found else {
            return self.open(hash, p, ts, store, sink);
        };
        let coarse = self.clock.coarse();
        let flow = self.slab.get_mut(index);
        let dir = flow.dir(&Key::of(p));
        let over = flow.class.over();
        let (seen, replace) = match (&mut flow.kind, p.l4) {
            (Kind::Tcp(tcp), L4::Tcp(head)) => {
                let seen = tcp.seen(dir, &head, p, coarse);
                let syn = seen != Seen::Copy && head.has(TcpHeader::SYN);
                (seen, syn && tcp.is_new_connection(dir, &head, over))
            }
            (Kind::Udp(udp), _) => (udp.seen(dir, p.place, coarse), false),
            (Kind::Tcp(_), L4::Udp) => (Seen::First, false),
        };
        let duplicate = seen == Seen::Copy;
        self.counters.duplicates += u64::from(duplicate);
        self.counters.rehomed += u64::from(seen == Seen::Moved);
        if replace {
            self.close(index, Close::Replaced, store, sink);
            return self.open(hash, p, ts, store, sink);
        }
        if !duplicate {
            flow.last_ts = ts;
            self.stays(index, coarse);
            self.established(index, dir, p);
            self.follow(index, dir, p);
        }
        Touch {
            flow: index,
            dir,
            new: false,
            duplicate,
        }
    }

    /// Puts a flow that is used at the end of its list, if it has not been there lately. What is half open moves when
    /// it opens fully, and what lingers is not prolonged.
    fn stays(&mut self, index: u32, coarse: u32) {
        let flow = self.slab.get(index);
        let stays = match flow.class {
            Class::Tcp => self.tcp_stays,
            Class::Udp => self.udp_stays,
            _ => return,
        };
        if coarse.wrapping_sub(flow.put) >= stays {
            self.slab.put(index, flow.class, coarse);
        }
    }

    /// An entry.
    ///
    /// # Panics
    /// Where no flow ever had this index.
    #[must_use]
    #[inline]
    pub fn get(&self, flow: u32) -> &Flow {
        self.slab.get(flow)
    }

    /// An entry, to be changed.
    ///
    /// # Panics
    /// Where no flow ever had this index.
    #[must_use]
    #[inline]
    pub fn get_mut(&mut self, flow: u32) -> &mut Flow {
        self.slab.get_mut(flow)
    }

    /// Takes the payload of the packet that [`Flows::touch`] was just called with, where that said no duplicate and the
    /// flow is wanted, and hands on what is in order now: of TCP the bytes that continue the stream, of UDP the
    /// datagram. `pos` is the position of `p.payload[0]` in the byte store, or [`NO_POS`].
    #[inline]
    pub fn segment(
        &mut self,
        touch: Touch,
        p: &Packet<'_>,
        pos: u64,
        ts: i64,
        store: &Store,
        sink: &mut dyn StreamSink,
    ) {
        let flow = self.slab.get_mut(touch.flow);
        let dir = touch.dir;
        match (&mut flow.kind, p.l4) {
            (Kind::Tcp(tcp), L4::Tcp(head)) => {
                if self.followed.packet == self.counters.tcp_packets {
                    tcp.step_back(dir, self.followed.before);
                }
                if tcp.in_order(dir, &head, p) {
                    let offset = tcp.advance(dir, p.payload.len());
                    if !p.payload.is_empty() {
                        let chunk = Chunk {
                            dir,
                            data: p.payload,
                            pos,
                            ts,
                            offset,
                        };
                        sink.chunk(touch.flow, &chunk);
                    }
                    if tcp.at_an_end(dir, &head) {
                        let ends = tcp.ends(dir, &head);
                        let fate = tcp.fate();
                        if ends {
                            sink.half_close(touch.flow, dir, ts);
                        }
                        self.meet(touch.flow, fate);
                    }
                    return;
                }
                let segment = Segment {
                    dir,
                    head,
                    data: p.payload,
                    wire: p.wire_payload,
                    pos,
                    ts,
                };
                self.disorder(touch.flow, &segment, store, sink);
            }
            (Kind::Udp(_), L4::Udp) => datagram(touch, p, pos, ts, sink),
            _ => {}
        }
    }

    /// Packet time, or the wall clock's on a silent interface: closes what is idle or has lingered, and gives up
    /// holes that waited too long. To be called before each frame or batch of frames; it costs a compare where less
    /// than a millisecond has passed since the last call.
    #[inline]
    pub fn tick(&mut self, now: i64, store: &Store, sink: &mut dyn FlowSink) {
        self.clock.advance(now);
        if self.clock.coarse() != self.ticked {
            self.expire(now, store, sink);
        }
    }

    /// The source has ended: everything held is handed on, and every flow closes.
    pub fn drain(&mut self, store: &Store, sink: &mut dyn FlowSink) {
        for class in Class::LISTS {
            while let Some(index) = self.slab.front(class) {
                self.close(index, Close::End, store, sink);
            }
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> &FlowCounters {
        &self.counters
    }

    /// Flows in the table now.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.slab.live()
    }

    /// Bytes behind holes held now.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.reassembly.held()
    }

    /// How often a timestamp jumped back by more than a second or ahead by more than ten minutes. Time then goes
    /// on from there; nothing is timed out by it.
    #[must_use]
    pub fn clock_jumps(&self) -> u64 {
        self.clock.jumps()
    }

    /// A new flow.
    #[inline(never)]
    fn open(
        &mut self,
        hash: u64,
        p: &Packet<'_>,
        ts: i64,
        store: &Store,
        sink: &mut dyn FlowSink,
    ) -> Touch {
        while self.slab.live() >= self.limits.flows.max(1) {
            self.evict(store, sink);
        }
        let coarse = self.clock.coarse();
        let (kind, class, answers) = match p.l4 {
            L4::Tcp(head) => {
                // the SYN was missed
                let answers = head.has(TcpHeader::SYN) && head.has(TcpHeader::ACK);
                (Kind::Tcp(Tcp::default()), Class::HalfOpen, answers)
            }
            L4::Udp => (Kind::Udp(Udp::default()), Class::Udp, false),
        };
        let (key, dir) = if answers {
            (Key::of(p).flip(), Dir::Down)
        } else {
            (Key::of(p), Dir::Up)
        };
        let flow = Flow {
            from: key.from,
            to: key.to,
            ports: key.ports,
            stream: sink.number(),
            last_pos: NO_POS,
            first_ts: ts,
            last_ts: ts,
            kind,
            slot: u32::MAX,
            prev: NONE,
            next: NONE,
            put: coarse,
            class: Class::Free,
            wanted: true,
            flags: 0,
        };
        let index = self.slab.insert(flow, class, coarse);
        self.table.insert(hash, index, &self.slab);
        self.counters.opened += 1;
        match (&mut self.slab.get_mut(index).kind, p.l4) {
            (Kind::Tcp(tcp), L4::Tcp(head)) => {
                tcp.seen(dir, &head, p, coarse);
            }
            (Kind::Udp(udp), _) => {
                udp.seen(dir, p.place, coarse);
            }
            _ => {}
        }
        self.established(index, dir, p);
        Touch {
            flow: index,
            dir,
            new: true,
            duplicate: false,
        }
    }

    /// Tells a TCP flow that is more than half open.
    fn established(&mut self, index: u32, dir: Dir, p: &Packet<'_>) {
        let flow = self.slab.get(index);
        if flow.class != Class::HalfOpen {
            return;
        }
        let (Kind::Tcp(tcp), L4::Tcp(head)) = (&flow.kind, p.l4) else {
            return;
        };
        let shaken = !head.has(TcpHeader::SYN | TcpHeader::RST) && tcp.knows(dir.flip());
        if shaken || p.wire_payload > 1 {
            self.slab.put(index, Class::Tcp, self.clock.coarse());
        }
    }

    /// Follows the sequence numbers of a flow nobody wants.
    fn follow(&mut self, index: u32, dir: Dir, p: &Packet<'_>) {
        let flow = self.slab.get_mut(index);
        if flow.wanted {
            return;
        }
        if let (Kind::Tcp(tcp), L4::Tcp(head)) = (&mut flow.kind, p.l4) {
            self.reassembly.forget(tcp);
            self.followed = Followed {
                packet: self.counters.tcp_packets,
                before: tcp.stand(dir),
            };
            let fate = tcp.follow(dir, &head, p.wire_payload);
            self.meet(index, fate);
        }
    }

    /// A segment that does not simply continue its direction.
    #[inline(never)]
    fn disorder(
        &mut self,
        index: u32,
        segment: &Segment<'_>,
        store: &Store,
        sink: &mut dyn StreamSink,
    ) {
        let flow = self.slab.get_mut(index);
        let Kind::Tcp(tcp) = &mut flow.kind else {
            return;
        };
        let mut around = Around {
            flow: index,
            now: self.clock.now(),
            ts: segment.ts,
            store,
            sink,
            counters: &mut self.counters,
        };
        let fate = self.reassembly.segment(tcp, segment, &mut around);
        self.meet(index, fate);
        while let Some(oldest) = self.reassembly.over_limit() {
            if let Kind::Tcp(tcp) = &mut self.slab.get_mut(oldest).kind {
                let mut around = Around {
                    flow: oldest,
                    now: self.clock.now(),
                    ts: segment.ts,
                    store,
                    sink,
                    counters: &mut self.counters,
                };
                self.reassembly.cut(tcp, &mut around);
            }
        }
    }

    /// Lets a TCP flow linger that has ended.
    fn meet(&mut self, index: u32, fate: Fate) {
        let class = match fate {
            Fate::Lives => return,
            Fate::Closing => Class::Closing,
            Fate::Finished => Class::Fin,
            Fate::Reset => Class::Reset,
        };
        let now = self.slab.get(index).class;
        if !now.over() && now != class {
            self.slab.put(index, class, self.clock.coarse());
        }
    }

    /// Fires timeouts.
    #[cold]
    #[inline(never)]
    fn expire(&mut self, now: i64, store: &Store, sink: &mut dyn FlowSink) {
        let coarse = self.clock.coarse();
        self.ticked = coarse;
        while let Some(index) = self.reassembly.due(self.clock.now()) {
            if let Kind::Tcp(tcp) = &mut self.slab.get_mut(index).kind {
                let mut around = Around {
                    flow: index,
                    now: self.clock.now(),
                    ts: now,
                    store,
                    sink,
                    counters: &mut self.counters,
                };
                self.reassembly.wake(tcp, &mut around);
                let fate = tcp.fate();
                self.meet(index, fate);
            }
        }
        for (class, wait) in [
            (Class::Fin, self.limits.linger),
            (Class::Reset, self.limits.linger_reset),
            (Class::HalfOpen, self.limits.half_open),
            (Class::Udp, self.limits.udp_idle + self.limits.udp_idle / 8),
            (Class::Tcp, self.limits.tcp_idle + self.limits.tcp_idle / 8),
        ] {
            let wait = wait >> COARSE_SHIFT;
            while let Some(index) = self.slab.front(class) {
                let since = coarse.wrapping_sub(self.slab.get(index).put);
                if u64::from(since) <= wait {
                    break;
                }
                self.close(index, Close::Timeout, store, sink);
            }
        }
    }

    /// Makes room for one flow.
    fn evict(&mut self, store: &Store, sink: &mut dyn FlowSink) {
        let over = self
            .slab
            .front(Class::Fin)
            .or(self.slab.front(Class::Reset));
        if let Some(index) = over {
            self.close(index, Close::Evicted, store, sink);
            return;
        }
        let half_open = self.slab.front(Class::HalfOpen);
        let index = half_open.or_else(|| self.slab.oldest(Class::Tcp, Class::Udp));
        let Some(index) = index else {
            return;
        };
        self.counters.evicted += 1;
        self.counters.evicted_half_open += u64::from(half_open.is_some());
        self.close(index, Close::Evicted, store, sink);
    }

    /// Hands on what a flow still holds and takes it out of the table. What ended by itself closes with its own
    /// reason, whatever drove it out.
    fn close(&mut self, index: u32, why: Close, store: &Store, sink: &mut dyn FlowSink) {
        let flow = self.slab.get_mut(index);
        if let Kind::Tcp(tcp) = &mut flow.kind {
            let mut around = Around {
                flow: index,
                now: self.clock.now(),
                ts: flow.last_ts,
                store,
                sink,
                counters: &mut self.counters,
            };
            self.reassembly.finish(tcp, &mut around);
        }
        let why = match flow.class {
            Class::Fin | Class::Closing => Close::Fin,
            Class::Reset => Close::Reset,
            Class::Free | Class::HalfOpen | Class::Tcp | Class::Udp => why,
        };
        self.counters.closed += 1;
        self.counters.timed_out += u64::from(why == Close::Timeout);
        self.table.remove(index, &self.slab);
        sink.closed(index, self.slab.get(index), why);
        self.slab.remove(index);
    }
}

/// Hands on a datagram: one chunk, and what the snap length cut of it as a gap.
fn datagram(touch: Touch, p: &Packet<'_>, pos: u64, ts: i64, sink: &mut dyn StreamSink) {
    if !p.payload.is_empty() {
        let chunk = Chunk {
            dir: touch.dir,
            data: p.payload,
            pos,
            ts,
            offset: 0,
        };
        sink.chunk(touch.flow, &chunk);
    }
    let cut = u64::from(p.wire_payload).saturating_sub(p.payload.len() as u64);
    if cut > 0 {
        sink.gap(touch.flow, touch.dir, cut, ts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Flow>(), 128);
    }
}
