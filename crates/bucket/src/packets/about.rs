//! What a packet object says of itself, in comments: written here and read back here.

use std::fmt;

use gillnet_capture::Interface;
use gillnet_entry::time::Rfc3339;

use crate::layout::{ObjectName, Payload, parse_time};

/// A filter longer than this (bytes) is cut in the comment; a comment holds 64 KiB.
const MAX_KFL: usize = 32 << 10;

/// What an object is. Shown, it is the one line of the section's comment:
/// `gillnet cluster="c" node="n" run=… seq=7 recording="r" packets=9 streams=2 first=… last=… kfl="http"`.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Its name.
    pub name: &'a ObjectName,
    /// The rule's filter.
    pub kfl: &'a str,
    /// The interfaces that its packets may be of.
    pub interfaces: &'a [Interface],
    /// What it holds.
    pub totals: Totals,
    /// What was kept of its packets; said where that is not all.
    pub payload: Payload,
}

/// How much an object holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets.
    pub packets: u64,
    /// Streams (each as often as it begins).
    pub streams: u64,
    /// Earliest time of a packet, in nanoseconds since the Unix epoch; 0 where there is none.
    pub first: i64,
    /// Latest time of a packet, in nanoseconds since the Unix epoch; 0 where there is none.
    pub last: i64,
}

impl Totals {
    /// Counts one more packet.
    pub fn add(&mut self, ts: i64) {
        (self.first, self.last) = match self.packets {
            0 => (ts, ts),
            _ => (self.first.min(ts), self.last.max(ts)),
        };
        self.packets += 1;
    }
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectName {
            cluster,
            recording,
            node,
            run,
            seq,
            ..
        } = self.name;
        let Totals {
            packets,
            streams,
            first,
            last,
        } = self.totals;
        let kfl = self
            .kfl
            .get(..self.kfl.floor_char_boundary(MAX_KFL))
            .unwrap_or_default();
        let (cluster, recording, node, kfl) = (
            quoted(cluster),
            quoted(recording),
            quoted(node),
            quoted(kfl),
        );
        let (first, last) = (Rfc3339(first), Rfc3339(last));
        write!(
            f,
            "gillnet cluster={cluster} node={node} run={run:016x} seq={seq} recording={recording} \
             packets={packets} streams={streams} first={first} last={last}"
        )?;
        if self.payload != Payload::Full {
            write!(f, " payload={}", self.payload)?;
        }
        write!(f, " kfl={kfl}")
    }
}

/// A text in quotes, on one line.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The totals in a section's comment; `None` where it is none of ours.
pub(crate) fn parse_totals(comment: &str) -> Option<Totals> {
    parse_about(comment).map(|(totals, _)| totals)
}

/// The totals in a section's comment, and the filter; `None` where it is none of ours.
pub(crate) fn parse_about(comment: &str) -> Option<(Totals, Option<String>)> {
    let mut rest = comment.strip_prefix("gillnet ")?;
    let (mut packets, mut streams, mut first, mut last) = (None, None, None, None);
    let mut kfl = None;
    while let Some((name, after)) = rest.split_once('=') {
        let value = match after.starts_with('"') {
            true => {
                let mut texts = serde_json::Deserializer::from_str(after).into_iter::<String>();
                texts.next()?.ok()?;
                after.get(..texts.byte_offset())?
            }
            false => after.split(' ').next()?,
        };
        rest = after.get(value.len()..)?.trim_start();
        match name {
            "packets" => packets = value.parse().ok(),
            "streams" => streams = value.parse().ok(),
            "first" => first = parse_time(value),
            "last" => last = parse_time(value),
            "kfl" => kfl = serde_json::from_str(value).ok(),
            _ => {}
        }
    }
    let totals = Totals {
        packets: packets?,
        streams: streams?,
        first: first?,
        last: last?,
    };
    Some((totals, kfl))
}

/// A stream as its file is named: `000000017720.pcap`, of UDP `000000025277_udp.pcap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Its number on the node.
    pub number: u64,
    /// Whether it is of UDP; else of TCP.
    pub udp: bool,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:012}{}.pcap",
            self.number,
            if self.udp { "_udp" } else { "" }
        )
    }
}

impl StreamId {
    /// Reads a stream's file name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".pcap")?;
        let (digits, udp) = match name.strip_suffix("_udp") {
            Some(digits) => (digits, true),
            None => (name, false),
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            number: digits.parse().ok()?,
            udp,
        })
    }
}

/// Packets of a stream that are not in the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// How many, where that is known.
    pub packets: Option<u64>,
    /// They were before this time, in nanoseconds since the Unix epoch.
    pub before: i64,
    /// Why they are missing.
    pub cause: Cause,
}

/// Why packets are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The ring had gone round when the stream matched.
    Ring,
    /// The recorder could not take them: its queue or the disk was full.
    Lost,
}

impl Cause {
    const ALL: [Cause; 2] = [Cause::Ring, Cause::Lost];

    const fn text(self) -> &'static str {
        match self {
            Cause::Ring => " had left the ring",
            Cause::Lost => " were lost by the recorder",
        }
    }
}

/// The beginning of a stream in an object. Shown, it is the comment of its first packet:
/// `stream 000000017720.pcap; 3 packets before 2026-01-01T00:00:00.000000000Z had left the ring; continued`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStart {
    /// Which stream.
    pub id: StreamId,
    /// What is missing before it.
    pub missing: Option<Missing>,
    /// How many packets behind its last one in the object were lost by the recorder.
    pub lost_behind: u64,
    /// Whether an earlier object of the run has its beginning.
    pub continued: bool,
}

