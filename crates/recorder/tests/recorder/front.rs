//! A shard before the recorder, as a worker has one, and clients and servers whose frames it sees.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gillnet_capture::{Frame, Ring, StoredFrame};
use gillnet_entry::Entry;
use gillnet_kfl::{Options, compile};
use gillnet_pipeline::{
    Consumer, Keep, Matched, Numbers, Plan, Shard, ShardConfig, StreamRecorder, StreamStart, Want,
};
use gillnet_recorder::{Dissection, Handle, Rule, RuleId, Tee};
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::http::{Talk, lookup};
use crate::simulation::{id_at_end, interfaces};

/// What rules ask for; of the third it shows late in a stream.
pub(crate) const FILTERS: [&str; 5] = [
    "http",
    "http or dns",
    "http and response.status == 500",
    "dns",
    "http and response.status == 500 or dns",
];
/// An answer that has not come so soon (nanoseconds) never comes: later it might be an entry of its own, or not.
const PATIENCE: i64 = 50_000_000_000;
/// Clients, each with one port: so that ports are used again.
const CLIENTS: u64 = 12;

/// What became of a frame that a rule keeps.
pub(crate) struct Handed {
    pub(crate) id: u64,
    pub(crate) wants: Matched,
    /// Whether the queue took it.
    pub(crate) taken: bool,
}

/// What went through.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) handed: Vec<Handed>,
    /// Streams whose beginning was in the ring no more.
    pub(crate) cut: usize,
}

/// Notes what goes through.
struct Noted {
    tee: Tee,
    notes: Arc<Mutex<Notes>>,
}

impl StreamRecorder for Noted {
    fn begin(&mut self, want: u8, start: &StreamStart<'_>) {
        self.tee.begin(want, start);
        let cut = start.truncated_before.is_some();
        self.notes.lock().unwrap().cut += usize::from(cut);
    }

    fn frame(&mut self, stream: u64, wants: Matched, frame: &StoredFrame<'_>) -> bool {
        let taken = self.tee.frame(stream, wants, frame);
        self.notes.lock().unwrap().handed.push(Handed {
            id: id_at_end(frame.data),
            wants,
            taken,
        });
        taken
    }

    fn end(&mut self, stream: u64) {
        self.tee.end(stream);
    }

    fn interfaces(&mut self, interfaces: &[gillnet_capture::Interface]) {
        self.tee.interfaces(interfaces);
    }

    fn flush(&mut self, now: i64) {
        self.tee.flush(now);
    }
}

pub(crate) struct Nobody;

impl Consumer for Nobody {
    fn entry(&mut self, _: &Entry<'_>, _: Matched) -> bool {
        true
    }
}

/// See the module.
pub(crate) struct Front {
    shard: Shard,
    notes: Arc<Mutex<Notes>>,
    with: Dissection,
    generation: u32,
}

impl Front {
    /// A shard that hands what rules keep to a recorder. Numbers of streams go on from one to the next.
    pub(crate) fn new(
        handle: Handle,
        rules: &[(RuleId, Rule)],
        with: &Dissection,
        next: &Arc<AtomicU64>,
    ) -> Self {
        let notes: Arc<Mutex<Notes>> = Arc::default();
        let next = Arc::clone(next);
        let numbers = move || (next.fetch_add(1, Ordering::Relaxed), None);
        let noted = Noted {
            tee: Tee::new(handle),
            notes: Arc::clone(&notes),
        };
        let mut shard = Shard::new(ShardConfig {
            origin: Arc::clone(&with.origin),
            numbers: Some(Numbers::Given(Box::new(numbers))),
            recorder: Some(Box::new(noted)),
            ..ShardConfig::new(
                Arc::new(plan(with, rules, 1)),
                Arc::clone(&with.names),
                Keep::Ring(Ring::create(None, 1 << 20).unwrap()),
                Box::new(Nobody),
            )
        });
        shard.interfaces(&interfaces());
        Self {
            shard,
            notes,
            with: with.clone(),
            generation: 1,
        }
    }

