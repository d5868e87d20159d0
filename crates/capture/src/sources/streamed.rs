//! Captures that can only be read from front to back: packed ones, archives, pipes, readers. They
//! go through one buffer; frames have no position.

use std::{collections::VecDeque, fs::File, io, path::PathBuf, sync::Arc};

use super::unpack::{Bytes, SharedTar, unpack};
use crate::{
    Error, Event, Interface, NO_POS, Result, Source, SourceStats, Store,
    formats::{Found, Interfaces, Kind, Step, Walker},
    sources::{Input, cut_short, expand::Place, not_a_capture},
};

/// Bytes read at a time; the buffer grows to the largest block that is looked into.
pub(crate) const BUFFER: usize = 256 << 10;

/// Captures read through a buffer.
pub(crate) struct Streamed {
    waiting: VecDeque<Input>,
    archive: Option<Archive>,
    current: Option<Current>,
    buffer: Vec<u8>,
    /// What of the buffer is read and not used yet.
    start: usize,
    end: usize,
    interfaces: Interfaces,
    stats: SourceStats,
}

/// An archive whose members are read.
struct Archive {
    name: Arc<str>,
    /// The file, where members of it are asked for one by one.
    path: Option<PathBuf>,
    tar: SharedTar,
}

struct Current {
    name: Arc<str>,
    bytes: Bytes,
    walker: Walker,
    /// Bytes used before the buffer's start.
    offset: u64,
    /// What is being passed over.
    skip: Option<Skip>,
    /// Set where there is nothing more to read.
    ended: Option<Ended>,
}

/// How the bytes of a capture came to their end.
enum Ended {
    /// There are no more.
    Whole,
    /// A packed stream, or the archive it is in, is cut short.
    Cut,
    Broken(io::Error),
}

/// Bytes to be passed over: where they began, how many they were, and how many are left.
#[derive(Clone, Copy)]
struct Skip {
    offset: u64,
    bytes: u64,
    left: u64,
}

impl Streamed {
    pub(crate) fn new(inputs: VecDeque<Input>, buffer: usize) -> Self {
        Self {
            waiting: inputs,
            archive: None,
            current: None,
            buffer: vec![0; buffer],
            start: 0,
            end: 0,
            interfaces: Interfaces::default(),
            stats: SourceStats::default(),
        }
    }

    /// Opens the next capture; `false` where there is none.
    #[cold]
    fn open_next(&mut self) -> Result<bool> {
        let opened = self.open();
        self.stats.files += u64::from(!matches!(opened, Ok(None)));
        self.stats.files_damaged += u64::from(opened.is_err());
        (self.start, self.end) = (0, 0);
        self.current = opened?;
        Ok(self.current.is_some())
    }

    fn open(&mut self) -> Result<Option<Current>> {
        loop {
            if let Some(archive) = self.archive.take_if(|archive| archive.path.is_none()) {
                if let Some(current) = self.next_member(archive)? {
                    return Ok(Some(current));
                }
                continue;
            }
            let Some(input) = self.waiting.pop_front() else {
                return Ok(None);
            };
            let name: Arc<str> = input.name().into();
            let failed = |source| Error::Open {
                file: Arc::clone(&name),
                source,
            };
            let bytes: Bytes = match input {
                Input::File(path) => Box::new(File::open(path).map_err(failed)?),
                Input::Stdin => Box::new(io::stdin()),
                Input::Reader { reader, .. } => reader,
                Input::Member(member) => match member.place {
                    Place::Bytes { .. } => member.open().map_err(failed)?,
                    Place::Nth(index) => {
                        Box::new(self.member(&member.archive, index).map_err(failed)?)
                    }
                },
            };
            if let Some(current) = self.begin(&name, bytes)? {
                return Ok(Some(current));
            }
        }
    }

