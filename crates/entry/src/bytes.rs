//! References to captured bytes: positions in a byte store, resolved when a field is read.

use crate::digits::{self, Digits};
use bumpalo::Bump;
use std::borrow::Cow;

/// A range of the byte store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Position of the first byte.
    pub pos: u64,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The part of this span that begins `from` bytes in and is at most `len` bytes long.
    #[must_use]
    pub fn sub(self, from: u32, len: u32) -> Span {
        let from = from.min(self.len);
        Span {
            pos: self.pos + u64::from(from),
            len: len.min(self.len - from),
        }
    }
}

/// Read access to the byte store that [`Span`]s point into.
pub trait Bytes {
    /// The bytes of a span, or `None` where they have been overwritten meanwhile.
    fn bytes(&self, span: Span) -> Option<&[u8]>;
}

/// A store that holds nothing: for entries whose bytes are their own.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Bytes for Nothing {
    fn bytes(&self, _: Span) -> Option<&[u8]> {
        None
    }
}

/// Bytes of a message: a range of the store, or an own copy where segments had to be joined or the entry left its shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// No bytes, or bytes that are gone.
    #[default]
    None,
    /// A range of the store.
    At(Span),
    /// An own copy.
    Own(Box<[u8]>),
}

impl Part {
    /// The bytes, empty where they are gone.
    pub fn get<'a>(&'a self, ctx: &Ctx<'a>) -> &'a [u8] {
        match self {
            Part::None => &[],
            Part::At(span) => ctx.store.bytes(*span).unwrap_or(&[]),
            Part::Own(own) => own,
        }
    }

    /// Length in bytes, whether they are still there or not.
    #[allow(clippy::cast_possible_truncation)] // a message part is bounded far below 4 GiB
    pub fn len(&self) -> u32 {
        match self {
            Part::None => 0,
            Part::At(span) => span.len,
            Part::Own(own) => own.len() as u32,
        }
    }

    /// Whether there is not a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy that needs no store, cut after `limit` bytes.
    #[must_use]
    pub fn detach(&self, store: &dyn Bytes, limit: usize) -> Part {
        let bytes = match self {
            Part::None => return Part::None,
            Part::At(span) => match store.bytes(*span) {
                Some(bytes) => bytes,
                None => return Part::None,
            },
            Part::Own(own) => own,
        };
        Part::Own(bytes[..bytes.len().min(limit)].into())
    }
}

/// What a field is read with: the store its references point into, and scratch space for what must be built.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// The byte store.
    pub store: &'a dyn Bytes,
    /// Scratch space, reset by its owner between entries.
    pub arena: &'a Bump,
}

impl std::fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ctx")
    }
}

/// ASCII as the text that it is: nearly all texts are, and the check for UTF-8 goes byte by byte through a short one.
#[inline]
#[allow(unsafe_code)]
fn ascii(bytes: &[u8]) -> Option<&str> {
    // SAFETY: each byte below 128 is a character in UTF-8
    bytes
        .is_ascii()
        .then(|| unsafe { std::str::from_utf8_unchecked(bytes) })
}

/// Room for a text that is built, at first.
const USUAL: usize = 32;

impl<'a> Ctx<'a> {
    /// Bytes from the wire as text; what is not UTF-8 is replaced as `String::from_utf8_lossy` does.
    pub fn text(&self, bytes: &'a [u8]) -> &'a str {
        if let Some(text) = ascii(bytes) {
            return text;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => match String::from_utf8_lossy(bytes) {
                Cow::Borrowed(text) => text,
                Cow::Owned(text) => self.arena.alloc_str(&text),
            },
        }
    }

    /// A number in decimal; a large one is built in the scratch space.
    pub fn number(&self, number: u64) -> &'a str {
        match digits::of_three(number) {
            Some(text) => text,
            None => self.arena.alloc_str(Digits::new(number).as_str()),
        }
    }

    /// Text built in the scratch space.
    pub fn format(&self, args: std::fmt::Arguments<'_>) -> &'a str {
        use std::fmt::Write;
        let mut text = bumpalo::collections::String::with_capacity_in(USUAL, self.arena);
        // writing to a string fails only where a Display does; what was written until then stands
        let _ = text.write_fmt(args);
        text.into_bump_str()
    }

    /// A copy in the scratch space.
    pub fn copy(&self, bytes: &[u8]) -> &'a [u8] {
        self.arena.alloc_slice_copy(bytes)
    }

    /// A list built in the scratch space.
    pub fn list<T: Copy + 'a>(&self, items: impl IntoIterator<Item = T>) -> &'a [T] {
        let mut list = bumpalo::collections::Vec::new_in(self.arena);
        list.extend(items);
        list.into_bump_slice()
    }
}
