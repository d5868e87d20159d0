//! All scripts of a process: started, watched, changed, asked.

use crate::clock::{Clock, lock};
use crate::console::Console;
use crate::engine::{Engine, Fault};
use crate::files::StreamFiles;
use crate::helpers::Cluster;
use crate::hooks::{Hook, HookSet};
use crate::host::{Given, Host, Side};
use crate::instance::{Instance, State, queried};
use crate::limits::Limits;
use crate::logs::LogLayer;
use crate::mailbox::{Event, Queried};
use crate::metrics::Metrics;
use crate::sink::{Pressure, Sink};
use crate::solo::host;
use crate::store::{Source, Sources, StoreError};
use crate::vendor;
use gillnet_entry::OwnedEntry;
use gillnet_kfl::Env;
use gillnet_names::Names;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How scripts run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name, as `utils.nodeName()` gives it.
    pub node: String,
    /// Its address.
    pub node_ip: String,
    /// The run of this process: 64 random bits in hex.
    pub run: String,
    /// The folder that all paths of scripts are in.
    pub data_dir: PathBuf,
    /// Where scripts are, and which are active.
    pub sources: Sources,
    /// `scripting.watchScripts`: whether they are read again when they change.
    pub watch: bool,
    /// Whether this process is the hub, too: then scripts that ask where they are run on both sides.
    pub hub: bool,
    /// `scripting.env`, resolved.
    pub env: Map<String, Value>,
    /// `scripting.allowHosts`.
    pub allow_hosts: Vec<String>,
    /// `scripting.endpoints`.
    pub endpoints: BTreeMap<String, String>,
    /// What a script may take.
    pub limits: Limits,
    /// `scripting.console`: whether what scripts say is kept and handed on.
    pub console: bool,
    /// Whether vendor calls are said on the console and not made.
    pub dry_run: bool,
}

impl Config {
    /// Of a node whose scripts' files are in this folder; everything else as usual.
    pub fn new(node: &str, node_ip: &str, run: &str, data_dir: PathBuf) -> Config {
        Config {
            node: node.to_owned(),
            node_ip: node_ip.to_owned(),
            run: run.to_owned(),
            data_dir,
            sources: Sources::default(),
            watch: true,
            hub: true,
            env: Map::new(),
            allow_hosts: Vec::new(),
            endpoints: BTreeMap::new(),
            limits: Limits::default(),
            console: true,
            dry_run: false,
        }
    }
}

/// What scripts reach the rest of the process through.
#[derive(Clone)]
pub struct Doors {
    /// What filters may speak of.
    pub env: Arc<Env>,
    /// What addresses are called.
    pub names: Arc<Names>,
    /// The packets of streams.
    pub streams: Arc<dyn StreamFiles>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Kubernetes.
    pub cluster: Arc<dyn Cluster>,
    /// Called, from a thread of its own, when what scripts want of capture has changed.
    pub on_demand: Option<OnDemand>,
}

/// Is told what scripts want of capture.
pub type OnDemand = Arc<dyn Fn(Demand) + Send + Sync>;

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

/// What scripts want of capture: where nothing is wanted, nothing costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Every entry, with its bodies: some script has `onItemCaptured`.
    pub entries: bool,
    /// Every packet: some script has `onPacketCaptured`.
    pub packets: bool,
}

/// Why scripts can't be started, or one can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scripts' data directory.
    #[error("{path}: the scripts' files can't be kept there: {source}")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `scripting.allowHosts`, `scripting.endpoints`.
    #[error(transparent)]
    Vendors(#[from] vendor::ConfigError),
    /// The store of scripts.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread can't be started.
    #[error("a thread for scripts can't be started: {0}")]
    Thread(std::io::Error),
    /// The text is no script, or fails where it stands alone.
    #[error("{0}")]
    Syntax(SyntaxError),
    /// There is no job of this tag.
    #[error("{0}")]
    Job(String),
}

/// Where a text is no JavaScript, or what it throws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SyntaxError {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

impl std::error::Error for SyntaxError {}

