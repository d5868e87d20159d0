//! The API of scripts, over scripts at work.

#![allow(clippy::unwrap_used)] // a test that cannot ask has failed

mod support;

use futures_util::StreamExt;
use gillnet_scripts::Scripts;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{TOKEN, config, scripts, serve};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const PATIENCE: Duration = Duration::from_secs(60);

struct Api {
    at: SocketAddr,
    client: Client,
    home: tempfile::TempDir,
    scripts: Option<Scripts>,
}

impl Api {
    /// A process with these scripts.
    async fn new(files: &[(&str, &str)]) -> Api {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("scripts")).unwrap();
        for (name, text) in files {
            fs::write(home.path().join("scripts").join(name), text).unwrap();
        }
        let scripts = scripts(home.path(), |_| ());
        assert!(scripts.settle(PATIENCE));
        let at = serve(ANY.into(), Some(scripts.clone())).await.0;
        Api {
            at,
            client: Client::new(),
            home,
            scripts: Some(scripts),
        }
    }

    fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.at);
        self.client.request(method, url).bearer_auth(TOKEN)
    }

    async fn text(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        let answer = self.ask(method, path).body(body.to_owned()).send();
        let answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn json(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let (status, text) = self.text(method, path, body).await;
        let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status} {e}: {text}"));
        (status, json)
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.json(Method::GET, path, "").await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The console's WebSocket.
    async fn listen(&self) -> WebSocketStream<reqwest::Upgraded> {
        let asked = self.ask(Method::GET, "/api/scripts/logs");
        let asked = asked
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        let socket = answer.upgrade().await.unwrap();
        WebSocketStream::from_raw_socket(socket, Role::Client, None).await
    }

    fn settle(&self) {
        assert!(self.scripts.as_ref().unwrap().settle(PATIENCE));
    }
}

