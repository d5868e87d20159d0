//! Recording this host: source, shard, recorder and their configuration, which may change while they run.

use crate::cli::{self, CaptureArgs, Shared};
use crate::config::{Config, PacketFormat, duration};
use crate::exit;
use crate::identity::{DataDir, Identity};
use crate::inputs::Unplaced;
use crate::lock::lock;
use crate::own;
use crate::rules::{self, Ruled, Seen};
use crate::scan;
use crate::scripting;
use anyhow::Context;
use gillnet_api::{LiveStore, Speech};
use gillnet_bucket::layout;
use gillnet_bucket::{Access, Bucket, BucketError, Destination, connect};
use gillnet_capture::{
    Ahead, LiveConfig, Ring, Source, Store, expand, open_live, open_merged, turns,
};
use gillnet_entry::{Common, Entry, Origin, OwnedEntry};
use gillnet_kfl::Options;
use gillnet_names::{Names, NamesConfig};
use gillnet_pipeline::{
    Consumer, Control, Ended, Keep, Matched, Numbers, PacketSeen, Plan, Shard, ShardConfig, Want,
    run,
};
use gillnet_recorder::raw::{RawConfig, RawError, RawHandle, RawRing, RawStatus};
use gillnet_recorder::{
    Buckets, Deps, Disk, Dissection, Left, NameHistory, RecordedName, Recorder, RecorderConfig,
    SystemClock, Tee,
};
use gillnet_scripts::{Demand, NoCluster, OnDemand, Pressure, RingStreams, Scripts, Sink};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// The bits of the dashboard's want and the scripts'; rules have those below.
const VIEWER: u8 = 127;
const SCRIPTS: u8 = 126;

/// How long what is open may take to arrive on shutdown.
const FAREWELL: Duration = Duration::from_secs(20);

/// Entries kept for the dashboard, in bytes.
const LIVE_BYTES: usize = 64 << 20;

/// Bytes that raw capture keeps on the disk, and in memory until they are there.
const RAW_BYTES: u64 = 1 << 30;
const RAW_QUEUE: usize = 32 << 20;

/// A host that is being recorded.
pub struct Session {
    /// Steers the shard.
    pub control: Arc<Control>,
    /// The byte ring, for readers.
    pub store: Store,
    /// Where its entries come from.
    pub origin: Arc<Origin>,
    /// The newest entries, where there is a dashboard.
    pub live: Option<Arc<LiveStore>>,
    /// What is captured, for people.
    pub source: String,
    /// Scripts at work.
    pub scripts: Scripts,
    speech: Mutex<Arc<Speech>>,
    identity: Identity,
    /// What is recorded.
    rules: Mutex<Vec<Ruled>>,
    /// Those of them that the plan has: that recorded when it was made, as bits.
    open: Mutex<u128>,
    /// What the recorder's rules are called, by their bits.
    names_of_bits: NamesOfBits,
    by_scripts: Mutex<ByScripts>,
    recorder: Arc<Recorder>,
    raw: Option<RawRing>,
    names: Arc<Names>,
    buckets: Arc<Credentialed>,
    generation: Mutex<u32>,
    thread: Mutex<Option<JoinHandle<Ended>>>,
    data: DataDir,
}

/// What scripts record by themselves.
#[derive(Clone)]
struct ByScripts {
    /// Those that do.
    names: Option<String>,
    /// Whether the built-in rule would record otherwise.
    instead: bool,
}

/// What a session is started with.
pub struct Start<'s> {
    /// The configuration.
    pub config: &'s Config,
    /// Flags over it.
    pub args: &'s CaptureArgs,
    /// Whether entries are kept for a dashboard.
    pub shown: bool,
    /// Addresses that this process listens on.
    pub listens: Vec<SocketAddr>,
}

