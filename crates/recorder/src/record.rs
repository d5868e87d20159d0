//! The records that cross the queue and stand in an active log.
//!
//! One form for both, so that a frame is packed once and copied as it is:
//!
//! ```text
//! log:    [u32 length of the body][u32 CRC-32 of the body][body]      body = [u8 kind][fields]
//! queue:  [u128 rules that keep it][the same, CRC not yet filled in]
//! ```
//!
//! Numbers are little endian. A log is cut at the first record whose length or CRC is wrong: what
//! comes behind a torn record can't be trusted.

use std::net::{IpAddr, Ipv6Addr};

use gillnet_bucket::{Recipients, layout::Payload};
use gillnet_capture::{Interface, LinkType, PacketDirection};
use gillnet_entry::{Mechanism, Name};
use serde::{Deserialize, Serialize};

/// Bytes before the body of a record.
pub(crate) const HEADER: usize = 8;
/// Bytes that the queue puts before a record.
pub(crate) const ENVELOPE: usize = 16;
/// Bytes of a frame's record before its data, header included.
pub(crate) const FRAME_HEAD: usize = HEADER + 1 + 8 + 8 + 4 + 2 + 1 + 4;
/// The longest body that a reader believes in: the largest frame and room for its head.
pub(crate) const MAX_BODY: usize = (1 << 20) + 256;

const FRAME: u8 = 1;
const STREAM: u8 = 2;
const INTERFACE: u8 = 3;
const NAME: u8 = 4;
const HOLE: u8 = 5;
const END: u8 = 6;
const HEAD: u8 = 7;

/// A captured frame of a recorded stream.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured: nanoseconds since the Unix epoch.
    pub ts: i64,
    /// Its interface, an index into what [`crate::Handle::interfaces`] was given.
    pub iface: u32,
    /// What `data` starts with.
    pub link: LinkType,
    /// Which way it crossed the interface.
    pub direction: PacketDirection,
    /// Its length on the wire in bytes.
    pub wire_len: u32,
    /// What was captured of it.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The same as decoders and shards take it; `pos`: the place of its data in a store.
    pub(crate) fn captured(&self, pos: u64) -> gillnet_capture::Frame<'a> {
        gillnet_capture::Frame {
            ts: self.ts,
            iface: self.iface,
            link: self.link,
            direction: self.direction,
            wire_len: self.wire_len,
            data: self.data,
            pos,
            comment: None,
        }
    }
}

/// What had left the ring before a stream matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostBefore {
    /// Packets that are missing, where that is known.
    pub packets: Option<u64>,
    /// Since when the recording of the stream is whole: nanoseconds since the Unix epoch.
    pub since: i64,
}

/// A stream that a rule begins to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStart {
    /// The stream's number, unique on its node.
    pub number: u64,
    /// UDP, else TCP.
    pub udp: bool,
    /// Both ends, the opener first.
    pub ends: [(IpAddr, u16); 2],
    /// What of it is missing from the start.
    pub lost_before: Option<LostBefore>,
}

/// A name that an address had while a stream was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordedName {
    /// The address.
    pub ip: IpAddr,
    /// The port it was asked with.
    pub port: u16,
    /// What it was called.
    pub name: Name,
    /// When it was asked: nanoseconds since the Unix epoch.
    pub at: i64,
}

/// What stands first in an active log, so that a later start can seal it without any configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogHead {
    pub(crate) version: u32,
    pub(crate) rule: String,
    pub(crate) kfl: String,
    pub(crate) destination: String,
    pub(crate) cluster: String,
    pub(crate) node: String,
    pub(crate) run: u64,
    pub(crate) seq: u64,
    /// Hours since the Unix epoch.
    pub(crate) hour: i64,
    /// What its object is to have of the packets, all of which are in the log.
    #[serde(default, with = "payload", skip_serializing_if = "payload::is_full")]
    pub(crate) payload: Payload,
    /// For whom its object is encrypted; the log is not.
    #[serde(
        default,
        with = "recipients",
        skip_serializing_if = "Recipients::is_empty"
    )]
    pub(crate) recipients: Recipients,
}

/// [`Recipients`] as their texts.
mod recipients {
    use gillnet_bucket::Recipients;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(of: &Recipients, to: S) -> Result<S::Ok, S::Error> {
        of.texts().serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Recipients, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        Recipients::parse(&texts).map_err(D::Error::custom)
    }
}

/// [`Payload`] as its text.
mod payload {
    use gillnet_bucket::layout::Payload;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn is_full(payload: &Payload) -> bool {
        *payload == Payload::Full
    }

