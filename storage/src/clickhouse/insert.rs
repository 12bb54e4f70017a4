//! Storing outputs: all rows of many shards, table by table, then the boundaries that confirm them.

use super::read::{damaged, failed};
use super::{Charges, row};
use crate::charges::{Boundary, Error};
use crate::output::{ChargeRows, Counters, Manifest, Outcome, Output};
use crate::shard::{Offset, Shard};
use ::clickhouse::insert::Insert;
use ::clickhouse::{Row, RowOwned, RowWrite};
use pricing::number::Quantity;
use std::collections::BTreeMap;

/// An output, and where what is not yet stored of it begins.
struct Due<'a> {
    output: &'a Output,
    next: Offset,
}

// === impl Charges ===

impl Charges {
    /// Stores what is not yet stored. Where it fails, some of the rows may stand: sent again they are the same.
    pub(super) async fn insert_all(&self, outputs: &[Output]) -> Result<(), Error> {
        let shards: Vec<Shard> = outputs.iter().map(|output| output.shard).collect();
        let stored = self.boundaries(&shards).await?;
        let due = due(outputs, &stored)?;
        let mut rest = due.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(self.fitting(rest));
            self.insert_batch(batch).await?;
            rest = later;
        }
        Ok(())
    }

    /// How many of these go into one request: at least one.
    fn fitting(&self, due: &[Due<'_>]) -> usize {
        let mut rows = 0usize;
        let fits = |due: &&Due<'_>| {
            rows = rows.saturating_add(due.output.charges.rows.len());
            rows <= self.rows_max
        };
        due.iter().take_while(fits).count().max(1)
    }

    async fn insert_batch(&self, batch: &[Due<'_>]) -> Result<(), Error> {
        self.insert_charges(batch).await?;
        let manifests: Result<Vec<_>, _> = batch.iter().flat_map(|due| due.manifests().map(new_manifest)).collect();
        self.insert_rows("manifests", manifests?).await?;
        let outcomes: Result<Vec<_>, _> = batch.iter().flat_map(|due| due.outcomes().map(new_outcome)).collect();
        self.insert_rows("outcomes", outcomes?).await?;
        // The last of each shard, which confirms all of it.
        let last: BTreeMap<Shard, &Output> = batch.iter().map(|due| (due.output.shard, due.output)).collect();
        self.insert_rows("boundaries", last.into_values().map(new_boundary).collect()).await
    }

    async fn insert_charges(&self, batch: &[Due<'_>]) -> Result<(), Error> {
        if batch.iter().all(|due| due.charges().next().is_none()) {
            return Ok(());
        }
        let mut insert = self.start::<row::NewCharge<'_>>("charges").await?;
        for due in batch {
            let charges = &due.output.charges;
            let groups: Result<Vec<String>, _> =
                charges.series.iter().map(|series| serde_json::to_string(&series.group)).collect();
            let groups = groups.map_err(|error| damaged(&error))?;
            for at in due.charges() {
                let charge = new_charge(due.output.shard, charges, at, &groups);
                let charge = charge.ok_or_else(|| damaged("a charge names what its output has not got"))?;
                insert.write(&charge).await.map_err(failed)?;
            }
        }
        insert.end().await.map_err(failed)
    }

    /// Inserts into a table, unless there is nothing to insert.
    async fn insert_rows<T: RowOwned + RowWrite>(&self, table: &str, rows: Vec<T>) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut insert = self.start::<T>(table).await?;
        for row in &rows {
            insert.write(row).await.map_err(failed)?;
        }
        insert.end().await.map_err(failed)
    }

    async fn start<T: Row>(&self, table: &str) -> Result<Insert<T>, Error> {
        let insert = self.client.insert::<T>(table).await.map_err(failed)?;
        Ok(insert.with_timeouts(Some(self.insert_timeout), Some(self.insert_timeout)))
    }
}

