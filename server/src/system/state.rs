//! What a process is doing, as health checks and metrics ask for it.

use super::leader::Way;
use crate::config::{Config, Stage};
use crate::local::wall;
use ingest::Ingest;
use invoicer::Invoicer;
use pricing::time::Span;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use storage::log::Log;
use storage::shard::{Offset, Shard};

/// Shared by everything that answers for the process.
pub(super) struct State {
    pub(super) stage: Stage,
    /// How the rater's shards are, where it runs here.
    pub(super) rater: Option<rater::driver::Status>,
    /// Set once it takes events.
    pub(super) ingest: OnceLock<Ingest>,
    /// Set once this process holds the lease.
    pub(super) invoicer: OnceLock<Invoicer>,
    /// What is served, set once all of it is there.
    pub(super) services: OnceLock<axum::Router>,
    awaited: Mutex<&'static str>,
    /// The way to the process that leads, as long as this one stands by.
    way: Mutex<Option<Way>>,
    stopping: AtomicBool,
    ends: Mutex<Ends>,
    /// The newest good snapshot of each shard, and when it was first seen.
    snapshots: Mutex<BTreeMap<Shard, (Option<Offset>, tokio::time::Instant)>>,
}

/// Where the log ends, as last seen, and when that was.
#[derive(Clone, Debug, Default)]
struct Ends {
    shards: BTreeMap<Shard, Offset>,
    seen: Option<tokio::time::Instant>,
}

/// How often it is looked where the log ends.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// What was seen longer ago is not known.
const SEEN_MAX: Duration = Duration::from_secs(30);
/// A Tick comes every second.
const TICK_MAX: Span = Span::from_seconds(30);

// === impl State ===

impl State {
    pub(super) fn new(config: &Config, rater: Option<rater::driver::Status>) -> Self {
        Self {
            stage: config.stage,
            rater,
            ingest: OnceLock::new(),
            invoicer: OnceLock::new(),
            services: OnceLock::new(),
            awaited: Mutex::new("starting"),
            way: Mutex::default(),
            stopping: AtomicBool::new(false),
            ends: Mutex::default(),
            snapshots: Mutex::default(),
        }
    }

    /// Says what the start waits for.
    pub(super) fn awaits(&self, what: &'static str) {
        tracing::info!("{what}");
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// What the start waits for.
    pub(super) fn awaited(&self) -> &'static str {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to the process that leads, where this one stands by and knows it.
    pub(super) fn way(&self) -> Option<Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes another way, or none.
    pub(super) fn set_way(&self, way: Option<Way>) {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
    }

    /// From now on it is not ready.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Looks where the log ends, for the shards that are rated here.
    pub(super) async fn look(&self, log: &dyn Log) {
        let Some(rater) = &self.rater else { return };
        let mut shards = BTreeMap::new();
        for shard in rater.shards() {
            self.look_at_snapshot(&shard);
            match log.bounds(shard.shard).await {
                Ok(bounds) => drop(shards.insert(shard.shard, bounds.end)),
                // It halts, which shows elsewhere.
                Err(storage::log::Error::Damaged { .. }) => {}
                Err(error) => {
                    tracing::debug!(shard = %shard.shard, %error, "the end of the log is not known");
                    return;
                }
            }
        }
        let seen = Some(tokio::time::Instant::now());
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = Ends { shards, seen };
    }

    fn look_at_snapshot(&self, shard: &rater::driver::ShardStatus) {
        let now = tokio::time::Instant::now();
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = snapshots.entry(shard.shard).or_insert((shard.snapshot, now));
        if seen.0 != shard.snapshot {
            *seen = (shard.snapshot, now);
        }
    }

    /// How long ago a shard's newest good snapshot, or this process where there is none, was new.
    pub(super) fn snapshot_age(&self, shard: Shard) -> Duration {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        snapshots.get(&shard).map(|(_, seen)| seen.elapsed()).unwrap_or_default()
    }

    /// Where the log ends, as last seen; a shard that was never seen is left out.
    pub(super) fn ends(&self) -> BTreeMap<Shard, Offset> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).shards.clone()
    }

    /// Whether all that runs here can do its work; the reason where it cannot.
    pub(super) fn ready(&self) -> Result<(), String> {
        // A shard that halted stops no other, no sender, and not the roll-out of what mends it: metrics and `status` show it.
        match self.stage {
            Stage::Ingest => self.ingest(),
            Stage::Rater => self.started().and_then(|()| self.lag()),
            Stage::Invoicer => self.invoicer(),
            Stage::All => self.ingest().and_then(|()| self.lag()).and_then(|()| self.invoicer()),
        }
    }

    /// Whether events can be taken.
    pub(super) fn ingest(&self) -> Result<(), String> {
        self.started()?;
        self.ingest.get().ok_or_else(|| "no ingest runs here".to_owned())?.ready()
    }

    fn lag(&self) -> Result<(), String> {
        let seen = self.ends.lock().unwrap_or_else(PoisonError::into_inner).seen;
        match seen {
            Some(seen) if seen.elapsed() < SEEN_MAX => Ok(()),
            _ => Err("the end of the log is not known: it cannot be read now".to_owned()),
        }
    }

    /// Whether this process leads and log time moves, or it stands by and knows who leads.
    pub(super) fn invoicer(&self) -> Result<(), String> {
        let stands_by = self.services.get().is_none() && self.way().is_some();
        if stands_by && !self.stopping.load(Ordering::Acquire) {
            return Ok(());
        }
        self.started()?;
        let invoicer = self.invoicer.get().ok_or_else(|| "no invoicer runs here".to_owned())?;
        let publisher = invoicer.publisher();
        let behind = wall().since(publisher.log_time());
        if publisher.is_test_clock() || behind < TICK_MAX {
            Ok(())
        } else {
            Err(format!("log time stands {behind} behind the wall clock: no Tick gets through"))
        }
    }

    fn started(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Acquire) {
            return Err("stopping".to_owned());
        }
        if self.services.get().is_some() { Ok(()) } else { Err(self.awaited().to_owned()) }
    }
}
