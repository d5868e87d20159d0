//! A group's index: its entries without their packets.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use super::in_order::{in_order, threads};
use super::{Content, Group, Object, Progress};
use crate::index::{Cost, EntriesFile, Error, Found, Question};
use crate::layout::{Hour, ObjectName};
use crate::packets::StreamId;
use crate::{Bucket, BucketError, ErrorKind};

/// The index of all that a process recorded, in the span of time that was opened.
#[derive(Debug)]
pub struct GroupIndex {
    /// What errors call them, and the files, in the order of their hours.
    pub(super) files: Vec<(String, EntriesFile)>,
    /// Their names.
    pub(super) names: Vec<ObjectName>,
    /// How many are read at the same time.
    pub(super) threads: usize,
    /// Several rules recorded: an entry may be in the files of each.
    repeats: bool,
    progress: Arc<Progress>,
    objects: u64,
    bytes: u64,
}

impl Group {
    /// Whether all of its packets have an index.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        let Content::Objects(objects) = &self.content else {
            return false;
        };
        let indexed: HashSet<_> = self.entries.iter().map(|file| &file.name).collect();
        objects.iter().all(|object| indexed.contains(&object.name))
    }

    /// Whether some of its index is encrypted, so that no other program reads it.
    #[must_use]
    pub fn is_index_encrypted(&self) -> bool {
        let mut files = self.entries.iter();
        files.any(|file| self.shared.bucket.is_encrypted(&file.key))
    }

    /// Its index; `None` where not all of its packets have one (an earlier version recorded them, or not everything is
    /// uploaded yet).
    ///
    /// # Errors
    /// Where a file of the index can't be read; the packets may be all the same.
    pub fn index(&self) -> Result<Option<GroupIndex>, BucketError> {
        self.index_since(None)
    }

    /// The same of an hour and those that follow.
    ///
    /// # Errors
    /// As [`Group::index`].
    pub fn index_since(&self, hour: Option<Hour>) -> Result<Option<GroupIndex>, BucketError> {
        match self.is_indexed() {
            true => self.index_that_is(hour),
            false => Ok(None),
        }
    }

    /// Whether it has packets without all of their payload. Entries are never read from them: only the index has them.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        !self.cut.is_empty()
    }

    /// As [`Group::index_since`], also where some of its packets have no index; `None` of plain captures.
    ///
    /// # Errors
    /// As [`Group::index`].
    pub fn index_that_is(&self, hour: Option<Hour>) -> Result<Option<GroupIndex>, BucketError> {
        let Content::Objects(objects) = &self.content else {
            return Ok(None);
        };
        let mut entries = self.by_time();
        entries.retain(|file| hour.is_none_or(|hour| file.name.hour >= hour));
        let threads = threads(self.shared.bucket.as_ref());
        let mut files = Vec::new();
        let (mut unread, mut first) = (0_u64, None);
        let of_group: Vec<_> = entries
            .iter()
            .map(|file| (&self.shared.bucket, *file))
            .collect();
        open(&of_group, threads, |file| match file {
            Ok(file) => files.push(file),
            Err(error) => {
                unread += 1;
                first.get_or_insert(error);
            }
        });
        if let Some(mut error) = first {
            if unread > 1 {
                error.message += &format!(" (and {} more of its files)", unread - 1);
            }
            return Err(error);
        }
        Ok(Some(GroupIndex {
            files,
            names: entries.iter().map(|file| file.name.clone()).collect(),
            threads,
            repeats: repeats(&entries),
            progress: Arc::clone(&self.shared.progress),
            objects: objects.len() as u64,
            bytes: objects.iter().map(|object| object.size).sum(),
        }))
    }

    /// The files of its index in the order of their hours.
    pub(super) fn by_time(&self) -> Vec<&Object> {
        let mut files: Vec<_> = self.entries.iter().collect();
        files.sort_by_key(|file| (file.name.hour, file.name.seq));
        files
    }
}

/// Opens files side by side, and gives each in its turn with what errors call it.
pub(super) fn open(
    files: &[(&Arc<dyn Bucket>, &Object)],
    threads: usize,
    mut each: impl FnMut(Result<(String, EntriesFile), BucketError>) + Send,
) {
    let open = |at: usize| {
        let (bucket, Object { key, size, .. }) = files[at];
        let place = bucket.place(key);
        let opened = EntriesFile::open(bucket, key, *size);
        let opened = opened.map_err(|error| failed(&place, &error));
        Ok::<_, Infallible>(opened.map(|opened| (place, opened)))
    };
    let Ok(()) = in_order(files.len(), threads, open, &mut each);
}

