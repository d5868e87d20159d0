//! Bytes that nobody meant: nothing panics, hangs or grows.

use super::super::record::{Dns, Half, SCHEMA};
use super::super::{DISSECTION, answers};
use super::build::{Build, wire};
use super::drive::Driver;
use crate::Verdict;
use gillnet_entry::{Bump, Ctx, Nothing, Part, Record, Transport, Value, json};
use gillnet_streams::Dir::{Down, Up};

/// xorshift64*: the same bytes in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }
}

/// Messages with something of everything.
fn seeds() -> Vec<Vec<u8>> {
    let soa = [
        wire("ns.example.org"),
        wire("admin.example.org"),
        vec![0; 20],
    ]
    .concat();
    let mut all = Build::response(1, "www.example.org", 255);
    for kind in [
        1u16, 2, 5, 6, 12, 13, 15, 16, 17, 28, 33, 35, 39, 41, 43, 44, 46, 47, 48, 50, 51, 52, 64,
        65, 256, 257, 65280,
    ] {
        let data = [
            vec![0, 1, 2],
            wire("a.b"),
            vec![0xc0, 12, 3, 1, 2, 3, 0, 4, 1, 2, 3, 4],
        ]
        .concat();
        all = all.answer(kind, &data).answer(kind, &soa);
    }
    vec![
        Build::query(1, "www.example.org", 1)
            .opt(0x8000, &[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2])
            .bytes,
        Build::response(1, "www.example.org", 1)
            .answer(5, b"\x01b\xc0\x10")
            .answer(1, &[1, 2, 3, 4])
            .bytes,
        Build::response(1, "www.example.org", 6)
            .record(2, &[0xc0, 16], 6, 1, 60, &soa)
            .opt(0, &[])
            .bytes,
        all.bytes,
    ]
}

/// Reads everything that can be read of a message.
fn read_all(message: &[u8]) -> usize {
    let half = || {
        Some(Half {
            len: 0,
            part: Part::Own(message.into()),
        })
    };
    let record = Dns {
        query: half(),
        response: half(),
    };
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let mut out = Vec::new();
    for (i, _) in (0u16..).zip(SCHEMA.fields) {
        json::write_value(&record.get(i, &ctx), &mut out);
    }
    answers(message, |name, _, _| out.extend_from_slice(name.as_bytes()));
    out.extend_from_slice(record.summary(&ctx).as_bytes());
    out.len()
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), 0xc0),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => bytes.extend_from_within(at.min(bytes.len())..),
            _ => {
                let value = [0, 1, 12, 0x3f, 0x40, 0xc0, 0xff, random.below(256)][random.below(8)];
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(value).unwrap();
                }
            }
        }
    }
}

#[test]
fn mutated_messages_are_read_or_refused() {
    let mut random = Random(0x5eed);
    for seed in seeds() {
        assert!(read_all(&seed) > 100);
        for _ in 0..1_000 {
            let mut bytes = seed.clone();
            mutate(&mut bytes, &mut random);
            read_all(&bytes);
        }
    }
}

#[test]
fn mutated_streams_are_dissected() {
    let mut random = Random(0xfeed);
    let framed = |bytes: &[u8]| {
        [
            &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..],
            bytes,
        ]
        .concat()
    };
    for _ in 0..1_000 {
        let mut driver = Driver::new(if random.below(2) == 0 {
            Transport::Tcp
        } else {
            Transport::Udp
        });
        for _ in 0..random.below(6) {
            let seed = random.below(4);
            let mut bytes = framed(&seeds()[seed]);
            mutate(&mut bytes, &mut random);
            driver.feed(if random.below(2) == 0 { Up } else { Down }, &bytes);
        }
        driver.last(Up);
        driver.close();
    }
}

#[test]
fn random_bytes_are_not_dns() {
    let mut random = Random(0xdead);
    let mut bytes = [0u8; 64];
    for _ in 0..100_000 {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
        }
        let length = 12 + random.below(52);
        assert_eq!(
            (DISSECTION.identify)(&bytes[..length], Transport::Udp, false),
            Verdict::No
        );
    }
}

#[test]
fn few_bytes_do_not_become_many() {
    // a name of 255 bytes that shows as four times as many, and records that are little more than pointers to it
    let long: Vec<u8> = [61, 63, 63, 63]
        .into_iter()
        .flat_map(|n| [vec![n], vec![0; usize::from(n)]].concat())
        .collect();
    let mut message = Build::query(1, "x", 5);
    message.bytes.truncate(12);
    message.bytes.extend([long, vec![0, 0, 5, 0, 1]].concat());
    let mut records = 0;
    while message.bytes.len() < 65_500 {
        message = message.record(1, &[0xc0, 12], 5, 1, 1, &[0xc0, 12]);
        records += 1;
    }
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let record = Dns {
        query: None,
        response: Some(Half {
            len: 0,
            part: Part::Own(message.bytes.into()),
        }),
    };
    let field = |index: Option<u16>| record.get(index.unwrap(), &ctx);
    let (Value::List(answers), Value::List(texts)) = (
        field(SCHEMA.json("response.answers")),
        field(SCHEMA.kfl2("dns_answers")),
    ) else {
        panic!("no lists");
    };
    assert!(
        answers.len() < 600 && texts.len() < 1100,
        "{} {}",
        answers.len(),
        texts.len()
    );
    let cut = records - answers.len() + 1;
    assert_eq!(
        answers.last().unwrap().key("cut", false),
        Value::Int(i64::try_from(cut).unwrap())
    );
    assert_eq!(
        texts.last().unwrap().as_str().unwrap(),
        format!("{} more", records - texts.len() + 1)
    );
}
