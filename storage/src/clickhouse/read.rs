//! The questions that are asked of charges.

use super::{Charges, row};
use crate::charges::{Boundary, Charge, Error, ExplainQuery, OutcomeQuery, PeriodKey, Resolution, Usage, UsageQuery};
use crate::output::{Counters, EventPlace, Manifest, Outcome, Sum};
use crate::shard::{Offset, Position, Shard};
use ::clickhouse::query::Query;
use ::clickhouse::{RowOwned, RowRead};
use pricing::group::Group;
use pricing::id::TenantId;
use pricing::number::{Amount, Quantity};
use pricing::time::Instant;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write};

/// Periods that one query names at most.
const PERIODS_MAX: usize = 1_000;
/// Bytes that their ids have at most: a server takes 128 KiB in one parameter (`http_max_field_value_size`).
const PERIOD_BYTES_MAX: usize = 48 << 10;
/// What a period takes in a parameter besides its ids: its start, quotes, commas.
const PERIOD_BYTES: usize = 48;

/// What a client's failure means: either the server cannot answer now, or what it answers cannot be.
#[allow(clippy::needless_pass_by_value)] // fits map_err
pub(super) fn failed(error: ::clickhouse::error::Error) -> Error {
    use ::clickhouse::error::Error as Client;
    match error {
        Client::NotEnoughData | Client::InvalidUtf8Encoding(_) | Client::SchemaMismatch(_) => damaged(&error),
        error => Error::Unavailable { reason: error.to_string() },
    }
}

/// Periods in as many pieces as questions need.
fn chunks(periods: &[PeriodKey]) -> impl Iterator<Item = &[PeriodKey]> {
    let mut rest = periods;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |key: &&PeriodKey| {
            bytes += PERIOD_BYTES + key.customer.as_str().len() + key.subscription.as_str().len();
            bytes <= PERIOD_BYTES_MAX
        };
        let count = rest.iter().take(PERIODS_MAX).take_while(fits).count().max(1).min(rest.len());
        let (some, others) = rest.split_at(count);
        rest = others;
        (!some.is_empty()).then_some(some)
    })
}

pub(super) fn damaged(what: &(impl Display + ?Sized)) -> Error {
    Error::Damaged { reason: what.to_string() }
}

fn limit(count_max: usize) -> u64 {
    // What the server takes as a limit.
    u64::try_from(count_max).unwrap_or(u64::MAX).min(i64::MAX.cast_unsigned())
}

fn id<T: std::str::FromStr<Err: Display>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: T::Err| damaged(&error))
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| damaged(&error))
}

fn text_of(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| damaged(&error))
}

/// A sum, of which the types hold less than 256 bits do.
fn quantity(text: &str) -> Result<Quantity, Error> {
    Quantity::parse(text.as_bytes()).map_err(|error| Error::Overflow { reason: error.to_string() })
}

fn amount(text: &str) -> Result<Amount, Error> {
    Amount::parse(text.as_bytes()).map_err(|error| Error::Overflow { reason: error.to_string() })
}

/// An instant as a parameter of type `DateTime64(9, 'UTC')`.
fn moment(time: Instant) -> String {
    time.to_jiff().strftime("%Y-%m-%d %H:%M:%S.%9f").to_string()
}

// === impl Charges ===

impl Charges {
    async fn rows<T: RowOwned + RowRead>(&self, query: Query) -> Result<Vec<T>, Error> {
        match tokio::time::timeout(self.read_timeout, query.fetch_all::<T>()).await {
            Ok(rows) => rows.map_err(failed),
            Err(_) => Err(Error::Unavailable { reason: format!("no answer within {:?}", self.read_timeout) }),
        }
    }

    /// How far these shards are stored; those without an output are left out.
    pub(super) async fn boundaries(&self, shards: &[Shard]) -> Result<BTreeMap<Shard, Boundary>, Error> {
        let shards: Vec<u16> = shards.iter().map(|shard| shard.0).collect();
        let query = self.client.query(include_str!("boundaries_of.sql")).param("shards", shards);
        let rows: Vec<row::Boundary> = self.rows(query).await?;
        Ok(rows.iter().map(boundary).collect())
    }

