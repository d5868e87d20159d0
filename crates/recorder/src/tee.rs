//! From the shard to the recorder: the same streams, in the recorder's words.

use gillnet_capture::{Interface, StoredFrame};
use gillnet_pipeline::{Matched, StreamRecorder, StreamStart};

use crate::record::{self, Frame, LostBefore};
use crate::{Handle, RuleId};

/// Hands what a shard records to a recorder.
#[derive(Debug)]
pub struct Tee {
    handle: Handle,
}

impl Tee {
    /// A tee into this handle.
    #[must_use]
    pub fn new(handle: Handle) -> Tee {
        Tee { handle }
    }
}

impl StreamRecorder for Tee {
    fn begin(&mut self, want: u8, start: &StreamStart<'_>) {
        let Some(rule) = RuleId::of_index(want) else {
            return;
        };
        let lost_before = start.truncated_before.map(|since| LostBefore {
            packets: None,
            since,
        });
        let stream = record::StreamStart {
            number: start.number,
            udp: start.udp,
            ends: start.ends,
            lost_before,
        };
        self.handle.begin(rule, &stream);
        for (end, name) in start.ends.iter().zip(start.names) {
            if **name != gillnet_entry::Name::default() {
                self.handle.name(start.number, *end, name, name.since);
            }
        }
    }

    fn frame(&mut self, stream: u64, wants: Matched, frame: &StoredFrame<'_>) -> bool {
        let frame = Frame {
            ts: frame.ts,
            iface: frame.iface,
            link: frame.link,
            direction: frame.direction,
            wire_len: frame.wire_len,
            data: frame.data,
        };
        self.handle.frame(stream, wants, &frame)
    }

    fn end(&mut self, stream: u64) {
        self.handle.end(stream);
    }

    fn interfaces(&mut self, interfaces: &[Interface]) {
        self.handle.interfaces(interfaces);
    }

    fn flush(&mut self, _: i64) {
        self.handle.flush_batch();
    }
}
