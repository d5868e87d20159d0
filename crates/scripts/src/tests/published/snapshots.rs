//! `examples/s3_pcap_*.js`: packets and names of failed requests to S3, with the older order of arguments.

use super::clouds::{self, Eyes};
use super::dfir::members;
use super::emulators::{KEY_ID, SECRET};
use super::{API, Play, Playing, WEB_1, WEB_2, with};
use crate::tests::live::frames;
use crate::tests::traffic::{Frames, Traffic};
use serde_json::{Value, json};

/// A play whose files go to a bucket of its own.
fn play(text: &str, bucket: &str) -> (Playing, Eyes) {
    let eyes = clouds::s3(bucket);
    let env = json!({
        "AWS_REGION": "us-east-2", "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "S3_BUCKET": bucket,
    });
    let play = Play::new(text).env(env);
    (play.endpoint("s3", &clouds::s3_url()).start(), eyes)
}

/// One request that fails, and one that does not; the frames of the first, and all.
fn failed_and_all() -> (Frames, Frames) {
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/good", 200, 1000);
    let mut all = traffic.take();
    traffic.get(WEB_2, API, "/bad", 500, 1000);
    let failed = traffic.take();
    all.extend(failed.clone());
    (failed, all)
}

/// The one object is an archive of a capture with these frames and the names.
fn has_archive(objects: &[(String, Vec<u8>)], wanted: &Frames) {
    assert_eq!(
        objects.len(),
        1,
        "{:?}",
        objects.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    let (name, content) = &objects[0];
    let second = name
        .strip_prefix("kubeshark_")
        .unwrap()
        .strip_suffix(".tar.gz")
        .unwrap();
    assert!(second.parse::<u64>().is_ok(), "{name}");
    let members = members(content);
    let [(capture, packets), (history, names)] = &members[..] else {
        panic!(
            "{:?}",
            members.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
    };
    assert!(
        capture
            .strip_suffix(".pcap")
            .unwrap()
            .parse::<u64>()
            .is_ok(),
        "{capture}"
    );
    let file = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
    std::fs::write(file.path(), packets).unwrap();
    assert_eq!(&frames(file.path()), wanted);
    assert_eq!(history, "name_resolution_history.json");
    let names: Value = serde_json::from_slice(names).unwrap();
    assert_eq!(
        names.as_object().unwrap().values().next().unwrap()[API]["FullAddress"],
        "api.shop"
    );
}

/// What a script left behind.
fn left(play: &Playing) -> usize {
    let entries = std::fs::read_dir(play.files()).unwrap();
    let own = [
        "pcaps",
        "name_resolution_history.json",
        ".name_resolution_history.json",
    ];
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !own.contains(&name.as_str())).count()
}

const SNAPSHOT: &str = r#"
function onItemCaptured(data) {
  if (data.response.status === 500) {
    var dir = file.mkdirTemp("snapshot");
    var snapshot = pcap.snapshot();
    file.move(snapshot, dir);
    var history = pcap.nameResolutionHistory();
    file.write(dir + "/name_resolution_history.json", JSON.stringify(history));
    var tarFile = file.tar(dir);
    var url = vendor.s3.put(env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.S3_BUCKET, tarFile);
    console.log("The snapshot is at:", url);
    file.delete(dir);
    file.delete(tarFile);
  }
}
"#;

#[test]
fn examples_s3_pcap_snapshot() {
    let (mut play, eyes) = play(SNAPSHOT, "snapshot");
    let (_, all) = failed_and_all();
    play.take(all.clone());
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    assert_eq!(with(&said, "The snapshot is at: http").len(), 1, "{said:?}");
    has_archive(&eyes.folder(&play.prefix()), &all);
    assert_eq!(left(&play), 0);
}

const SELECTIVE: &str = r#"
var selected = [];

function onItemCaptured(data) {
  if (data.response.status === 500) selected.push(data.stream);
}

function upload() {
  console.log(selected);
  var dir = file.mkdirTemp("snapshot");
  file.move(pcap.snapshot(selected), dir);
  selected = [];
  file.write(dir + "/name_resolution_history.json", JSON.stringify(pcap.nameResolutionHistory()));
  var tarFile = file.tar(dir);
  file.delete(dir);
  vendor.s3.put(env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.S3_BUCKET, tarFile);
  file.delete(tarFile);
}

jobs.schedule("upload-selected", "0 */1 * * * *", upload);
"#;

#[test]
fn examples_s3_pcap_snapshot_selective() {
    let (mut play, eyes) = play(SELECTIVE, "selective");
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/good", 200, 1000);
    let good = traffic.take();
    traffic.get(WEB_2, API, "/bad", 500, 1000);
    traffic.get(WEB_2, API, "/worse", 500, 1000);
    let bad = traffic.take();
    play.take([good, bad.clone()].concat());
    play.pass(60);
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    let streams: Vec<_> = said[0]
        .strip_prefix("[node-0] ")
        .unwrap()
        .split(',')
        .collect();
    assert!(
        streams.len() == 2 && streams.iter().all(|name| name.ends_with(".pcap")),
        "{said:?}"
    );
    has_archive(&eyes.folder(&play.prefix()), &bad);
    // none selected: all
    play.pass(60);
    let said = play.said();
    assert_eq!(said[0], "[node-0] ");
    assert_eq!(
        (
            with(&said, "ERROR").len(),
            eyes.folder(&play.prefix()).len(),
            left(&play)
        ),
        (0, 2, 0)
    );
}

const SELECTIVE_FS: &str = r#"
dir = file.mkdirTemp("selected");

function onItemCaptured(data) {
  if (data.response.status === 500) {
    path = pcap.path(data.stream);
    parts = path.split("/");
    basename = parts[parts.length - 1];
    file.copy(path, dir + "/" + basename);
  }
}

function upload() {
  var snapshot = pcap.snapshot([], dir);
  file.delete(dir);
  dir = file.mkdirTemp("selected");
  var aside = file.mkdirTemp("aside");
  file.move(snapshot, aside);
  file.write(aside + "/name_resolution_history.json", JSON.stringify(pcap.nameResolutionHistory()));
  var tarFile = file.tar(aside);
  file.delete(aside);
  vendor.s3.put(env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.S3_BUCKET, tarFile);
  file.delete(tarFile);
}

jobs.schedule("upload-selected", "0 */1 * * * *", upload);
"#;

#[test]
fn examples_s3_pcap_snapshot_selective_fs() {
    let (mut play, eyes) = play(SELECTIVE_FS, "selective-fs");
    let (failed, all) = failed_and_all();
    play.take(all);
    play.pass(60);
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    has_archive(&eyes.folder(&play.prefix()), &failed);
    // a new folder for what comes next
    assert_eq!(left(&play), 1);
}

const STREAM: &str = r#"
function onItemCaptured(data) {
  if (data.response.status === 500) {
    var path = pcap.path(data.stream);
    vendor.s3.put(env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.S3_BUCKET, path);
    var names = "name_resolution_history.json";
    file.write(names, JSON.stringify(pcap.nameResolutionHistory()));
    vendor.s3.put(env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.S3_BUCKET, names);
    file.delete(names);
  }
}
"#;

#[test]
fn examples_s3_pcap_stream() {
    let (mut play, eyes) = play(STREAM, "stream");
    let (failed, all) = failed_and_all();
    play.take(all);
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    let objects = eyes.folder(&play.prefix());
    assert_eq!(objects.len(), 2);
    let file = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
    std::fs::write(file.path(), &objects[0].1).unwrap();
    assert_eq!(frames(file.path()), failed);
    assert_eq!(objects[1].0, "name_resolution_history.json");
    // it is there again soon, in real time as in that of jobs
    let history = play.files().join("name_resolution_history.json");
    play.pass(3);
    super::emulators::wait_for("the names", || history.exists());
}

const PCAP_SNAPSHOT: &str = r#"
function onItemCaptured(data) {
  if (data.response.status === 500) {
    console.log(wrapper.pcapSnapshot(env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.S3_BUCKET));
  }
}
"#;

#[test]
fn the_wrapper_of_snapshots() {
    let (mut play, eyes) = play(PCAP_SNAPSHOT, "wrapped-snapshot");
    let (_, all) = failed_and_all();
    play.take(all.clone());
    let said = play.said();
    let url = said[1].strip_prefix("[node-0] http").unwrap();
    assert!(
        url.contains("/wrapped-snapshot/node_10.0.0.1_") && url.ends_with(".tar.gz"),
        "{said:?}"
    );
    has_archive(&eyes.folder(&play.prefix()), &all);
    assert_eq!(left(&play), 0);
}

const KFL_PCAP_S3: &str = r#"
function onItemCaptured(data) {
  wrapper.kflPcapS3(data, {
    kflArr: ["http and response.status == 500", "dns", "http"],
    slackWebhook: env.WEBHOOK,
    slackAuthToken: "xoxb-hush",
    slackChannelId: "general",
    clear: true,
    verbose: true,
    maxMinutes: 2,
    maxL4Streams: 3,
  });
}
"#;

#[test]
fn the_wrapper_that_records_filters() {
    use super::sink::{Sink, reply};
    let sink = Sink::new(|asked| {
        let posted = asked.path() == "/api/chat.postMessage";
        reply(
            200,
            if posted {
                "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"1.5\"}"
            } else {
                "ok"
            },
        )
    });
    let eyes = clouds::s3("filters");
    let env = json!({
        "AWS_REGION": "us-east-2", "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "S3_BUCKET": "filters",
        "WEBHOOK": format!("{}/hook", sink.url()),
    });
    let play = Play::new(KFL_PCAP_S3)
        .env(env)
        .endpoint("slack", &sink.url());
    let play = play.endpoint("s3", &clouds::s3_url());
    // of an earlier run: `clear` takes it away
    let old = "node_10.0.0.1_0000000000000001";
    eyes.put(&format!("{old}/of-old.pcap"));
    let mut play = play.start();
    let (failed, all) = failed_and_all();
    play.take(all.clone());
    assert!(eyes.folder(old).is_empty());
    assert_eq!(play.scripts.jobs().len(), 1);
    play.pass(60);
    assert!(eyes.folder(&play.prefix()).is_empty(), "nothing is due");
    play.pass(90);
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    let objects = eyes.folder(&play.prefix());
    let of = |index: usize| {
        let begin = format!("kfl_{index}_kubeshark_");
        let found: Vec<_> = objects
            .iter()
            .filter(|(name, _)| name.starts_with(&begin))
            .collect();
        found
    };
    // one archive for each filter that something matched
    assert_eq!(
        (of(0).len(), of(1).len(), of(2).len(), objects.len()),
        (1, 0, 1, 2)
    );
    for (index, query, wanted, streams) in [
        (0, "http and response.status == 500", &failed, 1),
        (2, "http", &all, 2),
    ] {
        let members = members(&of(index)[0].1);
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            (names.len(), names[1], names[2]),
            (3, "content.json", "name_resolution_history.json")
        );
        let content: Value = serde_json::from_slice(&members[1].1).unwrap();
        assert_eq!(
            (
                &content["kfl_index"],
                &content["kfl_query"],
                &content["pcap_file_name"]
            ),
            (&json!(index), &json!(query), &json!(names[0]))
        );
        assert_eq!(content["l4_streams"].as_array().unwrap().len(), streams);
        let file = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
        std::fs::write(file.path(), &members[0].1).unwrap();
        assert_eq!(&frames(file.path()), wanted);
    }
    // each is told of
    let paths: Vec<_> = sink
        .asked()
        .iter()
        .map(|asked| asked.path().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "/hook",
            "/api/chat.postMessage",
            "/hook",
            "/api/chat.postMessage"
        ]
    );
    assert_eq!(
        with(
            &said,
            "1 streams that match http and response.status == 500: http"
        )
        .len(),
        1
    );
    // more streams than may be kept: at the next look; and what was done is uploaded hourly
    let mut traffic = Traffic::new();
    for _ in 0..4 {
        traffic.get(WEB_1, API, "/good", 200, 1000);
    }
    play.take(traffic.take());
    play.pass(30);
    assert_eq!(eyes.folder(&play.prefix()).len(), 3);
    play.pass(3600);
    let objects = eyes.folder(&play.prefix());
    let (_, log) = objects
        .iter()
        .find(|(name, _)| name.starts_with("kfl_pcap_s3_log_"))
        .unwrap();
    let log: Value = serde_json::from_slice(log).unwrap();
    let log = log.as_array().unwrap();
    assert_eq!(log.len(), 3);
    for upload in log {
        let file = upload["file"].as_str().unwrap();
        assert!(
            upload["s3_url"].as_str().unwrap().ends_with(file),
            "{upload}"
        );
        assert!(
            upload["kfl_query"].is_string()
                && upload["kfl_index"].is_u64()
                && upload["time"].is_string(),
            "{upload}"
        );
    }
}
