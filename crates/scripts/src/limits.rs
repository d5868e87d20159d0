//! What a script may take.

use std::time::Duration;

/// A job may take so many times what a hook may.
const JOB: u32 = 10;

/// Limits of every script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `scripting.limits.memory`: bytes that a script's interpreter may hold, 64 MiB.
    pub memory: usize,
    /// `scripting.limits.time`: time of its own that a call of a hook may take, 1 s. What it waits for others is not
    /// counted.
    pub hook: Duration,
    /// Time of its own that a job, a timer or the load of a script may take: ten times as long.
    pub job: Duration,
    /// Bytes of entries that may wait for a script: 16 MiB.
    pub queue_bytes: usize,
    /// `scripting.limits.queue`: entries and packets that may wait for a script, 8192.
    pub queue: usize,
    /// `scripting.limits.disk`: bytes that the files of all scripts may take in the data directory, 10 GiB.
    pub disk: u64,
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
            job: JOB * Duration::from_secs(1),
            queue_bytes: 16 << 20,
            queue: 8192,
            disk: 10 << 30,
            share: 30,
            failures: 1000,
            breaches: 3,
            pause: Duration::from_secs(60),
        }
    }
}

/// A limit that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scripting.limits.{key}: {given} is too {wrong}; {range}")]
pub struct LimitError {
    key: &'static str,
    given: String,
    wrong: &'static str,
    range: &'static str,
}

impl Limits {
    /// With another time for hooks, and ten times as much for jobs, timers and loads.
    ///
    /// # Errors
    /// Below a millisecond, or beyond an hour.
    pub fn with_time(self, time: Duration) -> Result<Limits, LimitError> {
        let range = (Duration::from_millis(1), Duration::from_secs(3600));
        within(
            "time",
            time,
            range,
            "a call may take from 1ms to 1h",
            |time| format!("{time:?}"),
        )?;
        Ok(Limits {
            hook: time,
            job: time * JOB,
            ..self
        })
    }

    /// With another size of interpreters, in bytes.
    ///
    /// # Errors
    /// Below 4 MiB, in which helpers and a small script have room, or beyond 16 GiB.
    pub fn with_memory(self, memory: u64) -> Result<Limits, LimitError> {
        let says = "a script may hold from 4Mi to 16Gi";
        within("memory", memory, (4 << 20, 16 << 30), says, bytes)?;
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Ok(Limits { memory, ..self })
    }

    /// With another number of entries and packets that wait for a script.
    ///
    /// # Errors
    /// None, or more than a million.
    pub fn with_queue(self, queue: u64) -> Result<Limits, LimitError> {
        let says = "from 1 to 1000000 calls may wait for a script";
        within("queue", queue, (1, 1_000_000), says, |queue| {
            queue.to_string()
        })?;
        let queue = usize::try_from(queue).unwrap_or(usize::MAX);
        Ok(Limits { queue, ..self })
    }

    /// With another size of all files together, in bytes.
    ///
    /// # Errors
    /// Below 1 MiB, or beyond 1 PiB.
    pub fn with_disk(self, disk: u64) -> Result<Limits, LimitError> {
        let says = "the files of all scripts may take from 1Mi to 1024Ti";
        within("disk", disk, (1 << 20, 1 << 50), says, bytes)?;
        Ok(Limits { disk, ..self })
    }
}

fn bytes(bytes: u64) -> String {
    format!("{bytes} bytes")
}

fn within<T: PartialOrd + Copy>(
    key: &'static str,
    given: T,
    (least, most): (T, T),
    range: &'static str,
    shown: impl Fn(T) -> String,
) -> Result<(), LimitError> {
    let wrong = match given {
        given if given < least => "little",
        given if given > most => "much",
        _ => return Ok(()),
    };
    Err(LimitError {
        key,
        given: shown(given),
        wrong,
        range,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_out_of_their_range_are_named() {
        let usual = Limits::default();
        let limits = usual.with_time(Duration::from_millis(250)).unwrap();
        let limits = limits.with_memory(8 << 20).unwrap().with_queue(5).unwrap();
        let limits = limits.with_disk(1 << 30).unwrap();
        assert_eq!(
            (
                limits.hook,
                limits.job,
                limits.memory,
                limits.queue,
                limits.disk
            ),
            (
                Duration::from_millis(250),
                Duration::from_millis(2500),
                8 << 20,
                5,
                1 << 30
            )
        );
        assert_eq!(
            (usual.job, limits.pause),
            (Duration::from_secs(10), usual.pause)
        );
        for (limits, says) in [
            (
                usual.with_time(Duration::ZERO),
                "scripting.limits.time: 0ns is too little; a call may take from 1ms to 1h",
            ),
            (
                usual.with_time(Duration::from_secs(3601)),
                "scripting.limits.time: 3601s is too much; a call may take from 1ms to 1h",
            ),
            (
                usual.with_memory(1000),
                "scripting.limits.memory: 1000 bytes is too little; a script may hold from 4Mi to 16Gi",
            ),
            (
                usual.with_queue(0),
                "scripting.limits.queue: 0 is too little; from 1 to 1000000 calls may wait for a script",
            ),
            (
                usual.with_disk(0),
                "scripting.limits.disk: 0 bytes is too little; the files of all scripts may take from 1Mi to 1024Ti",
            ),
        ] {
            assert_eq!(limits.unwrap_err().to_string(), says);
        }
    }

    #[test]
    fn a_script_runs_in_the_least_memory() {
        let rig = crate::testing::Rig::with_limits(Limits {
            memory: 4 << 20,
            ..Limits::default()
        });
        rig.run("is(typeof kfl.match, 'function'); var a = []; for (var i = 0; i < 1000; i++) a.push({ i: i });")
            .unwrap();
    }
}
