//! Plain files, mapped one behind the other into one range of addresses: nothing is copied, and
//! a position is unique over all of them. Where files overlap in time the walk goes from one to
//! another and back, frame by frame.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    fs::File,
    io,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    Error, Event, Interface, Result, Source, SourceStats, Store,
    formats::{DETECT, Found, Interfaces, Step, Walker, detect},
    mem::{Region, page_size, prefetch},
    sources::{cut_short, not_a_capture},
};

/// Pages this far behind the walk are given back, in steps of [`DROP_STEP`].
const KEEP_BEHIND: u64 = 32 << 20;
const DROP_STEP: u64 = 16 << 20;

/// Files mapped at a time; the kernel allows a process 65,530 mappings by default.
const MAX_MAPPED: usize = 16_384;

/// How far ahead of the walk memory is asked for.
const AHEAD: usize = 1536;
const CACHE_LINE: usize = 64;

/// A part of a file that holds a capture.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: Arc<str>,
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// The time of its first frame, where its turn comes then; else when what stands before it ends.
    pub(crate) first: Option<i64>,
}

impl Part {
    /// Where its first page begins in the file, and how many bytes all its pages have.
    fn pages(&self) -> (u64, u64) {
        let page = page_size() as u64;
        let before = self.offset % page;
        (
            self.offset - before,
            (before + self.len).next_multiple_of(page),
        )
    }
}

/// Captures in mapped files.
#[derive(Debug)]
pub(crate) struct MappedFiles {
    region: Arc<Region>,
    store: Store,
    waiting: VecDeque<Part>,
    current: Option<Current>,
    /// Files that were begun, and wait until the time of the frame that they stand at.
    parked: BinaryHeap<Reverse<Parked>>,
    /// The time when another file's turn comes.
    until: i64,
    /// Where the walk is.
    pos: u64,
    /// Pages before this position were given back.
    dropped: u64,
    /// Where the walk is when the next ones are.
    drop_due: u64,
    /// Starts and lengths of what is mapped, oldest first.
    mapped: VecDeque<(u64, u64)>,
    interfaces: Interfaces,
    stats: SourceStats,
}

#[derive(Debug)]
struct Current {
    name: Arc<str>,
    walker: Walker,
    /// Positions of the file's first byte and of its end.
    start: u64,
    end: u64,
    /// Whether the walker's layout is yet to be noted.
    fresh: bool,
    /// Set where the end of the file came inside what a fault had to be passed over.
    cut: Option<Error>,
}

/// A file that waits, the frame that it stands at, and where that is.
#[derive(Debug)]
struct Parked {
    file: Current,
    found: Found,
    pos: u64,
}

impl Parked {
    /// Whose turn is first: of equal times that of the file that began first.
    fn turn(&self) -> (i64, u64) {
        (self.found.ts, self.file.start)
    }
}

impl Ord for Parked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.turn().cmp(&other.turn())
    }
}

impl PartialOrd for Parked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Parked {
    fn eq(&self, other: &Self) -> bool {
        self.turn() == other.turn()
    }
}

impl Eq for Parked {}

impl MappedFiles {
    /// Reserves addresses for all of `parts`.
    pub(crate) fn new(parts: VecDeque<Part>) -> io::Result<Self> {
        let total: u64 = parts.iter().map(|part| part.pages().1).sum();
        let len = usize::try_from(total).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let region = Arc::new(Region::reserve(len)?.guarded());
        Ok(Self {
            store: Store::of_files(&region),
            region,
            waiting: parts,
            current: None,
            parked: BinaryHeap::new(),
            until: i64::MAX,
            pos: 0,
            dropped: 0,
            drop_due: KEEP_BEHIND + DROP_STEP,
            mapped: VecDeque::new(),
            interfaces: Interfaces::default(),
            stats: SourceStats::default(),
        })
    }

    /// Goes on with the file whose turn is next: at the frame that it stands at, or, where it is a new one, at its start.
    /// `false` where there is none.
    #[cold]
    fn open_next(&mut self) -> Result<(bool, Option<Found>)> {
        let first = self.waiting.front().map(|part| part.first);
        let parked = self
            .parked
            .peek()
            .map(|Reverse(parked)| Some(parked.found.ts));
        let begins = first.is_some_and(|first| parked.is_none_or(|parked| first <= parked));
        let mut stands_at = None;
        let opened = if let Some(part) = self.waiting.pop_front_if(|_| begins) {
            self.stats.files += 1;
            let opened = self.open(part);
            self.stats.files_damaged += u64::from(opened.is_err());
            opened.map(Some)
        } else {
            Ok(self.parked.pop().map(|Reverse(parked)| {
                self.pos = parked.pos;
                stands_at = Some(parked.found);
                parked.file
            }))
        };
        let first = self.waiting.front().and_then(|part| part.first);
        let parked = self.parked.peek().map(|Reverse(parked)| parked.found.ts);
        let turns = first.into_iter().chain(parked);
        self.until = turns.min().unwrap_or(i64::MAX);
        self.current = opened?;
        Ok((self.current.is_some(), stands_at))
    }

