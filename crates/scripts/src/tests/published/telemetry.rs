//! `examples/elastic.js`, `examples/influxdb.js`, `telemetry/*.js`, `kinesis/kinesis.js`, `zap-proxy/zap.js`,
//! `perf/perf2.js`: numbers and exchanges for others to keep.

use super::sink::{Sink, reply};
use super::{API, DNS, Play, WEB_1, WEB_2, with, yes};
use crate::tests::traffic::Traffic;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use influxdb_line_protocol::{FieldValue, parse_lines};
use serde_json::{Value, json};

fn ok_and_failed(ok: usize, failed: usize) -> Traffic {
    let mut traffic = Traffic::new();
    for _ in 0..ok {
        traffic.get(WEB_1, API, "/a", 200, 1000);
    }
    for _ in 0..failed {
        traffic.get(WEB_2, API, "/b", 500, 3000);
    }
    traffic
}

const ELASTIC: &str = r#"
var counts = { "200": 0, "500": 0 };

function onItemCaptured(data) {
  if (data.response.status === 500) counts["500"]++;
  else if (data.response.status === 200) counts["200"]++;
}

function push() {
  vendor.elastic("", env.ELASTIC_INDEX, counts, "", "", env.ELASTIC_CLOUD_ID, env.ELASTIC_API_KEY);
  counts = { "200": 0, "500": 0 };
}

jobs.schedule("elastic", "0 */1 * * * *", push);
"#;

#[test]
fn examples_elastic() {
    let sink = Sink::new(|asked| match asked.header("authorization") {
        "ApiKey aTpr" => reply(201, "{\"result\":\"created\"}"),
        _ => reply(401, "{}"),
    });
    let env = json!({"ELASTIC_INDEX": "statuses", "ELASTIC_CLOUD_ID": "us:dXMtZWFzdC0xLmF3cy5mb3VuZC5pbyRhYmMkZGVm", "ELASTIC_API_KEY": "i:k"});
    let play = Play::new(ELASTIC).env(env);
    let mut play = play.endpoint("elastic", &sink.url()).start();
    play.take(ok_and_failed(3, 2).take());
    play.pass(60);
    let asked = sink.one();
    assert!(
        asked.method == "PUT" && asked.path().starts_with("/statuses/_doc/"),
        "{asked:?}"
    );
    assert_eq!(asked.json(), json!({"200": 3, "500": 2}));
    play.pass(60);
    assert_eq!(sink.asked()[1].json(), json!({"200": 0, "500": 0}));
    assert_eq!(play.said(), [] as [String; 0]);
}

#[test]
fn telemetry_elastic_traffic_logs() {
    let text = "// Traffic to Elasticsearch\nvar ACTIVE = false, kflQuery = 'http';\nfunction onItemCaptured(data) {\n  if (!ACTIVE) return;\n  if (kflQuery.match(data)) vendor.elastic('', env.ELASTIC_INDEX, data, '', '', env.ELASTIC_CLOUD_ID, env.ELASTIC_API_KEY);\n}\n";
    let sink = yes();
    let mut play = Play::new(text).endpoint("elastic", &sink.url()).start();
    play.take(ok_and_failed(1, 1).take());
    assert_eq!((play.said().len(), sink.asked().len()), (0, 0));
}

/// InfluxDB, which takes points of one organisation with one token.
fn influxdb() -> Sink {
    Sink::new(|asked| {
        let good = asked.header("authorization") == "Token hush"
            && asked
                .target
                .starts_with("/api/v2/write?org=shop&bucket=flights");
        reply(if good { 204 } else { 401 }, "")
    })
}

const INFLUXDB: &str = r#"
var counts = {};

function onItemCaptured(data) {
  var status = data.response.status;
  if (status in counts) counts[status]++;
  else counts[status] = 1;
}

