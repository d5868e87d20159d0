//! Marks of segments, and what a crash left of a segment.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use gillnet_capture::{FileView, Lend};
use serde::{Deserialize, Serialize};

/// End of a segment's file name.
const SEGMENT: &str = "pcapng";
/// What a mark takes of the ring's size.
pub(super) const MARK_BYTES: u64 = 4096;
const VERSION: u32 = 1;

/// Frames that are missing from a segment, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// Dropped by the kernel, whose ring was full.
    pub kernel: u64,
    /// Found the queue full.
    pub queue: u64,
    /// Not taken by the disk.
    pub disk: u64,
    /// Bytes of a torn end that were cut off.
    pub cut_bytes: u64,
}

impl Lost {
    /// Adds what another segment lost.
    pub fn add(&mut self, other: Lost) {
        self.kernel += other.kernel;
        self.queue += other.queue;
        self.disk += other.disk;
        self.cut_bytes += other.cut_bytes;
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What a segment is; times in nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mark {
    version: u32,
    pub(super) node: String,
    pub(super) run: u64,
    /// It has every frame that was captured from here …
    pub(super) from: i64,
    /// … to here, but for what was lost.
    pub(super) to: i64,
    /// Of its earliest and its latest frame; 0 where there is none.
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// It is being written.
    pub(super) open: bool,
    pub(super) lost: Lost,
}

impl Mark {
    pub(super) fn new(node: &str, run: u64, from: i64) -> Self {
        Self {
            version: VERSION,
            node: node.to_owned(),
            run,
            from,
            to: from,
            first: 0,
            last: 0,
            packets: 0,
            bytes: 0,
            open: true,
            lost: Lost::default(),
        }
    }

    /// Counts frames between two times.
    pub(super) fn add(&mut self, packets: u64, first: i64, last: i64) {
        (self.first, self.last) = match self.packets {
            0 => (first, last),
            _ => (self.first.min(first), self.last.max(last)),
        };
        self.packets += packets;
        self.to = self.to.max(last);
        self.from = self.from.min(first);
    }

    pub(super) fn read(segment: &Path) -> io::Result<Self> {
        let text = std::fs::read(segment.with_extension("json"))?;
        serde_json::from_slice(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }

    /// Writes it beside, and puts it in place at once.
    pub(super) fn write(&self, segment: &Path) -> io::Result<()> {
        let fresh = segment.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(self)?)?;
        std::fs::rename(&fresh, segment.with_extension("json"))
    }
}

/// The file of a segment.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.{SEGMENT}"))
}

/// The segments of a ring, by number.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|end| end == SEGMENT)) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes a segment with its mark.
pub(super) fn remove(segment: &Path) -> io::Result<()> {
    let there = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    there(std::fs::remove_file(segment))?;
    there(std::fs::remove_file(segment.with_extension("json")))
}

/// Cuts off what a crash tore, and closes the segment's mark. `None` where nothing is left of it, and it is removed.
pub(super) fn recover(segment: &Path) -> io::Result<Option<Mark>> {
    let marked = Mark::read(segment).ok();
    if let Some(mark) = marked.clone().filter(|mark| !mark.open) {
        return Ok(Some(mark));
    }
    let file = File::options().read(true).write(true).open(segment)?;
    let view = FileView::new(&file)?;
    let (mut mark, whole) = scan(view.bytes());
    let length = view.bytes().len() as u64;
    drop(view);
    if mark.packets == 0 {
        remove(segment)?;
        return Ok(None);
    }
    if let Some(marked) = marked {
        mark = Mark {
            from: marked.from.min(mark.first),
            // alive until then, without a frame
            to: marked.to.max(mark.last),
            lost: marked.lost,
            node: marked.node,
            run: marked.run,
            ..mark
        };
    }
    if whole < length {
        tracing::warn!(segment = %segment.display(), bytes = length - whole, "the segment's end is torn and was cut off");
        file.set_len(whole)?;
        mark.lost.cut_bytes += length - whole;
    }
    mark.bytes = whole;
    mark.open = false;
    file.sync_all()?;
    mark.write(segment)?;
    Ok(Some(mark))
}

/// What is in a segment's bytes, and how many of them are whole blocks.
fn scan(bytes: &[u8]) -> (Mark, u64) {
    const ENHANCED_PACKET: u32 = 6;
    let mut mark = Mark::new("", 0, i64::MAX);
    mark.to = i64::MIN;
    let word = |at: usize| {
        let four = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(four.try_into().ok()?))
    };
    let block = |at: usize| {
        let (kind, length) = (word(at)?, word(at + 4)? as usize);
        let end = at.checked_add(length)?;
        (length >= 12 && length.is_multiple_of(4) && word(end - 4)? as usize == length)
            .then_some((kind, end))
    };
    let mut at = 0;
    while let Some((kind, end)) = block(at) {
        if kind == ENHANCED_PACKET
            && let (Some(high), Some(low)) = (word(at + 12), word(at + 16))
        {
            let ts = (u64::from(high) << 32 | u64::from(low)).cast_signed();
            mark.add(1, ts, ts);
        }
        at = end;
    }
    (mark, at as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_capture::write::{PacketBlock, SectionBlock, packet_block, section_block};

    #[test]
    fn a_torn_end_is_cut_at_each_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = segment_path(dir.path(), 3);
        let mut whole = Vec::new();
        section_block(&mut whole, &SectionBlock::default());
        let mut ends = vec![];
        for n in 0..5u8 {
            packet_block(
                &mut whole,
                &PacketBlock {
                    iface: 0,
                    ts: 1000 + i64::from(n),
                    wire_len: 7,
                    direction: gillnet_capture::PacketDirection::In,
                    data: &[n; 7],
                    comment: None,
                    custom: &[],
                },
            );
            ends.push(whole.len());
        }
        for cut in 0..=whole.len() {
            for more in [0, 40] {
                let torn = [&whole[..cut], &vec![0xaa; more]].concat();
                std::fs::write(&path, &torn).unwrap();
                let left = ends.iter().filter(|end| **end <= cut).count();
                let mark = recover(&path).unwrap();
                assert_eq!(mark.is_some(), left > 0);
                let Some(mark) = mark else {
                    assert!(!path.exists());
                    continue;
                };
                assert_eq!(mark.packets, left as u64);
                assert_eq!((mark.first, mark.last), (1000, 999 + left as i64));
                let length = std::fs::metadata(&path).unwrap().len();
                assert_eq!(length as usize, ends[left - 1]);
                assert_eq!(mark.lost.cut_bytes, torn.len() as u64 - length);
                assert_eq!(recover(&path).unwrap(), Some(mark));
                remove(&path).unwrap();
            }
        }
    }
}
