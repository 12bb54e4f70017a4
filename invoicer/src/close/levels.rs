//! Levels so far: what a close would settle of `time_weighted` prices if it came at log time. The rows of a period tell its
//! level at any time, so what the fold will do at the close is done here on what is stored.

use super::desk::{Customer, Desk};
use pricing::group::Group;
use pricing::id::TenantId;
use pricing::meter::{Aggregate, Levels, Moment};
use pricing::number::{self, Amount, Quantity};
use pricing::period::Period;
use pricing::plan::{PlanVersion, Price};
use pricing::price::Terms;
use pricing::time::Instant;
use std::collections::BTreeMap;
use storage::charges::{Charge, Charges, Error, ExplainQuery, PeriodKey};
use storage::output::EventPlace;
use storage::shard::{Offset, Position, Shard};

/// Charges that are opened at once.
const PAGE: usize = 10_000;

/// No row stands there: that of a charge which only a close will make.
const NOWHERE: Position = Position { shard: Shard(u16::MAX), offset: Offset(u64::MAX), index: u32::MAX };

/// What the rows of one price hold.
#[derive(Default)]
struct Rows {
    groups: BTreeMap<Group, Stored>,
    quantity: Quantity,
    amount: Amount,
}

/// What the rows of one group hold.
#[derive(Default)]
struct Stored {
    levels: Levels,
    quantity: Quantity,
    amount: Amount,
}

/// Whether a charge stands nowhere yet: a close will make one like it.
pub(crate) fn is_to_come(charge: &Charge) -> bool {
    charge.position == NOWHERE
}

/// What a close at `now` would charge for the levels of a period, as charges that stand nowhere: none where the period has
/// closed, or begins later. What it could not settle is left out, as a close does.
///
/// # Errors
/// Those of the store.
pub(crate) async fn so_far(
    charges: &dyn Charges,
    tenant: &TenantId,
    (desk, customer): (&Desk, &Customer),
    key: &PeriodKey,
    now: Instant,
) -> Result<Vec<Charge>, Error> {
    let mut found = Vec::new();
    let subscription = customer.subscriptions.iter().find(|one| one.id == key.subscription);
    let Some((period, term, share)) = subscription.and_then(|one| one.period_starting(key.start)) else {
        return Ok(found);
    };
    let Some(plan) = desk.plans.get(&term.plan).filter(|_| period.start < now) else { return Ok(found) };
    let weighted = plan.prices.iter().filter_map(|price| Some((price, unit(plan, price, share)?)));
    let weighted: Vec<(&Price, i64)> = weighted.collect();
    if weighted.is_empty() || !charges.newest(tenant, std::slice::from_ref(key)).await?.is_empty() {
        return Ok(found);
    }
    for (price, unit) in weighted {
        let Ok(terms) = Terms::new(price, term.overrides.get(&price.id), share) else { continue };
        let rows = rows(charges, tenant, key, price).await?;
        found.extend(settled(price, &terms, rows, (period, unit), now));
    }
    Ok(found)
}

/// The nanoseconds of a price's unit of time; none where its meter weighs no levels.
fn unit(plan: &PlanVersion, price: &Price, share: pricing::period::Share) -> Option<i64> {
    match plan.meters.get(&price.meter)?.aggregate {
        Aggregate::TimeWeighted(unit) => Some(unit.nanos(share)),
        _ => None,
    }
}

async fn rows(charges: &dyn Charges, tenant: &TenantId, key: &PeriodKey, price: &Price) -> Result<Rows, Error> {
    let mut rows = Rows::default();
    let mut query = ExplainQuery::all(tenant.clone(), key.clone(), PAGE);
    query.price = Some(price.id.clone());
    loop {
        let page = charges.explain(&query).await?;
        for charge in &page {
            rows.add(charge).map_err(|error| Error::Overflow { reason: error.to_string() })?;
        }
        query.after = page.last().map(|charge| (charge.time, charge.position));
        if page.len() < PAGE {
            return Ok(rows);
        }
    }
}

/// Group by group, in the order in which the fold settles them.
fn settled(
    price: &Price,
    terms: &Terms<'_>,
    rows: Rows,
    (period, unit): (Period, i64),
    now: Instant,
) -> impl Iterator<Item = Charge> {
    let to = now.min(period.end);
    let Rows { groups, mut quantity, mut amount } = rows;
    groups.into_iter().filter_map(move |(group, stored)| {
        let weighed = stored.levels.weighted(period.start, to, unit).ok()?;
        let more = weighed.sub(stored.quantity).ok()?;
        let (before, after) =
            if terms.per_group { (stored.amount, weighed) } else { (amount, quantity.add(more).ok()?) };
        let cost = terms.amount(after).ok()??.sub(before).ok()?;
        if more.is_zero() && cost.is_zero() {
            return None;
        }
        (quantity, amount) = (quantity.add(more).ok()?, amount.add(cost).ok()?);
        Some(Charge {
            price: price.id.clone(),
            meter: price.meter.clone(),
            group,
            position: NOWHERE,
            event: EventPlace { offset: NOWHERE.offset, index: NOWHERE.index },
            source: String::new(),
            id: String::new(),
            time: Instant::from_nanos(to.nanos().saturating_sub(1)),
            quantity: more,
            amount: cost,
            tier: terms.tier(after),
            level: None,
        })
    })
}

// === impl Rows ===

impl Rows {
    /// Rows come by time, then position: of those that say what the period begins with, the newest stays.
    fn add(&mut self, charge: &Charge) -> Result<(), number::Error> {
        let stored = self.groups.entry(charge.group.clone()).or_default();
        if let Some(level) = charge.level {
            stored.levels.insert(Moment { time: charge.time, id: &charge.id, source: &charge.source }, level);
        }
        stored.quantity = stored.quantity.add(charge.quantity)?;
        stored.amount = stored.amount.add(charge.amount)?;
        self.quantity = self.quantity.add(charge.quantity)?;
        self.amount = self.amount.add(charge.amount)?;
        Ok(())
    }
}
