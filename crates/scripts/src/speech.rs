//! What filters in scripts may speak of, which may change while they run.

use crate::clock::lock;
use gillnet_kfl::Env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The fields and macros that filters may name.
#[derive(Debug)]
pub(crate) struct Speech {
    env: Mutex<Arc<Env>>,
    generation: AtomicU64,
}

impl Speech {
    pub(crate) fn new(env: Arc<Env>) -> Speech {
        Speech {
            env: Mutex::new(env),
            generation: AtomicU64::new(1),
        }
    }

    pub(crate) fn env(&self) -> Arc<Env> {
        Arc::clone(&lock(&self.env))
    }

    /// Grows when it changes.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, env: Arc<Env>) {
        *lock(&self.env) = env;
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
