//! Workers that tell the hub: `drafts/hub-worker.js`, `top5/dns2.js`, `top5/dns3.js`; `podtraffic/podtraffic.js`,
//! `networkerrors/networkerrors.js`, `utilities/logs.js`, which ask where they are.

use super::{API, DNS, Play, WEB_1, WEB_2, with};
use crate::tests::traffic::Traffic;
use crate::{Side, State};
use serde_json::json;

const HUB_WORKER: &str = r#"
// What workers tell
var all = {};
function onHubAction(action, object) {
  console.log(action, JSON.stringify(object));
  all[object.key] = object.value;
  console.log(JSON.stringify(all));
}
"#;

#[test]
fn drafts_hub_worker() {
    let teller = "// teller\nfunction onItemCaptured(data) { hub.action('count', { key: data.request.path, value: data.response.status }); }";
    let mut play = Play::new(HUB_WORKER).beside("teller.js", teller).start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    traffic.get(WEB_1, API, "/b", 500, 1000);
    play.take(traffic.take());
    assert_eq!(
        play.said(),
        [
            "[hub-0] count {\"key\":\"/a\",\"value\":200}",
            "[hub-0] {\"/a\":200}",
            "[hub-0] count {\"key\":\"/b\",\"value\":500}",
            "[hub-0] {\"/a\":200,\"/b\":500}",
        ]
    );
}

/// As it is published it counts on workers, and adds up on the hub, which is told apart by its name.
const DNS2: &str = r#"
// The pods that ask most
var scriptId = "dns-top-5";
var counts = {};
var all = {};

function onItemCaptured(data) {
  if (kfl.match("dns", data)) {
    var pod = data.src.name;
    counts[pod] = (counts[pod] || 0) + 1;
  }
}

function onHubAction(action, object) {
  if (action == scriptId) all = wrapper.joinMaps(all, object);
}

function tell() {
  hub.action(scriptId, counts);
  counts = {};
}

function report() {
  console.clear();
  console.log("Requests of pods:");
  for (var pod in all) console.log(pod + ": " + all[pod]);
}

if (utils.nodeName() == "hub") {
  jobs.schedule(scriptId + "-report", "*/20 * * * * *", report);
} else {
  jobs.schedule(scriptId + "-tell", "*/5 * * * * *", tell);
}
"#;

fn queries() -> Traffic {
    let mut traffic = Traffic::new();
    for _ in 0..3 {
        traffic.dns(WEB_1, DNS, "api.shop");
    }
    traffic.dns(WEB_2, DNS, "api.shop");
    traffic.get(WEB_1, API, "/a", 200, 1000);
    traffic
}

#[test]
fn top5_dns2() {
    let mut play = Play::new(DNS2).start();
    play.take(queries().take());
    // a second worker, and what is meant for another script
    play.scripts
        .hub_action("dns-top-5", &json!({"web-2": 5, "db": 1}));
    play.scripts.hub_action("other", &json!({"web-2": 5}));
    play.pass(20);
    assert_eq!(
        play.said(),
        [
            "[hub-0] Requests of pods:",
            "[hub-0] web-2: 6",
            "[hub-0] db: 1",
            "[hub-0] web-1: 3",
        ]
    );
    play.pass(40);
    assert_eq!(play.said().len(), 4, "what was said before was cleared");
}

const DNS3: &str = r#"
// The servers that are asked, and by whom
var scriptId = "dns-servers";
var counts = {}, all = {};
var BLUE = "\033[34m", RESET = "\033[0m";

function nameOf(end) {
  if (end.name != "") return end.name + " (" + end.namespace + ")";
  return end.ip + " (External)";
}

function onItemCaptured(data) {
  if (data.protocol.name != "dns") return;
  var server = nameOf(data.dst), endpoint = nameOf(data.src);
  if (!counts[server]) counts[server] = {};
  if (!counts[server][endpoint]) counts[server][endpoint] = 0;
  counts[server][endpoint]++;
}

function onHubAction(action, object) {
  if (action === scriptId) all = wrapper.joinMaps(all, object);
}

