//! What tests of this crate share: entries of real captures, and interpreters with helpers.

use crate::Config;
use crate::clock::{ManualClock, lock};
use crate::console::Console;
use crate::engine::Fault;
use crate::files::{Files, History, NoStreams, StreamFiles};
use crate::helpers::NoCluster;
use crate::host::{Given, Host, Node, Side};
use crate::limits::Limits;
use crate::mailbox::Mailbox;
use crate::script::Script;
use crate::speech::Speech;
use gillnet_capture::{Input, Ring, open_files};
use gillnet_entry::{Entry, Origin, OwnedEntry};
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::{Names, NamesConfig, StaticName};
use gillnet_pipeline::{Consumer, Control, Keep, Matched, Plan, Shard, ShardConfig, Want, run};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The moment at which clocks of tests stand at first: 2026-01-02T03:04:05Z.
pub(crate) const NOW: i64 = 1_767_323_045_000_000_000;

pub(crate) fn env() -> Arc<Env> {
    Arc::new(Env::new(&gillnet_protocols::env()))
}

/// The entries of a protocol's fixture, `http1/nginx_and_python`.
pub(crate) fn entries(fixture: &str) -> Vec<Arc<OwnedEntry>> {
    let path = self::fixture(fixture);
    let found = entries_in(std::path::Path::new(&path));
    assert!(!found.is_empty(), "{path} has no entries");
    found
}

/// The capture of a fixture.
pub(crate) fn fixture(fixture: &str) -> String {
    let (protocol, name) = fixture.split_once('/').unwrap();
    let folder = env!("CARGO_MANIFEST_DIR");
    format!("{folder}/../protocols/src/{protocol}/fixtures/{name}.pcap")
}

/// The entries of a capture.
pub(crate) fn entries_in(path: &std::path::Path) -> Vec<Arc<OwnedEntry>> {
    let mut source = open_files(vec![Input::File(path.into())]).unwrap();
    let found = Arc::new(Mutex::new(Vec::new()));
    let filter = compile(&env(), "", &Options::default()).unwrap();
    let want = Want {
        bit: 0,
        filter,
        record: false,
        bodies: true,
    };
    let names = NamesConfig {
        statics: vec![web()],
        ..NamesConfig::default()
    };
    let mut shard = Shard::new(ShardConfig {
        origin: Arc::new(Origin {
            worker: "10.0.0.1:48999".into(),
            node: "node".into(),
            node_ip: "10.0.0.1".into(),
            ..Origin::default()
        }),
        ..ShardConfig::new(
            Arc::new(Plan::new(vec![want], 1)),
            Arc::new(Names::new(names).unwrap()),
            Keep::Ring(Ring::create(None, 64 << 20).unwrap()),
            Box::new(Found(Arc::clone(&found))),
        )
    });
    run(&mut *source, &mut shard, &Control::default(), &mut |_| {});
    std::mem::take(&mut *found.lock().unwrap())
}

struct Found(Arc<Mutex<Vec<Arc<OwnedEntry>>>>);

impl Consumer for Found {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        self.0.lock().unwrap().push(Arc::new(entry.detach(1 << 20)));
        true
    }
}

