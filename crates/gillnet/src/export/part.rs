//! Where an export goes: another program, or a file that appears under its name only when it is whole.
//!
//! While a file is made it is `FILE.part`; beside it `FILE.part.state` says what was asked for, and up to where the file is
//! good. The same command goes on from there.

use crate::exit;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;
/// After so many bytes it is noted up to where the file is good.
const STEP: u64 = 32 << 20;

/// Where an export goes.
pub struct Target {
    to: To,
    buffer: Vec<u8>,
    /// Bytes of the export so far, those in the buffer included.
    written: u64,
    noted: u64,
}

enum To {
    Writer(Box<dyn Write + Send>),
    Part(Box<Part>),
}

struct Part {
    file: File,
    path: PathBuf,
    part: PathBuf,
    state: PathBuf,
    asked: Value,
    /// What is noted with each place.
    beside: Value,
}

/// What is noted beside a file that is not whole.
#[derive(Deserialize, Serialize)]
struct State {
    /// What was asked for.
    asked: Value,
    /// Up to here the file is good.
    bytes: u64,
    /// Where to go on.
    at: Value,
}

impl Target {
    /// Another program, which may stop reading.
    pub fn writer(to: impl Write + Send + 'static) -> Target {
        Target {
            to: To::Writer(Box::new(to)),
            buffer: Vec::new(),
            written: 0,
            noted: 0,
        }
    }

    /// A file; with it, where to go on, if it was begun by the same question. What was begun by another is begun again.
    pub fn file(path: &Path, asked: Value) -> anyhow::Result<(Target, Option<Value>)> {
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let (part, state) = (beside(".part"), beside(".part.state"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&part)
            .map_err(|error| anyhow::anyhow!("{}: {error}", part.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(exit::usage(anyhow::anyhow!(
                    "{}: another export writes it; wait for its end, or give another --out",
                    part.display()
                )));
            }
            // a file system without locks
            Err(TryLockError::Error(error)) => tracing::debug!("{}: {error}", part.display()),
        }
        let had = file.metadata()?.len();
        let noted = std::fs::read(&state).ok();
        let noted = noted.and_then(|text| serde_json::from_slice::<State>(&text).ok());
        let (bytes, at) = match noted {
            Some(noted) if noted.asked == asked && noted.bytes <= had => {
                tracing::info!("{}: goes on behind byte {}", part.display(), noted.bytes);
                (noted.bytes, Some(noted.at))
            }
            noted => {
                if had > 0 {
                    let why = match noted {
                        Some(noted) if noted.asked != asked => {
                            "what was begun asks for something else"
                        }
                        _ => "nothing says where to go on",
                    };
                    tracing::info!("{}: starts over: {why}", part.display());
                }
                (0, None)
            }
        };
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        let part = Part {
            file,
            path: path.to_owned(),
            part,
            state,
            asked,
            beside: Value::Null,
        };
        let target = Target {
            to: To::Part(Box::new(part)),
            buffer: Vec::new(),
            written: bytes,
            noted: bytes,
        };
        Ok((target, at))
    }

    /// The buffer to append to; call [`Target::spill`] after.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// What is noted together with each place to go on at.
    pub fn notes(&mut self, what: Value) {
        if let To::Part(part) = &mut self.to {
            part.beside = what;
        }
    }

    /// Throws away what was begun.
    pub fn start_over(&mut self, why: &str) -> io::Result<()> {
        if let To::Part(part) = &mut self.to {
            tracing::info!("{}: starts over: {why}", part.part.display());
            part.file.set_len(0)?;
            part.file.seek(SeekFrom::Start(0))?;
            remove(&part.state)?;
        }
        self.buffer.clear();
        (self.written, self.noted) = (0, 0);
        Ok(())
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.written == 0 && self.buffer.is_empty()
    }

    /// Writes the buffer where it is full, and notes now and then where to go on.
    pub fn spill(&mut self, at: impl FnOnce() -> Value) -> io::Result<()> {
        if self.buffer.len() >= BUFFER {
            self.flush()?;
            if self.written - self.noted >= STEP {
                self.note(at())?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Writer(to) => to.write_all(&self.buffer)?,
            To::Part(part) => part.file.write_all(&self.buffer)?,
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes everything, and notes where to go on.
    pub fn note(&mut self, at: Value) -> io::Result<()> {
        self.flush()?;
        let To::Part(part) = &mut self.to else {
            return Ok(());
        };
        part.file.sync_data()?;
        let state = State {
            asked: part.asked.clone(),
            bytes: self.written,
            at: {
                let mut noted = part.beside.clone();
                if let Some(noted) = noted.as_object_mut() {
                    noted.insert("at".into(), at);
                }
                noted
            },
        };
        let folder = part
            .state
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut fresh = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        serde_json::to_writer(&mut fresh, &state)?;
        fresh.as_file().sync_data()?;
        fresh.persist(&part.state).map_err(|error| error.error)?;
        self.noted = self.written;
        Ok(())
    }

    /// Gives the file its name, or ends what is written.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match self.to {
            To::Writer(mut to) => to.flush(),
            To::Part(part) => {
                part.file.sync_all()?;
                std::fs::rename(&part.part, &part.path)?;
                remove(&part.state)
            }
        }
    }

    /// Leaves nothing behind: nothing matched.
    pub fn discard(self) -> io::Result<()> {
        match self.to {
            To::Writer(_) => Ok(()),
            To::Part(part) => remove(&part.state).and_then(|()| remove(&part.part)),
        }
    }

    /// The file that waits for the same command, where there is one.
    pub fn part(&self) -> Option<&Path> {
        match &self.to {
            To::Writer(_) => None,
            To::Part(part) => Some(&part.part),
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
