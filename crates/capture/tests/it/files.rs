//! Packed captures, archives, folders and patterns: the same frames in whatever they are packed.

use std::{
    fs::{self, File},
    io::{Cursor, Write},
    path::Path,
    process::{Command, Stdio},
};

use gillnet_capture::{
    Error, Event, Input, Interface, LinkType, PacketDirection, expand, open_files, open_merged,
    write::{
        PacketBlock, PcapResolution, PcapWriter, SectionBlock, interface_block, packet_block,
        section_block,
    },
};

use crate::captures::{Seen, folder, read_all};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A tar archive made by the program of that name.
fn tar(dir: &Path, archive: &Path, members: &[&str]) {
    let done = Command::new("tar")
        .arg("-C")
        .arg(dir)
        .arg("-cf")
        .arg(archive)
        .args(members)
        .status()
        .unwrap();
    assert!(done.success());
}

fn frames_of(inputs: Vec<Input>) -> (Vec<Seen>, Vec<Error>) {
    read_all(&mut *open_files(inputs).unwrap())
}

fn frames_in(path: &Path) -> Vec<Seen> {
    let (frames, errors) = frames_of(vec![Input::File(path.to_owned())]);
    assert!(errors.is_empty(), "{errors:?}");
    frames
}

fn named(path: &Path) -> Vec<Input> {
    expand(&[path.display().to_string()]).unwrap()
}

fn names(inputs: &[Input]) -> Vec<String> {
    inputs
        .iter()
        .map(|input| input.name().rsplit(['/', ':']).next().unwrap().to_owned())
        .collect()
}

/// A capture of frames with these times (seconds), each holding its time.
fn pcap(times: &[u32]) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new(), PcapResolution::Nano).unwrap();
    for time in times {
        let ts = i64::from(*time) * 1_000_000_000;
        assert!(
            writer
                .frame(ts, LinkType::Ethernet, 100, &time.to_be_bytes())
                .unwrap()
        );
    }
    writer.into_inner()
}

fn times(frames: &[Seen]) -> Vec<u32> {
    frames
        .iter()
        .map(|frame| (frame.ts / 1_000_000_000) as u32)
        .collect()
}

#[test]
fn packed_is_as_plain() {
    let dir = tempfile::tempdir().unwrap();
    for file in [
        "mixed/pcapng-test-generator__test018.pcapng",
        "http1/pcpp__4khttprequests.pcap",
    ] {
        let plain = fs::read(folder().join(file)).unwrap();
        let expected = frames_in(&folder().join(file));
        assert!(!expected.is_empty());
        let cut = plain.len() / 3;
        let (first, second) = plain.split_at(cut);
        let packed = [
            gzip(&plain),
            // several members, one of them empty
            [gzip(first), gzip(&[]), gzip(second)].concat(),
            zstd(&plain),
            // several frames, and one that is to be skipped
            [
                zstd(first),
                vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3],
                zstd(second),
            ]
            .concat(),
            plain.clone(),
        ];
        for (number, packed) in packed.into_iter().enumerate() {
            // names and their endings mean nothing
            let path = dir.path().join(format!("{number}.txt"));
            fs::write(&path, &packed).unwrap();
            assert!(frames_in(&path) == expected, "{file} {number}");
            let reader = Box::new(Cursor::new(packed));
            let (frames, errors) = frames_of(vec![Input::Reader {
                name: "object".to_owned(),
                reader,
            }]);
            assert!(
                frames == expected && errors.is_empty(),
                "{file} {number}: {errors:?}"
            );
        }
    }
}

#[test]
fn what_is_packed_and_cut_short_gives_what_was_before() {
    let plain = pcap(&(0..50_000).collect::<Vec<_>>());
    for (packed, has_checksum) in [(gzip(&plain), true), (zstd(&plain), false)] {
        let cut = packed[..packed.len() / 2].to_vec();
        let (frames, errors) = frames_of(vec![Input::Reader {
            name: "cut".to_owned(),
            reader: Box::new(Cursor::new(cut)),
        }]);
        assert!(
            frames.len() > 10_000 && frames.len() < 50_000,
            "{}",
            frames.len()
        );
        assert!(
            matches!(&errors[..], [Error::Truncated { .. }]),
            "{errors:?}"
        );
        let mut broken = packed;
        let middle = broken.len() / 2;
        for byte in &mut broken[middle..middle + 64] {
            *byte ^= 0x5a;
        }
        let (_, errors) = frames_of(vec![Input::Reader {
            name: "broken".to_owned(),
            reader: Box::new(Cursor::new(broken)),
        }]);
        assert!(!errors.is_empty() || !has_checksum);
    }
}

