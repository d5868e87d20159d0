//! Damaged and crafted captures: each ends, with what was right before the damage, a named error,
//! and memory that does not depend on what the file claims.

use std::{fs, io::Cursor};

use gillnet_capture::{Error, Event, Input, Source, SourceStats, open_files};

use crate::captures::{Seen, folder, read_all};

fn streamed(bytes: &[u8]) -> (Vec<Seen>, Vec<Error>, SourceStats) {
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    all(&mut *open_files(vec![Input::Reader {
        name: "file".to_owned(),
        reader,
    }])
    .unwrap())
}

fn mapped(bytes: &[u8]) -> (Vec<Seen>, Vec<Error>, SourceStats) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, bytes).unwrap();
    all(&mut *open_files(vec![Input::File(path)]).unwrap())
}

fn all(source: &mut dyn Source) -> (Vec<Seen>, Vec<Error>, SourceStats) {
    let (frames, errors) = read_all(source);
    (frames, errors, source.stats())
}

fn kinds(errors: &[Error]) -> Vec<String> {
    let kind = |error: &Error| {
        format!("{error:?}")
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    errors.iter().map(kind).collect()
}

/// Both ways of reading, which must agree.
fn both(bytes: &[u8]) -> (Vec<Seen>, Vec<Error>, SourceStats) {
    let (frames, errors, stats) = streamed(bytes);
    let (frames_mapped, errors_mapped, stats_mapped) = mapped(bytes);
    assert!(frames == frames_mapped);
    assert_eq!(kinds(&errors), kinds(&errors_mapped));
    assert_eq!(stats, stats_mapped);
    (frames, errors, stats)
}

/// 32-bit numbers, little or big endian.
struct Words(Vec<u8>, bool);

impl Words {
    fn add(mut self, words: &[u32]) -> Self {
        for word in words {
            self.0.extend(if self.1 {
                word.to_be_bytes()
            } else {
                word.to_le_bytes()
            });
        }
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// A pcap header: version 2.4, of this magic, byte order and link type.
fn pcap_head(magic: u32, big_endian: bool, link: u32) -> Words {
    let version = if big_endian { 2 << 16 | 4 } else { 4 << 16 | 2 };
    Words(Vec::new(), big_endian).add(&[magic, version, 0, 0, 65535, link])
}

/// A section and interfaces of these link types, without options.
fn pcapng_head(links: &[u32]) -> Words {
    let section =
        Words(Vec::new(), false).add(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]);
    links
        .iter()
        .fold(section, |words, link| words.add(&[1, 20, *link, 0, 20]))
}

#[test]
fn every_cut_gives_the_frames_before_it() {
    for file in [
        "mixed/pcapng-test-generator__test018.pcapng",
        "mixed/pcapng-test-generator__test018-2.pcapng",
        "dns/tcpdump__dns_tcp.pcap",
    ] {
        let whole = fs::read(folder().join(file)).unwrap();
        let whole = &whole[..whole.len().min(1500)];
        let (expected, ..) = streamed(whole);
        let mut most = 0;
        for cut in 0..whole.len() {
            let (frames, errors, stats) = both(&whole[..cut]);
            assert!(expected.starts_with(&frames), "{file} {cut}");
            most = frames.len();
            assert!(errors.iter().all(|error| !error.is_fatal()));
            assert!(
                errors.len() <= 2 && stats.truncated <= 1,
                "{file} {cut}: {errors:?}"
            );
        }
        assert!(most + 1 >= expected.len() && !expected.is_empty(), "{file}");
    }
}

#[test]
fn all_variants_of_pcap() {
    let unusual = [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)];
    for (magic, unit) in unusual {
        for big_endian in [false, true] {
            let bytes = pcap_head(magic, big_endian, 1)
                .add(&[100, 5, 3, 60])
                .bytes(b"abc")
                .add(&[101, 6, 0, 0]);
            let (frames, errors, _) = both(&bytes.0);
            assert!(errors.is_empty(), "{errors:?}");
            let [first, second] = &frames[..] else {
                panic!("{frames:?}")
            };
            assert_eq!(
                (first.ts, first.wire_len, &first.data[..]),
                (100_000_000_000 + 5 * unit, 60, &b"abc"[..])
            );
            assert_eq!(
                (second.ts, second.data.len()),
                (101_000_000_000 + 6 * unit, 0)
            );
        }
    }
    // Kuznetsov's: eight more bytes in each record's header
    let bytes = pcap_head(0xa1b2_cd34, false, 1)
        .add(&[1, 2, 3, 60, 7, 8])
        .bytes(b"abc");
    let (frames, errors, _) = both(&bytes.0);
    assert!(errors.is_empty() && frames[0].data == b"abc" && frames[0].ts == 1_000_002_000);
    // before version 2.3 the lengths stood the other way round
    let bytes = Words(Vec::new(), false)
        .add(&[0xa1b2_c3d4, 2 << 16 | 2, 0, 0, 65535, 1, 1, 2, 60, 3])
        .bytes(b"abc");
    let (frames, errors, _) = both(&bytes.0);
    assert!(errors.is_empty() && frames[0].data == b"abc" && frames[0].wire_len == 60);
    // link types above 16 bits are flags
    let (frames, errors, _) = both(
        &pcap_head(0xa1b2_c3d4, false, 0xf400_0001)
            .add(&[0, 0, 0, 0])
            .0,
    );
    assert!(errors.is_empty() && frames.len() == 1);
}

#[test]
fn wrong_heads_are_named() {
    let word = |words: &[u32]| Words(Vec::new(), false).add(words).0;
    let cases: [(Vec<u8>, &str, &str); 9] = [
        (Vec::new(), "Truncated", "cut short"),
        (vec![1], "Magic", "begins with 01"),
        (b"#!/bin/sh\n".to_vec(), "Magic", "23 21 2f"),
        (word(&[0xa1b2_c3d4]), "Truncated", "file header"),
        (
            word(&[0xa1b2_c3d4, 5 << 16 | 3, 0, 0, 0, 1]),
            "Version",
            "pcap version 3.5",
        ),
        (word(&[0x0a0d_0d0a, 28]), "Truncated", "section header"),
        (
            word(&[0x0a0d_0d0a, 28, 0x1234_5678, 1, 0, 0, 28]),
            "Block",
            "byte-order magic",
        ),
        (
            word(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 9, 0, 0, 28]),
            "Version",
            "pcapng version 9.0",
        ),
        (
            word(&[0x0a0d_0d0a, 4, 0x1a2b_3c4d, 1, 0, 0, 28]),
            "Length",
            "claims 4 bytes",
        ),
    ];
    for (bytes, kind, text) in cases {
        let (frames, errors, stats) = both(&bytes);
        assert!(frames.is_empty());
        assert_eq!(kinds(&errors), [kind]);
        assert!(
            errors[0].to_string().contains(text) && errors[0].to_string().starts_with("file: "),
            "{}",
            errors[0]
        );
        assert_eq!(stats.files_damaged, 1);
    }
}

