//! What is told of a filter.

use crate::support::{large, small};
use gillnet_entry::Stage;
use gillnet_kfl::{Lang, Options, Part, compile, explain};

fn drawn(part: &Part, depth: usize, out: &mut String) {
    let stage = part.stage.map_or("-".into(), |s| format!("{s:?}"));
    out.push_str(&format!(
        "{}{} : {} @ {stage}\n",
        "  ".repeat(depth),
        part.text,
        part.of
    ));
    part.parts.iter().for_each(|p| drawn(p, depth + 1, out));
}

fn tree(text: &str) -> String {
    let explanation = explain(&large(), text, &Options::default()).unwrap();
    let mut out = String::from("\n");
    drawn(&explanation.tree, 0, &mut out);
    out
}

#[test]
fn trees_of_kfl1() {
    assert_eq!(
        tree(r#"http and response.status >= 500 or src.namespace == "shop""#),
        r#"
and : bool @ Entry
  http : bool @ Head
  or : bool @ Entry
    response.status >= 500 : bool @ Entry
      response.status : int @ Entry
    src.namespace == "shop" : bool @ Flow
      src.namespace : string @ Flow
"#
    );
    assert_eq!(
        tree(r#"!request.path.contains("x") and (dst.pod.metadata.name != nil)"#),
        r#"
and : bool @ Entry
  ! : bool @ Entry
    ( ) : bool @ Entry
      request.path contains "x" : bool @ Entry
        request.path : string @ Entry
  ( ) : bool @ Flow
    dst.pod.metadata.name != "null" : bool @ Flow
      dst.pod.metadata.name : string @ Flow
"#
    );
}

#[test]
fn trees_of_kfl2() {
    assert_eq!(
        tree(r#"http && dst.port == 80 && dns_questions.exists(q, q.contains("x"))"#),
        r#"
&& : bool @ Entry
  http : bool @ Head
  dst.port == 80 : bool @ Packet
    dst.port : int @ Packet
  dns_questions.exists(x, x contains "x") : bool @ Entry
    dns_questions : list(string) @ Entry
    x contains "x" : bool @ -
      x : string @ -
"#
    );
    assert_eq!(
        tree(
            r#"src.ip == "10.0.0.1" ? size(namespaces) > 1 : map_get(request.headers, "a", "") == "b""#
        ),
        r#"
?: : bool @ Entry
  src.ip == "10.0.0.1" : bool @ Packet
  size(namespaces) > 1 : bool @ Flow
    size(namespaces) : int @ Flow
      namespaces : list(string) @ Flow
  map_get(request.headers, "a", "") == "b" : bool @ Entry
    map_get(request.headers, "a", "") : string @ Entry
      request.headers : map(string, string) @ Entry
"#
    );
}

/// A flag that only some entries of a protocol have is decided by the entry.
#[test]
fn stages_are_those_of_the_evaluation() {
    let stage = |text: &str| {
        explain(&large(), text, &Options::default())
            .unwrap()
            .tree
            .stage
    };
    assert_eq!(stage("http"), Some(Stage::Head));
    assert_eq!(stage("grpc"), Some(Stage::Entry));
    assert_eq!(stage("tls"), Some(Stage::Flow));
    assert_eq!(stage("src.port == 1"), Some(Stage::Packet));
    assert_eq!(stage("\"x\" in namespaces"), Some(Stage::Flow));
    assert_eq!(stage("1 == 1"), None);
}

#[test]
fn the_spelling_and_why() {
    for (text, lang, why) in [
        (
            "http && dns",
            Lang::Kfl2,
            "it is valid KFL2, and nothing in it is at home in KFL1 alone",
        ),
        (
            "http and dns",
            Lang::Kfl1,
            r#"it is not valid as KFL2: 1:6: unexpected token "and""#,
        ),
        (
            r#"src.name == r"cata.*""#,
            Lang::Kfl1,
            r#"it is valid in both spellings, but `r"cata.*"` is at home in KFL1"#,
        ),
        (
            "http && response.status == 500",
            Lang::Kfl2,
            r#"it is not valid as KFL1: 1:6: unexpected token "&""#,
        ),
    ] {
        let explanation = explain(&large(), text, &Options::default()).unwrap();
        assert_eq!(
            (explanation.filter.lang(), &*explanation.why),
            (lang, why),
            "{text}"
        );
    }
    let asked = Options {
        lang: Lang::Kfl1,
        ..Options::default()
    };
    assert_eq!(
        explain(&large(), "http", &asked).unwrap().why,
        "it was asked for"
    );
}

/// What the tree says of protocols and bodies is what the plan asks the filter.
#[test]
fn the_plan() {
    let explanation = explain(
        &small(),
        "http and response.content.text.json().a == 1",
        &Options::default(),
    )
    .unwrap();
    assert_eq!(explanation.protocols, ["http"]);
    assert!(explanation.filter.needs_bodies());
    let part = &explanation.tree.parts[1].parts[0].parts[0];
    assert_eq!(
        (&*part.text, &*part.protocols),
        ("response.content.text", &["http"][..])
    );
    let never = compile(&small(), "http and dns", &Options::default()).unwrap();
    assert_eq!(
        never.warnings()[0].message,
        "no entry of any protocol can match this"
    );
}
