//! Some streams of a recording: what is read of it, and what comes back.

use std::{
    fs,
    ops::Range,
    sync::{Arc, Mutex},
};

use gillnet_bucket::{
    Access, Body, Bucket, BucketError, Credentials, Destination, ObjectMeta, PutError, Recordings,
    Selection, StreamSet, connect,
    index::{Footer, Range as Place, StreamRow, StreamsWriter},
    layout::{PacketFormat, Payload, TimeRange},
    packets::StreamId,
};
use gillnet_capture::Event;
use gillnet_entry::Origin;
use tempfile::TempDir;

use super::frames::{Stream, T0, frame, name, object_as, stream};

const SECOND: i64 = 1_000_000_000;

/// A bucket that says what was asked of it, and that its objects lie elsewhere.
struct Watched {
    inner: Arc<dyn Bucket>,
    asked: Mutex<Vec<(String, Range<u64>)>>,
}

impl Bucket for Watched {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        self.inner.put_new(key, body)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        self.inner.head(key)
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        self.inner.get(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        let mut asked = self.asked.lock().unwrap();
        asked.push((key.to_owned(), range.clone()));
        self.inner.get_range(key, range)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        self.inner.list(prefix, each)
    }

    fn place(&self, key: &str) -> String {
        self.inner.place(key)
    }
}

struct Indexed {
    format: PacketFormat,
    folder: TempDir,
    bucket: Arc<Watched>,
}

impl Indexed {
    fn new() -> Self {
        Self::with_format(PacketFormat::default())
    }

    fn with_format(format: PacketFormat) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let destination = Destination::parse(folder.path().join("b").to_str().unwrap()).unwrap();
        let inner = connect(&destination, &Credentials::default(), Access::Record).unwrap();
        let asked = Mutex::default();
        Self {
            format,
            folder,
            bucket: Arc::new(Watched { inner, asked }),
        }
    }

    /// Puts packets and their file of streams; gives its key and where the streams are.
    fn put(&self, seq: u64, streams: &[Stream]) -> (String, Vec<Range<u64>>) {
        let name = name("r", "n", 0xab, seq, T0);
        let (bytes, written) = object_as(&name, streams, self.format);
        let mut rows = StreamsWriter::new();
        for (stream, placed) in streams.iter().zip(&written.placed) {
            let times = stream.packets.iter().map(|(_, ts)| *ts);
            rows.add(&StreamRow {
                id: placed.id,
                ends: None,
                range: Place {
                    offset: placed.offset,
                    length: placed.end - placed.offset,
                },
                packets: stream.packets.len() as u64,
                bytes: 0,
                first: times.clone().min().unwrap(),
                last: times.max().unwrap(),
                continued_before: false,
                continued_after: false,
                missing: 0,
                truncated_before: None,
            });
        }
        let rows = rows.finish(&Footer {
            name: &name,
            kfl: "http",
            origin: &Origin::default(),
            beside: &[],
            payload: Payload::Full,
        });
        let (key, rows) = (
            name.packets_key_as(self.format, Payload::Full),
            rows.unwrap(),
        );
        self.bucket.put_new(&key, Body::Bytes(&bytes)).unwrap();
        let streams_key = name.streams_key();
        self.bucket
            .put_new(&streams_key, Body::Bytes(&rows))
            .unwrap();
        let placed = written.placed.iter();
        (
            key,
            placed.map(|placed| placed.offset..placed.end).collect(),
        )
    }

    /// Selects out of the one group; gives (stream, time, bytes) of each frame, what it came to, faults, and what was
    /// asked of the packet objects.
    #[allow(clippy::type_complexity)]
    fn select(
        &self,
        selection: &Selection,
    ) -> (
        Vec<(u64, i64, Vec<u8>)>,
        gillnet_bucket::Selected,
        Vec<String>,
        Vec<(String, Range<u64>)>,
    ) {
        self.bucket.asked.lock().unwrap().clear();
        let bucket: Arc<dyn Bucket> = self.bucket.clone();
        let cache = self.folder.path().join("cache");
        let recordings = Recordings::of_bucket(bucket, TimeRange::default(), &cache).unwrap();
        let progress = recordings.progress();
        let mut groups = recordings.into_groups();
        assert_eq!(groups.len(), 1);
        let (group, selected) = groups.remove(0).only(selection);
        let mut source = group.into_source().unwrap();
        let (mut frames, mut faults) = (Vec::new(), Vec::new());
        loop {
            match source.next() {
                Ok(Event::Frame(frame)) => {
                    let found = (frame.ts, frame.data.to_vec());
                    let stream = source.stream().unwrap().number;
                    frames.push((stream, found.0, found.1));
                }
                Ok(Event::Tick(_)) => {}
                Ok(Event::End) => break,
                Err(fault) => faults.push(fault.to_string()),
            }
        }
        assert_eq!(progress.objects(), progress.objects_done());
        assert_eq!(progress.bytes(), progress.bytes_done());
        let mut asked = self.bucket.asked.lock().unwrap().clone();
        asked.retain(|(key, _)| key.starts_with("packets/"));
        (frames, selected, faults, asked)
    }
}

