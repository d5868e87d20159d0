//! The newest entries, in bounded memory.

use gillnet_entry::OwnedEntry;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bounded ring of entries: the oldest go when it is full.
#[derive(Debug)]
pub struct LiveStore {
    limit: usize,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<(Arc<OwnedEntry>, usize)>,
    bytes: usize,
    /// Number of the oldest entry that is there.
    first: u64,
}

/// What came since a moment.
#[derive(Debug, Default)]
pub struct Since {
    /// The entries, oldest first.
    pub entries: Vec<Arc<OwnedEntry>>,
    /// Entries that went before they were read.
    pub skipped: u64,
    /// Where to go on.
    pub next: u64,
}

impl LiveStore {
    /// A store of about so many bytes.
    pub fn new(limit: usize) -> LiveStore {
        LiveStore {
            limit,
            ring: Mutex::default(),
        }
    }

    /// Adds entries.
    pub fn extend(&self, entries: impl IntoIterator<Item = OwnedEntry>) {
        let mut ring = self.ring();
        for entry in entries {
            let size = weight(&entry);
            ring.bytes += size;
            ring.entries.push_back((Arc::new(entry), size));
            while ring.bytes > self.limit
                && let Some((_, size)) = ring.entries.pop_front()
            {
                ring.bytes -= size;
                ring.first += 1;
            }
        }
    }

    /// Number of the next entry.
    pub fn end(&self) -> u64 {
        let ring = self.ring();
        ring.first + ring.entries.len() as u64
    }

    /// At most `most` entries from number `from` on.
    pub fn since(&self, from: u64, most: usize) -> Since {
        let ring = self.ring();
        let begin = from.max(ring.first);
        let offset = usize::try_from(begin - ring.first).unwrap_or(usize::MAX);
        let entries: Vec<_> = ring
            .entries
            .iter()
            .skip(offset)
            .take(most)
            .map(|(e, _)| Arc::clone(e))
            .collect();
        Since {
            skipped: begin - from,
            next: begin + entries.len() as u64,
            entries,
        }
    }

    /// All that is there, oldest first.
    pub fn all(&self) -> Vec<Arc<OwnedEntry>> {
        self.ring()
            .entries
            .iter()
            .map(|(entry, _)| Arc::clone(entry))
            .collect()
    }

    /// How many have gone to make room.
    pub fn gone(&self) -> u64 {
        self.ring().first
    }

    /// At most so many, the newest first.
    pub fn newest(&self, most: usize) -> Vec<Arc<OwnedEntry>> {
        let ring = self.ring();
        let newest = ring.entries.iter().rev().take(most);
        newest.map(|(entry, _)| Arc::clone(entry)).collect()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how much memory an entry takes: its struct, and what it keeps of its messages.
fn weight(entry: &OwnedEntry) -> usize {
    let messages = entry.request_size.saturating_add(entry.response_size);
    1024 + usize::try_from(messages)
        .unwrap_or(usize::MAX)
        .min(2 * LiveStore::KEEP)
}

impl LiveStore {
    /// Bytes that are kept of a head or body.
    pub const KEEP: usize = 64 << 10;
}
