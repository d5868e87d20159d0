//! What waits for a script: hooks to be called, jobs to be run. Bounded; who posts never waits unless it asks to.

use crate::clock::{Bell, lock};
use crate::hooks::{Hook, HookSet};
use gillnet_entry::OwnedEntry;
use gillnet_pipeline::PacketSeen;
use serde_json::Value as Json;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Events other than entries and packets that wait, at most.
const EVENTS: usize = 10_000;

/// Something for a script to do.
#[derive(Debug)]
pub(crate) enum Event {
    /// An entry was captured.
    Item(Arc<OwnedEntry>),
    /// A packet came in.
    Packet(PacketSeen),
    /// Entries are shown to somebody, who waits until then; answered with what is shown instead, by place.
    Queried(Vec<Queried>, Instant, SyncSender<Vec<Option<String>>>),
    /// A job of some script passed, or failed with this message.
    Job {
        tag: String,
        cron: String,
        limit: u32,
        failed: Option<String>,
    },
    /// `hub.action` was called.
    Action(String, Json),
    /// A pod was added, changed or deleted.
    Pod(String, Arc<Json>),
    /// The product itself logged.
    Log(&'static str, Arc<Json>),
    /// A job is to run now.
    RunJob(String),
    /// A stop: nothing more is done.
    Stop,
}

/// An entry that is shown.
#[derive(Clone, Debug)]
pub(crate) enum Queried {
    /// As it was captured.
    Entry(Arc<OwnedEntry>, Arc<str>),
    /// As another script changed it: its JSON.
    Json(String, Arc<str>),
}

impl Event {
    /// The hook that it calls.
    pub(crate) fn hook(&self) -> Option<Hook> {
        Some(match self {
            Event::Item(_) => Hook::ItemCaptured,
            Event::Packet(_) => Hook::PacketCaptured,
            Event::Queried(..) => Hook::ItemQueried,
            Event::Job { failed: None, .. } => Hook::JobPassed,
            Event::Job { .. } => Hook::JobFailed,
            Event::Action(..) => Hook::HubAction,
            Event::Pod(..) => Hook::PodEvent,
            Event::Log(..) => Hook::LogCall,
            Event::RunJob(_) | Event::Stop => return None,
        })
    }
}

/// What waits for one script.
#[derive(Debug)]
pub(crate) struct Mailbox {
    queue: Mutex<Queue>,
    bell: Arc<Bell>,
    /// Bytes of entries and their number that may wait.
    bytes: usize,
    entries: usize,
    /// As of the last look; what posts reads it without the lock.
    full: AtomicBool,
    hooks: AtomicU16,
    dropped: [AtomicU64; Hook::COUNT],
    called: [AtomicU64; Hook::COUNT],
    stopped: AtomicBool,
    /// Entries and packets are passed over.
    paused: AtomicBool,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    /// Entries and packets among them.
    traffic: usize,
    others: usize,
}

/// What an entry takes in memory, about.
pub(crate) fn weight(entry: &OwnedEntry) -> usize {
    const HEADS: u64 = 1024;
    let bytes = entry.request_size.saturating_add(entry.response_size);
    usize::try_from(bytes.min(2 * crate::KEEP as u64) + HEADS).unwrap_or(usize::MAX)
}

impl Mailbox {
    /// One that holds so many bytes of entries, and so many of them.
    pub(crate) fn new(bytes: usize, entries: usize) -> Mailbox {
        Mailbox {
            queue: Mutex::default(),
            bell: Arc::default(),
            bytes,
            entries,
            full: AtomicBool::new(false),
            hooks: AtomicU16::new(0),
            dropped: Default::default(),
            called: Default::default(),
            stopped: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(crate) fn wake(&self) {
        self.bell.ring();
    }

    /// Says which hooks the script has; gives whether they are others than before.
    pub(crate) fn set_hooks(&self, hooks: HookSet) -> bool {
        self.hooks.swap(hooks.bits(), Ordering::AcqRel) != hooks.bits()
    }

    pub(crate) fn hooks(&self) -> HookSet {
        HookSet::from_bits(self.hooks.load(Ordering::Acquire))
    }

    /// Whether the script has a hook.
    #[inline]
    pub(crate) fn has(&self, hook: Hook) -> bool {
        self.hooks().has(hook)
    }

    /// Passes entries and packets over from now on, counted, or takes them again.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Whether there was room for entries at the last look. Else they are to be counted as dropped.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        !self.full.load(Ordering::Relaxed) && !self.paused.load(Ordering::Relaxed)
    }

    /// Counts calls of a hook that are not made.
    pub(crate) fn drop_calls(&self, hook: Hook, count: u64) {
        self.dropped[hook as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, hook: Hook) -> u64 {
        self.dropped[hook as usize].load(Ordering::Relaxed)
    }

    /// Counts a call of a hook that was made.
    #[inline]
    pub(crate) fn count_call(&self, hook: Hook) {
        // the script's own thread alone counts here
        let called = &self.called[hook as usize];
        called.store(called.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(crate) fn called(&self, hook: Hook) -> u64 {
        self.called[hook as usize].load(Ordering::Relaxed)
    }

    /// Adds entries or packets; what finds no room is counted as dropped.
    pub(crate) fn post_traffic(&self, events: impl IntoIterator<Item = Event>) {
        let paused = self.is_paused();
        let mut queue = lock(&self.queue);
        let before = queue.events.len();
        for event in events {
            let weight = match &event {
                Event::Item(entry) => weight(entry),
                _ => std::mem::size_of::<Event>(),
            };
            let room = queue.traffic < self.entries && queue.bytes + weight <= self.bytes;
            if !room || paused || self.stopped.load(Ordering::Relaxed) {
                if let Some(hook) = event.hook() {
                    self.drop_calls(hook, 1);
                }
                continue;
            }
            queue.bytes += weight;
            queue.traffic += 1;
            queue.events.push_back(event);
        }
        self.look(&queue);
        let added = queue.events.len() > before;
        drop(queue);
        if added {
            self.bell.ring();
        }
    }

    /// Waits until there is room for an entry, or nobody takes any more.
    pub(crate) fn wait_for_room(&self) {
        while !self.stopped.load(Ordering::Acquire) && !self.is_paused() {
            {
                let queue = lock(&self.queue);
                if queue.traffic < self.entries && queue.bytes + 2 * crate::KEEP < self.bytes {
                    return;
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Adds anything else; dropped and counted where too much waits.
    pub(crate) fn post(&self, event: Event) {
        let mut queue = lock(&self.queue);
        let is_stop = matches!(event, Event::Stop);
        if is_stop {
            self.stopped.store(true, Ordering::Release);
        } else if queue.others >= EVENTS || self.stopped.load(Ordering::Relaxed) {
            if let Some(hook) = event.hook() {
                self.drop_calls(hook, 1);
            }
            return;
        }
        queue.others += 1;
        queue.events.push_back(event);
        self.look(&queue);
        drop(queue);
        self.bell.ring();
    }

    /// Takes what waits longest.
    pub(crate) fn take(&self) -> Option<Event> {
        let mut queue = lock(&self.queue);
        let event = queue.events.pop_front();
        match &event {
            Some(Event::Item(entry)) => {
                queue.bytes -= weight(entry);
                queue.traffic -= 1;
            }
            Some(Event::Packet(_)) => {
                queue.bytes -= std::mem::size_of::<Event>();
                queue.traffic -= 1;
            }
            Some(_) => queue.others -= 1,
            None => {}
        }
        self.look(&queue);
        event
    }

    /// Lets all entries and packets go, counted.
    pub(crate) fn clear_traffic(&self) {
        let mut queue = lock(&self.queue);
        let all = std::mem::take(&mut queue.events);
        for event in all {
            match &event {
                Event::Item(_) => self.drop_calls(Hook::ItemCaptured, 1),
                Event::Packet(_) => self.drop_calls(Hook::PacketCaptured, 1),
                _ => queue.events.push_back(event),
            }
        }
        (queue.bytes, queue.traffic) = (0, 0);
        self.look(&queue);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Events that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    fn look(&self, queue: &Queue) {
        // half of it free again before more is taken, so that it is not filled one by one
        let full = self.full.load(Ordering::Relaxed);
        let over =
            |part: usize| queue.traffic * part >= self.entries || queue.bytes * part >= self.bytes;
        self.full
            .store(if full { over(2) } else { over(1) }, Ordering::Relaxed);
        self.waiting.store(queue.events.len(), Ordering::Release);
    }
}
