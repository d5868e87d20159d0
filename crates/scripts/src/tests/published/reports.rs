//! `top5/dns.js`, `security/ns-ext-conns.js`, `tcphttpcompare/tcphttpcompare.js`: reports from time to time.

use super::basics::entries_of;
use super::{API, DNS, OUTSIDE, Play, WEB_1, WEB_2};
use crate::entry::from_json;
use crate::tests::traffic::Traffic;
use serde_json::json;
use std::sync::Arc;

const TOP_DNS: &str = r#"
// The five pods that ask most
var requests = {};

function onItemCaptured(data) {
  if (!kfl.match("dns", data)) return;
  var pod = data.src.name;
  if (pod in requests) requests[pod]++;
  else requests[pod] = 1;
}

function report() {
  var pods = Object.keys(requests);
  pods.sort(function (a, b) { return requests[b] - requests[a]; });
  console.log("Top 5 Pods");
  for (var i = 0; i < Math.min(5, pods.length); i++) {
    console.log((i + 1) + ". " + pods[i] + ": " + requests[pods[i]]);
    prometheus.vector("dns_requests", "Requests of DNS", 1, requests[pods[i]], { s_pod: pods[i] });
  }
}

if (utils.nodeName() != "hub") {
  jobs.schedule("top-dns", "*/20 * * * * *", report);
}
"#;

#[test]
fn top5_dns() {
    let mut play = Play::new(TOP_DNS).start();
    let mut traffic = Traffic::new();
    traffic.dns(WEB_2, DNS, "a.shop");
    for _ in 0..3 {
        traffic.dns(WEB_1, DNS, "a.shop");
    }
    traffic.get(WEB_1, API, "/a", 200, 1000);
    play.take(traffic.take());
    play.pass(20);
    assert_eq!(
        play.said(),
        [
            "[node-0] Top 5 Pods",
            "[node-0] 1. web-1: 3",
            "[node-0] 2. web-2: 1",
        ]
    );
    let text = play.scripts.metrics().text();
    assert!(text.contains("dns_requests{s_pod=\"web-1\"} 3\n"), "{text}");
}

/// With raw escapes in its strings, as the published one has them.
const EXTERNAL: &str = "// Connections from namespaces to outside\n\
var RED = \"\u{1b}[31m\", RESET = \"\u{1b}[0m\";\n\
var processNamesToBlock = [];\n\
var privateNets = [/^10\\./, /^192\\.168\\./, /^172\\.(1[6-9]|2[0-9]|3[01])\\./, /^127\\./];\n\
var connections = {};\n\
function isPrivate(ip) {\n  for (var i in privateNets) if (ip.match(privateNets[i])) return true;\n  return false;\n}\n\
function onItemCaptured(data) {\n\
  if (data.src.namespace == \"\" || data.dst.namespace != \"\" || isPrivate(data.dst.ip)) return;\n\
  var from = data.src.processName + \".\" + data.src.pod.metadata.name + \".\" + data.src.namespace;\n\
  var key = from + \" => \" + (data.dst.name || data.dst.ip) + \".External\";\n\
  if (!connections[key]) connections[key] = { count: 0, process: data.src.processId };\n\
  connections[key].count++;\n\
  if (processNamesToBlock.indexOf(data.src.processName) != -1) hub.blockPod(data.src.pod.metadata.name, data.src.namespace);\n\
}\n\
jobs.schedule(\"ns-ext-conns\", \"*/20 * * * * *\", function () {\n\
  for (var key in connections) console.log(RED + key + RESET + \" (count: \" + connections[key].count + \")\");\n\
});\n";

#[test]
fn security_ns_ext_conns() {
    let mut play = Play::new(EXTERNAL).start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, OUTSIDE, "/a", 200, 1000);
    traffic.get(WEB_1, OUTSIDE, "/b", 200, 1000);
    traffic.get(WEB_2, OUTSIDE, "/b", 200, 1000);
    // within, to a private address without a name, and from somebody unknown
    traffic.get(WEB_1, API, "/a", 200, 1000);
    traffic.get(WEB_1, "192.168.1.1:80", "/a", 200, 1000);
    traffic.get("10.7.7.7", OUTSIDE, "/a", 200, 1000);
    play.take(traffic.take());
    play.pass(20);
    assert_eq!(
        play.said(),
        [
            "[node-0] \u{1b}[31mpython3.web-1.shop => 203.0.113.9.External\u{1b}[0m (count: 2)",
            "[node-0] \u{1b}[31m.web-2.shop => 203.0.113.9.External\u{1b}[0m (count: 1)",
        ]
    );
    // blocking asks the cluster, of which there is none
    let blocking = EXTERNAL.replace("ToBlock = []", "ToBlock = ['python3']");
    let mut play = Play::new(&blocking).start();
    traffic.get(WEB_1, OUTSIDE, "/a", 200, 1000);
    play.take(traffic.take());
    let said = play.said();
    assert!(said[0].starts_with("[node-0:ERROR] (hook=onItemCaptured) Error: hub.blockPod: there is no Kubernetes cluster here (script.js:"), "{said:?}");
}

const COMPARE: &str = r#"
// TCP beside HTTP
var paths = {};

function onItemQueried(data, filter) {
  if (kfl.match('tcp and data.payload.startsWith("GET")', data)) {
    var path = data.data.payload.split(" ")[1];
    if (!paths[path]) paths[path] = 0;
    paths[path]++;
  } else if (kfl.match('http and request.method=="GET"', data)) {
    var path = data.request.path;
    if (!paths[path]) paths[path] = 0;
    paths[path]--;
  }
}

jobs.schedule("compare", "*/10 * * * * *", function () {
  console.log(utils.json2Yaml(JSON.stringify(paths)));
});
"#;

#[test]
fn tcphttpcompare_tcphttpcompare() {
    let play = Play::new(COMPARE).start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    traffic.get(WEB_1, API, "/b", 200, 1000);
    let mut shown = entries_of(&mut traffic);
    for payload in [
        "GET /a HTTP/1.1\r\n\r\n",
        "GET /c HTTP/1.1\r\n\r\n",
        "POST /a HTTP/1.1\r\n\r\n",
    ] {
        shown.push(Arc::new(from_json(json!({
            "protocol": {"name": "tcp", "macro": "tcp", "abbr": "TCP"}, "stream": "000000000001.pcap", "data": {"payload": payload},
        }))));
    }
    let answers = play.scripts.queried(&shown, "http or tcp");
    assert!(answers.iter().all(Option::is_none));
    play.pass(10);
    assert_eq!(play.said(), ["[node-0] /a: 0\n/b: -1\n/c: 1\n"]);
}
