//! A log in memory. Records are written first and durable after the call's delay; a crash in between keeps some of them.

use super::faults::{Fate, Faults};
use super::lock;
use crate::log::{Entry, Error};
use crate::shard::{Offset, Shard, ShardCount};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use tokio::sync::Notify;

/// The log.
#[derive(Debug)]
pub struct Log {
    shards: Vec<One>,
    count: ShardCount,
    faults: Faults,
}

/// One shard.
#[derive(Debug)]
struct One {
    state: Mutex<State>,
    /// Wakes readers in the order in which they came: a `watch` would wake them in random order.
    grown: Notify,
}

#[derive(Debug, Default)]
struct State {
    first: u64,
    records: Vec<Bytes>,
    /// The next offset that is not durable yet.
    durable: u64,
    damaged: BTreeSet<u64>,
    /// Counts crashes: a call that waits across one does not know what became of its records.
    epoch: u64,
}

// === impl Log ===

impl Log {
    /// An empty log.
    pub fn new(count: ShardCount, faults: Faults) -> Self {
        let shards = count.all().map(|_| One { state: Mutex::default(), grown: Notify::new() }).collect();
        Self { shards, count, faults }
    }

    /// The machine goes down: of the records of each shard that are not durable some of the first ones stay.
    pub fn crash(&self) {
        self.faults.crashed();
        for shard in &self.shards {
            let mut state = lock(&shard.state);
            let standing = usize::try_from(state.durable - state.first).unwrap_or(usize::MAX);
            let kept = standing + self.faults.survivors(state.records.len().saturating_sub(standing));
            state.records.truncate(kept);
            state.epoch += 1;
            state.durable = state.next();
            shard.grown.notify_waiters();
        }
    }

    /// The record at `offset` can no longer be read.
    pub fn damage(&self, shard: Shard, offset: Offset) {
        if let Some(one) = self.shards.get(usize::from(shard.0)) {
            lock(&one.state).damaged.insert(offset.0);
        }
    }

    /// Records before `first` are given up, as retention does.
    pub fn trim(&self, shard: Shard, first: Offset) {
        if let Some(one) = self.shards.get(usize::from(shard.0)) {
            let mut state = lock(&one.state);
            let gone = usize::try_from(first.0.saturating_sub(state.first)).unwrap_or(usize::MAX);
            let gone = gone.min(state.records.len());
            state.records.drain(..gone);
            state.first += u64::try_from(gone).unwrap_or(0);
        }
    }

    fn shard(&self, shard: Shard) -> Result<&One, Error> {
        let missing = || Error::Unavailable { reason: format!("there is no shard {shard}, only {}", self.count.get()) };
        self.shards.get(usize::from(shard.0)).ok_or_else(missing)
    }
}

#[async_trait]
impl crate::log::Log for Log {
    fn shards(&self) -> ShardCount {
        self.count
    }

    async fn append(&self, shard: Shard, mut records: Vec<Bytes>) -> Result<Offset, Error> {
        let one = self.shard(shard)?;
        let fate = self.faults.write();
        if fate.refused {
            fate.wait().await;
            return Err(Error::Unavailable { reason: "refused by the simulation".into() });
        }
        if let Some(part) = fate.part_of(records.len()) {
            records.truncate(part);
        }
        let (first, epoch) = one.write(&records, fate);
        fate.wait().await;
        one.sync(first, epoch, records.len())?;
        if fate.answer_lost || fate.partial.is_some() {
            return Err(Error::Unknown { reason: "the simulation lost the answer".into() });
        }
        Ok(Offset(first))
    }

    async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let one = self.shard(shard)?;
        let fate = self.faults.read();
        fate.wait().await;
        if fate.refused {
            return Err(Error::Unavailable { reason: "refused by the simulation".into() });
        }
        loop {
            let grown = one.grown.notified();
            tokio::pin!(grown);
            // From here on, so that nothing is missed between the look and the wait.
            grown.as_mut().enable();
            if let Some(entries) = one.read(shard, from, bytes_max)? {
                return Ok(entries);
            }
            grown.await;
        }
    }

    async fn bounds(&self, shard: Shard) -> Result<Range<Offset>, Error> {
        let one = self.shard(shard)?;
        let state = lock(&one.state);
        Ok(Offset(state.first)..Offset(state.durable))
    }
}

// === impl One ===

impl One {
    /// Writes, not durably; gives the offset and the epoch.
    fn write(&self, records: &[Bytes], fate: Fate) -> (u64, u64) {
        let mut state = lock(&self.state);
        let first = state.next();
        state.records.extend_from_slice(records);
        if fate.repeated {
            state.records.extend_from_slice(records);
        }
        (first, state.epoch)
    }

    /// Everything written so far becomes durable.
    fn sync(&self, first: u64, epoch: u64, count: usize) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let stands = first + u64::try_from(count).unwrap_or(0) <= state.next();
        if state.epoch != epoch || !stands {
            return Err(Error::Unknown { reason: "the simulated machine went down".into() });
        }
        state.durable = state.next();
        self.grown.notify_waiters();
        Ok(())
    }

    fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Option<Vec<Entry>>, Error> {
        let state = lock(&self.state);
        let next = state.durable;
        if from.0 < state.first || from.0 > next {
            return Err(Error::OutOfRange { shard, offset: from, first: Offset(state.first), next: Offset(next) });
        }
        let skipped = usize::try_from(from.0 - state.first).unwrap_or(usize::MAX);
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for (record, offset) in state.records.iter().skip(skipped).zip(from.0..next) {
            if state.damaged.contains(&offset) {
                if entries.is_empty() {
                    let (place, reason) = ("memory".into(), "damaged by the simulation".into());
                    return Err(Error::Damaged { shard, offset: Offset(offset), place, reason });
                }
                break;
            }
            bytes += record.len();
            if !entries.is_empty() && bytes > bytes_max {
                break;
            }
            entries.push(Entry { offset: Offset(offset), record: record.clone() });
        }
        Ok((!entries.is_empty()).then_some(entries))
    }
}

// === impl State ===

impl State {
    fn next(&self) -> u64 {
        self.first + u64::try_from(self.records.len()).unwrap_or(0)
    }
}
