//! Scripts loaded, changed, asked and told of things, on their own threads.

use crate::files::TappedStreams;
use crate::testing::{NOW, entries, env, fixture};
use crate::{
    Config, Demand, Doors, Hook, ManualClock, NoCluster, Pressure, Rehearsal, Said, Scripts, Side,
    State,
};
use gillnet_names::{Names, NamesConfig, StaticName};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) demands: Arc<Mutex<Vec<Demand>>>,
    pub(super) config: Config,
}

pub(super) fn names() -> Arc<Names> {
    let statics = vec![StaticName {
        address: "127.0.0.1:80".into(),
        name: "web".into(),
        namespace: "shop".into(),
        ..StaticName::default()
    }];
    Arc::new(
        Names::new(NamesConfig {
            statics,
            ..NamesConfig::default()
        })
        .unwrap(),
    )
}

impl World {
    /// A folder with these scripts.
    pub(super) fn new(scripts: &[(&str, &str)]) -> World {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("scripts");
        fs::create_dir(&folder).unwrap();
        for (name, text) in scripts {
            fs::write(folder.join(name), text).unwrap();
        }
        let mut config = Config::new(
            "node",
            "10.0.0.1",
            "00000000000000ff",
            dir.path().join("data"),
        );
        config.sources.folders = vec![folder];
        config.sources.added = Some(dir.path().join("added"));
        config.limits.hook = PATIENCE;
        config.limits.job = PATIENCE;
        World {
            dir,
            clock: ManualClock::at(NOW),
            demands: Arc::default(),
            config,
        }
    }

    pub(super) fn start(&self) -> Scripts {
        let demands = Arc::clone(&self.demands);
        let doors = Doors {
            env: env(),
            names: names(),
            streams: Arc::new(TappedStreams::default()),
            clock: Arc::clone(&self.clock) as Arc<dyn crate::Clock>,
            cluster: Arc::new(NoCluster),
            on_demand: Some(Arc::new(move |demand| demands.lock().unwrap().push(demand))),
        };
        Scripts::start(self.config.clone(), doors).unwrap()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join("scripts").join(name), text).unwrap();
    }
}

pub(super) fn said(scripts: &Scripts) -> Vec<String> {
    assert!(scripts.settle(PATIENCE), "{:?}", scripts.console().lines());
    scripts
        .console()
        .lines()
        .iter()
        .map(|line| line.to_string())
        .collect()
}

/// Gives entries to scripts as a shard does.
pub(super) fn feed(scripts: &Scripts, fixture: &str) -> usize {
    use gillnet_pipeline::Consumer;
    let mut sink = scripts.sink(0, Pressure::Wait);
    let entries = entries(fixture);
    let arena = gillnet_entry::Bump::new();
    for entry in &entries {
        entry.with(&arena, |entry| sink.entry(entry, 1));
    }
    sink.flush();
    entries.len()
}

#[test]
fn hooks_are_called_and_what_nobody_hooks_is_not_asked_for() {
    let world = World::new(&[
        (
            "a.js",
            "// first\nvar n = 0; function onItemCaptured(data) { n++; } function onJobPassed(tag, cron, limit) { console.log(tag, cron, limit, n); }",
        ),
        (
            "b.js",
            "jobs.schedule('Every Second', '* * * * * *', function () {}, 2);",
        ),
    ]);
    let scripts = world.start();
    assert_eq!(
        scripts.demand(),
        Demand {
            entries: true,
            packets: false
        }
    );
    assert_eq!(*world.demands.lock().unwrap(), [scripts.demand()]);
    let count = feed(&scripts, "http1/nginx_and_python");
    assert!(scripts.settle(PATIENCE));
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(1));
        said(&scripts);
    }
    let line = format!("[node-0] every-second * * * * * * 2 {count}");
    let expected = [
        "[node-1] Scheduled the job: \"every-second\" for cron: \"* * * * * *\" (limit: 2)"
            .to_owned(),
        line.clone(),
        line,
    ];
    assert_eq!(said(&scripts), expected);
    let status = scripts.status();
    let run = &status[0].runs[0];
    assert_eq!(
        (status[0].title.as_str(), status[0].number, run.side),
        ("first", 0, Side::Worker)
    );
    assert_eq!(run.state, State::Running);
    assert_eq!(
        run.calls,
        [
            (Hook::ItemCaptured, count as u64, 0),
            (Hook::JobPassed, 2, 0)
        ]
    );
    assert!(run.memory > 10_000);
    assert!(scripts.jobs().is_empty());
    scripts.stop();
}