jobs.schedule("influxdb", "0 */1 * * * *", function () {
  vendor.influxdb(env.INFLUXDB_URL, env.INFLUXDB_TOKEN, env.INFLUXDB_ORG, env.INFLUXDB_BUCKET, "Status Codes", counts);
  counts = {};
});
"#;

#[test]
fn examples_influxdb() {
    let sink = influxdb();
    let env = json!({"INFLUXDB_URL": sink.url(), "INFLUXDB_TOKEN": "hush", "INFLUXDB_ORG": "shop", "INFLUXDB_BUCKET": "flights"});
    let mut play = Play::new(INFLUXDB).env(env).start();
    play.take(ok_and_failed(3, 2).take());
    play.pass(60);
    assert_eq!(play.said(), [] as [String; 0]);
    let text = sink.one().text();
    assert!(text.starts_with("Status\\ Codes "), "{text}");
    let line = parse_lines(&text).next().unwrap().unwrap();
    assert_eq!(line.series.measurement.as_str(), "Status Codes");
    let field = |name: &str| line.field_value(name).cloned().unwrap();
    assert_eq!(
        (field("200"), field("500")),
        (FieldValue::F64(3.0), FieldValue::F64(2.0))
    );
}

const KPIS: &str = r#"
// KPIs of calls
/* the environment: INFLUXDB_URL, /* its token */ // and its organisation
var ACTIVE = true;
if (!env.INFLUXDB_URL || !env.INFLUXDB_TOKEN || !env.INFLUXDB_ORGANIZATION || !env.INFLUXDB_BUCKET) {
  console.error("The environment of InfluxDB is not whole");
  ACTIVE = false;
}

function onItemCaptured(data) {
  if (!ACTIVE || !kfl.match("http", data)) return;
  try {
    vendor.influxdb(
      env.INFLUXDB_URL, env.INFLUXDB_TOKEN, env.INFLUXDB_ORGANIZATION, env.INFLUXDB_BUCKET, "callKPIs",
      { latency: data.elapsedTime, status: data.response.status, bandwidth: data.request.bodySize + data.response.bodySize },
      {
        src: data.src.name, srcIp: data.src.ip, srcNamespace: data.src.namespace,
        dst: data.dst.name, dstIp: data.dst.ip, dstNamespace: data.dst.namespace,
        path: data.request.path, method: data.request.method, node: data.node.name,
        service: data.src.service,
      }
    );
  } catch (error) {
    console.error(error);
  }
}
"#;

#[test]
fn telemetry_influx_db_kpis() {
    let sink = influxdb();
    let env = json!({"INFLUXDB_URL": sink.url(), "INFLUXDB_TOKEN": "hush", "INFLUXDB_ORGANIZATION": "shop", "INFLUXDB_BUCKET": "flights"});
    let mut play = Play::new(KPIS).env(env).start();
    let mut traffic = ok_and_failed(1, 1);
    traffic.dns(WEB_1, DNS, "api.shop");
    play.take(traffic.take());
    assert_eq!(play.said(), [] as [String; 0]);
    let asked = sink.asked();
    assert_eq!(asked.len(), 2);
    let text = asked[1].text();
    let line = parse_lines(&text).next().unwrap().unwrap();
    assert_eq!(line.series.measurement.as_str(), "callKPIs");
    let tags: Vec<_> = line
        .series
        .tag_set
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        tags,
        [
            "dst=api",
            "dstIp=10.2.0.1",
            "dstNamespace=shop",
            "method=GET",
            "node=node",
            "path=/b",
            "src=web-2",
            "srcIp=10.1.0.2",
            "srcNamespace=shop",
        ]
    );
    let field = |name: &str| line.field_value(name).cloned().unwrap();
    assert_eq!(
        (field("latency"), field("status"), field("bandwidth")),
        (
            FieldValue::F64(3000.0),
            FieldValue::F64(500.0),
            FieldValue::F64(8.0)
        )
    );
    let mut play = Play::new(KPIS).start();
    play.take(traffic_again());
    assert_eq!(
        play.said(),
        ["[node-0:ERROR] The environment of InfluxDB is not whole"]
    );
}

