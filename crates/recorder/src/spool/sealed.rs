//! What the spool keeps beside a sealed object: where its files go to, and how far they are.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use gillnet_bucket::encrypted_key;
use gillnet_bucket::index::Beside;
use gillnet_bucket::layout::{Hour, ObjectName, PacketFormat, Payload};
use serde::{Deserialize, Serialize};

use crate::clock::HOUR;
use crate::dissect::Key;
use crate::fs::{Fs, write_through};
use crate::record::LogHead;

/// Version of the form below.
const VERSION: u32 = 1;
/// More than a sidecar can have.
const MAX_SIDECAR: usize = 1 << 20;
/// End of the name of the file that makes an object count as sealed.
pub(crate) const SIDECAR: &str = ".json";
/// End of the name of one that is being written.
pub(crate) const UNFINISHED: &str = ".tmp";

/// A log's number is below this. An object that is made when the numbers of its run are no more known (another process
/// may have used them) has that of a log that nobody else has, and laps above it: an odd number of them where it holds
/// the entries that waited behind the log.
pub(super) const LAP: u64 = 1 << 40;

/// How far a file of an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Progress {
    /// Never sent.
    New,
    /// It was sent, or is about to be, and the answer may be lost: it may be there.
    Tried,
    /// It is there.
    Done,
}

/// What packets are written as, and how much of them.
pub(crate) type PacketsAs = (PacketFormat, Payload);

/// Which file of an object; in the order of upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Packets,
    Streams,
    Names,
    /// Those of one hour, counted since the Unix epoch.
    Entries {
        hour: i64,
    },
}

impl Part {
    /// Its key; `of_packets`: what packets are written as.
    pub(crate) fn key(self, name: &ObjectName, of_packets: PacketsAs) -> String {
        match self {
            Self::Packets => name.packets_key_as(of_packets.0, of_packets.1),
            Self::Streams => name.streams_key(),
            Self::Names => name.names_key(),
            Self::Entries { hour } => {
                let hour = Hour::of(hour.saturating_mul(HOUR));
                ObjectName {
                    hour,
                    ..name.clone()
                }
                .entries_key()
            }
        }
    }

    /// End of the local file's name, whatever the format is.
    pub(crate) fn suffix(self) -> Cow<'static, str> {
        match self {
            Self::Packets => ".pcapng.gz".into(),
            Self::Streams => ".streams".into(),
            Self::Names => ".names".into(),
            Self::Entries { hour } => format!(".{hour}.entries").into(),
        }
    }
}

/// A file of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartFile {
    pub(crate) part: Part,
    pub(crate) key: String,
    pub(crate) size: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
    pub(crate) progress: Progress,
    /// What it is to who decrypts it, where it is encrypted: the others are as it is uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decrypted: Option<Decrypted>,
}

/// See [`PartFile::beside`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Decrypted {
    key: String,
    size: u64,
    sha256: String,
}

impl PartFile {
    /// A file that was never sent.
    pub(crate) fn new(
        part: Part,
        name: &ObjectName,
        of_packets: PacketsAs,
        size: u64,
        sha256: &[u8],
    ) -> Self {
        Self {
            part,
            key: part.key(name, of_packets),
            size,
            sha256: gillnet_bucket::hex(sha256),
            progress: Progress::New,
            decrypted: None,
        }
    }

    /// The same, where in the spool and in the bucket it has so many bytes, with this sum.
    pub(crate) fn encrypted(self, size: u64, sha256: &[u8]) -> Self {
        Self {
            key: encrypted_key(&self.key, self.size),
            size,
            sha256: gillnet_bucket::hex(sha256),
            decrypted: Some(Decrypted {
                key: self.key,
                size: self.size,
                sha256: self.sha256,
            }),
            ..self
        }
    }

    /// What the index says of it, which is read by who decrypts both.
    pub(crate) fn beside(&self) -> Beside {
        let (key, size, sha256) = match &self.decrypted {
            Some(of) => (&of.key, of.size, &of.sha256),
            None => (&self.key, self.size, &self.sha256),
        };
        Beside {
            key: key.clone(),
            size,
            sha256: sha256.clone(),
        }
    }

    /// Gives it another object's name.
    fn rename(&mut self, name: &ObjectName) {
        let now = self.beside().key;
        let format = PacketFormat::of_key(&now).unwrap_or_default();
        let key = self.part.key(name, (format, Payload::of_key(&now)));
        self.key = match &mut self.decrypted {
            Some(of) => {
                of.key.clone_from(&key);
                encrypted_key(&key, of.size)
            }
            None => key,
        };
        self.progress = Progress::New;
    }
}