#[test]
fn a_change_reloads_one_script_and_leaves_the_others() {
    let world = World::new(&[
        (
            "a.js",
            "var n = 0; jobs.schedule('a', '@every 1s', function () { console.log('a', ++n); });",
        ),
        ("b.js", "// b\nconsole.log('one');"),
    ]);
    let scripts = world.start();
    world.clock.advance(Duration::from_secs(1));
    said(&scripts);
    world.write(
        "b.js",
        "// b\nconsole.log('two'); function onItemCaptured() {}",
    );
    world.write("c.js", "throw 'no';");
    scripts.configure(&world.config).unwrap();
    world.clock.advance(Duration::from_secs(1));
    let lines: Vec<_> = said(&scripts)
        .into_iter()
        .filter(|line| !line.contains("Scheduled"))
        .collect();
    let mut sorted = lines.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            "[node-0] a 1",
            "[node-0] a 2",
            "[node-1] one",
            "[node-1] two",
            "[node-2:ERROR] no"
        ]
    );
    assert!(scripts.demand().entries);
    assert!(matches!(
        scripts.status()[2].runs[0].state,
        State::Failed(_)
    ));
    fs::remove_file(world.dir.path().join("scripts/a.js")).unwrap();
    world.write("c.js", "console.log('mended')");
    scripts.configure(&world.config).unwrap();
    assert!(said(&scripts).contains(&"[node-2] mended".to_owned()));
    assert!(scripts.jobs().is_empty(), "its jobs went with the script");
    assert_eq!(scripts.status().len(), 2);
}

#[test]
fn a_changed_environment_loads_all_anew() {
    let mut world = World::new(&[("a.js", "// a\nconsole.log('' + env.RECORDING_KFL);")]);
    world
        .config
        .env
        .insert("RECORDING_KFL".into(), "http".into());
    let scripts = world.start();
    scripts.configure(&world.config).unwrap();
    assert_eq!(said(&scripts), ["[node-0] http"], "nothing changed");
    world.config.env.remove("RECORDING_KFL");
    scripts.configure(&world.config).unwrap();
    assert!(said(&scripts).contains(&"[node-0] undefined".to_owned()));
    world.config.endpoints.insert("nobody".into(), "x".into());
    assert!(scripts.configure(&world.config).is_err());
    assert_eq!(scripts.status()[0].runs[0].state, State::Running);
}

#[test]
fn files_are_watched() {
    let world = World::new(&[("a.js", "console.log('one');")]);
    let scripts = world.start();
    world.write("a.js", "console.log('another');");
    let console = scripts.console().listen();
    let line = console
        .into_iter()
        .find(|said| matches!(said, Said::Line { text, .. } if text.contains("another")));
    assert!(line.is_some());
}

#[test]
fn the_api_adds_changes_activates_and_deletes() {
    let world = World::new(&[("a.js", "// kept\nvar a;")]);
    let scripts = world.start();
    let wrong = scripts.add("// bad\nvar = 1;").unwrap_err().to_string();
    assert!(wrong.starts_with("script.js:2:5: SyntaxError"), "{wrong}");
    let number = scripts
        .add("// Added by hand\nconsole.log('hello'); function onItemCaptured() {}")
        .unwrap();
    assert_eq!(said(&scripts), [format!("[node-{number}] hello")]);
    assert_eq!(
        &*scripts.text(number).unwrap(),
        "// Added by hand\nconsole.log('hello'); function onItemCaptured() {}"
    );
    assert!(scripts.demand().entries);
    scripts.change(number, "console.log('changed');").unwrap();
    assert!(scripts.change(number, "}").is_err() && scripts.change(99, "").is_err());
    assert_eq!(
        said(&scripts).last().unwrap(),
        &format!("[node-{number}] changed")
    );
    assert!(!scripts.demand().entries);
    assert_eq!(world.demands.lock().unwrap().len(), 3);
    scripts.activate(number, false).unwrap();
    assert!(
        scripts
            .status()
            .iter()
            .any(|s| s.number == number && !s.active && s.runs.is_empty())
    );
    scripts.activate(number, true).unwrap();
    assert_eq!(
        said(&scripts)
            .iter()
            .filter(|line| line.contains("changed"))
            .count(),
        2
    );
    scripts.delete(number).unwrap();
    assert!(scripts.text(number).is_err());
    assert_eq!(scripts.status().len(), 1);
    assert!(scripts.run_job("nothing").is_err());
}

