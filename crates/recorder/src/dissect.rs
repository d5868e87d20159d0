//! Entries of what a rule keeps, for the index of its objects: its frames go through a shard once more, as they are
//! sealed, so that recording itself is not held up, and the index has what the packets have.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use gillnet_bucket::index::{Entries, EntriesWriter};
use gillnet_bucket::layout::Hour;
use gillnet_capture::{Lend, Lent};
use gillnet_entry::{Entry, Origin};
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::Names;
use gillnet_pipeline::{
    Consumer, FrameNumber, Keep, Matched, Numbers, Plan, Shard, ShardConfig, Want,
};

use crate::queue::lock;
use crate::record::{Frame, LogHead};

/// So many bytes of earlier logs bodies and heads can still be read from: more than two ends of a stream may hold back.
const LOOKS_BACK: u64 = 32 << 20;

/// What entries are read with.
#[derive(Clone)]
pub struct Dissection {
    /// What filters may speak of: the protocols.
    pub env: Arc<Env>,
    /// What addresses are called.
    pub names: Arc<Names>,
    /// Who saw the packets.
    pub origin: Arc<Origin>,
    /// The run whose packets have taught `names` already what they teach, as they came.
    pub taught: Option<u64>,
}

impl std::fmt::Debug for Dissection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dissection").finish_non_exhaustive()
    }
}

/// The entries of an object, each in the hour of its own time.
pub(crate) type ByHour = Vec<(Hour, Entries)>;

/// Whose entries are read together: a run's, of a rule.
pub(crate) type Key = (u64, String);

/// Dissects what rules keep, one log of a rule after the other.
pub(crate) struct Dissector {
    with: Dissection,
    readers: HashMap<Key, Reader>,
}

impl Dissector {
    pub(crate) fn new(with: Dissection) -> Self {
        Self {
            with,
            readers: HashMap::new(),
        }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.with.origin
    }

    /// The entries of a log, the `turn`th: `feed` gives its frames in the order of their arrival. `None`, with a word in
    /// the log, where they can't be read.
    pub(crate) fn read(
        &mut self,
        head: &LogHead,
        turn: u64,
        log: Arc<dyn Lend>,
        feed: impl FnOnce(&mut Reader),
    ) -> Option<ByHour> {
        let key = head.key();
        let known = self.readers.remove(&key);
        let made = known.map_or_else(|| Reader::new(&self.with, head), Ok);
        let rows = made.and_then(|mut reader| {
            reader.head.clone_from(head);
            reader.logs.take(turn, log);
            let rows = reader.rows(|reader| {
                feed(reader);
                reader.shard.end_of_batch();
            })?;
            self.readers.insert(key, reader);
            Ok(rows)
        });
        said(&head.rule, rows)
    }

    /// Ends what is read together: the entries that still wait for something, with the head of the last log. `None`
    /// where there are none.
    pub(crate) fn finish(&mut self, key: &Key) -> Option<(LogHead, ByHour)> {
        let mut reader = self.readers.remove(key)?;
        let rows = reader.rows(|reader| reader.shard.finish());
        let rows = said(&reader.head.rule, rows)?;
        (!rows.is_empty()).then_some((reader.head, rows))
    }

    /// What it may hold entries of.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.readers.keys()
    }

    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.readers.contains_key(key)
    }

    /// Forgets what is read together.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.readers.remove(key);
    }

    /// A log was read as the `turn`th. From which turn on all logs are needed to read again what may still come of
    /// them: that in which the first stream began that runs. `None` where none runs.
    pub(crate) fn needs(&mut self, key: &Key, turn: u64) -> Option<u64> {
        let reader = self.readers.get_mut(key)?;
        let began = std::mem::take(&mut reader.began);
        let since = |stream| (stream, began.get(&stream).copied().unwrap_or(turn));
        reader.began = reader.shard.running().map(since).collect();
        let first = reader.began.values().min().copied();
        let needed = first.unwrap_or(u64::MAX);
        reader.logs.give_back(|(turn, _)| turn < needed);
        first
    }
}

/// Entries that can't be read are no reason to keep packets back.
fn said(rule: &str, rows: Result<ByHour, String>) -> Option<ByHour> {
    rows.inspect_err(|error| {
        tracing::warn!(rule, error, "an object gets no index of its entries");
    })
    .ok()
}

/// Reads the entries of one rule's frames.
pub(crate) struct Reader {
    shard: Shard,
    logs: Logs,
    rows: Arc<Mutex<ByHourSoFar>>,
    /// Of the log that was read last.
    head: LogHead,
    /// The stream of the frame that is read.
    stream: FrameNumber,
    /// The streams that run, each with the turn of the log that it began in.
    began: HashMap<u64, u64>,
}

