//! A flow.

use crate::conn::{Count, State};
use crate::record::record;

record! {
    /// A flow.
    pub struct Flow ("flow")
    with {
        /// Whether it is of UDP.
        udp: bool,
        /// What the local end sent.
        local: Count,
        /// What the remote end sent.
        remote: Count,
        /// What the local end sends a second.
        local_rate: Count,
        /// What the remote end sends a second.
        remote_rate: Count,
    }
    data {
        /// State of the flow: `open`, `in_progress`, `closed`.
        state: State = "data.state", "flow_state", Str;
        /// Protocols that were found in it, as `protocol` names them.
        l7_detected: Vec<&'static str> = "data.l7Detected", "flow_l7_detected", StrList;
        /// Number that all flows between the same peers have in common.
        group: u64 = "data.groupId", "flow_group_id", Int;
    }
    also {
        /// Packets that the local end sent.
        "data.localPackets", "flow_local_pkts", Int, Entry => |r, _| r.local.packets();
        /// Bytes that the local end sent.
        "data.localBytes", "flow_local_bytes", Int, Entry => |r, _| r.local.bytes();
        /// Packets that the remote end sent.
        "data.remotePackets", "flow_remote_pkts", Int, Entry => |r, _| r.remote.packets();
        /// Bytes that the remote end sent.
        "data.remoteBytes", "flow_remote_bytes", Int, Entry => |r, _| r.remote.bytes();
        /// Packets that the local end sent, a second.
        "data.localPps", "flow_local_pps", Int, Entry => |r, _| r.local_rate.packets();
        /// Bytes that the local end sent, a second.
        "data.localBps", "flow_local_bps", Int, Entry => |r, _| r.local_rate.bytes();
        /// Packets that the remote end sent, a second.
        "data.remotePps", "flow_remote_pps", Int, Entry => |r, _| r.remote_rate.packets();
        /// Bytes that the remote end sent, a second.
        "data.remoteBps", "flow_remote_bps", Int, Entry => |r, _| r.remote_rate.bytes();
    }
    shown |r, x| {
        info: if r.udp { &super::UDP } else { &super::TCP },
        summary: r.state.name(),
        method: "",
        status: (r.state.name(), None),
        ok: true,
    }
}
