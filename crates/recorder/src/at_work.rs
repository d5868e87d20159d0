//! A rule at work: its open logs, when they are due, and what it lost.

use std::collections::HashMap;

use gillnet_entry::time::Rfc3339;

use crate::clock::SECOND;
use crate::period::{Phase, Window};
use crate::rule::Rule;
use crate::spool::{ActiveLog, Cause, Spool};
use crate::status::{Fault, RuleState, RuleStatus};

/// Hours of one rule that are open at a time. With more, the one that was opened first is sealed.
const MAX_HOURS: usize = 4;
/// Streams of a rule of which it is kept in mind that frames are missing.
const MAX_HOLES: usize = 4096;
/// After a log could not be made or written, so long (nanoseconds) none is made.
const RETRY: u64 = SECOND / 2;
/// After a window, so long (nanoseconds) what was queued of it is taken; then its logs are sealed.
const GRACE: u64 = SECOND;

/// A rule at work.
pub(crate) struct AtWork {
    pub(crate) rule: Rule,
    pub(crate) logs: Vec<ActiveLog>,
    /// Monotonic time of its next flush; `None` where its schedule has none any more.
    due: Option<u64>,
    /// Its objects' uploads begin within this time (nanoseconds) after sealing.
    spread: u64,
    /// Frames that are missing, by stream; said at the stream's next frame.
    pub(crate) holes: HashMap<u64, u64>,
    /// Until when (monotonic) no log is made after one could not be.
    blocked: u64,
    /// Why frames are being lost; the last cause.
    trouble: Option<Trouble>,
    /// Where in its period it is.
    phase: Phase,
    /// A window that has just ended: when, and until when (monotonic) what was queued of it is taken.
    ending: Option<(i64, u64)>,
}

/// Why a rule loses frames.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Disk,
    Limit,
}

impl AtWork {
    pub(crate) fn new(rule: Rule, spool: &Spool) -> Self {
        let wall = spool.clock.now();
        let due = due(&rule, wall, spool.clock.monotonic());
        let spread = spread(&rule, wall, spool.config().spread());
        let (logs, holes) = (Vec::new(), HashMap::new());
        let phase = rule.period.at(wall);
        Self {
            phase,
            ending: None,
            rule,
            logs,
            due,
            spread,
            holes,
            blocked: 0,
            trouble: None,
        }
    }

