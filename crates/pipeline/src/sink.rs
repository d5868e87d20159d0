//! Who takes what a shard puts out.

use gillnet_capture::{Frame, Interface, StoredFrame};
use gillnet_entry::{Entry, Name};
use std::net::IpAddr;
use std::sync::Arc;

/// Wants of the plan, as bits: those that an entry matched, or that record a stream.
pub type Matched = u128;

/// Takes entries on the shard's own thread; what it needs longer it detaches.
pub trait Consumer: Send {
    /// An entry that matched at least one want. `false` asks the shard to stop (enough was found).
    fn entry(&mut self, entry: &Entry<'_>, matched: Matched) -> bool;
    /// A packet came in, wanted or not; only where the plan says that packets are seen ([`crate::Plan::with_packets`]).
    fn packet(&mut self, _: &PacketSeen) {}
    /// A batch is over: what was gathered may be handed on.
    fn flush(&mut self) {}
}

/// What is told of every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketSeen {
    /// When it was captured, ns since the epoch.
    pub ts: i64,
    /// Bytes of it that were captured.
    pub captured: u32,
    /// Bytes that it had on the wire.
    pub wire: u32,
    /// Whether it is a fragment of an IP packet.
    pub fragmented: bool,
}

/// What a recorder is told of a stream when a want first matches in it.
#[derive(Clone, Debug)]
pub struct StreamStart<'a> {
    /// The stream's number.
    pub number: u64,
    /// Whether it is UDP.
    pub udp: bool,
    /// Both ends.
    pub ends: [(IpAddr, u16); 2],
    /// Their names.
    pub names: [&'a Arc<Name>; 2],
    /// Time from which on the stream is whole, where its beginning had left the ring.
    pub truncated_before: Option<i64>,
}

/// Takes whole streams on the shard's own thread. Must never block.
pub trait StreamRecorder: Send {
    /// A want of the plan (its bit) matched in a stream for the first time; its frames so far follow.
    fn begin(&mut self, want: u8, start: &StreamStart<'_>);
    /// A frame of a stream for these wants. `false`: the queue was full and the frame is lost.
    fn frame(&mut self, stream: u64, wants: Matched, frame: &StoredFrame<'_>) -> bool;
    /// A recorded stream ended.
    fn end(&mut self, stream: u64);
    /// The interfaces that frames name by number.
    fn interfaces(&mut self, interfaces: &[Interface]);
    /// A batch is over, at this time.
    fn flush(&mut self, now: i64);
}

/// Takes every frame, wanted or not, on the shard's own thread. Must never block.
pub trait FrameSink: Send {
    /// A frame. `false`: there was no room, and it is lost.
    fn frame(&mut self, frame: &Frame<'_>) -> bool;
    /// The interfaces that frames name by number.
    fn interfaces(&mut self, interfaces: &[Interface]);
    /// A batch is over, at this time; the kernel has dropped so many frames so far.
    fn flush(&mut self, now: i64, kernel_dropped: u64);
    /// Frames that it took and that were lost behind it, so far.
    fn lost(&self) -> u64;
}

/// Sees each frame of each wanted flow: (stream number, UDP, frame). For exports and inspection.
pub type FrameTap = Box<dyn FnMut(u64, bool, &gillnet_capture::Frame<'_>) + Send>;
