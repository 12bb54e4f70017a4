//! The state of one subscription's period.

use super::catalog::Bound;
use super::emit::{Emit, Owner, Row, SeriesSlot};
use pricing::group::Group;
use pricing::meter;
use pricing::number::{self, Amount, Quantity};
use pricing::period::{Period, Share};
use pricing::price::{self, Charge, Limits, Terms};
use pricing::time::Instant;
use std::sync::Arc;
use storage::output::{Series, Sum};
use storage::shard::Offset;

/// One period that something was charged to, or that was settled.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct State {
    pub(super) period: Period,
    elapsed: i64,
    full: i64,
    /// By the plan's prices.
    limits: Vec<Limits>,
    /// By the plan's prices; none before the first charge.
    pub(super) prices: Vec<Option<Box<PriceState>>>,
    pub(super) closed: Option<Closed>,
    /// What the period's term sells; always there.
    #[serde(skip)]
    pub(super) bound: Option<Arc<Bound>>,
}

/// A period that is closed.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(super) struct Closed {
    /// The newest manifest's.
    pub(super) revision: u32,
    /// Log time of the newest manifest.
    pub(super) at: Instant,
    /// It waits for a new manifest.
    pub(super) is_changed: bool,
}

/// One price in one period.
#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(super) struct PriceState {
    /// Σ over the groups.
    quantity: Quantity,
    /// F of it, unless the price is per group.
    state: price::State,
    /// By group.
    pub(super) groups: Vec<GroupState>,
}

/// One group of one price.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct GroupState {
    pub(super) group: Group,
    pub(super) meter: meter::State,
    /// F of the group, with `per_group`.
    state: price::State,
    /// What was put out, by the table's row.
    totals: Vec<Totals>,
    /// What it should come to could not be computed: it holds the period's bill back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_held: bool,
    /// Since which record.
    #[serde(default, skip_serializing_if = "is_first")]
    held_at: Offset,
    /// The level that it begins with, as it was put out.
    #[serde(default, skip_serializing_if = "Quantity::is_zero")]
    opening: Quantity,
    #[serde(skip)]
    series: SeriesSlot,
}

fn is_first(offset: &Offset) -> bool {
    *offset == Offset(0)
}

/// Sums over the rows that were put out.
#[derive(Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
struct Totals {
    row: u32,
    count: u64,
    quantity: Quantity,
    amount: Amount,
    hash: u64,
}

// === impl Closed ===

impl Closed {
    pub(super) const fn first(at: Instant) -> Self {
        Self { revision: 1, at, is_changed: false }
    }
}

// === impl State ===

impl State {
    pub(super) fn new(
        period: Period,
        share: Share,
        bound: Option<Arc<Bound>>,
        closed: Option<Closed>,
    ) -> Result<Self, number::Error> {
        let mut state = Self {
            period,
            elapsed: share.elapsed,
            full: share.full,
            limits: Vec::new(),
            prices: Vec::new(),
            closed,
            bound,
        };
        state.limits = state.limits_for(share)?;
        state.prices.resize_with(state.limits.len(), || None);
        Ok(state)
    }

    /// Reads what pricing will read, one step deeper for each `depth`, so that it is near.
    #[inline]
    pub(super) fn read_ahead(&self, depth: usize) -> usize {
        let Some(slot) = self.prices.first() else { return 0 };
        match depth {
            0 => usize::from(slot.is_some()) ^ self.bound.as_ref().map_or(0, |bound| bound.filter.0.len()),
            1 => slot.as_ref().map_or(0, |slot| slot.groups.len()),
            2 => slot.iter().flat_map(|slot| &slot.groups).take(4).map(|group| group.totals.len()).sum(),
            3 => {
                let groups = slot.iter().flat_map(|slot| &slot.groups).take(4);
                let rows = groups.filter_map(|group| Some((group.totals.first()?.count, group.group.0.first())));
                let read = rows.map(|(count, name)| count ^ name.map_or(0, |(_, value)| u64::from(value.is_empty())));
                usize::try_from(read.fold(0, |read, one| read ^ one)).unwrap_or(0)
            }
            _ => {
                let groups =
                    slot.iter().flat_map(|slot| &slot.groups).take(4).filter_map(|group| group.group.0.first());
                groups.map(|(_, value)| value.as_bytes().first().copied().map_or(0, usize::from)).sum()
            }
        }
    }

