//! What the API shows: live entries or recordings.

use crate::{ExportQuery, LiveStore, NoExport, Outlet, Page, PageQuery};
use gillnet_kfl::{Env, Errors, Filter, Lang, Options, compile};
use gillnet_scripts::Scripts;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where answers come from. Its methods may read files; they are called off the server's threads.
pub trait Backend: Send + Sync + 'static {
    /// What the dashboard's head shows.
    fn status(&self) -> Status;
    /// What filters may speak of now, and what holds for all of them.
    fn speech(&self) -> Arc<Speech>;
    /// One page of entries.
    fn page(&self, query: &PageQuery) -> Result<Page, Refused>;
    /// Counts, sums and percentiles, as JSON.
    fn stats(&self, query: &StatsQuery) -> Result<Vec<u8>, NoStats>;
    /// One entry in full, as JSON, without what a filter hides; one that it does not match is shown as the filter around
    /// it says.
    fn entry(&self, key: &EntryKey, filter: &Filter) -> Result<Option<Vec<u8>>, Refused>;
    /// The packets of a stream.
    fn stream(&self, key: &StreamKey, format: PcapFormat) -> Result<Option<Vec<u8>>, Refused>;
    /// Writes what a filter matches as a file. What goes wrong before anything is written is said; after that the reader
    /// sees that the file breaks off.
    fn export(&self, _query: &ExportQuery, _out: Outlet) -> Result<(), NoExport> {
        Err(Refused("nothing can be exported here".into()).into())
    }
    /// The live entries, where there are any.
    fn live(&self) -> Option<&Arc<LiveStore>>;
    /// The scripts, where some can run.
    fn scripts(&self) -> Option<&Scripts> {
        None
    }
}

/// What filters may speak of, and what holds for all of them, as it is configured.
#[derive(Clone, Debug, Default)]
pub struct Speech {
    /// Names.
    pub env: Env,
    /// The filter that every shown entry must match first, and that hides values; empty: none.
    pub global: String,
    /// The filter that the dashboard starts with.
    pub default: String,
}

impl Speech {
    /// A filter inside the global one.
    ///
    /// # Errors
    /// What is wrong with the global filter.
    pub fn bounded(&self, filter: Filter, now: i64) -> Result<Filter, Errors> {
        if self.global.is_empty() {
            return Ok(filter);
        }
        let options = Options {
            lang: Lang::Auto,
            lenient: false,
            now,
        };
        let global = compile(&self.env, &self.global, &options)?;
        Ok(filter.within(&global))
    }
}

/// Why a backend cannot answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Counts, sums and percentiles that are asked for.
#[derive(Clone, Debug)]
pub struct StatsQuery {
    /// Of which entries.
    pub filter: Filter,
    /// Only of entries that began at or after this, ns.
    pub since: i64,
    /// Only of entries that began before this, ns.
    pub until: i64,
    /// The fields by which entries are grouped.
    pub by: Vec<String>,
    /// The spans of time by which they are: `1m`.
    pub every: Option<String>,
    /// What is measured; the usual where it is empty.
    pub measures: Vec<String>,
    /// Only the first groups.
    pub top: Option<usize>,
    /// The name of what is sorted by.
    pub sort: Option<String>,
    /// Whether for each group the filters are wanted that have it alone, and all but it.
    pub filters: bool,
    /// The spelling that these are to be read in.
    pub lang: Lang,
    /// Whether nobody waits for the answer any more.
    pub gone: Arc<AtomicBool>,
    /// Where to tell answers to what was read so far, while reading takes its time.
    pub news: Option<News>,
}

/// Takes answers that are not the last.
#[derive(Clone)]
pub struct News(pub Arc<dyn Fn(Vec<u8>) + Send + Sync>);

impl std::fmt::Debug for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("News")
    }
}

/// Why there is no such answer.
#[derive(Debug, thiserror::Error)]
pub enum NoStats {
    /// There is no such field or measure.
    #[error("{0}")]
    Wrong(String),
    /// It can't be read.
    #[error(transparent)]
    Failed(#[from] Refused),
}

/// Names an entry: its id, and where it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryKey {
    /// Its stream.
    pub stream: StreamKey,
    /// Its position there.
    pub index: u32,
}

/// Names a stream: its number, and where it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamKey {
    /// Its number.
    pub number: u64,
    /// Whether it is UDP.
    pub udp: bool,
    /// Cluster, node and run, where the source is a bucket.
    pub origin: Option<[String; 3]>,
}

impl StreamKey {
    /// Reads `000000017720.pcap` or `000000025277_udp.pcap`.
    pub fn parse(name: &str) -> Option<StreamKey> {
        let stem = name.strip_suffix(".pcap").unwrap_or(name);
        let (digits, udp) = match stem.strip_suffix("_udp") {
            Some(digits) => (digits, true),
            None => (stem, false),
        };
        let number = digits.parse().ok()?;
        Some(StreamKey {
            number,
            udp,
            origin: None,
        })
    }

