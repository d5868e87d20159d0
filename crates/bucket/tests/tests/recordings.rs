//! Recordings read back.

use std::{fs, io::Write, path::Path, process::Command, sync::Arc};

use gillnet_bucket::{
    Access, Body, Bucket, BucketError, Credentials, Destination, ErrorKind, Group, Origin,
    Progress, Recordings, connect,
    layout::{FORMAT, FORMAT_KEY, TimeRange},
    packets::{Missing, StreamId},
};
use gillnet_capture::{
    Event, Interface, PacketDirection,
    write::{PcapResolution, PcapWriter},
};
use tempfile::TempDir;

use super::{
    frames::{Stream, T0, frame, name, object, stream},
    proxy::{Proxy, READER, RECORDER, destination},
};

const SECOND: i64 = 1_000_000_000;

/// A frame that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Back {
    ts: i64,
    iface: String,
    direction: PacketDirection,
    data: Vec<u8>,
    stream: Option<u64>,
    missing: Option<Missing>,
}

struct Read {
    frames: Vec<Back>,
    faults: Vec<String>,
}

fn read(group: Group) -> Read {
    let mut source = group.into_source().unwrap();
    let mut read = Read {
        frames: Vec::new(),
        faults: Vec::new(),
    };
    loop {
        let mut back = match source.next() {
            Ok(Event::Frame(frame)) => Back {
                ts: frame.ts,
                iface: frame.iface.to_string(),
                direction: frame.direction,
                data: frame.data.to_vec(),
                stream: None,
                missing: None,
            },
            Ok(Event::Tick(_)) => continue,
            Ok(Event::End) => return read,
            Err(fault) => {
                read.faults.push(fault.to_string());
                assert!(read.faults.len() < 100);
                continue;
            }
        };
        let interfaces: &[Interface] = source.interfaces();
        back.iface
            .clone_from(&interfaces[back.iface.parse::<usize>().unwrap()].name);
        back.stream = source.stream().map(|StreamId { number, udp: _ }| number);
        back.missing = source.missing();
        read.frames.push(back);
    }
}

/// The frames that a stream should come back as.
fn expected(stream: &Stream) -> impl Iterator<Item = Back> + '_ {
    let number = stream.start.id.number;
    stream.packets.iter().map(move |(packet, ts)| Back {
        ts: *ts,
        iface: format!("eth{}", number % 2),
        direction: if packet % 2 == 0 {
            PacketDirection::Out
        } else {
            PacketDirection::In
        },
        data: frame(number, *packet, stream.size),
        stream: Some(number),
        missing: stream.start.missing,
    })
}

/// A folder as a bucket, and a cache beside it.
struct Place {
    folder: TempDir,
    bucket: Arc<dyn Bucket>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let destination =
            Destination::parse(folder.path().join("bucket").to_str().unwrap()).unwrap();
        let bucket = connect(&destination, &Credentials::default(), Access::Record).unwrap();
        Self { folder, bucket }
    }

    fn path(&self, key: &str) -> String {
        self.folder
            .path()
            .join("bucket")
            .join(key)
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn put(&self, recording: &str, node: &str, seq: u64, streams: &[Stream]) -> String {
        put(self.bucket.as_ref(), recording, node, seq, streams)
    }

    fn open(&self) -> Result<Recordings, BucketError> {
        self.open_at("", TimeRange::default())
    }

    fn open_at(&self, key: &str, range: TimeRange) -> Result<Recordings, BucketError> {
        let destination = Destination::parse(&self.path(key)).unwrap();
        Recordings::open(&destination, &Credentials::default(), range, &self.cache())
    }

    fn cache(&self) -> std::path::PathBuf {
        self.folder.path().join("cache")
    }

    fn read_one(&self) -> (Read, Arc<Progress>) {
        let recordings = self.open().unwrap();
        let progress = recordings.progress();
        let mut groups = recordings.into_groups();
        assert_eq!(groups.len(), 1, "{groups:?}");
        let read = read(groups.remove(0));
        assert_eq!(progress.objects_done(), progress.objects());
        assert_eq!(progress.bytes_done(), progress.bytes());
        assert!(
            files_in(&self.cache()).is_empty(),
            "the cache is left empty"
        );
        (read, progress)
    }
}

fn files_in(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).map_or(Vec::new(), |entries| {
        entries.map(|entry| entry.unwrap().path()).collect()
    })
}