impl Session {
    /// Opens everything and starts to record. What is wrong with the configuration is said before anything runs.
    pub fn start(shared: &Shared, start: Start<'_>) -> anyhow::Result<Arc<Session>> {
        let Start {
            config,
            args,
            shown,
            listens,
        } = start;
        let speech = cli::speech(config)?;
        let dir = args.data_dir.clone().unwrap_or_else(|| config.data_dir());
        let by_scripts = ByScripts {
            names: scripting::records(&scripting::sources(config, &dir)),
            instead: config.builtin_yields().map_err(exit::usage)?,
        };
        let mut seen = Seen::open(&dir)?;
        let rules = rules::compiled(shared, config, by_scripts.names.is_some(), &mut seen)?;
        let identity = Identity::find(config.cluster.as_deref());
        let data = DataDir::open(&dir)?;
        seen.keep()?;
        let names = Arc::new(Names::new(cli::names(config, true)).map_err(exit::usage)?);
        let buckets = Arc::new(Credentialed::new(config.clone()));
        for (rule, _) in &rules {
            check_destination(rule, &buckets)?;
        }
        let ring = ring(config, &dir)?;
        let ahead = ring.ahead();
        let store = ring.store();
        let (mut source, what) = source(config, args)?;
        let recorder_config = recorder_config(config, &dir, &identity)?;
        let origin = Arc::new(Origin {
            worker: format!("{}:48999", identity.node_ip),
            node: identity.node.clone(),
            node_ip: identity.node_ip.to_string(),
            cluster: identity.cluster.clone(),
            run: String::new(),
            backend: "af_packet",
            recording: String::new(),
            kept: false,
            unrecorded: false,
        });
        let deps = Deps {
            clock: Arc::new(SystemClock::default()),
            fs: Arc::new(Disk),
            buckets: Arc::clone(&buckets) as Arc<dyn Buckets>,
            names: Arc::new(History::of(Arc::clone(&names))),
            dissection: config.recording.has_index().then(|| Dissection {
                env: Arc::new(speech.env.clone()),
                names: Arc::clone(&names),
                origin: Arc::clone(&origin),
                taught: Some(recorder_config.run),
            }),
        };
        let plain: Vec<_> = rules.iter().map(|(rule, _)| rule.clone()).collect();
        let number = recorder_config.run;
        let (recorder, handles) = Recorder::start(recorder_config, &plain, deps)?;
        let (raw, sink) = raw(config, &dir, &identity, number)?.unzip();
        let recorder = Arc::new(recorder);
        let live = shown.then(|| Arc::new(LiveStore::new(LIVE_BYTES)));
        let control = Arc::new(Control::default());
        let myself: Arc<OnceLock<Weak<Session>>> = Arc::default();
        let scripts = scripting::start(
            scripting::config(config, &dir, &identity)?,
            gillnet_scripts::Doors {
                env: Arc::new(speech.env.clone()),
                names: Arc::clone(&names),
                streams: Arc::new(RingStreams::new(Arc::clone(&control), store.clone())),
                clock: Arc::new(gillnet_scripts::SystemClock),
                cluster: Arc::new(NoCluster),
                on_demand: Some(on_demand(&myself)),
            },
        )?;
        scripts.attach(&shared.log());
        let wanted = Wanted {
            rules: &rules,
            open: recorder.open(),
            shown,
            scripts: scripts.demand(),
            raw: raw.is_some(),
        };
        let plan = plan(&recorder, &wanted, &speech.env, 1)?;
        let names_of_bits = Arc::new(Mutex::new(names_of(&recorder)));
        let mut numbers = data.numbers()?;
        let mut shard = Shard::new(ShardConfig {
            origin: Arc::clone(&origin),
            numbers: Some(Numbers::Given(Box::new(move || (numbers.give(), None)))),
            own: Some(own::check(listens, &plain, config)?),
            recorder: handles
                .into_iter()
                .next()
                .map(|handle| Box::new(Tee::new(handle)) as _),
            raw: sink.map(|sink| Box::new(sink) as _),
            ..ShardConfig::new(
                Arc::new(plan),
                Arc::clone(&names),
                Keep::Ring(ring),
                Box::new(Keeper {
                    store: live.clone(),
                    batch: Vec::new(),
                    recordings: Recordings::new(Arc::clone(&names_of_bits)),
                    scripts: scripts.sink(SCRIPTS, Pressure::Drop),
                }),
            )
        });
        let steer = Arc::clone(&control);
        let running = provide(ahead)?;
        let thread = std::thread::Builder::new()
            .name("shard".into())
            .spawn(move || {
                // for as long as this thread runs
                let _running = running;
                turns::let_others_in();
                run(&mut *source, &mut shard, &steer, &mut |fault| {
                    tracing::warn!("{fault}")
                })
            })?;
        let session = Arc::new(Session {
            control,
            store,
            origin,
            live,
            source: what,
            scripts,
            speech: Mutex::new(Arc::new(speech)),
            identity,
            rules: Mutex::new(rules),
            open: Mutex::default(),
            names_of_bits,
            by_scripts: Mutex::new(by_scripts),
            recorder,
            raw,
            names,
            buckets,
            generation: Mutex::new(1),
            thread: Mutex::new(Some(thread)),
            data,
        });
        // what scripts want from now on reaches the plan; what they wanted before is in it
        if myself.set(Arc::downgrade(&session)).is_ok() {
            session.replan()?;
        }
        Ok(session)
    }

