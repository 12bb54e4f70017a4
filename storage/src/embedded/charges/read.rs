//! The questions that are asked of charges.

use super::chunk::{Row, Rows};
use super::{Failed, damaged};
use crate::charges::{Charge, Error, ExplainQuery, OutcomeQuery, PeriodKey, Resolution, Usage, UsageQuery};
use crate::embedded::sqlite::Failure;
use crate::output::{Manifest, Outcome, Sum};
use crate::shard::{Position, Shard};
use crate::wide::Wide;
use pricing::group::Group;
use pricing::id::{MeterId, PriceId, TenantId};
use pricing::number::{self, Amount, Quantity};
use pricing::time::Instant;
use rusqlite::{Connection, OptionalExtension, named_params};
use std::collections::{BTreeMap, HashMap};

/// A chunk and what its rows share.
struct Chunk<'a> {
    price: PriceId,
    group: Group,
    meter: MeterId,
    rows: Rows<'a>,
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failed> {
    serde_json::from_str(text).map_err(|error| damaged(&error))
}

fn limit(count_max: usize) -> i64 {
    i64::try_from(count_max).unwrap_or(i64::MAX)
}

/// See [`crate::charges::Charges::manifests`].
pub(super) fn manifests(
    connection: &Connection,
    after: &[(Shard, Option<Position>)],
    count_max: usize,
) -> Result<Vec<Manifest>, Failed> {
    let mut statement = connection.prepare_cached(include_str!("manifests.sql"))?;
    let mut found = Vec::new();
    for (shard, after) in after {
        let (record, place) =
            after.map_or((-1, 0), |after| (i64::try_from(after.offset.0).unwrap_or(i64::MAX), after.index));
        let left = limit(count_max.saturating_sub(found.len()));
        let mut rows = statement.query(named_params! {
            ":shard": shard.0, ":record": record, ":place": place, ":count_max": left,
        })?;
        while let Some(row) = rows.next()? {
            found.push(json(&row.get::<_, String>(0)?)?);
        }
    }
    Ok(found)
}

/// See [`crate::charges::Charges::newest`].
pub(super) fn newest(
    connection: &Connection,
    tenant: &TenantId,
    periods: &[PeriodKey],
) -> Result<Vec<Manifest>, Failed> {
    let mut statement = connection.prepare_cached(include_str!("newest.sql"))?;
    let mut found = Vec::new();
    for PeriodKey { customer, subscription, start } in periods {
        let key = (tenant.as_str(), customer.as_str(), subscription.as_str(), start.nanos());
        let body: Option<String> = statement.query_row(key, |row| row.get(0)).optional()?;
        found.extend(body.map(|body| json(&body)).transpose()?);
    }
    Ok(found)
}

/// See [`crate::charges::Charges::sums`].
pub(super) fn sums(connection: &Connection, tenant: &TenantId, period: &PeriodKey) -> Result<Vec<Sum>, Failed> {
    let mut statement = connection.prepare_cached(include_str!("period.sql"))?;
    let mut chunks = statement.query(named_params! {
        ":tenant": tenant.as_str(), ":customer": period.customer.as_str(),
        ":subscription": period.subscription.as_str(), ":start": period.start.nanos(),
    })?;
    let mut sums: BTreeMap<(PriceId, Group, u32), Wide> = BTreeMap::new();
    while let Some(row) = chunks.next()? {
        let Chunk { price, group, rows, .. } = chunk(row)?;
        for (tier, wide) in sums_of_chunk(rows)? {
            sums.entry((price.clone(), group.clone(), tier)).or_default().absorb(&wide);
        }
    }
    let narrowed = sums.into_iter().map(|((price, group, row), wide)| {
        let (quantity, amount) = wide.narrow().map_err(overflow)?;
        Ok(Sum { price, group, row, count: wide.count, quantity, amount, hash: wide.hash })
    });
    narrowed.collect()
}

/// One sum for each tier that occurs.
fn sums_of_chunk(rows: Rows<'_>) -> Result<Vec<(u32, Wide)>, Failed> {
    let mut sums: Vec<(u32, Wide)> = Vec::new();
    for row in rows {
        let Row { charge, id } = row.map_err(|error| damaged(&error))?;
        match sums.iter_mut().find(|(tier, _)| *tier == charge.tier) {
            Some((_, wide)) => wide.add_row(&charge, id),
            None => {
                let mut wide = Wide::default();
                wide.add_row(&charge, id);
                sums.push((charge.tier, wide));
            }
        }
    }
    Ok(sums)
}

#[allow(clippy::needless_pass_by_value)] // fits map_err
fn overflow(error: number::Error) -> Failed {
    Failure::Refused(Error::Overflow { reason: error.to_string() })
}

