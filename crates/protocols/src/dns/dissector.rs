//! Messages of one stream or one pair of UDP ends: framing and pairing.

use super::codes;
use super::identify::{self, PREFIX};
use super::record::{Dns, Half};
use super::wire::{HEADER, Message, Question, u16_at};
use crate::ascii::lower;
use crate::{AfterGap, ById, Dissector, Emit, EntrySink, Feed, Limits, Start, Step};
use gillnet_entry::drops::Reason;
use gillnet_entry::{Fault, FaultKind, Part, Span, Transport};
use gillnet_streams::{Close, Dir};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

/// How long a response waits for its query, ns: frames of the two directions may be captured in the wrong order.
const EARLY: i64 = 100_000_000;

/// Most messages that wait under one id: queries sent again before they were answered.
const SAME_ID_LIMIT: usize = 64;

/// Opens a dissector.
pub(super) fn open(transport: Transport) -> Box<dyn Dissector> {
    Box::new(DnsDissector {
        transport,
        queries: ById::default(),
        early: ById::default(),
        transfer: None,
    })
}

/// One message, as it waits for its counterpart.
struct Waiting {
    half: Half,
    dir: Dir,
    first_ts: i64,
    ts: i64,
    /// Bytes on the wire, with the length on TCP.
    size: u64,
    /// Hash of the first question; `None` without one.
    question: Option<u64>,
    /// Type of the first question, 0 without one.
    kind: u16,
    response: bool,
    /// Whether it can be read to its end.
    whole: bool,
}

/// Messages of one kind under one id, oldest first.
struct Same {
    first: Waiting,
    later: VecDeque<Waiting>,
}

/// No response came while the stream lasted.
const NO_RESPONSE: Fault = Fault {
    kind: FaultKind::PairNotFound,
    msg: "no response to this query was seen",
};
/// No response came in time.
const TIMEOUT: Fault = Fault {
    kind: FaultKind::Timeout,
    msg: "no response to this query came in time",
};
/// A response alone.
const NO_QUERY: Fault = Fault {
    kind: FaultKind::PairNotFound,
    msg: "no query for this response was seen",
};
/// A message that says less than its header promises.
const CUT: Fault = Fault {
    kind: FaultKind::Dissection,
    msg: "a message is malformed or cut short",
};

struct DnsDissector {
    transport: Transport,
    /// Queries that wait for their response.
    queries: ById<u16, Same>,
    /// Responses that came before their query.
    early: ById<u16, Same>,
    /// Id of a zone transfer whose first message has come: more responses follow under it (RFC 5936 §2.2).
    transfer: Option<u16>,
}

impl Waiting {
    /// Whether one can answer the other: a response that repeats no question (RFC 1035 §4.1.1 asks for one, many format
    /// errors have none) answers any.
    fn belongs(&self, other: &Waiting) -> bool {
        self.dir != other.dir
            && (self.question.is_none()
                || other.question.is_none()
                || self.question == other.question)
    }
}

/// A number for a message's first question that is the same for equal questions, whatever the case of their letters.
fn fingerprint(question: Question<'_>) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    // before the first question there is nothing that its name could point to
    let name = question.name.plain().unwrap_or_default();
    // the bytes that give lengths are no letters
    let (eights, rest) = name.as_chunks();
    for eight in eights {
        hasher.write_u64(lower(u64::from_le_bytes(*eight)));
    }
    let rest = rest
        .iter()
        .fold(0, |rest, byte| rest << 8 | u64::from(*byte));
    hasher.write_u64(lower(rest));
    hasher.write_u32(u32::from(question.kind) << 16 | u32::from(question.class));
    hasher.finish()
}

impl Dissector for DnsDissector {
    fn feed(&mut self, feed: &Feed<'_>, out: &mut dyn EntrySink) -> Step {
        match self.transport {
            Transport::Udp => {
                match Message::read(feed.data) {
                    Some(message) => self.message(message, 0, feed, out),
                    None => out.count(Reason::Malformed, 1),
                }
                Step::Used(feed.data.len())
            }
            Transport::Tcp => self.framed(feed, out),
        }
    }

    fn gap(&mut self, _dir: Dir, _missing: u64, _out: &mut dyn EntrySink) -> AfterGap {
        AfterGap::Resync
    }

    fn resync(&self, _dir: Dir, bytes: &[u8]) -> Start {
        identify::start(bytes)
    }

    fn half_close(&mut self, _dir: Dir, _ts: i64, _out: &mut dyn EntrySink) {}

    fn tick(&mut self, now: i64, limits: &Limits, out: &mut dyn EntrySink) {
        while let Some((_, same)) = self.queries.expire(now, limits.timeout) {
            alone(same, TIMEOUT, out);
        }
        while let Some((_, same)) = self.early.expire(now, EARLY) {
            alone(same, NO_RESPONSE, out);
        }
    }

    fn close(&mut self, _why: Close, _ts: i64, out: &mut dyn EntrySink) {
        while let Some((_, same)) = self.queries.drain() {
            alone(same, NO_RESPONSE, out);
        }
        while let Some((_, same)) = self.early.drain() {
            alone(same, NO_RESPONSE, out);
        }
    }

    fn held(&self) -> usize {
        self.queries.held() + self.early.held()
    }
}

