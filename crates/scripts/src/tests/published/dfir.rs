//! `dfir/*.js`, `apisec/*.js` and `drafts/recording.js`: what matches a filter is kept and uploaded.

use super::clouds::{self, Eyes};
use super::emulators::{self, BUCKET, KEY_ID, SECRET};
use super::sink::{Sink, reply};
use super::{API, DNS, OUTSIDE, Play, Playing, WEB_1, WEB_2, has_variables, with};
use crate::tests::live::frames;
use crate::tests::traffic::{Frames, Traffic};
use serde_json::{Value, json};
use std::io::Read;

/// Keeps matching streams, and uploads them where the environment says.
const FORENSICS: &str = r#"
// Forensics
var ACTIVE = true;
var DIR = "dfir", ASIDE = "dfir_tmp";
var KFL = env.RECORDING_KFL;

if (!KFL || !kfl.validate(KFL)) ACTIVE = false;

if (ACTIVE) {
  file.delete(DIR);
  file.delete(ASIDE);
  file.mkdir(DIR);
}

function onItemCaptured(data) {
  if (!ACTIVE) return;
  if (kfl.match(KFL, data)) {
    try {
      file.copy(pcap.path(data.stream), DIR + "/" + data.stream);
    } catch (error) {
      console.error(error);
    }
  }
}

function upload(path) {
  if (env.S3_BUCKET != null && env.S3_BUCKET != "") {
    if (env.AWS_ACCESS_KEY_ID) {
      vendor.s3.put(env.S3_BUCKET, path, env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY);
    } else {
      vendor.s3.put(env.S3_BUCKET, path, env.AWS_REGION);
    }
  } else if (env.GCS_BUCKET) {
    vendor.gcs.put(env.GCS_BUCKET, path, JSON.parse(env.GCS_SA_KEY_JSON));
  }
}

function work() {
  if (!ACTIVE) return;
  file.delete(ASIDE);
  file.move(DIR, ASIDE);
  file.mkdir(DIR);
  var snapshot = pcap.snapshot([], ASIDE);
  file.delete(ASIDE);
  upload(snapshot);
  upload("name_resolution_history.json");
  file.delete(snapshot);
}

jobs.schedule("dfir", "0 0 * * * *", work);
"#;

/// Two streams of HTTP that are wanted, and what else there is: another host, and DNS.
fn wanted_and_others() -> (Frames, Frames) {
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    traffic.get(WEB_2, API, "/b", 500, 1000);
    let wanted = traffic.take();
    traffic.get(WEB_1, "10.2.0.9:8080", "/elsewhere", 200, 1000);
    traffic.dns(WEB_1, DNS, "api.shop");
    let mut all = wanted.clone();
    all.extend(traffic.take());
    (wanted, all)
}

/// A capture that was uploaded has just these frames, in order of time.
fn has_frames(content: &[u8], wanted: &Frames) {
    let file = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
    std::fs::write(file.path(), content).unwrap();
    assert_eq!(&frames(file.path()), wanted);
}

