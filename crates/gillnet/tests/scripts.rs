//! How people meet scripts: `gillnet scripts`, `gillnet console`, over a process with scripts behind its API.

#![allow(clippy::unwrap_used)] // a test that cannot run the binary has failed

#[path = "../../api/tests/support/mod.rs"]
mod support;

use gillnet_scripts::Scripts;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::{TOKEN, config, scripts, serve};

const PATIENCE: Duration = Duration::from_secs(60);

/// HTTP exchanges with nginx and others.
fn capture() -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocols/src/http1/fixtures");
    let file = fixtures.join("nginx_and_python.pcap");
    file.to_str().unwrap().to_owned()
}

/// A folder with a configuration and files.
struct Home(tempfile::TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir(home.path("scripts")).unwrap();
        for (name, text) in files {
            fs::write(home.path(name), text).unwrap();
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
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
        // one that reads nothing needs nothing
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let home = Home::new(&[
        (
            "good.js",
            "// fine\nfunction onItemCaptured(data) { vendor.webhook('GET', 'u'); }",
        ),
        (
            "bad.js",
            "var a;\n  vendor.s4.put('x')\nfunction onItemCapture(d) {}\n",
        ),
        ("worse.js", "var a = 1;\nvar b = ;\n"),
    ]);
    let (code, out, _) = home.run(&["scripts", "check", "good.js"], "");
    assert_eq!((code, &*out), (0, "good.js: ok\n"));
    let (code, out, _) = home.run(&["scripts", "check", "good.js", "bad.js", "worse.js"], "");
    assert_eq!(code, 1);
    let (known, syntax) = out.split_once("worse.js:").unwrap();
    assert_eq!(
        known,
        "good.js: ok\n\
         bad.js:2:3: there is no helper vendor.s4.put; did you mean vendor.s3.put?\n    \
           vendor.s4.put('x')\n    ^\n\
         bad.js:3:10: there is no hook onItemCapture; did you mean onItemCaptured?\n  \
           function onItemCapture(d) {}\n           ^\n"
    );
    assert!(
        syntax.starts_with("2:9: SyntaxError: ") && syntax.ends_with("  var b = ;\n          ^\n"),
        "{syntax}"
    );
    let (code, out, _) = home.run(&["scripts", "check", "-", "-o", "json"], "\n}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &found["ok"], &found["errors"][0]["line"]),
        (1, &json!(false), &json!(2))
    );
    assert_eq!(home.run(&["scripts", "check"], "").0, 2);
    let (code, _, err) = home.run(&["scripts", "check", "none.js"], "");
    assert!(
        code == 1 && err.contains("the script none.js cannot be read"),
        "{err}"
    );
}

const RECORDER: &str = "// Recorder\n\
    var began = Date.now();\n\
    file.mkdir('kept');\n\
    function onItemCaptured(data) {\n  \
        if (kfl.match(env.RECORDING_KFL, data)) file.copy(pcap.path(data.stream), 'kept/' + data.stream);\n\
    }\n\
    function upload() {\n  \
        vendor.gcs.put(env.GCS_BUCKET, pcap.snapshot([], 'kept'), env.GCS_SA_KEY_JSON);\n  \
        prometheus.metric('uploads', 'how many', 1, 1, { n: env.N + 1 });\n  \
        console.log(new Date(began).toISOString() < '2025');\n\
    }\n\
    jobs.schedule('Upload', '0 0 0 1 1 *', upload);\n\
    console.error('begun');";

#[test]
fn run_shows_what_a_script_would_do() {
    let config = "scripting: {env: {RECORDING_KFL: http, GCS_BUCKET: bucket, GCS_SA_KEY_JSON: secret, N: 3}}";
    let home = Home::new(&[("recorder.js", RECORDER), ("gillnet.yaml", config)]);
    let capture = capture();
    let run = |more: &[&str]| {
        let usual = [
            "scripts",
            "run",
            "recorder.js",
            "--pcap",
            &capture,
            "--dry-run",
        ];
        home.run(&[&usual, more].concat(), "")
    };
    let (code, out, err) = run(&["--jobs", "--data-dir", "out"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.lines().any(|line| line.ends_with("-0:ERROR] begun")),
        "{err}"
    );
    for line in [
        "-0] Scheduled the job: \"upload\" for cron: \"0 0 0 1 1 *\" (limit: infinite)\n",
        ".pcap to bucket\n",
        "\nscript 0  Recorder; records what RECORDING_KFL says\n",
        "    onItemCaptured  14 calls, 0 dropped\n",
        "\njob upload  0 0 0 1 1 *  1 runs, next ",
        "\nfile kept/000000000000.pcap  ",
        "\nmetric uploads{n=\"4\"} 1\n",
    ] {
        assert!(out.contains(line), "{line:?} is not in {out}");
    }
    assert_eq!(
        out.matches("(dry run) vendor.gcs.put: ").count(),
        1,
        "{out}"
    );
    assert!(
        !out.contains("secret") && !out.contains("the files were removed"),
        "{out}"
    );
    // the files are those of the streams that matched: the same entries come out of them
    let kept = home.path("out/kept");
    let count = |source: &str| home.run(&["query", "http", source, "--count"], "").1;
    assert_eq!(count(kept.to_str().unwrap()), count(&capture));

    let (code, out, err) = run(&["-o", "json"]);
    assert_eq!(code, 0, "{err}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["console"].as_array().unwrap().len(), 2, "{found}");
    assert_eq!(found["jobs"][0]["runs"], 0, "no job is due before its time");
    assert_eq!(
        found["scripts"][0]["runs"][0]["calls"],
        json!([{ "hook": "onItemCaptured", "called": 14, "dropped": 0 }])
    );
    assert!(
        found["files"]
            .as_array()
            .unwrap()
            .iter()
            .any(|file| file["name"] == "kept/000000000000.pcap")
    );
}

#[test]
fn run_fails_where_a_script_does() {
    let home = Home::new(&[
        (
            "throws.js",
            "function onItemCaptured(data) { nothing.at.all; }",
        ),
        ("broken.js", "var a = ;"),
    ]);
    fs::create_dir(home.path("other")).unwrap();
    fs::write(home.path("other/throws.js"), "console.log('also here')").unwrap();
    let capture = capture();
    let (code, out, err) = home.run(
        &[
            "scripts",
            "run",
            "throws.js",
            "other/throws.js",
            "-p",
            &capture,
        ],
        "",
    );
    assert_eq!(code, 1);
    assert!(
        err.contains("(hook=onItemCaptured)") && err.contains("nothing"),
        "{err}"
    );
    assert!(
        out.contains("-1] also here") && out.contains("14 errors"),
        "{out}"
    );
    let (code, out, err) = home.run(&["scripts", "run", "broken.js", "-p", &capture], "");
    assert!(code == 1 && out.contains("failed to load: "), "{out} {err}");
    assert_eq!(home.run(&["scripts", "run", "throws.js"], "").0, 2);
    let (code, _, err) = home.run(&["scripts", "run", "throws.js", "-p", "none.pcap"], "");
    assert!(code == 2 && err.contains("none.pcap"), "{err}");
    fs::write(
        home.path("gillnet.yaml"),
        "scripting: {env: {KEY: {file: none.json}}}",
    )
    .unwrap();
    let (code, _, err) = home.run(&["scripts", "run", "throws.js", "-p", &capture], "");
    assert!(
        code != 0 && err.contains("KEY") && err.contains("none.json"),
        "{err}"
    );
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let home = Home::new(&[]);
    for (args, stdin, code) in [
        (&["scripts", "check", "-"][..], "var a = ;", 1),
        (&["scripts", "check", "-", "-o", "json"], "var a;", 0),
        (&["scripts", "types"], "", 0),
        (&["kfl", "check", "-"], "htpp", 1),
        (&["kfl", "check", "-", "-o", "json"], "http", 0),
        (&["kfl", "explain", "-"], "http and dns", 0),
        (&["kfl", "explain", "-", "-o", "json"], "http or", 1),
        (&["kfl", "fmt", "-"], "http", 0),
    ] {
        let mut child = home
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // the reader goes before anything can be written
        drop(child.stdout.take());
        let mut input = child.stdin.take().unwrap();
        // one that reads nothing needs nothing
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*err), (Some(code), ""), "{args:?}");
    }
}

/// A process with scripts behind its API.
struct Process {
    at: SocketAddr,
    scripts: Scripts,
    served: tokio::task::JoinHandle<()>,
    runtime: tokio::runtime::Runtime,
}

impl Process {
    fn start(home: &Home, at: SocketAddr) -> Process {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let scripts = scripts(home.0.path(), |_| ());
        let (at, served) = runtime.block_on(serve(at, Some(scripts.clone())));
        Process {
            at,
            scripts,
            served,
            runtime,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/?token={TOKEN}", self.at)
    }

    /// Ends it, and all of its connections.
    fn end(self) -> SocketAddr {
        self.served.abort();
        self.scripts.stop();
        self.runtime.shutdown_timeout(PATIENCE);
        self.at
    }
}

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

#[test]
fn scripts_of_a_running_process_are_listed_and_changed() {
    let home = Home::new(&[
        (
            "scripts/a.js",
            "// First\njobs.schedule('My Job', '0 0 0 1 1 *', function () { console.log('job ran'); }, 2);\nfunction onItemCaptured(d) {}",
        ),
        ("new.js", "// Added\nconsole.log('added ran');"),
        ("newer.js", "// Added\nconsole.log('changed ran');"),
        ("bad.js", "\n }"),
        ("token", &format!("{TOKEN}\n")),
    ]);
    let process = Process::start(&home, ANY.into());
    let url = process.url();
    let gillnet = |args: &[&str], stdin: &str| {
        let all = [&["scripts"], args, &["--url", &url]].concat();
        let (code, out, err) = home.run(&all, stdin);
        assert_eq!(code, 0, "{args:?}: {err}");
        out
    };
    let out = gillnet(&["list"], "");
    let mut rows = out
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap()[..4], ["NO", "STATE", "TITLE", "HOOKS"]);
    assert_eq!(
        rows.next().unwrap()[..8],
        [
            "0",
            "running",
            "First",
            "onItemCaptured",
            "my-job",
            "0",
            "0",
            "0"
        ]
    );
    let out = gillnet(&["jobs"], "");
    let row = out.lines().nth(1).unwrap();
    assert!(
        row.starts_with("my-job  0       worker  0 0 0 1 1 *  0 of 2  ")
            && row.ends_with("-01-01T00:00:00Z"),
        "{out}"
    );
    assert!(gillnet(&["show", "First"], "").starts_with("// First\n"));
    assert_eq!(
        gillnet(&["add", "new.js"], ""),
        "added 1 (Added): running\n"
    );
    assert_eq!(
        gillnet(&["deactivate", "Added"], ""),
        "deactivated 1 (Added): inactive\n"
    );
    assert_eq!(
        gillnet(&["activate", "added.js"], ""),
        "activated 1 (Added): running\n"
    );
    assert_eq!(
        gillnet(&["change", "1", "newer.js"], ""),
        "changed 1 (Added): running\n"
    );
    let changed: Value =
        serde_json::from_str(&gillnet(&["change", "1", "-", "-o", "json"], "// Other")).unwrap();
    assert_eq!(changed["title"], "Other");
    let shown: Value =
        serde_json::from_str(&gillnet(&["show", "Other", "-o", "json"], "")).unwrap();
    assert_eq!(shown["text"], "// Other");
    assert_eq!(gillnet(&["delete", "Other"], ""), "deleted 1\n");
    let list: Value = serde_json::from_str(&gillnet(&["list", "-o", "json"], "")).unwrap();
    assert_eq!(list["scripts"].as_array().unwrap().len(), 1);
    gillnet(&["run-job", "My Job"], "");
    let end = Instant::now() + PATIENCE;
    while !process
        .scripts
        .console()
        .lines()
        .iter()
        .any(|line| line.ends_with("job ran"))
    {
        assert!(
            Instant::now() < end,
            "{:?}",
            process.scripts.console().lines()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(
        home.run(&["scripts", "types"], "").1,
        gillnet_scripts::TYPES
    );

    // what goes wrong
    let bare = format!("http://{}", process.at);
    for (args, code, says) in [
        (&["list", "--url", &*bare][..], 4, "needs its token"),
        (
            &["list", "--url", "http://127.0.0.1:1"],
            4,
            "no Gillnet answers at http://127.0.0.1:1/",
        ),
        (&["list", "--url", "somewhere"], 2, "--url is no address"),
        (
            &["list", "--url", &bare, "--token-file", "none"],
            2,
            "the token file none",
        ),
        (
            &["show", "Nothing", "--url", &url],
            1,
            "there is no script `Nothing`",
        ),
        (&["delete", "7", "--url", &url], 1, "there is no script 7"),
        (&["add", "bad.js", "--url", &url], 1, "bad.js:2:2: "),
        (
            &["run-job", "none", "--url", &url],
            1,
            "there is no job \"none\"",
        ),
    ] {
        let (found, out, err) = home.run(&[&["scripts"], args].concat(), "");
        assert_eq!((found, &*out), (code, ""), "{args:?}: {err}");
        assert!(
            err.contains(says) && !err.contains(TOKEN),
            "{args:?}: {err}"
        );
    }
    assert_eq!(
        home.run(
            &["scripts", "list", "--url", &bare, "--token-file", "token"],
            ""
        )
        .0,
        0
    );
    let with = |key: &str, value: &str| {
        let mut command = home.command(&["scripts", "list", "--url", &bare]);
        command.env(key, value).output().unwrap().status.code()
    };
    assert_eq!(with("GILLNET_TOKEN", TOKEN), Some(0));
    assert_eq!(with("GILLNET_TOKEN", "0123456789abcdee"), Some(4));
    fs::write(
        home.path("gillnet.yaml"),
        format!("api: {{token: '{TOKEN}'}}"),
    )
    .unwrap();
    assert_eq!(with("NOTHING", ""), Some(0));
    process.end();
}

/// A `gillnet console -f` and what it prints.
struct Following {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // a test that has ended reads no more
            let _ = to.send(line);
        }
    });
    lines
}

