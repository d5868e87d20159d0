//! Tables of filters and their results.

use crate::support::{Sample, at, e0, e1, e2, large, small};
use crate::{rows, sql};
use gillnet_entry::Bump;
use gillnet_kfl::{Env, ErrorKind, Filter, Lang, Options, Outcome, Reading, Reason, compile};

/// Rows of a table: cells between tabs, a line each.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().map(|line| line.split('\t').collect())
}

fn outcome(env: &Env, filter: &Filter, sample: &Sample) -> Outcome {
    let arena = Bump::new();
    sample.with(&arena, |entry| {
        let outcome = filter.eval(entry);
        assert_eq!(
            filter.matches(entry),
            outcome == Outcome::True,
            "{}",
            filter.text()
        );
        // what is left of it for the protocol says the same, also where fields are read already
        let (narrowed, reading) = (filter.narrowed(entry.protocol), Reading::new(entry));
        let said = [
            narrowed.matches(entry),
            narrowed.matches_in(&reading),
            narrowed.matches_in(&reading),
        ];
        assert_eq!(said, [outcome == Outcome::True; 3], "{}", filter.text());
        rows::agree(env, filter, entry, outcome == Outcome::True);
        sql::agree(env, filter, entry, outcome == Outcome::True);
        outcome
    })
}

/// What tells most filters apart at the first look says no more than the whole filter does.
#[test]
fn the_first_look_says_what_the_filter_does() {
    let mut half = e0();
    half.record = Box::new(crate::support::Http {
        method: "GET".into(),
        ..Default::default()
    });
    let samples = [e0(), e1(), e2(), half];
    let mut counts = [0, 0];
    for text in [
        "elapsed_time > 9223372036854775807",
        "elapsed_time >= 9223372036854775807",
        "status_code < -9223372036854775808",
        "status_code <= -9223372036854775808",
        "status_code == 0",
        "status_code < 500",
        "status_code in [500, 503]",
        "http && status_code >= 500 && method == 'GET'",
        "path == ''",
        "path.startsWith('')",
        "path.startsWith('/cat') && !path.endsWith('/4')",
        "path.matches('^/catalogue/3$')",
        "dyn(status_code).matches('^5')",
        "dyn(status_code) == '500'",
        "method == 5",
        "request.headers['host'] == 'catalogue'",
        "request.headers['host'].startsWith('cat')",
        "request.headers['nosuch'] == ''",
        "request.headers['nosuch'] == '' || http",
        "query_string['id'] == '123' && dst.port == 8080",
        "src.ip == '10.0.0.5' && dst.port in [53, 8080, 8086]",
        "src.pod.name == 'front-end-abc'",
        "protocol == 'HTTP' ? status_code >= 500 : status_code == 3",
        "response.status == 500",
        "response.status == '500' and http",
        "response.status == r'^500$'",
        "response.status == r'^5'",
        "response.status != r'^5' or http",
        "response.status.startsWith('5') and http",
        "response.status > 9223372036854775806 and http",
        "(response.status == 500) or http",
        "request.path == 5 and http",
        "request.path == r'^' and http",
        "request.pathSegments == 3 and http",
        "request.headers.Host == 'catalogue' and http",
        "request.headers['nosuch'] == 'x' or http",
        "src.port == '36848' and http",
        "src.pod.metadata.name == 'front-end-abc' and http",
        "dst.name == r'^cata.*' and limit(5)",
        "timestamp > 0 and http",
        "error == nil and http",
        "tls == false and http",
    ] {
        for lang in [Lang::Kfl1, Lang::Kfl2] {
            let options = Options {
                lang,
                lenient: true,
                now: 0,
            };
            let Ok(filter) = compile(&large(), text, &options) else {
                continue;
            };
            for sample in &samples {
                let matches = outcome(&large(), &filter, sample) == Outcome::True;
                counts[usize::from(matches)] += 1;
            }
        }
    }
    assert!(counts.iter().all(|n| *n > 60), "{counts:?}");
}

