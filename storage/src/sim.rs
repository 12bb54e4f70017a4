//! Every trait in memory, for tests and simulation: simple enough to be believed, with faults that come from one seed. The
//! same seed and the same calls give the same behaviour.

// Reading order: what can go wrong, then the backends.
pub mod books;
pub mod charges;
pub mod faults;
pub mod log;
pub mod snapshots;
#[cfg(test)]
mod tests;

use crate::shard::ShardCount;
use faults::{Chances, Faults};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One of each, with the same faults.
#[derive(Clone, Debug)]
pub struct World {
    /// What goes wrong.
    pub faults: Faults,
    /// The log.
    pub log: Arc<log::Log>,
    /// Snapshots.
    pub snapshots: Arc<snapshots::Snapshots>,
    /// Charges.
    pub charges: Arc<charges::Charges>,
    /// Books.
    pub books: Arc<books::Books>,
}

// === impl World ===

impl World {
    /// An empty world in which nothing goes wrong.
    pub fn new(shards: ShardCount) -> Self {
        Self::with_faults(shards, 0, Chances::default())
    }

    /// An empty world in which things go wrong by chance, drawn from `seed`.
    pub fn with_faults(shards: ShardCount, seed: u64, chances: Chances) -> Self {
        let faults = Faults::new(seed, chances);
        Self {
            log: Arc::new(log::Log::new(shards, faults.clone())),
            snapshots: Arc::new(snapshots::Snapshots::new(faults.clone())),
            charges: Arc::new(charges::Charges::new(faults.clone())),
            books: Arc::new(books::Books::new(faults.clone())),
            faults,
        }
    }

    /// The machine goes down and comes up again: what was not durable is lost, wholly or in part. Calls that wait fail.
    pub fn crash(&self) {
        self.log.crash();
        self.snapshots.crash();
    }
}

/// A lock whose holder panicked still holds what it held: tests go on to see it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