impl DnsDissector {
    /// One message behind its length.
    fn framed(&mut self, feed: &Feed<'_>, out: &mut dyn EntrySink) -> Step {
        let Some(length) = u16_at(feed.data, 0).map(usize::from) else {
            return Step::Need(PREFIX);
        };
        let end = PREFIX + length;
        if length < HEADER {
            return Step::Resync(feed.data.len());
        }
        if feed.data.len() < end && !feed.last {
            return Step::Need(end);
        }
        let end = end.min(feed.data.len());
        match feed.data.get(PREFIX..end).and_then(Message::read) {
            Some(message) if identify::likely(message) => self.message(message, PREFIX, feed, out),
            Some(_) => return Step::Resync(feed.data.len()),
            None => out.count(Reason::Malformed, 1),
        }
        Step::Used(end)
    }

    /// Takes a message that stands `before` bytes into the feed.
    fn message(
        &mut self,
        message: Message<'_>,
        before: usize,
        feed: &Feed<'_>,
        out: &mut dyn EntrySink,
    ) {
        let header = message.header;
        let waiting = Waiting::new(message, before, feed);
        let (response, id) = (header.is_response(), header.id);
        let (mine, theirs) = if response {
            (&mut self.early, &mut self.queries)
        } else {
            (&mut self.queries, &mut self.early)
        };
        if let Some(other) = take(theirs, id, &waiting) {
            let (query, answer) = if response {
                (other, waiting)
            } else {
                (waiting, other)
            };
            if matches!(query.kind, codes::AXFR | codes::IXFR) && self.transport == Transport::Tcp {
                self.transfer = Some(id);
            }
            return emit(Some(query), Some(answer), None, out);
        }
        if response && self.transfer == Some(id) {
            // a further message of a zone transfer: its query has its response already
            return emit(None, Some(waiting), None, out);
        }
        if let Some(same) = put(mine, id, waiting, feed.limits, out) {
            alone(same, NO_RESPONSE, out);
        }
    }
}

impl Waiting {
    fn new(message: Message<'_>, before: usize, feed: &Feed<'_>) -> Waiting {
        let len = u32::try_from(message.bytes.len()).unwrap_or(u32::MAX);
        let part = match feed.pos {
            Some(pos) => Part::At(Span {
                pos: pos + before as u64,
                len,
            }),
            None => Part::Own(message.bytes.into()),
        };
        let mut questions = message.questions();
        let question = questions.next();
        Waiting {
            half: Half { part, len },
            dir: feed.dir,
            first_ts: feed.first_ts,
            ts: feed.ts,
            size: (before + message.bytes.len()) as u64,
            question: question.map(fingerprint),
            kind: question.map_or(0, |question| question.kind),
            response: message.header.is_response(),
            whole: message.header.truncated() || message.end(questions).is_some(),
        }
    }
}

/// Takes the oldest message out that waits under an id and belongs to another.
fn take(waiting: &mut ById<u16, Same>, id: u16, other: &Waiting) -> Option<Waiting> {
    let same = waiting.get(id)?;
    if !same.first.belongs(other) {
        let at = same
            .later
            .iter()
            .position(|message| message.belongs(other))?;
        return same.later.remove(at);
    }
    match same.later.pop_front() {
        Some(next) => Some(std::mem::replace(&mut same.first, next)),
        None => waiting.remove(id).map(|(_, same)| same.first),
    }
}

/// Lets a message wait; returns what has to leave for it.
fn put(
    waiting: &mut ById<u16, Same>,
    id: u16,
    message: Waiting,
    limits: &Limits,
    out: &mut dyn EntrySink,
) -> Option<Same> {
    let Some(same) = waiting.get(id) else {
        let since = message.ts;
        let same = Same {
            first: message,
            later: VecDeque::new(),
        };
        return waiting
            .insert(id, since, same, limits, out)
            .map(|(_, same)| same);
    };
    same.later.push_back(message);
    if same.later.len() < SAME_ID_LIMIT {
        return None;
    }
    out.count(Reason::PendingLimit, 1);
    let next = same.later.pop_front()?;
    let oldest = std::mem::replace(&mut same.first, next);
    Some(Same {
        first: oldest,
        later: VecDeque::new(),
    })
}

/// Emits messages that stay without their counterpart.
fn alone(same: Same, unanswered: Fault, out: &mut dyn EntrySink) {
    for message in std::iter::once(same.first).chain(same.later) {
        if message.response {
            emit(None, Some(message), Some(NO_QUERY), out);
        } else {
            emit(Some(message), None, Some(unanswered), out);
        }
    }
}

fn emit(
    query: Option<Waiting>,
    response: Option<Waiting>,
    fault: Option<Fault>,
    out: &mut dyn EntrySink,
) {
    let Some(first) = query.as_ref().or(response.as_ref()) else {
        return;
    };
    let ts = first.first_ts;
    let requester = if query.is_some() {
        first.dir
    } else {
        first.dir.flip()
    };
    let end_ts = if query.is_some() {
        response.as_ref().map(|response| response.ts.max(ts))
    } else {
        None
    };
    let size = |message: &Option<Waiting>| message.as_ref().map_or(0, |message| message.size);
    let whole = query.iter().chain(&response).all(|message| message.whole);
    let (request_size, response_size) = (size(&query), size(&response));
    let record = Dns {
        query: query.map(|message| message.half),
        response: response.map(|message| message.half),
    };
    out.entry(&Emit {
        record: &record,
        requester,
        ts,
        end_ts,
        request_size,
        response_size,
        fault: if whole { fault } else { Some(CUT) },
        missing: 0,
    });
}
