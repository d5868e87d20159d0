//! One connection: each direction's place in its messages, and which request a response answers.
//!
//! ```text
//!            head, no body                       last byte
//!  Start ───────────────────► Start    Length ───────────► Start
//!    │ head with a length ──► Length     │ bodies unwanted ─► Skipping ─► Start
//!    │ head with chunked ───► Chunked    size ► data ► end of data ► size … ► trailers ─► Start
//!    │ response without ────► UntilClose ───── direction ends ─► Start
//!    └ 101, or 2xx to CONNECT ─► handed over
//! ```
//!
//! A message waits from its head on: a response may come before its request's body has ended. A pair is emitted when
//! both are complete.

use super::chunked::{Chunked, Next};
use super::head::{Coding, Head, Length, Parsed, find_end, parse};
use super::identify::{blank, find_start};
use super::message::{Message, Verb};
use super::record::Http;
use super::text::Headers;
use crate::{
    AfterGap, Dissector, Emit, EntrySink, Feed, InOrder, Limits, Popped, Skipped, Start, Step, Why,
};
use gillnet_entry::{Fault, FaultKind};
use gillnet_streams::{Close, Dir};

/// How long a response waits for a request that comes behind it because the capture reordered the directions, ns.
const ANSWER_WAIT: i64 = 10_000_000_000;

/// A connection.
#[derive(Debug, Default)]
pub(super) struct Http1 {
    sides: [Side; 2],
    /// The direction in which requests go, once one message was seen.
    requester: Option<Dir>,
    requests: InOrder<Message>,
    responses: InOrder<Message>,
}

#[derive(Debug, Default)]
struct Side {
    state: State,
    /// Bytes of an unfinished head that were looked through for its end before.
    scanned: usize,
}

/// What comes next in a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    /// So many bytes of a body.
    Length(u64),
    /// So many bytes of a body that have not come yet and are not fed; `framed` where they are a chunk's.
    Skipping {
        bytes: u64,
        framed: bool,
    },
    Chunked(Chunked),
    UntilClose,
}

impl State {
    /// With so many bytes left of a body.
    fn length(left: u64) -> State {
        if left == 0 {
            State::Start
        } else {
            State::Length(left)
        }
    }

    /// With so many bytes left of a chunk.
    fn chunk(left: u64) -> State {
        State::Chunked(Chunked::data(left))
    }
}

const UNANSWERED: Fault = Fault {
    kind: FaultKind::PairNotFound,
    msg: "request without response",
};
const UNASKED: Fault = Fault {
    kind: FaultKind::PairNotFound,
    msg: "response without request",
};
const LATE: Fault = Fault {
    kind: FaultKind::Timeout,
    msg: "no response in time",
};

impl Dissector for Http1 {
    fn feed(&mut self, feed: &Feed<'_>, out: &mut dyn EntrySink) -> Step {
        match self.side(feed.dir).state {
            State::Start => self.head(feed, out),
            State::Length(left) => self.length(feed, 0, left, out),
            State::Chunked(state) => self.chunked(feed, state, out),
            State::UntilClose => {
                self.body(feed, 0, feed.data.len(), feed.data.len(), out);
                Step::Used(feed.data.len())
            }
            // what was asked to be passed over does not come here
            State::Skipping { .. } => Step::Lost(Why::Malformed),
        }
    }

    fn gap(&mut self, dir: Dir, missing: u64, out: &mut dyn EntrySink) -> AfterGap {
        let (lost, next) = match self.side(dir).state {
            State::Start => (0, None),
            State::Length(left) => (
                missing.min(left),
                left.checked_sub(missing).map(State::length),
            ),
            State::Chunked(Chunked::Data(left)) => (
                missing.min(left),
                left.checked_sub(missing).map(State::chunk),
            ),
            State::UntilClose => (missing, Some(State::UntilClose)),
            State::Chunked(_) | State::Skipping { .. } => (missing, None),
        };
        if lost > 0
            && let Some(message) = self.open(dir)
        {
            message.miss(lost);
        }
        let Some(next) = next else {
            self.start_anew(dir, out);
            return AfterGap::Resync;
        };
        self.side_mut(dir).state = next;
        if next == State::Start {
            self.complete(dir, out);
        }
        AfterGap::Continue
    }

