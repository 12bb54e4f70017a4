//! From totals to bills: every customer's chain, from its first bill on.

use super::{Asked, Totals};
use crate::failure::{Context, Failure, Result};
use pricing::bill::{self, Account, Bill, Credit, Party, Plans, Request, Status, Tax};
use pricing::catalog::Catalog;
use pricing::catalog::entity;
use pricing::catalog::settings::Zero;
use pricing::currency::Currency;
use pricing::id::TaxId;
use pricing::period::Period;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The documents of the bills that lie in what was asked for, ordered by customer, currency, start.
///
/// # Errors
/// What keeps a bill from being made, with the customer's name.
pub(crate) fn bills(catalog: &Catalog, totals: &Totals, asked: Asked) -> Result<Vec<String>> {
    let plans: Plans = catalog.plan_versions().map(|plan| (plan.plan.clone(), Arc::new(plan.clone()))).collect();
    let taxes = catalog.taxes().iter().map(|(id, tax)| (id.clone(), Tax::from(&tax.is))).collect();
    let mut documents = Vec::new();
    for customer in catalog.customers().values() {
        let window = asked.within(customer.time_zone.name()).map_err(Failure::refused)?;
        let mut found = chain(catalog, totals, &plans, &taxes, customer, window)
            .context(format_args!("customer '{}'", customer.id))?;
        let skip = catalog.settings().billing.zero == Zero::Skip;
        found.retain(|bill| is_within(bill.period, window) && !(skip && bill.zero));
        found.sort_by_key(|bill| (bill.currency, bill.period.start, bill.period.end));
        documents.extend(found.iter().map(|bill| bill::document(bill, seller(catalog, bill), Status::Draft, false)));
    }
    Ok(documents)
}

/// A bill lies where its last moment lies; an opening bill, which has no length, at its start.
fn is_within(period: Period, window: Period) -> bool {
    if period.start == period.end {
        return window.start <= period.start && period.start < window.end;
    }
    window.start < period.end && period.end <= window.end
}

/// A customer's bills up to the window's end, each from the account that the one before left.
fn chain(
    catalog: &Catalog,
    totals: &Totals,
    plans: &Plans,
    taxes: &BTreeMap<TaxId, Tax>,
    customer: &entity::Customer,
    window: Period,
) -> std::result::Result<Vec<Bill>, bill::Error> {
    let party = Party::from(customer);
    let subscriptions = catalog.timelines(&customer.id);
    let credits: Vec<Credit> = catalog
        .credits()
        .values()
        .filter(|credit| credit.customer == customer.id)
        .map(|credit| Credit::from(&credit.is))
        .collect();
    let none = BTreeMap::new();
    let mut accounts: BTreeMap<Currency, Account> = BTreeMap::new();
    let mut bills = Vec::new();
    for due in bill::schedule(&subscriptions, plans, None, window.end)? {
        let account = accounts.entry(due.currency).or_default();
        let prepared = bill::prepare(&Request {
            end: due.end,
            currency: due.currency,
            party: &party,
            subscriptions: &subscriptions,
            plans,
            taxes,
            credits: &credits,
            rounding: catalog.settings().billing.rounding,
            usage: totals.usage.get(&customer.id).unwrap_or(&none),
            account,
        })?;
        *account = prepared.account;
        bills.push(prepared.bill);
    }
    Ok(bills)
}

/// Who sells it: whom the bill names, else the only one there is.
fn seller<'a>(catalog: &'a Catalog, bill: &Bill) -> Option<&'a entity::Seller> {
    let mut there = catalog.sellers().values().filter(|seller| !seller.ended);
    let seller = match &bill.seller {
        Some(named) => catalog.sellers().get(named),
        None => there.next().filter(|_| there.next().is_none()),
    };
    seller.map(|seller| &seller.is)
}