/// Looks whether a text is a script, without running it.
///
/// # Errors
/// The first mistake, with its place.
pub fn check(file: &str, text: &str) -> Result<(), SyntaxError> {
    let checked = Engine::new(Limits::default().memory).and_then(|engine| engine.check(file, text));
    checked.map_err(|fault| syntax(file, &fault))
}

pub(crate) fn syntax(file: &str, fault: &Fault) -> SyntaxError {
    let place = fault.place.as_ref();
    SyntaxError {
        file: place.map_or(file, |place| &place.file).to_owned(),
        line: place.map_or(1, |place| place.line),
        column: place.map_or(1, |place| place.column),
        message: fault.text.clone(),
    }
}

/// How one script is doing.
#[derive(Clone, Debug)]
pub struct ScriptStatus {
    /// Its number, which stays its own while the process runs.
    pub number: u32,
    /// The text of its first comment, else the file's name.
    pub title: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether it was added through the API.
    pub added: bool,
    /// Whether it is to run.
    pub active: bool,
    /// Whether it records by itself what `RECORDING_KFL` says.
    pub records: bool,
    /// How it does where it runs.
    pub runs: Vec<RunStatus>,
}

/// How a script is doing on one side.
#[derive(Clone, Debug)]
pub struct RunStatus {
    /// Where.
    pub side: Side,
    /// What it does.
    pub state: State,
    /// The hooks that it has.
    pub hooks: HookSet,
    /// Calls of each hook that were made, and that were dropped.
    pub calls: Vec<(Hook, u64, u64)>,
    /// Events that wait for it.
    pub waiting: usize,
    /// Errors said on the console by itself or of it.
    pub errors: u64,
    /// The last of them.
    pub last_error: Option<String>,
    /// Bytes that its interpreter held when it last rested.
    pub memory: u64,
}

/// A job of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStatus {
    /// The side that it runs on.
    pub side: Side,
    /// The script that gave it, by its number.
    pub script: Option<u32>,
    /// Its tag, which no other job of the side has.
    pub tag: String,
    /// When it runs, as the script said it.
    pub cron: String,
    /// Runs after which it ends; 0 for none.
    pub limit: u32,
    /// Runs so far.
    pub runs: u32,
    /// Whether it runs now.
    pub running: bool,
    /// When it runs next, in ns since the epoch.
    pub next: Option<i64>,
}

/// Captures of streams that scripts opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Written.
    pub written: u64,
    /// Written without their first packets, which had left the ring.
    pub cut: u64,
    /// Not written: nothing of them was there any more.
    pub missed: u64,
}

/// All scripts of a process. A clone is the same; they stop when the last one is dropped.
#[derive(Clone)]
pub struct Scripts {
    inner: Arc<Inner>,
}

struct Inner {
    host: Arc<Host>,
    watch: bool,
    hub: bool,
    shelf: Mutex<Shelf>,
    on_demand: Option<OnDemand>,
    told: Mutex<Option<Demand>>,
    stop: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The scripts that there are.
struct Shelf {
    sources: Sources,
    books: Vec<Book>,
    next: u32,
    /// What could not be read, as it was said last.
    faults: Vec<StoreError>,
}

struct Book {
    number: u32,
    source: Source,
    instances: Vec<Instance>,
}

/// How long to wait for scripts to load at the start; those that take longer go on by themselves.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for a script to stop.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long onItemQueried may take for one page of entries.
const QUERY: Duration = Duration::from_secs(5);

impl std::fmt::Debug for Scripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripts").finish_non_exhaustive()
    }
}

