//! An exchange while its fields are read: each head is looked up once, however many of them there are.

use super::body::{self, Body};
use super::head::{Noted, StartLine, may_have};
use super::message::Message;
use super::record::Http;
use super::text::{self, Headers, Line};
use crate::ascii;
use gillnet_entry::{Ctx, json};
use std::cell::OnceCell;
use std::ops::Range;

/// An exchange and what was read of it so far.
pub(super) struct View<'a> {
    pub(super) http: &'a Http,
    request: OnceCell<Read<'a>>,
    response: OnceCell<Read<'a>>,
}

impl<'a> View<'a> {
    pub(super) fn new(http: &'a Http) -> Self {
        View {
            http,
            request: OnceCell::new(),
            response: OnceCell::new(),
        }
    }

    /// What is read of the request, a value or whether it was written; nothing where there is none.
    #[inline]
    pub(super) fn request<T: Default>(
        &self,
        ctx: &Ctx<'a>,
        read: impl FnOnce(&Read<'a>) -> T,
    ) -> T {
        of(&self.http.request, &self.request, ctx, read)
    }

    /// As [`View::request`], where it has a body.
    #[inline]
    pub(super) fn posted<T: Default>(&self, ctx: &Ctx<'a>, read: impl FnOnce(&Read<'a>) -> T) -> T {
        match &self.http.request {
            Some(message) if message.payload > 0 => self.request(ctx, read),
            _ => T::default(),
        }
    }

    /// What is read of a gRPC call; nothing of anything else.
    pub(super) fn grpc<T: Default>(&self, read: impl FnOnce() -> T) -> T {
        if self.http.is_grpc() {
            read()
        } else {
            T::default()
        }
    }

    /// As [`View::request`], of the response.
    #[inline]
    pub(super) fn response<T: Default>(
        &self,
        ctx: &Ctx<'a>,
        read: impl FnOnce(&Read<'a>) -> T,
    ) -> T {
        of(&self.http.response, &self.response, ctx, read)
    }
}

#[inline]
fn of<'a, T: Default>(
    message: &'a Option<Message>,
    known: &OnceCell<Read<'a>>,
    ctx: &Ctx<'a>,
    read: impl FnOnce(&Read<'a>) -> T,
) -> T {
    let Some(message) = message else {
        return T::default();
    };
    read(known.get_or_init(|| Read::new(message, ctx)))
}

/// What fields of a row are read from.
const USUAL: [&[u8]; 4] = [
    b"content-type",
    b"content-encoding",
    b"transfer-encoding",
    b"location",
];

const _: () = {
    let mut at = 0;
    while at < USUAL.len() {
        assert!(Noted::has(USUAL[at]));
        at += 1;
    }
};

/// Where the status begins in a status line, or blanks before it, and its digits.
const STATUS: usize = b"HTTP/1.1 ".len();
const DIGITS: usize = 3;

/// How the names of [`USUAL`] begin: their first eight letters, and the next one, 0 where there is none.
const BEGIN: [(u64, u8); USUAL.len()] = {
    let mut begin = [(0, 0); USUAL.len()];
    let mut at = 0;
    while at < USUAL.len() {
        let Some((eight, rest)) = USUAL[at].split_first_chunk() else {
            panic!("a shorter name");
        };
        begin[at].0 = u64::from_le_bytes(*eight);
        if let Some(ninth) = rest.first() {
            begin[at].1 = *ninth;
        }
        at += 1;
    }
    begin
};

/// The value of a header, and whether it is folded over lines.
type Found<'a> = (&'a [u8], bool);

/// A message with the bytes of its head.
pub(super) struct Read<'a> {
    pub(super) message: &'a Message,
    pub(super) head: &'a [u8],
    /// Its method and its target as text, once someone wanted them: several fields have them.
    method: OnceCell<&'a str>,
    target: OnceCell<&'a str>,
    /// The headers of [`USUAL`], where all of them were wanted.
    usual: OnceCell<[Option<Found<'a>>; USUAL.len()]>,
    /// Where its header lines stand, once someone wanted all of them.
    lines: OnceCell<&'a [Line]>,
    /// Whether its body is not as it came, once someone asked.
    coded: OnceCell<bool>,
}