/// Reads the columns price, grouping, meter, rows.
fn chunk<'a>(row: &'a rusqlite::Row<'_>) -> Result<Chunk<'a>, Failed> {
    let text = |at: usize| row.get_ref(at)?.as_str().map_err(|error| damaged(&error));
    let price = PriceId::new(text(0)?).map_err(|error| damaged(&error))?;
    let meter = MeterId::new(text(2)?).map_err(|error| damaged(&error))?;
    let bytes = row.get_ref(3)?.as_blob().map_err(|error| damaged(&error))?;
    let rows = Rows::read(bytes).map_err(|error| damaged(&error))?;
    Ok(Chunk { price, group: json(text(1)?)?, meter, rows })
}

/// See [`crate::charges::Charges::explain`].
pub(super) fn explain(connection: &Connection, query: &ExplainQuery) -> Result<Vec<Charge>, Failed> {
    let mut statement = connection.prepare_cached(include_str!("explain.sql"))?;
    let grouping = query.group.as_ref().map(serde_json::to_string).transpose().map_err(|error| damaged(&error))?;
    let time_min = query.after.map_or(i64::MIN, |(time, _)| time.nanos());
    let mut chunks = statement.query(named_params! {
        ":tenant": query.tenant.as_str(), ":customer": query.period.customer.as_str(),
        ":subscription": query.period.subscription.as_str(), ":start": query.period.start.nanos(),
        ":price": query.price.as_ref().map(PriceId::as_str), ":grouping": grouping, ":time_min": time_min,
    })?;
    let mut found: Vec<Charge> = Vec::new();
    let enough = query.count_max.saturating_mul(2).max(1024);
    while let Some(row) = chunks.next()? {
        let mut chunk = chunk(row)?;
        while let Some(row) = chunk.rows.next() {
            let row = row.map_err(|error| damaged(&error))?;
            let position = Position { shard: chunk.rows.shard, offset: row.charge.offset, index: row.charge.index };
            let is_after = query.after.is_none_or(|after| (row.charge.time, position) > after);
            if is_after && query.records.contains(&position.offset) {
                found.push(charge(&chunk, position, &row)?);
            }
            if found.len() > enough {
                keep_first(&mut found, query.count_max);
            }
        }
    }
    keep_first(&mut found, query.count_max);
    Ok(found)
}

fn keep_first(found: &mut Vec<Charge>, count_max: usize) {
    found.sort_unstable_by_key(|charge| (charge.time, charge.position));
    found.truncate(count_max);
}

fn charge(chunk: &Chunk<'_>, position: Position, row: &Row<'_>) -> Result<Charge, Failed> {
    let source = usize::try_from(row.charge.source).ok().and_then(|source| chunk.rows.sources.get(source));
    Ok(Charge {
        price: chunk.price.clone(),
        meter: chunk.meter.clone(),
        group: chunk.group.clone(),
        position,
        event: row.charge.event,
        source: (*source.ok_or_else(|| damaged(&"a charge names a source that its chunk has not got"))?).to_owned(),
        id: row.id.to_owned(),
        time: row.charge.time,
        quantity: row.charge.quantity,
        amount: row.charge.amount,
        tier: row.charge.tier,
        level: row.charge.level,
    })
}

/// See [`crate::charges::Charges::outcomes`].
pub(super) fn outcomes(connection: &Connection, query: &OutcomeQuery) -> Result<Vec<Outcome>, Failed> {
    let mut statement = connection.prepare_cached(include_str!("outcomes.sql"))?;
    let kinds = serde_json::to_string(&query.kinds).map_err(|error| damaged(&error))?;
    let (shard, record, place) = query.after.map_or((-1, 0, 0), |after| {
        (i32::from(after.shard.0), i64::try_from(after.offset.0).unwrap_or(i64::MAX), after.index)
    });
    let mut rows = statement.query(named_params! {
        ":tenant": query.tenant.as_str(), ":shard": shard, ":record": record, ":place": place,
        ":customer": query.customer, ":kinds": (!query.kinds.is_empty()).then_some(kinds),
        ":count_max": limit(query.count_max),
    })?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(json(&row.get::<_, String>(0)?)?);
    }
    Ok(found)
}

