//! What addresses are called, and since when: names that are configured, that come from recordings, from the hosts
//! file, from the host itself and from DNS answers seen on the wire. No Kubernetes client: names of a cluster come
//! through the same door ([`Names::add_interval`]).
//!
//! A packet is named by what its address meant then: every name that can change is kept with the time it held.

mod address;
mod config;
mod dns;
mod history;
mod hosts;
mod own;
mod timeline;

pub use address::Address;
pub use config::{Limits, NamesConfig, NamesError, StaticName};
pub use history::{HistoryError, Imported};

use dns::DnsNames;
use gillnet_entry::{Mechanism, Name};
use hashbrown::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use timeline::Timelines;

/// Hash by foldhash, as everywhere here: keys are seeded a process.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The name of an address that has none.
static NOBODY: LazyLock<Arc<Name>> = LazyLock::new(Arc::default);

/// Addresses that were asked for in vain and are remembered; past so many any new name counts as one of theirs.
const ASKED_LIMIT: usize = 8192;

/// What is known of the name of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Its name.
    Known(Arc<Name>),
    /// It has none, and none will come.
    KnownNone,
    /// None has come yet.
    Unknown,
}

/// The names that a process knows; one, shared by all who ask.
#[derive(Debug)]
pub struct Names {
    state: RwLock<State>,
    /// Addresses asked for in vain since the generation last grew.
    asked: Mutex<HashSet<IpAddr, foldhash::fast::RandomState>>,
    generation: AtomicU64,
    /// Names given up at a limit.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    statics: Map<Address, Arc<Name>>,
    /// Names with the time they held, from a cluster or from recordings.
    timelines: Timelines,
    hosts: Map<IpAddr, Arc<Name>>,
    own: Map<IpAddr, Arc<Name>>,
    dns: DnsNames,
    /// Whether DNS answers are learnt.
    learns: bool,
    hosts_file: Option<PathBuf>,
    own_host: bool,
}

