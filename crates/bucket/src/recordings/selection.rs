//! Some of a group's streams, without reading the others: `streams/` says where they are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use roaring::RoaringTreemap;

use super::{Content, Group, Names, Object, Shared, merge::LOOKERS};
use crate::index::stream_places;
use crate::layout::{Hour, ObjectName, Payload, TimeRange};
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

    /// Whether each of its streams is in another, too.
    fn is_within(&self, other: &StreamSet) -> bool {
        self.tcp.is_subset(&other.tcp) && self.udp.is_subset(&other.udp)
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
    /// Those of them whose first packets are here, and whose last.
    begun: StreamSet,
    ended: StreamSet,
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
            if !place.continued_before {
                places.begun.insert(place.id);
            }
            if !place.continued_after {
                places.ended.insert(place.id);
            }
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
    pub fn only(self, selection: &Selection) -> (Group, Selected) {
        let files: Vec<_> = self.streams.iter().collect();
        let places = find(&self.shared, &files, selection);
        self.at(selection, places)
    }

    /// The same of streams that are likely to be in some hours: hours outside of them are looked into only as long as a
    /// stream is not found, or goes on there, each time twice as many.
    #[must_use]
    pub fn near(mut self, streams: StreamSet, hours: (Hour, Hour)) -> (Group, Selected) {
        let selection = Selection::of(streams);
        let (places, (first, last)) = find_near(&self.shared, &self.streams, &selection, hours);
        let is_near = |object: &Object| (first..=last).contains(&object.name.hour);
        if let Content::Objects(objects) = &mut self.content {
            for other in objects.iter().filter(|object| !is_near(object)) {
                self.shared.progress.passed_over(other);
            }
            objects.retain(is_near);
        }
        self.cut.retain(is_near);
        self.streams.retain(is_near);
        self.at(&selection, places)
    }

    /// The same with nothing but what was found of a selection.
    fn at(
        mut self,
        selection: &Selection,
        mut places: HashMap<ObjectName, Places>,
    ) -> (Group, Selected) {
        let mut selected = Selected::default();
        let Content::Objects(objects) = &mut self.content else {
            return (self, selected);
        };
        let files = self.streams.iter();
        let files: HashMap<_, _> = files.map(|file| (&file.name, file)).collect();
        let (mut kept, mut cut) = (Vec::new(), Vec::new());
        for mut object in objects.drain(..) {
            let streams = selection.streams.clone();
            let only = match places.remove(&object.name) {
                Some(found) if found.streams.is_empty() => {
                    self.shared.progress.passed_over(&object);
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
fn find(shared: &Shared, files: &[&Object], selection: &Selection) -> HashMap<ObjectName, Places> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(HashMap::with_capacity(files.len()));
    thread::scope(|scope| {
        for _ in 0..LOOKERS.min(files.len()) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
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

/// Hours with objects behind the last packets of a stream that are looked into for more, where nothing says that it ended: a
/// stream that is silent for longer gets another number.
const SILENT: usize = 2;

/// What is known of a recording's streams.
#[derive(Default)]
struct Extent {
    found: StreamSet,
    begun: StreamSet,
    ended: StreamSet,
    by_hour: BTreeMap<Hour, StreamSet>,
}

impl Extent {
    fn add(&mut self, hour: Hour, places: &Places) {
        self.found.extend(&places.streams);
        self.begun.extend(&places.begun);
        self.ended.extend(&places.ended);
        let of_hour = self.by_hour.entry(hour).or_default();
        of_hour.extend(&places.streams);
    }

    /// Whether a stream that was found has packets before.
    fn goes_back(&self) -> bool {
        !self.found.is_within(&self.begun)
    }

    /// Whether one may have packets behind what was read; `since` is the hour from which on it would be in that.
    fn goes_on(&self, since: Hour) -> bool {
        let mut recent = self.by_hour.range(since..);
        recent.any(|(_, found)| !found.is_within(&self.ended))
    }
}

/// Reads the files of streams of some hours, and those of more hours around them, each time twice as many, until each stream
/// is found, and those that were found begin and end there. Gives the hours, too.
fn find_near(
    shared: &Shared,
    files: &[Object],
    selection: &Selection,
    (mut first, mut last): (Hour, Hour),
) -> (HashMap<ObjectName, Places>, (Hour, Hour)) {
    let hours: BTreeSet<Hour> = files.iter().map(|file| file.name.hour).collect();
    let hours: Vec<Hour> = hours.into_iter().collect();
    let mut all = HashMap::new();
    let mut recordings: HashMap<&str, Extent> = HashMap::new();
    let mut unread: Vec<&Object> = files.iter().collect();
    let mut step = 1;
    loop {
        let is_near = |file: &&Object| (first..=last).contains(&file.name.hour);
        let (near, others): (Vec<&Object>, Vec<&Object>) = unread.into_iter().partition(is_near);
        unread = others;
        let places = find(shared, &near, selection);
        for file in near {
            if let Some(places) = places.get(&file.name) {
                let extent = recordings.entry(&file.name.recording).or_default();
                extent.add(file.name.hour, places);
            }
        }
        all.extend(places);
        let mut found = StreamSet::default();
        for extent in recordings.values() {
            found.extend(&extent.found);
        }
        let wanted = selection.streams.as_deref();
        let lacks = wanted.is_some_and(|wanted| !wanted.is_within(&found));
        let before = hours.partition_point(|hour| *hour < first);
        let read = hours.partition_point(|hour| *hour <= last);
        let recent = hours.get(read.saturating_sub(SILENT)).copied();
        let recent = recent.unwrap_or(first);
        let mut goes_on = false;
        if before > 0 && (lacks || recordings.values().any(Extent::goes_back)) {
            first = hours
                .get(before.saturating_sub(step))
                .copied()
                .unwrap_or(first);
            goes_on = true;
        }
        let is_open = |extent: &Extent| extent.goes_on(recent);
        if read < hours.len() && (lacks || recordings.values().any(is_open)) {
            last = hours
                .get((read + step).min(hours.len()) - 1)
                .copied()
                .unwrap_or(last);
            goes_on = true;
        }
        if !goes_on {
            return (all, (first, last));
        }
        step *= 2;
    }
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
