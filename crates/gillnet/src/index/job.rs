//! How far an index is, in the data directory: so that the same command goes on after a crash.
//!
//! ```text
//! index/<what was asked, hashed>/journal.json     what was asked, and which groups are in the bucket
//! index/<…>/<number of the group>/spool/          the group's spool: see the recorder
//! ```

use crate::identity::DataDir;
use anyhow::Context;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::Hasher;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Version of the journal.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Journal {
    version: u32,
    /// What was asked: destination, names, filter, sources.
    asked: Vec<String>,
    /// By label, in which order does not matter.
    groups: BTreeMap<String, Group>,
    finished: bool,
}

/// A group of recordings that goes into the bucket as one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    number: u64,
    run: u64,
    done: bool,
}

/// Where a group's spool is, and what its run is called.
pub struct Part {
    pub dir: PathBuf,
    pub run: u64,
}

/// One index at work; no other process has it meanwhile.
pub struct Job {
    data: DataDir,
    journal: Journal,
}

impl Job {
    /// Opens what was begun with the same question, or begins; `again` forgets what was done.
    pub fn open(data_dir: &Path, asked: &[&String], again: bool) -> anyhow::Result<Job> {
        let mut hash = hash_of(asked);
        let (dir, data, journal) = loop {
            let dir = data_dir.join("index").join(format!("{hash:016x}"));
            let data = DataDir::open(&dir)?;
            let journal = read(&dir.join("journal.json"))?;
            match &journal {
                // another question with the same hash
                Some(journal) if !journal.asked.iter().eq(asked.iter().copied()) => hash += 1,
                _ => break (dir, data, journal),
            }
        };
        let mut job = Job {
            data,
            journal: journal.unwrap_or_default(),
        };
        if again {
            job.journal = Journal::default();
        }
        if job.journal.version == 0 {
            job.journal.version = VERSION;
            job.journal.asked = asked.iter().map(|part| (*part).clone()).collect();
            job.write()?;
            // of what was forgotten; only now, as they say what is in the bucket
            job.forget_groups()?;
        } else if !job.is_done() {
            tracing::info!("goes on with what was begun ({})", dir.display());
        }
        Ok(job)
    }

    /// Whether all of it is in the bucket.
    pub fn is_done(&self) -> bool {
        self.journal.finished
    }

    /// Whether this group is in the bucket.
    pub fn has_done(&self, label: &str) -> bool {
        self.journal
            .groups
            .get(label)
            .is_some_and(|group| group.done)
    }

    /// Begins a group, or goes on with it.
    pub fn part(&mut self, label: &str) -> anyhow::Result<Part> {
        let number = self.journal.groups.len() as u64;
        let fresh = !self.journal.groups.contains_key(label);
        let groups = &mut self.journal.groups;
        let group = groups.entry(label.to_owned()).or_insert_with(|| Group {
            number,
            run: rand::rng().random(),
            done: false,
        });
        let part = Part {
            dir: self.data.path().join(group.number.to_string()),
            run: group.run,
        };
        if fresh {
            // the run is on the disk before anything bears its name
            self.write()?;
        }
        Ok(part)
    }

    /// A group is in the bucket.
    pub fn done(&mut self, label: &str) -> anyhow::Result<()> {
        if let Some(group) = self.journal.groups.get_mut(label) {
            group.done = true;
        }
        self.write()?;
        self.forget_groups()
    }

    /// All is in the bucket. What came by standard input can't be told from what comes next there: it is `forgotten`.
    pub fn finish(&mut self, forgotten: bool) -> anyhow::Result<()> {
        self.journal.finished = true;
        if forgotten {
            std::fs::remove_file(self.data.path().join("journal.json"))?;
            return Ok(());
        }
        self.write()
    }

    /// Removes the spools of groups that are done, or of all where that is over.
    fn forget_groups(&self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(self.data.path())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && !self.needs(&entry.file_name().to_string_lossy()) {
                std::fs::remove_dir_all(entry.path())
                    .with_context(|| format!("{} cannot be removed", entry.path().display()))?;
            }
        }
        Ok(())
    }

    fn needs(&self, number: &str) -> bool {
        let mut groups = self.journal.groups.values();
        groups.any(|group| !group.done && group.number.to_string() == number)
    }

    /// Writes the journal beside, and puts it in place at once.
    fn write(&self) -> anyhow::Result<()> {
        let path = self.data.path().join("journal.json");
        let fresh = path.with_extension("new");
        let written = (|| {
            let mut file = std::fs::File::create(&fresh)?;
            file.write_all(&serde_json::to_vec_pretty(&self.journal)?)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            std::fs::File::open(self.data.path())?.sync_all()
        })();
        written.with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Journal>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{}", path.display())),
    };
    let journal: Journal = serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is damaged; remove its folder to begin anew",
            path.display()
        )
    })?;
    anyhow::ensure!(
        journal.version == VERSION,
        "{}: version {} of the journal is not known here; use a later Gillnet",
        path.display(),
        journal.version
    );
    Ok(Some(journal))
}

/// A hash that is the same in every process.
fn hash_of(asked: &[&String]) -> u64 {
    // FNV-1a
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
    for part in asked {
        fnv.write(part.as_bytes());
        fnv.write(&[0]);
    }
    fnv.finish()
}
