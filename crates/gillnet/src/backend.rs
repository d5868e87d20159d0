//! What the dashboard shows: the live entries of a session, or recordings that are read again for each answer.

use crate::cache::keeping;
use crate::config::Config;
use crate::exit;
use crate::export::{self, Running};
use crate::inputs::Inputs;
use crate::live::Session;
use crate::lock::lock;
use crate::recordings::at_work;
use crate::scan::{self, Needs, Scan};
use crate::stats;
use gillnet_api::{
    Backend, EntryKey, ExportQuery, LiveStore, NoExport, NoStats, Outlet, Page, PageQuery, Pager,
    PcapFormat, Progress, Refused, Span, Speech, StatsQuery, Status, StreamKey, queried,
};
use gillnet_capture::write::{
    PacketBlock, PcapResolution, PcapWriter, SectionBlock, interface_block, packet_block,
    section_block,
};
use gillnet_capture::{Interface, LinkType, NO_POS, PacketDirection};
use gillnet_entry::{Bump, Entry, json};
use gillnet_kfl::{Filter, Options};
use gillnet_pipeline::{Consumer, Counters, Matched, Want};
use gillnet_scripts::Scripts;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most bytes of a stream that are given for download.
const DOWNLOAD: usize = 1 << 30;

/// A frame of a stream that is downloaded.
struct Taken {
    ts: i64,
    iface: u32,
    link: LinkType,
    direction: PacketDirection,
    wire_len: u32,
    data: Vec<u8>,
}

/// Writes frames as a capture. Interfaces are named only by number where the source's names are not at hand.
fn capture(frames: &[Taken], format: PcapFormat) -> Result<Vec<u8>, Refused> {
    let failed = |error: std::io::Error| Refused(error.to_string());
    match format {
        PcapFormat::Pcap => {
            let mut writer = PcapWriter::new(Vec::new(), PcapResolution::Nano).map_err(failed)?;
            for frame in frames {
                writer
                    .frame(frame.ts, frame.link, frame.wire_len, &frame.data)
                    .map_err(failed)?;
            }
            Ok(writer.into_inner())
        }
        PcapFormat::Pcapng => {
            let mut out = Vec::new();
            let application = concat!("gillnet ", env!("CARGO_PKG_VERSION"));
            section_block(
                &mut out,
                &SectionBlock {
                    application: Some(application),
                    ..SectionBlock::default()
                },
            );
            let mut known: Vec<(u32, LinkType)> = Vec::new();
            for frame in frames {
                let key = (frame.iface, frame.link);
                let iface = known.iter().position(|k| *k == key).unwrap_or_else(|| {
                    let name = format!("if{}", frame.iface);
                    interface_block(
                        &mut out,
                        &Interface {
                            name,
                            link: frame.link,
                            description: String::new(),
                            snaplen: 0,
                        },
                    );
                    known.push(key);
                    known.len() - 1
                });
                packet_block(
                    &mut out,
                    &PacketBlock {
                        iface: u32::try_from(iface).unwrap_or(0),
                        ts: frame.ts,
                        wire_len: frame.wire_len,
                        direction: frame.direction,
                        data: &frame.data,
                        comment: None,
                        custom: &[],
                    },
                );
            }
            Ok(out)
        }
    }
}

fn counters_of(c: &Counters) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([
        ("frames", c.frames),
        ("bytes", c.bytes),
        ("kept", c.kept),
        ("tcpPackets", c.tcp_packets),
        ("udpPackets", c.udp_packets),
        ("icmpPackets", c.icmp_packets),
        ("streams", c.streams),
        ("liveStreams", c.live_tcp_streams),
        ("chunks", c.chunks),
        ("entries", c.entries),
        ("pairs", c.pairs),
        ("recordedStreams", c.recorded_streams),
        ("recordedFrames", c.recorded_frames),
    ])
}

fn drops_of(c: &Counters) -> BTreeMap<&'static str, u64> {
    c.drops
        .iter()
        .map(|(reason, n)| (reason.name(), n))
        .collect()
}

