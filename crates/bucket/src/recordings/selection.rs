//! Some of a group's streams, without reading the others: `streams/` says where they are.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use roaring::RoaringTreemap;

use super::{Content, Group, Names, Object, Progress, Shared, merge::LOOKERS};
use crate::index::stream_places;
use crate::layout::{ObjectName, Payload, TimeRange};
use crate::packets::StreamId;

/// Ranges that are nearer than this are read as one: passing over bytes costs less than a request.
const NEAR: u64 = 256 << 10;

/// A set of streams of one node. Numbers that are near to each other take few bits each, so that also all streams of a
/// large recording fit into memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamSet {
    tcp: RoaringTreemap,
    udp: RoaringTreemap,
}

impl StreamSet {
    /// Adds a stream; `false` where it is in it already.
    pub fn insert(&mut self, id: StreamId) -> bool {
        let of = if id.udp { &mut self.udp } else { &mut self.tcp };
        of.insert(id.number)
    }

    /// Whether a stream is in it.
    #[must_use]
    pub fn contains(&self, id: StreamId) -> bool {
        let of = if id.udp { &self.udp } else { &self.tcp };
        of.contains(id.number)
    }

    /// How many streams it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.tcp.len() + self.udp.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.udp.is_empty()
    }

    /// Its streams.
    pub fn iter(&self) -> impl Iterator<Item = StreamId> + '_ {
        let of = |udp| move |number| StreamId { number, udp };
        let tcp = self.tcp.iter().map(of(false));
        tcp.chain(self.udp.iter().map(of(true)))
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: &StreamSet) {
        self.tcp |= &other.tcp;
        self.udp |= &other.udp;
    }
}

impl FromIterator<StreamId> for StreamSet {
    fn from_iter<I: IntoIterator<Item = StreamId>>(ids: I) -> Self {
        let mut set = StreamSet::default();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

/// Which packets of a group are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those of these streams; of all where it is `None`.
    pub streams: Option<Arc<StreamSet>>,
    /// Those in objects where their stream has some of this span of time. They are whole streams of these objects:
    /// packets outside of the span are among them.
    pub within: TimeRange,
    /// Also those without all of their payload, of streams that are nowhere whole: they show what was sent when, but no
    /// entries can be read from them.
    pub cut: bool,
}

impl Selection {
    /// These streams, at all times.
    #[must_use]
    pub fn of(streams: StreamSet) -> Self {
        Self {
            streams: Some(Arc::new(streams)),
            ..Self::default()
        }
    }

    fn wants(&self, id: StreamId) -> bool {
        self.streams.as_ref().is_none_or(|set| set.contains(id))
    }
}

/// What selecting came to.
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// Streams whose packets the objects are said to have.
    pub streams: StreamSet,
    /// How many packets that is.
    pub packets: u64,
    /// Earliest and latest time of them, in nanoseconds since the Unix epoch.
    pub times: Option<(i64, i64)>,
    /// Objects that are read whole, since no file that can be read says where their streams are. What they have is not
    /// counted here.
    pub whole: u64,
    /// Wanted packets of objects that are not there any more, though their files of streams are.
    pub gone: u64,
    /// These objects.
    pub gone_objects: Vec<String>,
    /// Wanted streams of which no object has whole packets: their payload was not recorded.
    pub unrecorded: StreamSet,
    /// The recordings that have them.
    pub unrecorded_in: BTreeSet<String>,
    /// How many wanted packets were not recorded at all.
    pub never: u64,
    /// How many streams are selected without their payload.
    pub cut: u64,
}

/// What is read of an object.
#[derive(Clone, Debug)]
pub(super) struct Only {
    /// The streams, where not all are wanted.
    pub(super) streams: Option<Arc<StreamSet>>,
    /// Streams that are not wanted of it, since another object has them whole.
    pub(super) without: Option<Arc<StreamSet>>,
    /// Its first member and those of the streams; all of it where their places are not known.
    pub(super) ranges: Option<Vec<Range<u64>>>,
    /// How many packets these have, at least.
    pub(super) packets: u64,
    /// And of which time, where that is known.
    pub(super) times: Option<(i64, i64)>,
}

