//! Decode on crafted frames.

use gillnet_capture::{Frame, LinkType, NO_POS, PacketDirection};
use gillnet_streams::decode::{DecodeLimits, Decoder, L4, Packet, Skip, TcpHeader};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::build::{Seg, ethernet, extension, ipv4, ipv4_with, ipv6, udp, vxlan};
use crate::rig::frame;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const A6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// A UDP packet in IPv4.
fn inner() -> Vec<u8> {
    ipv4(A, B, 17, &udp(1000, 2000, b"inner"))
}

fn inner6() -> Vec<u8> {
    ipv6(A6, B6, 17, &udp(1000, 2000, b"inner"))
}

/// A packet as a line, or why there is none.
fn line(result: &Result<Packet<'_>, Skip>) -> String {
    let p = match result {
        Ok(packet) => packet,
        Err(skip) => return format!("{skip:?}"),
    };
    let l4 = match p.l4 {
        L4::Tcp(TcpHeader {
            seq, ack, flags, ..
        }) => format!("tcp {seq} {ack} {flags}"),
        L4::Udp => "udp".to_owned(),
    };
    let cut = p.wire_payload as usize - p.payload.len();
    let text = String::from_utf8_lossy(p.payload);
    let ends = format!("{}:{} {}:{}", p.src, p.sport, p.dst, p.dport);
    format!(
        "{ends} {l4} {text} cut={cut} vlan={} tunnels={}",
        p.vlan, p.tunnels
    )
}

fn linked(link: LinkType, data: &[u8]) -> Frame<'_> {
    Frame {
        link,
        ..frame(0, data)
    }
}

#[track_caller]
fn check(link: LinkType, data: &[u8], expected: &str) {
    let mut decoder = Decoder::default();
    let frame = linked(link, data);
    let result = decoder.decode(&frame);
    assert_eq!(line(&result), expected);
    if let Ok(packet) = result {
        let off = packet.payload_off.unwrap() as usize;
        assert_eq!(&data[off..off + packet.payload.len()], packet.payload);
    }
}

const PLAIN: &str = "10.0.0.1:1000 10.0.0.2:2000 udp inner cut=0 vlan=0 tunnels=0";
const PLAIN6: &str = "2001:db8::1:1000 2001:db8::2:2000 udp inner cut=0 vlan=0 tunnels=0";
const TUNNEL: &str = "10.0.0.1:1000 10.0.0.2:2000 udp inner cut=0 vlan=0 tunnels=1";
const TUNNEL6: &str = "2001:db8::1:1000 2001:db8::2:2000 udp inner cut=0 vlan=0 tunnels=1";

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn link_types() {
    use LinkType::{Ethernet, Ipv4, Ipv6, LinuxSll, LinuxSll2, Loop, Null, Raw};
    let (v4, v6) = (inner(), inner6());
    check(Ethernet, &ethernet(0x0800, &v4), PLAIN);
    check(Ethernet, &ethernet(0x86dd, &v6), PLAIN6);
    for (link, v) in [(Raw, &v4), (Ipv4, &v4)] {
        check(link, v, PLAIN);
    }
    for (link, v) in [(Raw, &v6), (Ipv6, &v6)] {
        check(link, v, PLAIN6);
    }
    for family in [24u32, 28, 30, 10] {
        check(Null, &joined(&[&family.to_be_bytes(), &v6]), PLAIN6);
        check(Null, &joined(&[&family.to_le_bytes(), &v6]), PLAIN6);
        check(Loop, &joined(&[&family.to_be_bytes(), &v6]), PLAIN6);
    }
    check(Null, &joined(&[&2u32.to_le_bytes(), &v4]), PLAIN);
    check(Loop, &joined(&[&2u32.to_be_bytes(), &v4]), PLAIN);
    check(Null, &joined(&[&7u32.to_be_bytes(), &v4]), "NotIp");
    check(LinuxSll, &joined(&[&[0; 14], &[8, 0], &v4]), PLAIN);
    check(LinuxSll2, &joined(&[&[8, 0], &[0; 18], &v4]), PLAIN);
    check(LinkType::Other(105), &v4, "LinkType");
    check(Raw, &[], "NotIp");
    check(Ethernet, &[0; 13], "Malformed");
}

