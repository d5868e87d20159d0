//! The head of a message: start line and header lines (RFC 9112 §2–5), read in one pass.
//!
//! Only what decides where the message ends is looked at here; all other header lines are read when someone asks.

use super::lines::Newlines;
use crate::ascii;

/// Longest method that is taken for one, in bytes.
const MAX_METHOD: usize = 32;

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its length with the empty line that ends it.
    pub(super) len: usize,
    pub(super) start: StartLine,
    /// The value of Content-Length.
    pub(super) length: Length,
    /// Transfer-Encoding.
    pub(super) coding: Coding,
    /// The [`letter`] of each header name: most look-ups of headers that are not there end here.
    pub(super) letters: u32,
    pub(super) noted: Noted,
}

/// Where those lines stand whose names begin with the letters of names that are looked up most: to find one, not all lines
/// must be walked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    at: [u16; Self::MOST],
    /// How many there are, also where there is no room.
    count: u16,
}

impl Noted {
    const MOST: usize = 8;

    /// Whether lines with this name (lower case) are among them.
    pub(super) const fn has(name: &[u8]) -> bool {
        matches!(name, [b'c' | b'l' | b't', ..])
    }

    /// Such a line begins.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // none of a head that is longer is asked for
    fn line(&mut self, from: usize) {
        if let Some(at) = self.at.get_mut(usize::from(self.count)) {
            *at = from as u16;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Where they begin in the head; `None` where they are too many, or one may stand too far behind.
    pub(super) fn lines(&self) -> Option<&[u16]> {
        self.at.get(..usize::from(self.count))
    }
}

/// The first line: what it says, and where in the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartLine {
    /// Of a request: length of its method, offset and length of its target.
    Request {
        minor: u8,
        method: u8,
        target: u8,
        len: u32,
    },
    /// Of a response.
    Response { minor: u8, status: u16 },
}

/// Content-Length (RFC 9112 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Not given.
    None,
    /// Given.
    Is(u64),
    /// Given more than once with different values, or not a number; with the first number among them.
    Conflict(Option<u64>),
}

/// Transfer-Encoding (RFC 9112 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Not given, or identity.
    None,
    /// Ends with chunked.
    Chunked,
    /// Does not end with chunked.
    Other,
}

/// What the bytes at the start of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Head(Head),
    /// The start of a head.
    More,
    /// Not a head.
    No,
}

/// Reads a head at the start of `data`. Where nothing follows (`last`), a head whose end never came is read as far
/// as it goes, if its first line is whole.
#[inline(never)] // alone it has the registers for its loop
pub(super) fn parse(data: &[u8], last: bool) -> Parsed {
    let mut newlines = Newlines::new(data, 0);
    let Some(end) = newlines.next() else {
        return if may_start(data) {
            Parsed::More
        } else {
            Parsed::No
        };
    };
    let Some(start) = start_line(data, end) else {
        return Parsed::No;
    };
    let mut head = Head {
        len: 0,
        start,
        length: Length::None,
        coding: Coding::None,
        letters: 0,
        noted: Noted::default(),
    };
    let (mut line, mut letters) = (end + 1, 0);
    loop {
        match data.get(line) {
            Some(b'\n') => return head.end(line + 1, letters),
            Some(b'\r') if data.get(line + 1) == Some(&b'\n') => {
                return head.end(line + 2, letters);
            }
            Some(first) => {
                letters |= letter(*first);
                match first | 0x20 {
                    b'c' => {
                        head.noted.line(line);
                        if is_named(data, line, b"content-length") {
                            head.content_length(line_at(data, line));
                        }
                    }
                    b't' => {
                        head.noted.line(line);
                        if is_named(data, line, b"transfer-encoding") {
                            head.transfer_encoding(line_at(data, line));
                        }
                    }
                    b'l' => head.noted.line(line),
                    _ => {}
                }
            }
            None => break,
        }
        match newlines.next() {
            Some(end) => line = end + 1,
            None => break,
        }
    }
    if last {
        head.end(data.len(), letters)
    } else {
        Parsed::More
    }
}