#[test]
fn wrong_lengths_end_a_file_and_wrong_blocks_do_not() {
    // pcap: a frame that claims too much, behind one that is right
    for len in [262_145, 0x7fff_ffff, u32::MAX] {
        let bytes = pcap_head(0xa1b2_c3d4, false, 1)
            .add(&[1, 0, 1, 1])
            .bytes(b"a")
            .add(&[2, 0, len, len])
            .bytes(&[0; 999]);
        let (frames, errors, _) = both(&bytes.0);
        assert_eq!(
            (frames.len(), &kinds(&errors)[..]),
            (1, &["Length".to_owned()][..]),
            "{len}"
        );
    }
    let packet = |iface, len, total: u32| [6, total, iface, 0, 5, len, 99];
    let good = |words: Words| words.add(&packet(0, 4, 36)).bytes(b"good").add(&[36]);
    // pcapng: lengths with which the next block can't be found
    for total in [0, 4, 8, 11, 40, 0x7fff_fffc, u32::MAX] {
        let bytes = good(pcapng_head(&[1]))
            .add(&packet(0, 4, total))
            .bytes(b"evil")
            .add(&[36]);
        let (frames, errors, _) = both(&good(bytes).0);
        assert_eq!(frames.len(), 1, "{total}");
        assert!(
            matches!(
                &errors[..],
                [Error::Length { offset: 84, .. } | Error::Truncated { offset: 84, .. }]
            ),
            "{total} {errors:?}"
        );
    }
    // blocks that are wrong inside are passed over
    let wrong: [&[u32]; 6] = [
        // no such interface
        &[6, 36, 7, 0, 5, 4, 4, 0, 36],
        // the frame does not fit
        &[6, 36, 0, 0, 5, 5, 5, 0, 36],
        &[6, 36, 0, 0, 5, u32::MAX, 5, 0, 36],
        // an old packet block of no such interface
        &[2, 36, 9, 0, 5, 4, 4, 0, 36],
        // an interface whose frames nobody knows
        &[1, 20, 9999, 0, 20],
        // frames of unknown blocks
        &[0x0bad_cafe, 12, 12],
    ];
    for words in wrong {
        let bytes = good(good(pcapng_head(&[1])).add(words));
        let (frames, errors, stats) = both(&bytes.0);
        assert_eq!(frames.len(), 2, "{words:?}");
        match words[0] {
            1 => assert!(
                matches!(
                    &errors[..],
                    [Error::LinkType {
                        number: 9999,
                        iface: 1,
                        ..
                    }]
                ) && stats.interfaces_unknown == 1
            ),
            0x0bad_cafe => assert!(errors.is_empty() && stats.blocks_skipped == 1),
            _ => assert!(
                matches!(&errors[..], [Error::Block { offset: 84, .. }]),
                "{errors:?}"
            ),
        }
    }
    // simple packet blocks, with and without an interface
    let (frames, errors, _) = both(
        &good(pcapng_head(&[1]))
            .add(&[3, 20, 4])
            .bytes(b"spb!")
            .add(&[20])
            .0,
    );
    assert!(errors.is_empty() && frames[1].data == b"spb!" && frames[1].ts == frames[0].ts);
    let (frames, errors, _) = both(
        &pcapng_head(&[])
            .add(&[3, 20, 4])
            .bytes(b"spb!")
            .add(&[20])
            .0,
    );
    assert!(frames.is_empty() && matches!(&errors[..], [Error::Block { .. }]));
    // lengths that are no multiple of four, as some writers have them
    let (frames, errors, _) = both(
        &good(
            pcapng_head(&[1])
                .add(&packet(0, 2, 34))
                .bytes(b"ab\0\0")
                .add(&[34]),
        )
        .0,
    );
    assert!(
        errors.is_empty() && frames.len() == 2 && frames[0].data == b"ab",
        "{errors:?}"
    );
}

