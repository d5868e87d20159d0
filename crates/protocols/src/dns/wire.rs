//! The wire format of RFC 1035 §4: header, names, questions and resource records, read in place.
//!
//! Nothing here allocates: a message is a slice, and what is read from it are offsets and borrowed parts. A message
//! that is cut short or contradicts itself yields what stands before the fault.

use gillnet_entry::Ctx;
use std::fmt::{self, Write};

/// Bytes of a header (RFC 1035 §4.1.1).
pub(super) const HEADER: usize = 12;

/// Longest name on the wire, length bytes included (RFC 1035 §2.3.4).
const NAME_LIMIT: usize = 255;

/// Most jumps that one name may take. Each must go strictly backwards, so that there can be no loop; a name of 255
/// bytes has no use for more than 127.
const JUMP_LIMIT: usize = 127;

/// The fixed head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u16,
    flags: u16,
    /// Number of questions, answers, authorities and additionals.
    pub(super) counts: [u16; 4],
}

impl Header {
    pub(super) fn read(message: &[u8]) -> Option<Header> {
        let word = |i: usize| u16_at(message, 2 * i);
        Some(Header {
            id: word(0)?,
            flags: word(1)?,
            counts: [word(2)?, word(3)?, word(4)?, word(5)?],
        })
    }

    pub(super) fn is_response(self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub(super) fn op_code(self) -> u8 {
        (self.flags >> 11 & 0xf) as u8
    }

    pub(super) fn authoritative(self) -> bool {
        self.flags & 0x0400 != 0
    }

    pub(super) fn truncated(self) -> bool {
        self.flags & 0x0200 != 0
    }

    pub(super) fn recursion_desired(self) -> bool {
        self.flags & 0x0100 != 0
    }

    pub(super) fn recursion_available(self) -> bool {
        self.flags & 0x0080 != 0
    }

    /// The bit that must be zero.
    pub(super) fn reserved(self) -> bool {
        self.flags & 0x0040 != 0
    }

    /// Authentic data (RFC 4035 §3.2.3).
    pub(super) fn authentic_data(self) -> bool {
        self.flags & 0x0020 != 0
    }

    /// Checking disabled (RFC 4035 §3.2.2).
    pub(super) fn checking_disabled(self) -> bool {
        self.flags & 0x0010 != 0
    }

    /// The four bits of the header alone; [`Message::rcode`] adds those of EDNS.
    pub(super) fn rcode(self) -> u8 {
        (self.flags & 0xf) as u8
    }
}

/// A section of resource records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Answers = 1,
    Authorities = 2,
    Additionals = 3,
}

/// A message: its header and the bytes it stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'m> {
    pub(super) bytes: &'m [u8],
    pub(super) header: Header,
}

impl<'m> Message<'m> {
    /// `None` where not even the header is there.
    pub(super) fn read(bytes: &'m [u8]) -> Option<Message<'m>> {
        Some(Message {
            bytes,
            header: Header::read(bytes)?,
        })
    }

    pub(super) fn questions(self) -> Questions<'m> {
        Questions {
            bytes: self.bytes,
            at: HEADER,
            left: self.header.counts[0],
        }
    }

