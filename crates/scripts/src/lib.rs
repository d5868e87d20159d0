//! Scripts.
mod clock;
mod console;
mod engine;
mod entry;
mod helpers;
mod host;
mod local;
mod speech;
#[cfg(test)]
mod testing;
pub use clock::{Bell, Clock, ManualClock, SystemClock};
pub use console::{Console, Said};
