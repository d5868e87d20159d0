//! Feeds a dissector as a stream does, and writes each entry as a line.

use super::super::DISSECTION;
use crate::{AfterGap, Dissector, Emit, EntrySink, Feed, Limits, Step};
use gillnet_entry::drops::Reason;
use gillnet_entry::{Bump, Ctx, Nothing, Transport};
use gillnet_streams::{Close, Dir};

/// `type name code fault sizes`.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    /// Whether sizes, directions and times are told too.
    wide: bool,
}

impl EntrySink for Lines {
    fn entry(&mut self, emit: &Emit<'_>) {
        let arena = Bump::new();
        let ctx = Ctx {
            store: &Nothing,
            arena: &arena,
        };
        let record = emit.record;
        let rcode = record
            .status(&ctx)
            .1
            .map_or("-".to_owned(), |rcode| rcode.to_string());
        let fault = emit.fault.map_or("", |fault| fault.kind.name());
        let mut line = format!(
            "{} {} {rcode} {fault}",
            record.method(&ctx),
            record.summary(&ctx)
        );
        if self.wide {
            let (dir, ts, end) = (emit.requester, emit.ts, emit.end_ts);
            line += &format!(
                " {dir:?} {ts}..{end:?} {}+{}",
                emit.request_size, emit.response_size
            );
        }
        self.lines.push(line.trim_end().to_owned());
    }

    fn count(&mut self, reason: Reason, n: u64) {
        self.lines.push(format!("{} {n}", reason.name()));
    }
}

/// One stream and its dissector.
pub(super) struct Driver {
    pub(super) dissector: Box<dyn Dissector>,
    transport: Transport,
    held: [Vec<u8>; 2],
    out: Lines,
    pub(super) now: i64,
    pub(super) limits: Limits,
}

impl Driver {
    pub(super) fn new(transport: Transport) -> Driver {
        Driver {
            dissector: (DISSECTION.open)(transport),
            transport,
            held: Default::default(),
            out: Lines::default(),
            now: 0,
            limits: Limits::default(),
        }
    }

    pub(super) fn wide(mut self) -> Driver {
        self.out.wide = true;
        self
    }

    /// A datagram or a segment.
    pub(super) fn feed(&mut self, dir: Dir, bytes: &[u8]) -> Step {
        self.now += 1;
        self.held[dir as usize].extend_from_slice(bytes);
        self.go_on(dir, false)
    }

    /// Bytes that never came.
    pub(super) fn gap(&mut self, dir: Dir, missing: u64) -> AfterGap {
        self.dissector.gap(dir, missing, &mut self.out)
    }

    /// Nothing follows in a direction.
    pub(super) fn last(&mut self, dir: Dir) {
        self.go_on(dir, true);
        self.dissector.half_close(dir, self.now, &mut self.out);
    }

    fn go_on(&mut self, dir: Dir, last: bool) -> Step {
        let held = &mut self.held[dir as usize];
        let mut step = Step::Used(0);
        while !held.is_empty() {
            let (ts, limits) = (self.now, &self.limits);
            let feed = Feed {
                dir,
                data: held,
                pos: None,
                ts,
                first_ts: ts,
                bodies: true,
                limits,
                store: &Nothing,
                last,
            };
            step = self.dissector.feed(&feed, &mut self.out);
            match step {
                Step::Used(n) | Step::Resync(n) => drop(held.drain(..n)),
                _ => break,
            }
            assert!(
                self.transport == Transport::Tcp || held.is_empty(),
                "a datagram is used whole"
            );
        }
        step
    }

    pub(super) fn tick(&mut self, now: i64) {
        self.dissector.tick(now, &self.limits, &mut self.out);
    }

    pub(super) fn lines(&self) -> &[String] {
        &self.out.lines
    }

    pub(super) fn close(mut self) -> Vec<String> {
        self.dissector.close(Close::End, self.now, &mut self.out);
        assert_eq!(self.dissector.held(), 0, "nothing is held when all is told");
        self.out.lines
    }
}
