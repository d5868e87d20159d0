//! The grammar of KFL1:
//!
//! ```text
//! query      := empty | logical
//! logical    := equality  [ ("and" | "or") logical ]
//! equality   := comparison [ ("==" | "!=" | "===" | "!==") equality ]
//! comparison := unary [ (">=" | ">" | "<=" | "<") comparison ]
//! unary      := ("!" | "-") unary | primary
//! primary    := number | string | "r" string | "true" | "false" | "nil" | path | "(" query ")"
//! path       := ident { "." ident | "." "*" | ".." ident | "[" (int | string | "*") "]" | "(" params ")" }
//! ```
//!
//! `and` and `or` bind alike and group from the right; operators may be written with spaces between their characters.

use crate::ast::{Arg, Expr, Kind, Logic, Op, Word};
use crate::cursor::{Cursor, Parsed, expr};
use crate::error::{ErrorKind, Fault};
use crate::lexer::{Dialect, Token, TokenKind, inside};

/// The tree of a text; `None` where it is empty.
pub(crate) fn parse(text: &str) -> Parsed<Option<Expr>> {
    let mut cursor = Cursor::new(text, Dialect::Kfl1);
    if cursor.peek().kind == TokenKind::End {
        return Ok(None);
    }
    let tree = logical(&mut cursor)?;
    match cursor.peek().kind {
        TokenKind::End => Ok(Some(tree)),
        _ => Err(hinted(&cursor)),
    }
}

/// What stands where the text should end or an operator come, with the operator that was probably meant.
fn hinted(cursor: &Cursor<'_>) -> Box<Fault> {
    let token = cursor.peek();
    let mut fault = cursor.unexpected("");
    let word = token.text.to_ascii_lowercase();
    let hint = match word.as_str() {
        "&" => "KFL1 writes \"and\"; \"&&\" is KFL2".into(),
        "|" => "KFL1 writes \"or\"; \"||\" is KFL2".into(),
        "and" | "or" if word != token.text => format!("write \"{word}\" in lower case"),
        _ => return fault,
    };
    fault.suggestion = Some(hint);
    fault
}

fn logical(cursor: &mut Cursor<'_>) -> Parsed {
    cursor.nested(|cursor| {
        let mut terms = vec![equality(cursor)?];
        let mut ops = Vec::new();
        loop {
            let token = cursor.peek();
            let op = match (token.kind, token.text) {
                (TokenKind::Ident, "and") => Logic::And,
                (TokenKind::Ident, "or") => Logic::Or,
                _ => break,
            };
            cursor.next();
            ops.push(op);
            terms.push(equality(cursor)?);
        }
        match (terms.pop(), terms.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                let span = terms
                    .first()
                    .map_or(last.span, |first| first.span.to(last.span));
                terms.push(last);
                expr(Kind::Chain(terms, ops), span)
            }
            (None, _) => Err(cursor.unexpected("")),
        }
    })
}

fn equality(cursor: &mut Cursor<'_>) -> Parsed {
    let left = comparison(cursor)?;
    let op = match cursor.peek().kind {
        TokenKind::Punct(b'=') => Op::Eq,
        TokenKind::Punct(b'!') => Op::Ne,
        _ => return Ok(left),
    };
    let first = cursor.next();
    let end = cursor.peek().span;
    if let Err(mut fault) = cursor.expect("=") {
        if op == Op::Eq {
            fault.suggestion = Some("equality is written \"==\"".into());
        }
        return Err(fault);
    }
    // the third character of === and !== belongs to the operator only where it stands close
    if cursor.peek().kind == TokenKind::Punct(b'=')
        && cursor.peek().span.start == end.end
        && first.span.end == end.start
    {
        cursor.next();
    }
    let right = cursor.nested(equality)?;
    let span = left.span.to(right.span);
    expr(Kind::Binary(op, Box::new((left, right))), span)
}

fn comparison(cursor: &mut Cursor<'_>) -> Parsed {
    let left = unary(cursor)?;
    let (strict, loose) = match cursor.peek().kind {
        TokenKind::Punct(b'<') => (Op::Lt, Op::Le),
        TokenKind::Punct(b'>') => (Op::Gt, Op::Ge),
        _ => return Ok(left),
    };
    cursor.next();
    let op = if cursor.take("=") { loose } else { strict };
    let right = cursor.nested(comparison)?;
    let span = left.span.to(right.span);
    expr(Kind::Binary(op, Box::new((left, right))), span)
}

fn unary(cursor: &mut Cursor<'_>) -> Parsed {
    let sign = cursor.peek();
    let TokenKind::Punct(b'!' | b'-') = sign.kind else {
        return primary(cursor);
    };
    cursor.next();
    let operand = cursor.nested(unary)?;
    let span = sign.span.to(operand.span);
    let operand = Box::new(operand);
    expr(
        if sign.text == "!" {
            Kind::Not(operand)
        } else {
            Kind::Neg(operand)
        },
        span,
    )
}

