//! KFL1's way with values: everything has a text, a number and a truth. And tests of text, for both spellings.

use super::value::Number;
use super::{Const, Val};
use crate::ast::Op;
use gillnet_entry::Ctx;
use memchr::memmem::Finder;
use std::cmp::Ordering;

/// The text of a value: integers in base 10, null as `null`, an object as nothing that a text could equal.
pub(crate) fn text<'v>(value: Val<'v>, ctx: &Ctx<'v>) -> Option<&'v str> {
    Some(match value {
        Val::Str(v) => v,
        Val::Null => "null",
        Val::Bool(true) => "true",
        Val::Bool(false) => "false",
        Val::Int(v) => int_text(v, ctx),
        Val::UInt(v) => ctx.format(format_args!("{v}")),
        Val::Double(v) => ctx.format(format_args!("{v}")),
        Val::Bytes(v) => ctx.text(v),
        Val::Time(v) => ctx.format(format_args!("{}", v.units(1_000_000))),
        Val::Duration(v) => ctx.format(format_args!("{}", v.units(1_000))),
        Val::Type(v) => v,
        Val::Items(_) | Val::List(_) | Val::Fields(_) | Val::Map(_) => return None,
    })
}

fn int_text<'v>(value: i64, ctx: &Ctx<'v>) -> &'v str {
    ctx.arena.alloc_str(decimal(value, &mut [0; 20]))
}

/// An integer in base 10, in a buffer that holds any.
fn decimal(value: i64, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    std::str::from_utf8(&digits[at..]).unwrap_or_default()
}

/// Whether two texts are the same. Most names of an entry are empty, and a `memcmp` of nothing at all may take longer than
/// one of a line: where a text is empty its address need not be one that can be read.
#[inline]
pub(crate) fn alike(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

/// Whether a value counts as true: texts and lists that are not empty, numbers above zero, `true`; never an object.
pub(crate) fn truthy(value: Val<'_>) -> bool {
    match value {
        Val::Bool(v) => v,
        Val::Str(v) => !v.is_empty(),
        Val::Bytes(v) => !v.is_empty(),
        Val::Int(v) => v > 0,
        Val::UInt(v) => v > 0,
        Val::Double(v) => v > 0.0,
        Val::Time(v) | Val::Duration(v) => v.total() > 0,
        Val::Items(_) | Val::List(_) => value.list_len() != Some(0),
        Val::Null | Val::Fields(_) | Val::Map(_) | Val::Type(_) => false,
    }
}

/// The number of a value: of a numeric text itself, of another text and of null 0.
fn number(value: Val<'_>) -> Number {
    match value {
        Val::Str(v) => v
            .parse()
            .map_or_else(|_| Number::Real(v.parse().unwrap_or(0.0)), Number::Whole),
        Val::Bool(v) => Number::Whole(i128::from(v)),
        Val::Time(v) => Number::Whole(v.units(1_000_000)),
        Val::Duration(v) => Number::Whole(v.units(1_000)),
        _ => Number::of(value).unwrap_or(Number::Whole(0)),
    }
}

/// Whether an order holds between two values; where one is a list, for any of its elements.
pub(crate) fn ordered(op: Op, a: Val<'_>, b: Val<'_>) -> bool {
    if let Some(n) = a.list_len() {
        return (0..n).any(|i| {
            a.item(i)
                .is_some_and(|item| item.list_len().is_none() && ordered(op, item, b))
        });
    }
    if let Some(n) = b.list_len() {
        return (0..n).any(|i| {
            b.item(i)
                .is_some_and(|item| item.list_len().is_none() && ordered(op, a, item))
        });
    }
    number(a)
        .compare(number(b))
        .is_some_and(|order| holds(op, order))
}

/// Whether an order is one that an operator asks for.
pub(crate) fn holds(op: Op, order: Ordering) -> bool {
    match op {
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        _ => false,
    }
}

/// Equality of texts; of a list with a scalar: any element's; of two lists: of all elements in order.
pub(crate) fn same<'v>(a: Val<'v>, b: Val<'v>, ctx: &Ctx<'v>) -> bool {
    match (a.list_len(), b.list_len()) {
        (Some(n), Some(m)) => {
            n == m
                && (0..n).all(
                    |i| matches!((a.item(i), b.item(i)), (Some(a), Some(b)) if same(a, b, ctx)),
                )
        }
        (Some(n), None) => (0..n).any(|i| {
            a.item(i)
                .is_some_and(|item| item.list_len().is_none() && same(item, b, ctx))
        }),
        (None, Some(_)) => same(b, a, ctx),
        (None, None) => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.compare(b) == Some(Ordering::Equal),
            _ if a.map_len().is_some() && b.map_len().is_some() => super::value::equal(a, b),
            _ => matches!((text(a, ctx), text(b, ctx)), (Some(a), Some(b)) if alike(a, b)),
        },
    }
}

