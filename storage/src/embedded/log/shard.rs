//! What readers and the writer of one shard share.

use super::frame::{HEADER_BYTES, Key, TRAILER};
use super::window::{Found, Window, read_at_most};
use crate::log::{Entry, Error};
use crate::shard::{Offset, Shard};
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A shard.
#[derive(Debug)]
pub(super) struct State {
    pub(super) shard: Shard,
    pub(super) key: Key,
    pub(super) dir: PathBuf,
    /// The next offset that is not durable yet.
    durable: watch::Sender<Offset>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// By first offset; never empty; the last is written to.
    segments: Vec<Segment>,
    /// The newest records, up to the durable end, without a gap.
    cache: VecDeque<Entry>,
    cache_bytes: usize,
    cache_bytes_max: usize,
    /// Where readers will go on: the newest last.
    marks: VecDeque<Mark>,
}

/// A file of consecutive records.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The offset of its first record.
    pub(super) first: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    /// Offsets and where their frames begin, growing; the first record stands at 0.
    pub(super) index: Vec<(u64, u64)>,
}

/// A place that was reached.
#[derive(Clone, Copy, Debug)]
struct Mark {
    segment: u64,
    offset: u64,
    at: u64,
}

/// What is read of a segment, and from where.
struct Plan {
    file: Arc<File>,
    path: PathBuf,
    segment: u64,
    /// The offset after the last that is durable in it.
    until: u64,
    offset: u64,
    at: u64,
}

/// Between two entries of an index lie about so many bytes.
pub(super) const INDEX_BYTES: u64 = 256 << 10;
const MARKS_MAX: usize = 16;

// === impl Segment ===

impl Segment {
    pub(super) fn new(first: u64, path: PathBuf, file: File) -> Self {
        Self { first, path, file: Arc::new(file), index: vec![(first, 0)] }
    }

    /// Notes where a frame begins, when it is far enough behind the one noted last.
    pub(super) fn note(&mut self, offset: u64, at: u64) {
        if self.index.last().is_none_or(|last| offset > last.0 && at >= last.1 + INDEX_BYTES) {
            self.index.push((offset, at));
        }
    }
}

// === impl State ===

impl State {
    pub(super) fn new(
        shard: Shard,
        key: Key,
        dir: PathBuf,
        segments: Vec<Segment>,
        next: Offset,
        cache_bytes_max: usize,
    ) -> Self {
        let inner = Inner { segments, cache: VecDeque::new(), cache_bytes: 0, cache_bytes_max, marks: VecDeque::new() };
        Self { shard, key, dir, durable: watch::Sender::new(next), inner: Mutex::new(inner) }
    }

    pub(super) fn durable(&self) -> watch::Receiver<Offset> {
        self.durable.subscribe()
    }

    pub(super) fn next(&self) -> Offset {
        *self.durable.borrow()
    }

    pub(super) fn first(&self) -> Offset {
        Offset(self.lock().segments.first().map_or(0, |segment| segment.first))
    }

    pub(super) fn check_range(&self, offset: Offset, next: Offset) -> Result<(), Error> {
        let first = self.first();
        if offset < first || offset > next {
            return Err(Error::OutOfRange { shard: self.shard, offset, first, next });
        }
        Ok(())
    }

    /// The segment that is written to.
    pub(super) fn newest(&self) -> Option<(u64, Arc<File>)> {
        self.lock().segments.last().map(|segment| (segment.first, Arc::clone(&segment.file)))
    }

    /// From now on this one is written to.
    pub(super) fn add_segment(&self, segment: Segment) {
        self.lock().segments.push(segment);
    }

    /// Records have become durable; `places` are where their frames begin.
    pub(super) fn publish(&self, first: u64, records: Vec<Bytes>, places: &[u64]) {
        let mut inner = self.lock();
        let mut next = first;
        for (record, at) in records.into_iter().zip(places) {
            if let Some(segment) = inner.segments.last_mut() {
                segment.note(next, *at);
            }
            inner.cache_bytes += record.len();
            inner.cache.push_back(Entry { offset: Offset(next), record });
            next += 1;
        }
        while inner.cache_bytes > inner.cache_bytes_max
            && let Some(oldest) = inner.cache.pop_front()
        {
            inner.cache_bytes -= oldest.record.len();
        }
        drop(inner);
        self.durable.send_replace(Offset(next));
    }

