//! One message: where its head and body stand. Nothing of it is copied while it stands in the byte store.

use super::head::{Coding, Head, Length, Noted, Parsed, StartLine, parse};
use crate::{EntrySink, Feed, Limits};
use gillnet_entry::drops::Reason;
use gillnet_entry::{Bytes, Fault, FaultKind, Nothing, Part, Span};
use gillnet_streams::Dir;

/// Ranges of a body that are kept: more than one of [`crate::Limits::body`] bytes needs, unless it comes in tiny
/// segments.
const MAX_PARTS: usize = 4096;

/// A request or a response.
#[derive(Debug)]
pub(super) struct Message {
    /// Start line and header lines with the empty line.
    pub(super) head: Part,
    /// The first range of the body as it came (chunked framing included).
    body: Part,
    /// Further ranges, where someone wants bodies.
    more: Option<Box<More>>,
    /// Bytes of the body that came, without chunked framing.
    pub(super) payload: u64,
    /// Time of the packet with the last byte, ns.
    pub(super) last_ts: i64,
    pub(super) start: StartLine,
    /// Bytes of head and chunked framing.
    overhead: u32,
    /// Bytes of the body that never came.
    missing: u32,
    /// See [`Head::letters`].
    pub(super) letters: u32,
    pub(super) noted: Noted,
    /// What the method means for the response.
    pub(super) verb: Verb,
    /// Its end has come.
    pub(super) complete: bool,
    /// It began before anything was there that it could answer.
    pub(super) early: bool,
    pub(super) flaw: Flaw,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    /// Its head ends before its end.
    CutHead,
    /// Its Content-Length contradicts itself.
    Conflict,
    /// It came before the request that says that it has no body, and was read as if it had one.
    Misread,
}

#[derive(Debug, Default)]
struct More {
    parts: Vec<Part>,
    /// Their bytes.
    bytes: usize,
    /// The limit was met, and counted.
    cut: bool,
}

/// Methods whose responses end differently (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Other,
    /// The response has no body.
    Head,
    /// After a 2xx response the connection is a tunnel.
    Connect,
}

impl Message {
    /// The message whose head stands `at` bytes into a feed.
    #[inline]
    pub(super) fn new(head: &Head, feed: &Feed<'_>, at: usize) -> Message {
        let bytes = feed.data.get(at..at + head.len).unwrap_or_default();
        let verb = match head.start {
            StartLine::Request { method: 4, .. } if bytes.starts_with(b"HEAD") => Verb::Head,
            StartLine::Request { method: 7, .. } if bytes.starts_with(b"CONNECT") => Verb::Connect,
            _ => Verb::Other,
        };
        Message {
            head: keep(bytes, feed, at),
            body: Part::None,
            more: None,
            payload: 0,
            last_ts: feed.ts,
            start: head.start,
            overhead: saturate(head.len as u64),
            missing: 0,
            letters: head.letters,
            noted: head.noted,
            verb,
            complete: false,
            early: false,
            flaw: match head.length {
                _ if feed.last => Flaw::CutHead,
                Length::Conflict(_) if head.coding == Coding::None => Flaw::Conflict,
                _ => Flaw::None,
            },
        }
    }

    /// The message with this head, which is its own; `None` where it is not a whole one.
    pub(super) fn decoded(bytes: Vec<u8>) -> Option<Message> {
        let Parsed::Head(head) = parse(&bytes, false) else {
            return None;
        };
        let feed = Feed {
            dir: Dir::Up,
            data: &bytes,
            pos: None,
            ts: 0,
            first_ts: 0,
            bodies: true,
            limits: &Limits::default(),
            store: &Nothing,
            last: false,
        };
        Some(Message {
            complete: true,
            ..Message::new(&head, &feed, 0)
        })
    }

    /// Whether it is a response.
    pub(super) fn is_response(&self) -> bool {
        matches!(self.start, StartLine::Response { .. })
    }

    /// Status of a response, 0 for a request.
    pub(super) fn status_code(&self) -> u16 {
        match self.start {
            StartLine::Response { status, .. } => status,
            StartLine::Request { .. } => 0,
        }
    }