/// A constant of KFL1 prepared for comparison.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    text: Box<str>,
    /// The number it is, where it is one.
    number: Option<Number>,
    /// The integer whose text it is.
    int: Option<i64>,
}

impl Plain {
    /// A textual constant.
    pub(crate) fn text(text: &str) -> Plain {
        let int = text.parse().ok().filter(|v: &i64| v.to_string() == text);
        Plain {
            text: text.into(),
            number: None,
            int,
        }
    }

    /// A constant; nothing where it has no text.
    pub(crate) fn of(constant: &Const) -> Option<Plain> {
        match constant {
            Const::Null => Some(Plain::text("null")),
            Const::Bool(v) => Some(Plain::text(if *v { "true" } else { "false" })),
            Const::Str(v) => Some(Plain::text(v)),
            number => Plain::number(number.val()),
        }
    }

    /// The constant's text.
    pub(crate) fn text_of(&self) -> &str {
        &self.text
    }

    /// The constant as it is written.
    pub(crate) fn literal(&self) -> String {
        match self.number {
            Some(_) => self.text.to_string(),
            None => format!("\"{}\"", self.text),
        }
    }

    /// A constant that is a number.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // checked by the way back
    pub(crate) fn number(value: Val<'_>) -> Option<Plain> {
        let number = Number::of(value)?;
        let int = match number {
            Number::Whole(v) => i64::try_from(v).ok(),
            Number::Real(v) => Some(v as i64).filter(|i| *i as f64 == v),
        };
        let text = match (int, number) {
            (Some(v), _) => v.to_string(),
            (None, Number::Whole(v)) => v.to_string(),
            (None, Number::Real(v)) => v.to_string(),
        };
        Some(Plain {
            text: text.into(),
            number: Some(number),
            int,
        })
    }

    /// The only integer that equals it.
    pub(crate) fn whole(&self) -> Option<i64> {
        self.int
    }

    /// Whether a text equals it.
    #[inline]
    pub(crate) fn is_text(&self, text: &str) -> bool {
        alike(text, &self.text)
    }

    /// Whether an integer equals it.
    #[inline]
    pub(crate) fn is_int(&self, value: i64) -> bool {
        self.int == Some(value)
    }

    /// Whether a value equals it; of a list, any element.
    pub(crate) fn equals(&self, value: Val<'_>) -> bool {
        match value {
            Val::Str(v) => self.is_text(v),
            Val::Int(v) => self.is_int(v),
            Val::Null => &*self.text == "null",
            Val::Bool(v) => &*self.text == if v { "true" } else { "false" },
            Val::Items(_) | Val::List(_) => {
                let n = value.list_len().unwrap_or(0);
                (0..n).any(|i| {
                    value
                        .item(i)
                        .is_some_and(|item| item.list_len().is_none() && self.equals(item))
                })
            }
            Val::UInt(_) | Val::Double(_) => self.equals_number(value),
            Val::Time(v) => self
                .int
                .is_some_and(|i| i128::from(i) == v.units(1_000_000)),
            Val::Duration(v) => self.int.is_some_and(|i| i128::from(i) == v.units(1_000)),
            Val::Bytes(v) => v == self.text.as_bytes(),
            Val::Type(v) => v == &*self.text,
            Val::Fields(_) | Val::Map(_) => false,
        }
    }