    /// The frame whose turn is next, where the walk has found one.
    #[cold]
    fn in_turn(&mut self, mut found: Found) -> Result<Option<Found>> {
        loop {
            let waits = |part: &Part| part.first.is_some_and(|first| first <= found.ts);
            let start = self.current.as_ref().map_or(0, |file| file.start);
            let is_before = |Reverse(parked): &Reverse<Parked>| parked.turn() < (found.ts, start);
            if !self.waiting.front().is_some_and(waits)
                && !self.parked.peek().is_some_and(is_before)
            {
                return Ok(Some(found));
            }
            let pos = self.pos;
            let parked = self.current.take();
            self.parked
                .extend(parked.map(|file| Reverse(Parked { file, found, pos })));
            match self.find()? {
                Some(next) => found = next,
                None => return Ok(None),
            }
        }
    }

    fn open(&mut self, mut part: Part) -> Result<Current> {
        let name = Arc::clone(&part.name);
        let failed = |source| Error::Open {
            file: Arc::clone(&name),
            source,
        };
        let file = File::open(&part.path).map_err(failed)?;
        let now = file.metadata().map_err(failed)?.len();
        // more than was reserved is not mapped, less than there was can't be
        part.len = part.len.min(now.saturating_sub(part.offset));
        if part.len == 0 {
            self.stats.truncated += 1;
            return Err(cut_short(&name, 0, "file header", 24, 0));
        }
        // one that waits may be the oldest
        if self.mapped.len() >= MAX_MAPPED && self.parked.is_empty() {
            self.unmap_oldest();
        }
        let (first_page, len) = part.pages();
        let at = self.store.head();
        self.region
            .map(at as usize, &file, first_page, len as usize, false)
            .map_err(failed)?;
        self.mapped.push_back((at, len));
        self.store.grow(at + len);
        let start = at + (part.offset - first_page);
        let end = start + part.len;
        let first = self.store.span(start, end.min(start + DETECT as u64));
        let Some(walker) = Walker::new(detect(first)) else {
            return Err(not_a_capture(&name, first));
        };
        self.pos = start;
        Ok(Current {
            name,
            walker,
            start,
            end,
            fresh: true,
            cut: None,
        })
    }

    fn unmap_oldest(&mut self) {
        if let Some((at, len)) = self.mapped.pop_front() {
            self.store.forget(at + len);
            self.region.unmap(at as usize, len as usize);
        }
    }

    /// Gives pages far behind the walk back, so that resident memory does not grow with the file.
    #[cold]
    fn drop_behind(&mut self) {
        let page = page_size() as u64;
        let until = self.pos.saturating_sub(KEEP_BEHIND) / page * page;
        let from = self.dropped.max(self.store.tail());
        if until > from {
            self.region
                .drop_pages(from as usize, (until - from) as usize);
        }
        self.dropped = until;
        self.drop_due = until + KEEP_BEHIND + DROP_STEP;
    }

    /// What a step that is no frame comes to; `None` is to go on.
    #[cold]
    fn other_step(&mut self, step: Step) -> Option<Error> {
        let file = self.current.as_mut()?;
        let (offset, left) = (self.pos - file.start, file.end - self.pos);
        let cut = |what, wanted| cut_short(&file.name, offset, what, wanted, left);
        let (skip, error) = match step {
            Step::Frame(_) => return None,
            Step::Skip(bytes) if bytes <= left => (Some(bytes), None),
            Step::Skip(bytes) => (None, Some(cut("block", bytes))),
            Step::Need { .. } if left == 0 && !file.walker.at_start() => (None, None),
            Step::Need { bytes, what } => (None, Some(cut(what, bytes as u64))),
            Step::Fault { fault, skip } => {
                let too_far = skip.filter(|skip| *skip > left);
                file.cut = too_far.map(|bytes| cut("block", bytes));
                (
                    skip.map(|skip| skip.min(left)),
                    Some(fault.at(&file.name, offset)),
                )
            }
        };
        file.walker.describe(
            std::mem::take(&mut file.fresh),
            &mut self.store.layouts_mut(),
            self.pos,
        );
        match skip {
            Some(bytes) => self.pos += bytes,
            None => self.close(error.as_ref()),
        }
        error
    }

