//! GraphQL: requests and responses of HTTP whose bodies are documents of GraphQL. Nothing tells it from HTTP yet.
//!
//! It has no record of its own: it is an exchange of HTTP with a form ([`crate::http1::Form::GqlV1`], `GqlV2`).

mod record;

pub(crate) use record::{V1, V2};

/// Its flag.
pub(crate) const FLAG: (&str, &str) = (
    "gql",
    "GraphQL in any version of HTTP; it has all fields of HTTP.",
);
/// Its flag on HTTP/1.
pub(crate) const FLAG_V1: (&str, &str) = ("gqlv1", "GraphQL in HTTP/1.");
/// Its flag on HTTP/2.
pub(crate) const FLAG_V2: (&str, &str) = ("gqlv2", "GraphQL in HTTP/2.");
