//! HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112).

mod body;
mod chunked;
mod dissector;
mod form;
mod head;
mod identify;
mod lines;
mod message;
mod pairs;
mod read;
mod record;
#[cfg(test)]
mod tests;
mod text;

pub use record::{Form, Http};
pub(crate) use record::{HTTP, SHOWN};

use crate::{Dissection, Protocol};
use gillnet_entry::Transport;

/// The flag of all that speaks HTTP.
pub(crate) const FLAG: (&str, &str) = (
    "http",
    "HTTP/1.0, HTTP/1.1 and HTTP/2, with the gRPC and the GraphQL in them.",
);

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "http",
    flags: &[FLAG, crate::gql::FLAG, crate::gql::FLAG_V1],
    schema: &HTTP,
    infos: &[&record::HTTP_10, &record::HTTP_11, &crate::gql::V1],
    dissection: Some(&DISSECTION),
};

static DISSECTION: Dissection = Dissection {
    transports: &[Transport::Tcp],
    ports: &[80, 8080, 8000, 3128],
    identify: identify::identify,
    open: |_| Box::<dissector::Http1>::default(),
};