    /// What filters may speak of now.
    pub fn speech(&self) -> Arc<Speech> {
        Arc::clone(&lock(&self.speech))
    }

    /// Takes a changed configuration: rules, names, macros and filters. What is wrong with it changes nothing.
    pub fn configure(&self, shared: &Shared, config: &Config) -> anyhow::Result<()> {
        let speech = cli::speech(config)?;
        let scripts = scripting::config(config, self.data.path(), &self.identity)?;
        let by_scripts = ByScripts {
            names: scripting::records(&scripts.sources),
            instead: config.builtin_yields()?,
        };
        // what is wrong with the rest is said once, not again and again until that is mended
        lock(&self.by_scripts).clone_from(&by_scripts);
        let mut seen = Seen::open(self.data.path())?;
        let rules = rules::compiled(shared, config, by_scripts.names.is_some(), &mut seen)?;
        for (rule, _) in &rules {
            Destination::parse(&rule.destination)?;
        }
        self.scripts.configure(&scripts).map_err(exit::usage)?;
        self.scripts.set_env(Arc::new(speech.env.clone()));
        self.names.configure(cli::names(config, true))?;
        *lock(&self.buckets.0) = config.clone();
        let plain: Vec<_> = rules.iter().map(|(rule, _)| rule.clone()).collect();
        let before: Vec<String> = self
            .recorder
            .rules()
            .into_iter()
            .map(|(_, rule)| rule.name)
            .collect();
        self.recorder.set_rules(&plain)?;
        seen.keep()?;
        *lock(&self.rules) = rules;
        *lock(&self.speech) = Arc::new(speech);
        self.replan()?;
        let now: Vec<&str> = plain.iter().map(|rule| rule.name.as_str()).collect();
        for gone in before.iter().filter(|name| !now.contains(&name.as_str())) {
            tracing::info!(
                "the rule `{gone}` is gone: what is open is sealed and uploaded, and nothing more of it is recorded"
            );
        }
        for rule in &plain {
            tracing::info!("recording `{}` to {}", rule.kfl, rule.destination);
        }
        Ok(())
    }

    /// Makes the plan anew: of the rules, what is shown, and what scripts want now.
    fn replan(&self) -> anyhow::Result<()> {
        let rules = lock(&self.rules);
        let mut generation = lock(&self.generation);
        *generation += 1;
        let open = self.recorder.open();
        *lock(&self.open) = open;
        let wanted = Wanted {
            rules: &rules,
            open,
            shown: self.live.is_some(),
            scripts: self.scripts.demand(),
            raw: self.raw.is_some(),
        };
        let plan = plan(&self.recorder, &wanted, &self.speech().env, *generation)?;
        *lock(&self.names_of_bits) = names_of(&self.recorder);
        self.control.set_plan(Arc::new(plan));
        Ok(())
    }

    /// Takes what records now into the plan, where windows have begun or ended.
    pub fn follow_windows(&self) {
        if self.recorder.open() == *lock(&self.open) {
            return;
        }
        if let Err(error) = self.replan() {
            tracing::error!("windows that began or ended are not followed: {error:#}");
        }
    }

    /// The scripts that record what `RECORDING_KFL` says, in place of the built-in rule.
    pub fn recording_scripts(&self) -> Option<String> {
        let by_scripts = lock(&self.by_scripts);
        by_scripts.names.clone().filter(|_| by_scripts.instead)
    }

    /// Whether other scripts than when the rules were made record by themselves.
    pub fn scripts_changed(&self) -> bool {
        lock(&self.by_scripts).names.is_some() == self.scripts.recording().is_empty()
    }

