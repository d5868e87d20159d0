//! Deletes what rules keep no longer, in their buckets, once an hour.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use gillnet_bucket::prune::{Options, older_than, prune};
use gillnet_bucket::{Bucket, BucketError, ErrorKind};

use crate::Buckets;
use crate::clock::HOUR;
use crate::rule::Rule;
use crate::spool::Spool;
use crate::status::Fault;

/// Nodes come one after the other within so many times the spread of uploads: whoever comes later finds nothing left.
const SPREAD: u64 = 12;

/// Deletes old hours of the rules that say how long they are kept. Whatever happens, it is tried again after an hour and
/// not sooner.
pub struct Retention {
    spool: Arc<Spool>,
    buckets: Arc<dyn Buckets>,
    /// When each rule, by name and destination, is due (monotonic).
    due: HashMap<(String, String), u64>,
    spread: u64,
}

impl std::fmt::Debug for Retention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retention")
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

impl Retention {
    /// For the rules of a spool.
    #[must_use]
    pub fn new(spool: Arc<Spool>, buckets: Arc<dyn Buckets>) -> Self {
        let config = spool.config();
        let mut hasher = DefaultHasher::new();
        (&config.node, config.run).hash(&mut hasher);
        let spread = config.spread().saturating_mul(SPREAD);
        // without a spread, at once
        let spread = hasher.finish().checked_rem(spread).unwrap_or(0);
        Self {
            spool,
            buckets,
            due: HashMap::new(),
            spread,
        }
    }

    /// Does what is due for these rules; `goes_on` is asked between hours.
    pub fn step(&mut self, rules: &[Rule], goes_on: &dyn Fn() -> bool) {
        let now = self.spool.clock.monotonic();
        let key = |rule: &Rule| (rule.name.clone(), rule.destination.clone());
        self.due
            .retain(|known, _| rules.iter().any(|rule| key(rule) == *known));
        for rule in rules.iter().filter(|rule| rule.retention.is_some()) {
            let due = self.due.entry(key(rule)).or_insert(now + self.spread);
            if *due > now || !goes_on() {
                continue;
            }
            *due = now.saturating_add(HOUR.unsigned_abs());
            self.run(rule, goes_on);
        }
    }

    fn run(&self, rule: &Rule, goes_on: &dyn Fn() -> bool) {
        let done = self.delete(rule, goes_on);
        let now = self.spool.clock.now();
        self.spool.count(|counters| {
            let counters = counters.rule(&rule.name);
            match &done {
                Ok(()) => counters.retention_fault = None,
                Err(error) => {
                    counters.failed_prunes += 1;
                    counters.retention_fault = Some(Fault {
                        at: now,
                        message: said(error),
                    });
                }
            }
        });
        if let Err(error) = done {
            tracing::error!(rule = rule.name, "{}", said(&error));
        }
    }

    fn delete(&self, rule: &Rule, goes_on: &dyn Fn() -> bool) -> Result<(), BucketError> {
        let Some(age) = rule.retention else {
            return Ok(());
        };
        let bucket: Arc<dyn Bucket> = self.buckets.open(&rule.destination)?;
        let options = Options {
            cluster: Some(&self.spool.config().cluster),
            recording: Some(&rule.name),
            before: older_than(age, self.spool.clock.now()),
            dry_run: false,
        };
        let done = prune(&*bucket, &options, &mut |gone| {
            self.spool.count(|counters| {
                let counters = counters.rule(&rule.name);
                counters.pruned_files += gone.files;
                counters.pruned_bytes += gone.bytes;
            });
            tracing::info!(
                rule = rule.name,
                "{}: {} files ({} bytes) were kept long enough and are deleted",
                gone.hour,
                gone.files,
                gone.bytes
            );
            goes_on()
        });
        match done {
            // a folder that nothing was recorded to yet; of others, the upload says more
            Err(error) if error.kind == ErrorKind::NoBucket => Ok(()),
            done => done.map(drop),
        }
    }
}

/// What went wrong, with what else can be done.
fn said(error: &BucketError) -> String {
    let mend = match error.kind {
        ErrorKind::Forbidden | ErrorKind::Unauthenticated => {
            "; retention needs the rights to list and to delete: give them, or leave retention out and have the bucket's \
             own lifecycle rules or `gillnet recordings prune` delete"
        }
        _ => "",
    };
    format!(
        "what is older than its retention is not deleted: {error}{mend}; tried again in an hour"
    )
}
