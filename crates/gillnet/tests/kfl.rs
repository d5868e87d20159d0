//! How people meet the filter language: `gillnet kfl`, the configuration's macros and filters, and the API.

#![allow(clippy::unwrap_used)] // a test that cannot run the binary has failed

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// One exchange: GET with a user agent, answered with 200.
fn capture() -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocols/src/http1/fixtures");
    fixtures.join("nginx_and_python.pcap")
}

/// A folder with a configuration.
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: &str) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::write(home.0.path().join("gillnet.yaml"), config).unwrap();
        home
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gillnet"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.0.path())
            .current_dir(self.0.path());
        command
    }

    fn run(&self, args: &[&str], stdin: &str) -> (i32, String, String) {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }
}

#[test]
fn check_says_what_is_wrong() {
    let home = Home::new("tap: {customMacros: {mine: 'http and response.status >= 500'}}");
    let (code, out, _) = home.run(
        &["kfl", "check", "http and mine", "dns && dst.port == 53"],
        "",
    );
    assert_eq!(
        (code, &*out),
        (
            0,
            "ok (kfl1): http and mine\nok (kfl2): dns && dst.port == 53\n"
        )
    );
    let (code, out, _) = home.run(
        &["kfl", "check", "dns", "http and respnse.status == 500"],
        "",
    );
    assert_eq!(code, 1);
    assert_eq!(
        out,
        r#"ok (kfl2): dns
error (kfl1): http and respnse.status == 500
  1:10: unknown field "respnse.status"; did you mean "response.status"?
    http and respnse.status == 500
             ^^^^^^^^^^^^^^
"#
    );
    let (code, out, _) = home.run(&["kfl", "check", "-"], "dns and http\n  or http\n");
    assert_eq!(code, 0);
    assert!(
        out.starts_with("warning (kfl1): dns and http or http\n"),
        "{out}"
    );
    assert!(
        out.contains("this is read as dns and (http or http)"),
        "{out}"
    );
    let (code, out, _) = home.run(
        &[
            "kfl",
            "check",
            "-o",
            "json",
            "--lang",
            "kfl2",
            "http && méthod == 1",
        ],
        "",
    );
    assert_eq!(code, 1);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["ok"], json!(false));
    let error = &found["errors"][0];
    assert_eq!(
        (&error["offset"], &error["line"], &error["column"]),
        (&json!(9), &json!(1), &json!(10))
    );
    assert_eq!(error["kind"], json!("syntax"));
    let (code, _, _) = home.run(
        &["kfl", "check", "--lenient", "http and response.nosuch == 1"],
        "",
    );
    assert_eq!(code, 0);
    assert_eq!(home.run(&["kfl", "check"], "").0, 2);
    assert_eq!(
        home.run(&["kfl", "check", "http", "--lang", "kfl3"], "").0,
        2
    );
}

#[test]
fn explain_shows_the_tree_and_the_plan() {
    let home = Home::new("");
    let (code, out, _) = home.run(
        &["kfl", "explain", "http and dst.namespace == \"shop\""],
        "",
    );
    assert_eq!(code, 0);
    assert_eq!(
        out,
        r#"KFL1: it is not valid as KFL2: 1:6: unexpected token "and"

and                         bool    entry
├─ http                     bool    entry  (http, http2)
└─ dst.namespace == "shop"  bool    flow
   └─ dst.namespace         string  flow

packets         all
protocols       http, http2
bodies          no
redacts         no
index           dst.namespace
indexDecides    yes
"#
    );
    let (code, out, _) = home.run(
        &["kfl", "explain", "-o", "json", "dns && status_code == 3"],
        "",
    );
    assert_eq!(code, 0);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&found["lang"], &found["tree"]["parts"][0]["stage"]),
        (&json!("kfl2"), &json!("stream head"))
    );
    assert_eq!(found["plan"]["protocols"], json!(["dns"]));
    assert_eq!(
        (&found["plan"]["index"], &found["plan"]["indexDecides"]),
        (&json!(["response.rcode", "response.status"]), &json!(true))
    );
    let (_, out, _) = home.run(
        &["kfl", "explain", r#"request.headers["a"] == "b" and http"#],
        "",
    );
    assert!(
        out.contains("index           no column\nindexDecides    no\n"),
        "{out}"
    );
    let (code, out, err) = home.run(&["kfl", "explain", "http &&"], "");
    assert_eq!((code, &*out), (1, ""));
    assert!(err.contains("1:8: unexpected token"), "{err}");
}

#[test]
fn fmt_prints_the_canonical_form() {
    let home = Home::new("");
    let (code, out, _) = home.run(
        &["kfl", "fmt", "-"],
        "// web\n dns  and http or 'x'==src.name\n",
    );
    assert_eq!(
        (code, &*out),
        (0, "// web\ndns and (http or \"x\" == src.name)\n")
    );
    let (code, _, err) = home.run(&["kfl", "fmt", "http && (dns // names\n || tls)"], "");
    assert_eq!(code, 1);
    assert!(err.contains("1:14: a comment inside a term"), "{err}");
}

