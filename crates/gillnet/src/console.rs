//! `gillnet console`: what scripts say.

use crate::cli::Shared;
use crate::exit::{self, Done};
use crate::output::Output;
use crate::scripts::{Client, Console, Heard, Running, runtime};
use anyhow::anyhow;
use clap::Args;
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};

/// `gillnet console`.
#[derive(Args, Debug)]
#[command(
    after_help = "Lines are `[<node>-<script>] text`; errors go to standard error, in red on a terminal.\n\n\
    Examples:\n  \
    gillnet console --url 'http://127.0.0.1:8899/?token=…'\n  \
    GILLNET_TOKEN=… gillnet console -f\n  \
    gillnet console -f --token-file token >console.log 2>errors.log\n\n\
    Exit codes: 0 ok, 1 failure, 2 usage, 4 not reachable or not allowed, 130 interrupted."
)]
pub struct ConsoleArgs {
    /// Go on with what is said from now on, also when the connection breaks meanwhile
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    running: Running,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &ConsoleArgs) -> anyhow::Result<Done> {
    let client = Client::new(shared, &args.running)?;
    runtime()?.block_on(async {
        let listener = Listener {
            screen: Screen::new(),
            shown: VecDeque::new(),
            caught_up: None,
        };
        tokio::select! {
            done = listener.listen(&client, args.follow) => done,
            _ = tokio::signal::ctrl_c() => Ok(Done::Interrupted),
        }
    })
}

/// Lines that are remembered, to know them again when the connection broke: as many as are kept.
const REMEMBERED: usize = 1000;

/// Prints what is heard, each line once.
struct Listener {
    screen: Screen,
    /// The last lines that were shown.
    shown: VecDeque<String>,
    /// After a break: what was kept, until that is all.
    caught_up: Option<Vec<String>>,
}

impl Listener {
    async fn listen(mut self, client: &Client, follow: bool) -> anyhow::Result<Done> {
        let mut console = client.console().await?;
        while !self.hear(&mut console, follow).await {
            if !follow {
                return Err(exit::unreachable(anyhow!(
                    "the connection broke before all was told"
                )));
            }
            note("the connection broke; trying again");
            console = client.console_again().await?;
            note("connected again");
            self.caught_up = Some(Vec::new());
        }
        self.screen.finish()?;
        Ok(Done::Ok)
    }

    /// Shows what comes; `false` where the connection broke, `true` where there is no more to do.
    async fn hear(&mut self, console: &mut Console, follow: bool) -> bool {
        while let Some(heard) = console.next().await {
            let read = match heard {
                Heard::Line(line) => match &mut self.caught_up {
                    Some(kept) => {
                        kept.push(line);
                        true
                    }
                    None => self.show(line),
                },
                Heard::Live => {
                    let kept = self.caught_up.take().unwrap_or_default();
                    let known = overlap(&self.shown, &kept);
                    let read = kept.into_iter().skip(known).all(|line| self.show(line));
                    if !follow {
                        return true;
                    }
                    read
                }
                Heard::Clear => {
                    self.shown.clear();
                    if let Some(kept) = &mut self.caught_up {
                        kept.clear();
                    }
                    self.screen.clear()
                }
                Heard::Lost(lines) => {
                    note(&format!(
                        "{lines} lines were lost: they came faster than they were read"
                    ));
                    true
                }
            };
            if !read {
                return true;
            }
        }
        false
    }

    fn show(&mut self, line: String) -> bool {
        let read = self.screen.line(&line);
        if self.shown.len() == REMEMBERED {
            self.shown.pop_front();
        }
        self.shown.push_back(line);
        read
    }
}

/// How many of the lines that are kept were shown already: the longest beginning of them that is an end of those.
fn overlap(shown: &VecDeque<String>, kept: &[String]) -> usize {
    let most = shown.len().min(kept.len());
    let known = |n: &usize| shown.iter().skip(shown.len() - n).eq(kept.iter().take(*n));
    (0..=most).rev().find(known).unwrap_or(0)
}

/// Says something that is no line of a script.
fn note(text: &str) {
    // where nobody reads it, nobody misses it
    let _ = writeln!(std::io::stderr(), "gillnet: {text}");
}

/// Standard output and error for lines of scripts.
#[derive(Debug)]
pub struct Screen {
    out: Output,
    red: bool,
    clears: bool,
}

impl Screen {
    /// As they are.
    pub fn new() -> Screen {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen {
            out: Output::stdout(),
            red: colours && std::io::stderr().is_terminal(),
            clears: std::io::stdout().is_terminal(),
        }
    }

    /// Prints a line; errors to standard error. `false` where nobody reads any more.
    pub fn line(&mut self, line: &str) -> bool {
        if is_error(line) {
            let (on, off) = if self.red {
                ("\u{1b}[31m", "\u{1b}[0m")
            } else {
                ("", "")
            };
            return writeln!(std::io::stderr(), "{on}{line}{off}").is_ok();
        }
        let out = self.out.buffer();
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
        self.out.flush()
    }

    /// Clears a terminal.
    pub fn clear(&mut self) -> bool {
        if self.clears {
            self.out.buffer().extend_from_slice(b"\x1b[H\x1b[2J\x1b[3J");
        }
        self.out.flush()
    }

    /// Says how it went.
    pub fn finish(self) -> std::io::Result<()> {
        self.out.finish()
    }
}

/// Whether a line of the console is an error: `[<node>-<script>:ERROR] …`.
fn is_error(line: &str) -> bool {
    let head = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    head.is_some_and(|(head, _)| head.ends_with(":ERROR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_by_their_mark() {
        assert!(is_error("[node-0:ERROR] bad") && is_error("[ip-10.ec2.internal-12:ERROR] [x]"));
        for line in ["[node-0] [x:ERROR] y", "[node-0] :ERROR]", ":ERROR]", ""] {
            assert!(!is_error(line), "{line}");
        }
    }

    #[test]
    fn lines_that_were_shown_are_known_again() {
        let lines = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for (shown, kept, known) in [
            ("a b c", "b c d", 2),
            ("a b c", "a b c", 3),
            ("a b c", "a b c d e", 3),
            ("a b c", "x y", 0),
            ("", "x", 0),
            ("a", "", 0),
            ("t t t", "t t t t", 3),
        ] {
            assert_eq!(
                overlap(&lines(shown).into(), &lines(kept)),
                known,
                "{shown} | {kept}"
            );
        }
    }
}
