//! Where a stream is, by its number: for those who ask for packets that are in the ring.

use crate::outlet::About;
use foldhash::fast::RandomState;
use gillnet_entry::Transport;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// How many streams that ended lately are still found.
const ENDED: usize = 1 << 17;

/// The streams that run or ended lately.
#[derive(Default)]
pub(crate) struct Found {
    by_number: HashMap<u64, Place, RandomState>,
    /// Those that ended, the newest last.
    ended: VecDeque<u64>,
}

/// Where one is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// It runs: its index among the shard's states.
    Runs(u32),
    /// It ended: whether it is UDP, and the position of its newest frame.
    Ended(bool, u64),
}

impl Found {
    /// A stream runs from now on.
    pub(crate) fn runs(&mut self, number: u64, slot: u32) {
        self.by_number.insert(number, Place::Runs(slot));
    }

    /// A stream has ended. The one that ended longest ago is forgotten where there are too many.
    pub(crate) fn ends(&mut self, about: &About) {
        if self.ended.len() >= ENDED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.by_number.remove(&oldest);
        }
        let ended = Place::Ended(about.transport == Transport::Udp, about.last_pos);
        self.by_number.insert(about.stream, ended);
        self.ended.push_back(about.stream);
    }

    pub(crate) fn get(&self, number: u64) -> Option<Place> {
        self.by_number.get(&number).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Place)> {
        self.by_number
            .iter()
            .map(|(number, place)| (*number, *place))
    }
}
