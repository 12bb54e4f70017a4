//! The charges store: what the fold put out, and the questions asked of it.

use crate::output::{Counters, EventPlace, Manifest, Outcome, OutcomeKind, Output, Sum};
use crate::shard::{Offset, Position, Shard};
use async_trait::async_trait;
use pricing::group::Group;
use pricing::id::{CustomerId, MeterId, PriceId, SubscriptionId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::time::Instant;
use std::ops::Range;

/// Holds charges, manifests and outcomes. Every read collapses rows that were written twice.
#[async_trait]
pub trait Charges: Send + Sync + 'static {
    /// Stores outputs of one or many shards, each shard's in order. Durable when it resolves. Writing the same again is
    /// harmless; a doubtful call is simply repeated.
    async fn insert(&self, outputs: Vec<Output>) -> Result<(), Error>;

    /// How far a shard is stored; none before its first output.
    async fn boundary(&self, shard: Shard) -> Result<Option<Boundary>, Error>;

    /// The manifests of these shards, each after a position or from its first, at most `count_max`, in the order of their
    /// positions. Only what is below a shard's boundary: none appears later that belongs before one that was read.
    async fn manifests(&self, after: &[(Shard, Option<Position>)], count_max: usize) -> Result<Vec<Manifest>, Error>;

    /// The newest manifests of these periods, in any order; periods that have none are left out.
    async fn newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, Error>;

    /// Adds up, row by row and independent of any manifest, the charges of each period, in the order asked, each sorted
    /// by price, group, row. A store does not know which prices are `dimensional`: [`Sum::row`] is every charge's tier,
    /// and [`crate::wide::merge_rows`] puts together what is none.
    async fn sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, Error>;

    /// What was used; [`Error::TooMany`] where that is more than the query allows.
    async fn usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, Error>;

    /// The charges behind a line, by event time then position, `count_max` at most, after `after`.
    async fn explain(&self, query: &ExplainQuery) -> Result<Vec<Charge>, Error>;

    /// Arrivals that were not charged, in the order of their position.
    async fn outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, Error>;
}

/// How far a shard is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Boundary {
    /// The next record to be folded.
    pub next: Offset,
    /// Log time there.
    pub log_time: Instant,
    /// Counts there.
    pub counters: Counters,
    /// See [`Output::close_due`].
    pub close_due: bool,
    /// See [`Output::record`].
    pub record: u64,
}

impl Boundary {
    /// What is confirmed once an output is stored.
    pub fn of(output: &Output) -> Self {
        let Output { log_time, counters, close_due, record, .. } = *output;
        Self { next: output.to, log_time, counters, close_due, record }
    }
}

/// A period by its identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct PeriodKey {
    /// Who is billed.
    pub customer: CustomerId,
    /// Under which subscription.
    pub subscription: SubscriptionId,
    /// Its start.
    pub start: Instant,
}

/// What was used, by customer, subscription, period, meter, price and group; every filter that is set must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// Who sells.
    pub tenant: TenantId,
    /// Only this customer.
    pub customer: Option<CustomerId>,
    /// Only this meter.
    pub meter: Option<MeterId>,
    /// Only events at or after it.
    pub from: Option<Instant>,
    /// Only events before it.
    pub until: Option<Instant>,
    /// Split by these stretches of event time.
    pub by: Resolution,
    /// At most so many rows: a part of them would pass for all.
    pub rows_max: usize,
}

impl UsageQuery {
    /// Refuses more rows than are allowed.
    pub(crate) fn check(&self, rows: usize) -> Result<(), Error> {
        if rows <= self.rows_max { Ok(()) } else { Err(Error::TooMany { rows_max: self.rows_max }) }
    }
}

/// How usage is split in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// By period only.
    #[default]
    Period,
    /// By UTC day.
    Day,
    /// By UTC hour.
    Hour,
}

impl Resolution {
    /// The start of the stretch that holds a time; none where usage is not split.
    pub fn stretch(self, time: Instant) -> Option<Instant> {
        let length = match self {
            Self::Period => return None,
            Self::Day => 86_400_000_000_000,
            Self::Hour => 3_600_000_000_000,
        };
        Some(Instant::from_nanos(time.nanos().saturating_sub(time.nanos().rem_euclid(length))))
    }
}

/// One row of usage.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)] // the words of `Series`
pub struct Usage {
    pub customer: CustomerId,
    pub subscription: SubscriptionId,
    /// Start of the period.
    pub period: Instant,
    /// Start of the day or hour, when asked for.
    pub bucket: Option<Instant>,
    pub meter: MeterId,
    pub price: PriceId,
    pub group: Group,
    /// Events; rows that no event caused, such as those of a close, count for nothing.
    pub count: u64,
    pub quantity: Quantity,
    pub amount: Amount,
}

/// Which charges to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainQuery {
    /// Who sells.
    pub tenant: TenantId,
    /// Which period.
    pub period: PeriodKey,
    /// Only this price.
    pub price: Option<PriceId>,
    /// Only this group.
    pub group: Option<Group>,
    /// Only what these records caused.
    pub records: Range<Offset>,
    /// Continue after this charge.
    pub after: Option<(Instant, Position)>,
    /// At most so many.
    pub count_max: usize,
}

impl ExplainQuery {
    /// All charges of a period, at most so many.
    pub fn all(tenant: TenantId, period: PeriodKey, count_max: usize) -> Self {
        let records = Offset(0)..Offset(u64::MAX);
        Self { tenant, period, price: None, group: None, records, after: None, count_max }
    }
}

/// One charge, opened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)] // the words of `ChargeRow`
pub struct Charge {
    pub price: PriceId,
    pub meter: MeterId,
    pub group: Group,
    pub position: Position,
    pub event: EventPlace,
    pub source: String,
    pub id: String,
    pub time: Instant,
    pub quantity: Quantity,
    pub amount: Amount,
    pub tier: u32,
    pub level: Option<Quantity>,
}

/// Which outcomes to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeQuery {
    /// Who sells.
    pub tenant: TenantId,
    /// Only this customer, as sent.
    pub customer: Option<String>,
    /// Only these kinds; empty: all.
    pub kinds: Vec<OutcomeKind>,
    /// Continue after this one.
    pub after: Option<Position>,
    /// At most so many.
    pub count_max: usize,
}

/// What can go wrong with the charges store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Not stored or answered now; try again.
    #[error("the charges store cannot be reached: {reason}")]
    Unavailable {
        /// What the system said.
        reason: String,
    },
    /// What is stored is not what was written.
    #[error("the charges store is damaged: {reason}")]
    Damaged {
        /// What does not fit.
        reason: String,
    },
    /// The answer is a number beyond what its type holds; what is stored is fine.
    #[error("charges cannot be added up: {reason}; ask for less at once")]
    Overflow {
        /// Which number.
        reason: String,
    },
    /// The answer has more rows than one call gives; what is stored is fine.
    #[error("the usage has more than {rows_max} rows; ask for less at once: one customer, one meter, a shorter time")]
    TooMany {
        /// How many it gives.
        rows_max: usize,
    },
    /// An output does not follow the one before.
    #[error("shard {shard} is stored up to {next}, but the output begins at {from}")]
    Gap {
        /// The shard.
        shard: Shard,
        /// Stored so far.
        next: Offset,
        /// Where the output begins.
        from: Offset,
    },
}
