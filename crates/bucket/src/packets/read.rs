//! Reading a packet object back: its bytes unpacked, a member at a time, and what it says of itself.

use std::io::{self, Chain, Cursor, ErrorKind, Read};

use flate2::read::MultiGzDecoder;

use super::{
    Totals,
    about::parse_about,
    member::{HEAD_LEN, Opener, sizes},
};

/// How many first bytes of an object [`read_about`] wants: its first member is within.
pub const HEAD_BYTES: u64 = 16 << 10;

/// The pcapng bytes of a packet object. Holds one member in memory. What is packed otherwise (by
/// gzip itself, say) is unpacked too, only slower.
pub struct Unpacker<R> {
    state: State<R>,
    opener: Opener,
    member: Vec<u8>,
    given: usize,
}

enum State<R> {
    /// At the beginning of a member.
    Members(R),
    /// In a gzip file that is not made of our members.
    Foreign(Box<MultiGzDecoder<Chain<Cursor<Vec<u8>>, R>>>),
    /// At the end, or after an error.
    Ended,
}

impl<R> std::fmt::Debug for Unpacker<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl<R: Read> Unpacker<R> {
    /// Unpacks what `packed` gives.
    pub fn new(packed: R) -> Self {
        Self {
            state: State::Members(packed),
            opener: Opener::new(),
            member: Vec::new(),
            given: 0,
        }
    }

    /// Reads the next member; `false` at the end of the object.
    fn next_member(&mut self) -> io::Result<bool> {
        self.given = 0;
        self.member.clear();
        let State::Members(packed) = &mut self.state else {
            return Ok(false);
        };
        let mut head = Vec::with_capacity(HEAD_LEN);
        packed
            .by_ref()
            .take(HEAD_LEN as u64)
            .read_to_end(&mut head)?;
        if head.is_empty() {
            self.state = State::Ended;
            return Ok(false);
        }
        if let Some(sizes) = head.first_chunk().and_then(sizes) {
            let opened = self.opener.open(sizes, packed, &mut self.member);
            if opened.is_err() {
                self.member.clear();
                self.state = State::Ended;
            }
            return opened.map(|()| true);
        }
        let before = std::mem::replace(&mut self.state, State::Ended);
        if !head.starts_with(&[0x1f, 0x8b]) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "what should be a gzip member is none",
            ));
        }
        if let State::Members(packed) = before {
            self.state = State::Foreign(Box::new(MultiGzDecoder::new(
                Cursor::new(head).chain(packed),
            )));
        }
        Ok(false)
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.member.get(self.given..).unwrap_or_default();
            if !rest.is_empty() || to.is_empty() {
                let mut rest = rest;
                let count = rest.read(to)?;
                self.given += count;
                return Ok(count);
            }
            match &mut self.state {
                State::Members(_) => {
                    self.next_member()?;
                }
                State::Foreign(decoder) => return decoder.read(to),
                State::Ended => return Ok(0),
            }
        }
    }
}

/// What an object says of itself, from its first [`HEAD_BYTES`] bytes (or all, where it is
/// shorter); `None` where it says nothing that is understood.
#[must_use]
pub fn read_about(first: &[u8]) -> Option<Totals> {
    read_head(first).map(|(totals, _)| totals)
}

/// The same with its filter.
pub(crate) fn read_head(first: &[u8]) -> Option<(Totals, Option<String>)> {
    if let Some(comment) = section_comment(first) {
        return parse_about(comment);
    }
    let mut unpacked = Vec::new();
    // what is cut off behind the first member fails, after the block that is wanted was given
    let _ = Unpacker::new(first)
        .take(u64::from(u16::MAX) * 2)
        .read_to_end(&mut unpacked);
    parse_about(section_comment(&unpacked)?)
}

/// The first comment of the section block (little endian) that `bytes` begin with.
fn section_comment(bytes: &[u8]) -> Option<&str> {
    let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
    let is_section = bytes.starts_with(&0x0a0d_0d0a_u32.to_le_bytes())
        && *bytes.get(8..12)? == 0x1a2b_3c4d_u32.to_le_bytes();
    let options = bytes.get(24..length.checked_sub(4)?);
    comment(options.filter(|_| is_section)?)
}

/// The first comment among the options of a block.
pub(super) fn comment(mut options: &[u8]) -> Option<&str> {
    const COMMENT: u16 = 1;
    loop {
        let (code, rest) = options.split_first_chunk::<2>()?;
        let (size, rest) = rest.split_first_chunk::<2>()?;
        let size = usize::from(u16::from_le_bytes(*size));
        match u16::from_le_bytes(*code) {
            0 => return None,
            COMMENT => return std::str::from_utf8(rest.get(..size)?).ok(),
            _ => options = rest.get(size.next_multiple_of(4)..)?,
        }
    }
}