    fn resync(&self, _: Dir, bytes: &[u8]) -> Start {
        find_start(bytes)
    }

    fn resumed(&mut self, dir: Dir, behind: i64, at_once: bool, out: &mut dyn EntrySink) {
        if self.requester == Some(dir) {
            return;
        }
        // requests sent before the packet behind the gap may have had their responses in it; where only one of them
        // waits and a response begins just behind it, that is its own
        let may_be_lost = |(since, request): &&(i64, Message)| request.complete && *since <= behind;
        let lost = self.requests.iter().take_while(may_be_lost).count();
        if at_once && lost == 1 {
            return;
        }
        for _ in 0..lost {
            if let Some((since, request)) = self.requests.drain() {
                self.emit(since, Http::request_alone(request), Some(UNANSWERED), out);
            }
        }
    }

    fn skipped(&mut self, dir: Dir, end: Skipped, out: &mut dyn EntrySink) {
        let State::Skipping { bytes, framed } = self.side(dir).state else {
            return;
        };
        if let Some(message) = self.open(dir) {
            message.came(bytes.saturating_sub(end.missing + end.left), 0, end.ts);
            message.miss(end.missing);
        }
        let next = if framed {
            State::chunk(end.left)
        } else {
            State::length(end.left)
        };
        self.side_mut(dir).state = next;
        if next == State::Start {
            self.complete(dir, out);
        }
    }

    fn half_close(&mut self, dir: Dir, _: i64, out: &mut dyn EntrySink) {
        if self.side(dir).state != State::Start {
            *self.side_mut(dir) = Side::default();
            self.complete(dir, out);
        }
    }

    fn tick(&mut self, now: i64, limits: &Limits, out: &mut dyn EntrySink) {
        // a response that has begun is not late, however long it lasts
        while self.responses.is_empty()
            && self
                .requests
                .oldest()
                .is_some_and(|(_, request)| request.complete)
            && let Some((since, request)) = self.requests.expire(now, limits.timeout)
        {
            self.emit(since, Http::request_alone(request), Some(LATE), out);
        }
        let wait = ANSWER_WAIT.min(limits.timeout);
        let waited = |(since, response): (i64, &Message)| {
            response.complete && now.saturating_sub(since) > wait
        };
        while self.responses.oldest().is_some_and(waited)
            && let Popped::Item(since, response) = self.responses.pop()
        {
            self.emit(since, Http::response_alone(response), Some(UNASKED), out);
        }
    }

    fn close(&mut self, _: Close, _: i64, out: &mut dyn EntrySink) {
        for dir in [Dir::Up, Dir::Down] {
            self.half_close(dir, 0, out);
        }
        self.flush(out);
    }

    fn held(&self) -> usize {
        let messages = self.requests.iter().chain(self.responses.iter());
        self.requests.held()
            + self.responses.held()
            + messages.map(|(_, m)| m.held()).sum::<usize>()
    }
}

impl Http1 {
    fn side(&self, dir: Dir) -> &Side {
        &self.sides[dir as usize]
    }

    fn side_mut(&mut self, dir: Dir) -> &mut Side {
        &mut self.sides[dir as usize]
    }

