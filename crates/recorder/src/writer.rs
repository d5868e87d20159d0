//! The writer: takes what shards queued, and appends it to the active log of each rule and hour.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use gillnet_capture::{Interface, LinkType};

use crate::Error;
use crate::at_work::AtWork;
use crate::clock::{HOUR, SECOND};
use crate::queue::{Bell, Handle, Receiver, queue, records};
use crate::record::{self, Record, RecordedName, StreamStart};
use crate::rule::{MAX_RULES, Rule, RuleId};
use crate::spool::{ActiveLog, Spool};
use crate::status::{RuleStatus, Status};

/// After the hour, so much later (nanoseconds) its logs are sealed: what was queued is in them.
const HOUR_GRACE: i64 = 2 * SECOND as i64;
/// The clock of the calendar was set, where it differs by more from the one that only runs.
const STEP: i64 = SECOND as i64 / 2;
/// Streams of which ends and names are known; frames of others are recorded without.
const MAX_STREAMS: usize = 1 << 18;
/// Names kept of one stream.
const MAX_NAMES: usize = 8;
/// Records of one log that are held back before they are written, in bytes.
const MAX_PENDING: u64 = 64 << 10;
/// After each such write, unless more waits, the writer rests so long (nanoseconds; as short as a sleep is): others come to
/// their turn.
const REST: u64 = 1000;

/// A stream that some rule keeps.
struct Live {
    start: StreamStart,
    /// Rules that keep it.
    rules: u128,
    /// Rules in whose recording it is said what is missing from its start.
    told: u128,
    /// Rules of which some log has it.
    kept: u128,
    names: Vec<RecordedName>,
}

/// The writer. Owned by one thread; never waits for anything but the file system.
pub struct Writer {
    spool: Arc<Spool>,
    receivers: Vec<Receiver>,
    rules: Vec<Option<AtWork>>,
    /// When each place of `rules` was last freed, in order: the longest free is taken first.
    freed: [u64; MAX_RULES],
    frees: u64,
    streams: HashMap<u64, Live, RandomState>,
    interfaces: HashMap<u32, Interface, RandomState>,
    /// Calendar clock less monotonic clock, when last looked at.
    offset: i64,
    /// Start of the next hour, by the calendar, plus grace.
    hour_due: i64,
    hashes: RandomState,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("rules", &self.rules().len())
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// A writer for a spool, and the handles of its shards.
    #[must_use]
    pub fn new(spool: Arc<Spool>) -> (Self, Vec<Handle>) {
        Self::with_bell(spool, &Arc::default())
    }

    /// The same, with what wakes its thread.
    pub(crate) fn with_bell(spool: Arc<Spool>, bell: &Arc<Bell>) -> (Self, Vec<Handle>) {
        let config = spool.config();
        let shards = config.shards.max(1);
        let (handles, receivers) = (0..shards)
            .map(|_| queue(config.queue_bytes / shards, Arc::clone(bell)))
            .unzip();
        let (wall, mono) = (spool.clock.now(), spool.clock.monotonic());
        let writer = Self {
            spool,
            receivers,
            rules: (0..MAX_RULES).map(|_| None).collect(),
            freed: [0; MAX_RULES],
            frees: 0,
            streams: HashMap::default(),
            interfaces: HashMap::default(),
            offset: wall.wrapping_sub_unsigned(mono),
            hour_due: next_hour(wall),
            hashes: RandomState::default(),
        };
        (writer, handles)
    }

    /// The rules at work, with the ids that frames are kept under.
    #[must_use]
    pub fn rules(&self) -> Vec<(RuleId, Rule)> {
        let ids = (0..MAX_RULES as u8).map(RuleId);
        ids.zip(&self.rules)
            .filter_map(|(id, active)| Some((id, active.as_ref()?.rule.clone())))
            .collect()
    }

    /// The rules that record now, as the bits of their ids.
    #[must_use]
    pub fn open(&self) -> u128 {
        let rules = (0..).zip(self.rules.iter());
        let open = rules.filter(|(_, rule)| rule.as_ref().is_some_and(AtWork::is_open));
        open.fold(0, |set, (place, _)| set | RuleId(place).bit())
    }

