//! Packet objects: what other programs read in them, and what damage does.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use gillnet_bucket::layout::Payload;
use gillnet_bucket::packets::{
    About, HEAD_BYTES, Packet, PacketWriter, StreamId, StreamStart, Totals, Unpacker, read_about,
};
use gillnet_capture::PacketDirection;
use sha2::{Digest, Sha256};

use super::frames::{T0, frame, interfaces, name, object, stream};

fn tshark(file: &Path, arguments: &[&str]) -> String {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(arguments)
        .output()
        .expect("tshark is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for word in ["damaged", "cut short", "corrupt"] {
        assert!(!said.contains(word), "{said}");
    }
    String::from_utf8(output.stdout).unwrap()
}

fn unpacked(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Unpacker::new(bytes).read_to_end(&mut out).map(|_| out)
}

#[test]
fn other_programs_read_an_object_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("object.pcapng.gz");
    let mut streams: Vec<_> = (0..300)
        .map(|n| stream(n, (0..n % 7).map(|p| (p, T0 + (n * 10 + p) as i64 * 1_000))))
        .collect();
    streams.push(
        stream(1000, (0..5000).map(|p| (p, T0 + p as i64)))
            .of_size(600)
            .missing(12, T0 - 1),
    );
    streams.push(stream(1001, [(7, T0 + 5)]).continued());
    let object_name = name("http or dns", "node", 3, 4, T0);
    let (bytes, written) = object(&object_name, &streams);
    fs::write(&file, &bytes).unwrap();

    let packets: usize = streams.iter().map(|stream| stream.packets.len()).sum();
    assert_eq!(written.totals.packets, packets as u64);
    assert_eq!(written.packed, bytes.len() as u64);
    assert_eq!(written.sha256[..], Sha256::digest(&bytes)[..]);
    assert_eq!(
        read_about(&bytes[..bytes.len().min(HEAD_BYTES as usize)]),
        Some(written.totals)
    );

    let fields = [
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-e",
        "frame.time_epoch",
        "-e",
        "frame.interface_name",
        "-e",
        "frame.packet_flags_direction",
        "-e",
        "frame.comment",
        "-e",
        "udp.payload",
    ];
    let lines = tshark(&file, &fields);
    let mut lines = lines.lines();
    for stream in &streams {
        for (at, (number, ts)) in stream.packets.iter().enumerate() {
            let line: Vec<&str> = lines.next().unwrap().split('|').collect();
            let seconds = format!("{}.{:09}", ts / 1_000_000_000, ts % 1_000_000_000);
            let direction = if number % 2 == 0 {
                "0x00000002"
            } else {
                "0x00000001"
            };
            let comment = if at == 0 {
                stream.start.to_string()
            } else {
                String::new()
            };
            assert_eq!(line[0], seconds);
            assert_eq!(
                line[1],
                if stream.start.id.number % 2 == 0 {
                    "eth0"
                } else {
                    "eth1"
                }
            );
            assert_eq!(
                u32::from_str_radix(line[2].trim_start_matches("0x"), 16).unwrap(),
                u32::from_str_radix(&direction[2..], 16).unwrap()
            );
            assert_eq!(line[3], comment);
            let payload: String = frame(stream.start.id.number, *number, stream.size)[42..]
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(line[4], payload);
        }
    }
    assert_eq!(lines.next(), None);

    let gzip = Command::new("gzip")
        .args(["-dc"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(gzip.status.success());
    assert!(gzip.stdout == unpacked(&bytes).unwrap());
    assert_eq!(gzip.stdout.len() as u64, written.unpacked);
    let capinfos = Command::new("capinfos")
        .arg("-k")
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&capinfos.stdout);
    let about = About {
        name: &object_name,
        kfl: "http or dns",
        interfaces: &[],
        totals: written.totals,
        payload: Payload::Full,
    }
    .to_string();
    assert!(said.contains(&about), "{said}");
}

#[test]
fn tshark_reads_more_than_a_hundred_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.pcapng.gz");
    let streams: Vec<_> = (0..40)
        .map(|n| stream(n, (0..2000).map(|p| (p, T0 + (p * 40 + n) as i64 * 1000))).of_size(1400))
        .collect();
    let (bytes, written) = object(&name("r", "n", 1, 1, T0), &streams);
    assert!(written.unpacked > 100 << 20, "{written:?}");
    fs::write(&file, bytes).unwrap();
    let counted = tshark(&file, &["-T", "fields", "-e", "frame.number"]);
    assert_eq!(counted.lines().count() as u64, written.totals.packets);
    assert_eq!(
        tshark(
            &file,
            &["-Y", "_ws.malformed", "-T", "fields", "-e", "frame.number"]
        ),
        ""
    );
}

