//! `examples/*.js` and `specs/*.js` that show one helper or hook each, and the small ones of `drafts`, `top5`, `utilities`.

use super::sink::{Sink, reply};
use super::{API, DNS, Play, WEB_1, WEB_2, with, yes};
use crate::tests::lifecycle::feed;
use crate::tests::traffic::Traffic;
use serde_json::json;

#[test]
fn examples_empty() {
    let text = "function onPacketCaptured(info) {\n}\nfunction onItemCaptured(data) {\n}\nfunction onItemQueried(data) {\n}\nfunction onHubAction(action, object) {\n}\n";
    let mut play = Play::new(text).start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    play.take(traffic.take());
    assert!(
        play.scripts
            .queried(&crate::testing::entries("http1/one_exchange"), "")
            .iter()
            .all(Option::is_none)
    );
    assert_eq!(play.said(), [] as [String; 0]);
}

#[test]
fn specs_hooks_and_helpers() {
    let hooks = "/*\n function onItemCaptured(data) { broken(; }\n*/\nfunction onItemCaptured(data) {\n  // data is the entry\n}\nfunction onPodEvent(event, pod) {}\nfunction onJobPassed(tag, cron, limit) {}\nfunction onJobFailed(tag, cron, limit, err) {}\n";
    let helpers = "// console.clear();\n// let later = `console.log(${1})`;\n/* vendor.slack(SLACK_WEBHOOK, 'a', 'b', '#FF0000') */\n";
    let mut play = Play::new(hooks).beside("helpers.js", helpers).start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    play.take(traffic.take());
    play.scripts.pod_event("ADDED", json!({"metadata": {}}));
    assert_eq!(play.said(), [] as [String; 0]);
    let states: Vec<_> = play.scripts.status();
    assert!(
        states
            .iter()
            .flat_map(|script| &script.runs)
            .all(|run| run.state == crate::State::Running && run.errors == 0)
    );
    assert_eq!(states.len(), 2);
}

const ERROR_HANDLING: &str = r#"
function onItemCaptured(data) {
  try {
    if (kfl.match("htt ??? a : p", data)) console.log("never");
  } catch (error) {
    console.log("Caught an error!", error);
  }
}
"#;

#[test]
fn examples_error_handling() {
    let mut play = Play::new(ERROR_HANDLING).start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    traffic.dns(WEB_1, DNS, "api.shop");
    play.take(traffic.take());
    let line = "[node-0] Caught an error! Error: 1:5: unexpected token \"?\"";
    assert_eq!(play.said(), [line, line]);
}

const PACKETS: &str = r#"
var packets = 0;
var bytes = 0;
function onPacketCaptured(info) {
  packets++;
  bytes += info.length;
}
function onItemCaptured(data) {
  console.log("Packets:", packets, "Bytes:", bytes);
}
"#;

