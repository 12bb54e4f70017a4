//! Preview: the bills as they would be, with what was used so far. They are those of a walk, made as far as the present day:
//! of what the store holds now, whatever the fold has said in manifests.

use super::chain::{Chain, Key, StoredAccount};
use super::decide::is_empty;
use super::desk::{Customer, Desk};
use super::walk::{UsageByPeriod, Walk, due_ends};
use super::{Closer, Error, levels, verify};
use pricing::bill::{self, Usage};
use pricing::currency::Currency;
use pricing::id::{CustomerId, TenantId};
use pricing::subscription::Subscription;
use pricing::time::Instant;
use std::collections::BTreeSet;
use storage::charges::{Charge, PeriodKey};

// === impl Closer ===

impl Closer {
    /// The documents of all of a customer's bills that are not issued: those of periods that ended, then one for each end of
    /// a period that runs at log time, which is settled in full with its usage so far, levels up to log time. Late usage of
    /// periods that were billed stands on the first of them, or else on a final one. Nothing is written.
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
            let mut chain = Chain { stored, ..Chain::default() };
            chain.expect_late(&desk, now);
            let running = ends(&desk, known, currency, now);
            let mut due = due_ends(&desk, known, &key, &chain, now, Instant::MAX);
            if let Some(first) = running.first() {
                // What has no period of its own comes along where a bill comes before.
                due.retain(|end| *end <= now || end < first);
            }
            let bills = due.into_iter().map(|end| (end, known.clone()));
            let bills = bills.chain(running.iter().map(|end| (*end, runs_to(known, *end, now))));
            for (end, customer) in bills.collect::<Vec<_>>() {
                let mut walk = Walk::new(key.clone(), &customer, &chain, now, [end]);
                walk.find_parts(&desk);
                let usage = self.usage_so_far(&desk, &walk, &chain, now).await?;
                let prepared = walk.prepare(&desk, end, &usage).map_err(|error| Error::preview(&error))?;
                if !is_empty(&prepared.bill) {
                    let seller = desk.seller(&prepared.bill).map(|seller| &seller.is);
                    documents.push(bill::document(&prepared.bill, seller, bill::Status::Draft, false));
                }
                chain.stored.account = prepared.account;
            }
        }
        Ok(documents)
    }

    /// What the store holds of the next bill's periods, and what a close at `now` would add to it.
    async fn usage_so_far(
        &self,
        desk: &Desk,
        walk: &Walk<'_>,
        chain: &Chain,
        now: Instant,
    ) -> Result<UsageByPeriod, Error> {
        let keys: Vec<PeriodKey> = walk.periods(Some(chain)).into_iter().collect();
        let mut usage = UsageByPeriod::new();
        if keys.is_empty() {
            return Ok(usage);
        }
        let (tenant, customer) = (walk.tenant(), walk.customer);
        let sums = self.charges.sums(tenant, &keys).await?;
        for (key, sums) in keys.into_iter().zip(sums) {
            let subscription = customer.subscriptions.iter().find(|one| one.id == key.subscription);
            let term = subscription.and_then(|subscription| subscription.term_at(key.start));
            let plan = term.and_then(|term| desk.plans.get(&term.plan)).map(AsRef::as_ref);
            let sums = verify::merged(verify::Curves::of(plan, &customer.subscriptions, &key), sums)?;
            let mut used = verify::usage(&sums);
            let to_come = levels::so_far(self.charges.as_ref(), tenant, (desk, customer), &key, now).await?;
            add(&mut used, &to_come).map_err(|error| Error::preview(&error.into()))?;
            usage.insert((key.subscription, key.start), used);
        }
        Ok(usage)
    }
}

/// Adds charges that are to come; their prices have no table.
fn add(usage: &mut Usage, charges: &[Charge]) -> Result<(), pricing::number::Error> {
    for charge in charges {
        let place =
            usage.0.binary_search_by(|sum| (&sum.price, &sum.group, sum.row).cmp(&(&charge.price, &charge.group, 0)));
        // A level that weighs anything was said in a row.
        let Some(sum) = place.ok().and_then(|at| usage.0.get_mut(at)) else { continue };
        (sum.quantity, sum.amount) = (sum.quantity.add(charge.quantity)?, sum.amount.add(charge.amount)?);
    }
    Ok(())
}

/// The ends of the periods that run now.
fn ends(desk: &Desk, customer: &Customer, currency: Currency, now: Instant) -> BTreeSet<Instant> {
    let end_of = |subscription: &Subscription| {
        let (period, term, _) = subscription.period_at(now)?;
        (subscription.is_billed(period.start) && desk.currency(&term.plan) == Some(currency)).then_some(period.end)
    };
    customer.subscriptions.iter().filter_map(end_of).collect()
}

/// A customer with the subscriptions that are over, whose late usage may stand on the bill, and those whose period runs to
/// `end` or further. The others have bills before it.
fn runs_to(customer: &Customer, end: Instant, now: Instant) -> Customer {
    let is_on_it = |subscription: &&Subscription| match subscription.period_at(now) {
        Some((period, ..)) => period.end >= end,
        // What begins with the bill's end pays its fee in advance on it.
        None => subscription.until().is_some_and(|until| until <= now) || subscription.from() == Some(end),
    };
    Customer { subscriptions: customer.subscriptions.iter().filter(is_on_it).cloned().collect(), ..customer.clone() }
}

// === impl Chain ===

impl Chain {
    /// Takes every billed period for late that may still be charged to: manifests tell of it only hourly.
    fn expect_late(&mut self, desk: &Desk, now: Instant) {
        let open = self.stored.account.remembered().filter(|(_, _, end)| desk.settled_for_good(*end) > now);
        let open = open.map(|(subscription, start, end)| ((subscription.clone(), start), end));
        let open: Vec<_> = open.collect();
        self.stored.late.extend(open);
    }
}

// === impl Error ===

impl Error {
    fn preview(error: &bill::Error) -> Self {
        Self::Bill { reason: format!("the preview cannot be made: {error}") }
    }
}