impl Head {
    #[inline]
    fn end(mut self, len: usize, letters: u32) -> Parsed {
        if len > usize::from(u16::MAX) {
            self.noted.count = u16::MAX;
        }
        Parsed::Head(Head {
            len,
            letters,
            ..self
        })
    }

    fn content_length(&mut self, line: &[u8]) {
        let value = value(line, b"content-length").unwrap_or_default();
        for item in value.split(|b| *b == b',') {
            let number = decimal(item.trim_ascii());
            self.length = match (self.length, number) {
                (Length::None, Some(n)) => Length::Is(n),
                (Length::Is(n), Some(m)) if n == m => Length::Is(n),
                (Length::Is(n) | Length::Conflict(Some(n)), _) => Length::Conflict(Some(n)),
                (Length::None | Length::Conflict(None), number) => Length::Conflict(number),
            };
        }
    }

    fn transfer_encoding(&mut self, line: &[u8]) {
        let value = value(line, b"transfer-encoding").unwrap_or_default();
        let last = value
            .rsplit(|b| *b == b',')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        self.coding = if last.eq_ignore_ascii_case(b"chunked") {
            Coding::Chunked
        } else if last.eq_ignore_ascii_case(b"identity") || last.is_empty() {
            self.coding
        } else {
            Coding::Other
        };
    }
}

/// Whether a header with this name (lower case) may be in a head with these [`Head::letters`]; `false` is sure.
#[inline]
pub(super) fn may_have(letters: u32, name: &[u8]) -> bool {
    name.first()
        .is_some_and(|first| letters & letter(*first) != 0)
}

/// The bit of a first letter in [`Head::letters`].
#[inline]
pub(super) const fn letter(first: u8) -> u32 {
    1u32.wrapping_shl(first as u32)
}

/// The line that starts at `from`, without its end; nothing where it has none.
fn line_at(data: &[u8], from: usize) -> &[u8] {
    let rest = data.get(from..).unwrap_or_default();
    memchr::memchr(b'\n', rest)
        .and_then(|end| rest.get(..end))
        .unwrap_or_default()
}

/// Whether the header line that starts at `from` has a name (lower case).
#[inline]
pub(super) fn is_named(data: &[u8], from: usize, name: &[u8]) -> bool {
    let end = from + name.len();
    let colon = match data.get(end) {
        Some(b':') => true,
        Some(b' ' | b'\t') => data
            .get(end..)
            .unwrap_or_default()
            .trim_ascii_start()
            .starts_with(b":"),
        _ => false,
    };
    colon
        && data
            .get(from..end)
            .is_some_and(|head| ascii::is(head, name))
}

/// The value of a header line whose name [`is_named`] found.
#[inline]
pub(super) fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.get(name.len()..)?.trim_ascii_start();
    Some(rest.strip_prefix(b":")?.trim_ascii())
}

/// A number of decimal digits alone.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            None
        } else {
            n.checked_mul(10)?.checked_add(u64::from(digit))
        }
    })
}

/// Reads the first line, which ends before the newline at `end`.
#[inline]
pub(super) fn start_line(data: &[u8], end: usize) -> Option<StartLine> {
    let line = data.get(..end)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.starts_with(b"HTTP/") {
        status_line(line)
    } else {
        request_line(line)
    }
}

/// `HTTP/1.1 200 OK`; the reason may be missing, with its space or without.
#[inline]
fn status_line(line: &[u8]) -> Option<StartLine> {
    let (version, rest) = line.split_first_chunk::<9>()?;
    let minor = version[7];
    if version[..7] != *b"HTTP/1." || !minor.is_ascii_digit() || version[8] != b' ' {
        return None;
    }
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = rest.trim_ascii_start()
    else {
        return None;
    };
    if !matches!(rest.first(), None | Some(b' ' | b'\t')) {
        return None;
    }
    let digit = |d: &u8| u16::from(d - b'0');
    Some(StartLine::Response {
        status: digit(a) * 100 + digit(b) * 10 + digit(c),
        minor: minor - b'0',
    })
}