    fn limits_for(&self, share: Share) -> Result<Vec<Limits>, number::Error> {
        let bound = self.bound.iter();
        bound.flat_map(|bound| &bound.plan.prices).map(|priced| Limits::new(&priced.price, share)).collect()
    }

    pub(super) fn share(&self) -> Share {
        Share { elapsed: self.elapsed, full: self.full }
    }

    /// The group of an event, new where there is none. `columns` are those of the meter's `group_by`.
    #[inline]
    pub(super) fn group(&mut self, price: usize, columns: &[Option<usize>], values: &[&str]) -> usize {
        let Some((slot, meter)) = self.slot(price) else { return 0 };
        let value = |column: &Option<usize>| column.and_then(|at| values.get(at)).copied().unwrap_or_default();
        let order = |state: &GroupState| {
            let orders = state.group.0.iter().zip(columns).map(|((_, kept), column)| (**kept).cmp(value(column)));
            orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        };
        match slot.groups.first() {
            // A row of the whole price stands under the empty group, which is no event's.
            Some(first) if first.group.0.len() == columns.len() && order(first).is_eq() => return 0,
            _ => {}
        }
        match slot.groups.binary_search_by(|state| state.group.0.len().cmp(&columns.len()).then_with(|| order(state))) {
            Ok(at) => at,
            Err(at) => {
                let names = meter.group_by.iter().cloned();
                let group = if columns.is_empty() {
                    Group::default()
                } else {
                    Group(names.zip(columns.iter().map(|column| Arc::from(value(column)))).collect())
                };
                slot.groups.insert(at, GroupState::new(group, meter));
                at
            }
        }
    }

    /// The state of a group, new where there is none.
    pub(super) fn group_state(&mut self, price: usize, group: &Group) -> usize {
        let Some((slot, meter)) = self.slot(price) else { return 0 };
        match slot.groups.binary_search_by(|state| state.group.cmp(group)) {
            Ok(at) => at,
            Err(at) => {
                slot.groups.insert(at, GroupState::new(group.clone(), meter));
                at
            }
        }
    }

    #[inline]
    fn slot(&mut self, price: usize) -> Option<(&mut PriceState, &meter::Meter)> {
        let meter = &self.bound.as_ref()?.plan.prices.get(price)?.meter;
        let slot = self.prices.get_mut(price)?.get_or_insert_with(Box::default);
        Some((slot, meter))
    }

    /// The meter's state of a group.
    #[inline]
    pub(super) fn meter(&self, price: usize, group: usize) -> Option<&meter::State> {
        self.prices.get(price)?.as_ref()?.groups.get(group).map(|state| &state.meter)
    }

    /// What it costs that a group's quantity becomes `after`. Nothing is changed.
    #[inline]
    pub(super) fn charge<'a>(
        &self,
        price: usize,
        group: usize,
        after: Quantity,
        property: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Charge, price::Error> {
        let missing = price::Error::Number(number::Error::DivisionByZero);
        let Some((bound, limits)) = self.bound.as_ref().zip(self.limits.get(price)) else { return Err(missing) };
        let found = self.prices.get(price).and_then(Option::as_ref);
        let found = found.and_then(|slot| Some((slot, slot.groups.get(group)?)));
        let Some(((slot, state), priced)) = found.zip(bound.plan.prices.get(price)) else { return Err(missing) };
        let terms = Terms::with(&priced.price, bound.replacement(price), *limits);
        let before = state.meter.quantity();
        if terms.per_group {
            return terms.charge(&state.state, before, after, property);
        }
        let total = slot.quantity.add(after.sub(before)?)?;
        terms.charge(&slot.state, slot.quantity, total, property)
    }

