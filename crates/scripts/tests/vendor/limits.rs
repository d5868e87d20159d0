//! Bounds of time and size, connections, and what errors show.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use gillnet_scripts::vendor::{ErrorKind, Fetch, Limits, Vendors};
use serde_json::{Map, json};

use super::{
    allowing, config, map,
    sink::{Sink, reply},
};

fn limited(limits: Limits) -> Vendors {
    let mut config = config();
    config.allow_hosts = vec!["127.0.0.1".to_owned()];
    config.limits = limits;
    Vendors::new(config).unwrap()
}

#[test]
fn bodies_and_answers_have_limits() {
    let sink = Sink::new(|asked| (200, Vec::new(), vec![b'x'; asked.body.len() * 2]));
    let vendors = limited(Limits {
        request: 1000,
        answer: 1500,
        ..Limits::default()
    });
    let post = |size: usize| vendors.webhook("POST", &sink.url(), &"x".repeat(size), &Map::new());
    assert_eq!(post(750).unwrap().len(), 1500);
    let error = post(751).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(
        error.to_string().contains("has 1502 bytes; at most 1500"),
        "{error}"
    );
    let asked = sink.asked().len();
    let error = post(1001).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the body has 1001 bytes; at most 1000"),
        "{error}"
    );
    assert_eq!(sink.asked().len(), asked);
}

#[test]
fn calls_end_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let vendors = allowing(&["127.0.0.1"]).within(Duration::from_millis(300));
    let begun = Instant::now();
    let error = vendors
        .webhook("POST", &url, "{}", &Map::new())
        .unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(error.to_string().contains("0.3 s"), "{error}");
    let brokers = silent.local_addr().unwrap().to_string();
    let to = gillnet_scripts::vendor::Kafka {
        brokers: &brokers,
        ..Default::default()
    };
    let error = vendors
        .kafka(&to, "t", vec![Default::default()])
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    let port = silent.local_addr().unwrap().port();
    drop(silent);
    let error = vendors
        .webhook(
            "POST",
            &format!("http://127.0.0.1:{port}/hook?key=hush"),
            "",
            &Map::new(),
        )
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    let said = error.to_string();
    assert!(
        said.contains(&format!("http://127.0.0.1:{port} can't be reached"))
            && !said.contains("hush"),
        "{said}"
    );
}

#[test]
fn connections_are_used_again() {
    let sink = Sink::saying(200, "");
    let vendors = allowing(&["127.0.0.1"]);
    for _ in 0..5 {
        vendors
            .webhook("POST", &sink.url(), "{}", &Map::new())
            .unwrap();
        vendors
            .clone()
            .fetch(Fetch {
                url: sink.url(),
                ..Fetch::default()
            })
            .unwrap();
    }
    assert_eq!(sink.asked().len(), 10);
    assert!(sink.asked().iter().all(|asked| asked.connection == 0));
}

#[test]
fn no_proxy_of_the_environment_is_asked() {
    let sink = Sink::saying(200, "direct");
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "limits::inside_with_a_proxy",
            "--include-ignored",
        ])
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .env("GILLNET_TEST_URL", sink.url())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(sink.asked().len(), 1);
}

#[test]
#[ignore = "runs inside of no_proxy_of_the_environment_is_asked"]
fn inside_with_a_proxy() {
    let url = std::env::var("GILLNET_TEST_URL").unwrap();
    let answer = allowing(&["127.0.0.1"]).webhook("GET", &url, "", &Map::new());
    assert_eq!(answer.unwrap(), "direct");
}

#[test]
fn arguments_that_cannot_be_are_refused() {
    let vendors = allowing(&["127.0.0.1"]);
    let headers = |value: serde_json::Value| map(value);
    for (method, url, given, says) in [
        ("GET", "", json!({}), "no URL was given"),
        ("GET", "not a url hush", json!({}), "the URL is no URL"),
        (
            "GET",
            "ftp://127.0.0.1/",
            json!({}),
            "ftp:// can't be asked",
        ),
        ("GE T", "http://127.0.0.1/", json!({}), "is no HTTP method"),
        (
            "CONNECT",
            "http://127.0.0.1/",
            json!({}),
            "CONNECT is not taken",
        ),
        (
            "GET",
            "http://127.0.0.1/",
            json!({"a b": "x"}),
            "header's name",
        ),
        (
            "GET",
            "http://127.0.0.1/",
            json!({"a": "hush\nx"}),
            "header a has line ends",
        ),
        (
            "GET",
            "http://127.0.0.1/",
            json!({"Host": "other"}),
            "Host can't be set",
        ),
    ] {
        let error = vendors
            .webhook(method, url, "", &headers(given))
            .unwrap_err();
        let said = error.to_string();
        assert!(said.contains(says) && !said.contains("hush"), "{said}");
        assert!(said.starts_with("vendor.webhook: "), "{said}");
    }
}

#[test]
fn errors_hold_no_secret_that_an_answer_repeats() {
    let sink =
        Sink::new(|asked| reply(401, &format!("you said {}", asked.header("authorization"))));
    let vendors = allowing(&["127.0.0.1"]);
    let to = gillnet_scripts::vendor::Influx {
        url: &sink.url(),
        token: "hush-hush",
        org: "o",
        bucket: "b",
    };
    let error = vendors
        .influxdb(to, "m", &map(json!({"a": 1})), &Map::new())
        .unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Answer, Some(401)));
    let said = error.to_string();
    assert!(
        said.contains("answered 401: you said Token …") && !said.contains("hush"),
        "{said}"
    );
}
