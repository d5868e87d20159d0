//! How people meet the filter language: `gillnet kfl`, the configuration's macros and filters.

#![allow(clippy::unwrap_used)] // a test that cannot run the binary has failed

use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