fn traffic_again() -> crate::tests::traffic::Frames {
    ok_and_failed(1, 0).take()
}

const KINESIS: &str = r#"
// Exchanges as HAR to Kinesis
var queue = [];

function onItemCaptured(data) {
  if (data.Protocol.Name != "http") return;
  queue.push(data);
}

function send() {
  if (queue.length < env.KINESIS_MIN_BATCH_SIZE) {
    console.log("No data...");
    return;
  }
  try {
    var har = wrapper.buildHAR(queue);
    queue = [];
    var results = vendor.kinesis.put(env.KINESIS_STREAM_NAME, har, env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY);
    console.log("Kinesis Results: " + results);
  } catch (error) {
    console.error(error);
  }
}

jobs.schedule("kinesis", "* * * * * *", send);
"#;

#[test]
fn kinesis_kinesis() {
    for size in [json!("3"), json!(3)] {
        let sink = Sink::new(|asked| {
            assert_eq!(asked.header("x-amz-target"), "Kinesis_20131202.PutRecord");
            reply(200, "{\"SequenceNumber\":\"7\",\"ShardId\":\"shardId-0\"}")
        });
        let env = json!({
            "KINESIS_STREAM_NAME": "calls", "KINESIS_MIN_BATCH_SIZE": size, "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "hush",
        });
        let play = Play::new(KINESIS).env(env);
        let mut play = play.endpoint("kinesis", &sink.url()).start();
        let mut traffic = ok_and_failed(2, 0);
        traffic.dns(WEB_1, DNS, "api.shop");
        play.take(traffic.take());
        play.pass(2);
        assert_eq!(play.said(), ["[node-0] No data...", "[node-0] No data..."]);
        traffic.get(WEB_2, API, "/b?x=1", 500, 3000);
        play.take(traffic.take());
        play.pass(2);
        assert_eq!(
            play.said(),
            [
                "[node-0] Kinesis Results: {\"SequenceNumber\":\"7\",\"ShardId\":\"shardId-0\"}",
                "[node-0] No data...",
            ]
        );
        let asked = sink.one().json();
        assert_eq!(asked["StreamName"], "calls");
        let har = BASE64_STANDARD
            .decode(asked["Data"].as_str().unwrap())
            .unwrap();
        let har: Value = serde_json::from_slice(&har).unwrap();
        assert_eq!(
            (
                &har["log"]["version"],
                har["log"]["entries"].as_array().unwrap().len()
            ),
            (&json!("1.2"), 3)
        );
        let last = &har["log"]["entries"][2];
        assert_eq!(
            (
                &last["request"]["url"],
                &last["response"]["status"],
                &last["time"]
            ),
            (&json!("http://api/b?x=1"), &json!(500), &json!(3))
        );
        assert_eq!(
            last["request"]["queryString"],
            json!([{"name": "x", "value": "1"}])
        );
    }
}

const ZAP: &str = r#"
// Exchanges to a proxy that looks for weaknesses
var queue = [];

function onItemCaptured(data) {
  if (data.Protocol.Name == "http" && data.Response.status) queue.push(data);
}

jobs.schedule("zap", "*/60 * * * * *", function () {
  if (queue.length == 0) {
    console.log("No data to export");
    return;
  }
  var har = wrapper.buildHAR(queue);
  queue = [];
  try {
    var form = { fileContents: har, apikey: env.ZAP_APIKEY, fileName: "traffic.har" };
    var uploaded = JSON.parse(vendor.webhookForm("POST", env.ZAP_SERVER_URL + "/OTHER/core/other/fileUpload/", form));
    var url = env.ZAP_SERVER_URL + "/JSON/exim/action/importHar/?apikey=" + env.ZAP_APIKEY + "&filePath=" + uploaded.Uploaded;
    var result = JSON.parse(vendor.webhook("GET", url, ""));
    console.log("HAR imported with result: " + result.Result);
  } catch (error) {
    console.error(error);
  }
});
"#;

