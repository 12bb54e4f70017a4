//! What only the whole catalog can show: what is named is there, and no usage is priced twice.

use super::apply::Blame;
use super::entity::{Entry, Subscription};
use super::error::near;
use super::reader::Notes;
use super::{Catalog, Entries};
use crate::id::{MeterId, SellerId, SubscriptionId};
use crate::meter::Meter;
use crate::plan::PlanVersion;
use crate::subscription::Term;
use crate::time::Instant;
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
    customer: &crate::id::CustomerId,
    notes: &Notes,
    blame: impl Fn(&SubscriptionId) -> Option<Blame<'a>>,
) {
    let entries: Vec<&Arc<Entry<Subscription>>> = catalog.subscriptions_of(customer).collect();
    for (at, one) in entries.iter().enumerate() {
        for other in entries.iter().skip(at + 1) {
            // The later one is to blame where both are in the file: it came to a place that was taken.
            let blamed = || match (blame(&one.id), blame(&other.id)) {
                (Some(first), Some(second)) if first.line() > second.line() => (first, other),
                (_, Some(second)) => (second, one),
                (Some(first), None) => (first, other),
                (None, None) => (Blame::nothing(format!("subscriptions.{}", other.id)), one),
            };
            if let Some((from, meter)) = clash(catalog, one, other) {
                let (blamed, against) = blamed();
                let message = format!(
                    "prices meter '{meter}' from {from} on, as subscription '{}' of the same customer does; end one of them, \
                     or give both a `where` that names the same property with other values",
                    against.id
                );
                blamed.note(notes, "", message);
            }
            if let Some((seller, other_seller)) = two_sellers(catalog, one, other) {
                let (blamed, against) = blamed();
                let message = format!(
                    "shares its bills with subscription '{}' of the same customer, in the same currency and at the same \
                     time, but one is sold by '{seller}', the other by '{other_seller}'; a bill has one seller: give both \
                     plans the same, or end one before the other begins",
                    against.id
                );
                blamed.note(notes, "", message);
            }
        }
    }
}

/// The two sellers of subscriptions that share bills.
fn two_sellers(catalog: &Catalog, one: &Subscription, other: &Subscription) -> Option<(SellerId, SellerId)> {
    let customer = catalog.customers().get(&one.customer).and_then(|customer| customer.seller.clone());
    let sold = |term: &Term| {
        let plan = catalog.plan(&term.plan)?;
        Some((plan.currency, plan.seller.clone().or_else(|| customer.clone())?))
    };
    for term in &one.timeline.terms {
        for against in &other.timeline.terms {
            let from = term.from.max(against.from);
            let (Some((currency, seller)), Some((other_currency, other))) = (sold(term), sold(against)) else {
                continue;
            };
            if goes_on(term, from) && goes_on(against, from) && currency == other_currency && seller != other {
                return Some((seller, other));
            }
        }
    }
    None
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
