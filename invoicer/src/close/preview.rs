//! Preview: the bills as they would be if the running periods ended now.

use super::chain::{Key, StoredAccount};
use super::desk::{Customer, Desk};
use super::{Closer, Error, verify};
use pricing::bill::{self, Account, Due};
use pricing::id::{CustomerId, TenantId};
use pricing::subscription::{Subscription, Term};
use pricing::time::Instant;
use std::collections::BTreeMap;
use storage::charges::PeriodKey;

// === impl Closer ===

impl Closer {
    /// The documents of all of a customer's bills that are not issued, the last one as if the running periods ended at log
    /// time. From the charges as they stand; nothing is written. Levels that are settled at a close are not in it.
    ///
    /// # Errors
    /// [`Error::Bill`] for an unknown customer, or a bill that cannot be prepared.
    pub async fn preview(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Vec<String>, Error> {
        let desk = crate::ledger::desk(&self.ledger, tenant).await?;
        let Some(known) = desk.customers.get(customer) else {
            return Err(Error::Bill { reason: format!("there is no customer '{customer}'") });
        };
        let now = self.publisher.log_time();
        let ended = Customer {
            subscriptions: known.subscriptions.iter().map(|one| ended(one, now)).collect(),
            ..known.clone()
        };
        let mut documents = Vec::new();
        for currency in desk.currencies(&ended) {
            let key = Key { tenant: tenant.clone(), customer: customer.clone(), currency };
            let stored = self.ledger.get::<StoredAccount>(Some(tenant), &key.account_id()).await?;
            let mut account = stored.map(|stored| stored.value.account).unwrap_or_default();
            let dues = bill::schedule(&ended.subscriptions, &desk.plans, account.end, now)
                .map_err(|error| Error::preview(&error))?;
            for due in dues.into_iter().filter(|due| due.currency == currency) {
                let prepared = self.prepare(&desk, tenant, &ended, due, &account).await?;
                documents.push(bill::document(&prepared.bill, None, bill::Status::Draft));
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
    ) -> Result<bill::Prepared, Error> {
        let parts =
            bill::parts(&customer.subscriptions, &desk.plans, due, account).map_err(|error| Error::preview(&error))?;
        let keys: Vec<PeriodKey> = parts
            .iter()
            .map(|part| PeriodKey {
                customer: customer.party.id.clone(),
                subscription: part.subscription.clone(),
                start: part.period.start,
            })
            .collect();
        let sums = if keys.is_empty() { Vec::new() } else { self.charges.sums(tenant, &keys).await? };
        let mut usage = BTreeMap::new();
        for (key, sums) in keys.into_iter().zip(sums) {
            let subscription = customer.subscriptions.iter().find(|one| one.id == key.subscription);
            let term = subscription.and_then(|subscription| subscription.term_at(key.start));
            let plan = term.and_then(|term| desk.plans.get(&term.plan)).map(AsRef::as_ref);
            let sums = verify::merged(plan, sums)?;
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

/// A subscription as if it ended now.
fn ended(subscription: &Subscription, now: Instant) -> Subscription {
    let begun = subscription.terms.iter().filter(|term| term.from < now);
    let cut = |term: &Term| Term { until: Some(term.until.map_or(now, |until| until.min(now))), ..term.clone() };
    Subscription { terms: begun.map(cut).collect(), ..subscription.clone() }
}

// === impl Error ===

impl Error {
    fn preview(error: &bill::Error) -> Self {
        Self::Bill { reason: format!("the preview cannot be made: {error}") }
    }
}
