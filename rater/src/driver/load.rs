//! Where a shard begins: at its newest good snapshot that fits log and store, or at the log's beginning.

use super::{Backoff, Shared};
use crate::fold::Fold;
use storage::charges;
use storage::log;
use storage::shard::{Offset, Shard};

/// Why a shard does not begin.
pub(super) enum Failure {
    /// The driver stops.
    Stopped,
    /// A person is needed.
    Halted(String),
}

/// Where a shard begins.
pub(super) struct Loaded {
    pub(super) fold: Box<Fold>,
    /// The newest good snapshot.
    pub(super) snapshot: Option<Offset>,
    /// The first record that the store has not confirmed.
    pub(super) stored: Offset,
}

pub(super) async fn load(shared: &mut Shared, shard: Shard) -> Result<Loaded, Failure> {
    let stored = stored(shared, shard).await?;
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
            Ok(fold) => {
                check(shared, &fold, &bounds).await?;
                return Ok(Loaded { fold: Box::new(fold), snapshot: Some(place), stored });
            }
            Err(reason) => {
                tracing::error!(%shard, %place, reason, "a snapshot cannot be used; an older one is tried");
                reasons.push(reason);
            }
        }
    }
    if bounds.start == Offset(0) {
        let mut fold = Fold::new(shard, shared.log.shards(), shared.options.fold);
        fold.set_room(shared.room(shard));
        return Ok(Loaded { fold: Box::new(fold), snapshot: None, stored });
    }
    Err(Failure::Halted(format!(
        "the log begins at {} and no snapshot can be used: bring back one from the backup [{}]",
        bounds.start,
        reasons.join("; ")
    )))
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

async fn restore(shared: &Shared, shard: Shard, place: Offset) -> Result<Fold, String> {
    let chunks = shared.snapshots.read(shard, place).await.map_err(|error| error.to_string())?;
    let restored = Fold::restore(chunks, shared.options.fold, shared.room(shard));
    let fold = restored.map_err(|error| error.to_string())?;
    let found = (fold.shard(), fold.shards(), fold.next());
    let wanted = (shard, shared.log.shards(), place);
    if found == wanted {
        return Ok(fold);
    }
    let ((shard, shards, next), (_, wanted, _)) = (found, wanted);
    Err(format!("it holds shard {shard} of {} at {next}, the log has {} shards", shards.get(), wanted.get()))
}

/// Refuses a log that is not the one that the snapshot was made from.
async fn check(shared: &mut Shared, fold: &Fold, bounds: &std::ops::Range<Offset>) -> Result<(), Failure> {
    let (shard, next) = (fold.shard(), fold.next());
    let Some(before) = next.0.checked_sub(1).map(Offset).filter(|before| *before >= bounds.start) else {
        return if next >= bounds.start {
            Ok(())
        } else {
            Err(Failure::Halted(format!("the log begins at {}, after the snapshot at {next}", bounds.start)))
        };
    };
    if fold.at_record() == 0 {
        return Ok(());
    }
    let mut backoff = Backoff::new();
    loop {
        match shared.log.read(shard, before, 1).await {
            Ok(entries) => {
                let found = entries.first().filter(|entry| entry.offset == before);
                if found.is_none_or(|entry| Fold::record_hash(&entry.record) == fold.at_record()) {
                    return Ok(());
                }
                return Err(Failure::Halted(format!(
                    "the log's record at {before} is not the one that the snapshot at {next} follows: it is another log"
                )));
            }
            // What the snapshot holds was folded when it was whole.
            Err(log::Error::Damaged { .. }) => return Ok(()),
            Err(error) if backoff.is_fresh() => tracing::warn!(%shard, %error, "the log cannot be read; trying again"),
            Err(_) => {}
        }
        wait(shared, &mut backoff).await?;
    }
}

async fn bounds(shared: &mut Shared, shard: Shard) -> Result<std::ops::Range<Offset>, Failure> {
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

async fn stored(shared: &mut Shared, shard: Shard) -> Result<Offset, Failure> {
    let mut backoff = Backoff::new();
    loop {
        match shared.charges.boundary(shard).await {
            Ok(boundary) => return Ok(boundary.map_or(Offset(0), |boundary| boundary.next)),
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

async fn wait(shared: &mut Shared, backoff: &mut Backoff) -> Result<(), Failure> {
    if shared.pause(backoff).await { Ok(()) } else { Err(Failure::Stopped) }
}
