//! What is written is read by other programs as it was meant.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use gillnet_capture::{
    Event, Input, Interface, LinkType, PacketDirection, open_files,
    write::{
        CustomOption, PacketBlock, PcapResolution, PcapWriter, SectionBlock, ethernet_parts,
        interface_block, packet_block, section_block,
    },
};

use crate::captures::folder;

/// A line a frame of what tshark makes of it.
fn tshark(file: &Path, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-T", "fields"]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let output = command
        .output()
        .expect("tshark, which this test needs, is in the Debian package of that name");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaints}", file.display());
    assert!(
        !complaints.contains("damaged") && !complaints.contains("cut short"),
        "{complaints}"
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn tshark_reads_our_pcapng() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.pcapng");
    let mut bytes = Vec::new();
    let section = SectionBlock {
        hardware: Some("a machine"),
        os: Some("Linux"),
        application: Some("a test"),
        comment: Some("made by a test"),
    };
    section_block(&mut bytes, &section);
    for (name, link) in [("eth0", LinkType::Ethernet), ("tun0", LinkType::Raw)] {
        let interface = Interface {
            name: name.to_owned(),
            link,
            description: "described".to_owned(),
            snaplen: 1000,
        };
        interface_block(&mut bytes, &interface);
    }
    let long = "ü".repeat(40_000);
    let mut expected = Vec::new();
    for number in 0..12usize {
        let comment = [None, Some("a comment"), Some(&long[..])][number % 3];
        let (iface, data) = match number % 2 {
            0 => (
                0,
                [vec![0; 12], vec![0x08, 0x00, 0x45], vec![0; number]].concat(),
            ),
            _ => (1, [vec![0x45], vec![0; number]].concat()),
        };
        let packet = PacketBlock {
            iface,
            ts: 1_700_000_000_000_000_001 + number as i64,
            wire_len: 1400,
            direction: [
                PacketDirection::Unknown,
                PacketDirection::In,
                PacketDirection::Out,
                PacketDirection::In,
            ][number % 4],
            data: &data,
            comment,
            custom: &[CustomOption {
                pen: 32473,
                data: b"odd",
            }][..number % 2],
        };
        packet_block(&mut bytes, &packet);
        let direction = ["", "0x00000001", "0x00000002", "0x00000001"][number % 4];
        let comment = comment.map_or(0, |text| text.len().min(65_534));
        expected.push(format!(
            "{}\t{}\t1700000000.{:09}\t1400\t{}\t{direction}\t{comment}",
            iface,
            ["eth0", "tun0"][iface as usize],
            1 + number,
            data.len()
        ));
    }
    fs::write(&path, bytes).unwrap();
    let fields = [
        "frame.interface_id",
        "frame.interface_name",
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.packet_flags",
        "frame.comment",
    ];
    let lines: Vec<String> = tshark(&path, &fields)
        .into_iter()
        .map(|line| {
            let (rest, comment) = line.rsplit_once('\t').unwrap();
            // tshark writes two bytes of text as an escape of eight
            format!("{rest}\t{}", comment.replace("\\303\\274", "ü").len())
        })
        .collect();
    assert_eq!(lines, expected);
    let info = Command::new("capinfos")
        .arg(&path)
        .output()
        .expect("capinfos, of Debian's wireshark-common");
    let info = String::from_utf8_lossy(&info.stdout);
    for text in [
        "a machine",
        "Linux",
        "a test",
        "made by a test",
        "described",
        "nanoseconds (9)",
    ] {
        assert!(info.contains(text), "{text}: {info}");
    }
}

