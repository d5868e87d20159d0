//! What people get wrong, and what they are told.

use crate::support::{large, small};
use gillnet_kfl::{ErrorKind, Lang, Options, compile};

/// Filters with a mistake and the whole message.
const TYPICAL: &[(&str, &str)] = &[
    (
        "http and respnse.status == 500",
        r#"
1:10: unknown field "respnse.status"; did you mean "response.status"?
  http and respnse.status == 500
           ^^^^^^^^^^^^^^"#,
    ),
    (
        "http &&",
        r#"
1:8: unexpected token "<EOF>" (expected a variable, a value or "(")
  http &&
         ^"#,
    ),
    (
        r#"status_code == "500""#,
        r#"
1:1: cannot compare int == string; write 500 without quotes
  status_code == "500"
  ^^^^^^^^^^^^^^^^^^^^"#,
    ),
    (
        "(http and dns",
        r#"
1:14: unexpected token "<EOF>" (expected ")")
  (http and dns
               ^"#,
    ),
    (
        "http)",
        r#"
1:5: unexpected token ")"
  http)
      ^"#,
    ),
    (
        r#"http and request.path.startWith("/api")"#,
        r#"
1:23: unknown function "startWith"; did you mean "startsWith"?
  http and request.path.startWith("/api")
                        ^^^^^^^^^"#,
    ),
    (
        r#"src.name == r"cata(""#,
        r#"
1:13: bad pattern: unclosed group
  src.name == r"cata("
              ^^^^^^^^"#,
    ),
    (
        r#"http && path.matches("a{2,1}")"#,
        r#"
1:22: bad pattern: invalid repetition count range, the start must be <= the end
  http && path.matches("a{2,1}")
                       ^^^^^^^^"#,
    ),
    (
        "http and response.status = 500",
        r#"
1:28: unexpected token "500" (expected "="); equality is written "=="
  http and response.status = 500
                             ^^^"#,
    ),
    (
        "http AND dns",
        r#"
1:6: unexpected token "AND"; write "and" in lower case
  http AND dns
       ^^^"#,
    ),
    (
        r#"http and src.namespace == "shop"#,
        r#"
1:27: text without its closing quote
  http and src.namespace == "shop
                            ^^^^^"#,
    ),
    (
        "http and status_code == 500",
        r#"
1:10: unknown field "status_code"; it is a variable of KFL2; KFL1 calls it "response.status"
  http and status_code == 500
           ^^^^^^^^^^^"#,
    ),
    (
        "htpp",
        r#"
1:1: unknown field "htpp"; did you mean "http"?
  htpp
  ^^^^"#,
    ),
    (
        "method && http",
        r#"
1:1: && takes bool, not string
  method && http
  ^^^^^^"#,
    ),
    (
        r#"dst.ip == "10.0.0.256" && http"#,
        r#"
1:1: "10.0.0.256" is no IP address
  dst.ip == "10.0.0.256" && http
  ^^^^^^^^^^^^^^^^^^^^^^"#,
    ),
    (
        r#"timestamp > timestamp("yesterday")"#,
        r#"
1:23: this text is no moment; write it like "2026-03-14T22:00:00Z"
  timestamp > timestamp("yesterday")
                        ^^^^^^^^^^^"#,
    ),
    (
        "http && namespace == \"x\"",
        r#"
1:9: "namespace" is a reserved word; it may stand after a dot: src.namespace
  http && namespace == "x"
          ^^^^^^^^^"#,
    ),
    (
        r#"dst.namespace.exists("x") && http"#,
        r#"
1:15: "exists" takes other arguments
  dst.namespace.exists("x") && http
                ^^^^^^"#,
    ),
    (
        "http and\n  requst.method == \"GÉT\" and src.nmae == 1",
        r#"
2:3: unknown field "requst.method"; did you mean "request.method"?
    requst.method == "GÉT" and src.nmae == 1
    ^^^^^^^^^^^^^
2:30: unknown field "src.nmae"; did you mean "src.name"?
    requst.method == "GÉT" and src.nmae == 1
                               ^^^^^^^^"#,
    ),
    (
        "response.status.code == 5",
        r#"
1:1: "response.status" is int, there is nothing below it
  response.status.code == 5
  ^^^^^^^^^^^^^^^^^^^^"#,
    ),
];