impl Following {
    fn start(home: &Home, url: &str) -> Following {
        let mut command = home.command(&["console", "-f", "--url", url]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Following {
            out: lines(child.stdout.take().unwrap()),
            err: lines(child.stderr.take().unwrap()),
            child,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // one that has ended by itself needs no end
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_console_is_printed_and_followed() {
    let home = Home::new(&[(
        "scripts/a.js",
        "console.log('one'); console.error('two');\n\
         jobs.schedule('say', '0 0 0 1 1 *', function () { console.log('three'); });\n\
         jobs.schedule('clear', '0 0 0 1 1 *', function () { console.clear(); console.log('four'); });",
    )]);
    let process = Process::start(&home, ANY.into());
    assert!(process.scripts.settle(PATIENCE));
    let url = process.url();
    let scheduled = |tag: &str| {
        format!("[node-0] Scheduled the job: \"{tag}\" for cron: \"0 0 0 1 1 *\" (limit: infinite)")
    };
    let (code, out, err) = home.run(&["console", "--url", &url], "");
    assert_eq!(
        (code, out, &*err),
        (
            0,
            format!(
                "[node-0] one\n{}\n{}\n",
                scheduled("say"),
                scheduled("clear")
            ),
            "[node-0:ERROR] two\n"
        )
    );
    let following = Following::start(&home, &url);
    let said = |from: &Receiver<String>| from.recv_timeout(PATIENCE).unwrap();
    assert_eq!(said(&following.out), "[node-0] one");
    assert_eq!(said(&following.err), "[node-0:ERROR] two");
    assert_eq!(
        [said(&following.out), said(&following.out)],
        ["say", "clear"].map(scheduled)
    );
    process.scripts.run_job("say").unwrap();
    assert_eq!(said(&following.out), "[node-0] three");

    // the process goes, and comes again where it was, with a line more; none is printed twice
    let at = process.end();
    assert_eq!(
        said(&following.err),
        "gillnet: the connection broke; trying again"
    );
    fs::write(home.path("scripts/a.js"), "console.log('anew'); jobs.schedule('say', '@yearly', function () { console.log('five'); });").unwrap();
    let process = Process::start(&home, at);
    assert_eq!(said(&following.err), "gillnet: connected again");
    assert_eq!(said(&following.out), "[node-0] anew");
    assert!(said(&following.out).starts_with("[node-0] Scheduled the job: \"say\""));
    process.scripts.run_job("say").unwrap();
    assert_eq!(said(&following.out), "[node-0] five");

    // only the connection breaks: what was said meanwhile is caught up with
    let Process {
        at,
        scripts,
        served,
        runtime,
    } = process;
    served.abort();
    runtime.shutdown_timeout(PATIENCE);
    assert_eq!(
        said(&following.err),
        "gillnet: the connection broke; trying again"
    );
    scripts.run_job("say").unwrap();
    assert!(scripts.settle(PATIENCE));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = runtime.block_on(serve(at, Some(scripts.clone()))).1;
    assert_eq!(said(&following.err), "gillnet: connected again");
    assert_eq!(said(&following.out), "[node-0] five");
    scripts.run_job("say").unwrap();
    assert_eq!(said(&following.out), "[node-0] five");
    assert!(following.out.try_recv().is_err());
    served.abort();

    let mut config = config(home.0.path());
    config.console = false;
    scripts.configure(&config).unwrap();
    let served = runtime.block_on(serve(ANY.into(), Some(scripts)));
    let url = format!("http://{}/?token={TOKEN}", served.0);
    let (code, _, err) = home.run(&["console", "--url", &url], "");
    assert!(code == 4 && err.contains("scripting.console"), "{err}");
    let (code, _, err) = home.run(&["console", "--url", "http://127.0.0.1:1"], "");
    assert!(code == 4 && err.contains("no Gillnet answers"), "{err}");
}