    pub(crate) fn set_rules(&mut self, rules: &[(RuleId, Rule)]) {
        self.generation += 1;
        let plan = plan(&self.with, rules, self.generation);
        self.shard.set_plan(Arc::new(plan));
    }

    pub(crate) fn frame(&mut self, frame: &Frame<'_>) {
        self.shard.frame(frame);
    }

    /// What was handed on since this was asked last.
    pub(crate) fn notes(&mut self) -> Notes {
        std::mem::take(&mut *self.notes.lock().unwrap())
    }

    pub(crate) fn flush(&mut self) {
        self.shard.end_of_batch();
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self) {
        self.shard.finish();
    }
}

fn plan(with: &Dissection, rules: &[(RuleId, Rule)], generation: u32) -> Plan {
    let wants = rules.iter().map(|(id, rule)| Want {
        bit: id.index() as u8,
        filter: compile(&with.env, &rule.kfl, &Options::default()).unwrap(),
        record: true,
        bodies: false,
    });
    Plan::new(wants.collect(), generation)
}

/// Who speaks with whom.
pub(crate) struct Traffic {
    talks: Vec<Conversation>,
    begun: u32,
    /// Bytes of answers' bodies.
    body: usize,
}

struct Conversation {
    number: u64,
    client: u64,
    /// When its last frame was sent.
    at: i64,
    with: With,
}

enum With {
    Http(Talk),
    /// The id of the question that waits for its answer.
    Dns(Option<u16>),
}

impl Traffic {
    pub(crate) fn new(body: usize) -> Self {
        Self {
            talks: Vec::new(),
            begun: 0,
            body,
        }
    }

    /// What somebody sends next: in which conversation, over which interface, and the frames.
    pub(crate) fn next(
        &mut self,
        rng: &mut SmallRng,
        now: i64,
        id: u64,
    ) -> (u64, u32, Vec<Vec<u8>>) {
        if self.talks.is_empty() || self.talks.len() < 8 && rng.random_bool(0.1) {
            self.begin(rng, now);
        }
        let at = rng.random_range(0..self.talks.len());
        let talk = &mut self.talks[at];
        let number = talk.number;
        // of a flow, what another interface shows is a copy
        let iface = (talk.client % 3) as u32;
        let link = interfaces()[iface as usize].link;
        let late = now - std::mem::replace(&mut talk.at, now) > PATIENCE;
        let ends = rng.random_bool(0.06);
        let (frames, over) = match &mut talk.with {
            With::Http(http) => match (late && http.waits(), ends) {
                (false, false) => (vec![http.next(link, id).0], false),
                // without a word, as where a cable is cut
                _ if rng.random_bool(0.3) => (Vec::new(), true),
                (late, _) => (http.end(link, late || rng.random_bool(0.3)), true),
            },
            With::Dns(waits) => match waits.take_if(|_| !late) {
                Some(question) => (vec![lookup(link, talk.client, 1, question)], ends),
                None => {
                    *waits = Some(id as u16);
                    (vec![lookup(link, talk.client, 0, id as u16)], ends)
                }
            },
        };
        if over {
            self.talks.swap_remove(at);
        }
        (number, iface, frames)
    }

    fn begin(&mut self, rng: &mut SmallRng, at: i64) {
        self.begun += 1;
        let client = rng.random_range(0..CLIENTS);
        if self.talks.iter().any(|talk| talk.client == client) {
            return self.begin(rng, at);
        }
        let fails = rng.random_bool(0.4).then(|| rng.random_range(0..4));
        let with = match rng.random_bool(0.75) {
            true => With::Http(Talk::between(client, self.begun, fails, self.body)),
            false => With::Dns(None),
        };
        let number = u64::from(self.begun);
        self.talks.push(Conversation {
            number,
            client,
            at,
            with,
        });
    }
}
