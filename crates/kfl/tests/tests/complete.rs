//! What an editor is told.

use crate::support::large;
use gillnet_kfl::{Class, Completion, Lang, complete};

/// Completes at the `|` of a text.
fn at(text: &str, lang: Lang) -> (String, Completion) {
    let cursor = text.rfind('|').unwrap();
    let text = format!("{}{}", &text[..cursor], &text[cursor + 1..]);
    let completion = complete(&large(), &text, cursor, lang);
    (text, completion)
}

#[test]
fn names_at_the_cursor() {
    for (text, lang, replaced, first) in [
        ("ht|", Lang::Kfl1, "ht", Some("http")),
        (
            "http and response.st|",
            Lang::Kfl1,
            "response.st",
            Some("response.status"),
        ),
        (
            "http and stat|",
            Lang::Kfl1,
            "stat",
            Some("response.status"),
        ),
        ("http && stat|", Lang::Kfl2, "stat", Some("status_code")),
        ("http && src.n|", Lang::Kfl2, "src.n", Some("src.name")),
        ("http && path.con|", Lang::Kfl2, "con", Some("contains(")),
        (
            "http and request.path.starts|",
            Lang::Kfl1,
            "starts",
            Some("startsWith("),
        ),
        ("http |", Lang::Kfl1, "", Some("and")),
        ("http |", Lang::Kfl2, "", Some("&&")),
        ("src.name == \"ab|\"", Lang::Kfl1, "", None),
        ("nosuchthing|", Lang::Kfl1, "nosuchthing", None),
    ] {
        let (plain, completion) = at(text, lang);
        let range = std::ops::Range::from(completion.replace);
        assert_eq!(&plain[range], replaced, "{text}");
        assert_eq!(
            completion.items.first().map(|i| i.label.as_str()),
            first,
            "{text}: {:?}",
            completion.items
        );
    }
}

#[test]
fn values_of_the_field_that_is_compared() {
    for (text, field) in [
        ("http and src.namespace == \"|\"", Some("src.namespace")),
        ("http and src.namespace == \"my|", Some("src.namespace")),
        ("src.name != |", Some("src.name")),
        ("src.name |", None),
        ("http and |", None),
    ] {
        assert_eq!(at(text, Lang::Kfl1).1.values_of.as_deref(), field, "{text}");
    }
}

#[test]
fn tokens_have_classes() {
    let text = "http and request.headers[\"Host\"].contains(r\"x\") or nosuch == 5 // end";
    let completion = complete(&large(), text, 0, Lang::Kfl1);
    let marks: Vec<(&str, Class)> = completion
        .marks
        .iter()
        .map(|m| (&text[std::ops::Range::from(m.span)], m.class))
        .collect();
    use Class::*;
    assert_eq!(
        marks,
        [
            ("http", Flag),
            ("and", Keyword),
            ("request.headers", Field),
            ("[", Punctuation),
            ("\"Host\"", Text),
            ("]", Punctuation),
            (".", Punctuation),
            ("contains", Function),
            ("(", Punctuation),
            ("r\"x\"", Pattern),
            (")", Punctuation),
            ("or", Keyword),
            ("nosuch", Name),
            ("=", Operator),
            ("=", Operator),
            ("5", Number),
            ("// end", Comment),
        ]
    );
    assert_eq!(completion.validation.errors.len(), 1);
    assert_eq!(completion.validation.warnings.len(), 1);
}