fn id(number: u64) -> StreamId {
    StreamId { number, udp: true }
}

fn set(numbers: &[u64]) -> Selection {
    Selection::of(
        numbers
            .iter()
            .map(|number| id(*number))
            .collect::<StreamSet>(),
    )
}

fn expected(streams: &[&Stream]) -> Vec<(u64, i64, Vec<u8>)> {
    let of = |stream: &Stream| {
        let (number, size) = (stream.start.id.number, stream.size);
        let packets = stream.packets.clone().into_iter();
        packets.map(move |(packet, ts)| (number, ts, frame(number, packet, size)))
    };
    let mut all: Vec<_> = streams.iter().flat_map(|stream| of(stream)).collect();
    all.sort_by_key(|(_, ts, _)| *ts);
    all
}

/// Streams of noise, each of `kib` KiB, whose packets take turns.
fn large(numbers: Range<u64>, kib: u64, from: i64) -> Vec<Stream> {
    let all = numbers.clone();
    all.map(|number| {
        let at = move |packet: u64| from + (packet * 100 + number - numbers.start) as i64 * 1000;
        stream(number, (0..kib).map(move |packet| (packet, at(packet)))).of_size(1024)
    })
    .collect()
}

#[test]
fn only_the_ranges_of_what_is_selected_are_fetched() {
    PacketFormat::ALL.into_iter().for_each(ranges_of);
}

fn ranges_of(format: PacketFormat) {
    let indexed = Indexed::with_format(format);
    let one = large(0..12, 300, T0);
    let two = large(12..16, 20, T0 + 1_000_000);
    let (first, places) = indexed.put(1, &one);
    let (second, _) = indexed.put(2, &two);

    let (frames, selected, faults, asked) = indexed.select(&set(&[1, 6, 7, 11]));
    assert_eq!(frames, expected(&[&one[1], &one[6], &one[7], &one[11]]));
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(selected.streams.len(), 4);
    assert_eq!(
        (selected.packets, selected.whole, selected.gone),
        (1200, 0, 0)
    );
    let wanted = [
        0..places[0].start, // the head; stream 1 is more than the gap behind it
        places[1].clone(),
        places[6].start..places[7].end,
        places[11].clone(),
    ];
    assert!(places[1].start - places[0].start >= 256 << 10, "{places:?}");
    let wanted: Vec<_> = wanted
        .into_iter()
        .map(|range| (first.clone(), range))
        .collect();
    assert_eq!(asked, wanted);

    // a small gap is read over, and what is in it is not given
    let (frames, _, _, asked) = indexed.select(&set(&[12, 15]));
    assert_eq!(frames, expected(&[&two[0], &two[3]]));
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].0, second);

    // all of it, as a source that was not asked for less
    let (frames, ..) = indexed.select(&Selection::default());
    assert_eq!(frames.len(), 12 * 300 + 4 * 20);
    // over both objects, in the order of time
    let (frames, ..) = indexed.select(&set(&[0, 13]));
    assert_eq!(frames, expected(&[&one[0], &two[1]]));
    // nothing
    let (frames, selected, _, asked) = indexed.select(&set(&[99]));
    assert!(frames.is_empty() && selected.streams.is_empty() && asked.is_empty());
}

