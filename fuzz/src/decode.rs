//! Frames: link type, what the snap length cut, time to the next, length, bytes.

use crate::Bytes;
use gillnet_capture::{Frame, LinkType, NO_POS, PacketDirection};
use gillnet_streams::decode::{DecodeLimits, Decoder};

const LINKS: [LinkType; 9] = [
    LinkType::Ethernet,
    LinkType::Raw,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::Null,
    LinkType::Loop,
    LinkType::Ipv4,
    LinkType::Ipv6,
    LinkType::Other(105),
];

/// Decodes each frame with one decoder, so that fragments meet.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let limits = DecodeLimits::default();
    let mut decoder = Decoder::new(limits);
    let mut ts = 0;
    while let Some(link) = bytes.byte() {
        let (cut, wait) = (bytes.number(), bytes.number());
        let len = usize::from(bytes.number());
        let data = bytes.take(len);
        ts += i64::from(wait) << 16;
        let frame = Frame {
            ts,
            iface: 0,
            link: LINKS[usize::from(link) % LINKS.len()],
            direction: PacketDirection::Unknown,
            wire_len: data.len() as u32 + u32::from(cut),
            data,
            pos: NO_POS,
            comment: None,
        };
        if let Ok(packet) = decoder.decode(&frame) {
            assert!(packet.wire_payload as usize >= packet.payload.len());
            if let Some(at) = packet.payload_off {
                let there = data
                    .get(at as usize..)
                    .and_then(|rest| rest.get(..packet.payload.len()));
                assert_eq!(there, Some(packet.payload));
            }
        }
        decoder.tick(ts);
    }
}

/// Appends a frame to a seed.
pub fn write(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let Some(link) = LINKS.iter().position(|link| *link == frame.link) else {
        return;
    };
    let len = u16::try_from(frame.data.len()).unwrap_or(u16::MAX);
    let cut = u16::try_from(frame.wire_len)
        .unwrap_or(u16::MAX)
        .saturating_sub(len);
    out.push(link as u8);
    for number in [cut, 1, len] {
        out.extend(number.to_le_bytes());
    }
    out.extend(&frame.data[..usize::from(len)]);
}
