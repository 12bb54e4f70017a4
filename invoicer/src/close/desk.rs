//! A tenant's catalog as bills need it: read once, kept until something was published.

use pricing::bill::{Bill, Credit, Party, Plans, Tax};
use pricing::catalog::entity::{Entry, Seller};
use pricing::currency::{Currency, Rounding};
use pricing::id::{CustomerId, SellerId, TaxId};
use pricing::number::Rate;
use pricing::plan::PlanRef;
use pricing::subscription::Subscription;
use pricing::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What bills of one tenant are made from.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) terms: Terms,
    pub(crate) plans: Plans,
    pub(crate) taxes: BTreeMap<TaxId, Tax>,
    pub(crate) sellers: BTreeMap<SellerId, Arc<Entry<Seller>>>,
    pub(crate) customers: BTreeMap<CustomerId, Customer>,
}

/// How a tenant bills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) grace: Span,
    pub(crate) review: Span,
    pub(crate) past: Span,
    pub(crate) future: Span,
    /// Whether drafts are issued after their review.
    pub(crate) auto: bool,
    pub(crate) hold_above: Rate,
    pub(crate) rounding: Rounding,
    /// Whether bills of nothing but zeros are issued, too.
    pub(crate) issue_zero: bool,
}

/// Who is billed, for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) party: Party,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) credits: Vec<Credit>,
}

// === impl Desk ===

impl Desk {
    /// The currency of a plan version.
    pub(crate) fn currency(&self, plan: &PlanRef) -> Option<Currency> {
        self.plans.get(plan).map(|plan| plan.currency)
    }

    /// The currencies that a customer's subscriptions are billed in.
    pub(crate) fn currencies(&self, customer: &Customer) -> BTreeSet<Currency> {
        let terms = customer.subscriptions.iter().flat_map(|subscription| &subscription.terms);
        terms.filter_map(|term| self.currency(&term.plan)).collect()
    }

    /// Who numbers a bill: its seller, else the only one there is.
    pub(crate) fn seller(&self, bill: &Bill) -> Option<&Arc<Entry<Seller>>> {
        let mut there = self.sellers.values().filter(|seller| !seller.ended);
        match &bill.seller {
            Some(named) => self.sellers.get(named),
            None => there.next().filter(|_| there.next().is_none()),
        }
    }

    /// The moment from which a late charge of a period can no longer come.
    pub(crate) fn settled_for_good(&self, end: Instant) -> Instant {
        end.plus(self.terms.past).plus(Span::from_days(1)).plus(self.terms.future)
    }
}

impl Customer {
    /// The first end of a period, or opening, after a moment.
    pub(crate) fn next_end(&self, after: Instant) -> Option<Instant> {
        let ends = self.subscriptions.iter().filter_map(|subscription| {
            let billed_from = Instant::from_nanos(subscription.first_billed.nanos().saturating_sub(1));
            subscription.next_period_end(after.max(billed_from))
        });
        ends.chain(self.openings().filter(|opening| *opening > after)).min()
    }

    fn openings(&self) -> impl Iterator<Item = Instant> {
        self.subscriptions
            .iter()
            .filter_map(|subscription| subscription.from().map(|from| from.max(subscription.first_billed)))
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            grace: Span::from_hours(1),
            review: Span::from_hours(24),
            past: Span::from_days(40),
            future: Span::from_seconds(300),
            auto: true,
            hold_above: Rate::ONE,
            rounding: Rounding::HalfAway,
            issue_zero: false,
        }
    }
}
