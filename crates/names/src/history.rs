//! `name_resolution_history.json`, as Kubeshark writes and reads it.
//!
//! The top keys are seconds since the epoch, each with a full snapshot of the names from then on; a packet is named by
//! the newest key at or before it, before the first key by the first. Kubeshark knows `FullAddress` and `Namespace`
//! of a name; what else we know stands beside them, so that our own reader loses nothing.

use crate::timeline::{Timeline, same};
use crate::{Address, Map, Names, State};
use gillnet_entry::{Mechanism, Name};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

const SECOND: i64 = 1_000_000_000;

/// A history that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("name_resolution_history.json: {0}")]
pub struct HistoryError(#[from] serde_json::Error);

/// What an import took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Names, each time that they held.
    pub names: u64,
    /// Entries under a key that is no address.
    pub ignored: u64,
    /// Names that found no room under the limit.
    pub dropped: u64,
}

/// A name in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    full_address: String,
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pod: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    service: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dns: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mechanism: String,
    /// ns since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
}

impl From<&Name> for Entry {
    fn from(name: &Name) -> Entry {
        let full_address = match name.namespace.as_str() {
            "" => name.name.clone(),
            namespace => format!("{}.{namespace}", name.name),
        };
        Entry {
            full_address,
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            pod: name.pod.clone(),
            service: name.service.clone(),
            dns: name.dns.clone(),
            mechanism: name.mechanism.name().to_owned(),
            since: Some(name.since),
        }
    }
}

impl Entry {
    /// The name; `since` where it does not say itself.
    fn into_name(self, address: Address, since: i64) -> Name {
        let by_key = if address.port.is_some() {
            Mechanism::IpAndPort
        } else {
            Mechanism::Ip
        };
        let known = [
            Mechanism::None,
            Mechanism::Ip,
            Mechanism::IpAndPort,
            Mechanism::Dns,
            Mechanism::HttpHeader,
        ];
        let name = if self.name.is_empty() {
            let bare = self
                .full_address
                .strip_suffix(&self.namespace)
                .and_then(|name| name.strip_suffix('.'));
            bare.filter(|_| !self.namespace.is_empty())
                .unwrap_or(&self.full_address)
                .to_owned()
        } else {
            self.name
        };
        Name {
            name,
            namespace: self.namespace,
            pod: self.pod,
            service: self.service,
            dns: self.dns,
            mechanism: known
                .into_iter()
                .find(|m| m.name() == self.mechanism)
                .unwrap_or(by_key),
            since: self.since.unwrap_or(since),
            workload: None,
        }
    }
}

impl Names {
    /// The names that some addresses had from one time until another (ns since the epoch, both included), as
    /// `name_resolution_history.json` has them. Changes within one second show as the last of them.
    pub fn history(
        &self,
        addresses: impl IntoIterator<Item = (IpAddr, u16)>,
        from: i64,
        until: i64,
    ) -> serde_json::Value {
        let addresses: BTreeSet<_> = addresses
            .into_iter()
            .map(|(ip, port)| (ip.to_canonical(), port))
            .collect();
        let state = self.read();
        let mut changes: BTreeSet<i64> = addresses
            .iter()
            .flat_map(|(ip, port)| state.changes(*ip, *port))
            .filter(|at| *at > from && *at <= until)
            .collect();
        changes.insert(from);
        let first = from.div_euclid(SECOND);
        // a change in the first second has the key of that second: what held before stands one earlier
        let earlier = i64::from(
            changes
                .iter()
                .any(|at| *at > from && at.div_euclid(SECOND) == first),
        );
        let mut snapshots: BTreeMap<i64, serde_json::Value> = BTreeMap::new();
        for at in changes {
            let key = if at == from {
                first - earlier
            } else {
                at.div_euclid(SECOND)
            };
            snapshots.insert(key, state.snapshot(&addresses, at));
        }
        snapshots
            .into_iter()
            .map(|(key, snapshot)| (key.to_string(), snapshot))
            .collect()
    }

    /// Takes the names of a history for the time from `from` until `until` (ns since the epoch, the end not included):
    /// that of the packets that lie beside it, as names of other recordings may hold at other times. The whole of time
    /// is `i64::MIN..i64::MAX`.
    ///
    /// # Errors
    /// The bytes are no such history.
    pub fn import(&self, json: &[u8], from: i64, until: i64) -> Result<Imported, HistoryError> {
        let Snapshots { list, ignored } = serde_json::from_slice(json)?;
        let mut imported = Imported {
            ignored,
            ..Imported::default()
        };
        each_interval(list, |address, name, begins, ends| {
            let (begins, ends) = (begins.max(from), ends.min(until));
            if begins >= ends {
                return;
            }
            if self.add_interval(address, Arc::unwrap_or_clone(name), begins, ends) {
                imported.names += 1;
            } else {
                imported.dropped += 1;
            }
        });
        Ok(imported)
    }
}

