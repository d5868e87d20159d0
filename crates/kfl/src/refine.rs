//! A filter refined by a value that was seen: what a click on the value asks for.

use crate::ast::{Expr, Kind, Logic};
use crate::check::Env;
use crate::lang::{Lang, Options, compile};
use crate::lexer::{Dialect, TokenKind, lex};
use crate::{kfl1, kfl2};
use gillnet_entry::Value;

/// What was seen.
#[derive(Clone, Debug)]
pub enum Seen<'s> {
    /// That a field has a value.
    Value {
        /// The field as KFL1 calls it; nothing where it does not.
        kfl1: Option<&'s str>,
        /// As KFL2 calls it.
        kfl2: Option<&'s str>,
        /// The value.
        value: Value<'s>,
    },
    /// That an entry is of a protocol.
    Protocol(&'s str),
}

impl Seen<'_> {
    /// The term that says so.
    fn term(&self, lang: Lang) -> Option<String> {
        match self {
            Seen::Protocol(name) => Some((*name).to_owned()),
            Seen::Value { kfl1, kfl2, value } => {
                let name = if lang == Lang::Kfl1 { kfl1 } else { kfl2 };
                let value = match value {
                    Value::Bool(value) => value.to_string(),
                    Value::Int(value) => value.to_string(),
                    Value::Str(text) => literal(text, lang)?,
                    _ => return None,
                };
                Some(format!("{} == {value}", (*name)?))
            }
        }
    }
}

/// A text as a literal. KFL1 has no escapes: there the quotes must be some that the text does not hold.
fn literal(text: &str, lang: Lang) -> Option<String> {
    if lang != Lang::Kfl1 {
        let mut out = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
        out.push('"');
        return Some(out);
    }
    let marks: &[char] = if text.contains(['\\', '\n']) {
        &['`']
    } else {
        &['"', '\'', '`']
    };
    let mark = marks.iter().find(|mark| !text.contains(**mark))?;
    Some(format!("{mark}{text}{mark}"))
}

/// The text of a filter that also asks for what was seen, or with `without` for what is not so, in the filter's own
/// spelling; nothing where that has no words for it. A text that is the same in both spellings has either.
pub fn refine(
    env: &Env,
    text: &str,
    options: &Options,
    seen: &Seen<'_>,
    without: bool,
) -> Option<String> {
    let lang = compile(env, text, options).ok()?.lang();
    let other = match (lang, options.lang) {
        (Lang::Kfl2, Lang::Auto) if is_neutral(env, text) => Some(Lang::Kfl1),
        _ => None,
    };
    let mut refined = [Some(lang), other]
        .into_iter()
        .flatten()
        .filter_map(|lang| {
            let term = seen.term(lang)?;
            let term = match (without, seen) {
                (false, _) => term,
                (true, Seen::Protocol(_)) => format!("!{term}"),
                // unlike with `!=`, what has no such field is not left out
                (true, Seen::Value { .. }) => format!("!({term})"),
            };
            let refined = joined(text.trim(), &term, lang)?;
            let again = compile(env, &refined, options).ok()?.lang();
            (again == lang || text.trim().is_empty()).then_some(refined)
        });
    refined.next()
}

/// Whether a text means the same in both spellings: it names protocols, or nothing.
fn is_neutral(env: &Env, text: &str) -> bool {
    let Ok(tree) = kfl1::parse(text) else {
        return false;
    };
    let mut is_neutral = true;
    if let Some(tree) = tree {
        tree.walk(&mut |e: &Expr| {
            is_neutral &= match &e.kind {
                Kind::Ident(name) => env.flag(name).is_some() && env.expansion(name).is_none(),
                kind => matches!(kind, Kind::Group(_) | Kind::Not(_)),
            };
        });
    }
    is_neutral
}

fn joined(text: &str, term: &str, lang: Lang) -> Option<String> {
    let (dialect, tree, and) = match lang {
        Lang::Kfl1 => (Dialect::Kfl1, kfl1::parse(text), "and"),
        _ => (Dialect::Kfl2, kfl2::parse(text), "&&"),
    };
    let Some(tree) = tree.ok()? else {
        return Some(term.to_owned());
    };
    let is_loose = match &tree.kind {
        Kind::Chain(_, logic) => logic.contains(&Logic::Or),
        Kind::If(_) => true,
        _ => false,
    };
    let mut tokens = lex(text, dialect).into_iter();
    // the term must not become part of a comment
    let end = match tokens.any(|token| token.kind == TokenKind::Comment) {
        true => "\n",
        false => "",
    };
    Some(match is_loose {
        true => format!("({text}{end}) {and} {term}"),
        false if end.is_empty() => format!("{text} {and} {term}"),
        false => format!("{text}{end}{and} {term}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refined(text: &str, seen: &Seen<'_>, without: bool) -> Option<String> {
        refine(&Env::new(&[]), text, &Options::default(), seen, without)
    }

    fn service(value: &str) -> Seen<'_> {
        Seen::Value {
            kfl1: Some("dst.service.metadata.name"),
            kfl2: Some("dst.service.name"),
            value: Value::Str(value),
        }
    }

    #[test]
    fn a_term_is_added_in_the_filters_own_spelling() {
        for (text, with) in [
            ("", r#"dst.service.name == "cart""#),
            (" tls ", r#"tls && dst.service.name == "cart""#),
            (
                "src.port == 1 || tls",
                r#"(src.port == 1 || tls) && dst.service.name == "cart""#,
            ),
            (
                "tls ? src.port == 1 : tls",
                r#"(tls ? src.port == 1 : tls) && dst.service.name == "cart""#,
            ),
            (
                "src.port == 1 and tls",
                r#"src.port == 1 and tls and dst.service.metadata.name == "cart""#,
            ),
            (
                "src.port == 1 or tls",
                r#"(src.port == 1 or tls) and dst.service.metadata.name == "cart""#,
            ),
            ("tls // all", "tls // all\n&& dst.service.name == \"cart\""),
        ] {
            assert_eq!(
                refined(text, &service("cart"), false).as_deref(),
                Some(with)
            );
        }
        let without = refined("tls", &service("cart"), true);
        assert_eq!(
            without.as_deref(),
            Some(r#"tls && !(dst.service.name == "cart")"#)
        );
    }

    #[test]
    fn any_text_can_be_asked_for_where_the_spelling_can_write_it() {
        for text in ["a\"b", "a\\b", "a'b\"", "a\nb", "ü\u{1}"] {
            for filter in ["tls", "tls and src.port == 1"] {
                assert!(refined(filter, &service(text), false).is_some(), "{text:?}");
            }
        }
        let all_quotes = service("\"'`");
        assert!(refined("tls", &all_quotes, false).is_some());
        assert_eq!(refined("tls and src.port == 1", &all_quotes, false), None);
        let only_kfl2 = Seen::Value {
            kfl1: None,
            kfl2: Some("dst.pod.name"),
            value: Value::Str("x"),
        };
        assert_eq!(refined("tls and src.port == 1", &only_kfl2, false), None);
        assert_eq!(refined("tls and", &service("x"), false), None);
    }
}
