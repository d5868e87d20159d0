//! The glue of vendor calls: scripts' arguments as vendors get them.

use crate::testing::{Rig, entries};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Clone, Debug)]
struct Request {
    line: String,
    headers: String,
    body: Vec<u8>,
}

/// Takes requests on loopback and answers each as `answer` says.
struct Sink {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Sink {
    fn start(answer: impl Fn(&Request) -> (u16, String) + Send + 'static) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let taken = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let (mut headers, mut len) = (String::new(), 0);
                loop {
                    let mut header = String::new();
                    if reader.read_line(&mut header).unwrap() <= 2 {
                        break;
                    }
                    let lower = header.to_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        len = value.trim().parse().unwrap();
                    }
                    headers += &lower;
                }
                let mut body = vec![0; len];
                reader.read_exact(&mut body).unwrap();
                let request = Request {
                    line: line.trim().to_owned(),
                    headers,
                    body,
                };
                let (status, text) = answer(&request);
                taken.lock().unwrap().push(request);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nContent-Type: application/json\r\nETag: \"x\"\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
            }
        });
        Sink { url, requests }
    }

    fn taken(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn rig(sink: &Sink) -> Rig {
    let endpoints = json!({"s3": sink.url, "kinesis": sink.url, "chatgpt": sink.url});
    let env = json!({"URL": sink.url, "ENDPOINTS": endpoints});
    Rig::with_env(&env, Arc::new(crate::NoStreams))
}

#[test]
fn webhooks_send_entries_as_json_and_give_the_body() {
    let sink = Sink::start(|request| match request.line.contains("/bad") {
        true => (500, "{\"no\":1}".to_owned()),
        false => (200, "{\"ok\":true}".to_owned()),
    });
    let rig = rig(&sink);
    let entry = entries("http1/one_exchange").remove(0);
    rig.with(
        &entry,
        r#"
        is(JSON.parse(vendor.webhook('POST', env.URL + '/health', data)).ok, true);
        is(vendor.webhook('GET', env.URL + '/bad', '', { 'X-A': 'b' }), '{"no":1}');
        is(vendor.webhookForm('POST', env.URL + '/OTHER/core/other/fileUpload/', { fileContents: '{}', apikey: 'k', fileName: 'f' }), '{"ok":true}');
        is(JSON.stringify(JSON.parse(vendor.webhook('GET', 'http://kubeshark-hub/pods/targeted', '')).targets), '[]');
        vendor.slack(env.URL + '/hook', 'pre', 'text', '#fff');
        vendor.influxdb(env.URL, 'token', 'org', 'bucket', 'Status Codes', { '200': 1, name: 'x' }, { node: 'n', none: null });
        is(typeof vendor.elastic(env.URL, 'index', { a: 1 }, 'user', 'pass'), 'string');
        fails(function () { vendor.webhook('POST', 'http://169.254.169.254/', ''); }, 'Error: vendor.webhook: ');
        fails(function () { vendor.webhook(); }, 'TypeError: vendor.webhook: argument 1 (method) is missing');
        try { vendor.slack(env.URL + '/bad', 'a', 'b', 'c'); is(1, 2); } catch (e) { is(e.status, 500); is(e instanceof Error, true); is(String(e).indexOf('/bad'), -1); }
        "#,
    )
    .unwrap();
    let taken = sink.taken();
    let lines: Vec<_> = taken.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(
        lines[..5],
        [
            "POST /health HTTP/1.1",
            "GET /bad HTTP/1.1",
            "POST /OTHER/core/other/fileUpload/ HTTP/1.1",
            "POST /hook HTTP/1.1",
            "POST /api/v2/write?org=org&bucket=bucket&precision=ns HTTP/1.1",
        ]
    );
    let sent: serde_json::Value = serde_json::from_slice(&taken[0].body).unwrap();
    assert_eq!(sent["protocol"]["name"], "http");
    assert!(taken[1].headers.contains("x-a: b"));
    let text = |at: usize| String::from_utf8_lossy(&taken[at].body).into_owned();
    assert!(text(2).contains("name=\"fileContents\""));
    let slack: serde_json::Value = serde_json::from_slice(&taken[3].body).unwrap();
    assert_eq!(slack["attachments"][0]["pretext"], "pre");
    assert!(text(4).starts_with("Status\\ Codes,node=n "), "{}", text(4));
    assert!(
        taken[5].line.contains("/index/_doc") && taken[5].headers.contains("authorization: basic")
    );
}

#[test]
fn files_are_put_in_both_orders_of_arguments() {
    let sink = Sink::start(|_| (200, String::new()));
    let rig = rig(&sink);
    rig.run(
        r#"
        file.write('new.tar.gz', 'new'); file.mkdir('d'); file.write('d/old.pcap', 'old');
        var url = vendor.s3.put('bucket', 'new.tar.gz', 'us-east-2', 'id', 'secret'); is(/node_10\.0\.0\.1_00000000000000ff\/new\.tar\.gz$/.test(url), true);
        vendor.s3.put('us-east-2', 'id', 'secret', 'bucket', 'd/old.pcap'); vendor.s3.put('bucket', 'name_resolution_history.json', 'us-east-2', 'id', 'secret');
        fails(function () { vendor.s3.put('bucket', 'missing', 'us-east-2', 'id', 'secret'); }, 'Error: vendor.s3.put: missing: no such file or directory');
        fails(function () { vendor.s3.put('bucket', '../x', 'us-east-2', 'id', 'secret'); }, 'data directory');
        fails(function () { vendor.gcs.put('bucket', 'new.tar.gz', { private_key: 'very secret' }); }, 'Error: vendor.gcs.put: ');
        fails(function () { vendor.gcs.put('bucket'); }, 'TypeError: vendor.gcs.put: argument 2 (path) is missing');
        try { vendor.gcs.put('bucket', 'new.tar.gz', '{"private_key": "very secret"}'); } catch (e) { is(String(e).indexOf('very'), -1); }
        "#,
    )
    .unwrap();
    let taken = sink.taken();
    let puts: Vec<_> = taken
        .iter()
        .filter(|request| request.line.starts_with("PUT"))
        .map(|request| {
            (
                request.line.clone(),
                String::from_utf8_lossy(&request.body).into_owned(),
            )
        })
        .collect();
    let line = |name: &str| format!("PUT /bucket/node_10.0.0.1_00000000000000ff/{name} HTTP/1.1");
    assert_eq!(puts[0], (line("new.tar.gz"), "new".to_owned()));
    assert_eq!(puts[1], (line("old.pcap"), "old".to_owned()));
    assert!(puts[2].0 == line("name_resolution_history.json") && puts[2].1.contains("web.shop"));
    let said = rig.said();
    assert!(
        said[0].starts_with("[node-0] Uploaded the file \"new.tar.gz\": "),
        "{said:?}"
    );
}

#[test]
fn kinesis_results_show_as_text_and_chatgpt_answers() {
    let sink = Sink::start(|request| match request.line.contains("/chat/completions") {
        true => (
            200,
            json!({"choices": [{"message": {"content": " answer "}}]}).to_string(),
        ),
        false => (
            200,
            json!({"SequenceNumber": "7", "ShardId": "s"}).to_string(),
        ),
    });
    let rig = rig(&sink);
    rig.run(
        r#"
        var result = vendor.kinesis.put('stream', { a: 1 }, 'us-east-2', 'id', 'secret'); is(result.SequenceNumber, '7'); is('Results: ' + result, 'Results: {"SequenceNumber":"7","ShardId":"s"}');
        is(chatgpt.prompt('key', 'hello'), 'answer'); fails(function () { chatgpt.sentiment('x'); }, 'chatgpt.sentiment');
        "#,
    )
    .unwrap();
}

#[test]
fn fetch_is_what_browsers_have() {
    let sink = Sink::start(|request| match request.line.contains("/no") {
        true => (404, "no".to_owned()),
        false => (
            200,
            json!({"got": String::from_utf8_lossy(&request.body)}).to_string(),
        ),
    });
    let rig = rig(&sink);
    rig.run(
        r#"
        done = 0;
        (async function () {
          const a = await fetch(env.URL + '/a', { method: 'POST', body: { x: 1 }, headers: { 'Content-Type': 'application/json' } });
          is(a.ok, true); is(a.status, 200); is(a.headers.get('Content-Type'), 'application/json'); is((await a.json()).got, '{"x":1}'); is((await a.bytes()).length > 3, true);
          const b = await fetch(env.URL + '/no', { method: 'PUT', body: new Uint8Array([104, 105]) }); is(b.ok, false); is(await b.text(), 'no');
          try { await fetch('http://example.com.invalid/'); is(1, 2); } catch (e) { is(String(e).startsWith('Error: fetch: '), true); }
          done = 1;
        })().catch(function (e) { done = e; });
        "#,
    )
    .unwrap();
    assert_eq!(rig.script.evaluate("done").unwrap(), "1");
    assert_eq!(sink.taken()[1].body, b"hi");
}

#[test]
fn stores_are_written_and_cleared_by_scripts() {
    use super::published::clouds;
    use super::published::emulators::{self, ACCOUNT, ACCOUNT_KEY, BUCKET, KEY_ID, SECRET};
    let (gcs, azure, s3) = (clouds::gcs(), clouds::azure("glue"), clouds::s3("glue"));
    let endpoints = json!({"gcs": emulators::gcs().url, "azure": emulators::azure().url, "s3": clouds::s3_url()});
    let env = json!({
        "KEY": emulators::gcs().key, "BUCKET": format!("{BUCKET}/of-glue"), "ACCOUNT": ACCOUNT, "ACCOUNT_KEY": ACCOUNT_KEY, "ID": KEY_ID, "SECRET": SECRET,
        "ENDPOINTS": endpoints,
    });
    let rig = Rig::with_env(&env, Arc::new(crate::NoStreams));
    let folder = "node_10.0.0.1_00000000000000ff";
    rig.run(
        r#"
        file.write('a.txt', 'text');
        var url = vendor.gcs.put(env.BUCKET, 'a.txt', JSON.parse(env.KEY)); is(/of-glue\/node_10\.0\.0\.1_[0-9a-f]+\/a\.txt$/.test(url), true);
        var url = vendor.azure.put('glue', 'a.txt', env.ACCOUNT, env.ACCOUNT_KEY); is(/\/glue\/node_10\.0\.0\.1_[0-9a-f]+\/a\.txt$/.test(url), true);
        var url = vendor.s3.put('glue', 'a.txt', 'us-east-2', env.ID, env.SECRET); is(/\/glue\/node_10\.0\.0\.1_[0-9a-f]+\/a\.txt$/.test(url), true);
        try { vendor.s3.put('glue', 'a.txt', 'us-east-2', env.ID, 'hush-hush'); is(1, 2); } catch (e) { is(e.status, 403); is(String(e).indexOf('hush'), -1); }
        fails(function () { vendor.s3.clear('us-east-2'); }, 'Error: vendor.s3.clear: ');
        try { vendor.azure.put('glue', 'a.txt', env.ACCOUNT, 'aHVzaC1odXNo'); is(1, 2); } catch (e) { is(e.status, 403); is(String(e).indexOf('aHVzaC1odXNo'), -1); }
        try { vendor.gcs.put('not-there', 'a.txt', env.KEY); is(1, 2); } catch (e) { is(e.status, 404); }
        fails(function () { vendor.azure.put('glue'); }, 'TypeError: vendor.azure.put: argument 2 (path) is missing');
        fails(function () { vendor.azure.clear(); }, 'TypeError: vendor.azure.clear: argument 1 (container) is missing');
        fails(function () { vendor.gcs.clear(); }, 'TypeError: vendor.gcs.clear: argument 1 (bucket) is missing');
        "#,
    )
    .unwrap();
    let whole = vec![("a.txt".to_owned(), b"text".to_vec())];
    assert_eq!(gcs.folder(&format!("of-glue/{folder}")), whole);
    assert_eq!(azure.folder(folder), whole);
    assert_eq!(s3.folder(folder), whole);
    rig.run("is(vendor.gcs.clear(env.BUCKET, env.KEY), undefined); is(vendor.s3.clear('us-east-2', env.ID, env.SECRET, 'glue'), undefined); is(vendor.azure.clear('glue', env.ACCOUNT, env.ACCOUNT_KEY), undefined);")
        .unwrap();
    assert!(gcs.folder(&format!("of-glue/{folder}")).is_empty() && azure.folder(folder).is_empty());
    assert!(s3.folder(folder).is_empty());
}

#[test]
fn pubsub_and_otlp_get_what_scripts_give() {
    use super::published::emulators;
    let sink = Sink::start(|request| match request.line.contains(":publish") {
        true => (200, "{\"messageIds\": [\"17\"]}".to_owned()),
        false if request.line.contains("/bad/") => (400, "{\"message\":\"no\"}".to_owned()),
        false => (200, "{}".to_owned()),
    });
    let env =
        json!({"URL": sink.url, "KEY": emulators::gcs().key, "ENDPOINTS": {"pubsub": sink.url}});
    let rig = Rig::with_env(&env, Arc::new(crate::NoStreams));
    rig.run(
        r#"
        is(vendor.pubsub('events', { a: 1 }, JSON.parse(env.KEY), { node: 'n', none: null }), '17');
        fails(function () { vendor.pubsub(); }, 'TypeError: vendor.pubsub: argument 1 (topic) is missing');
        fails(function () { vendor.pubsub('a/b', '', env.KEY); }, 'Error: vendor.pubsub: ');
        is(vendor.otlp(env.URL, 'metrics', { name: 'calls', value: 3, type: 'sum' }, { headers: { 'x-key': 'hush' }, resource: { 'service.name': 'shop' } }), undefined);
        fails(function () { vendor.otlp(env.URL, 'spans', {}); }, 'Error: vendor.otlp: ');
        try { vendor.otlp(env.URL + '/bad/v1/logs', 'logs', 'text', { headers: { 'x-key': 'hush' } }); is(1, 2); } catch (e) { is(e.status, 400); is(String(e).indexOf('hush'), -1); }
        "#,
    )
    .unwrap();
    let taken = sink.taken();
    let body = |at: usize| serde_json::from_slice::<serde_json::Value>(&taken[at].body).unwrap();
    assert!(
        taken[0]
            .line
            .starts_with("POST /v1/projects/gillnet-test/topics/events:publish ")
    );
    let message = &body(0)["messages"][0];
    // {"a":1}
    assert_eq!(
        (&message["data"], &message["attributes"]),
        (&json!("eyJhIjoxfQ=="), &json!({"node": "n"}))
    );
    assert!(
        taken[1].line.starts_with("POST /v1/metrics ") && taken[1].headers.contains("x-key: hush")
    );
    let metric = &body(1)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
    assert_eq!(metric["name"], "calls");
    assert!(
        taken[2].line.starts_with("POST /bad/v1/logs "),
        "{:?}",
        taken[2]
    );
}

#[test]
fn kafka_gets_what_scripts_give() {
    use super::published::emulators::{start, wait_for};
    use std::process::Stdio;
    // kcat: the brokers that librdkafka has for tests, and a consumer
    let mut kcat = start(std::path::Path::new("kcat"))
        .args([
            "-C",
            "-J",
            "-u",
            "-o",
            "beginning",
            "-t",
            "events",
            "-b",
            "127.0.0.1:1",
            "-X",
            "test.mock.num.brokers=2",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kcat must be there; `make test` installs it");
    let mut said = BufReader::new(kcat.stderr.take().unwrap());
    let mut line = String::new();
    let brokers = loop {
        line.clear();
        said.read_line(&mut line).unwrap();
        if let Some((_, list)) = line.split_once("replaced with ") {
            break list.trim().to_owned();
        }
    };
    let consumed: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
    let (kept, out) = (Arc::clone(&consumed), kcat.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            kept.lock()
                .unwrap()
                .push(serde_json::from_str(&line).unwrap());
        }
    });
    // it stops where nobody reads what it says
    std::thread::spawn(move || said.lines().for_each(drop));
    let rig = Rig::with_env(&json!({"BROKERS": brokers}), Arc::new(crate::NoStreams));
    rig.run(
        r#"
        var places = vendor.kafka(env.BROKERS, 'events', ['text', { key: 7, value: { a: 1 }, headers: { node: 'n', count: 2 } }, { b: [1] }]);
        is(places.length, 3); is(places.every(function (p) { return p.partition >= 0 && p.offset >= 0; }), true);
        is(vendor.kafka(env.BROKERS, 'others', 'alone').length, 1);
        fails(function () { vendor.kafka(env.BROKERS, 'events'); }, 'TypeError: vendor.kafka: argument 3 (messages) is missing');
        fails(function () { vendor.kafka('', 'events', 'x'); }, 'Error: vendor.kafka: ');
        fails(function () { vendor.kafka(env.BROKERS, 'events', 'x', { mechanism: 'GSSAPI', username: 'u', password: 'hush' }); }, 'Error: vendor.kafka: the mechanism is not known; give PLAIN');
        fails(function () { vendor.kafka(env.BROKERS, 'events', 'x', { mechanism: 'PLAIN' }); }, 'Error: vendor.kafka: a mechanism or password is given, but no username');
        "#,
    )
    .unwrap();
    wait_for("the messages", || consumed.lock().unwrap().len() == 3);
    let mut got: Vec<_> = consumed
        .lock()
        .unwrap()
        .iter()
        .map(|m| {
            (
                m["payload"].as_str().unwrap().to_owned(),
                m["key"].clone(),
                m["headers"].clone(),
            )
        })
        .collect();
    got.sort_by(|a, b| a.0.cmp(&b.0));
    let none = serde_json::Value::Null;
    assert_eq!(got[0], ("text".to_owned(), none.clone(), none.clone()));
    let headers = json!(["node", "n", "count", "2"]);
    assert_eq!(got[1], ("{\"a\":1}".to_owned(), json!("7"), headers));
    assert_eq!(got[2], ("{\"b\":[1]}".to_owned(), none.clone(), none));
    kcat.kill().unwrap();
    kcat.wait().unwrap();
}
