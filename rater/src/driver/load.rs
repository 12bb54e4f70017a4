//! Where a shard begins: at its newest good snapshot that fits log and store, or at the log's beginning.

use super::Shared;
use super::skips::Skips;
use super::wait::{Backoff, Failure, wait};
use crate::fold::{self, Fold, RestoreError};
use crate::ids::{self, Key};
use bytes::Bytes;
use std::ops::Range;
use storage::charges::{self, Boundary};
use storage::log;
use storage::record::{Control, Record};
use storage::shard::{Offset, Shard};
use storage::snapshots;

/// Where a shard begins.
pub(super) struct Loaded {
    pub(super) fold: Box<Fold>,
    /// The newest good snapshot.
    pub(super) snapshot: Option<Offset>,
    /// The first record that the store has not confirmed.
    pub(super) stored: Offset,
    pub(super) skips: Skips,
}

/// Why a snapshot is not read.
enum Unread {
    /// Its store does not answer now.
    Passing(String),
    /// It is damaged, or another's.
    Damaged(String),
}

/// Finds a beginning. What does not answer is asked again for as long as it takes: only damage makes an older snapshot, or
/// none, the one to begin with.
pub(super) async fn load(shared: &mut Shared, shard: Shard) -> Result<Loaded, Failure> {
    let mut backoff = Backoff::new();
    loop {
        match try_load(shared, shard).await? {
            Ok(loaded) => return Ok(loaded),
            Err(reason) if backoff.is_fresh() => {
                tracing::warn!(%shard, reason, "a snapshot cannot be read; trying again");
            }
            Err(_) => {}
        }
        wait(shared, &mut backoff).await?;
    }
}

/// Tries once; says what did not answer. What is there is listed anew each time: another rater of the shard may have gone
/// on, and removed what it no longer keeps.
async fn try_load(shared: &mut Shared, shard: Shard) -> Result<Result<Loaded, String>, Failure> {
    let boundary = boundary(shared, shard).await?;
    let stored = boundary.map_or(Offset(0), |boundary| boundary.next);
    let places = good(shared, shard).await?;
    // Last of all: another rater of the shard may be ahead, and its snapshot may stand at the very end.
    let bounds = bounds(shared, shard).await?;
    check_end(shard, ("charges hold", stored), bounds.end)?;
    if let Some(newest) = places.iter().max() {
        check_end(shard, ("snapshots hold", *newest), bounds.end)?;
    }
    let mut reasons = Vec::new();
    for place in places {
        if place > stored {
            reasons.push(format!("the snapshot at {place} is ahead of the charges store, which holds {stored}"));
            continue;
        }
        match restore(shared, shard, place).await {
            Ok(fold) => return begin(shared, fold, Some(place), boundary, &bounds).await.map(Ok),
            Err(Unread::Passing(reason)) => return Ok(Err(reason)),
            Err(Unread::Damaged(reason)) => {
                tracing::error!(%shard, %place, reason, "a snapshot cannot be used; an older one is tried");
                reasons.push(reason);
            }
        }
    }
    if bounds.start == Offset(0) {
        let mut fold = Fold::new(shard, shared.log.shards(), shared.options.fold);
        fold.set_room(shared.room(shard));
        return begin(shared, fold, None, boundary, &bounds).await.map(Ok);
    }
    Err(Failure::Halted(format!(
        "the log begins at {} and no snapshot can be used: bring back one from the backup [{}]",
        bounds.start,
        reasons.join("; ")
    )))
}

/// Begins with a state that log and store fit.
async fn begin(
    shared: &mut Shared,
    fold: Fold,
    snapshot: Option<Offset>,
    boundary: Option<Boundary>,
    bounds: &Range<Offset>,
) -> Result<Loaded, Failure> {
    check(shared, &fold, bounds).await?;
    check_store(shared, &fold, boundary, bounds).await?;
    let mut skips = Skips::new(fold.next());
    skips.look(shared, fold.shard(), bounds.end).await?;
    let stored = boundary.map_or(Offset(0), |boundary| boundary.next);
    Ok(Loaded { fold: Box::new(fold), snapshot, stored, skips })
}

/// Refuses a log that ends before what was made of it: its next records would get the offsets of others, whose rows the
/// store has already, and would be billed to nobody.
fn check_end(shard: Shard, (what, place): (&str, Offset), end: Offset) -> Result<(), Failure> {
    if place <= end {
        return Ok(());
    }
    Err(Failure::Halted(format!(
        "the {what} shard {shard} up to {place}, but the log ends at {end}: records were lost, or the log came back from an \
         older copy; bring back the log that goes to {place} at least, or charges and snapshots from before {end}"
    )))
}

async fn restore(shared: &Shared, shard: Shard, place: Offset) -> Result<Fold, Unread> {
    let chunks = shared.snapshots.read(shard, place).await.map_err(RestoreError::from)?;
    let fold = Fold::restore(chunks, shared.options.fold, shared.room(shard))?;
    let found = (fold.shard(), fold.shards(), fold.next());
    let wanted = (shard, shared.log.shards(), place);
    if found == wanted {
        return Ok(fold);
    }
    let ((shard, shards, next), (_, wanted, _)) = (found, wanted);
    let (shards, wanted) = (shards.get(), wanted.get());
    Err(Unread::Damaged(format!("it holds shard {shard} of {shards} at {next}, the log has {wanted} shards")))
}

