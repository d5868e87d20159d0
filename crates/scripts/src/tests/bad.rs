//! Scripts that misbehave: each is contained, says so, and holds up no other.

use super::lifecycle::{PATIENCE, World, feed, said};
use crate::testing::entries;
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

#[test]
fn a_job_that_takes_longer_than_its_period_is_not_started_while_it_runs() {
    let world = World::new(&[
        (
            "bad.js",
            "// slow\nvar runs = 0; jobs.schedule('slow', '* * * * * *', function () { runs++; console.log('run', runs); while (runs < 2 && !file.temp) {} });",
        ),
        ("good.js", GOOD),
    ]);
    let scripts = world.start();
    world.clock.advance(Duration::from_secs(60));
    let lines = said(&scripts);
    assert_eq!(
        lines.iter().filter(|line| line.contains("run ")).count(),
        1,
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.starts_with("[node-1] n")));
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
