//! What the flow table counts.

/// Counters of a [`Flows`](super::Flows) since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// TCP packets, copies included.
    pub tcp_packets: u64,
    /// UDP packets, copies included.
    pub udp_packets: u64,
    /// Packets seen again in another place.
    pub duplicates: u64,
    /// Times that a direction of a flow went on in another place.
    pub rehomed: u64,
    /// Flows opened.
    pub opened: u64,
    /// Flows closed, for whatever reason.
    pub closed: u64,
    /// Flows closed because they were idle.
    pub timed_out: u64,
    /// Flows put out of the full table, half open ones included, lingering ones not.
    pub evicted: u64,
    /// Half open flows put out of the full table.
    pub evicted_half_open: u64,
    /// TCP packets that brought nothing new: retransmissions, keep-alives, zero-window probes.
    pub retransmitted: u64,
    /// TCP bytes that were there already.
    pub retransmitted_bytes: u64,
    /// TCP packets that were held because bytes before them were missing.
    pub reordered: u64,
    /// Gaps handed on.
    pub gaps: u64,
    /// Bytes in gaps, whatever the reason.
    pub gap_bytes: u64,
    /// Of these, bytes that the snap length cut.
    pub cut_bytes: u64,
    /// Of these, bytes that left the byte store before they were in order.
    pub overwritten_bytes: u64,
    /// Holes given up because a limit of held bytes was reached.
    pub reorder_cuts: u64,
    /// TCP packets that fit nowhere: resets, segments and acknowledgements far out of the window.
    pub stray: u64,
}
