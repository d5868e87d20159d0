//! Addresses with or without a port, as they are written in configuration and history files.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// An address, or one port of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The address; one of IPv4 inside IPv6 stands as IPv4.
    pub ip: IpAddr,
    /// The port; `None` for all.
    pub port: Option<u16>,
}

/// Not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    /// Takes `10.0.0.5`, `10.0.0.5:8080`, `fd00::5`, `[fd00::5]`, `[fd00::5]:53`.
    fn from_str(text: &str) -> Result<Address, NoAddress> {
        let (ip, port) = if let Ok(ip) = text.parse::<IpAddr>() {
            (ip, None)
        } else if let Some(ip) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            (ip.parse().map_err(|_| NoAddress)?, None)
        } else {
            let socket = text.parse::<SocketAddr>().map_err(|_| NoAddress)?;
            (socket.ip(), Some(socket.port()))
        };
        Ok(Address {
            ip: ip.to_canonical(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in [
            "10.0.0.5",
            "10.0.0.5:8080",
            "fd00::5",
            "[fd00::5]:53",
            "::1",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]".parse::<Address>().unwrap().to_string(), "::1");
        assert_eq!(
            "::ffff:10.0.0.5".parse::<Address>().unwrap().to_string(),
            "10.0.0.5"
        );
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.5:",
            "10.0.0.5:65536",
            "host:80",
            "[fd00::5",
            "10.0.0.0/8",
            " 10.0.0.5",
        ] {
            assert_eq!(wrong.parse::<Address>(), Err(NoAddress), "{wrong}");
        }
    }
}