    /// See [`crate::charges::Charges::manifests`]. The boundaries are read first: rows above them may be incomplete.
    pub(super) async fn read_manifests(
        &self,
        after: &[(Shard, Option<Position>)],
        count_max: usize,
    ) -> Result<Vec<Manifest>, Error> {
        let shards: Vec<Shard> = after.iter().map(|(shard, _)| *shard).collect();
        let stored = self.boundaries(&shards).await?;
        let mut wanted = String::new();
        for (shard, after) in after {
            let Some(next) = stored.get(shard).map(|boundary| boundary.next) else { continue };
            let or = if wanted.is_empty() { "" } else { " OR " };
            let written = match after {
                Some(Position { offset, index, .. }) => write!(
                    wanted,
                    "{or}(shard = {shard} AND record >= {offset} AND (record > {offset} OR place > {index}) AND record < {next})"
                ),
                None => write!(wanted, "{or}(shard = {shard} AND record < {next})"),
            };
            written.map_err(|error| damaged(&error))?;
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let sql =
            "SELECT body FROM manifests FINAL WHERE WANTED ORDER BY shard, record, place LIMIT {count_max:UInt64}";
        let query = self.client.query(&sql.replace("WANTED", &wanted)).param("count_max", limit(count_max));
        let rows: Vec<row::Body> = self.rows(query).await?;
        rows.iter().map(|row| json(&row.body)).collect()
    }

    /// See [`crate::charges::Charges::newest`].
    pub(super) async fn read_newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, Error> {
        let mut found = Vec::new();
        for some in chunks(periods) {
            let keys: Vec<_> =
                some.iter().map(|key| (key.customer.as_str(), key.subscription.as_str(), moment(key.start))).collect();
            let query = self.client.query(include_str!("newest.sql"));
            let query = query.param("tenant", tenant.as_str()).param("periods", keys);
            for row in self.rows::<row::Body>(query).await? {
                found.push(json(&row.body)?);
            }
        }
        Ok(found)
    }

    /// See [`crate::charges::Charges::sums`].
    pub(super) async fn read_sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, Error> {
        let mut found: HashMap<PeriodKey, Vec<Sum>> = HashMap::new();
        for some in chunks(periods) {
            let keys: Vec<_> =
                some.iter().map(|key| (key.customer.as_str(), moment(key.start), key.subscription.as_str())).collect();
            let query = self.client.query(include_str!("sums.sql"));
            let query = query.param("tenant", tenant.as_str()).param("periods", keys);
            for row in self.rows::<row::Sum>(query).await? {
                let start = Instant::from_nanos(row.period);
                let key = PeriodKey { customer: id(&row.customer)?, subscription: id(&row.subscription)?, start };
                found.entry(key).or_default().push(sum(&row)?);
            }
        }
        for sums in found.values_mut() {
            sums.sort_unstable_by(|a, b| (&a.price, &a.group, a.row).cmp(&(&b.price, &b.group, b.row)));
        }
        Ok(periods.iter().map(|key| found.get(key).cloned().unwrap_or_default()).collect())
    }

    /// See [`crate::charges::Charges::usage`].
    pub(super) async fn read_usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, Error> {
        let from = query.from.map_or(i64::MIN, Instant::nanos);
        let last = match query.until.map(|until| until.nanos().checked_sub(1)) {
            None => i64::MAX,
            Some(Some(last)) => last,
            Some(None) => return Ok(Vec::new()),
        };
        let stretch: i64 = match query.by {
            Resolution::Period => 0,
            Resolution::Day => 86_400_000_000_000,
            Resolution::Hour => 3_600_000_000_000,
        };
        let sql = self.client.query(include_str!("usage.sql"));
        let sql = sql
            .param("tenant", query.tenant.as_str())
            .param("customer", query.customer.as_ref().map(pricing::id::CustomerId::as_str))
            .param("meter", query.meter.as_ref().map(pricing::id::MeterId::as_str))
            .param("from", from)
            .param("last", last)
            .param("stretch", stretch)
            .param("count_max", limit(query.rows_max.saturating_add(1)));
        let rows: Vec<row::Usage> = self.rows(sql).await?;
        query.check(rows.len())?;
        let mut found: Vec<Usage> = rows.iter().map(|row| usage(row, query.by)).collect::<Result<_, _>>()?;
        found.sort_unstable_by(|a, b| usage_key(a).cmp(&usage_key(b)));
        Ok(found)
    }

    /// See [`crate::charges::Charges::explain`].
    pub(super) async fn read_explanation(&self, query: &ExplainQuery) -> Result<Vec<Charge>, Error> {
        let grouping = query.group.as_ref().map(text_of).transpose()?;
        let (time, shard, record, place) = match query.after {
            Some((time, at)) => (time.nanos(), i32::from(at.shard.0), at.offset.0, at.index),
            None => (0, -1, 0, 0),
        };
        let sql = self.client.query(include_str!("explain.sql"));
        let sql = sql
            .param("tenant", query.tenant.as_str())
            .param("customer", query.period.customer.as_str())
            .param("subscription", query.period.subscription.as_str())
            .param("period", moment(query.period.start))
            .param("price", query.price.as_ref().map(pricing::id::PriceId::as_str))
            .param("grouping", grouping)
            .param("from", query.records.start.0)
            .param("until", query.records.end.0)
            .param("time", time)
            .param("shard", shard)
            .param("record", record)
            .param("place", place)
            .param("count_max", limit(query.count_max));
        self.rows::<row::Charge>(sql).await?.into_iter().map(charge).collect()
    }

    /// See [`crate::charges::Charges::outcomes`].
    pub(super) async fn read_outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, Error> {
        let kinds: Vec<String> = query.kinds.iter().map(text_of).collect::<Result<_, _>>()?;
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.trim_matches('"')).collect();
        let (shard, record, place) =
            query.after.map_or((-1, 0, 0), |after| (i32::from(after.shard.0), after.offset.0, after.index));
        let sql = self.client.query(include_str!("outcomes_of.sql"));
        let sql = sql
            .param("tenant", query.tenant.as_str())
            .param("customer", query.customer.as_deref())
            .param("kinds", kinds)
            .param("shard", shard)
            .param("record", record)
            .param("place", place)
            .param("count_max", limit(query.count_max));
        self.rows::<row::Outcome>(sql).await?.into_iter().map(outcome).collect()
    }
}