    /// Ends the current file.
    fn close(&mut self, error: Option<&Error>) {
        self.stats.files_damaged += u64::from(error.is_some());
        self.stats.truncated += u64::from(matches!(error, Some(Error::Truncated { .. })));
        let closed = self.current.take().filter(|_| !self.parked.is_empty());
        if let Some(Current { start, end, .. }) = closed {
            // the walk goes on elsewhere, and would not come by again
            let start = start.next_multiple_of(page_size() as u64);
            self.region
                .drop_pages(start as usize, end.saturating_sub(start) as usize);
        }
    }

    /// The frame that the walk stands at, as `find` finds it, where nothing is odd and nothing due.
    #[inline(always)]
    fn frame(
        &mut self,
        find: impl FnOnce(&mut Walker, &[u8], &mut SourceStats) -> Option<Found>,
    ) -> Option<Found> {
        let file = self.current.as_mut()?;
        if self.pos >= self.drop_due {
            return None;
        }
        let bytes = self.store.span(self.pos, file.end);
        let found = find(&mut file.walker, bytes, &mut self.stats)?;
        // Walking is waiting for the next record's header. Its place is not known before this one
        // is read, but often records are alike: so one more of the same length, and what is about
        // to be parsed. Of 200 MB this takes a quarter to a third of the time.
        let stride = 2 * found.used as usize;
        prefetch(bytes, stride);
        prefetch(bytes, stride + CACHE_LINE);
        prefetch(bytes, AHEAD);
        Some(found)
    }

    /// Counts the frame that was found, and moves behind it.
    #[inline(always)]
    fn deliver(&mut self, found: &Found) -> Event<'_> {
        let start = self.pos;
        self.pos = start + u64::from(found.used);
        self.stats.frames += 1;
        self.stats.bytes += u64::from(found.len);
        Event::Frame(found.frame(
            self.store.span(start, self.pos),
            start + u64::from(found.at),
        ))
    }

    /// What is not the usual case of a pcap file, apart, so that that is short.
    #[inline(never)]
    fn next_with_care(&mut self) -> Result<Event<'_>> {
        let mut found = self.frame(Walker::frame);
        if found.is_none() {
            if self.pos >= self.drop_due {
                self.drop_behind();
            }
            found = self.find()?;
        }
        match found {
            Some(found) => self.next_in_turn(found),
            None => Ok(Event::End),
        }
    }

    /// Gives the frame that was found, or another file's where that is to come first.
    #[inline]
    fn next_in_turn(&mut self, found: Found) -> Result<Event<'_>> {
        if found.ts < self.until {
            return Ok(self.deliver(&found));
        }
        match self.in_turn(found)? {
            Some(found) => Ok(self.deliver(&found)),
            None => Ok(Event::End),
        }
    }

    /// Goes on to the next frame over whatever stands before it; `None` at the end of all files.
    #[inline(never)]
    fn find(&mut self) -> Result<Option<Found>> {
        loop {
            let Some(file) = &mut self.current else {
                match self.open_next()? {
                    (true, None) => continue,
                    (_, stands_at) => return Ok(stands_at),
                }
            };
            let mut error = file.cut.take();
            if self.region.has_shrunk() {
                error = Some(Error::Shrank {
                    file: Arc::clone(&file.name),
                });
            }
            if let Some(error) = error {
                self.close(Some(&error));
                return Err(error);
            }
            let bytes = self.store.span(self.pos, file.end);
            match file
                .walker
                .step(bytes, &mut self.interfaces, &mut self.stats)
            {
                Step::Frame(found) => return Ok(Some(found)),
                step => {
                    if let Some(error) = self.other_step(step) {
                        return Err(error);
                    }
                }
            }
        }
    }
}

impl Source for MappedFiles {
    #[inline]
    fn next(&mut self) -> Result<Event<'_>> {
        match self.frame(Walker::pcap_frame) {
            Some(found) => self.next_in_turn(found),
            None => self.next_with_care(),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        self.interfaces.list()
    }

    fn stats(&mut self) -> SourceStats {
        self.stats
    }

    fn store(&self) -> Option<Store> {
        Some(self.store.clone())
    }
}
