//! Pricing one event: check everything first, then apply.

use super::Fold;
use super::arrival::{Arrival, Verdict};
use super::catalog::Tenant;
use super::customer::{Customer, Place};
use super::emit::{Emit, Owner, Row};
use super::level::{self, Touch};
use super::route::{Cache, Kind, Routed};
use pricing::meter::{Change, Reading};
use pricing::number::Quantity;
use pricing::price::Charge;
use pricing::time::Instant;

/// What an event does to one price.
pub(super) struct Hit<'e> {
    sub: usize,
    period: usize,
    start: Instant,
    price: usize,
    group: usize,
    step: Step<'e>,
    charge: Charge,
}

/// What an event does to a meter's state.
#[derive(Clone, Copy)]
enum Step<'e> {
    Change(Change<'e>),
    /// Nothing yet: what the level weighs is settled at the close.
    Level(Quantity),
}

/// What was found beside hits.
#[derive(Default)]
struct Found {
    is_inside: bool,
    is_billed: bool,
    /// Nothing but where it is billed.
    levels: Vec<level::Change>,
}

// === impl Fold ===

impl Fold {
    /// Prices an event of a known customer.
    #[inline]
    pub(super) fn price<'e>(
        &mut self,
        arrival: &Arrival<'e, '_>,
        (tenant, customer): (usize, usize),
        kind: Kind,
        source: &mut Option<u32>,
        hits: &mut Vec<Hit<'e>>,
    ) -> Verdict {
        hits.clear();
        let Self { customers, tenants, cache, emit, .. } = self;
        let Some((tenant_state, state)) = tenants.get_mut(tenant).zip(customers.get_mut(customer)) else {
            return Verdict::Parked("the customer is unknown; declare it and its subscriptions");
        };
        let found = state.check(arrival, kind, cache, hits);
        let touches = found.and_then(|mut found| {
            if found.is_billed && tenant_state.has_levels(arrival.event_type) {
                state.find_unpriced_levels(tenant_state, arrival, !hits.is_empty(), &mut found.levels)?;
            }
            let touches = state.check_levels(arrival, &found.levels)?;
            Ok((found, touches))
        });
        let number = u32::try_from(customer).unwrap_or(u32::MAX);
        keep_new(tenant_state, number, state);
        let (found, touches) = match touches {
            Ok(checked) => checked,
            Err(reason) => return Verdict::Rejected(reason),
        };
        let verdict = if hits.is_empty() {
            uncharged(arrival, tenant_state, state, &found)
        } else {
            let source = *source.get_or_insert_with(|| emit.source(arrival.source));
            let row = Row { event: arrival.place, id: arrival.id, source, time: arrival.time, level: None };
            apply(tenant_state, (number, state), hits, &row, emit);
            Verdict::Charged
        };
        if !found.levels.is_empty() {
            apply_levels(tenant_state, (number, state), arrival, &found.levels, &touches, emit);
        }
        verdict
    }
}

/// Notes the closed periods whose state is new, so that it goes when its time comes.
pub(super) fn keep_new(tenant: &mut Tenant, number: u32, customer: &mut Customer) {
    for (at, sub) in (0u32..).zip(&mut customer.subscriptions) {
        if !sub.is_fresh {
            continue;
        }
        sub.is_fresh = false;
        let closed = sub.periods.iter().filter(|state| state.closed.is_some());
        tenant.kept.extend(closed.map(|state| (state.period.end, number, at, state.period.start)));
    }
}

