//! Scripts that misbehave: each is contained, says so, and holds up no other.

use super::lifecycle::{PATIENCE, World, feed, names, said};
use super::live::frames;
use super::published::emulators::wait_for;
use super::stage::Stage;
use super::traffic::Frames;
use crate::testing::{entries, fixture};
use crate::{Hook, Pressure, State};
use gillnet_pipeline::Consumer;
use std::time::Duration;

const GOOD: &str = "// good\nvar n = 0; function onItemCaptured(data) { n++; } jobs.schedule('tell', '* * * * * *', function () { console.log('n', n); });";

#[test]
fn an_endless_loop_is_stopped_and_its_script_paused() {
    let mut world = World::new(&[
        (
            "bad.js",
            "// endless\nfunction onItemCaptured(data) { try { while (true) {} } catch (e) { while (true) {} } }",
        ),
        ("good.js", GOOD),
    ]);
    world.config.limits.hook = Duration::from_millis(50);
    let scripts = world.start();
    let count = feed(&scripts, "http1/nginx_and_python");
    assert!(count > 3);
    assert!(scripts.settle(PATIENCE));
    world.clock.advance(Duration::from_secs(1));
    let lines = said(&scripts);
    let stopped = "[node-0:ERROR] (hook=onItemCaptured) stopped: it took more than 50ms (scripting.limits.time)";
    assert_eq!(
        lines.iter().filter(|line| *line == stopped).count(),
        3,
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.starts_with(
        "[node-0:ERROR] it keeps failing (3 times one after the other) and is paused for 60s"
    )));
    assert!(lines.contains(&format!("[node-1] n {count}")));
    let status = &scripts.status()[0].runs[0];
    assert!(matches!(status.state, State::Paused(_)));
    assert_eq!(status.calls, [(Hook::ItemCaptured, 3, count as u64 - 3)]);
    // after the pause it is tried once more, and paused for longer
    world.clock.advance(Duration::from_secs(60));
    assert!(scripts.settle(PATIENCE));
    feed(&scripts, "http1/nginx_and_python");
    let lines = said(&scripts);
    assert_eq!(
        lines.iter().filter(|line| *line == stopped).count(),
        4,
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("paused for 120s")));
}

#[test]
fn endless_allocation_costs_a_script_its_interpreter_and_nobody_else() {
    let mut world = World::new(&[
        (
            "bad.js",
            "// hungry\nvar all = []; console.log('loaded'); function onItemCaptured(data) { while (true) all.push(data.stream + all.length + 'x'.repeat(10000)); }",
        ),
        ("good.js", GOOD),
    ]);
    world.config.limits.memory = 8 << 20;
    let scripts = world.start();
    let count = feed(&scripts, "http1/nginx_and_python");
    assert!(scripts.settle(PATIENCE));
    world.clock.advance(Duration::from_secs(1));
    let lines = said(&scripts);
    assert!(lines.iter().any(|line| line == "[node-0:ERROR] (hook=onItemCaptured) stopped: it holds more than 8 MiB (scripting.limits.memory)"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("loaded anew")));
    assert!(
        lines
            .iter()
            .filter(|line| *line == "[node-0] loaded")
            .count()
            >= 2
    );
    assert!(lines.contains(&format!("[node-1] n {count}")));
}

#[test]
fn a_throw_at_load_keeps_no_other_from_running() {
    let world = World::new(&[
        (
            "bad.js",
            "jobs.schedule('left', '* * * * * *', function () { console.log('never'); }); throw new Error('at load');",
        ),
        ("good.js", GOOD),
        ("syntax.js", "var a;\nvar b = ;"),
    ]);
    let scripts = world.start();
    world.clock.advance(Duration::from_secs(1));
    let lines = said(&scripts);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("[node-0:ERROR] Error: at load (bad.js:1:")),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("[node-2:ERROR] SyntaxError: ")
                && line.contains("(syntax.js:2:")),
        "{lines:?}"
    );
    assert!(lines.contains(&"[node-1] n 0".to_owned()));
    assert!(!lines.iter().any(|line| line.contains("never")));
}

