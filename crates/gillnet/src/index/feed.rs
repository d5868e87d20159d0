//! From the shard to a recording of captures: whatever is behind, nothing is dropped.

use super::progress::Meter;
use crate::lock::lock;
use gillnet_capture::{Interface, StoredFrame};
use gillnet_pipeline::{Control, Matched, StreamRecorder, StreamStart};
use gillnet_recorder::{BatchError, Handle, Pump, Tee};
use std::sync::{Arc, Mutex};

/// Bytes of frames after which they are written: far less than the queue holds.
const WRITE_AT: usize = 4 << 20;

/// Why feeding stopped.
#[derive(Clone, Default)]
pub struct Failed(Arc<Mutex<Option<BatchError>>>);

impl Failed {
    /// The error, once.
    pub fn take(&self) -> Option<BatchError> {
        let mut failed = lock(&self.0);
        failed.take()
    }

    fn set(&self, error: BatchError) {
        let mut failed = lock(&self.0);
        failed.get_or_insert(error);
    }
}

/// Hands on what a shard records, and has it written while the shard waits.
pub struct Feed {
    tee: Tee,
    pump: Pump,
    control: Arc<Control>,
    meter: Meter,
    failed: Failed,
    has_failed: bool,
    bytes: usize,
}

impl Feed {
    pub fn new(handle: Handle, pump: Pump, control: Arc<Control>, meter: Meter) -> Feed {
        Feed {
            tee: Tee::new(handle),
            pump,
            control,
            meter,
            failed: Failed::default(),
            has_failed: false,
            bytes: 0,
        }
    }

    /// Why it stopped, to be asked afterwards.
    pub fn failed(&self) -> Failed {
        self.failed.clone()
    }

    fn drain(&mut self) {
        self.bytes = 0;
        if self.has_failed {
            return;
        }
        if let Err(error) = self.pump.drain() {
            self.has_failed = true;
            self.failed.set(error);
            self.control.stop();
        }
        self.meter.recorded(&self.pump.status());
    }
}

impl StreamRecorder for Feed {
    fn begin(&mut self, want: u8, start: &StreamStart<'_>) {
        self.tee.begin(want, start);
    }

    fn frame(&mut self, stream: u64, wants: Matched, frame: &StoredFrame<'_>) -> bool {
        // nothing of it is sealed any more
        if self.has_failed {
            return false;
        }
        self.bytes += frame.data.len();
        let taken = self.tee.frame(stream, wants, frame);
        if self.bytes >= WRITE_AT {
            self.drain();
        }
        taken
    }

    fn end(&mut self, stream: u64) {
        self.tee.end(stream);
    }

    fn interfaces(&mut self, interfaces: &[Interface]) {
        self.tee.interfaces(interfaces);
    }

    fn flush(&mut self, now: i64) {
        self.tee.flush(now);
        self.meter.read(&self.control.board().read());
        if self.bytes >= WRITE_AT / 4 {
            self.drain();
        }
    }
}
