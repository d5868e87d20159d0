//! The jobs of a node: whose turn it is. They run on their scripts' own threads.

use super::cron::Times;
use crate::clock::{Clock, lock};
use crate::mailbox::{Event, Mailbox};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Jobs of one node, at most.
const MOST: usize = 1000;

/// A job that a script gave, for as long as its tag is not given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct JobId(u64);

/// A job whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: JobId,
    pub(crate) tag: String,
    pub(crate) cron: String,
    /// Runs after which it ends; 0 for none.
    pub(crate) limit: u32,
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) tag: String,
    pub(crate) cron: String,
    pub(crate) limit: u32,
    pub(crate) runs: u32,
    pub(crate) running: bool,
    pub(crate) next: Option<i64>,
}

/// The jobs of a node.
#[derive(Debug)]
pub(crate) struct Scheduler {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    jobs: BTreeMap<String, Job>,
    next: u64,
    running: bool,
}

#[derive(Debug)]
struct Job {
    id: JobId,
    cron: String,
    times: Times,
    limit: u32,
    runs: u32,
    due: Option<i64>,
    owner: Arc<Mailbox>,
    /// Runs now, since this time.
    since: Option<i64>,
}

/// A tag as it is kept: in lower case, with dashes for spaces.
fn normal(tag: &str) -> String {
    tag.trim().to_lowercase().replace(' ', "-")
}

impl Scheduler {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Scheduler {
        Scheduler {
            clock,
            inner: Mutex::new(Inner {
                jobs: BTreeMap::new(),
                next: 0,
                running: true,
            }),
        }
    }

    /// Adds a job, in place of that with the same tag. Gives its normal tag.
    pub(crate) fn schedule(
        &self,
        owner: &Arc<Mailbox>,
        tag: &str,
        cron: &str,
        limit: u32,
    ) -> Result<(JobId, String), String> {
        let tag = normal(tag);
        if tag.is_empty() {
            return Err("a job needs a tag".to_owned());
        }
        let times: Times = cron
            .parse()
            .map_err(|error: super::cron::CronError| error.to_string())?;
        let mut inner = lock(&self.inner);
        if inner.jobs.len() >= MOST && !inner.jobs.contains_key(&tag) {
            return Err(format!("there are {MOST} jobs on this node already"));
        }
        inner.next += 1;
        let id = JobId(inner.next);
        let job = Job {
            id,
            cron: cron.to_owned(),
            due: times.after(self.clock.now()),
            times,
            limit,
            runs: 0,
            owner: Arc::clone(owner),
            since: None,
        };
        inner.jobs.insert(tag.clone(), job);
        Ok((id, tag))
    }

    pub(crate) fn remove(&self, tag: &str) -> Result<String, String> {
        let tag = normal(tag);
        match lock(&self.inner).jobs.remove(&tag) {
            Some(_) => Ok(tag),
            None => Err(format!("there is no job \"{tag}\"")),
        }
    }

    pub(crate) fn remove_all(&self) {
        lock(&self.inner).jobs.clear();
    }

    /// Removes what a script gave.
    pub(crate) fn remove_of(&self, owner: &Arc<Mailbox>) {
        lock(&self.inner)
            .jobs
            .retain(|_, job| !Arc::ptr_eq(&job.owner, owner));
    }

    /// The tags of all jobs.
    pub(crate) fn list(&self) -> Vec<String> {
        lock(&self.inner).jobs.keys().cloned().collect()
    }

    /// All jobs, by tag, each with the script that gave it.
    pub(crate) fn planned(&self) -> Vec<(Arc<Mailbox>, Planned)> {
        let inner = lock(&self.inner);
        let planned = inner.jobs.iter().map(|(tag, job)| {
            let planned = Planned {
                tag: tag.clone(),
                cron: job.cron.clone(),
                limit: job.limit,
                runs: job.runs,
                running: job.since.is_some(),
                next: job.due.filter(|_| inner.running),
            };
            (Arc::clone(&job.owner), planned)
        });
        planned.collect()
    }

    /// Has a job run now, on its script's thread.
    pub(crate) fn run(&self, tag: &str) -> Result<(), String> {
        let tag = normal(tag);
        let inner = lock(&self.inner);
        let job = inner
            .jobs
            .get(&tag)
            .ok_or_else(|| format!("there is no job \"{tag}\""))?;
        job.owner.post(Event::RunJob(tag));
        Ok(())
    }

