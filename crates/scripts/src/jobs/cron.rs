//! When a job is due: a pattern of six fields, seconds first, in UTC; `@hourly` and its like; `@every 5s`.

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::{Timestamp, Zoned, tz::TimeZone};

const SECOND: i64 = 1_000_000_000;

/// The fields, in their order.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31"),
    ("month", "1-12 or JAN-DEC"),
    ("day of the week", "0-7 or SUN-SAT"),
];

/// Short forms of patterns.
const SHORT: [(&str, &str); 7] = [
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
    ("@monthly", "0 0 0 1 * *"),
    ("@weekly", "0 0 0 * * 0"),
    ("@daily", "0 0 0 * * *"),
    ("@midnight", "0 0 0 * * *"),
    ("@hourly", "0 0 * * * *"),
];

/// A pattern that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cron \"{text}\": {why}")]
pub(crate) struct CronError {
    text: String,
    why: String,
}

/// When something is due.
#[derive(Clone, Debug)]
pub(crate) enum Times {
    /// Every so many ns from when it was asked for.
    Every(i64),
    /// At the times of a pattern.
    Pattern(Box<Cron>),
}

impl std::str::FromStr for Times {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Times, CronError> {
        let fail = |why: String| CronError {
            text: text.to_owned(),
            why,
        };
        let trimmed = text.trim();
        if let Some(period) = trimmed.strip_prefix("@every ") {
            let period: jiff::SignedDuration = period.trim().parse().map_err(|_| {
                fail(format!(
                    "\"{}\" is no duration; write 5s, 10m, 1h30m",
                    period.trim()
                ))
            })?;
            // as cron has it, in whole seconds
            let seconds = period.as_secs().max(1);
            if period.is_negative() || period.is_zero() {
                return Err(fail("the duration must be above zero".to_owned()));
            }
            return Ok(Times::Every(seconds.saturating_mul(SECOND)));
        }
        let pattern = match SHORT.iter().find(|(short, _)| *short == trimmed) {
            Some((_, pattern)) => pattern,
            None if trimmed.starts_with('@') => {
                let known: Vec<_> = SHORT.iter().map(|(short, _)| *short).collect();
                let known = known.join(", ");
                return Err(fail(format!(
                    "there is no {trimmed}; known are {known}, @every 5s"
                )));
            }
            None => trimmed,
        };
        let fields: Vec<&str> = pattern.split_whitespace().collect();
        if fields.len() != FIELDS.len() {
            return Err(fail(format!(
                "{} fields; it has six: second minute hour day-of-month month day-of-week",
                fields.len()
            )));
        }
        let fields: Vec<String> = fields
            .iter()
            .zip(FIELDS)
            .map(|(f, (name, _))| usual(f, name))
            .collect();
        let parser = CronParser::builder().seconds(Seconds::Required).build();
        for (at, (field, (name, range))) in fields.iter().zip(FIELDS).enumerate() {
            let mut alone = ["*"; FIELDS.len()];
            if let Some(place) = alone.get_mut(at) {
                *place = field;
            }
            if parser.parse(&alone.join(" ")).is_err() {
                return Err(fail(format!(
                    "field {} ({name}) is \"{field}\"; it takes {range}, lists, ranges and steps",
                    at + 1
                )));
            }
        }
        let cron = parser
            .parse(&fields.join(" "))
            .map_err(|error| fail(error.to_string()))?;
        let times = Times::Pattern(Box::new(cron));
        match times.after(0) {
            Some(_) => Ok(times),
            None => Err(fail("no time fits it".to_owned())),
        }
    }
}

/// A field as every parser takes it: `?` is any, a step beyond the range is its first value (`*/60` of seconds).
fn usual(field: &str, name: &str) -> String {
    if field == "?" {
        return "*".to_owned();
    }
    let size = match name {
        "second" | "minute" => 60,
        "hour" => 24,
        _ => return field.to_owned(),
    };
    match field
        .strip_prefix("*/")
        .and_then(|step| step.parse::<u32>().ok())
    {
        Some(step) if step >= size => "0".to_owned(),
        _ => field.to_owned(),
    }
}

impl Times {
    /// The first time after `now`; both in ns since the epoch.
    pub(crate) fn after(&self, now: i64) -> Option<i64> {
        match self {
            Times::Every(period) => now.checked_add(*period),
            Times::Pattern(cron) => {
                let second = Timestamp::from_second(now.div_euclid(SECOND)).ok()?;
                let from = Zoned::new(second, TimeZone::UTC);
                let next = cron.find_next_occurrence(&from, false).ok()?;
                i64::try_from(next.timestamp().as_nanosecond()).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, after: &str) -> String {
        let after: Timestamp = after.parse().unwrap();
        let times: Times = text.parse().unwrap();
        let next = times
            .after(i64::try_from(after.as_nanosecond()).unwrap())
            .unwrap();
        Timestamp::from_nanosecond(next.into()).unwrap().to_string()
    }

    #[test]
    fn the_dialect_of_published_scripts() {
        for (text, after, expected) in [
            (
                "* * * * * *",
                "2026-01-02T03:04:05.5Z",
                "2026-01-02T03:04:06Z",
            ),
            (
                "*/5 * * * * *",
                "2026-01-02T03:04:05Z",
                "2026-01-02T03:04:10Z",
            ),
            (
                "*/20 * * * * *",
                "2026-01-02T03:04:45Z",
                "2026-01-02T03:05:00Z",
            ),
            (
                "20 * * * * *",
                "2026-01-02T03:04:20Z",
                "2026-01-02T03:05:20Z",
            ),
            (
                "0 * * * * *",
                "2026-01-02T03:04:05Z",
                "2026-01-02T03:05:00Z",
            ),
            (
                "0 */5 * * * *",
                "2026-01-02T03:04:05Z",
                "2026-01-02T03:05:00Z",
            ),
            (
                "0 0 * * * *",
                "2026-01-02T03:04:05Z",
                "2026-01-02T04:00:00Z",
            ),
            (
                "*/60 * * * * *",
                "2026-01-02T03:04:05Z",
                "2026-01-02T03:05:00Z",
            ),
            (
                "0 0 12 1,15 JAN-MAR ?",
                "2026-01-02T03:04:05Z",
                "2026-01-15T12:00:00Z",
            ),
            ("@hourly", "2026-01-02T03:04:05Z", "2026-01-02T04:00:00Z"),
            ("@daily", "2026-12-31T03:04:05Z", "2027-01-01T00:00:00Z"),
            ("@every 5s", "2026-01-02T03:04:06Z", "2026-01-02T03:04:11Z"),
            (
                "@every 1h30m",
                "2026-01-02T03:00:00Z",
                "2026-01-02T04:30:00Z",
            ),
        ] {
            assert_eq!(next(text, after), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_name_the_field() {
        for (text, says) in [
            ("61 * * * * *", "field 1 (second) is \"61\""),
            ("0 x * * * *", "field 2 (minute) is \"x\""),
            ("0 0 25 * * *", "field 3 (hour)"),
            ("0 0 0 32 * *", "field 4 (day of the month)"),
            ("0 0 0 1 13 *", "field 5 (month)"),
            ("0 0 0 * * 9", "field 6 (day of the week)"),
            ("* * * * *", "5 fields; it has six"),
            ("", "0 fields"),
            ("@soon", "there is no @soon"),
            ("@every soon", "\"soon\" is no duration"),
            ("0 0 0 30 2 *", "no time fits it"),
        ] {
            let error = text.parse::<Times>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("cron \"{text}\": ")) && error.contains(says),
                "{error}"
            );
        }
    }
}
