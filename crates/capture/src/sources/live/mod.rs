//! Frames from the kernel: a packet socket and its ring for each interface, or one for all.

mod interfaces;
mod kernel;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use libc::{ETH_P_IP, ETH_P_IPV6, c_int};

use crate::{
    Error, Event, Frame, Interface, LinkType, MAX_FRAME, NO_POS, PacketDirection, Result, Source,
    SourceStats, Store,
    filter::{self, Insn},
    turns,
};
use interfaces::{Known, Table};
use kernel::{BLOCK, Header, KernelRing, RESERVE, Socket, frames_of, wait};

/// All interfaces there are.
const ANY: &str = "any";
/// How often it is looked whether an interface that went away is back.
const RETRY: Duration = Duration::from_millis(200);
/// How often what is known of interfaces by number is forgotten: they may be renamed.
const FORGET: Duration = Duration::from_secs(10);
/// Bytes of Ethernet addresses, behind which a VLAN tag stands.
const ADDRESSES: usize = 12;

/// What to capture live.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// Names of interfaces; `any` is all there are.
    pub interfaces: Vec<String>,
    /// A network namespace (a file such as /run/netns/NAME) other than the caller's.
    pub netns: Option<PathBuf>,
    /// A filter in the syntax of pcap-filter(7), applied by the kernel.
    pub filter: Option<String>,
    /// Memory of the kernel's ring for each interface, in bytes; at least 2 MiB are used.
    pub ring_bytes: u64,
    /// The most bytes kept of a frame, at most [`MAX_FRAME`].
    pub snaplen: u32,
    /// After how long the kernel hands over what it has where that is little.
    pub block_timeout: Duration,
    /// A tick at least this often.
    pub tick: Duration,
}

impl Default for LiveConfig {
    /// All interfaces, without a filter; 64 MiB of ring, whole frames.
    fn default() -> Self {
        Self {
            interfaces: vec![ANY.to_owned()],
            netns: None,
            filter: None,
            ring_bytes: 64 << 20,
            snaplen: MAX_FRAME,
            block_timeout: Duration::from_millis(5),
            tick: Duration::from_millis(50),
        }
    }
}

/// Frames of interfaces of this host.
#[derive(Debug)]
pub struct LiveSource {
    taps: Vec<Tap>,
    /// The tap that is read, or is looked at next.
    at: usize,
    reading: Option<Reading>,
    table: Table,
    /// The filter that was asked for, and what of it is wanted now.
    filter: String,
    narrowed: String,
    snaplen: u32,
    tick: Duration,
    /// When the next tick is due.
    tick_due: Instant,
    forget_due: Instant,
    stats: SourceStats,
}

/// After so many frames, about a tenth of a millisecond of work, others come to their turn, unless a further block waits: a
/// whole block is long enough to be felt by those for whom the host is there.
const TURN: u32 = 64;

/// A place in a block of the current tap's ring.
#[derive(Clone, Copy, Debug)]
struct Reading {
    frames_left: u32,
    offset: usize,
}

/// A socket and its ring.
#[derive(Debug)]
struct Tap {
    name: Arc<str>,
    socket: Socket,
    ring: KernelRing,
    /// The interface it is bound to, 0 for all.
    ifindex: u32,
    /// Set while the interface is gone: when it is looked for again.
    gone: Option<Instant>,
}

