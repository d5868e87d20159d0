//! The entries that filters are timed on: packets of exchanges as the tables of filters speak of them, with heads as
//! clients and servers send them, through the whole shard. The bytes are the ring's while they are read.

use gillnet_entry::{Entry, Origin};
use gillnet_names::{NamesConfig, StaticName};
use gillnet_pipeline::{Consumer, Matched};
use gillnet_streams::decode::TcpHeader;
use gillnet_testkit::{Packet, Packets};
use std::net::SocketAddr;

/// What is told of each entry: which it is, and it.
pub(crate) type See = Box<dyn FnMut(&'static str, &Entry<'_>) + Send>;

const CATALOGUE: [&str; 2] = [
    "GET /catalogue/3?a=42 HTTP/1.1\r\nHost: catalogue\r\nUser-Agent: kube-probe/1.27+\r\nAccept: */*\r\n\
     Authorization: Token abc\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 500 Internal\r\nServer: nginx/1.22.1\r\nDate: Mon, 13 Mar 2023 02:37:46 GMT\r\n\
     Content-Type: application/json\r\nContent-Length: 29\r\nConnection: close\r\n\r\n{\"name\":\"Holy\",\"price\":99.99}",
];

const USERS: &str = "GET /api/v1/users?id=123 HTTP/1.1\r\nHost: payment-service:8080\r\nUser-Agent: curl/8\r\n\
     Accept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n\
     Cookie: session=5f2b8c9a7d6e4f3a2b1c0d9e8f7a6b5c; theme=dark\r\nX-Request-Id: 8f14e45f-ceea-467f-a8a5-1c2d3e4f5a6b\r\n\
     X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
     Content-Type: application/json\r\nConnection: keep-alive\r\n\r\n";

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nServer: envoy\r\nDate: Sat, 14 Mar 2026 22:28:06 GMT\r\n\
     Content-Type: text/html; charset=utf-8\r\nContent-Length: 20000\r\nCache-Control: no-store\r\nX-Envoy-Upstream-Service-Time: 5998\r\n\
     Vary: Accept-Encoding\r\nConnection: keep-alive\r\n\r\n";

/// Questions for google.com and pool.minexmr.com; the answer is that there is no such domain.
const QUESTIONS: &[u8] =
    b"\x06google\x03com\x00\x00\x01\x00\x01\x04pool\x07minexmr\x03com\x00\x00\x01\x00\x01";

/// Shows each of the entries once.
pub(crate) fn show(see: See) {
    let catalogue = CATALOGUE.map(|text| text.as_bytes().to_vec());
    let mut unavailable = UNAVAILABLE.as_bytes().to_vec();
    unavailable.resize(unavailable.len() + 20_000, b' ');
    let mut packets = tcp(
        ["10.0.0.6:36848", "10.0.0.99:8086"],
        at("2023-03-13T02:37:46.172360504Z"),
        23_000_000,
        catalogue,
    );
    packets.extend(tcp(
        ["10.0.0.5:40000", "10.0.0.9:8080"],
        at("2026-03-14T22:28:00Z"),
        6_000_000_000,
        [USERS.as_bytes().to_vec(), unavailable],
    ));
    packets.extend(udp(
        ["10.0.0.5:40001", "8.8.8.8:53"],
        at("2026-03-14T22:28:10Z"),
        [dns([1, 0]), dns([0x81, 0x83])],
    ));
    let name = |address: &str, name: &str, namespace: &str, pod: &str| StaticName {
        address: address.into(),
        name: name.into(),
        namespace: namespace.into(),
        pod: pod.into(),
        service: name.into(),
        ..StaticName::default()
    };
    let names = NamesConfig {
        statics: vec![
            name("10.0.0.6", "front-end", "sock-shop", "front-end-abc"),
            name("10.0.0.99", "catalogue", "sock-shop", ""),
            name("10.0.0.5", "api-gateway", "production", "api-gateway-1"),
            name(
                "10.0.0.9",
                "payment-service",
                "payments",
                "payment-service-1",
            ),
            name("8.8.8.8", "dns.google", "", ""),
        ],
        ..NamesConfig::default()
    };
    let origin = Origin {
        worker: "10.9.0.1:30001".into(),
        node: "node-1".into(),
        node_ip: "10.9.0.1".into(),
        backend: "af_packet",
        ..Origin::default()
    };
    Packets(packets).taken_by(Shown { origin, see }, names);
}

/// A moment in ns since the epoch.
pub(crate) fn at(text: &str) -> i64 {
    let moment: jiff::Timestamp = text.parse().expect("a moment");
    i64::try_from(moment.as_nanosecond()).expect("within 64 bits")
}

struct Shown {
    origin: Origin,
    see: See,
}

impl Consumer for Shown {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let mut common = *entry.common;
        common.origin = &self.origin;
        let title = match (common.info.name, common.dst.port) {
            ("http", 8086) => "http",
            ("http", _) => "http, many headers",
            (name, _) => name,
        };
        let entry = Entry {
            common: &common,
            ..*entry
        };
        (self.see)(title, &entry);
        true
    }
}

/// A DNS message with these flags.
fn dns(flags: [u8; 2]) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, flags[0], flags[1], 0, 2, 0, 0, 0, 0, 0, 0];
    message.extend(QUESTIONS);
    message
}

fn ends(ends: [&str; 2]) -> [SocketAddr; 2] {
    ends.map(|end| end.parse().expect("an address"))
}

fn udp(between: [&str; 2], ts: i64, messages: [Vec<u8>; 2]) -> Vec<Packet> {
    let [client, server] = ends(between);
    let ways = [(client, server), (server, client)];
    let packet = |(((src, dst), payload), ts): (((SocketAddr, SocketAddr), Vec<u8>), i64)| Packet {
        ts,
        src,
        dst,
        tcp: None,
        wire: u32::try_from(payload.len()).expect("a message is short"),
        payload,
    };
    let sent = ways.into_iter().zip(messages).zip([ts, ts + 1_000_000]);
    sent.map(packet).collect()
}

/// A connection from its start to its end, on which a message goes each way, the second ending so many ns after the
/// first.
fn tcp(between: [&str; 2], ts: i64, elapsed: i64, messages: [Vec<u8>; 2]) -> Vec<Packet> {
    const SEGMENT: usize = 1448;
    let [client, server] = ends(between);
    let mut packets = Vec::new();
    let mut next = [1000u32, 2000];
    let mut send = |from: usize, flags: u8, ts: i64, payload: &[u8]| {
        let (src, dst) = [(client, server), (server, client)][from];
        let wire = u32::try_from(payload.len()).expect("a segment is short");
        packets.push(Packet {
            ts,
            src,
            dst,
            tcp: Some(TcpHeader {
                seq: next[from],
                ack: next[1 - from],
                flags,
                window: 512,
            }),
            payload: payload.to_vec(),
            wire,
        });
        let control = flags & (TcpHeader::SYN | TcpHeader::FIN) != 0;
        next[from] = next[from].wrapping_add(wire + u32::from(control));
    };
    send(0, TcpHeader::SYN, ts - 200_000, b"");
    send(1, TcpHeader::SYN | TcpHeader::ACK, ts - 100_000, b"");
    for (from, message) in messages.iter().enumerate() {
        let ts = if from == 0 { ts } else { ts + elapsed };
        for segment in message.chunks(SEGMENT) {
            send(from, TcpHeader::ACK, ts, segment);
        }
    }
    send(0, TcpHeader::FIN | TcpHeader::ACK, ts + elapsed, b"");
    send(1, TcpHeader::FIN | TcpHeader::ACK, ts + elapsed, b"");
    packets
}
