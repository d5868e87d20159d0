//! Whole scripts at work.

mod bad;
mod lifecycle;
mod live;
mod types;
mod vendors;