    /// The archive at `path`, standing at its `index`-th plain file.
    fn member(&mut self, path: &PathBuf, index: u64) -> io::Result<SharedTar> {
        let known = self
            .archive
            .take()
            .filter(|archive| archive.path.as_ref() == Some(path));
        let archive = match known.filter(|archive| archive.tar.with(|tar| tar.members()) <= index) {
            Some(archive) => archive,
            None => {
                let bytes = unpack(Box::new(File::open(path)?))?.bytes;
                Archive {
                    name: Arc::from(""),
                    path: Some(path.clone()),
                    tar: SharedTar::new(bytes),
                }
            }
        };
        let tar = archive.tar.clone();
        self.archive = Some(archive);
        loop {
            match tar.with(|tar| tar.next_member())? {
                Some(member) if member.index == index => return Ok(tar),
                Some(_) => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The next member of an archive that is a capture; the archive is kept for the one after.
    fn next_member(&mut self, archive: Archive) -> Result<Option<Current>> {
        loop {
            let failed = |source| Error::Open {
                file: Arc::clone(&archive.name),
                source,
            };
            let Some(member) = archive.tar.with(|tar| tar.next_member()).map_err(failed)? else {
                return Ok(None);
            };
            let name: Arc<str> = format!("{}:{}", archive.name, member.name).into();
            let Ok(unpacked) = unpack(Box::new(archive.tar.clone())) else {
                continue;
            };
            if let Some(walker) = Walker::new(unpacked.kind) {
                self.archive = Some(archive);
                return Ok(Some(Current::new(name, unpacked.bytes, walker)));
            }
        }
    }

    /// Starts on `bytes`; `None` where they are an archive, which is opened then.
    fn begin(&mut self, name: &Arc<str>, bytes: Bytes) -> Result<Option<Current>> {
        let failed = |source| Error::Read {
            file: Arc::clone(name),
            offset: 0,
            source,
        };
        let unpacked = unpack(bytes).map_err(failed)?;
        if unpacked.kind == Kind::Tar {
            self.archive = Some(Archive {
                name: Arc::clone(name),
                path: None,
                tar: SharedTar::new(unpacked.bytes),
            });
            return Ok(None);
        }
        if unpacked.first.is_empty() {
            self.stats.truncated += 1;
            return Err(cut_short(name, 0, "file header", 24, 0));
        }
        match Walker::new(unpacked.kind) {
            Some(walker) => Ok(Some(Current::new(Arc::clone(name), unpacked.bytes, walker))),
            None => Err(not_a_capture(name, &unpacked.first)),
        }
    }

    /// What a step that is no frame comes to; `None` is to go on.
    #[cold]
    fn other_step(&mut self, step: Step) -> Option<Error> {
        let left = self.end - self.start;
        let file = self.current.as_mut()?;
        let offset = file.offset;
        let error = match step {
            Step::Frame(_) => return None,
            Step::Skip(bytes) => {
                file.skip = Some(Skip {
                    offset,
                    bytes,
                    left: bytes,
                });
                return self.pass_over();
            }
            Step::Fault { fault, skip } => {
                let error = fault.at(&file.name, offset);
                match skip {
                    Some(bytes) => {
                        file.skip = Some(Skip {
                            offset,
                            bytes,
                            left: bytes,
                        });
                        // an end in the middle of it is found by the next step
                        return Some(error);
                    }
                    None => error,
                }
            }
            Step::Need { bytes, what } => match (file.ended.take(), left) {
                (None, _) => {
                    self.fill(bytes);
                    return None;
                }
                (Some(Ended::Whole), 0) if !file.walker.at_start() => {
                    self.current = None;
                    return None;
                }
                (Some(Ended::Whole | Ended::Cut), left) => {
                    cut_short(&file.name, offset, what, bytes as u64, left as u64)
                }
                (Some(Ended::Broken(source)), _) => Error::Read {
                    file: Arc::clone(&file.name),
                    offset,
                    source,
                },
            },
        };
        self.close_damaged(error)
    }

    fn close_damaged(&mut self, error: Error) -> Option<Error> {
        self.current = None;
        self.stats.files_damaged += 1;
        self.stats.truncated += u64::from(matches!(error, Error::Truncated { .. }));
        Some(error)
    }

    /// Passes over what is to be skipped.
    fn pass_over(&mut self) -> Option<Error> {
        loop {
            let file = self.current.as_mut()?;
            let skip = file.skip.as_mut()?;
            let here =
                (self.end - self.start).min(usize::try_from(skip.left).unwrap_or(usize::MAX));
            self.start += here;
            file.offset += here as u64;
            skip.left -= here as u64;
            let Skip {
                offset,
                bytes,
                left,
            } = *skip;
            if left == 0 {
                file.skip = None;
                return None;
            }
            let error = match file.ended.take() {
                None => {
                    self.fill(1);
                    continue;
                }
                Some(Ended::Whole | Ended::Cut) => {
                    cut_short(&file.name, offset, "block", bytes, bytes - left)
                }
                Some(Ended::Broken(source)) => Error::Read {
                    file: Arc::clone(&file.name),
                    offset: file.offset,
                    source,
                },
            };
            return self.close_damaged(error);
        }
    }

    /// Reads on until `want` bytes are in the buffer or there are no more.
    fn fill(&mut self, want: usize) {
        let Some(file) = &mut self.current else {
            return;
        };
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < want {
            self.buffer.resize(want.next_power_of_two(), 0);
        }
        while self.end < want {
            file.ended = match file
                .bytes
                .read(self.buffer.get_mut(self.end..).unwrap_or_default())
            {
                Ok(0) => Some(Ended::Whole),
                Ok(got) => {
                    self.end += got;
                    continue;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::UnexpectedEof => Some(Ended::Cut),
                    _ => Some(Ended::Broken(error)),
                },
            };
            return;
        }
    }

    /// Finds the next frame, and stands at it; `None` at the end of all captures.
    pub(crate) fn find(&mut self) -> Result<Option<Found>> {
        loop {
            let Some(file) = &mut self.current else {
                if self.open_next()? {
                    continue;
                }
                return Ok(None);
            };
            if file.skip.is_some() {
                if let Some(error) = self.pass_over() {
                    return Err(error);
                }
                continue;
            }
            let bytes = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(found) = file.walker.frame(bytes, &mut self.stats) {
                return Ok(Some(found));
            }
            match file
                .walker
                .step(bytes, &mut self.interfaces, &mut self.stats)
            {
                Step::Frame(found) => return Ok(Some(found)),
                step => {
                    if let Some(error) = self.other_step(step) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The frame that was found at the buffer's start; moves behind it.
    #[inline]
    pub(crate) fn deliver(&mut self, found: &Found) -> Event<'_> {
        let record = self.start..self.end;
        self.start += found.used as usize;
        self.stats.frames += 1;
        self.stats.bytes += u64::from(found.len);
        if let Some(file) = &mut self.current {
            file.offset += u64::from(found.used);
        }
        let bytes = self.buffer.get(record).unwrap_or_default();
        Event::Frame(found.frame(bytes, NO_POS))
    }
}

impl Current {
    fn new(name: Arc<str>, bytes: Bytes, walker: Walker) -> Self {
        Self {
            name,
            bytes,
            walker,
            offset: 0,
            skip: None,
            ended: None,
        }
    }
}

impl Source for Streamed {
    fn next(&mut self) -> Result<Event<'_>> {
        Ok(match self.find()? {
            Some(found) => self.deliver(&found),
            None => Event::End,
        })
    }

    fn interfaces(&self) -> &[Interface] {
        self.interfaces.list()
    }

    fn stats(&mut self) -> SourceStats {
        self.stats
    }

    fn store(&self) -> Option<Store> {
        None
    }
}