/// The objects are one snapshot of the wanted frames, and the names.
fn has_snapshot_and_names(objects: &[(String, Vec<u8>)], wanted: &Frames) {
    let [(snapshot, content), (history, names)] = objects else {
        panic!(
            "{:?}",
            objects.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
    };
    let second = snapshot.strip_suffix(".pcap").unwrap();
    assert!(second.parse::<u64>().is_ok(), "{snapshot}");
    has_frames(content, wanted);
    assert_eq!(history, "name_resolution_history.json");
    let names: Value = serde_json::from_slice(names).unwrap();
    let at = names.as_object().unwrap().values().next().unwrap();
    assert_eq!(at[API]["FullAddress"], "api.shop");
}

/// What is in the data directory.
fn left(play: &Playing) -> Vec<String> {
    let entries = std::fs::read_dir(play.files()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Has traffic kept and uploaded by a job.
fn records(play: Play, job: &str, eyes: &Eyes, folder: &str) {
    let mut play = play.start();
    let (wanted, all) = wanted_and_others();
    play.take(all);
    let kept = std::fs::read_dir(play.files().join(folder)).unwrap();
    assert_eq!(kept.count(), 2);
    play.run(job);
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    assert_eq!(with(&said, "Uploaded the file").len(), 2, "{said:?}");
    has_snapshot_and_names(&eyes.folder(&play.prefix()), &wanted);
    assert_eq!(
        left(&play),
        [folder, "name_resolution_history.json", "pcaps"]
    );
    let kept = std::fs::read_dir(play.files().join(folder)).unwrap();
    assert_eq!(kept.count(), 0);
}

/// The filter of tests: HTTP to the one service.
fn filter() -> Value {
    json!({"RECORDING_KFL": "http and dst.name == \"api\""})
}

fn s3_env(bucket: &str) -> Value {
    json!({"S3_BUCKET": bucket, "AWS_REGION": "us-east-2", "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET})
}

fn gcs_env() -> Value {
    json!({"GCS_BUCKET": BUCKET, "GCS_SA_KEY_JSON": emulators::gcs().key})
}

#[test]
fn dfir_forensics() {
    // to where the environment says
    let eyes = clouds::s3("forensics");
    let play = Play::new(FORENSICS).env(filter()).env(s3_env("forensics"));
    let play = play.endpoint("s3", &clouds::s3_url());
    records(play, "dfir", &eyes, "dfir");
    let play = Play::new(FORENSICS).env(filter()).env(gcs_env());
    let play = play.endpoint("gcs", &emulators::gcs().url);
    records(play, "dfir", &clouds::gcs(), "dfir");
    // without a filter it does nothing
    let mut play = Play::new(FORENSICS).start();
    play.take(wanted_and_others().1);
    play.run("dfir");
    assert_eq!(play.said(), [] as [String; 0]);
    assert!(!left(&play).contains(&"dfir".to_owned()));
}

const FORENSICS_GCS: &str = r#"
// Forensics to Google Cloud Storage
'use strict';
var ACTIVE = true;
var FOLDER = "dfir_fcs";
var KEY = JSON.parse(env.GCS_SA_KEY_JSON);

if (!kfl.validate(env.RECORDING_KFL)) {
  ACTIVE = false;
} else {
  file.delete(FOLDER);
  file.mkdir(FOLDER);
}

function onItemCaptured(data) {
  if (ACTIVE && kfl.match(env.RECORDING_KFL, data)) file.copy(pcap.path(data.stream), FOLDER + "/" + data.stream);
}

jobs.schedule("dfir_fcs", "0 */5 * * * *", function () {
  if (!ACTIVE) return;
  var aside = "dfir_fcs_tmp";
  file.delete(aside);
  file.move(FOLDER, aside);
  file.mkdir(FOLDER);
  var snapshot = pcap.snapshot([], aside);
  file.delete(aside);
  vendor.gcs.put(env.GCS_BUCKET, snapshot, KEY);
  vendor.gcs.put(env.GCS_BUCKET, "name_resolution_history.json", KEY);
  file.delete(snapshot);
});
"#;

#[test]
fn dfir_forensics_gcs() {
    let play = Play::new(FORENSICS_GCS).env(filter()).env(gcs_env());
    let play = play.endpoint("gcs", &emulators::gcs().url);
    records(play, "dfir_fcs", &clouds::gcs(), "dfir_fcs");
}

#[test]
fn dfir_forensics_s3() {
    let eyes = clouds::s3("forensics-keys");
    let text = FORENSICS.replace("0 0 * * * *", "0 */5 * * * *");
    let play = Play::new(&text).env(filter()).env(s3_env("forensics-keys"));
    let play = play.endpoint("s3", &clouds::s3_url());
    records(play, "dfir", &eyes, "dfir");
}

#[test]
fn dfir_forensics_irsa() {
    // a token of the pod's, exchanged by the service that the environment names
    let sts = Sink::new(|asked| {
        assert!(
            asked.target.contains("Action=AssumeRoleWithWebIdentity"),
            "{}",
            asked.target
        );
        reply(
            200,
            &format!(
                "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
             <SessionToken></SessionToken><SecretAccessKey>{SECRET}</SecretAccessKey>\
             <Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>{KEY_ID}</AccessKeyId></Credentials>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            ),
        )
    });
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "of the pod").unwrap();
    let variables = [
        (
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            token.path().to_str().unwrap(),
        ),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/recorder"),
        ("AWS_ENDPOINT_URL_STS", &sts.url()),
    ];
    if !has_variables("dfir::dfir_forensics_irsa", &variables) {
        assert_eq!(sts.asked().len(), 1);
        return;
    }
    let eyes = clouds::s3("irsa");
    let env = json!({"S3_BUCKET": "irsa", "AWS_REGION": "us-east-2"});
    let text = FORENSICS.replace("0 0 * * * *", "0 */5 * * * *");
    let play = Play::new(&text).env(filter()).env(env);
    let play = play.endpoint("s3", &clouds::s3_url());
    records(play, "dfir", &eyes, "dfir");
}

/// Begins after a second, ends after a minute, tidies up after two.
const KUBE: &str = r#"
// Forensics of a cluster
var ACTIVE = false;
var FOLDER = "recordings/example3";

setTimeout(function () {
  file.mkdir(FOLDER + "/pcaps");
  file.mkdir(FOLDER + "/json");
  ACTIVE = true;
}, 1000);

jobs.schedule("begin", "* * * * * *", function () { console.log("Recording"); }, 1);

setTimeout(function () {
  console.log("Stopping recording");
  ACTIVE = false;
}, 60000);

setTimeout(function () {
  file.delete(FOLDER);
}, 120000);

function onItemCaptured(data) {
  if (!ACTIVE) return;
  if (kfl.match("http or dns", data)) {
    try {
      file.copy(pcap.path(data.pcapFile), FOLDER + "/pcaps/" + data.pcapFile);
      file.write(FOLDER + "/json/" + data.entryFile, JSON.stringify(data));
    } catch (error) {
      console.error(error);
    }
  }
}
"#;

#[test]
fn dfir_forensics_kube() {
    let mut play = Play::new(KUBE).start();
    let (_, all) = wanted_and_others();
    play.take(all.clone());
    assert_eq!(play.said(), [] as [String; 0]);
    play.pass(1);
    assert_eq!(play.said(), ["[node-0] Recording"]);
    assert!(play.scripts.planned().is_empty());
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, API, "/a", 200, 1000);
    play.take(traffic.take());
    let wrong =
        "[node-0:ERROR] Error: file.copy: pcaps/master/undefined: no such file or directory";
    assert_eq!(play.said(), [wrong]);
    let folder = play.files().join("recordings/example3");
    assert_eq!(std::fs::read_dir(folder.join("json")).unwrap().count(), 0);
    play.pass(59);
    assert_eq!(play.said(), ["[node-0] Stopping recording"]);
    play.take(traffic_of(API));
    assert_eq!(play.said(), [] as [String; 0]);
    play.pass(60);
    assert!(!folder.exists() && folder.parent().unwrap().exists());
}

fn traffic_of(to: &str) -> Frames {
    let mut traffic = Traffic::new();
    traffic.get(WEB_2, to, "/b", 200, 1000);
    traffic.take()
}

#[test]
fn dfir_kube2() {
    let text = KUBE
        .replace("try {", "{")
        .replace("} catch (error) {\n      console.error(error);\n    }", "}")
        .replace("\"http or dns\"", "\"\"");
    let mut play = Play::new(&text).start();
    play.pass(1);
    play.said();
    play.take(wanted_and_others().1);
    let said = play.said();
    let wrong = "[node-0:ERROR] (hook=onItemCaptured) Error: file.copy: pcaps/master/undefined: no such file or directory";
    assert_eq!((said.len(), with(&said, wrong).len()), (4, 4), "{said:?}");
}

const APICALLS: &str = r#"
// API calls to S3
var ACTIVE = true;
var KFL = env.APICALLS_KFL;
var queue = [];

if (!KFL) ACTIVE = false;
else if (!kfl.validate(KFL)) {
  console.error("Invalid KFL:", KFL);
  ACTIVE = false;
}

function onItemCaptured(data) {
  if (ACTIVE && kfl.match(KFL, data)) queue.push(data);
}

jobs.schedule("apicallsjob", "0 0 * * * *", function () {
  if (!ACTIVE || queue.length == 0) return;
  var calls = queue;
  queue = [];
  var temp = file.temp("apicalls", "", "json");
  try {
    file.write(temp, JSON.stringify(calls));
    if (env.AWS_SECRET_ACCESS_KEY) {
      vendor.s3.put(env.APICALLS_S3_BUCKET, snapshot, env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY);
    } else {
      console.log(vendor.s3.put(env.APICALLS_S3_BUCKET, temp, env.AWS_REGION));
    }
  } catch (error) {
    console.error(error);
  } finally {
    file.delete(temp);
  }
});
"#;

/// The one object is a list of the calls that matched.
fn has_calls(play: &Playing, eyes: &Eyes) {
    let objects = eyes.folder(&play.prefix());
    assert_eq!(objects.len(), 1);
    assert!(objects[0].0.starts_with("apicalls") && objects[0].0.ends_with(".json"));
    let calls: Value = serde_json::from_slice(&objects[0].1).unwrap();
    let paths: Vec<_> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["request"]["path"].clone())
        .collect();
    assert_eq!(paths, ["/a", "/b", "/elsewhere"]);
    let left = left(play);
    assert!(
        !left.iter().any(|name| name.starts_with("apicalls")),
        "{left:?}"
    );
}

#[test]
fn apisec_apicalls() {
    // without keys in the environment of scripts: those of the process
    let variables = [
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    if !has_variables("dfir::apisec_apicalls", &variables) {
        return;
    }
    let eyes = clouds::s3("apicalls");
    let env = json!({"APICALLS_KFL": "http", "APICALLS_S3_BUCKET": "apicalls", "AWS_REGION": "us-east-2"});
    let with_env = |more: Value| {
        let play = Play::new(APICALLS).env(env.clone()).env(more);
        play.endpoint("s3", &clouds::s3_url()).start()
    };
    let mut play = with_env(json!({}));
    play.take(wanted_and_others().1);
    play.run("apicallsjob");
    let said = play.said();
    assert_eq!((said.len(), with(&said, "ERROR").len()), (2, 0), "{said:?}");
    has_calls(&play, &eyes);
    // with them, the published one reads a variable that it does not have
    let mut play = with_env(json!({"AWS_SECRET_ACCESS_KEY": SECRET}));
    play.take(wanted_and_others().1);
    play.run("apicallsjob");
    assert_eq!(
        play.said(),
        ["[node-0:ERROR] ReferenceError: snapshot is not defined"]
    );
    let mut play = with_env(json!({"APICALLS_KFL": "htt ??? p"}));
    play.take(wanted_and_others().1);
    play.run("apicallsjob");
    assert_eq!(
        play.said(),
        [
            "[node-0:ERROR] 1:5: unexpected token \"?\"",
            "[node-0:ERROR] Invalid KFL: htt ??? p",
        ]
    );
}

#[test]
fn apisec_apisec_s3_apicalls() {
    let eyes = clouds::s3("apicalls-keys");
    let env = json!({"APICALLS_KFL": "http", "APICALLS_S3_BUCKET": "apicalls-keys"});
    let text = APICALLS.replace("snapshot, env", "temp, env");
    let play = Play::new(&text).env(s3_env("")).env(env);
    let mut play = play.endpoint("s3", &clouds::s3_url()).start();
    play.take(wanted_and_others().1);
    play.run("apicallsjob");
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    has_calls(&play, &eyes);
}

const RECORDING: &str = r#"
// A recording
var active = true;
var name = "example";
var folder = "recordings/" + name;

file.mkdir(folder + "/pcaps");
file.mkdir(folder + "/json");

function onItemCaptured(data) {
  if (active && kfl.match(env.RECORDING_KFL || "", data)) {
    file.copy(pcap.path(data.stream), folder + "/pcaps/" + data.stream);
    file.write(folder + "/json/" + data.entryFile, JSON.stringify(data));
  }
}

function store() {
  if (active & env.S3_BUCKET) {
    vendor.s3.put(env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.S3_BUCKET, "never");
  }
  if (active && env.GCS_BUCKET) {
    var tarFile = file.tar(folder);
    var named = name + "_" + tarFile;
    file.move(tarFile, named);
    vendor.gcs.put(env.GCS_BUCKET, named, JSON.parse(env.GCS_SA_KEY_JSON));
    file.delete(named);
  }
}

jobs.schedule("jobs3", "0 0 * * * *", store, 0);
jobs.schedule("jobs-stop", "0 0 0 * * *", function () { active = false; }, 1);
setTimeout(function () { active = false; }, 172800000);
"#;

#[test]
fn drafts_recording() {
    let play = Play::new(RECORDING)
        .env(gcs_env())
        .env(json!({"S3_BUCKET": "none"}));
    let mut play = play.endpoint("gcs", &emulators::gcs().url).start();
    assert_eq!(play.scripts.jobs().len(), 2);
    let (_, all) = wanted_and_others();
    play.take(all);
    play.run("jobs3");
    let said = play.said();
    assert!(with(&said, "ERROR").is_empty(), "{said:?}");
    let objects = clouds::gcs().folder(&play.prefix());
    assert_eq!(objects.len(), 1);
    let name = &objects[0].0;
    assert!(
        name.starts_with("example_kubeshark_") && name.ends_with(".tar.gz"),
        "{name}"
    );
    let members = members(&objects[0].1);
    let of = |folder: &str| -> Vec<_> {
        let members = members.iter().filter(|(name, _)| name.starts_with(folder));
        members.collect()
    };
    assert_eq!(
        (of("pcaps/").len(), of("json/").len(), members.len()),
        (4, 4, 8)
    );
    for (name, content) in of("json/") {
        let entry: Value = serde_json::from_slice(content).unwrap();
        assert_eq!(
            name,
            &format!("json/{}", entry["entryFile"].as_str().unwrap())
        );
        assert!(
            of("pcaps/")
                .iter()
                .any(|(pcap, _)| *pcap == format!("pcaps/{}", entry["stream"].as_str().unwrap()))
        );
    }
}

/// Names and contents in a packed archive.
pub(super) fn members(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let entries = archive.entries().unwrap();
    let members = entries.map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    members.collect()
}

#[test]
fn what_is_outside_is_recorded_too() {
    let play = Play::new(FORENSICS).env(json!({"RECORDING_KFL": "http and dst.port == 443"}));
    let mut play = play.start();
    let mut traffic = Traffic::new();
    traffic.get(WEB_1, OUTSIDE, "/x", 200, 1000);
    play.take(traffic.take());
    assert_eq!(
        std::fs::read_dir(play.files().join("dfir"))
            .unwrap()
            .count(),
        1
    );
}
