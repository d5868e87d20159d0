//! Files of sealed objects that are encrypted while they are written, so that nothing lies on the node that waits for upload
//! and can be read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use gillnet_bucket::{Encryptor, Recipients, Sum, Summed};

use crate::fs::{File, View};
use crate::queue::lock;

/// What an encrypted file came to: its size and SHA-256, once it is synced; nothing where it is not encrypted.
#[derive(Clone, Default)]
pub(crate) struct Encrypted(Arc<Mutex<Option<Sum>>>);

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
        Ok(Box::new(Encrypting {
            out: Some(Encryptor::new(Summed::new(file), recipients)?),
            came: self.clone(),
        }))
    }

    /// See the type.
    pub(crate) fn take(&self) -> Option<Sum> {
        lock(&self.0).take()
    }
}

struct Encrypting {
    /// `None` once it is ended.
    out: Option<Encryptor<Summed<Box<dyn File>>>>,
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
    fn view(&self) -> io::Result<Arc<dyn View>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends it.
    fn sync(&mut self) -> io::Result<()> {
        let out = self.out.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (mut file, sum) = out.finish()?.finish();
        file.sync()?;
        *lock(&self.came.0) = Some(sum);
        Ok(())
    }
}