impl Scripts {
    /// Loads the scripts and runs them. One that fails to load says so on the console, and keeps no other from running.
    ///
    /// # Errors
    /// A data directory that can't be used, a configuration of vendors that can't.
    pub fn start(config: Config, doors: Doors) -> Result<Scripts, Error> {
        let host = host(&config, &doors)?;
        host.console.turn(config.console);
        let inner = Arc::new(Inner {
            host,
            watch: config.watch,
            hub: config.hub,
            shelf: Mutex::new(Shelf {
                sources: config.sources,
                books: Vec::new(),
                next: 0,
                faults: Vec::new(),
            }),
            on_demand: doors.on_demand,
            told: Mutex::default(),
            stop: AtomicBool::new(false),
            thread: Mutex::default(),
        });
        let scripts = Scripts { inner };
        scripts.inner.reload(PATIENCE);
        scripts.inner.tell();
        let weak = Arc::downgrade(&scripts.inner);
        let host = Arc::clone(&scripts.inner.host);
        let thread = std::thread::Builder::new()
            .name("scripts".into())
            .spawn(move || {
                let (mut heard, mut looked) = (0, Instant::now());
                loop {
                    host.changed.wait(&mut heard, Some(LOOK));
                    let Some(inner) = weak
                        .upgrade()
                        .filter(|inner| !inner.stop.load(Ordering::Acquire))
                    else {
                        return;
                    };
                    if looked.elapsed() >= LOOK {
                        looked = Instant::now();
                        inner.look();
                    }
                    inner.tell();
                }
            });
        *lock(&scripts.inner.thread) = Some(thread.map_err(Error::Thread)?);
        Ok(scripts)
    }

    /// The console of all scripts.
    pub fn console(&self) -> Console {
        self.inner.host.console.clone()
    }

    /// The metrics that scripts set, for the metrics endpoint.
    pub fn metrics(&self) -> Metrics {
        self.inner.host.metrics.clone()
    }

    /// What scripts want of capture now.
    pub fn demand(&self) -> Demand {
        self.inner.demand()
    }

    /// Takes entries and packets from a shard: those that matched the want with this bit of its plan.
    pub fn sink(&self, bit: u8, pressure: Pressure) -> Sink {
        Sink::new(&self.inner.host, bit, pressure)
    }

    /// Has scripts told of what is logged.
    pub fn attach(&self, log: &LogLayer) {
        log.attach(&self.inner.host);
    }

    /// Takes other fields and macros for filters.
    pub fn set_env(&self, env: Arc<Env>) {
        self.inner.host.speech.set(env);
    }

    /// Takes a changed configuration: folders, the choice of active scripts, `scripting.env`, `scripting.console`, and
    /// where vendor calls may go. Where scripts can see a difference all are loaded anew, else those whose files or choice changed. What else is
    /// in a configuration stays as it was at the start.
    ///
    /// # Errors
    /// A configuration of vendors that can't be used; then everything stays as it was.
    pub fn configure(&self, config: &Config) -> Result<(), Error> {
        let given = Given::new(config)?;
        let anew = !given.is_same(&self.inner.host.given());
        self.inner.host.console.turn(config.console);
        {
            let mut shelf = lock(&self.inner.shelf);
            shelf.sources.clone_from(&config.sources);
            if anew {
                *lock(&self.inner.host.given) = Arc::new(given);
                for book in &mut shelf.books {
                    book.stop();
                    book.source.active = false;
                }
            }
        }
        self.inner.reload(PATIENCE);
        self.inner.tell();
        Ok(())
    }

    /// What is shown in place of entries that a client asked for with this filter, by place: the JSON that
    /// `onItemQueried` gave, or nothing where it gave nothing. To be asked only for entries that matched.
    pub fn queried(&self, entries: &[Arc<OwnedEntry>], filter: &str) -> Vec<Option<String>> {
        let filter: Arc<str> = filter.into();
        let entries = entries
            .iter()
            .map(|entry| Queried::Entry(Arc::clone(entry), Arc::clone(&filter)));
        queried(&self.inner.host, Side::Worker, entries.collect(), QUERY)
    }

    /// The same of entries of which a part is hidden: their JSON without it.
    pub fn queried_json(&self, entries: Vec<String>, filter: &str) -> Vec<Option<String>> {
        let filter: Arc<str> = filter.into();
        let entries = entries
            .into_iter()
            .map(|json| Queried::Json(json, Arc::clone(&filter)));
        queried(&self.inner.host, Side::Worker, entries.collect(), QUERY)
    }