/// Opens the interfaces and starts to capture.
///
/// # Errors
/// Where the filter is wrong ([`Error::Filter`]), capturing is not allowed, an interface or the
/// namespace is not there, or the kernel refuses the memory. That an interface is down is no
/// error here: [`Source::next`] says it, and goes on when it is up.
pub fn open_live(config: &LiveConfig) -> Result<LiveSource> {
    let snaplen = config.snaplen.clamp(1, MAX_FRAME);
    let program = filter::compile(config.filter.as_deref().unwrap_or_default(), snaplen)?;
    let open = || {
        config
            .interfaces
            .iter()
            .map(|name| Tap::open(name, config, &program))
            .collect::<Result<Vec<_>>>()
    };
    let taps = match &config.netns {
        None => open()?,
        Some(path) => {
            let failed = |source| Error::Namespace {
                path: path.clone(),
                source,
            };
            let namespace = File::open(path).map_err(failed)?;
            // a socket stays in the namespace it was made in, so the thread may end then
            let inside = || {
                kernel::enter(&namespace)
                    .map_err(failed)
                    .and_then(|()| open())
            };
            thread::scope(|scope| scope.spawn(inside).join())
                .unwrap_or_else(|_| Err(failed(io::ErrorKind::Other.into())))?
        }
    };
    if taps.is_empty() {
        return Err(Error::NothingThere {
            what: "no interface".to_owned(),
        });
    }
    let now = Instant::now();
    Ok(LiveSource {
        taps,
        at: 0,
        reading: None,
        table: Table::new(snaplen),
        filter: config.filter.clone().unwrap_or_default(),
        narrowed: String::new(),
        snaplen,
        tick: config.tick,
        tick_due: now + config.tick,
        forget_due: now + FORGET,
        stats: SourceStats::default(),
    })
}

/// Has a socket pass what a program accepts.
fn attach(interface: &str, socket: &Socket, program: &[Insn]) -> Result<()> {
    socket.filter(program).map_err(|source| Error::Live {
        interface: interface.to_owned(),
        what: "attaching the filter",
        source,
    })
}

impl Tap {
    fn open(name: &str, config: &LiveConfig, program: &[Insn]) -> Result<Self> {
        let live = |what| {
            move |source| Error::Live {
                interface: name.to_owned(),
                what,
                source,
            }
        };
        let socket = Socket::new().map_err(|source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Error::NotAllowed {
                interface: name.to_owned(),
            },
            _ => live("opening a packet socket")(source),
        })?;
        let ifindex = match name {
            ANY => 0,
            _ => socket
                .index_of(name)
                .map_err(|source| match source.raw_os_error() {
                    Some(libc::ENODEV | libc::ENXIO) => Error::NoInterface {
                        interface: name.to_owned(),
                        known: kernel::names().join(", "),
                    },
                    _ => live("looking the interface up")(source),
                })?,
        };
        attach(name, &socket, program)?;
        let blocks = usize::try_from(config.ring_bytes / BLOCK as u64)
            .unwrap_or(usize::MAX)
            .max(2);
        let ring = socket
            .ring(blocks, config.block_timeout)
            .map_err(|source| match source.kind() {
                io::ErrorKind::OutOfMemory | io::ErrorKind::InvalidInput => {
                    let bytes = (blocks as u64).saturating_mul(BLOCK as u64);
                    Error::RingMemory {
                        interface: name.to_owned(),
                        bytes,
                        source,
                    }
                }
                _ => live("making the ring")(source),
            })?;
        socket
            .bind(ifindex)
            .map_err(live("binding to the interface"))?;
        Ok(Self {
            name: name.into(),
            socket,
            ring,
            ifindex,
            gone: None,
        })
    }

    /// Told that the socket has an error: why the interface is gone, where it is.
    fn lost(&mut self) -> Option<&'static str> {
        let error = self.socket.pending_error();
        if self.ifindex == 0 || self.gone.is_some() || error == 0 {
            return None;
        }
        self.gone = Some(Instant::now() + RETRY);
        let same = self
            .socket
            .index_of(&self.name)
            .is_ok_and(|index| index == self.ifindex);
        Some(if same { "down" } else { "away" })
    }

    /// Looks whether a gone interface is back, at times.
    fn look_again(&mut self, now: Instant) {
        if self.gone.is_none_or(|due| due > now) {
            return;
        }
        self.gone = Some(now + RETRY);
        if !self.socket.is_up(&self.name).unwrap_or(false) {
            return;
        }
        // It may have another number now. Where it has the same one the kernel has bound it again
        // by itself, and this changes nothing.
        if let Ok(index) = self.socket.index_of(&self.name)
            && self.socket.bind(index).is_ok()
        {
            self.ifindex = index;
            self.gone = None;
            // the error of before is over
            let _ = self.socket.pending_error();
        }
    }
}

