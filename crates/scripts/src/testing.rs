//! What tests of this crate share: entries of real captures, and interpreters with helpers.

use crate::clock::ManualClock;
use crate::console::Console;
use crate::engine::{Engine, Fault};
use crate::helpers;
use crate::host::Host;
use crate::local::Local;
use crate::speech::Speech;
use gillnet_capture::{Input, Ring, open_files};
use gillnet_entry::{Entry, Origin, OwnedEntry};
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::{Names, NamesConfig, StaticName};
use gillnet_pipeline::{Consumer, Control, Keep, Matched, Plan, Shard, ShardConfig, Want, run};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The moment at which clocks of tests stand at first: 2026-01-02T03:04:05Z.
pub(crate) const NOW: i64 = 1_767_323_045_000_000_000;

pub(crate) fn env() -> Arc<Env> {
    Arc::new(Env::new(&gillnet_protocols::env()))
}

/// The entries of a protocol's fixture, `http1/nginx_and_python`.
pub(crate) fn entries(fixture: &str) -> Vec<Arc<OwnedEntry>> {
    let (protocol, name) = fixture.split_once('/').unwrap();
    let path = format!(
        "{}/../protocols/src/{protocol}/fixtures/{name}.pcap",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut source = open_files(vec![Input::File(path.clone().into())]).unwrap();
    let found = Arc::new(Mutex::new(Vec::new()));
    let filter = compile(&env(), "", &Options::default()).unwrap();
    let want = Want {
        bit: 0,
        filter,
        record: false,
        bodies: true,
    };
    let named = StaticName {
        address: "127.0.0.1:80".into(),
        name: "web".into(),
        namespace: "shop".into(),
        ..StaticName::default()
    };
    let names = NamesConfig {
        statics: vec![named],
        ..NamesConfig::default()
    };
    let mut shard = Shard::new(ShardConfig {
        origin: Arc::new(Origin {
            worker: "10.0.0.1:48999".into(),
            node: "node".into(),
            node_ip: "10.0.0.1".into(),
            ..Origin::default()
        }),
        names: Arc::new(Names::new(names).unwrap()),
        plan: Arc::new(Plan::new(vec![want], 1)),
        keep: Keep::Ring(Ring::create(None, 64 << 20).unwrap()),
        decode: Default::default(),
        flow: Default::default(),
        dissect: Default::default(),
        numbers: None,
        own: None,
        consumer: Box::new(Found(Arc::clone(&found))),
        recorder: None,
        tap: None,
    });
    run(&mut *source, &mut shard, &Control::default(), &mut |_| {});
    let found = std::mem::take(&mut *found.lock().unwrap());
    assert!(!found.is_empty(), "{path} has no entries");
    found
}

struct Found(Arc<Mutex<Vec<Arc<OwnedEntry>>>>);

impl Consumer for Found {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        self.0.lock().unwrap().push(Arc::new(entry.detach(1 << 20)));
        true
    }
}

/// An interpreter with all helpers, on its own.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) console: Console,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        let console = Console::default();
        let host = Arc::new(Host {
            node: "node".into(),
            console: console.clone(),
            clock: ManualClock::at(NOW),
            speech: Speech::new(env()),
        });
        let engine = Engine::new(64 << 20).unwrap();
        let local = Rc::new(Local {
            host,
            number: 0,
            guard: Rc::clone(engine.guard()),
        });
        engine
            .enter(LIMIT, |ctx| helpers::install(ctx, &local))
            .unwrap();
        Rig { engine, console }
    }

    /// Runs a text with `data` as a global.
    pub(crate) fn with(&self, data: &Arc<OwnedEntry>, text: &str) -> Result<(), Fault> {
        self.engine.enter(LIMIT, |ctx| {
            let data = crate::entry::entry_object(ctx, Arc::clone(data))?;
            ctx.globals().set("data", data)
        })?;
        self.run(text)
    }

    pub(crate) fn run(&self, text: &str) -> Result<(), Fault> {
        self.engine.run("test.js", &format!("{ASSERT}{text}"), LIMIT)
    }
}

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// `is(what, expected)` throws where they are not the same.
const ASSERT: &str = "function is(a, b) { if (a !== b) throw new Error(JSON.stringify(a) + ' is not ' + JSON.stringify(b)); } ";
