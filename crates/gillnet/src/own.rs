//! Tells Gillnet's own flows, so that it does not record itself: its dashboard, API and metrics, and its bucket.

use gillnet_capture::OwnSockets;
use gillnet_pipeline::OwnCheck;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// The port of buckets that have no address of their own.
const HTTPS: u16 = 443;

/// A check for flows of a process that listens on these addresses and uploads to these rules' destinations.
pub fn check(listens: Vec<SocketAddr>, rules: &[gillnet_recorder::Rule]) -> OwnCheck {
    let uploads = rules
        .iter()
        .any(|rule| rule.destination.starts_with("gs://"));
    let emulator = if uploads { emulator() } else { Vec::new() };
    let mut sockets = OwnSockets::new();
    Box::new(move |ends: &[(IpAddr, u16); 2]| {
        let [one, other] = ends.map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port));
        if [one, other]
            .iter()
            .any(|end| listens.iter().any(|own| is_at(own, end)))
        {
            return true;
        }
        if [one, other].iter().any(|end| emulator.contains(end)) {
            // the flow may be younger than what is known of sockets: such flows are few, so look again
            return sockets.is_own(one, other).unwrap_or_else(|| {
                sockets = OwnSockets::new();
                sockets.is_own(one, other).unwrap_or(false)
            });
        }
        // flows of TLS match nothing before they are decrypted: what is known of sockets will do
        uploads
            && [one, other].iter().any(|end| end.port() == HTTPS)
            && sockets.is_own(one, other) == Some(true)
    })
}

/// Whether an end is where this process listens.
fn is_at(own: &SocketAddr, end: &SocketAddr) -> bool {
    own.port() == end.port() && (own.ip().is_unspecified() || own.ip().to_canonical() == end.ip())
}

/// The address that stands in for Google's, where one is set.
fn emulator() -> Vec<SocketAddr> {
    let Some(host) = std::env::var("STORAGE_EMULATOR_HOST")
        .ok()
        .filter(|host| !host.is_empty())
    else {
        return Vec::new();
    };
    let bare = host
        .split("://")
        .last()
        .unwrap_or(&host)
        .trim_end_matches('/')
        .to_owned();
    let with_port = if bare.contains(':') {
        bare
    } else {
        format!("{bare}:80")
    };
    with_port
        .to_socket_addrs()
        .map(Iterator::collect)
        .unwrap_or_default()
}