fn put(bucket: &dyn Bucket, recording: &str, node: &str, seq: u64, streams: &[Stream]) -> String {
    let latest = streams
        .iter()
        .flat_map(|stream| &stream.packets)
        .map(|(_, ts)| *ts)
        .max()
        .unwrap();
    let name = name(recording, node, 0xab, seq, latest);
    bucket
        .put_new(&name.packets_key(), Body::Bytes(&object(&name, streams).0))
        .unwrap();
    name.packets_key()
}

fn sorted(streams: &[&Stream]) -> Vec<Back> {
    let mut all: Vec<Back> = streams.iter().flat_map(|stream| expected(stream)).collect();
    all.sort_by_key(|back| back.ts);
    all
}

#[test]
fn streams_of_several_objects_come_back_in_the_order_of_time() {
    let place = Place::new();
    place
        .bucket
        .put_new(FORMAT_KEY, Body::Bytes(FORMAT.as_bytes()))
        .unwrap();
    let one = stream(1, (0..100).map(|p| (p, T0 + p as i64 * SECOND)));
    let two = stream(2, (0..50).map(|p| (p, T0 + 7 + p as i64 * 2 * SECOND)));
    // matched late: its early packets are in a later object
    let late = stream(3, (0..30).map(|p| (p, T0 + 11 + p as i64 * 3 * SECOND))).missing(4, T0 + 11);
    let more = stream(1, (100..200).map(|p| (p, T0 + p as i64 * SECOND))).continued();
    place.put("r", "n", 1, &[one.clone(), two.clone()]);
    place.put("r", "n", 2, &[late.clone(), more.clone()]);
    let (read, progress) = place.read_one();
    assert_eq!(read.faults, Vec::<String>::new());
    assert!(read.frames == sorted(&[&one, &two, &late, &more]));
    assert_eq!((progress.damaged(), progress.duplicates()), (0, 0));
}

#[test]
fn what_several_rules_keep_is_given_once() {
    let place = Place::new();
    let all: Vec<Stream> = (1..40)
        .map(|n| stream(n, (0..20).map(|p| (p, T0 + p as i64 * SECOND / 100))))
        .collect();
    // packets that are the same twice in an object are meant so
    let twin = stream(99, [(1, T0 + 5), (1, T0 + 5)]);
    place.put(
        "http",
        "n",
        1,
        &[&all[..], std::slice::from_ref(&twin)].concat(),
    );
    place.put("dns", "n", 2, &all[10..20]);
    place.put(
        "all",
        "n",
        3,
        &[&all[5..], std::slice::from_ref(&twin)].concat(),
    );
    let (read, progress) = place.read_one();
    let mut frames = read.frames;
    let mut wanted: Vec<Back> = all.iter().chain([&twin]).flat_map(expected).collect();
    assert!(frames.is_sorted_by_key(|back| back.ts));
    let key = |back: &Back| (back.ts, back.stream, back.data.clone());
    frames.sort_by_key(key);
    wanted.sort_by_key(key);
    assert_eq!(frames.len(), wanted.len());
    assert!(frames == wanted);
    assert_eq!(progress.duplicates(), (10 + 34) * 20 + 2);
}

#[test]
fn each_process_is_a_group_with_its_names() {
    let place = Place::new();
    place.put("r", "a", 1, &[stream(1, [(0, T0)])]);
    place.put("r", "b", 1, &[stream(1, [(0, T0)])]);
    let history = name("r", "b", 0xab, 1, T0).names_key();
    place.bucket.put_new(&history, Body::Bytes(b"{}")).unwrap();
    let groups = place.open().unwrap().into_groups();
    let origins: Vec<_> = groups.iter().map(|group| group.origin().clone()).collect();
    let of = |node: &str| Origin::Recorded {
        cluster: "test".into(),
        node: node.into(),
        run: 0xab,
    };
    assert_eq!(origins, [of("a"), of("b")]);
    assert_eq!(groups[0].names().unwrap(), []);
    assert_eq!(
        groups[1].names().unwrap(),
        [(place.path(&history), b"{}".to_vec())]
    );
    // a folder inside the layout, and one object
    let folder = place
        .open_at("packets/cluster=test", TimeRange::default())
        .unwrap();
    assert_eq!(folder.into_groups().len(), 2);
    let key = name("r", "a", 0xab, 1, T0).packets_key();
    let mut one = place
        .open_at(&key, TimeRange::default())
        .unwrap()
        .into_groups();
    assert_eq!(one[0].origin(), &of("a"));
    assert_eq!(read(one.remove(0)).frames.len(), 1);
}

