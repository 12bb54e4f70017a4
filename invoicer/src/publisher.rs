//! The clock and publisher: the one writer of Ticks and control records.
//!
//! Writers take turns ([`Publisher::turn`]), so a record is stamped with exactly the log time at which it stands. What a
//! turn publishes is committed to the books together with its records, as entries of the *outbox*; only then are the
//! records appended to the log, tried again until they are durable, and the entries removed. A crash, or a caller that
//! goes away, leaves entries behind: they are published before anything else is. Repeated appends are harmless, because
//! versions run consecutively and the fold ignores a known version with equal content.

mod outbox;
mod ticker;

pub use ticker::{Error, Options, Wall};

use crate::ledger::{Draft, Filter, Ledger, Outbox};
use pricing::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
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
    log_time: watch::Sender<Instant>,
    /// Counts what was published, so that caches of the catalog know when to look again.
    generation: AtomicU64,
}

/// What only the writer whose turn it is may touch.
struct State {
    log_time: Instant,
    /// Revision of the clock's document.
    clock_revision: Option<u64>,
    /// The outbox may hold entries.
    pending: bool,
    /// The number of the next entry.
    sequence: u64,
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

// === impl Publisher ===

impl Publisher {
    /// Log time as of the latest Tick.
    pub fn log_time(&self) -> Instant {
        *self.log_time.borrow()
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

    /// Waits for a turn. What earlier turns left in the outbox is published first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn turn(&self) -> Result<Turn<'_>, Error> {
        let mut state = self.state.lock().await;
        self.flush(&mut state).await?;
        Ok(Turn { publisher: self, state })
    }

    /// Publishes what the outbox holds, oldest first.
    async fn flush(&self, state: &mut State) -> Result<(), Error> {
        while state.pending {
            let entries = self.ledger.list::<Outbox>(None, &Filter::default(), outbox::ENTRIES_MAX).await?;
            // Who committed them may have gone away before it could say so.
            self.generation.fetch_add(1, Ordering::AcqRel);
            if let Some(last) = entries.last() {
                state.sequence = state.sequence.max(outbox::sequence(&last.id).saturating_add(1));
            }
            let mut done = Draft::new("publisher", "publish", state.log_time);
            for entry in &entries {
                outbox::append(self.log.as_ref(), &entry.value).await;
                done.remove::<Outbox>(None, &entry.id, entry.revision);
            }
            self.ledger.commit(done).await?;
            state.pending = entries.len() >= outbox::ENTRIES_MAX;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Publisher").field("log_time", &self.log_time()).finish_non_exhaustive()
    }
}

// === impl Turn ===

impl Turn<'_> {
    /// Log time, which stands still during this turn.
    pub fn log_time(&self) -> Instant {
        self.state.log_time
    }

    /// Commits the draft and the records together, then appends the records to the log. When this answers, they stand in
    /// the log of every shard they concern.
    ///
    /// # Errors
    /// See [`Error`]; on a conflict nothing happened: read and decide again, in the same turn or another. After
    /// unavailable books it is not known whether it happened.
    pub async fn publish(&mut self, mut draft: Draft, records: &[Announcement]) -> Result<(), Error> {
        let entries = outbox::entries(records, self.publisher.shards());
        for entry in entries {
            draft.put(None, &outbox::id(self.state.sequence), None, &entry)?;
            self.state.sequence += 1;
        }
        // Before the commit, not after it: a commit may happen although its answer is lost or its caller goes away. Without
        // records, too: the next flush moves the generation.
        self.state.pending = true;
        let committed = self.publisher.ledger.commit(draft).await;
        self.publisher.generation.fetch_add(1, Ordering::AcqRel);
        committed?;
        self.publisher.flush(&mut self.state).await
    }

    /// Moves log time to `to`, on every shard; what lies behind log time already is left alone.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tick(&mut self, to: Instant) -> Result<(), Error> {
        if to <= self.state.log_time {
            return Ok(());
        }
        self.publisher.write_clock(&mut self.state, to).await?;
        outbox::append_to_all(self.publisher.log.as_ref(), &Control::Tick { time: to }).await;
        self.publisher.log_time.send_replace(to);
        Ok(())
    }
}

/// How long to wait before a refused append is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// The longest such wait.
const RETRY_LAST: Duration = Duration::from_secs(2);
