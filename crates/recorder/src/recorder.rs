//! The threads: one writes, one seals, one a destination uploads.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gillnet_capture::turns::{self, Idle};

use crate::queue::{Bell, Handle, lock};
use crate::retention::Retention;
use crate::rule::{Rule, RuleId};
use crate::spool::{Inventory, Sealing, Spool};
use crate::status::Status;
use crate::upload::{Step, Uploader};
use crate::writer::Writer;
use crate::{Buckets, Deps, Error, RecorderConfig};

/// What shards have is fetched this often. With a tick of the source every 100 ms what was recorded
/// is written through after at most 250.
const WRITE_EVERY: Duration = Duration::from_millis(50);
/// Sealing and uploading look at the clock at least this often: it may be set.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Whether a rule's old hours are to be deleted is looked at this often.
const LOOK_AT_RULES: Duration = Duration::from_secs(2);
/// The reserve is made again at most this often.
const MEND_EVERY: Duration = Duration::from_secs(2);

struct Shared {
    spool: Arc<Spool>,
    writer: Mutex<Writer>,
    write: Arc<Bell>,
    buckets: Arc<dyn Buckets>,
    uploaders: Mutex<BTreeMap<String, JoinHandle<()>>>,
    stop: AtomicBool,
    stopping: Bell,
}

/// The recorder at work. Where it is dropped without [`Recorder::shutdown`], what is open stays in
/// the spool, and is sealed and uploaded at the next start.
pub struct Recorder {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("spool", &self.shared.spool)
            .finish_non_exhaustive()
    }
}

/// What is not in a bucket yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Logs and objects that wait in the spool for the next start.
    pub objects: u64,
    /// Bytes in the spool.
    pub bytes: u64,
}

impl Left {
    fn of(inventory: &Inventory) -> Self {
        let rests: BTreeSet<_> = inventory.rests().collect();
        let objects = inventory.closed.len() + inventory.objects.len() + rests.len();
        Self {
            objects: objects as u64,
            bytes: inventory.bytes,
        }
    }
}

