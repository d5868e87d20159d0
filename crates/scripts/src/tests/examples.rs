//! The scripts of `examples/scripts`, each the very file, over a capture of real traffic and to a sink or an emulator.

use super::lifecycle::{World, names};
use super::live::frames;
use super::published::clouds::{self, Eyes};
use super::published::emulators::{self, ACCOUNT, ACCOUNT_KEY, BUCKET, KEY_ID, SECRET};
use super::published::sink::{Sink, reply};
use crate::testing::{entries_in, env, fixture};
use crate::{Rehearsal, Report, State};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Requests with statuses from 200 to 410, from six clients.
const CAPTURE: &str = "http1/nginx_and_python";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/scripts")
}

/// A world whose one active script is that of a file.
fn example(file: &str, given: Value) -> World {
    let mut world = World::new(&[]);
    world.config.sources.folders = vec![folder()];
    world.config.sources.active = vec![file.to_owned()];
    world.config.env = given.as_object().unwrap().clone();
    world.config.run = format!("{:016x}", rand::random::<u64>());
    world.config.watch = false;
    world
}

/// Runs it over the capture, its jobs at the end.
fn rehearse(world: &World) -> Report {
    let report = Rehearsal {
        config: world.config.clone(),
        env: env(),
        names: names(),
        captures: vec![fixture(CAPTURE)],
        jobs_at_end: true,
    };
    let report = report.run().unwrap();
    let at_work: Vec<_> = report
        .scripts
        .iter()
        .filter(|script| script.active)
        .collect();
    assert_eq!(at_work.len(), 1);
    assert_eq!(
        at_work[0].runs[0].state,
        State::Running,
        "{:?}",
        report.console
    );
    report
}

/// What was said, without what helpers say of themselves.
fn said(report: &Report) -> Vec<&str> {
    let lines = report.console.iter().map(|line| &**line);
    let own = |line: &&str| {
        !line.contains("] Scheduled the job: ") && !line.contains("] Uploaded the file ")
    };
    lines.filter(own).collect()
}

/// The statuses that the capture has, sorted.
fn statuses() -> Vec<i64> {
    let entries = entries_in(Path::new(&fixture(CAPTURE)));
    let statuses = entries.iter().filter_map(|entry| {
        let mut text = Vec::new();
        entry.with(&gillnet_entry::Bump::new(), |entry| {
            gillnet_entry::json::write_entry(entry, &mut text)
        });
        let json: Value = serde_json::from_slice(&text).unwrap();
        json["response"]["status"]
            .as_i64()
            .filter(|_| json["request"].is_object())
    });
    let mut statuses: Vec<_> = statuses.collect();
    statuses.sort_unstable();
    assert!(statuses.len() > 10, "{statuses:?}");
    statuses
}

