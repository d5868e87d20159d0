//! What is taken for DNS, and what is not.

use super::super::DISSECTION;
use super::build::{Build, QUERY, RESPONSE, hex, wire};
use crate::{Start, Verdict};
use gillnet_entry::Transport;

fn udp(bytes: &[u8], hint: bool) -> Verdict {
    (DISSECTION.identify)(bytes, Transport::Udp, hint)
}

fn tcp(bytes: &[u8], hint: bool) -> Verdict {
    (DISSECTION.identify)(bytes, Transport::Tcp, hint)
}

#[test]
fn queries_and_responses_are_known_on_any_port() {
    let soa = [
        wire("ns.example.org"),
        wire("admin.example.org"),
        vec![0; 20],
    ]
    .concat();
    for message in [
        Build::query(7, "example.org", 1),
        Build::query(7, ".", 2),
        Build::query(7, "example.org", 65).opt(0x8000, &[]),
        Build::new(7, QUERY | 0x30).question("version.bind", 16, 3),
        Build::response(7, "example.org", 1).answer(1, &[1, 2, 3, 4]),
        Build::new(7, RESPONSE | 3)
            .question("example.org", 1, 1)
            .record(2, &[0xc0, 12], 6, 1, 60, &soa)
            .opt(0, &[]),
    ] {
        assert_eq!(
            [udp(&message.bytes, false), udp(&message.bytes, true)],
            [Verdict::Yes; 2]
        );
        assert_eq!(
            [tcp(&message.framed(), false), tcp(&message.framed(), true)],
            [Verdict::Yes; 2]
        );
    }
}

#[test]
fn what_shares_the_format_is_told_apart() {
    let netbios = "EJFDEBFEEBFACACACACACACACACACAAA";
    for (what, message) in [
        (
            "mDNS query",
            Build::new(0, 0).question("_http._tcp.local", 12, 1),
        ),
        (
            "mDNS answer",
            Build::new(0, 0x8400).record(1, &wire("a.local"), 1, 0x8001, 120, &[10, 0, 0, 1]),
        ),
        (
            "LLMNR query",
            Build::new(0x823e, 0).question("printer", 28, 1),
        ),
        (
            "LLMNR answer",
            Build::new(0x823e, 0x8000)
                .question("printer", 1, 1)
                .answer(1, &[10, 0, 0, 1]),
        ),
        (
            "NetBIOS query",
            Build::new(0x8000, 0x0110).question(netbios, 0x20, 1),
        ),
        (
            "NetBIOS registration",
            Build::new(0x8000, 0x2910).question(netbios, 0x20, 1),
        ),
        ("unknown type", Build::query(7, "example.org", 12345)),
        (
            "unknown class",
            Build::new(7, QUERY).question("example.org", 1, 99),
        ),
        (
            "two questions",
            Build::query(7, "example.org", 1).question("example.net", 1, 1),
        ),
        (
            "query with an answer",
            Build::query(7, "example.org", 1).answer(1, &[1, 2, 3, 4]),
        ),
        (
            "query with a code",
            Build::new(7, QUERY | 3).question("example.org", 1, 1),
        ),
        (
            "reserved bit",
            Build::new(7, QUERY | 0x40).question("example.org", 1, 1),
        ),
    ] {
        assert_eq!(udp(&message.bytes, false), Verdict::No, "{what}");
        assert_eq!(tcp(&message.framed(), false), Verdict::No, "{what}");
    }
    let mut longer = Build::query(7, "example.org", 1);
    longer.bytes.push(0);
    assert_eq!(
        udp(&longer.bytes, false),
        Verdict::No,
        "bytes behind the message"
    );
    // SOME/IP service discovery, which others take for a response
    let some_ip = hex(
        "ffff8100000000300000000301010200c0000000000000100100001000eb00000100001e000000000000000c00090400c0a858490011c350",
    );
    assert_eq!(udp(&some_ip, false), Verdict::No);
}

#[test]
fn the_port_is_believed_where_there_is_doubt() {
    let cut = Build::response(7, "example.org", 1)
        .answer(1, &[1, 2, 3, 4])
        .bytes;
    for bytes in [
        Build::new(7, 0).question("example.org", 1, 1).bytes,
        Build::new(7, 0x2800).question("example.org", 6, 1).bytes,
        Build::new(7, 0x8001).bytes,
        cut[..cut.len() - 3].to_vec(),
    ] {
        assert_eq!(
            [udp(&bytes, true), udp(&bytes, false)],
            [Verdict::Yes, Verdict::No],
            "{bytes:?}"
        );
    }
    for bytes in [
        &b""[..],
        b"\x00\x07",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 40],
        &[0; 40],
    ] {
        assert_eq!(
            [udp(bytes, true), tcp(bytes, true)][0],
            Verdict::No,
            "{bytes:?}"
        );
    }
}

#[test]
fn on_tcp_the_verdict_comes_as_early_as_can_be() {
    let framed = Build::query(7, "example.org", 1).framed();
    for hint in [false, true] {
        for n in 0..framed.len() {
            assert_eq!(tcp(&framed[..n], hint), Verdict::More, "{n}");
        }
        assert_eq!(tcp(&framed, hint), Verdict::Yes);
    }
    for (bytes, when) in [
        (&b"GET / HTTP/1.1\r\n"[..], 2),          // longer than is waited for
        (b"\x00\x10\x00\x00\x01\x00", 2),         // shorter than any
        (b"\x01\x00\x12\x34\x79\x00\x00", 5),     // an operation that there is none
        (b"\x01\x00\x12\x34\x01\x00\x00\x02", 8), // two questions
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 2), // TLS
    ] {
        for n in 0..=bytes.len() {
            assert_eq!(
                tcp(&bytes[..n], false),
                if n < when { Verdict::More } else { Verdict::No },
                "{bytes:?} {n}"
            );
        }
    }
}

#[test]
fn behind_a_gap_only_a_sure_message_counts() {
    let dissector = (DISSECTION.open)(Transport::Tcp);
    let framed = Build::query(7, "example.org", 1).framed();
    let resync = |bytes: &[u8]| dissector.resync(gillnet_streams::Dir::Up, bytes);
    assert_eq!(resync(&framed), Start::At(0));
    assert_eq!(resync(&framed[..9]), Start::Maybe(0));
    // behind the rest of another, and where that other goes on
    for rest in 0..framed.len() {
        let bytes = [&framed[framed.len() - rest..], &framed].concat();
        assert_eq!(resync(&bytes), Start::At(rest));
        assert!(!matches!(
            resync(&framed[framed.len() - rest..]),
            Start::At(_)
        ));
    }
    assert_eq!(resync(&[0xff; 100]), Start::Maybe(99));
}
