//! Plain counters of a shard, published once a batch.

use gillnet_capture::SourceStats;
use gillnet_entry::drops::Drops;
use std::sync::Mutex;

/// What a shard has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Frames that came in.
    pub frames: u64,
    /// Bytes of them, as on the wire.
    pub bytes: u64,
    /// Frames that belonged to a wanted flow and were not copies.
    pub kept: u64,
    /// TCP packets among all.
    pub tcp_packets: u64,
    /// UDP packets among all.
    pub udp_packets: u64,
    /// ICMP packets among all.
    pub icmp_packets: u64,
    /// DNS messages in entries.
    pub dns_packets: u64,
    /// Chunks handed to dissectors.
    pub chunks: u64,
    /// Streams begun.
    pub streams: u64,
    /// Entries.
    pub entries: u64,
    /// Entries with request and response.
    pub pairs: u64,
    /// Streams recorded.
    pub recorded_streams: u64,
    /// Frames handed to the recorder.
    pub recorded_frames: u64,
    /// TCP streams that are followed now.
    pub live_tcp_streams: u64,
    /// Time of the newest packet, ns since the epoch.
    pub newest: i64,
    /// What was dropped, by reason.
    pub drops: Drops,
    /// The source's own counters.
    pub source: SourceStats,
}

impl Counters {
    /// Adds the counters of another shard.
    pub fn add(&mut self, other: &Counters) {
        for (mine, theirs) in [
            (&mut self.frames, other.frames),
            (&mut self.bytes, other.bytes),
            (&mut self.kept, other.kept),
            (&mut self.tcp_packets, other.tcp_packets),
            (&mut self.udp_packets, other.udp_packets),
            (&mut self.icmp_packets, other.icmp_packets),
            (&mut self.dns_packets, other.dns_packets),
            (&mut self.chunks, other.chunks),
            (&mut self.streams, other.streams),
            (&mut self.entries, other.entries),
            (&mut self.pairs, other.pairs),
            (&mut self.recorded_streams, other.recorded_streams),
            (&mut self.recorded_frames, other.recorded_frames),
            (&mut self.live_tcp_streams, other.live_tcp_streams),
        ] {
            *mine += theirs;
        }
        self.newest = self.newest.max(other.newest);
        self.drops.merge(&other.drops);
    }
}

/// Where a shard shows its counters to other threads.
#[derive(Debug, Default)]
pub struct Board(Mutex<Counters>);

impl Board {
    /// Shows new counters.
    pub fn publish(&self, counters: &Counters) {
        self.locked(|shown| shown.clone_from(counters));
    }

    /// The counters shown last.
    pub fn read(&self) -> Counters {
        self.locked(|shown| shown.clone())
    }

    fn locked<T>(&self, use_it: impl FnOnce(&mut Counters) -> T) -> T {
        // numbers stay usable where a reader panicked
        use_it(
            &mut self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}
