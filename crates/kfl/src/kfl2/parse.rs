//! The grammar of CEL (its language definition, "Syntax"), by binding power:
//!
//! ```text
//! expr   := or [ "?" or ":" expr ]
//! or     := and { "||" and }
//! and    := rel { "&&" rel }
//! rel    := add { ("<" | "<=" | ">=" | ">" | "==" | "!=" | "in") add }
//! add    := mul { ("+" | "-") mul }
//! mul    := unary { ("*" | "/" | "%") unary }
//! unary  := { "!" | "-" } member
//! member := primary { "." name [ "(" args ")" ] | "[" expr "]" }
//! ```

use crate::ast::{Arg, Expr, Kind, Logic, Op, Span, Word};
use crate::cursor::{Cursor, Parsed, expr};
use crate::error::{ErrorKind, Fault};
use crate::lexer::{Dialect, Token, TokenKind, inside};

/// Words that cannot be names, but may follow a dot.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether a word cannot be a name.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// The tree of a text; `None` where it is empty.
pub(crate) fn parse(text: &str) -> Parsed<Option<Expr>> {
    let mut cursor = Cursor::new(text, Dialect::Kfl2);
    if cursor.peek().kind == TokenKind::End {
        return Ok(None);
    }
    let tree = ternary(&mut cursor)?;
    match cursor.peek().kind {
        TokenKind::End => Ok(Some(tree)),
        _ => Err(hinted(&cursor)),
    }
}

/// What stands where the text should end or an operator come, with the operator that was probably meant.
fn hinted(cursor: &Cursor<'_>) -> Box<Fault> {
    let token = cursor.peek();
    let mut fault = cursor.unexpected("");
    let hint = match token.text {
        "and" | "AND" => "KFL2 writes \"&&\"; \"and\" is KFL1",
        "or" | "OR" => "KFL2 writes \"||\"; \"or\" is KFL1",
        "=" => "equality is written \"==\"",
        _ => return fault,
    };
    fault.suggestion = Some(hint.into());
    fault
}

fn ternary(cursor: &mut Cursor<'_>) -> Parsed {
    cursor.nested(|cursor| {
        let condition = chain(cursor, Logic::Or)?;
        if !cursor.take("?") {
            return Ok(condition);
        }
        let yes = chain(cursor, Logic::Or)?;
        cursor.expect(":")?;
        let no = ternary(cursor)?;
        let span = condition.span.to(no.span);
        expr(Kind::If(Box::new((condition, yes, no))), span)
    })
}

