//! Captures cut, swapped, doubled and with losses: entries are the same, or say what is missing.

use crate::fixtures;
use gillnet_entry::drops::Reason;
use gillnet_testkit::{Exchange, Outcome, Packet, Packets, pcap};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Swaps after which a capture reads differently: fixture, first of the two packets, why.
const SWAPS: &[(&str, usize, &str)] = &[(
    "nginx_and_python.pcap",
    13,
    "a response is captured before its HEAD request, so that what follows counts as its body",
)];

/// An entry without what only tells in which order entries came.
fn content(exchange: &Exchange) -> Value {
    let mut entry: Value = serde_json::from_str(&exchange.json).unwrap();
    let fields = entry.as_object_mut().unwrap();
    for order in ["id", "index", "stream", "entryFile"] {
        fields.shift_remove(order).unwrap();
    }
    entry
}

/// The entries' contents, in an order that depends on nothing else.
fn contents(outcome: &Outcome, of: impl Fn(&Exchange) -> Value) -> Vec<String> {
    let mut all: Vec<_> = outcome
        .exchanges
        .iter()
        .map(|e| of(e).to_string())
        .collect();
    all.sort();
    all
}

/// An entry's content without bodies.
fn head(exchange: &Exchange) -> Value {
    let mut entry = content(exchange);
    for (half, body) in [("request", "postData"), ("response", "content")] {
        if let Some(half) = entry[half].as_object_mut() {
            half.shift_remove(body);
        }
    }
    entry
}

/// Entries are equal, each as often as it occurs.
fn same(whole: &[String], other: &[String], how: &str) {
    for (whole, other) in whole.iter().zip(other) {
        assert!(other == whole, "{how}: {}", difference(other, whole));
    }
    assert_eq!(other.len(), whole.len(), "{how}");
}

