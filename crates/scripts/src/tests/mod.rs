//! Whole scripts at work.

mod bad;
mod lifecycle;
mod types;