/// What decides how an entry is shown in full: the filter where it matches, else the filter around it, where there is
/// one; nothing where that does not match either.
fn bounds<'f>(entry: &Entry<'_>, filter: &'f Filter) -> Option<Option<&'f Filter>> {
    match filter.outer() {
        _ if filter.matches(entry) => Some(Some(filter)),
        Some(outer) => outer.matches(entry).then_some(Some(outer)),
        None => Some(None),
    }
}

/// An entry in full, without what a filter hides, with notes on what is missing.
fn full(entry: &Entry<'_>, filter: &Filter) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(4096);
    match bounds(entry, filter)? {
        Some(filter) => filter.write_json(entry, &mut out),
        None => json::write_entry(entry, &mut out),
    }
    out.pop();
    out.extend_from_slice(b",\"notes\":");
    out.extend_from_slice(serde_json::json!(notes(entry)).to_string().as_bytes());
    out.push(b'}');
    Some(out)
}

/// What is missing from an entry, for people.
fn notes(entry: &Entry<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(since) = entry.common.truncated_before {
        notes.push(format!(
            "what came before {} is not in the recording: it had left the ring when the stream matched, or the recorder lost it",
            gillnet_entry::time::Rfc3339(since)
        ));
    }
    if entry.common.missing > 0 {
        notes.push(format!(
            "{} bytes of the stream are missing from this entry",
            entry.common.missing
        ));
    }
    if entry.common.origin.unrecorded {
        notes.push(
            "the payload of its packets was not recorded: what the index has of it is all there is, without bodies and headers".to_owned(),
        );
    }
    notes
}

/// The newest entries of this host.
pub struct LiveBackend {
    session: Arc<Session>,
}

impl LiveBackend {
    /// Shows a session.
    pub fn new(session: Arc<Session>) -> LiveBackend {
        LiveBackend { session }
    }

    /// Of the entries that are kept.
    fn span(&self) -> Option<(i64, i64)> {
        let entries = self.session.live.as_ref()?.all();
        let last = entries.iter().map(|entry| entry.ts).max()?;
        Some((stats::oldest(&entries)?, last))
    }
}

/// How long the shard may take to say where a stream is.
const PATIENCE: Duration = Duration::from_secs(2);

impl Backend for LiveBackend {
    fn status(&self) -> Status {
        let counters = self.session.control.board().read();
        let recordings = at_work::statuses(self.session.recorder(), scan::now());
        Status {
            version: env!("CARGO_PKG_VERSION"),
            mode: "live",
            node: self.session.origin.node.clone(),
            cluster: self.session.origin.cluster.clone(),
            source: self.session.source.clone(),
            recording: recordings.first().cloned(),
            recordings,
            recording_scripts: self.session.recording_scripts(),
            counters: counters_of(&counters),
            drops: drops_of(&counters),
            span: self.span().map(Span::new),
            ..Status::default()
        }
    }

    fn speech(&self) -> Arc<Speech> {
        self.session.speech()
    }

    fn page(&self, query: &PageQuery) -> Result<Page, Refused> {
        let mut pager = Pager::new(query.clone());
        let mut arena = Bump::new();
        for entry in self.live().map(|store| store.all()).unwrap_or_default() {
            pager.offer(&entry, &mut arena);
        }
        Ok(pager.finish(self.scripts()))
    }

    fn stats(&self, query: &StatsQuery) -> Result<Vec<u8>, NoStats> {
        let Some(store) = self.live() else {
            return Err(Refused("entries are not kept here".into()).into());
        };
        let counters = self.session.control.board().read();
        stats::of_live(query, &self.session.speech(), store, &counters)
    }

