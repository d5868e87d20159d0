//! A recording process as its dashboard meets it: the API of `gillnet tap --local`, with scripts.

#![allow(clippy::unwrap_used)] // a test that cannot run the binary has failed

mod support;

use futures_util::StreamExt;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const PATIENCE: Duration = Duration::from_secs(60);

/// A `tap --local` that reads a capture from its standard input, which stays open.
struct Tap {
    child: Child,
    address: String,
    token: String,
    /// Has the capture come again; while it is there, standard input stays open.
    again: mpsc::Sender<()>,
    home: tempfile::TempDir,
}

/// Writes a capture of HTTP exchanges, its frames over and over, so that no reader waits for more, and holds the pipe open.
fn feed(mut stdin: impl Write, again: &mpsc::Receiver<()>) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocols/src/http1/fixtures");
    let capture = fs::read(fixtures.join("nginx_and_python.pcap")).unwrap();
    let (head, frames) = capture.split_at(24);
    // one that ended early has said why
    let _ = stdin.write_all(head);
    loop {
        for _ in 0..60 {
            let _ = stdin.write_all(frames);
        }
        if again.recv().is_err() {
            return;
        }
    }
}

impl Tap {
    /// With a configuration, and scripts in the folder `scripts`.
    fn start(config: &str, scripts: &[(&str, &str)]) -> Tap {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        fs::write(path("gillnet.yaml"), config).unwrap();
        fs::create_dir(path("scripts")).unwrap();
        for (name, text) in scripts {
            fs::write(path("scripts").join(name), text).unwrap();
        }
        let options =
            "--read - --no-browser --listen 127.0.0.1:0 --metrics 127.0.0.1:0 --data-dir data";
        let mut child = Command::new(env!("CARGO_BIN_EXE_gillnet"))
            .args(["tap", "--local"])
            .args(options.split(' '))
            .env_clear()
            .env("HOME", home.path())
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (address, token) = support::address(&mut child);
        let stdin = child.stdin.take().unwrap();
        let (again, asked) = mpsc::channel();
        std::thread::spawn(move || feed(stdin, &asked));
        Tap {
            address: address.trim_start_matches("http://").into(),
            token,
            child,
            again,
            home,
        }
    }

