//! How GraphQL is shown.

use crate::http1::SHOWN;
use crate::http2::SHOWN_2;
use gillnet_entry::ProtocolInfo;

const fn of(http: ProtocolInfo) -> ProtocolInfo {
    ProtocolInfo {
        abbr: "GQL",
        long_name: "GraphQL over HTTP",
        background: "#e10098",
        reference: "https://spec.graphql.org/",
        ..http
    }
}

/// In HTTP/1.
pub(crate) static V1: ProtocolInfo = ProtocolInfo {
    macro_name: "gqlv1",
    flags: &["http", "gql", "gqlv1"],
    ..of(SHOWN)
};

/// In HTTP/2.
pub(crate) static V2: ProtocolInfo = ProtocolInfo {
    macro_name: "gqlv2",
    flags: &["http", "http2", "gql", "gqlv2"],
    ..of(SHOWN_2)
};
