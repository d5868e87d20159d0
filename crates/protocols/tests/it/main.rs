//! Captures through decode, reassembly and dissection to the JSON of their entries, and what filters may speak of.

#![allow(clippy::unwrap_used)] // a test that cannot read its fixtures has failed

mod drive;
mod fixtures;
mod records;
mod reference;
mod spoken;
mod variables;
