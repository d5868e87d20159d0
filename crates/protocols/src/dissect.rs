//! The contract between streams and dissectors.

use gillnet_entry::drops::Reason;
use gillnet_entry::{Bytes, Fault, ProtocolInfo, Record, Schema, Transport};
use gillnet_streams::{Close, Dir};

/// Limits that hold for every dissector.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest head of a message, in bytes.
    pub head: usize,
    /// Bytes of a body that are kept by reference.
    pub body: usize,
    /// Requests of a stream that may wait for their answer.
    pub pending: usize,
    /// How long a request waits for its answer, in ns of packet time.
    pub timeout: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head: 64 << 10,
            body: 1 << 20,
            pending: 1024,
            timeout: 120_000_000_000,
        }
    }
}

/// KFL flags and what each says of an entry.
pub type Flags = &'static [(&'static str, &'static str)];

/// A protocol: a line of the registry.
pub struct Protocol {
    /// Its name in counters and settings: `http`.
    pub name: &'static str,
    /// KFL flags that entries of this protocol can carry, its own name first.
    pub flags: Flags,
    /// Its field table.
    pub schema: &'static Schema,
    /// How its entries may be shown: versions, and protocols inside.
    pub infos: &'static [&'static ProtocolInfo],
    /// How its entries are read from streams; `None` where nothing reads them yet: filters may speak of the protocol,
    /// and its fields have their defaults.
    pub dissection: Option<&'static Dissection>,
}

/// How the entries of a protocol are read from streams.
pub struct Dissection {
    /// Transports it runs on.
    pub transports: &'static [Transport],
    /// Usual ports, a help where the first bytes leave doubt.
    pub ports: &'static [u16],
    /// Says from the first bytes of one direction whether it is this protocol.
    pub identify: fn(first: &[u8], transport: Transport, port_hint: bool) -> Verdict,
    /// Opens a dissector for one stream.
    pub open: fn(transport: Transport) -> Box<dyn Dissector>,
}

impl Protocol {
    /// Whether its entries are read from streams of this transport.
    pub fn runs_on(&self, transport: Transport) -> bool {
        let dissection = self.dissection;
        dissection.is_some_and(|dissection| dissection.transports.contains(&transport))
    }
}

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What `identify` makes of the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// Too few bytes to say.
    More,
}

/// What a dissector is fed: bytes that follow what it used before without a hole.
#[derive(Clone, Copy)]
pub struct Feed<'a> {
    /// Which way they go.
    pub dir: Dir,
    /// All bytes of that direction that are not used yet.
    pub data: &'a [u8],
    /// Position of `data[0]` in the byte store, where all of `data` is contiguous in it; `None` where segments were
    /// joined: what is kept of them must be copied.
    pub pos: Option<u64>,
    /// Time of the packet that brought the last of them, ns.
    pub ts: i64,
    /// Time of the packet that brought the first of them, ns.
    pub first_ts: i64,
    /// Whether anyone wants bodies; else they are passed over as ranges.
    pub bodies: bool,
    /// Limits.
    pub limits: &'a Limits,
    /// The byte store, for what was kept by reference.
    pub store: &'a dyn Bytes,
    /// Nothing follows these bytes, as the direction has ended: what can be made of them must be made of them now.
    pub last: bool,
}

/// What a dissector makes of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes are used (all of them, or a message's worth); the rest is fed again at once if there is any.
    Used(usize),
    /// Used none: feed again when at least so many bytes are there.
    Need(usize),
    /// Passes over so many bytes from the start of this feed, though they may not have come yet: a body nobody wants.
    /// [`Dissector::skipped`] tells when they are over.
    Skip(u64),
    /// Used so many; what follows, both ways, is another protocol's (Upgrade, CONNECT, STARTTLS): named, or to be identified anew.
    Handoff(usize, Option<&'static str>),
    /// Lost the thread of this direction: so many bytes (at least one) are given up, and behind them the next sure
    /// start of a message is looked for ([`Dissector::resync`]).
    Resync(usize),
    /// Not this protocol, or beyond repair: nothing more of this stream is dissected.
    Lost(Why),
}

/// Why a dissector gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The bytes contradict the protocol.
    Malformed,
    /// A head is longer than the limit.
    HeadLimit,
}

/// How a dissector goes on behind a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterGap {
    /// The missing bytes were inside a body: go on behind them.
    Continue,
    /// Look for the next sure start of a message ([`Dissector::resync`]).
    Resync,
}

/// Where a message starts behind a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// For sure at this offset.
    At(usize),
    /// Perhaps at this offset: the bytes from there on are kept and looked at again with what follows.
    Maybe(usize),
    /// Nowhere in these bytes.
    No,
}

/// How bytes that were passed over ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// How many of them never came.
    pub missing: u64,
    /// How many were still to come when the direction ended; 0 where all are over.
    pub left: u64,
    /// Time of the packet with the last that came, ns.
    pub ts: i64,
}

/// One stream's dissector.
pub trait Dissector: Send {
    /// Takes bytes. Called again with the rest while it answers `Used` and bytes are left.
    fn feed(&mut self, feed: &Feed<'_>, out: &mut dyn EntrySink) -> Step;

    /// So many bytes of a direction never came.
    fn gap(&mut self, dir: Dir, missing: u64, out: &mut dyn EntrySink) -> AfterGap;

    /// Looks for the next sure start of a message in bytes behind a gap; they begin where a packet's bytes begin.
    fn resync(&self, dir: Dir, bytes: &[u8]) -> Start;

    /// The start that [`Dissector::resync`] looked for is found and fed next. `behind` is the time of the packet with the
    /// first bytes behind the gap, ns; `at_once` says that the start is at the first of them.
    fn resumed(&mut self, _dir: Dir, _behind: i64, _at_once: bool, _out: &mut dyn EntrySink) {}

    /// What the last [`Step::Skip`] of a direction passed over has ended. Only who skips need write it.
    fn skipped(&mut self, _dir: Dir, _end: Skipped, _out: &mut dyn EntrySink) {}

    /// A direction has ended: what runs until the close of the connection is complete.
    fn half_close(&mut self, dir: Dir, ts: i64, out: &mut dyn EntrySink);

    /// Packet time moved on: requests that waited too long are emitted as timed out.
    fn tick(&mut self, now: i64, limits: &Limits, out: &mut dyn EntrySink);

    /// The stream ended: what is still unpaired is emitted.
    fn close(&mut self, why: Close, ts: i64, out: &mut dyn EntrySink);

    /// Bytes that it holds on the heap, about, beside its own struct.
    fn held(&self) -> usize {
        0
    }
}

/// One entry as its dissector emits it; the pipeline adds the flow's part.
pub struct Emit<'a> {
    /// The protocol's part.
    pub record: &'a dyn Record,
    /// The direction in which the request goes.
    pub requester: Dir,
    /// Time of the first packet, ns.
    pub ts: i64,
    /// Time of the response's last packet, where request and response are both there.
    pub end_ts: Option<i64>,
    /// Bytes of the request on the wire.
    pub request_size: u64,
    /// Bytes of the response on the wire.
    pub response_size: u64,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// Bytes missing inside it.
    pub missing: u64,
}

/// Takes what a dissector emits.
pub trait EntrySink {
    /// An entry.
    fn entry(&mut self, emit: &Emit<'_>);
    /// Something dropped or cut.
    fn count(&mut self, reason: Reason, n: u64);
}
