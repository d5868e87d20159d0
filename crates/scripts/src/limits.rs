//! What a script may take.

use std::time::Duration;

/// Limits of every script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a script's interpreter may hold: 64 MiB.
    pub memory: usize,
    /// Time of its own that a call of a hook may take: 1 s. What it waits for others is not counted.
    pub hook: Duration,
    /// Time of its own that a job, a timer or the load of a script may take: 10 s.
    pub job: Duration,
    /// Bytes of entries that may wait for a script: 16 MiB.
    pub queue_bytes: usize,
    /// Entries and packets that may wait for a script: 8192.
    pub queue: usize,
    /// Part of the capture thread's time that handing entries over may take, in 1/1000: 30. What more comes is dropped,
    /// counted.
    pub share: u32,
    /// Calls that fail one after the other until a script is paused: 1000.
    pub failures: u32,
    /// Calls that meet a limit one after the other until a script is paused: 3.
    pub breaches: u32,
    /// How long a script is paused at first: 1 minute, then twice as long each time, up to an hour.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 64 << 20,
            hook: Duration::from_secs(1),
            job: Duration::from_secs(10),
            queue_bytes: 16 << 20,
            queue: 8192,
            share: 30,
            failures: 1000,
            breaches: 3,
            pause: Duration::from_secs(60),
        }
    }
}