    /// Whether the source has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.thread)
            .as_ref()
            .is_none_or(JoinHandle::is_finished)
    }

    /// Seals what is open, once the source has ended. What is not in its bucket yet; `None` when all is.
    pub fn finish(&self) -> Option<Left> {
        self.recorder.finish()
    }

    /// How the recorder is doing.
    pub fn recorder(&self) -> gillnet_recorder::Status {
        self.recorder.status()
    }

    /// How raw capture is doing, where there is any.
    pub fn raw(&self) -> Option<RawStatus> {
        self.raw.as_ref().map(RawRing::status)
    }

    /// Stops capturing, seals what is open and uploads it.
    pub fn stop(self: Arc<Session>) -> anyhow::Result<()> {
        self.control.stop();
        let thread = lock(&self.thread).take();
        let ended = thread.map(JoinHandle::join);
        self.scripts.stop();
        let spool = self.data.path().to_path_buf();
        let Ok(mut session) = Arc::try_unwrap(self) else {
            anyhow::bail!(
                "the recorder is still in use, so what is open was not uploaded; it is at the next start"
            );
        };
        if let Some(raw) = session.raw.take() {
            raw.stop();
        }
        let Ok(recorder) = Arc::try_unwrap(session.recorder) else {
            anyhow::bail!(
                "the recorder is still in use, so what is open was not uploaded; it is at the next start"
            );
        };
        let left = recorder.shutdown(FAREWELL);
        if left.objects > 0 {
            tracing::warn!(
                "{} objects ({} bytes) did not reach their bucket; they wait in {} for the next start",
                left.objects,
                left.bytes,
                spool.display()
            );
        }
        match ended {
            Some(Ok(Ended::Failed(error))) => Err(error.into()),
            Some(Err(_)) => {
                anyhow::bail!("the shard stopped by a fault of its own; the log says why")
            }
            _ => Ok(()),
        }
    }
}

/// Who wants something of the traffic.
struct Wanted<'w> {
    rules: &'w [Ruled],
    /// The rules that record now, as bits.
    open: u128,
    shown: bool,
    scripts: Demand,
    raw: bool,
}

/// What is wanted: each rule under the recorder's number for it, everything for a dashboard, and for scripts that take
/// entries.
fn plan(
    recorder: &Recorder,
    wanted: &Wanted<'_>,
    env: &gillnet_kfl::Env,
    generation: u32,
) -> anyhow::Result<Plan> {
    let mut wants = Vec::new();
    let rules = wanted.rules;
    let recording = recorder.rules().into_iter();
    for (id, rule) in recording.filter(|(id, _)| wanted.open & id.bit() != 0) {
        if let Some((_, filter)) = rules.iter().find(|(known, _)| known.name == rule.name) {
            let bit = u8::try_from(id.index()).unwrap_or(VIEWER);
            wants.push(Want {
                bit,
                filter: filter.clone(),
                record: true,
                bodies: false,
            });
        }
    }
    for (bit, all) in [(VIEWER, wanted.shown), (SCRIPTS, wanted.scripts.entries)] {
        if !all {
            continue;
        }
        let options = Options {
            now: scan::now(),
            ..Options::default()
        };
        let filter = gillnet_kfl::compile(env, "", &options)
            .map_err(|errors| anyhow::anyhow!("{}", errors.render("")))?;
        wants.push(Want {
            bit,
            filter,
            record: false,
            bodies: true,
        });
    }
    let plan = Plan::new(wants, generation);
    Ok(plan
        .with_packets(wanted.scripts.packets)
        .with_raw(wanted.raw))
}

/// Has what scripts want taken into the plan of the session, once that is there.
fn on_demand(session: &Arc<OnceLock<Weak<Session>>>) -> OnDemand {
    let session = Arc::clone(session);
    Arc::new(move |_| {
        let Some(session) = session.get().and_then(Weak::upgrade) else {
            return;
        };
        if let Err(error) = session.replan() {
            tracing::error!("what scripts want is not captured: {error:#}");
        }
    })
}

/// Refuses at start what can be seen to be wrong with a destination.
fn check_destination(rule: &gillnet_recorder::Rule, buckets: &Credentialed) -> anyhow::Result<()> {
    Destination::parse(&rule.destination)
        .map_err(exit::usage)
        .with_context(|| format!("the rule `{}`", rule.name))?;
    buckets
        .open(&rule.destination)
        .map(drop)
        .map_err(exit::of_bucket)
        .with_context(|| format!("the rule `{}`", rule.name))
}

