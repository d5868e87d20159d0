//! Custom macros: names that stand for filters, in either spelling, whatever the spelling around them.

use crate::ast::Span;
use crate::check::Env;
use crate::error::{ErrorKind, Fault};
use crate::lang::Lang;
use crate::lexer::{Dialect, TokenKind, lex};
use crate::predicate::Node;
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

/// The macros around a place, and how many there were in all.
#[derive(Clone, Copy)]
pub(crate) struct Expansions<'c> {
    nested: u8,
    count: &'c Cell<u32>,
}

impl<'c> Expansions<'c> {
    /// Around a whole filter.
    pub(crate) fn none(count: &'c Cell<u32>) -> Expansions<'c> {
        Expansions { nested: 0, count }
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
        self.count.set(self.count.get() + 1);
        if self.nested >= MAX_NESTED || self.count.get() > MAX_EXPANSIONS {
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
        let node = first.or_else(|fault| within.compile(env, text, other, now).map_err(|_| fault));
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
