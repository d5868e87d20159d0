//! A message of one side.

use crate::record::{Text, record};
use gillnet_entry::Value;

impl Ws {
    fn either_opcode(&self) -> &'static str {
        if self.sizes.request.is_some() {
            self.opcode
        } else {
            self.response_opcode
        }
    }
}

record! {
    /// A message of the client, of the server, or one of each that belong together.
    pub struct Ws ("ws")
    request {
        /// Kind of the client's message: `text`, `binary`, `close`, `ping`, `pong`.
        opcode: &'static str = "request.opcode", "", Str;
        /// Payload of the client's message, unmasked, within the limit of bodies.
        payload: Text = "request.payload", "ws_request_payload_data", Str;
        /// Bytes of the client's payload.
        length: u64 = "request.length", "ws_request_payload_length", Int;
    }
    response {
        /// Kind of the server's message.
        response_opcode: &'static str = "response.opcode", "", Str;
        /// Payload of the server's message, within the limit of bodies.
        response_payload: Text = "response.payload", "", Str;
        /// Bytes of the server's payload.
        response_length: u64 = "response.length", "ws_response_payload_length", Int;
    }
    also {
        /// Kind of the message: `text`, `binary`, `close`, `ping`, `pong`; the client's, where there are two.
        "", "ws_opcode", Str, Entry => |r, _| Value::Str(r.either_opcode());
        /// Whether a message of the client was seen.
        "", "ws_request", Bool, Entry => |r, _| r.sizes.has_request();
        /// Whether a message of the server was seen.
        "", "ws_response", Bool, Entry => |r, _| r.sizes.has_response();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: if r.sizes.request.is_some() { r.payload.get(x) } else { r.response_payload.get(x) },
        method: r.either_opcode(),
        status: ("", None),
        ok: true,
    }
}
