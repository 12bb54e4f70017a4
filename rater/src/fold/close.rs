//! What happens when log time moves: periods close, manifests are renewed, what can no longer change is forgotten.

use super::arrive::{Account, Origin};
use super::catalog::Tenant;
use super::emit::{Emit, Owner};
use super::park::Stored;
use super::period;
use super::{Fold, customer};
use crate::ids::Day;
use pricing::id::TenantId;
use pricing::period::Period;
use pricing::time::{Instant, Span};
use std::ops::Range;
use storage::output::{Manifest, OutcomeKind};
use storage::shard::Offset;

/// Periods that one Tick closes at most, and manifests that it renews.
const CLOSES_MAX: usize = 10_000;
/// Parked events that one record looks at again at most.
const RETRIES_MAX: usize = 10_000;
/// How often a manifest is renewed at most.
const RENEWAL: Span = Span::from_hours(1);

// === impl Tenant ===

impl Tenant {
    /// Notes that a closed period wants a new manifest.
    pub(super) fn mark_changed(&mut self, customer: u32, sub: u32, state: &mut period::State) {
        let Period { start, end } = state.period;
        let Some(closed) = &mut state.closed else { return };
        if !closed.is_changed {
            closed.is_changed = true;
            self.changed.insert((closed.at.plus(RENEWAL), customer, sub, start));
            self.kept.insert((end, customer, sub, start));
        }
    }
}

// === impl Fold ===

impl Fold {
    /// Log time moves; never back.
    pub(super) fn tick(&mut self, time: Instant) {
        if time <= self.log_time {
            return;
        }
        self.log_time = time;
        self.today = Day::of(time);
        self.gate.advance(time);
        for tenant in &mut self.tenants {
            tenant.gate.advance(time);
        }
        let known_from = self.tenants.iter().map(|tenant| tenant.gate.ids_from()).min();
        self.ids.forget_before(known_from.unwrap_or(self.gate.ids_from()));
        self.release_waiting();
        self.expire_parked();
        self.retry_some();
        (0..self.tenants.len()).for_each(|tenant| self.open_due(tenant));
        let mut left = CLOSES_MAX;
        for tenant in 0..self.tenants.len() {
            self.close_due(tenant, &mut left);
        }
        for tenant in 0..self.tenants.len() {
            self.renew_due(tenant, &mut left);
            self.forget_ended(tenant);
        }
    }

    /// True while the latest Tick has left something for the next.
    pub(super) fn is_due(&self) -> bool {
        let is_due = |tenant: &Tenant| {
            let close = tenant.closing.first().is_some_and(|(end, _, _)| end.plus(tenant.grace) <= self.log_time);
            let open = tenant.opening.first().is_some_and(|(start, _, _)| *start <= self.log_time);
            open || close || tenant.changed.first().is_some_and(|(due, _, _, _)| *due <= self.log_time)
        };
        self.tenants.iter().any(is_due)
    }

    /// Folds the events that log time has reached, by time, then in the order of the log.
    fn release_waiting(&mut self) {
        let (log_time, gate) = (self.log_time, self.gate);
        let gates = self.tenants.iter().map(|tenant| tenant.gate).chain([gate]);
        let furthest = gates.map(|gate| gate.waits_from(log_time)).max().unwrap_or(log_time);
        let reached: Vec<_> = self
            .waiting
            .before(furthest)
            .filter(|stored| {
                let tenant = self.tenant_index(stored.tenant.as_str()).and_then(|at| self.tenants.get(at));
                stored.time < tenant.map_or(gate, |tenant| tenant.gate).waits_from(log_time)
            })
            .map(|stored| (stored.time, stored.place))
            .collect();
        for place in reached {
            if let Some(stored) = self.waiting.remove(place) {
                self.judge_stored(&stored, Origin::Waiting);
            }
        }
    }

    /// Rejects what was parked for too long.
    fn expire_parked(&mut self) {
        for tenant in self.parked.tenants() {
            let past = self.account(&tenant, "").gate.past;
            for place in self.parked.older(&tenant, self.log_time.minus(past)) {
                let Some(stored) = self.parked.get(place).cloned() else { continue };
                self.reject_parked(&stored, past);
            }
        }
    }

