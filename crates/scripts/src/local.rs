//! What one script has of its own beside its interpreter.

use crate::engine::Guard;
use crate::host::Host;
use std::rc::Rc;
use std::sync::Arc;

/// A script's place: used by its helpers, on its own thread.
pub(crate) struct Local {
    pub(crate) host: Arc<Host>,
    /// Its number, as the console shows it.
    pub(crate) number: u32,
    pub(crate) guard: Rc<Guard>,
}

impl Local {
    /// Says a line on the console.
    pub(crate) fn log(&self, text: &str) {
        self.host.console.say(&self.host.node, self.number, false, text);
    }

    /// Says an error on the console.
    pub(crate) fn error(&self, text: &str) {
        self.host.console.say(&self.host.node, self.number, true, text);
    }
}
