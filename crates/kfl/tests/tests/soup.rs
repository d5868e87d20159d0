//! Texts made at random: whatever they are, there is an answer.

use crate::support::{e0, e1, e2, large};
use gillnet_entry::Bump;
use gillnet_kfl::{Env, FlowEnd, FlowView, Lang, Options, compile, complete};

/// A small generator (splitmix64), so that a failing seed replays alone.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }
}

const TOKENS: &[&str] = &[
    "http",
    "dns",
    "grpc",
    "tls",
    "nosuch",
    "src",
    "dst",
    "request",
    "response",
    ".",
    "..",
    "*",
    "ip",
    "port",
    "name",
    "pod",
    "namespace",
    "status",
    "headers",
    "status_code",
    "method",
    "path",
    "namespaces",
    "dns_questions",
    "request.headers",
    "response.status",
    "src.namespace",
    "query_string",
    "elapsed_time",
    "timestamp",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "!",
    "-",
    "+",
    "/",
    "%",
    "==",
    "!=",
    "===",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    "&",
    "|",
    "and",
    "or",
    "in",
    "true",
    "false",
    "nil",
    "null",
    "0",
    "1",
    "500",
    "-1",
    "3.14",
    "1e3",
    "9223372036854775808",
    "0x1f",
    "7u",
    "\"x\"",
    "'x'",
    "`x`",
    "r\"a.*\"",
    "r\"(\"",
    "b\"\\xff\"",
    "\"\\u00e9\"",
    "\"\"\"x\"\"\"",
    "\"",
    "\\",
    "size",
    "contains",
    "startsWith",
    "matches",
    "json",
    "xml",
    "now",
    "now()",
    "seconds",
    "limit",
    "redact",
    "datetime",
    "duration",
    "timestamp",
    "map_get",
    "has",
    "all",
    "exists",
    "map",
    "filter",
    "x",
    "//",
    "/*",
    "*/",
    "\n",
    "é",
    "\u{1F600}",
    "\u{0}",
    "#",
    ";",
    "record",
    "dyn",
    "type",
    "int",
    "string",
];

const STARTS: &[&str] = &[
    "http and response.status == 500",
    r#"src.namespace=="a" or dst.namespace=="a""#,
    r#"request.headers["Host"].contains("cata") and http"#,
    "dns && dns_questions.exists(q, q.contains(\"x\")) || status_code in [1, 2]",
    "timestamp > now() - duration(\"5m\") ? http : !dns",
    r#"response.content.text.json()..name == r"H.*" and redact("a..b")"#,
    "[1, 2, 3].map(x, x > 1, x * 2).filter(y, y % 2 == 0).size() == 2 && {\"a\": 1}.a == 1",
];

fn try_all(env: &Env, text: &str) {
    let arena = Bump::new();
    for (lang, lenient) in [
        (Lang::Auto, false),
        (Lang::Auto, true),
        (Lang::Kfl1, true),
        (Lang::Kfl2, false),
    ] {
        match compile(
            env,
            text,
            &Options {
                lang,
                lenient,
                now: 1_700_000_000_000_000_000,
            },
        ) {
            Ok(filter) => {
                for sample in [e0(), e1(), e2()] {
                    sample.with(&arena, |entry| filter.eval(entry));
                    let ends = [&sample.src, &sample.dst];
                    let [a, b] = ends.map(|(ip, port, name)| FlowEnd {
                        ip: *ip,
                        port: *port,
                        name: Some(name),
                    });
                    filter.flow(&FlowView::new(a, b));
                }
            }
            Err(errors) => {
                assert!(!errors.errors.is_empty(), "{text}");
                for error in &errors.errors {
                    assert!(
                        error.span.start <= error.span.end && error.span.end as usize <= text.len(),
                        "{text}"
                    );
                }
                assert!(errors.render(text).contains('^'));
            }
        }
    }
}

#[test]
fn random_tokens_never_panic() {
    let (env, mut random) = (large(), Random(1));
    for _ in 0..6_000 {
        let mut text = String::new();
        for _ in 0..random.below(14) {
            text.push_str(random.pick(TOKENS));
            text.push_str(random.pick(&["", " ", " "]));
        }
        try_all(&env, &text);
    }
}

#[test]
fn broken_filters_never_panic() {
    let (env, mut random) = (large(), Random(2));
    for _ in 0..1_000 {
        let mut text: Vec<char> = random.pick(STARTS).chars().collect();
        for _ in 0..=random.below(3) {
            let at = random.below(text.len().max(1)).min(text.len());
            match random.below(3) {
                0 => drop(text.splice(at..at, random.pick(TOKENS).chars())),
                1 => drop(text.splice(at..text.len().min(at + 1 + random.below(4)), [])),
                _ => text.truncate(at),
            }
        }
        let text: String = text.into_iter().collect();
        try_all(&env, &text);
        complete(&env, &text, random.below(text.len() + 2), Lang::Auto);
    }
}

/// Loops in loops end by their count of steps.
#[test]
fn loops_are_bounded() {
    let list = format!("[{}]", ["1"; 50].join(","));
    let mut text = "x == 2".to_string();
    for _ in 0..8 {
        text = format!("{list}.exists(x, {text})");
    }
    let filter = compile(&large(), &text, &Options::default()).unwrap();
    let arena = Bump::new();
    assert_eq!(
        e0().with(&arena, |entry| filter.eval(entry)),
        gillnet_kfl::Outcome::Error(gillnet_kfl::Reason::TooLong)
    );
}