/// `GET /path HTTP/1.1`; any token is a method.
#[inline]
fn request_line(line: &[u8]) -> Option<StartLine> {
    let (rest, version) = match line.split_last_chunk::<9>()? {
        (_, version) if version[8] == b' ' => line.trim_ascii_end().split_last_chunk()?,
        parts => parts,
    };
    let minor = version[8];
    if version[..8] != *b" HTTP/1." || !minor.is_ascii_digit() {
        return None;
    }
    let method = method(rest)?;
    let target = rest.get(method + 1..)?;
    let trimmed = target.trim_ascii_start();
    let from = method + 1 + (target.len() - trimmed.len());
    let len = trimmed.trim_ascii_end().len();
    if len == 0 {
        return None;
    }
    Some(StartLine::Request {
        method: u8::try_from(method).ok()?,
        target: u8::try_from(from).ok()?,
        len: u32::try_from(len).ok()?,
        minor: minor - b'0',
    })
}

/// Length of the method at the start of a line, if a space follows.
#[inline]
fn method(line: &[u8]) -> Option<usize> {
    let len = line
        .iter()
        .take(MAX_METHOD + 1)
        .position(|b| !TOKEN[usize::from(*b)])?;
    (len > 0 && line.get(len) == Some(&b' ')).then_some(len)
}

/// Characters of a token (RFC 9110 §5.6.2).
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0u8;
    while i < 128 {
        table[i as usize] = i.is_ascii_alphanumeric()
            || matches!(
                i,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        i += 1;
    }
    table
};

/// Whether an unfinished first line may become one of a message.
pub(super) fn may_start(line: &[u8]) -> bool {
    const STATUS: &[u8] = b"HTTP/1.";
    let known = line.len().min(STATUS.len());
    if line.get(..known) == STATUS.get(..known) {
        return true;
    }
    match line.iter().take(MAX_METHOD + 1).position(|b| *b == b' ') {
        Some(_) => method(line).is_some(),
        None => line.len() <= MAX_METHOD && line.iter().all(|b| TOKEN[usize::from(*b)]),
    }
}