    /// A direction stands at the start of a message.
    fn head(&mut self, feed: &Feed<'_>, out: &mut dyn EntrySink) -> Step {
        let blank = blank(feed.data);
        let data = feed.data.get(blank..).unwrap_or_default();
        if data.is_empty() {
            return Step::Used(blank);
        }
        let scanned = self.side(feed.dir).scanned;
        if scanned > 0 && !feed.last && find_end(data, scanned.min(data.len())).is_none() {
            self.side_mut(feed.dir).scanned = data.len();
            return Step::Need(feed.data.len() + 1);
        }
        self.side_mut(feed.dir).scanned = 0;
        match parse(data, feed.last) {
            Parsed::Head(head) => self.message(feed, blank, &head, out),
            Parsed::More => {
                self.side_mut(feed.dir).scanned = data.len();
                Step::Need(feed.data.len() + 1)
            }
            Parsed::No => {
                self.start_anew(feed.dir, out);
                let line = memchr::memchr(b'\n', data).map_or(data.len(), |end| end + 1);
                Step::Resync(blank + line)
            }
        }
    }

    /// A head is there, `at` bytes into the feed.
    fn message(
        &mut self,
        feed: &Feed<'_>,
        at: usize,
        head: &Head,
        out: &mut dyn EntrySink,
    ) -> Step {
        let message = Message::new(head, feed, at);
        let response = message.is_response();
        self.turn(if response { feed.dir.flip() } else { feed.dir }, out);
        let body = at + head.len;
        if !response {
            let state = if feed.last {
                State::Start
            } else {
                request_body(head)
            };
            return self.go_on(feed, body, message, state, out);
        }
        let verb = match self.requests.front() {
            Some(request) if self.responses.is_empty() => request.verb,
            _ => Verb::Other,
        };
        match message.status_code() {
            101 => {
                let protocol = upgrade(feed.data.get(at..body).unwrap_or_default(), head.letters);
                self.go_on(feed, body, message, State::Start, out);
                Step::Handoff(body, protocol)
            }
            100..200 => Step::Used(body), // interim: the final one follows
            200..300 if verb == Verb::Connect => {
                self.go_on(feed, body, message, State::Start, out);
                Step::Handoff(body, None)
            }
            status => {
                let state = if feed.last {
                    State::Start
                } else {
                    response_body(head, status, verb)
                };
                self.go_on(feed, body, message, state, out)
            }
        }
    }

    /// Requests go this way. Where they went the other way until now, the pairing starts anew.
    #[inline]
    fn turn(&mut self, requester: Dir, out: &mut dyn EntrySink) {
        if self.requester != Some(requester) {
            self.flush(out);
            self.requester = Some(requester);
        }
    }

    /// Takes a message whose body, which starts `at` bytes into the feed, is to be read as `state` says; and of the
    /// body what is there.
    fn go_on(
        &mut self,
        feed: &Feed<'_>,
        at: usize,
        mut message: Message,
        state: State,
        out: &mut dyn EntrySink,
    ) -> Step {
        let (mut used, mut state) = (at, state);
        if let State::Length(len) = state
            && let Ok(len) = usize::try_from(len)
            && len <= feed.data.len() - at
        {
            message.keep_body(feed, at, len, out);
            message.came(len as u64, 0, feed.ts);
            (used, state) = (at + len, State::Start);
        }
        message.complete = state == State::Start;
        if message.is_response() {
            self.push_response(feed.first_ts, message, feed.limits, out);
        } else {
            self.push_request(feed.first_ts, message, feed.limits, out);
        }
        self.side_mut(feed.dir).state = state;
        match state {
            State::Length(left) if used < feed.data.len() => self.length(feed, used, left, out),
            _ => Step::Used(used),
        }
    }

    fn push_request(
        &mut self,
        ts: i64,
        message: Message,
        limits: &Limits,
        out: &mut dyn EntrySink,
    ) {
        if let Some((since, old)) = self.requests.push(ts, message, limits, out) {
            self.emit(since, Http::request_alone(old), Some(UNANSWERED), out);
        }
        if !self.responses.is_empty() {
            self.settle(out);
        }
    }

    fn push_response(
        &mut self,
        ts: i64,
        mut message: Message,
        limits: &Limits,
        out: &mut dyn EntrySink,
    ) {
        message.early = self.responses.len() >= self.requests.due();
        let asked = self.requests.front().is_none_or(|request| request.complete);
        if message.complete && !message.early && asked && self.responses.is_empty() {
            return self.answer(ts, message, out);
        }
        if let Some((since, old)) = self.responses.push(ts, message, limits, out) {
            self.responses.pop(); // no request is kept for the one that was put out
            self.emit(since, Http::response_alone(old), Some(UNASKED), out);
        }
    }