    /// Has all jobs run now.
    pub(crate) fn run_all(&self) {
        for (tag, job) in &lock(&self.inner).jobs {
            job.owner.post(Event::RunJob(tag.clone()));
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        lock(&self.inner).running
    }

    /// Has times come to pass again, or no more. Those that passed meanwhile are not made up for.
    pub(crate) fn set_running(&self, running: bool) {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        if running && !inner.running {
            for job in inner.jobs.values_mut() {
                job.due = job.times.after(now);
                job.owner.wake();
            }
        }
        inner.running = running;
    }

    /// Whether a job is still there.
    pub(crate) fn has(&self, id: JobId) -> bool {
        lock(&self.inner).jobs.values().any(|job| job.id == id)
    }

    /// When a script's next job is due.
    pub(crate) fn next_of(&self, owner: &Arc<Mailbox>) -> Option<i64> {
        let inner = lock(&self.inner);
        let of = |job: &&Job| Arc::ptr_eq(&job.owner, owner) && job.since.is_none();
        let due = inner.jobs.values().filter(of).filter_map(|job| job.due);
        due.min().filter(|_| inner.running)
    }

    /// Takes a script's job that is due longest, to run it; it is then to be [`Scheduler::ended`].
    pub(crate) fn take_due(&self, owner: &Arc<Mailbox>) -> Option<Due> {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        if !inner.running {
            return None;
        }
        let of = |job: &Job| Arc::ptr_eq(&job.owner, owner) && job.since.is_none();
        let due = inner
            .jobs
            .iter_mut()
            .filter(|(_, job)| of(job) && job.due.is_some_and(|due| due <= now));
        let (tag, job) = due.min_by_key(|(_, job)| job.due)?;
        Some(job.begin(tag, now))
    }

    /// Takes a job of this tag, to run it now.
    pub(crate) fn take(&self, tag: &str) -> Option<Due> {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        let job = inner.jobs.get_mut(tag).filter(|job| job.since.is_none())?;
        Some(job.begin(tag, now))
    }

    /// A job ran. Gives how many of its times passed by meanwhile: it is not started while it runs, nor made up for.
    pub(crate) fn ended(&self, due: &Due) -> u64 {
        let now = self.clock.now();
        let mut inner = lock(&self.inner);
        let Some(job) = inner.jobs.get_mut(&due.tag).filter(|job| job.id == due.id) else {
            return 0;
        };
        let since = job.since.take().unwrap_or(now);
        job.runs = job.runs.saturating_add(1);
        if job.limit > 0 && job.runs >= job.limit {
            inner.jobs.remove(&due.tag);
            return 0;
        }
        let mut passed = 0;
        let mut next = job.times.after(since);
        while next.is_some_and(|next| next <= now) && passed < 10_000 {
            passed += 1;
            next = next.and_then(|next| job.times.after(next));
        }
        job.due = job.times.after(now);
        passed
    }
}

impl Job {
    fn begin(&mut self, tag: &str, now: i64) -> Due {
        self.since = Some(now);
        Due {
            id: self.id,
            tag: tag.to_owned(),
            cron: self.cron.clone(),
            limit: self.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn rig() -> (Arc<ManualClock>, Scheduler, Arc<Mailbox>) {
        let clock = ManualClock::at(0);
        let scheduler = Scheduler::new(Arc::clone(&clock) as Arc<dyn Clock>);
        (clock, scheduler, Arc::new(Mailbox::new(1 << 20, 100)))
    }

    #[test]
    fn tags_are_unique_and_jobs_are_due_at_their_times() {
        let (clock, scheduler, me) = rig();
        let other = Arc::new(Mailbox::new(1 << 20, 100));
        scheduler.schedule(&me, "My Job", "* * * * * *", 0).unwrap();
        let (id, tag) = scheduler
            .schedule(&me, "my job", "*/5 * * * * *", 0)
            .unwrap();
        scheduler.schedule(&other, "x", "* * * * * *", 0).unwrap();
        assert_eq!(
            (tag.as_str(), scheduler.list()),
            ("my-job", vec!["my-job".to_owned(), "x".to_owned()])
        );
        assert_eq!(scheduler.next_of(&me), Some(5_000_000_000));
        clock.advance(4 * SECOND);
        assert_eq!(scheduler.take_due(&me), None);
        clock.advance(SECOND);
        let due = scheduler.take_due(&me).unwrap();
        assert_eq!(
            (due.id, due.tag.as_str(), due.cron.as_str()),
            (id, "my-job", "*/5 * * * * *")
        );
        assert_eq!(
            scheduler.take_due(&me),
            None,
            "it is not started while it runs"
        );
        clock.advance(11 * SECOND);
        assert_eq!(scheduler.ended(&due), 2, "two times passed by");
        assert_eq!(scheduler.next_of(&me), Some(20_000_000_000));
        scheduler.remove_of(&me);
        assert_eq!(scheduler.list(), ["x"]);
        assert!(scheduler.remove("nothing").is_err() && !scheduler.has(id));
    }

    #[test]
    fn limits_end_jobs_and_a_stopped_scheduler_starts_none() {
        let (clock, scheduler, me) = rig();
        scheduler.schedule(&me, "once", "* * * * * *", 1).unwrap();
        clock.advance(SECOND);
        let due = scheduler.take_due(&me).unwrap();
        assert_eq!((due.limit, scheduler.ended(&due)), (1, 0));
        assert!(scheduler.list().is_empty());
        scheduler.schedule(&me, "j", "* * * * * *", 0).unwrap();
        scheduler.set_running(false);
        clock.advance(10 * SECOND);
        assert!(!scheduler.is_running());
        assert_eq!(
            (scheduler.take_due(&me), scheduler.next_of(&me)),
            (None, None)
        );
        scheduler.run("j").unwrap();
        assert!(scheduler.take("j").is_some(), "by hand it runs");
        scheduler.set_running(true);
        assert_eq!(scheduler.next_of(&me), None, "it runs");
    }
}