    /// Whether some script at work has a hook.
    pub fn has_hook(&self, hook: Hook) -> bool {
        lock(&self.inner.host.mailboxes)
            .iter()
            .any(|(_, mailbox)| mailbox.has(hook))
    }

    /// A pod was `ADDED`, `MODIFIED` or `DELETED`: its JSON.
    pub fn pod_event(&self, event: &str, pod: Value) {
        let pod = Arc::new(pod);
        for side in [Side::Worker, Side::Hub] {
            self.inner.host.each(Hook::PodEvent, side, |mailbox| {
                mailbox.post(Event::Pod(event.to_owned(), Arc::clone(&pod)));
            });
        }
    }

    /// A worker elsewhere called `hub.action`.
    pub fn hub_action(&self, action: &str, object: &Value) {
        self.inner.host.to_hub(action, object);
    }

    /// How all scripts are doing.
    pub fn status(&self) -> Vec<ScriptStatus> {
        lock(&self.inner.shelf)
            .books
            .iter()
            .map(Book::status)
            .collect()
    }

    /// Captures of streams that scripts opened so far.
    pub fn streams(&self) -> StreamCounts {
        let counts = &self.inner.host.files.counts;
        StreamCounts {
            written: counts.written.load(Ordering::Relaxed),
            cut: counts.cut.load(Ordering::Relaxed),
            missed: counts.missed.load(Ordering::Relaxed),
        }
    }

    /// The files of active scripts that record by themselves what `RECORDING_KFL` says.
    pub fn recording(&self) -> Vec<PathBuf> {
        let shelf = lock(&self.inner.shelf);
        let sources = shelf.books.iter().map(|book| &book.source);
        let recording = sources.filter(|source| source.active && source.records);
        recording.map(|source| source.path.clone()).collect()
    }

    /// The text of a script.
    ///
    /// # Errors
    /// There is none with this number.
    pub fn text(&self, number: u32) -> Result<Arc<str>, Error> {
        let shelf = lock(&self.inner.shelf);
        Ok(Arc::clone(&shelf.book(number)?.source.text))
    }

    /// Adds a script; gives its number.
    ///
    /// # Errors
    /// It is no script, or can't be written.
    pub fn add(&self, text: &str) -> Result<u32, Error> {
        check("script.js", text).map_err(Error::Syntax)?;
        let path = {
            let shelf = lock(&self.inner.shelf);
            shelf.sources.add(text, shelf.books.len())?
        };
        self.inner.reload(PATIENCE);
        self.inner.tell();
        let shelf = lock(&self.inner.shelf);
        let book = shelf.books.iter().find(|book| book.source.path == path);
        Ok(book.ok_or(StoreError::TooMany)?.number)
    }

    /// Puts another text in the place of a script's.
    ///
    /// # Errors
    /// It is no script, or its file can't be written.
    pub fn change(&self, number: u32, text: &str) -> Result<(), Error> {
        {
            let shelf = lock(&self.inner.shelf);
            let source = &shelf.book(number)?.source;
            check(&source.name(), text).map_err(Error::Syntax)?;
            source.write(text)?;
        }
        self.inner.reload(PATIENCE);
        self.inner.tell();
        Ok(())
    }

    /// Deletes a script with its file.
    ///
    /// # Errors
    /// There is none with this number, or its file can't be removed.
    pub fn delete(&self, number: u32) -> Result<(), Error> {
        {
            let shelf = lock(&self.inner.shelf);
            let source = &shelf.book(number)?.source;
            source.delete()?;
            if shelf.sources.added.is_some() {
                shelf.sources.say(source, None)?;
            }
        }
        self.inner.reload(PATIENCE);
        self.inner.tell();
        Ok(())
    }

    /// Has a script run, or run no more, whatever the configuration says of its title.
    ///
    /// # Errors
    /// There is none with this number, or it can't be noted.
    pub fn activate(&self, number: u32, active: bool) -> Result<(), Error> {
        {
            let shelf = lock(&self.inner.shelf);
            shelf
                .sources
                .say(&shelf.book(number)?.source, Some(active))?;
        }
        self.inner.reload(PATIENCE);
        self.inner.tell();
        Ok(())
    }