#[test]
fn deleting_what_is_outside_is_refused() {
    let world = World::new(&[
        (
            "bad.js",
            "function onItemCaptured() { file.delete('../../etc'); }",
        ),
        ("good.js", GOOD),
    ]);
    let outside = world.dir.path().join("etc");
    std::fs::create_dir(&outside).unwrap();
    let scripts = world.start();
    feed(&scripts, "http1/one_exchange");
    let lines = said(&scripts);
    assert!(lines.iter().any(|line| line.contains("(hook=onItemCaptured) Error: file.delete: ../../etc: `..` leads out of the data directory")), "{lines:?}");
    assert!(outside.exists());
}

/// A job of every second that is busy, on its own thread, until it finds a file.
const BUSY: &str = r#"
// busy
var runs = 0;
function isThere(path) {
  try {
    file.copy(path, "found");
    return true;
  } catch (error) {
    return false;
  }
}
jobs.schedule("busy", "* * * * * *", function () {
  runs++;
  console.log("begins", runs);
  while (!isThere("enough")) {}
  console.log("ends", runs);
});
"#;

#[test]
fn a_job_of_every_second_that_takes_a_minute_runs_once_and_holds_up_nobody() {
    let world = World::new(&[("bad.js", BUSY), ("good.js", GOOD)]);
    let mut stage = Stage::start(&world, 4 << 20, &names());
    let busy = |stage: &Stage| {
        let planned = stage.scripts.planned();
        let job = planned.into_iter().find(|job| job.tag == "busy").unwrap();
        (job.running, job.runs)
    };
    let all = frames(fixture("http1/one_exchange"));
    world.clock.advance(Duration::from_secs(1));
    wait_for("the job to begin", || busy(&stage) == (true, 0));
    for second in 1..60u64 {
        world.clock.advance(Duration::from_secs(1));
        let line = format!("[node-1] n {}", second - 1);
        wait_for("the other's job", || {
            let lines = stage.scripts.console().lines();
            lines.iter().any(|said| **said == *line)
        });
        // capture goes on meanwhile, and what it finds is handed over
        stage.capture(again(&all, second));
        wait_for("the other's hook", || calls(&stage.scripts, 1) == second);
        assert_eq!(busy(&stage), (true, 0));
    }
    std::fs::write(world.config.data_dir.join("enough"), "").unwrap();
    stage.rest();
    let lines = stage.said();
    let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!((of("begins"), of("ends")), (1, 1), "{lines:?}");
    let passed = "[node-0:ERROR] the job \"busy\" was still running at 59 of its times: they are passed over";
    assert_eq!((of(passed), of("ERROR")), (1, 1), "{lines:?}");
    stage.pass(1);
    assert_eq!(busy(&stage), (false, 2));
    assert_eq!(stage.captured(), 59 * all.len() as u64);
}

#[test]
fn a_job_that_takes_longer_than_it_may_is_stopped() {
    let mut world = World::new(&[("bad.js", BUSY), ("good.js", GOOD)]);
    world.config.limits.job = Duration::from_millis(100);
    let scripts = world.start();
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(1));
        assert!(scripts.settle(PATIENCE));
    }
    let lines = said(&scripts);
    let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    let stopped =
        "[node-0:ERROR] (job=busy) stopped: it took more than 100ms (scripting.limits.time)";
    assert_eq!(
        (of(stopped), of("is paused for 60s"), of("] ends")),
        (3, 1, 0),
        "{lines:?}"
    );
    assert_eq!(of("[node-1] n 0"), 4, "{lines:?}");
}

