//! Bytes in pieces that never grow: as they become more nothing is copied, and no room is doubled.

/// Bytes that were added one behind the other; `ROOM` are asked for at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pieces<const ROOM: usize>(Vec<Vec<u8>>);

/// Where some begin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct At {
    piece: u32,
    byte: u32,
}

impl<const ROOM: usize> Pieces<ROOM> {
    /// Adds bytes, in one piece.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // a file's rows have less than 4 GiB of each
    pub(super) fn add(&mut self, bytes: &[u8]) -> At {
        let room = |piece: &&mut Vec<u8>| piece.capacity() - piece.len() >= bytes.len();
        let byte = match self.0.last_mut().filter(room) {
            Some(piece) => {
                piece.extend_from_slice(bytes);
                piece.len() - bytes.len()
            }
            None => {
                let mut piece = Vec::with_capacity(bytes.len().max(ROOM));
                piece.extend_from_slice(bytes);
                self.0.push(piece);
                0
            }
        };
        At {
            piece: self.0.len() as u32 - 1,
            byte: byte as u32,
        }
    }

    /// What was added there, and what stands behind it in its piece.
    #[inline]
    pub(super) fn from(&self, at: At) -> &[u8] {
        let piece = self.0.get(at.piece as usize);
        let bytes = piece.and_then(|piece| piece.get(at.byte as usize..));
        bytes.unwrap_or_default()
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}
