//! The template is tested as any protocol should be: whole, byte by byte, with holes, with the limits reached.

use super::{DISSECTION, PROTOCOL};
use crate::{AfterGap, Dissector, Emit, EntrySink, Feed, Limits, Start, Step, Verdict, Why};
use gillnet_entry::drops::Reason;
use gillnet_entry::{Bump, Ctx, Nothing, Transport};
use gillnet_streams::{Close, Dir};

/// Each entry as a line.
#[derive(Default)]
struct Lines(Vec<String>);

impl EntrySink for Lines {
    fn entry(&mut self, emit: &Emit<'_>) {
        let arena = Bump::new();
        let ctx = Ctx {
            store: &Nothing,
            arena: &arena,
        };
        let record = emit.record.detach(&Nothing, 100);
        let fault = emit.fault.map_or("", |fault| fault.kind.name());
        let (method, key, status) = (
            record.method(&ctx),
            record.summary(&ctx),
            record.status(&ctx).0,
        );
        self.0.push(format!(
            "{method} {key} {status} {fault} {}+{}",
            emit.request_size, emit.response_size
        ));
    }

    fn count(&mut self, reason: Reason, n: u64) {
        self.0.push(format!("{} {n}", reason.name()));
    }
}

/// Feeds pieces as the stream does: what is not used stays in front of what follows.
struct Driver {
    dissector: Box<dyn Dissector>,
    held: [Vec<u8>; 2],
    limits: Limits,
    now: i64,
    out: Lines,
}

impl Driver {
    fn new(limits: Limits) -> Driver {
        Driver {
            dissector: (DISSECTION.open)(Transport::Tcp),
            held: Default::default(),
            limits,
            now: 0,
            out: Lines::default(),
        }
    }

    fn feed(&mut self, dir: Dir, bytes: &[u8]) -> Step {
        self.now += 1;
        let held = &mut self.held[dir as usize];
        held.extend_from_slice(bytes);
        loop {
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
                last: false,
            };
            match self.dissector.feed(&feed, &mut self.out) {
                Step::Used(n) => drop(held.drain(..n)),
                other => return other,
            }
            if held.is_empty() {
                return Step::Used(0);
            }
        }
    }

    fn close(mut self) -> Vec<String> {
        self.dissector.close(Close::Fin, self.now, &mut self.out);
        self.out.0
    }
}

const TALK: [(Dir, &[u8]); 3] = [
    (Dir::Up, b"SET colour green\r\nGET colour\r\nGET size\r\n"),
    (Dir::Down, b"+OK\r\n+green\r\n"),
    (Dir::Down, b"-no such name\r\n"),
];

#[test]
fn whole_and_byte_by_byte() {
    for piece in [1, 7, 100] {
        let mut driver = Driver::new(Limits::default());
        for (dir, bytes) in TALK {
            for bytes in bytes.chunks(piece) {
                driver.feed(dir, bytes);
            }
        }
        assert_eq!(
            driver.close(),
            [
                "SET colour OK  18+5",
                "GET colour OK  12+8",
                "GET size no such name  10+15"
            ]
        );
    }
}

#[test]
fn what_has_no_counterpart_says_so() {
    let mut driver = Driver::new(Limits {
        timeout: 100,
        pending: 2,
        ..Limits::default()
    });
    driver.feed(Dir::Down, b"+early\r\n");
    driver.feed(Dir::Up, b"GET a\r\nGET b\r\nGET c\r\n");
    let (now, limits) = (driver.now + 101, driver.limits.clone());
    driver.dissector.tick(now, &limits, &mut driver.out);
    driver.feed(Dir::Up, b"GET d\r\n");
    assert_eq!(
        driver.close(),
        [
            "  OK pair-not-found 0+8",
            "pending-limit 1",
            "GET a  pair-not-found 7+0",
            "GET b  timeout 7+0",
            "GET c  timeout 7+0",
            "GET d  pair-not-found 7+0"
        ]
    );
}

#[test]
fn behind_a_gap_the_next_line_counts() {
    let mut driver = Driver::new(Limits::default());
    driver.feed(Dir::Up, b"GET a\r\n");
    assert_eq!(
        driver.dissector.gap(Dir::Up, 10, &mut driver.out),
        AfterGap::Resync
    );
    assert_eq!(driver.dissector.resync(Dir::Up, b"half"), Start::Maybe(0));
    assert_eq!(
        driver.dissector.resync(Dir::Up, b"half\r\nGET b\r\n"),
        Start::At(6)
    );
    assert_eq!(driver.close(), ["GET a  pair-not-found 7+0"]);
}

#[test]
fn an_endless_line_is_given_up() {
    let mut driver = Driver::new(Limits {
        head: 10,
        ..Limits::default()
    });
    assert_eq!(driver.feed(Dir::Up, b"GET a"), Step::Need(6));
    assert_eq!(
        driver.feed(Dir::Up, b" very long"),
        Step::Lost(Why::HeadLimit)
    );
    assert_eq!(
        Driver::new(Limits::default()).feed(Dir::Up, b"\x00\r\n"),
        Step::Resync(3)
    );
}

#[test]
fn it_is_told_from_others() {
    let verdict = |first: &[u8], hint| (DISSECTION.identify)(first, Transport::Tcp, hint);
    for (first, hint, expected) in [
        (&b"GET colour\r\n"[..], false, Verdict::Yes),
        (b"GET / HTTP/1.1\r\n", false, Verdict::No),
        (b"GE", false, Verdict::More),
        (b"GET colour", false, Verdict::More),
        (b"+red\r\n", false, Verdict::No),
        (b"+red\r\n", true, Verdict::Yes),
    ] {
        assert_eq!(verdict(first, hint), expected, "{}", first.escape_ascii());
    }
}

#[test]
fn each_field_has_a_value() {
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let part = |text: &str| Some(gillnet_entry::Part::Own(text.as_bytes().into()));
    let record = super::record::Exchange {
        request: part("GET colour"),
        response: part("-gone"),
    };
    let mut json = Vec::new();
    for (i, field) in (0u16..).zip(PROTOCOL.schema.fields) {
        json.extend_from_slice(field.json.as_bytes());
        json.push(b'=');
        gillnet_entry::json::write_value(&gillnet_entry::Record::get(&record, i, &ctx), &mut json);
        json.push(b' ');
    }
    assert_eq!(
        String::from_utf8(json).unwrap(),
        "request=null request.verb=\"GET\" request.key=\"colour\" response=null response.success=false response.text=\"gone\" "
    );
}