    /// Does what was charged, and puts out its row. `step` brings the meter's state to the quantity.
    #[inline]
    pub(super) fn apply(
        &mut self,
        (price, group): (usize, usize),
        charge: &Charge,
        step: impl FnOnce(&mut meter::State),
        owner: Owner<'_>,
        row: &Row<'_>,
        emit: &mut Emit,
    ) {
        let Self { bound, prices, period, .. } = self;
        let Some(priced) = bound.as_ref().and_then(|bound| bound.plan.prices.get(price).map(|priced| (bound, priced)))
        else {
            return;
        };
        let (bound, priced) = priced;
        let Some(slot) = prices.get_mut(price).and_then(Option::as_mut) else { return };
        let PriceState { quantity, state: whole, groups } = &mut **slot;
        let Some(state) = groups.get_mut(group) else { return };
        let before = state.meter.quantity();
        step(&mut state.meter);
        let change = state.meter.quantity().sub(before).unwrap_or_default();
        // The charge was made from this very sum, so it fits.
        *quantity = quantity.add(change).unwrap_or(*quantity);
        if priced.price.per_group {
            state.state.apply(charge);
        } else {
            whole.apply(charge);
        }
        let series = emit.series(&mut state.series, || Series {
            tenant: owner.tenant.clone(),
            customer: owner.customer.clone(),
            subscription: owner.subscription.clone(),
            start: period.start,
            plan: bound.plan.version.plan.clone(),
            price: priced.price.id.clone(),
            meter: priced.meter.id.clone(),
            group: state.group.clone(),
        });
        let hash = emit.row(series, row, charge.quantity, charge.amount, charge.tier);
        let table_row = if priced.is_table(bound.replacement(price)) { charge.tier } else { 0 };
        if let Err(error) = state.add(table_row, charge, hash) {
            self.hold((price, group), &error.into(), owner, emit);
        }
    }

    /// The level that a group begins with, as it was put out.
    pub(super) fn opening(&self, price: usize, group: &Group) -> Quantity {
        let groups = self.prices.get(price).and_then(Option::as_ref).map_or(&[][..], |slot| &slot.groups);
        let found = groups.binary_search_by(|state| state.group.cmp(group)).ok().and_then(|at| groups.get(at));
        found.map_or(Quantity::ZERO, |state| state.opening)
    }

    /// Puts out the level that a group begins with.
    pub(super) fn open(
        &mut self,
        (price, group): (usize, usize),
        level: Quantity,
        owner: Owner<'_>,
        emit: &mut Emit,
    ) -> Result<(), price::Error> {
        let quantity = self.meter(price, group).map(meter::State::quantity).unwrap_or_default();
        let charge = self.charge(price, group, quantity, |_| None)?;
        let (event, source, time) = (emit.place(), emit.source(""), self.period.start);
        let row = Row { event, id: "", source, time, level: Some(level) };
        self.apply((price, group), &charge, |_| {}, owner, &row, emit);
        let slot = self.prices.get_mut(price).and_then(Option::as_mut);
        if let Some(state) = slot.and_then(|slot| slot.groups.get_mut(group)) {
            state.opening = level;
        }
        Ok(())
    }

    /// Holds the period's bill back for a group that could not be settled, and says why.
    #[cold]
    pub(super) fn hold(
        &mut self,
        (price, group): (usize, usize),
        error: &price::Error,
        owner: Owner<'_>,
        emit: &mut Emit,
    ) {
        let Some(bound) = self.bound.clone() else { return };
        let Some(priced) = bound.plan.prices.get(price) else { return };
        let slot = self.prices.get_mut(price).and_then(Option::as_mut);
        let Some(state) = slot.and_then(|slot| slot.groups.get_mut(group)) else { return };
        if !state.is_held {
            (state.is_held, state.held_at) = (true, emit.place().offset);
        }
        let (start, end) = (self.period.start, self.period.end);
        let reason = format!(
            "price {} of subscription {} cannot be settled for {start} to {end}: {error}; the period's bill is held until \
             a correction makes it fit, or a waiver lets it go without",
            priced.price.id, owner.subscription
        );
        emit.unsettled(owner, priced, &state.group, last_moment(self.period), reason);
    }

    /// A group is settled, whatever it was before.
    pub(super) fn release(&mut self, (price, group): (usize, usize)) {
        let slot = self.prices.get_mut(price).and_then(Option::as_mut);
        if let Some(state) = slot.and_then(|slot| slot.groups.get_mut(group)) {
            state.is_held = false;
        }
    }

    /// Lets go of the bill, as far as it is held since a record or before; true where anything was.
    pub(super) fn waive(&mut self, seen: Offset) -> bool {
        let before = self.held();
        let groups = self.prices.iter_mut().flatten().flat_map(|slot| &mut slot.groups);
        groups.for_each(|group| group.is_held &= group.held_at > seen);
        self.held() < before
    }

