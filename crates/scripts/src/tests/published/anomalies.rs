//! `anomalies/*.js`: latencies that stand out.

use super::{API, DNS, Play, WEB_1, WEB_2, with};
use crate::Side;
use crate::tests::traffic::Traffic;

const FIND: &str = r#"
// Latencies that stand out
var seen = {};

function onItemCaptured(data) {
  var time = data.elapsedTime;
  if (time < 0) {
    console.error("below zero:", time, data.id);
    return;
  }
  var pod = data.src.name;
  if (!seen[pod]) seen[pod] = [];
  seen[pod].push(time);
}

function spread(times) {
  var mean = times.reduce(function (sum, time) { return sum + time; }, 0) / times.length;
  var squares = times.map(function (time) { return Math.pow(time - mean, 2); });
  var sum = squares.reduce(function (a, b) { return a + b; }, 0);
  return { mean: mean, deviation: Math.sqrt(sum / times.length) };
}

function analyze() {
  console.log("Analyzing pod latencies...");
  for (var pod in seen) {
    var of = spread(seen[pod]);
    var odd = [];
    seen[pod].forEach(function (time) {
      if (Math.abs(time - of.mean) > 3 * of.deviation) odd.push(time);
    });
    if (odd.length > 0) console.error(pod, "anomalies (" + odd.length + "):", odd.join(", "));
  }
}

if (utils.nodeName() != "hub") jobs.schedule("find-anomalies", "*/20 * * * * *", analyze);
"#;

#[test]
fn anomalies_find() {
    let mut play = Play::new(FIND).start();
    let planned = play.scripts.planned();
    assert_eq!(
        planned.iter().map(|job| job.side).collect::<Vec<_>>(),
        [Side::Worker]
    );
    let mut traffic = Traffic::new();
    for n in 0..40 {
        traffic.get(WEB_1, API, "/a", 200, 1000 + n);
        traffic.get(WEB_2, API, "/a", 200, 2000 + n);
    }
    traffic.get(WEB_2, API, "/a", 200, 777_777);
    play.take(traffic.take());
    play.pass(20);
    let lines = play.said();
    assert_eq!(
        lines,
        [
            "[node-0] Analyzing pod latencies...",
            "[node-0:ERROR] web-2 anomalies (1): 777777",
        ]
    );
}

const FIND2: &str = r#"
// Latencies that stand out, by pod and path
if (utils.nodeName() == "hub") {
  console.clear();
  console.log("Latencies are watched");
}
var stats = {}, ready = {};

function onItemCaptured(data) {
  if (!kfl.match("http", data)) return;
  var key = data.src.name + " " + data.request.path;
  var of = stats[key];
  if (!of) of = stats[key] = { times: [] };
  if (ready.hasOwnProperty(key)) {
    var z = (data.elapsedTime - ready[key].mean) / ready[key].deviation;
    if (Math.abs(z) > 3) console.log(key, "Latency: " + data.elapsedTime.toFixed(0), "Z-Score: " + z.toFixed(2));
  }
  of.times.push(data.elapsedTime);
}

jobs.schedule("learn", "*/10 * * * * *", function () {
  Object.keys(stats).forEach(function (key) {
    var times = stats[key].times, sum = 0, squares = 0;
    if (times.length < 40) return;
    for (var i = 0; i < times.length; i++) sum += times[i];
    for (var i = 0; i < times.length; i++) squares += Math.pow(times[i] - sum / times.length, 2);
    ready[key] = { mean: sum / times.length, deviation: Math.sqrt(squares / times.length) };
  });
});
"#;

#[test]
fn anomalies_find2() {
    let mut play = Play::new(FIND2).start();
    assert_eq!(play.said(), ["[hub-0] Latencies are watched"]);
    let mut traffic = Traffic::new();
    for n in 0..40 {
        traffic.get(WEB_1, API, "/a?x=1", 200, 1000 + n % 7);
        traffic.dns(WEB_1, DNS, "api.shop");
    }
    play.take(traffic.take());
    play.pass(10);
    traffic.get(WEB_1, API, "/a", 200, 1003);
    traffic.get(WEB_2, API, "/a", 200, 90_000);
    traffic.get(WEB_1, API, "/a", 200, 9000);
    play.take(traffic.take());
    let lines = play.said();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let odd = with(&lines, "web-1 /a Latency: 9000 Z-Score: ");
    assert_eq!(odd.len(), 1, "{lines:?}");
}
