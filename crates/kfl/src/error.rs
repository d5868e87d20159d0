//! What is wrong with a filter, where, and how it is mended.

use crate::ast::Span;
use std::fmt;

/// What kind of mistake an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The text is not of the grammar.
    Syntax,
    /// A field, flag or function that does not exist.
    Name,
    /// A value of a type that does not fit.
    Type,
    /// A literal that means nothing: a bad pattern, date or duration.
    Value,
    /// Longer or deeper than is taken.
    Limit,
    /// Valid, but probably not what was meant.
    Surprise,
}

impl ErrorKind {
    /// As it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::Syntax => "syntax",
            ErrorKind::Name => "name",
            ErrorKind::Type => "type",
            ErrorKind::Value => "value",
            ErrorKind::Limit => "limit",
            ErrorKind::Surprise => "surprise",
        }
    }
}

/// Characters of a line that are shown around a mistake.
const WIDTH: usize = 160;

/// Mistakes, and warnings, that are told of in one filter: who has so many has mistaken the language.
pub(crate) const MAX_FAULTS: usize = 20;

/// One mistake in a filter. Shown as `line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Its kind.
    pub kind: ErrorKind,
    /// The place, as byte offsets into the text.
    pub span: Span,
    /// Line of the place, from 1.
    pub line: u32,
    /// Column of the place in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// How it may be mended: a name that exists, an operator that was meant.
    pub suggestion: Option<String>,
}

impl Error {
    /// The mistake with the line of the text it is on, of a long one the part around the place, and carets under the place.
    pub fn render(&self, text: &str) -> String {
        let mut out = format!("{self}");
        if let Some(suggestion) = &self.suggestion {
            out.push_str("; ");
            out.push_str(suggestion);
        }
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end);
        let from = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let to = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let line = &text[from..to];
        let (length, before) = (line.chars().count(), text[from..start].chars().count());
        let first = if length > WIDTH {
            before.saturating_sub(WIDTH / 3).min(length - WIDTH)
        } else {
            0
        };
        let shown: String = line.chars().skip(first).take(WIDTH).map(plain).collect();
        let cut = |there: bool| if there { "…" } else { "" };
        let (ahead, behind) = (cut(first > 0), cut(first + WIDTH < length));
        let pad = before - first + usize::from(first > 0);
        let carets = text[start..end.clamp(start, to)].chars().count();
        let carets = carets.min((first + WIDTH).saturating_sub(before)).max(1);
        out.push_str(&format!(
            "\n  {ahead}{shown}{behind}\n  {}{}",
            " ".repeat(pad),
            "^".repeat(carets)
        ));
        out
    }
}

/// A control character would break the alignment of the caret (and worse, a terminal).
fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// The nearest border of a character at or before an offset.
fn floor(text: &str, at: u32) -> usize {
    let mut at = (at as usize).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Error {}

/// All mistakes found in a filter: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    /// The spelling it was read in.
    pub lang: crate::Lang,
    /// The mistakes, in the order of the text.
    pub errors: Vec<Error>,
}

impl Errors {
    /// Faults with their places, in the order of the text.
    pub(crate) fn of(lang: crate::Lang, faults: Vec<Fault>, text: &str) -> Errors {
        let mut errors: Vec<_> = faults.into_iter().map(|f| f.place(text)).collect();
        errors.sort_by_key(|e| (e.span.start, e.span.end));
        Errors { lang, errors }
    }

    /// All mistakes with their carets, one after the other.
    pub fn render(&self, text: &str) -> String {
        let rendered: Vec<String> = self.errors.iter().map(|e| e.render(text)).collect();
        rendered.join("\n")
    }

    /// The first mistake in one line, as KFL1 always said it: `1:5: unexpected token "?"`. For scripts, which look at
    /// this text.
    pub fn kfl1(&self) -> String {
        self.errors
            .first()
            .map(Error::to_string)
            .unwrap_or_default()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// A mistake before its line and column are known.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: ErrorKind,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

impl Fault {
    pub(crate) fn new(kind: ErrorKind, span: Span, message: impl Into<String>) -> Fault {
        Fault {
            kind,
            span,
            message: message.into(),
            suggestion: None,
        }
    }

    pub(crate) fn syntax(span: Span, message: impl Into<String>) -> Fault {
        Fault::new(ErrorKind::Syntax, span, message)
    }

    pub(crate) fn hint(mut self, suggestion: impl Into<String>) -> Fault {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// "did you mean", where there is something near.
    pub(crate) fn near(self, name: Option<String>) -> Fault {
        match name {
            Some(name) => self.hint(format!("did you mean \"{name}\"?")),
            None => self,
        }
    }

    /// Finds line and column in the text.
    pub(crate) fn place(self, text: &str) -> Error {
        let before = &text[..floor(text, self.span.start)];
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Error {
            kind: self.kind,
            span: self.span,
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            message: self.message,
            suggestion: self.suggestion,
        }
    }
}
