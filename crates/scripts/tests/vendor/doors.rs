//! What gets through the doors and what does not, over real connections.

use std::process::Command;

use gillnet_scripts::vendor::{ErrorKind, Fetch, Redirects, Vendors};
use serde_json::{Map, json};

use super::{
    allowing, config, map,
    sink::{Asked, Reply, Sink, reply},
};

fn fetch(url: &str) -> Fetch {
    Fetch {
        url: url.to_owned(),
        ..Fetch::default()
    }
}

fn moved(status: u16, to: &str) -> Reply {
    (status, vec![("location", to.to_owned())], Vec::new())
}

#[test]
fn only_what_is_allowed_is_asked() {
    let sink = Sink::saying(200, "there");
    let closed = Vendors::new(config()).unwrap();
    for (url, says) in [
        (sink.url(), "127.0.0.1"),
        (format!("http://localhost:{}/", sink.port), "localhost"),
        ("http://10.1.2.3/".to_owned(), "10.1.2.3"),
        ("https://elsewhere.example/".to_owned(), "elsewhere.example"),
    ] {
        for error in [
            closed.webhook("POST", &url, "{}", &Map::new()).unwrap_err(),
            closed.webhook_form("POST", &url, &Map::new()).unwrap_err(),
            closed.fetch(fetch(&url)).unwrap_err(),
            closed.slack(&url, &Default::default()).unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::Refused, "{error}");
            let said = error.to_string();
            assert!(
                said.contains(says) && said.contains("scripting.allowHosts"),
                "{said}"
            );
        }
    }
    assert!(sink.asked().is_empty());

    let host = format!("127.0.0.1:{}", sink.port);
    let open = allowing(&[&host]);
    assert_eq!(
        open.webhook("GET", &sink.url(), "", &Map::new()).unwrap(),
        "there"
    );
    let mut config = config();
    config.env = map(json!({"WEBHOOK_URL": format!("{}/path?key=1", sink.url())}));
    let named = Vendors::new(config).unwrap();
    assert_eq!(named.fetch(fetch(&sink.url())).unwrap().body, b"there");
}

#[test]
fn link_local_is_refused_however_it_is_allowed() {
    let all = allowing(&["*", "169.254.169.254", "127.0.0.1"]);
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://0xa9fea9fe/",
    ] {
        let error = all.fetch(fetch(url)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.to_string().contains("never allowed"), "{error}");
    }
}

