//! What an editor is told.

use crate::support::{e0, large};
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

/// Text, field, what its value takes the place of, and the values of an entry that are offered.
#[test]
fn values_of_the_field_that_is_compared() {
    let arena = gillnet_entry::Bump::new();
    for (text, lang, expected) in [
        (
            "http and src.namespace == \"|\" and dns",
            Lang::Kfl1,
            Some(("src.namespace", "\"\"", "", r#""sock-shop""#)),
        ),
        (
            "http and src.namespace == \"so|",
            Lang::Kfl1,
            Some(("src.namespace", "\"so", "so", r#""sock-shop""#)),
        ),
        (
            "src.name != |",
            Lang::Kfl1,
            Some(("src.name", "", "", r#""front-end""#)),
        ),
        (
            "request.headers[\"Host\"] == |",
            Lang::Kfl1,
            Some(("request.headers[\"Host\"]", "", "", r#""catalogue""#)),
        ),
        (
            "status_code == 5|",
            Lang::Kfl2,
            Some(("status_code", "5", "5", "500")),
        ),
        (
            "http && status_code in [404, |]",
            Lang::Kfl2,
            Some(("status_code", "", "", "500")),
        ),
        (
            "request.pathSegments == 'cat|'",
            Lang::Kfl1,
            Some(("request.pathSegments", "'cat'", "cat", r#""catalogue" "3""#)),
        ),
        ("src.name |", Lang::Kfl1, None),
        ("src.name == \"x\" |", Lang::Kfl1, None),
        ("nosuch == |", Lang::Kfl1, None),
        ("[1, |]", Lang::Kfl2, None),
        ("http and |", Lang::Kfl1, None),
    ] {
        let (plain, completion) = at(text, lang);
        let found = completion.values.as_ref().map(|values| {
            let mut read = Vec::new();
            e0().with(&arena, |entry| {
                values.read(entry, &mut |v| read.push(v.to_string()))
            });
            let replaced = &plain[std::ops::Range::from(values.replace)];
            (
                values.field.as_str(),
                replaced,
                values.typed.as_str(),
                read.join(" "),
            )
        });
        let found = found.as_ref().map(|(a, b, c, d)| (*a, *b, *c, d.as_str()));
        assert_eq!(found, expected, "{text}");
    }
    let (_, completion) = at("src.name == \"NT-e|\"", Lang::Kfl1);
    let values = completion.values.unwrap();
    assert!(values.fits("\"front-end\"") && !values.fits("\"user\""));
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
