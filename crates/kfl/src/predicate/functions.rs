//! The functions of CEL on values (its language definition, "List of Standard Definitions").

use super::value::{Nanos, Val};
use super::{Reason, text};
use gillnet_entry::Ctx;
use jiff::tz::TimeZone;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fun {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Int,
    UInt,
    Double,
    Str,
    Bool,
    Bytes,
    Time,
    Duration,
    TypeOf,
    /// Whether a name is among those that stand on a line each.
    Recorded,
    Get(Calendar),
}

/// A part of a moment or a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calendar {
    Year,
    Month,
    DayOfYear,
    DayOfMonth,
    Date,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// The result of a function.
pub(crate) fn apply<'v>(fun: Fun, args: &[Val<'v>], ctx: &Ctx<'v>) -> Result<Val<'v>, Reason> {
    match (fun, args) {
        (Fun::Size, [value]) => size(*value),
        (Fun::Contains, [Val::Str(a), Val::Str(b)]) => Ok(Val::Bool(
            memchr::memmem::find(a.as_bytes(), b.as_bytes()).is_some(),
        )),
        (Fun::StartsWith, [Val::Str(a), Val::Str(b)]) => Ok(Val::Bool(a.starts_with(b))),
        (Fun::EndsWith, [Val::Str(a), Val::Str(b)]) => Ok(Val::Bool(a.ends_with(b))),
        (Fun::Matches, [Val::Str(a), Val::Str(b)]) => {
            let pattern = text::compile_pattern(b, text::LATE_PATTERN_SIZE);
            let pattern = pattern.map_err(|_| Reason::BadPattern)?;
            Ok(Val::Bool(pattern.is_match(a)))
        }
        (Fun::Int, [value]) => to_int(*value),
        (Fun::UInt, [value]) => to_uint(*value),
        (Fun::Double, [value]) => to_double(*value),
        (Fun::Str, [value]) => to_str(*value, ctx),
        (Fun::Bool, [value]) => to_bool(*value),
        (Fun::Bytes, [Val::Bytes(v)]) => Ok(Val::Bytes(v)),
        (Fun::Bytes, [Val::Str(v)]) => Ok(Val::Bytes(v.as_bytes())),
        (Fun::Time, [value]) => to_time(*value),
        (Fun::Duration, [value]) => to_duration(*value),
        (Fun::Recorded, [Val::Str(names), Val::Str(name)]) => {
            Ok(Val::Bool(names.split('\n').any(|one| one == *name)))
        }
        (Fun::TypeOf, [value]) => Ok(Val::Type(value.type_name())),
        (Fun::Get(part), [Val::Time(v)]) => calendar(part, *v, "Z"),
        (Fun::Get(part), [Val::Time(v), Val::Str(zone)]) => calendar(part, *v, zone),
        (Fun::Get(part), [Val::Duration(v)]) => stretch(part, *v),
        _ => Err(Reason::NoSuchOverload),
    }
}