    /// Notes of a response what it answers; too late where its body was read already.
    pub(super) fn answers(&mut self, verb: Verb) {
        let bare = match verb {
            Verb::Head => true,
            Verb::Connect => matches!(self.status_code(), 200..300),
            Verb::Other => false,
        };
        if bare && self.payload > 0 {
            self.flaw = Flaw::Misread;
        }
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<Fault> {
        let msg = match self.flaw {
            Flaw::None => return None,
            Flaw::CutHead => "head is cut short",
            Flaw::Conflict => "conflicting Content-Length",
            Flaw::Misread => "came before its request, so that what follows was taken for its body",
        };
        Some(Fault {
            kind: FaultKind::Dissection,
            msg,
        })
    }

    /// Bytes on the wire, head and framing included.
    pub(super) fn wire(&self) -> u64 {
        self.payload + u64::from(self.overhead)
    }

    /// Bytes of the body that never came.
    pub(super) fn missing(&self) -> u64 {
        u64::from(self.missing)
    }

    /// So many bytes of the body never came; what follows them is not kept.
    pub(super) fn miss(&mut self, bytes: u64) {
        self.missing = self.missing.saturating_add(saturate(bytes));
    }

    /// So many bytes of the body came.
    pub(super) fn came(&mut self, payload: u64, framing: u64, ts: i64) {
        self.payload += payload;
        self.overhead = self.overhead.saturating_add(saturate(framing));
        self.last_ts = ts;
    }

    /// Keeps the bytes of the body that stand in a feed, within limits.
    pub(super) fn keep_body(
        &mut self,
        feed: &Feed<'_>,
        at: usize,
        len: usize,
        out: &mut dyn EntrySink,
    ) {
        // joined bytes would have to be copied, which is done only for who wants them
        if len == 0 || self.missing > 0 || (feed.pos.is_none() && !feed.bodies) {
            return;
        }
        let (kept, parts) = self.kept();
        if parts > 0 && !feed.bodies {
            return;
        }
        let room = if parts < MAX_PARTS {
            feed.limits.body.saturating_sub(kept).min(len)
        } else {
            0
        };
        if room < len {
            let more = self.more.get_or_insert_default();
            if !std::mem::replace(&mut more.cut, true) {
                out.count(Reason::BodyLimit, 1);
            }
        }
        let part = keep(feed.data.get(at..at + room).unwrap_or_default(), feed, at);
        let last = self
            .more
            .as_mut()
            .and_then(|more| more.parts.last_mut())
            .unwrap_or(&mut self.body);
        let kept_in_first = parts <= 1;
        let alone = join(last, part);
        if alone.is_some() || !kept_in_first {
            let more = self.more.get_or_insert_default();
            more.bytes += room;
            more.parts.extend(alone);
        }
    }

    /// Bytes and ranges kept of the body.
    fn kept(&self) -> (usize, usize) {
        let more = self
            .more
            .as_ref()
            .map_or((0, 0), |m| (m.bytes, m.parts.len()));
        (
            self.body.len() as usize + more.0,
            usize::from(!self.body.is_empty()) + more.1,
        )
    }

    /// The ranges kept of the body.
    pub(super) fn body(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.body).chain(self.more.iter().flat_map(|more| &more.parts))
    }

    /// Whether all of the body is kept.
    pub(super) fn body_is_whole(&self) -> bool {
        let body = self.wire() - u64::from(self.head.len());
        self.complete && self.missing == 0 && self.kept().0 as u64 >= body
    }

    /// Heap bytes, about.
    pub(super) fn held(&self) -> usize {
        let own = |part: &Part| {
            if let Part::Own(own) = part {
                own.len()
            } else {
                0
            }
        };
        let slots = self
            .more
            .as_ref()
            .map_or(0, |more| more.parts.capacity() * size_of::<Part>());
        own(&self.head) + self.body().map(own).sum::<usize>() + slots
    }

    /// A copy that needs no store; head and body are cut after `limit` bytes each.
    pub(super) fn detach(&self, store: &dyn Bytes, limit: usize) -> Message {
        let mut room = limit;
        let mut parts = Vec::new();
        for part in self.body().take_while(|part| !part.is_empty()) {
            let copy = part.detach(store, room);
            room -= (copy.len() as usize).min(room);
            let gone = copy.len() < part.len();
            parts.push(copy);
            if gone {
                break;
            }
        }
        let mut parts = parts.into_iter();
        let body = parts.next().unwrap_or_default();
        let parts: Vec<Part> = parts.collect();
        let bytes = parts.iter().map(|part| part.len() as usize).sum();
        Message {
            head: self.head.detach(store, limit),
            body,
            more: (!parts.is_empty()).then(|| {
                Box::new(More {
                    parts,
                    bytes,
                    cut: false,
                })
            }),
            ..*self
        }
    }
}

/// Appends a range to the one before it; gives it back where it does not stand just behind that.
fn join(last: &mut Part, next: Part) -> Option<Part> {
    match (&mut *last, &next) {
        (_, Part::None) => None,
        (Part::None, _) => {
            *last = next;
            None
        }
        (Part::At(last), Part::At(next)) if last.pos + u64::from(last.len) == next.pos => {
            last.len = last.len.saturating_add(next.len);
            None
        }
        _ => Some(next),
    }
}

/// A reference to bytes that stand `at` bytes into a feed, or a copy where they are not in the store.
#[inline]
fn keep(bytes: &[u8], feed: &Feed<'_>, at: usize) -> Part {
    match feed.pos {
        _ if bytes.is_empty() => Part::None,
        Some(pos) => Part::At(Span {
            pos: pos + at as u64,
            len: saturate(bytes.len() as u64),
        }),
        None => Part::Own(bytes.into()),
    }
}

fn saturate(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
