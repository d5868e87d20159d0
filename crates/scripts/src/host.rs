//! What all scripts of a process share.

use crate::clock::Clock;
use crate::console::Console;
use crate::speech::Speech;
use std::sync::Arc;

/// The process behind the scripts.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) node: String,
    pub(crate) console: Console,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) speech: Speech,
}
