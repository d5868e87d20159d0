//! Time that only goes forward, made of packets' timestamps.

/// A step ahead larger than this is a clock that jumped, not time that went by: 10 minutes in ns.
const AHEAD: i64 = 600_000_000_000;
/// A step back up to this is frames of several queues or interfaces that were put together out of order: 1 s.
const BEHIND: i64 = 1_000_000_000;
/// What a jump counts for: 1 ms. More than nothing, so that two interleaved clocks that are an hour apart still
/// let time pass; little enough that no jump times anything out.
const JUMP: u64 = 1_000_000;

/// The finest time that lists of the flow table are sorted by: 2^20 ns, about a millisecond.
pub(crate) const COARSE_SHIFT: u32 = 20;

/// A clock that runs by packet time (or ticks), counted from the first one. It never goes back; timestamps that
/// jump are counted and move it by a millisecond.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    now: u64,
    /// The timestamp that `now` stands for, [`NEVER`] before the first.
    last: i64,
    jumps: u64,
    looks_back: bool,
}

/// A timestamp that no packet has.
const NEVER: i64 = i64::MIN;

impl Default for Clock {
    fn default() -> Self {
        Clock {
            now: 0,
            last: NEVER,
            jumps: 0,
            looks_back: false,
        }
    }
}

impl Clock {
    /// One that is given, where `looks_back` says so, timestamps of long ago between others: it waits until they are
    /// over.
    pub(crate) fn new(looks_back: bool) -> Self {
        Clock {
            looks_back,
            ..Clock::default()
        }
    }

    /// Takes a timestamp in ns since the epoch.
    #[inline]
    pub(crate) fn advance(&mut self, ts: i64) {
        // twice for each packet: by tick and touch
        if ts == self.last {
            return;
        }
        let delta = ts.saturating_sub(self.last);
        if (0..=AHEAD).contains(&delta) {
            self.now += delta as u64;
            self.last = ts;
        } else {
            self.stray(ts);
        }
    }

    #[cold]
    fn stray(&mut self, ts: i64) {
        if self.last == NEVER {
            self.last = ts;
        } else if ts < self.last && self.looks_back {
            // that time went by already
        } else if ts > self.last || self.last.saturating_sub(ts) > BEHIND {
            self.jumps += 1;
            self.now += JUMP;
            self.last = ts;
        }
    }

    /// Nanoseconds since the first timestamp.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// [`Clock::now`] in units of 2^20 ns; wraps after 52 days, so it is compared by difference.
    #[inline]
    pub(crate) fn coarse(&self) -> u32 {
        (self.now >> COARSE_SHIFT) as u32
    }

    /// How often a timestamp jumped.
    pub(crate) fn jumps(&self) -> u64 {
        self.jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn time_that_went_by_is_not_counted_again() {
        let mut clock = Clock::new(true);
        for ts in [100, 500, 100, 300, 510] {
            clock.advance(ts * S);
        }
        assert_eq!((clock.now(), clock.jumps()), (410 * S as u64, 0));
    }

    #[track_caller]
    fn check(stamps: &[i64], now: u64, jumps: u64) {
        let mut clock = Clock::default();
        for ts in stamps {
            clock.advance(*ts);
        }
        assert_eq!((clock.now(), clock.jumps()), (now, jumps));
    }

    #[test]
    fn time_passes_and_jumps_are_counted() {
        check(&[], 0, 0);
        check(&[1_700_000_000 * S], 0, 0);
        check(&[100 * S, 101 * S, 103 * S], 3 * S as u64, 0);
        // a little disorder is no jump and does not turn time back
        check(&[100 * S, 101 * S, 101 * S - 500, 102 * S], 2 * S as u64, 0);
        // an hour ahead, an hour back
        check(&[100 * S, 3700 * S, 3701 * S], S as u64 + JUMP, 1);
        check(&[3700 * S, 100 * S, 101 * S], S as u64 + JUMP, 1);
        // silence of nine minutes is silence
        check(&[100 * S, 640 * S], 540 * S as u64, 0);
        // nonsense
        check(&[i64::MAX, i64::MIN + 1, i64::MAX, 0], 3 * JUMP, 3);
    }

    #[test]
    fn two_clocks_an_hour_apart_let_time_pass() {
        let mut clock = Clock::default();
        for i in 0..1000 {
            clock.advance(i * S / 1000);
            clock.advance(3600 * S + i * S / 1000);
        }
        assert!(clock.now() >= S as u64);
    }
}
