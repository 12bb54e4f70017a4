//! Snapshots: the fold's state at a record boundary, so that a start need not read the log from its beginning.

use crate::shard::{Offset, Shard};
use async_trait::async_trait;
use bytes::Bytes;

/// Keeps snapshots of shards. A snapshot is pending until [`Snapshots::promote`]; only good ones are ever loaded; the two
/// newest good ones are kept.
#[async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// Writes a pending snapshot of `shard` as it was before the record at `next` was folded, replacing a pending one of
    /// the same place. Durable, with its own hash, when this resolves.
    async fn write(&self, shard: Shard, next: Offset, chunks: Chunks) -> Result<(), Error>;

    /// Makes the pending snapshot good, by rename; older ones beyond two good ones are removed.
    async fn promote(&self, shard: Shard, next: Offset) -> Result<(), Error>;

    /// The places of the good snapshots of `shard`, newest first.
    async fn good(&self, shard: Shard) -> Result<Vec<Offset>, Error>;

    /// Reads a good snapshot. Its hash is checked before the last chunk comes out: a mismatch is [`Error::Damaged`].
    async fn read(&self, shard: Shard, next: Offset) -> Result<CheckedChunks, Error>;
}

/// A snapshot's bytes, in pieces, on their way in.
pub type Chunks = Box<dyn Iterator<Item = Bytes> + Send>;

/// A snapshot's bytes, in pieces, on their way out.
pub type CheckedChunks = Box<dyn Iterator<Item = Result<Bytes, Error>> + Send>;

/// What can go wrong with snapshots.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Not written or read now.
    #[error("snapshots cannot be reached: {reason}")]
    Unavailable {
        /// What the system said.
        reason: String,
    },
    /// The bytes are not what was written.
    #[error("the snapshot of shard {shard} at {next} is damaged: {reason}")]
    Damaged {
        /// The shard.
        shard: Shard,
        /// Its place.
        next: Offset,
        /// What does not fit.
        reason: String,
    },
}
