//! The driver: reads each shard, folds it, and brings what comes out to the charges store.
//!
//! ```text
//! log ──read──▶ shard task: fold ──outputs, at most `unsent_bytes_max`──▶ writer task ──insert, one at a time──▶ charges
//!                    │ every so often, at a record boundary
//!                    ▼
//!               snapshot: pending ── the store has confirmed the boundary ──▶ good
//! ```
//!
//! A shard that cannot go on says so once, loudly, and stands; the others go on. It looks for a `Skip` record further on
//! in the log, as every shard does at its start, and as records come.

mod load;
mod shard;
mod skips;
mod tally;
#[cfg(test)]
mod tests;
mod wait;
mod writer;

pub use tally::Tally;

use crate::fold;
use crate::ids::{Key, Room};
use pricing::id::TenantId;
use pricing::time::Instant;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::charges::Charges;
use storage::log::Log;
use storage::output::Counters;
use storage::shard::{Offset, Shard};
use storage::snapshots::Snapshots;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// About how many bytes of records are read at once.
    pub read_bytes_max: usize,
    /// Rows (charges, manifests, outcomes) that one insert carries at most, if it carries more than one output.
    pub insert_rows_max: usize,
    /// How long rows wait for others before they are inserted.
    pub insert_wait: Duration,
    /// Bytes of all shards' rows that are not stored yet, beyond which no shard is read. What was read before comes on top.
    pub unsent_bytes_max: usize,
    /// A snapshot is written after so many records,
    pub snapshot_records: u64,
    /// or so many bytes of records,
    pub snapshot_bytes: u64,
    /// or this time, whichever comes first; only where something was folded.
    pub snapshot_every: Duration,
    /// Memory of the known ids of all its shards together; each shard has an equal part. More goes to disk.
    pub ids_bytes_max: usize,
    /// The folder that ids go to. None: a shard whose part is full halts.
    pub ids_folder: Option<PathBuf>,
    /// What of the fold can be set.
    pub fold: fold::Options,
}

/// The running rater of some shards.
#[derive(Debug)]
pub struct Driver {
    status: Status,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Shows how the shards are.
#[derive(Clone, Debug)]
pub struct Status {
    shards: Arc<Mutex<Vec<ShardStatus>>>,
    tenants: Arc<Mutex<BTreeMap<TenantId, Tally>>>,
    changed: Arc<watch::Sender<u64>>,
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
    /// Bytes of ids on disk.
    pub ids_disk_bytes: u64,
    /// Bytes of rows that are not stored yet.
    pub unsent_bytes: u64,
    /// Where the newest good snapshot stands.
    pub snapshot: Option<Offset>,
    /// True while periods are due that the latest Tick did not get to.
    pub close_due: bool,
    /// Why the shard does not go on; it needs a person.
    pub halted: Option<String>,
}

/// What all tasks share.
#[derive(Clone)]
struct Shared {
    log: Arc<dyn Log>,
    snapshots: Arc<dyn Snapshots>,
    charges: Arc<dyn Charges>,
    /// With one shard's part of the memory for ids.
    options: Arc<Options>,
    status: Status,
    /// Bytes of rows that are not stored yet, of all shards.
    unsent: Arc<watch::Sender<usize>>,
    stop: watch::Receiver<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_bytes_max: 4 << 20,
            insert_rows_max: 200_000,
            insert_wait: Duration::from_millis(20),
            unsent_bytes_max: 512 << 20,
            snapshot_records: 1_000_000,
            snapshot_bytes: 4 << 30,
            snapshot_every: Duration::from_secs(600),
            ids_bytes_max: 2 << 30,
            ids_folder: None,
            fold: fold::Options::default(),
        }
    }
}

