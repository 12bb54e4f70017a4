//! One shard's task.

use super::Shared;
use super::load::{self, Loaded};
use super::skips::Skips;
use super::wait::{Backoff, Failure};
use super::writer::{Held, Parcel, Progress};
use crate::fold::{Chunks, Fold, Halt};
use storage::log::{self, Entry};
use storage::record::Control;
use storage::shard::{Offset, Shard};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Bytes of rows that are handed over together at most, before the records that were read are all folded.
const PARCEL_BYTES: usize = 16 << 20;

pub(super) struct Task {
    shared: Shared,
    index: usize,
    shard: Shard,
    outputs: mpsc::UnboundedSender<Parcel>,
    progress: watch::Receiver<Progress>,
    /// Bytes of all outputs that were handed over.
    sent_bytes: u64,
    /// What the store had confirmed at the start.
    stored: Offset,
    snapshot: Snapshot,
    skips: Skips,
}

/// When the next snapshot is due, and which waits for the store.
struct Snapshot {
    records: u64,
    bytes: u64,
    at: Instant,
    pending: Option<Offset>,
    newest: Option<Offset>,
}

/// What a task waits for.
enum Event {
    Read(Result<Vec<Entry>, log::Error>),
    /// Something was stored, or it is time for a snapshot.
    Progress,
    Stop,
}

/// Why a shard stands.
enum Stand {
    Stopped,
    /// A `Skip` record for this offset takes it further.
    At(Offset, String),
    /// Nothing but a restart does.
    Final(String),
}

// === impl Task ===

impl Task {
    pub(super) fn new(
        shared: Shared,
        index: usize,
        shard: Shard,
        outputs: mpsc::UnboundedSender<Parcel>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        let snapshot = Snapshot { records: 0, bytes: 0, at: Instant::now(), pending: None, newest: None };
        let (stored, skips) = (Offset(0), Skips::new(Offset(0)));
        Self { shared, index, shard, outputs, progress, sent_bytes: 0, stored, snapshot, skips }
    }

    pub(super) async fn run(mut self) {
        let Loaded { fold, snapshot, stored, skips } = match load::load(&mut self.shared, self.shard).await {
            Ok(loaded) => loaded,
            Err(Failure::Stopped) => return,
            Err(Failure::Halted(reason)) => return self.halt(&reason),
        };
        (self.stored, self.snapshot.newest, self.skips) = (stored, snapshot, skips);
        tracing::info!(shard = %self.shard, next = %fold.next(), %stored, "the shard begins");
        let mut fold = Some(fold);
        while let Some(mut held) = fold.take() {
            match self.follow(&mut held).await {
                Stand::Stopped => return self.finish(held).await,
                Stand::Final(reason) => {
                    self.halt(&reason);
                    return self.finish(held).await;
                }
                Stand::At(offset, reason) => {
                    if !self.step_over(&mut held, offset, &reason).await {
                        return self.finish(held).await;
                    }
                }
            }
            fold = Some(held);
        }
    }

    fn halt(&self, reason: &str) {
        tracing::error!(shard = %self.shard, reason, "the shard halts; the others go on");
        self.shared.status.update(self.index, |status| status.halted = Some(reason.to_owned()));
    }

    /// Reads and folds until the shard stands.
    async fn follow(&mut self, fold: &mut Box<Fold>) -> Stand {
        let mut backoff = Backoff::new();
        self.show(fold);
        loop {
            if let Some(reason) = self.progress.borrow().refused.clone() {
                return Stand::Final(reason);
            }
            if self.is_snapshot_due(fold)
                && let Err(reason) = self.write_snapshot(fold).await
            {
                return Stand::Final(reason);
            }
            // After it was written: what it stands on may be stored already, and nothing else need happen here for long.
            self.promote().await;
            match self.next_event(fold).await {
                Event::Stop => return Stand::Stopped,
                Event::Progress => self.show(fold),
                Event::Read(Ok(entries)) => {
                    backoff = Backoff::new();
                    if let Err(stand) = self.fold_all(fold, &entries).await {
                        return stand;
                    }
                    if let Err(reason) = self.make_room(fold).await {
                        return Stand::Final(reason);
                    }
                }
                Event::Read(Err(log::Error::Damaged { offset, .. })) if offset != fold.next() => {
                    return Stand::Final(format!("the log is damaged at {offset} while {} is read", fold.next()));
                }
                Event::Read(Err(error @ log::Error::Damaged { offset, .. })) => {
                    return Stand::At(offset, error.to_string());
                }
                Event::Read(Err(error @ log::Error::OutOfRange { .. })) => return Stand::Final(error.to_string()),
                Event::Read(Err(error)) => {
                    if backoff.is_fresh() {
                        tracing::warn!(shard = %self.shard, %error, "the log cannot be read; trying again");
                    }
                    if !self.shared.pause(&mut backoff).await {
                        return Stand::Stopped;
                    }
                }
            }
        }
    }