fn boundary(row: &row::Boundary) -> (Shard, Boundary) {
    let row::Boundary { arrivals, charged, unpriced, unmetered, duplicate, rejected, parked, waiting, .. } = *row;
    let counters = Counters { arrivals, charged, unpriced, unmetered, duplicate, rejected, parked, waiting };
    let (next, log_time) = (Offset(row.next), Instant::from_nanos(row.log_time));
    (Shard(row.shard), Boundary { next, log_time, counters, close_due: row.close_due, record: row.record })
}

fn sum(row: &row::Sum) -> Result<Sum, Error> {
    Ok(Sum {
        price: id(&row.price)?,
        group: json(&row.grouping)?,
        row: row.tier,
        count: row.rows,
        quantity: quantity(&row.quantities)?,
        amount: amount(&row.amounts)?,
        hash: row.hash,
    })
}

fn usage(row: &row::Usage, by: Resolution) -> Result<Usage, Error> {
    Ok(Usage {
        customer: id(&row.customer)?,
        subscription: id(&row.subscription)?,
        period: Instant::from_nanos(row.period),
        bucket: (by != Resolution::Period).then(|| Instant::from_nanos(row.bucket)),
        meter: id(&row.meter)?,
        price: id(&row.price)?,
        group: json(&row.grouping)?,
        count: row.events,
        quantity: quantity(&row.quantities)?,
        amount: amount(&row.amounts)?,
    })
}

type UsageKey<'a> = (&'a str, &'a str, Instant, &'a str, &'a str, &'a Group, Option<Instant>);

fn usage_key(usage: &Usage) -> UsageKey<'_> {
    let (customer, subscription) = (usage.customer.as_str(), usage.subscription.as_str());
    (customer, subscription, usage.period, usage.price.as_str(), usage.meter.as_str(), &usage.group, usage.bucket)
}

fn charge(row: row::Charge) -> Result<Charge, Error> {
    Ok(Charge {
        price: id(&row.price)?,
        meter: id(&row.meter)?,
        group: json(&row.grouping)?,
        position: Position { shard: Shard(row.shard), offset: Offset(row.record), index: row.place },
        event: EventPlace { offset: Offset(row.event_record), index: row.event_place },
        source: row.source,
        id: row.id,
        time: Instant::from_nanos(row.time),
        quantity: Quantity::from_raw(row.quantity).map_err(|error| damaged(&error))?,
        amount: Amount::from_raw(row.amount).map_err(|error| damaged(&error))?,
        tier: row.tier,
        level: row.level.map(Quantity::from_raw).transpose().map_err(|error| damaged(&error))?,
    })
}

fn outcome(row: row::Outcome) -> Result<Outcome, Error> {
    Ok(Outcome {
        kind: json(&format!("\"{}\"", row.kind))?,
        position: Position { shard: Shard(row.shard), offset: Offset(row.record), index: row.place },
        event: EventPlace { offset: Offset(row.event_record), index: row.event_place },
        tenant: id(&row.tenant)?,
        customer: row.customer,
        source: row.source,
        id: row.id,
        event_type: row.r#type,
        time: Instant::from_nanos(row.time),
        reason: row.reason,
        properties: row.properties,
    })
}
