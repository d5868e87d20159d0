//! A datagram.

use crate::record::{Raw, record};

record! {
    /// A datagram.
    pub struct Udp ("udp")
    data {
        /// Bytes of the datagram with its header, as that says.
        length: u16 = "data.length", "udp_length", Int;
        /// Checksum as it stands in the header.
        checksum: u16 = "data.checksum", "udp_checksum", Int;
        /// The bytes behind the header.
        payload: Raw = "data.payload", "udp_payload", Bytes;
    }
    shown |r, x| {
        info: &super::INFO,
        summary: "",
        method: "",
        status: ("", None),
        ok: true,
    }
}
