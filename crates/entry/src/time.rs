//! Moments as RFC 3339 text, without a calendar library: the hot path and JSON need no more.

use crate::digits::PAIRS;

/// Days since the epoch to (year, month, day): the civil-from-days rule of the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = u32::try_from(doy - (153 * mp + 2) / 5 + 1).unwrap_or(1);
    let month = u32::try_from(if mp < 10 { mp + 3 } else { mp - 9 }).unwrap_or(1);
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// A moment in ns since the epoch, shown as RFC 3339 in UTC with nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub i64);

impl Rfc3339 {
    /// The text, without an allocation; it is ASCII.
    pub fn bytes(self) -> [u8; 30] {
        let (seconds, ns) = (
            self.0.div_euclid(1_000_000_000),
            self.0.rem_euclid(1_000_000_000),
        );
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days); // the range of ns has years of four digits
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        put(&mut text, 0, year / 100);
        put(&mut text, 2, year % 100);
        put(&mut text, 5, month.into());
        put(&mut text, 8, day.into());
        put(&mut text, 11, rest / 3600);
        put(&mut text, 14, rest / 60 % 60);
        put(&mut text, 17, rest % 60);
        for (at, unit) in [(20, 10_000_000), (22, 100_000), (24, 1000), (26, 10)] {
            put(&mut text, at, ns / unit % 100);
        }
        text[28] = b'0' + (ns % 10) as u8;
        text
    }
}

/// Writes a number of two digits.
#[inline]
fn put(text: &mut [u8; 30], at: usize, number: i64) {
    let pair = PAIRS.get(usize::try_from(number).unwrap_or(0));
    text[at..at + 2].copy_from_slice(pair.unwrap_or(b"00"));
}

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(str::from_utf8(&self.bytes()).unwrap_or_default())
    }
}

/// The hour partition of a moment: (`YYYY-MM-DD`, `HH`) in UTC.
pub fn partition(ns: i64) -> (String, String) {
    let seconds = ns.div_euclid(1_000_000_000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let hour = seconds.rem_euclid(86_400) / 3600;
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{hour:02}"),
    )
}

/// Reads an RFC 3339 moment as ns since the epoch; `None` where it is none.
pub fn parse(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && (0..24).contains(&hour);
    if !valid || !(0..60).contains(&minute) || !(0..=60).contains(&second) || fraction.len() > 9 {
        return None;
    }
    let ns: i64 = if fraction.is_empty() {
        0
    } else {
        format!("{fraction:0<9}").parse().ok()?
    };
    let seconds =
        days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(ns)
}

/// Seconds that a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'Z' | b'z' => return (zone.len() == 1).then_some(0),
        b'-' => -1,
        _ => 1,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60))
}

/// Days from the epoch to a date; the inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_known_calendars() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(Rfc3339(ns).to_string(), text);
            assert_eq!(parse(text), Some(ns));
        }
        assert_eq!(
            parse("2023-11-14T23:13:20.5+01:00"),
            Some(1_700_000_000_500_000_000)
        );
        for wrong in [
            "",
            "2023",
            "2023-13-01T00:00:00Z",
            "2023-01-01T00:00:00",
            "2023-01-01T00:00:00.1234567891Z",
        ] {
            assert_eq!(parse(wrong), None);
        }
        assert_eq!(
            partition(1_700_000_000_000_000_000),
            ("2023-11-14".into(), "22".into())
        );
    }
}