/// Names of tests as a hosts file has them, seen by this process alone: the test runs itself again
/// where that file lies over the system's.
#[test]
fn names_are_judged_by_the_addresses_that_they_have() {
    const INSIDE: &str = "GILLNET_TEST_HOSTS";
    if std::env::var_os(INSIDE).is_none() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        std::fs::write(
            &hosts,
            "169.254.169.254 cloud.example\n127.0.0.1 rebound.example localhost\nfe80::1 six.example\n",
        )
        .unwrap();
        let program = std::env::current_exe().unwrap();
        let done = Command::new("unshare")
            .args([
                "--mount",
                "sh",
                "-c",
                "mount --bind \"$1\" /etc/hosts && exec \"$2\" --exact \"$3\" --nocapture",
                "sh",
            ])
            .arg(&hosts)
            .arg(program)
            .arg("doors::names_are_judged_by_the_addresses_that_they_have")
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned()
            + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let sink = Sink::saying(200, "there");
    let url = |name: &str| format!("http://{name}:{}/", sink.port);
    let named = allowing(&["*.example", "cloud.example"]);
    for (name, says) in [
        (
            "cloud.example",
            "cloud.example (169.254.169.254): link-local",
        ),
        ("six.example", "six.example (fe80::1): link-local"),
        (
            "rebound.example",
            "127.0.0.1, this host's loopback; add 127.0.0.1 to scripting.allowHosts",
        ),
    ] {
        let error = named.fetch(fetch(&url(name))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        let brokers = format!("{name}:{}", sink.port);
        let to = gillnet_scripts::vendor::Kafka {
            brokers: &brokers,
            ..Default::default()
        };
        let error = named.kafka(&to, "t", vec![Default::default()]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    }
    assert!(sink.asked().is_empty());
    let loopback = allowing(&["rebound.example", "127.0.0.1"]);
    assert_eq!(
        loopback
            .fetch(fetch(&url("rebound.example")))
            .unwrap()
            .status,
        200
    );
    // a store's endpoint, and where it was named, too
    let mut config = config();
    config
        .endpoints
        .insert("s3".to_owned(), url("cloud.example"));
    let vendors = Vendors::new(config).unwrap();
    let put =
        gillnet_scripts::vendor::S3Put::read(&["bucket", "f", "us-east-1", "AK", "SK"], &|_| true)
            .unwrap();
    let error = vendors.s3_put(&put, super::bytes("f", "x")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
}

#[test]
fn redirects_go_through_the_doors() {
    let inner = Sink::saying(200, "secret");
    let (closed, metadata) = (inner.url(), "http://169.254.169.254/".to_owned());
    let outer = Sink::new(move |asked| match asked.path() {
        "/closed" => moved(302, &closed),
        "/metadata" => moved(307, &metadata),
        "/file" => moved(302, "file:///etc/passwd"),
        _ => reply(200, ""),
    });
    let vendors = allowing(&[&format!("127.0.0.1:{}", outer.port)]);
    for path in ["/closed", "/metadata", "/file"] {
        let url = format!("{}{path}", outer.url());
        for error in [
            vendors.fetch(fetch(&url)).unwrap_err(),
            vendors
                .webhook("POST", &url, "{}", &Map::new())
                .unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::Refused, "{error}");
        }
    }
    assert!(inner.asked().is_empty());
}

#[test]
fn redirects_are_followed_as_browsers_do() {
    let other = Sink::saying(200, "other");
    let elsewhere = other.url();
    let sink = Sink::new(move |asked| match asked.path() {
        "/301" | "/302" | "/303" | "/307" | "/308" => {
            moved(asked.path()[1..].parse().unwrap(), "/end?x=1")
        }
        "/elsewhere" => moved(307, &elsewhere),
        "/round" => moved(302, "/round"),
        _ => reply(200, "end"),
    });
    let vendors = allowing(&["127.0.0.1"]);
    let post = |path: &str, redirects| {
        vendors.fetch(Fetch {
            method: "post".to_owned(),
            url: format!("{}{path}", sink.url()),
            headers: vec![
                ("Authorization".to_owned(), "Bearer t".to_owned()),
                ("X-Api-Key".to_owned(), "k".to_owned()),
                ("X-Plain".to_owned(), "p".to_owned()),
            ],
            body: Some(b"body".to_vec()),
            redirects,
        })
    };
    let last = |sink: &Sink| -> Asked { sink.asked().pop().unwrap() };
    for (path, method, body) in [
        ("/301", "GET", ""),
        ("/302", "GET", ""),
        ("/303", "GET", ""),
        ("/307", "POST", "body"),
        ("/308", "POST", "body"),
    ] {
        let answer = post(path, Redirects::Follow).unwrap();
        assert!(answer.redirected && answer.url.ends_with("/end?x=1"));
        let asked = last(&sink);
        assert_eq!(
            (asked.method.as_str(), asked.text().as_str()),
            (method, body),
            "{path}"
        );
        assert_eq!(asked.header("authorization"), "Bearer t");
    }
    assert_eq!(
        post("/elsewhere", Redirects::Follow).unwrap().body,
        b"other"
    );
    let asked = other.one();
    assert_eq!(asked.header("authorization"), "");
    assert_eq!(asked.header("x-api-key"), "");
    assert_eq!(asked.header("x-plain"), "p");

    let answer = post("/302", Redirects::Manual).unwrap();
    assert_eq!((answer.status, answer.redirected), (302, false));
    assert!(
        answer
            .headers
            .contains(&("location".to_owned(), "/end?x=1".to_owned()))
    );
    let error = post("/302", Redirects::Error).unwrap_err();
    assert_eq!(error.status, Some(302));
    let error = post("/round", Redirects::Follow).unwrap_err();
    assert!(error.to_string().contains("more than 10 times"), "{error}");
}

#[test]
fn configurations_that_are_wrong_say_where() {
    let mut wrong = config();
    wrong.allow_hosts = vec!["a b".to_owned()];
    let error = Vendors::new(wrong).unwrap_err().to_string();
    assert!(error.contains("scripting.allowHosts: \"a b\""), "{error}");
    for (key, value, says) in [
        ("s4", "http://x", "no such vendor"),
        ("s3", "x:9000", "give http://HOST"),
        ("gcs", "ftp://x", "give http://HOST"),
    ] {
        let mut wrong = config();
        wrong.endpoints.insert(key.to_owned(), value.to_owned());
        let error = Vendors::new(wrong).unwrap_err().to_string();
        assert!(
            error.contains(says) && error.contains(&format!("scripting.endpoints.{key}")),
            "{error}"
        );
    }
}