    /// How many groups hold the period's bill back.
    pub(super) fn held(&self) -> u64 {
        let groups = self.prices.iter().flatten().flat_map(|slot| &slot.groups);
        u64::try_from(groups.filter(|group| group.is_held).count()).unwrap_or(u64::MAX)
    }

    /// Takes another end: puts out F new − F old of every price.
    pub(super) fn resize(
        &mut self,
        period: Period,
        share: Share,
        owner: Owner<'_>,
        emit: &mut Emit,
    ) -> Result<(), number::Error> {
        let limits = self.limits_for(share)?;
        (self.period, self.elapsed, self.full, self.limits) = (period, share.elapsed, share.full, limits);
        let place = emit.place();
        let row = Row { event: place, id: "", source: emit.source(""), time: last_moment(period), level: None };
        let Some(bound) = self.bound.clone() else { return Ok(()) };
        for (at, priced) in bound.plan.prices.iter().enumerate() {
            let Some(limits) = self.limits.get(at).copied() else { continue };
            let terms = Terms::with(&priced.price, bound.replacement(at), limits);
            let count =
                if priced.price.per_group { self.group_count(at) } else { usize::from(self.group_count(at) > 0) };
            for group in 0..count {
                let Some(slot) = self.prices.get(at).and_then(Option::as_ref) else { continue };
                let Some(state) = slot.groups.get(group) else { continue };
                let charge = if terms.per_group {
                    terms.resettle(&state.state, state.meter.quantity())
                } else {
                    terms.resettle(&slot.state, slot.quantity)
                };
                if charge.as_ref().is_ok_and(|charge| charge.amount.is_zero()) {
                    continue;
                }
                // F of all groups together belongs to none of them: its row stands under the empty group.
                let group = if terms.per_group { group } else { self.group_state(at, &Group::default()) };
                match charge {
                    Ok(charge) => self.apply((at, group), &charge, |_| {}, owner, &row, emit),
                    Err(error) => self.hold((at, group), &error.into(), owner, emit),
                }
            }
        }
        Ok(())
    }

    fn group_count(&self, price: usize) -> usize {
        self.prices.get(price).and_then(Option::as_ref).map_or(0, |slot| slot.groups.len())
    }

    /// The manifest's entries.
    pub(super) fn sums(&self) -> Vec<Sum> {
        let mut sums = Vec::new();
        let Some(bound) = &self.bound else { return sums };
        for (priced, slot) in bound.plan.prices.iter().zip(&self.prices) {
            for state in slot.iter().flat_map(|slot| &slot.groups) {
                sums.extend(state.totals.iter().map(|totals| Sum {
                    price: priced.price.id.clone(),
                    group: state.group.clone(),
                    row: totals.row,
                    count: totals.count,
                    quantity: totals.quantity,
                    amount: totals.amount,
                    hash: totals.hash,
                }));
            }
        }
        sums.sort_by(|one, other| (&one.price, &one.group, one.row).cmp(&(&other.price, &other.group, other.row)));
        sums
    }
}

/// The time that rows without an event stand at.
pub(super) fn last_moment(period: Period) -> Instant {
    Instant::from_nanos(period.end.nanos().saturating_sub(1))
}

// === impl GroupState ===

impl GroupState {
    fn new(group: Group, meter: &meter::Meter) -> Self {
        Self {
            group,
            meter: meter::State::new(meter.aggregate),
            state: price::State::default(),
            totals: Vec::new(),
            is_held: false,
            held_at: Offset(0),
            opening: Quantity::ZERO,
            series: SeriesSlot::default(),
        }
    }

    #[inline]
    fn add(&mut self, row: u32, charge: &Charge, hash: u64) -> Result<(), number::Error> {
        let at = match self.totals.first() {
            Some(first) if first.row == row => 0,
            _ => match self.totals.binary_search_by_key(&row, |totals| totals.row) {
                Ok(at) => at,
                Err(at) => {
                    self.totals.insert(at, Totals { row, ..Totals::default() });
                    at
                }
            },
        };
        let Some(totals) = self.totals.get_mut(at) else { return Ok(()) };
        totals.count += 1;
        totals.hash = totals.hash.wrapping_add(hash);
        // What all groups come to was checked to fit; what one of them adds up to, with others' rows in between, was not.
        totals.quantity = totals.quantity.add(charge.quantity)?;
        totals.amount = totals.amount.add(charge.amount)?;
        Ok(())
    }
}
