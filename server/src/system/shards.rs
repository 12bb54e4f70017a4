//! How the rater's shards are, as the invoicer asks for it.

use rater::driver::{ShardStatus, Status};
use storage::shard::Shard;

/// The rater's status behind the invoicer's trait.
pub(super) struct Shards(Status);

impl Shards {
    pub(super) fn new(status: Status) -> Self {
        Self(status)
    }

    fn of(&self, shard: Shard) -> Option<ShardStatus> {
        self.0.shards().into_iter().find(|status| status.shard == shard)
    }
}

impl invoicer::advance::Shards for Shards {
    fn halted(&self, shard: Shard) -> Option<String> {
        self.of(shard)?.halted
    }

    fn is_close_due(&self, shard: Shard) -> bool {
        self.of(shard).is_some_and(|status| status.close_due)
    }
}