/// Filters of the first table that have another answer here, and what it is: `true`, `false`, or the kind of error.
const MENDED: &[(&str, &str)] = &[
    // === is taken for ==
    (r#"src.namespace==="sock-shop""#, "true"),
    // single quotes and backquotes are quotes
    ("src.namespace == 'sock-shop'", "true"),
    ("src.namespace == `sock-shop`", "true"),
    // macros have word boundaries
    (r#"request.httpVersion == "HTTP/1.1""#, "true"),
    ("dns2 == 1", "false"),
    // a date that is none is an error
    (r#"timestamp > datetime("garbage")"#, "value"),
    // what follows a key belongs to the filter, not to the key
    (
        r#"request.headers["Host"].contains("cata") and http"#,
        "true",
    ),
    // the argument of a helper may be a field
    ("request.path.startsWith(request.path)", "true"),
];

/// Column of an error in the text as it is typed, from that in a text where `http` and `dns` stood for comparisons in
/// parentheses, each 21 characters longer.
fn typed_column(text: &str, expanded: usize) -> usize {
    let mut flags: Vec<usize> = ["http", "dns"]
        .iter()
        .flat_map(|f| text.match_indices(f))
        .map(|(at, _)| at)
        .collect();
    flags.sort_unstable();
    flags.iter().fold(expanded, |column, at| {
        if column > at + 21 {
            column - 21
        } else {
            column
        }
    })
}

#[test]
fn kfl1_lenient() {
    let options = Options {
        lang: Lang::Kfl1,
        lenient: true,
        now: at("2024-01-01T00:00:00Z"),
    };
    let (env, entry) = (small(), e0());
    let mut failures = Vec::new();
    let mut count = 0;
    for row in rows(include_str!("../vectors/kfl1_vectors.tsv")) {
        count += 1;
        let (text, table) = (row[0], row[1]);
        let mended = MENDED.iter().find(|(t, _)| *t == text);
        let expected = mended.map_or(table, |(_, result)| result);
        let got = match compile(&env, text, &options) {
            Ok(filter) => {
                let limit = filter
                    .limit()
                    .map_or(String::new(), |n| format!(" limit={n}"));
                let result = outcome(&env, &filter, &entry) == Outcome::True;
                let redacted = if !filter.redacts() || !result {
                    ""
                } else {
                    " redact"
                };
                format!("{result}{limit}{redacted}")
            }
            Err(errors) => {
                let error = &errors.errors[0];
                let bare = error.message.split(" (expected").next().unwrap_or_default();
                match error.kind {
                    ErrorKind::Syntax => format!("SYNTAX {}:{}: {bare}", error.line, error.column),
                    kind => kind.name().to_string(),
                }
            }
        };
        let expected = if let Some(error) = expected.strip_prefix("SYNTAX ") {
            let (place, message) = error.split_once(": ").unwrap();
            let (line, column) = place.split_once(':').unwrap();
            let column = typed_column(text, column.parse().unwrap());
            format!(
                "SYNTAX {line}:{column}: {}",
                message.split(" (expected").next().unwrap()
            )
        } else if expected.starts_with("PREP ") {
            "value".to_string()
        } else if expected.starts_with("true") && text.contains("redact(") {
            "true redact".to_string()
        } else {
            expected.trim().to_string()
        };
        if got != expected {
            failures.push(format!("{text}: {got}, not {expected}"));
        }
    }
    assert_eq!(count, 161);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Filters of the second table that the checker refuses.
const REFUSED: &[&str] = &[r#"dst.port == "8080""#];

#[test]
fn kfl2_strict() {
    let options = Options {
        lang: Lang::Kfl2,
        lenient: false,
        now: at("2026-03-14T22:30:00Z"),
    };
    let (env, entries) = (large(), [e1(), e2()]);
    let mut failures = Vec::new();
    let mut count = 0;
    for row in rows(include_str!("../vectors/kfl2_vectors.tsv")) {
        count += 1;
        let text = row[0];
        let filter = match compile(&env, text, &options) {
            Ok(filter) => filter,
            Err(errors) => {
                if !REFUSED.contains(&text) || errors.errors[0].kind != ErrorKind::Type {
                    failures.push(errors.render(text));
                }
                continue;
            }
        };
        assert!(!REFUSED.contains(&text), "{text}");
        for (entry, expected) in entries.iter().zip(&row[1..]) {
            let got = match outcome(&env, &filter, entry) {
                Outcome::True => "true".to_string(),
                Outcome::False => "false".to_string(),
                Outcome::Error(reason) => format!("ERR {reason}"),
            };
            let expected = expected
                .split(':')
                .next()
                .unwrap()
                .replace("No such", "no such");
            if got != expected {
                failures.push(format!("{text}: {got}, not {expected}"));
            }
        }
    }
    assert_eq!(count, 70);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(env: &Env, table: &[(&str, Lang, bool)], options: &Options, sample: &Sample) {
    for (text, lang, matches) in table {
        let filter = compile(env, text, options).unwrap_or_else(|e| panic!("{}", e.render(text)));
        assert_eq!(filter.lang(), *lang, "{text}");
        assert_eq!(
            outcome(env, &filter, sample) == Outcome::True,
            *matches,
            "{text}"
        );
    }
}

/// Leniently, what does not fit is an error only where it is evaluated.
#[test]
fn kfl2_lenient() {
    use Outcome::{Error, False, True};
    let table = [
        ("nosuch == 1 || http", True),
        ("http && nosuch == 5", Error(Reason::NoSuchName)),
        ("http && nosuch()", Error(Reason::NoSuchName)),
        (r#"status_code == "500""#, False),
        (
            r#"http && status_code < "600""#,
            Error(Reason::NoSuchOverload),
        ),
        ("dns && method", False),
        ("http && method", Error(Reason::NoSuchOverload)),
        ("method.nosuch == 1 || http", True),
        (
            "method[0] == 1 || status_code.contains(\"5\") || -tls",
            Error(Reason::NoSuchOverload),
        ),
        (
            "has(dyn([\"a\"]).a) || false",
            Error(Reason::NoSuchOverload),
        ),
        ("request.headers == 1 || 5 in method || http", True),
    ];
    for (text, expected) in table {
        for lang in [Lang::Kfl2, Lang::Auto] {
            if lang == Lang::Auto && !text.contains(['&', '|']) {
                continue; // KFL1 leniently
            }
            let options = |lenient| Options {
                lang,
                lenient,
                now: 0,
            };
            let filter = compile(&large(), text, &options(true));
            let filter = filter.unwrap_or_else(|e| panic!("{}", e.render(text)));
            assert_eq!(filter.lang(), Lang::Kfl2, "{text}");
            assert_eq!(outcome(&large(), &filter, &e1()), expected, "{text}");
            let strict = compile(&large(), text, &options(false));
            assert_eq!(strict.is_err(), !text.starts_with("has("), "{text}");
        }
    }
    // patterns that only the entry tells are few, and small
    let patterns: Vec<String> = (0..200).map(|n| format!("'x+{n}'")).collect();
    for (text, expected) in [
        (
            format!(
                "[{}].exists(p, method.matches(p))",
                patterns[..50].join(", ")
            ),
            False,
        ),
        (
            format!("[{}].exists(p, method.matches(p))", patterns.join(", ")),
            Error(Reason::TooLong),
        ),
        (
            "method.matches(method + r'|\\w{30}')".into(),
            Error(Reason::BadPattern),
        ),
    ] {
        let filter = compile(&large(), &text, &Options::default()).unwrap();
        assert_eq!(outcome(&large(), &filter, &e1()), expected, "{text}");
    }
    let text = "http && (method == 1";
    let options = Options {
        lenient: true,
        ..Options::default()
    };
    let errors = compile(&large(), text, &options).unwrap_err();
    assert_eq!(errors.errors[0].kind, ErrorKind::Syntax);
}

#[test]
fn the_spelling_is_told_by_the_text() {
    use Lang::{Kfl1, Kfl2};
    let table = [
        ("", Kfl2, true),
        ("http", Kfl2, true),
        ("!http", Kfl2, false),
        ("http or dns", Kfl1, true),
        ("http || dns", Kfl2, true),
        (
            r#"src.namespace=="sock-shop" or dst.namespace=="sock-shop""#,
            Kfl1,
            true,
        ),
        (r#"dst.name == r"cata.*""#, Kfl1, true),
        (r#"src.name==r"cata.*""#, Kfl1, false),
        ("http and response.status == 500", Kfl1, true),
        ("http && status_code == 500", Kfl2, true),
        ("http && response.status == 500", Kfl2, true),
        ("response.status == 500", Kfl1, true),
        (r#"http && src.pod.name.matches("front-.*")"#, Kfl2, true),
        (r#"dst.port == "8086""#, Kfl1, true),
        (r#"src.ip == "10.0.0.5""#, Kfl2, true),
        ("timestamp > now()", Kfl2, false),
        ("elapsedTime > 20", Kfl1, true),
        ("elapsed_time > 20", Kfl2, true),
        ("error == nil", Kfl1, true),
        ("(http)", Kfl2, true),
        (r#"namespaces.exists(n, n == "sock-shop")"#, Kfl2, true),
        (r#"src.namespace === "sock-shop""#, Kfl2, true),
        ("http and limit(5)", Kfl1, true),
    ];
    check(
        &large(),
        &table,
        &Options {
            now: at("2024-01-01T00:00:00Z"),
            ..Options::default()
        },
        &e0(),
    );
}

#[test]
fn header_names_ignore_case_where_that_is_strict() {
    let table = [
        (
            r#"request.headers["host"] == "catalogue" and http"#,
            Lang::Kfl1,
            true,
        ),
        (
            r#"request.headers["HOST"] == "catalogue""#,
            Lang::Kfl2,
            true,
        ),
        (r#""hOST" in request.headers"#, Lang::Kfl2, true),
        (
            r#"map_get(request.headers, "HOST", "") == "catalogue""#,
            Lang::Kfl2,
            true,
        ),
        ("has(request.headers.host)", Lang::Kfl2, true),
        ("has(request.headers.nosuch)", Lang::Kfl2, false),
        (
            "has(src.pod.name) && !has(src.service.name)",
            Lang::Kfl2,
            true,
        ),
    ];
    check(&large(), &table, &Options::default(), &e0());
}

#[test]
fn macros_of_ones_own() {
    let env = small()
        .with_macro("bad", "response.status >= 500 or response.status == 418")
        .with_macro("mine", r#"src.namespace == "sock-shop" && bad"#)
        .with_macro("endless", "endless or http")
        .with_macro("hides", "redact(\"request.path\")");
    let table = [
        ("bad", Lang::Kfl2, true),
        ("http and bad and mine", Lang::Kfl1, true),
        ("http && mine", Lang::Kfl2, true),
        ("!bad", Lang::Kfl2, false),
        (r#"src.name == "bad""#, Lang::Kfl2, false),
    ];
    check(&env, &table, &Options::default(), &e0());
    let errors = compile(&env, "http and endless", &Options::default()).unwrap_err();
    assert_eq!(errors.errors[0].kind, ErrorKind::Limit, "{errors}");
    let errors = compile(&env, "http and hides", &Options::default()).unwrap_err();
    assert_eq!(errors.errors[0].kind, ErrorKind::Value, "{errors}");
}

#[test]
fn macros_of_macros_end() {
    let many = |name: &str| vec![name; 50].join(" or ");
    let names = ["m1", "m2", "m3", "m4"];
    let env = names
        .windows(2)
        .fold(small(), |env, pair| env.with_macro(pair[0], &many(pair[1])));
    let env = env.with_macro("m4", &many("m1"));
    let errors = compile(&env, "m1", &Options::default()).unwrap_err();
    assert_eq!(errors.errors[0].kind, ErrorKind::Limit, "{errors}");
    // as deep as they may be
    let deep = |inner: &str| format!("{}{inner}{}", "!(".repeat(60), ")".repeat(60));
    let env = small()
        .with_macro("d1", &deep("d2"))
        .with_macro("d2", &deep("d3"))
        .with_macro("d3", &deep("http"));
    check(
        &env,
        &[(&deep("d1"), Lang::Kfl2, true)],
        &Options::default(),
        &e0(),
    );
}

#[test]
fn structured_fields_and_missing_responses() {
    let mut half = e0();
    half.record = Box::new(crate::support::Http {
        method: "GET".into(),
        ..Default::default()
    });
    let dns = e2();
    let options = Options {
        lang: Lang::Auto,
        ..Options::default()
    };
    for (entry, text, matches) in [
        (&dns, r#"request.questions[0].name == "google.com""#, true),
        (&dns, r#"request.questions[1].name == "google.com""#, false),
        (
            &dns,
            r#"request.questions.*.name == "pool.minexmr.com""#,
            true,
        ),
        (&dns, r#"request..name == "pool.minexmr.com" and dns"#, true),
        (
            &dns,
            r#"dns and response.code == "Non-Existent Domain""#,
            true,
        ),
        (&dns, "dns and response.rcode == 3", true),
        (&half, "response == nil", true),
        (&half, "response != nil or response.status == 500", false),
        (&half, "(response.status == 500) or http", true),
        (&half, "status_code == 0", true),
        (
            &half,
            r#"has(response.headers.server) || map_get(response.headers, "server", "none") == "none""#,
            true,
        ),
        (&dns, "request != nil", true),
        (&dns, r#"node.name == "node-1" and worker == "" "#, true),
        (&dns, r#"record("") and !record("x")"#, true),
        (&dns, r#"record("") && !record("x")"#, true),
        (&dns, r#"capture.source == "ebpf_tls" and tls"#, true),
        (
            &dns,
            r#""\ud83d\ude00" == "\U0001F600" && size("\ud83d\ude00") == 1"#,
            true,
        ),
        (
            &dns,
            r#"capture["backend"] == "ebpf" && node["ip"] == "10.9.0.1""#,
            true,
        ),
        (
            &dns,
            "duration('9223372036854775807ns') > duration('2562047h')",
            true,
        ),
        (
            &dns,
            r#""source" in capture && !("nosuch" in capture)"#,
            true,
        ),
        (
            &dns,
            r#"protocol.abbr == "DNS" and protocol.layer4 == "udp""#,
            true,
        ),
        (
            &dns,
            r#"src.pod.metadata.name == "api-gateway-1" and src.pod != nil"#,
            true,
        ),
        (
            &dns,
            r#"dst.pod == nil and dst.resolutionMechanism == "ip""#,
            true,
        ),
    ] {
        let filter =
            compile(&large(), text, &options).unwrap_or_else(|e| panic!("{}", e.render(text)));
        assert_eq!(
            outcome(&large(), &filter, entry) == Outcome::True,
            matches,
            "{text}"
        );
    }
}

#[test]
fn documents_inside_fields() {
    let mut entry = e0();
    let xml = r#"<?xml version="1.0"?><!-- c --><lib:shelf at="a>b"><book><title>A &amp; B</title></book><book><title><![CDATA[<C>]]></title></book></lib:shelf>"#;
    entry.record = Box::new(crate::support::Http {
        url: xml.into(),
        method: r#" {"a": [1, {"b": "x\u00e9\ud83d\ude00\n"}], "c": null, "d": -1.5e3, "n": 9007199254740993} "#.into(),
        version: "{not json".into(),
        ..Default::default()
    });
    let table = [
        (r#"request.url.xml().shelf.book[0].title == "A & B""#, true),
        (r#"request.url.xml().shelf.book[1].title == "<C>""#, true),
        (r#"request.url.xml()..title == "<C>""#, true),
        ("request.url.xml().shelf.book[2].title == nil", false),
        (r#"request.method.json().a[1].b.startsWith("xé😀")"#, true),
        ("request.method.json().c == nil", true),
        ("request.method.json().d < -1499", true),
        ("request.method.json().n == 9007199254740993", true),
        ("request.method.json().a[0] == 1", true),
        (r#"request.httpVersion.json().not == "json""#, false),
        (r#"!(request.httpVersion.json().not == "json")"#, true),
    ];
    for (text, matches) in table {
        let filter = compile(
            &small(),
            text,
            &Options {
                lang: Lang::Kfl1,
                ..Options::default()
            },
        )
        .unwrap();
        assert_eq!(
            outcome(&small(), &filter, &entry) == Outcome::True,
            matches,
            "{text}"
        );
    }
}

#[test]
fn redacted_values_are_hidden() {
    let shown = |text: &str| {
        let options = Options {
            lang: Lang::Kfl1,
            ..Options::default()
        };
        let filter =
            compile(&small(), text, &options).unwrap_or_else(|e| panic!("{}", e.render(text)));
        let (arena, mut out) = (Bump::new(), Vec::new());
        e0().with(&arena, |entry| filter.write_json(entry, &mut out));
        serde_json::from_slice::<serde_json::Value>(&out).unwrap()
    };
    let plain = shown("http");
    for (text, hidden) in [
        (
            r#"redact("request.headers.Authorization")"#,
            &["/request/headers/Authorization"][..],
        ),
        (
            r#"redact("..Authorization", "request.path")"#,
            &["/request/headers/Authorization", "/request/path"],
        ),
        (
            r#"redact("..['User-Agent']")"#,
            &["/request/headers/User-Agent"],
        ),
        (
            r#"redact("request.headers['User-Agent']")"#,
            &["/request/headers/User-Agent"],
        ),
        (
            r#"redact("request.pathSegments[1]")"#,
            &["/request/pathSegments/1"],
        ),
        (
            r#"redact("src.*") and redact("request.headers")"#,
            &[
                "/request/headers",
                "/src/ip",
                "/src/port",
                "/src/name",
                "/src/namespace",
                "/src/pod",
                "/src/endpointSlice",
                "/src/service",
                "/src/resolutionMechanism",
            ],
        ),
        (r#"dns and redact("request.path")"#, &[]),
        (r#"http or redact("request.path")"#, &[]),
        (
            r#"(dns and redact("request.path")) or (http and redact("request.url"))"#,
            &["/request/url"],
        ),
    ] {
        let mut expected = plain.clone();
        for pointer in hidden {
            *expected
                .pointer_mut(pointer)
                .unwrap_or_else(|| panic!("{pointer}")) = "[REDACTED]".into();
        }
        assert_eq!(shown(text), expected, "{text}");
    }
    // a document is packed again as it was
    let body = shown(r#"redact("response.content.text.json().name")"#);
    let body = body
        .pointer("/response/content/text")
        .unwrap()
        .as_str()
        .unwrap();
    assert_eq!(body, "eyJuYW1lIjoiW1JFREFDVEVEXSIsInByaWNlIjo5OS45OX0="); // {"name":"[REDACTED]","price":99.99}
    let strict = Options {
        lang: Lang::Kfl1,
        ..Options::default()
    };
    let errors = compile(
        &small(),
        r#"redact("request.header.Authorization")"#,
        &strict,
    )
    .unwrap_err();
    assert_eq!(
        errors.errors[0].suggestion.as_deref(),
        Some("did you mean \"request.headers.Authorization\"?")
    );
}

/// A filter inside a global one matches what both do, and hides what either hides.
#[test]
fn a_filter_inside_another() {
    let arena = Bump::new();
    let env = small();
    let compiled = |text: &str| compile(&env, text, &Options::default()).unwrap();
    let global = compiled(
        r#"src.namespace == "sock-shop" and redact("request.headers.Authorization") and limit(7)"#,
    );
    let inside = compiled(r#"http and redact("request.path") and limit(10)"#).within(&global);
    assert_eq!(
        inside.text(),
        r#"http and redact("request.path") and limit(10)"#
    );
    assert!(inside.redacts() && inside.limit() == Some(7));
    e0().with(&arena, |entry| {
        assert!(inside.matches(entry));
        let mut json = Vec::new();
        inside.write_json(entry, &mut json);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["request"]["path"], "[REDACTED]");
        assert_eq!(json["request"]["headers"]["Authorization"], "[REDACTED]");
        for (own, outer, expected) in [
            ("http", "dns", Outcome::False),
            ("dns", "http", Outcome::False),
            ("http", "http", Outcome::True),
            (
                r#"request.headers["x-none"] == "1" && http"#,
                "http",
                Outcome::Error(gillnet_kfl::Reason::NoSuchKey),
            ),
        ] {
            let filter = compiled(own).within(&compiled(outer));
            assert_eq!(filter.eval(entry), expected, "{own} in {outer}");
            assert_eq!(
                filter.matches(entry),
                expected == Outcome::True,
                "{own} in {outer}"
            );
            let both = filter.clone().within(&compiled("dns"));
            assert!(!both.matches(entry));
        }
    });
    let (http, dns) = (compiled("http"), compiled("dns"));
    assert!(http.clone().within(&dns).protocols().is_empty());
    assert!(
        dns.within(&compiled(
            "request.headers.a == nil or response.content.text == nil"
        ))
        .needs_bodies()
    );
}

#[test]
fn names_of_macros() {
    for (name, fits) in [
        ("https", true),
        ("my_macro2", true),
        ("my-macro", false),
        ("2x", false),
        ("", false),
        ("and", false),
        ("null", false),
        ("namespace", false),
        ("größe", false),
        ("a b", false),
        ("a.b", false),
    ] {
        assert_eq!(gillnet_kfl::is_macro_name(name), fits, "{name}");
    }
    let env = small().with_macro("nothing", " ");
    let errors = compile(&env, "http and nothing", &Options::default()).unwrap_err();
    assert_eq!(
        errors.errors[0].message,
        "in macro \"nothing\": it stands for nothing"
    );
}
