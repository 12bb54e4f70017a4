//! Preview: the bills as they would be at the end of the running periods, with what was used so far.

use super::chain::{Key, StoredAccount};
use super::desk::{Customer, Desk};
use super::{Closer, Error, verify};
use pricing::bill::{self, Account, Due};
use pricing::currency::Currency;
use pricing::id::{CustomerId, SubscriptionId, TenantId};
use pricing::subscription::Subscription;
use pricing::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use storage::charges::PeriodKey;

// === impl Closer ===

impl Closer {
    /// The documents of all of a customer's bills that are not issued: those that ended, then one for each end of a period
    /// that runs at log time, which is settled in full with its usage so far. From the charges as they stand; nothing is
    /// written. Levels that are settled at a close are not in it.
    ///
    /// # Errors
    /// [`Error::Bill`] for an unknown customer, or a bill that cannot be prepared.
    pub async fn preview(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Vec<String>, Error> {
        let desk = crate::ledger::desk(&self.ledger, tenant).await?;
        let Some(known) = desk.customers.get(customer) else {
            return Err(Error::Bill { reason: format!("there is no customer '{customer}'") });
        };
        let now = self.publisher.log_time();
        let mut documents = Vec::new();
        for currency in desk.currencies(known) {
            let key = Key { tenant: tenant.clone(), customer: customer.clone(), currency };
            let stored = self.ledger.get::<StoredAccount>(Some(tenant), &key.account_id()).await?;
            let stored = stored.map(|stored| stored.value).unwrap_or_default();
            let mut account = stored.account;
            let mut late: BTreeSet<_> = stored.late.into_keys().collect();
            let ended = bill::schedule(&known.subscriptions, &desk.plans, account.end, now)
                .map_err(|error| Error::preview(&error))?;
            let ended = ended.into_iter().filter(|due| due.currency == currency);
            let mut bills: Vec<(Due, Customer)> = ended.map(|due| (due, known.clone())).collect();
            bills.extend(running(&desk, known, currency, now));
            for (due, customer) in bills {
                let late = std::mem::take(&mut late);
                let prepared = self.prepare(&desk, tenant, &customer, due, &account, late).await?;
                documents.push(bill::document(
                    &prepared.bill,
                    desk.seller(&prepared.bill).map(|seller| &seller.is),
                    bill::Status::Draft,
                    false,
                ));
                account = prepared.account;
            }
        }
        Ok(documents)
    }

    async fn prepare(
        &self,
        desk: &Desk,
        tenant: &TenantId,
        customer: &Customer,
        due: Due,
        account: &Account,
        late: BTreeSet<(SubscriptionId, Instant)>,
    ) -> Result<bill::Prepared, Error> {
        let parts =
            bill::parts(&customer.subscriptions, &desk.plans, due, account).map_err(|error| Error::preview(&error))?;
        let parts = parts.into_iter().map(|part| (part.subscription, part.period.start));
        let keys: BTreeSet<_> = parts.chain(late).collect();
        let customer_id = &customer.party.id;
        let keys = keys.into_iter().map(|(subscription, start)| PeriodKey {
            customer: customer_id.clone(),
            subscription,
            start,
        });
        let keys: Vec<PeriodKey> = keys.collect();
        let sums = if keys.is_empty() { Vec::new() } else { self.charges.sums(tenant, &keys).await? };
        let mut usage = BTreeMap::new();
        for (key, sums) in keys.into_iter().zip(sums) {
            let subscription = customer.subscriptions.iter().find(|one| one.id == key.subscription);
            let term = subscription.and_then(|subscription| subscription.term_at(key.start));
            let plan = term.and_then(|term| desk.plans.get(&term.plan)).map(AsRef::as_ref);
            let sums = verify::merged(verify::Curves::of(plan, &customer.subscriptions, &key), sums)?;
            usage.insert((key.subscription, key.start), verify::usage(&sums));
        }
        let request = bill::Request {
            end: due.end,
            currency: due.currency,
            party: &customer.party,
            subscriptions: &customer.subscriptions,
            plans: &desk.plans,
            taxes: &desk.taxes,
            credits: &customer.credits,
            rounding: desk.terms.rounding,
            usage: &usage,
            account,
        };
        bill::prepare(&request).map_err(|error| Error::preview(&error))
    }
}

/// The bills of the periods that run now, by their ends; each with the subscriptions whose period ends there, and those that
/// are over, whose late usage may stand on the first.
fn running(desk: &Desk, known: &Customer, currency: Currency, now: Instant) -> Vec<(Due, Customer)> {
    let end_of = |subscription: &Subscription| {
        let (period, term, _) = subscription.period_at(now)?;
        (subscription.is_billed(period.start) && desk.currency(&term.plan) == Some(currency)).then_some(period.end)
    };
    let is_over = |subscription: &Subscription| subscription.until().is_some_and(|until| until <= now);
    let ends: BTreeSet<Instant> = known.subscriptions.iter().filter_map(end_of).collect();
    let bill = |end: Instant| {
        let ours = known.subscriptions.iter().filter(|one| end_of(one) == Some(end) || is_over(one));
        (Due { end, currency }, Customer { subscriptions: ours.cloned().collect(), ..known.clone() })
    };
    ends.into_iter().map(bill).collect()
}

// === impl Error ===

impl Error {
    fn preview(error: &bill::Error) -> Self {
        Self::Bill { reason: format!("the preview cannot be made: {error}") }
    }
}