/// Tells each name of a list of snapshots with the time from which and until which it held.
fn each_interval(mut list: Vec<Snapshot>, mut each: impl FnMut(Address, Arc<Name>, i64, i64)) {
    list.sort_by_key(|snapshot| snapshot.key);
    let mut open: Map<Address, (i64, Arc<Name>)> = Map::default();
    for (i, snapshot) in list.into_iter().enumerate() {
        let key = snapshot.key;
        let mut next = Map::default();
        for (address, name) in snapshot.names {
            let begins = match i {
                // before the first key the first one counts
                0 => i64::MIN,
                _ if (key..key.saturating_add(SECOND)).contains(&name.since) => name.since,
                _ => key,
            };
            let held = match open.remove(&address) {
                Some((since, before)) if same(&before, &name) => (since, before),
                Some((since, before)) => {
                    each(address, before, since, begins);
                    (begins, name)
                }
                None => (begins, name),
            };
            next.insert(address, held);
        }
        for (address, (since, name)) in std::mem::replace(&mut open, next) {
            each(address, name, since, key);
        }
    }
    for (address, (since, name)) in open {
        each(address, name, since, i64::MAX);
    }
}

impl State {
    /// Times at which the name of an address may change.
    fn changes(&self, ip: IpAddr, port: u16) -> impl Iterator<Item = i64> {
        let timed = [Some(port), None]
            .into_iter()
            .filter_map(move |port| self.timelines.get(Address { ip, port }));
        let lines = timed.chain(self.dns.get(ip));
        lines
            .flat_map(Timeline::iter)
            .flat_map(|interval| [interval.from, interval.until])
    }

    fn snapshot(&self, addresses: &BTreeSet<(IpAddr, u16)>, at: i64) -> serde_json::Value {
        let mut names: BTreeMap<String, serde_json::Value> = BTreeMap::new();
        for (ip, port) in addresses {
            let Some(name) = self.find(*ip, *port, at) else {
                continue;
            };
            let port = (name.mechanism == Mechanism::IpAndPort).then_some(*port);
            let entry = serde_json::to_value(Entry::from(&*name)).unwrap_or_default();
            names.insert(Address { ip: *ip, port }.to_string(), entry);
        }
        names.into_iter().collect()
    }
}

/// All snapshots; names that stay the same over many of them are held once.
struct Snapshots {
    list: Vec<Snapshot>,
    ignored: u64,
}

/// The names from a moment on, ns since the epoch.
struct Snapshot {
    key: i64,
    names: Vec<(Address, Arc<Name>)>,
}

impl<'de> Deserialize<'de> for Snapshots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Snapshots, D::Error> {
        deserializer.deserialize_map(ReadSnapshots)
    }
}

struct ReadSnapshots;

impl<'de> Visitor<'de> for ReadSnapshots {
    type Value = Snapshots;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose keys are seconds since the epoch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Snapshots, A::Error> {
        let mut snapshots = Snapshots {
            list: Vec::new(),
            ignored: 0,
        };
        let mut interned: Map<(Address, Entry), Arc<Name>> = Map::default();
        while let Some((key, entries)) = map.next_entry::<String, BTreeMap<String, Entry>>()? {
            let seconds: i64 = key
                .parse()
                .map_err(|_| A::Error::custom(format_args!("\"{key}\" is no time in seconds")))?;
            let key = seconds.saturating_mul(SECOND);
            let since = if snapshots.list.is_empty() { 0 } else { key };
            let mut names = Vec::with_capacity(entries.len());
            for (address, entry) in entries {
                let Ok(address) = address.parse::<Address>() else {
                    snapshots.ignored += 1;
                    continue;
                };
                let name =
                    interned
                        .entry((address, entry))
                        .or_insert_with_key(|(address, entry)| {
                            Arc::new(entry.clone().into_name(*address, since))
                        });
                names.push((address, Arc::clone(name)));
            }
            snapshots.list.push(Snapshot { key, names });
        }
        Ok(snapshots)
    }
}
