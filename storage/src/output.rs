//! What the fold puts out: charges, manifests, outcomes, counters. A row is a function of the log, so writing it twice is
//! harmless.

use crate::shard::{Offset, Position, Shard};
use pricing::group::Group;
use pricing::id::{CustomerId, MeterId, PriceId, SubscriptionId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::period::Period;
use pricing::plan::PlanRef;
use pricing::time::Instant;
use std::sync::Arc;

/// All that folding the records `[from, to)` of one shard put out.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The shard.
    pub shard: Shard,
    /// The first record.
    pub from: Offset,
    /// The record after the last: the boundary that is confirmed once this is stored.
    pub to: Offset,
    /// Log time at the boundary.
    pub log_time: Instant,
    /// Charges, in the order they came out.
    pub charges: ChargeRows,
    /// Manifests, in the order they came out.
    pub manifests: Vec<Manifest>,
    /// Arrivals that were not charged, with the reason.
    pub outcomes: Vec<Outcome>,
    /// All counts of the shard since its first record.
    pub counters: Counters,
    /// True while something is due at that log time that the latest Tick did not get to: another Tick goes on with it.
    pub close_due: bool,
    /// Tells the record before `to`, and the log it stands in, from any other; 0 where that is not known.
    pub record: u64,
}

/// Charges in few allocations: what many rows share stands once in `series` and `sources`, ids share one buffer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChargeRows {
    /// What rows share.
    pub series: Vec<Series>,
    /// Event sources.
    pub sources: Vec<Arc<str>>,
    /// The ids of the rows' events, one after the other.
    pub ids: String,
    /// The rows.
    pub rows: Vec<ChargeRow>,
}

/// What the charges of one price, period and group share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Series {
    /// Who sells.
    pub tenant: TenantId,
    /// Who is billed.
    pub customer: CustomerId,
    /// Under which subscription.
    pub subscription: SubscriptionId,
    /// In which period (by its start).
    pub start: Instant,
    /// Which version of the plan.
    pub plan: PlanRef,
    /// Which price.
    pub price: PriceId,
    /// Which meter.
    pub meter: MeterId,
    /// Which group of the meter.
    pub group: Group,
}

/// What one event did to one price, exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargeRow {
    /// Index into [`ChargeRows::series`].
    pub series: u32,
    /// The record that caused the row, and the row's number among that record's charges.
    pub offset: Offset,
    /// The row's number among the charges of its record, from 0.
    pub index: u32,
    /// Where the event stands: not always the record that caused the row (a parked event that was explained later). For
    /// rows without an event (a close that settles a level) the causing record and `u32::MAX`.
    pub event: EventPlace,
    /// Where the event's id ends in [`ChargeRows::ids`]; it begins where the row before ended.
    pub id_end: u32,
    /// Index into [`ChargeRows::sources`].
    pub source: u32,
    /// The event's time.
    pub time: Instant,
    /// q after − q before.
    pub quantity: Quantity,
    /// F(q after) − F(q before).
    pub amount: Amount,
    /// The tier that holds q after, from 1; for `dimensional` the table's row, from 1, the default last.
    pub tier: u32,
    /// Of a `time_weighted` meter: the level that holds from `time` on. An event's, or without an event the one that the
    /// period begins with, of which the newest row counts.
    pub level: Option<Quantity>,
}

/// An event's record and its index there; the shard is the row's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct EventPlace {
    /// The record.
    pub offset: Offset,
    /// The event in it; [`EventPlace::NO_EVENT`] of what no event caused.
    pub index: u32,
}

impl EventPlace {
    /// In place of an event's number: the record itself caused it, as a close does.
    pub const NO_EVENT: u32 = u32::MAX;

    /// Whether an event stands there.
    pub fn is_event(self) -> bool {
        self.index != Self::NO_EVENT
    }
}

/// The fold's own totals for one subscription's period, put out at its close, and again when it changed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Manifest {
    /// Who sells.
    pub tenant: TenantId,
    /// Who is billed.
    pub customer: CustomerId,
    /// Under which subscription.
    pub subscription: SubscriptionId,
    /// Which period.
    pub period: Period,
    /// Which version of the plan.
    pub plan: PlanRef,
    /// 1 at the close, then 2, 3, …
    pub revision: u32,
    /// The record that caused it; `index` counts the record's manifests.
    pub position: Position,
    /// The customer's events that are parked, not waived, with a time inside the period: they hold the bill back.
    pub parked: u64,
    /// One for each price, group and table row that has charges, in that order.
    pub entries: Vec<Sum>,
}