/// See [`crate::charges::Charges::usage`].
pub(super) fn usage(connection: &Connection, query: &UsageQuery) -> Result<Vec<Usage>, Failed> {
    let from = query.from.map_or(i64::MIN, Instant::nanos);
    let last = match query.until.map(|until| until.nanos().checked_sub(1)) {
        None => i64::MAX,
        Some(Some(last)) => last,
        Some(None) => return Ok(Vec::new()),
    };
    let (tenant, meter) = (query.tenant.as_str(), query.meter.as_ref().map(MeterId::as_str));
    let sql = match query.customer {
        Some(_) => include_str!("usage_of_customer.sql"),
        None => include_str!("usage.sql"),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = match &query.customer {
        Some(customer) => statement.query(named_params! {
            ":tenant": tenant, ":customer": customer.as_str(), ":meter": meter, ":from": from, ":last": last,
        })?,
        None => statement.query(named_params! {":tenant": tenant, ":meter": meter, ":from": from, ":last": last})?,
    };
    let mut found: HashMap<(i64, Option<i64>), (Usage, Wide)> = HashMap::new();
    while let Some(row) = rows.next()? {
        add_chunk(row, (from, last), query.by, &mut found)?;
        query.check(found.len()).map_err(Failure::Refused)?;
    }
    let narrowed = found.into_values().map(|(usage, wide)| {
        let (quantity, amount) = wide.narrow().map_err(overflow)?;
        Ok(Usage { count: wide.count, quantity, amount, ..usage })
    });
    let mut found = narrowed.collect::<Result<Vec<Usage>, Failed>>()?;
    found.sort_unstable_by(|a, b| usage_key(a).cmp(&usage_key(b)));
    Ok(found)
}

type UsageKey<'a> = (&'a str, &'a str, Instant, &'a PriceId, &'a MeterId, &'a Group, Option<Instant>);

fn usage_key(usage: &Usage) -> UsageKey<'_> {
    let (customer, subscription) = (usage.customer.as_str(), usage.subscription.as_str());
    (customer, subscription, usage.period, &usage.price, &usage.meter, &usage.group, usage.bucket)
}

/// Adds a chunk's totals where all of its rows are wanted in one stretch, otherwise row by row.
fn add_chunk(
    row: &rusqlite::Row<'_>,
    (from, last): (i64, i64),
    by: Resolution,
    found: &mut HashMap<(i64, Option<i64>), (Usage, Wide)>,
) -> Result<(), Failed> {
    let (time_min, time_max): (i64, i64) = (row.get(8)?, row.get(9)?);
    let bucket = |time| by.stretch(Instant::from_nanos(time)).map(Instant::nanos);
    let first = bucket(time_min);
    let is_one = from <= time_min && time_max <= last && first == bucket(time_max);
    let events: Option<i64> = row.get(7)?;
    if let Some(events) = events.filter(|_| is_one) {
        let quantity = Quantity::from_raw(i128::from_le_bytes(row.get(10)?)).map_err(|error| damaged(&error))?;
        let amount = Amount::from_raw(i128::from_le_bytes(row.get(11)?)).map_err(|error| damaged(&error))?;
        return add(row, first, (events.cast_unsigned(), quantity, amount), found);
    }
    let bytes = row.get_ref(12)?.as_blob().map_err(|error| damaged(&error))?;
    for charge in Rows::read(bytes).map_err(|error| damaged(&error))? {
        let Row { charge, .. } = charge.map_err(|error| damaged(&error))?;
        let time = charge.time.nanos();
        if from <= time && time <= last {
            let events = u64::from(charge.event.is_event());
            add(row, bucket(time), (events, charge.quantity, charge.amount), found)?;
        }
    }
    Ok(())
}

fn add(
    row: &rusqlite::Row<'_>,
    bucket: Option<i64>,
    (events, quantity, amount): (u64, Quantity, Amount),
    found: &mut HashMap<(i64, Option<i64>), (Usage, Wide)>,
) -> Result<(), Failed> {
    let key = (row.get(0)?, bucket);
    let (_, wide) = match found.entry(key) {
        std::collections::hash_map::Entry::Occupied(usage) => usage.into_mut(),
        std::collections::hash_map::Entry::Vacant(free) => free.insert((empty_usage(row, bucket)?, Wide::default())),
    };
    wide.add(events, quantity, amount);
    Ok(())
}

fn empty_usage(row: &rusqlite::Row<'_>, bucket: Option<i64>) -> Result<Usage, Failed> {
    fn id<T: std::str::FromStr<Err: std::fmt::Display>>(row: &rusqlite::Row<'_>, at: usize) -> Result<T, Failed> {
        let text = row.get_ref(at)?.as_str().map_err(|error| damaged(&error))?;
        text.parse().map_err(|error| damaged::<T::Err>(&error))
    }
    Ok(Usage {
        customer: id(row, 1)?,
        subscription: id(row, 2)?,
        period: Instant::from_nanos(row.get(3)?),
        bucket: bucket.map(Instant::from_nanos),
        meter: id(row, 4)?,
        price: id(row, 5)?,
        group: json(row.get_ref(6)?.as_str().map_err(|error| damaged(&error))?)?,
        count: 0,
        quantity: Quantity::ZERO,
        amount: Amount::ZERO,
    })
}
