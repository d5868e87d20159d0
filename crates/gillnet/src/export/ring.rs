//! What the ring of a running capture still has of some streams.

use super::frames::{Feed, Taken, Waiting};
use super::select::{Asked, Note, Picked};
use super::sorter::Sorter;
use gillnet_bucket::StreamSet;
use gillnet_bucket::packets::{Cause, Missing, StreamId};
use gillnet_capture::{Interface, NO_POS, Store};
use gillnet_entry::{Bump, OwnedEntry, Transport};
use gillnet_pipeline::Control;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long the shard may take to say where streams are.
const PATIENCE: Duration = Duration::from_secs(10);
/// Streams that are asked for at once.
const AT_ONCE: usize = 4096;

/// A running capture, as an export sees it.
pub struct Running<'r> {
    /// Knows the streams.
    pub control: &'r Control,
    /// Has their frames.
    pub store: &'r Store,
    /// The newest entries, oldest first.
    pub entries: Vec<Arc<OwnedEntry>>,
    /// The node's name.
    pub node: &'r str,
}

/// What was found in the ring.
pub struct Found {
    /// The packets.
    pub picked: Picked,
    /// Streams of entries that have left the ring.
    pub left: u64,
}

impl Running<'_> {
    /// The frames of all streams that are wanted, each stream's read back from its newest.
    pub fn pick(&self, asked: &Asked<'_>) -> anyhow::Result<Found> {
        let mut notes = Sorter::new(asked.cache);
        let mut names = BTreeMap::new();
        let mut of_entries = StreamSet::default();
        let mut arena = Bump::new();
        for owned in &self.entries {
            let id = StreamId {
                number: owned.stream,
                udp: owned.transport == Transport::Udp,
            };
            let named = asked.streams.as_ref();
            if named.is_some_and(|streams| !streams.contains(id)) {
                continue;
            }
            let matches = owned.with(&arena, |entry| asked.filter.matches(entry));
            arena.reset();
            if !matches {
                continue;
            }
            of_entries.insert(id);
            if asked.named {
                let text = format!("{}/{id}-{}", owned.origin.worker, owned.index);
                notes.add(owned.ts, |out| Note::write(0, id, &text, out))?;
                for (ip, _, name) in [&owned.src, &owned.dst] {
                    if !name.name.is_empty() {
                        names.entry(*ip).or_insert_with(|| name.name.clone());
                    }
                }
            }
        }
        let wanted: Vec<StreamId> = match (&asked.streams, asked.everything) {
            (Some(streams), true) => streams.iter().collect(),
            (_, false) => of_entries.iter().collect(),
            // what became no entry, too
            (None, true) => {
                let all = self.control.streams(PATIENCE).into_iter();
                let all = all.map(|(number, udp)| StreamId { number, udp });
                of_entries.extend(&all.collect());
                of_entries.iter().collect()
            }
        };
        let mut sorter = Sorter::new(asked.cache);
        let (mut missing, mut interfaces) = (HashMap::new(), 0);
        let (mut left, mut unknown) = (0, StreamSet::default());
        for some in wanted.chunks(AT_ONCE) {
            let numbers: Vec<u64> = some.iter().map(|id| id.number).collect();
            let newest = self.control.newest_frames(&numbers, PATIENCE);
            for (id, newest) in some.iter().zip(newest) {
                if asked.stop.is_set() {
                    break;
                }
                let taken = match newest {
                    Some(newest) => self.stream(*id, newest, &mut sorter, &mut interfaces)?,
                    None => Stream::default(),
                };
                if let Some(before) = taken.lost_before {
                    let cause = Cause::Ring;
                    let packets = None;
                    missing.insert(
                        *id,
                        Missing {
                            packets,
                            before,
                            cause,
                        },
                    );
                }
                if taken.frames == 0 {
                    left += 1;
                    if asked.streams.is_some() {
                        unknown.insert(*id);
                    }
                }
            }
        }
        let (sorted, wanted) = (sorter.finish()?, None);
        let interfaces = (0..interfaces).map(|number| Interface {
            name: format!("if{number}"),
            link: gillnet_capture::LinkType::Ethernet,
            description: String::new(),
            snaplen: 0,
        });
        let interfaces = interfaces.collect();
        let waiting = Waiting {
            first: i64::MIN,
            group: 0,
            node: self.node.to_owned(),
            open: Box::new(move || {
                Ok(Feed::Sorted {
                    sorted,
                    interfaces,
                    wanted,
                    missing,
                })
            }),
        };
        let picked = Picked {
            waiting: vec![waiting],
            notes: notes.finish()?,
            names,
            gone: 0,
            never: 0,
            cut: 0,
            unknown,
            faults: Vec::new(),
        };
        Ok(Found { picked, left })
    }

    /// Sorts the frames that are there of one stream.
    fn stream(
        &self,
        id: StreamId,
        newest: u64,
        sorter: &mut Sorter,
        interfaces: &mut u32,
    ) -> anyhow::Result<Stream> {
        // frames of the same moment keep their order, so they are taken from the first on
        let (mut places, mut pos, mut data) = (Vec::new(), newest, Vec::new());
        let mut is_whole = true;
        while pos != NO_POS {
            data.clear();
            let Some(header) = self.store.copy_frame(pos, &mut data) else {
                is_whole = false;
                break;
            };
            places.push(pos);
            pos = header.prev;
        }
        let mut found = Stream::default();
        for pos in places.into_iter().rev() {
            data.clear();
            // what was there a moment ago may be overwritten by now
            let Some(header) = self.store.copy_frame(pos, &mut data) else {
                is_whole = false;
                continue;
            };
            if found.frames == 0 && !is_whole {
                found.lost_before = Some(header.ts);
            }
            found.frames += 1;
            *interfaces = (*interfaces).max(header.iface.saturating_add(1));
            let taken = Taken {
                ts: header.ts,
                iface: header.iface,
                link: header.link,
                direction: header.direction,
                wire_len: header.wire_len,
                data: std::mem::take(&mut data),
                stream: Some(id),
                missing: None,
                group: 0,
            };
            sorter.add(header.ts, |out| taken.write(out))?;
            data = taken.data;
        }
        Ok(found)
    }
}

/// What was found of a stream.
#[derive(Default)]
struct Stream {
    frames: u64,
    /// Where its beginning has left the ring, when what is there begins.
    lost_before: Option<i64>,
}
