//! Records in the order of time, however many: what does not fit into memory waits in a file without a name.
//!
//! Records are gathered up to [`BUFFER`] bytes, sorted, and written as a run. Runs that follow each other in time are one,
//! so that what comes sorted already is written once. At the end all runs are merged, [`READ`] bytes of each at a time;
//! before they are more than [`RUNS`], they are merged into one. So memory is bounded by `BUFFER + RUNS * READ`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const BUFFER: usize = 16 << 20;
const READ: usize = 64 << 10;
const RUNS: usize = 128;
/// Before each record: when it is, and how long.
const HEAD: usize = 12;

/// Takes records in any order.
pub struct Sorter {
    folder: PathBuf,
    limit: usize,
    bytes: Vec<u8>,
    /// When the records of `bytes` are, and where.
    index: Vec<(i64, usize)>,
    file: Option<File>,
    end: u64,
    runs: Vec<Run>,
}

/// Records in order, in a file.
struct Run {
    at: u64,
    end: u64,
    last: i64,
}

impl Sorter {
    /// None yet; files are made in `folder`, where they are needed.
    pub fn new(folder: &Path) -> Sorter {
        Sorter {
            folder: folder.to_owned(),
            limit: BUFFER,
            bytes: Vec::new(),
            index: Vec::new(),
            file: None,
            end: 0,
            runs: Vec::new(),
        }
    }

    /// Adds a record; `write` appends its bytes.
    pub fn add(&mut self, at: i64, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&at.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - HEAD).map_err(io::Error::other)?;
        if let Some(field) = self.bytes.get_mut(start + 8..start + HEAD) {
            field.copy_from_slice(&length.to_le_bytes());
        }
        self.index.push((at, start));
        if self.bytes.len() >= self.limit {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes what is in memory as a run.
    fn spill(&mut self) -> io::Result<()> {
        // a stable order: records of the same moment stay as they came
        self.index.sort_unstable();
        let (Some((first, _)), Some((last, _))) = (self.index.first(), self.index.last()) else {
            return Ok(());
        };
        let (first, last, at) = (*first, *last, self.end);
        if self.file.is_none() {
            private(&self.folder)?;
            self.file = Some(tempfile::tempfile_in(&self.folder)?);
        }
        if let Some(file) = &self.file {
            let mut out = io::BufWriter::with_capacity(1 << 20, file);
            for (_, start) in &self.index {
                out.write_all(record(&self.bytes, *start))?;
            }
            out.flush()?;
        }
        self.end += self.bytes.len() as u64;
        self.bytes.clear();
        self.index.clear();
        match self.runs.last_mut() {
            Some(run) if run.last <= first => (run.end, run.last) = (self.end, last),
            _ => self.runs.push(Run {
                at,
                end: self.end,
                last,
            }),
        }
        if self.runs.len() >= RUNS {
            self.join()?;
        }
        Ok(())
    }

    /// Makes all runs one, in a file of its own.
    fn join(&mut self) -> io::Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let last = self.runs.iter().map(|run| run.last).max().unwrap_or(0);
        let mut sorted = Sorted::of_runs(file, std::mem::take(&mut self.runs))?;
        let joined = tempfile::tempfile_in(&self.folder)?;
        let mut out = io::BufWriter::with_capacity(1 << 20, &joined);
        while let Some((at, bytes)) = sorted.next()? {
            out.write_all(&at.to_le_bytes())?;
            out.write_all(&(bytes.len() as u32).to_le_bytes())?;
            out.write_all(bytes)?;
        }
        out.flush()?;
        drop(out);
        self.runs.push(Run {
            at: 0,
            end: self.end,
            last,
        });
        self.file = Some(joined);
        Ok(())
    }

    /// Gives them back in order.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if self.file.is_none() {
            self.index.sort_unstable();
            return Ok(Sorted(Kind::Memory {
                bytes: self.bytes,
                index: self.index.into_iter(),
            }));
        }
        self.spill()?;
        match self.file {
            Some(file) => Sorted::of_runs(file, self.runs),
            None => Err(io::Error::other("records were lost")),
        }
    }
}

/// A record with its head.
fn record(bytes: &[u8], start: usize) -> &[u8] {
    let rest = bytes.get(start..).unwrap_or_default();
    let length = head(rest).map_or(0, |(_, length)| length);
    rest.get(..HEAD + length).unwrap_or_default()
}

fn head(bytes: &[u8]) -> Option<(i64, usize)> {
    let (at, rest) = bytes.split_first_chunk::<8>()?;
    let length = rest.first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    Some((i64::from_le_bytes(*at), length))
}

/// A folder for its owner alone.
fn private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Records in the order of time.
pub struct Sorted(Kind);

