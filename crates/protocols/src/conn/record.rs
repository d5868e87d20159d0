//! A connection.

use crate::record::{Held, record};
use gillnet_entry::{Bytes, Ctx, Value};

/// How far a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// It began in this span of time.
    #[default]
    Open,
    /// It began before and goes on.
    InProgress,
    /// It has ended.
    Closed,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::InProgress => "in_progress",
            State::Closed => "closed",
        }
    }
}

impl Held for State {
    fn value<'a>(&'a self, _: &Ctx<'a>) -> Value<'a> {
        Value::Str(self.name())
    }

    fn detach(&self, _: &dyn Bytes, _: usize) -> Self {
        *self
    }
}

/// What one end sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Count {
    pub(crate) fn packets<'a>(self) -> Value<'a> {
        Value::Int(i64::try_from(self.packets).unwrap_or(i64::MAX))
    }

    pub(crate) fn bytes<'a>(self) -> Value<'a> {
        Value::Int(i64::try_from(self.bytes).unwrap_or(i64::MAX))
    }
}

record! {
    /// A connection.
    pub struct Conn ("conn")
    with {
        /// Whether it is of UDP.
        udp: bool,
        /// What the local end sent.
        local: Count,
        /// What the remote end sent.
        remote: Count,
    }
    data {
        /// State of the connection: `open`, `in_progress`, `closed`.
        state: State = "data.state", "conn_state", Str;
        /// Protocols that were found in it, as `protocol` names them.
        l7_detected: Vec<&'static str> = "data.l7Detected", "conn_l7_detected", StrList;
        /// Number that all connections between the same ends have in common.
        group: u64 = "data.groupId", "conn_group_id", Int;
    }
    also {
        /// Packets that the local end sent.
        "data.localPackets", "conn_local_pkts", Int, Entry => |r, _| r.local.packets();
        /// Bytes that the local end sent.
        "data.localBytes", "conn_local_bytes", Int, Entry => |r, _| r.local.bytes();
        /// Packets that the remote end sent.
        "data.remotePackets", "conn_remote_pkts", Int, Entry => |r, _| r.remote.packets();
        /// Bytes that the remote end sent.
        "data.remoteBytes", "conn_remote_bytes", Int, Entry => |r, _| r.remote.bytes();
    }
    shown |r, x| {
        info: if r.udp { &super::UDP } else { &super::TCP },
        summary: r.state.name(),
        method: "",
        status: (r.state.name(), None),
        ok: true,
    }
}
