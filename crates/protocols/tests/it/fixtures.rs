//! Every fixture of every dissector that has golden JSON: as it was captured, byte by byte, and in random pieces.

use crate::drive::{Outcome, entries};
use gillnet_protocols::Config;
use std::path::{Path, PathBuf};

/// Captures that have, or are to have, golden JSON.
fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http1/fixtures");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut captures: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "pcap"))
        .collect();
    captures.sort();
    assert!(!captures.is_empty());
    captures
}

fn golden(outcome: &Outcome) -> String {
    let drops: Vec<String> = outcome
        .drops
        .iter()
        .map(|(reason, n)| format!("\"{reason}\":{n}"))
        .collect();
    let mut text: String = outcome
        .entries
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    text += &format!("{{\"drops\":{{{}}}}}\n", drops.join(","));
    text
}

#[test]
fn entries_are_as_written() {
    for path in captures() {
        let text = golden(&entries(&path, &Config::default(), &mut |_| Vec::new()));
        let file = path.with_extension("jsonl");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            text,
            expected,
            "{}: UPDATE_GOLDEN=1 writes it anew",
            file.display()
        );
    }
}

#[test]
fn entries_do_not_depend_on_how_bytes_are_cut() {
    for path in captures() {
        for bodies in [true, false] {
            let config = Config {
                bodies,
                ..Config::default()
            };
            let whole = entries(&path, &config, &mut |_| Vec::new());
            let bytewise = entries(&path, &config, &mut |bytes| (1..bytes.len()).collect());
            // without bodies a first range of each is kept, as long as the packet that brought it
            let shown = |outcome: &Outcome| {
                if bodies {
                    golden(outcome)
                } else {
                    heads(outcome)
                }
            };
            assert_eq!(
                shown(&bytewise),
                shown(&whole),
                "{} byte by byte",
                path.display()
            );
            for seed in 1..8usize {
                let mut n = seed;
                let mut cut = |bytes: &[u8]| {
                    n = n
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    vec![(n >> 33) % (bytes.len() + 1)]
                };
                let pieces = entries(&path, &config, &mut cut);
                assert_eq!(
                    shown(&pieces),
                    shown(&whole),
                    "{} cut with seed {seed}",
                    path.display()
                );
            }
        }
    }
}

/// Entries without what bodies hold; the response's body is the last field.
fn heads(outcome: &Outcome) -> String {
    let cut = |line: &String| -> String {
        let mut text = line
            .split("\"content\":{")
            .next()
            .unwrap_or_default()
            .to_owned();
        if let Some(start) = text.find("\"postData\":{") {
            let end = text.find(",\"response\":").unwrap_or(text.len());
            text.replace_range(start..end, "");
        }
        text
    };
    outcome
        .entries
        .iter()
        .map(|line| cut(line) + "\n")
        .collect()
}
