//! Packet time, for what waits: monotone but for jumps, which time nothing out.

/// Time by which requests wait for their answers, in ns since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketClock {
    now: i64,
    /// Until then nothing times out: what waits began before a jump.
    settled: i64,
    /// When to look at what waits.
    look: i64,
    /// Whether silence passes by ticks, as on a live source.
    ticks: bool,
}

/// A step ahead that is no step of traffic.
const AHEAD: i64 = 600_000_000_000;
/// A step back that is no disorder of packets.
const BACK: i64 = -1_000_000_000;
/// A step of silence, where no ticks tell of it.
const PAUSE: i64 = 10_000_000_000;
/// Time between two looks at what waits. They are at its multiples.
const LOOK: i64 = 1_000_000_000;

impl PacketClock {
    /// A clock that no packet has set yet.
    pub(crate) fn new() -> PacketClock {
        PacketClock {
            now: i64::MIN,
            settled: i64::MIN,
            look: i64::MIN.saturating_add(LOOK),
            ticks: false,
        }
    }

    /// Silence passes by ticks from now on: a step far ahead is a clock that jumped.
    pub(crate) fn has_ticks(&mut self) {
        self.ticks = true;
    }

    /// The moments up to a packet at `ts` that ticks would tell of, had they been kept with the packets: what times out in
    /// silence does so before the packet, as it did where they were captured. In a long silence, most of it is one step.
    pub(crate) fn pauses(&self, ts: i64) -> Option<impl Iterator<Item = i64> + use<>> {
        let from = self.now;
        if ts.saturating_sub(from) <= PAUSE || self.ticks || from == i64::MIN {
            return None;
        }
        let pauses = (1..=AHEAD / PAUSE).map(move |nth| from.saturating_add(nth * PAUSE));
        let pauses = pauses.take_while(move |moment| *moment < ts);
        Some(pauses.chain(std::iter::once(ts)))
    }

    /// Takes the time of a packet that follows soon on the one before; `false` where it does not, and is to be taken by
    /// [`PacketClock::advance`].
    #[inline]
    pub(crate) fn goes_on(&mut self, ts: i64) -> bool {
        let goes_on = ts.wrapping_sub(self.now).cast_unsigned() <= PAUSE.cast_unsigned();
        if goes_on {
            self.now = ts;
        }
        goes_on
    }

    /// Takes the time of a packet or tick. After a jump nothing times out for `patience`, which is as long as anything
    /// waits.
    pub(crate) fn advance(&mut self, ts: i64, patience: i64) {
        let step = ts.saturating_sub(self.now);
        if (0..=AHEAD).contains(&step) {
            self.now = ts;
        } else if self.now == i64::MIN {
            // nothing waits yet
            self.now = ts;
            self.look = behind(ts);
        } else if !(BACK..=AHEAD).contains(&step) {
            self.now = ts;
            self.look = behind(ts);
            self.settled = ts.saturating_add(patience);
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// The moment by which to look at what waits, where it is time to: the whole seconds of packet time. So what times out
    /// depends on the time of a packet alone, and not on which others came before it, or how many.
    #[inline]
    pub(crate) fn due(&mut self) -> Option<i64> {
        if self.now < self.look || self.now < self.settled {
            return None;
        }
        self.look = behind(self.now);
        Some(self.look.saturating_sub(LOOK))
    }
}

/// The next time to look behind a moment.
fn behind(moment: i64) -> i64 {
    (moment.div_euclid(LOOK) + 1).saturating_mul(LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn jumps_hold_timeouts_and_disorder_does_not() {
        let mut clock = PacketClock::new();
        clock.advance(1_000 * SECOND, 120 * SECOND);
        assert_eq!(clock.due(), None);
        clock.advance(1_001 * SECOND, 120 * SECOND);
        assert_eq!(
            clock.due(),
            Some(1_001 * SECOND),
            "the first packet is no jump"
        );
        clock.advance(1_121 * SECOND, 120 * SECOND);
        assert_eq!((clock.due(), clock.due()), (Some(1_121 * SECOND), None));
        clock.advance(1_121 * SECOND - SECOND / 2, 120 * SECOND);
        assert_eq!(clock.now(), 1_121 * SECOND);
        for step in [3_600, -3_600] {
            let before = clock.now();
            clock.advance(before + step * SECOND, 120 * SECOND);
            assert_eq!(clock.now(), before + step * SECOND);
            clock.advance(clock.now() + 100 * SECOND, 120 * SECOND);
            assert_eq!(clock.due(), None);
            clock.advance(clock.now() + 21 * SECOND, 120 * SECOND);
            assert_eq!(clock.due(), Some(clock.now()));
        }
    }

    #[test]
    fn silence_passes_in_steps_where_no_ticks_come() {
        let mut clock = PacketClock::new();
        let pauses =
            |clock: &PacketClock, ts: i64| clock.pauses(ts * SECOND).map(|all| all.count());
        assert_eq!(pauses(&clock, 1_000), None, "the first packet");
        clock.advance(1_000 * SECOND, 120 * SECOND);
        for (ts, wanted) in [
            (999, None),
            (1_010, None),
            (1_011, Some(2)),
            (1_200, Some(20)),
        ] {
            assert_eq!(pauses(&clock, ts), wanted, "{ts}");
        }
        assert_eq!(pauses(&clock, 1_000_000), Some(61));
        for (ts, wanted) in [(999, false), (1_011, false), (1_010, true), (1_010, true)] {
            assert_eq!(clock.goes_on(ts * SECOND), wanted, "{ts}");
        }
        assert!(!PacketClock::new().goes_on(0) && clock.now() == 1_010 * SECOND);
        clock.has_ticks();
        assert_eq!(pauses(&clock, 1_000_000), None);
    }

    #[test]
    fn looks_do_not_depend_on_the_packets_before() {
        let moment = |times: &[i64]| {
            let mut clock = PacketClock::new();
            let looks = [0].iter().chain(times).map(|ts| {
                clock.advance(*ts, 0);
                clock.due()
            });
            looks.last().flatten().or(Some(clock.look - LOOK))
        };
        let last = 130 * SECOND + SECOND / 4;
        let alone = moment(&[last]);
        assert_eq!(alone, Some(130 * SECOND));
        for before in [130 * SECOND + 1, 129 * SECOND + 3, 40 * SECOND + SECOND / 2] {
            assert_eq!(moment(&[before, last]), alone, "{before}");
        }
    }
}
