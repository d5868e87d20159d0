//! What people get wrong, and what they are told.

use crate::support::{large, small};
use gillnet_kfl::{ErrorKind, Lang, Options, compile, complete};

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
        "http # and dns",
        "
1:6: unexpected token \"#\"; a comment begins with //
  http # and dns
       ^",
    ),
    (
        r#"http and src.namespace == "shop"#,
        r#"
1:27: text without its closing quote; end the text with "
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
1:15: "exists" takes other arguments; write list.exists(x, test)
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
    for (text, message) in [
        ("htt ??? a : p", r#"1:5: unexpected token "?""#),
        ("put-your-kfl-here", r#"1:4: unexpected token "-""#),
        (
            "response.status == 500 # comment",
            r##"1:24: unexpected token "#""##,
        ),
        (
            "response.status = 500",
            r#"1:19: unexpected token "500" (expected "=")"#,
        ),
        (
            "http and\n(dns",
            r#"2:5: unexpected token "<EOF>" (expected ")")"#,
        ),
    ] {
        for lang in [Lang::Kfl1, Lang::Auto] {
            let options = Options {
                lang,
                lenient: true,
                now: 0,
            };
            let errors = compile(&small(), text, &options).unwrap_err();
            assert_eq!(errors.kfl1(), message, "{lang:?}");
        }
    }
    let kfl1 = Options {
        lang: Lang::Kfl1,
        lenient: true,
        now: 0,
    };
    let errors = compile(&small(), "http && response.status == 500", &kfl1).unwrap_err();
    assert_eq!(errors.kfl1(), r#"1:6: unexpected token "&""#);
}

/// Filters that are wrong, read as what, the kind of mistake, its place and what is said.
#[test]
fn nothing_that_is_wrong_is_silent() {
    use ErrorKind::{Limit, Name, Syntax, Type, Value};
    use Lang::{Auto, Kfl1, Kfl2};
    let huge = "a".repeat(70_000);
    let pattern = r#"src.name == r"(a{1000}){1000}""#;
    let deep = format!("{}http{}", "(".repeat(200), ")".repeat(200));
    let table: &[(&str, &[Lang], ErrorKind, &str, &str)] = &[
        // unknown fields, in both spellings
        (
            "response.nosuch == 5",
            &[Auto, Kfl1],
            Name,
            "response.nosuch",
            "",
        ),
        ("response.nosuch == 5", &[Kfl2], Name, "response.nosuch", ""),
        (
            "response.nosuch != 5",
            &[Auto, Kfl1, Kfl2],
            Name,
            "response.nosuch",
            "",
        ),
        (
            "!response.nosuch",
            &[Auto, Kfl1, Kfl2],
            Name,
            "response.nosuch",
            "",
        ),
        (
            "http or protocol.nosuch == 1",
            &[Auto, Kfl1],
            Name,
            "protocol.nosuch",
            "",
        ),
        (
            "src.nmae == \"x\"",
            &[Auto, Kfl1, Kfl2],
            Name,
            "src.nmae",
            "src.name",
        ),
        (
            "src[\"nmae\"] == \"x\"",
            &[Auto, Kfl1, Kfl2],
            Name,
            "src[\"nmae\"]",
            "src.name",
        ),
        (
            "src.pod.metadata.nmae == \"x\"",
            &[Auto, Kfl1],
            Name,
            "src.pod.metadata.nmae",
            "src.pod.metadata.name",
        ),
        (
            "http && stauts_code == 5",
            &[Auto, Kfl2],
            Name,
            "stauts_code",
            "status_code",
        ),
        ("htpp and dns", &[Auto, Kfl1], Name, "htpp", "http"),
        (
            "respnse.status == 500",
            &[Auto, Kfl1, Kfl2],
            Name,
            "respnse.status",
            "response.status",
        ),
        // wrong types
        (
            "response.status == \"abc\"",
            &[Auto, Kfl1],
            Type,
            "response.status == \"abc\"",
            "",
        ),
        (
            "response.status == \"abc\"",
            &[Kfl2],
            Type,
            "response.status == \"abc\"",
            "",
        ),
        (
            "response.status > \"abc\" and http",
            &[Auto, Kfl1],
            Type,
            "\"abc\"",
            "",
        ),
        ("tls == 0", &[Auto, Kfl1, Kfl2], Type, "tls == 0", ""),
        (
            "http == \"yes\"",
            &[Auto, Kfl1, Kfl2],
            Type,
            "http == \"yes\"",
            "",
        ),
        (
            "request.headers == \"x\"",
            &[Auto, Kfl1, Kfl2],
            Type,
            "request.headers == \"x\"",
            "",
        ),
        (
            "request.headers == r\"x\" and http",
            &[Auto, Kfl1],
            Type,
            "request.headers == r\"x\"",
            "",
        ),
        (
            "dst == \"catalogue\"",
            &[Auto, Kfl1, Kfl2],
            Type,
            "dst == \"catalogue\"",
            "",
        ),
        ("src > 5", &[Kfl1], Type, "src", ""),
        (
            "timestamp == \"3/13/2023\"",
            &[Auto, Kfl1],
            Type,
            "timestamp == \"3/13/2023\"",
            "",
        ),
        (
            "src.ip == \"10.0.0.256\"",
            &[Auto, Kfl1, Kfl2],
            Value,
            "src.ip == \"10.0.0.256\"",
            "",
        ),
        (
            "status_code == \"503\"",
            &[Auto, Kfl2],
            Type,
            "status_code == \"503\"",
            "503",
        ),
        (
            "status_code.contains(\"5\")",
            &[Auto, Kfl2],
            Type,
            "status_code.contains(\"5\")",
            "string.contains(string)",
        ),
        (
            "contains(path, \"x\")",
            &[Kfl2],
            Name,
            "contains",
            "path.contains(",
        ),
        ("request.path.limit(5)", &[Kfl1], Name, "limit", "limit("),
        (
            "limit(\"many\")",
            &[Auto, Kfl1],
            Type,
            "limit(\"many\")",
            "",
        ),
        (
            "timestamp > datetime(\"junk\")",
            &[Auto, Kfl1],
            Value,
            "datetime(\"junk\")",
            "3/13/2023",
        ),
        (
            "timestamp > timestamp(\"junk\")",
            &[Auto, Kfl2],
            Value,
            "\"junk\"",
            "2026-",
        ),
        // patterns
        ("src.name == r\"(\"", &[Auto, Kfl1], Value, "r\"(\"", ""),
        ("path.matches(\"(\")", &[Auto, Kfl2], Value, "\"(\"", ""),
        (pattern, &[Auto, Kfl1], Value, r#"r"(a{1000}){1000}""#, ""),
        // texts without end
        (
            "src.name == \"abc",
            &[Auto, Kfl1, Kfl2],
            Syntax,
            "\"abc",
            "end the text with \"",
        ),
        (
            "src.name == r'abc",
            &[Auto, Kfl1, Kfl2],
            Syntax,
            "r'abc",
            "end the text with '",
        ),
        (
            "src.name == \"a\nb\"",
            &[Auto, Kfl1, Kfl2],
            Syntax,
            "\"a",
            "end the text with \"",
        ),
        ("http and (dns", &[Auto, Kfl1], Syntax, "", ""),
        ("http and", &[Auto, Kfl1], Syntax, "", ""),
        // too much
        (&huge, &[Auto, Kfl1, Kfl2], Limit, "", "several"),
        (&deep, &[Auto, Kfl1, Kfl2], Limit, "(", "parentheses"),
        // what hides nothing, though it should
        (
            "redact(\"request.header.Authorization\")",
            &[Auto, Kfl1],
            Name,
            "\"request.header.Authorization\"",
            "request.headers",
        ),
        ("redact()", &[Auto, Kfl1], Type, "redact()", ""),
    ];
    for (text, langs, kind, place, mend) in table {
        for lang in *langs {
            let options = Options {
                lang: *lang,
                ..Options::default()
            };
            let shown = &text[..text.len().min(60)];
            let errors = match compile(&large(), text, &options) {
                Ok(filter) => panic!("{shown} is valid as {:?}", filter.lang()),
                Err(errors) => errors,
            };
            let error = &errors.errors[0];
            assert_eq!(error.kind, *kind, "{shown} {lang:?}: {error}");
            let range = std::ops::Range::from(error.span);
            assert_eq!(text.get(range), Some(*place), "{shown} {lang:?}: {error}");
            let suggestion = error.suggestion.as_deref().unwrap_or("");
            assert!(suggestion.contains(mend), "{shown} {lang:?}: {suggestion}");
        }
    }
}

/// A type error in names that only KFL2 has is told of, not read as KFL1, where the names would be missing fields.
#[test]
fn a_type_error_is_not_read_as_kfl1() {
    for text in [
        "status_code == \"500\"",
        "method == 5",
        "dns_questions == \"x\"",
        "elapsed_time > \"5\"",
    ] {
        let errors = compile(&large(), text, &Options::default()).unwrap_err();
        assert_eq!(
            (errors.lang, errors.errors[0].kind),
            (Lang::Kfl2, ErrorKind::Type),
            "{text}"
        );
    }
    // these names both have
    for text in [
        "dst.port == \"443\"",
        "!request.headers[\"User-Agent\"] == \"kube-probe\"",
    ] {
        let filter = compile(&large(), text, &Options::default()).unwrap();
        assert_eq!(filter.lang(), Lang::Kfl1, "{text}");
    }
}

/// Valid, but surely or probably not what was meant.
#[test]
fn surprises_are_warned_of() {
    for (text, place, message) in [
        (
            "http and dns",
            "http and dns",
            "no entry of any protocol can match this",
        ),
        (
            "http && dns",
            "http && dns",
            "no entry of any protocol can match this",
        ),
        ("false", "false", "no entry of any protocol can match this"),
        (
            "http and src.service",
            "src.service",
            "\"src.service\" is an object, which never counts as true",
        ),
        (
            "request.headers or dns",
            "request.headers",
            "\"request.headers\" is an object, which never counts as true",
        ),
        (
            "request.path > 5 and http",
            "request.path",
            "numbers are ordered, and \"request.path\" is a text, which counts as 0 where it is no number",
        ),
        (
            "!request.headers[\"A\"] == \"b\" and http",
            "!request.headers[\"A\"] == \"b\"",
            "\"!\" binds closer than \"==\"",
        ),
    ] {
        let filter = compile(&large(), text, &Options::default()).unwrap();
        let warned: Vec<(&str, &str)> = filter
            .warnings()
            .iter()
            .map(|w| (&text[std::ops::Range::from(w.span)], w.message.as_str()))
            .collect();
        assert_eq!(warned, [(place, message)], "{text}");
    }
    for text in [
        "http",
        "response.status == nil",
        "dst.service != nil",
        "error == \"null\"",
        "request.queryString.a > 41",
        "",
        "true",
        "src.port > 30000",
    ] {
        let filter = compile(&large(), text, &Options::default()).unwrap();
        assert!(
            filter.warnings().is_empty(),
            "{text}: {:?}",
            filter.warnings()
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
            .filter_map(|w| w.suggestion.clone())
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

/// However wrong a long text is, it is refused at once, and what is said of it can be read.
#[test]
fn much_that_is_wrong_is_told_in_little() {
    let joined = |n: usize, of: &dyn Fn(usize) -> String, by: &str| {
        (0..n).map(of).collect::<Vec<_>>().join(by)
    };
    let texts = [
        "a".repeat(60_000),
        joined(100, &|_| "a".repeat(400), "."),
        joined(3_000, &|n| format!("respnse{n}.status"), " or "),
        joined(500, &|n| vec![format!("respns{n}"); 8].join("."), " or "),
        joined(3_000, &|n| format!("respnse{n} == 5"), " && "),
        joined(3_000, &|_| "!http == dns".into(), " and "),
    ];
    for text in &texts {
        for lang in [Lang::Kfl1, Lang::Kfl2, Lang::Auto] {
            let options = Options {
                lang,
                ..Options::default()
            };
            let told = match compile(&large(), text, &options) {
                Ok(filter) => filter.warnings().to_vec(),
                Err(errors) => errors.errors,
            };
            assert!((1..=20).contains(&told.len()), "{} mistakes", told.len());
            complete(&large(), text, text.len() / 2, lang);
            for error in told {
                let rendered = error.render(text);
                let shown: Vec<&str> = rendered.lines().skip(1).collect();
                let [line, carets] = shown[..] else {
                    panic!("{rendered}");
                };
                assert!(line.chars().count() < 170, "{line}");
                let from = carets.find('^').unwrap();
                let to = carets.len();
                assert!(to <= line.chars().count().max(from + 1), "{line}\n{carets}");
            }
        }
    }
    let text = format!(
        "{}respnse.status == 500{}",
        "http or ".repeat(40),
        " or http".repeat(40)
    );
    let error = &compile(&large(), &text, &Options::default())
        .unwrap_err()
        .errors[0];
    let rendered = error.render(&text);
    let [line, carets] = rendered.lines().skip(1).collect::<Vec<_>>()[..] else {
        panic!("{rendered}");
    };
    let at = carets.find('^').unwrap();
    let shown: String = line.chars().skip(at).take(carets.len() - at).collect();
    assert_eq!(shown, "respnse.status", "{rendered}");
    assert!(line.starts_with("  …") && line.ends_with('…'), "{rendered}");
}

/// A filter takes no more room than so many patterns do, whatever it is put together from.
#[test]
fn patterns_are_few() {
    let patterns = |n: usize, spelled: &dyn Fn(usize) -> String, by: &str| {
        (0..n).map(spelled).collect::<Vec<_>>().join(by)
    };
    let first = |n| patterns(n, &|i| format!(r#"src.name == r"x+{i}""#), " or ");
    let second = |n| patterns(n, &|i| format!(r#"src.name.matches("x+{i}")"#), " || ");
    for (lang, fits, over) in [
        (Lang::Kfl1, first(64), first(65)),
        (Lang::Kfl2, second(64), second(65)),
    ] {
        let options = Options {
            lang,
            ..Options::default()
        };
        assert!(compile(&small(), &fits, &options).is_ok());
        let errors = compile(&small(), &over, &options).unwrap_err();
        let error = &errors.errors[0];
        assert_eq!(error.kind, ErrorKind::Limit);
        let place = &over[std::ops::Range::from(error.span)];
        assert_eq!(place.trim_start_matches('r'), r#""x+64""#);
        assert!(error.suggestion.as_deref().unwrap_or("").contains('|'));
    }
    // what has no operators is no pattern
    let plain = patterns(200, &|i| format!(r#"src.name == r"^x{i}$""#), " or ");
    assert!(compile(&small(), &plain, &Options::default()).is_ok());
    let env = small().with_macro("many", &first(40));
    assert!(compile(&env, "many and http", &Options::default()).is_ok());
    for text in ["many and http and many", "many && http && many"] {
        let errors = compile(&env, text, &Options::default()).unwrap_err();
        assert_eq!(errors.errors[0].kind, ErrorKind::Limit, "{errors}");
    }
    let errors = compile(&small(), r#"src.name == r"\w{500}""#, &Options::default()).unwrap_err();
    let error = &errors.errors[0];
    assert!(
        error.suggestion.as_deref().unwrap_or("").contains("[a-z]"),
        "{error}"
    );
}
