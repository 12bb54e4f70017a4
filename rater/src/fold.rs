//! The fold: one shard's records in, charges out.
//!
//! It is pure: no I/O, no clock, no randomness, and no order but that of the log. (Ids that memory has no room for are read
//! from disk, which shows in nothing that comes out.) What each event comes to is decided in this order:
//!
//! | an event | comes to |
//! |---|---|
//! | whose id is known, with the same payload | a duplicate: counted |
//! | whose id is known, with another payload | a conflict: rejected |
//! | at log time + `future` or later | waiting, until a Tick takes log time + `future` past it; over quota: rejected |
//! | older than log time − `past` − 1 day | rejected |
//! | of an unknown customer or type, or at a time without subscription | parked, until a record explains it; over quota: rejected |
//! | before its subscription's first billed period | rejected, as not backfilled |
//! | that a price takes | charged, unless a price cannot read it: then rejected, and no state changes |
//! | that a meter admits, but no price takes | unpriced |
//! | that no meter admits | unmetered |
//!
//! What a record changes acts at log time + `future` or later: so no event was folded before the change that it belongs
//! after, an event at that very moment neither.
//!
//! Charged, unpriced and unmetered events were folded: they leave their ids. The fate of a parked event shows in its
//! newest outcome; [`OutcomeKind::Unparked`] stands for the fates that have no outcome of their own.
//!
//! [`OutcomeKind::Unparked`]: storage::output::OutcomeKind::Unparked

// Reading order: what is sold and to whom, what comes in, what it costs, what time does, and the state as bytes.
mod arrival;
mod arrive;
mod catalog;
mod charge;
mod close;
mod customer;
mod declare;
mod emit;
mod level;
mod open;
mod park;
mod period;
mod route;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use snapshot::Chunks;

use crate::codec::Malformed;
use crate::ids::{self, Day, Index, Key, Room};
use catalog::{Gate, Tenant};
use customer::Customer;
use declare::Told;
use emit::Emit;
use park::{Parked, Waiting};
use pricing::id::TenantId;
use pricing::time::Instant;
use route::Cache;
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hasher;
use std::sync::Arc;
use storage::charges::Boundary;
use storage::output::{Counters, Output};
use storage::record::{self, Control, DecodeError, Record};
use storage::shard::{Offset, Shard, ShardCount};

/// What of the fold can be set: how much of one tenant's one shard keeps. What comes beyond is rejected, with its payload,
/// so the limits are part of what determines the fold: all replicas of a shard must have the same, and a replay must have
/// those that the shard had. A snapshot holds them, so that [`Fold::state_hash`] tells two folds with different ones
/// apart; a shard that goes on from a snapshot under others has them from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Options {
    /// How many events may be parked.
    pub parked_max: u64,
    /// How many bytes they may take: their text, and 256 for each event and 48 for each property.
    pub parked_bytes_max: u64,
    /// How many events of the future may wait for their time.
    pub waiting_max: u64,
    /// How many bytes they may take, counted in the same way.
    pub waiting_bytes_max: u64,
}

/// The state of one shard at a record boundary, and what came out since it was last taken.
pub struct Fold {
    shard: Shard,
    shards: ShardCount,
    options: Options,
    /// The record to be folded next.
    next: Offset,
    /// The hash of the record before.
    record: u64,
    log_time: Instant,
    /// The day of log time.
    today: Day,
    /// None before the Open record.
    key: Option<Key>,
    barrier: u8,
    /// Records that were stepped over.
    skipped: BTreeSet<Offset>,
    counters: Counters,
    ids: Index,
    /// For tenants that no record named yet.
    gate: Gate,
    /// In the order in which records named them.
    tenants: Vec<Tenant>,
    /// In the order in which records named them.
    customers: Vec<Customer>,
    waiting: Waiting,
    parked: Parked,
    /// For lookups only.
    tenant_names: HashMap<Arc<str>, usize>,
    /// How many plans were made ready: tells them apart in the cache.
    plans: u32,
    cache: Cache,
    emit: Emit,
}

/// The hash of all that a fold remembers: equal where the same records were folded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateHash(pub [u8; 16]);

/// Why a shard cannot go on. The state is as it was before the record, but for [`Halt::Lost`].
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
    /// An id could not be looked for: state and outputs are void, and only a snapshot leads on.
    #[error(transparent)]
    Lost(#[from] ids::Error),
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
    /// Its ids cannot be kept.
    #[error(transparent)]
    Ids(#[from] ids::Error),
}

impl Default for Options {
    fn default() -> Self {
        let bytes_max = 64 << 20;
        Self { parked_max: 100_000, parked_bytes_max: bytes_max, waiting_max: 100_000, waiting_bytes_max: bytes_max }
    }
}

impl std::fmt::Display for StateHash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl std::fmt::Debug for StateHash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, out)
    }
}

