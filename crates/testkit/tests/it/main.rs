//! The boxes on fixtures, and the segmentation harness over the fixtures of every dissector.

#![allow(clippy::unwrap_used)] // a test that cannot read its fixtures has failed

mod boxes;
mod interfaces;
mod numbers;
mod plan;
mod segmentation;

use std::path::{Path, PathBuf};

/// Every capture in `fixtures/` of any dissector.
fn fixtures() -> Vec<PathBuf> {
    let dissectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocols/src");
    let mut captures = Vec::new();
    for dissector in std::fs::read_dir(dissectors).unwrap() {
        let Ok(files) = std::fs::read_dir(dissector.unwrap().path().join("fixtures")) else {
            continue; // a file, or one without fixtures
        };
        captures.extend(
            files
                .map(|file| file.unwrap().path())
                .filter(|path| path.extension().is_some_and(|e| e == "pcap")),
        );
    }
    captures.sort();
    assert!(!captures.is_empty());
    captures
}
