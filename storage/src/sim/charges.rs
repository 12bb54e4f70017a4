//! Charges in memory: every question is answered by going through the rows.

use super::faults::Faults;
use super::lock;
use crate::charges::{Boundary, Charge, Error, ExplainQuery, OutcomeQuery, PeriodKey, Usage, UsageQuery};
use crate::output::{ChargeRow, Manifest, Outcome, Output, Series, Sum};
use crate::shard::{Offset, Position, Shard};
use crate::wide::Wide;
use async_trait::async_trait;
use pricing::group::Group;
use pricing::id::{PriceId, TenantId};
use pricing::number::{self, Amount, Quantity};
use pricing::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// The charges.
#[derive(Debug)]
pub struct Charges {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    boundaries: BTreeMap<Shard, Boundary>,
    rows: BTreeMap<(TenantId, PeriodKey), Vec<Row>>,
    manifests: BTreeMap<Position, Manifest>,
    outcomes: BTreeMap<Position, Outcome>,
    damaged: BTreeSet<Shard>,
}

#[derive(Clone, Debug)]
struct Row {
    series: Arc<Series>,
    shard: Shard,
    row: ChargeRow,
    id: String,
    source: Arc<str>,
}

// === impl Charges ===

impl Charges {
    /// Nothing stored yet.
    pub fn new(faults: Faults) -> Self {
        Self { state: Mutex::default(), faults }
    }

    /// What is stored of a shard is damaged: nothing of it is taken any more.
    pub fn damage(&self, shard: Shard) {
        lock(&self.state).damaged.insert(shard);
    }

    async fn readable(&self) -> Result<(), Error> {
        let fate = self.faults.read();
        fate.wait().await;
        if fate.refused { Err(unavailable("refused by the simulation")) } else { Ok(()) }
    }
}

fn unavailable(reason: &str) -> Error {
    Error::Unavailable { reason: reason.to_owned() }
}

#[allow(clippy::needless_pass_by_value)] // fits map_err
fn overflow(error: number::Error) -> Error {
    Error::Overflow { reason: error.to_string() }
}

#[async_trait]
impl crate::charges::Charges for Charges {
    async fn insert(&self, outputs: Vec<Output>) -> Result<(), Error> {
        let fate = self.faults.write();
        fate.wait().await;
        if fate.refused {
            return Err(unavailable("refused by the simulation"));
        }
        let mut state = lock(&self.state);
        let done = fate.part_of(outputs.len()).unwrap_or(outputs.len());
        state.follows(&outputs)?;
        if let Some(output) = outputs.iter().find(|output| state.damaged.contains(&output.shard)) {
            return Err(Error::Damaged { reason: format!("shard {}, as the simulation was told", output.shard) });
        }
        for output in outputs.iter().take(done) {
            state.store(output);
        }
        if fate.answer_lost || fate.partial.is_some() {
            return Err(unavailable("the simulation lost the answer"));
        }
        if fate.repeated {
            outputs.iter().for_each(|output| state.store(output));
        }
        Ok(())
    }

    async fn boundary(&self, shard: Shard) -> Result<Option<Boundary>, Error> {
        self.readable().await?;
        Ok(lock(&self.state).boundaries.get(&shard).copied())
    }

    async fn manifests(&self, after: &[(Shard, Option<Position>)], count_max: usize) -> Result<Vec<Manifest>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let wanted = |position: &Position| {
            after.iter().any(|(shard, after)| position.shard == *shard && after.is_none_or(|after| *position > after))
        };
        let found = state.manifests.values().filter(|manifest| wanted(&manifest.position));
        Ok(found.take(count_max).cloned().collect())
    }

    async fn newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let of_period = |key: &PeriodKey| {
            let fits = |manifest: &&Manifest| manifest.tenant == *tenant && period_of(manifest) == *key;
            state.manifests.values().filter(fits).max_by_key(|manifest| manifest.revision).cloned()
        };
        Ok(periods.iter().filter_map(of_period).collect())
    }

    async fn sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let rows = |key: &PeriodKey| state.rows.get(&(tenant.clone(), key.clone())).map_or(&[][..], Vec::as_slice);
        periods.iter().map(|key| sums(rows(key)).map_err(overflow)).collect()
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, Error> {
        self.readable().await?;
        let found = usage(lock(&self.state).rows.values().flatten(), query).map_err(overflow)?;
        query.check(found.len())?;
        Ok(found)
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Vec<Charge>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let key = (query.tenant.clone(), query.period.clone());
        let mut found: Vec<Charge> = state.rows.get(&key).into_iter().flatten().map(charge).collect();
        found.retain(|charge| {
            query.price.as_ref().is_none_or(|price| *price == charge.price)
                && query.group.as_ref().is_none_or(|group| *group == charge.group)
                && query.records.contains(&charge.position.offset)
                && query.after.is_none_or(|after| (charge.time, charge.position) > after)
        });
        found.sort_by_key(|charge| (charge.time, charge.position));
        found.truncate(query.count_max);
        Ok(found)
    }

    async fn outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let fits = |outcome: &&Outcome| {
            outcome.tenant == query.tenant
                && query.customer.as_ref().is_none_or(|customer| *customer == outcome.customer)
                && (query.kinds.is_empty() || query.kinds.contains(&outcome.kind))
                && query.after.is_none_or(|after| outcome.position > after)
        };
        Ok(state.outcomes.values().filter(fits).take(query.count_max).cloned().collect())
    }
}

