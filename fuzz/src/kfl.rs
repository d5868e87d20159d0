//! Filters in both spellings, and what they say of entries.

use gillnet_entry::drops::Reason;
use gillnet_entry::{Bump, Common, Ctx, End, Entry, Name, Nothing, Origin, OwnedEntry, Transport};
use gillnet_kfl::{
    Env, Filter, FlowEnd, FlowView, Lang, Options, Outcome, compile, complete, validate,
};
use gillnet_protocols::{Config, Emit, EntrySink, Stream};
use gillnet_streams::{Chunk, Close, Dir};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

/// An exchange of HTTP and one of DNS: ports, and the bytes of both ways.
const TALKS: [(Transport, u16, [&[u8]; 2]); 2] = [
    (
        Transport::Tcp,
        8080,
        [
            b"POST /api/v1/users?id=123&a=b HTTP/1.1\r\nHost: shop\r\nCookie: s=1; t=2\r\nContent-Length: 22\r\n\r\n{\"a\":{\"b\":[1,\"x\",{}]}}",
            b"HTTP/1.1 503 Service Unavailable\r\nServer: nginx\r\nContent-Length: 29\r\n\r\n<a><b>x</b><b c=\"1\">y</b></a>",
        ],
    ),
    (
        Transport::Udp,
        53,
        [
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01",
            b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01",
        ],
    ),
];

const ENDS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)),
];

/// The entries of [`TALKS`], as their dissectors make them.
static ENTRIES: LazyLock<Vec<OwnedEntry>> = LazyLock::new(|| {
    let mut found = Vec::new();
    for (transport, port, ways) in TALKS {
        let mut stream = Stream::new(transport, (40000, port));
        let config = Config::default();
        let mut keep = Keep(transport, port, &mut found);
        for (dir, data) in [Dir::Up, Dir::Down].into_iter().zip(ways) {
            let chunk = Chunk {
                dir,
                data,
                pos: u64::MAX,
                ts: 1_700_000_000_000_000_000,
                offset: 0,
            };
            stream.chunk(&chunk, &Nothing, &config, &mut keep);
        }
        stream.close(Close::End, 1_700_000_000_000_000_000, &config, &mut keep);
    }
    assert_eq!(found.len(), TALKS.len());
    found
});

/// Keeps what a dissector emits.
struct Keep<'k>(Transport, u16, &'k mut Vec<OwnedEntry>);

impl EntrySink for Keep<'_> {
    fn entry(&mut self, emit: &Emit<'_>) {
        let (arena, origin, name) = (Bump::new(), Origin::default(), Arc::<Name>::default());
        let end = |ip, port| End {
            ip,
            port,
            name: &name,
        };
        let common = Common {
            origin: &origin,
            stream: 7,
            transport: self.0,
            index: 0,
            info: emit.record.info(),
            tls: false,
            src: end(ENDS[0], 40000),
            dst: end(ENDS[1], self.1),
            ts: emit.ts,
            end_ts: emit.end_ts,
            request_size: emit.request_size,
            response_size: emit.response_size,
            fault: emit.fault,
            missing: emit.missing,
            truncated_before: None,
            passed: false,
            failed: false,
            record: "",
        };
        let protocol = gillnet_protocols::index_of(emit.record.schema());
        let entry = Entry {
            common: &common,
            protocol: protocol.expect("a protocol of the registry"),
            record: emit.record,
            ctx: Ctx {
                store: &Nothing,
                arena: &arena,
            },
        };
        self.2.push(entry.detach(1 << 16));
    }

    fn count(&mut self, _: Reason, _: u64) {}
}

/// Asks a filter of entries and their flows: its answers agree with each other.
fn ask(filter: &Filter) {
    let ends = ENDS.map(|ip| FlowEnd {
        ip,
        port: 80,
        name: None,
    });
    let _ = filter.flow(&FlowView::new(ends[0], ends[1]));
    let _ = filter.packets().to_string();
    for owned in ENTRIES.iter() {
        let arena = Bump::new();
        owned.with(&arena, |entry| {
            let matches = filter.eval(entry) == Outcome::True;
            assert_eq!(filter.matches(entry), matches);
            assert_eq!(filter.narrowed(entry.protocol).matches(entry), matches);
            assert!(!matches || filter.protocols().contains(entry.protocol));
            let mut out = Vec::new();
            filter.write_json(entry, &mut out);
        });
    }
}

static ENV: LazyLock<Env> = LazyLock::new(|| {
    Env::new(&gillnet_protocols::env()).with_macro("shop", "dst.namespace == \"shop\"")
});

/// Compiles, checks and evaluates a text, whose first byte says how, and completes it in half of the cases, as that takes
/// as long as all else. What compiles validates, and places lie inside the text.
pub fn run(data: &[u8]) {
    let Some((how, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let lang = [Lang::Kfl1, Lang::Kfl2][usize::from(how & 1)];
    let options = Options {
        lang,
        lenient: how & 2 != 0,
        ..Options::default()
    };
    let compiled = compile(&ENV, text, &options);
    let validation = validate(&ENV, text, &options);
    assert_eq!(compiled.is_ok(), validation.errors.is_empty());
    if let Ok(filter) = &compiled {
        ask(filter);
    }
    if let Err(errors) = compiled {
        for error in &errors.errors {
            let (from, to) = (error.span.start as usize, error.span.end as usize);
            assert!(
                text.get(from..to).is_some(),
                "outside the text: {from}..{to}"
            );
        }
        assert!(!errors.render(text).is_empty());
    }
    if how & 4 != 0 {
        let cursor = usize::from(how >> 3) * text.len() / 31;
        let _ = complete(&ENV, text, cursor, lang);
    }
}
