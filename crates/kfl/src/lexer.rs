//! Text to tokens, for both spellings. It never fails: what is no token is a [`TokenKind::Bad`] one, so that
//! highlighting goes on behind it.

use crate::ast::Span;

/// The spelling that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Kfl1,
    Kfl2,
}

/// Kinds of tokens. Punctuation comes one character at a time; parsers join what stands together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Ident,
    /// A name in backquotes (KFL2, after a dot).
    Quoted,
    Int,
    UInt,
    Float,
    /// Quoted text with the letters before it (`r`, `b`).
    Str,
    Punct(u8),
    Comment,
    /// The end of the text.
    End,
    Bad(&'static str),
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'t str,
    pub(crate) span: Span,
}

/// All tokens of a text, comments too, an [`TokenKind::End`] last.
pub(crate) fn lex(text: &str, dialect: Dialect) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        dialect,
    };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next();
        tokens.push(token);
        if token.kind == TokenKind::End {
            return tokens;
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text
            .as_bytes()
            .get(self.at + ahead)
            .copied()
            .unwrap_or(0)
    }

    fn next(&mut self) -> Token<'t> {
        self.at += self.rest().len() - self.rest().trim_start().len();
        let start = self.at;
        let kind = self.kind();
        #[allow(clippy::cast_possible_truncation)] // a filter is at most MAX_LENGTH long
        let span = Span {
            start: start as u32,
            end: self.at as u32,
        };
        Token {
            kind,
            text: &self.text[start..self.at],
            span,
        }
    }

    fn kind(&mut self) -> TokenKind {
        let Some(first) = self.rest().chars().next() else {
            return TokenKind::End;
        };
        match first {
            '"' | '\'' => self.string(0),
            '`' => self.backquoted(),
            '0'..='9' => self.number(),
            '.' if self.byte(1).is_ascii_digit() => self.number(),
            '/' if self.byte(1) == b'/' => {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                TokenKind::Comment
            }
            '/' if self.byte(1) == b'*' && self.dialect == Dialect::Kfl1 => self.block_comment(),
            _ if self.starts_name(first) => self.name(),
            _ if first.is_ascii_punctuation() => {
                self.at += 1;
                TokenKind::Punct(first as u8)
            }
            _ => {
                self.at += first.len_utf8();
                TokenKind::Bad("")
            }
        }
    }

    fn starts_name(&self, c: char) -> bool {
        c == '_' || c.is_ascii_alphabetic() || (self.dialect == Dialect::Kfl1 && c.is_alphabetic())
    }

    fn name(&mut self) -> TokenKind {
        if let Some(letters) = self.string_prefix() {
            return self.string(letters);
        }
        let unicode = self.dialect == Dialect::Kfl1;
        let inside =
            |c: char| c == '_' || c.is_ascii_alphanumeric() || (unicode && c.is_alphanumeric());
        self.at += self
            .rest()
            .find(|c| !inside(c))
            .unwrap_or(self.rest().len());
        TokenKind::Ident
    }

    /// Letters before a quote that belong to the string: `r`, in KFL2 also `b` and both.
    fn string_prefix(&self) -> Option<usize> {
        let quote = |b: u8| b == b'"' || b == b'\'' || (b == b'`' && self.dialect == Dialect::Kfl1);
        let (a, b) = (
            self.byte(0).to_ascii_lowercase(),
            self.byte(1).to_ascii_lowercase(),
        );
        match self.dialect {
            Dialect::Kfl1 => (self.byte(0) == b'r' && quote(b)).then_some(1),
            Dialect::Kfl2 if (a == b'r' || a == b'b') && quote(b) => Some(1),
            Dialect::Kfl2 => {
                (matches!((a, b), (b'r', b'b') | (b'b', b'r')) && quote(self.byte(2))).then_some(2)
            }
        }
    }

    fn string(&mut self, letters: usize) -> TokenKind {
        let raw = self.text[self.at..self.at + letters].contains(['r', 'R']);
        self.at += letters;
        let quote = self.byte(0);
        if quote == b'`' {
            return self.backquoted();
        }
        let three = self.dialect == Dialect::Kfl2 && self.byte(1) == quote && self.byte(2) == quote;
        self.at += if three { 3 } else { 1 };
        // KFL1 steps over a backslash and what follows it even where nothing is unescaped
        let escapes = !raw || self.dialect == Dialect::Kfl1;
        while self.at < self.text.len() {
            let byte = self.byte(0);
            if byte == quote && (!three || (self.byte(1) == quote && self.byte(2) == quote)) {
                self.at += if three { 3 } else { 1 };
                return TokenKind::Str;
            }
            if byte == b'\n' && !three {
                break;
            }
            self.at += if byte == b'\\' && escapes && self.byte(1) < 0x80 {
                2
            } else {
                1
            };
        }
        self.at = self.at.min(self.text.len());
        TokenKind::Bad("text without its closing quote")
    }

    fn backquoted(&mut self) -> TokenKind {
        self.at += 1;
        let Some(end) = self.rest().find('`') else {
            self.at = self.text.len();
            return TokenKind::Bad("text without its closing quote");
        };
        self.at += end + 1;
        if self.dialect == Dialect::Kfl1 {
            TokenKind::Str
        } else {
            TokenKind::Quoted
        }
    }

    fn block_comment(&mut self) -> TokenKind {
        let Some(end) = self.rest().find("*/") else {
            self.at = self.text.len();
            return TokenKind::Bad("comment without its end");
        };
        self.at += end + 2;
        TokenKind::Comment
    }

    fn digits(&mut self, of: fn(&u8) -> bool) -> usize {
        let n = self.rest().bytes().take_while(of).count();
        self.at += n;
        n
    }

    fn number(&mut self) -> TokenKind {
        let hex = self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X');
        let mut float = false;
        if hex {
            self.at += 2;
            if self.digits(u8::is_ascii_hexdigit) == 0 {
                return TokenKind::Bad("a number without digits");
            }
        } else {
            self.digits(u8::is_ascii_digit);
            let after_dot = if self.dialect == Dialect::Kfl1 {
                !self.ends_as_path()
            } else {
                self.byte(1).is_ascii_digit()
            };
            if self.byte(0) == b'.' && after_dot {
                float = true;
                self.at += 1;
                self.digits(u8::is_ascii_digit);
            }
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if matches!(self.byte(0), b'e' | b'E') && self.byte(1 + sign).is_ascii_digit() {
                float = true;
                self.at += 1 + sign;
                self.digits(u8::is_ascii_digit);
            }
        }
        if self.dialect == Dialect::Kfl2 && !float && matches!(self.byte(0), b'u' | b'U') {
            self.at += 1;
            return TokenKind::UInt;
        }
        if float {
            TokenKind::Float
        } else {
            TokenKind::Int
        }
    }

    /// Whether the dot here is followed by a name, not by digits: `1.a` is no number in KFL1.
    fn ends_as_path(&self) -> bool {
        let mut chars = self.rest().chars();
        chars.next() == Some('.') && chars.next().is_some_and(|c| self.starts_name(c))
    }
}

/// The text inside the quotes of a [`TokenKind::Str`] token, as it stands, and its prefix in lower case.
pub(crate) fn inside<'t>(token: &Token<'t>) -> (&'t str, &'t str) {
    let text = token.text;
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (prefix, quoted) = text.split_at(letters);
    let quotes = ["\"\"\"", "'''"]
        .iter()
        .any(|q| quoted.len() >= 6 && quoted.starts_with(q) && quoted.ends_with(q));
    let n = if quotes { 3 } else { 1 };
    (prefix, quoted.get(n..quoted.len() - n).unwrap_or(""))
}
