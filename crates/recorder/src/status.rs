//! What the recorder has to say about itself.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Window;

/// Something that went wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Nanoseconds since the Unix epoch.
    pub at: i64,
    /// What, and its mend.
    pub message: String,
}

/// Counters of a rule since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleCounters {
    /// Frames written to the spool.
    pub recorded_packets: u64,
    /// Entries in the index of what was sealed.
    pub indexed_entries: u64,
    /// Objects that are in the bucket whole.
    pub uploaded_objects: u64,
    /// Packets in them.
    pub uploaded_packets: u64,
    /// Bytes put into the bucket.
    pub uploaded_bytes: u64,
    /// When something was last put into the bucket: nanoseconds since the Unix epoch.
    pub last_upload: Option<i64>,
    /// What is wrong with its upload now.
    pub fault: Option<Fault>,
    /// Files deleted in the bucket because they were kept long enough.
    pub pruned_files: u64,
    /// Bytes of them.
    pub pruned_bytes: u64,
    /// Times that what is old could not be deleted.
    pub failed_prunes: u64,
    /// What is wrong with deleting it now.
    pub retention_fault: Option<Fault>,
    /// What is wrong with its spool now.
    pub spool_fault: Option<Fault>,
    /// Frames that the disk did not take.
    pub dropped_disk: u64,
    /// Frames that found the spool at its limit and nothing in it that could go.
    pub dropped_limit: u64,
    /// Sealed objects given up because the spool was at its limit.
    pub given_up_objects: u64,
    /// Packets in them.
    pub given_up_packets: u64,
    /// Objects whose name another object had in the bucket.
    pub conflicts: u64,
}

/// Counters by rule; of removed rules too.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) rules: BTreeMap<String, RuleCounters>,
    /// Times that the clock of the calendar was set.
    pub(crate) clock_steps: u64,
    /// Frames for rules that are not there, or do not record (any more).
    pub(crate) stray: u64,
}

impl Counters {
    pub(crate) fn rule(&mut self, name: &str) -> &mut RuleCounters {
        if !self.rules.contains_key(name) {
            self.rules.insert(name.to_owned(), RuleCounters::default());
        }
        // just put there where it was not
        self.rules.entry(name.to_owned()).or_default()
    }
}

/// What a rule does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleState {
    /// It records.
    Recording,
    /// Its next window has not come yet.
    Waiting,
    /// All its windows are over.
    Done,
    /// It has expired.
    Expired,
    /// The disk is full, or refuses: what comes is dropped until it takes it again.
    DiskFull,
    /// The spool is at its limit and nothing in it can go: what comes is dropped.
    SpoolFull,
    /// It was removed; what it left is still to be uploaded.
    Stopped,
}

impl RuleState {
    /// What it is called, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Expired => "expired",
            Self::DiskFull => "disk-full",
            Self::SpoolFull => "spool-full",
            Self::Stopped => "stopped",
        }
    }
}

impl Serialize for RuleState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A rule and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// Its pattern.
    pub kfl: String,
    /// Its destination.
    pub destination: String,
    /// When it is flushed.
    pub flush: String,
    /// What it does.
    pub state: RuleState,
    /// The window that it records in, or will next.
    pub window: Option<Window>,
    /// Sealed objects that wait to be uploaded.
    pub pending_objects: u64,
    /// Bytes of them.
    pub pending_bytes: u64,
    /// What it counted.
    #[serde(flatten)]
    pub counters: RuleCounters,
}

impl RuleStatus {
    /// That of a rule that is gone.
    pub(crate) fn stopped(name: &str, kfl: &str, destination: &str) -> Self {
        Self {
            name: name.to_owned(),
            kfl: kfl.to_owned(),
            destination: destination.to_owned(),
            flush: String::new(),
            state: RuleState::Stopped,
            window: None,
            pending_objects: 0,
            pending_bytes: 0,
            counters: RuleCounters::default(),
        }
    }
}

/// How the recorder is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its rules, removed ones too where they left something.
    pub rules: Vec<RuleStatus>,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// The most there may be.
    pub spool_limit: u64,
    /// Logs that wait to be sealed.
    pub waiting_logs: u64,
    /// Frames that found the queue full.
    pub dropped_queue: u64,
    /// Other records that found the queue full: what frames mean (names, ends) may be missing.
    pub dropped_records: u64,
    /// Frames for rules that were removed, or whose window ended, meanwhile.
    pub stray_frames: u64,
    /// Times that the clock of the calendar was set.
    pub clock_steps: u64,
}
