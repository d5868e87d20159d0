//! A chunk.

use crate::record::record;

record! {
    /// A chunk.
    pub struct Sctp ("sctp")
    data {
        /// Checksum of the packet as it stands in the header (CRC-32c).
        checksum: u32 = "data.checksum", "sctp_checksum", Int;
        /// Type of the chunk: `DATA`, `INIT`, `SACK`.
        chunk_type: &'static str = "data.chunkType", "sctp_chunk_type", Str;
        /// Bytes of the chunk, as its header says.
        length: u16 = "data.length", "sctp_length", Int;
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.chunk_type,
        method: r.chunk_type,
        status: ("", None),
        ok: true,
    }
}