    /// How the recorder is doing.
    pub fn status(&self) -> Status {
        let (dropped_queue, dropped_records) = self.dropped();
        self.spool.look(|inventory| {
            let mut rules: BTreeMap<&str, RuleStatus> = BTreeMap::new();
            for head in inventory.objects.iter().map(|object| &object.side.head) {
                rules.entry(&head.rule).or_insert_with(|| {
                    RuleStatus::stopped(&head.rule, &head.kfl, &head.destination)
                });
            }
            for active in self.rules.iter().flatten() {
                rules.insert(&active.rule.name, active.status());
            }
            for (name, counters) in &inventory.counters.rules {
                // one that is gone and has left nothing but its figures
                rules
                    .entry(name)
                    .or_insert_with(|| RuleStatus::stopped(name, "", ""))
                    .counters = counters.clone();
            }
            for object in &inventory.objects {
                if let Some(status) = rules.get_mut(object.side.head.rule.as_str()) {
                    status.pending_objects += 1;
                    status.pending_bytes += object.side.bytes();
                }
            }
            Status {
                rules: rules.into_values().collect(),
                spool_bytes: inventory.bytes,
                spool_limit: self.spool.config().spool_limit,
                waiting_logs: inventory.closed.len() as u64 + u64::from(inventory.sealing),
                dropped_queue,
                dropped_records,
                stray_frames: inventory.counters.stray,
                clock_steps: inventory.counters.clock_steps,
            }
        })
    }