#[test]
fn a_damaged_object_is_named_and_the_others_are_read() {
    let place = Place::new();
    let streams: Vec<Stream> = (0..3)
        .map(|n| stream(n, (0..100).map(|p| (p, T0 + n as i64 * SECOND + p as i64))).of_size(900))
        .collect();
    let keys: Vec<String> = streams
        .iter()
        .enumerate()
        .map(|(n, stream)| place.put("r", "n", n as u64, std::slice::from_ref(stream)))
        .collect();
    let path = place.path(&keys[1]);
    let bytes = fs::read(&path).unwrap();
    for damaged in [
        bytes[..bytes.len() / 2].to_vec(),
        [&bytes[..bytes.len() - 50], &[0; 50]].concat(),
        b"not gzip".to_vec(),
        Vec::new(),
    ] {
        fs::write(&path, &damaged).unwrap();
        let (read, progress) = place.read_one();
        assert!(
            !read.faults.is_empty() && read.faults.iter().all(|fault| fault.contains(&path)),
            "{:?}",
            read.faults
        );
        assert_eq!(progress.damaged(), 1);
        let rest = sorted(&[&streams[0], &streams[2]]);
        let others: Vec<Back> = read
            .frames
            .into_iter()
            .filter(|back| back.stream != Some(1))
            .collect();
        assert!(others == rest);
    }
}

#[test]
fn a_clock_that_steps_back_does_not_turn_a_stream_round() {
    let place = Place::new();
    let times = [
        T0,
        T0 + 10,
        T0 + 20,
        T0 - 3600 * SECOND,
        T0 - 3600 * SECOND + 10,
    ];
    let stepped = stream(
        1,
        times.into_iter().enumerate().map(|(p, ts)| (p as u64, ts)),
    );
    let other = stream(2, [(0, T0 + 5), (1, T0 + 15), (2, T0 + 30)]);
    place.put("r", "n", 1, &[stepped.clone(), other]);
    let (read, _) = place.read_one();
    let of_stepped: Vec<Back> = read
        .frames
        .iter()
        .filter(|back| back.stream == Some(1))
        .cloned()
        .collect();
    assert!(of_stepped == expected(&stepped).collect::<Vec<_>>());
    assert_eq!(read.frames.len(), 8);
}

#[test]
fn a_range_leaves_out_what_lies_outside() {
    let place = Place::new();
    let hour = 3600 * SECOND;
    for at in 0..5 {
        place.put("r", "n", at, &[stream(at, [(0, T0 + at as i64 * hour)])]);
    }
    let streams = |since, until| {
        let mut groups = place
            .open_at("", TimeRange { since, until })
            .unwrap()
            .into_groups();
        read(groups.remove(0))
            .frames
            .iter()
            .filter_map(|back| back.stream)
            .collect::<Vec<_>>()
    };
    assert_eq!(streams(Some(T0 + hour), Some(T0 + 3 * hour)), [1, 2, 3]);
    assert_eq!(streams(Some(T0 + hour + 1), Some(T0 + 3 * hour - 1)), [2]);
    assert_eq!(streams(None, Some(T0)), [0]);
    let error = place
        .open_at(
            "",
            TimeRange {
                since: Some(T0 + 9 * hour),
                until: None,
            },
        )
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("none of its 5 objects"),
        "{error}"
    );
}

#[test]
fn larger_objects_than_a_mapped_file_are_read() {
    let place = Place::new();
    let large = stream(1, (0..4000).map(|p| (p, T0 + p as i64))).of_size(40_000);
    place.put("r", "n", 1, std::slice::from_ref(&large));
    let (read, _) = place.read_one();
    assert!(read.frames == expected(&large).collect::<Vec<_>>());
}

/// A plain capture of one stream.
fn pcap(stream: &Stream) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new(), PcapResolution::Nano).unwrap();
    for (packet, ts) in &stream.packets {
        let data = frame(stream.start.id.number, *packet, stream.size);
        writer
            .frame(
                *ts,
                gillnet_capture::LinkType::Ethernet,
                data.len() as u32,
                &data,
            )
            .unwrap();
    }
    writer.into_inner()
}

fn data(read: &Read) -> Vec<&[u8]> {
    read.frames.iter().map(|back| &back.data[..]).collect()
}

