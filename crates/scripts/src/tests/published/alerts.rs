//! `examples/slack_bot.js`, `detection/slacklogs.js`: failed requests, told to people with what there is of them.

use super::sink::{Asked, Sink, reply};
use super::{API, Play, WEB_1, with};
use crate::tests::live::frames;
use crate::tests::traffic::{Frames, Traffic};
use serde_json::json;

/// Slack, as far as bots use it.
fn slack() -> Sink {
    let port = std::sync::Arc::new(std::sync::OnceLock::<u16>::new());
    let own = std::sync::Arc::clone(&port);
    let sink = Sink::new(move |asked| {
        let path = asked.path();
        if !path.starts_with("/upload/") && asked.header("authorization") != "Bearer xoxb-hush" {
            return reply(200, "{\"ok\":false,\"error\":\"invalid_auth\"}");
        }
        match path {
            "/api/files.getUploadURLExternal" => {
                let port = own.get().unwrap();
                let name = asked.text().split(['=', '&']).nth(1).unwrap().to_owned();
                reply(200, &json!({"ok": true, "upload_url": format!("http://127.0.0.1:{port}/upload/{name}"), "file_id": name}).to_string())
            }
            "/api/chat.postMessage" => {
                reply(200, "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"17.5\"}")
            }
            "/api/files.completeUploadExternal" => reply(200, "{\"ok\":true}"),
            _ => reply(200, "OK"),
        }
    });
    port.set(sink.port).unwrap();
    sink
}

fn good_and_bad() -> (Frames, Frames) {
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/good", 200, 1000);
    let good = traffic.take();
    traffic.get(WEB_1, API, "/bad", 500, 1000);
    (good, traffic.take())
}

/// The files that were uploaded.
fn uploads(asked: &[Asked]) -> Vec<&Asked> {
    asked
        .iter()
        .filter(|asked| asked.path().starts_with("/upload/"))
        .collect()
}

fn is_capture(content: &[u8], wanted: &Frames) {
    let file = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
    std::fs::write(file.path(), content).unwrap();
    assert_eq!(&frames(file.path()), wanted);
}

const SLACK_BOT: &str = r##"
function onItemCaptured(data) {
  if (data.response.status === 500) {
    var files = {};
    files["stream.pcap"] = pcap.path(data.stream);
    files["name_resolution_history.json"] = "name_resolution_history.json";
    vendor.slackBot(
      SLACK_AUTH_TOKEN,
      SLACK_CHANNEL_ID,
      "A failed request",
      "in the namespace " + data.namespace,
      "#FF0000",
      {
        "Service": data.dst.name,
        "Node": data.node.name,
        "HTTP method": data.request.method,
        "HTTP path": data.request.path,
      },
      files
    );
  }
}
"##;

#[test]
fn examples_slack_bot() {
    let slack = slack();
    let play = Play::new(SLACK_BOT).endpoint("slack", &slack.url());
    let env = json!({"SLACK_AUTH_TOKEN": "xoxb-hush", "SLACK_CHANNEL_ID": "general"});
    let mut play = play.env(env).start();
    let (good, bad) = good_and_bad();
    play.take(good);
    play.take(bad.clone());
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    let asked = slack.asked();
    let files = uploads(&asked);
    assert_eq!(files.len(), 2);
    is_capture(&files[0].body, &bad);
    assert!(files[1].text().contains("api.shop"));
    let posts: Vec<_> = asked
        .iter()
        .filter(|asked| asked.path() == "/api/chat.postMessage")
        .collect();
    assert_eq!(posts.len(), 1);
    let about = &posts[0].json()["attachments"][0];
    let fields: Vec<_> = about["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["title"].clone(), f["value"].clone()))
        .collect();
    assert_eq!(
        fields[..4],
        [
            (json!("Service"), json!("api")),
            (json!("Node"), json!("node")),
            (json!("HTTP method"), json!("GET")),
            (json!("HTTP path"), json!("/bad")),
        ]
    );
    assert_eq!(
        (fields.len(), &fields[4].0, &about["text"]),
        (5, &json!("Timestamp"), &json!("in the namespace undefined"))
    );
    assert_eq!(
        asked.last().unwrap().path(),
        "/api/files.completeUploadExternal"
    );
    // without the variables: an error of the script
    let mut play = Play::new(SLACK_BOT).start();
    play.take(good_and_bad().1);
    let said = play.said();
    assert!(said[0].starts_with("[node-0:ERROR] (hook=onItemCaptured) ReferenceError: SLACK_AUTH_TOKEN is not defined (script.js:"), "{said:?}");
}

const SLACKLOGS: &str = r##"
// Items that match, told to Slack
var ACTIVE = false;
var TRIGGERS = [
  { kfl: "put-your-kfl-here", title: "None" },
  { kfl: "http and response.status == 500", title: "Failed" },
];

function onItemCaptured(data) {
  if (!ACTIVE) return;
  for (var i = 0; i < TRIGGERS.length; i++) {
    var trigger = TRIGGERS[i];
    if (!kfl.validate(trigger.kfl, true)) {
      console.error("KFL invalid " + trigger.kfl);
      continue;
    }
    if (!kfl.match(trigger.kfl, data)) continue;
    if (trigger.last && Date.now() - trigger.last < 1000) continue;
    trigger.last = Date.now();
    var temp = file.temp("data", "", "json");
    file.write(temp, JSON.stringify(data, undefined, 2));
    var files = {};
    files[data.stream] = pcap.path(data.stream);
    files["data.json"] = temp;
    vendor.slackBot(env.SLACK_AUTH_TOKEN, env.SLACK_CHANNEL_ID, trigger.title, trigger.kfl, "#FF0000", { "Path": data.request.path }, files);
    file.delete(temp);
  }
}
"##;

#[test]
fn detection_slacklogs() {
    let slack = slack();
    let env = json!({"SLACK_AUTH_TOKEN": "xoxb-hush", "SLACK_CHANNEL_ID": "general"});
    let (good, bad) = good_and_bad();
    // as it is published
    let play = Play::new(SLACKLOGS).env(env.clone());
    let mut play = play.endpoint("slack", &slack.url()).start();
    play.take([good.clone(), bad.clone()].concat());
    assert_eq!((play.said().len(), slack.asked().len()), (0, 0));
    let active = SLACKLOGS.replace("ACTIVE = false", "ACTIVE = true");
    let play = Play::new(&active).env(env);
    let mut play = play.endpoint("slack", &slack.url()).start();
    play.take(good);
    play.take(bad.clone());
    let said = play.said();
    assert_eq!(
        with(&said, "[node-0:ERROR] KFL invalid put-your-kfl-here").len(),
        2,
        "{said:?}"
    );
    assert_eq!(with(&said, "ERROR").len(), 2, "{said:?}");
    let asked = slack.asked();
    let files = uploads(&asked);
    assert_eq!(files.len(), 2);
    is_capture(&files[0].body, &bad);
    assert_eq!(files[1].json()["request"]["path"], "/bad");
    let posts = asked
        .iter()
        .filter(|asked| asked.path() == "/api/chat.postMessage");
    assert_eq!(posts.count(), 1);
    let left = std::fs::read_dir(play.files()).unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.all(|name| !name.starts_with("data")));
}
