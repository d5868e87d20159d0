//! What went wrong in a script: what it threw, or the limit that it met.

use rquickjs::{CaughtError, Coerced, Ctx, FromJs, Value};
use std::fmt;
use std::time::Duration;

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The text is no JavaScript.
    Syntax,
    /// Something was thrown and not caught.
    Throw,
    /// The limit of time.
    Time,
    /// The limit of memory.
    Memory,
}

/// Where in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A fault of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// As `String(error)` gives it: `TypeError: x is not a function`, or the text that was thrown.
    pub(crate) text: String,
    pub(crate) place: Option<Place>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.place {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}

impl Fault {
    pub(crate) fn plain(kind: FaultKind, text: impl Into<String>) -> Fault {
        Fault {
            kind,
            text: text.into(),
            place: None,
        }
    }

    pub(super) fn time(limit: Duration) -> Fault {
        let text = format!("stopped: it took more than {limit:?} (scripting.limits.time)");
        Fault::plain(FaultKind::Time, text)
    }

    pub(super) fn memory(limit: usize) -> Fault {
        let text = format!(
            "stopped: it holds more than {} MiB (scripting.limits.memory)",
            limit >> 20
        );
        Fault::plain(FaultKind::Memory, text)
    }

    /// The same with a column that is this much further, where it is on the first line.
    pub(super) fn moved(mut self, by: i32) -> Fault {
        if let Some(place) = self.place.as_mut().filter(|place| place.line == 1) {
            place.column = place.column.saturating_add_signed(by).max(1);
        }
        self
    }

    /// What an error of the interpreter means.
    pub(crate) fn caught(ctx: &Ctx<'_>, error: rquickjs::Error) -> Fault {
        match CaughtError::from_error(ctx, error) {
            CaughtError::Exception(exception) => {
                let stack = exception.stack().unwrap_or_default();
                let mut place = place(&stack);
                if let Some(place) = &mut place {
                    // what is thrown by a helper has the line of the call, and no column
                    place.column = place.column.max(1);
                }
                let text = text(ctx, &exception.into_value());
                let kind = match text.starts_with("SyntaxError") {
                    true => FaultKind::Syntax,
                    false => FaultKind::Throw,
                };
                Fault { kind, text, place }
            }
            CaughtError::Value(value) => Fault::plain(FaultKind::Throw, text(ctx, &value)),
            CaughtError::Error(error) => Fault::plain(FaultKind::Throw, format!("Error: {error}")),
        }
    }
}

/// A value as `String(value)` gives it; what has no text gets one.
pub(crate) fn text<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> String {
    if let Some(symbol) = value.as_symbol() {
        return symbol
            .as_value()
            .get::<Coerced<String>>()
            .map_or_else(|_| "Symbol()".to_owned(), |text| text.0);
    }
    match Coerced::<rquickjs::String<'js>>::from_js(ctx, value.clone()) {
        Ok(text) => whole(&text.0),
        Err(_) => {
            let _ = ctx.catch();
            "an error that has no text".to_owned()
        }
    }
}

/// A string of the script as UTF-8; halves of surrogate pairs are replaced.
pub(crate) fn whole(text: &rquickjs::String<'_>) -> String {
    match text.to_string() {
        Ok(text) => text,
        Err(_) => {
            let well_formed = || {
                let object = text
                    .ctx()
                    .globals()
                    .get::<_, rquickjs::Object<'_>>("String")?;
                let proto = object.get::<_, rquickjs::Object<'_>>("prototype")?;
                let mend: rquickjs::Function<'_> = proto.get("toWellFormed")?;
                mend.call::<_, String>((rquickjs::function::This(text.clone()),))
            };
            well_formed().unwrap_or_default()
        }
    }
}

/// The innermost place of a stack that is in a file.
fn place(stack: &str) -> Option<Place> {
    stack.lines().find_map(|line| {
        let line = line.trim_end().trim_end_matches(')');
        let at = line.rsplit(['(', ' ']).next()?;
        let mut parts = at.rsplitn(3, ':');
        let column = parts.next()?.parse().ok()?;
        let line = parts.next()?.parse().ok()?;
        let file = parts.next().filter(|file| !file.is_empty())?;
        (file != PRELUDE).then(|| Place {
            file: file.to_owned(),
            line,
            column,
        })
    })
}

/// What the helpers that are written in JavaScript are called in stacks.
pub(crate) const PRELUDE: &str = "gillnet";
