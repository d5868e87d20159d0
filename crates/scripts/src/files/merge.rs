//! Captures merged in time order, in memory bounded by their number.
//!
//! Frames go to one file without a name first, as runs in which time does not go back; then the runs are merged.

use gillnet_capture::write::{PcapResolution, PcapWriter};
use gillnet_capture::{Event, Input, LinkType, open_files};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes before a frame: time, link type, length on the wire, length.
const HEAD: usize = 8 + 4 + 4 + 4;
/// All buffers of runs together.
const BUFFERS: usize = 32 << 20;
/// Of one run.
const BUFFER: std::ops::RangeInclusive<usize> = 512..=65_536;

/// Captures that are being merged.
pub(crate) struct Merge {
    frames: BufWriter<File>,
    at: u64,
    runs: Vec<Run>,
    /// Time of the last frame.
    last: i64,
}

/// A part of the file in which time does not go back.
struct Run {
    at: u64,
    end: u64,
}

impl Merge {
    /// Nothing so far; `dir` has room for what comes.
    pub(crate) fn new(dir: &Path) -> io::Result<Merge> {
        Ok(Merge {
            frames: BufWriter::new(tempfile::tempfile_in(dir)?),
            at: 0,
            runs: Vec::new(),
            last: i64::MIN,
        })
    }

    /// Adds a capture of whatever kind.
    pub(crate) fn file(&mut self, file: &File) -> io::Result<()> {
        if file.metadata()?.len() == 0 {
            return Ok(());
        }
        // the file that is open, whatever its name means by now
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mut source = open_files(vec![Input::File(path.into())]).map_err(io::Error::other)?;
        self.begin();
        let before = self.at;
        loop {
            match source.next() {
                Ok(Event::Frame(frame)) => {
                    let (ts, link, wire_len) = (frame.ts, frame.link, frame.wire_len);
                    self.frame(ts, link, wire_len, frame.data)?;
                }
                Ok(Event::Tick(_)) => {}
                Ok(Event::End) => return Ok(()),
                Err(error) if error.is_fatal() || self.at == before => {
                    return Err(io::Error::other(error));
                }
                // one that is cut short or damaged is merged as far as it goes
                Err(_) => {}
            }
        }
    }

    fn begin(&mut self) {
        let at = self.at;
        self.runs.push(Run { at, end: at });
    }

    fn frame(&mut self, ts: i64, link: LinkType, wire_len: u32, data: &[u8]) -> io::Result<()> {
        let is_run = self.runs.last().is_some_and(|run| run.end > run.at);
        if is_run && ts < self.last {
            self.begin();
        }
        let len = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&ts.to_le_bytes());
        for (field, value) in head[8..]
            .chunks_exact_mut(4)
            .zip([link.dlt(), wire_len, len])
        {
            field.copy_from_slice(&value.to_le_bytes());
        }
        self.frames.write_all(&head)?;
        self.frames.write_all(data)?;
        self.at += (HEAD + data.len()) as u64;
        self.last = ts;
        if let Some(run) = self.runs.last_mut() {
            run.end = self.at;
        }
        Ok(())
    }

    /// Writes all as one capture.
    pub(crate) fn write(self, to: impl Write) -> io::Result<()> {
        let file = self
            .frames
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let buffer = BUFFERS / self.runs.len().max(1);
        let buffer = buffer.clamp(*BUFFER.start(), *BUFFER.end());
        let mut readers: Vec<_> = self
            .runs
            .iter()
            .map(|run| Reader::new(run, buffer))
            .collect();
        let mut heap = BinaryHeap::new();
        for (index, reader) in readers.iter_mut().enumerate() {
            if let Some(ts) = reader.peek(&file)? {
                heap.push(Reverse((ts, index)));
            }
        }
        let mut out = PcapWriter::new(BufWriter::new(to), PcapResolution::Nano)?;
        let mut data = Vec::new();
        while let Some(Reverse((_, index))) = heap.pop() {
            let Some(reader) = readers.get_mut(index) else {
                continue;
            };
            let (ts, link, wire_len) = reader.take(&file, &mut data)?;
            // a link type that has no form in the format is left out
            out.frame(ts, link, wire_len, &data)?;
            if let Some(ts) = reader.peek(&file)? {
                heap.push(Reverse((ts, index)));
            }
        }
        out.into_inner().flush()
    }
}

