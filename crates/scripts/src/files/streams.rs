//! The packets of a stream, wherever they are kept.

use gillnet_capture::{Frame, FrameHeader, NO_POS, Store};
use gillnet_pipeline::{Control, FrameTap};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What of a stream was still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readback {
    /// All of it, as far as it has come.
    Whole,
    /// Its last packets; the first had left the ring.
    Cut,
    /// Nothing.
    Gone,
}

/// Takes a frame of a stream.
pub type EachFrame<'f> = dyn FnMut(&FrameHeader, &[u8]) -> io::Result<()> + 'f;

/// Gives the packets of streams to scripts. May block; is called from scripts' own threads.
pub trait StreamFiles: Send + Sync {
    /// Hands on the frames of a stream that are there now, in order of time.
    ///
    /// # Errors
    /// Those of `each`.
    fn read(&self, stream: u64, each: &mut EachFrame<'_>) -> io::Result<Readback>;

    /// Names of the streams that may be read: `000000017720.pcap`.
    fn streams(&self) -> Vec<String>;
}

/// Where there are no packets: on a hub.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStreams;

impl StreamFiles for NoStreams {
    fn read(&self, _: u64, _: &mut EachFrame<'_>) -> io::Result<Readback> {
        Ok(Readback::Gone)
    }

    fn streams(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Reads streams back from the byte ring of a running shard.
#[derive(Clone, Debug)]
pub struct RingStreams {
    control: Arc<Control>,
    store: Store,
}

/// How long a shard may take to say where a stream is: between two batches.
const PATIENCE: Duration = Duration::from_secs(5);

impl RingStreams {
    /// The streams of the shard behind this control, whose frames are in this ring.
    pub fn new(control: Arc<Control>, store: Store) -> RingStreams {
        RingStreams { control, store }
    }
}

impl StreamFiles for RingStreams {
    fn read(&self, stream: u64, each: &mut EachFrame<'_>) -> io::Result<Readback> {
        let Some(newest) = self.control.newest_frame(stream, PATIENCE) else {
            return Ok(Readback::Gone);
        };
        let mut frames = Vec::new();
        let (mut pos, mut whole, mut data) = (newest, true, Vec::new());
        while pos != NO_POS {
            data.clear();
            let Some(frame) = self.store.copy_frame(pos, &mut data) else {
                whole = false;
                break;
            };
            frames.push((frame.ts, pos));
            pos = frame.prev;
        }
        // oldest first; those of one time in the order in which they came
        frames.reverse();
        frames.sort_by_key(|(ts, _)| *ts);
        hand_on(&self.store, frames.iter().map(|(_, pos)| *pos), whole, each)
    }

    fn streams(&self) -> Vec<String> {
        let streams = self.control.streams(PATIENCE);
        streams
            .into_iter()
            .map(|(number, udp)| name(number, udp))
            .collect()
    }
}

fn name(number: u64, udp: bool) -> String {
    format!("{number:012}{}.pcap", if udp { "_udp" } else { "" })
}

fn hand_on(
    store: &Store,
    frames: impl Iterator<Item = u64>,
    mut whole: bool,
    each: &mut EachFrame<'_>,
) -> io::Result<Readback> {
    let (mut any, mut data) = (false, Vec::new());
    for pos in frames {
        data.clear();
        match store.copy_frame(pos, &mut data) {
            Some(frame) => {
                any = true;
                each(&frame, &data)?;
            }
            // overwritten while it was read
            None => whole = false,
        }
    }
    Ok(match (any, whole) {
        (false, _) => Readback::Gone,
        (true, true) => Readback::Whole,
        (true, false) => Readback::Cut,
    })
}

/// The frames of streams in captures that are read from files.
#[derive(Clone, Debug, Default)]
pub struct TappedStreams(Arc<Mutex<Tapped>>);

#[derive(Debug, Default)]
struct Tapped {
    streams: BTreeMap<u64, Stream>,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Stream {
    udp: bool,
    cut: bool,
    frames: Vec<(FrameHeader, Box<[u8]>)>,
}

/// Bytes of frames that are kept of a capture file.
const KEPT: u64 = 256 << 20;

impl TappedStreams {
    /// What is to see the frames of wanted flows.
    pub fn tap(&self) -> FrameTap {
        let tapped = Arc::clone(&self.0);
        Box::new(move |stream, udp, frame| {
            let mut tapped = tapped.lock().unwrap_or_else(PoisonError::into_inner);
            tapped.take(stream, udp, frame);
        })
    }
}

impl Tapped {
    fn take(&mut self, stream: u64, udp: bool, frame: &Frame<'_>) {
        let kept = self.bytes + frame.data.len() as u64 <= KEPT;
        let of = self.streams.entry(stream).or_default();
        of.udp = udp;
        if !kept {
            of.cut = true;
            return;
        }
        let header = FrameHeader::of(frame, NO_POS);
        of.frames.push((header, frame.data.into()));
        self.bytes += frame.data.len() as u64;
    }
}

impl StreamFiles for TappedStreams {
    fn read(&self, stream: u64, each: &mut EachFrame<'_>) -> io::Result<Readback> {
        let tapped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = tapped.streams.get(&stream).filter(|s| !s.frames.is_empty()) else {
            return Ok(Readback::Gone);
        };
        let mut frames: Vec<_> = stream.frames.iter().collect();
        frames.sort_by_key(|(frame, _)| frame.ts);
        for (frame, data) in frames {
            each(frame, data)?;
        }
        Ok(if stream.cut {
            Readback::Cut
        } else {
            Readback::Whole
        })
    }

    fn streams(&self) -> Vec<String> {
        let tapped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = tapped.streams.iter();
        streams
            .map(|(number, stream)| name(*number, stream.udp))
            .collect()
    }
}