/// The folder of the bucket has the packets of the streams with failed requests, and the names.
fn is_recorded(world: &World, eyes: &Eyes) {
    let report = rehearse(world);
    assert_eq!(said(&report), [] as [&str; 0]);
    let objects = eyes.folder(&format!("node_10.0.0.1_{}", world.config.run));
    let [(capture, packets), (history, _)] = &objects[..] else {
        panic!(
            "{:?}",
            objects.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
    };
    assert!(capture.ends_with(".pcap") && history == "name_resolution_history.json");
    let file = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
    std::fs::write(file.path(), packets).unwrap();
    let all = frames(fixture(CAPTURE));
    let kept = frames(file.path());
    assert!(!kept.is_empty() && kept.len() < all.len());
    assert!(kept.iter().all(|frame| all.contains(frame)));
    // whole streams: what failed can be seen in them
    let failed = statuses()
        .into_iter()
        .filter(|status| *status >= 400)
        .count();
    let entries = entries_in(file.path());
    let filter = gillnet_kfl::compile(
        &env(),
        "http and response.status >= 400",
        &gillnet_kfl::Options::default(),
    )
    .unwrap();
    let found = entries
        .iter()
        .filter(|entry| entry.with(&gillnet_entry::Bump::new(), |entry| filter.matches(entry)));
    assert_eq!(found.count(), failed);
    // nothing is left behind
    let mut left: Vec<_> = std::fs::read_dir(&world.config.data_dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["name_resolution_history.json", "pcaps", "record"]);
    assert_eq!(
        std::fs::read_dir(world.config.data_dir.join("record"))
            .unwrap()
            .count(),
        0
    );
}

const FAILED: &str = "http and response.status >= 400";

#[test]
fn record_to_google_cloud_storage() {
    let gcs = emulators::gcs();
    let given = json!({"RECORD_KFL": FAILED, "RECORD_TO": format!("gs://{BUCKET}"), "GCS_SA_KEY_JSON": gcs.key});
    let mut world = example("record.js", given);
    world.config.endpoints.insert("gcs".into(), gcs.url.clone());
    is_recorded(&world, &clouds::gcs());
}

#[test]
fn record_to_s3() {
    let eyes = clouds::s3("example");
    let given = json!({
        "RECORD_KFL": FAILED, "RECORD_TO": "s3://example", "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET,
    });
    let mut world = example("record.js", given);
    world.config.endpoints.insert("s3".into(), clouds::s3_url());
    is_recorded(&world, &eyes);
}

#[test]
fn record_to_azure() {
    let eyes = clouds::azure("example");
    let given = json!({
        "RECORD_KFL": FAILED, "RECORD_TO": "azure://example",
        "AZURE_STORAGE_ACCOUNT": ACCOUNT, "AZURE_STORAGE_KEY": ACCOUNT_KEY,
    });
    let mut world = example("record.js", given);
    world
        .config
        .endpoints
        .insert("azure".into(), emulators::azure().url.clone());
    is_recorded(&world, &eyes);
}

#[test]
fn alert_to_slack() {
    let slack = Sink::saying(200, "ok");
    let given =
        json!({"SLACK_WEBHOOK": format!("{}/services/T/B/hush", slack.url()), "ALERT_KFL": FAILED});
    let report = rehearse(&example("slack-alert.js", given));
    assert_eq!(said(&report), [] as [&str; 0]);
    let failed = statuses()
        .into_iter()
        .filter(|status| *status >= 400)
        .count();
    let asked = slack.asked();
    let about: Vec<_> = asked
        .iter()
        .map(|asked| asked.json()["attachments"][0].clone())
        .collect();
    assert_eq!((about.len(), asked[0].path()), (1, "/services/T/B/hush"));
    assert_eq!(
        about[0]["pretext"],
        format!("127.0.0.1:18080: {failed} failed")
    );
    let text = about[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("GET /none → 404, from 127.0.0.1:"),
        "{text}"
    );
    assert!(text.contains("GET /gone → 410"), "{text}");
    // fewer than are to be told
    let slack = Sink::saying(200, "ok");
    let given = json!({"SLACK_WEBHOOK": slack.url(), "ALERT_KFL": FAILED, "ALERT_AT": failed + 1});
    rehearse(&example("slack-alert.js", given));
    assert!(slack.asked().is_empty());
}

#[test]
fn latency_percentiles() {
    let report = rehearse(&example("latency-percentiles.js", json!({})));
    assert_eq!(said(&report), [] as [&str; 0]);
    let mut times: Vec<_> = entries_in(Path::new(&fixture(CAPTURE)))
        .iter()
        .filter_map(|entry| Some((entry.end_ts? - entry.ts) / 1000))
        .filter(|time| *time > 0)
        .collect();
    times.sort_unstable();
    let at = |quantile: f64| times[(quantile * times.len() as f64).ceil() as usize - 1];
    for (name, quantile) in [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99)] {
        let line = format!(
            "latency_us{{namespace=\"\",quantile=\"{name}\",service=\"127.0.0.1\"}} {}\n",
            at(quantile)
        );
        assert!(report.metrics.contains(&line), "{line}{}", report.metrics);
    }
    let line = format!(
        "latency_calls{{namespace=\"\",service=\"127.0.0.1\"}} {}\n",
        times.len()
    );
    assert!(report.metrics.contains(&line), "{}", report.metrics);
}