#[test]
fn zap_proxy_zap() {
    let sink = Sink::new(|asked| match asked.path() {
        "/OTHER/core/other/fileUpload/" => reply(200, "{\"Uploaded\":\"/zap/traffic.har\"}"),
        "/JSON/exim/action/importHar/" => reply(200, "{\"Result\":\"OK\"}"),
        _ => reply(404, ""),
    });
    let env = json!({"ZAP_SERVER_URL": sink.url(), "ZAP_APIKEY": "hush"});
    let mut play = Play::new(ZAP).env(env).start();
    play.pass(60);
    assert_eq!(play.said(), ["[node-0] No data to export"]);
    play.take(ok_and_failed(2, 1).take());
    play.pass(60);
    assert_eq!(play.said(), ["[node-0] HAR imported with result: OK"]);
    let asked = sink.asked();
    assert_eq!(asked.len(), 2);
    let form = form(&asked[0]);
    assert_eq!(
        (form["apikey"].as_str(), form["fileName"].as_str()),
        ("hush", "traffic.har")
    );
    let har: Value = serde_json::from_str(&form["fileContents"]).unwrap();
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 3);
    assert_eq!(
        (asked[1].method.as_str(), asked[1].target.as_str()),
        (
            "GET",
            "/JSON/exim/action/importHar/?apikey=hush&filePath=/zap/traffic.har"
        )
    );
}

/// The parts of a form, as a parser of another's reads them.
fn form(asked: &super::sink::Asked) -> std::collections::BTreeMap<String, String> {
    let boundary = multer::parse_boundary(asked.header("content-type")).unwrap();
    let body = bytes::Bytes::from(asked.body.clone());
    let stream = futures_util::stream::once(async move { Ok::<_, std::io::Error>(body) });
    let mut form = multer::Multipart::new(stream, boundary);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut parts = std::collections::BTreeMap::new();
        while let Some(part) = form.next_field().await.unwrap() {
            let name = part.name().unwrap().to_owned();
            parts.insert(name, part.text().await.unwrap());
        }
        parts
    })
}

const PERF2: &str = r#"
// How long calls take
var times = {};

function onItemCaptured(data) {
  if (utils.nodeName() == "hub") return;
  if (!kfl.match("http", data)) return;
  var key = [data.request.path, data.src.namespace, data.src.name, data.src.pod.metadata.name].join("|");
  if (!times[key]) times[key] = { sum: 0, count: 0, data: data };
  times[key].sum += data.elapsedTime;
  times[key].count++;
}

jobs.schedule("performance", "0 */1 * * * *", function () {
  for (var key in times) {
    var of = times[key];
    var status = prometheus.vector("performance", "Mean time of calls", 2, Math.floor(of.sum / of.count), {
      s_path: of.data.request.path,
      s_namespace: of.data.src.namespace,
      s_src: of.data.src.name,
      s_pod: of.data.src.pod.metadata.name,
    });
    if (status != "ok") console.error(status);
  }
  times = {};
});
"#;

#[test]
fn perf_perf2() {
    let mut play = Play::new(PERF2).start();
    let mut traffic = ok_and_failed(1, 1);
    traffic.get(WEB_1, API, "/a", 200, 2000);
    play.take(traffic.take());
    play.pass(60);
    let text = play.scripts.metrics().text();
    for line in [
        "performance{s_namespace=\"shop\",s_path=\"/a\",s_pod=\"web-1\",s_src=\"web-1\"} 1500\n",
        "performance{s_namespace=\"shop\",s_path=\"/b\",s_pod=\"web-2\",s_src=\"web-2\"} 3000\n",
        "# TYPE performance gauge\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(with(&play.said(), "ERROR").is_empty());
}