    fn reject_parked(&mut self, stored: &Stored, past: Span) {
        let Some(key) = self.key else { return };
        let (names, values) = stored.columns();
        let arrival = stored.arrival(stored.hash(&key), &names, &values);
        self.parked.remove(stored.place);
        self.counters.parked -= 1;
        self.counters.rejected += 1;
        let reason = format!("nothing explained it within {past} after its time");
        self.emit.outcome(OutcomeKind::Rejected, &arrival, reason);
        let account = self.account(&stored.tenant, &stored.customer);
        self.parked_changed(&account, stored.time);
    }

    /// Looks again at parked events that a record may have explained, in the order of the log.
    pub(super) fn retry_some(&mut self) {
        for _ in 0..RETRIES_MAX {
            let Some(place) = self.parked.retry.pop_first() else { return };
            if let Some(stored) = self.parked.get(place).cloned() {
                self.judge_stored(&stored, Origin::Parked);
            }
        }
    }

    /// The parked events inside closed periods changed: their manifests say so.
    pub(super) fn parked_changed(&mut self, account: &Account, time: Instant) {
        let Some((tenant, customer)) = account.tenant.zip(account.customer) else { return };
        let Some((tenant, state)) = self.tenants.get_mut(tenant).zip(self.customers.get_mut(customer)) else { return };
        let number = u32::try_from(customer).unwrap_or(u32::MAX);
        for (at, sub) in (0u32..).zip(&mut state.subscriptions) {
            if time >= sub.closed_to || !sub.declared.is_billed(time) {
                continue;
            }
            let found = sub.declared.period_at(time).map(|(period, _, share)| (period, share));
            let Some((period, share)) = found.filter(|(period, _)| period.end <= sub.closed_to) else { continue };
            let Ok(index) = sub.begin(period, share) else { continue };
            if let Some(state) = sub.periods.get_mut(index) {
                tenant.mark_changed(number, at, state);
            }
        }
        super::charge::keep_new(tenant, number, state);
    }

    fn close_due(&mut self, tenant: usize, left: &mut usize) {
        while *left > 0 {
            let Some(state) = self.tenants.get_mut(tenant) else { return };
            let Some((end, customer, sub)) = state.closing.first().copied() else { return };
            if end.plus(state.grace) > self.log_time {
                return;
            }
            state.closing.pop_first();
            *left -= 1;
            self.close(tenant, customer, sub);
        }
    }

    /// Closes the next period of a subscription.
    fn close(&mut self, tenant: usize, customer: u32, sub: u32) {
        let Self { tenants, customers, parked, emit, log_time, .. } = self;
        let (Ok(at), Ok(sub_at)) = (usize::try_from(customer), usize::try_from(sub)) else { return };
        let Some((tenant, state)) = tenants.get_mut(tenant).zip(customers.get_mut(at)) else { return };
        let next = state.subscriptions.get(sub_at).and_then(customer::Sub::next_to_close);
        let Some((period, share)) = next else { return };
        let (id, name) = (state.id.clone(), state.subscriptions.get(sub_at).map(|sub| sub.declared.id.clone()));
        let Some(name) = name else { return };
        state.open_to(tenant, (customer, sub), period.start, emit);
        let owner = Owner { tenant: &tenant.name, customer: &id, subscription: &name };
        state.settle_levels(sub_at, period, share, owner, emit);
        let Some(sub_state) = state.subscriptions.get_mut(sub_at) else { return };
        (sub_state.closed_to, sub_state.closed_at) = (period.end, *log_time);
        let found = sub_state.periods.binary_search_by_key(&period.start, |state| state.period.start).ok();
        let kept = found.and_then(|found| sub_state.periods.get_mut(found));
        let entries = kept.as_ref().map(|state| state.sums()).unwrap_or_default();
        let unsettled = kept.as_ref().map_or(0, |state| state.held());
        if let Some(kept) = kept {
            kept.closed = Some(period::Closed::first(*log_time));
            tenant.kept.insert((period.end, customer, sub, period.start));
        }
        let held = parked.holding(&tenant.name, id.as_str(), period).saturating_add(unsettled);
        put_out(sub_state, owner, (period, 1), held, entries, emit);
        if let Some((next, _)) = sub_state.next_to_close() {
            tenant.closing.insert((next.end, customer, sub));
        }
    }

    fn renew_due(&mut self, tenant: usize, left: &mut usize) {
        while *left > 0 {
            let Some(state) = self.tenants.get_mut(tenant) else { return };
            let Some((due, customer, sub, start)) = state.changed.first().copied() else { return };
            if due > self.log_time {
                return;
            }
            state.changed.pop_first();
            *left -= 1;
            self.renew(tenant, customer, sub, start);
        }
    }