    /// The stream's name.
    pub fn name(&self) -> String {
        format!(
            "{:012}{}.pcap",
            self.number,
            if self.udp { "_udp" } else { "" }
        )
    }
}

impl EntryKey {
    /// Reads `<worker>/<stream>-<index>`.
    pub fn parse(id: &str) -> Option<EntryKey> {
        let (_, rest) = id.rsplit_once('/').unwrap_or(("", id));
        let (stream, index) = rest.rsplit_once('-')?;
        Some(EntryKey {
            stream: StreamKey::parse(stream)?,
            index: index.parse().ok()?,
        })
    }
}

/// Formats of a download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PcapFormat {
    /// Classic, Ethernet.
    #[default]
    Pcap,
    /// With interfaces and comments.
    Pcapng,
}

/// What the dashboard's head shows.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of this program.
    pub version: &'static str,
    /// `live` or `recorded`.
    pub mode: &'static str,
    /// Name of the node.
    pub node: String,
    /// Name of the cluster.
    pub cluster: String,
    /// What is shown: interfaces, or the recordings' addresses.
    pub source: String,
    /// The first of the recordings at work.
    pub recording: Option<RecordingStatus>,
    /// All recordings at work, and those that are gone and have left something to upload.
    pub recordings: Vec<RecordingStatus>,
    /// The scripts that record what `RECORDING_KFL` says, for which the built-in recorder is off.
    pub recording_scripts: Option<String>,
    /// The filter that the dashboard starts with.
    pub default_filter: String,
    /// Counters by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// What was dropped, by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// How far the recordings are read.
    pub progress: Option<Progress>,
    /// When the entries that can be shown began.
    pub span: Option<Span>,
}

/// The times of the first and the last of some entries, RFC 3339.
#[derive(Clone, Debug, Serialize)]
pub struct Span {
    /// The first.
    pub first: String,
    /// The last.
    pub last: String,
}

impl Span {
    /// Of moments in ns since the epoch.
    pub fn new((first, last): (i64, i64)) -> Span {
        let text = |ns: i64| gillnet_entry::time::Rfc3339(ns).to_string();
        Span {
            first: text(first),
            last: text(last),
        }
    }
}

/// What the recorder does.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingStatus {
    /// Name of the rule.
    pub rule: String,
    /// Its pattern.
    pub kfl: String,
    /// Where to.
    pub destination: String,
    /// `recording`, `waiting` for its window, `done`, `expired`, `stopped` (removed), `disk-full`, `spool-full`.
    pub state: String,
    /// The window that it records in, or will next.
    pub window: Option<RecordingWindow>,
    /// Frames that were recorded since the start.
    pub recorded_packets: u64,
    /// Entries in the index of what was sealed since then.
    pub indexed_entries: u64,
    /// When an object was uploaded last, RFC 3339.
    pub last_upload: Option<String>,
    /// Bytes in the spool, of all recordings.
    pub spool_bytes: u64,
    /// Objects that wait.
    pub pending_objects: u64,
    /// Bytes of them.
    pub pending_bytes: u64,
    /// Objects that arrived.
    pub uploaded_objects: u64,
    /// Bytes that arrived, with their index.
    pub uploaded_bytes: u64,
    /// Files that were deleted there because they were kept long enough.
    pub pruned_files: u64,
    /// Bytes of them.
    pub pruned_bytes: u64,
    /// What went wrong last.
    pub error: Option<String>,
}

/// A span of time in which a rule records.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingWindow {
    /// Its first moment, RFC 3339; none where it was always open.
    pub from: Option<String>,
    /// The first moment after it, RFC 3339; none where it does not end.
    pub until: Option<String>,
    /// How much of it is over, from 0 to 1, where it ends.
    pub progress: Option<f64>,
    /// Which it is, from 1 on.
    pub number: u32,
    /// Of how many, where there is an end of them.
    pub of: Option<u32>,
}

/// How far recordings are read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Progress {
    /// So many.
    pub done: u64,
    /// Of so many.
    pub total: u64,
    /// `bytes` or `objects`.
    pub unit: &'static str,
    /// Whether that is all.
    pub finished: bool,
    /// What went wrong.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_streams_and_entries_round_trip() {
        for name in ["000000017720.pcap", "000000025277_udp.pcap"] {
            assert_eq!(StreamKey::parse(name).unwrap().name(), name);
        }
        let key = EntryKey::parse("10.0.41.65:30001/000000017720.pcap-3").unwrap();
        assert_eq!(
            (key.stream.number, key.stream.udp, key.index),
            (17720, false, 3)
        );
        for wrong in ["", "x", "1.pcap", "a/b-c", "../../etc/passwd-1"] {
            assert_eq!(EntryKey::parse(wrong), None, "{wrong}");
        }
    }
}
