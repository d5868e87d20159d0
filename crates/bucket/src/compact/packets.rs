//! The packets of several objects in one: their gzip members, copied as they are where that can be.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufWriter, Write};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{Failed, Source};
use crate::Bucket;
use crate::index::{Range, StreamRow};
use crate::layout::{ObjectName, Payload};
use crate::packets::{
    About, Block, Blocks, Member, Members, Packer, StreamId, Totals, begin, parse_totals,
};

/// What was written.
pub(super) struct Written {
    pub(super) packed: u64,
    pub(super) sha256: [u8; 32],
}

/// A run of members of an object, and the streams in it.
struct Run {
    /// The object's place among those that are merged.
    object: usize,
    range: std::ops::Range<u64>,
    rows: Vec<StreamRow>,
}

impl Run {
    /// The stream that has it for itself.
    fn only(&self) -> Option<StreamId> {
        match self.rows.as_slice() {
            [row] => Some(row.id),
            _ => None,
        }
    }
}

/// Writes one object; gives the rows of its streams.
pub(super) fn write(
    bucket: &dyn Bucket,
    name: &ObjectName,
    kfl: &str,
    sources: &[&Source],
    rows: Vec<Vec<StreamRow>>,
    scratch: &NamedTempFile,
) -> Result<(Written, Vec<StreamRow>), Failed> {
    let mut interfaces: Vec<Vec<u8>> = Vec::new();
    let mut totals = Totals::default();
    let (mut maps, mut runs) = (Vec::new(), VecDeque::new());
    for (object, (source, rows)) in sources.iter().zip(rows).enumerate() {
        let Some(file) = &source.packets else {
            continue;
        };
        let mut head = Member::default();
        let mut members = Members::new(bucket, &file.key, 0..file.size);
        members.next(&mut head)?;
        maps.push(take_head(&head, &mut interfaces, &mut totals)?);
        let found = runs_of(object, head.end(), file.size, rows);
        runs.extend(found.ok_or_else(|| {
            Failed::Left(format!(
                "{}: its streams are not where its index says",
                file.key
            ))
        })?);
    }
    let mut out = Out::new(scratch)?;
    let mut head = Vec::new();
    let about = About {
        name,
        kfl,
        interfaces: &[],
        totals,
        payload: Payload::Full,
    };
    begin(&mut head, &about);
    interfaces
        .iter()
        .for_each(|block| head.extend_from_slice(block));
    out.pack(&head)?;
    let mut done: Vec<StreamRow> = Vec::new();
    for run in in_order(runs) {
        let (Some(source), Some(map)) = (sources.get(run.object), maps.get(run.object)) else {
            continue;
        };
        let Some(file) = &source.packets else {
            continue;
        };
        let edges = copy(bucket, &file.key, &run, map, &mut out)?;
        for row in &run.rows {
            let at = |old: u64| edges.get(&old).copied();
            let ends = at(row.range.offset).zip(at(row.range.offset + row.range.length));
            let (offset, end) = ends.ok_or_else(|| {
                Failed::Left(format!(
                    "{}: a range of its index ends within a gzip member",
                    file.key
                ))
            })?;
            let length = end - offset;
            add(
                &mut done,
                StreamRow {
                    range: Range { offset, length },
                    ..*row
                },
                run.only().is_some(),
            );
        }
    }
    Ok((out.finish()?, done))
}

/// Adds a row; one that follows a row of the same stream directly, and has its members for itself, is a part of it.
fn add(done: &mut Vec<StreamRow>, row: StreamRow, alone: bool) {
    match done.last_mut() {
        Some(last)
            if alone
                && last.id == row.id
                && last.range.offset + last.range.length == row.range.offset =>
        {
            last.range.length += row.range.length;
            last.packets += row.packets;
            last.bytes += row.bytes;
            last.first = last.first.min(row.first);
            last.last = last.last.max(row.last);
            last.continued_after = row.continued_after;
            last.missing += row.missing;
            last.ends = last.ends.or(row.ends);
            last.truncated_before = last.truncated_before.or(row.truncated_before);
        }
        _ => done.push(row),
    }
}

/// Takes the first member of an object: its interfaces get their places among all. Where the object's are.
fn take_head(
    head: &Member,
    interfaces: &mut Vec<Vec<u8>>,
    totals: &mut Totals,
) -> Result<Vec<u32>, Failed> {
    let mut map = Vec::new();
    let mut said = None;
    for block in Blocks::new(&head.blocks) {
        match block? {
            Block::Section(comment) => said = comment.and_then(parse_totals),
            Block::Interface(block) => {
                // two of an object that are alike stay two
                let taken: Vec<u32> = map.clone();
                let known = (0..).zip(interfaces.iter());
                let mut known = known.filter(|(at, known)| *known == block && !taken.contains(at));
                let at = known.next().map(|(at, _)| at);
                map.push(at.unwrap_or_else(|| {
                    interfaces.push(block.to_vec());
                    interfaces.len() as u32 - 1
                }));
            }
            Block::Packet(_) | Block::Other => {}
        }
    }
    let said = said.ok_or_else(|| Failed::Left("an object does not say what it has".to_owned()))?;
    *totals = match totals.packets {
        0 => said,
        _ => Totals {
            packets: totals.packets + said.packets,
            streams: totals.streams + said.streams,
            first: totals.first.min(said.first),
            last: totals.last.max(said.last),
        },
    };
    Ok(map)
}

