//! One gzip member (RFC 1952) that says in its extra field how long it is, packed and unpacked, so
//! that it can be unpacked in one call, and the next one found without unpacking it.

use std::io::{self, ErrorKind, Read};

use libdeflater::{CompressionLvl, Compressor, Decompressor};

/// Level 1: 7 to 8 times on HTTP traffic; higher levels cost several times the CPU for a tenth.
const LEVEL: i32 = 1;

/// The longest member that is unpacked, in bytes unpacked. Ours are far shorter; a longer claim is
/// damage, and must not make us allocate it.
const MAX_UNPACKED: u32 = 8 << 20;

/// Magic, deflate, "has an extra field", no time, "fastest", unknown system; length of the extra
/// field; our subfield `GN` of 8 bytes.
const HEAD: [u8; 16] = [
    0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 4, 255, 12, 0, b'G', b'N', 8, 0,
];
/// The head and the two lengths of the subfield.
pub(crate) const HEAD_LEN: usize = HEAD.len() + 8;
/// CRC and length at the end.
const TAIL_LEN: usize = 8;

/// Packs members.
pub(crate) struct Packer {
    compressor: Compressor,
    out: Vec<u8>,
}

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        let level =
            CompressionLvl::new(LEVEL).map_err(|_| io::Error::from(ErrorKind::Unsupported))?;
        Ok(Self {
            compressor: Compressor::new(level),
            out: Vec::new(),
        })
    }

    /// Makes the member that unpacks to `bytes`.
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> io::Result<()> {
        let failed = |_| io::Error::other("a block of packets can't be packed");
        let unpacked =
            u32::try_from(bytes.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let bound = self.compressor.deflate_compress_bound(bytes.len());
        self.out.resize(HEAD_LEN + bound + TAIL_LEN, 0);
        let Some((head, body)) = self.out.split_at_mut_checked(HEAD_LEN) else {
            return Err(ErrorKind::OutOfMemory.into());
        };
        let packed = self
            .compressor
            .deflate_compress(bytes, body)
            .map_err(failed)?;
        let whole = HEAD_LEN + packed + TAIL_LEN;
        let sizes = [(whole as u32).to_le_bytes(), unpacked.to_le_bytes()].concat();
        for (to, from) in head.iter_mut().zip(HEAD.iter().chain(&sizes)) {
            *to = *from;
        }
        self.out.truncate(HEAD_LEN + packed);
        self.out
            .extend_from_slice(&libdeflater::crc32(bytes).to_le_bytes());
        self.out.extend_from_slice(&unpacked.to_le_bytes());
        Ok(())
    }

    /// The member that was made last.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.out
    }
}

/// What a member's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Bytes of the whole member, head and tail included.
    pub(crate) packed: u32,
    /// Bytes that it unpacks to.
    pub(crate) unpacked: u32,
}

/// The sizes in the head of a member of ours; `None` where it is none, or claims what can't be.
pub(crate) fn sizes(head: &[u8; HEAD_LEN]) -> Option<Sizes> {
    let rest = head.strip_prefix(HEAD.as_slice())?;
    let (packed, rest) = rest.split_first_chunk::<4>()?;
    let unpacked = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let packed = u32::from_le_bytes(*packed);
    let plausible = unpacked <= MAX_UNPACKED
        && packed as usize > HEAD_LEN + TAIL_LEN
        && packed <= MAX_UNPACKED * 2;
    plausible.then_some(Sizes { packed, unpacked })
}

/// Unpacks members.
pub(crate) struct Opener {
    decompressor: Decompressor,
    packed: Vec<u8>,
}

impl Opener {
    pub(crate) fn new() -> Self {
        Self {
            decompressor: Decompressor::new(),
            packed: Vec::new(),
        }
    }

    /// Reads what follows a member's head and unpacks it into `out`, replacing what was there.
    pub(crate) fn open(
        &mut self,
        sizes: Sizes,
        from: &mut impl Read,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.packed
            .resize((sizes.packed as usize).saturating_sub(HEAD_LEN), 0);
        from.read_exact(&mut self.packed)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    io::Error::new(error.kind(), "the object is cut short inside a gzip member")
                }
                _ => error,
            })?;
        let damaged = || io::Error::new(ErrorKind::InvalidData, "a gzip member is damaged");
        let (body, tail) = self
            .packed
            .split_last_chunk::<TAIL_LEN>()
            .ok_or_else(damaged)?;
        out.resize(sizes.unpacked as usize, 0);
        let unpacked = self
            .decompressor
            .deflate_decompress(body, out)
            .map_err(|_| damaged())?;
        let checked = [
            libdeflater::crc32(out).to_le_bytes(),
            sizes.unpacked.to_le_bytes(),
        ]
        .concat();
        if unpacked != out.len() || checked != *tail {
            return Err(damaged());
        }
        Ok(())
    }
}