/// Terms of `||`, or of `&&`, side by side: their number does not deepen the tree.
fn chain(cursor: &mut Cursor<'_>, logic: Logic) -> Parsed {
    let (sign, term): (_, fn(&mut Cursor<'_>) -> Parsed) = match logic {
        Logic::Or => ("||", |cursor| chain(cursor, Logic::And)),
        Logic::And => ("&&", |cursor| binary(cursor, 0)),
    };
    let first = term(cursor)?;
    if !cursor.sees(sign) {
        return Ok(first);
    }
    let mut span = first.span;
    let (mut terms, mut ops) = (vec![first], Vec::new());
    while cursor.take(sign) {
        let next = term(cursor)?;
        span = span.to(next.span);
        terms.push(next);
        ops.push(logic);
    }
    expr(Kind::Chain(terms, ops), span)
}

/// The operator that comes next, its binding power and its length in tokens.
fn operator(cursor: &Cursor<'_>) -> Option<(Op, u8, usize)> {
    const SIGNS: &[(&str, Op, u8)] = &[
        ("<=", Op::Le, 1),
        (">=", Op::Ge, 1),
        ("==", Op::Eq, 1),
        ("!=", Op::Ne, 1),
        ("<", Op::Lt, 1),
        (">", Op::Gt, 1),
        ("+", Op::Add, 2),
        ("-", Op::Sub, 2),
        ("*", Op::Mul, 3),
        ("/", Op::Div, 3),
        ("%", Op::Rem, 3),
    ];
    let token = cursor.peek();
    if token.kind == TokenKind::Ident && token.text == "in" {
        return Some((Op::In, 1, 1));
    }
    let (sign, op, power) = SIGNS.iter().find(|(sign, ..)| cursor.sees(sign))?;
    Some((*op, *power, sign.len()))
}

fn binary(cursor: &mut Cursor<'_>, above: u8) -> Parsed {
    let mut left = unary(cursor)?;
    while let Some((op, power, tokens)) = operator(cursor).filter(|(_, power, _)| *power > above) {
        for _ in 0..tokens {
            cursor.next();
        }
        // === and !== are what people write by habit
        if matches!(op, Op::Eq | Op::Ne) {
            cursor.take("=");
        }
        let right = binary(cursor, power)?;
        let span = left.span.to(right.span);
        left = expr(Kind::Binary(op, Box::new((left, right))), span)?;
    }
    Ok(left)
}

fn unary(cursor: &mut Cursor<'_>) -> Parsed {
    let sign = cursor.peek();
    let TokenKind::Punct(b'!' | b'-') = sign.kind else {
        return member(cursor);
    };
    cursor.next();
    let number = cursor.peek();
    if sign.text == "-" && matches!(number.kind, TokenKind::Int | TokenKind::Float) {
        // the least integer has no positive counterpart, so the sign belongs to the number
        let literal = expr(number_kind(&number, true)?, sign.span.to(number.span))?;
        cursor.next();
        return members(cursor, literal);
    }
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

fn member(cursor: &mut Cursor<'_>) -> Parsed {
    let primary = primary(cursor)?;
    members(cursor, primary)
}

fn members(cursor: &mut Cursor<'_>, mut at: Expr) -> Parsed {
    loop {
        let start = at.span;
        if cursor.take(".") {
            let name = member_name(cursor)?;
            let span = start.to(name.span);
            if cursor.sees("(") {
                let (args, close) = arguments(cursor)?;
                at = expr(
                    Kind::Call {
                        target: Some(Box::new(at)),
                        name,
                        args,
                    },
                    start.to(close),
                )?;
            } else {
                at = expr(Kind::Select(Box::new(at), name), span)?;
            }
        } else if cursor.take("[") {
            let key = ternary(cursor)?;
            let close = cursor.expect("]")?;
            at = expr(Kind::Index(Box::new(at), Box::new(key)), start.to(close))?;
        } else {
            return Ok(at);
        }
    }
}

fn member_name(cursor: &mut Cursor<'_>) -> Parsed<Word> {
    let token = cursor.peek();
    let text = match token.kind {
        TokenKind::Ident if !matches!(token.text, "true" | "false" | "null" | "in") => token.text,
        TokenKind::Quoted => token.text.trim_matches('`'),
        _ => return Err(cursor.unexpected("a name after \".\"")),
    };
    cursor.next();
    Ok(Word {
        text: text.into(),
        span: token.span,
    })
}

fn arguments(cursor: &mut Cursor<'_>) -> Parsed<(Vec<Arg>, Span)> {
    cursor.expect("(")?;
    let items = items(cursor, ")", ternary)?;
    let args = items
        .into_iter()
        .map(|value| Arg { name: None, value })
        .collect();
    Ok((args, cursor.expect(")")?))
}

/// Items between commas up to a closing sign, which is left to the caller; a comma may follow the last.
fn items<'t, T>(
    cursor: &mut Cursor<'t>,
    close: &str,
    item: fn(&mut Cursor<'t>) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let mut items = Vec::new();
    while !cursor.sees(close) {
        items.push(item(cursor)?);
        if !cursor.take(",") {
            break;
        }
    }
    Ok(items)
}

fn primary(cursor: &mut Cursor<'_>) -> Parsed {
    let token = cursor.peek();
    let kind = match token.kind {
        TokenKind::Int | TokenKind::UInt | TokenKind::Float => number_kind(&token, false)?,
        TokenKind::Str => string(&token)?,
        TokenKind::Ident => match token.text {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "null" => Kind::Null,
            _ => return name(cursor),
        },
        TokenKind::Punct(b'.') if cursor.peek_at(1).kind == TokenKind::Ident => {
            cursor.next();
            return name(cursor);
        }
        TokenKind::Punct(b'(') => {
            cursor.next();
            let inner = ternary(cursor)?;
            let close = cursor.expect(")")?;
            return expr(Kind::Group(Box::new(inner)), token.span.to(close));
        }
        TokenKind::Punct(b'[') => {
            cursor.next();
            let list = items(cursor, "]", ternary)?;
            let close = cursor.expect("]")?;
            return expr(Kind::List(list), token.span.to(close));
        }
        TokenKind::Punct(b'{') => {
            cursor.next();
            let map = items(cursor, "}", pair)?;
            let close = cursor.expect("}")?;
            return expr(Kind::Map(map), token.span.to(close));
        }
        _ => return Err(cursor.unexpected("a variable, a value or \"(\"")),
    };
    cursor.next();
    expr(kind, token.span)
}

fn pair(cursor: &mut Cursor<'_>) -> Parsed<(Expr, Expr)> {
    let key = ternary(cursor)?;
    cursor.expect(":")?;
    Ok((key, ternary(cursor)?))
}

fn name(cursor: &mut Cursor<'_>) -> Parsed {
    let token = cursor.peek();
    if token.text == "in" {
        return Err(cursor.unexpected("a variable, a value or \"(\""));
    }
    if RESERVED.contains(&token.text) {
        let message = format!("\"{}\" is a reserved word", token.text);
        return Err(Box::new(
            Fault::syntax(token.span, message).hint("it may stand after a dot: src.namespace"),
        ));
    }
    cursor.next();
    let word = Word {
        text: token.text.into(),
        span: token.span,
    };
    if !cursor.sees("(") {
        return expr(Kind::Ident(word.text), word.span);
    }
    let (args, close) = arguments(cursor)?;
    let span = word.span.to(close);
    expr(
        Kind::Call {
            target: None,
            name: word,
            args,
        },
        span,
    )
}

fn number_kind(token: &Token<'_>, negative: bool) -> Parsed<Kind> {
    let bad = || {
        Box::new(Fault::new(
            ErrorKind::Value,
            token.span,
            "a number out of range",
        ))
    };
    let digits = token.text.trim_end_matches(['u', 'U']);
    if token.kind == TokenKind::Float {
        let value: f64 = digits.parse().map_err(|_| bad())?;
        return Ok(Kind::Double(if negative { -value } else { value }));
    }
    let value = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    }
    .map_err(|_| bad())?;
    if token.kind == TokenKind::UInt {
        return Ok(Kind::UInt(value));
    }
    let value = if negative {
        -i128::from(value)
    } else {
        i128::from(value)
    };
    i64::try_from(value).map(Kind::Int).map_err(|_| bad())
}

fn string(token: &Token<'_>) -> Parsed<Kind> {
    let (prefix, text) = inside(token);
    let prefix = prefix.to_ascii_lowercase();
    let (raw, bytes) = (prefix.contains('r'), prefix.contains('b'));
    match (raw, bytes) {
        (true, false) => Ok(Kind::Str {
            text: text.into(),
            raw: true,
        }),
        (true, true) => Ok(Kind::Bytes(text.as_bytes().into())),
        (false, true) => Ok(Kind::Bytes(unescape(text, true, token)?.into())),
        (false, false) => {
            let text =
                String::from_utf8(unescape(text, false, token)?).map_err(|_| bad_escape(token))?;
            Ok(Kind::Str {
                text: text.into(),
                raw: false,
            })
        }
    }
}

fn bad_escape(token: &Token<'_>) -> Box<Fault> {
    Box::new(
        Fault::syntax(token.span, "an escape that means nothing")
            .hint("write \\\\ for a backslash, or r\"…\""),
    )
}

/// Resolves the escapes of a literal. In bytes `\x` and octal are octets, in text they are code points.
fn unescape(text: &str, bytes: bool, token: &Token<'_>) -> Parsed<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let mut chars = rest[at + 1..].chars();
        let letter = chars.next().ok_or_else(|| bad_escape(token))?;
        rest = chars.as_str();
        let (digits, radix) = match letter {
            'x' | 'X' => (2, 16),
            'u' if !bytes => (4, 16),
            'U' if !bytes => (8, 16),
            '0'..='3' => (2, 8),
            _ => {
                out.push(simple_escape(letter).ok_or_else(|| bad_escape(token))?);
                continue;
            }
        };
        let code = rest
            .get(..digits)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code
            .and_then(|d| u32::from_str_radix(d, radix).ok())
            .ok_or_else(|| bad_escape(token))?;
        let code = code
            + if radix == 8 {
                letter.to_digit(8).unwrap_or(0) * 64
            } else {
                0
            };
        rest = &rest[digits..];
        if bytes {
            out.push(u8::try_from(code).map_err(|_| bad_escape(token))?);
        } else {
            let (code, after) = joined(code, rest);
            let c = char::from_u32(code).ok_or_else(|| bad_escape(token))?;
            rest = after;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// The code point of a surrogate and the one that follows it as an escape, and what is behind them; else as it was.
fn joined(code: u32, rest: &str) -> (u32, &str) {
    let low = rest
        .strip_prefix("\\u")
        .and_then(|r| u32::from_str_radix(r.get(..4)?, 16).ok());
    match (code, low) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => (
            0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00),
            &rest[6..],
        ),
        _ => (code, rest),
    }
}

fn simple_escape(letter: char) -> Option<u8> {
    Some(match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '?' | '"' | '\'' | '`' => letter as u8,
        _ => return None,
    })
}