#[test]
fn between_link_and_ip() {
    let v4 = inner();
    let e = |kind: u16, head: &[u8]| ethernet(kind, &joined(&[head, &v4]));
    let check = |data: &[u8], expected: &str| check(LinkType::Ethernet, data, expected);
    let tagged = |n| PLAIN.replace("vlan=0", &format!("vlan={n}"));
    check(&e(0x8100, &[0x20, 7, 8, 0]), &tagged(7));
    check(&e(0x88a8, &[0, 9, 0x81, 0, 0, 7, 8, 0]), &tagged(9));
    check(&e(0x9100, &[1, 0, 0x81, 0, 0, 7, 8, 0]), &tagged(256));
    check(&e(0x8847, &[0, 1, 0, 64, 0, 1, 1, 64]), PLAIN);
    check(&ethernet(0x8847, &[0, 1, 0, 64]), "Malformed");
    check(
        &e(0x8864, &[0x11, 0, 0, 1, 0, v4.len() as u8 + 2, 0, 0x21]),
        PLAIN,
    );
    check(&e(0x8864, &[0x11, 0, 0, 1, 0, 9, 0xc0, 0x21]), "NotIp");
    // 802.3 with LLC and SNAP; with another LLC
    check(&e(60, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]), PLAIN);
    check(&e(60, &[0x42, 0x42, 3, 0, 0, 0, 8, 0]), "NotIp");
    check(&e(0x0806, &[]), "NotIp");
    check(&e(0x8100, &[0]), "NotIp");
}

#[test]
fn lengths() {
    use LinkType::{Ethernet, Raw};
    // padding behind the packet is no payload
    let mut padded = ethernet(0x0800, &inner());
    padded.extend([0xee; 13]);
    check(Ethernet, &padded, PLAIN);
    let mut padded = ethernet(0x86dd, &inner6());
    padded.extend([0xee; 13]);
    check(Ethernet, &padded, PLAIN6);
    // the UDP length may be less than the rest of IP
    let short = ipv4(A, B, 17, &joined(&[&udp(1000, 2000, b"inner"), b"junk"]));
    check(Raw, &short, PLAIN);
    let seg = Seg {
        sport: 1,
        dport: 2,
        seq: 7,
        ack: 9,
        flags: 24,
        data: b"segment".to_vec(),
    };
    let tcp = "10.0.0.1:1 10.0.0.2:2 tcp 7 9 24 segment cut=0 vlan=0 tunnels=0";
    check(Raw, &ipv4(A, B, 6, &seg.bytes()), tcp);
    // IP options, TCP options
    check(Raw, &ipv4_with(A, B, 6, 0, 0, &[1; 8], &seg.bytes()), tcp);
    let mut options = seg.bytes();
    options[12] = 7 << 4;
    options.splice(20..20, [1; 8]);
    check(Raw, &ipv4(A, B, 6, &options), tcp);
    // no length: the frame is to be cut up by the network card
    let mut whole = ipv4(A, B, 6, &seg.bytes());
    whole[2..4].fill(0);
    check(Raw, &whole, tcp);
    let mut whole = ipv6(A6, B6, 6, &seg.bytes());
    whole[4..6].fill(0);
    let tcp6 = tcp.replace("10.0.0.", "2001:db8::");
    check(Raw, &whole, &tcp6);
    // a jumbogram
    let jumbo = joined(&[&[6, 0, 0xc2, 4, 0, 0, 0, 0], &seg.bytes()]);
    let mut jumbo = ipv6(A6, B6, 0, &jumbo);
    jumbo[4..6].fill(0);
    check(Raw, &jumbo, &tcp6);
    // large frames
    let large = ipv4(
        A,
        B,
        6,
        &Seg {
            data: vec![b'x'; 65_000],
            ..seg.clone()
        }
        .bytes(),
    );
    let frame = linked(Raw, &large);
    let mut decoder = Decoder::default();
    assert_eq!(decoder.decode(&frame).unwrap().payload.len(), 65_000);
    // headers that contradict themselves
    let mut wrong = ipv4(A, B, 6, &seg.bytes());
    wrong[0] = 0x44;
    check(Raw, &wrong, "Malformed");
    let mut wrong = ipv4(A, B, 6, &seg.bytes());
    wrong[3] = 19;
    check(Raw, &wrong, "Malformed");
    let mut wrong = seg.bytes();
    wrong[12] = 4 << 4;
    check(Raw, &ipv4(A, B, 6, &wrong), "Malformed");
    let mut wrong = seg.bytes();
    wrong[12] = 15 << 4;
    check(Raw, &ipv4(A, B, 6, &wrong), "Malformed");
    let mut wrong = udp(1, 2, b"");
    wrong[5] = 7;
    check(Raw, &ipv4(A, B, 17, &wrong), "Malformed");
}