fn recorder_config(
    config: &Config,
    dir: &Path,
    identity: &Identity,
) -> anyhow::Result<RecorderConfig> {
    let run = u64::from_str_radix(&identity.run, 16)?;
    let usual = RecorderConfig::new(
        dir.to_path_buf(),
        identity.cluster.clone(),
        identity.node.clone(),
        run,
    );
    let format = match config.recording.format {
        PacketFormat::PcapngGz => layout::PacketFormat::PcapngGz,
        PacketFormat::Pcapng => layout::PacketFormat::Pcapng,
        PacketFormat::Pcap if config.recording.has_index() => layout::PacketFormat::Pcap,
        PacketFormat::Pcap => {
            return Err(crate::exit::usage(anyhow::anyhow!(
                "recording.format: pcap has no place for the streams' names and for what is missing of them, so it needs the index that says it; take recording.index: false away, or set another format"
            )));
        }
    };
    Ok(RecorderConfig {
        format,
        object_size: config
            .recording
            .object_size
            .map_or(usual.object_size, |size| size.0),
        spool_limit: config.spool.limit.map_or(usual.spool_limit, |size| size.0),
        ..usual
    })
}

fn ring(config: &Config, dir: &Path) -> anyhow::Result<Ring> {
    Ok(Ring::create(Some(dir), ring_size(config, dir))?)
}

/// Size of a byte ring in this folder.
pub fn ring_size(config: &Config, dir: &Path) -> u64 {
    let usual = if is_tmpfs(dir) { 256 << 20 } else { 1 << 30 };
    config.capture.ring.size.map_or(usual, |size| size.0)
}

/// The disk ring of everything, where it is wanted.
fn raw(
    config: &Config,
    dir: &Path,
    identity: &Identity,
    run: u64,
) -> anyhow::Result<Option<(RawRing, RawHandle)>> {
    let raw = &config.capture.raw;
    if !raw.enabled {
        return Ok(None);
    }
    let age = raw.age.as_deref().map(duration).transpose();
    let config = RawConfig {
        data_dir: dir.to_path_buf(),
        size: raw.size.map_or(RAW_BYTES, |size| size.0),
        age: age.context("capture.raw.age").map_err(exit::usage)?,
        queue_bytes: RAW_QUEUE,
        node: identity.node.clone(),
        run,
    };
    match RawRing::start(config) {
        Ok(started) => Ok(Some(started)),
        Err(error @ RawError::Size { .. }) => Err(exit::usage(error)),
        Err(error) => Err(error.into()),
    }
}

/// How often pages of the ring are provided.
const PROVIDE_EVERY: Duration = Duration::from_millis(50);

/// Provides pages of the ring ahead of the shard, on a thread that gives way, until what is returned is dropped.
fn provide(mut ahead: Ahead) -> anyhow::Result<mpsc::Sender<Infallible>> {
    let (running, ended) = mpsc::channel::<Infallible>();
    std::thread::Builder::new()
        .name("ring".into())
        .spawn(move || {
            turns::give_way();
            while ended.recv_timeout(PROVIDE_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                while ahead.step() {
                    turns::pause();
                }
            }
        })?;
    Ok(running)
}

/// Whether a folder is on tmpfs: the mount with the longest path above it.
fn is_tmpfs(dir: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|f| f.len() > 2 && dir.starts_with(f[1]));
    above
        .max_by_key(|f| f[1].len())
        .is_some_and(|f| f[2] == "tmpfs")
}

/// Where frames come from, and what that is called.
fn source(config: &Config, args: &CaptureArgs) -> anyhow::Result<(Box<dyn Source>, String)> {
    if !args.read.is_empty() {
        let files = Unplaced(open_merged(expand(&args.read)?)?);
        return Ok((Box::new(files), args.read.join(", ")));
    }
    let capture = &config.capture;
    let interfaces = if args.interfaces.is_empty() {
        capture.interfaces.clone()
    } else {
        args.interfaces.clone()
    };
    let filter = args
        .filter
        .clone()
        .unwrap_or_else(|| capture.filter.clone());
    let usual = LiveConfig::default();
    let live = LiveConfig {
        interfaces: interfaces.clone(),
        filter: (!filter.is_empty()).then_some(filter),
        ring_bytes: capture.ring.kernel.map_or(usual.ring_bytes, |size| size.0),
        ..usual
    };
    Ok((Box::new(open_live(&live)?), interfaces.join(", ")))
}

/// Opens buckets as the configuration says.
pub struct Credentialed(Mutex<Config>);

