//! What a stream does around its dissector.

use super::identify::MAX_TRIES;
use super::{Config, MAX_HANDOFFS, Stream};
use crate::testing::{Event, down, tell, up};
use crate::{Emit, EntrySink, REGISTRY};
use gillnet_entry::drops::{Drops, Reason};
use gillnet_entry::{Nothing, Transport};
use gillnet_streams::{Chunk, Dir};

/// Counts entries and drops.
#[derive(Default)]
struct Counts {
    entries: u64,
    drops: Drops,
}

impl EntrySink for Counts {
    fn entry(&mut self, _: &Emit<'_>) {
        self.entries += 1;
    }

    fn count(&mut self, reason: Reason, n: u64) {
        self.drops.add(reason, n);
    }
}

struct Told {
    stream: Stream,
    config: Config,
    out: Counts,
    now: i64,
}

impl Told {
    fn new(transport: Transport, port: u16) -> Told {
        let stream = Stream::new(transport, (40000, port));
        Told {
            stream,
            config: Config::default(),
            out: Counts::default(),
            now: 0,
        }
    }

    fn say(&mut self, dir: Dir, data: &[u8]) {
        self.now += 1;
        let chunk = Chunk {
            dir,
            data,
            pos: u64::MAX,
            ts: self.now,
            offset: 0,
        };
        self.stream
            .chunk(&chunk, &Nothing, &self.config, &mut self.out);
    }

    fn name(&self) -> &'static str {
        self.stream
            .protocol()
            .map_or("", |at| REGISTRY[usize::from(at)].name)
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn what_is_unknown_is_given_up_and_counted_once() {
    let mut told = Told::new(Transport::Tcp, 9999);
    for tries in 1..2 * MAX_TRIES {
        told.say(Dir::Up, b"\x01\x02nothing known");
        assert_eq!(told.stream.is_done(), tries >= MAX_TRIES);
    }
    assert_eq!(told.out.drops.get(Reason::Unidentified), 1);
    told.say(Dir::Up, GET);
    assert_eq!(
        (told.out.entries, told.name(), told.stream.held_bytes()),
        (0, "", 0)
    );
}

#[test]
fn a_port_lets_a_stream_be_looked_at_longer() {
    let mut told = Told::new(Transport::Tcp, 80);
    for _ in 0..2 * MAX_TRIES {
        told.say(Dir::Down, b"\x01\x02in the middle of a body");
    }
    told.say(Dir::Up, GET);
    told.say(Dir::Down, OK);
    assert_eq!((told.out.entries, told.name()), (1, "http"));
}

#[test]
fn bytes_that_leave_it_open_are_held_within_a_limit() {
    let mut told = Told::new(Transport::Tcp, 80);
    told.say(Dir::Up, b"GET /");
    for _ in 0..100 {
        told.say(Dir::Up, &[b'a'; 1000]);
        assert!(
            told.stream.held_bytes() < 40_000,
            "{}",
            told.stream.held_bytes()
        );
    }
    assert_eq!(told.name(), "");
}

#[test]
fn what_the_other_direction_held_comes_first() {
    for text in [&GET[..1], &GET[..2], &GET[..13]] {
        let mut told = Told::new(Transport::Tcp, 1);
        told.say(Dir::Up, text);
        assert_eq!(told.name(), "");
        told.say(Dir::Down, OK);
        assert_eq!(told.name(), "http");
        told.say(Dir::Up, &GET[text.len()..]);
        assert_eq!(told.out.entries, 1);
    }
}

#[test]
fn what_nobody_wants_waits_until_someone_does() {
    let mut told = Told::new(Transport::Tcp, 80);
    told.config.enabled = 0;
    told.say(Dir::Up, GET);
    told.say(Dir::Down, OK);
    assert_eq!(
        (told.out.entries, told.name(), told.stream.held_bytes()),
        (0, "http", 0)
    );
    told.config.enabled = 1;
    told.say(Dir::Down, b"rest of something\r\n");
    told.say(Dir::Up, GET);
    told.say(Dir::Down, OK);
    assert_eq!(
        (
            told.out.entries,
            told.out.drops.iter().filter(|(_, n)| *n > 0).count()
        ),
        (1, 0)
    );
    told.config.enabled = 2;
    told.say(Dir::Up, GET);
    assert_eq!((told.name(), told.stream.held_bytes()), ("http", 0));
}

#[test]
fn datagrams_are_not_joined() {
    let query =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01";
    let mut told = Told::new(Transport::Udp, 53);
    told.say(Dir::Up, query);
    assert_eq!(told.name(), "dns");
    told.say(Dir::Up, &query[..20]);
    assert!(!told.stream.is_done());
    // HTTP is not looked for in datagrams (SSDP is another protocol)
    let mut told = Told::new(Transport::Udp, 1900);
    told.say(
        Dir::Up,
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n",
    );
    assert_eq!(told.name(), "");
}

#[test]
fn handing_over_ends() {
    let mut told = Told::new(Transport::Tcp, 80);
    let switch = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n";
    told.say(Dir::Down, &switch.repeat(1000));
    assert!(told.stream.is_done());
    assert_eq!(told.out.entries, u64::from(MAX_HANDOFFS) + 1);
    assert_eq!(told.out.drops.get(Reason::Lost), 1);
}

#[test]
fn a_gap_before_it_is_known() {
    for junk in ["end of a head\r\n\r\n", "x", "\u{1}\u{2}"] {
        let out = tell(
            Transport::Tcp,
            &[
                up("GET /1 HT"),
                Event::Gap(Dir::Up, 50),
                up(junk),
                up("GET /2 HTTP/1.1\r\n\r\n"),
                down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ],
            &Config::default(),
            &["response.status"],
            true,
            |_| Vec::new(),
        );
        assert_eq!(out.lines.len(), 1, "{junk:?}: {:?}", out.lines);
        assert!(out.lines[0].ends_with(" 200"), "{junk:?}: {:?}", out.lines);
    }
}

#[test]
fn what_stays_unknown_is_counted_at_its_end() {
    for text in ["GE", "\x01", "GET /x HTTP/1."] {
        let out = tell(
            Transport::Tcp,
            &[up(text)],
            &Config::default(),
            &[],
            true,
            |_| Vec::new(),
        );
        assert_eq!(out.counts(), [("unidentified", 1)], "{text:?}");
    }
    let out = tell(
        Transport::Tcp,
        &[Event::End(Dir::Up)],
        &Config::default(),
        &[],
        true,
        |_| Vec::new(),
    );
    assert_eq!(out.counts(), []);
}

#[test]
fn a_stream_is_small() {
    assert!(size_of::<Stream>() <= 128, "{}", size_of::<Stream>());
    let mut told = Told::new(Transport::Tcp, 80);
    told.say(Dir::Up, GET);
    told.say(Dir::Down, OK);
    assert!(
        told.stream.held_bytes() <= 512,
        "{}",
        told.stream.held_bytes()
    );
}
