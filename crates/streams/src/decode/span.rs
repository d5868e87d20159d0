//! A region of a packet that is still to be walked.

use super::Skip;

/// What is left of a buffer: captured bytes, where they stand in it, and how long the region was on the wire.
#[derive(Clone, Copy)]
pub(super) struct Span<'b> {
    /// What was captured.
    pub(super) rest: &'b [u8],
    /// Offset of `rest[0]` in the buffer.
    pub(super) start: u32,
    /// Length on the wire, at least `rest.len()`.
    pub(super) wire: u32,
}

impl<'b> Span<'b> {
    /// A whole buffer that was `wire` bytes long on the wire, or as long as it is where that says less.
    #[inline(always)]
    pub(super) fn of(buf: &'b [u8], wire: u32) -> Self {
        // buffers are frames and datagrams, far below 4 GiB; what is above is passed over
        let len = u32::try_from(buf.len()).unwrap_or(u32::MAX);
        Span {
            rest: buf,
            start: 0,
            wire: wire.max(len),
        }
    }

    /// The first `N` bytes, which stay.
    #[inline(always)]
    pub(super) fn peek<const N: usize>(&self) -> Result<&'b [u8; N], Skip> {
        self.rest.first_chunk::<N>().ok_or(Skip::Malformed)
    }

    /// Passes over `n` bytes of headers, which must be there.
    #[inline(always)]
    pub(super) fn skip(&mut self, n: usize) -> Result<(), Skip> {
        self.rest = self.rest.get(n..).ok_or(Skip::Malformed)?;
        self.start += n as u32;
        self.wire -= n as u32;
        Ok(())
    }

    /// Takes the first `N` bytes.
    #[inline(always)]
    pub(super) fn take<const N: usize>(&mut self) -> Result<&'b [u8; N], Skip> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Skip::Malformed)?;
        self.rest = rest;
        self.start += N as u32;
        self.wire -= N as u32;
        Ok(head)
    }

    /// Passes over `n` bytes of which some may have been cut off by the snap length; fails where they were not
    /// on the wire either.
    #[inline(always)]
    pub(super) fn skip_cut(&mut self, n: u32) -> Result<(), Skip> {
        self.wire = self.wire.checked_sub(n).ok_or(Skip::Malformed)?;
        let captured = (n as usize).min(self.rest.len());
        self.rest = self.rest.get(captured..).unwrap_or_default();
        self.start += captured as u32;
        Ok(())
    }

    /// Sets the length that a header states: what is behind it is padding; what was not captured of it is missing.
    #[inline(always)]
    pub(super) fn limit(&mut self, n: u32) {
        self.wire = n;
        if let Some(rest) = self.rest.get(..n as usize) {
            self.rest = rest;
        }
    }
}

/// Two bytes in network order at a place that is checked when this is compiled.
#[inline(always)]
pub(super) fn be16<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u16 {
    const { assert!(AT + 2 <= N) };
    u16::from_be_bytes([bytes[AT], bytes[AT + 1]])
}

/// Four bytes, as [`be16`].
#[inline(always)]
pub(super) fn be32<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u32 {
    u32::from_be_bytes(bytes_at::<AT, 4, N>(bytes))
}

/// `LEN` bytes, as [`be16`].
#[inline(always)]
pub(super) fn bytes_at<const AT: usize, const LEN: usize, const N: usize>(
    bytes: &[u8; N],
) -> [u8; LEN] {
    const { assert!(AT + LEN <= N) };
    bytes[AT..].as_chunks().0[0]
}