#[test]
fn scripts_that_ask_where_they_are_run_on_both_sides() {
    let world = World::new(&[
        (
            "hub.js",
            concat!(
                "if (utils.nodeName() == 'hub') { var all = {}; console.clear(); }\n",
                "function onHubAction(action, object) { all = wrapper.joinMaps(all, object); console.log(action, JSON.stringify(all)); }\n",
                "function onItemCaptured(data) { hub.action('counts', { n: 1 }); }\n",
            ),
        ),
        (
            "no.js",
            "if (utils.nodeName() == 'hub') throw 'not on the hub'; console.log('worker')",
        ),
    ]);
    let scripts = world.start();
    let count = feed(&scripts, "http1/nginx_and_python");
    let lines = said(&scripts);
    assert_eq!(
        lines.last().unwrap(),
        &format!("[hub-0] counts {{\"n\":{count}}}")
    );
    assert!(!lines.iter().any(|line| line.starts_with("[node-0")));
    assert_eq!(scripts.status()[1].runs.len(), 2);
    assert!(
        matches!(&scripts.status()[1].runs[0].state, State::Failed(why) if why == "not on the hub")
    );
    assert_eq!(scripts.status()[1].runs[1].state, State::Running);
}

#[test]
fn what_is_returned_is_shown_instead() {
    let world = World::new(&[
        (
            "a.js",
            "function onItemQueried(data, filter) { if (filter !== 'http') throw filter; if (data.response.status >= 400) return test.fail(data); data.request.headers = '[redacted]'; return data; }",
        ),
        (
            "b.js",
            "function onItemQueried(data) { if (data.passed || data.failed) return; data.seen = data.request.headers; return data; }",
        ),
        (
            "c.js",
            "function onItemQueried(data) { throw new Error('always'); }",
        ),
    ]);
    let scripts = world.start();
    let all = entries("http1/one_exchange");
    let shown = scripts.queried(&all, "http");
    let shown: serde_json::Value = serde_json::from_str(shown[0].as_ref().unwrap()).unwrap();
    assert_eq!(
        (&shown["request"]["headers"], &shown["seen"]),
        (&json!("[redacted]"), &json!("[redacted]"))
    );
    let lines = said(&scripts);
    assert!(
        lines[0].starts_with("[node-2:ERROR] (hook=onItemQueried) Error: always (c.js:1:"),
        "{lines:?}"
    );
    // as it was captured, it stays
    assert!(scripts.queried(&all, "http")[0].is_some());
}

