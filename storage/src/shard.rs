//! Shards, offsets, positions.

use pricing::id::TenantId;
use std::fmt;

/// One ordered part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Shard(pub u16);

/// How many shards a log has, fixed for its life: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ShardCount(std::num::NonZeroU16);

/// A record's place in its shard: 0, 1, 2, …
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Offset(pub u64);

/// An event's place in the log, or that of a row a record caused by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The shard.
    pub shard: Shard,
    /// The record.
    pub offset: Offset,
    /// The event in the record, from 0 (for rows: the row in the record's output).
    pub index: u32,
}

impl ShardCount {
    /// None for zero.
    pub fn new(count: u16) -> Option<Self> {
        std::num::NonZeroU16::new(count).map(Self)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// Every shard, in order.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.get()).map(Shard)
    }

    /// The shard that holds a customer: SipHash-2-4 (64 bits, zero key) of `tenant NUL customer`, modulo the count. It is
    /// part of the log's format and never changes.
    pub fn of(self, tenant: &TenantId, customer: &[u8]) -> Shard {
        use std::hash::Hasher;
        let mut hasher = siphasher::sip::SipHasher24::new();
        hasher.write(tenant.as_str().as_bytes());
        hasher.write(&[0]);
        hasher.write(customer);
        let count = u64::from(self.get());
        Shard(u16::try_from(hasher.finish() % count).unwrap_or(0))
    }
}

impl Offset {
    /// The offset after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.shard, self.offset, self.index)
    }
}