#[test]
fn what_the_snap_length_cut() {
    let seg = Seg {
        sport: 1,
        dport: 2,
        seq: 7,
        ack: 9,
        flags: 24,
        data: b"segment".to_vec(),
    };
    let whole = ethernet(0x0800, &ipv4(A, B, 6, &seg.bytes()));
    let mut decoder = Decoder::default();
    for keep in 54..=whole.len() {
        let mut frame = frame(0, &whole[..keep]);
        frame.wire_len = whole.len() as u32;
        let packet = decoder.decode(&frame).unwrap();
        assert_eq!(packet.payload, &b"segment"[..keep - 54]);
        assert_eq!(packet.wire_payload, 7);
    }
    assert_eq!(decoder.counters().cut, 7);
    for keep in 0..54 {
        let mut frame = frame(0, &whole[..keep]);
        frame.wire_len = whole.len() as u32;
        assert_eq!(decoder.decode(&frame).unwrap_err(), Skip::Malformed);
    }
    // a file that does not tell the length on the wire: the packet does
    let cut = frame(0, &whole[..56]);
    assert_eq!(decoder.decode(&cut).unwrap().wire_payload, 7);
    // cut inside TCP options
    let mut options = seg.bytes();
    options[12] = 7 << 4;
    options.splice(20..20, [1; 8]);
    let whole = ethernet(0x0800, &ipv4(A, B, 6, &options));
    let mut frame = frame(0, &whole[..56]);
    frame.wire_len = whole.len() as u32;
    let packet = decoder.decode(&frame).unwrap();
    assert_eq!((packet.payload, packet.wire_payload), (&b""[..], 7));
}

#[test]
fn extension_headers() {
    let payload = udp(1000, 2000, b"inner");
    let check = |data: &[u8], expected: &str| check(LinkType::Ipv6, data, expected);
    for kind in [0, 43, 60, 135, 139, 140] {
        check(&ipv6(A6, B6, kind, &extension(17, 2, &payload)), PLAIN6);
    }
    // AH counts in units of four
    let ah = joined(&[&[17, 4], &[0; 22], &payload]);
    check(&ipv6(A6, B6, 51, &ah), PLAIN6);
    check(
        &ipv6(
            A6,
            B6,
            0,
            &extension(60, 0, &extension(43, 1, &extension(17, 0, &payload))),
        ),
        PLAIN6,
    );
    // a fragment that is the whole
    check(
        &ipv6(A6, B6, 44, &joined(&[&[17, 0, 0, 0, 0, 0, 0, 9], &payload])),
        PLAIN6,
    );
    check(&ipv6(A6, B6, 59, &payload), "Transport(59)");
    check(&ipv6(A6, B6, 50, &payload), "Transport(50)");
    check(&ipv6(A6, B6, 58, &payload), "Transport(58)");
    check(&ipv6(A6, B6, 0, &[17, 200, 0, 0, 0, 0, 0, 0]), "Malformed");
}