    /// Records that are still in memory; none when `from` is not.
    pub(super) fn read_cache(&self, from: Offset, bytes_max: usize) -> Option<Vec<Entry>> {
        let inner = self.lock();
        let oldest = inner.cache.front()?.offset;
        let skipped = usize::try_from(from.0.checked_sub(oldest.0)?).ok()?;
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.record.len();
            entry.offset == from || bytes <= bytes_max
        };
        let entries: Vec<Entry> = inner.cache.iter().skip(skipped).take_while(fits).cloned().collect();
        (!entries.is_empty()).then_some(entries)
    }

    /// Records from files: at least one, or what is wrong with the first.
    pub(super) fn read_files(&self, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let plan = self.plan(from)?;
        let failed = |error: io::Error| Error::Unavailable { reason: format!("{}: {error}", plan.path.display()) };
        let end = plan.file.metadata().map_err(failed)?.len();
        let mut window = Window::new(&plan.file, self.key, end);
        let (mut offset, mut at) = (plan.offset, plan.at);
        // On the way to the first record that is wanted only its neighbours' lengths count.
        while offset < from.0 {
            (offset, at) = self.step(&mut window, &plan, offset, at).map_err(failed)?;
            if offset < plan.until {
                self.note(plan.segment, offset, at);
            }
        }
        if offset > from.0 {
            return Err(self.damaged(from, &plan, at, "its frame cannot be found; the next whole one begins here"));
        }
        match window.frame(at, offset).map_err(failed)? {
            Found::Frame(_) => {}
            Found::End => return Err(self.damaged(from, &plan, at, "the file ends before it")),
            Found::Bad(bad) => return Err(self.damaged(from, &plan, bad.at, bad.what)),
        }
        self.collect(&plan, at, from.0, end, bytes_max).map_err(failed)
    }

    /// Where the frame after the one at `at` begins, and its offset; past damage it is the next one that is whole.
    fn step(&self, window: &mut Window<'_>, plan: &Plan, offset: u64, at: u64) -> io::Result<(u64, u64)> {
        let bad = match window.frame(at, offset)? {
            Found::Frame(frame) => return Ok((offset + 1, frame.next())),
            Found::End => return Ok((plan.until, at)),
            Found::Bad(bad) => bad,
        };
        if let Some(next) = bad.next {
            return Ok((offset + 1, next));
        }
        let found = window.search(at + 1, offset + 1..plan.until)?;
        Ok(found.map_or((plan.until, at), |frame| (frame.header.offset, frame.at)))
    }

    /// Reads frames from `at` on in one piece and slices the records out of it.
    fn collect(&self, plan: &Plan, at: u64, first: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let available = usize::try_from(end - at).unwrap_or(usize::MAX);
        let mut wanted = bytes_max.clamp(64 << 10, 64 << 20).min(available);
        loop {
            let mut bytes = vec![0; wanted];
            let read = read_at_most(&plan.file, &mut bytes, at)?;
            bytes.truncate(read);
            let bytes = Bytes::from(bytes);
            let (entries, used) = self.slice(&bytes, first, plan.until, bytes_max);
            if !entries.is_empty() || wanted >= available {
                let offset = first + u64::try_from(entries.len()).unwrap_or(0);
                self.mark(Mark { segment: plan.segment, offset, at: at + used });
                return Ok(entries);
            }
            wanted = wanted.saturating_mul(4).min(available);
        }
    }

    /// Whole, fitting frames from the start of `bytes`, and how many bytes they take.
    fn slice(&self, bytes: &Bytes, first: u64, until: u64, bytes_max: usize) -> (Vec<Entry>, u64) {
        let (mut entries, mut at, mut total): (Vec<Entry>, usize, usize) = (Vec::new(), 0, 0);
        for offset in first..until {
            let Some(rest) = bytes.get(at..) else { break };
            let Some(header) = rest.first_chunk().and_then(|head| super::frame::Header::read(head, self.key)) else {
                break;
            };
            let Ok(length) = usize::try_from(header.length) else { break };
            let body = at + HEADER_BYTES..at + HEADER_BYTES + length;
            let whole = bytes.get(body.end..body.end + TRAILER.len()).is_some_and(|trailer| trailer == TRAILER);
            let fits = bytes.get(body.clone()).is_some_and(|record| crc32c::crc32c(record) == header.sum);
            if !whole || !fits || header.offset != offset {
                break;
            }
            total += length;
            if !entries.is_empty() && total > bytes_max {
                break;
            }
            at = body.end + TRAILER.len();
            entries.push(Entry { offset: Offset(offset), record: bytes.slice(body) });
        }
        (entries, u64::try_from(at).unwrap_or(u64::MAX))
    }

    fn plan(&self, from: Offset) -> Result<Plan, Error> {
        let next = self.next();
        let inner = self.lock();
        let place = inner.segments.partition_point(|segment| segment.first <= from.0);
        let Some(segment) = place.checked_sub(1).and_then(|place| inner.segments.get(place)) else {
            drop(inner);
            return Err(Error::OutOfRange { shard: self.shard, offset: from, first: self.first(), next });
        };
        let until = inner.segments.get(place).map_or(next.0, |after| after.first);
        let known = segment.index.partition_point(|entry| entry.0 <= from.0);
        let (mut offset, mut at) =
            known.checked_sub(1).and_then(|known| segment.index.get(known)).copied().unwrap_or((segment.first, 0));
        let marks = inner.marks.iter().filter(|mark| mark.segment == segment.first && mark.offset <= from.0);
        if let Some(mark) = marks.max_by_key(|mark| mark.offset).filter(|mark| mark.offset > offset) {
            (offset, at) = (mark.offset, mark.at);
        }
        let (file, path) = (Arc::clone(&segment.file), segment.path.clone());
        Ok(Plan { file, path, segment: segment.first, until, offset, at })
    }

    fn note(&self, segment: u64, offset: u64, at: u64) {
        let mut inner = self.lock();
        if let Some(segment) = inner.segments.iter_mut().rev().find(|candidate| candidate.first == segment) {
            segment.note(offset, at);
        }
    }

    fn mark(&self, mark: Mark) {
        let mut inner = self.lock();
        if inner.marks.len() >= MARKS_MAX {
            inner.marks.pop_front();
        }
        inner.marks.push_back(mark);
    }

    fn damaged(&self, offset: Offset, plan: &Plan, at: u64, reason: &str) -> Error {
        let place = format!("{} byte {at}", plan.path.display());
        Error::Damaged { shard: self.shard, offset, place, reason: reason.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds it can leave it half-changed in a way that readers could not bear.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