const BEHIND: &str = " packets behind its last were lost by the recorder";

impl fmt::Display for StreamStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.id)?;
        if let Some(missing) = self.missing {
            f.write_str("; ")?;
            if let Some(packets) = missing.packets {
                write!(f, "{packets} ")?;
            }
            let before = Rfc3339(missing.before);
            write!(f, "packets before {before}{}", missing.cause.text())?;
        }
        if self.lost_behind > 0 {
            write!(f, "; {}{BEHIND}", self.lost_behind)?;
        }
        if self.continued {
            f.write_str("; continued")
        } else {
            Ok(())
        }
    }
}

impl StreamStart {
    /// Reads the comment of a stream's first packet; `None` where it is none. Parts that are not
    /// known are passed over.
    #[must_use]
    pub fn parse(comment: &str) -> Option<Self> {
        let mut parts = comment.strip_prefix("stream ")?.split("; ");
        let mut start = Self {
            id: StreamId::parse(parts.next()?)?,
            missing: None,
            lost_behind: 0,
            continued: false,
        };
        for part in parts {
            if part == "continued" {
                start.continued = true;
            } else if let Some(packets) = part.strip_suffix(BEHIND) {
                start.lost_behind = packets.parse().unwrap_or(0);
            } else {
                start.missing = Missing::parse(part).or(start.missing);
            }
        }
        Some(start)
    }
}

impl Missing {
    fn parse(text: &str) -> Option<Missing> {
        let of = |cause: &Cause| Some((*cause, text.strip_suffix(cause.text())?));
        let (cause, text) = Cause::ALL.iter().find_map(of)?;
        let (packets, before) = text.split_once("packets before ")?;
        let packets = match packets.trim_end() {
            "" => None,
            number => Some(number.parse().ok()?),
        };
        Some(Missing {
            packets,
            before: parse_time(before)?,
            cause,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Hour;

    #[test]
    fn an_object_says_what_it_is_and_is_understood() {
        let name = ObjectName {
            cluster: "a \"b\" first=2".into(),
            recording: "http or dns".into(),
            hour: Hour::of(0),
            node: "n\n1".into(),
            run: 0xab,
            seq: 7,
            replaces: None,
        };
        let totals = Totals {
            packets: 3,
            streams: 2,
            first: 1_700_000_000_123_456_789,
            last: 1_700_000_009_000_000_000,
        };
        let about = About {
            name: &name,
            kfl: "http and path == \"/\" packets=9",
            interfaces: &[],
            totals,
            payload: Payload::First(0),
        };
        let line = about.to_string();
        assert_eq!(
            line,
            "gillnet cluster=\"a \\\"b\\\" first=2\" node=\"n\\n1\" run=00000000000000ab seq=7 recording=\"http or dns\" \
             packets=3 streams=2 first=2023-11-14T22:13:20.123456789Z last=2023-11-14T22:13:29.000000000Z \
             payload=headers kfl=\"http and path == \\\"/\\\" packets=9\""
        );
        let kfl = "http and path == \"/\" packets=9".to_owned();
        assert_eq!(parse_about(&line), Some((totals, Some(kfl))));
        assert_eq!(parse_totals("made by somebody else=1"), None);
        assert_eq!(parse_totals("gillnet cluster=\"x packets=1"), None);
    }

    #[test]
    fn a_filter_of_any_length_leaves_the_totals_readable() {
        let name = ObjectName {
            cluster: String::new(),
            recording: String::new(),
            hour: Hour::of(0),
            node: String::new(),
            run: 0,
            seq: 0,
            replaces: None,
        };
        let kfl = "ä".repeat(60_000);
        let line = About {
            name: &name,
            kfl: &kfl,
            interfaces: &[],
            totals: Totals::default(),
            payload: Payload::Full,
        }
        .to_string();
        assert!(line.len() < usize::from(u16::MAX));
        assert_eq!(parse_totals(&line), Some(Totals::default()));
    }

    #[test]
    fn stream_comments_round_trip() {
        let some = |packets, cause| {
            Some(Missing {
                packets,
                before: 1_700_000_000_000_000_001,
                cause,
            })
        };
        let missing = [
            None,
            some(Some(12), Cause::Ring),
            some(None, Cause::Ring),
            some(Some(1), Cause::Lost),
        ];
        for (udp, continued) in [(false, false), (true, true), (true, false)] {
            for (missing, lost_behind) in missing.into_iter().flat_map(|m| [(m, 0), (m, 3)]) {
                let start = StreamStart {
                    id: StreamId { number: 17720, udp },
                    missing,
                    lost_behind,
                    continued,
                };
                let text = start.to_string();
                assert_eq!(StreamStart::parse(&text), Some(start), "{text}");
            }
        }
        let start = StreamStart {
            id: StreamId {
                number: 25277,
                udp: true,
            },
            missing: None,
            lost_behind: 0,
            continued: true,
        };
        assert_eq!(start.to_string(), "stream 000000025277_udp.pcap; continued");
        let start = StreamStart {
            missing: some(None, Cause::Ring),
            lost_behind: 2,
            continued: false,
            ..start
        };
        assert_eq!(
            start.to_string(),
            "stream 000000025277_udp.pcap; packets before 2023-11-14T22:13:20.000000001Z had left the ring; \
             2 packets behind its last were lost by the recorder"
        );
        assert_eq!(StreamStart::parse("stream x.pcap"), None);
        assert_eq!(StreamStart::parse("a comment of somebody"), None);
        assert_eq!(StreamId::parse("18446744073709551616.pcap"), None);
    }
}
