//! Scripts of our own in the shape of each published one: the same helpers in the same order, in the same dialect,
//! over frames that a shard reads, and against emulators and sinks that check what they get.
//!
//! A test is named after the script whose shape it has (`top5/dns2.js` is `top5_dns2`). What of a published script can't
//! be had from traffic here:
//!
//! - `anomalies/find.js`: an item whose `elapsedTime` is below zero. Time between request and response is never
//!   negative here, so its branch for that is never taken.
//! - `tcphttpcompare/tcphttpcompare.js`: no dissector makes entries of TCP's own payload yet; those that are queried
//!   there are made of their JSON.
//! - `security/ns-ext-conns.js`: which process sent what is known only of configured names; its id is 0.
//! - `podtraffic/podtraffic.js`, `detection/slacklogs.js`, `telemetry/elastic_traffic_logs.js`: they are broken, or
//!   switched off, as published; the tests see that they fail as scripts do, or do nothing.
//!
//! `kinesis/har.js-ignore`, `perf/perf.js-old` and `security/processes.js1` are loaded by nobody: their names do not
//! end in `.js`, which `store` tests.

mod alerts;
mod anomalies;
mod basics;
pub(super) mod clouds;
mod dfir;
mod hub;
mod reports;
mod snapshots;
mod telemetry;

// shared with the tests of vendor calls, which use all of it
#[allow(dead_code)]
#[path = "../../../tests/vendor/sink.rs"]
pub(super) mod sink;

use super::lifecycle::World;
use super::stage::Stage;
use gillnet_entry::Workload;
use gillnet_names::{Names, NamesConfig, StaticName};
pub(super) use gillnet_testkit::emulators;
use serde_json::Value;
use sink::Sink;
use std::sync::Arc;

/// Bytes of a stage's ring.
const RING: u64 = 16 << 20;

/// A client in the cluster; the pods `web-1` and `web-2` of the namespace `shop`.
const WEB_1: &str = "10.1.0.1";
const WEB_2: &str = "10.1.0.2";
/// The service `api` of `shop`.
const API: &str = "10.2.0.1:80";
/// The service `kube-dns` of `kube-system`.
const DNS: &str = "10.2.0.2";
/// Some host outside.
const OUTSIDE: &str = "203.0.113.9:443";

/// A script that is to be started.
struct Play {
    world: World,
}

/// A script at work. The stage goes first, then the folder that it works in.
struct Playing {
    stage: Stage,
    world: World,
}

impl std::ops::Deref for Playing {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl std::ops::DerefMut for Playing {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}

impl Play {
    fn new(text: &str) -> Play {
        let mut world = World::new(&[("script.js", text)]);
        world.config.run = format!("{:016x}", rand::random::<u64>());
        Play { world }
    }

    /// With another script beside it.
    fn beside(self, name: &str, text: &str) -> Play {
        self.world.write(name, text);
        self
    }

    fn env(mut self, env: Value) -> Play {
        self.world
            .config
            .env
            .extend(env.as_object().unwrap().clone());
        self
    }

    /// Has a vendor's calls go to a place on loopback.
    fn endpoint(mut self, vendor: &str, url: &str) -> Play {
        let endpoints = &mut self.world.config.endpoints;
        endpoints.insert(vendor.to_owned(), url.to_owned());
        self
    }

    fn start(self) -> Playing {
        let stage = Stage::start(&self.world, RING, &names());
        Playing {
            stage,
            world: self.world,
        }
    }
}

impl Playing {
    /// Where its files are.
    fn files(&self) -> std::path::PathBuf {
        self.world.config.data_dir.clone()
    }

    /// What its objects' names begin with.
    fn prefix(&self) -> String {
        format!("node_10.0.0.1_{}", self.world.config.run)
    }
}

/// What the addresses of tests are called.
fn names() -> Arc<Names> {
    let pod = |address: &str, pod: &str, process: &str| StaticName {
        address: address.into(),
        pod: pod.into(),
        namespace: "shop".into(),
        workload: Workload {
            process: process.into(),
            ..Workload::default()
        },
        ..StaticName::default()
    };
    let service = |address: &str, service: &str, namespace: &str| StaticName {
        address: address.into(),
        service: service.into(),
        namespace: namespace.into(),
        ..StaticName::default()
    };
    let statics = vec![
        pod(WEB_1, "web-1", "python3"),
        pod(WEB_2, "web-2", ""),
        service(API, "api", "shop"),
        service(&format!("{DNS}:53"), "kube-dns", "kube-system"),
    ];
    Arc::new(
        Names::new(NamesConfig {
            statics,
            ..NamesConfig::default()
        })
        .unwrap(),
    )
}

/// Lines that have a text in them.
fn with<'l>(lines: &'l [String], text: &str) -> Vec<&'l str> {
    let lines = lines.iter().map(String::as_str);
    lines.filter(|line| line.contains(text)).collect()
}

/// A sink that says yes to everything.
fn yes() -> Sink {
    Sink::saying(200, "{}")
}

/// Whether this is the process of its own in which a test has these variables; else that is started and waited for.
fn has_variables(test: &str, variables: &[(&str, &str)]) -> bool {
    const OF: &str = "GILLNET_TEST_OF";
    let name = format!("tests::published::{test}");
    if std::env::var(OF).is_ok_and(|of| of == name) {
        return true;
    }
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name])
        .env(OF, &name)
        .env(clouds::S3_URL, &emulators::s3().url)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("1 passed"), "{said}");
    false
}