#[test]
fn several_files_have_positions_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let parts: Vec<Input> = (0..5u32)
        .map(|number| {
            let path = dir.path().join(number.to_string());
            fs::write(&path, pcap(&[number * 2, number * 2 + 1])).unwrap();
            Input::File(path)
        })
        .collect();
    let mut source = open_files(parts).unwrap();
    let store = source.store().unwrap();
    let mut positions = Vec::new();
    while let Event::Frame(frame) = source.next().unwrap() {
        positions.push((frame.pos, frame.data.to_vec()));
    }
    assert!(positions.is_sorted_by(|first, second| first.0 < second.0));
    // frames of all files can be read again, in any order
    for (number, (pos, data)) in positions.iter().enumerate().rev() {
        assert_eq!(store.get(*pos, 4), Some(&data[..]));
        let frame = store.frame(*pos).unwrap();
        assert_eq!(
            (frame.ts, frame.data, frame.wire_len),
            (number as i64 * 1_000_000_000, &data[..], 100)
        );
        let mut copy = Vec::new();
        assert_eq!(store.copy_frame(*pos, &mut copy).unwrap().ts, frame.ts);
        assert_eq!(copy, *data);
    }
    assert_eq!(source.interfaces().len(), 1, "they look alike");
    assert_eq!(source.stats().files, 5);
    // the store lives longer than the source
    drop(source);
    assert!(store.frame(positions[0].0).is_some());
}

#[test]
fn files_that_overlap_are_merged_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        Input::File(path)
    };
    // side by side, one within another, one behind the others, one with a clock that steps back, and none of any use
    let parts: [&[u32]; 6] = [
        &[50, 60, 70],
        &[1, 3, 5, 7, 9, 60],
        &[2, 4, 6, 8],
        &[4, 5],
        &[20, 30, 25, 40],
        &[],
    ];
    let merged = [
        1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9, 20, 30, 25, 40, 50, 60, 60, 70,
    ];
    type Pack = fn(&[u8]) -> Vec<u8>;
    let packs: [(Pack, bool); 3] = [(<[u8]>::to_vec, true), (gzip, false), (zstd, false)];
    for (pack, is_mapped) in packs {
        let inputs = || {
            let files = parts.iter().enumerate();
            let mut files: Vec<_> = files
                .map(|(at, times)| file(&at.to_string(), &pack(&pcap(times))))
                .collect();
            files.push(file("damaged", b"no capture at all"));
            files
        };
        let mut source = open_merged(inputs()).unwrap();
        let store = source.store();
        assert_eq!(store.is_some(), is_mapped);
        let (frames, errors) = read_all(&mut *source);
        assert_eq!(times(&frames), merged);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(source.stats().files, 7);
        assert_eq!(source.stats().frames, merged.len() as u64);
        assert_eq!(source.interfaces().len(), 1, "they look alike");
    }
    // those on mapped files are found again by their positions
    let files = parts.iter().enumerate();
    let files = files.map(|(at, times)| file(&at.to_string(), &pcap(times)));
    let mut source = open_merged(files.collect()).unwrap();
    let store = source.store().unwrap();
    let mut positions = Vec::new();
    while let Event::Frame(frame) = source.next().unwrap() {
        positions.push((frame.pos, frame.ts, frame.data.to_vec()));
    }
    for (pos, ts, data) in positions {
        let frame = store.frame(pos).unwrap();
        assert_eq!((frame.ts, frame.data), (ts, &data[..]));
    }
}

#[test]
fn rotated_files_are_opened_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let packed: Vec<Input> = (0..600u32)
        .rev()
        .map(|number| {
            let path = dir.path().join(format!("{number}.pcap.gz"));
            fs::write(&path, gzip(&pcap(&[number * 2, number * 2 + 1]))).unwrap();
            Input::File(path)
        })
        .collect();
    let mut source = open_merged(packed).unwrap();
    let mut seen = 0;
    while let Event::Frame(frame) = source.next().unwrap() {
        assert_eq!(frame.ts, seen * 1_000_000_000);
        seen += 1;
        // of the next file nothing is read before its time
        assert!(source.stats().files <= (seen as u64).div_ceil(2) + 1);
    }
    assert_eq!(seen, 1200);
}

#[test]
fn more_files_than_are_open_at_a_time_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let packed: Vec<Input> = (0..300u32)
        .map(|number| {
            let path = dir.path().join(format!("{number}.pcap.gz"));
            fs::write(&path, gzip(&pcap(&[number, 1000]))).unwrap();
            Input::File(path)
        })
        .collect();
    let (frames, errors) = read_all(&mut *open_merged(packed).unwrap());
    assert_eq!(frames.len(), 600);
    let [Error::TooManyAtOnce { file, limit: 256 }] = &errors[..] else {
        panic!("{errors:?}");
    };
    assert!(file.ends_with("256.pcap.gz"), "{file}");
}

