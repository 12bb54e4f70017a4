//! How the rater's shards are, as the invoicer asks for it.

use rater::driver::Status;
use storage::shard::Shard;

/// A rater in this process.
pub(super) struct Here(Status);

/// Raters in other processes: what is known of them stands in the charges store.
pub(super) struct Elsewhere;

impl Here {
    pub(super) fn new(status: Status) -> Self {
        Self(status)
    }
}

impl invoicer::advance::Shards for Here {
    fn halted(&self, shard: Shard) -> Option<String> {
        self.0.shards().into_iter().find(|status| status.shard == shard)?.halted
    }
}

impl invoicer::advance::Shards for Elsewhere {
    fn halted(&self, _: Shard) -> Option<String> {
        None
    }
}