if (utils.nodeName() === "hub") {
  jobs.schedule("report-" + scriptId, "*/20 * * * * *", function () {
    console.clear();
    Object.keys(all).forEach(function (server) {
      var total = 0;
      for (var endpoint in all[server]) total += all[server][endpoint];
      console.log(BLUE + server + RESET + " total: " + total);
      var sorted = Object.keys(all[server]).sort(function (a, b) { return all[server][b] - all[server][a]; });
      sorted.slice(0, 5).forEach(function (endpoint) { console.log("  " + endpoint + ": " + all[server][endpoint]); });
    });
  });
} else {
  jobs.schedule("tell-" + scriptId, "*/5 * * * * *", function () {
    for (var server in counts) {
      for (var endpoint in counts[server]) {
        prometheus.vector("dns_server", "Requests", 1, counts[server][endpoint], { s_server: server, s_endpoint: endpoint });
      }
    }
    hub.action(scriptId, counts);
    counts = {};
  });
}
"#;

#[test]
fn top5_dns3() {
    let mut play = Play::new(DNS3).start();
    let mut traffic = queries();
    for n in 0..6 {
        traffic.dns(&format!("10.3.0.{n}"), "192.0.2.53", "example.org");
    }
    play.take(traffic.take());
    play.pass(5);
    play.take(queries().take());
    play.pass(15);
    let said = play.said();
    assert_eq!(
        said[..4],
        [
            "[hub-0] \u{1b}[34mkube-dns (kube-system)\u{1b}[0m total: 8",
            "[hub-0]   web-1 (shop): 6",
            "[hub-0]   web-2 (shop): 2",
            "[hub-0] \u{1b}[34m192.0.2.53 (External)\u{1b}[0m total: 6",
        ]
    );
    assert_eq!(with(&said, "(External): 1").len(), 5, "{said:?}");
    let metrics = play.scripts.metrics().text();
    let line = "dns_server{s_endpoint=\"web-1 (shop)\",s_server=\"kube-dns (kube-system)\"} 6\n";
    assert!(metrics.contains(line), "{metrics}");
}

/// Calls functions that there are none of, as the published one does.
const PODTRAFFIC: &str = r#"
// podtraffic
var scriptId = "pod-traffic";
var counts = {};

if (utils.nodeName() == "hub") {
  console.clear();
  jobs.schedule("longReport", "*/20 * * * * *", printReport, 0, true);
} else {
  jobs.schedule("shortReport", "*/20 * * * * *", printReport, 0, true);
  jobs.schedule("pushToHub", "*/20 * * * * *", push, 0, false);
}

function onItemCaptured(data) {
  counts[data.src.name] = (counts[data.src.name] || 0) + 1;
}

function onHubAction(action, object) {
  hubCounts = joinMaps(hubCounts, object);
}

function push() {
  hub.action(scriptId, counts);
  reportToPrometheus(counts);
}

function printReport(lines) {
  for (var line in lines) console.log(line);
}
"#;

#[test]
fn podtraffic_podtraffic() {
    let mut play = Play::new(PODTRAFFIC).start();
    play.take(queries().take());
    play.pass(40);
    let said = play.said();
    let worker = "[node-0:ERROR] (job=pushtohub) ReferenceError: reportToPrometheus is not defined (script.js:";
    let hub =
        "[hub-0:ERROR] (hook=onHubAction) ReferenceError: joinMaps is not defined (script.js:";
    assert_eq!(
        (
            with(&said, worker).len(),
            with(&said, hub).len(),
            said.len()
        ),
        (2, 2, 4),
        "{said:?}"
    );
    let planned = play.scripts.planned();
    let runs = |tag: &str| {
        planned
            .iter()
            .find(|job| job.tag == tag)
            .map(|job| (job.side, job.runs))
    };
    assert_eq!(runs("longreport"), Some((Side::Hub, 2)));
    assert_eq!(runs("shortreport"), Some((Side::Worker, 2)));
    assert!(
        play.scripts.status()[0]
            .runs
            .iter()
            .all(|run| run.state == State::Running)
    );
}