    /// Records of a section, as many as can be read.
    pub(super) fn section(self, section: Section) -> Records<'m> {
        let left = self
            .header
            .counts
            .get(section as usize)
            .copied()
            .unwrap_or(0);
        match self.start(section as usize) {
            Some(at) => Records {
                bytes: self.bytes,
                at,
                left,
            },
            None => Records {
                bytes: self.bytes,
                at: self.bytes.len(),
                left: 0,
            },
        }
    }

    /// Where the last record ends; `None` where the counts promise more than can be read. `questions`: some were read.
    pub(super) fn end(self, questions: Questions<'m>) -> Option<usize> {
        self.behind(questions, self.header.counts.len())
    }

    /// Where the section of this number begins; `None` where what stands before it cannot be read.
    fn start(self, section: usize) -> Option<usize> {
        self.behind(self.questions(), section)
    }

    fn behind(self, mut questions: Questions<'m>, section: usize) -> Option<usize> {
        questions.by_ref().for_each(drop);
        if questions.left > 0 {
            return None;
        }
        let mut at = questions.at;
        let counts = self.header.counts.into_iter().take(section).skip(1);
        for left in counts.filter(|count| *count > 0) {
            let mut records = Records {
                bytes: self.bytes,
                at,
                left,
            };
            records.by_ref().for_each(drop);
            if records.left > 0 {
                return None;
            }
            at = records.at;
        }
        Some(at)
    }

    /// The OPT record of EDNS (RFC 6891 §6.1.1).
    pub(super) fn edns(self) -> Option<Resource<'m>> {
        if self.header.counts[3] == 0 {
            return None;
        }
        self.section(Section::Additionals)
            .find(|r| r.kind == super::codes::OPT)
    }

    /// The response code with the upper eight bits that EDNS adds (RFC 6891 §6.1.3).
    pub(super) fn rcode(self) -> u16 {
        let upper = self.edns().map_or(0, |opt| (opt.ttl >> 24) as u16);
        upper << 4 | u16::from(self.header.rcode())
    }
}

/// A name: where it begins in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'m> {
    bytes: &'m [u8],
    at: usize,
    /// See [`Name::plain`]; empty where it stands in several.
    plain: &'m [u8],
}

impl<'m> Name<'m> {
    #[inline]
    fn at(bytes: &'m [u8], at: usize) -> Self {
        let plain = plain(bytes, at).unwrap_or_default();
        Self { bytes, at, plain }
    }

    /// A name that can be read to its end, and where the bytes behind it begin.
    pub(super) fn read(bytes: &'m [u8], at: usize) -> Option<(Name<'m>, usize)> {
        let name = Self::at(bytes, at);
        if let Some(plain) = name.plain() {
            return Some((name, at + plain.len()));
        }
        let mut labels = name.labels();
        labels.by_ref().for_each(drop);
        // what stands behind a name follows its first pointer, or else its root label
        labels.whole().then_some((name, labels.behind?))
    }

    /// Its bytes, with those that give lengths and the root, where it stands in one piece, as most do.
    #[inline]
    pub(super) fn plain(self) -> Option<&'m [u8]> {
        Some(self.plain).filter(|plain| !plain.is_empty())
    }

    pub(super) fn labels(self) -> Labels<'m> {
        Labels {
            bytes: self.bytes,
            at: Some(self.at),
            run: self.at,
            length: 0,
            jumps: 0,
            behind: None,
        }
    }

    /// As [`fmt::Display`] has it; without detours where no character is escaped.
    pub(super) fn text<'a>(self, ctx: &Ctx<'a>) -> &'a str {
        if let Some(text) = self.plain_text(ctx) {
            return text;
        }
        let mut text = [b'.'; NAME_LIMIT];
        let mut len = 0;
        for label in self.labels() {
            let end = len + label.len();
            match text.get_mut(len..end) {
                Some(to) if label.iter().all(is_plain) => to.copy_from_slice(label),
                _ => return ctx.format(format_args!("{self}")),
            }
            len = end + 1;
        }
        let text = text.get(..len.max(2) - 1).unwrap_or_default();
        ctx.text(ctx.copy(text))
    }

    /// The text of a name that stands in one piece, where no character is escaped.
    fn plain_text<'a>(self, ctx: &Ctx<'a>) -> Option<&'a str> {
        let [first, labels @ .., 0] = self.plain()? else {
            return None; // the root
        };
        let text = ctx.arena.alloc_slice_copy(labels);
        let (mut begin, mut end) = (0, usize::from(*first));
        let mut plain = true;
        loop {
            let label = text.get(begin..end)?;
            plain &= label.iter().fold(true, |all, byte| all & is_plain(byte));
            let Some(length) = text.get_mut(end) else {
                return plain.then(|| ctx.text(text));
            };
            begin = end + 1;
            end = begin + usize::from(std::mem::replace(length, b'.'));
        }
    }

    /// Equal without regard to ASCII case (RFC 4343).
    pub(super) fn same(self, other: Name<'_>) -> bool {
        let (mut mine, mut theirs) = (self.labels(), other.labels());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    }
}

