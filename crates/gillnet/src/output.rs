//! Standard output that ends quietly where its reader has gone.

use std::io::Write;

/// Bytes gathered before they are written.
const BUFFER: usize = 64 << 10;

/// Buffered standard output.
#[derive(Debug, Default)]
pub struct Output {
    buffer: Vec<u8>,
    failed: Option<std::io::Error>,
}

impl Output {
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