const NETWORK_ERRORS: &str = r#"
// Errors of the network
if (utils.nodeName() === "hub") {
  throw "This one has nothing to do on the hub";
}
var errors = {};

function onItemCaptured(data) {
  if (data.error && data.error.msg) {
    var msg = data.error.msg;
    if (!errors[msg]) errors[msg] = { count: 0, paths: [] };
    errors[msg].count++;
    errors[msg].paths.push(data.request ? data.request.path : "");
  }
}

jobs.schedule("report-errors", "*/10 * * * * *", function () {
  console.log(utils.json2Yaml(JSON.stringify(errors)));
});
"#;

#[test]
fn networkerrors_networkerrors() {
    let mut play = Play::new(NETWORK_ERRORS).start();
    let status = play.scripts.status();
    let state = |side: Side| {
        let run = status[0].runs.iter().find(|run| run.side == side);
        run.unwrap().state.clone()
    };
    assert_eq!(
        state(Side::Hub),
        State::Failed("This one has nothing to do on the hub".into())
    );
    assert_eq!(state(Side::Worker), State::Running);
    assert_eq!(
        play.said(),
        ["[hub-0:ERROR] This one has nothing to do on the hub"]
    );
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    traffic.http(
        WEB_1,
        API,
        "GET /gone HTTP/1.1\r\nHost: api\r\n\r\n",
        "",
        1000,
    );
    // that no answer comes any more is known later
    traffic.wait(1);
    traffic.get(WEB_1, API, "/b", 200, 1000);
    play.take(traffic.take());
    play.pass(10);
    let said = play.said();
    assert_eq!(
        said,
        ["[node-0] request without response:\n  count: 1\n  paths:\n  - /gone\n"]
    );
}

/// A raw escape in a string, and pods whose names are Go's.
const LOGS: &str = "// Logs and pods\n\
if (utils.nodeName() == \"hub\") {\n  console.clear();\n  console.log(\"\u{1b}[32mLogs\u{1b}[0m\");\n}\n\
function onPodEvent(event, pod) {\n  var labels = pod.ObjectMeta.Labels;\n  if (!labels || labels[\"app.kubernetes.io/name\"] != \"kubeshark\") return;\n\
  var meta = JSON.parse(JSON.stringify(pod.ObjectMeta));\n  console.log(event, meta.CreationTimestamp, labels.app, pod.ObjectMeta.Name);\n}\n\
function onLogCall(level, msg) {\n  if (typeof msg === \"string\") msg = JSON.parse(msg);\n  var prefix = { error: \"ERR\", warning: \"WRN\" }[level];\n  if (prefix) console.log(prefix, msg.message);\n}\n";

#[test]
fn utilities_logs() {
    use tracing_subscriber::prelude::*;
    let play = Play::new(LOGS).start();
    assert_eq!(play.said(), ["[hub-0] \u{1b}[32mLogs\u{1b}[0m"]);
    let pod = |name: &str| {
        json!({"metadata": {
            "name": name, "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": "worker", "app.kubernetes.io/name": name},
        }})
    };
    play.scripts.pod_event("ADDED", pod("kubeshark"));
    play.scripts.pod_event("ADDED", pod("other"));
    let mut said = play.said();
    said.sort();
    assert_eq!(
        said,
        [
            "[hub-0] ADDED 2026-01-02T03:04:05Z worker kubeshark",
            "[node-0] ADDED 2026-01-02T03:04:05Z worker kubeshark"
        ]
    );
    let layer = crate::LogLayer::default();
    play.scripts.attach(&layer);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::warn!(target: "gillnet_recorder", "spool is full");
        tracing::error!(target: "gillnet_recorder", "bucket is gone");
        tracing::info!(target: "gillnet_recorder", "all is well");
    });
    let mut said = play.said();
    said.retain(|line| line.starts_with("[hub"));
    assert_eq!(
        said,
        ["[hub-0] WRN spool is full", "[hub-0] ERR bucket is gone"]
    );
}
