//! gRPC: calls on HTTP/2 whose bodies are messages of Protocol Buffers. Nothing tells it from HTTP/2 yet.
//!
//! It has no record of its own: a call is an exchange of HTTP with a form ([`crate::http1::Form::Grpc`]), whose table
//! has its method and status too.

mod record;

pub(crate) use record::{INFO, method, status};

/// Its flag.
pub(crate) const FLAG: (&str, &str) = ("grpc", "gRPC calls; they have all fields of HTTP.");