#[test]
fn a_span_of_time_selects_streams_that_have_some_of_it() {
    let indexed = Indexed::new();
    let early = [
        stream(1, [(0, T0)]),
        stream(2, [(0, T0), (1, T0 + 9 * SECOND)]),
    ];
    let late = [stream(3, [(0, T0 + 20 * SECOND)])];
    indexed.put(1, &early);
    let (second, _) = indexed.put(2, &late);
    let within = |since: i64, until: i64| Selection {
        streams: None,
        within: TimeRange {
            since: Some(T0 + since * SECOND),
            until: Some(T0 + until * SECOND),
        },
        ..Selection::default()
    };
    let (frames, selected, ..) = indexed.select(&within(5, 15));
    // small streams share a member; what else is in it comes along
    assert!(
        expected(&[&early[1]])
            .iter()
            .all(|frame| frames.contains(frame))
    );
    assert_eq!(selected.streams.iter().collect::<Vec<_>>(), [id(2)]);
    assert_eq!(selected.times, Some((T0, T0 + 9 * SECOND)));
    let (frames, _, _, asked) = indexed.select(&within(15, 30));
    assert_eq!(frames, expected(&[&late[0]]));
    assert!(asked.iter().all(|(key, _)| *key == second), "{asked:?}");
}

#[test]
fn what_is_gone_or_damaged_is_told_and_the_rest_is_given() {
    let indexed = Indexed::new();
    let streams: Vec<Stream> = (1..=4)
        .map(|number| stream(number, [(0, T0 + number as i64), (1, T0 + SECOND)]))
        .collect();
    let keys: Vec<String> = (0..4)
        .map(|at| indexed.put(at + 1, &streams[at as usize..=at as usize]).0)
        .collect();
    let path = |key: &str| indexed.folder.path().join("b").join(key);
    // the packets of one are gone, its file of streams is there
    fs::remove_file(path(&keys[0])).unwrap();
    // the file of streams of the second is gone, that of the third is damaged, and the fourth's packets are cut
    let rows = |key: &str| {
        key.replace("packets/", "streams/")
            .replace(".pcapng.gz", ".parquet")
    };
    fs::remove_file(path(&rows(&keys[1]))).unwrap();
    fs::write(path(&rows(&keys[2])), b"no parquet").unwrap();
    let whole = fs::read(path(&keys[3])).unwrap();
    fs::write(path(&keys[3]), &whole[..whole.len() - 30]).unwrap();

    let (frames, selected, faults, _) = indexed.select(&set(&[1, 2, 3, 4]));
    assert_eq!(frames, expected(&[&streams[1], &streams[2]]));
    assert_eq!((selected.gone, selected.whole), (2, 2));
    assert_eq!(selected.gone_objects.len(), 1);
    assert!(selected.gone_objects[0].ends_with(&keys[0]), "{selected:?}");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains(&keys[3]), "{faults:?}");
    // one that was not asked for is passed over also where the object is read whole
    let (frames, ..) = indexed.select(&set(&[3]));
    assert_eq!(frames, expected(&[&streams[2]]));
}

#[test]
fn classic_pcap_is_read_by_its_file_of_streams() {
    let indexed = Indexed::with_format(PacketFormat::Pcap);
    let streams = [
        stream(1, [(0, T0 + 5), (1, T0 + SECOND)]),
        stream(2, [(0, T0 + 3)]),
    ];
    let (key, _) = indexed.put(1, &streams);
    let open = || {
        let bucket: Arc<dyn Bucket> = indexed.bucket.clone();
        let cache = indexed.folder.path().join("cache");
        let recordings = Recordings::of_bucket(bucket, TimeRange::default(), &cache).unwrap();
        let mut source = recordings.into_groups().remove(0).into_source().unwrap();
        let mut found = Vec::new();
        let mut faults = Vec::new();
        loop {
            let at = match source.next() {
                Ok(Event::Frame(frame)) => frame.ts,
                Ok(Event::Tick(_)) => continue,
                Ok(Event::End) => return (found, faults),
                Err(fault) => {
                    faults.push(fault.to_string());
                    continue;
                }
            };
            found.push((source.stream().map(|id| id.number), at));
        }
    };
    let (found, faults) = open();
    assert_eq!(
        found,
        [(Some(2), T0 + 3), (Some(1), T0 + 5), (Some(1), T0 + SECOND)]
    );
    assert!(faults.is_empty(), "{faults:?}");
    // without that file nothing says whose packets they are
    let rows = key
        .replace("packets/", "streams/")
        .replace(".pcap", ".parquet");
    fs::remove_file(indexed.folder.path().join("b").join(rows)).unwrap();
    let (found, faults) = open();
    assert!(found.is_empty());
    assert!(
        faults.len() == 1 && faults[0].contains("is not there"),
        "{faults:?}"
    );
}
