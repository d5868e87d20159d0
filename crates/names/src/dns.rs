//! Names from DNS answers.

use crate::Map;
use crate::timeline::Timeline;
use gillnet_entry::{Mechanism, Name};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shortest life of an answer, ns: clients go on using an address after its record's short life.
const SHORTEST: i64 = 300 * SECOND;

/// Longest life of an answer, ns (RFC 8767 §4 asks for a cap of days at most).
const LONGEST: i64 = 86_400 * SECOND;

const SECOND: i64 = 1_000_000_000;

/// Most names that one address has over time.
const PER_ADDRESS: usize = 16;

/// What answers said, limited in number: the least used addresses go first.
#[derive(Debug, Default)]
pub(crate) struct DnsNames {
    by_ip: Map<IpAddr, Known>,
    /// Names in all.
    len: usize,
    limit: usize,
    clock: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    line: Timeline,
    used: AtomicU64,
}

impl DnsNames {
    /// Sets the limit; returns how many names it puts out.
    pub(crate) fn limit(&mut self, limit: usize) -> u64 {
        self.limit = limit;
        self.shrink()
    }

    pub(crate) fn at(&self, ip: IpAddr, at: i64) -> Option<Arc<Name>> {
        let known = self.by_ip.get(&ip)?;
        let name = known.line.at(at)?;
        known.used.store(
            self.clock.fetch_add(1, Ordering::Relaxed),
            Ordering::Relaxed,
        );
        Some(Arc::clone(name))
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = &IpAddr> {
        self.by_ip.keys()
    }

    pub(crate) fn get(&self, ip: IpAddr) -> Option<&Timeline> {
        self.by_ip.get(&ip).map(|known| &known.line)
    }

    /// Takes an answer; returns how many names the limits put out for it.
    pub(crate) fn learn(&mut self, name: &str, ip: IpAddr, ttl: u32, at: i64) -> u64 {
        let until = at.saturating_add((i64::from(ttl) * SECOND).clamp(SHORTEST, LONGEST));
        let known = self.by_ip.entry(ip).or_default();
        *known.used.get_mut() = self.clock.fetch_add(1, Ordering::Relaxed);
        if !known.line.add(Arc::new(named(name, at)), at, until) {
            return 0;
        }
        if known.line.len() > PER_ADDRESS {
            known.line.drop_first();
            return 1;
        }
        self.len += 1;
        self.shrink()
    }

    /// Puts the least used addresses out, an eighth more than it must, so that it seldom has to be done.
    fn shrink(&mut self) -> u64 {
        if self.len <= self.limit {
            return 0;
        }
        let (goal, before) = (self.limit - self.limit / 8, self.len);
        let mut uses: Vec<(u64, IpAddr)> = self
            .by_ip
            .iter()
            .map(|(ip, known)| (known.used.load(Ordering::Relaxed), *ip))
            .collect();
        uses.sort_unstable();
        for (_, ip) in uses {
            if self.len <= goal {
                break;
            }
            self.len -= self.by_ip.remove(&ip).map_or(0, |known| known.line.len());
        }
        (before - self.len) as u64
    }
}

/// The name that an answer gives. Kubernetes calls a service `<service>.<namespace>.svc.<cluster domain>`
/// (DNS-Based Service Discovery, §2.3.1).
fn named(dns: &str, since: i64) -> Name {
    let labels: Vec<&str> = dns.split('.').collect();
    let (service, namespace) = match labels.as_slice() {
        [service, namespace, "svc", _, ..] => (*service, *namespace),
        _ => ("", ""),
    };
    Name {
        name: if service.is_empty() { dns } else { service }.to_owned(),
        namespace: namespace.to_owned(),
        service: service.to_owned(),
        dns: dns.to_owned(),
        mechanism: Mechanism::Dns,
        since,
        ..Name::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    fn at(names: &DnsNames, n: u32, seconds: i64) -> Option<String> {
        names
            .at(ip(n), seconds * SECOND)
            .map(|name| name.name.clone())
    }

    fn names(limit: usize) -> DnsNames {
        let mut names = DnsNames::default();
        names.limit(limit);
        names
    }

    #[test]
    fn an_answer_holds_for_its_life() {
        let mut names = names(10);
        names.learn("a.example", ip(1), 600, 1000 * SECOND);
        names.learn("b.example", ip(1), 1, 2000 * SECOND);
        let found = [999, 1000, 1599, 1600, 2000, 2299, 2300].map(|t| at(&names, 1, t));
        let found = found.each_ref().map(|name| name.as_deref());
        let (a, b) = (Some("a.example"), Some("b.example"));
        assert_eq!(found, [None, a, a, None, b, b, None]);
    }

    #[test]
    fn a_service_is_known_by_its_name() {
        let name = named("catalog.shop.svc.cluster.local", 7);
        assert_eq!(
            (&*name.name, &*name.namespace, &*name.service),
            ("catalog", "shop", "catalog")
        );
        assert_eq!((name.mechanism, name.since), (Mechanism::Dns, 7));
        assert_eq!(named("www.example.org", 0).namespace, "");
    }

    #[test]
    fn the_least_used_go_first_and_are_counted() {
        let mut names = names(80);
        for n in 0..80 {
            assert_eq!(names.learn("x.example", ip(n), 600, 0), 0);
        }
        assert!(at(&names, 0, 1).is_some());
        let out = names.learn("x.example", ip(80), 600, 0);
        assert_eq!(out, 11);
        assert_eq!(names.len as u64, 81 - out);
        assert!(
            at(&names, 0, 1).is_some() && at(&names, 80, 1).is_some() && at(&names, 1, 1).is_none()
        );
        assert_eq!((names.limit(5), names.len), (65, 5));
        assert_eq!((names.limit(0), names.len), (5, 0));
    }

    #[test]
    fn an_address_has_a_limited_past() {
        let mut names = names(1000);
        let out: u64 = (0..40)
            .map(|i| names.learn(&format!("{i}.example"), ip(1), 0, i * SECOND))
            .sum();
        assert_eq!((out, names.len), (24, PER_ADDRESS));
        assert_eq!(at(&names, 1, 39).as_deref(), Some("39.example"));
        assert_eq!(at(&names, 1, 0), None);
    }
}
