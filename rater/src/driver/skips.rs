//! Records that a person ordered to step over.
//!
//! The order stands in the log after the record that it names, so it is looked for ahead: up to the log's end when a shard
//! begins, and further on where it stands. So whoever folds the shard again steps over the same records, be they readable
//! by now or not. An order that is itself stepped over counts for nothing.

use super::Shared;
use super::wait::{Backoff, Failure, wait};
use storage::log::{self, Entry, Log};
use storage::record::{self, Control, Record};
use storage::shard::{Offset, Shard};

/// What a shard's log says of records that are to be stepped over.
#[derive(Debug)]
pub(super) struct Skips {
    /// Up to here the log was looked through.
    to: Offset,
    /// In the order of the log.
    words: Vec<Word>,
}

/// A `Skip` record, or one that restates what a skipped one said.
#[derive(Debug)]
struct Word {
    at: Offset,
    /// The record that it speaks of.
    of: Offset,
    /// None: that one is stepped over.
    restated: Option<Vec<Control>>,
}

impl Skips {
    /// Nothing was looked at; to begin with a record.
    pub(super) fn new(from: Offset) -> Self {
        Self { to: from, words: Vec::new() }
    }

    /// Looks through the log up to `end`.
    pub(super) async fn look(&mut self, shared: &mut Shared, shard: Shard, end: Offset) -> Result<(), Failure> {
        let mut backoff = Backoff::new();
        let (log, bytes_max) = (shared.log.clone(), shared.options.read_bytes_max);
        while self.to < end {
            if let Err(error) = self.read_on(&*log, shard, bytes_max).await {
                if backoff.is_fresh() {
                    tracing::warn!(%shard, %error, "the log cannot be read; trying again");
                }
                wait(shared, &mut backoff).await?;
            }
        }
        Ok(())
    }

    /// Looks through the next records; waits while there are none.
    pub(super) async fn read_on(&mut self, log: &dyn Log, shard: Shard, bytes_max: usize) -> Result<(), log::Error> {
        match log.read(shard, self.to, bytes_max).await {
            Ok(entries) => entries.iter().for_each(|entry| self.take(entry)),
            Err(log::Error::Damaged { offset, .. }) if offset >= self.to => self.to = offset.next(),
            Err(log::Error::OutOfRange { first, .. }) if first > self.to => self.to = first,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Goes on behind a record, if it was not looked at yet.
    pub(super) fn pass(&mut self, offset: Offset) {
        self.to = self.to.max(offset.next());
    }

    /// Up to where the log was looked through.
    pub(super) fn to(&self) -> Offset {
        self.to
    }

    /// What stands in the place of a record that is to be stepped over; none where it is to be folded.
    pub(super) fn restated(&self, offset: Offset) -> Option<Vec<Control>> {
        let skip = self.skip(offset)?;
        let before = self.words.iter().filter(|word| word.of == offset && word.at < skip);
        let before = before.filter(|word| self.skip(word.at).is_none());
        Some(before.filter_map(|word| word.restated.clone()).flatten().collect())
    }

    /// Where the first order stands to step over a record.
    fn skip(&self, offset: Offset) -> Option<Offset> {
        let mut orders = self.words.iter().filter(|word| word.of == offset && word.restated.is_none());
        orders.find(|word| self.skip(word.at).is_none()).map(|word| word.at)
    }

    fn take(&mut self, Entry { offset: at, record }: &Entry) {
        self.pass(*at);
        if !record::is_control(record) {
            return;
        }
        let Ok(Record::Control(control)) = record::decode(record) else { return };
        let (of, restated) = match *control {
            Control::Restate { offset, records } => (offset, Some(records)),
            Control::Skip { offset, .. } => (offset, None),
            _ => return,
        };
        if of < *at {
            self.words.push(Word { at: *at, of, restated });
        }
    }
}
