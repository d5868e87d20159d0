//! HTTP/2 (RFC 9113). Nothing reads it yet.

mod record;

pub(crate) use record::{INFO, SCHEMA, SHOWN_2};

use crate::{Protocol, gql, grpc, http1};

/// The line of the registry. Whether an exchange is gRPC or GraphQL shows only when it is read.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "http2",
    flags: &[
        ("http2", "HTTP/2, with the gRPC and the GraphQL in it."),
        http1::FLAG,
        grpc::FLAG,
        gql::FLAG,
        gql::FLAG_V2,
    ],
    schema: &SCHEMA,
    infos: &[&INFO, &grpc::INFO, &crate::gql::V2],
    dissection: None,
};
