//! Captures through decode, reassembly and dissection to the JSON of their entries.

#![allow(clippy::unwrap_used)] // a test that cannot read its fixtures has failed

mod drive;
mod fixtures;