#[test]
fn tunnels() {
    let (v4, v6) = (inner(), inner6());
    let frame4 = ethernet(0x0800, &v4);
    let outer = |protocol, data: &[u8]| ipv4([1, 1, 1, 1], [2, 2, 2, 2], protocol, data);
    let gre = |head: &[u8], data: &[u8]| outer(47, &joined(&[head, data]));
    let check = |data: &[u8], expected: &str| check(LinkType::Raw, data, expected);
    check(&outer(4, &v4), TUNNEL);
    check(&outer(41, &v6), TUNNEL6);
    check(&ipv6(A6, B6, 4, &v4), TUNNEL);
    check(&gre(&[0, 0, 8, 0], &v4), TUNNEL);
    check(&gre(&[0, 0, 0x86, 0xdd], &v6), TUNNEL6);
    check(
        &gre(&[0xb0, 0, 8, 0, 1, 1, 0, 0, 2, 2, 2, 2, 3, 3, 3, 3], &v4),
        TUNNEL,
    );
    check(&gre(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1], &frame4), TUNNEL);
    // PPTP, ERSPAN I, II, III
    let ppp = joined(&[&[0xff, 3, 0, 0x21], &v4]);
    check(
        &gre(
            &[0x30, 0x81, 0x88, 0x0b, 0, 36, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2],
            &ppp,
        ),
        TUNNEL,
    );
    check(&gre(&[0, 0, 0x88, 0xbe], &frame4), TUNNEL);
    check(
        &gre(
            &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1],
            &joined(&[&[0; 8], &frame4]),
        ),
        TUNNEL,
    );
    check(
        &gre(
            &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1],
            &joined(&[&[0; 12], &frame4]),
        ),
        TUNNEL,
    );
    // routing, another version, another protocol
    check(&gre(&[0x40, 0, 8, 0, 0, 0, 0, 0], &v4), "NotIp");
    check(&gre(&[0, 2, 8, 0], &v4), "NotIp");
    check(&gre(&[0, 0, 0, 40], &v4), "NotIp");
    for port in [4789, 8472] {
        check(&outer(17, &udp(5, port, &vxlan(&frame4))), TUNNEL);
    }
    let geneve = |head: &[u8], data: &[u8]| outer(17, &udp(5, 6081, &joined(&[head, data])));
    check(&geneve(&[0, 0, 0x65, 0x58, 0, 0, 1, 0], &frame4), TUNNEL);
    check(&geneve(&[1, 0, 8, 0, 0, 0, 1, 0, 9, 9, 9, 9], &v4), TUNNEL);
    // ARP in a tunnel is no flow of the tunnel's ends
    check(
        &outer(17, &udp(5, 4789, &vxlan(&ethernet(0x806, &[0; 28])))),
        "NotIp",
    );
    // not every datagram to such a port is a tunnel's
    check(
        &outer(17, &udp(5, 4789, b"hello")),
        "1.1.1.1:5 2.2.2.2:4789 udp hello cut=0 vlan=0 tunnels=0",
    );
    check(
        &outer(17, &udp(5, 8472, &vxlan(b"short"))),
        "1.1.1.1:5 2.2.2.2:8472 udp \u{8}\0\0\0\0\0*\0short cut=0 vlan=0 tunnels=0",
    );
    check(
        &outer(17, &udp(5, 6081, b"hello")),
        "1.1.1.1:5 2.2.2.2:6081 udp hello cut=0 vlan=0 tunnels=0",
    );
    // nested up to the limit
    let mut nested = v4.clone();
    for depth in 1..=5 {
        nested = outer(4, &nested);
        let expected = match depth {
            5 => "Nesting".to_owned(),
            n => TUNNEL.replace("tunnels=1", &format!("tunnels={n}")),
        };
        check(&nested, &expected);
    }
}

