//! Who an address was, asked through the public door.

#![allow(clippy::unwrap_used)] // a test may fail anywhere

use gillnet_entry::{Mechanism, Name};
use gillnet_names::{Address, Knowledge, Limits, Names, NamesConfig, StaticName};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

const SECOND: i64 = 1_000_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn statics(list: &[(&str, &str)]) -> Vec<StaticName> {
    let one = |(address, name): &(&str, &str)| StaticName {
        address: (*address).to_owned(),
        name: (*name).to_owned(),
        namespace: "shop".to_owned(),
        ..StaticName::default()
    };
    list.iter().map(one).collect()
}

fn names(config: NamesConfig) -> Names {
    Names::new(config).unwrap()
}

fn name(name: &str, namespace: &str) -> Name {
    Name {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        mechanism: Mechanism::Ip,
        ..Name::default()
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn shown(names: &Names, text: &str, port: u16, at: i64) -> String {
    names.resolve(ip(text), port, at).name.clone()
}

#[test]
fn a_port_goes_before_its_address() {
    let names = names(NamesConfig {
        statics: statics(&[
            ("10.0.0.5", "host"),
            ("10.0.0.5:8080", "web"),
            ("[fd00::5]:53", "dns"),
        ]),
        ..NamesConfig::default()
    });
    let found = names.resolve(ip("10.0.0.5"), 8080, 0);
    assert_eq!(
        (&*found.name, &*found.namespace, found.mechanism),
        ("web", "shop", Mechanism::IpAndPort)
    );
    assert_eq!(
        names.resolve(ip("10.0.0.5"), 80, 0).mechanism,
        Mechanism::Ip
    );
    assert_eq!(
        [
            shown(&names, "10.0.0.5", 80, 0),
            shown(&names, "fd00::5", 53, 0)
        ],
        ["host", "dns"]
    );
    assert_eq!(shown(&names, "::ffff:10.0.0.5", 8080, 0), "web");
    assert_eq!(*names.resolve(ip("fd00::5"), 54, 0), Name::default());
    assert_eq!(
        names.known(ip("fd00::5"), 54, 0),
        Knowledge::KnownNone,
        "nothing can come"
    );
}

#[test]
fn the_name_is_the_pods_else_the_services() {
    let named = |pod: &str, service: &str| StaticName {
        address: "10.0.0.5".to_owned(),
        pod: pod.to_owned(),
        service: service.to_owned(),
        ..StaticName::default()
    };
    for (entry, expected) in [(named("p", "s"), "p"), (named("", "s"), "s")] {
        let names = names(NamesConfig {
            statics: vec![entry],
            ..NamesConfig::default()
        });
        assert_eq!(shown(&names, "10.0.0.5", 1, 0), expected);
    }
}

#[test]
fn a_wrong_name_says_which_and_how_to_mend_it() {
    for (list, message) in [
        (
            statics(&[("10.0.0.5", "a"), ("10.0.0.300", "b")]),
            "names.static[1]: \"10.0.0.300\" is not an address: write an IP address (10.0.0.5, fd00::5) or one with a \
             port (10.0.0.5:8080, [fd00::5]:53)",
        ),
        (
            statics(&[("10.0.0.5:1", "a"), ("10.0.0.5:1", "b")]),
            "names.static[1]: 10.0.0.5:1 has a name already, from names.static[0]: remove one of them",
        ),
        (
            statics(&[("10.0.0.5", "")]),
            "names.static[0]: 10.0.0.5 gets no name: set name, pod, service or process",
        ),
    ] {
        let names = Names::new(NamesConfig {
            statics: list,
            ..NamesConfig::default()
        });
        assert_eq!(names.unwrap_err().to_string(), message);
    }
}

#[test]
fn each_source_has_its_rank() {
    let file = std::env::temp_dir().join(format!("gillnet-hosts-{}", std::process::id()));
    std::fs::write(
        &file,
        "10.0.0.1 hosts-1\n10.0.0.2 hosts-2\n10.0.0.3 hosts-3\n",
    )
    .unwrap();
    let names = names(NamesConfig {
        statics: statics(&[("10.0.0.1", "static-1")]),
        hosts_file: Some(file.clone()),
        dns: true,
        ..NamesConfig::default()
    });
    for n in 1..=4 {
        names.learn_dns(&format!("dns-{n}"), ip(&format!("10.0.0.{n}")), 60, 0);
    }
    for n in 1..=2 {
        names.add_interval(
            address(&format!("10.0.0.{n}")),
            name(&format!("timed-{n}"), ""),
            0,
            SECOND,
        );
    }
    let found: Vec<_> = (1..=5)
        .map(|n| shown(&names, &format!("10.0.0.{n}"), 1, 0))
        .collect();
    assert_eq!(found, ["static-1", "timed-2", "hosts-3", "dns-4", ""]);
    assert_eq!(
        shown(&names, "10.0.0.2", 1, SECOND),
        "hosts-2",
        "what held then is over"
    );

    std::fs::write(&file, "10.0.0.3 other\n").unwrap();
    let before = names.generation();
    names.refresh().unwrap();
    assert!(names.generation() > before);
    let unchanged = names.generation();
    names.refresh().unwrap();
    assert_eq!(names.generation(), unchanged);
    assert_eq!(shown(&names, "10.0.0.3", 1, 0), "other");
    std::fs::remove_file(&file).unwrap();
    names.refresh().unwrap();
    assert_eq!(shown(&names, "10.0.0.3", 1, 0), "dns-3");
}

#[test]
#[cfg(target_os = "linux")]
fn the_host_itself_has_a_name() {
    let names = names(NamesConfig {
        own_host: true,
        ..NamesConfig::default()
    });
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let found = names.resolve(ip("127.0.0.1"), 80, 0);
    assert_eq!(
        (found.name.as_str(), found.mechanism, found.since),
        (host.trim(), Mechanism::Ip, 0)
    );
}

#[test]
fn answers_name_addresses_for_their_life() {
    let names = names(NamesConfig {
        dns: true,
        ..NamesConfig::default()
    });
    names.learn_dns(
        "catalog.shop.svc.cluster.local",
        ip("10.0.0.9"),
        600,
        100 * SECOND,
    );
    let found = names.resolve(ip("10.0.0.9"), 80, 101 * SECOND);
    assert_eq!(
        (&*found.name, &*found.namespace, &*found.service),
        ("catalog", "shop", "catalog")
    );
    assert_eq!(found.dns, "catalog.shop.svc.cluster.local");
    assert_eq!(
        (found.mechanism, found.since),
        (Mechanism::Dns, 100 * SECOND)
    );
    assert_eq!(
        names.known(ip("10.0.0.9"), 80, 99 * SECOND),
        Knowledge::Unknown
    );
    assert_eq!(
        names.known(ip("10.0.0.9"), 80, 701 * SECOND),
        Knowledge::Unknown
    );
    let deaf = self::names(NamesConfig::default());
    deaf.learn_dns("a.example", ip("10.0.0.9"), 600, 0);
    assert_eq!(deaf.known(ip("10.0.0.9"), 80, 0), Knowledge::KnownNone);
}

#[test]
fn the_generation_grows_when_asking_again_is_worth_it() {
    let names = names(NamesConfig {
        dns: true,
        ..NamesConfig::default()
    });
    let before = names.generation();
    names.learn_dns("a.example", ip("10.0.0.1"), 60, 0);
    assert_eq!(names.generation(), before, "nobody asked for it");
    assert_eq!(names.known(ip("10.0.0.2"), 80, 0), Knowledge::Unknown);
    names.learn_dns("b.example", ip("10.0.0.2"), 60, 0);
    assert!(names.generation() > before);
    let before = names.generation();
    names.learn_dns("b.example", ip("10.0.0.2"), 60, 1);
    assert_eq!(names.generation(), before, "it is known already");
    assert!(matches!(
        names.known(ip("10.0.0.2"), 80, 0),
        Knowledge::Known(_)
    ));
    names.configure(NamesConfig::default()).unwrap();
    assert!(names.generation() > before);
}

#[test]
fn many_asked_in_vain_are_not_forgotten() {
    let names = names(NamesConfig {
        dns: true,
        ..NamesConfig::default()
    });
    for n in 0..20_000u32 {
        names.known(IpAddr::from(n.to_be_bytes()), 80, 0);
    }
    let before = names.generation();
    names.learn_dns("a.example", IpAddr::from(19_999u32.to_be_bytes()), 60, 0);
    assert!(names.generation() > before);
}

#[test]
fn limits_cut_and_count() {
    let limits = Limits {
        dns: 100,
        intervals: 2,
    };
    let names = names(NamesConfig {
        dns: true,
        limits,
        ..NamesConfig::default()
    });
    for n in 0..1000u32 {
        names.learn_dns("a.example", IpAddr::from(n.to_be_bytes()), 60, 0);
    }
    assert!(names.dropped() >= 900, "{}", names.dropped());
    let before = names.dropped();
    let kept = [0, 1, 2]
        .map(|n| names.add_interval(address("10.0.0.1"), name("a", ""), n * 10, n * 10 + 1));
    assert_eq!((kept, names.dropped()), ([true, true, false], before + 1));
}

/// Names of two pods that had the same address one after the other, a service, a static name and a DNS answer.
fn busy() -> Names {
    let names = names(NamesConfig {
        statics: statics(&[("10.9.0.1:443", "api")]),
        dns: true,
        ..NamesConfig::default()
    });
    let pod = |text: &str, since| Name {
        pod: text.to_owned(),
        since,
        ..name(text, "shop")
    };
    names.add_interval(
        address("10.0.0.5"),
        pod("cart-1", 0),
        0,
        2000 * SECOND + 500_000_000,
    );
    names.add_interval(
        address("10.0.0.5"),
        pod("cart-2", 2000 * SECOND + 500_000_000),
        2000 * SECOND + 500_000_000,
        i64::MAX,
    );
    names.learn_dns("www.example.org", ip("192.0.2.7"), 600, 1500 * SECOND);
    names.learn_dns("elsewhere.example", ip("192.0.2.8"), 600, 1500 * SECOND);
    names
}

const ASKED: [(&str, u16); 4] = [
    ("10.0.0.5", 80),
    ("10.9.0.1", 443),
    ("10.9.0.1", 80),
    ("192.0.2.7", 443),
];

fn exported(names: &Names, from: i64, until: i64) -> Value {
    names.history(
        ASKED.map(|(text, port)| (ip(text), port)),
        from * SECOND,
        until * SECOND,
    )
}

#[test]
fn a_history_is_snapshots_by_second() {
    let history = exported(&busy(), 1000, 3000);
    let keys: Vec<_> = history.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["1000", "1500", "2000", "2100"]);
    let full: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_value(history).unwrap();
    let brief = |key: &str| {
        let of = |(address, name): (&String, &Value)| {
            format!("{address}={}/{}", name["FullAddress"], name["Namespace"]).replace('"', "")
        };
        full[key].iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(
        brief("1000"),
        ["10.0.0.5=cart-1.shop/shop", "10.9.0.1:443=api.shop/shop"]
    );
    assert_eq!(
        brief("1500"),
        [
            "10.0.0.5=cart-1.shop/shop",
            "10.9.0.1:443=api.shop/shop",
            "192.0.2.7=www.example.org/"
        ]
    );
    assert_eq!(
        brief("2000"),
        [
            "10.0.0.5=cart-2.shop/shop",
            "10.9.0.1:443=api.shop/shop",
            "192.0.2.7=www.example.org/"
        ]
    );
    assert_eq!(
        brief("2100"),
        ["10.0.0.5=cart-2.shop/shop", "10.9.0.1:443=api.shop/shop"]
    );
}

#[test]
fn a_change_in_the_first_second_keeps_what_was_before() {
    let keys = |from| {
        exported(&busy(), from, 2000 + 1)
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(2000), ["1999", "2000"]);
    let copy = names(NamesConfig::default());
    copy.import(
        exported(&busy(), 2000, 2001).to_string().as_bytes(),
        2000 * SECOND,
        2001 * SECOND,
    )
    .unwrap();
    let at = |ns| shown(&copy, "10.0.0.5", 80, 2000 * SECOND + ns);
    assert_eq!(
        [at(0), at(499_999_999), at(500_000_000)],
        ["cart-1", "cart-1", "cart-2"]
    );
}

#[test]
fn what_is_written_is_read_without_loss() {
    let (original, copy) = (busy(), names(NamesConfig::default()));
    let json = exported(&original, 1000, 3000).to_string();
    let imported = copy
        .import(json.as_bytes(), 1000 * SECOND, 3001 * SECOND)
        .unwrap();
    assert_eq!(
        (imported.names, imported.ignored, imported.dropped),
        (4, 0, 0)
    );
    for at in (1000..=3000).map(|s| s * SECOND) {
        for (text, port) in ASKED {
            let at = if at == 2000 * SECOND {
                at + 600_000_000
            } else {
                at
            };
            assert_eq!(
                copy.resolve(ip(text), port, at),
                original.resolve(ip(text), port, at),
                "{text}:{port} {at}"
            );
        }
    }
    assert_eq!(
        *copy.resolve(ip("10.0.0.5"), 80, 999 * SECOND),
        Name::default(),
        "outside the packets' time"
    );
}

#[test]
fn a_history_that_kubeshark_wrote() {
    let json = json!({
        "1700000000": {
            "10.0.0.5": {"FullAddress": "catalog.shop", "Namespace": "shop"},
            "10.0.0.5:8080": {"FullAddress": "catalog-1.shop", "Namespace": "shop"},
            "catalog.shop": {"FullAddress": "catalog.shop", "Namespace": "shop"},
        },
        "1700000100": {"10.0.0.5": {"FullAddress": "orders.shop", "Namespace": "shop"}},
    });
    let names = names(NamesConfig::default());
    let imported = names
        .import(json.to_string().as_bytes(), i64::MIN, i64::MAX)
        .unwrap();
    assert_eq!((imported.names, imported.ignored), (3, 1));
    let at = |port, seconds: i64| {
        let name = names.resolve(ip("10.0.0.5"), port, (1_700_000_000 + seconds) * SECOND);
        (name.name.clone(), name.namespace.clone(), name.mechanism)
    };
    let shop = |name: &str, mechanism| (name.to_owned(), "shop".to_owned(), mechanism);
    assert_eq!(
        at(80, -500),
        shop("catalog", Mechanism::Ip),
        "before the first key the first counts"
    );
    assert_eq!(at(8080, 99), shop("catalog-1", Mechanism::IpAndPort));
    assert_eq!(at(8080, 100), shop("orders", Mechanism::Ip));
    assert_eq!(at(80, 1_000_000), shop("orders", Mechanism::Ip));
    assert_eq!(names.known(ip("10.0.0.6"), 80, 0), Knowledge::Unknown);
}

#[test]
fn recordings_of_different_hours_do_not_mix() {
    let names = names(NamesConfig::default());
    let file =
        |name: &str| json!({"1": {"10.0.0.5": {"FullAddress": name, "Namespace": ""}}}).to_string();
    names
        .import(file("first").as_bytes(), 0, 3600 * SECOND)
        .unwrap();
    names
        .import(file("second").as_bytes(), 3600 * SECOND, 7200 * SECOND)
        .unwrap();
    let at = |seconds: i64| shown(&names, "10.0.0.5", 80, seconds * SECOND);
    assert_eq!(
        [at(0), at(3599), at(3600), at(7199), at(7200)],
        ["first", "first", "second", "second", ""]
    );
}

#[test]
fn a_broken_history_is_refused() {
    let names = names(NamesConfig::default());
    for broken in [
        "",
        "[]",
        "{\"x\": {}}",
        "{\"1\": 5}",
        "{\"1\": {\"10.0.0.1\": {\"Namespace\": 4}}}",
    ] {
        let error = names
            .import(broken.as_bytes(), i64::MIN, i64::MAX)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("name_resolution_history.json: "),
            "{error}"
        );
    }
    assert_eq!(names.import(b"{}", i64::MIN, i64::MAX).unwrap().names, 0);
    assert_eq!(names.history([], 0, 10), json!({"0": {}}));
}

#[test]
fn names_are_shared_among_threads() {
    let names = Arc::new(names(NamesConfig {
        dns: true,
        ..NamesConfig::default()
    }));
    std::thread::scope(|scope| {
        for t in 0..4u32 {
            let names = Arc::clone(&names);
            scope.spawn(move || {
                for n in 0..500u32 {
                    let ip = IpAddr::from((t << 16 | n).to_be_bytes());
                    names.learn_dns("a.example", ip, 60, 0);
                    assert_eq!(names.resolve(ip, 80, 0).dns, "a.example");
                }
            });
        }
    });
}
