//! Captures as a dashboard meets them: the API of `gillnet tap --pcap`.

#![allow(clippy::unwrap_used)] // a test that cannot run the binary has failed

mod support;

use serde_json::{Map, Value};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A `tap --pcap` of captures of HTTP and DNS.
struct Tap {
    child: Child,
    address: String,
    token: String,
    home: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Tap {
    fn start() -> Tap {
        let home = tempfile::tempdir().unwrap();
        let captures = home.path().join("captures");
        std::fs::create_dir(&captures).unwrap();
        for fixtures in ["http1", "dns"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(format!("../protocols/src/{fixtures}/fixtures"));
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|end| end == "pcap") {
                    std::fs::copy(&path, captures.join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_gillnet"))
            .args(["tap", "--no-browser", "--listen", "127.0.0.1:0", "--pcap"])
            .arg(&captures)
            .env_clear()
            .env("HOME", home.path())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (address, token) = support::address(&mut child);
        Tap {
            address,
            token,
            child,
            home,
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    /// The status and the body of an answer.
    fn ask(&self, path: &str, query: &[(&str, &str)], accept: &str) -> (u16, String) {
        let query = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)));
        let url = format!(
            "{}{path}?{}",
            self.address,
            query.collect::<Vec<_>>().join("&")
        );
        let asked = reqwest::Client::new()
            .get(url)
            .header("accept", accept)
            .bearer_auth(&self.token);
        self.runtime.block_on(async {
            let answer = asked.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    fn stats(&self, query: &[(&str, &str)]) -> Value {
        let (status, answer) = self.ask("/api/stats", query, "application/json");
        assert_eq!(status, 200, "{query:?}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    fn count(&self, kfl: &str) -> u64 {
        let answer = self.stats(&[("kfl", kfl), ("measures", "count")]);
        answer["entries"].as_u64().unwrap()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // one that has ended by itself needs no end
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A text as it stands in a query.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn rows(answer: &Value) -> Vec<(&Map<String, Value>, &Value)> {
    let rows = answer["rows"].as_array().unwrap().iter();
    let filters = answer["filters"].as_array().unwrap();
    assert_eq!(rows.len(), filters.len());
    rows.map(|row| row.as_object().unwrap())
        .zip(filters)
        .collect()
}

/// Filters of both spellings, and such as belong to either.
const FILTERS: [&str; 6] = [
    "",
    "http",
    "http && status_code == 200",
    "http and response.status == 200 or dns",
    "dst.port == 53",
    "dns // all of it",
];

/// What is grouped by, and whether an empty filter can be narrowed by it.
const GROUPS: [(&str, bool); 17] = [
    ("dst.name", true),
    ("dst.ip", true),
    ("src.port,dst.ip", true),
    ("dst.port", true),
    ("protocol", true),
    ("protocol.abbr", true),
    ("tls", true),
    ("elapsedTime", true),
    ("requestSize", true),
    ("path", true),
    ("request.path", true),
    ("response.status", true),
    ("http.request.url", true),
    ("error.type", true),
    // these are of several protocols
    ("method", false),
    ("statusCode", false),
    ("ok", false),
];

#[test]
fn filters_of_groups_have_just_these_entries() {
    let tap = Tap::start();
    for filter in FILTERS {
        for (by, narrows) in GROUPS {
            let asked = [
                ("kfl", filter),
                ("by", by),
                ("measures", "count"),
                ("filters", "true"),
                ("top", "12"),
            ];
            let answer = tap.stats(&asked);
            let mut narrowed = 0;
            for (row, filters) in rows(&answer) {
                let count = row["count"].as_u64().unwrap();
                if let Some(only) = filters["only"].as_str() {
                    assert_eq!(tap.count(only), count, "{only}");
                    narrowed += 1;
                }
                if let Some(without) = filters["without"].as_str() {
                    let rest = answer["entries"].as_u64().unwrap() - count;
                    assert_eq!(tap.count(without), rest, "{without}");
                }
            }
            if filter.is_empty() {
                assert_eq!(narrowed > 0, narrows, "{by}: {answer}");
            }
        }
    }
    let answer = tap.stats(&[
        ("by", "dst.ip"),
        ("filters", "true"),
        ("kfl", "redact(\"dst\")"),
    ]);
    assert!(
        answer.get("filters").is_none(),
        "what is hidden is not asked for: {answer}"
    );
}

#[test]
fn statistics_say_what_is_missing_and_come_in_lines() {
    let tap = Tap::start();
    let (_, status) = tap.ask("/api/status", &[], "");
    let status: Value = serde_json::from_str(&status).unwrap();
    let (first, last) = (&status["span"]["first"], &status["span"]["last"]);
    let (first, last) = (first.as_str().unwrap(), last.as_str().unwrap());
    let all = tap.stats(&[("measures", "count")]);
    let count = |since, until| {
        let asked = [("measures", "count"), ("since", since), ("until", until)];
        tap.stats(&asked)["entries"].as_u64().unwrap()
    };
    let whole = all["entries"].as_u64().unwrap();
    assert_eq!((count("", first), count(first, "")), (0, whole));
    assert!((1..whole).contains(&count(first, last)));
    let notes = all["notes"].to_string();
    assert!(notes.contains("gap"), "a capture with a hole: {notes}");

    let lines = "application/x-ndjson";
    let (status, text) = tap.ask("/api/stats", &[("by", "dst.port")], lines);
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((status, &last["partial"]), (200, &Value::Bool(false)));
    assert_eq!(last["entries"], all["entries"]);
    let (status, text) = tap.ask("/api/stats", &[("by", "nothing.there")], lines);
    assert!(status == 400 && text.contains("nothing.there"), "{text}");

    // what can't be read any more is a failure, not a smaller number
    std::fs::remove_dir_all(tap.home.path().join("captures")).unwrap();
    let (status, text) = tap.ask("/api/stats", &[], lines);
    assert_eq!(status, 502, "{text}");
}