/// A script's interpreter with all helpers, driven by hand.
pub(crate) struct Rig {
    pub(crate) script: Script,
    pub(crate) host: Arc<Host>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) console: Console,
    pub(crate) dir: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig::with_env(&serde_json::json!({}), Arc::new(NoStreams))
    }

    pub(crate) fn with_env(env: &serde_json::Value, streams: Arc<dyn StreamFiles>) -> Rig {
        Rig::made(env, streams, Limits::default())
    }

    /// With other limits than those of time.
    pub(crate) fn with_limits(limits: Limits) -> Rig {
        Rig::made(&serde_json::json!({}), Arc::new(NoStreams), limits)
    }

    fn made(env: &serde_json::Value, streams: Arc<dyn StreamFiles>, limits: Limits) -> Rig {
        let clock = ManualClock::at(NOW);
        let dir = tempfile::tempdir().unwrap();
        let host = host(&clock, dir.path(), env, streams, limits);
        let mailbox = Arc::new(Mailbox::new(1 << 20, 100));
        lock(&host.mailboxes).push((Side::Worker, Arc::clone(&mailbox)));
        let script = Script::new(&host, Side::Worker, 0, &mailbox).unwrap();
        let console = host.console.clone();
        Rig {
            script,
            host,
            clock,
            console,
            dir,
        }
    }

    /// Runs a text with `data` as a global.
    pub(crate) fn with(&self, data: &Arc<OwnedEntry>, text: &str) -> Result<(), Fault> {
        let engine = self.script.engine();
        engine.enter(LIMIT, |ctx| {
            let data = crate::entry::entry_object(ctx, Arc::clone(data))?;
            ctx.globals().set("data", data)
        })?;
        self.run(text)
    }

    /// Runs a text, in which `is(what, expected)` throws where they are not the same.
    pub(crate) fn run(&self, text: &str) -> Result<(), Fault> {
        self.script
            .engine()
            .run("test.js", &format!("{ASSERT}{text}"), LIMIT)
    }

    /// The lines on the console so far, which is then empty.
    pub(crate) fn said(&self) -> Vec<String> {
        let lines = self.console.lines();
        self.console.clear();
        lines.iter().map(|line| line.to_string()).collect()
    }
}

/// A process for scripts, with a name for 127.0.0.1:80.
pub(crate) fn host(
    clock: &Arc<ManualClock>,
    dir: &std::path::Path,
    env: &serde_json::Value,
    streams: Arc<dyn StreamFiles>,
    limits: Limits,
) -> Arc<Host> {
    let clock = Arc::clone(clock) as Arc<dyn crate::Clock>;
    let names = NamesConfig {
        statics: vec![web()],
        ..NamesConfig::default()
    };
    let history = History::new(Arc::new(Names::new(names).unwrap()));
    Arc::new(Host {
        worker: Node::new("node", &clock),
        hub: Node::new("hub", &clock),
        given: Mutex::new(Arc::new(given(dir, env))),
        limits: Limits {
            hook: LIMIT,
            job: LIMIT,
            ..limits
        },
        console: Console::default(),
        metrics: Default::default(),
        clock: Arc::clone(&clock),
        speech: Speech::new(self::env()),
        files: Files::open(dir, limits.disk, streams, history, clock).unwrap(),
        cluster: Arc::new(NoCluster),
        dry_run: false,
        changed: Default::default(),
        mailboxes: Mutex::default(),
    })
}

/// What the configuration gives: vendor calls may go to loopback.
fn given(dir: &std::path::Path, env: &serde_json::Value) -> Given {
    let mut config = Config::new("node", "10.0.0.1", "00000000000000ff", dir.to_path_buf());
    config.env = env.as_object().unwrap().clone();
    config.allow_hosts = vec!["127.0.0.1".into()];
    if let Some(serde_json::Value::Object(endpoints)) = env.get("ENDPOINTS") {
        config.endpoints = endpoints
            .iter()
            .map(|(key, url)| (key.clone(), url.as_str().unwrap().to_owned()))
            .collect();
    }
    Given::new(&config).unwrap()
}

fn web() -> StaticName {
    StaticName {
        address: "127.0.0.1:80".into(),
        name: "web".into(),
        namespace: "shop".into(),
        ..StaticName::default()
    }
}

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const ASSERT: &str = "function is(a, b) { if (a !== b) throw new Error(JSON.stringify(a) + ' is not ' + JSON.stringify(b)); } function fails(f, text) { var said; try { f(); } catch (e) { said = String(e); } if (said === undefined || said.indexOf(text) < 0) throw new Error(said + ' does not say ' + text); } ";
