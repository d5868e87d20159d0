//! Times scripts: `cargo run --release -p gillnet-bench-scripts [-- calls [MILLIONS [NAME]] | capture]`.
//!
//! `calls`: the script that counts entries of HTTP is called 50 million times on one thread, the object of the entry
//! included; prints calls a second of that thread's CPU time, and what process and interpreter hold on the way.
//! `capture`: a capture of HTTP runs through a shard alone and beside five such scripts, in turns; prints how long
//! each takes, and what the scripts took and dropped.

mod workload;

use gillnet_entry::{Entry, OwnedEntry};
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::{Names, NamesConfig};
use gillnet_pipeline::{Consumer, Control, Keep, Matched, Plan, Shard, ShardConfig, Want, run};
use gillnet_scripts::{
    Config, Doors, Hook, NoCluster, NoStreams, Pressure, Scripts, Solo, SystemClock,
};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The script of the bar.
const COUNT: &str =
    r#"var n = 0; function onItemCaptured(data) { if (kfl.match("http", data)) n++; }"#;
/// Others, for what scripts do beside.
const READ: &str = "var n = 0; function onItemCaptured(data) { if (data.response.status === 200 && data.dst.port === '80' && data.request.path !== '/') n++; }";
const HEADERS: &str =
    "var n = 0; function onItemCaptured(data) { n += Object.keys(data.request.headers).length; }";
const JSON: &str = "var n = 0; function onItemCaptured(data) { n += JSON.stringify(data).length; }";

/// Enough that processors which change their speed for seconds at a time don't decide.
const RUNS: usize = 31;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let what = args.first().map_or("all", String::as_str);
    let millions = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(50);
    let dir = tempfile::tempdir().expect("a folder");
    let capture = dir.path().join("http.pcap");
    workload::write(&capture, 20_000, 10);
    if matches!(what, "all" | "calls") {
        calls(dir.path(), &capture, millions, args.get(2));
    }
    if matches!(what, "all" | "capture") {
        beside(dir.path(), &capture);
    }
}

fn doors() -> Doors {
    Doors {
        env: Arc::new(Env::new(&gillnet_protocols::env())),
        names: Arc::new(Names::new(NamesConfig::default()).expect("no names")),
        streams: Arc::new(NoStreams),
        clock: Arc::new(SystemClock),
        cluster: Arc::new(NoCluster),
        on_demand: None,
    }
}

fn calls(dir: &Path, capture: &Path, millions: u64, only: Option<&String>) {
    let found = Arc::new(Mutex::new(Vec::new()));
    read(capture, Box::new(First(Arc::clone(&found))));
    let entry = found.lock().expect("no panic").remove(0);
    let config = Config::new("node", "10.0.0.1", "0", dir.join("data"));
    for (name, text, millions) in [
        ("empty", "function onItemCaptured(data) {}", 2),
        ("three fields", READ, 2),
        ("keys of headers", HEADERS, 1),
        ("JSON.stringify", JSON, 1),
        ("kfl.match", COUNT, millions),
    ] {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let solo = Solo::load(&config, &doors(), "bench.js", text).expect("it loads");
        let (mut cpu, begun, mut spent) = (cpu_time(), Instant::now(), Duration::ZERO);
        let step = (millions / 10).max(1);
        for million in 1..=millions {
            for _ in 0..1_000_000 {
                solo.item_captured(&entry).expect("it runs");
            }
            if million % step == 0 {
                let now = cpu_time();
                spent += now - cpu;
                #[allow(clippy::cast_precision_loss)]
                let rate = million as f64 / spent.as_secs_f64();
                println!(
                    "{name}: {million} M calls, {rate:.2} M/s of CPU, {:.2?} wall, process {} KiB, interpreter {} KiB",
                    begun.elapsed(),
                    resident(),
                    solo.memory() >> 10,
                );
                cpu = cpu_time();
            }
        }
        if name == "kfl.match" {
            let n = solo.evaluate("n").expect("n");
            assert_eq!(n, (millions * 1_000_000).to_string());
        }
    }
}

fn beside(dir: &Path, capture: &Path) {
    let folder = dir.join("scripts");
    std::fs::create_dir_all(&folder).expect("a folder");
    for n in 0..5 {
        std::fs::write(folder.join(format!("{n}.js")), COUNT).expect("a script");
    }
    let (mut alone, mut with) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        alone.push(read(capture, Box::new(Nobody)));
        let mut config = Config::new("node", "10.0.0.1", "0", dir.join("data"));
        config.sources.folders = vec![folder.clone()];
        let scripts = Scripts::start(config, doors()).expect("scripts start");
        with.push(read(capture, Box::new(scripts.sink(0, Pressure::Drop))));
        scripts.settle(Duration::from_secs(60));
        let calls = scripts
            .status()
            .into_iter()
            .flat_map(|s| s.runs)
            .flat_map(|r| r.calls);
        let calls = calls.filter(|(hook, ..)| *hook == Hook::ItemCaptured);
        let (called, dropped) = calls.fold((0, 0), |sum, (_, c, d)| (sum.0 + c, sum.1 + d));
        println!(
            "alone {:.3?}, beside five scripts {:.3?}: {called} calls, {dropped} dropped",
            alone.last().unwrap_or(&Duration::ZERO),
            with.last().unwrap_or(&Duration::ZERO),
        );
        scripts.stop();
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[RUNS / 2].as_secs_f64()
    };
    println!(
        "capture takes {:.1} % longer beside five scripts (medians of {RUNS})",
        (median(&mut with) / median(&mut alone) - 1.0) * 100.0
    );
}

/// Runs a capture through a shard; gives the CPU time that it took.
fn read(capture: &Path, consumer: Box<dyn Consumer>) -> Duration {
    let env = Env::new(&gillnet_protocols::env());
    let filter = compile(&env, "", &Options::default()).expect("the empty filter");
    let want = Want {
        bit: 0,
        filter,
        record: false,
        bodies: true,
    };
    let inputs = vec![gillnet_capture::Input::File(capture.to_path_buf())];
    let mut source = gillnet_capture::open_files(inputs).expect("a capture");
    let keep = Keep::Mapped(source.store().expect("it is mapped"));
    let mut shard = Shard::new(ShardConfig::new(
        Arc::new(Plan::new(vec![want], 1)),
        Arc::new(Names::new(NamesConfig::default()).expect("no names")),
        keep,
        consumer,
    ));
    let begun = cpu_time();
    run(
        &mut *source,
        &mut shard,
        &Control::default(),
        &mut |fault| eprintln!("{fault}"),
    );
    cpu_time() - begun
}

struct Nobody;

impl Consumer for Nobody {
    fn entry(&mut self, _: &Entry<'_>, _: Matched) -> bool {
        true
    }
}

/// Keeps the first entry.
struct First(Arc<Mutex<Vec<Arc<OwnedEntry>>>>);

impl Consumer for First {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        self.0
            .lock()
            .expect("no panic")
            .push(Arc::new(entry.detach(1 << 16)));
        false
    }
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = stat
        .split(' ')
        .next()
        .and_then(|ns| ns.parse().ok())
        .unwrap_or(0);
    Duration::from_nanos(ns)
}

/// Resident anonymous memory of the process, KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