#[test]
fn files_are_read_in_the_order_given_and_those_of_a_folder_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("in/deeper")).unwrap();
    fs::write(path("in/a.pcap"), pcap(&[30, 31])).unwrap();
    fs::write(path("in/b.gz"), gzip(&pcap(&[10]))).unwrap();
    fs::write(path("in/c"), pcap(&[])).unwrap();
    fs::write(path("in/deeper/d.pcap"), pcap(&[20])).unwrap();
    fs::write(path("in/README"), "no capture").unwrap();
    fs::write(path("in/empty"), "").unwrap();
    fs::write(path("in/e.gz"), gzip(b"no capture either, but packed")).unwrap();
    let inputs = named(&path("in"));
    assert_eq!(names(&inputs), ["c", "b.gz", "d.pcap", "a.pcap"]);
    let (frames, errors) = frames_of(inputs);
    assert_eq!(times(&frames), [10, 20, 30, 31]);
    assert!(errors.is_empty(), "{errors:?}");
    // given by name: in that order
    let given = ["in/a.pcap", "in/b.gz"].map(|name| path(name).display().to_string());
    assert_eq!(times(&frames_of(expand(&given).unwrap()).0), [30, 31, 10]);
    // by patterns
    assert_eq!(names(&named(&path("in/*.pcap"))), ["a.pcap"]);
    assert_eq!(names(&named(&path("in/**/*.pcap"))), ["d.pcap", "a.pcap"]);
    assert_eq!(names(&named(&path("in/[ab].*"))), ["b.gz", "a.pcap"]);
    assert_eq!(names(&named(&path("in/?"))), ["c"]);
    // a file whose name looks like a pattern
    fs::write(path("in/[x]"), pcap(&[5])).unwrap();
    assert_eq!(times(&frames_of(named(&path("in/[x]"))).0), [5]);
    let refused = |arg: &str| expand(&[path(arg).display().to_string()]).unwrap_err();
    assert!(matches!(
        refused("in/*.nothing"),
        Error::NothingThere { .. }
    ));
    assert!(matches!(refused("not there"), Error::Open { .. }));
    assert!(matches!(refused("in/***"), Error::Pattern { position, .. } if position > 1));
    fs::create_dir(path("none")).unwrap();
    assert!(matches!(refused("none"), Error::NothingThere { .. }));
    assert!(matches!(
        open_files(Vec::new()),
        Err(Error::NothingThere { .. })
    ));
    assert!(matches!(
        &expand(&["-".to_owned()]).unwrap()[..],
        [Input::Stdin]
    ));
}

#[test]
fn members_of_archives() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let long = "n".repeat(120);
    fs::create_dir(path("sub")).unwrap();
    for (name, bytes) in [
        ("late.pcap", pcap(&[50, 51])),
        ("early.pcap", pcap(&[1])),
        ("sub/middle.gz", gzip(&pcap(&[20]))),
        ("notes.txt", b"no capture".to_vec()),
        (&long[..], pcap(&[30])),
    ] {
        fs::write(path(name), bytes).unwrap();
    }
    let all = ["late.pcap", "sub", "early.pcap", "notes.txt", &long[..]];
    tar(dir.path(), &path("all.tar"), &all);
    fs::write(path("all.tgz"), gzip(&fs::read(path("all.tar")).unwrap())).unwrap();
    fs::write(
        path("all.tar.zst"),
        zstd(&fs::read(path("all.tar")).unwrap()),
    )
    .unwrap();
    for archive in ["all.tar", "all.tgz", "all.tar.zst"] {
        let inputs = named(&path(archive));
        assert_eq!(
            names(&inputs),
            ["early.pcap", "middle.gz", &long, "late.pcap"],
            "{archive}"
        );
        let (frames, errors) = frames_of(inputs);
        assert_eq!(times(&frames), [1, 20, 30, 50, 51], "{archive}");
        assert!(errors.is_empty(), "{errors:?}");
        // as a stream the members come as they stand
        let reader = Box::new(File::open(path(archive)).unwrap());
        let (frames, _) = frames_of(vec![Input::Reader {
            name: "object".to_owned(),
            reader,
        }]);
        assert_eq!(times(&frames), [50, 51, 20, 1, 30], "{archive}");
        let (frames, _) = frames_of(vec![Input::File(path(archive))]);
        assert_eq!(times(&frames), [50, 51, 20, 1, 30], "{archive}");
    }
    // where nothing is packed the members are mapped
    tar(dir.path(), &path("plain.tar"), &["late.pcap", "early.pcap"]);
    let mut source = open_files(named(&path("plain.tar"))).unwrap();
    assert!(source.store().is_some());
    assert_eq!(times(&read_all(&mut *source).0), [1, 50, 51]);
    // an archive among other files, and one inside a folder
    let given = ["plain.tar", "all.tgz"].map(|name| path(name).display().to_string());
    assert_eq!(
        times(&frames_of(expand(&given).unwrap()).0),
        [1, 50, 51, 1, 20, 30, 50, 51]
    );
    tar(dir.path(), &path("notes.tar"), &["notes.txt"]);
    assert!(matches!(
        expand(&[path("notes.tar").display().to_string()]),
        Err(Error::NothingThere { .. })
    ));
}