/// Offset behind the empty line that ends a head, looked for from `from` on.
pub(super) fn find_end(data: &[u8], from: usize) -> Option<usize> {
    Newlines::new(data, from)
        .find(|at| matches!(data.get(..*at), Some([.., b'\n'] | [.., b'\n', b'\r'])))
        .map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        match parse(text.as_bytes(), false) {
            Parsed::Head(head) => head,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn requests() {
        for (line, method, target) in [
            ("GET / HTTP/1.1", "GET", "/"),
            ("get /x HTTP/1.0", "get", "/x"),
            ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*"),
            ("FROB!  /a b  HTTP/1.1 ", "FROB!", "/a b"),
            ("CONNECT host:443 HTTP/1.1", "CONNECT", "host:443"),
            ("GET http://a/b?c=d HTTP/1.1", "GET", "http://a/b?c=d"),
        ] {
            for end in ["\r\n", "\n"] {
                let text = format!("{line}{end}Host: a{end}{end}rest");
                let head = head(&text);
                assert_eq!(head.len, text.len() - 4);
                let StartLine::Request {
                    method: m,
                    target: from,
                    len,
                    ..
                } = head.start
                else {
                    panic!("{head:?}");
                };
                assert_eq!(&text[..usize::from(m)], method);
                assert_eq!(&text[usize::from(from)..][..len as usize], target);
            }
        }
    }

    #[test]
    fn responses() {
        for (line, status) in [
            ("HTTP/1.1 200 OK", 200),
            ("HTTP/1.0 404 Not Found", 404),
            ("HTTP/1.1 500", 500),
            ("HTTP/1.1 204 ", 204),
            ("HTTP/1.1  301 x", 301),
        ] {
            let head = head(&format!("{line}\r\n\r\n"));
            assert!(
                matches!(head.start, StartLine::Response { status: s, .. } if s == status),
                "{head:?}"
            );
        }
    }

    #[test]
    fn other_protocols_are_not_taken() {
        for line in [
            "RTSP/1.0 200 OK",
            "ICY 200 OK",
            "SIP/2.0 200 OK",
            "OPTIONS rtsp://a/b RTSP/1.0",
            "OPTIONS sip:a@b SIP/2.0",
            "OPTIONS icap://a/b ICAP/1.0",
            "INVITE sip:a@b SIP/2.0",
            "PRI * HTTP/2.0",
            "HTTP/2 200",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "GET  HTTP/1.1",
            "GET",
            " GET / HTTP/1.1",
            "G\0T / HTTP/1.1",
            "*1",
            "SSH-2.0-OpenSSH_9.2",
            "220 mail ESMTP",
            "USER anonymous",
        ] {
            assert_eq!(
                parse(format!("{line}\r\n").as_bytes(), false),
                Parsed::No,
                "{line}"
            );
        }
        for bytes in [
            &b"\x16\x03\x01"[..],
            b"\0\0\0\x01",
            b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            b"{\"a\"",
        ] {
            assert_eq!(parse(bytes, false), Parsed::No, "{bytes:?}");
        }
    }

    #[test]
    fn starts_ask_for_more() {
        for text in [
            "GET /a HTTP/1.1\r\nHost: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
        ] {
            for len in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..len], false), Parsed::More, "{len}");
            }
        }
    }

    #[test]
    fn framing() {
        let of = |fields: &str| {
            let head = head(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n"));
            (head.length, head.coding)
        };
        assert_eq!(of("A: b"), (Length::None, Coding::None));
        assert_eq!(of("content-LENGTH:5"), (Length::Is(5), Coding::None));
        assert_eq!(of("Content-Length : 5"), (Length::Is(5), Coding::None));
        assert_eq!(of("Content-Length: 5, 5"), (Length::Is(5), Coding::None));
        assert_eq!(
            of("Content-Length: 5\r\nContent-Length: 6"),
            (Length::Conflict(Some(5)), Coding::None)
        );
        assert_eq!(
            of("Content-Length: 5x"),
            (Length::Conflict(None), Coding::None)
        );
        assert_eq!(
            of("Content-Length: 99999999999999999999"),
            (Length::Conflict(None), Coding::None)
        );
        assert_eq!(of("Content-Lengths: 5"), (Length::None, Coding::None));
        assert_eq!(
            of("Transfer-Encoding: gzip, Chunked"),
            (Length::None, Coding::Chunked)
        );
        assert_eq!(
            of("Transfer-Encoding: identity"),
            (Length::None, Coding::None)
        );
        assert_eq!(of("Transfer-Encoding: gzip"), (Length::None, Coding::Other));
        assert_eq!(
            of("Content-Length: 3\r\nTransfer-Encoding: chunked"),
            (Length::Is(3), Coding::Chunked)
        );
    }

    #[test]
    fn a_head_that_is_cut_is_read_as_far_as_it_goes() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServ";
        assert!(
            matches!(parse(text, true), Parsed::Head(h) if h.len == text.len() && h.length == Length::Is(5))
        );
        assert_eq!(parse(b"HTTP/1.1 200 OK", true), Parsed::More);
    }

    #[test]
    fn ends_are_found_from_anywhere_before_them() {
        let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody\n\n";
        for from in 0..=21 {
            assert_eq!(find_end(text, from), Some(24), "{from}");
        }
        assert_eq!(find_end(&text[..23], 0), None);
    }
}
