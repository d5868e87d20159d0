//! What the fuzz targets do with their bytes, and how seeds are written in the same form.

pub mod decode;
pub mod kfl;
pub mod readers;
pub mod reassembly;
pub mod stream;

/// Takes numbers and bytes off the front of an input; what is not there any more reads as nothing.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// One byte, while there is one.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Two bytes as a number; zeros behind the end.
    pub fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte().unwrap_or(0), self.byte().unwrap_or(0)])
    }

    /// So many bytes, or as many as there are.
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
