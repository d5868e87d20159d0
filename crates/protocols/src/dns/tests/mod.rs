//! Messages built by hand, and what becomes of them.

mod answers;
mod build;
mod drive;
mod exchange;
mod fields;
mod fixtures;
mod hostile;
mod identify;
mod names;
mod rdata;
