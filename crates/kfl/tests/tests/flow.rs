//! What is decided before there are entries.

use crate::support::{e0, e1, e2, large, name};
use gillnet_entry::{Bump, Name};
use gillnet_kfl::{Filter, FlowEnd, FlowView, Lang, Options, Packets, ProtocolSet, Tri, compile};
use std::sync::Arc;

fn filter(text: &str) -> Filter {
    compile(&large(), text, &Options::default()).unwrap_or_else(|e| panic!("{}", e.render(text)))
}

fn end<'a>(ip: &str, port: u16, name: Option<&'a Arc<Name>>) -> FlowEnd<'a> {
    FlowEnd {
        ip: ip.parse().unwrap(),
        port,
        name: name.map(|n| &**n),
    }
}

#[test]
fn names_decide_flows_once_they_are_known() {
    let mine = name("catalogue", "my-namespace", "catalogue-1", "catalogue", "");
    let other = name("orders", "other", "orders-1", "orders", "");
    let nameless = Arc::new(Name::default());
    let (mine, other, nameless) = (Some(&mine), Some(&other), Some(&nameless));
    let either = r#"src.namespace=="my-namespace" or dst.namespace=="my-namespace""#;
    let pattern = r#"src.name==r"cata.*""#;
    let responder = r#"http && dst.pod.namespace == "my-namespace""#;
    for (text, a, b, expected) in [
        (either, mine, other, Tri::Yes),
        (either, other, mine, Tri::Yes),
        (either, other, other, Tri::No),
        (either, other, nameless, Tri::No),
        (either, other, None, Tri::Unknown),
        (either, None, None, Tri::Unknown),
        // only one of the two directions has it as the source
        (pattern, mine, other, Tri::Unknown),
        (pattern, mine, mine, Tri::Yes),
        (pattern, other, other, Tri::No),
        (pattern, other, nameless, Tri::No),
        (pattern, other, None, Tri::Unknown),
        (responder, other, other, Tri::No),
        (responder, other, mine, Tri::Unknown),
        (responder, other, None, Tri::Unknown),
        ("http or dns", other, other, Tri::Unknown),
        (
            "http and response.status == 500",
            other,
            other,
            Tri::Unknown,
        ),
        (
            r#"http and src.namespace == "my-namespace""#,
            other,
            other,
            Tri::No,
        ),
        (r#"!(src.namespace == "other")"#, other, other, Tri::No),
        (
            r#"!(src.namespace == "other") and response.status == 500"#,
            other,
            other,
            Tri::No,
        ),
        (r#""my-namespace" in namespaces"#, other, mine, Tri::Yes),
        (
            r#""my-namespace" in namespaces && http"#,
            other,
            other,
            Tri::No,
        ),
        (
            r#"src.pod.metadata.name == "catalogue-1""#,
            other,
            nameless,
            Tri::No,
        ),
        (
            r#"src.pod.metadata.name == "catalogue-1" or http"#,
            nameless,
            nameless,
            Tri::No,
        ),
        (
            r#"namespaces.exists(n, n.startsWith("my-"))"#,
            mine,
            other,
            Tri::Yes,
        ),
        ("", other, None, Tri::Yes),
        ("true", None, None, Tri::Yes),
        ("false", None, None, Tri::No),
    ] {
        let view = FlowView::new(end("10.0.0.1", 40_000, a), end("10.0.0.2", 80, b));
        assert_eq!(filter(text).flow(&view), expected, "{text}: {a:?}, {b:?}");
    }
}

#[test]
fn addresses_and_ports_decide_flows() {
    let view = FlowView::new(end("10.0.0.1", 40_000, None), end("10.0.0.2", 80, None));
    for (text, expected) in [
        ("dst.port == 80", Tri::Unknown),
        ("dst.port == 443", Tri::No),
        ("dst.port == 443 and http", Tri::No),
        ("http and dst.port == 443", Tri::No),
        ("http or dst.port == 443", Tri::Unknown),
        ("src.port > 0", Tri::Yes),
        (r#"src.ip == "10.0.0.1" || dst.ip == "10.0.0.1""#, Tri::Yes),
        (r#"src.ip == "10.0.0.3""#, Tri::No),
        (r#"src.ip.startsWith("10.0.0.")"#, Tri::Yes),
        (r#"src.ip.startsWith("192.168.")"#, Tri::No),
        (
            r#"http && status_code >= 500 && src.ip == "10.0.0.3""#,
            Tri::No,
        ),
        (
            r#"src.ip == "10.0.0.3" and (response.nosuch == 5 or http)"#,
            Tri::No,
        ),
        ("dst.port in [443, 8443]", Tri::No),
        ("dst.port in [443, 80]", Tri::Unknown),
        ("tls", Tri::Unknown),
        ("dst.port == 443 ? http : false", Tri::No),
        ("dst.port == 80 ? http : false", Tri::Unknown),
    ] {
        let lenient = Options {
            lenient: true,
            lang: Lang::Auto,
            now: 0,
        };
        let filter = compile(&large(), text, &lenient).unwrap();
        assert_eq!(filter.flow(&view), expected, "{text}");
    }
}

#[test]
fn protocols_that_cannot_match_are_known() {
    let only = |ids: &[u8]| {
        ids.iter().fold(ProtocolSet::NONE, |set, id| {
            set.union(ProtocolSet::only(*id))
        })
    };
    let all = only(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    for (text, expected) in [
        ("http or dns", only(&[0, 1])),
        ("http", only(&[0])),
        ("grpc", only(&[0])),
        ("!http", only(&[1, 2, 3, 4, 5, 6, 7, 8])),
        ("!grpc", all),
        ("http and response.status == 500", only(&[0])),
        ("response.status == 500", only(&[0])),
        ("status_code == 500", only(&[0, 1])),
        ("status_code != 500", all),
        (r#"redis_type == "GET""#, only(&[3])),
        (r#"src.namespace == "x""#, all),
        ("http && dns", ProtocolSet::NONE),
        ("", all),
    ] {
        assert_eq!(filter(text).protocols(), expected, "{text}");
    }
    let view = FlowView {
        protocols: ProtocolSet::only(1),
        ..FlowView::new(end("10.0.0.1", 1, None), end("10.0.0.2", 53, None))
    };
    assert_eq!(filter("http").flow(&view), Tri::No);
    assert_eq!(filter("dns").flow(&view), Tri::Yes);
}

#[test]
fn bodies_are_wanted_only_where_they_are_read() {
    for (text, needed) in [
        ("http and response.status == 500", false),
        ("http && response_body_size > 5", false),
        ("response.content.mimeType == \"x\"", false),
        ("response.content.text.contains(\"x\")", true),
        ("response.content.text.json().a == 1", true),
        ("response..a == 1", true),
        ("response.*", true),
    ] {
        assert_eq!(filter(text).needs_bodies(), needed, "{text}");
    }
}

/// Whatever a flow says holds for its entries.
#[test]
fn flows_never_contradict_entries() {
    let texts = include_str!("../vectors/kfl1_vectors.tsv")
        .lines()
        .chain(include_str!("../vectors/kfl2_vectors.tsv").lines());
    let arena = Bump::new();
    let mut decided = 0;
    for text in texts.map(|line| line.split('\t').next().unwrap()) {
        let options = Options {
            lenient: true,
            lang: Lang::Auto,
            now: 1_800_000_000_000_000_000,
        };
        let Ok(filter) = compile(&large(), text, &options) else {
            continue;
        };
        for sample in [e0(), e1(), e2()] {
            let matches = sample.with(&arena, |entry| filter.matches(entry));
            assert!(
                !matches || filter.protocols().contains(sample.protocol),
                "{text}"
            );
            let ends = [&sample.src, &sample.dst].map(|(ip, port, name)| FlowEnd {
                ip: *ip,
                port: *port,
                name: Some(name),
            });
            for protocols in [ProtocolSet::ALL, ProtocolSet::only(sample.protocol)] {
                for unnamed in [false, true] {
                    let ends = ends.map(|e| FlowEnd {
                        name: e.name.filter(|_| !unnamed),
                        ..e
                    });
                    let view = FlowView {
                        ends,
                        protocols,
                        tls: None,
                    };
                    match filter.flow(&view) {
                        Tri::Yes => assert!(matches, "{text}"),
                        Tri::No => assert!(!matches, "{text}"),
                        Tri::Unknown => continue,
                    }
                    decided += 1;
                }
            }
        }
    }
    assert!(decided > 300, "{decided}");
}

#[test]
fn packets_are_asked_for_where_ports_and_addresses_decide() {
    for (text, expected) in [
        ("dst.port == 8080", "port 8080"),
        ("http && dst.port in [80, 443]", "port 80 or port 443"),
        (
            r#"src.ip == "10.0.0.5" and dst.port==8086"#,
            "host 10.0.0.5 and port 8086",
        ),
        (
            r#"src.ip in ["10.0.0.5", "::1"] || (dst.port > 9000 && dst.port < 9010)"#,
            "host 10.0.0.5 or host ::1 or (portrange 9001-65535 and portrange 0-9009)",
        ),
        // grouped from the right
        (
            r#"dst.port == 1 and dst.port == 2 or dst.port == 3"#,
            "port 1 and (port 2 or port 3)",
        ),
        (
            r#"(dst.port == 1 and src.port == 2) or dst.port == 3"#,
            "(port 1 and port 2) or port 3",
        ),
        (
            r#"http ? dst.port == 80 : dst.port == 53"#,
            "port 80 or port 53",
        ),
    ] {
        assert_eq!(filter(text).packets().to_string(), expected, "{text}");
    }
    for text in [
        "",
        "http",
        "dst.port != 80",
        "!(dst.port == 80)",
        "dst.port >= 0",
        r#"dst.port == 80 or src.name == "x""#,
        r#"dst.ip.startsWith("10.")"#,
        r#"dst.ip == r"10\..*""#,
    ] {
        assert_eq!(filter(text).packets(), Packets::Every, "{text}");
    }
    for text in [
        "false",
        "dst.port == 70000",
        "dst.port < 0",
        r#"dst.ip in ["somewhere"]"#,
        "dst.port == 80 && false",
    ] {
        assert_eq!(filter(text).packets(), Packets::No, "{text}");
    }
}