/// The configuration's macros and filters are looked at before anything runs, and an error names the key.
#[test]
fn what_is_wrong_in_the_configuration_is_named() {
    let file = capture();
    let query = ["query", "http", file.to_str().unwrap(), "--count"];
    for (config, key, code) in [
        (
            "tap: {globalFilter: 'http and respnse.status == 1'}",
            "tap.globalFilter is wrong\n1:10:",
            2,
        ),
        (
            "tap: {defaultFilter: 'http and'}",
            "tap.defaultFilter is wrong\n1:9:",
            2,
        ),
        (
            "tap: {customMacros: {my-macro: http}}",
            "tap.customMacros.my-macro: a macro's name",
            2,
        ),
        (
            "tap: {customMacros: {bad: 'htpp or dns'}}",
            "tap.customMacros.bad is wrong\n1:1:",
            0,
        ),
    ] {
        let (found, _, err) = Home::new(config).run(&query, "");
        assert_eq!(found, code, "{err}");
        assert!(err.contains(key), "{err}");
    }
    let home = Home::new("tap: {customMacros: {bad: 'htpp or dns'}}");
    let (code, _, err) = home.run(&["query", "bad", file.to_str().unwrap()], "");
    assert_eq!(code, 2);
    assert!(
        err.contains("1:1: in macro \"bad\": unknown field \"htpp\""),
        "{err}"
    );
    // a rule of nothing is no rule of everything
    let home = Home::new("recording: {rules: [{name: a, kfl: ' ', destination: 'file:///tmp/x'}]}");
    let (code, _, err) = home.run(&["worker", "--read", file.to_str().unwrap()], "");
    assert_eq!(code, 2);
    assert!(err.contains("the rule `a` has no filter"), "{err}");
    let home = Home::new(
        "recording: {rules: [{name: a, kfl: 'http and respnse', destination: 'file:///tmp/x'}]}",
    );
    let (code, _, err) = home.run(&["worker", "--read", file.to_str().unwrap()], "");
    assert_eq!(code, 2);
    assert!(
        err.contains("the rule `a`") && err.contains("1:10: unknown field"),
        "{err}"
    );
}

#[test]
fn queries_are_inside_the_global_filter() {
    let file = capture();
    let file = file.to_str().unwrap();
    let all = Home::new("").run(&["query", "", file, "--count"], "").1;
    let hidden = r#"tap: {globalFilter: "http and redact(\"request.url\", \"..['User-Agent']\")"}"#;
    let home = Home::new(hidden);
    let (code, out, _) = home.run(&["query", "", file], "");
    assert_eq!(
        (code, out.lines().count().to_string()),
        (0, all.trim().into())
    );
    for line in out.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["request"]["url"], "[REDACTED]");
    }
    let (_, out, _) = home.run(
        &[
            "query",
            "http and redact('request.method')",
            file,
            "-o",
            "table",
            "--columns",
            "request.url,method,src.ip",
        ],
        "",
    );
    let mut rows = out.lines();
    assert_eq!(rows.next(), Some("request.url\tmethod\tsrc.ip"));
    let row = rows.next().unwrap();
    assert!(
        row.starts_with("[REDACTED]\t[REDACTED]\t") && !row.ends_with('-'),
        "{row}"
    );
    let (_, out, _) = home.run(&["query", "http", file, "--columns", "url,status_code"], "");
    let row: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(row["url"], "[REDACTED]");
    assert!(row["status_code"].is_i64(), "{row}");
    let (code, _, err) = home.run(&["query", "http", file, "--columns", "src.pod.name"], "");
    assert_eq!(code, 2);
    assert!(
        err.contains("`src.pod.name`") && err.contains("redact()"),
        "{err}"
    );
    let none = Home::new("tap: {globalFilter: dns}");
    assert_eq!(none.run(&["query", "", file, "--count"], "").1, "0\n");
    // macros hold in both spellings, as words of their own
    let home = Home::new("tap: {customMacros: {get: 'request.method == \"GET\"', st: 'nosuch'}}");
    let gets = home
        .run(&["query", "method == 'GET'", file, "--count"], "")
        .1;
    assert_ne!(gets, "0\n");
    for text in [
        "get",
        "http and get",
        "http && get",
        "(get) and src.name != \"get\" and request.path != \"/st\"",
    ] {
        assert_eq!(
            home.run(&["query", text, file, "--count"], "").1,
            gets,
            "{text}"
        );
    }
}

/// A `tap --local` that reads a capture from its standard input, which stays open.
struct Tap {
    child: Child,
    address: String,
    token: String,
    /// While it is there, standard input stays open.
    _open: mpsc::Sender<()>,
}

/// Writes a capture, its frames over and over, so that no reader waits for more, and holds the pipe open.
fn feed(mut stdin: impl Write, stopped: &mpsc::Receiver<()>) {
    let capture = fs::read(capture()).unwrap();
    let (head, frames) = capture.split_at(24);
    // one that ended early has said why
    let _ = stdin.write_all(head);
    for _ in 0..60 {
        let _ = stdin.write_all(frames);
    }
    let _ = stopped.recv();
}

impl Tap {
    fn start(home: &Home) -> Tap {
        let mut child = home
            .command(&[
                "tap",
                "--local",
                "--read",
                "-",
                "--no-browser",
                "--listen",
                "127.0.0.1:0",
                "--metrics",
                "127.0.0.1:0",
                "--data-dir",
                "data",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (address, token) = line.trim().split_once("/?token=").unwrap();
        let stdin = child.stdin.take().unwrap();
        let (stop, stopped) = mpsc::channel();
        std::thread::spawn(move || feed(stdin, &stopped));
        Tap {
            address: address.trim_start_matches("http://").into(),
            token: token.into(),
            child,
            _open: stop,
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

    /// Waits until no more entries come.
    fn entries(&self) -> Vec<Value> {
        let (end, mut before) = (Instant::now() + Duration::from_secs(60), 0);
        loop {
            let page = self.get("/api/entries");
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
    let home = Home::new(
        "capture: {ring: {size: 16Mi}}\n\
         tap: {globalFilter: 'redact(\"request.url\", \"request.path\")', defaultFilter: get, customMacros: {get: 'request.method == \"GET\"'}}",
    );
    let tap = Tap::start(&home);
    let entries = tap.entries();
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
        home.0.path().join("gillnet.yaml"),
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
