//! Jobs: what scripts have run at times, one scheduler a node.

mod cron;
mod scheduler;

pub(crate) use scheduler::{Due, JobId, Scheduler};
