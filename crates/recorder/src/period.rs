//! When a rule records: at once and for ever, or in windows.

use std::time::Duration;

use serde::Serialize;

use crate::clock::SECOND;

/// A day, in nanoseconds; windows of every day come after so long each, by UTC.
pub const DAY: i64 = 24 * 3600 * SECOND as i64;

/// When a rule records. Moments are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// When its first window begins; without it there is one that began before everything.
    pub start: Option<i64>,
    /// How long a window is; without it, it does not end.
    pub duration: Option<Duration>,
    /// A window each day, so many, 0 for no end of them; without it there is one window.
    pub daily: Option<u32>,
    /// From then on nothing is recorded.
    pub expiry: Option<i64>,
}

/// A span of time in which a rule records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Its first moment; `None` where it has none.
    pub from: Option<i64>,
    /// The first moment after it; `None` where it does not end.
    pub until: Option<i64>,
    /// Which it is, from 1 on.
    pub number: u32,
    /// Of how many; `None` where there is no end of them.
    pub of: Option<u32>,
}

/// Where in its period a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// This window comes next.
    Before(Window),
    /// In this window.
    Within(Window),
    /// All windows are over.
    Done,
    /// It has expired.
    Expired,
}

impl Phase {
    /// The window that it is in.
    pub(crate) fn open(self) -> Option<Window> {
        match self {
            Self::Within(window) => Some(window),
            _ => None,
        }
    }
}

impl Period {
    /// Where in it a moment is.
    #[must_use]
    pub fn at(&self, now: i64) -> Phase {
        if self.expiry.is_some_and(|expiry| now >= expiry) {
            return Phase::Expired;
        }
        let of = match self.daily {
            None => Some(1),
            Some(0) => None,
            Some(windows) => Some(windows),
        };
        let passed = self.start.map_or(0, |start| now.saturating_sub(start));
        // that of the day, and where it is over, that of the next
        let day = match of {
            Some(1) => 0,
            _ => passed.div_euclid(DAY).max(0),
        };
        let windows = [day, day.saturating_add(1)].map(|day| self.window(day, of));
        let next = windows.into_iter().flatten().find(|window| {
            let over = window.until.is_some_and(|until| until <= now);
            !over
        });
        match next {
            // what begins when it has expired never comes
            Some(window) if self.expiry.is_some() && window.from >= self.expiry => Phase::Done,
            Some(window) if window.from.is_none_or(|from| from <= now) => Phase::Within(window),
            Some(window) => Phase::Before(window),
            None => Phase::Done,
        }
    }

    /// The window after so many days, where there is one.
    fn window(&self, day: i64, of: Option<u32>) -> Option<Window> {
        if of.is_some_and(|of| day >= i64::from(of)) {
            return None;
        }
        let from = self
            .start
            .map(|start| start.saturating_add(day.saturating_mul(DAY)));
        let length = self.duration.map(|duration| duration.as_nanos());
        let length = length.map(|length| i64::try_from(length).unwrap_or(i64::MAX));
        let until = from.zip(length).map(|(from, len)| from.saturating_add(len));
        Some(Window {
            from,
            until: [until, self.expiry].into_iter().flatten().min(),
            number: u32::try_from(day.saturating_add(1)).unwrap_or(u32::MAX),
            of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_nanosecond() as i64
    }

    fn window(number: u32, of: Option<u32>, from: &str, until: &str) -> Window {
        let moment = |text: &str| (!text.is_empty()).then(|| at(text));
        Window {
            from: moment(from),
            until: moment(until),
            number,
            of,
        }
    }

    #[test]
    fn without_anything_it_is_always() {
        for now in [i64::MIN, 0, i64::MAX] {
            let always = window(1, Some(1), "", "");
            assert_eq!(Period::default().at(now), Phase::Within(always));
        }
    }

    #[test]
    fn one_window() {
        let (start, end) = ("2026-03-01T22:00:00Z", "2026-03-01T23:30:00Z");
        let period = Period {
            start: Some(at(start)),
            duration: Some(Duration::from_secs(5400)),
            ..Period::default()
        };
        let only = window(1, Some(1), start, end);
        for (now, phase) in [
            ("2026-01-01T00:00:00Z", Phase::Before(only)),
            ("2026-03-01T21:59:59.999999999Z", Phase::Before(only)),
            (start, Phase::Within(only)),
            ("2026-03-01T23:29:59.999999999Z", Phase::Within(only)),
            (end, Phase::Done),
            ("2027-01-01T00:00:00Z", Phase::Done),
        ] {
            assert_eq!(period.at(at(now)), phase, "{now}");
        }
    }

    #[test]
    fn a_window_each_day_over_midnight() {
        let period = Period {
            start: Some(at("2026-02-27T23:00:00Z")),
            duration: Some(Duration::from_secs(7200)),
            daily: Some(3),
            expiry: None,
        };
        let windows = [
            ("2026-02-27T23:00:00Z", "2026-02-28T01:00:00Z"),
            ("2026-02-28T23:00:00Z", "2026-03-01T01:00:00Z"),
            ("2026-03-01T23:00:00Z", "2026-03-02T01:00:00Z"),
        ];
        let windows: Vec<Window> = (1..)
            .zip(windows)
            .map(|(number, (from, until))| window(number, Some(3), from, until))
            .collect();
        for (now, phase) in [
            ("2026-02-27T22:00:00Z", Phase::Before(windows[0])),
            ("2026-02-28T00:30:00Z", Phase::Within(windows[0])),
            ("2026-02-28T01:00:00Z", Phase::Before(windows[1])),
            ("2026-02-28T22:59:59Z", Phase::Before(windows[1])),
            ("2026-02-28T23:00:00Z", Phase::Within(windows[1])),
            ("2026-03-02T00:59:59Z", Phase::Within(windows[2])),
            ("2026-03-02T01:00:00Z", Phase::Done),
        ] {
            assert_eq!(period.at(at(now)), phase, "{now}");
        }
        let for_ever = Period {
            daily: Some(0),
            ..period
        };
        let later = window(368, None, "2027-03-01T23:00:00Z", "2027-03-02T01:00:00Z");
        let (now, before) = (at("2027-03-02T00:00:00Z"), at("2027-03-01T12:00:00Z"));
        assert_eq!(for_ever.at(now), Phase::Within(later));
        assert_eq!(for_ever.at(before), Phase::Before(later));
    }

    #[test]
    fn expiry_ends_everything() {
        let period = Period {
            start: Some(at("2026-03-01T22:00:00Z")),
            duration: Some(Duration::from_secs(3600)),
            daily: Some(0),
            expiry: Some(at("2026-03-02T22:30:00Z")),
        };
        let last = window(2, None, "2026-03-02T22:00:00Z", "2026-03-02T22:30:00Z");
        for (now, phase) in [
            ("2026-03-02T12:00:00Z", Phase::Before(last)),
            ("2026-03-02T22:29:59Z", Phase::Within(last)),
            ("2026-03-02T22:30:00Z", Phase::Expired),
        ] {
            assert_eq!(period.at(at(now)), phase, "{now}");
        }
        let sooner = Period {
            expiry: Some(at("2026-03-02T12:00:00Z")),
            ..period
        };
        // no window comes before it
        assert_eq!(sooner.at(at("2026-03-02T00:00:00Z")), Phase::Done);
        let alone = Period {
            expiry: Some(0),
            ..Period::default()
        };
        let until = Window {
            until: Some(0),
            ..window(1, Some(1), "", "")
        };
        assert_eq!(alone.at(-1), Phase::Within(until));
        assert_eq!(alone.at(0), Phase::Expired);
    }
}
