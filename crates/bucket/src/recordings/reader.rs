//! An object of a bucket as something to read from front to back.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    ops::Range,
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
    /// What is still to be read of it, the present range first.
    ranges: VecDeque<Range<u64>>,
    state: State,
    /// Bytes counted in the progress; `None` where others count.
    counted: Option<u64>,
}

enum State {
    Closed,
    /// And where in it the next byte is.
    File(BufReader<File>, u64),
    /// What was fetched, and how much of it is given.
    Ranges {
        chunk: Vec<u8>,
        given: usize,
    },
}

impl ObjectReader {
    /// Opens nothing before the first read.
    pub(super) fn new(shared: Arc<Shared>, key: String, size: u64) -> Self {
        Self {
            shared,
            key,
            size,
            ranges: std::iter::once(0..size).collect(),
            state: State::Closed,
            counted: Some(0),
        }
    }

    /// Reads nothing but these ranges, one behind the other.
    pub(super) fn only(mut self, ranges: &[Range<u64>]) -> Self {
        self.ranges = ranges.iter().cloned().collect();
        self
    }

    /// The same without counting in the progress.
    pub(super) fn uncounted(shared: Arc<Shared>, key: String, size: u64) -> Self {
        let mut reader = Self::new(shared, key, size);
        reader.counted = None;
        reader
    }

    fn open(&self) -> io::Result<State> {
        Ok(match self.shared.bucket.local_path(&self.key) {
            Some(path) => State::File(BufReader::with_capacity(256 << 10, File::open(path)?), 0),
            None => State::Ranges {
                chunk: Vec::new(),
                given: 0,
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
        while self.ranges.front().is_some_and(Range::is_empty) {
            self.ranges.pop_front();
        }
        let read = match (&mut self.state, self.ranges.front_mut()) {
            (State::File(file, at), Some(range)) => {
                if *at != range.start {
                    file.seek(SeekFrom::Start(range.start))?;
                }
                let read = file.by_ref().take(range.end - range.start).read(to)?;
                range.start += read as u64;
                *at = range.start;
                if read == 0 && !to.is_empty() {
                    // one that is shorter than it was ends here, and shows that it is
                    self.ranges.clear();
                }
                read
            }
            (State::Ranges { chunk, given }, range) => {
                if let Some(range) = range.filter(|_| *given == chunk.len()) {
                    let end = range.end.min(range.start + CHUNK);
                    *chunk = self
                        .shared
                        .bucket
                        .get_range(&self.key, range.start..end)
                        .map_err(io::Error::other)?;
                    *given = 0;
                    range.start += chunk.len() as u64;
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
            (State::Closed | State::File(..), _) => 0,
        };
        self.count(read as u64);
        Ok(read)
    }
}
