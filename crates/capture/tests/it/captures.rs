//! Captures that others made: every frame is found, and nothing breaks on hostile ones.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use gillnet_capture::{Error, Event, Input, NO_POS, Source, SourceStats, open_files};

/// The folder of captures: `GILLNET_CAPTURES`, or `shared/captures` beside the workspace.
pub(crate) fn folder() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let folder = env::var_os("GILLNET_CAPTURES").map_or(beside, PathBuf::from);
    assert!(
        folder.join("MANIFEST.tsv").is_file(),
        "no captures in {}: set GILLNET_CAPTURES to the folder that holds MANIFEST.tsv",
        folder.display()
    );
    folder
}

/// A line of the manifest.
struct Listed {
    file: String,
    /// Frames that tshark reads.
    packets: u64,
    /// Whether tshark read it to its end.
    whole: bool,
}

fn manifest() -> Vec<Listed> {
    let text = fs::read_to_string(folder().join("MANIFEST.tsv")).unwrap();
    let lines = text.lines().skip(1).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let whole = !columns[8].contains("tshark exits");
        Listed {
            file: columns[0].to_owned(),
            packets: columns[6].parse().unwrap(),
            whole,
        }
    });
    lines.collect()
}

/// Where we read another number of frames than tshark, and why.
const OTHERWISE: [(&str, u64, &str); 7] = [
    (
        "mixed/pcapng-test-generator__test017.pcapng",
        0,
        "tshark counts its four custom blocks",
    ),
    (
        "mixed/pcapng-test-generator__test017-2.pcapng",
        0,
        "tshark counts its four custom blocks",
    ),
    (
        "mixed/pcapng-test-generator__test018.pcapng",
        4,
        "tshark counts its four custom blocks",
    ),
    (
        "mixed/pcapng-test-generator__test018-2.pcapng",
        4,
        "tshark counts its four custom blocks",
    ),
    (
        "hostile/libpcap__pcap-invalid-version-2.pcap",
        0,
        "version 2.5 does not exist",
    ),
    (
        "hostile/pcpp__clusterfuzz-testcase-minimized-fuzztarget-4683685084594176.pcap",
        0,
        "nor does version 2.8224",
    ),
    (
        "hostile/pcpp__clusterfuzz-testcase-minimized-fuzztarget-6185045124251648.pcap",
        0,
        "nor does version 2.8224",
    ),
];

/// Reads to the end; checks what holds for every source on the way.
pub(crate) fn read_all(source: &mut dyn Source) -> (Vec<Seen>, Vec<Error>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    let store = source.store();
    loop {
        match source.next() {
            Ok(Event::Frame(frame)) => {
                assert_eq!(frame.pos == NO_POS, store.is_none());
                if let Some(store) = &store {
                    let len = frame.data.len() as u32;
                    assert_eq!(store.get(frame.pos, len), Some(frame.data));
                    let again = store.frame(frame.pos).expect("a frame just read");
                    assert_eq!(
                        (again.data, again.wire_len, again.iface),
                        (frame.data, frame.wire_len, frame.iface)
                    );
                    assert_eq!(again.link, frame.link);
                }
                frames.push(Seen {
                    ts: frame.ts,
                    iface: frame.iface,
                    wire_len: frame.wire_len,
                    data: frame.data.to_vec(),
                    comment: frame.comment.map(str::to_owned),
                });
            }
            Ok(Event::Tick(_)) => {}
            Ok(Event::End) => break,
            Err(error) => {
                assert!(!error.is_fatal(), "{error}");
                errors.push(error);
            }
        }
    }
    assert!(
        matches!(source.next(), Ok(Event::End)),
        "the end stays the end"
    );
    let stats = source.stats();
    assert_eq!(stats.frames, frames.len() as u64);
    assert_eq!(
        stats.bytes,
        frames
            .iter()
            .map(|frame| frame.data.len() as u64)
            .sum::<u64>()
    );
    let interfaces = source.interfaces().len() as u32;
    assert!(frames.iter().all(|frame| frame.iface < interfaces));
    (frames, errors)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub ts: i64,
    pub iface: u32,
    pub wire_len: u32,
    pub data: Vec<u8>,
    pub comment: Option<String>,
}

fn mapped(path: &Path) -> (Vec<Seen>, Vec<Error>, SourceStats) {
    let mut source = open_files(vec![Input::File(path.to_owned())]).unwrap();
    let (frames, errors) = read_all(&mut *source);
    (frames, errors, source.stats())
}

fn streamed(path: &Path) -> (Vec<Seen>, Vec<Error>, SourceStats) {
    let reader = Box::new(fs::File::open(path).unwrap());
    let name = path.display().to_string();
    let mut source = open_files(vec![Input::Reader { name, reader }]).unwrap();
    let (frames, errors) = read_all(&mut *source);
    (frames, errors, source.stats())
}

#[test]
fn as_many_frames_as_tshark_reads() {
    let folder = folder();
    let mut wrong = Vec::new();
    for Listed {
        file,
        packets,
        whole,
    } in manifest()
    {
        let (frames, errors, _) = mapped(&folder.join(&file));
        let frames = frames.len() as u64;
        let expected = OTHERWISE
            .iter()
            .find(|(name, ..)| *name == file)
            .map_or(packets, |(_, ours, _)| *ours);
        if frames != expected && (whole || !file.starts_with("hostile/")) {
            wrong.push(format!(
                "{file}: {expected} expected, {frames} read; {errors:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mapped_and_streamed_are_the_same() {
    let folder = folder();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for Listed { file, .. } in manifest() {
        let (frames, errors, stats) = mapped(&folder.join(&file));
        let (frames_streamed, errors_streamed, stats_streamed) = streamed(&folder.join(&file));
        assert!(frames == frames_streamed, "{file}");
        assert_eq!(stats, stats_streamed, "{file}");
        let text = |errors: &[Error]| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(&errors), text(&errors_streamed), "{file}");
        for error in &errors {
            assert!(error.to_string().contains(&file), "{error}");
            *kinds
                .entry(
                    format!("{error:?}")
                        .split(' ')
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                )
                .or_default() += 1;
        }
    }
    eprintln!("{kinds:?}");
}
