//! What was written, summed up on its way: an encrypted file is not read again to know what it came to.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

/// How many bytes something has, and their SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Bytes.
    pub size: u64,
    /// As bytes.
    pub sha256: Vec<u8>,
}

/// A writer with the number and the SHA-256 of the bytes that it took.
pub struct Summed<W> {
    out: W,
    size: u64,
    sum: Sha256,
}

impl<W: Write> Summed<W> {
    /// Nothing was written yet.
    pub fn new(out: W) -> Self {
        Self {
            out,
            size: 0,
            sum: Sha256::new(),
        }
    }

    /// What was written to, and what it took.
    pub fn finish(self) -> (W, Sum) {
        let sum = Sum {
            size: self.size,
            sha256: self.sum.finalize().to_vec(),
        };
        (self.out, sum)
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
