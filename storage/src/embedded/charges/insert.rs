//! Storing outputs, inside a transaction.

use super::chunk::Builder;
use super::{Failed, SeriesNumbers, damaged};
use crate::charges::{Boundary, Error};
use crate::embedded::sqlite::Failure;
use crate::output::{ChargeRow, Manifest, Outcome, Output, Series};
use crate::shard::{Offset, Shard};
use pricing::time::Instant;
use rusqlite::{Connection, OptionalExtension, named_params};
use std::collections::HashMap;

/// Stores outputs; gives the series that are new to the cache.
pub(super) fn outputs(
    connection: &Connection,
    outputs: &[Output],
    known: &SeriesNumbers,
) -> Result<HashMap<Series, i64>, Failed> {
    let mut found = HashMap::new();
    for output in outputs {
        let next = boundary(connection, output.shard)?.map_or(Offset(0), |boundary| boundary.next);
        if output.from > next {
            return Err(Failure::Refused(Error::Gap { shard: output.shard, next, from: output.from }));
        }
        if output.to < next || (output.to == next && output.from < next) {
            continue;
        }
        charges(connection, output, next, known, &mut found)?;
        for manifest in output.manifests.iter().filter(|manifest| manifest.position.offset >= next) {
            add_manifest(connection, manifest)?;
        }
        for outcome in output.outcomes.iter().filter(|outcome| outcome.position.offset >= next) {
            add_outcome(connection, outcome)?;
        }
        put_boundary(connection, output)?;
    }
    Ok(found)
}

/// How far a shard is stored.
pub(super) fn boundary(connection: &Connection, shard: Shard) -> Result<Option<Boundary>, Failed> {
    let sql = "SELECT next, log_time, counters, close_due, record FROM boundaries WHERE shard = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    let found: Option<(i64, i64, String, bool, i64)> = statement.query_row([shard.0], row).optional()?;
    let Some((next, log_time, counters, close_due, record)) = found else { return Ok(None) };
    let counters = serde_json::from_str(&counters).map_err(|error| damaged(&error))?;
    let (next, log_time) = (Offset(next.cast_unsigned()), Instant::from_nanos(log_time));
    Ok(Some(Boundary { next, log_time, counters, close_due, record: record.cast_unsigned() }))
}

fn put_boundary(connection: &Connection, output: &Output) -> Result<(), Failed> {
    let counters = serde_json::to_string(&output.counters).map_err(|error| damaged(&error))?;
    connection.prepare_cached(include_str!("boundary_put.sql"))?.execute(named_params! {
        ":shard": output.shard.0, ":next": output.to.0.cast_signed(), ":log_time": output.log_time.nanos(),
        ":counters": counters, ":close_due": output.close_due, ":record": output.record.cast_signed(),
    })?;
    Ok(())
}

/// Stores the charges of records from `next` on, one chunk for each series; more where its totals would overflow.
fn charges(
    connection: &Connection,
    output: &Output,
    next: Offset,
    known: &SeriesNumbers,
    found: &mut HashMap<Series, i64>,
) -> Result<(), Failed> {
    let charges = &output.charges;
    let mut order: Vec<(u32, usize)> =
        (0..).zip(&charges.rows).filter(|(_, row)| row.offset >= next).map(by_series).collect();
    order.sort_unstable();
    let mut builder = Builder::default();
    for group in order.chunk_by(|a, b| a.0 == b.0) {
        let Some(series) = group.first().and_then(|first| charges.series.get(usize::try_from(first.0).ok()?)) else {
            return Err(damaged(&"a charge names a series that the output has not got"));
        };
        let number = series_number(connection, series, known, found)?;
        for (_, at) in group {
            let Some(row) = charges.rows.get(*at) else { continue };
            if !builder.push(row, charges.id(*at)) {
                // A total would overflow: another chunk takes the rest.
                add_chunk(connection, number, &mut builder, output)?;
                if !builder.push(row, charges.id(*at)) {
                    return Err(damaged(&"a single charge overflows the totals of its chunk"));
                }
            }
        }
        add_chunk(connection, number, &mut builder, output)?;
    }
    Ok(())
}

/// Stores what the builder holds, and empties it.
fn add_chunk(connection: &Connection, series: i64, builder: &mut Builder, output: &Output) -> Result<(), Failed> {
    builder.finish(output.shard, &output.charges);
    let totals = std::mem::take(&mut builder.totals);
    let (quantity, amount) = (totals.quantity.raw().to_le_bytes(), totals.amount.raw().to_le_bytes());
    connection.prepare_cached(include_str!("chunk_add.sql"))?.execute((
        series,
        totals.count.cast_signed(),
        totals.events.cast_signed(),
        totals.time_min,
        totals.time_max,
        quantity.as_slice(),
        amount.as_slice(),
        builder.out.as_slice(),
    ))?;
    Ok(())
}

fn by_series((at, row): (usize, &ChargeRow)) -> (u32, usize) {
    (row.series, at)
}

fn series_number(
    connection: &Connection,
    series: &Series,
    known: &SeriesNumbers,
    found: &mut HashMap<Series, i64>,
) -> Result<i64, Failed> {
    if let Some(number) = known.get(series).or_else(|| found.get(series).copied()) {
        return Ok(number);
    }
    let grouping = serde_json::to_string(&series.group).map_err(|error| damaged(&error))?;
    let plan = serde_json::to_string(&series.plan).map_err(|error| damaged(&error))?;
    let columns = (
        series.tenant.as_str(),
        series.customer.as_str(),
        series.subscription.as_str(),
        series.start.nanos(),
        series.price.as_str(),
        grouping,
        plan,
        series.meter.as_str(),
    );
    let mut find = connection.prepare_cached(include_str!("series_find.sql"))?;
    let number = match find.query_row(columns.clone(), |row| row.get(0)).optional()? {
        Some(number) => number,
        None => connection.prepare_cached(include_str!("series_add.sql"))?.insert(columns)?,
    };
    found.insert(series.clone(), number);
    Ok(number)
}

fn add_manifest(connection: &Connection, manifest: &Manifest) -> Result<(), Failed> {
    let body = serde_json::to_string(manifest).map_err(|error| damaged(&error))?;
    connection.prepare_cached(include_str!("manifest_add.sql"))?.execute((
        manifest.position.shard.0,
        manifest.position.offset.0.cast_signed(),
        manifest.position.index,
        manifest.tenant.as_str(),
        manifest.customer.as_str(),
        manifest.subscription.as_str(),
        manifest.period.start.nanos(),
        manifest.revision,
        body,
    ))?;
    Ok(())
}

fn add_outcome(connection: &Connection, outcome: &Outcome) -> Result<(), Failed> {
    let body = serde_json::to_string(outcome).map_err(|error| damaged(&error))?;
    let kind = serde_json::to_string(&outcome.kind).map_err(|error| damaged(&error))?;
    connection.prepare_cached(include_str!("outcome_add.sql"))?.execute((
        outcome.tenant.as_str(),
        outcome.position.shard.0,
        outcome.position.offset.0.cast_signed(),
        outcome.position.index,
        kind.trim_matches('"'),
        &outcome.customer,
        body,
    ))?;
    Ok(())
}
