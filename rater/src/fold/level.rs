//! Levels that hold until the next: what `time_weighted` meters keep across periods, and how it settles.

use super::arrival::Arrival;
use super::catalog::{Bound, Tenant, is_weighted};
use super::customer::{Customer, LevelSeries};
use super::emit::{Emit, Owner, Row};
use super::period;
use pricing::group::{Filter, Group};
use pricing::meter::{Aggregate, Levels, Meter, Moment};
use pricing::number::Quantity;
use pricing::period::{Period, Share};
use pricing::price::Charge;
use pricing::time::Instant;
use std::sync::Arc;

/// A level change on its way in.
pub(super) struct Change {
    pub(super) meter: Arc<Meter>,
    pub(super) filter: Filter,
    pub(super) group: Group,
    pub(super) level: Quantity,
}

/// What a late level change does to one price of a closed period.
pub(super) struct Touch {
    pub(super) sub: usize,
    pub(super) start: Instant,
    price: usize,
    group: Group,
    quantity: Quantity,
    charge: Charge,
}

/// Adds a change, unless it is there.
pub(super) fn note(changes: &mut Vec<Change>, change: Change) {
    let is_same = |known: &Change| {
        known.meter.gauge() == change.meter.gauge() && known.filter == change.filter && known.group == change.group
    };
    if !changes.iter().any(is_same) {
        changes.push(change);
    }
}

/// Which series a price reads.
pub(super) fn is_read_by(bound: &Bound, price: usize, meter: &Meter, filter: &Filter) -> bool {
    let priced = bound.plan.prices.get(price).filter(|priced| priced.is_weighted);
    priced.is_some_and(|priced| priced.meter.gauge() == meter.gauge()) && bound.filter == *filter
}

fn unit(meter: &Meter, share: Share) -> i64 {
    match meter.aggregate {
        Aggregate::TimeWeighted(unit) => unit.nanos(share),
        _ => 1,
    }
}

// === impl Customer ===

impl Customer {
    fn levels_at(&self, meter: &Meter, filter: &Filter, group: &Group) -> Result<usize, usize> {
        let key = (meter.gauge(), filter, group);
        self.levels.binary_search_by(|series| (series.meter.gauge(), &series.filter, &series.group).cmp(&key))
    }

    pub(super) fn levels(&self, meter: &Meter, filter: &Filter, group: &Group) -> Option<&Levels> {
        self.levels_at(meter, filter, group).ok().and_then(|at| self.levels.get(at)).map(|series| &series.levels)
    }