impl Recorder {
    /// Opens the spool, takes in what earlier runs left there, and begins to record. A handle a
    /// shard comes with it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start(
        config: RecorderConfig,
        rules: &[Rule],
        deps: Deps,
    ) -> Result<(Self, Vec<Handle>), Error> {
        let spool = Arc::new(Spool::open(config, &deps)?);
        let write = Arc::new(Bell::default());
        let (mut writer, handles) = Writer::with_bell(Arc::clone(&spool), &write);
        writer.set_rules(rules)?;
        let shared = Arc::new(Shared {
            spool,
            writer: Mutex::new(writer),
            write,
            buckets: deps.buckets,
            uploaders: Mutex::default(),
            stop: AtomicBool::new(false),
            stopping: Bell::default(),
        });
        // dropped on the way out, it stops what is running
        let mut recorder = Self {
            shared,
            threads: Vec::new(),
        };
        for (name, run) in [
            ("spool write", write_loop as fn(&Arc<Shared>)),
            ("spool seal", seal_loop),
            ("retention", retention_loop),
        ] {
            recorder
                .threads
                .push(spawn(name, &recorder.shared, run).map_err(Error::Thread)?);
        }
        Ok((recorder, handles))
    }

    /// The rules at work, with the ids that frames are kept under.
    #[must_use]
    pub fn rules(&self) -> Vec<(RuleId, Rule)> {
        lock(&self.shared.writer).rules()
    }

    /// The rules that record now, as the bits of their ids. Others wait for a window, or have none any more.
    #[must_use]
    pub fn open(&self) -> u128 {
        lock(&self.shared.writer).open()
    }

    /// Takes these rules in place of those at work. One that is the same stays as it is; of one
    /// that is gone, what is queued and open is sealed and uploaded, then nothing more of it.
    ///
    /// # Errors
    /// Where there are too many, or two of a name; then nothing changes.
    pub fn set_rules(&self, rules: &[Rule]) -> Result<Vec<(RuleId, Rule)>, Error> {
        let mut writer = lock(&self.shared.writer);
        writer.drain();
        writer.set_rules(rules)
    }

    /// Seals what was handed over, now; it is uploaded next.
    pub fn flush(&self) {
        let mut writer = lock(&self.shared.writer);
        writer.drain();
        writer.close_all();
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.shared.writer).status()
    }

    /// Seals what is open, once nothing more can come: where all handles are dropped. What is not in a bucket yet; `None`
    /// when all is.
    pub fn finish(&self) -> Option<Left> {
        let spool = &self.shared.spool;
        if self.shared.close(false) {
            spool.hurry();
        }
        (!spool.is_empty()).then(|| spool.look(Left::of))
    }

    /// Ends recording: seals what is open and uploads it, for at most `time`. What is not in a
    /// bucket by then stays in the spool for the next start. Handles are to be dropped before.
    pub fn shutdown(mut self, time: Duration) -> Left {
        let until = Instant::now() + time;
        let shared = &self.shared;
        let (mut heard, mut uploads) = (0, 0);
        while !shared.close(Instant::now() + time / 2 > until) {
            shared.write.wait(&mut heard, WRITE_EVERY);
        }
        shared.spool.hurry();
        while !shared.spool.is_empty() && Instant::now() < until {
            shared.spool.uploader.wait(&mut uploads, WRITE_EVERY);
        }
        shared.stop();
        self.threads
            .extend(std::mem::take(&mut *lock(&shared.uploaders)).into_values());
        for thread in self.threads.drain(..) {
            // one that waits for a bucket is left behind; its attempt is noted
            while !thread.is_finished() && Instant::now() < until + WRITE_EVERY {
                thread::sleep(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
        shared.spool.look(Left::of)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    /// Closes all that is open, where nothing more can come or that does not matter any more. Whether it did.
    fn close(&self, anyway: bool) -> bool {
        let mut writer = lock(&self.writer);
        writer.drain();
        let closes = anyway || writer.is_closed();
        if closes {
            // what came before the last handle was dropped
            writer.drain();
            writer.close_all();
        }
        closes
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stopping.ring();
        self.write.ring();
        self.spool.sealer.ring();
        self.spool.uploader.ring();
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How long to wait for a monotonic time.
    fn until(&self, time: Option<u64>) -> Duration {
        let wait = time
            .map(|time| Duration::from_nanos(time.saturating_sub(self.spool.clock.monotonic())));
        wait.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)
    }
}

fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce(&Arc<Shared>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || run(&shared))
}

fn write_loop(shared: &Arc<Shared>) {
    turns::let_others_in();
    let mut heard = 0;
    while !shared.is_stopped() {
        let mut writer = lock(&shared.writer);
        writer.drain();
        writer.tick();
        drop(writer);
        shared.write.wait(&mut heard, WRITE_EVERY);
    }
}

fn seal_loop(shared: &Arc<Shared>) {
    turns::give_way();
    let idle = Idle::start("spool pack")
        .inspect_err(|error| tracing::warn!(%error, "compression has no thread of its own"))
        .ok();
    let mut heard = 0;
    let mut mended = Instant::now();
    while !shared.is_stopped() {
        start_uploaders(shared);
        let wait = match shared.spool.seal_next(idle.as_ref()) {
            Sealing::Done | Sealing::Failed => continue,
            Sealing::Nothing => LOOK_EVERY,
            Sealing::Until(time) => shared.until(Some(time)),
        };
        if mended.elapsed() >= MEND_EVERY {
            shared.spool.mend_reserve();
            mended = Instant::now();
        }
        shared.spool.sealer.wait(&mut heard, wait);
    }
}

fn retention_loop(shared: &Arc<Shared>) {
    turns::give_way();
    let mut retention = Retention::new(Arc::clone(&shared.spool), Arc::clone(&shared.buckets));
    let mut heard = 0;
    while !shared.is_stopped() {
        let rules = lock(&shared.writer).rules();
        let rules: Vec<Rule> = rules.into_iter().map(|(_, rule)| rule).collect();
        let goes_on = || !shared.is_stopped() && !shared.spool.is_hurried();
        retention.step(&rules, &goes_on);
        shared.stopping.wait(&mut heard, LOOK_AT_RULES);
    }
}

/// Starts an uploader for each destination that has none yet.
fn start_uploaders(shared: &Arc<Shared>) {
    for destination in shared.spool.destinations() {
        let mut uploaders = lock(&shared.uploaders);
        if uploaders.contains_key(&destination) {
            continue;
        }
        let uploader = Uploader::new(
            Arc::clone(&shared.spool),
            Arc::clone(&shared.buckets),
            destination.clone(),
        );
        match spawn("spool upload", shared, move |shared| {
            upload_loop(shared, uploader)
        }) {
            Ok(thread) => {
                uploaders.insert(destination, thread);
            }
            Err(error) => {
                tracing::error!(destination, %error, "a thread can't be started; tried again")
            }
        }
    }
}

fn upload_loop(shared: &Arc<Shared>, mut uploader: Uploader) {
    turns::give_way();
    let mut heard = 0;
    let mut hurries = false;
    while !shared.is_stopped() {
        if !hurries && shared.spool.is_hurried() {
            hurries = true;
            uploader.try_now();
        }
        let wait = match uploader.step(hurries) {
            Step::Tried => {
                shared.spool.uploader.ring();
                continue;
            }
            Step::Wait(time) => shared.until(time),
        };
        shared.spool.uploader.wait(&mut heard, wait);
    }
}
