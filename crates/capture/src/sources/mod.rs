//! Where frames come from.

pub(crate) mod expand;
pub(crate) mod live;
mod mapped;
mod merged;
mod streamed;
mod unpack;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Read,
    path::Path,
    sync::Arc,
};

use crate::{
    Error, Result, Source,
    formats::{DETECT, Kind, detect},
};
use expand::{Input, Place};
use mapped::{MappedFiles, Part};
use merged::Merged;
use streamed::Streamed;

/// Opens captures as one source, read in the order given; [`open_merged`] reads them in the order of time.
///
/// Where all of them are plain files they are mapped, and frames have positions in
/// [`Source::store`]; otherwise they go through a buffer, and frames have none. A capture that
/// can't be opened or read is an error of [`Source::next`] that is not fatal: the next one follows.
///
/// # Errors
/// [`Error::NothingThere`] where `inputs` is empty.
pub fn open_files(inputs: Vec<Input>) -> Result<Box<dyn Source>> {
    if inputs.is_empty() {
        return Err(Error::NothingThere {
            what: "no input".to_owned(),
        });
    }
    if let Some(mapped) = mapped(inputs.iter().map(plain_part)) {
        return Ok(Box::new(mapped));
    }
    Ok(Box::new(Streamed::new(inputs.into(), streamed::BUFFER)))
}

/// Opens captures as one source, read in the order of time: those that overlap are merged, frame by frame, so that a
/// stream whose packets are in several is whole. A capture is opened when the time of its first frame has come. What can't be
/// asked for that beforehand (standard input, pipes, readers, packed archives, whose members come one after the other) is
/// begun at once. Otherwise as [`open_files`].
///
/// # Errors
/// [`Error::NothingThere`] where `inputs` is empty.
pub fn open_merged(inputs: Vec<Input>) -> Result<Box<dyn Source>> {
    if inputs.len() < 2 {
        return open_files(inputs);
    }
    let mut timed: Vec<_> = inputs
        .into_iter()
        .map(|input| (expand::first_of(&input), input))
        .collect();
    timed.sort_by_key(|(first, _)| *first);
    let parts = timed.iter().map(|(first, input)| {
        let part = plain_part(input)?;
        Some(Part {
            first: Some(first.unwrap_or(i64::MIN)),
            ..part
        })
    });
    if let Some(mapped) = mapped(parts) {
        return Ok(Box::new(mapped));
    }
    Ok(Box::new(Merged::new(timed)))
}

/// The source of plain files; `None` where some are not.
fn mapped(parts: impl Iterator<Item = Option<Part>>) -> Option<MappedFiles> {
    let parts: VecDeque<Part> = parts.collect::<Option<_>>()?;
    MappedFiles::new(parts).ok()
}

/// The input as a part of a file that can be mapped; `None` where it is packed or no file.
fn plain_part(input: &Input) -> Option<Part> {
    let name: Arc<str> = input.name().into();
    match input {
        Input::File(path) => {
            let part = |len| {
                Some(Part {
                    name,
                    path: path.clone(),
                    offset: 0,
                    len,
                    first: None,
                })
            };
            // a pipe is opened once only; what can't be opened is told when it is its turn
            let meta = match fs::metadata(path) {
                Ok(meta) if meta.is_file() => meta,
                Ok(_) => return None,
                Err(_) => return part(0),
            };
            let Ok(file) = File::open(path) else {
                return part(0);
            };
            match first_kind(&file) {
                Kind::Gzip | Kind::Zstd | Kind::Tar => None,
                Kind::Pcap | Kind::Pcapng | Kind::Unknown => part(meta.len()),
            }
        }
        Input::Member(member) => match member.place {
            Place::Bytes { offset, size } => Some(Part {
                name,
                path: member.archive.clone(),
                offset,
                len: size,
                first: None,
            }),
            Place::Nth(_) => None,
        },
        Input::Stdin | Input::Reader { .. } => None,
    }
}

/// What the file begins with, packed or not.
fn first_kind(mut file: &File) -> Kind {
    let mut first = Vec::with_capacity(DETECT);
    match (&mut file).take(DETECT as u64).read_to_end(&mut first) {
        Ok(_) => detect(&first),
        Err(_) => Kind::Unknown,
    }
}

fn cut_short(file: &Arc<str>, offset: u64, what: &'static str, wanted: u64, had: u64) -> Error {
    Error::Truncated {
        file: Arc::clone(file),
        offset,
        what,
        wanted,
        had,
    }
}

fn not_a_capture(file: &Arc<str>, first: &[u8]) -> Error {
    let begins = first
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ");
    Error::Magic {
        file: Arc::clone(file),
        begins,
    }
}

/// How a path is called in messages.
fn path_name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
