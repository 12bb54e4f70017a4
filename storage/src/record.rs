//! What stands in the log. Whatever could make two folds differ is a record.
//!
//! # Format
//! Integers are little-endian; a varint has 7 bits a byte, the lowest first; text is a varint of its length in bytes, then
//! UTF-8.
//!
//! | bytes | |
//! |---|---|
//! | 2 | `FR` |
//! | 1 | version: the lowest that can say it, see [`Control::version`]; of events 1 |
//! | 1 | kind: 0 control, 1 events |
//! | 4 | crc32c of the four bytes before and all bytes after |
//! | … | body |
//!
//! The body of a control record is JSON, see [`Control`]. That of events:
//!
//! | part | is |
//! |---|---|
//! | accounts | varint count, then tenant and customer as text, each |
//! | types, sources | varint count, then text, each |
//! | shapes | varint count, then each a varint count of names and the names as text |
//! | events | varint count, varint length in bytes of the numbers, the numbers |
//! | text | to the end: of each event its id, then its values, with nothing between |
//!
//! The numbers of an event: a byte of flags (bit 0 account, 1 type, 2 source, 3 shape: the same as the event before, the
//! first event has none of them), a varint index for each that is not the same, the time less that of the event before as
//! a zigzag varint (the first: less zero), 8 bytes of payload hash, the varint length of the id and of each value in the
//! shape's order. So text is checked for UTF-8 once for a record, and events are read without copies.

// Reading order: the numbers on the wire, then encoding, then decoding.
mod decode;
mod dictionary;
mod encode;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use decode::{Event, Events, Values, decode};
pub use encode::{EventsBuilder, encode_control};

use crate::shard::{Offset, Shard, ShardCount};
use pricing::id::{CustomerId, TenantId};
use pricing::meter::Meter;
use pricing::plan::PlanVersion;
use pricing::subscription::Subscription;
use pricing::time::{Instant, Span};
use std::hash::Hasher;
use std::sync::atomic::{AtomicU8, Ordering};

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
        /// Up to which version records may be written from the beginning, as a `Barrier` says it later; none: 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u8>,
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
    /// The parked events of a customer with a time in `[from, until)` no longer hold bills back, nor does what of its
    /// periods could not be settled.
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
        /// The newest record that the person saw the outcome of: what came later still holds, also when this stands in the
        /// log twice. None in records of version 1, which waived all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Offset>,
    },
    /// From here on records up to `version` may be written: a person's word that every rater knows it. It is itself of
    /// version 1, so that a rater that does not know it can say so.
    Barrier {
        /// The record version.
        version: u8,
    },
    /// What stands in the place of the damaged record at `offset` of this shard: the `Catalog` and `Customer` records as they
    /// are by now, all plan versions included. A `Skip` of the same offset follows.
    Restate {
        /// The damaged record.
        offset: Offset,
        /// Their versions may be later than the one that follows: those between are then known, too.
        records: Vec<Control>,
    },
    /// The record at `offset` of this shard, which could not be folded, is stepped over, also by who can read it. A `Skip`
    /// that is itself stepped over says nothing.
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

/// The oldest record version: what may be written where nothing else is said.
pub const VERSION_OLDEST: u8 = 1;

/// The newest record version that this build knows.
const VERSION_NEWEST: u8 = 2;

/// The newest that this process goes by.
static VERSION_KNOWN: AtomicU8 = AtomicU8::new(VERSION_NEWEST);

/// A decoded record, borrowing from its bytes.
#[derive(Debug)]
pub enum Record<'a> {
    /// One without events.
    Control(Box<Control>),
    /// Events.
    Events(Events<'a>),
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

/// The newest record version that is known here.
pub fn version_newest() -> u8 {
    VERSION_KNOWN.load(Ordering::Relaxed)
}

/// From now on this process stands for an older build, which knows record versions up to this one only. Tests walk through
/// an upgrade with it.
pub fn rehearse(version: u8) {
    VERSION_KNOWN.store(version.clamp(VERSION_OLDEST, VERSION_NEWEST), Ordering::Relaxed);
}

// === impl Control ===

impl Control {
    /// The version that it is written with: whoever knows less must not take it for something else.
    pub const fn version(&self) -> u8 {
        match self {
            Self::Open { version: Some(version), .. } => *version,
            Self::Waive { seen: Some(_), .. } => 2,
            _ => VERSION_OLDEST,
        }
    }
}

/// True for bytes that say they are a record without events; nothing is checked.
pub fn is_control(record: &[u8]) -> bool {
    record.get(3) == Some(&wire::KIND_CONTROL)
}

/// The hash of what a sender sent: SipHash-2-4 (64 bits, zero key) over the type, the time as sent and the sorted
/// properties. Text goes in as its length (u32, little-endian) and its bytes; the time as a byte 0 where the sender gave
/// none, otherwise a byte 1 and its nanoseconds (i64, little-endian). It is part of the stored format and never changes.
pub fn payload_hash(event_type: &str, time: Option<Instant>, properties: &[(&str, &str)]) -> u64 {
    let mut pieces = Pieces::default();
    pieces.text(event_type);
    match time {
        None => pieces.bytes(&[0]),
        Some(time) => {
            pieces.bytes(&[1]);
            pieces.bytes(&time.nanos().to_le_bytes());
        }
    }
    for (name, value) in properties {
        pieces.text(name);
        pieces.text(value);
    }
    pieces.finish()
}

/// Gathers small pieces for the hash, which is faster over long ones; the result is that of all bytes in a row.
struct Pieces {
    hasher: siphasher::sip::SipHasher24,
    buffer: [u8; 256],
    filled: usize,
}

// === impl Pieces ===

impl Default for Pieces {
    fn default() -> Self {
        Self { hasher: siphasher::sip::SipHasher24::new(), buffer: [0; 256], filled: 0 }
    }
}

impl Pieces {
    fn text(&mut self, text: &str) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.bytes(&length.to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.filled..self.filled + bytes.len()) {
            Some(free) => {
                free.copy_from_slice(bytes);
                self.filled += bytes.len();
            }
            None => {
                self.flush();
                self.hasher.write(bytes);
            }
        }
    }

    fn flush(&mut self) {
        self.hasher.write(self.buffer.get(..self.filled).unwrap_or_default());
        self.filled = 0;
    }

    fn finish(mut self) -> u64 {
        self.flush();
        self.hasher.finish()
    }
}
