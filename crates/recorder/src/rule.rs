//! Recording rules and when they are flushed.

use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use gillnet_bucket::{Recipients, layout::Payload};

use crate::Period;
use crate::clock::SECOND;

/// The most rules at one time: a set of rules is the bits of a `u128`.
pub const MAX_RULES: usize = 128;

/// A rule's place in a set of rules, below [`MAX_RULES`]. One that is freed is taken again as late
/// as possible, so that what is still queued for a removed rule meets no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub(crate) u8);

impl RuleId {
    /// The set of this rule alone.
    #[must_use]
    pub const fn bit(self) -> u128 {
        1 << self.0
    }

    /// The place with this number, where there is one.
    #[must_use]
    pub fn of_index(index: u8) -> Option<Self> {
        (usize::from(index) < MAX_RULES).then_some(Self(index))
    }

    /// The number, 0 to 127.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What to record, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, which stands in the objects' keys; not empty, and no other rule's.
    pub name: String,
    /// The pattern, as it was written. Checked and evaluated upstream.
    pub kfl: String,
    /// A destination's URL: `gs://bucket/prefix`, `s3://bucket/prefix`, `az://container/prefix`,
    /// `file:///folder`.
    pub destination: String,
    /// When what is open is sealed and uploaded.
    pub flush: Schedule,
    /// When it records.
    pub period: Period,
    /// What is older is deleted in the bucket; without it, nothing is.
    pub retention: Option<Duration>,
    /// What is kept of packets. Where that is not all, [`crate::Deps::dissection`] is needed: nothing else says what was sent.
    pub payload: Payload,
    /// For whom its objects are encrypted; not at all where there are none.
    pub recipients: Recipients,
}

/// A schedule that can't be one.
#[derive(Debug, thiserror::Error)]
#[error(
    "schedule {text:?}: {why}; five or six fields are taken, the first of six being seconds (0 */5 * * * *), or a period (5m)"
)]
pub struct ScheduleError {
    text: String,
    why: String,
}

/// When something is due: at the times of a cron pattern (in UTC), or every so often.
#[derive(Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At multiples of a period since the Unix epoch.
    Every(Duration),
    /// At the times of a cron pattern.
    Cron(Box<Cron>),
    /// At the end alone.
    Never,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Every(Duration::from_secs(300))
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(period) => write!(f, "every {period:?}"),
            Self::Cron(cron) => f.write_str(cron.as_str()),
            Self::Never => f.write_str("at the end"),
        }
    }
}

impl std::str::FromStr for Schedule {
    type Err = ScheduleError;

    /// A cron pattern of five fields, or six with seconds first, or a period such as `30s` or `5m`.
    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let fail = |why: String| ScheduleError {
            text: text.to_owned(),
            why,
        };
        if text.split_whitespace().count() == 1 && !text.starts_with('@') {
            let span = text
                .parse::<jiff::SignedDuration>()
                .map_err(|error| fail(error.to_string()))?;
            let period = Duration::try_from(span).map_err(|error| fail(error.to_string()))?;
            if period < Duration::from_secs(1) {
                return Err(fail("a period is at least a second".to_owned()));
            }
            return Ok(Self::Every(period));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let cron = parser
            .parse(text)
            .map_err(|error| fail(error.to_string()))?;
        let schedule = Self::Cron(Box::new(cron));
        // a pattern that never comes (30 February) would never flush
        if schedule.next_after(0).is_none() {
            return Err(fail("no time fits it".to_owned()));
        }
        Ok(schedule)
    }
}

impl Schedule {
    /// The first time after `now` that it is due; both in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn next_after(&self, now: i64) -> Option<i64> {
        match self {
            Self::Never => None,
            Self::Every(period) => {
                let period = i64::try_from(period.as_nanos())
                    .ok()
                    .filter(|period| *period > 0)?;
                now.div_euclid(period).checked_add(1)?.checked_mul(period)
            }
            Self::Cron(cron) => {
                let second = now.div_euclid(SECOND as i64);
                let from = Zoned::new(Timestamp::from_second(second).ok()?, TimeZone::UTC);
                let next = cron.find_next_occurrence(&from, false).ok()?;
                i64::try_from(next.timestamp().as_nanosecond()).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_nanosecond() as i64
    }

    #[test]
    fn cron_with_and_without_seconds_and_periods() {
        for (schedule, now, next) in [
            (
                "*/10 * * * * *",
                "2026-01-02T03:04:05.5Z",
                "2026-01-02T03:04:10Z",
            ),
            (
                "*/10 * * * * *",
                "2026-01-02T03:04:10Z",
                "2026-01-02T03:04:20Z",
            ),
            (
                "0 */5 * * * *",
                "2026-01-02T03:04:05Z",
                "2026-01-02T03:05:00Z",
            ),
            (
                "*/5 * * * *",
                "2026-01-02T03:04:05Z",
                "2026-01-02T03:05:00Z",
            ),
            ("0 0 * * *", "2026-12-31T03:04:05Z", "2027-01-01T00:00:00Z"),
            ("@hourly", "2026-01-02T03:04:05Z", "2026-01-02T04:00:00Z"),
            ("5m", "2026-01-02T03:04:05Z", "2026-01-02T03:05:00Z"),
            ("2s", "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z"),
            ("1h30m", "1970-01-01T00:00:00Z", "1970-01-01T01:30:00Z"),
        ] {
            let schedule = schedule.parse::<Schedule>().unwrap();
            assert_eq!(
                schedule.next_after(at(now)),
                Some(at(next)),
                "{schedule} after {now}"
            );
        }
    }

    #[test]
    fn schedules_that_can_not_be() {
        for text in [
            "",
            "x",
            "* * * *",
            "61 * * * * *",
            "0 0 30 2 *",
            "0s",
            "-5m",
            "1ms",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text:?}");
        }
    }
}
