//! Opening a log: its first records, and whether it is the one that the books belong to.

use super::{Error, Options};
use crate::ledger::{Draft, Ledger, LogIdentity};
use pricing::time::Instant;
use std::time::Duration;
use storage::log::{self, Log};
use storage::record::{self, Control, Record};
use storage::shard::{Offset, Shard};

/// How long to wait before a refused append is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Checks that log and books belong together and gives a new log its first records.
pub(super) async fn open(ledger: &Ledger, log: &dyn Log, options: &Options) -> Result<(), Error> {
    let identity = identity(ledger, log, options.log_key).await?;
    if identity.shards != log.shards() {
        return Err(Error::Shards { found: log.shards().get(), expected: identity.shards.get() });
    }
    let deadline = tokio::time::Instant::now() + options.patience;
    for shard in log.shards().all() {
        loop {
            match open_shard(log, shard, &identity).await {
                Ok(()) => break,
                Err(Error::Log(log::Error::Unavailable { .. } | log::Error::Unknown { .. }))
                    if tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// What the books say of their log; new books take this one, unless it tells of others.
async fn identity(ledger: &Ledger, log: &dyn Log, key: [u8; 16]) -> Result<LogIdentity, Error> {
    if let Some(identity) = ledger.get::<LogIdentity>(None, LogIdentity::ID).await? {
        return Ok(identity.value);
    }
    let mut identity = LogIdentity { shards: log.shards(), key: hexadecimal(key) };
    // A log that was begun already keeps its key: an earlier start may have come that far and not to the books.
    if let Some(Control::Open { shards, key, .. }) = first(log, Shard(0)).await? {
        identity = LogIdentity { shards, key };
    }
    // A shard's second record is a Tick or an announcement, and both stand in the books before.
    for shard in log.shards().all() {
        if log.bounds(shard).await?.end > Offset(1) {
            return Err(Error::BooksLost { shard });
        }
    }
    let mut draft = Draft::new("publisher", "open", Instant::default());
    draft.put(None, LogIdentity::ID, None, &identity)?;
    ledger.commit(draft).await?;
    Ok(identity)
}

async fn open_shard(log: &dyn Log, shard: Shard, identity: &LogIdentity) -> Result<(), Error> {
    let expected = Control::Open { shard, shards: identity.shards, key: identity.key.clone() };
    if log.bounds(shard).await?.end == Offset(0) {
        log.append(shard, vec![record::encode_control(&expected)]).await?;
        return Ok(());
    }
    match first(log, shard).await? {
        Some(found) if found != expected => Err(Error::OtherLog { shard }),
        _ => Ok(()),
    }
}

/// The first control record of a shard; none where it is gone or damaged, which the rater sees to.
async fn first(log: &dyn Log, shard: Shard) -> Result<Option<Control>, Error> {
    let bounds = log.bounds(shard).await?;
    if bounds.start > Offset(0) || bounds.end == Offset(0) {
        return Ok(None);
    }
    let entries = match log.read(shard, Offset(0), 1).await {
        Ok(entries) => entries,
        Err(log::Error::Damaged { .. } | log::Error::OutOfRange { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(entries.first().and_then(|entry| match record::decode(&entry.record) {
        Ok(Record::Control(control)) => Some(*control),
        _ => None,
    }))
}

fn hexadecimal(key: [u8; 16]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
