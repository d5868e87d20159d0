//! Tells Gillnet's own flows, so that it does not record itself: its dashboard, API and metrics, and its bucket.

use crate::config::Config;
use gillnet_bucket::{Destination, endpoint};
use gillnet_capture::{OwnSockets, is_of_this_host};
use gillnet_pipeline::OwnCheck;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// The port of buckets that have no address of their own.
const HTTPS: u16 = 443;

/// A check for TCP flows of a process that listens on these addresses, uploads to these rules' destinations, and has scripts
/// that call vendors, some at addresses of their own.
pub fn check(
    listens: Vec<SocketAddr>,
    rules: &[gillnet_recorder::Rule],
    config: &Config,
) -> anyhow::Result<OwnCheck> {
    let mut uploads = false;
    let mut given: Vec<String> = config.scripting.endpoints.values().cloned().collect();
    for rule in rules {
        let destination = Destination::parse(&rule.destination)?;
        uploads |= !destination.is_local();
        given.extend(endpoint(
            &destination,
            &config.credentials(&destination, None)?,
        ));
    }
    // scripts put objects without any rule
    given.extend(std::env::var("STORAGE_EMULATOR_HOST").ok());
    let emulators: Vec<SocketAddr> = given.iter().flat_map(|url| addresses(url)).collect();
    let mut sockets = OwnSockets::new();
    Ok(Box::new(move |ends: &[(IpAddr, u16); 2]| {
        let [one, other] = ends.map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port));
        if [one, other]
            .iter()
            .any(|end| listens.iter().any(|own| is_at(own, end)))
        {
            return true;
        }
        if [one, other].iter().any(|end| emulators.contains(end)) {
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
    }))
}

/// Whether an end is where this process listens: at any address, that is one of this host's. Elsewhere the same port is
/// anybody's, a client's most of all.
fn is_at(own: &SocketAddr, end: &SocketAddr) -> bool {
    own.port() == end.port()
        && if own.ip().is_unspecified() {
            is_of_this_host(end.ip())
        } else {
            own.ip().to_canonical() == end.ip()
        }
}

/// The addresses of a URL, or of a host with or without a port.
fn addresses(url: &str) -> Vec<SocketAddr> {
    let bare = url.split("://").last().unwrap_or(url);
    let bare = bare.split('/').next().unwrap_or(bare);
    if bare.is_empty() {
        return Vec::new();
    }
    let usual = if url.starts_with("https://") {
        HTTPS
    } else {
        80
    };
    let with_port = if bare.contains(':') {
        bare.to_owned()
    } else {
        format!("{bare}:{usual}")
    };
    with_port
        .to_socket_addrs()
        .map(Iterator::collect)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::is_at;

    #[test]
    fn a_client_elsewhere_may_have_the_port_that_is_listened_on() {
        for (own, end, wanted) in [
            ("127.0.0.1:49100", "127.0.0.1:49100", true),
            ("0.0.0.0:49100", "127.0.0.1:49100", true),
            ("[::]:49100", "127.0.0.1:49100", true),
            ("0.0.0.0:49100", "192.0.2.7:49100", false),
            ("[::]:49100", "[2001:db8::7]:49100", false),
            ("0.0.0.0:49100", "127.0.0.1:49101", false),
            ("127.0.0.1:49100", "127.0.0.2:49100", false),
        ] {
            let [own, ends] = [own, end].map(|at| at.parse().unwrap());
            assert_eq!(is_at(&own, &ends), wanted, "{own} {end}");
        }
    }
}