impl Driver {
    /// Starts a task for each of `shards`, and one that inserts. Every shard loads its newest good snapshot and goes on
    /// from there. Must be called inside a tokio runtime, after [`open`].
    pub fn start(
        log: Arc<dyn Log>,
        snapshots: Arc<dyn Snapshots>,
        charges: Arc<dyn Charges>,
        shards: impl IntoIterator<Item = Shard>,
        options: Options,
    ) -> Self {
        let shards: Vec<Shard> = shards.into_iter().collect();
        let status = Status {
            shards: Arc::new(Mutex::new(shards.iter().map(|shard| ShardStatus::new(*shard)).collect())),
            tenants: Arc::default(),
            changed: Arc::new(watch::Sender::new(0)),
        };
        let (stop, stopped) = watch::channel(false);
        let ids_bytes_max = options.ids_bytes_max / shards.len().max(1);
        let options = Arc::new(Options { ids_bytes_max, ..options });
        let unsent = Arc::new(watch::Sender::new(0));
        let shared = Shared { log, snapshots, charges, options, status: status.clone(), unsent, stop: stopped };
        let (outputs, queue) = mpsc::unbounded_channel();
        let mut stored = Vec::new();
        let mut tasks = Vec::new();
        for (index, shard) in shards.into_iter().enumerate() {
            let (confirm, progress) = watch::channel(writer::Progress::default());
            stored.push((shard, confirm));
            let task = shard::Task::new(shared.clone(), index, shard, outputs.clone(), progress);
            tasks.push(tokio::spawn(task.run()));
        }
        tasks.push(tokio::spawn(writer::Task::new(shared, queue, stored).run()));
        Self { status, stop, tasks }
    }

    /// Shows how the shards are, as long as anyone holds it.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Stops reading, finishes the insert that is under way, writes a snapshot of every shard, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the rater failed; it starts again from its snapshot");
            }
        }
    }
}

// === impl Status ===

impl Status {
    /// How every shard is now, in the order in which they were given.
    pub fn shards(&self) -> Vec<ShardStatus> {
        self.shards.lock().map(|shards| shards.clone()).unwrap_or_default()
    }

    /// What became of each tenant's events, of those that were folded for the first time since the driver began.
    pub fn tenants(&self) -> BTreeMap<TenantId, Tally> {
        self.tenants.lock().map(|tenants| tenants.clone()).unwrap_or_default()
    }

    /// Waits until all shards are as wanted.
    pub async fn until(&self, wanted: impl Fn(&[ShardStatus]) -> bool) {
        let mut changed = self.changed.subscribe();
        while !wanted(&self.shards()) {
            // The sender lives as long as `self`.
            let _ = changed.changed().await;
        }
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut ShardStatus)) {
        if let Ok(mut shards) = self.shards.lock()
            && let Some(status) = shards.get_mut(index)
        {
            change(status);
        }
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }
}

impl ShardStatus {
    fn new(shard: Shard) -> Self {
        Self {
            shard,
            next: Offset(0),
            stored: Offset(0),
            end: Offset(0),
            log_time: Instant::MIN,
            counters: Counters::default(),
            ids: 0,
            ids_bytes: 0,
            ids_disk_bytes: 0,
            unsent_bytes: 0,
            snapshot: None,
            close_due: false,
            halted: None,
        }
    }

    /// Records that are not folded yet.
    pub fn lag(&self) -> u64 {
        self.end.0.saturating_sub(self.next.0)
    }
}

// === impl Shared ===

impl Shared {
    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// The room for a shard's ids.
    fn room(&self, shard: Shard) -> Room {
        let Options { ids_bytes_max, ids_folder, .. } = &*self.options;
        let file = ids_folder.as_ref().map(|folder| folder.join(format!("shard-{shard}")));
        Room { bytes_max: *ids_bytes_max, file }
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
            let control =
                storage::record::Control::Open { shard, shards: log.shards(), key: key.to_hex(), version: None };
            log.append(shard, vec![storage::record::encode_control(&control)]).await?;
        }
    }
    Ok(())
}