    async fn next_event(&mut self, fold: &Fold) -> Event {
        let options = self.shared.options.clone();
        let mut unsent = self.shared.unsent.subscribe();
        let is_full = *unsent.borrow() > options.unsent_bytes_max;
        let log = self.shared.log.clone();
        let snapshot_at = self.snapshot.at + options.snapshot_every;
        let is_timed = self.snapshot.records > 0 && self.snapshot.pending.is_none();
        tokio::select! {
            biased;
            _ = self.shared.stop.wait_for(|stop| *stop) => Event::Stop,
            changed = self.progress.changed() => if changed.is_ok() { Event::Progress } else { Event::Stop },
            read = log.read(self.shard, fold.next(), options.read_bytes_max), if !is_full => Event::Read(read),
            _ = unsent.wait_for(|bytes| *bytes <= options.unsent_bytes_max), if is_full => Event::Progress,
            () = tokio::time::sleep_until(snapshot_at), if is_timed => Event::Progress,
        }
    }

    async fn fold_all(&mut self, fold: &mut Fold, entries: &[Entry]) -> Result<(), Stand> {
        for entry in entries {
            let folded = match self.skips.restated(entry.offset) {
                None => fold.fold(entry.offset, &entry.record),
                Some(restated) => self.skip(fold, entry.offset, restated),
            };
            match folded {
                Ok(()) => {}
                Err(halt @ Halt::Lost(_)) => return Err(Stand::Final(halt.to_string())),
                Err(halt) => {
                    self.send(fold);
                    self.show(fold);
                    return Err(Stand::At(entry.offset, halt.to_string()));
                }
            }
            self.snapshot.records += 1;
            self.snapshot.bytes += u64::try_from(entry.record.len()).unwrap_or(u64::MAX);
            if fold.output_bytes() > PARCEL_BYTES {
                self.send(fold);
            }
            // Folding is all work and no waiting: others must come to their turn.
            tokio::task::yield_now().await;
        }
        self.send(fold);
        let end = entries.last().map_or(fold.next(), |entry| entry.offset.next());
        self.shared.status.update(self.index, |status| status.end = status.end.max(end));
        let bytes: usize = entries.iter().map(|entry| entry.record.len()).sum();
        if bytes >= self.shared.options.read_bytes_max / 2
            && let Ok(bounds) = self.shared.log.bounds(self.shard).await
        {
            self.shared.status.update(self.index, |status| status.end = bounds.end);
        }
        self.show(fold);
        Ok(())
    }

    /// Brings ids to disk when they take more memory than they may.
    async fn make_room(&self, fold: &mut Box<Fold>) -> Result<(), String> {
        if fold.ids_bytes() <= self.shared.options.ids_bytes_max {
            return Ok(());
        }
        let mut held = std::mem::replace(fold, self.stand_in(fold));
        let made = tokio::task::spawn_blocking(move || {
            let made = held.make_room();
            (held, made)
        });
        let Ok((held, made)) = made.await else {
            return Err("the state was lost while ids were brought to disk; start again".to_owned());
        };
        *fold = held;
        self.show(fold);
        made.map_err(|error| error.to_string())
    }

    /// Stands in the state's place while others have it.
    fn stand_in(&self, fold: &Fold) -> Box<Fold> {
        Box::new(Fold::new(self.shard, fold.shards(), self.shared.options.fold))
    }

    /// Hands over what came out, unless the store has it already.
    fn send(&mut self, fold: &mut Fold) {
        let bytes = fold.output_bytes();
        let duplicates = fold.take_duplicates();
        let Some(output) = fold.take() else { return };
        if output.to <= self.stored {
            return;
        }
        self.shared.status.count(&output, &duplicates);
        self.sent_bytes = self.sent_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let bytes = Held::new(bytes, &self.shared.unsent);
        // The writer ends after this task.
        let _ = self.outputs.send(Parcel { output, bytes });
    }

    fn unsent_bytes(&self) -> u64 {
        self.sent_bytes.saturating_sub(self.progress.borrow().bytes)
    }

    fn stored(&self) -> Offset {
        self.progress.borrow().stored.unwrap_or(self.stored).max(self.stored)
    }

    fn show(&self, fold: &Fold) {
        let (stored, unsent_bytes) = (self.stored(), self.unsent_bytes());
        self.shared.status.update(self.index, |status| {
            (status.next, status.stored, status.log_time) = (fold.next(), stored, fold.log_time());
            status.end = status.end.max(fold.next());
            (status.counters, status.close_due) = (fold.counters(), fold.is_close_due());
            (status.ids, status.ids_bytes) = (fold.ids(), u64::try_from(fold.ids_bytes()).unwrap_or(u64::MAX));
            status.ids_disk_bytes = fold.ids_disk_bytes();
            (status.unsent_bytes, status.snapshot) = (unsent_bytes, self.snapshot.newest);
        });
    }

    // --- Snapshots ---

