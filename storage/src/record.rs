//! What stands in the log. Whatever could make two folds differ is a record.

use crate::shard::{Offset, Shard, ShardCount};
use bytes::Bytes;
use pricing::id::{CustomerId, TenantId};
use pricing::meter::Meter;
use pricing::plan::PlanVersion;
use pricing::subscription::Subscription;
use pricing::time::{Instant, Span};

/// A record without events. Its body is JSON: rare, readable, and able to grow.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Control {
    /// The first record of every shard.
    Open {
        /// Which shard this is.
        shard: Shard,
        /// Of how many.
        shards: ShardCount,
        /// The key of the id hashes, 32 hexadecimal digits.
        key: String,
    },
    /// What is metered and sold; on every shard.
    Catalog(CatalogRecord),
    /// One customer's subscriptions; on its own shard.
    Customer(CustomerRecord),
    /// Log time moves to `time`, never back.
    Tick {
        /// The new log time.
        time: Instant,
    },
    /// The parked events of a customer with a time in `[from, until)` no longer hold bills back.
    Waive {
        /// Who sells.
        tenant: TenantId,
        /// Whose.
        customer: CustomerId,
        /// From when.
        from: Instant,
        /// Until when.
        until: Instant,
        /// A person's word.
        reason: String,
    },
    /// From here on records up to `version` may be written.
    Barrier {
        /// The record version.
        version: u8,
    },
    /// The damaged record at `offset` of this shard is stepped over.
    Skip {
        /// The damaged record.
        offset: Offset,
        /// A person's word.
        reason: String,
    },
}

/// What a tenant meters and sells from here on. Versions run 1, 2, 3, … per tenant and shard.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CatalogRecord {
    /// Who sells.
    pub tenant: TenantId,
    /// This record's version.
    pub version: u64,
    /// All meters in force.
    pub meters: Vec<Meter>,
    /// Plan versions that are new with this record; earlier ones stay known.
    pub plans: Vec<PlanVersion>,
    /// How old an event may be.
    pub past: Span,
    /// How far ahead of log time an event may be.
    pub future: Span,
    /// How long after its end a period closes.
    pub grace: Span,
}

/// One customer's subscriptions from here on. Versions run 1, 2, 3, … per customer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CustomerRecord {
    /// Who sells.
    pub tenant: TenantId,
    /// Who is billed.
    pub customer: CustomerId,
    /// This record's version.
    pub version: u64,
    /// All of them, ended ones as long as their last period may still change.
    pub subscriptions: Vec<Subscription>,
    /// `backfill: true` is already in `first_billed`; kept here for readers.
    pub at: Instant,
}

/// An event on its way into a record, borrowed from the request.
#[derive(Clone, Copy, Debug)]
pub struct EventRef<'a> {
    /// Who sells.
    pub tenant: &'a TenantId,
    /// Who is billed, as sent.
    pub customer: &'a str,
    /// What happened.
    pub event_type: &'a str,
    /// Which service says so.
    pub source: &'a str,
    /// Unique within tenant, customer and source.
    pub id: &'a str,
    /// When it happened; the time of receipt where the sender gave none.
    pub time: Instant,
    /// The hash of what the sender sent: see [`payload_hash`].
    pub payload: u64,
    /// Sorted by name, each name once.
    pub properties: &'a [(&'a str, &'a str)],
}

/// Collects events into one encoded record: a dictionary of accounts (tenant and customer), types, sources and shapes
/// (sets of property names), then the events.
#[derive(Debug, Default)]
pub struct EventsBuilder {
    _private: (),
}

/// A decoded record, borrowing from its bytes.
#[derive(Debug)]
pub enum Record<'a> {
    /// One without events.
    Control(Box<Control>),
    /// Events.
    Events(Events<'a>),
}

/// The events of a record. The dictionary is read at once; [`Events::iter`] reads the events one by one.
#[derive(Debug)]
pub struct Events<'a> {
    /// Tenant and customer.
    pub accounts: Vec<(&'a str, &'a str)>,
    /// Event types.
    pub types: Vec<&'a str>,
    /// Sources.
    pub sources: Vec<&'a str>,
    /// Property names, sorted; one list for each shape.
    pub shapes: Vec<Vec<&'a str>>,
    /// How many events.
    pub count: u32,
    /// The encoded events.
    body: &'a [u8],
}

/// One event of a record, borrowed.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Index into [`Events::accounts`].
    pub account: u32,
    /// Index into [`Events::types`].
    pub event_type: u32,
    /// Index into [`Events::sources`].
    pub source: u32,
    /// Index into [`Events::shapes`].
    pub shape: u32,
    /// The id as sent.
    pub id: &'a str,
    /// When it happened.
    pub time: Instant,
    /// See [`payload_hash`].
    pub payload: u64,
    /// The properties' values, in the shape's order (at most 64 by default); borrowed from the record.
    pub values: Values<'a>,
}

/// The values of an event's properties, encoded.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    _bytes: &'a [u8],
}

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The checksum does not fit the bytes.
    #[error("the checksum is {found:08x}, the bytes give {computed:08x}")]
    Checksum {
        /// As written.
        found: u32,
        /// As computed.
        computed: u32,
    },
    /// Written by a newer Farthing.
    #[error("the record has version {found}; this Farthing reads up to {newest}: upgrade the raters first")]
    Version {
        /// As written.
        found: u8,
        /// The newest known here.
        newest: u8,
    },
    /// The bytes end early, or say what cannot be.
    #[error("the record is malformed: {what}")]
    Malformed {
        /// What does not fit.
        what: &'static str,
    },
}

/// The hash of what a sender sent: SipHash-2-4 (64 bits, zero key) over type, time as sent (absent stays absent) and the
/// sorted properties, each length-prefixed.
pub fn payload_hash(_event_type: &str, _time: Option<Instant>, _properties: &[(&str, &str)]) -> u64 {
    todo!()
}

/// Encodes a record without events.
pub fn encode_control(_control: &Control) -> Bytes {
    todo!()
}

/// Checks and decodes a record.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(_record: &[u8]) -> Result<Record<'_>, DecodeError> {
    todo!()
}

impl EventsBuilder {
    /// Adds an event.
    pub fn push(&mut self, _event: &EventRef<'_>) {
        todo!()
    }

    /// How many events it holds.
    pub fn count(&self) -> u32 {
        todo!()
    }

    /// About how many bytes the record will have.
    pub fn bytes(&self) -> usize {
        todo!()
    }

    /// The encoded record; the builder is empty again and keeps its memory.
    pub fn finish(&mut self) -> Bytes {
        todo!()
    }
}

impl<'a> Events<'a> {
    /// The events in order. Malformed bytes (which the checksum should have caught) are an error.
    pub fn iter(&self) -> impl Iterator<Item = Result<Event<'a>, DecodeError>> + '_ {
        let _ = self.body;
        std::iter::empty()
    }
}

impl<'a> Values<'a> {
    /// The values, in the shape's order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + '_ {
        std::iter::empty()
    }
}
