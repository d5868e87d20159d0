//! Packed streams and archives: gzip, zstd and tar, told by their first bytes.

use std::{
    io::{self, BufReader, Cursor, Read},
    sync::{Arc, Mutex, PoisonError},
};

use crate::formats::{DETECT, Kind, detect};

/// Anything to read from.
pub(crate) type Bytes = Box<dyn Read + Send>;

/// Packed bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Windows that a zstd stream may ask for: 2^27 bytes is the most that `zstd` itself takes
/// without being told.
const ZSTD_WINDOW_LOG: u32 = 27;

/// What unpacked bytes are, their beginning, and all of them.
pub(crate) struct Unpacked {
    pub(crate) kind: Kind,
    /// Whether they were packed.
    pub(crate) packed: bool,
    pub(crate) first: Vec<u8>,
    pub(crate) bytes: Bytes,
}

/// Unpacks `bytes` where they are packed.
pub(crate) fn unpack(bytes: Bytes) -> io::Result<Unpacked> {
    let outer = look(bytes)?;
    match outer.kind {
        // several members in a row are one stream
        Kind::Gzip => {
            let decoder =
                flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(CHUNK, outer.bytes));
            Ok(Unpacked {
                packed: true,
                ..look(Box::new(decoder))?
            })
        }
        Kind::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(
                CHUNK,
                outer.bytes,
            ))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Ok(Unpacked {
                packed: true,
                ..look(Box::new(decoder))?
            })
        }
        _ => Ok(outer),
    }
}

/// Reads the first bytes, tells what they are, and puts them back.
fn look(mut bytes: Bytes) -> io::Result<Unpacked> {
    let mut first = Vec::with_capacity(DETECT);
    let read = (&mut bytes).take(DETECT as u64).read_to_end(&mut first);
    // a damaged stream may still begin with something to tell it by
    if first.is_empty() {
        read?;
    }
    let bytes = Box::new(Cursor::new(first.clone()).chain(bytes));
    Ok(Unpacked {
        kind: detect(&first),
        packed: false,
        first,
        bytes,
    })
}

/// A member of an archive that is a plain file.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// How many plain files stand before it in the archive.
    pub(crate) index: u64,
    /// Where its bytes begin in the (unpacked) archive, and how many there are.
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// A tar archive (POSIX ustar and pax, GNU long names) read from front to back.
pub(crate) struct Tar {
    bytes: Bytes,
    /// Bytes of the archive read.
    at: u64,
    /// Bytes of the current member not read yet, and what fills its last block.
    left: u64,
    padding: u64,
    /// Plain files met.
    members: u64,
}

const BLOCK: usize = 512;
/// The longest name or extended header that is looked at.
const MAX_EXTENDED: u64 = 64 << 10;

impl Tar {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            at: 0,
            left: 0,
            padding: 0,
            members: 0,
        }
    }

    /// How many plain files were met.
    pub(crate) fn members(&self) -> u64 {
        self.members
    }

    /// The next plain file; `None` at the end.
    pub(crate) fn next_member(&mut self) -> io::Result<Option<Member>> {
        let (mut long_name, mut long_size) = (None, None);
        loop {
            self.discard(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
            let mut head = [0; BLOCK];
            if !self.fill(&mut head)? || head.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let Some(header) = Header::read(&head) else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "damaged header of an archive member",
                ));
            };
            let size = long_size
                .take()
                .filter(|_| header.kind != b'x')
                .unwrap_or(header.size);
            self.left = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            match header.kind {
                b'L' => long_name = Some(text(&self.extended()?)),
                b'x' => {
                    let (name, size) = pax(&self.extended()?);
                    long_name = name.or(long_name);
                    long_size = size;
                }
                b'0' | b'7' | 0 => {
                    let name = long_name.take().unwrap_or(header.name);
                    self.members += 1;
                    return Ok(Some(Member {
                        name,
                        index: self.members - 1,
                        offset: self.at,
                        size,
                    }));
                }
                // links, folders, devices: their names are nobody else's
                b'1'..=b'6' => long_name = None,
                _ => {}
            }
        }
    }

    /// The content of an extended header.
    fn extended(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.take(MAX_EXTENDED).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Fills `to`; `false` at the archive's end.
    fn fill(&mut self, to: &mut [u8]) -> io::Result<bool> {
        match self.bytes.read_exact(to) {
            Ok(()) => {
                self.at += to.len() as u64;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn discard(&mut self, bytes: u64) -> io::Result<()> {
        self.at += io::copy(&mut (&mut self.bytes).take(bytes), &mut io::sink())?;
        Ok(())
    }
}

impl Read for Tar {
    /// Reads of the current member.
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(to.len());
        if most == 0 {
            return Ok(0);
        }
        let got = self.bytes.read(to.get_mut(..most).unwrap_or_default())?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= got as u64;
        self.at += got as u64;
        Ok(got)
    }
}

struct Header {
    name: String,
    size: u64,
    kind: u8,
}

impl Header {
    /// `None` where the check sum or a number is wrong.
    fn read(head: &[u8; BLOCK]) -> Option<Self> {
        let sum: u64 = head
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                u64::from(if (148..156).contains(&at) {
                    b' '
                } else {
                    *byte
                })
            })
            .sum();
        if number(&head[148..156])? != sum {
            return None;
        }
        let name = text(&head[..100]);
        let prefix = text(&head[345..500]);
        let name = if &head[257..263] == b"ustar\0" && !prefix.is_empty() {
            format!("{prefix}/{name}")
        } else {
            name
        };
        Some(Self {
            name,
            size: number(&head[124..136])?,
            kind: head[156],
        })
    }
}

/// A number in octal digits, or in bytes where the first bit is set (GNU).
fn number(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let high = u64::from(first & 0x7f);
        return rest.iter().try_fold(high, |sum, byte| {
            sum.checked_mul(256)?.checked_add(u64::from(*byte))
        });
    }
    let digits = field
        .iter()
        .skip_while(|byte| **byte == b' ')
        .take_while(|byte| byte.is_ascii_digit());
    digits.copied().try_fold(0u64, |sum, digit| {
        sum.checked_mul(8)?.checked_add(u64::from(digit - b'0'))
    })
}

fn text(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

/// Name and size out of records `LENGTH KEY=VALUE\n`.
fn pax(mut records: &[u8]) -> (Option<String>, Option<u64>) {
    let (mut name, mut size) = (None, None);
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let len = std::str::from_utf8(records.get(..space).unwrap_or_default())
            .ok()
            .and_then(|len| len.parse().ok());
        let Some(record) = len
            .filter(|len: &usize| *len > space)
            .and_then(|len| records.get(space + 1..len))
        else {
            break;
        };
        records = records.get(space + 1 + record.len()..).unwrap_or_default();
        let record = String::from_utf8_lossy(record);
        match record.trim_end_matches('\n').split_once('=') {
            Some(("path", value)) => name = Some(value.to_owned()),
            Some(("size", value)) => size = value.parse().ok(),
            _ => {}
        }
    }
    (name, size)
}

/// An archive of which one member at a time is read by someone else.
#[derive(Clone)]
pub(crate) struct SharedTar(Arc<Mutex<Tar>>);

impl SharedTar {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(Arc::new(Mutex::new(Tar::new(bytes))))
    }

    pub(crate) fn with<T>(&self, ask: impl FnOnce(&mut Tar) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Read for SharedTar {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.with(|tar| tar.read(to))
    }
}