    /// Takes bytes of a body of known length from `at` on.
    fn length(&mut self, feed: &Feed<'_>, at: usize, left: u64, out: &mut dyn EntrySink) -> Step {
        let there = feed.data.len() - at;
        let take = usize::try_from(left).map_or(there, |left| left.min(there));
        let rest = left - take as u64;
        self.body(feed, at, take, take, out);
        if rest > 0 && !feed.bodies {
            return self.skip(feed, at + take, rest, false);
        }
        self.side_mut(feed.dir).state = State::length(rest);
        if rest == 0 {
            self.complete(feed.dir, out);
        }
        Step::Used(at + take)
    }

    /// Takes bytes of a chunked body.
    fn chunked(&mut self, feed: &Feed<'_>, state: Chunked, out: &mut dyn EntrySink) -> Step {
        let walk = state.walk(feed.data);
        self.body(feed, 0, walk.used, walk.payload, out);
        match walk.next {
            Next::End => {
                self.side_mut(feed.dir).state = State::Start;
                self.complete(feed.dir, out);
                Step::Used(walk.used)
            }
            Next::Broken => {
                self.start_anew(feed.dir, out);
                let rest = feed.data.get(walk.used..).unwrap_or_default();
                let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                Step::Resync(walk.used + line)
            }
            Next::More(Chunked::Data(left)) if !feed.bodies => {
                self.skip(feed, walk.used, left, true)
            }
            Next::More(next) => {
                self.side_mut(feed.dir).state = State::Chunked(next);
                if walk.used > 0 {
                    Step::Used(walk.used)
                } else {
                    Step::Need(feed.data.len() + 1)
                }
            }
        }
    }

    /// Passes over bytes of a body that follow the `used` ones.
    fn skip(&mut self, feed: &Feed<'_>, used: usize, bytes: u64, framed: bool) -> Step {
        self.side_mut(feed.dir).state = State::Skipping { bytes, framed };
        Step::Skip(used as u64 + bytes)
    }

    /// Adds bytes of a feed to the open message's body, so many of them payload.
    fn body(
        &mut self,
        feed: &Feed<'_>,
        at: usize,
        len: usize,
        payload: usize,
        out: &mut dyn EntrySink,
    ) {
        if let Some(message) = self.open(feed.dir) {
            message.keep_body(feed, at, len, out);
            message.came(payload as u64, (len - payload) as u64, feed.ts);
        }
    }

    /// The message whose body a direction is in.
    #[inline]
    fn open(&mut self, dir: Dir) -> Option<&mut Message> {
        if self.requester == Some(dir) {
            self.requests.back()
        } else {
            self.responses.back()
        }
    }

    /// The message that a direction was in has ended.
    fn complete(&mut self, dir: Dir, out: &mut dyn EntrySink) {
        if let Some(message) = self.open(dir) {
            message.complete = true;
        }
        if !self.responses.is_empty() {
            self.settle(out);
        }
    }

    /// Emits what is complete on both sides.
    fn settle(&mut self, out: &mut dyn EntrySink) {
        while let Some((since, response)) = self.responses.oldest()
            && response.complete
        {
            let ready = match self.requests.oldest() {
                _ if self.requests.due() > self.requests.len() => true, // the one it answers is gone
                Some((asked, request)) => request.complete || came_before(since, response, asked),
                None => false,
            };
            if !ready {
                return;
            }
            match self.responses.pop() {
                Popped::Item(since, response) => self.answer(since, response, out),
                Popped::Gone | Popped::Empty => return,
            }
        }
    }

