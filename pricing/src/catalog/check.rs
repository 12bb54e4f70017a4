//! What only the whole catalog can show: what is named is there, and no usage is priced twice.

use super::blame::Blame;
use super::entity::{Entry, Subscription};
use super::error::near;
use super::reader::Notes;
use super::{Catalog, Entries};
use crate::currency::Currency;
use crate::id::{CustomerId, MeterId, SellerId, SubscriptionId};
use crate::meter::Meter;
use crate::plan::PlanVersion;
use crate::subscription::Term;
use crate::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Notes an id that is not there, or has ended.
pub(super) fn named<I: Ord + std::fmt::Display + std::borrow::Borrow<str>, T>(
    notes: &Notes,
    blame: &Blame<'_>,
    key: &str,
    id: Option<&I>,
    entries: &Entries<I, T>,
) {
    let Some(id) = id else { return };
    if entries.get::<I>(id).is_some_and(|entry| !entry.ended) {
        return;
    }
    let known = entries.iter().filter(|(_, entry)| !entry.ended).map(|(id, _)| id.borrow());
    let near = near(id.borrow(), known);
    blame.note(notes, key, format!("there is no {} '{id}'{near}", key.rsplit('.').next().unwrap_or(key)));
}

/// A plan's meters as they are now, each price checked against its own.
pub(super) fn freeze(
    catalog: &Catalog,
    plan: &PlanVersion,
    notes: &Notes,
    blame: &Blame<'_>,
) -> BTreeMap<MeterId, Meter> {
    let mut frozen = BTreeMap::new();
    named(notes, blame, "seller", plan.seller.as_ref(), &catalog.sellers);
    for fee in &plan.fees {
        named(notes, blame, &format!("fees.{}.tax", fee.id), fee.tax.as_ref(), &catalog.taxes);
    }
    for price in &plan.prices {
        let key = |key: &str| format!("prices.{}{key}", price.id);
        named(notes, blame, &key(".tax"), price.tax.as_ref(), &catalog.taxes);
        named(notes, blame, &key(".meter"), Some(&price.meter), &catalog.meters);
        let Some(meter) = catalog.meters.get(&price.meter).filter(|meter| !meter.ended) else { continue };
        if let Err(error) = crate::price::check(price, meter) {
            blame.note(notes, &key(""), error.to_string());
        }
        frozen.insert(meter.id.clone(), meter.is.clone());
    }
    frozen
}

/// Two subscriptions of one customer may not price one meter at the same moment, unless their `where` keeps them apart.
pub(super) fn overlaps<'a>(
    catalog: &Catalog,
    customer: &CustomerId,
    notes: &Notes,
    blame: impl Fn(&SubscriptionId) -> Option<Blame<'a>>,
) {
    let entries: Vec<&Arc<Entry<Subscription>>> = catalog.subscriptions_of(customer).collect();
    for (at, one) in entries.iter().enumerate() {
        for other in entries.iter().skip(at + 1) {
            // The later one is to blame where both are in the file: it came to a place that was taken.
            let Some((from, meter)) = clash(catalog, one, other) else { continue };
            let (blamed, against) = match (blame(&one.id), blame(&other.id)) {
                (Some(first), Some(second)) if first.line() > second.line() => (first, other),
                (_, Some(second)) => (second, one),
                (Some(first), None) => (first, other),
                (None, None) => (Blame::nothing(format!("subscriptions.{}", other.id)), one),
            };
            let message = format!(
                "prices meter '{meter}' from {from} on, as subscription '{}' of the same customer does; end one of them, or \
                 give both a `where` that names the same property with other values",
                against.id
            );
            blamed.note(notes, "", message);
        }
    }
}

