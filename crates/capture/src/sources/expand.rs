//! What a person names, to the captures in it.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    path_name,
    streamed::Streamed,
    unpack::{Bytes, Member, SharedTar, Tar, unpack},
};
use crate::{
    Error, Event, Result, Source,
    formats::{Kind, Walker},
};

/// One capture to read.
#[non_exhaustive]
pub enum Input {
    /// A file, plain or packed.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// Anything that can be read once, with the name that errors call it by.
    Reader {
        /// What errors call it.
        name: String,
        /// Its bytes, plain or packed.
        reader: Box<dyn Read + Send>,
    },
    /// A member of an archive; [`expand`] makes these.
    Member(ArchiveMember),
}

impl Input {
    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path_name(path),
            Self::Stdin => "standard input".to_owned(),
            Self::Reader { name, .. } => name.clone(),
            Self::Member(member) => format!("{}:{}", path_name(&member.archive), member.name),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Input").field(&self.name()).finish()
    }
}

/// A member of an archive that is a file.
#[derive(Clone, Debug)]
pub struct ArchiveMember {
    pub(crate) archive: PathBuf,
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// Where a member is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In these bytes of the archive: neither is packed.
    Bytes { offset: u64, size: u64 },
    /// It is the so-manieth plain file of the archive.
    Nth(u64),
}