/// The runs of an object behind its first member. `None` where its rows do not cover it.
fn runs_of(object: usize, head: u64, size: u64, mut rows: Vec<StreamRow>) -> Option<Vec<Run>> {
    rows.sort_by_key(|row| row.range.offset);
    let mut runs: Vec<Run> = Vec::new();
    for row in rows {
        let range = row.range.offset..row.range.offset.checked_add(row.range.length)?;
        match runs.last_mut() {
            Some(last) if range.start < last.range.end => {
                last.range.end = last.range.end.max(range.end);
                last.rows.push(row);
            }
            _ => {
                let rows = vec![row];
                runs.push(Run {
                    object,
                    range,
                    rows,
                });
            }
        }
    }
    let mut at = head;
    for run in &runs {
        if run.range.start != at {
            return None;
        }
        at = run.range.end;
    }
    (at == size).then_some(runs)
}

/// Puts the runs of one stream side by side, as far as its packets stay in their order.
fn in_order(runs: VecDeque<Run>) -> Vec<Run> {
    let mut by_stream: HashMap<StreamId, VecDeque<usize>> = HashMap::new();
    for (at, run) in runs.iter().enumerate() {
        for row in &run.rows {
            by_stream.entry(row.id).or_default().push_back(at);
        }
    }
    let mut runs: Vec<Option<Run>> = runs.into_iter().map(Some).collect();
    let mut out = Vec::new();
    for at in 0..runs.len() {
        let mut next = Some(at);
        while let Some(run) = next.take().and_then(|at| runs.get_mut(at)?.take()) {
            let only = run.only();
            for row in &run.rows {
                if let Some(places) = by_stream.get_mut(&row.id) {
                    places.pop_front();
                }
            }
            out.push(run);
            next = only.and_then(|id| by_stream.get(&id)?.front().copied());
            next = next.filter(|at| {
                let run = runs.get(*at).and_then(Option::as_ref);
                run.is_some_and(|run| run.only().is_some())
            });
        }
    }
    out
}

/// Copies a run. Where the edges of its members are now, by where they were.
fn copy(
    bucket: &dyn Bucket,
    key: &str,
    run: &Run,
    map: &[u32],
    out: &mut Out<'_>,
) -> Result<BTreeMap<u64, u64>, Failed> {
    let same = (0..).zip(map).all(|(at, to)| at == *to);
    let mut edges = BTreeMap::new();
    let mut members = Members::new(bucket, key, run.range.clone());
    let mut member = Member::default();
    while members.next(&mut member)? {
        edges.insert(member.offset, out.at);
        if same {
            out.copy(&member.packed)?;
        } else {
            let mut places = Vec::new();
            for block in Blocks::new(&member.blocks) {
                if let Block::Packet(packet) = block? {
                    let to = map.get(packet.iface as usize).copied();
                    let to = to.ok_or_else(|| {
                        Failed::Left(format!("{key}: a packet is of no interface"))
                    })?;
                    places.push((packet.iface_at, to));
                }
            }
            for (at, to) in places {
                if let Some(place) = member.blocks.get_mut(at..at + 4) {
                    place.copy_from_slice(&to.to_le_bytes());
                }
            }
            out.pack(&member.blocks)?;
        }
        edges.insert(member.end(), out.at);
    }
    Ok(edges)
}

/// The object that is written.
struct Out<'f> {
    file: BufWriter<&'f std::fs::File>,
    packer: Packer,
    hash: Sha256,
    at: u64,
}

impl<'f> Out<'f> {
    fn new(scratch: &'f NamedTempFile) -> std::io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(scratch.as_file()),
            packer: Packer::new()?,
            hash: Sha256::new(),
            at: 0,
        })
    }

    fn copy(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn pack(&mut self, blocks: &[u8]) -> std::io::Result<()> {
        self.packer.pack(blocks)?;
        self.file.write_all(self.packer.packed())?;
        self.hash.update(self.packer.packed());
        self.at += self.packer.packed().len() as u64;
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<Written> {
        self.file.flush()?;
        Ok(Written {
            packed: self.at,
            sha256: self.hash.finalize().into(),
        })
    }
}