    /// The tags of all jobs, with the side that they are of.
    pub fn jobs(&self) -> Vec<(Side, String)> {
        let of = |side: Side| {
            let tags = self.inner.host.node(side).scheduler.list();
            tags.into_iter().map(move |tag| (side, tag))
        };
        of(Side::Worker).chain(of(Side::Hub)).collect()
    }

    /// All jobs, with their times.
    pub fn planned(&self) -> Vec<JobStatus> {
        // not both locks at a time: a script that gives a job may be asked for its state
        let owners: Vec<_> = {
            let shelf = lock(&self.inner.shelf);
            let of = |book: &Book| {
                let number = book.number;
                let mailboxes = book.instances.iter().map(|one| Arc::clone(&one.mailbox));
                mailboxes
                    .map(move |mailbox| (mailbox, number))
                    .collect::<Vec<_>>()
            };
            shelf.books.iter().flat_map(of).collect()
        };
        let of = |side: Side| self.inner.host.node(side).scheduler.planned().into_iter();
        let worker = of(Side::Worker).map(|job| (Side::Worker, job));
        let hub = of(Side::Hub).map(|job| (Side::Hub, job));
        let planned = worker.chain(hub).map(|(side, (owner, job))| JobStatus {
            side,
            script: owners
                .iter()
                .find_map(|(of, number)| Arc::ptr_eq(of, &owner).then_some(*number)),
            tag: job.tag,
            cron: job.cron,
            limit: job.limit,
            runs: job.runs,
            running: job.running,
            next: job.next,
        });
        planned.collect()
    }

    /// Has a job run now.
    ///
    /// # Errors
    /// There is none of this tag.
    pub fn run_job(&self, tag: &str) -> Result<(), Error> {
        let worker = self.inner.host.worker.scheduler.run(tag);
        let hub = self.inner.host.hub.scheduler.run(tag);
        worker.or(hub).map_err(Error::Job)
    }

    /// Waits until scripts have nothing to do at this time, at most for a time; `false` where they still do.
    pub fn settle(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            let settled = || {
                let shelf = lock(&self.inner.shelf);
                shelf
                    .books
                    .iter()
                    .flat_map(|book| &book.instances)
                    .all(Instance::is_settled)
            };
            // what one does may give another something to do
            if settled() && settled() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Stops all scripts; those in the middle of something are waited for a moment.
    pub fn stop(&self) {
        self.inner.stop.store(true, Ordering::Release);
        self.inner.host.changed.ring();
        let mut shelf = lock(&self.inner.shelf);
        shelf.books.iter_mut().for_each(Book::stop);
        drop(shelf);
        if let Some(thread) = lock(&self.inner.thread).take()
            && thread.thread().id() != std::thread::current().id()
        {
            // it ends by itself
            let _ = thread.join();
        }
    }
}

impl Shelf {
    fn book(&self, number: u32) -> Result<&Book, StoreError> {
        let book = self.books.iter().find(|book| book.number == number);
        book.ok_or(StoreError::NoSuch(number))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.host.changed.ring();
    }
}

impl Inner {
    /// What is done from time to time.
    fn look(&self) {
        if self.watch {
            self.reload(Duration::ZERO);
        }
        let works = !lock(&self.host.mailboxes).is_empty();
        if works && let Err(error) = self.host.files.refresh_history(false) {
            tracing::warn!("the names can't be written for scripts: {error}");
        }
    }

    fn demand(&self) -> Demand {
        let mut demand = Demand::default();
        for (side, mailbox) in lock(&self.host.mailboxes).iter() {
            if *side == Side::Worker {
                demand.entries |= mailbox.has(Hook::ItemCaptured);
                demand.packets |= mailbox.has(Hook::PacketCaptured);
            }
        }
        demand
    }

    /// Tells what is wanted, where it changed.
    fn tell(&self) {
        let demand = self.demand();
        let before = lock(&self.told).replace(demand);
        if before != Some(demand)
            && let Some(tell) = &self.on_demand
        {
            tell(demand);
        }
    }