/// What stands beside a sealed object. Once it is there, the object is; once it is gone, the
/// object was uploaded or given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    version: u32,
    pub(crate) head: LogHead,
    /// When it was sealed: nanoseconds since the Unix epoch.
    pub(crate) sealed_at: i64,
    pub(crate) packets: u64,
    pub(crate) attempts: u64,
    pub(crate) files: Vec<PartFile>,
}

impl Sidecar {
    pub(crate) fn new(head: LogHead, sealed_at: i64, packets: u64, files: Vec<PartFile>) -> Self {
        Self {
            version: VERSION,
            head,
            sealed_at,
            packets,
            attempts: 0,
            files,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// A name that nobody has had, of the run that recorded it: an object gets one where another's object has its own.
    /// `run` is the present one, whose `next` number is known.
    pub(crate) fn other_name(&self, run: u64, next: &AtomicU64) -> ObjectName {
        let seq = if self.head.run == run {
            next.fetch_add(1, Ordering::Relaxed)
        } else {
            let keys = self.files.iter();
            let keys = keys.map(|file| ObjectName::parse(&file.beside().key));
            let last = keys.flatten().map(|(_, name)| name.seq).max();
            last.unwrap_or(self.head.seq).saturating_add(2 * LAP)
        };
        ObjectName {
            seq,
            ..self.head.object_name()
        }
    }

    /// Gives other names to what is not in the bucket yet.
    pub(crate) fn rename(&mut self, name: &ObjectName) {
        for file in self
            .files
            .iter_mut()
            .filter(|file| file.progress != Progress::Done)
        {
            file.rename(name);
        }
    }

    /// Reads it; [`io::ErrorKind::InvalidData`] where it is none that this version knows.
    pub(crate) fn read(fs: &dyn Fs, path: &Path) -> io::Result<Self> {
        let bytes = fs.read(path, MAX_SIDECAR)?;
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let found: Self =
            serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        if found.version != VERSION {
            return Err(invalid(format!(
                "version {} of the spool is not known",
                found.version
            )));
        }
        Ok(found)
    }

    /// Writes it beside, whole, and puts it in place at once.
    pub(crate) fn write(&self, fs: &dyn Fs, dir: &Path, id: &str) -> io::Result<()> {
        let beside = dir.join(format!("{id}{UNFINISHED}"));
        let written = (|| {
            let mut file = fs.create(&beside)?;
            write_through(&mut *file, &serde_json::to_vec(self)?).1?;
            file.sync()?;
            fs.rename(&beside, &dir.join(format!("{id}{SIDECAR}")))
        })();
        if written.is_err() {
            // a later one replaces it; what can't be removed now is at the next start
            let _ = fs.remove(&beside);
        }
        written?;
        fs.sync_dir(dir)
    }
}

impl LogHead {
    /// What the object of this log is called in the bucket.
    pub(crate) fn object_name(&self) -> ObjectName {
        ObjectName {
            cluster: self.cluster.clone(),
            recording: self.rule.clone(),
            hour: Hour::of(self.hour.saturating_mul(HOUR)),
            node: self.node.clone(),
            run: self.run,
            seq: self.seq,
            replaces: None,
        }
    }

    /// Whose entries are read together.
    pub(crate) fn key(&self) -> Key {
        (self.run, self.rule.clone())
    }

    /// What its files are called on the node. Never used twice.
    pub(crate) fn id(&self) -> String {
        format!("{:016x}_{:010}", self.run, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_file_keeps_its_length_in_every_name() {
        let name = |seq| ObjectName {
            cluster: "c".into(),
            recording: "r".into(),
            hour: Hour::of(0),
            node: "n".into(),
            run: 1,
            seq,
            replaces: None,
        };
        let of_packets = (PacketFormat::Pcapng, Payload::First(128));
        let file = PartFile::new(Part::Packets, &name(7), of_packets, 70, &[1; 32]);
        let plain = file.beside();
        let mut file = file.encrypted(300, &[2; 32]);
        assert_eq!(file.beside(), plain);
        assert!(file.key.ends_with("_0000000007.pcapng.first128.70.age"));
        assert_eq!((file.size, &*file.sha256), (300, &*"02".repeat(32)));
        file.progress = Progress::Tried;
        file.rename(&name(9));
        assert!(file.key.ends_with("_0000000009.pcapng.first128.70.age"));
        assert!(file.beside().key.ends_with("_0000000009.pcapng.first128"));
        assert_eq!(
            (file.progress, file.size, file.beside().size),
            (Progress::New, 300, 70)
        );
        // as it is kept in the spool
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<PartFile>(&text).unwrap(), file);
    }
}
