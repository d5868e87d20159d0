//! A group's index: its entries without their packets.

use std::collections::HashSet;
use std::sync::Arc;

use super::in_order::in_order;
use super::{Content, Group, Object, Progress};
use crate::index::{Cost, EntriesFile, Error, Found, Question};
use crate::layout::ObjectName;
use crate::packets::StreamId;
use crate::{BucketError, ErrorKind};

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

    /// Its index; `None` where not all of its packets have one (an earlier version recorded them, or not everything is
    /// uploaded yet).
    ///
    /// # Errors
    /// Where a file of the index can't be read; the packets may be all the same.
    pub fn index(&self) -> Result<Option<GroupIndex>, BucketError> {
        let Content::Objects(objects) = &self.content else {
            return Ok(None);
        };
        if !self.is_indexed() {
            return Ok(None);
        }
        let bucket = &self.shared.bucket;
        let threads = super::in_order::threads(bucket.as_ref());
        let mut files = Vec::new();
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|file| (file.name.hour, file.name.seq));
        let open = |at: usize| {
            let Object { key, size, .. } = entries[at];
            let place = bucket.place(key);
            let opened = EntriesFile::open(bucket, key, *size);
            let opened = opened.map_err(|error| failed(&place, &error));
            Ok::<_, BucketError>(opened.map(|opened| (place, opened)))
        };
        let (mut unread, mut first) = (0_u64, None);
        in_order(entries.len(), threads, open, |file| match file {
            Ok(file) => files.push(file),
            Err(error) => {
                unread += 1;
                first.get_or_insert(error);
            }
        })?;
        if let Some(mut error) = first {
            if unread > 1 {
                error.message += &format!(" (and {} more of its files)", unread - 1);
            }
            return Err(error);
        }
        let first = entries.first().map(|file| &file.name.recording);
        Ok(Some(GroupIndex {
            files,
            names: entries.iter().map(|file| file.name.clone()).collect(),
            threads,
            repeats: entries
                .iter()
                .any(|file| Some(&file.name.recording) != first),
            progress: Arc::clone(&self.shared.progress),
            objects: objects.len() as u64,
            bytes: objects.iter().map(|object| object.size).sum(),
        }))
    }
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

    /// Shows answers of its index, those of the latest hours first where `latest` says so, else of the earliest. What has
    /// nothing of a span of time (first and last moment, ns) that is `wanted` is passed over: by its hour a file unopened,
    /// by its own span a file of which only the footer is read. `false` where its index does not decide the filter: what
    /// was shown by then may not be all.
    ///
    /// # Errors
    /// Where a file of the index can't be read; the packets may be all the same.
    pub fn ask_by_time(
        &self,
        question: &Question<'_>,
        latest: bool,
        wanted: &mut dyn FnMut((i64, i64)) -> bool,
        each: &mut dyn FnMut(&Found<'_>),
    ) -> Result<bool, BucketError> {
        if !self.is_indexed() || !question.filter.is_whole() {
            return Ok(false);
        }
        let mut files: Vec<_> = self.entries.iter().collect();
        files.sort_by_key(|file| (file.name.hour, file.name.seq));
        if latest {
            files.reverse();
        }
        let bucket = &self.shared.bucket;
        let first = files.first().map(|file| &file.name.recording);
        let repeats = files.iter().any(|file| Some(&file.name.recording) != first);
        let mut seen: HashSet<(StreamId, u32)> = HashSet::new();
        for file in files {
            let hour = file.name.hour;
            if !wanted((hour.start(), hour.end().saturating_sub(1))) {
                continue;
            }
            let failed = |error| failed(&bucket.place(&file.key), &error);
            let opened = EntriesFile::open(bucket, &file.key, file.size).map_err(failed)?;
            if !opened.decides(question) {
                return Ok(false);
            }
            if opened.span().is_some_and(&mut *wanted) {
                let asked = opened.ask(question, &mut |found| {
                    // an entry that several rules keep is in a file of each
                    if !repeats || seen.insert((found.stream, found.index)) {
                        each(found);
                    }
                    true
                });
                asked.map_err(failed)?;
            }
        }
        Ok(true)
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
        let mut cost = Cost::default();
        let mut goes_on = true;
        let mut failure = None;
        for (place, file) in &self.files {
            let asked = file.ask(question, &mut |found| {
                if !self.repeats || seen.insert((found.stream, found.index)) {
                    goes_on = each(found);
                }
                goes_on
            });
            match asked {
                Ok(of_file) => {
                    cost.bytes += of_file.bytes;
                    cost.rows += of_file.rows;
                }
                Err(error) => {
                    failure.get_or_insert_with(|| failed(place, &error));
                }
            }
            if !goes_on {
                break;
            }
        }
        self.done();
        failure.map_or(Ok(cost), Err)
    }

    /// Notes that it is read.
    pub(super) fn done(&self) {
        Progress::add(&self.progress.objects_done, self.objects);
        Progress::add(&self.progress.bytes_done, self.bytes);
    }
}
