//! An object of a bucket as something to read from front to back.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    sync::Arc,
};

use super::{Progress, Shared};

/// Bytes asked for at a time: few requests, and little memory.
const CHUNK: u64 = 4 << 20;

/// Reads an object by ranges; a local one from its file.
pub(super) struct ObjectReader {
    shared: Arc<Shared>,
    key: String,
    size: u64,
    state: State,
    /// Bytes counted in the progress; `None` where others count.
    counted: Option<u64>,
}

enum State {
    Closed,
    File(BufReader<File>),
    /// What was fetched, how much of it is given, and where the next range begins.
    Ranges {
        chunk: Vec<u8>,
        given: usize,
        next: u64,
    },
}

impl ObjectReader {
    /// Opens nothing before the first read.
    pub(super) fn new(shared: Arc<Shared>, key: String, size: u64) -> Self {
        Self {
            shared,
            key,
            size,
            state: State::Closed,
            counted: Some(0),
        }
    }

    /// The same without counting in the progress.
    pub(super) fn uncounted(shared: Arc<Shared>, key: String, size: u64) -> Self {
        let mut reader = Self::new(shared, key, size);
        reader.counted = None;
        reader
    }

    fn open(&self) -> io::Result<State> {
        Ok(match self.shared.bucket.local_path(&self.key) {
            Some(path) => State::File(BufReader::with_capacity(256 << 10, File::open(path)?)),
            None => State::Ranges {
                chunk: Vec::new(),
                given: 0,
                next: 0,
            },
        })
    }

    fn count(&mut self, bytes: u64) {
        if let Some(counted) = &mut self.counted {
            let bytes = bytes.min(self.size.saturating_sub(*counted));
            *counted += bytes;
            Progress::add(&self.shared.progress.bytes_done, bytes);
        }
    }
}

impl Drop for ObjectReader {
    /// The object is done with, read to its end or not.
    fn drop(&mut self) {
        self.count(self.size);
        Progress::add(
            &self.shared.progress.objects_done,
            u64::from(self.counted.is_some()),
        );
    }
}

impl Read for ObjectReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if matches!(self.state, State::Closed) {
            self.state = self.open()?;
        }
        let read = match &mut self.state {
            State::Closed => 0,
            State::File(file) => file.read(to)?,
            State::Ranges { chunk, given, next } => {
                if *given == chunk.len() && *next < self.size {
                    let end = self.size.min(*next + CHUNK);
                    *chunk = self
                        .shared
                        .bucket
                        .get_range(&self.key, *next..end)
                        .map_err(io::Error::other)?;
                    *given = 0;
                    *next += chunk.len() as u64;
                    if chunk.is_empty() {
                        return Err(io::Error::new(
                            io::ErrorKind::UnexpectedEof,
                            "the object became shorter while it was read",
                        ));
                    }
                }
                let mut rest = chunk.get(*given..).unwrap_or_default();
                let read = rest.read(to)?;
                *given += read;
                read
            }
        };
        self.count(read as u64);
        Ok(read)
    }
}