impl Names {
    /// Takes the configured names, and reads the hosts file and the host's own addresses where that is wanted.
    ///
    /// # Errors
    /// Says which configured name is wrong, or that the hosts file cannot be read. One that does not exist is empty.
    pub fn new(config: NamesConfig) -> Result<Names, NamesError> {
        let names = Names {
            state: RwLock::default(),
            asked: Mutex::default(),
            generation: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        names.configure(config)?;
        Ok(names)
    }

    /// Takes another configuration in place of the former; what was learnt stays as far as the limits allow.
    ///
    /// # Errors
    /// As [`Names::new`]; the former configuration then stands.
    pub fn configure(&self, config: NamesConfig) -> Result<(), NamesError> {
        let statics = config::statics(&config.statics)?;
        let hosts = hosts::read(config.hosts_file.as_deref())?;
        let own = if config.own_host {
            own::names()
        } else {
            Map::default()
        };
        let dropped = {
            let mut state = self.write();
            (state.statics, state.hosts, state.own) = (statics, hosts, own);
            (state.hosts_file, state.own_host, state.learns) =
                (config.hosts_file, config.own_host, config.dns);
            state.timelines.limit(config.limits.intervals);
            state.dns.limit(config.limits.dns)
        };
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.grow();
        Ok(())
    }

    /// Reads the hosts file and the host's own addresses again. The generation grows where they changed.
    ///
    /// # Errors
    /// The hosts file cannot be read; the former names then stand.
    pub fn refresh(&self) -> Result<(), NamesError> {
        let (file, own_host) = {
            let state = self.read();
            (state.hosts_file.clone(), state.own_host)
        };
        let hosts = hosts::read(file.as_deref())?;
        let own = if own_host {
            own::names()
        } else {
            Map::default()
        };
        let changed = {
            let mut state = self.write();
            let changed = state.hosts != hosts || state.own != own;
            (state.hosts, state.own) = (hosts, own);
            changed
        };
        if changed {
            self.grow();
        }
        Ok(())
    }

    /// The name that an address and port had at a time (ns since the epoch); the shared empty name where none is known.
    /// What is configured goes first, with the port before without; then a cluster's and recordings' names, the hosts
    /// file, the host's own addresses, DNS answers.
    pub fn resolve(&self, ip: IpAddr, port: u16, at_ns: i64) -> Arc<Name> {
        match self.known(ip, port, at_ns) {
            Knowledge::Known(name) => name,
            Knowledge::KnownNone | Knowledge::Unknown => Arc::clone(&NOBODY),
        }
    }

    /// What is known of an address and port at a time (ns since the epoch).
    pub fn known(&self, ip: IpAddr, port: u16, at_ns: i64) -> Knowledge {
        let ip = ip.to_canonical();
        let may_come = {
            let state = self.read();
            if let Some(name) = state.find(ip, port, at_ns) {
                return Knowledge::Known(name);
            }
            state.learns || !state.timelines.is_empty()
        };
        if !may_come || ip.is_multicast() || ip.is_unspecified() {
            return Knowledge::KnownNone;
        }
        let mut asked = lock(&self.asked);
        if asked.len() < ASKED_LIMIT {
            asked.insert(ip);
        }
        Knowledge::Unknown
    }

    /// Addresses that have names, with ports where only one port has: for [`Names::history`] of all that is known. At
    /// most `limit`, those that are configured and of clusters first.
    pub fn addresses(&self, limit: usize) -> Vec<(IpAddr, u16)> {
        let state = self.read();
        let fixed = state.statics.keys().chain(state.timelines.addresses());
        let fixed = fixed.map(|address| (address.ip, address.port.unwrap_or(0)));
        let plain = state
            .own
            .keys()
            .chain(state.hosts.keys())
            .chain(state.dns.addresses());
        let plain = plain.map(|ip| (*ip, 0));
        fixed.chain(plain).take(limit).collect()
    }

    /// Whether DNS answers are learnt from.
    pub fn learns_dns(&self) -> bool {
        self.read().learns
    }

    /// Takes the name that a DNS answer gives an address, for as long as the answer lives (s). It never goes before a
    /// name from elsewhere. Does nothing where DNS is not to be learnt from.
    pub fn learn_dns(&self, name: &str, ip: IpAddr, ttl: u32, at_ns: i64) {
        let ip = ip.to_canonical();
        let dropped = {
            let mut state = self.write();
            if !state.learns {
                return;
            }
            state.dns.learn(name, ip, ttl, at_ns)
        };
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.grow_for(ip);
    }

    /// Takes a name that an address had from one time until another (ns since the epoch, the end not included).
    /// Of names that held at the same time the one that began last goes first. Returns whether there was room; what
    /// finds none is counted.
    pub fn add_interval(&self, address: Address, name: Name, from: i64, until: i64) -> bool {
        let kept = self
            .write()
            .timelines
            .add(address, Arc::new(name), from, until);
        if kept {
            self.grow_for(address.ip);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    /// Grows when an address that was asked for in vain may have a name now: then it is worth asking again.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Names that were given up at a limit so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Grows the generation if the address was asked for in vain.
    fn grow_for(&self, ip: IpAddr) {
        let asked = {
            let asked = lock(&self.asked);
            asked.len() >= ASKED_LIMIT || asked.contains(&ip)
        };
        if asked {
            self.grow();
        }
    }

    fn grow(&self) {
        lock(&self.asked).clear();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    // a panic while names are written leaves them as they are: each change is one assignment
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn find(&self, ip: IpAddr, port: u16, at: i64) -> Option<Arc<Name>> {
        let (exact, any) = (
            Address {
                ip,
                port: Some(port),
            },
            Address { ip, port: None },
        );
        let fixed = || {
            self.statics
                .get(&exact)
                .or_else(|| self.statics.get(&any))
                .cloned()
        };
        let timed = || {
            self.timelines
                .at(exact, at)
                .or_else(|| self.timelines.at(any, at))
        };
        let local = || self.hosts.get(&ip).or_else(|| self.own.get(&ip)).cloned();
        fixed()
            .or_else(timed)
            .or_else(local)
            .or_else(|| self.dns.at(ip, at))
    }
}

/// A name of one address, found by it, always.
fn always(name: &str) -> Arc<Name> {
    Arc::new(Name {
        name: name.to_owned(),
        dns: name.to_owned(),
        mechanism: Mechanism::Ip,
        ..Name::default()
    })
}