#[test]
fn examples_packet_byte_counter() {
    let mut play = Play::new(PACKETS).start();
    let mut traffic = Traffic::new();
    let (mut packets, mut bytes) = (0, 0);
    for n in 0..3 {
        traffic.get(WEB_1, API, &format!("/{n}"), 200, 1000);
        let frames = traffic.take();
        packets += frames.len();
        bytes += frames.iter().map(|(.., data)| data.len()).sum::<usize>();
        play.take(frames);
    }
    let lines = play.said();
    assert_eq!(lines.len(), 3);
    // the last item of all came before the end of its connection did, or after it
    let of = |line: &str, name: &str| -> usize {
        let rest = line.split(name).nth(1).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let last = &lines[2];
    assert!(
        of(last, "Packets:") <= packets && of(last, "Bytes:") <= bytes,
        "{lines:?}"
    );
    assert!(
        of(last, "Packets:") > of(&lines[0], "Packets:") + 8,
        "{lines:?}"
    );
    let tell = "jobs.schedule('tell', '@hourly', function () { onItemCaptured(); });";
    let mut play = Play::new(&format!("{PACKETS}{tell}")).start();
    traffic.get(WEB_1, API, "/", 200, 1000);
    let frames = traffic.take();
    let expected = format!(
        "[node-0] Packets: {} Bytes: {}",
        frames.len(),
        frames.iter().map(|(.., data)| data.len()).sum::<usize>()
    );
    play.take(frames);
    play.run("tell");
    assert_eq!(play.said().pop().unwrap(), expected);
}

const PASS_FAIL: &str = r#"
function onItemQueried(data) {
  if (data.protocol.name == "http") {
    if (data.response.status == 500) {
      return test.fail(data);
    } else {
      return test.pass(data);
    }
  }
}
"#;

#[test]
fn examples_pass_fail() {
    let play = Play::new(PASS_FAIL)
        .beside(
            "count.js",
            "// count\nfunction onItemCaptured(data) { console.log(data.passed, data.failed); }",
        )
        .start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    traffic.get(WEB_1, API, "/b", 500, 1000);
    traffic.dns(WEB_1, DNS, "api.shop");
    let entries = entries_of(&mut traffic);
    let shown = play.scripts.queried(&entries, "http or dns");
    let marks: Vec<_> = entries
        .iter()
        .zip(shown)
        .map(|(entry, shown)| {
            let shown = shown.map(|json| serde_json::from_str::<serde_json::Value>(&json).unwrap());
            let mark = |name: &str| shown.as_ref().map(|shown| shown[name] == true);
            (entry.info.name, mark("passed"), mark("failed"))
        })
        .collect();
    assert_eq!(
        marks,
        [
            ("http", Some(true), Some(false)),
            ("http", Some(false), Some(true)),
            ("dns", None, None),
        ]
    );
    // what is captured is not marked
    feed(&play.scripts, "http1/one_exchange");
    assert_eq!(play.said(), ["[node-0] false false"]);
}

/// The entries of traffic, in order of time.
pub(super) fn entries_of(traffic: &mut Traffic) -> Vec<std::sync::Arc<gillnet_entry::OwnedEntry>> {
    use gillnet_capture::write::{PcapResolution, PcapWriter};
    let file = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
    let mut out = PcapWriter::new(file.reopen().unwrap(), PcapResolution::Nano).unwrap();
    for (ts, link, data) in traffic.take() {
        out.frame(ts, link, data.len() as u32, &data).unwrap();
    }
    drop(out);
    let mut entries = crate::testing::entries_in(file.path());
    entries.sort_by_key(|entry| entry.ts);
    entries
}

#[test]
fn examples_print_env() {
    let play = Play::new("console.log(JSON.stringify(env));\n")
        .env(json!({"SLACK_CHANNEL_ID": "general", "COUNT": 10}))
        .start();
    assert_eq!(
        play.said(),
        ["[node-0] {\"SLACK_CHANNEL_ID\":\"general\",\"COUNT\":10}"]
    );
}

const WEBHOOK: &str = r#"
function onItemCaptured(data) {
  if (data.request.path == "/health") {
    vendor.webhook(
      "POST",
      env.WEBHOOK_URL,
      data
    );
  }
}
"#;

#[test]
fn examples_webhook() {
    let sink = yes();
    let mut play = Play::new(WEBHOOK)
        .env(json!({"WEBHOOK_URL": sink.url()}))
        .start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/other", 200, 1000);
    traffic.get(WEB_1, API, "/health", 200, 1000);
    play.take(traffic.take());
    assert_eq!(play.said(), [] as [String; 0]);
    let asked = sink.one();
    assert_eq!((asked.method.as_str(), asked.path()), ("POST", "/"));
    assert_eq!(asked.json()["request"]["path"], "/health");
}

const TOP5: &str = r#"
function onItemCaptured(data) {
  if (data.protocol.name != "http") return;
  if (data.elapsedTime == "0") {
    var slow = { path: data.request.path, elapsedTime: data.elapsedTime };
    console.log(utils.json2Yaml(JSON.stringify(slow)));
  }
  prometheus.metric("http_items", "Items of HTTP", 1, 1);
}
"#;

#[test]
fn top5_top5() {
    let mut play = Play::new(TOP5).start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/quick", 200, 0);
    traffic.get(WEB_1, API, "/slow", 200, 500);
    play.take(traffic.take());
    assert_eq!(play.said(), ["[node-0] elapsedTime: 0\npath: /quick\n"]);
    assert!(play.scripts.metrics().text().contains("\nhttp_items 2\n"));
}

const NO_TRAFFIC: &str = r#"
console.log("Pods that are watched:");
var said = vendor.webhook("GET", "http://kubeshark-hub/pods/targeted", "");
try {
  var targets = JSON.parse(said).targets;
  console.log(JSON.stringify(targets));
} catch (error) {
  console.error(error);
}
"#;

#[test]
fn utilities_no_traffic_pods() {
    let play = Play::new(NO_TRAFFIC).start();
    assert_eq!(
        play.said(),
        ["[node-0] Pods that are watched:", "[node-0] []"]
    );
}

const THROUGHPUT: &str = r##"
// Calls a minute
var LIMIT = 2, calls = 0;

function onItemCaptured(data) {
  if (data.protocol.name !== "http") return;
  var name = data.node.name, local = /^node$/i;
  if (!name.match(local)) return;
  if (data.request.path.match(/\/PCAP.*/i)) {
    calls++;
    console.log(new Date().toLocaleString(), data.request.path);
  }
}

jobs.schedule("throughput", "20 * * * * *", function () {
  if (calls > 0) {
    vendor.slackBot(
      env.SLACK_AUTH_TOKEN,
      env.SLACK_CHANNEL_ID,
      calls > LIMIT ? "RED" : "YELLOW",
      calls + " calls",
      calls > LIMIT ? "FF0000" : "#FFFF00",
      { Node: utils.nodeName(), Calls: calls.toString(), Gone: undefined }
    );
  }
  calls = 0;
});
"##;

#[test]
fn drafts_throughput() {
    let slack = Sink::new(|asked| {
        let good = asked.header("authorization") == "Bearer xoxb-hush";
        assert_eq!(asked.path(), "/api/chat.postMessage");
        reply(
            200,
            if good {
                "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"1.5\"}"
            } else {
                "{\"ok\":false,\"error\":\"invalid_auth\"}"
            },
        )
    });
    let mut play = Play::new(THROUGHPUT)
        .endpoint("slack", &slack.url())
        .env(json!({"SLACK_AUTH_TOKEN": "xoxb-hush", "SLACK_CHANNEL_ID": "general"}))
        .start();
    let mut traffic = Traffic::new();
    for path in ["/pcap1", "/other", "/pcap2"] {
        traffic.get(WEB_1, API, path, 200, 1000);
    }
    play.take(traffic.take());
    let lines = play.said();
    assert_eq!(
        (lines.len(), with(&lines, "/pcap").len()),
        (2, 2),
        "{lines:?}"
    );
    play.pass(60);
    let about = &slack.one().json()["attachments"][0];
    assert_eq!(
        (&about["pretext"], &about["color"]),
        (&json!("YELLOW"), &json!("#FFFF00"))
    );
    let titles: Vec<_> = about["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["title"].clone())
        .collect();
    assert_eq!(titles, ["Node", "Calls", "Timestamp"]);
    for _ in 0..3 {
        traffic.get(WEB_2, API, "/pcap3", 200, 1000);
    }
    play.take(traffic.take());
    play.pass(60);
    let about = &slack.asked()[1].json()["attachments"][0];
    assert_eq!(
        (&about["pretext"], &about["color"], &about["text"]),
        (&json!("RED"), &json!("#FF0000"), &json!("3 calls"))
    );
    play.pass(120);
    assert_eq!(slack.asked().len(), 2, "the counter was set back");
    let said = play.said();
    assert!(!said.iter().any(|line| line.contains("ERROR")), "{said:?}");
}