    /// Reads the scripts, and starts, restarts and stops what changed. The others go on.
    fn reload(&self, patience: Duration) {
        let mut loads = Vec::new();
        {
            let mut shelf = lock(&self.shelf);
            let shelf = &mut *shelf;
            let before: Vec<Source> = shelf.books.iter().map(|book| book.source.clone()).collect();
            let (sources, faults) = shelf.sources.read(&before);
            if faults != shelf.faults {
                for fault in &faults {
                    tracing::warn!("{fault}");
                }
                shelf.faults = faults;
            }
            // those that are gone
            shelf.books.retain_mut(|book| {
                let stays = sources.iter().any(|source| source.path == book.source.path);
                if !stays {
                    book.stop();
                }
                stays
            });
            for source in sources {
                let known = shelf
                    .books
                    .iter_mut()
                    .find(|book| book.source.path == source.path);
                let book = match known {
                    Some(book) => book,
                    None => {
                        let number = shelf.next;
                        shelf.next += 1;
                        let mut fresh = source.clone();
                        fresh.active = false;
                        shelf.books.push(Book {
                            number,
                            source: fresh,
                            instances: Vec::new(),
                        });
                        let Some(book) = shelf.books.last_mut() else {
                            continue;
                        };
                        book
                    }
                };
                let changed = book.source.text != source.text;
                let (was, is) = (book.source.active, source.active);
                book.source = source;
                if was && (changed || !is) {
                    book.stop();
                }
                if is && (changed || !was) {
                    match book.start(&self.host, self.hub) {
                        Ok(loading) => loads.extend(loading),
                        Err(error) => {
                            tracing::error!("a thread for a script can't be started: {error}")
                        }
                    }
                }
            }
        }
        let until = Instant::now() + patience;
        for load in loads {
            // what comes of it stands on the console and in the status
            let _ = load.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }
}

type Loading = std::sync::mpsc::Receiver<Result<(), Fault>>;

impl Book {
    /// Starts it on all sides that it is for.
    fn start(&mut self, host: &Arc<Host>, hub: bool) -> std::io::Result<Vec<Loading>> {
        let source = &self.source;
        // the others would do the same twice
        let for_hub = hub
            && ["nodeName", "onHubAction"]
                .iter()
                .any(|name| source.text.contains(name));
        let sides: &[Side] = if for_hub {
            &[Side::Hub, Side::Worker]
        } else {
            &[Side::Worker]
        };
        let mut loads = Vec::new();
        for side in sides {
            let name = source.name();
            let (instance, load) = Instance::start(host, *side, self.number, &name, &source.text)?;
            self.instances.push(instance);
            loads.push(load);
        }
        Ok(loads)
    }

    fn stop(&mut self) {
        self.instances.iter_mut().for_each(Instance::stop);
        for mut instance in self.instances.drain(..) {
            if !instance.join(FAREWELL) {
                tracing::warn!(
                    "the script {} is in the middle of something and is left behind",
                    self.source.title
                );
            }
        }
    }

    fn status(&self) -> ScriptStatus {
        ScriptStatus {
            number: self.number,
            title: self.source.title.clone(),
            path: self.source.path.clone(),
            added: self.source.added,
            active: self.source.active,
            records: self.source.records,
            runs: self.instances.iter().map(Instance::status).collect(),
        }
    }
}

impl Instance {
    fn status(&self) -> RunStatus {
        let calls =
            Hook::ALL.map(|hook| (hook, self.mailbox.called(hook), self.mailbox.dropped(hook)));
        let calls = calls
            .into_iter()
            .filter(|(hook, called, dropped)| called + dropped > 0 || self.mailbox.has(*hook));
        RunStatus {
            side: self.side,
            state: self.state(),
            hooks: self.mailbox.hooks(),
            calls: calls.collect(),
            waiting: self.mailbox.len(),
            errors: self.shared.errors.load(Ordering::Relaxed),
            last_error: lock(&self.shared.last_error).clone(),
            memory: self.shared.memory.load(Ordering::Relaxed),
        }
    }
}
