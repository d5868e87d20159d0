//! Bytes, or the failure of a connection.

use crate::record::{Raw, Text, record};

record! {
    /// Bytes of a connection, or its failure.
    pub struct Tcp ("tcp")
    data {
        /// What happened: `PSH`, `SYN`, `RST`, ….
        action: &'static str = "data.method", "tcp_method", Str;
        /// The bytes that were sent.
        payload: Raw = "data.payload", "tcp_payload", Bytes;
        /// What failed: `SynSent`, `CloseWait`, `LastAck`, `Reset`; empty where nothing did.
        error_type: &'static str = "", "tcp_error_type", Str;
        /// The failure in words; empty where there is none.
        error_message: Text = "", "tcp_error_message", Str;
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.error_message.get(x),
        method: r.action,
        status: (r.error_type, None),
        ok: r.error_type.is_empty(),
    }
}