impl std::fmt::Debug for Fold {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shard, next, log_time, counters, .. } = self;
        write!(out, "Fold {{ shard: {shard}, next: {next}, log_time: {log_time}, counters: {counters:?}, .. }}")
    }
}

/// What tells a record, by its hash, and the log it stands in, by the log's key, from any other; 0 for what is not known.
pub(crate) fn stamp(key: Option<Key>, record: u64) -> u64 {
    let Some(key) = key.filter(|_| record != 0) else { return 0 };
    let mut hasher = SipHasher24::new();
    hasher.write(key.to_hex().as_bytes());
    hasher.write(&record.to_le_bytes());
    hasher.finish()
}

/// What tells a record from any other: its header, which holds its checksum, and its length.
pub(crate) fn record_hash(record: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(record.get(..8).unwrap_or(record));
    hasher.write(&u64::try_from(record.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.finish()
}

impl Fold {
    /// The state of a shard before its first record.
    pub fn new(shard: Shard, shards: ShardCount, options: Options) -> Self {
        Self {
            shard,
            shards,
            options,
            next: Offset(0),
            record: 0,
            log_time: Instant::MIN,
            today: Day::of(Instant::MIN),
            key: None,
            barrier: 0,
            skipped: BTreeSet::new(),
            counters: Counters::default(),
            ids: Index::default(),
            gate: Gate::default(),
            tenants: Vec::new(),
            customers: Vec::new(),
            waiting: Waiting::default(),
            parked: Parked::default(),
            tenant_names: HashMap::new(),
            plans: 0,
            cache: Cache::default(),
            emit: Emit::new(shard, Offset(0)),
        }
    }

    /// Folds the record at `offset`, which must be [`Fold::next`].
    ///
    /// # Errors
    /// [`Halt`]; the state is then as before.
    pub fn fold(&mut self, offset: Offset, record: &[u8]) -> Result<(), Halt> {
        self.expect(offset)?;
        let decoded = storage::record::decode(record).map_err(|reason| Halt::Unreadable { offset, reason })?;
        self.emit.begin(offset);
        match decoded {
            Record::Events(events) => self.events(offset, &events)?,
            Record::Control(control) => self.control(offset, *control)?,
        }
        self.retry_some();
        self.ids.sweep_some();
        self.is_sound()?;
        self.record = record_hash(record);
        self.next = offset.next();
        Ok(())
    }

    /// Steps over the record at `offset`, which must be [`Fold::next`]: a `Skip` record further on says so, and what was
    /// `restated` before it stands in its place. Whoever folds the shard has to look ahead for it, also where the record can
    /// be read: [`Fold::fold`] refuses the `Skip` of a record that was folded.
    ///
    /// # Errors
    /// [`Halt::Offset`], [`Halt::Lost`].
    pub fn skip(&mut self, offset: Offset, restated: Vec<Control>) -> Result<(), Halt> {
        self.expect(offset)?;
        self.emit.begin(offset);
        if self.key.is_some() {
            restated.into_iter().for_each(|record| self.restate(offset, record));
        }
        self.retry_some();
        self.is_sound()?;
        self.skipped.insert(offset);
        self.record = 0;
        self.next = offset.next();
        Ok(())
    }

    /// Refuses a state that lost sight of its ids: from then on nothing of it may be used.
    ///
    /// # Errors
    /// [`Halt::Lost`].
    pub fn is_sound(&self) -> Result<(), Halt> {
        self.ids.lost().map_or(Ok(()), |error| Err(error.clone().into()))
    }

    /// Lets no event of a known tenant wait for its time, until a record sets that tenant's limits again. For records in
    /// memory, whose log time stands still until all events are folded; no record says it, so no log is folded so.
    pub fn wait_for_none(&mut self) {
        self.tenants.iter_mut().for_each(|tenant| tenant.gate.wait_for_none());
    }

    /// Says how much memory the ids may take, and where the rest goes. It shows in nothing that comes out.
    pub fn set_room(&mut self, room: Room) {
        self.ids.set_room(room);
    }

    /// Brings ids to disk when they take more memory than they may.
    ///
    /// # Errors
    /// Those of the disk, or that there is no room; all is then as before.
    pub fn make_room(&mut self) -> Result<(), ids::Error> {
        self.ids.make_room()
    }

    /// What came out since it was last taken; none when nothing was folded since.
    pub fn take(&mut self) -> Option<Output> {
        let close_due = self.is_close_due();
        let (next, log_time, counters) = (self.next, self.log_time, self.counters);
        self.emit.take(Boundary { next, log_time, counters, close_due, record: stamp(self.key, self.record) })
    }

    /// How many copies came of each tenant since this was last asked. No part of the state: it begins at nothing.
    pub fn take_duplicates(&mut self) -> BTreeMap<TenantId, u64> {
        self.emit.take_duplicates()
    }

    fn expect(&self, offset: Offset) -> Result<(), Halt> {
        if offset == self.next {
            return Ok(());
        }
        Err(Halt::Offset { shard: self.shard, expected: self.next, found: offset })
    }

    fn control(&mut self, offset: Offset, control: Control) -> Result<(), Halt> {
        if self.key.is_none() && !matches!(control, Control::Open { .. }) {
            let reason = "the shard's first record is not its Open record".to_owned();
            return Err(Halt::Contradiction { offset, reason });
        }
        match control {
            Control::Open { shard, shards, key, version } => {
                self.open(offset, shard, shards, &key)?;
                self.barrier = self.barrier.max(version.unwrap_or(0));
            }
            Control::Catalog(record) => self.catalog(offset, record, Told::InTurn)?,
            Control::Customer(record) => self.customer(offset, record, Told::InTurn)?,
            Control::Tick { time } => self.tick(time),
            Control::Waive { tenant, customer, from, until, seen, .. } => {
                self.waive(&tenant, customer.as_str(), from..until, seen.unwrap_or(offset));
            }
            Control::Barrier { version } if version > record::version_newest() => {
                let reason = DecodeError::Version { found: version, newest: record::version_newest() };
                return Err(Halt::Unreadable { offset, reason });
            }
            Control::Barrier { version } => self.barrier = self.barrier.max(version),
            Control::Skip { offset: of, .. } if !self.skipped.contains(&of) => {
                let reason = format!(
                    "it steps over the record at {of}, which was folded here; to take that out, fold the shard anew \
                     without its snapshots and charges; stepped over in its turn, this record says nothing"
                );
                return Err(Halt::Contradiction { offset, reason });
            }
            // Who came to the record it names looked ahead for these.
            Control::Skip { .. } | Control::Restate { .. } => {}
        }
        Ok(())
    }

    fn open(&mut self, offset: Offset, shard: Shard, shards: ShardCount, key: &str) -> Result<(), Halt> {
        let contradiction = |reason| Err(Halt::Contradiction { offset, reason });
        if (shard, shards) != (self.shard, self.shards) {
            return contradiction(format!(
                "the log is shard {shard} of {}, but is read as shard {} of {}; the number of shards is fixed for a \
                 log's life",
                shards.get(),
                self.shard,
                self.shards.get()
            ));
        }
        let Some(key) = Key::parse(key) else {
            return contradiction("the Open record's key is not 32 hexadecimal digits".to_owned());
        };
        match self.key {
            Some(known) if known != key => contradiction("a second Open record has another key".to_owned()),
            Some(_) => Ok(()),
            None => {
                self.key = Some(key);
                Ok(())
            }
        }
    }

    fn tenant_index(&self, name: &str) -> Option<usize> {
        self.tenant_names.get(name).copied()
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

    /// The hash of the record before the next one: [`Fold::record_hash`] of it. 0 before the first, and after one that was
    /// stepped over.
    pub fn at_record(&self) -> u64 {
        self.record
    }

    /// The log's key; none before its first record.
    pub(crate) fn key(&self) -> Option<Key> {
        self.key
    }

    /// The hash that tells a record from any other.
    pub fn record_hash(record: &[u8]) -> u64 {
        record_hash(record)
    }

    /// What the latest Tick said; [`Instant::MIN`] before the first.
    pub fn log_time(&self) -> Instant {
        self.log_time
    }

    /// What became of all arrivals.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// True while something is due that the latest Tick did not get to: another Tick goes on with it.
    pub fn is_close_due(&self) -> bool {
        self.is_due()
    }

    /// How many ids are kept, those included that may go.
    pub fn ids(&self) -> u64 {
        self.ids.count()
    }

    /// Memory of the id index, in bytes.
    pub fn ids_bytes(&self) -> usize {
        self.ids.bytes()
    }

    /// Bytes of ids on disk.
    pub fn ids_disk_bytes(&self) -> u64 {
        self.ids.disk_bytes()
    }

    /// About how many bytes wait to be taken.
    pub fn output_bytes(&self) -> usize {
        self.emit.bytes()
    }

    /// How many rows wait to be taken.
    pub fn output_rows(&self) -> usize {
        self.emit.rows()
    }
}
