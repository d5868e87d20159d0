//! What a small HTTP message costs from its bytes to its entry's status: ns a message, least of some runs.
//!
//! `cargo run --release --example http1_cost -p gillnet-protocols [ROUNDS]`: for connections of 1000 exchanges and of one,
//! with bodies wanted and not.

use gillnet_entry::drops::Reason;
use gillnet_entry::{Bump, Bytes, Ctx, Span, Transport, Value};
use gillnet_protocols::{Config, Emit, EntrySink, Stream};
use gillnet_streams::{Chunk, Close, Dir};
use std::time::Instant;

/// Exchanges a run.
const EXCHANGES: usize = 50_000;

struct Store(Vec<u8>);

impl Bytes for Store {
    fn bytes(&self, span: Span) -> Option<&[u8]> {
        let from = usize::try_from(span.pos).ok()?;
        self.0.get(from..from + span.len as usize)
    }
}

/// Reads each entry's status, as a filter on it does.
struct Sum<'a> {
    store: &'a Store,
    arena: Bump,
    field: u16,
    entries: u64,
    statuses: i64,
}

impl EntrySink for Sum<'_> {
    fn entry(&mut self, emit: &Emit<'_>) {
        let ctx = Ctx {
            store: self.store,
            arena: &self.arena,
        };
        self.entries += 1;
        if let Value::Int(status) = emit.record.get(self.field, &ctx) {
            self.statuses += status;
        }
    }

    fn count(&mut self, _: Reason, _: u64) {}
}

/// Packets as a bench of small keep-alive requests has them: their direction and place.
fn packets(store: &mut Store) -> Vec<(Dir, usize, usize)> {
    let mut packets = Vec::new();
    for i in 0..EXCHANGES {
        let request = format!(
            "GET /api/v1/items/{}.json?page={i} HTTP/1.1\r\nHost: 10.99.0.1:8080\r\nX-Request-Id: 0123456789abcdef0123456789abcdef\r\n\
            User-Agent: Mozilla/5.0 (X11; Linux x86_64) bench/1.0\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n\
            Cookie: session=5f2b8c9a7d6e4f3a2b1c0d9e8f7a6b5c; theme=dark\r\n\
            Authorization: Bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
            i % 200
        );
        let body = "x".repeat(300);
        let response = format!(
            "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 18 Nov 2023 10:00:00 GMT\r\nContent-Type: application/json\r\n\
            Content-Length: {}\r\nLast-Modified: Sat, 18 Nov 2023 09:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"6558a1b0-12c\"\r\n\
            Accept-Ranges: bytes\r\n\r\n{body}",
            body.len()
        );
        for (dir, text) in [(Dir::Up, request), (Dir::Down, response)] {
            store.0.extend_from_slice(&[0; 66]); // the frame's headers
            packets.push((dir, store.0.len(), text.len()));
            store.0.extend_from_slice(text.as_bytes());
        }
    }
    packets
}

fn run(
    store: &Store,
    packets: &[(Dir, usize, usize)],
    keep_alive: usize,
    config: &Config,
) -> (u64, i64) {
    let field = gillnet_protocols::REGISTRY[0]
        .schema
        .json("response.status")
        .unwrap_or_default();
    let mut sum = Sum {
        store,
        arena: Bump::new(),
        field,
        entries: 0,
        statuses: 0,
    };
    for connection in packets.chunks(2 * keep_alive) {
        let mut stream = Stream::new(Transport::Tcp, (40000, 8080));
        for (i, (dir, at, len)) in (0..).zip(connection) {
            let data = store.0.get(*at..at + len).unwrap_or_default();
            let chunk = Chunk {
                dir: *dir,
                data,
                pos: *at as u64,
                ts: i * 1000,
                offset: 0,
            };
            stream.chunk(&chunk, store, config, &mut sum);
        }
        stream.close(Close::Fin, 0, config, &mut sum);
    }
    (sum.entries, sum.statuses)
}

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(20);
    let mut store = Store(Vec::new());
    let packets = packets(&mut store);
    for (keep_alive, bodies) in [(1000, false), (1000, true), (1, false)] {
        let config = Config {
            bodies,
            ..Config::default()
        };
        let mut least = f64::MAX;
        for _ in 0..rounds {
            let start = Instant::now();
            let sums = run(&store, &packets, keep_alive, &config);
            let ns = start.elapsed().as_secs_f64() * 1e9;
            assert_eq!(sums, (EXCHANGES as u64, 200 * EXCHANGES as i64));
            least = least.min(ns / packets.len() as f64);
        }
        println!("{keep_alive} exchanges a connection, bodies {bodies}: {least:.1} ns a message");
    }
}
