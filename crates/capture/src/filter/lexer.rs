//! Tokens, each with the place it stands at.

use std::net::Ipv6Addr;

use super::Fault;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, a name, an IPv4 address or a range of ports.
    Word(String),
    /// A word after a backslash: never a keyword.
    Escaped(String),
    Number(u32),
    V6(Ipv6Addr),
    Mac([u8; 6]),
    /// An operator or bracket.
    Sign(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) position: usize,
    pub(super) token: Token,
}

/// Longer ones first.
const SIGNS: [&str; 24] = [
    "&&", "||", "<<", ">>", "<=", ">=", "==", "!=", "(", ")", "[", "]", ":", "/", "+", "-", "*",
    "%", "&", "|", "^", "<", ">", "=",
];

/// The longest expression that is read, in characters.
const MAX_LENGTH: usize = 64 << 10;

pub(super) fn tokens(expression: &str) -> Result<Vec<Placed>, Fault> {
    let chars: Vec<char> = expression.chars().collect();
    if chars.len() > MAX_LENGTH {
        return Err(Fault::new(
            MAX_LENGTH,
            "an expression may have 65536 characters",
        ));
    }
    let mut tokens = Vec::new();
    let mut position = 0;
    while let Some(rest) = chars.get(position..).filter(|rest| !rest.is_empty()) {
        if rest.first().is_some_and(|first| first.is_whitespace()) {
            position += 1;
            continue;
        }
        let (token, length) = one(rest, position)?;
        tokens.push(Placed { position, token });
        position += length;
    }
    Ok(tokens)
}

/// The token at the start of `rest`, and its length.
fn one(rest: &[char], position: usize) -> Result<(Token, usize), Fault> {
    if let Some(found) = address(rest, position)? {
        return Ok(found);
    }
    match rest {
        ['\\', word @ ..] => {
            let text = run(word, |c| !c.is_whitespace() && !"!()".contains(c));
            if text.is_empty() {
                return Err(Fault::new(position, "a name must follow the backslash"));
            }
            let length = text.chars().count() + 1;
            Ok((Token::Escaped(text), length))
        }
        [first, ..] if first.is_ascii_alphanumeric() => {
            let text = run(rest, |c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            let text = text.trim_end_matches(['-', '_']).to_owned();
            let length = text.len();
            Ok((number_or_word(text, position)?, length))
        }
        _ => {
            let sign = SIGNS
                .iter()
                .chain(&["!"])
                .find(|sign| rest.iter().take(sign.len()).copied().eq(sign.chars()));
            match (sign, rest.first()) {
                (Some(sign), _) => Ok((Token::Sign(sign), sign.len())),
                (None, Some(other)) => Err(Fault::new(
                    position,
                    format!("{other:?} means nothing here"),
                )),
                (None, None) => Err(Fault::new(position, "nothing is here")),
            }
        }
    }
}

fn run(chars: &[char], belongs: impl Fn(char) -> bool) -> String {
    chars.iter().copied().take_while(|c| belongs(*c)).collect()
}

/// An IPv6 or hardware address: what has two colons and is made of their characters.
fn address(rest: &[char], position: usize) -> Result<Option<(Token, usize)>, Fault> {
    let text = run(rest, |c| c.is_ascii_hexdigit() || ":.".contains(c));
    if text.matches(':').count() < 2 {
        return Ok(None);
    }
    let token = match (mac(&text, ':'), text.parse()) {
        (Some(mac), _) => Token::Mac(mac),
        (None, Ok(addr)) => Token::V6(addr),
        (None, Err(_)) => return Err(Fault::new(position, format!("{text} is no address"))),
    };
    Ok(Some((token, text.len())))
}

fn mac(text: &str, between: char) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut groups = text.split(between);
    for byte in &mut bytes {
        *byte = groups
            .next()
            .filter(|group| group.len() <= 2)
            .and_then(|group| u8::from_str_radix(group, 16).ok())?;
    }
    groups.next().is_none().then_some(bytes)
}

fn number_or_word(text: String, position: usize) -> Result<Token, Fault> {
    if let Some(mac) = mac(&text, '-') {
        return Ok(Token::Mac(mac));
    }
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (&text[..], 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Ok(Token::Word(text));
    }
    let number = u32::from_str_radix(digits, radix);
    number
        .map(Token::Number)
        .map_err(|_| Fault::new(position, format!("{text} has more than 32 bits")))
}