fn apply(
    tenant: &mut Tenant,
    (number, customer): (u32, &mut Customer),
    hits: &[Hit<'_>],
    row: &Row<'_>,
    emit: &mut Emit,
) {
    let Customer { id, subscriptions, .. } = customer;
    for hit in hits {
        let Some(sub) = subscriptions.get_mut(hit.sub) else { continue };
        let owner = Owner { tenant: &tenant.name, customer: id, subscription: &sub.declared.id };
        // A level change may have begun other periods' states since the hit was found.
        let is_there = sub.periods.get(hit.period).is_some_and(|state| state.period.start == hit.start);
        let period =
            if is_there { hit.period } else { sub.periods.partition_point(|state| state.period.start < hit.start) };
        let Some(state) = sub.periods.get_mut(period) else { continue };
        let level = if let Step::Level(level) = hit.step { Some(level) } else { None };
        let step = |meter: &mut pricing::meter::State| {
            if let Step::Change(change) = hit.step {
                meter.apply(change);
            }
        };
        state.apply((hit.price, hit.group), &hit.charge, step, owner, &Row { level, ..*row }, emit);
        if state.closed.is_some() {
            let sub = u32::try_from(hit.sub).unwrap_or(u32::MAX);
            tenant.mark_changed(number, sub, state);
        }
    }
}

fn apply_levels(
    tenant: &mut Tenant,
    (number, customer): (u32, &mut Customer),
    arrival: &Arrival<'_, '_>,
    changes: &[level::Change],
    touches: &[Touch],
    emit: &mut Emit,
) {
    for change in changes {
        customer.insert_level(change, arrival.moment());
    }
    for touch in touches {
        let Some(sub) = customer.subscriptions.get(touch.sub) else { continue };
        let (id, subscription) = (customer.id.clone(), sub.declared.id.clone());
        let owner = Owner { tenant: &tenant.name, customer: &id, subscription: &subscription };
        customer.apply_touch(touch, owner, emit);
        let sub = u32::try_from(touch.sub).unwrap_or(u32::MAX);
        let states = customer.subscriptions.get_mut(touch.sub).into_iter().flat_map(|sub| &mut sub.periods);
        for state in states.filter(|state| state.period.start == touch.start) {
            tenant.mark_changed(number, sub, state);
        }
    }
    for change in changes {
        customer.open_again(tenant, number, change, arrival.moment(), emit);
    }
}

/// What becomes of an event that no price takes.
#[cold]
fn uncharged(arrival: &Arrival<'_, '_>, tenant: &Tenant, customer: &Customer, found: &Found) -> Verdict {
    let of_type = || tenant.meters.iter().filter(|meter| *meter.event == *arrival.event_type);
    if of_type().next().is_none() && !customer.plans().any(|plan| plan.reads(arrival.event_type)) {
        return Verdict::Parked("no meter reads events of this type; declare one");
    }
    if !found.is_inside {
        return Verdict::Parked("the customer has no subscription at that time; declare one");
    }
    if !found.is_billed {
        return Verdict::NotBackfilled(
            "the time lies before the subscription's first billed period; `backfill: true` bills earlier ones"
                .to_owned(),
        );
    }
    let unpriced = of_type().find(|meter| meter.filter.admits(|name| arrival.property(name)));
    match unpriced.map(|meter| &meter.id) {
        Some(meter) => Verdict::Unpriced(format!("meter {meter} counts it, but no price of the plan names the meter")),
        None => Verdict::Unmetered,
    }
}

// === impl Customer ===

impl Customer {
    /// Finds the prices that take an event, and checks each.
    #[inline]
    fn check<'e>(
        &mut self,
        arrival: &Arrival<'e, '_>,
        kind: Kind,
        cache: &mut Cache,
        hits: &mut Vec<Hit<'e>>,
    ) -> Result<Found, String> {
        let mut found = Found::default();
        for at in 0..self.subscriptions.len() {
            let Some(sub) = self.subscriptions.get_mut(at) else { continue };
            let period = match sub.place(arrival.time).map_err(|error| error.to_string())? {
                Place::Outside => continue,
                Place::Unbilled => {
                    found.is_inside = true;
                    continue;
                }
                Place::Billed(period) => period,
            };
            (found.is_inside, found.is_billed) = (true, true);
            let Some(state) = sub.periods.get(period) else { continue };
            let Some(bound) = &state.bound else { continue };
            if !bound.filter.0.is_empty() && !bound.filter.admits(|name| arrival.property(name)) {
                continue;
            }
            for routed in cache.route(&bound.plan, kind, arrival.event_type, arrival.names) {
                if routed.admits(arrival.values) {
                    let hit = self.check_price(arrival, (at, period), routed, &mut found.levels)?;
                    hits.extend(hit);
                }
            }
        }
        Ok(found)
    }

    #[inline]
    fn check_price<'e>(
        &mut self,
        arrival: &Arrival<'e, '_>,
        (sub, period): (usize, usize),
        routed: &Routed,
        levels: &mut Vec<level::Change>,
    ) -> Result<Option<Hit<'e>>, String> {
        let price = routed.price;
        let Some(state) = self.subscriptions.get_mut(sub).and_then(|sub| sub.periods.get_mut(period)) else {
            return Ok(None);
        };
        let Some(priced) = state.bound.as_ref().and_then(|bound| bound.plan.prices.get(price)) else { return Ok(None) };
        let value = routed.value.and_then(|column| arrival.values.get(column)).copied();
        let reading = priced.meter.read_value(value).map_err(|error| error.to_string())?;
        let group = state.group(price, &routed.group_by, arrival.values);
        if routed.is_weighted {
            return self.check_level_price(arrival, (sub, period, price, group), reading, levels).map(Some);
        }
        let start = state.period.start;
        let property = |name: &str| arrival.property(name);
        let Some(meter) = state.meter(price, group) else { return Ok(None) };
        let change = meter.preview(reading, arrival.moment()).map_err(|error| error.to_string())?;
        let charge = state.charge(price, group, change.quantity, property).map_err(|error| error.to_string())?;
        Ok(Some(Hit { sub, period, start, price, group, step: Step::Change(change), charge }))
    }

    /// A level change writes a row of nothing now; what it weighs is settled at the close.
    fn check_level_price<'e>(
        &mut self,
        arrival: &Arrival<'e, '_>,
        (sub, period, price, group): (usize, usize, usize, usize),
        reading: Reading<'e>,
        levels: &mut Vec<level::Change>,
    ) -> Result<Hit<'e>, String> {
        let missing = || "the period is not there".to_owned();
        let sub_state = self.subscriptions.get(sub).ok_or_else(missing)?;
        let state = sub_state.periods.get(period).ok_or_else(missing)?;
        let bound = state.bound.as_ref().ok_or_else(missing)?;
        let meter = &bound.plan.prices.get(price).ok_or_else(missing)?.meter;
        let change = level::Change {
            meter: meter.clone(),
            filter: bound.filter.clone(),
            group: meter.group(|name| arrival.property(name)),
            level: reading.value().unwrap_or_default(),
        };
        self.check_level((&change, meter.as_ref()), arrival.moment(), (state, price, group))?;
        let quantity = state.meter(price, group).map(pricing::meter::State::quantity).unwrap_or_default();
        let charge = state.charge(price, group, quantity, |_| None).map_err(|error| error.to_string())?;
        let start = state.period.start;
        let step = Step::Level(change.level);
        level::note(levels, change);
        Ok(Hit { sub, period, start, price, group, step, charge })
    }

    /// What level changes do to closed periods.
    fn check_levels(&mut self, arrival: &Arrival<'_, '_>, levels: &[level::Change]) -> Result<Vec<Touch>, String> {
        let mut touches = Vec::new();
        for change in levels {
            touches.extend(self.touches(change, arrival.moment())?);
        }
        Ok(touches)
    }
}