/// Totals over charge rows of one price, group and (for `dimensional`) table row.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sum {
    /// Which price.
    pub price: PriceId,
    /// Which group.
    pub group: Group,
    /// For `dimensional` the table's row, from 1; otherwise 0.
    pub row: u32,
    /// Charge rows.
    pub count: u64,
    /// Σ of their quantities.
    pub quantity: Quantity,
    /// Σ of their amounts.
    pub amount: Amount,
    /// Σ of their hashes, wrapping: see [`row_hash`].
    pub hash: u64,
}

/// An arrival that was not charged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// What became of it.
    pub kind: OutcomeKind,
    /// The record that caused this outcome; `index` counts the record's outcomes.
    pub position: Position,
    /// Where the event stands.
    pub event: EventPlace,
    /// Who sells.
    pub tenant: TenantId,
    /// The customer as sent.
    pub customer: String,
    /// The event's source.
    pub source: String,
    /// The event's id.
    pub id: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The event's time.
    pub time: Instant,
    /// Why, in words: found, allowed, what to do.
    pub reason: String,
    /// The event's properties, so that nothing is lost.
    pub properties: Vec<(String, String)>,
}

/// What became of an arrival that was not charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Metered, but no price of the plan names the meter.
    Unpriced,
    /// Kept until a later record explains it.
    Parked,
    /// A parked event that was explained: its charges follow.
    Unparked,
    /// A known id with another payload.
    Conflict,
    /// Never to be billed: unreadable, too old, over quota, parked for too long.
    Rejected,
    /// In a period before the subscription's first billed one.
    NotBackfilled,
}

/// What became of all arrivals of a shard since its first record. CON-1: `arrivals` is the sum of all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Events in `Events` records.
    pub arrivals: u64,
    /// Charged to at least one price.
    pub charged: u64,
    /// Metered, no price.
    pub unpriced: u64,
    /// No `where` admits it.
    pub unmetered: u64,
    /// A known id with the same payload.
    pub duplicate: u64,
    /// To `rejected`, conflicts and not backfilled ones among them.
    pub rejected: u64,
    /// Parked now.
    pub parked: u64,
    /// Later than log time + future, waiting now for a Tick.
    pub waiting: u64,
}

impl ChargeRows {
    /// The id of row `at`.
    pub fn id(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.rows[before].id_end as usize);
        &self.ids[start..self.rows[at].id_end as usize]
    }
}

/// The hash of one charge row that manifests and stores sum up: SipHash-2-4 (64 bits, zero key) over, little-endian,
/// offset u64, index u32, event offset u64, event index u32, time i64, quantity i128, amount i128, tier u32, whether there
/// is a level u8, the level i128 or 0, then the id's bytes. ClickHouse computes the same with `sipHash64` over `reinterpretAsFixedString` of the columns.
pub fn row_hash(row: &ChargeRow, id: &str) -> u64 {
    use std::hash::Hasher;
    let mut bytes = [0u8; 85];
    bytes[0..8].copy_from_slice(&row.offset.0.to_le_bytes());
    bytes[8..12].copy_from_slice(&row.index.to_le_bytes());
    bytes[12..20].copy_from_slice(&row.event.offset.0.to_le_bytes());
    bytes[20..24].copy_from_slice(&row.event.index.to_le_bytes());
    bytes[24..32].copy_from_slice(&row.time.nanos().to_le_bytes());
    bytes[32..48].copy_from_slice(&row.quantity.raw().to_le_bytes());
    bytes[48..64].copy_from_slice(&row.amount.raw().to_le_bytes());
    bytes[64..68].copy_from_slice(&row.tier.to_le_bytes());
    bytes[68] = u8::from(row.level.is_some());
    bytes[69..85].copy_from_slice(&row.level.unwrap_or_default().raw().to_le_bytes());
    let mut hasher = siphasher::sip::SipHasher24::new();
    hasher.write(&bytes);
    hasher.write(id.as_bytes());
    hasher.finish()
}

impl Sum {
    /// Adds another sum's rows to this one.
    ///
    /// # Errors
    /// Overflow; the sum is then unchanged.
    pub fn absorb(&mut self, other: &Sum) -> Result<(), pricing::number::Error> {
        let quantity = self.quantity.add(other.quantity)?;
        self.amount = self.amount.add(other.amount)?;
        self.quantity = quantity;
        self.count = self.count.saturating_add(other.count);
        self.hash = self.hash.wrapping_add(other.hash);
        Ok(())
    }
}