#[test]
fn malformed_options_are_counted_and_the_frame_is_kept() {
    // options: a comment that claims more than there is, flags of two bytes, a comment that is no text
    for options in [
        &[1, 0, 200, 0, 65, 66, 67, 68][..],
        &[2, 0, 2, 0, 1, 0, 0, 0],
        &[1, 0, 2, 0, 0xff, 0xfe, 0, 0],
        &[1, 0],
    ] {
        let padded = options.len().next_multiple_of(4);
        let total = 32 + padded as u32;
        let mut bytes = pcapng_head(&[1])
            .add(&[6, total, 0, 0, 5, 0, 0])
            .bytes(options)
            .0;
        bytes.resize(bytes.len() + padded - options.len(), 0);
        let bytes = Words(bytes, false).add(&[total]);
        let (frames, errors, stats) = both(&bytes.0);
        assert!(
            errors.is_empty() && frames.len() == 1 && frames[0].comment.is_none(),
            "{options:?}"
        );
        assert_eq!(
            stats.options_malformed,
            u64::from(options.len() > 2),
            "{options:?}"
        );
    }
}

#[test]
fn more_interfaces_than_are_allowed() {
    let bytes = pcapng_head(&vec![1; 20_000]);
    let (frames, errors, _) = both(&bytes.0);
    assert!(frames.is_empty());
    assert!(
        matches!(
            &errors[..],
            [Error::TooManyInterfaces { limit: 16_384, .. }]
        ),
        "{errors:?}"
    );
}

