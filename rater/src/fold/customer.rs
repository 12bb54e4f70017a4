//! Customers and their subscriptions.

use super::catalog::{Bound, Plan, Tenant, bounds};
use super::period;
use crate::codec::Malformed;
use pricing::group::{Filter, Group};
use pricing::id::CustomerId;
use pricing::meter::{Levels, Meter};
use pricing::period::{Period, Share};
use pricing::subscription::Subscription;
use pricing::time::Instant;
use std::sync::Arc;

/// One customer.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Customer {
    /// Index of the tenant.
    pub(super) tenant: u32,
    pub(super) id: CustomerId,
    /// The hash of each customer record, version 1 first.
    pub(super) versions: Vec<u64>,
    /// In the order in which they came.
    pub(super) subscriptions: Vec<Sub>,
    /// In order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) levels: Vec<LevelSeries>,
    /// The caches that a snapshot leaves out are there.
    #[serde(skip)]
    pub(super) is_bound: bool,
}

/// The level changes of one meter (by content, whatever its unit), where-filter and group.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct LevelSeries {
    pub(super) meter: Arc<Meter>,
    pub(super) filter: Filter,
    pub(super) group: Group,
    pub(super) levels: Levels,
}

/// One subscription.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Sub {
    pub(super) declared: Subscription,
    /// Periods that end here or before are closed.
    pub(super) closed_to: Instant,
    /// Log time at the last close.
    pub(super) closed_at: Instant,
    /// Start of the newest period whose first levels were put out.
    pub(super) opened: Instant,
    /// Those that have state, by start.
    pub(super) periods: Vec<period::State>,
    /// The terms' plans.
    #[serde(skip)]
    pub(super) bounds: Vec<Arc<Bound>>,
    /// Where the last event's period was found.
    #[serde(skip)]
    pub(super) hint: usize,
    /// A closed period's state was begun, and is not noted yet.
    #[serde(skip)]
    pub(super) is_fresh: bool,
}

/// Where a moment lies in a subscription.
pub(super) enum Place {
    /// No term holds it.
    Outside,
    /// Before the first billed period.
    Unbilled,
    /// In the period with this index, which may be new.
    Billed(usize),
}

// === impl Customer ===

impl Customer {
    /// The plans of the customer's subscriptions.
    pub(super) fn plans(&self) -> impl Iterator<Item = &Arc<Plan>> {
        self.subscriptions.iter().flat_map(|sub| sub.bounds.iter().map(|bound| &bound.plan))
    }

    /// Reads what pricing will read, one step deeper for each `depth`, so that it is near.
    #[inline]
    pub(super) fn read_ahead(&self, depth: usize) -> usize {
        let Some(sub) = self.subscriptions.first() else { return 0 };
        let Some(depth) = depth.checked_sub(1) else { return sub.hint };
        let Some(state) = sub.periods.get(sub.hint) else { return 0 };
        let Some(depth) = depth.checked_sub(1) else {
            let name = sub.declared.id.as_str().as_bytes().first();
            return state.prices.len() ^ usize::from(state.period.start == Instant::MIN || name == Some(&0));
        };
        state.read_ahead(depth)
    }

    /// True once [`Customer::bind`] was called, or where there is nothing to find.
    pub(super) fn is_bound(&self) -> bool {
        self.is_bound
    }

    /// Finds the caches that a snapshot leaves out.
    pub(super) fn bind(&mut self, tenant: &Tenant) -> Result<(), Malformed> {
        for sub in &mut self.subscriptions {
            sub.bounds = bounds(&sub.declared, tenant).map_err(|_| Malformed("a subscription to an unknown plan"))?;
            for at in 0..sub.periods.len() {
                let start = sub.periods[at].period.start;
                let term = sub.term_index(start).ok_or(Malformed("a period outside its subscription"))?;
                sub.periods[at].bound = sub.bounds.get(term).cloned();
            }
        }
        self.is_bound = true;
        Ok(())
    }
}

// === impl Sub ===

impl Sub {
    pub(super) fn new(declared: Subscription, bounds: Vec<Arc<Bound>>) -> Self {
        let [closed_to, closed_at, opened] = [Instant::MIN; 3];
        Self { declared, closed_to, closed_at, opened, periods: Vec::new(), bounds, hint: 0, is_fresh: false }
    }

    /// The index of the term that holds a moment.
    pub(super) fn term_index(&self, time: Instant) -> Option<usize> {
        let after = self.declared.terms.partition_point(|term| term.from <= time);
        let last = after.checked_sub(1)?;
        self.declared.terms.get(last).filter(|term| term.until.is_none_or(|until| time < until)).map(|_| last)
    }

    /// The next period to be closed.
    pub(super) fn next_to_close(&self) -> Option<(Period, Share)> {
        let from = self.closed_to.max(self.declared.first_billed);
        self.declared.periods_from(from).next().map(|(period, _, share)| (period, share))
    }

    /// The next period whose first levels are to be put out; none where no price weighs levels.
    pub(super) fn next_to_open(&self) -> Option<(Period, Share)> {
        self.bounds.iter().find(|bound| bound.plan.prices.iter().any(|priced| priced.is_weighted))?;
        let from = self.opened.max(self.declared.first_billed);
        let mut periods = self.declared.periods_from(from).map(|(period, _, share)| (period, share));
        periods.find(|(period, _)| period.start > self.opened)
    }

    /// Finds the period that holds a moment, and begins its state where there is none.
    #[inline]
    pub(super) fn place(&mut self, time: Instant) -> Result<Place, pricing::number::Error> {
        if self.periods.get(self.hint).is_some_and(|state| state.period.contains(time)) {
            return Ok(Place::Billed(self.hint));
        }
        let Some(term) = self.term_index(time) else { return Ok(Place::Outside) };
        if !self.declared.is_billed(time) {
            return Ok(Place::Unbilled);
        }
        let after = self.periods.partition_point(|state| state.period.start <= time);
        if let Some(last) = after.checked_sub(1)
            && self.periods.get(last).is_some_and(|state| state.period.contains(time))
        {
            self.hint = last;
            return Ok(Place::Billed(last));
        }
        let found = self.declared.terms.get(term).and_then(|term| term.period_at(time));
        let Some((period, share)) = found else { return Ok(Place::Outside) };
        self.begin(period, share).map(Place::Billed)
    }

    /// The state of a period, new where there is none.
    pub(super) fn begin(&mut self, period: Period, share: Share) -> Result<usize, pricing::number::Error> {
        let at = match self.periods.binary_search_by_key(&period.start, |state| state.period.start) {
            Ok(at) => at,
            Err(at) => {
                let bound = self.term_index(period.start).and_then(|term| self.bounds.get(term)).cloned();
                let closed = (period.end <= self.closed_to).then_some(period::Closed::first(self.closed_at));
                self.is_fresh |= closed.is_some();
                self.periods.insert(at, period::State::new(period, share, bound, closed)?);
                at
            }
        };
        self.hint = at;
        Ok(at)
    }
}