    fn entry(&self, key: &EntryKey, filter: &Filter) -> Result<Option<Vec<u8>>, Refused> {
        let all = self.live().map(|store| store.all()).unwrap_or_default();
        let found = all
            .iter()
            .rev()
            .find(|e| e.stream == key.stream.number && e.index == key.index);
        Ok(found.and_then(|owned| {
            owned.with(&Bump::new(), |entry| {
                let plain = full(entry, filter)?;
                let bounds = bounds(entry, filter)?;
                let queried = queried(owned, bounds, filter.text(), &self.session.scripts);
                Some(queried.map_or(plain, |mut shown| {
                    shown.insert("notes".into(), notes(entry).into());
                    serde_json::Value::from(shown).to_string().into_bytes()
                }))
            })
        }))
    }

    fn stream(&self, key: &StreamKey, format: PcapFormat) -> Result<Option<Vec<u8>>, Refused> {
        let Some(mut pos) = self.session.control.newest_frame(key.number, PATIENCE) else {
            return Ok(None);
        };
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while pos != NO_POS && bytes < DOWNLOAD {
            let mut data = Vec::new();
            let Some(header) = self.session.store.copy_frame(pos, &mut data) else {
                break; // what is older has left the ring
            };
            bytes += data.len();
            pos = header.prev;
            let (ts, iface, link) = (header.ts, header.iface, header.link);
            frames.push(Taken {
                ts,
                iface,
                link,
                direction: header.direction,
                wire_len: header.wire_len,
                data,
            });
        }
        frames.reverse();
        if frames.is_empty() {
            Ok(None)
        } else {
            capture(&frames, format).map(Some)
        }
    }

    fn export(&self, query: &ExportQuery, out: Outlet) -> Result<(), NoExport> {
        let live = self.live();
        let mut entries = live.map(|store| store.all()).unwrap_or_default();
        entries.sort_by_key(|entry| entry.ts);
        let running = Running {
            control: &self.session.control,
            store: &self.session.store,
            node: &self.session.origin.node,
            entries,
        };
        let gone = live.map_or(0, |store| store.gone());
        let (config, cache) = (Config::default(), std::env::temp_dir());
        export::of_live(query, &config, &cache, &running, gone, out)
    }

    fn live(&self) -> Option<&Arc<LiveStore>> {
        self.session.live.as_ref()
    }

    fn scripts(&self) -> Option<&Scripts> {
        Some(&self.session.scripts)
    }
}

/// Recordings and captures. Each answer is one run over their packets, in memory bounded by the answer; what a bucket
/// gave is kept in a folder while this lives.
pub struct RecordedBackend {
    inputs: Inputs,
    config: Config,
    within: (i64, i64),
    source: String,
    speech: Arc<Speech>,
    counters: Mutex<Counters>,
    /// When its first and its last entry began.
    span: Option<(i64, i64)>,
}

impl RecordedBackend {
    /// Reads everything once, so that what is wrong is said at once.
    pub fn open(
        mut inputs: Inputs,
        config: Config,
        within: (i64, i64),
        source: String,
    ) -> anyhow::Result<RecordedBackend> {
        inputs.wrap(keeping);
        let speech = Arc::new(crate::cli::speech(&config)?);
        let mut backend = RecordedBackend {
            inputs,
            config,
            within,
            source,
            speech,
            counters: Mutex::default(),
            span: None,
        };
        let filter = backend.all()?;
        let want = Want {
            bit: 0,
            filter,
            record: false,
            bodies: false,
        };
        let groups = backend.inputs.readings()?;
        if let Some(groups) = scan::large(&groups) {
            // each page reads what it needs
            let spans = groups.iter().map(|(group, _)| group.span());
            let spans = spans
                .collect::<Result<Vec<_>, _>>()
                .map_err(exit::of_bucket)?;
            let span = spans
                .into_iter()
                .flatten()
                .reduce(|(a, b), (from, to)| (a.min(from), b.max(to)));
            let (since, until) = within;
            backend.span = span.map(|(first, last)| (first.max(since), last.min(until)));
            return Ok(backend);
        }
        let span = Arc::new(Mutex::new(None));
        let summary = backend
            .scan(want, Needs::Count, None)
            .run_groups(groups, &mut || Box::new(Spans(Arc::clone(&span))))?;
        scan::report(&summary);
        summary.outcome()?;
        backend.span = lock(&span).take();
        *lock(&backend.counters) = summary.counters;
        Ok(backend)
    }

