//! Patterns in the words that all engines understand alike.
//!
//! What `\d`, `.` or `(?i)` stand for differs from engine to engine; characters and ranges of characters do not. So a pattern
//! is taken apart and written anew with nothing but these, groups, alternatives, repetition and the ends of the text.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};
use std::fmt::Write as _;

/// Bytes of a pattern that are taken, written anew.
const MAX_LENGTH: usize = 32 << 10;

/// Times that RE2 repeats something at most.
const MAX_TIMES: u32 = 1000;

/// A pattern written anew; an error says what in it can't be.
pub(super) fn portable(pattern: &str) -> Result<String, String> {
    let tree = regex_syntax::parse(pattern).map_err(|e| e.to_string())?;
    let mut out = String::new();
    write(&tree, &mut out)?;
    if out.len() > MAX_LENGTH {
        return Err("a pattern of so many ranges of characters".into());
    }
    Ok(out)
}

fn write(tree: &Hir, out: &mut String) -> Result<(), String> {
    if out.len() > MAX_LENGTH {
        return Ok(()); // refused at the end
    }
    match tree.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0);
            let text = text.map_err(|_| "a pattern of bytes that are no text")?;
            text.chars().for_each(|c| character(c, out));
        }
        HirKind::Class(Class::Unicode(class)) => {
            if class.ranges().is_empty() {
                return Err("a class of no characters".into());
            }
            out.push('[');
            for range in class.ranges() {
                character(range.start(), out);
                if range.end() > range.start() {
                    out.push('-');
                    character(range.end(), out);
                }
            }
            out.push(']');
        }
        HirKind::Class(Class::Bytes(class)) => {
            let unicode = class.to_unicode_class().ok_or("a class of bytes")?;
            return write(&Hir::class(Class::Unicode(unicode)), out);
        }
        HirKind::Look(Look::Start) => out.push_str("\\A"),
        HirKind::Look(Look::End) => out.push_str("\\z"),
        HirKind::Look(Look::StartLF | Look::EndLF | Look::StartCRLF | Look::EndCRLF) => {
            return Err("the ends of lines".into());
        }
        HirKind::Look(_) => return Err("the ends of words".into()),
        HirKind::Repetition(Repetition {
            min,
            max,
            greedy,
            sub,
        }) => {
            if max.unwrap_or(*min) > MAX_TIMES || *min > MAX_TIMES {
                return Err(format!("a repetition of more than {MAX_TIMES} times"));
            }
            out.push_str("(?:");
            write(sub, out)?;
            out.push(')');
            // writing to text cannot fail
            let _ = match (min, max) {
                (0, None) => write!(out, "*"),
                (1, None) => write!(out, "+"),
                (0, Some(1)) => write!(out, "?"),
                (min, None) => write!(out, "{{{min},}}"),
                (min, Some(max)) if min == max => write!(out, "{{{min}}}"),
                (min, Some(max)) => write!(out, "{{{min},{max}}}"),
            };
            if !greedy {
                out.push('?');
            }
        }
        HirKind::Capture(capture) => {
            out.push_str("(?:");
            write(&capture.sub, out)?;
            out.push(')');
        }
        HirKind::Concat(parts) => {
            for part in parts {
                let group = matches!(part.kind(), HirKind::Alternation(_));
                if group {
                    out.push_str("(?:");
                }
                write(part, out)?;
                if group {
                    out.push(')');
                }
            }
        }
        HirKind::Alternation(parts) => {
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    out.push('|');
                }
                write(part, out)?;
            }
        }
    }
    Ok(())
}

/// A character that stands for itself, in a class and outside of one.
fn character(c: char, out: &mut String) {
    if c.is_ascii_alphanumeric() || "/_ :=,;%@<>\"".contains(c) {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{{{:x}}}", u32::from(c));
    }
}
