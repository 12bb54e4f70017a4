//! How far the store is: a pass judges what is due by the log time that the store has reached on the customer's shard. So
//! nothing is issued while charges that count are still on their way, however long the rater was away.

use super::{Account, Closer, Error, State};
use pricing::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use storage::charges;
use storage::shard::{Shard, ShardCount};

/// Log time as the store has it, by shard.
pub(super) struct Reached {
    shards: ShardCount,
    times: BTreeMap<Shard, Instant>,
}

// === impl Closer ===

impl Closer {
    /// Asks how far the store is on every shard where something may be due, and reads all manifests up to there.
    pub(super) async fn reached(&self, state: &mut State) -> Result<Reached, Error> {
        let log_time = self.publisher.log_time();
        let mut reached = Reached { shards: self.publisher.shards(), times: BTreeMap::new() };
        loop {
            // After the boundaries: all that they stand for is seen.
            let is_new = self.read_manifests(state).await?;
            let missing = reached.missing(state, log_time);
            if missing.is_empty() && !is_new {
                reached.times.retain(|shard, time| *time > Instant::MIN && !state.unread.contains(shard));
                return Ok(reached);
            }
            for shard in missing {
                let boundary = match self.charges.boundary(shard).await {
                    Err(error @ charges::Error::Damaged { .. }) => {
                        state.leave_out(shard, &error);
                        None
                    }
                    told => told?,
                };
                let time = boundary.map_or(Instant::MIN, |boundary| boundary.log_time);
                reached.times.insert(shard, time.min(log_time));
            }
        }
    }
}

// === impl Reached ===

impl Reached {
    /// The shard that a customer's events are in.
    pub(super) fn shard(&self, (tenant, customer): &Account) -> Shard {
        self.shards.of(tenant, customer.as_str().as_bytes())
    }

    /// Whether the store says how far it is for a customer: not where nothing is stored yet, or what is there is damaged.
    pub(super) fn tells_of(&self, account: &Account) -> bool {
        self.times.contains_key(&self.shard(account))
    }

    /// Log time as the store has it for a customer.
    pub(super) fn of(&self, account: &Account) -> Instant {
        self.of_shard(self.shard(account))
    }

    /// Log time as the store has it on a shard; before all time where it does not say.
    pub(super) fn of_shard(&self, shard: Shard) -> Instant {
        self.times.get(&shard).copied().unwrap_or(Instant::MIN)
    }

    /// The shards that have something to look at and were not asked yet.
    fn missing(&self, state: &State, log_time: Instant) -> BTreeSet<Shard> {
        let due = state.agenda.iter().filter(|(_, agenda)| agenda.first().is_some_and(|(due, _)| *due <= log_time));
        let due = due.map(|(shard, _)| *shard);
        let shards: BTreeSet<Shard> = state.dirty.iter().map(|account| self.shard(account)).chain(due).collect();
        shards.into_iter().filter(|shard| !self.times.contains_key(shard)).collect()
    }
}
