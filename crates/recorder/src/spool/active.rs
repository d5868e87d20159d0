//! An active log: records appended as they come, written through with each batch.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;

use foldhash::fast::RandomState;
use gillnet_capture::LinkType;

use crate::fs::{File, write_through};
use crate::record::{self, LogHead, Record};

/// End of an active log's file name.
pub(crate) const LOG: &str = ".log";

/// What a log says already, so that it is said once in it.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) streams: HashSet<u64, RandomState>,
    pub(crate) interfaces: HashSet<(u32, LinkType), RandomState>,
    /// Hashes of what addresses were called.
    pub(crate) names: HashSet<u64, RandomState>,
}

/// A log of one rule and one hour, being written.
pub(crate) struct ActiveLog {
    pub(crate) head: LogHead,
    pub(crate) path: PathBuf,
    pub(crate) said: Said,
    /// See [`super::inventory::Closed::spread`].
    pub(crate) spread: u64,
    file: Box<dyn File>,
    /// Length up to the last record that is whole.
    len: u64,
    /// Records not yet written.
    pending: Vec<u8>,
    /// Frames written.
    frames: u64,
    /// Bytes of frames, as they are in the object before packing; pending ones too.
    packet_bytes: u64,
    /// A torn record is at its end and can't be cut off: nothing can follow.
    torn: bool,
}

/// Why frames are lost.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The spool is at its limit, and nothing in it can go.
    Limit,
    /// The disk is full: what is left is for sealing and noting.
    Full,
    /// The system refused.
    Io(io::Error),
}

/// What became of pending records.
#[derive(Default)]
pub(crate) struct Written {
    /// Bytes by which the file grew.
    pub(crate) bytes: u64,
    /// Frames that are in the file.
    pub(crate) frames: u64,
    /// Frames that were lost, by stream.
    pub(crate) lost: HashMap<u64, u64>,
    /// Why.
    pub(crate) cause: Option<Cause>,
}

/// What a frame costs in a capture file besides its bytes (pcapng §4.3).
const PACKET_OVERHEAD: u64 = 44;

impl ActiveLog {
    pub(crate) fn new(
        head: LogHead,
        path: PathBuf,
        spread: u64,
        file: Box<dyn File>,
    ) -> io::Result<Self> {
        let mut pending = Vec::new();
        record::put_head(&mut pending, &head)?;
        record::fill_crc(&mut pending);
        let said = Said::default();
        Ok(Self {
            head,
            path,
            said,
            spread,
            file,
            len: 0,
            pending,
            frames: 0,
            packet_bytes: 0,
            torn: false,
        })
    }

    /// Appends a frame's record, whose CRC is there; the frame has `len` bytes.
    pub(crate) fn append(&mut self, record: &[u8], len: usize) {
        self.pending.extend_from_slice(record);
        self.packet_bytes += len as u64 + PACKET_OVERHEAD;
    }

    /// Appends a record.
    pub(crate) fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let start = self.pending.len();
        put(&mut self.pending);
        if let Some(record) = self.pending.get_mut(start..) {
            record::fill_crc(record);
        }
    }

    pub(crate) fn packet_bytes(&self) -> u64 {
        self.packet_bytes
    }

    /// Length of the file, and frames in it.
    pub(crate) fn written(&self) -> (u64, u64) {
        (self.len, self.frames)
    }

    pub(crate) fn pending(&self) -> u64 {
        self.pending.len() as u64
    }

    /// Whether it can go on: not torn, and its head is written.
    pub(crate) fn can_go_on(&self) -> bool {
        !self.torn && self.len > 0
    }

    /// Writes what is pending. What does not go through is lost, is said so, and leaves the file
    /// ending with a whole record.
    pub(crate) fn write(&mut self) -> Written {
        let (done, result) = write_through(&mut *self.file, &self.pending);
        let mut out = Written::default();
        let (mut whole, mut end) = (0, 0);
        let mut rest = self.pending.as_slice();
        while let Some((record, behind)) = record::split(rest) {
            let frame = match record::decode(record) {
                Some(Record::Frame { stream, .. }) => Some(stream),
                _ => None,
            };
            end += record.len();
            if end <= done {
                whole = end;
                out.frames += u64::from(frame.is_some());
            } else if let Some(stream) = frame {
                *out.lost.entry(stream).or_default() += 1;
            }
            rest = behind;
        }
        self.pending.clear();
        self.len += whole as u64;
        self.frames += out.frames;
        out.bytes = whole as u64;
        if let Err(error) = result {
            // what stood between the frames may be lost too, and is said again
            self.said = Said::default();
            self.torn = done > whole && self.file.truncate(self.len).is_err();
            out.cause = Some(Cause::Io(error));
        }
        out
    }

    /// Gives up what is pending. Where that is the head, the log can't go on.
    pub(crate) fn give_up(&mut self, cause: Cause) -> Written {
        let mut out = Written {
            cause: Some(cause),
            ..Written::default()
        };
        let mut rest = self.pending.as_slice();
        while let Some((record, behind)) = record::split(rest) {
            if let Some((stream, _)) = record::frame(record) {
                *out.lost.entry(stream).or_default() += 1;
            }
            rest = behind;
        }
        self.said = Said::default();
        self.pending.clear();
        out
    }
}