/// Whatever may still come on a customer's bills in one currency has one seller: what runs, what is declared, and what is over
/// but may have late usage. Who sold what runs before this change counts, too.
pub(super) fn one_seller<'a>(
    (base, next): (&Catalog, &Catalog),
    customer: &CustomerId,
    log_time: Instant,
    notes: &Notes,
    blame: impl Fn(&SubscriptionId) -> Option<Blame<'a>>,
) {
    let mut first: BTreeMap<Currency, (SellerId, &Subscription, Option<Instant>)> = BTreeMap::new();
    for entry in next.subscriptions_of(customer) {
        for term in &entry.timeline.terms {
            let over = term.until.map(|until| for_good(next, until));
            if over.is_some_and(|over| over <= log_time) || term.until.is_some_and(|until| until <= term.from) {
                continue;
            }
            let Some(plan) = next.plan(&term.plan) else { continue };
            let was = base.subscriptions.get(&entry.id).filter(|_| term.from <= log_time);
            let was = was.and_then(|_| base.seller_for(customer, plan));
            let now = next.seller_for(customer, plan);
            let is_anybody = || next.sellers.values().any(|seller| !seller.ended);
            if let (Some(was), None) = (was, now)
                && is_anybody()
            {
                let message = format!(
                    "is billed by '{}', and would be by nobody: there are several sellers now, so name it as the `seller` of \
                     customer '{customer}' or of plan '{}'",
                    was.id, plan.plan.id
                );
                let nobody = || Blame::nothing(format!("subscriptions.{}", entry.id));
                blame(&entry.id).unwrap_or_else(nobody).note(notes, "", message);
                return;
            }
            for seller in was.into_iter().chain(now) {
                let (known, against, over) =
                    first.entry(plan.currency).or_insert_with(|| (seller.id.clone(), &entry.is, over));
                if *known == seller.id {
                    continue;
                }
                let wait = over.map_or_else(String::new, |over| format!(", declare it after {over}"));
                let message = format!(
                    "is billed in {} by '{}', but subscription '{}' of the same customer by '{known}', and a bill has one \
                     seller: give both the same one{wait}, or declare a customer of its own for the other seller",
                    plan.currency, seller.id, against.id
                );
                let (one, other) = (blame(&entry.id), blame(&against.id));
                let nobody = || Blame::nothing(format!("subscriptions.{}", entry.id));
                one.or(other).unwrap_or_else(nobody).note(notes, "", message);
                return;
            }
        }
    }
}

/// When nothing can come on a bill any more of what ended then: late usage has had its time, and the last bill a day.
fn for_good(catalog: &Catalog, end: Instant) -> Instant {
    let (limits, billing) = (&catalog.settings().limits, &catalog.settings().billing);
    [limits.past, limits.future, billing.grace, Span::from_days(2)].into_iter().fold(end, Instant::plus)
}

/// The first moment at which both price one meter, and the meter. Nothing is priced before the first billed period.
fn clash(catalog: &Catalog, one: &Subscription, other: &Subscription) -> Option<(Instant, MeterId)> {
    let billed = one.timeline.first_billed.max(other.timeline.first_billed);
    for term in &one.timeline.terms {
        for against in &other.timeline.terms {
            let from = term.from.max(against.from).max(billed);
            if !goes_on(term, from) || !goes_on(against, from) || apart(term, against) {
                continue;
            }
            let meters = meters(catalog, term);
            if let Some(meter) = meters.intersection(&self::meters(catalog, against)).next() {
                return Some((from, (*meter).clone()));
            }
        }
    }
    None
}

/// True for a term that has not ended by then.
fn goes_on(term: &Term, by: Instant) -> bool {
    term.until.is_none_or(|until| by < until)
}

/// True where some property keeps their events apart.
fn apart(one: &Term, other: &Term) -> bool {
    one.filter.0.iter().any(|(name, values)| {
        other.filter.0.get(name).is_some_and(|others| values.iter().all(|value| !others.contains(value)))
    })
}

fn meters<'a>(catalog: &'a Catalog, term: &Term) -> BTreeSet<&'a MeterId> {
    catalog.plan(&term.plan).map(|plan| plan.meters.keys().collect()).unwrap_or_default()
}
