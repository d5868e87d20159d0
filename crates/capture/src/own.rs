//! Which TCP connections are this process's own, so that it does not record itself.

use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// The tables are read again after this time at the earliest.
const REFRESH: Duration = Duration::from_millis(100);
/// And so seldom that reading takes at most a twentieth of the time, on a host with many sockets.
const REST: u32 = 20;
/// State of a listening socket in /proc/net/tcp.
const LISTEN: u8 = 0x0a;

/// Tells the TCP connections of this process, in its own network namespace, from others'.
///
/// It reads /proc/self/fd and /proc/self/net/tcp{,6}, at most every 100 ms. To be asked once a
/// flow, and again where it does not know.
#[derive(Debug, Default)]
pub struct OwnSockets {
    connections: HashSet<(SocketAddr, SocketAddr)>,
    listeners: HashSet<SocketAddr>,
    /// When the tables may be read again.
    due: Option<Instant>,
}

impl OwnSockets {
    /// Nothing is known yet; the first question reads the tables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a TCP flow between these two is one of this process's sockets at either end, or is
    /// with one that it listens on. `None`: not as far as is known, but the tables were read just
    /// now, perhaps before the flow began; ask again in 100 ms or later.
    pub fn is_own(&mut self, one: SocketAddr, other: SocketAddr) -> Option<bool> {
        let (one, other) = (plain(one), plain(other));
        if self.knows(one, other) {
            return Some(true);
        }
        let now = Instant::now();
        if self.due.is_some_and(|due| due > now) {
            return None;
        }
        // where the tables can't be read nothing is known to be ours
        if let Ok((connections, listeners)) = read_tables() {
            (self.connections, self.listeners) = (connections, listeners);
        }
        let done = Instant::now();
        self.due = Some(done + REFRESH.max((done - now) * REST));
        Some(self.knows(one, other))
    }

    fn knows(&self, one: SocketAddr, other: SocketAddr) -> bool {
        self.connections.contains(&(one, other))
            || self.connections.contains(&(other, one))
            || self.listens(one)
            || self.listens(other)
    }

    fn listens(&self, at: SocketAddr) -> bool {
        let port = at.port();
        let anywhere = |ip: IpAddr| self.listeners.contains(&SocketAddr::new(ip, port));
        // a socket of IPv6 without an address takes IPv4 too
        self.listeners.contains(&at)
            || (anywhere(Ipv6Addr::UNSPECIFIED.into())
                || at.is_ipv4() && anywhere(Ipv4Addr::UNSPECIFIED.into()))
                && is_of_this_host(at.ip())
    }
}

/// Whether an address is one of this host's: the kernel knows.
#[must_use]
pub fn is_of_this_host(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// An IPv4 address as such, also where it came as one of IPv6.
fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

type Tables = (HashSet<(SocketAddr, SocketAddr)>, HashSet<SocketAddr>);

/// Connections and listening sockets of this process.
fn read_tables() -> io::Result<Tables> {
    let ours = own_inodes()?;
    let (mut connections, mut listeners) = (HashSet::new(), HashSet::new());
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let file = match fs::File::open(table) {
            Ok(file) => file,
            // a kernel without IPv6 has no such table
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file).lines().skip(1) {
            let Some(row) = Row::read(&line?) else {
                continue;
            };
            if !ours.contains(&row.inode) {
                continue;
            }
            if row.state == LISTEN {
                listeners.insert(plain(row.local));
            } else {
                connections.insert((plain(row.local), plain(row.remote)));
            }
        }
    }
    Ok((connections, listeners))
}

/// The inodes of this process's sockets.
fn own_inodes() -> io::Result<HashSet<u64>> {
    let mut inodes = HashSet::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        // a descriptor may be closed meanwhile
        let Ok(target) = entry.and_then(|entry| fs::read_link(entry.path())) else {
            continue;
        };
        let inode: Option<u64> = target.to_str().and_then(|text| {
            text.strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        });
        inodes.extend(inode);
    }
    Ok(inodes)
}