    /// Adds the level changes that no price takes at the event's time. A level outlives plans: those of another time may
    /// price it, closed periods among them, and so may a plan to come that names a meter in force.
    ///
    /// # Errors
    /// A meter in force that cannot read an event, where that `is_charged` by no price: an event that is charged is none
    /// the less charged for what a meter says that nobody sells.
    pub(super) fn find_unpriced_levels(
        &self,
        tenant: &Tenant,
        arrival: &Arrival<'_, '_>,
        is_charged: bool,
        changes: &mut Vec<Change>,
    ) -> Result<(), String> {
        let property = |name: &str| arrival.property(name);
        let reads =
            |meter: &Meter| is_weighted(meter) && *meter.event == *arrival.event_type && meter.filter.admits(property);
        let change = |meter: &Arc<Meter>, filter: &Filter| {
            let level = meter.read(property)?.value().unwrap_or_default();
            let (meter, filter, group) = (meter.clone(), filter.clone(), meter.group(property));
            Ok::<_, pricing::meter::Error>(Change { meter, filter, group, level })
        };
        let bounds = || self.subscriptions.iter().flat_map(|sub| &sub.bounds);
        let bounds = || bounds().filter(|bound| bound.filter.admits(property));
        for bound in bounds() {
            for priced in bound.plan.prices.iter().filter(|priced| reads(&priced.meter)) {
                if let Ok(change) = change(&priced.meter, &bound.filter) {
                    note(changes, change);
                }
            }
        }
        for meter in tenant.meters.iter().filter(|meter| reads(meter)) {
            let meter = Arc::new(meter.clone());
            for filter in bounds().map(|bound| &bound.filter).chain([&Filter::default()]) {
                match change(&meter, filter) {
                    Ok(change) => note(changes, change),
                    Err(error) if !is_charged => return Err(error.to_string()),
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Keeps a level change.
    pub(super) fn insert_level(&mut self, change: &Change, moment: Moment<'_>) {
        let at = match self.levels_at(&change.meter, &change.filter, &change.group) {
            Ok(at) => at,
            Err(at) => {
                let (meter, filter, group) = (change.meter.clone(), change.filter.clone(), change.group.clone());
                self.levels.insert(at, LevelSeries { meter, filter, group, levels: Levels::default() });
                at
            }
        };
        if let Some(series) = self.levels.get_mut(at) {
            series.levels.insert(moment, change.level);
        }
    }

    /// Forgets what no period that can still change reads.
    pub(super) fn forget_levels(&mut self, floor: Instant) {
        let starts = self.subscriptions.iter().filter_map(|sub| {
            let kept = sub.periods.first().map(|state| state.period.start);
            let next = sub.next_to_close().map(|(period, _)| period.start);
            kept.into_iter().chain(next).min()
        });
        let bound = starts.min().map_or(floor, |start| start.min(floor));
        for series in &mut self.levels {
            series.levels.forget_before(bound);
        }
    }

    /// Checks that a period's quantity with the change is one, by the price's own `meter`, and can be priced.
    pub(super) fn check_level(
        &self,
        (change, meter): (&Change, &Meter),
        moment: Moment<'_>,
        (state, price, group): (&period::State, usize, usize),
    ) -> Result<(), String> {
        let (Period { start, end }, unit) = (state.period, unit(meter, state.share()));
        let empty = Levels::default();
        let levels = self.levels(&change.meter, &change.filter, &change.group).unwrap_or(&empty);
        let quantity =
            levels.weighted_with(moment, change.level, start, end, unit).map_err(|error| error.to_string())?;
        state.charge(price, group, quantity, |_| None).map(drop).map_err(|error| error.to_string())
    }

    /// What a change does to the closed periods that it reaches. Only states that say nothing are begun.
    pub(super) fn touches(&mut self, change: &Change, moment: Moment<'_>) -> Result<Vec<Touch>, String> {
        let empty = Levels::default();
        let reach = self.levels(&change.meter, &change.filter, &change.group).unwrap_or(&empty).reach(moment);
        let mut touches = Vec::new();
        for sub in 0..self.subscriptions.len() {
            for (period, share) in self.closed_periods(sub, reach) {
                self.touch_period(sub, (period, share), change, moment, &mut touches)?;
            }
        }
        Ok(touches)
    }

    fn closed_periods(&self, sub: usize, (from, to): (Instant, Option<Instant>)) -> Vec<(Period, Share)> {
        let Some(sub) = self.subscriptions.get(sub) else { return Vec::new() };
        let from = from.max(sub.declared.first_billed);
        if from >= sub.closed_to {
            return Vec::new();
        }
        let periods = sub.declared.periods_from(from).map(|(period, _, share)| (period, share));
        periods.take_while(|(period, _)| period.end <= sub.closed_to && to.is_none_or(|to| period.start < to)).collect()
    }

    fn touch_period(
        &mut self,
        sub: usize,
        (period, share): (Period, Share),
        change: &Change,
        moment: Moment<'_>,
        touches: &mut Vec<Touch>,
    ) -> Result<(), String> {
        let text = |error: pricing::number::Error| error.to_string();
        let empty = Levels::default();
        let found = self.levels_at(&change.meter, &change.filter, &change.group).ok();
        let found = found.and_then(|at| self.levels.get(at)).map_or(&empty, |series| &series.levels);
        let Some(sub_state) = self.subscriptions.get_mut(sub) else { return Ok(()) };
        let bound = sub_state.term_index(period.start).and_then(|term| sub_state.bounds.get(term)).cloned();
        let Some(bound) = bound else { return Ok(()) };
        for price in 0..bound.plan.prices.len() {
            if !is_read_by(&bound, price, &change.meter, &change.filter) {
                continue;
            }
            let Some(priced) = bound.plan.prices.get(price) else { continue };
            let unit = unit(&priced.meter, share);
            let quantity = found.weighted_with(moment, change.level, period.start, period.end, unit).map_err(text)?;
            let at = sub_state.begin(period, share).map_err(text)?;
            let Some(state) = sub_state.periods.get_mut(at) else { continue };
            let group = state.group_state(price, &change.group);
            let charge = state.charge(price, group, quantity, |_| None).map_err(|error| error.to_string())?;
            let group = change.group.clone();
            touches.push(Touch { sub, start: period.start, price, group, quantity, charge });
        }
        Ok(())
    }

    /// Settles every level of a period at its close.
    pub(super) fn settle_levels(
        &mut self,
        sub: usize,
        period: Period,
        share: Share,
        owner: Owner<'_>,
        emit: &mut Emit,
    ) {
        if self.levels.is_empty() {
            return;
        }
        let Self { levels, subscriptions, .. } = self;
        let Some(sub) = subscriptions.get_mut(sub) else { return };
        let bound = sub.term_index(period.start).and_then(|term| sub.bounds.get(term)).cloned();
        let Some(bound) = bound else { return };
        for (price, priced) in bound.plan.prices.iter().enumerate() {
            for series in levels.iter().filter(|series| is_read_by(&bound, price, &series.meter, &series.filter)) {
                let weighed = series.levels.weighted(period.start, period.end, unit(&priced.meter, share));
                if weighed.as_ref().is_ok_and(Quantity::is_zero) {
                    continue;
                }
                let Ok(at) = sub.begin(period, share) else { continue };
                let Some(state) = sub.periods.get_mut(at) else { continue };
                let group = state.group_state(price, &series.group);
                let charge = weighed.map_err(pricing::price::Error::from).and_then(|quantity| {
                    let charge = state.charge(price, group, quantity, |_| None)?;
                    Ok((quantity, charge))
                });
                match charge {
                    Ok((quantity, charge)) => settle(state, (price, group), quantity, &charge, owner, emit),
                    // It was checked for the period that the level came in; this one is longer, or has more groups.
                    Err(error) => state.hold((price, group), &error, owner, emit),
                }
            }
        }
    }

    /// Does what was checked.
    pub(super) fn apply_touch(&mut self, touch: &Touch, owner: Owner<'_>, emit: &mut Emit) {
        let Some(sub) = self.subscriptions.get_mut(touch.sub) else { return };
        let Ok(at) = sub.periods.binary_search_by_key(&touch.start, |state| state.period.start) else { return };
        let Some(state) = sub.periods.get_mut(at) else { return };
        let group = state.group_state(touch.price, &touch.group);
        settle(state, (touch.price, group), touch.quantity, &touch.charge, owner, emit);
    }
}

/// Brings a group to its settled quantity, with a row of its own where that changes anything.
fn settle(
    state: &mut period::State,
    at: (usize, usize),
    quantity: Quantity,
    charge: &Charge,
    owner: Owner<'_>,
    emit: &mut Emit,
) {
    state.release(at);
    if charge.quantity.is_zero() && charge.amount.is_zero() {
        return;
    }
    let row = Row {
        event: emit.place(),
        id: "",
        source: emit.source(""),
        time: period::last_moment(state.period),
        level: None,
    };
    state.apply(at, charge, |meter| meter.settle(quantity), owner, &row, emit);
}
