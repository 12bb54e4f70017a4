//! The level that a period begins with: a row says it as log time comes to the period, and another where a late change makes
//! it another. So the rows of a period tell its level at any time, before it closes and after.

use super::Fold;
use super::catalog::Tenant;
use super::customer::Customer;
use super::emit::{Emit, Owner};
use super::level::{self, Change};
use super::period;
use pricing::id::TenantId;
use pricing::meter::Moment;
use pricing::number::Quantity;
use pricing::period::{Period, Share};
use pricing::time::Instant;

/// Periods of one tenant that one record opens at most; those that close are opened before.
const OPENS_MAX: usize = 10_000;

// === impl Fold ===

impl Fold {
    /// Opens the periods that log time has come to.
    pub(super) fn open_due(&mut self, tenant: usize) {
        let Self { tenants, customers, emit, log_time, .. } = self;
        let Some(tenant) = tenants.get_mut(tenant) else { return };
        for _ in 0..OPENS_MAX {
            let Some((start, customer, sub)) = tenant.opening.first().copied() else { return };
            if start > *log_time {
                return;
            }
            tenant.opening.pop_first();
            if let Some(state) = usize::try_from(customer).ok().and_then(|at| customers.get_mut(at)) {
                state.open_to(tenant, (customer, sub), start, emit);
            }
        }
    }

    /// Opens what a record has declared and runs already: nothing is due that the latest Tick did not get to.
    pub(super) fn open_begun(&mut self, tenant: &TenantId) {
        if let Some(tenant) = self.tenant_index(tenant.as_str()) {
            self.open_due(tenant);
        }
    }
}

// === impl Customer ===

impl Customer {
    /// Opens a subscription's next periods, up to the one that begins at `last`.
    pub(super) fn open_to(&mut self, tenant: &mut Tenant, (number, sub): (u32, u32), last: Instant, emit: &mut Emit) {
        let Ok(at) = usize::try_from(sub) else { return };
        while let Some(state) = self.subscriptions.get_mut(at)
            && let Some((period, share)) = state.next_to_open()
        {
            if period.start > last {
                tenant.opening.insert((period.start, number, sub));
                return;
            }
            tenant.opening.remove(&(period.start, number, sub));
            state.opened = period.start;
            self.open(&tenant.name, at, (period, share), emit);
        }
    }

    /// Says again what periods begin with where a change has come between; they were opened before it came.
    pub(super) fn open_again(
        &mut self,
        tenant: &mut Tenant,
        number: u32,
        change: &Change,
        moment: Moment<'_>,
        emit: &mut Emit,
    ) {
        let Some(levels) = self.levels(&change.meter, &change.filter, &change.group) else { return };
        let (from, to) = levels.reach(moment);
        for at in 0..self.subscriptions.len() {
            let Some(sub) = self.subscriptions.get(at).filter(|sub| from < sub.opened) else { continue };
            let periods = sub.declared.periods_from(from.max(sub.declared.first_billed));
            let periods = periods.map(|(period, _, share)| (period, share)).filter(|(period, _)| period.start > from);
            let reached = |period: &Period| period.start <= sub.opened && to.is_none_or(|to| period.start <= to);
            let periods: Vec<_> = periods.take_while(|(period, _)| reached(period)).collect();
            for (period, share) in periods {
                if let Some(state) = self.open(&tenant.name, at, (period, share), emit) {
                    tenant.mark_changed(number, u32::try_from(at).unwrap_or(u32::MAX), state);
                }
            }
        }
    }

    /// Puts out the levels that a period begins with, as far as they are not what was put out before; the state where any was.
    fn open(
        &mut self,
        tenant: &TenantId,
        sub: usize,
        (period, share): (Period, Share),
        emit: &mut Emit,
    ) -> Option<&mut period::State> {
        let Self { id, levels, subscriptions, .. } = self;
        let sub = subscriptions.get_mut(sub)?;
        let name = sub.declared.id.clone();
        let owner = Owner { tenant, customer: id, subscription: &name };
        let bound = sub.term_index(period.start).and_then(|term| sub.bounds.get(term)).cloned()?;
        let mut opened = None;
        for price in 0..bound.plan.prices.len() {
            for series in levels.iter().filter(|one| level::is_read_by(&bound, price, &one.meter, &one.filter)) {
                let level = series.levels.before(period.start);
                let known = sub.periods.binary_search_by_key(&period.start, |state| state.period.start).ok();
                let known = known.and_then(|at| sub.periods.get(at));
                if level == known.map_or(Quantity::ZERO, |state| state.opening(price, &series.group)) {
                    continue;
                }
                let Ok(at) = sub.begin(period, share) else { continue };
                let Some(state) = sub.periods.get_mut(at) else { continue };
                let group = state.group_state(price, &series.group);
                // It costs nothing, so it fits where its period's quantity does.
                if state.open((price, group), level, owner, emit).is_ok() {
                    opened = Some(at);
                }
            }
        }
        opened.and_then(|at| sub.periods.get_mut(at))
    }
}