/// What was found where the source stands.
enum Found {
    Frame(Known, Header),
    Tick,
}

impl LiveSource {
    /// Has all taps pass what an expression asks for, from now on.
    fn attach(&self, expression: &str) -> Result<()> {
        let program = filter::compile(expression, self.snaplen)?;
        self.taps
            .iter()
            .try_for_each(|tap| attach(&tap.name, &tap.socket, &program))
    }

    /// Goes on to the next frame that is delivered, or to the next tick.
    fn find(&mut self) -> Result<Found> {
        loop {
            if let Some(found) = self.next_in_block()? {
                return Ok(found);
            }
            let now = Instant::now();
            if now >= self.forget_due {
                self.table.forget();
                self.forget_due = now + FORGET;
            }
            if now >= self.tick_due {
                self.tick_due = now + self.tick;
                return Ok(Found::Tick);
            }
            if !self.next_block(now) {
                self.wait(now)?;
            }
        }
    }

    /// The next frame of the block that is read; at its end the block goes back to the kernel.
    fn next_in_block(&mut self) -> Result<Option<Found>> {
        let Some(tap) = self.taps.get_mut(self.at) else {
            return Ok(None);
        };
        while let Some(Reading {
            frames_left,
            offset,
        }) = self.reading
        {
            let block = tap.ring.block().filter(|_| frames_left > 0);
            let Some(header) = block.and_then(|block| Header::read(block, offset)) else {
                tap.ring.release();
                self.reading = None;
                break;
            };
            let (known, first) = self.table.interface(&tap.socket, &header);
            if first && let LinkType::Other(number) = known.link {
                // the frame itself is found by the next call
                self.stats.interfaces_unknown += 1;
                let number = u32::from(number);
                return Err(Error::LinkType {
                    file: Arc::clone(&tap.name),
                    iface: known.number,
                    number,
                });
            }
            if frames_left % TURN == 0 && !tap.ring.is_behind() {
                turns::pause();
            }
            self.reading = Some(Reading {
                frames_left: frames_left - 1,
                offset: offset + header.next,
            });
            // what loopback sends it also receives: the second sight is the one that others show, with its time
            if header.outgoing && header.hatype == libc::ARPHRD_LOOPBACK {
                self.stats.loopback_copies += 1;
                continue;
            }
            if known.link == LinkType::Raw
                && !matches!(c_int::from(header.protocol), ETH_P_IP | ETH_P_IPV6)
            {
                self.stats.not_ip += 1;
                continue;
            }
            return Ok(Some(Found::Frame(known, header)));
        }
        Ok(None)
    }

    /// Goes on to a block that is ready, of the other taps first; `false` where none is.
    fn next_block(&mut self, now: Instant) -> bool {
        let taps = self.taps.len();
        for step in 1..=taps {
            let at = (self.at + step) % taps;
            let Some(tap) = self.taps.get_mut(at) else {
                continue;
            };
            if tap.ring.is_ready() && tap.gone.is_some() {
                // most likely it is back; else these frames are from before
                tap.gone = Some(now);
                tap.look_again(now);
            }
            if let Some(block) = tap.ring.block() {
                let (frames_left, offset) = frames_of(block);
                self.at = at;
                self.reading = Some(Reading {
                    frames_left,
                    offset,
                });
                return true;
            }
        }
        false
    }