/// The name that stands here in one piece, its root label included.
#[inline]
fn plain(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let bytes = bytes.get(at..)?;
    let mut len = 0;
    loop {
        match bytes.get(len)? {
            0 => break,
            label @ 1..=63 => len += usize::from(*label) + 1,
            _ => return None,
        }
    }
    bytes.get(..=len).filter(|name| name.len() <= NAME_LIMIT)
}

/// As `dig` prints it, without the last dot; the root is `.`.
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = self.labels();
        let Some(first) = labels.next() else {
            return f.write_char('.');
        };
        write_label(first, f)?;
        for label in labels {
            f.write_char('.')?;
            write_label(label, f)?;
        }
        Ok(())
    }
}

/// A label in presentation format: RFC 1035 §5.1 with the characters BIND escapes.
fn write_label(label: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rest = label;
    loop {
        let run = rest.iter().take_while(|byte| is_plain(byte)).count();
        let (run, tail) = rest.split_at(run);
        f.write_str(std::str::from_utf8(run).unwrap_or_default())?;
        let Some((byte, tail)) = tail.split_first() else {
            return Ok(());
        };
        if is_escaped(*byte) {
            write!(f, "\\{}", char::from(*byte))?;
        } else {
            write!(f, "\\{byte:03}")?;
        }
        rest = tail;
    }
}

const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'(' | b')' | b'.' | b';' | b'\\' | b'@' | b'$')
}

/// Whether a byte of a label is written as it is.
fn is_plain(byte: &u8) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0x21;
        while byte <= 0x7e {
            plain[byte as usize] = !is_escaped(byte);
            byte += 1;
        }
        plain
    };
    PLAIN[usize::from(*byte)]
}

/// The labels of a name from left to right, up to the root or to a fault.
#[derive(Clone, Debug)]
pub(super) struct Labels<'m> {
    bytes: &'m [u8],
    /// Where the next label is; `None` at the end.
    at: Option<usize>,
    /// Where the run of labels began that is being read: a pointer must lead before it.
    run: usize,
    /// Bytes so far.
    length: usize,
    jumps: usize,
    /// Where the bytes behind the name begin.
    behind: Option<usize>,
}

impl Labels<'_> {
    /// After the last label: whether that was the root, not a fault.
    fn whole(&self) -> bool {
        self.length > 0
    }

    /// Ends at a fault.
    fn fault(&mut self) {
        self.at = None;
        self.length = 0;
        self.behind = None;
    }
}

impl<'m> Iterator for Labels<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        loop {
            let at = self.at?;
            let Some(length) = self.bytes.get(at).copied().map(usize::from) else {
                self.fault();
                return None;
            };
            match length {
                0 => {
                    self.length += 1;
                    self.at = None;
                    self.behind.get_or_insert(at + 1);
                    if self.length > NAME_LIMIT {
                        self.fault();
                    }
                    return None;
                }
                1..=63 => {
                    self.length += length + 1;
                    match self.bytes.get(at + 1..at + 1 + length) {
                        Some(label) if self.length < NAME_LIMIT => {
                            self.at = Some(at + 1 + length);
                            return Some(label);
                        }
                        _ => {
                            self.fault();
                            return None;
                        }
                    }
                }
                0xc0.. => {
                    let target = u16_at(self.bytes, at).map(|p| usize::from(p & 0x3fff));
                    self.jumps += 1;
                    match target {
                        Some(target)
                            if target < self.run
                                && target >= HEADER
                                && self.jumps <= JUMP_LIMIT =>
                        {
                            self.behind.get_or_insert(at + 2);
                            self.run = target;
                            self.at = Some(target);
                        }
                        _ => {
                            self.fault();
                            return None;
                        }
                    }
                }
                // 0x40 and 0x80 begin label types that were never used (RFC 6891 §5, RFC 2673)
                _ => {
                    self.fault();
                    return None;
                }
            }
        }
    }
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'m> {
    pub(super) name: Name<'m>,
    pub(super) kind: u16,
    pub(super) class: u16,
}

/// The questions of a message, as many as can be read.
#[derive(Clone, Debug)]
pub(super) struct Questions<'m> {
    bytes: &'m [u8],
    at: usize,
    left: u16,
}

