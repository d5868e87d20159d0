//! Where names come from, as it is configured.

use crate::{Address, Map};
use gillnet_entry::{Mechanism, Name, Workload};
use std::path::PathBuf;
use std::sync::Arc;

/// A configured name (`names.static`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticName {
    /// `10.0.0.5`, `10.0.0.5:8080`, `fd00::5`, `[fd00::5]:53`.
    pub address: String,
    /// The name to show; else the pod's, else the service's, else the process's.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Service.
    pub service: String,
    /// What runs there.
    pub workload: Workload,
}

/// How many names are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Names from DNS answers, counting each time that an address changed its name; the least used go first.
    pub dns: usize,
    /// Names of a cluster and of recordings, counting each time that they held; what comes past it is dropped.
    pub intervals: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            dns: 16 << 10,
            intervals: 256 << 10,
        }
    }
}

/// Where names come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamesConfig {
    /// Configured names.
    pub statics: Vec<StaticName>,
    /// The hosts file, where it is to be read: `/etc/hosts`.
    pub hosts_file: Option<PathBuf>,
    /// Whether the host's own addresses have the host's name.
    pub own_host: bool,
    /// Whether DNS answers seen on the wire give names.
    pub dns: bool,
    /// How many are kept.
    pub limits: Limits,
}

/// What is wrong with the configured names.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// An address that is none.
    #[error(
        "names.static[{index}]: \"{address}\" is not an address: write an IP address (10.0.0.5, fd00::5) or one with a port (10.0.0.5:8080, [fd00::5]:53)"
    )]
    Address {
        /// Position in the list, from 0.
        index: usize,
        /// What stands there.
        address: String,
    },
    /// A name that says nothing.
    #[error("names.static[{index}]: {address} gets no name: set name, pod, service or process")]
    Nameless {
        /// Position in the list, from 0.
        index: usize,
        /// Its address.
        address: Address,
    },
    /// Two names of one address.
    #[error(
        "names.static[{index}]: {address} has a name already, from names.static[{first}]: remove one of them"
    )]
    Twice {
        /// Position in the list, from 0.
        index: usize,
        /// Position of the former.
        first: usize,
        /// The address.
        address: Address,
    },
    /// A hosts file that cannot be read.
    #[error("hosts file {}: {error}: make it readable, or name another one", path.display())]
    Hosts {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

/// The configured names by address.
pub(crate) fn statics(list: &[StaticName]) -> Result<Map<Address, Arc<Name>>, NamesError> {
    let mut names = Map::default();
    let mut places: Map<Address, usize> = Map::default();
    for (index, entry) in list.iter().enumerate() {
        let address: Address = entry.address.parse().map_err(|_| NamesError::Address {
            index,
            address: entry.address.clone(),
        })?;
        if let Some(first) = places.insert(address, index) {
            return Err(NamesError::Twice {
                index,
                first,
                address,
            });
        }
        let process = &entry.workload.process;
        let shown = [&entry.name, &entry.pod, &entry.service, process]
            .into_iter()
            .find(|name| !name.is_empty());
        let Some(shown) = shown else {
            return Err(NamesError::Nameless { index, address });
        };
        let name = Name {
            name: shown.clone(),
            namespace: entry.namespace.clone(),
            pod: entry.pod.clone(),
            service: entry.service.clone(),
            dns: String::new(),
            mechanism: if address.port.is_some() {
                Mechanism::IpAndPort
            } else {
                Mechanism::Ip
            },
            since: 0,
            workload: (entry.workload != Workload::default())
                .then(|| Box::new(entry.workload.clone())),
        };
        names.insert(address, Arc::new(name));
    }
    Ok(names)
}