    /// Waits for a block, at most until the next tick.
    fn wait(&mut self, now: Instant) -> Result<()> {
        for tap in &mut self.taps {
            tap.look_again(now);
        }
        // poll counts whole milliseconds; one more, or it would return a little before the tick
        let timeout = self.tick_due.saturating_duration_since(now) + Duration::from_millis(1);
        // a tap whose interface is gone has an error all the time
        let watched = self.taps.iter().map(|tap| {
            if tap.gone.is_some() {
                -1
            } else {
                tap.socket.raw()
            }
        });
        let failed = |source| Error::Live {
            interface: ANY.to_owned(),
            what: "waiting for frames",
            source,
        };
        let with_error = wait(watched, timeout).map_err(failed)?;
        for (tap, _) in self
            .taps
            .iter_mut()
            .zip(with_error)
            .filter(|(_, with_error)| *with_error)
        {
            if let Some(how) = tap.lost() {
                self.stats.interfaces_lost += 1;
                return Err(Error::InterfaceGone {
                    interface: tap.name.to_string(),
                    how,
                });
            }
        }
        Ok(())
    }

    /// The frame, out of the block that is read.
    #[inline]
    fn deliver(&mut self, known: Known, header: &Header) -> Event<'_> {
        let block = self
            .taps
            .get_mut(self.at)
            .and_then(|tap| tap.ring.block())
            .unwrap_or_default();
        let mut from = header.link;
        let mut wire_len = header.wire_len;
        match (known.link, header.tag) {
            (LinkType::Raw, _) => {
                from = header.network.clamp(header.link, header.link + header.len);
                wire_len = wire_len.saturating_sub((from - header.link) as u32);
            }
            (LinkType::Ethernet, Some(tag)) if header.len >= ADDRESSES => {
                from = put_tag_back(block, header.link, tag);
                wire_len += RESERVE as u32;
            }
            _ => {}
        }
        let data = block
            .get(from..header.link + header.len)
            .unwrap_or_default();
        self.stats.frames += 1;
        self.stats.bytes += data.len() as u64;
        Event::Frame(Frame {
            ts: header.ts,
            iface: known.number,
            link: known.link,
            direction: if header.outgoing {
                PacketDirection::Out
            } else {
                PacketDirection::In
            },
            wire_len,
            data,
            pos: NO_POS,
            comment: None,
        })
    }
}

/// Writes a VLAN tag, which the kernel took out of the frame at `at`, between addresses and type:
/// the addresses move into the room before them. Tells where the frame begins then.
fn put_tag_back(block: &mut [u8], at: usize, (kind, content): (u16, u16)) -> usize {
    let start = at.saturating_sub(RESERVE);
    let Some(room) = block
        .get_mut(start..at + ADDRESSES)
        .filter(|room| room.len() == RESERVE + ADDRESSES)
    else {
        return at;
    };
    room.copy_within(RESERVE.., 0);
    let (kind, content) = (kind.to_be_bytes(), content.to_be_bytes());
    for (to, from) in room
        .iter_mut()
        .skip(ADDRESSES)
        .zip(kind.into_iter().chain(content))
    {
        *to = from;
    }
    start
}

/// The wall clock in nanoseconds since the Unix epoch.
fn wall_clock() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

impl Source for LiveSource {
    fn next(&mut self) -> Result<Event<'_>> {
        match self.find()? {
            Found::Frame(known, header) => Ok(self.deliver(known, &header)),
            Found::Tick => Ok(Event::Tick(wall_clock())),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        self.table.list()
    }

    fn stats(&mut self) -> SourceStats {
        for tap in &self.taps {
            // the kernel counts from nought each time it is asked
            if let Ok(counted) = tap.socket.counted() {
                self.stats.kernel_received += counted.received;
                self.stats.kernel_dropped += counted.dropped;
                self.stats.kernel_freezes += counted.freezes;
            }
        }
        self.stats
    }

    fn narrow(&mut self, wanted: &str) -> Result<()> {
        if self.narrowed == wanted {
            return Ok(());
        }
        let both = match (self.filter.trim(), wanted) {
            ("", wanted) => wanted.to_owned(),
            (asked, "") => asked.to_owned(),
            (asked, wanted) => format!("({asked}) and ({wanted})"),
        };
        let attached = self.attach(&both);
        if attached.is_ok() {
            wanted.clone_into(&mut self.narrowed);
        } else {
            self.attach(&self.filter)?;
            self.narrowed.clear();
        }
        attached
    }

    fn store(&self) -> Option<Store> {
        None
    }
}
