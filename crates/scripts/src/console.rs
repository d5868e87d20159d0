//! The console: what scripts say, for everyone who listens.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that are kept for who comes later.
const KEPT_LINES: usize = 1000;
/// Bytes of them.
const KEPT_BYTES: usize = 1 << 20;
/// The longest line, in bytes; the rest is cut off.
const LONGEST: usize = 16 << 10;
/// Lines that wait for one listener; what more comes is lost to it, and it is told so.
const WAITING: usize = 1024;

/// What happens on the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A line: `[<node>-<script>] text`, or `[<node>-<script>:ERROR] text`.
    Line {
        /// As it is shown.
        text: Arc<str>,
        /// Whether it is an error.
        error: bool,
    },
    /// What was shown so far is to be cleared.
    Clear,
    /// So many lines were lost to this listener, who was too slow.
    Lost(u64),
}

/// The console of all scripts. A clone is the same console.
#[derive(Clone, Debug, Default)]
pub struct Console(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    kept: VecDeque<Said>,
    bytes: usize,
    listeners: Vec<Listener>,
    lines: u64,
    errors: u64,
    /// Lines are counted, and neither kept nor handed on.
    off: bool,
}

#[derive(Debug)]
struct Listener {
    to: SyncSender<Said>,
    lost: u64,
}

impl Console {
    /// What was said lately, and then what is said from now on.
    pub fn listen(&self) -> Receiver<Said> {
        self.with(|inner| {
            let (to, listener) = sync_channel(WAITING + KEPT_LINES);
            for said in &inner.kept {
                // there is room for all that is kept
                let _ = to.try_send(said.clone());
            }
            inner.listeners.push(Listener { to, lost: 0 });
            listener
        })
    }

    /// Has lines kept and handed on, or only counted: what was kept is let go then, and who listens is let go, too.
    pub(crate) fn turn(&self, on: bool) {
        self.with(|inner| {
            inner.off = !on;
            if inner.off {
                inner.kept = VecDeque::new();
                inner.bytes = 0;
                inner.listeners.clear();
            }
        });
    }

    /// Whether lines are kept and handed on: `scripting.console`.
    pub fn is_on(&self) -> bool {
        self.with(|inner| !inner.off)
    }

    /// The lines that are kept.
    pub fn lines(&self) -> Vec<Arc<str>> {
        self.with(|inner| {
            let lines = inner.kept.iter().filter_map(|said| match said {
                Said::Line { text, .. } => Some(Arc::clone(text)),
                _ => None,
            });
            lines.collect()
        })
    }

    /// How many lines were said so far, and how many of them were errors.
    pub fn counts(&self) -> (u64, u64) {
        self.with(|inner| (inner.lines, inner.errors))
    }

    /// Says a line of a script.
    pub(crate) fn say(&self, node: &str, script: u32, error: bool, text: &str) {
        let mark = if error { ":ERROR" } else { "" };
        let mut line = format!("[{node}-{script}{mark}] {text}");
        if line.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|at| line.is_char_boundary(*at));
            line.truncate(end.unwrap_or_default());
            line.push('…');
        }
        self.put(Said::Line {
            text: line.into(),
            error,
        });
    }

    /// Clears what was shown.
    pub(crate) fn clear(&self) {
        self.put(Said::Clear);
    }

    fn put(&self, said: Said) {
        self.with(|inner| {
            if let Said::Line { error, .. } = &said {
                inner.lines += 1;
                inner.errors += u64::from(*error);
            }
            if inner.off {
                return;
            }
            match &said {
                Said::Line { text, .. } => {
                    inner.bytes += text.len();
                    inner.kept.push_back(said.clone());
                }
                _ => {
                    inner.kept.clear();
                    inner.bytes = 0;
                }
            }
            while inner.kept.len() > KEPT_LINES || inner.bytes > KEPT_BYTES {
                match inner.kept.pop_front() {
                    Some(Said::Line { text, .. }) => inner.bytes -= text.len(),
                    Some(_) => {}
                    None => break,
                }
            }
            inner.listeners.retain_mut(|listener| listener.take(&said));
        });
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Inner) -> T) -> T {
        // lines stay lines where a holder panicked
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listener {
    /// Hands on; `false` where nobody listens any more.
    fn take(&mut self, said: &Said) -> bool {
        if self.lost > 0 {
            match self.to.try_send(Said::Lost(self.lost)) {
                Ok(()) => self.lost = 0,
                Err(TrySendError::Full(_)) => {
                    self.lost += 1;
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        match self.to.try_send(said.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_later_gets_what_was_said_since_the_last_clear() {
        let console = Console::default();
        console.say("node", 1, false, "gone");
        console.clear();
        console.say("node", 1, false, "hello");
        let listener = console.listen();
        console.say("node", 2, true, "Error: bad");
        let said: Vec<_> = listener.try_iter().collect();
        let line = |text: &str, error| Said::Line {
            text: text.into(),
            error,
        };
        assert_eq!(
            said,
            [
                line("[node-1] hello", false),
                line("[node-2:ERROR] Error: bad", true)
            ]
        );
        console.clear();
        assert_eq!(listener.try_iter().collect::<Vec<_>>(), [Said::Clear]);
        assert_eq!(console.counts(), (3, 1));
    }

    #[test]
    fn what_is_said_while_it_is_off_is_only_counted() {
        let console = Console::default();
        console.say("n", 0, false, "before");
        let listener = console.listen();
        console.turn(false);
        console.say("n", 0, true, "meanwhile");
        assert_eq!(listener.iter().count(), 1, "who listened is let go");
        assert!(console.lines().is_empty() && !console.is_on());
        console.turn(true);
        console.say("n", 0, false, "after");
        assert_eq!(console.lines(), ["[n-0] after".into()]);
        assert_eq!(console.counts(), (3, 1));
    }

    #[test]
    fn a_slow_listener_is_told_what_it_lost_and_holds_up_nobody() {
        let console = Console::default();
        let listener = console.listen();
        let all = WAITING + KEPT_LINES;
        for _ in 0..all + 10 {
            console.say("n", 0, false, "x");
        }
        assert_eq!(listener.try_iter().count(), all);
        console.say("n", 0, false, "again");
        let said: Vec<_> = listener.try_iter().collect();
        assert!(
            matches!(&said[..], [Said::Lost(10), Said::Line { .. }]),
            "{said:?}"
        );
        drop(listener);
        console.say("n", 0, false, "nobody");
        assert!(console.with(|inner| inner.listeners.is_empty()));
        assert!(console.lines().len() <= KEPT_LINES);
    }
}
