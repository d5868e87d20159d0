//! Buffers that lie somewhere in memory as a store: what is read where it is, one after the other.

use std::{
    collections::VecDeque,
    ptr, slice,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

use super::{LENT, Of, Store};

/// Who has bytes in memory that stay where they are, as they are, for as long as it lives.
pub trait Lend: Send + Sync {
    /// The bytes; each time the same.
    fn bytes(&self) -> &[u8];
}

/// The writer's side of a store of buffers: each that is lent lies behind those before, as far as positions go.
pub struct Lent {
    store: Store,
}

/// The buffers of such a store.
#[derive(Default)]
pub(super) struct Buffers {
    /// Where the newest begins, and where it lies: most of what is read is there.
    newest: (AtomicU64, AtomicPtr<u8>),
    /// All, oldest first, each with the position of its first byte.
    all: RwLock<VecDeque<(u64, Arc<dyn Lend>)>>,
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lent").field(&self.store).finish()
    }
}

impl Default for Lent {
    fn default() -> Self {
        Self {
            store: Store::new(ptr::null(), LENT, Of::Lent(Buffers::default())),
        }
    }
}

impl Lent {
    /// A handle to read it.
    #[must_use]
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// Takes a buffer; the position of its first byte. It stays until [`Lent::give_back`].
    pub fn lend(&mut self, buffer: Arc<dyn Lend>) -> u64 {
        let at = self.store.head();
        let bytes = buffer.bytes();
        let (start, place) = (bytes.as_ptr().cast_mut(), bytes.len() as u64);
        if let Of::Lent(buffers) = &self.store.marks.of {
            let mut all = buffers.all.write().unwrap_or_else(PoisonError::into_inner);
            all.push_back((at, buffer));
            buffers.newest.1.store(start, Ordering::Relaxed);
            buffers.newest.0.store(at, Ordering::Release);
        }
        self.store.grow(at + place);
        at
    }

    /// Lets go of the buffers whose bytes all stand before a position.
    pub fn give_back(&mut self, until: u64) {
        let Of::Lent(buffers) = &self.store.marks.of else {
            return;
        };
        let mut all = buffers.all.write().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, buffer)) = all.front() {
            let end = at + buffer.bytes().len() as u64;
            if end > until {
                break;
            }
            self.store.forget(end);
            all.pop_front();
        }
    }
}

impl Store {
    /// Bytes of `tail..head`; `None` where they are not all of one buffer.
    #[inline]
    pub(super) fn lent(&self, pos: u64, len: u32) -> Option<&[u8]> {
        let Of::Lent(buffers) = &self.marks.of else {
            return None;
        };
        if len == 0 {
            return Some(&[]);
        }
        let newest = buffers.newest.0.load(Ordering::Acquire);
        let Some(from) = pos.checked_sub(newest) else {
            return self.lent_before(pos, len);
        };
        let start = buffers.newest.1.load(Ordering::Relaxed);
        // SAFETY: the newest buffer reaches from its start to the head, which the caller has compared with, and is kept
        // until positions up to its end are given back, which moves the tail.
        Some(unsafe { slice::from_raw_parts(start.add(from as usize), len as usize) })
    }

    #[cold]
    fn lent_before(&self, pos: u64, len: u32) -> Option<&[u8]> {
        let Of::Lent(buffers) = &self.marks.of else {
            return None;
        };
        let all = buffers.all.read().unwrap_or_else(PoisonError::into_inner);
        let behind = all.partition_point(|(at, _)| *at <= pos);
        let (at, buffer) = all.get(behind.checked_sub(1)?)?;
        let from = (pos - at) as usize;
        let bytes = buffer.bytes().get(from..from + len as usize)?;
        // SAFETY: the buffer stays as it is and is kept until its last byte is given back, which, as with the other
        // stores, nobody does who still has a slice.
        Some(unsafe { slice::from_raw_parts(bytes.as_ptr(), bytes.len()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Lend for Vec<u8> {
        fn bytes(&self) -> &[u8] {
            self
        }
    }

    #[test]
    fn what_was_lent_is_read_until_it_is_given_back() {
        let mut lent = Lent::default();
        let store = lent.store();
        assert_eq!(store.get(0, 1), None);
        let places: Vec<u64> = [&b"first"[..], b"", b"second", b"third"]
            .map(|bytes| lent.lend(Arc::new(bytes.to_vec())))
            .to_vec();
        assert_eq!(places, [0, 5, 5, 11]);
        let text = |pos, len| store.get(pos, len).map(<[u8]>::to_vec);
        assert_eq!(text(0, 5).unwrap(), b"first");
        assert_eq!(text(6, 3).unwrap(), b"eco");
        assert_eq!(text(11, 5).unwrap(), b"third");
        assert_eq!(text(12, 5), None, "past the end");
        assert_eq!(text(4, 2), None, "of two buffers");
        let mut copy = b">".to_vec();
        assert!(store.copy_out(5, 6, &mut copy) && copy == b">second");
        assert!(!store.copy_out(4, 2, &mut copy) && copy == b">second");
        assert!(store.frame(5).is_none(), "no frames are known");

        lent.give_back(10);
        assert_eq!(text(4, 1), None);
        assert_eq!(
            text(5, 6).unwrap(),
            b"second",
            "not all of it stands before"
        );
        lent.give_back(u64::MAX);
        assert_eq!((text(11, 5), store.tail()), (None, 16));
        assert_eq!(lent.lend(Arc::new(b"last".to_vec())), 16);
        assert_eq!(text(16, 4).unwrap(), b"last");
    }
}
