//! Chunked framing (RFC 9112 §7.1).

/// Longest line in the framing.
const MAX_LINE: usize = 16 << 10;

/// Longest chunk that is believed: what is longer is no chunk's size.
const MAX_CHUNK: u64 = 1 << 50;

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// The line with the size of a chunk.
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
    /// Lines behind the last chunk.
    Trailers,
}

/// How far bytes of a body go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// Bytes that were understood.
    pub(super) used: usize,
    /// How many of them are of chunks, not framing.
    pub(super) payload: usize,
    pub(super) next: Next,
}

/// What follows the bytes that were understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More of the body.
    More(Chunked),
    /// Nothing: the body has ended.
    End,
    /// No chunked framing.
    Broken,
}

impl Chunked {
    /// With so many bytes left of a chunk.
    pub(super) fn data(left: u64) -> Chunked {
        if left == 0 {
            Chunked::DataEnd
        } else {
            Chunked::Data(left)
        }
    }

    /// Goes through bytes as far as they can be understood.
    pub(super) fn walk(self, data: &[u8]) -> Walk {
        let mut walk = Walk {
            used: 0,
            payload: 0,
            next: Next::More(self),
        };
        while let Next::More(state) = walk.next
            && let Some(rest) = data.get(walk.used..).filter(|rest| !rest.is_empty())
        {
            if let Chunked::Data(left) = state {
                let take = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                walk.used += take;
                walk.payload += take;
                walk.next = Next::More(Chunked::data(left - take as u64));
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', rest) else {
                if rest.len() > MAX_LINE {
                    walk.next = Next::Broken;
                }
                break;
            };
            walk.next = state.line(rest.get(..end).unwrap_or_default().trim_ascii());
            if walk.next != Next::Broken {
                walk.used += end + 1;
            }
        }
        walk
    }

    /// What follows a line of the framing.
    fn line(self, line: &[u8]) -> Next {
        match self {
            Chunked::Size => match chunk_size(line) {
                Some(0) => Next::More(Chunked::Trailers),
                Some(size) => Next::More(Chunked::Data(size)),
                None => Next::Broken,
            },
            Chunked::DataEnd if line.is_empty() => Next::More(Chunked::Size),
            Chunked::Trailers if line.is_empty() => Next::End,
            Chunked::Trailers => Next::More(Chunked::Trailers),
            Chunked::DataEnd | Chunked::Data(_) => Next::Broken,
        }
    }
}

/// The size that a chunk's first line gives; extensions are passed over.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = line.trim_ascii();
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (number, rest) = line.split_at_checked(digits)?;
    if !matches!(rest.trim_ascii_start().first(), None | Some(b';')) || digits == 0 {
        return None;
    }
    number.iter().try_fold(0u64, |n, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        let n = n.checked_mul(16)?.checked_add(u64::from(digit))?;
        (n <= MAX_CHUNK).then_some(n)
    })
}

/// Undoes the framing as far as it goes: the data of each chunk.
pub(super) struct Chunks<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.0)?;
        let size = chunk_size(self.0.get(..end)?)?;
        let rest = self.0.get(end + 1..)?;
        let size = usize::try_from(size).ok().filter(|size| *size > 0)?;
        let (data, rest) = rest.split_at(size.min(rest.len()));
        let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
        self.0 = rest.strip_prefix(b"\n").unwrap_or(rest);
        Some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_as_far_as_the_bytes_do() {
        let walk = |text: &str| {
            let walk = Chunked::Size.walk(text.as_bytes());
            (walk.used, walk.payload, walk.next)
        };
        assert_eq!(walk("5\r\nhello\r\n0\r\n\r\nrest"), (15, 5, Next::End));
        assert_eq!(walk("5;a=b\r\nhel"), (10, 3, Next::More(Chunked::Data(2))));
        assert_eq!(walk("5\r\nhello\r"), (8, 5, Next::More(Chunked::DataEnd)));
        assert_eq!(walk("5\r\nhello\r\n"), (10, 5, Next::More(Chunked::Size)));
        assert_eq!(walk("0\r\nA: b\r\n"), (9, 0, Next::More(Chunked::Trailers)));
        assert_eq!(walk("5\r\nhello!\r\n"), (8, 5, Next::Broken));
        assert_eq!(walk("x\r\n"), (0, 0, Next::Broken));
        assert_eq!(walk("5"), (0, 0, Next::More(Chunked::Size)));
        assert_eq!(walk(&"5".repeat(MAX_LINE + 1)), (0, 0, Next::Broken));
    }

    #[test]
    fn sizes() {
        for (line, size) in [
            ("0", Some(0)),
            ("1F ; x=y", Some(31)),
            ("00a\r", Some(10)),
            ("", None),
            ("-1", None),
            ("5 5", None),
            ("0x5", None),
            ("fffffffffffffff", None),
        ] {
            assert_eq!(chunk_size(line.as_bytes()), size, "{line}");
        }
    }
}
