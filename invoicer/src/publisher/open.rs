//! Opening a log: its first records, whether it is the one that the books belong to, and which records may be written.

use super::{Announcement, Error, Options, Publisher};
use crate::ledger::{Clock, Draft, Ledger, LogIdentity};
use pricing::time::Instant;
use std::time::Duration;
use storage::log::{self, Log};
use storage::record::{self, Control, Record, VERSION_OLDEST};
use storage::shard::{Offset, Shard};

/// How long to wait before a refused append is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Checks that log and books belong together and gives a new log its first records.
pub(super) async fn open(ledger: &Ledger, log: &dyn Log, options: &Options) -> Result<(), Error> {
    let identity = identity(ledger, log, options).await?;
    if identity.shards != log.shards() {
        return Err(Error::Shards { found: log.shards().get(), expected: identity.shards.get() });
    }
    let (allowed, newest) = (identity.record_version, record::version_newest());
    if allowed > newest {
        return Err(Error::RecordVersion { needed: allowed, newest });
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
    if options.rates_all && allowed < newest {
        allow_records(ledger, log, newest).await?;
    }
    Ok(())
}

/// Up to which version records may be written; none in books that no log was begun with.
///
/// # Errors
/// Those of the books.
pub async fn record_version(ledger: &Ledger) -> Result<Option<u8>, Error> {
    Ok(ledger.get::<LogIdentity>(None, LogIdentity::ID).await?.map(|found| found.value.record_version))
}

/// Allows records up to `version`: its `Barrier` goes into every shard, so that a rater that does not know it halts there
/// and says so; only when all of them are durable, the books tell the writers. Asking again is harmless.
///
/// # Errors
/// See [`Error`]; [`Error::RecordVersion`] where this build does not know it.
pub async fn allow_records(ledger: &Ledger, log: &dyn Log, version: u8) -> Result<(), Error> {
    let newest = record::version_newest();
    if version > newest {
        return Err(Error::RecordVersion { needed: version, newest });
    }
    let found = ledger.get::<LogIdentity>(None, LogIdentity::ID).await?.ok_or(Error::NotBegun)?;
    if found.value.record_version >= version {
        return Ok(());
    }
    let barrier = record::encode_control(&Control::Barrier { version });
    for shard in log.shards().all() {
        open_shard(log, shard, &found.value).await?;
        log.append(shard, vec![barrier.clone()]).await?;
    }
    let clock = ledger.get::<Clock>(None, Clock::ID).await?;
    let log_time = clock.map_or_else(Instant::default, |clock| clock.value.log_time);
    let mut draft = Draft::new("migrate", "allow records", log_time);
    let identity = LogIdentity { record_version: version, ..found.value };
    draft.put(None, LogIdentity::ID, Some(found.revision), &identity)?;
    Ok(ledger.commit(draft).await?)
}

/// What the books say of their log; new books take this one, unless it tells of others.
async fn identity(ledger: &Ledger, log: &dyn Log, options: &Options) -> Result<LogIdentity, Error> {
    if let Some(identity) = ledger.get::<LogIdentity>(None, LogIdentity::ID).await? {
        return Ok(identity.value);
    }
    let record_version = record::version_newest();
    let mut identity = LogIdentity { shards: log.shards(), key: hexadecimal(options.log_key), record_version };
    // A log that was begun already keeps its key: an earlier start may have come that far and not to the books.
    if let Some(Control::Open { shards, key, version, .. }) = first(log, Shard(0)).await? {
        identity = LogIdentity { shards, key, record_version: version.unwrap_or(VERSION_OLDEST) };
    }
    // A shard's second record is a Tick or an announcement, and both stand in the books before.
    for shard in log.shards().all() {
        if log.bounds(shard).await?.end > Offset(1) {
            return Err(Error::BooksLost { shard });
        }
    }
    let begun = options.test_clock.unwrap_or_else(|| (options.wall)());
    let mut draft = Draft::new("publisher", "open", begun);
    draft.put(None, LogIdentity::ID, None, &identity)?;
    ledger.commit(draft).await?;
    Ok(identity)
}

async fn open_shard(log: &dyn Log, shard: Shard, identity: &LogIdentity) -> Result<(), Error> {
    let LogIdentity { shards, key, record_version } = identity;
    if log.bounds(shard).await?.end == Offset(0) {
        let version = Some(*record_version).filter(|version| *version > VERSION_OLDEST);
        let open = Control::Open { shard, shards: *shards, key: key.clone(), version };
        log.append(shard, vec![record::encode_control(&open)]).await?;
        return Ok(());
    }
    match first(log, shard).await? {
        Some(Control::Open { shard: of, shards: count, key: known, .. })
            if (of, count, &known) == (shard, *shards, key) =>
        {
            Ok(())
        }
        None => Ok(()),
        Some(_) => Err(Error::OtherLog { shard }),
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

// === impl Publisher ===

impl Publisher {
    /// Up to which version records may be written now: what this build knows, and every rater does.
    pub(crate) async fn record_version(&self) -> Result<u8, Error> {
        let allowed = record_version(&self.ledger).await?.unwrap_or(VERSION_OLDEST);
        Ok(allowed.min(record::version_newest()))
    }

    /// Refuses records of a version that is not allowed yet.
    pub(super) async fn check_versions(&self, records: &[Announcement]) -> Result<(), Error> {
        let needed = records.iter().map(|one| one.record.version()).max().unwrap_or(VERSION_OLDEST);
        if needed == VERSION_OLDEST {
            return Ok(());
        }
        match self.record_version().await? {
            allowed if needed > allowed => Err(Error::NotAllowed { needed, allowed }),
            _ => Ok(()),
        }
    }
}