#[test]
fn a_damaged_archive_gives_what_was_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["a", "b", "c"] {
        fs::write(path(name), pcap(&(0..4000).collect::<Vec<_>>())).unwrap();
    }
    tar(dir.path(), &path("all.tar"), &["a", "b", "c"]);
    let archive = fs::read(path("all.tar")).unwrap();
    // in the header of the third member; inside the second member; packed and cut
    let mut broken = archive.clone();
    let third = archive
        .chunks(512)
        .position(|block| block.starts_with(b"c\0\0\0\0\0\0\0\0"))
        .unwrap()
        * 512;
    broken[third + 3] = b'x';
    fs::write(path("broken"), broken).unwrap();
    fs::write(path("cut"), &archive[..third / 4 * 3]).unwrap();
    let packed = gzip(&archive);
    fs::write(path("packed"), &packed[..packed.len() / 2]).unwrap();
    for (name, kind) in [
        ("broken", "Read"),
        ("cut", "Truncated"),
        ("packed", "Truncated"),
    ] {
        let (frames, errors) = frames_of(named(&path(name)));
        assert!(
            (4000..=8000).contains(&frames.len()),
            "{name}: {}",
            frames.len()
        );
        let text = format!("{errors:?}");
        assert!(
            !errors.is_empty() && text.contains(kind) && text.contains(&format!("/{name}")),
            "{name}: {text}"
        );
    }
    // a file that only begins like a packed one is told when it is read
    fs::write(path("no.gz"), [0x1f, 0x8b, 1, 2, 3]).unwrap();
    let (frames, errors) = frames_of(named(&path("no.gz")));
    assert!(
        frames.is_empty() && matches!(&errors[..], [Error::Read { .. }]),
        "{errors:?}"
    );
}

/// More members out of order than an archive is read anew for.
#[test]
fn an_archive_in_reverse_order_is_read_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let members: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    for (number, name) in members.iter().enumerate() {
        fs::write(dir.path().join(name), pcap(&[1000 - number as u32])).unwrap();
    }
    let archive = dir.path().join("a.tar");
    tar(
        dir.path(),
        &archive,
        &members.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert_eq!(
        times(&frames_of(named(&archive)).0),
        (961..=1000).collect::<Vec<_>>()
    );
    let packed = dir.path().join("a.tgz");
    fs::write(&packed, gzip(&fs::read(&archive).unwrap())).unwrap();
    assert_eq!(
        times(&frames_of(named(&packed)).0),
        (961..=1000).rev().collect::<Vec<_>>()
    );
}

#[test]
fn what_can_not_be_read_is_said_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("text"), "this is no capture").unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("good"), pcap(&[7])).unwrap();
    let files = ["text", "gone", "empty", "good"].map(|name| Input::File(path(name)));
    let mut source = open_files(Vec::from(files)).unwrap();
    let (frames, errors) = read_all(&mut *source);
    assert_eq!(times(&frames), [7]);
    let [
        Error::Magic { begins, .. },
        Error::Open { .. },
        Error::Truncated { had: 0, .. },
    ] = &errors[..]
    else {
        panic!("{errors:?}");
    };
    assert_eq!(begins, "74 68 69 73 20 69 73 20");
    let stats = source.stats();
    assert_eq!(
        (stats.files, stats.files_damaged, stats.truncated),
        (4, 3, 1)
    );
}