/// Runs frames through one decoder; gives a line for each.
fn run(frames: &[Frame<'_>], limits: DecodeLimits) -> (Vec<String>, Decoder) {
    let mut decoder = Decoder::new(limits);
    let lines = frames
        .iter()
        .map(|frame| line(&decoder.decode(frame)))
        .collect();
    (lines, decoder)
}

/// The IPv4 packets of a datagram cut into fragments of `size`.
fn fragments(id: u16, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = payload.len().div_ceil(size);
    let part = |(i, part): (usize, &[u8])| {
        let more = u16::from(i + 1 < count) << 13;
        ipv4_with(A, B, 17, id, more | (i * size / 8) as u16, &[], part)
    };
    payload.chunks(size).enumerate().map(part).collect()
}

#[test]
fn fragments_come_together() {
    let text = "0123456789abcdef0123456789abcdef";
    let payload = udp(1000, 2000, text.as_bytes());
    let parts = fragments(7, &payload, 16);
    assert_eq!(parts.len(), 3);
    let whole = PLAIN.replace("inner", text);
    let frames: Vec<_> = parts
        .iter()
        .map(|part| linked(LinkType::Raw, part))
        .collect();
    let (h, w) = ("FragmentHeld", whole.as_str());
    for order in [[0, 1, 2], [0, 2, 1], [2, 1, 0], [1, 0, 2]] {
        let (lines, decoder) = run(&order.map(|i| frames[i]), DecodeLimits::default());
        assert_eq!(lines, [h, h, w]);
        assert_eq!(decoder.held_bytes(), 0);
        assert_eq!(decoder.counters().datagrams_joined, 1);
    }
    // doubled by the network
    let (lines, decoder) = run(&[0, 0, 2, 2, 1].map(|i| frames[i]), DecodeLimits::default());
    assert_eq!(lines, [h, h, h, h, w]);
    assert_eq!(decoder.counters().fragments_doubled, 2);
    // seen in two places, in any order: each place has its own
    let mut twice = Vec::new();
    for frame in &frames {
        for direction in [PacketDirection::Out, PacketDirection::In] {
            twice.push(Frame {
                direction,
                ..*frame
            });
        }
    }
    let (lines, decoder) = run(&twice, DecodeLimits::default());
    assert_eq!(lines, [h, h, h, h, w, w]);
    assert_eq!(decoder.held_bytes(), 0);
    // IPv6
    let part = |offset: u16, more: u16, data: &[u8]| {
        let head = [&[17, 0][..], &(offset | more).to_be_bytes(), &[0, 0, 0, 5]].concat();
        ipv6(A6, B6, 60, &extension(44, 0, &joined(&[&head, data])))
    };
    let (one, two) = (part(0, 1, &payload[..24]), part(24, 0, &payload[24..]));
    let frames = [linked(LinkType::Raw, &two), linked(LinkType::Raw, &one)];
    let (lines, _) = run(&frames, DecodeLimits::default());
    assert_eq!(lines, [h, &PLAIN6.replace("inner", text)]);
}

/// A recording of a flow needs the frames that its datagrams came in.
#[test]
fn frames_of_fragments_are_named() {
    let payload = udp(1000, 2000, &[b'x'; 40]);
    let parts = fragments(7, &payload, 16);
    let mut decoder = Decoder::default();
    // in a mapped file frames have positions
    let at = |i: usize| Frame {
        pos: 100 + i as u64,
        ..linked(LinkType::Raw, &parts[i])
    };
    assert!(decoder.decode(&at(1)).is_err());
    assert!(decoder.decode(&at(0)).is_err());
    assert_eq!(decoder.decode(&at(2)).unwrap().parts, [101, 100]);
    // of others the caller says them, or does not
    for told in [Some(500), None] {
        assert!(decoder.decode(&linked(LinkType::Raw, &parts[0])).is_err());
        if let Some(pos) = told {
            decoder.held_at(pos);
        }
        assert!(decoder.decode(&linked(LinkType::Raw, &parts[1])).is_err());
        let last = linked(LinkType::Raw, &parts[2]);
        let expected: Vec<u64> = told.into_iter().collect();
        assert_eq!(decoder.decode(&last).unwrap().parts, expected);
    }
    let whole = inner();
    let plain = linked(LinkType::Raw, &whole);
    assert!(decoder.decode(&plain).unwrap().parts.is_empty());
}

#[test]
fn fragments_of_a_tunnel_hold_what_is_inside() {
    let payload = udp(5, 4789, &vxlan(&ethernet(0x0800, &inner())));
    let parts = fragments(7, &payload, 24);
    let frames: Vec<_> = parts
        .iter()
        .map(|part| linked(LinkType::Raw, part))
        .collect();
    let (lines, _) = run(&frames, DecodeLimits::default());
    assert_eq!(lines.last().map(String::as_str), Some(TUNNEL));
    // fragments inside of fragments
    let inside = fragments(8, &udp(1000, 2000, b"inner and more of it"), 16);
    let mut frames = Vec::new();
    for (i, packet) in inside.iter().enumerate() {
        let payload = udp(5, 4789, &vxlan(&ethernet(0x0800, packet)));
        frames.extend(fragments(10 + i as u16, &payload, 32));
    }
    let frames: Vec<_> = frames
        .iter()
        .map(|part| linked(LinkType::Raw, part))
        .collect();
    let (lines, decoder) = run(&frames, DecodeLimits::default());
    let last = TUNNEL.replace("inner", "inner and more of it");
    assert_eq!(lines.last(), Some(&last));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn fragments_that_overlap_or_never_come() {
    let payload = udp(1000, 2000, &[b'x'; 40]);
    let parts = fragments(7, &payload, 16);
    let mut other = parts[1].clone();
    other[25] = b'y';
    let longer = ipv4_with(A, B, 17, 7, 1 << 13, &[], &payload[..24]);
    let link = |data| linked(LinkType::Raw, data);
    let (h, r) = ("FragmentHeld", "Fragment");
    for (wrong, lines) in [(&other, [h, h, r, r]), (&longer, [h, r, r, r])] {
        let frames = [&parts[0], wrong, &parts[1], &parts[2]].map(|part| link(part));
        let (got, decoder) = run(&frames, DecodeLimits::default());
        assert_eq!(got, lines);
        let refused = lines.iter().filter(|line| **line == r).count();
        assert_eq!(decoder.counters().fragments_refused, refused as u64);
        assert_eq!(decoder.counters().datagrams_joined, 0);
    }
    // a middle one of odd length; cut by the snap length; beyond the longest datagram
    let odd = ipv4_with(A, B, 17, 7, 1 << 13, &[], &payload[..13]);
    let beyond = ipv4_with(A, B, 17, 7, 0x1fff, &[], &payload);
    let mut cut = link(&parts[1][..30]);
    cut.wire_len = parts[1].len() as u32;
    for frame in [link(&odd), link(&beyond), cut] {
        assert_eq!(run(&[frame], DecodeLimits::default()).0, [r]);
    }
    // a first one that is cut shows what it has
    let mut cut = link(&parts[0][..30]);
    cut.wire_len = parts[0].len() as u32;
    let shown = PLAIN.replace("inner", "xx").replace("cut=0", "cut=6");
    assert_eq!(run(&[cut], DecodeLimits::default()).0, [shown]);
    // time goes by
    let mut decoder = Decoder::default();
    assert!(decoder.decode(&link(&parts[0])).is_err());
    assert!(decoder.held_bytes() > 16);
    decoder.tick(29_000_000_000);
    assert!(decoder.held_bytes() > 0);
    decoder.tick(31_000_000_000);
    assert_eq!(decoder.held_bytes(), 0);
    assert_eq!(decoder.counters().datagrams_incomplete, 1);
}

#[test]
fn fragments_are_bounded() {
    let limits = DecodeLimits {
        fragments: 100,
        fragment_bytes: 50_000,
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new(limits);
    let payload = udp(1000, 2000, &[0; 1472]);
    for id in 0..10_000u16 {
        let part = &fragments(id, &payload, 1400)[0];
        let frame = linked(LinkType::Raw, part);
        assert_eq!(decoder.decode(&frame).unwrap_err(), Skip::FragmentHeld);
        assert!(decoder.held_bytes() <= 50_000);
    }
    let counters = decoder.counters();
    assert!(counters.datagrams_incomplete > 9_900);
    assert_eq!(counters.fragments_held, 10_000);
}

#[test]
fn every_frame_is_counted_once() {
    let frames = [
        ethernet(0x0800, &ipv4(A, B, 1, &[8, 0, 0, 0])),
        ethernet(0x0800, &ipv4(A, B, 132, &[8, 0, 0, 0])),
        ethernet(0x0806, &[0; 28]),
        ethernet(0x0800, &inner()),
        ethernet(0x0800, &[]),
        ethernet(0x0800, &fragments(1, &udp(1, 2, &[0; 64]), 32)[0]),
    ];
    let mut decoder = Decoder::default();
    for data in &frames {
        let _ = decoder.decode(&frame(0, data));
    }
    let c = decoder.counters();
    assert_eq!((c.frames, c.udp, c.not_ip, c.malformed), (6, 1, 1, 1));
    assert_eq!(
        (c.transport(1), c.transport(132), c.transports()),
        (1, 1, 2)
    );
    assert_eq!(c.fragments_held, 1);
}

/// Random bytes, and well-formed frames with random bytes changed or cut off, through every link type.
#[test]
fn nothing_panics() {
    let mut random = SmallRng::seed_from_u64(1);
    let tunnel = udp(5, 4789, &vxlan(&ethernet(0x0800, &inner())));
    let seeds = [
        ethernet(0x0800, &inner()),
        ethernet(0x86dd, &ipv6(A6, B6, 0, &extension(44, 0, &[17; 40]))),
        ethernet(0x8100, &[0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0, 0x20, 0, 64, 17]),
        ethernet(0x0800, &ipv4(A, B, 47, &[0xb0; 64])),
        ethernet(0x0800, &ipv4(A, B, 17, &tunnel)),
        ethernet(0x0800, &fragments(3, &tunnel, 24)[1]),
        ethernet(0x8864, &[0x11, 0, 0, 1, 0, 9, 0, 0x21, 0x45]),
    ];
    let mut decoder = Decoder::default();
    for round in 0..200_000 {
        let mut data = if round % 4 == 0 {
            (0..random.random_range(0..200))
                .map(|_| random.random())
                .collect()
        } else {
            seeds[random.random_range(0..seeds.len())].clone()
        };
        for _ in 0..random.random_range(0..4) {
            if let Some(at) = (!data.is_empty()).then(|| random.random_range(0..data.len())) {
                data[at] = random.random();
            }
        }
        data.truncate(random.random_range(0..=data.len()));
        let dlt = [0u32, 1, 101, 108, 113, 276, 228, 229, 9][random.random_range(0..9)];
        let frame = Frame {
            ts: round * 1000,
            wire_len: random.random_range(0..4000),
            ..linked(LinkType::from_dlt(dlt), &data)
        };
        if let Ok(packet) = decoder.decode(&frame) {
            assert!(packet.payload.len() <= packet.wire_payload as usize);
        }
    }
    assert!(decoder.counters().udp > 1000);
    assert_eq!(frame(0, &[]).pos, NO_POS);
}