/// Calls of `onItemCaptured` of a script.
fn calls(scripts: &crate::Scripts, at: usize) -> u64 {
    let calls = &scripts.status()[at].runs[0].calls;
    let called = calls.iter().find(|(hook, ..)| *hook == Hook::ItemCaptured);
    called.map_or(0, |(_, called, _)| *called)
}

/// The same frames of another client, so many seconds later.
fn again(frames: &Frames, seconds: u64) -> Frames {
    let later = frames.iter().map(|(ts, link, data)| {
        let mut data = data.clone();
        // the last byte of the address that is not the server's: sources and destinations alike
        let client = if data[34..36] == 80u16.to_be_bytes() {
            33
        } else {
            29
        };
        data[client] = data[client].wrapping_add(u8::try_from(seconds).unwrap());
        (ts + seconds as i64 * 1_000_000_000, *link, data)
    });
    later.collect()
}

#[test]
fn a_full_queue_drops_calls_and_counts_them() {
    let mut world = World::new(&[(
        "slow.js",
        "function onItemCaptured() { for (var until = Date.now() + 2; Date.now() < until;) {} }",
    )]);
    world.config.limits.queue = 10;
    world.config.limits.share = 1_000_000;
    let scripts = world.start();
    let mut sink = scripts.sink(0, Pressure::Drop);
    let entry = entries("http1/one_exchange").remove(0);
    let arena = gillnet_entry::Bump::new();
    for _ in 0..1000 {
        entry.with(&arena, |entry| sink.entry(entry, 1));
    }
    sink.flush();
    assert!(scripts.settle(PATIENCE));
    let calls = &scripts.status()[0].runs[0].calls;
    let [(Hook::ItemCaptured, called, dropped)] = calls[..] else {
        panic!("{calls:?}");
    };
    assert!(
        called >= 10 && dropped > 0 && called + dropped == 1000,
        "{called} {dropped}"
    );
}

#[test]
fn a_script_that_always_throws_says_so_and_is_paused_at_last() {
    let mut world = World::new(&[(
        "bad.js",
        "function onItemCaptured(data) { nothing.at.all; }",
    )]);
    world.config.limits.failures = 5;
    let scripts = world.start();
    let count = feed(&scripts, "http1/nginx_and_python");
    assert!(count > 5);
    let lines = said(&scripts);
    let errors = lines.iter().filter(|line| line.starts_with("[node-0:ERROR] (hook=onItemCaptured) ReferenceError: nothing is not defined (bad.js:1:"));
    assert_eq!(errors.count(), 5, "{lines:?}");
    assert_eq!(lines.len(), 6);
}

#[test]
fn helpers_that_there_are_none_of_are_named() {
    let world = World::new(&[
        (
            "a.js",
            concat!(
                "function onItemCaptured(data) {\n",
                "  if (vendor.newer) vendor.newer(data);\n",
                "  try { vendor.s4.put('bucket', 'path'); } catch (e) { console.log(e, e instanceof TypeError, e.stack); }\n",
                "  try { file\n    .shred(data.nothing()); } catch (e) { console.log(e); }\n",
                "  try { file.shred(1); } catch (e) { console.log(e); }\n",
                "  data.nothing(jobs.list());\n}\n",
            ),
        ),
        ("b.js", "// b\nvar o = {};\n\nvendor.s4.put(1);"),
    ]);
    let scripts = world.start();
    feed(&scripts, "http1/one_exchange");
    assert_eq!(
        said(&scripts),
        [
            "[node-1:ERROR] TypeError: there is no helper vendor.s4.put; did you mean vendor.s3.put? (b.js:4:1)",
            "[node-0] TypeError: there is no helper vendor.s4.put; did you mean vendor.s3.put? true     at onItemCaptured (a.js:3:9)\n",
            "[node-0] TypeError: not a function",
            "[node-0] TypeError: there is no helper file.shred",
            "[node-0:ERROR] (hook=onItemCaptured) TypeError: not a function (a.js:7:21)",
        ]
    );
}