/// A line of /proc/net/tcp or tcp6.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    inode: u64,
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let local = address(fields.nth(1)?)?;
        let remote = address(fields.next()?)?;
        let state = u8::from_str_radix(fields.next()?, 16).ok()?;
        let inode = fields.nth(5)?.parse().ok()?;
        Some(Self {
            local,
            remote,
            state,
            inode,
        })
    }
}

/// `0100007F:1F90`: words of the address as the machine's numbers, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| {
        u32::from_str_radix(ip.get(at..at + 8)?, 16)
            .ok()
            .map(u32::to_ne_bytes)
    };
    let ip: IpAddr = match ip.len() {
        8 => word(0)?.into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at * 8)?);
            }
            bytes.into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn rows_of_the_table() {
        let line = "   0: 0100007F:1F90 0202000A:0050 01 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 20 4 30 10 -1";
        let row = Row::read(line).unwrap();
        assert_eq!(row.local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(
            (row.remote, row.state, row.inode),
            ("10.0.2.2:80".parse().unwrap(), 1, 12345)
        );
        let line = "  1: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000001000000:0000 0A 0:0 0:0 0 0 0 7 1";
        let row = Row::read(line).unwrap();
        assert_eq!(plain(row.local), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(
            (row.remote, row.state, row.inode),
            ("[::1]:0".parse().unwrap(), LISTEN, 7)
        );
        for wrong in [
            "",
            "  sl  local_address",
            "0: 0100007F:1F90",
            "0: 0100:1F90 0:0 01 a b c d e f",
        ] {
            assert_eq!(Row::read(wrong), None);
        }
    }

    /// Asks until it is known.
    fn ask(own: &mut OwnSockets, one: SocketAddr, other: SocketAddr) -> bool {
        loop {
            if let Some(answer) = own.is_own(one, other) {
                return answer;
            }
            std::thread::sleep(REFRESH / 10);
        }
    }

    #[test]
    fn own_connections_and_listeners() {
        let mut own = OwnSockets::new();
        for listen in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(listen).unwrap();
            let port = listener.local_addr().unwrap().port();
            let loopback: SocketAddr = if listen == "[::1]:0" {
                ([0, 0, 0, 0, 0, 0, 0, 1], port).into()
            } else {
                ([127, 0, 0, 1], port).into()
            };
            // somebody else's connection to our listener, before it is accepted or when it is over
            let stranger = "127.0.0.1:1".parse().unwrap();
            assert!(
                ask(&mut own, stranger, loopback) && ask(&mut own, loopback, stranger),
                "{listen}"
            );
            // the same port at an address that is not ours
            let elsewhere = SocketAddr::new("192.0.2.77".parse().unwrap(), port);
            assert!(!ask(&mut own, stranger, elsewhere), "{listen}");
            let stream = TcpStream::connect(loopback).unwrap();
            let accepted = listener.accept().unwrap();
            drop(listener);
            let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            assert!(
                ask(&mut own, local, peer) && ask(&mut own, peer, local),
                "{listen}"
            );
            drop(accepted);
        }
    }

    #[test]
    fn another_process_connection_is_not_own() {
        let script = "import socket,sys\n\
            l=socket.create_server(('127.0.0.1',0))\n\
            c=socket.create_connection(l.getsockname())\n\
            s,_=l.accept()\n\
            print(c.getsockname()[1],c.getpeername()[1],flush=True)\n\
            sys.stdin.read()";
        let child = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("python3 is installed");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ports: Vec<u16> = line
            .split_whitespace()
            .map(|port| port.parse().unwrap())
            .collect();
        let [one, other] =
            [ports[0], ports[1]].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        assert!(!ask(&mut OwnSockets::new(), one, other));
        child.stdin.take().unwrap().flush().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        child.stdout.unwrap().read_to_string(&mut rest).unwrap();
    }
}