enum Kind {
    Memory {
        bytes: Vec<u8>,
        index: std::vec::IntoIter<(i64, usize)>,
    },
    Runs {
        file: File,
        runs: Vec<Reading>,
        /// The next record of each run that has one.
        next: BinaryHeap<Reverse<(i64, usize)>>,
        /// The run whose record was given last.
        given: Option<usize>,
    },
}

/// A run that is read.
struct Reading {
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Reading {
    /// When the next record is; what is wanted of it is in the buffer then.
    fn peek(&mut self, file: &File) -> io::Result<Option<i64>> {
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let wanted = match head(rest) {
                Some((at, length)) if rest.len() >= HEAD + length => return Ok(Some(at)),
                Some((_, length)) => HEAD + length,
                None => HEAD,
            };
            if self.at == self.end && rest.is_empty() {
                return Ok(None);
            }
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let more = READ.max(wanted - rest.len()).min(left);
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            let before = self.buffer.len();
            self.buffer.resize(before + more, 0);
            file.read_exact_at(&mut self.buffer[before..], self.at)?;
            self.at += more as u64;
        }
    }

    fn take(&mut self) -> &[u8] {
        let start = self.used;
        let rest = self.buffer.get(start..).unwrap_or_default();
        let length = head(rest).map_or(0, |(_, length)| length);
        self.used = start + HEAD + length;
        self.buffer.get(start + HEAD..self.used).unwrap_or_default()
    }
}

impl Sorted {
    fn of_runs(file: File, runs: Vec<Run>) -> io::Result<Sorted> {
        let mut next = BinaryHeap::new();
        let mut readings = Vec::with_capacity(runs.len());
        for run in runs {
            let mut reading = Reading {
                at: run.at,
                end: run.end,
                buffer: Vec::new(),
                used: 0,
            };
            if let Some(at) = reading.peek(&file)? {
                next.push(Reverse((at, readings.len())));
            }
            readings.push(reading);
        }
        Ok(Sorted(Kind::Runs {
            file,
            runs: readings,
            next,
            given: None,
        }))
    }

    /// The next record: when it is, and its bytes.
    pub fn next(&mut self) -> io::Result<Option<(i64, &[u8])>> {
        match &mut self.0 {
            Kind::Memory { bytes, index } => Ok(index
                .next()
                .map(|(at, start)| (at, record(bytes, start).get(HEAD..).unwrap_or_default()))),
            Kind::Runs {
                file,
                runs,
                next,
                given,
            } => {
                if let Some(run) = given.take()
                    && let Some(at) = runs
                        .get_mut(run)
                        .map(|run| run.peek(file))
                        .transpose()?
                        .flatten()
                {
                    next.push(Reverse((at, run)));
                }
                let Some(Reverse((at, run))) = next.pop() else {
                    return Ok(None);
                };
                *given = Some(run);
                Ok(runs.get_mut(run).map(|run| (at, run.take())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts numbers with a buffer of some records; gives them back with the numbers of their turns.
    fn sort(times: &[i64], limit: usize) -> Vec<(i64, usize)> {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path());
        sorter.limit = limit;
        for (turn, at) in times.iter().enumerate() {
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(&turn.to_le_bytes());
                out.resize(out.len() + turn % 90, 7);
            };
            sorter.add(*at, write).unwrap();
        }
        assert!(sorter.runs.len() <= RUNS);
        let mut sorted = sorter.finish().unwrap();
        let mut found = Vec::new();
        while let Some((at, bytes)) = sorted.next().unwrap() {
            let (turn, rest) = bytes.split_first_chunk::<8>().unwrap();
            let turn = usize::from_le_bytes(*turn);
            assert!(rest.len() == turn % 90 && rest.iter().all(|byte| *byte == 7));
            found.push((at, turn));
        }
        found
    }

    #[test]
    fn records_come_back_in_order_whatever_fits_into_memory() {
        let mixed: Vec<i64> = (0..40_000_i64).map(|n| (n * 7919) % 1000 - 500).collect();
        let sorted: Vec<i64> = (0..40_000).map(|n| n / 3).collect();
        for times in [&mixed, &sorted, &Vec::new()] {
            let mut wanted: Vec<_> = times
                .iter()
                .copied()
                .enumerate()
                .map(|(turn, at)| (at, turn))
                .collect();
            wanted.sort_unstable();
            for limit in [1000, 100_000, usize::MAX] {
                assert!(sort(times, limit) == wanted, "{limit}");
            }
        }
    }

    #[test]
    fn what_comes_sorted_is_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path());
        sorter.limit = 100;
        for at in 0..1000 {
            sorter.add(at, |out| out.push(1)).unwrap();
        }
        assert_eq!(sorter.runs.len(), 1);
    }
}
