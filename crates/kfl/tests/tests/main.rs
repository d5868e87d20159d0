//! The language as its users see it: vectors, errors, stages, and texts that are no filters.

#![allow(clippy::unwrap_used)] // a failed test

#[path = "../support/mod.rs"]
mod support;

mod complete;
mod conformance;
mod errors;
mod explain;
mod flow;
mod format;
mod observe;
mod oracle;
mod random;
mod rows;
mod soup;
mod sql;
mod vectors;
