//! Whether bytes are HTTP/1, and where a message starts in them.

use super::head::{may_start, start_line};
use crate::{Start, Verdict};
use gillnet_entry::Transport;

/// Longest first line that is waited for when it is not sure yet that it is one.
const MAX_FIRST_LINE: usize = 16 << 10;

/// HTTP/1 is what starts with a whole first line that names it: a method alone could be RTSP's, SIP's or ICAP's.
pub(super) fn identify(first: &[u8], _: Transport, _: bool) -> Verdict {
    // empty lines may come first; alone they say nothing, and nothing is lost with them
    let text = first.get(blank(first)..).unwrap_or_default();
    if text.is_empty() {
        return Verdict::No;
    }
    match memchr::memchr(b'\n', text) {
        Some(end) if start_line(text, end).is_some() => Verdict::Yes,
        None if may_start(text) && text.len() <= MAX_FIRST_LINE => Verdict::More,
        _ => Verdict::No,
    }
}

/// How many bytes at the start are empty lines, which may stand before a message (RFC 9112 §2.2).
#[inline]
pub(super) fn blank(data: &[u8]) -> usize {
    data.iter()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count()
}

/// The next sure start of a message: a whole first line, at the start of a packet's bytes or behind a line end.
pub(super) fn find_start(data: &[u8]) -> Start {
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(data.get(from..).unwrap_or_default(), b"HTTP/1.") {
        let at = from + at;
        let line =
            memchr::memrchr(b'\n', data.get(..at).unwrap_or_default()).map_or(0, |end| end + 1);
        let rest = data.get(line..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(end) if looks_like_start(rest) && start_line(rest, end).is_some() => {
                return Start::At(line);
            }
            Some(end) => from = line + end + 1,
            None => break,
        }
    }
    let line = memchr::memrchr(b'\n', data).map_or(0, |end| end + 1);
    let rest = data.get(line..).unwrap_or_default();
    if !rest.is_empty() && rest.len() <= MAX_FIRST_LINE && looks_like_start(rest) {
        Start::Maybe(line)
    } else {
        Start::No
    }
}

/// Whether a line may be a first line; stricter than [`may_start`], as any line of a body is asked.
fn looks_like_start(line: &[u8]) -> bool {
    let word = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let word = line.get(..word).unwrap_or_default();
    may_start(line)
        && (line.starts_with(b"HTTP/") || word.iter().all(|b| b.is_ascii_uppercase() || *b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_three_bytes_are_not_enough() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n",
            "POST /a HTTP/1.0\r\n",
            "x / HTTP/1.1\n",
        ] {
            for len in 1..text.len() {
                assert_eq!(
                    identify(&text.as_bytes()[..len], Transport::Tcp, false),
                    Verdict::More,
                    "{len} of {text}"
                );
            }
            assert_eq!(
                identify(text.as_bytes(), Transport::Tcp, false),
                Verdict::Yes
            );
        }
    }

    #[test]
    fn other_protocols_are_refused() {
        for text in [
            &b"\x16\x03\x01\x02\0"[..],
            b"OPTIONS rtsp://a RTSP/1.0\r\n",
            b"RTSP/1.0 200 OK\r\n",
            b"ICY 200 OK\r\n",
            b"SIP/2.0 200 OK\r\n",
            b"REGISTER sip:a SIP/2.0\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"GET key\r\n",
            b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
        ] {
            assert_eq!(
                identify(text, Transport::Tcp, true),
                Verdict::No,
                "{text:?}"
            );
        }
    }

    #[test]
    fn starts_behind_a_gap() {
        for (text, start) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n", Start::At(0)),
            ("rest\r\nHTTP/1.1 200 OK\r\n", Start::At(6)),
            ("say HTTP/1.1 200 OK\r\nGET /b HTTP/1.0\r\n", Start::At(21)),
            ("rest\r\n\r\nGET /a HTT", Start::Maybe(8)),
            ("rest HTTP/1.", Start::No),
            ("rest\nHTTP/1.", Start::Maybe(5)),
            ("rest\nP", Start::Maybe(5)),
            ("the end of HTTP/1.1\n", Start::No),
            ("rest\nlower case text", Start::No),
            ("", Start::No),
        ] {
            assert_eq!(find_start(text.as_bytes()), start, "{text:?}");
        }
    }
}