    fn equals_number(&self, value: Val<'_>) -> bool {
        let parsed = || self.text.parse().ok().map(Number::Real);
        let own = self
            .number
            .or(self.int.map(|i| Number::Whole(i.into())))
            .or_else(parsed);
        matches!((own, Number::of(value)), (Some(a), Some(b)) if a.compare(b) == Some(Ordering::Equal))
    }
}

/// A test of text with a prepared operand.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Equals(Box<str>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Contains(Box<Finder<'static>>),
    Pattern(Box<Pattern>),
}

/// Bytes that a compiled pattern may take.
const PATTERN_SIZE: usize = 1 << 20;

/// The same for one that only the entry tells, and that is compiled for it alone.
pub(crate) const LATE_PATTERN_SIZE: usize = 1 << 16;

impl Test {
    pub(crate) fn contains(needle: &str) -> Test {
        Test::Contains(Box::new(Finder::new(needle).into_owned()))
    }

    /// A pattern that is searched for. One without operators becomes the plain test that it is.
    pub(crate) fn pattern(pattern: &str) -> Result<Test, regex::Error> {
        if let Some(test) = Test::plain(pattern) {
            return Ok(test);
        }
        Ok(Test::Pattern(Box::new(Pattern {
            dots: Dots::of(pattern),
            regex: compile_pattern(pattern, PATTERN_SIZE)?,
        })))
    }

    /// The plain test that a pattern without operators is.
    pub(crate) fn plain(pattern: &str) -> Option<Test> {
        let (anchored, rest, ended) = bare(pattern);
        if rest.contains('.') || rest.contains(is_operator) {
            return None;
        }
        Some(match (anchored, ended) {
            (true, true) => Test::Equals(rest.into()),
            (true, false) => Test::StartsWith(rest.into()),
            (false, true) => Test::EndsWith(rest.into()),
            (false, false) => Test::contains(rest),
        })
    }

    /// What is done with a text, and with which operand.
    pub(crate) fn told(&self) -> (&'static str, String) {
        match self {
            Test::Equals(operand) => ("is", operand.to_string()),
            Test::StartsWith(operand) => ("startsWith", operand.to_string()),
            Test::EndsWith(operand) => ("endsWith", operand.to_string()),
            Test::Contains(finder) => (
                "contains",
                String::from_utf8_lossy(finder.needle()).into_owned(),
            ),
            Test::Pattern(pattern) => ("matches", pattern.regex.as_str().into()),
        }
    }

    #[inline]
    pub(crate) fn holds(&self, text: &str) -> bool {
        match self {
            Test::Equals(operand) => alike(text, operand),
            Test::StartsWith(operand) => operand.is_empty() || text.starts_with(&**operand),
            Test::EndsWith(operand) => operand.is_empty() || text.ends_with(&**operand),
            Test::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Test::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

/// Whether a character has a meaning of its own in a pattern, outside of classes; a dot apart.
fn is_operator(c: char) -> bool {
    r"\+*?()|[]{}^$".contains(c)
}

/// Whether a pattern is bound to the start, what it is between, and whether it is bound to the end.
fn bare(pattern: &str) -> (bool, &str, bool) {
    // `.*` at an open end of a search changes nothing; between an anchor and the text it forbids line breaks
    let (anchored, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern.strip_prefix(".*").unwrap_or(pattern)),
    };
    match rest.strip_suffix('$') {
        Some(rest) => (anchored, rest, true),
        None => (anchored, rest.strip_suffix(".*").unwrap_or(rest), false),
    }
}

/// A pattern that is searched for.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// The same, where it is so simple, for ASCII text.
    dots: Option<Dots>,
    regex: regex::Regex,
}

impl Pattern {
    fn is_match(&self, text: &str) -> bool {
        match &self.dots {
            Some(dots) if text.is_ascii() => dots.is_match(text.as_bytes()),
            _ => self.regex.is_match(text),
        }
    }
}

/// A pattern of ASCII text and dots, which stand for any character but a line break: `5..`, `^50.$`. On a
/// few bytes a compiled one takes ten times as long; a long one is tried at every place of a text, so it is compiled.
#[derive(Clone, Debug)]
struct Dots {
    anchored: bool,
    ended: bool,
    of: Box<[u8]>,
}

impl Dots {
    /// Characters at most.
    const MOST: usize = 32;