/// Puts what Kubeshark's scripts upload: a folder a node.
fn kubeshark(bucket: &dyn Bucket) -> [Stream; 3] {
    let one = stream(1, [(0, T0), (1, T0 + 1)]);
    let two = stream(2, [(0, T0 + 10 * SECOND)]);
    let other = stream(3, [(0, T0 + 5)]);
    let put = |key: &str, bytes: &[u8]| bucket.put_new(key, Body::Bytes(bytes)).unwrap();
    put("node-1_10.0.0.1_ab/999999999.pcap", &pcap(&one));
    put("node-1_10.0.0.1_ab/1700000000.pcap", &pcap(&two));
    put(
        "node-1_10.0.0.1_ab/name_resolution_history.json",
        b"{\"1\":{}}",
    );
    put("node-2_10.0.0.2_cd/1700000000.pcap", &pcap(&other));
    [one, two, other]
}

fn check_kubeshark(recordings: Recordings, [one, two, other]: &[Stream; 3], history: &str) {
    let mut groups = recordings.into_groups();
    let folders: Vec<String> = groups
        .iter()
        .map(|group| format!("{:?}", group.origin()))
        .collect();
    assert_eq!(groups.len(), 2, "{folders:?}");
    assert!(
        folders[0].contains("node-1_10.0.0.1_ab") && folders[1].contains("node-2_10.0.0.2_cd"),
        "{folders:?}"
    );
    assert_eq!(
        groups[0].names().unwrap(),
        [(history.to_owned(), b"{\"1\":{}}".to_vec())]
    );
    assert_eq!(groups[1].names().unwrap(), []);
    let second = read(groups.remove(1));
    let first = read(groups.remove(0));
    assert_eq!(
        data(&first),
        [
            frame(1, 0, one.size),
            frame(1, 1, one.size),
            frame(2, 0, two.size)
        ]
    );
    assert_eq!(data(&second), [frame(3, 0, other.size)]);
    assert!(first.faults.is_empty() && second.faults.is_empty());
    assert!(first.frames.iter().all(|back| back.stream.is_none()));
}

fn tar(from: &str, to: &str) {
    let done = Command::new("tar")
        .args(["-czf", to, "-C", from, "."])
        .status()
        .unwrap();
    assert!(done.success());
}

#[test]
fn kubesharks_folders_and_archives_are_read_by_node() {
    let place = Place::new();
    let streams = kubeshark(place.bucket.as_ref());
    check_kubeshark(
        place.open().unwrap(),
        &streams,
        &place.path("node-1_10.0.0.1_ab/name_resolution_history.json"),
    );
    let archive = place.folder.path().join("kubeshark_1700000000.tar.gz");
    tar(&place.path(""), archive.to_str().unwrap());
    let opened = Recordings::open(
        &Destination::parse(archive.to_str().unwrap()).unwrap(),
        &Credentials::default(),
        TimeRange::default(),
        &place.cache(),
    );
    let history = format!(
        "{}:./node-1_10.0.0.1_ab/name_resolution_history.json",
        archive.display()
    );
    check_kubeshark(opened.unwrap(), &streams, &history);
}

#[test]
fn plain_captures_are_read_as_they_are() {
    let place = Place::new();
    let one = stream(1, [(0, T0), (1, T0 + 1)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&pcap(&one)).unwrap();
    place
        .bucket
        .put_new("x/trace.pcap.gz", Body::Bytes(&gzip.finish().unwrap()))
        .unwrap();
    place
        .bucket
        .put_new("x/readme.txt", Body::Bytes(b"hello"))
        .unwrap();
    let (read_back, _) = place.read_one();
    assert_eq!(data(&read_back).len(), 2);
    // one that is named itself may have any name
    place
        .bucket
        .put_new("y/trace", Body::Bytes(&pcap(&one)))
        .unwrap();
    let mut named = place
        .open_at("y/trace", TimeRange::default())
        .unwrap()
        .into_groups();
    assert_eq!(read(named.remove(0)).frames.len(), 2);
}

#[test]
fn where_nothing_is_there_it_is_said() {
    let place = Place::new();
    let error = place.open().err().unwrap();
    assert_eq!(error.kind, ErrorKind::NoBucket);
    place
        .bucket
        .put_new("readme.txt", Body::Bytes(b"hello"))
        .unwrap();
    let error = place.open().err().unwrap();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error.to_string().contains("no recording and no capture"),
        "{error}"
    );
}