    pub(super) fn serialize<S: Serializer>(payload: &Payload, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(payload)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Payload, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A record, borrowed from the buffer it is read from.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Frame {
        stream: u64,
        frame: Frame<'a>,
    },
    /// `continued`: an earlier log of the run has its beginning.
    Stream {
        start: StreamStart,
        continued: bool,
    },
    Interface {
        number: u32,
        interface: Interface,
    },
    Name {
        stream: u64,
        name: Box<RecordedName>,
    },
    /// Frames that are missing before the stream's next one.
    Hole {
        stream: u64,
        packets: u64,
    },
    End(u64),
    Head(Box<LogHead>),
}

/// CRC-32 (IEEE 802.3) of a body.
fn crc(body: &[u8]) -> u32 {
    let mut crc = libdeflater::Crc::new();
    crc.update(body);
    crc.sum()
}

/// Appends a record: its header, its kind and what `body` writes.
fn record(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    out.push(kind);
    body(out);
    let len = (out.len() - start - HEADER) as u32;
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&len.to_le_bytes());
    }
}

/// Fills in the CRC of the record at the start of `bytes`.
pub(crate) fn fill_crc(bytes: &mut [u8]) {
    if let Some((header, body)) = bytes.split_at_mut_checked(HEADER)
        && let Some(field) = header.get_mut(4..)
    {
        field.copy_from_slice(&crc(body).to_le_bytes());
    }
}

pub(crate) fn put_frame(out: &mut Vec<u8>, stream: u64, frame: &Frame<'_>) {
    let mut head = [0; FRAME_HEAD];
    let len = (FRAME_HEAD - HEADER + frame.data.len()) as u32;
    let direction = match frame.direction {
        PacketDirection::Unknown => 0,
        PacketDirection::In => 1,
        PacketDirection::Out => 2,
    };
    head[0..4].copy_from_slice(&len.to_le_bytes());
    head[8] = FRAME;
    head[9..17].copy_from_slice(&stream.to_le_bytes());
    head[17..25].copy_from_slice(&frame.ts.to_le_bytes());
    head[25..29].copy_from_slice(&frame.iface.to_le_bytes());
    head[29..31].copy_from_slice(&(frame.link.dlt() as u16).to_le_bytes());
    head[31] = direction;
    head[32..36].copy_from_slice(&frame.wire_len.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(frame.data);
}

pub(crate) fn put_stream(out: &mut Vec<u8>, stream: &StreamStart, continued: bool) {
    record(out, STREAM, |out| {
        out.extend_from_slice(&stream.number.to_le_bytes());
        out.push(u8::from(stream.udp));
        out.push(u8::from(continued));
        for end in stream.ends {
            put_end(out, end);
        }
        match stream.lost_before {
            None => out.push(0),
            Some(lost) => {
                out.push(if lost.packets.is_some() { 2 } else { 1 });
                out.extend_from_slice(&lost.packets.unwrap_or(0).to_le_bytes());
                out.extend_from_slice(&lost.since.to_le_bytes());
            }
        }
    });
}

pub(crate) fn put_interface(out: &mut Vec<u8>, number: u32, interface: &Interface) {
    record(out, INTERFACE, |out| {
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&(interface.link.dlt() as u16).to_le_bytes());
        out.extend_from_slice(&interface.snaplen.to_le_bytes());
        put_str(out, &interface.name);
        put_str(out, &interface.description);
    });
}

pub(crate) fn put_name(
    out: &mut Vec<u8>,
    stream: u64,
    ip: IpAddr,
    port: u16,
    name: &Name,
    at: i64,
) {
    record(out, NAME, |out| {
        out.extend_from_slice(&stream.to_le_bytes());
        put_end(out, (ip, port));
        out.extend_from_slice(&at.to_le_bytes());
        out.extend_from_slice(&name.since.to_le_bytes());
        out.push(match name.mechanism {
            Mechanism::None => 0,
            Mechanism::Ip => 1,
            Mechanism::IpAndPort => 2,
            Mechanism::Dns => 3,
            Mechanism::HttpHeader => 4,
        });
        for text in [
            &name.name,
            &name.namespace,
            &name.pod,
            &name.service,
            &name.dns,
        ] {
            put_str(out, text);
        }
    });
}

pub(crate) fn put_hole(out: &mut Vec<u8>, stream: u64, packets: u64) {
    record(out, HOLE, |out| {
        out.extend_from_slice(&stream.to_le_bytes());
        out.extend_from_slice(&packets.to_le_bytes());
    });
}