fn size(value: Val<'_>) -> Result<Val<'_>, Reason> {
    let n = match value {
        Val::Str(v) => v.chars().count(),
        Val::Bytes(v) => v.len(),
        _ => value
            .list_len()
            .or(value.map_len())
            .ok_or(Reason::NoSuchOverload)?,
    };
    i64::try_from(n).map(Val::Int).map_err(|_| Reason::Overflow)
}

#[allow(clippy::cast_possible_truncation)] // the range is checked before
fn to_int(value: Val<'_>) -> Result<Val<'_>, Reason> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0; // 2^63
    Ok(Val::Int(match value {
        Val::Int(v) => v,
        Val::UInt(v) => i64::try_from(v).map_err(|_| Reason::Overflow)?,
        Val::Double(v) if v.abs() < BEYOND => v as i64,
        Val::Double(_) => return Err(Reason::Overflow),
        Val::Str(v) => v.parse().map_err(|_| Reason::BadText)?,
        Val::Time(v) => v.seconds,
        Val::Duration(v) => v.seconds,
        _ => return Err(Reason::NoSuchOverload),
    }))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the range is checked before
fn to_uint(value: Val<'_>) -> Result<Val<'_>, Reason> {
    const BEYOND: f64 = 18_446_744_073_709_551_616.0; // 2^64
    Ok(Val::UInt(match value {
        Val::UInt(v) => v,
        Val::Int(v) => u64::try_from(v).map_err(|_| Reason::Overflow)?,
        Val::Double(v) if (0.0..BEYOND).contains(&v) => v as u64,
        Val::Double(_) => return Err(Reason::Overflow),
        Val::Str(v) => v.parse().map_err(|_| Reason::BadText)?,
        _ => return Err(Reason::NoSuchOverload),
    }))
}

#[allow(clippy::cast_precision_loss)] // as CEL defines it
fn to_double(value: Val<'_>) -> Result<Val<'_>, Reason> {
    Ok(Val::Double(match value {
        Val::Double(v) => v,
        Val::Int(v) => v as f64,
        Val::UInt(v) => v as f64,
        Val::Str(v) => v.parse().map_err(|_| Reason::BadText)?,
        _ => return Err(Reason::NoSuchOverload),
    }))
}

fn to_bool(value: Val<'_>) -> Result<Val<'_>, Reason> {
    Ok(Val::Bool(match value {
        Val::Bool(v) => v,
        Val::Str("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Val::Str("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Val::Str(_) => return Err(Reason::BadText),
        _ => return Err(Reason::NoSuchOverload),
    }))
}

fn to_str<'v>(value: Val<'v>, ctx: &Ctx<'v>) -> Result<Val<'v>, Reason> {
    Ok(Val::Str(match value {
        Val::Str(v) => v,
        Val::Bytes(v) => std::str::from_utf8(v).map_err(|_| Reason::BadText)?,
        Val::Time(v) => {
            let (civil, fraction) = (civil(v.seconds)?, Fraction(v.nanos));
            ctx.format(format_args!("{civil}{fraction}Z"))
        }
        Val::Duration(v) => {
            let total = v.total();
            let (sign, total) = (if total < 0 { "-" } else { "" }, total.unsigned_abs());
            #[allow(clippy::cast_possible_truncation)] // a remainder below 1e9
            let fraction = Fraction((total % 1_000_000_000) as u32);
            ctx.format(format_args!("{sign}{}{fraction}s", total / 1_000_000_000))
        }
        Val::Bool(_) | Val::Int(_) | Val::UInt(_) | Val::Double(_) => {
            text::text(value, ctx).ok_or(Reason::NoSuchOverload)?
        }
        _ => return Err(Reason::NoSuchOverload),
    }))
}

/// Nanoseconds as the digits behind a decimal point, none where there are none.
struct Fraction(u32);

impl std::fmt::Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut rest, mut width) = (self.0, 9);
        if rest == 0 {
            return Ok(());
        }
        while rest % 10 == 0 {
            rest /= 10;
            width -= 1;
        }
        write!(f, ".{rest:0width$}")
    }
}

fn to_time(value: Val<'_>) -> Result<Val<'_>, Reason> {
    let ns = match value {
        Val::Time(_) => return Ok(value),
        Val::Int(seconds) => i128::from(seconds) * 1_000_000_000,
        Val::Str(text) => parse_moment(text).ok_or(Reason::BadText)?,
        _ => return Err(Reason::NoSuchOverload),
    };
    Nanos::moment(ns).map(Val::Time)
}

/// An RFC 3339 text in ns since the epoch. (The calendar library's own moments end two days before the year 9999 does.)
fn parse_moment(text: &str) -> Option<i128> {
    let (date, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix(['T', 't'])?;
    let zone = clock.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = clock.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    if clock.len() != 8 || fraction.is_empty() {
        return None;
    }
    let date: jiff::civil::Date = date.parse().ok()?;
    let civil = date.to_datetime(clock.parse().ok()?);
    let seconds = i128::from(civil.duration_since(EPOCH).as_secs()) - i128::from(offset(zone)?);
    Some(seconds * 1_000_000_000 + fraction_of(fraction, 1_000_000_000)?)
}

const EPOCH: jiff::civil::DateTime = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Date and time of day in UTC.
fn civil(seconds: i64) -> Result<jiff::civil::DateTime, Reason> {
    EPOCH
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .map_err(|_| Reason::Overflow)
}

/// `Z`, `+01:00`, `-1:30`, `01:00`: in seconds.
fn offset(zone: &str) -> Option<i32> {
    if matches!(zone, "Z" | "z" | "UTC") {
        return Some(0);
    }
    let (sign, clock) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+').unwrap_or(zone)),
    };
    let (hours, minutes) = clock.split_once(':')?;
    let number = |n: &str| {
        n.parse()
            .ok()
            .filter(|_| n.bytes().all(|b| b.is_ascii_digit()))
    };
    let (hours, minutes): (i32, i32) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn to_duration(value: Val<'_>) -> Result<Val<'_>, Reason> {
    let ns = match value {
        Val::Duration(_) => return Ok(value),
        Val::Int(ns) => i128::from(ns),
        Val::Str(text) => parse_duration(text).ok_or(Reason::BadText)?,
        _ => return Err(Reason::NoSuchOverload),
    };
    Nanos::duration(ns).map(Val::Duration)
}

/// `1h30m`, `-1.5s`, `0`: numbers with units h, m, s, ms, us, ns. In ns.
fn parse_duration(text: &str) -> Option<i128> {
    const UNITS: &[(&str, i128)] = &[
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0i128;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: i128 = match (whole, fraction) {
            ("", "") => return None,
            ("", _) => 0,
            _ => whole.parse().ok()?,
        };
        let part = whole.checked_mul(scale)?;
        total = total.checked_add(part.checked_add(fraction_of(fraction, scale)?)?)?;
        rest = tail;
        if rest.is_empty() {
            return Some(sign * total);
        }
    }
}

/// The digits behind a decimal point, of a unit; beyond nanoseconds they are cut.
fn fraction_of(digits: &str, scale: i128) -> Option<i128> {
    let (mut part, mut place) = (0, scale);
    for digit in digits.chars() {
        let digit = i128::from(digit.to_digit(10)?);
        part += digit * place / 10;
        place /= 10;
    }
    Some(part)
}

/// Years after which the calendar repeats, and their seconds.
const CYCLE: (i64, i64) = (400, 146_097 * 86_400);

/// A part of a moment, in UTC or in a time zone.
fn calendar(part: Calendar, at: Nanos, zone: &str) -> Result<Val<'static>, Reason> {
    let offset = match offset(zone) {
        Some(offset) => offset,
        None => {
            let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
            let near = at.seconds.clamp(first.as_second(), last.as_second());
            let near = jiff::Timestamp::from_second(near).map_err(|_| Reason::Overflow)?;
            let zone = TimeZone::get(zone).map_err(|_| Reason::BadText)?;
            zone.to_offset(near).seconds()
        }
    };
    // the library's years end with 9999, but the last hours of that are 10000 east of UTC
    let civil = civil(at.seconds + i64::from(offset) - CYCLE.1)?;
    Ok(Val::Int(match part {
        Calendar::Year => i64::from(civil.year()) + CYCLE.0,
        Calendar::Month => i64::from(civil.month()) - 1,
        Calendar::DayOfYear => i64::from(civil.day_of_year()) - 1,
        Calendar::DayOfMonth => i64::from(civil.day()) - 1,
        Calendar::Date => i64::from(civil.day()),
        Calendar::DayOfWeek => i64::from(civil.weekday().to_sunday_zero_offset()),
        Calendar::Hours => i64::from(civil.hour()),
        Calendar::Minutes => i64::from(civil.minute()),
        Calendar::Seconds => i64::from(civil.second()),
        Calendar::Milliseconds => i64::from(at.nanos / 1_000_000),
    }))
}

/// A duration in whole units; its milliseconds are those below a second.
fn stretch(part: Calendar, of: Nanos) -> Result<Val<'static>, Reason> {
    let total = of.total();
    let n = match part {
        Calendar::Hours => total / 3_600_000_000_000,
        Calendar::Minutes => total / 60_000_000_000,
        Calendar::Seconds => total / 1_000_000_000,
        Calendar::Milliseconds => total / 1_000_000 % 1_000,
        _ => return Err(Reason::NoSuchOverload),
    };
    i64::try_from(n).map(Val::Int).map_err(|_| Reason::Overflow)
}