// === impl State ===

impl State {
    fn follows(&self, outputs: &[Output]) -> Result<(), Error> {
        let mut ends = BTreeMap::new();
        for output in outputs {
            let next = *ends.entry(output.shard).or_insert_with(|| self.next(output.shard));
            if output.from > next {
                return Err(Error::Gap { shard: output.shard, next, from: output.from });
            }
            ends.insert(output.shard, next.max(output.to));
        }
        Ok(())
    }

    fn next(&self, shard: Shard) -> Offset {
        self.boundaries.get(&shard).map_or(Offset(0), |boundary| boundary.next)
    }

    fn store(&mut self, output: &Output) {
        let next = self.next(output.shard);
        if output.to < next || (output.to == next && output.from < next) {
            return;
        }
        for (at, row) in output.charges.rows.iter().enumerate().filter(|(_, row)| row.offset >= next) {
            self.store_row(output, at, row);
        }
        let new = |position: &Position| position.offset >= next;
        for manifest in output.manifests.iter().filter(|manifest| new(&manifest.position)) {
            self.manifests.insert(manifest.position, manifest.clone());
        }
        for outcome in output.outcomes.iter().filter(|outcome| new(&outcome.position)) {
            self.outcomes.insert(outcome.position, outcome.clone());
        }
        self.boundaries.insert(output.shard, Boundary::of(output));
    }

    fn store_row(&mut self, output: &Output, at: usize, row: &ChargeRow) {
        let charges = &output.charges;
        let at_u32 = |index: u32| usize::try_from(index).unwrap_or(usize::MAX);
        let (Some(series), Some(source)) =
            (charges.series.get(at_u32(row.series)), charges.sources.get(at_u32(row.source)))
        else {
            return;
        };
        let series = Arc::new(series.clone());
        let (customer, subscription) = (series.customer.clone(), series.subscription.clone());
        let key = (series.tenant.clone(), PeriodKey { customer, subscription, start: series.start });
        let id = charges.id(at).to_owned();
        self.rows.entry(key).or_default().push(Row {
            series,
            shard: output.shard,
            row: *row,
            id,
            source: source.clone(),
        });
    }
}

fn period_of(manifest: &Manifest) -> PeriodKey {
    PeriodKey {
        customer: manifest.customer.clone(),
        subscription: manifest.subscription.clone(),
        start: manifest.period.start,
    }
}

fn charge(row: &Row) -> Charge {
    Charge {
        price: row.series.price.clone(),
        meter: row.series.meter.clone(),
        group: row.series.group.clone(),
        position: Position { shard: row.shard, offset: row.row.offset, index: row.row.index },
        event: row.row.event,
        source: row.source.to_string(),
        id: row.id.clone(),
        time: row.row.time,
        quantity: row.row.quantity,
        amount: row.row.amount,
        tier: row.row.tier,
        level: row.row.level,
    }
}

fn sums(rows: &[Row]) -> Result<Vec<Sum>, number::Error> {
    let mut sums: BTreeMap<(PriceId, Group, u32), Wide> = BTreeMap::new();
    for row in rows {
        let key = (row.series.price.clone(), row.series.group.clone(), row.row.tier);
        sums.entry(key).or_default().add_row(&row.row, &row.id);
    }
    let narrowed = sums.into_iter().map(|((price, group, row), wide)| {
        let (quantity, amount) = wide.narrow()?;
        Ok(Sum { price, group, row, count: wide.count, quantity, amount, hash: wide.hash })
    });
    narrowed.collect()
}

fn usage<'a>(rows: impl Iterator<Item = &'a Row>, query: &UsageQuery) -> Result<Vec<Usage>, number::Error> {
    let mut found: BTreeMap<(Series, Option<Instant>), (Usage, Wide)> = BTreeMap::new();
    for Row { series, row, .. } in rows {
        let fits = series.tenant == query.tenant
            && query.customer.as_ref().is_none_or(|customer| *customer == series.customer)
            && query.meter.as_ref().is_none_or(|meter| *meter == series.meter)
            && query.from.is_none_or(|from| row.time >= from)
            && query.until.is_none_or(|until| row.time < until);
        if !fits {
            continue;
        }
        let bucket = query.by.stretch(row.time);
        let empty = || Usage {
            customer: series.customer.clone(),
            subscription: series.subscription.clone(),
            period: series.start,
            bucket,
            meter: series.meter.clone(),
            price: series.price.clone(),
            group: series.group.clone(),
            count: 0,
            quantity: Quantity::ZERO,
            amount: Amount::ZERO,
        };
        let place = found.entry((Series::clone(series), bucket));
        place.or_insert_with(|| (empty(), Wide::default())).1.add(
            u64::from(row.event.is_event()),
            row.quantity,
            row.amount,
        );
    }
    let narrowed = found.into_values().map(|(usage, wide)| {
        let (quantity, amount) = wide.narrow()?;
        Ok(Usage { count: wide.count, quantity, amount, ..usage })
    });
    narrowed.collect()
}