/// More sections than are noted: every frame is read, and those of the first can be found again.
#[test]
fn very_many_sections() {
    let section = pcapng_head(&[1])
        .add(&[6, 36, 0, 0, 5, 4, 4])
        .bytes(b"good")
        .add(&[36])
        .0;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sections");
    fs::write(&path, section.repeat(70_000)).unwrap();
    let mut source = open_files(vec![Input::File(path)]).unwrap();
    let store = source.store().unwrap();
    let mut positions = Vec::new();
    while let Event::Frame(frame) = source.next().unwrap() {
        assert_eq!(frame.data, b"good");
        positions.push(frame.pos);
    }
    assert_eq!((positions.len(), source.interfaces().len()), (70_000, 1));
    assert_eq!(store.frame(positions[60_000]).unwrap().data, b"good");
    assert!(store.frame(positions[69_999]).is_none());
}

/// Bytes of real captures changed at random: both readers agree and end.
#[test]
fn damaged_at_random() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % limit
    };
    let mut files = Vec::new();
    for part in ["mixed", "hostile"] {
        let mut paths: Vec<_> = fs::read_dir(folder().join(part))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        files.extend(
            paths
                .into_iter()
                .map(|path| fs::read(path).unwrap())
                .filter(|bytes| bytes.len() < 20_000),
        );
    }
    let (mut frames, mut errors) = (0, 0);
    for _ in 0..1500 {
        let mut bytes = files[random(files.len())].clone();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] ^= 1 << random(8),
                1 => bytes[at] = [0, 0xff, 0x7f, 0x80][random(4)],
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let from = random(bytes.len());
                    let len = random(64).min(bytes.len() - at.max(from));
                    bytes.copy_within(from..from + len, at);
                }
            }
        }
        let (seen, found, _) = both(&bytes);
        frames += seen.len();
        errors += found.len();
    }
    assert!(frames > 1000 && errors > 100, "{frames} {errors}");
}

/// What a file claims costs no memory, nor does a packed file that unpacks to much.
#[test]
fn memory_is_bounded() {
    let anonymous = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("RssAnon:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let before = anonymous();
    let mut growth = 0;
    // 1 GiB of blocks that are passed over, 2 of them with a frame between
    let gigabyte = {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        use std::io::Write;
        let zeros = vec![0; 1 << 20];
        let size: u32 = 512 << 20;
        packer.write_all(&pcapng_head(&[1]).0).unwrap();
        for _ in 0..2 {
            packer
                .write_all(&Words(Vec::new(), false).add(&[0x0bad, size + 12]).0)
                .unwrap();
            (0..512).for_each(|_| packer.write_all(&zeros).unwrap());
            packer
                .write_all(
                    &Words(Vec::new(), false)
                        .add(&[size + 12, 6, 36, 0, 0, 5, 4, 4])
                        .bytes(b"good")
                        .add(&[36])
                        .0,
                )
                .unwrap();
        }
        packer.finish().unwrap()
    };
    let mut source = open_files(vec![Input::Reader {
        name: "bomb".to_owned(),
        reader: Box::new(Cursor::new(gigabyte)),
    }])
    .unwrap();
    let mut frames = 0;
    while let Ok(event) = source.next() {
        match event {
            Event::End => break,
            _ => frames += 1,
        }
        growth = growth.max(anonymous().saturating_sub(before));
    }
    assert_eq!(frames, 2);
    for entry in fs::read_dir(folder().join("hostile")).unwrap() {
        let mut source = open_files(vec![Input::File(entry.unwrap().path())]).unwrap();
        loop {
            match source.next() {
                Ok(Event::End) => break,
                Ok(_) => {}
                Err(error) => assert!(!error.is_fatal()),
            }
        }
        growth = growth.max(anonymous().saturating_sub(before));
    }
    assert!(growth < 64 << 10, "{growth} KiB");
}
