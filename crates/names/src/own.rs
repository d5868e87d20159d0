//! The host's own addresses and its name, as the kernel shows them under /proc.
//!
//! Where there is no such file (another system than Linux, a sandbox) the host has no addresses here: its names are
//! then left to the other sources.

use crate::{Map, always};
use gillnet_entry::Name;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The host's name for each of its addresses.
pub(crate) fn names() -> Map<IpAddr, Arc<Name>> {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let host = file("/proc/sys/kernel/hostname");
    let host = host.trim();
    if host.is_empty() {
        return Map::default();
    }
    let name = always(host);
    let (v4, v6) = (file("/proc/net/fib_trie"), file("/proc/net/if_inet6"));
    local_v4(&v4)
        .chain(local_v6(&v6))
        .map(|ip| (ip, Arc::clone(&name)))
        .collect()
}

/// Addresses that the routing table calls local: a leaf's line with the address, below it one that says so.
fn local_v4(table: &str) -> impl Iterator<Item = IpAddr> {
    let lines = table.lines().map(str::trim);
    let pairs = lines.clone().zip(lines.skip(1));
    pairs.filter_map(|(leaf, route)| {
        let local = route.starts_with("/32") && route.ends_with("LOCAL");
        leaf.strip_prefix("|-- ").filter(|_| local)?.parse().ok()
    })
}

/// Addresses of the interfaces: 32 hexadecimal digits at the start of each line.
fn local_v6(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().filter_map(|line| {
        let bits = u128::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
        Some(Ipv6Addr::from(bits).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_of_the_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.0\n        \
                    /24 link UNICAST\nLocal:\n     |-- 10.0.0.5\n        /32 host LOCAL\n     |-- 10.0.0.255\n        \
                    /32 link BROADCAST\n     |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let found: Vec<_> = local_v4(trie).map(|ip| ip.to_string()).collect();
        assert_eq!(found, ["10.0.0.5", "127.0.0.1"]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\nfd000000000000000000000000000005 02 40 00 80     eth0\n";
        let found: Vec<_> = local_v6(table).map(|ip| ip.to_string()).collect();
        assert_eq!(found, ["::1", "fd00::5"]);
        assert_eq!(
            local_v4("|-- 1.2.3.4").count() + local_v6("zz\n\n").count(),
            0
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_host_has_a_loopback_address() {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let names = names();
        let loopback = names
            .get(&IpAddr::from([127, 0, 0, 1]))
            .expect("127.0.0.1 is local");
        assert_eq!(loopback.name, host.trim());
    }
}