#[test]
fn pods_logs_packets_and_failed_jobs_are_told() {
    use gillnet_pipeline::{Consumer, PacketSeen};
    use tracing_subscriber::prelude::*;
    let world = World::new(&[(
        "a.js",
        concat!(
            "function onPodEvent(event, pod) { console.log(event, pod.ObjectMeta.Labels.app, JSON.parse(JSON.stringify(pod.ObjectMeta)).CreationTimestamp); }\n",
            "function onLogCall(level, msg) { console.log(level, msg.message, msg.n, typeof msg.time); }\n",
            "var packets = 0, bytes = 0; function onPacketCaptured(info) { packets++; bytes += info.length; if (packets === 3) console.log(packets, bytes, JSON.stringify(info)); }\n",
            "function onJobFailed(tag, cron, limit, err) { console.log('failed', tag, cron, limit, err); }\n",
            "jobs.schedule('bad', '0 0 0 1 1 *', function () { throw new Error('no'); }, 1);\n",
        ),
    )]);
    let scripts = world.start();
    assert_eq!(
        scripts.demand(),
        Demand {
            entries: false,
            packets: true
        }
    );
    scripts.pod_event("ADDED", json!({"metadata": {"labels": {"app": "web"}, "creationTimestamp": "2026-01-02T03:04:05Z"}}));
    said(&scripts);
    let layer = crate::LogLayer::default();
    scripts.attach(&layer);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::warn!(target: "gillnet_recorder", n = 7, "spool is full");
        tracing::warn!(target: "gillnet_scripts::x", "not this one");
        tracing::debug!(target: "gillnet_recorder", "nor this");
    });
    said(&scripts);
    let mut sink = scripts.sink(0, Pressure::Drop);
    for n in 1..=3 {
        sink.packet(&PacketSeen {
            ts: NOW,
            captured: 60,
            wire: 60 * n,
            fragmented: false,
        });
    }
    sink.flush();
    said(&scripts);
    scripts.run_job("bad").unwrap();
    let lines = said(&scripts);
    assert_eq!(
        lines[1..],
        [
            "[node-0] ADDED web 2026-01-02T03:04:05Z",
            "[node-0] warning spool is full 7 string",
            "[node-0] 3 360 {\"timestamp\":\"2026-01-02T03:04:05.000000000Z\",\"captureLength\":60,\"length\":180,\"truncated\":true,\"fragmented\":false}",
            "[node-0:ERROR] (job=bad) Error: no (a.js:5:61)",
            "[node-0] failed bad 0 0 0 1 1 * 1 Error: no",
        ]
    );
}

/// The calls that recorders make, one after the other as theirs are.
const RECORDER: &str = r#"
// A recorder of its own
var ACTIVE = !!env.RECORDING_KFL, folder = "forensics", kept = [];
if (ACTIVE) {
  if (!kfl.validate(env.RECORDING_KFL)) ACTIVE = false;
  file.delete(folder);
  file.mkdir(folder);
}
function onItemCaptured(data) {
  if (!ACTIVE) return;
  if (kfl.match(env.RECORDING_KFL, data) && kept.indexOf(data.stream) === -1) {
    kept.push(data.stream);
    file.copy(pcap.path(data.stream), folder + "/" + data.stream);
  }
}
function upload() {
  if (kept.length === 0) return;
  var aside = folder + "_aside", key = JSON.parse(env.GCS_SA_KEY_JSON);
  file.delete(aside);
  file.move(folder, aside);
  kept = [];
  file.mkdir(folder);
  var snapshot = pcap.snapshot([], aside);
  file.delete(aside);
  vendor.gcs.put(env.GCS_BUCKET, snapshot, key);
  file.move(snapshot, "shown.pcap");
  vendor.gcs.put(env.GCS_BUCKET, "name_resolution_history.json", key);
}
jobs.schedule("forensics", "0 */5 * * * *", upload);
"#;

#[test]
fn a_recorder_is_rehearsed_over_a_capture() {
    let mut world = World::new(&[("recorder.js", RECORDER)]);
    world.config.dry_run = true;
    world.config.env =
        json!({"RECORDING_KFL": "http", "GCS_BUCKET": "bucket", "GCS_SA_KEY_JSON": "{}"})
            .as_object()
            .unwrap()
            .clone();
    assert_eq!(world.config.sources.recording().unwrap().len(), 1);
    let capture = fixture("http1/nginx_and_python");
    let report = Rehearsal {
        config: world.config.clone(),
        env: env(),
        names: names(),
        captures: vec![capture.clone()],
        jobs_at_end: true,
    };
    let report = report.run().unwrap();
    let lines: Vec<_> = report.console.iter().map(|line| &**line).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[1].starts_with("[node-0] (dry run) vendor.gcs.put: ")
            && lines[1].ends_with(".pcap to bucket"),
        "{lines:?}"
    );
    assert_eq!(
        lines[2],
        "[node-0] (dry run) vendor.gcs.put: name_resolution_history.json to bucket"
    );
    assert!(report.streams.written > 0 && report.streams.missed == 0);
    assert!(report.scripts[0].records);
    // the packets of all streams of HTTP: the same entries come out of them again
    let entries_of = |path: &Path| {
        let shown = crate::testing::entries_in(path);
        shown.iter().filter(|e| e.info.name == "http").count()
    };
    let shown = world.dir.path().join("data/shown.pcap");
    assert_eq!(entries_of(&shown), entries_of(Path::new(&capture)));
}