impl<'m> Iterator for Questions<'m> {
    type Item = Question<'m>;

    fn next(&mut self) -> Option<Question<'m>> {
        if self.left == 0 {
            return None;
        }
        let (name, end) = Name::read(self.bytes, self.at)?;
        let (kind, class) = (u16_at(self.bytes, end)?, u16_at(self.bytes, end + 2)?);
        self.at = end + 4;
        self.left -= 1;
        Some(Question { name, kind, class })
    }
}

/// One resource record (RFC 1035 §4.1.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource<'m> {
    pub(super) name: Name<'m>,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// Seconds; OPT keeps extended code, version and flags here.
    pub(super) ttl: u32,
    pub(super) data: Slice<'m>,
}

/// The records of a section, as many as can be read.
#[derive(Clone, Debug)]
pub(super) struct Records<'m> {
    bytes: &'m [u8],
    at: usize,
    left: u16,
}

impl<'m> Iterator for Records<'m> {
    type Item = Resource<'m>;

    fn next(&mut self) -> Option<Resource<'m>> {
        if self.left == 0 {
            return None;
        }
        let (name, at) = Name::read(self.bytes, self.at)?;
        let (kind, class) = (u16_at(self.bytes, at)?, u16_at(self.bytes, at + 2)?);
        let ttl =
            u32::from(u16_at(self.bytes, at + 4)?) << 16 | u32::from(u16_at(self.bytes, at + 6)?);
        let length = usize::from(u16_at(self.bytes, at + 8)?);
        let (start, end) = (at + 10, at + 10 + length);
        if end > self.bytes.len() {
            return None;
        }
        self.at = end;
        self.left -= 1;
        Some(Resource {
            name,
            kind,
            class,
            ttl,
            data: Slice {
                bytes: self.bytes,
                at: start,
                end,
            },
        })
    }
}

/// A part of a message that is read from left to right; names in it may point to what stands before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice<'m> {
    bytes: &'m [u8],
    at: usize,
    end: usize,
}

impl<'m> Slice<'m> {
    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> &'m [u8] {
        let rest = self.bytes.get(self.at..self.end).unwrap_or(&[]);
        self.at = self.end;
        rest
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.end)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        u16_at(self.take(2)?, 0)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A name.
    pub(super) fn name(&mut self) -> Option<Name<'m>> {
        let (name, end) = Name::read(self.bytes, self.at)?;
        if end > self.end {
            return None;
        }
        self.at = end;
        Some(name)
    }

    /// A character string (RFC 1035 §3.3): a length byte and as many bytes.
    pub(super) fn string(&mut self) -> Option<&'m [u8]> {
        let length = usize::from(self.u8()?);
        self.take(length)
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(pair.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_entry::{Bump, Span};

    struct NoBytes;

    impl gillnet_entry::Bytes for NoBytes {
        fn bytes(&self, _: Span) -> Option<&[u8]> {
            None
        }
    }

    #[test]
    fn names_are_the_same_text_by_either_way() {
        let long = [vec![63; 1], vec![b'a'; 63]].concat();
        for wire in [
            b"\0".to_vec(),
            b"\x01a\0".to_vec(),
            b"\x03www\x07example\x03com\0".to_vec(),
            b"\x03a.b\x02\\c\x01\xff\0".to_vec(),
            b"\x03 a \0".to_vec(),
            // as long as a name may be
            [long.repeat(3), vec![61; 1], vec![b'b'; 61], vec![0]].concat(),
            // a length that is the number of a dot
            [b"\x01a\x2e", [b'b'; 46].as_slice(), b"\x01c\0"].concat(),
            // one that is cut short
            b"\x03www\x07exam".to_vec(),
            // and one that goes on elsewhere
            b"\x01a\xc0\x0c\0\0\0\0\0\0\0\0\x03com\0".to_vec(),
        ] {
            let (name, arena) = (Name::at(&wire, 0), Bump::new());
            let ctx = Ctx {
                store: &NoBytes,
                arena: &arena,
            };
            assert_eq!(name.text(&ctx), name.to_string());
        }
    }
}