impl Credentialed {
    /// With the key that this configuration names.
    pub fn new(config: Config) -> Credentialed {
        Credentialed(Mutex::new(config))
    }
}

impl Buckets for Credentialed {
    fn open(&self, destination: &str) -> Result<Arc<dyn Bucket>, BucketError> {
        let refused = |message: String| {
            BucketError::new(
                gillnet_bucket::ErrorKind::Unauthenticated,
                destination.to_owned(),
                message,
            )
        };
        let parsed = Destination::parse(destination).map_err(|error| refused(error.to_string()))?;
        let config = lock(&self.0).clone();
        let credentials = config
            .credentials(&parsed, None)
            .map_err(|error| refused(format!("{error:#}")))?;
        connect(&parsed, &credentials, Access::Record)
    }
}

/// Writes what addresses meant beside the packets.
pub struct History(Arc<Names>);

impl History {
    /// Of these names, where none were told with the packets.
    pub fn of(names: Arc<Names>) -> History {
        History(names)
    }
}

impl NameHistory for History {
    fn history(
        &self,
        ends: &[(IpAddr, u16)],
        recorded: &[RecordedName],
        from: i64,
        to: i64,
    ) -> Vec<u8> {
        // names told with the streams: also of a process that is gone, and of what was forgotten meanwhile
        let told = Names::new(NamesConfig::default());
        let json = match told {
            Ok(told) if !recorded.is_empty() => {
                for name in recorded {
                    let since = if name.name.since == 0 {
                        i64::MIN
                    } else {
                        name.name.since
                    };
                    let address = match name.name.mechanism {
                        gillnet_entry::Mechanism::IpAndPort => gillnet_names::Address {
                            ip: name.ip,
                            port: Some(name.port),
                        },
                        _ => gillnet_names::Address {
                            ip: name.ip,
                            port: None,
                        },
                    };
                    told.add_interval(address, name.name.clone(), since, i64::MAX);
                }
                told.history(ends.iter().copied(), from, to)
            }
            _ => self.0.history(ends.iter().copied(), from, to),
        };
        json.to_string().into_bytes()
    }
}

/// Keeps entries for the dashboard, where there is one, and hands them to scripts that want them.
struct Keeper {
    store: Option<Arc<LiveStore>>,
    batch: Vec<OwnedEntry>,
    recordings: Recordings,
    scripts: Sink,
}

/// What rules are called, by their bits.
type NamesOfBits = Arc<Mutex<Vec<(u128, String)>>>;

fn names_of(recorder: &Recorder) -> Vec<(u128, String)> {
    let rules = recorder.rules().into_iter();
    rules.map(|(id, rule)| (id.bit(), rule.name)).collect()
}

/// The recordings that entries are in, a line each.
struct Recordings {
    names: NamesOfBits,
    /// Of the entry before.
    last: (Matched, String),
}

impl Recordings {
    fn new(names: NamesOfBits) -> Recordings {
        let last = (0, String::new());
        Recordings { names, last }
    }

    /// Those of an entry that these rules and others match.
    fn of(&mut self, matched: Matched) -> &str {
        let rules = matched & !(1 << VIEWER | 1 << SCRIPTS);
        if rules == 0 {
            return "";
        }
        if self.last.0 != rules {
            let names = lock(&self.names);
            let names = names.iter().filter(|(bit, _)| rules & bit != 0);
            let names: Vec<&str> = names.map(|(_, name)| &**name).collect();
            self.last = (rules, names.join("\n"));
        }
        &self.last.1
    }

    /// Rules may be others from now on.
    fn forget(&mut self) {
        self.last.0 = 0;
    }
}

impl Consumer for Keeper {
    fn entry(&mut self, entry: &Entry<'_>, matched: Matched) -> bool {
        let common = Common {
            record: self.recordings.of(matched),
            ..*entry.common
        };
        let entry = &Entry {
            common: &common,
            ..*entry
        };
        if self.store.is_some() && matched & 1 << VIEWER != 0 {
            self.batch.push(entry.detach(LiveStore::KEEP));
        }
        self.scripts.entry(entry, matched)
    }

    fn packet(&mut self, seen: &PacketSeen) {
        self.scripts.packet(seen);
    }

    fn flush(&mut self) {
        self.recordings.forget();
        self.scripts.flush();
        if let Some(store) = &self.store
            && !self.batch.is_empty()
        {
            store.extend(self.batch.drain(..));
        }
    }
}