/// Whether several rules recorded, of whose files each may have the same entry.
fn repeats(files: &[&Object]) -> bool {
    let mut rules = files.iter().map(|file| &file.name.recording);
    let first = rules.next();
    rules.any(|rule| Some(rule) != first)
}

impl Group {
    /// Files of its index.
    #[must_use]
    pub fn index_files(&self) -> usize {
        self.entries.len()
    }

    /// Times of its earliest and latest entry, ns since the epoch, as the files of its first and last hour say; nothing
    /// where it has none.
    ///
    /// # Errors
    /// Where one of these files can't be read.
    pub fn span(&self) -> Result<Option<(i64, i64)>, BucketError> {
        let hours = || self.entries.iter().map(|file| file.name.hour);
        let (first, last) = (hours().min(), hours().max());
        let bucket = &self.shared.bucket;
        let mut span: Option<(i64, i64)> = None;
        for file in &self.entries {
            let hour = Some(file.name.hour);
            if hour != first && hour != last {
                continue;
            }
            let failed = |error| failed(&bucket.place(&file.key), &error);
            let opened = EntriesFile::open(bucket, &file.key, file.size).map_err(failed)?;
            let Some((from, to)) = opened.span() else {
                continue;
            };
            span = Some(span.map_or((from, to), |(a, b)| (a.min(from), b.max(to))));
        }
        Ok(span)
    }

