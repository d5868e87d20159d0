//! What reassembly hands on.

/// A direction of a flow, seen from the end that opened it (as far as that is known: the sender of the SYN,
/// else of the first packet). Which end asks and which answers is the protocol's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Dir {
    /// From the opener.
    Up = 0,
    /// To the opener.
    Down = 1,
}

impl Dir {
    /// The other direction.
    #[must_use]
    pub fn flip(self) -> Dir {
        match self {
            Dir::Up => Dir::Down,
            Dir::Down => Dir::Up,
        }
    }
}

/// Bytes of one direction of a stream that follow what came before without a hole; or a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Which way they go.
    pub dir: Dir,
    /// The bytes, never empty.
    pub data: &'a [u8],
    /// Position of the first byte in the byte store; [`gillnet_capture::NO_POS`] where they are not in it
    /// (put together from fragments), so that whoever needs them later must copy.
    pub pos: u64,
    /// Time of the packet that brought them, in ns since the epoch.
    pub ts: i64,
    /// Offset of the first byte in its direction of the stream.
    pub offset: u64,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// Both sides said FIN.
    Fin,
    /// Reset.
    Reset,
    /// Idle past its timeout.
    Timeout,
    /// Put out of the full flow table.
    Evicted,
    /// A new connection on the same addresses and ports.
    Replaced,
    /// The source ended.
    End,
}

/// Takes what reassembly hands on.
pub trait StreamSink {
    /// Bytes in order.
    fn chunk(&mut self, flow: u32, chunk: &Chunk<'_>);
    /// `missing` bytes of a direction will not come; what follows stands behind them.
    fn gap(&mut self, flow: u32, dir: Dir, missing: u64, ts: i64);
    /// One direction has ended (FIN): no more bytes of it.
    fn half_close(&mut self, flow: u32, dir: Dir, ts: i64);
}