impl Reader {
    fn new(with: &Dissection, head: &LogHead) -> Result<Self, String> {
        let options = Options::default();
        let filter = compile(&with.env, "", &options).map_err(|errors| errors.render(""))?;
        let want = Want {
            bit: 0,
            filter,
            record: false,
            bodies: false,
        };
        let logs = Logs::default();
        let rows = Arc::<Mutex<ByHourSoFar>>::default();
        let stream = FrameNumber::default();
        let shard = Shard::new(ShardConfig {
            origin: Arc::clone(&with.origin),
            learns: with.taught != Some(head.run),
            numbers: Some(Numbers::WithFrames(stream.clone())),
            ..ShardConfig::new(
                Arc::new(Plan::new(vec![want], 1)),
                Arc::clone(&with.names),
                Keep::Mapped(logs.lent.store()),
                Box::new(IntoRows::to(Arc::clone(&rows))),
            )
        });
        Ok(Self {
            shard,
            logs,
            rows,
            head: head.clone(),
            stream,
            began: HashMap::new(),
        })
    }

    /// Reads the next frame, whose data is at `at` in its log; `since`: when the stream's recording begins, where something
    /// before is missing.
    pub(crate) fn frame(&mut self, stream: u64, since: Option<i64>, frame: &Frame<'_>, at: usize) {
        self.stream.tell(stream, since);
        let pos = self.logs.begin + at as u64;
        self.shard.frame(&frame.captured(pos));
    }

    /// What comes of some frames.
    fn rows(&mut self, read: impl FnOnce(&mut Reader)) -> Result<ByHour, String> {
        catch_unwind(AssertUnwindSafe(|| read(self))).map_err(|_| "reading them panicked")?;
        let rows = std::mem::take(&mut *lock(&self.rows)).into_iter();
        Ok(rows.map(|(hour, rows)| (hour, rows.finish())).collect())
    }
}

/// The logs that frames are read from where they lie: what began in one may go on in the next.
#[derive(Default)]
struct Logs {
    lent: Lent,
    /// Where the newest begins.
    begin: u64,
    /// The turns of all, oldest first, and where they end.
    ends: VecDeque<(u64, u64)>,
}

impl Logs {
    /// Frames of another log follow. What is far back goes.
    fn take(&mut self, turn: u64, log: Arc<dyn Lend>) {
        self.begin = self.lent.lend(log);
        self.ends.push_back((turn, self.lent.store().head()));
        let far = self.begin.saturating_sub(LOOKS_BACK);
        self.give_back(|(_, end)| end <= far);
    }

    /// Lets go of the oldest, as long as one is to go.
    fn give_back(&mut self, goes: impl Fn((u64, u64)) -> bool) {
        while let Some((_, end)) = self.ends.pop_front_if(|log| goes(*log)) {
            self.lent.give_back(end);
        }
    }
}

/// Rows as they come, by the hour of their time.
type ByHourSoFar = BTreeMap<Hour, EntriesWriter>;

/// Puts entries into the rows of their hours; who waits for them gets them with a flush.
struct IntoRows {
    to: Arc<Mutex<ByHourSoFar>>,
    rows: ByHourSoFar,
    /// Those of the hour of the last entry.
    hour: Hour,
    of_hour: EntriesWriter,
}

impl IntoRows {
    fn to(to: Arc<Mutex<ByHourSoFar>>) -> Self {
        Self {
            to,
            rows: BTreeMap::new(),
            hour: Hour::of(0),
            of_hour: EntriesWriter::new(),
        }
    }

    /// Goes on with the rows of another hour.
    #[cold]
    fn turn_to(&mut self, hour: Hour) {
        let next = self.rows.remove(&hour).unwrap_or_default();
        let last = std::mem::replace(&mut self.of_hour, next);
        let last_hour = std::mem::replace(&mut self.hour, hour);
        if !last.is_empty() {
            self.rows.insert(last_hour, last);
        }
    }
}

impl Consumer for IntoRows {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let hour = Hour::of(entry.common.ts);
        if hour != self.hour {
            self.turn_to(hour);
        }
        self.of_hour.add(entry);
        true
    }

    fn flush(&mut self) {
        let to = Arc::clone(&self.to);
        let mut to = lock(&to);
        if to.is_empty() {
            self.turn_to(self.hour);
            *to = std::mem::take(&mut self.rows);
        }
    }
}
