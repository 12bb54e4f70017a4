//! The fold, done anew over the same records, puts out what the store reads back, and its state is what snapshots hold.

use super::{Books, Broken, Checked, Invariant, broken, row, unreadable};
use crate::workload::Workload;
use rater::fold::{Fold, Options};
use std::collections::BTreeMap;
use storage::charges::{Charge, PeriodKey};
use storage::output::{Manifest, Outcome, Output};
use storage::shard::{Position, Shard, ShardCount};
use storage::snapshots::Snapshots as _;

/// A charge and the period that it stands in.
type Row = (PeriodKey, Charge);

/// Folds what the store has confirmed, and compares.
pub(super) async fn anew(world: &storage::sim::World, books: &Books, workload: &Workload) -> Checked {
    let shards = u16::try_from(books.log.len()).ok().and_then(ShardCount::new);
    let shards = shards.ok_or_else(|| broken(Invariant::Snk1, "there are no shards"))?;
    let mut charges: BTreeMap<Position, Row> = BTreeMap::new();
    let mut manifests: BTreeMap<Position, Manifest> = BTreeMap::new();
    let mut outcomes: BTreeMap<Position, Outcome> = BTreeMap::new();
    for (shard, boundary) in &books.boundaries {
        let shard = Shard(*shard);
        let mut fold = Fold::new(shard, shards, workload.limits);
        let snapshots = world.snapshots.good(shard).await.map_err(|error| unreadable(&error))?;
        for record in books.stored(shard.0) {
            let halted = |halt| broken(Invariant::Det1, format!("the fold halts on what it folded before: {halt}"));
            fold.fold(fold.next(), record).map_err(halted)?;
            if snapshots.contains(&fold.next()) {
                same_state(world, &fold, workload.limits).await?;
            }
        }
        if fold.counters() != boundary.counters || fold.log_time() != boundary.log_time {
            let what = format!("shard {shard} at {}: {:?}, stored {boundary:?}", fold.next(), fold.counters());
            return Err(broken(Invariant::Det1, what));
        }
        if let Some(output) = fold.take() {
            charges.extend(charges_of(&output)?);
            manifests.extend(output.manifests.into_iter().map(|manifest| (manifest.position, manifest)));
            outcomes.extend(output.outcomes.into_iter().map(|outcome| (outcome.position, outcome)));
        }
    }
    let stored =
        books.charges.iter().flat_map(|(key, all)| all.iter().map(|one| (one.position, (key.clone(), one.clone()))));
    same("charge", &charges, stored)?;
    same("manifest", &manifests, books.manifests.iter().map(|one| (one.position, one.clone())))?;
    same("outcome", &outcomes, books.outcomes.iter().map(|one| (one.position, one.clone())))
}

/// A snapshot of this place holds this state, unless it is damaged and says so.
async fn same_state(world: &storage::sim::World, fold: &Fold, limits: Options) -> Checked {
    let next = fold.next();
    let chunks = world.snapshots.read(fold.shard(), next).await.map_err(|error| unreadable(&error))?;
    match Fold::restore(chunks, limits, rater::ids::Room::default()) {
        Ok(restored) if restored.state_hash() != fold.state_hash() => {
            let what = format!("shard {}: the snapshot at {next} is of another state", fold.shard());
            Err(broken(Invariant::Det1, what))
        }
        Ok(restored) if restored.next() != next => {
            Err(broken(Invariant::Det1, format!("the snapshot at {next} stands at {}", restored.next())))
        }
        Ok(_) => Ok(()),
        Err(rater::fold::RestoreError::Snapshots(storage::snapshots::Error::Damaged { .. })) => Ok(()),
        Err(error) => Err(broken(Invariant::Det1, format!("the snapshot at {next} cannot be read: {error}"))),
    }
}

fn charges_of(output: &Output) -> Result<Vec<(Position, Row)>, Broken> {
    let lost = || broken(Invariant::Snk1, "a row names a series or a source that is not there");
    let rows = &output.charges;
    let mut charges = Vec::with_capacity(rows.rows.len());
    for (at, one) in rows.rows.iter().enumerate() {
        let series = usize::try_from(one.series).ok().and_then(|at| rows.series.get(at)).ok_or_else(lost)?;
        let source = usize::try_from(one.source).ok().and_then(|at| rows.sources.get(at)).ok_or_else(lost)?;
        let position = row(output.shard, one.offset, one.index);
        let key = PeriodKey {
            customer: series.customer.clone(),
            subscription: series.subscription.clone(),
            start: series.start,
        };
        let charge = Charge {
            price: series.price.clone(),
            meter: series.meter.clone(),
            group: series.group.clone(),
            position,
            event: one.event,
            source: source.to_string(),
            id: rows.id(at).to_owned(),
            time: one.time,
            quantity: one.quantity,
            amount: one.amount,
            tier: one.tier,
            level: one.level,
        };
        charges.push((position, (key, charge)));
    }
    Ok(charges)
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    folded: &BTreeMap<Position, T>,
    stored: impl Iterator<Item = (Position, T)>,
) -> Checked {
    let mut left: BTreeMap<Position, &T> = folded.iter().map(|(position, one)| (*position, one)).collect();
    for (position, found) in stored {
        match left.remove(&position) {
            Some(expected) if *expected == found => {}
            Some(expected) => {
                let what = format!("the {what} at {position} is stored as {found:?}, folded as {expected:?}");
                return Err(broken(Invariant::Snk1, what));
            }
            None => {
                let what = format!("the {what} at {position} is stored twice, or was never put out: {found:?}");
                return Err(broken(Invariant::Snk1, what));
            }
        }
    }
    match left.first_key_value() {
        Some((position, lost)) => {
            Err(broken(Invariant::Snk1, format!("the {what} at {position} is not stored: {lost:?}")))
        }
        None => Ok(()),
    }
}