#[test]
fn typical_mistakes() {
    let env = large();
    for (text, expected) in TYPICAL {
        match compile(&env, text, &Options::default()) {
            Ok(filter) => panic!("{text} is valid as {:?}", filter.lang()),
            Err(errors) => assert_eq!(format!("\n{}", errors.render(text)), *expected),
        }
    }
}

#[test]
fn scripts_see_the_messages_of_kfl1() {
    let options = Options {
        lang: Lang::Kfl1,
        lenient: true,
        now: 0,
    };
    for (text, message) in [
        ("htt ??? a : p", r#"1:5: unexpected token "?""#),
        ("put-your-kfl-here", r#"1:4: unexpected token "-""#),
        (
            "http && response.status == 500",
            r#"1:6: unexpected token "&""#,
        ),
        (
            "response.status == 500 # comment",
            r##"1:24: unexpected token "#""##,
        ),
    ] {
        assert_eq!(
            compile(&small(), text, &options).unwrap_err().to_string(),
            message
        );
    }
}

#[test]
fn equal_precedence_is_warned_of() {
    let options = Options {
        lang: Lang::Kfl1,
        ..Options::default()
    };
    let warned = |text: &str| {
        let filter = compile(&small(), text, &options).unwrap();
        filter
            .warnings()
            .iter()
            .map(|w| w.suggestion.clone().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        warned("dns and http or http"),
        ["this is read as dns and (http or http)"]
    );
    assert_eq!(
        warned("http and dns and http or dns and http"),
        ["this is read as http and dns and (http or (dns and http))"]
    );
    assert!(warned("http or dns and http").is_empty());
    assert!(warned("(dns and http) or http").is_empty());
}

#[test]
fn too_deep_and_too_long_are_errors() {
    let env = small();
    let deep = |open: &str, inner: &str, close: &str, n: usize| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    for n in [200, 20_000] {
        for text in [
            deep("(", "http", ")", n),
            deep("!", "http", "", n),
            deep("-", "1", "", n),
            deep("[", "1", "]", n),
            deep("{1:", "1", "}", n),
            deep("request.headers[", "1", "]", n),
            deep("http ? http : ", "http", "", n),
            deep("size(", "method", ")", n),
            deep("1 == ", "1", "", n),
            deep("1 < ", "1", "", n),
            deep("", "1", "+1", n),
            deep("", "request", ".a", n),
            deep("", "request", "[0]", n),
            deep("", "request.path", ".json()", n),
        ] {
            for lang in [Lang::Kfl1, Lang::Kfl2, Lang::Auto] {
                let options = Options {
                    lang,
                    ..Options::default()
                };
                let errors = compile(&env, &text, &options).unwrap_err();
                assert!(!errors.errors.is_empty(), "{}", &text[..20]);
            }
        }
    }
    let long = format!("http{}", " or http".repeat(7000));
    let kfl1 = Options {
        lang: Lang::Kfl1,
        ..Options::default()
    };
    assert!(
        compile(&env, &long, &kfl1).is_ok(),
        "terms side by side are not nested"
    );
    let longer = long.repeat(2);
    let errors = compile(&env, &longer, &Options::default()).unwrap_err();
    assert_eq!(errors.errors[0].kind, ErrorKind::Limit);
    let pattern = format!("src.name == r\"{}\"", "(a{1000}){1000}".repeat(3));
    let errors = compile(&env, &pattern, &Options::default()).unwrap_err();
    assert_eq!(errors.errors[0].kind, ErrorKind::Value, "{errors}");
}
