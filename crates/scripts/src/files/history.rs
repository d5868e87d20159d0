//! `name_resolution_history.json`: what addresses are and were called, for whoever reads the packets later.

use crate::clock::lock;
use cap_std::fs::Dir;
use gillnet_names::Names;
use serde_json::Value;
use std::io;
use std::sync::{Arc, Mutex};

use super::HISTORY;

/// The file says what held in so many ns before now.
const SPAN: i64 = 3_600_000_000_000;
/// It is written anew after so many ns, where anything changed.
const EVERY: i64 = 3_000_000_000;
/// Addresses in it, at most.
const ADDRESSES: usize = 4096;
/// Bytes of it, at most: what held earlier goes first, then addresses.
const BYTES: usize = 8 << 20;

/// Writes the names of addresses.
pub(crate) struct History {
    names: Arc<Names>,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    at: Option<i64>,
    text: String,
}

impl History {
    pub(crate) fn new(names: Arc<Names>) -> History {
        History {
            names,
            written: Mutex::default(),
        }
    }

    /// As Kubeshark has it: `{"<unix s>": {"<ip>" or "<ip:port>": {"FullAddress", "Namespace", …}}}`.
    pub(crate) fn value(&self, now: i64) -> Value {
        let mut addresses = self.names.addresses(ADDRESSES);
        let mut span = SPAN;
        loop {
            let value = self
                .names
                .history(addresses.iter().copied(), now - span, now);
            if addresses.is_empty() || value.to_string().len() <= BYTES {
                return value;
            }
            if span < EVERY {
                addresses.truncate(addresses.len() / 2);
            } else {
                span /= 4;
            }
        }
    }

    /// Writes the file where it is time for it, or `anyway`.
    pub(crate) fn refresh(&self, dir: &Dir, now: i64, anyway: bool) -> io::Result<()> {
        let mut written = lock(&self.written);
        let fresh = written.at.is_some_and(|at| (at..at + EVERY).contains(&now));
        if fresh && !anyway && dir.exists(HISTORY) {
            return Ok(());
        }
        let text = self.value(now).to_string();
        written.at = Some(now);
        if text == written.text && dir.exists(HISTORY) {
            return Ok(());
        }
        // appears whole
        let temporary = format!(".{HISTORY}");
        dir.write(&temporary, &text)?;
        dir.rename(&temporary, dir, HISTORY)?;
        written.text = text;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_names::{NamesConfig, StaticName};

    #[test]
    fn the_names_file_does_not_grow_without_end() {
        let name = |n: u32| StaticName {
            address: std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string(),
            name: format!("{n}{}", "x".repeat(8000)),
            ..StaticName::default()
        };
        let names = |count: u32| {
            let statics = (0..count).map(name).collect();
            let names = Names::new(NamesConfig {
                statics,
                ..NamesConfig::default()
            });
            let history = History::new(Arc::new(names.unwrap()));
            let value = history.value(1_767_323_045_000_000_000);
            let addresses = value.as_object().unwrap().values();
            let most = addresses.map(|at| at.as_object().unwrap().len()).max();
            (value.to_string().len(), most.unwrap())
        };
        assert_eq!(names(100).1, 100);
        let (bytes, addresses) = names(5000);
        assert!(bytes <= BYTES && addresses >= 256, "{bytes} {addresses}");
    }
}
