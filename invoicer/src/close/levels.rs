//! Levels so far: what a close would settle of `time_weighted` prices if it came at log time. The rows of a period tell its
//! level at any time, so what the fold will do at the close is done here on what is stored. All of a period's settling is
//! taken from one reading, so that a close which comes meanwhile is seen whole.

use super::desk::{Customer, Desk};
use super::verify;
use pricing::group::Group;
use pricing::id::{PriceId, TenantId};
use pricing::meter::{Aggregate, Levels, Moment};
use pricing::number::{self, Amount, Quantity};
use pricing::period::{Period, Share};
use pricing::plan::{PlanVersion, Price};
use pricing::price::Terms;
use pricing::subscription::Term;
use pricing::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};
use storage::charges::{Charge, Charges, Error, ExplainQuery, PeriodKey};
use storage::output::EventPlace;
use storage::shard::{Offset, Position, Shard};

/// Charges that are opened at once.
const PAGE: usize = 10_000;
/// How long a close may wait for its turn: there are only so many a Tick.
const CLOSING: Span = Span::from_days(1);

/// No row stands there: that of a charge which only a close will make.
const NOWHERE: Position = Position { shard: Shard(u16::MAX), offset: Offset(u64::MAX), index: u32::MAX };

/// What the rows of one price hold.
#[derive(Default)]
struct Rows {
    /// Those that are more than a level: a close made them.
    settled: Vec<Charge>,
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

/// A period that has begun and weighs levels, and whose levels no close has settled yet.
pub(crate) struct Running<'a> {
    pub(crate) key: PeriodKey,
    period: Period,
    term: &'a Term,
    share: Share,
    /// The prices that weigh levels, with the nanoseconds of their units of time.
    prices: Vec<(&'a Price, i64)>,
}

/// Whether a charge stands nowhere yet: a close will make one like it.
pub(crate) fn is_to_come(charge: &Charge) -> bool {
    charge.position == NOWHERE
}

/// The periods among these that are [`Running`]. To be asked before what they hold is read: what closes in between is seen
/// by [`Running::settled`], and what closed before stands in the store.
///
/// # Errors
/// Those of the store.
pub(crate) async fn running<'a>(
    charges: &dyn Charges,
    tenant: &TenantId,
    (desk, customer): (&'a Desk, &'a Customer),
    keys: impl IntoIterator<Item = PeriodKey>,
    now: Instant,
) -> Result<Vec<Running<'a>>, Error> {
    let begun = keys.into_iter().filter_map(|key| Running::of(desk, customer, key, now));
    let mut running: Vec<Running<'_>> = begun.collect();
    if !running.is_empty() {
        let keys: Vec<PeriodKey> = running.iter().map(|one| one.key.clone()).collect();
        let closed = charges.newest(tenant, &keys).await?;
        let closed: BTreeSet<PeriodKey> = closed.iter().map(verify::key).collect();
        running.retain(|one| !closed.contains(&one.key));
    }
    Ok(running)
}

/// The periods of a customer that may not have closed yet, while the store is at this log time.
pub(crate) fn open_periods<'a>(
    desk: &'a Desk,
    customer: &'a Customer,
    reached: Instant,
    now: Instant,
) -> impl Iterator<Item = PeriodKey> + 'a {
    let since = reached.min(now).minus(desk.terms.grace).minus(CLOSING);
    customer.subscriptions.iter().flat_map(move |subscription| {
        let periods = subscription.periods_from(since).map(|(period, ..)| period.start);
        let begun = periods.take_while(move |start| *start < now).filter(|start| subscription.is_billed(*start));
        begun.map(|start| PeriodKey {
            customer: customer.party.id.clone(),
            subscription: subscription.id.clone(),
            start,
        })
    })
}

/// The nanoseconds of a price's unit of time; none where its meter weighs no levels.
fn unit(plan: &PlanVersion, price: &Price, share: Share) -> Option<i64> {
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
        query.after = page.last().map(|charge| (charge.time, charge.position));
        let is_last = page.len() < PAGE;
        for charge in page {
            rows.add(charge).map_err(|error| Error::Overflow { reason: error.to_string() })?;
        }
        if is_last {
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
    let Rows { groups, mut quantity, mut amount, .. } = rows;
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

// === impl Running ===

impl<'a> Running<'a> {
    fn of(desk: &'a Desk, customer: &'a Customer, key: PeriodKey, now: Instant) -> Option<Self> {
        let subscription = customer.subscriptions.iter().find(|one| one.id == key.subscription)?;
        let (period, term, share) = subscription.period_starting(key.start)?;
        let plan = desk.plans.get(&term.plan).filter(|_| period.start < now)?;
        let weighed = plan.prices.iter().filter_map(|price| Some((price, unit(plan, price, share)?)));
        let prices: Vec<_> = weighed.collect();
        (!prices.is_empty()).then_some(Self { key, period, term, share, prices })
    }

    /// Whether a price weighs levels.
    pub(crate) fn weighs(&self, price: &PriceId) -> bool {
        self.prices.iter().any(|(weighed, _)| weighed.id == *price)
    }

    /// All that the period's levels come to, as of one moment: what a close settled, should it have come by now, and what
    /// one at `now` would add to that, as charges that stand nowhere. What it could not settle is left out, as a close
    /// does.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn settled(
        &self,
        charges: &dyn Charges,
        tenant: &TenantId,
        now: Instant,
    ) -> Result<Vec<Charge>, Error> {
        let mut found = Vec::new();
        for (price, unit) in &self.prices {
            let Ok(terms) = Terms::new(price, self.term.overrides.get(&price.id), self.share) else { continue };
            let mut rows = rows(charges, tenant, &self.key, price).await?;
            found.append(&mut rows.settled);
            found.extend(settled(price, &terms, rows, (self.period, *unit), now));
        }
        Ok(found)
    }
}

// === impl Rows ===

impl Rows {
    /// Rows come by time, then position: of those that say what the period begins with, the newest stays.
    fn add(&mut self, charge: Charge) -> Result<(), number::Error> {
        let stored = self.groups.entry(charge.group.clone()).or_default();
        if let Some(level) = charge.level {
            stored.levels.insert(Moment { time: charge.time, id: &charge.id, source: &charge.source }, level);
        }
        stored.quantity = stored.quantity.add(charge.quantity)?;
        stored.amount = stored.amount.add(charge.amount)?;
        self.quantity = self.quantity.add(charge.quantity)?;
        self.amount = self.amount.add(charge.amount)?;
        if !charge.quantity.is_zero() || !charge.amount.is_zero() {
            self.settled.push(charge);
        }
        Ok(())
    }
}
