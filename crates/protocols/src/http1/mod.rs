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

use crate::Protocol;
use gillnet_entry::Transport;

static FLAGS: &[&str] = &["http"];

/// The line of the registry.
pub(crate) static PROTOCOL: Protocol = Protocol {
    name: "http",
    transports: &[Transport::Tcp],
    ports: &[80, 8080, 8000, 3128],
    flags: FLAGS,
    schema: &record::HTTP,
    identify: identify::identify,
    open: |_| Box::<dissector::Http1>::default(),
};
