//! The clock and publisher: the one writer of Ticks and control records.
//!
//! Writers take turns ([`Publisher::turn`]), so a record is stamped with exactly the log time at which it stands. What a
//! turn publishes is committed to the books together with its records, as entries of the *outbox*; only then do the
//! records go into the *lanes*, one for each shard, which append them in order until they are durable, and the entries are
//! removed. A crash, or a caller that goes away, leaves entries behind: the next turn or start sends them before anything
//! else. Repeated appends are harmless, because versions run consecutively and the fold ignores a known version.
//!
//! Only who holds the *lease* publishes. Each holder counts the clock's document one `term` up, and every commit of the
//! publisher names that document's revision: whoever lost the lease without noticing can commit nothing more, and what it
//! may still append was committed before, so that its successor has appended it, too.

// Reading order: how records travel, whose turn it is, and where time comes from.
mod lane;
mod lease;
mod open;
mod outbox;
mod ticker;

pub use open::{allow_records, record_version};
pub(crate) use outbox::pieces;
pub use ticker::{Error, Options, Wall};

use crate::ledger::{Draft, Ledger};
use lane::{Lanes, Place};
use pricing::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::log::Log;
use storage::record::Control;
use storage::shard::{Shard, ShardCount};
use tokio::sync::{Mutex, MutexGuard, watch};

/// Writes Ticks and control records. See the module's own words.
pub struct Publisher {
    ledger: Ledger,
    log: Arc<dyn Log>,
    options: Options,
    state: Mutex<State>,
    lanes: Lanes,
    log_time: watch::Sender<Instant>,
    /// Counts what was published, so that caches of the catalog know when to look again.
    generation: AtomicU64,
}

/// What only the writer whose turn it is may touch.
struct State {
    log_time: Instant,
    /// Which holder of the lease this is.
    term: u64,
    /// Revision of the clock's document.
    clock_revision: Option<u64>,
    /// Until when the lease surely holds.
    lease_until: tokio::time::Instant,
    /// Another process leads, or this one has given up: nothing is published any more.
    is_lost: bool,
    /// The books may hold what is not known here: the outbox and the clock are to be read.
    is_unsure: bool,
    /// The number of the next entry.
    sequence: u64,
    /// Entries that are on their way, by number, and where each waits.
    sent: BTreeMap<u64, Vec<Place>>,
    /// The wall clock and the monotonic clock at the start.
    started: (Instant, tokio::time::Instant),
}

/// A record and the shards it concerns.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// Where it goes.
    pub shards: Target,
    /// The record.
    pub record: Control,
}

/// Which shards a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every shard.
    All,
    /// One.
    One(Shard),
}

/// A writer's turn: nobody else publishes, and log time stands still.
pub struct Turn<'a> {
    publisher: &'a Publisher,
    state: MutexGuard<'a, State>,
}

/// What was published and goes into the log by itself. Wait for it only after the turn: a shard that takes nothing must
/// not hold up the others.
#[must_use = "it is not in the log before it is durable"]
pub struct Receipt<'a> {
    publisher: &'a Publisher,
    places: Vec<Place>,
}

// === impl Publisher ===

impl Publisher {
    /// Log time as of the latest Tick.
    pub fn log_time(&self) -> Instant {
        *self.log_time.borrow()
    }

    /// The wall clock: for what meets the world outside, and for nothing that is billed.
    pub fn wall(&self) -> Instant {
        (self.options.wall)()
    }

    /// Follows log time.
    pub fn watch(&self) -> watch::Receiver<Instant> {
        self.log_time.subscribe()
    }

    /// Changes whenever the catalog or a customer did.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// True when log time moves by [`Turn::tick`] only.
    pub fn is_test_clock(&self) -> bool {
        self.options.test_clock.is_some()
    }

    /// How many shards the log has.
    pub fn shards(&self) -> ShardCount {
        self.log.shards()
    }

    /// The log it writes to.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Waits for a turn. What earlier turns left in the outbox goes into the log first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn turn(&self) -> Result<Turn<'_>, Error> {
        let mut state = self.state.lock().await;
        self.hold_lease(&mut state).await?;
        self.catch_up(&mut state).await?;
        self.tidy(&mut state).await;
        Ok(Turn { publisher: self, state })
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn receipt(&self, places: Vec<Place>) -> Receipt<'_> {
        Receipt { publisher: self, places }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Publisher").field("log_time", &self.log_time()).finish_non_exhaustive()
    }
}

// === impl State ===

impl State {
    /// A commit that named the clock's document happened.
    fn signed(&mut self) {
        self.is_unsure = false;
        self.clock_revision = self.clock_revision.map(|revision| revision + 1);
    }
}

// === impl Turn ===

impl<'a> Turn<'a> {
    /// Log time, which stands still during this turn.
    pub fn log_time(&self) -> Instant {
        self.state.log_time
    }

    /// Commits the draft and the records together; the records then go into the log by themselves.
    ///
    /// # Errors
    /// See [`Error`]; on a conflict nothing happened: read and decide again, in the same turn or another. After
    /// unavailable books it is not known whether it happened.
    pub async fn publish(&mut self, mut draft: Draft, records: &[Announcement]) -> Result<Receipt<'a>, Error> {
        let (publisher, state) = (self.publisher, &mut *self.state);
        outbox::check_lengths(records)?;
        publisher.check_versions(records).await?;
        publisher.catch_up(state).await?;
        let entries = outbox::entries(records, publisher.shards());
        for entry in &entries {
            if let Some((shard, reason)) = publisher.lanes.refused(entry.shards, publisher.options.patience) {
                return Err(Error::Refused { shard, reason });
            }
        }
        let first = state.sequence;
        for entry in &entries {
            draft.put(None, &outbox::id(state.sequence), None, entry)?;
            state.sequence += 1;
        }
        publisher.sign(state, &mut draft)?;
        // Before the commit, not after it: a commit may happen although its answer is lost or its caller goes away.
        state.is_unsure = true;
        let committed = publisher.ledger.commit(draft).await;
        publisher.changed();
        committed?;
        state.signed();
        let mut places = Vec::new();
        for (number, entry) in (first..).zip(&entries) {
            let sent = publisher.lanes.push(entry.shards, &entry.records);
            places.extend_from_slice(&sent);
            state.sent.insert(number, sent);
        }
        Ok(publisher.receipt(places))
    }

    /// What earlier turns published and is still on its way.
    pub fn pending(&self) -> Receipt<'a> {
        self.publisher.receipt(self.state.sent.values().flatten().copied().collect())
    }

    /// Moves log time to `to`, on every shard; what lies behind log time already is left alone.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tick(&mut self, to: Instant) -> Result<Receipt<'a>, Error> {
        if to <= self.state.log_time {
            return Ok(self.publisher.receipt(Vec::new()));
        }
        self.publisher.write_clock(&mut self.state, to).await?;
        let places = self.publisher.lanes.tick(to);
        self.publisher.log_time.send_replace(to);
        Ok(self.publisher.receipt(places))
    }
}

// === impl Receipt ===

impl Receipt<'_> {
    /// Waits until it stands in the log of every shard that it concerns.
    ///
    /// # Errors
    /// [`Error::Waiting`] when that takes longer than [`Options::patience`]; it goes on by itself.
    pub async fn durable(self) -> Result<(), Error> {
        self.publisher.lanes.durable(&self.places, self.publisher.options.patience).await?;
        // Where somebody else has a turn, that one or the next tidies.
        if let Ok(mut state) = self.publisher.state.try_lock() {
            self.publisher.tidy(&mut state).await;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Receipt<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Receipt").field(&self.places).finish()
    }
}
