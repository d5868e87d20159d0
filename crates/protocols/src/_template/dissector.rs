//! One connection: lines, and which answer belongs to which request.

use super::record::{Exchange, line};
use crate::{
    AfterGap, Dissector, Emit, EntrySink, Feed, InOrder, Limits, Popped, Start, Step, Why,
};
use gillnet_entry::{Fault, FaultKind, Part, Span};
use gillnet_streams::{Close, Dir};

const NO_RESPONSE: Fault = Fault {
    kind: FaultKind::PairNotFound,
    msg: "no response to this request was seen",
};
const TIMEOUT: Fault = Fault {
    kind: FaultKind::Timeout,
    msg: "no response to this request came in time",
};
const NO_REQUEST: Fault = Fault {
    kind: FaultKind::PairNotFound,
    msg: "no request for this response was seen",
};

/// A message: where its line is, and when it came.
#[derive(Debug)]
struct Message {
    part: Part,
    dir: Dir,
    first_ts: i64,
    ts: i64,
    size: u64,
}

#[derive(Debug, Default)]
pub(super) struct Template {
    /// Requests that wait for their answers, which come in the same order.
    waiting: InOrder<Message>,
}

impl Dissector for Template {
    fn feed(&mut self, feed: &Feed<'_>, out: &mut dyn EntrySink) -> Step {
        let Some(text) = line(feed.data) else {
            // the limit of a head keeps what is held for an endless line within bounds
            return match feed.data.len() {
                held if held > feed.limits.head => Step::Lost(Why::HeadLimit),
                held => Step::Need(held + 1),
            };
        };
        let size = text.len() + 2;
        let part = match feed.pos {
            // references cost nothing; a text is far below 4 GiB
            Some(pos) => Part::At(Span {
                pos,
                len: u32::try_from(text.len()).unwrap_or(u32::MAX),
            }),
            None => Part::Own(text.into()),
        };
        let message = Message {
            part,
            dir: feed.dir,
            first_ts: feed.first_ts,
            ts: feed.ts,
            size: size as u64,
        };
        match text.first() {
            Some(b'+' | b'-') => self.response(message, out),
            Some(b'A'..=b'Z') => self.request(message, feed.limits, out),
            _ => return Step::Resync(feed.data.len()),
        }
        Step::Used(size)
    }

    fn gap(&mut self, _: Dir, _: u64, out: &mut dyn EntrySink) -> AfterGap {
        // it is not known how many messages were lost: those that wait can no longer be paired
        self.close_all(out);
        AfterGap::Resync
    }

    fn resync(&self, _: Dir, bytes: &[u8]) -> Start {
        match line(bytes) {
            // the end of a line is sure, what stands before it may be the half of one
            Some(text) => Start::At(text.len() + 2),
            None => Start::Maybe(0),
        }
    }

    fn half_close(&mut self, _: Dir, _: i64, _: &mut dyn EntrySink) {}

    fn tick(&mut self, now: i64, limits: &Limits, out: &mut dyn EntrySink) {
        while let Some((_, request)) = self.waiting.expire(now, limits.timeout) {
            emit(Some(request), None, Some(TIMEOUT), out);
        }
    }

    fn close(&mut self, _: Close, _: i64, out: &mut dyn EntrySink) {
        self.close_all(out);
    }

    fn held(&self) -> usize {
        self.waiting.held()
    }
}

impl Template {
    fn request(&mut self, message: Message, limits: &Limits, out: &mut dyn EntrySink) {
        if let Some((_, oldest)) = self.waiting.push(message.ts, message, limits, out) {
            emit(Some(oldest), None, Some(NO_RESPONSE), out);
        }
    }

    fn response(&mut self, message: Message, out: &mut dyn EntrySink) {
        match self.waiting.pop() {
            Popped::Item(_, request) => emit(Some(request), Some(message), None, out),
            // none was seen, or it has been told of already, as timed out or put out
            Popped::Gone | Popped::Empty => emit(None, Some(message), Some(NO_REQUEST), out),
        }
    }

    fn close_all(&mut self, out: &mut dyn EntrySink) {
        while let Some((_, request)) = self.waiting.drain() {
            emit(Some(request), None, Some(NO_RESPONSE), out);
        }
    }
}

fn emit(
    request: Option<Message>,
    response: Option<Message>,
    fault: Option<Fault>,
    out: &mut dyn EntrySink,
) {
    let (requester, ts) = match (&request, &response) {
        (Some(request), _) => (request.dir, request.first_ts),
        (None, Some(response)) => (response.dir.flip(), response.first_ts),
        (None, None) => return,
    };
    let end_ts = request
        .as_ref()
        .and(response.as_ref())
        .map(|response| response.ts.max(ts));
    let size = |message: &Option<Message>| message.as_ref().map_or(0, |message| message.size);
    let (request_size, response_size) = (size(&request), size(&response));
    let record = Exchange {
        request: request.map(|m| m.part),
        response: response.map(|m| m.part),
    };
    out.entry(&Emit {
        record: &record,
        requester,
        ts,
        end_ts,
        request_size,
        response_size,
        fault,
        missing: 0,
    });
}