    fn is_snapshot_due(&self, fold: &Fold) -> bool {
        let options = &self.shared.options;
        let Snapshot { records, bytes, at, pending, newest } = &self.snapshot;
        let is_due = *records >= options.snapshot_records
            || *bytes >= options.snapshot_bytes
            || at.elapsed() >= options.snapshot_every;
        *records > 0 && pending.is_none() && is_due && *newest != Some(fold.next())
    }

    /// Writes a pending snapshot; an error when the state is lost.
    async fn write_snapshot(&mut self, fold: &mut Box<Fold>) -> Result<(), String> {
        let (shard, next) = (self.shard, fold.next());
        let (back, returned) = oneshot::channel();
        // The state itself goes into the iterator, and comes back when that is dropped: there is no second copy.
        let chunks = Chunks::new(std::mem::replace(fold, self.stand_in(fold)), back);
        let written = self.shared.snapshots.write(shard, next, Box::new(chunks)).await;
        let Ok(state) = returned.await else {
            return Err("the state was lost while a snapshot was written; start again".to_owned());
        };
        *fold = state;
        fold.is_sound().map_err(|halt| halt.to_string())?;
        (self.snapshot.records, self.snapshot.bytes, self.snapshot.at) = (0, 0, Instant::now());
        match written {
            Ok(()) => self.snapshot.pending = Some(next),
            Err(error) => tracing::warn!(%shard, %next, %error, "no snapshot was written; the next one is due later"),
        }
        Ok(())
    }

    /// Makes the pending snapshot good once the store has confirmed its boundary.
    async fn promote(&mut self) {
        let Some(next) = self.snapshot.pending.filter(|next| *next <= self.stored()) else { return };
        self.snapshot.pending = None;
        match self.shared.snapshots.promote(self.shard, next).await {
            Ok(()) => self.snapshot.newest = Some(next),
            Err(error) => tracing::warn!(shard = %self.shard, %next, %error, "a snapshot could not be made good"),
        }
        let newest = self.snapshot.newest;
        self.shared.status.update(self.index, |status| status.snapshot = newest);
    }

    /// Hands over the rest, writes a last snapshot, and waits until the store has what it stands on.
    async fn finish(mut self, mut fold: Box<Fold>) {
        if fold.is_sound().is_err() {
            return;
        }
        self.send(&mut fold);
        let is_new = self.snapshot.newest != Some(fold.next()) && self.snapshot.pending != Some(fold.next());
        if is_new && fold.next() > Offset(0) {
            // What was folded since an unconfirmed snapshot is in this one too.
            self.snapshot.pending = None;
            if let Err(reason) = self.write_snapshot(&mut fold).await {
                return self.halt(&reason);
            }
        }
        let Self { shared, shard, outputs, mut progress, stored, snapshot, index, .. } = self;
        let Some(next) = snapshot.pending else { return };
        // The writer ends when nobody can hand anything over.
        drop(outputs);
        let is_stored = |progress: &Progress| progress.stored.unwrap_or(stored).max(stored) >= next;
        let confirmed = is_stored(&progress.borrow_and_update());
        if !confirmed && progress.wait_for(|progress| is_stored(progress)).await.is_err() {
            return;
        }
        if let Err(error) = shared.snapshots.promote(shard, next).await {
            tracing::warn!(%shard, %next, %error, "the last snapshot could not be made good");
        } else {
            shared.status.update(index, |status| (status.snapshot, status.stored) = (Some(next), next));
        }
    }

    // --- Damaged records ---

    /// Waits for a person's word to step over a record; false when the driver stops before.
    async fn step_over(&mut self, fold: &mut Fold, offset: Offset, reason: &str) -> bool {
        let mut is_told = false;
        let mut backoff = Backoff::new();
        self.skips.pass(offset);
        loop {
            if let Some(restated) = self.skips.restated(offset) {
                self.shared.status.update(self.index, |status| status.halted = None);
                let skipped = self.skip(fold, offset, restated);
                if let Err(halt) = &skipped {
                    self.halt(&halt.to_string());
                }
                return skipped.is_ok();
            }
            let end = self.shared.log.bounds(self.shard).await.map(|bounds| bounds.end);
            if !is_told && end.is_ok_and(|end| self.skips.to() >= end) {
                is_told = true;
                self.halt(&format!("{reason}; `farthing skip {} {offset} --reason …` steps over it", self.shard));
            }
            let (log, bytes_max) = (self.shared.log.clone(), self.shared.options.read_bytes_max);
            let read = tokio::select! {
                biased;
                _ = self.shared.stop.wait_for(|stop| *stop) => return false,
                read = self.skips.read_on(&*log, self.shard, bytes_max) => read,
            };
            if read.is_err() && !self.shared.pause(&mut backoff).await {
                return false;
            }
        }
    }

    fn skip(&self, fold: &mut Fold, offset: Offset, restated: Vec<Control>) -> Result<(), Halt> {
        tracing::warn!(shard = %self.shard, %offset, "a record is stepped over");
        fold.skip(offset, restated)
    }
}
