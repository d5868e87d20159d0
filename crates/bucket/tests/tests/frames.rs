//! Frames for tests, packet objects of them, and what comes back.

use gillnet_bucket::{
    layout::{Hour, ObjectName, PacketFormat, Payload},
    packets::{
        About, Cause, Missing, Packet, PacketWriter, StreamId, StreamStart, Totals, Written,
    },
};
use gillnet_capture::{Interface, LinkType, PacketDirection};

/// A time for tests: 2023-11-14 22:13:20.
pub(crate) const T0: i64 = 1_700_000_000_000_000_000;

/// A frame of a stream: UDP in IPv4 in Ethernet, whose content tells stream and number.
pub(crate) fn frame(stream: u64, number: u64, size: usize) -> Vec<u8> {
    let mut payload = format!("stream {stream} packet {number} ").into_bytes();
    let mut noise = stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
    while payload.len() < size {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        payload.extend_from_slice(&noise.to_le_bytes());
    }
    payload.truncate(size.max(40));
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let total = (20 + 8 + payload.len()) as u16;
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    out.extend_from_slice(&(20_000 + (stream % 20_000) as u16).to_be_bytes());
    out.extend_from_slice(&9u16.to_be_bytes());
    out.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&payload);
    out
}

/// A stream of an object: its number, what is missing, and when each of its packets came.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) start: StreamStart,
    /// Number of the packet in the stream, and its time.
    pub(crate) packets: Vec<(u64, i64)>,
    pub(crate) size: usize,
}

pub(crate) fn stream(number: u64, packets: impl IntoIterator<Item = (u64, i64)>) -> Stream {
    let start = StreamStart {
        id: StreamId { number, udp: true },
        missing: None,
        lost_behind: 0,
        continued: false,
    };
    Stream {
        start,
        packets: packets.into_iter().collect(),
        size: 100,
    }
}

impl Stream {
    pub(crate) fn missing(mut self, packets: u64, before: i64) -> Self {
        self.start.missing = Some(Missing {
            packets: Some(packets),
            before,
            cause: Cause::Ring,
        });
        self
    }

    pub(crate) fn continued(mut self) -> Self {
        self.start.continued = true;
        self
    }

    pub(crate) fn of_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }
}

pub(crate) fn interfaces() -> Vec<Interface> {
    let of = |name: &str| Interface {
        name: name.to_owned(),
        link: LinkType::Ethernet,
        description: String::new(),
        snaplen: 0,
    };
    vec![of("eth0"), of("eth1")]
}

pub(crate) fn name(recording: &str, node: &str, run: u64, seq: u64, ts: i64) -> ObjectName {
    ObjectName {
        cluster: "test".into(),
        recording: recording.into(),
        hour: Hour::of(ts),
        node: node.into(),
        run,
        seq,
        replaces: None,
    }
}

/// Writes a packet object; every stream is on the interface that its number's last bit says.
pub(crate) fn object(name: &ObjectName, streams: &[Stream]) -> (Vec<u8>, Written) {
    object_as(name, streams, PacketFormat::default())
}

/// The same in a format.
pub(crate) fn object_as(
    name: &ObjectName,
    streams: &[Stream],
    format: PacketFormat,
) -> (Vec<u8>, Written) {
    let mut totals = Totals::default();
    for stream in streams {
        totals.streams += u64::from(!stream.packets.is_empty());
        stream.packets.iter().for_each(|(_, ts)| totals.add(*ts));
    }
    let interfaces = interfaces();
    let about = About {
        name,
        kfl: "http or dns",
        interfaces: &interfaces,
        totals,
        payload: Payload::Full,
    };
    let mut writer = PacketWriter::with_format(Vec::new(), &about, format).unwrap();
    for stream in streams {
        writer.begin(&stream.start).unwrap();
        for (number, ts) in &stream.packets {
            let data = frame(stream.start.id.number, *number, stream.size);
            let direction = if number % 2 == 0 {
                PacketDirection::Out
            } else {
                PacketDirection::In
            };
            let iface = (stream.start.id.number % 2) as u32;
            writer
                .packet(&Packet {
                    ts: *ts,
                    iface,
                    wire_len: data.len() as u32,
                    direction,
                    data: &data,
                })
                .unwrap();
        }
    }
    writer.finish().unwrap()
}
