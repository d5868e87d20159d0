//! Timestamps of pcapng: a count of units since an instant, both said by the interface.

const NANOS: u64 = 1_000_000_000;

/// What an interface's timestamps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeScale {
    unit: Unit,
    /// Nanoseconds to add.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Times(u64),
    /// One nanosecond divided by this; 0 is more than can be counted.
    Divided(u64),
    /// One second divided by two to this power.
    Binary(u32),
}

impl Default for TimeScale {
    /// Microseconds since the Unix epoch.
    fn default() -> Self {
        Self {
            unit: Unit::Times(1000),
            offset: 0,
        }
    }
}

impl TimeScale {
    /// From the values of the options `if_tsresol` and `if_tsoffset` (seconds).
    pub(crate) fn new(resolution: u8, offset_seconds: i64) -> Self {
        let power = u32::from(resolution & 0x7f);
        let unit = if resolution & 0x80 != 0 {
            Unit::Binary(power)
        } else if power <= 9 {
            Unit::Times(10u64.pow(9 - power))
        } else {
            Unit::Divided(10u64.checked_pow(power - 9).unwrap_or(0))
        };
        Self {
            unit,
            offset: offset_seconds.saturating_mul(NANOS as i64),
        }
    }

    /// Nanoseconds since the Unix epoch; what does not fit becomes the nearest that does.
    #[inline(always)]
    pub(crate) fn nanos(self, count: u64) -> i64 {
        let nanos = match self.unit {
            Unit::Times(unit) => count.saturating_mul(unit),
            other => other.slow(count),
        };
        i64::try_from(nanos)
            .unwrap_or(i64::MAX)
            .saturating_add(self.offset)
    }
}

impl Unit {
    #[cold]
    fn slow(self, count: u64) -> u64 {
        let nanos = match self {
            Self::Times(unit) => u128::from(count) * u128::from(unit),
            Self::Divided(by) => u128::from(count.checked_div(by).unwrap_or(0)),
            Self::Binary(power) => (u128::from(count) * u128::from(NANOS)) >> power,
        };
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let second = 1_700_000_000i64;
        let cases: [(u8, u64, i64); 9] = [
            (0, 1_700_000_000, second * 1_000_000_000),
            (3, 1_700_000_000_123, second * 1_000_000_000 + 123_000_000),
            (
                6,
                1_700_000_000_123_456,
                second * 1_000_000_000 + 123_456_000,
            ),
            (
                9,
                1_700_000_000_123_456_789,
                second * 1_000_000_000 + 123_456_789,
            ),
            (12, 5_123_456, 5_123),
            (127, u64::MAX, 0),
            (0x80, 7, 7_000_000_000),
            (0x8a, 1536, 1_500_000_000),
            (0xff, u64::MAX, 0),
        ];
        for (resolution, count, nanos) in cases {
            assert_eq!(
                TimeScale::new(resolution, 0).nanos(count),
                nanos,
                "resolution {resolution:#x}"
            );
        }
        assert_eq!(TimeScale::new(9, -1).nanos(2_500_000_000), 1_500_000_000);
        assert_eq!(TimeScale::new(0, 0).nanos(u64::MAX), i64::MAX);
        assert_eq!(TimeScale::new(6, i64::MAX).nanos(1), i64::MAX);
        assert_eq!(TimeScale::default(), TimeScale::new(6, 0));
    }
}
