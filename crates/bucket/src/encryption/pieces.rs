//! What follows the header of a file of age: pieces of 64 KiB, each encrypted by itself and the last marked as such, so
//! that any range is read alone, and an end that was cut off shows.

use std::io::{self, Write};
use std::ops::Range;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use aws_lc_rs::{error::Unspecified, rand};

use super::header::{self, FileKey};
use super::keys::Recipients;

/// Bytes of a piece, of which the last may have fewer.
pub(super) const PIECE: u64 = 64 << 10;
/// So many bytes longer is each when it is encrypted.
pub(super) const TAG: u64 = 16;
/// Random bytes between header and pieces.
pub(super) const NONCE: usize = 16;

/// The pieces of a file that has so many bytes decrypted.
pub(super) fn pieces(size: u64) -> u64 {
    size.div_ceil(PIECE).max(1)
}

/// How many bytes stand behind the header of a file that has `size` decrypted.
pub(super) fn behind_header(size: u64) -> Option<u64> {
    let tags = pieces(size).checked_mul(TAG)?;
    size.checked_add(tags)?.checked_add(NONCE as u64)
}

fn nonce(piece: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    let (counter, last) = nonce.split_at_mut(11);
    if let Some(low) = counter.last_chunk_mut::<8>() {
        *low = piece.to_be_bytes();
    }
    last.fill(u8::from(is_last));
    Nonce::assume_unique_for_key(nonce)
}

/// Where in a file the pieces are that have a range of it; counted from the first piece. `size`: its bytes, decrypted.
pub(super) fn place(range: &Range<u64>, size: u64) -> Range<u64> {
    let first = range.start / PIECE;
    let last = range.end.div_ceil(PIECE).clamp(1, pieces(size));
    let end = last * (PIECE + TAG);
    first * (PIECE + TAG)..end.min(size.saturating_add(pieces(size) * TAG))
}

/// Decrypts what stands at the [`place`] of a range, and gives the range.
///
/// # Errors
/// Where a byte of it, or the number of all bytes, is not what was written.
pub(super) fn open(
    key: &LessSafeKey,
    mut encrypted: Vec<u8>,
    range: &Range<u64>,
    size: u64,
) -> Result<Vec<u8>, Unspecified> {
    let place = place(range, size);
    if encrypted.len() as u64 != place.end - place.start {
        return Err(Unspecified);
    }
    let first = range.start / PIECE;
    let mut filled = 0;
    let step = (PIECE + TAG) as usize;
    for (at, from) in (0..encrypted.len()).step_by(step).enumerate() {
        let piece = first + at as u64;
        let whole = from..encrypted.len().min(from + step);
        let nonce = nonce(piece, piece + 1 == pieces(size));
        let piece = encrypted.get_mut(whole).ok_or(Unspecified)?;
        let plain = key.open_in_place(nonce, Aad::empty(), piece)?.len();
        encrypted.copy_within(from..from + plain, filled);
        filled += plain;
    }
    let skipped = (range.start - first * PIECE) as usize;
    encrypted.truncate(filled.min(skipped + (range.end - range.start) as usize));
    encrypted.drain(..skipped.min(encrypted.len()));
    Ok(encrypted)
}

/// Encrypts what is written to it. What was written is whole after [`Encryptor::finish`] alone.
pub struct Encryptor<W> {
    out: W,
    key: LessSafeKey,
    /// The piece that is being filled.
    piece: Vec<u8>,
    number: u64,
}

impl<W: Write> Encryptor<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of `out`; where there are no recipients.
    pub fn new(mut out: W, recipients: &Recipients) -> io::Result<Self> {
        if recipients.is_empty() {
            return Err(io::Error::other("there is nobody to encrypt for"));
        }
        let mut nonce = [0; NONCE];
        let made = FileKey::new().and_then(|key| {
            rand::fill(&mut nonce)?;
            Ok((header::write(&key, recipients)?, key.payload(&nonce)?))
        });
        let (header, key) = made.map_err(failed)?;
        out.write_all(&header)?;
        out.write_all(&nonce)?;
        Ok(Self {
            out,
            key,
            piece: Vec::with_capacity((PIECE + TAG) as usize),
            number: 0,
        })
    }

    /// Ends the file, and gives what it was written to.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_piece(true)?;
        Ok(self.out)
    }

    fn end_piece(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = nonce(self.number, is_last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.piece)
            .map_err(failed)?;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        self.number += 1;
        Ok(())
    }
}

fn failed(_: Unspecified) -> io::Error {
    io::Error::other("can't be encrypted")
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // a piece that is full may be the last
        if self.piece.len() as u64 == PIECE && !bytes.is_empty() {
            self.end_piece(false)?;
        }
        let room = PIECE as usize - self.piece.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
