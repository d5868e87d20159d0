//! Standard output that ends quietly where its reader has gone.

use std::fmt::Display;
use std::io::Write;

/// Bytes gathered before they are written.
const BUFFER: usize = 64 << 10;

/// What a pipe that output goes to is made to hold: each time that it is full costs a change of process, which with the
/// usual 64 KiB takes longer than the bytes themselves. Any user may have this much (pipe-max-size, pipe(7)).
const PIPE: usize = 1 << 20;

/// Writes a line at once. A reader that has gone is no failure, and keeps nothing from being done.
pub fn say(line: impl Display) -> std::io::Result<()> {
    let mut output = Output::stdout();
    writeln!(output.buffer(), "{line}")?;
    output.finish()
}

/// Buffered standard output.
#[derive(Debug)]
pub struct Output {
    buffer: Vec<u8>,
    failed: Option<std::io::Error>,
}

impl Output {
    /// Standard output; a pipe is made to hold more.
    pub fn stdout() -> Output {
        // no pipe, or one that may not grow: it works as it is
        let _ = rustix::pipe::fcntl_setpipe_size(std::io::stdout(), PIPE);
        Output {
            buffer: Vec::new(),
            failed: None,
        }
    }

    /// The buffer to append to; call [`Output::spill`] after.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes the buffer where it is full. `false` where nobody reads any more.
    pub fn spill(&mut self) -> bool {
        self.buffer.len() < BUFFER || self.flush()
    }

    /// Writes the buffer. `false` where nobody reads any more.
    pub fn flush(&mut self) -> bool {
        if self.failed.is_none()
            && let Err(error) = std::io::stdout().lock().write_all(&self.buffer)
        {
            self.failed = Some(error);
        }
        self.buffer.clear();
        self.failed.is_none()
    }

    /// Writes what is left. A reader that has gone is no failure; any other fault is.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.flush();
        match self.failed.take() {
            Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
            _ => std::io::stdout().lock().flush().or_else(|e| {
                if e.kind() == std::io::ErrorKind::BrokenPipe {
                    Ok(())
                } else {
                    Err(e)
                }
            }),
        }
    }
}