    fn all(&self) -> anyhow::Result<Filter> {
        let options = Options {
            now: scan::now(),
            ..Options::default()
        };
        gillnet_kfl::compile(&self.speech.env, "", &options)
            .map_err(|errors| anyhow::anyhow!("{}", errors.render("")))
    }

    fn scan<'s>(&'s self, want: Want, needs: Needs, stream: Option<&'s StreamKey>) -> Scan<'s> {
        Scan {
            config: &self.config,
            wants: vec![want],
            within: self.within,
            tap: None,
            needs,
            limit: None,
            strict: false,
            stream,
            among: None,
        }
    }

    fn read<C: Consumer + 'static>(
        &self,
        want: Want,
        needs: Needs,
        stream: Option<&StreamKey>,
        make: impl Fn() -> C,
    ) -> Result<(), Refused> {
        let failed = |error: anyhow::Error| Refused(format!("{error:#}"));
        let summary = self
            .scan(want, needs, stream)
            .run(&self.inputs, &mut || Box::new(make()))
            .map_err(failed)?;
        summary.outcome().map_err(failed)
    }
}

/// Notes when the first and the last of some entries began.
struct Spans(Arc<Mutex<Option<(i64, i64)>>>);

impl Consumer for Spans {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let (ts, mut span) = (entry.common.ts, lock(&self.0));
        *span = Some(span.map_or((ts, ts), |(first, last)| (first.min(ts), last.max(ts))));
        true
    }
}

/// Puts entries on a page.
struct ToPage(Arc<Mutex<Pager>>);

impl Consumer for ToPage {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        lock(&self.0).matched(entry);
        true
    }
}

/// Looks for one entry.
struct Find {
    key: EntryKey,
    filter: Filter,
    found: Arc<Mutex<Option<Vec<u8>>>>,
}

fn is_of(entry: &Entry<'_>, key: &StreamKey) -> bool {
    let c = entry.common;
    let origin = key.origin.as_ref();
    c.stream == key.number
        && origin.is_none_or(|[_, node, run]| *node == c.origin.node && *run == c.origin.run)
}

impl Consumer for Find {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        if entry.common.index != self.key.index || !is_of(entry, &self.key.stream) {
            return true;
        }
        *lock(&self.found) = full(entry, &self.filter);
        false
    }
}

/// Notes in which of the groups that are read one after the other a stream's entry is.
struct Mark {
    key: StreamKey,
    group: usize,
    found: Arc<Mutex<Option<usize>>>,
}

impl Consumer for Mark {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        if is_of(entry, &self.key) {
            *lock(&self.found) = Some(self.group);
        }
        true
    }
}

impl Backend for RecordedBackend {
    fn status(&self) -> Status {
        let counters = lock(&self.counters).clone();
        let mut drops = drops_of(&counters);
        let missing = self.inputs.missing().into_iter();
        drops.extend(missing.map(|(name, count)| (name, count as u64)));
        Status {
            version: env!("CARGO_PKG_VERSION"),
            mode: "recorded",
            source: self.source.clone(),
            progress: Some(Progress {
                done: counters.bytes,
                total: counters.bytes,
                unit: "bytes",
                finished: true,
                error: None,
            }),
            counters: counters_of(&counters),
            drops,
            span: self.span.map(Span::new),
            ..Status::default()
        }
    }

    fn speech(&self) -> Arc<Speech> {
        Arc::clone(&self.speech)
    }