    fn of(pattern: &str) -> Option<Dots> {
        let (anchored, of, ended) = bare(pattern);
        let simple = (1..=Dots::MOST).contains(&of.len()) && of.is_ascii();
        let simple = simple && !of.contains(is_operator);
        simple.then(|| Dots {
            anchored,
            ended,
            of: of.as_bytes().into(),
        })
    }

    fn is_match(&self, text: &[u8]) -> bool {
        let same = |(of, b): (&u8, &u8)| of == b || (*of == b'.' && *b != b'\n');
        let here = |window: &[u8]| self.of.iter().zip(window).all(same);
        let Some(spare) = text.len().checked_sub(self.of.len()) else {
            return false;
        };
        match (self.anchored, self.ended) {
            (true, true) => spare == 0 && here(text),
            (true, false) => here(text),
            (false, true) => text.get(spare..).is_some_and(here),
            (false, false) => text.windows(self.of.len()).any(here),
        }
    }
}

/// A pattern of bounded size.
pub(crate) fn compile_pattern(pattern: &str, size: usize) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(pattern)
        .size_limit(size)
        .dfa_size_limit(size)
        .build()
}

/// A pattern tested on a value of KFL1: on its text, of a list on any element's.
pub(crate) fn like<'v>(test: &Test, value: Val<'v>, ctx: &Ctx<'v>) -> bool {
    if let Val::Str(text) = value {
        return test.holds(text);
    }
    match value.list_len() {
        Some(n) => (0..n).any(|i| {
            value
                .item(i)
                .is_some_and(|item| item.list_len().is_none() && like(test, item, ctx))
        }),
        None => text(value, ctx).is_some_and(|text| test.holds(text)),
    }
}

/// As [`like`], on the text of an integer.
pub(crate) fn like_int(test: &Test, value: i64) -> bool {
    test.holds(decimal(value, &mut [0; 20]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_what_the_pattern_is() {
        let patterns = [
            "5..", "^5..", "5..$", "^5..$", ".", "^.$", "a.c.", ".*5.", "5..*", ".*.*", "^.*5",
            "5.*$", "a\\.c", "^team-7-", "a&b~c#", "a-.", "-$", "é.", "^", "$",
        ];
        let texts = [
            "", "team-7-x", "xa&b~c#", "a-", "5", "500", "1500", "5000", "abcd", "a.c", "xabcdx",
            "5\n0", "a\n", "\n", "é5", "55é",
        ];
        for pattern in patterns {
            let (test, regex) = (
                Test::pattern(pattern).unwrap(),
                compile_pattern(pattern, PATTERN_SIZE).unwrap(),
            );
            for text in texts {
                assert_eq!(test.holds(text), regex.is_match(text), "{pattern} {text:?}");
            }
        }
        assert!(
            Dots::of("^5..$").is_some()
                && Dots::of("5+").is_none()
                && Dots::of("é.").is_none()
                && Dots::of(&"a.".repeat(17)).is_none()
        );
    }
}
