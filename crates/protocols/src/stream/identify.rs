//! What the first bytes of a stream say.

use crate::REGISTRY;
use crate::dissect::Verdict;
use gillnet_entry::Transport;

/// Packets with bytes that are looked at for a protocol before a stream counts as of none.
pub(super) const MAX_TRIES: u16 = 64;

/// The same, where a port says what to expect (picked up inside a long body).
const MAX_TRIES_HINTED: u16 = 2048;

/// Bytes that are joined to identify a stream.
pub(super) const MAX_FIRST: usize = 16 << 10;

/// What the first bytes say.
pub(super) enum Which {
    Protocol(u8),
    /// Too few to say.
    Undecided,
    /// None that is known; so many packets may be looked at.
    None {
        limit: u16,
    },
}

/// Asks the registry in its order.
pub(super) fn which(first: &[u8], transport: Transport, ports: (u16, u16)) -> Which {
    let mut limit = MAX_TRIES;
    for (protocol, entry) in (0u8..).zip(REGISTRY) {
        let Some(entry) = entry.dissection else {
            continue;
        };
        if !entry.transports.contains(&transport) {
            continue;
        }
        let hint = entry.ports.contains(&ports.0) || entry.ports.contains(&ports.1);
        match (entry.identify)(first, transport, hint) {
            Verdict::Yes => return Which::Protocol(protocol),
            // those behind it might say yes, but it comes before them
            Verdict::More if transport == Transport::Tcp && first.len() < MAX_FIRST => {
                return Which::Undecided;
            }
            Verdict::More | Verdict::No if hint => limit = MAX_TRIES_HINTED,
            Verdict::More | Verdict::No => {}
        }
    }
    Which::None { limit }
}
