//! Tests against real captures and other programs.

#![allow(clippy::unwrap_used)]

#[path = "it/captures.rs"]
mod captures;
#[path = "it/cost.rs"]
mod cost;
#[path = "it/files.rs"]
mod files;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/write.rs"]
mod write;
