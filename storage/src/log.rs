//! The log: the truth, in shards of records. It keeps bytes and knows nothing of what they mean.

use crate::shard::{Offset, Shard, ShardCount};
use async_trait::async_trait;
use bytes::Bytes;

/// An ordered, durable, append-only log in a fixed number of shards.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// How many shards it was made with.
    fn shards(&self) -> ShardCount;

    /// Appends encoded records to one shard, in order and together. Resolves when they are durable (fsynced, or on two
    /// replicas), with the offset of the first. Many calls share one fsync. When the future is dropped, or fails with
    /// [`Error::Unknown`], the records may or may not stand in the log.
    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> Result<Offset, Error>;

    /// Durable records from `from` on, at least one and up to about `bytes_max` bytes; waits while there is none.
    /// Dropping the future is harmless. A record that was damaged is [`Error::Damaged`]; reading from the offset after
    /// it works where the backend can find that.
    async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, Error>;

    /// The first offset still kept and the next to be written.
    async fn bounds(&self, shard: Shard) -> Result<std::ops::Range<Offset>, Error>;
}

/// A record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub offset: Offset,
    /// The encoded record, see [`crate::record`].
    pub record: Bytes,
}

/// The longest record that every backend takes.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// What can go wrong with a log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was written: the disk is full, or the broker is away. Try again later.
    #[error("the log takes no records now: {reason}")]
    Unavailable {
        /// What the system said.
        reason: String,
    },
    /// It is not known whether the records were written. Writing them again is safe: the fold drops copies.
    #[error("it is not known whether the log took the records: {reason}")]
    Unknown {
        /// What the system said.
        reason: String,
    },
    /// The record at `offset` is not what was written.
    #[error("shard {shard} offset {offset} is damaged at {place}: {reason}")]
    Damaged {
        /// The shard.
        shard: Shard,
        /// The record.
        offset: Offset,
        /// Where that is: a file and a byte, or a partition.
        place: String,
        /// What does not fit.
        reason: String,
    },
    /// `offset` lies before the first record kept, or after the end.
    #[error("shard {shard} holds no offset {offset}; it has {first} to {next}")]
    OutOfRange {
        /// The shard.
        shard: Shard,
        /// What was asked for.
        offset: Offset,
        /// First kept.
        first: Offset,
        /// Next to be written.
        next: Offset,
    },
}