/// Of each output what is not yet stored; all of it, or nothing when one leaves a gap.
fn due<'a>(outputs: &'a [Output], stored: &BTreeMap<Shard, Boundary>) -> Result<Vec<Due<'a>>, Error> {
    let mut ends = BTreeMap::new();
    let mut due = Vec::with_capacity(outputs.len());
    for output in outputs {
        let stored = || stored.get(&output.shard).map_or(Offset(0), |boundary| boundary.next);
        let next = *ends.entry(output.shard).or_insert_with(stored);
        if output.from > next {
            return Err(Error::Gap { shard: output.shard, next, from: output.from });
        }
        if output.to > next || (output.to == next && output.from == next) {
            due.push(Due { output, next });
            ends.insert(output.shard, output.to);
        }
    }
    Ok(due)
}

// === impl Due ===

impl<'a> Due<'a> {
    /// The places of the charges.
    fn charges(&self) -> impl Iterator<Item = usize> + use<'a> {
        let next = self.next;
        let rows = self.output.charges.rows.iter().enumerate();
        rows.filter(move |(_, row)| row.offset >= next).map(|(at, _)| at)
    }

    fn manifests(&self) -> impl Iterator<Item = &'a Manifest> + use<'a> {
        let next = self.next;
        self.output.manifests.iter().filter(move |manifest| manifest.position.offset >= next)
    }

    fn outcomes(&self) -> impl Iterator<Item = &'a Outcome> + use<'a> {
        let next = self.next;
        self.output.outcomes.iter().filter(move |outcome| outcome.position.offset >= next)
    }
}

fn new_charge<'a>(
    shard: Shard,
    charges: &'a ChargeRows,
    at: usize,
    groups: &'a [String],
) -> Option<row::NewCharge<'a>> {
    let row = charges.rows.get(at)?;
    let number = usize::try_from(row.series).ok()?;
    let series = charges.series.get(number)?;
    Some(row::NewCharge {
        tenant: series.tenant.as_str(),
        customer: series.customer.as_str(),
        period: series.start.nanos(),
        subscription: series.subscription.as_str(),
        plan: series.plan.id.as_str(),
        plan_version: series.plan.version,
        price: series.price.as_str(),
        meter: series.meter.as_str(),
        grouping: groups.get(number)?,
        shard: shard.0,
        record: row.offset.0,
        place: row.index,
        event_record: row.event.offset.0,
        event_place: row.event.index,
        source: charges.sources.get(usize::try_from(row.source).ok()?)?,
        id: charges.id(at),
        time: row.time.nanos(),
        quantity: row.quantity.raw(),
        amount: row.amount.raw(),
        tier: row.tier,
        level: row.level.map(Quantity::raw),
    })
}

fn new_manifest(manifest: &Manifest) -> Result<row::NewManifest, Error> {
    Ok(row::NewManifest {
        shard: manifest.position.shard.0,
        record: manifest.position.offset.0,
        place: manifest.position.index,
        tenant: manifest.tenant.to_string(),
        customer: manifest.customer.to_string(),
        period: manifest.period.start.nanos(),
        subscription: manifest.subscription.to_string(),
        revision: manifest.revision,
        body: serde_json::to_string(manifest).map_err(|error| damaged(&error))?,
    })
}

fn new_outcome(outcome: &Outcome) -> Result<row::Outcome, Error> {
    let kind = serde_json::to_string(&outcome.kind).map_err(|error| damaged(&error))?;
    Ok(row::Outcome {
        kind: kind.trim_matches('"').to_owned(),
        shard: outcome.position.shard.0,
        record: outcome.position.offset.0,
        place: outcome.position.index,
        event_record: outcome.event.offset.0,
        event_place: outcome.event.index,
        tenant: outcome.tenant.to_string(),
        customer: outcome.customer.clone(),
        source: outcome.source.clone(),
        id: outcome.id.clone(),
        r#type: outcome.event_type.clone(),
        time: outcome.time.nanos(),
        reason: outcome.reason.clone(),
        properties: outcome.properties.clone(),
    })
}

fn new_boundary(output: &Output) -> row::Boundary {
    let Counters { arrivals, charged, unpriced, unmetered, duplicate, rejected, parked, waiting } = output.counters;
    row::Boundary {
        shard: output.shard.0,
        next: output.to.0,
        log_time: output.log_time.nanos(),
        close_due: output.close_due,
        arrivals,
        charged,
        unpriced,
        unmetered,
        duplicate,
        rejected,
        parked,
        waiting,
        record: output.record,
    }
}