    /// The answer to a request, and its status.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map_or_else(String::new, Value::to_string);
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (
            status,
            serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}")),
        )
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, None);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Waits until no more entries come; the newest of them. By time each repetition of an exchange stands beside the others.
    fn entries(&self, limit: usize) -> Vec<Value> {
        let (end, mut before) = (Instant::now() + PATIENCE, 0);
        loop {
            let page = self.get(&format!("/api/entries?limit={limit}"));
            let entries = page["entries"].as_array().unwrap();
            let now = page["matched"].as_u64().unwrap();
            if now > 0 && now == before {
                return entries.clone();
            }
            before = now;
            assert!(Instant::now() < end, "no entry came");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn complete(&self, text: &str) -> Value {
        let cursor = text.find('|').unwrap();
        let plain = text.replacen('|', "", 1);
        let (status, answer) = self.ask(
            "POST",
            "/api/kfl/complete",
            Some(&json!({ "kfl": plain, "cursor": cursor })),
        );
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// One entry in full.
    fn entry(&self, row: &Value, kfl: &str) -> Value {
        let id = row["id"].as_str().unwrap().replace('/', "%2F");
        self.get(&format!("/api/entries/{id}?kfl={kfl}"))
    }

    /// The first rows that the live feed has of a filter.
    fn live(&self, kfl: &str) -> Vec<Value> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let heard = async {
            let stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
            let url = format!("ws://{}/api/live?kfl={kfl}", self.address);
            let mut request = url.into_client_request().unwrap();
            let token = format!("Bearer {}", self.token).parse().unwrap();
            request.headers_mut().insert("authorization", token);
            let opened = tokio_tungstenite::client_async(request, stream).await;
            let mut socket: WebSocketStream<_> = opened.unwrap().0;
            loop {
                let Message::Text(text) = socket.next().await.unwrap().unwrap() else {
                    continue;
                };
                let message: Value = serde_json::from_str(&text).unwrap();
                match message["type"].as_str() {
                    Some("entries") => return message["entries"].as_array().unwrap().clone(),
                    // from now on it is told what comes
                    Some("status") => self.again.send(()).unwrap(),
                    other => panic!("{other:?}: {message}"),
                }
            }
        };
        let heard = async { tokio::time::timeout(PATIENCE, heard).await };
        runtime.block_on(heard).unwrap()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // one that has ended by itself needs no end
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn labels(answer: &Value) -> Vec<&str> {
    let items = answer["completions"].as_array().unwrap().iter();
    items.map(|item| item["label"].as_str().unwrap()).collect()
}

#[test]
fn the_api_completes_and_bounds_filters() {
    let tap = Tap::start(
        "capture: {ring: {size: 16Mi}}\n\
         tap: {globalFilter: 'redact(\"request.url\", \"request.path\")', defaultFilter: get, customMacros: {get: 'request.method == \"GET\"'}}",
        &[],
    );
    let entries = tap.entries(200);
    assert_eq!(tap.get("/api/status")["defaultFilter"], "get");
    for row in &entries {
        assert_eq!(row["summary"], "[REDACTED]", "{row}");
        assert!(
            row["src"]["ip"].is_string() && row["id"].is_string(),
            "{row}"
        );
    }
    let id = entries[0]["id"].as_str().unwrap().replace('/', "%2F");
    let entry = tap.get(&format!("/api/entries/{id}"));
    assert_eq!(
        (&entry["request"]["url"], &entry["notes"]),
        (&json!("[REDACTED]"), &json!([]))
    );
    assert_ne!(entry["request"]["method"], "[REDACTED]");
    let entry = tap.get(&format!(
        "/api/entries/{id}?kfl=redact(%22request.method%22)"
    ));
    assert_eq!(entry["request"]["method"], "[REDACTED]");
    // values by how often they occur, in quotes of the filter
    let answer = tap.complete("request.method == \"|\"");
    assert!(labels(&answer).contains(&"\"GET\""), "{answer}");
    let item = &answer["completions"][0];
    assert_eq!(
        (&item["kind"], &item["from"], &item["to"]),
        (&json!("value"), &json!(18), &json!(20))
    );
    assert!(labels(&tap.complete("http && status_code == |")).contains(&"200"));
    assert!(labels(&tap.complete("request.method == \"zz|")).is_empty());
    // what is hidden is not offered
    assert!(labels(&tap.complete("request.path == \"|\"")).is_empty());
    assert!(labels(&tap.complete("url == \"|\"")).is_empty());
    // names, tokens, errors
    let answer = tap.complete("ge|");
    assert_eq!(labels(&answer)[0], "get");
    assert_eq!(
        answer["tokens"][0],
        json!({ "offset": 0, "length": 2, "class": "name" })
    );
    assert_eq!(answer["errors"][0]["kind"], "name");
    let (_, answer) = tap.ask(
        "POST",
        "/api/kfl/validate",
        Some(&json!({ "kfl": "get && stauts_code == 1" })),
    );
    let error = &answer["errors"][0];
    assert_eq!(
        (&error["offset"], &error["length"]),
        (&json!(7), &json!(11))
    );
    assert_eq!(error["suggestion"], "did you mean \"status_code\"?");
    let (status, answer) = tap.ask("GET", "/api/entries?kfl=nosuch", None);
    assert_eq!(
        (status, &answer["error"]["errors"][0]["column"]),
        (400, &json!(1))
    );
    assert_eq!(
        tap.get("/api/entries?kfl=get")["matched"],
        tap.get("/api/entries?kfl=method%20==%20%22GET%22")["matched"]
    );
    // a changed configuration changes macros and filters
    fs::write(
        tap.home.path().join("gillnet.yaml"),
        "tap: {globalFilter: dns, customMacros: {post: 'request.method == \"POST\"'}}",
    )
    .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while tap.get("/api/entries")["matched"] != json!(0) {
        assert!(Instant::now() < end, "the configuration was not taken up");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(tap.ask("GET", "/api/entries?kfl=get", None).0, 400);
    assert_eq!(tap.ask("GET", &format!("/api/entries/{id}"), None).0, 404);
}

const SCRIPTED: &str = "capture: {ring: {size: 16Mi}}\nscripting: {source: scripts}";

#[test]
fn tests_of_scripts_mark_what_is_shown() {
    let tap = Tap::start(
        SCRIPTED,
        &[
            (
                "throws.js",
                "function onItemQueried(data) { data.nothing.at.all; }",
            ),
            ("loops.js", "function onItemQueried(data) { while (true); }"),
            (
                "pass_fail.js",
                "// Marks what failed\n\
                 function onItemQueried(data, filter) {\n\
                   if (data.protocol.name !== 'http' || filter === 'http and true') return;\n\
                   return kfl.match('response.status >= 400', data) ? test.fail(data) : test.pass(data);\n\
                 }",
            ),
        ],
    );
    let entries = tap.entries(1000);
    for row in &entries {
        let failed = row["statusCode"].as_i64().unwrap() >= 400;
        let mark = |name| row.get(name).cloned();
        let marks = (mark("failed"), mark("passed"));
        let yes = Some(json!(true));
        let expected = if failed { (yes, None) } else { (None, yes) };
        assert_eq!(marks, expected, "{row}");
        assert!(row["summary"].as_str().unwrap().starts_with('/'), "{row}");
    }
    let failed = |row: &&Value| row["failed"] == true;
    let row = entries.iter().find(failed).unwrap();
    let entry = tap.entry(row, "");
    assert_eq!(
        (&entry["failed"], &entry["passed"]),
        (&json!(true), &json!(false))
    );
    assert_eq!((&entry["notes"], &entry["id"]), (&json!([]), &row["id"]));
    let rows = tap.live("http");
    assert!(rows.iter().any(|row| row["failed"] == true), "{rows:?}");
    assert!(rows.iter().any(|row| row["passed"] == true), "{rows:?}");
    // where the script gives nothing, all is as ever
    let page = tap.get("/api/entries?limit=1&kfl=http%20and%20true");
    assert!(page["entries"][0].get("passed").is_none(), "{page}");
    // one that takes too long is paused and says so; one that throws says so
    let list = tap.get("/api/scripts");
    let script = |file: &str| {
        let mut all = list["scripts"].as_array().unwrap().iter();
        let is = |script: &&Value| script["file"].as_str().unwrap().ends_with(file);
        all.find(is).unwrap().clone()
    };
    let (loops, throws) = (script("loops.js"), script("throws.js"));
    assert_eq!(loops["state"], "paused", "{loops}");
    assert!(loops["drops"].as_u64().unwrap() > 0, "{loops}");
    assert!(throws["errors"].as_u64().unwrap() > 0, "{throws}");
}

const REDACT: &str = "// Redact\n\
    function onItemQueried(data) {\n\
      if (data.protocol.name !== 'http') return;\n\
      [data.request, data.response].forEach(function (message) {\n\
        for (var name in message.headers) if (name !== 'Host') message.headers[name] = '[redacted]';\n\
        for (var name in message.cookies) message.cookies[name] = '[redacted]';\n\
      });\n\
      data.request.url = data.request.url.replace(/=.*/, '=[redacted]');\n\
      if (data.response.content.mimeType === 'application/json') {\n\
        data.response.content.text = JSON.stringify({ a: '[redacted]' });\n\
        data.response.content.encoding = '';\n\
      }\n\
      return data;\n\
    }";

#[test]
fn what_scripts_redact_is_shown_nowhere() {
    let tap = Tap::start(SCRIPTED, &[("redact.js", REDACT)]);
    let entries = tap.entries(1000);
    let asked = |row: &&Value| row["summary"].as_str().unwrap().starts_with("/none");
    let row = entries.iter().find(asked).unwrap();
    assert_eq!(row["summary"], "/none?x=[redacted]");
    let entry = tap.entry(row, "");
    assert_eq!(
        entry["request"]["headers"],
        json!({ "Host": "127.0.0.1:18080", "User-Agent": "[redacted]", "Accept": "[redacted]" })
    );
    // also under a filter that it does not match
    assert_eq!(tap.entry(row, "dns"), entry);
    let json = |row: &&Value| row["summary"] == "/a.json";
    let row = entries.iter().find(json).unwrap();
    let text = r#"{"a":"[redacted]"}"#;
    assert_eq!(tap.entry(row, "")["response"]["content"]["text"], text);
    let rows = tap.live("http");
    assert!(
        rows.iter()
            .any(|row| row["summary"] == "/none?x=[redacted]"),
        "{rows:?}"
    );
    assert!(
        rows.iter().all(|row| row["summary"] != "/none?x=1"),
        "{rows:?}"
    );
}

#[test]
fn what_a_filter_hides_no_script_brings_back() {
    let tap = Tap::start(
        "capture: {ring: {size: 16Mi}}\nscripting: {source: scripts}\n\
         tap: {globalFilter: 'redact(\"request.url\", \"request.path\", \"request.targetUri\", \"request.pathSegments\")'}",
        &[(
            "leak.js",
            "var seen = {};\n\
             function key(data) { return data.stream + data.index; }\n\
             function onItemCaptured(data) { seen[key(data)] = JSON.parse(JSON.stringify(data.request)); }\n\
             function onItemQueried(data) {\n\
               data.copy = data.request;\n\
               data.mine = 'of the script';\n\
               if (seen[key(data)]) data.request = seen[key(data)];\n\
               return test.pass(data);\n\
             }",
        )],
    );
    let entries = tap.entries(200);
    assert!(entries.len() > 10);
    for row in &entries {
        assert_eq!(
            (&row["summary"], &row["passed"]),
            (&json!("[REDACTED]"), &json!(true))
        );
        assert_ne!(row["method"], "[REDACTED]");
    }
    for (row, kfl) in [
        (&entries[0], ""),
        (&entries[1], "redact(%22..['User-Agent']%22)"),
        (&entries[2], "dns"),
    ] {
        let entry = tap.entry(row, kfl);
        assert_eq!(entry["mine"], "of the script", "{entry}");
        for of in [&entry["request"], &entry["copy"]] {
            for name in ["url", "path", "targetUri", "pathSegments"] {
                assert_eq!(of[name], "[REDACTED]", "{kfl} {name}: {entry}");
            }
            let agent = of["headers"]["User-Agent"].as_str();
            let hidden = kfl.contains("User");
            assert!(
                agent.is_none_or(|text| (text == "[REDACTED]") == hidden),
                "{entry}"
            );
        }
    }
}

#[test]
fn a_page_does_not_wait_for_a_slow_script() {
    let slow = "function onItemQueried(data, filter) {\n\
          if (filter !== 'http') return;\n\
          for (var end = Date.now() + 100; Date.now() < end;);\n\
          return test.pass(data);\n\
        }";
    let tap = Tap::start(SCRIPTED, &[("slow.js", slow)]);
    assert!(tap.entries(200).len() > 100);
    let page = tap.get("/api/entries?limit=100&kfl=http");
    let rows = page["entries"].as_array().unwrap();
    let passed = rows.iter().filter(|row| row["passed"] == true).count();
    assert_eq!(rows.len(), 100);
    assert!(passed > 0 && passed < 100, "{passed}");
    assert_eq!(rows[0]["passed"], true);
    assert!(rows[99].get("passed").is_none());
    let script = &tap.get("/api/scripts")["scripts"][0];
    assert_eq!(script["drops"], 100 - passed, "{script}");
    let said = script["runs"][0]["lastError"].as_str().unwrap();
    assert!(said.contains("there was no time for"), "{said}");
}
