//! The canonical text: what it looks like, and that it says the same.

use crate::random::Random;
use crate::support::{e0, e1, e2, large};
use gillnet_entry::Bump;
use gillnet_kfl::{Lang, Options, compile, format};

fn options(lang: Lang) -> Options {
    Options {
        lang,
        lenient: false,
        now: 1_700_000_000_000_000_000,
    }
}

/// Texts and how they are formatted; each as it is found out, so that both spellings are told apart as before.
const TABLE: &[(&str, &str)] = &[
    ("", ""),
    ("  http  ", "http"),
    ("((http))", "http"),
    ("http   and\n dns", "http and dns"),
    ("dns and http or http", "dns and (http or http)"),
    (
        "http and dns and http or dns and http",
        "http and dns and (http or dns and http)",
    ),
    ("http or (dns and http)", "http or dns and http"),
    ("(dns and http) or http", "(dns and http) or http"),
    ("http and (dns and (http))", "http and dns and http"),
    (
        "(response.status==500) and nil!=src.service",
        "response.status == 500 and nil != src.service",
    ),
    (
        "(response.status==500) or dns",
        "(response.status == 500) or dns",
    ),
    (
        "!(http) and !( response.status == 5 )",
        "!http and !(response.status == 5)",
    ),
    (
        "src.namespace==='shop' and -  5<3",
        r#"src.namespace == "shop" and -5 < 3"#,
    ),
    (
        r#"src.name=='say "a"' or nil == error"#,
        r#"src.name == 'say "a"' or nil == error"#,
    ),
    (
        r#"request . headers ['Host'] .contains( "a" ) and request..Host==r'x.*'"#,
        r#"request.headers["Host"].contains("a") and request..Host == r"x.*""#,
    ),
    ("http && (dns || grpc)", "http && (dns || grpc)"),
    ("(http && dns) || grpc", "http && dns || grpc"),
    ("http && (dns && grpc)", "http && dns && grpc"),
    ("(status_code) >= (400+1)*2", "status_code >= (400 + 1) * 2"),
    (
        "1-(2-3) == 2 && 1-2-3 == -4",
        "1 - (2 - 3) == 2 && 1 - 2 - 3 == -4",
    ),
    ("(1<2)==true", "(1 < 2) == true"),
    ("-(5) < - 5+- -5", "-(5) < -5 + --5"),
    ("http?dns:grpc?tls:!http", "http ? dns : grpc ? tls : !http"),
    (
        "(http?dns:grpc)?tls:!(http&&dns)",
        "(http ? dns : grpc) ? tls : !(http && dns)",
    ),
    ("url.contains('/api',)", r#"url.contains("/api")"#),
    (
        r#"url == 'a"b' && url != R'\d'"#,
        r#"url == 'a"b' && url != r"\d""#,
    ),
    (
        "{'a':1,'b':2,}.a==1&&[1,2,].size()==2",
        r#"{"a": 1, "b": 2}.a == 1 && [1, 2].size() == 2"#,
    ),
    (
        "dns_questions . exists( q,q.contains('x') )",
        r#"dns_questions.exists(q, q.contains("x"))"#,
    ),
    (
        "'x' in request.headers&&request.headers.`x-y`==\"1\"",
        "\"x\" in request.headers && request.headers.`x-y` == \"1\"",
    ),
    // comments
    ("// all\n\nhttp // web", "// all\nhttp // web"),
    ("// nothing", "// nothing"),
    (
        "http and // web\n (dns // names\n or tls)",
        "http // web\nand (dns // names\nor tls)",
    ),
    (
        "/* why */ http and nil == error",
        "/* why */\nhttp and nil == error",
    ),
    ("http &&\n// own line\ndns", "http\n// own line\n&& dns"),
];

#[test]
fn canonical_texts() {
    let env = large();
    for (text, expected) in TABLE {
        let formatted = format(&env, text, &options(Lang::Auto))
            .unwrap_or_else(|e| panic!("{}", e.render(text)));
        assert_eq!(&formatted, expected, "{text}");
        let again = format(&env, &formatted, &options(Lang::Auto)).unwrap();
        assert_eq!(again, formatted, "not at rest: {text}");
    }
}

#[test]
fn what_cannot_be_formatted_is_refused() {
    let env = large();
    let errors = format(
        &env,
        "http and (request.path // here\n == \"x\")",
        &options(Lang::Kfl1),
    )
    .unwrap_err();
    assert_eq!(errors.errors.len(), 1);
    assert_eq!((errors.errors[0].line, errors.errors[0].column), (1, 24));
    assert!(format(&env, "http and nosuch", &options(Lang::Auto)).is_err());
    // a text that is KFL1 only by its blanks would become KFL2
    let text = "src.name = = \"x\"";
    assert_eq!(format(&env, text, &options(Lang::Auto)).unwrap(), text);
    assert_eq!(
        format(&env, text, &options(Lang::Kfl1)).unwrap(),
        "src.name == \"x\""
    );
}

const ATOMS_KFL1: &[&str] = &[
    "http",
    "dns",
    "tls",
    "5",
    "0",
    "\"\"",
    "'x'",
    "true",
    "false",
    "nil",
    "response.status",
    "response.status==500",
    "request.pathSegments",
    "request.headers[\"nosuch\"]",
    "request.headers.nosuch==5",
    "response.status!=5",
    "request.path.contains('cata')",
    "request.queryString.a>41",
    "response.rcode<5",
    "src.name==r\"front\"",
    "redact('request.path')",
    "response.content.text.json().name=='Holy'",
    "response.content.text.json().nosuch",
    "src.service.metadata.name",
    "request.path.startsWith(http and response.rcode)",
    "-response.status",
];

const ATOMS_KFL2: &[&str] = &[
    "http",
    "dns",
    "tls",
    "status_code==500",
    "method=='GET'",
    "true",
    "false",
    "1/0==1",
    "request.headers.nosuch=='x'",
    "url.contains('a')",
    "status_code in [500,503]",
    "dns_questions.exists(q,q=='x')",
    "size(namespaces)>1",
    "1-(2-3)==2",
    "!(status_code>3)",
    "(http)==(dns)",
    "-(2)+3==1",
    "has(request.headers.host)",
];

/// A text made at random.
fn text(random: &mut Random, kfl2: bool, depth: usize) -> String {
    let (atoms, ops): (_, &[&str]) = if kfl2 {
        (ATOMS_KFL2, &["&&", "||", " && ", "||\n"])
    } else {
        (
            ATOMS_KFL1,
            &[" and ", " or ", " and\n", " or  ", " and ", " == ", "!="],
        )
    };
    if depth == 0 || random.below(6) == 0 {
        return random.pick(atoms).into();
    }
    let sub = |random: &mut Random| text(random, kfl2, depth - 1);
    match random.below(8) {
        0 => format!("!{}", random.pick(atoms)),
        1 => format!("!( {} )", sub(random)),
        2 | 3 => format!("({})", sub(random)),
        4 if kfl2 => format!("({})?{}:{}", sub(random), random.pick(atoms), sub(random)),
        _ => {
            let mut all = sub(random);
            for _ in 0..=random.below(3) {
                all.push_str(random.pick(ops));
                all.push_str(&sub(random));
            }
            all
        }
    }
}

/// The formatted text has the answers of the text, on entries that have the fields and on others, and what it hides; and
/// it is its own formatted text.
#[test]
fn formatted_texts_say_the_same() {
    let (env, mut random) = (large(), Random(7));
    let arena = Bump::new();
    let mut compared = 0;
    for round in 0..2_400 {
        let kfl2 = round % 2 == 0;
        let text = text(&mut random, kfl2, 3);
        let lang = if kfl2 { Lang::Kfl2 } else { Lang::Kfl1 };
        for (lang, lenient) in [(lang, false), (lang, true), (Lang::Auto, false)] {
            let options = Options {
                lenient,
                ..options(lang)
            };
            let Ok(filter) = compile(&env, &text, &options) else {
                continue;
            };
            let formatted = format(&env, &text, &options).unwrap();
            let again = compile(&env, &formatted, &options)
                .unwrap_or_else(|e| panic!("{text}\n{formatted}\n{}", e.render(&formatted)));
            assert_eq!(again.lang(), filter.lang(), "{text}\n{formatted}");
            assert_eq!(
                format(&env, &formatted, &options).unwrap(),
                formatted,
                "not at rest: {text}"
            );
            for sample in [e0(), e1(), e2()] {
                sample.with(&arena, |entry| {
                    assert_eq!(again.eval(entry), filter.eval(entry), "{text}\n{formatted}");
                    let (mut a, mut b) = (Vec::new(), Vec::new());
                    filter.write_json(entry, &mut a);
                    again.write_json(entry, &mut b);
                    if filter.matches(entry) {
                        assert_eq!(a, b, "{text}\n{formatted}");
                    }
                });
                compared += 1;
            }
        }
    }
    assert!(compared > 4_000, "too few are valid: {compared}");
}