/// A file that others cut while it is read is an error, not the end of the process.
#[test]
fn a_file_that_becomes_shorter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shrinking");
    fs::write(&path, pcap(&(0..200_000).collect::<Vec<_>>())).unwrap();
    let mut source = open_files(vec![Input::File(path.clone())]).unwrap();
    let store = source.store().unwrap();
    let Event::Frame(frame) = source.next().unwrap() else {
        panic!("no frame")
    };
    assert_eq!(frame.ts, 0);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100_000)
        .unwrap();
    let mut frames = 0;
    let error = loop {
        match source.next() {
            Ok(Event::Frame(_)) => frames += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Shrank { .. }), "{error}");
    // what is left of the last page reads as zeros, too
    assert!((4999..5999).contains(&frames), "{frames}");
    assert!(matches!(source.next(), Ok(Event::End)));
    // what was there may be gone, but asking for it does no harm
    let _ = store.get(store.head() - 10, 10);
}

#[test]
fn a_large_file_stays_small_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    let mut file = File::create(&path).unwrap();
    let mut writer = PcapWriter::new(&mut file, PcapResolution::Micro).unwrap();
    let data = vec![3; 64 << 10];
    for second in 0..2000 {
        writer
            .frame(second * 1_000_000_000, LinkType::Ethernet, 65_536, &data)
            .unwrap();
    }
    let resident = || {
        let status = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("Rss:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let before = resident();
    let mut source = open_files(vec![Input::File(path)]).unwrap();
    let (mut frames, mut most, mut sum) = (0u32, 0, 0u64);
    while let Event::Frame(frame) = source.next().unwrap() {
        sum += frame
            .data
            .iter()
            .step_by(4096)
            .map(|byte| u64::from(*byte))
            .sum::<u64>();
        frames += 1;
        if frames % 100 == 0 {
            most = most.max(resident());
        }
    }
    assert_eq!((frames, sum), (2000, 2000 * 16 * 3));
    // 125 MiB were touched; what is kept is what may lie behind, and one step
    assert!(
        most < before + (72 << 10),
        "{before} KiB grew to {most} KiB"
    );
}

/// Not a test by itself: what `standard_input` runs.
#[test]
#[ignore = "run by `standard_input`"]
fn read_standard_input() {
    let (frames, errors) = frames_of(expand(&["-".to_owned()]).unwrap());
    println!("read {:?} {}", times(&frames), errors.len());
}

#[test]
fn standard_input() {
    for bytes in [pcap(&[4, 5]), gzip(&pcap(&[4, 5]))] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "files::read_standard_input",
                "--nocapture",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("read [4, 5] 0"), "{text}");
    }
}

/// Everything that a pcapng section can say comes back.
#[test]
fn pcapng_as_written() {
    let mut bytes = Vec::new();
    let section = SectionBlock {
        os: Some("Linux"),
        application: Some("test"),
        ..SectionBlock::default()
    };
    let interface = |name: &str, link| Interface {
        name: name.to_owned(),
        link,
        description: "of a test".to_owned(),
        snaplen: 500,
    };
    let interfaces = [
        interface("eth0", LinkType::Ethernet),
        interface("tun0", LinkType::Raw),
    ];
    let comments = [None, Some("short"), Some("größer"), Some("")];
    let directions = [
        PacketDirection::Unknown,
        PacketDirection::In,
        PacketDirection::Out,
    ];
    let mut expected = Vec::new();
    for round in 0..2 {
        section_block(&mut bytes, &section);
        interfaces
            .iter()
            .for_each(|interface| interface_block(&mut bytes, interface));
        for number in 0..24usize {
            let data = vec![number as u8; number];
            let comment = comments[number % 4];
            let packet = PacketBlock {
                iface: number as u32 % 2,
                ts: 1_700_000_000_123_456_789 + number as i64 + round,
                wire_len: 1000,
                direction: directions[number % 3],
                data: &data,
                comment,
                custom: &[],
            };
            packet_block(&mut bytes, &packet);
            expected.push((
                packet.iface,
                packet.ts,
                packet.direction,
                number,
                comment.filter(|text| !text.is_empty()),
            ));
        }
    }
    let mut source = open_files(vec![Input::Reader {
        name: "x".to_owned(),
        reader: Box::new(Cursor::new(bytes)),
    }])
    .unwrap();
    for (iface, ts, direction, len, comment) in expected {
        let Event::Frame(frame) = source.next().unwrap() else {
            panic!("a frame is missing")
        };
        assert_eq!(
            (frame.iface, frame.ts, frame.direction, frame.wire_len),
            (iface, ts, direction, 1000)
        );
        assert_eq!(
            (frame.data, frame.comment),
            (&vec![len as u8; len][..], comment)
        );
        assert_eq!(frame.link, interfaces[iface as usize].link);
    }
    assert!(matches!(source.next(), Ok(Event::End)));
    assert_eq!(
        source.interfaces(),
        interfaces,
        "both sections have the same ones"
    );
    assert_eq!(source.stats().options_malformed, 0);
}
