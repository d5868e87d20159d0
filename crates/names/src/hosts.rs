//! The hosts file: an address and its names a line (hosts(5)).

use crate::{Map, NamesError, always};
use gillnet_entry::Name;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// Reads a hosts file; one that does not exist is empty.
pub(crate) fn read(path: Option<&Path>) -> Result<Map<IpAddr, Arc<Name>>, NamesError> {
    let Some(path) = path else {
        return Ok(Map::default());
    };
    match std::fs::read(path) {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Map::default()),
        Err(error) => Err(NamesError::Hosts {
            path: path.to_owned(),
            error,
        }),
    }
}

/// The first name of each address; of lines with the same address the first counts. What is no address is passed over,
/// as the resolver does.
fn parse(text: &str) -> Map<IpAddr, Arc<Name>> {
    let mut names = Map::default();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(address), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        // a scope (fe80::1%lo0) is of this host alone
        let address = address.split('%').next().unwrap_or_default();
        if let Ok(ip) = address.parse::<IpAddr>() {
            names
                .entry(ip.to_canonical())
                .or_insert_with(|| always(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_hosts_file() {
        let names = parse(
            "# comment\n127.0.0.1\tlocalhost loopback\n\n::1 ip6-localhost # and more\n10.0.0.5 db.local db\n\
             10.0.0.5 other\nnot-an-address x\n10.0.0.6\nfe80::1%lo0 scoped\n",
        );
        let name = |ip: &str| {
            names
                .get(&ip.parse::<IpAddr>().unwrap())
                .map(|n| n.name.as_str())
        };
        assert_eq!(name("127.0.0.1"), Some("localhost"));
        assert_eq!(name("::1"), Some("ip6-localhost"));
        assert_eq!(name("10.0.0.5"), Some("db.local"));
        assert_eq!(name("fe80::1"), Some("scoped"));
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn a_file_that_is_missing_is_empty_and_one_that_cannot_be_read_is_named() {
        assert!(
            read(Some(Path::new("/nonexistent/hosts")))
                .unwrap()
                .is_empty()
        );
        let error = read(Some(Path::new("/"))).unwrap_err().to_string();
        assert!(error.starts_with("hosts file /: "), "{error}");
    }
}
