//! What one script has of its own beside its interpreter.

use crate::engine::Guard;
use crate::helpers::Timers;
use crate::host::{Host, Node, Side};
use crate::jobs::JobId;
use crate::mailbox::Mailbox;
use rquickjs::{Persistent, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A script's place: used by its helpers, on its own thread.
pub(crate) struct Local {
    pub(crate) host: Arc<Host>,
    pub(crate) side: Side,
    /// Its number, as the console shows it.
    pub(crate) number: u32,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) guard: Rc<Guard>,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) tasks: RefCell<HashMap<JobId, Task>>,
}

/// What a job calls.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) function: Persistent<Value<'static>>,
    pub(crate) args: Vec<Persistent<Value<'static>>>,
}

impl Local {
    /// The node that the script runs on.
    pub(crate) fn node(&self) -> &Node {
        self.host.node(self.side)
    }

    /// Says a line on the console.
    pub(crate) fn log(&self, text: &str) {
        self.host
            .console
            .say(&self.node().name, self.number, false, text);
    }

    /// Says an error on the console.
    pub(crate) fn error(&self, text: &str) {
        self.host
            .console
            .say(&self.node().name, self.number, true, text);
    }

    /// Does what takes time that is not the script's own.
    pub(crate) fn outside<T>(&self, wait: impl FnOnce(&Host) -> T) -> T {
        self.guard.outside(|| wait(&self.host))
    }
}
