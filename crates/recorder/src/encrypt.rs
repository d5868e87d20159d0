//! Files of sealed objects that are encrypted while they are written, so that nothing lies on the node that waits for upload
//! and can be read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use gillnet_bucket::{Encryptor, Recipients};
use sha2::{Digest, Sha256};

use crate::fs::{File, View};
use crate::queue::lock;

/// What an encrypted file came to: its size and SHA-256, once it is synced; nothing where it is not encrypted.
#[derive(Clone, Default)]
pub(crate) struct Encrypted(Arc<Mutex<Option<(u64, Sha256)>>>);

impl Encrypted {
    /// Encrypts what is written to a file, for these recipients; syncing it is its end. Where there are none, it stays as it is.
    pub(crate) fn over(
        &self,
        file: Box<dyn File>,
        recipients: &Recipients,
    ) -> io::Result<Box<dyn File>> {
        if recipients.is_empty() {
            return Ok(file);
        }
        let summed = Summed {
            file,
            sum: Sha256::new(),
            size: 0,
        };
        Ok(Box::new(Encrypting {
            out: Some(Encryptor::new(summed, recipients)?),
            came: self.clone(),
        }))
    }

    /// See the type.
    pub(crate) fn take(&self) -> Option<(u64, Vec<u8>)> {
        let (size, sum) = lock(&self.0).take()?;
        Some((size, sum.finalize().to_vec()))
    }
}

/// A file with the sum of what was written to it.
struct Summed {
    file: Box<dyn File>,
    sum: Sha256,
    size: u64,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Encrypting {
    /// `None` once it is ended.
    out: Option<Encryptor<Summed>>,
    came: Encrypted,
}

impl Write for Encrypting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = self.out.as_mut();
        out.ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl File for Encrypting {
    fn view(&self) -> io::Result<Box<dyn View>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends it.
    fn sync(&mut self) -> io::Result<()> {
        let out = self.out.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let Summed {
            mut file,
            sum,
            size,
        } = out.finish()?;
        file.sync()?;
        *lock(&self.came.0) = Some((size, sum));
        Ok(())
    }
}
