//! How far an index is, for people: a line that is written over on a terminal, else one now and then.

use crate::lock::lock;
use gillnet_pipeline::Counters;
use gillnet_recorder::Status;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const EVERY_ON_TERMINAL: Duration = Duration::from_millis(250);
const EVERY_ELSE: Duration = Duration::from_secs(10);

/// What all groups share.
struct Figures {
    groups: u64,
    groups_done: AtomicU64,
    /// Of the groups before.
    frames_before: AtomicU64,
    bytes_before: AtomicU64,
    objects_before: AtomicU64,
    frames: AtomicU64,
    bytes: AtomicU64,
    objects: AtomicU64,
    began: Instant,
    terminal: bool,
    said: Mutex<Instant>,
}

/// See the module.
pub struct Progress(Arc<Figures>);

/// The part of one group that is read.
pub struct Meter(Arc<Figures>);

impl Progress {
    /// Begins to show how far so many groups are.
    pub fn start(groups: usize) -> Progress {
        Progress(Arc::new(Figures {
            groups: groups as u64,
            groups_done: AtomicU64::new(0),
            frames_before: AtomicU64::new(0),
            bytes_before: AtomicU64::new(0),
            objects_before: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            began: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            said: Mutex::new(Instant::now()),
        }))
    }

    /// Takes the figures of a group.
    pub fn meter(&self) -> Meter {
        Meter(Arc::clone(&self.0))
    }

    /// A group was done before.
    pub fn skip(&self) {
        self.0.groups_done.fetch_add(1, Ordering::Relaxed);
    }

    /// A group is in the bucket.
    pub fn group_done(&self) {
        let figures = &self.0;
        figures.groups_done.fetch_add(1, Ordering::Relaxed);
        for (before, now) in [
            (&figures.frames_before, &figures.frames),
            (&figures.bytes_before, &figures.bytes),
            (&figures.objects_before, &figures.objects),
        ] {
            before.fetch_add(now.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The last word.
    pub fn end(self) {
        if self.0.terminal {
            eprint!("\r\x1b[K");
        }
    }
}

impl Meter {
    /// So far frames were read.
    pub fn read(&self, counters: &Counters) {
        let figures = &self.0;
        figures.frames.store(counters.frames, Ordering::Relaxed);
        figures.bytes.store(counters.bytes, Ordering::Relaxed);
        figures.say();
    }

    /// So far they are in the bucket.
    pub fn recorded(&self, status: &Status) {
        let objects = status
            .rules
            .iter()
            .map(|rule| rule.counters.uploaded_objects);
        self.0.objects.store(objects.sum(), Ordering::Relaxed);
        self.0.say();
    }
}

impl Figures {
    fn say(&self) {
        let every = if self.terminal {
            EVERY_ON_TERMINAL
        } else {
            EVERY_ELSE
        };
        let mut said = lock(&self.said);
        if said.elapsed() < every {
            return;
        }
        *said = Instant::now();
        drop(said);
        let sum = |before: &AtomicU64, now: &AtomicU64| {
            before.load(Ordering::Relaxed) + now.load(Ordering::Relaxed)
        };
        let bytes = sum(&self.bytes_before, &self.bytes) >> 20;
        let text = format!(
            "{bytes} MiB in {} frames read, {} MiB/s, {} objects in the bucket, {} of {} sources done",
            sum(&self.frames_before, &self.frames),
            bytes / self.began.elapsed().as_secs().max(1),
            sum(&self.objects_before, &self.objects),
            self.groups_done.load(Ordering::Relaxed),
            self.groups,
        );
        if self.terminal {
            // nobody to tell where it can't be written
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        } else {
            tracing::info!("{text}");
        }
    }
}