impl From<RestoreError> for Unread {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Snapshots(error @ snapshots::Error::Unavailable { .. }) => Self::Passing(error.to_string()),
            RestoreError::Ids(error @ ids::Error::Disk(_)) => Self::Passing(error.to_string()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// Refuses a log that is not the one that the snapshot was made from.
async fn check(shared: &mut Shared, fold: &Fold, bounds: &Range<Offset>) -> Result<(), Failure> {
    let (shard, next) = (fold.shard(), fold.next());
    if next < bounds.start {
        return Err(Failure::Halted(format!("the log begins at {}, after the snapshot at {next}", bounds.start)));
    }
    let Some(before) = next.0.checked_sub(1).map(Offset).filter(|_| fold.at_record() != 0) else { return Ok(()) };
    let record = record(shared, shard, before, bounds).await?;
    if record.is_none_or(|record| Fold::record_hash(&record) == fold.at_record()) {
        return Ok(());
    }
    Err(Failure::Halted(format!(
        "the log's record at {before} is not the one that the snapshot at {next} follows: it is another log"
    )))
}

/// Refuses a log that the charges were not made from: one from an older copy that went on past them, or another one.
async fn check_store(
    shared: &mut Shared,
    fold: &Fold,
    boundary: Option<Boundary>,
    bounds: &Range<Offset>,
) -> Result<(), Failure> {
    let shard = fold.shard();
    let opened = record(shared, shard, Offset(0), bounds).await?.and_then(|record| opened_with(&record));
    if opened.zip(fold.key()).is_some_and(|(log, own)| log != own) {
        return Err(Failure::Halted(format!(
            "the log of shard {shard} was begun with another key than the one that its snapshot was made from: bring back \
             those that belong together"
        )));
    }
    let Some(boundary) = boundary.filter(|boundary| boundary.record != 0) else { return Ok(()) };
    let Some(before) = boundary.next.0.checked_sub(1).map(Offset) else { return Ok(()) };
    let Some(record) = record(shared, shard, before, bounds).await? else { return Ok(()) };
    let found = fold::stamp(opened.or(fold.key()), Fold::record_hash(&record));
    if found == 0 || found == boundary.record {
        return Ok(());
    }
    Err(Failure::Halted(format!(
        "the log's record at {before} is not the one that the charges of shard {shard} end with: the log came back from an \
         older copy and went on, or it is another one; bring back the log that the charges were made from, or charges and \
         snapshots from before the two part"
    )))
}

/// The key of an `Open` record.
fn opened_with(record: &[u8]) -> Option<Key> {
    match storage::record::decode(record) {
        Ok(Record::Control(control)) => match *control {
            Control::Open { key, .. } => Key::parse(&key),
            _ => None,
        },
        _ => None,
    }
}

/// One record of the log; none where it is gone or damaged: what was made of it was made when it was whole.
async fn record(
    shared: &mut Shared,
    shard: Shard,
    offset: Offset,
    bounds: &Range<Offset>,
) -> Result<Option<Bytes>, Failure> {
    if !bounds.contains(&offset) {
        return Ok(None);
    }
    let mut backoff = Backoff::new();
    loop {
        match shared.log.read(shard, offset, 1).await {
            Ok(entries) => {
                return Ok(entries.into_iter().next().filter(|entry| entry.offset == offset).map(|entry| entry.record));
            }
            Err(log::Error::Damaged { .. } | log::Error::OutOfRange { .. }) => return Ok(None),
            Err(error) if backoff.is_fresh() => tracing::warn!(%shard, %error, "the log cannot be read; trying again"),
            Err(_) => {}
        }
        wait(shared, &mut backoff).await?;
    }
}

async fn bounds(shared: &mut Shared, shard: Shard) -> Result<Range<Offset>, Failure> {
    let mut backoff = Backoff::new();
    loop {
        match shared.log.bounds(shard).await {
            Ok(bounds) => return Ok(bounds),
            Err(error @ log::Error::Damaged { .. }) => return Err(Failure::Halted(error.to_string())),
            Err(error) if backoff.is_fresh() => tracing::warn!(%shard, %error, "the log cannot be read; trying again"),
            Err(_) => {}
        }
        wait(shared, &mut backoff).await?;
    }
}

async fn boundary(shared: &mut Shared, shard: Shard) -> Result<Option<Boundary>, Failure> {
    let mut backoff = Backoff::new();
    loop {
        match shared.charges.boundary(shard).await {
            Ok(boundary) => return Ok(boundary),
            Err(error @ charges::Error::Damaged { .. }) => return Err(Failure::Halted(error.to_string())),
            Err(error) if backoff.is_fresh() => {
                tracing::warn!(%shard, %error, "the charges store does not answer; trying again");
            }
            Err(_) => {}
        }
        wait(shared, &mut backoff).await?;
    }
}

async fn good(shared: &mut Shared, shard: Shard) -> Result<Vec<Offset>, Failure> {
    let mut backoff = Backoff::new();
    loop {
        match shared.snapshots.good(shard).await {
            Ok(places) => return Ok(places),
            Err(error) if backoff.is_fresh() => {
                tracing::warn!(%shard, %error, "snapshots cannot be listed; trying again");
            }
            Err(_) => {}
        }
        wait(shared, &mut backoff).await?;
    }
}
