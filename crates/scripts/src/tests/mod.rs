//! Whole scripts at work.

mod bad;
mod examples;
mod lifecycle;
mod live;
mod published;
mod stage;
mod traffic;
mod types;
mod vendors;