pub(crate) fn put_end_of_stream(out: &mut Vec<u8>, stream: u64) {
    record(out, END, |out| out.extend_from_slice(&stream.to_le_bytes()));
}

pub(crate) fn put_head(out: &mut Vec<u8>, head: &LogHead) -> Result<(), serde_json::Error> {
    let text = serde_json::to_vec(head)?;
    record(out, HEAD, |out| out.extend_from_slice(&text));
    Ok(())
}

/// An address as 16 bytes, IPv4 mapped (RFC 4291 §2.5.5.2), and the port.
fn put_end(out: &mut Vec<u8>, (ip, port): (IpAddr, u16)) {
    let ip = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    out.extend_from_slice(&ip.octets());
    out.extend_from_slice(&port.to_le_bytes());
}

/// Text of at most 64 KiB; what is longer is cut at a character's border.
fn put_str(out: &mut Vec<u8>, text: &str) {
    let text = text
        .get(..text.floor_char_boundary(usize::from(u16::MAX)))
        .unwrap_or_default();
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Splits the first record off: its whole bytes, and what follows. `None` where it is cut short or
/// its length can't be right; the CRC is not looked at.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(record_len(bytes)?)
}

/// Length of the record that starts here, header included.
pub(crate) fn record_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    (1..=MAX_BODY).contains(&len).then_some(len + HEADER)
}

/// Whether the CRC of a whole record is right.
pub(crate) fn intact(record: &[u8]) -> bool {
    let Some((header, body)) = record.split_first_chunk::<HEADER>() else {
        return false;
    };
    u32::from_le_bytes([header[4], header[5], header[6], header[7]]) == crc(body)
}

/// Reads a whole record of a frame, with the number of its stream; `None` where it is another. Most are frames: nothing
/// more is looked at.
#[inline]
pub(crate) fn frame(record: &[u8]) -> Option<(u64, Frame<'_>)> {
    let mut take = Take(record.get(HEADER..)?);
    if take.u8()? != FRAME {
        return None;
    }
    let stream = take.u64()?;
    let (ts, iface, link, direction) = (take.i64()?, take.u32()?, take.u16()?, take.u8()?);
    let frame = Frame {
        ts,
        iface,
        link: LinkType::from_dlt(u32::from(link)),
        direction: match direction {
            1 => PacketDirection::In,
            2 => PacketDirection::Out,
            _ => PacketDirection::Unknown,
        },
        wire_len: take.u32()?,
        data: take.0,
    };
    Some((stream, frame))
}

/// Reads a whole record. `None` where its fields don't fit: a record of another version.
pub(crate) fn decode(record: &[u8]) -> Option<Record<'_>> {
    if let Some((stream, frame)) = frame(record) {
        return Some(Record::Frame { stream, frame });
    }
    let mut take = Take(record.get(HEADER..)?);
    let kind = take.u8()?;
    Some(match kind {
        STREAM => {
            let (number, udp, continued) = (take.u64()?, take.u8()? != 0, take.u8()? != 0);
            let ends = [take.end()?, take.end()?];
            let lost_before = match take.u8()? {
                0 => None,
                known => {
                    let packets = take.u64()?;
                    Some(LostBefore {
                        packets: (known == 2).then_some(packets),
                        since: take.i64()?,
                    })
                }
            };
            Record::Stream {
                start: StreamStart {
                    number,
                    udp,
                    ends,
                    lost_before,
                },
                continued,
            }
        }
        INTERFACE => {
            let (number, link, snaplen) = (
                take.u32()?,
                LinkType::from_dlt(u32::from(take.u16()?)),
                take.u32()?,
            );
            let interface = Interface {
                name: take.text()?,
                description: take.text()?,
                link,
                snaplen,
            };
            Record::Interface { number, interface }
        }
        NAME => {
            let stream = take.u64()?;
            Record::Name {
                stream,
                name: Box::new(take.name()?),
            }
        }
        HOLE => Record::Hole {
            stream: take.u64()?,
            packets: take.u64()?,
        },
        END => Record::End(take.u64()?),
        HEAD => Record::Head(Box::new(serde_json::from_slice(take.0).ok()?)),
        _ => return None,
    })
}

