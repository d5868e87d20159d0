//! Captures that others made: what tshark sees in them, whole and in pieces.

use super::super::DISSECTION;
use super::super::wire::u16_at;
use super::drive::Driver;
use crate::{AfterGap, Start, Verdict};
use gillnet_entry::Transport;
use gillnet_streams::Dir;
use std::collections::BTreeMap;
use std::path::Path;

/// A TCP segment or UDP datagram.
struct Packet<'c> {
    transport: Transport,
    /// Address and port.
    from: (&'c [u8], u16),
    to: (&'c [u8], u16),
    seq: u32,
    payload: &'c [u8],
}

/// Packets of a little-endian pcap file of Ethernet or raw IP, IPv4 alone.
fn packets(capture: &[u8]) -> Vec<Packet<'_>> {
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
    let link = if word(20) == 1 { 14 } else { 0 };
    let (mut at, mut packets) = (24, Vec::new());
    while at + 16 <= capture.len() {
        let length = usize::try_from(word(at + 8)).unwrap();
        let ip = &capture[at + 16 + link..at + 16 + length];
        at += 16 + length;
        if ip[0] >> 4 == 4 {
            packets.extend(packet(&ip[..usize::from(u16_at(ip, 2).unwrap())]));
        }
    }
    packets
}

fn packet(ip: &[u8]) -> Option<Packet<'_>> {
    let l4 = &ip[usize::from(ip[0] & 0xf) * 4..];
    let (transport, head) = match ip[9] {
        6 => (Transport::Tcp, usize::from(l4[12] >> 4) * 4),
        17 => (Transport::Udp, 8),
        _ => return None,
    };
    let seq = u32::from_be_bytes(l4[4..8].try_into().unwrap());
    let (from, to) = ((&ip[12..16], u16_at(l4, 0)?), (&ip[16..20], u16_at(l4, 2)?));
    Some(Packet {
        transport,
        from,
        to,
        seq,
        payload: &l4[head..],
    })
}

/// One stream, and the number of the byte that comes next in each direction.
struct Flow {
    driver: Driver,
    opener: (Vec<u8>, u16),
    next: [Option<u32>; 2],
    resync: [bool; 2],
}

impl Flow {
    /// Takes a packet's bytes in pieces of a size.
    fn take(&mut self, packet: &Packet<'_>, piece: usize) {
        let dir = if (packet.from.0, packet.from.1) == (&*self.opener.0, self.opener.1) {
            Dir::Up
        } else {
            Dir::Down
        };
        let side = dir as usize;
        if packet.transport == Transport::Udp {
            self.driver.feed(dir, packet.payload);
            return;
        }
        let missing = packet
            .seq
            .wrapping_sub(self.next[side].unwrap_or(packet.seq));
        if missing > 1 << 31 {
            return; // it was there already
        }
        if missing > 0 {
            self.resync[side] = self.driver.gap(dir, missing.into()) == AfterGap::Resync;
        }
        self.next[side] = Some(
            packet
                .seq
                .wrapping_add(u32::try_from(packet.payload.len()).unwrap()),
        );
        if self.resync[side] && self.driver.dissector.resync(dir, packet.payload) != Start::At(0) {
            return;
        }
        self.resync[side] = false;
        for bytes in packet.payload.chunks(piece) {
            self.driver.feed(dir, bytes);
        }
    }
}

/// What is seen in a capture: lines as `fixtures/*.txt` have them.
fn seen(capture: &[u8], piece: usize) -> Vec<String> {
    let mut flows: BTreeMap<_, Flow> = BTreeMap::new();
    for packet in packets(capture)
        .iter()
        .filter(|packet| !packet.payload.is_empty())
    {
        let mut ends = [packet.from, packet.to];
        ends.sort_unstable();
        let flow = flows.entry(ends).or_insert_with(|| {
            let hint = [packet.from.1, packet.to.1].contains(&53);
            let verdict = (DISSECTION.identify)(packet.payload, packet.transport, hint);
            assert_ne!(verdict, Verdict::No); // the length may stand in a packet of its own
            let driver = Driver::new(packet.transport);
            Flow {
                driver,
                opener: (packet.from.0.to_vec(), packet.from.1),
                next: [None; 2],
                resync: [false; 2],
            }
        });
        flow.take(packet, piece);
    }
    let lines = flows.into_values().flat_map(|flow| flow.driver.close());
    let mut lines: Vec<_> = lines
        .map(|line| line.replace(" pair-not-found", ""))
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn captures_as_tshark_sees_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dns/fixtures");
    let mut captures = 0;
    for file in std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if file.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        captures += 1;
        let expected = std::fs::read_to_string(file.with_extension("txt")).unwrap();
        let expected: Vec<_> = expected.lines().collect();
        let capture = std::fs::read(&file).unwrap();
        for piece in [usize::MAX, 1, 2, 13] {
            assert_eq!(
                seen(&capture, piece),
                expected,
                "{} {piece}",
                file.display()
            );
        }
    }
    assert!(captures >= 13, "{captures}");
}
