//! What both parsers share: a place among the tokens, and the depth of nesting.

use crate::ast::{Expr, Kind, MAX_DEPTH, Span};
use crate::error::{ErrorKind, Fault};
use crate::lexer::{Dialect, Token, TokenKind, lex};

/// Result of a parsing step. Boxed, as steps nest and their frames should be small.
pub(crate) type Parsed<T = Expr> = Result<T, Box<Fault>>;

/// A place among the tokens of a text.
pub(crate) struct Cursor<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    depth: u16,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t str, dialect: Dialect) -> Cursor<'t> {
        let mut tokens = lex(text, dialect);
        tokens.retain(|t| t.kind != TokenKind::Comment);
        Cursor {
            tokens,
            at: 0,
            depth: 0,
        }
    }

    /// The token `ahead` of the place; past the end it is the end.
    pub(crate) fn peek_at(&self, ahead: usize) -> Token<'t> {
        let last = self.tokens.len().saturating_sub(1);
        let end = Token {
            kind: TokenKind::End,
            text: "",
            span: Span::default(),
        };
        self.tokens
            .get((self.at + ahead).min(last))
            .copied()
            .unwrap_or(end)
    }

    pub(crate) fn peek(&self) -> Token<'t> {
        self.peek_at(0)
    }

    pub(crate) fn next(&mut self) -> Token<'t> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Whether this punctuation comes next, its characters without a gap.
    pub(crate) fn sees(&self, sign: &str) -> bool {
        let mut end = self.peek().span.start;
        sign.bytes().enumerate().all(|(i, byte)| {
            let token = self.peek_at(i);
            let adjacent = token.span.start == end;
            end = token.span.end;
            adjacent && token.kind == TokenKind::Punct(byte)
        })
    }

    /// Steps over this punctuation, if it comes next.
    pub(crate) fn take(&mut self, sign: &str) -> bool {
        let sees = self.sees(sign);
        if sees {
            self.at += sign.len();
        }
        sees
    }

    /// Steps over this punctuation, or says what stands there instead; returns its place.
    pub(crate) fn expect(&mut self, sign: &str) -> Parsed<Span> {
        let span = self.peek().span;
        if self.take(sign) {
            Ok(span)
        } else {
            Err(self.unexpected(&format!("\"{sign}\"")))
        }
    }

    /// The mistake that the next token is.
    pub(crate) fn unexpected(&self, expected: &str) -> Box<Fault> {
        let token = self.peek();
        if let TokenKind::Bad(why) = token.kind
            && !why.is_empty()
        {
            let fault = Fault::syntax(token.span, why);
            let quote = token.text.chars().find(|c| matches!(c, '"' | '\'' | '`'));
            return Box::new(match quote {
                Some(quote) => fault.hint(format!("end the text with {quote}")),
                None => fault,
            });
        }
        let shown = if token.kind == TokenKind::End {
            "<EOF>"
        } else {
            token.text
        };
        let message = if expected.is_empty() {
            format!("unexpected token \"{shown}\"")
        } else {
            format!("unexpected token \"{shown}\" (expected {expected})")
        };
        let fault = Fault::syntax(token.span, message);
        Box::new(match shown {
            "#" => fault.hint("a comment begins with //"),
            _ => fault,
        })
    }

    /// Runs a step one level deeper, within the limit.
    pub(crate) fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(too_deep(self.peek().span));
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }
}

/// An expression, within the limit of nesting.
pub(crate) fn expr(kind: Kind, span: Span) -> Parsed {
    Expr::new(kind, span).ok_or_else(|| too_deep(span))
}

fn too_deep(span: Span) -> Box<Fault> {
    let message = format!("nested more than {MAX_DEPTH} levels deep");
    let fault = Fault::new(ErrorKind::Limit, span, message);
    Box::new(fault.hint("leave out parentheses, or give a part a name as a custom macro"))
}