impl<'a> Read<'a> {
    pub(super) fn new(message: &'a Message, ctx: &Ctx<'a>) -> Self {
        Read {
            message,
            head: message.head.get(ctx),
            method: OnceCell::new(),
            target: OnceCell::new(),
            usual: OnceCell::new(),
            lines: OnceCell::new(),
            coded: OnceCell::new(),
        }
    }

    pub(super) fn method(&self) -> &'a [u8] {
        match self.message.start {
            StartLine::Request { method, .. } => {
                self.head.get(..usize::from(method)).unwrap_or_default()
            }
            StartLine::Response { .. } => &[],
        }
    }

    pub(super) fn method_text(&self, ctx: &Ctx<'a>) -> &'a str {
        self.method.get_or_init(|| ctx.text(self.method()))
    }

    /// Where the target stands in the head.
    fn target_range(&self) -> Range<usize> {
        match self.message.start {
            StartLine::Request { target, len, .. } => {
                let from = usize::from(target);
                from..from + len as usize
            }
            StartLine::Response { .. } => 0..0,
        }
    }

    pub(super) fn target(&self) -> &'a [u8] {
        self.head.get(self.target_range()).unwrap_or_default()
    }

    pub(super) fn target_text(&self, ctx: &Ctx<'a>) -> &'a str {
        self.target.get_or_init(|| ctx.text(self.target()))
    }

    /// [`Read::path`] as text.
    pub(super) fn path_text(&self, ctx: &Ctx<'a>) -> &'a str {
        let (target, path) = (self.target_text(ctx), self.path());
        let known = target.get(..path.len());
        let known = known.filter(|known| std::ptr::eq(known.as_ptr(), path.as_ptr()));
        known.unwrap_or_else(|| ctx.text(path))
    }

    /// The path of the target, without the query.
    pub(super) fn path(&self) -> &'a [u8] {
        path(self.target())
    }

    pub(super) fn write_target(&self, out: &mut Vec<u8>) -> bool {
        json::write_text_in(self.head, self.target_range(), out);
        true // written, plain or not
    }

    pub(super) fn write_path(&self, out: &mut Vec<u8>) -> bool {
        let (target, path) = (self.target(), self.path());
        if target.starts_with(path) {
            let from = self.target_range().start;
            json::write_text_in(self.head, from..from + path.len(), out);
        } else {
            json::write_text(path, out);
        }
        true
    }

    /// What stands behind the version, blanks and the three digits of a status line.
    pub(super) fn reason(&self) -> &'a [u8] {
        let end = memchr::memchr(b'\n', self.head).unwrap_or(self.head.len());
        let status = self.head.get(STATUS..end).unwrap_or_default();
        let behind = status.trim_ascii_start().get(DIGITS..);
        behind.unwrap_or_default().trim_ascii()
    }

    pub(super) fn write_method(&self, out: &mut Vec<u8>) -> bool {
        json::write_text_in(self.head, 0..self.method().len(), out);
        true
    }

    /// Looks up all of [`USUAL`] at once, where it is known which lines are worth it.
    pub(super) fn look_up_usual(&self) {
        let Some(lines) = self.message.noted.lines() else {
            return;
        };
        self.usual.get_or_init(|| {
            let mut values = [None; USUAL.len()];
            for from in lines.iter().map(|line| usize::from(*line)) {
                let line = self.head.get(from..).unwrap_or_default();
                let Some(eight) = line.first_chunk() else {
                    continue; // too short for any of them
                };
                let eight = ascii::lower(u64::from_le_bytes(*eight));
                let ninth = line.get(8).map_or(0, |ninth| ninth | 0x20);
                let is_like =
                    |begin: &(u64, u8)| begin.0 == eight && (begin.1 == 0 || begin.1 == ninth);
                if let Some(at) = BEGIN.iter().position(is_like)
                    && values[at].is_none()
                {
                    values[at] = Headers::from(self.head, from).named(USUAL[at]);
                }
            }
            values
        });
    }

    /// Where the header lines stand.
    pub(super) fn lines(&self, ctx: &Ctx<'a>) -> &'a [Line] {
        self.lines
            .get_or_init(|| Headers::new(self.head).lines(ctx))
    }

    /// The value of the first header with this name (lower case), empty where there is none.
    #[inline(always)] // for most callers it is known what is usual
    pub(super) fn header(&self, name: &[u8]) -> &'a [u8] {
        match self.known(name) {
            Some(value) => value.map_or(&[], |(value, _)| value),
            None => self.look_up(name),
        }
    }

    /// The value of a header as text: each fold becomes a space.
    #[inline(always)]
    pub(super) fn header_text(&self, name: &[u8], ctx: &Ctx<'a>) -> &'a str {
        match self.known(name) {
            Some(None) => "",
            Some(Some((value, false))) => ctx.text(value),
            Some(Some((value, true))) => text::unfold(value, ctx),
            None => text::unfold(self.look_up(name), ctx),
        }
    }

    /// A header, if it is known whether there is one.
    #[inline(always)]
    fn known(&self, name: &[u8]) -> Option<Option<Found<'a>>> {
        let at = USUAL.iter().position(|usual| *usual == name)?;
        Some(self.usual.get()?[at])
    }

    fn look_up(&self, name: &[u8]) -> &'a [u8] {
        let value = match self.lines.get() {
            Some(lines) => self
                .find(lines, name)
                .and_then(|line| self.head.get(line.value.clone())),
            None => Headers::new(self.head).find(self.message.letters, name),
        };
        value.unwrap_or_default()
    }

    /// Appends what [`Read::header`] gives as text; `false` where the lines are not known, or it is folded over some.
    pub(super) fn write_header(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(lines) = self.lines.get() else {
            return false;
        };
        match self.find(lines, name) {
            Some(line) if line.folded => return false,
            Some(line) => json::write_text_in(self.head, line.value.clone(), out),
            None => out.extend_from_slice(b"\"\""),
        }
        true
    }

    #[inline]
    fn find(&self, lines: &'a [Line], name: &[u8]) -> Option<&'a Line> {
        if !may_have(self.message.letters, name) {
            return None;
        }
        let mark = text::mark(name);
        let is_named = |line: &&Line| {
            let own = self.head.get(line.name.clone());
            line.mark == mark && own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        lines.iter().find(is_named)
    }

    /// The body as it came, in pieces; where one is gone from the store, up to there.
    fn pieces(&self, ctx: &Ctx<'a>) -> impl Iterator<Item = &'a [u8]> {
        let parts = self.message.body().filter(|part| !part.is_empty());
        parts
            .map(|part| part.get(ctx))
            .take_while(|piece| !piece.is_empty())
    }

    /// The body as it came.
    fn wire(&self, ctx: &Ctx<'a>) -> &'a [u8] {
        let mut pieces = self.pieces(ctx);
        let first = pieces.next().unwrap_or_default();
        let Some(second) = pieces.next() else {
            return first;
        };
        let mut bytes = bumpalo::collections::Vec::new_in(ctx.arena);
        for piece in [first, second].into_iter().chain(pieces) {
            bytes.extend_from_slice(piece);
        }
        bytes.into_bump_slice()
    }

    /// Whether the body is not as it came.
    fn is_coded(&self) -> bool {
        *self.coded.get_or_init(|| {
            !self.header(b"content-encoding").is_empty()
                || !self.header(b"transfer-encoding").is_empty()
        })
    }

    /// Appends the body in base64, where it is as it came.
    pub(super) fn write_body(&self, ctx: &Ctx<'a>, out: &mut Vec<u8>) -> bool {
        let plain = !self.is_coded();
        if plain {
            json::write_base64_pieces(self.pieces(ctx), out);
        }
        plain
    }

    /// The body, decoded.
    pub(super) fn body(&self, ctx: &Ctx<'a>) -> Body<'a> {
        let transfer = self.header(b"transfer-encoding");
        let content = self.header(b"content-encoding");
        body::decode(transfer, content, self.wire(ctx), ctx)
    }

    /// Bytes of the body, decoded; as sent, where it was not kept whole.
    pub(super) fn content_size(&self, ctx: &Ctx<'a>) -> u64 {
        let sent = self.message.payload;
        if !self.is_coded() || !self.message.body_is_whole() {
            return sent;
        }
        let body = self.body(ctx);
        if body.raw {
            sent
        } else {
            body.bytes.len() as u64
        }
    }
}

/// The path of a target in any of its forms (RFC 9112 §3.2).
fn path(target: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    if path.starts_with(b"/") {
        return path;
    }
    let Some(scheme) = memchr::memmem::find(path, b"://") else {
        return path; // `*`, or the authority of a CONNECT
    };
    let rest = path.get(scheme + 3..).unwrap_or_default();
    memchr::memchr(b'/', rest)
        .and_then(|at| rest.get(at..))
        .unwrap_or(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_entry::{Bump, Nothing};

    #[test]
    fn a_reason_is_what_stands_behind_the_status() {
        for (line, reason) in [
            ("HTTP/1.1 200 OK", "OK"),
            ("HTTP/1.0 404  Not Found ", "Not Found"),
            ("HTTP/1.1  301 Moved\tPermanently", "Moved\tPermanently"),
            ("HTTP/1.1 500", ""),
            ("HTTP/1.1 204 ", ""),
        ] {
            for end in ["\r\n", "\n"] {
                let head = format!("{line}{end}Server: 200 x{end}{end}");
                let message = Message::decoded(head.into_bytes()).unwrap();
                let arena = Bump::new();
                let ctx = Ctx {
                    store: &Nothing,
                    arena: &arena,
                };
                let read = Read::new(&message, &ctx);
                assert_eq!(read.reason(), reason.as_bytes(), "{line}");
            }
        }
    }

    #[test]
    fn several_headers_are_found_as_each_alone() {
        const ALL: &str =
            "Location: a\r\nCONTENT-TYPE: b\r\nContent-Encoding : c\r\ntransfer-encoding:d\r\n";
        let many = "Cookie: a\r\n".repeat(8);
        let far = format!("X: {}\r\n", "x".repeat(70_000));
        for lines in [
            "Content-Type: a\r\nLocation: b\r\ncontent-type: c\r\nTransfer-Encoding : gzip\r\n",
            "Server: x\r\nCONTENT-ENCODING:\r\ncontent-encoding: br\r\nLast-Modified: x\r\n",
            "location: a\r\n\tb\r\n c\r\nContent-Length: 0\r\nConte\r\n",
            "Content-Type\r\n Content-Type: folded\r\nContent-Types: a\r\n",
            "",
            ALL,
            &format!("{many}Location: behind many\r\nContent-Type: x\r\n"),
            &format!("Location: a\r\n{far}Content-Type: far behind\r\n"),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            let message = Message::decoded(head.clone().into_bytes()).unwrap();
            let arena = Bump::new();
            let ctx = Ctx {
                store: &Nothing,
                arena: &arena,
            };
            let read = Read::new(&message, &ctx);
            read.look_up_usual();
            let is_far = lines.starts_with(&many) || lines.len() > 70_000;
            assert_eq!(read.usual.get().is_none(), is_far, "{lines:.200}");
            for name in USUAL {
                let alone = Headers::new(head.as_bytes()).find(u32::MAX, name);
                assert_eq!(read.header(name), alone.unwrap_or_default(), "{lines:.200}");
                assert!(alone.is_some() || lines != ALL);
            }
        }
    }
}
