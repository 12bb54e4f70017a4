//! Whether the log takes appends, judged by what the last ones came to: nothing is written only to find out.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::log::Error;
use storage::shard::Shard;
use tokio::time::Instant;

/// What the last appends came to.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The shards whose last append failed.
    failing: BTreeMap<Shard, Failing>,
    /// When any shard took records.
    took: Option<Instant>,
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
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An append came to an end.
    pub(crate) fn note(&self, shard: Shard, failure: Option<&Error>) {
        let mut state = self.lock();
        match failure {
            None => {
                state.failing.remove(&shard);
                state.took = Some(Instant::now());
            }
            Some(error) => {
                state.failing.insert(shard, Failing { at: Instant::now(), reason: error.to_string() });
            }
        }
    }

    /// Whether appends are worth trying now; otherwise why not. One shard that takes records is enough: senders to the
    /// others are told with their answers, and would find no better process.
    pub(crate) fn check(&self) -> Result<(), String> {
        let state = self.lock();
        if state.took.is_some_and(|took| took.elapsed() < REST) {
            return Ok(());
        }
        match state.failing.iter().find(|(_, failing)| failing.at.elapsed() < REST) {
            None => Ok(()),
            Some((shard, failing)) => Err(format!("shard {shard} of the log takes no records: {}", failing.reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shard_that_fails_alone_sends_nobody_away() {
        let health = Health::default();
        let error = Error::Unavailable { reason: "no leader".to_owned() };
        health.note(Shard(0), Some(&error));
        assert!(health.check().unwrap_err().contains("shard 0"));
        health.note(Shard(1), None);
        assert_eq!(health.check(), Ok(()));
        tokio::time::advance(REST).await;
        health.note(Shard(0), Some(&error));
        assert!(health.check().is_err(), "nothing was taken of late");
        tokio::time::advance(REST).await;
        assert_eq!(health.check(), Ok(()), "it is time to try again");
    }
}