    /// Frames and other records that found no room in the queue.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        let each = self.receivers.iter().map(Receiver::dropped);
        each.fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    }

    /// Whether all shards have let go of their handles.
    pub(crate) fn is_closed(&self) -> bool {
        self.receivers.iter().all(Receiver::is_closed)
    }

    /// Takes these rules in place of those at work. One that is the same stays; of one that is
    /// gone what is open is closed, to be sealed and uploaded.
    ///
    /// # Errors
    /// Where there are too many, or two of a name, or one without.
    pub fn set_rules(&mut self, rules: &[Rule]) -> Result<Vec<(RuleId, Rule)>, Error> {
        check_rules(rules)?;
        for place in 0..MAX_RULES {
            if let Some(mut active) =
                self.rules[place].take_if(|active| !rules.contains(&active.rule))
            {
                self.frees += 1;
                self.freed[place] = self.frees;
                active.close_all(&self.spool);
                for stream in self.streams.values_mut() {
                    stream.rules &= !RuleId(place as u8).bit();
                }
            }
        }
        self.streams.retain(|_, stream| stream.rules != 0);
        for rule in rules {
            if self
                .rules
                .iter()
                .flatten()
                .any(|active| active.rule == *rule)
            {
                continue;
            }
            let free = (0..MAX_RULES).filter(|place| self.rules[*place].is_none());
            let Some(place) = free.min_by_key(|place| self.freed[*place]) else {
                return Err(Error::TooManyRules { count: rules.len() });
            };
            self.rules[place] = Some(AtWork::new(rule.clone(), &self.spool));
        }
        Ok(self.rules())
    }

    /// Writes all that shards queued. What was queued before the call is in the files after it, or
    /// counted as lost.
    pub fn drain(&mut self) {
        for at in 0..self.receivers.len() {
            self.receivers[at].want();
            while let Some(mut batch) = self.receivers[at].next() {
                self.absorb(&mut batch);
                self.receivers[at].give_back(batch);
            }
        }
        for place in 0..MAX_RULES {
            self.write_logs(place);
        }
    }

    /// Closes what is due by the clock: at a rule's flush time, and at the hour.
    pub fn tick(&mut self) {
        let (wall, now) = (self.spool.clock.now(), self.spool.clock.monotonic());
        let offset = wall.wrapping_sub_unsigned(now);
        let stepped = offset.abs_diff(self.offset) > STEP.unsigned_abs();
        if stepped {
            self.spool.count(|counters| counters.clock_steps += 1);
            self.hour_due = next_hour(wall);
        }
        self.offset = offset;
        let hour_is_over = wall >= self.hour_due;
        if hour_is_over {
            self.hour_due = next_hour(wall);
        }
        for rule in self.rules.iter_mut().flatten() {
            let over = hour_is_over.then(|| wall.div_euclid(HOUR));
            rule.tick(&self.spool, stepped, over);
        }
    }

    /// Closes all that is open.
    pub fn close_all(&mut self) {
        for active in self.rules.iter_mut().flatten() {
            active.close_all(&self.spool);
        }
    }

    fn absorb(&mut self, batch: &mut [u8]) {
        for (rules, bytes) in records(batch) {
            match record::decode(bytes) {
                Some(Record::Frame { stream, frame }) => {
                    let (ts, len) = (frame.ts, frame.data.len());
                    let interface = (frame.iface, frame.link);
                    record::fill_crc(bytes);
                    self.keep_frame(
                        rules,
                        &FrameRecord {
                            bytes,
                            stream,
                            ts,
                            len,
                            interface,
                        },
                    );
                }
                Some(Record::Stream { start, .. }) => self.begin(rules, &start),
                Some(Record::Interface { number, interface }) => {
                    self.interfaces.insert(number, interface);
                }
                Some(Record::Name { stream, name }) => self.name(stream, &name),
                Some(Record::Hole { stream, packets }) => {
                    for active in at_work(&mut self.rules, rules) {
                        active.lose(stream, packets);
                    }
                }
                Some(Record::End(stream)) => self.end(stream),
                Some(Record::Head(_)) | None => {}
            }
        }
    }

    fn begin(&mut self, rules: u128, start: &StreamStart) {
        if let Some(live) = self.streams.get_mut(&start.number) {
            live.rules |= rules;
        } else if self.streams.len() < MAX_STREAMS {
            self.streams.insert(
                start.number,
                Live {
                    start: *start,
                    rules,
                    told: 0,
                    kept: 0,
                    names: Vec::new(),
                },
            );
        }
    }

    fn name(&mut self, stream: u64, name: &RecordedName) {
        let Some(live) = self.streams.get_mut(&stream) else {
            return;
        };
        let known = live
            .names
            .iter()
            .any(|known| (known.ip, known.port, &known.name) == (name.ip, name.port, &name.name));
        if known || live.names.len() >= MAX_NAMES {
            return;
        }
        live.names.push(name.clone());
        for active in at_work(&mut self.rules, live.rules) {
            for log in active
                .logs
                .iter_mut()
                .filter(|log| log.said.streams.contains(&stream))
            {
                say_name(log, stream, name, &self.hashes);
            }
        }
    }

    fn end(&mut self, stream: u64) {
        if let Some(live) = self.streams.remove(&stream) {
            for active in at_work(&mut self.rules, live.rules) {
                // where a full disk took its log away, what it lost is counted, but said nowhere
                let has = |log: &&mut ActiveLog| log.said.streams.contains(&stream);
                if let Some(packets) = active.holes.remove(&stream)
                    && let Some(log) = active.logs.iter_mut().rev().find(has)
                {
                    log.put(|out| record::put_hole(out, stream, packets));
                }
            }
        }
    }

    /// Appends a frame to the logs of its rules.
    fn keep_frame(&mut self, rules: u128, frame: &FrameRecord<'_>) {
        let mut left = rules;
        let mut kept = false;
        while left != 0 {
            let place = left.trailing_zeros() as usize;
            left &= left - 1;
            kept |= self.keep(place, frame);
        }
        if !kept {
            self.spool.count(|counters| counters.stray += 1);
        }
    }

    /// `false` where the rule is not there, or does not record (any more).
    fn keep(&mut self, place: usize, frame: &FrameRecord<'_>) -> bool {
        let Some(active) = self.rules[place].as_mut() else {
            return false;
        };
        if !active.takes(frame.ts) {
            return false;
        }
        let at = match active.log(&self.spool, frame.ts.div_euclid(HOUR)) {
            Ok(at) => at,
            Err(()) => {
                active.lose(frame.stream, 1);
                active.count_lost(&self.spool, 1);
                return true;
            }
        };
        let log = &mut active.logs[at];
        // what is not known yet is said as soon as it is
        if !log.said.interfaces.contains(&frame.interface)
            && let Some(known) = self.interfaces.get(&frame.interface.0)
        {
            log.said.interfaces.insert(frame.interface);
            log.put(|out| record::put_interface(out, frame.interface.0, known));
        }
        if log.said.streams.insert(frame.stream)
            && let Some(live) = self.streams.get_mut(&frame.stream)
        {
            introduce(log, live, place, &self.hashes);
        }
        if !active.holes.is_empty()
            && let Some(packets) = active.holes.remove(&frame.stream)
        {
            log.put(|out| record::put_hole(out, frame.stream, packets));
        }
        log.append(frame.bytes, frame.len);
        let full = log.packet_bytes() >= self.spool.config().object_size;
        if full || log.pending() >= MAX_PENDING {
            self.write(place, at, full);
            if self.receivers.iter().all(Receiver::is_empty) {
                self.spool.clock.rest(REST);
            }
        }
        true
    }

    fn write_logs(&mut self, place: usize) {
        let count = self.rules[place]
            .as_ref()
            .map_or(0, |active| active.logs.len());
        // from the last: one that can't go on is taken out
        for at in (0..count).rev() {
            self.write(place, at, false);
        }
    }

    /// Writes what is pending of a log, and closes it where it is full or can't go on.
    fn write(&mut self, place: usize, at: usize, close: bool) {
        let Some(active) = self.rules[place].as_mut() else {
            return;
        };
        let lost = active.write(&self.spool, at, close);
        for stream in lost {
            // it was perhaps lost with them
            if let Some(live) = self.streams.get_mut(&stream) {
                live.told &= !(1 << place);
            }
        }
    }
}

