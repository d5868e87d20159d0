//! What a call says beside its exchange of HTTP.

use crate::http2::SHOWN_2;
use gillnet_entry::{ProtocolInfo, Value};

/// How gRPC is shown.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    abbr: "gRPC",
    long_name: "gRPC over HTTP/2",
    macro_name: "grpc",
    flags: &["http", "http2", "grpc"],
    reference: "https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md",
    ..SHOWN_2
};

/// The method in a path, which is `/` service `/` method.
pub(crate) fn method(path: &[u8]) -> &[u8] {
    let from = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
    path.get(from..).unwrap_or_default()
}

/// The status in a `grpc-status`, which stands in the trailers, or in the head of a response without body.
pub(crate) fn status<'a>(value: &[u8]) -> Value<'a> {
    let number = std::str::from_utf8(value.trim_ascii()).map(str::parse::<u32>);
    match number {
        Ok(Ok(number)) => Value::Int(number.into()),
        _ => Value::Missing,
    }
}
