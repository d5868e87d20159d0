//! One script on the caller's own thread: to measure it, and to try it call by call.

use crate::files::{Files, History};
use crate::host::{Given, Host, Node, Side};
use crate::mailbox::Mailbox;
use crate::script::Script;
use crate::scripts::{Config, Doors, Error, SyntaxError, syntax};
use crate::speech::Speech;
use gillnet_entry::OwnedEntry;
use std::sync::{Arc, Mutex};

/// A script in its interpreter, without a thread or queue of its own.
pub struct Solo {
    script: Script,
}

impl std::fmt::Debug for Solo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Solo").finish_non_exhaustive()
    }
}

/// The process behind scripts.
pub(crate) fn host(config: &Config, doors: &Doors) -> Result<Arc<Host>, Error> {
    let clock = Arc::clone(&doors.clock);
    let history = History::new(Arc::clone(&doors.names));
    let streams = Arc::clone(&doors.streams);
    let files = Files::open(
        &config.data_dir,
        config.limits.disk,
        streams,
        history,
        Arc::clone(&clock),
    );
    let files = files.map_err(|source| Error::DataDir {
        path: config.data_dir.clone(),
        source,
    })?;
    Ok(Arc::new(Host {
        worker: Node::new(&config.node, &clock),
        hub: Node::new("hub", &clock),
        given: Mutex::new(Arc::new(Given::new(config)?)),
        limits: config.limits,
        console: Default::default(),
        metrics: Default::default(),
        speech: Speech::new(Arc::clone(&doors.env)),
        files,
        cluster: Arc::clone(&doors.cluster),
        dry_run: config.dry_run,
        changed: Default::default(),
        mailboxes: Mutex::default(),
        clock,
    }))
}

impl Solo {
    /// Loads a script.
    ///
    /// # Errors
    /// As [`crate::Scripts::start`], and what the script throws while it is loaded.
    pub fn load(config: &Config, doors: &Doors, file: &str, text: &str) -> Result<Solo, Error> {
        let host = host(config, doors)?;
        let mailbox = Arc::new(Mailbox::new(host.limits.queue_bytes, host.limits.queue));
        let failed = |fault: crate::engine::Fault| Error::Syntax(syntax(file, &fault));
        let script = Script::new(&host, Side::Worker, 0, &mailbox).map_err(failed)?;
        script.load(file, text).map_err(failed)?;
        Ok(Solo { script })
    }

    /// Calls `onItemCaptured`.
    ///
    /// # Errors
    /// What the hook throws, or the limit that it meets.
    pub fn item_captured(&self, entry: &Arc<OwnedEntry>) -> Result<(), SyntaxError> {
        let called = self.script.item_captured(Arc::clone(entry));
        called.map_err(|fault| syntax("", &fault))
    }

    /// What an expression comes to in the script, as text.
    ///
    /// # Errors
    /// What it throws.
    pub fn evaluate(&self, expression: &str) -> Result<String, SyntaxError> {
        self.script
            .evaluate(expression)
            .map_err(|fault| syntax("", &fault))
    }

    /// Bytes that the interpreter holds.
    pub fn memory(&self) -> usize {
        self.script.memory()
    }
}
