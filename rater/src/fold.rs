//! The fold: one shard's records in, charges out.

use crate::codec::Malformed;
use bytes::Bytes;
use pricing::time::Instant;
use storage::output::{Counters, Output};
use storage::record::DecodeError;
use storage::shard::{Offset, Shard, ShardCount};

/// What of the fold can be set. It changes outcomes, so all replicas of a shard must have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many events of one tenant may be parked in one shard; what comes beyond is rejected.
    pub parked_max: u64,
}

/// The state of one shard at a record boundary, and what came out since it was last taken.
pub struct Fold {
    shard: Shard,
    shards: ShardCount,
    options: Options,
    next: Offset,
}

/// The hash of all that a fold remembers: equal where the same records were folded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateHash(pub [u8; 16]);

/// Why a shard cannot go on. The state is as it was before the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// Not the record that follows.
    #[error("shard {shard} expects the record at {expected}, but was given {found}")]
    Offset {
        /// The shard.
        shard: Shard,
        /// What follows.
        expected: Offset,
        /// What came.
        found: Offset,
    },
    /// The record cannot be read.
    #[error("the record at {offset} cannot be read: {reason}")]
    Unreadable {
        /// Which.
        offset: Offset,
        /// Why.
        reason: DecodeError,
    },
    /// The record can be read, but cannot be true.
    #[error("the record at {offset} does not fit what came before: {reason}")]
    Contradiction {
        /// Which.
        offset: Offset,
        /// Why.
        reason: String,
    },
}

/// Why a snapshot cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RestoreError {
    /// Not read.
    #[error(transparent)]
    Snapshots(#[from] storage::snapshots::Error),
    /// Not understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Written by another version.
    #[error("the snapshot has version {found}; this Farthing reads {known}")]
    Version {
        /// As written.
        found: u32,
        /// What is read here.
        known: u32,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self { parked_max: 100_000 }
    }
}

impl Fold {
    /// The state of a shard before its first record.
    pub fn new(shard: Shard, shards: ShardCount, options: Options) -> Self {
        Self { shard, shards, options, next: Offset(0) }
    }

    /// The state that [`Fold::into_chunks`] wrote.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(
        chunks: impl Iterator<Item = Result<Bytes, storage::snapshots::Error>>,
        options: Options,
    ) -> Result<Self, RestoreError> {
        let _ = (chunks, options);
        Err(Malformed("nothing").into())
    }

    /// Folds the record at `offset`, which must be [`Fold::next`].
    ///
    /// # Errors
    /// [`Halt`]; the state is then as before.
    pub fn fold(&mut self, offset: Offset, record: &[u8]) -> Result<(), Halt> {
        let _ = record;
        self.next = offset.next();
        Ok(())
    }

    /// Steps over the damaged record at `offset`, which must be [`Fold::next`]: a `Skip` record further on says so.
    ///
    /// # Errors
    /// [`Halt::Offset`].
    pub fn skip(&mut self, offset: Offset) -> Result<(), Halt> {
        self.next = offset.next();
        Ok(())
    }

    /// What came out since it was last taken; none when nothing was folded since.
    pub fn take(&mut self) -> Option<Output> {
        None
    }

    /// The shard.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Of how many.
    pub fn shards(&self) -> ShardCount {
        self.shards
    }

    /// The record to be folded next.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// What the latest Tick said; [`Instant::MIN`] before the first.
    pub fn log_time(&self) -> Instant {
        let _ = self.options;
        Instant::MIN
    }

    /// What became of all arrivals.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }

    /// True while periods are due that the latest Tick did not get to: another Tick goes on.
    pub fn is_close_due(&self) -> bool {
        false
    }

    /// The hash of the state.
    pub fn state_hash(&self) -> StateHash {
        StateHash([0; 16])
    }
}
