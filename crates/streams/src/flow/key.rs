//! The key of a flow and the index by it.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::home::Transport;
use super::slab::Slab;
use crate::Addr;
use crate::decode::Packet;

/// Both ends, of an entry the opener first, of a packet the sender. Two keys that differ in the order are of one flow:
/// that is not decided by ordering them, as nothing could predict which way a packet goes. The transport stands in
/// the entry's kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) from: Addr,
    pub(super) to: Addr,
    /// That of `from` in the upper half.
    pub(super) ports: u32,
}

impl Key {
    /// Of a packet.
    #[inline(always)]
    pub(super) fn of(p: &Packet<'_>) -> Key {
        Key {
            from: p.src,
            to: p.dst,
            ports: u32::from(p.sport) << 16 | u32::from(p.dport),
        }
    }

    /// In the other order.
    #[inline(always)]
    pub(super) fn flip(&self) -> Key {
        Key {
            from: self.to,
            to: self.from,
            ports: self.ports.rotate_left(16),
        }
    }

    /// The ends in order.
    pub(super) fn ends(&self) -> ((Addr, u16), (Addr, u16)) {
        let port = self.ports >> 16;
        ((self.from, port as u16), (self.to, self.ports as u16))
    }

    /// Whether both are of one flow.
    #[inline(always)]
    fn same_flow(&self, other: &Key) -> bool {
        (self.differs(other) == 0) | (self.differs(&other.flip()) == 0)
    }

    /// Of keys of one flow: whether they go the same way.
    #[inline(always)]
    pub(super) fn same_way(&self, other: &Key) -> bool {
        let addr = (self.from.hi ^ other.from.hi) | (self.from.lo ^ other.from.lo);
        addr | u64::from(self.ports ^ other.ports) == 0
    }

    #[inline(always)]
    fn differs(&self, other: &Key) -> u64 {
        (self.from.hi ^ other.from.hi)
            | (self.from.lo ^ other.from.lo)
            | (self.to.hi ^ other.to.hi)
            | (self.to.lo ^ other.to.lo)
            | u64::from(self.ports ^ other.ports)
    }
}

/// Finds entries of the slab by key.
#[derive(Debug)]
pub(super) struct Table {
    hasher: Hasher,
    table: HashTable<u32>,
}

impl Table {
    pub(super) fn new() -> Self {
        Table {
            hasher: Hasher::random(),
            table: HashTable::new(),
        }
    }

    #[inline(always)]
    pub(super) fn hash(&self, key: &Key, transport: Transport) -> u64 {
        self.hasher.hash(key, transport)
    }

    #[inline(always)]
    pub(super) fn find(
        &self,
        hash: u64,
        key: &Key,
        transport: Transport,
        slab: &Slab,
    ) -> Option<u32> {
        let same = |index: &u32| {
            let flow = slab.get(*index);
            flow.key().same_flow(key) && flow.kind.transport() == transport
        };
        self.table.find(hash, same).copied()
    }

    pub(super) fn insert(&mut self, hash: u64, index: u32, slab: &Slab) {
        let hasher = &self.hasher;
        let rehash = |index: &u32| hasher.of_entry(*index, slab);
        self.table.insert_unique(hash, index, rehash);
    }

    pub(super) fn remove(&mut self, index: u32, slab: &Slab) {
        let hash = self.hasher.of_entry(index, slab);
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
    }
}

/// A hash that is the same both ways: of each end on its own, with secrets, as whoever sends packets chooses keys.
#[derive(Debug)]
struct Hasher {
    secrets: [u64; 3],
}

impl Hasher {
    fn random() -> Self {
        let random = foldhash::quality::RandomState::default();
        Hasher {
            secrets: [0, 1, 2].map(|i| random.hash_one(i)),
        }
    }

    #[inline(always)]
    fn hash(&self, key: &Key, transport: Transport) -> u64 {
        let [a, b, c] = self.secrets;
        // the upper bits of an IPv4 address are free
        let mut from = key.from.lo ^ u64::from(key.ports >> 16) << 48;
        let mut to = key.to.lo ^ u64::from(key.ports & 0xffff) << 48;
        if key.from.hi | key.to.hi != 0 {
            from ^= fold(key.from.hi ^ a, c);
            to ^= fold(key.to.hi ^ a, c);
        }
        let a = a ^ transport as u64;
        fold(from ^ a, b).wrapping_add(fold(to ^ a, b))
    }

    fn of_entry(&self, index: u32, slab: &Slab) -> u64 {
        let flow = slab.get(index);
        self.hash(&flow.key(), flow.kind.transport())
    }
}

/// Both halves of a product, folded into one word.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(from: [u8; 4], sport: u16, to: [u8; 4], dport: u16) -> Key {
        Key {
            from: Addr::v4(from),
            to: Addr::v4(to),
            ports: u32::from(sport) << 16 | u32::from(dport),
        }
    }

    #[test]
    fn both_ways_are_one_key() {
        let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let one = key(a, 5, b, 6);
        let hasher = Hasher::random();
        for (other, same, way) in [
            (key(a, 5, b, 6), true, true),
            (key(b, 6, a, 5), true, false),
            (key(a, 6, b, 5), false, false),
            (key(b, 5, a, 6), false, false),
            (key(a, 5, b, 7), false, false),
            (key(a, 5, a, 6), false, false),
        ] {
            assert_eq!(one.same_flow(&other), same);
            let equal = hasher.hash(&one, Transport::Tcp) == hasher.hash(&other, Transport::Tcp);
            assert_eq!(equal, same);
            assert!(!same || one.same_way(&other) == way);
        }
        assert_ne!(
            hasher.hash(&one, Transport::Tcp),
            hasher.hash(&one, Transport::Udp)
        );
        // ends that differ in the port alone
        let (up, down) = (key(a, 5, a, 6), key(a, 6, a, 5));
        assert!(up.same_flow(&down) && !up.same_way(&down));
        assert_eq!(down.flip().ends(), ((Addr::v4(a), 5), (Addr::v4(a), 6)));
    }

    /// Ports of one pair of addresses, and addresses in a row, spread over the bits that the table uses.
    #[test]
    fn hashes_spread() {
        let hasher = Hasher::random();
        let mut buckets = vec![0u32; 1 << 12];
        let mut tags = [0u32; 128];
        for i in 0..1u32 << 16 {
            let [x, y, ..] = i.to_le_bytes();
            let hash = hasher.hash(
                &key([10, 0, x, y], i as u16, [10, 0, 0, 1], 80),
                Transport::Tcp,
            );
            buckets[hash as usize & 0xfff] += 1;
            tags[(hash >> 57) as usize] += 1;
        }
        // 16 and 512 on average; far beyond what chance does
        assert!(
            buckets.iter().all(|n| *n < 60),
            "{:?}",
            buckets.iter().max()
        );
        assert!(tags.iter().all(|n| (256..1024).contains(n)), "{tags:?}");
    }
}