#[test]
fn a_later_version_is_read_where_it_says_so() {
    for (says, later) in [
        (r#"{"version": 1, "new": true}"#, Some(None)),
        (r#"{"version": 2}"#, Some(Some(2))),
        (r#"{"version": 3, "minReader": 1}"#, Some(Some(3))),
        (r#"{"version": 3, "minReader": 2}"#, None),
        (r#"{"minReader": 1}"#, None),
    ] {
        let place = Place::new();
        place.put("r", "n", 1, &[stream(1, [(0, T0)])]);
        std::fs::write(place.path(FORMAT_KEY), says).unwrap();
        match (place.open(), later) {
            (Ok(recordings), Some(later)) => {
                assert_eq!(recordings.notes().later, later, "{says}");
                let group = recordings.into_groups().remove(0);
                assert_eq!(read(group).frames.len(), 1, "{says}");
            }
            (Err(error), None) => assert!(error.to_string().contains("version"), "{error}"),
            (opened, _) => panic!("{says}: {}", opened.is_ok()),
        }
    }
}

#[test]
fn a_cache_that_can_not_be_made_is_named() {
    let place = Place::new();
    place.put("r", "n", 1, &[stream(1, [(0, T0)])]);
    fs::write(place.cache(), "a file").unwrap();
    let mut groups = place.open().unwrap().into_groups();
    let read = read(groups.remove(0));
    assert!(
        read.frames.is_empty() && read.faults.len() == 1,
        "{:?}",
        read.faults
    );
    assert!(
        read.faults[0].contains(place.cache().to_str().unwrap()),
        "{:?}",
        read.faults
    );
}

#[test]
fn a_bucket_of_google_cloud_storage_is_read_with_a_key_that_may_only_read() {
    let proxy = Proxy::with_accounts();
    let recorder = connect(
        &destination("rec"),
        &proxy.as_account(RECORDER),
        Access::Record,
    )
    .unwrap();
    recorder
        .put_new(FORMAT_KEY, Body::Bytes(FORMAT.as_bytes()))
        .unwrap();
    let one = stream(1, (0..3000).map(|p| (p, T0 + p as i64))).of_size(2000);
    let two = stream(2, (0..3000).map(|p| (p, T0 + p as i64))).of_size(900);
    for (seq, stream) in [&one, &two].into_iter().enumerate() {
        put(
            recorder.as_ref(),
            "r",
            "n",
            seq as u64,
            std::slice::from_ref(stream),
        );
    }
    let cache = tempfile::tempdir().unwrap();
    let open = |prefix: &str| {
        Recordings::open(
            &destination(prefix),
            &proxy.as_account(READER),
            TimeRange::default(),
            cache.path(),
        )
        .unwrap()
    };
    let recordings = open("rec");
    let progress = recordings.progress();
    let back = read(recordings.into_groups().remove(0));
    assert_eq!(back.faults, Vec::<String>::new());
    assert!(back.frames == sorted(&[&one, &two]));
    assert_eq!(
        (progress.bytes_done(), progress.objects_done()),
        (progress.bytes(), 2)
    );
    // one object, by its own name
    let key = name("r", "n", 0xab, 1, T0).packets_key();
    assert!(read(open(&format!("rec/{key}")).into_groups().remove(0)).frames == sorted(&[&two]));

    let other = connect(
        &destination("kubeshark"),
        &proxy.as_account(RECORDER),
        Access::Record,
    )
    .unwrap();
    let streams = kubeshark(other.as_ref());
    check_kubeshark(
        open("kubeshark"),
        &streams,
        "gs://test-11-12/kubeshark/node-1_10.0.0.1_ab/name_resolution_history.json",
    );
    let local = Place::new();
    kubeshark(local.bucket.as_ref());
    let archive = local.folder.path().join("kubeshark_1700000000.tar.gz");
    tar(&local.path(""), archive.to_str().unwrap());
    let archives = connect(
        &destination("archives"),
        &proxy.as_account(RECORDER),
        Access::Record,
    )
    .unwrap();
    archives
        .put_new("kubeshark_1700000000.tar.gz", Body::File(&archive))
        .unwrap();
    let groups = open("archives").into_groups();
    let frames: Vec<usize> = groups
        .into_iter()
        .map(|group| read(group).frames.len())
        .collect();
    assert_eq!(frames, [3, 1]);
    assert!(files_in(cache.path()).is_empty(), "the cache is left empty");
}