impl ArchiveMember {
    /// The bytes of a member of an archive that is not packed.
    pub(crate) fn open(&self) -> io::Result<Bytes> {
        let mut file = File::open(&self.archive)?;
        match self.place {
            Place::Bytes { offset, size } => {
                file.seek(SeekFrom::Start(offset))?;
                Ok(Box::new(file.take(size)))
            }
            Place::Nth(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Buffer for looking at a capture's first frame.
const LOOK: usize = 16 << 10;
/// Steps (frames or faults) until a look for the first timestamp gives up.
const MAX_LOOKS: usize = 64;
/// Times that a packed archive is read anew to have its members in the order of time; where more
/// would be needed they are read in the archive's order.
const MAX_REWINDS: usize = 8;
/// How deep folders are followed.
const MAX_DEPTH: usize = 64;

/// The captures that `args` name: files, folders (with all below), patterns (`*`, `?`, `[a-z]`,
/// `**`), tar archives, and `-` for standard input. What one argument names more than one of is
/// ordered by the time of the first frame; files there that are no captures are left out.
///
/// # Errors
/// Where something named is not there, can't be read, or holds no capture at all.
pub fn expand(args: &[String]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for arg in args {
        expand_one(arg, &mut inputs)?;
    }
    Ok(inputs)
}

fn expand_one(arg: &str, inputs: &mut Vec<Input>) -> Result<()> {
    if arg == "-" {
        inputs.push(Input::Stdin);
        return Ok(());
    }
    let path = Path::new(arg);
    let failed = |source| Error::Open {
        file: Arc::from(arg),
        source,
    };
    let mut found = Vec::new();
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => folder(path, 0, &mut found).map_err(failed)?,
        Ok(_) => match members(path) {
            // a file that is named is a capture, or it is said why not when it is read
            Ok(None) => {
                inputs.push(Input::File(path.to_owned()));
                return Ok(());
            }
            Ok(Some(members)) => found = members,
            Err(source) => return Err(failed(source)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound && arg.contains(['*', '?', '[']) => {
            pattern(arg, &mut found)?;
        }
        Err(error) => return Err(failed(error)),
    }
    if found.is_empty() {
        return Err(Error::NothingThere {
            what: arg.to_owned(),
        });
    }
    in_order_of_time(&mut found);
    inputs.extend(found.into_iter().map(|found| found.input));
    Ok(())
}

/// A capture and the time of its first frame.
struct Found {
    input: Input,
    first: Option<i64>,
}

/// Orders by time; those without a frame stand first. The order of names remains where times are equal.
fn in_order_of_time(found: &mut [Found]) {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|at| found.get(*at).and_then(|found| found.first));
    let mut read_up_to: HashMap<&Path, u64> = HashMap::new();
    let mut rewinds = 0;
    for at in &order {
        if let Some(Found {
            input:
                Input::Member(ArchiveMember {
                    archive,
                    place: Place::Nth(index),
                    ..
                }),
            ..
        }) = found.get(*at)
        {
            rewinds += usize::from(
                read_up_to
                    .insert(archive, *index)
                    .is_some_and(|last| last > *index),
            );
        }
    }
    if rewinds <= MAX_REWINDS {
        found.sort_by_key(|found| found.first);
    }
}

/// All captures in a folder and below, in the order of names.
fn folder(path: &Path, depth: usize, found: &mut Vec<Found>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // links to files are followed, links to folders could lead round in a circle
        if entry.file_type()?.is_dir() {
            if depth < MAX_DEPTH {
                folder(&path, depth + 1, found)?;
            }
        } else {
            file(path, found);
        }
    }
    Ok(())
}

/// A file met while looking for captures: one, an archive of some, or nothing.
fn file(path: PathBuf, found: &mut Vec<Found>) {
    // a pipe that happens to be in a folder would be waited for
    if !fs::metadata(&path).is_ok_and(|meta| meta.is_file()) {
        return;
    }
    match members(&path) {
        Ok(Some(members)) => found.extend(members),
        Ok(None) => {
            let kind = File::open(&path)
                .and_then(|file| unpack(Box::new(file)))
                .map(|unpacked| unpacked.kind);
            if kind.is_ok_and(|kind| Walker::new(kind).is_some()) {
                let first = first_time(Input::File(path.clone()));
                found.push(Found {
                    input: Input::File(path),
                    first,
                });
            }
        }
        Err(_) => {}
    }
}

/// The captures in an archive; `None` where the file is none (or is damaged at its start, which is
/// told when it is read).
fn members(path: &Path) -> io::Result<Option<Vec<Found>>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let packed = super::first_kind(&File::open(path)?) != Kind::Tar;
    let unpacked = match unpack(Box::new(File::open(path)?)) {
        Ok(unpacked) if unpacked.kind == Kind::Tar => unpacked,
        _ => return Ok(None),
    };
    let tar = SharedTar::new(unpacked.bytes);
    let mut found = Vec::new();
    loop {
        match tar.with(Tar::next_member) {
            Ok(Some(member)) => found.extend(capture_in(path, member, &tar, packed)),
            Ok(None) => return Ok(Some(found)),
            Err(error) => {
                // what was there before is read, then this is said
                let reader = Box::new(Failing(Some(error)));
                found.push(Found {
                    input: Input::Reader {
                        name: path_name(path),
                        reader,
                    },
                    first: Some(i64::MAX),
                });
                return Ok(Some(found));
            }
        }
    }
}

/// The member that the archive stands at, where it is a capture.
fn capture_in(path: &Path, member: Member, tar: &SharedTar, packed: bool) -> Option<Found> {
    // a damaged member is left out: it can't be told what it was
    let content = unpack(Box::new(tar.clone())).ok()?;
    Walker::new(content.kind)?;
    let place = if packed || content.packed {
        Place::Nth(member.index)
    } else {
        Place::Bytes {
            offset: member.offset,
            size: member.size,
        }
    };
    let first = first_time(Input::Reader {
        name: String::new(),
        reader: content.bytes,
    });
    let input = Input::Member(ArchiveMember {
        archive: path.to_owned(),
        name: member.name,
        place,
    });
    Some(Found { input, first })
}

/// A reader that only fails.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// The same of an input that can be read twice.
pub(super) fn first_of(input: &Input) -> Option<i64> {
    match input {
        // a pipe is opened once only
        Input::File(path) if fs::metadata(path).is_ok_and(|meta| meta.is_file()) => {
            first_time(Input::File(path.clone()))
        }
        Input::Member(member) => first_time(Input::Reader {
            name: String::new(),
            reader: member.open().ok()?,
        }),
        _ => None,
    }
}

/// The time of a capture's first frame; `None` where none is found soon.
fn first_time(input: Input) -> Option<i64> {
    let mut source = Streamed::new([input].into(), LOOK);
    for _ in 0..MAX_LOOKS {
        match source.next() {
            Ok(Event::Frame(frame)) => return Some(frame.ts),
            Ok(Event::Tick(_)) | Err(_) => {}
            Ok(Event::End) => return None,
        }
    }
    None
}

/// All captures that a pattern matches.
fn pattern(pattern: &str, found: &mut Vec<Found>) -> Result<()> {
    let paths = glob::glob(pattern).map_err(|error| Error::Pattern {
        pattern: pattern.to_owned(),
        position: error.pos + 1,
        why: error.msg,
    })?;
    for path in paths.flatten() {
        if path.is_dir() {
            let failed = |source| Error::Open {
                file: path_name(&path).into(),
                source,
            };
            folder(&path, 0, found).map_err(failed)?;
        } else {
            file(path, found);
        }
    }
    Ok(())
}
