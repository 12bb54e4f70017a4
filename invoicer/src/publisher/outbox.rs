//! Records on their way into the log.

use super::{Announcement, RETRY_FIRST, RETRY_LAST, Target};
use crate::ledger::Outbox;
use bytes::Bytes;
use storage::log::{self, Log};
use storage::record::{self, Control};
use storage::shard::{Shard, ShardCount};

/// Entries read from the outbox at once.
pub(super) const ENTRIES_MAX: usize = 64;
/// Records of one entry: large enough that an apply for many customers is few documents, small enough to stay well below
/// what one append may carry.
const RECORDS_MAX: usize = 200;

/// An entry's id, in the order of sequence.
pub(super) fn id(sequence: u64) -> String {
    format!("{sequence:020}")
}

/// The sequence of an entry's id.
pub(super) fn sequence(id: &str) -> u64 {
    id.parse().unwrap_or(0)
}

/// Groups records by where they go. Records for all shards come first, since those of single shards build on them: a
/// customer's subscription names a plan version of the catalog.
pub(super) fn entries(records: &[Announcement], shards: ShardCount) -> Vec<Outbox> {
    let of = |target: Target| records.iter().filter(move |one| one.shards == target).map(|one| one.record.clone());
    let targets = std::iter::once(Target::All).chain(shards.all().map(Target::One));
    let mut entries = Vec::new();
    for target in targets {
        let records: Vec<Control> = of(target).collect();
        entries.extend(records.chunks(RECORDS_MAX).map(|records| Outbox { shards: target, records: records.to_vec() }));
    }
    entries
}

/// Appends an entry's records, trying again until they are durable.
pub(super) async fn append(log: &dyn Log, entry: &Outbox) {
    let encoded: Vec<Bytes> = entry.records.iter().map(record::encode_control).collect();
    match entry.shards {
        Target::One(shard) => until_durable(log, shard, &encoded).await,
        Target::All => {
            for shard in log.shards().all() {
                until_durable(log, shard, &encoded).await;
            }
        }
    }
}

/// Appends one record to every shard, trying again until all are durable.
pub(super) async fn append_to_all(log: &dyn Log, control: &Control) {
    let encoded = [record::encode_control(control)];
    for shard in log.shards().all() {
        until_durable(log, shard, &encoded).await;
    }
}

/// Appends records to a shard, trying again until they are durable. A repeated append is harmless.
pub(super) async fn until_durable(log: &dyn Log, shard: Shard, records: &[Bytes]) {
    let mut wait = RETRY_FIRST;
    loop {
        let error = match log.append(shard, records.to_vec()).await {
            Ok(_) => return,
            Err(error @ log::Error::Unknown { .. }) => error,
            Err(error) => {
                tracing::warn!(%shard, %error, "a control record waits for the log");
                error
            }
        };
        tracing::debug!(%shard, %error, "appending again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_LAST);
    }
}