/// Two texts from a little before where they part.
fn difference(one: &str, other: &str) -> String {
    let same = one
        .bytes()
        .zip(other.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let part = |text: &str| {
        let rest = text
            .as_bytes()
            .get(same.saturating_sub(100)..)
            .unwrap_or_default();
        String::from_utf8_lossy(rest)
            .chars()
            .take(300)
            .collect::<String>()
    };
    format!("\n{}\ninstead of\n{}", part(one), part(other))
}

/// A fixture.
struct Fixture {
    name: String,
    packets: Packets,
    whole: Outcome,
    contents: Vec<String>,
}

impl Fixture {
    /// The packets give the same entries as those of the capture.
    fn agrees(&self, packets: &Packets, how: &str) {
        same(
            &self.contents,
            &contents(&packets.outcome(), content),
            &format!("{} {how}", self.name),
        );
    }
}

/// Every fixture, read from its file and packet by packet: both are the same.
fn every_fixture() -> impl Iterator<Item = Fixture> {
    fixtures().into_iter().map(|path| {
        let packets = Packets::of(&path);
        let whole = pcap(&path).outcome("");
        let fixture = Fixture {
            name: path
                .file_name()
                .map(Path::new)
                .unwrap()
                .display()
                .to_string(),
            contents: contents(&whole, content),
            packets,
            whole,
        };
        assert!(
            !fixture.contents.is_empty(),
            "{} has no entry",
            fixture.name
        );
        fixture.agrees(&fixture.packets, "packet by packet");
        fixture
    })
}

#[test]
fn byte_by_byte() {
    for fixture in every_fixture() {
        let bytes = fixture
            .packets
            .cut(|p| (1..p.payload.len()).collect())
            .outcome();
        // bodies in more pieces than are kept are cut, which is counted
        let cut = bytes.drops.get(Reason::BodyLimit) > 0;
        let of = if cut { head } else { content };
        same(
            &contents(&fixture.whole, of),
            &contents(&bytes, of),
            &format!("{} byte by byte", fixture.name),
        );
    }
}

#[test]
fn cut_in_two() {
    for fixture in every_fixture() {
        let packets = &fixture.packets;
        fixture.agrees(&packets.cut(|_| vec![1]), "behind the first byte");
        fixture.agrees(
            &packets.cut(|p| vec![p.payload.len().saturating_sub(1)]),
            "before the last byte",
        );
        for (at, packet) in packets
            .0
            .iter()
            .enumerate()
            .filter(|(_, p)| p.tcp.is_some())
        {
            let half = packet.payload.len() / 2;
            let cuts = |p: &Packet| {
                if std::ptr::eq(p, packet) {
                    vec![half]
                } else {
                    Vec::new()
                }
            };
            fixture.agrees(&packets.cut(cuts), &format!("with packet {at} in two"));
        }
    }
}

#[test]
fn swapped_and_doubled() {
    for fixture in every_fixture() {
        fixture.agrees(&fixture.packets.doubled(), "doubled");
        for at in 0..fixture.packets.0.len() {
            let Some(swapped) = fixture.packets.swapped(at) else {
                continue;
            };
            if SWAPS
                .iter()
                .any(|(name, first, _)| *name == fixture.name && *first == at)
            {
                let stale = contents(&swapped.outcome(), content) == fixture.contents;
                assert!(
                    !stale,
                    "{} swapped at {at} makes no difference",
                    fixture.name
                );
            } else {
                fixture.agrees(&swapped, &format!("swapped at {at}"));
            }
        }
    }
}

#[test]
fn lost() {
    for fixture in every_fixture() {
        for (at, packet) in fixture.packets.0.iter().enumerate() {
            if packet.wire > 0 && is_missed(&fixture.packets, at) {
                let rest = fixture.packets.without(at).outcome();
                let how = format!("{} without packet {at}", fixture.name);
                without(&fixture.whole, &rest, packet, &how);
            }
        }
    }
}

/// Whether a packet brings new bytes, and others show that they are missing without it: one before it where they stand,
/// one behind it that they were sent.
fn is_missed(packets: &Packets, at: usize) -> bool {
    let (before, packet, after) = (&packets.0[..at], &packets.0[at], &packets.0[at + 1..]);
    let again = before.iter().any(|p| p.reaches(packet));
    !again && before.iter().any(|p| p.places(packet)) && after.iter().any(|p| p.proves(packet))
}

/// Exchanges behind a lost request that may read differently, and say so: its response and those that follow come
/// before further requests, which wait for the lost bytes; one to HEAD then takes the next for its body.
const MISREAD: usize = 2;

/// What is there without a packet: the gap is counted, what ran while it was sent says what it misses, and what did not
/// run then is as it was.
fn without(whole: &Outcome, rest: &Outcome, lost: &Packet, how: &str) {
    let gaps = |outcome: &Outcome| outcome.drops.get(Reason::Gap);
    // it may lie beside one that was there
    let enough = gaps(whole).max(1);
    assert!(gaps(rest) >= enough, "{how}: the gap is not counted");
    let mut left = BTreeMap::<String, (i32, bool)>::new();
    for exchange in &rest.exchanges {
        let text = content(exchange).to_string();
        left.entry(text).or_insert((0, exchange.marked)).0 += 1;
    }
    let mut misread = 0;
    for exchange in &whole.exchanges {
        let text = content(exchange).to_string();
        if let Some((count, _)) = left.get_mut(&text).filter(|(count, _)| *count > 0) {
            *count -= 1;
            continue;
        }
        // what has no counterpart ran for as long as one might have come
        let end = exchange.end.unwrap_or(i64::MAX);
        let ran = exchange.ts <= lost.ts && lost.ts <= end;
        let says_so = |e: &Exchange| e.ts == exchange.ts && e.marked;
        if !ran {
            misread += 1;
            let named = rest.exchanges.iter().any(says_so) && misread <= MISREAD;
            assert!(named, "{how}: gone, though it did not run then:\n{text}");
        }
    }
    for (text, (count, marked)) in left {
        assert!(
            count == 0 || marked,
            "{how}: differs and does not say so:\n{text}"
        );
    }
}