    /// Whether it records now.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.open().is_some()
    }

    /// Whether it records a frame of this time: one that was queued in a window may come after its end.
    pub(crate) fn takes(&self, ts: i64) -> bool {
        self.is_open() || self.ending.is_some_and(|(end, _)| ts < end)
    }

    /// What it does; without figures.
    pub(crate) fn status(&self) -> RuleStatus {
        let (state, window) = match (self.phase, self.trouble) {
            (Phase::Before(window), _) => (RuleState::Waiting, Some(window)),
            (Phase::Done, _) => (RuleState::Done, None),
            (Phase::Expired, _) => (RuleState::Expired, None),
            (Phase::Within(window), None) => (RuleState::Recording, Some(window)),
            (Phase::Within(window), Some(Trouble::Limit)) => (RuleState::SpoolFull, Some(window)),
            (Phase::Within(window), Some(Trouble::Disk)) => (RuleState::DiskFull, Some(window)),
        };
        let Rule {
            name,
            kfl,
            destination,
            flush,
            ..
        } = &self.rule;
        RuleStatus {
            flush: flush.to_string(),
            state,
            window,
            ..RuleStatus::stopped(name, kfl, destination)
        }
    }

    /// Closes what is due: all of it at its flush time, and the logs of hours that are `over`.
    /// `stepped` says that the clock of the calendar was set.
    pub(crate) fn tick(&mut self, spool: &Spool, stepped: bool, over: Option<i64>) {
        let (wall, now) = (spool.clock.now(), spool.clock.monotonic());
        if stepped {
            // whichever comes first, so that a clock that is set again and again flushes too
            let next = due(&self.rule, wall, now);
            self.due = [self.due, next].into_iter().flatten().min();
        }
        let mut is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = due(&self.rule, wall, now);
        }
        is_due |= self.follow_period(wall, now);
        let mut at = 0;
        while let Some(log) = self.logs.get(at) {
            if is_due || over.is_some_and(|hour| log.head.hour < hour) {
                self.write(spool, at, true);
            } else {
                at += 1;
            }
        }
    }

    /// Sees which windows have begun and ended. Whether one has, for so long that what is open is to be closed.
    fn follow_period(&mut self, wall: i64, now: u64) -> bool {
        let before = std::mem::replace(&mut self.phase, self.rule.period.at(wall));
        let rule = &self.rule.name;
        match (before.open(), self.phase.open()) {
            (None, Some(Window { until, .. })) => {
                self.ending = None;
                match until {
                    Some(until) => tracing::info!(rule, "records until {}", Rfc3339(until)),
                    None => tracing::info!(rule, "records from now on"),
                }
            }
            (Some(ended), None) => {
                // where the clock was set back there is no end that frames could lie before
                let end = ended.until.filter(|end| *end <= wall).unwrap_or(wall);
                self.ending = Some((end, now.saturating_add(GRACE)));
                match self.phase {
                    Phase::Before(Window {
                        from: Some(from), ..
                    }) => {
                        tracing::info!(rule, "records nothing until {}", Rfc3339(from));
                    }
                    Phase::Expired => tracing::info!(rule, "has expired: it records nothing more"),
                    _ => tracing::info!(rule, "is done: it records nothing more"),
                }
            }
            _ => {}
        }
        self.ending.take_if(|(_, due)| *due <= now).is_some()
    }

    pub(crate) fn close_all(&mut self, spool: &Spool) {
        while !self.logs.is_empty() {
            self.write(spool, 0, true);
        }
    }

    /// The log for an hour, made where there is none and one can be.
    pub(crate) fn log(&mut self, spool: &Spool, hour: i64) -> Result<usize, ()> {
        let replayable = spool.config().replayable;
        // what is read back of a stream may be of the hour before; readers look for it there
        let holds = |log: &ActiveLog| {
            log.head.hour == hour || replayable && log.head.hour == hour.saturating_add(1)
        };
        if let Some(at) = self.logs.iter().position(holds) {
            return Ok(at);
        }
        let now = spool.clock.monotonic();
        if now < self.blocked {
            return Err(());
        }
        let most = if replayable { 1 } else { MAX_HOURS };
        if self.logs.len() >= most {
            self.write(spool, 0, true);
        }
        match spool.open_log(&self.rule, hour, self.spread) {
            Ok(log) => {
                // a stream that is kept late has frames of an earlier hour, and these are read first
                let later = |other: &ActiveLog| other.head.hour > hour;
                let at = self.logs.iter().position(later);
                let at = at.unwrap_or(self.logs.len());
                self.logs.insert(at, log);
                Ok(at)
            }
            Err(error) => {
                self.failed(spool, &Cause::Io(error));
                self.blocked = until(spool);
                Err(())
            }
        }
    }

    /// Writes what is pending of a log; takes it out and hands it on where it is to be closed or
    /// can't go on. The streams of which frames were lost.
    ///
    /// Those of earlier hours than one that is closed are closed first, so that what is read of one after the other is
    /// read in the order of its time.
    pub(crate) fn write(&mut self, spool: &Spool, at: usize, close: bool) -> Vec<u64> {
        let mut lost = Vec::new();
        if close {
            for _ in 0..at {
                lost.append(&mut self.write_one(spool, 0, true));
            }
        }
        let at = if close { 0 } else { at };
        lost.append(&mut self.write_one(spool, at, close));
        lost
    }

    fn write_one(&mut self, spool: &Spool, at: usize, close: bool) -> Vec<u64> {
        let log = &mut self.logs[at];
        if log.pending() == 0 && !close {
            return Vec::new();
        }
        let written = spool.write(log);
        // one that misses something is made again, whole, where it can be
        let is_made_again = spool.config().replayable && written.cause.is_some();
        let can_go_on = log.can_go_on() && !is_made_again;
        let mut lost = written.lost.values().sum();
        if close || !can_go_on {
            let log = self.logs.remove(at);
            if is_made_again {
                // all of it, until then
                lost += log.written().1;
            } else {
                spool.close_log(log);
            }
        }
        match &written.cause {
            Some(cause) => {
                self.failed(spool, cause);
                if !can_go_on {
                    self.blocked = until(spool);
                }
            }
            None if written.frames > 0 && self.trouble.take().is_some() => {
                tracing::info!(rule = self.rule.name, "the spool takes frames again");
                spool.count(|counters| counters.rule(&self.rule.name).spool_fault = None);
            }
            None => {}
        }
        spool.count(|counters| counters.rule(&self.rule.name).recorded_packets += written.frames);
        self.count_lost(spool, lost);
        for (stream, packets) in &written.lost {
            self.lose(*stream, *packets);
        }
        written.lost.into_keys().collect()
    }

    fn failed(&mut self, spool: &Spool, cause: &Cause) {
        let (trouble, message) = match cause {
            Cause::Limit => (
                Trouble::Limit,
                "the spool is at its limit; raise spool.limit, or see why nothing is uploaded"
                    .to_owned(),
            ),
            Cause::Full => (
                Trouble::Disk,
                "the spool's disk is full; free space there".to_owned(),
            ),
            Cause::Io(error) => (
                Trouble::Disk,
                format!("the spool can't be written: {error}"),
            ),
        };
        if self.trouble.replace(trouble).is_none() {
            tracing::error!(
                rule = self.rule.name,
                "{message}; frames are dropped until it takes them again"
            );
        }
        let fault = Fault {
            at: spool.clock.now(),
            message,
        };
        spool.count(|counters| counters.rule(&self.rule.name).spool_fault = Some(fault));
    }

    pub(crate) fn count_lost(&self, spool: &Spool, packets: u64) {
        spool.count(|counters| {
            let counters = counters.rule(&self.rule.name);
            match self.trouble {
                Some(Trouble::Limit) => counters.dropped_limit += packets,
                _ => counters.dropped_disk += packets,
            }
        });
    }

    /// Keeps in mind that frames of a stream are missing, to be said at its next frame.
    pub(crate) fn lose(&mut self, stream: u64, packets: u64) {
        if self.holes.len() < MAX_HOLES || self.holes.contains_key(&stream) {
            *self.holes.entry(stream).or_default() += packets;
        }
    }
}

/// Monotonic time at which a rule is due next.
fn due(rule: &Rule, wall: i64, now: u64) -> Option<u64> {
    rule.flush
        .next_after(wall)
        .map(|next| now.saturating_add(next.abs_diff(wall)))
}

/// Over how long a rule's uploads are spread: at most a twentieth of its period.
fn spread(rule: &Rule, wall: i64, max: u64) -> u64 {
    let next = rule.flush.next_after(wall);
    let period = next.and_then(|next| Some(rule.flush.next_after(next)?.abs_diff(next)));
    period.map_or(max, |period| max.min(period / 20))
}

/// Until when no log is opened after one could not be written. Captures are read again, and then all of it is written: no
/// log may come behind one that misses something.
fn until(spool: &Spool) -> u64 {
    match spool.config().replayable {
        true => u64::MAX,
        false => spool.clock.monotonic() + RETRY,
    }
}