impl Only {
    /// Whether the packets of a stream are wanted.
    pub(super) fn wants(&self, id: StreamId) -> bool {
        let streams = self.streams.as_ref();
        let without = self.without.as_ref();
        streams.is_none_or(|set| set.contains(id)) && without.is_none_or(|set| !set.contains(id))
    }
}

/// What is wanted of one object, by its file of streams.
#[derive(Default)]
struct Places {
    ranges: Vec<Range<u64>>,
    packets: u64,
    times: Option<(i64, i64)>,
    streams: StreamSet,
    /// Where the first member ends.
    head: Option<u64>,
}

impl Places {
    fn read(
        shared: &Shared,
        file: &Object,
        selection: &Selection,
    ) -> Result<Self, crate::index::Error> {
        let mut places = Places::default();
        stream_places(&shared.bucket, &file.key, file.size, &mut |place| {
            let offset = place.range.offset;
            places.head = Some(places.head.map_or(offset, |head| head.min(offset)));
            if !selection.wants(place.id) || !selection.within.overlaps(place.first, place.last) {
                return;
            }
            let end = offset.saturating_add(place.range.length);
            join(&mut places.ranges, offset..end);
            places.packets += place.packets;
            places.times = span(places.times, (place.first, place.last));
            places.streams.insert(place.id);
        })?;
        let ranges = std::mem::take(&mut places.ranges);
        join(&mut places.ranges, 0..places.head.unwrap_or(0));
        for range in ranges {
            join(&mut places.ranges, range);
        }
        Ok(places)
    }
}

/// Adds a range behind others. Rows stand in the order of the object, so it begins behind them all, or shares a member
/// with the last; what does not is a range of its own, and its bytes are only read again.
fn join(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if range.start >= last.start && range.start <= last.end.saturating_add(NEAR) => {
            last.end = last.end.max(range.end);
        }
        _ => ranges.push(range),
    }
}

fn span(one: Option<(i64, i64)>, other: (i64, i64)) -> Option<(i64, i64)> {
    Some(one.map_or(other, |one| (one.0.min(other.0), one.1.max(other.1))))
}