#[test]
fn streams_are_ranges_of_members() {
    // small streams share members; a large one has its own
    let small: Vec<_> = (0..2000).map(|n| stream(n, [(0, T0)])).collect();
    let (bytes, _) = object(&name("r", "n", 1, 1, T0), &small);
    let members = members(&bytes);
    assert!(
        members.iter().skip(1).all(|size| *size <= 65 << 10),
        "{members:?}"
    );
    assert!(members.len() < 10, "{members:?}");
    let mixed = [
        stream(1, [(0, T0)]),
        stream(2, (0..2000).map(|p| (p, T0))).of_size(1000),
        stream(3, [(0, T0)]),
    ];
    let (bytes, _) = object(&name("r", "n", 1, 1, T0), &mixed);
    let members = self::members(&bytes);
    let (first, last) = (members[1], members[members.len() - 1]);
    assert!(
        first < 400 && last < 400,
        "streams 1 and 3 alone: {members:?}"
    );
    assert!(
        members[2..members.len() - 1]
            .iter()
            .all(|size| *size < 260 << 10),
        "{members:?}"
    );
}

/// Unpacked sizes of the members of an object.
fn members(mut bytes: &[u8]) -> Vec<u32> {
    let mut sizes = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[..4], [0x1f, 0x8b, 8, 4]);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        sizes.push(word(20));
        bytes = &bytes[word(16) as usize..];
    }
    sizes
}

#[test]
fn what_an_object_says_of_itself_must_be_true() {
    let (object_name, interfaces) = (name("r", "n", 1, 1, T0), interfaces());
    let totals = Totals {
        packets: 2,
        streams: 1,
        first: T0,
        last: T0,
    };
    let about = About {
        name: &object_name,
        kfl: "http",
        interfaces: &interfaces,
        totals,
        payload: Payload::Full,
    };
    let data = frame(1, 1, 50);
    let packet = Packet {
        ts: T0,
        iface: 0,
        wire_len: 92,
        direction: PacketDirection::Unknown,
        data: &data,
    };
    let mut writer = PacketWriter::new(Vec::new(), &about).unwrap();
    writer
        .begin(&StreamStart {
            id: StreamId {
                number: 1,
                udp: false,
            },
            missing: None,
            lost_behind: 0,
            continued: false,
        })
        .unwrap();
    writer.packet(&packet).unwrap();
    assert_eq!(
        writer
            .packet(&Packet { iface: 2, ..packet })
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn damage_is_found_wherever_it_is() {
    let streams: Vec<_> = (0..20)
        .map(|n| stream(n, (0..40).map(|p| (p, T0))).of_size(300))
        .collect();
    let (bytes, written) = object(&name("r", "n", 1, 1, T0), &streams);
    let whole = unpacked(&bytes).unwrap();
    assert_eq!(whole.len() as u64, written.unpacked);
    for cut in (0..bytes.len()).step_by(997) {
        match unpacked(&bytes[..cut]) {
            Ok(part) => assert!(
                whole.starts_with(&part) && part.len() < whole.len(),
                "cut at {cut}"
            ),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::InvalidData
                ),
                "{error}"
            ),
        }
    }
    for at in (0..bytes.len()).step_by(499) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        // flags of the head that mean nothing may change; nothing else may pass
        if let Ok(read) = unpacked(&damaged) {
            assert!(read == whole, "byte {at}");
        }
    }
    assert_eq!(read_about(b"nothing"), None);
    assert_eq!(read_about(&[0x1f; 100]), None);
}

#[test]
fn what_gzip_packed_again_is_read_too() {
    let (bytes, _) = object(
        &name("r", "n", 1, 1, T0),
        &[stream(1, (0..9).map(|p| (p, T0)))],
    );
    let whole = unpacked(&bytes).unwrap();
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(&whole).unwrap();
    let again = gzip.wait_with_output().unwrap().stdout;
    assert!(unpacked(&again).unwrap() == whole);
    let two = [again.clone(), again].concat();
    assert_eq!(unpacked(&two).unwrap().len(), whole.len() * 2);
}
