//! Snapshots in memory.

use super::faults::{Fate, Faults};
use super::lock;
use crate::shard::{Offset, Shard};
use crate::snapshots::{CheckedChunks, Chunks, Error};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The snapshots.
#[derive(Debug)]
pub struct Snapshots {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    pending: BTreeMap<(Shard, Offset), Kept>,
    good: BTreeMap<(Shard, Offset), Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    chunks: Vec<Bytes>,
    damaged: bool,
}

// === impl Snapshots ===

impl Snapshots {
    /// None yet.
    pub fn new(faults: Faults) -> Self {
        Self { state: Mutex::default(), faults }
    }

    /// The machine goes down: pending snapshots are lost, as a rater that starts again does not know them.
    pub fn crash(&self) {
        lock(&self.state).pending.clear();
    }

    /// A good snapshot is no longer what was written.
    pub fn damage(&self, shard: Shard, next: Offset) {
        if let Some(kept) = lock(&self.state).good.get_mut(&(shard, next)) {
            kept.damaged = true;
        }
    }

    async fn refusal(&self, fate: Fate) -> Result<(), Error> {
        fate.wait().await;
        if fate.refused || fate.partial.is_some() {
            return Err(Error::Unavailable { reason: "refused by the simulation".into() });
        }
        Ok(())
    }
}

fn answer(fate: Fate) -> Result<(), Error> {
    if fate.answer_lost {
        return Err(Error::Unavailable { reason: "the simulation lost the answer".into() });
    }
    Ok(())
}

fn missing(shard: Shard, next: Offset, what: &str) -> Error {
    Error::Unavailable { reason: format!("there is no {what} snapshot of shard {shard} at {next}") }
}

#[async_trait]
impl crate::snapshots::Snapshots for Snapshots {
    async fn write(&self, shard: Shard, next: Offset, chunks: Chunks) -> Result<(), Error> {
        let fate = self.faults.write();
        let chunks: Vec<Bytes> = chunks.collect();
        self.refusal(fate).await?;
        lock(&self.state).pending.insert((shard, next), Kept { chunks, damaged: false });
        answer(fate)
    }

    async fn promote(&self, shard: Shard, next: Offset) -> Result<(), Error> {
        let fate = self.faults.write();
        self.refusal(fate).await?;
        {
            let mut state = lock(&self.state);
            match state.pending.remove(&(shard, next)) {
                Some(kept) => {
                    state.good.insert((shard, next), kept);
                }
                None if state.good.contains_key(&(shard, next)) => {}
                None => return Err(missing(shard, next, "pending")),
            }
            let mut places: Vec<_> = state.good.keys().filter(|key| key.0 == shard).copied().collect();
            places.truncate(places.len().saturating_sub(2));
            for place in places {
                state.good.remove(&place);
            }
        }
        answer(fate)
    }

    async fn good(&self, shard: Shard) -> Result<Vec<Offset>, Error> {
        self.refusal(self.faults.read()).await?;
        let state = lock(&self.state);
        Ok(state.good.keys().rev().filter(|key| key.0 == shard).map(|key| key.1).collect())
    }

    async fn read(&self, shard: Shard, next: Offset) -> Result<CheckedChunks, Error> {
        self.refusal(self.faults.read()).await?;
        let kept = lock(&self.state).good.get(&(shard, next)).cloned().ok_or_else(|| missing(shard, next, "good"))?;
        let reason = "damaged by the simulation".to_owned();
        let damage = kept.damaged.then_some(Err(Error::Damaged { shard, next, reason }));
        Ok(Box::new(kept.chunks.into_iter().map(Ok).chain(damage)))
    }
}
