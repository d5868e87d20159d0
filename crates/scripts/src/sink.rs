//! From a shard to the scripts: entries and packets that some hook wants, without ever holding the shard up.

use crate::KEEP;
use crate::clock::lock;
use crate::hooks::Hook;
use crate::host::{Host, Side};
use crate::mailbox::{Event, Mailbox};
use gillnet_entry::{Detacher, Entry, OwnedEntry};
use gillnet_pipeline::{Consumer, Matched, PacketSeen};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What becomes of hook calls for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// They are dropped, counted: capture goes before scripts.
    Drop,
    /// The shard waits: captures that are read from files.
    Wait,
}

/// Entries and packets that are handed over at a time.
const BATCH: usize = 512;

/// Each so many copies one is timed.
const TIMED: u32 = 8;

/// Time for copies that can be saved up: for a burst that fills a queue.
const SAVED: Duration = Duration::from_millis(2);

/// Takes entries and packets from a shard for the scripts.
pub struct Sink {
    host: Arc<Host>,
    bit: Matched,
    pressure: Pressure,
    /// Of the scripts with the hook, as of the last batch.
    items: Vec<Arc<Mailbox>>,
    packets: Vec<Arc<Mailbox>>,
    detacher: Detacher,
    batch: Vec<Arc<OwnedEntry>>,
    seen: Vec<PacketSeen>,
    budget: Budget,
    /// Whether some script had room for entries at the last look.
    room: bool,
    /// Entries since then that no script gets.
    dropped: u64,
}

/// The part of the shard's time that copies may take.
struct Budget {
    share: u32,
    left: i64,
    since: Instant,
    copies: u32,
    /// What a copy takes, in ns.
    cost: i64,
}

impl Budget {
    fn new(share: u32) -> Budget {
        Budget {
            share,
            left: nanos(SAVED),
            since: Instant::now(),
            copies: 0,
            cost: 1000,
        }
    }

    /// A batch is over.
    fn refill(&mut self) {
        let now = Instant::now();
        let passed = nanos(now.duration_since(self.since));
        self.since = now;
        let more = passed / 1000 * i64::from(self.share);
        self.left = (self.left + more).min(nanos(SAVED));
    }

    /// Makes a copy, where there is time for it.
    fn copy<T>(&mut self, copy: impl FnOnce() -> T) -> Option<T> {
        if self.left <= 0 {
            return None;
        }
        self.copies = self.copies.wrapping_add(1);
        let made = if self.copies.is_multiple_of(TIMED) {
            let since = Instant::now();
            let made = copy();
            self.cost = (self.cost * 7 + nanos(since.elapsed())) / 8;
            made
        } else {
            copy()
        };
        self.left -= self.cost;
        Some(made)
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("pressure", &self.pressure)
            .finish_non_exhaustive()
    }
}

impl Sink {
    pub(crate) fn new(host: &Arc<Host>, bit: u8, pressure: Pressure) -> Sink {
        let mut sink = Sink {
            host: Arc::clone(host),
            bit: 1u128.checked_shl(u32::from(bit)).unwrap_or(0),
            pressure,
            items: Vec::new(),
            packets: Vec::new(),
            detacher: Detacher::default(),
            batch: Vec::with_capacity(BATCH),
            seen: Vec::with_capacity(BATCH),
            budget: Budget::new(host.limits.share),
            room: false,
            dropped: 0,
        };
        sink.look();
        sink
    }

    /// Looks who wants what.
    fn look(&mut self) {
        self.count_dropped();
        self.items.clear();
        self.packets.clear();
        for (side, mailbox) in lock(&self.host.mailboxes).iter() {
            if *side != Side::Worker {
                continue;
            }
            if mailbox.has(Hook::ItemCaptured) {
                self.items.push(Arc::clone(mailbox));
            }
            if mailbox.has(Hook::PacketCaptured) {
                self.packets.push(Arc::clone(mailbox));
            }
        }
        self.look_for_room();
    }

    fn look_for_room(&mut self) {
        self.room = self.items.iter().any(|mailbox| mailbox.has_room());
    }

    /// Counts what was dropped for each script that did not get it.
    fn count_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            for mailbox in &self.items {
                mailbox.drop_calls(Hook::ItemCaptured, dropped);
            }
        }
    }

    fn hand_over_items(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let since = Instant::now();
        for mailbox in &self.items {
            match self.pressure {
                Pressure::Drop => {
                    mailbox.post_traffic(
                        self.batch
                            .iter()
                            .map(|entry| Event::Item(Arc::clone(entry))),
                    );
                }
                Pressure::Wait => {
                    for entry in &self.batch {
                        mailbox.wait_for_room();
                        mailbox.post_traffic([Event::Item(Arc::clone(entry))]);
                    }
                }
            }
        }
        self.batch.clear();
        self.budget.left -= nanos(since.elapsed());
        self.look_for_room();
    }

    fn hand_over_packets(&mut self) {
        if self.seen.is_empty() {
            return;
        }
        for mailbox in &self.packets {
            if self.pressure == Pressure::Wait {
                mailbox.wait_for_room();
            }
            mailbox.post_traffic(self.seen.iter().map(|seen| Event::Packet(*seen)));
        }
        self.seen.clear();
    }
}

impl Consumer for Sink {
    fn entry(&mut self, entry: &Entry<'_>, matched: Matched) -> bool {
        if self.items.is_empty() || matched & self.bit == 0 {
            return true;
        }
        let drops = self.pressure == Pressure::Drop;
        if drops && !self.room {
            self.dropped += 1;
            return true;
        }
        let detacher = &mut self.detacher;
        let mut copy = || Arc::new(detacher.detach(entry, KEEP));
        let copied = if drops {
            self.budget.copy(copy)
        } else {
            Some(copy())
        };
        match copied {
            Some(copied) => self.batch.push(copied),
            None => self.dropped += 1,
        }
        if self.batch.len() >= BATCH {
            self.hand_over_items();
        }
        true
    }

    fn packet(&mut self, seen: &PacketSeen) {
        if self.packets.is_empty() {
            return;
        }
        self.seen.push(*seen);
        if self.seen.len() >= BATCH {
            self.hand_over_packets();
        }
    }

    fn flush(&mut self) {
        self.hand_over_items();
        self.hand_over_packets();
        self.budget.refill();
        self.look();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.hand_over_items();
        self.hand_over_packets();
        self.count_dropped();
    }
}
