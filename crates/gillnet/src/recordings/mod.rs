//! Recordings: those at work.

pub mod at_work;