    /// Puts out a closed period's manifest anew.
    fn renew(&mut self, tenant: usize, customer: u32, sub: u32, start: Instant) {
        let Self { tenants, customers, parked, emit, log_time, .. } = self;
        let (Ok(at), Ok(sub)) = (usize::try_from(customer), usize::try_from(sub)) else { return };
        let Some((tenant, state)) = tenants.get(tenant).zip(customers.get_mut(at)) else { return };
        let Some(sub) = state.subscriptions.get_mut(sub) else { return };
        let found = sub.periods.binary_search_by_key(&start, |state| state.period.start).ok();
        let Some(kept) = found.and_then(|found| sub.periods.get_mut(found)) else { return };
        let (period, entries, unsettled) = (kept.period, kept.sums(), kept.held());
        let Some(closed) = &mut kept.closed else { return };
        *closed = period::Closed { revision: closed.revision.saturating_add(1), at: *log_time, is_changed: false };
        let revision = closed.revision;
        let owner = Owner { tenant: &tenant.name, customer: &state.id, subscription: &sub.declared.id };
        let held = parked.holding(&tenant.name, state.id.as_str(), period).saturating_add(unsettled);
        put_out(sub, owner, (period, revision), held, entries, emit);
    }

    /// Lets go of closed periods that no event can reach any more; one that changed says so first.
    fn forget_ended(&mut self, tenant: usize) {
        loop {
            let Some(state) = self.tenants.get_mut(tenant) else { return };
            let floor = state.gate.floor;
            let Some((end, customer, sub, start)) = state.kept.first().copied() else { return };
            if end > floor {
                return;
            }
            state.kept.pop_first();
            if let Some(due) = self.renewal_due(customer, sub, start) {
                if let Some(state) = self.tenants.get_mut(tenant) {
                    state.changed.remove(&(due, customer, sub, start));
                }
                self.renew(tenant, customer, sub, start);
            }
            self.forget(customer, sub, start, floor);
        }
    }

    /// From when on a changed period's manifest may be renewed.
    fn renewal_due(&self, customer: u32, sub: u32, start: Instant) -> Option<Instant> {
        let (customer, sub) = (usize::try_from(customer).ok()?, usize::try_from(sub).ok()?);
        let sub = self.customers.get(customer)?.subscriptions.get(sub)?;
        let at = sub.periods.binary_search_by_key(&start, |state| state.period.start).ok()?;
        let closed = sub.periods.get(at)?.closed.filter(|closed| closed.is_changed)?;
        Some(closed.at.plus(RENEWAL))
    }

    fn forget(&mut self, customer: u32, sub: u32, start: Instant, floor: Instant) {
        let (Ok(customer), Ok(sub)) = (usize::try_from(customer), usize::try_from(sub)) else { return };
        let Some(customer) = self.customers.get_mut(customer) else { return };
        if let Some(sub) = customer.subscriptions.get_mut(sub) {
            sub.periods.retain(|state| state.period.start != start);
            sub.hint = 0;
        }
        customer.forget_levels(floor);
    }

    /// A person lets bills go on without a customer's events that were parked, and without what could not be settled, up to
    /// the record whose outcome the person saw.
    pub(super) fn waive(&mut self, tenant: &TenantId, customer: &str, times: Range<Instant>, seen: Offset) {
        let account = self.account(tenant, customer);
        for time in self.parked.waive(tenant, customer, times.clone(), seen) {
            self.parked_changed(&account, time);
        }
        let Some((tenant, number)) = account.tenant.zip(account.customer) else { return };
        let Some((tenant, state)) = self.tenants.get_mut(tenant).zip(self.customers.get_mut(number)) else { return };
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        for (at, sub) in (0u32..).zip(&mut state.subscriptions) {
            for period in sub.periods.iter_mut().filter(|state| times.contains(&state.period.start)) {
                if period.waive(seen) {
                    tenant.mark_changed(number, at, period);
                }
            }
        }
    }
}

fn put_out(
    sub: &customer::Sub,
    owner: Owner<'_>,
    (period, revision): (Period, u32),
    parked: u64,
    entries: Vec<storage::output::Sum>,
    emit: &mut Emit,
) {
    let Some(term) = sub.declared.term_at(period.start) else { return };
    emit.manifest(|position| Manifest {
        tenant: owner.tenant.clone(),
        customer: owner.customer.clone(),
        subscription: owner.subscription.clone(),
        period,
        plan: term.plan.clone(),
        revision,
        position,
        parked,
        entries,
    });
}