/// Reads a run, frame by frame.
struct Reader {
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
    size: usize,
}

impl Reader {
    fn new(run: &Run, size: usize) -> Reader {
        Reader {
            at: run.at,
            end: run.end,
            buffer: Vec::new(),
            used: 0,
            size,
        }
    }

    /// The next `N` bytes, without taking them.
    fn look(&mut self, file: &File, bytes: usize) -> io::Result<&[u8]> {
        if self.buffer.len() - self.used < bytes {
            self.buffer.drain(..self.used);
            self.used = 0;
            let held = self.buffer.len();
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let more = bytes.max(self.size).saturating_sub(held).min(left);
            self.buffer.resize(held + more, 0);
            let room = self.buffer.get_mut(held..).unwrap_or_default();
            file.read_exact_at(room, self.at)?;
            self.at += more as u64;
        }
        let end = self.used + bytes;
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        self.buffer.get(self.used..end).ok_or_else(short)
    }

    /// Time of the next frame.
    fn peek(&mut self, file: &File) -> io::Result<Option<i64>> {
        if self.at == self.end && self.used == self.buffer.len() {
            self.buffer = Vec::new();
            self.used = 0;
            return Ok(None);
        }
        let head = self.look(file, HEAD)?;
        Ok(head.first_chunk().map(|ts| i64::from_le_bytes(*ts)))
    }

    fn take(&mut self, file: &File, data: &mut Vec<u8>) -> io::Result<(i64, LinkType, u32)> {
        let mut head = [0; HEAD];
        head.copy_from_slice(self.look(file, HEAD)?);
        self.used += HEAD;
        let mut ts = [0; 8];
        ts.copy_from_slice(&head[..8]);
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let len = word(16) as usize;
        data.clear();
        data.extend_from_slice(self.look(file, len)?);
        self.used += len;
        Ok((
            i64::from_le_bytes(ts),
            LinkType::from_dlt(word(8)),
            word(12),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn frames_of_many_captures_come_in_order_of_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut merge = Merge::new(dir.path()).unwrap();
        let mut expected = Vec::new();
        for capture in 0..40i64 {
            let path = dir.path().join(format!("{capture}.pcap"));
            let mut out =
                PcapWriter::new(File::create(&path).unwrap(), PcapResolution::Nano).unwrap();
            for frame in 0..100i64 {
                // goes back once within each
                let ts = 1_000_000_000 + (frame % 50) * 1000 + capture * 7 % 13;
                let data = format!("{ts:014}{:1$}", "", (frame * 37 % 900) as usize);
                out.frame(ts, LinkType::Ethernet, 2000, data.as_bytes())
                    .unwrap();
                expected.push(ts);
            }
            drop(out);
            merge.file(&File::open(&path).unwrap()).unwrap();
        }
        merge
            .file(&File::create_new(dir.path().join("empty")).unwrap())
            .unwrap();
        expected.sort_unstable();
        let merged = dir.path().join("merged.pcap");
        merge.write(File::create(&merged).unwrap()).unwrap();
        let mut source = open_files(vec![Input::File(merged.clone())]).unwrap();
        let mut found = Vec::new();
        loop {
            match source.next().unwrap() {
                Event::Frame(frame) => {
                    let text = std::str::from_utf8(&frame.data[..14]).unwrap();
                    assert_eq!(text.parse::<i64>().unwrap(), frame.ts);
                    assert_eq!(frame.wire_len, 2000);
                    found.push(frame.ts);
                }
                Event::Tick(_) => {}
                Event::End => break,
            }
        }
        assert_eq!(found, expected);
        let mut none = Vec::new();
        let path = dir.path().join("none.pcap");
        Merge::new(dir.path())
            .unwrap()
            .write(File::create(&path).unwrap())
            .unwrap();
        File::open(&path).unwrap().read_to_end(&mut none).unwrap();
        assert_eq!(none.len(), 24);
    }

    #[test]
    fn what_is_no_capture_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.txt");
        std::fs::write(&path, "this is no capture, by any means at all").unwrap();
        let mut merge = Merge::new(dir.path()).unwrap();
        assert!(merge.file(&File::open(&path).unwrap()).is_err());
    }
}
