//! Custom macros: names that stand for filters, in either spelling, whatever the spelling around them. And how many of
//! them, and of patterns, a filter may have.

use crate::ast::Span;
use crate::check::Env;
use crate::error::{ErrorKind, Fault};
use crate::lang::Lang;
use crate::lexer::{Dialect, TokenKind, lex};
use crate::predicate::{Node, Test};
use crate::{kfl1, kfl2};
use std::cell::Cell;

/// Custom macros inside custom macros.
const MAX_NESTED: u8 = 4;

/// Custom macros in one filter, those inside others too.
const MAX_EXPANSIONS: u32 = 1000;

/// Whether a custom macro may have this name: a word that the language does not keep for itself.
pub fn is_macro_name(name: &str) -> bool {
    let word = |dialect| match lex(name, dialect).as_slice() {
        [word, _] => word.kind == TokenKind::Ident && word.text == name,
        _ => false,
    };
    let kept = ["and", "or", "true", "false", "nil", "null", "in"];
    word(Dialect::Kfl1) && word(Dialect::Kfl2) && !kept.contains(&name) && !kfl2::is_reserved(name)
}

/// Patterns to compile in one filter, those inside macros too: each may take a megabyte.
const MAX_PATTERNS: u32 = 64;

/// What a filter has taken so far of what it may take.
#[derive(Default)]
pub(crate) struct Taken {
    macros: Cell<u32>,
    patterns: Cell<u32>,
}

/// The macros around a place, and what the whole filter has taken.
#[derive(Clone, Copy)]
pub(crate) struct Expansions<'c> {
    nested: u8,
    taken: &'c Taken,
}

impl<'c> Expansions<'c> {
    /// Around a whole filter.
    pub(crate) fn none(taken: &'c Taken) -> Expansions<'c> {
        Expansions { nested: 0, taken }
    }

    /// A pattern at this place.
    pub(crate) fn pattern(self, text: &str, span: Span) -> Result<Test, Fault> {
        if let Some(test) = Test::plain(text) {
            return Ok(test);
        }
        let count = &self.taken.patterns;
        count.set(count.get().saturating_add(1));
        if count.get() > MAX_PATTERNS {
            let message = format!("more than {MAX_PATTERNS} patterns");
            let fault = Fault::new(ErrorKind::Limit, span, message);
            return Err(fault.hint("write several as one: r\"this|that\""));
        }
        Test::pattern(text).map_err(|error| bad_pattern(span, &error))
    }

    /// The filter that a macro stands for, as in parentheses: in the spelling around it, if it is valid there, else
    /// in the other.
    pub(crate) fn expand(
        self,
        env: &Env,
        (name, text): (&str, &str),
        span: Span,
        lang: Lang,
        now: i64,
    ) -> Result<Node, Fault> {
        let count = &self.taken.macros;
        count.set(count.get().saturating_add(1));
        if self.nested >= MAX_NESTED || count.get() > MAX_EXPANSIONS {
            let message = format!("macro \"{name}\" contains itself, or too many others");
            return Err(Fault::new(ErrorKind::Limit, span, message));
        }
        let within = Expansions {
            nested: self.nested + 1,
            ..self
        };
        let first = within.compile(env, text, lang, now);
        let other = if lang == Lang::Kfl1 {
            Lang::Kfl2
        } else {
            Lang::Kfl1
        };
        let node = first.or_else(|fault| {
            let second = within.compile(env, text, other, now);
            // by a mistake of grammar it shows only that it is of the other spelling
            let is_grammar = |fault: &Fault| fault.kind == ErrorKind::Syntax;
            second.map_err(|other| match (is_grammar(&fault), is_grammar(&other)) {
                (true, false) => other,
                _ => fault,
            })
        });
        node.map_err(|fault| {
            let message = format!("in macro \"{name}\": {}", fault.message);
            Fault {
                span,
                message,
                ..*fault
            }
        })
    }

    fn compile(self, env: &Env, text: &str, lang: Lang, now: i64) -> Result<Node, Box<Fault>> {
        let mut lowered = match lang {
            Lang::Kfl1 => kfl1::parse(text)?.map(|t| kfl1::lower(env, &t, text, false, now, self)),
            _ => kfl2::parse(text)?.map(|t| kfl2::lower(env, &t, false, now, self)),
        }
        .ok_or_else(|| Fault::new(ErrorKind::Value, Span::default(), "it stands for nothing"))?;
        if lowered.limit.is_some() || !lowered.redactions.is_empty() {
            let message = "limit() and redact() belong into the filter itself";
            lowered
                .faults
                .push(Fault::new(ErrorKind::Value, Span::default(), message));
        }
        match lowered.faults.pop() {
            None => Ok(Node::Group(Box::new(lowered.root))),
            Some(fault) => Err(Box::new(fault)),
        }
    }
}

/// What is wrong with a pattern.
fn bad_pattern(span: Span, error: &regex::Error) -> Fault {
    if let regex::Error::CompiledTooBig(limit) = error {
        let message = format!("bad pattern: compiled it takes more than {limit} bytes");
        let fault = Fault::new(ErrorKind::Value, span, message);
        return fault
            .hint("repeat less, or write [a-z] for \\w, which is the letters of all languages");
    }
    // the crate's own message shows the pattern over several lines; its last says what is wrong
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let message = format!(
        "bad pattern: {}",
        last.strip_prefix("error: ").unwrap_or(last)
    );
    Fault::new(ErrorKind::Value, span, message)
}