/// A body being read.
struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn end(&mut self) -> Option<(IpAddr, u16)> {
        let ip = Ipv6Addr::from(self.array::<16>()?);
        let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
        Some((ip, self.u16()?))
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::from(self.u16()?);
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn name(&mut self) -> Option<RecordedName> {
        let (ip, port) = self.end()?;
        let (at, since) = (self.i64()?, self.i64()?);
        let mechanism = match self.u8()? {
            1 => Mechanism::Ip,
            2 => Mechanism::IpAndPort,
            3 => Mechanism::Dns,
            4 => Mechanism::HttpHeader,
            _ => Mechanism::None,
        };
        let (name, namespace, pod) = (self.text()?, self.text()?, self.text()?);
        let (service, dns) = (self.text()?, self.text()?);
        let name = Name {
            name,
            namespace,
            pod,
            service,
            dns,
            mechanism,
            since,
            workload: None,
        };
        Some(RecordedName { ip, port, name, at })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// One record of each kind.
    fn all() -> Vec<Vec<u8>> {
        let frame = Frame {
            ts: -5,
            iface: 3,
            link: LinkType::LinuxSll2,
            direction: PacketDirection::Out,
            wire_len: 99,
            data: b"packet",
        };
        let end = |last| (IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), 80);
        let lost_before = Some(LostBefore {
            packets: Some(7),
            since: 11,
        });
        let start = StreamStart {
            number: 9,
            udp: true,
            ends: [end(1), (IpAddr::V6(Ipv6Addr::LOCALHOST), 53)],
            lost_before,
        };
        let interface = Interface {
            name: "eth0".into(),
            link: LinkType::Raw,
            description: "ä".into(),
            snaplen: 65_535,
        };
        let name = Name {
            name: "cart".into(),
            namespace: "shop".into(),
            mechanism: Mechanism::Dns,
            since: 4,
            ..Name::default()
        };
        let head = LogHead {
            version: 1,
            rule: "r".into(),
            kfl: "http".into(),
            destination: "gs://b".into(),
            cluster: "c".into(),
            node: "n".into(),
            run: u64::MAX,
            seq: 2,
            hour: -3,
            payload: Payload::First(128),
            recipients: Recipients::parse(&[
                "age1dlvwqt4c50lleknpevlcs0zsvus86n85a4xxrm8ze4pzt7ns2fnqxxztu9".to_owned(),
            ])
            .unwrap(),
        };
        let mut out = vec![Vec::new(); 7];
        put_frame(&mut out[0], 8, &frame);
        put_stream(&mut out[1], &start, true);
        put_interface(&mut out[2], 5, &interface);
        put_name(&mut out[3], 9, end(2).0, 80, &name, 6);
        put_hole(&mut out[4], 9, 12);
        put_end_of_stream(&mut out[5], 9);
        put_head(&mut out[6], &head).unwrap();
        out.iter_mut().for_each(|record| fill_crc(record));
        out
    }

    #[test]
    fn records_come_back_as_they_were() {
        let text: Vec<String> = all()
            .iter()
            .map(|record| format!("{:?}", decode(record).unwrap()))
            .collect();
        let expected = [
            "Frame { stream: 8, frame: Frame { ts: -5, iface: 3, link: LinuxSll2, direction: Out, wire_len: 99, data: [112, 97, 99, 107, 101, 116] } }",
            "Stream { start: StreamStart { number: 9, udp: true, ends: [(10.0.0.1, 80), (::1, 53)], lost_before: Some(LostBefore { packets: Some(7), since: 11 }) }, continued: true }",
            "Interface { number: 5, interface: Interface { name: \"eth0\", link: Raw, description: \"ä\", snaplen: 65535 } }",
            "Name { stream: 9, name: RecordedName { ip: 10.0.0.2, port: 80, name: Name { name: \"cart\", namespace: \"shop\", pod: \"\", service: \"\", dns: \"\", mechanism: Dns, since: 4, workload: None }, at: 6 } }",
            "Hole { stream: 9, packets: 12 }",
            "End(9)",
            "Head(LogHead { version: 1, rule: \"r\", kfl: \"http\", destination: \"gs://b\", cluster: \"c\", node: \"n\", run: 18446744073709551615, seq: 2, hour: -3, payload: First(128), recipients: Recipients([\"age1dlvwqt4c50lleknpevlcs0zsvus86n85a4xxrm8ze4pzt7ns2fnqxxztu9\"]) })",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        for record in all() {
            assert!(intact(&record) && record_len(&record) == Some(record.len()));
            for bit in 32..record.len() * 8 {
                let mut torn = record.clone();
                torn[bit / 8] ^= 1 << (bit % 8);
                assert!(!intact(&torn), "bit {bit}");
            }
        }
    }

    #[test]
    fn rubbish_is_no_record_and_no_panic() {
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..20_000 {
            let len = rng.random_range(0..80);
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.random()).collect();
            if let Some(kind) = bytes.get_mut(HEADER) {
                *kind %= 9;
            }
            let _ = (decode(&bytes), split(&bytes), intact(&bytes));
        }
    }
}