fn primary(cursor: &mut Cursor<'_>) -> Parsed {
    let token = cursor.peek();
    let kind = match token.kind {
        TokenKind::Int | TokenKind::Float => number(&token)?,
        TokenKind::Str => {
            let (prefix, text) = inside(&token);
            Kind::Str {
                text: text.into(),
                raw: prefix == "r",
            }
        }
        TokenKind::Ident if token.text == "true" => Kind::Bool(true),
        TokenKind::Ident if token.text == "false" => Kind::Bool(false),
        TokenKind::Ident if token.text == "nil" => Kind::Null,
        TokenKind::Ident if !matches!(token.text, "and" | "or") => return path(cursor),
        TokenKind::Punct(b'(') => return group(cursor),
        _ => return Err(cursor.unexpected("a field, a value or \"(\"")),
    };
    cursor.next();
    expr(kind, token.span)
}

fn group(cursor: &mut Cursor<'_>) -> Parsed {
    let open = cursor.next();
    let inner = logical(cursor)?;
    let close = cursor.expect(")")?;
    expr(Kind::Group(Box::new(inner)), open.span.to(close))
}

fn number(token: &Token<'_>) -> Parsed<Kind> {
    let text = token.text;
    let int = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    match (int, text.parse()) {
        (Some(int), _) => Ok(Kind::Int(int)),
        (None, Ok(double)) => Ok(Kind::Double(double)),
        (None, Err(_)) => Err(Box::new(Fault::new(
            ErrorKind::Value,
            token.span,
            "a number out of range",
        ))),
    }
}

fn word(cursor: &mut Cursor<'_>, expected: &str) -> Parsed<Word> {
    let token = cursor.peek();
    if token.kind != TokenKind::Ident {
        return Err(cursor.unexpected(expected));
    }
    cursor.next();
    Ok(Word {
        text: token.text.into(),
        span: token.span,
    })
}

fn path(cursor: &mut Cursor<'_>) -> Parsed {
    let first = word(cursor, "a field")?;
    let mut at = expr(Kind::Ident(first.text), first.span)?;
    loop {
        at = match cursor.peek().kind {
            TokenKind::Punct(b'.') => member(cursor, at)?,
            TokenKind::Punct(b'[') => index(cursor, at)?,
            TokenKind::Punct(b'(') => call(cursor, at)?,
            _ => return Ok(at),
        };
    }
}

fn member(cursor: &mut Cursor<'_>, operand: Expr) -> Parsed {
    let start = operand.span;
    cursor.next();
    if cursor.peek().kind == TokenKind::Punct(b'.') {
        cursor.next();
        let name = word(cursor, "a name after \"..\"")?;
        let span = start.to(name.span);
        return expr(Kind::Deep(Box::new(operand), name), span);
    }
    if cursor.peek().kind == TokenKind::Punct(b'*') {
        let star = cursor.next();
        return expr(Kind::Wild(Box::new(operand)), start.to(star.span));
    }
    let name = word(cursor, "a name after \".\"")?;
    let span = start.to(name.span);
    expr(Kind::Select(Box::new(operand), name), span)
}

fn index(cursor: &mut Cursor<'_>, operand: Expr) -> Parsed {
    cursor.next();
    let token = cursor.peek();
    let kind = match token.kind {
        TokenKind::Int => number(&token)?,
        TokenKind::Str => Kind::Str {
            text: inside(&token).1.into(),
            raw: false,
        },
        // a[*] is the key "*", as it always was
        TokenKind::Punct(b'*') => Kind::Str {
            text: "*".into(),
            raw: false,
        },
        _ => return Err(cursor.unexpected("a number, a quoted key or \"*\"")),
    };
    cursor.next();
    let key = expr(kind, token.span)?;
    let close = cursor.expect("]")?;
    let span = operand.span.to(close);
    expr(Kind::Index(Box::new(operand), Box::new(key)), span)
}

fn call(cursor: &mut Cursor<'_>, callee: Expr) -> Parsed {
    let start = callee.span;
    let (target, name) = match callee.kind {
        Kind::Ident(text) => (
            None,
            Word {
                text,
                span: callee.span,
            },
        ),
        Kind::Select(target, name) => (Some(target), name),
        _ => return Err(cursor.unexpected("")),
    };
    cursor.next();
    let mut args = Vec::new();
    while !cursor.sees(")") {
        if !args.is_empty() {
            cursor.expect(",")?;
        }
        args.push(argument(cursor)?);
    }
    let close = cursor.expect(")")?;
    expr(Kind::Call { target, name, args }, start.to(close))
}

fn argument(cursor: &mut Cursor<'_>) -> Parsed<Arg> {
    let mut name = None;
    if cursor.peek().kind == TokenKind::Ident && cursor.peek_at(1).kind == TokenKind::Punct(b':') {
        name = Some(word(cursor, "a name")?);
        cursor.next();
    }
    Ok(Arg {
        name,
        value: logical(cursor)?,
    })
}
