//! Who this process is, and what it may never say twice: node, cluster, run, stream numbers.

use anyhow::Context;
use rand::RngExt;
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Who this process is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub node_ip: IpAddr,
    /// The cluster's name, else the host's id.
    pub cluster: String,
    /// 64 random bits a process start, in hex.
    pub run: String,
}

impl Identity {
    /// Finds out; `cluster` is configured.
    pub fn find(cluster: Option<&str>) -> Identity {
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .ok()
                .map(|t| t.trim().to_owned())
                .filter(|t| !t.is_empty())
        };
        let node = std::env::var("NODE_NAME").ok().filter(|n| !n.is_empty());
        let host = read("/etc/machine-id").map(|id| id.chars().take(12).collect::<String>());
        Identity {
            node: node
                .or_else(|| read("/proc/sys/kernel/hostname"))
                .unwrap_or_else(|| "node".into()),
            node_ip: own_address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            cluster: cluster
                .map(str::to_owned)
                .or(host)
                .unwrap_or_else(|| "host".into()),
            run: format!("{:016x}", rand::rng().random::<u64>()),
        }
    }
}

/// The address that this host would send from: asks the routing table, sends nothing.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|addr| addr.ip())
        .filter(|ip| !ip.is_unspecified())
}

/// The data directory, held by this process alone.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory, readable by its owner alone, and locks it.
    pub fn open(path: &Path) -> anyhow::Result<DataDir> {
        let mend = "choose another with --data-dir, or `dataDir` in the configuration";
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| {
                format!(
                    "the data directory {} cannot be made; {mend}",
                    path.display()
                )
            })?;
        let lock = private(path.join("lock")).with_context(|| {
            format!(
                "the data directory {} cannot be written; {mend}",
                path.display()
            )
        })?;
        if lock.try_lock().is_err() {
            anyhow::bail!(
                "the data directory {} is in use by another gillnet; stop that one, or {mend}",
                path.display()
            );
        }
        Ok(DataDir {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Numbers for streams that no run of this node gives again.
    pub fn numbers(&self) -> anyhow::Result<Numbers> {
        Numbers::open(self.path.join("streams.next"))
    }
}

fn private(path: PathBuf) -> std::io::Result<File> {
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .mode(0o600)
        .open(path)
}

/// Numbers of streams, reserved on disk in blocks before they are given.
#[derive(Debug)]
pub struct Numbers {
    file: PathBuf,
    next: u64,
    reserved: u64,
}

/// Numbers reserved at a time.
const BLOCK: u64 = 1 << 16;

impl Numbers {
    fn open(file: PathBuf) -> anyhow::Result<Numbers> {
        let next = match std::fs::read_to_string(&file) {
            Ok(text) => text.trim().parse().with_context(|| {
                format!(
                    "{} holds no number; write one larger than any stream recorded here",
                    file.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", file.display()));
            }
        };
        let mut numbers = Numbers {
            file,
            next,
            reserved: next,
        };
        numbers.reserve()?;
        Ok(numbers)
    }

    /// The next number.
    pub fn give(&mut self) -> u64 {
        if self.next == self.reserved
            && let Err(error) = self.reserve()
        {
            // better numbers that a crash could repeat in another run (whose objects bear its own name) than none
            tracing::error!("stream numbers cannot be reserved: {error:#}");
            self.reserved += BLOCK;
        }
        self.next += 1;
        self.next - 1
    }

    fn reserve(&mut self) -> anyhow::Result<()> {
        let end = self.reserved + BLOCK;
        let fresh = self.file.with_extension("new");
        let mut file = private(fresh.clone())
            .with_context(|| format!("{} cannot be written", fresh.display()))?;
        file.set_len(0)?;
        writeln!(file, "{end}")?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.file)?;
        self.reserved = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut last = 0;
        for run in 0..3 {
            let dir = DataDir::open(&folder.path().join("data")).unwrap();
            let mut numbers = dir.numbers().unwrap();
            for _ in 0..BLOCK + 10 {
                let number = numbers.give();
                assert!(number > last || (run == 0 && number == 0));
                last = number;
            }
        }
    }

    #[test]
    fn a_data_directory_has_one_owner_and_a_damaged_counter_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("in use by another gillnet"), "{error}");
        std::fs::write(folder.path().join("streams.next"), "x").unwrap();
        assert!(
            dir.numbers()
                .unwrap_err()
                .to_string()
                .contains("holds no number")
        );
    }
}