    fn page(&self, query: &PageQuery) -> Result<Page, Refused> {
        let failed = |error: anyhow::Error| Refused(format!("{error:#}"));
        let want = Want {
            bit: 0,
            filter: query.filter.clone(),
            record: false,
            bodies: false,
        };
        let groups = self.inputs.readings_for(&query.filter).map_err(failed)?;
        let new = || Arc::new(Mutex::new(Pager::new(query.clone())));
        let mut pager = new();
        let mut wanted = |span| lock(&pager).wants(span);
        let mut to_page = ToPage(Arc::clone(&pager));
        let quick = self.scan(want.clone(), Needs::Row, None);
        let done = quick.page(&groups, query.newest_first, &mut wanted, &mut to_page);
        drop(to_page);
        if !done.map_err(failed)? {
            pager = new();
            let all = self.scan(want, Needs::Row, None);
            let read = all.run_groups(groups, &mut || Box::new(ToPage(Arc::clone(&pager))));
            read.and_then(|summary| summary.outcome()).map_err(failed)?;
        }
        let pager =
            Arc::try_unwrap(pager).map_err(|_| Refused("the page is still being read".into()))?;
        Ok(pager
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .finish())
    }

    fn stats(&self, query: &StatsQuery) -> Result<Vec<u8>, NoStats> {
        let Self {
            speech,
            config,
            inputs,
            within,
            ..
        } = self;
        stats::of_recorded(query, speech, config, inputs, *within)
    }

    fn entry(&self, key: &EntryKey, filter: &Filter) -> Result<Option<Vec<u8>>, Refused> {
        let found = Arc::new(Mutex::new(None));
        let all = self.all().map_err(|error| Refused(format!("{error:#}")))?;
        let want = Want {
            bit: 0,
            filter: all,
            record: false,
            bodies: true,
        };
        self.read(want, Needs::Packets, Some(&key.stream), || Find {
            key: key.clone(),
            filter: filter.clone(),
            found: Arc::clone(&found),
        })?;
        Ok(lock(&found).take())
    }

    fn stream(&self, key: &StreamKey, format: PcapFormat) -> Result<Option<Vec<u8>>, Refused> {
        let failed = |error: anyhow::Error| Refused(format!("{error:#}"));
        let filter = self.all().map_err(failed)?;
        let want = Want {
            bit: 0,
            filter,
            record: false,
            bodies: false,
        };
        // frames by group: a stream's number is unique in one only
        let frames: Arc<Mutex<Vec<Vec<Taken>>>> = Arc::default();
        let taps = Arc::clone(&frames);
        let number = key.number;
        let tap = Box::new(move || {
            let frames = Arc::clone(&taps);
            lock(&frames).push(Vec::new());
            let mut bytes = 0;
            Box::new(
                move |stream: u64, _: bool, frame: &gillnet_capture::Frame<'_>| {
                    if stream == number && bytes < DOWNLOAD {
                        bytes += frame.data.len();
                        let mut groups = lock(&frames);
                        if let Some(group) = groups.last_mut() {
                            group.push(Taken {
                                ts: frame.ts,
                                iface: frame.iface,
                                link: frame.link,
                                direction: frame.direction,
                                wire_len: frame.wire_len,
                                data: frame.data.to_vec(),
                            });
                        }
                    }
                },
            ) as gillnet_pipeline::FrameTap
        });
        let found = Arc::new(Mutex::new(None));
        let mut group = 0;
        let scan = Scan {
            tap: Some(tap),
            ..self.scan(want, Needs::Packets, Some(key))
        };
        let summary = scan
            .run(&self.inputs, &mut || {
                group += 1;
                Box::new(Mark {
                    key: key.clone(),
                    group: group - 1,
                    found: Arc::clone(&found),
                })
            })
            .map_err(failed)?;
        summary.outcome().map_err(failed)?;
        if summary.unrecorded > 0 {
            return Err(Refused(
                "the payload of its packets was not recorded; an export has what there is of them"
                    .into(),
            ));
        }
        let Some(group) = lock(&found).take() else {
            return Ok(None);
        };
        let frames = lock(&frames);
        frames
            .get(group)
            .filter(|frames| !frames.is_empty())
            .map(|frames| capture(frames, format))
            .transpose()
    }

    fn export(&self, query: &ExportQuery, out: Outlet) -> Result<(), NoExport> {
        export::of_recorded(query, &self.config, &self.inputs, self.within, out)
    }

    fn live(&self) -> Option<&Arc<LiveStore>> {
        None
    }
}