impl Group {
    /// The same with nothing but what is selected, and what that is. Of an object with a file of streams only the ranges
    /// of these streams are fetched later, and nothing of one that has none of them; an object without such a file is
    /// read whole, and what is not selected is passed over. Plain captures, which name no streams, stay as they are.
    #[must_use]
    pub fn only(mut self, selection: &Selection) -> (Group, Selected) {
        let mut selected = Selected::default();
        let Content::Objects(objects) = &mut self.content else {
            return (self, selected);
        };
        let mut places = find(&self.shared, &self.streams, selection);
        let files = self.streams.iter();
        let files: HashMap<_, _> = files.map(|file| (&file.name, file)).collect();
        let (mut kept, mut cut) = (Vec::new(), Vec::new());
        for mut object in objects.drain(..) {
            let streams = selection.streams.clone();
            let only = match places.remove(&object.name) {
                Some(found) if found.streams.is_empty() => {
                    Progress::add(&self.shared.progress.objects_done, 1);
                    Progress::add(&self.shared.progress.bytes_done, object.size);
                    continue;
                }
                Some(found) => {
                    selected.packets += found.packets;
                    selected.streams.extend(&found.streams);
                    selected.times = found
                        .times
                        .map_or(selected.times, |of| span(selected.times, of));
                    Only {
                        streams,
                        without: None,
                        ranges: Some(found.ranges),
                        packets: found.packets,
                        times: found.times,
                    }
                }
                None => {
                    selected.whole += 1;
                    Only {
                        streams,
                        without: None,
                        ranges: None,
                        packets: 0,
                        times: None,
                    }
                }
            };
            object.only = Some(only);
            if object.is_bare() {
                let file = files.get(&object.name);
                object.beside = file.map(|file| (file.key.clone(), file.size));
            }
            kept.push(object);
        }
        for mut object in std::mem::take(&mut self.cut) {
            let found = places.remove(&object.name);
            if let Some(found) = &found {
                let lacking = found.streams.iter();
                let lacking = lacking.filter(|id| !selected.streams.contains(*id));
                let lacking: StreamSet = lacking.collect();
                if lacking.is_empty() {
                    continue;
                }
                selected.unrecorded.extend(&lacking);
                selected.unrecorded_in.insert(object.name.recording.clone());
                if Payload::of_key(&object.key) == Payload::None {
                    selected.never += found.packets;
                }
            }
            if !selection.cut || Payload::of_key(&object.key) == Payload::None {
                self.cut.push(object);
                continue;
            }
            object.only = Some(Only {
                streams: selection.streams.clone(),
                without: None,
                times: found.as_ref().and_then(|found| found.times),
                packets: 0,
                ranges: found.map(|found| found.ranges),
            });
            cut.push(object);
        }
        let whole = Arc::new(selected.streams.clone());
        for object in &mut cut {
            let only = object.only.as_mut();
            if let Some(only) = only {
                only.without = Some(Arc::clone(&whole));
                selected.times = only
                    .times
                    .map_or(selected.times, |of| span(selected.times, of));
                selected.whole += u64::from(only.ranges.is_none());
            }
            if object.is_bare() {
                let file = files.get(&object.name);
                object.beside = file.map(|file| (file.key.clone(), file.size));
            }
        }
        if selection.cut {
            selected.cut = selected.unrecorded.len();
            selected.streams.extend(&selected.unrecorded);
        }
        kept.append(&mut cut);
        for (name, found) in places {
            if found.packets > 0 {
                selected.gone += found.packets;
                let key = name.packets_key();
                selected.gone_objects.push(self.shared.bucket.place(&key));
            }
        }
        selected.gone_objects.sort();
        if let Names::Objects(names) = &mut self.names {
            let kept: HashSet<_> = kept.iter().map(|object| &object.name).collect();
            names.retain(|file| {
                let name = ObjectName::parse(&self.shared.bucket.place(&file.key));
                name.is_none_or(|(_, name)| kept.contains(&name))
            });
        }
        *objects = kept;
        (self, selected)
    }
}

/// Reads the files of streams, side by side. One that can't be read is not in the answer.
fn find(shared: &Shared, files: &[Object], selection: &Selection) -> HashMap<ObjectName, Places> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(HashMap::with_capacity(files.len()));
    thread::scope(|scope| {
        for _ in 0..LOOKERS.min(files.len()) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match Places::read(shared, file, selection) {
                        Ok(places) => {
                            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                            found.insert(file.name.clone(), places);
                        }
                        Err(error) => tracing::warn!(
                            "{}: {error}; its packets are read whole instead",
                            shared.bucket.place(&file.key)
                        ),
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_are_one_request() {
        let mut ranges = Vec::new();
        for range in [
            0..100,
            50..150,
            150..200,
            (200 + NEAR)..(300 + NEAR),
            (301 + 2 * NEAR)..(400 + 2 * NEAR),
        ] {
            join(&mut ranges, range);
        }
        assert_eq!(ranges, [0..300 + NEAR, 301 + 2 * NEAR..400 + 2 * NEAR]);
    }

    #[test]
    fn a_set_tells_transports_apart() {
        let tcp = StreamId {
            number: 7,
            udp: false,
        };
        let udp = StreamId {
            number: 7,
            udp: true,
        };
        let mut set: StreamSet = [tcp].into_iter().collect();
        assert!(set.contains(tcp) && !set.contains(udp) && set.len() == 1);
        assert!(set.insert(udp) && !set.insert(udp));
        assert_eq!(set.iter().collect::<Vec<_>>(), [tcp, udp]);
    }
}