    /// A complete response takes its request. It may answer one that was never seen, or one whose wait is over: it
    /// takes none that was sent behind it.
    fn answer(&mut self, since: i64, mut response: Message, out: &mut dyn EntrySink) {
        if self
            .requests
            .oldest()
            .is_some_and(|(asked, _)| came_before(since, &response, asked))
        {
            return self.emit(since, Http::response_alone(response), Some(UNASKED), out);
        }
        match self.requests.pop() {
            Popped::Item(asked, request) => {
                response.answers(request.verb);
                let pair = Http::new(Some(request), Some(response));
                self.emit(asked, pair, None, out);
            }
            Popped::Gone | Popped::Empty => {
                self.emit(since, Http::response_alone(response), Some(UNASKED), out)
            }
        }
    }

    /// A direction lost the thread. What is known of its message is emitted with what it lacks. Behind lost requests,
    /// where several may wait, nobody knows any more what answers what; see [`Http1::resumed`] for lost responses.
    fn start_anew(&mut self, dir: Dir, out: &mut dyn EntrySink) {
        self.half_close(dir, 0, out);
        *self.side_mut(dir) = Side::default();
        if self.requester == Some(dir) && self.requests.len() > 1 {
            self.flush(out);
        }
    }

    /// Emits all that waits. What still comes of an unfinished one belongs to no message then.
    fn flush(&mut self, out: &mut dyn EntrySink) {
        while let Some((since, request)) = self.requests.drain() {
            self.emit(since, Http::request_alone(request), Some(UNANSWERED), out);
        }
        while let Some((since, response)) = self.responses.drain() {
            self.emit(since, Http::response_alone(response), Some(UNASKED), out);
        }
    }

    fn emit(&self, ts: i64, record: Http, fault: Option<Fault>, out: &mut dyn EntrySink) {
        let (request, response) = (record.request.as_ref(), record.response.as_ref());
        let missing = request.map_or(0, Message::missing) + response.map_or(0, Message::missing);
        let flaw = || {
            request
                .and_then(Message::fault)
                .or_else(|| response.and_then(Message::fault))
        };
        out.entry(&Emit {
            record: &record,
            requester: self.requester.unwrap_or(Dir::Up),
            ts,
            end_ts: response
                .filter(|_| request.is_some())
                .map(|m| m.last_ts.max(ts)),
            request_size: request.map_or(0, Message::wire),
            response_size: response.map_or(0, Message::wire),
            fault: fault.or_else(flaw),
            missing,
        });
    }
}

/// Whether a response that began at `since` was there before a request that began at `asked`. Where the request came
/// first, times far apart tell nothing: the clock was set in between.
fn came_before(since: i64, response: &Message, asked: i64) -> bool {
    let before = asked.saturating_sub(since);
    before > 0 && (response.early || before <= ANSWER_WAIT)
}

/// What follows the head of a request (RFC 9112 §6.3).
fn request_body(head: &Head) -> State {
    match (head.coding, head.length) {
        (Coding::Chunked, _) => State::Chunked(Chunked::Size),
        (_, Length::Is(n) | Length::Conflict(Some(n))) if n > 0 => State::Length(n),
        _ => State::Start,
    }
}

/// What follows the head of a final response.
fn response_body(head: &Head, status: u16, verb: Verb) -> State {
    match (head.coding, head.length) {
        _ if verb == Verb::Head || matches!(status, 204 | 304) => State::Start,
        (Coding::Chunked, _) => State::Chunked(Chunked::Size),
        (Coding::None, Length::Is(0)) => State::Start,
        (Coding::None, Length::Is(n) | Length::Conflict(Some(n))) => State::Length(n),
        _ => State::UntilClose,
    }
}

/// The protocol that a 101 response names, as the registry calls it; `None` where the first bytes must tell.
fn upgrade(head: &[u8], letters: u32) -> Option<&'static str> {
    let name = Headers::new(head).find(letters, b"upgrade")?;
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match () {
        () if is(b"websocket") => Some("ws"),
        () if is(b"h2c") => Some("http2"),
        () => None,
    }
}