    /// [`ask_by_time`] of it alone.
    pub fn ask_by_time(
        &self,
        question: &Question<'_>,
        latest: bool,
        wanted: &mut dyn FnMut((i64, i64)) -> bool,
        each: &mut dyn FnMut(&Found<'_>) -> bool,
    ) -> Option<Answered> {
        ask_by_time(&[(self, *question)], latest, wanted, each)
    }
}

/// Shows answers of the indexes of groups, each asked its own question, those of the latest hours first where `latest` says
/// so, else of the earliest, until `each` says that no more are wanted. What has nothing of a span of time (first and last
/// moment, ns) that is `wanted` is passed over: by its hour a file unopened, by its own span a file of which only the footer
/// is read. Files are opened when their turn comes: those of one hour, then twice as many each time, so that they are at
/// most about twice as many as an answer needs. `None` where not all packets of a group have an index, or an index can't
/// say all that a filter asks for.
pub fn ask_by_time(
    groups: &[(&Group, Question<'_>)],
    latest: bool,
    wanted: &mut dyn FnMut((i64, i64)) -> bool,
    each: &mut dyn FnMut(&Found<'_>) -> bool,
) -> Option<Answered> {
    let can = |(group, question): &(&Group, Question<'_>)| {
        group.is_indexed() && question.filter.is_whole()
    };
    if !groups.iter().all(can) {
        return None;
    }
    let (mut files, mut repeated) = (Vec::new(), Vec::new());
    for (at, (group, _)) in groups.iter().enumerate() {
        let of_group = group.by_time();
        repeated.push(repeats(&of_group));
        files.extend(of_group.into_iter().map(|file| InTurn { at, file }));
    }
    // those of a group stay in their order
    files.sort_by_key(|of| of.file.name.hour);
    if latest {
        files.reverse();
    }
    let of_hour = |one: &InTurn<'_>, next: &InTurn<'_>| one.file.name.hour == next.file.name.hour;
    let mut hours = files.chunk_by(of_hour);
    let mut answered = Answered::default();
    let threads = groups
        .iter()
        .map(|(group, _)| threads(group.shared.bucket.as_ref()));
    let threads = threads.max().unwrap_or(1);
    let mut ahead = 1;
    loop {
        let mut turn: Vec<InTurn<'_>> = Vec::new();
        while turn.len() < ahead
            && let Some(hour) = hours.next()
        {
            if hour.first().is_some_and(|of| wanted(whole_hour(of.file))) {
                turn.extend(hour);
            }
        }
        if turn.is_empty() {
            return Some(answered);
        }
        ahead = (2 * ahead).min(AHEAD);
        let keys: Vec<_> = turn
            .iter()
            .map(|of| (&groups[of.at].0.shared.bucket, of.file))
            .collect();
        let mut opened = Vec::new();
        open(&keys, threads, |file| opened.push(file));
        let mut opened = opened.into_iter();
        for files in turn.chunk_by(of_hour) {
            let Some(first) = files.first() else {
                continue;
            };
            let opened: Vec<_> = opened.by_ref().take(files.len()).collect();
            if !wanted(whole_hour(first.file)) {
                continue;
            }
            let deciding = files.iter().zip(opened).map(|(of, opened)| {
                let (place, file) = opened.ok()?;
                file.decides(&groups[of.at].1)
                    .then_some((of.at, place, file))
            });
            let Some(mut hour) = deciding.collect::<Option<Vec<_>>>() else {
                answered.rest = Some(first.file.name.hour);
                return Some(answered);
            };
            if latest {
                // the latest of all groups make what is wanted narrow
                hour.sort_by_cached_key(|(_, _, file)| Reverse(file.span().map(|(_, last)| last)));
            }
            // an entry that several rules keep is in the same hour of each
            let mut seen: HashSet<(usize, StreamId, u32)> = HashSet::new();
            let mut goes_on = true;
            for (at, place, file) in hour {
                if !file.span().is_some_and(&mut *wanted) {
                    continue;
                }
                let asked = file.ask(&groups[at].1, &mut |found| {
                    if !repeated[at] || seen.insert((at, found.stream, found.index)) {
                        goes_on = each(found);
                    }
                    goes_on
                });
                answered.add(asked.map_err(|error| failed(&place, &error)));
                if !goes_on {
                    return Some(answered);
                }
            }
        }
    }
}

/// A file of a group.
#[derive(Clone, Copy)]
struct InTurn<'g> {
    /// Which group.
    at: usize,
    file: &'g Object,
}

/// Files that are opened at a time, about.
pub(super) const AHEAD: usize = 64;

/// The first and the last moment of a file's hour, ns.
fn whole_hour(file: &Object) -> (i64, i64) {
    let hour = file.name.hour;
    (hour.start(), hour.end().saturating_sub(1))
}

/// What came of asking an index hour by hour.
#[derive(Debug, Default)]
pub struct Answered {
    /// What it took.
    pub cost: Cost,
    /// Of this hour, and of all behind it in the order that was asked for, nothing was shown: a file of it can't be
    /// opened, or has not all that the filter asks for.
    pub rest: Option<Hour>,
    /// The first file that can't be read to its end; what is in the others was shown all the same.
    pub failure: Option<BucketError>,
}

impl Answered {
    fn add(&mut self, asked: Result<Cost, BucketError>) {
        match asked {
            Ok(cost) => {
                self.cost.bytes += cost.bytes;
                self.cost.rows += cost.rows;
            }
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }
}

pub(super) fn failed(place: &str, error: &Error) -> BucketError {
    BucketError::new(ErrorKind::Other, place.to_owned(), error.to_string())
}

impl GroupIndex {
    /// Whether it has all that the filter asks for, so that no packets are needed.
    #[must_use]
    pub fn decides(&self, question: &Question<'_>) -> bool {
        question.filter.is_whole() && self.files.iter().all(|(_, file)| file.decides(question))
    }

    /// Shows the entries that match or may match, each once; `each` says whether to go on.
    ///
    /// # Errors
    /// The first file that can't be read to its end; what is in the others was shown all the same.
    pub fn ask(
        &self,
        question: &Question<'_>,
        each: &mut dyn FnMut(&Found<'_>) -> bool,
    ) -> Result<Cost, BucketError> {
        let mut seen: HashSet<(StreamId, u32)> = HashSet::new();
        let mut answered = Answered::default();
        let mut goes_on = true;
        for (place, file) in &self.files {
            let asked = file.ask(question, &mut |found| {
                if !self.repeats || seen.insert((found.stream, found.index)) {
                    goes_on = each(found);
                }
                goes_on
            });
            answered.add(asked.map_err(|error| failed(place, &error)));
            if !goes_on {
                break;
            }
        }
        self.done();
        answered.failure.map_or(Ok(answered.cost), Err)
    }

    /// Notes that it is read.
    pub(super) fn done(&self) {
        Progress::add(&self.progress.objects_done, self.objects);
        Progress::add(&self.progress.bytes_done, self.bytes);
    }
}
