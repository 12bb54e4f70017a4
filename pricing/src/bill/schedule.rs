//! Which bills there are, and what each waits for.

use super::settle::Cycle;
use super::{Account, Error, Plans};
use crate::currency::Currency;
use crate::id::SubscriptionId;
use crate::period::{Anchor, Every, Grid, Period};
use crate::plan::{PlanVersion, When};
use crate::subscription::{Subscription, Term};
use crate::time::Instant;
use std::collections::BTreeSet;

/// A bill that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it ends.
    pub end: Instant,
    /// What it is in.
    pub currency: Currency,
}

/// A period that a bill settles, and whose manifest it therefore waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Whose.
    pub subscription: SubscriptionId,
    /// The period; `period.start` names it.
    pub period: Period,
}

/// The bills of one customer, in all currencies, that end in (`after`, `until`], opening bills included; by end, then
/// currency. `after` none: from the first.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::Time`].
pub fn schedule(
    subscriptions: &[Subscription],
    plans: &Plans,
    after: Option<Instant>,
    until: Instant,
) -> Result<Vec<Due>, Error> {
    let mut dues = BTreeSet::new();
    for subscription in subscriptions {
        let from = after.map_or(subscription.first_billed, |after| after.max(subscription.first_billed));
        for (period, term, _) in subscription.periods_ending(from, until) {
            dues.insert(Due { end: period.end, currency: plan_of(subscription, term, plans)?.currency });
        }
        for term in &subscription.terms {
            let start = term.from.max(subscription.first_billed);
            let over = term.until.is_some_and(|end| end <= start);
            if over || start > until || after.is_some_and(|after| start <= after) {
                continue;
            }
            let plan = plan_of(subscription, term, plans)?;
            if opens(subscription, term, plan, start)? {
                dues.insert(Due { end: start, currency: plan.currency });
            }
        }
    }
    Ok(dues.into_iter().collect())
}

/// The end of an opening bill for fees in advance of a running period that began when the last bill was made already: the
/// subscription's record came after it. It ends with the first day after that bill, in the subscription's zone. None where
/// nothing of the kind is open; another bill that comes before has the fees, too.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::Time`].
pub fn late_opening(
    subscriptions: &[Subscription],
    plans: &Plans,
    currency: Currency,
    account: &Account,
) -> Result<Option<Instant>, Error> {
    let Some(end) = account.end else { return Ok(None) };
    let mut first: Option<Instant> = None;
    for subscription in subscriptions {
        let Some((period, term, _)) = subscription.period_at(end) else { continue };
        let plan = plan_of(subscription, term, plans)?;
        let mut billed = account.advances.get(&subscription.id).into_iter().flatten();
        if plan.currency != currency
            || !subscription.is_billed(period.start)
            || billed.any(|advance| advance.period.start == period.start)
            || !opens(subscription, term, plan, period.start)?
        {
            continue;
        }
        let days = Grid { every: Every::Day, anchor: Anchor::Calendar, zone: term.grid.zone.clone() };
        let day = days.containing(end)?.end;
        first = Some(first.map_or(day, |first| first.min(day)));
    }
    Ok(first)
}

/// The periods that the bill of `due` settles, by subscription and start: all that end at or before it and that the
/// account has not settled yet. Empty for an opening bill.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::Time`].
pub fn parts(subscriptions: &[Subscription], plans: &Plans, due: Due, account: &Account) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    for subscription in subscriptions {
        let first = subscription.first_billed;
        let from = account.billed.get(&subscription.id).map_or(first, |billed| first.max(*billed));
        for (period, term, _) in subscription.periods_ending(from, due.end) {
            if plan_of(subscription, term, plans)?.currency == due.currency {
                parts.push(Part { subscription: subscription.id.clone(), period });
            }
        }
    }
    parts.sort();
    Ok(parts)
}

/// The end of the customer's last bill in a currency, once it is known: none while any subscription goes on in it. Late
/// usage after that bill stands on a final one, at an end of the caller's choice after this; it is not made where it has
/// no lines.
///
/// # Errors
/// [`Error::UnknownPlan`].
pub fn last_end(subscriptions: &[Subscription], plans: &Plans, currency: Currency) -> Result<Option<Instant>, Error> {
    let mut last = None;
    for subscription in subscriptions {
        for term in &subscription.terms {
            if plan_of(subscription, term, plans)?.currency != currency {
                continue;
            }
            match term.until {
                Some(until) => last = last.max(Some(until)),
                None => return Ok(None),
            }
        }
    }
    Ok(last)
}

/// The plan version that a term names.
pub(super) fn plan_of<'a>(
    subscription: &Subscription,
    term: &Term,
    plans: &'a Plans,
) -> Result<&'a PlanVersion, Error> {
    plans.get(&term.plan).map(|plan| &**plan).ok_or_else(|| Error::UnknownPlan {
        subscription: subscription.id.clone(),
        plan: term.plan.id.clone(),
        version: term.plan.version,
    })
}

/// True where a fee is billed in advance as a term starts.
fn opens(subscription: &Subscription, term: &Term, plan: &PlanVersion, start: Instant) -> Result<bool, Error> {
    if term.trial {
        return Ok(false);
    }
    for fee in plan.fees.iter().filter(|fee| fee.when == When::Advance && !fee.amount.is_zero()) {
        if Cycle::at(subscription, fee.every, start)?.is_some_and(|cycle| cycle.part.start == start) {
            return Ok(true);
        }
    }
    Ok(false)
}