/// Frames of every link type we know keep their packets when they become Ethernet frames.
#[test]
fn classic_pcap_is_ethernet_with_the_same_packets() {
    let dir = tempfile::tempdir().unwrap();
    let fields = [
        "ip.src",
        "ip.dst",
        "ip.proto",
        "ip.len",
        "ipv6.src",
        "ipv6.dst",
        "ipv6.plen",
        "tcp.srcport",
        "tcp.seq_raw",
        "udp.srcport",
        "udp.length",
        "arp.src.proto_ipv4",
        "vlan.id",
    ];
    let (mut converted, mut files): (BTreeMap<String, usize>, BTreeMap<String, usize>) =
        Default::default();
    let mut paths: Vec<_> = ["mixed", "l4", "icmp", "http1", "dns"]
        .iter()
        .flat_map(|part| {
            fs::read_dir(folder().join(part))
                .unwrap()
                .map(|entry| entry.unwrap().path())
        })
        .collect();
    paths.sort();
    for path in paths {
        let mut source = open_files(vec![Input::File(path.clone())]).unwrap();
        let mut writer = PcapWriter::new(Vec::new(), PcapResolution::Nano).unwrap();
        let (mut written, mut frames, mut links) = (0, 0, BTreeMap::new());
        loop {
            match source.next() {
                Ok(Event::Frame(frame)) => {
                    frames += 1;
                    *links.entry(format!("{:?}", frame.link)).or_insert(0) += 1;
                    written += usize::from(
                        writer
                            .frame(frame.ts, frame.link, frame.wire_len, frame.data)
                            .unwrap(),
                    );
                }
                Ok(Event::Tick(_)) | Err(_) => {}
                Ok(Event::End) => break,
            }
        }
        // Ethernet is not changed; a mixture with what we do not know can't be compared line by line
        if written != frames || frames == 0 || links.len() == 1 && links.contains_key("Ethernet") {
            continue;
        }
        let kind = links.keys().cloned().collect::<Vec<_>>().join("+");
        let files_of_kind = files.entry(kind).or_insert(0);
        *files_of_kind += 1;
        if *files_of_kind > 2 {
            continue;
        }
        let out = dir.path().join("out.pcap");
        fs::write(&out, writer.into_inner()).unwrap();
        let (ours, theirs) = (tshark(&out, &fields), tshark(&path, &fields));
        if ours != theirs {
            let place = ours
                .iter()
                .zip(&theirs)
                .position(|(ours, theirs)| ours != theirs)
                .unwrap();
            panic!(
                "{} frame {}: {:?} for {:?}",
                path.display(),
                place + 1,
                ours[place],
                theirs[place]
            );
        }
        links
            .into_iter()
            .for_each(|(link, frames)| *converted.entry(link).or_default() += frames);
    }
    for link in ["LinuxSll", "LinuxSll2", "Raw", "Null", "Ipv4", "Ipv6"] {
        assert!(
            converted.contains_key(link),
            "no capture with {link} was converted: {converted:?}"
        );
    }
}

#[test]
fn times_of_classic_pcap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("times.pcap");
    for (resolution, expected) in [
        (
            PcapResolution::Micro,
            [
                "1700000000.123456000",
                "0.000000000",
                "4294967295.000000000",
            ],
        ),
        (
            PcapResolution::Nano,
            [
                "1700000000.123456789",
                "0.000000000",
                "4294967295.000000000",
            ],
        ),
    ] {
        let mut writer = PcapWriter::new(Vec::new(), resolution).unwrap();
        for ts in [1_700_000_000_123_456_789, -5, 5_000_000_000_000_000_000] {
            writer.frame(ts, LinkType::Ethernet, 60, &[0; 60]).unwrap();
        }
        assert!(
            !writer.frame(0, LinkType::Other(147), 1, &[0]).unwrap(),
            "it has no form on Ethernet"
        );
        assert!(
            !writer.frame(0, LinkType::LinuxSll, 10, &[0; 10]).unwrap(),
            "its header is cut"
        );
        assert!(
            !writer.frame(0, LinkType::Raw, 10, &[0xf0; 10]).unwrap(),
            "it is no IP"
        );
        fs::write(&path, writer.into_inner()).unwrap();
        assert_eq!(tshark(&path, &["frame.time_epoch"]), expected);
    }
}

#[test]
fn address_families_of_loopback() {
    let types = |link, family: [u8; 4], packet: &[u8]| {
        let frame = [&family[..], packet].concat();
        let (head, body) = ethernet_parts(link, &frame)?;
        assert_eq!(body, packet);
        head.map(|head| u16::from_be_bytes([head[12], head[13]]))
    };
    for (family, expected) in [
        (2u32, 0x0800),
        (10, 0x86dd),
        (24, 0x86dd),
        (28, 0x86dd),
        (30, 0x86dd),
    ] {
        assert_eq!(
            types(LinkType::Loop, family.to_be_bytes(), &[9]),
            Some(expected)
        );
        assert_eq!(
            types(LinkType::Null, family.to_be_bytes(), &[9]),
            Some(expected)
        );
        assert_eq!(
            types(LinkType::Null, family.to_le_bytes(), &[9]),
            Some(expected)
        );
    }
    // a family that is not known: the packet itself tells
    assert_eq!(types(LinkType::Null, [99, 0, 0, 0], &[0x45]), Some(0x0800));
    assert_eq!(types(LinkType::Null, [99, 0, 0, 0], &[0x11]), None);
}