#[test]
fn har_to_a_webhook() {
    let sink = Sink::new(|asked| match asked.header("authorization") {
        "Bearer hush" => reply(202, ""),
        _ => reply(401, ""),
    });
    let given = json!({"HAR_URL": format!("{}/har", sink.url()), "HAR_TOKEN": "hush"});
    let report = rehearse(&example("har-webhook.js", given));
    assert_eq!(said(&report), [] as [&str; 0]);
    let asked = sink.one();
    assert_eq!(
        (asked.path(), asked.header("content-type")),
        ("/har", "application/json")
    );
    let har = asked.json();
    assert_eq!(har["log"]["version"], "1.2");
    let entries = har["log"]["entries"].as_array().unwrap();
    let mut found: Vec<_> = entries
        .iter()
        .map(|entry| entry["response"]["status"].as_i64().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, statuses());
    assert!(
        entries
            .iter()
            .any(|entry| entry["request"]["url"] == "http://127.0.0.1:18080/none?x=1")
    );
    // one that refuses: said, and kept
    let given = json!({"HAR_URL": sink.url(), "HAR_TOKEN": "wrong"});
    let report = rehearse(&example("har-webhook.js", given));
    let lines = said(&report);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(":ERROR] Error: the webhook said 401"),
        "{lines:?}"
    );
}

#[test]
fn error_budget() {
    let all = statuses();
    let bad = all.iter().filter(|status| **status >= 400).count();
    let given = json!({"SLO_BAD": "response.status >= 400", "SLO_TARGET": 0.5});
    let report = rehearse(&example("error-budget.js", given));
    assert_eq!(said(&report), [] as [&str; 0]);
    let line = report
        .metrics
        .lines()
        .find(|line| line.starts_with("error_budget_left{namespace=\"\",service=\"127.0.0.1\"} "))
        .unwrap();
    let left: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let expected = 1.0 - bad as f64 / all.len() as f64 / 0.5;
    assert!((left - expected).abs() < 1e-9, "{left} {expected}");
    let given = json!({"SLO_BAD": "response.status >= 400", "SLO_TARGET": "0.99"});
    let report = rehearse(&example("error-budget.js", given));
    let lines = said(&report);
    let spent = format!(
        "127.0.0.1: {bad} of {} calls were bad; its error budget is spent",
        all.len()
    );
    assert!(lines.len() == 1 && lines[0].ends_with(&spent), "{lines:?}");
}

#[test]
fn all_examples_are_named_in_the_documentation_and_say_what_they_lack() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scripts.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    for file in &files {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        assert!(
            docs.contains(&format!("(../examples/scripts/{file})")),
            "{file}"
        );
        assert_eq!(crate::review(file, &text), [], "{file}");
        // each variable that it reads is explained in its head
        let head = text.split("\n\n").next().unwrap();
        for part in text.split("env.").skip(1) {
            let end =
                part.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
            let name = &part[..end.unwrap()];
            assert!(head.contains(name), "{file}: {name}");
        }
    }
    for (file, says) in [
        (
            "record.js",
            "RECORD_TO must be gs://BUCKET, s3://BUCKET or azure://CONTAINER",
        ),
        ("slack-alert.js", "SLACK_WEBHOOK must be"),
        ("har-webhook.js", "HAR_URL must be"),
    ] {
        let world = example(file, json!({}));
        let scripts = world.start();
        let lines = super::lifecycle::said(&scripts);
        assert!(
            lines.len() == 1 && lines[0].contains(":ERROR] Error: ") && lines[0].contains(says),
            "{lines:?}"
        );
    }
}