/// A frame's record with what its place depends on.
struct FrameRecord<'a> {
    bytes: &'a [u8],
    stream: u64,
    ts: i64,
    len: usize,
    interface: (u32, LinkType),
}

/// The rules of a set that are at work.
fn at_work(rules: &mut [Option<AtWork>], set: u128) -> impl Iterator<Item = &mut AtWork> {
    rules
        .iter_mut()
        .enumerate()
        .filter(move |(place, _)| set >> place & 1 != 0)
        .filter_map(|(_, active)| active.as_mut())
}

/// Says in a log what a stream is, before its first frame there.
fn introduce(log: &mut ActiveLog, live: &mut Live, place: usize, hashes: &RandomState) {
    let bit = RuleId(place as u8).bit();
    // what is missing from the start is said once a rule, in the first object
    let lost_before = live.start.lost_before.filter(|_| live.told & bit == 0);
    let continued = live.kept & bit != 0;
    live.told |= bit;
    live.kept |= bit;
    log.put(|out| {
        record::put_stream(
            out,
            &StreamStart {
                lost_before,
                ..live.start
            },
            continued,
        )
    });
    for name in &live.names {
        say_name(log, live.start.number, name, hashes);
    }
}

fn say_name(log: &mut ActiveLog, stream: u64, name: &RecordedName, hashes: &RandomState) {
    if log
        .said
        .names
        .insert(hashes.hash_one((name.ip, name.port, &name.name)))
    {
        log.put(|out| record::put_name(out, stream, name.ip, name.port, &name.name, name.at));
    }
}

fn next_hour(wall: i64) -> i64 {
    (wall.div_euclid(HOUR) + 1)
        .saturating_mul(HOUR)
        .saturating_add(HOUR_GRACE)
}

fn check_rules(rules: &[Rule]) -> Result<(), Error> {
    if rules.len() > MAX_RULES {
        return Err(Error::TooManyRules { count: rules.len() });
    }
    for (at, rule) in rules.iter().enumerate() {
        if rule.name.is_empty() || rules[..at].iter().any(|before| before.name == rule.name) {
            return Err(Error::RuleName {
                name: rule.name.clone(),
            });
        }
    }
    Ok(())
}
