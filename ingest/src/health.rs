//! Whether the log takes appends, judged by what the last ones came to: nothing is written only to find out.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::log::Error;
use storage::shard::Shard;
use tokio::time::Instant;

/// The shards whose last append failed.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failing: Mutex<BTreeMap<Shard, Failing>>,
}

#[derive(Debug)]
struct Failing {
    at: Instant,
    reason: String,
}

/// For so long after a failed append the log counts as one that takes none. Then senders may try again: the next append
/// decides.
const REST: Duration = Duration::from_secs(5);

// === impl Health ===

impl Health {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Shard, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An append came to an end.
    pub(crate) fn note(&self, shard: Shard, failure: Option<&Error>) {
        let mut failing = self.lock();
        match failure {
            None => drop(failing.remove(&shard)),
            Some(error) => drop(failing.insert(shard, Failing { at: Instant::now(), reason: error.to_string() })),
        }
    }

    /// Whether appends are worth trying now; otherwise why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.lock().iter().find(|(_, failing)| failing.at.elapsed() < REST) {
            None => Ok(()),
            Some((shard, failing)) => Err(format!("shard {shard} of the log takes no records: {}", failing.reason)),
        }
    }
}