async fn said(socket: &mut WebSocketStream<reqwest::Upgraded>) -> String {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await;
    match message.unwrap().unwrap().unwrap() {
        Message::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

const JOBS: &str = "// Two jobs\n\
    jobs.schedule('By Hand', '0 0 0 1 1 *', function () { console.log('ran'); }, 3);\n\
    jobs.schedule('fails/now', '@hourly', function () { throw new Error('no'); });\n\
    function onItemCaptured(data) {} function onPacketCaptured(info) {}";

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_listed_added_changed_and_deleted() {
    let api = Api::new(&[("a.js", JOBS), ("b.js", "throw 'not here';")]).await;
    let list = api.get("/api/scripts").await;
    let (a, b) = (&list["scripts"][0], &list["scripts"][1]);
    assert_eq!(
        (&a["title"], &a["state"]),
        (&json!("Two jobs"), &json!("running"))
    );
    assert_eq!(a["hooks"], json!(["onPacketCaptured", "onItemCaptured"]));
    assert_eq!(a["jobs"], json!(["by-hand", "fails/now"]));
    assert_eq!(
        (&a["active"], &a["added"], &a["records"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert!(
        a["file"].as_str().unwrap().ends_with("/scripts/a.js") && a["memory"].as_u64().unwrap() > 0
    );
    assert_eq!((&b["title"], &b["state"]), (&json!("b"), &json!("failed")));
    assert_eq!(
        (&b["errors"], &list["console"]["errors"]),
        (&json!(1), &json!(1))
    );
    assert!(
        b["runs"][0]["failure"]
            .as_str()
            .unwrap()
            .contains("not here"),
        "{b}"
    );
    assert_eq!(api.get("/api/scripts/0").await["text"], JOBS);

    // added, with the errors of its text
    let (status, added) = api
        .json(
            Method::POST,
            "/api/scripts",
            "// Mine\nconsole.log('RECORDING_KFL')",
        )
        .await;
    assert_eq!(
        (status, &added["number"], &added["title"]),
        (201, &json!(2), &json!("Mine"))
    );
    assert_eq!(
        (&added["added"], &added["records"]),
        (&json!(true), &json!(true))
    );
    assert!(api.home.path().join("added/mine.js").is_file());
    let (status, refused) = api.json(Method::POST, "/api/scripts", "\n  var 1;").await;
    let error = &refused["error"]["errors"][0];
    assert_eq!(
        (status, &error["file"], &error["line"], &error["column"]),
        (400, &json!("script.js"), &json!(2), &json!(7)),
        "{refused}"
    );
    let (status, refused) = api
        .json(Method::POST, "/api/scripts", &"x".repeat((4 << 20) + 1))
        .await;
    assert_eq!(
        (status, &refused["error"]["message"]),
        (413, &json!("a script has at most 4 MiB"))
    );
    let (status, refused) = api
        .json(Method::POST, "/api/scripts", &"x".repeat((5 << 20) + 1))
        .await;
    assert!(
        status == 413 && refused["error"]["message"].is_string(),
        "{refused}"
    );
    let odd = api
        .ask(Method::POST, "/api/scripts")
        .body(vec![b'/', b'/', 0xff])
        .send()
        .await
        .unwrap();
    assert_eq!(odd.status(), 400);
    assert!(odd.text().await.unwrap().contains("byte 2"));

    // changed in its file
    let (status, changed) = api
        .json(
            Method::PUT,
            "/api/scripts/0",
            "// Other\nfunction onJobPassed() {}",
        )
        .await;
    assert_eq!(
        (status, &changed["title"], &changed["hooks"]),
        (200, &json!("Other"), &json!(["onJobPassed"]))
    );
    let text = fs::read_to_string(api.home.path().join("scripts/a.js")).unwrap();
    assert!(text.starts_with("// Other"), "{text}");
    let (status, refused) = api.json(Method::PUT, "/api/scripts/0", "}").await;
    assert_eq!(
        (status, &refused["error"]["errors"][0]["file"]),
        (400, &json!("a.js"))
    );
    assert_eq!(
        api.get("/api/scripts/jobs").await["jobs"],
        json!([]),
        "its jobs went with it"
    );

    // active, or not
    let (status, off) = api
        .json(Method::PATCH, "/api/scripts/2", r#"{"active": false}"#)
        .await;
    assert_eq!(
        (status, &off["active"], &off["state"], &off["runs"]),
        (200, &json!(false), &json!("inactive"), &json!([]))
    );
    let (status, on) = api
        .json(Method::PATCH, "/api/scripts/2", r#"{"active": true}"#)
        .await;
    assert_eq!((status, &on["state"]), (200, &json!("running")));
    assert_eq!(
        api.json(Method::PATCH, "/api/scripts/2", r#"{"activ": true}"#)
            .await
            .0,
        400
    );

    assert_eq!(
        api.text(Method::DELETE, "/api/scripts/2", "").await,
        (204, String::new())
    );
    assert!(!api.home.path().join("added/mine.js").exists());
    for (method, path, body) in [
        (Method::GET, "/api/scripts/2", ""),
        (Method::PUT, "/api/scripts/2", "x"),
        (Method::DELETE, "/api/scripts/2", ""),
        (Method::PATCH, "/api/scripts/2", r#"{"active": true}"#),
    ] {
        let (status, refused) = api.json(method, path, body).await;
        assert_eq!(
            (status, &refused["error"]["message"]),
            (404, &json!("there is no script 2"))
        );
    }
    let (status, refused) = api.json(Method::GET, "/api/scripts/first", "").await;
    assert!(
        status == 404
            && refused["error"]["message"]
                .as_str()
                .unwrap()
                .contains("`first`")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_now_and_texts_are_checked() {
    let api = Api::new(&[("a.js", JOBS)]).await;
    let jobs = api.get("/api/scripts/jobs").await;
    let job = &jobs["jobs"][0];
    assert_eq!(
        (&job["tag"], &job["script"], &job["side"], &job["cron"]),
        (
            &json!("by-hand"),
            &json!(0),
            &json!("worker"),
            &json!("0 0 0 1 1 *")
        )
    );
    assert_eq!(
        (&job["limit"], &job["runs"], &job["running"]),
        (&json!(3), &json!(0), &json!(false))
    );
    assert!(
        job["next"]
            .as_str()
            .unwrap()
            .ends_with("-01-01T00:00:00.000000000Z"),
        "{job}"
    );
    for (tag, line) in [
        ("by-hand", "[node-0] ran"),
        ("fails%2Fnow", "[node-0:ERROR]"),
    ] {
        let (status, _) = api
            .json(Method::POST, &format!("/api/scripts/jobs/{tag}/run"), "")
            .await;
        assert_eq!(status, 202);
        let end = Instant::now() + PATIENCE;
        let console = api.scripts.as_ref().unwrap().console();
        while !console.lines().iter().any(|said| said.starts_with(line)) {
            assert!(Instant::now() < end, "{:?}", console.lines());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    api.settle();
    assert_eq!(api.get("/api/scripts/jobs").await["jobs"][0]["runs"], 1);
    let (status, refused) = api
        .json(Method::POST, "/api/scripts/jobs/none/run", "")
        .await;
    assert_eq!(
        (status, &refused["error"]["message"]),
        (404, &json!("there is no job \"none\""))
    );

    let check = |text| api.json(Method::POST, "/api/scripts/check?file=x.js", text);
    assert_eq!(check("var a;").await.1, json!({ "ok": true, "errors": [] }));
    let (_, found) = check("\nvendor.s4.put()").await;
    let error = json!({ "file": "x.js", "line": 2, "column": 1, "message": "there is no helper vendor.s4.put; did you mean vendor.s3.put?" });
    assert_eq!(found, json!({ "ok": false, "errors": [error] }));
    assert_eq!(check("var a = ;").await.1["errors"][0]["column"], 9);
    let (status, types) = api.text(Method::GET, "/api/scripts/types", "").await;
    assert_eq!((status, &*types), (200, gillnet_scripts::TYPES));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_told_to_who_listens() {
    let api = Api::new(&[(
        "a.js",
        "console.log('hello\\nthere'); console.error('bad');\n\
         jobs.schedule('clear', '@yearly', function () { console.clear(); console.log('anew'); });\n\
         jobs.schedule('many', '@yearly', function () { for (var i = 0; i < 30000; i++) console.log(i); });",
    )])
    .await;
    api.settle();
    let mut first = api.listen().await;
    assert_eq!(said(&mut first).await, "[node-0] hello\nthere");
    assert_eq!(said(&mut first).await, "[node-0:ERROR] bad");
    for tag in ["clear", "many"] {
        assert!(
            said(&mut first)
                .await
                .starts_with(&format!("[node-0] Scheduled the job: \"{tag}\""))
        );
    }
    assert_eq!(said(&mut first).await, r#"{"type":"live"}"#);
    api.json(Method::POST, "/api/scripts/jobs/clear/run", "")
        .await;
    assert_eq!(said(&mut first).await, r#"{"type":"clear"}"#);
    assert_eq!(said(&mut first).await, "[node-0] anew");
    let mut second = api.listen().await;
    assert_eq!(said(&mut second).await, "[node-0] anew");
    assert_eq!(said(&mut second).await, r#"{"type":"live"}"#);

    // more than is kept for one between two looks: it is told what it lost, and every line is accounted for
    api.json(Method::POST, "/api/scripts/jobs/many/run", "")
        .await;
    api.settle();
    let (mut lines, mut lost) = (0, 0);
    let mut count = |message: String| match serde_json::from_str::<Value>(&message) {
        Ok(control) => lost += control["lines"].as_u64().unwrap_or(0),
        Err(_) => lines += 1,
    };
    let rest = Duration::from_secs(2);
    while let Ok(message) = tokio::time::timeout(rest, said(&mut second)).await {
        count(message);
    }
    api.json(Method::POST, "/api/scripts/jobs/clear/run", "")
        .await;
    loop {
        let message = said(&mut second).await;
        if message.ends_with("] anew") {
            break;
        }
        count(message);
    }
    assert!(lost > 0);
    assert_eq!(lines + lost, 30_000);
    let (status, refused) = api.json(Method::GET, "/api/scripts/logs", "").await;
    assert!(status >= 400 && refused["error"]["message"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_is_off_is_kept_for_nobody() {
    let api = Api::new(&[("a.js", "console.log('before');")]).await;
    let scripts = api.scripts.as_ref().unwrap();
    let mut listener = api.listen().await;
    assert_eq!(said(&mut listener).await, "[node-0] before");
    assert_eq!(said(&mut listener).await, r#"{"type":"live"}"#);
    let mut config = config(api.home.path());
    config.console = false;
    scripts.configure(&config).unwrap();
    let end = tokio::time::timeout(PATIENCE, listener.next()).await;
    assert!(matches!(end, Ok(Some(Ok(Message::Close(_))))), "{end:?}");
    let (status, refused) = api.json(Method::GET, "/api/scripts/logs", "").await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        status == 403 && message.contains("scripting.console"),
        "{message}"
    );
    config.console = true;
    scripts.configure(&config).unwrap();
    assert_eq!(said(&mut api.listen().await).await, r#"{"type":"live"}"#);
}

/// All operations of the document below `/api/scripts`, with what is in their paths.
fn documented() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let ours = paths
        .iter()
        .filter(|(path, _)| path.starts_with("/api/scripts"));
    let operations = ours.flat_map(|(path, operations)| {
        let path = path.replace("{number}", "0").replace("{tag}", "by-hand");
        let methods = operations.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    operations.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_what_is_there() {
    let document: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
    let operations = documented();
    assert_eq!(operations.len(), 11, "{operations:?}");
    let api = Api::new(&[("a.js", JOBS)]).await;
    for (method, path) in &operations {
        // none but the last takes an empty body for a mistake of the path
        let (status, text) = api.text(method.clone(), path, "").await;
        assert!(
            ![401, 403, 404, 405, 500].contains(&status) || *method == Method::DELETE,
            "{method} {path}: {status} {text}"
        );
        if *method == Method::DELETE {
            assert_eq!(status, 204);
            fs::write(api.home.path().join("scripts/a.js"), JOBS).unwrap();
            let scripts = api.scripts.as_ref().unwrap();
            scripts.configure(&config(api.home.path())).unwrap();
        }
    }
    // answers have the members that the document gives them
    let api = Api::new(&[("a.js", JOBS)]).await;
    let schemas = &document["components"]["schemas"];
    let script = api.get("/api/scripts").await["scripts"][0].clone();
    let job = api.get("/api/scripts/jobs").await["jobs"][0].clone();
    let mistake = api.json(Method::POST, "/api/scripts/check", "}").await.1["errors"][0].clone();
    let run = schemas["Script"]["properties"]["runs"]["items"].clone();
    for (schema, answer) in [
        (&schemas["Script"], &script),
        (&run, &script["runs"][0]),
        (&schemas["Job"], &job),
        (&schemas["Mistake"], &mistake),
    ] {
        let keys = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&schema["properties"]), keys(answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_or_scripts_nothing_is_done() {
    let api = Api::new(&[("a.js", JOBS)]).await;
    for (method, path) in documented() {
        let url = format!("http://{}{path}", api.at);
        let answer = api
            .client
            .request(method.clone(), &url)
            .body("x")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 401, "{method} {path}");
        let foreign = api
            .ask(method.clone(), &path)
            .header("origin", "http://evil.example")
            .body("x");
        assert_eq!(
            foreign.send().await.unwrap().status(),
            403,
            "{method} {path}"
        );
    }
    assert_eq!(
        api.get("/api/scripts").await["scripts"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let none = Api {
        at: serve(ANY.into(), None).await.0,
        client: Client::new(),
        home: tempfile::tempdir().unwrap(),
        scripts: None,
    };
    for (method, path) in documented() {
        let (status, refused) = none.json(method.clone(), &path, "x").await;
        assert_eq!(status, 404, "{method} {path}");
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("there are no scripts here"),
            "{message}"
        );
    }
}

/// What the configuration forbids is said, not only noted.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_may_not_run_is_not_said_to_be_active() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("scripts")).unwrap();
    fs::write(home.path().join("scripts/a.js"), JOBS).unwrap();
    let path: &Path = home.path();
    let scripts = scripts(path, |config| config.sources.enabled = Some(false));
    let api = Api {
        at: serve(ANY.into(), Some(scripts.clone())).await.0,
        client: Client::new(),
        home,
        scripts: Some(scripts),
    };
    let (status, refused) = api
        .json(Method::PATCH, "/api/scripts/0", r#"{"active": true}"#)
        .await;
    assert_eq!(status, 409);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("scripting.enabled")
    );
}
